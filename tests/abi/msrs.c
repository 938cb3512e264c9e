// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Model-specific registers as a guest has them: what they hold, what they refuse, and
 * which there are not. Run by "make check" in the test host.
 */
#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

static GUEST void check_msr(uint32_t msr, uint64_t value)
{
	uint64_t old = rdmsr(msr), got;

	G_CHECK_EQ(try_wrmsr(msr, value), GUEST_NO_TRAP);
	G_CHECK_EQ(try_rdmsr(msr, &got), GUEST_NO_TRAP);
	G_CHECK_EQ(got, value);
	wrmsr(msr, old);
}

static GUEST void check_msr_refused(uint32_t msr, uint64_t value)
{
	uint64_t old = rdmsr(msr);

	if (try_wrmsr(msr, value) != GP)
		guest_fail("no #GP for the value of MSR", msr, value, __LINE__);
	G_CHECK_EQ(guest_cpu()->error, 0);
	G_CHECK_EQ(rdmsr(msr), old);
}

static GUEST void g_msrs(uint64_t tcg)
{
	static const uint32_t canonical[] = {G_MSR_LSTAR,     G_MSR_CSTAR, G_MSR_FS_BASE,
					     G_MSR_KERNEL_GS, 0x175,	   0x176};

	for (unsigned int i = 0; i < ARRAY_SIZE(canonical); i++) {
		check_msr(canonical[i], 0x00007ffffffff123);
		check_msr(canonical[i], 0xffff800000000456);
		/* SYSENTER's two need not fault; QEMU's emulation never does. */
		if (canonical[i] != 0x175 && canonical[i] != 0x176 && !tcg)
			check_msr_refused(canonical[i], 0x0000800000000000);
	}
	if (!tcg)
		check_msr_refused(G_MSR_GS_BASE, 0x1234567800000000);
	check_msr(G_MSR_STAR, 0x00230010ffffffff);
	check_msr(G_MSR_SFMASK, 0x47700);
	check_msr(0x174, 0x10);
	if (guest_cpuid(0x80000001, 0).edx >> 27 & 1)
		check_msr(G_MSR_TSC_AUX, 0x12345);
	check_msr(G_MSR_PAT, 0x0007040600070406);
	check_msr_refused(G_MSR_PAT, 0x0007040600070402);
	check_msr_refused(G_MSR_PAT, 0xff07040600070406);
	check_msr(G_MSR_TSC_ADJUST, 0x100000);
	/* EFER: reserved bits, SVME not offered, LME fixed while paging. */
	check_msr_refused(G_MSR_EFER, rdmsr(G_MSR_EFER) | 1ull << 63);
	check_msr_refused(G_MSR_EFER, rdmsr(G_MSR_EFER) | EFER_SVME);
	check_msr_refused(G_MSR_EFER, rdmsr(G_MSR_EFER) & ~EFER_LME);
	check_msr_refused(G_MSR_EFER, rdmsr(G_MSR_EFER) | 2);
	wrmsr(G_MSR_EFER, rdmsr(G_MSR_EFER) & ~EFER_SCE);
	G_CHECK_EQ(rdmsr(G_MSR_EFER) & (EFER_SCE | EFER_LMA), EFER_LMA);
	/* LMA is read-only: the write leaves it. */
	try_wrmsr(G_MSR_EFER, rdmsr(G_MSR_EFER) & ~EFER_LMA);
	G_CHECK_EQ(rdmsr(G_MSR_EFER) & EFER_LMA, EFER_LMA);
	/* MISC_ENABLE: what has no effect is kept, what is fixed stays, the rest is not there. */
	check_msr(0x1a0, 0x4000811809);
	check_msr(0x1a0, 0x1800);
	wrmsr(0x1a0, 0x81);
	G_CHECK_EQ(rdmsr(0x1a0), 0x1801);
	check_msr_refused(0x1a0, 0x1801 | 1 << 18);
	check_msr_refused(0x1a0, 0x1801 | 1 << 22);
	check_msr_refused(0x1a0, 0x1801 | 1ull << 34);
	check_msr_refused(0x1a0, 0x1801 | 1ull << 63);
	/* AMD's event selects and counters of old: they take everything, and count nothing. */
	for (uint32_t i = 0xc0010000; i <= 0xc0010007; i++) {
		wrmsr(i, 0x530076);
		G_CHECK_EQ(rdmsr(i), 0);
	}
	/* APIC base: another address, reserved bits, x2APIC without enable. */
	check_msr_refused(G_MSR_APIC_BASE, rdmsr(G_MSR_APIC_BASE) + 0x1000);
	check_msr_refused(G_MSR_APIC_BASE, rdmsr(G_MSR_APIC_BASE) | 1);
	check_msr_refused(G_MSR_APIC_BASE, 0xfee00500);
	check_msr_refused(G_MSR_APIC_BASE, rdmsr(G_MSR_APIC_BASE) | 1ull << 60);
}

