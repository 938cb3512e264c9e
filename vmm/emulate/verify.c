// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Questions about a selector in memory: VERR, VERW, LAR, LSL (Intel SDM Vol. 2, under their
 * names). ZF is the answer; faults are those of the operand, of the mode, and of pages the tables
 * are in. Called by emulate.c.
 */
#include "emulate/alu.h"
#include "emulate/internal.h"
#include "emulate/segment.h"

/* Types of system descriptors that LAR and LSL know: a bit for each; and in long mode. */
#define LAR_TYPES      0x1a3e
#define LAR_TYPES_LONG 0x1a04
#define LSL_TYPES      0x0a0e
#define LSL_TYPES_LONG 0x0a04

#define AR_SHOWN       0xf0ff /* what LAR shows of the access rights, in bits 8 to 23 */

static bool privilege_ok(const struct emu *emu, const struct hv_segment *segment)
{
	unsigned int dpl = segment_dpl(segment);

	if (segment->ar & HV_AR_S && segment->ar & SEG_CODE && segment->ar & SEG_CODE_CONFORMING)
		return true;
	return dpl >= emu_cpl(emu) && dpl >= (segment->selector & SELECTOR_RPL);
}

static bool type_known(const struct emu *emu, const struct hv_segment *segment, unsigned int types,
		       unsigned int long_types)
{
	if (segment->ar & HV_AR_S)
		return true;
	return (emu->run->sregs.efer & EFER_LMA ? long_types : types) >>
		       (segment->ar & HV_AR_TYPE) &
	       1;
}

static bool answer(const struct emu *emu, const struct hv_segment *segment)
{
	if (!privilege_ok(emu, segment))
		return false;
	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_VERR:
		return segment_may_hold_data(segment, emu_cpl(emu));
	case ZYDIS_MNEMONIC_VERW:
		return segment->ar & HV_AR_S && !(segment->ar & SEG_CODE) &&
		       segment->ar & SEG_DATA_WRITABLE;
	case ZYDIS_MNEMONIC_LAR:
		return type_known(emu, segment, LAR_TYPES, LAR_TYPES_LONG);
	default:
		return type_known(emu, segment, LSL_TYPES, LSL_TYPES_LONG);
	}
}

enum emu_result emu_verify(struct emu *emu)
{
	bool has_result = false, good = false;
	struct hv_segment segment;
	enum emu_result ret;
	uint64_t selector, la;

	switch (emu->insn.mnemonic) {
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		has_result = true;
		break;
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
		break;
	default:
		return EMU_UNKNOWN;
	}
	if (!emu_is_protected(emu))
		return emu_raise(emu, VECTOR_UD, false, 0);
	ret = emu_read_operand(emu, has_result, &selector);
	if (ret != EMU_OK)
		return ret;

	if (!segment_is_null((uint16_t)selector) &&
	    segment_locate(&emu->run->sregs, (uint16_t)selector, 8, &la)) {
		ret = emu_read_descriptor(emu, (uint16_t)selector, 8, &la, &segment);
		if (ret != EMU_OK)
			return ret;
		good = answer(emu, &segment);
	}
	alu_set_flag(&emu->gprs.rflags, FLAG_ZF, good);
	if (good && has_result)
		emu_write_reg(emu, emu->op[0].reg.value,
			      emu->insn.mnemonic == ZYDIS_MNEMONIC_LAR
				      ? (uint64_t)(segment.ar & AR_SHOWN) << 8
				      : segment.limit);
	return EMU_OK;
}
