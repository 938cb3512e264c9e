// SPDX-License-Identifier: GPL-2.0
/*
 * What CPUID tells a guest. Called when the module loads (cpuid_supported), for
 * HV_SET_CPUID (cpuid_normalise, cpuid_check) and on each CPUID exit
 * (cpuid_query, the hot path).
 *
 * One table of rules says both what a guest may be offered and what a user may
 * change in it. A bit without a rule is zero: a feature that a new processor
 * has is hidden until somebody has thought about it.
 *
 * Leaves: Intel SDM Vol. 2, "CPUID"; AMD APM Vol. 3, appendix E; for 0x400000xx
 * the kernel's Documentation/virt/kvm/x86/cpuid.rst.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/string.h>
#include "cpuid.h"

enum {
	EAX = LEAF_EAX,
	EBX = LEAF_EBX,
	ECX = LEAF_ECX,
	EDX = LEAF_EDX,
	NR_REGS
};

enum rule_kind {
	PASS,	/* these bits as the host has them; a user may clear them */
	SET,	/* these bits whatever the host has; a user may clear them */
	HOST,	/* these bits as the host has them; a user may not change them */
	VALUE,	/* this value; a user may not change it */
	OWN,	/* these bits as the host has them; a user may store anything */
	FREE,	/* these bits zero; a user may store anything */
	INIT,	/* this value; a user may store anything */
	LIMIT,	/* the host's value, at most this; a user may lower it */
	WIDTHS, /* the same for each byte on its own */
};

#define ANY 0xff /* rule for every index that has none of its own */
#define ALL 0xffffffffU

/* Bits of XCR0 that a feature needs to be of use */
#define X87    0x01
#define AVX    0x04
#define AVX512 0xe6 /* with SSE and AVX, which it extends */

struct rule {
	u32 function;
	u8 index;
	u8 reg;	  /* enum cpuid_reg */
	u8 kind;  /* enum rule_kind */
	u16 xcr0; /* no such rule unless guests may use all of these */
	u32 bits;
};

