// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of the devices on the board: saved, loaded into new ones, and gone on with. */
#include <check.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "console_spec.h"
#include "dev/debug_exit.h"
#include "dev/fw_cfg.h"
#include "dev/power.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "irqchip/ioapic.h"
#include "platform/layout.h"
#include "state_check.h"
#include "suite.h"

static struct bus *bus;
static struct loop *loop;
static struct console *console;
static struct mem mem;
static struct error err;
static bool line;
static unsigned int events;

static void set_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	(void)pin;
	line = level;
}

static const struct irq_line irq = {.set = set_line};

static void begin(void)
{
	bus = bus_create();
	loop = loop_create();
	line = false;
	events = 0;
}

static void end(void)
{
	loop_destroy(loop);
	bus_destroy(bus);
}

static uint64_t in(uint64_t addr, unsigned int size)
{
	uint64_t value;

	ck_assert(bus_read(bus, addr, size, &value));
	return value;
}

static void out(uint64_t addr, unsigned int size, uint64_t value)
{
	ck_assert(bus_write(bus, addr, size, value));
}

static void count_event(void *arg)
{
	(void)arg;
	events++;
}

/* ------------------------------------------------------------------------- */
/* The serial port                                                            */

enum {
	DATA = PORT_COM1,
	IER,
	IIR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR,
	FCR = IIR
};

static void *serial_make(void)
{
	begin();
	console = open_console("none", loop, &err);
	return serial_create(bus, PORT_COM1, irq, console, &err);
}

static void serial_unmake(void *dev)
{
	serial_destroy(dev);
	console_close(console);
	end();
}

static void receive(void *dev, const char *text)
{
	ck_assert_uint_eq(serial_receive(dev, (const uint8_t *)text, strlen(text)), strlen(text));
}

/* Bytes that came, were cleared and come again; behind them what came by loopback, too much of it. */
static void serial_in_loopback(void *dev)
{
	out(LCR, 1, 0x80);
	out(DATA, 1, 0x34);
	out(IER, 1, 0x12);
	out(LCR, 1, 0x1b);
	out(SCR, 1, 0x5a);
	out(FCR, 1, 0x81);
	out(IER, 1, 0x0f);
	receive(dev, "abcdef");
	ck_assert_uint_eq(in(DATA, 1), 'a');
	ck_assert_uint_eq(in(DATA, 1), 'b');
	out(FCR, 1, 0x83);
	out(MCR, 1, 0x1d);
	for (char c = 'A'; c < 'A' + 17; c++)
		out(DATA, 1, (uint8_t)c);
}

/* Nobody has enabled an interrupt, but somebody looks again and again. */
static void serial_polled(void *dev)
{
	(void)dev;
	out(FCR, 1, 0x01);
	for (unsigned int i = 0; i < 7; i++)
		ck_assert_uint_eq(in(LSR, 1), 0x60);
}

static void see_fifo(struct seen *s)
{
	for (unsigned int i = 0; i < 20; i++) {
		uint64_t lsr = in(LSR, 1);

		see(s, lsr, 1);
		see(s, in(IIR, 1), 1);
		see(s, line, 1);
		see(s, in(DATA, 1), 1);
	}
}

static void serial_see(void *dev, struct seen *s)
{
	unsigned int looks = 0;

	see(s, line, 1);
	while (looks < 40 && !serial_receive(dev, (const uint8_t *)"x", 1)) {
		see(s, in(LSR, 1), 1);
		looks++;
	}
	see(s, looks, 1);
	see(s, in(MSR, 1), 1);
	see_fifo(s);
	for (unsigned int reg = IER; reg <= SCR; reg++)
		see(s, in(reg, 1), 1);
	/* Out of loopback; what comes again, comes. */
	out(MCR, 1, 0);
	see(s, in(MSR, 1), 1);
	out(IER, 1, 1);
	serial_receive(dev, NULL, 0);
	see_fifo(s);
	for (unsigned int i = 0; i < 16; i++) {
		serial_receive(dev, (const uint8_t *)"y", 1);
		see(s, in(IIR, 1), 1);
	}
	out(LCR, 1, 0x80);
	see(s, in(DATA, 2), 2);
}

