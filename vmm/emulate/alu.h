/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic as the processor does it, flags included. Used by emulate*.c. */
#ifndef VMM_EMULATE_ALU_H
#define VMM_EMULATE_ALU_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/types.h>

__extension__ typedef unsigned __int128 u128;

/* One flag, or several that are always alike. */
static inline void alu_set_flag(__u64 *rflags, uint64_t flag, bool value)
{
	*rflags = (*rflags & ~flag) | (value ? flag : 0);
}

/* All ones in the low "size" bytes; size is 1 to 8. */
static inline uint64_t alu_mask(unsigned int size)
{
	return ~0ULL >> (64 - size * 8);
}

/* The low "size" bytes of value, sign-extended. */
static inline uint64_t alu_sign_extend(uint64_t value, unsigned int size)
{
	unsigned int shift = 64 - size * 8;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

/*
 * Results are truncated to "size" bytes (1, 2, 4, 8). The six arithmetic flags
 * in *rflags are set (Intel SDM Vol. 1, "Status Flags"); AF, which logical
 * operations leave undefined, is cleared by them.
 */
uint64_t alu_add(unsigned int size, uint64_t a, uint64_t b, bool carry, __u64 *rflags);
uint64_t alu_sub(unsigned int size, uint64_t a, uint64_t b, bool borrow, __u64 *rflags);
uint64_t alu_logic(unsigned int size, uint64_t result, __u64 *rflags);

#endif
