// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's connections. Called by control/api.c, and by the event loop.
 *
 * A connection reads one request, hands it over, writes the answer, and only then reads on: what a client sends ahead
 * waits in the socket, and so costs the client and not us. The loop calls for one piece of work of one connection at a
 * time, so that a busy one does not keep others waiting.
 */
#define _GNU_SOURCE /* accept4(), struct ucred */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/http.h"
#include "control/request.h"
#include "log.h"

#define NSEC_PER_MS 1000000ULL
#define CHUNK_SIZE  4096
#define MAX_HEAD    512 /* of an answer */
#define MAX_BODIES  (1U << 20)
#define STREAM_ROOM 16384
/* "4000\r\n" and "\r\n" around a chunk, and "0\r\n\r\n", which has its place kept. */
#define CHUNK_FRAME 16
#define LAST_CHUNK  "0\r\n\r\n"
/* Of a client that is told to stop and does not. */
#define LINGER_BYTES	(1U << 20)
#define ACCEPT_AGAIN_MS 1000
#define MAX_LISTENERS	2

enum conn_state {
	READING, /* a request, or nothing yet */
	ASKED,	 /* the answer is to come from above */
	WRITING, /* the answer */
	STREAMING,
	LINGERING /* all is said; what comes is thrown away until the client closes */
};

struct conn {
	struct http_server *s;
	int fd;
	struct http_id id;
	enum conn_state state;
	uint32_t events;   /* that the loop waits for */
	uint64_t deadline; /* 0: none */
	uint64_t idle_since;
	bool keep;    /* another request may follow the answer */
	bool chunked; /* a stream in chunks */
	bool head_only;
	bool deaf; /* a stream's client sends nothing more */
	bool wants_room;
	size_t lingered;
	struct request request;
	char in[CHUNK_SIZE];
	size_t in_at, in_len;
	char *out;
	size_t out_at, out_len, out_size;
};

struct http_server {
	struct loop *loop;
	int listen_fd[MAX_LISTENERS];
	unsigned int nr_listeners;
	uid_t user; /* who may connect, beside root */
	struct http_limits limits;
	const struct http_ops *ops;
	void *arg;
	struct loop_timer *deadline_timer;
	uint64_t armed; /* for when; 0: not at all */
	struct loop_timer *accept_timer;
	bool deaf; /* clients cannot be accepted now */
	uint64_t turns;
	unsigned int nr_streams;
	size_t body_budget;
	struct conn **conn; /* limits.connections of them; NULL: a free place */
};

const struct http_limits http_default_limits = {
	.connections = 256,
	.streams = HTTP_MAX_STREAMS,
	.request_ms = 10000,
	.idle_ms = 60000,
	.linger_ms = 2000,
};

/* ------------------------------------------------------------------------- */
/* Deadlines                                                                  */

static void arm(struct http_server *s, uint64_t deadline)
{
	if (s->armed && s->armed <= deadline)
		return;
	s->armed = deadline;
	loop_timer_arm(s->deadline_timer, deadline);
}

static void set_deadline(struct conn *c, unsigned int ms)
{
	c->deadline = loop_now() + ms * NSEC_PER_MS;
	arm(c->s, c->deadline);
}

/* ------------------------------------------------------------------------- */
/* Coming and going                                                           */

static struct conn *find(const struct http_server *s, struct http_id id)
{
	struct conn *c = id.place < s->limits.connections ? s->conn[id.place] : NULL;

	return c && c->id.turn == id.turn ? c : NULL;
}

static void free_out(struct conn *c)
{
	free(c->out);
	c->out = NULL;
	c->out_at = c->out_len = c->out_size = 0;
}

static void drop(struct conn *c)
{
	struct http_server *s = c->s;
	bool streamed = c->state == STREAMING;
	struct http_id id = c->id;

	s->conn[id.place] = NULL;
	s->nr_streams -= streamed;
	loop_del_fd(s->loop, c->fd);
	close(c->fd);
	request_end(&c->request);
	free_out(c);
	free(c);
	if (streamed)
		s->ops->stream_gone(s->arg, id);
}

