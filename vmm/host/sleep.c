// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel ends a timer on the real-time clock early when that clock is set, and when the host has slept
 * (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). Which of the two it was tell the clocks that count sleep and do not.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/sleep.h"

#define NSEC 1000000000LL
/* Somebody else may run between two looks at clocks. */
#define CLOSE_ENOUGH (NSEC / 1000)
#define MAX_LOOKS    16

/* The first time that the kernel cannot count to: the timer never expires. */
#define END_OF_TIME INT64_MAX

static int64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

/* How long it has slept since its boot is between these two. */
static void read_slept(int64_t *least, int64_t *most)
{
	for (unsigned int i = 0; i < MAX_LOOKS; i++) {
		int64_t before = now(CLOCK_MONOTONIC);
		int64_t boot = now(CLOCK_BOOTTIME);
		int64_t after = now(CLOCK_MONOTONIC);

		*least = boot - after;
		*most = boot - before;
		if (after - before < CLOSE_ENOUGH)
			return;
	}
}

static int arm(int fd)
{
	const struct itimerspec never = {.it_value = {.tv_sec = END_OF_TIME}};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL)
		       ? -errno
		       : 0;
}

int sleep_open(struct sleep_watch *w, struct error *e)
{
	int64_t least;
	int ret;

	w->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	ret = w->fd < 0 ? -errno : arm(w->fd);
	if (ret) {
		sleep_close(w);
		return error_set(e, -ret, "cannot notice when the host sleeps: %s", strerror(-ret));
	}
	read_slept(&least, &w->slept);
	return 0;
}

uint64_t sleep_look(struct sleep_watch *w)
{
	int64_t least, most, before = w->slept;
	uint64_t expired;

	/* ECANCELED; and once more from now on. */
	(void)!read(w->fd, &expired, sizeof(expired));
	arm(w->fd);
	read_slept(&least, &most);
	w->slept = most;
	return least > before ? (uint64_t)(least - before) : 0;
}

void sleep_close(struct sleep_watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
