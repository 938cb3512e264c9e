// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that compute: operands are read, a function of the instruction's class makes
 * new values of them, and what the instruction writes is written. Called by emulate.c.
 *
 * At most one operand is memory. It is translated before anything is read, so that no read
 * that a device noticed is followed by a fault.
 */
#include "emulate/internal.h"

/* Other vCPUs that change the same memory can make a locked instruction start over. */
#define MAX_EXCHANGES 64

static emu_compute *find_compute(ZydisMnemonic mnemonic)
{
	static const struct emu_op *const classes[] = {emu_move_ops, emu_arith_ops, emu_shift_ops,
						       emu_bit_ops, emu_muldiv_ops};

	for (unsigned int i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		for (const struct emu_op *op = classes[i]; op->compute; op++) {
			if (op->mnemonic == mnemonic)
				return op->compute;
		}
	}
	return NULL;
}

/* Only general registers, plain memory, immediates; segment registers as a source. */
static bool is_simple(const ZydisDecodedOperand *op)
{
	bool written = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return emu_is_gpr(op->reg.value) || (!written && emu_is_segment(op->reg.value));
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return op->mem.type == ZYDIS_MEMOP_TYPE_MEM && op->size && op->size <= 64;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return true;
	default:
		return false;
	}
}

static bool operands_are_simple(const struct emu *emu)
{
	if (emu->insn.operand_count_visible > EMU_MAX_ARGS)
		return false;
	for (unsigned int i = 0; i < emu->insn.operand_count_visible; i++) {
		if (!is_simple(&emu->op[i]))
			return false;
	}
	return true;
}

static void read_args(const struct emu *emu, const struct walk_range *access, struct emu_args *args)
{
	*args = (struct emu_args){.size = emu_operand_size(emu, 0)};
	for (unsigned int i = 0; i < emu->insn.operand_count_visible; i++) {
		if (!emu_is_mem(emu, i))
			args->v[i] = emu_operand_value(emu, i);
		else if (emu->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ)
			args->v[i] = emu_load(emu, access);
	}
}

static bool writes(const struct emu *emu, unsigned int i)
{
	return emu->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* XCHG with memory is locked with and without the prefix. */
static bool is_locked(const struct emu *emu)
{
	return emu->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK ||
	       emu->insn.mnemonic == ZYDIS_MNEMONIC_XCHG;
}

/* False when a locked access found the memory changed since it was read. */
static bool write_mem(const struct emu *emu, const struct walk_range *access, uint64_t old,
		      uint64_t value)
{
	if (is_locked(emu))
		return emu_exchange(emu, access, old, value);
	emu_store(emu, access, value);
	return true;
}

/* The first operand last: where two are the same register, it has the last word. */
static void write_regs(struct emu *emu, const struct emu_args *args)
{
	for (unsigned int i = emu->insn.operand_count_visible; i-- > 0;) {
		if (!emu_is_mem(emu, i) && writes(emu, i))
			emu_write_reg(emu, emu->op[i].reg.value, args->v[i]);
	}
}

enum emu_result emu_data(struct emu *emu)
{
	emu_compute *compute = find_compute(emu->insn.mnemonic);
	const struct hv_gprs before = emu->gprs;
	struct walk_range access = {0};
	enum emu_result ret = EMU_OK;
	unsigned int mem, tries;

	if (!compute || !operands_are_simple(emu))
		return EMU_UNKNOWN;
	mem = emu_memory_operand(emu);
	if (mem != EMU_NO_OPERAND)
		ret = emu_find_operand(emu, mem, emu_bit_offset(emu), writes(emu, mem), &access);
	if (ret != EMU_OK)
		return ret;

	for (tries = 0; tries < MAX_EXCHANGES; tries++) {
		struct emu_args args;
		uint64_t old;

		read_args(emu, &access, &args);
		old = mem == EMU_NO_OPERAND ? 0 : args.v[mem];
		ret = compute(emu, &args);
		if (ret != EMU_OK || args.keep)
			return ret;
		if (mem == EMU_NO_OPERAND || !writes(emu, mem) ||
		    write_mem(emu, &access, old, args.v[mem])) {
			write_regs(emu, &args);
			return EMU_OK;
		}
		emu->gprs = before;
	}
	return EMU_RETRY;
}
