/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share: the VM, the vCPU, the operations of a
 * backend, and the functions that cross files.
 *
 * Legend of who may touch a field:
 *   (c)  constant once the object is published
 *   (v)  only the thread that holds vcpu->lock
 *   (m)  vm->lock
 *   (s)  written under vm->lock; read under that, or by a vCPU in its stay: see vm_synchronize()
 *   (p)  vm->s2_lock
 *   (a)  atomic, any context
 */
#ifndef HV_INTERNAL_H
#define HV_INTERNAL_H

#include <linux/kernel.h>
#include <linux/types.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/hrtimer.h>
#include <linux/rcuwait.h>
#include <linux/rcupdate.h>
#include <linux/static_call.h>
#include <linux/kref.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../include/uapi/hv.h"
#include "compat.h"
#include "cpuid.h"
#include "decode.h"
#include "lapic.h"

struct hv_vm;
struct hv_vcpu;

/* Where a gpa may be missing. */
#define NO_GPA (~0ULL)

/* ------------------------------------------------------------------------- */
/* Events                                                                     */

enum hv_event_type {
	EVENT_NONE,
	EVENT_INTERRUPT,
	EVENT_NMI,
	EVENT_EXCEPTION,
};

struct hv_event {
	u8 type; /* enum hv_event_type */
	u8 vector;
	bool has_error;
	u32 error;
};

/* The interrupt shadow. AMD-V has one for both, which is the first here. */
enum hv_shadow {
	SHADOW_NONE = HV_SHADOW_NONE,
	SHADOW_STI = HV_SHADOW_STI,
	SHADOW_MOV_SS = HV_SHADOW_MOV_SS,
};

/* Work for a vCPU: a bit here, a barrier, a kick. */
enum hv_request {
	REQ_EVENT,     /* look for interrupts */
	REQ_TIMER,     /* look at the LAPIC timer */
	REQ_TLB_FLUSH, /* the stage-2 tables lost a mapping */
	REQ_CLOCK,     /* write the paravirtual clock's records */
	REQ_NMI,       /* NMIs arrived: vcpu->nmi_posted */
	REQ_START,     /* INIT or SIPI arrived: vcpu->start */
	REQ_LEAVE,     /* nothing but to leave the atomic loop: see vm_synchronize() */
};

enum hv_vcpu_mode {
	VCPU_OUTSIDE,
	VCPU_IN_GUEST, /* entering or in the guest: needs an IPI to notice */
};

/* What HV_RUN must still do for the instruction that exited to user space. */
enum hv_completion {
	COMPLETE_NONE,
	COMPLETE_SKIP, /* OUT, MMIO write */
	COMPLETE_IN,
	COMPLETE_MMIO_READ,
};

/* Exits, by what they were about: see stats.c. */
enum hv_stat {
	STAT_INTERRUPT,
	STAT_CPUID,
	STAT_MSR,
	STAT_PIO,
	STAT_MMIO,
	STAT_EMULATE,
	STAT_HLT,
	STAT_FAULT,
	STAT_HYPERCALL,
	STAT_CONTROL,
	STAT_EXCEPTION,
	STAT_WINDOW,
	STAT_PAUSE,
	STAT_OTHER,
	STAT_COUNT
};

/* Pages for stage-2 tables, allocated where sleeping is allowed: a whole path below the root. */
#define HV_PGCACHE_PAGES 3
struct hv_pgcache {
	unsigned int count;
	void *page[HV_PGCACHE_PAGES];
};

/*
 * A few bytes of guest memory that the module keeps, where a register of the guest's says. They
 * are written anew when slots change, and tried again where that did not work: guest.c.
 */
struct guest_record {
	u64 gpa;
	bool in_use;
	bool stale; /* what should be there is not */
};

#define HV_MTRR_MSRS 28 /* 8 pairs, 11 fixed, default type */

/* What the VM's clock and its TSC were set to, and when. */
struct hv_clock_base {
	u64 tsc;	/* host TSC then, scaled... */
	u64 mono;	/* ...CLOCK_MONOTONIC... */
	u64 ns;		/* ...and what kvm-clock was set to */
	u64 tsc_offset; /* of the VM's TSC to the host's, scaled */
	u32 changes;	/* how often it was set */
	u32 stops;	/* ...with HV_CLOCK_STOPPED */
};

struct hv_vcpu {
	struct hv_vm *vm;   /* (c) */
	u32 id;		    /* (c) vCPU id and APIC id */
	u64 serial;	    /* (c) no other vCPU of this host has or had it; not 0 */
	struct mutex lock;  /* held by HV_RUN and every register access */
	struct hv_run *run; /* (c) shared with user space: hostile */

