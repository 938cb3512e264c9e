// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stack: PUSH, POP and their families, ENTER, LEAVE (Intel SDM Vol. 2, under their
 * names). Called by emulate.c; the stack's slots are for flow.c, far.c and
 * sreg.c, too.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"

/* ENTER pushes at most RBP, 30 pointers to frames of outer procedures and one to its own. */
#define MAX_SLOTS  32
#define MAX_LEVEL  31

#define PUSHA_REGS 8

/* What PUSHF shows of RFLAGS, and what POPF may change at any privilege. */
#define PUSHED_FLAGS (~(FLAG_VM | FLAG_RF))
#define POPPED_FLAGS                                                                               \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_AC | FLAG_ID)

static unsigned int stack_bits(const struct emu *emu)
{
	if (emu_is_long(emu))
		return 64;
	return emu->run->sregs.ss.ar & HV_AR_DB ? 32 : 16;
}

enum emu_result emu_find_slot(struct emu *emu, enum hv_gpr reg, int64_t offset, unsigned int size,
			      bool write, struct walk_range *slot)
{
	unsigned int bits = stack_bits(emu);
	uint64_t at = emu_read_low(emu, reg, bits) + (uint64_t)offset;

	return emu_translate(emu, ZYDIS_REGISTER_SS, at & alu_mask(bits / 8), size, write, slot);
}

void emu_move_stack(struct emu *emu, int64_t offset)
{
	unsigned int bits = stack_bits(emu);

	emu_write_low(emu, HV_RSP, bits, emu_read_low(emu, HV_RSP, bits) + (uint64_t)offset);
}

static enum emu_result find_slots(struct emu *emu, enum hv_gpr reg, unsigned int n,
				  unsigned int size, int64_t offset, bool write,
				  struct walk_range *slots)
{
	enum emu_result ret = EMU_OK;

	for (unsigned int i = 0; i < n && ret == EMU_OK; i++)
		ret = emu_find_slot(emu, reg, offset + (int64_t)i * size, size, write, &slots[i]);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* One value                                                                  */

static enum emu_result push(struct emu *emu, uint64_t value)
{
	unsigned int size = emu->insn.operand_width / 8;
	struct walk_range slot;
	enum emu_result ret = emu_find_slot(emu, HV_RSP, -(int64_t)size, size, true, &slot);

	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &slot, value);
	emu_move_stack(emu, -(int64_t)size);
	return EMU_OK;
}

static enum emu_result do_push(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	struct walk_range source, slot;
	enum emu_result ret;

	if (!emu_is_mem(emu, 0))
		return push(emu, emu_operand_value(emu, 0));
	ret = emu_find_operand(emu, 0, 0, false, &source);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, -(int64_t)size, size, true, &slot);
	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &slot, emu_load(emu, &source));
	emu_move_stack(emu, -(int64_t)size);
	return EMU_OK;
}

static enum emu_result do_pop(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	struct walk_range slot, dest;
	enum emu_result ret = emu_find_slot(emu, HV_RSP, 0, size, false, &slot);

	if (ret != EMU_OK)
		return ret;
	/* An address made from RSP is that of the popped stack (Intel SDM Vol. 2, POP). */
	emu_move_stack(emu, size);
	if (!emu_is_mem(emu, 0)) {
		emu_write_reg(emu, emu->op[0].reg.value, emu_load(emu, &slot));
		return EMU_OK;
	}
	ret = emu_find_operand(emu, 0, 0, true, &dest);
	if (ret == EMU_OK)
		emu_store(emu, &dest, emu_load(emu, &slot));
	return ret;
}

/* ------------------------------------------------------------------------- */
/* RFLAGS                                                                     */

/* In virtual-8086 mode the flags are the operating system's (without CR4.VME). */
static bool flags_are_privileged(const struct emu *emu)
{
	return emu->gprs.rflags & FLAG_VM && emu_iopl(emu) < 3;
}

static enum emu_result do_pushf(struct emu *emu)
{
	if (flags_are_privileged(emu))
		return emu_raise(emu, VECTOR_GP, true, 0);
	return push(emu, emu->gprs.rflags & PUSHED_FLAGS);
}

