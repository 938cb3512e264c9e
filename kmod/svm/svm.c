// SPDX-License-Identifier: GPL-2.0
/*
 * The AMD-V backend's hardware side: detection, per-CPU enable, creation of a
 * vCPU's control block, and the entry itself. AMD APM Vol. 2, ch. 15.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/cc_platform.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "npt.h"
#include "svm.h"

/* Forced off to test, on a CPU that has them, what CPUs without them do. */
static bool nrips = true;
module_param(nrips, bool, 0444);
MODULE_PARM_DESC(nrips, "use the next RIP that the processor stores (default: where it does)");
static bool flushbyasid = true;
module_param(flushbyasid, bool, 0444);
MODULE_PARM_DESC(flushbyasid, "flush single ASIDs (default: where the processor can)");
static bool cleanbits = true;
module_param(cleanbits, bool, 0444);
MODULE_PARM_DESC(cleanbits, "use VMCB clean bits (default: where the processor has them)");

struct svm_features svm_features __ro_after_init;

DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

#define VM_CR_SVMDIS BIT_ULL(4) /* MSR_VM_CR: disabled, and mostly locked so */

/* 2 bits per MSR, three ranges of 2 KiB; all intercepted but for a few. */
#define MSRPM_ORDER 1
/* One bit per port and a little: all intercepted. */
#define IOPM_ORDER 2

static u8 *msrpm, *iopm;

/* The guest's own, without an exit: they are in the VMCB, and VMLOAD and VMSAVE switch them. */
static const u32 passed[] = {
	MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SYSCALL_MASK,
	MSR_FS_BASE,
	MSR_GS_BASE,
	MSR_KERNEL_GS_BASE,
};

/* AMD APM Vol. 2, 15.11: where an MSR's two bits are, or -1. */
static int msrpm_bit(u32 msr)
{
	if (msr < 0x2000)
		return msr * 2;
	if (msr >= 0xc0000000 && msr < 0xc0002000)
		return 0x800 * 8 + (msr - 0xc0000000) * 2;
	if (msr >= 0xc0010000 && msr < 0xc0012000)
		return 0x1000 * 8 + (msr - 0xc0010000) * 2;
	return -1;
}

static void free_tables(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
	{
		struct svm_cpu *c = per_cpu_ptr(&svm_cpu, cpu);

		free_page((unsigned long)c->hsave);
		free_page((unsigned long)c->host);
		c->hsave = NULL;
		c->host = NULL;
	}
	free_pages((unsigned long)msrpm, MSRPM_ORDER);
	free_pages((unsigned long)iopm, IOPM_ORDER);
	msrpm = NULL;
	iopm = NULL;
}

/*
 * A page for what VMRUN and VMSAVE write. Where SNP is on, some processors check one
 * that starts 2 MiB as if it were all of them, and fault: of two pages one is elsewhere.
 */
static void *alloc_save_page(gfp_t gfp)
{
	struct page *pair = alloc_pages(gfp | __GFP_ZERO, 1);
	bool at_start;

	if (!pair)
		return NULL;
	split_page(pair, 1);
	at_start = page_to_pfn(pair) % PTRS_PER_PTE == 0;
	__free_page(at_start ? pair : pair + 1);
	return page_address(at_start ? pair + 1 : pair);
}

static int alloc_tables(void)
{
	unsigned int i;
	int cpu;

	msrpm = (void *)__get_free_pages(GFP_KERNEL, MSRPM_ORDER);
	iopm = (void *)__get_free_pages(GFP_KERNEL, IOPM_ORDER);
	if (!msrpm || !iopm)
		return -ENOMEM;
	memset(msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
	memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(passed); i++) {
		int bit = msrpm_bit(passed[i]);

		if (bit >= 0)
			msrpm[bit / 8] &= ~(3 << (bit % 8));
	}
	for_each_possible_cpu(cpu)
	{
		struct svm_cpu *c = per_cpu_ptr(&svm_cpu, cpu);

		c->hsave = alloc_save_page(GFP_KERNEL);
		c->host = alloc_save_page(GFP_KERNEL);
		if (!c->hsave || !c->host)
			return -ENOMEM;
		c->host_pa = __pa(c->host);
	}
	return 0;
}

static bool svm_cpu_fits(void)
{
	u64 vm_cr;

	return rdmsrl_safe(MSR_VM_CR, &vm_cr) || !(vm_cr & VM_CR_SVMDIS);
}

