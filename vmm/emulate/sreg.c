// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors, and loads of segment registers from memory: MOV, POP, LDS and its like, LLDT,
 * LTR (Intel SDM Vol. 2, under their names, and Vol. 3, ch. "Protection"). Called by emulate.c;
 * the descriptors are for far.c and verify.c, too.
 */
#include <string.h>

#include "emulate/internal.h"
#include "emulate/segment.h"

#define UPPER_TYPE (0x1fULL << 40) /* S and the type, were it one */

enum emu_result emu_selector_fault(struct emu *emu, uint8_t vector, uint16_t selector)
{
	return emu_raise(emu, vector, true, selector & ~SELECTOR_RPL);
}

enum emu_result emu_read_descriptor(struct emu *emu, uint16_t selector, unsigned int size,
				    uint64_t *la, struct hv_segment *segment)
{
	struct walk_range access;
	uint64_t d[2] = {0};
	enum emu_result ret;

	if (!segment_locate(&emu->run->sregs, selector, size, la))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	ret = emu_translate_table(emu, *la, size, false, &access);
	if (ret != EMU_OK)
		return ret;
	emu_load_bytes(emu, &access, d);
	*segment = segment_unpack(selector, d[0]);
	segment->base |= d[1] << 32;
	/* The upper half of 16 bytes must not look like a descriptor of its own. */
	if (d[1] & UPPER_TYPE || !emu_is_canonical(emu, segment->base))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	return EMU_OK;
}

/* In a table that is no RAM there is nothing that would remember. */
enum emu_result emu_mark_descriptor(struct emu *emu, uint64_t la, uint8_t bits, bool *was_clear)
{
	struct walk_range access;
	enum emu_result ret = emu_translate_table(emu, segment_type_byte(la), 1, true, &access);
	uint8_t *type = access.part[0].to;

	*was_clear = true;
	if (ret == EMU_OK && type)
		*was_clear = !(__atomic_fetch_or(type, bits, __ATOMIC_SEQ_CST) & bits);
	return ret;
}

void emu_load_real(struct hv_segment *segment, uint16_t selector)
{
	segment->selector = selector;
	segment->base = (uint64_t)selector << 4;
}

