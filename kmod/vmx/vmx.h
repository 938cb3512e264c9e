/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the VT-x backend share. */
#ifndef HV_VMX_VMX_H
#define HV_VMX_VMX_H

#include "../hv_internal.h"
#include <asm/debugreg.h>
#include <asm/desc_defs.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "vmcs.h"

/* DR6 and DR7, where the kernel's own header has no name */
#define DR6_BD BIT_ULL(13)
#define DR7_GD BIT(13)

/* Fields of a segment: two apart, in the order of enum hv_seg, then LDTR and TR. */
enum {
	SEG_LDTR = SEG_GS + 1,
	SEG_TR,
};

#define SEG_FIELD(field, n) ((enum vmcs_field)((field) + 2 * (n)))

/* What struct hv_vcpu has newer than the VMCS; written at the next entry. */
#define DIRTY_CR  BIT(0)
#define DIRTY_DR  BIT(1)
#define DIRTY_TSC BIT(2)
#define DIRTY_ALL (BIT(3) - 1)

/* The system call MSRs, which the VMCS does not switch. */
enum vmx_syscall_msr {
	SYSCALL_STAR,
	SYSCALL_LSTAR,
	SYSCALL_CSTAR,
	SYSCALL_MASK,
	SYSCALL_COUNT
};

/* No value of a VMCS's field: user space has loaded what goes with it. */
#define INTERRUPTIBILITY_UNKNOWN (~0U)

struct vmx_vcpu {
	void *vmcs;
	u64 vmcs_pa;
	struct list_head node; /* of vmx_cpu.active, while active_cpu >= 0 */
	int active_cpu;	       /* CPU that may cache the VMCS; -1: it is in memory */
	bool fresh;	       /* never active: VMCLEAR gives it its inner state */
	bool launched;	       /* VMRESUME rather than VMLAUNCH */
	bool in_loop;	       /* between load and put: the VMCS is the current one */
	bool lost;	       /* a register could not be had: nothing can be relied on */
	bool moved;	       /* the host state in the VMCS is of another CPU */
	bool pdptes_stale;     /* PAE: to be read from memory before the next entry */
	u16 vpid;
	u64 vpid_generation; /* VPID is valid on vcpu->cpu in this generation */
	u64 eptp;
	u8 *apic_page; /* the processor keeps the task priority here */
	u32 dirty;

	/* Fields of the VMCS as they are there, to write only what changed. */
	u64 rip, rsp, rflags;
	u64 host_cr3, host_cr4;
	u32 interruptibility; /* or INTERRUPTIBILITY_UNKNOWN: to be written */
	u32 primary;
	u8 tpr_threshold;
	u32 timer;

	u32 nmi_masked; /* BLOCK_NMI or 0: in force, or from the next entry on */

	/* The last exit */
	u32 reason;
	u32 vectoring;
	u32 intr_info;

	/* MSRs that the VMCS does not hold */
	u64 syscall[SYSCALL_COUNT];
	bool syscall_live; /* the guest's are in the processor */
	u64 kernel_gs_base;
	u64 pat;

	/* The host's, while the guest's are in the processor */
	struct desc_ptr host_gdt;
	u64 host_kernel_gs_base, host_fs_base;
	u64 host_debugctl;
	u16 host_ds, host_es, host_fs, host_gs;
	bool split_locks; /* the host's detection of them is off */
};

/* Bits of CR0 that change nothing the host relies on: the guest writes them without an exit. */
#define VMX_CR0_GUEST_OWNED (X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_WP | X86_CR0_AM)

