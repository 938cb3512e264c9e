// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The console, which joins its backends: all have the output, and the input of all that have
 * some is the guest's. cmd/session.c opens and closes it; dev/serial.c puts bytes in on vCPU
 * threads and takes input.
 *
 * Output goes into a ring, which the event loop empties without blocking, so a reader that
 * is slow, stopped or absent costs a vCPU nothing, nor another reader. Input is read only
 * while there is room to keep it, so what a person pastes is not lost either: it waits in
 * the terminal or the socket.
 *
 * A serial line has no window size, so nothing is to be done when it changes:
 * the guest's programs ask the terminal itself (resize(1)).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "chardev/console.h"
#include "log.h"

#define INPUT_SIZE   4096 /* waits for the guest */
#define FLUSH_MS     250
#define TICK_MS	     50
#define STILL_TICKS  (FLUSH_MS / TICK_MS) /* who takes nothing for so long is not waited for */
#define FINISH_TICKS (10000 / TICK_MS) /* nor is, after so long, who takes a little now and then */

struct console {
	/* Set at creation */
	struct loop *loop;
	int kick_fd; /* eventfd: "look at input and output" */

	/* Set before the loop runs; used by its thread only */
	struct chardev *devices;
	struct loop_timer *finish_timer;
	uint8_t input[INPUT_SIZE];
	size_t input_len;
	bool ended;
	void (*finish_fn)(void *arg);
	void *finish_arg;
	size_t finish_left; /* for those who are not waited for, at the last tick */
	unsigned int ticks, still_ticks;

	struct ring ring; /* has a lock of its own */

	pthread_mutex_t lock; /* protects all below; innermost */
	size_t (*input_fn)(void *arg, const uint8_t *buf, size_t len);
	void *input_arg;
	void (*quit_fn)(void *arg);
	void *quit_arg;
};

static void kick(const struct console *con)
{
	const uint64_t one = 1;

	/* Can only fail when the counter is full, and then a wake-up is pending. */
	if (write(con->kick_fd, &one, sizeof(one)) < 0)
		return;
}

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

void console_put(struct console *con, uint8_t byte)
{
	if (con->devices && ring_put(&con->ring, byte))
		kick(con);
}

void console_more(struct console *con)
{
	kick(con);
}

static void output(struct console *con, bool retry)
{
	bool more = false;

	for (struct chardev *d = con->devices; d; d = d->next)
		more |= d->ops->output(d, retry);
	/* The rest in the next turn, as nobody will kick for it. */
	if (more)
		kick(con);
}

static size_t pending(const struct console *con, bool of_those_who_wait)
{
	size_t sum = 0;

	for (struct chardev *d = con->devices; d; d = d->next) {
		if (d->ops->waits == of_those_who_wait)
			sum += d->ops->pending(d);
	}
	return sum;
}

/* ------------------------------------------------------------------------- */
/* Input                                                                      */

void console_input_ready(struct console *con)
{
	kick(con);
}

void console_set_input(struct console *con, size_t (*fn)(void *arg, const uint8_t *buf, size_t len),
		       void *arg)
{
	pthread_mutex_lock(&con->lock);
	con->input_fn = fn;
	con->input_arg = arg;
	pthread_mutex_unlock(&con->lock);
	/* What the last receiver did not take goes to this one. */
	kick(con);
}

void console_set_quit(struct console *con, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&con->lock);
	con->quit_fn = fn;
	con->quit_arg = arg;
	pthread_mutex_unlock(&con->lock);
}

void console_quit(struct console *con)
{
	void (*fn)(void *arg);
	void *arg;

	pthread_mutex_lock(&con->lock);
	fn = con->quit_fn;
	arg = con->quit_arg;
	pthread_mutex_unlock(&con->lock);
	if (fn)
		fn(arg);
}

/* Offer what we hold, if only nothing, since the receiver asked; keep what is not taken. */
static void offer_input(struct console *con)
{
	size_t (*fn)(void *arg, const uint8_t *buf, size_t len);
	size_t taken = 0;
	void *arg;

	pthread_mutex_lock(&con->lock);
	fn = con->input_fn;
	arg = con->input_arg;
	pthread_mutex_unlock(&con->lock);
	if (fn)
		taken = fn(arg, con->input, con->input_len);
	con->input_len -= taken;
	memmove(con->input, con->input + taken, con->input_len);
}

size_t console_room(const struct console *con)
{
	return con->ended ? 0 : INPUT_SIZE - con->input_len;
}

void console_take(struct console *con, const uint8_t *buf, size_t len)
{
	if (len > console_room(con))
		len = console_room(con);
	memcpy(con->input + con->input_len, buf, len);
	con->input_len += len;
	offer_input(con);
}

static void update_input(struct console *con)
{
	offer_input(con);
	for (struct chardev *d = con->devices; d; d = d->next) {
		if (d->ops->input)
			d->ops->input(d);
	}
}

static void on_kick(void *arg, int fd, uint32_t events)
{
	struct console *con = arg;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	update_input(con);
	output(con, false);
	if (con->ended && !pending(con, true) && !pending(con, false))
		con->finish_fn(con->finish_arg);
}

/* ------------------------------------------------------------------------- */
/* The end                                                                    */

bool console_ended(const struct console *con)
{
	return con->ended;
}

