// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/decode.c: known encodings, instructions cut short, and a fuzzer with a
 * fixed seed that holds every answer against Zydis in all three modes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode_zydis.h"
#include "kmod/decode.h"
#include "suite.h"

#define FUZZ_ROUNDS 150000

static const enum decode_mode modes[] = {DECODE_16, DECODE_32, DECODE_64};

/* What a known instruction decodes to; len 0: is refused. */
struct known {
	const char *text;
	const char *bytes;
	unsigned int count;
	enum decode_mode mode;
	struct decode_insn insn;
};

#define BYTES(s) s, sizeof(s) - 1

static const struct known known[] = {
	{"mov [rax], bl",
	 BYTES("\x88\x18"),
	 DECODE_64,
	 {.len = 2, .size = 1, .dest_size = 1, .write = true, .reg = HV_RBX}},
	{"mov [rax], bh",
	 BYTES("\x88\x38"),
	 DECODE_64,
	 {.len = 2, .size = 1, .dest_size = 1, .write = true, .reg = HV_RDI, .high_byte = true}},
	{"mov [rax], dil",
	 BYTES("\x40\x88\x38"),
	 DECODE_64,
	 {.len = 3, .size = 1, .dest_size = 1, .write = true, .reg = HV_RDI}},
	{"mov [rax], bh (REX void)",
	 BYTES("\x40\x3e\x88\x38"),
	 DECODE_64,
	 {.len = 4, .size = 1, .dest_size = 1, .write = true, .reg = HV_RDI, .high_byte = true}},
	{"mov [rax], r15b",
	 BYTES("\x44\x88\x38"),
	 DECODE_64,
	 {.len = 3, .size = 1, .dest_size = 1, .write = true, .reg = HV_R15}},
	{"mov [rax], ebx",
	 BYTES("\x89\x18"),
	 DECODE_64,
	 {.len = 2, .size = 4, .dest_size = 4, .write = true, .reg = HV_RBX}},
	{"mov [rax], bx",
	 BYTES("\x66\x89\x18"),
	 DECODE_64,
	 {.len = 3, .size = 2, .dest_size = 2, .write = true, .reg = HV_RBX}},
	{"mov [rax], rbx (66 and REX.W)",
	 BYTES("\x66\x48\x89\x18"),
	 DECODE_64,
	 {.len = 4, .size = 8, .dest_size = 8, .write = true, .reg = HV_RBX}},
	{"mov r9, [r12+0x12345678]",
	 BYTES("\x4d\x8b\x8c\x24\x78\x56\x34\x12"),
	 DECODE_64,
	 {.len = 8, .size = 8, .dest_size = 8, .reg = HV_R9}},
	{"mov eax, [rip+4]",
	 BYTES("\x8b\x05\x04\x00\x00\x00"),
	 DECODE_64,
	 {.len = 6, .size = 4, .dest_size = 4}},
	{"mov eax, [r13+rcx*4+0x12345678] without base",
	 BYTES("\x41\x8b\x04\x8d\x78\x56\x34\x12"),
	 DECODE_64,
	 {.len = 8, .size = 4, .dest_size = 4}},
	{"mov eax, [rbp+0x10]",
	 BYTES("\x8b\x45\x10"),
	 DECODE_64,
	 {.len = 3, .size = 4, .dest_size = 4}},
	{"mov eax, gs:[eax]",
	 BYTES("\x65\x67\x8b\x00"),
	 DECODE_64,
	 {.len = 4, .size = 4, .dest_size = 4}},
	{"mov al, [0x1122334455667788]",
	 BYTES("\xa0\x88\x77\x66\x55\x44\x33\x22\x11"),
	 DECODE_64,
	 {.len = 9, .size = 1, .dest_size = 1}},
	{"mov [0x11223344], eax",
	 BYTES("\x67\xa3\x44\x33\x22\x11"),
	 DECODE_64,
	 {.len = 6, .size = 4, .dest_size = 4, .write = true}},
	{"mov rax, [moffs]",
	 BYTES("\x48\xa1\x88\x77\x66\x55\x44\x33\x22\x11"),
	 DECODE_64,
	 {.len = 10, .size = 8, .dest_size = 8}},
	{"mov [0x1122], ax",
	 BYTES("\xa3\x22\x11"),
	 DECODE_16,
	 {.len = 3, .size = 2, .dest_size = 2, .write = true}},
	{"mov eax, [0x11223344]",
	 BYTES("\x66\x67\xa1\x44\x33\x22\x11"),
	 DECODE_16,
	 {.len = 7, .size = 4, .dest_size = 4}},
	{"mov byte [rax], 0x80",
	 BYTES("\xc6\x00\x80"),
	 DECODE_64,
	 {.len = 3, .size = 1, .dest_size = 1, .write = true, .immediate = true, .imm = 0x80}},
	{"mov word [rax], 0x8001",
	 BYTES("\x66\xc7\x00\x01\x80"),
	 DECODE_64,
	 {.len = 5, .size = 2, .dest_size = 2, .write = true, .immediate = true, .imm = 0x8001}},
	{"mov dword [rax], -2",
	 BYTES("\xc7\x00\xfe\xff\xff\xff"),
	 DECODE_64,
	 {.len = 6,
	  .size = 4,
	  .dest_size = 4,
	  .write = true,
	  .immediate = true,
	  .imm = 0xfffffffe}},
	{"mov qword [rax], -2",
	 BYTES("\x48\xc7\x00\xfe\xff\xff\xff"),
	 DECODE_64,
	 {.len = 7, .size = 8, .dest_size = 8, .write = true, .immediate = true, .imm = -2ULL}},
	{"mov word [bp+0x1122], 0x3344",
	 BYTES("\xc7\x86\x22\x11\x44\x33"),
	 DECODE_16,
	 {.len = 6, .size = 2, .dest_size = 2, .write = true, .immediate = true, .imm = 0x3344}},
	{"mov dword [0x1122], 0x33445566",
	 BYTES("\x66\xc7\x06\x22\x11\x66\x55\x44\x33"),
	 DECODE_16,
	 {.len = 9,
	  .size = 4,
	  .dest_size = 4,
	  .write = true,
	  .immediate = true,
	  .imm = 0x33445566}},
	{"movzx eax, byte [rax]",
	 BYTES("\x0f\xb6\x00"),
	 DECODE_64,
	 {.len = 3, .size = 1, .dest_size = 4}},
	{"movzx r8, word [rax]",
	 BYTES("\x4c\x0f\xb7\x00"),
	 DECODE_64,
	 {.len = 4, .size = 2, .dest_size = 8, .reg = HV_R8}},
	{"movzx sp, byte [rax]: no high byte",
	 BYTES("\x66\x0f\xb6\x20"),
	 DECODE_64,
	 {.len = 4, .size = 1, .dest_size = 2, .reg = HV_RSP}},
	{"movsx eax, byte [rax]",
	 BYTES("\x0f\xbe\x00"),
	 DECODE_32,
	 {.len = 3, .size = 1, .dest_size = 4, .sign_extend = true}},
	{"movsx rcx, word [rax]",
	 BYTES("\x48\x0f\xbf\x08"),
	 DECODE_64,
	 {.len = 4, .size = 2, .dest_size = 8, .sign_extend = true, .reg = HV_RCX}},
	{"movsxd rcx, dword [rax]",
	 BYTES("\x48\x63\x08"),
	 DECODE_64,
	 {.len = 3, .size = 4, .dest_size = 8, .sign_extend = true, .reg = HV_RCX}},
	{"inc eax; not a REX in 32-bit mode", BYTES("\x48\x89\x18"), DECODE_32, {0}},
	{"arpl [eax], cx", BYTES("\x63\x08"), DECODE_32, {0}},
	{"movsxd with 66", BYTES("\x66\x63\x08"), DECODE_64, {0}},
	{"lock mov", BYTES("\xf0\x89\x18"), DECODE_64, {0}},
	{"register operand", BYTES("\x89\xd8"), DECODE_64, {0}},
	{"movzx from a register", BYTES("\x0f\xb6\xc0"), DECODE_64, {0}},
	{"c7 /1", BYTES("\xc7\x08\x00\x00\x00\x00"), DECODE_64, {0}},
	{"xbegin", BYTES("\xc7\xf8\x00\x00\x00\x00"), DECODE_64, {0}},
	{"mov [rax], ds", BYTES("\x8c\x18"), DECODE_64, {0}},
	{"add [rax], ebx", BYTES("\x01\x18"), DECODE_64, {0}},
	{"popcnt", BYTES("\xf3\x0f\xb8\x00"), DECODE_64, {0}},
	{"only prefixes", BYTES("\x66\x66\x66"), DECODE_64, {0}},
};

