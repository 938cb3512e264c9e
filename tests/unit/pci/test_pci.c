// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the PCI bus and of MSI-X: both ways to configuration space, what a
 * guest may change there, where BARs are decoded, masks and pending bits.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "pci/msix.h"
#include "pci/pci.h"
#include "platform/bus.h"
#include "platform/layout.h"
#include "suite.h"

#define MEM32_SIZE 0x4000
#define MEM64_SIZE 0x100000
#define IO_SIZE	   16

struct device {
	struct pci_dev pci;
	struct msix msix;
	unsigned int last_bar;
	uint64_t last_offset, last_value;
	unsigned int last_size;
	unsigned int mapped_calls, unmapped_calls;
};

static struct bus *pio, *mmio;
static struct pci_host *host;
static struct error error;

/* A device with one BAR of each kind: 0 I/O, 1 32-bit, 2 and 3 64-bit. */

static uint64_t dev_read(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size)
{
	struct device *d = (struct device *)pci;

	d->last_bar = bar;
	d->last_offset = offset;
	d->last_size = size;
	return 0x1122334455667788ULL;
}

static void dev_write(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct device *d = (struct device *)pci;

	d->last_bar = bar;
	d->last_offset = offset;
	d->last_size = size;
	d->last_value = value;
}

static void dev_mapped(struct pci_dev *pci, unsigned int bar, uint64_t addr, bool mapped)
{
	struct device *d = (struct device *)pci;

	(void)bar;
	(void)addr;
	d->mapped_calls += mapped;
	d->unmapped_calls += !mapped;
}

static const struct pci_ops dev_ops = {
	.bar_read = dev_read,
	.bar_write = dev_write,
	.bar_mapped = dev_mapped,
};

static const struct pci_id dev_id = {
	.vendor = 0x1234,
	.device = 0x5678,
	.sub_vendor = 0x9abc,
	.sub_device = 0xdef0,
	.class = 0x018000,
	.revision = 7,
};

static void init_device(struct device *d)
{
	memset(d, 0, sizeof(*d));
	pci_dev_init(&d->pci, &dev_id, &dev_ops);
	pci_set_bar(&d->pci, 0, PCI_BAR_IO, IO_SIZE);
	pci_set_bar(&d->pci, 1, PCI_BAR_MEM32, MEM32_SIZE);
	pci_set_bar(&d->pci, 2, PCI_BAR_MEM64, MEM64_SIZE);
}

static void add_device(struct device *d)
{
	init_device(d);
	ck_assert_int_eq(pci_add(host, &d->pci, &error), 0);
}

static void set_up(void)
{
	pio = bus_create();
	mmio = bus_create();
	host = pci_host_create(pio, mmio, &error);
	ck_assert_ptr_nonnull(host);
}

static void tear_down(void)
{
	pci_host_destroy(host);
	bus_destroy(pio);
	bus_destroy(mmio);
}

/* ------------------------------------------------------------------------- */
/* Access                                                                     */

static uint64_t in(struct bus *bus, uint64_t addr, unsigned int size)
{
	uint64_t value;

	bus_read(bus, addr, size, &value);
	return value;
}

static uint32_t cf8_read(unsigned int slot, unsigned int reg, unsigned int size)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
	return in(pio, 0xcfc + (reg & 3), size);
}

static void cf8_write(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
	bus_write(pio, 0xcfc + (reg & 3), size, value);
}

static uint64_t ecam(unsigned int slot, unsigned int reg)
{
	return LAYOUT_ECAM + (slot << 15) + reg;
}

static uint32_t rd(unsigned int slot, unsigned int reg, unsigned int size)
{
	return in(mmio, ecam(slot, reg), size);
}

static void wr(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value)
{
	bus_write(mmio, ecam(slot, reg), size, value);
}

