// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/cmd/console.c and logs.c: a console that answers what is typed, on terminals and pipes. */
#define _GNU_SOURCE /* ptsname */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

#include "../control/fake_monitor.h"
#include "chardev/console.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/printed.h"
#include "suite.h"

/* ------------------------------------------------------------------------- */
/* Keys                                                                       */

static void filter(struct keys *k, const char *typed, enum keys_do what, const char *left)
{
	uint8_t buf[64];
	size_t len = strlen(typed);

	memcpy(buf, typed, len);
	ck_assert_int_eq(keys_filter(k, buf, &len), what);
	buf[len] = '\0';
	ck_assert_str_eq((char *)buf, left);
}

START_TEST(test_keys)
{
	struct keys k = {0};

	filter(&k, "abc", KEYS_SEND, "abc");
	filter(&k, "a\001", KEYS_SEND, "a");
	filter(&k, "\001b", KEYS_SEND, "\001b");
	filter(&k, "\001xy", KEYS_SEND, "y");
	filter(&k, "a\001hb", KEYS_HELP, "ab");
	filter(&k, "a\001", KEYS_SEND, "a");
	filter(&k, "dbc", KEYS_DETACH, "");
	filter(&k, "a\001db", KEYS_DETACH, "a");
}
END_TEST

/* ------------------------------------------------------------------------- */
/* A guest that answers in capitals, and ends at a '.'                        */

static struct console *console;
static struct loop *loop;

static void say(const char *text)
{
	for (; *text; text++)
		console_put(console, (uint8_t)*text);
}

static size_t on_input(void *arg, const uint8_t *buf, size_t len)
{
	(void)arg;
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '.')
			loop_stop(loop);
		else
			console_put(console, buf[i] & ~0x20);
	}
	return len;
}

static void guest(int ready)
{
	const struct runtime_facts facts = {.cpus = 1, .memory = 64 << 20};
	struct console_where where = {.kind = CONSOLE_SOCKET};
	struct runtime *r;
	char path[128];
	struct error e;

	signal(SIGPIPE, SIG_IGN);
	loop = loop_create();
	console = console_open(loop, &e);
	snprintf(path, sizeof(path), "%s/m/console.sock", fake_base);
	where.path = path;
	if (runtime_create("m", &facts, &r, &e) || console_add(console, &where, &e) ||
	    console_begin(console, &e))
		_exit(1);
	console_set_input(console, on_input, NULL);
	say("hello\r\n");
	(void)!write(ready, "", 1);
	close(ready);
	loop_run(loop);
	say("bye\r\n");
	console_close(console);
	runtime_destroy(r, false);
	_exit(0);
}

