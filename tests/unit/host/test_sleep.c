// SPDX-License-Identifier: GPL-2.0-or-later
/* That the host slept (vmm/host/sleep.c); its clocks are functions here. */
#include <check.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "host/sleep.h"
#include "suite.h"

#define MSEC 1000000LL
#define NSEC 1000000000LL

static int64_t awake, asleep; /* since boot */
static int64_t interrupted;   /* each look takes so long */

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int64_t ns;

	awake += interrupted;
	ns = clock == CLOCK_BOOTTIME ? awake + asleep : awake;
	ck_assert(clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC);
	*t = (struct timespec){.tv_sec = ns / NSEC, .tv_nsec = ns % NSEC};
	return 0;
}

static struct sleep_watch watch;

static void set_up(void)
{
	struct error e;

	awake = 1000 * NSEC;
	asleep = 50 * NSEC;
	interrupted = 1;
	ck_assert_int_eq(sleep_open(&watch, &e), 0);
}

static void tear_down(void)
{
	sleep_close(&watch);
	ck_assert_int_lt(watch.fd, 0);
}

START_TEST(sleep_is_told_once)
{
	uint64_t slept;

	/* Of before it was opened nothing is told, nor of time that passes. */
	ck_assert_uint_eq(sleep_look(&watch), 0);
	awake += 5000 * NSEC;
	ck_assert_uint_eq(sleep_look(&watch), 0);
	asleep += 20 * NSEC;
	slept = sleep_look(&watch);
	ck_assert_uint_le(slept, 20 * NSEC);
	ck_assert_uint_gt(slept, 19 * NSEC);
	ck_assert_uint_eq(sleep_look(&watch), 0);
	asleep += MSEC;
	ck_assert_uint_gt(sleep_look(&watch), 0);
}
END_TEST

/* A monitor that has no processor while it looks takes that for no sleep. */
START_TEST(waiting_is_no_sleep)
{
	for (unsigned int i = 0; i < 8; i++) {
		interrupted = i % 2 ? 1 : 700 * MSEC;
		ck_assert_uint_eq(sleep_look(&watch), 0);
	}
	interrupted = 700 * MSEC;
	asleep += 20 * NSEC;
	ck_assert_uint_gt(sleep_look(&watch), 0);
}
END_TEST

/* The timer is one that the kernel ends, and no other time does. */
START_TEST(nothing_wakes_us)
{
	struct pollfd p = {.fd = watch.fd, .events = POLLIN};
	struct itimerspec left;

	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(poll(&p, 1, 0), 0);
		ck_assert_int_eq(timerfd_gettime(watch.fd, &left), 0);
		/* A century. */
		ck_assert_int_gt(left.it_value.tv_sec, 100LL * 365 * 86400);
		ck_assert_int_eq(left.it_interval.tv_sec, 0);
		sleep_look(&watch);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sleep");
	TCase *t = tcase_create("sleep");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, sleep_is_told_once);
	tcase_add_test(t, waiting_is_no_sleep);
	tcase_add_test(t, nothing_wakes_us);
	suite_add_tcase(s, t);
	return suite_run(s);
}
