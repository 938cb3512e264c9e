// SPDX-License-Identifier: GPL-2.0
/*
 * Plain MOV-class instructions that access memory-mapped I/O, accesses to control
 * registers, and the lengths of instructions that always exit. Called by the exit
 * handlers, with bytes that were copied from guest memory once: they are the
 * guest's, so each is bounded where it is taken.
 *
 * The processor reports the address that faulted; decode_offset() tells whether
 * the access began before it. Anything but these forms goes to user space, which
 * has a whole decoder.
 *
 * Encodings: Intel SDM Vol. 2, chapter "Instruction Format" and appendix
 * "Opcode Map"; AMD APM Vol. 3, chapter 1.
 */
#include <linux/string.h>
#include "decode.h"

#define REX_W	   8
#define REX_R	   4
#define REX_X	   2
#define REX_B	   1

#define NO_SEGMENT 0xff

struct prefixes {
	bool operand_size; /* 66 */
	bool address_size; /* 67 */
	bool lock;	   /* F0 */
	u8 rex;		   /* 0: none */
	u8 segment;	   /* the last override, or NO_SEGMENT */
};

/* The bytes that are left of an instruction. */
struct cursor {
	const u8 *bytes;
	unsigned int pos, avail;
	bool short_of; /* a byte was wanted beyond avail */
};

static u8 next(struct cursor *c)
{
	if (c->pos >= c->avail) {
		c->short_of = true;
		return 0;
	}
	return c->bytes[c->pos++];
}

/* A little-endian value of n bytes, sign-extended. */
static u64 next_signed(struct cursor *c, unsigned int n)
{
	u64 v = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		v |= (u64)next(c) << (8 * i);
	return (u64)((s64)(v << (64 - 8 * n)) >> (64 - 8 * n));
}

static struct cursor cursor_begin(const u8 *bytes, unsigned int avail)
{
	return (struct cursor){
		.bytes = bytes,
		.avail = avail < HV_INSN_MAX ? avail : HV_INSN_MAX,
	};
}

/*
 * Take the prefixes; the cursor then stands at the opcode. REP and REPNE change
 * nothing here. A REX that is not next to the opcode is void.
 */
static struct prefixes take_prefixes(struct cursor *c, enum decode_mode mode)
{
	struct prefixes p = {.segment = NO_SEGMENT};

	for (; c->pos < c->avail; c->pos++) {
		u8 byte = c->bytes[c->pos];

		switch (byte) {
		case 0x66:
			p.operand_size = true;
			break;
		case 0x67:
			p.address_size = true;
			break;
		case 0xf0:
			p.lock = true;
			break;
		case 0xf2:
		case 0xf3:
			break;
		case 0x26: /* ES, CS, SS, DS; ignored in 64-bit mode: APM Vol. 3, 1.2.4 */
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (mode != DECODE_64)
				p.segment = byte >> 3 & 3;
			break;
		case 0x64: /* FS, GS */
		case 0x65:
			p.segment = byte - 0x60;
			break;
		default:
			if (mode != DECODE_64 || (byte & 0xf0) != 0x40)
				return p;
			p.rex = byte;
			continue;
		}
		p.rex = 0;
	}
	return p;
}

static unsigned int operand_size(const struct prefixes *p, enum decode_mode mode)
{
	if (p->rex & REX_W)
		return 8;
	return (mode == DECODE_16) != p->operand_size ? 2 : 4;
}

static unsigned int address_size(const struct prefixes *p, enum decode_mode mode)
{
	if (mode == DECODE_64)
		return p->address_size ? 4 : 8;
	return (mode == DECODE_16) != p->address_size ? 2 : 4;
}

/* SDM Vol. 2, table "16-Bit Addressing Forms": base and index by r/m. */
static void take_mem16(struct cursor *c, u8 modrm, struct decode_mem *m)
{
	static const s8 bases[] = {3, 3, 5, 5, 6, 7, 5, 3};
	static const s8 indexes[] = {6, 7, 6, 7, -1, -1, -1, -1};
	u8 mod = modrm >> 6, rm = modrm & 7;

	m->base = bases[rm];
	m->index = indexes[rm];
	if (mod == 0 && rm == 6) {
		m->base = -1;
		mod = 2;
	}
	if (m->base == 5)
		m->seg = SEG_SS;
	if (mod)
		m->disp = next_signed(c, mod);
}

