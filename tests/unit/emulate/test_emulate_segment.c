// SPDX-License-Identifier: GPL-2.0-or-later
/* Instruction emulation: loads of segment registers, far transfers, questions about selectors. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate/segment.h"
#include "emulate_guest.h"
#include "suite.h"

#define GDT 0x28000
#define LDT 0x29000

/* Selectors of the GDT */
#define CODE32	  0x08
#define DATA32	  0x10
#define CODE3	  0x18
#define DATA3	  0x20
#define ABSENT	  0x28
#define CONFORMS  0x30
#define TSS_SEL	  0x38 /* of two entries, as LDT_SEL is */
#define LDT_SEL	  0x48
#define CODE64	  0x58
#define READ_ONLY 0x60
#define UNREAD	  0x68 /* code that cannot be read */
#define GATE	  0x70
#define BOTH	  0x78 /* code of 64 and of 32 bits */
#define GDT_LIMIT 0x7f

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t ar)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)ar << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)(base >> 24) << 56;
}

static void make_tables(void)
{
	run.sregs.gdt = (struct hv_dtable){.base = GDT, .limit = GDT_LIMIT};
	poke(GDT + CODE32, 8, descriptor(0, 0xfffff, 0xc09a));
	poke(GDT + DATA32, 8, descriptor(0x12345678, 0xfffff, 0xc092));
	poke(GDT + CODE3, 8, descriptor(0, 0xfffff, 0xc0fa));
	poke(GDT + DATA3, 8, descriptor(0, 0xfffff, 0xc0f2));
	poke(GDT + ABSENT, 8, descriptor(0, 0xfffff, 0xc012));
	poke(GDT + CONFORMS, 8, descriptor(0, 0xfffff, 0xc09e));
	poke(GDT + TSS_SEL, 8, descriptor(TSS, 0x67, 0x0089));
	poke(GDT + TSS_SEL + 8, 8, 0xffff8000);
	poke(GDT + LDT_SEL, 8, descriptor(LDT, 0xff, 0x0082));
	poke(GDT + LDT_SEL + 8, 8, 0);
	poke(GDT + CODE64, 8, descriptor(0, 0xfffff, 0xa09a));
	poke(GDT + READ_ONLY, 8, descriptor(0, 0x1234, 0x0090));
	poke(GDT + UNREAD, 8, descriptor(0, 0xfffff, 0xc098));
	poke(GDT + GATE, 8, descriptor(0, 0, 0x008c));
	poke(GDT + BOTH, 8, descriptor(0, 0xfffff, 0xe09a));
	run.sregs.ldt = segment(0, 0, 0, HV_AR_UNUSABLE);
	R(RBX) = MMIO_BASE;
	R(RSP) = MMIO_BASE + 0x100;
}

static void protected_guest(unsigned int cpl)
{
	protected_mode(cpl);
	run.sregs.efer = 0;
	make_tables();
}

static void long_guest(unsigned int cpl)
{
	long_mode(cpl);
	make_tables();
}

#define FAULT(vector, error, ...)                                \
	do {                                                     \
		ck_assert_int_eq(GO(__VA_ARGS__), EMULATE_DONE); \
		expect_fault(vector, error);                     \
	} while (0)

/* mov ds, [ebx] and mov ss, [ebx] with this selector */
#define MOV_DS 0x8e, 0x1b
#define MOV_SS 0x8e, 0x13

