// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/lapic.c: the timer's arithmetic, save and load, and noise.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/lapic.h"
#include "lapic_util.h"
#include "suite.h"

/* ------------------------------------------------------------------------- */
/* Timer                                                                      */

START_TEST(test_timer_divide)
{
	static const u8 config[] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};
	struct lapic l = make(0, false);

	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 1000);
	for (unsigned int i = 0; i < ARRAY_SIZE(config); i++) {
		lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, config[i]);
		ck_assert_uint_eq(lapic_timer_period_ns(&l), 1000U << i);
	}
	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 0xffffffff);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 0xffffffffULL * 128);
}
END_TEST

START_TEST(test_timer_oneshot)
{
	struct lapic l = make(0, false);
	u64 value;

	lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, 0x3); /* 16 */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 100), LAPIC_DO_TIMER);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 1600);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_CURRENT), 100);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 15, &value);
	ck_assert_uint_eq(value, 100);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 16, &value);
	ck_assert_uint_eq(value, 99);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 1599, &value);
	ck_assert_uint_eq(value, 1);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 1600, &value);
	ck_assert_uint_eq(value, 0);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, ~0ULL >> 1, &value);
	ck_assert_uint_eq(value, 0);
	/* A clock that is behind */
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW - 5, &value);
	ck_assert_uint_eq(value, 100);

	/* It runs out once. */
	ck_assert(!lapic_timer_expire(&l, NOW + 1599));
	ck_assert(lapic_timer_expire(&l, NOW + 1600));
	ck_assert(!lapic_timer_expire(&l, NOW + 5000));
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_CURRENT), 0);

	/* The divisor decides at once, but only if it changes and something runs. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, 0xb), 0);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 100), LAPIC_DO_TIMER);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, 0xb), 0);
	/* What is left of the count is left of it still. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW + 60, 0x3), LAPIC_DO_TIMER);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 60, &value);
	ck_assert_uint_eq(value, 40);
	ck_assert(!lapic_timer_expire(&l, NOW + 60 + 639));
	ck_assert(lapic_timer_expire(&l, NOW + 60 + 640));
	/* Zero stops it. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 0), LAPIC_DO_TIMER);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 0);
	ck_assert(!lapic_timer_expire(&l, NOW + SEC));
}
END_TEST

START_TEST(test_timer_periodic)
{
	struct lapic l = make(0, false);
	u64 value;

	lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, 0xb);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x20040), LAPIC_DO_TIMER);
	ck_assert_int_eq(lapic_timer_mode(&l), APIC_TIMER_PERIODIC);
	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 1000000);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 1000000);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 5 * 1000000 + 400000, &value);
	ck_assert_uint_eq(value, 600000);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 7 * 1000000, &value);
	ck_assert_uint_eq(value, 1000000);

	/* Late, it fires once, and keeps its beat. */
	ck_assert(!lapic_timer_expire(&l, NOW + 999999));
	ck_assert(lapic_timer_expire(&l, NOW + 7 * 1000000 + 5));
	ck_assert(!lapic_timer_expire(&l, NOW + 8 * 1000000 - 1));
	ck_assert(lapic_timer_expire(&l, NOW + 8 * 1000000));

	/* To one-shot and back: the count goes on, and neither begins one. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW + 8300000, 0x40), LAPIC_DO_TIMER);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 8300000, &value);
	ck_assert_uint_eq(value, 700000);
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW + 8400000, 0x20040);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 8400000, &value);
	ck_assert_uint_eq(value, 600000);
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW + 8500000, 0x40);
	ck_assert(lapic_timer_expire(&l, NOW + 9 * 1000000));
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW + 9100000, 0x20040);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_INIT), 1000000);
	lapic_read(&l, APIC_REG_TIMER_CURRENT, NOW + 9200000, &value);
	ck_assert_uint_eq(value, 0);
	ck_assert(!lapic_timer_expire(&l, NOW + SEC));

	/* A storm is not on offer. */
	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 1);
	ck_assert_uint_ge(lapic_timer_period_ns(&l), 20000);
	ck_assert(!lapic_timer_expire(&l, NOW + 20000 - 1));
	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 0);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 0);
}
END_TEST