/* What the loop has to tell of it. That it hangs up always is told, but while the answer is made. */
static void watch(struct conn *c)
{
	uint32_t events = EPOLLHUP;

	switch (c->state) {
	case READING:
		/* What was sent ahead is here already: a socket that takes something calls for it at once. */
		events = c->in_at < c->in_len ? EPOLLOUT : EPOLLIN;
		break;
	case ASKED:
		events = 0;
		break;
	case WRITING:
		events = EPOLLOUT;
		break;
	case STREAMING:
		events |= (c->out_at < c->out_len ? EPOLLOUT : 0U) | (c->deaf ? 0U : EPOLLIN);
		break;
	case LINGERING:
		events = EPOLLIN;
		break;
	}
	if (events == c->events)
		return;
	c->events = events;
	if (loop_mod_fd(c->s->loop, c->fd, events))
		drop(c);
}

static void await_request(struct conn *c)
{
	c->state = READING;
	request_end(&c->request);
	request_begin(&c->request, &c->s->body_budget);
	c->id.turn = ++c->s->turns;
	c->idle_since = loop_now();
	set_deadline(c, c->s->limits.idle_ms);
}

/*
 * A socket that is closed with something unread in it may keep the client from reading the answer, or have
 * it fail while it still sends.
 */
static void linger(struct conn *c)
{
	c->state = LINGERING;
	shutdown(c->fd, SHUT_WR);
	set_deadline(c, c->s->limits.linger_ms);
}

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

/* Returns false when the connection is gone. */
static bool flush(struct conn *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			drop(c);
			return false;
		}
		c->out_at += (size_t)n;
	}
	return true;
}

static const char *connection_header(const struct conn *c)
{
	if (!c->keep)
		return "Connection: close\r\n";
	return request_is_1_1(&c->request) ? "" : "Connection: keep-alive\r\n";
}

static bool is_flushed(const struct conn *c)
{
	return c->out_at == c->out_len;
}

static void write_answer(struct conn *c)
{
	if (!flush(c))
		return;
	if (is_flushed(c)) {
		free_out(c);
		if (c->keep)
			await_request(c);
		else
			linger(c);
	}
	watch(c);
}

static const char *status_words(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *words;
	} known[] = {
		{200, "OK"},
		{202, "Accepted"},
		{204, "No Content"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status == status)
			return known[i].words;
	}
	return "Error";
}

/* The times between which the calendar below holds. */
#define MARCH_2000 951868800
#define YEAR_2100  4102444800

/*
 * "Date: Fri, 27 Nov 2026 18:45:12 GMT". Not by gmtime(), which would open the time zone's file, and a monitor opens nothing
 * while its machine runs. A year begins in March here, so that the day that not all have is its last.
 */
static void format_date(char *buf, size_t size, time_t now)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
	unsigned int second = (unsigned int)(now % 86400);
	unsigned int day = (unsigned int)((now - MARCH_2000) / 86400);
	unsigned int year = 2000, month = 0;

	while (day >= 365U + !((year + 1) % 4)) {
		day -= 365U + !((year + 1) % 4);
		year++;
	}
	while (day >= (month % 5 % 2 ? 30U : 31U))
		day -= month++ % 5 % 2 ? 30U : 31U;
	snprintf(buf, size, "Date: %.3s, %02u %.3s %u %02u:%02u:%02u GMT\r\n",
		 days + 3 * (now / 86400 % 7), day + 1, months + 3 * month, year + (month >= 10),
		 second / 3600, second / 60 % 60, second % 60);
}

/* 0, or a negative errno: there is no room for it in memory. */
static int put_head(struct conn *c, const struct http_answer *a, size_t room, bool stream)
{
	char date[48] = "", length[64] = "", type[128] = "", allow[64] = "";
	time_t now = time(NULL);

	/* Whose clock is wrong says none: RFC 9110, 6.6.1. */
	if (now >= MARCH_2000 && now < YEAR_2100)
		format_date(date, sizeof(date), now);
	if (stream && c->chunked)
		strcpy(length, "Transfer-Encoding: chunked\r\n");
	else if (!stream && a->status != 204)
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", a->len);
	if (a->type)
		snprintf(type, sizeof(type), "Content-Type: %s\r\n", a->type);
	if (a->allow)
		snprintf(allow, sizeof(allow), "Allow: %s\r\n", a->allow);
	c->out = malloc(MAX_HEAD + room);
	if (!c->out)
		return -ENOMEM;
	c->out_size = MAX_HEAD + room;
	c->out_len = (size_t)snprintf(c->out, MAX_HEAD,
				      "HTTP/1.1 %u %s\r\n%s%s%s%s"
				      "Cache-Control: no-store\r\n%s\r\n",
				      a->status, status_words(a->status), date, type, length, allow,
				      connection_header(c));
	return 0;
}

