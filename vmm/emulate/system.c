// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine status word, the tables' registers, and hints about the cache, which do
 * nothing (Intel SDM Vol. 2, under their names). Called by emulate.c.
 */
#include <string.h>

#include "emulate/alu.h"
#include "emulate/internal.h"

static enum emu_result privilege_fault(struct emu *emu)
{
	return emu_raise(emu, VECTOR_GP, true, 0);
}

/* What CR4.UMIP keeps from programs. */
static bool is_hidden(const struct emu *emu)
{
	return (emu->run->sregs.cr4 & CR4_UMIP) && emu_cpl(emu) != 0;
}

/* Loads four bits, and PE only upwards (AMD APM Vol. 3, LMSW). */
static enum emu_result do_lmsw(struct emu *emu)
{
	const uint64_t loaded = CR0_MP | CR0_EM | CR0_TS;
	struct hv_sregs *s = &emu->run->sregs;
	enum emu_result ret;
	uint64_t value;

	if (emu_cpl(emu) != 0)
		return privilege_fault(emu);
	ret = emu_read_operand(emu, 0, &value);
	if (ret != EMU_OK)
		return ret;
	s->cr0 = (s->cr0 & ~loaded) | (value & (loaded | CR0_PE));
	emu->run->dirty |= HV_REGS_SREGS;
	return EMU_OK;
}

/* Two bytes to memory, as many as it has to a register (AMD APM Vol. 3, SMSW). */
static enum emu_result store_system(struct emu *emu, uint64_t value)
{
	if (is_hidden(emu))
		return privilege_fault(emu);
	return emu_write_operand(emu, 0, value);
}

/* ------------------------------------------------------------------------- */
/* GDTR, IDTR: a limit of two bytes and a base of four, in 64-bit mode eight  */

#define TABLE_BYTES 10

static enum emu_result store_table(struct emu *emu, const struct hv_dtable *table)
{
	uint8_t bytes[TABLE_BYTES];
	struct walk_range access;
	enum emu_result ret;

	if (is_hidden(emu))
		return privilege_fault(emu);
	ret = emu_find_operand(emu, 0, 0, true, &access);
	if (ret != EMU_OK)
		return ret;
	memcpy(bytes, &table->limit, sizeof(table->limit));
	memcpy(bytes + sizeof(table->limit), &table->base, sizeof(table->base));
	emu_store_bytes(emu, &access, bytes);
	return EMU_OK;
}

static enum emu_result load_table(struct emu *emu, struct hv_dtable *table)
{
	uint8_t bytes[TABLE_BYTES] = {0};
	struct walk_range access;
	enum emu_result ret;
	uint64_t base;

	if (emu_cpl(emu) != 0)
		return privilege_fault(emu);
	ret = emu_find_operand(emu, 0, 0, false, &access);
	if (ret != EMU_OK)
		return ret;
	emu_load_bytes(emu, &access, bytes);
	memcpy(&base, bytes + sizeof(table->limit), sizeof(base));
	/* An operand of 16 bits has a base of three bytes, as the 80286 had. */
	if (emu->insn.operand_width == 16)
		base &= 0xffffff;
	if (emu_is_long(emu) && !emu_is_canonical(emu, base))
		return privilege_fault(emu);
	table->base = base;
	memcpy(&table->limit, bytes, sizeof(table->limit));
	emu->run->dirty |= HV_REGS_SREGS;
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */

/* Memory that is not cached has nothing to be flushed; the access may still fault. */
static enum emu_result do_flush(struct emu *emu)
{
	struct walk_range access;

	/* Of the line of the cache one byte is looked at, whatever its size. */
	emu->op[0].size = 8;
	return emu_find_operand(emu, 0, 0, false, &access);
}

enum emu_result emu_system(struct emu *emu)
{
	struct hv_sregs *s = &emu->run->sregs;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_LMSW:
		return do_lmsw(emu);
	case ZYDIS_MNEMONIC_SMSW:
		return store_system(emu, s->cr0);
	case ZYDIS_MNEMONIC_SLDT:
		return emu_is_protected(emu) ? store_system(emu, s->ldt.selector) : EMU_UNKNOWN;
	case ZYDIS_MNEMONIC_STR:
		return emu_is_protected(emu) ? store_system(emu, s->tr.selector) : EMU_UNKNOWN;
	case ZYDIS_MNEMONIC_SGDT:
		return store_table(emu, &s->gdt);
	case ZYDIS_MNEMONIC_SIDT:
		return store_table(emu, &s->idt);
	case ZYDIS_MNEMONIC_LGDT:
		return load_table(emu, &s->gdt);
	case ZYDIS_MNEMONIC_LIDT:
		return load_table(emu, &s->idt);
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
		return do_flush(emu);
	default:
		return EMU_UNKNOWN;
	}
}
