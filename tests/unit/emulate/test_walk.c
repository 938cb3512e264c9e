// SPDX-License-Identifier: GPL-2.0-or-later
/* Page-table walks: the paging modes, reserved bits, rights, accessed and dirty flags. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate/walk.h"
#include "x86.h"
#include "suite.h"
#include "written.h"

#define P   1ULL
#define W   2ULL
#define U   4ULL
#define A   0x20ULL
#define D   0x40ULL
#define PS  0x80ULL
#define NX  (1ULL << 63)
#define RAM 0x100000

static struct mem mem;
static struct hv_sregs sregs;
static uint64_t gpa;
static uint32_t error;

static void set_up(void)
{
	struct error e;

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, RAM, &e), 0);
	memset(&sregs, 0, sizeof(sregs));
	sregs.cr0 = CR0_PE | CR0_PG | CR0_WP;
	gpa = error = 0;
}

static void tear_down(void)
{
	mem_destroy(&mem);
}

static void poke(uint64_t at, unsigned int size, uint64_t value)
{
	memcpy(mem_write(&mem, at, size), &value, size);
}

static uint64_t peek(uint64_t at, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, mem_write(&mem, at, size), size);
	return value;
}

static void maps(uint64_t la, unsigned int access, uint64_t to)
{
	written_begin(&mem);
	ck_assert_int_eq(walk(&mem, &sregs, la, access, &gpa, &error), WALK_OK);
	written_end(&mem);
	ck_assert_uint_eq(gpa, to);
}

static void faults(uint64_t la, unsigned int access, uint32_t want)
{
	written_begin(&mem);
	ck_assert_int_eq(walk(&mem, &sregs, la, access, &gpa, &error), WALK_FAULT);
	written_end(&mem);
	ck_assert_uint_eq(error, want);
}

START_TEST(paging_off)
{
	sregs.cr0 = CR0_PE;
	maps(0xdeadbeef, WALK_WRITE | WALK_USER, 0xdeadbeef);
}
END_TEST

START_TEST(two_levels)
{
	/* Bits 0..11 of CR3 are not part of the address. */
	sregs.cr3 = 0x1000 | 0x18;
	poke(0x1000 + 0x300 * 4, 4, 0x2000 | P | W | U);
	poke(0x2000 + 5 * 4, 4, 0x7000 | P | W | U);

	maps(0xc0005123, 0, 0x7123);
	ck_assert_uint_eq(peek(0x1000 + 0x300 * 4, 4), 0x2000 | P | W | U | A);
	ck_assert_uint_eq(peek(0x2000 + 5 * 4, 4), 0x7000 | P | W | U | A);
	maps(0xc0005123, WALK_WRITE, 0x7123);
	ck_assert_uint_eq(peek(0x1000 + 0x300 * 4, 4), 0x2000 | P | W | U | A);
	ck_assert_uint_eq(peek(0x2000 + 5 * 4, 4), 0x7000 | P | W | U | A | D);

	faults(0xc0006000, WALK_WRITE, WALK_PF_WRITE);
	/* Neither NX nor SMEP: a fetch is not told from a read. */
	faults(0x00400000, WALK_FETCH | WALK_USER, WALK_PF_USER);
	sregs.cr4 = CR4_SMEP;
	faults(0x00400000, WALK_FETCH | WALK_USER, WALK_PF_USER | WALK_PF_FETCH);
	/* Supervisor fetch from a user page */
	faults(0xc0005000, WALK_FETCH, WALK_PF_PRESENT | WALK_PF_FETCH);
	maps(0xc0005000, WALK_FETCH | WALK_USER, 0x7000);
}
END_TEST

