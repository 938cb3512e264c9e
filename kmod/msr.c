// SPDX-License-Identifier: GPL-2.0
/*
 * Model-specific registers: one policy table that says of each what a guest
 * may see and do. A register that is not in it raises #GP.
 */
#include <linux/ktime.h>
#include <asm/msr.h>
#include <asm/mtrr.h>
#include <asm/tsc.h>

#include "hv_internal.h"

#define MSR_KVM_WALL_CLOCK  0x4b564d00
#define MSR_KVM_SYSTEM_TIME 0x4b564d01

/*
 * MISC_ENABLE (Intel SDM Vol. 4, table 2-2): fast strings, thermal control, SpeedStep, xTPR
 * messages and turbo mode are kept, without effect. Branch trace and precise sampling are
 * said to be missing, and counters too, which the guest cannot change. What would take a
 * feature from CPUID (MONITOR, leaves, NX) is not offered.
 */
#define MISC_ENABLE_KEPT                                                               \
	(MSR_IA32_MISC_ENABLE_FAST_STRING | MSR_IA32_MISC_ENABLE_TM1 |                 \
	 MSR_IA32_MISC_ENABLE_ENHANCED_SPEEDSTEP | MSR_IA32_MISC_ENABLE_XTPR_DISABLE | \
	 MSR_IA32_MISC_ENABLE_TURBO_DISABLE)
#define MISC_ENABLE_FIXED   (MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
#define MISC_ENABLE_IGNORED (MISC_ENABLE_FIXED | MSR_IA32_MISC_ENABLE_EMON)

enum msr_class {
	RULE_BACKEND,	/* the backend switches it; the guest mostly touches it without an exit */
	RULE_CONSTANT,	/* reads the value; writes do nothing */
	RULE_READ_ONLY, /* reads the value; writes raise #GP */
	RULE_TSC,
	RULE_TSC_OFFSET,
	RULE_TSC_ADJUST,
	RULE_TSC_DEADLINE,
	RULE_TSC_AUX,
	RULE_EFER,
	RULE_APIC_BASE,
	RULE_X2APIC,
	RULE_PAT,
	RULE_MISC_ENABLE,
	RULE_MTRR,
	RULE_PV_WALL,
	RULE_PV_SYSTEM,
};

struct msr_rule {
	u32 first, last;
	u8 class;
	u64 value; /* of a constant, or what is read only */
};

