// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/platform/bus.c: who answers where. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "platform/bus.h"
#include "suite.h"

/* What a device saw last. */
struct probe {
	uint64_t offset, value;
	unsigned int size, reads, writes;
	struct bus *bus;
};

static uint64_t probe_read(void *dev, uint64_t offset, unsigned int size)
{
	struct probe *p = dev;

	p->offset = offset;
	p->size = size;
	p->reads++;
	return 0x1122334455667788ULL;
}

static void probe_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct probe *p = dev;

	p->offset = offset;
	p->size = size;
	p->value = value;
	p->writes++;
}

static const struct bus_ops probe_ops = {probe_read, probe_write};

static struct bus *bus;

static void setup(void)
{
	bus = bus_create();
	ck_assert_ptr_nonnull(bus);
}

static void teardown(void)
{
	bus_destroy(bus);
}

START_TEST(test_access_reaches_its_device)
{
	struct probe a = {0}, b = {0};
	uint64_t value;

	ck_assert_int_eq(bus_add(bus, 0x100, 8, &probe_ops, &a), 0);
	ck_assert_int_eq(bus_add(bus, 0x108, 8, &probe_ops, &b), 0);

	ck_assert(bus_read(bus, 0x10c, 4, &value));
	ck_assert_uint_eq(value, 0x55667788);
	ck_assert_uint_eq(b.offset, 4);
	ck_assert_uint_eq(b.size, 4);
	ck_assert_uint_eq(a.reads, 0);

	ck_assert(bus_write(bus, 0x107, 1, 0xabcd));
	ck_assert_uint_eq(a.offset, 7);
	ck_assert_uint_eq(a.value, 0xcd);
	ck_assert_uint_eq(b.writes, 0);
}
END_TEST

START_TEST(test_values_are_as_wide_as_the_access)
{
	static const struct {
		unsigned int size;
		uint64_t value;
	} cases[] = {{1, 0x88}, {2, 0x7788}, {4, 0x55667788}, {8, 0x1122334455667788ULL}};
	struct probe p = {0};
	uint64_t value;

	bus_add(bus, 0, 8, &probe_ops, &p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert(bus_read(bus, 0, cases[i].size, &value));
		ck_assert_uint_eq(value, cases[i].value);
		bus_write(bus, 0, cases[i].size, ~0ULL);
		ck_assert_uint_eq(p.value,
				  cases[i].size == 8 ? ~0ULL : (1ULL << cases[i].size * 8) - 1);
	}
}
END_TEST

START_TEST(test_unclaimed_reads_all_ones)
{
	struct probe p = {0};
	uint64_t value = 0;

	ck_assert(!bus_read(bus, 0x10, 2, &value));
	ck_assert_uint_eq(value, 0xffff);
	ck_assert(!bus_write(bus, 0x10, 2, 0));

	/* Half in, half out, at either end: nobody's. */
	bus_add(bus, 0x10, 4, &probe_ops, &p);
	ck_assert(!bus_read(bus, 0xf, 2, &value));
	ck_assert(!bus_read(bus, 0x13, 2, &value));
	ck_assert(!bus_write(bus, 0x12, 4, 0));
	ck_assert_uint_eq(p.reads + p.writes, 0);
}
END_TEST

START_TEST(test_access_across_two_ranges_is_unclaimed)
{
	struct probe a = {0}, b = {0};
	uint64_t value;

	bus_add(bus, 0x10, 4, &probe_ops, &a);
	bus_add(bus, 0x14, 4, &probe_ops, &b);
	ck_assert(!bus_read(bus, 0x12, 4, &value));
	ck_assert_uint_eq(a.reads + b.reads, 0);
}
END_TEST

START_TEST(test_overlaps_are_refused)
{
	struct probe p = {0};

	ck_assert_int_eq(bus_add(bus, 0x100, 0x10, &probe_ops, &p), 0);
	ck_assert_int_eq(bus_add(bus, 0x100, 0x10, &probe_ops, &p), -EEXIST);
	ck_assert_int_eq(bus_add(bus, 0x10f, 1, &probe_ops, &p), -EEXIST);
	ck_assert_int_eq(bus_add(bus, 0xff, 2, &probe_ops, &p), -EEXIST);
	ck_assert_int_eq(bus_add(bus, 0x104, 2, &probe_ops, &p), -EEXIST);
	ck_assert_int_eq(bus_add(bus, 0, 0x1000, &probe_ops, &p), -EEXIST);
	ck_assert_int_eq(bus_add(bus, 0xff, 1, &probe_ops, &p), 0);
	ck_assert_int_eq(bus_add(bus, 0x110, 1, &probe_ops, &p), 0);
}
END_TEST