	/* Registers outside the guest. The rest lives in the backend. */
	struct hv_gprs gprs;	  /* (v) */
	u64 next_rip;		  /* (v) set by the backend for skippable exits */
	u64 cr0, cr4, efer, xcr0; /* (v) as the guest sees them */
	u64 cr2;		  /* (v) */
	u64 dr[4], dr6, dr7;	  /* (v) */
	bool dr_live;		  /* (v) the guest's DR0-3 are in the CPU in the loop... */
	unsigned long host_dr[4]; /* (v) ...and the host's here */
	u8 shadow;		  /* (v) enum hv_shadow */
	bool flush;		  /* (v) translations must go before the next entry runs */
	u16 host_ldt;		  /* (v) the host's LDT at the beginning of a stay */

	/* What others write, and look at for that, in a cache line of its own. */
	unsigned long requests ____cacheline_aligned; /* (a) bits of enum hv_request */
	int mode;				      /* (a) enum hv_vcpu_mode */
	int cpu;		  /* (v) CPU of the last entry; -1: none yet; read by others */
	unsigned long stays;	  /* (v) odd: it is in the atomic loop; read by others */
	struct rcuwait wait;	  /* (a) sleeping in HLT or for INIT/SIPI */
	struct task_struct *task; /* (v) in HV_RUN; read by others under RCU */
	atomic_t start;		  /* (a) INIT and SIPI that arrived and were not yet taken */
	atomic_t nmi_posted;	  /* (a) NMIs that arrived and were not yet taken, up to two */

	/* Events (v) */
	struct hv_event inject ____cacheline_aligned; /* delivery was cut short: do it again */
	struct hv_event exception;		      /* to be delivered next */
	bool scan;	/* look for deliverable interrupts at the next entry */
	u8 nmi_count;	/* NMIs that wait: one to be delivered and one latched behind it */
	bool intr_exit; /* the last exit was a host interrupt */
	u8 mp_state;	/* enum hv_mp_state; read by others */

	struct lapic lapic;   /* see lapic.h */
	struct hrtimer timer; /* (v) arms; the callback only makes a request */
	bool timer_waits;     /* (v) not armed before an interrupt is taken: see clock.c */

	/* Completion of the last exit to user space (v) */
	u8 complete; /* enum hv_completion */
	u8 io_len;
	u64 complete_rip; /* of the instruction to be completed */
	bool exit_on_hlt; /* HV_RUN_EXIT_HLT of this HV_RUN */
	u64 exit_groups;  /* register groups that go with this exit */
	struct decode_insn insn;

	/* MSRs that only the core knows (v) */
	struct hv_clock_base clock; /* the VM's, as this vCPU follows it */
	bool stopped;		    /* its kvm-clock is to say that it was... */
	bool stop_told;		    /* ...and does, until the guest has seen it */
	u64 tsc_offset;
	u64 tsc_adjust;
	u64 tsc_aux;
	u64 misc_enable;
	u64 mtrr[HV_MTRR_MSRS];
	u64 pv_system_time;
	unsigned int msr_hint; /* the rule that was found last: msr.c */
	struct guest_record system_time, wall_clock;
	bool records_stale; /* a record is */

	/* CPUID and what follows from it; fixed at the first HV_RUN (v) */
	struct hv_cpuid_table cpuid;
	u64 cr4_allowed, efer_allowed, xcr0_allowed;
	u64 gpa_mask; /* address bits the guest may use */
	bool has_run;

	struct xregs_state *xstate; /* (v) guest xstate while outside the loop */
	struct hv_pgcache pgcache;  /* (v) */
	unsigned int slot_hint;	    /* (v) index of the last slot found */
	u64 slow_gpa;		    /* (v) EXIT_SLEEP: bring this in; NO_GPA: nothing */
	bool slow_write;	    /* (v) ...for writing */
	struct hv_vcpu *yield_to;   /* (v) EXIT_SLEEP: let this one run first */
	bool split_lock;	    /* (v) EXIT_SLEEP: for the host to judge */
	u32 last_peer;		    /* (v) who was looked at last for that */
	struct {
		u64 addr, value;
		u8 len; /* 0: none */
		bool pio;
	} doorbell; /* (v) EXIT_SLEEP: a write that may ring a doorbell */

	u64 stat[STAT_COUNT]; /* (v) exits; read by anybody */
	void *arch;	      /* (c) the backend's part */
};

struct hv_slot_entry {
	u64 gfn, npages;
	u64 hva;
	u32 id;
	u32 flags;
};

/* Sorted by gfn; replaced as a whole. */
struct hv_slots {
	unsigned int count;
	struct hv_slot_entry e[];
};

struct hv_irqfd_entry;
struct hv_iobus;

struct hv_vm {
	struct kref ref;		     /* the VM's descriptor and one per vCPU descriptor */
	pid_t creator;			     /* (c) process that created it, for the statistics */
	struct list_head stats_node;	     /* stats.c */
	struct mm_struct *mm;		     /* (c) */
	struct mutex lock;		     /* creation and configuration */
	struct hv_vcpu *vcpus[HV_MAX_VCPUS]; /* set once with release, under (m) */
	unsigned int nr_vcpus;		     /* (m) highest id + 1; read locklessly */
	struct hv_slots __rcu *slots; /* (s), and written under (p), which is enough to read */
	struct hv_iobus __rcu *iobus; /* (s) */
	struct list_head irqfds;      /* (m) */
	unsigned int nr_irqfds;	      /* (m) */

