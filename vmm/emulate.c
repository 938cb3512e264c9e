// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Completes HV_EXIT_EMULATE: decodes with Zydis, carries the instruction out on
 * a copy of the registers, and hands the result or an exception to the run page.
 * Called by vcpu.c on vCPU threads. Registers, memory and ports are behind
 * emulate_mem.c, string instructions in emulate_string.c.
 *
 * The decoder is given only bytes that were copied once, so the instruction
 * cannot change between its decoding and its execution; since another vCPU may
 * have changed it before, nothing here trusts that it is the one that exited:
 * every access passes the checks of the guest's current privilege level.
 */
#include <stdio.h>
#include <string.h>

#include "alu.h"
#include "emulate_priv.h"

/* Other vCPUs that change the same memory can make a locked instruction start over. */
#define MAX_EXCHANGES 64

/* The operands' memory. No instruction here has two such operands but the strings. */
struct operand_mem {
	struct walk_range access;
	bool locked;
};

/* ------------------------------------------------------------------------- */
/* Decoding                                                                   */

static bool init_decoder(const struct emu *emu, ZydisDecoder *decoder)
{
	const struct hv_sregs *s = &emu->run->sregs;
	ZydisStackWidth stack = s->ss.ar & HV_AR_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	ZydisMachineMode mode;

	if (emu_is_long(emu)) {
		mode = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	} else if (s->cs.ar & HV_AR_DB) {
		mode = ZYDIS_MACHINE_MODE_LEGACY_32;
	} else if (s->cr0 & CR0_PE) {
		mode = ZYDIS_MACHINE_MODE_LEGACY_16;
	} else {
		mode = ZYDIS_MACHINE_MODE_REAL_16;
	}
	return ZYAN_SUCCESS(ZydisDecoderInit(decoder, mode, stack));
}

/* One more byte of the instruction, from the guest's memory. */
static enum emu_result fetch_byte(struct emu *emu, unsigned int index, uint8_t *byte)
{
	uint64_t offset = emu->gprs.rip + index;
	struct walk_range access;
	enum emu_result ret;

	ret = emu_translate_fetch(emu, emu_is_long(emu) ? offset : (uint32_t)offset, &access);
	if (ret != EMU_OK)
		return ret;
	/* No instruction is worth a read that a device would notice. */
	if (!access.part[0].ram)
		return EMU_UNKNOWN;
	*byte = (uint8_t)emu_load(emu, &access);
	return EMU_OK;
}

/* The module gives the bytes it has; those that are missing are fetched. */
static enum emu_result decode(struct emu *emu)
{
	uint8_t bytes[HV_INSN_MAX];
	unsigned int len = emu->run->exit.emulate.insn_len;
	ZydisDecoder decoder;
	ZyanStatus status;
	enum emu_result ret;

	if (len > HV_INSN_MAX)
		len = HV_INSN_MAX;
	memcpy(bytes, emu->run->exit.emulate.insn, len);
	if (!init_decoder(emu, &decoder))
		return EMU_UNKNOWN;

	for (;;) {
		status = ZydisDecoderDecodeFull(&decoder, bytes, len, &emu->insn, emu->op);
		if (ZYAN_SUCCESS(status))
			return EMU_OK;
		if (status != ZYDIS_STATUS_NO_MORE_DATA || len == HV_INSN_MAX)
			return EMU_UNKNOWN;
		ret = fetch_byte(emu, len, &bytes[len]);
		if (ret != EMU_OK)
			return ret;
		len++;
	}
}

/* ------------------------------------------------------------------------- */
/* Operands                                                                   */

static unsigned int size_of(const struct emu *emu, unsigned int i)
{
	return emu->op[i].size / 8;
}

static bool is_mem(const struct emu *emu, unsigned int i)
{
	return emu->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static bool is_gpr(ZydisRegister reg)
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

static bool is_segment(ZydisRegister reg)
{
	return ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_SEGMENT;
}

/* Only general registers, plain memory, immediates; segment registers as a source. */
static bool operands_are_simple(const struct emu *emu)
{
	for (unsigned int i = 0; i < emu->insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &emu->op[i];
		bool written = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

		switch (op->type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (!is_gpr(op->reg.value) && (written || !is_segment(op->reg.value)))
				return false;
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || !op->size || op->size > 64)
				return false;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			break;
		default:
			return false;
		}
	}
	return true;
}

