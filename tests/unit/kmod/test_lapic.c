// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/lapic.c: registers in both modes, mode changes, destinations, priorities
 * and posting from other threads. See test_lapic_state.c for the timer, and for
 * save and load.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kmod/lapic.h"
#include "lapic_util.h"
#include "suite.h"

static const u32 lvts[] = {APIC_REG_LVT_TIMER, APIC_REG_LVT_THERMAL, APIC_REG_LVT_PMC,
			   APIC_REG_LVT_LINT0, APIC_REG_LVT_LINT1,   APIC_REG_LVT_ERROR};

/* What the ESR shows once it was latched. */
static u32 errors(struct lapic *l)
{
	lapic_write(l, APIC_REG_ESR, NOW, 0);
	return get(l, APIC_REG_ESR);
}

/* ------------------------------------------------------------------------- */
/* Reset and mode                                                             */

START_TEST(test_reset_values)
{
	struct lapic l;

	memset(&l, 0x5a, sizeof(l));
	lapic_init(&l, 5, false);
	ck_assert_uint_eq(l.base, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE);
	ck_assert_uint_eq(get(&l, APIC_REG_ID), 5U << 24);
	ck_assert_uint_eq(get(&l, APIC_REG_VERSION) & 0xff, 0x14);
	ck_assert_uint_eq(get(&l, APIC_REG_VERSION) >> 16, ARRAY_SIZE(lvts) - 1);
	ck_assert_uint_eq(get(&l, APIC_REG_DFR), 0xffffffff);
	ck_assert_uint_eq(get(&l, APIC_REG_LDR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_SVR), 0xff);
	ck_assert_uint_eq(get(&l, APIC_REG_TPR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_PPR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_ICR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_INIT), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_TIMER_CURRENT), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(lvts); i++)
		ck_assert_uint_eq(get(&l, lvts[i]), 0x10000);
	for (u32 o = APIC_REG_ISR; o < APIC_REG_IRR + 0x80; o += 16)
		ck_assert_uint_eq(get(&l, o), 0);
	ck_assert_int_eq(lapic_highest_irr(&l), -1);
	lapic_init(&l, 0, true);
	ck_assert_uint_eq(l.base, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | LAPIC_BASE_BSP);
}
END_TEST

START_TEST(test_init_keeps_id_and_mode)
{
	struct lapic l = make(7, true);
	u64 base = l.base;

	post(&l, 0x40, true);
	lapic_write(&l, APIC_REG_TPR, NOW, 0x20);
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x40ee);
	lapic_write_tsc_deadline(&l, 99);
	lapic_reset(&l, true);
	ck_assert_uint_eq(l.base, base);
	ck_assert_uint_eq(get(&l, APIC_REG_ID), 7);
	ck_assert_uint_eq(get(&l, APIC_REG_LDR), 1U << 7);
	ck_assert_uint_eq(get(&l, APIC_REG_TPR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_LVT_TIMER), 0x10000);
	ck_assert_int_eq(lapic_highest_irr(&l), -1);
	ck_assert(!test_bit(0x40, l.tmr));
	ck_assert_uint_eq(l.tsc_deadline, 0);

	lapic_reset(&l, false);
	ck_assert_uint_eq(l.base, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE);
	ck_assert_uint_eq(l.id, 7);
}
END_TEST

/* All nine transitions of SDM "x2APIC State Transitions", and the impossible fourth state */
START_TEST(test_transitions)
{
	static const u64 mode[] = {0, LAPIC_BASE_ENABLE, LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC,
				   LAPIC_BASE_X2APIC};
	static const bool allowed[3][4] = {
		{true, true, false, false},
		{true, true, true, false},
		{true, false, true, false},
	};

	for (unsigned int from = 0; from < 3; from++) {
		for (unsigned int to = 0; to < 4; to++) {
			struct lapic l = make(1, from == 2);

			if (from == 0)
				ck_assert(lapic_set_base(&l, LAPIC_BASE_DEFAULT));
			bool ok = lapic_set_base(&l, LAPIC_BASE_DEFAULT | mode[to]);

			ck_assert_msg(ok == allowed[from][to], "%u to %u", from, to);
			ck_assert_uint_eq(l.base, LAPIC_BASE_DEFAULT | mode[ok ? to : from]);
		}
	}
}
END_TEST

