// SPDX-License-Identifier: GPL-2.0
/*
 * One short function per exit reason of VT-x: it decodes what the processor
 * reported and asks the core. Intel SDM Vol. 3, 27.2 and appendix C.
 */
#include "../trace.h"
#include "vmx.h"

/* Run fn once it is known where the instruction ends. */
static int with_next_rip(struct hv_vcpu *v, int (*fn)(struct hv_vcpu *v))
{
	exit_length(v, vmcs_read(VMCS_EXIT_INSN_LEN));
	return fn(v);
}

/* ------------------------------------------------------------------------- */
/* Exceptions                                                                 */

/*
 * An IRET that faults has ended the masking of NMIs already; it is to be executed
 * again, and they are masked for as long. Not so when the fault came of an event's
 * delivery, or is a double fault, where the bit means nothing: Intel SDM Vol. 3,
 * 27.2.2.
 */
static void mask_nmi_again(struct hv_vcpu *v)
{
	if (!(to_vmx(v)->vectoring & INTR_VALID))
		vmx_set_nmi_masked(v, true);
}

/* The qualification has the bits of DR6; the register is as it was. */
static int exit_db(struct hv_vcpu *v)
{
	u64 hit = vmcs_read(VMCS_EXIT_QUALIFICATION);

	/* INT1 ends before its trap; as an exception it would be pushed as a fault. */
	if ((to_vmx(v)->intr_info & INTR_TYPE_MASK) == INTR_TYPE_INT1)
		v->gprs.rip += vmcs_read(VMCS_EXIT_INSN_LEN);
	vmx_sync_dr(v);
	v->dr6 = (v->dr6 & ~DR_TRAP_BITS) | (hit & (DR_TRAP_BITS | DR_STEP | DR6_BD));
	v->dr7 &= ~(u64)DR7_GD;
	vmx_update_dr(v);
	event_exception(v, X86_TRAP_DB, false, 0);
	return EXIT_AGAIN;
}

/* The guest's own, if it wants alignment checked; otherwise the host's about a split lock. */
static int exit_ac(struct hv_vcpu *v)
{
	vmx_sync_cr0(v);
	if (boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) &&
	    !(vmx_cpl(v) == 3 && v->cr0 & X86_CR0_AM && v->gprs.rflags & X86_EFLAGS_AC)) {
		if (COMPAT_SPLIT_LOCK) {
			v->split_lock = true;
			return EXIT_SLEEP;
		}
		vmx_allow_split_locks(v);
	} else {
		event_exception(v, X86_TRAP_AC, true, vmcs_read(VMCS_EXIT_ERROR_CODE));
	}
	return EXIT_AGAIN;
}

static int exit_exception(struct hv_vcpu *v)
{
	u32 info = to_vmx(v)->intr_info;

	/* Handled when it came, in vmx_enter(). */
	if ((info & INTR_TYPE_MASK) == INTR_TYPE_NMI) {
		v->stat[STAT_INTERRUPT]++;
		return EXIT_AGAIN;
	}
	v->stat[STAT_EXCEPTION]++;
	if (info & INTR_NMI_UNBLOCKED)
		mask_nmi_again(v);
	switch (info & INTR_VECTOR) {
	case X86_TRAP_DB:
		return exit_db(v);
	case X86_TRAP_AC:
		return exit_ac(v);
	case X86_TRAP_MC:
		/* As the NMI. */
		return EXIT_AGAIN;
	default:
		return exit_error(v, HV_ERROR_EXIT, to_vmx(v)->reason, info, v->gprs.rip);
	}
}

/* ------------------------------------------------------------------------- */
/* Memory and I/O                                                             */

static int exit_ept_violation(struct hv_vcpu *v)
{
	u64 why = vmcs_read(VMCS_EXIT_QUALIFICATION);
	unsigned int flags = 0;

	if (why & EPT_QUAL_WRITE)
		flags |= HV_FAULT_WRITE;
	if (why & EPT_QUAL_FETCH)
		flags |= HV_FAULT_FETCH;
	if (why & EPT_QUAL_LINEAR && !(why & EPT_QUAL_ACCESS))
		flags |= HV_FAULT_WALK;
	if (to_vmx(v)->vectoring & INTR_VALID)
		flags |= HV_FAULT_EVENT;
	if (unlikely(why & EPT_QUAL_UNBLOCKED))
		mask_nmi_again(v);
	return exit_fault(v, vmcs_read(VMCS_GUEST_PHYSICAL), flags);
}