	/* Stage 2 */
	raw_spinlock_t s2_lock;
	void *s2_root;		     /* (c) the table; its entries (p) */
	u64 s2_root_pa;		     /* (c) */
	unsigned long notifier_seq;  /* (p) */
	unsigned int notifier_count; /* (p) invalidations under way... */
	u64 notifier_start;	     /* (p) ...and addresses of the host that hold all of them */
	u64 notifier_end;	     /* (p) */
	wait_queue_head_t notifier_wait; /* until none is under way */
	u64 zap_gen;			 /* (p) counts removals of entries... */
	u64 flushed_gen;		 /* (p) ...and those that no TLB holds any more */
	u64 *s2_top;			 /* (c) one more level, where the host has five */
	struct mmu_notifier notifier;

	/* Clock */
	u32 tsc_khz;   /* (c) of the guest's TSC */
	u64 tsc_ratio; /* (c) of that to the host's, HV_TSC_FRACTION bits of fraction; 0: equal */
	struct hv_clock_base clock; /* written under (m) and its lock, either is enough to read */
	raw_spinlock_t clock_lock;  /* innermost */

	unsigned int lowest_last; /* (a) vCPU that took the last lowest-priority message */
};

/* ------------------------------------------------------------------------- */
/* Backend                                                                    */

/* Bits of stage-2 entries, for stage2.c. All formats have 4 KiB tables of 512. */
struct hv_s2_format {
	u64 table; /* an entry that points to a table */
	u64 leaf;  /* a readable, executable page */
	u64 write;
	u64 large;    /* with leaf, at the 2 MiB level */
	u64 accessed; /* 0: the format has none */
	u64 present;  /* any of these: the entry is in use */
	bool as_host; /* the processor walks as many levels as the host's tables have */
};

/* What a backend does, and the registers that live in its control block. */
struct hv_ops {
	const struct hv_s2_format *s2;
	u32 backend; /* enum hv_backend */

	/* Module load: 0, or an errno after one line in the log. */
	int (*setup)(void);
	void (*unsetup)(void);
	/* Can this CPU do what the one could that setup() asked? */
	bool (*cpu_fits)(void);
	/* Per CPU, interrupts off. -EBUSY: another hypervisor is there. */
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);

	int (*vcpu_create)(struct hv_vcpu *v);
	void (*vcpu_free)(struct hv_vcpu *v);
	/* Power-up or INIT state of the registers the backend holds. */
	void (*vcpu_reset)(struct hv_vcpu *v);

	/*
	 * Another CPU than this one ran the vCPU last: what that one caches of it
	 * must go. Preemption off, interrupts on.
	 */
	void (*move)(struct hv_vcpu *v);
	/*
	 * Around the inner loop; preemption off, for load interrupts too. load:
	 * EXIT_AGAIN, EXIT_SLEEP, or -EBUSY: another hypervisor has taken the CPU.
	 */
	int (*load)(struct hv_vcpu *v);
	void (*put)(struct hv_vcpu *v);
	/* Enter and leave the guest; interrupts off. */
	void (*enter)(struct hv_vcpu *v);
	/* Handle the exit: EXIT_AGAIN, EXIT_USER, EXIT_SLEEP or a negative errno. */
	int (*handle_exit)(struct hv_vcpu *v);

	/*
	 * Can the registers that the backend holds be had, outside the loop? Not while another
	 * hypervisor has this CPU. NULL: always.
	 */
	bool (*reachable)(struct hv_vcpu *v);

	/*
	 * Traps that wait behind a shadow or a trap-like exit: see hv_events.debug_pending. NULL: the
	 * processor keeps none, it takes them before it exits, or loses them.
	 */
	u32 (*debug_pending)(struct hv_vcpu *v);
	void (*set_debug_pending)(struct hv_vcpu *v, u32 traps);

	/* Put the event where the next entry delivers it. */
	void (*inject)(struct hv_vcpu *v, const struct hv_event *e);
	/* Exit as soon as an interrupt, an NMI could be taken. */
	void (*interrupt_window)(struct hv_vcpu *v);
	void (*nmi_window)(struct hv_vcpu *v);
	bool (*nmi_masked)(struct hv_vcpu *v);
	void (*set_nmi_masked)(struct hv_vcpu *v, bool masked);

	/* cr0, cr4, efer, dr of struct hv_vcpu changed: follow. */
	void (*update_cr)(struct hv_vcpu *v);
	void (*update_dr)(struct hv_vcpu *v);
	/* What changes without an exit, into struct hv_vcpu: bits of CR0; DR6 and DR7. */
	void (*sync_cr0)(struct hv_vcpu *v);
	void (*sync_dr)(struct hv_vcpu *v);
	/* These four from load to put only. */
	u64 (*read_cr3)(struct hv_vcpu *v);
	int (*cpl)(struct hv_vcpu *v);
	u32 (*cs_ar)(struct hv_vcpu *v);		      /* access rights of CS: HV_AR_* */
	u64 (*seg_base)(struct hv_vcpu *v, unsigned int seg); /* enum hv_seg */
	/* Segments, tables, CR3: the rest of hv_sregs is the core's. */
	void (*get_sregs)(struct hv_vcpu *v, struct hv_sregs *s);
	void (*set_sregs)(struct hv_vcpu *v, const struct hv_sregs *s);
	/* MSRs that the backend switches: always succeed, value checked before. */
	u64 (*get_msr)(struct hv_vcpu *v, u32 index);
	void (*set_msr)(struct hv_vcpu *v, u32 index, u64 value);
	void (*update_tsc_offset)(struct hv_vcpu *v);
	/* Does TPR block a pending interrupt? Then an exit when it falls. */
	void (*tpr_threshold)(struct hv_vcpu *v, bool exit_on_lower);
};