static void check_equal(const struct decode_insn *a, const struct decode_insn *b, const char *text)
{
	ck_assert_msg(a->len == b->len, "%s: len %u", text, a->len);
	ck_assert_msg(a->size == b->size, "%s: size %u", text, a->size);
	ck_assert_msg(a->dest_size == b->dest_size, "%s: dest_size %u", text, a->dest_size);
	ck_assert_msg(a->write == b->write, "%s: write", text);
	ck_assert_msg(a->immediate == b->immediate, "%s: immediate", text);
	ck_assert_msg(a->reg == b->reg, "%s: reg %u", text, a->reg);
	ck_assert_msg(a->high_byte == b->high_byte, "%s: high_byte", text);
	ck_assert_msg(a->sign_extend == b->sign_extend, "%s: sign_extend", text);
	ck_assert_msg(a->imm == b->imm, "%s: imm %llx", text, (unsigned long long)a->imm);
}

START_TEST(test_known)
{
	const struct known *k = &known[_i];
	struct decode_insn insn;
	bool ok = decode_mov((const u8 *)k->bytes, k->count, k->mode, &insn);

	ck_assert_msg(ok == !!k->insn.len, "%s: %s", k->text, ok ? "accepted" : "refused");
	if (ok)
		check_equal(&insn, &k->insn, k->text);
}
END_TEST

