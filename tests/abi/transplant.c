// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A machine's state is complete: a guest of four vCPUs that uses timers, NMIs, IPIs, INIT and SIPI,
 * string I/O, device memory, HLT, single steps, shadows and task switches is stopped at random
 * moments. All its state is read, and in another process, with a copy of its memory, a new VM goes on
 * from there. What the guest computes must be the same as without. Run by "make check" in the test
 * host.
 *
 * HV_TRANSPLANTS in the environment says how often (the tests say how often without), HV_SEED what
 * the random numbers begin with. Which instructions a stop meets depends on the clock all the same.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/state.h"
#include "tests/lib/step.h"
#include "tests/lib/vm.h"
#include "vmm/emulate/task.h"

extern void vector_fill(const void *image, int avx);
extern void vector_store(void *image, int avx);

/* vCPUs: one leads, one answers, one is started anew in each round, and one is by itself. */
enum {
	BOSS,
	MATE,
	CHILD,
	SWITCHER, /* 32-bit, from task to task */
	CPUS
};

#define ROUNDS	   4
#define START_PAGE 0x10000ul /* of the child, in real mode */

/* Device memory: 64 bytes for each vCPU. Ports: one for single accesses, one for strings. */
#define DEVICE	   0xd0000000ul
#define PORT_WORD  0x620
#define PORT_BYTES 0x630

enum {
	VECTOR_TIMER = 0x41,
	VECTOR_TICK = 0x42,
	VECTOR_ERROR = 0x43,
	VECTOR_SELF = 0x51,
	VECTOR_PING = 0x61,
	VECTOR_PONG = 0x62,
};

#define ICR_NMI	     0x400u
#define ICR_INIT     0x500u
#define ICR_SIPI     0x600u
#define ICR_SELF     0x40000u
#define TIMER_MASKED 0x10000u
#define PERIODIC     0x20000u
#define DEADLINE     0x40000u

/* ------------------------------------------------------------------------- */
/* The guest                                                                  */

/* What it sees, in order and with the line of this file: the same in each run. */
#define NOTES 512
static struct outcome {
	uint32_t count[CPUS];
	struct note {
		uint64_t value, line;
	} note[CPUS][NOTES];
} outcome;

static volatile uint32_t timers, pings, pongs;

/* kvm-clock: pvclock_vcpu_time_info (Documentation/virt/kvm/x86/msr.rst). */
static struct pv_time {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
} __attribute__((packed, aligned(64))) pv_time;

/*
 * Bochs's VT-x (2.7) has a single step pending beside a #DB whose delivery met an EPT violation, and
 * takes it a second time when that is injected (against Intel SDM Vol. 3, 26.7.3).
 */
static volatile uint32_t no_steps;
static volatile uint32_t mate_listens;
static volatile uint32_t children; /* lives of the third vCPU */
static uint8_t vectors[512], vectors_now[512];
static uint8_t block[256];

/* A vCPU's TSC is apart from the others' by this. */
#define MATE_ADJUST 123456789ull

static volatile uint64_t message_tsc;

#define NOTE(value) take_note((uint64_t)(value), __LINE__)

static GUEST void take_note(uint64_t value, uint32_t line)
{
	uint32_t id = guest_cpu()->id, *count = &outcome.count[id];

	G_CHECK(*count < NOTES);
	outcome.note[id][*count].value = value;
	outcome.note[id][*count].line = line;
	*count += 1;
}

/* Until so many interrupts of this vector came, and no more. */
static GUEST void wait_for(uint8_t vector, uint32_t count)
{
	struct guest_cpu *c = guest_cpu();

	guest_cli();
	while (c->count[vector] < count)
		guest_wait();
	G_CHECK_EQ(c->count[vector], count);
}

static GUEST void use_strings(uint32_t round)
{
	uint64_t n, sum = 0;
	uint8_t *at;

	for (unsigned int i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 7 + round);
	at = block, n = 40;
	asm volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(PORT_BYTES) : "memory");
	NOTE((uint64_t)(at - block) + n);
	at = block, n = 10;
	asm volatile("rep insl" : "+D"(at), "+c"(n) : "d"(PORT_BYTES) : "memory");
	NOTE((uint64_t)(at - block) + n);
	asm volatile("insb" : "+D"(at) : "d"(PORT_BYTES) : "memory");
	at = block, n = 5;
	asm volatile("rep outsw" : "+S"(at), "+c"(n) : "d"(PORT_BYTES) : "memory");
	for (unsigned int i = 0; i < sizeof(block); i++)
		sum = sum * 31 + block[i];
	NOTE(sum);
}

