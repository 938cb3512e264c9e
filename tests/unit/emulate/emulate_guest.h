/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest for the tests of instruction emulation: 2 MiB of RAM, a device of
 * memory-like registers at MMIO_BASE, ports that record what is written, and the
 * processor's modes. Included by test_emulate.c and test_emulate_access.c.
 */
#ifndef TESTS_UNIT_EMULATE_GUEST_H
#define TESTS_UNIT_EMULATE_GUEST_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "emulate/emulate.h"
#include "x86.h"
#include "guest_memory.h"
#include "written.h"

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

static struct bus *pio, *mmio;
static struct emulate_env env;
/* The vCPU's own, as HV_GET_XSAVE gives it; and how often it was fetched and stored. */
static _Alignas(64) uint8_t xstate_image[4096];
static unsigned int xstate_gets, xstate_sets;
static uint32_t apic[64];
static unsigned int apic_reads, apic_writes;
static struct hv_run run;
static char why[256];

static uint8_t device[MMIO_SIZE];
static unsigned int device_reads, device_writes;
static uint8_t out[16384];
static unsigned int out_len, out_size;
static uint32_t in_value;

static inline uint64_t device_read(void *dev, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	(void)dev;
	memcpy(&value, device + offset, size);
	device_reads++;
	return value;
}

static inline void device_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev;
	memcpy(device + offset, &value, size);
	device_writes++;
}

static inline uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return in_value++;
}

static inline void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev;
	(void)offset;
	out_size = size;
	ck_assert_uint_le(out_len + size, sizeof(out));
	memcpy(out + out_len, &value, size);
	out_len += size;
}

static inline int get_xstate(void *arg, struct xstate **x)
{
	static struct xstate xstate = {xstate_image, sizeof(xstate_image)};

	(void)arg;
	xstate_gets++;
	*x = &xstate;
	return 0;
}

static inline int set_xstate(void *arg)
{
	(void)arg;
	xstate_sets++;
	return 0;
}

static inline uint32_t read_apic(void *arg, uint32_t offset)
{
	(void)arg;
	apic_reads++;
	return apic[offset / 16];
}

static inline void write_apic(void *arg, uint32_t offset, uint32_t value)
{
	(void)arg;
	apic_writes++;
	apic[offset / 16] = value;
}

static const struct emulate_ops vcpu_ops = {get_xstate, set_xstate, read_apic, write_apic};
static const struct bus_ops device_ops = {device_read, device_write};
static const struct bus_ops port_ops = {port_read, port_write};

static inline uint8_t *ram(uint64_t gpa)
{
	return mem_write(&mem, gpa, 1);
}

static inline uint64_t dev_get(unsigned int offset, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, device + offset, size);
	return value;
}

static inline void dev_set(unsigned int offset, unsigned int size, uint64_t value)
{
	memcpy(device + offset, &value, size);
}

static inline void set_up(void)
{
	struct error e;

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, RAM_SIZE, &e), 0);
	pio = bus_create();
	mmio = bus_create();
	ck_assert_int_eq(bus_add(mmio, MMIO_BASE, MMIO_SIZE, &device_ops, device), 0);
	ck_assert_int_eq(bus_add(pio, PORT, 8, &port_ops, device), 0);
	env = (struct emulate_env){.mem = &mem, .pio = pio, .mmio = mmio, .ops = &vcpu_ops};
	memset(xstate_image, 0, sizeof(xstate_image));
	xstate_gets = xstate_sets = 0;
	memset(apic, 0, sizeof(apic));
	apic_reads = apic_writes = 0;
	memset(&run, 0, sizeof(run));
	memset(device, 0, sizeof(device));
	device_reads = device_writes = out_len = out_size = 0;
	in_value = 0x41;
}

static inline void tear_down(void)
{
	bus_destroy(pio);
	bus_destroy(mmio);
	mem_destroy(&mem);
}

/* ------------------------------------------------------------------------- */
/* Modes                                                                      */

static inline struct hv_segment segment(uint16_t selector, uint64_t base, uint32_t limit,
					uint32_t ar)
{
	return (struct hv_segment){.base = base, .limit = limit, .ar = ar, .selector = selector};
}

static inline void all_data(struct hv_segment s)
{
	run.sregs.ds = run.sregs.es = run.sregs.fs = run.sregs.gs = run.sregs.ss = s;
}

static inline void common(void)
{
	run.gprs.rip = CODE;
	run.gprs.rflags = 2;
	run.gprs.r[HV_RSP] = STACK;
	run.valid = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
}

static inline void real_mode(void)
{
	common();
	run.sregs.cs = segment(0, 0, 0xffff, 0x9b);
	all_data(segment(0, 0, 0xffff, 0x93));
	run.gprs.r[HV_RSP] = 0x7000;
}

/* Flat 32-bit, no paging. */
static inline void protected_mode(unsigned int cpl)
{
	common();
	run.sregs.cr0 = CR0_PE;
	run.sregs.cs = segment(8 | cpl, 0, 0xffffffff, 0xc09b | cpl << 5);
	all_data(segment(16 | cpl, 0, 0xffffffff, 0xc093 | cpl << 5));
}

/* 4-level paging: all RAM by 4 KiB pages, the device by a large one, both identical. */
static inline void long_mode(unsigned int cpl)
{
	unsigned int i;

	common();
	run.sregs.cr0 = CR0_PE | CR0_PG | CR0_WP;
	run.sregs.cr4 = CR4_PAE;
	run.sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
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

static inline uint64_t pte_of(uint64_t la)
{
	return TABLES + 0x4000 + (la >> 12) * 8;
}

static inline enum emulate_result go_bytes(const uint8_t *bytes, unsigned int len,
					   unsigned int known)
{
	enum emulate_result result;

	memcpy(ram(CODE), bytes, len);
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit_reason = HV_EXIT_EMULATE;
	run.exit.emulate.gpa = ~0ULL;
	run.exit.emulate.insn_len = known;
	memcpy(run.exit.emulate.insn, bytes, known);
	run.gprs.rip = CODE;
	run.dirty = 0;
	written_begin(&mem);
	result = emulate(&env, &run, why, sizeof(why));
	written_end(&mem);
	return result;
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

static inline void expect_fault(uint8_t vector, int error)
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
	run.events.exception = 0;
}

#define R(name) run.gprs.r[HV_##name]

#endif
