// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction emulation where the processor of test_emulate_native.c cannot be asked: modes
 * of 16 and 32 bits, the kernel's instructions, and what other processors may see.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_guest.h"
#include "suite.h"

#define FLAG_ARITH (FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF | FLAG_PF | FLAG_AF)

/* ------------------------------------------------------------------------- */
/* The stack                                                                  */

/* The stack is in the device, and SP counts; what is above it stays. */
static void stack16_in_device(void)
{
	protected_mode(0);
	run.sregs.ss.ar &= ~HV_AR_DB;
	run.sregs.ss.base = MMIO_BASE;
	R(RSP) = 0xabcd0100;
}

START_TEST(pusha_popa)
{
	stack16_in_device();
	for (unsigned int i = 0; i < 8; i++) {
		if (i != HV_RSP)
			run.gprs.r[i] = 0x11111111 * (i + 1);
	}
	DONE(0x60);
	ck_assert_uint_eq(R(RSP), 0xabcd00e0);
	/* RDI is the lowest; of RSP it is the value before. */
	for (unsigned int i = 0; i < 8; i++) {
		unsigned int at = 0xe0 + (7 - i) * 4;

		if (i == HV_RSP)
			ck_assert_uint_eq(dev_get(at, 4), 0xabcd0100);
		else
			ck_assert_uint_eq(dev_get(at, 4), 0x11111111 * (i + 1));
	}
	ck_assert_uint_eq(device_writes, 8);

	for (unsigned int i = 0; i < 8; i++)
		dev_set(0xe0 + (7 - i) * 4, 4, 0x01010101 * (i + 1));
	DONE(0x61);
	ck_assert_uint_eq(R(RSP), 0xabcd0100);
	for (unsigned int i = 0; i < 8; i++) {
		if (i != HV_RSP)
			ck_assert_uint_eq(run.gprs.r[i], 0x01010101 * (i + 1));
	}
	/* Of 16 bits: the upper halves stay. */
	R(RAX) = 0x55556666;
	DONE(0x66, 0x60);
	ck_assert_uint_eq(R(RSP), 0xabcd00f0);
	ck_assert_uint_eq(dev_get(0xfe, 2), 0x6666);
	dev_set(0xfe, 2, 0x7777);
	DONE(0x66, 0x61);
	ck_assert_uint_eq(R(RAX), 0x55557777);
}
END_TEST

START_TEST(pusha_fault_writes_nothing)
{
	stack16_in_device();
	run.sregs.ss.ar = 0x93;
	run.sregs.ss.limit = 0xfb;
	ck_assert_int_eq(GO(0x60), EMULATE_DONE);
	expect_fault(VECTOR_SS, 0);
	ck_assert_uint_eq(device_writes, 0);
	ck_assert_uint_eq(R(RSP), 0xabcd0100);
	ck_assert_int_eq(GO(0x61), EMULATE_DONE);
	expect_fault(VECTOR_SS, 0);
	ck_assert_uint_eq(device_reads, 0);
}
END_TEST

START_TEST(enter_leave)
{
	stack16_in_device();
	R(RBP) = 0xffff0180;
	dev_set(0x17c, 4, 0x1111);
	dev_set(0x178, 4, 0x2222);
	/* Three levels: RBP, two outer frames, its own; and 16 bytes */
	DONE(0xc8, 16, 0, 3);
	ck_assert_uint_eq(dev_get(0xfc, 4), 0xffff0180);
	ck_assert_uint_eq(dev_get(0xf8, 4), 0x1111);
	ck_assert_uint_eq(dev_get(0xf4, 4), 0x2222);
	ck_assert_uint_eq(dev_get(0xf0, 4), 0xfc);
	ck_assert_uint_eq(R(RBP), 0xfc);
	ck_assert_uint_eq(R(RSP), 0xabcd00e0);
	ck_assert_uint_eq(device_writes, 4);
	ck_assert_uint_eq(device_reads, 2);
	DONE(0xc9);
	ck_assert_uint_eq(R(RBP), 0xffff0180);
	ck_assert_uint_eq(R(RSP), 0xabcd0100);
	/* 31 levels are the most, whatever the byte says; the last byte of the frame counts. */
	DONE(0xc8, 0, 0, 0xff);
	ck_assert_uint_eq(R(RSP), 0xabcd0100 - 4 * 32);
	R(RSP) = 0x100;
	run.sregs.ss.limit = 0x800;
	ck_assert_int_eq(GO(0xc8, 0, 1, 0), EMULATE_DONE);
	expect_fault(VECTOR_SS, 0);
	ck_assert_int_eq(GO(0xc8, 0xfc, 0, 0), EMULATE_DONE);
	ck_assert_uint_eq(R(RSP), 0);
}
END_TEST

