// SPDX-License-Identifier: GPL-2.0
/*
 * Register groups in and out, and every rule about CR0, CR4, EFER, XCR0 and
 * segments, once for both backends. AMD APM Vol. 2, ch. 3 and 5; Intel SDM
 * Vol. 3, ch. 2.
 */
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "hv_internal.h"
#include "regs.h"

/* What the assembly of the backends takes for granted. */
static_assert(R_AX == HV_RAX * 8 && R_CX == HV_RCX * 8 && R_DX == HV_RDX * 8 &&
	      R_BX == HV_RBX * 8 && R_BP == HV_RBP * 8 && R_SI == HV_RSI * 8 &&
	      R_DI == HV_RDI * 8 && R_8 == HV_R8 * 8 && R_15 == HV_R15 * 8);

/* Bit 10 is always one. */
#define DR7_FIXED BIT(10)

#define CR0_DEFINED                                                                    \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Always there on a 64-bit processor. */
#define CR4_BASE                                                                            \
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | \
	 X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

/* ------------------------------------------------------------------------- */
/* Rules                                                                      */

static bool cr0_ok(u64 cr0)
{
	if (cr0 & ~(u64)CR0_DEFINED)
		return false;
	if (cr0 & X86_CR0_PG && !(cr0 & X86_CR0_PE))
		return false;
	return !(cr0 & X86_CR0_NW) || cr0 & X86_CR0_CD;
}

static bool cr4_ok(const struct hv_vcpu *v, u64 cr4)
{
	return !(cr4 & ~v->cr4_allowed);
}

static bool efer_ok(const struct hv_vcpu *v, u64 efer)
{
	return !(efer & ~v->efer_allowed);
}

/* Intel SDM Vol. 1, 13.3; AMD APM Vol. 2, 11.5.2 */
static bool xcr0_ok(const struct hv_vcpu *v, u64 xcr0)
{
	u64 avx512 = xcr0 & XFEATURE_MASK_AVX512;

	if (xcr0 & ~v->xcr0_allowed || !(xcr0 & XFEATURE_MASK_FP))
		return false;
	if (xcr0 & XFEATURE_MASK_YMM && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 && xcr0 & XFEATURE_MASK_YMM);
}

/* The guest writes CR0. Turning paging on with LME enters long mode. */
static bool state_write_cr0(struct hv_vcpu *v, u64 cr0)
{
	bool was_paging = v->cr0 & X86_CR0_PG, paging = cr0 & X86_CR0_PG;

	if (cr0 >> 32)
		return false;
	/* Undefined bits of the lower half stay clear, whatever is written. */
	cr0 &= CR0_DEFINED;
	if (!cr0_ok(cr0))
		return false;
	if (paging && !was_paging && v->efer & EFER_LME) {
		struct hv_sregs s;

		hv_op(get_sregs)(v, &s);
		/* Nor with a task of 16 bits: types 1 and 3. */
		if (!(v->cr4 & X86_CR4_PAE) || s.cs.ar & HV_AR_L ||
		    (s.tr.ar & HV_AR_TYPE & ~2) == 1)
			return false;
		v->efer |= EFER_LMA;
	}
	if (!paging && was_paging) {
		if (v->cr4 & X86_CR4_PCIDE || code_mode(v) == DECODE_64)
			return false;
		v->efer &= ~(u64)EFER_LMA;
	}
	v->cr0 = cr0 | X86_CR0_ET;
	hv_op(update_cr)(v);
	/* Translations made under other rules must go. */
	if (paging != was_paging)
		v->flush = true;
	return true;
}

static bool state_write_cr4(struct hv_vcpu *v, u64 cr4)
{
	u64 changed = cr4 ^ v->cr4;

	if (!cr4_ok(v, cr4))
		return false;
	if (v->efer & EFER_LMA && !(cr4 & X86_CR4_PAE))
		return false;
	if (changed & cr4 & X86_CR4_PCIDE && (!(v->efer & EFER_LMA) || hv_op(read_cr3)(v) & 0xfff))
		return false;
	hv_op(sync_cr0)(v);
	v->cr4 = cr4;
	hv_op(update_cr)(v);
	if (changed &
	    (X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PCIDE))
		v->flush = true;
	return true;
}

