// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The local APIC's timer on a real vCPU, and what timers cost the host. Run by
 * "make check" in the test host.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

/* ---- The timer. Its bus clock is 1 GHz. ---- */

static GUEST void g_timer_oneshot(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t current, count;
	uint64_t start;

	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x40);
	start = guest_rdtsc();
	guest_apic_write(G_APIC_TIMER_INIT, 50000000);
	current = guest_apic_read(G_APIC_TIMER_CURRENT);
	G_CHECK(current <= 50000000);
	/* Unless this vCPU was kept from running for as long. */
	G_CHECK(current > 0 || guest_elapsed_us(start) >= 49000);
	G_CHECK(guest_apic_read(G_APIC_TIMER_CURRENT) <= current);
	guest_wait();
	G_CHECK_EQ(c->count[0x40], 1);
	G_CHECK(guest_elapsed_us(start) >= 49000);
	G_CHECK_EQ(guest_apic_read(G_APIC_TIMER_CURRENT), 0);
	/* Divided by 16; and it fires while the vCPU spins. */
	guest_apic_write(G_APIC_TIMER_DIVIDE, 3);
	start = guest_rdtsc();
	guest_apic_write(G_APIC_TIMER_INIT, 1000000);
	guest_sti();
	while (c->count[0x40] == 1)
		guest_pause();
	guest_cli();
	G_CHECK(guest_elapsed_us(start) >= 15000);
	/* Masked: it runs out in silence. */
	guest_apic_write(G_APIC_LVT_TIMER, 0x10040);
	start = guest_rdtsc();
	guest_apic_write(G_APIC_TIMER_INIT, 100000);
	guest_sti();
	while (guest_elapsed_us(start) < 20000)
		guest_pause();
	G_CHECK_EQ(c->count[0x40], 2);
	/* Stopped by zero. Should it run out before that, it is pending by then: once more. */
	guest_cli();
	guest_apic_write(G_APIC_LVT_TIMER, 0x40);
	do {
		count = c->count[0x40];
		guest_apic_write(G_APIC_TIMER_INIT, 1000000);
		guest_apic_write(G_APIC_TIMER_INIT, 0);
		guest_sti();
		guest_cli();
	} while (c->count[0x40] != count);
	start = guest_rdtsc();
	guest_sti();
	while (guest_elapsed_us(start) < 30000)
		guest_pause();
	G_CHECK_EQ(c->count[0x40], count);
}

/*
 * It runs out once more while its interrupt waits: the two are one. There is no third to come, so
 * however late the guest looks, one is what it finds.
 */
static GUEST void g_timer_latched(uint64_t deadline)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t start;

	guest_apic_enable(true);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, deadline ? 0x40043 : 0x43);
	for (unsigned int i = 0; i < 2; i++) {
		if (deadline)
			wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + guest_tsc_khz * 5);
		else
			guest_apic_write(G_APIC_TIMER_INIT, 5000000);
		start = guest_rdtsc();
		while (guest_elapsed_us(start) < 6000)
			guest_pause();
		if (i == 0)
			while (!(guest_apic_read(G_APIC_IRR + 0x20) >> 3 & 1))
				guest_pause();
	}
	for (unsigned int i = 0; i < 3; i++) {
		guest_sti();
		asm volatile("nop; nop");
		guest_cli();
	}
	G_CHECK_EQ(c->count[0x43], 1);
}

static void timer_latched(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_latched, false);
	vcpu_done(&v);
}

static void timer_latched_deadline(void)
{
	struct vm vm;
	struct vcpu v;

	if (!(hv_caps().features & HV_FEATURE_TSC_DEADLINE))
		test_skip("no TSC-deadline timer");
	vm_long(&vm, &v, g_timer_latched, true);
	vcpu_done(&v);
}

static void timer_oneshot(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_oneshot, true);
	vcpu_done(&v);
}

static void timer_oneshot_xapic(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_oneshot, false);
	vcpu_done(&v);
}

static GUEST void g_timer_periodic(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t start;

	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x20041);
	start = guest_rdtsc();
	guest_apic_write(G_APIC_TIMER_INIT, 5000000);
	while (c->count[0x41] < 10)
		guest_wait();
	/* The base is kept: no faster than the period, whatever was late. */
	G_CHECK(guest_elapsed_us(start) >= 49000);
	guest_apic_write(G_APIC_TIMER_INIT, 0);
	guest_sti();
	guest_cli();
	c->count[0x41] = 0;
	start = guest_rdtsc();
	guest_sti();
	while (guest_elapsed_us(start) < 20000)
		guest_pause();
	G_CHECK_EQ(c->count[0x41], 0);
}

static void timer_periodic(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_periodic, true);
	vcpu_done(&v);
}

