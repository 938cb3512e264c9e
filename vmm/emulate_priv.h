/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the instruction emulator share: emulate.c, _mem.c, _string.c. */
#ifndef VMM_EMULATE_PRIV_H
#define VMM_EMULATE_PRIV_H

#include <Zydis/Zydis.h>

#include "emulate.h"
#include "walk.h"
#include "x86.h"

/* How an instruction, or a step of one, ended. */
enum emu_result {
	EMU_OK,	     /* completed */
	EMU_PART,    /* a repeated instruction has more to do */
	EMU_RETRY,   /* other vCPUs were in the way: execute it anew */
	EMU_FAULT,   /* emu->fault is raised */
	EMU_UNKNOWN, /* not emulated */
};

struct emu {
	const struct emulate_env *env;
	struct hv_run *run;  /* registers other than gprs are read there */
	struct hv_gprs gprs; /* being changed by the instruction */
	struct hv_gprs safe; /* what a fault leaves: without the unfinished step */
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct {
		uint8_t vector;
		bool has_error;
		uint32_t error;
		bool has_cr2;
		uint64_t cr2;
	} fault;
};

static inline bool emu_is_long(const struct emu *emu)
{
	const struct hv_sregs *s = &emu->run->sregs;

	return (s->efer & EFER_LMA) && (s->cs.ar & HV_AR_L);
}

/* 0 in real mode, 3 in virtual-8086 mode. */
unsigned int emu_cpl(const struct emu *emu);

/* Note the fault, without its error code in real mode; returns EMU_FAULT. */
enum emu_result emu_raise(struct emu *emu, uint8_t vector, bool has_error, uint32_t error);

/*
 * Translate segment:offset for an access of "size" bytes (1 to 8), with all
 * checks of segmentation and paging. write: also for an access that reads first.
 */
enum emu_result emu_translate(struct emu *emu, ZydisRegister segment, uint64_t offset,
			      unsigned int size, bool write, struct walk_range *access);
/* As above for one byte at cs:offset that is fetched as an instruction. */
enum emu_result emu_translate_fetch(struct emu *emu, uint64_t offset, struct walk_range *access);

/* An access through a device is made once, so each of these is called once. */
uint64_t emu_load(const struct emu *emu, const struct walk_range *access);
void emu_store(const struct emu *emu, const struct walk_range *access, uint64_t value);
/* Store if the memory still holds "old"; true when stored. Devices take it always. */
bool emu_exchange(const struct emu *emu, const struct walk_range *access, uint64_t old,
		  uint64_t value);

/* May the guest use these ports? EMU_OK, or a fault (Intel SDM Vol. 1, "Protected-Mode I/O"). */
enum emu_result emu_check_port(struct emu *emu, uint16_t port, unsigned int size);

/* General registers, by the width of their name; a 32-bit write clears the upper half. */
uint64_t emu_read_reg(const struct emu *emu, ZydisRegister reg);
void emu_write_reg(struct emu *emu, ZydisRegister reg, uint64_t value);
/* Low "bits" (16, 32, 64) of a register, by number: for addresses, counts and the stack. */
uint64_t emu_read_low(const struct emu *emu, enum hv_gpr reg, unsigned int bits);
void emu_write_low(struct emu *emu, enum hv_gpr reg, unsigned int bits, uint64_t value);

/* String instructions. EMU_UNKNOWN: it is none. */
enum emu_result emu_string(struct emu *emu);

#endif
