/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor gives away what it does not need any more, before the guest's first instruction: first the process
 * (confine.c), while it has one thread, then each thread (thread.c) as it begins. cmd/session.c says when; the
 * rest of the monitor has been opened by then.
 */
#ifndef VMM_SANDBOX_SANDBOX_H
#define VMM_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

enum sandbox_mode {
	SANDBOX_ON,
	SANDBOX_OFF,
	SANDBOX_LOG, /* system calls that are not allowed are carried out, and the kernel logs them */
};

/* Kinds of threads. */
enum sandbox_thread {
	SANDBOX_VCPU,
	SANDBOX_DISK,
	SANDBOX_LOOP,
	SANDBOX_LOOP_PLACES, /* the same where there are places (place.h) */
};

struct sandbox_config {
	enum sandbox_mode mode;
	const char *user; /* NAME[:GROUP] to become; NULL: stay who we are */
	bool verbose;	  /* tell what the host cannot do */
};

/* Whom NAME[:GROUP] names. Returns 0 or a negative errno with a sentence. */
int sandbox_find_user(const char *spec, uid_t *uid, gid_t *gid, struct error *e);

/*
 * Once, by the only thread: from now on no file is reached but those that are open, and places; no capability, no
 * program that would give one; another user, if one is named. With SANDBOX_OFF only the latter.
 */
int sandbox_confine(const struct sandbox_config *c, struct error *e);

/*
 * The calling thread makes no system calls from now on but those of its kind. Nothing is done in a process that is
 * not confined.
 */
int sandbox_enter(enum sandbox_thread kind, struct error *e);
/* The loop's kind, with places or without. */
int sandbox_enter_loop(struct error *e);

#endif
