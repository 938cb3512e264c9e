// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches: what a switch of each kind does to registers, both task-state segments
 * and their descriptors, and to what else waits; and guests that make no sense.
 */
#include "suite.h"
#include "task_guest.h"

/* ------------------------------------------------------------------------- */
/* Each kind                                                                  */

START_TEST(jump)
{
	ck_assert(go(HV_TASK_JMP, 0));
	expect_no_fault();
	expect_new_task();
	expect_old_task_saved();
	ck_assert_uint_eq(run.gprs.rflags, 0x202);
	ck_assert_uint_eq(type_of(SEL_OLD), TSS32_SEG);
	ck_assert_uint_eq(type_of(SEL_NEW), TSS32_SEG | BUSY);
	ck_assert_uint_eq(peek(NEW_TSS + LINK, 2), 0xeeee);
	/* Without paging the page tables stay. */
	ck_assert_uint_eq(run.sregs.cr3, DIRECTORY);
	/* Descriptors that were loaded are accessed. */
	ck_assert_uint_eq(type_of(SEL_CODE), CODE_SEG | ACCESSED);
	ck_assert_uint_eq(type_of(SEL_USER_DATA), DATA_SEG | USER | ACCESSED);
	ck_assert_uint_eq(type_of(SEL_USER_CODE), CODE_SEG | USER);
}
END_TEST

static void expect_nested(void)
{
	expect_no_fault();
	expect_new_task();
	expect_old_task_saved();
	ck_assert_uint_eq(run.gprs.rflags, 0x202 | FLAG_NT);
	ck_assert_uint_eq(type_of(SEL_OLD), TSS32_SEG | BUSY);
	ck_assert_uint_eq(type_of(SEL_NEW), TSS32_SEG | BUSY);
	ck_assert_uint_eq(peek(NEW_TSS + LINK, 2), SEL_OLD);
}

START_TEST(call)
{
	ck_assert(go(HV_TASK_CALL, 0));
	expect_nested();
}
END_TEST

START_TEST(int_n)
{
	/* What else waits is none of its business. */
	run.events.nmi_pending = 1;
	ck_assert(go(HV_TASK_GATE, 0));
	expect_nested();
	ck_assert_uint_eq(run.events.nmi_pending, 1);
	ck_assert_uint_eq(run.events.nmi_masked, 0);
}
END_TEST

START_TEST(iret)
{
	set_descriptor(SEL_NEW, NEW_TSS, SIZE32 - 1, TSS32_SEG | BUSY, 0);
	run.gprs.rflags |= FLAG_NT;
	run.events.nmi_masked = 1;
	poke(NEW_TSS + EFLAGS, 4, 0x4202);
	ck_assert(go(HV_TASK_IRET, 0));
	expect_no_fault();
	expect_new_task();
	expect_old_task_saved(); /* without NT */
	/* The task that is returned to was itself nested. */
	ck_assert_uint_eq(run.gprs.rflags, 0x4202);
	ck_assert_uint_eq(type_of(SEL_OLD), TSS32_SEG);
	ck_assert_uint_eq(type_of(SEL_NEW), TSS32_SEG | BUSY);
	ck_assert_uint_eq(peek(NEW_TSS + LINK, 2), 0xeeee);
	ck_assert_uint_eq(run.events.nmi_masked, 0);
}
END_TEST

START_TEST(interrupt)
{
	pend_interrupt();
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT));
	expect_no_fault();
	expect_new_task();
	ck_assert_uint_eq(peek(OLD_TSS + EIP, 4), 0x7000);
	ck_assert_uint_eq(run.events.interrupt, 0);
	ck_assert_uint_eq(run.gprs.rflags, 0x202 | FLAG_NT);
}
END_TEST

START_TEST(nmi)
{
	run.events.nmi_pending = 1;
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI));
	expect_no_fault();
	ck_assert_uint_eq(run.events.nmi_masked, 1);
	ck_assert_uint_eq(run.events.nmi_pending, 0);

	tear_down();
	set_up();
	run.events.nmi_pending = 1;
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_NMI | HV_TASK_NMI_PENDING));
	ck_assert_uint_eq(run.events.nmi_masked, 1);
	ck_assert_uint_eq(run.events.nmi_pending, 1);
}
END_TEST

START_TEST(error_code)
{
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.r[HV_RSP], STACK - 4);
	ck_assert_uint_eq(peek(STACK - 4, 4), 0x1238);

	/* On a stack of 16 bits the upper half of ESP stays, and SP wraps. */
	tear_down();
	set_up();
	set_descriptor(SEL_TRY, 0x20000, 0xffff, DATA_SEG, 0);
	poke(NEW_TSS + SS, 2, SEL_TRY);
	poke(NEW_TSS + ESP, 4, 0x55550000);
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.r[HV_RSP], 0x5555fffc);
	ck_assert_uint_eq(peek(0x2fffc, 4), 0x1238);

	/* A task of 16 bits has one of two bytes. */
	tear_down();
	set_up();
	set_descriptor(SEL_NEW, NEW_TSS, SIZE16 - 1, TSS16_SEG, 0);
	set_tss16(NEW_TSS);
	poke(STACK - 4, 4, 0);
	pend_exception(VECTOR_GP);
	ck_assert(go(HV_TASK_GATE, HV_TASK_EVENT | HV_TASK_ERROR_CODE));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.r[HV_RSP], STACK - 2);
	ck_assert_uint_eq(peek(STACK - 4, 4), 0x12380000);
}
END_TEST

