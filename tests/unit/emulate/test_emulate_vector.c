// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Vector moves and x87 instructions of the emulator against the processor the tests run on: each
 * some thousands of times with random registers and operands, in a device or in RAM. All of the
 * registers that XSAVE stores, memory and exceptions must be the same. Then what no program can
 * try here: the bits of control registers that forbid them.
 */
#define _GNU_SOURCE /* registers in a ucontext */
#include <check.h>
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_native.h"
#include "suite.h"

#define XSAVE_HEADER 512
#define XSAVE_FIRST  576 /* behind the header */
#define FSW_ES	     0x80

enum encoding {
	LEGACY = 1,
	VEX128 = 2,
	VEX256 = 4,
	EVEX = 8, /* of 128, 256 and 512 bits */
	VEX = VEX128 | VEX256,
	LEGACY_VEX128 = LEGACY | VEX128,
	LEGACY_VEX = LEGACY | VEX,
};

enum form {
	WIDTH_FIXED = 1, /* the operand has its size in all encodings */
	THREE = 2,	 /* a third register where there is a VEX */
	W = 4,
	EVEX_W = 8, /* in EVEX alone */
};

struct insn {
	const char *name;
	uint8_t prefix, map, opcode;
	unsigned int size; /* bytes of the operand, or those of 128 bits */
	unsigned int encodings, form;
};

