// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches: every fault, with its error code and in the task that it belongs to; and
 * that one of the old task leaves nothing changed.
 */
#include "suite.h"
#include "task_guest.h"

/* ------------------------------------------------------------------------- */
/* Faults of the old task                                                     */

static uint8_t *image;
static struct hv_run before;

/* What nothing may happen to. */
static void remember(void)
{
	free(image);
	image = malloc(RAM_SIZE);
	ck_assert_ptr_nonnull(image);
	memcpy(image, mem_write(&mem, 0, RAM_SIZE), RAM_SIZE);
	before = run;
}

static void expect_old_fault(uint8_t vector, uint32_t error)
{
	expect_exception(vector, error);
	if (vector == VECTOR_PF)
		before.sregs.cr2 = run.sregs.cr2;
	ck_assert_mem_eq(&run.gprs, &before.gprs, sizeof(run.gprs));
	ck_assert_mem_eq(&run.sregs, &before.sregs, sizeof(run.sregs));
	ck_assert_mem_eq(&run.dregs, &before.dregs, sizeof(run.dregs));
	ck_assert_mem_eq(mem_write(&mem, 0, RAM_SIZE), image, RAM_SIZE);
	free(image);
	image = NULL;
	tear_down();
	set_up();
}

START_TEST(new_tss)
{
	/* Absent, busy or not, no TSS, too short */
	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG & ~ABSENT, 0);
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_NP, SEL_NEW);

	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG | BUSY, 0);
	remember();
	ck_assert(go(HV_TASK_CALL, 0));
	expect_old_fault(VECTOR_GP, SEL_NEW);

	remember();
	ck_assert(go(HV_TASK_IRET, 0));
	expect_old_fault(VECTOR_TS, SEL_NEW);

	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, DATA_SEG, 0);
	remember();
	ck_assert(go(HV_TASK_GATE, 0));
	expect_old_fault(VECTOR_GP, SEL_NEW);

	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 2, TSS32_SEG, 0);
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_TS, SEL_NEW);

	set_descriptor(SEL_NEW, NEW_TSS, SIZE16 - 2, TSS16_SEG, 0);
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_TS, SEL_NEW);

	/* Beyond the table */
	run.sregs.gdt.limit = SEL_NEW + 6;
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_GP, SEL_NEW);

	run.sregs.gdt.limit = SEL_NEW + 6;
	remember();
	ck_assert(go(HV_TASK_IRET, 0));
	expect_old_fault(VECTOR_TS, SEL_NEW);

	/* Not in 64-bit mode */
	run.sregs.efer = EFER_LME | EFER_LMA;
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_GP, SEL_NEW);
}
END_TEST

START_TEST(bad_selectors)
{
	static const struct {
		uint16_t selector;
		enum hv_task_source source;
		uint8_t vector;
		uint32_t error;
	} bad[] = {
		{0, HV_TASK_JMP, VECTOR_GP, 0},
		{3, HV_TASK_IRET, VECTOR_TS, 0},
		{SEL_LOCAL, HV_TASK_CALL, VECTOR_GP, SEL_LOCAL},
		{SEL_LOCAL | 3, HV_TASK_IRET, VECTOR_TS, SEL_LOCAL},
		{0xffff, HV_TASK_GATE, VECTOR_GP, 0xfffc},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		remember();
		run.exit.task.selector = bad[i].selector;
		run.exit.task.source = bad[i].source;
		run.exit.task.flags = 0;
		ck_assert(task_switch(&mem, &run));
		before.exit = run.exit;
		expect_old_fault(bad[i].vector, bad[i].error);
	}
}
END_TEST

START_TEST(old_tss)
{
	run.sregs.tr.limit = SIZE32 - 2;
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	expect_old_fault(VECTOR_TS, SEL_OLD);
}
END_TEST

/* The error code says that no instruction is to blame. */
START_TEST(external)
{
	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG & ~ABSENT, 0);
	pend_interrupt();
	remember();
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT));
	/* It goes back to the local APIC, since an exception came first. */
	ck_assert_uint_eq(run.events.interrupt, HV_EVENT_PENDING);
	expect_old_fault(VECTOR_NP, SEL_NEW | 1);

	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG & ~ABSENT, 0);
	run.events.nmi_pending = 1;
	remember();
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI));
	ck_assert_uint_eq(run.events.nmi_pending, 1);
	ck_assert_uint_eq(run.events.nmi_masked, 0);
	expect_old_fault(VECTOR_NP, SEL_NEW | 1);
}
END_TEST

#define READ_ONLY(la) (((la) & ~0xfffu) | PTE_P | 0x60)

