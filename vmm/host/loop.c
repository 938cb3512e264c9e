// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop: one epoll set, one timerfd for all timers. cmd/session.c runs it
 * on the main thread; devices add descriptors and timers from any thread.
 *
 * An event names its descriptor and the watch of it that it is of, so it is told
 * by one look into a table, and one that was reported for a watch that is gone
 * by then is told from one for its successor.
 *
 * Before a callback runs, the loop writes down what it runs (running), with the
 * lock held; removing that very thing from another thread waits until it ended.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "host/loop.h"
#include "log.h"

#define NSEC		1000000000ULL
#define EVENTS_PER_WAIT 16

struct watch {
	uint32_t id; /* not used again soon, unlike fd */
	int fd;
	uint32_t events;
	loop_fd_fn fn;
	void *arg;
};

struct loop_timer {
	struct loop_timer *next;
	struct loop *loop;
	uint64_t deadline; /* 0: not armed */
	bool due;	   /* expired, to run in this turn */
	loop_timer_fn fn;
	void *arg;
};

struct loop {
	int epoll_fd; /* constant */
	int timer_fd; /* constant */
	int wake_fd;  /* constant; signalled to end loop_run() */

	pthread_mutex_t lock; /* protects everything below */
	pthread_cond_t idle;  /* running became NULL */
	struct watch **watch; /* by descriptor, NULL: none */
	size_t nr_watch;      /* length of that table */
	struct loop_timer *timers;
	uint32_t last_id;
	const void *running; /* the watch or timer whose callback runs */
	pthread_t thread;    /* that runs it; valid while running is set */
	bool stop;
};

