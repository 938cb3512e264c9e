// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Far jumps and calls that stay at their privilege level, and far returns (Intel SDM Vol. 2, under
 * their names). Gates and task-state segments are not emulated. Called by flow.c.
 */
#include "emulate/internal.h"
#include "emulate/segment.h"

/* cpl: what it becomes */
static bool code_ok(const struct hv_segment *cs, unsigned int cpl)
{
	unsigned int dpl = segment_dpl(cs);

	if (!(cs->ar & SEG_CODE))
		return false;
	if (cs->ar & SEG_CODE_CONFORMING)
		return dpl <= cpl;
	return dpl == cpl && (cs->selector & SELECTOR_RPL) <= cpl;
}

static enum emu_result find_code(struct emu *emu, uint16_t selector, unsigned int cpl,
				 struct hv_segment *cs)
{
	enum emu_result ret;
	uint64_t la;
	bool clear;

	if (segment_is_null(selector))
		return emu_raise(emu, VECTOR_GP, true, 0);
	ret = emu_read_descriptor(emu, selector, 8, &la, cs);
	if (ret != EMU_OK)
		return ret;
	if (!(cs->ar & HV_AR_S))
		return EMU_UNKNOWN;
	if (!code_ok(cs, cpl))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	if (!(cs->ar & HV_AR_P))
		return emu_selector_fault(emu, VECTOR_NP, selector);
	/* There is no 64-bit code whose operands have 32 bits by default. */
	if ((emu->run->sregs.efer & EFER_LMA) && (cs->ar & HV_AR_L) && (cs->ar & HV_AR_DB))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	if (!(cs->ar & SEG_ACCESSED))
		ret = emu_mark_descriptor(emu, la, SEG_ACCESSED, &clear);
	cs->ar |= SEG_ACCESSED;
	cs->selector = (selector & ~SELECTOR_RPL) | cpl;
	return ret;
}

/* Find what CS becomes at that privilege level. */
static enum emu_result find_cs(struct emu *emu, uint16_t selector, unsigned int cpl,
			       struct hv_segment *cs)
{
	*cs = emu->run->sregs.cs;
	if (emu_is_protected(emu))
		return find_code(emu, selector, cpl, cs);
	emu_load_real(cs, selector);
	return EMU_OK;
}

/* As above, and whether the target is in it. */
static enum emu_result find_target(struct emu *emu, uint16_t selector, unsigned int cpl,
				   uint64_t offset, struct hv_segment *cs)
{
	enum emu_result ret = find_cs(emu, selector, cpl, cs);

	return ret == EMU_OK ? emu_branch(emu, cs, offset) : ret;
}

static void set_cs(struct emu *emu, const struct hv_segment *cs)
{
	emu->run->sregs.cs = *cs;
	emu->run->dirty |= HV_REGS_SREGS;
}

/* A pointer in memory, or in the instruction itself. */
static enum emu_result read_target(struct emu *emu, uint64_t *offset, uint16_t *selector)
{
	if (emu_is_mem(emu, 0))
		return emu_read_pointer(emu, 0, offset, selector);
	*offset = emu->op[0].ptr.offset;
	*selector = emu->op[0].ptr.segment;
	return EMU_OK;
}

enum emu_result emu_far_jmp(struct emu *emu)
{
	struct hv_segment cs;
	uint16_t selector;
	enum emu_result ret;
	uint64_t offset;

	ret = read_target(emu, &offset, &selector);
	if (ret == EMU_OK)
		ret = find_target(emu, selector, emu_cpl(emu), offset, &cs);
	if (ret == EMU_OK)
		set_cs(emu, &cs);
	return ret;
}

