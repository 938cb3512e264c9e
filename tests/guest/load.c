// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A load of inter-processor interrupts and timers for a guest, which notices when one of them is
 * lost. Part of the small guest's initramfs; run there by tests/boot/load.sh and module.sh.
 *
 * usage: load SECONDS
 *
 * Pairs of threads pinned to different processors wake each other through futexes (reschedule
 * interrupts), threads unmap memory that others use (TLB shootdowns), and threads sleep for short
 * times (timers). Each counts its rounds; a counter that stands still for STUCK seconds is a
 * wakeup that never came. Ends with the line "load: ok ..." and 0, or "load: FAILED ..." and 1.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STUCK	    15
#define MAX_WORKERS 256
#define PAGE	    4096

struct worker {
	const char *kind;
	unsigned int cpu;
	struct worker *peer;
	atomic_uint turn; /* of a pair: nonzero when it is this one's turn */
	atomic_ulong rounds;
};

static struct worker workers[MAX_WORKERS];
static unsigned int nr_workers;
static atomic_bool stop;

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *ping_pong(void *arg)
{
	struct worker *w = arg;

	pin(w->cpu);
	while (!atomic_load(&stop)) {
		while (!atomic_load(&w->turn) && !atomic_load(&stop))
			syscall(SYS_futex, &w->turn, FUTEX_WAIT, 0, NULL, NULL, 0);
		atomic_store(&w->turn, 0);
		atomic_fetch_add(&w->rounds, 1);
		atomic_store(&w->peer->turn, 1);
		syscall(SYS_futex, &w->peer->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	return NULL;
}

static void *shootdown(void *arg)
{
	struct worker *w = arg;

	pin(w->cpu);
	while (!atomic_load(&stop)) {
		volatile char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			continue;
		for (int i = 0; i < 4; i++)
			p[i * PAGE] = 1;
		mprotect((void *)p, 4 * PAGE, PROT_READ);
		munmap((void *)p, 4 * PAGE);
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

static void *timer(void *arg)
{
	struct worker *w = arg;
	unsigned int seed = w->cpu + 1;

	pin(w->cpu);
	while (!atomic_load(&stop)) {
		struct timespec t = {.tv_nsec = 50000 + rand_r(&seed) % 5000000};

		nanosleep(&t, NULL);
		atomic_fetch_add(&w->rounds, 1);
	}
	return NULL;
}

static struct worker *add(const char *kind, unsigned int cpu)
{
	struct worker *w = &workers[nr_workers++];

	w->kind = kind;
	w->cpu = cpu;
	return w;
}

static bool start(struct worker *w, void *(*fn)(void *))
{
	pthread_t thread;

	return !pthread_create(&thread, NULL, fn, w) && !pthread_detach(thread);
}

static bool start_all(unsigned int cpus)
{
	bool ok = true;

	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		struct worker *a = add("ping", cpu), *b = add("pong", (cpu + 1) % cpus);

		a->peer = b;
		b->peer = a;
		a->turn = 1;
		ok = ok && start(a, ping_pong) && start(b, ping_pong) &&
		     start(add("shootdown", cpu), shootdown) && start(add("timer", cpu), timer);
	}
	return ok;
}

/* Every second, every worker must have moved on within the last STUCK seconds. */
static bool watch(unsigned int seconds)
{
	unsigned long last[MAX_WORKERS] = {0};
	unsigned int still[MAX_WORKERS] = {0};

	for (unsigned int s = 0; s < seconds; s++) {
		sleep(1);
		for (unsigned int i = 0; i < nr_workers; i++) {
			unsigned long now = atomic_load(&workers[i].rounds);

			still[i] = now == last[i] ? still[i] + 1 : 0;
			last[i] = now;
			if (still[i] >= STUCK) {
				printf("load: FAILED: %s on processor %u stands still at %lu\n",
				       workers[i].kind, workers[i].cpu, now);
				return false;
			}
		}
	}
	return true;
}

static unsigned long total(const char *kind)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < nr_workers; i++) {
		if (workers[i].kind[0] == kind[0])
			sum += atomic_load(&workers[i].rounds);
	}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 10;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus > MAX_WORKERS / 4)
		cpus = MAX_WORKERS / 4;
	if (!start_all((unsigned int)cpus)) {
		puts("load: FAILED: cannot start threads");
		return 1;
	}
	if (!watch(seconds))
		return 1;
	/* Time on processors that the host shares stretches; a clock that stands still does not. */
	printf("load: ok wakeups=%lu shootdowns=%lu timers=%lu\n", total("p"), total("s"),
	       total("t"));
	atomic_store(&stop, true);
	return 0;
}
