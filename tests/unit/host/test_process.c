// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Standard descriptors and signals (vmm/host/process.c). Each test is a process of its
 * own (libcheck forks), so it may close and block what it likes.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/process.h"
#include "log.h"
#include "suite.h"
#include "thread.h"

static int report;

static bool is_dev_null(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* Run with descriptors closed: the parent judges, by the exit status. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int all_closed(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	if (process_open_standard_fds())
		return 1;
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (!is_dev_null(fd))
			return 2;
	}
	/* What is opened next is none of them. */
	return open("/dev/zero", O_RDONLY) > STDERR_FILENO ? 0 : 3;
}

/* What is open stays as it is, and nothing is opened beside it. */
static int none_closed(void)
{
	int before = dup(STDERR_FILENO);

	close(before);
	if (process_open_standard_fds())
		return 1;
	return dup(STDERR_FILENO) == before ? 0 : 2;
}

static int error_closed(void)
{
	dup2(open("/dev/zero", O_RDWR), STDOUT_FILENO);
	close(STDERR_FILENO);
	if (process_open_standard_fds())
		return 1;
	return is_dev_null(STDERR_FILENO) && !is_dev_null(STDOUT_FILENO) ? 0 : 2;
}

START_TEST(closed_standard_descriptors)
{
	ck_assert_int_eq(in_child(none_closed), 0);
	ck_assert_int_eq(in_child(all_closed), 0);
	ck_assert_int_eq(in_child(error_closed), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */

static int open_signals(void)
{
	struct error e;
	int fd = process_open_signals(&e);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int next_signal(int fd)
{
	struct signalfd_siginfo info;
	ssize_t n = read(fd, &info, sizeof(info));

	if (n < 0 && errno == EAGAIN)
		return 0;
	ck_assert_int_eq(n, sizeof(info));
	return (int)info.ssi_signo;
}

/* Every message of too many descriptors says how to have more. */
START_TEST(no_descriptors)
{
	struct rlimit limit, none;
	struct error e;
	int fd;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	fd = process_open_signals(&e);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(fd, -EMFILE);
	ck_assert_msg(strstr(e.text, "ulimit -n") != NULL, "%s", e.text);
	error_set(&e, ENFILE, "no file");
	ck_assert_msg(strstr(e.text, "fs.file-max") != NULL, "%s", e.text);
	error_set(&e, EIO, "no file");
	ck_assert_str_eq(e.text, "no file");
}
END_TEST

START_TEST(signals_are_read)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	int fd = open_signals();

	ck_assert_int_eq(next_signal(fd), 0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		ck_assert(!process_signalled());
		ck_assert_int_eq(kill(getpid(), signals[i]), 0);
		ck_assert(process_signalled());
		ck_assert_int_eq(next_signal(fd), signals[i]);
	}
	close(fd);
}
END_TEST

/* 0 is a descriptor like any other. */
START_TEST(signals_from_descriptor_0)
{
	int fd;

	close(STDIN_FILENO);
	fd = open_signals();
	ck_assert_int_eq(fd, STDIN_FILENO);
	raise(SIGTERM);
	ck_assert_int_eq(next_signal(fd), SIGTERM);
}
END_TEST

/* As under nohup(1), or in the background of a script. */
START_TEST(ignored_signals_stay_ignored)
{
	int fd;

	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	fd = open_signals();
	raise(SIGHUP);
	raise(SIGINT);
	ck_assert_int_eq(next_signal(fd), 0);
	raise(SIGTERM);
	ck_assert_int_eq(next_signal(fd), SIGTERM);
	close(fd);
}
END_TEST

/* A launcher that blocked signals would keep a vCPU's kick and a crash from us. */
START_TEST(inherited_mask_is_dropped)
{
	sigset_t set;

	sigfillset(&set);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, &set, NULL), 0);
	close(open_signals());
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &set), 0);
	ck_assert(!sigismember(&set, SIGRTMIN));
	ck_assert(!sigismember(&set, SIGSEGV));
	ck_assert(!sigismember(&set, SIGUSR1));
	ck_assert(sigismember(&set, SIGTERM));
}
END_TEST

/* ------------------------------------------------------------------------- */

static int fatal;

static void clean_up(void)
{
	const char byte = '!';

	if (write(report, &byte, 1) != 1)
		_exit(99);
}

static int die(void)
{
	const struct rlimit no_core = {0};

	setrlimit(RLIMIT_CORE, &no_core);
	process_set_fatal_signals(clean_up);
	kill(getpid(), fatal);
	return 98;
}

static const int fatal_signals[] = {SIGABRT, SIGALRM, SIGBUS,  SIGFPE,	SIGILL,	   SIGIO,
				    SIGPROF, SIGPWR,  SIGQUIT, SIGSEGV, SIGSTKFLT, SIGSYS,
				    SIGTRAP, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM};

#define NR_FATAL (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

START_TEST(fatal_signal)
{
	int fds[2], status;
	char buf[4];

	ck_assert_int_eq(pipe(fds), 0);
	report = fds[1];
	fatal = fatal_signals[_i];
	status = in_child(die);
	/* Cleaned up once, and ended by that signal all the same. */
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == fatal, "%s: status %#x",
		      strsignal(fatal), status);
	ck_assert_int_eq(read(fds[0], buf, sizeof(buf)), 1);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* What a monitor that is ended by a signal says                              */

static void no_clean_up(void)
{
}