START_TEST(page_faults)
{
	static const struct {
		uint64_t page, entry;
		enum hv_task_source source;
		uint64_t cr2;
		uint32_t error;
	} faults[] = {
		{GDT_AT, 0, HV_TASK_JMP, GDT_AT + SEL_NEW, 0},
		{GDT_AT, READ_ONLY(GDT_AT), HV_TASK_JMP, GDT_AT + SEL_OLD + 5, 3},
		{GDT_AT, READ_ONLY(GDT_AT), HV_TASK_CALL, GDT_AT + SEL_NEW + 5, 3},
		{OLD_TSS, 0, HV_TASK_JMP, OLD_TSS + EIP, 2},
		{OLD_TSS, READ_ONLY(OLD_TSS), HV_TASK_CALL, OLD_TSS + EIP, 3},
		{NEW_TSS, 0, HV_TASK_JMP, NEW_TSS, 0},
		{NEW_TSS, READ_ONLY(NEW_TSS), HV_TASK_CALL, NEW_TSS, 3},
		{NEW_TSS, READ_ONLY(NEW_TSS), HV_TASK_GATE, NEW_TSS, 3},
	};

	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		turn_paging_on();
		set_page(faults[i].page, faults[i].entry);
		remember();
		ck_assert(go(faults[i].source, 0));
		ck_assert_uint_eq(run.sregs.cr2, faults[i].cr2);
		expect_old_fault(VECTOR_PF, faults[i].error);
	}

	/* A return and a jump write nothing to the new TSS. */
	turn_paging_on();
	set_page(NEW_TSS, READ_ONLY(NEW_TSS));
	ck_assert(go(HV_TASK_JMP, 0));
	expect_no_fault();
}
END_TEST

/* Both TSSs and a descriptor cross pages that lie elsewhere. */
START_TEST(page_crossing)
{
	const uint64_t old = 0x21fd0, new = 0x23fc1, gdt = 0x25fff - SEL_NEW - 3;
	uint8_t table[GDT_LIMIT + 1], *ram;

	turn_paging_on();
	memcpy(table, mem_write(&mem, GDT_AT, sizeof(table)), sizeof(table));
	set_page(0x22000, 0x42000 | PTE_P | PTE_W);
	set_page(0x24000, 0x44000 | PTE_P | PTE_W);
	set_page(0x26000, 0x46000 | PTE_P | PTE_W);
	set_tss32(new);
	ram = mem_write(&mem, 0, RAM_SIZE);
	memcpy(ram + 0x44000, ram + 0x24000, 4096);
	memset(ram + 0x24000, 0, 4096);
	memcpy(ram + gdt, table, sizeof(table));
	memcpy(ram + 0x46000, ram + 0x26000, 4096);
	memset(ram + 0x26000, 0, 4096);
	run.sregs.gdt.base = gdt;
	/* The new TSS's base, in two parts of the descriptor. */
	ram[gdt + SEL_NEW + 2] = (uint8_t) new;
	ram[gdt + SEL_NEW + 3] = (uint8_t)(new >> 8);
	ram[0x46000] = (uint8_t)(new >> 16);
	run.sregs.tr.base = old;

	ck_assert(go(HV_TASK_CALL, 0));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.r[HV_RDI], 0xa0000007);
	ck_assert_uint_eq(run.gprs.rip, CODE);
	ck_assert_uint_eq(run.sregs.tr.base, new);
	ck_assert_uint_eq(peek(old + EIP, 4), 0x7002);
	ck_assert_uint_eq(peek(0x42000 + old + EDI - 0x22000, 4), 0x10000007);
	ck_assert_uint_eq(peek(new + LINK, 2), SEL_OLD);
	ck_assert(ram[0x46001] & BUSY);

	/* The second page of each is missing. */
	tear_down();
	set_up();
	turn_paging_on();
	set_descriptor(SEL_NEW, new, SIZE32 - 1, TSS32_SEG, 0);
	set_page(0x24000, 0);
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	ck_assert_uint_eq(run.sregs.cr2, 0x24000);
	expect_old_fault(VECTOR_PF, 0);

	turn_paging_on();
	run.sregs.tr.base = old;
	set_page(0x22000, 0);
	remember();
	ck_assert(go(HV_TASK_JMP, 0));
	ck_assert_uint_eq(run.sregs.cr2, 0x22000);
	expect_old_fault(VECTOR_PF, 2);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Faults of the new task                                                     */

static void expect_new_fault(uint8_t vector, uint32_t error)
{
	expect_exception(vector, error);
	ck_assert_uint_eq(run.dirty, HV_REGS_ALL);
	ck_assert_uint_eq(run.sregs.tr.selector, SEL_NEW);
	ck_assert_uint_eq(run.gprs.rip, CODE);
	ck_assert_uint_eq(peek(OLD_TSS + EIP, 4), run.exit.task.next_rip);
	ck_assert_uint_eq(run.dregs.dr7, 0x7ff & ~0x155);
	/* The processor can be entered so. */
	ck_assert(run.sregs.cs.ar & HV_AR_P);
	ck_assert_uint_eq(run.sregs.ss.ar & HV_AR_DPL, run.sregs.cs.ar & HV_AR_DPL);
	tear_down();
	set_up();
}