void http_answer(struct http_server *s, struct http_id id, const struct http_answer *a)
{
	struct conn *c = find(s, id);

	if (!c || c->state != ASKED)
		return;
	if (put_head(c, a, a->len, false)) {
		drop(c);
		return;
	}
	if (!c->head_only && a->len) {
		memcpy(c->out + c->out_len, a->body, a->len);
		c->out_len += a->len;
	}
	c->state = WRITING;
	set_deadline(c, s->limits.request_ms);
	write_answer(c);
}

/* ------------------------------------------------------------------------- */
/* Streams                                                                    */

bool http_stream_begin(struct http_server *s, struct http_id id, const char *type)
{
	const struct http_answer a = {.status = 200, .type = type};
	struct conn *c = find(s, id);

	if (!c || c->state != ASKED)
		return false;
	if (s->nr_streams == s->limits.streams) {
		s->ops->refuse(s->arg, id, 503, "too many clients have a stream of events");
		return false;
	}
	c->chunked = request_is_1_1(&c->request);
	c->keep &= c->head_only;
	if (put_head(c, &a, STREAM_ROOM, true)) {
		drop(c);
		return false;
	}
	if (c->head_only) {
		c->state = WRITING;
		set_deadline(c, s->limits.request_ms);
		write_answer(c);
		return false;
	}
	c->state = STREAMING;
	c->deadline = 0;
	s->nr_streams++;
	if (!flush(c))
		return false;
	watch(c);
	return find(s, id);
}

static bool has_room(const struct conn *c, size_t len)
{
	return len <= STREAM_ROOM - CHUNK_FRAME &&
	       c->out_len - c->out_at <= STREAM_ROOM - CHUNK_FRAME - len;
}

static void put(struct conn *c, const char *text, size_t len)
{
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
}

static void make_contiguous(struct conn *c)
{
	memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
	c->out_len -= c->out_at;
	c->out_at = 0;
}

bool http_stream_write(struct http_server *s, struct http_id id, const char *text, size_t len)
{
	struct conn *c = find(s, id);
	char frame[CHUNK_FRAME];

	if (!c || c->state != STREAMING)
		return false;
	if (c->wants_room || !has_room(c, len)) {
		c->wants_room = true;
		return false;
	}
	make_contiguous(c);
	if (c->chunked)
		put(c, frame, (size_t)snprintf(frame, sizeof(frame), "%zx\r\n", len));
	put(c, text, len);
	if (c->chunked)
		put(c, "\r\n", 2);
	if (!flush(c))
		return true;
	watch(c);
	return true;
}

void http_stream_end(struct http_server *s, struct http_id id)
{
	struct conn *c = find(s, id);

	if (!c || c->state != STREAMING)
		return;
	s->nr_streams--;
	make_contiguous(c);
	if (c->chunked)
		put(c, LAST_CHUNK, strlen(LAST_CHUNK));
	c->state = WRITING;
	set_deadline(c, s->limits.request_ms);
	write_answer(c);
}

/* Somebody who cannot keep up has room again when all is gone, so that it is not told of it for each event. */
static void write_stream(struct conn *c)
{
	struct http_server *s = c->s;
	struct http_id id = c->id;

	if (!flush(c))
		return;
	if (c->wants_room && is_flushed(c)) {
		c->wants_room = false;
		s->ops->stream_room(s->arg, id);
		c = find(s, id);
	}
	if (c)
		watch(c);
}

/* ------------------------------------------------------------------------- */
/* Input                                                                      */

static void begin_asking(struct conn *c)
{
	c->state = ASKED;
	c->deadline = 0;
	c->keep = request_keeps_alive(&c->request);
	c->head_only = c->request.parser.method == HTTP_HEAD && c->request.complete;
	/* The answer may be made in a loop of its own, in which we have nothing to do. */
	watch(c);
}

static void refuse(struct conn *c, unsigned int status, const char *why)
{
	struct http_server *s = c->s;
	struct http_id id = c->id;

	begin_asking(c);
	if (find(s, id)) {
		c->keep = false;
		s->ops->refuse(s->arg, id, status, why);
	}
}

