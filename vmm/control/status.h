/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a machine is and does, as its status file and its control socket say it. */
#ifndef VMM_CONTROL_STATUS_H
#define VMM_CONTROL_STATUS_H

#include <jansson.h>
#include <stdint.h>
#include <time.h>

enum status_state {
	STATE_CREATED, /* clients say what it is: --api-only */
	STATE_STARTING,
	STATE_RUNNING,
	STATE_PAUSED,
	STATE_STOPPING, /* asked to power off */
	STATE_ENDED,
};

/* Their names, up to a NULL. */
extern const char *const status_names[];

struct status {
	const char *name;
	enum status_state state;
	time_t started, since; /* the machine; this state */
	unsigned int cpus;
	uint64_t memory;    /* bytes */
	const char *reason; /* how it ended; NULL: it has not */
	int exit_status;    /* that of its monitor then */
};

/* What of a status says how it ended, into an object: nothing of one that has not. 0, or -1 without memory. */
int status_put_end(const struct status *s, json_t *object);

/* NULL without memory. */
json_t *status_object(const struct status *s);

#endif
