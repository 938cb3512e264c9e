/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests share that compare the emulator with the processor they run on: random numbers,
 * an instruction's bytes, and a guest that sees the arena at the same address, in a device or in
 * RAM. EMULATE_SEED gives the sequence, EMULATE_CASES its length.
 */
#ifndef TESTS_UNIT_EMULATE_NATIVE_H
#define TESTS_UNIT_EMULATE_NATIVE_H

#include <stdio.h>

#include "emulate_guest.h"
#include "native.h"

/* Further tables of the guest, behind those of emulate_guest.h */
#define ARENA_TABLES (TABLES + 0x5000)
#define ARENA_PTES   (TABLES + 0x7000)

static uint64_t seed, state;

static inline uint64_t random64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers at which things happen are as likely as any others. */
static inline uint64_t random_value(void)
{
	static const uint64_t special[] = {0,
					   1,
					   2,
					   0x7f,
					   0x80,
					   0xff,
					   0x7fff,
					   0x8000,
					   0xffff,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   0x7fffffffffffffff,
					   0x8000000000000000,
					   ~0ULL,
					   0x8000000080008080,
					   0x0000ffff0000ff00};

	switch (random64() % 4) {
	case 0:
		return special[random64() % (sizeof(special) / sizeof(special[0]))];
	case 1:
		return random64() >> random64() % 64;
	case 2:
		return random64() % 80;
	default:
		return random64();
	}
}

static inline unsigned int number_of_cases(void)
{
	const char *cases = getenv("EMULATE_CASES");

	return cases ? (unsigned int)atoi(cases) : 2000;
}

/* ------------------------------------------------------------------------- */
/* An instruction                                                             */

struct native_insn {
	uint8_t bytes[15];
	unsigned int len;
};

static inline void native_put(struct native_insn *c, uint64_t value, unsigned int n)
{
	for (; n; n--, value >>= 8)
		c->bytes[c->len++] = (uint8_t)value;
}

/* [base + disp8], with an index of none where the base needs a SIB. */
static inline void native_put_modrm(struct native_insn *c, unsigned int reg, unsigned int base,
				    int8_t disp)
{
	native_put(c, 0x40 | (reg & 7) << 3 | (base & 7), 1);
	if ((base & 7) == 4)
		native_put(c, 0x24, 1);
	native_put(c, (uint8_t)disp, 1);
}

/* Most operands are wholly in the window; some reach beyond its end or are nowhere. */
static inline uint64_t random_place(unsigned int size)
{
	uint64_t window = (uintptr_t)native.arena + NATIVE_WINDOW;

	switch (random64() % 32) {
	case 0:
		return window + NATIVE_LEN - random64() % (size + 1);
	case 1:
		return window - random64() % (size + 1);
	case 2:
		return window + 0x1000 - random64() % (size + 1);
	case 3:
		return (0x8000000000000000 | random64() >> 2) / size * size;
	default:
		return window + 0x100 + random64() % (NATIVE_LEN - 0x200) / size * size;
	}
}

/* How much of n bytes there is in the window. */
static inline unsigned int in_window(uint64_t place, unsigned int n)
{
	uint64_t window = (uintptr_t)native.arena + NATIVE_WINDOW, end = window + NATIVE_LEN;

	if (place < window || place >= end)
		return 0;
	return n < end - place ? n : (unsigned int)(end - place);
}

static inline void make_registers(void)
{
	for (unsigned int r = 0; r < HV_NR_GPRS; r++)
		native.gprs.r[r] = random_value();
	native.gprs.rflags = (random64() & NATIVE_FLAGS) | 0x202;
	native.gprs.r[HV_RSP] = random_place(8);
	native.gprs.r[HV_RBP] = random_place(8);
}

/* ------------------------------------------------------------------------- */
/* The guest's side                                                           */

/* The arena's window is the device, or RAM, at the same address; the pages beside it are not. */
static inline void map_window(bool to_ram)
{
	uint64_t la = (uintptr_t)native.arena, rights = PTE_P | PTE_W | PTE_U;
	uint64_t gpa = to_ram ? DATA : MMIO_BASE;

	poke(TABLES + (la >> 39 & 511) * 8, 8, ARENA_TABLES | rights);
	poke(ARENA_TABLES + (la >> 30 & 511) * 8, 8, (ARENA_TABLES + 0x1000) | rights);
	poke(ARENA_TABLES + 0x1000 + (la >> 21 & 511) * 8, 8, ARENA_PTES | rights);
	for (unsigned int i = 0; i < NATIVE_LEN / 0x1000; i++)
		poke(ARENA_PTES + (NATIVE_WINDOW / 0x1000 + i) * 8, 8, (gpa + i * 0x1000) | rights);
}

static inline uint8_t *guest_window(bool to_ram)
{
	return to_ram ? ram(DATA) : device;
}

static inline void emulate_case(const struct native_insn *c, const struct hv_gprs *gprs,
				bool to_ram)
{
	map_window(to_ram);
	memset(&run.exit, 0, sizeof(run.exit));
	run.exit.emulate.gpa = MMIO_BASE;
	run.exit.emulate.insn_len = c->len;
	memcpy(run.exit.emulate.insn, c->bytes, c->len);
	run.gprs = *gprs;
	run.gprs.rip = (uintptr_t)native.arena;
	run.events.exception = 0;
	run.dirty = 0;
}

static inline bool exceptions_agree(void)
{
	if (native.vector == NO_VECTOR)
		return !run.events.exception;
	if (!run.events.exception || run.events.exception_vector != native.vector)
		return false;
	if (native.vector != VECTOR_PF)
		return true;
	return run.sregs.cr2 == native.cr2 && run.events.exception_error == native.error;
}

/* ------------------------------------------------------------------------- */

static inline void begin(void)
{
	const char *text = getenv("EMULATE_SEED");

	seed = text ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15;
	state = seed;
	set_up();
	native_set_up();
	long_mode(3);
	/* Nothing but the arena, as here. */
	poke(TABLES, 8, 0);
	__asm__("mov %%fs, %0" : "=r"(run.sregs.fs.selector));
	for (unsigned int i = 0; i < NATIVE_LEN; i += 8) {
		uint64_t value = random64();

		memcpy(native.arena + NATIVE_WINDOW + i, &value, sizeof(value));
	}
}

static inline void finish(void)
{
	munmap(native.arena, NATIVE_SIZE);
	tear_down();
}

#endif