START_TEST(both_ways_agree)
{
	struct device d;

	add_device(&d);
	ck_assert_uint_eq(rd(1, PCI_VENDOR_ID, 4), 0x56781234);
	ck_assert_uint_eq(rd(1, PCI_CLASS_REVISION, 4), 0x01800007);
	ck_assert_uint_eq(rd(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	for (unsigned int reg = 0; reg < 256; reg += 4)
		ck_assert_uint_eq(rd(1, reg, 4), cf8_read(1, reg, 4));
	/* Byte lanes */
	ck_assert_uint_eq(cf8_read(1, 0, 1), 0x34);
	ck_assert_uint_eq(cf8_read(1, 1, 1), 0x12);
	ck_assert_uint_eq(cf8_read(1, 2, 2), 0x5678);
	ck_assert_uint_eq(cf8_read(1, 3, 1), 0x56);
	ck_assert_uint_eq(rd(1, 3, 1), 0x56);
	cf8_write(1, PCI_INTERRUPT_LINE, 1, 0x5a);
	ck_assert_uint_eq(rd(1, PCI_INTERRUPT_LINE, 4), 0x5a);
	/* Eight bytes at once through ECAM */
	ck_assert_uint_eq(in(mmio, ecam(1, 0), 8) & 0xffffffff, 0x56781234);
	pci_remove(host, &d.pci);
}
END_TEST

static uint8_t cf9;

static uint64_t cf9_read(void *dev, uint64_t offset, unsigned int size)
{
	ck_assert_ptr_eq(dev, &cf9);
	ck_assert_uint_eq(offset, 0);
	ck_assert_uint_eq(size, 1);
	return cf9;
}

static void cf9_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	cf9_read(dev, offset, size);
	cf9 = (uint8_t)value;
}

/* A byte there is somebody else's, everything else is CONFIG_ADDRESS. */
START_TEST(another_in_the_address_register)
{
	static const struct bus_ops ops = {cf9_read, cf9_write};

	bus_write(pio, 0xcf9, 1, 0x06);
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0xff);
	pci_host_set_cf9(host, &ops, &cf9);
	cf9 = 0x02;
	ck_assert_uint_eq(in(pio, 0xcf9, 1), 0x02);
	bus_write(pio, 0xcf9, 1, 0x04);
	ck_assert_uint_eq(cf9, 0x04);
	bus_write(pio, 0xcf8, 4, 0x80000800);
	bus_write(pio, 0xcf8, 1, 0x01);
	bus_write(pio, 0xcf8, 2, 0x0101);
	bus_write(pio, 0xcfa, 1, 0x01);
	bus_write(pio, 0xcfd, 1, 0x01);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80000800);
	ck_assert_uint_eq(cf9, 0x04);
}
END_TEST

START_TEST(address_register)
{
	/* Linux decides by this whether CF8/CFC exists. */
	bus_write(pio, 0xcfb, 1, 1);
	bus_write(pio, 0xcf8, 4, 0x80000000);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80000000);
	bus_write(pio, 0xcf8, 4, 0xffffffff);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80fffffc);
	/* Only whole accesses count. */
	bus_write(pio, 0xcf8, 2, 0);
	bus_write(pio, 0xcf9, 1, 0x06);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0x80fffffc);
	ck_assert_uint_eq(in(pio, 0xcf8, 1), 0xff);
	/* Not enabled: nothing is selected. */
	bus_write(pio, 0xcf8, 4, 0);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcfc, 4, 0);
}
END_TEST

START_TEST(nobody_there)
{
	struct device d;

	add_device(&d);
	ck_assert_uint_eq(rd(0, PCI_CLASS_DEVICE, 2), 0x0600);
	ck_assert_uint_eq(rd(2, 0, 4), 0xffffffff);
	ck_assert_uint_eq(cf8_read(31, 0, 4), 0xffffffff);
	/* Other functions and buses */
	ck_assert_uint_eq(in(mmio, ecam(1, 0x1000), 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x80000000u | 1 << 11 | 1 << 8);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x80000000u | 1 << 16);
	ck_assert_uint_eq(in(pio, 0xcfc, 4), 0xffffffff);
	/* No extended capabilities; the last bytes of a function, and across its end */
	ck_assert_uint_eq(rd(1, 0x100, 4), 0);
	ck_assert_uint_eq(rd(1, 0xffc, 4), 0);
	ck_assert_uint_eq(rd(1, 0xffe, 4), 0xffffffff);
	ck_assert_uint_eq(rd(1, 0xfe, 4), 0);
	wr(1, 0xffe, 4, 0xffffffff);
	wr(1, 0x100, 4, 0xffffffff);
	wr(1, 0xfc, 4, 0xffffffff);
	wr(2, 0, 4, 0xffffffff);
	ck_assert_uint_eq(rd(1, 0xfc, 4), 0);
	pci_remove(host, &d.pci);
	ck_assert_uint_eq(rd(1, 0, 4), 0xffffffff);
}
END_TEST

