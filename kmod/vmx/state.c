// SPDX-License-Identifier: GPL-2.0
/*
 * Guest registers that live in the VMCS. The rules about them are in ../state.c;
 * here is only what VT-x wants of them besides: Intel SDM Vol. 3, 26.3.1.
 */
#include <asm/msr-index.h>

#include "vmx.h"

#define SEG_ACCESSED BIT(0)
#define SEG_BUSY     BIT(1)

/* Power-up and INIT: what ../state.c does not set after this. */
void vmx_vcpu_reset(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (!vmx_borrow(v))
		return;
	x->dirty = DIRTY_ALL;
	x->rip = 0;
	x->rsp = 0;
	x->rflags = X86_EFLAGS_FIXED;
	x->interruptibility = 0;
	x->nmi_masked = 0;
	x->tpr_threshold = 0;
	vmcs_write(VMCS_GUEST_RIP, x->rip);
	vmcs_write(VMCS_GUEST_RSP, x->rsp);
	vmcs_write(VMCS_GUEST_RFLAGS, x->rflags);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmx_set_primary(v, PRI_INTERRUPT_WINDOW | PRI_NMI_WINDOW, false);
	vmx_return(v);
}

/* ------------------------------------------------------------------------- */
/* Control and debug registers                                                */

void vmx_update_cr(struct hv_vcpu *v)
{
	to_vmx(v)->dirty |= DIRTY_CR;
}

void vmx_update_dr(struct hv_vcpu *v)
{
	to_vmx(v)->dirty |= DIRTY_DR;
	if (v->dr_live)
		set_debugreg(v->dr6, 6);
}

void vmx_update_tsc_offset(struct hv_vcpu *v)
{
	to_vmx(v)->dirty |= DIRTY_TSC;
}

static void write_cr(struct hv_vcpu *v)
{
	/*
	 * NE is demanded; a guest's use of the old way of x87 errors has no interrupt
	 * controller to arrive at.
	 */
	vmcs_write(VMCS_GUEST_CR0, state_hw_cr0(v) | X86_CR0_NE);
	vmcs_write(VMCS_CR0_SHADOW, v->cr0);
	/* VMXE is demanded; without MCE a machine check would end the host. */
	vmcs_write(VMCS_GUEST_CR4, v->cr4 | X86_CR4_VMXE | X86_CR4_MCE);
	vmcs_write(VMCS_CR4_SHADOW, v->cr4);
	vmcs_write(VMCS_GUEST_EFER, v->efer);
	vmcs_write(VMCS_ENTRY_CONTROLS, vmx_caps.entry | (v->efer & EFER_LMA ? ENTRY_IA32E : 0));
	vmx_msr_efer_changed(v);
}

void vmx_write_dirty(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (x->dirty & DIRTY_CR)
		write_cr(v);
	if (x->dirty & DIRTY_DR)
		vmcs_write(VMCS_GUEST_DR7, v->dr7);
	if (x->dirty & DIRTY_TSC)
		vmcs_write(VMCS_TSC_OFFSET, v->tsc_offset);
	x->dirty = 0;
}

void vmx_sync_cr0(struct hv_vcpu *v)
{
	/* What is to be written is newer. */
	if (to_vmx(v)->dirty & DIRTY_CR || !vmx_borrow(v))
		return;
	v->cr0 = (v->cr0 & ~(u64)VMX_CR0_GUEST_OWNED) |
		 (vmcs_read(VMCS_GUEST_CR0) & VMX_CR0_GUEST_OWNED);
	vmx_return(v);
}

/* They change without an exit only while they are the guest's own. */
void vmx_sync_dr(struct hv_vcpu *v)
{
	unsigned long dr6;

	if (!v->dr_live || to_vmx(v)->dirty & DIRTY_DR)
		return;
	v->dr7 = vmcs_read(VMCS_GUEST_DR7);
	get_debugreg(dr6, 6);
	v->dr6 = dr6;
}

u64 vmx_read_cr3(struct hv_vcpu *v)
{
	return vmcs_read(VMCS_GUEST_CR3);
}

/* ------------------------------------------------------------------------- */
/* Segments                                                                   */

int vmx_cpl(struct hv_vcpu *v)
{
	return segment_dpl(vmcs_read(VMCS_GUEST_SS_AR));
}

u32 vmx_cs_ar(struct hv_vcpu *v)
{
	return vmcs_read(VMCS_GUEST_CS_AR);
}

u64 vmx_seg_base(struct hv_vcpu *v, unsigned int seg)
{
	return vmcs_read(SEG_FIELD(VMCS_GUEST_ES_BASE, seg));
}

static void get_seg(struct hv_segment *s, unsigned int n)
{
	s->base = vmcs_read(SEG_FIELD(VMCS_GUEST_ES_BASE, n));
	s->limit = vmcs_read(SEG_FIELD(VMCS_GUEST_ES_LIMIT, n));
	s->selector = vmcs_read(SEG_FIELD(VMCS_GUEST_ES_SEL, n));
	s->ar = vmcs_read(SEG_FIELD(VMCS_GUEST_ES_AR, n));
}

