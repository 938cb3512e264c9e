// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delivery of interrupts and exceptions that is cut short by a stage-2 fault: each
 * must arrive once, as if nothing had been. And NMIs, whose masking ends by an IRET
 * that may itself be cut short. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <stdio.h>

#include "tests/lib/harness.h"
#include "tests/lib/step.h"

#define INTERRUPT 0x41
#define SOFTWARE  0x60

CODE(32, nop, "nop");
CODE(32, int_n, "int $0x60");
CODE(32, int_3, "int3");
CODE(32, into, "into");
CODE(32, int_1, ".byte 0xf1");
CODE(32, ud, "ud2");
CODE(32, load_es, "mov %eax, %es");
CODE(32, read_msr, "rdmsr");
CODE(64, load_rbx, "mov (%rbx), %eax");
CODE(64, store_rbx, "mov %eax, (%rbx)");

/* Of the one test that runs in this process. */
static struct vm vm;
static struct vcpu v;
static struct step s;
static struct hv_run *r;

enum mode {
	REAL,
	PROT,
	PAE,
	LONG,
	LONG_IST,
	MODES
};

static const char *const mode_names[MODES] = {
	"real mode", "protected mode", "PAE", "long mode", "long mode with an IST",
};

#define PDPT (STEP_FREE + 0x1000)

/* The stack of IST 1, of vCPU 0: see make_gdt() in tests/lib/vm.c. */
#define IST1 (GUEST_STACKS + 0x10000 - 0x4000)

static void set_ist(unsigned int vector, uint8_t ist)
{
	guest_at(&vm, uint8_t, STEP_IDT64 + 16 * vector + 4) = ist;
}

/* Paging by the tables of long mode, from the second level on. */
static void turn_pae_on(void)
{
	for (unsigned int i = 0; i < 4; i++)
		guest_at(&vm, uint64_t, PDPT + 8 * i) = (GUEST_PD + 4096 * i) | PTE_P;
	r->sregs.cr3 = PDPT;
	r->sregs.cr4 |= CR4_PAE;
	r->sregs.cr0 |= CR0_PG;
	vcpu_set(&v, HV_REGS_SREGS);
}

static void start(enum mode mode)
{
	step_init(&s, &v, &vm);
	r = v.run;
	if (mode == REAL)
		step_real(&s);
	else if (mode == PROT || mode == PAE)
		step_prot(&s);
	else
		step_long(&s);
	if (mode == PAE)
		turn_pae_on();
	for (unsigned int i = 0; i < 256 && mode == LONG_IST; i++)
		set_ist(i, 1);
	vcpu_x2apic_on(&v);
	/* Its APIC base is another now. */
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
}

/* ---- What is delivered ---- */

#define UNMAPPED (GUEST_WINDOW + 0x5678)

static void raise_interrupt(void)
{
	r->gprs.rflags |= FLAG_IF;
	CHECK_EQ(vm_msi(&vm, 0, INTERRUPT), 1);
}

static void raise_nmi(void)
{
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
}

static void load_overflow(void)
{
	r->gprs.rflags |= 1u << 11;
}

static void load_selector(void)
{
	r->gprs.r[HV_RAX] = 0x1008;
}

static void load_unmapped(void)
{
	r->gprs.r[HV_RBX] = UNMAPPED;
	r->sregs.cr2 = 0;
	r->dirty |= HV_REGS_SREGS;
}

static void load_msr(void)
{
	r->gprs.r[HV_RCX] = 0xdeadbeef;
}

static void load_tf(void)
{
	r->gprs.rflags |= FLAG_TF;
}

/* DR0 watches writes of four bytes. */
static void load_watched(void)
{
	r->gprs.r[HV_RBX] = STEP_FREE;
	r->dregs = (struct hv_dregs){.dr = {STEP_FREE}, .dr6 = 0xffff0ff0, .dr7 = 0xd0402};
	r->dirty |= HV_REGS_DREGS;
}

static void raise_by_events(void)
{
	r->events.exception = HV_EVENT_PENDING | HV_EVENT_ERROR_CODE;
	r->events.exception_vector = GP;
	r->events.exception_error = 0x4321;
	r->dirty |= HV_REGS_EVENTS;
}