/* Ascending. */
static const struct msr_rule rules[] = {
	/* Machine check address and type of old: none was seen */
	{0x00000000, 0x00000001, RULE_CONSTANT, 0},
	{MSR_IA32_TSC, MSR_IA32_TSC, RULE_TSC},
	/* Kernels read the platform before they know the vendor */
	{MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, RULE_CONSTANT, 0},
	{MSR_IA32_APICBASE, MSR_IA32_APICBASE, RULE_APIC_BASE},
	{MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, RULE_TSC_ADJUST},
	/* Microcode: a revision that asks for no update; updates do nothing */
	{0x00000079, 0x00000079, RULE_CONSTANT, 0},
	{MSR_IA32_UCODE_REV, MSR_IA32_UCODE_REV, RULE_CONSTANT, 0x01000065},
	/* 8 variable ranges, fixed ranges and write combining; stored, without
	 * effect: the host's memory type holds */
	{MSR_MTRRcap, MSR_MTRRcap, RULE_READ_ONLY, 0x508},
	{MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, RULE_BACKEND},
	/* Machine check: no banks, none in progress */
	{MSR_IA32_MCG_CAP, MSR_IA32_MCG_CAP, RULE_READ_ONLY, 0},
	{MSR_IA32_MCG_STATUS, MSR_IA32_MCG_STATUS, RULE_CONSTANT, 0},
	{MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, RULE_MISC_ENABLE},
	/* No last-branch records, no branch trace */
	{MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR, RULE_CONSTANT, 0},
	{MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, RULE_READ_ONLY, 0},
	{MTRRphysBase_MSR(0), MTRRphysMask_MSR(7), RULE_MTRR},
	{MSR_MTRRfix64K_00000, MSR_MTRRfix64K_00000, RULE_MTRR},
	{MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, RULE_MTRR},
	{MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, RULE_MTRR},
	{MSR_IA32_CR_PAT, MSR_IA32_CR_PAT, RULE_PAT},
	{MSR_MTRRdefType, MSR_MTRRdefType, RULE_MTRR},
	{MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC_DEADLINE, RULE_TSC_DEADLINE},
	{LAPIC_MSR_FIRST, LAPIC_MSR_LAST, RULE_X2APIC},
	/* The monitor's own: see hv.h */
	{HV_MSR_TSC_OFFSET, HV_MSR_TSC_OFFSET, RULE_TSC_OFFSET},
	{MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK, RULE_PV_WALL},
	{MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME, RULE_PV_SYSTEM},
	{MSR_EFER, MSR_EFER, RULE_EFER},
	{MSR_STAR, MSR_SYSCALL_MASK, RULE_BACKEND},
	{MSR_FS_BASE, MSR_KERNEL_GS_BASE, RULE_BACKEND},
	{MSR_TSC_AUX, MSR_TSC_AUX, RULE_TSC_AUX},
	/* AMD's event selects and counters of old, which CPUID cannot deny: they count nothing */
	{MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, RULE_CONSTANT, 0},
	/* AMD's system configuration: no memory encryption, no top of memory 2 */
	{MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, RULE_CONSTANT, 0},
	/* AMD's HWCR: the TSC counts at the nominal frequency */
	{MSR_K7_HWCR, MSR_K7_HWCR, RULE_CONSTANT, BIT_ULL(24)},
	/* AMD's north bridge and interrupt pending message: what kernels probe */
	{MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG, RULE_CONSTANT, 0},
	{MSR_K8_INT_PENDING_MSG, MSR_K8_INT_PENDING_MSG, RULE_CONSTANT, 0},
	{MSR_FAM10H_MMIO_CONF_BASE, MSR_FAM10H_MMIO_CONF_BASE, RULE_CONSTANT, 0},
	/* SVM is disabled and locked, as firmware would have it */
	{MSR_VM_CR, MSR_VM_CR, RULE_CONSTANT, 0x18},
	/* Errata workarounds of AMD: none is needed from the guest */
	{MSR_AMD64_LS_CFG, MSR_AMD64_LS_CFG, RULE_CONSTANT, 0},
	{MSR_AMD64_DC_CFG, MSR_AMD64_DC_CFG, RULE_CONSTANT, 0},
	/* LFENCE is serialising (bit 1), which the guest may rely on */
	{MSR_AMD64_DE_CFG, MSR_AMD64_DE_CFG, RULE_CONSTANT, BIT_ULL(1)},
	{MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2, RULE_CONSTANT, 0},
};

/* Binary search, from the one that was found last on: guests use few of them, and one again and again. */
static const struct msr_rule *find_rule(struct hv_vcpu *v, u32 index)
{
	unsigned int lo = 0, hi = ARRAY_SIZE(rules), i = v->msr_hint;

	while (lo < hi) {
		if (index < rules[i].first) {
			hi = i;
		} else if (index > rules[i].last) {
			lo = i + 1;
		} else {
			v->msr_hint = i;
			return &rules[i];
		}
		i = (lo + hi) / 2;
	}
	return NULL;
}

/* Those that are state, and of no other call: EFER, FS and GS are in SREGS, the APIC in its image. */
static bool is_saved(const struct msr_rule *rule, u32 index)
{
	switch (rule->class) {
	case RULE_BACKEND:
		return index != MSR_FS_BASE && index != MSR_GS_BASE;
	case RULE_TSC_OFFSET:
	case RULE_TSC_ADJUST:
	case RULE_TSC_AUX:
	case RULE_PAT:
	case RULE_MISC_ENABLE:
	case RULE_MTRR:
	case RULE_PV_WALL:
	case RULE_PV_SYSTEM:
		return true;
	default:
		return false;
	}
}

bool msr_saved(unsigned int n, u32 *index)
{
	const struct msr_rule *rule;

	for (rule = rules; rule < rules + ARRAY_SIZE(rules); rule++)
		for (*index = rule->first; *index <= rule->last; (*index)++)
			if (is_saved(rule, *index) && !n--)
				return true;
	return false;
}

