// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction emulation: what each instruction does to registers, flags, ports
 * and devices. Strings, read-modify-write, bits, the stack, the status word.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_guest.h"
#include "suite.h"

#define CR0_CD (1ULL << 30)

/* ------------------------------------------------------------------------- */
/* String I/O                                                                 */

START_TEST(real_outsb)
{
	real_mode();
	run.sregs.ds.base = 0x1230;
	memcpy(ram(0x1230 + 0x100), "hello", 5);
	R(RSI) = 0xabcd0100;
	R(RCX) = 0x50005;
	R(RDX) = PORT;
	DONE(0xf3, 0x6e);
	ck_assert_uint_eq(out_len, 5);
	ck_assert_mem_eq(out, "hello", 5);
	/* 16-bit registers: what is above stays. */
	ck_assert_uint_eq(R(RSI), 0xabcd0105);
	ck_assert_uint_eq(R(RCX), 0x50000);
}
END_TEST

START_TEST(real_segment_override)
{
	real_mode();
	run.sregs.es.base = 0x20000;
	poke(0x20010, 2, 0xbeef);
	R(RSI) = 0x10;
	R(RDX) = PORT;
	DONE(0x26, 0x6f);
	ck_assert_uint_eq(out_len, 2);
	ck_assert_uint_eq(out[0] | out[1] << 8, 0xbeef);
	ck_assert_uint_eq(R(RSI), 0x12);
}
END_TEST

START_TEST(real_limit)
{
	real_mode();
	R(RSI) = 0xffff;
	R(RDX) = PORT;
	ck_assert_int_eq(GO(0x6f), EMULATE_DONE);
	/* No error code in real mode. */
	expect_fault(VECTOR_GP, -1);
	ck_assert_uint_eq(out_len, 0);
}
END_TEST

START_TEST(ins_down)
{
	protected_mode(0);
	run.gprs.rflags |= FLAG_DF;
	R(RDI) = DATA + 8;
	R(RCX) = 3;
	R(RDX) = PORT;
	DONE(0xf3, 0x6d);
	ck_assert_uint_eq(peek(DATA + 8, 4), 0x41);
	ck_assert_uint_eq(peek(DATA + 4, 4), 0x42);
	ck_assert_uint_eq(peek(DATA, 4), 0x43);
	ck_assert_uint_eq(R(RDI), DATA - 4);
	ck_assert_uint_eq(R(RCX), 0);
}
END_TEST

START_TEST(ins_from_nowhere)
{
	protected_mode(0);
	R(RDI) = DATA;
	R(RDX) = 0x9999;
	DONE(0x6d);
	ck_assert_uint_eq(peek(DATA, 8), 0xffffffff);
}
END_TEST

START_TEST(outs_rex_w_is_32_bits)
{
	long_mode(0);
	R(RSI) = DATA;
	R(RDX) = PORT;
	DONE(0x48, 0x6f);
	ck_assert_uint_eq(out_size, 4);
	ck_assert_uint_eq(R(RSI), DATA + 4);
}
END_TEST

START_TEST(rep_zero_does_nothing)
{
	protected_mode(0);
	run.sregs.ds.ar |= HV_AR_UNUSABLE;
	R(RDX) = PORT;
	DONE(0xf3, 0x6e);
	ck_assert_uint_eq(out_len, 0);
}
END_TEST

START_TEST(rep_in_parts)
{
	unsigned int calls = 0;

	long_mode(0);
	memset(ram(DATA), 'x', 8192);
	R(RSI) = DATA;
	R(RCX) = 5000;
	R(RDX) = PORT;
	run.events.shadow = 1;
	do {
		uint64_t before = R(RCX);

		ck_assert_int_eq(GO(0xf3, 0x6e), EMULATE_DONE);
		ck_assert_uint_eq(run.events.exception, 0);
		ck_assert_uint_lt(R(RCX), before);
		ck_assert_uint_eq(run.events.shadow, 0);
		/* An interrupt that comes now returns to the middle of it. */
		ck_assert_uint_eq(!!(run.gprs.rflags & FLAG_RF), run.gprs.rip == CODE);
		calls++;
	} while (run.gprs.rip == CODE);
	ck_assert_uint_gt(calls, 1);
	ck_assert_uint_eq(R(RCX), 0);
	ck_assert_uint_eq(R(RSI), DATA + 5000);
	ck_assert_uint_eq(out_len, 5000);
}
END_TEST