/* Traps, so RIP is behind the instruction that made them already. */
static void raise_bp(void)
{
	r->events.exception = HV_EVENT_PENDING;
	r->events.exception_vector = BP;
	r->dirty |= HV_REGS_EVENTS;
}

static void raise_of(void)
{
	raise_bp();
	r->events.exception_vector = OF;
}

#define INSN(name) name, name##_end
#define IN(mode)   (1u << (mode))
#define IN_LONG	   (IN(LONG) | IN(LONG_IST))
#define IN_PAGING  (IN(PAE) | IN_LONG)
#define IN_TABLES  (IN(PROT) | IN_PAGING)
#define IN_ALL	   (IN(REAL) | IN_TABLES)
#define NO_ERROR   UINT64_MAX

static const struct event {
	const char *name;
	const char *code, *code_end;
	void (*prepare)(void);
	unsigned int vector;
	uint64_t error;
	unsigned int rip; /* in the frame, from the start of the instruction */
	unsigned int modes;
} events[] = {
	{"an interrupt", INSN(nop), raise_interrupt, INTERRUPT, NO_ERROR, 0, IN_ALL},
	{"an NMI", INSN(nop), raise_nmi, NMI, NO_ERROR, 0, IN_ALL},
	{"INT n", INSN(int_n), NULL, SOFTWARE, NO_ERROR, 2, IN_ALL},
	{"INT3", INSN(int_3), NULL, BP, NO_ERROR, 1, IN_ALL},
	{"INTO", INSN(into), load_overflow, OF, NO_ERROR, 1, IN(REAL) | IN(PROT) | IN(PAE)},
	{"INT1", INSN(int_1), NULL, DB, NO_ERROR, 1, IN_ALL},
	{"#UD", INSN(ud), NULL, UD, NO_ERROR, 0, IN_ALL},
	{"#GP of a selector", INSN(load_es), load_selector, GP, 0x1008, 0, IN_TABLES},
	{"#GP of the module", INSN(read_msr), load_msr, GP, 0, 0, IN_TABLES},
	{"#GP of the module", INSN(read_msr), load_msr, GP, NO_ERROR, 0, IN(REAL)},
	{"#GP of user space", INSN(nop), raise_by_events, GP, 0x4321, 0, IN_TABLES},
	{"#BP of user space", INSN(nop), raise_bp, BP, NO_ERROR, 0, IN_ALL},
	{"#OF of user space", INSN(nop), raise_of, OF, NO_ERROR, 0, IN_ALL},
	{"#PF", INSN(load_rbx), load_unmapped, PF, 0, 0, IN_PAGING},
	{"a watched write", INSN(store_rbx), load_watched, DB, NO_ERROR, 2, IN_TABLES},
	{"a single step", INSN(nop), load_tf, DB, NO_ERROR, 1, IN_ALL},
};

/* QEMU's emulation does not know INT1, and arms no breakpoints when VMRUN loads DR7. */
static bool exists(const struct event *e, enum mode mode)
{
	if (host_is_tcg() && (e->code == int_1 || e->code == store_rbx))
		return false;
	return e->modes & IN(mode);
}

/* ---- What is missing in stage 2 meanwhile ---- */

static const struct place {
	const char *name;
	uint64_t gpa, len;
} places[] = {
	{"nothing", 0, 0},
	{"the vector table", STEP_IVT, 0x1000},
	{"the 32-bit IDT", STEP_IDT32, 0x1000},
	{"the 64-bit IDT", STEP_IDT64, 0x1000},
	{"the GDT", GUEST_GDT, 0x1000},
	{"the TSS", GUEST_TSS, 0x1000},
	{"the stack", STEP_STACK - 0x1000, 0x1000},
	{"the IST stack", IST1 - 0x1000, 0x1000},
	{"the handler", STEP_TRAPS, 0x2000},
	{"the page tables", GUEST_PML4, GUEST_IDT - GUEST_PML4},
	{"the PDPT", PDPT, 0x1000},
	{"the instruction", STEP_CODE, 0x1000},
	{"all memory", 0, GUEST_RAM},
};

/* Let the host have the pages again, which stage 2 has lost: its fast path. */
static void touch(const struct place *p)
{
	for (uint64_t at = p->gpa; at < p->gpa + p->len; at += 4096)
		(void)guest_at(&vm, uint8_t, at);
}