enum emu_result emu_read_pointer(struct emu *emu, unsigned int i, uint64_t *offset,
				 uint16_t *selector)
{
	unsigned int size = emu_operand_size(emu, i) - sizeof(*selector);
	uint8_t bytes[sizeof(*offset) + sizeof(*selector)];
	struct walk_range access;
	enum emu_result ret = emu_find_operand(emu, i, 0, false, &access);

	if (ret != EMU_OK)
		return ret;
	emu_load_bytes(emu, &access, bytes);
	*offset = 0;
	memcpy(offset, bytes, size);
	memcpy(selector, bytes + size, sizeof(*selector));
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Data segments and the stack's                                              */

/* SS may be null only in 64-bit mode, above programs; the others cannot be used then. */
static enum emu_result null_segment(struct emu *emu, const struct emu_loads *loads,
				    uint16_t selector, struct hv_segment *segment)
{
	if (loads->stack &&
	    (!loads->mode64 || loads->cpl == 3 || (selector & SELECTOR_RPL) != loads->cpl))
		return emu_raise(emu, VECTOR_GP, true, 0);
	*segment = (struct hv_segment){
		.selector = selector,
		.ar = HV_AR_UNUSABLE | (loads->stack ? loads->cpl << 5 : 0),
	};
	return EMU_OK;
}

enum emu_result emu_find_segment(struct emu *emu, const struct emu_loads *loads, uint16_t selector,
				 struct hv_segment *segment)
{
	enum emu_result ret;
	uint64_t la;
	bool clear;

	if (segment_is_null(selector))
		return null_segment(emu, loads, selector, segment);
	ret = emu_read_descriptor(emu, selector, 8, &la, segment);
	if (ret != EMU_OK)
		return ret;
	if (loads->stack ? !segment_may_hold_stack(segment, loads->cpl)
			 : !segment_may_hold_data(segment, loads->cpl))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	if (!(segment->ar & HV_AR_P))
		return emu_selector_fault(emu, loads->stack ? VECTOR_SS : VECTOR_NP, selector);
	if (!(segment->ar & SEG_ACCESSED))
		ret = emu_mark_descriptor(emu, la, SEG_ACCESSED, &clear);
	segment->ar |= SEG_ACCESSED;
	return ret;
}

static enum emu_result load_protected(struct emu *emu, ZydisRegister reg, uint16_t selector)
{
	const struct emu_loads loads = {
		.stack = reg == ZYDIS_REGISTER_SS,
		.mode64 = emu_is_long(emu),
		.cpl = emu_cpl(emu),
	};
	struct hv_segment segment;
	enum emu_result ret = emu_find_segment(emu, &loads, selector, &segment);

	if (ret == EMU_OK)
		*emu_segment(emu, reg) = segment;
	return ret;
}

static enum emu_result load(struct emu *emu, ZydisRegister reg, uint16_t selector)
{
	enum emu_result ret = EMU_OK;

	if (emu_is_protected(emu))
		ret = load_protected(emu, reg, selector);
	else
		emu_load_real(emu_segment(emu, reg), selector);
	if (ret == EMU_OK)
		emu->run->dirty |= HV_REGS_SREGS;
	return ret;
}

/* Of MOV and POP; of STI's it differs in that it holds debug exceptions off, too. */
static enum hv_interrupt_shadow shadow_of(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_SS ? HV_SHADOW_MOV_SS : HV_SHADOW_NONE;
}

static enum emu_result do_mov(struct emu *emu)
{
	ZydisRegister reg = emu->op[0].reg.value;
	enum emu_result ret;
	uint64_t selector;

	ret = emu_read_operand(emu, 1, &selector);
	if (ret == EMU_OK)
		ret = load(emu, reg, (uint16_t)selector);
	emu->shadow = shadow_of(reg);
	return ret;
}

static enum emu_result do_pop(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	ZydisRegister reg = emu->op[0].reg.value;
	struct walk_range slot;
	enum emu_result ret = emu_find_slot(emu, HV_RSP, 0, size, false, &slot);

	if (ret != EMU_OK)
		return ret;
	/* The stack that is left is the one that was popped from, whatever SS becomes. */
	emu_move_stack(emu, size);
	emu->shadow = shadow_of(reg);
	return load(emu, reg, (uint16_t)emu_load(emu, &slot));
}

static enum emu_result load_pointer(struct emu *emu, ZydisRegister reg)
{
	enum emu_result ret;
	uint16_t selector;
	uint64_t offset;

	ret = emu_read_pointer(emu, 1, &offset, &selector);
	if (ret == EMU_OK)
		ret = load(emu, reg, selector);
	if (ret == EMU_OK)
		emu_write_reg(emu, emu->op[0].reg.value, offset);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* LDTR and TR                                                                */

/* The selector of LLDT and LTR, with what both ask of it. */
static enum emu_result system_selector(struct emu *emu, uint16_t *selector)
{
	enum emu_result ret;
	uint64_t value;

	if (!emu_is_protected(emu))
		return emu_raise(emu, VECTOR_UD, false, 0);
	if (emu_cpl(emu) != 0)
		return emu_raise(emu, VECTOR_GP, true, 0);
	ret = emu_read_operand(emu, 0, &value);
	if (ret != EMU_OK)
		return ret;
	*selector = (uint16_t)value;
	return *selector & SELECTOR_LDT ? emu_selector_fault(emu, VECTOR_GP, *selector) : EMU_OK;
}

static enum emu_result do_lldt(struct emu *emu)
{
	struct hv_segment segment = {.ar = HV_AR_UNUSABLE};
	uint16_t selector;
	enum emu_result ret = system_selector(emu, &selector);
	uint64_t la;

	if (ret != EMU_OK)
		return ret;
	segment.selector = selector;
	if (!segment_is_null(selector)) {
		ret = emu_read_descriptor(emu, selector, emu_system_size(emu), &la, &segment);
		if (ret != EMU_OK)
			return ret;
		if ((segment.ar & (HV_AR_TYPE | HV_AR_S)) != SEG_LDT)
			return emu_selector_fault(emu, VECTOR_GP, selector);
		if (!(segment.ar & HV_AR_P))
			return emu_selector_fault(emu, VECTOR_NP, selector);
	}
	emu->run->sregs.ldt = segment;
	emu->run->dirty |= HV_REGS_SREGS;
	return EMU_OK;
}

static bool is_available_tss(const struct emu *emu, const struct hv_segment *segment)
{
	unsigned int type = segment->ar & (HV_AR_TYPE | HV_AR_S);

	/* Long mode has none of 16 bits. */
	return type == (SEG_TSS | SEG_TSS_32) ||
	       (type == SEG_TSS && !(emu->run->sregs.efer & EFER_LMA));
}

static enum emu_result do_ltr(struct emu *emu)
{
	struct hv_segment segment;
	uint16_t selector;
	enum emu_result ret = system_selector(emu, &selector);
	uint64_t la;
	bool mine;

	if (ret == EMU_OK && segment_is_null(selector))
		return emu_raise(emu, VECTOR_GP, true, 0);
	if (ret == EMU_OK)
		ret = emu_read_descriptor(emu, selector, emu_system_size(emu), &la, &segment);
	if (ret != EMU_OK)
		return ret;
	if (!is_available_tss(emu, &segment))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	if (!(segment.ar & HV_AR_P))
		return emu_selector_fault(emu, VECTOR_NP, selector);
	ret = emu_mark_descriptor(emu, la, SEG_TSS_BUSY, &mine);
	if (ret == EMU_OK && !mine)
		return emu_selector_fault(emu, VECTOR_GP, selector);
	if (ret != EMU_OK)
		return ret;
	segment.ar |= SEG_TSS_BUSY;
	emu->run->sregs.tr = segment;
	emu->run->dirty |= HV_REGS_SREGS;
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */

static bool loads_segment(const struct emu *emu)
{
	return emu->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       emu_is_segment(emu->op[0].reg.value) && emu->op[0].reg.value != ZYDIS_REGISTER_CS;
}

enum emu_result emu_segment_load(struct emu *emu)
{
	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return loads_segment(emu) ? do_mov(emu) : EMU_UNKNOWN;
	case ZYDIS_MNEMONIC_POP:
		return loads_segment(emu) ? do_pop(emu) : EMU_UNKNOWN;
	case ZYDIS_MNEMONIC_LDS:
		return load_pointer(emu, ZYDIS_REGISTER_DS);
	case ZYDIS_MNEMONIC_LES:
		return load_pointer(emu, ZYDIS_REGISTER_ES);
	case ZYDIS_MNEMONIC_LFS:
		return load_pointer(emu, ZYDIS_REGISTER_FS);
	case ZYDIS_MNEMONIC_LGS:
		return load_pointer(emu, ZYDIS_REGISTER_GS);
	case ZYDIS_MNEMONIC_LSS:
		return load_pointer(emu, ZYDIS_REGISTER_SS);
	case ZYDIS_MNEMONIC_LLDT:
		return do_lldt(emu);
	case ZYDIS_MNEMONIC_LTR:
		return do_ltr(emu);
	default:
		return EMU_UNKNOWN;
	}
}