START_TEST(test_base_reserved)
{
	struct lapic l = make(0, false);
	u64 base = l.base;

	for (unsigned int bit = 0; bit < 64; bit++) {
		bool legal = bit == 8 || bit == 10 || bit == 11;

		if (!legal)
			ck_assert_msg(!lapic_set_base(&l, base ^ 1ULL << bit), "bit %u", bit);
		ck_assert_uint_eq(l.base, base);
	}
	ck_assert(!lapic_set_base(&l, LAPIC_BASE_ENABLE));
}
END_TEST

START_TEST(test_disable_resets)
{
	struct lapic l = make(3, false);
	struct lapic_msg to3 = {.dest = 3}, out;

	lapic_write(&l, APIC_REG_LDR, NOW, 0x04000000);
	post(&l, 0x50, false);
	ck_assert(lapic_set_base(&l, LAPIC_BASE_DEFAULT));
	ck_assert_int_eq(lapic_highest_irr(&l), -1);
	ck_assert(!post(&l, 0x50, false));
	ck_assert(!lapic_match(&l, &to3, false));
	/* The pins are INTR and NMI then. */
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_LINT0, &out));
	ck_assert_uint_eq(out.delivery, LAPIC_DM_EXTINT);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_LINT1, &out));
	ck_assert_uint_eq(out.delivery, LAPIC_DM_NMI);
	ck_assert(!lapic_lvt_msg(&l, APIC_REG_LVT_TIMER, &out));

	ck_assert(lapic_set_base(&l, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE));
	ck_assert_uint_eq(get(&l, APIC_REG_LDR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_SVR), 0xff);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

START_TEST(test_writable_bits_xapic)
{
	static const struct {
		u32 offset, kept;
	} reg[] = {
		{APIC_REG_TPR, 0xff},	       {APIC_REG_LDR, 0xff000000},
		{APIC_REG_SVR, 0x3ff},	       {APIC_REG_LVT_THERMAL, 0x107ff},
		{APIC_REG_LVT_PMC, 0x107ff},   {APIC_REG_LVT_LINT0, 0x1a7ff},
		{APIC_REG_LVT_LINT1, 0x1a7ff}, {APIC_REG_LVT_ERROR, 0x100ff},
		{APIC_REG_TIMER_DIVIDE, 0xb},  {APIC_REG_TIMER_INIT, 0xffffffff},
		{APIC_REG_ICR2, 0xff000000},   {APIC_REG_ICR, 0xccfff},
		{APIC_REG_LVT_TIMER, 0x100ff}, /* mode 3 is none */
	};
	struct lapic l = make(0, false);

	for (unsigned int i = 0; i < ARRAY_SIZE(reg); i++) {
		lapic_write(&l, reg[i].offset, NOW, 0xffffffff);
		ck_assert_uint_eq(get(&l, reg[i].offset), reg[i].kept);
	}
	lapic_write(&l, APIC_REG_DFR, NOW, 0);
	ck_assert_uint_eq(get(&l, APIC_REG_DFR), 0x0fffffff);
	ck_assert_uint_eq(errors(&l), 0);
}
END_TEST