static GUEST void g_timer_deadline(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t deadline, armed;
	uint32_t count;

	guest_apic_enable(x2apic);
	/* In another mode the MSR is not armed. */
	guest_apic_write(G_APIC_LVT_TIMER, 0x42);
	wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + 1);
	G_CHECK_EQ(rdmsr(G_MSR_TSC_DEADLINE), 0);
	guest_apic_write(G_APIC_LVT_TIMER, 0x40042);
	for (unsigned int i = 1; i <= 5; i++) {
		deadline = guest_rdtsc() + guest_tsc_khz * 10;
		wrmsr(G_MSR_TSC_DEADLINE, deadline);
		armed = rdmsr(G_MSR_TSC_DEADLINE);
		G_CHECK(armed == deadline || (!armed && guest_rdtsc() >= deadline));
		guest_wait();
		G_CHECK_EQ(c->count[0x42], i);
		G_CHECK(guest_rdtsc() >= deadline);
		G_CHECK_EQ(rdmsr(G_MSR_TSC_DEADLINE), 0);
	}
	/* In the past: at once. */
	wrmsr(G_MSR_TSC_DEADLINE, 1);
	guest_wait();
	G_CHECK_EQ(c->count[0x42], 6);
	/* Disarmed; once more should it have passed before that. */
	do {
		count = c->count[0x42];
		wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + guest_tsc_khz);
		wrmsr(G_MSR_TSC_DEADLINE, 0);
		guest_sti();
		guest_cli();
	} while (c->count[0x42] != count);
	deadline = guest_rdtsc();
	guest_sti();
	while (guest_elapsed_us(deadline) < 20000)
		guest_pause();
	G_CHECK_EQ(c->count[0x42], count);
}

/* Without HLT: the timer ends the stay of a guest that runs, or passes while its thread is away. */
static GUEST void g_deadline_running(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t deadline;

	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_LVT_TIMER, 0x40042);
	for (unsigned int i = 1; i <= 5; i++) {
		deadline = guest_rdtsc() + guest_tsc_khz * 10;
		wrmsr(G_MSR_TSC_DEADLINE, deadline);
		guest_sti();
		while (c->count[0x42] < i)
			guest_pause();
		guest_cli();
		G_CHECK(guest_rdtsc() >= deadline);
		G_CHECK_EQ(rdmsr(G_MSR_TSC_DEADLINE), 0);
	}
	/* It is over: the register that says what it does, written again, does not repeat it. */
	guest_apic_write(G_APIC_LVT_TIMER, 0x40042);
	guest_sti();
	asm volatile("nop; nop");
	guest_cli();
	G_CHECK_EQ(c->count[0x42], 5);
	wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + guest_tsc_khz);
	guest_sync(1);
	guest_sti();
	while (c->count[0x42] < 6)
		guest_pause();
	guest_cli();
	/* Asleep, but woken by something else before it is due. */
	deadline = guest_rdtsc() + guest_tsc_khz * 100;
	wrmsr(G_MSR_TSC_DEADLINE, deadline);
	guest_sync(2);
	guest_wait();
	G_CHECK_EQ(c->count[0x51], 1);
	while (c->count[0x42] < 7)
		guest_wait();
	G_CHECK(guest_rdtsc() >= deadline);
}

static void timer_deadline_running(void)
{
	struct vm vm;
	struct vcpu v;

	if (!(hv_caps().features & HV_FEATURE_TSC_DEADLINE))
		test_skip("no TSC-deadline timer");
	vm_long(&vm, &v, g_deadline_running, true);
	vcpu_sync(&v, 1);
	sleep_ns(5 * MSEC);
	vcpu_sync(&v, 2);
	CHECK_EQ(vm_msi(&vm, 0, 0x51), 1);
	vcpu_done(&v);
}

static void timer_deadline(void)
{
	struct vm vm;
	struct vcpu v;

	if (!(hv_caps().features & HV_FEATURE_TSC_DEADLINE))
		test_skip("no TSC-deadline timer");
	vm_long(&vm, &v, g_timer_deadline, true);
	vcpu_done(&v);
}

/* The deadline is what the TSC must reach, whoever moves that. */
static GUEST void g_deadline_moved(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t hour = guest_tsc_khz * 1000 * 3600, deadline;

	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_LVT_TIMER, 0x40042);
	wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + hour);
	wrmsr(G_MSR_TSC_ADJUST, 2 * hour);
	guest_wait();
	G_CHECK_EQ(c->count[0x42], 1);
	/* Back: then it is later. */
	deadline = guest_rdtsc() + guest_tsc_khz * 10;
	wrmsr(G_MSR_TSC_DEADLINE, deadline);
	wrmsr(G_MSR_TSC_ADJUST, 2 * hour - guest_tsc_khz * 20);
	guest_wait();
	G_CHECK_EQ(c->count[0x42], 2);
	G_CHECK(guest_rdtsc() >= deadline);
	/* By the host. */
	wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + hour);
	guest_sync(1);
	guest_wait();
	G_CHECK_EQ(c->count[0x42], 3);
}

