// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Moves between memory and MMX or vector registers, LDMXCSR and STMXCSR (Intel SDM Vol. 2,
 * under their names), as SSE, AVX and, without a mask, AVX-512 have them. Called by emulate.c.
 */
#include <string.h>

#include "emulate/internal.h"

enum kind {
	WHOLE,	   /* the operand; what is left of the vector becomes zero */
	LOW_HALF,  /* of 128 bits; the other half stays, or is another register's */
	HIGH_HALF, /* likewise */
	REPEAT,	   /* the operand again and again */
};

struct move {
	ZydisMnemonic mnemonic;
	enum kind kind;
	bool aligned; /* or #GP */
};

static const struct move moves[] = {
	{ZYDIS_MNEMONIC_MOVD, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVQ, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVSS, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVSD, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVUPS, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVUPD, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVDQU, WHOLE, false},
	{ZYDIS_MNEMONIC_LDDQU, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVAPS, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVAPD, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVDQA, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVNTPS, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVNTPD, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVNTDQ, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVNTDQA, WHOLE, true},
	{ZYDIS_MNEMONIC_MOVNTQ, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVNTSS, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVNTSD, WHOLE, false},
	{ZYDIS_MNEMONIC_MOVLPS, LOW_HALF, false},
	{ZYDIS_MNEMONIC_MOVLPD, LOW_HALF, false},
	{ZYDIS_MNEMONIC_MOVHPS, HIGH_HALF, false},
	{ZYDIS_MNEMONIC_MOVHPD, HIGH_HALF, false},
	{ZYDIS_MNEMONIC_VMOVD, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVQ, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVSS, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVSD, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVUPS, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVUPD, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVDQU, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVDQU8, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVDQU16, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVDQU32, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVDQU64, WHOLE, false},
	{ZYDIS_MNEMONIC_VLDDQU, WHOLE, false},
	{ZYDIS_MNEMONIC_VMOVAPS, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVAPD, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVDQA, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVDQA32, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVDQA64, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVNTPS, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVNTPD, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVNTDQ, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVNTDQA, WHOLE, true},
	{ZYDIS_MNEMONIC_VMOVLPS, LOW_HALF, false},
	{ZYDIS_MNEMONIC_VMOVLPD, LOW_HALF, false},
	{ZYDIS_MNEMONIC_VMOVHPS, HIGH_HALF, false},
	{ZYDIS_MNEMONIC_VMOVHPD, HIGH_HALF, false},
	{ZYDIS_MNEMONIC_VBROADCASTSS, REPEAT, false},
	{ZYDIS_MNEMONIC_VBROADCASTSD, REPEAT, false},
	{ZYDIS_MNEMONIC_VBROADCASTF128, REPEAT, false},
	{ZYDIS_MNEMONIC_VBROADCASTI128, REPEAT, false},
	{ZYDIS_MNEMONIC_VPBROADCASTB, REPEAT, false},
	{ZYDIS_MNEMONIC_VPBROADCASTW, REPEAT, false},
	{ZYDIS_MNEMONIC_VPBROADCASTD, REPEAT, false},
	{ZYDIS_MNEMONIC_VPBROADCASTQ, REPEAT, false},
};

static const struct move *find_move(ZydisMnemonic mnemonic)
{
	for (unsigned int i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		if (moves[i].mnemonic == mnemonic)
			return &moves[i];
	}
	return NULL;
}

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

static bool is_legacy(const struct emu *emu)
{
	return emu->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}

static bool is_mmx(const struct emu *emu, unsigned int i)
{
	return ZydisRegisterGetClass(emu->op[i].reg.value) == ZYDIS_REGCLASS_MMX;
}

static bool is_vector(const struct emu *emu, unsigned int i)
{
	switch (ZydisRegisterGetClass(emu->op[i].reg.value)) {
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return emu->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER;
	default:
		return false;
	}
}

static unsigned int reg_number(const struct emu *emu, unsigned int i)
{
	return (unsigned int)ZydisRegisterGetId(emu->op[i].reg.value);
}

/* Intel SDM Vol. 2, "Exceptions Type" 1 to 6, E1 to E9; for MMX Vol. 3, table 13-1. */
static enum emu_result check_available(struct emu *emu, bool mmx)
{
	const struct hv_sregs *s = &emu->run->sregs;
	uint64_t xcr0 = XCR0_SSE | XCR0_AVX;
	bool available;

