// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a real vCPU takes interrupts: NMIs, shadows and priorities; the registers of the
 * local APIC; exits at HLT. The timer is in timers.c, what comes from outside in messages.c.
 * Run by "make check" in the test host.
 */
#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

/* ---- NMIs ---- */

/* Pending before the vCPU runs: taken at once, interrupts off or not. */
static GUEST void g_nmi(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	guest_sync(1);
	G_CHECK_EQ(c->count[2], 1);
	/* It struck behind the OUT. */
	G_CHECK_EQ(((const uint8_t *)c->rip)[-1], 0xef);
}

static void nmi(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_nmi, 0);
	vcpu_sync(&v, 1);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	vcpu_done(&v);
}

/* An interrupt whose delivery was cut short and an NMI: both come, whichever is first. */
static GUEST void g_nmi_beside(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	guest_sti();
	guest_sync(1);
	while (!c->count[0x41] || !c->count[2])
		guest_cpuid(0, 0);
	guest_cli();
	G_CHECK_EQ(c->count[0x41], 1);
	G_CHECK_EQ(c->count[2], 1);
}

static void nmi_beside_interrupt(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_nmi_beside, 0);
	vcpu_sync(&v, 1);
	vcpu_complete(&v);
	vcpu_get(&v, HV_REGS_EVENTS);
	v.run->events.interrupt = HV_EVENT_PENDING;
	v.run->events.interrupt_vector = 0x41;
	v.run->events.nmi_pending = 1;
	vcpu_set(&v, HV_REGS_EVENTS);
	vcpu_done(&v);
}

static volatile uint32_t nmi_done;

/* While halted, interrupts off. One that strikes before the HLT leaves it to the next to end it. */
static GUEST void g_nmi_halted(uint64_t n)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t seen = 0;

	for (uint64_t i = 1; i <= n; i++) {
		asm volatile("cli; hlt" : : : "memory");
		G_CHECK(c->count[2] > seen);
		seen = c->count[2];
	}
	/* And while it spins. */
	while (c->count[2] == seen)
		guest_pause();
	nmi_done = 1;
}

static void nmi_halted(void)
{
	struct vm vm;
	struct vcpu v;
	pthread_t thread;

	vm_long(&vm, &v, g_nmi_halted, 3);
	thread = vcpu_start(&v);
	for (uint32_t i = 1; !guest_var(&vm, nmi_done); i++) {
		/* As a rule long enough for it to be halted again. */
		sleep_ns(100 * MSEC);
		CHECK_OK(ioctl(v.fd, HV_NMI, 0));
		while (guest_var(&vm, guest_cpus[0]).count[2] < i && !guest_var(&vm, nmi_done))
			sleep_ns(MSEC);
	}
	vcpu_join(thread);
}

static GUEST bool hook_nmi(struct guest_frame *f)
{
	struct guest_cpu *c = guest_cpu();

	if (f->vector != 2)
		return false;
	if (c->count[2] == 1) {
		guest_sync(2);
		/* Two more arrived and one of them waits for this handler's IRET. */
		guest_cpuid(0, 0);
		outl(0, PORT_LOW);
		G_CHECK_EQ(c->count[2], 1);
	}
	return true;
}

static GUEST void g_nmi_masked(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();

	(void)arg;
	c->hook = hook_nmi;
	guest_sync(1);
	guest_sync(3);
	G_CHECK_EQ(c->count[2], 2);
	/* Not masked any more. */
	guest_sync(4);
	guest_sync(5);
	G_CHECK_EQ(c->count[2], 3);
}

