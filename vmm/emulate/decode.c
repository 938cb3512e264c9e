// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>

#include "emulate/decode.h"

/*
 * A SIB byte whose base is 5, under a ModRM byte whose mod is 0, has no base but a displacement of 32
 * bits, whatever REX.B says (Intel SDM Vol. 2, table 2-5). Zydis 4.0 makes R13D of it, and forgets the
 * displacement, where addresses have 32 bits.
 */
static bool has_no_base(const ZydisDecodedInstruction *insn)
{
	return insn->attributes & ZYDIS_ATTRIB_HAS_SIB && insn->raw.sib.base == 5 &&
	       insn->raw.modrm.mod == 0;
}

ZyanStatus decode_instruction(const ZydisDecoder *decoder, const uint8_t *bytes, size_t len,
			      ZydisDecodedInstruction *insn,
			      ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT])
{
	ZyanStatus status = ZydisDecoderDecodeFull(decoder, bytes, len, insn, op);

	if (!ZYAN_SUCCESS(status) || !has_no_base(insn))
		return status;
	for (unsigned int i = 0; i < insn->operand_count; i++) {
		if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    op[i].mem.base != ZYDIS_REGISTER_R13D)
			continue;
		op[i].mem.base = ZYDIS_REGISTER_NONE;
		op[i].mem.disp.has_displacement = true;
		op[i].mem.disp.value = insn->raw.disp.value;
	}
	return status;
}
