// SPDX-License-Identifier: GPL-2.0
/* Injection, windows and NMI masking on VT-x: Intel SDM Vol. 3, 24.8.3, 26.6 and 27.2.4. */
#include "vmx.h"

void vmx_set_primary(struct hv_vcpu *v, u32 bits, bool on)
{
	struct vmx_vcpu *x = to_vmx(v);
	u32 primary = on ? x->primary | bits : x->primary & ~bits;

	if (primary == x->primary)
		return;
	x->primary = primary;
	vmcs_write(VMCS_PRIMARY_CONTROLS, primary);
}

void vmx_inject(struct hv_vcpu *v, const struct hv_event *e)
{
	u32 info = INTR_VALID | e->vector;

	if (e->type == EVENT_NMI) {
		info |= INTR_TYPE_NMI;
		/* The delivery masks them; before it they must not be masked. */
		to_vmx(v)->nmi_masked = 0;
	} else if (e->type == EVENT_EXCEPTION) {
		info |= INTR_TYPE_EXCEPTION;
	}
	if (e->has_error) {
		info |= INTR_ERROR_VALID;
		vmcs_write(VMCS_ENTRY_ERROR_CODE, e->error);
	}
	vmcs_write(VMCS_ENTRY_INTR_INFO, info);
	/* The frame that is pushed ends the shadow. */
	v->shadow = SHADOW_NONE;
}

/*
 * An exit came while an event was delivered. Software interrupts and exceptions are
 * not repeated here: RIP is still on the instruction, which repeats itself.
 */
void vmx_requeue(struct hv_vcpu *v, u32 info, enum vmcs_field error)
{
	struct hv_event e = {
		.vector = info & INTR_VECTOR,
		.has_error = info & INTR_ERROR_VALID,
	};

	switch (info & INTR_TYPE_MASK) {
	case INTR_TYPE_EXTERNAL:
		e.type = EVENT_INTERRUPT;
		break;
	case INTR_TYPE_NMI:
		e.type = EVENT_NMI;
		break;
	case INTR_TYPE_EXCEPTION:
		e.type = EVENT_EXCEPTION;
		break;
	default:
		return;
	}
	if (e.has_error)
		e.error = vmcs_read(error);
	event_requeue(v, &e);
}

void vmx_interrupt_window(struct hv_vcpu *v)
{
	vmx_set_primary(v, PRI_INTERRUPT_WINDOW, true);
}

/*
 * With virtual NMIs the window opens behind the handler's IRET, too. Behind STI a
 * processor may open it at once; that for interrupts opens behind the next instruction.
 */
void vmx_nmi_window(struct hv_vcpu *v)
{
	bool sti = v->shadow == SHADOW_STI && v->gprs.rflags & X86_EFLAGS_IF;

	vmx_set_primary(v, sti ? PRI_INTERRUPT_WINDOW : PRI_NMI_WINDOW, true);
}

bool vmx_nmi_masked(struct hv_vcpu *v)
{
	return to_vmx(v)->nmi_masked;
}

void vmx_set_nmi_masked(struct hv_vcpu *v, bool masked)
{
	to_vmx(v)->nmi_masked = masked ? BLOCK_NMI : 0;
}

/*
 * Traps wait behind MOV SS and after the exit for the task priority: Intel SDM Vol. 3, 27.3.4.
 * (Bochs, 2.7 at least, says so after others, too.) A single step behind a shadow follows from
 * that and TF, and is not told: see vmx_enter().
 */
u32 vmx_debug_pending(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);
	bool loaded = x->interruptibility == INTERRUPTIBILITY_UNKNOWN;
	u32 traps = 0;

	if (!loaded && !(x->interruptibility & BLOCK_MOV_SS) && (u16)x->reason != VMX_EXIT_TPR)
		return 0;
	if (vmx_borrow(v)) {
		traps = vmcs_read(VMCS_GUEST_PENDING_DEBUG);
		vmx_return(v);
	}
	if (!loaded && x->interruptibility & (BLOCK_STI | BLOCK_MOV_SS))
		traps &= ~DR_STEP;
	return traps;
}

void vmx_set_debug_pending(struct hv_vcpu *v, u32 traps)
{
	if (!vmx_borrow(v))
		return;
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, traps);
	to_vmx(v)->interruptibility = INTERRUPTIBILITY_UNKNOWN;
	vmx_return(v);
}

/*
 * While the task priority holds an interrupt back, an exit follows when it falls
 * below what it is now.
 */
void vmx_tpr_threshold(struct hv_vcpu *v, bool exit_on_lower)
{
	struct vmx_vcpu *x = to_vmx(v);
	u8 threshold = exit_on_lower ? lapic_tpr(&v->lapic) >> 4 : 0;

	if (likely(x->tpr_threshold == threshold))
		return;
	x->tpr_threshold = threshold;
	vmcs_write(VMCS_TPR_THRESHOLD, threshold);
}
