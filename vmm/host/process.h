/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What concerns the process as a whole: standard descriptors and signals. main.c
 * and cmd/run.c call it, before there are threads.
 */
#ifndef VMM_HOST_PROCESS_H
#define VMM_HOST_PROCESS_H

#include <stdbool.h>

#include "error.h"

/*
 * Put /dev/null where standard input, output or error is closed. Otherwise what is
 * opened next would be it: messages would go into an eventfd or a guest's disk.
 * Returns 0 or a negative errno.
 */
int process_open_standard_fds(void);

/*
 * Has all that was printed got out? Stdio keeps it, and drops it without a word at the end when
 * the file is on a full disk. Returns 0 or -EIO.
 */
int process_flush_stdout(void);

/*
 * Before a signal ends the process by its default action, call clean_up, which
 * must be safe in a signal handler, and say in a message what happened to which thread. A reader that left (SIGPIPE) and a file that
 * may not grow (SIGXFSZ) become errors of the one write.
 */
void process_set_fatal_signals(void (*clean_up)(void));

/*
 * A descriptor from which the signals that ask for an end (SIGTERM, SIGINT, SIGHUP)
 * are read as struct signalfd_siginfo, not blocking. They are blocked, and no
 * others: whoever started us may have left any mask. SIGINT and SIGHUP stay ignored
 * where they are (nohup(1), background jobs of a script). Returns a negative errno
 * on failure.
 */
int process_open_signals(struct error *e);

/* One of these signals has come, and is still to be read. */
bool process_signalled(void);

/*
 * An eventfd, not blocking, that counts how often the process was stopped and went on (SIGCONT). Who sets a handler of
 * its own for that signal has it call process_continued(), which may be called in any.
 */
int process_open_continued(struct error *e);
void process_continued(void);

/*
 * Nobody reads that descriptor any more. Where standard output is not ready, so that its
 * reader will be waited for, the signals have their default actions again, but those that
 * came before.
 */
void process_end_signals(void);

#endif