static int exit_io(struct hv_vcpu *v)
{
	u64 why = vmcs_read(VMCS_EXIT_QUALIFICATION);
	u16 port = IO_QUAL_PORT(why);
	bool in = why & IO_QUAL_IN;

	if (unlikely(why & IO_QUAL_STRING))
		return exit_pio_string(v, port, in);
	return exit_pio(v, port, IO_QUAL_LEN(why), in);
}

/* ------------------------------------------------------------------------- */
/* Control registers                                                          */

/* What a write to a control register has in its qualification: Intel SDM Vol. 3, table 27-3. */
#define CR_QUAL_NUMBER(q) ((q)&0xf)
#define CR_QUAL_TYPE(q)	  ((q) >> 4 & 3)
#define CR_QUAL_GPR(q)	  ((q) >> 8 & 0xf)
#define CR_QUAL_MSW(q)	  ((q) >> 16 & 0xf)
#define CR_TYPE_CLTS	  2
#define CR_TYPE_LMSW	  3

/* The value that the guest wants in the register. */
static u64 cr_operand(struct hv_vcpu *v, u64 why)
{
	u64 value = v->gprs.r[CR_QUAL_GPR(why)];

	if (CR_QUAL_TYPE(why) == CR_TYPE_CLTS)
		return state_clts(v);
	if (CR_QUAL_TYPE(why) == CR_TYPE_LMSW)
		return state_lmsw(v, CR_QUAL_MSW(why));
	return code_mode(v) == DECODE_64 ? value : (u32)value;
}

/* Writes that change one of these make PAE paging take its four PDPTEs: Intel SDM Vol. 3, 4.4.1 */
#define PDPTE_CR0 (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define PDPTE_CR4 (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

/* Where the entries cannot be read now the write is taken back, and the guest repeats it. */
static int exit_cr(struct hv_vcpu *v)
{
	u64 why = vmcs_read(VMCS_EXIT_QUALIFICATION), cr0, cr4;
	int r = 0;

	vmx_sync_cr0(v);
	cr0 = v->cr0;
	cr4 = v->cr4;
	if (!state_write_cr(v, CR_QUAL_NUMBER(why), cr_operand(v, why)))
		return exit_forbidden(v);
	if ((cr0 ^ v->cr0) & PDPTE_CR0 || (cr4 ^ v->cr4) & PDPTE_CR4)
		r = vmx_load_pdptes(v, false);
	if (r) {
		v->cr0 = cr0;
		v->cr4 = cr4;
		vmx_update_cr(v);
		if (r == -EFAULT)
			return EXIT_SLEEP;
		return exit_forbidden(v);
	}
	return exit_nothing(v);
}

/* Debug registers are loaded at the first use in a stay; the access then repeats itself. */
static int exit_dr(struct hv_vcpu *v)
{
	vmx_load_dr(v);
	return EXIT_AGAIN;
}

/* ------------------------------------------------------------------------- */
/* The rest                                                                   */

/* Trap-like: the task priority was lowered, and vmx_enter() has told the APIC. */
static int exit_tpr(struct hv_vcpu *v)
{
	v->scan = true;
	return EXIT_AGAIN;
}

static int exit_window(struct hv_vcpu *v, u32 window)
{
	vmx_set_primary(v, window, false);
	v->scan = true;
	return EXIT_AGAIN;
}

static int exit_unknown(struct hv_vcpu *v)
{
	return exit_error(v, HV_ERROR_EXIT, to_vmx(v)->reason, vmcs_read(VMCS_EXIT_QUALIFICATION),
			  v->gprs.rip);
}

/*
 * Only an instruction has a length: INT n that found a task gate is one, an event that
 * did so is in the queue. RIP and RF are as the old task's state wants them, but that
 * RIP is still on the instruction: Intel SDM Vol. 3, 27.3.3.
 */
static int exit_task_switch(struct hv_vcpu *v)
{
	u64 why = vmcs_read(VMCS_EXIT_QUALIFICATION);

	exit_length(v, v->inject.type ? 0 : vmcs_read(VMCS_EXIT_INSN_LEN));
	return exit_task(v, TASK_QUAL_SELECTOR(why), TASK_QUAL_SOURCE(why));
}

/* The processor refused the guest's state: say which field it is. */
static int exit_refused(struct hv_vcpu *v)
{
	u32 reason = to_vmx(v)->reason, inject = vmcs_read(VMCS_ENTRY_INTR_INFO), field = 0;

	if (!(reason & VMX_REFUSED) && (u16)reason == VMX_EXIT_GUEST_STATE)
		field = vmx_find_bad_field(v);
	/* An exit would have taken the event. This entry never was: it is still to go in. */
	if (inject & INTR_VALID) {
		vmx_requeue(v, inject, VMCS_ENTRY_ERROR_CODE);
		vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	}
	return exit_error(v, HV_ERROR_ENTRY, reason, field, field ? vmcs_read(field) : 0);
}

