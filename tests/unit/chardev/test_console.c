// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The console's backends. Bytes that nobody reads, readers that come late, leave
 * or stall, keys, and what is left of the terminal afterwards. tty is tested on a
 * pseudo-terminal in place of standard input and output; each test is a process
 * of its own (libcheck forks).
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "block/file.h"
#include "chardev/console.h"
#include "chardev/terminal.h"
#include "console_spec.h"
#include "suite.h"

static struct loop *loop;
static struct console *console;
static pthread_t thread;
static char dir[32], path[64], spec[80];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char got[16384];	     /* what the guest took */
static size_t got_len, room; /* how much more it takes */
static atomic_uint quits;

static size_t take(void *arg, const uint8_t *buf, size_t len)
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

static size_t taken(void)
{
	size_t len;

	pthread_mutex_lock(&lock);
	len = got_len;
	pthread_mutex_unlock(&lock);
	return len;
}

static void make_room(size_t len)
{
	pthread_mutex_lock(&lock);
	room = len;
	pthread_mutex_unlock(&lock);
	console_input_ready(console);
}

static void on_quit(void *arg)
{
	(void)arg;
	quits++;
}

static void *run_loop(void *arg)
{
	(void)arg;
	ck_assert_int_eq(loop_run(loop), 0);
	return NULL;
}

static void set_up(void)
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
static const char *path_and(const char *suffix)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return name;
}

static void tear_down(void)
{
	loop_destroy(loop);
	unlink(path);
	unlink(path_and(".1"));
	unlink(path_and(".2"));
	unlink(path_and(".log"));
	rmdir(dir);
}

static void run_console(void)
{
	console_set_input(console, take, got);
	console_set_quit(console, on_quit, NULL);
	pthread_create(&thread, NULL, run_loop, NULL);
}

static void open_spec(const char *s)
{
	struct error e;

	console = open_console(s, loop, &e);
	ck_assert_msg(console != NULL, "%s", e.text);
	run_console();
}

static void open_kind(const char *kind)
{
	snprintf(spec, sizeof(spec), "%s=%s", kind, path);
	open_spec(spec);
}

static void stop(void)
{
	loop_stop(loop);
	pthread_join(thread, NULL);
	console_close(console);
}

static void say(const char *text)
{
	while (*text)
		console_put(console, (uint8_t)*text++);
}

static void expect_refused(const char *s, const char *words)
{
	struct error e = {.text = ""};

	ck_assert_ptr_null(open_console(s, loop, &e));
	ck_assert_msg(strstr(e.text, words) != NULL, "%s", e.text);
}

static void read_exactly(int fd, char *buf, size_t len)
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

static void expect(int fd, const char *text)
{
	char buf[4096];

	read_exactly(fd, buf, strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

/* In the end the guest has so much, and gets no more. */
static void expect_taken(size_t len)
{
	for (int ms = 0; ms < 10000 && taken() < len; ms++)
		usleep(1000);
	usleep(20000);
	ck_assert_uint_eq(taken(), len);
}

static void expect_input(const char *text)
{
	expect_taken(strlen(text));
	ck_assert_mem_eq(got, text, strlen(text));
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void idle_for_a_while(void)
{
	double before = cpu_seconds();

	/* One that is busy has a tenth of a processor at least. */
	usleep(300000);
	ck_assert(cpu_seconds() - before < 0.03);
}

/* ------------------------------------------------------------------------- */

/* No assertion, of which each is written to a file that may be limited, too. */
static off_t size(void)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

static void await_size(off_t want)
{
	for (int ms = 0; ms < 10000 && size() != want; ms++)
		usleep(1000);
	ck_assert_int_eq(size(), want);
}

START_TEST(bad_specs)
{
	expect_refused("file=/nonexistent/x", "/nonexistent/x");
	expect_refused("file=/nonexistent/x", "directory first");
	expect_refused("file=/tmp", "/tmp");
	expect_refused("unix=/nonexistent/x", "/nonexistent/x");
	expect_refused("unix=/nonexistent/x", "directory first");
	expect_refused("unix=/tmp/12345678901234567890123456789012345678901234567890"
		       "12345678901234567890123456789012345678901234567890123456789",
		       "107 characters");
	console_close(NULL);
	terminal_restore();
}
END_TEST

START_TEST(none)
{
	open_spec("none");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	stop();
}
END_TEST

START_TEST(file_is_truncated)
{
	struct stat st;
	struct error e;
	char buf[64];
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(write(fd, "old contents", 12), 12);
	/* Not before there is a machine that will write something else. */
	open_kind("file");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 12);
	close(fd);
	ck_assert_int_eq(console_begin(console, &e), 0);
	say("new");
	await_size(3);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
	say(" words");
	/* What is still in the ring is written at the end. */
	stop();
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 6);
	ck_assert_mem_eq(buf, " words", 6);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 9);
	close(fd);
}
END_TEST

/* Others have the file, too: what they take out of it stays out, what they add is kept. */
START_TEST(file_is_shared)
{
	char buf[64];
	int fd;

	open_kind("file");
	say("first");
	await_size(5);
	ck_assert_int_eq(truncate(path, 0), 0);
	say("second");
	await_size(6);
	fd = open(path, O_RDWR | O_APPEND);
	ck_assert_int_eq(write(fd, " and", 4), 4);
	say(" third");
	stop();
	ck_assert_int_eq(pread(fd, buf, sizeof(buf), 0), 16);
	ck_assert_mem_eq(buf, "second and third", 16);
	close(fd);
}
END_TEST

