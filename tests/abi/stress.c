// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Load and races: IPIs and timers without a lost wake-up, slots that come and go
 * under running guests, vCPU threads that move, memory that is dropped, VMs made
 * and killed in parallel. HV_STRESS_SECONDS in the environment says how long each
 * test lasts (default 5). Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define FAR	  0x40400000ul
#define FAR_PAGES 64
#define MAX_CPUS  4

static uint64_t seconds = 1;

/* ---- IPIs and timers ---- */

static volatile uint32_t ready, stop;
static volatile uint64_t beats[MAX_CPUS]; /* rounds that each vCPU has done */
static volatile uint32_t sent[MAX_CPUS];  /* IPIs that each has sent */

enum {
	VECTOR_IPI = 0x61,
	VECTOR_TIMER = 0x41
};

/*
 * Each vCPU sends an IPI to its right neighbour and sleeps until its left one has
 * sent as many; now and then a timer besides. IPIs may coalesce, so they are
 * counted by the sender; but each comes after its count, and a wake-up that gets
 * lost stops them all.
 */
static GUEST void g_ring(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t cpus = (uint32_t)arg & 0xff, timers = 0;
	uint32_t right = (c->id + 1) % cpus, left = (c->id + cpus - 1) % cpus;
	bool x2apic = arg >> 8 & 1;

	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, VECTOR_TIMER);
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (ready < cpus)
		guest_pause();
	while (!stop) {
		uint64_t round = ++beats[c->id];

		sent[c->id]++;
		guest_apic_send(right, 0x4000 | VECTOR_IPI);
		while (sent[left] < sent[c->id] && !stop)
			guest_wait();
		if (round % 8 == c->id) {
			/* From immediately to 200 us. */
			guest_apic_write(G_APIC_TIMER_INIT, 1 + (uint32_t)(round * 7919 % 200000));
			timers++;
			while (c->count[VECTOR_TIMER] < timers)
				guest_wait();
		}
	}
	/* Whoever sleeps for an IPI of ours is let go. */
	guest_apic_send(right, 0x4000 | VECTOR_IPI);
}

/* Stalled for this long means that a wake-up was lost. The harness's limit is longer. */
#define STALL (20 * SEC)

/* However slow the host is: a few rounds of each are the least. */
static bool all_beat_often(const uint64_t *last, unsigned int cpus)
{
	for (unsigned int i = 0; i < cpus; i++) {
		if (last[i] <= 10)
			return false;
	}
	return true;
}

static void watch_beats(struct vm *vm, unsigned int cpus)
{
	uint64_t end_at = now_ns() + seconds * SEC, moved_at = now_ns(), last[MAX_CPUS] = {0};

	while (now_ns() < end_at || !all_beat_often(last, cpus)) {
		for (unsigned int i = 0; i < cpus; i++) {
			uint64_t beat = guest_var(vm, beats[i]);

			if (beat != last[i])
				moved_at = now_ns();
			last[i] = beat;
		}
		if (now_ns() - moved_at > STALL)
			test_fail("a wake-up was lost after %llu rounds",
				  (unsigned long long)last[0]);
		sleep_ns(10 * MSEC);
	}
	/* The last one counts as well. */
	for (unsigned int i = 0; i < cpus; i++) {
		while (guest_var(vm, beats[i]) == last[i]) {
			if (now_ns() - moved_at > STALL)
				test_fail("vCPU %u stands still after %llu rounds", i,
					  (unsigned long long)last[i]);
			sleep_ns(MSEC);
		}
	}
}

static void ring(unsigned int cpus, bool x2apic)
{
	struct vm vm;
	struct vcpu v[MAX_CPUS];
	pthread_t thread[MAX_CPUS];

	vm_init(&vm);
	for (unsigned int i = 0; i < cpus; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_ring, cpus | (uint64_t)x2apic << 8);
	}
	for (unsigned int i = 0; i < cpus; i++)
		thread[i] = vcpu_start(&v[i]);
	watch_beats(&vm, cpus);
	guest_var(&vm, stop) = 1;
	/* An IPI may have been the last one before its sender saw the end. */
	for (unsigned int i = 0; i < cpus; i++)
		vm_msi(&vm, i, VECTOR_IPI);
	for (unsigned int i = 0; i < cpus; i++)
		vcpu_join(thread[i]);
}