static const struct insn moves[] = {
	{"movd mm, m32", 0, 0x0f, 0x6e, 4, LEGACY, 0},
	{"movq mm, m64", 0, 0x0f, 0x6e, 8, LEGACY, W},
	{"movd m32, mm", 0, 0x0f, 0x7e, 4, LEGACY, 0},
	{"movq m64, mm", 0, 0x0f, 0x7e, 8, LEGACY, W},
	{"movq mm, m64", 0, 0x0f, 0x6f, 8, LEGACY, 0},
	{"movq m64, mm", 0, 0x0f, 0x7f, 8, LEGACY, 0},
	{"movntq", 0, 0x0f, 0xe7, 8, LEGACY, 0},
	{"movd xmm, m32", 0x66, 0x0f, 0x6e, 4, LEGACY_VEX128, 0},
	{"movq xmm, m64", 0x66, 0x0f, 0x6e, 8, LEGACY_VEX128, W},
	{"movd m32, xmm", 0x66, 0x0f, 0x7e, 4, LEGACY_VEX128, 0},
	{"movq m64, xmm", 0x66, 0x0f, 0x7e, 8, LEGACY_VEX128, W},
	{"movq xmm, m64", 0xf3, 0x0f, 0x7e, 8, LEGACY_VEX128, 0},
	{"movq m64, xmm", 0x66, 0x0f, 0xd6, 8, LEGACY_VEX128, 0},
	{"movss xmm, m32", 0xf3, 0x0f, 0x10, 4, LEGACY_VEX128, 0},
	{"movss m32, xmm", 0xf3, 0x0f, 0x11, 4, LEGACY_VEX128, 0},
	{"movsd xmm, m64", 0xf2, 0x0f, 0x10, 8, LEGACY_VEX128, 0},
	{"movsd m64, xmm", 0xf2, 0x0f, 0x11, 8, LEGACY_VEX128, 0},
	{"movntss", 0xf3, 0x0f, 0x2b, 4, LEGACY, 0},
	{"movntsd", 0xf2, 0x0f, 0x2b, 8, LEGACY, 0},
	{"movups load", 0, 0x0f, 0x10, 16, LEGACY_VEX | EVEX, 0},
	{"movups store", 0, 0x0f, 0x11, 16, LEGACY_VEX | EVEX, 0},
	{"movupd load", 0x66, 0x0f, 0x10, 16, LEGACY_VEX | EVEX, EVEX_W},
	{"movupd store", 0x66, 0x0f, 0x11, 16, LEGACY_VEX | EVEX, EVEX_W},
	{"movaps load", 0, 0x0f, 0x28, 16, LEGACY_VEX | EVEX, 0},
	{"movaps store", 0, 0x0f, 0x29, 16, LEGACY_VEX | EVEX, 0},
	{"movapd load", 0x66, 0x0f, 0x28, 16, LEGACY_VEX | EVEX, EVEX_W},
	{"movapd store", 0x66, 0x0f, 0x29, 16, LEGACY_VEX | EVEX, EVEX_W},
	{"movdqu load", 0xf3, 0x0f, 0x6f, 16, LEGACY_VEX | EVEX, 0},
	{"movdqu store", 0xf3, 0x0f, 0x7f, 16, LEGACY_VEX | EVEX, 0},
	{"movdqa load", 0x66, 0x0f, 0x6f, 16, LEGACY_VEX | EVEX, 0},
	{"movdqa store", 0x66, 0x0f, 0x7f, 16, LEGACY_VEX | EVEX, 0},
	{"vmovdqu64 load", 0xf3, 0x0f, 0x6f, 16, EVEX, EVEX_W},
	{"vmovdqu64 store", 0xf3, 0x0f, 0x7f, 16, EVEX, EVEX_W},
	{"vmovdqa64 load", 0x66, 0x0f, 0x6f, 16, EVEX, EVEX_W},
	{"vmovdqa64 store", 0x66, 0x0f, 0x7f, 16, EVEX, EVEX_W},
	{"vmovdqu8 load", 0xf2, 0x0f, 0x6f, 16, EVEX, 0},
	{"vmovdqu8 store", 0xf2, 0x0f, 0x7f, 16, EVEX, 0},
	{"vmovdqu16 load", 0xf2, 0x0f, 0x6f, 16, EVEX, EVEX_W},
	{"vmovdqu16 store", 0xf2, 0x0f, 0x7f, 16, EVEX, EVEX_W},
	{"movntps", 0, 0x0f, 0x2b, 16, LEGACY_VEX | EVEX, 0},
	{"movntpd", 0x66, 0x0f, 0x2b, 16, LEGACY_VEX | EVEX, EVEX_W},
	{"movntdq", 0x66, 0x0f, 0xe7, 16, LEGACY_VEX | EVEX, 0},
	{"movntdqa", 0x66, 0x38, 0x2a, 16, LEGACY_VEX | EVEX, 0},
	{"lddqu", 0xf2, 0x0f, 0xf0, 16, LEGACY_VEX, 0},
	{"movlps load", 0, 0x0f, 0x12, 8, LEGACY_VEX128, THREE},
	{"movlps store", 0, 0x0f, 0x13, 8, LEGACY_VEX128, 0},
	{"movlpd load", 0x66, 0x0f, 0x12, 8, LEGACY_VEX128, THREE},
	{"movlpd store", 0x66, 0x0f, 0x13, 8, LEGACY_VEX128, 0},
	{"movhps load", 0, 0x0f, 0x16, 8, LEGACY_VEX128, THREE},
	{"movhps store", 0, 0x0f, 0x17, 8, LEGACY_VEX128, 0},
	{"movhpd load", 0x66, 0x0f, 0x16, 8, LEGACY_VEX128, THREE},
	{"movhpd store", 0x66, 0x0f, 0x17, 8, LEGACY_VEX128, 0},
	{"vbroadcastss", 0x66, 0x38, 0x18, 4, VEX, WIDTH_FIXED},
	{"vbroadcastsd", 0x66, 0x38, 0x19, 8, VEX256, WIDTH_FIXED},
	{"vbroadcastf128", 0x66, 0x38, 0x1a, 16, VEX256, WIDTH_FIXED},
	{"vbroadcasti128", 0x66, 0x38, 0x5a, 16, VEX256, WIDTH_FIXED},
	{"vpbroadcastb", 0x66, 0x38, 0x78, 1, VEX, WIDTH_FIXED},
	{"vpbroadcastw", 0x66, 0x38, 0x79, 2, VEX, WIDTH_FIXED},
	{"vpbroadcastd", 0x66, 0x38, 0x58, 4, VEX, WIDTH_FIXED},
	{"vpbroadcastq", 0x66, 0x38, 0x59, 8, VEX, WIDTH_FIXED},
	{"ldmxcsr", 0, 0x0f, 0xae, 4, LEGACY_VEX128, 0},
	{"stmxcsr", 0, 0x0f, 0xae, 4, LEGACY_VEX128, 0},
};