/* Where a memory type range register is kept: pairs, fixed ranges, default type. */
static unsigned int mtrr_slot(u32 index)
{
	if (index >= MTRRphysBase_MSR(0) && index <= MTRRphysMask_MSR(7))
		return index - MTRRphysBase_MSR(0);
	switch (index) {
	case MSR_MTRRfix64K_00000:
		return 16;
	case MSR_MTRRfix16K_80000 ... MSR_MTRRfix16K_A0000:
		return 17 + index - MSR_MTRRfix16K_80000;
	case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
		return 19 + index - MSR_MTRRfix4K_C0000;
	default:
		return 27;
	}
}

static bool memory_type_ok(u8 type)
{
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

/* Eight types in one register. PAT knows one more: 7, UC-. */
static bool eight_types_ok(u64 value, bool pat)
{
	unsigned int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = value >> i;

		if (!memory_type_ok(type) && !(pat && type == 7))
			return false;
	}
	return true;
}

/* Intel SDM Vol. 3, 12.11.2 */
static bool mtrr_ok(const struct hv_vcpu *v, u32 index, u64 value)
{
	if (index == MSR_MTRRdefType)
		return !(value & ~0xcffULL) && memory_type_ok(value);
	if (index >= MSR_MTRRfix64K_00000)
		return eight_types_ok(value, false);
	if (index & 1) /* mask: bit 11 says valid */
		return !(value & ~(v->gpa_mask & PAGE_MASK) & ~BIT_ULL(11));
	return !(value & ~(v->gpa_mask & PAGE_MASK) & ~0xffULL) && memory_type_ok(value);
}

static bool has_tsc_aux(const struct hv_vcpu *v)
{
	return cpuid_has(&v->cpuid, 0x80000001, 0, LEAF_EDX, 27) ||
	       cpuid_has(&v->cpuid, 7, 0, LEAF_ECX, 22);
}

/* host: the monitor asks, not the guest. */
enum msr_result msr_read(struct hv_vcpu *v, u32 index, bool host, u64 *value)
{
	const struct msr_rule *rule = find_rule(v, index);

	if (!rule)
		return MSR_GP;
	switch (rule->class) {
	case RULE_BACKEND:
	case RULE_PAT:
		*value = hv_op(get_msr)(v, index);
		return MSR_OK;
	case RULE_CONSTANT:
	case RULE_READ_ONLY:
		*value = rule->value;
		return MSR_OK;
	case RULE_TSC:
		*value = clock_guest_tsc(v);
		return MSR_OK;
	case RULE_TSC_OFFSET:
		if (!host)
			return MSR_GP;
		*value = v->tsc_offset - v->clock.tsc_offset;
		return MSR_OK;
	case RULE_TSC_ADJUST:
		*value = v->tsc_adjust;
		return MSR_OK;
	case RULE_TSC_DEADLINE:
		/* Zero once it has passed: the timer is disarmed then. */
		clock_timer_expire(v);
		*value = v->lapic.tsc_deadline;
		return MSR_OK;
	case RULE_TSC_AUX:
		if (!host && !has_tsc_aux(v))
			return MSR_GP;
		*value = v->tsc_aux;
		return MSR_OK;
	case RULE_EFER:
		*value = v->efer;
		return MSR_OK;
	case RULE_APIC_BASE:
		*value = v->lapic.base;
		return MSR_OK;
	case RULE_X2APIC:
		if (!lapic_x2apic(&v->lapic))
			return MSR_GP;
		return irq_apic_read(v, lapic_msr_offset(index), value) ? MSR_OK : MSR_GP;
	case RULE_MISC_ENABLE:
		*value = v->misc_enable;
		return MSR_OK;
	case RULE_MTRR:
		*value = v->mtrr[mtrr_slot(index)];
		return MSR_OK;
	case RULE_PV_WALL:
		*value = clock_read_wall(v);
		return MSR_OK;
	case RULE_PV_SYSTEM:
		*value = v->pv_system_time;
		return MSR_OK;
	}
	return MSR_GP;
}

enum msr_result msr_write(struct hv_vcpu *v, u32 index, bool host, u64 value)
{
	const struct msr_rule *rule = find_rule(v, index);

