// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's time: its TSC, at the host's frequency and at others, and kvm-clock. Run
 * by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

static volatile uint64_t shared_tsc;
static volatile uint32_t tsc_turns;

static GUEST void g_tsc_exits(uint64_t arg)
{
	uint64_t last = guest_rdtsc();

	(void)arg;
	for (unsigned int i = 0; i < 200; i++) {
		uint64_t now;

		if (i % 2)
			guest_cpuid(0, 0);
		else
			guest_sync(i);
		now = guest_rdtsc();
		G_CHECK(now > last);
		last = now;
	}
	/* The MSR and the instruction agree, and ADJUST follows what is written. */
	G_CHECK(rdmsr(G_MSR_TSC) >= last);
	wrmsr(G_MSR_TSC_ADJUST, 0);
	last = guest_rdtsc();
	wrmsr(G_MSR_TSC, last + (1ull << 40));
	G_CHECK(guest_rdtsc() - last >= 1ull << 40);
	G_CHECK(guest_rdtsc() - last < 3ull << 39);
	G_CHECK(rdmsr(G_MSR_TSC_ADJUST) - (1ull << 39) < 1ull << 40);
	wrmsr(G_MSR_TSC_ADJUST, 0);
	G_CHECK(guest_rdtsc() - last < 1ull << 39);
}

static void tsc_exits(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_tsc_exits, 0);
	for (unsigned int i = 0; i < 200; i += 2) {
		vcpu_sync(&v, i);
		if (i % 50 == 0)
			sleep_ns(10 * MSEC);
		/* A host thread that moves to another CPU. */
		bind_to_cpu((int)(i / 2 % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN)));
	}
	vcpu_done(&v);
}

/* Two vCPUs take turns; time never goes back from one to the other. */
static GUEST void g_tsc_turns(uint64_t id)
{
	for (uint32_t i = 0; i < 500; i++) {
		uint64_t now;

		while ((tsc_turns & 1) != id)
			guest_pause();
		now = guest_rdtsc();
		G_CHECK(now >= shared_tsc);
		shared_tsc = now;
		__atomic_fetch_add(&tsc_turns, 1, __ATOMIC_SEQ_CST);
	}
}

static void tsc_vcpus(void)
{
	struct vm vm;
	struct vcpu v[2];

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_tsc_turns, i);
	}
	vcpus_run(v, 2);
}

/* The host sets the TSC: the guest goes on from there. */
static GUEST void g_tsc_set(uint64_t arg)
{
	(void)arg;
	guest_sync(1);
	G_CHECK(guest_rdtsc() >= 1ull << 50);
	G_CHECK(guest_rdtsc() < 3ull << 49);
}

/* However small the step: exactly, and by the guest it shows in ADJUST. */
static GUEST void g_tsc_steps(uint64_t arg)
{
	uint64_t before, adjust;

	(void)arg;
	wrmsr(G_MSR_TSC_ADJUST, 0);
	before = guest_rdtsc();
	wrmsr(G_MSR_TSC, before + 100 * guest_tsc_khz);
	G_CHECK(guest_rdtsc() >= before + 100 * guest_tsc_khz);
	adjust = rdmsr(G_MSR_TSC_ADJUST);
	G_CHECK(adjust > 0 && adjust <= 100 * guest_tsc_khz);
	/* What was added is all that is there too much. */
	wrmsr(G_MSR_TSC_ADJUST, 0);
	wrmsr(G_MSR_TSC, 0);
	before = guest_rdtsc();
	adjust = rdmsr(G_MSR_TSC_ADJUST);
	G_CHECK(before < (uint64_t) - (int64_t)adjust);
	guest_sync(1);
	G_CHECK_EQ(rdmsr(G_MSR_TSC_ADJUST), adjust);
}

