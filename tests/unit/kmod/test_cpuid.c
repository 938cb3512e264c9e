// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/cpuid.c on made-up hosts: one that claims every feature there could ever
 * be, one with none, an AMD and an Intel one; then tables of hostile users, and
 * the guest's questions.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/cpuid.h"
#include "suite.h"

enum {
	EAX,
	EBX,
	ECX,
	EDX
};

#define XCR0_AVX    0x7ULL
#define XCR0_AVX512 0xe7ULL
#define XCR0_ALL    0x2e7ULL

static const struct cpuid_dynamic plain = {.xcr0 = 1, .tsc_khz = 2500000, .apic_enabled = true};

/* ------------------------------------------------------------------------- */
/* Hosts                                                                      */

/* XSAVE components as real processors lay them out: AVX, AVX-512, PKRU */
static void read_xsave(u32 index, struct cpuid_leaf *out)
{
	static const struct {
		u32 index, size, offset, flags;
	} component[] = {
		{2, 256, 576, 0}, {3, 64, 960, 0},   {4, 64, 1024, 0},
		{5, 64, 1088, 0}, {6, 512, 1152, 0}, {7, 1024, 1664, 0},
		{9, 8, 2688, 0},  {17, 64, 2752, 2}, {18, 8192, 2816, 2},
	};

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; i < ARRAY_SIZE(component); i++) {
		if (component[i].index == index)
			*out = (struct cpuid_leaf){.eax = component[i].size,
						   .ebx = component[i].offset,
						   .ecx = component[i].flags};
	}
	if (index == 0)
		*out = (struct cpuid_leaf){.eax = 0x602e7, .ebx = 576, .ecx = 11008};
	if (index == 1)
		out->eax = ~0U;
}

static void read_caches(u32 index, struct cpuid_leaf *out)
{
	*out = (struct cpuid_leaf){0};
	if (index < 4)
		*out = (struct cpuid_leaf){
			.eax = 0xfc1fc120 | (index + 1), .ebx = 0x1c0003f, .ecx = 63};
}

/* Every bit set where a leaf holds features. */
static void read_greedy(u32 function, u32 index, struct cpuid_leaf *out)
{
	memset(out, 0xff, sizeof(*out));
	switch (function) {
	case 0x0:
		*out = (struct cpuid_leaf){0x20, 0x68747541, 0x444d4163, 0x69746e65};
		break;
	case 0x4:
	case 0x8000001d:
		read_caches(index, out);
		break;
	case 0xd:
		read_xsave(index, out);
		break;
	case 0x80000000:
		*out = (struct cpuid_leaf){0x80000028, 0x68747541, 0x444d4163, 0x69746e65};
		break;
	}
}