static void ring_1(void)
{
	ring(1, true);
}

static void ring_2(void)
{
	ring(2, true);
}

static void ring_4(void)
{
	ring(4, true);
}

static void ring_4_xapic(void)
{
	ring(4, false);
}

/* A timer that ticks while other vCPUs keep the host busy: none of its ticks is the last. */
static GUEST void g_tick(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	guest_apic_enable(true);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x20000 | VECTOR_TIMER);
	guest_apic_write(G_APIC_TIMER_INIT, 1000000);
	while (!stop) {
		guest_wait();
		beats[c->id]++;
	}
}

static GUEST void g_busy(uint64_t arg)
{
	(void)arg;
	while (!stop)
		beats[guest_cpu()->id]++;
}

static void ticks(void)
{
	struct vm vm;
	struct vcpu v[MAX_CPUS];
	pthread_t thread[MAX_CPUS];

	vm_init(&vm);
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], i % 2 ? g_busy : g_tick, 0);
		if (i % 2)
			vcpu_interruptible(&v[i]);
		thread[i] = vcpu_start(&v[i]);
	}
	watch_beats(&vm, MAX_CPUS);
	guest_var(&vm, stop) = 1;
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		vcpu_join(thread[i]);
}

/* Interrupts from the host as fast as it can send them, to vCPUs asleep and awake. */
static GUEST void g_events(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		guest_wait();
		beats[guest_cpu()->id]++;
	}
}

static void events(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;
	struct vm vm;
	struct vcpu v[2];
	pthread_t thread[2];
	int fd[2];

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		struct hv_irqfd irqfd = {
			.size = sizeof(irqfd), .data = 0x50 + i, .addr = 0xfee00000 | i << 12};

		fd[i] = irqfd.fd = eventfd(0, 0);
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_events, 0);
		CHECK_OK(ioctl(vm.fd, HV_IRQFD, &irqfd));
		thread[i] = vcpu_start(&v[i]);
	}
	while (guest_var(&vm, ready) < 2)
		sleep_ns(MSEC);
	while (now_ns() < end_at) {
		uint64_t before[2], sent_at;

		for (unsigned int i = 0; i < 2; i++) {
			before[i] = guest_var(&vm, guest_cpus[i]).count[0x50 + i];
			CHECK_OK(eventfd_write(fd[i], 1));
		}
		/* Each event arrives before the next is sent. */
		sent_at = now_ns();
		for (unsigned int i = 0; i < 2; i++) {
			while (guest_var(&vm, guest_cpus[i]).count[0x50 + i] == before[i]) {
				if (now_ns() - sent_at > STALL)
					test_fail("an event was lost on vCPU %u", i);
				sched_yield();
			}
		}
	}
	guest_var(&vm, stop) = 1;
	for (unsigned int i = 0; i < 2; i++)
		CHECK_OK(eventfd_write(fd[i], 1));
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(thread[i]);
}

/* ---- Memory that changes under running guests ---- */

/*
 * Write and read back all pages, forever. What the host dropped reads as zero; what
 * was written while there was no memory (lossy) is what was there before.
 */
static GUEST void g_pages(uint64_t arg)
{
	uint64_t id = arg & 1;
	bool lossy = arg & 2;

	for (uint64_t round = 1; !stop; round++) {
		for (uint64_t i = 0; i < FAR_PAGES; i++) {
			volatile uint64_t *p = (volatile uint64_t *)(FAR + 4096 * i + 8 * id);
			uint64_t got;

			*p = round;
			got = *p;
			if (got != round && got != 0 && !(lossy && got < round))
				guest_fail("another's value", got, round, __LINE__);
		}
		beats[id]++;
	}
}

