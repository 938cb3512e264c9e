// SPDX-License-Identifier: GPL-2.0-or-later
/* Single bits, searching and counting them, CRC32: the class emu_bit_ops of data.c. */
#include "emulate/alu.h"
#include "emulate/internal.h"

/* ------------------------------------------------------------------------- */
/* One bit                                                                    */

int64_t emu_bit_offset(const struct emu *emu)
{
	unsigned int size = emu_operand_size(emu, 0);
	int64_t number;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		break;
	default:
		return 0;
	}
	if (emu->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	/* Both ways, in whole operands, rounded down (Intel SDM Vol. 2, BT). */
	number = (int64_t)alu_sign_extend(emu_operand_value(emu, 1), size);
	return (number >> 3) & ~(int64_t)(size - 1);
}

/* Copies the bit to CF; returns its mask. */
static uint64_t test_bit(struct emu *emu, const struct emu_args *args)
{
	uint64_t mask = 1ULL << (args->v[1] & (args->size * 8 - 1));

	alu_set_flag(&emu->gprs.rflags, FLAG_CF, args->v[0] & mask);
	return mask;
}

static enum emu_result bt(struct emu *emu, struct emu_args *args)
{
	test_bit(emu, args);
	return EMU_OK;
}

static enum emu_result bts(struct emu *emu, struct emu_args *args)
{
	args->v[0] |= test_bit(emu, args);
	return EMU_OK;
}

static enum emu_result btr(struct emu *emu, struct emu_args *args)
{
	args->v[0] &= ~test_bit(emu, args);
	return EMU_OK;
}

static enum emu_result btc(struct emu *emu, struct emu_args *args)
{
	args->v[0] ^= test_bit(emu, args);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Searching and counting                                                     */

static unsigned int leading_zeros(const struct emu_args *args, uint64_t value)
{
	unsigned int bits = args->size * 8;

	return value ? (unsigned int)__builtin_clzll(value) - (64 - bits) : bits;
}

static unsigned int trailing_zeros(const struct emu_args *args, uint64_t value)
{
	return value ? (unsigned int)__builtin_ctzll(value) : args->size * 8;
}

/* Without a bit that is set, the destination stays as it is (AMD APM Vol. 3, BSF). */
static enum emu_result bsf(struct emu *emu, struct emu_args *args)
{
	args->keep = !args->v[1];
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, args->keep);
	args->v[0] = trailing_zeros(args, args->v[1]);
	return EMU_OK;
}

static enum emu_result bsr(struct emu *emu, struct emu_args *args)
{
	args->keep = !args->v[1];
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, args->keep);
	args->v[0] = args->size * 8 - 1 - leading_zeros(args, args->v[1]);
	return EMU_OK;
}

static enum emu_result tzcnt(struct emu *emu, struct emu_args *args)
{
	args->v[0] = trailing_zeros(args, args->v[1]);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, !args->v[1]);
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, !args->v[0]);
	return EMU_OK;
}

static enum emu_result lzcnt(struct emu *emu, struct emu_args *args)
{
	args->v[0] = leading_zeros(args, args->v[1]);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, !args->v[1]);
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, !args->v[0]);
	return EMU_OK;
}

static enum emu_result popcnt(struct emu *emu, struct emu_args *args)
{
	args->v[0] = (uint64_t)__builtin_popcountll(args->v[1]);
	emu->gprs.rflags &= ~(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_SF | FLAG_OF);
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, !args->v[0]);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* BMI: flags are those of a logical operation, but for CF                    */

static enum emu_result bmi_result(struct emu *emu, struct emu_args *args, uint64_t value,
				  bool carry)
{
	args->v[0] = alu_logic(args->size, value, &emu->gprs.rflags);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, carry);
	return EMU_OK;
}

static enum emu_result andn(struct emu *emu, struct emu_args *args)
{
	return bmi_result(emu, args, ~args->v[1] & args->v[2], false);
}

