/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the instruction emulator share: emulate.c and emulate_*.c. */
#ifndef VMM_EMULATE_INTERNAL_H
#define VMM_EMULATE_INTERNAL_H

#include <Zydis/Zydis.h>

#include "emulate/emulate.h"
#include "emulate/walk.h"
#include "x86.h"

/* How an instruction, or a step of one, ended. */
enum emu_result {
	EMU_OK,	     /* completed */
	EMU_PART,    /* a repeated instruction has more to do */
	EMU_RETRY,   /* other vCPUs were in the way: execute it anew */
	EMU_FAULT,   /* emu->fault is raised */
	EMU_UNKNOWN, /* not emulated */
	EMU_BROKEN,  /* the module did not give, or take, registers: emu->error */
};

struct emu {
	const struct emulate_env *env;
	struct hv_run *run;		 /* registers other than gprs are read there */
	struct hv_gprs gprs;		 /* being changed by the instruction */
	struct hv_gprs safe;		 /* what a fault leaves: without the unfinished step */
	uint64_t next_rip;		 /* where it goes on when the instruction is completed */
	enum hv_interrupt_shadow shadow; /* what the instruction begins, if completed */
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct {
		uint8_t vector;
		bool has_error;
		uint32_t error;
		bool has_cr2;
		uint64_t cr2;
	} fault;
	int error; /* an errno */
};

static inline bool emu_is_long(const struct emu *emu)
{
	const struct hv_sregs *s = &emu->run->sregs;

	return (s->efer & EFER_LMA) && (s->cs.ar & HV_AR_L);
}

/* Protected mode, but for its virtual-8086 mode: segments have descriptors. */
static inline bool emu_is_protected(const struct emu *emu)
{
	return (emu->run->sregs.cr0 & CR0_PE) && !(emu->gprs.rflags & FLAG_VM);
}

struct hv_segment *emu_segment(const struct emu *emu, ZydisRegister segment);
bool emu_is_canonical(const struct emu *emu, uint64_t la);

/* 0 in real mode, 3 in virtual-8086 mode. */
unsigned int emu_cpl(const struct emu *emu);
/* The privilege that ports, and IF, ask for. */
static inline unsigned int emu_iopl(const struct emu *emu)
{
	return (emu->gprs.rflags & FLAG_IOPL) >> 12;
}

/* Note the fault, without its error code in real mode; returns EMU_FAULT. */
enum emu_result emu_raise(struct emu *emu, uint8_t vector, bool has_error, uint32_t error);

/*
 * Translate segment:offset for an access of "size" bytes, with all
 * checks of segmentation and paging. write: also for an access that reads first.
 */
enum emu_result emu_translate(struct emu *emu, ZydisRegister segment, uint64_t offset,
			      unsigned int size, bool write, struct walk_range *access);
/* As above; #GP when the linear address is no multiple of the size, a power of two. */
enum emu_result emu_translate_aligned(struct emu *emu, ZydisRegister segment, uint64_t offset,
				      unsigned int size, bool write, struct walk_range *access);
/* At a linear address, by the processor itself: tables and descriptors. */
enum emu_result emu_translate_table(struct emu *emu, uint64_t la, unsigned int size, bool write,
				    struct walk_range *access);
/* For one byte at cs:offset that is fetched as an instruction. */
enum emu_result emu_translate_fetch(struct emu *emu, uint64_t offset, struct walk_range *access);

/*
 * An access through a device is made once, so each of these is called once. A value has
 * as many bytes as were translated, at most 8.
 */
uint64_t emu_load(const struct emu *emu, const struct walk_range *access);
void emu_store(const struct emu *emu, const struct walk_range *access, uint64_t value);
/* As many bytes as were translated. */
void emu_load_bytes(const struct emu *emu, const struct walk_range *access, void *buffer);
void emu_store_bytes(const struct emu *emu, const struct walk_range *access, const void *buffer);
/* At most 8 bytes of what is not RAM. */
uint64_t emu_load_device(const struct emu *emu, uint64_t gpa, unsigned int len);
void emu_store_device(const struct emu *emu, uint64_t gpa, unsigned int len, uint64_t value);
/* Store if the memory still holds "old"; true when stored. Devices take it always. */
bool emu_exchange(const struct emu *emu, const struct walk_range *access, uint64_t old,
		  uint64_t value);

/* May the guest use these ports? EMU_OK, or a fault (Intel SDM Vol. 1, "Protected-Mode I/O"). */
enum emu_result emu_check_port(struct emu *emu, uint16_t port, unsigned int size);

/* General registers, by the width of their name; a 32-bit write clears the upper half. */
uint64_t emu_read_reg(const struct emu *emu, ZydisRegister reg);
void emu_write_reg(struct emu *emu, ZydisRegister reg, uint64_t value);
/* Low "bits" (8, 16, 32, 64) of a register, by number: for addresses, counts and the stack. */
uint64_t emu_read_low(const struct emu *emu, enum hv_gpr reg, unsigned int bits);
void emu_write_low(struct emu *emu, enum hv_gpr reg, unsigned int bits, uint64_t value);

/* The vCPU's x87 and vector registers, and what makes changes in there count: or EMU_BROKEN. */
enum emu_result emu_get_xstate(struct emu *emu, struct xstate **x);
enum emu_result emu_set_xstate(struct emu *emu);
/* #MF where an x87 exception waits. */
enum emu_result emu_check_x87(struct emu *emu, struct xstate *x);

/* ------------------------------------------------------------------------- */
/* Operands: operand.c                                                        */