/* In x2APIC mode each reserved bit of each register is a #GP that changes nothing. */
START_TEST(test_reserved_bits_x2apic)
{
	static const struct {
		u32 offset;
		u64 allowed;
	} reg[] = {
		{APIC_REG_TPR, 0xff},
		{APIC_REG_EOI, 0},
		{APIC_REG_SVR, 0x3ff},
		{APIC_REG_ESR, 0},
		{APIC_REG_ICR, 0xffffffff000cdfff},
		{APIC_REG_LVT_TIMER, 0x710ff},
		{APIC_REG_LVT_THERMAL, 0x117ff},
		{APIC_REG_LVT_PMC, 0x117ff},
		{APIC_REG_LVT_LINT0, 0x1f7ff},
		{APIC_REG_LVT_LINT1, 0x1f7ff},
		{APIC_REG_LVT_ERROR, 0x110ff},
		{APIC_REG_TIMER_INIT, 0xffffffff},
		{APIC_REG_TIMER_DIVIDE, 0xb},
		{APIC_REG_SELF_IPI, 0xff},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(reg); i++) {
		for (unsigned int bit = 0; bit < 64; bit++) {
			struct lapic l = make(0, true), before = l;
			unsigned int todo = lapic_write(&l, reg[i].offset, NOW, 1ULL << bit);
			bool gp = !(reg[i].allowed >> bit & 1);

			ck_assert_msg(gp == !!(todo & LAPIC_DO_GP), "%x bit %u", reg[i].offset,
				      bit);
			if (gp)
				ck_assert_mem_eq(&l, &before, sizeof(l));
		}
	}
}
END_TEST

/* Which registers exist, for reading and writing, in each mode */
START_TEST(test_access)
{
	for (u32 offset = 0; offset < 0x400; offset += 16) {
		bool map = offset >= 0x100 && offset < 0x280;
		bool lvt = offset >= 0x320 && offset <= 0x370;
		bool both = offset == 0x20 || offset == 0x30 || offset == 0x80 || offset == 0xa0 ||
			    offset == 0xd0 || offset == 0xf0 || map || offset == 0x280 ||
			    offset == 0x300 || lvt || offset == 0x380 || offset == 0x390 ||
			    offset == 0x3e0;
		bool xapic = both || offset == 0xe0 || offset == 0x310;
		bool read_only = offset == 0x20 || offset == 0x30 || offset == 0xa0 || map ||
				 offset == 0x390;
		bool write_x2 =
			(both && !read_only && offset != 0xd0) || offset == 0xb0 || offset == 0x3f0;
		struct lapic l = make(0, true), x = make(0, false);
		u64 value = 1;

		ck_assert_msg(lapic_read(&l, offset, NOW, &value) == (both ? 0 : LAPIC_DO_GP),
			      "read %x in x2APIC mode", offset);
		value = lapic_write(&l, offset, NOW, 0x20 * (offset == 0x3f0));
		ck_assert_msg(!(value & LAPIC_DO_GP) == write_x2, "write %x in x2APIC mode",
			      offset);

		lapic_read(&x, offset, NOW, &value);
		if (!xapic)
			ck_assert_uint_eq(value, 0);
		ck_assert_msg(errors(&x) == (xapic || offset == 0xb0 ? 0 : 0x80), "read %x",
			      offset);
		lapic_write(&x, offset, NOW, 0x20);
		ck_assert_msg((errors(&x) & 0x80) == (xapic || offset == 0xb0 ? 0 : 0x80),
			      "write %x", offset);
	}
}
END_TEST

START_TEST(test_no_such_offset)
{
	static const u32 bad[] = {0x1, 0x8, 0x84, 0x400, 0x1000, 0x7ffffff0, 0xfffffff0, ~0U};
	struct lapic l = make(0, true), x = make(0, false);
	u64 value;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(lapic_read(&l, bad[i], NOW, &value), LAPIC_DO_GP);
		ck_assert_uint_eq(lapic_write(&l, bad[i], NOW, 0), LAPIC_DO_GP);
		lapic_read(&x, bad[i], NOW, &value);
		ck_assert_uint_eq(value, 0);
		ck_assert_uint_eq(errors(&x), 0x80);
		lapic_write(&x, bad[i], NOW, ~0ULL);
		ck_assert_uint_eq(errors(&x), 0x80);
	}
}
END_TEST

START_TEST(test_ids)
{
	struct lapic l = make(0x35, true), x = make(0x35, false);

	ck_assert_uint_eq(get(&l, APIC_REG_ID), 0x35);
	ck_assert_uint_eq(get(&l, APIC_REG_LDR), 3U << 16 | 1U << 5);
	ck_assert_uint_eq(get(&x, APIC_REG_ID), 0x35000000);
	lapic_write(&x, APIC_REG_ID, NOW, 0x01000000);
	ck_assert_uint_eq(get(&x, APIC_REG_ID), 0x35000000);
	ck_assert_uint_eq(errors(&x), 0);
}
END_TEST