/* clang-format off */
#define HV_OPS_LIST(OP) \
	OP(vcpu_create) OP(vcpu_free) OP(vcpu_reset) OP(move) OP(load) OP(put) OP(enter) \
	OP(handle_exit) OP(reachable) OP(debug_pending) OP(set_debug_pending) OP(inject) \
	OP(interrupt_window) OP(nmi_window) OP(nmi_masked) \
	OP(set_nmi_masked) OP(update_cr) OP(update_dr) OP(sync_cr0) OP(sync_dr) OP(read_cr3) OP(cpl) \
	OP(cs_ar) OP(seg_base) OP(get_sregs) OP(set_sregs) OP(get_msr) OP(set_msr) \
	OP(update_tsc_offset) OP(tpr_threshold)
/* clang-format on */

#define HV_DECLARE_OP(name) DECLARE_STATIC_CALL(hv_##name, *(((struct hv_ops *)0)->name));
HV_OPS_LIST(HV_DECLARE_OP)

/* hv_op(enter)(v) */
#define hv_op(name) static_call(hv_##name)

extern const struct hv_ops svm_ops, vmx_ops;

/* Per CPU; interrupts off. */
struct hv_cpu {
	bool online;	    /* may be enabled */
	bool enabled;	    /* by us, and to be disabled by us... */
	bool stay;	    /* ...but not while a vCPU stays here... */
	bool disable_later; /* ...which then does it at the end */
	u64 tsc_aux;	    /* what the kernel keeps in that MSR here */
};
DECLARE_PER_CPU(struct hv_cpu, hv_cpu);

/* Facts of this host, set at load. */
extern struct hv_host {
	const struct hv_ops *ops;
	u64 xcr0;	/* host's XCR0 */
	u64 guest_xcr0; /* bits guests may set */
	u32 xsave_size;
	u32 gpa_bits;
	u64 xss;		     /* host's IA32_XSS */
	bool has_tsc_aux;	     /* RDTSCP or RDPID */
	bool closed_stays;	     /* interrupts stay off from load to put */
	bool small_pages;	     /* stage-2 pages of 4 KiB only */
	bool scales_tsc;	     /* the backend heeds hv_vm.tsc_ratio */
	bool stay_timer;	     /* the backend ends a stay at lapic.tsc_deadline */
	struct hv_cpuid_table cpuid; /* what guests may have */
} hv_host;

/* ------------------------------------------------------------------------- */
/* hardware.c */
int hardware_setup(void);
void hardware_unsetup(void);
/* Take the processor's virtualisation for one more VM: 0, -ESHUTDOWN, or as hardware_enable(). */
int hardware_get(void);
void hardware_put(void);
/* The host goes down: no vCPU enters any more. */
bool hardware_stopping(void);
/* May a vCPU enter on this CPU? Interrupts are off, so the answer holds. */
static __always_inline bool hardware_usable(void)
{
	return __this_cpu_read(hv_cpu.enabled);
}
/*
 * Enable this CPU if it is not; interrupts off, while a VM exists. -EBUSY: another hypervisor has it;
 * -EAGAIN: the CPU or the host goes down.
 */
int hardware_enable(void);
/* A vCPU stays on this CPU from here on, which is not disabled under it. As hardware_enable(). */
static __always_inline int hardware_stay_begin(void)
{
	if (unlikely(!hardware_usable())) {
		int r = hardware_enable();

		if (r)
			return r;
	}
	__this_cpu_write(hv_cpu.stay, true);
	return 0;
}
/* The CPU was to be disabled meanwhile. */
void hardware_disable_late(void);
static __always_inline void hardware_stay_end(void)
{
	__this_cpu_write(hv_cpu.stay, false);
	if (unlikely(__this_cpu_read(hv_cpu.disable_later)))
		hardware_disable_late();
}

/*
 * An exit of VT-x loses LDTR; VMLOAD restores it as it was, while another thread
 * may have replaced the table meanwhile (modify_ldt), and freed the old one.
 */
static inline void host_ldt_restore(const struct hv_vcpu *v)
{
	if (unlikely(v->host_ldt))
		asm volatile("lldt %0" : : "r"(v->host_ldt));
}