/*
 * Access rights as the processor has them once a segment is loaded: an absent one
 * is unusable, code and data are accessed, and G says what the limit looks like.
 */
static u32 loaded_ar(const struct hv_segment *s, unsigned int n)
{
	u32 ar = s->ar;

	if (ar & HV_AR_UNUSABLE || !(ar & HV_AR_P))
		return ar | HV_AR_UNUSABLE;
	if (n == SEG_TR)
		ar |= SEG_BUSY;
	else if (n != SEG_LDTR)
		ar |= SEG_ACCESSED;
	if (s->limit >> 20)
		ar |= HV_AR_G;
	else if ((s->limit & 0xfff) != 0xfff)
		ar &= ~HV_AR_G;
	return ar;
}

static void set_seg(const struct hv_segment *s, unsigned int n)
{
	vmcs_write(SEG_FIELD(VMCS_GUEST_ES_BASE, n), s->base);
	vmcs_write(SEG_FIELD(VMCS_GUEST_ES_LIMIT, n), s->limit);
	vmcs_write(SEG_FIELD(VMCS_GUEST_ES_SEL, n), s->selector);
	vmcs_write(SEG_FIELD(VMCS_GUEST_ES_AR, n), loaded_ar(s, n));
}

void vmx_get_sregs(struct hv_vcpu *v, struct hv_sregs *s)
{
	if (!vmx_borrow(v)) {
		memset(s, 0, sizeof(*s));
		return;
	}
	get_seg(&s->es, SEG_ES);
	get_seg(&s->cs, SEG_CS);
	get_seg(&s->ss, SEG_SS);
	get_seg(&s->ds, SEG_DS);
	get_seg(&s->fs, SEG_FS);
	get_seg(&s->gs, SEG_GS);
	get_seg(&s->ldt, SEG_LDTR);
	get_seg(&s->tr, SEG_TR);
	s->gdt = (struct hv_dtable){.base = vmcs_read(VMCS_GUEST_GDTR_BASE),
				    .limit = vmcs_read(VMCS_GUEST_GDTR_LIMIT)};
	s->idt = (struct hv_dtable){.base = vmcs_read(VMCS_GUEST_IDTR_BASE),
				    .limit = vmcs_read(VMCS_GUEST_IDTR_LIMIT)};
	s->cr3 = vmcs_read(VMCS_GUEST_CR3);
	vmx_return(v);
}

void vmx_set_sregs(struct hv_vcpu *v, const struct hv_sregs *s)
{
	if (!vmx_borrow(v))
		return;
	set_seg(&s->es, SEG_ES);
	set_seg(&s->cs, SEG_CS);
	set_seg(&s->ss, SEG_SS);
	set_seg(&s->ds, SEG_DS);
	set_seg(&s->fs, SEG_FS);
	set_seg(&s->gs, SEG_GS);
	set_seg(&s->ldt, SEG_LDTR);
	set_seg(&s->tr, SEG_TR);
	vmcs_write(VMCS_GUEST_GDTR_BASE, s->gdt.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, s->gdt.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, s->idt.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, s->idt.limit);
	vmcs_write(VMCS_GUEST_CR3, s->cr3);
	vmx_return(v);
	to_vmx(v)->pdptes_stale = true;
}

/* ------------------------------------------------------------------------- */
/* PAE                                                                        */

#define PDPTE_PRESENT BIT_ULL(0)
/* Bits that must be zero in one that is present, below the address: 1, 2 and 5 to 8 */
#define PDPTE_RESERVED 0x1e6ULL

bool vmx_pdpte_ok(const struct hv_vcpu *v, u64 pdpte)
{
	return !(pdpte & PDPTE_PRESENT) || !(pdpte & (PDPTE_RESERVED | ~(v->gpa_mask | 0xfff)));
}

/*
 * Under EPT the processor itself loads the PDPTEs when the guest writes CR3, but
 * not when a write to CR0 or CR4 is carried out here: Intel SDM Vol. 3, 4.4.1.
 */
int vmx_load_pdptes(struct hv_vcpu *v, bool even_bad)
{
	u64 pdpte[4] = {0}, gpa = vmcs_read(VMCS_GUEST_CR3) & PAE_CR3_ADDR;
	unsigned int i;
	int r = 0;

	if (!state_pae_paging(v))
		return 0;
	/* Where there is no memory, nothing is present. */
	if (guest_read(v, gpa, pdpte, sizeof(pdpte)) == -EFAULT)
		return -EFAULT;
	for (i = 0; i < 4; i++)
		if (!vmx_pdpte_ok(v, pdpte[i]))
			r = -EINVAL;
	for (i = 0; i < 4 && (!r || even_bad); i++)
		vmcs_write(SEG_FIELD(VMCS_GUEST_PDPTE0, i), pdpte[i]);
	return r;
}