START_TEST(data_segment)
{
	protected_guest(0);
	dev_set(0, 2, DATA32);
	DONE(MOV_DS);
	ck_assert(run.dirty & HV_REGS_SREGS);
	ck_assert_uint_eq(run.sregs.ds.selector, DATA32);
	ck_assert_uint_eq(run.sregs.ds.base, 0x12345678);
	ck_assert_uint_eq(run.sregs.ds.limit, 0xffffffff);
	ck_assert_uint_eq(run.sregs.ds.ar, 0xc093);
	/* Marked as used, in memory too */
	ck_assert_uint_eq(peek(GDT + DATA32 + 5, 1), 0x93);
	run.sregs.ds.base = 0;
	dev_set(0, 2, READ_ONLY);
	DONE(0x8e, 0x03); /* mov es, [ebx] */
	ck_assert_uint_eq(run.sregs.es.limit, 0x1234);
	dev_set(0, 2, 3);
	DONE(0x8e, 0x03);
	ck_assert(run.sregs.es.ar & HV_AR_UNUSABLE);
	ck_assert_uint_eq(run.sregs.es.selector, 3);
	/* From the stack, in the device */
	dev_set(0x100, 4, DATA3 | 3);
	DONE(0x0f, 0xa9); /* pop gs */
	ck_assert_uint_eq(run.sregs.gs.selector, DATA3 | 3);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x104);
}
END_TEST

START_TEST(data_segment_faults)
{
	protected_guest(0);
	dev_set(0, 2, ABSENT);
	FAULT(VECTOR_NP, ABSENT, MOV_DS);
	dev_set(0, 2, UNREAD);
	FAULT(VECTOR_GP, UNREAD, MOV_DS);
	dev_set(0, 2, GATE);
	FAULT(VECTOR_GP, GATE, MOV_DS);
	dev_set(0, 2, DATA32 | 3); /* RPL above DPL */
	FAULT(VECTOR_GP, DATA32, MOV_DS);
	dev_set(0, 2, GDT_LIMIT + 1);
	FAULT(VECTOR_GP, GDT_LIMIT + 1, MOV_DS);
	dev_set(0, 2, DATA32 | SELECTOR_LDT);
	FAULT(VECTOR_GP, DATA32 | SELECTOR_LDT, MOV_DS);
	ck_assert_uint_eq(run.sregs.ds.selector, 16);
	/* The whole descriptor is in the table. */
	run.sregs.gdt.limit = DATA32 + 6;
	dev_set(0, 2, DATA32);
	FAULT(VECTOR_GP, DATA32, MOV_DS);
	run.sregs.gdt.limit++;
	DONE(MOV_DS);

	protected_guest(3);
	dev_set(0, 2, DATA32);
	FAULT(VECTOR_GP, DATA32, MOV_DS);
	dev_set(0, 2, CONFORMS | 3);
	DONE(MOV_DS);
}
END_TEST

START_TEST(stack_segment)
{
	protected_guest(0);
	run.gprs.rflags |= FLAG_TF;
	dev_set(0, 2, DATA32);
	/* The next instruction is in its shadow, which holds the trap off. */
	DONE(MOV_SS);
	ck_assert_uint_eq(run.events.shadow, HV_SHADOW_MOV_SS);
	ck_assert(run.dirty & HV_REGS_EVENTS);
	run.gprs.rflags = 2;
	dev_set(0, 2, 0);
	FAULT(VECTOR_GP, 0, MOV_SS);
	ck_assert_uint_eq(run.events.shadow, HV_SHADOW_NONE);
	dev_set(0, 2, ABSENT);
	FAULT(VECTOR_SS, ABSENT, MOV_SS);
	dev_set(0, 2, READ_ONLY);
	FAULT(VECTOR_GP, READ_ONLY, MOV_SS);
	dev_set(0, 2, CODE32);
	FAULT(VECTOR_GP, CODE32, MOV_SS);
	dev_set(0, 2, DATA32 | 1);
	FAULT(VECTOR_GP, DATA32, MOV_SS);
	dev_set(0, 2, DATA3);
	FAULT(VECTOR_GP, DATA3, MOV_SS);
	/* pop ss: no shadow for the others */
	run.sregs.ss.base = 0;
	dev_set(0x100, 4, DATA32);
	DONE(0x17);
	ck_assert_uint_eq(run.events.shadow, HV_SHADOW_MOV_SS);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x104);
	dev_set(0, 2, DATA32);
	DONE(MOV_DS);
	ck_assert_uint_eq(run.events.shadow, HV_SHADOW_NONE);

	/* A null one in 64-bit mode, but for programs */
	long_guest(0);
	dev_set(0, 2, 0);
	DONE(MOV_SS);
	ck_assert_uint_eq(run.sregs.ss.ar, HV_AR_UNUSABLE);
	dev_set(0, 2, 1);
	FAULT(VECTOR_GP, 0, MOV_SS);
	long_guest(3);
	dev_set(0, 2, 3);
	FAULT(VECTOR_GP, 0, MOV_SS);
}
END_TEST