static enum emu_result blsi(struct emu *emu, struct emu_args *args)
{
	return bmi_result(emu, args, args->v[1] & -args->v[1], args->v[1]);
}

static enum emu_result blsr(struct emu *emu, struct emu_args *args)
{
	return bmi_result(emu, args, args->v[1] & (args->v[1] - 1), !args->v[1]);
}

static enum emu_result blsmsk(struct emu *emu, struct emu_args *args)
{
	return bmi_result(emu, args, args->v[1] ^ (args->v[1] - 1), !args->v[1]);
}

/* The low bits of value, as many as there are of them. */
static uint64_t low_bits(uint64_t value, unsigned int count)
{
	return count < 64 ? value & ((1ULL << count) - 1) : value;
}

static enum emu_result bzhi(struct emu *emu, struct emu_args *args)
{
	unsigned int first = args->v[2] & 0xff;

	return bmi_result(emu, args, low_bits(args->v[1], first), first >= args->size * 8);
}

static enum emu_result bextr(struct emu *emu, struct emu_args *args)
{
	unsigned int start = args->v[2] & 0xff, len = args->v[2] >> 8 & 0xff;

	return bmi_result(emu, args, start < 64 ? low_bits(args->v[1] >> start, len) : 0, false);
}

/* The bits of v[1] go, from the lowest on, to the places that are set in v[2]. */
static enum emu_result pdep(struct emu *emu, struct emu_args *args)
{
	uint64_t source = args->v[1], mask, result = 0;

	(void)emu;
	for (mask = args->v[2]; mask; mask &= mask - 1, source >>= 1) {
		if (source & 1)
			result |= mask & -mask;
	}
	args->v[0] = result;
	return EMU_OK;
}

/* ... and back. */
static enum emu_result pext(struct emu *emu, struct emu_args *args)
{
	uint64_t mask, result = 0;
	unsigned int to = 0;

	(void)emu;
	for (mask = args->v[2]; mask; mask &= mask - 1, to++) {
		if (args->v[1] & mask & -mask)
			result |= 1ULL << to;
	}
	args->v[0] = result;
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */

/* The polynomial 11EDC6F41h, its bits reflected (Intel SDM Vol. 2, CRC32). */
static enum emu_result crc32(struct emu *emu, struct emu_args *args)
{
	uint32_t crc = (uint32_t)args->v[0];

	for (unsigned int i = 0; i < emu->op[1].size; i++) {
		bool out = (crc ^ args->v[1] >> i) & 1;

		crc = crc >> 1 ^ (out ? 0x82f63b78 : 0);
	}
	args->v[0] = crc;
	return EMU_OK;
}

const struct emu_op emu_bit_ops[] = {
	{ZYDIS_MNEMONIC_BT, bt},
	{ZYDIS_MNEMONIC_BTS, bts},
	{ZYDIS_MNEMONIC_BTR, btr},
	{ZYDIS_MNEMONIC_BTC, btc},
	{ZYDIS_MNEMONIC_BSF, bsf},
	{ZYDIS_MNEMONIC_BSR, bsr},
	{ZYDIS_MNEMONIC_TZCNT, tzcnt},
	{ZYDIS_MNEMONIC_LZCNT, lzcnt},
	{ZYDIS_MNEMONIC_POPCNT, popcnt},
	{ZYDIS_MNEMONIC_ANDN, andn},
	{ZYDIS_MNEMONIC_BLSI, blsi},
	{ZYDIS_MNEMONIC_BLSR, blsr},
	{ZYDIS_MNEMONIC_BLSMSK, blsmsk},
	{ZYDIS_MNEMONIC_BZHI, bzhi},
	{ZYDIS_MNEMONIC_BEXTR, bextr},
	{ZYDIS_MNEMONIC_PDEP, pdep},
	{ZYDIS_MNEMONIC_PEXT, pext},
	{ZYDIS_MNEMONIC_CRC32, crc32},
	{0, NULL},
};
