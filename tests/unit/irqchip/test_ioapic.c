// SPDX-License-Identifier: GPL-2.0-or-later
/* The I/O APIC: registers, message format, edges, levels, end of interrupt. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "irqchip/ioapic.h"
#include "platform/layout.h"
#include "suite.h"

#define SEL	   LAYOUT_IOAPIC
#define WIN	   (LAYOUT_IOAPIC + 0x10)
#define EOI	   (LAYOUT_IOAPIC + 0x40)

#define LOGICAL	   0x800
#define REMOTE_IRR 0x4000
#define LEVEL	   0x8000
#define MASKED	   0x10000

static struct bus *mmio;
static struct ioapic *io;
static unsigned int sent;
static uint64_t last_addr;
static uint32_t last_data;
static int send_result;

static int record(void *ctx, uint64_t addr, uint32_t data)
{
	ck_assert_ptr_eq(ctx, &sent);
	sent++;
	last_addr = addr;
	last_data = data;
	return send_result;
}

static void set_up(void)
{
	struct msi_sink sink = {.send = record, .ctx = &sent};
	struct error e;

	mmio = bus_create();
	io = ioapic_create(mmio, &sink, &e);
	ck_assert_ptr_nonnull(io);
	sent = 0;
	send_result = 1;
}

static void tear_down(void)
{
	ioapic_destroy(io);
	bus_destroy(mmio);
}

static uint32_t get(unsigned int reg)
{
	uint64_t value;

	ck_assert(bus_write(mmio, SEL, 4, reg));
	ck_assert(bus_read(mmio, WIN, 4, &value));
	return (uint32_t)value;
}

static void put(unsigned int reg, uint32_t value)
{
	ck_assert(bus_write(mmio, SEL, 4, reg));
	ck_assert(bus_write(mmio, WIN, 4, value));
}

static void program(unsigned int pin, uint8_t dest, uint32_t low)
{
	put(0x11 + pin * 2, (uint32_t)dest << 24);
	put(0x10 + pin * 2, low);
}

static void set(unsigned int pin, bool level)
{
	struct irq_line line = ioapic_line(io, pin);

	irq_set(&line, level);
}

START_TEST(registers)
{
	unsigned int pin;
	uint64_t value;

	ck_assert_uint_eq(get(1), 0x00170020);
	put(1, 0xffffffff);
	ck_assert_uint_eq(get(1), 0x00170020);
	put(0, 0xffffffff);
	ck_assert_uint_eq(get(0), 0x0f000000);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		ck_assert_uint_eq(get(0x10 + pin * 2), MASKED);
		ck_assert_uint_eq(get(0x11 + pin * 2), 0);
	}
	/* Read-only and reserved bits stay clear. */
	put(0x10, 0xffffffff);
	ck_assert_uint_eq(get(0x10), 0x0001afff);
	put(0x11, 0xffffffff);
	ck_assert_uint_eq(get(0x11), 0xff000000);
	/* Beyond the last register, and odd places in the page */
	put(0x40, 0xffffffff);
	ck_assert_uint_eq(get(0x40), 0);
	put(0xff, 0xffffffff);
	ck_assert_uint_eq(get(0xff), 0);
	ck_assert(bus_read(mmio, LAYOUT_IOAPIC + 0x20, 4, &value));
	ck_assert_uint_eq(value, 0);
	/* The select register reads back; a byte write does not tear an entry. */
	ck_assert(bus_write(mmio, SEL, 1, 0x12));
	ck_assert(bus_read(mmio, SEL, 4, &value));
	ck_assert_uint_eq(value, 0x12);
	ck_assert(bus_write(mmio, WIN, 1, 0));
	ck_assert_uint_eq(get(0x12), MASKED);
	ck_assert_uint_eq(sent, 0);
}
END_TEST

