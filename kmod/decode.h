/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Plain MOV-class instructions that access memory-mapped I/O, accesses to control
 * registers, and the lengths of instructions that always exit. Pure; built for unit
 * tests and fuzzing too.
 */
#ifndef HV_DECODE_H
#define HV_DECODE_H

#include <linux/types.h>
#include "../include/uapi/hv.h"

/* Segment registers by their encoding. */
enum hv_seg {
	SEG_ES,
	SEG_CS,
	SEG_SS,
	SEG_DS,
	SEG_FS,
	SEG_GS
};

enum decode_mode {
	DECODE_16,
	DECODE_32,
	DECODE_64
}; /* CS.D and CS.L */

/* Where the memory operand is. Registers by their number; -1: none. */
struct decode_mem {
	s8 base, index;
	u8 scale;	 /* shift of index: 0..3 */
	u8 seg;		 /* enum hv_seg */
	u8 address_size; /* 2, 4 or 8 */
	bool rip_relative;
	u64 disp; /* sign-extended; the whole offset of A0..A3 */
};

struct decode_insn {
	u8 len;	 /* whole instruction, 1..15 */
	u8 size; /* bytes of the memory access: 1, 2, 4, 8 */
	bool write;
	bool immediate;	  /* write: the value is imm, not a register */
	u8 reg;		  /* register number (enum hv_gpr) */
	bool high_byte;	  /* reg is AH, CH, DH or BH: bits 8..15 of reg - 4 */
	u8 dest_size;	  /* read: bytes written to reg (MOVZX/MOVSX widen) */
	bool sign_extend; /* read: MOVSX, MOVSXD */
	u64 imm;	  /* write: sign-extended to the operand size */
	struct decode_mem mem;
};

/*
 * Decode MOV (88, 89, 8A, 8B, A0..A3, C6/0, C7/0), MOVZX, MOVSX, MOVSXD with a
 * memory operand. bytes/avail: at most 15. False: something else, a LOCK
 * prefix, or the bytes end too early.
 */
bool decode_mov(const u8 *bytes, unsigned int avail, enum decode_mode mode,
		struct decode_insn *insn);

/* An access to a control register, or to a part of CR0. */
enum decode_cr_op {
	DECODE_MOV_CR, /* MOV to or from */
	DECODE_MSW,    /* LMSW, SMSW */
	DECODE_CLTS
};

struct decode_cr {
	u8 op;	     /* enum decode_cr_op */
	u8 len;	     /* with an operand in memory only to its ModRM */
	u8 gpr;	     /* number of the register operand */
	u8 size;     /* of the operand, in bytes */
	bool memory; /* MSW: the operand is in memory */
};

/* Decode such an instruction, as decode_mov(). Which register and which way the caller knows. */
bool decode_cr(const u8 *bytes, unsigned int avail, enum decode_mode mode, struct decode_cr *cr);

/*
 * The length of an instruction with this opcode (one or two bytes, or three for
 * VMMCALL and its like; e.g. "\x0f\xa2") that may have prefixes; 0 when the bytes
 * are not such an instruction. In 64-bit mode REX counts as a prefix.
 */
unsigned int decode_length(const u8 *bytes, unsigned int avail, enum decode_mode mode,
			   const u8 *opcode, unsigned int opcode_len);

/*
 * The offset of the memory operand within its segment: regs by number, and RIP
 * of the instruction. Wraps at the address size.
 */
u64 decode_offset(const struct decode_insn *insn, const u64 *regs, u64 rip);

/* The value of a completed read, merged into the register's old value. */
u64 decode_merge(const struct decode_insn *insn, u64 old, u64 data);

#endif