/* epoll's data: the descriptor, and the watch's id; the loop's own descriptors need none. */
static int epoll_change(struct loop *loop, int op, int fd, uint32_t events, uint32_t id)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = (uint64_t)id << 32 | (uint32_t)fd,
	};

	return epoll_ctl(loop->epoll_fd, op, fd, &event) ? -errno : 0;
}

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->idle, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->wake_fd < 0 ||
	    epoll_change(loop, EPOLL_CTL_ADD, loop->wake_fd, EPOLLIN, 0) ||
	    epoll_change(loop, EPOLL_CTL_ADD, loop->timer_fd, EPOLLIN, 0)) {
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	for (size_t fd = 0; fd < loop->nr_watch; fd++)
		free(loop->watch[fd]);
	free(loop->watch);
	close_if_open(loop->epoll_fd);
	close_if_open(loop->timer_fd);
	close_if_open(loop->wake_fd);
	pthread_cond_destroy(&loop->idle);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

static void drain(int fd)
{
	uint64_t count;

	/* Not blocking; an empty counter is as good as a drained one. */
	if (read(fd, &count, sizeof(count)) < 0)
		return;
}

void loop_stop(struct loop *loop)
{
	const uint64_t one = 1;

	/* Flag and counter change together, or a late count would wake for nothing, for ever. */
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	/* Fails only when the counter is full, and then the loop wakes anyway. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		log_error("cannot wake the event loop: %s", strerror(errno));
	pthread_mutex_unlock(&loop->lock);
}

static bool on_loop_callback(const struct loop *loop)
{
	return loop->running && pthread_equal(loop->thread, pthread_self());
}

/* Called with the lock held; returns with it held. */
static void run_begin(struct loop *loop, const void *what)
{
	loop->running = what;
	loop->thread = pthread_self();
	pthread_mutex_unlock(&loop->lock);
}

static void run_end(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->running = NULL;
	pthread_cond_broadcast(&loop->idle);
}

/* Called with the lock held: wait until the callback of "what" is over, unless it is we. */
static void wait_until_over(struct loop *loop, const void *what)
{
	while (loop->running == what && !on_loop_callback(loop))
		pthread_cond_wait(&loop->idle, &loop->lock);
}

/* ------------------------------------------------------------------------- */
/* Timers                                                                     */

uint64_t loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + t.tv_nsec;
}

uint64_t loop_now_ms(void)
{
	return loop_now() / 1000000;
}

/* Called with the lock held. */
static void set_timer_fd(struct loop *loop)
{
	struct itimerspec when = {0};
	uint64_t first = UINT64_MAX;

	for (const struct loop_timer *t = loop->timers; t; t = t->next) {
		if (t->deadline && t->deadline < first)
			first = t->deadline;
	}
	/* None armed: all zeroes disarm the timerfd, too. */
	if (first != UINT64_MAX) {
		when.it_value.tv_sec = first / NSEC;
		when.it_value.tv_nsec = first % NSEC;
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static struct loop_timer *first_due(struct loop *loop)
{
	struct loop_timer *first = NULL;

	for (struct loop_timer *t = loop->timers; t; t = t->next) {
		if (t->due && (!first || t->deadline < first->deadline))
			first = t;
	}
	return first;
}

/*
 * Run what had expired when we came, in order, and nothing else: a timer that
 * arms itself again in the past must not keep the descriptors waiting. A
 * callback may arm, create and destroy any timer, so each step looks anew.
 */
static void run_timers(struct loop *loop)
{
	uint64_t now = loop_now();
	struct loop_timer *t;

	drain(loop->timer_fd);
	pthread_mutex_lock(&loop->lock);
	for (t = loop->timers; t; t = t->next)
		t->due = t->deadline && t->deadline <= now;
	while ((t = first_due(loop))) {
		t->due = false;
		t->deadline = 0;
		run_begin(loop, t);
		t->fn(t->arg);
		run_end(loop);
	}
	set_timer_fd(loop);
	pthread_mutex_unlock(&loop->lock);
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->fn = fn;
	t->arg = arg;
	pthread_mutex_lock(&loop->lock);
	t->next = loop->timers;
	loop->timers = t;
	pthread_mutex_unlock(&loop->lock);
	return t;
}

void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns)
{
	struct loop *loop = t->loop;

	pthread_mutex_lock(&loop->lock);
	t->deadline = deadline_ns;
	t->due = false;
	set_timer_fd(loop);
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_destroy(struct loop_timer *t)
{
	struct loop_timer **link;
	struct loop *loop;

	if (!t)
		return;
	loop = t->loop;
	pthread_mutex_lock(&loop->lock);
	for (link = &loop->timers; *link != t; link = &(*link)->next)
		;
	*link = t->next;
	wait_until_over(loop, t);
	pthread_mutex_unlock(&loop->lock);
	free(t);
}

/* ------------------------------------------------------------------------- */
/* Descriptors                                                                */

/* Called with the lock held. */
static struct watch *find_fd(struct loop *loop, int fd)
{
	return fd >= 0 && (size_t)fd < loop->nr_watch ? loop->watch[fd] : NULL;
}

/* Called with the lock held: room for fd in the table. Descriptors are the lowest free numbers. */
static int extend_table(struct loop *loop, int fd)
{
	size_t nr = loop->nr_watch ? loop->nr_watch : 16;
	struct watch **watch;

	if (fd < 0)
		return -EBADF;
	if ((size_t)fd < loop->nr_watch)
		return 0;
	while (nr <= (size_t)fd)
		nr *= 2;
	watch = realloc(loop->watch, nr * sizeof(struct watch *));
	if (!watch)
		return -ENOMEM;
	memset(watch + loop->nr_watch, 0, (nr - loop->nr_watch) * sizeof(struct watch *));
	loop->watch = watch;
	loop->nr_watch = nr;
	return 0;
}

/*
 * A watch for no events is not in the epoll set: epoll would report a hang-up
 * there for ever.
 */
static int set_events(struct loop *loop, struct watch *w, uint32_t events)
{
	int ret = 0;

	if (events && w->events)
		ret = epoll_change(loop, EPOLL_CTL_MOD, w->fd, events, w->id);
	else if (events)
		ret = epoll_change(loop, EPOLL_CTL_ADD, w->fd, events, w->id);
	else if (w->events)
		ret = epoll_change(loop, EPOLL_CTL_DEL, w->fd, 0, 0);
	if (!ret)
		w->events = events;
	return ret;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *arg)
{
	struct watch *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;

	pthread_mutex_lock(&loop->lock);
	w->id = ++loop->last_id;
	ret = find_fd(loop, fd) ? -EEXIST : extend_table(loop, fd);
	if (!ret)
		ret = set_events(loop, w, events);
	if (!ret)
		loop->watch[fd] = w;
	pthread_mutex_unlock(&loop->lock);
	if (ret)
		free(w);
	return ret;
}

int loop_mod_fd(struct loop *loop, int fd, uint32_t events)
{
	struct watch *w;
	int ret = -ENOENT;

	pthread_mutex_lock(&loop->lock);
	w = find_fd(loop, fd);
	if (w)
		ret = set_events(loop, w, events);
	pthread_mutex_unlock(&loop->lock);
	return ret;
}

void loop_del_fd(struct loop *loop, int fd)
{
	struct watch *w;

	pthread_mutex_lock(&loop->lock);
	w = find_fd(loop, fd);
	if (w) {
		set_events(loop, w, 0);
		loop->watch[fd] = NULL;
		wait_until_over(loop, w);
	}
	pthread_mutex_unlock(&loop->lock);
	free(w);
}

/* The watch may be gone, have a successor, or want less, since epoll reported it. */
static void run_watch(struct loop *loop, int fd, uint32_t id, uint32_t events)
{
	struct watch *w;

	pthread_mutex_lock(&loop->lock);
	w = find_fd(loop, fd);
	if (w && w->id != id)
		w = NULL;
	events &= w ? w->events | EPOLLERR | EPOLLHUP : 0;
	if (w && w->events && events) {
		loop_fd_fn fn = w->fn;
		void *arg = w->arg;

		run_begin(loop, w);
		fn(arg, fd, events);
		run_end(loop);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* True once for each loop_stop(), also for one that came before loop_run(). */
static bool stop_wanted(struct loop *loop)
{
	bool stop;

	pthread_mutex_lock(&loop->lock);
	stop = loop->stop;
	loop->stop = false;
	if (stop)
		drain(loop->wake_fd);
	pthread_mutex_unlock(&loop->lock);
	return stop;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_WAIT];

	while (!stop_wanted(loop)) {
		int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;

			if (fd == loop->timer_fd)
				run_timers(loop);
			else if (fd != loop->wake_fd)
				run_watch(loop, fd, events[i].data.u64 >> 32, events[i].events);
		}
	}
	return 0;
}
