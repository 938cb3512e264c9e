// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/platform/mem.c: the map of guest memory and the bounds of every access to it. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/uapi/hv.h"
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
	p = mem_write(&mem, 0, 1);
	ck_assert_ptr_eq(p, mem.region[0].hva);
	ck_assert_ptr_eq(mem_write(&mem, 0x1234, 16), p + 0x1234);
	/* Zeroed, writable, to the last byte */
	p = mem_write(&mem, MiB(4) - 1, 1);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(*p, 0);
	*p = 1;
}
END_TEST

START_TEST(test_span_never_leaves_its_region)
{
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	ck_assert_ptr_null(mem_write(&mem, MiB(1) - 1, 1));
	ck_assert_ptr_null(mem_write(&mem, MiB(1) - 1, 2));
	ck_assert_ptr_null(mem_write(&mem, MiB(2), 1));
	ck_assert_ptr_null(mem_write(&mem, MiB(2) - 1, 2));
	ck_assert_ptr_null(mem_write(&mem, MiB(1), MiB(1) + 1));
	ck_assert_ptr_eq(mem_write(&mem, MiB(1), MiB(1)), mem.region[0].hva);
	ck_assert_ptr_eq(mem_write(&mem, MiB(1) + 5, 1), mem.region[0].hva + 5);
	/* Lengths and addresses that would wrap */
	ck_assert_ptr_null(mem_write(&mem, MiB(1), UINT64_MAX));
	ck_assert_ptr_null(mem_write(&mem, MiB(1) + 1, UINT64_MAX));
	ck_assert_ptr_null(mem_write(&mem, UINT64_MAX, 2));
	ck_assert_ptr_null(mem_write(&mem, UINT64_MAX - MiB(1), MiB(3)));
}
END_TEST

START_TEST(test_adjacent_regions_are_not_one)
{
	mem_add_ram(&mem, 0, MiB(1), &error);
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	ck_assert_ptr_nonnull(mem_write(&mem, MiB(1) - 8, 8));
	ck_assert_ptr_null(mem_write(&mem, MiB(1) - 8, 16));
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
	ck_assert_ptr_null(mem_write(&mem, MiB(100), 1));
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

/* ------------------------------------------------------------------------- */
/* Memory of a file                                                           */

/* What another process would map is what the guest has, and can be taken away by nobody. */
START_TEST(test_memfd_is_shared)
{
	uint8_t *other;

	mem.backend = MEM_MEMFD;
	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(2), &error), 0);
	ck_assert_int_eq(mem_add_ram(&mem, MiB(16), MiB(4), &error), 0);
	ck_assert_int_ge(mem.region[0].fd, 0);
	ck_assert_int_eq(mem.region[1].fd, mem.region[0].fd);
	ck_assert_uint_eq(mem.region[0].offset, 0);
	ck_assert_uint_eq(mem.region[1].offset, MiB(2));
	ck_assert_uint_eq(mem.region[1].slot, 1);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_uint_eq((uintptr_t)mem.region[i].hva % MiB(2), 0);

	other = mmap(NULL, MiB(4), PROT_READ | PROT_WRITE, MAP_SHARED, mem.region[1].fd, MiB(2));
	ck_assert_ptr_ne(other, MAP_FAILED);
	memcpy(mem_write(&mem, MiB(20) - 8, 8), "the end", 8);
	ck_assert_str_eq((char *)other + MiB(4) - 8, "the end");
	other[5] = 7;
	ck_assert_uint_eq(*(const uint8_t *)mem_read(&mem, MiB(16) + 5, 1), 7);

	ck_assert_int_eq(ftruncate(mem.region[0].fd, MiB(1)), -1);
	ck_assert_int_eq(errno, EPERM);
	mem_clear(&mem);
	ck_assert_uint_eq(other[5], 0);
	ck_assert_uint_eq(other[MiB(4) - 8], 0);
	munmap(other, MiB(4));
}
END_TEST

START_TEST(test_anonymous_memory_has_no_file)
{
	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(2), &error), 0);
	ck_assert_int_eq(mem.region[0].fd, -1);
	*(uint8_t *)mem_write(&mem, 5, 1) = 7;
	mem_clear(&mem);
	ck_assert_uint_eq(*(const uint8_t *)mem_read(&mem, 5, 1), 0);
}
END_TEST