static void read_intel(u32 function, u32 index, struct cpuid_leaf *out)
{
	read_greedy(function, index, out);
	if (function == 0)
		*out = (struct cpuid_leaf){0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
	if (function == 0x80000000)
		*out = (struct cpuid_leaf){.eax = 0x80000008};
	if (function == 0x80000008)
		*out = (struct cpuid_leaf){.eax = 0x302e};
}

/* A processor that ends at leaf 1 and has nothing; beyond that it answers with noise. */
static void read_poor(u32 function, u32 index, struct cpuid_leaf *out)
{
	(void)index;
	memset(out, function > 1 ? 0xa5 : 0, sizeof(*out));
	if (function == 0)
		out->eax = 1;
	if (function == 0x80000000)
		out->eax = 0x12345678;
}

static void build(struct hv_cpuid_table *t, void (*read)(u32, u32, struct cpuid_leaf *), u64 xcr0)
{
	struct cpuid_host host = {.read = read, .xcr0 = xcr0, .tsc_khz = 2500000};

	memset(t, 0x5a, sizeof(*t));
	cpuid_supported(&host, t);
}

static struct cpuid_leaf ask(const struct hv_cpuid_table *t, u32 function, u32 index)
{
	struct cpuid_leaf out;

	memset(&out, 0x5a, sizeof(out));
	cpuid_query(t, &plain, function, index, &out);
	return out;
}

static struct hv_cpuid_entry *entry(struct hv_cpuid_table *t, u32 function, u32 index)
{
	for (u32 i = 0; i < t->count; i++) {
		if (t->e[i].function == function && t->e[i].index == index)
			return &t->e[i];
	}
	ck_abort_msg("no entry %x.%u", function, index);
	return NULL;
}

static u32 *reg_of(struct hv_cpuid_entry *e, unsigned int reg)
{
	u32 *const regs[] = {&e->eax, &e->ebx, &e->ecx, &e->edx};

	return regs[reg];
}

static bool all_zero(struct cpuid_leaf r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

/* ------------------------------------------------------------------------- */
/* What is offered                                                            */

/* Features that need something of the module which it does not do, on a host that has them */
START_TEST(test_hidden)
{
	static const struct {
		u32 function;
		u8 index, reg, bit;
	} hidden[] = {
		{0x1, 0, ECX, 2},	  /* DTES64 */
		{0x1, 0, ECX, 3},	  /* MONITOR */
		{0x1, 0, ECX, 5},	  /* VMX */
		{0x1, 0, ECX, 6},	  /* SMX */
		{0x1, 0, ECX, 15},	  /* PDCM */
		{0x1, 0, EDX, 18},	  /* PSN */
		{0x1, 0, EDX, 21},	  /* DS */
		{0x7, 0, EBX, 2},	  /* SGX */
		{0x7, 0, EBX, 4},	  /* HLE */
		{0x7, 0, EBX, 11},	  /* RTM */
		{0x7, 0, EBX, 14},	  /* MPX */
		{0x7, 0, EBX, 25},	  /* PT */
		{0x7, 0, ECX, 3},	  /* PKU */
		{0x7, 0, ECX, 5},	  /* WAITPKG */
		{0x7, 0, ECX, 7},	  /* CET_SS */
		{0x7, 0, ECX, 16},	  /* LA57 */
		{0x7, 0, ECX, 29},	  /* ENQCMD */
		{0x7, 0, EDX, 20},	  /* CET_IBT */
		{0x7, 0, EDX, 24},	  /* AMX */
		{0x7, 0, EDX, 26},	  /* SPEC_CTRL */
		{0x7, 0, EDX, 29},	  /* ARCH_CAPABILITIES */
		{0xd, 1, EAX, 3},	  /* XSAVES */
		{0xd, 1, EAX, 4},	  /* XFD */
		{0x80000001, 0, ECX, 2},  /* SVM */
		{0x80000001, 0, ECX, 10}, /* IBS */
		{0x80000001, 0, ECX, 12}, /* SKINIT */
		{0x80000001, 0, ECX, 23}, /* PERFCTR_CORE */
		{0x80000001, 0, ECX, 29}, /* MWAITX */
		{0x80000008, 0, EBX, 9},  /* WBNOINVD */
		{0x80000008, 0, EBX, 12}, /* IBPB */
		{0x80000021, 0, EAX, 8},  /* automatic IBRS */
	};
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(hidden); i++)
		ck_assert_msg(!cpuid_has(&t, hidden[i].function, hidden[i].index, hidden[i].reg,
					 hidden[i].bit),
			      "%x.%u reg %u bit %u", hidden[i].function, hidden[i].index,
			      hidden[i].reg, hidden[i].bit);
	/* Whole leaves */
	ck_assert(all_zero(ask(&t, 0x3, 0)));
	ck_assert(all_zero(ask(&t, 0x5, 0)));
	ck_assert(all_zero(ask(&t, 0xa, 0)));
	ck_assert(all_zero(ask(&t, 0x8000000a, 0)));
	ck_assert(all_zero(ask(&t, 0x8000001b, 0)));
	ck_assert(all_zero(ask(&t, 0x8000001f, 0)));
	ck_assert(all_zero(ask(&t, 0x80000022, 0)));
	ck_assert_uint_eq(ask(&t, 0x80000007, 0).edx, 1U << 8);
	ck_assert_uint_eq(ask(&t, 0, 0).eax, 0xd);
	ck_assert_uint_eq(ask(&t, 0x80000000, 0).eax, 0x80000021);
	ck_assert_uint_eq(ask(&t, 0x80000008, 0).eax, 0x3030);
}
END_TEST

START_TEST(test_passed)
{
	static const struct {
		u32 function;
		u8 index, reg, bit;
	} passed[] = {
		{0x1, 0, ECX, 0},	  /* SSE3 */
		{0x1, 0, ECX, 13},	  /* CX16 */
		{0x1, 0, ECX, 26},	  /* XSAVE */
		{0x1, 0, ECX, 28},	  /* AVX */
		{0x1, 0, EDX, 0},	  /* FPU */
		{0x1, 0, EDX, 12},	  /* MTRR */
		{0x1, 0, EDX, 16},	  /* PAT */
		{0x1, 0, EDX, 26},	  /* SSE2 */
		{0x7, 0, EBX, 0},	  /* FSGSBASE */
		{0x7, 0, EBX, 5},	  /* AVX2 */
		{0x7, 0, EBX, 20},	  /* SMAP */
		{0xd, 1, EAX, 1},	  /* XSAVEC */
		{0x80000001, 0, EDX, 11}, /* SYSCALL */
		{0x80000001, 0, EDX, 20}, /* NX */
		{0x80000001, 0, EDX, 26}, /* 1 GiB pages */
		{0x80000001, 0, EDX, 27}, /* RDTSCP */
		{0x80000001, 0, EDX, 29}, /* long mode */
		{0x80000021, 0, EAX, 2},  /* LFENCE serialises */
	};
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(passed); i++)
		ck_assert_msg(cpuid_has(&t, passed[i].function, passed[i].index, passed[i].reg,
					passed[i].bit),
			      "%x.%u reg %u bit %u", passed[i].function, passed[i].index,
			      passed[i].reg, passed[i].bit);
}
END_TEST

