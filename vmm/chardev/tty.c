// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Standard input and output: a terminal, or whatever a script has put there. Keys for us
 * are those of a terminal only. When the guest seems to be dead it is read all the same,
 * lest Ctrl-A x waits there; in the background it is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "chardev/outlet.h"
#include "chardev/terminal.h"
#include "log.h"

#define ESCAPE	   0x01 /* Ctrl-A */
#define CHUNK_SIZE 4096
#define STALL_MS   1000 /* a guest that takes no input for so long is not only slow */

struct tty {
	struct chardev dev;
	struct outlet out;
	int in_fd;	/* -1: input has ended */
	bool in_polled; /* epoll takes in_fd: it is no regular file */

	/* Of a terminal on standard input */
	bool keys;	 /* it is one: Ctrl-A is special */
	bool escaped;	 /* the last byte was Ctrl-A */
	bool full;	 /* there was no room when we last looked */
	bool stalled;	 /* for long: typed bytes are read for our keys only */
	bool background; /* it is not ours to read */
	struct loop_timer *stall_timer, *again_timer;
};

static void close_fd(struct tty *t, int *fd)
{
	if (*fd < 0)
		return;
	loop_del_fd(t->dev.loop, *fd);
	close(*fd);
	*fd = -1;
}

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

static void output_failed(struct tty *t, int err)
{
	/* The reader of a pipe or a closed terminal just left; a full disk is news. */
	if (err != EPIPE && err != EIO)
		log_error("console: cannot write to standard output: %s; its output stops here",
			  strerror(err));
	close_fd(t, &t->out.fd);
}

static bool tty_output(struct chardev *d, bool retry)
{
	struct tty *t = (struct tty *)d;

	if (t->out.fd < 0 || (t->out.blocked && !retry))
		return false;
	t->out.blocked = t->keys && terminal_holds_output();
	if (t->out.blocked) {
		chardev_try_again(t->again_timer);
		return false;
	}
	switch (outlet_drain(&t->out, d->ring)) {
	case OUTLET_IDLE:
		break;
	case OUTLET_BLOCKED:
		t->out.blocked = !loop_mod_fd(d->loop, t->out.fd, EPOLLOUT);
		if (!t->out.blocked)
			output_failed(t, EAGAIN);
		break;
	case OUTLET_MORE:
		return true;
	case OUTLET_FAILED:
		output_failed(t, errno);
	}
	return false;
}

static void on_output(void *arg, int fd, uint32_t events)
{
	struct tty *t = arg;

	(void)events;
	loop_mod_fd(t->dev.loop, fd, 0);
	if (tty_output(&t->dev, true))
		console_more(t->dev.con);
}

static size_t tty_pending(struct chardev *d)
{
	const struct tty *t = (const struct tty *)d;

	return t->out.fd < 0 ? 0 : ring_pending(d->ring, &t->out.reader);
}

/* ------------------------------------------------------------------------- */
/* Input                                                                      */

/* Take the keys that are meant for us out of typed bytes; returns how many are left. */
static size_t take_keys(struct tty *t, uint8_t *buf, size_t len)
{
	size_t left = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = buf[i];

		if (!t->escaped && byte == ESCAPE) {
			t->escaped = true;
			continue;
		}
		if (t->escaped) {
			t->escaped = false;
			if (byte == 'x' || byte == 'X')
				console_quit(t->dev.con);
			else if (byte == 'h' || byte == 'H' || byte == '?')
				ring_note(
					&t->out.reader,
					"\r\n"
					"Ctrl-A x       end the VM at once, like pulling its plug\r\n"
					"Ctrl-A h       this list\r\n"
					"Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
			if (byte != ESCAPE)
				continue;
		}
		buf[left++] = byte;
	}
	return left;
}

/* Its keys are the shell's then. That we come to the foreground is found by looking. */
static bool in_background(struct tty *t)
{
	if (!t->keys || terminal_in_foreground())
		return false;
	t->background = true;
	chardev_try_again(t->again_timer);
	return true;
}

/* Returns whether there may be more to read. */
static bool read_input(struct tty *t)
{
	size_t room = console_room(t->dev.con);
	uint8_t buf[CHUNK_SIZE];
	ssize_t n;

	if (t->in_fd < 0 || (!room && !t->stalled) || in_background(t))
		return false;
	n = outlet_read(t->in_fd, buf, room && room < sizeof(buf) ? room : sizeof(buf));
	if (n > 0) {
		console_take(t->dev.con, buf, t->keys ? take_keys(t, buf, (size_t)n) : (size_t)n);
		return true;
	}
	/* Who just came to the background is told so by an error of its own. */
	if (n == 0 || (errno != EAGAIN && errno != EINTR && !in_background(t)))
		close_fd(t, &t->in_fd);
	return false;
}

/* Poll for input while there is room, and wait for a stall while there is none. */
static void poll_input(struct tty *t)
{
	bool full = !console_room(t->dev.con);

	if (t->keys && console_ended(t->dev.con)) {
		t->stalled = true;
	} else if (t->keys && full != t->full) {
		t->stalled = false;
		loop_timer_arm(t->stall_timer, full ? loop_now() + STALL_MS * 1000000ULL : 0);
	}
	t->full = full;
	loop_mod_fd(t->dev.loop, t->in_fd, (full && !t->stalled) || t->background ? 0 : EPOLLIN);
}