/* Cut anywhere, an instruction is refused, and nothing beyond the cut is read (ASan). */
START_TEST(test_cut_short)
{
	const struct known *k = &known[_i];
	struct decode_insn insn;

	for (unsigned int n = 0; n < k->insn.len; n++) {
		u8 *copy = malloc(n ? n : 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, k->bytes, n);
		ck_assert_msg(!decode_mov(copy, n, k->mode, &insn), "%s: %u bytes", k->text, n);
		free(copy);
	}
}
END_TEST

START_TEST(test_longest)
{
	/* 5 prefixes and 10 bytes are 15; one prefix more is too long. */
	static const u8 bytes[] = {0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x48, 0xa1,
				   1,	 2,    3,    4,	   5,	 6,    7,    8};
	struct decode_insn insn;

	ck_assert(decode_mov(bytes + 1, 15, DECODE_64, &insn));
	ck_assert_uint_eq(insn.len, 15);
	ck_assert(!decode_mov(bytes, 16, DECODE_64, &insn));
	ck_assert(!decode_mov(bytes, ~0U, DECODE_64, &insn));
}
END_TEST

START_TEST(test_length)
{
	static const u8 cpuid[] = {0x0f, 0xa2}, vmmcall[] = {0x0f, 0x01, 0xd9}, hlt[] = {0xf4};
	u8 long_one[16];

	ck_assert_uint_eq(decode_length(cpuid, 2, DECODE_64, cpuid, 2), 2);
	ck_assert_uint_eq(decode_length((const u8 *)"\x66\x48\x0f\xa2", 4, DECODE_64, cpuid, 2), 4);
	/* In 32-bit mode 48 is an instruction of its own. */
	ck_assert_uint_eq(decode_length((const u8 *)"\x48\x0f\xa2", 3, DECODE_32, cpuid, 2), 0);
	ck_assert_uint_eq(decode_length(vmmcall, 3, DECODE_16, vmmcall, 3), 3);
	ck_assert_uint_eq(decode_length(vmmcall, 2, DECODE_16, vmmcall, 3), 0);
	ck_assert_uint_eq(decode_length((const u8 *)"\x0f\x01\xc1", 3, DECODE_64, vmmcall, 3), 0);
	ck_assert_uint_eq(decode_length((const u8 *)"\xf3\xf4", 2, DECODE_64, hlt, 1), 2);
	ck_assert_uint_eq(decode_length(hlt, 0, DECODE_64, hlt, 1), 0);

	memset(long_one, 0x2e, sizeof(long_one));
	long_one[14] = 0xf4;
	ck_assert_uint_eq(decode_length(long_one, 16, DECODE_64, hlt, 1), 15);
	long_one[14] = 0x2e;
	long_one[15] = 0xf4;
	ck_assert_uint_eq(decode_length(long_one, 16, DECODE_64, hlt, 1), 0);
}
END_TEST

