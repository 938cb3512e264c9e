/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoding of guests' instructions: Zydis, with what Debian's version of it gets wrong put right. */
#ifndef VMM_EMULATE_DECODE_H
#define VMM_EMULATE_DECODE_H

#include <Zydis/Zydis.h>

/*
 * Decode the instruction at bytes, of which at most len are read, into insn and op. Returns what
 * ZydisDecoderDecodeFull() returns.
 */
ZyanStatus decode_instruction(const ZydisDecoder *decoder, const uint8_t *bytes, size_t len,
			      ZydisDecodedInstruction *insn,
			      ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT]);

#endif
