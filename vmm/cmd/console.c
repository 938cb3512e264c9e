// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm console": standard input and output become the console of a machine that runs detached. Called by main.c.
 * Neither side waits for the other: each direction has a buffer, and reads only while that is empty.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev/terminal.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "control/runtime.h"
#include "host/process.h"
#include "log.h"

#define CHUNK_SIZE 4096
/* That we come to the foreground is found by looking. */
#define BACKGROUND_MS 250

static const char help[] = "\r\n"
			   "Ctrl-A d       leave the console; the machine goes on\r\n"
			   "Ctrl-A h       this list\r\n"
			   "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

/* What is waited for. */
enum {
	INPUT,
	OUTPUT,
	SOCKET,
	SIGNALS,
	NR_POLLED,
};

struct buffer {
	uint8_t bytes[CHUNK_SIZE];
	size_t begin, end;
};

struct viewer {
	const char *name;
	int socket, signals;
	bool terminal;	/* standard input is one: keys are special */
	bool read_only; /* or standard input has ended */
	bool detached;
	struct keys keys;
	struct buffer in, out; /* to the guest, and from it */
};

static bool is_empty(const struct buffer *b)
{
	return b->begin == b->end;
}

/* Write what is there: 0, also when it is not taken now, or a negative errno. */
static int drain(struct buffer *b, int fd)
{
	ssize_t n = is_empty(b) ? 0 : write(fd, b->bytes + b->begin, b->end - b->begin);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	b->begin += (size_t)n;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* The two directions                                                         */

/* The other end finds that it may listen to somebody else. */
static void input_ended(struct viewer *v)
{
	v->read_only = true;
	shutdown(v->socket, SHUT_WR);
}

/* What does not fit is lost: a guest that takes nothing is not to keep Ctrl-A d from us. */
static void type(struct viewer *v, uint8_t *bytes, size_t len)
{
	enum keys_do what = v->terminal ? keys_filter(&v->keys, bytes, &len) : KEYS_SEND;
	struct buffer *in = &v->in;

	v->detached = what == KEYS_DETACH;
	/* Some of it may be lost where nobody reads the output, and so nobody the help. */
	if (what == KEYS_HELP)
		(void)!write(STDOUT_FILENO, help, sizeof(help) - 1);
	if (v->read_only)
		return;
	memmove(in->bytes, in->bytes + in->begin, in->end - in->begin);
	in->end -= in->begin;
	in->begin = 0;
	if (len > sizeof(in->bytes) - in->end)
		len = sizeof(in->bytes) - in->end;
	memcpy(in->bytes + in->end, bytes, len);
	in->end += len;
}

static void read_input(struct viewer *v)
{
	uint8_t bytes[CHUNK_SIZE];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0)
		type(v, bytes, (size_t)n);
	else if (v->terminal && (n == 0 || errno == EIO) && terminal_in_foreground())
		v->detached = true; /* it was hung up */
	else if (!v->terminal && (n == 0 || (errno != EAGAIN && errno != EINTR)))
		input_ended(v);
}