/* Tables "32-Bit Addressing Forms" and "... with the SIB Byte". */
static void take_mem32(struct cursor *c, u8 modrm, const struct prefixes *p, enum decode_mode mode,
		       struct decode_mem *m)
{
	u8 mod = modrm >> 6, rm = modrm & 7, sib;

	if (rm == 4) {
		sib = next(c);
		rm = sib & 7;
		m->scale = sib >> 6;
		m->index = (sib >> 3 & 7) | (p->rex & REX_X ? 8 : 0);
		if (m->index == 4)
			m->index = -1;
		/* No base, nor RIP, with a SIB. */
		if (mod == 0 && rm == 5) {
			m->disp = next_signed(c, 4);
			return;
		}
	} else if (mod == 0 && rm == 5) {
		m->rip_relative = mode == DECODE_64;
		m->disp = next_signed(c, 4);
		return;
	}
	/* REX.B counts for the segment, other than for SIB and displacement: R12 and R13 use DS. */
	m->base = rm | (p->rex & REX_B ? 8 : 0);
	if (m->base == 4 || m->base == 5)
		m->seg = SEG_SS;
	if (mod)
		m->disp = next_signed(c, mod == 1 ? 1 : 4);
}

/* Take ModRM and what belongs to it. A register operand (mod 3) is the caller's to refuse. */
static u8 take_modrm(struct cursor *c, const struct prefixes *p, enum decode_mode mode,
		     struct decode_mem *m)
{
	u8 modrm = next(c);

	if (modrm >> 6 == 3)
		return modrm;
	if (m->address_size == 2)
		take_mem16(c, modrm, m);
	else
		take_mem32(c, modrm, p, mode, m);
	if (p->segment != NO_SEGMENT)
		m->seg = p->segment;
	return modrm;
}

bool decode_mov(const u8 *bytes, unsigned int avail, enum decode_mode mode,
		struct decode_insn *insn)
{
	struct cursor c = cursor_begin(bytes, avail);
	struct prefixes p = take_prefixes(&c, mode);
	unsigned int full = operand_size(&p, mode);
	u8 opcode = next(&c), modrm;

	/* MOV with LOCK is a #UD */
	if (p.lock)
		return false;
	memset(insn, 0, sizeof(*insn));
	insn->mem.base = -1;
	insn->mem.index = -1;
	insn->mem.seg = SEG_DS;
	insn->mem.address_size = address_size(&p, mode);

	switch (opcode) {
	case 0x88: /* MOV r/m8, r8 */
	case 0x89: /* MOV r/m, r */
	case 0x8a: /* MOV r8, r/m8 */
	case 0x8b: /* MOV r, r/m */
		insn->size = opcode & 1 ? full : 1;
		insn->write = !(opcode & 2);
		break;
	case 0xa0: /* MOV AL, moffs8 */
	case 0xa1: /* MOV rAX, moffs */
	case 0xa2: /* MOV moffs8, AL */
	case 0xa3: /* MOV moffs, rAX */
		insn->size = opcode & 1 ? full : 1;
		insn->dest_size = insn->size;
		insn->write = opcode & 2;
		insn->mem.disp = next_signed(&c, insn->mem.address_size);
		if (p.segment != NO_SEGMENT)
			insn->mem.seg = p.segment;
		insn->len = c.pos;
		return !c.short_of;
	case 0xc6: /* MOV r/m8, imm8 */
	case 0xc7: /* MOV r/m, imm */
		insn->size = opcode & 1 ? full : 1;
		insn->write = true;
		insn->immediate = true;
		break;
	case 0x63: /* MOVSXD r, r/m32; ARPL outside 64-bit mode */
		/* With 66 the makers differ in the width that is read. */
		if (mode != DECODE_64 || full == 2)
			return false;
		insn->size = 4;
		insn->dest_size = full;
		insn->sign_extend = true;
		break;
	case 0x0f:
		opcode = next(&c);
		if ((opcode & 0xf6) != 0xb6)
			return false;
		/* MOVZX (B6, B7) and MOVSX (BE, BF) */
		insn->size = opcode & 1 ? 2 : 1;
		insn->dest_size = full;
		insn->sign_extend = opcode & 8;
		break;
	default:
		return false;
	}

