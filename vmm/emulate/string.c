// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * String instructions: INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS, with and without
 * repetition (Intel SDM Vol. 2, under their names). Called by emulate.c.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"

/* An interrupt may have to wait for this many steps; a device may do work in each. */
#define MAX_STEPS 1024

/* Opcodes, with bit 0 (the operand is a byte or wider) taken away */
enum {
	OP_INS = 0x6c,
	OP_OUTS = 0x6e,
	OP_MOVS = 0xa4,
	OP_CMPS = 0xa6,
	OP_STOS = 0xaa,
	OP_LODS = 0xac,
	OP_SCAS = 0xae,
};

#define PREFIX_REPNE 0xf2
#define PREFIX_REP   0xf3

struct string {
	unsigned int opcode;
	unsigned int size;     /* bytes of an element */
	unsigned int width;    /* bits of RSI, RDI and RCX that count */
	ZydisRegister segment; /* of the source */
	uint8_t repeat;	       /* prefix, or 0 */
};

static bool is_string(const struct emu *emu)
{
	if (emu->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	switch (emu->insn.opcode & ~1U) {
	case OP_INS:
	case OP_OUTS:
	case OP_MOVS:
	case OP_CMPS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
		return true;
	}
	return false;
}

/* The operand addressed by RSI has the segment, with an override taken into account. */
static ZydisRegister source_segment(const struct emu *emu)
{
	for (unsigned int i = 0; i < emu->insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &emu->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (op->mem.base == ZYDIS_REGISTER_SI || op->mem.base == ZYDIS_REGISTER_ESI ||
		     op->mem.base == ZYDIS_REGISTER_RSI))
			return op->mem.segment;
	}
	return ZYDIS_REGISTER_DS;
}

/* The last repeat prefix counts. */
static uint8_t repeat_prefix(const struct emu *emu)
{
	uint8_t repeat = 0;

	for (unsigned int i = 0; i < emu->insn.raw.prefix_count; i++) {
		uint8_t value = emu->insn.raw.prefixes[i].value;

		if (value == PREFIX_REP || value == PREFIX_REPNE)
			repeat = value;
	}
	return repeat;
}

static unsigned int element_size(const struct emu *emu)
{
	bool port = (emu->insn.opcode & ~1U) == OP_INS || (emu->insn.opcode & ~1U) == OP_OUTS;

	if (!(emu->insn.opcode & 1))
		return 1;
	/* No port is wider than 32 bits. */
	if (port && emu->insn.operand_width > 32)
		return 4;
	return emu->insn.operand_width / 8;
}

static void advance(struct emu *emu, const struct string *s, enum hv_gpr reg)
{
	uint64_t at = emu_read_low(emu, reg, s->width);
	bool down = emu->gprs.rflags & FLAG_DF;

	emu_write_low(emu, reg, s->width, down ? at - s->size : at + s->size);
}

static enum emu_result translate_source(struct emu *emu, const struct string *s,
					struct walk_range *access)
{
	return emu_translate(emu, s->segment, emu_read_low(emu, HV_RSI, s->width), s->size, false,
			     access);
}

/* Always in ES. */
static enum emu_result translate_dest(struct emu *emu, const struct string *s, bool write,
				      struct walk_range *access)
{
	return emu_translate(emu, ZYDIS_REGISTER_ES, emu_read_low(emu, HV_RDI, s->width), s->size,
			     write, access);
}

static enum emu_result step_ins(struct emu *emu, const struct string *s)
{
	uint16_t port = (uint16_t)emu->gprs.r[HV_RDX];
	struct walk_range dest;
	uint64_t value = ~0ULL;
	enum emu_result ret = translate_dest(emu, s, true, &dest);

	if (ret != EMU_OK)
		return ret;
	bus_read(emu->env->pio, port, s->size, &value);
	emu_store(emu, &dest, value & alu_mask(s->size));
	advance(emu, s, HV_RDI);
	return EMU_OK;
}

static enum emu_result step_outs(struct emu *emu, const struct string *s)
{
	uint16_t port = (uint16_t)emu->gprs.r[HV_RDX];
	struct walk_range source;
	enum emu_result ret = translate_source(emu, s, &source);

	if (ret != EMU_OK)
		return ret;
	bus_write(emu->env->pio, port, s->size, emu_load(emu, &source));
	advance(emu, s, HV_RSI);
	return EMU_OK;
}

/* Both sides are translated first: a read that a device noticed is not repeated. */
static enum emu_result step_movs(struct emu *emu, const struct string *s)
{
	struct walk_range source, dest;
	enum emu_result ret = translate_source(emu, s, &source);