static void timer_deadline_moved(void)
{
	struct vm vm;
	struct vcpu v;

	if (!(hv_caps().features & HV_FEATURE_TSC_DEADLINE))
		test_skip("no TSC-deadline timer");
	vm_long(&vm, &v, g_deadline_moved, true);
	vcpu_sync(&v, 1);
	vcpu_set_msr(&v, G_MSR_TSC, 1ull << 60);
	vcpu_done(&v);
}

/* The deadline is the guest's own time, whatever that is to the host. */
static void timer_deadline_scaled(void)
{
	struct vm vm;
	struct vcpu v;

	if (!(hv_caps().features & HV_FEATURE_TSC_SCALING))
		test_skip("the TSC cannot be scaled here");
	for (unsigned int i = 0; i < 2; i++) {
		vm_init_tsc(&vm, hv_caps().tsc_khz / 4 * (i ? 1 : 7));
		vcpu_init(&v, &vm, 0);
		vcpu_long(&v, g_timer_deadline, true);
		vcpu_done(&v);
		vcpu_close(&v);
		vm_close(&vm);
	}
}

/* ---- What timers cost the host. Their periods are as short as can be. ---- */

/*
 * The host's own ticks are a thousand a second of each processor at most, and there are other timers;
 * one guest's would be 20000.
 */
static uint64_t most_ticks(uint64_t ns)
{
	return 300 + ns / MSEC * 2 * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
}

/* 100 ms cost no more than that. */
static void check_quiet(const char *what)
{
	uint64_t start = now_ns(), begin = host_interrupts("LOC", -1), count;

	sleep_ns(100 * MSEC);
	count = host_interrupts("LOC", -1) - begin;
	if (count > most_ticks(now_ns() - start))
		test_fail("%s: %llu timer interrupts", what, (unsigned long long)count);
}

static void set_lapic_timer(struct vcpu *v, uint32_t lvt)
{
	struct hv_lapic l;

	CHECK_OK(ioctl(v->fd, HV_GET_LAPIC, &l));
	*(uint32_t *)&l.regs[G_APIC_SVR] = 0x1ff;
	*(uint32_t *)&l.regs[G_APIC_LVT_TIMER] = lvt;
	*(uint32_t *)&l.regs[G_APIC_TIMER_DIVIDE] = 0xb;
	*(uint32_t *)&l.regs[G_APIC_TIMER_INIT] = 1;
	*(uint32_t *)&l.regs[G_APIC_TIMER_CURRENT] = 1;
	CHECK_OK(ioctl(v->fd, HV_SET_LAPIC, &l));
}

/* Of vCPUs that nobody runs. */
static void timer_idle(void)
{
	struct hv_lapic l;
	struct vcpu v[4];
	struct vm vm;

	vm_init(&vm);
	for (unsigned int i = 0; i < ARRAY_SIZE(v); i++) {
		vcpu_init(&v[i], &vm, i);
		set_lapic_timer(&v[i], 0x20041);
	}
	check_quiet("never run");
	/* It has run out, though: what is read says so. */
	CHECK_OK(ioctl(v[0].fd, HV_GET_LAPIC, &l));
	CHECK_EQ(*(uint32_t *)&l.regs[G_APIC_IRR + 0x20], 1u << 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(v); i++)
		vcpu_close(&v[i]);
	vm_close(&vm);
}

/* To a slow host they come quicker than it takes them, and the guest would do nothing else. */
static GUEST bool third_is_last(struct guest_frame *f)
{
	if (f->vector == 0x41 && guest_cpu()->count[0x41] >= 3)
		f->rflags &= ~FLAG_IF;
	return false;
}

/* Between two runs. */
static GUEST void g_timer_left(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	c->hook = third_is_last;
	guest_apic_enable(true);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x20041);
	guest_apic_write(G_APIC_TIMER_INIT, 1000);
	while (c->count[0x41] < 3)
		guest_wait();
	guest_sync(1);
	/* One for all that ran out meanwhile, and then they go on. */
	c->count[0x41] = 0;
	while (c->count[0x41] < 3)
		guest_wait();
}

static void timer_left(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_left, 0);
	vcpu_sync(&v, 1);
	check_quiet("between two runs");
	vcpu_done(&v);
}

