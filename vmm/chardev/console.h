/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: what carries the bytes of the guest's serial port to people, files and
 * sockets, and theirs to the guest. Opened by cmd/session.c for as long as the process runs,
 * over reboots of the guest; used by dev/serial.c.
 */
#ifndef VMM_CHARDEV_CONSOLE_H
#define VMM_CHARDEV_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "host/loop.h"

struct console;

enum console_kind {
	CONSOLE_TTY,	/* standard input and output; a terminal is put into raw mode */
	CONSOLE_FILE,	/* output only, to a path, which is created or locked */
	CONSOLE_SOCKET, /* listens at a path */
	CONSOLE_PTY,	/* a new pseudo-terminal */
};

struct console_where {
	enum console_kind kind;
	const char *path;  /* pty: of a symbolic link to it; NULL: none */
	uint64_t rotate;   /* file: no file is larger; 0: no matter how large it is */
	unsigned int keep; /* file: how many older ones are kept with rotate */
};

/* Without any backend; NULL, with *e filled, on failure. The caller ignores SIGPIPE. */
struct console *console_open(struct loop *loop, struct error *e);

/*
 * One more place that has the output, and whose input is the guest's. A negative errno, with
 * *e filled, on failure.
 */
int console_add(struct console *con, const struct console_where *where, struct error *e);

/*
 * A machine is there, and will start: only now, before the first console_put(), is what an
 * earlier one left in a file thrown away.
 */
int console_begin(struct console *con, struct error *e);

/*
 * The machine has ended: fn will be called on the loop's thread, perhaps more than once, when
 * all it said is out, or nobody is there to take it. False if there is nothing to wait for.
 * The reader of standard output is waited for; others as long as they take something, and
 * not for long, who may be there for no good.
 */
bool console_finish(struct console *con, void (*fn)(void *arg), void *arg);

/*
 * Write out what is waiting, for a quarter of a second at most, and restore the
 * terminal. The loop must not be running any more.
 */
void console_close(struct console *con);

/*
 * fn takes input: it returns how many of the len bytes, of which there may be none, it
 * took, from the first on. The console keeps the rest, and reads no more, until
 * console_input_ready() asks it to offer them again. fn runs on the loop's thread.
 * NULL: input waits.
 */
void console_set_input(struct console *con, size_t (*fn)(void *arg, const uint8_t *buf, size_t len),
		       void *arg);
/* The receiver has room again. Any thread; never calls back from inside. */
void console_input_ready(struct console *con);

/* The user typed Ctrl-A x. fn runs on the loop's thread. */
void console_set_quit(struct console *con, void (*fn)(void *arg), void *arg);

/*
 * One byte from the guest. Never blocks and never fails: when somebody does not take the
 * output, he loses the oldest bytes, and a line says how many. Any thread.
 */
void console_put(struct console *con, uint8_t byte);

#endif