static void limit_size(rlim_t size)
{
	struct rlimit r;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = size == RLIM_INFINITY ? r.rlim_max : size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* No room: the newest waits, the loss is told where it is, and all goes on when there is room. */
START_TEST(file_is_full)
{
	static char buf[200000];
	char *lost, *behind;
	unsigned long long count;
	ssize_t n;
	int fd;

	signal(SIGXFSZ, SIG_IGN);
	open_kind("file");
	limit_size(20000);
	for (int i = 0; i < 20100; i++)
		console_put(console, 'a');
	await_size(20000);
	for (int i = 0; i < 100000; i++)
		console_put(console, 'b');
	/* It is not tried all the time. */
	idle_for_a_while();
	limit_size(RLIM_INFINITY);
	/* What the ring holds; the newest last. */
	for (int ms = 0; ms < 10000 && size() < 20000 + 65536; ms++)
		usleep(1000);
	say("room again");
	stop();
	fd = open(path, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	ck_assert_int_gt(n, 0);
	ck_assert_uint_eq(strspn(buf, "a"), 20000);
	ck_assert_str_eq(buf + n - 10, "room again");
	lost = strstr(buf, "\r\n[console: ");
	ck_assert_ptr_nonnull(lost);
	ck_assert_int_eq(sscanf(lost, "\r\n[console: %llu bytes", &count), 1);
	behind = strstr(lost, "lost]\r\n") + 7;
	ck_assert_uint_eq((unsigned long long)n - (behind - lost) + count, 20100 + 100000 + 10);
}
END_TEST

/* It ends so: that is said, and does not take long. */
START_TEST(file_stays_full)
{
	char said[300] = "";
	int fds[2];

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	open_kind("file");
	limit_size(50000);
	for (int i = 0; i < 50500; i++)
		console_put(console, 'a');
	await_size(50000);
	stop();
	limit_size(RLIM_INFINITY);
	ck_assert_int_gt(read(fds[0], said, sizeof(said) - 1), 0);
	ck_assert_msg(strstr(said, "the last 500 bytes of output are lost") != NULL, "%s", said);
}
END_TEST

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? -1 : st.st_size;
}

/* What a file of 4096 bytes and two of 4096 older ones hold, and what was there before. */
START_TEST(file_rotates)
{
	struct console_where where = {
		.kind = CONSOLE_FILE, .path = path, .rotate = 4096, .keep = 2};
	char buf[4097];
	struct error e;
	int fd = open(path, O_CREAT | O_WRONLY, 0640);
	struct stat st;

	ck_assert_int_eq(write(fd, "an earlier machine", 18), 18);
	close(fd);
	console = console_open(loop, &e);
	ck_assert_int_eq(console_add(console, &where, &e), 0);
	ck_assert_int_eq(size(), 18);
	ck_assert_int_eq(console_begin(console, &e), 0);
	ck_assert_int_eq(size(), 0);
	ck_assert_int_eq(size_of(path_and(".1")), 18);
	run_console();
	for (int i = 0; i < 4096 * 2 + 100; i++)
		console_put(console, 'a' + i / 4096);
	await_size(100);
	ck_assert_int_eq(size_of(path_and(".1")), 4096);
	ck_assert_int_eq(size_of(path_and(".2")), 4096);
	ck_assert_int_eq(size_of(path_and(".3")), -1);
	/* The new one is as locked, and as readable to others, as the first was. */
	snprintf(spec, sizeof(spec), "file=%s", path);
	expect_refused(spec, "in use");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	fd = open(path_and(".1"), O_RDONLY);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 4096);
	ck_assert_int_eq(buf[0], 'b');
	ck_assert_int_eq(buf[4095], 'b');
	close(fd);
	/* One that somebody moved away himself stays where he put it. */
	ck_assert_int_eq(rename(path, path_and(".log")), 0);
	for (int i = 0; i < 4096; i++)
		console_put(console, 'd');
	for (int ms = 0; ms < 10000 && size() != 100; ms++)
		usleep(1000);
	ck_assert_int_eq(size(), 100);
	ck_assert_int_eq(size_of(path_and(".log")), 4096);
	ck_assert_int_eq(size_of(path_and(".1")), 4096);
	/* A directory in the way: it grows, and nothing is lost. */
	unlink(path_and(".1"));
	ck_assert_int_eq(mkdir(path_and(".1"), 0700), 0);
	for (int i = 0; i < 10000; i++)
		console_put(console, 'e');
	await_size(10100);
	stop();
	rmdir(path_and(".1"));
}
END_TEST

START_TEST(only_files_rotate)
{
	struct console_where where = {
		.kind = CONSOLE_FILE, .path = "/dev/null", .rotate = 4096, .keep = 1};
	struct error e;

	console = console_open(loop, &e);
	ck_assert_int_lt(console_add(console, &where, &e), 0);
	ck_assert_msg(strstr(e.text, "plain file") != NULL, "%s", e.text);
	console_close(console);
}
END_TEST

/* A second machine, and the disk of one: nothing that is written there is lost. */
START_TEST(file_in_use)
{
	struct block_config disk = {.path = path};
	struct block *block;
	struct error e;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(ftruncate(fd, BLOCK_SECTOR), 0);
	close(fd);
	open_kind("file");
	expect_refused(spec, "in use");
	ck_assert_ptr_null(block_open(&disk, &e));
	ck_assert_msg(strstr(e.text, "in use") != NULL, "%s", e.text);
	stop();

	block = block_open(&disk, &e);
	ck_assert_ptr_nonnull(block);
	expect_refused(spec, "in use");
	block_close(block);
}
END_TEST