/* A failure leaves neither a descriptor nor a mapping. */
START_TEST(test_memfd_that_cannot_be)
{
	int next = dup(0);

	mem.backend = MEM_MEMFD;
	close(next);
	ck_assert_int_lt(mem_add_ram(&mem, 0, 1ULL << 50, &error), 0);
	ck_assert_uint_eq(mem.nr_regions, 0);
	ck_assert_int_eq(dup(0), next);
	close(next);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Directions and the log                                                     */

START_TEST(test_read_only_memory)
{
	mem_add_ram(&mem, 0, MiB(1), &error);
	mem.region[0].flags = HV_SLOT_READONLY;
	ck_assert_ptr_nonnull(mem_read(&mem, 0, 1));
	ck_assert_ptr_null(mem_write(&mem, 0, 1));
}
END_TEST

/* Whether exactly these pages of region i are in the log, which is empty then. */
static void expect_log(unsigned int i, uint64_t first, uint64_t count)
{
	uint64_t words[64];

	ck_assert_uint_le(mem_log_words(&mem.region[i]), 64);
	mem_log_fetch(&mem, i, words);
	for (uint64_t page = 0; page < mem.region[i].len / MEM_PAGE; page++)
		ck_assert_msg(!(words[page / 64] & 1ULL << page % 64) ==
				      !(page >= first && page < first + count),
			      "page %llu", (unsigned long long)page);
}

START_TEST(test_log)
{
	uint8_t *p;

	mem_add_ram(&mem, 0, MiB(1), &error);
	mem_add_ram(&mem, MiB(1), KiB(4) * 70, &error);
	p = mem_write(&mem, 0, MiB(1)); /* nobody logs */
	ck_assert_int_eq(mem_log_start(&mem, &error), 0);
	ck_assert_uint_eq(mem_log_words(&mem.region[1]), 2);
	expect_log(0, 0, 0);

	mem_read(&mem, 0, MiB(1));
	expect_log(0, 0, 0);
	mem_write(&mem, 0x1fff, 1);
	expect_log(0, 1, 1);
	expect_log(0, 0, 0);
	mem_write(&mem, 0x1fff, 2);
	expect_log(0, 1, 2);
	mem_write(&mem, 0x3000, 0);
	expect_log(0, 0, 0);
	mem_write(&mem, MiB(1) - 1, 2); /* in no region */
	expect_log(0, 0, 0);
	/* Within, across and up to the end of words */
	mem_write(&mem, KiB(4) * 63, KiB(8));
	expect_log(0, 63, 2);
	mem_write(&mem, KiB(4) * 60, KiB(4) * 150);
	expect_log(0, 60, 150);
	mem_write(&mem, 0, MiB(1));
	expect_log(0, 0, 256);
	mem_write(&mem, MiB(1) + KiB(4) * 69, KiB(4));
	expect_log(0, 0, 0);
	expect_log(1, 69, 1);
	mem_mark(&mem, p + 0x5000, 0x1001);
	expect_log(0, 5, 2);
	mem_mark(&mem, p, 0);
	mem_mark(&mem, &error, 1); /* no guest memory */
	expect_log(0, 0, 0);
	mem_clear(&mem);
	expect_log(0, 0, 256);
	expect_log(1, 0, 70);

	mem_log_stop(&mem);
	mem_write(&mem, 0, 1);
	ck_assert_ptr_null(mem.region[0].dirty);
	ck_assert_int_eq(mem_log_start(&mem, &error), 0);
	expect_log(0, 0, 0);
}
END_TEST

START_TEST(test_log_without_memory)
{
	mem_add_ram(&mem, 0, MiB(1), &error);
	mem_add_ram(&mem, MiB(1), MiB(1), &error);
	allocation_to_fail = 2;
	ck_assert_int_eq(mem_log_start(&mem, &error), -ENOMEM);
	ck_assert(!mem.logging);
	ck_assert_ptr_null(mem.region[0].dirty);
	mem_write(&mem, 0, 1);
}
END_TEST

/* Several threads mark the pages of one word at once: none gets lost. */
static void *mark_every_fourth(void *arg)
{
	for (unsigned int round = 0; round < 2000; round++)
		for (uintptr_t page = (uintptr_t)arg; page < 256; page += 4)
			mem_write(&mem, page * MEM_PAGE, 1);
	return NULL;
}

START_TEST(test_log_of_threads)
{
	pthread_t thread[4];

	mem_add_ram(&mem, 0, MiB(1), &error);
	mem_log_start(&mem, &error);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, mark_every_fourth, (void *)i);
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	expect_log(0, 0, 256);
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
	tcase_add_test(tc, test_memfd_is_shared);
	tcase_add_test(tc, test_anonymous_memory_has_no_file);
	tcase_add_test(tc, test_memfd_that_cannot_be);
	tcase_add_test(tc, test_read_only_memory);
	tcase_add_test(tc, test_log);
	tcase_add_test(tc, test_log_without_memory);
	tcase_add_test(tc, test_log_of_threads);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
