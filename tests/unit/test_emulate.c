// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instruction emulation: modes, faults, string instructions, read-modify-write on
 * devices. The guest has 2 MiB of RAM, a device of memory-like registers at
 * MMIO_BASE, and ports that record what is written.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate.h"
#include "x86.h"

#define RAM_SIZE  0x200000
#define CODE	  0x8000
#define TABLES	  0x10000 /* page tables, in the order of their levels */
#define TSS	  0x18000
#define DATA	  0x40000
#define STACK	  0x30000
#define MMIO_BASE 0xd0000000u
#define MMIO_SIZE 0x3000
#define PORT	  0x3f8

#define PTE_P	  1
#define PTE_W	  2
#define PTE_U	  4
#define PTE_A	  0x20
#define PTE_D	  0x40

static struct mem mem;
static struct bus *pio, *mmio;
static struct emulate_env env;
static struct hv_run run;
static char why[256];

static uint8_t device[MMIO_SIZE];
static unsigned int device_reads, device_writes;
static uint8_t out[16384];
static unsigned int out_len, out_size;
static uint32_t in_value;

static uint64_t device_read(void *dev, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	(void)dev;
	memcpy(&value, device + offset, size);
	device_reads++;
	return value;
}

static void device_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev;
	memcpy(device + offset, &value, size);
	device_writes++;
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return in_value++;
}

static void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev;
	(void)offset;
	out_size = size;
	ck_assert_uint_le(out_len + size, sizeof(out));
	memcpy(out + out_len, &value, size);
	out_len += size;
}

static const struct bus_ops device_ops = {device_read, device_write};
static const struct bus_ops port_ops = {port_read, port_write};

static uint8_t *ram(uint64_t gpa)
{
	return mem_span(&mem, gpa, 1);
}

static uint64_t peek(uint64_t gpa, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, mem_span(&mem, gpa, size), size);
	return value;
}

static void poke(uint64_t gpa, unsigned int size, uint64_t value)
{
	memcpy(mem_span(&mem, gpa, size), &value, size);
}

static uint64_t dev_get(unsigned int offset, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, device + offset, size);
	return value;
}

static void dev_set(unsigned int offset, unsigned int size, uint64_t value)
{
	memcpy(device + offset, &value, size);
}

static void set_up(void)
{
	struct error e;

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, RAM_SIZE, &e), 0);
	pio = bus_create();
	mmio = bus_create();
	ck_assert_int_eq(bus_add(mmio, MMIO_BASE, MMIO_SIZE, &device_ops, device), 0);
	ck_assert_int_eq(bus_add(pio, PORT, 8, &port_ops, device), 0);
	env = (struct emulate_env){.mem = &mem, .pio = pio, .mmio = mmio};
	memset(&run, 0, sizeof(run));
	memset(device, 0, sizeof(device));
	device_reads = device_writes = out_len = out_size = 0;
	in_value = 0x41;
}

static void tear_down(void)
{
	bus_destroy(pio);
	bus_destroy(mmio);
	mem_destroy(&mem);
}

/* ------------------------------------------------------------------------- */
/* Modes                                                                      */

static struct hv_segment segment(uint16_t selector, uint64_t base, uint32_t limit, uint32_t ar)
{
	return (struct hv_segment){.base = base, .limit = limit, .ar = ar, .selector = selector};
}

static void all_data(struct hv_segment s)
{
	run.sregs.ds = run.sregs.es = run.sregs.fs = run.sregs.gs = run.sregs.ss = s;
}

static void common(void)
{
	run.gprs.rip = CODE;
	run.gprs.rflags = 2;
	run.gprs.r[HV_RSP] = STACK;
	run.valid = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
}

static void real_mode(void)
{
	common();
	run.sregs.cs = segment(0, 0, 0xffff, 0x9b);
	all_data(segment(0, 0, 0xffff, 0x93));
	run.gprs.r[HV_RSP] = 0x7000;
}

/* Flat 32-bit, no paging. */
static void protected_mode(unsigned int cpl)
{
	common();
	run.sregs.cr0 = CR0_PE;
	run.sregs.cs = segment(8 | cpl, 0, 0xffffffff, 0xc09b | cpl << 5);
	all_data(segment(16 | cpl, 0, 0xffffffff, 0xc093 | cpl << 5));
}

/* 4-level paging: all RAM by 4 KiB pages, the device by a large one, both identical. */
static void long_mode(unsigned int cpl)
{
	unsigned int i;

	common();
	run.sregs.cr0 = CR0_PE | CR0_PG | CR0_WP;
	run.sregs.cr4 = CR4_PAE;
	run.sregs.efer = EFER_LMA | EFER_NXE | 1 << 8;
	run.sregs.cr3 = TABLES;
	run.sregs.cs = segment(8 | cpl, 0, 0xffffffff, 0xa09b | cpl << 5);
	all_data(segment(16 | cpl, 0, 0xffffffff, 0xc093 | cpl << 5));
	poke(TABLES, 8, (TABLES + 0x1000) | PTE_P | PTE_W | PTE_U);
	poke(TABLES + 0x1000, 8, (TABLES + 0x2000) | PTE_P | PTE_W | PTE_U);
	poke(TABLES + 0x1000 + 3 * 8, 8, (TABLES + 0x3000) | PTE_P | PTE_W | PTE_U);
	poke(TABLES + 0x2000, 8, (TABLES + 0x4000) | PTE_P | PTE_W | PTE_U);
	poke(TABLES + 0x3000 + 128 * 8, 8, MMIO_BASE | 0x80 | PTE_P | PTE_W | PTE_U);
	for (i = 0; i < 512; i++)
		poke(TABLES + 0x4000 + i * 8, 8, i << 12 | PTE_P | PTE_W | PTE_U);
}

