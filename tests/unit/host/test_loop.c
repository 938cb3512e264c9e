// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/host/loop.c: descriptors, timers, and what may be done to them from where. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "host/loop.h"
#include "suite.h"

#define MSEC 1000000ULL

static struct loop *loop;
static struct loop_timer *self, *second;

static void setup(void)
{
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_destroy(loop);
	/* What nobody points to any more is a leak, and an error. */
	loop = NULL;
	self = NULL;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* Run, but no longer than this: an event that must not come does not hang the test. */
static void run_for(unsigned int ms)
{
	struct loop_timer *t = loop_timer_create(loop, stop, NULL);

	loop_timer_arm(t, now() + ms * MSEC);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_destroy(t);
}

/* The number that the next descriptor gets. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* A process that may open no more, at each of the descriptors that a loop needs; and one without input. */
START_TEST(test_creation)
{
	int next = next_fd(), left = 0;
	struct rlimit old, limit;
	struct loop *one;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (;; left++) {
		limit = (struct rlimit){.rlim_cur = next + left, .rlim_max = old.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		one = loop_create();
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (one)
			break;
		ck_assert_int_eq(next_fd(), next);
	}
	ck_assert_int_ge(left, 3);
	ck_assert_int_gt(next_fd(), next);
	loop_destroy(one);
	ck_assert_int_eq(next_fd(), next);

	close(STDIN_FILENO);
	one = loop_create();
	ck_assert_ptr_nonnull(one);
	loop_stop(one);
	ck_assert_int_eq(loop_run(one), 0);
	loop_destroy(one);
	ck_assert_int_eq(next_fd(), STDIN_FILENO);
	loop_destroy(NULL);
}
END_TEST

START_TEST(test_stop_before_run_counts_once)
{
	loop_stop(loop);
	loop_stop(loop);
	ck_assert_int_eq(loop_run(loop), 0);
	/* The next run is a new one. */
	run_for(5);
}
END_TEST

static unsigned int events_seen;

static void count_and_stop(void *arg, int fd, uint32_t events)
{
	uint64_t value;

	ck_assert_ptr_eq(arg, &events_seen);
	ck_assert_uint_eq(events & EPOLLIN, EPOLLIN);
	ck_assert_int_eq(read(fd, &value, sizeof(value)), sizeof(value));
	events_seen++;
	loop_stop(loop);
}

START_TEST(test_fd_event)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	events_seen = 0;
	ck_assert_int_eq(loop_add_fd(loop, fd, EPOLLIN, count_and_stop, &events_seen), 0);
	ck_assert_int_eq(loop_add_fd(loop, fd, EPOLLIN, count_and_stop, &events_seen), -EEXIST);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(events_seen, 1);

	loop_del_fd(loop, fd);
	eventfd_write(fd, 1);
	run_for(20);
	ck_assert_uint_eq(events_seen, 1);
	/* Once removed it can be added, and removing it twice is no error. */
	ck_assert_int_eq(loop_add_fd(loop, fd, EPOLLIN, count_and_stop, &events_seen), 0);
	loop_del_fd(loop, fd);
	loop_del_fd(loop, fd);
	close(fd);
}
END_TEST

START_TEST(test_bad_fds)
{
	ck_assert_int_eq(loop_add_fd(loop, -1, EPOLLIN, count_and_stop, NULL), -EBADF);
	ck_assert_int_eq(loop_mod_fd(loop, 0, EPOLLIN), -ENOENT);
}
END_TEST

START_TEST(test_mod_to_nothing_and_back)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	events_seen = 0;
	loop_add_fd(loop, fd, 0, count_and_stop, &events_seen);
	run_for(20);
	ck_assert_uint_eq(events_seen, 0);
	ck_assert_int_eq(loop_mod_fd(loop, fd, EPOLLIN), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(events_seen, 1);
	ck_assert_int_eq(loop_mod_fd(loop, fd, 0), 0);
	eventfd_write(fd, 1);
	run_for(20);
	ck_assert_uint_eq(events_seen, 1);
	loop_del_fd(loop, fd);
	close(fd);
}
END_TEST

static void count_event(void *arg, int fd, uint32_t events)
{
	(void)arg;
	(void)fd;
	(void)events;
	events_seen++;
}

static void note_hangup(void *arg, int fd, uint32_t events)
{
	*(uint32_t *)arg = events;
	loop_del_fd(loop, fd);
	loop_stop(loop);
}

/* A hang-up and an error are told to whoever watches, asked for or not. */
START_TEST(test_hangup_is_told)
{
	uint32_t events = 0;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	loop_add_fd(loop, fds[0], EPOLLIN, note_hangup, &events);
	close(fds[1]);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(events, EPOLLHUP);
	close(fds[0]);

	ck_assert_int_eq(pipe(fds), 0);
	loop_add_fd(loop, fds[1], EPOLLPRI, note_hangup, &events);
	close(fds[0]);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(events, EPOLLERR);
	close(fds[1]);
}
END_TEST

START_TEST(test_hangup_of_a_silenced_fd_does_not_spin)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	events_seen = 0;
	loop_add_fd(loop, fds[0], 0, count_event, NULL);
	close(fds[1]);
	run_for(20);
	ck_assert_uint_eq(events_seen, 0);
	loop_del_fd(loop, fds[0]);
	close(fds[0]);
}
END_TEST

