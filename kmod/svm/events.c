// SPDX-License-Identifier: GPL-2.0
/* Injection, windows and NMI masking on AMD-V: APM Vol. 2, 15.20 and 15.21. */
#include <linux/smp.h>
#include <asm/processor-flags.h>

#include "svm.h"

/* Faults that a step may meet, and then pushes its TF. */
#define STEP_FAULTS                                               \
	(BIT(X86_TRAP_DE) | BIT(X86_TRAP_UD) | BIT(X86_TRAP_NM) | \
	 GENMASK(X86_TRAP_PF, X86_TRAP_TS) | BIT(X86_TRAP_MF) | BIT(X86_TRAP_XF))

/* What a #DB under a step may have beside the step's own BS: the guest's. */
#define DR6_BD	 BIT_ULL(13)
#define DR6_HITS (DR_TRAP_BITS | DR6_BD | DR_SWITCH)

/*
 * One instruction under TF, to exit behind it. The #DB intercept hides the trap
 * from the guest. Bits of DR6 only ever add up, so it begins without.
 */
static void step_begin(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	if (s->step)
		return;
	s->step = s->nmi == NMI_RETURNS ? STEP_IRET : STEP_SHADOW;
	s->step_tf = v->gprs.rflags & X86_EFLAGS_TF;
	s->step_dr6 = b->s.dr6;
	v->gprs.rflags |= X86_EFLAGS_TF;
	b->s.dr6 &= ~(DR6_HITS | DR_STEP);
	b->c.intercept[2] |= STEP_FAULTS;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_DR);
}

/* Back to the guest's own TF and DR6; whoever wanted the step looks again. */
void svm_step_end(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	if (!s->step)
		return;
	if (!s->step_tf && s->step != STEP_RETURNED)
		v->gprs.rflags &= ~X86_EFLAGS_TF;
	s->step = STEP_NONE;
	v->scan = true;
	b->s.dr6 = s->step_dr6 | (b->s.dr6 & (s->step_tf ? DR6_HITS | DR_STEP : DR6_HITS));
	b->c.intercept[2] &= ~(u32)STEP_FAULTS;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_DR);
}

void svm_inject(struct hv_vcpu *v, const struct hv_event *e)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;
	u32 inj = EVT_VALID | e->vector;

	/* A single step of ours must not be pushed with the flags. */
	svm_step_end(v);
	/* Taken before the IRET, which is then still to be met: if not by its handler's own. */
	if (s->nmi == NMI_RETURNS)
		svm_set_nmi_masked(v, true);
	if (e->type == EVENT_INTERRUPT && svm_quirks.injects_twice) {
		svm_inject_virtual(v, e->vector);
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
	v->shadow = SHADOW_NONE;
}

/*
 * #BP and #OF look alike whether INT3, INTO made them or user space: only for the
 * latter did one go in with the entry.
 */
static bool repeats_itself(u8 vector, u32 injected)
{
	return (vector == X86_TRAP_BP || vector == X86_TRAP_OF) &&
	       injected != (EVT_VALID | EVT_TYPE_EXCEPTION | vector);
}

/*
 * An exit came while an event was delivered. Software interrupts and INT3, INTO
 * are not repeated here: RIP is still on the instruction, which repeats itself.
 */
void svm_requeue(struct hv_vcpu *v, u32 injected)
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
		if (repeats_itself(e.vector, injected))
			return;
		e.type = svm_quirk_is_interrupt(e.vector) ? EVENT_INTERRUPT : EVENT_EXCEPTION;
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
		step_begin(v);
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
	if (v->shadow && svm_quirks.loses_shadow) {
		leave_after(v);
		return;
	}
	b->c.int_ctl |= INT_V_IRQ_BITS;
	b->c.intercept[3] |= ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

void svm_close_interrupt_window(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->c.int_ctl &= ~INT_V_IRQ_BITS;
	b->c.intercept[3] &= ~ICPT3_VINTR;
	vmcb_dirty(b, CLEAN_INTERCEPTS | CLEAN_TPR);
}

bool svm_nmi_masked(struct hv_vcpu *v)
{
	return to_svm(v)->nmi != NMI_OPEN;
}

void svm_set_nmi_masked(struct hv_vcpu *v, bool masked)
{
	struct svm_vcpu *s = to_svm(v);

	s->nmi = masked ? NMI_MASKED : NMI_OPEN;
	if (masked)
		s->vmcb->c.intercept[3] |= ICPT3_IRET;
	else
		s->vmcb->c.intercept[3] &= ~ICPT3_IRET;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
}

/* An NMI waits: for an IRET to be met, which exits by itself, and to be carried out. */
void svm_nmi_window(struct hv_vcpu *v)
{
	if (to_svm(v)->nmi != NMI_MASKED)
		leave_after(v);
}

void svm_exit_iret(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	s->vmcb->c.intercept[3] &= ~ICPT3_IRET;
	vmcb_dirty(s->vmcb, CLEAN_INTERCEPTS);
	s->nmi = NMI_RETURNS;
	s->iret_rip = v->gprs.rip;
	v->scan = true;
}

/*
 * After every exit while an IRET is to be carried out: was it? No event went in since
 * it was met, so that RIP has moved says so, or that it faulted, which is as good.
 */
void svm_nmi_returns(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (v->gprs.rip == s->iret_rip)
		return;
	s->nmi = NMI_OPEN;
	v->scan = true;
	if (s->step)
		s->step = STEP_RETURNED;
}

/*
 * The instruction that was stepped over faults: the guest gets the fault without our
 * TF. An IRET has ended the masking of NMIs by then.
 */
bool svm_step_fault(struct hv_vcpu *v, u64 code)
{
	struct svm_vcpu *s = to_svm(v);
	u64 vector = code - SVM_EXIT_EXCP;

	if (vector > 31 || !(STEP_FAULTS >> vector & 1))
		return false;
	if (s->step == STEP_IRET)
		s->nmi = NMI_OPEN;
	svm_step_end(v);
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
	bool ours = s->step && !s->step_tf && !(s->vmcb->s.dr6 & DR6_HITS);

	svm_step_end(v);
	return ours;
}

/* CR8 writes exit only while the task priority holds an interrupt back. */
void svm_tpr_threshold(struct hv_vcpu *v, bool exit_on_lower)
{
	struct vmcb *b = to_svm(v)->vmcb;
	u32 bit = exit_on_lower ? BIT(ICPT_CR_WRITE(8)) : 0;

	if (likely((b->c.intercept[0] & BIT(ICPT_CR_WRITE(8))) == bit))
		return;
	b->c.intercept[0] ^= BIT(ICPT_CR_WRITE(8));
	vmcb_dirty(b, CLEAN_INTERCEPTS);
}