static void tsc_steps(void)
{
	struct vm vm;
	struct vcpu v[2];
	uint64_t tsc;

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++)
		vcpu_init(&v[i], &vm, i);
	vcpu_long(&v[0], g_tsc_steps, 0);
	/* The guest has set it to zero a while after it began to count. */
	sleep_ns(100 * MSEC);
	vcpu_sync(&v[0], 1);
	CHECK(vcpu_get_msr(&v[0], G_MSR_TSC) < vcpu_get_msr(&v[1], G_MSR_TSC));
	tsc = vcpu_get_msr(&v[1], G_MSR_TSC);
	vcpu_set_msr(&v[0], G_MSR_TSC, tsc + 200 * hv_caps().tsc_khz);
	CHECK(vcpu_get_msr(&v[0], G_MSR_TSC) >= tsc + 200 * hv_caps().tsc_khz);
	/* That does not move the other one, */
	CHECK(vcpu_get_msr(&v[1], G_MSR_TSC) < vcpu_get_msr(&v[0], G_MSR_TSC));
	/* nor where new ones begin, */
	CHECK_EQ(vcpu_get_msr(&v[1], HV_MSR_TSC_OFFSET), 0);
	/* nor ADJUST. */
	vcpu_done(&v[0]);
}

static void tsc_set(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_tsc_set, 0);
	vcpu_sync(&v, 1);
	vcpu_set_msr(&v, G_MSR_TSC, 1ull << 50);
	vcpu_done(&v);
}

/* kvm-clock: pvclock_vcpu_time_info and pvclock_wall_clock (Documentation/virt/kvm/x86/msr). */
struct pv_time {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
} __attribute__((packed));

struct pv_wall {
	uint32_t version, sec, nsec;
} __attribute__((packed));

static volatile uint8_t pv_page[4096] __attribute__((aligned(4096)));

static GUEST uint64_t pv_now(const volatile struct pv_time *t)
{
	uint64_t delta = guest_rdtsc() - t->tsc_timestamp;

	if (t->tsc_shift >= 0)
		delta <<= t->tsc_shift;
	else
		delta >>= -t->tsc_shift;
	return t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
}

static GUEST void g_pvclock(uint64_t arg)
{
	volatile struct pv_time *t = (volatile struct pv_time *)(uintptr_t)pv_page;
	volatile struct pv_wall *w = (volatile struct pv_wall *)(uintptr_t)(pv_page + 256);
	uint64_t start, end, tsc, before;

	(void)arg;
	G_CHECK_EQ(guest_cpuid(0x40000001, 0).eax >> 3 & 1, 1);
	wrmsr(G_MSR_SYSTEM_TIME, (uintptr_t)t | 1);
	wrmsr(G_MSR_WALL_CLOCK, (uintptr_t)w);
	G_CHECK_EQ(t->version & 1, 0);
	G_CHECK(t->version > 0);
	G_CHECK(w->version > 0 && !(w->version & 1));
	before = guest_rdtsc();
	start = pv_now(t);
	tsc = guest_rdtsc();
	while (guest_rdtsc() - tsc < guest_tsc_khz * 20)
		guest_pause();
	end = pv_now(t);
	G_CHECK(end - start >= 19000000);
	/* No more than the TSC says, but for its frequency's last digits. */
	G_CHECK(end - start <= (guest_rdtsc() - before) * 1001000 / guest_tsc_khz);
	guest_sync(w->sec);
	end = pv_now(t);
	guest_sync((uint32_t)(end - start >= 200000000));
	/* Turned off. */
	wrmsr(G_MSR_SYSTEM_TIME, 0);
	G_CHECK_EQ(rdmsr(G_MSR_SYSTEM_TIME), 0);
}

static void run_pvclock(uint32_t khz)
{
	struct vm vm;
	struct vcpu v;
	time_t now;

	vm_init_tsc(&vm, khz);
	vcpu_init(&v, &vm, 0);
	vcpu_long(&v, g_pvclock, 0);
	vcpu_out(&v, PORT_SYNC);
	/* The wall clock is that of the boot: system time is to be added. */
	now = time(NULL);
	CHECK((time_t)v.run->exit.pio.data <= now + 1 &&
	      (time_t)v.run->exit.pio.data > now - 86400);
	sleep_ns(200 * MSEC);
	vcpu_sync(&v, 1);
	vcpu_done(&v);
	vcpu_close(&v);
	vm_close(&vm);
}

static void pvclock(void)
{
	if (!(hv_caps().features & HV_FEATURE_PVCLOCK))
		test_skip("no kvm-clock");
	run_pvclock(hv_caps().tsc_khz);
}