static void msrs(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_msrs, host_is_tcg());
	vcpu_done(&v);
}

/* Registers that hold what they hold, whatever is written; or where writes are refused. */
struct fixed_msr {
	uint32_t first, last;
	uint64_t value;
	bool refuses;
};

static const struct fixed_msr fixed_msrs[] = {
	{0x0, 0x1, 0, false},			  /* P5_MC_ADDR, P5_MC_TYPE */
	{0x17, 0x17, 0, false},			  /* PLATFORM_ID */
	{0x79, 0x79, 0, false},			  /* BIOS_UPDT_TRIG */
	{0x8b, 0x8b, 0x01000065, false},	  /* BIOS_SIGN_ID */
	{0xfe, 0xfe, 0x508, true},		  /* MTRRCAP */
	{0x179, 0x179, 0, true},		  /* MCG_CAP */
	{0x17a, 0x17a, 0, false},		  /* MCG_STATUS */
	{0x1d9, 0x1d9, 0, false},		  /* DEBUGCTL */
	{0x1db, 0x1de, 0, true},		  /* last branches, last exception */
	{0xc0010000, 0xc0010007, 0, false},	  /* event selects and counters of old */
	{0xc0010010, 0xc0010010, 0, false},	  /* SYSCFG */
	{0xc0010015, 0xc0010015, 1 << 24, false}, /* HWCR */
	{0xc001001f, 0xc001001f, 0, false},	  /* NB_CFG */
	{0xc0010055, 0xc0010055, 0, false},	  /* interrupt pending message */
	{0xc0010058, 0xc0010058, 0, false},	  /* MMIO configuration base */
	{0xc0010114, 0xc0010114, 0x18, false},	  /* VM_CR */
	{0xc0011020, 0xc0011020, 0, false},	  /* LS_CFG */
	{0xc0011022, 0xc0011022, 0, false},	  /* DC_CFG */
	{0xc0011029, 0xc0011029, 2, false},	  /* DE_CFG */
	{0xc001102a, 0xc001102a, 0, false},	  /* BU_CFG2 */
};

static GUEST void g_msr_fixed(uint64_t arg)
{
	(void)arg;
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed_msrs); i++) {
		const struct fixed_msr *f = &fixed_msrs[i];

		for (uint32_t msr = f->first; msr <= f->last; msr++) {
			G_CHECK_EQ(rdmsr(msr), f->value);
			G_CHECK_EQ(try_wrmsr(msr, 5), f->refuses ? GP : GUEST_NO_TRAP);
			G_CHECK_EQ(try_wrmsr(msr, f->value), f->refuses ? GP : GUEST_NO_TRAP);
			G_CHECK_EQ(rdmsr(msr), f->value);
		}
	}
}

/* The host may write a value that cannot change: what it read elsewhere. */
static void msr_fixed(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_msr_fixed, 0);
	vcpu_done(&v);
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed_msrs); i++) {
		struct hv_msr_entry e = {.index = fixed_msrs[i].first};
		struct hv_msrs msrs = {.count = 1, .entries = (uintptr_t)&e};

		CHECK_EQ(vcpu_get_msr(&v, e.index), fixed_msrs[i].value);
		vcpu_set_msr(&v, e.index, fixed_msrs[i].value);
		e.value = fixed_msrs[i].value + 1;
		CHECK_EQ(CHECK_OK(ioctl(v.fd, HV_SET_MSRS, &msrs)), !fixed_msrs[i].refuses);
		CHECK_EQ(vcpu_get_msr(&v, e.index), fixed_msrs[i].value);
	}
}

#define MTRR_BASE(n) (0x200u + 2 * (n))
#define MTRR_MASK(n) (0x201u + 2 * (n))

static const uint32_t mtrr_fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				      0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
static const uint8_t memory_types[] = {0, 1, 4, 5, 6};

/* Eight memory types, others for each number. */
static GUEST uint64_t types(uint32_t n)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < 64; i += 8, n /= 5)
		value |= (uint64_t)memory_types[n % 5] << i;
	return value;
}

