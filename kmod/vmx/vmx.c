// SPDX-License-Identifier: GPL-2.0
/*
 * The VT-x backend's frame: set-up, creation of a vCPU's VMCS, the host state
 * around a stay in the inner loop, and the entry itself. Intel SDM Vol. 3, 24 to 27.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/module.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "ept.h"
#include "vmx.h"

/* The per-stay way can be had on every kernel, to test it. */
module_param_named(vmxonperstay, vmx_per_stay, bool, 0444);
MODULE_PARM_DESC(vmxonperstay,
		 "enter VMX operation for each stay in a guest (default: where needed)");

static int vmx_setup(void)
{
	int r = vmx_read_caps();

	if (r)
		return r;
	if (!COMPAT_CR4_SHADOW)
		vmx_per_stay = true;
	if (compat_host_has_fred()) {
		pr_err("hosts with FRED are not supported with VT-x yet: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	hv_host.closed_stays = vmx_per_stay;
	/*
	 * A guest that changes the size of a page that it executes makes such a CPU stop
	 * with a machine check, unless all pages of the tables below are small.
	 */
	hv_host.small_pages = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	r = vmx_alloc_cpus();
	if (!r)
		r = vmx_msr_bitmap_create();
	if (r)
		vmx_free_cpus();
	return r;
}

static void vmx_unsetup(void)
{
	vmx_msr_bitmap_free();
	vmx_free_cpus();
}

/* ------------------------------------------------------------------------- */
/* A vCPU                                                                     */

/*
 * A guest's kernel that spins exits when for so many ticks of the TSC no two PAUSEs
 * were further apart than the gap (Intel SDM Vol. 3, 25.1.3): some tens of
 * microseconds, longer than a lock is held whose holder runs, and far shorter than a
 * time slice.
 */
#define PLE_GAP	   128
#define PLE_WINDOW 65536

/* Fields that stay as they are. */
static void write_constants(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	vmcs_write(VMCS_PIN_CONTROLS, vmx_caps.pin);
	vmcs_write(VMCS_PRIMARY_CONTROLS, x->primary);
	vmcs_write(VMCS_SECONDARY_CONTROLS, vmx_caps.secondary);
	vmcs_write(VMCS_EXIT_CONTROLS, vmx_caps.exit);
	vmcs_write(VMCS_EXCEPTION_BITMAP, HV_INTERCEPTED_EXCEPTIONS);
	vmcs_write(VMCS_PF_ERROR_MASK, 0);
	vmcs_write(VMCS_PF_ERROR_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmcs_write(VMCS_EPT_POINTER, x->eptp);
	vmcs_write(VMCS_MSR_BITMAP, vmx_msr_bitmap_pa());
	vmcs_write(VMCS_VIRTUAL_APIC_PAGE, __pa(x->apic_page));
	if (vmx_caps.secondary & SEC_PAUSE_LOOP_EXIT) {
		vmcs_write(VMCS_PLE_GAP, PLE_GAP);
		vmcs_write(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	if (vmx_caps.secondary & SEC_TSC_SCALING)
		vmcs_write(VMCS_TSC_MULTIPLIER, v->vm->tsc_ratio ?: BIT_ULL(HV_TSC_FRACTION));
	/* SGX is not offered. */
	if (vmx_caps.secondary & SEC_ENCLS_EXIT)
		vmcs_write(VMCS_ENCLS_BITMAP, ~0ULL);
	vmcs_write(VMCS_LINK_POINTER, ~0ULL);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	if (vmx_caps.pin & PIN_PREEMPTION_TIMER)
		vmcs_write(VMCS_PREEMPTION_TIMER, x->timer);
	/* What is in a new VMCS is undefined; zero is what power-up leaves in these. */
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
	/* TS and its like are the guest's own: they change nothing the host relies on. */
	vmcs_write(VMCS_CR0_MASK, ~(u64)VMX_CR0_GUEST_OWNED);
	vmcs_write(VMCS_CR4_MASK, ~0ULL);

	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CS_SEL, __KERNEL_CS);
	vmcs_write(VMCS_HOST_SS_SEL, __KERNEL_DS);
	/* Those of user space, if it has any, are put back after the stay. */
	vmcs_write(VMCS_HOST_DS_SEL, 0);
	vmcs_write(VMCS_HOST_ES_SEL, 0);
	vmcs_write(VMCS_HOST_FS_SEL, 0);
	vmcs_write(VMCS_HOST_GS_SEL, 0);
	/* As host_fs_base has it. */
	vmcs_write(VMCS_HOST_FS_BASE, 0);
	vmcs_write(VMCS_HOST_TR_SEL, GDT_ENTRY_TSS * 8);
	vmcs_write(VMCS_HOST_RIP, (unsigned long)vmx_exit_point);
}

static int vmx_vcpu_create(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = kzalloc(sizeof(*x), GFP_KERNEL_ACCOUNT);

	v->arch = x;
	if (!x)
		return -ENOMEM;
	x->active_cpu = -1;
	x->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	x->apic_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!x->vmcs || !x->apic_page)
		return -ENOMEM;
	*(u32 *)x->vmcs = vmx_caps.revision;
	x->vmcs_pa = __pa(x->vmcs);
	x->eptp = v->vm->s2_root_pa | EPTP_WRITE_BACK | EPTP_FOUR_LEVELS |
		  (vmx_caps.ept_ad ? EPTP_ACCESSED_DIRTY : 0);
	x->primary = vmx_caps.primary;
	x->moved = true;

	x->fresh = true;
	if (!vmx_try_borrow(v))
		return hardware_stopping() ? -ESHUTDOWN : -EBUSY;
	write_constants(v);
	vmx_return(v);
	return 0;
}

static void vmx_vcpu_free(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = v->arch;

	if (!x)
		return;
	vmx_deactivate(v);
	free_page((unsigned long)x->vmcs);
	free_page((unsigned long)x->apic_page);
	kfree(x);
}

/* ------------------------------------------------------------------------- */
/* The host around a stay                                                     */

static void vmx_move(struct hv_vcpu *v)
{
	vmx_deactivate(v);
	to_vmx(v)->moved = true;
	to_vmx(v)->vpid_generation = 0;
}

static u64 tss_base(const struct desc_ptr *gdt)
{
	const struct ldttss_desc *d = (void *)(gdt->address + GDT_ENTRY_TSS * 8);

	return d->base0 | (u64)d->base1 << 16 | (u64)d->base2 << 24 | (u64)d->base3 << 32;
}

/* Host state that is the same for as long as the vCPU stays on this CPU. */
static void write_host_cpu(struct vmx_vcpu *x)
{
	struct desc_ptr gdt, idt;
	u64 value;

	native_store_gdt(&gdt);
	x->host_gdt = gdt;
	store_idt(&idt);
	vmcs_write(VMCS_HOST_GDTR_BASE, gdt.address);
	vmcs_write(VMCS_HOST_IDTR_BASE, idt.address);
	vmcs_write(VMCS_HOST_TR_BASE, tss_base(&gdt));
	rdmsrl(MSR_GS_BASE, value);
	vmcs_write(VMCS_HOST_GS_BASE, value);
	rdmsrl(MSR_EFER, value);
	vmcs_write(VMCS_HOST_EFER, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmcs_write(VMCS_HOST_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, value);
}

static void save_host_segments(struct vmx_vcpu *x)
{
	u64 fs_base;

	savesegment(ds, x->host_ds);
	savesegment(es, x->host_es);
	savesegment(fs, x->host_fs);
	savesegment(gs, x->host_gs);
	rdmsrl(MSR_FS_BASE, fs_base);
	if (fs_base != x->host_fs_base) {
		x->host_fs_base = fs_base;
		vmcs_write(VMCS_HOST_FS_BASE, fs_base);
	}
}

/* An exit loads null selectors; only a 32-bit process has others. */
static void restore_host_segments(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);
	unsigned long flags;

	if (likely(!(x->host_ds | x->host_es | x->host_fs | x->host_gs)))
		return;
	/* They may be of the LDT, which an exit has taken away, too. */
	host_ldt_restore(v);
	loadsegment(ds, x->host_ds);
	loadsegment(es, x->host_es);
	loadsegment(fs, x->host_fs);
	wrmsrl(MSR_FS_BASE, x->host_fs_base);
	/* Changes the inactive base, which vmx_msr_put() writes after this. */
	local_irq_save(flags);
	load_gs_index(x->host_gs);
	local_irq_restore(flags);
}

/* The guest uses debug registers: they are its own from here to vmx_put(). */
void vmx_load_dr(struct hv_vcpu *v)
{
	dr_load(v);
	/* Not in the VMCS; the host expects none of its bits. */
	set_debugreg(v->dr6, 6);
	vmx_set_primary(v, PRI_MOV_DR_EXIT, false);
}

/*
 * The host may want an #AC for a lock that crosses a cache line. A guest's kernel
 * expects no such thing, so where the host's own kernel does not say what becomes of
 * such a guest, it may go on. Few have such locks: only those that do pay for it.
 */
void vmx_allow_split_locks(struct hv_vcpu *v)
{
	u64 control;

	rdmsrl(MSR_TEST_CTRL, control);
	wrmsrl(MSR_TEST_CTRL, control & ~(u64)MSR_TEST_CTRL_SPLIT_LOCK_DETECT);
	to_vmx(v)->split_locks = true;
}

static void forbid_split_locks(struct hv_vcpu *v)
{
	u64 control;

	rdmsrl(MSR_TEST_CTRL, control);
	wrmsrl(MSR_TEST_CTRL, control | MSR_TEST_CTRL_SPLIT_LOCK_DETECT);
	to_vmx(v)->split_locks = false;
}

static int vmx_load(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (x->lost || !vmx_acquire(v))
		return -EBUSY;
	x->in_loop = true;
	if (unlikely(x->pdptes_stale)) {
		/* Entries that are no good make the processor refuse the entry. */
		if (vmx_load_pdptes(v, true) == -EFAULT) {
			x->in_loop = false;
			vmx_release(v);
			return EXIT_SLEEP;
		}
		x->pdptes_stale = false;
	}
	if (x->moved) {
		write_host_cpu(x);
		x->moved = false;
		v->flush = true;
	}
	if (unlikely(x->vpid_generation != this_cpu_read(vmx_cpu.vpid_generation)))
		vmx_take_vpid(x);
	save_host_segments(x);
	vmx_msr_load(v);
	if (unlikely(dr_armed(v->dr7)))
		vmx_load_dr(v);
	return EXIT_AGAIN;
}

static void vmx_put(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (unlikely(v->dr_live)) {
		vmx_sync_dr(v);
		vmx_set_primary(v, PRI_MOV_DR_EXIT, true);
		set_debugreg(DR6_RESERVED, 6);
	}
	dr_put(v);
	if (unlikely(x->split_locks))
		forbid_split_locks(v);
	restore_host_segments(v);
	vmx_msr_put(v);
	/* An exit leaves the largest limit in GDTR, and the smallest in TR. */
	native_load_gdt(&x->host_gdt);
	invalidate_tss_limit();
	x->in_loop = false;
	vmx_release(v);
}

/* ------------------------------------------------------------------------- */
/* The entry                                                                  */

/*
 * A single step that waits behind a shadow must be told: Intel SDM Vol. 3, 26.3.1.5. One
 * that waits otherwise is what user space has loaded; the end of a shadow raises its own.
 */
static void write_interruptibility(struct hv_vcpu *v, u32 now)
{
	struct vmx_vcpu *x = to_vmx(v);
	u64 traps = vmcs_read(VMCS_GUEST_PENDING_DEBUG);

	if (now & (BLOCK_STI | BLOCK_MOV_SS) || x->interruptibility != INTERRUPTIBILITY_UNKNOWN)
		traps &= ~(u64)DR_STEP;
	if (now & (BLOCK_STI | BLOCK_MOV_SS) && v->gprs.rflags & X86_EFLAGS_TF)
		traps |= DR_STEP;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, now);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, traps);
	x->interruptibility = now;
}

static_assert(SHADOW_STI == BLOCK_STI && SHADOW_MOV_SS == BLOCK_MOV_SS);

/* That of STI may only stand beside IF: Intel SDM Vol. 3, 26.3.1.5. */
static u32 interruptibility(const struct hv_vcpu *v, const struct vmx_vcpu *x)
{
	u32 shadow = v->shadow;

	if (unlikely(shadow) && !(v->gprs.rflags & X86_EFLAGS_IF))
		shadow = BLOCK_MOV_SS;
	return shadow | x->nmi_masked;
}

/*
 * The preemption timer starts anew at each entry: Intel SDM Vol. 3, 25.5.1. It counts
 * in steps; one that is early finds the deadline still ahead. A guest that waits longer than it can
 * count is left once in between.
 */
static void write_timer(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);
	u64 ticks = vmx_caps.slice ? vmx_caps.slice : U32_MAX, left;

	if (v->lapic.tsc_deadline && hv_host.stay_timer) {
		left = clock_host_ticks(v->vm, clock_until_deadline(v));
		ticks = min(ticks, left ? (left >> vmx_caps.timer_shift) + 1 : 0);
	}
	if (x->timer != ticks) {
		vmcs_write(VMCS_PREEMPTION_TIMER, ticks);
		x->timer = ticks;
	}
}

