// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers in an image of HV_GET_XSAVE. A component that the header does not name is in its
 * initial state, whatever bytes are in its place. Pure; called by vector.c and
 * x87.c.
 */
#include <cpuid.h>
#include <string.h>

#include "emulate/xstate.h"

/* Components (Intel SDM Vol. 1, 13.1) */
enum {
	X87 = 0,
	SSE = 1,
	YMM_HIGH = 2,	/* the upper halves of YMM0 to 15 */
	ZMM_HIGH = 6,	/* the upper halves of ZMM0 to 15 */
	ZMM_OTHERS = 7, /* ZMM16 to 31 */
};

#define LEGACY_SIZE   512
#define XMM_OFFSET    160

#define FCW_INITIAL   0x37f
#define FSW_TOP_SHIFT 11
#define FSW_TOP	      0x3800

/* Intel SDM Vol. 1, 11.6.6: what a mask of zero means */
#define MXCSR_MASK_DEFAULT 0xffbf

_Static_assert(sizeof(struct xstate_legacy) == LEGACY_SIZE, "legacy region");
_Static_assert(offsetof(struct xstate_legacy, st) == 32, "x87 registers");
_Static_assert(offsetof(struct xstate_legacy, xmm) == XMM_OFFSET, "XMM registers");

static struct xstate_legacy *legacy(const struct xstate *x)
{
	return (struct xstate_legacy *)x->image;
}

/* XSTATE_BV, the first word of the header */
static uint64_t *present(const struct xstate *x)
{
	return (uint64_t *)(x->image + LEGACY_SIZE);
}

/* Where a component is in the standard format. False: this processor, or the image, has none. */
static bool locate(const struct xstate *x, unsigned int component, size_t *offset, size_t *size)
{
	unsigned int eax, ebx, ecx, edx;

	if (component == SSE) {
		*offset = XMM_OFFSET;
		*size = sizeof(legacy(x)->xmm);
		return true;
	}
	if (!__get_cpuid_count(0xd, component, &eax, &ebx, &ecx, &edx) || !eax)
		return false;
	*offset = ebx;
	*size = eax;
	return *offset + *size <= x->size;
}

/* ------------------------------------------------------------------------- */
/* x87 and MMX                                                                */

struct xstate_legacy *xstate_x87(struct xstate *x)
{
	struct xstate_legacy *l = legacy(x);

	if (!(*present(x) & 1 << X87)) {
		*present(x) |= 1 << X87;
		memset(l, 0, offsetof(struct xstate_legacy, mxcsr));
		memset(l->st, 0, sizeof(l->st));
		l->fcw = FCW_INITIAL;
	}
	return l;
}

void xstate_enter_mmx(struct xstate *x)
{
	struct xstate_legacy *l = xstate_x87(x);
	unsigned int top = (l->fsw & FSW_TOP) >> FSW_TOP_SHIFT;
	uint8_t st[8][16];

	memcpy(st, l->st, sizeof(st));
	for (unsigned int i = 0; i < 8; i++)
		memcpy(l->st[(top + i) % 8], st[i], sizeof(st[i]));
	l->fsw &= ~FSW_TOP;
	l->ftw = 0xff;
}

uint64_t xstate_read_mmx(struct xstate *x, unsigned int reg)
{
	uint64_t value;

	memcpy(&value, legacy(x)->st[reg % 8], sizeof(value));
	return value;
}

/* The exponent becomes all ones: Intel SDM Vol. 1, 9.6.2. */
void xstate_write_mmx(struct xstate *x, unsigned int reg, uint64_t value)
{
	uint8_t *st = legacy(x)->st[reg % 8];

	memcpy(st, &value, sizeof(value));
	memset(st + sizeof(value), 0xff, 2);
}

/* ------------------------------------------------------------------------- */
/* Vector registers                                                           */

static void read_part(const struct xstate *x, unsigned int component, unsigned int index,
		      uint8_t *value, size_t len)
{
	size_t offset, size;

	memset(value, 0, len);
	if (!(*present(x) >> component & 1) || !locate(x, component, &offset, &size))
		return;
	memcpy(value, x->image + offset + index * len, len);
}

static bool is_zero(const uint8_t *value, size_t len)
{
	while (len && !*value) {
		value++;
		len--;
	}
	return !len;
}

/* Zeroes are what a component in its initial state has. */
static void write_part(struct xstate *x, unsigned int component, unsigned int index,
		       const uint8_t *value, size_t len)
{
	bool is_present = *present(x) >> component & 1;
	size_t offset, size;

	if ((!is_present && is_zero(value, len)) || !locate(x, component, &offset, &size))
		return;
	if (!is_present) {
		*present(x) |= 1ULL << component;
		memset(x->image + offset, 0, size);
	}
	memcpy(x->image + offset + index * len, value, len);
}

void xstate_read_vector(const struct xstate *x, unsigned int reg, uint8_t value[XSTATE_VECTOR])
{
	if (reg >= 16) {
		read_part(x, ZMM_OTHERS, reg % 16, value, 64);
		return;
	}
	read_part(x, SSE, reg, value, 16);
	read_part(x, YMM_HIGH, reg, value + 16, 16);
	read_part(x, ZMM_HIGH, reg, value + 32, 32);
}

void xstate_write_vector(struct xstate *x, unsigned int reg, const uint8_t value[XSTATE_VECTOR])
{
	if (reg >= 16) {
		write_part(x, ZMM_OTHERS, reg % 16, value, 64);
		return;
	}
	write_part(x, SSE, reg, value, 16);
	write_part(x, YMM_HIGH, reg, value + 16, 16);
	write_part(x, ZMM_HIGH, reg, value + 32, 32);
}

uint32_t xstate_mxcsr(const struct xstate *x)
{
	return legacy(x)->mxcsr;
}

bool xstate_set_mxcsr(struct xstate *x, uint32_t mxcsr)
{
	uint32_t mask = legacy(x)->mxcsr_mask;

	if (mxcsr & ~(mask ? mask : MXCSR_MASK_DEFAULT))
		return false;
	legacy(x)->mxcsr = mxcsr;
	return true;
}
