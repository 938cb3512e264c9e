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

#include "config/config.h"
#include "control/http.h"
#include "control/status.h"
#include "error.h"
#include "host/loop.h"

/* Changes when a client that knows an older one could misunderstand. */
#define API_SCHEMA_VERSION 1
/* Flags of jansson for what has fractions: milliseconds since 1970, and no digits that were not counted. */
#define API_DIGITS JSON_REAL_PRECISION(13)

struct api_stats {
	uint64_t pio, mmio, emulate, eoi; /* exits to the monitor, of all vCPUs */
	uint64_t reboots;
	double seconds; /* since the start */
};

/* The most seconds that a guest can be given to power off: a day. */
#define API_MAX_TIMEOUT 86400

typedef void (*api_count_fn)(void *to, const char *device, const char *name, uint64_t value);

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
	/* Of a machine that clients describe: it is complete now. What comes of it is told by api_started(). */
	int (*start)(void *arg, struct error *e);
	void (*status)(void *arg, struct status *status);
	void (*stats)(void *arg, struct api_stats *stats);
	/* What devices counted: fn for each device and counter, those of a device behind each other. */
	void (*count)(void *arg, api_count_fn fn, void *to);
};

struct api;

/* The descriptor listens and remains the caller's; config must outlive it. NULL with a sentence. */
struct api *api_create(struct loop *loop, int listen_fd, const struct config *config,
		       const struct api_ops *ops, void *arg, struct error *e);
/* The same at another socket, too. Returns 0 or a negative errno. */
int api_listen(struct api *a, int listen_fd, struct error *e);
/*
 * Clients say what the machine is, in the words of Firecracker's API, and have it started: until then the configuration,
 * the same as above, is theirs to change. Returns 0 or a negative errno.
 */
int api_serve_firecracker(struct api *a, struct config *config, struct error *e);
/* The machine was reset: tell all who listen. */
void api_was_reset(struct api *a);
/* The machine runs; or it does not, and e says why. */
void api_started(struct api *a, const struct error *e);
/* Streams of events end. */
void api_destroy(struct api *a);
/* The state has changed, to what ops->status() says: tell all who listen. */
void api_state_changed(struct api *a);

/* An OpenAPI 3 document of the table, or of Firecracker's; NULL without memory. */
json_t *api_describe(bool firecracker);

#endif