int vmx_handle_exit(struct hv_vcpu *v)
{
	u32 reason = to_vmx(v)->reason;

	if (unlikely(reason & (VMX_EXIT_ENTRY_FAILED | VMX_REFUSED)))
		return exit_refused(v);
	if (trace_hv_exit_enabled())
		trace_hv_exit(v->id, reason, v->gprs.rip, vmcs_read(VMCS_EXIT_QUALIFICATION),
			      to_vmx(v)->vectoring);

	switch ((u16)reason) {
	case VMX_EXIT_INTERRUPT:
		v->stat[STAT_INTERRUPT]++;
		v->intr_exit = true;
		return EXIT_AGAIN;
	case VMX_EXIT_PREEMPTION_TIMER:
		v->stat[STAT_INTERRUPT]++;
		/* A slice is there for host interrupts that did not end the stay. */
		v->intr_exit = vmx_caps.slice;
		clock_timer_expire(v);
		return EXIT_AGAIN;
	case VMX_EXIT_IO:
		v->stat[STAT_PIO]++;
		return with_next_rip(v, exit_io);
	case VMX_EXIT_RDMSR:
		v->stat[STAT_MSR]++;
		return with_next_rip(v, exit_rdmsr);
	case VMX_EXIT_WRMSR:
		v->stat[STAT_MSR]++;
		return with_next_rip(v, exit_wrmsr);
	case VMX_EXIT_EPT_VIOLATION:
		v->stat[STAT_FAULT]++;
		return exit_ept_violation(v);
	case VMX_EXIT_CPUID:
		v->stat[STAT_CPUID]++;
		return with_next_rip(v, exit_cpuid);
	case VMX_EXIT_HLT:
		v->stat[STAT_HLT]++;
		return with_next_rip(v, exit_hlt);
	case VMX_EXIT_EXCEPTION_NMI:
		return exit_exception(v);
	case VMX_EXIT_INTERRUPT_WINDOW:
		v->stat[STAT_WINDOW]++;
		return exit_window(v, PRI_INTERRUPT_WINDOW);
	case VMX_EXIT_NMI_WINDOW:
		v->stat[STAT_WINDOW]++;
		return exit_window(v, PRI_NMI_WINDOW);
	case VMX_EXIT_TASK_SWITCH:
		v->stat[STAT_OTHER]++;
		return exit_task_switch(v);
	case VMX_EXIT_PAUSE:
		v->stat[STAT_PAUSE]++;
		/* The slice has begun anew, and may never end. */
		v->intr_exit = vmx_caps.slice;
		return exit_pause(v);
	case VMX_EXIT_TPR:
		v->stat[STAT_WINDOW]++;
		return exit_tpr(v);
	case VMX_EXIT_CR:
		v->stat[STAT_CONTROL]++;
		return with_next_rip(v, exit_cr);
	case VMX_EXIT_DR:
		v->stat[STAT_CONTROL]++;
		return exit_dr(v);
	case VMX_EXIT_XSETBV:
		v->stat[STAT_CONTROL]++;
		return with_next_rip(v, exit_xsetbv);
	case VMX_EXIT_VMCALL:
		v->stat[STAT_HYPERCALL]++;
		return with_next_rip(v, exit_hypercall);
	case VMX_EXIT_INVD:
		/* No device bypasses the caches: nothing to do. */
	case VMX_EXIT_WBINVD:
		v->stat[STAT_OTHER]++;
		return with_next_rip(v, exit_nothing);
	case VMX_EXIT_RDPMC:
		v->stat[STAT_OTHER]++;
		return exit_forbidden(v);
	case VMX_EXIT_GETSEC:
	case VMX_EXIT_VMCLEAR ... VMX_EXIT_VMXON:
	case VMX_EXIT_INVEPT:
	case VMX_EXIT_INVVPID:
	case VMX_EXIT_MWAIT:
	case VMX_EXIT_MONITOR:
	case VMX_EXIT_ENCLS:
	case VMX_EXIT_SEAMCALL:
	case VMX_EXIT_TDCALL:
		v->stat[STAT_OTHER]++;
		return exit_undefined(v);
	case VMX_EXIT_TRIPLE_FAULT:
		v->stat[STAT_OTHER]++;
		return exit_shutdown(v);
	case VMX_EXIT_INIT:
		/*
		 * The host's: it is blocked as long as VMX operation lasts, and the next entry
		 * may exit at once for it. Whoever runs the guest is to know.
		 */
	default:
		return exit_unknown(v);
	}
}