START_TEST(real_mode_segments)
{
	real_mode();
	run.sregs.ds.limit = 0xffffffff;
	R(RBX) = MMIO_BASE;
	dev_set(0, 4, 0x12345678);
	DONE(0x67, 0x8e, 0x03); /* mov es, [ebx] */
	ck_assert_uint_eq(run.sregs.es.selector, 0x5678);
	ck_assert_uint_eq(run.sregs.es.base, 0x56780);
	ck_assert_uint_eq(run.sregs.es.limit, 0xffff);
	DONE(0x67, 0x0f, 0xb4, 0x0b); /* lfs cx, [ebx] */
	ck_assert_uint_eq(R(RCX) & 0xffff, 0x5678);
	ck_assert_uint_eq(run.sregs.fs.base, 0x12340);
	ck_assert_int_eq(GO(0x67, 0xff, 0x2b), EMULATE_DONE); /* jmp far [ebx] */
	ck_assert_uint_eq(run.gprs.rip, 0x5678);
	ck_assert_uint_eq(run.sregs.cs.base, 0x12340);
	ck_assert_uint_eq(run.sregs.cs.selector, 0x1234);
}
END_TEST

START_TEST(pointers)
{
	protected_guest(0);
	dev_set(0, 4, 0x11223344);
	dev_set(4, 2, DATA32);
	DONE(0xc4, 0x0b); /* les ecx, [ebx] */
	ck_assert_uint_eq(R(RCX), 0x11223344);
	ck_assert_uint_eq(run.sregs.es.selector, DATA32);
	DONE(0x0f, 0xb2, 0x0b); /* lss ecx, [ebx] */
	ck_assert_uint_eq(run.sregs.ss.selector, DATA32);
	ck_assert_uint_eq(run.events.shadow, HV_SHADOW_NONE);
	DONE(0x0f, 0xb5, 0x0b); /* lgs */
	ck_assert_uint_eq(run.sregs.gs.selector, DATA32);
	dev_set(4, 2, ABSENT);
	R(RCX) = 5;
	FAULT(VECTOR_NP, ABSENT, 0xc4, 0x0b);
	ck_assert_uint_eq(R(RCX), 5);
	dev_set(4, 2, READ_ONLY);
	DONE(0xc5, 0x0b); /* lds */
	ck_assert_uint_eq(run.sregs.ds.selector, READ_ONLY);
}
END_TEST

static void went(uint64_t rip, uint16_t cs)
{
	ck_assert_uint_eq(run.events.exception, 0);
	ck_assert_uint_eq(run.gprs.rip, rip);
	ck_assert_uint_eq(run.sregs.cs.selector, cs);
}

#define JMP_FAR	 0xff, 0x2b
#define CALL_FAR 0xff, 0x1b