/* Two descriptors become ready in one go; the first removes and closes the other. */
static int pair[2];

static void remove_other(void *arg, int fd, uint32_t events)
{
	int other = fd == pair[0] ? pair[1] : pair[0];

	(void)arg;
	(void)events;
	events_seen++;
	loop_del_fd(loop, other);
	loop_del_fd(loop, fd);
	close(other);
	/* A new descriptor with the same number must not get the old one's event. */
	ck_assert_int_eq(dup2(STDERR_FILENO, other), other);
}

START_TEST(test_removed_fd_gets_no_stale_event)
{
	pair[0] = eventfd(1, EFD_NONBLOCK);
	pair[1] = eventfd(1, EFD_NONBLOCK);
	events_seen = 0;
	loop_add_fd(loop, pair[0], EPOLLIN, remove_other, NULL);
	loop_add_fd(loop, pair[1], EPOLLIN, remove_other, NULL);
	run_for(20);
	ck_assert_uint_eq(events_seen, 1);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

static void successor_called(void *arg, int fd, uint32_t events)
{
	(void)arg;
	(void)events;
	ck_abort_msg("an event for %d came to the watch that followed", fd);
}

static void replace_other(void *arg, int fd, uint32_t events)
{
	int other = fd == pair[0] ? pair[1] : pair[0];
	int quiet = eventfd(0, EFD_NONBLOCK);

	(void)arg;
	(void)events;
	events_seen++;
	loop_del_fd(loop, fd);
	loop_del_fd(loop, other);
	ck_assert_int_eq(dup2(quiet, other), other);
	close(quiet);
	ck_assert_int_eq(loop_add_fd(loop, other, EPOLLIN, successor_called, NULL), 0);
}

/* The number is watched again, for another descriptor, while the event is in hand. */
START_TEST(test_successor_gets_no_stale_event)
{
	pair[0] = eventfd(1, EFD_NONBLOCK);
	pair[1] = eventfd(1, EFD_NONBLOCK);
	events_seen = 0;
	loop_add_fd(loop, pair[0], EPOLLIN, replace_other, NULL);
	loop_add_fd(loop, pair[1], EPOLLIN, replace_other, NULL);
	run_for(20);
	ck_assert_uint_eq(events_seen, 1);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

#define MANY 300
static unsigned int calls[MANY];

static void count_own(void *arg, int fd, uint32_t events)
{
	unsigned int *own = arg;
	uint64_t value;

	(void)events;
	ck_assert_int_eq(read(fd, &value, sizeof(value)), sizeof(value));
	ck_assert_uint_eq(value, own - calls + 1);
	++*own;
}

/* Each event to its own callback, of many, some of which went before. */
START_TEST(test_many_fds)
{
	int fd[MANY];

	for (unsigned int i = 0; i < MANY; i++) {
		fd[i] = eventfd(i + 1, EFD_NONBLOCK);
		ck_assert_int_eq(loop_add_fd(loop, fd[i], EPOLLIN, count_own, &calls[i]), 0);
	}
	for (unsigned int i = 0; i < MANY; i += 3)
		loop_del_fd(loop, fd[i]);
	run_for(50);
	for (unsigned int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(calls[i], i % 3 != 0);
		close(fd[i]);
	}
}
END_TEST

static char order[8];
static size_t order_len;

static void note(void *arg)
{
	order[order_len++] = *(char *)arg;
	order[order_len] = '\0';
}

START_TEST(test_timers_fire_once_in_order_not_early)
{
	char name[] = "abc";
	struct loop_timer *a = loop_timer_create(loop, note, &name[0]);
	struct loop_timer *b = loop_timer_create(loop, note, &name[1]);
	struct loop_timer *c = loop_timer_create(loop, note, &name[2]);
	uint64_t start = now();

	order_len = 0;
	loop_timer_arm(c, start + 3 * MSEC);
	loop_timer_arm(a, start + 1 * MSEC);
	loop_timer_arm(b, start + 2 * MSEC);
	run_for(30);
	ck_assert_str_eq(order, "abc");
	ck_assert_uint_ge(now() - start, 3 * MSEC);

	/* Disarmed, moved and destroyed timers */
	order_len = 0;
	order[0] = '\0';
	loop_timer_arm(a, now() + 5 * MSEC);
	loop_timer_arm(a, 0);
	loop_timer_arm(b, now() + 1000000 * MSEC);
	loop_timer_arm(b, now() + 5 * MSEC);
	loop_timer_arm(c, now() + 5 * MSEC);
	loop_timer_destroy(c);
	run_for(30);
	ck_assert_str_eq(order, "b");
	loop_timer_destroy(a);
	loop_timer_destroy(b);
	loop_timer_destroy(NULL);
}
END_TEST

static unsigned int fired;

static void arm_in_the_past(void *arg)
{
	(void)arg;
	fired++;
	loop_timer_arm(self, 1);
}

START_TEST(test_timer_in_the_past_does_not_starve_descriptors)
{
	int fd = eventfd(1, EFD_NONBLOCK);

	events_seen = 0;
	fired = 0;
	self = loop_timer_create(loop, arm_in_the_past, NULL);
	loop_timer_arm(self, 1);
	loop_add_fd(loop, fd, EPOLLIN, count_and_stop, &events_seen);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(events_seen, 1);
	loop_del_fd(loop, fd);
	close(fd);
	loop_timer_destroy(self);
}
END_TEST

static void arm_second(void *arg)
{
	fired++;
	loop_timer_arm(second, arg ? now() + 3600000 * MSEC : 0);
	loop_stop(loop);
}

static void must_not_fire(void *arg)
{
	(void)arg;
	ck_abort_msg("a timer that was armed anew or disarmed fired at its old time");
}

/* Both are due; the first moves the other, or disarms it (_i: 0). */
START_TEST(test_due_timer_armed_anew)
{
	fired = 0;
	second = loop_timer_create(loop, must_not_fire, NULL);
	self = loop_timer_create(loop, arm_second, _i ? &fired : NULL);
	loop_timer_arm(second, 2);
	loop_timer_arm(self, 1);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(fired, 1);
	run_for(20);
	loop_timer_destroy(self);
	loop_timer_destroy(second);
}
END_TEST

static void destroy_self(void *arg)
{
	(void)arg;
	fired++;
	loop_timer_destroy(self);
	loop_stop(loop);
}

START_TEST(test_timer_may_destroy_itself)
{
	fired = 0;
	self = loop_timer_create(loop, destroy_self, NULL);
	loop_timer_arm(self, now());
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(fired, 1);
}
END_TEST

static atomic_bool entered, left;

static void slow_event(void *arg, int fd, uint32_t events)
{
	(void)arg;
	(void)fd;
	(void)events;
	atomic_store(&entered, true);
	usleep(50000);
	atomic_store(&left, true);
}

static void *run_thread(void *arg)
{
	(void)arg;
	ck_assert_int_eq(loop_run(loop), 0);
	return NULL;
}

START_TEST(test_removal_from_another_thread_waits_for_the_callback)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	pthread_t thread;

	atomic_store(&entered, false);
	atomic_store(&left, false);
	loop_add_fd(loop, fd, EPOLLIN, slow_event, NULL);
	pthread_create(&thread, NULL, run_thread, NULL);
	while (!atomic_load(&entered))
		usleep(1000);
	loop_del_fd(loop, fd);
	ck_assert(atomic_load(&left));
	loop_stop(loop);
	pthread_join(thread, NULL);
	close(fd);
}
END_TEST

static void slow_timer(void *arg)
{
	slow_event(arg, -1, 0);
}

START_TEST(test_timer_destroyed_from_another_thread_waits)
{
	struct loop_timer *t = loop_timer_create(loop, slow_timer, NULL);
	pthread_t thread;

	atomic_store(&entered, false);
	atomic_store(&left, false);
	loop_timer_arm(t, 1);
	pthread_create(&thread, NULL, run_thread, NULL);
	while (!atomic_load(&entered))
		usleep(1000);
	loop_timer_destroy(t);
	ck_assert(atomic_load(&left));
	/* Arming wakes a loop that sleeps with no deadline at all. */
	t = loop_timer_create(loop, stop, NULL);
	loop_timer_arm(t, now() + MSEC);
	pthread_join(thread, NULL);
	loop_timer_destroy(t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_creation);
	tcase_add_test(tc, test_stop_before_run_counts_once);
	tcase_add_test(tc, test_fd_event);
	tcase_add_test(tc, test_bad_fds);
	tcase_add_test(tc, test_mod_to_nothing_and_back);
	tcase_add_test(tc, test_hangup_is_told);
	tcase_add_test(tc, test_hangup_of_a_silenced_fd_does_not_spin);
	tcase_add_test(tc, test_removed_fd_gets_no_stale_event);
	tcase_add_test(tc, test_successor_gets_no_stale_event);
	tcase_add_test(tc, test_many_fds);
	tcase_add_test(tc, test_timers_fire_once_in_order_not_early);
	tcase_add_test(tc, test_timer_in_the_past_does_not_starve_descriptors);
	tcase_add_loop_test(tc, test_due_timer_armed_anew, 0, 2);
	tcase_add_test(tc, test_timer_may_destroy_itself);
	tcase_add_test(tc, test_removal_from_another_thread_waits_for_the_callback);
	tcase_add_test(tc, test_timer_destroyed_from_another_thread_waits);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
