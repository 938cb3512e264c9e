/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request of HTTP/1.1 as it comes, in whatever pieces: parsed, bounded, and refused with the status that says
 * why. control/http.c feeds it. Nothing of it is trusted.
 */
#ifndef VMM_CONTROL_REQUEST_H
#define VMM_CONTROL_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>

#define REQUEST_MAX_TARGET 1024
#define REQUEST_MAX_HEAD   8192
#define REQUEST_MAX_BODY   65536

struct request {
	http_parser parser;
	bool began, complete;
	bool wants_continue; /* it waits for "100 Continue" before it sends its body */

	/* Why it is refused; status 0: it is not. */
	unsigned int status;
	const char *reason;

	char target[REQUEST_MAX_TARGET + 1];
	size_t target_len;
	/* What is between, whichever header it is; cut where it is longer than any that we know. */
	char name[32], value[64];
	size_t name_len, value_len;
	bool in_value, value_cut;

	unsigned int hosts;
	char content_type[64]; /* without parameters, in lower case; empty: none */
	bool expects_other;    /* than 100-continue */

	char *body;
	size_t body_len, body_size;
	size_t *budget; /* of all bodies that are there, in bytes */
};

/* Of a new connection, or after request_end(). budget outlives it, and is what bodies may still take. */
void request_begin(struct request *r, size_t *budget);
/*
 * Take what has come: how many bytes are of this request. Afterwards it is complete, or refused, or wants more; what
 * is behind a complete one is of the next.
 */
size_t request_take(struct request *r, const char *data, size_t len);
void request_end(struct request *r);

const char *request_method(const struct request *r);
/* Its path, which ends at *len; false: what it names is none. query says whether something follows. */
bool request_path(const struct request *r, const char **path, size_t *len, bool *query);
/* It says how long its body is, be it empty. */
bool request_has_length(const struct request *r);
/* Another may follow on the connection. */
bool request_keeps_alive(const struct request *r);
/* The client understands chunks. */
bool request_is_1_1(const struct request *r);

#endif