/* What is no regular file is neither locked nor truncated. */
START_TEST(file_is_a_device)
{
	struct error e;

	open_spec("file=/dev/null");
	ck_assert_int_eq(console_begin(console, &e), 0);
	say("gone");
	stop();
	open_spec("none");
	ck_assert_int_eq(console_begin(console, &e), 0);
	stop();
}
END_TEST

START_TEST(pipe_without_reader)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(spec, sizeof(spec), "file=%s", path);
	expect_refused(spec, "reader");
}
END_TEST

/* The reader stops reading: puts go on, the newest bytes survive, the loss is told. */
START_TEST(stalled_reader)
{
	static const char marker[] = "\r\n[console: ";
	char buf[262144], *lost;
	unsigned long long count, accounted;
	size_t total = 0;
	int fd, losses = 0;
	ssize_t n;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	open_kind("file");
	for (int i = 0; i < 50000; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%05d\r\n", i);
		say(text);
	}
	while (total < 7 || memcmp(buf + total - 7, "49999\r\n", 7) != 0) {
		n = read(fd, buf + total, sizeof(buf) - 1 - total);
		if (n > 0)
			total += (size_t)n;
		else
			usleep(1000);
	}
	buf[total] = 0;
	ck_assert_uint_lt(total, 350000);
	accounted = total;
	/*
	 * What came, without the markers, and what was lost make up all there was. A writer that the
	 * scheduler holds up can lose more than once, from the first byte on.
	 */
	for (lost = strstr(buf, marker); lost; lost = strstr(lost, marker)) {
		char *behind = strstr(lost, "lost]\r\n");

		ck_assert_ptr_nonnull(behind);
		ck_assert_int_eq(
			sscanf(lost + strlen(marker), "%llu bytes of output lost]", &count), 1);
		behind += strlen("lost]\r\n");
		accounted += count - (unsigned long long)(behind - lost);
		lost = behind;
		losses++;
	}
	ck_assert_int_gt(losses, 0);
	ck_assert_uint_eq(accounted, 350000);
	close(fd);
	/* The reader left: that ends the output, nothing else. */
	say("nobody");
	usleep(20000);
	say("hears");
	stop();
}
END_TEST

static void attach(int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static int connect_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	attach(fd);
	return fd;
}

START_TEST(unix_client)
{
	struct stat st;
	char c;
	int fd, other;

	open_kind("unix");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	/* A late client sees what was said before. */
	say("boot messages\r\n");
	fd = connect_client();
	expect(fd, "boot messages\r\n");
	say("more");
	expect(fd, "more");
	/* No keys here: all bytes are the guest's. */
	ck_assert_int_eq(write(fd, "a\001xb", 4), 4);
	expect_input("a\001xb");
	ck_assert_uint_eq(quits, 0);
	/* The second reads: what was before it came, and what comes. It is told so. */
	other = connect_client();
	expect(other, "[console: in use by another client; this one only reads]\r\n");
	expect(other, "boot messages\r\nmore");
	ck_assert_int_eq(write(other, "not heard", 9), 9);
	say("!");
	expect(fd, "!");
	expect(other, "!");
	/* When the first leaves, the next one writes. */
	close(fd);
	say("next");
	fd = connect_client();
	expect(fd, "boot messages\r\nmore!next");
	expect(other, "next");
	ck_assert_int_eq(write(fd, "c", 1), 1);
	expect_input("a\001xbc");
	stop();
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
	ck_assert_int_eq(read(other, &c, 1), 0);
	close(other);
	ck_assert_int_ne(stat(path, &st), 0);
}
END_TEST

/* One that leaves while the guest says nothing makes room for the next. */
START_TEST(unix_client_leaves_in_silence)
{
	int fd;

	open_kind("unix");
	for (unsigned int i = 0; i < 3; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, "a", 1), 1);
		expect_taken(i + 1);
		close(fd);
		usleep(100000);
	}
	fd = connect_client();
	say("yours");
	expect(fd, "yours");
	close(fd);
	stop();
}
END_TEST

/* More than is kept, to a guest that takes nothing: whoever sent it does not lock others out. */
START_TEST(unix_client_leaves_its_input)
{
	static char flood[12000];
	int fd;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	for (int i = 0; i < 3; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
		close(fd);
	}
	fd = connect_client();
	say("yours");
	expect(fd, "yours");
	close(fd);
	stop();
}
END_TEST

/* All of it comes, if it is not somebody else's turn. */
START_TEST(unix_client_sends_and_leaves)
{
	static char flood[12000];
	int fd;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	fd = connect_client();
	ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
	close(fd);
	/* That nobody is there to read is noticed before the guest has taken it. */
	say("an echo");
	usleep(20000);
	say("an echo");
	make_room(5000);
	expect_taken(5000);
	make_room(10000);
	expect_taken(12000);
	stop();
}
END_TEST

/* No descriptor is free when one connects: it waits for one. */
START_TEST(unix_out_of_descriptors)
{
	struct rlimit old, few;
	int fd;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	open_kind("unix");
	fd = connect_client();
	close(fd);
	usleep(20000);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	attach(fd);
	say("at last");
	idle_for_a_while();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	expect(fd, "at last");
	close(fd);
	stop();
}
END_TEST

/* In the order in which they came, though the first has left. */
START_TEST(unix_clients_take_turns)
{
	static char flood[12000];
	int first, second;

	memset(flood, 'f', sizeof(flood));
	room = 0;
	open_kind("unix");
	first = connect_client();
	ck_assert_int_eq(write(first, flood, sizeof(flood)), sizeof(flood));
	close(first);
	second = connect_client();
	ck_assert_int_eq(write(second, "mine", 4), 4);
	say("to you");
	expect(second, "to you");
	make_room(sizeof(got));
	expect_taken(12004);
	ck_assert_mem_eq(got + 11999, "fmine", 5);
	close(second);
	stop();
}
END_TEST

