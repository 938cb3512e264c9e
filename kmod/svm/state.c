// SPDX-License-Identifier: GPL-2.0
/* Guest registers that live in the VMCB. The rules about them are in ../state.c. */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "svm.h"

/* AMD APM Vol. 2, table 14-1; INIT leaves what svm_vcpu_reset() does not name. */
void svm_vcpu_reset(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	b->s.dbgctl = 0;
	s->nmi = NMI_OPEN;
	s->step = STEP_NONE;
	s->virq = false;
	b->c.intercept[0] &= ~BIT(ICPT_CR_WRITE(8));
	b->c.intercept[3] &= ~(ICPT3_IRET | ICPT3_VINTR);
	b->c.int_ctl = INT_V_MASKING;
	b->c.event_inj = 0;
	b->c.clean = 0;
}

void svm_update_cr(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->s.cr0 = state_hw_cr0(v);
	/*
	 * Of the write that clears bits which the processor does not see the selective
	 * intercept would not know: while they are set all accesses to CR0 exit.
	 */
	if (v->cr0 != b->s.cr0)
		b->c.intercept[0] |= BIT(ICPT_CR_READ(0)) | BIT(ICPT_CR_WRITE(0));
	else
		b->c.intercept[0] &= ~(BIT(ICPT_CR_READ(0)) | BIT(ICPT_CR_WRITE(0)));
	/* Without MCE a machine check would end the host. What the guest wrote it reads. */
	b->s.cr4 = v->cr4 | X86_CR4_MCE;
	if (v->cr4 != b->s.cr4)
		b->c.intercept[0] |= BIT(ICPT_CR_READ(4));
	else
		b->c.intercept[0] &= ~BIT(ICPT_CR_READ(4));
	/* VMRUN demands SVME; the guest does not see it. */
	b->s.efer = v->efer | EFER_SVME;
	vmcb_dirty(b, CLEAN_CR | CLEAN_INTERCEPTS);
}

/* Changes of TS and MP alone do not exit. */
void svm_sync_cr0(struct hv_vcpu *v)
{
	u64 unseen = X86_CR0_TS | X86_CR0_MP;

	v->cr0 = (v->cr0 & ~unseen) | (to_svm(v)->vmcb->s.cr0 & unseen);
}

void svm_update_dr(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->s.dr6 = v->dr6;
	b->s.dr7 = v->dr7;
	vmcb_dirty(b, CLEAN_DR);
}

void svm_sync_dr(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	v->dr6 = b->s.dr6;
	v->dr7 = b->s.dr7;
}

u64 svm_read_cr3(struct hv_vcpu *v)
{
	return to_svm(v)->vmcb->s.cr3;
}

int svm_cpl(struct hv_vcpu *v)
{
	return to_svm(v)->vmcb->s.cpl;
}

static struct vmcb_seg *seg(struct vmcb *b, unsigned int n)
{
	struct vmcb_seg *const segs[] = {
		[SEG_ES] = &b->s.es, [SEG_CS] = &b->s.cs, [SEG_SS] = &b->s.ss,
		[SEG_DS] = &b->s.ds, [SEG_FS] = &b->s.fs, [SEG_GS] = &b->s.gs,
	};

	return segs[n];
}

u64 svm_seg_base(struct hv_vcpu *v, unsigned int n)
{
	return seg(to_svm(v)->vmcb, n)->base;
}

/* The VMCB packs bits 15:12 of the access rights into 11:8. */
static u32 unpack_ar(u16 attrib)
{
	return (attrib & 0xff) | (u32)(attrib & 0xf00) << 4;
}

u32 svm_cs_ar(struct hv_vcpu *v)
{
	return unpack_ar(to_svm(v)->vmcb->s.cs.attrib);
}

/* Not present means unusable. */
static struct hv_segment get_seg(const struct vmcb_seg *s)
{
	struct hv_segment h = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.ar = unpack_ar(s->attrib),
	};

	if (!(h.ar & HV_AR_P))
		h.ar |= HV_AR_UNUSABLE;
	return h;
}

