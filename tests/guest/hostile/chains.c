// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Malformed chains of descriptors and ring entries, each tried on the disk and on the entropy device:
 * the device says DEVICE_NEEDS_RESET and stands still, and works again after the reset. main.c calls
 * the cases.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "hostile.h"

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define FEATURES (1ULL << VIRTIO_RING_F_INDIRECT_DESC)

/* One buffer that the device may write, at addr. */
static void one_buffer(struct device *d, uint64_t addr, uint32_t len)
{
	set_desc(d, 0, addr, len, WRITE, 0);
	publish(d, 0);
}

static uint64_t data(const struct device *d)
{
	return (uint64_t)d->data;
}

/* Make the chain with features negotiated, and see what comes of it. */
static void breaks_with(uint64_t features, void (*make)(struct device *d))
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		uint16_t used;

		step(d == &disk ? "disk" : "entropy device");
		device_start(d, features);
		make(d);
		kick(d);
		wait_needs_reset(d);
		/* It stands still, whatever else comes. */
		used = d->used->idx;
		publish(d, 0);
		kick(d);
		let_it_run(d);
		CHECK(d->used->idx == used);
		CHECK(device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET);
		sound(d);
	}
}

static void breaks(void (*make)(struct device *d))
{
	breaks_with(FEATURES, make);
}

/* ------------------------------------------------------------------------- */
/* Loops and indices                                                          */

static void make_loop_of_one(struct device *d)
{
	set_desc(d, 0, data(d), 16, NEXT | WRITE, 0);
	publish(d, 0);
}

static void make_loop_of_all(struct device *d)
{
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		set_desc(d, i, data(d), 16, NEXT | WRITE, (i + 1) % QUEUE_SIZE);
	publish(d, 0);
}

static void make_loop_at_end(struct device *d)
{
	make_loop_of_all(d);
	set_desc(d, QUEUE_SIZE - 1, data(d), 16, NEXT | WRITE, QUEUE_SIZE - 2);
}

static void make_head_outside(struct device *d)
{
	publish(d, QUEUE_SIZE);
}

static void make_head_far_outside(struct device *d)
{
	publish(d, 0xffff);
}

static void make_next_outside(struct device *d)
{
	set_desc(d, 0, data(d), 16, NEXT | WRITE, QUEUE_SIZE);
	publish(d, 0);
}

static void make_next_far_outside(struct device *d)
{
	set_desc(d, 0, data(d), 16, NEXT | WRITE, 0xffff);
	publish(d, 0);
}

static void make_index_jumps(struct device *d)
{
	/* More than a ring holds, also after the device has already taken one. */
	one_buffer(d, data(d), 16);
	d->avail->idx = QUEUE_SIZE + 2;
}

static void make_index_jumps_far(struct device *d)
{
	one_buffer(d, data(d), 16);
	d->avail->idx = 0x8000;
}

static void make_index_goes_back(struct device *d)
{
	sound_request(d);
	sound_request(d);
	d->avail->idx = 1;
}

static void make_index_wraps_early(struct device *d)
{
	d->avail->idx = 0xffff;
}

/* ------------------------------------------------------------------------- */
/* Lengths and places                                                         */

static void make_length_zero(struct device *d)
{
	one_buffer(d, data(d), 0);
}

static void make_length_huge(struct device *d)
{
	one_buffer(d, data(d), 0xffffffff);
}

/* Each buffer is in memory, all of them together pass what a chain may have. */
static void make_chain_over_4g(struct device *d)
{
	for (unsigned int i = 0; i < 3; i++)
		set_desc(d, i, HIGH_RAM / 64, 0x60000000, i < 2 ? NEXT | WRITE : WRITE, i + 1);
	publish(d, 0);
}

static void make_across_low_end(struct device *d)
{
	one_buffer(d, low_end - 8, 16);
}

static void make_from_slot_to_slot(struct device *d)
{
	one_buffer(d, low_end - 16, (uint32_t)(HIGH_RAM - low_end + 32));
}

static void make_across_high_end(struct device *d)
{
	one_buffer(d, high_end - 1, 2);
}

static void make_in_hole(struct device *d)
{
	one_buffer(d, low_end + 0x10000000, 512);
}

static void make_in_bar(struct device *d)
{
	one_buffer(d, d->common, 16);
}

static void make_in_config_space(struct device *d)
{
	one_buffer(d, ECAM, 512);
}

static void make_in_lapic(struct device *d)
{
	one_buffer(d, LAPIC, 512);
}

static void make_above_memory(struct device *d)
{
	one_buffer(d, high_end, 1);
}

static void make_far_above_memory(struct device *d)
{
	one_buffer(d, 1ULL << 60, 512);
}

static void make_wraps_around(struct device *d)
{
	one_buffer(d, 0xffffffffffffff00ULL, 0x200);
}

static void make_read_after_write(struct device *d)
{
	set_desc(d, 0, data(d), 16, NEXT | WRITE, 1);
	set_desc(d, 1, data(d), 16, NEXT, 2);
	set_desc(d, 2, data(d) + 64, 1, WRITE, 0);
	publish(d, 0);
}

/* ------------------------------------------------------------------------- */
/* Indirect tables                                                            */

static uint64_t table_at(const struct device *d)
{
	return (uint64_t)d->data + DATA_SIZE / 2;
}

