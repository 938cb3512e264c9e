/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Zydis says of an instruction that kmod/decode.c was given. Included by test_decode.c and by
 * the fuzzer of the same name.
 */
#ifndef TESTS_UNIT_DECODE_ZYDIS_H
#define TESTS_UNIT_DECODE_ZYDIS_H

#include <Zydis/Zydis.h>

#include "include/uapi/hv.h"
#include "kmod/decode.h"
#include "vmm/emulate/decode.h"

static inline bool zydis_init(ZydisDecoder *decoder, enum decode_mode mode)
{
	static const ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
						   ZYDIS_MACHINE_MODE_LEGACY_32,
						   ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth width[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
						ZYDIS_STACK_WIDTH_64};

	return ZYAN_SUCCESS(ZydisDecoderInit(decoder, machine[mode], width[mode]));
}

static inline bool known_mnemonic(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_MOV || m == ZYDIS_MNEMONIC_MOVZX || m == ZYDIS_MNEMONIC_MOVSX ||
	       m == ZYDIS_MNEMONIC_MOVSXD;
}

/* By the manual alone: is this one of the forms that decode.h lists? */
static inline bool should_accept(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
	bool memory = ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY ||
		      ops[1].type == ZYDIS_OPERAND_TYPE_MEMORY;

	if (!memory || !known_mnemonic(z->mnemonic))
		return false;
	if (z->opcode_map == ZYDIS_OPCODE_MAP_0F)
		return (z->opcode & 0xf6) == 0xb6;
	if (z->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	switch (z->opcode) {
	case 0x63:
		return z->operand_width != 16;
	case 0x88 ... 0x8b:
	case 0xa0 ... 0xa3:
	case 0xc6:
	case 0xc7:
		return true;
	default:
		return false;
	}
}

/* Our number of a register that Zydis names, -1: none. */
static inline int register_number(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return -1;
	return ZydisRegisterGetId(
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg));
}

/* What Zydis sees otherwise in the memory operand, or NULL. */
static inline const char *memory_difference(const struct decode_mem *m,
					    const ZydisDecodedInstruction *z,
					    const ZydisDecodedOperand *op)
{
	bool rip = op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP;

	if (m->rip_relative != rip)
		return "RIP-relative";
	if (m->base != (rip ? -1 : register_number(op->mem.base)))
		return "base";
	if (m->index != register_number(op->mem.index))
		return "index";
	if (m->index >= 0 && 1 << m->scale != op->mem.scale)
		return "scale";
	if (m->address_size * 8 != z->address_width)
		return "address size";
	if (m->seg != ZydisRegisterGetId(op->mem.segment))
		return "segment";
	return m->disp == (u64)op->mem.disp.value ? NULL : "displacement";
}

/* What Zydis sees otherwise, or NULL. */
static inline const char *difference(const struct decode_insn *insn,
				     const ZydisDecodedInstruction *z,
				     const ZydisDecodedOperand *ops)
{
	bool write = ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
	const ZydisDecodedOperand *mem = &ops[!write], *other = &ops[write];
	bool sign = z->mnemonic == ZYDIS_MNEMONIC_MOVSX || z->mnemonic == ZYDIS_MNEMONIC_MOVSXD;
	const char *what;

	if (!known_mnemonic(z->mnemonic))
		return "instruction";
	if (mem->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return "memory operand";
	if (insn->len != z->length)
		return "length";
	if (insn->write != write)
		return "direction";
	if (insn->size * 8 != mem->size)
		return "size";
	if (insn->sign_extend != sign)
		return "sign extension";
	what = memory_difference(&insn->mem, z, mem);
	if (what)
		return what;
	if (insn->immediate) {
		u64 mask = insn->size == 8 ? ~0ULL : (1ULL << (8 * insn->size)) - 1;

		if (other->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return "source";
		return insn->imm == (other->imm.value.u & mask) ? NULL : "immediate";
	}

	if (other->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return "register operand";
	bool high = other->reg.value >= ZYDIS_REGISTER_AH && other->reg.value <= ZYDIS_REGISTER_BH;

	if (insn->high_byte != high)
		return "high byte";
	if (insn->reg != register_number(other->reg.value) + (high ? 4 : 0))
		return "register";
	return insn->dest_size * 8 == other->size ? NULL : "width of the register";
}

#endif