START_TEST(test_software_disable)
{
	struct lapic l = make(0, false);
	struct lapic_msg msg;

	for (unsigned int i = 0; i < ARRAY_SIZE(lvts); i++)
		lapic_write(&l, lvts[i], NOW, 0x40 + i);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_TIMER, &msg));
	ck_assert_uint_eq(msg.vector, 0x40);
	post(&l, 0x55, false);

	lapic_write(&l, APIC_REG_SVR, NOW, 0xff);
	for (unsigned int i = 0; i < ARRAY_SIZE(lvts); i++) {
		ck_assert_uint_eq(get(&l, lvts[i]), 0x10040 + i);
		ck_assert(!lapic_lvt_msg(&l, (enum lapic_reg)lvts[i], &msg));
		/* The mask cannot be taken away meanwhile. */
		lapic_write(&l, lvts[i], NOW, 0x50 + i);
		ck_assert_uint_eq(get(&l, lvts[i]), 0x10050 + i);
	}
	/* No new interrupts; what was latched is still delivered. */
	ck_assert(!post(&l, 0x66, false));
	ck_assert_int_eq(lapic_deliverable(&l), 0x55);

	lapic_write(&l, APIC_REG_SVR, NOW, 0x1ff);
	ck_assert_uint_eq(get(&l, APIC_REG_LVT_TIMER), 0x10050);
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x50);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_TIMER, &msg));
	ck_assert(post(&l, 0x66, false));
}
END_TEST

START_TEST(test_errors)
{
	struct lapic l = make(0, true);

	/* Nothing shows before software writes the ESR, and then only once. */
	lapic_write(&l, APIC_REG_SELF_IPI, NOW, 15);
	ck_assert_uint_eq(get(&l, APIC_REG_ESR), 0);
	ck_assert_uint_eq(errors(&l), 1U << 5);
	ck_assert_uint_eq(errors(&l), 0);
	ck_assert(!post(&l, 15, false));
	ck_assert_uint_eq(errors(&l), 1U << 6);
	ck_assert(!(lapic_write(&l, APIC_REG_ICR, NOW, 0x0f) & LAPIC_DO_ICR));
	ck_assert_uint_eq(errors(&l), 1U << 5);
	/* A SIPI's vector is a page, an NMI has none. */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_ICR, NOW, 0x601), LAPIC_DO_ICR);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_ICR, NOW, 0x400), LAPIC_DO_ICR);
	ck_assert_uint_eq(errors(&l), 0);

	/* The error interrupt comes once until the ESR is written. */
	lapic_write(&l, APIC_REG_LVT_ERROR, NOW, 0xfe);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0), LAPIC_DO_SCAN);
	ck_assert_int_eq(lapic_deliverable(&l), 0xfe);
	lapic_accept(&l, 0xfe);
	lapic_write(&l, APIC_REG_EOI, NOW, 0);
	lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0);
	ck_assert_int_eq(lapic_deliverable(&l), -1);
	lapic_write(&l, APIC_REG_ESR, NOW, 0);
	lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0);
	ck_assert_int_eq(lapic_deliverable(&l), 0xfe);

	/* An error in reporting errors ends there. */
	l = make(0, true);
	lapic_write(&l, APIC_REG_LVT_ERROR, NOW, 0x05);
	lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0);
	ck_assert_int_eq(lapic_highest_irr(&l), -1);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Messages                                                                   */