/* LMA is the processor's; LME cannot change while paging is on. */
bool state_write_efer(struct hv_vcpu *v, u64 efer)
{
	u64 changed;

	if (!efer_ok(v, efer))
		return false;
	efer = (efer & ~(u64)EFER_LMA) | (v->efer & EFER_LMA);
	changed = efer ^ v->efer;
	if (changed & EFER_LME && v->cr0 & X86_CR0_PG)
		return false;
	hv_op(sync_cr0)(v);
	v->efer = efer;
	hv_op(update_cr)(v);
	if (changed & EFER_NX)
		v->flush = true;
	return true;
}

/* From the inner loop, where the guest's XCR0 is in the processor. */
bool state_write_xcr0(struct hv_vcpu *v, u64 xcr0)
{
	if (!xcr0_ok(v, xcr0))
		return false;
	v->xcr0 = xcr0;
	xsetbv(XCR_XFEATURE_ENABLED_MASK, xcr0);
	return true;
}

/*
 * What CLTS and LMSW write. The backend has made sure that of the bits they keep v->cr0 has those
 * of the processor.
 */
u64 state_clts(const struct hv_vcpu *v)
{
	return v->cr0 & ~(u64)X86_CR0_TS;
}

/* The low four bits; PE can be set, not cleared. */
u64 state_lmsw(const struct hv_vcpu *v, u64 msw)
{
	return (v->cr0 & ~0xeULL) | (msw & 0xf);
}

bool state_write_cr(struct hv_vcpu *v, unsigned int cr, u64 value)
{
	/* The task priority, for one, decides what can be delivered. */
	v->scan = true;
	switch (cr) {
	case 0:
		return state_write_cr0(v, value);
	case 4:
		return state_write_cr4(v, value);
	case 8:
		if (value & ~0xfULL)
			return false;
		irq_apic_write(v, APIC_REG_TPR, value << 4);
		return true;
	default:
		return false;
	}
}

static u64 if_has(const struct hv_vcpu *v, u32 function, unsigned int reg, unsigned int bit,
		  u64 mask)
{
	return cpuid_has(&v->cpuid, function, 0, reg, bit) ? mask : 0;
}

/* What control registers may hold follows from the features the guest has. */
void state_cpuid_changed(struct hv_vcpu *v)
{
	struct cpuid_leaf r;
	struct cpuid_dynamic dyn = {0};
	bool has_xsave = cpuid_has(&v->cpuid, 1, 0, LEAF_ECX, 26);

	v->cr4_allowed = CR4_BASE | if_has(v, 1, LEAF_ECX, 17, X86_CR4_PCIDE) |
			 if_has(v, 1, LEAF_ECX, 26, X86_CR4_OSXSAVE) |
			 if_has(v, 7, LEAF_EBX, 0, X86_CR4_FSGSBASE) |
			 if_has(v, 7, LEAF_EBX, 7, X86_CR4_SMEP) |
			 if_has(v, 7, LEAF_EBX, 20, X86_CR4_SMAP) |
			 if_has(v, 7, LEAF_ECX, 2, X86_CR4_UMIP);
	v->efer_allowed = if_has(v, 0x80000001, LEAF_EDX, 11, EFER_SCE) |
			  if_has(v, 0x80000001, LEAF_EDX, 20, EFER_NX) |
			  if_has(v, 0x80000001, LEAF_EDX, 25, EFER_FFXSR) |
			  if_has(v, 0x80000001, LEAF_EDX, 29, EFER_LME | EFER_LMA);
	cpuid_query(&v->cpuid, &dyn, 0xd, 0, &r);
	v->xcr0_allowed =
		has_xsave ? (r.eax | (u64)r.edx << 32) & hv_host.guest_xcr0 : XFEATURE_MASK_FP;
	v->gpa_mask = BIT_ULL(hv_host.gpa_bits) - 1;
}