/* ---- Where and when the clock's record gets written: in a slot of its own ---- */

#define PV_GPA 0x2000000ul
#define PV_LEN 0x1000ul

static GUEST void g_pv_comes(uint64_t gpa)
{
	volatile struct pv_time *t = (volatile struct pv_time *)gpa;
	volatile struct pv_wall *w = (volatile struct pv_wall *)(PV_GPA + 0x100);

	wrmsr(G_MSR_SYSTEM_TIME, gpa | 1);
	wrmsr(G_MSR_WALL_CLOCK, (uintptr_t)w);
	G_CHECK_EQ(rdmsr(G_MSR_SYSTEM_TIME), gpa | 1);
	/* There is no memory yet; then there is, and then other memory. */
	for (uint32_t i = 1; i <= 2; i++) {
		guest_sync(i);
		G_CHECK(t->version && !(t->version & 1));
		G_CHECK(pv_now(t) < 1ull << 50);
	}
	/* It cannot be written while the host keeps others from writing there. */
	guest_sync(3);
	wrmsr(G_MSR_SYSTEM_TIME, gpa | 1);
	G_CHECK_EQ(t->version, 0);
	wrmsr(G_MSR_WALL_CLOCK, (uintptr_t)w);
	G_CHECK_EQ(w->version, 0);
	guest_sync(4);
	G_CHECK(t->version && !(t->version & 1));
	/* The same, and the guest stays where it is. */
	guest_sync(5);
	wrmsr(G_MSR_SYSTEM_TIME, gpa | 1);
	while (!t->version || t->version & 1)
		guest_pause();
}

/* A slot of empty memory in place of what was there. */
static uint8_t *new_memory(struct vm *vm, uint8_t *old)
{
	if (old) {
		CHECK_OK(vm_set_slot(vm, 1, 0, PV_GPA, 0, NULL));
		CHECK_OK(munmap(old, PV_LEN));
	}
	return vm_add_slot(vm, 1, 0, PV_GPA, PV_LEN);
}

static void run_pv_comes(uint32_t offset)
{
	volatile struct pv_wall *wall;
	uint8_t *memory = NULL;
	pthread_t thread;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_pv_comes, PV_GPA + offset);
	vcpu_interruptible(&v);
	vcpu_sync(&v, 1);
	memory = new_memory(&vm, memory);
	vcpu_sync(&v, 2);
	wall = (volatile struct pv_wall *)(memory + 0x100);
	CHECK(wall->version && !(wall->version & 1) && wall->sec);
	memory = new_memory(&vm, memory);
	vcpu_sync(&v, 3);
	memory = new_memory(&vm, memory);
	CHECK_OK(mprotect(memory, PV_LEN, PROT_READ));
	vcpu_sync(&v, 4);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_WALL_CLOCK), PV_GPA + 0x100);
	CHECK_OK(mprotect(memory, PV_LEN, PROT_READ | PROT_WRITE));
	vcpu_sync(&v, 5);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_WALL_CLOCK), 0);
	memory = new_memory(&vm, memory);
	CHECK_OK(mprotect(memory, PV_LEN, PROT_READ));
	thread = vcpu_start(&v);
	sleep_ns(20 * MSEC);
	CHECK_OK(mprotect(memory, PV_LEN, PROT_READ | PROT_WRITE));
	vcpu_join(thread);
	vcpu_close(&v);
	vm_close(&vm);
}

static void pvclock_comes(void)
{
	if (!(hv_caps().features & HV_FEATURE_PVCLOCK))
		test_skip("no kvm-clock");
	run_pv_comes(0);
	/* The last that fits. */
	run_pv_comes(PV_LEN - sizeof(struct pv_time));
}

/* ---- A machine that is stopped for a while, and goes on as if nothing had been ---- */

#define PV_TSC_STABLE	 0x1
#define PV_GUEST_STOPPED 0x2

static volatile uint64_t stop_tsc, stop_ns;
static volatile bool stop_seen;

