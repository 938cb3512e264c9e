// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A vCPU's state across exits and calls: the run page and its register groups,
 * vector registers, MSRs, signals. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/state.h"
#include "tests/lib/vm.h"

extern void vector_fill(const void *image, int avx);
extern void vector_store(void *image, int avx);
extern long vector_syscall(long number, long a, long b, long c, const void *in, void *out);
extern void x87_fill(const double *eight);
extern void x87_store(double *eight);

#define IMAGE 512 /* bytes of sixteen YMM registers */

/* ---- The run page ---- */

static GUEST void g_regs(uint64_t arg)
{
	(void)arg;
	guest_sync(1);
	guest_sync(2);
	guest_sync(3);
	guest_sync(4);
}

static void wanted_valid_dirty(void)
{
	struct hv_run *r;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_regs, 0);
	r = v.run;
	/* Wanted groups come with every exit, and are valid. */
	r->wanted = HV_REGS_ALL;
	memset(&r->gprs, 0xee, sizeof(r->gprs));
	memset(&r->sregs, 0xee, sizeof(r->sregs));
	vcpu_sync(&v, 1);
	CHECK_EQ(r->valid, HV_REGS_ALL);
	CHECK_EQ(r->dirty, 0);
	CHECK_EQ(r->sregs.cr3, GUEST_PML4);
	CHECK_EQ(vcpu_reg(&v, RAX), 1);
	/* What is not wanted is neither stored nor valid; what is not dirty is not loaded. */
	r->wanted = HV_REGS_SREGS;
	memset(&r->gprs, 0xee, sizeof(r->gprs));
	vcpu_sync(&v, 2);
	CHECK_EQ(r->valid & HV_REGS_GPR, 0);
	CHECK_EQ(r->gprs.rip, 0xeeeeeeeeeeeeeeee);
	CHECK_EQ(r->valid & HV_REGS_SREGS, HV_REGS_SREGS);
	/* HV_GET_REGS makes a group valid. */
	vcpu_get(&v, HV_REGS_GPR);
	CHECK_EQ(r->valid & HV_REGS_GPR, HV_REGS_GPR);
	CHECK_EQ(vcpu_reg(&v, RAX), 2);
	/* A dirty group is loaded, and the mark taken away. */
	r->gprs.r[HV_R15] = 0x123456789;
	r->wanted = HV_REGS_GPR;
	r->dirty = HV_REGS_GPR;
	vcpu_sync(&v, 3);
	CHECK_EQ(r->dirty, 0);
	CHECK_EQ(vcpu_reg(&v, R15), 0x123456789);
	/* Bits that are no group. */
	r->dirty = 1ull << 40;
	CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINVAL);
	r->dirty = 0;
	r->wanted = 1ull << 4;
	CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINVAL);
	r->wanted = HV_REGS_GPR;
	r->flags = 1u << 31;
	CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINVAL);
	r->flags = 0;
	CHECK_ERRNO(ioctl(v.fd, HV_GET_REGS, 0x10), EINVAL);
	CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, 0x10), EINVAL);
	vcpu_sync(&v, 4);
	vcpu_done(&v);
}

/* States that no processor can be in: EINVAL, and the vCPU is as it was. */
static void impossible_state(void)
{
	struct hv_sregs good, *s;
	struct hv_events events;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_regs, 0);
	vcpu_sync(&v, 1);
	vcpu_get(&v, HV_REGS_ALL);
	s = &v.run->sregs;
	good = *s;
	events = v.run->events;