/* Of a vCPU in HLT that takes no interrupt: it waits for an NMI. */
static GUEST void g_timer_held(uint64_t lvt)
{
	struct guest_cpu *c = guest_cpu();

	c->hook = third_is_last;
	guest_apic_enable(true);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, (uint32_t)lvt);
	guest_apic_write(G_APIC_TIMER_INIT, 1000);
	guest_sync(1);
	asm volatile("hlt" : : : "memory");
	G_CHECK_EQ(c->count[2], 1);
	/* None was lost for ever: with the mask and the interrupt flag as they should be they come. */
	guest_apic_write(G_APIC_LVT_TIMER, 0x20041);
	while (c->count[0x41] < 3)
		guest_wait();
}

static void timer_held(void)
{
	static const uint32_t lvt[] = {0x20041, 0x30041, 0x20005};

	for (unsigned int i = 0; i < ARRAY_SIZE(lvt); i++) {
		pthread_t thread;
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_timer_held, lvt[i]);
		vcpu_sync(&v, 1);
		thread = vcpu_start(&v);
		sleep_ns(20 * MSEC);
		check_quiet(i == 0 ? "pending" : i == 1 ? "masked" : "an illegal vector");
		CHECK_OK(ioctl(v.fd, HV_NMI, 0));
		vcpu_join(thread);
		vcpu_close(&v);
		vm_close(&vm);
	}
}

/* What the host loads counts, on a vCPU that has run before. */
static GUEST void g_timer_loaded(uint64_t turns)
{
	guest_apic_enable(true);
	for (uint32_t i = 1; i <= turns; i++) {
		guest_sync(i);
		guest_wait();
		G_CHECK_EQ(guest_cpu()->count[0x41], i);
	}
}

static void timer_loaded(void)
{
	bool deadline = hv_caps().features & HV_FEATURE_TSC_DEADLINE;
	struct hv_lapic l;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_timer_loaded, deadline ? 2 : 1);
	vcpu_sync(&v, 1);
	set_lapic_timer(&v, 0x41);
	if (deadline) {
		vcpu_sync(&v, 2);
		CHECK_OK(ioctl(v.fd, HV_GET_LAPIC, &l));
		*(uint32_t *)&l.regs[G_APIC_LVT_TIMER] = 0x40041;
		*(uint32_t *)&l.regs[G_APIC_TIMER_INIT] = 0;
		l.tsc_deadline = vcpu_get_msr(&v, G_MSR_TSC) + 5 * hv_caps().tsc_khz;
		CHECK_OK(ioctl(v.fd, HV_SET_LAPIC, &l));
	}
	vcpu_done(&v);
	/* In another mode there is no deadline. */
	CHECK_OK(ioctl(v.fd, HV_GET_LAPIC, &l));
	*(uint32_t *)&l.regs[G_APIC_LVT_TIMER] = 0x41;
	l.tsc_deadline = 1ull << 60;
	CHECK_OK(ioctl(v.fd, HV_SET_LAPIC, &l));
	CHECK_OK(ioctl(v.fd, HV_GET_LAPIC, &l));
	CHECK_EQ(l.tsc_deadline, 0);
}

/* A timer whose vector is none is an error in each of its periods that begins after the last was looked at. */
static GUEST void g_timer_bad_vector(uint64_t x2apic)
{
	guest_apic_enable(x2apic);
	guest_apic_write(G_APIC_LVT_ERROR, 0x71);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x2000f);
	guest_apic_write(G_APIC_TIMER_INIT, 1000000);
	for (uint32_t i = 1; i <= 3; i++) {
		guest_wait();
		G_CHECK_EQ(guest_cpu()->count[0x71], i);
		guest_apic_write(G_APIC_ESR, 0);
		G_CHECK_EQ(guest_apic_read(G_APIC_ESR), 0x40);
	}
}

static void timer_bad_vector(void)
{
	for (unsigned int x2apic = 0; x2apic < 2; x2apic++) {
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_timer_bad_vector, x2apic);
		vcpu_done(&v);
		vcpu_close(&v);
		vm_close(&vm);
	}
}

static const struct test tests[] = {
	{"timer_oneshot", timer_oneshot, 0},
	{"timer_oneshot_xapic", timer_oneshot_xapic, 0},
	{"timer_latched", timer_latched, 0},
	{"timer_latched_deadline", timer_latched_deadline, 0},
	{"timer_periodic", timer_periodic, 0},
	{"timer_deadline", timer_deadline, 0},
	{"timer_deadline_running", timer_deadline_running, 0},
	{"timer_deadline_moved", timer_deadline_moved, 0},
	{"timer_deadline_scaled", timer_deadline_scaled, 0},
	{"timer_idle", timer_idle, 0},
	{"timer_left", timer_left, 0},
	{"timer_held", timer_held, 0},
	{"timer_loaded", timer_loaded, 0},
	{"timer_bad_vector", timer_bad_vector, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