static uint64_t selector_of(const struct emu *emu, ZydisRegister reg)
{
	const struct hv_sregs *s = &emu->run->sregs;

	switch (reg) {
	case ZYDIS_REGISTER_CS:
		return s->cs.selector;
	case ZYDIS_REGISTER_SS:
		return s->ss.selector;
	case ZYDIS_REGISTER_ES:
		return s->es.selector;
	case ZYDIS_REGISTER_FS:
		return s->fs.selector;
	case ZYDIS_REGISTER_GS:
		return s->gs.selector;
	default:
		return s->ds.selector;
	}
}

/* Registers and immediates; memory goes through a struct operand_mem. */
static uint64_t value_of(const struct emu *emu, unsigned int i)
{
	const ZydisDecodedOperand *op = &emu->op[i];

	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return op->imm.value.u;
	if (is_segment(op->reg.value))
		return selector_of(emu, op->reg.value);
	return emu_read_reg(emu, op->reg.value);
}

static uint64_t address_reg(const struct emu *emu, ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return 0;
	/* Relative to the next instruction (Intel SDM Vol. 2, 2.2.1.6). */
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return emu->gprs.rip + emu->insn.length;
	return emu_read_reg(emu, reg);
}

static uint64_t effective_address(const struct emu *emu, const ZydisDecodedOperand *op)
{
	uint64_t scale = op->mem.scale ? op->mem.scale : 1;
	uint64_t address = address_reg(emu, op->mem.base) + address_reg(emu, op->mem.index) * scale;

	if (op->mem.disp.has_displacement)
		address += (uint64_t)op->mem.disp.value;
	return address & alu_mask(emu->insn.address_width / 8);
}

/* Translate operand i, "skip" bytes from where it says. */
static enum emu_result find_mem(struct emu *emu, unsigned int i, int64_t skip, bool write,
				struct operand_mem *mem)
{
	const ZydisDecodedOperand *op = &emu->op[i];
	uint64_t address = effective_address(emu, op) + (uint64_t)skip;

	mem->locked = emu->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK;
	return emu_translate(emu, op->mem.segment, address & alu_mask(emu->insn.address_width / 8),
			     size_of(emu, i), write, &mem->access);
}

/* False when a locked access found the memory changed since "old" was read. */
static bool put_mem(const struct emu *emu, const struct operand_mem *mem, uint64_t old,
		    uint64_t value)
{
	if (mem->locked)
		return emu_exchange(emu, &mem->access, old, value);
	emu_store(emu, &mem->access, value);
	return true;
}

/* ------------------------------------------------------------------------- */
/* Moves                                                                      */

static uint64_t byte_swap(uint64_t value, unsigned int size)
{
	return __builtin_bswap64(value) >> (64 - size * 8);
}

/* What the kind of move makes of its source. */
static uint64_t converted(const struct emu *emu, uint64_t value)
{
	unsigned int source_size = size_of(emu, 1);

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return alu_sign_extend(value, source_size);
	case ZYDIS_MNEMONIC_MOVBE:
		return byte_swap(value, source_size);
	default:
		return value;
	}
}

static enum emu_result do_move(struct emu *emu)
{
	struct operand_mem mem;
	enum emu_result ret;

