// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest may have taught the processor, or read from it, by speculation: the
 * parts that cost something once a stay in the inner loop, for both backends. What
 * must be done at the entry and the exit itself is in spec.h. docs/speculation.md
 * has the reason of each.
 */
#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

#include "hv_internal.h"

/* Read by the entry code: VERW before the guest runs. */
bool hv_spec_verw __ro_after_init;

/* VERW's operand: any selector that can be written. */
const u16 hv_spec_selector = __KERNEL_DS;

bool hv_spec_flush_l1d __ro_after_init;
static bool use_ibpb __ro_after_init, kernel_ibrs __ro_after_init;

/* hv_vcpu.serial of the one that ran here last: that may be gone, and its memory another's. */
static DEFINE_PER_CPU(u64, last_vcpu);

/* Buffers that a guest could read what the host left in: the CPU says which it has. */
static bool leaks_buffers(void)
{
	return boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA) ||
	       boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA) || boot_cpu_has_bug(X86_BUG_RFDS) ||
	       boot_cpu_has_bug(X86_BUG_TSA);
}

void __init spec_setup(void)
{
	if (cpu_mitigations_off())
		return;
	hv_spec_verw = leaks_buffers();
	hv_spec_flush_l1d = boot_cpu_has_bug(X86_BUG_L1TF) && boot_cpu_has(X86_FEATURE_FLUSH_L1D);
	use_ibpb = boot_cpu_has(X86_FEATURE_IBPB);
	kernel_ibrs = boot_cpu_has(X86_FEATURE_KERNEL_IBRS);
}

/* Before the guest runs on this CPU; preemption is off. */
void spec_load(const struct hv_vcpu *v)
{
	/* What one guest taught the branch predictor must not steer another. */
	if (unlikely(__this_cpu_read(last_vcpu) != v->serial)) {
		__this_cpu_write(last_vcpu, v->serial);
		if (use_ibpb)
			wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	}
	/* Present bits of a guest's page tables do not stop a read from the L1 cache (L1TF). */
	if (hv_spec_flush_l1d)
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}

/*
 * After every exit, where the kernel wants IBRS set while it runs: it restricts only
 * what was learnt before the write.
 */
void spec_exit(void)
{
	if (unlikely(kernel_ibrs))
		wrmsrl(MSR_IA32_SPEC_CTRL, this_cpu_read(x86_spec_ctrl_current));
}

/* The stay is over: before user space runs, it wants a barrier (VMSCAPE). */
void spec_put(void)
{
	if (boot_cpu_has(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}