/* vm.c */
int vm_create_fd(u32 tsc_khz);
void vm_get(struct hv_vm *vm);
void vm_put(struct hv_vm *vm);
/* Is the caller the process (memory map) this VM belongs to? */
static inline bool vm_mm_ok(const struct hv_vm *vm)
{
	return current->mm == vm->mm;
}
/* No vCPU uses a slot or a doorbell any more that was replaced before. Sleeps; under vm->lock. */
void vm_synchronize(struct hv_vm *vm);
int copy_struct_in(void *dst, size_t ksize, const void __user *src);

/* vcpu.c */
int vcpu_create_fd(struct hv_vm *vm, u32 id);
void vcpu_destroy(struct hv_vcpu *v);
void vcpu_request(struct hv_vcpu *v, enum hv_request req);
/* Make the vCPU notice its requests: wake it, or force it out of the guest. */
void vcpu_kick(struct hv_vcpu *v);
/* A request of each vCPU, kicked. */
void vcpu_request_all(struct hv_vm *vm, enum hv_request req);

/* Slots and doorbells that it finds remain until the stay ends. */
static inline bool vcpu_stays(const struct hv_vcpu *v)
{
	return v->stays & 1;
}

static inline bool vcpu_test_request(struct hv_vcpu *v, enum hv_request req)
{
	if (!test_bit(req, &v->requests))
		return false;
	clear_bit(req, &v->requests);
	/* Pairs with vcpu_request(): what was written before the bit is seen. */
	smp_mb__after_atomic();
	return true;
}

/* run.c: HV_RUN */
long run_vcpu(struct hv_vcpu *v);
/* One that could run but has no CPU; NULL: none. Each call begins behind the last one's. */
struct hv_vcpu *run_waiting_peer(struct hv_vcpu *v);

/* state.c: the rules of the architecture, once for both backends */
/* An address the processor would not fault on: AMD APM Vol. 2, 5.3.1 (48 bits). */
static inline bool state_canonical(u64 va)
{
	return (u64)((s64)(va << 16) >> 16) == va;
}
/* CR0 for the processor. The host decides how memory is cached: it does not see CD and NW. */
static inline u64 state_hw_cr0(const struct hv_vcpu *v)
{
	return v->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
}
/* Paging by four entries that are loaded with CR3, whose address is in these bits of it. */
#define PAE_CR3_ADDR 0xffffffe0ULL
static inline bool state_pae_paging(const struct hv_vcpu *v)
{
	return v->cr0 & X86_CR0_PG && v->cr4 & X86_CR4_PAE && !(v->efer & EFER_LMA);
}
#define SEGMENT_DPL_SHIFT 5
static inline unsigned int segment_dpl(u32 ar)
{
	return (ar & HV_AR_DPL) >> SEGMENT_DPL_SHIFT;
}
/* How instructions are decoded; from load to put only. */
static inline enum decode_mode code_mode(struct hv_vcpu *v)
{
	u32 ar = hv_op(cs_ar)(v);

	if (v->efer & EFER_LMA && ar & HV_AR_L)
		return DECODE_64;
	return ar & HV_AR_DB ? DECODE_32 : DECODE_16;
}
/* Bits 63:22, 15, 5 and 3 are always zero, bit 1 is always one: X86_EFLAGS_FIXED. */
#define RFLAGS_RESERVED (~0x3f7fd7ULL)
/* Guest writes: false asks for #GP. */
bool state_write_efer(struct hv_vcpu *v, u64 efer);
bool state_write_xcr0(struct hv_vcpu *v, u64 xcr0);
/* What CLTS and LMSW make of CR0. */
u64 state_clts(const struct hv_vcpu *v);
u64 state_lmsw(const struct hv_vcpu *v, u64 msw);
/* CR0, CR4 or CR8 by its number. */
bool state_write_cr(struct hv_vcpu *v, unsigned int cr, u64 value);
/* Write groups to the run page, if there are any, and say that they are valid. */
void state_store_groups(struct hv_vcpu *v, u64 groups);
static __always_inline void state_store(struct hv_vcpu *v, u64 groups)
{
	if (groups)
		state_store_groups(v, groups);
	WRITE_ONCE(v->run->valid, groups);
}
int state_load(struct hv_vcpu *v, u64 groups);
void state_reset(struct hv_vcpu *v, bool init);
void state_cpuid_changed(struct hv_vcpu *v);

/*
 * Exceptions of the guest that exit. #DB and #AC: one that raises itself while it is
 * delivered would never let an interrupt in (CVE-2015-8104, CVE-2015-5307). #MC: the
 * host's.
 */
#define HV_INTERCEPTED_EXCEPTIONS (BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

/* event.c */
void event_exception(struct hv_vcpu *v, u8 vector, bool has_error, u32 error);
static inline void event_gp(struct hv_vcpu *v)
{
	event_exception(v, X86_TRAP_GP, true, 0);
}
static inline void event_ud(struct hv_vcpu *v)
{
	event_exception(v, X86_TRAP_UD, false, 0);
}
/* Choose and inject what the next entry delivers. */
void event_choose(struct hv_vcpu *v);
/*
 * The last thing before an entry, with interrupts off, so that nothing is taken from a queue that
 * is not delivered. v->scan is set by whatever can make an event deliverable.
 */