/* What came by loopback is not from outside: a reset of the FIFO throws it away. */
static void serial_see_cleared(void *dev, struct seen *s)
{
	out(FCR, 1, 0x83);
	out(MCR, 1, 0);
	serial_receive(dev, NULL, 0);
	see_fifo(s);
}

START_TEST(of_the_serial_port)
{
	static const char *const configured[] = {"/port", NULL};
	static const struct specimen specimens[] = {
		{&serial_device, serial_make, serial_unmake, serial_in_loopback, serial_see},
		{&serial_device, serial_make, serial_unmake, serial_polled, serial_see},
		{&serial_device, serial_make, serial_unmake, serial_in_loopback,
		 serial_see_cleared},
	};

	state_check(specimens, 3, configured);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The I/O APIC                                                               */

#define SELECT LAYOUT_IOAPIC
#define WINDOW (LAYOUT_IOAPIC + 0x10)
#define EOI    (LAYOUT_IOAPIC + 0x40)

static uint64_t sent_addr;
static uint32_t sent_data;

static int msi_send(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	events++;
	sent_addr = addr;
	sent_data = data;
	return 1;
}

static void *ioapic_make(void)
{
	const struct msi_sink sink = {.send = msi_send};

	begin();
	sent_addr = sent_data = 0;
	return ioapic_create(bus, &sink, &err);
}

static void ioapic_unmake(void *dev)
{
	ioapic_destroy(dev);
	end();
}

static void ioapic_program(unsigned int pin, uint64_t entry)
{
	out(SELECT, 4, 0x11 + 2 * pin);
	out(WINDOW, 4, entry >> 32);
	out(SELECT, 4, 0x10 + 2 * pin);
	out(WINDOW, 4, (uint32_t)entry);
}

/* An interrupt is in service, its line and that of an edge are still asserted. */
static void ioapic_in_service(void *dev)
{
	struct irq_line level = ioapic_line(dev, 9), edge = ioapic_line(dev, 4);

	out(SELECT, 4, 0);
	out(WINDOW, 4, 0x05000000);
	ioapic_program(9, 0x0300000000008931);
	ioapic_program(4, 0x0000000000000034);
	irq_set(&level, true);
	irq_set(&edge, true);
	ck_assert_uint_eq(events, 2);
	out(SELECT, 4, 0x22);
}

static void ioapic_see(void *dev, struct seen *s)
{
	struct irq_line edge = ioapic_line(dev, 4);

	events = 0;
	see(s, in(SELECT, 4), 4);
	irq_set(&edge, true);
	see(s, events, 1);
	out(EOI, 4, 0x31);
	see(s, events, 1);
	see(s, sent_addr, 8);
	see(s, sent_data, 4);
	for (unsigned int reg = 0; reg < 0x40; reg++) {
		out(SELECT, 4, reg);
		see(s, in(WINDOW, 4), 4);
	}
}

START_TEST(of_the_ioapic)
{
	static const struct specimen s = {&ioapic_device, ioapic_make, ioapic_unmake,
					  ioapic_in_service, ioapic_see};

	state_check(&s, 1, NULL);
}
END_TEST

/* Bits that a guest cannot set, and that would have meaning: an edge that is in service. */
START_TEST(of_the_ioapic_is_possible)
{
	static const uint64_t entries[] = {0x4031, 0x1031, 0x00010000000000, 0xc731};
	const struct specimen s = {.ops = &ioapic_device};
	uint8_t table[IOAPIC_PINS * 8];
	void *dev = ioapic_make(), *fdt;
	struct error e;
	size_t len;

	fdt = state_save(&s, dev, &len);
	for (unsigned int i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		uint64_t entry = htobe64(entries[i]);

		memset(table, 0, sizeof(table));
		memcpy(table + 8, &entry, 8);
		fdt_setprop_inplace(fdt, 0, "redirection", table, sizeof(table));
		ck_assert_int_lt(state_load(&s, dev, fdt, len, &e), 0);
		ck_assert_ptr_nonnull(strstr(e.text, "redirection"));
	}
	free(fdt);
	ioapic_unmake(dev);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The clock                                                                  */

static void *rtc_make(void)
{
	begin();
	return rtc_create(bus, loop, irq, &err);
}

static void rtc_unmake(void *dev)
{
	rtc_destroy(dev);
	end();
}

static void cmos_set(uint8_t index, uint8_t value)
{
	out(PORT_CMOS, 1, index);
	out(PORT_CMOS + 1, 1, value);
}

static uint8_t cmos_get(uint8_t index)
{
	out(PORT_CMOS, 1, index);
	return (uint8_t)in(PORT_CMOS + 1, 1);
}

/* The time is another, an interrupt is pending, the alarm is twelve hours away. */
static void rtc_elsewhere(void *dev)
{
	(void)dev;
	cmos_set(11, 0x82); /* held while it is set */
	cmos_set(7, 0x15);
	cmos_set(8, 0x06);
	cmos_set(9, 0x77);
	cmos_set(0, 0x00);
	cmos_set(2, 0x00);
	cmos_set(4, 0x03);
	cmos_set(1, 0x00);
	cmos_set(3, 0x00);
	cmos_set(5, 0x15);
	cmos_set(11, 0x62); /* the periodic interrupt and the alarm's, enabled */
	while (!line)
		cmos_get(13);
	cmos_set(10, 0x20); /* and no more of them */
	cmos_set(0x40, 0xa5);
}

static void rtc_see(void *dev, struct seen *s)
{
	(void)dev;
	/* The index is the one that was last written. */
	see(s, in(PORT_CMOS + 1, 1), 1);
	see(s, line, 1);
	/* That a second passed is not for sure. */
	see(s, cmos_get(12) & 0xe0, 1);
	see(s, line, 1);
	see(s, cmos_get(9), 1);
	see(s, cmos_get(4), 1);
	for (uint8_t i = 14; i < 128; i++)
		see(s, cmos_get(i), 1);
	for (uint8_t i = 10; i < 12; i++)
		see(s, cmos_get(i) & 0x7f, 1);
}

/* It stands still: the time is in its registers. */
static void rtc_held(void *dev)
{
	rtc_elsewhere(dev);
	cmos_set(11, 0xe2);
	cmos_set(0, 0x42);
}

static void rtc_see_held(void *dev, struct seen *s)
{
	(void)dev;
	for (uint8_t i = 0; i < 10; i++)
		see(s, cmos_get(i), 1);
}

START_TEST(of_the_clock)
{
	static const struct specimen specimens[] = {
		{&rtc_device, rtc_make, rtc_unmake, rtc_elsewhere, rtc_see},
		{&rtc_device, rtc_make, rtc_unmake, rtc_held, rtc_see_held},
	};

	state_check(specimens, 2, NULL);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Power, panic port, debug exit                                              */

static void *power_make(void)
{
	const struct power_events e = {count_event, count_event, NULL};

	begin();
	return power_create(bus, irq, &e, &err);
}

static void power_unmake(void *dev)
{
	power_destroy(dev);
	end();
}

static void power_pressed(void *dev)
{
	power_button(dev);
	power_reset_control.write(dev, 0, 1, 0x02);
}

static void power_see(void *dev, struct seen *s)
{
	see(s, line, 1);
	see(s, in(PORT_ACPI_GED, 1), 1);
	see(s, line, 1);
	see(s, power_reset_control.read(dev, 0, 1), 1);
	power_reset_control.write(dev, 0, 1, 0x06);
	see(s, events, 1);
}

START_TEST(of_power)
{
	static const struct specimen s = {&power_device, power_make, power_unmake, power_pressed,
					  power_see};

	state_check(&s, 1, NULL);
}
END_TEST

static void *pvpanic_make(void)
{
	begin();
	return pvpanic_create(bus, count_event, NULL, &err);
}

static void pvpanic_unmake(void *dev)
{
	pvpanic_destroy(dev);
	end();
}

static void count_value(void *arg, uint32_t value)
{
	(void)arg;
	(void)value;
	events++;
}

static void *debug_exit_make(void)
{
	begin();
	return debug_exit_create(bus, 0xf4, count_value, NULL, &err);
}

static void debug_exit_unmake(void *dev)
{
	debug_exit_destroy(dev);
	end();
}

static void nothing(void *dev)
{
	(void)dev;
}

static void see_events(void *dev, struct seen *s)
{
	(void)dev;
	out(PORT_PVPANIC, 1, 1);
	see(s, events, 1);
}

static void see_exit(void *dev, struct seen *s)
{
	(void)dev;
	out(0xf4, 1, 1);
	see(s, events, 1);
}

START_TEST(of_the_ports_without_one)
{
	static const char *const configured[] = {"/port", NULL};
	static const struct specimen panic = {&pvpanic_device, pvpanic_make, pvpanic_unmake,
					      nothing, see_events};
	static const struct specimen exit_port = {&debug_exit_device, debug_exit_make,
						  debug_exit_unmake, nothing, see_exit};

	state_check(&panic, 1, NULL);
	state_check(&exit_port, 1, configured);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* fw_cfg                                                                     */

static void *fw_cfg_make(void)
{
	struct fw_cfg *fw;

	begin();
	memset(&mem, 0, sizeof(mem));
	mem_add_ram(&mem, 0, MiB(1), &err);
	mem_add_ram(&mem, LAYOUT_HIGH_RAM, MiB(1), &err);
	fw = fw_cfg_create(bus, &mem, &err);
	ck_assert_int_eq(fw_cfg_add_file(fw, "opt/one", "the first", 9, &err), 0);
	ck_assert_int_eq(fw_cfg_add_file(fw, "opt/two", "the second", 10, &err), 0);
	return fw;
}

static void fw_cfg_unmake(void *dev)
{
	fw_cfg_destroy(dev);
	mem_destroy(&mem);
	end();
}

/* In the middle of a file, and of an address. */
static void fw_cfg_half_way(void *dev)
{
	(void)dev;
	out(PORT_FW_CFG, 2, FW_CFG_FILE_FIRST + 1);
	for (unsigned int i = 0; i < 4; i++)
		in(PORT_FW_CFG + 1, 1);
	out(PORT_FW_CFG + 4, 4, htobe32(1));
}

static void fw_cfg_see(void *dev, struct seen *s)
{
	uint32_t read_two[4] = {htobe32(0x02), htobe32(2), 0, htobe32(0x2000)};
	uint8_t *low = mem_write(&mem, 0x1000, 16);
	uint8_t *high = mem_write(&mem, LAYOUT_HIGH_RAM + 0x1000, 16);

	(void)dev;
	memcpy(low, read_two, 16);
	memcpy(high, read_two, 16);
	out(PORT_FW_CFG + 8, 4, htobe32(0x1000));
	for (unsigned int i = 0; i < 4; i++) {
		see(s, low[i], 1);
		see(s, high[i], 1);
	}
	for (unsigned int i = 0; i < 8; i++)
		see(s, in(PORT_FW_CFG + 1, 1), 1);
}

START_TEST(of_fw_cfg)
{
	static const char *const configured[] = {"/files", NULL};
	static const struct specimen s = {&fw_cfg_device, fw_cfg_make, fw_cfg_unmake,
					  fw_cfg_half_way, fw_cfg_see};

	state_check(&s, 1, configured);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dev-state");
	TCase *tc = tcase_create("state");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, of_the_serial_port);
	tcase_add_test(tc, of_the_ioapic);
	tcase_add_test(tc, of_the_ioapic_is_possible);
	tcase_add_test(tc, of_the_clock);
	tcase_add_test(tc, of_power);
	tcase_add_test(tc, of_the_ports_without_one);
	tcase_add_test(tc, of_fw_cfg);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
