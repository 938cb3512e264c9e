/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest for the tests of task switches: two tasks, tables of descriptors and of pages,
 * and what is expected of every switch. Included by test_task.c and test_task_faults.c.
 */
#ifndef TESTS_UNIT_TASK_GUEST_H
#define TESTS_UNIT_TASK_GUEST_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate/segment.h"
#include "emulate/task.h"
#include "x86.h"
#include "guest_memory.h"
#include "written.h"

#define RAM_SIZE  0x200000
#define GDT_AT	  0x1000
#define LDT_AT	  0x2000
#define OLD_TSS	  0x3000
#define NEW_TSS	  0x4000
#define STACK	  0x8000
#define CODE	  0x9000
#define DIRECTORY 0x10000
#define TABLE	  0x11000 /* of the first 4 MiB */
#define OTHER_DIR 0x12000

#define PTE_P	  1
#define PTE_W	  2
#define PTE_U	  4

/* Selectors */
enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_OLD = 0x18,
	SEL_NEW = 0x20,
	SEL_LDT = 0x28,
	SEL_USER_CODE = 0x30 | 3,
	SEL_USER_DATA = 0x38 | 3,
	SEL_TRY = 0x40, /* for a test to make what it likes of */
	SEL_LOCAL = 0x0c,
	SEL_BEYOND = 0x50,
	GDT_LIMIT = 0x47,
};

/* Types of descriptors, with S, DPL and P */
#define CODE_SEG   0x9a
#define DATA_SEG   0x92
#define TSS32_SEG  0x89
#define TSS16_SEG  0x81
#define LDT_SEG	   0x82
#define BUSY	   0x02
#define ACCESSED   0x01
#define USER	   0x60
#define CONFORMING 0x04
#define ABSENT	   0x80 /* taken away */

static struct hv_run run;

/* Fields of a TSS, by their offsets. */
enum {
	LINK = 0,
	CR3 = 0x1c,
	EIP = 0x20,
	EFLAGS = 0x24,
	EAX = 0x28,
	ESP = 0x38,
	EDI = 0x44,
	ES = 0x48,
	CS = 0x4c,
	SS = 0x50,
	DS = 0x54,
	FS = 0x58,
	GS = 0x5c,
	LDT = 0x60,
	TRAP = 0x64,
	SIZE32 = 104,
	IP16 = 0x0e,
	FLAGS16 = 0x10,
	AX16 = 0x12,
	SP16 = 0x1a,
	DI16 = 0x20,
	ES16 = 0x22,
	CS16 = 0x24,
	SS16 = 0x26,
	DS16 = 0x28,
	LDT16 = 0x2a,
	SIZE16 = 44,
};

static inline void set_descriptor(unsigned int selector, uint64_t base, uint32_t limit,
				  unsigned int type, unsigned int flags)
{
	uint64_t table = selector & 4 ? LDT_AT : GDT_AT;

	poke(table + (selector & ~7u), 8,
	     (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)type << 40 |
		     (uint64_t)(limit >> 16) << 48 | (uint64_t)flags << 52 | (base >> 24) << 56);
}

static inline unsigned int type_of(unsigned int selector)
{
	return (unsigned int)peek(GDT_AT + (selector & ~7u) + 5, 1);
}

static inline void set_tss32(uint64_t at)
{
	memset(mem_write(&mem, at, SIZE32), 0, SIZE32);
	poke(at + LINK, 2, 0xeeee);
	poke(at + CR3, 4, OTHER_DIR);
	poke(at + EIP, 4, CODE);
	poke(at + EFLAGS, 4, 0x202);
	for (unsigned int i = 0; i < 8; i++)
		poke(at + EAX + 4 * i, 4, 0xa0000000 + i);
	poke(at + ESP, 4, STACK);
	poke(at + CS, 2, SEL_CODE);
	poke(at + SS, 2, SEL_DATA);
	poke(at + DS, 2, SEL_DATA);
	poke(at + ES, 2, SEL_DATA);
	poke(at + FS, 2, SEL_USER_DATA);
	poke(at + GS, 2, 3);
}