START_TEST(far_transfers)
{
	protected_guest(0);
	dev_set(0, 4, 0x8888);
	dev_set(4, 2, CODE32);
	ck_assert_int_eq(GO(JMP_FAR), EMULATE_DONE);
	went(0x8888, CODE32);
	ck_assert_uint_eq(run.sregs.cs.ar, 0xc09b);
	ck_assert_uint_eq(peek(GDT + CODE32 + 5, 1), 0x9b);
	dev_set(4, 2, CONFORMS);
	ck_assert_int_eq(GO(CALL_FAR), EMULATE_DONE);
	went(0x8888, CONFORMS);
	ck_assert_uint_eq(dev_get(0xfc, 4), CODE32);
	ck_assert_uint_eq(dev_get(0xf8, 4), CODE + 2);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0xf8);
	ck_assert_int_eq(GO(0xca, 4, 0), EMULATE_DONE); /* retf 4 */
	went(CODE + 2, CODE32);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x104);
	/* A pointer in the instruction, the stack in the device */
	ck_assert_int_eq(GO(0x9a, 0x77, 0, 0, 0, CODE32, 0), EMULATE_DONE);
	went(0x77, CODE32);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0xfc);

	/* A program does not return to the kernel. */
	protected_guest(3);
	dev_set(0x104, 4, CODE32);
	FAULT(VECTOR_GP, CODE32, 0xcb);
	dev_set(4, 2, CONFORMS | 3);
	ck_assert_int_eq(GO(JMP_FAR), EMULATE_DONE);
	went(0x8888, CONFORMS | 3);
}
END_TEST

/* The stack of a return to a program: from the device's, four slots. */
static void put_return(unsigned int size, uint64_t rip, uint16_t cs, unsigned int extra,
		       uint64_t rsp, uint16_t ss)
{
	dev_set(0x100, size, rip);
	dev_set(0x100 + size, size, cs);
	dev_set(0x100 + 2 * size + extra, size, rsp);
	dev_set(0x100 + 3 * size + extra, size, ss);
}

#define RETF   0xcb
#define RETF_8 0xca, 8, 0

START_TEST(far_return_outward)
{
	protected_guest(0);
	run.sregs.ds = segment(DATA32, 0, 0xffffffff, 0xc093);
	run.sregs.es = segment(DATA3 | 3, 0, 0xffffffff, 0xc0f3);
	run.sregs.fs = segment(CONFORMS, 0, 0xffffffff, 0xc09f);
	run.sregs.gs = segment(CODE32, 0, 0xffffffff, 0xc09b);
	put_return(4, 0x8888, CODE3 | 3, 8, 0x1000, DATA3 | 3);
	ck_assert_int_eq(GO(RETF_8), EMULATE_DONE);
	went(0x8888, CODE3 | 3);
	ck_assert_uint_eq(run.sregs.cs.ar, 0xc0fb);
	ck_assert_uint_eq(run.sregs.ss.selector, DATA3 | 3);
	ck_assert_uint_eq(run.sregs.ss.ar, 0xc0f3);
	ck_assert_uint_eq(peek(GDT + DATA3 + 5, 1), 0xf3);
	ck_assert_uint_eq(R(RSP), 0x1008);
	/* What the program may not use is gone; a null selector stands in its place. */
	ck_assert(run.sregs.ds.ar & HV_AR_UNUSABLE && run.sregs.gs.ar & HV_AR_UNUSABLE);
	ck_assert_uint_eq(run.sregs.ds.selector, 0);
	ck_assert_uint_eq(run.sregs.es.selector, DATA3 | 3);
	ck_assert_uint_eq(run.sregs.fs.selector, CONFORMS);

	/* A stack of 16 bits takes as many. */
	protected_guest(0);
	poke(GDT + DATA3, 8, descriptor(0, 0xffff, 0x00f3));
	put_return(4, 0x8888, CODE3 | 3, 0, 0x12345678, DATA3 | 3);
	ck_assert_int_eq(GO(RETF), EMULATE_DONE);
	ck_assert_uint_eq(R(RSP), (MMIO_BASE & 0xffff0000) | 0x5678);
}
END_TEST