/* A narrow access gets the low bytes, and no bit more. */
START_TEST(narrow_reads)
{
	uint64_t value;

	put(0x10, 0x10000 | 0xa7ff);
	ck_assert(bus_read(mmio, WIN, 1, &value));
	ck_assert_uint_eq(value, get(0x10) & 0xff);
	ck_assert(bus_read(mmio, WIN, 2, &value));
	ck_assert_uint_eq(value, get(0x10) & 0xffff);
	put(0x10, 0x1ffff);
	ck_assert(bus_read(mmio, WIN, 1, &value));
	ck_assert_uint_eq(value, 0xff);
	ck_assert(bus_read(mmio, WIN, 2, &value));
	ck_assert_uint_le(value, 0xffff);
}
END_TEST

START_TEST(edge)
{
	program(4, 3, 0x31);
	set(4, true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(last_addr, 0xfee03000);
	ck_assert_uint_eq(last_data, 0x4031);
	/* No second edge without a fall; an EOI means nothing. */
	set(4, true);
	ioapic_eoi(io, 0x31);
	ck_assert_uint_eq(sent, 1);
	set(4, false);
	set(4, true);
	ck_assert_uint_eq(sent, 2);
	/* An edge while masked is lost. */
	put(0x18, 0x31 | MASKED);
	set(4, false);
	set(4, true);
	put(0x18, 0x31);
	ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(message_format)
{
	/* lowest priority, logical destination */
	program(5, 0xff, 0x42 | 0x100 | LOGICAL);
	set(5, true);
	ck_assert_uint_eq(last_addr, 0xfeeff00c);
	ck_assert_uint_eq(last_data, 0x4142);
	/* NMI is an edge, whatever the trigger mode says */
	program(6, 1, 0x400 | LEVEL);
	set(6, true);
	ck_assert_uint_eq(last_addr, 0xfee01000);
	ck_assert_uint_eq(last_data, 0x4400);
	ck_assert_uint_eq(get(0x10 + 12) & REMOTE_IRR, 0);
	/* level */
	program(7, 0, 0x50 | LEVEL);
	set(7, true);
	ck_assert_uint_eq(last_data, 0xc050);
}
END_TEST

START_TEST(level)
{
	program(9, 0, 0x60 | LEVEL);
	set(9, true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(get(0x22), 0x60 | LEVEL | REMOTE_IRR);
	/* In service: neither the line nor the mask sends again. */
	set(9, false);
	set(9, true);
	put(0x22, 0x60 | LEVEL | MASKED);
	put(0x22, 0x60 | LEVEL);
	ck_assert_uint_eq(sent, 1);
	/* Another vector's EOI is not ours. */
	ioapic_eoi(io, 0x61);
	ck_assert_uint_eq(sent, 1);
	/* Ours: once more for each, as long as the line is asserted. */
	ioapic_eoi(io, 0x60);
	ck_assert_uint_eq(sent, 2);
	ioapic_eoi(io, 0x60);
	ck_assert_uint_eq(sent, 3);
	set(9, false);
	ioapic_eoi(io, 0x60);
	ck_assert_uint_eq(sent, 3);
	ck_assert_uint_eq(get(0x22), 0x60 | LEVEL);
}
END_TEST

START_TEST(level_waits_for_unmask)
{
	program(10, 0, 0x70 | LEVEL | MASKED);
	set(10, true);
	ck_assert_uint_eq(sent, 0);
	put(0x24, 0x70 | LEVEL);
	ck_assert_uint_eq(sent, 1);
	/* Masked while in service: the EOI does not send, unmasking does. */
	put(0x24, 0x70 | LEVEL | MASKED);
	ioapic_eoi(io, 0x70);
	ck_assert_uint_eq(sent, 1);
	put(0x24, 0x70 | LEVEL);
	ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(eoi_register)
{
	program(11, 0, 0x71 | LEVEL);
	set(11, true);
	ck_assert(bus_write(mmio, EOI, 4, 0x71));
	ck_assert_uint_eq(sent, 2);
	set(11, false);
	ck_assert(bus_write(mmio, EOI, 4, 0x71));
	ck_assert_uint_eq(get(0x10 + 22) & REMOTE_IRR, 0);
}
END_TEST

START_TEST(edge_mode_clears_remote_irr)
{
	program(12, 0, 0x72 | LEVEL);
	set(12, true);
	ck_assert(get(0x10 + 24) & REMOTE_IRR);
	put(0x10 + 24, 0x72 | MASKED);
	ck_assert_uint_eq(get(0x10 + 24), 0x72 | MASKED);
	put(0x10 + 24, 0x72 | LEVEL);
	ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(shared_vector)
{
	program(16, 0, 0x80 | LEVEL);
	program(17, 0, 0x80 | LEVEL);
	set(16, true);
	set(17, true);
	set(16, false);
	sent = 0;
	ioapic_eoi(io, 0x80);
	/* Only the pin that is still asserted */
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(get(0x10 + 32) & REMOTE_IRR, 0);
	ck_assert(get(0x10 + 34) & REMOTE_IRR);
}
END_TEST

START_TEST(refused_message)
{
	send_result = -EINVAL;
	program(13, 0, 0x05 | LEVEL);
	set(13, true);
	ck_assert_uint_eq(sent, 1);
	/* No EOI would ever come for it. */
	ck_assert_uint_eq(get(0x10 + 26) & REMOTE_IRR, 0);
}
END_TEST

/* No local APIC took it, so none will end it: it is sent anew with the next change. */
START_TEST(message_that_nobody_accepts)
{
	send_result = 0;
	program(9, 0x3f, 0x60 | LEVEL);
	set(9, true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(get(0x22), 0x60 | LEVEL);
	send_result = 1;
	program(9, 0, 0x60 | LEVEL);
	ck_assert_uint_gt(sent, 1);
	ck_assert_uint_eq(last_addr, 0xfee00000);
	ck_assert_uint_eq(get(0x22), 0x60 | LEVEL | REMOTE_IRR);
}
END_TEST

START_TEST(no_such_pin)
{
	set(IOAPIC_PINS, true);
	set(~0U, true);
	ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(address_taken)
{
	struct msi_sink sink = {.send = record, .ctx = &sent};
	struct error e = {.text = ""};

	ck_assert_ptr_null(ioapic_create(mmio, &sink, &e));
	ck_assert_uint_gt(strlen(e.text), 0);
	ioapic_destroy(NULL);
}
END_TEST

/* The line of a device is the device's, and sends again when the guest has set the pin up anew. */
START_TEST(reset_is_like_new)
{
	uint32_t fresh[0x40];

	for (unsigned int reg = 0; reg < 0x40; reg++)
		fresh[reg] = get(reg);
	for (unsigned int reg = 0; reg < 0x40; reg++)
		put(reg, 0xffffffff);
	program(7, 0, 0x31 | LEVEL);
	set(7, true);
	sent = 0;
	ioapic_device.reset(io);
	for (unsigned int reg = 0; reg < 0x40; reg++)
		ck_assert_uint_eq(get(reg), fresh[reg]);
	ck_assert_uint_eq(sent, 0);
	program(7, 0, 0x32 | LEVEL);
	ck_assert_uint_eq(sent, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ioapic");
	TCase *t = tcase_create("ioapic");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, registers);
	tcase_add_test(t, narrow_reads);
	tcase_add_test(t, edge);
	tcase_add_test(t, message_format);
	tcase_add_test(t, level);
	tcase_add_test(t, level_waits_for_unmask);
	tcase_add_test(t, eoi_register);
	tcase_add_test(t, edge_mode_clears_remote_irr);
	tcase_add_test(t, shared_vector);
	tcase_add_test(t, refused_message);
	tcase_add_test(t, message_that_nobody_accepts);
	tcase_add_test(t, no_such_pin);
	tcase_add_test(t, address_taken);
	tcase_add_test(t, reset_is_like_new);
	suite_add_tcase(s, t);

	return suite_run(s);
}