#define REFUSED(change)                                                       \
	do {                                                                  \
		*s = good;                                                    \
		change;                                                       \
		CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_SREGS), EINVAL); \
		v.run->dirty = HV_REGS_SREGS;                                 \
		CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINVAL);                  \
		v.run->dirty = 0;                                             \
		vcpu_get(&v, HV_REGS_SREGS);                                  \
		CHECK(memcmp(s, &good, sizeof(good)) == 0);                   \
	} while (0)
	REFUSED(s->cr0 &= ~CR0_PE);
	REFUSED(s->cr0 |= CR0_NW);
	REFUSED(s->cr0 |= 1ull << 40);
	REFUSED(s->cr4 &= ~CR4_PAE);
	REFUSED(s->cr4 |= CR4_VMXE);
	REFUSED(s->cr4 |= 1ull << 31);
	REFUSED(s->efer &= ~EFER_LMA);
	REFUSED(s->efer |= EFER_SVME);
	REFUSED(s->efer |= 1ull << 40);
	REFUSED(s->xcr0 = 0);
	REFUSED(s->xcr0 = 5);
	REFUSED(s->xcr0 |= 1ull << 60);
	REFUSED(s->cr8 = 16);
	REFUSED(s->cr3 |= 1ull << 60);
	REFUSED(s->apic_base = 0xfed00900);
	REFUSED(s->fs.base = 0x8000000000000000);
	REFUSED(s->gdt.base = 0x8000000000000000);
	REFUSED(s->cs.ar |= HV_AR_DB);
	REFUSED(s->cs.pad[1] = 1);
	REFUSED(s->ds.ar |= 1u << 20);
#undef REFUSED

#define REFUSED(change)                                                        \
	do {                                                                   \
		v.run->events = events;                                        \
		change;                                                        \
		CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_EVENTS), EINVAL); \
	} while (0)
	REFUSED(v.run->events.mp_state = 17);
	REFUSED(v.run->events.exception = 0x80);
	REFUSED((v.run->events.exception = HV_EVENT_PENDING, v.run->events.exception_vector = 32));
	REFUSED((v.run->events.exception = HV_EVENT_PENDING, v.run->events.exception_vector = 2));
	REFUSED(v.run->events.interrupt = 0x10);
	REFUSED(v.run->events.shadow = 3);
	REFUSED(v.run->events.nmi_masked = 2);
	REFUSED(v.run->events.nmi_pending = 3);
	REFUSED(v.run->events.start = 4);
	REFUSED(v.run->events.debug_pending = 1u << 4);
	REFUSED(v.run->events.pad[2] = 1);
#undef REFUSED
	vcpu_sync(&v, 2);
}

/* Everything loaded is what is read back. */
static void round_trip(void)
{
	struct hv_run copy;
	struct vm vm;
	struct vcpu v, w;

	vm_long(&vm, &v, g_regs, 0);
	vcpu_sync(&v, 1);
	vcpu_get(&v, HV_REGS_ALL);
	for (unsigned int i = 0; i < HV_NR_GPRS; i++) {
		if (i != HV_RSP)
			v.run->gprs.r[i] = 0x1000000000000000 * i + i;
	}
	v.run->sregs.fs.base = 0x7ffff0000000;
	v.run->sregs.cr2 = 0x12345;
	v.run->sregs.cr8 = 3;
	v.run->dregs.dr[2] = 0x4444;
	v.run->dregs.dr6 = 0xffff0ff1;
	copy = *v.run;
	vcpu_init(&w, &vm, 1);
	w.run->gprs = copy.gprs;
	w.run->sregs = copy.sregs;
	w.run->sregs.apic_base &= ~0x100ull;
	w.run->dregs = copy.dregs;
	w.run->events = copy.events;
	vcpu_set(&w, HV_REGS_ALL);
	memset(&w.run->gprs, 0, sizeof(copy.gprs));
	memset(&w.run->sregs, 0, sizeof(copy.sregs));
	memset(&w.run->dregs, 0, sizeof(copy.dregs));
	memset(&w.run->events, 0xff, sizeof(copy.events));
	vcpu_get(&w, HV_REGS_ALL);
	CHECK(memcmp(&w.run->gprs, &copy.gprs, sizeof(copy.gprs)) == 0);
	copy.sregs.apic_base &= ~0x100ull;
	CHECK(memcmp(&w.run->sregs, &copy.sregs, sizeof(copy.sregs)) == 0);
	CHECK(memcmp(&w.run->dregs, &copy.dregs, sizeof(copy.dregs)) == 0);
	CHECK(memcmp(&w.run->events, &copy.events, sizeof(copy.events)) == 0);
	/* The copy goes on where the original was: at its OUT, whose completion is not part of it. */
	vcpu_sync(&v, 2);
}

/*
 * Every part of every segment is its own, and all that is in SREGS beside them. Limits agree with G, which
 * VT-x would put right.
 */
