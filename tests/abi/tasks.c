// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches where the processor leaves them to user space (VT-x): what the exit says,
 * that it comes again until user space has done its part, and that what came to a task
 * gate is delivered once. That vmm does its part right is tests/boot/tasks.sh's to find
 * out. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include "tests/lib/harness.h"
#include "tests/lib/step.h"

#define INTERRUPT 0x41
#define SOFTWARE  0x60

CODE(32, nop, "nop");
CODE(32, int_n, "int $0x60");
CODE(32, int_3, "int3");
CODE(32, into, "into");
CODE(32, load_es, "mov %eax, %es");
CODE(32, jump_task, "ljmp $0x70, $0");
CODE(32, call_task, "lcall $0x70, $0");
CODE(32, iret_, "iret");

/* Of the one test that runs in this process. */
static struct vm vm;
static struct vcpu v;
static struct step s;
static struct hv_run *r;

/* Selectors of the guest's GDT behind those of tests/lib/vm.h, and their TSSs. */
enum {
	SEL_NEW = 0x70,
	SEL_OLD = 0x78,
};
#define NEW_TSS	  STEP_FREE
#define OLD_TSS	  (STEP_FREE + 0x100)
#define TSS_LIMIT 103
#define DESC_TSS  0x89ull
#define DESC_BUSY 0x02ull
#define DESC_GATE 0x85ull

#define RFLAGS_NT 0x4000ul
#define RFLAGS_OF 0x800ul

static void set_tss(uint16_t selector, uint32_t base, uint64_t type)
{
	guest_at(&vm, uint64_t, GUEST_GDT + selector) =
		TSS_LIMIT | (uint64_t)base << 16 | type << 40;
}

static void set_task_gate(unsigned int vector)
{
	guest_at(&vm, uint64_t, STEP_IDT32 + 8 * vector) = SEL_NEW << 16 | DESC_GATE << 40;
}

static void start(void)
{
	if (!host_is_vmx())
		test_skip("the processor switches tasks by itself");
	step_init(&s, &v, &vm);
	r = v.run;
	step_prot(&s);
	vcpu_x2apic_on(&v);
	set_tss(SEL_NEW, NEW_TSS, DESC_TSS);
	set_tss(SEL_OLD, OLD_TSS, DESC_TSS | DESC_BUSY);
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
	r->sregs.tr = (struct hv_segment){
		.base = OLD_TSS, .limit = TSS_LIMIT, .ar = 0x8b, .selector = SEL_OLD};
	r->dirty = HV_REGS_SREGS;
}

/* The step meets the switch, and meets it again as long as nothing is done about it. */
static void expect(enum hv_task_source source, unsigned int flags, uint64_t next)
{
	for (unsigned int i = 0; i < 3; i++) {
		vcpu_expect(&v, HV_EXIT_TASK);
		CHECK_EQ(r->valid, HV_REGS_ALL);
		CHECK_EQ(r->exit.task.selector, SEL_NEW);
		CHECK_EQ(r->exit.task.source, source);
		CHECK_EQ(r->exit.task.flags, flags);
		CHECK_EQ(r->exit.task.next_rip, next);
		CHECK_EQ(r->gprs.rip, s.start);
		CHECK_EQ(r->sregs.tr.selector, SEL_OLD);
	}
}

/* As far as the module is concerned the switch is done: go on behind the instruction. */
static void carry_out(void)
{
	r->gprs.rip = s.end;
	r->dirty = HV_REGS_GPR | HV_REGS_EVENTS;
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
}

/* ---- Instructions ---- */

static void instructions(void)
{
	start();
	STEP_BEGIN(&s, jump_task);
	expect(HV_TASK_JMP, 0, s.end);
	carry_out();
	STEP_BEGIN(&s, call_task);
	expect(HV_TASK_CALL, 0, s.end);
	carry_out();

	set_tss(SEL_NEW, NEW_TSS, DESC_TSS | DESC_BUSY);
	guest_at(&vm, uint16_t, OLD_TSS) = SEL_NEW;
	STEP_BEGIN(&s, iret_);
	r->gprs.rflags |= RFLAGS_NT;
	expect(HV_TASK_IRET, 0, s.end);
	r->gprs.rflags = 2;
	carry_out();
}

