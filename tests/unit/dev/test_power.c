// SPDX-License-Identifier: GPL-2.0-or-later
/* Power registers, the power button, and the debug exit port. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "dev/debug_exit.h"
#include "dev/power.h"
#include "platform/layout.h"
#include "suite.h"

#define SLP_EN	   0x20
#define SLP_TYP(n) ((n) << 2)

static struct bus *pio;
static struct power *power;
static unsigned int resets, offs, edges;
static bool line;

static void on_reset(void *arg)
{
	ck_assert_ptr_eq(arg, &resets);
	resets++;
}

static void on_off(void *arg)
{
	ck_assert_ptr_eq(arg, &resets);
	offs++;
}

static void set_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	ck_assert_uint_eq(pin, GSI_GED);
	edges += level && !line;
	line = level;
}

static const struct irq_line ged = {.set = set_line, .pin = GSI_GED};
static const struct power_events events = {.reset = on_reset, .off = on_off, .arg = &resets};

static void set_up(void)
{
	struct error e;

	pio = bus_create();
	power = power_create(pio, ged, &events, &e);
	ck_assert_ptr_nonnull(power);
	resets = offs = edges = 0;
	line = false;
}

static void tear_down(void)
{
	power_destroy(power);
	bus_destroy(pio);
}

static uint64_t in(uint16_t port, unsigned int size)
{
	uint64_t value;

	ck_assert(bus_read(pio, port, size, &value));
	return value;
}

START_TEST(sleep_register)
{
	/* Without the enable bit, and other sleep types: nothing */
	bus_write(pio, PORT_ACPI_SLEEP, 1, SLP_TYP(ACPI_SLEEP_S5));
	bus_write(pio, PORT_ACPI_SLEEP, 1, SLP_TYP(3) | SLP_EN);
	bus_write(pio, PORT_ACPI_SLEEP + 1, 1, SLP_TYP(ACPI_SLEEP_S5) | SLP_EN);
	ck_assert_uint_eq(offs, 0);
	bus_write(pio, PORT_ACPI_SLEEP, 1, SLP_TYP(ACPI_SLEEP_S5) | SLP_EN);
	ck_assert_uint_eq(offs, 1);
	ck_assert_uint_eq(in(PORT_ACPI_SLEEP, 1), 0);
	ck_assert_uint_eq(in(PORT_ACPI_SLEEP + 1, 1), 0);
	ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(reset_register)
{
	bus_write(pio, PORT_ACPI_RESET, 1, ACPI_RESET_VALUE + 1);
	ck_assert_uint_eq(resets, 0);
	bus_write(pio, PORT_ACPI_RESET, 1, ACPI_RESET_VALUE);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(offs, 0);
}
END_TEST

START_TEST(reset_control)
{
	const struct bus_ops *control = &power_reset_control;

	ck_assert_uint_eq(control->read(power, 0, 1), 0);
	/* What the reset is to be like, and then the reset: Linux does it so. */
	control->write(power, 0, 1, 0x02);
	ck_assert_uint_eq(control->read(power, 0, 1), 0x02);
	ck_assert_uint_eq(resets, 0);
	control->write(power, 0, 1, 0xff);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(control->read(power, 0, 1), 0x0e);
	/* It is the rise that counts. */
	control->write(power, 0, 1, 0x06);
	ck_assert_uint_eq(resets, 1);
	control->write(power, 0, 1, 0x00);
	control->write(power, 0, 1, 0x04);
	ck_assert_uint_eq(resets, 2);
	ck_assert_uint_eq(offs, 0);
}
END_TEST