static __always_inline void event_prepare(struct hv_vcpu *v)
{
	if (unlikely(v->scan || v->exception.type || v->inject.type))
		event_choose(v);
}
/* Delivery of this event was interrupted by an exit. */
void event_requeue(struct hv_vcpu *v, const struct hv_event *e);
/*
 * The processor latches one NMI while another is handled, or is about to be: AMD APM
 * Vol. 2, 8.1.2; Intel SDM Vol. 3, 6.7.1. So of those that nobody has taken yet two count.
 */
#define NMI_LIMIT 2
static inline unsigned int event_nmi_limit(bool masked)
{
	return masked ? 1 : NMI_LIMIT;
}
/* vcpu->start: HV_START_*, and the SIPI's vector beside that. */
#define START_SIPI(vector) (HV_START_SIPI | (vector) << 8)
static inline u8 start_vector(int start)
{
	return start >> 8;
}
/* For the vCPU; any context. The caller kicks. */
void event_post_nmi(struct hv_vcpu *v);
void event_post_init(struct hv_vcpu *v);
void event_post_sipi(struct hv_vcpu *v, u8 vector);
void event_load_start(struct hv_vcpu *v, int loaded);
/* Interrupts and NMIs that other CPUs posted; and, where sleeping is allowed, INIT and SIPI. */
void event_take_interrupts(struct hv_vcpu *v);
void event_take_requests(struct hv_vcpu *v);
/* May a vCPU in mp_state HALTED go on? */
bool event_wakes(struct hv_vcpu *v);

/* exit.c. What to do after an exit; a negative errno ends HV_RUN with it. */
#define EXIT_USER  0 /* the run page says why */
#define EXIT_AGAIN 1 /* enter the guest again */
#define EXIT_SLEEP 2 /* leave the atomic loop, bring in vcpu->slow_gpa or sleep */
int exit_cpuid(struct hv_vcpu *v);
int exit_rdmsr(struct hv_vcpu *v);
int exit_wrmsr(struct hv_vcpu *v);
int exit_xsetbv(struct hv_vcpu *v);
int exit_hlt(struct hv_vcpu *v);
/* It waits in HLT, and user space is to know. */
int exit_halted(struct hv_vcpu *v);
/* The guest has executed PAUSE in a loop for a while; it does so again. */
int exit_pause(struct hv_vcpu *v);
int exit_pio(struct hv_vcpu *v, u16 port, unsigned int len, bool in);
int exit_pio_string(struct hv_vcpu *v, u16 port, bool in);
/* To the task at selector, by what enum hv_task_source says; next_rip is set. */
int exit_task(struct hv_vcpu *v, u16 selector, enum hv_task_source source);
int exit_shutdown(struct hv_vcpu *v);
/* A machine check ended the guest's stay: it is the host's to handle. */
void exit_machine_check(void);
int exit_error(struct hv_vcpu *v, u32 code, u64 reason, u64 info0, u64 info1);
/* flags: HV_FAULT_* */
int exit_fault(struct hv_vcpu *v, u64 gpa, unsigned int flags);
int exit_emulate(struct hv_vcpu *v, u64 gpa, u16 port, bool write);
/* The answer to an exit whose instruction could not be read: see exit_fetch(). */
int exit_fetch_failed(struct hv_vcpu *v, int error, unsigned int flags, u64 gpa);
int exit_eoi(struct hv_vcpu *v);
void exit_complete(struct hv_vcpu *v);
int exit_ring(struct hv_vcpu *v);
int exit_hypercall(struct hv_vcpu *v);
/* Instructions of which nothing is to be done, or that no guest has. */
int exit_nothing(struct hv_vcpu *v);
int exit_undefined(struct hv_vcpu *v);
int exit_forbidden(struct hv_vcpu *v);
/* The instruction that exited has this length. */
static inline void exit_length(struct hv_vcpu *v, unsigned int len)
{
	v->next_rip = v->gprs.rip + len;
	/* Outside 64-bit mode RIP has 32 bits. */
	if (unlikely((v->next_rip ^ v->gprs.rip) >> 32) && code_mode(v) != DECODE_64)
		v->next_rip = (u32)v->next_rip;
}
/* Past the instruction, to next_rip; the shadow and RF end with it. */
void exit_skip(struct hv_vcpu *v);
void exit_set_reason(struct hv_vcpu *v, u32 reason);

/* msr.c */
enum msr_result {
	MSR_OK,
	MSR_GP
};
enum msr_result msr_read(struct hv_vcpu *v, u32 index, bool host, u64 *value);
enum msr_result msr_write(struct hv_vcpu *v, u32 index, bool host, u64 value);
void msr_reset(struct hv_vcpu *v);
/* The index of MSR number n of those that are to be saved; false: there are no more. */
bool msr_saved(unsigned int n, u32 *index);

