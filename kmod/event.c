// SPDX-License-Identifier: GPL-2.0
/*
 * What the next entry delivers: the order of events (Intel SDM Vol. 3, 6.9;
 * AMD APM Vol. 2, 8.5), written once for both backends.
 */
#include <asm/processor-flags.h>

#include "hv_internal.h"

static bool contributory(u8 vector)
{
	return vector == X86_TRAP_DE || (vector >= X86_TRAP_TS && vector < X86_TRAP_PF);
}

/*
 * Raise an exception on the vCPU. Two of them make a double fault as Intel SDM
 * Vol. 3, table 6-5 says; the third is the processor's own business.
 */
void event_exception(struct hv_vcpu *v, u8 vector, bool has_error, u32 error)
{
	struct hv_event *e = &v->exception;

	if (e->type && (contributory(e->vector) || e->vector == X86_TRAP_PF) &&
	    (contributory(vector) || (vector == X86_TRAP_PF && e->vector == X86_TRAP_PF))) {
		vector = X86_TRAP_DF;
		has_error = true;
		error = 0;
	}
	*e = (struct hv_event){
		.type = EVENT_EXCEPTION,
		.vector = vector,
		.has_error = has_error,
		.error = error,
	};
}

void event_requeue(struct hv_vcpu *v, const struct hv_event *e)
{
	v->inject = *e;
}

/* An exception comes before the event that was cut short: take that back. */
static void take_back(struct hv_vcpu *v)
{
	if (v->inject.type == EVENT_INTERRUPT)
		lapic_unaccept(&v->lapic, v->inject.vector);
	else if (v->inject.type == EVENT_NMI) {
		v->nmi_count++;
		hv_op(set_nmi_masked)(v, false);
	}
	v->inject.type = EVENT_NONE;
	v->scan = true;
}

/* Exceptions that are no faults: traps, aborts, and #DB, which is of both kinds. */
#define NOT_FAULTS                                                                    \
	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_NMI) | BIT(X86_TRAP_BP) | BIT(X86_TRAP_OF) | \
	 BIT(X86_TRAP_DF) | BIT(X86_TRAP_MC))

/* Returns whether the entry delivers an exception or an event cut short. */
static bool inject_first(struct hv_vcpu *v)
{
	struct hv_event *e = &v->exception;

	if (e->type) {
		if (v->inject.type)
			take_back(v);
	} else if (v->inject.type) {
		e = &v->inject;
	} else {
		return false;
	}
	/* In real mode no error code is pushed. */
	if (!(v->cr0 & X86_CR0_PE))
		e->has_error = false;
	/*
	 * What is pushed is what is in the register: so that the instruction, executed again,
	 * does not meet its breakpoint a second time (Intel SDM Vol. 3, 17.3.1.1).
	 */
	if (e->type == EVENT_EXCEPTION && !(NOT_FAULTS >> e->vector & 1))
		v->gprs.rflags |= X86_EFLAGS_RF;
	hv_op(inject)(v, e);
	e->type = EVENT_NONE;
	return true;
}

static bool inject_nmi(struct hv_vcpu *v, bool busy)
{
	static const struct hv_event nmi = {.type = EVENT_NMI, .vector = X86_TRAP_NMI};

	if (busy || v->shadow || hv_op(nmi_masked)(v)) {
		hv_op(nmi_window)(v);
		return busy;
	}
	v->nmi_count--;
	hv_op(set_nmi_masked)(v, true);
	hv_op(inject)(v, &nmi);
	if (v->nmi_count)
		hv_op(nmi_window)(v);
	return true;
}

static void inject_interrupt(struct hv_vcpu *v, bool busy)
{
	int vector = lapic_deliverable(&v->lapic);
	struct hv_event e = {.type = EVENT_INTERRUPT, .vector = vector};

	/* Something waits, but the task priority holds it back: tell us when that falls. */
	hv_op(tpr_threshold)(v, vector < 0 && lapic_highest_irr(&v->lapic) >= 0);
	if (vector < 0)
		return;
	if (busy || v->shadow || !(v->gprs.rflags & X86_EFLAGS_IF)) {
		hv_op(interrupt_window)(v);
		return;
	}
	/* What ran out until now is one with what is latched; the timer goes on behind that. */
	if (unlikely(v->timer_waits))
		clock_timer_expire(v);
	lapic_accept(&v->lapic, vector);
	if (unlikely(v->timer_waits))
		clock_timer_update(v);
	hv_op(inject)(v, &e);
}