static void segments_apart(void)
{
	static const struct hv_segment want[] = {
		{0x10001000, 0x1f111fff, 0xa0fb, 0x0b, {0}}, /* CS: 64-bit code of ring 3 */
		{0x20002000, 0x0000f222, 0x50f3, 0x13, {0}}, /* DS: AVL, 32 bits */
		{0x30003000, 0x3f333fff, 0x80f1, 0x1b, {0}}, /* ES: in pages */
		{0x40004000, 0x0000f444, 0x10f7, 0x23, {0}}, /* FS */
		{0x50005000, 0x5f555fff, 0xd0f3, 0x2b, {0}}, /* GS */
		{0x60006000, 0x6f666fff, 0xc0f3, 0x33, {0}}, /* SS */
		{0x70007000, 0x0000f777, 0x108b, 0x38, {0}}, /* TR: busy */
		{0x80008000, 0x0000f888, 0x1082, 0x40, {0}}, /* LDT */
	};
	struct hv_segment *at[ARRAY_SIZE(want)];
	struct hv_sregs *s, loaded;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_regs, 0);
	vcpu_get(&v, HV_REGS_SREGS);
	s = &v.run->sregs;
	at[0] = &s->cs, at[1] = &s->ds, at[2] = &s->es, at[3] = &s->fs;
	at[4] = &s->gs, at[5] = &s->ss, at[6] = &s->tr, at[7] = &s->ldt;
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++)
		*at[i] = want[i];
	s->gdt = (struct hv_dtable){.base = 0x90009000, .limit = 0x999};
	s->idt = (struct hv_dtable){.base = 0xa000a000, .limit = 0xaaa};
	s->cr2 = 0x123456789abc;
	s->cr3 = GUEST_PML4 | 0x18;
	s->cr8 = 9;
	loaded = *s;
	vcpu_set(&v, HV_REGS_SREGS);
	memset(s, 0xee, sizeof(*s));
	vcpu_get(&v, HV_REGS_SREGS);
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++) {
		if (memcmp(at[i], &want[i], sizeof(want[i])))
			test_fail("segment %u is %#llx, %#x, %#x, %#x", i,
				  (unsigned long long)at[i]->base, at[i]->limit, at[i]->ar,
				  at[i]->selector);
	}
	CHECK(memcmp(s, &loaded, sizeof(loaded)) == 0);
	/* FS and GS are MSRs as well. */
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_FS_BASE), 0x40004000);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_GS_BASE), 0x50005000);
	vcpu_set_msr(&v, G_MSR_FS_BASE, 0x7fff40004000);
	vcpu_set_msr(&v, G_MSR_GS_BASE, 0x7fff50005000);
	vcpu_get(&v, HV_REGS_SREGS);
	loaded.fs.base = 0x7fff40004000;
	loaded.gs.base = 0x7fff50005000;
	CHECK(memcmp(s, &loaded, sizeof(loaded)) == 0);
}

/* ---- Signals ---- */

static volatile sig_atomic_t caught;
/* The one that is not to run again after the signal, wherever that struck. */
static struct hv_run *stopped;

static void on_signal(int number)
{
	(void)number;
	caught++;
	if (stopped)
		stopped->immediate_exit = 1;
}

static void catch_signal(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
}

static volatile uint64_t spins;

static GUEST void g_spin_forever(uint64_t arg)
{
	(void)arg;
	for (;;)
		spins++;
}

static GUEST void g_halt_forever(uint64_t arg)
{
	(void)arg;
	for (;;)
		asm volatile("cli; hlt");
}

static void immediate_exit(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_spin_forever, 0);
	v.run->immediate_exit = 1;
	CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINTR);
	CHECK_EQ(v.run->exit_reason, HV_EXIT_SIGNAL);
}

/* Whom to interrupt, and in which VM's guest it will be. */
struct poker {
	pthread_t target;
	pid_t tid;
	struct vm *vm;
};

/* Asleep in HV_RUN, its only ioctl there; or in the guest, which then counts. */
static bool in_run(const struct poker *p)
{
	uint64_t before = guest_var(p->vm, spins);
	char path[64], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", p->tid);
	f = fopen(path, "r");
	CHECK(f != NULL);
	CHECK(fgets(text, sizeof(text), f) != NULL);
	fclose(f);
	if (strncmp(text, "running", 7) != 0)
		return atoi(text) == SYS_ioctl;
	sleep_ns(MSEC);
	return guest_var(p->vm, spins) != before;
}

