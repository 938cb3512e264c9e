// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile use of sound-looking queues: impossible places and sizes, registers rewritten while the
 * queue runs, rings over each other, memory that changes while the device reads it, resets with
 * requests in flight, and requests that the disk must refuse. main.c calls the cases.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "hostile.h"

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE

/* Low memory that nothing else uses, 2 GiB of it. */
#define SPARE	   0x4000000
#define SPARE_SIZE 0x80000000

/* ------------------------------------------------------------------------- */
/* Where a queue cannot be                                                    */

static void refuses_queue(struct device *d, uint64_t desc, uint64_t avail, uint64_t used,
			  uint16_t size)
{
	device_negotiate(d, 0);
	device_queue_registers(d, desc, avail, used, size);
	common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 0);
	CHECK(device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	kick(d);
}

/* Each part of the queue at this place, with the others where they should be. */
static void refuses_place(uint64_t at)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		uint64_t desc = (uint64_t)d->desc, avail = (uint64_t)d->avail,
			 used = (uint64_t)d->used;

		refuses_queue(d, at, avail, used, QUEUE_SIZE);
		refuses_queue(d, desc, at, used, QUEUE_SIZE);
		refuses_queue(d, desc, avail, at, QUEUE_SIZE);
		sound(d);
	}
}

static void place_unaligned(void)
{
	refuses_place((uint64_t)disk.desc + 1);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		refuses_queue(d, (uint64_t)d->desc + 8, (uint64_t)d->avail, (uint64_t)d->used,
			      QUEUE_SIZE);
		refuses_queue(d, (uint64_t)d->desc, (uint64_t)d->avail, (uint64_t)d->used + 2,
			      QUEUE_SIZE);
	}
}

static void place_outside(void)
{
	refuses_place(low_end);
	refuses_place(high_end);
	refuses_place(ECAM);
	refuses_place(LAPIC);
	refuses_place(disk.common);
	refuses_place(1ULL << 40);
	refuses_place(1ULL << 63);
}

static void place_across_end(void)
{
	refuses_place(low_end - 16);
	refuses_place(high_end - 16);
	refuses_place(0xfffffffffffffff0ULL);
}

static void size_impossible(void)
{
	static const uint16_t sizes[] = {0, 3, 7, 129, 256, 0x8000, 0xffff};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
			refuses_queue(d, (uint64_t)d->desc, (uint64_t)d->avail, (uint64_t)d->used,
				      sizes[s]);
	}
}

/* ------------------------------------------------------------------------- */
/* What is written after activation has no effect                             */

static void addresses_rewritten(void)
{
	static const uint64_t places[] = {0, 0x1000, ECAM, LAPIC, 1ULL << 40, ~0ULL};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
			device_queue_registers(d, places[p], places[p], places[p], QUEUE_SIZE);
			sound_request(d);
			common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
			sound_request(d);
		}
	}
}

static void size_rewritten(void)
{
	static const uint16_t sizes[] = {0, 1, 3, 128, 0xffff};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			common_write(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[s]);
			sound_request(d);
			common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
			sound_request(d);
		}
	}
}

/* While requests are on their way. */
static void rewritten_in_flight(void)
{
	for (unsigned int round = 0; round < 50; round++) {
		device_start(&disk, 0);
		for (unsigned int i = 0; i < 2; i++) {
			blk_chain(&disk, 3 * i, VIRTIO_BLK_T_IN, i, WRITE, SECTOR);
			publish(&disk, 3 * i);
		}
		kick(&disk);
		device_queue_registers(&disk, nonsense(), nonsense(), nonsense(),
				       (uint16_t)nonsense());
		wait_used(&disk, 2);
		CHECK(blk_status(&disk, 0) == VIRTIO_BLK_S_OK);
		CHECK(blk_status(&disk, 3) == VIRTIO_BLK_S_OK);
	}
}

/* Queues that do not exist, selected and written to. */
static void queues_that_are_not(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		for (unsigned int queue = 1; queue < 0x10000; queue = queue * 2 + 1) {
			common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
			CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_SIZE, 2) == 0);
			for (unsigned int at = VIRTIO_PCI_COMMON_Q_SIZE; at < 56; at += 2)
				common_write(d, at, 2, 1);
			for (unsigned int at = VIRTIO_PCI_COMMON_Q_DESCLO; at < 56; at += 4)
				common_write(d, at, 4, nonsense());
			CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 0);
		}
		sound_request(d);
	}
}