START_TEST(new_segments)
{
	static const struct {
		unsigned int field; /* of the TSS, that names SEL_TRY | rpl */
		unsigned int rpl;
		unsigned int type;
		uint8_t vector; /* VECTOR_DB: none */
	} segments[] = {
		{CS, 0, CODE_SEG, VECTOR_DB},
		{CS, 0, CODE_SEG | CONFORMING, VECTOR_DB},
		{CS, 0, DATA_SEG, VECTOR_TS},
		{CS, 0, CODE_SEG | USER, VECTOR_TS},
		{CS, 0, CODE_SEG | CONFORMING | USER, VECTOR_TS},
		{CS, 3, CODE_SEG, VECTOR_TS},
		{CS, 0, CODE_SEG & ~ABSENT, VECTOR_NP},
		{CS, 0, TSS32_SEG, VECTOR_TS},
		{SS, 0, DATA_SEG, VECTOR_DB},
		{SS, 0, 0x90, VECTOR_TS}, /* cannot be written */
		{SS, 0, CODE_SEG, VECTOR_TS},
		{SS, 3, DATA_SEG, VECTOR_TS},
		{SS, 0, DATA_SEG | USER, VECTOR_TS},
		{SS, 0, DATA_SEG & ~ABSENT, VECTOR_SS},
		{SS, 0, LDT_SEG, VECTOR_TS},
		{DS, 0, CODE_SEG, VECTOR_DB},
		{DS, 0, 0x90, VECTOR_DB}, /* cannot be written */
		{DS, 0, 0x98, VECTOR_TS}, /* cannot be read */
		{DS, 3, DATA_SEG, VECTOR_TS},
		{DS, 3, CODE_SEG | CONFORMING, VECTOR_DB},
		{ES, 0, DATA_SEG & ~ABSENT, VECTOR_NP},
		{FS, 0, 0, VECTOR_TS},
		{GS, 0, DATA_SEG & ~ABSENT, VECTOR_NP},
		{LDT, 0, LDT_SEG, VECTOR_DB},
		{LDT, 0, DATA_SEG, VECTOR_TS},
		{LDT, 0, LDT_SEG & ~ABSENT, VECTOR_TS},
	};

	for (unsigned int i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		set_descriptor(SEL_TRY, 0, 0xfffff, segments[i].type, 0xc);
		poke(NEW_TSS + segments[i].field, 2, SEL_TRY | segments[i].rpl);
		ck_assert(go(HV_TASK_JMP, 0));
		if (segments[i].vector == VECTOR_DB) {
			expect_no_fault();
			ck_assert_uint_eq(type_of(SEL_TRY), segments[i].field == LDT
								    ? LDT_SEG
								    : segments[i].type | ACCESSED);
			tear_down();
			set_up();
			continue;
		}
		ck_assert_uint_eq(type_of(SEL_TRY), segments[i].type);
		expect_new_fault(segments[i].vector, SEL_TRY);
	}
}
END_TEST

START_TEST(new_selectors)
{
	static const struct {
		unsigned int field;
		uint16_t selector;
		uint32_t error;
	} bad[] = {
		{CS, 0, 0},
		{SS, 0, 0},
		{CS, SEL_BEYOND, SEL_BEYOND},
		{SS, SEL_BEYOND, SEL_BEYOND},
		{ES, SEL_BEYOND | 3, SEL_BEYOND},
		{DS, SEL_LOCAL, SEL_LOCAL}, /* without a table for it */
		{LDT, SEL_LOCAL, SEL_LOCAL},
		{LDT, SEL_BEYOND, SEL_BEYOND},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		/* What stands in the table's first entry is never looked at. */
		set_descriptor(0, 0, 0xfffff, bad[i].field == CS ? CODE_SEG : DATA_SEG, 0xc);
		poke(NEW_TSS + bad[i].field, 2, bad[i].selector);
		ck_assert(go(HV_TASK_CALL, 0));
		expect_new_fault(VECTOR_TS, bad[i].error);

		poke(NEW_TSS + bad[i].field, 2, bad[i].selector);
		pend_interrupt();
		ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT));
		/* It has been delivered, to a task that cannot run. */
		ck_assert_uint_eq(run.events.interrupt, 0);
		expect_new_fault(VECTOR_TS, bad[i].error | 1);
	}
	/* In the table of the new task, but behind its end, where another good one is */
	set_descriptor(0x14, 0, 0xfffff, DATA_SEG, 0xc);
	poke(NEW_TSS + LDT, 2, SEL_LDT);
	poke(NEW_TSS + GS, 2, 0x14);
	ck_assert(go(HV_TASK_CALL, 0));
	expect_new_fault(VECTOR_TS, 0x14);
}
END_TEST

