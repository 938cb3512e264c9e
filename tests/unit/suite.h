/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every test program ends with, and a check of every lock. */
#ifndef TESTS_UNIT_SUITE_H
#define TESTS_UNIT_SUITE_H

#include <check.h>
#include <pthread.h>
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