/* ------------------------------------------------------------------------- */
/* Rings that the device itself overwrites                                    */

/* What happens then is the guest's own affair, as long as a reset ends it. */
static void rings_over_each_other(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		uint64_t at = (uint64_t)d->desc;

		for (unsigned int round = 0; round < 16; round++) {
			device_negotiate(d, 1ULL << VIRTIO_RING_F_EVENT_IDX);
			for (unsigned int b = 0; b < 4096; b++)
				((volatile uint8_t *)at)[b] = nonsense() % 8;
			device_queue_registers(d, at, at + round * 4, at + round * 8, QUEUE_SIZE);
			common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
			common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
			for (unsigned int k = 0; k < 8; k++)
				kick(d);
			let_it_run(d);
		}
		sound(d);
	}
}

static void data_over_rings(void)
{
	volatile void *const rings[] = {disk.desc, disk.avail, disk.used};
	volatile void *const rng_rings[] = {rng.desc, rng.avail, rng.used};

	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		for (unsigned int round = 0; round < 8; round++) {
			device_start(&disk, 0);
			blk_chain(&disk, 0, VIRTIO_BLK_T_IN, round, WRITE, SECTOR);
			disk.desc[1].addr = (uint64_t)rings[i] + 16 * round;
			publish(&disk, 0);
			kick(&disk);
			let_it_run(&disk);
			kick(&disk);
			let_it_run(&disk);
		}
		device_start(&rng, 0);
		set_desc(&rng, 0, (uint64_t)rng_rings[i], 256, WRITE, 0);
		publish(&rng, 0);
		kick(&rng);
		let_it_run(&rng);
	}
}

/* The status byte over the used ring's index, the header over the descriptors. */
static void answers_over_rings(void)
{
	device_start(&disk, 0);
	blk_chain(&disk, 0, VIRTIO_BLK_T_IN, 0, WRITE, SECTOR);
	disk.desc[2].addr = (uint64_t)&disk.used->idx;
	publish(&disk, 0);
	kick(&disk);
	let_it_run(&disk);

	device_start(&disk, 0);
	blk_chain(&disk, 0, VIRTIO_BLK_T_IN, 0, WRITE, SECTOR);
	disk.desc[0].addr = (uint64_t)disk.desc;
	publish(&disk, 0);
	kick(&disk);
	let_it_run(&disk);
}

/* ------------------------------------------------------------------------- */
/* Memory that changes under the device's eyes                                */

static void descriptors_change(void)
{
	static const uint64_t places[] = {LAPIC, ~0ULL, 1ULL << 40, SPARE};
	static const uint32_t lengths[] = {0xffffffff, 0, 1, SECTOR};

	for (unsigned int round = 0; round < 80; round++) {
		struct device *d = devices[round % 2];

		device_start(d, 1ULL << VIRTIO_RING_F_INDIRECT_DESC);
		blk_chain(d, 0, VIRTIO_BLK_T_IN, 0, WRITE, SECTOR);
		publish(d, 0);
		kick(d);
		for (unsigned int i = 0; i < 64; i++) {
			volatile struct vring_desc *desc = &d->desc[i % 3];
			const struct vring_desc was = *(struct vring_desc *)desc;

			desc->addr = places[i % 4];
			desc->len = lengths[i / 4 % 4];
			desc->flags = (uint16_t)nonsense() & 7;
			desc->next = (uint16_t)nonsense();
			desc->addr = was.addr;
			desc->len = was.len;
			desc->flags = was.flags;
			desc->next = was.next;
			if (i % 8 == 0)
				publish(d, (uint16_t)nonsense() % (QUEUE_SIZE + 1));
		}
		kick(d);
		let_it_run(d);
	}
}

/* ------------------------------------------------------------------------- */
/* Resets with requests in flight                                             */

/* A read, and a flush, which no host completes while it is asked. */
static void fill_queue(struct device *d)
{
	blk_chain(d, 0, VIRTIO_BLK_T_IN, 0, WRITE, 16 * SECTOR);
	blk_chain(d, 3, VIRTIO_BLK_T_FLUSH, 0, WRITE, SECTOR);
	publish(d, 0);
	publish(d, 3);
	kick(d);
}