static GUEST void use_device(uint32_t round)
{
	volatile uint8_t *base = (volatile uint8_t *)(DEVICE + 64 * guest_cpu()->id);
	uint64_t value;

	*(volatile uint64_t *)base = 0x1122334455667788 * (round + 1);
	*(volatile uint32_t *)(base + 8) = round;
	base[13] = 0x5a;
	NOTE(*(volatile uint64_t *)base);
	NOTE(*(volatile uint32_t *)(base + 8));
	asm volatile("movsbq 13(%1), %0" : "=r"(value) : "r"(base) : "memory");
	NOTE(value);
	asm volatile("movzwl 12(%1), %k0" : "=r"(value) : "r"(base) : "memory");
	NOTE(value);
	for (unsigned int i = 0; i < 4; i++) {
		outl(round * 3 + i, PORT_WORD);
		outb((uint8_t)i, PORT_WORD);
		NOTE(inl(PORT_WORD));
	}
}

static GUEST void use_timer(uint32_t round)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t ticks = c->count[VECTOR_TICK] + 3;

	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, VECTOR_TIMER);
	guest_apic_write(G_APIC_TIMER_INIT, 60000);
	wait_for(VECTOR_TIMER, ++timers);
	G_CHECK_EQ(guest_apic_read(G_APIC_TIMER_CURRENT), 0);

	guest_apic_write(G_APIC_LVT_TIMER, DEADLINE | VECTOR_TIMER);
	wrmsr(G_MSR_TSC_DEADLINE, guest_rdtsc() + guest_tsc_khz / 20);
	wait_for(VECTOR_TIMER, ++timers);
	G_CHECK_EQ(rdmsr(G_MSR_TSC_DEADLINE), 0);

	guest_apic_write(G_APIC_LVT_TIMER, PERIODIC | VECTOR_TICK);
	guest_apic_write(G_APIC_TIMER_INIT, 100000 + round);
	while (c->count[VECTOR_TICK] < ticks)
		guest_wait();
	guest_apic_write(G_APIC_LVT_TIMER, PERIODIC | TIMER_MASKED);
	guest_apic_write(G_APIC_TIMER_INIT, 0);
	/* One may be on its way. */
	guest_sti();
	guest_cli();
}

/* The one step is past: where it struck is part of what is computed. */
static GUEST bool step_hook(struct guest_frame *f)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t dr6;

	if (f->vector != DB)
		return false;
	dr6 = GUEST_READ_DR(6);
	G_CHECK_EQ(dr6 & 0xe00f, 0x4000);
	GUEST_WRITE_DR(6, 0xffff0ff0);
	NOTE(f->rip);
	c->count[DB] = 0;
	return true;
}

static GUEST void use_steps(void)
{
	guest_cpu()->hook = step_hook;
	asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
		     "nop\n\tmov $0x620, %%edx\n\tin %%dx, %%al\n\tout %%al, %%dx\n\t"
		     "xor %%eax, %%eax\n\tcpuid\n\tmov %%ss, %%eax\n\tmov %%eax, %%ss\n\tnop\n\t"
		     "mov $0x1b, %%ecx\n\trdmsr\n\t"
		     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tnop"
		     :
		     :
		     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
	guest_cpu()->hook = NULL;
}

static GUEST void use_shadows(void)
{
	struct guest_cpu *c = guest_cpu();

	guest_cli();
	guest_self_ipi(VECTOR_SELF);
	asm volatile("sti\n\tin %%dx, %%al\n\tnop\n\tcli" : : "d"(PORT_WORD) : "rax", "memory");
	NOTE(c->rip);
	guest_self_ipi(VECTOR_SELF);
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	NOTE(c->rip);
	guest_self_ipi(VECTOR_SELF);
	asm volatile("sti\n\tmov %%ss, %%eax\n\tmov %%eax, %%ss\n\tout %%al, %%dx\n\tnop\n\tcli"
		     :
		     : "d"(PORT_WORD)
		     : "rax", "memory");
	NOTE(c->rip);
	NOTE(c->count[VECTOR_SELF]);
}