START_TEST(rep_outs_into_unmapped_page)
{
	long_mode(3);
	run.gprs.rflags |= FLAG_IOPL;
	memcpy(ram(DATA + 0x1000 - 3), "abcdef", 6);
	poke(pte_of(DATA + 0x1000), 8, 0);
	R(RSI) = DATA + 0x1000 - 3;
	R(RCX) = 6;
	R(RDX) = PORT;
	ck_assert_int_eq(GO(0xf3, 0x6e), EMULATE_DONE);
	ck_assert_uint_eq(out_len, 3);
	ck_assert_mem_eq(out, "abc", 3);
	ck_assert_uint_eq(R(RCX), 3);
	ck_assert_uint_eq(R(RSI), DATA + 0x1000);
	expect_fault(VECTOR_PF, PTE_U);
	ck_assert_uint_eq(run.sregs.cr2, DATA + 0x1000);
	ck_assert(run.dirty & HV_REGS_SREGS);

	/* The guest's handler maps the page, and the rest follows. */
	poke(pte_of(DATA + 0x1000), 8, (DATA + 0x1000) | PTE_P | PTE_U);
	DONE(0xf3, 0x6e);
	ck_assert_uint_eq(out_len, 6);
	ck_assert_mem_eq(out, "abcdef", 6);
	ck_assert(!(run.gprs.rflags & FLAG_RF));
}
END_TEST

/* One element crosses into the page that is missing: CR2 is that page's first byte. */
START_TEST(element_crosses_into_unmapped_page)
{
	long_mode(0);
	poke(pte_of(DATA + 0x1000), 8, 0);
	R(RDI) = DATA + 0x1000 - 2;
	R(RDX) = PORT;
	ck_assert_int_eq(GO(0x6d), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_W);
	ck_assert_uint_eq(run.sregs.cr2, DATA + 0x1000);
	/* Nothing was read from the port. */
	ck_assert_uint_eq(in_value, 0x41);
}
END_TEST