/* When the reset is over, the device has let go of the memory. */
static void reset_in_flight(void)
{
	for (unsigned int round = 0; round < 60; round++) {
		device_start(&disk, 0);
		fill_queue(&disk);
		/* From before the device looks until it is done with all of it. */
		for (unsigned int i = 0; i < 1000 * round; i++)
			__asm__ volatile("pause");
		device_reset(&disk);
		memset(disk.data, 0xaa, 4096 + 16 * SECTOR);
		memset((void *)disk.used, 0xaa, 4096);
		sound(&rng);
		for (unsigned int i = 0; i < 4096 + 16 * SECTOR; i++)
			CHECK(disk.data[i] == 0xaa);
		for (unsigned int i = 0; i < 4096; i++)
			CHECK(((volatile uint8_t *)disk.used)[i] == 0xaa);
	}
}

/* Nor does it touch memory while it may not be a bus master; afterwards it goes on. */
static void master_off_in_flight(void)
{
	for (unsigned int round = 0; round < 30; round++) {
		uint16_t used;

		device_start(&disk, 0);
		fill_queue(&disk);
		pci_write(disk.slot, 4, 2, 3);
		used = disk.used->idx;
		memset(disk.data + 4096, 0xaa, 16 * SECTOR);
		sound(&rng);
		CHECK(disk.used->idx == used);
		for (unsigned int i = 0; i < 16 * SECTOR; i++)
			CHECK(disk.data[4096 + i] == 0xaa);
		pci_write(disk.slot, 4, 2, 7);
		wait_used(&disk, 2);
		sound_request(&disk);
	}
}

static void kick_storm(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		step("before the device is set up");
		device_reset(d);
		for (unsigned int k = 0; k < 2000; k++)
			out16(d->doorbell, (uint16_t)k);
		step("while it runs");
		device_start(d, 0);
		for (unsigned int k = 0; k < 2000; k++)
			port_out(d->doorbell + k % 13, 1 << k % 3, nonsense());
		sound_request(d);
		step("while it needs a reset");
		publish(d, 0xffff);
		kick(d);
		wait_needs_reset(d);
		for (unsigned int k = 0; k < 2000; k++)
			kick(d);
	}
}

/* ------------------------------------------------------------------------- */
/* Requests that the disk refuses by its status                               */

static void refused(struct device *d, uint8_t status, uint32_t type, uint64_t sector,
		    uint32_t flags, uint32_t len)
{
	blk_chain(d, 0, type, sector, flags, len);
	publish(d, 0);
	kick(d);
	wait_used(d, d->avail->idx);
	if (blk_status(d, 0) != status) {
		print_number(type);
		print(" ended with ");
		print_number(blk_status(d, 0));
		print("\n");
		fail("a request did not end with the status it should");
	}
	sound_request(d);
}

static void sectors_outside(void)
{
	uint64_t sectors = mmio_read(disk.config, 8);

	device_start(&disk, 0);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, sectors, WRITE, SECTOR);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, sectors - 1, WRITE, 2 * SECTOR);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, ~0ULL, WRITE, SECTOR);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, 1ULL << 55, WRITE, SECTOR);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_OUT, sectors, 0, SECTOR);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_OUT, ~0ULL / SECTOR, 0, SECTOR);
	/* In memory, but far more than the disk has. */
	blk_chain(&disk, 0, VIRTIO_BLK_T_IN, 0, WRITE, 0);
	set_desc(&disk, 1, SPARE, SPARE_SIZE, NEXT | WRITE, 2);
	publish(&disk, 0);
	kick(&disk);
	wait_used(&disk, disk.avail->idx);
	CHECK(blk_status(&disk, 0) == VIRTIO_BLK_S_IOERR);
}

static void parts_of_sectors(void)
{
	device_start(&disk, 0);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, 0, WRITE, 1);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_IN, 0, WRITE, SECTOR - 1);
	refused(&disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_OUT, 0, 0, SECTOR + 1);
}

