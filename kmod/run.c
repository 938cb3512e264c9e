// SPDX-License-Identifier: GPL-2.0
/*
 * HV_RUN: the run loop. It is two nested ones. The inner one is atomic: preemption
 * off, guest state loaded once, { anything pending? enter; exit; handle } for as
 * long as exits can be handled without sleeping. The outer one may sleep: page-ins,
 * HLT, signals, the scheduler. Called by vcpu.c.
 */
#include <linux/interrupt.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/task_work.h>
#include <linux/vtime.h>
#include <asm/msr.h>

#include "hv_internal.h"

/* ------------------------------------------------------------------------- */
/* The inner loop                                                             */

/* What makes the thread return to user space, or another flag; cheap enough for every entry. */
static __always_inline bool thread_wanted(unsigned long flags)
{
	return read_thread_flags() & (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | flags) ||
	       task_work_pending(current);
}

static bool thread_work_pending(void)
{
	return thread_wanted(0);
}

#define REQS_OUTER (BIT(REQ_CLOCK) | BIT(REQ_START) | BIT(REQ_LEAVE))

/* Does the host, or a request that may sleep, want this thread out of the loop? */
static bool must_leave(struct hv_vcpu *v)
{
	return thread_wanted(COMPAT_TIF_RESCHED) || READ_ONCE(v->requests) & REQS_OUTER ||
	       compat_softirqs_wait();
}

/* In a closed stay interrupts are off already, and remain so. */
static __always_inline void stay_irq_off(void)
{
	if (!hv_host.closed_stays)
		local_irq_disable();
}

static __always_inline void stay_irq_on(void)
{
	if (!hv_host.closed_stays)
		local_irq_enable();
}

/* One entry and one exit. Interrupts go off for it. False: leave the loop. */
static bool enter_once(struct hv_vcpu *v)
{
	stay_irq_off();
	WRITE_ONCE(v->mode, VCPU_IN_GUEST);
	/* From here on a request comes with an IPI; those before it are seen now. */
	smp_mb();
	if (unlikely(must_leave(v) || !hardware_usable())) {
		WRITE_ONCE(v->mode, VCPU_OUTSIDE);
		stay_irq_on();
		return false;
	}
	if (unlikely(READ_ONCE(v->requests))) {
		event_take_interrupts(v);
		if (vcpu_test_request(v, REQ_TLB_FLUSH))
			v->flush = true;
	}
	event_prepare(v);

	hv_op(enter)(v);

	WRITE_ONCE(v->mode, VCPU_OUTSIDE);
	stay_irq_on();
	return true;
}

static __always_inline void load_tsc_aux(struct hv_vcpu *v, bool guest)
{
	u64 host = __this_cpu_read(hv_cpu.tsc_aux);

	if (v->tsc_aux != host && hv_host.has_tsc_aux)
		wrmsrl(MSR_TSC_AUX, guest ? v->tsc_aux : host);
}

/*
 * A host interrupt ended the guest's stay and was taken: for RCU this CPU held no
 * reference, as if it had been in user space.
 */
static void note_interrupt(struct hv_vcpu *v)
{
	v->intr_exit = false;
	local_irq_disable();
	rcu_note_context_switch(false);
	local_irq_enable();
}

/* Entries and exits until something else is to be done. As inner_loop(). */
static int stay(struct hv_vcpu *v)
{
	int r;

	while (enter_once(v)) {
		r = hv_op(handle_exit)(v);
		if (unlikely(r != EXIT_AGAIN))
			return r;
		if (v->intr_exit) {
			/*
			 * In a closed stay it can only be taken outside. What its
			 * handler left in the caches may not be for the guest.
			 */
			if (hv_host.closed_stays || hv_spec_flush_l1d)
				break;
			/* The guest may spin until it is written. */
			if (unlikely(v->records_stale))
				break;
			note_interrupt(v);
		}
	}
	return EXIT_SLEEP;
}

