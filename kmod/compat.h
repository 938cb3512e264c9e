/* SPDX-License-Identifier: GPL-2.0 */
/* Every difference between kernel versions, and nothing else. */
#ifndef HV_COMPAT_H
#define HV_COMPAT_H

#include <linux/version.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal_mask(ctx, 0);
#else
	eventfd_signal(ctx, 1);
#endif
}

/*
 * Do softirqs wait for this thread to leave its FPU section? Only where that
 * section disables them, from 7.0 on.
 */
static inline bool compat_softirqs_wait(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
	return local_softirq_pending();
#else
	return false;
#endif
}

/* A quiescent state of this CPU; interrupts are off. */
static inline void compat_rcu_note_guest(void)
{
	rcu_virt_note_context_switch(smp_processor_id());
}

#endif