START_TEST(test_icr)
{
	struct lapic l = make(0, true), x = make(0, false);
	struct lapic_msg msg;

	/* x2APIC: one write, 32-bit destination; the status bit is dropped */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_ICR, NOW, 0x12345678000c5841), LAPIC_DO_ICR);
	ck_assert_uint_eq(get(&l, APIC_REG_ICR), 0x12345678000c4841);
	msg = lapic_icr_msg(&l);
	ck_assert_uint_eq(msg.dest, 0x12345678);
	ck_assert_uint_eq(msg.vector, 0x41);
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_FIXED);
	ck_assert_uint_eq(msg.shorthand, 3);
	ck_assert(msg.logical && msg.assert &&msg.x2apic && !msg.level);

	/* xAPIC: the high half first, which sends nothing */
	ck_assert_uint_eq(lapic_write(&x, APIC_REG_ICR2, NOW, 0x05ffffff), 0);
	ck_assert_uint_eq(lapic_write(&x, APIC_REG_ICR, NOW, 0x4500), LAPIC_DO_ICR);
	msg = lapic_icr_msg(&x);
	ck_assert_uint_eq(msg.dest, 5);
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_INIT);
	ck_assert(msg.assert && !msg.level && !msg.x2apic);
	ck_assert_uint_eq(get(&x, APIC_REG_ICR2), 0x05000000);

	/* An edge needs no level. */
	lapic_write(&x, APIC_REG_ICR, NOW, 0x0500);
	ck_assert(lapic_icr_msg(&x).assert);
	/* INIT level de-assert */
	lapic_write(&x, APIC_REG_ICR, NOW, 0x8500);
	msg = lapic_icr_msg(&x);
	ck_assert(!msg.assert &&msg.level);
	lapic_write(&x, APIC_REG_ICR, NOW, 0xc500);
	ck_assert(lapic_icr_msg(&x).assert);
	/* For all others these bits mean nothing. */
	lapic_write(&x, APIC_REG_ICR, NOW, 0x8041);
	msg = lapic_icr_msg(&x);
	ck_assert(msg.assert && !msg.level);
}
END_TEST

START_TEST(test_icr_across_modes)
{
	struct lapic l = make(0, false);

	lapic_write(&l, APIC_REG_ICR2, NOW, 0x07000000);
	lapic_write(&l, APIC_REG_LDR, NOW, 0x01000000);
	ck_assert(lapic_set_base(&l, l.base | LAPIC_BASE_X2APIC));
	ck_assert_uint_eq(get(&l, APIC_REG_ICR), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_LDR), 1);
}
END_TEST

START_TEST(test_msi)
{
	struct lapic_msg msg;

	ck_assert(lapic_msi_msg(0xfee05000, 0x4041, &msg));
	ck_assert_uint_eq(msg.dest, 5);
	ck_assert_uint_eq(msg.vector, 0x41);
	ck_assert(!msg.logical && !msg.level && msg.assert && !msg.x2apic && !msg.shorthand);
	ck_assert(lapic_msi_msg(0xfeeff004, 0x8141, &msg));
	ck_assert(msg.logical && msg.level);
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_LOWEST);
	/* A redirection hint with a logical destination lets the system choose. */
	ck_assert(lapic_msi_msg(0xfee0300c, 0x41, &msg));
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_LOWEST);
	ck_assert(lapic_msi_msg(0xfee03008, 0x41, &msg));
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_FIXED);
	ck_assert(lapic_msi_msg(0xfee00000, 0x0400, &msg));
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_NMI);
	ck_assert(lapic_msi_msg(0xfee00000, 0x8500, &msg));
	ck_assert(!msg.assert);

	ck_assert(!lapic_msi_msg(0xfed00000, 0x41, &msg));
	ck_assert(!lapic_msi_msg(0xfef00000, 0x41, &msg));
	ck_assert(!lapic_msi_msg(0x1fee00000, 0x41, &msg));
	ck_assert(!lapic_msi_msg(0xfee00010, 0x41, &msg));
	ck_assert(!lapic_msi_msg(0xfee00800, 0x41, &msg));
	ck_assert(!lapic_msi_msg(0xfee00000, 0x10041, &msg));
	ck_assert(!lapic_msi_msg(0xfee00000, 0x0341, &msg));
	ck_assert(!lapic_msi_msg(0xfee00000, 0x0641, &msg));
	ck_assert(!lapic_msi_msg(~0ULL, ~0U, &msg));
}
END_TEST

static bool match(const struct lapic *l, u32 dest, bool logical, bool x2apic)
{
	struct lapic_msg msg = {.dest = dest, .logical = logical, .x2apic = x2apic};

	return lapic_match(l, &msg, false);
}

