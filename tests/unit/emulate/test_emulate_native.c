// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction emulation against the processor the tests run on: each instruction some
 * thousands of times with random registers, flags and operands, on it and in the emulator,
 * where the operand is in a device or in RAM. Registers, memory, the flags that are defined
 * and exceptions must be the same. EMULATE_SEED gives the sequence, EMULATE_CASES its length.
 */
#define _GNU_SOURCE /* registers in a ucontext */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_native.h"
#include "suite.h"

#define STATUS_FLAGS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* ------------------------------------------------------------------------- */
/* Instructions                                                               */

/* Which flags an instruction leaves undefined, according to Intel's and AMD's manuals. */
enum undefined {
	ALL_DEFINED,
	LOGIC,	/* AF */
	SHIFT,	/* AF; OF unless by 1; CF when all bits are shifted out */
	ROTATE, /* OF unless by 1 */
	DOUBLE, /* as SHIFT; by more than the operand has nothing is defined */
	MULTIPLY,
	DIVIDE,
	SCAN,
	BIT,
	COUNT,
	BMI,
	EXTRACT,
};

#define W	 0x01 /* 64 bits with REX.W or VEX.W */
#define O	 0x02 /* 16 bits with prefix 66 */
#define L	 0x04 /* LOCK */
#define B	 0x08 /* an operand of a byte */
#define VEX	 0x10 /* prefix, opcode and map are those of a VEX */
#define STACKS	 0x20 /* the memory operand is the stack alone: no ModRM */
#define IMM1	 0x40
#define IMM_OP	 0x80  /* as wide as the operand, at most 4 */
#define BY_CL	 0x100 /* the count is in CL */
#define BY_ONE	 0x200
#define ONLY_W	 0x400 /* always 64 bits */
#define JUMPS	 0x800 /* the operand is the place of a pad, most times */

#define FRAME	 0x1000 /* the immediates of ENTER */

#define NO_DIGIT 8 /* ModRM.reg is a register */

struct insn {
	const char *name;
	uint8_t prefix; /* mandatory: 66, F2 or F3 */
	uint8_t map;	/* 0, 0F, 38 or 3A */
	uint8_t opcode;
	uint8_t digit;
	enum undefined undefined;
	unsigned int form;
};

#define ARITH(name, base, digit, lock)                                                   \
	{name " m8, r8", 0, 0, base, NO_DIGIT, ALL_DEFINED, B | lock},                   \
		{name " m, r", 0, 0, base + 1, NO_DIGIT, ALL_DEFINED, W | O | lock},     \
		{name " r8, m8", 0, 0, base + 2, NO_DIGIT, ALL_DEFINED, B},              \
		{name " r, m", 0, 0, base + 3, NO_DIGIT, ALL_DEFINED, W | O},            \
		{name " m8, imm8", 0, 0, 0x80, digit, ALL_DEFINED, B | lock | IMM1},     \
		{name " m, imm", 0, 0, 0x81, digit, ALL_DEFINED, W | O | lock | IMM_OP}, \
	{                                                                                \
		name " m, imm8", 0, 0, 0x83, digit, ALL_DEFINED, W | O | lock | IMM1     \
	}
#define BITWISE(name, base, digit)                                              \
	{name " m8, r8", 0, 0, base, NO_DIGIT, LOGIC, B | L},                   \
		{name " m, r", 0, 0, base + 1, NO_DIGIT, LOGIC, W | O | L},     \
		{name " r8, m8", 0, 0, base + 2, NO_DIGIT, LOGIC, B},           \
		{name " r, m", 0, 0, base + 3, NO_DIGIT, LOGIC, W | O},         \
		{name " m8, imm8", 0, 0, 0x80, digit, LOGIC, B | L | IMM1},     \
		{name " m, imm", 0, 0, 0x81, digit, LOGIC, W | O | L | IMM_OP}, \
	{                                                                       \
		name " m, imm8", 0, 0, 0x83, digit, LOGIC, W | O | L | IMM1     \
	}