/* EXIT_SLEEP: there is something to do outside; EXIT_USER, or a negative errno. */
static int inner_loop(struct hv_vcpu *v)
{
	int r;

	fpu_load(v);
	/* From here to the end slots and doorbells remain: pairs with vm_synchronize(). */
	smp_store_mb(v->stays, v->stays + 1);
	load_tsc_aux(v, true);
	asm volatile("sldt %0" : "=r"(v->host_ldt));
	if (unlikely(v->cpu != smp_processor_id())) {
		hv_op(move)(v);
		WRITE_ONCE(v->cpu, smp_processor_id());
	}
	local_irq_disable();
	r = hardware_stay_begin();
	if (likely(!r)) {
		r = hv_op(load)(v);
		if (likely(r == EXIT_AGAIN)) {
			spec_load(v);
			/* A handler may read what these two write. */
			vtime_account_guest_enter();
			stay_irq_on();
			r = stay(v);
			hv_op(put)(v);
			compat_flush_before_user();
			host_ldt_restore(v);
			stay_irq_off();
			vtime_account_guest_exit();
		}
		hardware_stay_end();
	}
	local_irq_enable();
	if (v->intr_exit)
		note_interrupt(v);
	load_tsc_aux(v, false);
	smp_store_release(&v->stays, v->stays + 1);
	fpu_put(v);
	/* Not on this CPU, or not any more. */
	return r == -EAGAIN ? EXIT_SLEEP : r;
}

/* ------------------------------------------------------------------------- */
/* A vCPU that spins                                                          */

/*
 * All of this is a hint, read without a lock: the scheduler looks again. Neither one
 * that sleeps in HLT nor one whose thread is in user space would gain by a yield.
 */
static bool waits_for_cpu(const struct hv_vcpu *v)
{
	return READ_ONCE(v->task) && READ_ONCE(v->mp_state) == HV_MP_RUNNABLE &&
	       READ_ONCE(v->mode) == VCPU_OUTSIDE;
}

struct hv_vcpu *run_waiting_peer(struct hv_vcpu *v)
{
	unsigned int n = READ_ONCE(v->vm->nr_vcpus), i;
	struct hv_vcpu *peer;

	for (i = 0; i < n; i++) {
		v->last_peer = (v->last_peer + 1) % n;
		peer = smp_load_acquire(&v->vm->vcpus[v->last_peer]);
		if (peer && peer != v && waits_for_cpu(peer))
			return peer;
	}
	return NULL;
}

/*
 * The rest of this thread's time goes to the other one. Where neither of their CPUs
 * has anything else to run, yield_to() finds out before it takes a lock.
 */
static void yield_to_peer(struct hv_vcpu *v)
{
	struct task_struct *task;

	/* A thread in HV_RUN exists; its structure does for a grace period longer. */
	rcu_read_lock();
	task = READ_ONCE(v->yield_to->task);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	v->yield_to = NULL;
	if (!task)
		return;
	yield_to(task, true);
	put_task_struct(task);
}

/* ------------------------------------------------------------------------- */
/* The outer loop                                                             */

/* Requests that may sleep, or that cannot wait for the next entry. */
static void take_requests(struct hv_vcpu *v)
{
	event_take_requests(v);
	vcpu_test_request(v, REQ_LEAVE);
	if (vcpu_test_request(v, REQ_CLOCK) || v->records_stale)
		clock_refresh(v);
	if (vcpu_test_request(v, REQ_TLB_FLUSH))
		v->flush = true;
}

static bool is_runnable(struct hv_vcpu *v)
{
	if (v->mp_state == HV_MP_HALTED && event_wakes(v)) {
		v->mp_state = HV_MP_RUNNABLE;
		v->scan = true;
	}
	return v->mp_state == HV_MP_RUNNABLE;
}

/*
 * Sleep until the vCPU can run: woken from HLT, started by SIPI. EXIT_AGAIN; EXIT_USER: user
 * space waits in its stead; -EINTR: a signal.
 */
