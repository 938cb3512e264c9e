// SPDX-License-Identifier: GPL-2.0
/* Injection, windows and NMI masking on AMD-V: APM Vol. 2, 15.20 and 15.21. */
#include <linux/smp.h>
#include <asm/processor-flags.h>

#include "svm.h"

/* Faults that a step may meet, and then pushes its TF. */
#define STEP_FAULTS                                               \
	(BIT(X86_TRAP_DE) | BIT(X86_TRAP_UD) | BIT(X86_TRAP_NM) | \
	 GENMASK(X86_TRAP_PF, X86_TRAP_TS) | BIT(X86_TRAP_MF) | BIT(X86_TRAP_XF))

/*
 * One instruction under TF, to exit behind it. The #DB intercept hides the trap
 * from the guest.
 */
static void step_on(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (s->step)
		return;
	s->step = true;
	s->step_tf = v->gprs.rflags & X86_EFLAGS_TF;
	v->gprs.rflags |= X86_EFLAGS_TF;
	s->vmcb->c.intercept[2] |= STEP_FAULTS;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
}

/* Back to the guest's own TF; whoever wanted the step looks again. */
void svm_step_off(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (!s->step)
		return;
	s->step = false;
	v->scan = true;
	s->vmcb->c.intercept[2] &= ~(u32)STEP_FAULTS;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
	/* An IRET that was stepped over has loaded flags of its own. */
	if (!s->step_tf && !s->step_over_iret)
		v->gprs.rflags &= ~X86_EFLAGS_TF;
	s->step_over_iret = false;
}

#define V_IRQ_BITS (INT_V_IRQ | INT_V_PRIO(0xf) | INT_V_IGN_TPR)

/*
 * Under a hypervisor an interrupt goes in as a virtual one, which the processor takes
 * at once: the caller has seen that it can. Not by EVENTINJ, after which QEMU (7.2 at
 * least) keeps the vector and may deliver it a second time. Elsewhere not so, since
 * Bochs (2.7 at least) takes none before the guest has set IF anew.
 */
static void inject_virtual(struct hv_vcpu *v, u8 vector)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	s->virq = true;
	b->c.int_ctl |= V_IRQ_BITS;
	b->c.int_vector = vector;
	b->c.intercept[3] &= ~ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

/* After an exit: was the virtual interrupt taken? Otherwise it goes in again. */
void svm_virq_done(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;
	struct hv_event e = {.type = EVENT_INTERRUPT, .vector = b->c.int_vector};

	s->virq = false;
	if (b->c.int_ctl & INT_V_IRQ && v->inject.type == EVENT_NONE)
		event_requeue(v, &e);
	b->c.int_ctl &= ~V_IRQ_BITS;
	vmcb_dirty(b, CLEAN_TPR);
}

void svm_inject(struct hv_vcpu *v, const struct hv_event *e)
{
	struct vmcb *b = to_svm(v)->vmcb;
	u32 inj = EVT_VALID | e->vector;

	/* A single step of ours must not be pushed with the flags. */
	svm_step_off(v);
	if (e->type == EVENT_INTERRUPT && svm_features.injects_twice) {
		inject_virtual(v, e->vector);
		return;
	}
	if (e->type == EVENT_INTERRUPT)
		inj |= EVT_TYPE_INTR;
	else if (e->type == EVENT_NMI)
		inj |= EVT_TYPE_NMI;
	else
		inj |= EVT_TYPE_EXCEPTION;
	if (e->has_error) {
		inj |= EVT_ERROR_VALID;
		b->c.event_inj_error = e->error;
	}
	b->c.event_inj = inj;
	/* The frame that is pushed ends the shadow. */
	v->shadow = 0;
}

/*
 * An exit came while an event was delivered. Software interrupts and INT3, INTO
 * are not repeated here: RIP is still on the instruction, which repeats itself.
 */