#define SHIFTS(name, digit, kind)                                         \
	{name " m8, imm8", 0, 0, 0xc0, digit, kind, B | IMM1},            \
		{name " m, imm8", 0, 0, 0xc1, digit, kind, W | O | IMM1}, \
		{name " m8, 1", 0, 0, 0xd0, digit, kind, B | BY_ONE},     \
		{name " m, 1", 0, 0, 0xd1, digit, kind, W | O | BY_ONE},  \
		{name " m8, cl", 0, 0, 0xd2, digit, kind, B | BY_CL},     \
	{                                                                 \
		name " m, cl", 0, 0, 0xd3, digit, kind, W | O | BY_CL     \
	}
#define CONDITIONS(name, base, form)                                          \
	{name "o", 0, 0x0f, base + 0, NO_DIGIT, ALL_DEFINED, form},           \
		{name "no", 0, 0x0f, base + 1, NO_DIGIT, ALL_DEFINED, form},  \
		{name "b", 0, 0x0f, base + 2, NO_DIGIT, ALL_DEFINED, form},   \
		{name "nb", 0, 0x0f, base + 3, NO_DIGIT, ALL_DEFINED, form},  \
		{name "z", 0, 0x0f, base + 4, NO_DIGIT, ALL_DEFINED, form},   \
		{name "nz", 0, 0x0f, base + 5, NO_DIGIT, ALL_DEFINED, form},  \
		{name "be", 0, 0x0f, base + 6, NO_DIGIT, ALL_DEFINED, form},  \
		{name "nbe", 0, 0x0f, base + 7, NO_DIGIT, ALL_DEFINED, form}, \
		{name "s", 0, 0x0f, base + 8, NO_DIGIT, ALL_DEFINED, form},   \
		{name "ns", 0, 0x0f, base + 9, NO_DIGIT, ALL_DEFINED, form},  \
		{name "p", 0, 0x0f, base + 10, NO_DIGIT, ALL_DEFINED, form},  \
		{name "np", 0, 0x0f, base + 11, NO_DIGIT, ALL_DEFINED, form}, \
		{name "l", 0, 0x0f, base + 12, NO_DIGIT, ALL_DEFINED, form},  \
		{name "nl", 0, 0x0f, base + 13, NO_DIGIT, ALL_DEFINED, form}, \
		{name "le", 0, 0x0f, base + 14, NO_DIGIT, ALL_DEFINED, form}, \
	{                                                                     \
		name "nle", 0, 0x0f, base + 15, NO_DIGIT, ALL_DEFINED, form   \
	}

static const struct insn moves[] = {
	{"mov m8, r8", 0, 0, 0x88, NO_DIGIT, ALL_DEFINED, B},
	{"mov m, r", 0, 0, 0x89, NO_DIGIT, ALL_DEFINED, W | O},
	{"mov r8, m8", 0, 0, 0x8a, NO_DIGIT, ALL_DEFINED, B},
	{"mov r, m", 0, 0, 0x8b, NO_DIGIT, ALL_DEFINED, W | O},
	{"mov m8, imm8", 0, 0, 0xc6, 0, ALL_DEFINED, B | IMM1},
	{"mov m, imm", 0, 0, 0xc7, 0, ALL_DEFINED, W | O | IMM_OP},
	{"movsxd", 0, 0, 0x63, NO_DIGIT, ALL_DEFINED, W},
	{"movzx r, m8", 0, 0x0f, 0xb6, NO_DIGIT, ALL_DEFINED, W | O},
	{"movzx r, m16", 0, 0x0f, 0xb7, NO_DIGIT, ALL_DEFINED, W | O},
	{"movsx r, m8", 0, 0x0f, 0xbe, NO_DIGIT, ALL_DEFINED, W | O},
	{"movsx r, m16", 0, 0x0f, 0xbf, NO_DIGIT, ALL_DEFINED, W | O},
	{"movbe r, m", 0, 0x38, 0xf0, NO_DIGIT, ALL_DEFINED, W | O},
	{"movbe m, r", 0, 0x38, 0xf1, NO_DIGIT, ALL_DEFINED, W | O},
	{"movnti", 0, 0x0f, 0xc3, NO_DIGIT, ALL_DEFINED, W},
	CONDITIONS("cmov", 0x40, W | O),
	CONDITIONS("set", 0x90, B),
};