static int svm_setup(void)
{
	u64 unused;
	int r;

	/* The kernel's own flag is gone where the firmware forbids it. */
	if (!(cpuid_ecx(0x80000001) & CPUID80000001_ECX_SVM)) {
		pr_err("this CPU has no AMD-V (no \"svm\" in /proc/cpuinfo)\n");
		return -EOPNOTSUPP;
	}
	if (!svm_cpu_fits()) {
		pr_err("AMD-V is disabled by the firmware: enable SVM in its set-up\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("this CPU has AMD-V, but no nested paging\n");
		return -EOPNOTSUPP;
	}
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("hosts with memory encryption (SME) are not supported\n");
		return -EOPNOTSUPP;
	}
	svm_features = (struct svm_features){
		.nrips = nrips && boot_cpu_has(X86_FEATURE_NRIPS),
		.clean_bits = cleanbits && boot_cpu_has(X86_FEATURE_VMCBCLEAN),
		.flush_asid = flushbyasid && boot_cpu_has(X86_FEATURE_FLUSHBYASID),
		.pause_filter = boot_cpu_has(X86_FEATURE_PAUSEFILTER),
		.pause_threshold = boot_cpu_has(X86_FEATURE_PFTHRESHOLD),
		.debugctl = !rdmsrl_safe(MSR_IA32_DEBUGCTLMSR, &unused),
		.max_asid = cpuid_ebx(0x8000000a),
	};
	r = svm_quirks_setup();
	if (r)
		return r;
	if (svm_features.max_asid < 2) {
		pr_err("this CPU has no address space identifiers\n");
		return -EOPNOTSUPP;
	}
	r = alloc_tables();
	if (r)
		free_tables();
	return r;
}

static void svm_unsetup(void)
{
	free_tables();
}

/* SRSO, on the processors where that is the cheaper way: docs/speculation.md. */
static void set_spec_reduce(bool on)
{
	u64 value;

	if (!compat_bp_spec_reduce())
		return;
	rdmsrl(MSR_BP_CFG, value);
	wrmsrl(MSR_BP_CFG, on ? value | BP_CFG_SPEC_REDUCE : value & ~BP_CFG_SPEC_REDUCE);
}

/* AMD APM Vol. 2, 15.4. Interrupts are off. */
static int svm_cpu_enable(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __pa(c->hsave));
	compat_pmu_virt(true);
	set_spec_reduce(true);
	/* Translations of an earlier user may remain: start with a flush. */
	c->generation++;
	c->next_asid = svm_features.max_asid;
	return 0;
}