	if (is_mem(emu, 0)) {
		ret = find_mem(emu, 0, 0, true, &mem);
		if (ret == EMU_OK)
			emu_store(emu, &mem.access, converted(emu, value_of(emu, 1)));
		return ret;
	}
	if (!is_mem(emu, 1)) {
		emu_write_reg(emu, emu->op[0].reg.value, converted(emu, value_of(emu, 1)));
		return EMU_OK;
	}
	ret = find_mem(emu, 1, 0, false, &mem);
	if (ret == EMU_OK)
		emu_write_reg(emu, emu->op[0].reg.value,
			      converted(emu, emu_load(emu, &mem.access)));
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Read, change, write                                                        */

/*
 * Compute the new value of operand 0 from its old one. May set flags and, for
 * XADD, XCHG and CMPXCHG, other registers: it starts from the same state each
 * time. *store says whether the result is written.
 */
static uint64_t modified(struct emu *emu, uint64_t old, bool *store)
{
	unsigned int size = size_of(emu, 0);
	__u64 *rflags = &emu->gprs.rflags;
	bool carry = *rflags & FLAG_CF;
	uint64_t source = emu->insn.operand_count_visible > 1 ? value_of(emu, 1) : 0;
	uint64_t value, accumulator;

	*store = true;
	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
		return alu_add(size, old, source, false, rflags);
	case ZYDIS_MNEMONIC_ADC:
		return alu_add(size, old, source, carry, rflags);
	case ZYDIS_MNEMONIC_SUB:
		return alu_sub(size, old, source, false, rflags);
	case ZYDIS_MNEMONIC_SBB:
		return alu_sub(size, old, source, carry, rflags);
	case ZYDIS_MNEMONIC_CMP:
		*store = false;
		return alu_sub(size, old, source, false, rflags);
	case ZYDIS_MNEMONIC_AND:
		return alu_logic(size, old & source, rflags);
	case ZYDIS_MNEMONIC_OR:
		return alu_logic(size, old | source, rflags);
	case ZYDIS_MNEMONIC_XOR:
		return alu_logic(size, old ^ source, rflags);
	case ZYDIS_MNEMONIC_TEST:
		*store = false;
		return alu_logic(size, old & source, rflags);
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
		if (emu->insn.mnemonic == ZYDIS_MNEMONIC_INC)
			value = alu_add(size, old, 1, false, rflags);
		else
			value = alu_sub(size, old, 1, false, rflags);
		/* The carry flag stays. */
		*rflags = (*rflags & ~FLAG_CF) | (carry ? FLAG_CF : 0);
		return value;
	case ZYDIS_MNEMONIC_NEG:
		return alu_sub(size, 0, old, false, rflags);
	case ZYDIS_MNEMONIC_NOT:
		return ~old;
	case ZYDIS_MNEMONIC_XCHG:
		emu_write_reg(emu, emu->op[1].reg.value, old);
		return source;
	case ZYDIS_MNEMONIC_XADD:
		value = alu_add(size, old, source, false, rflags);
		emu_write_reg(emu, emu->op[1].reg.value, old);
		return value;
	case ZYDIS_MNEMONIC_CMPXCHG:
		accumulator = emu->gprs.r[HV_RAX] & alu_mask(size);
		alu_sub(size, accumulator, old, false, rflags);
		if (accumulator == old)
			return source;
		if (size == 1)
			emu_write_reg(emu, ZYDIS_REGISTER_AL, old);
		else
			emu_write_low(emu, HV_RAX, size * 8, old);
		/* The destination gets its own value again. */
		return old;
	default:
		*store = false;
		return old;
	}
}

static enum emu_result modify_mem(struct emu *emu, int64_t skip, bool write,
				  uint64_t (*change)(struct emu *emu, uint64_t old, bool *store))
{
	const struct hv_gprs before = emu->gprs;
	struct operand_mem mem;
	enum emu_result ret;
	unsigned int tries;

	ret = find_mem(emu, 0, skip, write, &mem);
	if (ret != EMU_OK)
		return ret;
	/* XCHG with memory is locked with and without the prefix. */
	if (emu->insn.mnemonic == ZYDIS_MNEMONIC_XCHG)
		mem.locked = true;

	for (tries = 0; tries < MAX_EXCHANGES; tries++) {
		uint64_t old = emu_load(emu, &mem.access);
		uint64_t value;
		bool store;

		value = change(emu, old, &store);
		if (!store || put_mem(emu, &mem, old, value))
			return EMU_OK;
		emu->gprs = before;
	}
	return EMU_RETRY;
}