static const struct insn arithmetic[] = {
	ARITH("add", 0x00, 0, L),
	ARITH("adc", 0x10, 2, L),
	ARITH("sbb", 0x18, 3, L),
	ARITH("sub", 0x28, 5, L),
	ARITH("cmp", 0x38, 7, 0),
	BITWISE("or", 0x08, 1),
	BITWISE("and", 0x20, 4),
	BITWISE("xor", 0x30, 6),
	{"test m8, r8", 0, 0, 0x84, NO_DIGIT, LOGIC, B},
	{"test m, r", 0, 0, 0x85, NO_DIGIT, LOGIC, W | O},
	{"test m8, imm8", 0, 0, 0xf6, 0, LOGIC, B | IMM1},
	{"test m, imm", 0, 0, 0xf7, 0, LOGIC, W | O | IMM_OP},
	{"inc m8", 0, 0, 0xfe, 0, ALL_DEFINED, B | L},
	{"inc m", 0, 0, 0xff, 0, ALL_DEFINED, W | O | L},
	{"dec m8", 0, 0, 0xfe, 1, ALL_DEFINED, B | L},
	{"dec m", 0, 0, 0xff, 1, ALL_DEFINED, W | O | L},
	{"not m8", 0, 0, 0xf6, 2, ALL_DEFINED, B | L},
	{"not m", 0, 0, 0xf7, 2, ALL_DEFINED, W | O | L},
	{"neg m8", 0, 0, 0xf6, 3, ALL_DEFINED, B | L},
	{"neg m", 0, 0, 0xf7, 3, ALL_DEFINED, W | O | L},
	{"xchg m8, r8", 0, 0, 0x86, NO_DIGIT, ALL_DEFINED, B | L},
	{"xchg m, r", 0, 0, 0x87, NO_DIGIT, ALL_DEFINED, W | O | L},
	{"xadd m8, r8", 0, 0x0f, 0xc0, NO_DIGIT, ALL_DEFINED, B | L},
	{"xadd m, r", 0, 0x0f, 0xc1, NO_DIGIT, ALL_DEFINED, W | O | L},
	{"cmpxchg m8, r8", 0, 0x0f, 0xb0, NO_DIGIT, ALL_DEFINED, B | L},
	{"cmpxchg m, r", 0, 0x0f, 0xb1, NO_DIGIT, ALL_DEFINED, W | O | L},
	{"cmpxchg8b, 16b", 0, 0x0f, 0xc7, 1, ALL_DEFINED, W | L},
	{"adcx", 0x66, 0x38, 0xf6, NO_DIGIT, ALL_DEFINED, W},
	{"adox", 0xf3, 0x38, 0xf6, NO_DIGIT, ALL_DEFINED, W},
};

static const struct insn shifts[] = {
	SHIFTS("rol", 0, ROTATE),
	SHIFTS("ror", 1, ROTATE),
	SHIFTS("rcl", 2, ROTATE),
	SHIFTS("rcr", 3, ROTATE),
	SHIFTS("shl", 4, SHIFT),
	SHIFTS("shr", 5, SHIFT),
	SHIFTS("sar", 7, SHIFT),
	{"shld m, r, imm8", 0, 0x0f, 0xa4, NO_DIGIT, DOUBLE, W | O | IMM1},
	{"shld m, r, cl", 0, 0x0f, 0xa5, NO_DIGIT, DOUBLE, W | O | BY_CL},
	{"shrd m, r, imm8", 0, 0x0f, 0xac, NO_DIGIT, DOUBLE, W | O | IMM1},
	{"shrd m, r, cl", 0, 0x0f, 0xad, NO_DIGIT, DOUBLE, W | O | BY_CL},
	{"shlx", 0x66, 0x38, 0xf7, NO_DIGIT, ALL_DEFINED, VEX | W},
	{"sarx", 0xf3, 0x38, 0xf7, NO_DIGIT, ALL_DEFINED, VEX | W},
	{"shrx", 0xf2, 0x38, 0xf7, NO_DIGIT, ALL_DEFINED, VEX | W},
	{"rorx", 0xf2, 0x3a, 0xf0, NO_DIGIT, ALL_DEFINED, VEX | W | IMM1},
};

