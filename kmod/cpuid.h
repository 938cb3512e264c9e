/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CPUID tells a guest: one policy table, applied to the host's own leaves.
 * Pure, given a function that reads the host's leaves; built for unit tests too.
 */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#include <linux/types.h>
#include "../include/uapi/hv.h"

enum cpuid_reg {
	LEAF_EAX,
	LEAF_EBX,
	LEAF_ECX,
	LEAF_EDX
};

struct cpuid_leaf {
	u32 eax, ebx, ecx, edx;
};

/* What the policy needs to know of the host besides CPUID itself. */
struct cpuid_host {
	void (*read)(u32 function, u32 index, struct cpuid_leaf *out);
	u64 xcr0; /* XCR0 bits guests may use */
	u32 tsc_khz;
};

/* Functions below this, and from 0x80000000 on as many, are found without a search. */
#define CPUID_DIRECT 64

struct hv_cpuid_table {
	u32 count;
	/* 1 + the place of a function's first entry, 0: none; kept by cpuid_normalise() */
	u8 at[2][CPUID_DIRECT];
	struct hv_cpuid_entry e[HV_MAX_CPUID]; /* ascending (function, index) */
};

/* The table HV_GET_CPUID returns. Static per host: built once at load. */
void cpuid_supported(const struct cpuid_host *host, struct hv_cpuid_table *out);

/*
 * Check a user's table against the supported one: 0, or -EINVAL for a feature
 * bit, leaf or limit that is not offered (identity and topology fields are the
 * user's own: brand string, family/model, APIC ids, cache and core counts).
 */
int cpuid_check(const struct hv_cpuid_table *supported, const struct hv_cpuid_table *t);

/*
 * Sort a user's table (count and e) and make it ready for the other functions,
 * which take no other; -EINVAL for duplicates, unknown flags and too many entries.
 */
int cpuid_normalise(struct hv_cpuid_table *t);

/* Put a vCPU's own APIC id where CPUID reports it (leaves 1, 0xb, 0x8000001e). */
void cpuid_set_apic_id(struct hv_cpuid_table *t, u32 apic_id);

/* State of the vCPU that CPUID mirrors. */
struct cpuid_dynamic {
	u64 cr4;	   /* OSXSAVE */
	u64 xcr0;	   /* leaf 0xd sub-leaf 0: size of the enabled features */
	u32 tsc_khz;	   /* leaf 0x40000010 */
	bool apic_enabled; /* leaf 1 EDX.APIC */
};

/*
 * The answer to CPUID(function, index): out-of-range leaves answer as the
 * processor's maker does (AMD: zeroes). Hot path: no search for most leaves.
 */
void cpuid_query(const struct hv_cpuid_table *t, const struct cpuid_dynamic *dyn, u32 function,
		 u32 index, struct cpuid_leaf *out);

/* Bytes that XSAVE in the standard format takes for these components. */
u32 cpuid_xsave_size(const struct hv_cpuid_table *t, u64 xcr0);

/* Is a feature bit set in the guest's table? reg: enum cpuid_reg. */
bool cpuid_has(const struct hv_cpuid_table *t, u32 function, u32 index, unsigned int reg,
	       unsigned int bit);

#endif