/* Faults push RF set, everything else here pushes it clear; real mode pushes 16 bits. */
static bool rf_is_wrong(const struct event *e, enum mode mode)
{
	bool fault = e->vector == UD || e->vector == GP || e->vector == PF;

	/* QEMU's emulation sets it for none of its own; of those it raises again the module does. */
	if (fault && host_is_tcg() && e->code != read_msr && e->prepare != raise_by_events)
		return false;
	return !(s.rflags & FLAG_RF) == (fault && mode != REAL);
}

static void deliver(const struct event *e, const struct place *p, bool touched, enum mode mode)
{
	char what[160];

	snprintf(what, sizeof(what), "%s in %s, without %s%s", e->name, mode_names[mode], p->name,
		 touched ? " in stage 2" : "");
	r->gprs.rflags = 2;
	step_begin(&s, e->code, (size_t)(e->code_end - e->code));
	if (e->prepare)
		e->prepare();
	if (p->len)
		step_drop(&vm, p->gpa, p->len);
	if (touched)
		touch(p);
	if (step_run(&s) != e->vector)
		test_fail("%s: event %u", what, s.vector);
	if (s.has_error != (e->error != NO_ERROR) || (s.has_error && s.error != e->error))
		test_fail("%s: error code %#llx", what, (unsigned long long)s.error);
	if (s.rip != s.start + e->rip)
		test_fail("%s: RIP %#llx, not %#llx", what, (unsigned long long)s.rip,
			  (unsigned long long)(s.start + e->rip));
	if (s.rflags & FLAG_TF && e->prepare != load_tf)
		test_fail("%s: RFLAGS %#llx", what, (unsigned long long)s.rflags);
	if (rf_is_wrong(e, mode))
		test_fail("%s: RF in RFLAGS %#llx", what, (unsigned long long)s.rflags);
	if (e->vector == PF && r->sregs.cr2 != UNMAPPED)
		test_fail("%s: CR2 %#llx", what, (unsigned long long)r->sregs.cr2);
	if (e->vector == INTERRUPT)
		vcpu_eoi(&v);
	/* Once: nothing is left that could strike again. */
	step_return(&s, s.end);
	if (step_run(&s) != GUEST_NO_TRAP)
		test_fail("%s: event %u after it", what, s.vector);
}

/*
 * Bochs (2.7) keeps a step pending, as if the instruction were done, when an exit
 * comes before it: this CPU's fault, as VT-x clears it then (Intel SDM Vol. 3, 27.3.4).
 */
static bool stepped_too_early(const struct event *e, const struct place *p)
{
	return host_is_vmx() && e->prepare == load_tf &&
	       (p->gpa <= GUEST_PML4 || p->gpa == STEP_CODE);
}

static void deliver_all(enum mode mode)
{
	start(mode);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (!exists(&events[i], mode))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
			if (stepped_too_early(&events[i], &places[k]))
				continue;
			deliver(&events[i], &places[k], false, mode);
			deliver(&events[i], &places[k], true, mode);
		}
	}
}

static void real_mode(void)
{
	deliver_all(REAL);
}

static void protected_mode(void)
{
	deliver_all(PROT);
}

static void pae(void)
{
	deliver_all(PAE);
}

static void long_mode(void)
{
	deliver_all(LONG);
}

static void long_mode_ist(void)
{
	deliver_all(LONG_IST);
}

/* One after the other, both cut short. */
static void nmi_and_interrupt(void)
{
	start(LONG);
	for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
		r->gprs.rflags = 2;
		STEP_BEGIN(&s, nop);
		raise_interrupt();
		raise_nmi();
		if (places[k].len)
			step_drop(&vm, places[k].gpa, places[k].len);
		CHECK_EQ(step_run(&s), NMI);
		CHECK_EQ(s.rip, s.start);
		step_return(&s, s.start);
		if (places[k].len)
			step_drop(&vm, places[k].gpa, places[k].len);
		CHECK_EQ(step_run(&s), INTERRUPT);
		CHECK_EQ(s.rip, s.start);
		vcpu_eoi(&v);
		step_return(&s, s.start);
		CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	}
}

