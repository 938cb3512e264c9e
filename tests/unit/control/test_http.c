// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/control/http.c and request.c: good requests, bad ones, and clients that mean ill. */
#include <check.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "control/http.h"
#include "control/request.h"
#include "http_client.h"
#include "suite.h"

/* Long enough for anything to happen, and so short that a test waits for its end. */
#define SHORT_MS 100
#define LONG_MS	 60000
#define MANY	 200
#define K16	 16384

static struct http_server *server;
static struct http_limits limits;
static struct error e;
/* Of the loop's thread, until it has ended. */
static unsigned int requests, gone;
static struct http_id last_id;

/* Echoes what it understood; /big is long, /later is never answered by itself, /stream is one. */
static void on_request(void *arg, struct http_id id, const struct http_request *r)
{
	static char big[K16 * 8];
	struct http_answer a = {.status = 200, .type = "text/plain"};
	char text[2048];

	(void)arg;
	requests++;
	last_id = id;
	if (!strcmp(r->path, "/later"))
		return;
	if (!strcmp(r->path, "/stream")) {
		http_stream_begin(server, id, "text/plain");
		return;
	}
	if (!strcmp(r->path, "/empty"))
		a = (struct http_answer){.status = 204};
	if (!strcmp(r->path, "/allow"))
		a = (struct http_answer){.status = 405, .allow = "GET, HEAD"};
	a.len = (size_t)snprintf(text, sizeof(text), "<%s %s%s %s %zu %.*s>", r->method, r->path,
				 r->has_query ? "?" : "", r->content_type, r->body_len,
				 r->body_len < 32 ? (int)r->body_len : 0, r->body);
	a.body = text;
	if (!strcmp(r->path, "/big")) {
		memset(big, 'x', sizeof(big));
		a.body = big;
		a.len = sizeof(big);
	}
	if (a.status != 200)
		a.len = 0;
	http_answer(server, id, &a);
}

static void on_refuse(void *arg, struct http_id id, unsigned int status, const char *why)
{
	const struct http_answer a = {status, "text/plain", why, strlen(why), NULL};

	(void)arg;
	http_answer(server, id, &a);
}

static void on_room(void *arg, struct http_id id)
{
	(void)arg;
	http_stream_write(server, id, "room", 4);
}

static void on_gone(void *arg, struct http_id id)
{
	(void)arg;
	(void)id;
	gone++;
}

static const struct http_ops ops = {on_request, on_refuse, on_room, on_gone};

/* What the host's clock says; 0: what it does. */
static time_t clock_says;

time_t time(time_t *t)
{
	struct timespec now = {.tv_sec = clock_says};

	if (!clock_says)
		clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

static void set_up(void)
{
	limits = (struct http_limits){256, 4, LONG_MS, LONG_MS, LONG_MS};
	listen_somewhere();
}

static void serve(void)
{
	server = http_create(loop, listen_fd, &limits, &ops, NULL, &e);
	ck_assert_ptr_nonnull(server);
	start_loop();
}

static void tear_down(void)
{
	end_loop();
	http_destroy(server);
	stop_listening();
}

/* ------------------------------------------------------------------------- */

START_TEST(dates)
{
	static const struct {
		time_t time;
		const char *date; /* NULL: none, of a clock that is wrong */
	} rows[] = {
		{1, NULL},
		{951868799, NULL},
		{951868800, "Date: Wed, 01 Mar 2000 00:00:00 GMT\r\n"},
		{1709251199, "Date: Thu, 29 Feb 2024 23:59:59 GMT\r\n"},
		{1795800000, "Date: Fri, 27 Nov 2026 17:20:00 GMT\r\n"},
		{4102444799, "Date: Thu, 31 Dec 2099 23:59:59 GMT\r\n"},
		{4102444800, NULL},
		{INT64_MAX, NULL},
	};

	serve();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text;

		clock_says = rows[i].time;
		text = client_ask(GET_CLOSE("/"));
		ck_assert_status(text, "200");
		ck_assert_uint_eq(count_of(text, "Date: "), !!rows[i].date);
		if (rows[i].date)
			ck_assert_contains(text, rows[i].date);
	}
}
END_TEST

