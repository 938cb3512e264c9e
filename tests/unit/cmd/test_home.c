// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/cmd/home.c: a command that detaches a machine, and what it leaves. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../control/fake_monitor.h"
#include "cmd/cmd.h"
#include "cmd/home.h"
#include "log.h"
#include "suite.h"

static struct config config = {.cpus = 1, .memory = 64 << 20, .detach = true};
static struct error e;

/* What a command does, in a process of its own, whose output is the pipe. */
static pid_t start(void (*machine)(struct home *h), int *out)
{
	int fd[2], status;
	struct home h;
	pid_t pid;

	config.name = (char *)"m";
	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	if (!pid) {
		dup2(fd[1], STDOUT_FILENO);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		close(fd[1]);
		if (home_detach(&config, &h, &status, &e)) {
			fflush(stdout);
			_exit(status);
		}
		machine(&h);
		_exit(99);
	}
	close(fd[1]);
	*out = fd[0];
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* All of it: nobody holds the other end any more. */
static const char *read_all(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	return text;
}

static void runs(struct home *h)
{
	const struct status running = {.name = "m", .state = STATE_RUNNING};

	if (home_open(&config, h, &e))
		_exit(98);
	log_error("before");
	home_set_status(h, &running);
	home_ready(h);
	log_error("after");
	if (getsid(0) != getpid() || isatty(STDIN_FILENO))
		_exit(97);
	pause();
}

START_TEST(test_runs)
{
	struct runtime_machine m;
	char text[64] = "";
	int out, fd;
	pid_t pid = start(runs, &out);

	ck_assert_int_eq(end_of(pid), 0);
	ck_assert_str_eq(read_all(out), "vmm: before\nm\n");
	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	ck_assert_int_ne(m.pid, pid);
	ck_assert_str_eq(runtime_state(m.status), "running");
	fd = runtime_open_file("m", RUNTIME_MESSAGES_LOG, &e);
	ck_assert_int_ge(fd, 0);
	do {
		ck_assert_int_ge(pread(fd, text, sizeof(text) - 1, 0), 0);
	} while (!strchr(text, '\n'));
	ck_assert_str_eq(text, "vmm: after\n");
	close(fd);
	kill(m.pid, SIGKILL);
	runtime_release(&m);
}
END_TEST

static void fails(struct home *h)
{
	if (home_open(&config, h, &e))
		_exit(98);
	log_error("it is broken");
	home_close(h, 7);
	_exit(7);
}

static void dies(struct home *h)
{
	(void)h;
	raise(SIGKILL);
}

START_TEST(test_fails)
{
	struct runtime_machine m;
	int out;

	ck_assert_int_eq(end_of(start(fails, &out)), 7 << 8);
	ck_assert_str_eq(read_all(out), "vmm: it is broken\n");
	ck_assert_int_eq(runtime_open_file("m", RUNTIME_MESSAGES_LOG, &e), -ENOENT);
	ck_assert_int_eq(end_of(start(dies, &out)), STATUS_ERROR << 8);
	ck_assert_ptr_nonnull(strstr(read_all(out), "Killed"));
	ck_assert_int_eq(runtime_lookup("m", &m, &e), -ENOENT);
}
END_TEST

static void hangs(struct home *h)
{
	if (home_open(&config, h, &e))
		_exit(98);
	printf("hangs\n");
	fflush(stdout);
	for (;;)
		pause();
}

/* Who gives up waiting leaves nothing that would run some time. */
START_TEST(test_interrupted)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	char text[8];
	int out;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t pid = start(hangs, &out);

		ck_assert_int_eq(read(out, text, 6), 6);
		kill(pid, signals[i]);
		ck_assert_int_eq(end_of(pid), signals[i]);
		/* The end of its child, too. */
		ck_assert_str_eq(read_all(out), "");
	}
}
END_TEST

static int told[2];

/* The command ends by a signal that it cannot pass on, before the machine runs. */
static void is_late(struct home *h)
{
	char byte;

	signal(SIGPIPE, SIG_IGN);
	if (home_open(&config, h, &e) || write(STDOUT_FILENO, "here\n", 5) != 5 ||
	    read(told[0], &byte, 1) != 1)
		_exit(98);
	_exit(home_ready(h) ? 97 : write(STDERR_FILENO, "late\n", 5) != 5);
}

START_TEST(test_killed)
{
	char here[5], text[64] = "";
	int out, fd;
	pid_t pid;

	ck_assert_int_eq(pipe(told), 0);
	pid = start(is_late, &out);
	ck_assert_int_eq(read(out, here, 5), 5);
	kill(pid, SIGKILL);
	ck_assert_int_eq(end_of(pid), SIGKILL);
	ck_assert_int_eq(write(told[1], "", 1), 1);
	/* The machine's end. */
	ck_assert_str_eq(read_all(out), "");
	fd = runtime_open_file("m", RUNTIME_MESSAGES_LOG, &e);
	ck_assert_int_ge(fd, 0);
	do {
		ck_assert_int_ge(pread(fd, text, sizeof(text) - 1, 0), 0);
	} while (!strchr(text, '\n'));
	ck_assert_str_eq(text, "late\n");
	close(fd);
	close(told[0]);
	close(told[1]);
}
END_TEST

static struct runtime *create(unsigned int api, int wanted)
{
	const struct config c = {.name = (char *)"m", .api = api};
	struct home h = {.parent = -1, .messages = -1};

	ck_assert_int_eq(home_open(&c, &h, &e), wanted);
	return h.runtime;
}

START_TEST(test_api)
{
	struct runtime *r = create(CONFIG_API_AUTO, 0);

	ck_assert_ptr_nonnull(r);
	runtime_destroy(r, false);
	ck_assert_ptr_null(create(CONFIG_API_OFF, 0));
	setenv("HV_RUNTIME_DIR", "/no/such/directory", 1);
	ck_assert_ptr_null(create(CONFIG_API_AUTO, 0));
	ck_assert_ptr_null(create(CONFIG_API_ON, -ENOENT));
	ck_assert_str_eq(e.path, "api");
	setenv("HV_RUNTIME_DIR", "/dev/null", 1);
	ck_assert_ptr_null(create(CONFIG_API_AUTO, -EPERM));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("home");
	TCase *tc = tcase_create("home");

	tcase_add_checked_fixture(tc, fake_set_up, fake_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_runs);
	tcase_add_test(tc, test_fails);
	tcase_add_test(tc, test_interrupted);
	tcase_add_test(tc, test_killed);
	tcase_add_test(tc, test_api);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
