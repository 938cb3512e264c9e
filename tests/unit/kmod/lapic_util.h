/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What test_lapic.c and test_lapic_state.c share. */
#ifndef LAPIC_UTIL_H
#define LAPIC_UTIL_H

#include <check.h>

#include "kmod/lapic.h"

#define NOW 1000000000ULL
#define SEC 1000000000ULL

/* An APIC after power-up, software-enabled unless a test says otherwise. */
static inline struct lapic make(u32 id, bool x2apic)
{
	struct lapic l;

	lapic_init(&l, id, id == 0);
	if (x2apic)
		ck_assert(lapic_set_base(&l, l.base | LAPIC_BASE_X2APIC));
	ck_assert_uint_eq(lapic_write(&l, APIC_REG_SVR, NOW, 0x1ff), 0);
	return l;
}

static inline u64 get(struct lapic *l, u32 offset)
{
	u64 value;

	ck_assert_uint_eq(lapic_read(l, offset, NOW, &value), 0);
	return value;
}

static inline bool post(struct lapic *l, u8 vector, bool level)
{
	bool was_pending;

	return lapic_post(l, vector, level, &was_pending);
}

#endif