/* Operand 1 is memory and operand 0 a register: only that is changed. */
static enum emu_result modify_reg_from_mem(struct emu *emu)
{
	ZydisRegister reg = emu->op[0].reg.value;
	uint64_t old = emu_read_reg(emu, reg);
	struct operand_mem mem;
	enum emu_result ret;
	uint64_t value;
	bool store;

	ret = find_mem(emu, 1, 0, false, &mem);
	if (ret != EMU_OK)
		return ret;
	/* From here it is as with an immediate. */
	emu->op[1].type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
	emu->op[1].imm.value.u = emu_load(emu, &mem.access);
	value = modified(emu, old, &store);
	if (store)
		emu_write_reg(emu, reg, value);
	return EMU_OK;
}

static void swap_operands(struct emu *emu)
{
	ZydisDecodedOperand op = emu->op[0];

	emu->op[0] = emu->op[1];
	emu->op[1] = op;
}

static enum emu_result do_modify(struct emu *emu)
{
	ZydisMnemonic mnemonic = emu->insn.mnemonic;
	bool symmetric = mnemonic == ZYDIS_MNEMONIC_XCHG || mnemonic == ZYDIS_MNEMONIC_TEST;
	bool write = mnemonic != ZYDIS_MNEMONIC_CMP && mnemonic != ZYDIS_MNEMONIC_TEST;

	if (emu->insn.operand_count_visible > 1 && is_mem(emu, 1)) {
		if (!symmetric)
			return modify_reg_from_mem(emu);
		swap_operands(emu);
	}
	if (!is_mem(emu, 0))
		return EMU_UNKNOWN;
	return modify_mem(emu, 0, write, modified);
}

/* ------------------------------------------------------------------------- */
/* Bits                                                                       */

static uint64_t bit_modified(struct emu *emu, uint64_t old, bool *store)
{
	unsigned int bits = emu->op[0].size;
	uint64_t bit = 1ULL << (value_of(emu, 1) & (bits - 1));

	emu->gprs.rflags &= ~FLAG_CF;
	if (old & bit)
		emu->gprs.rflags |= FLAG_CF;

	*store = emu->insn.mnemonic != ZYDIS_MNEMONIC_BT;
	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BTS:
		return old | bit;
	case ZYDIS_MNEMONIC_BTR:
		return old & ~bit;
	case ZYDIS_MNEMONIC_BTC:
		return old ^ bit;
	default:
		return old;
	}
}

/* A bit number in a register reaches beyond the operand, both ways (Intel SDM Vol. 2, BT). */
static enum emu_result do_bit(struct emu *emu)
{
	unsigned int size = size_of(emu, 0);
	int64_t skip = 0;

	if (!is_mem(emu, 0))
		return EMU_UNKNOWN;
	if (emu->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		int64_t bit = (int64_t)alu_sign_extend(value_of(emu, 1), size);

		/* Rounded down, to whole operands. */
		skip = (bit >> 3) & ~(int64_t)(size - 1);
	}
	return modify_mem(emu, skip, emu->insn.mnemonic != ZYDIS_MNEMONIC_BT, bit_modified);
}

/* ------------------------------------------------------------------------- */
/* Stack                                                                      */

static unsigned int stack_bits(const struct emu *emu)
{
	if (emu_is_long(emu))
		return 64;
	return emu->run->sregs.ss.ar & HV_AR_DB ? 32 : 16;
}

static enum emu_result do_push(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	unsigned int bits = stack_bits(emu);
	uint64_t top = (emu_read_low(emu, HV_RSP, bits) - size) & alu_mask(bits / 8);
	struct operand_mem source;
	struct walk_range stack;
	enum emu_result ret = EMU_OK;

	if (is_mem(emu, 0))
		ret = find_mem(emu, 0, 0, false, &source);
	if (ret == EMU_OK)
		ret = emu_translate(emu, ZYDIS_REGISTER_SS, top, size, true, &stack);
	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &stack, is_mem(emu, 0) ? emu_load(emu, &source.access) : value_of(emu, 0));
	emu_write_low(emu, HV_RSP, bits, top);
	return EMU_OK;
}

