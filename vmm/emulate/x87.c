// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87 instructions with an operand in memory: loads, stores, arithmetic and the control and
 * status words. This processor's own x87 unit executes them, on the guest's registers and a copy
 * of the operand, so that conversions, rounding and flags are right. Not FLDENV, FRSTOR and
 * their likes, whose format depends on the mode. Called by emulate.c.
 */
#include <string.h>

#include "emulate/internal.h"

#define FIRST_OPCODE 0xd8 /* to 0xdf */

/* The status word's flags of exceptions, which are the control word's masks, too */
#define FSW_EXCEPTIONS	 0x3f
#define FSW_PRECISION	 0x20
#define FSW_ES		 0x80

#define INDEX(op, digit) (((op)-FIRST_OPCODE) * 8 + (digit))
#define MAX_OPERAND	 16

/* Each of them on what RDI points to, and a RET: four bytes, in the order of INDEX(). */
extern const uint8_t x87_instructions[];

/*
 * Execute one with the x87 registers of *guest; *host keeps ours meanwhile. An exception that it
 * raises waits in the status word, and is gone from the processor with the guest's registers.
 */
void x87_execute(void *operand, struct xstate_legacy *guest, const uint8_t *instruction,
		 struct xstate_legacy *host);

__asm__(".pushsection .text\n"
	"	.balign 4\n"
	"x87_instructions:\n"
	"	.set	opcode, 0xd8\n"
	"	.rept	8\n"
	"	.set	modrm, 0x07\n"
	"	.rept	8\n"
	"	.byte	opcode, modrm, 0xc3, 0xcc\n"
	"	.set	modrm, modrm + 8\n"
	"	.endr\n"
	"	.set	opcode, opcode + 1\n"
	"	.endr\n"
	"x87_execute:\n"
	"	fxsave64 (%rcx)\n"
	"	fxrstor64 (%rsi)\n"
	"	call	*%rdx\n"
	"	fxsave64 (%rsi)\n"
	"	fxrstor64 (%rcx)\n"
	"	ret\n"
	"	.popsection\n");

static bool is_pending(const struct xstate_legacy *x87)
{
	return x87->fsw & FSW_ES || x87->fsw & ~x87->fcw & FSW_EXCEPTIONS;
}

enum emu_result emu_check_x87(struct emu *emu, struct xstate *x)
{
	return is_pending(xstate_x87(x)) ? emu_raise(emu, VECTOR_MF, false, 0) : EMU_OK;
}

/* One that is not masked, but for that of an inexact result, keeps a store from being made. */
static bool is_stored(const struct xstate_legacy *x87)
{
	return !(x87->fsw & ~x87->fcw & FSW_EXCEPTIONS & ~FSW_PRECISION);
}

/* Where the last instruction was, and its operand: of ours they must not tell. */
static void set_pointers(const struct emu *emu, unsigned int mem, struct xstate_legacy *x87)
{
	x87->fop = (uint16_t)((emu->insn.opcode & 7) << 8 |
			      (emu->insn.raw.modrm.mod << 6 | emu->insn.raw.modrm.reg << 3 |
			       emu->insn.raw.modrm.rm));
	x87->fip = emu->gprs.rip;
	x87->fdp = emu_operand_offset(emu, mem);
}

static bool is_environment(unsigned int index)
{
	switch (index) {
	case INDEX(0xd9, 4): /* FLDENV */
	case INDEX(0xd9, 6): /* FNSTENV */
	case INDEX(0xdd, 4): /* FRSTOR */
	case INDEX(0xdd, 6): /* FNSAVE */
		return true;
	default:
		return false;
	}
}

/* FNSTCW and FNSTSW, which look at no exception that waits. */
static bool stores_word(unsigned int index)
{
	return index == INDEX(0xd9, 7) || index == INDEX(0xdd, 7);
}

static void execute(const struct emu *emu, unsigned int index, unsigned int mem, void *operand,
		    struct xstate_legacy *x87)
{
	bool is_control = index == INDEX(0xd9, 5) /* FLDCW */ || stores_word(index);
	_Alignas(16) struct xstate_legacy host;
	const struct xstate_legacy before = *x87;

	x87_execute(operand, x87, &x87_instructions[index * 4], &host);
	x87->fop = before.fop;
	x87->fip = before.fip;
	x87->fdp = before.fdp;
	if (!is_control)
		set_pointers(emu, mem, x87);
}

enum emu_result emu_x87(struct emu *emu)
{
	unsigned int index = INDEX(emu->insn.opcode, emu->insn.raw.modrm.reg);
	unsigned int mem = emu_memory_operand(emu);
	uint8_t operand[MAX_OPERAND] = {0};
	struct xstate_legacy *x87;
	struct walk_range access;
	enum emu_result ret;
	struct xstate *x;
	bool is_store;

	if (emu->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT ||
	    (emu->insn.opcode & ~7U) != FIRST_OPCODE || mem == EMU_NO_OPERAND ||
	    is_environment(index))
		return EMU_UNKNOWN;
	if (emu->run->sregs.cr0 & (CR0_EM | CR0_TS))
		return emu_raise(emu, VECTOR_NM, false, 0);
	ret = emu_get_xstate(emu, &x);
	if (ret == EMU_OK && !stores_word(index))
		ret = emu_check_x87(emu, x);
	is_store = emu->op[mem].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	if (ret == EMU_OK)
		ret = emu_find_operand(emu, mem, 0, is_store, &access);
	if (ret != EMU_OK)
		return ret;

	if (!is_store)
		emu_load_bytes(emu, &access, operand);
	x87 = xstate_x87(x);
	execute(emu, index, mem, operand, x87);
	if (is_store && (stores_word(index) || is_stored(x87)))
		emu_store_bytes(emu, &access, operand);
	return emu_set_xstate(emu);
}
