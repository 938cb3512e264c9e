/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every test program ends with, a check of every lock, and memory that runs short. */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The linker puts this in front of the C library's function (--wrap). Only its holder may unlock a
 * mutex: a lock that was forgotten is found here, not once in a thousand runs.
 */
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (mutex->__data.__owner != syscall(SYS_gettid)) {
		fputs("a mutex is unlocked by a thread that does not hold it\n", stderr);
		abort();
	}
	return __real_pthread_mutex_unlock(mutex);
}

/* Which of the next allocations fails: 1 is the first; 0: none. */
static unsigned int allocation_to_fail;

static inline bool allocation_fails(void)
{
	if (!allocation_to_fail || --allocation_to_fail)
		return false;
	errno = ENOMEM;
	return true;
}

#define FAILING(type, name, parameters, ...)                                   \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		return allocation_fails() ? NULL : __real_##name(__VA_ARGS__); \
	}

FAILING(void *, malloc, (size_t size), size)
FAILING(void *, calloc, (size_t n, size_t size), n, size)
FAILING(void *, realloc, (void *old, size_t size), old, size)
FAILING(char *, strdup, (const char *s), s)
FAILING(char *, strndup, (const char *s, size_t n), s, n)

/* Run all tests of the suite; returns the exit status of the program. */
static inline int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