static void tty_input(struct chardev *d)
{
	struct tty *t = (struct tty *)d;

	/* A regular file is always readable; it ends, or the guest is busy, at some point. */
	while (!t->in_polled && read_input(t))
		;
	if (t->in_fd >= 0 && t->in_polled)
		poll_input(t);
}

static void on_input(void *arg, int fd, uint32_t events)
{
	struct tty *t = arg;

	(void)fd;
	(void)events;
	read_input(t);
	tty_input(&t->dev);
	/* Keys may have words for an answer. */
	if (t->keys && tty_output(&t->dev, false))
		console_more(t->dev.con);
}

static void on_stall(void *arg)
{
	struct tty *t = arg;

	if (console_ended(t->dev.con))
		return;
	t->stalled = true;
	ring_note(&t->out.reader,
		  "\r\n[console: the guest takes no input, more of it is dropped; Ctrl-A x "
		  "ends the VM]\r\n");
	if (tty_output(&t->dev, false))
		console_more(t->dev.con);
	if (t->in_fd >= 0)
		poll_input(t);
}

static void on_again(void *arg)
{
	struct tty *t = arg;

	t->background = false;
	if (!in_background(t)) {
		terminal_take();
		if (t->in_fd >= 0)
			poll_input(t);
	}
	if (tty_output(&t->dev, true))
		console_more(t->dev.con);
}

/* ------------------------------------------------------------------------- */

static int set_input_fd(struct tty *t, int fd)
{
	int ret = loop_add_fd(t->dev.loop, fd, EPOLLIN, on_input, t);

	/* Regular files, /dev/null and their like cannot be waited for. */
	if (ret < 0 && ret != -EPERM)
		return ret;
	t->in_fd = fd;
	t->in_polled = ret == 0;
	return 0;
}

static int set_output_fd(struct tty *t, int fd)
{
	int ret = loop_add_fd(t->dev.loop, fd, 0, on_output, t);

	if (ret < 0)
		return ret;
	t->out.fd = fd;
	return 0;
}

/*
 * A descriptor of our own for standard input or output. O_NONBLOCK belongs to
 * the open file, which is shared with the shell that started us and would find
 * its terminal non-blocking: so terminals and pipes are opened once more through
 * /proc. Where that is not allowed (another user's terminal or pipe, after su),
 * input does without, as it is read only when ready; output sets the flag, and
 * terminal_restore() takes it away again. Not for regular files: opened
 * anew they would begin at offset 0, and they never block for long.
 */
static int own_fd(int fd, int mode)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (own >= 0)
			return own;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	if (mode == O_WRONLY && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		terminal_set_nonblocking();
	return own;
}

static int open_standard(struct tty *t, struct error *e)
{
	int in = own_fd(STDIN_FILENO, O_RDONLY);
	int out = own_fd(STDOUT_FILENO, O_WRONLY);
	int ret = 0;

	/* Either may be closed: then there is just no input, or no output. */
	if (in < 0 && in != -EBADF)
		ret = in;
	else if (out < 0 && out != -EBADF)
		ret = out;
	if (!ret && in >= 0)
		ret = set_input_fd(t, in);
	if (!ret && out >= 0)
		ret = set_output_fd(t, out);
	if (!ret)
		return 0;
	if (in >= 0 && t->in_fd != in)
		close(in);
	if (out >= 0 && t->out.fd != out)
		close(out);
	return error_set(e, -ret, "console tty: cannot use standard input and output: %s",
			 strerror(-ret));
}

static int tty_open(struct chardev *d, const struct console_where *where, struct error *e)
{
	struct tty *t = (struct tty *)d;
	int ret;

	(void)where;
	t->in_fd = t->out.fd = -1;
	ret = open_standard(t, e);
	if (ret || !isatty(STDIN_FILENO))
		return ret;
	t->stall_timer = loop_timer_create(d->loop, on_stall, t);
	t->again_timer = loop_timer_create(d->loop, on_again, t);
	if (!t->stall_timer || !t->again_timer)
		return error_set(e, ENOMEM, "out of memory for the console");
	t->keys = true;
	terminal_start_raw();
	if (in_background(t)) {
		log_info("the console takes no input before it is in the terminal's foreground");
		poll_input(t);
	}
	return 0;
}

static void tty_close(struct chardev *d)
{
	struct tty *t = (struct tty *)d;

	chardev_say_lost(tty_pending(d), "standard output");
	terminal_end();
	loop_timer_destroy(t->stall_timer);
	loop_timer_destroy(t->again_timer);
	close_fd(t, &t->in_fd);
	close_fd(t, &t->out.fd);
}

const struct chardev_ops tty_ops = {
	.size = sizeof(struct tty),
	.waits = true,
	.open = tty_open,
	.output = tty_output,
	.input = tty_input,
	.pending = tty_pending,
	.close = tty_close,
};