static const struct {
	const char *bytes;
	unsigned int avail;
	enum decode_mode mode;
	struct decode_cr cr; /* len 0: refused */
} control[] = {
	{"\x0f\x22\xc0", 3, DECODE_32, {DECODE_MOV_CR, 3, 0, 4, false}},
	{"\x0f\x20\xe3", 3, DECODE_64, {DECODE_MOV_CR, 3, 3, 8, false}},
	/* REX.B; REX is a DEC elsewhere. The mode bits of ModRM mean nothing. */
	{"\x41\x0f\x22\xc0", 4, DECODE_64, {DECODE_MOV_CR, 4, 8, 8, false}},
	{"\x41\x0f\x22\xc0", 4, DECODE_32, {0}},
	{"\x0f\x22\x07", 3, DECODE_16, {DECODE_MOV_CR, 3, 7, 4, false}},
	/* LOCK, operand size: MOV does not care here */
	{"\xf0\x66\x0f\x22\xc1", 5, DECODE_32, {DECODE_MOV_CR, 5, 1, 4, false}},
	{"\x0f\x06", 2, DECODE_16, {DECODE_CLTS, 2, 0, 0, false}},
	/* LMSW and SMSW, whose operand has a size, and may be in memory */
	{"\x0f\x01\xf2", 3, DECODE_16, {DECODE_MSW, 3, 2, 2, false}},
	{"\x66\x0f\x01\xe2", 4, DECODE_16, {DECODE_MSW, 4, 2, 4, false}},
	{"\x0f\x01\xe2", 3, DECODE_64, {DECODE_MSW, 3, 2, 4, false}},
	{"\x49\x0f\x01\xe7", 4, DECODE_64, {DECODE_MSW, 4, 15, 8, false}},
	{"\x0f\x01\x23", 3, DECODE_64, {DECODE_MSW, 3, 3, 4, true}},
	/* Their neighbours: SGDT, INVLPG, VMCALL, MOV from DR */
	{"\x0f\x01\x03", 3, DECODE_64, {0}},
	{"\x0f\x01\x3b", 3, DECODE_64, {0}},
	{"\x0f\x01\xc1", 3, DECODE_64, {0}},
	{"\x0f\x21\xc0", 3, DECODE_64, {0}},
};

START_TEST(test_control)
{
	const struct decode_cr *want = &control[_i].cr;
	const u8 *bytes = (const u8 *)control[_i].bytes;
	struct decode_cr got;
	bool ok = decode_cr(bytes, control[_i].avail, control[_i].mode, &got);

	ck_assert_int_eq(ok, want->len != 0);
	if (!ok)
		return;
	ck_assert_uint_eq(got.op, want->op);
	ck_assert_uint_eq(got.len, want->len);
	ck_assert_uint_eq(got.gpr, want->gpr);
	ck_assert_uint_eq(got.size, want->size);
	ck_assert_int_eq(got.memory, want->memory);
	for (unsigned int n = 0; n < want->len; n++) {
		/* A copy that ends there, so that a byte too many is noticed. */
		u8 *cut = malloc(n ? n : 1);

		memcpy(cut, bytes, n);
		ck_assert(!decode_cr(cut, n, control[_i].mode, &got));
		free(cut);
	}
}
END_TEST