/* A vCPU that takes any exit its missing memory causes, and goes on. */
static void *tolerant_vcpu(void *arg)
{
	struct vcpu *v = arg;

	for (;;) {
		uint32_t reason = vcpu_run(v);

		if (reason == HV_EXIT_PIO && v->run->exit.pio.port == PORT_DONE)
			return NULL;
		if (reason == HV_EXIT_MMIO)
			v->run->exit.mmio.data = 0;
		else if (reason != HV_EXIT_ERROR || v->run->exit.error.code != HV_ERROR_MEMORY)
			test_fail("exit that memory does not explain: %s", vcpu_describe(v));
	}
}

struct storm {
	struct vm vm;
	struct vcpu v[2];
	pthread_t thread[2];
	uint8_t *memory;
};

static void storm_start(struct storm *s, bool lossy)
{
	vm_init(&s->vm);
	s->memory = vm_add_slot(&s->vm, 1, 0, FAR, 4096 * FAR_PAGES);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&s->v[i], &s->vm, i);
		vcpu_long(&s->v[i], g_pages, i | (lossy ? 2 : 0));
		vcpu_interruptible(&s->v[i]);
		CHECK_EQ(pthread_create(&s->thread[i], NULL, tolerant_vcpu, &s->v[i]), 0);
	}
}

static void storm_end(struct storm *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		while (!guest_var(&s->vm, beats[i]))
			sleep_ns(MSEC);
	}
	guest_var(&s->vm, stop) = 1;
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(s->thread[i]);
}

static void slots_come_and_go(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;
	struct storm s;

	storm_start(&s, true);
	for (unsigned int i = 0; now_ns() < end_at; i++) {
		CHECK_OK(vm_set_slot(&s.vm, 1, 0, FAR, 0, NULL));
		if (i % 4 == 0)
			sleep_ns(MSEC);
		CHECK_OK(vm_set_slot(&s.vm, 1, 0, FAR, 4096 * FAR_PAGES, s.memory));
		if (i % 3 == 0) {
			CHECK_OK(vm_set_slot(&s.vm, 1, HV_SLOT_READONLY, FAR, 4096 * FAR_PAGES,
					     s.memory));
			CHECK_OK(vm_set_slot(&s.vm, 1, 0, FAR, 4096 * FAR_PAGES, s.memory));
		}
		sleep_ns(MSEC);
	}
	storm_end(&s);
}

static void dropped_pages(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;
	struct storm s;

	storm_start(&s, false);
	for (unsigned int i = 0; now_ns() < end_at; i++) {
		CHECK_OK(madvise(s.memory + 4096 * (i % FAR_PAGES), 4096, MADV_DONTNEED));
		if (i % FAR_PAGES == 0)
			CHECK_OK(madvise(s.memory, 4096 * FAR_PAGES, MADV_DONTNEED));
	}
	storm_end(&s);
}

/* Unmapped and mapped again, with protections that change. */
static void remapped_pages(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;
	struct storm s;

	storm_start(&s, false);
	for (unsigned int i = 0; now_ns() < end_at; i++) {
		uint8_t *p = s.memory + 4096 * (i % FAR_PAGES);

		switch (i % 3) {
		case 0:
			CHECK(mmap(p, 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
			break;
		case 1:
			CHECK_OK(mprotect(p, 4096, PROT_READ));
			CHECK_OK(mprotect(p, 4096, PROT_READ | PROT_WRITE));
			break;
		default:
			CHECK(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
				     s.memory + 4096 * ((i + 1) % FAR_PAGES)) != MAP_FAILED);
			CHECK(mmap(p, 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
		}
	}
	storm_end(&s);
}

/* Copies of the process, so that every page is copied on write over and over. */
static void forks(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;
	struct storm s;

	storm_start(&s, false);
	while (now_ns() < end_at) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			memset(s.memory, 0x77, 4096 * FAR_PAGES);
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, NULL, 0), pid);
	}
	storm_end(&s);
}

/* ---- Threads that move ---- */