static void *poke_thread(void *arg)
{
	struct poker *p = arg;

	while (!in_run(p))
		sleep_ns(MSEC);
	pthread_kill(p->target, SIGUSR1);
	return NULL;
}

static void interrupted(void (*fn)(uint64_t))
{
	struct vm vm;
	struct poker p = {pthread_self(), gettid(), &vm};
	pthread_t thread;
	struct vcpu v;

	catch_signal();
	vm_long(&vm, &v, fn, 0);
	vcpu_interruptible(&v);
	stopped = v.run;
	for (int i = 1; i <= 3; i++) {
		v.run->immediate_exit = 0;
		CHECK_EQ(pthread_create(&thread, NULL, poke_thread, &p), 0);
		CHECK_ERRNO(vcpu_try_run(&v), EINTR);
		CHECK_EQ(v.run->exit_reason, HV_EXIT_SIGNAL);
		CHECK_EQ(v.run->valid & HV_REGS_GPR, HV_REGS_GPR);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(caught, i);
	}
}

static void signal_spinning(void)
{
	interrupted(g_spin_forever);
}

static void signal_halted(void)
{
	interrupted(g_halt_forever);
}

/* An AP that nobody starts waits, and can be interrupted. */
static void signal_uninit(void)
{
	struct vm vm;
	struct poker p = {pthread_self(), gettid(), &vm};
	pthread_t thread;
	struct vcpu v;

	catch_signal();
	vm_init(&vm);
	vcpu_init(&v, &vm, 1);
	stopped = v.run;
	CHECK_EQ(pthread_create(&thread, NULL, poke_thread, &p), 0);
	CHECK_ERRNO(vcpu_try_run(&v), EINTR);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(caught, 1);
}

/* A signal that came before the call is not lost when it is unblocked by then. */
static void signal_flood(void)
{
	struct itimerspec every = {{0, 500000}, {0, 500000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct vm vm;
	struct vcpu v;
	timer_t timer;

	catch_signal();
	vm_long(&vm, &v, g_spin_forever, 0);
	vcpu_interruptible(&v);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &every, NULL));
	for (unsigned int i = 0; i < 1000; i++)
		CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINTR);
	timer_delete(timer);
}

/*
 * Work that the kernel has for the thread at its return to user space ends the call without a
 * signal: here it is to see that a timer has expired, whose signal is ignored.
 */
