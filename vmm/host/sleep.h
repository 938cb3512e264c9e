/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host that sleeps (to memory, to idle): that it did is noticed when it is awake again, without a look at the clock
 * from time to time. Called by cmd/session.c.
 */
#ifndef VMM_HOST_SLEEP_H
#define VMM_HOST_SLEEP_H

#include <stdint.h>

#include "error.h"

struct sleep_watch {
	int fd;	       /* readable when the host may have slept */
	int64_t slept; /* so long since its boot, at most: nanoseconds */
};

/* 0 or a negative errno; then w->fd is negative. */
int sleep_open(struct sleep_watch *w, struct error *e);
/* When w->fd is readable: how long the host has slept since the last time; 0: only its clock was set. */
uint64_t sleep_look(struct sleep_watch *w);
void sleep_close(struct sleep_watch *w);

#endif
