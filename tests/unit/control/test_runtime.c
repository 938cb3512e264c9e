// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/control/runtime.c: names, locks that die with their owner, and what is in the directory's way. */
#define _GNU_SOURCE /* setresuid() */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/owner.h"
#include "control/runtime.h"
#include "sandbox/listener.h"
#include "suite.h"

static const struct runtime_facts facts = {.cpus = 2, .memory = 512 << 20};
static char base[64];
static struct error e;

static void set_up(void)
{
	snprintf(base, sizeof(base), "/tmp/test_runtime.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	setenv("HV_RUNTIME_DIR", base, 1);
	unsetenv("XDG_RUNTIME_DIR");
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", base);
	ck_assert_int_eq(system(command), 0);
}

static const char *at(const char *name)
{
	static char path[4][512];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", base, name);
	return path[turn];
}

static bool exists(const char *name)
{
	struct stat st;

	return !lstat(at(name), &st);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(at(name), &st), 0);
	return st.st_mode & 07777;
}

static struct runtime *create(const char *name)
{
	struct runtime *r = NULL;

	ck_assert_msg(!runtime_create(name, &facts, &r, &e), "%s", e.text);
	return r;
}

static void create_log(const struct runtime *r, const char *name)
{
	close(openat(runtime_dir(r), name, O_WRONLY | O_CREAT, 0600));
}

static void create_messages(struct runtime *r)
{
	create_log(r, RUNTIME_MESSAGES_LOG);
}

static void wait_for_the_end(struct runtime *r, const void *arg)
{
	(void)r;
	(void)arg;
	for (;;)
		pause();
}

/* A process that is the monitor of a machine until it is killed. */
static pid_t start_owner(const char *name)
{
	return owner_start(name, &facts, create_messages, wait_for_the_end, NULL);
}

/* Make one in another process, as another start would: an errno, or 0, and it has ended. */
static int try_create(const char *name)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct runtime *r;

		_exit(-runtime_create(name, &facts, &r, &e));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int count_one(void *arg, const struct runtime_machine *m)
{
	(void)m;
	++*(int *)arg;
	return 0;
}

static int count(void)
{
	int n = 0;

	ck_assert_int_eq(runtime_for_each(count_one, &n, &e), 0);
	return n;
}

/* ------------------------------------------------------------------------- */
/* A life                                                                     */

START_TEST(test_files)
{
	struct runtime *r = create("a-b_c.1");

	ck_assert_str_eq(runtime_name(r), "a-b_c.1");
	ck_assert_int_eq(mode_of("a-b_c.1"), 0700);
	ck_assert_int_eq(mode_of("a-b_c.1/lock"), 0600);
	ck_assert_int_eq(mode_of("a-b_c.1/status"), 0600);
	ck_assert_int_eq(mode_of("a-b_c.1/api.sock"), 0600);
	create_log(r, RUNTIME_CONSOLE_LOG);
	create_log(r, RUNTIME_CONSOLE_LOG ".1");
	runtime_destroy(r, false);
	ck_assert(!exists("a-b_c.1"));
	runtime_destroy(NULL, false);
}
END_TEST

START_TEST(test_status)
{
	pid_t pid = start_owner("m");
	struct runtime_machine m;
	const json_t *status;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	ck_assert_int_eq(m.pid, pid);
	ck_assert_str_eq(m.name, "m");
	ck_assert_str_eq(runtime_state(m.status), "running");
	status = m.status;
	ck_assert_int_eq(json_integer_value(json_object_get(status, "pid")), pid);
	ck_assert_int_eq(json_integer_value(json_object_get(status, "cpus")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(status, "memory")), 512 << 20);
	ck_assert_str_eq(json_string_value(json_object_get(status, "name")), "m");
	ck_assert(runtime_lives(&m));
	owner_kill(pid);
	ck_assert(!runtime_lives(&m));
	runtime_release(&m);
}
END_TEST

START_TEST(test_sockets)
{
	pid_t pid = start_owner("m");
	struct runtime_machine m;
	int fd;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	fd = runtime_connect(&m, RUNTIME_API);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(runtime_connect(&m, RUNTIME_CONSOLE), -ENOENT);
	owner_kill(pid);
	ck_assert_int_eq(runtime_connect(&m, RUNTIME_API), -ECONNREFUSED);
	runtime_release(&m);
}
END_TEST

