/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions, and nothing else. Included by all of
 * the module through hv_internal.h. A thing that only changed its name goes by
 * the name it has in the oldest kernel (6.1); one that changed its shape goes by
 * the newest shape, or by a name of ours. The headers are asked, here or in
 * Kbuild; the version says nothing, since stable kernels and
 * distributions take changes over.
 */
#ifndef HV_COMPAT_H
#define HV_COMPAT_H

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/syscore_ops.h>
/* smp_send_reschedule() has a tracepoint in it since 6.4, and does not declare it. */
#include <linux/smp.h>
#include <trace/events/ipi.h>
#include <asm/cpu.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
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
#ifdef HV_HAVE_MSRQ
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
#ifdef HV_HAVE_EVENTFD_SIGNAL_ONE
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

/* New in 6.3; before, the flags were written as they are. */
#ifndef HV_HAVE_VM_FLAGS_CLEAR
static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* Of get_user_pages(): a signal that does not kill ends a wait for a page, too. Since 6.2. */
#ifdef HV_HAVE_FOLL_INTERRUPTIBLE
#define COMPAT_FOLL_INTERRUPTIBLE FOLL_INTERRUPTIBLE
#else
#define COMPAT_FOLL_INTERRUPTIBLE 0
#endif

/*
 * And it takes the fault by which NUMA balancing learns who uses a page: before 6.6 unasked. Otherwise the
 * page would come and stay marked, so that the module's own accesses, which may not fault, never succeed.
 */
#ifdef HV_HAVE_FOLL_HONOR_NUMA_FAULT
#define COMPAT_FOLL_HONOR_NUMA_FAULT FOLL_HONOR_NUMA_FAULT
#else
#define COMPAT_FOLL_HONOR_NUMA_FAULT 0
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
 * Do softirqs wait for this thread to leave its FPU section? In newer kernels (from
 * 6.15 on) such a section disables them, but under PREEMPT_RT.
 */
static inline bool compat_softirqs_wait(void)
{
	return local_softirq_pending() && softirq_count();
}

/*
 * Can a module put a bit into the kernel's own copy of CR4? From 7.0 on the
 * function is there for KVM only.
 */
#ifdef HV_HAVE_CR4_UPDATE
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

/*
 * Before user space runs on this CPU it wants a barrier against what a guest taught
 * the predictors (VMSCAPE). Where the flag has its newer name, whether it matters is
 * only known to the one who reads it.
 */
static inline void compat_flush_before_user(void)
{
#if defined(HV_HAVE_FLUSH_EXIT_TO_USER)
	this_cpu_write(x86_predictor_flush_exit_to_user, true);
#elif defined(HV_HAVE_IBPB_EXIT_TO_USER)
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * perf must know that this CPU is in VMX operation: where the processor cannot trace
 * then, a trace that is on has to wait. Newer kernels see to it for KVM alone.
 */
static inline void compat_pt_handle_vmx(int on)
{
#ifdef HV_HAVE_PT_HANDLE_VMX
	intel_pt_handle_vmx(on);
#endif
}

/*
 * With SVM on, perf can keep events that exclude guests from counting in them, and
 * must be told. Newer kernels let KVM alone do so.
 */
static inline void compat_pmu_virt(bool on)
{
#ifdef HV_HAVE_PMU_VIRT
	if (on)
		amd_pmu_enable_virt();
	else
		amd_pmu_disable_virt();
#endif
}

/*
 * A guest's split lock was caught, as the host's administrator wanted: the kernel warns,
 * slows the thread down and allows them on this CPU for a while, or sends a signal. May
 * sleep. Newer kernels do so for KVM alone.
 */
#ifdef HV_HAVE_SPLIT_LOCK
#define COMPAT_SPLIT_LOCK 1
static inline void compat_handle_split_lock(unsigned long rip)
{
	handle_guest_split_lock(rip);
}
#else
#define COMPAT_SPLIT_LOCK 0
static inline void compat_handle_split_lock(unsigned long rip)
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

/* Flags of a thread: the scheduler wants another one to run here, at once or soon (lazy preemption). */
#ifdef _TIF_NEED_RESCHED_LAZY
#define COMPAT_TIF_RESCHED (_TIF_NEED_RESCHED | _TIF_NEED_RESCHED_LAZY)
#else
#define COMPAT_TIF_RESCHED _TIF_NEED_RESCHED
#endif

/*
 * Is this thread to wait at its return to user space, for its memory cgroup is over memory.high, or for a disk
 * that its swapping keeps busy? The flag alone says little: on older kernels restartable sequences, which the C
 * library uses, set it whenever the thread gets a CPU.
 */
static inline bool compat_throttled(void)
{
	if (likely(!(read_thread_flags() & _TIF_NOTIFY_RESUME)))
		return false;
#if defined(CONFIG_MEMCG) && defined(HV_HAVE_PAGES_OVER_HIGH)
	if (current->memcg_nr_pages_over_high)
		return true;
#endif
#if defined(CONFIG_BLK_CGROUP) && defined(HV_HAVE_THROTTLE_DISK)
	if (current->throttle_disk)
		return true;
#elif defined(CONFIG_BLK_CGROUP) && defined(HV_HAVE_THROTTLE_QUEUE)
	if (current->throttle_queue)
		return true;
#endif
	return false;
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
