// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of two ways in which a guest ends its machine: the panic port
 * (vmm/dev/pvpanic.c) and the reset vector (vmm/boot/reset_vector.c).
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/reset_vector.h"
#include "dev/pvpanic.h"
#include "platform/layout.h"
#include "suite.h"
#include "written.h"

static unsigned int panics;

static void on_panic(void *arg)
{
	ck_assert_ptr_eq(arg, &panics);
	panics++;
}

START_TEST(test_panic_port)
{
	struct bus *pio = bus_create();
	struct error e;
	struct pvpanic *p = pvpanic_create(pio, on_panic, &panics, &e);
	uint64_t value;

	panics = 0;
	ck_assert_ptr_nonnull(p);
	/* A driver reads first which events there are. */
	ck_assert(bus_read(pio, PORT_PVPANIC, 1, &value));
	ck_assert_uint_eq(value, 1);
	bus_write(pio, PORT_PVPANIC, 1, 0);
	bus_write(pio, PORT_PVPANIC, 1, 2);
	ck_assert_uint_eq(panics, 0);
	bus_write(pio, PORT_PVPANIC, 1, 1);
	ck_assert_uint_eq(panics, 1);
	/* One port, and no more. */
	ck_assert(!bus_read(pio, PORT_PVPANIC + 1, 1, &value));

	pvpanic_destroy(p);
	ck_assert(!bus_read(pio, PORT_PVPANIC, 1, &value));
	bus_destroy(pio);
}
END_TEST

START_TEST(test_panic_port_is_taken)
{
	static const struct bus_ops none = {0};
	struct bus *pio = bus_create();
	struct error e;

	bus_add(pio, PORT_PVPANIC - 3, 4, &none, NULL);
	ck_assert_ptr_null(pvpanic_create(pio, on_panic, NULL, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "0x505"));
	bus_destroy(pio);
}
END_TEST

START_TEST(test_reset_vector_writes_the_reset_register)
{
	struct mem m = {0};
	struct error e;
	const uint8_t *p;

	ck_assert_int_eq(mem_add_ram(&m, 0, MiB(1), &e), 0);
	written_begin(&m);
	ck_assert_int_eq(reset_vector_place(&m, &e), 0);
	written_end(&m);
	p = mem_write(&m, 0xffff0, 16);
	/* mov dx, imm16; mov al, imm8; out dx, al */
	ck_assert_uint_eq(p[0], 0xba);
	ck_assert_uint_eq(p[1] | p[2] << 8, PORT_ACPI_RESET);
	ck_assert_uint_eq(p[3], 0xb0);
	ck_assert_uint_eq(p[4], ACPI_RESET_VALUE);
	ck_assert_uint_eq(p[5], 0xee);
	/* hlt; jump back to it */
	ck_assert_uint_eq(p[6], 0xf4);
	ck_assert_uint_eq(p[7], 0xeb);
	ck_assert_int_eq((int8_t)p[8], 6 - 9);
	mem_destroy(&m);
}
END_TEST

START_TEST(test_reset_vector_needs_memory)
{
	struct mem m = {0};
	struct error e;

	ck_assert_int_eq(mem_add_ram(&m, 0, KiB(640), &e), 0);
	ck_assert_int_eq(reset_vector_place(&m, &e), -ENOSPC);
	mem_destroy(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endings");
	TCase *tc = tcase_create("endings");

	tcase_add_test(tc, test_panic_port);
	tcase_add_test(tc, test_panic_port_is_taken);
	tcase_add_test(tc, test_reset_vector_writes_the_reset_register);
	tcase_add_test(tc, test_reset_vector_needs_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