/* The operand's size of each x87 instruction: rows are the opcodes D8 to DF. 0: none, or not emulated. */
static const uint8_t x87_size[8][8] = {
	{4, 4, 4, 4, 4, 4, 4, 4},   {4, 0, 4, 4, 0, 2, 0, 2},	{4, 4, 4, 4, 4, 4, 4, 4},
	{4, 4, 4, 4, 0, 10, 0, 10}, {8, 8, 8, 8, 8, 8, 8, 8},	{8, 8, 8, 8, 0, 0, 0, 2},
	{2, 2, 2, 2, 2, 2, 2, 2},   {2, 2, 2, 2, 10, 8, 10, 8},
};

/* ------------------------------------------------------------------------- */
/* Instructions                                                               */

static unsigned int pp_of(const struct insn *i)
{
	return i->prefix == 0x66 ? 1 : i->prefix == 0xf3 ? 2 : i->prefix ? 3 : 0;
}

static unsigned int map_of(const struct insn *i)
{
	return i->map == 0x38 ? 2 : 1;
}

/* ModRM for [base + disp32], which EVEX does not scale; no extended register needs a SIB. */
static void put_modrm32(struct native_insn *c, unsigned int reg, unsigned int base, int32_t disp)
{
	native_put(c, 0x80 | (reg & 7) << 3 | (base & 7), 1);
	if ((base & 7) == 4)
		native_put(c, 0x24, 1);
	native_put(c, (uint32_t)disp, 4);
}

static void put_legacy(struct native_insn *c, const struct insn *i, unsigned int reg,
		       unsigned int base)
{
	unsigned int rex = (i->form & W ? 8 : 0) | reg >> 3 << 2 | base >> 3;

	if (i->prefix)
		native_put(c, i->prefix, 1);
	if (rex)
		native_put(c, 0x40 | rex, 1);
	native_put(c, 0x0f, 1);
	if (i->map != 0x0f)
		native_put(c, i->map, 1);
	native_put(c, i->opcode, 1);
}

/* What extends registers is inverted, and so is the third register. */
static void put_vex(struct native_insn *c, const struct insn *i, bool is256, unsigned int reg,
		    unsigned int base)
{
	unsigned int third = i->form & THREE ? random64() % 16 : 15;

	native_put(c, 0xc4, 1);
	native_put(c, map_of(i) | ((reg >> 3 << 7 | base >> 3 << 5) ^ 0xe0), 1);
	native_put(c, (i->form & W ? 0x80 : 0) | third << 3 | is256 << 2 | pp_of(i), 1);
	native_put(c, i->opcode, 1);
}

static void put_evex(struct native_insn *c, const struct insn *i, unsigned int length,
		     unsigned int reg, unsigned int base)
{
	native_put(c, 0x62, 1);
	native_put(c, map_of(i) | (((reg >> 3 & 1) << 7 | base >> 3 << 5 | (reg >> 4) << 4) ^ 0xf0),
		   1);
	native_put(c, (i->form & EVEX_W ? 0x80 : 0) | 0x7c | pp_of(i), 1);
	native_put(c, length << 5 | 0x08, 1);
	native_put(c, i->opcode, 1);
}

static enum encoding random_encoding(unsigned int allowed)
{
	enum encoding e;

	do {
		e = 1U << random64() % 4;
	} while (!(e & allowed));
	return e;
}

/* Returns the operand's address. */
static uint64_t make_move(const struct insn *i, struct native_insn *c)
{
	enum encoding encoding = random_encoding(i->encodings);
	unsigned int base = random64() % 16, size = i->size, reg = random64() % 16, length;
	bool mmx = i->encodings == LEGACY && !i->prefix;
	int32_t disp = (int32_t)random64();
	uint64_t place;

	*c = (struct native_insn){0};
	if (i->opcode == 0xae)
		reg = strcmp(i->name, "ldmxcsr") ? 3 : 2;
	if (mmx)
		reg %= 8;
	switch (encoding) {
	case VEX128:
	case VEX256:
		put_vex(c, i, encoding == VEX256, reg, base);
		if (encoding == VEX256 && !(i->form & WIDTH_FIXED))
			size *= 2;
		break;
	case EVEX:
		length = random64() % 3;
		reg = random64() % 32;
		put_evex(c, i, length, reg, base);
		size <<= length;
		break;
	default:
		put_legacy(c, i, reg, base);
		break;
	}
	put_modrm32(c, reg, base, disp);
	place = random_place(size);
	/* Aligned to less than its size, now and then; makers differ where it is not canonical, too. */
	if (random64() % 8 == 0 && !(place >> 63))
		place += random64() % size;
	native.gprs.r[base] = place - (uint64_t)(int64_t)disp;
	return place;
}