/* Only an interrupt that is neither masked nor latched already is worth an interrupt of the host's. */
START_TEST(test_timer_matters)
{
	struct lapic l = make(0, false);

	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 100);
	ck_assert(!lapic_timer_matters(&l));
	/* So the caller must hear of each change of the mask and of the vector. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x40), LAPIC_DO_TIMER);
	ck_assert(lapic_timer_matters(&l));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x40), 0);
	post(&l, 0x40, false);
	ck_assert(!lapic_timer_matters(&l));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x41), LAPIC_DO_TIMER);
	ck_assert(lapic_timer_matters(&l));
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x40);
	lapic_accept(&l, 0x40);
	ck_assert(lapic_timer_matters(&l));
	/* A vector that is none is an error, once. */
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0xf);
	ck_assert(lapic_timer_matters(&l));
	post(&l, 0xf, false);
	ck_assert(!lapic_timer_matters(&l));
	/* Once it was looked at, the next one is one more. */
	ck_assert(lapic_reg_of_timer(APIC_REG_ESR));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_ESR, NOW, 0), LAPIC_DO_TIMER);
	ck_assert(lapic_timer_matters(&l));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_ESR, NOW, 0), 0);
	post(&l, 0xf, false);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x10040), LAPIC_DO_TIMER);
	ck_assert(!lapic_timer_matters(&l));
}
END_TEST

START_TEST(test_timer_deadline)
{
	struct lapic l = make(0, true);

	/* Ignored in the other modes */
	ck_assert_uint_eq(lapic_write_tsc_deadline(&l, 5), 0);
	ck_assert_uint_eq(l.tsc_deadline, 0);

	lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 500);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x40040), LAPIC_DO_TIMER);
	ck_assert_int_eq(lapic_timer_mode(&l), APIC_TIMER_DEADLINE);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_INIT), 0);
	ck_assert_uint_eq(lapic_timer_period_ns(&l), 0);
	ck_assert(!lapic_timer_expire(&l, NOW + SEC));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_TIMER_INIT, NOW, 7), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_INIT), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_CURRENT), 0);

	ck_assert_uint_eq(lapic_write_tsc_deadline(&l, 12345), LAPIC_DO_TIMER);
	ck_assert_uint_eq(l.tsc_deadline, 12345);
	/* Another vector or the mask changes nothing about it. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x50041), LAPIC_DO_TIMER);
	ck_assert_uint_eq(l.tsc_deadline, 12345);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x41), LAPIC_DO_TIMER);
	ck_assert_uint_eq(l.tsc_deadline, 0);
	/* The reserved mode */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x60041), LAPIC_DO_GP);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Save and load                                                              */

static void put32(u8 *page, u32 offset, u32 v)
{
	memcpy(page + offset, &v, 4);
}

static u32 get32(const u8 *page, u32 offset)
{
	u32 v;

	memcpy(&v, page + offset, 4);
	return v;
}

static struct lapic busy(bool x2apic)
{
	struct lapic l = make(9, x2apic);

	lapic_write(&l, APIC_REG_TPR, NOW, 0x13);
	if (!x2apic) {
		lapic_write(&l, APIC_REG_LDR, NOW, 0x20000000);
		lapic_write(&l, APIC_REG_DFR, NOW, 0);
		lapic_write(&l, APIC_REG_ICR2, NOW, 0x03000000);
	}
	lapic_write(&l, APIC_REG_ICR, NOW, (x2apic ? 0x80010003ULL << 32 : 0) | 0x4041);
	lapic_write(&l, APIC_REG_LVT_LINT1, NOW, 0x400);
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x200ec);
	lapic_write(&l, APIC_REG_TIMER_DIVIDE, NOW, 0x3);
	lapic_write(&l, APIC_REG_TIMER_INIT, NOW - 16 * 400000, 1000000);
	lapic_post(&l, 0x44, true, &(bool){0});
	lapic_post(&l, 0xff, false, &(bool){0});
	lapic_accept(&l, 0x91);
	lapic_post(&l, 3, false, &(bool){0});
	lapic_write(&l, APIC_REG_ESR, NOW, 0);
	return l;
}

START_TEST(test_save_load)
{
	bool x2apic = _i;
	struct lapic l = busy(x2apic), to = make(9, x2apic);
	u8 page[1024], again[1024];

	lapic_save(&l, NOW, page);
	ck_assert_uint_eq(get32(page, APIC_REG_ID), x2apic ? 9 : 9U << 24);
	ck_assert_uint_eq(get32(page, APIC_REG_ICR2), x2apic ? 0x80010003 : 0x03000000);
	ck_assert_uint_eq(get32(page, APIC_REG_TIMER_CURRENT), 600000);
	ck_assert_uint_eq(get32(page, APIC_REG_ESR), 1U << 6);
	ck_assert_uint_eq(get32(page, APIC_REG_PPR), 0x90);
	ck_assert_uint_eq(get32(page, APIC_REG_IRR + 0x70), 1U << 31);

	/* At another time, as after a migration */
	ck_assert(lapic_load(&to, 5000, page));
	lapic_save(&to, 5000, again);
	ck_assert_mem_eq(page, again, sizeof(page));
	ck_assert_uint_eq(to.icr, l.icr);
	ck_assert_mem_eq(to.irr, l.irr, sizeof(l.irr));
	ck_assert_mem_eq(to.isr, l.isr, sizeof(l.isr));
	ck_assert_mem_eq(to.tmr, l.tmr, sizeof(l.tmr));
	/* What is left of the period is left of it still, though the start lies before time 0. */
	ck_assert_uint_eq(to.timer_start_ns + lapic_timer_period_ns(&to), 5000 + 16 * 600000);
	/* A count that began at the very time 0 is not taken for a stopped one. */
	ck_assert(lapic_load(&to, 16 * 400000, page));
	ck_assert_uint_ne(to.timer_start_ns, 0);
}
END_TEST