static GUEST void use_exceptions(void)
{
	uint64_t value;

	NOTE(G_TRY("ud2", G_ARGS(), G_ARGS()));
	NOTE(G_TRY("movb $0, (%0)", G_ARGS(), G_ARGS("r"(GUEST_WINDOW + 0x5000))));
	NOTE(guest_cpu()->cr2);
	NOTE(guest_cpu()->error);
	NOTE(try_rdmsr(HV_MSR_TSC_OFFSET, &value));
	NOTE(G_TRY("int3", G_ARGS(), G_ARGS()));
}

/* Vector registers, debug registers and MSRs, with values of their own since the start. */
static GUEST void set_registers(uint64_t seed)
{
	if (seed == BOSS) {
		for (unsigned int i = 0; i < sizeof(vectors); i++)
			vectors[i] = (uint8_t)(i * 13 + 5);
		vector_fill(vectors, 0);
	}
	GUEST_WRITE_DR(0, 0x1000 + seed);
	GUEST_WRITE_DR(3, 0x3000 + seed);
	wrmsr(G_MSR_STAR, 0x1234567800000000 + seed);
	wrmsr(G_MSR_LSTAR, 0x7000000 + seed);
	wrmsr(G_MSR_SFMASK, 0x200 + seed);
	wrmsr(G_MSR_KERNEL_GS, 0x7ff00000 + seed);
	wrmsr(G_MSR_FS_BASE, 0x7fe00000 + seed);
	wrmsr(G_MSR_PAT, 0x0007040600070401 + (seed << 8));
}

static GUEST void check_registers(uint64_t seed)
{
	if (seed == BOSS) {
		vector_store(vectors_now, 0);
		for (unsigned int i = 0; i < sizeof(vectors); i += 32)
			for (unsigned int n = 0; n < 16; n++)
				G_CHECK_EQ(vectors_now[i + n], vectors[i + n]);
	}
	G_CHECK_EQ(GUEST_READ_DR(0), 0x1000 + seed);
	G_CHECK_EQ(GUEST_READ_DR(3), 0x3000 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_STAR), 0x1234567800000000 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_LSTAR), 0x7000000 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_SFMASK), 0x200 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_KERNEL_GS), 0x7ff00000 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_FS_BASE), 0x7fe00000 + seed);
	G_CHECK_EQ(rdmsr(G_MSR_PAT), 0x0007040600070401 + (seed << 8));
}