enum emu_result emu_far_call(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8;
	uint64_t return_to = emu->next_rip, offset;
	struct walk_range old_cs, old_rip;
	struct hv_segment cs;
	uint16_t selector;
	enum emu_result ret;

	/* Faults come in the order of the manual: the segment, the stack, the offset. */
	ret = read_target(emu, &offset, &selector);
	if (ret == EMU_OK)
		ret = find_cs(emu, selector, emu_cpl(emu), &cs);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, -(int64_t)size, size, true, &old_cs);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, -2 * (int64_t)size, size, true, &old_rip);
	if (ret == EMU_OK)
		ret = emu_branch(emu, &cs, offset);
	if (ret != EMU_OK)
		return ret;
	emu_store(emu, &old_cs, emu->run->sregs.cs.selector);
	emu_store(emu, &old_rip, return_to);
	emu_move_stack(emu, -2 * (int64_t)size);
	set_cs(emu, &cs);
	return EMU_OK;
}

/* ------------------------------------------------------------------------- */
/* Returns                                                                    */

/* A program must not keep what only the level above it may use. */
static void drop_segment(struct hv_segment *segment, unsigned int cpl)
{
	bool conforms = segment->ar & SEG_CODE && segment->ar & SEG_CODE_CONFORMING;

	if (!conforms && segment_dpl(segment) < cpl)
		*segment = (struct hv_segment){.ar = HV_AR_UNUSABLE};
}

/* "at": where the outer stack's pointer is, in "size" bytes, and its segment behind it. */
static enum emu_result return_outward(struct emu *emu, const struct hv_segment *cs, int64_t at,
				      unsigned int size, uint64_t extra)
{
	struct hv_sregs *s = &emu->run->sregs;
	const struct emu_loads loads = {
		.stack = true,
		.mode64 = s->efer & EFER_LMA && cs->ar & HV_AR_L,
		.cpl = cs->selector & SELECTOR_RPL,
	};
	struct walk_range old_ss, old_rsp;
	struct hv_segment ss;
	enum emu_result ret;
	uint64_t rsp;

	ret = emu_find_slot(emu, HV_RSP, at, size, false, &old_rsp);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, at + size, size, false, &old_ss);
	if (ret != EMU_OK)
		return ret;
	rsp = emu_load(emu, &old_rsp);
	ret = emu_find_segment(emu, &loads, (uint16_t)emu_load(emu, &old_ss), &ss);
	if (ret != EMU_OK)
		return ret;
	s->ss = ss;
	set_cs(emu, cs);
	drop_segment(&s->ds, loads.cpl);
	drop_segment(&s->es, loads.cpl);
	drop_segment(&s->fs, loads.cpl);
	drop_segment(&s->gs, loads.cpl);
	/* As wide as the stack is now. */
	emu_move_stack(emu, (int64_t)(rsp + extra - emu->gprs.r[HV_RSP]));
	return EMU_OK;
}

enum emu_result emu_far_ret(struct emu *emu)
{
	unsigned int size = emu->insn.operand_width / 8, cpl = emu_cpl(emu);
	uint64_t extra = emu->insn.operand_count_visible ? emu->op[0].imm.value.u : 0, offset;
	struct walk_range old_cs, old_rip;
	struct hv_segment cs;
	uint16_t selector;
	enum emu_result ret;

	ret = emu_find_slot(emu, HV_RSP, 0, size, false, &old_rip);
	if (ret == EMU_OK)
		ret = emu_find_slot(emu, HV_RSP, size, size, false, &old_cs);
	if (ret != EMU_OK)
		return ret;
	offset = emu_load(emu, &old_rip);
	selector = (uint16_t)emu_load(emu, &old_cs);
	if (emu_is_protected(emu))
		cpl = selector & SELECTOR_RPL;
	if (cpl < emu_cpl(emu))
		return emu_selector_fault(emu, VECTOR_GP, selector);
	ret = find_target(emu, selector, cpl, offset, &cs);
	if (ret != EMU_OK)
		return ret;
	if (cpl > emu_cpl(emu))
		return return_outward(emu, &cs, (int64_t)(2 * size + extra), size, extra);
	emu_move_stack(emu, (int64_t)(2 * size + extra));
	set_cs(emu, &cs);
	return EMU_OK;
}