static void nmi_masked(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_nmi_masked, 0);
	v.run->wanted |= HV_REGS_EVENTS;
	vcpu_sync(&v, 1);
	CHECK_EQ(v.run->events.nmi_masked, 0);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	vcpu_sync(&v, 2);
	CHECK_EQ(v.run->events.nmi_masked, 1);
	CHECK_EQ(v.run->events.nmi_pending, 0);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	vcpu_out(&v, PORT_LOW);
	CHECK_EQ(v.run->events.nmi_masked, 1);
	CHECK_EQ(v.run->events.nmi_pending, 1);
	vcpu_sync(&v, 3);
	CHECK_EQ(v.run->events.nmi_masked, 0);
	CHECK_EQ(v.run->events.nmi_pending, 0);
	CHECK_EQ(v.run->gprs.rflags & FLAG_TF, 0);
	vcpu_sync(&v, 4);
	v.run->events.nmi_pending = 1;
	v.run->dirty = HV_REGS_EVENTS;
	vcpu_sync(&v, 5);
	vcpu_done(&v);
}

/* In its handler another NMI waits, and does not end HLT. */
static GUEST bool hook_nmi_halts(struct guest_frame *f)
{
	if (f->vector != 2)
		return false;
	if (guest_cpu()->count[2] == 1) {
		guest_sync(2);
		asm volatile("hlt" : : : "memory");
		guest_sync(3);
	}
	return true;
}

static GUEST void g_nmi_halts(uint64_t arg)
{
	(void)arg;
	guest_cpu()->hook = hook_nmi_halts;
	guest_sync(1);
	asm volatile("nop");
	G_CHECK_EQ(guest_cpu()->count[2], 2);
}

static void nmi_masked_halts(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_nmi_halts, 0);
	v.run->flags = HV_RUN_EXIT_HLT;
	vcpu_sync(&v, 1);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	vcpu_sync(&v, 2);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	vcpu_expect(&v, HV_EXIT_HLT);
	vcpu_expect(&v, HV_EXIT_HLT);
	vcpu_get(&v, HV_REGS_EVENTS);
	CHECK_EQ(v.run->events.nmi_pending, 1);
	v.run->events.mp_state = HV_MP_RUNNABLE;
	v.run->dirty = HV_REGS_EVENTS;
	vcpu_sync(&v, 3);
	vcpu_done(&v);
}

/* ---- Interrupt shadows ---- */

/* Code whose interrupt must come exactly at local label 9; "before" runs with the vector in RCX. */
#define EXPECT_AT_9(code, ...)                                    \
	do {                                                      \
		uint64_t at_9;                                    \
		uint32_t before = guest_cpu()->count[0x51];       \
		asm volatile(code "; leaq 9b(%%rip), %0"          \
			     : "=&r"(at_9)                        \
			     : __VA_ARGS__                        \
			     : "memory", "cc", "rbx");            \
		G_CHECK_EQ(guest_cpu()->count[0x51], before + 1); \
		G_CHECK_EQ(guest_cpu()->rip, at_9);               \
	} while (0)

#define SELF_IPI_51 "c"(0x83f), "a"(0x51), "d"(0)

static GUEST void g_shadows(uint64_t arg)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t count;

	(void)arg;
	guest_apic_enable(true);
	/* STI: one more instruction, then the pending interrupt. */
	guest_self_ipi(0x51);
	EXPECT_AT_9("sti; nop; 9: nop; nop; cli", "c"(0));
	/* An instruction that exits to the module ends the shadow too, and not before it. */
	guest_self_ipi(0x51);
	EXPECT_AT_9("sti; wrmsr; 9: nop; cli", "c"(G_MSR_TSC_ADJUST), "a"(0), "d"(0));
	guest_self_ipi(0x51);
	EXPECT_AT_9("sti; outb %%al, $0x80; 9: nop; cli", "a"(0));
	/* Raised inside the shadow. */
	EXPECT_AT_9("sti; wrmsr; 9: nop; cli", SELF_IPI_51);
	/* STI; HLT: the interrupt ends the HLT. */
	guest_self_ipi(0x51);
	EXPECT_AT_9("sti; hlt; 9: cli", "c"(0));
	/* MOV SS holds interrupts back over the next instruction. */
	EXPECT_AT_9("sti; nop; mov %%ss, %%ebx; mov %%ebx, %%ss; wrmsr; 9: nop; cli", SELF_IPI_51);
	/* POPF has no shadow. */
	guest_self_ipi(0x51);
	EXPECT_AT_9("pushfq; orq $0x200, (%%rsp); popfq; 9: nop; nop; cli", "c"(0));
	/* STI; CLI opens no window. */
	count = c->count[0x51];
	guest_self_ipi(0x51);
	asm volatile("sti; cli; sti; cli; sti; cli" : : : "memory");
	G_CHECK_EQ(c->count[0x51], count);
	guest_sti();
	G_CHECK_EQ(c->count[0x51], count + 1);
	guest_cli();
}