/*
 * An exception whose handler is absent: a double fault, also when stage 2 cut the first
 * one short, and when that is absent too, the end.
 */
static void double_fault(void)
{
	if (host_is_tcg())
		test_skip("QEMU's emulation forgets the first exception when stage 2 faults");
	start(LONG);
	guest_at(&vm, uint8_t, STEP_IDT64 + 16 * GP + 5) = 0x0e;
	for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
		STEP_BEGIN(&s, load_es);
		load_selector();
		if (places[k].len)
			step_drop(&vm, places[k].gpa, places[k].len);
		CHECK_EQ(step_run(&s), DF);
		CHECK_EQ(s.error, 0);
		CHECK_EQ(s.rip, s.start);
		step_return(&s, s.end);
		CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	}
	guest_at(&vm, uint8_t, STEP_IDT64 + 16 * DF + 5) = 0x0e;
	for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
		struct hv_run good;

		STEP_BEGIN(&s, load_es);
		load_selector();
		good = *r;
		if (places[k].len)
			step_drop(&vm, places[k].gpa, places[k].len);
		vcpu_expect(&v, HV_EXIT_SHUTDOWN);
		r->gprs = good.gprs;
		r->sregs = good.sregs;
		r->events = good.events;
		r->dirty = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
		CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
	}
}

/* ---- Where there is no memory: an error that says so, and the event waits ---- */

#define HOLE 0x20000000
#define FAR  0x50000000 /* linear, where a table is put into the hole */

enum part {
	THE_IDT,
	THE_GDT,
	THE_TSS,
	THE_STACK,
	THE_TABLES,
	THE_HANDLER,
	PARTS
};

static const char *const part_names[PARTS] = {
	"the IDT", "the GDT", "the TSS", "the stack", "page tables", "the handler",
};

static void set_gate(unsigned int vector, uint32_t to)
{
	guest_at(&vm, uint16_t, STEP_IDT64 + 16 * vector) = (uint16_t)to;
	guest_at(&vm, uint16_t, STEP_IDT64 + 16 * vector + 6) = (uint16_t)(to >> 16);
}

/* Everything lies in the hole's first page. */
static void move_to_hole(enum part part, uint64_t hole, unsigned int vector)
{
	switch (part) {
	case THE_IDT:
		r->sregs.idt.base = hole;
		break;
	case THE_GDT:
		r->sregs.gdt.base = hole;
		break;
	case THE_TSS:
		r->sregs.tr.base = hole;
		break;
	case THE_STACK:
		r->gprs.r[HV_RSP] = hole + 0x1000;
		break;
	case THE_TABLES:
		guest_at(&vm, uint64_t, GUEST_PD + (FAR >> 21) * 8) = hole | PTE_P | PTE_W;
		r->sregs.idt.base = FAR;
		break;
	default:
		set_gate(vector, (uint32_t)hole);
	}
	r->dirty |= HV_REGS_GPR | HV_REGS_SREGS;
}

/* The event is still to come, and user space can see it. */
static void check_waiting(const struct event *e, const char *what)
{
	const struct hv_events *v_events = &r->events;
	bool seen = true;

	if (e->vector == INTERRUPT)
		seen = v_events->interrupt == HV_EVENT_PENDING &&
		       v_events->interrupt_vector == INTERRUPT;
	else if (e->vector == NMI)
		seen = v_events->nmi_pending && !v_events->nmi_masked;
	else if (e->code == ud || e->error != NO_ERROR || e->prepare == raise_bp ||
		 e->prepare == raise_of)
		seen = v_events->exception & HV_EVENT_PENDING &&
		       v_events->exception_vector == e->vector &&
		       (e->error == NO_ERROR || v_events->exception_error == e->error);
	if (!seen)
		test_fail("%s: it is not in EVENTS", what);
}