static enum emu_result do_popf(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	uint64_t changed = POPPED_FLAGS, value;
	struct walk_range slot;
	enum emu_result ret;

	if (flags_are_privileged(emu))
		return emu_raise(emu, VECTOR_GP, true, 0);
	ret = emu_find_slot(emu, HV_RSP, 0, size, false, &slot);
	if (ret != EMU_OK)
		return ret;
	if (emu_cpl(emu) <= emu_iopl(emu))
		changed |= FLAG_IF;
	if (!emu_cpl(emu))
		changed |= FLAG_IOPL;
	changed &= alu_mask(size);
	value = emu_load(emu, &slot);
	emu->gprs.rflags = (emu->gprs.rflags & ~changed) | (value & changed);
	emu_move_stack(emu, size);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* All registers                                                              */

/* RAX has the highest address. */
static enum hv_gpr pusha_reg(unsigned int slot)
{
	return PUSHA_REGS - 1 - slot;
}

static enum emu_result do_pusha(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	int64_t all = (int64_t)PUSHA_REGS * size;
	struct walk_range slots[PUSHA_REGS];
	enum emu_result ret = find_slots(emu, HV_RSP, PUSHA_REGS, size, -all, true, slots);

	if (ret != EMU_OK)
		return ret;
	for (unsigned int i = PUSHA_REGS; i-- > 0;)
		emu_store(emu, &slots[i], emu->gprs.r[pusha_reg(i)]);
	emu_move_stack(emu, -all);
	return EMU_OK;
}

static enum emu_result do_popa(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	struct walk_range slots[PUSHA_REGS];
	enum emu_result ret = find_slots(emu, HV_RSP, PUSHA_REGS, size, 0, false, slots);

	if (ret != EMU_OK)
		return ret;
	for (unsigned int i = 0; i < PUSHA_REGS; i++) {
		uint64_t value = emu_load(emu, &slots[i]);

		if (pusha_reg(i) != HV_RSP)
			emu_write_low(emu, pusha_reg(i), size * 8, value);
	}
	emu_move_stack(emu, (int64_t)PUSHA_REGS * size);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Frames                                                                     */

/*
 * From the highest address on: RBP, the frame pointers of the outer procedures, which are
 * below the old RBP in the same order, and the new frame pointer.
 */
static enum emu_result do_enter(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8, bits = stack_bits(emu);
	unsigned int level = emu_operand_value(emu, 1) & MAX_LEVEL;
	unsigned int copied = level ? level - 1 : 0, pushed = level ? level + 1 : 1;
	int64_t all = (int64_t)(pushed * size + emu_operand_value(emu, 0));
	struct walk_range from[MAX_SLOTS], to[MAX_SLOTS], last;
	uint64_t frame, rbp = emu->gprs.r[HV_RBP];
	enum emu_result ret;

	ret = find_slots(emu, HV_RSP, pushed, size, -(int64_t)pushed * size, true, to);
	if (ret == EMU_OK)
		ret = find_slots(emu, HV_RBP, copied, size, -(int64_t)copied * size, false, from);
	/* The new frame must have a last byte that can be written. */
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, -all, size, true, &last);
	if (ret != EMU_OK)
		return ret;

	frame = (emu_read_low(emu, HV_RSP, bits) - size) & alu_mask(bits / 8);
	emu_store(emu, &to[pushed - 1], rbp);
	for (unsigned int i = copied; i-- > 0;)
		emu_store(emu, &to[i + 1], emu_load(emu, &from[i]));
	if (level)
		emu_store(emu, &to[0], frame);
	emu_write_low(emu, HV_RBP, size * 8, frame);
	emu_move_stack(emu, -all);
	return EMU_OK;
}

static enum emu_result do_leave(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8, bits = stack_bits(emu);
	struct walk_range slot;
	enum emu_result ret = emu_find_slot(emu, HV_RBP, 0, size, false, &slot);

	if (ret != EMU_OK)
		return ret;
	emu_write_low(emu, HV_RSP, bits, emu_read_low(emu, HV_RBP, bits));
	emu_move_stack(emu, size);
	emu_write_low(emu, HV_RBP, size * 8, emu_load(emu, &slot));
	return EMU_OK;
}

enum emu_result emu_stack(struct emu *emu)
{
	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return do_push(emu);
	case ZYDIS_MNEMONIC_POP:
		return do_pop(emu);
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return do_pushf(emu);
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return do_popf(emu);
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
		return do_pusha(emu);
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return do_popa(emu);
	case ZYDIS_MNEMONIC_ENTER:
		return do_enter(emu);
	case ZYDIS_MNEMONIC_LEAVE:
		return do_leave(emu);
	default:
		return EMU_UNKNOWN;
	}
}
