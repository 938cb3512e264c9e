/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server of HTTP/1.1 on a unix socket and the event loop. Who may connect is the user that the monitor was started by,
 * and root. Connections, heads, bodies, answers and the time that each takes are bounded, and nobody is waited for:
 * neither the machine nor another client notices one that is slow, silent, gone, or sends nonsense.
 *
 * All calls are made on the loop's thread.
 */
#ifndef VMM_CONTROL_HTTP_H
#define VMM_CONTROL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "host/loop.h"

struct http_server;

/* A request that awaits its answer, or a stream. One that is gone names nothing, and never names another. */
struct http_id {
	unsigned int place;
	uint64_t turn;
};

/* Valid while the call lasts that brings it, and until it is answered. */
struct http_request {
	const char *method;
	const char *path;	  /* without what follows a '?' */
	bool has_query;		  /* something does */
	const char *content_type; /* empty: not stated */
	bool has_length;	  /* a body was announced, be it empty */
	const char *body;
	size_t body_len;
};

struct http_answer {
	unsigned int status;
	const char *type; /* of the content; NULL: there is none */
	const char *body;
	size_t len;
	const char *allow; /* methods, for 405; NULL */
};

struct http_ops {
	/* http_answer() or http_stream_begin() must follow, now or later. */
	void (*request)(void *arg, struct http_id id, const struct http_request *r);
	/* The same for what is not to be answered otherwise: status and sentence say why. */
	void (*refuse)(void *arg, struct http_id id, unsigned int status, const char *why);
	/* A stream for which there was no room takes something again. */
	void (*stream_room)(void *arg, struct http_id id);
	/* A stream's client has left; its id names nothing any more. */
	void (*stream_gone)(void *arg, struct http_id id);
};

struct http_limits {
	unsigned int connections;
	unsigned int streams;
	unsigned int request_ms; /* from its first byte to its last, and for an answer to be read */
	unsigned int idle_ms;	 /* between requests */
	unsigned int linger_ms;	 /* for a client to read an answer, and close */
};

#define HTTP_MAX_STREAMS 32

extern const struct http_limits http_default_limits;

/* The descriptor listens, does not block, and remains the caller's. NULL with a sentence. */
struct http_server *http_create(struct loop *loop, int listen_fd, const struct http_limits *limits,
				const struct http_ops *ops, void *arg, struct error *e);
/* The same at another socket, too; for the second one at most. Returns 0 or a negative errno. */
int http_listen(struct http_server *s, int listen_fd, struct error *e);
/* Streams end with it; stream_gone is not called. */
void http_destroy(struct http_server *s);

void http_answer(struct http_server *s, struct http_id id, const struct http_answer *a);
/*
 * Begin an answer of no known length. False: there is no stream, as the client is gone, asked for the head alone, or
 * is one too many, which is answered.
 */
bool http_stream_begin(struct http_server *s, struct http_id id, const char *type);
/* All of it is taken, or none: false, and stream_room is called when there is room again. */
bool http_stream_write(struct http_server *s, struct http_id id, const char *text, size_t len);
/* What was written is still delivered. */
void http_stream_end(struct http_server *s, struct http_id id);

#endif