static uint64_t make_x87(unsigned int op, unsigned int digit, struct native_insn *c)
{
	unsigned int base = random64() % 8;
	uint64_t place = random_place(x87_size[op][digit]);
	int8_t disp = (int8_t)random64();

	*c = (struct native_insn){0};
	native_put(c, 0xd8 + op, 1);
	native_put_modrm(c, digit, base, disp);
	native.gprs.r[base] = place - (uint64_t)(int64_t)disp;
	return place;
}

/* ------------------------------------------------------------------------- */
/* Registers and operands                                                     */

/* Floating-point numbers of all kinds, as many of them near 1 as far away. */
static void random_number(uint8_t number[16])
{
	static const uint64_t special[] = {
		0x7ff0000000000000, 0xfff8000000000000, 0x7ff4000000000000, 0x3ff0000000000000,
		0x000fffffffffffff, 0x43e0000000000000, 0xc3e0000000000000, 0x7f8000007f800000,
		0x3f8000003f800000, 0x00400000007fffff, 0xffc000007fa00000, 0x8000000000000000};
	uint64_t low = random_value();
	uint16_t high = (uint16_t)random64();

	switch (random64() % 4) {
	case 0:
		low = special[random64() % (sizeof(special) / sizeof(special[0]))];
		break;
	case 1: /* extended precision, within reach of a double or an integer */
		low = random64() | 1ULL << 63;
		high = (uint16_t)(0x3fff + random64() % 140 - 70) | (high & 0x8000);
		break;
	case 2: /* at the limits of float and double */
		low = random64() | 1ULL << 63;
		high = (uint16_t)(0x3fff +
				  (random64() % 2 ? 128 : 1024) * (random64() % 2 ? 1 : -1) +
				  random64() % 80 - 40) |
		       (high & 0x8000);
		break;
	}
	memset(number, 0, 16);
	memcpy(number, &low, sizeof(low));
	memcpy(number + 8, &high, sizeof(high));
}

static uint16_t random_fcw(void)
{
	uint16_t fcw = (random64() & 0x0f3f) | 0x40;

	/* There is no precision 1; all exceptions are masked as a rule. */
	if ((fcw & 0x300) == 0x100)
		fcw |= 0x300;
	return random64() % 4 ? fcw | 0x3f : fcw;
}

/* Let the processor have the image, and store it: as it looks when it comes from there. */
static void normalise(uint8_t *image)
{
	static const uint8_t nop = 0x90;

	memcpy(native_image, image, NATIVE_IMAGE);
	native_run(&nop, 1);
	ck_assert_uint_eq(native.vector, NO_VECTOR);
	memcpy(image, native_image, NATIVE_IMAGE);
}

/* Some components are in their initial state, with other bytes in their place. */
static void make_image(uint8_t *image)
{
	struct xstate_legacy *l = (struct xstate_legacy *)image;
	uint64_t present = native_mask & (random64() | random64());

	for (unsigned int i = 0; i < NATIVE_IMAGE; i += 8) {
		uint64_t value = random64();

		memcpy(image + i, &value, sizeof(value));
	}
	memset(image + XSAVE_HEADER, 0, XSAVE_FIRST - XSAVE_HEADER);
	memcpy(image + XSAVE_HEADER, &present, sizeof(present));
	l->mxcsr = 0x1f80;
	l->fcw = random_fcw();
	/* An exception waits seldom. */
	l->fsw = random64() & (random64() % 16 ? 0x7f00 : 0x7f7f);
	if (random64() % 2)
		l->ftw = 0xff;
	for (unsigned int i = 0; i < 8; i++)
		random_number(l->st[i]);
}

/* Of the last instruction an address is kept where an exception waits; elsewhere makers differ. */
static void forget_pointers(uint8_t *image)
{
	struct xstate_legacy *l = (struct xstate_legacy *)image;

	if (!(l->fsw & FSW_ES))
		l->fop = l->fip = l->fdp = 0;
}