static void write_guest(struct hv_vcpu *v, struct vmx_vcpu *x)
{
	u32 blocking = interruptibility(v, x);

	if (unlikely(x->dirty))
		vmx_write_dirty(v);
	/* Also when a single step behind a shadow was turned on or off meanwhile. */
	if (unlikely(x->interruptibility != blocking ||
		     (v->shadow && (x->rflags ^ v->gprs.rflags) & X86_EFLAGS_TF)))
		write_interruptibility(v, blocking);
	if (x->rip != v->gprs.rip)
		vmcs_write(VMCS_GUEST_RIP, x->rip = v->gprs.rip);
	if (x->rsp != v->gprs.r[HV_RSP])
		vmcs_write(VMCS_GUEST_RSP, x->rsp = v->gprs.r[HV_RSP]);
	if (x->rflags != v->gprs.rflags)
		vmcs_write(VMCS_GUEST_RFLAGS, x->rflags = v->gprs.rflags);
	if (native_read_cr2() != v->cr2)
		native_write_cr2(v->cr2);
	if (vmx_caps.pin & PIN_PREEMPTION_TIMER)
		write_timer(v);
}

static void read_guest(struct hv_vcpu *v, struct vmx_vcpu *x)
{
	u32 blocking = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	v->gprs.rip = x->rip = vmcs_read(VMCS_GUEST_RIP);
	v->gprs.r[HV_RSP] = x->rsp = vmcs_read(VMCS_GUEST_RSP);
	v->gprs.rflags = x->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	x->interruptibility = blocking;
	x->nmi_masked = blocking & BLOCK_NMI;
	v->shadow = blocking & (BLOCK_STI | BLOCK_MOV_SS);
}

