// SPDX-License-Identifier: GPL-2.0
/*
 * After a refused entry: which field of the guest state it was. The processor does
 * not say; so its checks (Intel SDM Vol. 3, 26.3.1) are gone through here, in their
 * order, for whoever has to find out what the caller of HV_SET_REGS did wrong.
 */
#include "vmx.h"

#define SEG_RESERVED 0xfffe0f00U
/* Present, DPL 3, writable data that was accessed */
#define AR_VM86 0xf3
/* Types of system segments: Intel SDM Vol. 3, table 3-2 */
#define TYPE_LDT	2
#define TYPE_TSS16_BUSY 3
#define TYPE_TSS_BUSY	11
#define SELECTOR_TI	4

/* The segment's three fields that can be wrong: base, limit and access rights. */
struct seg {
	u32 base_field, limit_field, ar_field;
	u64 base;
	u32 limit, ar, selector;
	bool usable;
};

static struct seg read_seg(unsigned int n)
{
	struct seg s = {
		.base_field = SEG_FIELD(VMCS_GUEST_ES_BASE, n),
		.limit_field = SEG_FIELD(VMCS_GUEST_ES_LIMIT, n),
		.ar_field = SEG_FIELD(VMCS_GUEST_ES_AR, n),
	};

	s.base = vmcs_read(s.base_field);
	s.limit = vmcs_read(s.limit_field);
	s.ar = vmcs_read(s.ar_field);
	s.selector = vmcs_read(SEG_FIELD(VMCS_GUEST_ES_SEL, n));
	s.usable = !(s.ar & HV_AR_UNUSABLE);
	return s;
}

static unsigned int dpl(const struct seg *s)
{
	return segment_dpl(s->ar);
}

/* 26.3.1.1: control registers, debug registers and MSRs */
static u32 check_registers(struct hv_vcpu *v)
{
	u64 cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);
	u64 efer = vmcs_read(VMCS_GUEST_EFER);
	bool ia32e = vmcs_read(VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;

	if (cr0 & X86_CR0_PG && !(cr0 & X86_CR0_PE))
		return VMCS_GUEST_CR0;
	if (ia32e && !(cr0 & X86_CR0_PG))
		return VMCS_GUEST_CR0;
	if ((ia32e && !(cr4 & X86_CR4_PAE)) || (!ia32e && cr4 & X86_CR4_PCIDE))
		return VMCS_GUEST_CR4;
	if (vmcs_read(VMCS_GUEST_CR3) & ~v->gpa_mask)
		return VMCS_GUEST_CR3;
	if (vmcs_read(VMCS_GUEST_DR7) >> 32)
		return VMCS_GUEST_DR7;
	if (!state_canonical(vmcs_read(VMCS_GUEST_SYSENTER_ESP)))
		return VMCS_GUEST_SYSENTER_ESP;
	if (!state_canonical(vmcs_read(VMCS_GUEST_SYSENTER_EIP)))
		return VMCS_GUEST_SYSENTER_EIP;
	if (!!(efer & EFER_LMA) != ia32e ||
	    (cr0 & X86_CR0_PG && !!(efer & EFER_LME) != !!(efer & EFER_LMA)))
		return VMCS_GUEST_EFER;
	return 0;
}

/* 26.3.1.2: in virtual-8086 mode a segment is its selector, 64 KiB and DPL 3. */
static u32 check_vm86(void)
{
	unsigned int n;

	for (n = SEG_ES; n <= SEG_GS; n++) {
		struct seg s = read_seg(n);

		if (s.base != (u64)s.selector << 4)
			return s.base_field;
		if (s.limit != 0xffff)
			return s.limit_field;
		if (s.ar != AR_VM86)
			return s.ar_field;
	}
	return 0;
}

static bool cs_type_ok(const struct seg *cs, const struct seg *ss)
{
	switch (cs->ar & HV_AR_TYPE) {
	case 3:
		return dpl(cs) == 0;
	case 9:
	case 11:
		return dpl(cs) == dpl(ss);
	case 13:
	case 15:
		return dpl(cs) <= dpl(ss);
	default:
		return false;
	}
}

static bool limit_ok(const struct seg *s)
{
	if (s->ar & HV_AR_G)
		return (s->limit & 0xfff) == 0xfff;
	return !(s->limit >> 20);
}

static bool type_ok(const struct seg *s, unsigned int n, const struct seg *ss)
{
	u32 type = s->ar & HV_AR_TYPE;

	if (n == SEG_CS)
		return cs_type_ok(s, ss);
	if (n == SEG_SS)
		return type == 3 || type == 7;
	/* Accessed, and readable where it is code */
	return type & 1 && (!(type & 8) || type & 2);
}

