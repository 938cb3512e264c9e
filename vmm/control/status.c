// SPDX-License-Identifier: GPL-2.0-or-later
/* The one writer of a machine's status. Called by control/runtime.c and api.c. */
#include <unistd.h>

#include "control/status.h"
#include "version.h"

const char *const status_names[] = {
	[STATE_CREATED] = "created",
	[STATE_STARTING] = "starting",
	[STATE_RUNNING] = "running",
	[STATE_PAUSED] = "paused",
	[STATE_STOPPING] = "stopping",
	[STATE_ENDED] = "ended",
	NULL,
};

int status_put_end(const struct status *s, json_t *object)
{
	if (!s->reason)
		return 0;
	if (json_object_set_new(object, "reason", json_string(s->reason)))
		return -1;
	return json_object_set_new(object, "status", json_integer(s->exit_status));
}

json_t *status_object(const struct status *s)
{
	json_t *o = json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:s}", "name", s->name, "pid",
			      (int)getpid(), "state", status_names[s->state], "started",
			      (json_int_t)s->started, "since", (json_int_t)s->since, "cpus",
			      (json_int_t)s->cpus, "memory", (json_int_t)s->memory, "version",
			      VMM_VERSION);

	if (!status_put_end(s, o))
		return o;
	json_decref(o);
	return NULL;
}