static inline void set_tss16(uint64_t at)
{
	memset(mem_write(&mem, at, SIZE16), 0, SIZE16);
	poke(at + IP16, 2, CODE);
	poke(at + FLAGS16, 2, 0x202);
	for (unsigned int i = 0; i < 8; i++)
		poke(at + AX16 + 2 * i, 2, 0xa000 + i);
	poke(at + SP16, 2, STACK);
	poke(at + CS16, 2, SEL_CODE);
	poke(at + SS16, 2, SEL_DATA);
	poke(at + DS16, 2, SEL_DATA);
	poke(at + ES16, 2, SEL_DATA);
}

static inline struct hv_segment segment(uint16_t selector, uint64_t base, uint32_t limit,
					uint32_t ar)
{
	return (struct hv_segment){.base = base, .limit = limit, .ar = ar, .selector = selector};
}

/* A task of ring 0 without paging, about to leave by an instruction of two bytes. */
static inline void set_up(void)
{
	struct error e;

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, RAM_SIZE, &e), 0);
	set_descriptor(SEL_CODE, 0, 0xfffff, CODE_SEG, 0xc);
	set_descriptor(SEL_DATA, 0, 0xfffff, DATA_SEG, 0xc);
	set_descriptor(SEL_OLD, OLD_TSS, SIZE32 - 1, TSS32_SEG | BUSY, 0);
	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG, 0);
	set_descriptor(SEL_LDT, LDT_AT, 0xf, LDT_SEG, 0);
	set_descriptor(SEL_USER_CODE, 0, 0xfffff, CODE_SEG | USER, 0xc);
	set_descriptor(SEL_USER_DATA, 0, 0xfffff, DATA_SEG | USER, 0xc);
	set_descriptor(SEL_LOCAL, 0x100, 0xffff, DATA_SEG, 4);
	set_tss32(NEW_TSS);
	memset(mem_write(&mem, OLD_TSS, SIZE32), 0xcc, SIZE32);

	memset(&run, 0, sizeof(run));
	run.valid = HV_REGS_ALL;
	run.sregs.cr0 = CR0_PE;
	run.sregs.cr3 = DIRECTORY;
	run.sregs.gdt = (struct hv_dtable){.base = GDT_AT, .limit = GDT_LIMIT};
	run.sregs.tr = segment(SEL_OLD, OLD_TSS, SIZE32 - 1, 0x8b);
	run.sregs.ldt = segment(0, 0, 0, HV_AR_UNUSABLE);
	run.sregs.cs = segment(SEL_CODE, 0, 0xffffffff, 0xc09b);
	run.sregs.ds = run.sregs.es = run.sregs.ss = segment(SEL_DATA, 0, 0xffffffff, 0xc093);
	run.sregs.fs = run.sregs.gs = segment(SEL_USER_DATA, 0, 0xffffffff, 0xc0f3);
	for (unsigned int i = 0; i < 8; i++)
		run.gprs.r[i] = 0x10000000 + i;
	run.gprs.rip = 0x7000;
	run.gprs.rflags = 0x246;
	run.dregs.dr7 = 0x7ff;
	run.dregs.dr6 = 0xffff0ff0;
	run.events.shadow = 1;
}

static inline void tear_down(void)
{
	mem_destroy(&mem);
}

static inline bool go(enum hv_task_source source, unsigned int flags)
{
	bool done;

	run.exit_reason = HV_EXIT_TASK;
	run.exit.task.selector = SEL_NEW;
	run.exit.task.source = source;
	run.exit.task.flags = flags;
	run.exit.task.error = flags & HV_TASK_ERROR_CODE ? 0x1238 : 0;
	run.exit.task.next_rip = flags & HV_TASK_EVENT ? run.gprs.rip : run.gprs.rip + 2;
	written_begin(&mem);
	done = task_switch(&mem, &run);
	written_end(&mem);
	return done;
}

/* What came to the gate. */
static inline void pend_interrupt(void)
{
	run.events.interrupt = HV_EVENT_PENDING;
	run.events.interrupt_vector = 0x41;
}

