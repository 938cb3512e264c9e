/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions, and nothing else. Included by all of
 * the module through hv_internal.h. A thing that only changed its name goes by
 * the name it has in the oldest kernel (6.1); one that changed its shape goes by
 * the newest shape, or by a name of ours. Where the headers can be asked, here or
 * in Kbuild, they are; elsewhere the version is.
 */
#ifndef HV_COMPAT_H
#define HV_COMPAT_H

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/syscore_ops.h>
#include <linux/version.h>
/* smp_send_reschedule() has a tracepoint in it since 6.4, and does not declare it. */
#include <linux/smp.h>
#include <trace/events/ipi.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
/* cpuid_count() and its like moved there in 6.16. */
#ifdef HV_HAVE_CPUID_API
#include <asm/cpuid/api.h>
#endif

/* Asked for in the header that all files include, so that this is the first that a build says. */
#ifndef CONFIG_MMU_NOTIFIER
#error "hv needs a kernel with CONFIG_MMU_NOTIFIER, which CONFIG_KVM or CONFIG_X86_SGX brings"
#endif

/* Renamed in 6.16. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#ifndef rdmsrl
#define rdmsrl	    rdmsrq
#define rdmsrl_safe rdmsrq_safe
#endif
#ifndef wrmsrl
#define wrmsrl	    wrmsrq
#define wrmsrl_safe wrmsrq_safe
#endif
#endif

/* struct fd became opaque in 6.12. */
#ifndef fd_file
#define fd_file(f) ((f).file)
#endif

/* The count to add went away in 6.8. */
static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* New in 6.13; the two steps that it replaces went away in 6.15. */
#ifndef HV_HAVE_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/* What a notifier says about a page's use: an int in older kernels, a bool in newer ones. */
typedef typeof(((struct mmu_notifier_ops *)0)->test_young(NULL, NULL, 0)) compat_young_t;

/*
 * Functions to call at suspend and resume, registered as &name. Newer kernels,
 * and stable ones that took the change over (some 6.12), call them with a pointer,
 * and split the table of functions from what is registered. Kbuild looks which.
 */
#ifdef HV_HAVE_SYSCORE
#define COMPAT_SYSCORE(name, suspend_function, resume_function) \
	static int name##_suspend(void *unused)                 \
	{                                                       \
		return suspend_function();                      \
	}                                                       \
	static void name##_resume(void *unused)                 \
	{                                                       \
		resume_function();                              \
	}                                                       \
	static const struct syscore_ops name##_ops = {          \
		.suspend = name##_suspend,                      \
		.resume = name##_resume,                        \
	};                                                      \
	static struct syscore name = {.ops = &name##_ops}
#define compat_register_syscore	  register_syscore
#define compat_unregister_syscore unregister_syscore
#else
#define COMPAT_SYSCORE(name, suspend_function, resume_function) \
	static struct syscore_ops name = {                      \
		.suspend = suspend_function,                    \
		.resume = resume_function,                      \
	}
#define compat_register_syscore	  register_syscore_ops
#define compat_unregister_syscore unregister_syscore_ops
#endif

/*
 * Do softirqs wait for this thread to leave its FPU section? Since 6.15 such a
 * section disables them; before, and under PREEMPT_RT, it does not.
 */
static inline bool compat_softirqs_wait(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	return !IS_ENABLED(CONFIG_PREEMPT_RT) && local_softirq_pending();
#else
	return false;
#endif
}

/*
 * Can a module put a bit into the kernel's own copy of CR4? From 7.0 on the
 * function is there for KVM only.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define COMPAT_CR4_SHADOW 1
static inline void compat_set_cr4(unsigned long bits)
{
	cr4_set_bits(bits);
}
static inline void compat_clear_cr4(unsigned long bits)
{
	cr4_clear_bits(bits);
}
#else
#define COMPAT_CR4_SHADOW 0
static inline void compat_set_cr4(unsigned long bits)
{
}
static inline void compat_clear_cr4(unsigned long bits)
{
}
#endif

/* Against SRSO the kernel wants speculation reduced on a CPU while it may run guests. */
static inline bool compat_bp_spec_reduce(void)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	return boot_cpu_has(X86_FEATURE_SRSO_BP_SPEC_REDUCE);
#else
	return false;
#endif
}

/* The scheduler wants another thread to run here, at once or soon (lazy preemption). */
static inline bool compat_need_resched(void)
{
#ifdef _TIF_NEED_RESCHED_LAZY
	return read_thread_flags() & (_TIF_NEED_RESCHED | _TIF_NEED_RESCHED_LAZY);
#else
	return need_resched();
#endif
}

/* Events come by FRED rather than the IDT, so that INT does not call their handlers. */
static inline bool compat_host_has_fred(void)
{
#ifdef X86_FEATURE_FRED
	return boot_cpu_has(X86_FEATURE_FRED);
#else
	return false;
#endif
}

#endif
