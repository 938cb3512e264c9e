// SPDX-License-Identifier: GPL-2.0-or-later
/* The sentences about a vCPU that cannot go on (vmm/machine/crash.c), and who is to blame. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "machine/crash.h"
#include "suite.h"

static char text[480];

static bool explain(uint32_t code, uint64_t reason, uint64_t info0, uint64_t info1)
{
	const union hv_exit exit = {
		.error = {.code = code, .hw_reason = reason, .hw_info = {info0, info1}}};

	return crash_explain(&exit, text, sizeof(text));
}

static void says(const char *words)
{
	ck_assert_msg(strstr(text, words) != NULL, "%s", text);
}

START_TEST(refused_state)
{
	ck_assert(!explain(HV_ERROR_ENTRY, ~0ULL, 0x80000011, 0x6f0));
	says("refused");
	says("0xffffffffffffffff, 0x80000011, 0x6f0");
}
END_TEST

/* VT-x: the module has found out which field it was. */
START_TEST(refused_field)
{
	ck_assert(!explain(HV_ERROR_ENTRY, 0x80000021, 0x4816, 0x93));
	says("access rights of CS is 0x93 (VMCS field 0x4816)");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x6818, 1);
	says("base of IDTR is 0x1");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x080e, 4);
	says("selector of TR is 0x4");
	/* The first and the last of each row, and what is in none */
	explain(HV_ERROR_ENTRY, 0x80000021, 0x0800, 4);
	says("selector of ES is 0x4");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x0810, 4);
	says("field 0x810");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x4800, 5);
	says("limit of ES is 0x5");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x4824, 5);
	says("field 0x4824");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x280c, 5);
	says("PDPTE1 is 0x5");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x6820, 2);
	says("RFLAGS is 0x2");
	explain(HV_ERROR_ENTRY, 0x80000021, 0x1234, 2);
	says("field 0x1234");
	/* Not found out: the numbers. */
	explain(HV_ERROR_ENTRY, 0x80000021, 0, 0);
	says("hardware exit 0x80000021");
}
END_TEST

START_TEST(unknown_exit)
{
	ck_assert(explain(HV_ERROR_EXIT, 0x401, 2, 3));
	says("does not know");
	says("0x401, 0x2, 0x3");
	ck_assert(!explain(77, 1, 2, 3));
	says("error 77");
}
END_TEST

START_TEST(no_memory_there)
{
	ck_assert(!explain(HV_ERROR_FETCH, HV_FAULT_FETCH, 0xd0000000, 0x1234));
	says("fetched from address 0xd0000000");
	ck_assert(!explain(HV_ERROR_FETCH, HV_FAULT_WALK | HV_FAULT_WRITE, 0xd0001000, 0));
	says("page tables were looked for at address 0xd0001000");
	ck_assert(!explain(HV_ERROR_FETCH, HV_FAULT_EVENT | HV_FAULT_WRITE, 0xfffffff0, 0));
	says("delivered through address 0xfffffff0");
	ck_assert(!explain(HV_ERROR_FETCH, 0, ~0ULL, 0x1234));
	says("not in memory");
	says("0x1234");
}
END_TEST

/* What the guest did was right, so it did not crash. */
START_TEST(host_memory_is_gone)
{
	ck_assert(explain(HV_ERROR_MEMORY, HV_FAULT_WRITE, 0x200000, 0));
	says("0x200000");
	says("written");
	says("host");
	ck_assert(explain(HV_ERROR_MEMORY, 0, 0x200000, 0));
	says("read");
}
END_TEST

START_TEST(registers)
{
	struct hv_run run = {0};

	run.sregs.cs.selector = 0x10;
	run.gprs.rip = 0xffffffff81000000;
	run.gprs.r[HV_RSP] = 0xffffc90000013f00;
	run.sregs.cr2 = 0xdead000;
	crash_registers(&run, text, sizeof(text));
	says("cs:rip 0x10:0xffffffff81000000");
	says("rsp 0xffffc90000013f00");
	says("cr2 0xdead000");
}
END_TEST

START_TEST(segments)
{
	struct hv_sregs s;
	char small[16];

	/* The widest values fit where vcpu.c puts them. */
	memset(&s, 0xff, sizeof(s));
	crash_segments(&s, text, 400);
	says("ldt ffff:ffffffffffffffff+ffffffff/ffffffff");
	memset(&s, 0, sizeof(s));
	s.tr.selector = 0x40;
	s.tr.ar = 0x8b;
	crash_segments(&s, text, sizeof(text));
	says("tr 40:0+0/8b");
	crash_segments(&s, small, sizeof(small));
	ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash");
	TCase *tc = tcase_create("crash");

	tcase_add_test(tc, refused_state);
	tcase_add_test(tc, refused_field);
	tcase_add_test(tc, unknown_exit);
	tcase_add_test(tc, no_memory_there);
	tcase_add_test(tc, host_memory_is_gone);
	tcase_add_test(tc, registers);
	tcase_add_test(tc, segments);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
