// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * More than one vCPU: IPIs of every kind between them, and the start of a processor
 * by INIT and SIPI. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

static volatile uint32_t turn;

static GUEST void g_ping_pong(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t rounds = (uint32_t)arg >> 8, peer = c->id ^ 1;

	guest_apic_enable(arg & 1);
	__atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST);
	while (turn < 2)
		guest_pause();
	for (uint32_t i = 1; i <= rounds; i++) {
		if (c->id == 0)
			guest_apic_send(peer, 0x4061);
		while (c->count[0x61] < i)
			guest_wait();
		if (c->id == 1)
			guest_apic_send(peer, 0x4061);
	}
}

static void ping_pong(bool x2apic, uint32_t rounds)
{
	struct vm vm;
	struct vcpu v[2];

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_ping_pong, rounds << 8 | x2apic);
	}
	vcpus_run(v, 2);
	CHECK_EQ(guest_var(&vm, guest_cpus[0]).count[0x61], rounds);
}

static void ipi(void)
{
	ping_pong(true, 300);
}

static void ipi_xapic(void)
{
	ping_pong(false, 300);
}

static volatile uint32_t ready;

static GUEST void g_ipi_kinds(uint64_t cpus)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t ldr;

	guest_apic_enable(true);
	guest_sti();
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	if (c->id) {
		/* Of each kind one; NMI last. */
		while (c->count[0x62] + c->count[0x63] + c->count[0x64] < 3 || !c->count[2])
			guest_pause();
		__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
		return;
	}
	while (ready < cpus)
		guest_pause();
	guest_apic_send(0, 0xc4062);	     /* all but self */
	guest_apic_send(0xffffffff, 0x4063); /* broadcast, self included */
	ldr = rdmsr(G_MSR_X2APIC + 0xd);
	G_CHECK_EQ(ldr, 1);
	guest_apic_send(0x0e, 0x4864); /* logical: cluster 0, members 1 to 3 */
	for (uint32_t i = 1; i < cpus; i++) {
		while (guest_cpus[i].count[0x64] == 0)
			guest_pause();
		guest_apic_send(i, 0x4400); /* NMI */
	}
	while (ready < 2 * cpus - 1)
		guest_pause();
	G_CHECK_EQ(c->count[0x62], 0);
	G_CHECK_EQ(c->count[0x63], 1);
	G_CHECK_EQ(c->count[0x64], 0);
	guest_apic_send(0, 0x84065); /* all, self included */
	while (c->count[0x65] == 0)
		guest_pause();
	guest_apic_send(0, 0x44066); /* self */
	asm volatile("nop");
	G_CHECK_EQ(c->count[0x66], 1);
}

static void ipi_kinds(void)
{
	struct vm vm;
	struct vcpu v[4];

	vm_init(&vm);
	for (unsigned int i = 0; i < 4; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_ipi_kinds, 4);
	}
	vcpus_run(v, 4);
}

static volatile uint32_t started, parked;

static GUEST void g_ap(uint64_t id)
{
	G_CHECK_EQ(id, 1);
	G_CHECK_EQ(rdmsr(G_MSR_APIC_BASE) & 0x100, 0);
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
}

static GUEST void g_bsp(uint64_t x2apic)
{
	uint64_t start;

	guest_apic_enable(x2apic);
	for (uint32_t i = 1; i <= 3; i++) {
		guest_apic_send(1, 0x4500);
		guest_apic_send(1, 0x8500); /* level de-assert: ignored */
		start = guest_rdtsc();
		while (guest_elapsed_us(start) < 10000)
			guest_pause();
		guest_apic_send(1, 0x4600 | GUEST_LOW >> 12);
		while (started < i)
			guest_pause();
		/* A second SIPI finds nobody waiting. */
		guest_apic_send(1, 0x4600 | GUEST_LOW >> 12);
		start = guest_rdtsc();
		while (guest_elapsed_us(start) < 20000)
			guest_pause();
		G_CHECK_EQ(started, i);
		/* The next INIT must not come before the end of this start. */
		while (parked < i)
			guest_pause();
	}
}