static u32 check_segments(struct hv_vcpu *v)
{
	struct seg cs = read_seg(SEG_CS), ss = read_seg(SEG_SS);
	bool real = !(vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PE);
	unsigned int n;

	for (n = SEG_ES; n <= SEG_GS; n++) {
		struct seg s = read_seg(n);

		if (n >= SEG_FS ? !state_canonical(s.base) : s.usable && s.base >> 32)
			return s.base_field;
		if (!s.usable && n != SEG_CS)
			continue;
		if (!type_ok(&s, n, &ss) || !(s.ar & HV_AR_S) || !(s.ar & HV_AR_P) ||
		    s.ar & SEG_RESERVED)
			return s.ar_field;
		if (!limit_ok(&s))
			return s.limit_field;
	}
	if (v->efer & EFER_LMA && cs.ar & HV_AR_L && cs.ar & HV_AR_DB)
		return VMCS_GUEST_CS_AR;
	if ((real || (cs.ar & HV_AR_TYPE) == 3) && dpl(&ss))
		return VMCS_GUEST_SS_AR;
	return 0;
}

/* The task register must be a busy TSS, LDTR an LDT or unusable. */
static u32 check_system_segments(struct hv_vcpu *v)
{
	struct seg tr = read_seg(SEG_TR), ldt = read_seg(SEG_LDTR);
	u32 type = tr.ar & HV_AR_TYPE;

	if (!state_canonical(tr.base))
		return tr.base_field;
	if (!(type == TYPE_TSS_BUSY || (type == TYPE_TSS16_BUSY && !(v->efer & EFER_LMA))) ||
	    tr.ar & HV_AR_S || !(tr.ar & HV_AR_P) || tr.ar & SEG_RESERVED || !tr.usable)
		return tr.ar_field;
	if (!limit_ok(&tr))
		return tr.limit_field;
	if (tr.selector & SELECTOR_TI)
		return VMCS_GUEST_TR_SEL;
	if (!ldt.usable)
		return 0;
	if (!state_canonical(ldt.base))
		return ldt.base_field;
	if ((ldt.ar & HV_AR_TYPE) != TYPE_LDT || ldt.ar & HV_AR_S || !(ldt.ar & HV_AR_P) ||
	    ldt.ar & SEG_RESERVED)
		return ldt.ar_field;
	if (!limit_ok(&ldt))
		return ldt.limit_field;
	return ldt.selector & SELECTOR_TI ? VMCS_GUEST_LDTR_SEL : 0;
}

/* 26.3.1.3: descriptor tables */
static u32 check_tables(void)
{
	if (!state_canonical(vmcs_read(VMCS_GUEST_GDTR_BASE)))
		return VMCS_GUEST_GDTR_BASE;
	if (!state_canonical(vmcs_read(VMCS_GUEST_IDTR_BASE)))
		return VMCS_GUEST_IDTR_BASE;
	if (vmcs_read(VMCS_GUEST_GDTR_LIMIT) >> 16)
		return VMCS_GUEST_GDTR_LIMIT;
	if (vmcs_read(VMCS_GUEST_IDTR_LIMIT) >> 16)
		return VMCS_GUEST_IDTR_LIMIT;
	return 0;
}

/* 26.3.1.4 and 26.3.1.5: RIP, RFLAGS, what is blocked */
static u32 check_flow(struct hv_vcpu *v)
{
	u64 flags = vmcs_read(VMCS_GUEST_RFLAGS), rip = vmcs_read(VMCS_GUEST_RIP);
	bool in64 = v->efer & EFER_LMA && vmcs_read(VMCS_GUEST_CS_AR) & HV_AR_L;
	u32 inject = vmcs_read(VMCS_ENTRY_INTR_INFO);

	if (in64 ? !state_canonical(rip) : rip >> 32)
		return VMCS_GUEST_RIP;
	if (flags & RFLAGS_RESERVED || !(flags & X86_EFLAGS_FIXED))
		return VMCS_GUEST_RFLAGS;
	if (flags & X86_EFLAGS_VM && v->efer & EFER_LMA)
		return VMCS_GUEST_RFLAGS;
	if (inject & INTR_VALID && (inject & INTR_TYPE_MASK) == INTR_TYPE_EXTERNAL &&
	    !(flags & X86_EFLAGS_IF))
		return VMCS_GUEST_RFLAGS;
	return 0;
}

/* 26.3.1.6: the four entries of PAE paging */
static u32 check_pdptes(struct hv_vcpu *v)
{
	u32 field;

	if (!state_pae_paging(v))
		return 0;
	for (field = VMCS_GUEST_PDPTE0; field < VMCS_GUEST_PDPTE0 + 8; field += 2)
		if (!vmx_pdpte_ok(v, vmcs_read(field)))
			return field;
	return 0;
}

u32 vmx_find_bad_field(struct hv_vcpu *v)
{
	u32 field = check_registers(v);

	if (!field)
		field = vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_VM ? check_vm86()
								     : check_segments(v);
	if (!field)
		field = check_system_segments(v);
	if (!field)
		field = check_tables();
	if (!field)
		field = check_flow(v);
	if (!field)
		field = check_pdptes(v);
	return field;
}
