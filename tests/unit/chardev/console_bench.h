/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A console, its event loop and its guest: what the tests of the console's backends have in common. Each test is a
 * process of its own (libcheck forks).
 */
#ifndef TESTS_UNIT_CHARDEV_CONSOLE_BENCH_H
#define TESTS_UNIT_CHARDEV_CONSOLE_BENCH_H

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/console.h"
#include "console_spec.h"
#include "suite.h"

static struct loop *loop;
static struct console *console;
static pthread_t thread;
static char dir[32], path[64], spec[96];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char got[16384];	     /* what the guest took */
static size_t got_len, room; /* how much more it takes */
static atomic_uint quits;

static inline size_t take(void *arg, const uint8_t *buf, size_t len)
{
	/* On the loop's thread: libcheck's assertions are for one thread only. */
	if (arg != got)
		abort();
	pthread_mutex_lock(&lock);
	if (len > room)
		len = room;
	memcpy(got + got_len, buf, len);
	got_len += len;
	room -= len;
	pthread_mutex_unlock(&lock);
	return len;
}

static inline size_t taken(void)
{
	size_t len;

	pthread_mutex_lock(&lock);
	len = got_len;
	pthread_mutex_unlock(&lock);
	return len;
}

static inline void make_room(size_t len)
{
	pthread_mutex_lock(&lock);
	room = len;
	pthread_mutex_unlock(&lock);
	console_input_ready(console);
}

static inline void on_quit(void *arg)
{
	(void)arg;
	quits++;
}

static inline void *run_loop(void *arg)
{
	(void)arg;
	ck_assert_int_eq(loop_run(loop), 0);
	return NULL;
}

static inline void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	strcpy(dir, "/tmp/test_console.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c", dir);
	loop = loop_create();
	room = sizeof(got);
	got_len = 0;
	quits = 0;
}

/* The path with a suffix, in a buffer that the next call uses, too. */
static inline const char *path_and(const char *suffix)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return name;
}

static inline void tear_down(void)
{
	loop_destroy(loop);
	unlink(path);
	unlink(path_and(".1"));
	unlink(path_and(".2"));
	unlink(path_and(".log"));
	rmdir(dir);
}

static inline void run_console(void)
{
	console_set_input(console, take, got);
	console_set_quit(console, on_quit, NULL);
	pthread_create(&thread, NULL, run_loop, NULL);
}

static inline void open_spec(const char *s)
{
	struct error e;

	console = open_console(s, loop, &e);
	ck_assert_msg(console != NULL, "%s", e.text);
	run_console();
}

static inline void open_kind(const char *kind)
{
	snprintf(spec, sizeof(spec), "%s=%s", kind, path);
	open_spec(spec);
}

static inline void stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	console_close(console);
}

static inline void say(const char *text)
{
	while (*text)
		console_put(console, (uint8_t)*text++);
}

static inline void expect_refused(const char *s, const char *words)
{
	struct error e = {.text = ""};

	ck_assert_ptr_null(open_console(s, loop, &e));
	ck_assert_msg(strstr(e.text, words) != NULL, "%s", e.text);
}

static inline void read_exactly(int fd, char *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (len) {
		ssize_t n;

		ck_assert_int_eq(poll(&p, 1, 5000), 1);
		n = read(fd, buf, len);
		ck_assert_int_gt(n, 0);
		buf += n;
		len -= (size_t)n;
	}
}

static inline void expect(int fd, const char *text)
{
	char buf[4096];

	read_exactly(fd, buf, strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

/* In the end the guest has so much, and gets no more. */
static inline void expect_taken(size_t len)
{
	for (int ms = 0; ms < 10000 && taken() < len; ms++)
		usleep(1000);
	usleep(20000);
	ck_assert_uint_eq(taken(), len);
}

static inline void expect_input(const char *text)
{
	expect_taken(strlen(text));
	ck_assert_mem_eq(got, text, strlen(text));
}

static inline double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline void idle_for_a_while(void)
{
	double before = cpu_seconds();

	/* One that is busy has a tenth of a processor at least. */
	usleep(300000);
	ck_assert(cpu_seconds() - before < 0.03);
}

/* No assertion, of which each is written to a file that may be limited, too. */
static inline off_t size(void)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

static inline off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? -1 : st.st_size;
}

static inline void attach(int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static inline int connect_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	attach(fd);
	return fd;
}

static inline void on_socket_finish(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

#endif