/* ------------------------------------------------------------------------- */
/* Reset                                                                      */

static const struct hv_segment reset_data = {.limit = 0xffff, .ar = 0x93};

/* AMD APM Vol. 2, table 14-1; Intel SDM Vol. 3, table 9-1 */
void state_reset(struct hv_vcpu *v, bool init)
{
	struct hv_sregs s = {
		.cs = {.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .ar = 0x9b},
		.ds = reset_data,
		.es = reset_data,
		.fs = reset_data,
		.gs = reset_data,
		.ss = reset_data,
		.tr = {.limit = 0xffff, .ar = 0x8b},
		.ldt = {.limit = 0xffff, .ar = 0x82},
		.gdt = {.limit = 0xffff},
		.idt = {.limit = 0xffff},
	};

	memset(&v->gprs, 0, sizeof(v->gprs));
	v->gprs.rip = 0xfff0;
	v->gprs.rflags = X86_EFLAGS_FIXED;
	v->gprs.r[HV_RDX] = 0x600;
	v->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	v->cr2 = 0;
	v->cr4 = 0;
	v->efer = 0;
	v->shadow = SHADOW_NONE;
	v->inject.type = EVENT_NONE;
	v->exception.type = EVENT_NONE;
	v->nmi_count = 0;
	v->complete = COMPLETE_NONE;
	memset(v->dr, 0, sizeof(v->dr));
	v->dr6 = DR6_RESERVED;
	v->dr7 = DR7_FIXED;
	if (!init) {
		v->xcr0 = XFEATURE_MASK_FP;
		fpu_reset(v);
		msr_reset(v);
		lapic_init(&v->lapic, v->id, v->id == 0);
	} else {
		lapic_reset(&v->lapic, true);
	}
	clock_timer_update(v);
	hv_op(vcpu_reset)(v);
	hv_op(set_sregs)(v, &s);
	hv_op(update_cr)(v);
	hv_op(update_dr)(v);
	v->flush = true;
	v->scan = true;
}

/* ------------------------------------------------------------------------- */
/* Groups                                                                     */

static void store_sregs(struct hv_vcpu *v, struct hv_sregs *s)
{
	hv_op(get_sregs)(v, s);
	hv_op(sync_cr0)(v);
	s->cr0 = v->cr0;
	s->cr2 = v->cr2;
	s->cr4 = v->cr4;
	s->cr8 = lapic_tpr(&v->lapic) >> 4;
	s->efer = v->efer;
	s->xcr0 = v->xcr0;
	s->apic_base = v->lapic.base;
}

/* What may wait: breakpoints 0 to 3, that one of them is enabled, a single step. */
#define DEBUG_PENDING (DR_TRAP_BITS | BIT(12) | DR_STEP)

/*
 * NMIs that came are taken, so that loading the group again does not multiply them. INIT and
 * SIPI are not: they would reset a vCPU whose exit user space is about to deal with.
 */
static void store_events(struct hv_vcpu *v, struct hv_events *e)
{
	int start = atomic_read(&v->start);

	event_take_interrupts(v);
	e->mp_state = v->mp_state;
	e->shadow = v->shadow;
	if (hv_host.ops->debug_pending)
		e->debug_pending = hv_op(debug_pending)(v) & DEBUG_PENDING;
	e->start = start & (HV_START_INIT | HV_START_SIPI);
	e->sipi_vector = start_vector(start);
	e->nmi_pending = v->nmi_count + (v->inject.type == EVENT_NMI);
	e->nmi_masked = hv_op(nmi_masked)(v) && v->inject.type != EVENT_NMI;
	if (v->inject.type == EVENT_INTERRUPT) {
		e->interrupt = HV_EVENT_PENDING;
		e->interrupt_vector = v->inject.vector;
	}
	if (v->exception.type || v->inject.type == EVENT_EXCEPTION) {
		const struct hv_event *x = v->exception.type ? &v->exception : &v->inject;

		e->exception = HV_EVENT_PENDING | (x->has_error ? HV_EVENT_ERROR_CODE : 0);
		e->exception_vector = x->vector;
		e->exception_error = x->error;
	}
}

