// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random calls on /dev/hv, mostly valid ones: several threads share systems, VMs, vCPUs and eventfds, run
 * guests of random code, change the memory below them, scribble on run pages, fork, close whatever they
 * like, and are interrupted by signals; and every round has its own weather: allocations that fail, a
 * memory cgroup at its limit, swapping, userfaultfd, pages that break, processors that go, a machine that
 * sleeps, KVM that comes, as far as the host's kernel has it. What hv promises is asked on the way (oracles.c);
 * the rest is for the kernel's log to tell.
 *
 * usage: ioctl [SEED]
 *
 * FUZZ_SECONDS in the environment says how long (30). Each round is a process with a seed of its own, which
 * is printed; SEED runs that round, again and again. What each thread does follows from the seed, how they
 * meet does not. Run in the test host by "make check" and "make check-debug".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ioctl.h"

#define CALLS 400 /* of each worker, in a round */

static void *work(void *arg)
{
	random_seed(seed * 31 + (uintptr_t)arg + 1);
	take_signal_stack();
	weather_let_fail(true);
	for (unsigned int i = 0; i < CALLS; i++) {
		switch (below(32)) {
		case 0:
		case 1:
			system_calls();
			break;
		case 2:
			odd_calls();
			break;
		case 3:
			close_something();
			break;
		case 4:
			/* The kernel warns of a stack that it cannot allocate. */
			weather_let_fail(false);
			if (one_in(4))
				fork_process();
			weather_let_fail(true);
			break;
		case 5:
			if (one_in(8))
				fill_up();
			break;
		case 6:
			signal_event();
			break;
		case 7:
			messages_arrive();
			break;
		case 8:
			if (one_in(4))
				clock_comes();
			break;
		case 9:
		case 10:
		case 11:
		case 12:
		case 13:
			vm_calls();
			break;
		case 14:
		case 15:
		case 16:
		case 17:
		case 18:
			change_memory();
			break;
		default:
			vcpu_calls();
		}
	}
	weather_let_fail(false);
	working--;
	return NULL;
}

static void play_round(void)
{
	random_seed(seed);
	weather_choose();
	pool_fill();
	weather_narrow();
	working = WORKERS;
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&workers[i], NULL, work, (void *)i), 0);
	weather_begin();
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	weather_end();
	if (seed % 4 == 0) {
		pool_empty();
		idle_timers_cost_nothing();
	}
	/* Everything else ends with the process, in whatever order the kernel likes. */
	_exit(0);
}

/* A round takes a second or two; this is for one that hangs. */
#define ROUND_SECONDS 300

static uint64_t first_seed;
static bool one_seed;
static unsigned int seconds = 30;

static void fuzz(void)
{
	uint64_t end = now_ns() + seconds * SEC;
	unsigned int rounds = 0;

	tcg = host_is_tcg();
	xsave_size = hv_caps().xsave_size;
	figures = mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	CHECK(figures != MAP_FAILED);
	weather_look_around();
	for (seed = first_seed; rounds == 0 || now_ns() < end; rounds++) {
		int status;
		pid_t pid;

		printf("# seed %llu\n", (unsigned long long)seed);
		fflush(stdout);
		pid = fork();
		CHECK_OK(pid);
		if (pid == 0) {
			alarm(ROUND_SECONDS);
			play_round();
		}
		CHECK_OK(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status))
			test_fail("seed %llu: killed by SIG%s", (unsigned long long)seed,
				  sigabbrev_np(WTERMSIG(status)));
		/* The reason is written already. */
		if (status)
			_exit(WEXITSTATUS(status));
		seed += one_seed ? 0 : 1;
	}
	printf("# %u rounds, %llu calls of which %llu worked, %llu exits of guests\n", rounds,
	       (unsigned long long)figures->calls, (unsigned long long)figures->worked,
	       (unsigned long long)figures->exits);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *limit = getenv("FUZZ_SECONDS");
	struct test test = {"ioctl", fuzz, 0};

	if (limit)
		seconds = (unsigned int)strtoul(limit, NULL, 10);
	test.seconds = seconds + ROUND_SECONDS;
	one_seed = argc > 1;
	first_seed =
		one_seed ? strtoull(argv[1], NULL, 10) : (now_ns() ^ (uint64_t)getpid() << 20) >> 8;
	return test_main(1, argv, &test, 1);
}