static void svm_cpu_disable(void)
{
	u64 efer;

	set_spec_reduce(false);
	compat_pmu_virt(false);
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

/* What the guest may not do by itself, and why. */
static void set_intercepts(struct vmcb_control *c)
{
	c->intercept[0] = BIT(ICPT_CR_WRITE(4)); /* features the guest does not have */
	/* DR0-7: loaded at the first use of a stay in the loop. */
	c->intercept[1] = 0xffffffff;
	c->intercept[2] = HV_INTERCEPTED_EXCEPTIONS;
	c->intercept[3] = ICPT3_INTR | ICPT3_NMI | ICPT3_SMI | ICPT3_INIT | /* the host's */
			  ICPT3_CR0_SEL |     /* paging and long mode are followed */
			  ICPT3_RDPMC |	      /* the host's counters */
			  ICPT3_CPUID |	      /* features the guest does not have */
			  ICPT3_INVD |	      /* would lose the host's data */
			  ICPT3_HLT |	      /* would idle the host's CPU */
			  ICPT3_INVLPGA |     /* part of SVM, not offered */
			  ICPT3_IOIO |	      /* the host's devices */
			  ICPT3_MSR |	      /* the host's; those let through: see msrpm */
			  ICPT3_FERR_FREEZE | /* would wait for an interrupt that never comes */
			  ICPT3_SHUTDOWN;
	c->intercept[4] = ICPT4_VMMCALL | /* answered, or nothing would tell that there is none */
			  ICPT4_VMRUN |	  /* required; and SVM is not offered: */
			  ICPT4_VMLOAD | ICPT4_VMSAVE | ICPT4_STGI | ICPT4_CLGI | ICPT4_SKINIT |
			  ICPT4_WBINVD |		/* flushes the host's caches */
			  ICPT4_MONITOR | ICPT4_MWAIT | /* would idle the host's CPU */
			  ICPT4_XSETBV |		/* the host's XCR0 */
			  ICPT4_RDPRU;			/* the host's performance counters */
}

/*
 * A guest that spins exits after so many PAUSEs (AMD APM Vol. 2, 15.14.4): some tens
 * of microseconds, longer than a lock is held whose holder runs, and far shorter than
 * a time slice. A processor that can starts the count again when so many cycles go
 * by between two of them, which then are of different loops. One that cannot count
 * would exit at each PAUSE, and has no exits.
 */
#define PAUSE_COUNT	2048
#define PAUSE_THRESHOLD 128

static void set_pause_filter(struct vmcb_control *c)
{
	if (!svm_features.pause_filter)
		return;
	c->intercept[3] |= ICPT3_PAUSE;
	c->pause_count = PAUSE_COUNT;
	if (svm_features.pause_threshold)
		c->pause_threshold = PAUSE_THRESHOLD;
}

static int svm_vcpu_create(struct hv_vcpu *v)
{
	struct svm_vcpu *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	struct vmcb *b = alloc_save_page(GFP_KERNEL_ACCOUNT);

	v->arch = s;
	if (!s || !b) {
		free_page((unsigned long)b);
		return -ENOMEM;
	}
	s->vmcb = b;
	s->vmcb_pa = __pa(b);
	set_intercepts(&b->c);
	set_pause_filter(&b->c);
	b->c.iopm_pa = __pa(iopm);
	b->c.msrpm_pa = __pa(msrpm);
	b->c.np_control = 1;
	b->c.nested_cr3 = v->vm->s2_root_pa;
	b->c.int_ctl = INT_V_MASKING;
	return 0;
}

static void svm_vcpu_free(struct hv_vcpu *v)
{
	struct svm_vcpu *s = v->arch;

	if (!s)
		return;
	free_page((unsigned long)s->vmcb);
	kfree(s);
}

/* The guest uses debug registers: they are its own from here to svm_put(). */
void svm_load_dr(struct hv_vcpu *v)
{
	dr_load(v);
	to_svm(v)->vmcb->c.intercept[1] = 0;
	vmcb_dirty(to_svm(v)->vmcb, CLEAN_INTERCEPTS);
}

/* Clean bits and ASIDs speak of the CPU that ran it last. */
static void svm_move(struct hv_vcpu *v)
{
	to_svm(v)->vmcb->c.clean = 0;
	to_svm(v)->asid_generation = 0;
}

/*
 * The host's DEBUGCTL stays in force in the guest: what would make #DBs there goes for
 * the stay (single-stepping branches, bus lock detection).
 */
#define DEBUGCTL_TRAPS (DEBUGCTLMSR_BTF | BIT_ULL(2))

static void load_debugctl(struct svm_vcpu *s)
{
	u64 host;

	if (!svm_features.debugctl)
		return;
	rdmsrl(MSR_IA32_DEBUGCTLMSR, host);
	s->host_traps = host & DEBUGCTL_TRAPS;
	if (unlikely(s->host_traps))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, host & ~s->host_traps);
}

static void put_debugctl(struct svm_vcpu *s)
{
	u64 host;

	if (likely(!s->host_traps))
		return;
	/* Others of its bits may have changed meanwhile. */
	rdmsrl(MSR_IA32_DEBUGCTLMSR, host);
	wrmsrl(MSR_IA32_DEBUGCTLMSR, host | s->host_traps);
	s->host_traps = 0;
}

static int svm_load(struct hv_vcpu *v)
{
	/* What #VMEXIT does not restore, once per stay: FS, GS, TR, LDTR, the system call MSRs. */
	asm volatile("vmsave %%rax" : : "a"(this_cpu_ptr(&svm_cpu)->host_pa) : "memory");
	load_debugctl(to_svm(v));
	if (unlikely(dr_armed(to_svm(v)->vmcb->s.dr7)))
		svm_load_dr(v);
	return EXIT_AGAIN;
}

static void svm_put(struct hv_vcpu *v)
{
	struct vmcb *b = to_svm(v)->vmcb;

	if (unlikely(v->dr_live)) {
		b->c.intercept[1] = 0xffffffff;
		vmcb_dirty(b, CLEAN_INTERCEPTS);
	}
	dr_put(v);
	put_debugctl(to_svm(v));
	/* DR6 is the guest's still, and would mislead the host's next #DB. */
	if (unlikely(b->s.dr6 != DR6_RESERVED))
		set_debugreg(DR6_RESERVED, 6);
}

/*
 * The address space identifier and what to flush:
 *   new CPU, or this CPU's generation moved on -> take a new ASID
 *   flush wanted, single ASIDs can be flushed  -> flush this one
 *   flush wanted otherwise                     -> take a new ASID
 *   no ASID left                               -> flush all, next generation
 */
