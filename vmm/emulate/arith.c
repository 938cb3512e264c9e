// SPDX-License-Identifier: GPL-2.0-or-later
/* Addition, subtraction, logic and exchanges: the class emu_arith_ops of data.c. */
#include "emulate/alu.h"
#include "emulate/internal.h"
#include "emulate/segment.h"

static bool carry(const struct emu *emu)
{
	return emu->gprs.rflags & FLAG_CF;
}

static enum emu_result add(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_add(args->size, args->v[0], args->v[1], false, &emu->gprs.rflags);
	return EMU_OK;
}

static enum emu_result adc(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_add(args->size, args->v[0], args->v[1], carry(emu), &emu->gprs.rflags);
	return EMU_OK;
}

/* CMP is a SUB that writes no operand. */
static enum emu_result sub(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_sub(args->size, args->v[0], args->v[1], false, &emu->gprs.rflags);
	return EMU_OK;
}

static enum emu_result sbb(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_sub(args->size, args->v[0], args->v[1], carry(emu), &emu->gprs.rflags);
	return EMU_OK;
}

/* So is TEST an AND. */
static enum emu_result bit_and(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_logic(args->size, args->v[0] & args->v[1], &emu->gprs.rflags);
	return EMU_OK;
}

static enum emu_result bit_or(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_logic(args->size, args->v[0] | args->v[1], &emu->gprs.rflags);
	return EMU_OK;
}

static enum emu_result bit_xor(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_logic(args->size, args->v[0] ^ args->v[1], &emu->gprs.rflags);
	return EMU_OK;
}

/* The carry flag stays. */
static enum emu_result inc(struct emu *emu, struct emu_args *args)
{
	bool before = carry(emu);

	args->v[0] = alu_add(args->size, args->v[0], 1, false, &emu->gprs.rflags);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, before);
	return EMU_OK;
}

static enum emu_result dec(struct emu *emu, struct emu_args *args)
{
	bool before = carry(emu);

	args->v[0] = alu_sub(args->size, args->v[0], 1, false, &emu->gprs.rflags);
	alu_set_flag(&emu->gprs.rflags, FLAG_CF, before);
	return EMU_OK;
}

static enum emu_result neg(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_sub(args->size, 0, args->v[0], false, &emu->gprs.rflags);
	return EMU_OK;
}

static enum emu_result bit_not(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = ~args->v[0];
	return EMU_OK;
}

static enum emu_result xchg(struct emu *emu, struct emu_args *args)
{
	uint64_t old = args->v[0];

	(void)emu;
	args->v[0] = args->v[1];
	args->v[1] = old;
	return EMU_OK;
}

static enum emu_result xadd(struct emu *emu, struct emu_args *args)
{
	uint64_t old = args->v[0];

	args->v[0] = alu_add(args->size, old, args->v[1], false, &emu->gprs.rflags);
	args->v[1] = old;
	return EMU_OK;
}

/* An accumulator that is not equal gets the operand, which gets its own value again. */
static enum emu_result cmpxchg(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8;
	uint64_t accumulator = emu_read_low(emu, HV_RAX, bits), old = args->v[0];

	alu_sub(args->size, accumulator, old, false, &emu->gprs.rflags);
	if (accumulator == old)
		args->v[0] = args->v[1];
	else
		emu_write_low(emu, HV_RAX, bits, old);
	return EMU_OK;
}

/* EDX:EAX is compared with the operand; of the flags ZF alone changes. */
static enum emu_result cmpxchg8b(struct emu *emu, struct emu_args *args)
{
	uint64_t old = args->v[0];

	if (old == (emu->gprs.r[HV_RDX] << 32 | (uint32_t)emu->gprs.r[HV_RAX])) {
		args->v[0] = emu->gprs.r[HV_RCX] << 32 | (uint32_t)emu->gprs.r[HV_RBX];
		emu->gprs.rflags |= FLAG_ZF;
		return EMU_OK;
	}
	emu_write_low(emu, HV_RAX, 32, old);
	emu_write_low(emu, HV_RDX, 32, old >> 32);
	emu->gprs.rflags &= ~FLAG_ZF;
	return EMU_OK;
}

/* An addition that knows one flag: the carry of one chain among others. */
static void add_with(struct emu *emu, struct emu_args *args, uint64_t flag)
{
	__u64 flags = 0;

	args->v[0] = alu_add(args->size, args->v[0], args->v[1], emu->gprs.rflags & flag, &flags);
	alu_set_flag(&emu->gprs.rflags, flag, flags & FLAG_CF);
}

static enum emu_result adcx(struct emu *emu, struct emu_args *args)
{
	add_with(emu, args, FLAG_CF);
	return EMU_OK;
}

static enum emu_result adox(struct emu *emu, struct emu_args *args)
{
	add_with(emu, args, FLAG_OF);
	return EMU_OK;
}

/* The operand's RPL becomes the register's, if that is less privileged. */
static enum emu_result arpl(struct emu *emu, struct emu_args *args)
{
	uint64_t rpl = args->v[1] & SELECTOR_RPL;
	bool less = (args->v[0] & SELECTOR_RPL) < rpl;

	if (!emu_is_protected(emu))
		return emu_raise(emu, VECTOR_UD, false, 0);
	args->keep = !less;
	args->v[0] = (args->v[0] & ~(uint64_t)SELECTOR_RPL) | rpl;
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, less);
	return EMU_OK;
}

/* The bounds are both in the operand, the lower one first. */
static enum emu_result bound(struct emu *emu, struct emu_args *args)
{
	unsigned int bits = args->size * 8;
	int64_t index = (int64_t)alu_sign_extend(args->v[0], args->size);

	if (index < (int64_t)alu_sign_extend(args->v[1], args->size) ||
	    index > (int64_t)alu_sign_extend(args->v[1] >> bits, args->size))
		return emu_raise(emu, VECTOR_BR, false, 0);
	return EMU_OK;
}

const struct emu_op emu_arith_ops[] = {
	{ZYDIS_MNEMONIC_ADD, add},
	{ZYDIS_MNEMONIC_ADC, adc},
	{ZYDIS_MNEMONIC_SUB, sub},
	{ZYDIS_MNEMONIC_SBB, sbb},
	{ZYDIS_MNEMONIC_CMP, sub},
	{ZYDIS_MNEMONIC_AND, bit_and},
	{ZYDIS_MNEMONIC_OR, bit_or},
	{ZYDIS_MNEMONIC_XOR, bit_xor},
	{ZYDIS_MNEMONIC_TEST, bit_and},
	{ZYDIS_MNEMONIC_INC, inc},
	{ZYDIS_MNEMONIC_DEC, dec},
	{ZYDIS_MNEMONIC_NEG, neg},
	{ZYDIS_MNEMONIC_NOT, bit_not},
	{ZYDIS_MNEMONIC_XCHG, xchg},
	{ZYDIS_MNEMONIC_XADD, xadd},
	{ZYDIS_MNEMONIC_CMPXCHG, cmpxchg},
	{ZYDIS_MNEMONIC_CMPXCHG8B, cmpxchg8b},
	{ZYDIS_MNEMONIC_ADCX, adcx},
	{ZYDIS_MNEMONIC_ADOX, adox},
	{ZYDIS_MNEMONIC_ARPL, arpl},
	{ZYDIS_MNEMONIC_BOUND, bound},
	{0, NULL},
};