/* One that does not read, and does not go: the next has its turn when what it sent is taken. */
START_TEST(unix_deaf_client)
{
	static char flood[12000];
	int deaf, next;
	char first;

	room = 0;
	open_kind("unix");
	deaf = connect_client();
	ck_assert_int_eq(write(deaf, flood, sizeof(flood)), sizeof(flood));
	ck_assert_int_eq(shutdown(deaf, SHUT_RD), 0);
	say("unheard");
	/* Until that is noticed, whoever comes is told that somebody writes. */
	for (int tries = 0;; tries++) {
		next = connect_client();
		read_exactly(next, &first, 1);
		if (first == 'u')
			break;
		ck_assert_int_lt(tries, 1000);
		close(next);
		usleep(10000);
	}
	expect(next, "nheard");
	ck_assert_int_eq(write(next, "next", 4), 4);
	make_room(sizeof(got));
	expect_taken(12004);
	idle_for_a_while();
	close(deaf);
	close(next);
	stop();
}
END_TEST

/* "echo command | nc -N": it has said all, and listens. */
START_TEST(unix_half_closed)
{
	int fd, next;

	open_kind("unix");
	fd = connect_client();
	ck_assert_int_eq(write(fd, "command", 7), 7);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	expect_input("command");
	say("answer");
	expect(fd, "answer");
	idle_for_a_while();
	/* So somebody else can write. */
	next = connect_client();
	ck_assert_int_eq(write(next, "!", 1), 1);
	expect_input("command!");
	say(".");
	expect(next, "answer.");
	expect(fd, ".");
	close(fd);
	close(next);
	stop();
}
END_TEST

/* One writes, seven read, one too many is told so; whoever reads does so for as long as it stays. */
START_TEST(unix_readers)
{
	int writer, reader[7], fd;
	char c;

	open_kind("unix");
	writer = connect_client();
	for (int i = 0; i < 7; i++) {
		reader[i] = connect_client();
		expect(reader[i], "[console: in use by another client; this one only reads]\r\n");
	}
	fd = connect_client();
	expect(fd, "The console is in use by too many clients.\r\n");
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
	say("to all");
	expect(writer, "to all");
	for (int i = 0; i < 7; i++)
		expect(reader[i], "to all");
	/* What a reader says is not kept, however much. */
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(write(reader[0], got, 10000), 10000);
	close(writer);
	ck_assert_int_eq(write(reader[1], "unheard", 7), 7);
	writer = connect_client();
	expect(writer, "to all");
	ck_assert_int_eq(write(writer, "heard", 5), 5);
	expect_input("heard");
	/* A place for each that leaves. */
	close(reader[3]);
	usleep(20000);
	reader[3] = connect_client();
	expect(reader[3], "[console: in use by another");
	close(writer);
	for (int i = 0; i < 7; i++)
		close(reader[i]);
	stop();
}
END_TEST

/* Many that leave much behind do not take the places for good. */
START_TEST(unix_places_are_taken_back)
{
	static char flood[12000];
	int fd;

	room = 0;
	open_kind("unix");
	for (int i = 0; i < 20; i++) {
		fd = connect_client();
		ck_assert_int_eq(write(fd, flood, sizeof(flood)), sizeof(flood));
		close(fd);
	}
	fd = connect_client();
	say("welcome");
	expect(fd, "welcome");
	close(fd);
	stop();
}
END_TEST

/* A reader that stands still loses what is its own; the file beside it has all. */
START_TEST(several_at_once)
{
	static char buf[300000];
	unsigned long long count, accounted = 0, told = 0;
	struct error e;
	ssize_t n;
	int fd;

	snprintf(spec, sizeof(spec), "unix=%s", path);
	console = open_console(spec, loop, &e);
	ck_assert_ptr_nonnull(console);
	snprintf(spec, sizeof(spec), "file=%s", path_and(".log"));
	ck_assert_int_eq(add_spec(console, spec, &e), 0);
	run_console();
	fd = connect_client();
	for (int i = 0; i < 600; i++) {
		for (int j = 0; j < 1000; j++)
			console_put(console, 'x');
		for (int ms = 0; ms < 10000 && size_of(path_and(".log")) < (i + 1) * 1000; ms++)
			usleep(1000);
	}
	ck_assert_int_eq(size_of(path_and(".log")), 600000);
	say("end");
	while (!memmem(buf, accounted, "end", 3)) {
		n = read(fd, buf + accounted, sizeof(buf) - accounted);
		ck_assert_int_gt(n, 0);
		accounted += (unsigned long long)n;
	}
	for (char *lost = buf; (lost = memmem(lost, buf + accounted - lost, "[console: ", 10));) {
		ck_assert_int_eq(sscanf(lost, "[console: %llu bytes", &count), 1);
		told += count;
		accounted -= (unsigned long long)(strchr(lost, '\n') + 1 - lost) + 2;
		lost++;
	}
	ck_assert_uint_eq(accounted + told, 600003);
	/* Input is from the one that has some. */
	ck_assert_int_eq(write(fd, "typed", 5), 5);
	expect_input("typed");
	close(fd);
	stop();
}
END_TEST