/* Ascending by function and index; several rules of one register add up. */
static const struct rule rules[] = {
	/* --- 0: highest leaf and maker --------------------------------------- */
	/*
	 * Nothing above 0xd: tracing, frequencies, AMX and key locker are hidden.
	 * Nor less, since 6 and 0xb do not depend on the host.
	 */
	{0x0, 0, EAX, LIMIT, 0, 0xd},
	/* The maker decides how SYSCALL, CPUID and errata behave: it is the host's. */
	{0x0, 0, EBX, HOST, 0, ALL},
	{0x0, 0, ECX, HOST, 0, ALL},
	{0x0, 0, EDX, HOST, 0, ALL},

	/* --- 1: family and features ------------------------------------------ */
	{0x1, 0, EAX, OWN, 0, ALL},
	/* CLFLUSH works on the host's lines; APIC id and counts are topology. */
	{0x1, 0, EBX, HOST, 0, 0x0000ff00},
	{0x1, 0, EBX, FREE, 0, 0xffff00ff},
	/* SSE3, PCLMULQDQ, SSSE3, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND: no new state */
	{0x1, 0, ECX, PASS, 0,
	 BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) |
		 BIT(30)},
	/* FMA, AVX, F16C: their state is in the guest's XSAVE area */
	{0x1, 0, ECX, PASS, AVX, BIT(12) | BIT(28) | BIT(29)},
	/* PCID: nested paging leaves CR3 to the guest, and the TLB tags its entries */
	{0x1, 0, ECX, PASS, 0, BIT(17)},
	/* XSAVE: OSXSAVE follows the guest's CR4 */
	{0x1, 0, ECX, PASS, X87, BIT(26)},
	/* x2APIC, TSC-deadline timer: the module's own APIC has them on every host */
	{0x1, 0, ECX, SET, 0, BIT(21) | BIT(24)},
	/* A hypervisor is present: guests then look for leaf 0x40000000 */
	{0x1, 0, ECX, SET, 0, BIT(31)},
	/*
	 * Hidden: DTES64, DS-CPL, PDCM (performance monitoring is not switched);
	 * MONITOR (a guest must not idle the processor); VMX, SMX (no nesting);
	 * EST, TM2 (power is the host's); CNXT-ID, xTPR, DCA, SDBG (MSRs).
	 */

	/* FPU, VME, DE, PSE, TSC, MSR, PAE, CX8, SEP, PGE, CMOV, PSE36, CLFSH, MMX, FXSR, SSE, SSE2 */
	{0x1, 0, EDX, PASS, 0,
	 BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) | BIT(13) |
		 BIT(15) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26)},
	/* MCE, MCA: the MSRs are there and report no banks */
	{0x1, 0, EDX, PASS, 0, BIT(7) | BIT(14)},
	/* MTRR, PAT: kept for the guest; without MTRRs Linux would not use its PAT */
	{0x1, 0, EDX, PASS, 0, BIT(12) | BIT(16)},
	/* APIC: the module's own; follows IA32_APIC_BASE */
	{0x1, 0, EDX, SET, 0, BIT(9)},
	/* Self-snoop: a fact about the host's caches */
	{0x1, 0, EDX, PASS, 0, BIT(27)},
	/* HTT: several logical processors in a package, if the user says so */
	{0x1, 0, EDX, FREE, 0, BIT(28)},
	/* Hidden: PSN (identifies the host); DS, ACPI, TM, PBE (MSRs, power) */

	/* --- 2, 4: caches, Intel's way --------------------------------------- */
	{0x2, 0, EAX, OWN, 0, ALL},
	{0x2, 0, EBX, OWN, 0, ALL},
	{0x2, 0, ECX, OWN, 0, ALL},
	{0x2, 0, EDX, OWN, 0, ALL},
	/* How many share a cache is topology: one, until the user knows better. */
	{0x4, ANY, EAX, OWN, 0, 0x00003fff},
	{0x4, ANY, EAX, FREE, 0, 0xffffc000},
	{0x4, ANY, EBX, OWN, 0, ALL},
	{0x4, ANY, ECX, OWN, 0, ALL},
	{0x4, ANY, EDX, OWN, 0, ALL},
	/* 3 (serial number) and 5 (MONITOR) are hidden. */

	/* --- 6: power -------------------------------------------------------- */
	/* ARAT: the module's APIC timer never stops, however the host idles */
	{0x6, 0, EAX, SET, 0, BIT(2)},

	/* --- 7: more features ------------------------------------------------ */
	{0x7, 0, EAX, LIMIT, 0, 1},
	/* FSGSBASE, BMI1, BMI2, ERMS, RDSEED, ADX, CLFLUSHOPT, CLWB, SHA: no new state */
	{0x7, 0, EBX, PASS, 0,
	 BIT(0) | BIT(3) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29)},
	/* TSC_ADJUST: an MSR of the module's own, which moves its TSC offset */
	{0x7, 0, EBX, SET, 0, BIT(1)},
	/* SMEP, SMAP: bits of the guest's CR4, under nested paging its own affair */
	{0x7, 0, EBX, PASS, 0, BIT(7) | BIT(20)},
	/* The FPU keeps no CS and DS: a fact */
	{0x7, 0, EBX, PASS, 0, BIT(13)},
	/*
	 * INVPCID acts on the guest's own TLB tag only: AMD-V runs it without an
	 * intercept, VT-x with the control that enables it.
	 */
	{0x7, 0, EBX, PASS, 0, BIT(10)},
	{0x7, 0, EBX, PASS, AVX, BIT(5)}, /* AVX2 */
	/* AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL */
	{0x7, 0, EBX, PASS, AVX512,
	 BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)},
	/*
	 * Hidden: SGX, PQM, PQE, PT (MSRs that are not switched);
	 * HLE, RTM (withdrawn by microcode on most hosts); MPX (withdrawn).
	 */

	/* PREFETCHWT1, GFNI, CLDEMOTE, MOVDIRI, MOVDIR64B: no new state */
	{0x7, 0, ECX, PASS, 0, BIT(0) | BIT(8) | BIT(25) | BIT(27) | BIT(28)},
	{0x7, 0, ECX, PASS, 0, BIT(2)},		    /* UMIP: a bit of CR4 */
	{0x7, 0, ECX, PASS, AVX, BIT(9) | BIT(10)}, /* VAES, VPCLMULQDQ */
	/* AVX-512 VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
	{0x7, 0, ECX, PASS, AVX512, BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)},
	{0x7, 0, ECX, PASS, 0, BIT(22)}, /* RDPID: reads the guest's TSC_AUX */
	/*
	 * Hidden: PKU (its state is not switched); WAITPKG, CET, ENQCMD, PKS, bus lock
	 * detection, SGX_LC, TME (MSRs); LA57 (canonical addresses have 48 bits throughout the module).
	 */

	/* FSRM, SERIALIZE: no state; MD_CLEAR: what VERW does, with no MSR */
	{0x7, 0, EDX, PASS, 0, BIT(4) | BIT(10) | BIT(14)},
	/* AVX-512 4VNNIW, 4FMAPS, VP2INTERSECT, FP16 */
	{0x7, 0, EDX, PASS, AVX512, BIT(2) | BIT(3) | BIT(8) | BIT(23)},
	/*
	 * Hidden: IBRS/IBPB, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD and their
	 * like (SPEC_CTRL is not switched); UINTR, CET, PCONFIG, TSXLDTRK, AMX.
	 */

	{0x7, 1, EAX, PASS, AVX, BIT(4)},		     /* AVX-VNNI */
	{0x7, 1, EAX, PASS, AVX512, BIT(5)},		     /* AVX-512 BF16 */
	{0x7, 1, EAX, PASS, 0, BIT(10) | BIT(11) | BIT(12)}, /* fast short REP MOVS, STOS, CMPS */
	/* 9, 0xa: no DCA and no performance counters. */

	/* --- 0xb: topology --------------------------------------------------- */
	/* Each processor a package, until the user knows better. */
	{0xb, 0, EAX, INIT, 0, 0},
	{0xb, 0, EBX, INIT, 0, 1},
	{0xb, 0, ECX, INIT, 0, 0x100}, /* level 0: threads */
	{0xb, 0, EDX, INIT, 0, 0},
	{0xb, 1, EAX, INIT, 0, 0},
	{0xb, 1, EBX, INIT, 0, 1},
	{0xb, 1, ECX, INIT, 0, 0x201}, /* level 1: cores */
	{0xb, 1, EDX, INIT, 0, 0},
	{0xb, 2, EAX, INIT, 0, 0},
	{0xb, 2, EBX, INIT, 0, 0},
	{0xb, 2, ECX, INIT, 0, 0x002}, /* no more levels */
	{0xb, 2, EDX, INIT, 0, 0},

	/* --- 0xd: XSAVE ------------------------------------------------------ */
	/* Reduced to the bits that guests may set; see add_xsave(). */
	{0xd, 0, EAX, PASS, X87, ALL},
	{0xd, 0, EBX, FREE, X87, ALL}, /* computed for each query */
	{0xd, 0, ECX, LIMIT, X87, ALL},
	{0xd, 0, EDX, PASS, X87, ALL},
	/*
	 * XSAVEOPT, XSAVEC, XGETBV(1). Hidden: XSAVES (IA32_XSS is not switched)
	 * and XFD (AMX).
	 */
	{0xd, 1, EAX, PASS, X87, BIT(0) | BIT(1) | BIT(2)},
	{0xd, 1, EBX, FREE, X87, ALL}, /* computed for each query */
	/* Where the processor puts each component. */
	{0xd, ANY, EAX, HOST, X87, ALL},
	{0xd, ANY, EBX, HOST, X87, ALL},
	{0xd, ANY, ECX, HOST, X87, ALL},
	{0xd, ANY, EDX, HOST, X87, ALL},

	/* --- 0x40000000: paravirtualisation ---------------------------------- */
	{0x40000000, 0, EAX, LIMIT, 0, 0x40000010},
	{0x40000000, 0, EBX, VALUE, 0, 0x4b4d564b}, /* "KVMKVMKVM\0\0\0" */
	{0x40000000, 0, ECX, VALUE, 0, 0x564b4d56},
	{0x40000000, 0, EDX, VALUE, 0, 0x0000004d},
	/* No delay after port I/O; clock in MSR 0x4b564d01, the same on all vCPUs */
	{0x40000001, 0, EAX, SET, 0, BIT(1) | BIT(3) | BIT(24)},
	/* Frequencies in kHz; see cpuid_supported() */
	{0x40000010, 0, EAX, HOST, 0, ALL},
	{0x40000010, 0, EBX, VALUE, 0, 1000000}, /* the APIC timer's: 1 GHz */

	/* --- 0x80000000: extended features ----------------------------------- */
	{0x80000000, 0, EAX, LIMIT, 0, 0x80000021},
	{0x80000000, 0, EBX, HOST, 0, ALL},
	{0x80000000, 0, ECX, HOST, 0, ALL},
	{0x80000000, 0, EDX, HOST, 0, ALL},

	{0x80000001, 0, EAX, OWN, 0, ALL},
	{0x80000001, 0, EBX, OWN, 0, ALL},
	/* LAHF in 64-bit mode, ABM, SSE4A, misaligned SSE, PREFETCHW, TBM: no new state */
	{0x80000001, 0, ECX, PASS, 0, BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(21)},
	{0x80000001, 0, ECX, FREE, 0, BIT(1)},		    /* CMP_LEGACY: topology */
	{0x80000001, 0, ECX, PASS, 0, BIT(4)},		    /* CR8 outside 64-bit mode: the TPR */
	{0x80000001, 0, ECX, PASS, AVX, BIT(11) | BIT(16)}, /* XOP, FMA4 */
	{0x80000001, 0, ECX, PASS, 0, BIT(22)},		    /* TOPOEXT: leaves 0x8000001d and e */
	/*
	 * Hidden: SVM, SKINIT (no nesting); the extended APIC space; OSVW, IBS,
	 * WDT, LWP, NodeId, the performance counters, breakpoint masks (MSRs);
	 * TCE (a bit of EFER that is not offered); MWAITX (as MONITOR).
	 */

	/* What AMD repeats from leaf 1 */
	{0x80000001, 0, EDX, PASS, 0, 0x0183f1ff},
	{0x80000001, 0, EDX, PASS, 0, BIT(9)}, /* APIC: follows IA32_APIC_BASE */
	/* SYSCALL, NX, MMX extensions, FFXSR, 1 GiB pages, long mode, 3DNow!: no more than EFER */
	{0x80000001, 0, EDX, PASS, 0,
	 BIT(11) | BIT(20) | BIT(22) | BIT(25) | BIT(26) | BIT(29) | BIT(30) | BIT(31)},
	{0x80000001, 0, EDX, PASS, 0, BIT(27)}, /* RDTSCP: TSC_AUX is switched */
	/* Hidden: MP (a K7's) */

	/* Brand string */
	{0x80000002, 0, EAX, OWN, 0, ALL},
	{0x80000002, 0, EBX, OWN, 0, ALL},
	{0x80000002, 0, ECX, OWN, 0, ALL},
	{0x80000002, 0, EDX, OWN, 0, ALL},
	{0x80000003, 0, EAX, OWN, 0, ALL},
	{0x80000003, 0, EBX, OWN, 0, ALL},
	{0x80000003, 0, ECX, OWN, 0, ALL},
	{0x80000003, 0, EDX, OWN, 0, ALL},
	{0x80000004, 0, EAX, OWN, 0, ALL},
	{0x80000004, 0, EBX, OWN, 0, ALL},
	{0x80000004, 0, ECX, OWN, 0, ALL},
	{0x80000004, 0, EDX, OWN, 0, ALL},
	/* L1, L2, L3 and their TLBs */
	{0x80000005, 0, EAX, OWN, 0, ALL},
	{0x80000005, 0, EBX, OWN, 0, ALL},
	{0x80000005, 0, ECX, OWN, 0, ALL},
	{0x80000005, 0, EDX, OWN, 0, ALL},
	{0x80000006, 0, EAX, OWN, 0, ALL},
	{0x80000006, 0, EBX, OWN, 0, ALL},
	{0x80000006, 0, ECX, OWN, 0, ALL},
	{0x80000006, 0, EDX, OWN, 0, ALL},
	/* Invariant TSC. Hidden: power and reliability, which are the host's */
	{0x80000007, 0, EDX, PASS, 0, BIT(8)},

	/*
	 * Address widths: stage-2 tables have four levels and LA57 is not offered,
	 * so that neither is wider than 48 bits.
	 */
	{0x80000008, 0, EAX, WIDTHS, 0, 0x3030},
	/* CLZERO, FPU error pointers always kept; not prone to SSB, not to BTC: facts */
	{0x80000008, 0, EBX, PASS, 0, BIT(0) | BIT(2) | BIT(26) | BIT(29)},
	/*
	 * Hidden: IBPB, IBRS, STIBP, SSBD, PSFD (SPEC_CTRL is not switched);
	 * RDPRU, INVLPGB, MCOMMIT; WBNOINVD (WBINVD exits, and this would not).
	 */
	{0x80000008, 0, ECX, FREE, 0, ALL}, /* number of cores: topology */

	{0x80000019, 0, EAX, OWN, 0, ALL}, /* TLB for 1 GiB pages */
	{0x80000019, 0, EBX, OWN, 0, ALL},
	{0x8000001a, 0, EAX, PASS, 0, ALL}, /* hints on performance */
	/* Caches and topology, AMD's way; as leaf 4 */
	{0x8000001d, ANY, EAX, OWN, 0, 0x00003fff},
	{0x8000001d, ANY, EAX, FREE, 0, 0xffffc000},
	{0x8000001d, ANY, EBX, OWN, 0, ALL},
	{0x8000001d, ANY, ECX, OWN, 0, ALL},
	{0x8000001d, ANY, EDX, OWN, 0, ALL},
	{0x8000001e, 0, EAX, FREE, 0, ALL},
	{0x8000001e, 0, EBX, FREE, 0, ALL},
	{0x8000001e, 0, ECX, FREE, 0, ALL},
	/*
	 * No nested data breakpoints; FS/GS base writes do not serialise; LFENCE
	 * does; a null selector clears the base; no SMM_CTL MSR; fast short REP
	 * STOS and CMPS: facts. Hidden: what is turned on in EFER or an MSR.
	 */
	{0x80000021, 0, EAX, PASS, 0,
	 BIT(0) | BIT(1) | BIT(2) | BIT(6) | BIT(9) | BIT(10) | BIT(11)},
	/* 0x8000000a (SVM), 1b (IBS), 1c (LWP), 1f (SEV), 20 (QoS) are hidden. */
};