/* Whatever is written, with whatever width, only these bits ever change. */
START_TEST(write_masks)
{
	static const struct {
		unsigned int reg;
		uint32_t mask;
	} writable[] = {
		{PCI_COMMAND, 0x0007},
		{PCI_CACHE_LINE_SIZE, 0xff},
		{PCI_BASE_ADDRESS_0, 0xfffffff0},
		{PCI_BASE_ADDRESS_1, ~(MEM32_SIZE - 1u)},
		{PCI_BASE_ADDRESS_2, ~(MEM64_SIZE - 1u)},
		{PCI_BASE_ADDRESS_3, 0xffffffff},
		{PCI_INTERRUPT_LINE, 0xff},
	};
	static const uint32_t pattern[] = {0xffffffff, 0, 0xa5a5a5a5, 0x5a5a5a5a};
	uint32_t before[64], mask[64] = {0};
	struct device d;

	add_device(&d);
	for (unsigned int i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		mask[writable[i].reg / 4] |= writable[i].mask << (writable[i].reg % 4 * 8);
	for (unsigned int i = 0; i < 64; i++)
		before[i] = rd(1, i * 4, 4);

	for (unsigned int p = 0; p < 4; p++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			for (unsigned int reg = 0; reg < 256; reg += size)
				wr(1, reg, size, pattern[p]);
			for (unsigned int i = 0; i < 64; i++) {
				uint32_t now = rd(1, i * 4, 4);
				uint32_t set =
					size == 1 ? (pattern[p] & 0xff) * 0x01010101u : pattern[p];

				if (size == 2)
					set = (pattern[p] & 0xffff) * 0x10001u;
				ck_assert_uint_eq(now & ~mask[i], before[i] & ~mask[i]);
				ck_assert_uint_eq(now & mask[i], set & mask[i]);
			}
		}
	}
	pci_remove(host, &d.pci);
}
END_TEST