static inline unsigned int emu_operand_size(const struct emu *emu, unsigned int i)
{
	return emu->op[i].size / 8;
}

static inline bool emu_is_mem(const struct emu *emu, unsigned int i)
{
	return emu->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* The visible operand that is memory, or EMU_NO_OPERAND. */
#define EMU_NO_OPERAND ZYDIS_MAX_OPERAND_COUNT
unsigned int emu_memory_operand(const struct emu *emu);

bool emu_is_gpr(ZydisRegister reg);
bool emu_is_segment(ZydisRegister reg);

/* Where the memory operand i is in its segment. */
uint64_t emu_operand_offset(const struct emu *emu, unsigned int i);
/* Translate the memory operand i, "skip" bytes from where it says. */
enum emu_result emu_find_operand(struct emu *emu, unsigned int i, int64_t skip, bool write,
				 struct walk_range *access);
/* As above, for an operand that must be aligned to its size, or #GP. */
enum emu_result emu_find_aligned(struct emu *emu, unsigned int i, bool write,
				 struct walk_range *access);
/* A register, general or of a segment, or an immediate. */
uint64_t emu_operand_value(const struct emu *emu, unsigned int i);
/* As above, or memory: for instructions that access nothing else afterwards. */
enum emu_result emu_read_operand(struct emu *emu, unsigned int i, uint64_t *value);
/* To a general register or memory, in the operand's size. */
enum emu_result emu_write_operand(struct emu *emu, unsigned int i, uint64_t value);

/* ------------------------------------------------------------------------- */
/* Instructions that compute: data.c                                          */

#define EMU_MAX_ARGS 4

/* The visible operands' values, before and after. */
struct emu_args {
	unsigned int size; /* bytes of operand 0 */
	uint64_t v[EMU_MAX_ARGS];
	bool keep; /* out: the instruction turned out to write no operand */
};

/*
 * Compute what the instruction writes, flags and implied registers included. May be
 * called again from the same state. Returns EMU_OK, or what ends the instruction: a fault, or
 * EMU_RETRY of an access to memory of its own.
 */
typedef enum emu_result emu_compute(struct emu *emu, struct emu_args *args);

/* One row of a class of such instructions; a table ends with an empty one. */
struct emu_op {
	ZydisMnemonic mnemonic;
	emu_compute *compute;
};

extern const struct emu_op emu_move_ops[], emu_arith_ops[], emu_shift_ops[], emu_bit_ops[],
	emu_muldiv_ops[];

/* How far a bit number in a register reaches beyond the memory operand; else 0. */
int64_t emu_bit_offset(const struct emu *emu);

/* ------------------------------------------------------------------------- */
/* The stack and branches                                                     */

/* Translate "size" bytes at SS:reg + offset, reg being as wide as the stack says. */
enum emu_result emu_find_slot(struct emu *emu, enum hv_gpr reg, int64_t offset, unsigned int size,
			      bool write, struct walk_range *slot);
void emu_move_stack(struct emu *emu, int64_t offset);
/* Go on at target in cs, or raise what the processor does. */
enum emu_result emu_branch(struct emu *emu, const struct hv_segment *cs, uint64_t target);
enum emu_result emu_far_jmp(struct emu *emu);
enum emu_result emu_far_call(struct emu *emu);
enum emu_result emu_far_ret(struct emu *emu);

/* ------------------------------------------------------------------------- */
/* Segments: sreg.c                                                           */

enum emu_result emu_selector_fault(struct emu *emu, uint8_t vector, uint16_t selector);
/*
 * Read a descriptor of "size" bytes, 8 or 16, whose selector is not null: *segment and the
 * linear address. EMU_FAULT with #GP where there is none, or none that can be loaded.
 */
enum emu_result emu_read_descriptor(struct emu *emu, uint16_t selector, unsigned int size,
				    uint64_t *la, struct hv_segment *segment);
/* Set bits in the type of the descriptor at la. False in *was_clear: another did it first. */
enum emu_result emu_mark_descriptor(struct emu *emu, uint64_t la, uint8_t bits, bool *was_clear);
/* A system descriptor has twice the size where EFER.LMA is set. */
static inline unsigned int emu_system_size(const struct emu *emu)
{
	return emu->run->sregs.efer & EFER_LMA ? 16 : 8;
}

/* For whom a segment register other than CS is loaded. */
struct emu_loads {
	bool stack;  /* SS */
	bool mode64; /* code of 64 bits will use it */
	unsigned int cpl;
};

/* What the register becomes, with the checks and the faults of a load in protected mode. */
enum emu_result emu_find_segment(struct emu *emu, const struct emu_loads *loads, uint16_t selector,
				 struct hv_segment *segment);
/* A far pointer in memory: an offset and, behind it, a selector. */
enum emu_result emu_read_pointer(struct emu *emu, unsigned int i, uint64_t *offset,
				 uint16_t *selector);
/* What real and virtual-8086 mode make of a selector. */
void emu_load_real(struct hv_segment *segment, uint16_t selector);

/* ------------------------------------------------------------------------- */
/* Classes of instructions. EMU_UNKNOWN: it is none of these.                 */

enum emu_result emu_string(struct emu *emu);
enum emu_result emu_data(struct emu *emu);
enum emu_result emu_exchange16(struct emu *emu);
enum emu_result emu_stack(struct emu *emu);
enum emu_result emu_flow(struct emu *emu);
enum emu_result emu_segment_load(struct emu *emu);
enum emu_result emu_verify(struct emu *emu);
enum emu_result emu_system(struct emu *emu);
enum emu_result emu_vector(struct emu *emu);
enum emu_result emu_x87(struct emu *emu);

#endif
