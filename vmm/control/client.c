// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's side of HTTP/1.1 on a unix socket. Called by the verbs of cmd/. An answer is parsed as it comes; its
 * body is kept (client_call) or cut into lines (a stream).
 */
#include <errno.h>
#include <http_parser.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client.h"
#include "host/loop.h"

#define MAX_REQUEST 4096
#define MAX_BODY    (1U << 20)
#define MAX_LINE    (64U << 10)
#define CHUNK_SIZE  4096

/* Whoever connects waits in a queue that may be full. */
#define TRY_AGAIN_MS 20

struct client_stream {
	const char *name; /* of the machine */
	int fd;
	http_parser parser;
	bool has_head, complete;
	/* All of the body, or of a stream's its last line so far. */
	char *text;
	size_t len, size, most;
	client_line_fn line_fn;
	void *line_arg;
	int failure; /* an errno, of a callback */
};

/* ------------------------------------------------------------------------- */
/* Time                                                                       */

static int time_left(uint64_t deadline)
{
	uint64_t now = loop_now_ms();

	return now < deadline ? (int)(deadline - now) : 0;
}

/* 0, or -ETIMEDOUT */
static int wait_until(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	int ret;

	do {
		ret = poll(&p, 1, time_left(deadline));
	} while (ret < 0 && errno == EINTR);
	return ret > 0 ? 0 : ret ? -errno : -ETIMEDOUT;
}

/* ------------------------------------------------------------------------- */
/* The answer                                                                 */

/* Keeps a '\0' behind what is there. */
static int append(struct client_stream *s, const char *at, size_t len)
{
	char *bigger;
	size_t size;

	if (len >= s->most - s->len)
		return -EMSGSIZE;
	if (s->len + len + 1 > s->size) {
		size = 2 * (s->len + len + 1);
		bigger = realloc(s->text, size);
		if (!bigger)
			return -ENOMEM;
		s->text = bigger;
		s->size = size;
	}
	memcpy(s->text + s->len, at, len);
	s->len += len;
	s->text[s->len] = '\0';
	return 0;
}

static int take_lines(struct client_stream *s, const char *at, size_t len)
{
	const char *end;
	int ret;

	/* No JSON has it. */
	if (memchr(at, '\0', len))
		return -EPROTO;
	while ((end = memchr(at, '\n', len))) {
		ret = append(s, at, (size_t)(end - at));
		if (ret)
			return ret;
		if (s->len)
			s->line_fn(s->line_arg, s->text);
		s->len = 0;
		len -= (size_t)(end - at) + 1;
		at = end + 1;
	}
	return append(s, at, len);
}

static int on_headers(http_parser *parser)
{
	struct client_stream *s = parser->data;

	s->has_head = true;
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct client_stream *s = parser->data;

	/* An error is one document also where lines were asked for. */
	s->failure = s->line_fn && parser->status_code < 300 ? take_lines(s, at, len)
							     : append(s, at, len);
	return s->failure;
}

static int on_complete(http_parser *parser)
{
	struct client_stream *s = parser->data;

	s->complete = true;
	/* What follows would be another answer. */
	http_parser_pause(parser, 1);
	return 0;
}

static int fail(const struct client_stream *s, int err, struct error *e)
{
	const char *what = strerror(err);

	if (err == ETIMEDOUT)
		what = "it does not answer; 'vmm kill' ends it all the same";
	else if (err == EPROTO)
		what = "what it answers is no HTTP, or not all of it";
	else if (err == EMSGSIZE)
		what = "its answer is too long";
	return error_set(e, err, "machine '%s': %s", s->name, what);
}