static GUEST uint64_t pv_now(uint64_t *tsc)
{
	volatile struct pv_time *t = &pv_time;
	uint32_t version;
	uint64_t delta, ns;

	do {
		version = t->version;
		asm volatile("" : : : "memory");
		*tsc = guest_rdtsc();
		delta = *tsc - t->tsc_timestamp;
		if (t->tsc_shift >= 0)
			delta <<= t->tsc_shift;
		else
			delta >>= -t->tsc_shift;
		ns = t->system_time +
		     (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
		asm volatile("" : : : "memory");
	} while (version & 1 || t->version != version);
	return ns;
}

/* Both go on, none goes back, and they stay together. */
static GUEST void check_clock(uint64_t *tsc, uint64_t *ns)
{
	uint64_t tsc_now, ns_now = pv_now(&tsc_now), passed;

	G_CHECK(tsc_now >= *tsc);
	G_CHECK(ns_now >= *ns);
	passed = (tsc_now - *tsc) * 1000000 / guest_tsc_khz;
	G_CHECK(ns_now - *ns <= passed + passed / 1000 + 1000);
	G_CHECK(ns_now - *ns + passed / 1000 + 1000 >= passed);
	*tsc = tsc_now;
	*ns = ns_now;
}

/* A life of the third vCPU, from its SIPI to the next INIT. */
static GUEST void g_child(uint64_t id)
{
	(void)id;
	use_device(7);
	children++;
	for (;;)
		asm volatile("cli; hlt");
}

static GUEST void use_child(uint32_t round)
{
	guest_apic_send(CHILD, ICR_INIT);
	use_device(round + 1000);
	guest_apic_send(CHILD, ICR_SIPI | START_PAGE >> 12);
	/* One that comes late finds it running, and does nothing. */
	if (round & 1)
		guest_apic_send(CHILD, ICR_SIPI | START_PAGE >> 12);
	while (children != round + 1)
		guest_pause();
}

/* By an IRET the masking of NMIs that a guest before this one may have left; see next_vcpu(). */
static GUEST void end_nmi(void)
{
	G_CHECK_EQ(G_TRY("ud2", G_ARGS(), G_ARGS()), UD);
}

static GUEST void g_boss(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t tsc = guest_rdtsc(), ns;

	(void)arg;
	end_nmi();
	guest_apic_enable(true);
	guest_apic_write(0x370, VECTOR_ERROR);
	set_registers(BOSS);
	wrmsr(G_MSR_SYSTEM_TIME, (uintptr_t)&pv_time | 1);
	ns = pv_now(&tsc);
	while (!mate_listens)
		guest_pause();
	for (uint32_t round = 0; round < ROUNDS; round++) {
		/* An error that is latched by a write, at the end of the round. */
		guest_self_ipi(5);

		guest_apic_send(MATE, VECTOR_PING);
		wait_for(VECTOR_PONG, ++pongs);
		G_CHECK(guest_rdtsc() >= message_tsc);
		G_CHECK_EQ(c->count[NMI], round + 1);
		use_timer(round);
		use_strings(round);
		use_device(round);
		if (!no_steps)
			use_steps();
		use_shadows();
		use_exceptions();
		use_child(round);
		check_registers(BOSS);
		check_clock(&tsc, &ns);

		/* Two of them: the mate's handler sends itself another, which waits for its IRET. */
		guest_apic_send(MATE, ICR_NMI);
		while (guest_cpus[MATE].count[NMI] != 2 * (round + 1))
			guest_pause();

		guest_apic_write(G_APIC_ESR, 0);
		G_CHECK_EQ(guest_apic_read(G_APIC_ESR), 0x20);
		guest_sti();
		guest_cli();
		G_CHECK_EQ(c->count[VECTOR_ERROR], round + 1);
	}
	NOTE(c->count[NMI]);
}

static GUEST bool nmi_hook(struct guest_frame *f)
{
	if (f->vector == NMI && (guest_cpu()->count[NMI] & 1))
		guest_apic_write(G_APIC_ICR, ICR_SELF | ICR_NMI);
	return false;
}

static GUEST void g_mate(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	end_nmi();
	guest_apic_enable(false);
	set_registers(MATE);
	wrmsr(G_MSR_TSC_ADJUST, MATE_ADJUST);
	c->hook = nmi_hook;
	mate_listens = 1;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		wait_for(VECTOR_PING, ++pings);
		use_device(round);
		check_registers(MATE);
		guest_apic_send(BOSS, ICR_NMI);
		message_tsc = guest_rdtsc() - MATE_ADJUST;
		guest_apic_send(BOSS, VECTOR_PONG);
		while (c->count[NMI] != 2 * (round + 1))
			guest_pause();
	}
	NOTE(c->count[NMI]);
}

/* ------------------------------------------------------------------------- */
/* Its tasks                                                                  */

#define TASK_GDT   0x20000
#define TASK_TSS   0x20100 /* 128 bytes for each */
#define TASK_IDT   0x20800
#define TASK_CODE  0x21000 /* and a page for each task's code; behind them one for each stack */
#define TSS_LIMIT  0x67
#define TSS_FREE   0x89ull
#define TSS_BUSY   0x8bull
#define TASK_GATE  0x85ull
#define VECTOR_INT 0x40

enum {
	TASK_MAIN,
	TASK_JUMP,
	TASK_CALL,
	TASK_INTERRUPT,
	TASK_NMI,
	TASKS
};

/* Each counts, and tells the device what it counted and has from it. */
#define COUNT "inc %ebx\n\tmov $0x620, %edx\n\tin %dx, %eax\n\tadd %ebx, %eax\n\tout %eax, %dx\n\t"

/* By a jump, a call, INT, an interrupt and an NMI that it sends itself, and back. */
CODE(32, task_main,
     "mov $12, %ebp\n"
     "1:\n\t"
     "ljmp $0x28, $0\n\t"
     "lcall $0x30, $0\n\t"
     "int $0x40\n\t"
     "mov $0x83f, %ecx\n\tmov $0x41, %eax\n\txor %edx, %edx\n\twrmsr\n\t"
     "sti\n\tnop\n\tcli\n\t"
     "mov $0x830, %ecx\n\tmov $0x40400, %eax\n\twrmsr\n\t" COUNT "dec %ebp\n\tjnz 1b\n\t"
     "mov $0x500, %edx\n\tout %eax, %dx\n\thlt");
CODE(32, task_jump, "1:\n\t" COUNT "ljmp $0x20, $0\n\tjmp 1b");
CODE(32, task_call, "1:\n\t" COUNT "iret\n\tjmp 1b");
CODE(32, task_interrupt,
     "1:\n\t"
     "mov $0x80b, %ecx\n\txor %eax, %eax\n\txor %edx, %edx\n\twrmsr\n\t" COUNT "iret\n\tjmp 1b");