static void ask(struct conn *c)
{
	struct http_request r = {
		.method = request_method(&c->request),
		.content_type = c->request.content_type,
		.has_length = request_has_length(&c->request),
		.body = c->request.body,
		.body_len = c->request.body_len,
	};
	struct http_server *s = c->s;
	struct http_id id = c->id;
	char path[REQUEST_MAX_TARGET + 1];
	const char *at;
	size_t len;

	if (!request_path(&c->request, &at, &len, &r.has_query)) {
		refuse(c, 400, "the target of a request is a path");
		return;
	}
	memcpy(path, at, len);
	path[len] = '\0';
	r.path = path;
	begin_asking(c);
	if (find(s, id))
		s->ops->request(s->arg, id, &r);
}

/* As a courtesy: who is not told sends its body a second later. */
static void say_continue(struct conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	c->request.wants_continue = false;
	(void)!send(c->fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void parse(struct conn *c)
{
	struct request *r = &c->request;
	bool began = r->began;

	c->in_at += request_take(r, c->in + c->in_at, c->in_len - c->in_at);
	if (r->began && !began)
		set_deadline(c, c->s->limits.request_ms);
	if (r->status) {
		refuse(c, r->status, r->reason);
	} else if (r->complete) {
		ask(c);
	} else {
		if (r->wants_continue)
			say_continue(c);
		watch(c);
	}
}

/* More than nothing, 0 at the end, or negative: nothing now. */
static ssize_t receive(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);

	c->in_at = c->in_len = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -1 : 0;
	c->in_len = (size_t)n;
	return n;
}

static void read_request(struct conn *c)
{
	ssize_t n = c->in_at < c->in_len ? 1 : receive(c);

	if (n > 0)
		parse(c);
	else if (!n && c->request.began)
		/* Who has only shut down its own end may still listen. */
		refuse(c, 400, "the request ends in its middle");
	else if (!n)
		drop(c);
}

static void throw_away(struct conn *c)
{
	ssize_t n = receive(c);

	if (n > 0)
		c->lingered += (size_t)n;
	c->in_len = 0;
	if (!n || c->lingered > LINGER_BYTES)
		drop(c);
}

static void hear_stream(struct conn *c)
{
	ssize_t n = receive(c);

	c->in_len = 0;
	c->deaf = !n;
	watch(c);
}

static void on_event(void *arg, int fd, uint32_t events)
{
	struct conn *c = arg;
	struct http_server *s = c->s;
	struct http_id id = c->id;

	(void)fd;
	switch (c->state) {
	case READING:
		/* That it hung up is read, behind what it had to say. */
		read_request(c);
		break;
	case ASKED:
		break;
	case WRITING:
		if (events & (EPOLLHUP | EPOLLERR))
			drop(c);
		else
			write_answer(c);
		break;
	case STREAMING:
		if (events & (EPOLLHUP | EPOLLERR))
			drop(c);
		else if (events & EPOLLOUT)
			write_stream(c);
		if ((c = find(s, id)) && c->state == STREAMING && events & EPOLLIN)
			hear_stream(c);
		break;
	case LINGERING:
		throw_away(c);
		break;
	}
}

/* An answer that nobody reads, a request that does not end: its time is over. */
static void expire(struct conn *c)
{
	if (c->state == READING && c->request.began)
		refuse(c, 408, "the request takes too long");
	else
		drop(c);
}

static void on_deadline(void *arg)
{
	struct http_server *s = arg;
	uint64_t now = loop_now(), next = UINT64_MAX;

	s->armed = 0;
	for (unsigned int i = 0; i < s->limits.connections; i++) {
		if (s->conn[i] && s->conn[i]->deadline && s->conn[i]->deadline <= now)
			expire(s->conn[i]);
		if (s->conn[i] && s->conn[i]->deadline && s->conn[i]->deadline < next)
			next = s->conn[i]->deadline;
	}
	if (next != UINT64_MAX)
		arm(s, next);
}

/* ------------------------------------------------------------------------- */
/* Clients                                                                    */

/* It owes nothing, and nothing is owed to it. Its request may have come already, and not be read. */
static bool is_idle(const struct conn *c)
{
	char next;

	if (c->state != READING)
		return c->state == LINGERING;
	return !c->request.began && c->in_at == c->in_len &&
	       recv(c->fd, &next, 1, MSG_DONTWAIT | MSG_PEEK) <= 0;
}

/* A free place, or that of who has been idle for longest; limits.connections when there is none. */
static unsigned int find_place(struct http_server *s)
{
	struct conn *oldest = NULL;
	unsigned int place;

	for (unsigned int i = 0; i < s->limits.connections; i++) {
		struct conn *c = s->conn[i];

		if (!c)
			return i;
		if (is_idle(c) && (!oldest || c->idle_since < oldest->idle_since))
			oldest = c;
	}
	if (!oldest)
		return s->limits.connections;
	place = oldest->id.place;
	drop(oldest);
	return place;
}

static bool may_connect(const struct http_server *s, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == s->user || !peer.uid);
}

