/* SPDX-License-Identifier: GPL-2.0 */
/* Every difference between kernel versions, and nothing else. */
#ifndef HV_COMPAT_H
#define HV_COMPAT_H

#include <linux/version.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
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

/* A quiescent state of this CPU; interrupts are off. */
static inline void compat_rcu_note_guest(void)
{
	rcu_virt_note_context_switch(smp_processor_id());
}

#endif