static void kernel_work(void)
{
	struct itimerspec soon = {.it_value = {.tv_nsec = 20000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct vm vm;
	struct vcpu v;
	timer_t timer;

	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	vm_long(&vm, &v, g_spin_forever, 0);
	vcpu_interruptible(&v);
	CHECK_OK(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_OK(timer_settime(timer, 0, &soon, NULL));
		CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EINTR);
		CHECK_EQ(v.run->exit_reason, HV_EXIT_SIGNAL);
	}
}

/* ---- Vector registers ---- */

static uint8_t guest_in[IMAGE], guest_out[IMAGE];
static double x87_in[8], x87_out[8];
static volatile uint32_t use_avx, rounds;

static GUEST bool same(const volatile uint8_t *a, const volatile uint8_t *b, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

/* Keep a pattern of this vCPU's own in every register over exits of all kinds. */
static GUEST void g_vectors(uint64_t seed)
{
	for (unsigned int i = 0; i < IMAGE; i++)
		guest_in[i] = (uint8_t)(seed + 7 * i);
	for (unsigned int i = 0; i < 8; i++)
		((uint64_t *)x87_in)[i] = 0x4000000000000000 + (seed << 40) + i;
	vector_fill(guest_in, (int)use_avx);
	x87_fill(x87_in);
	for (uint32_t i = 0; i < rounds; i++) {
		guest_sync(i);
		guest_cpuid(0, 0);
		vector_store(guest_out, (int)use_avx);
		for (unsigned int n = 0; n < 16; n++)
			G_CHECK(same(guest_in + 32 * n, guest_out + 32 * n, use_avx ? 32 : 16));
		/* Time for the host to take the CPU away. */
		for (unsigned int n = 0; n < 20000; n++)
			asm volatile("");
		vector_store(guest_out, (int)use_avx);
		for (unsigned int n = 0; n < 16; n++)
			G_CHECK(same(guest_in + 32 * n, guest_out + 32 * n, use_avx ? 32 : 16));
	}
	x87_store(x87_out);
	G_CHECK(same((uint8_t *)x87_in, (uint8_t *)x87_out, 64));
}

static bool have_avx(void)
{
	return hv_caps().xcr0 & 4;
}

/* The host's own registers over HV_RUN, while the guest has others in them. */
static void vectors_host(void)
{
	uint8_t in[IMAGE + 16], out[IMAGE + 16];
	struct vm vm;
	struct vcpu v;
	long r;

	if (!have_avx())
		test_skip("no AVX on this host");
	use_avx = 1;
	rounds = 200;
	vm_long(&vm, &v, g_vectors, 3);
	for (uint32_t i = 0; i <= rounds; i++) {
		for (unsigned int n = 0; n < IMAGE; n++)
			in[n] = (uint8_t)(i + 3 * n);
		*(uint32_t *)(in + 512) = i & 1 ? 0x1f80 : 0x5f80;
		*(uint16_t *)(in + 516) = i & 1 ? 0x37f : 0x27f;
		*(double *)(in + 520) = 1.0 + i;
		/* EINTR without a signal of ours: the kernel had work for this thread. */
		do
			r = vector_syscall(SYS_ioctl, v.fd, HV_RUN, 0, in, out);
		while (r == -EINTR);
		CHECK_EQ(r, 0);
		CHECK(memcmp(in, out, IMAGE) == 0);
		CHECK_EQ(*(uint32_t *)(out + 512), *(uint32_t *)(in + 512));
		CHECK_EQ(*(uint16_t *)(out + 516), *(uint16_t *)(in + 516));
		CHECK_EQ(*(uint64_t *)(out + 520), *(uint64_t *)(in + 520));
		CHECK_EQ(v.run->exit_reason, HV_EXIT_PIO);
		if (v.run->exit.pio.port == PORT_FAIL)
			test_fail("the guest's registers changed, round %u", i);
	}
	CHECK_EQ(v.run->exit.pio.port, PORT_DONE);
}

static void vectors_sse(void)
{
	struct vm vm;
	struct vcpu v;

	use_avx = 0;
	rounds = 50;
	vm_long(&vm, &v, g_vectors, 5);
	for (uint32_t i = 0; i < rounds; i++)
		vcpu_sync(&v, i);
	vcpu_done(&v);
}

static void *vector_vcpu(void *arg)
{
	struct vcpu *v = arg;

	bind_to_cpu(0);
	for (uint32_t i = 0; i < rounds; i++)
		vcpu_sync(v, i);
	vcpu_done(v);
	return NULL;
}

static volatile bool vectors_over;

/* A host thread with registers of its own on the same CPU. */
static void *vector_host(void *arg)
{
	uint8_t in[IMAGE], out[IMAGE];

	bind_to_cpu(0);
	for (unsigned int i = 0; !vectors_over; i++) {
		memset(in, (int)i, sizeof(in));
		vector_fill(in, 1);
		for (unsigned int n = 0; n < 20000; n++)
			asm volatile("");
		vector_store(out, 1);
		CHECK(memcmp(in, out, sizeof(in)) == 0);
	}
	return arg;
}

/* Two vCPUs of two VMs and a host thread take turns on one CPU. */
static void vectors_preempted(void)
{
	pthread_t thread[3];
	struct vm vm[2];
	struct vcpu v[2];

	if (!have_avx())
		test_skip("no AVX on this host");
	use_avx = 1;
	rounds = 1000;
	for (unsigned int i = 0; i < 2; i++) {
		vm_long(&vm[i], &v[i], g_vectors, 11 + i);
		CHECK_EQ(pthread_create(&thread[i], NULL, vector_vcpu, &v[i]), 0);
	}
	CHECK_EQ(pthread_create(&thread[2], NULL, vector_host, NULL), 0);
	vcpu_join(thread[0]);
	vcpu_join(thread[1]);
	vectors_over = true;
	vcpu_join(thread[2]);
}

static GUEST void g_xsave(uint64_t avx)
{
	static uint8_t pattern[IMAGE];

	for (unsigned int i = 0; i < IMAGE; i++)
		pattern[i] = (uint8_t)(0x30 + i);
	vector_fill(pattern, (int)avx);
	guest_sync(1);
	/* The host has changed XMM1 and, with AVX, the upper half of YMM2. */
	for (unsigned int i = 0; i < 16; i++)
		pattern[32 + i] = 0xcc;
	for (unsigned int i = 0; avx && i < 16; i++)
		pattern[64 + 16 + i] = 0xdd;
	vector_store(guest_out, (int)avx);
	for (unsigned int n = 0; n < 16; n++)
		G_CHECK(same(pattern + 32 * n, guest_out + 32 * n, avx ? 32 : 16));
}

static int xsave_call(struct vcpu *v, unsigned long call, void *buffer, uint32_t len)
{
	struct hv_xsave x = {.len = len, .buffer = (uintptr_t)buffer};

	return ioctl(v->fd, call, &x);
}

/* The standard format: Intel SDM Vol. 1, "XSAVE Area". */
static void xsave_image(void)
{
	uint32_t size = hv_caps().xsave_size;
	bool avx = have_avx();
	struct vm vm;
	struct vcpu v;
	uint8_t *image = aligned_alloc(64, (size + 127) & ~63u);
	uint64_t *bitmap = (uint64_t *)(image + 512);

	CHECK(size >= 576 && size <= 65536);
	vm_long(&vm, &v, g_xsave, avx);
	/* As power-up leaves it. */
	CHECK_EQ(xsave_call(&v, HV_GET_XSAVE, image, size), 0);
	CHECK_EQ(*(uint16_t *)image, 0x37f);
	CHECK_EQ(*(uint32_t *)(image + 24), 0x1f80);
	CHECK_EQ(bitmap[0], 3);
	for (uint32_t i = 0; i < size; i++)
		CHECK(image[i] == 0 || i < 2 || (i >= 24 && i < 32) || i == 512);
	vcpu_sync(&v, 1);
	memset(image, 0xff, size);
	CHECK_EQ(xsave_call(&v, HV_GET_XSAVE, image, size), 0);
	CHECK_EQ(bitmap[0] & 2, 2);
	CHECK_EQ(bitmap[1], 0);
	for (unsigned int n = 0; n < 16; n++) {
		for (unsigned int i = 0; i < 16; i++)
			CHECK_EQ(image[160 + 16 * n + i], (uint8_t)(0x30 + 32 * n + i));
	}
	/* Images that XRSTOR would refuse. */
	bitmap[1] = 1ull << 63;
	CHECK_ERRNO(xsave_call(&v, HV_SET_XSAVE, image, size), EINVAL);
	bitmap[1] = 0;
	bitmap[0] |= 1ull << 62;
	CHECK_ERRNO(xsave_call(&v, HV_SET_XSAVE, image, size), EINVAL);
	bitmap[0] &= 7;
	bitmap[3] = 1;
	CHECK_ERRNO(xsave_call(&v, HV_SET_XSAVE, image, size), EINVAL);
	bitmap[3] = 0;
	*(uint32_t *)(image + 24) |= 0xffff0000;
	CHECK_ERRNO(xsave_call(&v, HV_SET_XSAVE, image, size), EINVAL);
	*(uint32_t *)(image + 24) = 0x1f80;
	CHECK_ERRNO(xsave_call(&v, HV_SET_XSAVE, image, size - 1), EINVAL);
	CHECK_ERRNO(xsave_call(&v, HV_GET_XSAVE, image, size - 1), EINVAL);
	memset(image + 160 + 16, 0xcc, 16);
	if (avx)
		memset(image + 576 + 32, 0xdd, 16);
	CHECK_EQ(xsave_call(&v, HV_SET_XSAVE, image, size), 0);
	vcpu_done(&v);
}

/* ---- MSRs by the host ---- */

static GUEST void g_msr_values(uint64_t arg)
{
	(void)arg;
	wrmsr(G_MSR_LSTAR, 0x123456);
	wrmsr(G_MSR_KERNEL_GS, 0x7fff00000000);
	guest_sync(1);
	G_CHECK_EQ(rdmsr(G_MSR_LSTAR), 0xffff800000001000);
	G_CHECK_EQ(rdmsr(G_MSR_STAR), 0x0023001000000000);
	G_CHECK_EQ(rdmsr(G_MSR_PAT), 0x0007040600070406);
}

static void msr_access(void)
{
	struct hv_msr_entry e[4] = {{.index = G_MSR_LSTAR},
				    {.index = G_MSR_KERNEL_GS},
				    {.index = 0xdeadbeef},
				    {.index = G_MSR_PAT}};
	struct hv_msrs msrs = {.count = 4, .entries = (uintptr_t)e};
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_msr_values, 0);
	vcpu_sync(&v, 1);
	/* As many as can be read, up to the first that cannot. */
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_GET_MSRS, &msrs)), 2);
	CHECK_EQ(e[0].value, 0x123456);
	CHECK_EQ(e[1].value, 0x7fff00000000);
	e[0].value = 0xffff800000001000;
	e[1] = (struct hv_msr_entry){.index = G_MSR_STAR, .value = 0x0023001000000000};
	e[2] = (struct hv_msr_entry){.index = G_MSR_PAT, .value = 0x0007040600070406};
	e[3] = (struct hv_msr_entry){.index = G_MSR_LSTAR, .value = 0x8000000000000000};
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_SET_MSRS, &msrs)), 3);
	/* A mask of 32 bits. */
	e[0] = (struct hv_msr_entry){.index = G_MSR_SFMASK, .value = 0x100000200};
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_SET_MSRS, &msrs)), 0);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_STAR), 0x0023001000000000);
	msrs.count = 0;
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_GET_MSRS, &msrs)), 0);
	vcpu_done(&v);
}