static enum emu_result do_pop(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	unsigned int bits = stack_bits(emu);
	uint64_t top = emu_read_low(emu, HV_RSP, bits);
	struct operand_mem dest;
	struct walk_range stack;
	enum emu_result ret;

	ret = emu_translate(emu, ZYDIS_REGISTER_SS, top, size, false, &stack);
	if (ret != EMU_OK)
		return ret;
	/* An address made from RSP is that of the popped stack (Intel SDM Vol. 2, POP). */
	emu_write_low(emu, HV_RSP, bits, top + size);
	if (!is_mem(emu, 0)) {
		emu_write_reg(emu, emu->op[0].reg.value, emu_load(emu, &stack));
		return EMU_OK;
	}
	ret = find_mem(emu, 0, 0, true, &dest);
	if (ret == EMU_OK)
		emu_store(emu, &dest.access, emu_load(emu, &stack));
	return ret;
}

/* ------------------------------------------------------------------------- */
/* The machine status word: CR0's low half                                    */

static bool lacks_privilege(const struct emu *emu)
{
	return emu_cpl(emu) != 0;
}

/* Loads four bits, and PE only upwards (AMD APM Vol. 3, LMSW). */
static enum emu_result do_lmsw(struct emu *emu)
{
	const uint64_t loaded = CR0_MP | CR0_EM | CR0_TS;
	struct hv_sregs *s = &emu->run->sregs;
	struct operand_mem source;
	uint64_t value;

	if (lacks_privilege(emu))
		return emu_raise(emu, VECTOR_GP, true, 0);
	if (is_mem(emu, 0)) {
		enum emu_result ret = find_mem(emu, 0, 0, false, &source);

		if (ret != EMU_OK)
			return ret;
		value = emu_load(emu, &source.access);
	} else {
		value = value_of(emu, 0);
	}
	s->cr0 = (s->cr0 & ~loaded) | (value & (loaded | CR0_PE));
	emu->run->dirty |= HV_REGS_SREGS;
	return EMU_OK;
}

/* Two bytes to memory, as many as it has to a register (AMD APM Vol. 3, SMSW). */
static enum emu_result do_smsw(struct emu *emu)
{
	const struct hv_sregs *s = &emu->run->sregs;
	struct operand_mem dest;
	enum emu_result ret;

	if ((s->cr4 & CR4_UMIP) && lacks_privilege(emu))
		return emu_raise(emu, VECTOR_GP, true, 0);
	if (!is_mem(emu, 0)) {
		emu_write_reg(emu, emu->op[0].reg.value, s->cr0);
		return EMU_OK;
	}
	ret = find_mem(emu, 0, 0, true, &dest);
	if (ret == EMU_OK)
		emu_store(emu, &dest.access, s->cr0);
	return ret;
}

/* ------------------------------------------------------------------------- */

static enum emu_result execute(struct emu *emu)
{
	enum emu_result ret = emu_string(emu);

	if (ret != EMU_UNKNOWN)
		return ret;
	if (!operands_are_simple(emu))
		return EMU_UNKNOWN;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVBE:
	case ZYDIS_MNEMONIC_MOVNTI:
		return do_move(emu);
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
	case ZYDIS_MNEMONIC_XCHG:
	case ZYDIS_MNEMONIC_XADD:
	case ZYDIS_MNEMONIC_CMPXCHG:
		return do_modify(emu);
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return do_bit(emu);
	case ZYDIS_MNEMONIC_PUSH:
		return do_push(emu);
	case ZYDIS_MNEMONIC_POP:
		return do_pop(emu);
	case ZYDIS_MNEMONIC_LMSW:
		return do_lmsw(emu);
	case ZYDIS_MNEMONIC_SMSW:
		return do_smsw(emu);
	default:
		return EMU_UNKNOWN;
	}
}

/* ------------------------------------------------------------------------- */
/* Completion                                                                 */