static void shadows(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_shadows, 0);
	vcpu_out(&v, PORT_LOW);
	vcpu_done(&v);
}

static GUEST void g_shadow_loaded(uint64_t arg)
{
	uint64_t at_9;

	(void)arg;
	guest_apic_enable(true);
	for (unsigned int i = 0; i < 3; i++) {
		if (i == 0)
			asm volatile("outb %%al, $0x80; 9: nop; nop; nop; cli; leaq 9b(%%rip), %0"
				     : "=&r"(at_9)
				     : "a"(0)
				     : "memory");
		else
			asm volatile("outb %%al, $0x80; nop; 9: nop; nop; cli; leaq 9b(%%rip), %0"
				     : "=&r"(at_9)
				     : "a"(0)
				     : "memory");
		G_CHECK_EQ(guest_cpu()->count[0x51], i + 1);
		G_CHECK_EQ(guest_cpu()->rip, at_9);
	}
}

/* Behind the guest's OUT; with IF, for STI's shadow is there only beside it. */
static void load_shadow(struct vcpu *v, uint8_t shadow)
{
	vcpu_out(v, PORT_LOW);
	vcpu_complete(v);
	vcpu_get(v, HV_REGS_GPR | HV_REGS_EVENTS);
	v->run->gprs.rflags |= FLAG_IF;
	v->run->events.shadow = shadow;
	vcpu_set(v, HV_REGS_GPR | HV_REGS_EVENTS);
}

/* User space loads IF = 1 and a pending interrupt, without and with a shadow. */
static void shadow_loaded(void)
{
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("opens no window for a guest that enters with IF set");
	vm_long(&vm, &v, g_shadow_loaded, 0);
	for (uint8_t i = 0; i < 3; i++) {
		load_shadow(&v, i);
		vcpu_get(&v, HV_REGS_EVENTS);
		CHECK_EQ(v.run->events.shadow, i);
		CHECK_EQ(vm_msi(&vm, 0, 0x51), 1);
	}
	vcpu_done(&v);
}

/* The same with an NMI, whose place is behind the NOP where a shadow holds it back. */
static GUEST void g_nmi_shadow(uint64_t arg)
{
	uint64_t at_9;

	(void)arg;
	for (unsigned int i = 0; i < 3; i++) {
		asm volatile("outb %%al, $0x80; 8: nop; 9: nop; nop; nop; leaq 9b(%%rip), %0"
			     : "=&r"(at_9)
			     : "a"(0)
			     : "memory");
		G_CHECK_EQ(guest_cpu()->count[2], i + 1);
		G_CHECK_EQ(guest_cpu()->rip, i ? at_9 : at_9 - 1);
	}
}

static void nmi_shadow_loaded(void)
{
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("does not step over an instruction here");
	vm_long(&vm, &v, g_nmi_shadow, 0);
	for (uint8_t i = 0; i < 3; i++) {
		load_shadow(&v, i);
		CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	}
	vcpu_done(&v);
}

/* ---- Priorities ---- */