static uint64_t pte_of(uint64_t la)
{
	return TABLES + 0x4000 + (la >> 12) * 8;
}

static enum emulate_result go_bytes(const uint8_t *bytes, unsigned int len, unsigned int known)
{
	memcpy(ram(CODE), bytes, len);
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit_reason = HV_EXIT_EMULATE;
	run.exit.emulate.gpa = ~0ULL;
	run.exit.emulate.insn_len = known;
	memcpy(run.exit.emulate.insn, bytes, known);
	run.gprs.rip = CODE;
	run.dirty = 0;
	return emulate(&env, &run, why, sizeof(why));
}

#define GO(...)                                                   \
	({                                                        \
		static const uint8_t bytes_[] = {__VA_ARGS__};    \
		go_bytes(bytes_, sizeof(bytes_), sizeof(bytes_)); \
	})

/* The instruction completed, all of it. */
#define DONE(...)                                                                              \
	do {                                                                                   \
		static const uint8_t insn_[] = {__VA_ARGS__};                                  \
		ck_assert_int_eq(go_bytes(insn_, sizeof(insn_), sizeof(insn_)), EMULATE_DONE); \
		ck_assert_uint_eq(run.events.exception, 0);                                    \
		ck_assert_uint_eq(run.gprs.rip, CODE + sizeof(insn_));                         \
		ck_assert(run.dirty &HV_REGS_GPR);                                             \
	} while (0)

static void expect_fault(uint8_t vector, int error)
{
	ck_assert(run.dirty & HV_REGS_EVENTS);
	ck_assert_uint_eq(run.events.exception_vector, vector);
	if (error < 0) {
		ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING);
	} else {
		ck_assert_uint_eq(run.events.exception, HV_EVENT_PENDING | HV_EVENT_ERROR_CODE);
		ck_assert_uint_eq(run.events.exception_error, error);
	}
	ck_assert_uint_eq(run.gprs.rip, CODE);
	ck_assert(run.gprs.rflags & FLAG_RF);
	run.events.exception = 0;
}

#define R(name) run.gprs.r[HV_##name]

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

	/* One port allowed: a byte passes, a wider access does not. */
	*ram(TSS + 0x68 + PORT / 8) = 0xfe;
	DONE(0x6e);
	ck_assert_uint_eq(out_len, 1);
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
	run.sregs.cr0 |= CR0_AM;
	DONE(0xff, 0x03);
	run.gprs.rflags |= FLAG_AC;
	ck_assert_int_eq(GO(0xff, 0x03), EMULATE_DONE);
	expect_fault(VECTOR_AC, 0);
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

START_TEST(not_emulated)
{
	long_mode(0);
	R(RBX) = MMIO_BASE;
	/* movdqa xmm0, [rbx] */
	ck_assert_int_eq(GO(0x66, 0x0f, 0x6f, 0x03), EMULATE_FAILED);
	ck_assert_ptr_nonnull(strstr(why, "movdqa"));
	ck_assert_ptr_nonnull(strstr(why, "66 0f 6f 03"));
	ck_assert_uint_eq(run.dirty, 0);
	/* mov ds, [rbx] */
	ck_assert_int_eq(GO(0x8e, 0x1b), EMULATE_FAILED);
	/* an undefined opcode */
	ck_assert_int_eq(GO(0x0f, 0x0b), EMULATE_FAILED);
	ck_assert_int_eq(GO(0x0f, 0xff, 0xff, 0xff, 0xff), EMULATE_FAILED);

	/* A program cannot end the VM that way. */
	long_mode(3);
	ck_assert_int_eq(GO(0x66, 0x0f, 0x6f, 0x03), EMULATE_DONE);
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
	Suite *s = suite_create("emulate");
	TCase *t;
	SRunner *r;
	int failed;

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
	tcase_add_test(t, locked_in_ram);
	tcase_add_test(t, bits);
	tcase_add_test(t, stack);
	tcase_add_test(t, stack_16_bit);
	tcase_add_test(t, pop_fault_keeps_stack);
	suite_add_tcase(s, t);

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
	tcase_add_test(t, not_emulated);
	tcase_add_test(t, single_step);
	tcase_add_test(t, shadow_ends);
	tcase_add_test(t, rip_wraps_outside_long_mode);
	tcase_add_test(t, any_bytes);
	suite_add_tcase(s, t);

	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