/* Of a host that has everything guests get these features and no others: a bit more is a decision. */
START_TEST(test_offered_and_no_more)
{
	static const struct {
		u32 function, index;
		struct cpuid_leaf leaf;
	} offered[] = {
		/* EBX: CLFLUSH's size */
		{0x1, 0, {0xffffffff, 0x0000ff00, 0xf7fa3203, 0x0f8bfbff}},
		{0x4, 1, {0x00000122, 0x01c0003f, 0x0000003f, 0}},
		{0x6, 0, {0x00000004, 0, 0, 0}},
		{0x7, 0, {0x00000001, 0xfdbf27ab, 0x1a405f47, 0x0080451c}},
		{0x7, 1, {0x00001c30, 0, 0, 0}},
		{0xd, 1, {0x00000007, 0x00000240, 0, 0}}, /* EBX: size, computed */
		{0x80000001, 0, {0xffffffff, 0xffffffff, 0x006109f1, 0xefd3fbff}},
		{0x80000007, 0, {0, 0, 0, 0x00000100}},
		{0x80000008, 0, {0x00003030, 0x24000005, 0, 0}},
		{0x8000001a, 0, {0xffffffff, 0, 0, 0}},
		{0x8000001d, 2, {0x00000123, 0x01c0003f, 0x0000003f, 0}},
		{0x8000001e, 0, {0, 0, 0, 0}},
		{0x80000021, 0, {0x00000e47, 0, 0, 0}},
	};
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(offered); i++) {
		struct cpuid_leaf got = ask(&t, offered[i].function, offered[i].index);
		const struct cpuid_leaf *want = &offered[i].leaf;

		ck_assert_msg(!memcmp(&got, want, sizeof(got)),
			      "%x.%u: %08x %08x %08x %08x instead of %08x %08x %08x %08x",
			      offered[i].function, offered[i].index, got.eax, got.ebx, got.ecx,
			      got.edx, want->eax, want->ebx, want->ecx, want->edx);
	}
}
END_TEST