static const struct insn bits[] = {
	{"bt m, imm8", 0, 0x0f, 0xba, 4, BIT, W | O | IMM1},
	{"bts m, imm8", 0, 0x0f, 0xba, 5, BIT, W | O | IMM1 | L},
	{"btr m, imm8", 0, 0x0f, 0xba, 6, BIT, W | O | IMM1 | L},
	{"btc m, imm8", 0, 0x0f, 0xba, 7, BIT, W | O | IMM1 | L},
	{"bt m, r", 0, 0x0f, 0xa3, NO_DIGIT, BIT, W | O},
	{"bts m, r", 0, 0x0f, 0xab, NO_DIGIT, BIT, W | O | L},
	{"btr m, r", 0, 0x0f, 0xb3, NO_DIGIT, BIT, W | O | L},
	{"btc m, r", 0, 0x0f, 0xbb, NO_DIGIT, BIT, W | O | L},
	{"bsf", 0, 0x0f, 0xbc, NO_DIGIT, SCAN, W | O},
	{"bsr", 0, 0x0f, 0xbd, NO_DIGIT, SCAN, W | O},
	{"tzcnt", 0xf3, 0x0f, 0xbc, NO_DIGIT, COUNT, W | O},
	{"lzcnt", 0xf3, 0x0f, 0xbd, NO_DIGIT, COUNT, W | O},
	{"popcnt", 0xf3, 0x0f, 0xb8, NO_DIGIT, ALL_DEFINED, W | O},
	{"crc32 r, m8", 0xf2, 0x38, 0xf0, NO_DIGIT, ALL_DEFINED, W},
	{"crc32 r, m", 0xf2, 0x38, 0xf1, NO_DIGIT, ALL_DEFINED, W | O},
	{"andn", 0, 0x38, 0xf2, NO_DIGIT, BMI, VEX | W},
	{"blsr", 0, 0x38, 0xf3, 1, BMI, VEX | W},
	{"blsmsk", 0, 0x38, 0xf3, 2, BMI, VEX | W},
	{"blsi", 0, 0x38, 0xf3, 3, BMI, VEX | W},
	{"bzhi", 0, 0x38, 0xf5, NO_DIGIT, BMI, VEX | W},
	{"bextr", 0, 0x38, 0xf7, NO_DIGIT, EXTRACT, VEX | W},
	{"pdep", 0xf2, 0x38, 0xf5, NO_DIGIT, ALL_DEFINED, VEX | W},
	{"pext", 0xf3, 0x38, 0xf5, NO_DIGIT, ALL_DEFINED, VEX | W},
};

static const struct insn muldiv[] = {
	{"mul m8", 0, 0, 0xf6, 4, MULTIPLY, B},
	{"mul m", 0, 0, 0xf7, 4, MULTIPLY, W | O},
	{"imul m8", 0, 0, 0xf6, 5, MULTIPLY, B},
	{"imul m", 0, 0, 0xf7, 5, MULTIPLY, W | O},
	{"imul r, m", 0, 0x0f, 0xaf, NO_DIGIT, MULTIPLY, W | O},
	{"imul r, m, imm8", 0, 0, 0x6b, NO_DIGIT, MULTIPLY, W | O | IMM1},
	{"imul r, m, imm", 0, 0, 0x69, NO_DIGIT, MULTIPLY, W | O | IMM_OP},
	{"mulx", 0xf2, 0x38, 0xf6, NO_DIGIT, ALL_DEFINED, VEX | W},
	{"div m8", 0, 0, 0xf6, 6, DIVIDE, B},
	{"div m", 0, 0, 0xf7, 6, DIVIDE, W | O},
	{"idiv m8", 0, 0, 0xf6, 7, DIVIDE, B},
	{"idiv m", 0, 0, 0xf7, 7, DIVIDE, W | O},
};

static const struct insn stacks[] = {
	{"push m", 0, 0, 0xff, 6, ALL_DEFINED, O | ONLY_W},
	{"pop m", 0, 0, 0x8f, 0, ALL_DEFINED, O | ONLY_W},
	{"push rcx", 0, 0, 0x51, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"push rsp", 0, 0, 0x54, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"push imm8", 0, 0, 0x6a, NO_DIGIT, ALL_DEFINED, O | STACKS | IMM1},
	{"push imm", 0, 0, 0x68, NO_DIGIT, ALL_DEFINED, O | STACKS | IMM_OP},
	{"push fs", 0, 0x0f, 0xa0, NO_DIGIT, ALL_DEFINED, STACKS},
	{"pop rdx", 0, 0, 0x5a, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"pop rsp", 0, 0, 0x5c, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"pushf", 0, 0, 0x9c, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"enter", 0, 0, 0xc8, NO_DIGIT, ALL_DEFINED, O | STACKS | FRAME},
	{"leave", 0, 0, 0xc9, NO_DIGIT, ALL_DEFINED, O | STACKS},
	{"xlat", 0, 0, 0xd7, NO_DIGIT, ALL_DEFINED, STACKS},
	{"jmp m", 0, 0, 0xff, 4, ALL_DEFINED, JUMPS},
	{"call m", 0, 0, 0xff, 2, ALL_DEFINED, JUMPS},
	{"ret", 0, 0, 0xc3, NO_DIGIT, ALL_DEFINED, STACKS | JUMPS},
};