START_TEST(good_requests)
{
	const char *text;
	int fd;

	serve();
	text = client_ask(GET_CLOSE("/a/b?c=d"));
	ck_assert_status(text, "200");
	ck_assert_contains(text, "\r\nConnection: close\r\n");
	ck_assert_contains(text, "\r\nDate: ");
	ck_assert_contains(text, " GMT\r\n");
	ck_assert_contains(text, "\r\n\r\n<GET /a/b?  0 >");

	/* The whole of a URL, and a path as proxies write it. */
	ck_assert_contains(client_ask(GET_CLOSE("http://localhost/x")), "<GET /x  0 >");
	/* A body of a known length, and one in chunks; its type without parameters. */
	ck_assert_contains(client_ask("POST /p HTTP/1.1\r\nHost: a\r\n"
				      "Content-Type: Application/JSON; charset=utf-8\r\n"
				      "Content-Length: 3\r\n\r\nabc"),
			   "<POST /p application/json 3 abc>");
	ck_assert_contains(client_ask("PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked"
				      "\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\n"),
			   "<PUT /p  3 abc>");
	/* An upgrade that is offered is not taken. */
	ck_assert_contains(client_ask(HEAD_GET("/u") "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
			   "<GET /u  0 >");
	/* HTTP/1.0 ends with the connection, and needs no host. */
	text = client_ask("GET /old HTTP/1.0\r\n\r\n");
	ck_assert_status(text, "200");
	ck_assert_contains(text, "Connection: close\r\n");
	/* HEAD is told how much there would be. */
	text = client_ask("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n");
	ck_assert_contains(text, "Content-Length: 13\r\n");
	ck_assert_ptr_null(strchr(text, '<'));
	text = client_ask(GET_CLOSE("/empty"));
	ck_assert_status(text, "204");
	ck_assert_ptr_null(strstr(text, "Content-Length"));
	ck_assert_contains(client_ask(GET_CLOSE("/allow")), "Allow: GET, HEAD\r\n");

	/* A byte at a time. */
	fd = client_open();
	for (const char *c = GET_CLOSE("/slow"); *c; c++)
		client_send_some(fd, c, 1);
	ck_assert_contains(client_read_all(fd), "<GET /slow  0 >");
}
END_TEST

START_TEST(requests_one_after_another)
{
	const char *text;
	int fd;

	serve();
	/* One at a time. */
	fd = client_open();
	for (unsigned int i = 0; i < 5; i++) {
		client_send(fd, GET("/again"));
		client_read_until(fd, "<GET /again  0 >");
	}
	close(fd);
	/* All at once, with bodies, and nothing is answered behind the last. */
	fd = client_open();
	for (unsigned int i = 0; i < 100; i++)
		client_send(fd, "POST /many HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	client_send(fd, GET_CLOSE("/last") GET("/never"));
	text = client_read_all(fd);
	ck_assert_uint_eq(count_of(text, "<POST /many  3 abc>"), 100);
	ck_assert_uint_eq(count_of(text, "<GET /last  0 >"), 1);
	ck_assert_ptr_null(strstr(text, "never"));
	/* An older client has to ask for it, and is told that it is granted. */
	text = client_ask("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
			  "GET /2 HTTP/1.0\r\n\r\n");
	ck_assert_contains(text, "Connection: keep-alive\r\n");
	ck_assert_contains(text, "<GET /1  0 >");
	ck_assert_contains(text, "<GET /2  0 >");
	/* One who does not read does not get more answered than fits. */
	fd = client_open();
	for (unsigned int i = 0; i < 50; i++)
		client_send(fd, GET("/big"));
	/* Others do not notice. */
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
	close(fd);
}
END_TEST

START_TEST(continues)
{
	int fd;

	serve();
	fd = client_open();
	client_send(fd, "PUT /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
			"Content-Length: 2\r\n\r\n");
	client_read_until(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	client_send(fd, "hi");
	client_read_until(fd, "<PUT /c  2 hi>");
	close(fd);
	/* Who would have to send too much is told before, and who expects something else. */
	fd = client_open();
	client_send(fd, "PUT /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
			"Content-Length: 65537\r\n\r\n");
	ck_assert_status(client_read_until(fd, "\r\n\r\n"), "413");
	close(fd);
	ck_assert_status(client_ask(HEAD_GET("/") "Expect: miracles\r\n\r\n"), "417");
}
END_TEST

/* ------------------------------------------------------------------------- */

static char *repeat(const char *before, char c, size_t n, const char *behind)
{
	size_t len = strlen(before);
	char *text = malloc(len + n + strlen(behind) + 1);

	strcpy(text, before);
	memset(text + len, c, n);
	strcpy(text + len + n, behind);
	return text;
}

static void asks(char *request, const char *part)
{
	ck_assert_contains(client_ask(request), part);
	free(request);
}

START_TEST(bad_requests)
{
	static const struct {
		const char *request, *status;
	} bad[] = {
		{"\x16\x03\x01\x02", "400"},
		{"EHLO there\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n", "400"},
		{"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"GET / HTTP/3.7\r\nHost: a\r\n\r\n", "505"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		 "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		 "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
		 "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", "413"},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
		 "400"},
		/* In its middle, by who still listens. */
		{"GET / HT", "400"},
		{"GET / HTTP/1.1\r\nHost: a\r\n", "400"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na", "400"},
	};

	serve();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[16];
		const char *text = client_ask(bad[i].request);

		snprintf(line, sizeof(line), "HTTP/1.1 %s ", bad[i].status);
		ck_assert_msg(!strncmp(text, line, strlen(line)), "%s: %s", bad[i].request, text);
		ck_assert_contains(text, "Connection: close\r\n");
		ck_assert_uint_eq(count_of(text, "\r\nDate: "), 1);
	}
	asks(repeat("GET /", 'p', REQUEST_MAX_TARGET, " HTTP/1.1\r\nHost: a\r\n\r\n"), " 414 ");
	asks(repeat("GET /", 'p', REQUEST_MAX_TARGET - 1, " HTTP/1.1\r\nHost: a\r\n\r\n"), " 200 ");
	asks(repeat(HEAD_GET("/") "X: ", 'h', REQUEST_MAX_HEAD, "\r\n\r\n"), " 431 ");
	asks(repeat(HEAD_GET("/"), 'h', REQUEST_MAX_HEAD, ": x\r\n\r\n"), " 431 ");
	asks(repeat(HEAD_GET("/") "Content-Type: a/", 't', 200, "\r\n\r\n"), "<GET / ? 0 >");
	asks(repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n", 'b', 65536, ""),
	     "<POST /  65536 >");
	asks(repeat("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
		    'b', 65537, "\r\n0\r\n\r\n"),
	     " 413 ");
	/* It was refused before anybody was asked. */
	ck_assert_uint_eq(requests, 3);
}
END_TEST

/* The name of a header that begins as one that we know is none. */
START_TEST(long_names_are_others)
{
	serve();
	asks(repeat("GET / HTTP/1.1\r\nHost", 'x', 100, ": a\r\n\r\n"), " 400 ");
}
END_TEST

/* ------------------------------------------------------------------------- */

START_TEST(many_clients)
{
	int fd[MANY];

	serve();
	for (unsigned int i = 0; i < MANY; i++) {
		fd[i] = client_open();
		client_send(fd[i], HEAD_GET("/"));
	}
	/* While all of them are in the middle of a request, another is answered. */
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
	for (unsigned int i = 0; i < MANY; i++)
		client_send(fd[i], "Connection: close\r\n\r\n");
	for (unsigned int i = 0; i < MANY; i++)
		ck_assert_status(client_read_all(fd[i]), "200");
}
END_TEST

START_TEST(too_many_clients)
{
	int idle, busy[3], more;

	limits.connections = 4;
	serve();
	idle = client_open();
	client_send(idle, GET("/"));
	client_read_until(idle, "<GET /  0 >");
	for (unsigned int i = 0; i < 3; i++) {
		busy[i] = client_open();
		client_send(busy[i], GET("/later"));
	}
	/* Who has nothing to do makes room for a newcomer. */
	more = client_open();
	client_send(more, HEAD_GET("/"));
	ck_assert_str_eq(client_read_all(idle), "");
	/* There is nobody left who has. */
	ck_assert_status(client_read_all(client_open()), "503");
	/* Until one leaves. */
	client_send(more, "\r\n");
	client_read_until(more, "<GET /  0 >");
	close(more);
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
	for (unsigned int i = 0; i < 3; i++)
		close(busy[i]);
}
END_TEST

START_TEST(too_much_at_a_time)
{
	char *body = repeat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n", 'b',
			    65535, "");
	int fd[20];
	unsigned int refused = 0;

	serve();
	for (unsigned int i = 0; i < 20; i++) {
		fd[i] = client_open();
		client_send(fd[i], body);
	}
	/* What is there by then is all that they may have; a request without a body needs none. */
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
	for (unsigned int i = 0; i < 20; i++)
		shutdown(fd[i], SHUT_WR);
	for (unsigned int i = 0; i < 20; i++)
		refused += count_of(client_read_all(fd[i]), "HTTP/1.1 503 ");
	ck_assert_uint_ge(refused, 1);
	ck_assert_uint_lt(refused, 20);
	/* All of it was given back. */
	asks(repeat(body, 'b', 1, ""), "<POST /  65536 >");
	free(body);
}
END_TEST

START_TEST(times)
{
	int fd[4];

	limits.request_ms = limits.idle_ms = limits.linger_ms = SHORT_MS;
	serve();
	for (unsigned int i = 0; i < 4; i++)
		fd[i] = client_open();
	client_send(fd[0], "GET / HTT");
	client_send(fd[1], GET("/"));
	/* Blank lines before a request begin none. */
	client_send(fd[2], "\r\n\r\n");
	for (unsigned int i = 0; i < 20; i++)
		client_send(fd[3], GET("/big"));
	/* Half a request is told; who says nothing is not. */
	ck_assert_status(client_read_all(fd[0]), "408");
	client_read_until(fd[1], "<GET /  0 >");
	ck_assert_str_eq(client_read_all(fd[1]), "");
	ck_assert_str_eq(client_read_all(fd[2]), "");
	/* Of who did not read there is no more than what fitted. */
	client_read_all(fd[3]);
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
}
END_TEST

START_TEST(never_ends)
{
	static char megabyte[1 << 20];
	int fd;

	serve();
	/* A body without an end, behind which an answer waits: it is thrown away for a while, and then he is cut off. */
	fd = client_open();
	client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
	for (unsigned int i = 0; i < 3; i++)
		client_send_some(fd, megabyte, sizeof(megabyte));
	ck_assert_int_lt(send(fd, "x", 1, MSG_NOSIGNAL), 0);
	ck_assert_status(client_read_all(fd), "413");
	/* Without an answer being read, either. */
	fd = client_open();
	client_send_some(fd, megabyte, sizeof(megabyte));
	client_send_some(fd, megabyte, sizeof(megabyte));
	ck_assert_int_lt(send(fd, "x", 1, MSG_NOSIGNAL), 0);
	close(fd);
}
END_TEST

static const char *late_text;

static void answer_last(void *arg)
{
	const struct http_answer a = {200, "text/plain", late_text, strlen(late_text), NULL};
	struct http_id *id = arg;

	http_answer(server, *id, &a);
	/* A second answer is none. */
	http_answer(server, *id, &a);
}

START_TEST(late_answers)
{
	struct http_id old;
	int fd;

	serve();
	fd = client_open();
	client_send(fd, GET("/later") GET("/next"));
	while (!__atomic_load_n(&requests, __ATOMIC_ACQUIRE))
		sched_yield();
	old = last_id;
	late_text = "late";
	on_loop(answer_last, &old);
	client_read_until(fd, "<GET /next  0 >");
	ck_assert_uint_eq(count_of(client_text, "late"), 1);
	/* The id of a request that was answered names no other. */
	client_send(fd, GET("/later"));
	while (__atomic_load_n(&requests, __ATOMIC_ACQUIRE) < 3)
		sched_yield();
	late_text = "wrong";
	on_loop(answer_last, &old);
	old.turn = 0;
	old.place = 1000;
	on_loop(answer_last, &old);
	late_text = "right";
	on_loop(answer_last, &last_id);
	client_read_until(fd, "right");
	ck_assert_ptr_null(strstr(client_text, "wrong"));
	close(fd);
}
END_TEST

/* ------------------------------------------------------------------------- */

static bool taken;

static void write_stream(void *arg)
{
	taken = http_stream_write(server, last_id, arg, strlen(arg));
}

static void end_stream(void *arg)
{
	(void)arg;
	http_stream_end(server, last_id);
}

/* Until the stream has begun. */
static int open_stream(const char *request)
{
	int fd = client_open();

	client_send(fd, request);
	client_read_until(fd, "\r\n\r\n");
	return fd;
}

START_TEST(streams)
{
	int fd, other;

	serve();
	fd = open_stream(GET("/stream"));
	ck_assert_contains(client_text, "Transfer-Encoding: chunked\r\n");
	on_loop(write_stream, "hello\n");
	ck_assert(taken);
	client_read_until(fd, "6\r\nhello\n\r\n");
	/* What it sends meanwhile is nothing, and so is that it ends it. */
	client_send(fd, GET("/not"));
	shutdown(fd, SHUT_WR);
	on_loop(write_stream, "again\n");
	client_read_until(fd, "6\r\nagain\n\r\n");
	on_loop(end_stream, NULL);
	ck_assert_str_eq(client_read_all(fd), "0\r\n\r\n");
	ck_assert_uint_eq(gone, 0);

	/* Without chunks for who does not know them. */
	fd = open_stream("GET /stream HTTP/1.0\r\n\r\n");
	on_loop(write_stream, "old\n");
	on_loop(end_stream, NULL);
	ck_assert_str_eq(client_read_all(fd), "old\n");
	/* Only the head. */
	ck_assert_status(client_ask("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"), "200");
	on_loop(write_stream, "nobody\n");
	ck_assert(!taken);

	/* One who leaves is missed. */
	fd = open_stream(GET("/stream"));
	other = open_stream(GET("/stream"));
	close(fd);
	while (!__atomic_load_n(&gone, __ATOMIC_ACQUIRE))
		sched_yield();
	on_loop(write_stream, "you\n");
	client_read_until(other, "you\n");
	close(other);
}
END_TEST

START_TEST(slow_streams)
{
	char *line = repeat("", 'l', 4000, "\n");
	unsigned int written = 0;
	int fd;

	serve();
	fd = open_stream(GET("/stream"));
	do {
		on_loop(write_stream, line);
		written += taken;
	} while (taken);
	/* It is bounded by the socket's buffer and ours. */
	ck_assert_uint_lt(written, 1000);
	/* A short one does not pass those that were not taken. */
	on_loop(write_stream, "short\n");
	ck_assert(!taken);
	client_read_until(fd, "room");
	on_loop(end_stream, NULL);
	client_read_all(fd);
	free(line);
}
END_TEST

START_TEST(too_many_streams)
{
	int fd[4];

	serve();
	for (unsigned int i = 0; i < 4; i++)
		fd[i] = open_stream(GET("/stream"));
	ck_assert_status(client_ask(GET("/stream")), "503");
	close(fd[0]);
	while (!__atomic_load_n(&gone, __ATOMIC_ACQUIRE))
		sched_yield();
	fd[0] = open_stream(GET("/stream"));
	ck_assert_status(client_text, "200");
	for (unsigned int i = 0; i < 4; i++)
		close(fd[i]);
}
END_TEST

/* ------------------------------------------------------------------------- */

/* Without descriptors clients wait, and do not keep the loop busy; then they are served. */
START_TEST(no_descriptors)
{
	struct rlimit old, none = {0, 0};
	int fd;

	serve();
	fd = client_open();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none.rlim_max = old.rlim_max;
	client_send(fd, GET_CLOSE("/"));
	ck_assert_status(client_read_all(fd), "200");
	fd = client_open();
	close(dup(fd));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	client_send(fd, GET_CLOSE("/"));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_status(client_read_all(fd), "200");
}
END_TEST

/* Another user, if we can be one. */
START_TEST(other_users)
{
	pid_t pid;
	int status;

	if (geteuid())
		return;
	serve();
	pid = fork();
	if (!pid) {
		int fd;

		if (setuid(65534))
			_exit(2);
		fd = client_open();
		client_send(fd, GET("/"));
		_exit(strncmp(client_read_all(fd), "HTTP/1.1 403 ", 13) ? 1 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(requests, 0);
}
END_TEST

START_TEST(no_memory)
{
	limits.connections = 2;
	/* As many as there are in it. */
	for (unsigned int n = 1; n <= 4; n++) {
		allocation_to_fail = n;
		ck_assert_ptr_null(http_create(loop, listen_fd, &limits, &ops, NULL, &e));
		ck_assert_str_eq(e.code, "no-memory");
	}
	allocation_to_fail = 0;
	serve();
	ck_assert_status(client_ask(GET_CLOSE("/")), "200");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *tc = tcase_create("http");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, dates);
	tcase_add_test(tc, good_requests);
	tcase_add_test(tc, requests_one_after_another);
	tcase_add_test(tc, continues);
	tcase_add_test(tc, bad_requests);
	tcase_add_test(tc, long_names_are_others);
	tcase_add_test(tc, many_clients);
	tcase_add_test(tc, too_many_clients);
	tcase_add_test(tc, too_much_at_a_time);
	tcase_add_test(tc, times);
	tcase_add_test(tc, never_ends);
	tcase_add_test(tc, late_answers);
	tcase_add_test(tc, streams);
	tcase_add_test(tc, slow_streams);
	tcase_add_test(tc, too_many_streams);
	tcase_add_test(tc, no_descriptors);
	tcase_add_test(tc, other_users);
	tcase_add_test(tc, no_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
