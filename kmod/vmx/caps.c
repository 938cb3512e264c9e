// SPDX-License-Identifier: GPL-2.0
/*
 * What this processor's VT-x can do, and the controls that every VMCS gets: those
 * that are needed, of those that are useful the ones there are, and what the
 * processor demands. Intel SDM Vol. 3, appendix A. Called once, at load.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "vmx.h"

struct vmx_caps vmx_caps __ro_after_init;

/* Forced off to test, on a CPU that has them, what CPUs without them do. */
static bool eptad = true;
module_param(eptad, bool, 0444);
MODULE_PARM_DESC(eptad,
		 "use EPT's accessed and dirty bits (default: where the processor has them)");

static bool preemptiontimer = true;
module_param(preemptiontimer, bool, 0444);
MODULE_PARM_DESC(preemptiontimer,
		 "let the processor watch the guest's timer (default: where it can)");

/*
 * For emulators: Bochs (2.7 at least) does not end the stay of a guest that entered
 * with interrupts off, when one comes for the host, before the guest changes its IF.
 */
static uint slice;
module_param(slice, uint, 0444);
MODULE_PARM_DESC(slice,
		 "longest stay in the guest, in preemption timer ticks (default 0: no limit)");

static uint vpids = 0xffff;
module_param(vpids, uint, 0444);
MODULE_PARM_DESC(vpids,
		 "virtual processor identifiers to use on each processor (default: all 65535)");

#define CPUID1_ECX_VMX	       BIT(5)

#define BASIC_TRUE_CONTROLS    BIT_ULL(55)
#define BASIC_REVISION(b)      ((u32)(b)&0x7fffffff)

#define MISC_TIMER_SHIFT       0x1f

#define EPT_CAP_FOUR_LEVELS    BIT_ULL(6)
#define EPT_CAP_WRITE_BACK     BIT_ULL(14)
#define EPT_CAP_LARGE	       BIT_ULL(16)
#define EPT_CAP_INVEPT	       BIT_ULL(20)
#define EPT_CAP_ACCESSED_DIRTY BIT_ULL(21)
#define EPT_CAP_INVEPT_SINGLE  BIT_ULL(25)
#define EPT_CAP_INVVPID	       BIT_ULL(32)
#define EPT_CAP_INVVPID_SINGLE BIT_ULL(41)

#define EPT_NEEDED                                                                   \
	(EPT_CAP_FOUR_LEVELS | EPT_CAP_WRITE_BACK | EPT_CAP_LARGE | EPT_CAP_INVEPT | \
	 EPT_CAP_INVEPT_SINGLE)
#define VPID_NEEDED (EPT_CAP_INVVPID | EPT_CAP_INVVPID_SINGLE)

/* Of the controls: what must be 1 is in the low half, what may be 1 in the high half. */
static u64 read_cap(u32 msr)
{
	u64 value;

	return rdmsrl_safe(msr, &value) ? 0 : value;
}

/*
 * Bits for a control field. Fails when one that is needed cannot be set, or one
 * in never cannot be cleared.
 */
static bool choose(u32 msr, u32 needed, u32 useful, u32 never, u32 *controls)
{
	u64 a = read_cap(msr);
	u32 must = a, may = a >> 32;

	*controls = needed | (useful & may) | must;
	return !(needed & ~may) && !(must & never);
}

static const char lacks_controls[] =
	"this CPU's VT-x lacks controls that every CPU with unrestricted guests should have";

static int refuse(const char *why)
{
	pr_err("%s\n", why);
	return -EOPNOTSUPP;
}

/*
 * Intel SDM Vol. 3, 23.7: firmware decides, and locks its decision. What it leaves open
 * the kernel locks at its start: one that has no KVM, with VT-x off.
 */