START_TEST(test_wrapping_and_empty_ranges_are_refused)
{
	struct probe p = {0};
	uint64_t value;

	ck_assert_int_eq(bus_add(bus, 0x100, 0, &probe_ops, &p), -EINVAL);
	ck_assert_int_eq(bus_add(bus, ~0ULL, 2, &probe_ops, &p), -EINVAL);
	/* The last byte there is can be claimed; an access that wraps behind it cannot hit. */
	ck_assert_int_eq(bus_add(bus, ~0ULL, 1, &probe_ops, &p), 0);
	ck_assert(bus_read(bus, ~0ULL, 1, &value));
	ck_assert(!bus_read(bus, ~0ULL, 4, &value));
}
END_TEST

START_TEST(test_remove_needs_base_and_owner)
{
	struct probe a = {0}, b = {0};
	uint64_t value;

	bus_add(bus, 0x100, 8, &probe_ops, &a);
	ck_assert_int_eq(bus_remove(bus, 0x101, &a), -ENOENT);
	ck_assert_int_eq(bus_remove(bus, 0x100, &b), -ENOENT);
	ck_assert_int_eq(bus_remove(bus, 0x100, &a), 0);
	ck_assert_int_eq(bus_remove(bus, 0x100, &a), -ENOENT);
	ck_assert(!bus_read(bus, 0x100, 1, &value));
	ck_assert_int_eq(bus_add(bus, 0x104, 8, &probe_ops, &b), 0);
}
END_TEST

START_TEST(test_many_ranges_stay_in_order)
{
	static struct probe probes[200];
	uint64_t value;

	/* 7 and 200 have no common factor: every index once, out of order. */
	for (int i = 0; i < 200; i++) {
		int at = i * 7 % 200;

		ck_assert_int_eq(bus_add(bus, at * 16, 8, &probe_ops, &probes[at]), 0);
	}
	for (int i = 0; i < 200; i++) {
		ck_assert(bus_read(bus, i * 16 + 3, 1, &value));
		ck_assert_uint_eq(probes[i].reads, 1);
		ck_assert(!bus_read(bus, i * 16 + 8, 1, &value));
	}
}
END_TEST

/* A BAR register moves the very range through which it is written. */
static void mover_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct probe *p = dev;

	(void)offset;
	(void)size;
	ck_assert_int_eq(bus_remove(p->bus, 0x100, p), 0);
	ck_assert_int_eq(bus_add(p->bus, value, 8, &probe_ops, p), 0);
}

START_TEST(test_ranges_move_from_inside_an_access)
{
	static const struct bus_ops mover_ops = {probe_read, mover_write};
	struct probe p = {.bus = bus};
	uint64_t value;

	bus_add(bus, 0x100, 8, &mover_ops, &p);
	ck_assert(bus_write(bus, 0x100, 4, 0x200));
	ck_assert(!bus_read(bus, 0x100, 4, &value));
	ck_assert(bus_read(bus, 0x200, 4, &value));
}
END_TEST

static atomic_bool done;

static void *reader(void *arg)
{
	uint64_t value;

	while (!atomic_load(&done)) {
		bus_read(arg, 0x1000, 4, &value);
		bus_read(arg, 0x2004, 4, &value);
	}
	return NULL;
}

START_TEST(test_removed_from_the_middle)
{
	struct probe p[4] = {{0}};
	uint64_t value;

	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_eq(bus_add(bus, i * 0x10, 8, &probe_ops, &p[i]), 0);
	ck_assert_int_eq(bus_remove(bus, 0x10, &p[1]), 0);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert(bus_read(bus, i * 0x10, 4, &value) == (i != 1));
		ck_assert_uint_eq(p[i].reads, i != 1);
	}
}
END_TEST

START_TEST(test_ranges_come_and_go_under_readers)
{
	struct probe fixed = {0}, moving = {0};
	pthread_t thread;

	atomic_store(&done, false);
	bus_add(bus, 0x1000, 8, &probe_ops, &fixed);
	ck_assert_int_eq(pthread_create(&thread, NULL, reader, bus), 0);
	for (int i = 0; i < 20000; i++) {
		ck_assert_int_eq(bus_add(bus, 0x2000, 8, &probe_ops, &moving), 0);
		ck_assert_int_eq(bus_remove(bus, 0x2000, &moving), 0);
	}
	atomic_store(&done, true);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tc = tcase_create("bus");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_access_reaches_its_device);
	tcase_add_test(tc, test_values_are_as_wide_as_the_access);
	tcase_add_test(tc, test_unclaimed_reads_all_ones);
	tcase_add_test(tc, test_access_across_two_ranges_is_unclaimed);
	tcase_add_test(tc, test_overlaps_are_refused);
	tcase_add_test(tc, test_wrapping_and_empty_ranges_are_refused);
	tcase_add_test(tc, test_remove_needs_base_and_owner);
	tcase_add_test(tc, test_many_ranges_stay_in_order);
	tcase_add_test(tc, test_removed_from_the_middle);
	tcase_add_test(tc, test_ranges_move_from_inside_an_access);
	tcase_add_test(tc, test_ranges_come_and_go_under_readers);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