/* ------------------------------------------------------------------------- */
/* One case                                                                   */

struct a_case {
	struct native_insn insn;
	unsigned int size;  /* bytes of the operand */
	unsigned int count; /* of a shift, unmasked */
	bool lock;
};

/* Bit number "bit" of a byte, when the register needs it. */
static unsigned int extension(unsigned int reg, unsigned int bit)
{
	return reg >> 3 << bit;
}

static void put_opcode(struct a_case *c, const struct insn *i, unsigned int reg, unsigned int base,
		       bool wide)
{
	static const uint8_t map_number[] = {[0x0f] = 1, [0x38] = 2, [0x3a] = 3};
	unsigned int pp = i->prefix == 0x66 ? 1 : i->prefix == 0xf3 ? 2 : i->prefix ? 3 : 0;

	if (i->form & VEX) {
		/* R, X and B, and vvvv, are inverted. */
		native_put(&c->insn, 0xc4, 1);
		native_put(&c->insn,
			   map_number[i->map] |
				   ((extension(reg, 7) | 0 | extension(base, 5)) ^ 0xe0),
			   1);
		/* RORX has no third register. */
		native_put(&c->insn, wide << 7 | (i->map == 0x3a ? 15 : random64() % 16) << 3 | pp,
			   1);
		native_put(&c->insn, i->opcode, 1);
		return;
	}
	if (i->prefix)
		native_put(&c->insn, i->prefix, 1);
	if (wide || reg >= 8 || base >= 8 || random64() % 4 == 0)
		native_put(&c->insn, 0x40 | wide << 3 | extension(reg, 2) | extension(base, 0), 1);
	if (i->map)
		native_put(&c->insn, 0x0f, 1);
	if (i->map > 0x0f)
		native_put(&c->insn, i->map, 1);
	native_put(&c->insn, i->opcode, 1);
}

static uint64_t random_target(void)
{
	if (random64() % 8 == 0)
		return random_value() | 1ULL << 63;
	return (uintptr_t)native.arena + NATIVE_PAD(random64() % NATIVE_PADS);
}

static void put_operand(const struct insn *i, uint64_t place)
{
	uint64_t value[2] = {i->form & JUMPS ? random_target() : random_value(), random_value()};

	/* What a comparison looks for is there every other time. */
	if (random64() % 2 && i->map == 0x0f && (i->opcode & 0xfe) == 0xb0)
		value[0] = native.gprs.r[HV_RAX];
	if (random64() % 2 && i->map == 0x0f && i->opcode == 0xc7) {
		value[0] = native.gprs.r[HV_RAX];
		value[1] = native.gprs.r[HV_RDX];
		if (random64() % 2)
			value[0] = (uint32_t)value[0] | value[1] << 32;
	}
	memcpy((void *)place, value, in_window(place, sizeof(value)));
}

/* A dividend that fits, most times: its upper half is small, or the sign of the lower one. */
static void tame_dividend(const struct insn *i, unsigned int size)
{
	uint64_t *rax = (uint64_t *)&native.gprs.r[HV_RAX],
		 *rdx = (uint64_t *)&native.gprs.r[HV_RDX];

	if (i->undefined != DIVIDE || random64() % 4 == 0)
		return;
	if (size == 1)
		*rax = random64() % 2 ? (uint64_t)(int8_t)*rax : *rax & 0xff;
	else
		*rdx = random64() % 2 ? random64() % 4 : 0 - (*rax >> (size * 8 - 1) & 1);
}

/* Only as much of it as the operand has counts. */
static uint64_t far_bit(unsigned int size)
{
	uint64_t bit = random64() % 0x18000 - 0xc000, above = random64();

	if (size == 2)
		return above << 16 | (uint16_t)bit;
	return size == 4 ? above << 32 | (uint32_t)bit : bit;
}