static void *run_ap(void *arg)
{
	struct vcpu *ap = arg;

	/* Each start ends in the loop of CLI and HLT behind guest_return. */
	for (unsigned int i = 0; i < 3; i++) {
		vcpu_done(ap);
		guest_var(ap->vm, parked) = i + 1;
	}
	return NULL;
}

static void start_ap(bool x2apic)
{
	struct vm vm;
	struct vcpu v, ap;
	pthread_t thread, ap_thread;

	vm_long(&vm, &v, g_bsp, x2apic);
	vm_load_start16(&vm, GUEST_LOW, 2, g_ap);
	vcpu_init(&ap, &vm, 1);
	CHECK_EQ(pthread_create(&ap_thread, NULL, run_ap, &ap), 0);
	thread = vcpu_start(&v);
	vcpu_join(thread);
	vcpu_join(ap_thread);
	CHECK_EQ(guest_var(&vm, started), 3);
}

static void init_sipi(void)
{
	start_ap(true);
}

static void init_sipi_xapic(void)
{
	start_ap(false);
}

/* ---- What came and was not taken ---- */

#define STEP_INIT    0x4500u
#define STEP_SIPI(n) (0x4600u | (n))

static GUEST void g_send_starts(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_apic_send(1, STEP_INIT);
	guest_apic_send(1, STEP_SIPI(0x21));
	guest_apic_send(1, STEP_SIPI(0x22));
	guest_sync(1);
	guest_apic_send(1, STEP_INIT);
	guest_sync(2);
	guest_apic_send(1, STEP_SIPI(0x23));
	guest_sync(3);
}

static void check_start(struct vcpu *ap, uint8_t start, uint8_t vector)
{
	vcpu_get(ap, HV_REGS_EVENTS);
	CHECK_EQ(ap->run->events.start, start);
	CHECK_EQ(ap->run->events.sipi_vector, vector);
}

static void load_start(struct vcpu *ap, uint8_t start, uint8_t vector)
{
	ap->run->events.start = start;
	ap->run->events.sipi_vector = vector;
	vcpu_set(ap, HV_REGS_EVENTS);
}

/* INIT and SIPIs for a vCPU that is in no HV_RUN. A SIPI behind another finds nobody waiting. */
static void start_pending(void)
{
	struct vm vm;
	struct vcpu v, ap;

	vm_long(&vm, &v, g_send_starts, 0);
	vcpu_init(&ap, &vm, 1);
	vcpu_sync(&v, 1);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x21);
	/* An INIT cancels the SIPI before it. */
	vcpu_sync(&v, 2);
	check_start(&ap, HV_START_INIT, 0);
	vcpu_sync(&v, 3);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x23);
	vcpu_done(&v);
}

/* The group is loaded as it was before others sent more: that remains. */
static void start_loaded(void)
{
	struct vm vm;
	struct vcpu v, ap;

	vm_long(&vm, &v, g_send_starts, 0);
	vcpu_init(&ap, &vm, 1);
	vcpu_get(&ap, HV_REGS_EVENTS);
	/* Into what has none: a SIPI alone, and again; an INIT takes the place of it. */
	load_start(&ap, HV_START_SIPI, 0x31);
	check_start(&ap, HV_START_SIPI, 0x31);
	load_start(&ap, HV_START_SIPI, 0x31);
	check_start(&ap, HV_START_SIPI, 0x31);
	vcpu_sync(&v, 1);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x21);
	load_start(&ap, 0, 0);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x21);
	vcpu_sync(&v, 2);
	load_start(&ap, HV_START_SIPI, 0x21);
	check_start(&ap, HV_START_INIT, 0);
	load_start(&ap, HV_START_INIT | HV_START_SIPI, 0x21);
	check_start(&ap, HV_START_INIT, 0);
	vcpu_sync(&v, 3);
	load_start(&ap, HV_START_INIT, 0);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x23);
	vcpu_done(&v);
	vcpu_init(&ap, &vm, 2);
	vcpu_get(&ap, HV_REGS_EVENTS);
	load_start(&ap, HV_START_SIPI, 0x31);
	load_start(&ap, HV_START_INIT | HV_START_SIPI, 0x32);
	check_start(&ap, HV_START_INIT | HV_START_SIPI, 0x32);
}

