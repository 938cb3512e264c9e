// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptors of segments. Pure; called by the instruction emulator and task.c. */
#include "emulate/segment.h"

bool segment_locate(const struct hv_sregs *s, uint16_t selector, unsigned int size, uint64_t *la)
{
	uint32_t offset = selector & ~(SELECTOR_RPL | SELECTOR_LDT);
	uint64_t base = s->gdt.base;
	uint32_t limit = s->gdt.limit;

	if (selector & SELECTOR_LDT) {
		if (s->ldt.ar & HV_AR_UNUSABLE)
			return false;
		base = s->ldt.base;
		limit = s->ldt.limit;
	}
	*la = base + offset;
	return offset + size - 1 <= limit;
}

struct hv_segment segment_unpack(uint16_t selector, uint64_t descriptor)
{
	struct hv_segment seg = {
		.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 56) << 24,
		.limit = (descriptor & 0xffff) | (descriptor >> 32 & 0xf0000),
		.ar = descriptor >> 40 & 0xf0ff,
		.selector = selector,
	};

	if (seg.ar & HV_AR_G)
		seg.limit = seg.limit << 12 | 0xfff;
	return seg;
}

bool segment_may_hold_data(const struct hv_segment *seg, unsigned int cpl)
{
	unsigned int rpl = seg->selector & SELECTOR_RPL;

	if (!(seg->ar & HV_AR_S) || (seg->ar & SEG_CODE && !(seg->ar & SEG_CODE_READABLE)))
		return false;
	if (seg->ar & SEG_CODE && seg->ar & SEG_CODE_CONFORMING)
		return true;
	return segment_dpl(seg) >= cpl && segment_dpl(seg) >= rpl;
}

bool segment_may_hold_stack(const struct hv_segment *seg, unsigned int cpl)
{
	return (seg->ar & HV_AR_S) && !(seg->ar & SEG_CODE) && (seg->ar & SEG_DATA_WRITABLE) &&
	       segment_dpl(seg) == cpl && (seg->selector & SELECTOR_RPL) == cpl;
}
