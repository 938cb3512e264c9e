// SPDX-License-Identifier: GPL-2.0-or-later
/* kmod/decode.c: what it takes for an instruction, and what that says, are what Zydis says. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/kmod/decode_zydis.h"

/* Wherever it takes one, the length is right; cut short it takes none. */
static void check_cr(const uint8_t *bytes, size_t size, enum decode_mode mode,
		     const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops)
{
	struct decode_cr cr;

	if (!decode_cr(bytes, size, mode, &cr) || !z)
		return;
	must(cr.len <= z->length);
	must(cr.gpr < 16);
	switch (cr.op) {
	case DECODE_CLTS:
		must(z->mnemonic == ZYDIS_MNEMONIC_CLTS && cr.len == z->length);
		break;
	case DECODE_MSW:
		must(z->mnemonic == ZYDIS_MNEMONIC_LMSW || z->mnemonic == ZYDIS_MNEMONIC_SMSW);
		must(cr.memory == (ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY));
		if (cr.memory)
			break;
		must(cr.len == z->length);
		must(cr.gpr == register_number(ops[0].reg.value));
		if (z->mnemonic == ZYDIS_MNEMONIC_SMSW)
			must(cr.size * 8 == ops[0].size);
		break;
	default:
		must(z->mnemonic == ZYDIS_MNEMONIC_MOV && cr.len == z->length);
		must(cr.size == (mode == DECODE_64 ? 8 : 4));
		must(cr.gpr == register_number(ops[bytes[cr.len - 2] >> 1 & 1].reg.value));
		break;
	}
}

static void check_length(const uint8_t *bytes, size_t size, enum decode_mode mode,
			 const ZydisDecodedInstruction *z)
{
	static const struct {
		uint8_t opcode[3];
		unsigned int len;
		ZydisMnemonic mnemonic;
	} known[] = {
		{{0x0f, 0xa2}, 2, ZYDIS_MNEMONIC_CPUID},
		{{0x0f, 0x30}, 2, ZYDIS_MNEMONIC_WRMSR},
		{{0x0f, 0x32}, 2, ZYDIS_MNEMONIC_RDMSR},
		{{0xf4}, 1, ZYDIS_MNEMONIC_HLT},
		{{0x0f, 0x01, 0xd9}, 3, ZYDIS_MNEMONIC_VMMCALL},
	};

	for (unsigned int i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		unsigned int len = decode_length(bytes, size, mode, known[i].opcode, known[i].len);

		/* VMMCALL with a prefix may be something else: the processor has said what it is. */
		if (len && z && known[i].len < 3)
			must(z->mnemonic == known[i].mnemonic && z->length == len);
		if (z && z->mnemonic == known[i].mnemonic &&
		    !(z->attributes & ZYDIS_ATTRIB_HAS_LOCK))
			must(len == z->length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT] = {0};
	u64 regs[16];
	struct decode_insn insn;
	ZydisDecodedInstruction z;
	enum decode_mode mode;
	ZydisDecoder decoder;
	uint8_t *bytes;
	bool ok, zok;

	if (!size)
		return 0;
	mode = data[0] % 3;
	size = size - 1 < 15 ? size - 1 : 15;
	/* A copy that ends there, so that a byte too many is noticed. */
	bytes = malloc(size ? size : 1);
	memcpy(bytes, data + 1, size);
	must(zydis_init(&decoder, mode));
	zok = ZYAN_SUCCESS(decode_instruction(&decoder, bytes, size, &z, ops));
	ok = decode_mov(bytes, size, mode, &insn);
	must(zok || !ok);
	if (zok)
		must(ok == should_accept(&z, ops));
	if (ok) {
		const char *what = difference(&insn, &z, ops);

		if (what)
			fprintf(stderr, "%s\n", what);
		must(!what);
		for (unsigned int i = 0; i < 16; i++)
			regs[i] = i * 0x1111111111111111ULL;
		if (insn.mem.address_size < 8)
			must(!(decode_offset(&insn, regs, 0x1234) >> (insn.mem.address_size * 8)));
		if (!insn.write)
			must(decode_merge(&insn, ~0ULL, 0) != ~0ULL);
	}
	check_cr(bytes, size, mode, zok ? &z : NULL, ops);
	check_length(bytes, size, mode, zok ? &z : NULL);
	free(bytes);
	return 0;
}