START_TEST(pushf_popf)
{
	const uint64_t user = FLAG_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID;

	long_mode(0);
	R(RSP) = MMIO_BASE + 0x100;
	run.gprs.rflags = 2 | FLAG_RF | FLAG_CF;
	DONE(0x9c);
	ck_assert_uint_eq(dev_get(0xf8, 8), 2 | FLAG_CF);
	dev_set(0xf8, 8, ~0ULL);
	run.gprs.rflags = 2;
	DONE(0x9d);
	ck_assert_uint_eq(run.gprs.rflags, 2 | user | FLAG_IF | FLAG_IOPL);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x100);
	/* That TF traps the next instruction; now one traps that clears it. */
	dev_set(0x100, 8, 2);
	ck_assert_int_eq(GO(0x9d), EMULATE_DONE);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_DB);
	ck_assert_uint_eq(run.gprs.rflags, 2);
	run.events.exception = 0;

	/* 16 bits of them */
	R(RSP) = MMIO_BASE + 0x100;
	run.gprs.rflags = 2 | FLAG_ID;
	dev_set(0x100, 8, FLAG_AC | FLAG_CF);
	DONE(0x66, 0x9d);
	ck_assert_uint_eq(run.gprs.rflags, 2 | FLAG_ID | FLAG_CF);

	/* A program changes neither IOPL nor, without enough of it, IF. */
	long_mode(3);
	R(RSP) = MMIO_BASE + 0x100;
	dev_set(0x100, 8, ~FLAG_TF);
	DONE(0x9d);
	ck_assert_uint_eq(run.gprs.rflags, 2 | (user & ~FLAG_TF));
	R(RSP) = MMIO_BASE + 0x100;
	run.gprs.rflags = 2 | FLAG_IOPL;
	DONE(0x9d);
	ck_assert_uint_eq(run.gprs.rflags, 2 | (user & ~FLAG_TF) | FLAG_IF | FLAG_IOPL);
}
END_TEST

START_TEST(flags_in_virtual_8086_mode)
{
	protected_mode(3);
	run.gprs.rflags |= FLAG_VM;
	run.sregs.cs = segment(0, 0, 0xffff, 0xf3);
	all_data(segment(0, 0, 0xffff, 0xf3));
	R(RSP) = 0x1000;
	ck_assert_int_eq(GO(0x9c), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_int_eq(GO(0x9d), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	run.gprs.rflags |= FLAG_IOPL;
	DONE(0x9c);
	ck_assert_uint_eq(peek(0xffe, 2), 0x3002);
	DONE(0x9d);
	ck_assert(run.gprs.rflags & FLAG_VM);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Jumps                                                                      */

static void jumped(uint64_t to)
{
	ck_assert_uint_eq(run.events.exception, 0);
	ck_assert_uint_eq(run.gprs.rip, to);
}

START_TEST(jumps_of_32_and_16_bits)
{
	protected_mode(0);
	R(RBX) = MMIO_BASE;
	R(RSP) = MMIO_BASE + 0x100;
	dev_set(0, 4, 0x12345678);
	ck_assert_int_eq(GO(0xff, 0x23), EMULATE_DONE); /* jmp [ebx] */
	jumped(0x12345678);
	ck_assert_int_eq(GO(0x66, 0xff, 0x23), EMULATE_DONE);
	jumped(0x5678);
	ck_assert_int_eq(GO(0xff, 0x13), EMULATE_DONE); /* call [ebx] */
	jumped(0x12345678);
	ck_assert_uint_eq(dev_get(0xfc, 4), CODE + 2);
	ck_assert_int_eq(GO(0x66, 0xff, 0x13), EMULATE_DONE);
	jumped(0x5678);
	ck_assert_uint_eq(dev_get(0xfa, 2), CODE + 3);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0xfa);
	ck_assert_int_eq(GO(0x66, 0xc2, 0x08, 0x00), EMULATE_DONE); /* ret 8 */
	jumped(CODE + 3);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x104);
	/* call to CODE - 0x100, the stack in the device */
	ck_assert_int_eq(GO(0xe8, 0xfb, 0xfe, 0xff, 0xff), EMULATE_DONE);
	jumped(CODE - 0x100);
	ck_assert_uint_eq(dev_get(0x100, 4), CODE + 5);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x100);
	R(RCX) = 0x4444;
	ck_assert_int_eq(GO(0xff, 0xd1), EMULATE_DONE); /* call ecx */
	jumped(0x4444);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0xfc);
}
END_TEST