static void on_socket_finish(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* The machine has ended: whoever reads gets all, and who does not is not waited for. */
START_TEST(unix_at_the_end)
{
	static char buf[300000];
	size_t total = 0;
	int fd, idle;
	ssize_t n;

	open_kind("unix");
	fd = connect_client();
	idle = connect_client();
	expect(idle, "[console: ");
	loop_stop(loop);
	pthread_join(thread, NULL);
	for (int i = 0; i < 65533; i++)
		console_put(console, 'x');
	say("end");
	ck_assert(console_finish(console, on_socket_finish, NULL));
	ck_assert_int_eq(loop_run(loop), 0);
	console_close(console);
	while ((n = read(fd, buf + total, sizeof(buf) - total)) > 0)
		total += (size_t)n;
	ck_assert_uint_eq(total, 65536);
	ck_assert_mem_eq(buf + 65533, "end", 3);
	close(fd);
	close(idle);
}
END_TEST

START_TEST(unix_without_client_keeps_the_last)
{
	char buf[128];
	int fd;

	open_kind("unix");
	for (int i = 0; i < 100000; i++)
		console_put(console, i < 99990 ? 'x' : (uint8_t)('0' + i % 10));
	usleep(50000);
	fd = connect_client();
	expect(fd, "\r\n[console: 34464 bytes of output lost]\r\n");
	for (int i = 0; i < 65526; i++)
		read_exactly(fd, buf, 1);
	expect(fd, "0123456789");
	close(fd);
	stop();
}
END_TEST

START_TEST(unix_path_in_use)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	char c;
	int fd;

	snprintf(spec, sizeof(spec), "unix=%s", path);
	/* A plain file is never replaced. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	expect_refused(spec, "in use");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	unlink(path);

	/* A socket that somebody listens on neither. */
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	expect_refused(spec, "in use");

	/* One that is left over is. */
	close(fd);
	open_spec(spec);
	fd = connect_client();
	say("hello");
	expect(fd, "hello");

	/* What others put in its place is not removed. */
	unlink(path);
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	stop();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(read(fd, &c, 1), 0);
	close(fd);
}
END_TEST

START_TEST(unix_input_waits)
{
	char flood[20000];
	int fd;

	room = 10;
	open_kind("unix");
	fd = connect_client();
	memset(flood, 'f', sizeof(flood));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(write(fd, flood, 12000), 12000);
	expect_taken(10);
	/* Room for some more, and for all */
	make_room(100);
	expect_taken(110);
	make_room(15000);
	expect_taken(12000);
	close(fd);
	stop();
}
END_TEST

/* ------------------------------------------------------------------------- */
/* tty */

static int master, slave;

static void on_pty(void)
{
	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(dup2(slave, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(dup2(slave, STDOUT_FILENO), STDOUT_FILENO);
}

static bool is_raw(void)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	return !(t.c_lflag & (ICANON | ISIG | ECHO)) && !(t.c_oflag & OPOST);
}

START_TEST(tty_raw_and_back)
{
	struct termios before, after;

	on_pty();
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	open_spec("tty");
	ck_assert(is_raw());
	/* What has nothing to do with it stays: the speed (0 hangs up), characters. */
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(cfgetospeed(&after), cfgetospeed(&before));
	ck_assert_uint_eq(after.c_cc[VINTR], before.c_cc[VINTR]);
	/* The description that the shell shares is not made non-blocking. */
	ck_assert(!(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK));
	ck_assert(!(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK));
	say("login: ");
	expect(master, "login: ");
	/* Ctrl-C and Ctrl-Z are the guest's. */
	ck_assert_int_eq(write(master, "root\r\003\032", 7), 7);
	expect_input("root\r\003\032");
	stop();
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(before.c_lflag, after.c_lflag);
	ck_assert_uint_eq(before.c_oflag, after.c_oflag);
	ck_assert_uint_eq(before.c_iflag, after.c_iflag);
}
END_TEST

START_TEST(tty_keys)
{
	char buf[4096] = "";
	ssize_t n;

	on_pty();
	open_spec("tty");
	ck_assert_int_eq(write(master, "a\001\001b", 4), 4);
	expect_input("a\001b");
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "\001h", 2), 2);
	usleep(100000);
	n = read(master, buf, sizeof(buf) - 1);
	ck_assert_int_gt(n, 0);
	ck_assert_ptr_nonnull(strstr(buf, "Ctrl-A x"));
	ck_assert_ptr_nonnull(strstr(buf, "Ctrl-A h"));
	/* A key that means nothing is swallowed; the two halves may come apart. */
	ck_assert_int_eq(write(master, "\001q\001", 3), 3);
	usleep(50000);
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "x", 1), 1);
	for (int ms = 0; ms < 5000 && !quits; ms++)
		usleep(1000);
	ck_assert_uint_eq(quits, 1);
	expect_input("a\001b");
	stop();
}
END_TEST

/* A guest that takes nothing, and more typed than is kept: the way out stays open. */
START_TEST(tty_keys_when_input_is_full)
{
	size_t written = 0;

	room = 0;
	on_pty();
	open_spec("tty");
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (int ms = 0; ms < 20000 && written < 20000; ms++) {
		ssize_t n = write(master, "typed in vain.\r\r", 16);

		if (n > 0)
			written += (size_t)n;
		else
			usleep(1000);
	}
	ck_assert_uint_ge(written, 20000);
	ck_assert_uint_eq(quits, 0);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	for (int ms = 0; ms < 5000 && !quits; ms++)
		usleep(1000);
	ck_assert_uint_eq(quits, 1);
	/* What was kept is still in order. */
	make_room(48);
	expect_input("typed in vain.\r\rtyped in vain.\r\rtyped in vain.\r\r");
	stop();
}
END_TEST