START_TEST(test_match_physical)
{
	struct lapic x = make(5, false), l = make(0x15, true);

	ck_assert(match(&x, 5, false, false));
	ck_assert(!match(&x, 4, false, false));
	ck_assert(!match(&x, 0x105, false, true));
	ck_assert(match(&l, 0x15, false, true));
	ck_assert(!match(&l, 0x1500, false, true));
	/* Broadcast has the width of the message. */
	ck_assert(match(&x, 0xff, false, false));
	ck_assert(match(&l, 0xff, false, false));
	ck_assert(match(&x, ~0U, false, true));
	ck_assert(match(&l, ~0U, false, true));
	ck_assert(!match(&x, 0xff, false, true));
	ck_assert(!match(&l, 0xff, false, true));
}
END_TEST

START_TEST(test_match_logical_xapic)
{
	struct lapic l = make(2, false);

	/* Without a logical id only a broadcast is for it. */
	ck_assert(!match(&l, 0x01, true, false));
	ck_assert(match(&l, 0xff, true, false));
	lapic_write(&l, APIC_REG_LDR, NOW, 0x04000000);
	for (u32 dest = 0; dest < 0xff; dest++)
		ck_assert(match(&l, dest, true, false) == !!(dest & 4));
	ck_assert(!match(&l, 0x104, true, true));

	/* Cluster 2, member 1 */
	lapic_write(&l, APIC_REG_DFR, NOW, 0x0fffffff);
	lapic_write(&l, APIC_REG_LDR, NOW, 0x22000000);
	for (u32 dest = 0; dest < 0xff; dest++)
		ck_assert(match(&l, dest, true, false) == (dest >> 4 == 2 && dest & 2));
	/* A model that does not exist */
	lapic_write(&l, APIC_REG_DFR, NOW, 0x7fffffff);
	ck_assert(!match(&l, 0x22, true, false));
	ck_assert(match(&l, 0xff, true, false));
}
END_TEST

START_TEST(test_match_logical_x2apic)
{
	struct lapic l = make(0x25, true), low = make(3, true);

	ck_assert(match(&l, 0x00020020, true, true));
	ck_assert(match(&l, 0x0002ffff, true, true));
	ck_assert(!match(&l, 0x0002ffdf, true, true));
	ck_assert(!match(&l, 0x00010020, true, true));
	ck_assert(!match(&l, 0x00020000, true, true));
	ck_assert(match(&l, ~0U, true, true));
	/* An 8-bit destination names members of cluster 0. */
	ck_assert(match(&low, 0x08, true, false));
	ck_assert(!match(&low, 0x04, true, false));
	ck_assert(!match(&l, 0x20, true, false));
}
END_TEST

START_TEST(test_match_shorthand)
{
	struct lapic l = make(1, false);

	for (unsigned int shorthand = 1; shorthand < 4; shorthand++) {
		struct lapic_msg msg = {.dest = 9, .shorthand = (u8)shorthand};

		ck_assert(lapic_match(&l, &msg, true) == (shorthand != 3));
		ck_assert(lapic_match(&l, &msg, false) == (shorthand != 1));
	}
}
END_TEST

START_TEST(test_lvt_msg)
{
	struct lapic l = make(4, false);
	struct lapic_msg msg;

	lapic_write(&l, APIC_REG_LVT_LINT0, NOW, 0x8041);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_LINT0, &msg));
	ck_assert(msg.level && lapic_match(&l, &msg, true));
	/* An NMI is edge-triggered whatever the entry says. */
	lapic_write(&l, APIC_REG_LVT_LINT1, NOW, 0x8400);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_LINT1, &msg));
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_NMI);
	ck_assert(!msg.level);
	lapic_write(&l, APIC_REG_LVT_LINT1, NOW, 0x10400);
	ck_assert(!lapic_lvt_msg(&l, APIC_REG_LVT_LINT1, &msg));
	/* No mode but fixed for timer and errors */
	lapic_write(&l, APIC_REG_LVT_TIMER, NOW, 0x441);
	ck_assert(lapic_lvt_msg(&l, APIC_REG_LVT_TIMER, &msg));
	ck_assert_uint_eq(msg.delivery, LAPIC_DM_FIXED);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Delivery                                                                   */

