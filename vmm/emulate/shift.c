// SPDX-License-Identifier: GPL-2.0-or-later
/* Shifts and rotations: the class emu_shift_ops of data.c. */
#include "emulate/alu.h"
#include "emulate/internal.h"

static bool bit(uint64_t value, unsigned int i)
{
	return value >> i & 1;
}

/* What of the count the processor looks at: Intel SDM Vol. 2, SHL. */
static unsigned int masked(const struct emu_args *args, uint64_t count)
{
	return count & (args->size == 8 ? 63 : 31);
}

/* OF is defined for a count of 1 only, where it says whether the sign changed. */
static void shift_flags(struct emu *emu, const struct emu_args *args, bool carry, bool overflow)
{
	alu_logic(args->size, args->v[0], &emu->gprs.rflags);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, carry);
	alu_set_flag(&emu->gprs.rflags, FLAG_OF, overflow);
}

static enum emu_result shl(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[1]), bits = args->size * 8;
	u128 wide = (u128)args->v[0] << count;

	if (!count)
		return EMU_OK;
	args->v[0] = wide & alu_mask(args->size);
	shift_flags(emu, args, wide >> bits & 1, bit(args->v[0], bits - 1) != (wide >> bits & 1));
	return EMU_OK;
}

static enum emu_result shr(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[1]);
	uint64_t old = args->v[0];

	if (!count)
		return EMU_OK;
	args->v[0] = old >> count;
	shift_flags(emu, args, bit(old, count - 1), bit(old, args->size * 8 - 1));
	return EMU_OK;
}

static uint64_t shifted_down(const struct emu_args *args, uint64_t value, unsigned int count)
{
	return (uint64_t)((int64_t)alu_sign_extend(value, args->size) >> count);
}

static enum emu_result sar(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[1]);
	uint64_t old = args->v[0];

	if (!count)
		return EMU_OK;
	args->v[0] = shifted_down(args, old, count) & alu_mask(args->size);
	shift_flags(emu, args, shifted_down(args, old, count - 1) & 1, false);
	return EMU_OK;
}

/* v[1]'s bits come in where those of v[0] go. */
static enum emu_result shld(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[2]), bits = args->size * 8;
	uint64_t old = args->v[0];
	u128 wide = (u128)old << bits | args->v[1];

	if (!count)
		return EMU_OK;
	args->v[0] = (uint64_t)(wide << count >> bits) & alu_mask(args->size);
	shift_flags(emu, args, wide >> (2 * bits - count) & 1, bit(args->v[0] ^ old, bits - 1));
	return EMU_OK;
}

static enum emu_result shrd(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[2]), bits = args->size * 8;
	uint64_t old = args->v[0];
	u128 wide = (u128)args->v[1] << bits | old;

	if (!count)
		return EMU_OK;
	args->v[0] = (uint64_t)(wide >> count) & alu_mask(args->size);
	shift_flags(emu, args, wide >> (count - 1) & 1, bit(args->v[0] ^ old, bits - 1));
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Rotations change CF and OF alone                                           */

static uint64_t rotated_right(const struct emu_args *args, uint64_t value, unsigned int count)
{
	unsigned int bits = args->size * 8;
	u128 twice = (u128)value << bits | value;

	return (uint64_t)(twice >> count % bits) & alu_mask(args->size);
}

static enum emu_result rol(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[1]), bits = args->size * 8;

	if (!count)
		return EMU_OK;
	args->v[0] = rotated_right(args, args->v[0], bits - count % bits);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, bit(args->v[0], 0));
	alu_set_flag(&emu->gprs.rflags, FLAG_OF, bit(args->v[0], bits - 1) != bit(args->v[0], 0));
	return EMU_OK;
}

static enum emu_result ror(struct emu *emu, struct emu_args *args)
{
	unsigned int count = masked(args, args->v[1]), bits = args->size * 8;

	if (!count)
		return EMU_OK;
	args->v[0] = rotated_right(args, args->v[0], count);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, bit(args->v[0], bits - 1));
	alu_set_flag(&emu->gprs.rflags, FLAG_OF,
		     bit(args->v[0], bits - 1) != bit(args->v[0], bits - 2));
	return EMU_OK;
}

/* Through the carry: one bit more than the operand has, and so a count modulo that. */
static u128 with_carry(const struct emu *emu, const struct emu_args *args)
{
	return (u128) !!(emu->gprs.rflags & FLAG_CF) << args->size * 8 | args->v[0];
}

static void rotate_through_carry(struct emu *emu, struct emu_args *args, unsigned int left)
{
	unsigned int bits = args->size * 8, right = bits + 1 - left;
	u128 value = with_carry(emu, args);

	value = value << left | value >> right;
	args->v[0] = (uint64_t)value & alu_mask(args->size);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, value >> bits & 1);
}

static enum emu_result rcl(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8, count = masked(args, args->v[1]) % (bits + 1);

	if (!count)
		return EMU_OK;
	rotate_through_carry(emu, args, count);
	alu_set_flag(&emu->gprs.rflags, FLAG_OF,
		     bit(args->v[0], bits - 1) != !!(emu->gprs.rflags & FLAG_CF));
	return EMU_OK;
}

static enum emu_result rcr(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8, count = masked(args, args->v[1]) % (bits + 1);

	if (!count)
		return EMU_OK;
	rotate_through_carry(emu, args, bits + 1 - count);
	alu_set_flag(&emu->gprs.rflags, FLAG_OF,
		     bit(args->v[0], bits - 1) != bit(args->v[0], bits - 2));
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Of BMI2: operand 1 by operand 2, without flags                             */

static enum emu_result shlx(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = args->v[1] << masked(args, args->v[2]);
	return EMU_OK;
}

static enum emu_result shrx(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = args->v[1] >> masked(args, args->v[2]);
	return EMU_OK;
}

static enum emu_result sarx(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = shifted_down(args, args->v[1], masked(args, args->v[2]));
	return EMU_OK;
}

static enum emu_result rorx(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = rotated_right(args, args->v[1], masked(args, args->v[2]));
	return EMU_OK;
}

const struct emu_op emu_shift_ops[] = {
	{ZYDIS_MNEMONIC_SHL, shl},   {ZYDIS_MNEMONIC_SHR, shr},
	{ZYDIS_MNEMONIC_SAR, sar},   {ZYDIS_MNEMONIC_SHLD, shld},
	{ZYDIS_MNEMONIC_SHRD, shrd}, {ZYDIS_MNEMONIC_ROL, rol},
	{ZYDIS_MNEMONIC_ROR, ror},   {ZYDIS_MNEMONIC_RCL, rcl},
	{ZYDIS_MNEMONIC_RCR, rcr},   {ZYDIS_MNEMONIC_SHLX, shlx},
	{ZYDIS_MNEMONIC_SHRX, shrx}, {ZYDIS_MNEMONIC_SARX, sarx},
	{ZYDIS_MNEMONIC_RORX, rorx}, {0, NULL},
};