/* The header says what is in its initial state: both ways to say that are right. */
static bool is_emulators(uint8_t *image)
{
	forget_pointers(image);
	forget_pointers(xstate_image);
	return memcmp(image, xstate_image, XSAVE_HEADER) == 0 &&
	       memcmp(image + XSAVE_FIRST, xstate_image + XSAVE_FIRST,
		      NATIVE_IMAGE - XSAVE_FIRST) == 0;
}

static bool images_agree(uint8_t *processor)
{
	normalise(xstate_image);
	return is_emulators(processor);
}

static uint8_t before_window[NATIVE_LEN];

static bool memory_fault(void)
{
	uint8_t vector = run.events.exception_vector;

	return run.events.exception &&
	       (vector == VECTOR_SS || vector == VECTOR_GP || vector == VECTOR_PF);
}

/*
 * The emulator found the operand not to be accessible, and so has changed nothing. Makers differ in the rest: whether
 * the processor looks for an exception of the x87's first, which then waits; whether registers were x87's or MMX's by
 * then; and in which of its pages they find fault with an operand that is in two, and what is stored in the other.
 */
static bool faults_agree(uint8_t *before, const uint8_t *processor, const uint8_t *window)
{
	const struct xstate_legacy *l = (const struct xstate_legacy *)processor;
	bool same = run.events.exception_vector == native.vector;

	if (same && native.vector == VECTOR_PF)
		same = run.events.exception_error == native.error &&
		       run.sregs.cr2 - native.cr2 + 16 <= 32;
	return is_emulators(before) && memcmp(window, before_window, NATIVE_LEN) == 0 &&
	       (same || (native.vector == NO_VECTOR && l->fsw & FSW_ES));
}

/* ------------------------------------------------------------------------- */

static void report(const char *name, const struct native_insn *c, const uint8_t *processor)
{
	fprintf(stderr, "%s, seed %#lx:", name, seed);
	for (unsigned int i = 0; i < c->len; i++)
		fprintf(stderr, " %02x", c->bytes[i]);
	fprintf(stderr, "\n    vector: processor %#x, emulator %#x %s\n", native.vector,
		run.events.exception ? run.events.exception_vector : NO_VECTOR, why);
	for (unsigned int i = 0; i < NATIVE_IMAGE; i++) {
		if (processor[i] != xstate_image[i])
			fprintf(stderr, "    image %u: processor %02x, emulator %02x\n", i,
				processor[i], xstate_image[i]);
	}
}

/* False: this processor does not have the instruction. */
static bool run_case(const char *name, const struct native_insn *c, uint64_t place)
{
	static uint8_t processor[NATIVE_IMAGE] __attribute__((aligned(64)));
	static uint8_t image[NATIVE_IMAGE];
	bool to_ram = random64() % 4 == 0, as_one;
	uint8_t *window = guest_window(to_ram), number[16];
	struct hv_gprs before;
	uint64_t cr2, error;
	uint8_t vector;

	random_number(number);
	memcpy((void *)place, number, in_window(place, sizeof(number)));
	memcpy(window, native.arena + NATIVE_WINDOW, NATIVE_LEN);
	memcpy(before_window, window, NATIVE_LEN);
	make_image(xstate_image);
	normalise(xstate_image);
	memcpy(image, xstate_image, NATIVE_IMAGE);
	before = native.gprs;
	emulate_case(c, &before, to_ram);
	memcpy(native_image, xstate_image, NATIVE_IMAGE);
	native_run(c->bytes, c->len);
	if (native.vector == VECTOR_UD)
		return false;
	memcpy(processor, native_image, NATIVE_IMAGE);
	as_one = emulate(&env, &run, why, sizeof(why)) == EMULATE_DONE &&
		 memcmp(native.gprs.r, run.gprs.r, sizeof(run.gprs.r)) == 0;
	if (as_one && memory_fault() && faults_agree(image, processor, window))
		return true;
	as_one &= memcmp(native.arena + NATIVE_WINDOW, window, NATIVE_LEN) == 0;
	as_one &= exceptions_agree() && native.gprs.rip == run.gprs.rip;
	/* Comparing runs an instruction, too. */
	vector = native.vector;
	cr2 = native.cr2;
	error = native.error;
	as_one = images_agree(processor) && as_one;
	native.vector = vector;
	native.cr2 = cr2;
	native.error = error;
	if (!as_one) {
		report(name, c, processor);
		ck_abort_msg("the emulator and the processor disagree");
	}
	return true;
}

