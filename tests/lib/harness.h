/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of a test program: each test runs in a child of its own with a time
 * limit, so that a crash or a hang fails that test only. Called by every program
 * in tests/abi.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct test {
	const char *name;
	void (*fn)(void);
	unsigned int seconds; /* time limit, see limit_ns(); 0: TEST_SECONDS */
};

#define TEST_SECONDS 30

/*
 * The main() of a test program. Arguments: names of tests to run (all without
 * any), or --list. Prints "ok NAME" or "not ok NAME: reason" for each. Returns
 * the exit status: 0 when all were ok, 1 when not, 2 for an unknown name.
 */
int test_main(int argc, char **argv, const struct test *tests, size_t count);

/* End the test: failed, or not possible on this host ("ok NAME # skip: reason"). */
void test_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define CHECK(condition)                                                             \
	do {                                                                         \
		if (!(condition))                                                    \
			test_fail("%s:%d: %s", __FILE_NAME__, __LINE__, #condition); \
	} while (0)

/* Two integers, shown when they differ. */
#define CHECK_EQ(got, want)                                                                       \
	do {                                                                                      \
		uint64_t check_got = (uint64_t)(got), check_want = (uint64_t)(want);              \
		if (check_got != check_want)                                                      \
			test_fail("%s:%d: %s is %#llx, not %#llx", __FILE_NAME__, __LINE__, #got, \
				  (unsigned long long)check_got, (unsigned long long)check_want); \
	} while (0)

/* A call that returns 0 or more. Yields its value. */
#define CHECK_OK(call)                                                             \
	({                                                                         \
		long check_ret = (long)(call);                                     \
		if (check_ret < 0)                                                 \
			test_fail("%s:%d: %s: %s", __FILE_NAME__, __LINE__, #call, \
				  strerror(errno));                                \
		check_ret;                                                         \
	})

/* A call that must fail with this errno. */
#define CHECK_ERRNO(call, code)                                                                    \
	do {                                                                                       \
		long check_ret = (long)(call);                                                     \
		int check_errno = check_ret < 0 ? errno : 0;                                       \
		if (check_errno != (code))                                                         \
			test_fail("%s:%d: %s: returned %ld (%s), not %s", __FILE_NAME__, __LINE__, \
				  #call, check_ret, strerrorname_np(check_errno),                  \
				  strerrorname_np(code));                                          \
	} while (0)

#ifndef __FILE_NAME__
#define __FILE_NAME__ (strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') + 1 : __FILE__)
#endif

/* Nanoseconds of CLOCK_MONOTONIC, and a wait of that many. */
uint64_t now_ns(void);
void sleep_ns(uint64_t ns);
/* Interrupts of the host so far: a line of /proc/interrupts ("LOC"), and a processor or -1 for all. */
uint64_t host_interrupts(const char *line, int cpu);

/*
 * Random numbers, the same in each run and each thread (xorshift64; Marsaglia, "Xorshift RNGs"), and
 * others for this thread from here on.
 */
uint64_t random64(void);
void random_seed(uint64_t seed);

/* From here on the thread runs on this CPU only. */
void bind_to_cpu(int cpu);

#define MSEC 1000000ULL
#define SEC  1000000000ULL

#endif
