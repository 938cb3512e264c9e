// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction emulation: how an operand is reached and what forbids it (addresses,
 * segments, paging, alignment), how bytes become an instruction, and in what
 * state the guest is left.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate_guest.h"
#include "suite.h"

/* ------------------------------------------------------------------------- */
/* Addresses                                                                  */

START_TEST(addressing)
{
	real_mode();
	run.sregs.ss.base = 0x1000;
	run.sregs.ds.base = 0x2000;
	/* inc word [bx + si + 0x10], with 16-bit wrap */
	R(RBX) = 0xfff0;
	R(RSI) = 0x0102;
	DONE(0xff, 0x40, 0x10);
	ck_assert_uint_eq(peek(0x2000 + 0x102, 2), 1);
	/* inc word [bp + di - 2]: the stack segment */
	R(RBP) = 0x200;
	R(RDI) = 0x10;
	DONE(0xff, 0x43, 0xfe);
	ck_assert_uint_eq(peek(0x1000 + 0x20e, 2), 1);
	/* inc word [0x1234] */
	DONE(0xff, 0x06, 0x34, 0x12);
	ck_assert_uint_eq(peek(0x2000 + 0x1234, 2), 1);

	long_mode(0);
	/* inc dword [rip + 0x100] */
	DONE(0xff, 0x05, 0x00, 0x01, 0x00, 0x00);
	ck_assert_uint_eq(peek(CODE + 6 + 0x100, 4), 1);
	/* inc dword [rbx + rcx * 8 - 8] */
	R(RBX) = DATA;
	R(RCX) = 0x11;
	DONE(0xff, 0x44, 0xcb, 0xf8);
	ck_assert_uint_eq(peek(DATA + 0x80, 4), 1);
	/* inc dword gs:[rbx] */
	run.sregs.gs.base = 0x100;
	DONE(0x65, 0xff, 0x03);
	ck_assert_uint_eq(peek(DATA + 0x100, 4), 1);
	/* an ds/es base does not count */
	run.sregs.es.base = run.sregs.ds.base = 0x5000;
	DONE(0x26, 0xff, 0x03);
	ck_assert_uint_eq(peek(DATA, 4), 1);
	/* inc dword [ebx]: the address is cut to 32 bits */
	R(RBX) = 0xf00000000 | DATA;
	DONE(0x67, 0xff, 0x03);
	ck_assert_uint_eq(peek(DATA, 4), 2);
	/* inc dword [ecx + DATA]: REX.B makes no base where there is none */
	R(RCX) = 4;
	R(R13) = 0x100;
	DONE(0x67, 0x41, 0xff, 0x04, 0x0d, DATA & 0xff, DATA >> 8 & 0xff, DATA >> 16 & 0xff, 0);
	ck_assert_uint_eq(peek(DATA + 4, 4), 1);
}
END_TEST

START_TEST(mov_segment_store)
{
	protected_mode(0);
	R(RBX) = MMIO_BASE;
	memset(device, 0xcc, 4);
	/* mov [ebx], ss: 16 bits whatever the operand size */
	DONE(0x8c, 0x13);
	ck_assert_uint_eq(dev_get(0, 4), 0xcccc0010);
}
END_TEST

START_TEST(half_ram_half_device)
{
	protected_mode(0);
	/* The last bytes of the device's first page and the first ones of its second. */
	R(RBX) = MMIO_BASE + 0xffd;
	dev_set(0xffd, 4, 0x00ffffff);
	DONE(0xff, 0x03);
	ck_assert_uint_eq(dev_get(0xffd, 4), 0x01000000);

	/* RAM's end, then nothing: the missing half reads as ones, and writes vanish. */
	R(RBX) = RAM_SIZE - 2;
	poke(RAM_SIZE - 2, 2, 0x1234);
	R(RAX) = 0;
	DONE(0x03, 0x03);
	ck_assert_uint_eq(R(RAX), 0xffff1234);
	DONE(0x89, 0x0b);
	ck_assert_uint_eq(peek(RAM_SIZE - 2, 2), 0);
}
END_TEST

