/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: what carries the bytes of the guest's serial port to a person, a
 * file or a socket, and theirs to the guest. Opened by cmd/run.c for as long as
 * the process runs, over reboots of the guest; used by dev/serial.c.
 */
#ifndef VMM_CHARDEV_CONSOLE_H
#define VMM_CHARDEV_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "host/loop.h"

struct console;

/*
 * spec is one of
 *   tty        standard input and output; a terminal is put into raw mode
 *   file=F     output only, to F, which is created or locked
 *   unix=PATH  a listening socket with room for one client at a time
 *   none       output is dropped
 * NULL, with *e filled, on failure. The caller ignores SIGPIPE.
 */
struct console *console_open(const char *spec, struct loop *loop, struct error *e);

/*
 * A machine is there, and will start: only now, before the first console_put(), is what an
 * earlier one left in a file thrown away.
 */
int console_begin(struct console *con, struct error *e);

/*
 * The machine has ended: fn will be called on the loop's thread, perhaps more than once, when
 * all it said is out, or nobody is there to take it. False if there is nothing to wait for.
 * The reader of standard output is waited for; no other is, who may be there for no good.
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
 * One byte from the guest. Never blocks and never fails: when nobody takes the
 * output, the oldest bytes are dropped and a line says how many. Any thread.
 */
void console_put(struct console *con, uint8_t byte);

#endif