static void deliver_into_hole(const struct event *e, enum part part, uint64_t hole)
{
	const union hv_exit *x = &r->exit;
	uint64_t flags = part == THE_HANDLER ? HV_FAULT_FETCH : HV_FAULT_EVENT;
	struct hv_sregs good;
	uint64_t rsp;
	char what[160];

	snprintf(what, sizeof(what), "%s, with %s at %#llx", e->name, part_names[part],
		 (unsigned long long)hole);
	r->gprs.rflags = 2;
	step_begin(&s, e->code, (size_t)(e->code_end - e->code));
	good = r->sregs;
	rsp = r->gprs.r[HV_RSP];
	if (e->prepare)
		e->prepare();
	move_to_hole(part, hole, e->vector);
	/* The second time nothing has changed. */
	for (unsigned int i = 0; i < 2; i++) {
		if (vcpu_run(&v) != HV_EXIT_ERROR || x->error.code != HV_ERROR_FETCH)
			test_fail("%s: %s", what, vcpu_describe(&v));
		if ((x->error.hw_reason & (HV_FAULT_EVENT | HV_FAULT_FETCH)) != flags ||
		    x->error.hw_info[0] >> 12 != hole >> 12)
			test_fail("%s: %s", what, vcpu_describe(&v));
		if (part != THE_HANDLER)
			check_waiting(e, what);
	}
	if (part == THE_HANDLER) {
		CHECK_EQ(r->gprs.rip, hole);
		r->gprs.rip = STEP_TRAPS64 + 16 * e->vector;
		set_gate(e->vector, STEP_TRAPS64 + 16 * e->vector);
	} else {
		r->sregs = good;
		r->gprs.r[HV_RSP] = rsp;
	}
	r->dirty = HV_REGS_GPR | HV_REGS_SREGS;
	if (step_run(&s) != e->vector || s.rip != s.start + e->rip)
		test_fail("%s, then mended: event %u at %#llx", what, s.vector,
			  (unsigned long long)s.rip);
	if (s.has_error != (e->error != NO_ERROR) || (s.has_error && s.error != e->error))
		test_fail("%s, then mended: error code %#llx", what, (unsigned long long)s.error);
	if (e->vector == INTERRUPT)
		vcpu_eoi(&v);
	step_return(&s, s.end);
	if (step_run(&s) != GUEST_NO_TRAP)
		test_fail("%s, then mended: event %u after it", what, s.vector);
}

/* The local APIC's page is no memory either, where it is one. */
static void hole(void)
{
	for (unsigned int part = 0; part < PARTS; part++) {
		start(part == THE_TSS ? LONG_IST : LONG);
		for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
			const struct event *e = &events[i];

			if (!exists(e, LONG))
				continue;
			deliver_into_hole(e, part, HOLE);
			if (e->vector == INTERRUPT)
				continue;
			r->sregs.apic_base = 0xfee00900;
			r->dirty |= HV_REGS_SREGS;
			deliver_into_hole(e, part, 0xfee00000);
			r->sregs.apic_base = 0xfee00d00;
			r->dirty |= HV_REGS_SREGS;
		}
		vcpu_close(&v);
		vm_close(&vm);
	}
}

/* User space takes back what is being delivered, and nothing comes. */
static void taken_back(void)
{
	start(LONG);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		const struct event *e = &events[i];

		if (e->vector != INTERRUPT && e->vector != NMI)
			continue;
		r->gprs.rflags = 2;
		step_begin(&s, e->code, (size_t)(e->code_end - e->code));
		e->prepare();
		move_to_hole(THE_STACK, HOLE, e->vector);
		vcpu_expect(&v, HV_EXIT_ERROR);
		check_waiting(e, e->name);
		r->gprs.r[HV_RSP] = STEP_STACK;
		r->events.interrupt = r->events.nmi_pending = 0;
		r->dirty = HV_REGS_GPR | HV_REGS_EVENTS;
		if (step_run(&s) != GUEST_NO_TRAP)
			test_fail("%s came", e->name);
	}
}