/* It is told while it runs; its clocks go on. */
static GUEST void g_is_told(volatile struct pv_time *t)
{
	uint64_t tsc = guest_rdtsc(), ns = pv_now(t), now;

	while (!(t->flags & PV_GUEST_STOPPED)) {
		now = guest_rdtsc();
		G_CHECK(now >= tsc);
		tsc = now;
	}
	G_CHECK(guest_rdtsc() >= tsc);
	G_CHECK(pv_now(t) >= ns);
	G_CHECK(guest_rdtsc() < 1ull << 55);
	t->flags &= ~PV_GUEST_STOPPED;
}

static GUEST void g_stops(uint64_t id)
{
	volatile struct pv_time *t = (volatile struct pv_time *)(PV_GPA + 0x40 * id);

	wrmsr(G_MSR_SYSTEM_TIME, (uintptr_t)t | 1);
	G_CHECK_EQ(t->flags & PV_GUEST_STOPPED, 0);
	for (uint32_t i = 1; i <= 3; i++) {
		stop_tsc = guest_rdtsc();
		stop_ns = pv_now(t);
		guest_sync(i);
		/* An hour or three, as the host will say, and not the wait of a fifth of a second. */
		G_CHECK(guest_rdtsc() - stop_tsc < (uint64_t)guest_tsc_khz * 150);
		G_CHECK(pv_now(t) - stop_ns < 150000000);
		G_CHECK_EQ(t->flags & PV_GUEST_STOPPED, i == 1 ? 0 : PV_GUEST_STOPPED);
	}
	/* Until it has been seen, however often the record is written; and not again. */
	guest_sync(4);
	G_CHECK_EQ(t->flags & PV_GUEST_STOPPED, PV_GUEST_STOPPED);
	t->flags &= ~PV_GUEST_STOPPED;
	guest_sync(5);
	G_CHECK_EQ(t->flags & PV_GUEST_STOPPED, 0);
	/* One that tells it so beside a guest that runs, and one that sets its clocks. */
	guest_sync(6);
	g_is_told(t);
	stop_seen = true;
	while (!(t->flags & PV_GUEST_STOPPED))
		guest_pause();
	G_CHECK(guest_rdtsc() >= 1ull << 55);
	G_CHECK(pv_now(t) >= 1ull << 55);
}

/* As it was at c. */
static void go_on(struct vm *vm, struct hv_clock *c, uint32_t flags)
{
	sleep_ns(200 * MSEC);
	c->flags = flags;
	CHECK_OK(ioctl(vm->fd, HV_SET_CLOCK, c));
}

static void stopped(void)
{
	struct hv_clock c;
	struct vcpu v, other;
	pthread_t thread;
	uint64_t offset;
	struct vm vm;

	vm_long(&vm, &v, g_stops, 1);
	vcpu_interruptible(&v);
	vcpu_init(&other, &vm, 1);
	vcpu_set_msr(&other, HV_MSR_TSC_OFFSET, 12345);
	new_memory(&vm, NULL);
	for (uint32_t i = 1; i <= 3; i++) {
		vcpu_sync(&v, i);
		offset = vcpu_get_msr(&v, HV_MSR_TSC_OFFSET);
		CHECK_OK(ioctl(vm.fd, HV_GET_CLOCK, &c));
		CHECK_EQ(c.flags, 0);
		go_on(&vm, &c, i == 1 ? 0 : HV_CLOCK_STOPPED);
		CHECK_EQ(vcpu_get_msr(&v, HV_MSR_TSC_OFFSET), offset);
		CHECK_EQ(vcpu_get_msr(&other, HV_MSR_TSC_OFFSET), 12345);
	}
	/* Another slot comes: the records are written anew. */
	vcpu_sync(&v, 4);
	vm_add_slot(&vm, 2, 0, PV_GPA + PV_LEN, PV_LEN);
	vcpu_sync(&v, 5);
	CHECK_OK(vm_set_slot(&vm, 2, 0, PV_GPA + PV_LEN, 0, NULL));
	vcpu_sync(&v, 6);
	thread = vcpu_start(&v);
	sleep_ns(20 * MSEC);
	c.ns = c.tsc = 0;
	c.flags = HV_CLOCK_STOPPED | HV_CLOCK_KEEP;
	CHECK_OK(ioctl(vm.fd, HV_SET_CLOCK, &c));
	while (!guest_var(&vm, stop_seen))
		sleep_ns(MSEC);
	c.ns = c.tsc = 1ull << 55;
	c.flags = HV_CLOCK_STOPPED;
	CHECK_OK(ioctl(vm.fd, HV_SET_CLOCK, &c));
	vcpu_join(thread);
	CHECK(vcpu_get_msr(&other, G_MSR_TSC) >= 1ull << 55);
}