/* slot.c */
int slot_set(struct hv_vm *vm, const struct hv_slot *s);
void slot_free_all(struct hv_vm *vm);
const struct hv_slot_entry *slot_search(struct hv_vcpu *v, const struct hv_slots *s, u64 gfn);

/*
 * The slot of a frame, or NULL; most often it is the one found last. In a stay, or under s2_lock.
 */
static __always_inline const struct hv_slot_entry *slot_find(struct hv_vcpu *v, u64 gfn)
{
	const struct hv_slots *s = rcu_dereference_check(
		v->vm->slots, vcpu_stays(v) || lockdep_is_held(&v->vm->s2_lock));
	const struct hv_slot_entry *e;

	if (unlikely(!s))
		return NULL;
	if (likely(v->slot_hint < s->count)) {
		e = &s->e[v->slot_hint];
		if (likely(gfn - e->gfn < e->npages))
			return e;
	}
	return slot_search(v, s, gfn);
}

/* stage2.c */
int stage2_init(struct hv_vm *vm);
void stage2_destroy(struct hv_vm *vm);
enum stage2_result {
	S2_OK,	  /* mapped: enter again */
	S2_RETRY, /* raced with an invalidation: enter again */
	S2_SLEEP, /* needs stage2_fault_slow() outside the loop */
	S2_MMIO,  /* no slot, or a write to a read-only one */
	S2_BAD,	  /* the slot's host memory is gone */
	S2_NOMEM, /* no memory now; of stage2_fault_slow() only */
};
enum stage2_result stage2_fault_fast(struct hv_vcpu *v, u64 gpa, bool write);
enum stage2_result stage2_fault_slow(struct hv_vcpu *v, u64 gpa, bool write);
/* A whole path can be needed at a fault: see to it that there are pages for it. Sleeps; -ENOMEM. */
int stage2_refill(struct hv_vcpu *v);
static __always_inline int stage2_topup(struct hv_vcpu *v)
{
	return likely(v->pgcache.count == HV_PGCACHE_PAGES) ? 0 : stage2_refill(v);
}
void stage2_free_cache(struct hv_vcpu *v);
/* Remove every mapping of the slot and flush; until the end no fault maps any of its memory. */
void stage2_unmap_begin(struct hv_vm *vm, const struct hv_slot_entry *e);
void stage2_unmap_end(struct hv_vm *vm);

/* guest.c: preemption may be off; -EFAULT: not mapped now (host page absent) */
int guest_read(struct hv_vcpu *v, u64 gpa, void *buf, unsigned int len);
#define GUEST_NO_SLOT (-ENXIO)
#define GUEST_NO_PAGE (-EADDRNOTAVAIL) /* not mapped by the guest's own tables */
/* From now on there is a record of len bytes at gpa; not if they do not lie in one page. */
void guest_record_set(struct guest_record *r, u64 gpa, unsigned int len);
void guest_record_clear(struct guest_record *r);
/* What is there, if its page is at hand. */
bool guest_record_read(struct hv_vcpu *v, const struct guest_record *r, void *image,
		       unsigned int len);
/* Write it; version points into the image. Sleeps. If it cannot be, it remains stale. */
void guest_record_write(struct hv_vcpu *v, struct guest_record *r, void *image, unsigned int len,
			u32 *version);
/* Instruction bytes at CS:RIP, into 16 bytes aligned to 8: how many (up to 15), or an error. */
int guest_fetch(struct hv_vcpu *v, u8 *buf);

/*
 * The bytes of the instruction that exited, into 16 aligned to 8: how many. 0: there
 * are none, and *answer is what the exit's handler returns; flags and gpa are for the
 * error, if it is one.
 */
static inline unsigned int exit_fetch(struct hv_vcpu *v, u8 *bytes, unsigned int flags, u64 gpa,
				      int *answer)
{
	int n = guest_fetch(v, bytes);

	if (likely(n > 0))
		return n;
	*answer = exit_fetch_failed(v, n, flags, gpa);
	return 0;
}

/* irq.c */
int irq_deliver(struct hv_vm *vm, const struct lapic_msg *msg, struct hv_vcpu *from);
int irq_deliver_msi(struct hv_vm *vm, u64 addr, u32 data);
/* False: #GP (x2APIC). */
bool irq_apic_read(struct hv_vcpu *v, u32 offset, u64 *value);
/* EXIT_AGAIN, EXIT_USER for an EOI that user space wants, -EINVAL: #GP (x2APIC). */
int irq_apic_write(struct hv_vcpu *v, u32 offset, u64 value);

/* eventfd.c */
int eventfd_irqfd(struct hv_vm *vm, const struct hv_irqfd *i);
void eventfd_free_irqfds(struct hv_vm *vm);

/* iobus.c */
int iobus_ioeventfd(struct hv_vm *vm, const struct hv_ioeventfd *i);
void iobus_free(struct hv_vm *vm);
/* True when an eventfd took the write. In a stay, or under vm->lock. */
bool iobus_write(struct hv_vcpu *v, bool pio, u64 addr, unsigned int len, u64 value);

