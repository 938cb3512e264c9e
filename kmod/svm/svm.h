/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the AMD-V backend share. */
#ifndef HV_SVM_H
#define HV_SVM_H

#include "../hv_internal.h"
#include <asm/msr-index.h>

#include "vmcb.h"

#define CPUID80000001_ECX_SVM BIT(2)

/* AMD, "Technical Update Regarding Speculative Return Stack Overflow" */
#define MSR_BP_CFG	   0xc001102e
#define BP_CFG_SPEC_REDUCE BIT_ULL(4)

/* NMIs are masked until an IRET, of which the processor tells before it is carried out. */
enum svm_nmi {
	NMI_OPEN,    /* not masked */
	NMI_MASKED,  /* IRET is intercepted */
	NMI_RETURNS, /* the IRET was met, at iret_rip, and is to be carried out */
};

/* One instruction under a TF of ours, to exit behind it: which, and what became of it. */
enum svm_step {
	STEP_NONE,
	STEP_SHADOW,   /* the one in the shadow of STI or MOV SS */
	STEP_IRET,     /* the one that ends the masking of NMIs... */
	STEP_RETURNED, /* ...which was carried out: RFLAGS are those that it loaded */
};

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 asid_generation; /* ASID is valid on vcpu->cpu in this generation */
	enum svm_nmi nmi;
	enum svm_step step;
	u64 iret_rip;
	u64 step_dr6;	/* the guest's own DR6 while a step is on... */
	bool step_tf;	/* ...and its TF */
	bool virq;	/* an interrupt went in as a virtual one: see quirks.c */
	u64 host_traps; /* bits of the host's DEBUGCTL that are off in a stay */
};

/* Per CPU. */
struct svm_cpu {
	u64 generation; /* of ASIDs */
	u32 next_asid;
	void *hsave;	   /* VMRUN's host state */
	struct vmcb *host; /* VMSAVE's host state */
	u64 host_pa;
};

extern struct svm_features {
	bool nrips;
	bool flush_asid;
	bool clean_bits;
	bool pause_filter;
	bool pause_threshold;
	bool debugctl; /* there is a DEBUGCTL MSR */
	u32 max_asid;
} svm_features;

extern struct svm_quirks {
	bool loses_shadow;  /* VMRUN does not load the shadow */
	bool injects_twice; /* an interrupt by EVENTINJ may be delivered again */
} svm_quirks;

DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

static inline struct svm_vcpu *to_svm(struct hv_vcpu *v)
{
	return v->arch;
}

static inline void vmcb_dirty(struct vmcb *b, u32 bits)
{
	b->c.clean &= ~bits;
}

/* enter.S: regs is hv_gprs.r[]; RAX and RSP are in the VMCB. */
asmlinkage void svm_vmrun(u64 *regs, u64 vmcb_pa, u64 host_vmcb_pa);

/* svm.c */
void svm_load_dr(struct hv_vcpu *v);

/* exits.c */
int svm_handle_exit(struct hv_vcpu *v);

/* events.c */
void svm_inject(struct hv_vcpu *v, const struct hv_event *e);
void svm_interrupt_window(struct hv_vcpu *v);
void svm_nmi_window(struct hv_vcpu *v);
bool svm_nmi_masked(struct hv_vcpu *v);
void svm_set_nmi_masked(struct hv_vcpu *v, bool masked);
void svm_tpr_threshold(struct hv_vcpu *v, bool exit_on_lower);
/* injected: what went in with the last entry, if the guest's RIP is still as it was then. */
void svm_requeue(struct hv_vcpu *v, u32 injected);
void svm_exit_iret(struct hv_vcpu *v);
/* After every exit in these states, in this order. */
void svm_nmi_returns(struct hv_vcpu *v);
bool svm_step_fault(struct hv_vcpu *v, u64 code);
bool svm_step_done(struct hv_vcpu *v);
void svm_step_end(struct hv_vcpu *v);
void svm_close_interrupt_window(struct hv_vcpu *v);

/* quirks.c */
int svm_quirks_setup(void);
void svm_inject_virtual(struct hv_vcpu *v, u8 vector);
void svm_virq_done(struct hv_vcpu *v);
bool svm_quirk_is_interrupt(u8 vector);
bool svm_quirk_is_invd(struct hv_vcpu *v);

/* state.c */
void svm_vcpu_reset(struct hv_vcpu *v);
void svm_update_cr(struct hv_vcpu *v);
void svm_sync_cr0(struct hv_vcpu *v);
void svm_update_dr(struct hv_vcpu *v);
void svm_sync_dr(struct hv_vcpu *v);
u64 svm_read_cr3(struct hv_vcpu *v);
int svm_cpl(struct hv_vcpu *v);
u32 svm_cs_ar(struct hv_vcpu *v);
u64 svm_seg_base(struct hv_vcpu *v, unsigned int seg);
void svm_get_sregs(struct hv_vcpu *v, struct hv_sregs *s);
void svm_set_sregs(struct hv_vcpu *v, const struct hv_sregs *s);
u64 svm_get_msr(struct hv_vcpu *v, u32 index);
void svm_set_msr(struct hv_vcpu *v, u32 index, u64 value);
void svm_update_tsc_offset(struct hv_vcpu *v);

#endif