static void tick(struct console *con)
{
	loop_timer_arm(con->finish_timer, loop_now() + TICK_MS * 1000000ULL);
}

static void on_tick(void *arg)
{
	struct console *con = arg;
	size_t left = pending(con, false);

	con->still_ticks = left == con->finish_left ? con->still_ticks + 1 : 0;
	con->finish_left = left;
	con->ticks++;
	if (!pending(con, true) &&
	    (!left || con->still_ticks >= STILL_TICKS || con->ticks >= FINISH_TICKS))
		con->finish_fn(con->finish_arg);
	tick(con);
}

bool console_finish(struct console *con, void (*fn)(void *arg), void *arg)
{
	con->ended = true;
	con->finish_fn = fn;
	con->finish_arg = arg;
	con->finish_left = pending(con, false);
	if (!con->finish_left && !pending(con, true))
		return false;
	kick(con);
	tick(con);
	return true;
}

/* The last words of a guest are the most wanted ones, but not at any price. */
static void flush(struct console *con)
{
	uint64_t end = loop_now() + FLUSH_MS * 1000000ULL;

	for (;;) {
		output(con, true);
		if (con->ended || loop_now() >= end || !(pending(con, false) + pending(con, true)))
			return;
		usleep(2000);
	}
}

/* ------------------------------------------------------------------------- */
/* What backends have in common                                               */

void chardev_say_lost(size_t bytes, const char *whose)
{
	if (bytes)
		log_error("console: the last %zu bytes of output are lost: %s does not take them",
			  bytes, whose);
}

const char *chardev_remedy(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return "; make its directory first";
	case EACCES:
	case EPERM:
	case EROFS:
		return "; choose a place where you may write";
	case EISDIR:
		return "; name a file in it";
	default:
		return "";
	}
}

int chardev_place(const struct chardev *d, struct place *p, unsigned int rights, const char *what,
		  struct error *e)
{
	int ret = place_open(p, d->path, rights);

	if (ret)
		return error_set(e, -ret, "%s '%s': cannot open its directory: %s%s", what, d->path,
				 strerror(-ret), chardev_remedy(-ret));
	return 0;
}

void chardev_try_again(struct loop_timer *t)
{
	loop_timer_arm(t, loop_now() + CHARDEV_AGAIN_MS * 1000000ULL);
}

/* ------------------------------------------------------------------------- */

struct console *console_open(struct loop *loop, struct error *e)
{
	/* Not from the heap, which would clear it: pages of the ring are taken as the guest fills them. */
	struct console *con = mmap(NULL, sizeof(*con), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (con == MAP_FAILED) {
		error_set(e, ENOMEM, "out of memory for the console");
		return NULL;
	}
	con->loop = loop;
	ring_init(&con->ring);
	pthread_mutex_init(&con->lock, NULL);
	con->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = con->kick_fd < 0 ? -errno : loop_add_fd(loop, con->kick_fd, EPOLLIN, on_kick, con);
	con->finish_timer = loop_timer_create(loop, on_tick, con);
	if (!ret && !con->finish_timer)
		ret = -ENOMEM;
	if (ret < 0) {
		error_set(e, -ret, "console: %s", strerror(-ret));
		console_close(con);
		return NULL;
	}
	/* The first look at input that cannot be polled, and at output. */
	kick(con);
	return con;
}

static void close_device(struct chardev *d)
{
	d->ops->close(d);
	free(d->path);
	free(d);
}

int console_add(struct console *con, const struct console_where *where, struct error *e)
{
	static const struct chardev_ops *const kinds[] = {
		[CONSOLE_TTY] = &tty_ops,
		[CONSOLE_FILE] = &file_ops,
		[CONSOLE_SOCKET] = &socket_ops,
		[CONSOLE_PTY] = &pty_ops,
	};
	const struct chardev_ops *ops = kinds[where->kind];
	struct chardev *d = calloc(1, ops->size), **last = &con->devices;
	int ret;

	if (!d)
		return error_set(e, ENOMEM, "out of memory for the console");
	d->ops = ops;
	d->con = con;
	d->loop = con->loop;
	d->ring = &con->ring;
	d->path = where->path ? strdup(where->path) : NULL;
	if (where->path && !d->path) {
		free(d);
		return error_set(e, ENOMEM, "out of memory for the console");
	}
	ret = ops->open(d, where, e);
	if (ret < 0) {
		close_device(d);
		return ret;
	}
	while (*last)
		last = &(*last)->next;
	*last = d;
	return 0;
}

int console_begin(struct console *con, struct error *e)
{
	int ret = 0;

	for (struct chardev *d = con->devices; d && !ret; d = d->next) {
		if (d->ops->begin)
			ret = d->ops->begin(d, e);
	}
	return ret;
}

void console_close(struct console *con)
{
	if (!con)
		return;
	flush(con);
	while (con->devices) {
		struct chardev *d = con->devices;

		con->devices = d->next;
		close_device(d);
	}
	loop_timer_destroy(con->finish_timer);
	if (con->kick_fd >= 0) {
		loop_del_fd(con->loop, con->kick_fd);
		close(con->kick_fd);
	}
	pthread_mutex_destroy(&con->lock);
	ring_destroy(&con->ring);
	munmap(con, sizeof(*con));
}