START_TEST(new_eip)
{
	set_descriptor(SEL_TRY, 0, CODE - 1, CODE_SEG, 4);
	poke(NEW_TSS + CS, 2, SEL_TRY);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_new_fault(VECTOR_GP, 0);
}
END_TEST

START_TEST(new_stack)
{
	/* Not large enough for the error code; and one that grows down, whose limit is its bottom. */
	set_descriptor(SEL_TRY, 0, STACK - 2, DATA_SEG, 4);
	poke(NEW_TSS + SS, 2, SEL_TRY);
	pend_exception(VECTOR_DB);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	ck_assert_uint_eq(run.gprs.r[HV_RSP], STACK);
	expect_new_fault(VECTOR_SS, 1);

	set_descriptor(SEL_TRY, 0, STACK - 5, DATA_SEG | 4, 4);
	poke(NEW_TSS + SS, 2, SEL_TRY);
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_no_fault();
	ck_assert_uint_eq(peek(STACK - 4, 4), 0x1238);
	tear_down();
	set_up();

	/* Not there; and not the user's. */
	turn_paging_on();
	set_page(STACK - 4, 0);
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	ck_assert_uint_eq(run.sregs.cr2, STACK - 4);
	expect_new_fault(VECTOR_PF, 2);

	turn_paging_on();
	poke(NEW_TSS + CS, 2, SEL_USER_CODE);
	poke(NEW_TSS + SS, 2, SEL_USER_DATA);
	poke(NEW_TSS + DS, 2, 0);
	poke(NEW_TSS + ES, 2, 0);
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_new_fault(VECTOR_PF, 7);

	/* A segment whose descriptor cannot be marked. */
	turn_paging_on();
	poke(NEW_TSS + LDT, 2, SEL_LDT);
	poke(NEW_TSS + ES, 2, SEL_LOCAL);
	set_page(LDT_AT, READ_ONLY(LDT_AT));
	ck_assert(go(HV_TASK_JMP, 0));
	ck_assert_uint_eq(run.sregs.cr2, LDT_AT + (SEL_LOCAL & ~7) + 5);
	expect_new_fault(VECTOR_PF, 3);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Faults of faults                                                           */

START_TEST(double_faults)
{
	static const struct {
		uint8_t first, second; /* the latter #TS or #PF */
		uint8_t vector;	       /* 0: the end */
	} pairs[] = {
		{VECTOR_DB, VECTOR_TS, VECTOR_TS}, {VECTOR_UD, VECTOR_PF, VECTOR_PF},
		{VECTOR_DE, VECTOR_TS, VECTOR_DF}, {VECTOR_GP, VECTOR_TS, VECTOR_DF},
		{VECTOR_GP, VECTOR_PF, VECTOR_PF}, {VECTOR_PF, VECTOR_TS, VECTOR_DF},
		{VECTOR_PF, VECTOR_PF, VECTOR_DF}, {VECTOR_AC, VECTOR_TS, VECTOR_TS},
		{VECTOR_DF, VECTOR_TS, 0},	   {VECTOR_DF, VECTOR_PF, 0},
	};

	for (unsigned int i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint8_t want = pairs[i].vector;
		bool goes_on;

		turn_paging_on();
		if (pairs[i].second == VECTOR_TS)
			poke(NEW_TSS + SS, 2, SEL_BEYOND);
		else
			set_page(STACK - 4, 0);
		pend_exception(pairs[i].first);
		goes_on = go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE);
		ck_assert_int_eq(goes_on, want != 0);
		if (!want) {
			tear_down();
			set_up();
			continue;
		}
		expect_new_fault(want, want == VECTOR_TS   ? SEL_BEYOND | 1
				       : want == VECTOR_PF ? 2
							   : 0);
	}

	/* In the old task it is the same. */
	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG | BUSY, 0);
	pend_exception(VECTOR_NP);
	remember();
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_old_fault(VECTOR_DF, 0);

	/* A trap is none of them. */
	poke(NEW_TSS + TRAP, 2, 1);
	pend_exception(VECTOR_DF);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_DB);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("task_faults");
	TCase *c = tcase_create("task_faults");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_test(c, new_tss);
	tcase_add_test(c, bad_selectors);
	tcase_add_test(c, old_tss);
	tcase_add_test(c, external);
	tcase_add_test(c, page_faults);
	tcase_add_test(c, page_crossing);
	tcase_add_test(c, new_segments);
	tcase_add_test(c, new_selectors);
	tcase_add_test(c, new_eip);
	tcase_add_test(c, new_stack);
	tcase_add_test(c, double_faults);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