START_TEST(capabilities)
{
	struct device d;
	unsigned int a, b;

	init_device(&d);
	ck_assert_uint_eq(pci_config_get(&d.pci, PCI_STATUS, 2), 0);
	a = pci_add_cap(&d.pci, PCI_CAP_ID_VNDR, 17);
	b = pci_add_cap(&d.pci, PCI_CAP_ID_MSIX, 12);
	ck_assert_int_eq(pci_add(host, &d.pci, &error), 0);
	ck_assert_uint_eq(rd(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	ck_assert_uint_eq(rd(1, PCI_CAPABILITY_LIST, 1), a);
	ck_assert_uint_eq(a, 0x40);
	ck_assert_uint_eq(b, 0x40 + 20);
	ck_assert_uint_eq(rd(1, a, 2), b << 8 | PCI_CAP_ID_VNDR);
	ck_assert_uint_eq(rd(1, b, 2), PCI_CAP_ID_MSIX);
	pci_remove(host, &d.pci);
}
END_TEST

START_TEST(no_slot_left)
{
	struct device *d = calloc(PCI_MAX_DEVICES, sizeof(*d));

	for (unsigned int i = 0; i < PCI_MAX_DEVICES - 1; i++) {
		pci_dev_init(&d[i].pci, &dev_id, &dev_ops);
		ck_assert_int_eq(pci_add(host, &d[i].pci, &error), 0);
	}
	pci_dev_init(&d[31].pci, &dev_id, &dev_ops);
	ck_assert_int_lt(pci_add(host, &d[31].pci, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "31 PCI devices"));
	/* Not there, so nothing happens. */
	pci_remove(host, &d[31].pci);
	for (unsigned int i = 0; i < PCI_MAX_DEVICES - 1; i++)
		pci_remove(host, &d[i].pci);
	free(d);
}
END_TEST

START_TEST(slot_of_its_own_choice)
{
	struct device d[4];

	for (unsigned int i = 0; i < 4; i++)
		init_device(&d[i]);
	d[0].pci.slot = 7;
	d[1].pci.slot = 31;
	d[2].pci.slot = 7;
	ck_assert_int_eq(pci_add(host, &d[0].pci, &error), 0);
	ck_assert_int_eq(pci_add(host, &d[1].pci, &error), 0);
	ck_assert_uint_eq(rd(7, 0, 2), dev_id.vendor);
	ck_assert_uint_eq(rd(31, 0, 2), dev_id.vendor);
	/* Taken, or none. */
	ck_assert_int_lt(pci_add(host, &d[2].pci, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "PCI device 7"));
	d[2].pci.slot = 32;
	ck_assert_int_lt(pci_add(host, &d[2].pci, &error), 0);
	/* Those who do not care stay out of the way. */
	ck_assert_uint_eq(rd(1, 0, 4), 0xffffffff);
	ck_assert_int_eq(pci_add(host, &d[3].pci, &error), 0);
	ck_assert_uint_eq(rd(1, 0, 2), dev_id.vendor);
	for (unsigned int i = 0; i < 4; i++)
		pci_remove(host, &d[i].pci);
}
END_TEST

START_TEST(no_address_left)
{
	struct device d;

	init_device(&d);
	pci_set_bar(&d.pci, 1, PCI_BAR_MEM32, 0x40000000);
	ck_assert_int_lt(pci_add(host, &d.pci, &error), 0);
	ck_assert_uint_eq(rd(1, 0, 4), 0xffffffff);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* BARs                                                                       */

static uint64_t bar_addr(unsigned int slot, unsigned int bar)
{
	uint32_t low = rd(slot, PCI_BASE_ADDRESS_0 + bar * 4, 4);

	if (low & PCI_BASE_ADDRESS_SPACE_IO)
		return low & ~3u;
	return low & ~15u;
}

static void set_bar(unsigned int slot, unsigned int bar, uint32_t value)
{
	wr(slot, PCI_BASE_ADDRESS_0 + bar * 4, 4, value);
}

START_TEST(assigned_addresses)
{
	struct device d[3];

	for (unsigned int i = 0; i < 3; i++)
		add_device(&d[i]);
	for (unsigned int slot = 1; slot <= 3; slot++) {
		for (unsigned int bar = 0; bar < 3; bar++) {
			uint64_t addr = bar_addr(slot, bar);
			uint64_t size = d[0].pci.bar[bar].size;

			ck_assert_uint_eq(addr % size, 0);
			if (bar == 0) {
				ck_assert_uint_ge(addr, PORT_PCI_IO);
				ck_assert_uint_le(addr + size, PORT_PCI_IO + PORT_PCI_IO_LEN);
			} else {
				ck_assert_uint_ge(addr, LAYOUT_PCI_MMIO);
				ck_assert_uint_le(addr + size,
						  LAYOUT_PCI_MMIO + LAYOUT_PCI_MMIO_LEN);
			}
			if (slot > 1)
				ck_assert_uint_ge(addr, bar_addr(slot - 1, bar) + size);
		}
		ck_assert_uint_eq(rd(slot, PCI_BASE_ADDRESS_0, 1) & 3, 1);
		ck_assert_uint_eq(rd(slot, PCI_BASE_ADDRESS_1, 1) & 15, 0);
		ck_assert_uint_eq(rd(slot, PCI_BASE_ADDRESS_2, 1) & 15, 4);
	}
	for (unsigned int i = 0; i < 3; i++)
		pci_remove(host, &d[i].pci);
}
END_TEST

START_TEST(sizing)
{
	struct device d;
	uint32_t old;

	add_device(&d);
	for (unsigned int on = 0; on < 2; on++) {
		/* With and without decoding on: neither may upset anything. */
		wr(1, PCI_COMMAND, 2, on ? 3 : 0);
		old = rd(1, PCI_BASE_ADDRESS_0, 4);
		set_bar(1, 0, 0xffffffff);
		ck_assert_uint_eq(rd(1, PCI_BASE_ADDRESS_0, 4), 0xfffffff1);
		set_bar(1, 0, old);
		old = rd(1, PCI_BASE_ADDRESS_1, 4);
		set_bar(1, 1, 0xffffffff);
		ck_assert_uint_eq(rd(1, PCI_BASE_ADDRESS_1, 4), ~(MEM32_SIZE - 1u));
		set_bar(1, 1, old);
		old = rd(1, PCI_BASE_ADDRESS_2, 4);
		set_bar(1, 2, 0xffffffff);
		set_bar(1, 3, 0xffffffff);
		ck_assert_uint_eq(rd(1, PCI_BASE_ADDRESS_2, 4), ~(MEM64_SIZE - 1u) | 4);
		ck_assert_uint_eq(rd(1, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
		set_bar(1, 2, old);
		set_bar(1, 3, 0);
		/* Registers of no BAR */
		set_bar(1, 4, 0xffffffff);
		ck_assert_uint_eq(rd(1, PCI_BASE_ADDRESS_4, 4), 0);
		wr(1, PCI_ROM_ADDRESS, 4, 0xffffffff);
		ck_assert_uint_eq(rd(1, PCI_ROM_ADDRESS, 4), 0);
	}
	ck_assert(d.pci.bar[0].mapped && d.pci.bar[1].mapped && d.pci.bar[2].mapped);
	pci_remove(host, &d.pci);
}
END_TEST

START_TEST(decoding)
{
	struct device d;
	uint64_t value, port, mem;

	add_device(&d);
	port = bar_addr(1, 0);
	mem = bar_addr(1, 1);
	ck_assert(!bus_read(pio, port, 4, &value));
	ck_assert(!bus_read(mmio, mem, 4, &value));

	wr(1, PCI_COMMAND, 2, PCI_COMMAND_IO);
	ck_assert(bus_read(pio, port + 4, 2, &value));
	ck_assert_uint_eq(value, 0x7788);
	ck_assert_uint_eq(d.last_bar, 0);
	ck_assert_uint_eq(d.last_offset, 4);
	ck_assert_uint_eq(d.last_size, 2);
	ck_assert(!bus_read(mmio, mem, 4, &value));

	wr(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert(!bus_read(pio, port, 4, &value));
	ck_assert(bus_write(mmio, mem + MEM32_SIZE - 8, 8, 0xfeedULL << 40));
	ck_assert_uint_eq(d.last_bar, 1);
	ck_assert_uint_eq(d.last_offset, MEM32_SIZE - 8);
	ck_assert_uint_eq(d.last_value, 0xfeedULL << 40);
	ck_assert(bus_read(mmio, bar_addr(1, 2), 8, &value));
	ck_assert_uint_eq(d.last_bar, 2);
	ck_assert_uint_eq(value, 0x1122334455667788ULL);

	pci_remove(host, &d.pci);
	ck_assert(!bus_read(mmio, mem, 4, &value));
	ck_assert_uint_eq(d.mapped_calls, 3);
	ck_assert_uint_eq(d.unmapped_calls, 3);
}
END_TEST

START_TEST(moving)
{
	struct device d;
	uint64_t value, old;

	add_device(&d);
	wr(1, PCI_COMMAND, 2, 3);
	old = bar_addr(1, 1);
	set_bar(1, 1, 0xd0000000);
	ck_assert(!bus_read(mmio, old, 4, &value));
	ck_assert(bus_read(mmio, 0xd0000000, 4, &value));
	/* Byte by byte: each step is a place of its own. */
	wr(1, PCI_BASE_ADDRESS_1 + 3, 1, 0xd8);
	ck_assert(!bus_read(mmio, 0xd0000000, 4, &value));
	ck_assert(bus_read(mmio, 0xd8000000, 4, &value));
	/* Above 4 GiB */
	set_bar(1, 3, 0x12);
	ck_assert(bus_read(mmio, (0x12ULL << 32) | bar_addr(1, 2), 4, &value));
	ck_assert_uint_eq(d.last_bar, 2);
	ck_assert(!bus_read(mmio, bar_addr(1, 2), 4, &value));
	pci_remove(host, &d.pci);
}
END_TEST

START_TEST(impossible_places)
{
	static const uint32_t mem[] = {LAYOUT_ECAM, LAYOUT_ECAM + 0x4000, 0, 0xffffc000};
	struct device d;
	uint64_t value;

	add_device(&d);
	wr(1, PCI_COMMAND, 2, 3);
	for (unsigned int i = 0; i < 4; i++) {
		set_bar(1, 1, mem[i]);
		/* The top of the address space below 4 GiB is as good as any. */
		ck_assert(d.pci.bar[1].mapped == (i == 3));
	}
	/* Configuration space still answers, and the device can be put right again. */
	ck_assert_uint_eq(rd(1, 0, 4), 0x56781234);
	set_bar(1, 1, 0xd0000000);
	ck_assert(bus_read(mmio, 0xd0000000, 4, &value));

	/* Ports: on the configuration ports, and where there are none */
	set_bar(1, 0, 0xcf0);
	ck_assert(!d.pci.bar[0].mapped);
	ck_assert_uint_eq(cf8_read(1, 0, 4), 0x56781234);
	set_bar(1, 0, 0xfff0);
	ck_assert(d.pci.bar[0].mapped);
	set_bar(1, 0, 0x10000);
	ck_assert(!d.pci.bar[0].mapped);
	set_bar(1, 0, 0xfffffff0);
	ck_assert(!d.pci.bar[0].mapped);

	/* A 64-bit BAR that ends beyond the address space */
	set_bar(1, 3, 0xffffffff);
	set_bar(1, 2, 0xfff00000);
	pci_remove(host, &d.pci);
}
END_TEST

/* Two BARs in one place: the first one there has it, the other gets it when it goes. */
START_TEST(in_each_others_way)
{
	struct device a, b;
	uint64_t value;

	add_device(&a);
	add_device(&b);
	set_bar(1, 1, 0xd0000000);
	set_bar(2, 1, 0xd0000000);
	wr(1, PCI_COMMAND, 2, 2);
	wr(2, PCI_COMMAND, 2, 2);
	ck_assert(a.pci.bar[1].mapped && !b.pci.bar[1].mapped);
	a.last_size = b.last_size = 0;
	ck_assert(bus_read(mmio, 0xd0000000, 4, &value));
	ck_assert_uint_eq(a.last_size, 4);
	set_bar(1, 1, 0xd8000000);
	ck_assert(a.pci.bar[1].mapped && b.pci.bar[1].mapped);
	ck_assert(bus_read(mmio, 0xd0000000, 4, &value));
	ck_assert_uint_eq(b.last_size, 4);
	pci_remove(host, &a.pci);
	pci_remove(host, &b.pci);
}
END_TEST

/* Random writes anywhere in configuration space: nothing but the masks matters. */
START_TEST(random_config_writes)
{
	struct device d[2];
	uint64_t value;

	srandom(1);
	add_device(&d[0]);
	add_device(&d[1]);
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int size = 1u << random() % 4;
		uint64_t bits = (uint64_t)random() << 33 ^ (uint64_t)random() << 2 ^ random();

		bus_write(mmio, LAYOUT_ECAM + random() % (4 * 0x8000), size, bits);
		bus_write(pio, 0xcf8 + random() % 8, size, bits);
		bus_read(mmio, LAYOUT_ECAM + random() % (4 * 0x8000), size, &value);
		bus_read(pio, 0xcf8 + random() % 8, size, &value);
	}
	ck_assert_uint_eq(rd(1, 0, 4), 0x56781234);
	pci_remove(host, &d[0].pci);
	pci_remove(host, &d[1].pci);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* MSI-X                                                                      */

static struct {
	unsigned int sent;
	uint64_t addr;
	uint32_t data;
	int bound_fd;
	unsigned int binds, unbinds;
	int bind_result;
} sink;

static int sink_send(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	sink.sent++;
	sink.addr = addr;
	sink.data = data;
	return 1;
}

static int sink_bind(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	(void)ctx;
	sink.binds++;
	if (sink.bind_result)
		return sink.bind_result;
	sink.bound_fd = fd;
	sink.addr = addr;
	sink.data = data;
	return 0;
}

static int sink_unbind(void *ctx, int fd)
{
	(void)ctx;
	ck_assert_int_eq(fd, sink.bound_fd);
	sink.unbinds++;
	sink.bound_fd = -1;
	return 0;
}

static const struct msi_sink fake_sink = {
	.send = sink_send, .bind = sink_bind, .unbind = sink_unbind};

/* How often was the eventfd signalled since the last time? */
static uint64_t signals(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static struct device msix_dev;

static void msix_set_up(void)
{
	set_up();
	memset(&sink, 0, sizeof(sink));
	sink.bound_fd = -1;
	/* With nothing on standard input its number is as good as any. */
	close(STDIN_FILENO);
	init_device(&msix_dev);
	ck_assert_int_eq(msix_init(&msix_dev.msix, &msix_dev.pci, &fake_sink, 2, 1, 0x3000, &error),
			 0);
	ck_assert_int_eq(pci_add(host, &msix_dev.pci, &error), 0);
}

static void msix_tear_down(void)
{
	pci_remove(host, &msix_dev.pci);
	msix_fini(&msix_dev.msix);
	tear_down();
}

static void control(uint16_t value)
{
	struct msix *m = &msix_dev.msix;

	wr(1, m->cap + PCI_MSIX_FLAGS, 2, value);
	msix_config_written(m, &msix_dev.pci);
}

static void set_entry(unsigned int vector, uint64_t addr, uint32_t data, uint32_t ctrl)
{
	struct msix *m = &msix_dev.msix;

	msix_write(m, vector * 16, 4, addr & 0xffffffff);
	msix_write(m, vector * 16 + 4, 4, addr >> 32);
	msix_write(m, vector * 16 + 8, 4, data);
	msix_write(m, vector * 16 + 12, 4, ctrl);
}

START_TEST(msix_capability)
{
	struct msix *m = &msix_dev.msix;

	ck_assert_uint_eq(rd(1, m->cap, 1), PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(rd(1, m->cap + 2, 2), 1); /* two vectors */
	ck_assert_uint_eq(rd(1, m->cap + 4, 4), 0x3001);
	ck_assert_uint_eq(rd(1, m->cap + 8, 4), 0x3801);
	wr(1, m->cap, 4, 0xffffffff);
	wr(1, m->cap + 4, 4, 0xffffffff);
	ck_assert_uint_eq(rd(1, m->cap, 4) >> 16, 0xc001);
	ck_assert_uint_eq(rd(1, m->cap + 4, 4), 0x3001);
}
END_TEST

START_TEST(msix_table)
{
	struct msix *m = &msix_dev.msix;

	/* Entries are masked at first. */
	ck_assert_uint_eq(msix_read(m, 12, 4), 1);
	ck_assert_uint_eq(msix_read(m, 28, 4), 1);
	set_entry(1, 0x12345678fee00fffULL, 0x4041, 0xffffffff);
	ck_assert_uint_eq(msix_read(m, 16, 8), 0x12345678fee00ffcULL);
	ck_assert_uint_eq(msix_read(m, 24, 4), 0x4041);
	ck_assert_uint_eq(msix_read(m, 28, 4), 1);
	msix_write(m, 24, 8, 0x55);
	ck_assert_uint_eq(msix_read(m, 24, 8), 0x55);
	/* Odd accesses, entries that do not exist, read-only pending bits */
	ck_assert_uint_eq(msix_read(m, 2, 4), 0);
	ck_assert_uint_eq(msix_read(m, 0, 2), 0);
	ck_assert_uint_eq(msix_read(m, 32, 8), 0);
	ck_assert_uint_eq(msix_read(m, MSIX_REGION - 8, 8), 0);
	msix_write(m, 32, 4, 1);
	msix_write(m, MSIX_REGION - 4, 4, 1);
	msix_write(m, MSIX_PBA, 4, 0xffffffff);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 8), 0);
	ck_assert_uint_eq(sink.binds, 0);
}
END_TEST

START_TEST(msix_masking)
{
	struct msix *m = &msix_dev.msix;
	int fd = m->vector[0].fd;

	/* Off: nothing is sent and nothing remembered. */
	set_entry(0, 0xfee00000, 0x40, 0);
	msix_notify(m, 0);
	ck_assert_uint_eq(signals(fd), 0);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 4), 0);
	ck_assert_uint_eq(sink.binds, 0);

	control(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_int_eq(sink.bound_fd, fd);
	ck_assert_uint_eq(sink.addr, 0xfee00000);
	ck_assert_uint_eq(sink.data, 0x40);
	msix_notify(m, 0);
	ck_assert_uint_eq(signals(fd), 1);

	/* Vector mask */
	msix_write(m, 12, 4, 1);
	ck_assert_int_eq(sink.bound_fd, -1);
	msix_notify(m, 0);
	msix_notify(m, 0);
	ck_assert_uint_eq(signals(fd), 0);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 4), 1);
	/* A new message meanwhile: that is the one to be sent. */
	msix_write(m, 8, 4, 0x41);
	ck_assert_uint_eq(sink.binds, 1);
	msix_write(m, 12, 4, 0);
	ck_assert_int_eq(sink.bound_fd, fd);
	ck_assert_uint_eq(sink.data, 0x41);
	ck_assert_uint_eq(signals(fd), 1);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 4), 0);

	/* Function mask */
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	ck_assert_int_eq(sink.bound_fd, -1);
	msix_notify(m, 0);
	msix_notify(m, 1);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 4), 3);
	control(PCI_MSIX_FLAGS_ENABLE);
	ck_assert_uint_eq(signals(fd), 1);
	/* The other one is masked by its own bit. */
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 4), 2);

	/* Changed while unmasked: bound anew. */
	msix_write(m, 8, 4, 0x42);
	ck_assert_uint_eq(sink.data, 0x42);
	ck_assert_int_eq(sink.bound_fd, fd);
	/* Vectors that do not exist */
	msix_notify(m, 2);
	msix_notify(m, 0xffff);
	control(0);
	ck_assert_int_eq(sink.bound_fd, -1);
}
END_TEST