static GUEST void g_tpr(uint64_t x2apic)
{
	struct guest_cpu *c = guest_cpu();

	guest_apic_enable(x2apic);
	GUEST_WRITE_CR(8, 5);
	G_CHECK_EQ(guest_apic_read(G_APIC_TPR), 0x50);
	guest_sti();
	guest_self_ipi(0x51);
	guest_pause();
	G_CHECK_EQ(c->count[0x51], 0);
	G_CHECK_EQ(guest_apic_read(G_APIC_IRR + 0x20) >> 17 & 1, 1);
	guest_self_ipi(0x71);
	guest_pause();
	G_CHECK_EQ(c->count[0x71], 1);
	/* It is delivered as soon as CR8 falls. */
	GUEST_WRITE_CR(8, 4);
	asm volatile("nop");
	G_CHECK_EQ(c->count[0x51], 1);
	/* The same by the register. */
	guest_apic_write(G_APIC_TPR, 0x60);
	G_CHECK_EQ(GUEST_READ_CR(8), 6);
	G_CHECK_EQ(guest_apic_read(G_APIC_PPR) & 0xf0, 0x60);
	guest_self_ipi(0x61);
	guest_pause();
	G_CHECK_EQ(c->count[0x61], 0);
	guest_sync(1);
	guest_apic_write(G_APIC_TPR, 0x35);
	asm volatile("nop");
	G_CHECK_EQ(c->count[0x61], 1);
	G_CHECK_EQ(GUEST_READ_CR(8), 3);
	/* HLT under a TPR that blocks what is pending, woken by another. */
	guest_cli();
	GUEST_WRITE_CR(8, 8);
	guest_self_ipi(0x71);
	guest_self_ipi(0x91);
	guest_wait();
	G_CHECK_EQ(c->count[0x71], 1);
	G_CHECK_EQ(c->count[0x91], 1);
	GUEST_WRITE_CR(8, 0);
	guest_sti();
	G_CHECK_EQ(c->count[0x71], 2);
}

static void tpr(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_tpr, true);
	v.run->wanted |= HV_REGS_SREGS;
	vcpu_sync(&v, 1);
	CHECK_EQ(v.run->sregs.cr8, 6);
	vcpu_done(&v);
}

static void tpr_xapic(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_tpr, false);
	vcpu_sync(&v, 1);
	vcpu_done(&v);
}

/* An interrupt that the priority holds back waits on when the APIC is turned off. */
static GUEST void g_tpr_apic_off(uint64_t x2apic)
{
	guest_apic_enable(x2apic);
	asm volatile("mov %0, %%cr8" : : "r"(15ul));
	guest_self_ipi(0x61);
	guest_sti();
	asm volatile("nop; nop");
	wrmsr(G_MSR_APIC_BASE, 0xfee00100);
	asm volatile("mov %0, %%cr8" : : "r"(3ul));
	guest_sync(1);
	asm volatile("nop; nop");
	G_CHECK_EQ(guest_cpu()->count[0x61], 0);
}

static void tpr_apic_off(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_tpr_apic_off, true);
	vcpu_sync(&v, 1);
	vcpu_done(&v);
}

static uint8_t order[8];
static volatile unsigned int ordered;

static GUEST bool hook_order(struct guest_frame *f)
{
	if (f->vector >= 32 && ordered < 8)
		order[ordered++] = (uint8_t)f->vector;
	return false;
}

/* Inside an unfinished 0x50-class interrupt only a higher class gets through. */
static GUEST bool hook_nested(struct guest_frame *f)
{
	if (f->vector != 0x52)
		return false;
	guest_self_ipi(0x53);
	guest_sti();
	G_CHECK_EQ(guest_cpu()->count[0x53], 0);
	G_CHECK_EQ(guest_apic_read(G_APIC_ISR + 0x20) >> 18 & 1, 1);
	guest_cli();
	guest_apic_write(G_APIC_EOI, 0);
	return true;
}

static GUEST void g_priorities(uint64_t arg)
{
	static const uint8_t want[] = {0xf1, 0x91, 0x62, 0x61, 0x31};

	(void)arg;
	guest_apic_enable(true);
	guest_cpu()->hook = hook_order;
	guest_self_ipi(0x61);
	guest_self_ipi(0xf1);
	guest_self_ipi(0x31);
	guest_self_ipi(0x91);
	guest_self_ipi(0x62);
	guest_self_ipi(0x91);
	guest_sti();
	asm volatile("nop; nop");
	guest_cli();
	G_CHECK_EQ(ordered, 5);
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++)
		G_CHECK_EQ(order[i], want[i]);
	guest_cpu()->hook = hook_nested;
	guest_self_ipi(0x52);
	guest_sti();
	asm volatile("nop; nop");
	G_CHECK_EQ(guest_cpu()->count[0x53], 1);
}