/* What the module makes itself is there on a host that has nothing, and nothing else is. */
START_TEST(test_synthesised)
{
	struct hv_cpuid_table t;

	build(&t, read_poor, 0);
	ck_assert_uint_eq(ask(&t, 0, 0).eax, 0xd);
	ck_assert_uint_eq(ask(&t, 1, 0).ecx, 1U << 21 | 1U << 24 | 1U << 31);
	ck_assert_uint_eq(ask(&t, 1, 0).edx, 1U << 9);
	ck_assert_uint_eq(ask(&t, 6, 0).eax, 1U << 2);
	ck_assert_uint_eq(ask(&t, 7, 0).ebx, 1U << 1);
	ck_assert(!(ask(&t, 7, 0).eax | ask(&t, 7, 0).ecx | ask(&t, 7, 0).edx));
	/* What the host answers beyond its last leaf is no list of caches. */
	ck_assert(all_zero(ask(&t, 4, 0)));
	ck_assert(all_zero(ask(&t, 0x8000001d, 0)));
	ck_assert_uint_eq(ask(&t, 0xb, 0).ecx, 0x100);
	ck_assert_uint_eq(ask(&t, 0xb, 1).ecx, 0x201);
	ck_assert(all_zero(ask(&t, 0xd, 0)));
	ck_assert(all_zero(ask(&t, 0x80000000, 0)));

	struct cpuid_leaf r = ask(&t, 0x40000000, 0);

	ck_assert_uint_eq(r.eax, 0x40000010);
	ck_assert_mem_eq(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	ck_assert_uint_eq(ask(&t, 0x40000001, 0).eax, 1U << 1 | 1U << 3 | 1U << 24);
	ck_assert_uint_eq(ask(&t, 0x40000010, 0).eax, 2500000);
	ck_assert_uint_eq(ask(&t, 0x40000010, 0).ebx, 1000000);
}
END_TEST

/* No vector feature without the state it needs. */
START_TEST(test_xcr0_gates)
{
	struct hv_cpuid_table t;

	build(&t, read_greedy, 0x3);
	ck_assert(cpuid_has(&t, 1, 0, ECX, 26));
	ck_assert(!cpuid_has(&t, 1, 0, ECX, 28));
	ck_assert(!cpuid_has(&t, 1, 0, ECX, 12));
	ck_assert(!cpuid_has(&t, 7, 0, EBX, 5));
	ck_assert(!cpuid_has(&t, 7, 0, ECX, 3));
	ck_assert_uint_eq(ask(&t, 0xd, 0).ecx, 576);
	ck_assert(all_zero(ask(&t, 0xd, 2)));

	build(&t, read_greedy, XCR0_AVX);
	ck_assert(cpuid_has(&t, 7, 0, EBX, 5));
	ck_assert(!cpuid_has(&t, 7, 0, EBX, 16));
	ck_assert_uint_eq(ask(&t, 0xd, 0).eax, XCR0_AVX);
	ck_assert_uint_eq(ask(&t, 0xd, 0).ecx, 832);
	ck_assert_uint_eq(ask(&t, 0xd, 2).ebx, 576);

	build(&t, read_greedy, XCR0_AVX512);
	ck_assert(cpuid_has(&t, 7, 0, EBX, 16));
	ck_assert_uint_eq(ask(&t, 0xd, 0).ecx, 2688);
	build(&t, read_greedy, XCR0_ALL);
	ck_assert_uint_eq(ask(&t, 0xd, 0).ecx, 2696);
	/* AMX is the host's and not offered. */
	ck_assert(all_zero(ask(&t, 0xd, 18)));

	build(&t, read_greedy, 0);
	ck_assert(!cpuid_has(&t, 1, 0, ECX, 26));
}
END_TEST

/* What has nothing to do with XSAVE is there without it, too. */
START_TEST(test_without_xsave)
{
	static const struct {
		u32 function, indices;
	} leaf[] = {
		{0x2, 1},	 {0x4, 4},	  {0x80000002, 1}, {0x80000003, 1}, {0x80000004, 1},
		{0x80000005, 1}, {0x80000006, 1}, {0x80000008, 1}, {0x80000019, 1}, {0x8000001d, 4},
	};
	struct hv_cpuid_table without, with;

	build(&without, read_greedy, 0);
	build(&with, read_greedy, XCR0_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(leaf); i++) {
		for (u32 index = 0; index < leaf[i].indices; index++) {
			struct cpuid_leaf a = ask(&without, leaf[i].function, index);
			struct cpuid_leaf b = ask(&with, leaf[i].function, index);

			ck_assert_mem_eq(&a, &b, sizeof(a));
			ck_assert(!all_zero(a));
		}
	}
}
END_TEST

START_TEST(test_table_is_sorted)
{
	struct hv_cpuid_table t, sorted;

	build(&t, read_greedy, XCR0_ALL);
	ck_assert_uint_lt(t.count, HV_MAX_CPUID);
	sorted = t;
	ck_assert_int_eq(cpuid_normalise(&sorted), 0);
	ck_assert_mem_eq(&sorted, &t, sizeof(t));
	/* Nothing about the host's own topology */
	ck_assert_uint_eq(entry(&t, 1, 0)->ebx >> 16, 0);
	ck_assert_uint_eq(entry(&t, 4, 3)->eax, 0x124);
	ck_assert_uint_eq(entry(&t, 0x8000001d, 0)->eax, 0x121);
	ck_assert_uint_eq(entry(&t, 0x80000008, 0)->ecx, 0);
}
END_TEST

/* A host that never says its list of caches ends must not fill the table. */
static void read_endless(u32 function, u32 index, struct cpuid_leaf *out)
{
	read_greedy(function, index, out);
	if (function == 4 || function == 0x8000001d)
		memset(out, 0xff, sizeof(*out));
	if (function == 0xd && index > 1)
		*out = (struct cpuid_leaf){.eax = 64, .ebx = 576 + 64 * index};
}

START_TEST(test_endless)
{
	struct hv_cpuid_table t;

	build(&t, read_endless, ~0ULL);
	ck_assert_uint_le(t.count, HV_MAX_CPUID);
	ck_assert_int_eq(cpuid_normalise(&t), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Users' tables                                                              */

/* A leaf depends on its index, or it does not. */
START_TEST(test_normalise_mixed)
{
	const struct hv_cpuid_entry one = {.function = 7, .index = 1, .flags = HV_CPUID_INDEXED};
	struct hv_cpuid_table t = {.count = 2, .e = {{.function = 7}, one}};

	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t = (struct hv_cpuid_table){.count = 2, .e = {one, {.function = 7}}};
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
}
END_TEST

START_TEST(test_normalise)
{
	struct hv_cpuid_table t = {.count = 4};

	t.e[0] = (struct hv_cpuid_entry){.function = 7, .index = 1, .flags = HV_CPUID_INDEXED};
	t.e[1] = (struct hv_cpuid_entry){.function = 0x80000001, .index = 9, .eax = 3};
	t.e[2] = (struct hv_cpuid_entry){.function = 7, .flags = HV_CPUID_INDEXED, .eax = 2};
	t.e[3] = (struct hv_cpuid_entry){.function = 1, .eax = 1};
	ck_assert_int_eq(cpuid_normalise(&t), 0);
	ck_assert_uint_eq(t.e[0].function, 1);
	ck_assert_uint_eq(t.e[1].index, 0);
	ck_assert_uint_eq(t.e[2].index, 1);
	ck_assert_uint_eq(t.e[3].function, 0x80000001);
	/* The index of a leaf that has none is noise. */
	ck_assert_uint_eq(t.e[3].index, 0);
	ck_assert_uint_eq(ask(&t, 7, 0).eax, 2);
	ck_assert_uint_eq(ask(&t, 0x80000001, 77).eax, 3);
}
END_TEST

START_TEST(test_normalise_refuses)
{
	struct hv_cpuid_table t = {.count = 2};

	t.e[0] = (struct hv_cpuid_entry){.function = 7, .flags = HV_CPUID_INDEXED};
	t.e[1] = t.e[0];
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t.e[1].index = 1;
	ck_assert_int_eq(cpuid_normalise(&t), 0);
	t.e[1].flags = 0;
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);

	t = (struct hv_cpuid_table){.count = 1};
	t.e[0].flags = 2;
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t.e[0].flags = 0;
	t.e[0].pad = 1;
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t = (struct hv_cpuid_table){.count = HV_MAX_CPUID + 1};
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t.count = ~0U;
	ck_assert_int_eq(cpuid_normalise(&t), -EINVAL);
	t.count = 0;
	ck_assert_int_eq(cpuid_normalise(&t), 0);
}
END_TEST

/* Fields that a user may fill in at will, besides those of whole leaves in owned_leaf() */
static u32 owned_bits(u32 function, u32 index, unsigned int reg)
{
	switch (function) {
	case 1:
		return reg == EAX ? ~0U : reg == EBX ? 0xffff00ff : reg == EDX ? 1U << 28 : 0;
	case 0xd:
		return reg == EBX && index < 2 ? ~0U : 0;
	case 0x80000001:
		return reg == EAX || reg == EBX ? ~0U : reg == ECX ? 2 : 0;
	case 0x80000008:
		return reg == ECX ? ~0U : 0;
	case 0x80000019:
		return reg == EAX || reg == EBX ? ~0U : 0;
	case 0x8000001e:
		return reg == EDX ? 0 : ~0U;
	case 2:
	case 4:
	case 0xb:
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
	case 0x80000005:
	case 0x80000006:
	case 0x8000001d:
		return ~0U;
	default:
		return 0;
	}
}

/* Every bit of every entry: setting one that is not offered is refused unless it is owned. */
START_TEST(test_check_each_bit)
{
	struct hv_cpuid_table t, user;

	if (_i)
		build(&t, read_poor, 0);
	else
		build(&t, read_greedy, XCR0_AVX);
	ck_assert_int_eq(cpuid_check(&t, &t), 0);
	user = t;
	for (u32 i = 0; i < t.count; i++) {
		struct hv_cpuid_entry *e = &user.e[i];

		for (unsigned int reg = 0; reg < 4; reg++) {
			u32 owned = owned_bits(e->function, e->index, reg), *r = reg_of(e, reg);
			u32 before = *r;

			for (unsigned int bit = 0; bit < 32; bit++) {
				if (before >> bit & 1)
					continue;
				*r = before | 1U << bit;
				ck_assert_msg(
					cpuid_check(&t, &user) == (owned >> bit & 1 ? 0 : -EINVAL),
					"%x.%u reg %u bit %u", e->function, e->index, reg, bit);
			}
			*r = before;
		}
	}
	ck_assert_int_eq(cpuid_check(&t, &user), 0);
}
END_TEST

START_TEST(test_check_features)
{
	struct hv_cpuid_table t, user;

	build(&t, read_greedy, XCR0_AVX);
	user = t;
	/* Features may go, limits fall. */
	entry(&user, 1, 0)->ecx = 0;
	entry(&user, 7, 0)->ebx = 0;
	entry(&user, 0x80000001, 0)->edx = 0;
	entry(&user, 0, 0)->eax = 7;
	entry(&user, 0xd, 0)->eax = 3;
	entry(&user, 0xd, 0)->ecx = 576;
	entry(&user, 0x80000008, 0)->eax = 0x3028;
	entry(&user, 0x40000001, 0)->eax = 0;
	ck_assert_int_eq(cpuid_check(&t, &user), 0);
	/* Not the maker, the lines' size, the layout of XSAVE, the clock's frequency */
	user = t;
	entry(&user, 0, 0)->ebx = 0;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
	user = t;
	entry(&user, 1, 0)->ebx &= ~0x100U;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
	user = t;
	entry(&user, 0xd, 2)->eax = 128;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
	user = t;
	entry(&user, 0x40000010, 0)->eax--;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
	user = t;
	entry(&user, 0x40000000, 0)->ebx = 0;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
	/* A width that is larger in one byte and smaller in another */
	user = t;
	entry(&user, 0x80000008, 0)->eax = 0x2f31;
	ck_assert_int_eq(cpuid_check(&t, &user), -EINVAL);
}
END_TEST

static int check_one(const struct hv_cpuid_table *t, struct hv_cpuid_entry e)
{
	struct hv_cpuid_table user = {.count = 1, .e[0] = e};

	ck_assert_int_eq(cpuid_normalise(&user), 0);
	return cpuid_check(t, &user);
}

START_TEST(test_check_leaves)
{
	const u32 i = HV_CPUID_INDEXED;
	struct hv_cpuid_table t, none = {0};

	build(&t, read_greedy, XCR0_AVX);
	ck_assert_int_eq(cpuid_check(&t, &none), 0);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 0x14}), -EINVAL);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 0x40000100}), -EINVAL);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 0x8000000a}), -EINVAL);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = ~0U}), -EINVAL);
	/* With an index exactly where the leaf has one */
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 7}), -EINVAL);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 7, .flags = i}), 0);
	ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 1, .flags = i}),
			 -EINVAL);
	ck_assert_int_eq(
		check_one(&t, (struct hv_cpuid_entry){.function = 7, .index = 2, .flags = i}),
		-EINVAL);
	/* More caches than the host has are the user's affair, more XSAVE state is not. */
	ck_assert_int_eq(check_one(&t,
				   (struct hv_cpuid_entry){
					   .function = 4, .index = 6, .flags = i, .eax = ~0U}),
			 0);
	ck_assert_int_eq(check_one(&t,
				   (struct hv_cpuid_entry){
					   .function = 0xd, .index = 9, .flags = i, .eax = 8}),
			 -EINVAL);
	/* An index is compared whole, not its low byte. */
	for (u32 index = 0xff; index < 0x20000; index = index * 2 + 1) {
		ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 7,
								       .index = index,
								       .flags = i}),
				 -EINVAL);
		ck_assert_int_eq(check_one(&t, (struct hv_cpuid_entry){.function = 0xd,
								       .index = index + 1,
								       .flags = i,
								       .eax = 1}),
				 -EINVAL);
	}
}
END_TEST