/* A message that cannot be bound is sent by hand. */
START_TEST(msix_unbindable)
{
	struct msix *m = &msix_dev.msix;

	sink.bind_result = -22;
	control(PCI_MSIX_FLAGS_ENABLE);
	set_entry(0, 0xfee01000, 0x33, 0);
	msix_notify(m, 0);
	ck_assert_uint_eq(sink.sent, 1);
	ck_assert_uint_eq(sink.addr, 0xfee01000);
	ck_assert_uint_eq(sink.data, 0x33);
	ck_assert_uint_eq(signals(m->vector[0].fd), 0);
	/* It was bound, and cannot be any more. */
	sink.bind_result = 0;
	msix_write(m, 8, 4, 0x34);
	ck_assert_int_eq(sink.bound_fd, m->vector[0].fd);
	sink.bind_result = -22;
	msix_write(m, 8, 4, 0x35);
	ck_assert_int_eq(sink.bound_fd, -1);
}
END_TEST

/* As many vectors as there may be: what lies behind the last is neither read nor written. */
START_TEST(msix_last)
{
	struct {
		struct msix msix;
		uint8_t behind[sizeof(struct msix_vector)];
	} x;
	uint8_t ones[sizeof(x.behind)];
	struct msix *m = &x.msix;
	struct device d;
	const uint64_t end = MSIX_MAX_VECTORS * 16;

	memset(ones, 1, sizeof(ones));
	memcpy(x.behind, ones, sizeof(ones));
	init_device(&d);
	ck_assert_int_eq(msix_init(m, &d.pci, &fake_sink, MSIX_MAX_VECTORS, 1, 0, &error), 0);
	msix_write(m, end - 8, 4, 0x77);
	ck_assert_uint_eq(msix_read(m, end - 8, 4), 0x77);
	msix_write(m, end, 8, 0x1234);
	ck_assert_uint_eq(msix_read(m, end, 8), 0);
	m->enabled = true;
	for (unsigned int i = 0; i <= MSIX_MAX_VECTORS; i++)
		msix_notify(m, i);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 8), (1u << MSIX_MAX_VECTORS) - 1);
	memset(x.behind, 0, sizeof(x.behind)); /* not masked */
	msix_notify(m, MSIX_MAX_VECTORS);
	ck_assert_uint_eq(sink.sent, 0);
	memcpy(x.behind, ones, sizeof(ones));
	msix_drop_pending(m);
	ck_assert_uint_eq(msix_read(m, MSIX_PBA, 8), 0);
	ck_assert_mem_eq(x.behind, ones, sizeof(ones));
	msix_fini(m);
	ck_assert_uint_eq(m->nr, 0);
}
END_TEST

