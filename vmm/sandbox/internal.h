/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What confine.c and thread.c share. */
#ifndef VMM_SANDBOX_INTERNAL_H
#define VMM_SANDBOX_INTERNAL_H

#include "sandbox/sandbox.h"

/* SANDBOX_OFF before sandbox_confine(); constant once there is more than one thread. */
extern enum sandbox_mode sandbox_mode;

/* landlock.c: no file by name but in the places, no network, no signal to other processes. -ENOSYS: there is none. */
int landlock_restrict(void);
/* root.c: a mount namespace whose root is empty. -EPERM: it is not ours to make. */
int root_leave(void);
/* user.c */
struct user;
int user_find(const char *spec, struct user **user, struct error *e);
int user_become(const struct user *user, struct error *e);

#endif