void event_choose(struct hv_vcpu *v)
{
	bool busy = inject_first(v);

	if (!v->scan)
		return;
	v->scan = false;
	if (v->nmi_count)
		busy = inject_nmi(v, busy);
	if (lapic_enabled(&v->lapic))
		inject_interrupt(v, busy);
	else
		hv_op(tpr_threshold)(v, false);
}

static void take_init(struct hv_vcpu *v)
{
	state_reset(v, true);
	/* A BSP starts at the reset vector, the others wait for a SIPI. */
	v->mp_state = v->lapic.base & LAPIC_BASE_BSP ? HV_MP_RUNNABLE : HV_MP_INIT;
}

static void take_sipi(struct hv_vcpu *v, u8 vector)
{
	struct hv_sregs s;

	if (v->mp_state != HV_MP_INIT)
		return;
	hv_op(get_sregs)(v, &s);
	s.cs.selector = vector << 8;
	s.cs.base = vector << 12;
	hv_op(set_sregs)(v, &s);
	v->gprs.rip = 0;
	v->mp_state = HV_MP_RUNNABLE;
}

/*
 * INIT and SIPI are one word, since their order matters: where both are in it, the SIPI came
 * behind the INIT. An INIT cancels a SIPI that waits; a SIPI behind another finds nobody waiting.
 */
void event_post_init(struct hv_vcpu *v)
{
	atomic_set(&v->start, HV_START_INIT);
	vcpu_request(v, REQ_START);
}

void event_post_sipi(struct hv_vcpu *v, u8 vector)
{
	int start = atomic_read(&v->start);

	do {
		if (start & HV_START_SIPI)
			return;
	} while (!atomic_try_cmpxchg(&v->start, &start, start | START_SIPI(vector)));
	vcpu_request(v, REQ_START);
}

/* What the register group has. An INIT that waits is of the group's moment or newer, and cancels it. */
void event_load_start(struct hv_vcpu *v, int loaded)
{
	int start = atomic_read(&v->start), next;

	do {
		if (start & HV_START_INIT)
			return;
		next = start && !(loaded & HV_START_INIT) ? start : loaded;
	} while (!atomic_try_cmpxchg(&v->start, &start, next));
	vcpu_request(v, REQ_START);
}

static void take_start(struct hv_vcpu *v)
{
	int start = atomic_xchg(&v->start, 0);

	if (start & HV_START_INIT)
		take_init(v);
	if (start & HV_START_SIPI)
		take_sipi(v, start_vector(start));
}

void event_post_nmi(struct hv_vcpu *v)
{
	atomic_add_unless(&v->nmi_posted, 1, NMI_LIMIT);
	vcpu_request(v, REQ_NMI);
}

static void take_nmis(struct hv_vcpu *v)
{
	unsigned int n = v->nmi_count + atomic_xchg(&v->nmi_posted, 0);
	bool masked = hv_op(nmi_masked)(v) || v->inject.type == EVENT_NMI;

	v->nmi_count = min(n, event_nmi_limit(masked));
	v->scan = true;
}

/* The vCPU's thread, outside the guest; interrupts may be off. */
void event_take_interrupts(struct hv_vcpu *v)
{
	if (vcpu_test_request(v, REQ_EVENT))
		v->scan = true;
	if (vcpu_test_request(v, REQ_TIMER))
		clock_timer_update(v);
	if (vcpu_test_request(v, REQ_NMI))
		take_nmis(v);
}

/* As above, where sleeping is allowed. */
void event_take_requests(struct hv_vcpu *v)
{
	event_take_interrupts(v);
	if (vcpu_test_request(v, REQ_START))
		take_start(v);
}

/* Intel SDM Vol. 2, HLT; AMD APM Vol. 3, HLT. */
bool event_wakes(struct hv_vcpu *v)
{
	if (v->exception.type || v->inject.type)
		return true;
	if (v->nmi_count && !hv_op(nmi_masked)(v))
		return true;
	return v->gprs.rflags & X86_EFLAGS_IF && lapic_enabled(&v->lapic) &&
	       lapic_deliverable(&v->lapic) >= 0;
}