/* Parse what there is to read: 1 when more may come, 0 when all is there, or a negative errno. */
static int read_some(struct client_stream *s)
{
	static const http_parser_settings settings = {
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	char buf[CHUNK_SIZE];
	ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	/* The end of the connection may be that of a body. */
	http_parser_execute(&s->parser, &settings, buf, (size_t)n);
	if (s->failure)
		return s->failure;
	if (s->complete)
		return 0;
	if (HTTP_PARSER_ERRNO(&s->parser) != HPE_OK || !n)
		return -EPROTO;
	return 1;
}

/* ------------------------------------------------------------------------- */
/* The request                                                                */

static int connect_until(const struct runtime_machine *m, uint64_t deadline)
{
	int fd = runtime_connect(m, RUNTIME_API);

	while (fd == -EAGAIN && time_left(deadline)) {
		poll(NULL, 0, TRY_AGAIN_MS);
		fd = runtime_connect(m, RUNTIME_API);
	}
	return fd == -EAGAIN ? -ETIMEDOUT : fd;
}

static int send_request(int fd, const struct client_request *request, uint64_t deadline)
{
	const char *body = request->body ? request->body : "";
	char text[MAX_REQUEST];
	int len = snprintf(text, sizeof(text),
			   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			   request->method, request->path, strlen(body), body);
	int ret;

	if (len < 0 || (size_t)len >= sizeof(text))
		return -EMSGSIZE;
	for (int sent = 0; sent < len;) {
		ssize_t n =
			send(fd, text + sent, (size_t)(len - sent), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			sent += (int)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ret = wait_until(fd, POLLOUT, deadline);
		if (ret)
			return ret;
	}
	return 0;
}

/* Ready to be read from. */
static int start(struct client_stream *s, const struct runtime_machine *m,
		 const struct client_request *request, uint64_t deadline)
{
	http_parser_init(&s->parser, HTTP_RESPONSE);
	s->parser.data = s;
	s->name = m->name;
	s->fd = connect_until(m, deadline);
	return s->fd < 0 ? s->fd : send_request(s->fd, request, deadline);
}

static void finish(struct client_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->text);
}

/* An error says {"error": {"code": ..., "message": ...}}. */
static int refused(const struct client_stream *s, struct error *e)
{
	json_t *json = s->len ? json_loadb(s->text, s->len, 0, NULL) : NULL;
	const char *message =
		json_string_value(json_object_get(json_object_get(json, "error"), "message"));

	if (message)
		error_set(e, EREMOTEIO, "machine '%s': %s", s->name, message);
	else
		error_set(e, EREMOTEIO, "machine '%s' refuses, with status %d of HTTP", s->name,
			  s->parser.status_code);
	json_decref(json);
	return -EREMOTEIO;
}

static int take_reply(const struct client_stream *s, struct client_reply *reply, struct error *e)
{
	if (s->parser.status_code >= 300)
		return refused(s, e);
	*reply = (struct client_reply){.status = s->parser.status_code};
	if (!s->len)
		return 0;
	reply->json = json_loadb(s->text, s->len, JSON_DECODE_ANY, NULL);
	return reply->json ? 0 : fail(s, EPROTO, e);
}

int client_call(const struct runtime_machine *m, const struct client_request *request,
		struct client_reply *reply, struct error *e)
{
	uint64_t deadline = loop_now_ms() + request->timeout_ms;
	struct client_stream s = {.fd = -1, .most = MAX_BODY};
	int ret = start(&s, m, request, deadline);

	if (!ret)
		ret = 1;
	while (ret > 0) {
		ret = wait_until(s.fd, POLLIN, deadline);
		if (!ret)
			ret = read_some(&s);
	}
	ret = ret ? fail(&s, -ret, e) : take_reply(&s, reply, e);
	finish(&s);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Streams                                                                    */

/* All of an error, or the head and perhaps some lines. */
static int read_head(struct client_stream *s, uint64_t deadline)
{
	int ret = 1;

	while (ret > 0 && (!s->has_head || s->parser.status_code >= 300)) {
		ret = wait_until(s->fd, POLLIN, deadline);
		if (!ret)
			ret = read_some(s);
	}
	return ret < 0 ? ret : 0;
}

int client_stream_open(const struct runtime_machine *m, const char *path, unsigned int timeout_ms,
		       client_line_fn fn, void *arg, struct client_stream **stream, struct error *e)
{
	const struct client_request request = {.method = "GET", .path = path};
	uint64_t deadline = loop_now_ms() + timeout_ms;
	struct client_stream *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return error_set(e, ENOMEM, "out of memory");
	s->fd = -1;
	s->most = MAX_LINE;
	s->line_fn = fn;
	s->line_arg = arg;
	ret = start(s, m, &request, deadline);
	if (!ret)
		ret = read_head(s, deadline);
	if (ret)
		fail(s, -ret, e);
	else if (s->parser.status_code >= 300)
		ret = refused(s, e);
	if (ret)
		client_stream_close(s);
	else
		*stream = s;
	return ret;
}

int client_stream_fd(const struct client_stream *s)
{
	return s->fd;
}

int client_stream_read(struct client_stream *s, struct error *e)
{
	int ret = s->complete ? 0 : read_some(s);

	return ret < 0 ? fail(s, -ret, e) : ret;
}

void client_stream_close(struct client_stream *s)
{
	finish(s);
	free(s);
}