/* Vectors can be read from a read-only slot, frames cannot be written to it. */
static void read_only(void)
{
	uint8_t *rom;

	start(LONG);
	rom = vm_add_slot(&vm, 1, HV_SLOT_READONLY, HOLE, 0x2000);
	memcpy(rom, vm.ram + STEP_IDT64, 0x1000);
	r->sregs.idt.base = HOLE;
	r->dirty |= HV_REGS_SREGS;
	CHECK_EQ(STEP(&s, int_n), SOFTWARE);
	STEP_BEGIN(&s, ud);
	r->gprs.r[HV_RSP] = HOLE + 0x2000;
	vcpu_expect(&v, HV_EXIT_ERROR);
	CHECK_EQ(r->exit.error.code, HV_ERROR_FETCH);
	CHECK_EQ(r->exit.error.hw_reason & (HV_FAULT_EVENT | HV_FAULT_WRITE),
		 HV_FAULT_EVENT | HV_FAULT_WRITE);
	CHECK_EQ(r->exit.error.hw_info[0] >> 12, (HOLE + 0x1000) >> 12);
	r->gprs.r[HV_RSP] = STEP_STACK;
	r->dirty = HV_REGS_GPR;
	CHECK_EQ(step_run(&s), UD);
}

/* ---- NMIs, and the IRET that ends their masking ---- */

#define HANDLER(vector) (STEP_TRAPS64 + 16u * (vector))
#define FETCHED		0x10 /* error code of a page fault */

/*
 * In the handler of an NMI, on the stack of IST 2. Page faults and #GP use IST 1.
 * Interrupted is a NOP.
 */
static void enter_nmi(void)
{
	start(LONG);
	set_ist(NMI, 2);
	set_ist(PF, 1);
	set_ist(GP, 1);
	/* Stage 2 has all that is needed. */
	load_unmapped();
	CHECK_EQ(STEP(&s, load_rbx), PF);
	load_selector();
	CHECK_EQ(STEP(&s, load_es), GP);
	CHECK_EQ(r->events.nmi_masked, 0);
	STEP_BEGIN(&s, nop);
	raise_nmi();
	CHECK_EQ(step_run(&s), NMI);
	CHECK_EQ(s.rip, s.start);
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 0);
}

/* The same, while others wait: of those that come while they are masked one is kept. */
static void enter_nmi_others_wait(void)
{
	enter_nmi();
	raise_nmi();
	raise_nmi();
	raise_nmi();
}

/* The other one arrives, interrupting at rip; it is the last. */
static void expect_second_nmi(uint64_t rip)
{
	CHECK_EQ(step_run(&s), NMI);
	CHECK_EQ(s.rip, rip);
	CHECK_EQ(s.rflags & FLAG_TF, 0);
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 0);
}

static void expect_end(void)
{
	step_return(&s, s.end);
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	CHECK_EQ(r->events.nmi_masked, 0);
	CHECK_EQ(r->events.nmi_pending, 0);
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
}

/* The processor takes one and latches one; more are lost. Posted, or set by EVENTS. */
static void nmis_at_once(void)
{
	start(LONG);
	/* The latch of one that is masked holds one. */
	r->events.nmi_masked = 1;
	r->events.nmi_pending = 2;
	vcpu_set(&v, HV_REGS_EVENTS);
	vcpu_get(&v, HV_REGS_EVENTS);
	CHECK_EQ(r->events.nmi_pending, 1);
	r->events.nmi_masked = 0;
	r->events.nmi_pending = 0;
	vcpu_set(&v, HV_REGS_EVENTS);
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
	for (unsigned int n = 1; n <= 4; n++) {
		STEP_BEGIN(&s, nop);
		for (unsigned int i = 0; i < n; i++)
			raise_nmi();
		if (n == 3) {
			/* Before the entry they are seen, and that takes none away. */
			vcpu_get(&v, HV_REGS_EVENTS);
			CHECK_EQ(r->events.nmi_pending, 2);
		}
		if (n == 4) {
			/* They wait for the entry; then these two are there already. */
			r->events.nmi_pending = 2;
			vcpu_set(&v, HV_REGS_EVENTS);
			vcpu_get(&v, HV_REGS_EVENTS);
			CHECK_EQ(r->events.nmi_pending, 2);
		}
		CHECK_EQ(step_run(&s), NMI);
		CHECK_EQ(s.rip, s.start);
		CHECK_EQ(r->events.nmi_masked, 1);
		CHECK_EQ(r->events.nmi_pending, n > 1);
		if (n > 1) {
			step_return(&s, s.start);
			expect_second_nmi(s.start);
		}
		expect_end();
	}
}

/*
 * IRET ended the masking and then faulted: the NMI comes in the fault's handler, at its
 * first instruction on VT-x. AMD-V without virtual NMIs learns of it at the next exit,
 * that of the handler's OUT.
 */