/* What an interrupt handler may have changed between two entries. */
static void write_host(struct vmx_vcpu *x)
{
	u64 cr3 = __native_read_cr3(), cr4 = native_read_cr4();

	if (unlikely(cr3 != x->host_cr3)) {
		vmcs_write(VMCS_HOST_CR3, cr3);
		x->host_cr3 = cr3;
	}
	if (unlikely(cr4 != x->host_cr4)) {
		vmcs_write(VMCS_HOST_CR4, cr4);
		x->host_cr4 = cr4;
	}
	/* perf changes it from an interrupt. */
	rdmsrl(MSR_IA32_DEBUGCTLMSR, x->host_debugctl);
}

/* The host's own, to be handled before anything else happens: interrupts are still off. */
static void host_exception(struct vmx_vcpu *x)
{
	x->intr_info = vmcs_read(VMCS_EXIT_INTR_INFO);
	/* The exit has consumed the NMI, and blocks more of them until this handler's IRET. */
	if ((x->intr_info & INTR_TYPE_MASK) == INTR_TYPE_NMI)
		asm volatile("int $2");
	else if ((x->intr_info & INTR_VECTOR) == X86_TRAP_MC)
		exit_machine_check();
}

static void vmx_enter(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);
	u8 tpr = lapic_tpr(&v->lapic);
	bool ran;

	x->apic_page[APIC_REG_TPR] = tpr;
	write_guest(v, x);
	write_host(x);
	if (unlikely(v->flush)) {
		vmx_invept(x->eptp);
		vmx_invvpid(x->vpid);
		v->flush = false;
	}

	ran = vmx_run(v->gprs.r, x->launched);

	/* An exit clears it. */
	if (unlikely(x->host_debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, x->host_debugctl);

	v->cr2 = native_read_cr2();
	x->vectoring = 0;
	if (unlikely(!ran)) {
		x->reason = VMX_REFUSED | vmcs_read(VMCS_INSN_ERROR);
		return;
	}
	x->reason = vmcs_read(VMCS_EXIT_REASON);
	if (unlikely(x->reason & VMX_EXIT_ENTRY_FAILED)) {
		if ((u16)x->reason == VMX_EXIT_ENTRY_MACHINE_CHECK)
			exit_machine_check();
		return;
	}
	x->launched = true;
	read_guest(v, x);
	x->vectoring = vmcs_read(VMCS_VECTORING_INFO);
	if ((u16)x->reason == VMX_EXIT_EXCEPTION_NMI)
		host_exception(x);
	if (unlikely(x->vectoring & INTR_VALID))
		vmx_requeue(v, x->vectoring, VMCS_VECTORING_ERROR);
	if (x->apic_page[APIC_REG_TPR] != tpr)
		lapic_set_tpr(&v->lapic, x->apic_page[APIC_REG_TPR]); /* MOV to CR8 */
}