static void unknown_requests(void)
{
	static const uint32_t types[] = {2, 3, 5, 7, 9, 10, 12, 14, 0x100, 0x80000000, 0xffffffff};

	device_start(&disk, 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		refused(&disk, VIRTIO_BLK_S_UNSUPP, types[i], 0, WRITE, SECTOR);
}

static void writes_to_readonly(void)
{
	device_start(&readonly_disk, 0);
	refused(&readonly_disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_OUT, 0, 0, SECTOR);
	refused(&readonly_disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_DISCARD, 0, 0, 16);
	refused(&readonly_disk, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, 16);
}

static void range(uint8_t status, uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *seg = (void *)(disk.data + 4096);

	*seg = (struct virtio_blk_discard_write_zeroes){sector, sectors, flags};
	refused(&disk, status, type, 0, 0, sizeof(*seg));
}

static void bad_ranges(void)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	uint32_t sectors = (uint32_t)mmio_read(disk.config, 8);

	device_start(&disk, 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		range(VIRTIO_BLK_S_IOERR, types[i], sectors, 1, 0);
		range(VIRTIO_BLK_S_IOERR, types[i], 8, sectors, 0);
		range(VIRTIO_BLK_S_IOERR, types[i], ~0ULL, 8, 0);
		range(VIRTIO_BLK_S_IOERR, types[i], 0, 0xffffffff, 0);
		range(VIRTIO_BLK_S_UNSUPP, types[i], 0, 8, 0xfffffffe);
		refused(&disk, VIRTIO_BLK_S_UNSUPP, types[i], 0, 0, 15);
		refused(&disk, VIRTIO_BLK_S_UNSUPP, types[i], 0, 0, 17);
		refused(&disk, VIRTIO_BLK_S_UNSUPP, types[i], 0, 0, 4096);
	}
}

/* An identity of 20 bytes for a buffer of one, and one that is not the device's to write. */
static void identity_for_little(void)
{
	device_start(&disk, 0);
	disk.data[4097] = 0xaa;
	blk_chain(&disk, 0, VIRTIO_BLK_T_GET_ID, 0, WRITE, 1);
	publish(&disk, 0);
	kick(&disk);
	wait_used(&disk, 1);
	CHECK(blk_status(&disk, 0) == VIRTIO_BLK_S_OK);
	CHECK(disk.data[4097] == 0xaa);
	refused(&disk, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_GET_ID, 0, 0, 20);
}

/* All of low memory as a buffer for entropy: done in parts, and other work goes on meanwhile. */
static void entropy_for_all(void)
{
	device_start(&rng, 0);
	set_desc(&rng, 0, SPARE, SPARE_SIZE, WRITE, 0);
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		publish(&rng, 0);
	kick(&rng);
	sound(&disk);
	wait_used(&rng, QUEUE_SIZE);
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		CHECK(rng.used->ring[i].len > 0 && rng.used->ring[i].len <= SPARE_SIZE);
}

static const struct hostile_case cases[] = {
	{"place_unaligned", place_unaligned, ENDS_WELL},
	{"place_outside", place_outside, ENDS_WELL},
	{"place_across_end", place_across_end, ENDS_WELL},
	{"size_impossible", size_impossible, ENDS_WELL},
	{"addresses_rewritten", addresses_rewritten, ENDS_WELL},
	{"size_rewritten", size_rewritten, ENDS_WELL},
	{"rewritten_in_flight", rewritten_in_flight, ENDS_WELL},
	{"queues_that_are_not", queues_that_are_not, ENDS_WELL},
	{"rings_over_each_other", rings_over_each_other, ENDS_WELL},
	{"data_over_rings", data_over_rings, ENDS_WELL},
	{"answers_over_rings", answers_over_rings, ENDS_WELL},
	{"descriptors_change", descriptors_change, ENDS_WELL},
	{"reset_in_flight", reset_in_flight, ENDS_WELL},
	{"master_off_in_flight", master_off_in_flight, ENDS_WELL},
	{"kick_storm", kick_storm, ENDS_WELL},
	{"sectors_outside", sectors_outside, ENDS_WELL},
	{"parts_of_sectors", parts_of_sectors, ENDS_WELL},
	{"unknown_requests", unknown_requests, ENDS_WELL},
	{"writes_to_readonly", writes_to_readonly, ENDS_WELL},
	{"bad_ranges", bad_ranges, ENDS_WELL},
	{"identity_for_little", identity_for_little, ENDS_WELL},
	{"entropy_for_all", entropy_for_all, ENDS_WELL},
};

const struct case_group queue_cases = {cases, ARRAY_SIZE(cases)};