/* Guest memory of a file that somebody made shorter. */
static void *touch_short_file(void *arg)
{
	int fd = memfd_create("memory", 0);
	volatile char *p;

	(void)arg;
	thread_begin("vcpu3");
	if (ftruncate(fd, 4096))
		return NULL;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	*p = 1;
	if (ftruncate(fd, 0))
		return NULL;
	*p = 2;
	return NULL;
}

static unsigned int descend(volatile unsigned int *above)
{
	volatile unsigned int here[64] = {*above};

	return *above ? descend(here) + here[1] : 0;
}

static void *use_up_the_stack(void *arg)
{
	volatile unsigned int first = 1;

	(void)arg;
	thread_begin("vcpu5");
	descend(&first);
	return NULL;
}

static void *be_sent_a_signal(void *arg)
{
	(void)arg;
	thread_begin("disk");
	kill(getppid(), SIGUSR2);
	pause();
	return NULL;
}

static const struct {
	void *(*work)(void *arg);
	bool blocked; /* as a disk's thread */
	int signal;
	const char *says[3];
} tales[] = {
	{touch_short_file,
	 false,
	 SIGBUS,
	 {"vmm: box: thread vcpu3 got SIGBUS at 0x", ": that memory is not to be had;"}},
	{touch_short_file,
	 true,
	 SIGBUS,
	 {"vmm: box: thread vcpu3 got SIGBUS at 0x", ": that memory is not to be had;"}},
	{use_up_the_stack,
	 false,
	 SIGSEGV,
	 {"vmm: box: thread vcpu5 got SIGSEGV at 0x", ": a fault of vmm's own\n"}},
	{be_sent_a_signal, false, SIGUSR1, {"vmm: box: thread ", " got SIGUSR1, sent by process "}},
};

#define NR_TALES (sizeof(tales) / sizeof(tales[0]))

static size_t tale;

static int end_in_thread(void)
{
	const struct rlimit no_core = {0};
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t old;

	setrlimit(RLIMIT_CORE, &no_core);
	dup2(report, STDERR_FILENO);
	log_set_name("box");
	thread_begin("vmm");
	process_set_fatal_signals(no_clean_up);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	if (tales[tale].blocked)
		thread_block_signals(&old);
	if (pthread_create(&thread, &attr, tales[tale].work, NULL))
		return 1;
	pthread_join(thread, NULL);
	return 2;
}

/* The child waits for it. */
static void send_signal(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	kill(info->si_pid, SIGUSR1);
}

START_TEST(last_words)
{
	struct sigaction action = {.sa_sigaction = send_signal,
				   .sa_flags = SA_SIGINFO | SA_RESTART};
	char text[512] = "", sender[32];
	int fds[2], status;

	ck_assert_int_eq(pipe(fds), 0);
	report = fds[1];
	tale = (size_t)_i;
	ck_assert_int_eq(sigaction(SIGUSR2, &action, NULL), 0);
	status = in_child(end_in_thread);
	close(fds[1]);
	ck_assert_int_gt(read(fds[0], text, sizeof(text) - 1), 0);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == tales[_i].signal, "status %#x: %s",
		      status, text);
	for (const char *const *says = tales[_i].says; *says; says++)
		ck_assert_msg(strstr(text, *says) != NULL, "no '%s' in: %s", *says, text);
	snprintf(sender, sizeof(sender), " process %d\n", (int)getpid());
	ck_assert_msg(tales[_i].signal != SIGUSR1 || strstr(text, sender), "%s", text);
	/* One line. */
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
	close(fds[0]);
}
END_TEST

/* ------------------------------------------------------------------------- */

START_TEST(writes_fail_rather_than_kill)
{
	int fds[2];

	process_set_fatal_signals(clean_up);
	ck_assert_int_eq(pipe(fds), 0);
	close(fds[0]);
	ck_assert_int_eq(write(fds[1], "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	close(fds[1]);
	raise(SIGXFSZ);
}
END_TEST

static int print_to(const char *path)
{
	if (!freopen(path, "w", stdout))
		return 1;
	printf("something");
	if (process_flush_stdout() != (strcmp(path, "/dev/full") ? 0 : -EIO))
		return 2;
	/* A failure is not forgotten. */
	return process_flush_stdout() == (strcmp(path, "/dev/full") ? 0 : -EIO) ? 0 : 3;
}

static int print_to_null(void)
{
	return print_to("/dev/null");
}

static int print_to_full(void)
{
	return print_to("/dev/full");
}

START_TEST(lost_output_is_noticed)
{
	ck_assert_int_eq(in_child(print_to_null), 0);
	ck_assert_int_eq(in_child(print_to_full), 0);
}
END_TEST

START_TEST(going_on_is_noticed)
{
	uint64_t count = 0;
	struct error e;
	int fd = process_open_continued(&e);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), -1);
	/* What follows a SIGSTOP, which nobody would end here. */
	ck_assert_int_eq(raise(SIGCONT), 0);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(process_open_continued(&e), fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("process");
	TCase *tc = tcase_create("process");

	tcase_add_test(tc, closed_standard_descriptors);
	tcase_add_test(tc, lost_output_is_noticed);
	tcase_add_test(tc, no_descriptors);
	tcase_add_test(tc, signals_are_read);
	tcase_add_test(tc, signals_from_descriptor_0);
	tcase_add_test(tc, going_on_is_noticed);
	tcase_add_test(tc, ignored_signals_stay_ignored);
	tcase_add_test(tc, inherited_mask_is_dropped);
	tcase_add_loop_test(tc, fatal_signal, 0, NR_FATAL);
	tcase_add_loop_test(tc, last_words, 0, NR_TALES);
	tcase_add_test(tc, writes_fail_rather_than_kill);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