START_TEST(far_return_outward_faults)
{
	static const struct {
		uint16_t cs, ss, error;
		uint8_t vector;
	} t[] = {
		{CODE3 | 2, DATA3 | 2, CODE3, VECTOR_GP}, /* DPL is not RPL */
		{CODE32 | 3, DATA3 | 3, CODE32, VECTOR_GP},
		{CODE3 | 3, 0, 0, VECTOR_GP},
		{CODE3 | 3, 3, 0, VECTOR_GP},
		{CODE3 | 3, DATA3 | 2, DATA3, VECTOR_GP},
		{CODE3 | 3, DATA32 | 3, DATA32, VECTOR_GP},
		{CODE3 | 3, CODE3 | 3, CODE3, VECTOR_GP},
		{CODE3 | 3, GDT_LIMIT + 1, GDT_LIMIT + 1, VECTOR_GP},
		{CODE3 | 3, ABSENT | 3, ABSENT, VECTOR_SS},
	};

	protected_guest(0);
	poke(GDT + ABSENT, 8, descriptor(0, 0xfffff, 0xc072));
	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put_return(4, 0x8888, t[i].cs, 0, 0x1000, t[i].ss);
		FAULT(t[i].vector, t[i].error, RETF);
		ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x100);
		ck_assert_uint_eq(run.sregs.cs.selector, 8);
		ck_assert_uint_eq(run.sregs.ss.selector, 16);
	}
}
END_TEST

START_TEST(far_return_outward_long)
{
	long_guest(0);
	poke(GDT + CODE64, 8, descriptor(0, 0xfffff, 0xa0fa));
	put_return(8, 0x7fffffff0000, CODE64 | 3, 0, 0x7ffffffe0000, DATA3 | 3);
	ck_assert_int_eq(GO(0x48, RETF), EMULATE_DONE);
	went(0x7fffffff0000, CODE64 | 3);
	ck_assert_uint_eq(R(RSP), 0x7ffffffe0000);
	ck_assert_uint_eq(run.sregs.ss.selector, DATA3 | 3);
	/* No stack segment: not for programs, but for level 1, whose DPL it has. */
	long_guest(0);
	poke(GDT + CODE64, 8, descriptor(0, 0xfffff, 0xa0fa));
	put_return(8, 0x1000, CODE64 | 3, 0, 0x2000, 3);
	FAULT(VECTOR_GP, 0, 0x48, RETF);
	poke(GDT + CODE64, 8, descriptor(0, 0xfffff, 0xa0ba));
	put_return(8, 0x1000, CODE64 | 1, 0, 0x2000, 1);
	ck_assert_int_eq(GO(0x48, RETF), EMULATE_DONE);
	went(0x1000, CODE64 | 1);
	ck_assert_uint_eq(run.sregs.ss.ar, HV_AR_UNUSABLE | 1 << 5);
	/* Nor for code of 32 bits. */
	long_guest(0);
	poke(GDT + CODE32, 8, descriptor(0, 0xfffff, 0xc0ba));
	put_return(8, 0x1000, CODE32 | 1, 0, 0x2000, 1);
	FAULT(VECTOR_GP, 0, 0x48, RETF);
}
END_TEST

START_TEST(far_faults)
{
	static const struct {
		uint16_t selector, error;
		uint8_t vector;
	} t[] = {
		{3, 0, VECTOR_GP},
		{DATA32, DATA32, VECTOR_GP},
		{CODE32 | 1, CODE32, VECTOR_GP},
		{CODE3, CODE3, VECTOR_GP},
		{GDT_LIMIT + 1, GDT_LIMIT + 1, VECTOR_GP},
	};

	protected_guest(0);
	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		dev_set(4, 2, t[i].selector);
		FAULT(t[i].vector, t[i].error, JMP_FAR);
		FAULT(t[i].vector, t[i].error, CALL_FAR);
	}
	dev_set(4, 2, GATE);
	ck_assert_int_eq(GO(JMP_FAR), EMULATE_FAILED);
	*ram(GDT + CODE32 + 5) = 0x1a;
	dev_set(4, 2, CODE32);
	FAULT(VECTOR_NP, CODE32, JMP_FAR);
	poke(GDT + CODE32, 8, descriptor(0, 0xff, 0x409a));
	dev_set(0, 4, 0x100);
	FAULT(VECTOR_GP, 0, JMP_FAR);
	ck_assert_uint_eq(R(RSP), MMIO_BASE + 0x100);
	ck_assert_uint_eq(device_writes, 0);
	ck_assert_uint_eq(run.sregs.cs.selector, 8);
}
END_TEST