/* Per CPU. */
struct vmx_cpu {
	bool in_operation;	 /* between VMXON and VMXOFF */
	void *vmxon;		 /* the region that VMXON wants */
	struct list_head active; /* VMCSs that this CPU may cache; interrupts off */
	struct vmx_vcpu *current_vmcs;
	u64 vpid_generation;
	u32 next_vpid;
	u64 host_syscall[SYSCALL_COUNT];
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* What the processor can do: see caps.c. */
extern struct vmx_caps {
	u32 revision;
	u32 pin, primary, secondary, exit, entry; /* controls of every VMCS */
	bool ept_ad;				  /* accessed and dirty bits */
	u32 last_vpid;
	u32 slice;	/* longest stay in ticks of the timer; 0: any */
	u8 timer_shift; /* which bit of the TSC that timer counts by */
} vmx_caps;

/* VMXON around each stay in the inner loop, with interrupts off, or while VMs exist. */
extern bool vmx_per_stay;

static inline struct vmx_vcpu *to_vmx(struct hv_vcpu *v)
{
	return v->arch;
}

/* enter.S: regs is hv_gprs.r[]. False: the processor refused the instruction. */
asmlinkage bool vmx_run(u64 *regs, bool launched);
extern const char vmx_exit_point[];

/* vmx.c */
void vmx_load_dr(struct hv_vcpu *v);
/* The guest's split locks do not fault from here to vmx_put(), which forbids them again. */
void vmx_allow_split_locks(struct hv_vcpu *v);

/* caps.c: 0, or an errno after one line in the log */
int vmx_read_caps(void);
bool vmx_cpu_fits(void);

/* cpu.c: VMX operation of a CPU, and which VMCS is current there */
int vmx_alloc_cpus(void);
void vmx_free_cpus(void);
int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
/* A VPID of this CPU, where the VMCS is current; interrupts off. */
void vmx_take_vpid(struct vmx_vcpu *x);
/*
 * Make the VMCS current; interrupts off, and it is active on no other CPU. False:
 * another hypervisor has taken this CPU.
 */
bool vmx_acquire(struct hv_vcpu *v);
/* The stay is over. */
void vmx_release(struct hv_vcpu *v);
/* Take the VMCS from the CPU that may cache it; interrupts on. */
void vmx_deactivate(struct hv_vcpu *v);
/*
 * Access to the VMCS wherever the caller is: in the loop or outside, where
 * interrupts are on. Waits for another hypervisor that has taken this CPU. False: the
 * host is going down, or this process, and there is none.
 */
bool vmx_borrow(struct hv_vcpu *v);
/* False as well when another hypervisor has this CPU now. */
bool vmx_try_borrow(struct hv_vcpu *v);
void vmx_return(struct hv_vcpu *v);
bool vmx_reachable(struct hv_vcpu *v);

/* state.c */
void vmx_vcpu_reset(struct hv_vcpu *v);
void vmx_write_dirty(struct hv_vcpu *v);
void vmx_sync_cr0(struct hv_vcpu *v);
void vmx_update_cr(struct hv_vcpu *v);
void vmx_update_dr(struct hv_vcpu *v);
void vmx_sync_dr(struct hv_vcpu *v);
u64 vmx_read_cr3(struct hv_vcpu *v);
int vmx_cpl(struct hv_vcpu *v);
u32 vmx_cs_ar(struct hv_vcpu *v);
u64 vmx_seg_base(struct hv_vcpu *v, unsigned int seg);
void vmx_get_sregs(struct hv_vcpu *v, struct hv_sregs *s);
void vmx_set_sregs(struct hv_vcpu *v, const struct hv_sregs *s);
void vmx_update_tsc_offset(struct hv_vcpu *v);
/* Read them as a write of CR0 or CR4 does: 0, -EFAULT (slow_gpa), or -EINVAL: #GP. */
int vmx_load_pdptes(struct hv_vcpu *v, bool even_bad);
bool vmx_pdpte_ok(const struct hv_vcpu *v, u64 pdpte);

/* msrs.c */
void vmx_msr_load(struct hv_vcpu *v);
void vmx_msr_put(struct hv_vcpu *v);
/* EFER.SCE may have been set: the system call MSRs then matter. */
void vmx_msr_efer_changed(struct hv_vcpu *v);
u64 vmx_get_msr(struct hv_vcpu *v, u32 index);
void vmx_set_msr(struct hv_vcpu *v, u32 index, u64 value);
u64 vmx_msr_bitmap_pa(void);
int vmx_msr_bitmap_create(void);
void vmx_msr_bitmap_free(void);

/* events.c */
void vmx_inject(struct hv_vcpu *v, const struct hv_event *e);
/* What info says is still to be delivered; error is the field of its error code. */
void vmx_requeue(struct hv_vcpu *v, u32 info, enum vmcs_field error);
void vmx_interrupt_window(struct hv_vcpu *v);
void vmx_nmi_window(struct hv_vcpu *v);
void vmx_set_primary(struct hv_vcpu *v, u32 bits, bool on);
bool vmx_nmi_masked(struct hv_vcpu *v);
void vmx_set_nmi_masked(struct hv_vcpu *v, bool masked);
u32 vmx_debug_pending(struct hv_vcpu *v);
void vmx_set_debug_pending(struct hv_vcpu *v, u32 traps);
void vmx_tpr_threshold(struct hv_vcpu *v, bool exit_on_lower);

/* exits.c */
int vmx_handle_exit(struct hv_vcpu *v);

/* check.c: which field of a refused guest state breaks a rule; 0: none that is known */
u32 vmx_find_bad_field(struct hv_vcpu *v);

#endif