	if (!rule)
		return MSR_GP;
	switch (rule->class) {
	case RULE_BACKEND:
		if (index == MSR_SYSCALL_MASK && value >> 32)
			return MSR_GP;
		/* Selectors and masks are not addresses. */
		if (index != MSR_STAR && index != MSR_SYSCALL_MASK &&
		    index != MSR_IA32_SYSENTER_CS && !state_canonical(value))
			return MSR_GP;
		hv_op(set_msr)(v, index, value);
		return MSR_OK;
	case RULE_PAT:
		if (!eight_types_ok(value, true))
			return MSR_GP;
		hv_op(set_msr)(v, index, value);
		return MSR_OK;
	case RULE_CONSTANT:
		return MSR_OK;
	case RULE_READ_ONLY:
		return host && value == rule->value ? MSR_OK : MSR_GP;
	case RULE_TSC:
		clock_write_tsc(v, host, value);
		return MSR_OK;
	case RULE_TSC_OFFSET:
		if (!host)
			return MSR_GP;
		clock_move_tsc(v, v->clock.tsc_offset + value - v->tsc_offset);
		return MSR_OK;
	case RULE_TSC_ADJUST:
		/* The monitor sets the TSC by itself. */
		if (!host)
			clock_move_tsc(v, value - v->tsc_adjust);
		v->tsc_adjust = value;
		return MSR_OK;
	case RULE_TSC_DEADLINE:
		clock_timer_expire(v);
		if (lapic_write_tsc_deadline(&v->lapic, value) & LAPIC_DO_TIMER)
			clock_timer_update(v);
		return MSR_OK;
	case RULE_TSC_AUX:
		if (!host && (!has_tsc_aux(v) || value >> 32))
			return MSR_GP;
		v->tsc_aux = (u32)value;
		/* In the run loop the register itself is the guest's. */
		if (!host)
			wrmsrl(MSR_TSC_AUX, v->tsc_aux);
		return MSR_OK;
	case RULE_EFER:
		return state_write_efer(v, value) ? MSR_OK : MSR_GP;
	case RULE_APIC_BASE:
		if (!lapic_set_base(&v->lapic, value))
			return MSR_GP;
		clock_timer_update(v);
		v->scan = true;
		return MSR_OK;
	case RULE_X2APIC:
		/* EOI of a level interrupt is the caller's: see exit_wrmsr(). */
		if (!lapic_x2apic(&v->lapic))
			return MSR_GP;
		return irq_apic_write(v, lapic_msr_offset(index), value) < 0 ? MSR_GP : MSR_OK;
	case RULE_MISC_ENABLE:
		if (value & ~(u64)(MISC_ENABLE_KEPT | MISC_ENABLE_IGNORED))
			return MSR_GP;
		v->misc_enable = (value & MISC_ENABLE_KEPT) | MISC_ENABLE_FIXED;
		return MSR_OK;
	case RULE_MTRR:
		if (!mtrr_ok(v, index, value))
			return MSR_GP;
		v->mtrr[mtrr_slot(index)] = value;
		return MSR_OK;
	case RULE_PV_WALL:
		clock_write_wall(v, value);
		return MSR_OK;
	case RULE_PV_SYSTEM:
		clock_write_system(v, value);
		return MSR_OK;
	}
	return MSR_GP;
}

/* Power-up; INIT leaves all of them alone. */
void msr_reset(struct hv_vcpu *v)
{
	const struct msr_rule *rule;
	u32 index;

	for (rule = rules; rule < rules + ARRAY_SIZE(rules); rule++)
		for (index = rule->first; rule->class == RULE_BACKEND && index <= rule->last;
		     index++)
			hv_op(set_msr)(v, index, 0);
	/* WB, WT, UC-, UC, and these again. */
	hv_op(set_msr)(v, MSR_IA32_CR_PAT, 0x0007040600070406ULL);
	v->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING | MISC_ENABLE_FIXED;
	clock_write_wall(v, 0);
	clock_write_system(v, 0);
	memset(v->mtrr, 0, sizeof(v->mtrr));
	v->tsc_aux = 0;
	v->tsc_adjust = 0;
	clock_move_tsc(v, v->clock.tsc_offset - v->tsc_offset);
}
