// SPDX-License-Identifier: GPL-2.0-or-later
/* Integer arithmetic with flags. Pure; called by the files of the classes of instructions. */
#include "emulate/alu.h"
#include "x86.h"

#define FLAGS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static uint64_t sign_bit(unsigned int size)
{
	return 1ULL << (size * 8 - 1);
}

static void set_flags(unsigned int size, uint64_t result, uint64_t more, __u64 *rflags)
{
	uint64_t flags = more;

	if (!result)
		flags |= FLAG_ZF;
	if (result & sign_bit(size))
		flags |= FLAG_SF;
	/* Parity is that of the low byte alone. */
	if (!__builtin_parity((unsigned int)(result & 0xff)))
		flags |= FLAG_PF;
	*rflags = (*rflags & ~FLAGS) | flags;
}

/* Bit 4 of a ^ b ^ result is the carry into it, which is what AF reports. */
static uint64_t half_carry(uint64_t a, uint64_t b, uint64_t result)
{
	return (a ^ b ^ result) & 0x10 ? FLAG_AF : 0;
}

uint64_t alu_add(unsigned int size, uint64_t a, uint64_t b, bool carry, __u64 *rflags)
{
	uint64_t mask = alu_mask(size);
	uint64_t result, flags;

	a &= mask;
	b &= mask;
	result = (a + b + carry) & mask;

	flags = half_carry(a, b, result);
	if (result < a || (carry && result == a))
		flags |= FLAG_CF;
	/* Overflow: operands of one sign, a result of the other. */
	if (~(a ^ b) & (a ^ result) & sign_bit(size))
		flags |= FLAG_OF;
	set_flags(size, result, flags, rflags);
	return result;
}

uint64_t alu_sub(unsigned int size, uint64_t a, uint64_t b, bool borrow, __u64 *rflags)
{
	uint64_t mask = alu_mask(size);
	uint64_t result, flags;

	a &= mask;
	b &= mask;
	result = (a - b - borrow) & mask;

	flags = half_carry(a, b, result);
	if (a < b || (borrow && a == b))
		flags |= FLAG_CF;
	if ((a ^ b) & (a ^ result) & sign_bit(size))
		flags |= FLAG_OF;
	set_flags(size, result, flags, rflags);
	return result;
}

uint64_t alu_logic(unsigned int size, uint64_t result, __u64 *rflags)
{
	result &= alu_mask(size);
	set_flags(size, result, 0, rflags);
	return result;
}
