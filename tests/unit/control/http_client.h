/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of a server under test, which runs on a loop and a thread of its own. It sends what a test says, byte for
 * byte, and reads until the other side has closed, or as much as is expected.
 */
#ifndef TESTS_UNIT_CONTROL_HTTP_CLIENT_H
#define TESTS_UNIT_CONTROL_HTTP_CLIENT_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/loop.h"

#define HEAD_GET(path)	"GET " path " HTTP/1.1\r\nHost: a\r\n"
#define GET(path)	HEAD_GET(path) "\r\n"
#define GET_CLOSE(path) HEAD_GET(path) "Connection: close\r\n\r\n"

static struct loop *loop;
static pthread_t loop_thread;
static int listen_fd;
static struct sockaddr_un address;
static socklen_t address_len;

static inline void *run_loop(void *arg)
{
	ck_assert_int_eq(loop_run(arg), 0);
	return NULL;
}

/* In the abstract namespace, where nothing is left behind. */
static inline void listen_somewhere(void)
{
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&address, sizeof(address.sun_family)),
			 0);
	address_len = sizeof(address);
	ck_assert_int_eq(getsockname(listen_fd, (struct sockaddr *)&address, &address_len), 0);
	ck_assert_int_eq(listen(listen_fd, 32), 0);
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
}

static inline void start_loop(void)
{
	ck_assert_int_eq(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
}

static inline void end_loop(void)
{
	loop_stop(loop);
	ck_assert_int_eq(pthread_join(loop_thread, NULL), 0);
}

static inline void stop_listening(void)
{
	loop_destroy(loop);
	close(listen_fd);
}

/* Run a function on the loop's thread, and wait until it has returned. */
struct errand {
	void (*fn)(void *arg);
	void *arg;
	int done;
};

static inline void run_errand(void *arg, int fd, uint32_t events)
{
	struct errand *r = arg;
	uint64_t one;

	(void)events;
	ck_assert_int_eq(read(fd, &one, sizeof(one)), sizeof(one));
	r->fn(r->arg);
	one = 1;
	ck_assert_int_eq(write(r->done, &one, sizeof(one)), sizeof(one));
}

static inline void on_loop(void (*fn)(void *arg), void *arg)
{
	struct errand r = {fn, arg, eventfd(0, EFD_CLOEXEC)};
	int begin = eventfd(1, EFD_CLOEXEC);
	uint64_t one;

	ck_assert_int_eq(loop_add_fd(loop, begin, EPOLLIN, run_errand, &r), 0);
	ck_assert_int_eq(read(r.done, &one, sizeof(one)), sizeof(one));
	loop_del_fd(loop, begin);
	close(begin);
	close(r.done);
}

static inline int client_open(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, address_len), 0);
	return fd;
}

/* As far as the other side takes it. */
static inline void client_send_some(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static inline void client_send(int fd, const char *text)
{
	client_send_some(fd, text, strlen(text));
}

static char client_text[1 << 18];

/* All that comes until the end of the connection, which is closed. */
static inline const char *client_read_all(int fd)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, client_text + len, sizeof(client_text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	client_text[len] = '\0';
	close(fd);
	return client_text;
}

/* Until a text has come; fails at the end of the connection. */
static inline const char *client_read_until(int fd, const char *text)
{
	size_t len = 0;
	ssize_t n;

	client_text[0] = '\0';
	while (!strstr(client_text, text)) {
		n = recv(fd, client_text + len, sizeof(client_text) - 1 - len, 0);
		ck_assert_msg(n > 0, "after \"%s\" there is no \"%s\"", client_text, text);
		len += (size_t)n;
		client_text[len] = '\0';
	}
	return client_text;
}

static inline const char *client_ask(const char *request)
{
	int fd = client_open();

	client_send(fd, request);
	shutdown(fd, SHUT_WR);
	return client_read_all(fd);
}

static inline unsigned int count_of(const char *text, const char *what)
{
	unsigned int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

#define ck_assert_contains(text, part) \
	ck_assert_msg(strstr(text, part), "\"%s\" is not in: %s", part, text)
#define ck_assert_status(text, status) \
	ck_assert_msg(!strncmp(text, "HTTP/1.1 " status " ", 13), "is not " status ": %s", text)

#endif