CODE(32, task_nmi, "1:\n\t" COUNT "iret\n\tjmp 1b");

static uint16_t task_selector(unsigned int task)
{
	return (uint16_t)(0x20 + 8 * task);
}

static void task_gate(struct vm *vm, unsigned int vector, unsigned int task)
{
	guest_at(vm, uint64_t, TASK_IDT + 8 * vector) =
		(uint64_t)task_selector(task) << 16 | TASK_GATE << 40;
}

/* The state that a task begins with (Intel SDM Vol. 3, "Task-State Segment"). */
static void make_task(struct vm *vm, unsigned int task, const void *code, size_t len)
{
	uint64_t tss = TASK_TSS + 128ull * task, type = task == TASK_MAIN ? TSS_BUSY : TSS_FREE;
	uint32_t entry = TASK_CODE + 0x1000 * task;

	vm_load(vm, entry, code, len);
	guest_at(vm, uint64_t, TASK_GDT + task_selector(task)) = TSS_LIMIT | tss << 16 | type << 40;
	guest_at(vm, uint32_t, tss + 0x20) = entry;
	guest_at(vm, uint32_t, tss + 0x24) = 2;
	guest_at(vm, uint32_t, tss + 0x38) = TASK_CODE + 0x1000 * (TASKS + task + 1);
	for (unsigned int i = 0; i < 6; i++)
		guest_at(vm, uint32_t, tss + 0x48 + 4ull * i) = SEL_DATA;
	guest_at(vm, uint32_t, tss + 0x4c) = SEL_CODE32;
}

#define MAKE_TASK(vm, number, code) make_task(vm, number, code, (size_t)(code##_end - (code)))

static void begin_tasks(struct vm *vm, struct vcpu *v)
{
	MAKE_TASK(vm, TASK_MAIN, task_main);
	MAKE_TASK(vm, TASK_JUMP, task_jump);
	MAKE_TASK(vm, TASK_CALL, task_call);
	MAKE_TASK(vm, TASK_INTERRUPT, task_interrupt);
	MAKE_TASK(vm, TASK_NMI, task_nmi);
	guest_at(vm, uint64_t, TASK_GDT + SEL_CODE32) = 0x00cf9b000000ffff;
	guest_at(vm, uint64_t, TASK_GDT + SEL_DATA) = 0x00cf93000000ffff;
	task_gate(vm, NMI, TASK_NMI);
	task_gate(vm, VECTOR_INT, TASK_CALL);
	task_gate(vm, VECTOR_TIMER, TASK_INTERRUPT);

	vcpu_flat32(v, TASK_CODE);
	vcpu_x2apic_on(v);
	vcpu_get(v, HV_REGS_GPR | HV_REGS_SREGS);
	v->run->sregs.gdt = (struct hv_dtable){.base = TASK_GDT, .limit = task_selector(TASKS) - 1};
	v->run->sregs.idt = (struct hv_dtable){.base = TASK_IDT, .limit = 8 * 0x42 - 1};
	v->run->sregs.tr = (struct hv_segment){.base = TASK_TSS,
					       .limit = TSS_LIMIT,
					       .ar = TSS_BUSY,
					       .selector = task_selector(TASK_MAIN)};
	v->run->gprs.r[HV_RSP] = TASK_CODE + 0x1000 * (TASKS + 1);
	vcpu_set(v, HV_REGS_GPR | HV_REGS_SREGS);
}

/* ------------------------------------------------------------------------- */
/* Its devices                                                                */

static struct machine {
	struct vm vm;
	struct vcpu cpu[CPUS];
	bool done[CPUS];
	bool served[CPUS]; /* its exit was dealt with, and is not completed yet */
	/* What the devices hold, for each vCPU: what came, what comes next, registers. */
	struct device {
		uint64_t written, next;
		uint8_t memory[64];
	} device[CPUS];
} machine;

static void device_write(struct device *d, uint64_t value)
{
	d->written = (d->written ^ value) * 0x100000001b3 + 1;
}

static uint64_t device_read(struct device *d)
{
	d->next = d->next * 0x5851f42d4c957f2d + 1;
	return d->next >> 32;
}