START_TEST(jump_beyond_limit)
{
	protected_mode(0);
	run.sregs.cs.limit = 0xffff;
	R(RBX) = MMIO_BASE;
	R(RSP) = MMIO_BASE + 0x100;
	dev_set(0, 4, 0x10000);
	dev_set(0x100, 4, 0x10000);
	ck_assert_int_eq(GO(0xff, 0x23), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_int_eq(GO(0xff, 0x13), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_int_eq(GO(0xc3), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x100);
	ck_assert_uint_eq(device_writes, 0);
	dev_set(0, 4, 0xffff);
	ck_assert_int_eq(GO(0xff, 0x23), EMULATE_DONE);
	jumped(0xffff);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Tables                                                                     */

START_TEST(descriptor_tables)
{
	long_mode(0);
	run.sregs.gdt = (struct hv_dtable){.base = 0x1122334455667788, .limit = 0x99aa};
	run.sregs.idt = (struct hv_dtable){.base = 0x55, .limit = 0x66};
	R(RBX) = MMIO_BASE;
	memset(device, 0xcc, 32);
	DONE(0x0f, 0x01, 0x03); /* sgdt [rbx] */
	ck_assert_uint_eq(dev_get(0, 2), 0x99aa);
	ck_assert_uint_eq(dev_get(2, 8), 0x1122334455667788);
	ck_assert_uint_eq(dev_get(10, 1), 0xcc);
	DONE(0x0f, 0x01, 0x4b, 0x10); /* sidt [rbx + 16] */
	ck_assert_uint_eq(dev_get(0x10, 2), 0x66);
	ck_assert_uint_eq(dev_get(0x12, 8), 0x55);
	ck_assert(!(run.dirty & HV_REGS_SREGS));

	dev_set(2, 8, 0xffff800000001000);
	DONE(0x0f, 0x01, 0x1b); /* lidt [rbx] */
	ck_assert(run.dirty & HV_REGS_SREGS);
	ck_assert_uint_eq(run.sregs.idt.base, 0xffff800000001000);
	ck_assert_uint_eq(run.sregs.idt.limit, 0x99aa);
	dev_set(2, 8, 0x0000800000001000);
	ck_assert_int_eq(GO(0x0f, 0x01, 0x13), EMULATE_DONE); /* lgdt [rbx] */
	expect_fault(VECTOR_GP, 0);
	ck_assert_uint_eq(run.sregs.gdt.base, 0x1122334455667788);

	long_mode(3);
	run.sregs.cr4 |= CR4_UMIP;
	ck_assert_int_eq(GO(0x0f, 0x01, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	run.sregs.cr4 &= ~CR4_UMIP;
	DONE(0x0f, 0x01, 0x03);
	ck_assert_int_eq(GO(0x0f, 0x01, 0x13), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
}
END_TEST

START_TEST(descriptor_tables_of_32_bits)
{
	protected_mode(0);
	run.sregs.gdt = (struct hv_dtable){.base = 0x55667788, .limit = 0x99aa};
	R(RBX) = MMIO_BASE;
	memset(device, 0xcc, 32);
	DONE(0x0f, 0x01, 0x03);
	ck_assert_uint_eq(dev_get(0, 8), 0xcccc5566778899aa);
	DONE(0x0f, 0x01, 0x1b);
	ck_assert_uint_eq(run.sregs.idt.base, 0x55667788);
	/* With an operand of 16 bits, three bytes */
	DONE(0x66, 0x0f, 0x01, 0x1b);
	ck_assert_uint_eq(run.sregs.idt.base, 0x667788);
}
END_TEST

START_TEST(selectors_stored)
{
	protected_mode(0);
	run.sregs.ldt.selector = 0x1111;
	run.sregs.tr.selector = 0x2222;
	R(RBX) = MMIO_BASE;
	memset(device, 0xcc, 8);
	DONE(0x0f, 0x00, 0x03); /* sldt [ebx] */
	ck_assert_uint_eq(dev_get(0, 4), 0xcccc1111);
	DONE(0x0f, 0x00, 0x0b); /* str [ebx] */
	ck_assert_uint_eq(dev_get(0, 4), 0xcccc2222);
	run.sregs.cr0 = 0;
	ck_assert_int_eq(GO(0x0f, 0x00, 0x03), EMULATE_FAILED);
	ck_assert_int_eq(GO(0x0f, 0x00, 0x0b), EMULATE_FAILED);
}
END_TEST

START_TEST(cache_lines)
{
	long_mode(0);
	R(RBX) = MMIO_BASE + 0xfff;
	DONE(0x0f, 0xae, 0x3b);	      /* clflush [rbx] */
	DONE(0x66, 0x0f, 0xae, 0x3b); /* clflushopt */
	DONE(0x66, 0x0f, 0xae, 0x33); /* clwb */
	ck_assert_uint_eq(device_reads + device_writes, 0);
	R(RBX) = DATA;
	poke(pte_of(DATA), 8, 0);
	ck_assert_int_eq(GO(0x0f, 0xae, 0x3b), EMULATE_DONE);
	expect_fault(VECTOR_PF, 0);
	/* One byte: the next page does not matter. */
	R(RBX) = DATA - 1;
	DONE(0x0f, 0xae, 0x3b);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Other processors                                                           */

#define TOKENS	  4
#define EXCHANGES 20000

struct processor {
	struct hv_run run;
	pthread_t thread;
	uint64_t token;
	unsigned int add;
};

static void *exchange(void *arg)
{
	struct processor *p = arg;
	/* xchg [rbx], rcx; lock xadd [rbx + 8], edx */
	static const uint8_t xchg[] = {0x48, 0x87, 0x0b}, xadd[] = {0xf0, 0x0f, 0xc1, 0x53, 0x08};
	char text[100];

	p->run.gprs.r[HV_RCX] = p->token;
	for (unsigned int i = 0; i < EXCHANGES; i++) {
		p->run.exit.emulate.insn_len = sizeof(xchg);
		memcpy(p->run.exit.emulate.insn, xchg, sizeof(xchg));
		if (emulate(&env, &p->run, text, sizeof(text)) != EMULATE_DONE)
			return NULL;
		p->run.gprs.rip = CODE;
		p->run.gprs.r[HV_RDX] = 1;
		p->run.exit.emulate.insn_len = sizeof(xadd);
		memcpy(p->run.exit.emulate.insn, xadd, sizeof(xadd));
		if (emulate(&env, &p->run, text, sizeof(text)) != EMULATE_DONE)
			return NULL;
		/* Retried, it stays where it is. */
		if (p->run.gprs.rip == CODE + sizeof(xadd))
			p->add++;
		p->run.gprs.rip = CODE;
	}
	p->token = p->run.gprs.r[HV_RCX];
	return p;
}

/* XCHG without a prefix, too: a word that is handed around is neither lost nor doubled. */
START_TEST(exchange_is_atomic)
{
	struct processor p[TOKENS];
	uint64_t seen = 0, sum = 0;

	long_mode(0);
	run.gprs.rip = CODE;
	R(RBX) = DATA;
	poke(DATA, 8, 1);
	poke(DATA + 8, 8, 0);
	for (unsigned int i = 0; i < TOKENS; i++) {
		p[i] = (struct processor){.run = run, .token = 2ULL << i};
		ck_assert_int_eq(pthread_create(&p[i].thread, NULL, exchange, &p[i]), 0);
	}
	for (unsigned int i = 0; i < TOKENS; i++) {
		void *done;

		pthread_join(p[i].thread, &done);
		ck_assert_ptr_eq(done, &p[i]);
		seen |= p[i].token;
		sum += p[i].add;
	}
	ck_assert_uint_eq(seen | peek(DATA, 8), (2ULL << TOKENS) - 1);
	ck_assert_uint_eq(peek(DATA + 8, 4), (uint32_t)sum);
}
END_TEST

/* ------------------------------------------------------------------------- */

int main(void)
{
	Suite *s = suite_create("emulate_modes");
	TCase *t = tcase_create("modes");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, pusha_popa);
	tcase_add_test(t, pusha_fault_writes_nothing);
	tcase_add_test(t, enter_leave);
	tcase_add_test(t, pushf_popf);
	tcase_add_test(t, flags_in_virtual_8086_mode);
	tcase_add_test(t, jumps_of_32_and_16_bits);
	tcase_add_test(t, jump_beyond_limit);
	tcase_add_test(t, descriptor_tables);
	tcase_add_test(t, descriptor_tables_of_32_bits);
	tcase_add_test(t, selectors_stored);
	tcase_add_test(t, cache_lines);
	tcase_add_test(t, exchange_is_atomic);
	suite_add_tcase(s, t);

	return suite_run(s);
}