/* Behind the entries of a device with fewer, too: no message is bound. */
START_TEST(msix_behind)
{
	struct msix *m = &msix_dev.msix;

	control(PCI_MSIX_FLAGS_ENABLE);
	set_entry(2, 0xfee00000, 0x40, 0);
	ck_assert_uint_eq(sink.binds, 0);
	ck_assert_uint_eq(m->vector[2].addr, 0);
	ck_assert_uint_eq(m->vector[2].data, 0);
}
END_TEST

START_TEST(msix_too_many)
{
	struct device d;

	init_device(&d);
	ck_assert_int_lt(msix_init(&d.msix, &d.pci, &fake_sink, MSIX_MAX_VECTORS + 1, 1, 0, &error),
			 0);
	msix_fini(&d.msix);
}
END_TEST

/* As the firmware that there is not would leave it, whatever the guest has done. */
START_TEST(reset_is_like_new)
{
	uint8_t fresh[PCI_CONFIG_SIZE];
	struct device d;

	add_device(&d);
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
		fresh[reg] = (uint8_t)rd(1, reg, 1);
	wr(1, PCI_BASE_ADDRESS_0, 4, 0x9000);
	wr(1, PCI_COMMAND, 2, 7);
	ck_assert_uint_gt(d.mapped_calls, 0);
	srandom(2);
	for (unsigned int i = 0; i < 1000; i++)
		wr(1, random() % PCI_CONFIG_SIZE, 1, (uint32_t)random());
	wr(0, PCI_INTERRUPT_LINE, 1, 0x5a);
	bus_write(pio, 0xcf8, 4, 0x80000804);
	pci_host_device.reset(host);
	ck_assert_uint_eq(rd(0, PCI_INTERRUPT_LINE, 1), 0);
	ck_assert_uint_eq(in(pio, 0xcf8, 4), 0);
	ck_assert_uint_eq(d.mapped_calls, d.unmapped_calls);
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
		ck_assert_uint_eq(rd(1, reg, 1), fresh[reg]);
	pci_remove(host, &d.pci);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pci");
	TCase *t = tcase_create("bus");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, both_ways_agree);
	tcase_add_test(t, another_in_the_address_register);
	tcase_add_test(t, address_register);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, write_masks);
	tcase_add_test(t, capabilities);
	tcase_add_test(t, no_slot_left);
	tcase_add_test(t, slot_of_its_own_choice);
	tcase_add_test(t, no_address_left);
	tcase_add_test(t, assigned_addresses);
	tcase_add_test(t, sizing);
	tcase_add_test(t, decoding);
	tcase_add_test(t, moving);
	tcase_add_test(t, impossible_places);
	tcase_add_test(t, in_each_others_way);
	tcase_add_test(t, random_config_writes);
	tcase_add_test(t, reset_is_like_new);
	suite_add_tcase(s, t);

	t = tcase_create("msix");
	tcase_add_checked_fixture(t, msix_set_up, msix_tear_down);
	tcase_add_test(t, msix_capability);
	tcase_add_test(t, msix_table);
	tcase_add_test(t, msix_masking);
	tcase_add_test(t, msix_unbindable);
	tcase_add_test(t, msix_last);
	tcase_add_test(t, msix_behind);
	tcase_add_test(t, msix_too_many);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
