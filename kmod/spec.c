// SPDX-License-Identifier: GPL-2.0
/*
 * Against what a guest may teach the processor, or read from it, by speculation: what
 * this host needs, and the rare part of what is done once a stay in the inner loop, for
 * both backends. What is done at the entry and the exit themselves is in spec.h.
 * docs/speculation.md has the reason of each.
 */
#include <linux/cpu.h>
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
static bool use_ibpb __ro_after_init;

DEFINE_PER_CPU(u64, hv_spec_last);

/* Buffers that a guest could read what the host left in: the CPU says which it has. */
static bool leaks_buffers(void)
{
#ifdef X86_BUG_RFDS
	if (boot_cpu_has_bug(X86_BUG_RFDS))
		return true;
#endif
#ifdef X86_BUG_TSA
	if (boot_cpu_has_bug(X86_BUG_TSA))
		return true;
#endif
	return boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA) ||
	       boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA);
}

void __init spec_setup(void)
{
	if (cpu_mitigations_off())
		return;
	hv_spec_verw = leaks_buffers();
	hv_spec_flush_l1d = boot_cpu_has_bug(X86_BUG_L1TF) && boot_cpu_has(X86_FEATURE_FLUSH_L1D);
	use_ibpb = boot_cpu_has(X86_FEATURE_IBPB);
}

/* Another vCPU's guest than last time, or the cache to be emptied. */
void spec_switch(const struct hv_vcpu *v)
{
	/* What one guest taught the branch predictor must not steer another. */
	if (__this_cpu_read(hv_spec_last) != v->serial) {
		__this_cpu_write(hv_spec_last, v->serial);
		if (use_ibpb)
			wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	}
	/* Present bits of a guest's page tables do not stop a read from the L1 cache (L1TF). */
	if (hv_spec_flush_l1d)
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}