START_TEST(tty_restored_from_outside)
{
	struct termios t;

	on_pty();
	open_spec("tty");
	terminal_restore();
	ck_assert(!is_raw());
	terminal_restore();
	/* Once restored it stays so, also over a continue. */
	raise(SIGCONT);
	ck_assert(!is_raw());
	stop();

	/* A shell changed the modes while we were stopped. */
	open_spec("tty");
	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	t.c_lflag |= ICANON | ISIG | ECHO;
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &t), 0);
	raise(SIGCONT);
	ck_assert(is_raw());
	stop();
	ck_assert(!is_raw());
}
END_TEST

/* The shell's child in the foreground sets the modes, one in the background leaves them alone. */
static int judge_foreground(void)
{
	bool raw_in_front, raw_behind;
	pid_t other;

	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0))
		return 1;
	signal(SIGTTOU, SIG_IGN);
	terminal_start_raw();
	raw_in_front = is_raw();
	other = fork();
	if (!other) {
		setpgid(0, 0);
		pause();
		_exit(0);
	}
	setpgid(other, other);
	if (tcsetpgrp(STDIN_FILENO, other))
		return 2;
	terminal_restore();
	raw_behind = is_raw();
	kill(other, SIGKILL);
	return raw_in_front && raw_behind ? 0 : 3;
}

START_TEST(tty_in_the_background)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_foreground());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/*
 * A monitor for judge_job(): what the guest takes goes to out, what comes from in is said by
 * it; ends when in does.
 */
static int monitor(int in, int out)
{
	struct pollfd p = {.fd = in, .events = POLLIN};
	size_t told = 0;

	open_spec("tty");
	if (write(out, "!", 1) != 1)
		return 1;
	for (;;) {
		size_t len = taken();
		char c;

		if (poll(&p, 1, 1) == 1) {
			if (read(in, &c, 1) != 1)
				break;
			console_put(console, (uint8_t)c);
		}

		if (len > told && write(out, got + told, len - told) < 0)
			return 1;
		told = len;
	}
	stop();
	return 0;
}

static bool becomes_raw(bool raw)
{
	for (int ms = 0; ms < 10000 && is_raw() != raw; ms++)
		usleep(1000);
	return is_raw() == raw;
}

static bool comes(int fd, char want)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	return poll(&p, 1, 10000) == 1 && read(fd, &c, 1) == 1 && c == want;
}

/* A shell with job control, and a monitor as its job. Returns which step failed. */
static int judge_job(void)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	int to[2], from[2], status;
	struct termios t;
	pid_t job;
	char c;

	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) || pipe(to) || pipe(from))
		return 1;
	signal(SIGTTOU, SIG_IGN);
	job = fork();
	if (!job) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		close(to[1]);
		_exit(monitor(to[0], from[1]));
	}
	setpgid(job, job);
	close(to[0]);
	if (!comes(from[0], '!'))
		return 2;
	/* In the background: keys are not its own, nor are the modes. */
	if (write(master, "s\n", 2) != 2)
		return 3;
	usleep(400000);
	if (waitpid(job, &status, WUNTRACED | WNOHANG) || is_raw())
		return 4;
	if (read(STDIN_FILENO, &c, 1) != 1 || c != 's' || read(STDIN_FILENO, &c, 1) != 1)
		return 5;
	/* "fg" of a job that runs says nothing to it. */
	tcsetpgrp(STDIN_FILENO, job);
	if (!becomes_raw(true) || write(master, "f", 1) != 1 || !comes(from[0], 'f'))
		return 6;
	/* It is stopped: not before the terminal is as it was. */
	kill(job, SIGTSTP);
	if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status) || is_raw())
		return 7;
	/* "bg", and a key for the shell */
	tcsetpgrp(STDIN_FILENO, getpgrp());
	kill(job, SIGCONT);
	if (write(master, "b\n", 2) != 2)
		return 8;
	usleep(400000);
	if (waitpid(job, &status, WUNTRACED | WNOHANG) || is_raw())
		return 9;
	if (read(STDIN_FILENO, &c, 1) != 1 || c != 'b' || read(STDIN_FILENO, &c, 1) != 1)
		return 10;
	/* Who does not want to hear of it there does not. */
	tcgetattr(slave, &t);
	t.c_lflag = (t.c_lflag | TOSTOP) & ~ECHO;
	tcsetattr(slave, TCSANOW, &t);
	tcflush(master, TCIFLUSH);
	if (write(to[1], "o", 1) != 1 || poll(&p, 1, 300))
		return 20;
	t.c_lflag &= ~TOSTOP;
	tcsetattr(slave, TCSANOW, &t);
	if (!comes(master, 'o'))
		return 21;
	/* Stopped once more, as it is in the background, and "fg" */
	kill(job, SIGTSTP);
	if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status))
		return 11;
	tcsetpgrp(STDIN_FILENO, job);
	kill(job, SIGCONT);
	if (!becomes_raw(true) || write(master, "g", 1) != 1 || !comes(from[0], 'g'))
		return 12;
	close(to[1]);
	if (waitpid(job, &status, 0) != job || status || is_raw())
		return 13;
	return 0;
}

START_TEST(tty_job_control)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_job());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A group without a shell cannot be stopped from the terminal: it stays raw. */
static int judge_orphan(void)
{
	if (setsid() < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0))
		return 1;
	terminal_start_raw();
	raise(SIGTSTP);
	if (!is_raw())
		return 2;
	/* As often as it comes. */
	raise(SIGTSTP);
	if (!is_raw())
		return 3;
	terminal_end();
	return is_raw() ? 4 : 0;
}

