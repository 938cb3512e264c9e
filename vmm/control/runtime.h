/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runtime directory: where machines that run are found by their names. It is $HV_RUNTIME_DIR, else /run/hv
 * for root and $XDG_RUNTIME_DIR/hv for others, and has a directory for each machine:
 *
 *   lock         locked by its monitor, for as long as that lives
 *   status       what it is and does, as JSON: see runtime_set_status()
 *   api.sock     where it is controlled
 *   console.sock, console.log, messages.log
 *                of a machine that was started with --detach
 *
 * A monitor makes its directory and removes it; of one that was killed, whoever comes by removes it. The locks
 * are those of fcntl(2), which belong to a process and name it: a child does not inherit them, and closing any
 * descriptor of the file gives them up. So a monitor opens its lock once, and never calls what is for readers.
 */
#ifndef VMM_CONTROL_RUNTIME_H
#define VMM_CONTROL_RUNTIME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/status.h"
#include "error.h"

#define RUNTIME_NAME_MAX     63
#define RUNTIME_STATUS_SIZE  4096

#define RUNTIME_API	     "api.sock"
#define RUNTIME_CONSOLE	     "console.sock"
#define RUNTIME_CONSOLE_LOG  "console.log"
#define RUNTIME_MESSAGES_LOG "messages.log"

/* ------------------------------------------------------------------------- */
/* For a monitor                                                              */

struct runtime_facts {
	unsigned int cpus;
	uint64_t memory; /* bytes */
};

struct runtime;

/*
 * Take the name, and make the directory with a status of "starting" and a socket that listens. Returns 0 or a
 * negative errno: ENOENT when this host or user has no runtime directory, EBUSY when a machine of this name runs.
 */
int runtime_create(const char *name, const struct runtime_facts *facts, struct runtime **r,
		   struct error *e);
const char *runtime_name(const struct runtime *r);
/* The machine's directory, open as long as r is there. */
int runtime_dir(const struct runtime *r);
/* Listens, does not block; r keeps it. */
int runtime_api_fd(const struct runtime *r);
/* Opens nothing. Readers see the old status or the new one. */
void runtime_set_status(struct runtime *r, const struct status *s);
/*
 * The monitor becomes another user: what is in the directory is his from now on, so that he can add to it and remove
 * it; but not the directory itself, which is removed by root, when it next looks. Returns 0 or a negative errno.
 */
int runtime_give(struct runtime *r, uid_t uid, gid_t gid, struct error *e);
/*
 * Give the name back, and remove the directory as far as we may; keep_logs leaves logs for vmm-logs until a machine
 * of this name starts. NULL is nothing.
 */
void runtime_destroy(struct runtime *r, bool keep_logs);

/* ------------------------------------------------------------------------- */
/* For readers                                                                */

struct runtime_machine {
	char name[RUNTIME_NAME_MAX + 1];
	pid_t pid;	/* of its monitor; 0 when that is in a PID namespace that we do not see */
	json_t *status; /* NULL when there is none that can be read: it starts */
	int dir;
	int lock;
};

/* The state of a status, be it one of another version; of NULL "starting". */
const char *runtime_state(const json_t *status);

/*
 * Each machine that runs, in no order; what is left of others is removed. fn may keep nothing but its name and a
 * reference to its status. Returns 0, the first value but 0 that fn returned, or a negative errno. No runtime
 * directory is one without machines.
 */
typedef int (*runtime_fn)(void *arg, const struct runtime_machine *m);
int runtime_for_each(runtime_fn fn, void *arg, struct error *e);

/* Find one that runs: 0, and runtime_release() must follow; or a negative errno, ENOENT when there is none. */
int runtime_lookup(const char *name, struct runtime_machine *m, struct error *e);
void runtime_release(struct runtime_machine *m);
/* Does its monitor still live? */
bool runtime_lives(const struct runtime_machine *m);
/* A pidfd of its monitor, and of nobody else; a negative errno: ESRCH when it has ended. */
int runtime_pidfd(const struct runtime_machine *m);
/* Connect to one of its sockets; a negative errno. */
int runtime_connect(const struct runtime_machine *m, const char *socket_name);
/*
 * Open a file of a machine, which need not run any more; a negative errno with a sentence.
 */
int runtime_open_file(const char *name, const char *file, struct error *e);

#endif