/* Some elements of a string instruction in 64-bit mode: all, or as many as chance has it. */
static void string_io(struct machine *m, struct vcpu *v)
{
	const union hv_exit *e = &v->run->exit;
	struct hv_gprs *g = &v->run->gprs;
	struct device *d = &m->device[v->id];
	bool rep = false, in = !(e->emulate.flags & HV_IO_WRITE);
	unsigned int at = 0, size = 1;
	__u64 *address = &g->r[in ? HV_RDI : HV_RSI];
	uint64_t n = 1;

	for (; e->emulate.insn[at] == 0xf3 || e->emulate.insn[at] == 0x66; at++)
		rep |= e->emulate.insn[at] == 0xf3;
	CHECK_EQ(e->emulate.insn[at] & 0xfc, 0x6c);
	if (e->emulate.insn[at] & 1)
		size = at > rep ? 2 : 4;
	CHECK_EQ(e->emulate.port, PORT_BYTES);
	if (rep)
		n = 1 + random64() % g->r[HV_RCX];
	for (uint64_t i = 0; i < n; i++, *address += size) {
		uint8_t *p = m->vm.ram + *address;
		uint32_t value = 0;

		if (in) {
			value = (uint32_t)device_read(d);
			memcpy(p, &value, size);
		} else {
			memcpy(&value, p, size);
			device_write(d, value);
		}
	}
	if (rep)
		g->r[HV_RCX] -= n;
	if (!rep || !g->r[HV_RCX])
		g->rip += at + 1;
	v->run->events.shadow = 0;
	v->run->dirty = HV_REGS_GPR | HV_REGS_EVENTS;
}

static void serve(struct machine *m, struct vcpu *v)
{
	struct device *d = &m->device[v->id];
	union hv_exit *e = &v->run->exit;

	switch (v->run->exit_reason) {
	case HV_EXIT_PIO:
		CHECK_EQ(e->pio.port, PORT_WORD);
		if (e->pio.flags & HV_IO_WRITE)
			device_write(d, e->pio.data);
		else
			e->pio.data = (uint32_t)device_read(d);
		return;
	case HV_EXIT_MMIO:
		CHECK_EQ(e->mmio.gpa & ~63ull, DEVICE + 64 * v->id);
		if (e->mmio.flags & HV_IO_WRITE) {
			memcpy(d->memory + (e->mmio.gpa & 63), &e->mmio.data, e->mmio.len);
			device_write(d, e->mmio.data);
		} else {
			memcpy(&e->mmio.data, d->memory + (e->mmio.gpa & 63), e->mmio.len);
		}
		return;
	case HV_EXIT_EMULATE:
		string_io(m, v);
		return;
	case HV_EXIT_TASK: /* on VT-x; as the monitor does it */
		CHECK(task_switch(&(struct mem){.region = {{.len = GUEST_RAM, .hva = m->vm.ram}},
						.nr_regions = 1},
				  v->run));
		return;
	default:
		test_fail("vCPU %u: %s", v->id, vcpu_describe(v));
	}
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

static struct state {
	struct hv_clock clock;
	struct vcpu_state cpu[CPUS];
} state;

static uint64_t seed;

static void save(struct machine *m)
{
	for (unsigned int i = 0; i < CPUS; i++) {
		if (m->served[i])
			vcpu_complete(&m->cpu[i]);
		m->served[i] = false;
	}
	for (unsigned int i = 0; i < CPUS; i++)
		vcpu_save(&m->cpu[i], &state.cpu[i]);
	CHECK_OK(ioctl(m->vm.fd, HV_GET_CLOCK, &state.clock));
}

static void load(struct machine *m)
{
	struct hv_create_vm create = {.size = sizeof(create), .tsc_khz = state.clock.tsc_khz};
	struct hv_clock clock;
	int fd = hv_open();

	m->vm.fd = (int)CHECK_OK(ioctl(fd, HV_CREATE_VM, &create));
	close(fd);
	CHECK_OK(vm_set_slot(&m->vm, 0, 0, 0, GUEST_RAM, m->vm.ram));
	CHECK_OK(ioctl(m->vm.fd, HV_SET_CLOCK, &state.clock));
	for (unsigned int i = 0; i < CPUS; i++)
		vcpu_init(&m->cpu[i], &m->vm, i);
	for (unsigned int i = 0; i < CPUS; i++)
		vcpu_load(&m->cpu[i], &state.cpu[i]);
	for (unsigned int i = 0; i < CPUS; i++) {
		vcpu_check_loaded(&m->cpu[i], &state.cpu[i]);
		m->cpu[i].run->wanted = HV_REGS_EVENTS;
	}
	CHECK_OK(ioctl(m->vm.fd, HV_GET_CLOCK, &clock));
	CHECK(clock.ns >= state.clock.ns && clock.tsc >= state.clock.tsc);
}

/* ------------------------------------------------------------------------- */
/* Stops and transplants                                                      */

/* Of all the processes of a test. */
static struct shared {
	struct outcome outcome;
	struct device device[CPUS];
	uint64_t stops;
	uint32_t transplants, by_exit, by_completion;
} * shared;

static timer_t timer;
static struct hv_run *volatile running;

static void on_alarm(int number)
{
	(void)number;
	running->immediate_exit = 1;
}

static void make_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct sigaction sa = {.sa_handler = on_alarm};

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
}

