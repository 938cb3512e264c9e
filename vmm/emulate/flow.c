// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Jumps, calls and returns whose target, or stack, is in memory that is not RAM: near ones here,
 * far ones in far.c. Called by emulate.c.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"

enum emu_result emu_branch(struct emu *emu, const struct hv_segment *cs, uint64_t target)
{
	bool mode64 = (emu->run->sregs.efer & EFER_LMA) && (cs->ar & HV_AR_L);

	target &= alu_mask(emu->insn.operand_width / 8);
	if (mode64 ? !emu_is_canonical(emu, target) : target > cs->limit)
		return emu_raise(emu, VECTOR_GP, true, 0);
	emu->next_rip = target;
	return EMU_OK;
}

static enum emu_result near(struct emu *emu, uint64_t target)
{
	return emu_branch(emu, &emu->run->sregs.cs, target);
}

static uint64_t target_of(const struct emu *emu, const struct walk_range *mem)
{
	if (emu_is_mem(emu, 0))
		return emu_load(emu, mem);
	if (emu->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return emu->next_rip + emu->op[0].imm.value.u;
	return emu_operand_value(emu, 0);
}

static enum emu_result do_jmp(struct emu *emu)
{
	struct walk_range mem = {0};
	enum emu_result ret = EMU_OK;

	if (emu_is_mem(emu, 0))
		ret = emu_find_operand(emu, 0, 0, false, &mem);
	return ret == EMU_OK ? near(emu, target_of(emu, &mem)) : ret;
}

static enum emu_result do_call(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	uint64_t return_to = emu->next_rip;
	struct walk_range mem = {0}, slot;
	enum emu_result ret = EMU_OK;

	if (emu_is_mem(emu, 0))
		ret = emu_find_operand(emu, 0, 0, false, &mem);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, -(int64_t)size, size, true, &slot);
	if (ret == EMU_OK)
		ret = near(emu, target_of(emu, &mem));
	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &slot, return_to);
	emu_move_stack(emu, -(int64_t)size);
	return EMU_OK;
}

static enum emu_result do_ret(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	uint64_t extra = emu->insn.operand_count_visible ? emu->op[0].imm.value.u : 0;
	struct walk_range slot;
	enum emu_result ret = emu_find_slot(emu, HV_RSP, 0, size, false, &slot);

	if (ret == EMU_OK)
		ret = near(emu, emu_load(emu, &slot));
	if (ret == EMU_OK)
		emu_move_stack(emu, (int64_t)(size + extra));
	return ret;
}

enum emu_result emu_flow(struct emu *emu)
{
	bool far = emu->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return far ? emu_far_jmp(emu) : do_jmp(emu);
	case ZYDIS_MNEMONIC_CALL:
		return far ? emu_far_call(emu) : do_call(emu);
	case ZYDIS_MNEMONIC_RET:
		return far ? emu_far_ret(emu) : do_ret(emu);
	default:
		return EMU_UNKNOWN;
	}
}
