// SPDX-License-Identifier: GPL-2.0-or-later
/* Moves, conditional ones too: the classes emu_move_ops of data.c. */
#include "emulate/alu.h"
#include "emulate/internal.h"

/* Zero-extension is what reading a narrower operand does by itself. */
static enum emu_result mov(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = args->v[1];
	return EMU_OK;
}

static enum emu_result movsx(struct emu *emu, struct emu_args *args)
{
	args->v[0] = alu_sign_extend(args->v[1], emu_operand_size(emu, 1));
	return EMU_OK;
}

static enum emu_result movbe(struct emu *emu, struct emu_args *args)
{
	(void)emu;
	args->v[0] = __builtin_bswap64(args->v[1]) >> (64 - args->size * 8);
	return EMU_OK;
}

/* The condition that the low half of the opcode names: Intel SDM Vol. 1, B.1. */
static bool condition(const struct emu *emu)
{
	uint64_t flags = emu->gprs.rflags;
	bool less = !(flags & FLAG_SF) != !(flags & FLAG_OF), is = false;

	switch (emu->insn.opcode >> 1 & 7) {
	case 0:
		is = flags & FLAG_OF;
		break;
	case 1:
		is = flags & FLAG_CF;
		break;
	case 2:
		is = flags & FLAG_ZF;
		break;
	case 3:
		is = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		is = flags & FLAG_SF;
		break;
	case 5:
		is = flags & FLAG_PF;
		break;
	case 6:
		is = less;
		break;
	case 7:
		is = less || (flags & FLAG_ZF);
		break;
	}
	return is != (emu->insn.opcode & 1);
}

/* The register is written in either case: one of 32 bits loses its upper half. */
static enum emu_result cmov(struct emu *emu, struct emu_args *args)
{
	if (condition(emu))
		args->v[0] = args->v[1];
	return EMU_OK;
}

static enum emu_result setcc(struct emu *emu, struct emu_args *args)
{
	args->v[0] = condition(emu);
	return EMU_OK;
}

/* AL becomes the byte behind RBX that it counts; the operand, which is not visible, is RBX. */
static enum emu_result xlat(struct emu *emu, struct emu_args *args)
{
	int64_t index = (int64_t)emu_read_reg(emu, ZYDIS_REGISTER_AL);
	struct walk_range access;
	enum emu_result ret = emu_find_operand(emu, 0, index, false, &access);

	(void)args;
	if (ret == EMU_OK)
		emu_write_reg(emu, ZYDIS_REGISTER_AL, emu_load(emu, &access));
	return ret;
}

const struct emu_op emu_move_ops[] = {
	{ZYDIS_MNEMONIC_MOV, mov},
	{ZYDIS_MNEMONIC_MOVZX, mov},
	{ZYDIS_MNEMONIC_MOVSX, movsx},
	{ZYDIS_MNEMONIC_MOVSXD, movsx},
	{ZYDIS_MNEMONIC_MOVBE, movbe},
	{ZYDIS_MNEMONIC_MOVNTI, mov},
	{ZYDIS_MNEMONIC_MOVDIRI, mov},
	{ZYDIS_MNEMONIC_CMOVO, cmov},
	{ZYDIS_MNEMONIC_CMOVNO, cmov},
	{ZYDIS_MNEMONIC_CMOVB, cmov},
	{ZYDIS_MNEMONIC_CMOVNB, cmov},
	{ZYDIS_MNEMONIC_CMOVZ, cmov},
	{ZYDIS_MNEMONIC_CMOVNZ, cmov},
	{ZYDIS_MNEMONIC_CMOVBE, cmov},
	{ZYDIS_MNEMONIC_CMOVNBE, cmov},
	{ZYDIS_MNEMONIC_CMOVS, cmov},
	{ZYDIS_MNEMONIC_CMOVNS, cmov},
	{ZYDIS_MNEMONIC_CMOVP, cmov},
	{ZYDIS_MNEMONIC_CMOVNP, cmov},
	{ZYDIS_MNEMONIC_CMOVL, cmov},
	{ZYDIS_MNEMONIC_CMOVNL, cmov},
	{ZYDIS_MNEMONIC_CMOVLE, cmov},
	{ZYDIS_MNEMONIC_CMOVNLE, cmov},
	{ZYDIS_MNEMONIC_SETO, setcc},
	{ZYDIS_MNEMONIC_SETNO, setcc},
	{ZYDIS_MNEMONIC_SETB, setcc},
	{ZYDIS_MNEMONIC_SETNB, setcc},
	{ZYDIS_MNEMONIC_SETZ, setcc},
	{ZYDIS_MNEMONIC_SETNZ, setcc},
	{ZYDIS_MNEMONIC_SETBE, setcc},
	{ZYDIS_MNEMONIC_SETNBE, setcc},
	{ZYDIS_MNEMONIC_SETS, setcc},
	{ZYDIS_MNEMONIC_SETNS, setcc},
	{ZYDIS_MNEMONIC_SETP, setcc},
	{ZYDIS_MNEMONIC_SETNP, setcc},
	{ZYDIS_MNEMONIC_SETL, setcc},
	{ZYDIS_MNEMONIC_SETNL, setcc},
	{ZYDIS_MNEMONIC_SETLE, setcc},
	{ZYDIS_MNEMONIC_SETNLE, setcc},
	{ZYDIS_MNEMONIC_XLAT, xlat},
	{0, NULL},
};