/* Every MSR that is state keeps a value of its own. */
static void msrs_apart(void)
{
	uint32_t indices[256];
	struct hv_msr_list list = {.count = ARRAY_SIZE(indices), .indices = (uintptr_t)indices};
	struct hv_msr_entry e[256], again[256];
	struct hv_msrs msrs = {.entries = (uintptr_t)e};
	static const uint8_t types[] = {6, 5, 4, 1, 0};
	int fd = hv_open();
	struct vm vm;
	struct vcpu v;

	/* How much room it takes is said where there is too little. */
	list.count = 3;
	CHECK_ERRNO(ioctl(fd, HV_GET_MSR_LIST, &list), E2BIG);
	CHECK(list.count > 40 && list.count < ARRAY_SIZE(indices));
	indices[3] = 0x5a5a5a5a;
	CHECK_OK(ioctl(fd, HV_GET_MSR_LIST, &list));
	CHECK(indices[3] != 0x5a5a5a5a);
	vm_long(&vm, &v, g_regs, 0);
	for (uint32_t i = 0; i < list.count; i++) {
		uint64_t own = 0x1000ull * (i + 1);

		CHECK(i == 0 || indices[i] > indices[i - 1]);
		if (indices[i] == G_MSR_PAT || (indices[i] >= 0x250 && indices[i] <= 0x26f))
			own = types[i % 5] | (uint64_t)types[i / 5 % 5] << 8 | 0x0606060606060000;
		else if (indices[i] == 0x1a0)
			own = 0x1808;
		else if (indices[i] == 0x2ff)
			own = 0xc05;
		else if (indices[i] == G_MSR_WALL_CLOCK || indices[i] == G_MSR_SYSTEM_TIME)
			own = 0; /* clock.c */
		e[i] = (struct hv_msr_entry){.index = indices[i], .value = own};
	}
	msrs.count = list.count;
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_SET_MSRS, &msrs)), list.count);
	memcpy(again, e, sizeof(e));
	for (uint32_t i = 0; i < list.count; i++)
		again[i].value = 0x5a5a5a5a;
	msrs.entries = (uintptr_t)again;
	CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_GET_MSRS, &msrs)), list.count);
	for (uint32_t i = 0; i < list.count; i++) {
		if (again[i].value != e[i].value)
			test_fail("MSR %#x is %#llx, not %#llx", e[i].index,
				  (unsigned long long)again[i].value,
				  (unsigned long long)e[i].value);
	}
}

