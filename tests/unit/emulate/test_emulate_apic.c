// SPDX-License-Identifier: GPL-2.0-or-later
/* Instruction emulation on the page of the local APIC. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_guest.h"
#include "suite.h"

#define PAGE 0xfee00000u
#define ID   0x20
#define TPR  0x80
#define ICR  0x300

/* A bus with a device there, too, which must not be asked as long as the page is the APIC's. */
static void begin(void)
{
	set_up();
	ck_assert_int_eq(bus_add(mmio, PAGE, 0x1000, &device_ops, device), 0);
	protected_mode(0);
	run.sregs.apic_base = PAGE | 0x900;
	R(RBX) = PAGE;
}

START_TEST(read_modify_write)
{
	apic[ICR / 16] = 0x00ff;
	R(RAX) = 0x4030;
	/* and [ebx + 0x300], eax */
	DONE(0x21, 0x83, 0x00, 0x03, 0x00, 0x00);
	ck_assert_uint_eq(apic[ICR / 16], 0x30);
	ck_assert_uint_eq(apic_reads, 1);
	ck_assert_uint_eq(apic_writes, 1);
	/* xchg [ebx + 0x300], eax */
	DONE(0x87, 0x83, 0x00, 0x03, 0x00, 0x00);
	ck_assert_uint_eq(apic[ICR / 16], 0x4030);
	ck_assert_uint_eq(R(RAX), 0x30);
	/* lock or [ebx + 0x300], imm */
	DONE(0xf0, 0x81, 0x8b, 0x00, 0x03, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00);
	ck_assert_uint_eq(apic[ICR / 16], 0x4130);
	/* push [ebx + 0x20] */
	apic[ID / 16] = 0x01000000;
	DONE(0xff, 0x73, 0x20);
	ck_assert_uint_eq(peek(STACK - 4, 4), 0x01000000);
	/* movd mm0, [ebx + 0x20] */
	DONE(0x0f, 0x6e, 0x43, 0x20);
	ck_assert_uint_eq(device_reads + device_writes, 0);
}
END_TEST

START_TEST(strings)
{
	/* rep movsd: four registers' worth, of which the first is one */
	for (unsigned int i = 0; i < 4; i++)
		apic[ID / 16 + i] = 0x11111111 * (i + 1);
	R(RSI) = PAGE + ID;
	R(RDI) = DATA;
	R(RCX) = 5;
	memset(ram(DATA), 0xcc, 20);
	DONE(0xf3, 0xa5);
	ck_assert_uint_eq(peek(DATA, 4), 0x11111111);
	ck_assert_uint_eq(peek(DATA + 4, 8), 0);
	ck_assert_uint_eq(peek(DATA + 16, 4), 0x22222222);
	ck_assert_uint_eq(apic_reads, 2);
	/* stosd */
	R(RDI) = PAGE + ICR;
	R(RAX) = 0x12345;
	DONE(0xab);
	ck_assert_uint_eq(apic[ICR / 16], 0x12345);
}
END_TEST

/* Other widths and places are no register. */
START_TEST(no_register)
{
	memset(apic, 0xff, sizeof(apic));
	R(RAX) = 0x55;
	DONE(0x0a, 0x43, ID);	    /* or al, [ebx + 0x20] */
	DONE(0x0b, 0x43, ID + 1);   /* or eax, [ebx + 0x21] */
	DONE(0x66, 0x0b, 0x43, ID); /* or ax, [ebx + 0x20] */
	/* or eax, [ebx + 0x400], and at the page's end */
	DONE(0x0b, 0x83, 0x00, 0x04, 0x00, 0x00);
	DONE(0x0b, 0x83, 0xf0, 0x0f, 0x00, 0x00);
	ck_assert_uint_eq(R(RAX), 0x55);
	DONE(0x08, 0x43, ID); /* or [ebx + 0x20], al */
	DONE(0xff, 0x83, 0x00, 0x04, 0x00, 0x00);
	ck_assert_uint_eq(apic_reads + apic_writes, 0);
	ck_assert_uint_eq(device_reads + device_writes, 0);
	/* The last one there can be */
	DONE(0x0b, 0x83, 0xf0, 0x03, 0x00, 0x00);
	ck_assert_uint_eq(R(RAX), 0xffffffff);
	ck_assert_uint_eq(apic_reads, 1);
}
END_TEST

/* Off, or in x2APIC mode, it has no page; and the page before is another. */
START_TEST(no_page)
{
	static const uint32_t bases[] = {PAGE, PAGE | 0xc00, PAGE | 0x400};

	for (unsigned int i = 0; i < 3; i++) {
		run.sregs.apic_base = bases[i];
		device[ID] = (uint8_t)i;
		DONE(0xff, 0x43, ID); /* inc [ebx + 0x20] */
		ck_assert_uint_eq(device[ID], i + 1);
	}
	ck_assert_uint_eq(apic_reads + apic_writes, 0);
	run.sregs.apic_base = PAGE | 0x800;
	R(RBX) = PAGE - 0x1000;
	DONE(0xff, 0x43, ID);
	R(RBX) = PAGE + 0x1000;
	DONE(0xff, 0x43, ID);
	ck_assert_uint_eq(apic_reads + apic_writes, 0);
}
END_TEST

/* Loading SREGS, as for a page fault, must not bring the old priority back. */
START_TEST(task_priority)
{
	long_mode(0);
	run.sregs.apic_base = PAGE | 0x900;
	run.sregs.cr8 = 3;
	/* The page is where the device is in long mode, once its large page is at that address. */
	poke(TABLES + 0x3000 + 128 * 8, 8, 0xfee00000 | 0x80 | PTE_P | PTE_W | PTE_U);
	R(RDI) = MMIO_BASE + TPR;
	R(RAX) = 0x57;
	DONE(0xab); /* stosd */
	ck_assert_uint_eq(apic[TPR / 16], 0x57);
	ck_assert_uint_eq(run.sregs.cr8, 5);
	/* Others are not CR8's. */
	R(RDI) = MMIO_BASE + ICR;
	DONE(0xab);
	ck_assert_uint_eq(run.sregs.cr8, 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("emulate_apic");
	TCase *t = tcase_create("apic");

	tcase_add_checked_fixture(t, begin, tear_down);
	tcase_add_test(t, read_modify_write);
	tcase_add_test(t, strings);
	tcase_add_test(t, no_register);
	tcase_add_test(t, no_page);
	tcase_add_test(t, task_priority);
	suite_add_tcase(s, t);
	return suite_run(s);
}