static int wait_runnable(struct hv_vcpu *v)
{
	int r = EXIT_AGAIN;

	clock_timer_wait(v);
	prepare_to_rcuwait(&v->wait);
	for (;;) {
		/* Before the checks, so that a wake-up after them is not lost. */
		set_current_state(TASK_INTERRUPTIBLE);
		if (is_runnable(v))
			break;
		if (thread_work_pending()) {
			r = -EINTR;
			break;
		}
		if (READ_ONCE(v->requests)) {
			/* These may sleep by themselves. */
			__set_current_state(TASK_RUNNING);
			take_requests(v);
			continue;
		}
		if (v->mp_state == HV_MP_HALTED && v->exit_on_hlt) {
			r = exit_halted(v);
			break;
		}
		schedule();
	}
	finish_rcuwait(&v->wait);
	clock_timer_wait(v);
	return r;
}

/* What the inner loop left for here. EXIT_AGAIN, EXIT_USER or a negative errno. */
static int outer_work(struct hv_vcpu *v)
{
	u64 gpa = v->slow_gpa;

	if (gpa != NO_GPA) {
		v->slow_gpa = NO_GPA;
		switch (stage2_fault_slow(v, gpa, v->slow_write)) {
		case S2_BAD:
			return exit_error(v, HV_ERROR_MEMORY, v->slow_write ? HV_FAULT_WRITE : 0,
					  gpa, v->gprs.rip);
		case S2_NOMEM:
			return -ENOMEM;
		default:
			break;
		}
	}
	if (v->doorbell.len && exit_ring(v) == EXIT_USER)
		return EXIT_USER;
	take_requests(v);
	if (v->split_lock) {
		v->split_lock = false;
		compat_handle_split_lock(v->gprs.rip);
	}
	/* Work that the kernel does at a return to user space: modules cannot call it. */
	if (thread_work_pending() || compat_throttled())
		return -EINTR;
	if (hardware_stopping())
		return -ESHUTDOWN;
	if (v->yield_to)
		yield_to_peer(v);
	/* Lazy preemption is no matter for cond_resched(). */
	if (read_thread_flags() & COMPAT_TIF_RESCHED)
		schedule();
	else
		cond_resched();
	return EXIT_AGAIN;
}

/*
 * KVM takes one CPU after the other, and gives back those that it got when it comes to one of
 * ours: so one that is taken may be free again soon.
 */
#define BUSY_WAITS 10

static int wait_while_busy(void)
{
	schedule_timeout_interruptible(max(HZ / 100, 1));
	return thread_work_pending() ? -EINTR : EXIT_AGAIN;
}

static int run_loop(struct hv_vcpu *v)
{
	unsigned int waits = 0;
	int r;

	do {
		if (v->mp_state != HV_MP_RUNNABLE) {
			r = wait_runnable(v);
			if (r != EXIT_AGAIN)
				return r;
		}
		if (stage2_topup(v))
			return -ENOMEM;
		r = inner_loop(v);
		if (r == EXIT_SLEEP)
			r = outer_work(v);
		else if (r == -EBUSY && waits++ < BUSY_WAITS)
			r = wait_while_busy();
	} while (r == EXIT_AGAIN);
	return r;
}

long run_vcpu(struct hv_vcpu *v)
{
	struct hv_run *run = v->run;
	u32 flags = READ_ONCE(run->flags);
	u64 wanted = READ_ONCE(run->wanted), dirty = READ_ONCE(run->dirty);
	int r;

	if (flags & ~HV_RUN_EXIT_HLT || (wanted | dirty) & ~HV_REGS_ALL)
		return -EINVAL;
	if (dirty) {
		WRITE_ONCE(run->dirty, 0);
		r = state_load(v, dirty);
		if (r)
			return r;
	}
	exit_complete(v);
	v->exit_on_hlt = flags & HV_RUN_EXIT_HLT;
	v->exit_groups = 0;
	v->slow_gpa = NO_GPA;
	v->yield_to = NULL;
	v->has_run = true;
	WRITE_ONCE(v->task, current);
	if (unlikely(v->records_stale))
		vcpu_request(v, REQ_CLOCK);
	if (READ_ONCE(run->immediate_exit))
		r = -EINTR;
	else
		r = run_loop(v);
	WRITE_ONCE(v->task, NULL);
	if (r == -EINTR)
		exit_set_reason(v, HV_EXIT_SIGNAL);
	if (!r || r == -EINTR)
		state_store(v, wanted | v->exit_groups);
	return r;
}