void svm_requeue(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;
	u32 info = b->c.exit_int_info;
	struct hv_event e = {
		.vector = info & 0xff,
		.has_error = info & EVT_ERROR_VALID,
		.error = b->c.exit_int_error,
	};

	switch (info & EVT_TYPE_MASK) {
	case EVT_TYPE_INTR:
		e.type = EVENT_INTERRUPT;
		break;
	case EVT_TYPE_NMI:
		e.type = EVENT_NMI;
		break;
	case EVT_TYPE_EXCEPTION:
		if (e.vector == X86_TRAP_BP || e.vector == X86_TRAP_OF)
			return;
		/* QEMU calls an interrupt whose delivery was cut short an exception. */
		e.type = e.vector > 31 ? EVENT_INTERRUPT : EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	event_requeue(v, &e);
}

/* Exit after one instruction, or after the delivery of the event that goes in now. */
static void leave_after(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (!s->virq && !(s->vmcb->c.event_inj & EVT_VALID)) {
		step_on(v);
		return;
	}
	v->scan = true;
	/*
	 * A step's TF would be pushed with the flags. So an interrupt of the host
	 * makes this CPU leave the guest right after the delivery. A virtual one it
	 * would precede, for ever: what waits is looked at after the next exit then.
	 */
	if (!s->virq)
		smp_send_reschedule(smp_processor_id());
}

/*
 * A virtual interrupt of highest priority, whose intercept is the window. In a
 * shadow one instruction is stepped over first: QEMU's VMRUN (7.2 at least) does
 * not load the shadow, and would take the interrupt between STI and HLT.
 */
void svm_interrupt_window(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	/* One is on its way; what waits is looked at after the next exit, its EOI at the latest. */
	if (to_svm(v)->virq) {
		v->scan = true;
		return;
	}
	if (v->shadow && svm_features.loses_shadow) {
		leave_after(v);
		return;
	}
	b->c.int_ctl |= V_IRQ_BITS;
	b->c.int_vector = 0;
	b->c.intercept[3] |= ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

void svm_close_interrupt_window(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->c.int_ctl &= ~V_IRQ_BITS;
	b->c.intercept[3] &= ~ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

bool svm_nmi_masked(struct hv_vcpu *v)
{
	return to_svm(v)->nmi_masked;
}

/* NMIs are masked until the handler's IRET, so that is intercepted. */
void svm_set_nmi_masked(struct hv_vcpu *v, bool masked)
{
	struct svm_vcpu *s = to_svm(v);

	s->nmi_masked = masked;
	s->nmi_awaits_iret = false;
	if (masked)
		s->vmcb->c.intercept[3] |= ICPT3_IRET;
	else
		s->vmcb->c.intercept[3] &= ~ICPT3_IRET;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
}

/* An NMI waits: for the handler's IRET, and then for that to be carried out. */
void svm_nmi_window(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (!s->nmi_masked || s->nmi_awaits_iret)
		leave_after(v);
}

/* The intercept comes before IRET is carried out: NMIs stay masked until it was. */
void svm_exit_iret(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	s->vmcb->c.intercept[3] &= ~ICPT3_IRET;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
	s->nmi_awaits_iret = true;
	s->iret_rip = v->gprs.rip;
	v->scan = true;
}

/* After every exit while an IRET is awaited: was it carried out? */
void svm_nmi_iret_done(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (v->gprs.rip == s->iret_rip)
		return;
	s->nmi_awaits_iret = false;
	s->nmi_masked = false;
	v->scan = true;
	/* IRET has loaded the guest's own flags. */
	s->step_over_iret = s->step;
}

/*
 * The instruction that was stepped over faults: the guest gets the fault without our
 * TF. An IRET has ended the masking of NMIs by then.
 */
bool svm_step_fault(struct hv_vcpu *v, u64 code)
{
	struct svm_vcpu *s = to_svm(v);
	u64 vector = code - SVM_EXIT_EXCP;

	if (!s->step || vector > 31 || !(STEP_FAULTS >> vector & 1))
		return false;
	if (s->nmi_awaits_iret) {
		s->nmi_awaits_iret = false;
		s->nmi_masked = false;
	}
	svm_step_off(v);
	if (vector == X86_TRAP_PF)
		v->cr2 = s->vmcb->c.exit_info_2;
	event_exception(v, vector, vector >= X86_TRAP_TS && vector <= X86_TRAP_PF,
			s->vmcb->c.exit_info_1);
	return true;
}

/* #DB: true when it was our single step alone, and the guest must not see it. */
bool svm_step_done(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	bool ours = s->step && !s->step_tf;

	svm_step_off(v);
	if (!ours)
		return false;
	/* DR6.BS was set by the step; breakpoints that hit are the guest's. */
	s->vmcb->s.dr6 &= ~(u64)DR_STEP;
	vmcb_dirty(s->vmcb, CLEAN_DR);
	return !(s->vmcb->s.dr6 & DR_TRAP_BITS);
}

/* CR8 writes exit only while the task priority holds an interrupt back. */
void svm_tpr_threshold(struct hv_vcpu *v, bool exit_on_lower)
{
	struct svm_vcpu *s = to_svm(v);

	if (likely(s->cr8_intercept == exit_on_lower))
		return;
	s->cr8_intercept = exit_on_lower;
	if (exit_on_lower)
		s->vmcb->c.intercept[0] |= BIT(ICPT_CR_WRITE(8));
	else
		s->vmcb->c.intercept[0] &= ~BIT(ICPT_CR_WRITE(8));
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
}