START_TEST(tty_stop_of_an_orphan)
{
	int status;
	pid_t pid;

	on_pty();
	pid = fork();
	if (!pid)
		_exit(judge_orphan());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Each is undone once, and an error of the caller's stays. */
START_TEST(tty_undone_once)
{
	int flags, null = open("/dev/null", O_RDWR);

	on_pty();
	flags = fcntl(STDOUT_FILENO, F_GETFL) | O_APPEND;
	fcntl(STDOUT_FILENO, F_SETFL, flags);
	signal(SIGCONT, SIG_IGN);
	terminal_set_nonblocking();
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL), flags | O_NONBLOCK);
	terminal_restore();
	ck_assert_int_eq(fcntl(STDOUT_FILENO, F_GETFL), flags);
	fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
	terminal_restore();
	ck_assert(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK);
	terminal_start_raw();
	ck_assert(is_raw());
	/* Standard input that is gone meanwhile makes an error that nobody sees. */
	dup2(null, STDIN_FILENO);
	errno = EXDEV;
	raise(SIGCONT);
	ck_assert_int_eq(errno, EXDEV);
	terminal_end();
	ck_assert_int_eq(errno, EXDEV);
	ck_assert(signal(SIGCONT, SIG_IGN) == SIG_IGN);
	/* Where there is no terminal, nothing is done, to signals either. */
	signal(SIGCONT, SIG_IGN);
	terminal_start_raw();
	ck_assert(signal(SIGCONT, SIG_IGN) == SIG_IGN);
}
END_TEST

static void on_finish(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void *read_late(void *arg)
{
	static char buf[65536 + 10];

	usleep(600000);
	read_exactly(*(int *)arg, buf, 65536 + 9);
	return memcmp(buf + 65536, "last line", 9) ? "lost" : NULL;
}

/* The machine has ended, and its reader is late. */
START_TEST(stdout_is_waited_for)
{
	pthread_t reader;
	void *verdict;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDOUT_FILENO);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	open_spec("tty");
	for (int i = 0; i < 65536; i++)
		console_put(console, 'x');
	say("last line");
	loop_stop(loop);
	pthread_join(thread, NULL);
	pthread_create(&reader, NULL, read_late, &fds[0]);
	ck_assert(console_finish(console, on_finish, NULL));
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(!console_finish(console, on_finish, NULL));
	console_close(console);
	pthread_join(reader, &verdict);
	ck_assert_ptr_null(verdict);
}
END_TEST

/* One that leaves is not. */
START_TEST(stdout_goes_while_waited_for)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	open_spec("tty");
	for (int i = 0; i < 65536 + 10; i++)
		console_put(console, 'x');
	loop_stop(loop);
	pthread_join(thread, NULL);
	ck_assert(console_finish(console, on_finish, NULL));
	close(fds[0]);
	ck_assert_int_eq(loop_run(loop), 0);
	console_close(console);
}
END_TEST

/* Nobody reads the terminal; closing it does not hang, nor does putting. */
START_TEST(tty_stalled)
{
	on_pty();
	open_spec("tty");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	stop();
	ck_assert(!is_raw());
}
END_TEST

START_TEST(tty_hangs_up)
{
	on_pty();
	signal(SIGHUP, SIG_IGN);
	open_spec("tty");
	dup2(open("/dev/null", O_RDWR), slave);
	close(master);
	usleep(20000);
	say("into the void");
	idle_for_a_while();
	stop();
}
END_TEST

/* Standard input that cannot be polled, that ends, that is a pipe: no busy loop. */
static void idle_with_stdin(int fd)
{
	dup2(fd, STDIN_FILENO);
	dup2(open(path, O_CREAT | O_WRONLY | O_APPEND, 0600), STDOUT_FILENO);
	open_spec("tty");
	say("out");
	usleep(50000);
	idle_for_a_while();
}

START_TEST(stdin_is_dev_null)
{
	idle_with_stdin(open("/dev/null", O_RDONLY));
	ck_assert_uint_eq(taken(), 0);
	stop();
}
END_TEST

START_TEST(stdin_is_a_file)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s/in", dir);
	fd = open(name, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "\001x commands\n", 12), 12);
	lseek(fd, 0, SEEK_SET);
	room = 3;
	idle_with_stdin(fd);
	unlink(name);
	/* Not typed: no key in it. It waits for room as all input does. */
	ck_assert_uint_eq(taken(), 3);
	ck_assert_uint_eq(quits, 0);
	make_room(100);
	expect_input("\001x commands\n");
	stop();
}
END_TEST

START_TEST(stdin_is_a_pipe)
{
	struct stat st;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "hello", 5), 5);
	close(fds[1]);
	idle_with_stdin(fds[0]);
	expect_input("hello");
	stop();
	/* Output was appended to the file that was already open, not written over it. */
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 3);
}
END_TEST

START_TEST(stdout_is_an_open_file)
{
	char buf[64];
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	open_spec("tty");
	say("after");
	stop();
	ck_assert_int_eq(pread(fd, buf, sizeof(buf), 0), 12);
	ck_assert_mem_eq(buf, "before after", 12);
	close(fd);
}
END_TEST

START_TEST(standard_descriptors_closed)
{
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	close(STDIN_FILENO);
	open_spec("tty");
	say("x");
	stop();
	close(STDOUT_FILENO);
	open_spec("tty");
	say("x");
	stop();
}
END_TEST

/* ------------------------------------------------------------------------- */