/* A call finds fault with the segment first, then with the stack, and with the offset last. */
START_TEST(far_call_fault_order)
{
	protected_guest(0);
	poke(GDT + CODE32, 8, descriptor(0, 0xff, 0x409a));
	run.sregs.ss.limit = 0xff;
	dev_set(0, 4, 0x100);
	dev_set(4, 2, DATA32);
	FAULT(VECTOR_GP, DATA32, CALL_FAR);
	dev_set(4, 2, ABSENT);
	poke(GDT + ABSENT, 8, descriptor(0, 0xff, 0x401a));
	FAULT(VECTOR_NP, ABSENT, CALL_FAR);
	dev_set(4, 2, CODE32);
	FAULT(VECTOR_SS, 0, CALL_FAR);
	run.sregs.ss.limit = 0xffffffff;
	FAULT(VECTOR_GP, 0, CALL_FAR);
	dev_set(0, 4, 0xff);
	ck_assert_int_eq(GO(CALL_FAR), EMULATE_DONE);
	went(0xff, CODE32);
}
END_TEST

START_TEST(far_in_long_mode)
{
	long_guest(0);
	dev_set(0, 8, 0xffff800012345678);
	dev_set(8, 2, CODE64);
	ck_assert_int_eq(GO(0x48, JMP_FAR), EMULATE_DONE);
	went(0xffff800012345678, CODE64);
	dev_set(0, 8, 0x800012345678);
	FAULT(VECTOR_GP, 0, 0x48, JMP_FAR);
	dev_set(0, 8, 0x1000);
	dev_set(8, 2, BOTH);
	FAULT(VECTOR_GP, BOTH, 0x48, JMP_FAR);
	dev_set(0, 8, 0x12345678);
	dev_set(4, 2, CODE32);
	ck_assert_int_eq(GO(JMP_FAR), EMULATE_DONE);
	went(0x12345678, CODE32);
}
END_TEST

#define LLDT 0x0f, 0x00, 0x13
#define LTR  0x0f, 0x00, 0x1b

START_TEST(system_segments)
{
	long_guest(0);
	dev_set(0, 2, TSS_SEL);
	DONE(LTR);
	ck_assert_uint_eq(run.sregs.tr.base, 0xffff800000000000 + TSS);
	ck_assert_uint_eq(run.sregs.tr.limit, 0x67);
	ck_assert_uint_eq(run.sregs.tr.ar, 0x8b);
	ck_assert_uint_eq(peek(GDT + TSS_SEL + 5, 1), 0x8b);
	FAULT(VECTOR_GP, TSS_SEL, LTR); /* busy */
	*ram(GDT + TSS_SEL + 5) = 0x81;
	FAULT(VECTOR_GP, TSS_SEL, LTR); /* of 16 bits */
	*ram(GDT + TSS_SEL + 5) = 0x09;
	FAULT(VECTOR_NP, TSS_SEL, LTR);
	dev_set(0, 2, 0);
	FAULT(VECTOR_GP, 0, LTR);
	dev_set(0, 2, LDT_SEL);
	FAULT(VECTOR_GP, LDT_SEL, LTR);
	DONE(LLDT);
	ck_assert_uint_eq(run.sregs.ldt.base, LDT);
	*ram(GDT + LDT_SEL + 5) = 0x02;
	FAULT(VECTOR_NP, LDT_SEL, LLDT);
	dev_set(0, 2, TSS_SEL);
	FAULT(VECTOR_GP, TSS_SEL, LLDT);
	dev_set(0, 2, LDT_SEL | SELECTOR_LDT);
	FAULT(VECTOR_GP, LDT_SEL | SELECTOR_LDT, LLDT);
	/* All sixteen bytes */
	run.sregs.gdt.limit = LDT_SEL + 14;
	dev_set(0, 2, LDT_SEL);
	FAULT(VECTOR_GP, LDT_SEL, LLDT);
	dev_set(0, 2, 0);
	DONE(LLDT);
	ck_assert(run.sregs.ldt.ar & HV_AR_UNUSABLE);

	long_guest(3);
	FAULT(VECTOR_GP, 0, LLDT);
	protected_guest(0);
	*ram(GDT + TSS_SEL + 5) = 0x81;
	dev_set(0, 2, TSS_SEL);
	DONE(LTR);
	ck_assert_uint_eq(run.sregs.tr.base, TSS);
}
END_TEST

