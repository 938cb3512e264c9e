/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that owns a machine's name until it is killed. */
#ifndef TESTS_UNIT_CONTROL_OWNER_H
#define TESTS_UNIT_CONTROL_OWNER_H

#include <check.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/runtime.h"

/* Returns when it runs; "begin" (or NULL) comes before that, then "work", which does not return. */
static inline pid_t owner_start(const char *name, const struct runtime_facts *facts,
				void (*begin)(struct runtime *r),
				void (*work)(struct runtime *r, const void *arg), const void *arg)
{
	const struct status running = {
		.name = name,
		.state = STATE_RUNNING,
		.cpus = facts->cpus,
		.memory = facts->memory,
	};
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct runtime *r;
		struct error e;

		if (runtime_create(name, facts, &r, &e))
			_exit(1);
		runtime_set_status(r, &running);
		if (begin)
			begin(r);
		(void)!write(ready[1], "", 1);
		close(ready[1]);
		work(r, arg);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static inline void owner_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

#endif
