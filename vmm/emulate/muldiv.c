// SPDX-License-Identifier: GPL-2.0-or-later
/* Multiplication and division: the class emu_muldiv_ops of data.c. */
#include "emulate/alu.h"
#include "emulate/internal.h"

__extension__ typedef __int128 s128;

static s128 extended(const struct emu_args *args, uint64_t value)
{
	return (int64_t)alu_sign_extend(value, args->size);
}

/* CF and OF say that the upper half of the product means something. */
static void set_overflow(struct emu *emu, bool value)
{
	alu_set_flag(&emu->gprs.rflags, FLAG_CF | FLAG_OF, value);
}

/* ------------------------------------------------------------------------- */
/* Operands twice as wide: AX, DX:AX, EDX:EAX, RDX:RAX                        */

static u128 read_wide(const struct emu *emu, unsigned int size)
{
	unsigned int bits = size * 8;

	if (size == 1)
		return emu_read_low(emu, HV_RAX, 16);
	return (u128)emu_read_low(emu, HV_RDX, bits) << bits | emu_read_low(emu, HV_RAX, bits);
}

static void write_halves(struct emu *emu, unsigned int size, uint64_t low, uint64_t high)
{
	if (size == 1) {
		emu_write_low(emu, HV_RAX, 16, (high & 0xff) << 8 | (low & 0xff));
		return;
	}
	emu_write_low(emu, HV_RAX, size * 8, low);
	emu_write_low(emu, HV_RDX, size * 8, high);
}

/* ------------------------------------------------------------------------- */

static enum emu_result mul(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8;
	u128 product = (u128)args->v[0] * emu_read_low(emu, HV_RAX, bits);

	write_halves(emu, args->size, (uint64_t)product, (uint64_t)(product >> bits));
	set_overflow(emu, product >> bits);
	return EMU_OK;
}

/* Of one operand as MUL; of two and three with a product as wide as they are. */
static enum emu_result imul(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8, n = emu->insn.operand_count_visible;
	s128 product;

	if (n == 1) {
		product = extended(args, args->v[0]) *
			  extended(args, emu_read_low(emu, HV_RAX, bits));
		write_halves(emu, args->size, (uint64_t)product, (uint64_t)(product >> bits));
	} else {
		product = extended(args, args->v[n - 2]) * extended(args, args->v[n - 1]);
		args->v[0] = (uint64_t)product;
	}
	set_overflow(emu, product != extended(args, (uint64_t)product));
	return EMU_OK;
}

/* The upper half goes to operand 0, the lower one to operand 1. */
static enum emu_result mulx(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8;
	u128 product = (u128)args->v[2] * emu_read_low(emu, HV_RDX, bits);

	args->v[0] = (uint64_t)(product >> bits);
	args->v[1] = (uint64_t)product;
	return EMU_OK;
}

static enum emu_result divide_error(struct emu *emu)
{
	return emu_raise(emu, VECTOR_DE, false, 0);
}

static enum emu_result divide(struct emu *emu, struct emu_args *args)
{
	u128 dividend = read_wide(emu, args->size);
	uint64_t divisor = args->v[0];

	if (!divisor || dividend / divisor > alu_mask(args->size))
		return divide_error(emu);
	write_halves(emu, args->size, (uint64_t)(dividend / divisor),
		     (uint64_t)(dividend % divisor));
	return EMU_OK;
}

/* By magnitudes: C has no word for the quotient of the least dividend and -1. */
static enum emu_result divide_signed(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8;
	u128 dividend = read_wide(emu, args->size), quotient;
	uint64_t divisor = alu_sign_extend(args->v[0], args->size), remainder;
	bool down = dividend >> (2 * bits - 1) & 1, negative = down != (divisor >> 63);

	if (down)
		dividend = ~(u128)0 >> (128 - 2 * bits) & -dividend;
	if (divisor >> 63)
		divisor = -divisor;
	if (!divisor)
		return divide_error(emu);
	quotient = dividend / divisor;
	remainder = (uint64_t)(dividend % divisor);
	if (quotient >= (1ULL << (bits - 1)) + negative)
		return divide_error(emu);
	write_halves(emu, args->size, negative ? -(uint64_t)quotient : (uint64_t)quotient,
		     down ? -remainder : remainder);
	return EMU_OK;
}

const struct emu_op emu_muldiv_ops[] = {
	{ZYDIS_MNEMONIC_MUL, mul},
	{ZYDIS_MNEMONIC_IMUL, imul},
	{ZYDIS_MNEMONIC_MULX, mulx},
	{ZYDIS_MNEMONIC_DIV, divide},
	{ZYDIS_MNEMONIC_IDIV, divide_signed},
	{0, NULL},
};