START_TEST(test_merge)
{
	const u64 old = 0x1122334455667788, data = 0xfedcba9876543281;
	struct decode_insn i = {.size = 1, .dest_size = 1};

	ck_assert_uint_eq(decode_merge(&i, old, data), 0x1122334455667781);
	i.high_byte = true;
	ck_assert_uint_eq(decode_merge(&i, old, data), 0x1122334455668188);
	i = (struct decode_insn){.size = 2, .dest_size = 2};
	ck_assert_uint_eq(decode_merge(&i, old, data), 0x1122334455663281);
	i = (struct decode_insn){.size = 4, .dest_size = 4};
	ck_assert_uint_eq(decode_merge(&i, old, data), 0x76543281);
	i = (struct decode_insn){.size = 8, .dest_size = 8};
	ck_assert_uint_eq(decode_merge(&i, old, data), data);

	/* MOVZX and MOVSX: what is above the read is not the device's to decide. */
	i = (struct decode_insn){.size = 1, .dest_size = 2};
	ck_assert_uint_eq(decode_merge(&i, old, data), 0x1122334455660081);
	i.sign_extend = true;
	ck_assert_uint_eq(decode_merge(&i, old, data), 0x112233445566ff81);
	i.dest_size = 4;
	ck_assert_uint_eq(decode_merge(&i, old, data), 0xffffff81);
	i.dest_size = 8;
	ck_assert_uint_eq(decode_merge(&i, old, data), 0xffffffffffffff81);
	ck_assert_uint_eq(decode_merge(&i, old, 0x7f), 0x7f);
	i = (struct decode_insn){.size = 4, .dest_size = 8, .sign_extend = true};
	ck_assert_uint_eq(decode_merge(&i, old, 0x80000000), 0xffffffff80000000);
	i = (struct decode_insn){.size = 4, .dest_size = 4, .sign_extend = true};
	ck_assert_uint_eq(decode_merge(&i, old, 0x80000000), 0x80000000);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Against Zydis                                                              */

static u64 seed = 0x9e3779b97f4a7c15;

/* xorshift64 */
static u32 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 32);
}

/* Half the strings are noise, half look like what decode_mov() knows. */
static void fill(u8 bytes[16])
{
	static const u8 prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e,
				      0x36, 0x3e, 0x64, 0x65, 0x48, 0x44, 0x4f};
	static const u8 opcodes[] = {0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1,
				     0xa2, 0xa3, 0xc6, 0xc7, 0x63, 0x0f};
	static const u8 second[] = {0xb6, 0xb7, 0xbe, 0xbf};
	unsigned int pos = 0, n;

	for (unsigned int i = 0; i < 16; i++)
		bytes[i] = (u8)rnd();
	if (rnd() & 1)
		return;
	for (n = rnd() % 5; n > 0; n--)
		bytes[pos++] =
			rnd() & 3 ? prefixes[rnd() % sizeof(prefixes)] : (u8)(0x40 | (rnd() & 0xf));
	bytes[pos++] = opcodes[rnd() % sizeof(opcodes)];
	if (bytes[pos - 1] == 0x0f)
		bytes[pos] = second[rnd() % sizeof(second)];
	else if ((bytes[pos - 1] & 0xfe) == 0xc6 && rnd() & 1)
		bytes[pos] &= 0xc7;
}

static void disagree(const u8 *bytes, unsigned int avail, const char *what)
{
	char text[64] = "";

	for (unsigned int i = 0; i < avail; i++)
		snprintf(text + 3 * i, 4, "%02x ", bytes[i]);
	ck_abort_msg("%s: %s", text, what);
}