START_TEST(test_moves)
{
	const struct insn *i = &moves[_i];

	for (unsigned int n = number_of_cases(); n; n--) {
		struct native_insn c;
		uint64_t place;

		make_registers();
		place = make_move(i, &c);
		if (!run_case(i->name, &c, place))
			return;
	}
}
END_TEST

START_TEST(test_x87)
{
	unsigned int op = _i / 8, digit = _i % 8;
	char name[16];

	snprintf(name, sizeof(name), "%x/%u", 0xd8 + op, digit);
	for (unsigned int n = x87_size[op][digit] ? number_of_cases() : 0; n; n--) {
		struct native_insn c;
		uint64_t place;

		make_registers();
		place = make_x87(op, digit, &c);
		ck_assert(run_case(name, &c, place));
	}
}
END_TEST

static void begin_vector(void)
{
	unsigned int eax, edx;

	begin();
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	/* What hv offers guests */
	native_mask = eax & (7 | XCR0_AVX512);
	run.sregs.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
	run.sregs.xcr0 = native_mask;
}

/* ------------------------------------------------------------------------- */
/* What the tests above cannot have: control registers, other modes           */

static struct xstate_legacy *legacy(void)
{
	return (struct xstate_legacy *)xstate_image;
}

static void begin_condition(void)
{
	set_up();
	protected_mode(0);
	R(RBX) = MMIO_BASE;
	run.sregs.cr4 = CR4_OSFXSR | CR4_OSXSAVE;
	run.sregs.xcr0 = 1 | XCR0_SSE | XCR0_AVX | XCR0_AVX512;
	legacy()->mxcsr = 0x1f80;
}

#define MOVUPS_STORE	0x0f, 0x11, 0x0b		   /* movups [ebx], xmm1 */
#define VMOVUPS_STORE	0xc5, 0xf8, 0x11, 0x0b		   /* vmovups [ebx], xmm1 */
#define EVEX_STORE	0x62, 0xf1, 0x7c, 0x48, 0x11, 0x0b /* vmovups [ebx], zmm1 */
#define EVEX_STORE_MASK 0x62, 0xf1, 0x7c, 0x49, 0x11, 0x0b /* the same, under k1 */
#define MMX_STORE	0x0f, 0x7f, 0x0b		   /* movq [ebx], mm1 */
#define MMX_LOAD	0x0f, 0x6f, 0x0b		   /* movq mm1, [ebx] */
#define FLD		0xdd, 0x03			   /* fld qword [ebx] */
#define FNSTSW		0xdd, 0x3b			   /* fnstsw [ebx] */
#define FLDCW		0xd9, 0x2b			   /* fldcw [ebx] */
#define FNSTENV		0xd9, 0x33			   /* fnstenv [ebx] */

/* A fault, and nothing was accessed before it. */
#define FAULTS(vector, ...)                                         \
	do {                                                        \
		ck_assert_int_eq(GO(__VA_ARGS__), EMULATE_DONE);    \
		expect_fault(vector, -1);                           \
		ck_assert_uint_eq(device_reads + device_writes, 0); \
		ck_assert_uint_eq(xstate_sets, 0);                  \
	} while (0)

START_TEST(no_sse)
{
	run.sregs.cr4 &= ~CR4_OSFXSR;
	FAULTS(VECTOR_UD, MOVUPS_STORE);
	FAULTS(VECTOR_UD, 0x0f, 0xae, 0x13); /* ldmxcsr [ebx] */
	run.sregs.cr4 |= CR4_OSFXSR;
	run.sregs.cr0 |= CR0_EM | CR0_TS;
	FAULTS(VECTOR_UD, MOVUPS_STORE);
	FAULTS(VECTOR_UD, MMX_STORE);
	FAULTS(VECTOR_NM, FLD);
	FAULTS(VECTOR_NM, FNSTSW);
	run.sregs.cr0 &= ~CR0_EM;
	FAULTS(VECTOR_NM, MOVUPS_STORE);
	FAULTS(VECTOR_NM, VMOVUPS_STORE);
	FAULTS(VECTOR_NM, MMX_STORE);
	FAULTS(VECTOR_NM, FLD);
	run.sregs.cr0 = CR0_PE | CR0_EM;
	FAULTS(VECTOR_NM, FLD);
	ck_assert_uint_eq(xstate_gets, 0);

	/* MMX and AVX do without. */
	run.sregs.cr0 = CR0_PE;
	run.sregs.cr4 &= ~CR4_OSFXSR;
	DONE(MMX_STORE);
	DONE(VMOVUPS_STORE);
	/* Nor does AVX heed EM. */
	run.sregs.cr0 |= CR0_EM;
	DONE(VMOVUPS_STORE);
}
END_TEST