static void choose_asid(struct hv_vcpu *v, struct svm_cpu *c)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb_control *b = &s->vmcb->c;

	if (likely(s->asid_generation == c->generation && !v->flush))
		return;
	if (s->asid_generation == c->generation && svm_features.flush_asid) {
		b->tlb_control = TLB_FLUSH_ASID;
		return;
	}
	if (c->next_asid >= svm_features.max_asid) {
		c->generation++;
		c->next_asid = 1;
		b->tlb_control = TLB_FLUSH_WHOLE;
	}
	s->asid_generation = c->generation;
	b->asid = c->next_asid++;
	b->clean &= ~CLEAN_ASID;
}

static void svm_enter(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	struct vmcb *b = s->vmcb;
	u8 tpr = lapic_tpr(&v->lapic) >> 4;
	u64 rip = v->gprs.rip;
	u32 injected = b->c.event_inj;

	b->s.rax = v->gprs.r[HV_RAX];
	b->s.rsp = v->gprs.r[HV_RSP];
	b->s.rip = v->gprs.rip;
	b->s.rflags = v->gprs.rflags;
	if (b->s.cr2 != v->cr2) {
		b->s.cr2 = v->cr2;
		vmcb_dirty(b, CLEAN_CR2);
	}
	if ((b->c.int_ctl & INT_TPR_MASK) != tpr) {
		b->c.int_ctl = (b->c.int_ctl & ~INT_TPR_MASK) | tpr;
		vmcb_dirty(b, CLEAN_TPR);
	}
	/* Of either kind: the other bit is no shadow. */
	b->c.int_state = v->shadow ? INT_STATE_SHADOW : 0;
	choose_asid(v, c);

	svm_vmrun(v->gprs.r, s->vmcb_pa, c->host_pa);

	v->gprs.r[HV_RAX] = b->s.rax;
	v->gprs.r[HV_RSP] = b->s.rsp;
	v->gprs.rip = b->s.rip;
	v->gprs.rflags = b->s.rflags;
	v->cr2 = b->s.cr2;
	/*
	 * A shadow that was there on entry holds until its instruction is done,
	 * also where the processor lost sight of it (see svm_interrupt_window()).
	 */
	if (likely(!v->shadow) || b->s.rip != rip)
		v->shadow = b->c.int_state & INT_STATE_SHADOW;
	if ((b->c.int_ctl & INT_TPR_MASK) != tpr)
		lapic_set_tpr(&v->lapic, (b->c.int_ctl & INT_TPR_MASK) << 4); /* MOV to CR8 */
	b->c.clean = svm_features.clean_bits ? CLEAN_ALL : 0;
	b->c.tlb_control = TLB_NOTHING;
	if (likely((u32)b->c.exit_code != SVM_EXIT_INVALID)) {
		v->flush = false;
	} else {
		/* The entry never was: the event is still to go in. */
		b->c.exit_int_info = b->c.event_inj;
		b->c.exit_int_error = b->c.event_inj_error;
		/* A refused entry flushed nothing: the next one on this CPU flushes all. */
		s->asid_generation = 0;
		c->next_asid = svm_features.max_asid;
	}
	b->c.event_inj = 0;
	if (unlikely(b->c.exit_int_info & EVT_VALID))
		svm_requeue(v, b->s.rip == rip ? injected : 0);
	if (s->virq)
		svm_virq_done(v);
}

const struct hv_ops svm_ops = {
	.s2 = &npt_format,
	.backend = HV_BACKEND_SVM,
	.setup = svm_setup,
	.unsetup = svm_unsetup,
	.cpu_fits = svm_cpu_fits,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.move = svm_move,
	.load = svm_load,
	.put = svm_put,
	.enter = svm_enter,
	.handle_exit = svm_handle_exit,
	.inject = svm_inject,
	.interrupt_window = svm_interrupt_window,
	.nmi_window = svm_nmi_window,
	.nmi_masked = svm_nmi_masked,
	.set_nmi_masked = svm_set_nmi_masked,
	.update_cr = svm_update_cr,
	.update_dr = svm_update_dr,
	.sync_cr0 = svm_sync_cr0,
	.sync_dr = svm_sync_dr,
	.read_cr3 = svm_read_cr3,
	.cpl = svm_cpl,
	.cs_ar = svm_cs_ar,
	.seg_base = svm_seg_base,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.update_tsc_offset = svm_update_tsc_offset,
	.tpr_threshold = svm_tpr_threshold,
};