START_TEST(test_pidfd)
{
	pid_t pid = start_owner("m");
	struct runtime_machine m;
	int fd;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	fd = runtime_pidfd(&m);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(fd);
	/* Another process has its number: this one, for instance. */
	m.pid = getpid();
	ck_assert_int_eq(runtime_pidfd(&m), -ESRCH);
	m.pid = 0;
	ck_assert_int_eq(runtime_pidfd(&m), -EOPNOTSUPP);
	runtime_release(&m);
}
END_TEST

/* Whenever it is read, it is one that was written. */
START_TEST(test_status_is_whole)
{
	/* One is longer than the other. */
	static const struct status states[] = {
		{.name = "m", .state = STATE_RUNNING},
		{.name = "m", .state = STATE_STOPPING, .memory = UINT32_MAX, .started = 1000000000},
	};
	pid_t pid = fork();
	struct runtime_machine m;
	int found = 0;

	if (!pid) {
		struct runtime *r;

		if (runtime_create("m", &facts, &r, &e))
			_exit(1);
		for (unsigned int i = 0;; i++)
			runtime_set_status(r, &states[i % 2]);
	}
	while (found < 300) {
		if (runtime_lookup("m", &m, &e))
			continue;
		if (strcmp(runtime_state(m.status), "starting")) {
			const struct status *s =
				&states[!strcmp(runtime_state(m.status), "stopping")];

			ck_assert_str_eq(runtime_state(m.status), status_names[s->state]);
			ck_assert_int_eq(json_integer_value(json_object_get(m.status, "memory")),
					 (json_int_t)s->memory);
			ck_assert_int_eq(json_integer_value(json_object_get(m.status, "started")),
					 s->started);
			found++;
		}
		runtime_release(&m);
	}
	owner_kill(pid);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Another user's                                                             */

#define NOBODY 65534

/* A monitor that has become another user; it ends when it is written to. */
static pid_t start_other(const char *name, int *end)
{
	const struct status running = {.name = name, .state = STATE_RUNNING};
	int ready[2], ends[2];
	char byte;
	pid_t pid;

	ck_assert(!pipe(ready) && !pipe(ends));
	/* As /run is. */
	ck_assert_int_eq(chmod(base, 0755), 0);
	pid = fork();
	if (!pid) {
		struct runtime *r;

		if (runtime_create(name, &facts, &r, &e) || runtime_give(r, NOBODY, NOBODY, &e) ||
		    setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
			_exit(1);
		runtime_set_status(r, &running);
		(void)!write(ready[1], "", 1);
		close(ready[1]);
		close(ends[1]);
		(void)!read(ends[0], &byte, 1);
		runtime_destroy(r, false);
		_exit(0);
	}
	close(ready[1]);
	close(ends[0]);
	*end = ends[1];
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_other(pid_t pid, int end)
{
	close(end);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* Root finds it, and what it leaves, which is a directory with a lock, is removed. */
START_TEST(test_other_user)
{
	struct runtime_machine m;
	struct runtime *r;
	int end, fd;
	pid_t pid;

	if (geteuid())
		return;
	pid = start_other("m", &end);
	ck_assert_msg(!runtime_lookup("m", &m, &e), "%s", e.text);
	ck_assert_int_eq(m.pid, pid);
	ck_assert_str_eq(runtime_state(m.status), "running");
	fd = runtime_connect(&m, RUNTIME_API);
	ck_assert_int_ge(fd, 0);
	close(fd);
	runtime_release(&m);
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -EBUSY);
	end_other(pid, end);
	ck_assert(exists("m/lock") && !exists("m/status") && !exists("m/api.sock"));
	ck_assert_int_eq(runtime_lookup("m", &m, &e), -ENOENT);
	ck_assert(!exists("m"));
}
END_TEST

/* What that user, whose monitor a guest may have taken over, puts there is not followed, and does not become root's. */
START_TEST(test_other_users_tricks)
{
	struct runtime_machine m;
	struct runtime *r;
	int end, other;
	struct stat st;
	pid_t pid;

	if (geteuid())
		return;
	pid = start_other("m", &end);
	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	/* A link to a socket that only root may connect to. */
	other = listener_bind(at("socket"), 1);
	ck_assert_int_ge(other, 0);
	ck_assert_int_eq(unlinkat(m.dir, RUNTIME_API, 0), 0);
	ck_assert_int_eq(symlinkat(at("socket"), m.dir, RUNTIME_API), 0);
	ck_assert_int_lt(runtime_connect(&m, RUNTIME_API), 0);
	unlink(at("socket"));
	close(other);
	runtime_release(&m);
	kill(pid, SIGKILL);
	end_other(pid, end);
	/* The name is free again, and the directory is made anew. */
	ck_assert_msg(!runtime_create("m", &facts, &r, &e), "%s", e.text);
	ck_assert_int_eq(fstat(runtime_dir(r), &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	runtime_destroy(r, false);
	ck_assert(!exists("m"));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* One of each name                                                           */

START_TEST(test_name_is_taken)
{
	pid_t pid = start_owner("m");
	struct runtime *r;
	char number[16];

	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -EBUSY);
	snprintf(number, sizeof(number), "%d", pid);
	ck_assert_ptr_nonnull(strstr(e.text, number));
	ck_assert_ptr_nonnull(strstr(e.text, "vmm stop m"));
	ck_assert_str_eq(e.code, "busy");
	/* That did it no harm. */
	ck_assert(exists("m/api.sock"));
	ck_assert_int_eq(try_create("other"), 0);
	owner_kill(pid);
}
END_TEST

/* What was killed is replaced by the next of its name, and removed by whoever looks. */
START_TEST(test_dead_owner)
{
	struct runtime_machine m;
	struct runtime *r;

	owner_kill(start_owner("m"));
	ck_assert(exists("m/api.sock") && exists("m/messages.log"));
	r = create("m");
	ck_assert(!exists("m/messages.log"));
	runtime_destroy(r, false);
	ck_assert(!exists("m"));

	owner_kill(start_owner("m"));
	ck_assert_int_eq(runtime_lookup("m", &m, &e), -ENOENT);
	/* It may say why. */
	ck_assert(exists("m/messages.log"));
	ck_assert(!exists("m/api.sock") && !exists("m/status") && !exists("m/lock"));
	ck_assert_int_eq(count(), 0);
	ck_assert_int_eq(try_create("m"), 0);
	ck_assert(exists("m/lock"));
	ck_assert_int_eq(count(), 0);
	ck_assert(!exists("m"));

	/* What has no lock may be somebody else's; but a monitor that died before it made one is in nobody's way. */
	ck_assert_int_eq(mkdir(at("m"), 0700), 0);
	ck_assert_int_eq(count(), 0);
	ck_assert(exists("m"));
	runtime_destroy(create("m"), false);
	ck_assert(!exists("m"));
}
END_TEST

/* Who waits for the end of a machine does not wait for the next one of its name. */
START_TEST(test_successor)
{
	pid_t pid = start_owner("m"), next;
	struct runtime_machine m;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	owner_kill(pid);
	next = start_owner("m");
	ck_assert(!runtime_lives(&m));
	runtime_release(&m);
	owner_kill(next);
}
END_TEST

START_TEST(test_keeps_logs)
{
	struct runtime *r = create("m");
	int fd;

	create_log(r, RUNTIME_MESSAGES_LOG);
	runtime_destroy(r, true);
	ck_assert(!exists("m/lock") && !exists("m/api.sock"));
	fd = runtime_open_file("m", RUNTIME_MESSAGES_LOG, &e);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(runtime_open_file("m", RUNTIME_CONSOLE_LOG, &e), -ENOENT);
	ck_assert_int_eq(runtime_open_file("n", RUNTIME_CONSOLE_LOG, &e), -ENOENT);
	ck_assert_int_eq(count(), 0);
}
END_TEST

/* Starts, ends, dies and looks, all at once: whoever owns the name is alone, and its files are there. */
static void compete(int alone, unsigned int seed)
{
	struct runtime *r;

	for (int i = 0; i < 60; i++) {
		int ret = runtime_create("m", &facts, &r, &e);

		if (!ret) {
			if (flock(alone, LOCK_EX | LOCK_NB) || !exists("m/api.sock") ||
			    !exists("m/status") || !exists("m/lock"))
				_exit(1);
			/* Not by the end of the process: the kernel does that later than with the name's lock. */
			flock(alone, LOCK_UN);
			if (rand_r(&seed) % 8 == 0)
				raise(SIGKILL);
			runtime_destroy(r, false);
		} else if (ret != -EBUSY) {
			_exit(2);
		}
		if (rand_r(&seed) % 2)
			count();
	}
	_exit(0);
}

START_TEST(test_race)
{
	int status;

	close(open(at("alone"), O_CREAT | O_RDWR, 0600));
	for (unsigned int i = 0; i < 40; i++) {
		if (!fork())
			compete(open(at("alone"), O_RDWR), i);
		if (i < 4)
			continue;
		ck_assert_int_gt(wait(&status), 0);
		ck_assert(status == SIGKILL || status == 0);
	}
	while (wait(&status) > 0)
		ck_assert(status == SIGKILL || status == 0);
	ck_assert_int_eq(count(), 0);
	ck_assert(!exists("m"));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Names, and what is in the way                                              */

START_TEST(test_bad_names)
{
	static const char *const bad[] = {"",	  ".",	 "..", ".a", "-a",   "a/b",
					  "../a", "a b", "/",  "ä",  "a\nb", "a*"};
	struct runtime_machine m;
	struct runtime *r;
	char longest[RUNTIME_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(runtime_create(bad[i], &facts, &r, &e), -EINVAL);
		ck_assert_int_eq(runtime_lookup(bad[i], &m, &e), -EINVAL);
		ck_assert_int_eq(runtime_open_file(bad[i], "status", &e), -EINVAL);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(runtime_create(longest, &facts, &r, &e), -EINVAL);
	longest[RUNTIME_NAME_MAX] = '\0';
	runtime_destroy(create(longest), false);
}
END_TEST

static void expect_base(const char *path, int ret)
{
	struct runtime *r;

	setenv("HV_RUNTIME_DIR", path, 1);
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), ret);
	if (!ret)
		runtime_destroy(r, false);
}

START_TEST(test_base)
{
	char longer[300];

	expect_base(at("made"), 0);
	ck_assert_int_eq(mode_of("made"), 0700);
	expect_base(at("made//"), 0);
	ck_assert_int_eq(chmod(at("made"), 0755), 0);
	expect_base(at("made"), 0);
	ck_assert_int_eq(chmod(at("made"), 0775), 0);
	expect_base(at("made"), -EPERM);
	ck_assert_int_eq(chmod(at("made"), 0702), 0);
	expect_base(at("made"), -EPERM);
	ck_assert_int_eq(chmod(at("made"), 0700), 0);
	ck_assert_int_eq(symlink("made", at("link")), 0);
	expect_base(at("link"), -EPERM);
	expect_base(at("link/"), -EPERM);
	close(open(at("file"), O_CREAT | O_WRONLY, 0600));
	expect_base(at("file"), -EPERM);
	expect_base(at("no/such"), -ENOENT);
	expect_base("relative", -EINVAL);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	expect_base(longer, -EINVAL);
	if (!geteuid()) {
		ck_assert_int_eq(chown(at("made"), 1, 1), 0);
		expect_base(at("made"), -EPERM);
	}
}
END_TEST

START_TEST(test_which_base)
{
	struct runtime *r;
	struct runtime_machine m;

	setenv("HV_RUNTIME_DIR", at("none"), 1);
	ck_assert_int_eq(count(), 0);
	ck_assert_int_eq(runtime_lookup("m", &m, &e), -ENOENT);
	if (!getuid())
		ck_assert_int_eq(seteuid(1), 0);
	unsetenv("HV_RUNTIME_DIR");
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -ENOENT);
	setenv("XDG_RUNTIME_DIR", "", 1);
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -ENOENT);
	ck_assert_int_eq(count(), 0);
	/* Of root's directory, or of one that is not there, this one makes nothing. */
	setenv("XDG_RUNTIME_DIR", "/no/such", 1);
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "/no/such/hv"));
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

/* A path that no socket can have. */
START_TEST(test_long_path)
{
	char name[140];
	struct runtime_machine m;
	pid_t pid;
	int fd;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	setenv("HV_RUNTIME_DIR", at(name), 1);
	pid = start_owner("m");
	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	fd = runtime_connect(&m, RUNTIME_API);
	ck_assert_int_ge(fd, 0);
	close(fd);
	runtime_release(&m);
	owner_kill(pid);
}
END_TEST

static void expect_refusal(void)
{
	struct runtime_machine m;
	struct runtime *r;

	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -EPERM);
	ck_assert_int_ne(runtime_lookup("m", &m, &e), 0);
	ck_assert_int_eq(count(), 0);
}

START_TEST(test_hostile_machine)
{
	ck_assert_int_eq(mkdir(at("victim"), 0700), 0);
	close(open(at("victim/status"), O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(symlink("victim", at("m")), 0);
	expect_refusal();
	ck_assert(exists("victim/status"));
	unlink(at("m"));

	close(open(at("m"), O_CREAT | O_WRONLY, 0600));
	expect_refusal();
	unlink(at("m"));

	ck_assert_int_eq(mkdir(at("m"), 0700), 0);
	ck_assert_int_eq(chmod(at("m"), 0750), 0);
	expect_refusal();
	ck_assert_int_eq(chmod(at("m"), 0700), 0);

	/* Nobody waits for its writer. */
	ck_assert_int_eq(mkfifo(at("m/lock"), 0600), 0);
	expect_refusal();
	unlink(at("m/lock"));
	ck_assert_int_eq(symlink("../victim/status", at("m/lock")), 0);
	{
		struct runtime *r;

		ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -ELOOP);
	}
	unlink(at("m/lock"));

	/* A status that is none is nobody's harm. */
	ck_assert_int_eq(mkfifo(at("m/status"), 0600), 0);
	runtime_destroy(create("m"), false);
	ck_assert(!exists("m"));
}
END_TEST

START_TEST(test_damaged_status)
{
	static const char *const texts[] = {"", "{", "[]", "{\"state\": 7}",
					    "{\"state\": \"x\"} y"};
	pid_t pid = start_owner("m");
	struct runtime_machine m;
	char text[RUNTIME_STATUS_SIZE + 1];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = open(at("m/status"), O_WRONLY | O_TRUNC);

		snprintf(text, sizeof(text), "%-*s", RUNTIME_STATUS_SIZE, texts[i]);
		if (texts[i][0])
			ck_assert_int_eq(write(fd, text, RUNTIME_STATUS_SIZE), RUNTIME_STATUS_SIZE);
		close(fd);
		ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
		ck_assert_str_eq(runtime_state(m.status), "starting");
		ck_assert_int_eq(m.pid, pid);
		runtime_release(&m);
	}
	owner_kill(pid);
}
END_TEST

START_TEST(test_out_of_memory)
{
	struct runtime *r;

	allocation_to_fail = 1;
	ck_assert_int_eq(runtime_create("m", &facts, &r, &e), -ENOMEM);
	allocation_to_fail = 0;
	ck_assert(!exists("m"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("runtime");
	TCase *tc = tcase_create("runtime");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_files);
	tcase_add_test(tc, test_status);
	tcase_add_test(tc, test_sockets);
	tcase_add_test(tc, test_pidfd);
	tcase_add_test(tc, test_status_is_whole);
	tcase_add_test(tc, test_other_user);
	tcase_add_test(tc, test_other_users_tricks);
	tcase_add_test(tc, test_name_is_taken);
	tcase_add_test(tc, test_dead_owner);
	tcase_add_test(tc, test_successor);
	tcase_add_test(tc, test_keeps_logs);
	tcase_add_test(tc, test_race);
	tcase_add_test(tc, test_bad_names);
	tcase_add_test(tc, test_base);
	tcase_add_test(tc, test_which_base);
	tcase_add_test(tc, test_long_path);
	tcase_add_test(tc, test_hostile_machine);
	tcase_add_test(tc, test_damaged_status);
	tcase_add_test(tc, test_out_of_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