START_TEST(no_avx)
{
	run.sregs.xcr0 = 1 | XCR0_SSE;
	FAULTS(VECTOR_UD, VMOVUPS_STORE);
	run.sregs.xcr0 = 1 | XCR0_AVX;
	FAULTS(VECTOR_UD, VMOVUPS_STORE);
	run.sregs.xcr0 = 1 | XCR0_SSE | XCR0_AVX;
	FAULTS(VECTOR_UD, EVEX_STORE);
	DONE(VMOVUPS_STORE);
	run.sregs.xcr0 |= XCR0_AVX512;
	DONE(EVEX_STORE);
	device_writes = 0;
	run.sregs.cr4 &= ~CR4_OSXSAVE;
	FAULTS(VECTOR_UD, VMOVUPS_STORE);
	FAULTS(VECTOR_UD, EVEX_STORE);
	run.sregs.cr4 |= CR4_OSXSAVE;
	run.gprs.rflags |= FLAG_VM;
	FAULTS(VECTOR_UD, VMOVUPS_STORE);
}
END_TEST

/* Eight bytes at a time; a store fetches registers, and gives none back. */
START_TEST(accesses)
{
	for (unsigned int i = 0; i < 16; i++)
		legacy()->xmm[1][i] = (uint8_t)(i + 1);
	xstate_image[512] = 2;
	DONE(MOVUPS_STORE);
	ck_assert_uint_eq(device_writes, 2);
	ck_assert_uint_eq(device_reads, 0);
	ck_assert_int_eq(memcmp(device, legacy()->xmm[1], 16), 0);
	ck_assert_uint_eq(xstate_gets, 1);
	ck_assert_uint_eq(xstate_sets, 0);
	/* movups xmm2, [ebx] */
	DONE(0x0f, 0x10, 0x13);
	ck_assert_uint_eq(device_reads, 2);
	ck_assert_int_eq(memcmp(legacy()->xmm[2], device, 16), 0);
	ck_assert_uint_eq(xstate_sets, 1);
	/* The image says that all of it is in its initial state: those bytes are nothing. */
	xstate_image[512] = 0;
	DONE(MOVUPS_STORE);
	ck_assert_uint_eq(dev_get(0, 8), 0);
	ck_assert_uint_eq(xstate_image[512], 0);
}
END_TEST

/* One that waits stops what waits for it, before it touches memory. */
START_TEST(x87_errors)
{
	xstate_image[512] = 1;
	legacy()->fcw = 0x37e;
	legacy()->fsw = 1;
	FAULTS(VECTOR_MF, FLD);
	FAULTS(VECTOR_MF, MMX_LOAD);
	FAULTS(VECTOR_MF, FLDCW);
	/* Even where the summary alone says so. */
	legacy()->fcw = 0x37f;
	legacy()->fsw = 0x80;
	FAULTS(VECTOR_MF, FLD);
	DONE(FNSTSW);
	ck_assert_uint_eq(device_writes, 1);
}
END_TEST

/* Where it was, in the guest's own terms. */
START_TEST(x87_pointers)
{
	uint64_t one = 0x3ff0000000000000;

	run.sregs.ds.base = 0x1000;
	R(RBX) = MMIO_BASE - 0x1000;
	memcpy(device, &one, sizeof(one));
	DONE(FLD);
	ck_assert_uint_eq(legacy()->fip, CODE);
	ck_assert_uint_eq(legacy()->fdp, MMIO_BASE - 0x1000);
	ck_assert_uint_eq(legacy()->fop, 0x503);
	/* Those for control leave it. */
	legacy()->fop = 0x123;
	legacy()->fip = 0x456;
	legacy()->fdp = 0x789;
	DONE(FNSTSW);
	ck_assert_uint_eq(dev_get(0, 2), 0x3800);
	dev_set(0, 2, 0x37f);
	DONE(FLDCW);
	ck_assert_uint_eq(legacy()->fop, 0x123);
	ck_assert_uint_eq(legacy()->fip, 0x456);
	ck_assert_uint_eq(legacy()->fdp, 0x789);
}
END_TEST

