/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a machine's API: one request, and what comes back, which is not trusted: its size and the time until
 * it comes are bounded. The verbs of cmd/ use it.
 */
#ifndef VMM_CONTROL_CLIENT_H
#define VMM_CONTROL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#include "control/runtime.h"
#include "error.h"

struct client_request {
	const char *method, *path;
	const char *body;	 /* JSON; NULL: none */
	unsigned int timeout_ms; /* for all of it */
};

struct client_reply {
	int status;   /* of HTTP */
	json_t *json; /* NULL: the body is empty */
};

/*
 * Ask, and wait for the whole answer. Returns 0, and the caller owns reply->json; or a negative errno with a sentence:
 * ETIMEDOUT when nothing comes in time, ECONNREFUSED or ENOENT when nobody listens, EPROTO for nonsense.
 * An answer that is an error (4xx, 5xx) is the sentence that came, and EREMOTEIO.
 */
int client_call(const struct runtime_machine *m, const struct client_request *request,
		struct client_reply *reply, struct error *e);

/* ------------------------------------------------------------------------- */
/* A stream of lines, such as /events                                         */

struct client_stream;

/* A line without its end; text holds no '\0' but the last. */
typedef void (*client_line_fn)(void *arg, const char *text);

/* Ask, and wait for the head of the answer. Returns 0 or a negative errno, as above. */
int client_stream_open(const struct runtime_machine *m, const char *path, unsigned int timeout_ms,
		       client_line_fn fn, void *arg, struct client_stream **stream,
		       struct error *e);
/* To be polled for POLLIN. */
int client_stream_fd(const struct client_stream *s);
/* Take what has come: 1 when more may, 0 at its end, or a negative errno with a sentence. */
int client_stream_read(struct client_stream *s, struct error *e);
void client_stream_close(struct client_stream *s);

#endif
