// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The frame of a test program: children, time limits and the lines that say how
 * each test ended. Called by main() of every program in tests/abi.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_SKIPPED = 77
};

/* What a child says of its end; shared with the parent. */
static char *verdict;
#define VERDICT_SIZE 4096

static void end(int status, const char *format, va_list ap)
{
	vsnprintf(verdict, VERDICT_SIZE, format, ap);
	/* A reason is one line. */
	for (char *c = verdict; *c; c++) {
		if (*c == '\n')
			*c = ' ';
	}
	_exit(status);
}

void test_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	end(EXIT_FAILED, format, ap);
	__builtin_unreachable();
}

void test_skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	end(EXIT_SKIPPED, format, ap);
	__builtin_unreachable();
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec;
}

void sleep_ns(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / SEC), (long)(ns % SEC)};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

uint64_t host_interrupts(const char *line, int cpu)
{
	FILE *f = fopen("/proc/interrupts", "r");
	size_t len = strlen(line);
	bool found = false;
	char text[4096];
	uint64_t sum = 0;

	CHECK(f);
	while (fgets(text, sizeof(text), f)) {
		char *p = text + strspn(text, " "), *next;

		if (strncmp(p, line, len) != 0 || p[len] != ':')
			continue;
		found = true;
		p += len + 1;
		for (int i = 0;; i++, p = next) {
			uint64_t n = strtoull(p, &next, 10);

			if (next == p)
				break;
			if (cpu < 0 || i == cpu)
				sum += n;
		}
	}
	fclose(f);
	CHECK(found);
	return sum;
}

/* So many times a limit may pass on the wall; see tests/limit.sh. */
#define PATIENCE 8

/*
 * The clock of the limits: what the emulator below had of a processor, of which
 * scripts/testhost sends a byte a second to a file; or time itself, where the
 * clock counts instructions or the machine is a real one.
 */
static uint64_t limit_ns(void)
{
	const char *file = getenv("HV_CLOCK");
	struct stat st;

	if (file && stat(file, &st) == 0)
		return (uint64_t)st.st_size * SEC;
	return now_ns();
}

static void child(const struct test *test)
{
	/* A group of its own, so that whatever the test forked ends with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	test->fn();
	/* Leave without libc's clean-up: other threads may still be running. */
	_exit(EXIT_OK);
}

/* Wait for a child to become reapable: false after so many seconds. */
static bool ended_within(int pidfd, unsigned int seconds)
{
	uint64_t limit = limit_ns() + seconds * SEC, wall = now_ns() + PATIENCE * seconds * SEC;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	while (poll(&p, 1, 500) != 1) {
		if (limit_ns() >= limit || now_ns() >= wall)
			return false;
	}
	return true;
}

static bool report(const struct test *test, bool timed_out, bool reaped, int status)
{
	if (!reaped) {
		printf("not ok %s: cannot be killed\n", test->name);
	} else if (timed_out) {
		printf("not ok %s: timed out\n", test->name);
	} else if (WIFSIGNALED(status)) {
		printf("not ok %s: killed by SIG%s\n", test->name, sigabbrev_np(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) == EXIT_SKIPPED) {
		printf("ok %s # skip: %s\n", test->name, verdict);
		return true;
	} else if (WEXITSTATUS(status) != EXIT_OK) {
		printf("not ok %s: %s\n", test->name,
		       verdict[0] ? verdict : "exit without a reason");
	} else {
		printf("ok %s\n", test->name);
		return true;
	}
	return false;
}

static bool run(const struct test *test)
{
	unsigned int seconds = test->seconds ? test->seconds : TEST_SECONDS;
	bool timed_out, reaped = true, ok;
	int status = 0, pidfd;
	pid_t pid;

	verdict[0] = '\0';
	pid = fork();
	if (pid == 0)
		child(test);
	if (pid < 0) {
		printf("not ok %s: fork: %s\n", test->name, strerror(errno));
		fflush(stdout);
		return false;
	}
	setpgid(pid, pid);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	timed_out = !ended_within(pidfd, seconds);
	kill(-pid, SIGKILL);
	if (timed_out)
		reaped = ended_within(pidfd, 10);
	close(pidfd);
	if (reaped)
		waitpid(pid, &status, 0);
	ok = report(test, timed_out, reaped, status);
	fflush(stdout);
	return ok;
}

static const struct test *find(const struct test *tests, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(tests[i].name, name) == 0)
			return &tests[i];
	}
	return NULL;
}

int test_main(int argc, char **argv, const struct test *tests, size_t count)
{
	bool ok = true;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < count; i++)
			puts(tests[i].name);
		return 0;
	}
	verdict =
		mmap(NULL, VERDICT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		if (!find(tests, count, argv[i])) {
			fprintf(stderr, "%s: no test %s (see --list)\n", argv[0], argv[i]);
			return 2;
		}
	}
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			ok &= run(find(tests, count, argv[i]));
	} else {
		for (size_t i = 0; i < count; i++)
			ok &= run(&tests[i]);
	}
	return ok ? 0 : 1;
}

void bind_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_OK(sched_setaffinity(0, sizeof(set), &set));
}

static __thread uint64_t random_state = 0x2545f4914f6cdd1d;

void random_seed(uint64_t seed)
{
	/* Neighbouring seeds far apart, and none of them zero, which would stay zero. */
	random_state = (seed + 1) * 0x9e3779b97f4a7c15 | 1;
}

uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}