START_TEST(keyboard_controller)
{
	ck_assert_uint_eq(in(PORT_KEYBOARD, 1), 0);
	/* Self-test, and pulses of other lines */
	bus_write(pio, PORT_KEYBOARD, 1, 0xaa);
	bus_write(pio, PORT_KEYBOARD, 1, 0xff);
	bus_write(pio, PORT_KEYBOARD, 1, 0xfd);
	ck_assert_uint_eq(resets, 0);
	bus_write(pio, PORT_KEYBOARD, 1, 0xfe);
	ck_assert_uint_eq(resets, 1);
	bus_write(pio, PORT_KEYBOARD, 1, 0xf0);
	ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(button)
{
	ck_assert_uint_eq(in(PORT_ACPI_GED, 1), 0);
	ck_assert(power_button_heard(power));
	power_button(power);
	ck_assert(line);
	ck_assert(!power_button_heard(power));
	/* A level: it stays until the guest reads why. Pressing twice is one event. */
	power_button(power);
	ck_assert_uint_eq(edges, 1);
	/* A write does not acknowledge, nor does a read beside it. */
	bus_write(pio, PORT_ACPI_GED, 1, 1);
	ck_assert_uint_eq(in(PORT_ACPI_GED + 1, 1), 0);
	ck_assert(line);
	ck_assert_uint_eq(in(PORT_ACPI_GED, 4), 1);
	ck_assert(!line);
	ck_assert(power_button_heard(power));
	ck_assert_uint_eq(in(PORT_ACPI_GED, 1), 0);
	power_button(power);
	ck_assert(line);
	ck_assert_uint_eq(in(PORT_ACPI_GED, 1), 1);
}
END_TEST

START_TEST(ports_taken)
{
	struct error e = {.text = ""};

	ck_assert_ptr_null(power_create(pio, ged, &events, &e));
	ck_assert_uint_gt(strlen(e.text), 0);
	/* The failed one took nothing away from the one that is there. */
	ck_assert_uint_eq(in(PORT_ACPI_GED, 1), 0);
	ck_assert_uint_eq(in(PORT_ACPI_SLEEP, 1), 0);
	power_destroy(NULL);
}
END_TEST

static uint32_t exit_value;
static unsigned int exits;

static void on_exit_write(void *arg, uint32_t value)
{
	ck_assert_ptr_eq(arg, &exits);
	exit_value = value;
	exits++;
}

START_TEST(debug_exit_port)
{
	struct error e = {.text = ""};
	struct debug_exit *d = debug_exit_create(pio, 0xf4, on_exit_write, &exits, &e);

	ck_assert_ptr_nonnull(d);
	exits = 0;
	bus_write(pio, 0xf4, 1, 0x10);
	ck_assert_uint_eq(exit_value, 0x10);
	bus_write(pio, 0xf4, 2, 0x1234);
	ck_assert_uint_eq(exit_value, 0x1234);
	bus_write(pio, 0xf4, 4, 0xdeadbeef);
	ck_assert_uint_eq(exit_value, 0xdeadbeef);
	ck_assert_uint_eq(exits, 3);
	ck_assert_uint_eq(in(0xf4, 1), 0);

	ck_assert_ptr_null(debug_exit_create(pio, PORT_ACPI_SLEEP, on_exit_write, &exits, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "0x600"));
	ck_assert_ptr_null(debug_exit_create(pio, 0xfffe, on_exit_write, &exits, &e));
	debug_exit_destroy(d);
	ck_assert(!bus_write(pio, 0xf4, 1, 0));
	/* The last four ports, and one beyond. */
	d = debug_exit_create(pio, 0xfffc, on_exit_write, &exits, &e);
	ck_assert_ptr_nonnull(d);
	debug_exit_destroy(d);
	ck_assert_ptr_null(debug_exit_create(pio, 0xfffd, on_exit_write, &exits, &e));
	debug_exit_destroy(NULL);
}
END_TEST

START_TEST(reset_is_like_new)
{
	power_button(power);
	power_reset_control.write(power, 0, 1, 0x0a);
	power_device.reset(power);
	ck_assert(!line);
	ck_assert_uint_eq(in(PORT_ACPI_GED, 1), 0);
	ck_assert_uint_eq(power_reset_control.read(power, 0, 1), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("power");
	TCase *t = tcase_create("power");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, sleep_register);
	tcase_add_test(t, reset_register);
	tcase_add_test(t, reset_control);
	tcase_add_test(t, keyboard_controller);
	tcase_add_test(t, button);
	tcase_add_test(t, ports_taken);
	tcase_add_test(t, debug_exit_port);
	tcase_add_test(t, reset_is_like_new);
	suite_add_tcase(s, t);

	return suite_run(s);
}