START_TEST(pty_both_ways)
{
	char name[64] = "";
	struct termios t;
	int fd;

	open_kind("pty");
	ck_assert_int_gt(readlink(path, name, sizeof(name) - 1), 0);
	ck_assert_int_eq(strncmp(name, "/dev/pts/", 9), 0);
	/* Nobody is there yet: that is no busy loop, and he gets what was before. */
	say("early ");
	idle_for_a_while();
	fd = open(path, O_RDWR | O_NOCTTY);
	ck_assert_int_ge(fd, 0);
	/* No echo of what the guest says, into its own input. */
	ck_assert_int_eq(tcgetattr(fd, &t), 0);
	ck_assert(!(t.c_lflag & (ECHO | ICANON)));
	say("late\n");
	expect(fd, "early late\n");
	ck_assert_int_eq(write(fd, "a\001xb\003", 5), 5);
	expect_input("a\001xb\003");
	ck_assert_uint_eq(quits, 0);
	/* One leaves, another comes. */
	close(fd);
	idle_for_a_while();
	fd = open(name, O_RDWR | O_NOCTTY);
	say("again");
	expect(fd, "again");
	close(fd);
	stop();
	ck_assert_int_eq(readlink(path, name, sizeof(name)), -1);
}
END_TEST

/* The machine has ended: what was not read yet goes with the terminal, so it is waited for. */
START_TEST(pty_at_the_end)
{
	int fd, unread = 0;

	open_kind("pty");
	fd = open(path, O_RDWR | O_NOCTTY);
	say("last words");
	for (int ms = 0; ms < 10000 && unread < 10; ms++) {
		usleep(1000);
		ioctl(fd, FIONREAD, &unread);
	}
	loop_stop(loop);
	pthread_join(thread, NULL);
	ck_assert(console_finish(console, on_socket_finish, NULL));
	expect(fd, "last words");
	ck_assert(!console_finish(console, on_socket_finish, NULL));
	console_close(console);
	close(fd);
}
END_TEST

START_TEST(pty_unread)
{
	open_spec("pty");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	idle_for_a_while();
	stop();
}
END_TEST

START_TEST(pty_link_in_the_way)
{
	char name[64] = "";

	/* Another's file, and a link to a terminal that is there, are let be. */
	snprintf(spec, sizeof(spec), "pty=%s", path);
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	expect_refused(spec, "cannot make the link");
	ck_assert_int_eq(size(), 0);
	unlink(path);
	ck_assert_int_eq(symlink("/dev/pts/ptmx", path), 0);
	expect_refused(spec, "cannot make the link");
	unlink(path);
	/* One that was left behind is not. */
	ck_assert_int_eq(symlink("/dev/pts/987654", path), 0);
	open_spec(spec);
	/* What others put in its place is not removed. */
	unlink(path);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	stop();
	ck_assert_int_eq(readlink(path, name, sizeof(name)), 9);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console");
	TCase *t;

	t = tcase_create("output");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, bad_specs);
	tcase_add_test(t, none);
	tcase_add_test(t, file_is_truncated);
	tcase_add_test(t, file_is_shared);
	tcase_add_test(t, file_is_full);
	tcase_add_test(t, file_stays_full);
	tcase_add_test(t, file_rotates);
	tcase_add_test(t, only_files_rotate);
	tcase_add_test(t, file_in_use);
	tcase_add_test(t, file_is_a_device);
	tcase_add_test(t, pipe_without_reader);
	tcase_add_test(t, stalled_reader);
	suite_add_tcase(s, t);

	t = tcase_create("unix");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, unix_client);
	tcase_add_test(t, unix_client_leaves_in_silence);
	tcase_add_test(t, unix_client_leaves_its_input);
	tcase_add_test(t, unix_client_sends_and_leaves);
	tcase_add_test(t, unix_out_of_descriptors);
	tcase_add_test(t, unix_clients_take_turns);
	tcase_add_test(t, unix_deaf_client);
	tcase_add_test(t, unix_half_closed);
	tcase_add_test(t, unix_readers);
	tcase_add_test(t, unix_places_are_taken_back);
	tcase_add_test(t, several_at_once);
	tcase_add_test(t, unix_at_the_end);
	tcase_add_test(t, unix_without_client_keeps_the_last);
	tcase_add_test(t, unix_path_in_use);
	tcase_add_test(t, unix_input_waits);
	suite_add_tcase(s, t);

	t = tcase_create("tty");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, tty_raw_and_back);
	tcase_add_test(t, tty_keys);
	tcase_add_test(t, tty_keys_when_input_is_full);
	tcase_add_test(t, tty_restored_from_outside);
	tcase_add_test(t, tty_in_the_background);
	tcase_add_test(t, tty_job_control);
	tcase_add_test(t, tty_stop_of_an_orphan);
	tcase_add_test(t, tty_undone_once);
	tcase_add_test(t, tty_stalled);
	tcase_add_test(t, tty_hangs_up);
	tcase_add_test(t, stdin_is_dev_null);
	tcase_add_test(t, stdin_is_a_file);
	tcase_add_test(t, stdin_is_a_pipe);
	tcase_add_test(t, stdout_is_an_open_file);
	tcase_add_test(t, standard_descriptors_closed);
	tcase_add_test(t, stdout_is_waited_for);
	tcase_add_test(t, stdout_goes_while_waited_for);
	suite_add_tcase(s, t);

	t = tcase_create("pty");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, pty_both_ways);
	tcase_add_test(t, pty_at_the_end);
	tcase_add_test(t, pty_unread);
	tcase_add_test(t, pty_link_in_the_way);
	suite_add_tcase(s, t);

	return suite_run(s);
}