static struct vmcb_seg set_seg(const struct hv_segment *h)
{
	struct vmcb_seg s = {
		.base = h->base,
		.limit = h->limit,
		.selector = h->selector,
		.attrib = (h->ar & 0xff) | (h->ar >> 4 & 0xf00),
	};

	if (h->ar & HV_AR_UNUSABLE)
		s.attrib &= ~HV_AR_P;
	return s;
}

void svm_get_sregs(struct hv_vcpu *v, struct hv_sregs *s)
{
	struct vmcb *b = to_svm(v)->vmcb;

	s->cs = get_seg(&b->s.cs);
	s->ds = get_seg(&b->s.ds);
	s->es = get_seg(&b->s.es);
	s->fs = get_seg(&b->s.fs);
	s->gs = get_seg(&b->s.gs);
	s->ss = get_seg(&b->s.ss);
	s->tr = get_seg(&b->s.tr);
	s->ldt = get_seg(&b->s.ldtr);
	/* The processor keeps CPL here, and SS.DPL need not follow it. */
	s->ss.ar = (s->ss.ar & ~HV_AR_DPL) | (u32)b->s.cpl << SEGMENT_DPL_SHIFT;
	/* VMRUN does not care; a later user of the state will. */
	if (s->tr.ar & HV_AR_P)
		s->tr.ar |= 2;
	s->gdt = (struct hv_dtable){.base = b->s.gdtr.base, .limit = b->s.gdtr.limit};
	s->idt = (struct hv_dtable){.base = b->s.idtr.base, .limit = b->s.idtr.limit};
	s->cr3 = b->s.cr3;
}

void svm_set_sregs(struct hv_vcpu *v, const struct hv_sregs *s)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->s.cs = set_seg(&s->cs);
	b->s.ds = set_seg(&s->ds);
	b->s.es = set_seg(&s->es);
	b->s.fs = set_seg(&s->fs);
	b->s.gs = set_seg(&s->gs);
	b->s.ss = set_seg(&s->ss);
	b->s.tr = set_seg(&s->tr);
	b->s.ldtr = set_seg(&s->ldt);
	b->s.cpl = segment_dpl(s->ss.ar);
	b->s.gdtr.base = s->gdt.base;
	b->s.gdtr.limit = s->gdt.limit;
	b->s.idtr.base = s->idt.base;
	b->s.idtr.limit = s->idt.limit;
	b->s.cr3 = s->cr3;
	vmcb_dirty(b, CLEAN_SEG | CLEAN_DT | CLEAN_CR);
}

static u64 *msr_slot(struct vmcb *b, u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return &b->s.fs.base;
	case MSR_GS_BASE:
		return &b->s.gs.base;
	case MSR_KERNEL_GS_BASE:
		return &b->s.kernel_gs_base;
	case MSR_STAR:
		return &b->s.star;
	case MSR_LSTAR:
		return &b->s.lstar;
	case MSR_CSTAR:
		return &b->s.cstar;
	case MSR_SYSCALL_MASK:
		return &b->s.sfmask;
	case MSR_IA32_SYSENTER_CS:
		return &b->s.sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &b->s.sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &b->s.sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &b->s.g_pat;
	default:
		return NULL;
	}
}

u64 svm_get_msr(struct hv_vcpu *v, u32 index)
{
	u64 *slot = msr_slot(to_svm(v)->vmcb, index);

	return slot ? *slot : 0;
}

void svm_set_msr(struct hv_vcpu *v, u32 index, u64 value)
{
	struct vmcb *b = to_svm(v)->vmcb;
	u64 *slot = msr_slot(b, index);

	if (!slot)
		return;
	*slot = value;
	vmcb_dirty(b, CLEAN_NP | CLEAN_SEG);
}

void svm_update_tsc_offset(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	b->c.tsc_offset = v->tsc_offset;
	vmcb_dirty(b, CLEAN_INTERCEPTS);
}