static bool disabled_by_firmware(void)
{
	u64 control;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &control))
		return false;
	return control & FEAT_CTL_LOCKED && !(control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

/* Which of the many secondary controls is missing decides what the user is told. */
static int choose_secondary(void)
{
	struct vmx_caps *c = &vmx_caps;
	u32 needed = SEC_EPT | SEC_UNRESTRICTED_GUEST | SEC_VPID | SEC_WBINVD_EXIT;
	u32 useful = SEC_ENCLS_EXIT | SEC_PAUSE_LOOP_EXIT | SEC_TSC_SCALING;
	u32 may;

	may = read_cap(MSR_IA32_VMX_PROCBASED_CTLS2) >> 32;
	if (!(may & SEC_EPT))
		return refuse("this CPU has VT-x, but no extended page tables (EPT)");
	if (!(may & SEC_UNRESTRICTED_GUEST))
		return refuse("this CPU has VT-x, but no unrestricted guest mode");
	if (!(may & SEC_VPID))
		return refuse("this CPU has VT-x, but no virtual processor identifiers (VPID)");
	/* Without their controls these fault in guests that were told of them. */
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		needed |= SEC_RDTSCP;
	if (boot_cpu_has(X86_FEATURE_INVPCID))
		needed |= SEC_INVPCID;
	if (!choose(MSR_IA32_VMX_PROCBASED_CTLS2, needed, useful, 0, &c->secondary))
		return refuse(lacks_controls);
	return 0;
}

int vmx_read_caps(void)
{
	struct vmx_caps *c = &vmx_caps;
	u64 basic, ept;
	bool ok, watch;
	int r;

	if (!(cpuid_ecx(1) & CPUID1_ECX_VMX))
		return refuse("this CPU has no VT-x (no \"vmx\" in /proc/cpuinfo)");
	if (disabled_by_firmware())
		return refuse(
			IS_ENABLED(CONFIG_KVM_INTEL)
				? "VT-x is disabled by the firmware: enable it in its set-up"
				: "VT-x is disabled by the firmware, or by this kernel: enable it in "
				  "the firmware's set-up, or boot a kernel with CONFIG_KVM_INTEL");
	basic = read_cap(MSR_IA32_VMX_BASIC);
	c->revision = BASIC_REVISION(basic);
	/* Primary controls without a secondary field: a CPU from before EPT. */
	if (!(read_cap(MSR_IA32_VMX_PROCBASED_CTLS) >> 32 & PRI_SECONDARY))
		return refuse("this CPU has VT-x, but no extended page tables (EPT)");
	r = choose_secondary();
	if (r)
		return r;
	/* All CPUs with unrestricted guests have the rest; an emulated one may not. */
	if (!(basic & BASIC_TRUE_CONTROLS))
		return refuse("this CPU's VT-x lacks the \"true\" controls");
	ept = read_cap(MSR_IA32_VMX_EPT_VPID_CAP);
	if ((ept & EPT_NEEDED) != EPT_NEEDED)
		return refuse("this CPU's EPT lacks 2 MiB pages or single-context INVEPT");
	if ((ept & VPID_NEEDED) != VPID_NEEDED)
		return refuse("this CPU's VPID lacks single-context INVVPID");
	c->ept_ad = eptad && ept & EPT_CAP_ACCESSED_DIRTY;

	hv_host.scales_tsc = c->secondary & SEC_TSC_SCALING;

	if (vpids < 1 || vpids > 0xffff) {
		pr_err("vpids=%u: must be from 1 to 65535\n", vpids);
		return -EINVAL;
	}
	c->last_vpid = vpids;
	c->slice = slice;
	/* Before Haswell, which has INVPCID, several models count wrongly (their errata say so). */
	watch = preemptiontimer && c->secondary & SEC_INVPCID;
	c->timer_shift = read_cap(MSR_IA32_VMX_MISC) & MISC_TIMER_SHIFT;
	/* The host's interrupts and NMIs end a stay; the guest's NMIs are masked by themselves. */
	ok = choose(MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		    PIN_INTERRUPT_EXIT | PIN_NMI_EXIT | PIN_VIRTUAL_NMI |
			    (slice ? PIN_PREEMPTION_TIMER : 0),
		    watch ? PIN_PREEMPTION_TIMER : 0, 0, &c->pin);
	hv_host.stay_timer = watch && c->pin & PIN_PREEMPTION_TIMER;
	/* With nested paging neither CR3 nor INVLPG is the host's business. */
	ok &= choose(MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		     PRI_TSC_OFFSET | PRI_TPR_SHADOW | PRI_SECONDARY |
			     PRI_HLT_EXIT |			 /* would idle the host's CPU */
			     PRI_MWAIT_EXIT | PRI_MONITOR_EXIT | /* likewise */
			     PRI_RDPMC_EXIT |			 /* no counters are offered */
			     PRI_MOV_DR_EXIT |			 /* loaded at the first use */
			     PRI_IO_EXIT |			 /* the host's devices */
			     PRI_MSR_BITMAP,			 /* the host's; see msrs.c */
		     0, PRI_CR3_LOAD_EXIT | PRI_CR3_STORE_EXIT | PRI_INVLPG_EXIT, &c->primary);
	ok &= choose(MSR_IA32_VMX_TRUE_EXIT_CTLS, EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_LOAD_EFER,
		     0, 0, &c->exit);
	ok &= choose(MSR_IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_LOAD_DEBUG | ENTRY_LOAD_EFER, 0,
		     ENTRY_IA32E, &c->entry);
	if (!ok)
		return refuse(lacks_controls);
	return 0;
}

static bool fits(u32 msr, u32 controls)
{
	u64 a = read_cap(msr);
	u32 must = a, may = a >> 32;

	return !(controls & ~may) && !(must & ~controls);
}

bool vmx_cpu_fits(void)
{
	const struct vmx_caps *c = &vmx_caps;
	u64 ept = read_cap(MSR_IA32_VMX_EPT_VPID_CAP);

	return !disabled_by_firmware() &&
	       BASIC_REVISION(read_cap(MSR_IA32_VMX_BASIC)) == c->revision &&
	       fits(MSR_IA32_VMX_TRUE_PINBASED_CTLS, c->pin) &&
	       fits(MSR_IA32_VMX_TRUE_PROCBASED_CTLS, c->primary) &&
	       fits(MSR_IA32_VMX_PROCBASED_CTLS2, c->secondary) &&
	       fits(MSR_IA32_VMX_TRUE_EXIT_CTLS, c->exit) &&
	       fits(MSR_IA32_VMX_TRUE_ENTRY_CTLS, c->entry) && !(EPT_NEEDED & ~ept) &&
	       !(VPID_NEEDED & ~ept) && !(c->ept_ad && !(ept & EPT_CAP_ACCESSED_DIRTY));
}