START_TEST(mxcsr)
{
	dev_set(0, 4, 0x10000);
	legacy()->mxcsr_mask = 0xffff;
	/* ldmxcsr [ebx] */
	ck_assert_int_eq(GO(0x0f, 0xae, 0x13), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_uint_eq(legacy()->mxcsr, 0x1f80);
	/* A mask of zero has no bit for denormals. */
	legacy()->mxcsr_mask = 0;
	dev_set(0, 4, 0x1fc0);
	ck_assert_int_eq(GO(0x0f, 0xae, 0x13), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	dev_set(0, 4, 0x1fa0);
	DONE(0x0f, 0xae, 0x13);
	ck_assert_uint_eq(legacy()->mxcsr, 0x1fa0);
}
END_TEST

START_TEST(left_out)
{
	ck_assert_int_eq(GO(EVEX_STORE_MASK), EMULATE_FAILED);
	ck_assert_int_eq(GO(FNSTENV), EMULATE_FAILED);
	ck_assert_int_eq(GO(0xd9, 0x23), EMULATE_FAILED);	      /* fldenv */
	ck_assert_int_eq(GO(0xdd, 0x23), EMULATE_FAILED);	      /* frstor */
	ck_assert_int_eq(GO(0xdd, 0x33), EMULATE_FAILED);	      /* fnsave */
	ck_assert_int_eq(GO(0x66, 0x0f, 0xfe, 0x03), EMULATE_FAILED); /* paddd xmm0, [ebx] */
	ck_assert_uint_eq(device_reads + device_writes, 0);
}
END_TEST

static int get_none(void *arg, struct xstate **x)
{
	(void)arg;
	(void)x;
	return -ENOMEM;
}

static int set_none(void *arg)
{
	(void)arg;
	return -EIO;
}

START_TEST(module_fails)
{
	static const struct emulate_ops no_get = {.get_xstate = get_none};
	static const struct emulate_ops no_set = {.get_xstate = get_xstate, .set_xstate = set_none};

	env.ops = &no_get;
	ck_assert_int_eq(GO(MOVUPS_STORE), EMULATE_HOST_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "vector registers: Cannot allocate memory"));
	ck_assert_int_eq(GO(FLD), EMULATE_HOST_FAILED);
	ck_assert_int_eq(GO(MMX_LOAD), EMULATE_HOST_FAILED);
	ck_assert_uint_eq(device_reads + device_writes, 0);
	env.ops = &no_set;
	ck_assert_int_eq(GO(0x0f, 0x10, 0x13), EMULATE_HOST_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "vector registers: Input/output error"));
	ck_assert_int_eq(GO(FLD), EMULATE_HOST_FAILED);
	ck_assert_int_eq(GO(MMX_LOAD), EMULATE_HOST_FAILED);
	/* A guest's program is not to blame. */
	protected_mode(3);
	ck_assert_int_eq(GO(FLD), EMULATE_HOST_FAILED);
}
END_TEST

#define LENGTH(table) ((int)(sizeof(table) / sizeof((table)[0])))

int main(void)
{
	Suite *s = suite_create("emulate_vector");
	TCase *t = tcase_create("native");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, begin_vector, finish);
	tcase_add_loop_test(t, test_moves, 0, LENGTH(moves));
	tcase_add_loop_test(t, test_x87, 0, 64);
	suite_add_tcase(s, t);

	t = tcase_create("conditions");
	tcase_add_checked_fixture(t, begin_condition, tear_down);
	tcase_add_test(t, no_sse);
	tcase_add_test(t, no_avx);
	tcase_add_test(t, accesses);
	tcase_add_test(t, x87_errors);
	tcase_add_test(t, x87_pointers);
	tcase_add_test(t, mxcsr);
	tcase_add_test(t, left_out);
	tcase_add_test(t, module_fails);
	suite_add_tcase(s, t);
	return suite_run(s);
}