	modrm = take_modrm(&c, &p, mode, &insn->mem);
	if (modrm >> 6 == 3)
		return false;
	insn->reg = modrm >> 3 & 7;
	if (insn->immediate) {
		if (insn->reg)
			return false;
		/* 64-bit operands have 32-bit immediates. */
		insn->imm = next_signed(&c, insn->size == 8 ? 4 : insn->size);
		if (insn->size < 8)
			insn->imm &= (1ULL << (8 * insn->size)) - 1;
	} else if (p.rex & REX_R) {
		insn->reg |= 8;
	}
	if (!insn->dest_size) {
		insn->dest_size = insn->size;
		/* Any REX, even 40, turns AH..BH into SPL..DIL. */
		insn->high_byte = insn->size == 1 && !insn->immediate && !p.rex && insn->reg >= 4;
	}
	insn->len = c.pos;
	return !c.short_of;
}

bool decode_cr(const u8 *bytes, unsigned int avail, enum decode_mode mode, struct decode_cr *cr)
{
	struct cursor c = cursor_begin(bytes, avail);
	struct prefixes p = take_prefixes(&c, mode);
	u8 modrm = 0;

	memset(cr, 0, sizeof(*cr));
	if (next(&c) != 0x0f)
		return false;
	switch (next(&c)) {
	case 0x06: /* CLTS */
		cr->op = DECODE_CLTS;
		break;
	case 0x20: /* MOV r, CR */
	case 0x22: /* MOV CR, r */
		/* The mode bits are ignored: the operand is a register. */
		modrm = next(&c);
		cr->op = DECODE_MOV_CR;
		cr->size = mode == DECODE_64 ? 8 : 4;
		break;
	case 0x01: /* SMSW r/m, LMSW r/m */
		modrm = next(&c);
		if ((modrm >> 3 & 5) != 4)
			return false;
		cr->op = DECODE_MSW;
		cr->size = operand_size(&p, mode);
		cr->memory = modrm >> 6 != 3;
		break;
	default:
		return false;
	}
	cr->gpr = (modrm & 7) | (p.rex & REX_B ? 8 : 0);
	cr->len = c.pos;
	return !c.short_of;
}

unsigned int decode_length(const u8 *bytes, unsigned int avail, enum decode_mode mode,
			   const u8 *opcode, unsigned int opcode_len)
{
	struct cursor c = cursor_begin(bytes, avail);
	unsigned int i;

	take_prefixes(&c, mode);
	for (i = 0; i < opcode_len; i++) {
		if (next(&c) != opcode[i])
			return 0;
	}
	return c.short_of ? 0 : c.pos;
}

u64 decode_offset(const struct decode_insn *insn, const u64 *regs, u64 rip)
{
	const struct decode_mem *m = &insn->mem;
	u64 offset = m->disp;

	if (m->base >= 0)
		offset += regs[m->base];
	if (m->index >= 0)
		offset += regs[m->index] << m->scale;
	if (m->rip_relative)
		offset += rip + insn->len;
	return m->address_size == 8 ? offset : offset & ((1ULL << (8 * m->address_size)) - 1);
}

u64 decode_merge(const struct decode_insn *insn, u64 old, u64 data)
{
	unsigned int unused = 64 - 8 * insn->size;

	data <<= unused;
	data = insn->sign_extend ? (u64)((s64)data >> unused) : data >> unused;

	switch (insn->dest_size) {
	case 1:
		if (insn->high_byte)
			return (old & ~0xff00ULL) | data << 8;
		return (old & ~0xffULL) | data;
	case 2:
		return (old & ~0xffffULL) | (u16)data;
	case 4:
		/* SDM Vol. 1, "General-Purpose Registers in 64-Bit Mode": zero-extended */
		return (u32)data;
	default:
		return data;
	}
}