START_TEST(test_apic_id)
{
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_AVX);
	/* 8 ids in a package, two threads in a core */
	entry(&t, 0x80000008, 0)->ecx = 3 << 12 | 7;
	entry(&t, 0x8000001e, 0)->ebx = 0x100;
	cpuid_set_apic_id(&t, 0x2d);
	ck_assert_uint_eq(ask(&t, 1, 0).ebx >> 24, 0x2d);
	ck_assert_uint_eq(ask(&t, 1, 0).ebx >> 8 & 0xff, 0xff);
	for (u32 level = 0; level < 5; level++) {
		ck_assert_uint_eq(ask(&t, 0xb, level).edx, 0x2d);
		ck_assert_uint_eq(ask(&t, 0xb, level).ecx & 0xff, level);
	}
	ck_assert_uint_eq(ask(&t, 0x8000001e, 0).eax, 0x2d);
	ck_assert_uint_eq(ask(&t, 0x8000001e, 0).ebx, 0x102);

	struct hv_cpuid_table none = {0};

	cpuid_set_apic_id(&none, 1);
	ck_assert_uint_eq(none.count, 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Questions                                                                  */

START_TEST(test_dynamic)
{
	struct cpuid_dynamic dyn = plain;
	struct cpuid_leaf r;
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_ALL);
	ck_assert(!(ask(&t, 1, 0).ecx & 1U << 27));
	ck_assert(ask(&t, 1, 0).edx & 1U << 9);
	ck_assert(ask(&t, 0x80000001, 0).edx & 1U << 9);

	dyn.cr4 = 1ULL << 18;
	dyn.apic_enabled = false;
	cpuid_query(&t, &dyn, 1, 0, &r);
	ck_assert(r.ecx & 1U << 27);
	ck_assert(!(r.edx & 1U << 9));
	cpuid_query(&t, &dyn, 7, 1, &r);
	ck_assert_uint_eq(r.ecx, 0);
	cpuid_query(&t, &dyn, 0x80000001, 0, &r);
	ck_assert(!(r.edx & 1U << 9));
}
END_TEST