static pid_t start_guest(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid)
		guest(ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

struct client {
	pid_t pid;
	int fd;
	char got[4096];
};

static void be_client(bool read_only)
{
	char *argv[] = {"console", "m", read_only ? "--read-only" : NULL};

	exit(cmd_console(read_only ? 3 : 2, argv));
}

/* What its terminal is like before it has done anything. */
static struct termios terminal_of_old(void)
{
	struct termios t;
	int fd, terminal;

	ck_assert_int_eq(openpty(&fd, &terminal, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(terminal, &t), 0);
	ck_assert(t.c_lflag & ICANON);
	close(fd);
	close(terminal);
	return t;
}

static struct client start_terminal(bool read_only)
{
	const struct termios before = terminal_of_old();
	struct client c = {0};

	c.pid = forkpty(&c.fd, NULL, &before, NULL);
	if (!c.pid)
		be_client(read_only);
	return c;
}

static struct client start_pipe(bool read_only)
{
	struct client c = {0};
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	c.pid = fork();
	if (!c.pid) {
		dup2(pair[1], STDIN_FILENO);
		dup2(pair[1], STDOUT_FILENO);
		close(pair[0]);
		close(pair[1]);
		be_client(read_only);
	}
	close(pair[1]);
	c.fd = pair[0];
	return c;
}

/* Until it has said this; what came before is forgotten with it. */
static void expect(struct client *c, const char *text)
{
	size_t len = strlen(c->got);
	char *at;

	while (!(at = strstr(c->got, text))) {
		ssize_t n = read(c->fd, c->got + len, sizeof(c->got) - 1 - len);

		ck_assert_msg(n > 0, "'%s' instead of '%s'", c->got, text);
		len += (size_t)n;
		c->got[len] = '\0';
	}
	memmove(c->got, at + strlen(text), strlen(at + strlen(text)) + 1);
}

static void type(const struct client *c, const char *text)
{
	ck_assert_int_eq(write(c->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int end_of(struct client *c)
{
	int status;

	ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
	close(c->fd);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void end_guest(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(test_terminal)
{
	pid_t pid = start_guest();
	const struct termios before = terminal_of_old();
	struct termios now;
	struct client c;

	for (int i = 0; i < 3; i++) {
		c = start_terminal(false);
		expect(&c, "hello\r\n");
		ck_assert_int_eq(tcgetattr(c.fd, &now), 0);
		ck_assert(!(now.c_lflag & (ICANON | ISIG | ECHO)));
		type(&c, "abc");
		expect(&c, "ABC");
		type(&c, "\001h");
		expect(&c, "leave the console");
		type(&c, "\001d");
		expect(&c, "detached from 'm'");
		ck_assert_int_eq(tcgetattr(c.fd, &now), 0);
		ck_assert_int_eq(now.c_lflag, before.c_lflag);
		ck_assert_int_eq(now.c_oflag, before.c_oflag);
		ck_assert_int_eq(end_of(&c), STATUS_OK);
	}
	c = start_terminal(false);
	expect(&c, "hello\r\nABCABCABC");
	type(&c, ".");
	expect(&c, "bye\r\n");
	expect(&c, "'m' has ended");
	ck_assert_int_eq(end_of(&c), STATUS_OK);
	end_guest(pid);
	c = start_terminal(false);
	ck_assert_int_eq(end_of(&c), VERB_NO_MACHINE);
}
END_TEST

/* Whatever ends it. */
START_TEST(test_terminal_is_restored)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGSEGV, SIGUSR1};
	pid_t pid = start_guest();
	const struct termios before = terminal_of_old();
	struct termios now;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct client c = start_terminal(false);
		/* Kept open, so that what is left can be looked at. */
		int slave = open(ptsname(c.fd), O_RDWR | O_NOCTTY);

		expect(&c, "hello\r\n");
		kill(c.pid, signals[i]);
		ck_assert_int_eq(waitpid(c.pid, NULL, 0), c.pid);
		ck_assert_int_eq(tcgetattr(slave, &now), 0);
		ck_assert_int_eq(now.c_lflag | ECHO, before.c_lflag | ECHO);
		ck_assert(now.c_lflag & ICANON);
		close(slave);
		close(c.fd);
	}
	fake_kill(pid);
}
END_TEST

START_TEST(test_viewers)
{
	pid_t pid = start_guest();
	struct client looks = start_pipe(true), first, second;

	expect(&looks, "hello\r\n");
	first = start_pipe(false);
	expect(&first, "hello\r\n");
	/* One who only looks takes the keyboard from nobody. */
	type(&first, "ab");
	expect(&first, "AB");
	expect(&looks, "AB");
	type(&looks, "xy");
	second = start_pipe(false);
	expect(&second, "this one only reads");
	type(&second, "zz");
	type(&first, "c.");
	expect(&first, "Cbye\r\n");
	expect(&second, "Cbye\r\n");
	expect(&looks, "Cbye\r\n");
	ck_assert_int_eq(end_of(&first), STATUS_OK);
	ck_assert_int_eq(end_of(&second), STATUS_OK);
	ck_assert_int_eq(end_of(&looks), STATUS_OK);
	end_guest(pid);
}
END_TEST

/* A script's input ends long before what it wants to see. */
START_TEST(test_end_of_input)
{
	pid_t pid = start_guest();
	struct client c = start_pipe(false), ender;

	type(&c, "abc\001d");
	shutdown(c.fd, SHUT_WR);
	/* No key of ours: Ctrl-A goes through, and d is sent. */
	expect(&c, "ABC\001D");
	ender = start_pipe(false);
	expect(&ender, "D");
	type(&ender, ".");
	expect(&c, "bye\r\n");
	ck_assert_int_eq(end_of(&c), STATUS_OK);
	ck_assert_int_eq(end_of(&ender), STATUS_OK);
	end_guest(pid);
}
END_TEST

/* A guest that takes nothing: keys are heard all the same, however much was typed. */
START_TEST(test_deaf_guest)
{
	const struct fake hangs = {0};
	pid_t pid = fake_start("m", &hangs);
	char path[128], text[1024];
	struct client c;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "%s/m/console.sock", fake_base);
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	c = start_terminal(false);
	expect(&c, "Ctrl-A d leaves");
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 600; i++)
		ck_assert_int_eq(write(c.fd, text, sizeof(text)), (ssize_t)sizeof(text));
	type(&c, "\001d");
	expect(&c, "detached from 'm'");
	ck_assert_int_eq(end_of(&c), STATUS_OK);
	close(fd);
	fake_kill(pid);
}
END_TEST

START_TEST(test_not_detached)
{
	const struct fake f = {0};
	pid_t pid = fake_start("m", &f);
	char *argv[] = {"console", "m", NULL};

	ck_assert_int_eq(cmd_console(2, argv), VERB_FAILED);
	argv[1] = "n";
	ck_assert_int_eq(cmd_console(2, argv), VERB_NO_MACHINE);
	ck_assert_int_eq(cmd_console(1, argv), STATUS_USAGE);
	fake_kill(pid);
}
END_TEST

static const char *logs(const char *flag, int status)
{
	static char said[64];
	char *argv[] = {"logs", "m", (char *)flag};
	char path[128];

	snprintf(path, sizeof(path), "%s/out", fake_base);
	ck_assert_int_eq(printed(cmd_logs, flag ? 3 : 2, argv, path, said, sizeof(said)), status);
	return said;
}

START_TEST(test_logs)
{
	const struct fake f = {0};
	pid_t pid = fake_start("m", &f);
	char command[512];

	logs(NULL, VERB_NO_MACHINE);
	snprintf(command, sizeof(command),
		 "cd %s/m && echo console >console.log && echo messages >messages.log", fake_base);
	ck_assert_int_eq(system(command), 0);
	ck_assert_str_eq(logs(NULL, STATUS_OK), "console\n");
	fake_kill(pid);
	ck_assert_str_eq(logs("--messages", STATUS_OK), "messages\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attach");
	TCase *tc = tcase_create("attach");

	tcase_add_checked_fixture(tc, fake_set_up, fake_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_keys);
	tcase_add_test(tc, test_terminal);
	tcase_add_test(tc, test_terminal_is_restored);
	tcase_add_test(tc, test_viewers);
	tcase_add_test(tc, test_end_of_input);
	tcase_add_test(tc, test_deaf_guest);
	tcase_add_test(tc, test_not_detached);
	tcase_add_test(tc, test_logs);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
