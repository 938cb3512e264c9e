// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An instruction's operands: where they are, and their values. Called by the classes of
 * instructions.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"

unsigned int emu_memory_operand(const struct emu *emu)
{
	for (unsigned int i = 0; i < emu->insn.operand_count_visible; i++) {
		if (emu_is_mem(emu, i))
			return i;
	}
	return EMU_NO_OPERAND;
}

bool emu_is_gpr(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	default:
		return false;
	}
}

bool emu_is_segment(ZydisRegister reg)
{
	return ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_SEGMENT;
}

uint64_t emu_operand_value(const struct emu *emu, unsigned int i)
{
	const ZydisDecodedOperand *op = &emu->op[i];

	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return op->imm.value.u;
	if (emu_is_segment(op->reg.value))
		return emu_segment(emu, op->reg.value)->selector;
	return emu_read_reg(emu, op->reg.value);
}

/* ------------------------------------------------------------------------- */
/* Memory                                                                     */

static uint64_t address_reg(const struct emu *emu, ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return 0;
	/* Relative to the next instruction (Intel SDM Vol. 2, 2.2.1.6). */
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return emu->gprs.rip + emu->insn.length;
	return emu_read_reg(emu, reg);
}

static uint64_t offset_of(const struct emu *emu, unsigned int i, int64_t skip)
{
	const ZydisDecodedOperand *op = &emu->op[i];
	uint64_t scale = op->mem.scale ? op->mem.scale : 1;
	uint64_t address = address_reg(emu, op->mem.base) + address_reg(emu, op->mem.index) * scale;

	if (op->mem.disp.has_displacement)
		address += (uint64_t)op->mem.disp.value;
	return (address + (uint64_t)skip) & alu_mask(emu->insn.address_width / 8);
}

uint64_t emu_operand_offset(const struct emu *emu, unsigned int i)
{
	return offset_of(emu, i, 0);
}

enum emu_result emu_find_operand(struct emu *emu, unsigned int i, int64_t skip, bool write,
				 struct walk_range *access)
{
	return emu_translate(emu, emu->op[i].mem.segment, offset_of(emu, i, skip),
			     emu_operand_size(emu, i), write, access);
}

enum emu_result emu_find_aligned(struct emu *emu, unsigned int i, bool write,
				 struct walk_range *access)
{
	return emu_translate_aligned(emu, emu->op[i].mem.segment, emu_operand_offset(emu, i),
				     emu_operand_size(emu, i), write, access);
}

enum emu_result emu_read_operand(struct emu *emu, unsigned int i, uint64_t *value)
{
	struct walk_range access;
	enum emu_result ret;

	if (!emu_is_mem(emu, i)) {
		*value = emu_operand_value(emu, i);
		return EMU_OK;
	}
	ret = emu_find_operand(emu, i, 0, false, &access);
	if (ret == EMU_OK)
		*value = emu_load(emu, &access);
	return ret;
}

enum emu_result emu_write_operand(struct emu *emu, unsigned int i, uint64_t value)
{
	struct walk_range access;
	enum emu_result ret;

	if (!emu_is_mem(emu, i)) {
		emu_write_reg(emu, emu->op[i].reg.value, value);
		return EMU_OK;
	}
	ret = emu_find_operand(emu, i, 0, true, &access);
	if (ret == EMU_OK)
		emu_store(emu, &access, value);
	return ret;
}