START_TEST(test_xsave_sizes)
{
	static const struct {
		u64 xcr0;
		u32 standard, compacted;
	} size[] = {
		{0x1, 576, 576},     {0x3, 576, 576},
		{0x7, 832, 832},     {0xe7, 2688, 576 + 256 + 64 + 512 + 1024},
		{0x203, 2696, 584},  {0x2e7, 2696, 2440},
		{~0ULL, 2696, 2440},
	};
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(size); i++) {
		struct cpuid_dynamic dyn = {.xcr0 = size[i].xcr0};
		struct cpuid_leaf r;

		cpuid_query(&t, &dyn, 0xd, 0, &r);
		ck_assert_uint_eq(r.ebx, size[i].standard);
		ck_assert_uint_eq(r.ecx, 2696);
		cpuid_query(&t, &dyn, 0xd, 1, &r);
		ck_assert_uint_eq(r.ebx, size[i].compacted);
	}
	/* Without XSAVEC there is no compacted format to tell the size of. */
	entry(&t, 0xd, 1)->eax = 1;
	ck_assert_uint_eq(ask(&t, 0xd, 1).ebx, 0);
}
END_TEST

/* A component that must begin at a multiple of 64 bytes */
static void read_aligned(u32 function, u32 index, struct cpuid_leaf *out)
{
	read_greedy(function, index, out);
	if (function == 0xd && index == 9)
		out->ecx = 2;
	if (function == 0xd && index == 2)
		out->eax = 200;
}