/* Each vector against each priority: deliverable exactly when its class is above. */
START_TEST(test_priorities)
{
	for (int vector = 16; vector < 256; vector++) {
		struct lapic l = make(0, false);

		ck_assert(post(&l, (u8)vector, false));
		ck_assert_int_eq(lapic_highest_irr(&l), vector);
		for (int tpr = 0; tpr < 256; tpr += 5) {
			lapic_write(&l, APIC_REG_TPR, NOW, (u32)tpr);
			ck_assert_int_eq(lapic_tpr(&l), tpr);
			ck_assert_int_eq(lapic_deliverable(&l),
					 vector >> 4 > tpr >> 4 ? vector : -1);
			ck_assert_uint_eq(get(&l, APIC_REG_PPR), tpr);
		}
		lapic_set_tpr(&l, 0);
		for (int isr = 16; isr < 256; isr += 5) {
			if (isr == vector)
				continue;
			lapic_accept(&l, (u8)isr);
			ck_assert_int_eq(lapic_deliverable(&l),
					 vector >> 4 > isr >> 4 ? vector : -1);
			ck_assert_uint_eq(get(&l, APIC_REG_PPR), isr & 0xf0);
			lapic_write(&l, APIC_REG_EOI, NOW, 0);
		}
		/* The lower half of the TPR shows in the PPR only while the TPR decides. */
		lapic_set_tpr(&l, 0x35);
		lapic_accept(&l, 0x31);
		ck_assert_uint_eq(get(&l, APIC_REG_PPR), 0x35);
	}
}
END_TEST

START_TEST(test_accept_and_eoi)
{
	struct lapic l = make(0, true);

	post(&l, 0x31, false);
	post(&l, 0x62, false);
	ck_assert_int_eq(lapic_deliverable(&l), 0x62);
	lapic_accept(&l, 0x62);
	ck_assert_uint_eq(get(&l, APIC_REG_ISR + 0x30), 1U << 2);
	ck_assert_uint_eq(get(&l, APIC_REG_IRR + 0x30), 0);
	ck_assert_uint_eq(get(&l, APIC_REG_IRR + 0x10), 1U << 0x11);
	ck_assert_int_eq(lapic_deliverable(&l), -1);

	/* It was not delivered after all. */
	lapic_unaccept(&l, 0x62);
	ck_assert_int_eq(lapic_deliverable(&l), 0x62);
	ck_assert_uint_eq(get(&l, APIC_REG_ISR + 0x30), 0);

	lapic_accept(&l, 0x62);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_EOI, NOW, 0), LAPIC_DO_SCAN);
	ck_assert_int_eq(lapic_deliverable(&l), 0x31);
	lapic_accept(&l, 0x31);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_EOI, NOW, 0), 0);
	/* Spurious */
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_EOI, NOW, 0), 0);
}
END_TEST

START_TEST(test_eoi_ends_highest)
{
	struct lapic l = make(0, false);

	lapic_accept(&l, 0x20);
	lapic_accept(&l, 0x9f);
	/* In xAPIC mode the value written does not matter. */
	lapic_write(&l, APIC_REG_EOI, NOW, 0xdeadbeef);
	ck_assert_uint_eq(get(&l, APIC_REG_PPR), 0x20);
	lapic_write(&l, APIC_REG_EOI, NOW, 0);
	ck_assert_uint_eq(get(&l, APIC_REG_PPR), 0);
}
END_TEST

START_TEST(test_level)
{
	struct lapic l = make(0, false);
	bool was_pending;

	ck_assert(lapic_post(&l, 0x44, true, &was_pending) && !was_pending);
	ck_assert(lapic_post(&l, 0x44, true, &was_pending) && was_pending);
	ck_assert_uint_eq(get(&l, APIC_REG_TMR + 0x20), 1U << 4);
	lapic_accept(&l, 0x44);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_EOI, NOW, 0), LAPIC_DO_EOI | LAPIC_DO_SCAN);
	ck_assert_uint_eq(l.eoi_vector, 0x44);
	/* The same vector as an edge: nobody hears of its end. */
	ck_assert(lapic_post(&l, 0x44, false, &was_pending) && !was_pending);
	ck_assert_uint_eq(get(&l, APIC_REG_TMR + 0x20), 0);
	lapic_accept(&l, 0x44);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_EOI, NOW, 0) & LAPIC_DO_EOI, 0);
}
END_TEST