/* HV_RUN for so long at most: the exit's reason. */
static uint32_t run_for(struct vcpu *v, uint64_t ns)
{
	struct itimerspec slice = {.it_value = {(time_t)(ns / SEC), (long)(ns % SEC)}}, none = {0};

	running = v->run;
	v->run->immediate_exit = 0;
	CHECK_OK(timer_settime(timer, 0, &slice, NULL));
	while (ioctl(v->fd, HV_RUN, 0)) {
		if (errno != EINTR)
			test_fail("HV_RUN: %s", strerror(errno));
		if (v->run->immediate_exit)
			break;
	}
	CHECK_OK(timer_settime(timer, 0, &none, NULL));
	v->run->immediate_exit = 0;
	return v->run->exit_reason;
}

/* In another process, with a copy of this one's memory; this one ends, and its VM with it. */
static void transplant(struct machine *m)
{
	pid_t pid;

	save(m);
	pid = fork();
	CHECK_OK(pid);
	if (pid)
		_exit(0);
	for (unsigned int i = 0; i < CPUS; i++)
		vcpu_close(&m->cpu[i]);
	close(m->vm.fd);
	make_timer();
	load(m);
	shared->transplants++;
}

static bool is_report(const struct vcpu *v)
{
	const struct hv_run *r = v->run;

	return r->exit_reason == HV_EXIT_PIO && r->exit.pio.flags & HV_IO_WRITE &&
	       r->exit.pio.port >= PORT_DONE && r->exit.pio.port <= PORT_TRAP;
}

/* A guest's end, or a complaint of it. */
static void take_report(struct machine *m, struct vcpu *v)
{
	const struct guest_report *g = &guest_var(&m->vm, guest_report);
	const struct guest_cpu *c = &guest_var(&m->vm, guest_cpus[v->id]);

	if (v->run->exit.pio.port == PORT_FAIL)
		test_fail("seed %llu, transplant %u: guest, line %u: %s is %#llx, not %#llx",
			  (unsigned long long)seed, shared->transplants, g->line, g->what,
			  (unsigned long long)g->got, (unsigned long long)g->want);
	if (v->run->exit.pio.port != PORT_DONE)
		test_fail("seed %llu, transplant %u: vCPU %u: exception %u at %#llx",
			  (unsigned long long)seed, shared->transplants, v->id, c->vector,
			  (unsigned long long)c->rip);
	m->done[v->id] = true;
}

static bool one_in(unsigned int n)
{
	return n && random64() % n == 0;
}

/*
 * Any, by chance. But Bochs's VT-x (2.7; mended in its sources in 2023) does not unmask NMIs where a
 * vCPU enters that has them not masked, behind another one that has, on the same processor; only an IRET
 * does. There nobody else has a turn before the handler of an NMI has ended, which may have been
 * delivered in part when it is told to be pending.
 */
static struct vcpu *next_vcpu(struct machine *m)
{
	for (unsigned int i = 0; host_is_vmx() && i < CPUS; i++) {
		const struct hv_events *e = &m->cpu[i].run->events;

		if (e->nmi_masked || e->nmi_pending)
			return &m->cpu[i];
	}
	return &m->cpu[random64() % CPUS];
}

/*
 * One turn of one vCPU, by chance, and then perhaps a transplant: one in so many. An exit
 * that user space has not looked at is dropped, and comes again; one that it has dealt
 * with is completed first.
 */