START_TEST(test_xsave_alignment)
{
	struct cpuid_dynamic dyn = {.xcr0 = 0x207};
	struct cpuid_leaf r;
	struct hv_cpuid_table t;

	build(&t, read_aligned, XCR0_ALL);
	cpuid_query(&t, &dyn, 0xd, 1, &r);
	ck_assert_uint_eq(r.ebx, 832 + 8);
}
END_TEST

START_TEST(test_out_of_range_amd)
{
	static const u32 functions[] = {0xe,	    0x1f,	0x3f,	    0x40,	0x7fffffff,
					0x40000002, 0x40000100, 0x4fffffff, 0x80000022, 0x8000003f,
					0x80000040, 0x8fffffff, 0xc0000000, 0xffffffff};
	struct hv_cpuid_table t;

	build(&t, read_greedy, XCR0_AVX);
	for (unsigned int i = 0; i < ARRAY_SIZE(functions); i++)
		ck_assert_msg(all_zero(ask(&t, functions[i], 0)), "%x", functions[i]);
	ck_assert(all_zero(ask(&t, 7, 2)));
	ck_assert(all_zero(ask(&t, 7, ~0U)));
	ck_assert(all_zero(ask(&t, 0xd, 63)));
}
END_TEST

START_TEST(test_out_of_range_intel)
{
	static const u32 functions[] = {0xe, 0x40, 0x3fffffff, 0x80000009, 0x80000022, 0xffffffff};
	struct hv_cpuid_table t;

	build(&t, read_intel, XCR0_AVX);
	for (unsigned int i = 0; i < ARRAY_SIZE(functions); i++) {
		for (u32 index = 0; index < 4; index++) {
			struct cpuid_leaf r = ask(&t, functions[i], index);
			struct cpuid_leaf d = ask(&t, 0xd, index);

			ck_assert_msg(!memcmp(&r, &d, sizeof(r)), "%x.%u", functions[i], index);
		}
	}
	/* Within the range, an absent leaf is zero, and so are the hypervisors' leaves. */
	ck_assert(all_zero(ask(&t, 0x5, 0)));
	ck_assert(all_zero(ask(&t, 0xa, 0)));
	ck_assert(all_zero(ask(&t, 0x40000002, 0)));
	ck_assert(all_zero(ask(&t, 0x40000100, 0)));
	ck_assert_uint_eq(ask(&t, 0x80000008, 0).eax, 0x302e);

	entry(&t, 0x80000000, 0)->eax = 0x80000010;
	ck_assert(all_zero(ask(&t, 0x80000010, 0)));

	/* The highest leaf need not exist, and may be any. */
	entry(&t, 0, 0)->eax = 0xc;
	ck_assert(all_zero(ask(&t, 0x20, 0)));
	entry(&t, 0, 0)->eax = 0x20;
	ck_assert(all_zero(ask(&t, 0x20, 0)));
	ck_assert(all_zero(ask(&t, 0x21, 0)));
}
END_TEST

