/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a machine of "vmm run" lives: its runtime directory, and with --detach a process of its own, which the
 * command waits for only until the machine runs.
 */
#ifndef VMM_CMD_HOME_H
#define VMM_CMD_HOME_H

#include <stdbool.h>

#include "chardev/console.h"
#include "config/config.h"
#include "control/runtime.h"
#include "error.h"
#include "sandbox/listener.h"

struct home {
	struct runtime *runtime; /* NULL: none */
	int parent;		 /* whom we tell that the machine runs; -1: nobody */
	int messages;		 /* where what we say goes then */
	struct listener socket;	 /* --api-sock; -1: there is none */
};

/*
 * With --detach, go on in a child of a session of its own. Returns 1 in the parent, when the machine runs or has
 * failed to, with what the command is to end with in *status; 0 in the child; or a negative errno.
 */
int home_detach(const struct config *config, struct home *h, int *status, struct error *e);

/* Take the machine's name, as --api says, and make the socket of --api-sock. Returns 0 or a negative errno. */
int home_open(const struct config *config, struct home *h, struct error *e);

/* With --detach: the console is in the directory, too. */
int home_add_consoles(const struct home *h, const struct config *config, struct console *console,
		      struct error *e);

/* Before the monitor becomes the user NAME[:GROUP]: what it has to remove in the end is his. 0 or a negative errno. */
int home_give(const struct home *h, const char *user, struct error *e);

/* The machine does something else now. */
void home_set_status(const struct home *h, const struct status *status);

/*
 * The machine runs. With --detach the parent ends, and standard output and error are messages.log. False: the parent
 * has ended before, by a signal that it could not pass on.
 */
bool home_ready(struct home *h);

/* What a detached machine said stays where it did not end well. */
void home_close(struct home *h, int status);

#endif