/* Both say the same of the bytes; returns whether they accept them. */
static bool compare(const ZydisDecoder *decoder, enum decode_mode mode, const u8 *bytes,
		    unsigned int avail)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT] = {0};
	ZydisDecodedInstruction z;
	struct decode_insn insn;
	const char *what;
	bool ok, zok;

	ok = decode_mov(bytes, avail, mode, &insn);
	zok = ZYAN_SUCCESS(decode_instruction(decoder, bytes, avail, &z, ops));
	if (!ok) {
		if (zok && should_accept(&z, ops))
			disagree(bytes, avail, "refused");
		return false;
	}
	if (!zok)
		disagree(bytes, avail, "accepted, not an instruction");
	what = difference(&insn, &z, ops);
	if (what)
		disagree(bytes, avail, what);
	return true;
}

START_TEST(test_against_zydis)
{
	unsigned int accepted = 0;
	ZydisDecoder decoder;
	u8 bytes[16];

	ck_assert(zydis_init(&decoder, modes[_i]));
	for (unsigned int round = 0; round < FUZZ_ROUNDS; round++) {
		unsigned int avail = rnd() % 16;

		fill(bytes);
		accepted += compare(&decoder, modes[_i], bytes, avail);
	}
	/* A generator that makes nothing of use would prove nothing. */
	ck_assert_uint_gt(accepted, FUZZ_ROUNDS / 50);
}
END_TEST

/* MOV r, r/m with every ModRM, SIB and REX, with and without 67. */
START_TEST(test_every_address)
{
	unsigned int rexes = modes[_i] == DECODE_64 ? 17 : 1;
	ZydisDecoder decoder;

	ck_assert(zydis_init(&decoder, modes[_i]));
	for (unsigned int i = 0; i < 2 * rexes * 0x10000; i++) {
		unsigned int prefixes = i >> 16, rex = prefixes / 2;
		u8 bytes[16], pos = 0;

		if (prefixes & 1)
			bytes[pos++] = 0x67;
		if (rex)
			bytes[pos++] = 0x3f + rex;
		bytes[pos++] = 0x8b;
		bytes[pos++] = i >> 8 & 0xff;
		bytes[pos++] = i & 0xff;
		memcpy(bytes + pos, "\x92\x81\x73\x84", 4);
		compare(&decoder, modes[_i], bytes, pos + 4);
	}
}
END_TEST

/* decode_length() agrees with Zydis wherever it takes a CPUID for one. */
START_TEST(test_length_against_zydis)
{
	static const u8 cpuid[] = {0x0f, 0xa2};
	static const u8 prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x26, 0x64, 0x40, 0x4f};
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisDecoder decoder;

	ck_assert(ZYAN_SUCCESS(
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)));
	for (unsigned int round = 0; round < 5000; round++) {
		unsigned int n = rnd() % 14;
		u8 bytes[16];

		for (unsigned int i = 0; i < n; i++)
			bytes[i] = prefixes[rnd() % sizeof(prefixes)];
		memcpy(bytes + n, cpuid, 2);
		ck_assert_uint_eq(decode_length(bytes, n + 2, DECODE_64, cpuid, 2), n + 2);
		ck_assert(ZYAN_SUCCESS(decode_instruction(&decoder, bytes, n + 2, &z, ops)));
		ck_assert_uint_eq(z.length, n + 2);
		ck_assert_int_eq(z.mnemonic, ZYDIS_MNEMONIC_CPUID);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decode");
	TCase *tc = tcase_create("known");

	tcase_add_loop_test(tc, test_known, 0, ARRAY_SIZE(known));
	tcase_add_loop_test(tc, test_cut_short, 0, ARRAY_SIZE(known));
	tcase_add_test(tc, test_longest);
	tcase_add_test(tc, test_length);
	tcase_add_loop_test(tc, test_control, 0, ARRAY_SIZE(control));
	tcase_add_test(tc, test_merge);
	suite_add_tcase(s, tc);

	tc = tcase_create("zydis");
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_against_zydis, 0, 3);
	tcase_add_loop_test(tc, test_every_address, 0, 3);
	tcase_add_test(tc, test_length_against_zydis);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