/* They are repeated as instructions, not as events. */
static void software_interrupts(void)
{
	start();
	set_task_gate(SOFTWARE);
	set_task_gate(BP);
	set_task_gate(OF);
	STEP_BEGIN(&s, int_n);
	expect(HV_TASK_GATE, 0, s.end);
	carry_out();
	STEP_BEGIN(&s, int_3);
	expect(HV_TASK_GATE, 0, s.end);
	carry_out();
	STEP_BEGIN(&s, into);
	r->gprs.rflags = RFLAGS_OF | 2;
	expect(HV_TASK_GATE, 0, s.end);
	carry_out();
}

/* ---- Events ---- */

static void exception(void)
{
	start();
	set_task_gate(GP);
	STEP_BEGIN(&s, load_es);
	r->gprs.r[HV_RAX] = 0x1008;
	expect(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE, s.start);
	CHECK_EQ(r->exit.task.error, 0x1008);
	CHECK_EQ(r->events.exception, HV_EVENT_PENDING | HV_EVENT_ERROR_CODE);
	CHECK_EQ(r->events.exception_vector, GP);
	CHECK_EQ(r->gprs.rflags & FLAG_RF, FLAG_RF);
	r->events.exception = 0;
	carry_out();
}

static void interrupt_at_gate(void)
{
	start();
	set_task_gate(INTERRUPT);
	STEP_BEGIN(&s, nop);
	r->gprs.rflags |= FLAG_IF;
	CHECK_EQ(vm_msi(&vm, 0, INTERRUPT), 1);
	expect(HV_TASK_GATE, HV_TASK_EVENT, s.start);
}

static void interrupt(void)
{
	interrupt_at_gate();
	CHECK_EQ(r->events.interrupt, HV_EVENT_PENDING);
	CHECK_EQ(r->events.interrupt_vector, INTERRUPT);
	r->events.interrupt = 0;
	carry_out();
	/* It is in service, and does not come a second time. */
	STEP_DO(&s, nop);
	vcpu_eoi(&v);
	STEP_DO(&s, nop);
}

/* A fault in its stead: the interrupt is to come when that was handled. */
static void interrupt_put_back(void)
{
	interrupt_at_gate();
	r->events.exception = HV_EVENT_PENDING | HV_EVENT_ERROR_CODE;
	r->events.exception_vector = PF;
	r->dirty = HV_REGS_EVENTS;
	CHECK_EQ(step_run(&s), PF);
	step_return(&s, s.start);
	expect(HV_TASK_GATE, HV_TASK_EVENT, s.start);
	r->events.interrupt = 0;
	carry_out();
}

static void nmi(void)
{
	start();
	set_task_gate(NMI);
	STEP_BEGIN(&s, nop);
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	expect(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI, s.start);
	CHECK_EQ(r->events.nmi_masked, 0);
	CHECK_EQ(r->events.nmi_pending, 1);

	/* One that comes meanwhile waits until the task has ended. */
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	expect(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI | HV_TASK_NMI_PENDING, s.start);
	r->events.nmi_masked = 1;
	carry_out();
	CHECK_EQ(r->events.nmi_masked, 1);
	CHECK_EQ(r->events.nmi_pending, 1);
	STEP_BEGIN(&s, nop);
	r->events.nmi_masked = 0;
	r->dirty |= HV_REGS_EVENTS;
	expect(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI, s.start);
	r->events.nmi_masked = 1;
	r->events.nmi_pending = 0;
	carry_out();
	CHECK_EQ(r->events.nmi_pending, 0);
}

static const struct test tests[] = {
	{"instructions", instructions, 0},
	{"software_interrupts", software_interrupts, 0},
	{"exception", exception, 0},
	{"interrupt", interrupt, 0},
	{"interrupt_put_back", interrupt_put_back, 0},
	{"nmi", nmi, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