/* The halves of 16 bytes: neither is marked, or loaded, where the upper one is wrong. */
START_TEST(system_segments_upper_half)
{
	static const struct {
		uint64_t upper;
		bool good;
	} t[] = {
		{0x8000, false}, /* bit 47 of the base is not repeated */
		{0xffff7fff, false},
		{0x7fff, true},
		{0xffff8000, true},
		{1ULL << 40 | 0x7fff, false}, /* bits of the type, and S */
		{1ULL << 44 | 0x7fff, false},
		{0xe0ffULL << 32 | 0x7fff, true}, /* the bits around them */
	};

	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		long_guest(0);
		poke(GDT + TSS_SEL + 8, 8, t[i].upper);
		poke(GDT + LDT_SEL + 8, 8, t[i].upper);
		run.sregs.tr = segment(0, 0, 0, 0);
		dev_set(0, 2, TSS_SEL);
		if (t[i].good)
			DONE(LTR);
		else
			FAULT(VECTOR_GP, TSS_SEL, LTR);
		ck_assert_uint_eq(peek(GDT + TSS_SEL + 5, 1), t[i].good ? 0x8b : 0x89);
		ck_assert_uint_eq(run.sregs.tr.selector, t[i].good ? TSS_SEL : 0);
		dev_set(0, 2, LDT_SEL);
		if (t[i].good)
			DONE(LLDT);
		else
			FAULT(VECTOR_GP, LDT_SEL, LLDT);
		ck_assert_uint_eq(run.sregs.ldt.selector, t[i].good ? LDT_SEL : 0);
	}
}
END_TEST

static bool says(uint16_t selector, uint8_t digit)
{
	const uint8_t insn[] = {0x0f, 0x00, 0x03 | digit << 3};

	dev_set(0, 2, selector);
	ck_assert_int_eq(go_bytes(insn, sizeof(insn), sizeof(insn)), EMULATE_DONE);
	ck_assert_uint_eq(run.events.exception, 0);
	return run.gprs.rflags & FLAG_ZF;
}

START_TEST(questions)
{
	protected_guest(0);
	ck_assert(says(DATA32, 4) && says(CODE32, 4) && !says(UNREAD, 4) && !says(0, 4));
	ck_assert(!says(DATA32 | 3, 4) && !says(GDT_LIMIT + 1, 4) && !says(TSS_SEL, 4));
	ck_assert(says(DATA32, 5) && !says(CODE32, 5) && !says(READ_ONLY, 5) && !says(TSS_SEL, 5));
	R(RAX) = 1;
	dev_set(0, 2, DATA32);
	DONE(0x0f, 0x02, 0x03); /* lar eax, [ebx] */
	ck_assert_uint_eq(R(RAX), 0xc09200);
	DONE(0x0f, 0x03, 0x03); /* lsl */
	ck_assert_uint_eq(R(RAX), 0xffffffff);
	dev_set(0, 2, GATE);
	DONE(0x0f, 0x03, 0x03);
	ck_assert(!(run.gprs.rflags & FLAG_ZF));
	ck_assert_uint_eq(R(RAX), 0xffffffff);
	DONE(0x0f, 0x02, 0x03);
	ck_assert(run.gprs.rflags & FLAG_ZF);
	ck_assert_uint_eq(R(RAX), 0x8c00);
	protected_guest(3);
	ck_assert(!says(DATA32, 4) && says(DATA3, 4) && says(CONFORMS | 3, 4));
	long_guest(0);
	*ram(GDT + TSS_SEL + 5) = 0x81;
	dev_set(0, 2, TSS_SEL);
	DONE(0x0f, 0x02, 0x03);
	ck_assert(!(run.gprs.rflags & FLAG_ZF));
}
END_TEST