static void expect_fault_and_nmi(unsigned int vector, uint64_t error, uint64_t rip)
{
	struct step fault;

	if (step_run(&s) == NMI) {
		CHECK_EQ(s.rip, HANDLER(vector));
		CHECK_EQ(r->events.nmi_pending, 0);
		step_return(&s, HANDLER(vector));
		CHECK_EQ(step_run(&s), vector);
		fault = s;
	} else {
		CHECK_EQ(s.vector, vector);
		fault = s;
		CHECK_EQ(hv_caps().backend, HV_BACKEND_SVM);
		CHECK_EQ(r->events.nmi_masked, 0);
		CHECK_EQ(r->events.nmi_pending, 1);
		expect_second_nmi(HANDLER(vector) + 2);
		step_return(&s, HANDLER(vector));
		CHECK_EQ(step_run(&s), vector);
	}
	CHECK_EQ(fault.has_error, true);
	CHECK_EQ(fault.error, error);
	CHECK_EQ(fault.rip, rip);
	CHECK_EQ(fault.rflags & FLAG_TF, 0);
}

/* The frame's page is not present in the guest's tables. */
static void nmi_iret_page_fault(void)
{
	uint64_t iret;

	enter_nmi_others_wait();
	step_return(&s, s.start);
	iret = r->gprs.rip;
	r->gprs.r[HV_RSP] = UNMAPPED & ~7ul;
	expect_fault_and_nmi(PF, 0, iret);
	expect_end();
}

/* The frame's code segment does not exist. */
static void nmi_iret_selector(void)
{
	uint64_t iret;

	enter_nmi_others_wait();
	step_return(&s, s.start);
	iret = r->gprs.rip;
	guest_at(&vm, uint64_t, r->gprs.r[HV_RSP] + 8) = 0x1008;
	expect_fault_and_nmi(GP, 0x1008, iret);
	expect_end();
}

/* No other waits: masking has ended by the time of the fault all the same. */
static void nmi_iret_alone(void)
{
	enter_nmi();
	step_return(&s, s.start);
	r->gprs.r[HV_RSP] = UNMAPPED & ~7ul;
	CHECK_EQ(step_run(&s), PF);
	CHECK_EQ(r->events.nmi_masked, 0);
	raise_nmi();
	expect_second_nmi(HANDLER(PF) + 2);
	step_return(&s, s.rip - 2);
	CHECK_EQ(step_run(&s), PF);
	expect_end();
}

/* A fault of another instruction ends nothing; the IRET of its handler does. */
static void nmi_handler_faults(void)
{
	enter_nmi_others_wait();
	STEP_BEGIN(&s, load_rbx);
	load_unmapped();
	CHECK_EQ(step_run(&s), PF);
	CHECK_EQ(s.rip, s.start);
	CHECK_EQ(s.rflags & FLAG_TF, 0);
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 1);
	step_return(&s, s.end);
	expect_second_nmi(s.end);
	expect_end();
}

/* IRET works, and the instruction behind it is not present: the NMI comes before its #PF. */
static void nmi_iret_to_absent(void)
{
	enter_nmi_others_wait();
	step_return(&s, UNMAPPED);
	expect_second_nmi(UNMAPPED);
	step_return(&s, UNMAPPED);
	CHECK_EQ(step_run(&s), PF);
	CHECK_EQ(s.error, FETCHED);
	CHECK_EQ(s.rip, UNMAPPED);
	expect_end();
}

/* Stage 2 has lost what IRET needs: it is repeated, and masking ends when it is done. */
static void nmi_iret_stage2(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
		for (unsigned int touched = 0; touched < 2; touched++) {
			enter_nmi_others_wait();
			step_return(&s, s.start);
			step_drop(&vm, r->gprs.r[HV_RSP] & ~0xfffull, 0x1000);
			if (places[k].len)
				step_drop(&vm, places[k].gpa, places[k].len);
			if (touched)
				touch(&places[k]);
			expect_second_nmi(s.start);
			step_return(&s, s.start);
			CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
			CHECK_EQ(r->events.nmi_masked, 0);
			vcpu_close(&v);
			vm_close(&vm);
		}
	}
}

