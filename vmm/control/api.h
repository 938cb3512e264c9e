/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a machine can be asked and told on its control socket: a table of resources, see api.c, from which requests are
 * served and the OpenAPI document is written. cmd/serve.c makes it and says by struct api_ops what acts on the machine.
 *
 * All calls are made on the loop's thread.
 */
#ifndef VMM_CONTROL_API_H
#define VMM_CONTROL_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "config/config.h"
#include "control/http.h"
#include "control/schema.h"
#include "error.h"
#include "host/loop.h"

/* Changes when a client that knows an older one could misunderstand. */
#define API_SCHEMA_VERSION 1

struct api_stats {
	uint64_t pio, mmio, emulate, eoi; /* exits to the monitor, of all vCPUs */
	uint64_t reboots;
	double seconds; /* since the start */
};

struct api_status {
	const char *state;     /* one of api_states */
	time_t started, since; /* the machine, and this state */
};

/* "running", "paused"...: what a machine can be, up to a NULL. */
extern const char *const api_states[];

/*
 * Each returns 0 or a negative errno with a sentence: EBUSY for what cannot be done in this state. "stop" is told how
 * many seconds the guest has to power off, or -1 for what the machine was configured with, and says what holds.
 */
struct api_ops {
	int (*pause)(void *arg, struct error *e);
	int (*resume)(void *arg, struct error *e);
	int (*reset)(void *arg, struct error *e);
	int (*power_button)(void *arg, struct error *e);
	int (*stop)(void *arg, int *seconds, struct error *e);
	int (*kill)(void *arg, struct error *e);
	int (*nmi)(void *arg, struct error *e);
	void (*status)(void *arg, struct api_status *status);
	void (*stats)(void *arg, struct api_stats *stats);
};

struct api;

/* The descriptor listens and remains the caller's; config must outlive it. NULL with a sentence. */
struct api *api_create(struct loop *loop, int listen_fd, const struct config *config,
		       const struct api_ops *ops, void *arg, struct error *e);
/* Streams of events end. */
void api_destroy(struct api *a);
/* The state has changed, to what ops->status() says: tell all who listen. */
void api_state_changed(struct api *a);

/* An OpenAPI 3 document of the table, or NULL without memory. */
json_t *api_describe(void);

/* ------------------------------------------------------------------------- */
/* The table                                                                  */

enum api_kind {
	API_JSON,   /* the function makes an object */
	API_TEXT,   /* it makes a text */
	API_STREAM, /* events */
};

/* A request that is being answered. */
struct api_call {
	struct http_id id;
	const json_t *body; /* checked; NULL: none */
	json_t *answer;	    /* API_JSON: what the function makes */
	char *text;	    /* API_TEXT, for free() */
	size_t len;
};

struct api_row {
	const char *method, *path;
	enum api_kind kind;
	const struct schema *body;   /* NULL: none is taken; otherwise it may be left out */
	const struct schema *answer; /* of a stream, of each line; NULL: a text */
	/* 0, or a negative errno with a sentence; a stream has none. */
	int (*call)(struct api *a, struct api_call *c, struct error *e);
	const char *help;
};

extern const struct api_row api_rows[];
extern const unsigned int api_nr_rows;

/* control/metrics.c: stats as an object, and all that is measured in the text format of OpenMetrics. */
extern const struct schema api_stats_schema;
json_t *metrics_object(const struct api_stats *stats);
/* For free(); NULL without memory. */
char *metrics_text(const char *name, const struct config *config, const struct api_status *status,
		   const struct api_stats *stats, size_t *len);

/* control/openapi.c: an object of all options' schemas. */
json_t *openapi_config_members(void);

#endif