	if (emu->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
		xcr0 |= XCR0_AVX512;
	if (is_legacy(emu))
		available = !(s->cr0 & CR0_EM) && (mmx || s->cr4 & CR4_OSFXSR);
	else
		available =
			emu_is_protected(emu) && s->cr4 & CR4_OSXSAVE && (s->xcr0 & xcr0) == xcr0;
	if (!available)
		return emu_raise(emu, VECTOR_UD, false, 0);
	if (s->cr0 & CR0_TS)
		return emu_raise(emu, VECTOR_NM, false, 0);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* MMX                                                                        */

static enum emu_result move_mmx(struct emu *emu, unsigned int mem, unsigned int reg)
{
	bool store = mem == 0;
	struct walk_range access;
	enum emu_result ret = check_available(emu, true);
	struct xstate *x;

	if (ret == EMU_OK)
		ret = emu_get_xstate(emu, &x);
	if (ret == EMU_OK)
		ret = emu_check_x87(emu, x);
	if (ret == EMU_OK)
		ret = emu_find_operand(emu, mem, 0, store, &access);
	if (ret != EMU_OK)
		return ret;
	xstate_enter_mmx(x);
	if (store)
		emu_store(emu, &access, xstate_read_mmx(x, reg_number(emu, reg)));
	else
		xstate_write_mmx(x, reg_number(emu, reg), emu_load(emu, &access));
	return emu_set_xstate(emu);
}

/* ------------------------------------------------------------------------- */
/* Vectors                                                                    */

/* Where in the register the operand in memory belongs. */
static unsigned int place(enum kind kind)
{
	return kind == HIGH_HALF ? 8 : 0;
}

static enum emu_result store(struct emu *emu, const struct move *move, unsigned int reg,
			     const struct walk_range *access)
{
	uint8_t value[XSTATE_VECTOR];
	struct xstate *x;
	enum emu_result ret = emu_get_xstate(emu, &x);

	if (ret != EMU_OK)
		return ret;
	xstate_read_vector(x, reg_number(emu, reg), value);
	emu_store_bytes(emu, access, value + place(move->kind));
	return EMU_OK;
}

/* mem: the operand in memory, which is the last */
static enum emu_result load(struct emu *emu, const struct move *move, unsigned int mem,
			    const struct walk_range *access)
{
	unsigned int width = emu_operand_size(emu, 0), size = emu_operand_size(emu, mem);
	uint8_t value[XSTATE_VECTOR] = {0}, old[XSTATE_VECTOR];
	struct xstate *x;
	enum emu_result ret = emu_get_xstate(emu, &x);

	if (ret != EMU_OK)
		return ret;
	/* The destination itself, or with three operands the second. */
	xstate_read_vector(x, reg_number(emu, mem - 1), old);
	if (move->kind == LOW_HALF || move->kind == HIGH_HALF)
		memcpy(value, old, 16);
	emu_load_bytes(emu, access, value + place(move->kind));
	for (unsigned int i = size; move->kind == REPEAT && i < width; i += size)
		memcpy(value + i, value, size);
	if (is_legacy(emu))
		memcpy(value + 16, old + 16, sizeof(value) - 16);
	xstate_write_vector(x, reg_number(emu, 0), value);
	return emu_set_xstate(emu);
}

static enum emu_result move_vector(struct emu *emu, const struct move *move, unsigned int mem,
				   unsigned int reg)
{
	bool is_store = mem == 0;
	struct walk_range access;
	enum emu_result ret = check_available(emu, false);

	if (ret == EMU_OK && move->aligned)
		ret = emu_find_aligned(emu, mem, is_store, &access);
	else if (ret == EMU_OK)
		ret = emu_find_operand(emu, mem, 0, is_store, &access);
	if (ret != EMU_OK)
		return ret;
	return is_store ? store(emu, move, reg, &access) : load(emu, move, mem, &access);
}

/* ------------------------------------------------------------------------- */
/* MXCSR                                                                      */

static enum emu_result move_mxcsr(struct emu *emu, bool is_store)
{
	struct walk_range access;
	struct xstate *x;
	enum emu_result ret = check_available(emu, false);

	if (ret == EMU_OK)
		ret = emu_find_operand(emu, 0, 0, is_store, &access);
	if (ret == EMU_OK)
		ret = emu_get_xstate(emu, &x);
	if (ret != EMU_OK)
		return ret;
	if (is_store) {
		emu_store(emu, &access, xstate_mxcsr(x));
		return EMU_OK;
	}
	if (!xstate_set_mxcsr(x, (uint32_t)emu_load(emu, &access)))
		return emu_raise(emu, VECTOR_GP, true, 0);
	return emu_set_xstate(emu);
}

/* ------------------------------------------------------------------------- */

static bool has_mask(const struct emu *emu)
{
	return emu->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX &&
	       emu->insn.avx.mask.reg != ZYDIS_REGISTER_K0 &&
	       emu->insn.avx.mask.reg != ZYDIS_REGISTER_NONE;
}

enum emu_result emu_vector(struct emu *emu)
{
	const struct move *move = find_move(emu->insn.mnemonic);
	unsigned int last = emu->insn.operand_count_visible - 1, mem, reg;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_VLDMXCSR:
		return move_mxcsr(emu, false);
	case ZYDIS_MNEMONIC_STMXCSR:
	case ZYDIS_MNEMONIC_VSTMXCSR:
		return move_mxcsr(emu, true);
	default:
		break;
	}
	if (!move || has_mask(emu))
		return EMU_UNKNOWN;
	/* Between them there may be another register, or a mask that is none. */
	mem = emu_is_mem(emu, 0) ? 0 : last;
	reg = last - mem;
	if (!emu_is_mem(emu, mem))
		return EMU_UNKNOWN;
	if (is_mmx(emu, reg))
		return move_mmx(emu, mem, reg);
	return is_vector(emu, reg) ? move_vector(emu, move, mem, reg) : EMU_UNKNOWN;
}