START_TEST(large_pages_of_4_mib)
{
	sregs.cr3 = 0x1000;
	poke(0x1000 + 4, 4, 0xc0000000 | 0x12ULL << 13 | PS | P | W);
	sregs.cr4 = CR4_PSE;
	maps(0x00712345, WALK_WRITE, 0x12c0312345);
	ck_assert_uint_eq(peek(0x1000 + 4, 4) & (A | D), A | D);
	poke(0x1000 + 4, 4, 1 << 21 | PS | P | W);
	faults(0x00712345, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	/* Without PSE it points to a table. */
	sregs.cr4 = 0;
	poke(0x1000 + 4, 4, 0x2000 | PS | P | W);
	poke(0x2000 + 0x312 * 4, 4, 0x9000 | P | W);
	maps(0x00712345, 0, 0x9345);
}
END_TEST

START_TEST(pae)
{
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_NXE;
	sregs.cr3 = 0x1020;
	poke(0x1020 + 2 * 8, 8, 0x2000 | P);
	poke(0x2000 + 1 * 8, 8, 0x3000 | P | W | U);
	poke(0x3000 + 3 * 8, 8, 0x1234567000 | P | W | U | NX);
	poke(0x2000 + 2 * 8, 8, 0x80000000 | PS | P | W);

	maps(0x80203abc, WALK_USER | WALK_WRITE, 0x1234567abc);
	/* The top level has no accessed flag, and write and user are not its business. */
	ck_assert_uint_eq(peek(0x1020 + 2 * 8, 8), 0x2000 | P);
	ck_assert_uint_eq(peek(0x2000 + 8, 8), 0x3000 | P | W | U | A);
	faults(0x80203abc, WALK_FETCH, WALK_PF_PRESENT | WALK_PF_FETCH);
	maps(0x80412345, WALK_WRITE, 0x80012345);
	faults(0x80412345, WALK_USER, WALK_PF_PRESENT | WALK_PF_USER);
	faults(0x40000000, 0, 0);

	/* Reserved: NX without NXE, 52..62, a large page's low bits, the top's 1, 2, 5..8. */
	poke(0x2000 + 2 * 8, 8, 0x80002000 | PS | P | W);
	faults(0x80412345, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	poke(0x3000 + 3 * 8, 8, 0x7000 | P | 1ULL << 55);
	faults(0x80203abc, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	poke(0x3000 + 3 * 8, 8, 0x7000 | P | NX);
	maps(0x80203abc, 0, 0x7abc);
	sregs.efer = 0;
	faults(0x80203abc, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	poke(0x1020 + 2 * 8, 8, 0x2000 | P | W);
	faults(0x80412345, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
}
END_TEST

static void long_mode(void)
{
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LMA | EFER_NXE;
	sregs.cr3 = 0x2000;
	poke(0x2000 + 511 * 8, 8, 0x3000 | P | W | U);
	poke(0x3000 + 510 * 8, 8, 0x4000 | P | W | U);
	poke(0x3000 + 511 * 8, 8, 0x140000000 | PS | P | W);
	poke(0x4000 + 0 * 8, 8, 0x5000 | P | W | U);
	poke(0x4000 + 1 * 8, 8, 0x600000 | PS | P | W | U);
	poke(0x5000 + 7 * 8, 8, 0x8000 | P | W | U);
}

START_TEST(four_levels)
{
	long_mode();
	maps(0xffffffff80007fff, WALK_WRITE | WALK_USER, 0x8fff);
	ck_assert_uint_eq(peek(0x2000 + 511 * 8, 8), 0x3000 | P | W | U | A);
	ck_assert_uint_eq(peek(0x5000 + 7 * 8, 8), 0x8000 | P | W | U | A | D);
	maps(0xffffffff80212345, 0, 0x612345);
	maps(0xffffffffc7654321, WALK_WRITE, 0x147654321);
	faults(0xffffffff80008000, 0, 0);
	faults(0, WALK_USER | WALK_WRITE, WALK_PF_USER | WALK_PF_WRITE);
}
END_TEST

START_TEST(rights_of_all_levels)
{
	long_mode();
	/* Write and user must be granted by each level. */
	poke(0x4000, 8, 0x5000 | P | U);
	faults(0xffffffff80007000, WALK_WRITE, WALK_PF_PRESENT | WALK_PF_WRITE);
	sregs.cr0 &= ~CR0_WP;
	maps(0xffffffff80007000, WALK_WRITE, 0x8000);
	faults(0xffffffff80007000, WALK_WRITE | WALK_USER,
	       WALK_PF_PRESENT | WALK_PF_WRITE | WALK_PF_USER);
	poke(0x4000, 8, 0x5000 | P | W);
	faults(0xffffffff80007000, WALK_USER, WALK_PF_PRESENT | WALK_PF_USER);
	/* NX of any level forbids fetching; the rest is not affected. */
	poke(0x4000, 8, 0x5000 | P | W | U);
	poke(0x2000 + 511 * 8, 8, 0x3000 | P | W | U | NX);
	faults(0xffffffff80007000, WALK_FETCH, WALK_PF_PRESENT | WALK_PF_FETCH);
	maps(0xffffffff80007000, WALK_WRITE | WALK_USER, 0x8000);
}
END_TEST

START_TEST(smap)
{
	long_mode();
	sregs.cr4 |= CR4_SMAP;
	faults(0xffffffff80007000, 0, WALK_PF_PRESENT);
	maps(0xffffffff80007000, WALK_AC, 0x8000);
	/* The processor's own accesses to its tables do not heed AC. */
	faults(0xffffffff80007000, WALK_AC | WALK_IMPLICIT, WALK_PF_PRESENT);
	maps(0xffffffff80007000, WALK_USER, 0x8000);
	maps(0xffffffff80007000, WALK_FETCH, 0x8000);
	maps(0xffffffffc0000000, 0, 0x140000000);
}
END_TEST

START_TEST(reserved_bits)
{
	long_mode();
	/* Bits 52..62 are software's in long mode. */
	poke(0x5000 + 7 * 8, 8, 0x8000 | P | W | U | 0x7ffULL << 52);
	maps(0xffffffff80007000, 0, 0x8000);
	poke(0x3000 + 511 * 8, 8, 0x140200000 | PS | P | W);
	faults(0xffffffffc0000000, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	/* A large page's PAT flag is no address bit. */
	poke(0x3000 + 511 * 8, 8, 0x140000000 | 1 << 12 | PS | P | W);
	maps(0xffffffffc0000000, 0, 0x140000000);
	poke(0x2000 + 511 * 8, 8, 0x3000 | PS | P | W | U);
	faults(0xffffffffc0000000, WALK_WRITE, WALK_PF_PRESENT | WALK_PF_RESERVED | WALK_PF_WRITE);
}
END_TEST

START_TEST(five_levels)
{
	long_mode();
	sregs.cr4 |= CR4_LA57;
	sregs.cr3 = 0x1000;
	poke(0x1000 + 3 * 8, 8, 0x2000 | P | W | U);
	maps(3ULL << 48 | 511ULL << 39 | 510ULL << 30 | 0x7123, WALK_USER, 0x8123);
	ck_assert_uint_eq(peek(0x1000 + 3 * 8, 8), 0x2000 | P | W | U | A);
}
END_TEST

START_TEST(tables_outside_memory)
{
	long_mode();
	/* All ones are read there, and a top entry may not have bit 7. */
	sregs.cr3 = 0x8000000000;
	faults(0, 0, WALK_PF_PRESENT | WALK_PF_RESERVED);
	/* The last entry of memory is one; the one after it is not. */
	sregs.cr3 = RAM - 0x1000;
	poke(RAM - 8, 8, 0x3000 | P | W | U);
	maps(0xffffffff80007000, 0, 0x8000);
	sregs.efer = 0;
	sregs.cr4 = 0;
	sregs.cr3 = RAM;
	/* Two levels of all ones: the page at the end of 32-bit space. */
	maps(0, WALK_USER | WALK_WRITE, 0xfffff000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("walk");
	TCase *t = tcase_create("modes");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, paging_off);
	tcase_add_test(t, two_levels);
	tcase_add_test(t, large_pages_of_4_mib);
	tcase_add_test(t, pae);
	tcase_add_test(t, four_levels);
	tcase_add_test(t, rights_of_all_levels);
	tcase_add_test(t, smap);
	tcase_add_test(t, reserved_bits);
	tcase_add_test(t, five_levels);
	tcase_add_test(t, tables_outside_memory);
	suite_add_tcase(s, t);

	return suite_run(s);
}