/* ---- The caller's own registers ---- */

static GUEST void g_two_steps(uint64_t arg)
{
	(void)arg;
	guest_sync(1);
	guest_sync(2);
}

static uint16_t get_es(void)
{
	uint16_t selector;

	asm volatile("mov %%es, %0" : "=r"(selector));
	return selector;
}

/* A segment of the process's own descriptor table is there after HV_RUN as it was before. */
static void ldt_segment(void)
{
	struct user_desc d = {
		.limit = 0xfffff,
		.seg_32bit = 1,
		.limit_in_pages = 1,
		.useable = 1,
	};
	uint16_t was = get_es();
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_two_steps, 0);
	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		test_skip("no local descriptor tables on this kernel");
	asm volatile("mov %0, %%es" : : "r"((uint16_t)7));
	vcpu_sync(&v, 1);
	CHECK_EQ(get_es(), 7);
	vcpu_sync(&v, 2);
	CHECK_EQ(get_es(), 7);
	asm volatile("mov %0, %%es" : : "r"(was));
	vcpu_done(&v);
}

/* ---- HV_RESET ---- */

static GUEST void g_before_reset(uint64_t arg)
{
	wrmsr(G_MSR_TSC_ADJUST, 1ull << 40);
	asm volatile("mov %0, %%dr2" : : "r"(0x1234ul));
	asm volatile("movq %0, %%xmm3" : : "r"(arg));
	guest_sync(1);
}