static void set_exception(struct emu *emu)
{
	struct hv_events *events = &emu->run->events;

	events->exception = HV_EVENT_PENDING | (emu->fault.has_error ? HV_EVENT_ERROR_CODE : 0);
	events->exception_vector = emu->fault.vector;
	events->exception_error = emu->fault.has_error ? emu->fault.error : 0;
	emu->run->dirty |= HV_REGS_EVENTS;
}

/* The instruction moved: the shadow of the one before is over. */
static void end_shadow(struct emu *emu)
{
	if (!emu->run->events.shadow)
		return;
	emu->run->events.shadow = 0;
	emu->run->dirty |= HV_REGS_EVENTS;
}

static void set_gprs(struct emu *emu, const struct hv_gprs *gprs)
{
	emu->run->gprs = *gprs;
	emu->run->dirty |= HV_REGS_GPR;
}

static void single_step_trap(struct emu *emu)
{
	if (!(emu->gprs.rflags & FLAG_TF))
		return;
	if (emu->run->valid & HV_REGS_DREGS) {
		emu->run->dregs.dr6 |= DR6_BS;
		emu->run->dirty |= HV_REGS_DREGS;
	}
	emu->fault.vector = VECTOR_DB;
	emu->fault.has_error = false;
	set_exception(emu);
}

/* Completed, or one more element of a repeated instruction. */
static void finish_step(struct emu *emu, bool completed)
{
	if (completed) {
		emu->gprs.rip += emu->insn.length;
		if (!emu_is_long(emu))
			emu->gprs.rip = (uint32_t)emu->gprs.rip;
	}
	emu->gprs.rflags &= ~FLAG_RF;
	set_gprs(emu, &emu->gprs);
	end_shadow(emu);
	single_step_trap(emu);
}

static void finish_fault(struct emu *emu)
{
	set_gprs(emu, &emu->safe);
	if (emu->fault.has_cr2) {
		emu->run->sregs.cr2 = emu->fault.cr2;
		emu->run->dirty |= HV_REGS_SREGS;
	}
	end_shadow(emu);
	set_exception(emu);
}

static void explain(const struct emu *emu, bool decoded, char *why, size_t why_size)
{
	const union hv_exit *exit = &emu->run->exit;
	const char *name = decoded ? ZydisMnemonicGetString(emu->insn.mnemonic) : "an instruction";
	char bytes[3 * HV_INSN_MAX + 1] = "";
	unsigned int i, len = exit->emulate.insn_len;

	for (i = 0; i < len && i < HV_INSN_MAX; i++)
		snprintf(bytes + i * 3, 4, " %02x", exit->emulate.insn[i]);
	if (exit->emulate.gpa == ~0ULL)
		snprintf(why, why_size, "cannot emulate %s (bytes%s) on port %#x", name, bytes,
			 exit->emulate.port);
	else
		snprintf(why, why_size, "cannot emulate %s (bytes%s) on the device address %#llx",
			 name, bytes, (unsigned long long)exit->emulate.gpa);
}

enum emulate_result emulate(const struct emulate_env *env, struct hv_run *run, char *why,
			    size_t why_size)
{
	struct emu emu = {.env = env, .run = run, .gprs = run->gprs, .safe = run->gprs};
	enum emu_result ret = decode(&emu);
	bool decoded = ret == EMU_OK;

	if (decoded)
		ret = execute(&emu);

	/* A program of the guest must not be able to end its VM. */
	if (ret == EMU_UNKNOWN && emu_cpl(&emu) == 3)
		ret = emu_raise(&emu, VECTOR_UD, false, 0);

	switch (ret) {
	case EMU_OK:
		finish_step(&emu, true);
		break;
	case EMU_PART:
		finish_step(&emu, false);
		break;
	case EMU_RETRY:
		/* Finished elements stay finished, and the rest is executed anew. */
		set_gprs(&emu, &emu.safe);
		break;
	case EMU_FAULT:
		finish_fault(&emu);
		break;
	case EMU_UNKNOWN:
		explain(&emu, decoded, why, why_size);
		return EMULATE_FAILED;
	}
	return EMULATE_DONE;
}