static void *mover(void *arg)
{
	pthread_t *target = arg;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (unsigned int i = 0; !stop; i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((int)(i % (unsigned int)cpus), &set);
		pthread_setaffinity_np(*target, sizeof(set), &set);
		sleep_ns(300000);
	}
	return NULL;
}

static void moving_threads(void)
{
	pthread_t movers[2], ring_thread[2];
	struct vm vm;
	struct vcpu v[2];

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_ring, 2 | 1 << 8);
		ring_thread[i] = vcpu_start(&v[i]);
		CHECK_EQ(pthread_create(&movers[i], NULL, mover, &ring_thread[i]), 0);
	}
	watch_beats(&vm, 2);
	guest_var(&vm, stop) = 1;
	for (unsigned int i = 0; i < 2; i++)
		vm_msi(&vm, i, VECTOR_IPI);
	stop = 1;
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(movers[i]);
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(ring_thread[i]);
}

/* ---- VMs that come and go ---- */

static GUEST void g_short(uint64_t arg)
{
	guest_cpuid(0, 0);
	*(volatile uint64_t *)(uintptr_t)GUEST_FREE = arg;
}

static void *create_destroy(void *arg)
{
	uint64_t end_at = now_ns() + seconds * SEC, *count = arg;

	while (now_ns() < end_at || *count <= 2) {
		struct vm vm;
		struct vcpu v[2];

		vm_init(&vm);
		for (unsigned int i = 0; i < 2; i++)
			vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[0], g_short, *count);
		vcpu_done(&v[0]);
		CHECK_EQ(guest_at(&vm, uint64_t, GUEST_FREE), *count);
		/* In either order. */
		if (*count % 2)
			vm_close(&vm);
		for (unsigned int i = 0; i < 2; i++)
			vcpu_close(&v[i]);
		if (*count % 2 == 0)
			vm_close(&vm);
		(*count)++;
	}
	return NULL;
}

static void vms_in_parallel(void)
{
	uint64_t count[3] = {0};
	pthread_t thread[3];

	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, create_destroy, &count[i]), 0);
	for (unsigned int i = 0; i < 3; i++)
		vcpu_join(thread[i]);
}

/* Processes killed at any moment of a VM's life. */
static void kill_storm(void)
{
	uint64_t end_at = now_ns() + seconds * SEC;

	for (unsigned int i = 0; now_ns() < end_at || i <= 2; i++) {
		pid_t pid[2];

		for (unsigned int n = 0; n < 2; n++) {
			pid[n] = fork();
			CHECK(pid[n] >= 0);
			if (pid[n] == 0) {
				struct storm s;

				for (;;) {
					stop = 0;
					storm_start(&s, false);
					sleep_ns(2 * MSEC);
					storm_end(&s);
					for (unsigned int k = 0; k < 2; k++)
						vcpu_close(&s.v[k]);
					vm_close(&s.vm);
					munmap(s.memory, 4096 * FAR_PAGES);
				}
			}
		}
		sleep_ns((3 + i * 37 % 150) * MSEC);
		for (unsigned int n = 0; n < 2; n++) {
			kill(pid[n], SIGKILL);
			CHECK_EQ(waitpid(pid[n], NULL, 0), pid[n]);
		}
	}
}

int main(int argc, char **argv)
{
	const char *text = getenv("HV_STRESS_SECONDS");
	unsigned int limit;

	if (text && atoi(text) > 0)
		seconds = (uint64_t)atoi(text);
	limit = (unsigned int)seconds * 2 + 60;

	const struct test tests[] = {
		{"ring_1", ring_1, limit},
		{"ring_2", ring_2, limit},
		{"ring_4", ring_4, limit},
		{"ring_4_xapic", ring_4_xapic, limit},
		{"ticks", ticks, limit},
		{"events", events, limit},
		{"slots_come_and_go", slots_come_and_go, limit},
		{"dropped_pages", dropped_pages, limit},
		{"remapped_pages", remapped_pages, limit},
		{"forks", forks, limit},
		{"moving_threads", moving_threads, limit},
		{"vms_in_parallel", vms_in_parallel, limit},
		{"kill_storm", kill_storm, limit},
	};

	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
