// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/machine/topology.c: N vCPUs look like one package of N cores. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "machine/topology.h"
#include "suite.h"

#define AMD_EBX	  0x68747541
#define INTEL_EBX 0x756e6547

enum {
	LEAF0,
	LEAF1,
	L1D,
	L3,
	NO_CACHE,
	THREADS,
	CORES,
	END,
	F1,
	F8,
	F1D,
	F1E,
	LEAF7,
	NR
};

/* All bits set, so that a field that is forgotten, or one too many, shows. */
static struct hv_cpuid_entry table[NR];

static void make(unsigned int maker)
{
	static const struct hv_cpuid_entry fresh[NR] = {
		[LEAF0] = {.function = 0},
		[LEAF1] = {.function = 1, .ebx = ~0U, .edx = ~0U, .ecx = ~0U},
		[L1D] = {.function = 4, .index = 0, .flags = 1, .eax = 0xffffc021},
		[L3] = {.function = 4, .index = 1, .flags = 1, .eax = 0xffffc063},
		[NO_CACHE] = {.function = 4, .index = 2, .flags = 1},
		[THREADS] = {.function = 0xb, .index = 0, .flags = 1, .ebx = 1, .ecx = 0x100},
		[CORES] = {.function = 0xb, .index = 1, .flags = 1, .ebx = 1, .ecx = 0x201},
		[END] = {.function = 0xb, .index = 2, .flags = 1, .ecx = 2},
		[F1] = {.function = 0x80000001, .ecx = ~0U, .edx = 0x1234},
		[F8] = {.function = 0x80000008, .eax = 0x3030, .ecx = ~0U},
		[F1D] = {.function = 0x8000001d, .index = 3, .flags = 1, .eax = 0xffffc163},
		[F1E] = {.function = 0x8000001e, .eax = ~0U, .ebx = ~0U, .ecx = ~0U},
		[LEAF7] = {.function = 7, .ebx = 0xabcd},
	};

	memcpy(table, fresh, sizeof(table));
	table[LEAF0].ebx = maker;
}

START_TEST(test_amd)
{
	make(AMD_EBX);
	topology_apply(table, NR, 6, 5);
	ck_assert_uint_eq(table[LEAF1].ebx, 0x0506ffff);
	ck_assert_uint_eq(table[LEAF1].edx, ~0U);
	ck_assert_uint_eq(table[LEAF1].ecx, ~0U);
	ck_assert_uint_eq(table[F1].ecx, ~0U);
	ck_assert_uint_eq(table[F1].edx, 0x1234);
	/* Six cores, three bits of APIC id */
	ck_assert_uint_eq(table[F8].ecx, 0xffff3f05);
	ck_assert_uint_eq(table[F8].eax, 0x3030);
	/* The third level is shared by all eight ids, the first by nobody. */
	ck_assert_uint_eq(table[F1D].eax, 0xfc000163 | 7 << 14);
	ck_assert_uint_eq(table[F1E].eax, 5);
	ck_assert_uint_eq(table[F1E].ebx, 5);
	ck_assert_uint_eq(table[F1E].ecx, 0);
	ck_assert_uint_eq(table[LEAF7].ebx, 0xabcd);
	/* The second is not shared, either; and where there is no cache, none appears. */
	table[F1D].eax = 0xffffc143;
	topology_apply(table, NR, 6, 5);
	ck_assert_uint_eq(table[F1D].eax, 0xfc000143);
	table[F1D].eax = 0x60;
	topology_apply(table, NR, 6, 5);
	ck_assert_uint_eq(table[F1D].eax, 0x60);
}
END_TEST

/* The maker's leaf need not be the first. */
START_TEST(test_any_order)
{
	struct hv_cpuid_entry first;

	make(INTEL_EBX);
	first = table[LEAF0];
	table[LEAF0] = table[LEAF7];
	table[LEAF7] = first;
	topology_apply(table, NR, 4, 3);
	ck_assert_uint_eq(table[L3].eax, 3U << 26 | 3 << 14 | 0x63);
	ck_assert_uint_eq(table[F8].ecx, ~0U);
}
END_TEST

START_TEST(test_levels)
{
	make(AMD_EBX);
	topology_apply(table, NR, 6, 5);
	ck_assert_uint_eq(table[THREADS].eax, 0);
	ck_assert_uint_eq(table[THREADS].ebx, 1);
	ck_assert_uint_eq(table[THREADS].edx, 5);
	ck_assert_uint_eq(table[CORES].eax, 3);
	ck_assert_uint_eq(table[CORES].ebx, 6);
	ck_assert_uint_eq(table[CORES].edx, 5);
	ck_assert_uint_eq(table[END].eax, 0);
	ck_assert_uint_eq(table[END].ebx, 0);
	ck_assert_uint_eq(table[END].edx, 5);
}
END_TEST

START_TEST(test_intel)
{
	make(INTEL_EBX);
	topology_apply(table, NR, 4, 3);
	ck_assert_uint_eq(table[LEAF1].ebx, 0x0304ffff);
	ck_assert_uint_eq(table[L1D].eax, 3U << 26 | 0x21);
	ck_assert_uint_eq(table[L3].eax, 3U << 26 | 3 << 14 | 0x63);
	ck_assert_uint_eq(table[NO_CACHE].eax, 0);
	/* AMD's leaves are not Intel's. */
	ck_assert_uint_eq(table[F1].ecx, ~0U);
	ck_assert_uint_eq(table[F8].ecx, ~0U);
	ck_assert_uint_eq(table[F1E].eax, ~0U);
}
END_TEST

START_TEST(test_one_processor)
{
	make(AMD_EBX);
	topology_apply(table, NR, 1, 0);
	ck_assert_uint_eq(table[LEAF1].ebx, 0x0001ffff);
	ck_assert_uint_eq(table[LEAF1].edx, ~(1U << 28));
	ck_assert_uint_eq(table[F1].ecx, ~2U);
	ck_assert_uint_eq(table[CORES].eax, 0);
	ck_assert_uint_eq(table[CORES].ebx, 1);
	ck_assert_uint_eq(table[F8].ecx, 0xffff0f00);
	ck_assert_uint_eq(table[F1D].eax, 0xfc000163);
}
END_TEST

START_TEST(test_apply_again_for_the_next)
{
	struct hv_cpuid_entry once[NR];

	make(AMD_EBX);
	topology_apply(table, NR, 64, 63);
	memcpy(once, table, sizeof(once));
	make(AMD_EBX);
	for (unsigned int id = 0; id < 64; id++)
		topology_apply(table, NR, 64, id);
	ck_assert_mem_eq(table, once, sizeof(once));
	ck_assert_uint_eq(table[CORES].eax, 6);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topology");
	TCase *tc = tcase_create("topology");

	tcase_add_test(tc, test_amd);
	tcase_add_test(tc, test_levels);
	tcase_add_test(tc, test_intel);
	tcase_add_test(tc, test_any_order);
	tcase_add_test(tc, test_one_processor);
	tcase_add_test(tc, test_apply_again_for_the_next);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
