// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/platform/mem.c: the map of guest memory and the bounds of every access to it. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/layout.h"
#include "platform/mem.h"
#include "suite.h"

static struct mem mem;
static struct error error;

static void setup(void)
{
	memset(&mem, 0, sizeof(mem));
	memset(&error, 0, sizeof(error));
}

static void teardown(void)
{
	mem_destroy(&mem);
}

START_TEST(test_span_inside_a_region)
{
	uint8_t *p;

	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(4), &error), 0);
	p = mem_span(&mem, 0, 1);
	ck_assert_ptr_eq(p, mem.region[0].hva);
	ck_assert_ptr_eq(mem_span(&mem, 0x1234, 16), p + 0x1234);
	/* Zeroed, writable, to the last byte */
	p = mem_span(&mem, MiB(4) - 1, 1);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(*p, 0);
	*p = 1;
}
END_TEST

START_TEST(test_span_never_leaves_its_region)
{
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	ck_assert_ptr_null(mem_span(&mem, MiB(1) - 1, 1));
	ck_assert_ptr_null(mem_span(&mem, MiB(1) - 1, 2));
	ck_assert_ptr_null(mem_span(&mem, MiB(2), 1));
	ck_assert_ptr_null(mem_span(&mem, MiB(2) - 1, 2));
	ck_assert_ptr_null(mem_span(&mem, MiB(1), MiB(1) + 1));
	ck_assert_ptr_eq(mem_span(&mem, MiB(1), MiB(1)), mem.region[0].hva);
	ck_assert_ptr_eq(mem_span(&mem, MiB(1) + 5, 1), mem.region[0].hva + 5);
	/* Lengths and addresses that would wrap */
	ck_assert_ptr_null(mem_span(&mem, MiB(1), UINT64_MAX));
	ck_assert_ptr_null(mem_span(&mem, MiB(1) + 1, UINT64_MAX));
	ck_assert_ptr_null(mem_span(&mem, UINT64_MAX, 2));
	ck_assert_ptr_null(mem_span(&mem, UINT64_MAX - MiB(1), MiB(3)));
}
END_TEST

START_TEST(test_adjacent_regions_are_not_one)
{
	mem_add_ram(&mem, 0, MiB(1), &error);
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	ck_assert_ptr_nonnull(mem_span(&mem, MiB(1) - 8, 8));
	ck_assert_ptr_null(mem_span(&mem, MiB(1) - 8, 16));
}
END_TEST

START_TEST(test_regions_are_sorted)
{
	mem_add_ram(&mem, MiB(8), MiB(1), &error);
	mem_add_ram(&mem, MiB(2), MiB(1), &error);
	mem_add_ram(&mem, MiB(4), MiB(1), &error);
	ck_assert_uint_eq(mem.nr_regions, 3);
	ck_assert_uint_eq(mem.region[0].gpa, MiB(2));
	ck_assert_uint_eq(mem.region[1].gpa, MiB(4));
	ck_assert_uint_eq(mem.region[2].gpa, MiB(8));
}
END_TEST

START_TEST(test_host_address_is_congruent_for_large_pages)
{
	static const uint64_t gpa[] = {0, KiB(640), MiB(1), MiB(7), LAYOUT_HIGH_RAM};

	for (size_t i = 0; i < sizeof(gpa) / sizeof(gpa[0]); i++) {
		struct mem one = {0};
		uint64_t len = MiB(2) + KiB(4) * i;

		ck_assert_int_eq(mem_add_ram(&one, gpa[i], len, &error), 0);
		ck_assert_uint_eq(((uintptr_t)one.region[0].hva - gpa[i]) % MiB(2), 0);
		/* What was cut off is not ours, what was kept is: first and last byte. */
		one.region[0].hva[0] = 1;
		one.region[0].hva[len - 1] = 1;
		mem_destroy(&one);
	}
}
END_TEST

/* Address space that was taken to have a choice is given back. */
static unsigned long address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	ck_assert_int_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * 4096;
}

START_TEST(test_nothing_is_left_mapped)
{
	unsigned long before;

	address_space(); /* what the first call needs for itself */
	before = address_space();
	for (unsigned int i = 0; i < 64; i++) {
		ck_assert_int_eq(mem_add_ram(&mem, MiB(1) + KiB(4) * i, MiB(4), &error), 0);
		ck_assert_uint_le(address_space(), before + MiB(4));
		mem_destroy(&mem);
		ck_assert_uint_le(address_space(), before);
	}
}
END_TEST

START_TEST(test_bad_ranges_are_refused)
{
	ck_assert_int_eq(mem_add_ram(&mem, 0, 0, &error), -EINVAL);
	ck_assert_int_eq(mem_add_ram(&mem, 1, KiB(4), &error), -EINVAL);
	ck_assert_int_eq(mem_add_ram(&mem, 0, KiB(4) + 1, &error), -EINVAL);
	ck_assert_int_eq(mem_add_ram(&mem, UINT64_MAX - 0xfff, KiB(8), &error), -EINVAL);
	ck_assert_int_eq(mem_add_ram(&mem, KiB(4), UINT64_MAX - 0xfff, &error), -EINVAL);
	ck_assert_uint_eq(mem.nr_regions, 0);
	ck_assert(error.text[0]);
}
END_TEST

START_TEST(test_overlaps_are_refused)
{
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	ck_assert_int_eq(mem_add_ram(&mem, MiB(1), MiB(1), &error), -EEXIST);
	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(1) + KiB(4), &error), -EEXIST);
	ck_assert_int_eq(mem_add_ram(&mem, MiB(2) - KiB(4), MiB(1), &error), -EEXIST);
	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(1), &error), 0);
	ck_assert_int_eq(mem_add_ram(&mem, MiB(2), MiB(1), &error), 0);
}
END_TEST

START_TEST(test_regions_are_limited)
{
	for (unsigned int i = 0; i < MEM_MAX_REGIONS; i++)
		ck_assert_int_eq(mem_add_ram(&mem, MiB(i), KiB(4), &error), 0);
	ck_assert_int_eq(mem_add_ram(&mem, MiB(100), KiB(4), &error), -ENOSPC);
	ck_assert_ptr_null(mem_span(&mem, MiB(100), 1));
}
END_TEST

START_TEST(test_more_than_the_address_space_is_an_error_that_helps)
{
	ck_assert_int_eq(mem_add_ram(&mem, 0, 1ULL << 50, &error), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(error.text, "less"));
	ck_assert_str_eq(error.path, "memory");
	ck_assert_str_eq(error.code, "no-memory");
	ck_assert_uint_eq(mem.nr_regions, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mem");
	TCase *tc = tcase_create("mem");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_span_inside_a_region);
	tcase_add_test(tc, test_span_never_leaves_its_region);
	tcase_add_test(tc, test_adjacent_regions_are_not_one);
	tcase_add_test(tc, test_regions_are_sorted);
	tcase_add_test(tc, test_host_address_is_congruent_for_large_pages);
	tcase_add_test(tc, test_nothing_is_left_mapped);
	tcase_add_test(tc, test_bad_ranges_are_refused);
	tcase_add_test(tc, test_overlaps_are_refused);
	tcase_add_test(tc, test_regions_are_limited);
	tcase_add_test(tc, test_more_than_the_address_space_is_an_error_that_helps);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
