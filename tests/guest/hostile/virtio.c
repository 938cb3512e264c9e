// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A virtio driver that keeps the rules (virtio 1.2): finds the devices on the PCI bus, sets them up,
 * makes requests, and tells whether a device is as it should be. The cases break the rules with it.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "hostile.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define PCI_SLOTS      32
#define VIRTIO_VENDOR  0x1af4
#define VIRTIO_DEVICE  0x1040 /* + type */
#define MASTER_AND_ALL (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/* What the script fills the disks with. */
static const char disk_text[] = "hostile-disk\n";

struct device disk, readonly_disk, rng;
struct device *const devices[2] = {&disk, &rng};

/* Rings and buffers of the three devices. */
static uint8_t queue_memory[3][3][4096] __attribute__((aligned(4096)));
static uint8_t data_memory[3][DATA_SIZE] __attribute__((aligned(4096)));

/* ------------------------------------------------------------------------- */
/* Configuration space                                                        */

static void select(unsigned int slot, unsigned int reg)
{
	out32(CONFIG_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
}

uint32_t pci_read(unsigned int slot, unsigned int reg, unsigned int size)
{
	select(slot, reg);
	return port_in(CONFIG_DATA + (reg & 3), size);
}

void pci_write(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value)
{
	select(slot, reg);
	port_out(CONFIG_DATA + (reg & 3), size, value);
}

static void found_virtio_cap(struct device *d, unsigned int cap)
{
	unsigned int bar = pci_read(d->slot, cap + VIRTIO_PCI_CAP_BAR, 1);
	uint32_t offset = pci_read(d->slot, cap + VIRTIO_PCI_CAP_OFFSET, 4);
	uint64_t at = (d->bar[bar] & PCI_BASE_ADDRESS_MEM_MASK) + offset;

	switch (pci_read(d->slot, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = at;
		d->registers_bar = bar;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		if (!(d->bar[bar] & PCI_BASE_ADDRESS_SPACE_IO))
			fail("doorbells are expected to be ports");
		d->doorbell = (uint16_t)((d->bar[bar] & ~3u) + offset);
		d->doorbell_bar = bar;
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		d->isr = at;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d->config = at;
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		d->window_cap = cap;
		break;
	}
}

static void found(struct device *d, unsigned int slot, unsigned int type)
{
	size_t index = d == &disk ? 0 : d == &readonly_disk ? 1 : 2;

	d->slot = slot;
	d->type = type;
	for (unsigned int i = 0; i < 6; i++)
		d->bar[i] = pci_read(slot, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	d->desc = (void *)queue_memory[index][0];
	d->avail = (void *)queue_memory[index][1];
	d->used = (void *)queue_memory[index][2];
	d->data = data_memory[index];

	for (unsigned int cap = pci_read(slot, PCI_CAPABILITY_LIST, 1); cap;
	     cap = pci_read(slot, cap + PCI_CAP_LIST_NEXT, 1)) {
		unsigned int id = pci_read(slot, cap, 1);
		uint32_t table;

		if (id == PCI_CAP_ID_VNDR)
			found_virtio_cap(d, cap);
		if (id != PCI_CAP_ID_MSIX)
			continue;
		table = pci_read(slot, cap + PCI_MSIX_TABLE, 4);
		d->msix_cap = cap;
		d->msix = (d->bar[table & 7] & PCI_BASE_ADDRESS_MEM_MASK) + (table & ~7u);
	}
	if (!d->common || !d->isr || !d->doorbell || !d->msix || !d->window_cap)
		fail("a device lacks one of its structures");
	device_restore(d);
}

void devices_find(void)
{
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		uint32_t id = pci_read(slot, PCI_VENDOR_ID, 4);

		if (id == (VIRTIO_VENDOR | (VIRTIO_DEVICE + VIRTIO_ID_BLOCK) << 16))
			found(disk.common ? &readonly_disk : &disk, slot, VIRTIO_ID_BLOCK);
		if (id == (VIRTIO_VENDOR | (VIRTIO_DEVICE + VIRTIO_ID_RNG) << 16))
			found(&rng, slot, VIRTIO_ID_RNG);
	}
	if (!disk.common || !readonly_disk.common || !rng.common)
		fail("the machine needs two disks and an entropy device");
}

void device_restore(struct device *d)
{
	pci_write(d->slot, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < 6; i++)
		pci_write(d->slot, PCI_BASE_ADDRESS_0 + 4 * i, 4, d->bar[i]);
	pci_write(d->slot, d->msix_cap + PCI_MSIX_FLAGS, 2, 0);
	pci_write(d->slot, PCI_COMMAND, 2, MASTER_AND_ALL);
}

/* ------------------------------------------------------------------------- */
/* The device's registers                                                     */

uint32_t common_read(const struct device *d, unsigned int offset, unsigned int size)
{
	return (uint32_t)mmio_read(d->common + offset, size);
}

void common_write(const struct device *d, unsigned int offset, unsigned int size, uint32_t value)
{
	mmio_write(d->common + offset, size, value);
}

uint8_t device_status(const struct device *d)
{
	return (uint8_t)common_read(d, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void add_status(struct device *d, uint8_t bit)
{
	common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, device_status(d) | bit);
}

void device_reset(struct device *d)
{
	common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	while (device_status(d))
		;
}

void device_negotiate(struct device *d, uint64_t features)
{
	features |= 1ULL << VIRTIO_F_VERSION_1;
	device_reset(d);
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(d, VIRTIO_CONFIG_S_DRIVER);
	for (unsigned int half = 0; half < 2; half++) {
		common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
		common_write(d, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * half));
	}
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(device_status(d) & VIRTIO_CONFIG_S_FEATURES_OK))
		fail("a device does not take its features");
}

void device_queue_registers(struct device *d, uint64_t desc, uint64_t avail, uint64_t used,
			    uint16_t size)
{
	common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	common_write(d, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)desc);
	common_write(d, VIRTIO_PCI_COMMON_Q_DESCHI, 4, desc >> 32);
	common_write(d, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)avail);
	common_write(d, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, avail >> 32);
	common_write(d, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)used);
	common_write(d, VIRTIO_PCI_COMMON_Q_USEDHI, 4, used >> 32);
}