/* ---- Another frequency than the host's ---- */

static volatile uint64_t guest_tsc;

static GUEST void g_scaled(uint64_t khz)
{
	G_CHECK_EQ(guest_cpuid(0x40000010, 0).eax, khz);
	for (uint32_t i = 0; i < 50; i++) {
		guest_tsc = guest_rdtsc();
		guest_sync(i);
		G_CHECK(rdmsr(G_MSR_TSC) >= guest_tsc);
	}
	wrmsr(G_MSR_TSC, 1ull << 50);
	G_CHECK(guest_rdtsc() - (1ull << 50) < 1ull << 40);
}

static uint64_t host_tsc(void)
{
	unsigned int lo, hi;

	asm volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* The guest's TSC as the calls have it, at a moment between *before and *after of the host's. */
static uint64_t tsc_of_guest(struct vcpu *v, uint64_t *before, uint64_t *after)
{
	uint64_t tsc;

	*before = host_tsc();
	tsc = vcpu_get_msr(v, G_MSR_TSC);
	*after = host_tsc();
	return tsc;
}

static void run_scaled(uint32_t khz)
{
	uint64_t first, last, from[2], to[2], host_khz = hv_caps().tsc_khz, was;
	struct vm vm;
	struct vcpu v;

	vm_init_tsc(&vm, khz);
	vcpu_init(&v, &vm, 0);
	vcpu_long(&v, g_scaled, khz);
	first = last = tsc_of_guest(&v, &from[0], &from[1]);
	for (uint32_t i = 0; i < 50; i++) {
		vcpu_sync(&v, i);
		/* What the processor counts lies between what the module computes. */
		was = last;
		last = tsc_of_guest(&v, &to[0], &to[1]);
		CHECK(guest_var(&vm, guest_tsc) >= was && guest_var(&vm, guest_tsc) <= last);
	}
	CHECK(last - first >= (to[0] - from[1]) * khz / host_khz - 2);
	CHECK(last - first <= (to[1] - from[0]) * khz / host_khz + 2);
	vcpu_done(&v);
	vcpu_close(&v);
	vm_close(&vm);
}

static void tsc_scaled(void)
{
	uint32_t khz = hv_caps().tsc_khz;
	struct hv_create_vm create = {.size = sizeof(create)};

	create.tsc_khz = HV_TSC_KHZ_MIN - 1;
	CHECK_ERRNO(ioctl(hv_open(), HV_CREATE_VM, &create), EINVAL);
	create.tsc_khz = HV_TSC_KHZ_MAX + 1;
	CHECK_ERRNO(ioctl(hv_open(), HV_CREATE_VM, &create), EINVAL);
	/* The host's own is no wish for another. */
	run_scaled(khz);
	if (!(hv_caps().features & HV_FEATURE_TSC_SCALING)) {
		create.tsc_khz = khz / 2;
		CHECK_ERRNO(ioctl(hv_open(), HV_CREATE_VM, &create), EOPNOTSUPP);
		test_skip("the TSC cannot be scaled here");
	}
	run_scaled(khz / 3);
	run_scaled(khz + khz / 1000);
	run_scaled(khz * 5);
	run_pvclock(khz / 2);
	run_pvclock(khz * 3);
}

static const struct test tests[] = {
	{"tsc_exits", tsc_exits, 0}, {"tsc_vcpus", tsc_vcpus, 60},
	{"tsc_set", tsc_set, 0},     {"tsc_steps", tsc_steps, 0},
	{"pvclock", pvclock, 0},     {"pvclock_comes", pvclock_comes, 0},
	{"stopped", stopped, 0},     {"tsc_scaled", tsc_scaled, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