/* Whatever can be told of it is as in one that was just created, and so it works. */
static void reset(void)
{
	static struct vcpu_state fresh[2];
	struct hv_msr_list list = {.count = HV_MAX_MSRS};
	uint32_t index[HV_MAX_MSRS];
	unsigned int written = 0;
	struct vcpu v[2];
	struct vm vm;

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_save(&v[i], &fresh[i]);
	}
	vcpu_long(&v[0], g_before_reset, 1);
	vcpu_x2apic_on(&v[0]);
	vcpu_out(&v[0], PORT_SYNC);
	list.indices = (uintptr_t)index;
	CHECK_OK(ioctl(hv_open(), HV_GET_MSR_LIST, &list));
	for (uint32_t i = 0; i < list.count; i++) {
		struct hv_msr_entry e = {.index = index[i], .value = 0x1806};
		struct hv_msrs m = {.count = 1, .entries = (uintptr_t)&e};

		written += (unsigned int)CHECK_OK(ioctl(v[0].fd, HV_SET_MSRS, &m));
	}
	CHECK(written >= 10);
	vcpu_get(&v[0], HV_REGS_EVENTS);
	v[0].run->events.exception = HV_EVENT_PENDING;
	v[0].run->events.exception_vector = 6;
	v[0].run->events.nmi_masked = 1;
	v[0].run->events.shadow = HV_SHADOW_STI;
	vcpu_set(&v[0], HV_REGS_EVENTS);
	for (unsigned int i = 0; i < 2; i++) {
		const struct hv_msi init = {.addr = 0xfee00000 | i << 12, .data = 0x4500};

		vm_msi(&vm, i, 0x77);
		CHECK_OK(ioctl(v[i].fd, HV_NMI, 0));
		CHECK_OK(ioctl(v[i].fd, HV_NMI, 0));
		CHECK_OK(ioctl(vm.fd, HV_SIGNAL_MSI, &init));
	}
	CHECK_ERRNO(ioctl(v[0].fd, HV_RESET, 1), EINVAL);
	for (unsigned int i = 0; i < 2; i++) {
		CHECK_OK(ioctl(v[i].fd, HV_RESET, 0));
		vcpu_check_loaded(&v[i], &fresh[i]);
	}
	/* The instruction that waited to be completed does so no more. */
	vcpu_complete(&v[0]);
	vcpu_check_loaded(&v[0], &fresh[0]);
	vcpu_long(&v[0], g_before_reset, 1);
	vcpu_sync(&v[0], 1);
}

static const struct test tests[] = {
	{"wanted_valid_dirty", wanted_valid_dirty, 0},
	{"impossible_state", impossible_state, 0},
	{"round_trip", round_trip, 0},
	{"segments_apart", segments_apart, 0},
	{"immediate_exit", immediate_exit, 0},
	{"signal_spinning", signal_spinning, 0},
	{"signal_halted", signal_halted, 0},
	{"signal_uninit", signal_uninit, 0},
	{"signal_flood", signal_flood, 0},
	{"kernel_work", kernel_work, 0},
	{"vectors_sse", vectors_sse, 0},
	{"vectors_host", vectors_host, 0},
	{"vectors_preempted", vectors_preempted, 60},
	{"xsave_image", xsave_image, 0},
	{"msr_access", msr_access, 0},
	{"msrs_apart", msrs_apart, 0},
	{"ldt_segment", ldt_segment, 0},
	{"reset", reset, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
