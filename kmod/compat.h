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
#if IS_ENABLED(CONFIG_KVM_XFER_TO_GUEST_WORK)
#include <linux/entry-kvm.h>
#endif

/*
 * Pending work of the thread (signals, task work, reschedule), done before it
 * enters a guest. Returns 0, or -EINTR when user space must run first.
 */
static inline int compat_handle_thread_work(void)
{
#if IS_ENABLED(CONFIG_KVM_XFER_TO_GUEST_WORK)
	return xfer_to_guest_mode_handle_work(NULL) ? -EINTR : 0;
#else
	if (read_thread_flags() & (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME))
		return -EINTR;
	cond_resched();
	return 0;
#endif
}

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