START_TEST(test_self_ipi)
{
	struct lapic l = make(0, true);

	ck_assert_uint_eq(lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0x77), LAPIC_DO_SCAN);
	ck_assert_int_eq(lapic_deliverable(&l), 0x77);
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_SELF_IPI, NOW, 0x177), LAPIC_DO_GP);
}
END_TEST

#define POSTS 300000

struct poster {
	pthread_t thread;
	struct lapic *l;
	unsigned int *running;
	u8 vector;
	unsigned int latched; /* posts that were not coalesced */
};

static void *poster_main(void *arg)
{
	struct poster *p = arg;
	bool was_pending;

	for (unsigned int i = 0; i < POSTS; i++) {
		if (lapic_post(p->l, p->vector, i & 1, &was_pending) && !was_pending)
			p->latched++;
	}
	__atomic_fetch_sub(p->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void take_all(struct lapic *l, unsigned int taken[256])
{
	int v;

	while ((v = lapic_deliverable(l)) >= 0) {
		lapic_accept(l, (u8)v);
		taken[v]++;
		lapic_write(l, APIC_REG_EOI, NOW, 0);
	}
}

/* Every interrupt that was latched is delivered once, whoever else posts meanwhile. */
START_TEST(test_concurrent_posts)
{
	static const u8 vectors[] = {0x41, 0x42, 0x43};
	struct poster posters[ARRAY_SIZE(vectors)];
	unsigned int taken[256] = {0}, running = ARRAY_SIZE(vectors);
	struct lapic l = make(0, true);

	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		posters[i] = (struct poster){.l = &l, .running = &running, .vector = vectors[i]};
		ck_assert_int_eq(pthread_create(&posters[i].thread, NULL, poster_main, &posters[i]),
				 0);
	}
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		take_all(&l, taken);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++)
		ck_assert_int_eq(pthread_join(posters[i].thread, NULL), 0);
	take_all(&l, taken);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		ck_assert_uint_ge(posters[i].latched, 1);
		ck_assert_uint_eq(posters[i].latched, taken[vectors[i]]);
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
		{"reset", test_reset_values, 1},
		{"init", test_init_keeps_id_and_mode, 1},
		{"transitions", test_transitions, 1},
		{"base", test_base_reserved, 1},
		{"disable", test_disable_resets, 1},
		{"xapic bits", test_writable_bits_xapic, 1},
		{"x2apic bits", test_reserved_bits_x2apic, 1},
		{"access", test_access, 1},
		{"offsets", test_no_such_offset, 1},
		{"ids", test_ids, 1},
		{"software disable", test_software_disable, 1},
		{"errors", test_errors, 1},
		{"icr", test_icr, 1},
		{"icr and modes", test_icr_across_modes, 1},
		{"msi", test_msi, 1},
		{"physical", test_match_physical, 1},
		{"logical xapic", test_match_logical_xapic, 1},
		{"logical x2apic", test_match_logical_x2apic, 1},
		{"shorthand", test_match_shorthand, 1},
		{"lvt", test_lvt_msg, 1},
		{"priorities", test_priorities, 1},
		{"accept", test_accept_and_eoi, 1},
		{"eoi", test_eoi_ends_highest, 1},
		{"level", test_level, 1},
		{"self ipi", test_self_ipi, 1},
		{"concurrent", test_concurrent_posts, 1},
	};
	Suite *s = suite_create("lapic");

	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		TCase *tc = tcase_create(tests[i].name);

		tcase_set_timeout(tc, 60);
		tcase_add_loop_test(tc, tests[i].test, 0, tests[i].loops);
		suite_add_tcase(s, tc);
	}
	return suite_run(s);
}