static inline void pend_exception(uint8_t vector)
{
	run.events.exception = HV_EVENT_PENDING | HV_EVENT_ERROR_CODE;
	run.events.exception_vector = vector;
	run.events.exception_error = 0x1238;
}

static inline void expect_no_fault(void)
{
	ck_assert_uint_eq(run.events.exception, 0);
	ck_assert_uint_eq(run.dirty, HV_REGS_ALL);
	ck_assert_uint_eq(run.events.shadow, 0);
}

static inline void expect_exception(uint8_t vector, uint32_t error)
{
	ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING | HV_EVENT_ERROR_CODE);
	ck_assert_uint_eq(run.events.exception_vector, vector);
	ck_assert_uint_eq(run.events.exception_error, error);
	ck_assert_uint_eq(run.events.shadow, 0);
}

/* The new task has begun as its TSS says. */
static inline void expect_new_task(void)
{
	const struct hv_sregs *s = &run.sregs;

	ck_assert_uint_eq(s->tr.selector, SEL_NEW);
	ck_assert_uint_eq(s->tr.base, NEW_TSS);
	ck_assert_uint_eq(s->tr.ar, TSS32_SEG | BUSY);
	ck_assert_uint_eq(s->tr.limit, SIZE32 - 1);
	ck_assert(s->cr0 & CR0_TS);
	ck_assert_uint_eq(run.gprs.rip, CODE);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(run.gprs.r[i], i == HV_RSP ? STACK : 0xa0000000 + i);
	ck_assert_uint_eq(s->cs.ar, 0xc09b);
	ck_assert_uint_eq(s->cs.limit, 0xffffffff);
	ck_assert_uint_eq(s->ss.ar, 0xc093);
	ck_assert_uint_eq(s->fs.ar, 0xc0f3);
	ck_assert_uint_eq(s->gs.selector, 3);
	ck_assert_uint_eq(s->gs.ar, HV_AR_UNUSABLE);
	ck_assert_uint_eq(s->ldt.ar, HV_AR_UNUSABLE);
	ck_assert_uint_eq(run.dregs.dr7, 0x7ff & ~0x155);
}

/* The old one is in its TSS, behind the instruction. */
static inline void expect_old_task_saved(void)
{
	ck_assert_uint_eq(peek(OLD_TSS + EIP, 4), 0x7002);
	ck_assert_uint_eq(peek(OLD_TSS + EFLAGS, 4), 0x246);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(peek(OLD_TSS + EAX + 4 * i, 4), 0x10000000 + i);
	ck_assert_uint_eq(peek(OLD_TSS + ES, 2), SEL_DATA);
	ck_assert_uint_eq(peek(OLD_TSS + CS, 2), SEL_CODE);
	ck_assert_uint_eq(peek(OLD_TSS + SS, 2), SEL_DATA);
	ck_assert_uint_eq(peek(OLD_TSS + GS, 2), SEL_USER_DATA);
	/* What is not written: the link, stacks, CR3, and from the LDT's selector on. */
	ck_assert_uint_eq(peek(OLD_TSS + LINK, 4), 0xcccccccc);
	ck_assert_uint_eq(peek(OLD_TSS + CR3, 4), 0xcccccccc);
	ck_assert_uint_eq(peek(OLD_TSS + LDT, 4), 0xcccccccc);
	ck_assert_uint_eq(peek(OLD_TSS + TRAP, 4), 0xcccccccc);
}

/* Paging on: all of memory one to one, for the supervisor. */
static inline void turn_paging_on(void)
{
	run.sregs.cr0 |= CR0_PG | CR0_WP;
	for (unsigned int i = 0; i < 1024; i++)
		poke(TABLE + 4 * i, 4, i << 12 | PTE_P | PTE_W | 0x60);
	poke(DIRECTORY, 4, TABLE | PTE_P | PTE_W | 0x20);
	poke(OTHER_DIR, 4, TABLE | PTE_P | PTE_W | 0x20);
}

static inline void set_page(uint64_t la, uint64_t entry)
{
	poke(TABLE + (la >> 12) * 4, 4, entry);
}

#endif