static void priorities(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_priorities, 0);
	vcpu_done(&v);
}

/* ---- Local APIC registers ---- */

static GUEST void g_apic_registers(uint64_t id)
{
	uint64_t base = rdmsr(G_MSR_APIC_BASE), value;

	guest_apic_enable(false);
	G_CHECK_EQ(guest_apic_read(G_APIC_ID) >> 24, id);
	G_CHECK_EQ(guest_apic_read(G_APIC_VERSION) & 0xf0, 0x10);
	G_CHECK_EQ(guest_apic_read(G_APIC_DFR), 0xffffffff);
	guest_apic_write(G_APIC_LDR, 0x08ffffff);
	G_CHECK_EQ(guest_apic_read(G_APIC_LDR), 0x08000000);
	guest_apic_write(G_APIC_LVT_LINT0, 0x700);
	G_CHECK_EQ(guest_apic_read(G_APIC_LVT_LINT0) & 0x700, 0x700);
	/* Illegal vector sent: ESR bit 5, after a write to the ESR. */
	guest_apic_write(G_APIC_ESR, 0);
	guest_apic_write(G_APIC_ICR, 0x40005);
	guest_apic_write(G_APIC_ESR, 0);
	G_CHECK_EQ(guest_apic_read(G_APIC_ESR) & 0x20, 0x20);
	/* No x2APIC register in xAPIC mode. */
	G_CHECK_EQ(try_rdmsr(G_MSR_X2APIC + 2, &value), GP);
	/* Software-disabled: the LVT is masked. */
	guest_apic_write(G_APIC_SVR, 0xff);
	G_CHECK_EQ(guest_apic_read(G_APIC_LVT_LINT0) >> 16 & 1, 1);

	guest_apic_enable(true);
	G_CHECK_EQ(rdmsr(G_MSR_X2APIC + 2), id);
	G_CHECK_EQ(rdmsr(G_MSR_X2APIC + 0xd), 1u << (id & 15) | (id >> 4) << 16);
	G_CHECK_EQ(try_wrmsr(G_MSR_X2APIC + 2, 0), GP);
	G_CHECK_EQ(try_rdmsr(G_MSR_X2APIC + 0xe, &value), GP);
	G_CHECK_EQ(try_rdmsr(G_MSR_X2APIC + 0x31, &value), GP);
	G_CHECK_EQ(try_rdmsr(G_MSR_X2APIC + 0xb, &value), GP);
	G_CHECK_EQ(try_wrmsr(G_MSR_X2APIC + 0xb, 1), GP);
	G_CHECK_EQ(try_wrmsr(G_MSR_X2APIC + 0x3f, 0x151), GP);
	G_CHECK_EQ(try_wrmsr(G_MSR_X2APIC + 8, 0x100), GP);
	/* x2APIC to xAPIC: only by way of disabled. */
	G_CHECK_EQ(try_wrmsr(G_MSR_APIC_BASE, base), GP);
	wrmsr(G_MSR_APIC_BASE, base & ~(uint64_t)G_APIC_BASE_ENABLE);
	G_CHECK_EQ(try_wrmsr(G_MSR_APIC_BASE, base | G_APIC_BASE_EXTD), GP);
	wrmsr(G_MSR_APIC_BASE, base);
	guest_cpu()->x2apic = false;
	G_CHECK_EQ(guest_apic_read(G_APIC_ID) >> 24, id);
}

static void apic_registers(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 19);
	vcpu_long(&v, g_apic_registers, 19);
	vcpu_done(&v);
}