static void take_turn(struct machine *m, uint64_t slice, unsigned int rarity)
{
	struct vcpu *v = next_vcpu(m);

	if (m->done[v->id])
		return;
	shared->stops++;
	m->served[v->id] = false;
	if (run_for(v, rarity ? 1 + random64() % slice : 5 * MSEC) == HV_EXIT_SIGNAL) {
		if (one_in(rarity))
			transplant(m);
		return;
	}
	if (is_report(v)) {
		take_report(m, v);
		return;
	}
	if (one_in(2 * rarity)) {
		shared->by_exit++;
		transplant(m);
		return;
	}
	serve(m, v);
	m->served[v->id] = true;
	if (one_in(2 * rarity)) {
		shared->by_completion++;
		transplant(m);
	}
}

/* What a stop costs by itself: less time than that is none for the guest. */
static uint64_t stop_ns(struct vcpu *v)
{
	uint64_t least = SEC;

	for (unsigned int i = 0; i < 20; i++) {
		uint64_t start = now_ns();

		run_for(v, 1);
		if (now_ns() - start < least)
			least = now_ns() - start;
	}
	return least;
}

static void begin(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	vm_init(&m->vm);
	guest_var(&m->vm, no_steps) = host_is_vmx();
	vm_load_start16(&m->vm, START_PAGE, CPUS, g_child);
	for (unsigned int i = 0; i < CPUS; i++)
		vcpu_init(&m->cpu[i], &m->vm, i);
	vcpu_long(&m->cpu[BOSS], g_boss, 0);
	vcpu_long(&m->cpu[MATE], g_mate, 0);
	begin_tasks(&m->vm, &m->cpu[SWITCHER]);
	for (unsigned int i = 0; i < CPUS; i++)
		m->cpu[i].run->wanted = HV_REGS_EVENTS;
	make_timer();
}

/* A guest from its beginning to its end, in a process that may become many. */
static void live(unsigned int wanted)
{
	pid_t pid = fork(), ended;
	uint64_t slice = 0;
	int status;

	CHECK_OK(pid);
	if (!pid) {
		begin(&machine);
		if (wanted)
			slice = 20 * stop_ns(&machine.cpu[CHILD]);
		while (!machine.done[BOSS] || !machine.done[MATE] || !machine.done[SWITCHER])
			take_turn(&machine, slice, shared->transplants < wanted ? 4 : 0);
		shared->outcome = guest_var(&machine.vm, outcome);
		memcpy(shared->device, machine.device, sizeof(machine.device));
		_exit(0);
	}
	while ((ended = waitpid(-1, &status, 0)) > 0) {
		if (!WIFEXITED(status))
			test_fail("a process was killed by signal %d", WTERMSIG(status));
		if (WEXITSTATUS(status))
			_exit(WEXITSTATUS(status));
	}
	random_seed(seed++);
}

static void compare(const struct shared *want)
{
	for (unsigned int id = 0; id < CPUS; id++) {
		const struct note *n = shared->outcome.note[id], *w = want->outcome.note[id];
		uint32_t count = want->outcome.count[id];

		for (uint32_t i = 0; i < count; i++) {
			if (n[i].line != w[i].line || n[i].value != w[i].value)
				test_fail(
					"seed %llu: vCPU %u, note %u of %u: line %u: %#llx, not line %u: %#llx",
					(unsigned long long)seed, id, i, count, (uint32_t)n[i].line,
					(unsigned long long)n[i].value, (uint32_t)w[i].line,
					(unsigned long long)w[i].value);
		}
		CHECK_EQ(shared->outcome.count[id], count);
		CHECK_EQ(shared->device[id].written, want->device[id].written);
		CHECK_EQ(shared->device[id].next, want->device[id].next);
	}
}

static unsigned int environment(const char *name, unsigned int otherwise)
{
	const char *value = getenv(name);

	return value ? (unsigned int)strtoul(value, NULL, 0) : otherwise;
}

static void transplants(void)
{
	unsigned int wanted = environment("HV_TRANSPLANTS", host_is_vmx() ? 100 : 500);
	static struct shared undisturbed;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(shared != MAP_FAILED);
	seed = environment("HV_SEED", (unsigned int)now_ns());
	random_seed(seed);
	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	if (host_is_vmx())
		bind_to_cpu(0); /* see next_vcpu() */

	live(0);
	CHECK_EQ(shared->transplants, 0);
	undisturbed = *shared;
	while (shared->transplants < wanted) {
		live(wanted);
		compare(&undisturbed);
	}
	printf("# %u transplants, %u of them at an exit, %u behind one; %llu stops\n",
	       shared->transplants, shared->by_exit, shared->by_completion,
	       (unsigned long long)shared->stops);
}

static const struct test tests[] = {
	{"transplants", transplants, 240},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