START_TEST(sixteen_bits)
{
	const uint64_t at = OLD_TSS;

	/* From one to another. */
	set_descriptor(SEL_NEW, NEW_TSS, SIZE16 - 1, TSS16_SEG, 0);
	set_descriptor(SEL_OLD, OLD_TSS, SIZE16 - 1, TSS16_SEG | BUSY, 0);
	run.sregs.tr = segment(SEL_OLD, OLD_TSS, SIZE16 - 1, TSS16_SEG | BUSY);
	set_tss16(NEW_TSS);
	poke(NEW_TSS + LDT16, 2, SEL_LDT);
	poke(NEW_TSS + ES16, 2, SEL_LOCAL);
	run.sregs.cr0 |= CR0_PG;
	for (unsigned int i = 0; i < 1024; i++)
		poke(TABLE + 4 * i, 4, i << 12 | PTE_P | PTE_W);
	poke(DIRECTORY, 4, TABLE | PTE_P | PTE_W);
	ck_assert(go(HV_TASK_CALL, 0));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.rip, CODE);
	ck_assert_uint_eq(run.gprs.rflags, 0x202 | FLAG_NT);
	ck_assert_uint_eq(run.gprs.r[HV_RAX], 0xa000);
	ck_assert_uint_eq(run.gprs.r[HV_RDI], 0xa007);
	ck_assert_uint_eq(run.gprs.r[HV_RSP], STACK);
	ck_assert_uint_eq(run.sregs.es.base, 0x100);
	ck_assert_uint_eq(run.sregs.ldt.base, LDT_AT);
	ck_assert_uint_eq(run.sregs.fs.selector, 0);
	ck_assert_uint_eq(run.sregs.fs.ar, HV_AR_UNUSABLE);
	/* It says nothing of page tables. */
	ck_assert_uint_eq(run.sregs.cr3, DIRECTORY);
	ck_assert_uint_eq(run.sregs.tr.ar, TSS16_SEG | BUSY);
	ck_assert_uint_eq(type_of(SEL_NEW), TSS16_SEG | BUSY);
	ck_assert_uint_eq(peek(NEW_TSS + LINK, 2), SEL_OLD);

	ck_assert_uint_eq(peek(at + IP16, 2), 0x7002);
	ck_assert_uint_eq(peek(at + FLAGS16, 2), 0x246);
	ck_assert_uint_eq(peek(at + DI16, 2), 0x0007);
	ck_assert_uint_eq(peek(at + DS16, 2), SEL_DATA);
	ck_assert_uint_eq(peek(at + ES16, 2), SEL_DATA);
	ck_assert_uint_eq(peek(at + LDT16, 2), 0xcccc);
	ck_assert_uint_eq(peek(at + SIZE16, 4), 0xcccccccc);
}
END_TEST

START_TEST(address_space)
{
	run.sregs.cr0 |= CR0_PG;
	for (unsigned int i = 0; i < 1024; i++)
		poke(TABLE + 4 * i, 4, i << 12 | PTE_P | PTE_W);
	poke(DIRECTORY, 4, TABLE | PTE_P | PTE_W);
	poke(OTHER_DIR, 4, TABLE | PTE_P | PTE_W);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_no_fault();
	expect_new_task();
	ck_assert_uint_eq(run.sregs.cr3, OTHER_DIR);

	/* One where the table of descriptors is not. */
	tear_down();
	set_up();
	run.sregs.cr0 |= CR0_PG;
	for (unsigned int i = 0; i < 1024; i++)
		poke(TABLE + 4 * i, 4, i << 12 | PTE_P | PTE_W);
	poke(DIRECTORY, 4, TABLE | PTE_P | PTE_W);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_exception(VECTOR_PF, 0);
	ck_assert_uint_eq(run.sregs.cr2, GDT_AT + SEL_CODE);
	ck_assert_uint_eq(run.sregs.tr.selector, SEL_NEW);
	ck_assert_uint_eq(run.sregs.cr3, OTHER_DIR);
}
END_TEST