static GUEST void g_lapic_image(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(false);
	guest_apic_write(G_APIC_TPR, 0x30);
	guest_apic_write(G_APIC_LVT_TIMER, 0x20044);
	guest_apic_write(G_APIC_LDR, 0x02000000);
	guest_self_ipi(0x31);
	guest_sync(1);
	/* The other vCPU, with this one's image: TPR blocks 0x31 until it falls. */
	G_CHECK_EQ(guest_apic_read(G_APIC_TPR), 0x30);
	G_CHECK_EQ(guest_apic_read(G_APIC_LVT_TIMER), 0x20044);
	G_CHECK_EQ(guest_apic_read(G_APIC_LDR), 0x02000000);
	guest_sti();
	G_CHECK_EQ(guest_cpu()->count[0x31], 0);
	guest_apic_write(G_APIC_TPR, 0);
	asm volatile("nop");
	G_CHECK_EQ(guest_cpu()->count[0x31], 1);
}

static void lapic_image(void)
{
	struct hv_lapic image, again;
	struct vm vm, other;
	struct vcpu v, w;

	vm_long(&vm, &v, g_lapic_image, 0);
	vcpu_sync(&v, 1);
	CHECK_OK(ioctl(v.fd, HV_GET_LAPIC, &image));
	CHECK_EQ(*(uint32_t *)&image.regs[G_APIC_TPR], 0x30);
	CHECK_EQ(*(uint32_t *)&image.regs[G_APIC_IRR + 0x10], 1u << 17);
	CHECK_EQ(*(uint32_t *)&image.regs[G_APIC_LVT_TIMER], 0x20044);

	vm_long(&other, &w, g_lapic_image, 0);
	vcpu_sync(&w, 1);
	memset(&again, 0, sizeof(again));
	CHECK_OK(ioctl(w.fd, HV_SET_LAPIC, &image));
	CHECK_OK(ioctl(w.fd, HV_GET_LAPIC, &again));
	CHECK(memcmp(&image, &again, sizeof(image)) == 0);
	vcpu_done(&w);
	vcpu_done(&v);
}

/* ---- HV_RUN_EXIT_HLT ---- */

static GUEST void g_hlt_exit(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_wait();
	guest_sync(1);
	guest_wait();
	G_CHECK_EQ(guest_cpu()->count[0x61], 1);
}

static void hlt_exit(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_hlt_exit, 0);
	v.run->flags = HV_RUN_EXIT_HLT;
	vcpu_expect(&v, HV_EXIT_HLT);
	/* It waits, and says so again. */
	vcpu_expect(&v, HV_EXIT_HLT);
	vcpu_get(&v, HV_REGS_EVENTS);
	CHECK_EQ(v.run->events.mp_state, HV_MP_HALTED);
	/* Going on without an interrupt is user space's choice: behind the HLT. */
	v.run->events.mp_state = HV_MP_RUNNABLE;
	v.run->dirty = HV_REGS_EVENTS;
	vcpu_sync(&v, 1);
	vcpu_expect(&v, HV_EXIT_HLT);
	CHECK_EQ(vm_msi(&vm, 0, 0x61), 1);
	vcpu_done(&v);
}

static const struct test tests[] = {
	{"nmi", nmi, 0},
	{"nmi_beside_interrupt", nmi_beside_interrupt, 0},
	{"nmi_halted", nmi_halted, 0},
	{"nmi_masked", nmi_masked, 0},
	{"nmi_masked_halts", nmi_masked_halts, 0},
	{"shadows", shadows, 0},
	{"shadow_loaded", shadow_loaded, 0},
	{"nmi_shadow_loaded", nmi_shadow_loaded, 0},
	{"tpr", tpr, 0},
	{"tpr_xapic", tpr_xapic, 0},
	{"tpr_apic_off", tpr_apic_off, 0},
	{"priorities", priorities, 0},
	{"apic_registers", apic_registers, 0},
	{"lapic_image", lapic_image, 0},
	{"hlt_exit", hlt_exit, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