/* IRET from where there is no memory is user space's to carry out: still masked there. */
static void nmi_iret_hole(void)
{
	uint64_t rsp;

	enter_nmi_others_wait();
	step_return(&s, s.start);
	rsp = r->gprs.r[HV_RSP];
	r->gprs.r[HV_RSP] = HOLE;
	vcpu_expect(&v, HV_EXIT_EMULATE);
	CHECK_EQ(r->exit.emulate.gpa >> 12, HOLE >> 12);
	CHECK_EQ(r->exit.emulate.insn[0], 0x48);
	CHECK_EQ(r->exit.emulate.insn[1], 0xcf);
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 1);
	r->gprs.r[HV_RSP] = rsp;
	r->dirty = HV_REGS_GPR;
	expect_second_nmi(s.start);
	expect_end();
}

/*
 * The handler had enabled interrupts, and one is taken when the IRET was met, but not
 * carried out: NMIs are masked until that one's IRET, which is the first.
 */
static void nmi_iret_interrupted(void)
{
	const uint64_t copy = STEP_FREE + 0x800;
	uint64_t iret;

	enter_nmi_others_wait();
	step_return(&s, s.start);
	iret = r->gprs.rip;
	/* The other NMI's frame must not overwrite this one's. */
	memcpy(vm.ram + copy, vm.ram + r->gprs.r[HV_RSP], 5 * 8);
	r->gprs.r[HV_RSP] = HOLE;
	vcpu_expect(&v, HV_EXIT_EMULATE);
	CHECK_EQ(r->gprs.rip, iret);
	r->gprs.r[HV_RSP] = copy;
	raise_interrupt();
	r->dirty = HV_REGS_GPR;
	CHECK_EQ(step_run(&s), INTERRUPT);
	CHECK_EQ(s.rip, iret);
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 1);
	vcpu_eoi(&v);
	step_return(&s, iret);
	expect_second_nmi(iret);
	step_return(&s, iret);
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	CHECK_EQ(r->events.nmi_masked, 0);
	CHECK_EQ(r->events.nmi_pending, 0);
}

/*
 * The step over an IRET, where there is one, leaves no trace in DR6, and what is there of
 * old (a breakpoint, a single step) makes no #DB of it.
 */
static void nmi_iret_dr6(void)
{
	static const uint64_t old[] = {0xffff0ff0, 0xffff4ff0, 0xffff0ff1,
				       0xffff4ff5, 0xffff2ff0, 0xffff8ff0};

	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		enter_nmi_others_wait();
		r->dregs = (struct hv_dregs){.dr = {STEP_FREE}, .dr6 = old[i], .dr7 = 0xd0402};
		vcpu_set(&v, HV_REGS_DREGS);
		step_return(&s, s.start);
		expect_second_nmi(s.start);
		vcpu_get(&v, HV_REGS_DREGS);
		CHECK_EQ(r->dregs.dr6, old[i]);
		vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
		expect_end();
		vcpu_close(&v);
		vm_close(&vm);
	}
}

static const struct test tests[] = {
	{"real_mode", real_mode, 0},
	{"protected_mode", protected_mode, 0},
	{"pae", pae, 0},
	{"long_mode", long_mode, 0},
	{"long_mode_ist", long_mode_ist, 0},
	{"nmi_and_interrupt", nmi_and_interrupt, 0},
	{"double_fault", double_fault, 0},
	{"hole", hole, 0},
	{"taken_back", taken_back, 0},
	{"read_only", read_only, 0},
	{"nmis_at_once", nmis_at_once, 0},
	{"nmi_iret_page_fault", nmi_iret_page_fault, 0},
	{"nmi_iret_selector", nmi_iret_selector, 0},
	{"nmi_iret_alone", nmi_iret_alone, 0},
	{"nmi_handler_faults", nmi_handler_faults, 0},
	{"nmi_iret_to_absent", nmi_iret_to_absent, 0},
	{"nmi_iret_stage2", nmi_iret_stage2, 0},
	{"nmi_iret_hole", nmi_iret_hole, 0},
	{"nmi_iret_interrupted", nmi_iret_interrupted, 0},
	{"nmi_iret_dr6", nmi_iret_dr6, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