static void make_case(const struct insn *i, struct a_case *c)
{
	bool wide = (i->form & W) && random64() % 2, narrow = (i->form & O) && random64() % 3 == 0;
	unsigned int reg = i->digit == NO_DIGIT ? random64() % 16 : i->digit;
	unsigned int base = random64() % 16;
	int8_t disp = (int8_t)random64();
	uint64_t place;

	*c = (struct a_case){.lock = (i->form & L) && random64() % 2};
	c->size = i->form & B ? 1 : wide || i->form & ONLY_W ? 8 : narrow ? 2 : 4;
	if (wide)
		narrow = false;
	if (i->form & (STACKS | JUMPS | ONLY_W))
		c->size = narrow ? 2 : 8;
	if (i->digit == 1 && i->map == 0x0f && i->opcode == 0xc7)
		c->size *= 2;
	if (i->undefined == BIT && i->digit == NO_DIGIT && reg == base)
		reg ^= 1;
	place = random_place(c->size);
	make_registers();
	tame_dividend(i, c->size);
	if (narrow)
		native_put(&c->insn, 0x66, 1);
	if (c->lock)
		native_put(&c->insn, 0xf0, 1);
	if (i->form & STACKS) {
		put_opcode(c, i, 0, 0, false);
		place = native.gprs.r[HV_RSP];
		if (i->opcode == 0xd7)
			native.gprs.r[HV_RBX] = random_place(1) - (uint8_t)native.gprs.r[HV_RAX];
	} else {
		put_opcode(c, i, reg, base, wide);
		native_put_modrm(&c->insn, reg, base, disp);
		native.gprs.r[base] = place - (uint64_t)(int64_t)disp;
		/* Bits far away are in the arena still. */
		if (i->undefined == BIT && i->digit == NO_DIGIT)
			native.gprs.r[reg] = far_bit(c->size);
	}
	put_operand(i, place);

	c->count = i->form & BY_CL ? (uint8_t)native.gprs.r[HV_RCX] : 1;
	if (i->form & IMM1) {
		c->count = (uint8_t)random_value();
		native_put(&c->insn, c->count, 1);
	}
	if (i->form & FRAME) {
		native_put(&c->insn, random64() % 2 ? random64() % 64 : 0, 2);
		native_put(&c->insn, random64() % 2 ? random64() : random64() % 4, 1);
	}
	if (i->form & IMM_OP)
		native_put(&c->insn, random_value(), c->size > 4 ? 4 : c->size);
}

static uint64_t undefined_flags(const struct insn *i, const struct a_case *c)
{
	unsigned int count = c->count & (c->size == 8 ? 63 : 31);
	uint64_t flags = 0;

	switch (i->undefined) {
	case ALL_DEFINED:
		return 0;
	case LOGIC:
		return FLAG_AF;
	case SHIFT:
	case DOUBLE:
		flags = count ? FLAG_AF : 0;
		if (count >= c->size * 8)
			flags |= FLAG_CF;
		return count > 1 ? flags | FLAG_OF : flags;
	case ROTATE:
		return count > 1 ? FLAG_OF : 0;
	case MULTIPLY:
		return STATUS_FLAGS & ~(FLAG_CF | FLAG_OF);
	case DIVIDE:
		return STATUS_FLAGS;
	case SCAN:
		return STATUS_FLAGS & ~FLAG_ZF;
	case BIT:
		return STATUS_FLAGS & ~(FLAG_CF | FLAG_ZF);
	case COUNT:
		return STATUS_FLAGS & ~(FLAG_CF | FLAG_ZF);
	case BMI:
		return FLAG_AF | FLAG_PF;
	case EXTRACT:
		return FLAG_AF | FLAG_PF | FLAG_SF;
	}
	return 0;
}

/* ------------------------------------------------------------------------- */
/* The guest's side                                                           */

static void report_register(unsigned int i, uint64_t before, uint64_t processor, uint64_t emulator)
{
	fprintf(stderr, "    %2u: %016lx -> processor %016lx, emulator %016lx%s\n", i, before,
		processor, emulator, processor == emulator ? "" : " <--");
}