const struct hv_ops vmx_ops = {
	.s2 = &ept_format,
	.backend = HV_BACKEND_VMX,
	.setup = vmx_setup,
	.unsetup = vmx_unsetup,
	.cpu_fits = vmx_cpu_fits,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.move = vmx_move,
	.load = vmx_load,
	.put = vmx_put,
	.enter = vmx_enter,
	.handle_exit = vmx_handle_exit,
	.inject = vmx_inject,
	.interrupt_window = vmx_interrupt_window,
	.nmi_window = vmx_nmi_window,
	.nmi_masked = vmx_nmi_masked,
	.set_nmi_masked = vmx_set_nmi_masked,
	.reachable = vmx_reachable,
	.debug_pending = vmx_debug_pending,
	.set_debug_pending = vmx_set_debug_pending,
	.update_cr = vmx_update_cr,
	.update_dr = vmx_update_dr,
	.sync_cr0 = vmx_sync_cr0,
	.sync_dr = vmx_sync_dr,
	.read_cr3 = vmx_read_cr3,
	.cpl = vmx_cpl,
	.cs_ar = vmx_cs_ar,
	.seg_base = vmx_seg_base,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.update_tsc_offset = vmx_update_tsc_offset,
	.tpr_threshold = vmx_tpr_threshold,
};