/* Leaves that depend on ECX */
static bool indexed(u32 function)
{
	switch (function) {
	case 0x4:
	case 0x7:
	case 0xb:
	case 0xd:
	case 0x8000001d:
		return true;
	default:
		return false;
	}
}

static bool hypervisor_leaf(u32 function)
{
	return function >> 28 == 4;
}

static u32 *entry_reg(struct hv_cpuid_entry *e, unsigned int reg)
{
	u32 *const regs[NR_REGS] = {&e->eax, &e->ebx, &e->ecx, &e->edx};

	return regs[reg];
}

static u32 reg_of(const struct cpuid_leaf *r, unsigned int reg)
{
	const u32 regs[NR_REGS] = {r->eax, r->ebx, r->ecx, r->edx};

	return regs[reg];
}

/* ------------------------------------------------------------------------- */
/* Finding an entry                                                           */

static int compare(const struct hv_cpuid_entry *e, u32 function, u32 index)
{
	if (e->function != function)
		return e->function < function ? -1 : 1;
	if (e->index != index)
		return e->index < index ? -1 : 1;
	return 0;
}

static noinline const struct hv_cpuid_entry *search(const struct hv_cpuid_table *t, u32 function)
{
	u32 low = 0, high = t->count;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (compare(&t->e[middle], function, 0) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->count && t->e[low].function == function ? &t->e[low] : NULL;
}

/* The first entry of a function that needs no search, or NULL. */
static __always_inline const struct hv_cpuid_entry *direct(const struct hv_cpuid_table *t,
							   u32 function)
{
	u32 n = function & 0x7fffffff;
	u8 at = n < CPUID_DIRECT ? t->at[function >> 31][n] : 0;

	return at ? t->e + at - 1 : NULL;
}

static const struct hv_cpuid_entry *find(const struct hv_cpuid_table *t, u32 function, u32 index)
{
	const struct hv_cpuid_entry *e = direct(t, function);

	if (!e)
		e = search(t, function);
	if (!e || !(e->flags & HV_CPUID_INDEXED))
		return e;
	for (; e < t->e + t->count && e->function == function; e++) {
		if (e->index == index)
			return e;
	}
	return NULL;
}

static struct hv_cpuid_entry *find_mutable(struct hv_cpuid_table *t, u32 function, u32 index)
{
	const struct hv_cpuid_entry *e = find(t, function, index);

	return e ? &t->e[e - t->e] : NULL;
}

static void build_direct(struct hv_cpuid_table *t)
{
	u32 i;

	memset(t->at, 0, sizeof(t->at));
	for (i = t->count; i-- > 0;) {
		u32 function = t->e[i].function, n = function & 0x7fffffff;

		if (n < CPUID_DIRECT)
			t->at[function >> 31][n] = i + 1;
	}
}

/* ------------------------------------------------------------------------- */
/* XSAVE's sizes                                                              */

/*
 * Bytes of an XSAVE area that holds the components of xcr0; SDM Vol. 1,
 * "Standard Format of XSAVE Area" and "Compacted Format of XSAVE Area".
 */
static noinline u32 xsave_size(const struct hv_cpuid_table *t, u64 xcr0, bool compacted)
{
	u32 size = 512 + 64; /* legacy area (x87, SSE) and header */
	const struct hv_cpuid_entry *e;
	u32 i;

	for (i = 2; i < 63; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		e = find(t, 0xd, i);
		if (!e)
			continue;
		if (!compacted) {
			size = e->ebx + e->eax > size ? e->ebx + e->eax : size;
			continue;
		}
		if (e->ecx & BIT(1))
			size = (size + 63) & ~63U;
		size += e->eax;
	}
	return size;
}

/* ------------------------------------------------------------------------- */
/* What this host offers                                                      */

static struct hv_cpuid_entry *add(struct hv_cpuid_table *t, u32 function, u32 index)
{
	struct hv_cpuid_entry *e;

	/* The rules' leaves, eight caches and nine components are well below that. */
	if (t->count == HV_MAX_CPUID)
		return NULL;
	e = &t->e[t->count++];
	*e = (struct hv_cpuid_entry){
		.function = function,
		.index = index,
		.flags = indexed(function) ? HV_CPUID_INDEXED : 0,
	};
	return e;
}

/* Is each byte of a at most that of b? */
static bool bytes_within(u32 a, u32 b)
{
	return a >> 24 <= b >> 24 && (a >> 16 & 0xff) <= (b >> 16 & 0xff) &&
	       (a >> 8 & 0xff) <= (b >> 8 & 0xff) && (a & 0xff) <= (b & 0xff);
}

static u32 bytes_min(u32 a, u32 b)
{
	u32 v = 0, byte;

	for (byte = 0xff; byte; byte <<= 8)
		v |= (a & byte) < (b & byte) ? a & byte : b & byte;
	return v;
}

static u32 rule_value(const struct rule *r, u32 host)
{
	switch ((enum rule_kind)r->kind) {
	case PASS:
	case HOST:
	case OWN:
		return host & r->bits;
	case SET:
	case VALUE:
	case INIT:
		return r->bits;
	case LIMIT:
		return host < r->bits ? host : r->bits;
	case WIDTHS:
		return bytes_min(host, r->bits);
	case FREE:
		break;
	}
	return 0;
}

static bool rule_holds(const struct rule *r, const struct cpuid_host *host)
{
	return (host->xcr0 & r->xcr0) == r->xcr0;
}

/* One entry by the rules first..end, which are all the rules of its leaf. */
static void add_leaf(struct hv_cpuid_table *t, const struct cpuid_host *host,
		     const struct rule *first, const struct rule *end, u32 index,
		     const struct cpuid_leaf *regs)
{
	struct hv_cpuid_entry *e = add(t, first->function, index);
	const struct rule *r;

	for (r = first; e && r < end; r++) {
		if (rule_holds(r, host))
			*entry_reg(e, r->reg) |= rule_value(r, reg_of(regs, r->reg));
	}
}

/* Leaves 4 and 0x8000001d: caches until one of type 0. */
static void add_caches(struct hv_cpuid_table *t, const struct cpuid_host *host,
		       const struct rule *first, const struct rule *end)
{
	struct cpuid_leaf regs;
	u32 index;

	for (index = 0; index < 8; index++) {
		host->read(first->function, index, &regs);
		if (!(regs.eax & 0x1f))
			return;
		add_leaf(t, host, first, end, index, &regs);
	}
}

/* Sub-leaves of 0xd from 2 on, one for each component that guests may use. */
static void add_xsave(struct hv_cpuid_table *t, const struct cpuid_host *host,
		      const struct rule *first, const struct rule *end)
{
	struct hv_cpuid_entry *e;
	struct cpuid_leaf regs;
	u32 i;

	for (i = 2; i < 63; i++) {
		if (!(host->xcr0 >> i & 1))
			continue;
		host->read(0xd, i, &regs);
		add_leaf(t, host, first, end, i, &regs);
	}
	build_direct(t);
	e = find_mutable(t, 0xd, 0);
	if (!e)
		return;
	e->eax &= (u32)host->xcr0;
	e->edx &= (u32)(host->xcr0 >> 32);
	e->ebx = xsave_size(t, X87, false);
	e->ecx = xsave_size(t, host->xcr0, false);
}

void cpuid_supported(const struct cpuid_host *host, struct hv_cpuid_table *out)
{
	const struct rule *r = rules, *end = rules + ARRAY_SIZE(rules);
	struct cpuid_leaf basic, extended, regs;
	const struct rule *first;

	memset(out, 0, sizeof(*out));
	host->read(0, 0, &basic);
	host->read(0x80000000, 0, &extended);

	while (r < end) {
		u32 limit = r->function >> 31 ? extended.eax : basic.eax;

		first = r;
		while (r < end && r->function == first->function && r->index == first->index)
			r++;
		if (first->index == ANY) {
			if (first->function > limit)
				continue;
			if (first->function != 0xd)
				add_caches(out, host, first, r);
			else if (host->xcr0 & X87)
				add_xsave(out, host, first, r);
			continue;
		}
		if (first->function == 0xd && !(host->xcr0 & X87))
			continue;
		/* A host that ends early still offers what the module makes itself. */
		memset(&regs, 0, sizeof(regs));
		if (first->function <= limit && !hypervisor_leaf(first->function))
			host->read(first->function, first->index, &regs);
		else if (first->function >> 31)
			continue;
		if (first->function == 0 || first->function == 0x40000000)
			regs.eax = ALL;
		if (first->function == 0x40000010)
			regs.eax = host->tsc_khz;
		add_leaf(out, host, first, r, first->index, &regs);
	}
	build_direct(out);
}

/* ------------------------------------------------------------------------- */
/* A user's table                                                             */

int cpuid_normalise(struct hv_cpuid_table *t)
{
	struct hv_cpuid_entry e;
	u32 i, j;

	if (t->count > HV_MAX_CPUID)
		return -EINVAL;
	/* Insertion: tables are small and mostly come sorted. */
	for (i = 0; i < t->count; i++) {
		e = t->e[i];
		if (e.flags & ~HV_CPUID_INDEXED || e.pad)
			return -EINVAL;
		if (!(e.flags & HV_CPUID_INDEXED))
			e.index = 0;
		for (j = i; j > 0 && compare(&t->e[j - 1], e.function, e.index) > 0; j--)
			t->e[j] = t->e[j - 1];
		t->e[j] = e;
	}
	/* The same leaf twice, or both with and without an index */
	for (i = 1; i < t->count; i++) {
		if (t->e[i - 1].function != t->e[i].function)
			continue;
		if (t->e[i - 1].index == t->e[i].index)
			return -EINVAL;
		if (!(t->e[i - 1].flags & t->e[i].flags & HV_CPUID_INDEXED))
			return -EINVAL;
	}
	build_direct(t);
	return 0;
}

static bool has_rules(u32 function, u32 index)
{
	const struct rule *r;

	for (r = rules; r < rules + ARRAY_SIZE(rules); r++) {
		if (r->function == function && r->index == index)
			return true;
	}
	return false;
}

/* One register of a user's leaf, by the rules that have this index. */
static bool register_allowed(u32 function, u32 index, unsigned int reg, u32 value, u32 supported)
{
	u32 free = 0;
	const struct rule *r;

	for (r = rules; r < rules + ARRAY_SIZE(rules); r++) {
		if (r->function != function || r->index != index || r->reg != reg)
			continue;
		switch ((enum rule_kind)r->kind) {
		case PASS:
		case SET:
			break;
		case HOST:
			if ((value ^ supported) & r->bits)
				return false;
			break;
		case VALUE:
			if (value != supported)
				return false;
			break;
		case LIMIT:
			if (value > supported)
				return false;
			free = ALL;
			break;
		case WIDTHS:
			if (!bytes_within(value, supported))
				return false;
			free = ALL;
			break;
		case OWN:
		case FREE:
			free |= r->bits;
			break;
		case INIT:
			free = ALL;
			break;
		}
	}
	return !(value & ~free & ~supported);
}

int cpuid_check(const struct hv_cpuid_table *supported, const struct hv_cpuid_table *t)
{
	const struct hv_cpuid_entry *e, *s;
	struct hv_cpuid_entry theirs, ours;
	unsigned int reg;
	u32 index;

	for (e = t->e; e < t->e + t->count; e++) {
		if (indexed(e->function) != !!(e->flags & HV_CPUID_INDEXED))
			return -EINVAL;
		/* Rules for this index go before those for any. */
		index = has_rules(e->function, e->index) ? e->index : ANY;
		if (!has_rules(e->function, index))
			return -EINVAL;
		theirs = *e;
		s = find(supported, e->function, e->index);
		ours = s ? *s : (struct hv_cpuid_entry){0};
		for (reg = 0; reg < NR_REGS; reg++) {
			if (!register_allowed(e->function, index, reg, *entry_reg(&theirs, reg),
					      *entry_reg(&ours, reg)))
				return -EINVAL;
		}
	}
	return 0;
}

void cpuid_set_apic_id(struct hv_cpuid_table *t, u32 apic_id)
{
	struct hv_cpuid_entry *e = find_mutable(t, 1, 0);
	u32 i, bits, threads;

	if (e)
		e->ebx = (e->ebx & 0x00ffffff) | apic_id << 24;
	for (i = 0; i < t->count; i++) {
		if (t->e[i].function == 0xb)
			t->e[i].edx = apic_id;
	}

	/* AMD: the id within the package (APM Vol. 3, Fn8000_0008_ECX), counted in cores */
	e = find_mutable(t, 0x80000008, 0);
	bits = e ? e->ecx >> 12 & 0xf : 0;
	e = find_mutable(t, 0x8000001e, 0);
	if (!e)
		return;
	threads = (e->ebx >> 8 & 0xff) + 1;
	e->eax = apic_id;
	e->ebx = (e->ebx & ~0xffU) | ((apic_id & ((1U << bits) - 1)) / threads & 0xff);
}

/* ------------------------------------------------------------------------- */
/* The guest asks                                                             */

static void answer(const struct hv_cpuid_entry *e, struct cpuid_leaf *out)
{
	*out = (struct cpuid_leaf){.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx};
}

static bool intel(const struct hv_cpuid_entry *leaf0)
{
	return leaf0->ebx == 0x756e6547 && leaf0->edx == 0x49656e69 && leaf0->ecx == 0x6c65746e;
}

/* A leaf that the table does not have. */
static noinline void query_absent(const struct hv_cpuid_table *t, const struct cpuid_dynamic *dyn,
				  u32 function, u32 index, struct cpuid_leaf *out)
{
	const struct hv_cpuid_entry *leaf0 = find(t, 0, 0), *e;
	u32 base = function & 0x80000000;

	memset(out, 0, sizeof(*out));
	/* SDM: a level that does not exist still says which, and the APIC id. */
	e = find(t, 0xb, 0);
	if (function == 0xb && e) {
		out->ecx = index & 0xff;
		out->edx = e->edx;
		return;
	}
	/*
	 * SDM: beyond the highest leaf, basic or extended, Intel answers with the
	 * highest basic one; AMD with zeroes. Nobody expects that of the leaves
	 * that are set aside for hypervisors.
	 */
	if (!leaf0 || !intel(leaf0) || hypervisor_leaf(function))
		return;
	e = find(t, base, 0);
	if (e && function <= e->eax && (e->eax & 0x80000000) == base)
		return;
	/* No further than this: that one may be absent, or have no such sub-leaf. */
	if (find(t, leaf0->eax, index))
		cpuid_query(t, dyn, leaf0->eax, index, out);
}

/* What depends on ECX, is not in the table or has to be searched for. */
static noinline void query_slow(const struct hv_cpuid_table *t, const struct cpuid_dynamic *dyn,
				u32 function, u32 index, struct cpuid_leaf *out)
{
	const struct hv_cpuid_entry *e = find(t, function, index);

	if (!e) {
		query_absent(t, dyn, function, index, out);
		return;
	}
	answer(e, out);
	if (function == 0xd && index == 0)
		out->ebx = xsave_size(t, dyn->xcr0, false);
	else if (function == 0xd && index == 1)
		out->ebx = out->eax & BIT(1) ? xsave_size(t, dyn->xcr0, true) : 0;
	else if (function == 0x40000010)
		out->eax = dyn->tsc_khz;
}

void cpuid_query(const struct hv_cpuid_table *t, const struct cpuid_dynamic *dyn, u32 function,
		 u32 index, struct cpuid_leaf *out)
{
	const struct hv_cpuid_entry *e = direct(t, function);

	if (unlikely(!e || e->flags & HV_CPUID_INDEXED)) {
		query_slow(t, dyn, function, index, out);
		return;
	}
	answer(e, out);
	if (function == 0x1)
		out->ecx = (out->ecx & ~BIT(27)) | (dyn->cr4 >> 18 & 1) << 27; /* OSXSAVE */
	if ((function == 0x1 || function == 0x80000001) && !dyn->apic_enabled)
		out->edx &= ~BIT(9);
}

u32 cpuid_xsave_size(const struct hv_cpuid_table *t, u64 xcr0)
{
	return xsave_size(t, xcr0, false);
}

bool cpuid_has(const struct hv_cpuid_table *t, u32 function, u32 index, unsigned int reg,
	       unsigned int bit)
{
	const struct hv_cpuid_entry *e = find(t, function, index);
	struct cpuid_leaf regs;

	if (!e || reg >= NR_REGS || bit > 31)
		return false;
	answer(e, &regs);
	return reg_of(&regs, reg) >> bit & 1;
}