/* 1, 0 when the machine has ended, or a negative errno. */
static int read_output(struct viewer *v)
{
	ssize_t n = recv(v->socket, v->out.bytes, sizeof(v->out.bytes), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : errno == ECONNRESET ? 0 : -errno;
	v->out.begin = 0;
	v->out.end = (size_t)n;
	return n > 0;
}

/* A terminal is read for its keys even when the guest takes nothing. */
static bool wants_input(const struct viewer *v)
{
	if (v->terminal)
		return terminal_in_foreground();
	return !v->read_only && is_empty(&v->in);
}

static void wait_for_any(struct viewer *v, struct pollfd p[NR_POLLED])
{
	bool background = v->terminal && !terminal_in_foreground();
	short socket_events =
		(short)((is_empty(&v->out) ? POLLIN : 0) | (is_empty(&v->in) ? 0 : POLLOUT));

	/* Of those that we want nothing of we do not want to hear that they are gone. */
	p[INPUT] = (struct pollfd){.fd = wants_input(v) ? STDIN_FILENO : -1, .events = POLLIN};
	p[OUTPUT] =
		(struct pollfd){.fd = is_empty(&v->out) ? -1 : STDOUT_FILENO, .events = POLLOUT};
	p[SOCKET] = (struct pollfd){.fd = socket_events ? v->socket : -1, .events = socket_events};
	p[SIGNALS] = (struct pollfd){.fd = v->signals, .events = POLLIN};
	if (poll(p, NR_POLLED, background ? BACKGROUND_MS : -1) < 0) {
		for (int i = 0; i < NR_POLLED; i++)
			p[i].revents = 0;
	}
	if (background)
		terminal_take();
}

/* 1 to go on, 0 at the end, or a negative errno. */
static int turn(struct viewer *v)
{
	struct pollfd p[NR_POLLED];
	int ret;

	wait_for_any(v, p);
	if (p[SIGNALS].revents)
		v->detached = true;
	if (p[INPUT].revents)
		read_input(v);
	ret = p[OUTPUT].revents ? drain(&v->out, STDOUT_FILENO) : 0;
	if (ret)
		return ret;
	/* Where it does not listen any more, it may still have said something. */
	if ((p[SOCKET].revents & POLLOUT) && drain(&v->in, v->socket)) {
		v->in.begin = v->in.end = 0;
		v->read_only = true;
	}
	if (is_empty(&v->out) && (p[SOCKET].revents & (POLLIN | POLLHUP | POLLERR)))
		return read_output(v);
	return 1;
}

static int attach(struct viewer *v, struct error *e)
{
	int ret = 1;

	v->signals = process_open_signals(e);
	if (v->signals < 0)
		return v->signals;
	v->terminal = isatty(STDIN_FILENO);
	process_set_fatal_signals(terminal_restore);
	atexit(terminal_restore);
	if (v->terminal) {
		terminal_start_raw();
		terminal_set_nonblocking();
		log_info("the console of '%s'; Ctrl-A d leaves it, Ctrl-A h lists all keys",
			 v->name);
	}
	if (v->read_only)
		input_ended(v);
	while (ret > 0 && !v->detached)
		ret = turn(v);
	terminal_end();
	close(v->signals);
	if (ret < 0)
		return error_set(e, -ret, "the console of '%s': %s", v->name, strerror(-ret));
	return 0;
}

static int connect_to(const char *name, struct viewer *v, struct error *e)
{
	struct runtime_machine m;
	int ret = runtime_lookup(name, &m, e);

	if (ret)
		return ret;
	v->socket = runtime_connect(&m, RUNTIME_CONSOLE);
	ret = v->socket < 0 ? v->socket : 0;
	if (ret == -ENOENT)
		error_set(e, EOPNOTSUPP,
			  "machine '%s' was not started with --detach: its console is elsewhere",
			  name);
	else if (ret)
		error_set(e, -ret, "cannot connect to the console of '%s': %s", name,
			  strerror(-ret));
	runtime_release(&m);
	return ret == -ENOENT ? -EOPNOTSUPP : ret;
}

static void print_help(void)
{
	fputs("vmm console - attach the terminal to a machine that runs detached\n"
	      "\n"
	      "Usage: vmm console [--read-only] NAME\n"
	      "\n"
	      "First comes what the machine said last, 64 KiB at most. Several can be attached;\n"
	      "the first of them types. Ctrl-A d leaves, Ctrl-A h lists the keys. Where standard\n"
	      "input is no terminal, it is sent as it is, and output goes on after its end.\n"
	      "\n"
	      "  --read-only   only look\n"
	      "  --help        this text\n"
	      "\n"
	      "Exit status: 0 you left, or the machine has ended, 1 error, 2 wrong usage,\n"
	      "4 no such machine runs.\n",
	      stdout);
}

int cmd_console(int argc, char **argv)
{
	struct viewer v = {.signals = -1};
	struct error e;
	struct args a;
	int ret = args_parse(argc, argv, ARGS_READ_ONLY, 1, 1, &a);

	if (ret > 0)
		print_help();
	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	v.name = a.names[0];
	v.read_only = a.read_only;
	ret = connect_to(v.name, &v, &e);
	if (!ret) {
		ret = attach(&v, &e);
		close(v.socket);
	}
	if (ret) {
		log_error("%s", e.text);
		return ret == -ENOENT ? VERB_NO_MACHINE : VERB_FAILED;
	}
	if (v.terminal)
		log_info(v.detached ? "detached from '%s'" : "'%s' has ended", v.name);
	return STATUS_OK;
}