START_TEST(virtual_8086)
{
	poke(NEW_TSS + EFLAGS, 4, FLAG_VM | 0x3202);
	poke(NEW_TSS + CS, 2, 0x1234);
	poke(NEW_TSS + SS, 2, 0xffff);
	poke(NEW_TSS + EIP, 4, 0xfff0);
	poke(NEW_TSS + LDT, 2, SEL_LDT);
	ck_assert(go(HV_TASK_CALL, 0));
	expect_no_fault();
	ck_assert_uint_eq(run.gprs.rflags, FLAG_VM | 0x3202 | FLAG_NT);
	ck_assert_uint_eq(run.sregs.cs.base, 0x12340);
	ck_assert_uint_eq(run.sregs.cs.limit, 0xffff);
	ck_assert_uint_eq(run.sregs.cs.ar, 0xf3);
	ck_assert_uint_eq(run.sregs.ss.base, 0xffff0);
	ck_assert_uint_eq(run.sregs.ldt.base, LDT_AT);
	ck_assert_uint_eq(type_of(SEL_DATA), DATA_SEG);

	/* Its IP ends with its segment. */
	tear_down();
	set_up();
	poke(NEW_TSS + EFLAGS, 4, FLAG_VM | 2);
	poke(NEW_TSS + EIP, 4, 0x10000);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_exception(VECTOR_GP, 0);
	ck_assert_uint_eq(run.sregs.ss.ar, 0xf3);
}
END_TEST

START_TEST(user_task)
{
	poke(NEW_TSS + CS, 2, SEL_USER_CODE);
	poke(NEW_TSS + SS, 2, SEL_USER_DATA);
	poke(NEW_TSS + DS, 2, SEL_USER_DATA);
	poke(NEW_TSS + ES, 2, 0);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_no_fault();
	ck_assert_uint_eq(run.sregs.ss.ar, 0xc0f3);
	ck_assert_uint_eq(run.sregs.cs.ar, 0xc0fb);
	ck_assert_uint_eq(run.sregs.es.ar, HV_AR_UNUSABLE);
}
END_TEST

START_TEST(trap)
{
	poke(NEW_TSS + TRAP, 2, 1);
	ck_assert(go(HV_TASK_JMP, 0));
	expect_new_task();
	ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING);
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_DB);
	ck_assert_uint_eq(run.dregs.dr6, 0xffff8ff0);
	ck_assert(!(run.gprs.rflags & FLAG_RF));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Hostile guests                                                             */

START_TEST(nowhere)
{
	/* Tables and TSSs where there is no memory: what is read there are ones. */
	run.sregs.gdt.base = 0xf0000000;
	ck_assert(go(HV_TASK_JMP, 0));
	ck_assert_uint_eq(run.events.exception_vector, VECTOR_GP);

	tear_down();
	set_up();
	run.sregs.tr.base = 0xfffffff0; /* and wraps */
	run.sregs.tr.selector = 0xffff;
	set_descriptor(SEL_NEW, RAM_SIZE - 50, SIZE32 - 1, TSS32_SEG, 0);
	ck_assert(go(HV_TASK_CALL, 0));
	ck_assert_uint_eq(run.sregs.tr.base, RAM_SIZE - 50);
	ck_assert_uint_eq(peek(EIP - 0x10, 4), 0x7002);
	ck_assert_uint_eq(run.gprs.r[HV_RDI], 0xffffffff);
}
END_TEST

static uint32_t state = 2463534242u;

/* Marsaglia's xorshift. */
static uint32_t nonsense(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* Whatever is in registers and memory, it is the guest that gets the answer. */
START_TEST(random_guests)
{
	for (unsigned int i = 0; i < 100000; i++) {
		unsigned int changes = 1 + nonsense() % 4;
		uint8_t *sregs = (uint8_t *)&run.sregs;

		written_off = i % 512 > 7;
		if (nonsense() % 2)
			turn_paging_on();
		while (changes--) {
			switch (nonsense() % 5) {
			case 0:
				sregs[nonsense() % sizeof(run.sregs)] = (uint8_t)nonsense();
				break;
			case 1:
				poke(NEW_TSS + nonsense() % SIZE32, 1, nonsense());
				break;
			case 2:
				poke(GDT_AT + nonsense() % (GDT_LIMIT + 1), 1, nonsense());
				break;
			case 3:
				poke(TABLE + nonsense() % 0x80, 1, nonsense());
				break;
			default:
				poke(LDT_AT + nonsense() % 16, 1, nonsense());
			}
		}
		if (nonsense() % 4 == 0)
			pend_exception(nonsense() % 32);
		(void)go(nonsense() % 4, nonsense() % 16);
		run.sregs.gdt.limit = GDT_LIMIT;
		if (i % 8 == 7) {
			tear_down();
			set_up();
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("task");
	TCase *c = tcase_create("task");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, jump);
	tcase_add_test(c, call);
	tcase_add_test(c, int_n);
	tcase_add_test(c, iret);
	tcase_add_test(c, interrupt);
	tcase_add_test(c, nmi);
	tcase_add_test(c, error_code);
	tcase_add_test(c, sixteen_bits);
	tcase_add_test(c, address_space);
	tcase_add_test(c, virtual_8086);
	tcase_add_test(c, user_task);
	tcase_add_test(c, trap);
	tcase_add_test(c, nowhere);
	tcase_add_test(c, random_guests);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
