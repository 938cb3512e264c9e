/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each thread of the monitor begins and ends with. It has a name, by which top -H and ps -L tell whose it is,
 * and a stack apart for handlers of signals, without which one that has used up its own could not say so.
 */
#ifndef VMM_THREAD_H
#define VMM_THREAD_H

#include <signal.h>
#include <stdbool.h>

/* The machine that all threads are of; before there are any. */
void thread_set_machine(const char *name);

/* The calling thread is called "WHAT MACHINE", of which the kernel keeps 15 characters. */
void thread_begin(const char *what);
/* For one that ends before the process does. */
void thread_end(void);

/* WHAT the calling thread is; may be asked in a handler. */
const char *thread_what(void);

/* The signal tells a thread what itself has done wrong. */
bool thread_own_signal(int signal);

/* For a thread to be, whose creator has these signals: it gets none but its own. */
void thread_block_signals(sigset_t *old);

#endif