/* Descriptor 0 points to a table of nr entries, and says that it has len bytes. */
static void table(struct device *d, const struct vring_desc *entries, size_t nr, uint32_t len,
		  uint16_t flags)
{
	memcpy((void *)table_at(d), entries, nr * sizeof(*entries));
	set_desc(d, 0, table_at(d), len, flags, 1);
	publish(d, 0);
}

static void table_of_one(struct device *d, uint32_t len, uint16_t flags)
{
	const struct vring_desc entry = {data(d), 16, WRITE, 0};

	table(d, &entry, 1, len, flags);
}

static void make_table_and_next(struct device *d)
{
	set_desc(d, 1, data(d), 16, WRITE, 0);
	table_of_one(d, 16, INDIRECT | NEXT);
}

static void make_table_in_table(struct device *d)
{
	const struct vring_desc entry = {table_at(d), 16, INDIRECT, 0};

	table(d, &entry, 1, 16, INDIRECT);
}

static void make_table_empty(struct device *d)
{
	table_of_one(d, 0, INDIRECT);
}

static void make_table_odd(struct device *d)
{
	table_of_one(d, 24, INDIRECT);
}

static void make_table_huge(struct device *d)
{
	table_of_one(d, 0xfffffff0, INDIRECT);
}

static void make_table_too_long(struct device *d)
{
	static struct vring_desc entries[1024];
	const size_t nr = ARRAY_SIZE(entries);

	for (size_t i = 0; i < nr; i++)
		entries[i] = (struct vring_desc){data(d), 1, i < nr - 1 ? WRITE | NEXT : WRITE,
						 (uint16_t)(i + 1)};
	table(d, entries, nr, sizeof(entries), INDIRECT);
}

static void make_table_loop(struct device *d)
{
	const struct vring_desc entries[] = {
		{data(d), 16, WRITE | NEXT, 1},
		{data(d), 16, WRITE | NEXT, 0},
	};

	table(d, entries, 2, sizeof(entries), INDIRECT);
}

static void make_table_next_outside(struct device *d)
{
	const struct vring_desc entry = {data(d), 16, WRITE | NEXT, 1};

	table(d, &entry, 1, 16, INDIRECT);
}

static void make_table_nowhere(struct device *d)
{
	set_desc(d, 0, low_end + 0x1000, 64, INDIRECT, 0);
	publish(d, 0);
}

static void make_table_across_end(struct device *d)
{
	set_desc(d, 0, low_end - 16, 64, INDIRECT, 0);
	publish(d, 0);
}

static void make_table_not_agreed(struct device *d)
{
	table_of_one(d, 16, INDIRECT);
}

static void table_not_agreed(void)
{
	breaks_with(0, make_table_not_agreed);
}

/* ------------------------------------------------------------------------- */
/* Requests that have no place for an answer                                  */

static void breaks_disk(void (*make)(void))
{
	device_start(&disk, 0);
	make();
	kick(&disk);
	wait_needs_reset(&disk);
}

static void make_no_status(void)
{
	set_desc(&disk, 0, data(&disk), 16, 0, 0);
	publish(&disk, 0);
}

static void make_no_header(void)
{
	one_buffer(&disk, data(&disk), 512);
}

static void make_short_header(void)
{
	set_desc(&disk, 0, data(&disk), 15, NEXT, 1);
	set_desc(&disk, 1, data(&disk) + 64, 1, WRITE, 0);
	publish(&disk, 0);
}

static void request_no_status(void)
{
	breaks_disk(make_no_status);
}

static void request_no_header(void)
{
	breaks_disk(make_no_header);
}

static void request_short_header(void)
{
	breaks_disk(make_short_header);
}

/* ------------------------------------------------------------------------- */

/* A case for each function that makes something which any device must refuse. */
#define CASES(X)              \
	X(loop_of_one)        \
	X(loop_of_all)        \
	X(loop_at_end)        \
	X(head_outside)       \
	X(head_far_outside)   \
	X(next_outside)       \
	X(next_far_outside)   \
	X(index_jumps)        \
	X(index_jumps_far)    \
	X(index_goes_back)    \
	X(index_wraps_early)  \
	X(length_zero)        \
	X(length_huge)        \
	X(chain_over_4g)      \
	X(across_low_end)     \
	X(from_slot_to_slot)  \
	X(across_high_end)    \
	X(in_hole)            \
	X(in_bar)             \
	X(in_config_space)    \
	X(in_lapic)           \
	X(above_memory)       \
	X(far_above_memory)   \
	X(wraps_around)       \
	X(read_after_write)   \
	X(table_and_next)     \
	X(table_in_table)     \
	X(table_empty)        \
	X(table_odd)          \
	X(table_huge)         \
	X(table_too_long)     \
	X(table_loop)         \
	X(table_next_outside) \
	X(table_nowhere)      \
	X(table_across_end)

#define RUN(name)                    \
	static void name(void)       \
	{                            \
		breaks(make_##name); \
	}
CASES(RUN)

#define ENTRY(name) {#name, name, ENDS_WELL},
static const struct hostile_case cases[] = {
	CASES(ENTRY){"table_not_agreed", table_not_agreed, ENDS_WELL},
	{"request_no_status", request_no_status, ENDS_WELL},
	{"request_no_header", request_no_header, ENDS_WELL},
	{"request_short_header", request_short_header, ENDS_WELL},
};

const struct case_group chain_cases = {cases, ARRAY_SIZE(cases)};