START_TEST(port_permission)
{
	protected_mode(3);
	R(RSI) = DATA;
	R(RDX) = PORT;
	run.sregs.tr = segment(0x28, TSS, 0x67 + 0x2000, 0x8b);
	poke(TSS + 0x66, 2, 0x68);
	memset(ram(TSS + 0x68), 0xff, 0x2001);

	ck_assert_int_eq(GO(0x6e), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_uint_eq(out_len, 0);
	R(RDI) = DATA;
	ck_assert_int_eq(GO(0x6c), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_uint_eq(in_value, 0x41);

	/* One port allowed: a byte passes, a wider access does not. */
	*ram(TSS + 0x68 + PORT / 8) = 0xfe;
	DONE(0x6e);
	ck_assert_uint_eq(out_len, 1);
	DONE(0x6c);
	ck_assert_uint_eq(peek(DATA, 1), 0x41);
	ck_assert_int_eq(GO(0x6f), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);

	/* The map must have two bytes for the port, inside the limit. */
	run.sregs.tr.limit = 0x68 + PORT / 8;
	ck_assert_int_eq(GO(0x6e), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	run.sregs.tr.limit++;
	DONE(0x6e);

	/* Enough I/O privilege: the map does not matter. */
	run.sregs.tr.limit = 0;
	run.gprs.rflags |= FLAG_IOPL;
	DONE(0x6e);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Other strings                                                              */

START_TEST(movs_between_device_and_ram)
{
	long_mode(0);
	dev_set(0x10, 8, 0x1122334455667788);
	R(RSI) = MMIO_BASE + 0x10;
	R(RDI) = DATA;
	R(RCX) = 2;
	DONE(0xf3, 0xa5);
	ck_assert_uint_eq(peek(DATA, 8), 0x1122334455667788);
	ck_assert_uint_eq(device_reads, 2);

	R(RSI) = DATA;
	R(RDI) = MMIO_BASE + 0x20;
	R(RCX) = 1;
	/* REPNE repeats a move, too. */
	DONE(0xf2, 0x48, 0xa5);
	ck_assert_uint_eq(dev_get(0x20, 8), 0x1122334455667788);
	ck_assert_uint_eq(device_writes, 1);
}
END_TEST

START_TEST(movs_fault_leaves_device_alone)
{
	long_mode(0);
	poke(pte_of(DATA), 8, 0);
	R(RSI) = MMIO_BASE;
	R(RDI) = DATA;
	ck_assert_int_eq(GO(0xa4), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_W);
	ck_assert_uint_eq(device_reads, 0);
}
END_TEST

START_TEST(stos_lods)
{
	protected_mode(0);
	R(RAX) = 0x11223344;
	R(RDI) = MMIO_BASE;
	R(RCX) = 3;
	DONE(0xf3, 0x66, 0xab);
	ck_assert_uint_eq(dev_get(0, 8), 0x334433443344);
	R(RSI) = MMIO_BASE + 1;
	DONE(0xac);
	ck_assert_uint_eq(R(RAX), 0x11223333);
	ck_assert_uint_eq(R(RSI), MMIO_BASE + 2);
}
END_TEST

START_TEST(compares_stop)
{
	protected_mode(0);
	memcpy(device, "aaaab", 5);
	memcpy(ram(DATA), "aaaac", 5);
	R(RDI) = MMIO_BASE;
	R(RSI) = DATA;
	R(RCX) = 10;
	/* repe cmpsb: 'c' - 'b' */
	DONE(0xf3, 0xa6);
	ck_assert_uint_eq(R(RCX), 5);
	ck_assert(!(run.gprs.rflags & (FLAG_ZF | FLAG_CF)));
	/* repne scasb for 'b' */
	R(RDI) = MMIO_BASE;
	R(RAX) = 'b';
	R(RCX) = 10;
	DONE(0xf2, 0xae);
	ck_assert_uint_eq(R(RCX), 5);
	ck_assert_uint_eq(R(RDI), MMIO_BASE + 5);
	ck_assert(run.gprs.rflags & FLAG_ZF);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Read, change, write                                                        */

#define ARITH (FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF | FLAG_PF | FLAG_AF)

START_TEST(arithmetic_on_device)
{
	static const struct {
		uint8_t insn[10];
		unsigned int len, size;
		uint64_t rax, before, after, flags_in, flags_out;
	} t[] = {
		/* add [rbx], eax */
		{{0x01, 0x03}, 2, 4, 1, 0xffffffff, 0, 0, FLAG_CF | FLAG_ZF | FLAG_PF | FLAG_AF},
		/* add [rbx], rax */
		{{0x48, 0x01, 0x03},
		 3,
		 8,
		 1,
		 0x7fffffffffffffff,
		 0x8000000000000000,
		 0,
		 FLAG_OF | FLAG_SF | FLAG_PF | FLAG_AF},
		/* adc byte [rbx], 0xff */
		{{0x80, 0x13, 0xff}, 3, 1, 0, 0x05, 0x05, FLAG_CF, FLAG_CF | FLAG_PF | FLAG_AF},
		/* sbb [rbx], ax */
		{{0x66, 0x19, 0x03}, 3, 2, 0xffff, 5, 5, FLAG_CF, FLAG_CF | FLAG_PF | FLAG_AF},
		/* sub dword [rbx], imm8 -1 */
		{{0x83, 0x2b, 0xff}, 3, 4, 0, 0, 1, 0, FLAG_CF | FLAG_AF},
		/* or dword [rbx], imm32 */
		{{0x81, 0x0b, 0, 0, 0, 0x80}, 6, 4, 0, 1, 0x80000001, FLAG_CF, FLAG_SF},
		/* lock and [rbx], eax */
		{{0xf0, 0x21, 0x03}, 3, 4, 0xf0, 0xff, 0xf0, FLAG_OF, FLAG_PF},
		/* xor qword [rbx], imm32 sign-extended */
		{{0x48, 0x81, 0x33, 0, 0, 0, 0x80},
		 7,
		 8,
		 0,
		 0,
		 0xffffffff80000000,
		 0,
		 FLAG_SF | FLAG_PF},
		/* inc byte [rbx], carry kept */
		{{0xfe, 0x03}, 2, 1, 0, 0x7f, 0x80, FLAG_CF, FLAG_CF | FLAG_SF | FLAG_OF | FLAG_AF},
		/* dec dword [rbx] */
		{{0xff, 0x0b}, 2, 4, 0, 1, 0, 0, FLAG_ZF | FLAG_PF},
		/* neg dword [rbx] */
		{{0xf7, 0x1b},
		 2,
		 4,
		 0,
		 0x80000000,
		 0x80000000,
		 0,
		 FLAG_CF | FLAG_SF | FLAG_OF | FLAG_PF},
		/* not dword [rbx], no flags */
		{{0xf7, 0x13}, 2, 4, 0, 0x0f0f0f0f, 0xf0f0f0f0, FLAG_CF, FLAG_CF},
	};

	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		long_mode(0);
		run.gprs.rflags |= t[i].flags_in;
		R(RAX) = t[i].rax;
		R(RBX) = MMIO_BASE;
		memset(device, 0xcc, 16);
		dev_set(0, t[i].size, t[i].before);
		device_reads = device_writes = 0;
		ck_assert_int_eq(go_bytes(t[i].insn, t[i].len, t[i].len), EMULATE_DONE);
		ck_assert_uint_eq(run.events.exception, 0);
		ck_assert_uint_eq(run.gprs.rip, CODE + t[i].len);
		ck_assert_msg(dev_get(0, t[i].size) == t[i].after, "%u: %#lx", i,
			      dev_get(0, t[i].size));
		ck_assert_uint_eq(dev_get(t[i].size, 1), 0xcc);
		ck_assert_msg((run.gprs.rflags & ARITH) == t[i].flags_out, "%u: flags %#llx", i,
			      run.gprs.rflags & ARITH);
		ck_assert_uint_eq(device_reads, 1);
		ck_assert_uint_eq(device_writes, 1);
	}
}
END_TEST

START_TEST(compare_does_not_write)
{
	long_mode(0);
	dev_set(0, 4, 5);
	R(RBX) = MMIO_BASE;
	/* cmp dword [rbx], 5 */
	DONE(0x83, 0x3b, 0x05);
	ck_assert(run.gprs.rflags & FLAG_ZF);
	/* test byte [rbx], 4 */
	DONE(0xf6, 0x03, 0x04);
	ck_assert(!(run.gprs.rflags & FLAG_ZF));
	/* cmp eax, [rbx]: 4 - 5 */
	R(RAX) = 4;
	DONE(0x3b, 0x03);
	ck_assert(run.gprs.rflags & FLAG_CF);
	ck_assert_uint_eq(R(RAX), 4);
	ck_assert_uint_eq(device_writes, 0);
}
END_TEST

START_TEST(register_from_device)
{
	long_mode(0);
	dev_set(0, 8, 0x8070605040302010);
	R(RBX) = MMIO_BASE;
	R(RAX) = 0xffffffff00000001;
	/* add eax, [rbx]: the upper half is cleared */
	DONE(0x03, 0x03);
	ck_assert_uint_eq(R(RAX), 0x40302011);
	/* or ah, [rbx + 7] */
	R(RAX) = 0x0100;
	DONE(0x0a, 0x63, 0x07);
	ck_assert_uint_eq(R(RAX), 0x8100);
	/* movzx r9d, word [rbx + 6] */
	DONE(0x44, 0x0f, 0xb7, 0x4b, 0x06);
	ck_assert_uint_eq(R(R9), 0x8070);
	/* movsx r9, byte [rbx + 7] */
	DONE(0x4c, 0x0f, 0xbe, 0x4b, 0x07);
	ck_assert_uint_eq(R(R9), 0xffffffffffffff80);
	/* movsxd rcx, [rbx + 4] */
	DONE(0x48, 0x63, 0x4b, 0x04);
	ck_assert_uint_eq(R(RCX), 0xffffffff80706050);
	/* movbe rcx, [rbx] */
	DONE(0x48, 0x0f, 0x38, 0xf0, 0x0b);
	ck_assert_uint_eq(R(RCX), 0x1020304050607080);
	/* movbe [rbx], cx */
	DONE(0x66, 0x0f, 0x38, 0xf1, 0x0b);
	ck_assert_uint_eq(dev_get(0, 2), 0x8070);
	/* mov al, [moffs64] */
	DONE(0xa0, 0x07, 0, 0, 0xd0, 0, 0, 0, 0);
	ck_assert_uint_eq(R(RAX), 0x8180);
	/* mov sil, [rbx + 7] */
	R(RSI) = 0xffffff00;
	DONE(0x40, 0x8a, 0x73, 0x07);
	ck_assert_uint_eq(R(RSI), 0xffffff80);
}
END_TEST

START_TEST(exchanges)
{
	long_mode(0);
	R(RBX) = MMIO_BASE;
	dev_set(0, 4, 0x1111);
	/* xchg [rbx], ecx */
	R(RCX) = 0x2222;
	DONE(0x87, 0x0b);
	ck_assert_uint_eq(R(RCX), 0x1111);
	ck_assert_uint_eq(dev_get(0, 4), 0x2222);
	/* lock xadd [rbx], ecx */
	DONE(0xf0, 0x0f, 0xc1, 0x0b);
	ck_assert_uint_eq(R(RCX), 0x2222);
	ck_assert_uint_eq(dev_get(0, 4), 0x3333);
	/* lock cmpxchg [rbx], ecx: equal */
	R(RAX) = 0xaaaaaaaa00003333;
	DONE(0xf0, 0x0f, 0xb1, 0x0b);
	ck_assert(run.gprs.rflags & FLAG_ZF);
	ck_assert_uint_eq(dev_get(0, 4), 0x2222);
	/* not equal: the accumulator gets the memory's value */
	DONE(0x0f, 0xb1, 0x0b);
	ck_assert(!(run.gprs.rflags & FLAG_ZF));
	ck_assert_uint_eq(R(RAX), 0x2222);
	/* cmpxchg byte: the rest of RAX stays */
	R(RAX) = 0xff00;
	DONE(0x0f, 0xb0, 0x0b);
	ck_assert_uint_eq(R(RAX), 0xff22);
}
END_TEST

/* The operand is in RAM: another vCPU made it so after the exit. */
#define ADDITIONS 100000

static bool added_enough;

/* Returns how many it has added. */
static void *add_too(void *counter)
{
	uintptr_t n = 0;

	for (; !__atomic_load_n(&added_enough, __ATOMIC_RELAXED); n++) {
		__atomic_fetch_add((uint64_t *)counter, 1, __ATOMIC_SEQ_CST);
		for (unsigned int i = 0; i < 10; i++)
			__builtin_ia32_pause();
	}
	return (void *)n;
}

/* Another vCPU's changes in between: it is computed anew, from the flags as they were. */
START_TEST(locked_against_others)
{
	pthread_t other;
	void *others;

	long_mode(0);
	R(RBX) = DATA;
	written_off = true;
	ck_assert_int_eq(pthread_create(&other, NULL, add_too, ram(DATA)), 0);
	for (unsigned int i = 0; i < ADDITIONS; i++) {
		/* Given up for this time, it is executed again. */
		do {
			run.gprs.rflags |= FLAG_CF;
			/* lock adc qword [rbx], 0 */
			ck_assert_int_eq(GO(0xf0, 0x48, 0x83, 0x13, 0x00), EMULATE_DONE);
		} while (run.gprs.rip == CODE);
	}
	__atomic_store_n(&added_enough, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(other, &others), 0);
	ck_assert_uint_eq(peek(DATA, 8), ADDITIONS + (uintptr_t)others);
	written_off = false;
}
END_TEST

START_TEST(locked_in_ram)
{
	long_mode(0);
	R(RBX) = DATA;
	poke(DATA, 8, 0xffffffffffffffff);
	/* lock inc by each width */
	DONE(0xf0, 0xfe, 0x03);
	ck_assert_uint_eq(peek(DATA, 8), 0xffffffffffffff00);
	DONE(0x66, 0xf0, 0xff, 0x43, 0x02);
	ck_assert_uint_eq(peek(DATA, 8), 0xffffffff0000ff00);
	DONE(0xf0, 0xff, 0x43, 0x04);
	ck_assert_uint_eq(peek(DATA, 8), 0x000000000000ff00);
	DONE(0xf0, 0x48, 0xff, 0x03);
	ck_assert_uint_eq(peek(DATA, 8), 0x000000000000ff01);
	/* across two pages */
	R(RBX) = DATA + 0xffe;
	poke(DATA + 0xffe, 4, 0x0000ffff);
	DONE(0xf0, 0xff, 0x03);
	ck_assert_uint_eq(peek(DATA + 0xffe, 4), 0x00010000);
}
END_TEST

START_TEST(bits)
{
	long_mode(0);
	R(RBX) = MMIO_BASE + 0x100;
	/* bts dword [rbx], 35: modulo 32 */
	DONE(0x0f, 0xba, 0x2b, 35);
	ck_assert_uint_eq(dev_get(0x100, 4), 8);
	ck_assert(!(run.gprs.rflags & FLAG_CF));
	/* bt [rbx], ecx */
	R(RCX) = 3;
	DONE(0x0f, 0xa3, 0x0b);
	ck_assert(run.gprs.rflags & FLAG_CF);
	/* lock bts [rbx], ecx far above: bit 100 is in the fourth dword */
	R(RCX) = 100;
	DONE(0xf0, 0x0f, 0xab, 0x0b);
	ck_assert_uint_eq(dev_get(0x10c, 4), 1 << 4);
	/* and below: -1 is the last bit of the dword before */
	R(RCX) = 0xffffffff;
	DONE(0x0f, 0xab, 0x0b);
	ck_assert_uint_eq(dev_get(0xfc, 4), 0x80000000);
	DONE(0x0f, 0xb3, 0x0b);
	ck_assert(run.gprs.rflags & FLAG_CF);
	ck_assert_uint_eq(dev_get(0xfc, 4), 0);
	/* btc qword [rbx], rcx with -64 */
	R(RCX) = -64ULL;
	DONE(0x48, 0x0f, 0xbb, 0x0b);
	ck_assert_uint_eq(dev_get(0xf8, 8), 1);
}
END_TEST

START_TEST(stack)
{
	long_mode(0);
	R(RBX) = MMIO_BASE;
	dev_set(0, 8, 0x1122334455667788);
	/* push qword [rbx] */
	DONE(0xff, 0x33);
	ck_assert_uint_eq(R(RSP), STACK - 8);
	ck_assert_uint_eq(peek(STACK - 8, 8), 0x1122334455667788);
	/* pop qword [rbx + 8] */
	DONE(0x8f, 0x43, 0x08);
	ck_assert_uint_eq(R(RSP), STACK);
	ck_assert_uint_eq(dev_get(8, 8), 0x1122334455667788);
	/* The stack is the device; push a sign-extended immediate, pop it into rsp. */
	R(RSP) = MMIO_BASE + 0x40;
	DONE(0x6a, 0xff);
	ck_assert_uint_eq(dev_get(0x38, 8), ~0ULL);
	DONE(0x5c);
	ck_assert_uint_eq(R(RSP), ~0ULL);
	/* pop [rsp]: the address is that of the popped stack */
	R(RSP) = MMIO_BASE + 0x40;
	dev_set(0x40, 8, 7);
	DONE(0x8f, 0x04, 0x24);
	ck_assert_uint_eq(dev_get(0x48, 8), 7);
}
END_TEST

START_TEST(stack_16_bit)
{
	real_mode();
	run.sregs.ds.limit = 0xffffffff;
	R(RSP) = 0xabcd0000;
	R(RBX) = MMIO_BASE;
	dev_set(0, 4, 0xdead);
	/* push word [ebx] with a 32-bit address: sp wraps at 64 KiB */
	DONE(0x67, 0xff, 0x33);
	ck_assert_uint_eq(R(RSP), 0xabcdfffe);
	ck_assert_uint_eq(peek(0xfffe, 2), 0xdead);
}
END_TEST

START_TEST(pop_fault_keeps_stack)
{
	long_mode(0);
	poke(pte_of(DATA), 8, 0);
	R(RBX) = DATA;
	R(RSP) = MMIO_BASE;
	ck_assert_int_eq(GO(0x8f, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_W);
	ck_assert_uint_eq(R(RSP), MMIO_BASE);
	ck_assert_uint_eq(device_reads, 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The machine status word                                                    */

START_TEST(lmsw)
{
	const uint64_t cr0 = CR0_PE | CR0_PG | CR0_WP;

	long_mode(0);
	R(RBX) = DATA;
	poke(DATA, 2, 0xffff);
	DONE(0x0f, 0x01, 0x33); /* lmsw [rbx] */
	/* The low four bits and no other; ET, NE and what is above stay. */
	ck_assert_uint_eq(run.sregs.cr0, cr0 | CR0_MP | CR0_EM | CR0_TS);
	ck_assert(run.dirty & HV_REGS_SREGS);
	/* Protected mode cannot be left with it. */
	poke(DATA, 2, 0);
	DONE(0x0f, 0x01, 0x33);
	ck_assert_uint_eq(run.sregs.cr0, cr0);
	R(RBX) = 0x4;
	DONE(0x0f, 0x01, 0xf3); /* lmsw bx */
	ck_assert_uint_eq(run.sregs.cr0, cr0 | CR0_EM);
}
END_TEST

START_TEST(lmsw_enters_protected_mode)
{
	real_mode();
	run.sregs.cr0 = CR0_ET;
	run.sregs.ds.base = 0x20000;
	poke(0x20000 + 0x1234, 2, 0x0001);
	DONE(0x0f, 0x01, 0x36, 0x34, 0x12); /* lmsw [0x1234] */
	ck_assert_uint_eq(run.sregs.cr0, CR0_ET | CR0_PE);
}
END_TEST

START_TEST(lmsw_faults)
{
	long_mode(3);
	R(RBX) = DATA;
	ck_assert_int_eq(GO(0x0f, 0x01, 0x33), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert(!(run.dirty & HV_REGS_SREGS));

	long_mode(0);
	R(RBX) = DATA;
	poke(pte_of(DATA), 8, 0);
	ck_assert_int_eq(GO(0x0f, 0x01, 0x33), EMULATE_DONE);
	expect_fault(VECTOR_PF, 0);
	ck_assert_uint_eq(run.sregs.cr2, DATA);
	ck_assert_uint_eq(run.sregs.cr0, CR0_PE | CR0_PG | CR0_WP);
}
END_TEST

START_TEST(smsw)
{
	const uint64_t cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_CD | CR0_TS;

	long_mode(0);
	run.sregs.cr0 = cr0;
	R(RBX) = DATA;
	poke(DATA, 8, ~0ULL);
	/* Two bytes, whatever the operand size says. */
	DONE(0x48, 0x0f, 0x01, 0x23); /* smsw [rbx] */
	ck_assert_uint_eq(peek(DATA, 8), 0xffffffffffff0000 | (cr0 & 0xffff));
	ck_assert(!(run.dirty & HV_REGS_SREGS));
	R(RAX) = ~0ULL;
	DONE(0x48, 0x0f, 0x01, 0xe0); /* smsw rax */
	ck_assert_uint_eq(R(RAX), cr0);
	R(RAX) = ~0ULL;
	DONE(0x66, 0x0f, 0x01, 0xe0); /* smsw ax */
	ck_assert_uint_eq(R(RAX), 0xffffffffffff0000 | (cr0 & 0xffff));
}
END_TEST

START_TEST(smsw_in_user_mode)
{
	long_mode(3);
	R(RBX) = DATA;
	DONE(0x0f, 0x01, 0x23);
	ck_assert_uint_eq(peek(DATA, 2), run.sregs.cr0 & 0xffff);
	run.sregs.cr4 |= CR4_UMIP;
	ck_assert_int_eq(GO(0x0f, 0x01, 0x23), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	poke(pte_of(DATA), 8, DATA | PTE_P | PTE_U);
	run.sregs.cr4 &= ~CR4_UMIP;
	ck_assert_int_eq(GO(0x0f, 0x01, 0x23), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_P | PTE_W | PTE_U);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("emulate");
	TCase *t;

	t = tcase_create("strings");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, real_outsb);
	tcase_add_test(t, real_segment_override);
	tcase_add_test(t, real_limit);
	tcase_add_test(t, ins_down);
	tcase_add_test(t, ins_from_nowhere);
	tcase_add_test(t, outs_rex_w_is_32_bits);
	tcase_add_test(t, rep_zero_does_nothing);
	tcase_add_test(t, rep_in_parts);
	tcase_add_test(t, rep_outs_into_unmapped_page);
	tcase_add_test(t, element_crosses_into_unmapped_page);
	tcase_add_test(t, port_permission);
	tcase_add_test(t, movs_between_device_and_ram);
	tcase_add_test(t, movs_fault_leaves_device_alone);
	tcase_add_test(t, stos_lods);
	tcase_add_test(t, compares_stop);
	suite_add_tcase(s, t);

	t = tcase_create("operations");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, arithmetic_on_device);
	tcase_add_test(t, compare_does_not_write);
	tcase_add_test(t, register_from_device);
	tcase_add_test(t, exchanges);
	tcase_add_test(t, locked_against_others);
	tcase_add_test(t, locked_in_ram);
	tcase_add_test(t, bits);
	tcase_add_test(t, stack);
	tcase_add_test(t, stack_16_bit);
	tcase_add_test(t, pop_fault_keeps_stack);
	tcase_add_test(t, lmsw);
	tcase_add_test(t, lmsw_enters_protected_mode);
	tcase_add_test(t, lmsw_faults);
	tcase_add_test(t, smsw);
	tcase_add_test(t, smsw_in_user_mode);
	suite_add_tcase(s, t);

	return suite_run(s);
}