/* Memory type ranges are kept, each by itself: Intel SDM Vol. 3, 12.11. */
static GUEST void g_mtrrs(uint64_t gpa_bits)
{
	uint64_t top = 1ull << gpa_bits;

	for (uint32_t i = 0; i < 8; i++) {
		wrmsr(MTRR_BASE(i), 0x1000ull * (i + 1) | memory_types[i % 5]);
		wrmsr(MTRR_MASK(i), 0x100000ull * (i + 1) | (i & 1 ? 0x800 : 0));
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(mtrr_fixed); i++)
		wrmsr(mtrr_fixed[i], types(7 + 31 * i));
	wrmsr(0x2ff, 0xc06);
	for (uint32_t i = 0; i < 8; i++) {
		G_CHECK_EQ(rdmsr(MTRR_BASE(i)), 0x1000ull * (i + 1) | memory_types[i % 5]);
		G_CHECK_EQ(rdmsr(MTRR_MASK(i)), 0x100000ull * (i + 1) | (i & 1 ? 0x800 : 0));
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(mtrr_fixed); i++)
		G_CHECK_EQ(rdmsr(mtrr_fixed[i]), types(7 + 31 * i));
	G_CHECK_EQ(rdmsr(0x2ff), 0xc06);
	/* All types, and those that are none, in each place. */
	for (uint64_t type = 0; type < 256; type += type < 8 ? 1 : 31) {
		bool ok = type == 0 || type == 1 || (type >= 4 && type <= 6);

		for (unsigned int i = 0; i < 64; i += 8) {
			uint64_t value = (0x0606060606060606 & ~(0xffull << i)) | type << i;

			if (ok)
				check_msr(0x26f, value);
			else
				check_msr_refused(0x26f, value);
			if (ok || type == 7)
				check_msr(G_MSR_PAT, value);
			else
				check_msr_refused(G_MSR_PAT, value);
		}
		if (ok) {
			check_msr(MTRR_BASE(7), 0x5000 | type);
			check_msr(0x2ff, 0x800 | type);
		} else {
			check_msr_refused(MTRR_BASE(7), 0x5000 | type);
			check_msr_refused(0x2ff, 0x800 | type);
		}
	}
	/* What is reserved, and how far addresses go. */
	check_msr(MTRR_BASE(0), top - 0x1000 + 6);
	check_msr(MTRR_MASK(0), top - 0x1000 + 0x800);
	check_msr_refused(MTRR_BASE(0), top | 6);
	check_msr_refused(MTRR_MASK(0), top | 0x800);
	for (unsigned int bit = 8; bit < 12; bit++)
		check_msr_refused(MTRR_BASE(0), 1u << bit | 6);
	for (unsigned int bit = 0; bit < 11; bit++)
		check_msr_refused(MTRR_MASK(0), 1u << bit);
	for (unsigned int bit = 8; bit < 64; bit++) {
		if (bit == 10 || bit == 11)
			check_msr(0x2ff, 1ull << bit | 6);
		else
			check_msr_refused(0x2ff, 1ull << bit | 6);
	}
}

static void mtrrs(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_mtrrs, hv_caps().gpa_bits);
	vcpu_done(&v);
}

static GUEST void g_msr_unknown(uint64_t arg)
{
	static const uint32_t unknown[] = {0x5,	       0xdeadbeef, 0x40000fff, 0xc0000079,
					   0xc00110ff, 0xffffffff, 0x6e1,      0x1fff};
	uint64_t value;

	(void)arg;
	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++) {
		if (try_rdmsr(unknown[i], &value) != GP)
			guest_fail("no #GP for RDMSR", unknown[i], 0, __LINE__);
		G_CHECK_EQ(guest_cpu()->error, 0);
		if (try_wrmsr(unknown[i], 1) != GP)
			guest_fail("no #GP for WRMSR", unknown[i], 0, __LINE__);
		G_CHECK_EQ(guest_cpu()->error, 0);
	}
	/* The instruction's own address is the one in the frame. */
	G_CHECK_EQ(*(const uint8_t *)guest_cpu()->rip, 0x0f);
}

static void msr_unknown(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_msr_unknown, 0);
	vcpu_done(&v);
}

static const struct test tests[] = {
	{"msrs", msrs, 0},
	{"msr_fixed", msr_fixed, 0},
	{"mtrrs", mtrrs, 0},
	{"msr_unknown", msr_unknown, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