void device_start(struct device *d, uint64_t features)
{
	device_negotiate(d, features);
	memset((void *)d->desc, 0, 4096);
	memset((void *)d->avail, 0, 4096);
	memset((void *)d->used, 0, 4096);
	device_queue_registers(d, (uint64_t)d->desc, (uint64_t)d->avail, (uint64_t)d->used,
			       QUEUE_SIZE);
	common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	if (common_read(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2) != 1)
		fail("a device does not take its queue");
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

void set_desc(struct device *d, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next)
{
	d->desc[i].addr = addr;
	d->desc[i].len = len;
	d->desc[i].flags = flags;
	d->desc[i].next = next;
}

void publish(struct device *d, uint16_t head)
{
	uint16_t idx = d->avail->idx;

	d->avail->ring[idx % QUEUE_SIZE] = head;
	__atomic_store_n(&d->avail->idx, (uint16_t)(idx + 1), __ATOMIC_SEQ_CST);
}

void kick(const struct device *d)
{
	out16(d->doorbell, 0);
}

void wait_used(const struct device *d, uint16_t idx)
{
	while (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) != idx)
		(void)device_status(d);
}

void wait_needs_reset(const struct device *d)
{
	while (!(device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET))
		;
}

void let_it_run(const struct device *d)
{
	for (unsigned int i = 0; i < 200; i++)
		(void)device_status(d);
}

/* Header at data + 0 of 64 bytes for each chain, its status behind it; what is moved at data + 4096. */
void blk_chain(struct device *d, unsigned int at, uint32_t type, uint64_t sector, uint32_t flags,
	       uint32_t len)
{
	struct virtio_blk_outhdr *hdr = (void *)(d->data + 64 * at);
	uint8_t *status = d->data + 64 * at + 32;

	hdr->type = type;
	hdr->ioprio = 0;
	hdr->sector = sector;
	*status = 0xff;
	set_desc(d, at, (uint64_t)hdr, sizeof(*hdr), VRING_DESC_F_NEXT, at + 1);
	set_desc(d, at + 1, (uint64_t)d->data + 4096, len, VRING_DESC_F_NEXT | flags, at + 2);
	set_desc(d, at + 2, (uint64_t)status, 1, VRING_DESC_F_WRITE, 0);
}

uint8_t blk_status(const struct device *d, unsigned int at)
{
	return *(volatile uint8_t *)(d->data + 64 * at + 32);
}

static void sound_read(struct device *d)
{
	uint16_t idx = d->used->idx + 1;
	const size_t period = sizeof(disk_text) - 1;

	memset(d->data + 4096, 0, 2 * SECTOR);
	blk_chain(d, 0, VIRTIO_BLK_T_IN, 1, VRING_DESC_F_WRITE, 2 * SECTOR);
	publish(d, 0);
	kick(d);
	wait_used(d, idx);
	if (blk_status(d, 0) != VIRTIO_BLK_S_OK)
		fail("a sound request to the disk failed");
	for (size_t i = 0; i < 2 * SECTOR; i++) {
		if (d->data[4096 + i] != disk_text[(SECTOR + i) % period])
			fail("the disk does not hold what it should");
	}
}

static void sound_entropy(struct device *d)
{
	uint16_t idx = d->used->idx + 1;
	uint8_t any = 0;

	memset(d->data, 0, 64);
	set_desc(d, 0, (uint64_t)d->data, 64, VRING_DESC_F_WRITE, 0);
	publish(d, 0);
	kick(d);
	wait_used(d, idx);
	for (size_t i = 0; i < 64; i++)
		any |= d->data[i];
	if (!any || d->used->ring[(uint16_t)(idx - 1) % QUEUE_SIZE].len != 64)
		fail("a sound request for entropy failed");
}

void sound_request(struct device *d)
{
	if (d->type == VIRTIO_ID_BLOCK)
		sound_read(d);
	else
		sound_entropy(d);
	if (device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET)
		fail("a device needs a reset after a sound request");
}

void sound(struct device *d)
{
	device_start(d, 0);
	sound_request(d);
	device_reset(d);
}

void all_sound(void)
{
	step("is everything as it was?");
	device_restore(&disk);
	device_restore(&readonly_disk);
	device_restore(&rng);
	sound(&disk);
	sound(&readonly_disk);
	sound(&rng);
}