/* To who gets no connection. Whether it arrives does not matter. */
static void turn_away(int fd, unsigned int status, const char *code, const char *why)
{
	char body[256], text[512];
	int len = snprintf(body, sizeof(body),
			   "{\"error\": {\"code\": \"%s\", \"message\": \"%s\"}}\n", code, why);

	len = snprintf(text, sizeof(text),
		       "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
		       "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
		       status, status_words(status), len, body);
	(void)!send(fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void welcome(struct http_server *s, int fd)
{
	unsigned int place = s->limits.connections;
	struct conn *c = NULL;

	if (!may_connect(s, fd)) {
		turn_away(fd, 403, "not-permitted", "this machine is another user's");
		return;
	}
	place = find_place(s);
	if (place < s->limits.connections)
		c = calloc(1, sizeof(*c));
	if (!c || loop_add_fd(s->loop, fd, EPOLLIN, on_event, c)) {
		free(c);
		turn_away(fd, 503, "busy", "too many clients; try again");
		return;
	}
	c->s = s;
	c->fd = fd;
	c->events = EPOLLIN;
	c->id.place = place;
	request_begin(&c->request, &s->body_budget);
	s->conn[place] = c;
	await_request(c);
}

static void on_connect(void *arg, int listen_fd, uint32_t events)
{
	struct http_server *s = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		s->deaf = false;
		welcome(s, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* Out of descriptors, perhaps: waiting clients would wake the loop for ever. */
		if (!s->deaf)
			log_error("clients of the machine's control socket have to wait: %s",
				  strerror(errno));
		s->deaf = true;
		loop_mod_fd(s->loop, listen_fd, 0);
		loop_timer_arm(s->accept_timer, loop_now() + ACCEPT_AGAIN_MS * NSEC_PER_MS);
	}
}

static void on_accept_again(void *arg)
{
	struct http_server *s = arg;

	for (unsigned int i = 0; i < s->nr_listeners; i++)
		loop_mod_fd(s->loop, s->listen_fd[i], EPOLLIN);
}

/* ------------------------------------------------------------------------- */

int http_listen(struct http_server *s, int listen_fd, struct error *e)
{
	int ret = s->nr_listeners < MAX_LISTENERS
			  ? loop_add_fd(s->loop, listen_fd, EPOLLIN, on_connect, s)
			  : -ENOSPC;

	if (ret)
		return error_set(e, -ret, "cannot serve the machine's control socket: %s",
				 strerror(-ret));
	s->listen_fd[s->nr_listeners++] = listen_fd;
	return 0;
}

struct http_server *http_create(struct loop *loop, int listen_fd, const struct http_limits *limits,
				const struct http_ops *ops, void *arg, struct error *e)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int ret = -ENOMEM;

	if (!s) {
		error_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->user = geteuid();
	s->limits = *limits;
	s->ops = ops;
	s->arg = arg;
	s->body_budget = MAX_BODIES;
	s->conn = calloc(limits->connections, sizeof(struct conn *));
	s->deadline_timer = loop_timer_create(loop, on_deadline, s);
	s->accept_timer = loop_timer_create(loop, on_accept_again, s);
	if (s->conn && s->deadline_timer && s->accept_timer)
		ret = http_listen(s, listen_fd, e);
	else
		error_set(e, ENOMEM, "out of memory");
	if (!ret)
		return s;
	http_destroy(s);
	return NULL;
}

static void ignore(void *arg, struct http_id id)
{
	(void)arg;
	(void)id;
}

void http_destroy(struct http_server *s)
{
	static const struct http_ops nobody = {.stream_gone = ignore};

	if (!s)
		return;
	s->ops = &nobody;
	for (unsigned int i = 0; i < s->nr_listeners; i++)
		loop_del_fd(s->loop, s->listen_fd[i]);
	for (unsigned int i = 0; s->conn && i < s->limits.connections; i++) {
		if (s->conn[i])
			drop(s->conn[i]);
	}
	loop_timer_destroy(s->deadline_timer);
	loop_timer_destroy(s->accept_timer);
	free(s->conn);
	free(s);
}