START_TEST(test_empty)
{
	struct hv_cpuid_table t = {0};

	ck_assert(all_zero(ask(&t, 0, 0)));
	ck_assert(all_zero(ask(&t, 0xb, 3)));
	ck_assert(all_zero(ask(&t, 0x80000000, 0)));
	ck_assert(all_zero(ask(&t, ~0U, ~0U)));
	ck_assert(!cpuid_has(&t, 1, 0, ECX, 31));
	build(&t, read_greedy, XCR0_ALL);
	ck_assert(!cpuid_has(&t, 1, 0, 4, 0));
	ck_assert(!cpuid_has(&t, 1, 0, ECX, 32));
}
END_TEST

/* The quick way and the search agree with a plain look through the table. */
START_TEST(test_every_entry)
{
	struct hv_cpuid_table t;

	build(&t, read_intel, XCR0_ALL);
	/* Full to the last place, and with functions beyond the direct ones */
	for (u32 n = 0; t.count < HV_MAX_CPUID; n++)
		t.e[t.count++] = (struct hv_cpuid_entry){.function = 0x9000 + n, .eax = n + 1};
	ck_assert_int_eq(cpuid_normalise(&t), 0);
	for (u32 i = 0; i < t.count; i++) {
		struct cpuid_leaf r = ask(&t, t.e[i].function, t.e[i].index);

		ck_assert_uint_eq(r.eax, t.e[i].eax);
		ck_assert_uint_eq(r.edx, t.e[i].edx);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cpuid");
	TCase *tc = tcase_create("offered");

	tcase_add_test(tc, test_hidden);
	tcase_add_test(tc, test_passed);
	tcase_add_test(tc, test_offered_and_no_more);
	tcase_add_test(tc, test_synthesised);
	tcase_add_test(tc, test_xcr0_gates);
	tcase_add_test(tc, test_without_xsave);
	tcase_add_test(tc, test_table_is_sorted);
	tcase_add_test(tc, test_endless);
	suite_add_tcase(s, tc);

	tc = tcase_create("user's table");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_normalise);
	tcase_add_test(tc, test_normalise_mixed);
	tcase_add_test(tc, test_normalise_refuses);
	tcase_add_loop_test(tc, test_check_each_bit, 0, 2);
	tcase_add_test(tc, test_check_features);
	tcase_add_test(tc, test_check_leaves);
	tcase_add_test(tc, test_apic_id);
	suite_add_tcase(s, tc);

	tc = tcase_create("questions");
	tcase_add_test(tc, test_dynamic);
	tcase_add_test(tc, test_xsave_sizes);
	tcase_add_test(tc, test_xsave_alignment);
	tcase_add_test(tc, test_out_of_range_amd);
	tcase_add_test(tc, test_out_of_range_intel);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_every_entry);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