START_TEST(segment_faults)
{
	protected_mode(0);
	R(RBX) = MMIO_BASE;
	R(RBP) = MMIO_BASE;

	/* a null segment */
	run.sregs.ds.ar |= HV_AR_UNUSABLE;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	/* read-only data: reads pass, writes do not */
	run.sregs.ds.ar = 0xc091;
	DONE(0x3b, 0x03);
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	/* execute-only code is not readable; readable code is, but never writable */
	run.sregs.ds.ar = 0xc099;
	ck_assert_int_eq(GO(0x3b, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	run.sregs.ds.ar = 0xc09b;
	DONE(0x3b, 0x03);
	ck_assert_int_eq(GO(0x89, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	/* the last byte counts; the stack has its own fault */
	run.sregs.ss.limit = MMIO_BASE + 2;
	ck_assert_int_eq(GO(0xff, 0x45, 0x00), EMULATE_DONE);
	expect_fault(VECTOR_SS, 0);
	run.sregs.ss.limit++;
	DONE(0xff, 0x45, 0x00);
	/* expand-down: offsets above the limit, up to 64 KiB or 4 GiB */
	run.sregs.ds = segment(16, DATA, 0xfff, 0x0097);
	R(RBX) = 0xfff;
	ck_assert_int_eq(GO(0x88, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	R(RBX) = 0x1000;
	DONE(0x88, 0x03);
	R(RBX) = 0xffff;
	DONE(0x88, 0x03);
	ck_assert_int_eq(GO(0x89, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
}
END_TEST

START_TEST(canonical)
{
	long_mode(0);
	R(RBX) = 0x0000800000000000;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	R(RBP) = 0x0000800000000000;
	ck_assert_int_eq(GO(0xff, 0x45, 0x00), EMULATE_DONE);
	expect_fault(VECTOR_SS, 0);
	/* the last byte crosses into the gap */
	R(RBX) = 0x00007ffffffffffd;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);
	/* canonical, and not mapped */
	R(RBX) = 0xffff800000000000;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_W);
	ck_assert_uint_eq(run.sregs.cr2, 0xffff800000000000);
}
END_TEST

START_TEST(alignment_check)
{
	long_mode(3);
	R(RBX) = MMIO_BASE + 1;
	DONE(0xff, 0x03);
	run.gprs.rflags |= FLAG_AC;
	DONE(0xff, 0x03);
	run.gprs.rflags &= ~FLAG_AC;
	run.sregs.cr0 |= CR0_AM;
	DONE(0xff, 0x03);
	run.gprs.rflags |= FLAG_AC;
	for (unsigned int i = 1; i < 4; i++) {
		R(RBX) = MMIO_BASE + i;
		ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
		expect_fault(VECTOR_AC, 0);
	}
	R(RBX) = MMIO_BASE + 4;
	DONE(0xff, 0x03);
	R(RBX) = MMIO_BASE + 1;
	DONE(0xfe, 0x03);
}
END_TEST

START_TEST(page_rights)
{
	long_mode(3);
	R(RBX) = DATA;
	poke(pte_of(DATA), 8, DATA | PTE_P | PTE_U);
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_P | PTE_W | PTE_U);
	/* A fault leaves no trace in the tables. */
	ck_assert_uint_eq(peek(pte_of(DATA), 8), DATA | PTE_P | PTE_U);
	poke(pte_of(DATA), 8, DATA | PTE_P | PTE_W);
	ck_assert_int_eq(GO(0x3b, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_P | PTE_U);

	/* The kernel, under SMAP, with and without AC */
	long_mode(0);
	run.sregs.cr4 |= CR4_SMAP;
	poke(pte_of(DATA), 8, DATA | PTE_P | PTE_W | PTE_U);
	ck_assert_int_eq(GO(0x3b, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_PF, PTE_P);
	run.gprs.rflags |= FLAG_AC;
	DONE(0x3b, 0x03);
	ck_assert_uint_eq(peek(pte_of(DATA), 8), DATA | PTE_P | PTE_W | PTE_U | PTE_A);
	DONE(0xff, 0x03);
	ck_assert_uint_eq(peek(pte_of(DATA), 8), DATA | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Decoding and completion                                                    */

START_TEST(missing_bytes_are_fetched)
{
	static const uint8_t add[] = {0x81, 0x03, 0x78, 0x56, 0x34, 0x12};
	unsigned int known;

	for (known = 0; known <= sizeof(add); known++) {
		long_mode(0);
		R(RBX) = MMIO_BASE;
		dev_set(0, 4, 0);
		ck_assert_int_eq(go_bytes(add, sizeof(add), known), EMULATE_DONE);
		ck_assert_uint_eq(dev_get(0, 4), 0x12345678);
		ck_assert_uint_eq(run.gprs.rip, CODE + sizeof(add));
	}
}
END_TEST

START_TEST(fetch_fault)
{
	long_mode(3);
	R(RBX) = MMIO_BASE;
	poke(CODE + 0xfff, 1, 0xff);
	poke(pte_of(CODE + 0x1000), 8, 0);
	memset(&run.exit, 0, sizeof(run.exit));
	run.gprs.rip = CODE + 0xfff;
	ck_assert_int_eq(emulate(&env, &run, why, sizeof(why)), EMULATE_DONE);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_PF);
	ck_assert_uint_eq(run.events.exception_error, PTE_U | 0x10);
	ck_assert_uint_eq(run.sregs.cr2, CODE + 0x1000);
	ck_assert_uint_eq(run.gprs.rip, CODE + 0xfff);
}
END_TEST

/* Where the bytes end, so does the code segment, or the canonical half of the addresses. */
START_TEST(fetch_bounds)
{
	static const uint8_t first = 0xff;

	protected_mode(0);
	run.sregs.cs.limit = CODE;
	ck_assert_int_eq(go_bytes(&first, 1, 1), EMULATE_DONE);
	expect_fault(VECTOR_GP, 0);

	long_mode(0);
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit.emulate.insn_len = 1;
	run.exit.emulate.insn[0] = first;
	run.gprs.rip = 0x7fffffffffff;
	run.dirty = 0;
	ck_assert_int_eq(emulate(&env, &run, why, sizeof(why)), EMULATE_DONE);
	ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING | HV_EVENT_ERROR_CODE);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_GP);
	ck_assert_uint_eq(run.events.exception_error, 0);
}
END_TEST

/* Bytes that are no instruction: what follows is not fetched, and not missed. */
START_TEST(no_instruction)
{
	static const uint8_t undefined[] = {0x0f, 0x04};

	long_mode(0);
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit.emulate.insn_len = sizeof(undefined);
	memcpy(run.exit.emulate.insn, undefined, sizeof(undefined));
	run.gprs.rip = CODE + 0xffe;
	poke(pte_of(CODE + 0x1000), 8, 0);
	ck_assert_int_eq(emulate(&env, &run, why, sizeof(why)), EMULATE_FAILED);
}
END_TEST

START_TEST(not_emulated)
{
	long_mode(0);
	R(RBX) = MMIO_BASE;
	/* paddb xmm0, [rbx] */
	ck_assert_int_eq(GO(0x66, 0x0f, 0xfc, 0x03), EMULATE_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "paddb"));
	ck_assert_ptr_nonnull(strstr(why, "66 0f fc 03"));
	ck_assert_uint_eq(run.dirty, 0);
	/* iretq */
	ck_assert_int_eq(GO(0x48, 0xcf), EMULATE_FAILED);
	/* an undefined opcode */
	ck_assert_int_eq(GO(0x0f, 0x0b), EMULATE_FAILED);
	ck_assert_int_eq(GO(0x0f, 0xff, 0xff, 0xff, 0xff), EMULATE_FAILED);

	/* A program cannot end the VM that way. */
	long_mode(3);
	ck_assert_int_eq(GO(0x66, 0x0f, 0xfc, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_UD, -1);
}
END_TEST

START_TEST(single_step)
{
	long_mode(0);
	run.gprs.rflags |= FLAG_TF;
	R(RBX) = MMIO_BASE;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_DB);
	ck_assert_uint_eq(run.gprs.rip, CODE + 2);
	ck_assert(!(run.dirty & HV_REGS_DREGS));

	/* One element of a repeated instruction, and DR6 where it is at hand */
	run.valid |= HV_REGS_DREGS;
	R(RDI) = MMIO_BASE;
	R(RCX) = 5;
	ck_assert_int_eq(GO(0xf3, 0xaa), EMULATE_DONE);
	ck_assert_uint_eq(R(RCX), 4);
	ck_assert_uint_eq(run.gprs.rip, CODE);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_DB);
	ck_assert(run.dirty & HV_REGS_DREGS);
	ck_assert(run.dregs.dr6 & DR6_BS);
	/* What the trap pushes keeps a breakpoint there from being met again, but by the last. */
	ck_assert(run.gprs.rflags & FLAG_RF);
	R(RCX) = 1;
	ck_assert_int_eq(GO(0xf3, 0xaa), EMULATE_DONE);
	ck_assert_uint_eq(run.gprs.rip, CODE + 2);
	ck_assert(!(run.gprs.rflags & FLAG_RF));
}
END_TEST

START_TEST(shadow_ends)
{
	long_mode(0);
	R(RBX) = MMIO_BASE;
	DONE(0xff, 0x03);
	/* Nothing to change: the group is not loaded for nothing. */
	ck_assert(!(run.dirty & HV_REGS_EVENTS));
	run.events.shadow = 1;
	run.gprs.rflags |= FLAG_RF;
	DONE(0xff, 0x03);
	ck_assert(run.dirty & HV_REGS_EVENTS);
	ck_assert_uint_eq(run.events.shadow, 0);
	ck_assert(!(run.gprs.rflags & FLAG_RF));
}
END_TEST

START_TEST(rip_wraps_outside_long_mode)
{
	protected_mode(0);
	R(RBX) = MMIO_BASE;
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit.emulate.insn_len = 2;
	run.exit.emulate.insn[0] = 0xff;
	run.exit.emulate.insn[1] = 0x03;
	run.gprs.rip = 0xffffffff;
	ck_assert_int_eq(emulate(&env, &run, why, sizeof(why)), EMULATE_DONE);
	ck_assert_uint_eq(run.gprs.rip, 1);
}
END_TEST

static uint64_t random64(void)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Whatever the bytes and registers: no crash, no undefined behaviour, a sane outcome. */
START_TEST(any_bytes)
{
	static const uint8_t openers[] = {0x00, 0x80, 0x81, 0x83, 0x86, 0x88, 0x8f, 0xa4, 0xaa,
					  0xc6, 0xc7, 0xf6, 0xfe, 0xff, 0x6c, 0x6e, 0x0f, 0xf3};

	for (unsigned int i = 0; i < 60000; i++) {
		uint8_t bytes[15];
		unsigned int j, len = 1 + random64() % 15;

		written_off = i % 512 > 7;
		switch (i % 4) {
		case 0:
			real_mode();
			break;
		case 1:
			protected_mode(i / 4 % 4);
			break;
		default:
			long_mode(i % 4 == 2 ? 0 : 3);
		}
		for (j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)random64();
		if (i & 1)
			bytes[0] = openers[random64() % sizeof(openers)];
		for (j = 0; j < HV_NR_GPRS; j++) {
			static const uint64_t bases[] = {0,	     DATA, MMIO_BASE, RAM_SIZE - 4,
							 0xffffffff, ~0ULL};

			run.gprs.r[j] = bases[random64() % 6] + random64() % 16;
		}
		run.gprs.rflags = 2 | (random64() & 0x3fdd5);
		if (i & 8)
			run.sregs.cr3 = random64();
		if (i & 16)
			run.sregs.ds.limit = (uint32_t)random64();
		out_len = 0;
		run.events.exception = 0;
		if (go_bytes(bytes, sizeof(bytes), len) == EMULATE_DONE)
			ck_assert(run.dirty & HV_REGS_GPR);
		else
			ck_assert(strlen(why) > 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("emulate_access");
	TCase *t;

	t = tcase_create("addresses");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, addressing);
	tcase_add_test(t, mov_segment_store);
	tcase_add_test(t, half_ram_half_device);
	tcase_add_test(t, segment_faults);
	tcase_add_test(t, canonical);
	tcase_add_test(t, alignment_check);
	tcase_add_test(t, page_rights);
	suite_add_tcase(s, t);

	t = tcase_create("completion");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, missing_bytes_are_fetched);
	tcase_add_test(t, fetch_fault);
	tcase_add_test(t, fetch_bounds);
	tcase_add_test(t, no_instruction);
	tcase_add_test(t, not_emulated);
	tcase_add_test(t, single_step);
	tcase_add_test(t, shadow_ends);
	tcase_add_test(t, rip_wraps_outside_long_mode);
	tcase_add_test(t, any_bytes);
	suite_add_tcase(s, t);

	return suite_run(s);
}