/* What is no selector, or beyond its table, is answered without a look. */
START_TEST(verify_bounds)
{
	protected_guest(0);
	/* A null selector names nothing, whatever the first descriptor is. */
	poke(GDT, 8, descriptor(0, 0xfffff, 0xc093));
	for (uint16_t selector = 0; selector < 4; selector++)
		ck_assert(!says(selector, 4));
	/* The last one of the table, and none. */
	poke(GDT + BOTH, 8, descriptor(0, 0xfffff, 0xc093));
	ck_assert(says(BOTH, 4));
	run.sregs.gdt.limit--;
	ck_assert(!says(BOTH, 4));
	/* The local table has its own limit. */
	run.sregs.ldt = segment(LDT_SEL, LDT, 0xf, 0x82);
	poke(LDT, 8, descriptor(0, 0xfffff, 0xc093));
	poke(LDT + 8, 8, descriptor(0, 0xfffff, 0xc093));
	poke(LDT + 16, 8, descriptor(0, 0xfffff, 0xc093));
	ck_assert(says(0 | SELECTOR_LDT, 4));
	ck_assert(says(8 | SELECTOR_LDT, 4));
	ck_assert(!says(16 | SELECTOR_LDT, 4));
	run.sregs.ldt.ar |= HV_AR_UNUSABLE;
	ck_assert(!says(8 | SELECTOR_LDT, 4));
}
END_TEST

START_TEST(arpl_bound)
{
	protected_guest(0);
	dev_set(0, 2, 0x11);
	R(RCX) = 0x23;
	DONE(0x63, 0x0b); /* arpl [ebx], cx */
	ck_assert(run.gprs.rflags & FLAG_ZF);
	ck_assert_uint_eq(dev_get(0, 2), 0x13);
	ck_assert_uint_eq(device_writes, 1);
	R(RCX) = 2;
	DONE(0x63, 0x0b);
	ck_assert(!(run.gprs.rflags & FLAG_ZF));
	ck_assert_uint_eq(dev_get(0, 2), 0x13);
	ck_assert_uint_eq(device_writes, 1);

	dev_set(0, 4, (uint32_t)-5);
	dev_set(4, 4, 7);
	R(RCX) = (uint32_t)-5;
	DONE(0x62, 0x0b); /* bound ecx, [ebx] */
	R(RCX) = 7;
	DONE(0x62, 0x0b);
	R(RCX) = 8;
	FAULT(VECTOR_BR, -1, 0x62, 0x0b);
	R(RCX) = (uint32_t)-6;
	FAULT(VECTOR_BR, -1, 0x62, 0x0b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("emulate_segment");
	TCase *t = tcase_create("segments");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, data_segment);
	tcase_add_test(t, data_segment_faults);
	tcase_add_test(t, stack_segment);
	tcase_add_test(t, real_mode_segments);
	tcase_add_test(t, pointers);
	tcase_add_test(t, far_transfers);
	tcase_add_test(t, far_return_outward);
	tcase_add_test(t, far_return_outward_faults);
	tcase_add_test(t, far_return_outward_long);
	tcase_add_test(t, far_faults);
	tcase_add_test(t, far_call_fault_order);
	tcase_add_test(t, far_in_long_mode);
	tcase_add_test(t, system_segments);
	tcase_add_test(t, system_segments_upper_half);
	tcase_add_test(t, questions);
	tcase_add_test(t, verify_bounds);
	tcase_add_test(t, arpl_bound);
	suite_add_tcase(s, t);

	return suite_run(s);
}
