/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal on standard input and output: raw while a machine runs, and as it
 * was before on every way out. chardev/console.c uses it; cmd/run.c restores.
 */
#ifndef VMM_CHARDEV_TERMINAL_H
#define VMM_CHARDEV_TERMINAL_H

/*
 * Put the terminal on standard input into raw mode; a process that was stopped
 * and continues does so again. Nothing happens where there is no terminal.
 */
void terminal_start_raw(void);
/* Make standard output non-blocking, which whoever shares its open file notices. */
void terminal_set_nonblocking(void);
/* Undo both. */
void terminal_end(void);

/*
 * The same for every way out: safe in a signal handler, as often as wanted, and
 * without effect when nothing was changed.
 */
void terminal_restore(void);

#endif