/* ---- A vCPU that spins ---- */

#define EXITS_FILE "/sys/kernel/debug/hv/exits"

/* Exits by PAUSE of this process's vCPUs so far. */
static uint64_t pause_exits(void)
{
	FILE *f = fopen(EXITS_FILE, "r");
	unsigned long long sum = 0, n;
	char line[1024];
	const char *at;
	int pid;

	if (!f)
		test_skip("no %s", EXITS_FILE);
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, " pause=");
		CHECK(at);
		if (sscanf(line, "pid=%d", &pid) == 1 && pid == getpid() &&
		    sscanf(at, " pause=%llu", &n) == 1)
			sum += n;
	}
	fclose(f);
	return sum;
}

/* AMD-V's pause filter, or VT-x's PAUSE-loop exiting. */
static bool counts_pauses(void)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char word[128];
	bool found = false;

	CHECK(f);
	while (!found && fscanf(f, "%127s", word) == 1)
		found = strcmp(word, "pausefilter") == 0 || strcmp(word, "ple") == 0;
	fclose(f);
	return found;
}

static GUEST void g_spin(uint64_t pauses)
{
	struct guest_cpu *c = guest_cpu();

	for (uint64_t i = 0; i < pauses; i++)
		guest_pause();
	/* PAUSE exits, and is then as if it had not. */
	G_CHECK_EQ(G_TRY("pause", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(c->count[1], 0);
}

static void spin_exits(void)
{
	struct vm vm;
	struct vcpu v;

	if (!counts_pauses())
		test_skip("the processor has neither pause filter nor PAUSE-loop exiting");
	vm_long(&vm, &v, g_spin, 300000);
	vcpu_done(&v);
	CHECK(pause_exits() > 2);
}

/* Whose turn it is to add one: the vCPU whose id is its lowest bit. */
static volatile uint32_t baton;

#define HANDOVERS 200u

static GUEST void g_baton(uint64_t arg)
{
	uint32_t id = guest_cpu()->id;

	(void)arg;
	while (baton < HANDOVERS) {
		if ((baton & 1) == id)
			baton++;
		else
			guest_pause();
	}
}

/* Two that wait for each other on one CPU: each must let the other go, not spend its time slice. */
static void spin_yields(void)
{
	struct vm vm;
	struct vcpu v[2];
	int cpu = sched_getcpu();

	CHECK(cpu >= 0);
	bind_to_cpu(cpu);
	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_baton, 0);
	}
	vcpus_run(v, 2);
	CHECK_EQ(guest_var(&vm, baton), HANDOVERS);
	if (!counts_pauses())
		return;
	/* One for each turn if it yields; a whole time slice has many. */
	CHECK(pause_exits() >= HANDOVERS / 2);
	CHECK(pause_exits() < 3 * HANDOVERS);
}

static const struct test tests[] = {
	{"ipi", ipi, 60},
	{"ipi_xapic", ipi_xapic, 60},
	{"ipi_kinds", ipi_kinds, 60},
	{"init_sipi", init_sipi, 60},
	{"init_sipi_xapic", init_sipi_xapic, 60},
	{"start_pending", start_pending, 60},
	{"start_loaded", start_loaded, 60},
	{"spin_exits", spin_exits, 0},
	{"spin_yields", spin_yields, 60},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