/* clock.c */
/* Fraction bits of hv_vm.tsc_ratio, as VT-x wants them: Intel SDM Vol. 3, 25.3 */
#define HV_TSC_FRACTION 48
/* tsc_khz as in struct hv_create_vm: 0, -EINVAL, -EOPNOTSUPP. */
int clock_vm_init(struct hv_vm *vm, u32 tsc_khz);
void clock_get(const struct hv_vm *vm, struct hv_clock *c);
/* Before there are vCPUs. -EINVAL: another frequency. */
int clock_set(struct hv_vm *vm, const struct hv_clock *c);
u64 clock_guest_tsc(const struct hv_vcpu *v);
/* Of this vCPU alone, as by TSC_ADJUST. */
void clock_move_tsc(struct hv_vcpu *v, u64 difference);
/* By the monitor, or by the guest. */
void clock_write_tsc(struct hv_vcpu *v, bool host, u64 value);
void clock_timer_init(struct hv_vcpu *v);
void clock_timer_destroy(struct hv_vcpu *v);
/*
 * If the LAPIC timer has run out by now, that is done with and its interrupt latched. Returns that
 * "now" for lapic.c; 0 in deadline mode, where no register needs it.
 */
u64 clock_timer_expire(struct hv_vcpu *v);
/* The same, and arm for the next time: its registers, the TSC or IRR changed, or it fired. */
void clock_timer_update(struct hv_vcpu *v);
/* Before and after the vCPU waits, which with hv_host.stay_timer makes a difference. */
void clock_timer_wait(struct hv_vcpu *v);
/* Ticks from now to the timer's deadline, which is not 0; 0: it has passed. */
static inline u64 clock_until_deadline(const struct hv_vcpu *v)
{
	u64 now = clock_guest_tsc(v), deadline = v->lapic.tsc_deadline;

	return deadline > now ? deadline - now : 0;
}
/* That many ticks of the guest's in ticks of the host's; no more than can be watched for. */
u64 clock_host_ticks(const struct hv_vm *vm, u64 ticks);
void clock_write_wall(struct hv_vcpu *v, u64 value);
u64 clock_read_wall(const struct hv_vcpu *v);
void clock_write_system(struct hv_vcpu *v, u64 value);
/* The VM's clock may have been set: the vCPU's TSC moves along. */
void clock_follow(struct hv_vcpu *v);
/* REQ_CLOCK, where sleeping is allowed. */
void clock_refresh(struct hv_vcpu *v);

/* stats.c */
void stats_setup(void);
void stats_unsetup(void);
void stats_add_vm(struct hv_vm *vm);
void stats_remove_vm(struct hv_vm *vm);

/* debugreg.c: the guest's DR0-3 in the processor, from the first use in a stay to its end */
void dr_load(struct hv_vcpu *v);
/* Breakpoints that are armed work without an access, which would exit first. */
static inline bool dr_armed(u64 dr7)
{
	return dr7 & (DR_LOCAL_ENABLE_MASK | DR_GLOBAL_ENABLE_MASK);
}
void dr_restore(struct hv_vcpu *v);
/* At the end of every stay: an exit leaves all breakpoints of the host disabled. */
static __always_inline void dr_put(struct hv_vcpu *v)
{
	if (unlikely(v->dr_live || this_cpu_read(cpu_dr7)))
		dr_restore(v);
}

/* spec.c: against what guests teach and learn by speculation */
void spec_setup(void);
/* hv_vcpu.serial of the one that ran here last: that may be gone, and its memory another's. */
DECLARE_PER_CPU(u64, hv_spec_last);
/* What is in the L1 cache at an entry is the guest's to read. */
extern bool hv_spec_flush_l1d;
void spec_switch(const struct hv_vcpu *v);

/* Before the guest runs on this CPU; preemption is off. */
static __always_inline void spec_load(const struct hv_vcpu *v)
{
	if (unlikely(__this_cpu_read(hv_spec_last) != v->serial || hv_spec_flush_l1d))
		spec_switch(v);
}

/* Read by spec.h. */
extern bool hv_spec_verw;
extern const u16 hv_spec_selector;

/* fpu.c */
int fpu_setup(void);
int fpu_create(struct hv_vcpu *v);
void fpu_free(struct hv_vcpu *v);
void fpu_reset(struct hv_vcpu *v);
void fpu_load(struct hv_vcpu *v);
void fpu_put(struct hv_vcpu *v);
void fpu_sync_xcr0(struct hv_vcpu *v);
int fpu_get_image(struct hv_vcpu *v, void __user *dst, u32 len);
int fpu_set_image(struct hv_vcpu *v, const void __user *src, u32 len);

#define hv_for_each_vcpu(vm, i, v)                            \
	for ((i) = 0; (i) < READ_ONCE((vm)->nr_vcpus); (i)++) \
		if (((v) = smp_load_acquire(&(vm)->vcpus[i])) != NULL)

#endif
