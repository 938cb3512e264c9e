/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal on standard input and output: raw while a machine runs in its
 * foreground, and as it was before on every way out. chardev/tty.c uses it;
 * cmd/session.c restores.
 */
#ifndef VMM_CHARDEV_TERMINAL_H
#define VMM_CHARDEV_TERMINAL_H

#include <stdbool.h>

/*
 * Put the terminal on standard input into raw mode, at once or when we come to its
 * foreground. A process that is stopped by SIGTSTP restores it first, and takes it again
 * when it is continued. Nothing happens where there is no terminal.
 */
void terminal_start_raw(void);
/* Whether it is ours to read, and to set. */
bool terminal_in_foreground(void);
/* Whether a process in its background is not even to write (stty tostop). */
bool terminal_holds_output(void);
/* We may have come to the foreground, of which nothing tells a process that runs. */
void terminal_take(void);
/* Make standard output non-blocking, which whoever shares its open file notices. */
void terminal_set_nonblocking(void);
/* Undo all of it. */
void terminal_end(void);

/*
 * The same for every way out: safe in a signal handler, as often as wanted, and
 * without effect when nothing was changed.
 */
void terminal_restore(void);

#endif