	if (ret == EMU_OK)
		ret = translate_dest(emu, s, true, &dest);
	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &dest, emu_load(emu, &source));
	advance(emu, s, HV_RSI);
	advance(emu, s, HV_RDI);
	return EMU_OK;
}

static enum emu_result step_cmps(struct emu *emu, const struct string *s)
{
	struct walk_range source, dest;
	enum emu_result ret = translate_source(emu, s, &source);
	uint64_t value;

	if (ret == EMU_OK)
		ret = translate_dest(emu, s, false, &dest);
	if (ret != EMU_OK)
		return ret;
	value = emu_load(emu, &source);
	alu_sub(s->size, value, emu_load(emu, &dest), false, &emu->gprs.rflags);
	advance(emu, s, HV_RSI);
	advance(emu, s, HV_RDI);
	return EMU_OK;
}

static enum emu_result step_stos(struct emu *emu, const struct string *s)
{
	struct walk_range dest;
	enum emu_result ret = translate_dest(emu, s, true, &dest);

	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &dest, emu->gprs.r[HV_RAX] & alu_mask(s->size));
	advance(emu, s, HV_RDI);
	return EMU_OK;
}

static enum emu_result step_lods(struct emu *emu, const struct string *s)
{
	struct walk_range source;
	enum emu_result ret = translate_source(emu, s, &source);
	__u64 *rax = &emu->gprs.r[HV_RAX];
	uint64_t value;

	if (ret != EMU_OK)
		return ret;
	value = emu_load(emu, &source);
	if (s->size == 1)
		*rax = (*rax & ~0xffULL) | value;
	else
		emu_write_low(emu, HV_RAX, s->size * 8, value);
	advance(emu, s, HV_RSI);
	return EMU_OK;
}

static enum emu_result step_scas(struct emu *emu, const struct string *s)
{
	struct walk_range dest;
	enum emu_result ret = translate_dest(emu, s, false, &dest);

	if (ret != EMU_OK)
		return ret;
	alu_sub(s->size, emu->gprs.r[HV_RAX], emu_load(emu, &dest), false, &emu->gprs.rflags);
	advance(emu, s, HV_RDI);
	return EMU_OK;
}

static enum emu_result step(struct emu *emu, const struct string *s)
{
	switch (s->opcode) {
	case OP_INS:
		return step_ins(emu, s);
	case OP_OUTS:
		return step_outs(emu, s);
	case OP_MOVS:
		return step_movs(emu, s);
	case OP_CMPS:
		return step_cmps(emu, s);
	case OP_STOS:
		return step_stos(emu, s);
	case OP_LODS:
		return step_lods(emu, s);
	case OP_SCAS:
		return step_scas(emu, s);
	}
	return EMU_UNKNOWN;
}

/* Comparisons stop at the first element that is not, or is, equal. */
static bool compare_stops(const struct emu *emu, const struct string *s)
{
	bool equal = emu->gprs.rflags & FLAG_ZF;

	if (s->opcode != OP_CMPS && s->opcode != OP_SCAS)
		return false;
	return s->repeat == PREFIX_REP ? !equal : equal;
}

static enum emu_result repeat(struct emu *emu, const struct string *s)
{
	/* A single-stepping guest gets its trap after each element. */
	unsigned int steps = emu->gprs.rflags & FLAG_TF ? 1 : MAX_STEPS;
	uint64_t count = emu_read_low(emu, HV_RCX, s->width);

	while (count) {
		enum emu_result ret;

		if (!steps--)
			return EMU_PART;
		ret = step(emu, s);
		if (ret != EMU_OK)
			return ret;
		emu_write_low(emu, HV_RCX, s->width, --count);
		/* Resumed, it is beyond its breakpoint (Intel SDM Vol. 3, 17.3.1.1). */
		emu->gprs.rflags |= FLAG_RF;
		emu->safe = emu->gprs;
		if (compare_stops(emu, s))
			break;
	}
	return EMU_OK;
}

enum emu_result emu_string(struct emu *emu)
{
	struct string s = {
		.opcode = emu->insn.opcode & ~1U,
		.size = element_size(emu),
		.width = emu->insn.address_width,
		.segment = source_segment(emu),
		.repeat = repeat_prefix(emu),
	};
	enum emu_result ret = EMU_OK;

	if (!is_string(emu))
		return EMU_UNKNOWN;
	if (s.opcode == OP_INS || s.opcode == OP_OUTS)
		ret = emu_check_port(emu, (uint16_t)emu->gprs.r[HV_RDX], s.size);
	if (ret != EMU_OK)
		return ret;
	return s.repeat ? repeat(emu, &s) : step(emu, &s);
}