static void report(const struct insn *i, const struct a_case *c, const struct hv_gprs *before)
{
	fprintf(stderr, "%s, seed %#lx:", i->name, seed);
	for (unsigned int n = 0; n < c->insn.len; n++)
		fprintf(stderr, " %02x", c->insn.bytes[n]);
	fprintf(stderr, "\n    vector: processor %#x, emulator %#x %s\n", native.vector,
		run.events.exception ? run.events.exception_vector : NO_VECTOR, why);
	for (unsigned int r = 0; r < HV_NR_GPRS; r++)
		report_register(r, before->r[r], native.gprs.r[r], run.gprs.r[r]);
	report_register(HV_NR_GPRS, before->rip, native.gprs.rip, run.gprs.rip);
	report_register(HV_NR_GPRS + 1, before->rflags, native.gprs.rflags, run.gprs.rflags);
}

/* After the flags that are undefined, and after a fault all of them but DF. */
static bool states_agree(const struct insn *i, const struct a_case *c, uint8_t *window)
{
	uint64_t flags = NATIVE_FLAGS & ~undefined_flags(i, c);

	/* Some processors have changed flags before the divide error. */
	if (native.vector == VECTOR_DE)
		flags &= ~STATUS_FLAGS;
	/* What ENTER pushed before it faulted stays; in what order it does so is its own affair. */
	if (i->form & FRAME && native.vector != NO_VECTOR)
		return run.events.exception_vector == native.vector &&
		       memcmp(native.gprs.r, run.gprs.r, sizeof(run.gprs.r)) == 0;
	/* Makers differ in whether CALL has pushed when its target turns out to be no address. */
	if (i->form & JUMPS && native.vector == VECTOR_GP)
		memcpy(window, native.arena + NATIVE_WINDOW, NATIVE_LEN);
	return exceptions_agree() && !((native.gprs.rflags ^ run.gprs.rflags) & flags) &&
	       memcmp(native.gprs.r, run.gprs.r, sizeof(run.gprs.r)) == 0 &&
	       native.gprs.rip == run.gprs.rip &&
	       memcmp(native.arena + NATIVE_WINDOW, window, NATIVE_LEN) == 0;
}

/* A double shift by more than the operand has leaves it undefined, too. */
static bool is_undefined(const struct insn *i, const struct a_case *c)
{
	return i->undefined == DOUBLE && (c->count & 31) > c->size * 8;
}

static void run_cases(const struct insn *i)
{
	unsigned int n = number_of_cases();
	uint8_t *data = native.arena + NATIVE_WINDOW;

	while (n--) {
		bool to_ram = random64() % 4 == 0;
		uint8_t *window = guest_window(to_ram);
		struct hv_gprs before;
		struct a_case c;

		make_case(i, &c);
		if (is_undefined(i, &c))
			continue;
		memcpy(window, data, NATIVE_LEN);
		before = native.gprs;
		emulate_case(&c.insn, &before, to_ram);
		native_run(c.insn.bytes, c.insn.len);
		/* This processor does not have it. */
		if (native.vector == VECTOR_UD)
			return;
		if (emulate(&env, &run, why, sizeof(why)) != EMULATE_DONE ||
		    !states_agree(i, &c, window)) {
			report(i, &c, &before);
			ck_abort_msg("the emulator and the processor disagree");
		}
	}
}

/* ------------------------------------------------------------------------- */

/* All rows of a table */
#define TABLE_TEST(table)              \
	START_TEST(test_##table)       \
	{                              \
		run_cases(&table[_i]); \
	}                              \
	END_TEST

#define ADD_TABLE(t, table) \
	tcase_add_loop_test(t, test_##table, 0, (int)(sizeof(table) / sizeof((table)[0])))

TABLE_TEST(moves)
TABLE_TEST(arithmetic)
TABLE_TEST(shifts)
TABLE_TEST(bits)
TABLE_TEST(muldiv)
TABLE_TEST(stacks)

int main(void)
{
	Suite *s = suite_create("emulate_native");
	TCase *t = tcase_create("native");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, begin, finish);
	ADD_TABLE(t, moves);
	ADD_TABLE(t, arithmetic);
	ADD_TABLE(t, shifts);
	ADD_TABLE(t, bits);
	ADD_TABLE(t, muldiv);
	ADD_TABLE(t, stacks);
	suite_add_tcase(s, t);

	return suite_run(s);
}
