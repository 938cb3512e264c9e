// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What answers at an address without RAM: a device on the bus, or the vCPU's own local APIC.
 * Called by access.c.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"
#include "platform/layout.h"

/* IA32_APIC_BASE (Intel SDM Vol. 3, 11.12.1) */
#define APIC_BASE_X2APIC (1ULL << 10)
#define APIC_BASE_ENABLE (1ULL << 11)

/* Offsets in the page */
#define APIC_TPR 0x80
#define APIC_END 0x400

/* The page is the APIC's in xAPIC mode only. */
static bool is_apic_page(const struct emu *emu, uint64_t gpa)
{
	return (gpa & ~0xfffULL) == LAYOUT_LAPIC &&
	       (emu->run->sregs.apic_base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) ==
		       APIC_BASE_ENABLE;
}

/* 32 bits each, 16 bytes apart (11.4.1). Whatever else is read is zero, and written is lost. */
static bool is_apic_register(uint64_t gpa, unsigned int len)
{
	return len == 4 && gpa % 16 == 0 && gpa - LAYOUT_LAPIC < APIC_END;
}

static uint64_t load_piece(const struct emu *emu, uint64_t gpa, unsigned int len)
{
	uint64_t value = ~0ULL;

	if (!is_apic_page(emu, gpa)) {
		bus_read(emu->env->mmio, gpa, len, &value);
		return value;
	}
	if (!is_apic_register(gpa, len))
		return 0;
	return emu->env->ops->read_apic(emu->env->arg, (uint32_t)(gpa - LAYOUT_LAPIC));
}

static void store_piece(const struct emu *emu, uint64_t gpa, unsigned int len, uint64_t value)
{
	if (!is_apic_page(emu, gpa)) {
		bus_write(emu->env->mmio, gpa, len, value);
		return;
	}
	if (!is_apic_register(gpa, len))
		return;
	emu->env->ops->write_apic(emu->env->arg, (uint32_t)(gpa - LAYOUT_LAPIC), (uint32_t)value);
	/* The run page's copy may be loaded when the instruction is done. */
	if (gpa - LAYOUT_LAPIC == APIC_TPR)
		emu->run->sregs.cr8 = value >> 4 & 0xf;
}

/* Devices see powers of two only: the pieces of an access that crosses a page may be none. */
static unsigned int bus_chunk(unsigned int len)
{
	return len >= 8 ? 8 : len >= 4 ? 4 : len >= 2 ? 2 : 1;
}

uint64_t emu_load_device(const struct emu *emu, uint64_t gpa, unsigned int len)
{
	uint64_t value = 0;
	unsigned int done, n;

	for (done = 0; done < len; done += n) {
		n = bus_chunk(len - done);
		value |= (load_piece(emu, gpa + done, n) & alu_mask(n)) << done * 8;
	}
	return value;
}

void emu_store_device(const struct emu *emu, uint64_t gpa, unsigned int len, uint64_t value)
{
	unsigned int done, n;

	for (done = 0; done < len; done += n) {
		n = bus_chunk(len - done);
		store_piece(emu, gpa + done, n, value >> done * 8 & alu_mask(n));
	}
}