void state_store_groups(struct hv_vcpu *v, u64 groups)
{
	struct hv_run *run = v->run;

	if (groups & HV_REGS_GPR)
		run->gprs = v->gprs;
	if (groups & HV_REGS_SREGS) {
		struct hv_sregs s = {0};

		store_sregs(v, &s);
		run->sregs = s;
	}
	if (groups & HV_REGS_DREGS) {
		hv_op(sync_dr)(v);
		memcpy(run->dregs.dr, v->dr, sizeof(v->dr));
		run->dregs.dr6 = v->dr6;
		run->dregs.dr7 = v->dr7;
	}
	if (groups & HV_REGS_EVENTS) {
		struct hv_events e = {0};

		store_events(v, &e);
		run->events = e;
	}
}

static bool segment_ok(const struct hv_segment *s)
{
	return !(s->ar & ~0x1f0ffU) && !s->pad[0] && !s->pad[1] && !s->pad[2];
}

static bool dtable_ok(const struct hv_dtable *t)
{
	return !t->pad[0] && !t->pad[1] && !t->pad[2];
}

static bool sregs_ok(const struct hv_vcpu *v, const struct hv_sregs *s)
{
	bool paging = s->cr0 & X86_CR0_PG, lme = s->efer & EFER_LME, lma = s->efer & EFER_LMA;

	if (!segment_ok(&s->cs) || !segment_ok(&s->ds) || !segment_ok(&s->es) ||
	    !segment_ok(&s->fs) || !segment_ok(&s->gs) || !segment_ok(&s->ss) ||
	    !segment_ok(&s->tr) || !segment_ok(&s->ldt) || !dtable_ok(&s->gdt) ||
	    !dtable_ok(&s->idt))
		return false;
	if (!cr0_ok(s->cr0) || !cr4_ok(v, s->cr4) || !efer_ok(v, s->efer) || !xcr0_ok(v, s->xcr0))
		return false;
	if (lma != (lme && paging) || (lma && !(s->cr4 & X86_CR4_PAE)))
		return false;
	if (s->cs.ar & HV_AR_L && lma && s->cs.ar & HV_AR_DB)
		return false;
	if (s->cr4 & X86_CR4_PCIDE && !lma)
		return false;
	if (s->cr8 > 15)
		return false;
	if (!state_canonical(s->fs.base) || !state_canonical(s->gs.base) ||
	    !state_canonical(s->tr.base) || !state_canonical(s->ldt.base) ||
	    !state_canonical(s->gdt.base) || !state_canonical(s->idt.base))
		return false;
	/* Bit 63, with PCIDE, is of the instruction and not of the register. */
	return !(s->cr3 & ~v->gpa_mask);
}

/* A host may go from any state of the APIC to any other: by way of "disabled". */
static void load_apic_base(struct hv_vcpu *v, u64 base)
{
	struct lapic *l = &v->lapic;

	if (base == l->base)
		return;
	lapic_set_base(l, base & ~(LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC));
	lapic_set_base(l, base & ~LAPIC_BASE_X2APIC);
	lapic_set_base(l, base);
	clock_timer_update(v);
}

static int load_sregs(struct hv_vcpu *v, const struct hv_sregs *s)
{
	if (!sregs_ok(v, s) || !lapic_base_ok(s->apic_base))
		return -EINVAL;
	load_apic_base(v, s->apic_base);
	v->cr0 = s->cr0 | X86_CR0_ET;
	v->cr2 = s->cr2;
	v->cr4 = s->cr4;
	v->efer = s->efer;
	v->xcr0 = s->xcr0;
	lapic_set_tpr(&v->lapic, s->cr8 << 4);
	hv_op(set_sregs)(v, s);
	hv_op(update_cr)(v);
	/* Translations of the tables it had before. */
	v->flush = true;
	v->scan = true;
	return 0;
}