/* Each of these makes the image one that no APIC could have. */
START_TEST(test_load_impossible)
{
	static const struct {
		u32 offset, value;
		bool x2apic_too;
	} bad[] = {
		{APIC_REG_ID, 8U << 24, true},
		{APIC_REG_TPR, 0x100, true},
		{APIC_REG_SVR, 0x11ff, true},
		{APIC_REG_SVR, 0xff, true}, /* disabled with an open LVT entry */
		{APIC_REG_EOI, 1, true},
		{APIC_REG_ICR, 0x1000, true},
		{APIC_REG_ICR2, 0x03000001, false},
		{APIC_REG_LVT_TIMER, 0x60040, true}, /* reserved mode */
		{APIC_REG_LVT_TIMER, 0x40040, true}, /* deadline with a count */
		{APIC_REG_LVT_ERROR, 0x400, true},
		{APIC_REG_LVT_LINT0, 0x80000000, true},
		{APIC_REG_ISR, 1, true},
		{APIC_REG_IRR, 0x8000, true},
		{APIC_REG_TIMER_DIVIDE, 4, true},
		{APIC_REG_TIMER_CURRENT, 1000001, true},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		for (int x2apic = 0; x2apic < 2; x2apic++) {
			struct lapic l = busy(x2apic), before = l;
			u8 page[1024];

			if (x2apic && !bad[i].x2apic_too)
				continue;
			lapic_save(&l, NOW, page);
			put32(page, bad[i].offset, bad[i].value);
			ck_assert_msg(!lapic_load(&l, NOW, page), "%x = %x", bad[i].offset,
				      bad[i].value);
			ck_assert_mem_eq(&l, &before, sizeof(l));
		}
	}
}
END_TEST

START_TEST(test_load_stopped_timer)
{
	struct lapic l = make(0, false);
	u8 page[1024];

	lapic_save(&l, NOW, page);
	put32(page, APIC_REG_TIMER_INIT, 100);
	ck_assert(lapic_load(&l, NOW, page));
	ck_assert_uint_eq(l.timer_start_ns, 0);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_CURRENT), 0);
}
END_TEST

/* Noise: whatever is accepted leaves an APIC whose own image is accepted, too. */
START_TEST(test_noise)
{
	u64 seed = 0x1234567;

	for (unsigned int round = 0; round < 300; round++) {
		struct lapic l = make(round % 64, round & 1);
		u8 page[1024];

		for (unsigned int i = 0; i < 200; i++) {
			u64 value;
			u32 offset;

			seed = seed * 6364136223846793005 + 1442695040888963407;
			offset = seed >> 33 & 0x7ff;
			value = seed >> 20 & (seed & 4096 ? ~0ULL : 0xff);
			lapic_write(&l, seed & 8192 ? offset : offset & ~15U, NOW, value);
			lapic_read(&l, offset & ~15U, NOW, &value);
			if (seed >> 60 == 0)
				lapic_set_base(&l, LAPIC_BASE_DEFAULT | (seed >> 40 & 0xd00));
			if (seed >> 60 == 1)
				lapic_timer_expire(&l, NOW + (seed & 0xffffff));
			post(&l, seed >> 50 & 0xff, seed >> 49 & 1);
			if (lapic_deliverable(&l) >= 0 && seed >> 62 == 1)
				lapic_accept(&l, (u8)lapic_deliverable(&l));
		}
		lapic_save(&l, NOW, page);
		ck_assert_msg(lapic_load(&l, NOW, page), "round %u", round);
	}
}
END_TEST

int main(void)
{
	const struct {
		const char *name;
		const TTest *test;
		int loops;
	} tests[] = {
		{"divide", test_timer_divide, 1},
		{"one-shot", test_timer_oneshot, 1},
		{"periodic", test_timer_periodic, 1},
		{"matters", test_timer_matters, 1},
		{"deadline", test_timer_deadline, 1},
		{"save", test_save_load, 2},
		{"impossible", test_load_impossible, 1},
		{"stopped", test_load_stopped_timer, 1},
		{"noise", test_noise, 1},
	};
	Suite *s = suite_create("lapic_state");

	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		TCase *tc = tcase_create(tests[i].name);

		tcase_set_timeout(tc, 60);
		tcase_add_loop_test(tc, tests[i].test, 0, tests[i].loops);
		suite_add_tcase(s, tc);
	}
	return suite_run(s);
}