static int load_dregs(struct hv_vcpu *v, const struct hv_dregs *d)
{
	if (d->dr6 >> 32 || d->dr7 >> 32)
		return -EINVAL;
	memcpy(v->dr, d->dr, sizeof(v->dr));
	/* Bits that are always one or zero: AMD APM Vol. 2, 13.1.1 */
	v->dr6 = (d->dr6 | DR6_RESERVED) & ~BIT_ULL(12);
	v->dr7 = (d->dr7 | DR7_FIXED) & 0xffff2fff;
	hv_op(update_dr)(v);
	return 0;
}

static int load_events(struct hv_vcpu *v, const struct hv_events *e)
{
	if (e->mp_state > HV_MP_HALTED || e->shadow > HV_SHADOW_MOV_SS || e->nmi_masked > 1 ||
	    e->nmi_pending > NMI_LIMIT || e->interrupt & ~HV_EVENT_PENDING ||
	    e->exception & ~(HV_EVENT_PENDING | HV_EVENT_ERROR_CODE) ||
	    e->start & ~(HV_START_INIT | HV_START_SIPI) || e->debug_pending & ~DEBUG_PENDING ||
	    e->pad[0] || e->pad[1] || e->pad[2])
		return -EINVAL;
	/* NMI is not an exception, and there are 32 of them. */
	if (e->exception & HV_EVENT_PENDING &&
	    (e->exception_vector > 31 || e->exception_vector == X86_TRAP_NMI))
		return -EINVAL;
	if (e->interrupt && e->interrupt_vector < 16)
		return -EINVAL;
	v->mp_state = e->mp_state;
	v->shadow = e->shadow;
	v->nmi_count = min_t(u8, e->nmi_pending, event_nmi_limit(e->nmi_masked));
	hv_op(set_nmi_masked)(v, e->nmi_masked);
	v->inject = (struct hv_event){
		.type = e->interrupt ? EVENT_INTERRUPT : EVENT_NONE,
		.vector = e->interrupt_vector,
	};
	v->exception = (struct hv_event){
		.type = e->exception & HV_EVENT_PENDING ? EVENT_EXCEPTION : EVENT_NONE,
		.vector = e->exception_vector,
		.has_error = e->exception & HV_EVENT_ERROR_CODE,
		.error = e->exception_error,
	};
	if (hv_host.ops->set_debug_pending)
		hv_op(set_debug_pending)(v, e->debug_pending);
	if (e->start)
		event_load_start(v, e->start & HV_START_SIPI ? e->start | START_SIPI(e->sipi_vector)
							     : e->start);
	v->scan = true;
	return 0;
}

static void load_gprs(struct hv_vcpu *v, const struct hv_gprs *g)
{
	v->gprs = *g;
	v->gprs.rflags = (g->rflags & ~RFLAGS_RESERVED) | X86_EFLAGS_FIXED;
}

/*
 * Load groups from the run page: each is copied once, checked, and the copy is
 * used. -EINVAL: a group that the processor could not be in; the groups before
 * it (in the order of their bits) are loaded, it and those behind it are not.
 */
int state_load(struct hv_vcpu *v, u64 groups)
{
	struct hv_run *run = v->run;
	union {
		struct hv_gprs gprs;
		struct hv_sregs sregs;
		struct hv_dregs dregs;
		struct hv_events events;
	} copy;
	int r = 0;

	if (groups & HV_REGS_GPR) {
		memcpy(&copy.gprs, &run->gprs, sizeof(copy.gprs));
		barrier();
		load_gprs(v, &copy.gprs);
	}
	if (groups & HV_REGS_SREGS) {
		memcpy(&copy.sregs, &run->sregs, sizeof(copy.sregs));
		barrier();
		r = load_sregs(v, &copy.sregs);
	}
	if (!r && groups & HV_REGS_DREGS) {
		memcpy(&copy.dregs, &run->dregs, sizeof(copy.dregs));
		barrier();
		r = load_dregs(v, &copy.dregs);
	}
	if (!r && groups & HV_REGS_EVENTS) {
		memcpy(&copy.events, &run->events, sizeof(copy.events));
		barrier();
		r = load_events(v, &copy.events);
	}
	return r;
}
