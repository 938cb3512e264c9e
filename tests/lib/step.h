/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU that the host drives a few instructions at a time, in any mode: each step
 * ends by an exit, and so does each interrupt and exception before its handler has
 * done anything. Nothing else runs in the guest, so what it sees, and what is in its
 * memory, is the processor's and the module's work alone. Called by the programs in
 * tests/abi that are about modes and about the delivery of events.
 *
 * Everything a step needs lies below 1 MiB and is mapped where it is:
 */
#ifndef TESTS_STEP_H
#define TESTS_STEP_H

#include "vm.h"

#define STEP_CODE    0x10000 /* the instructions; CS, DS and SS begin here in real mode */
#define STEP_TRAPS   0x11000 /* handlers, 16 bytes each: of real and protected mode */
#define STEP_TRAPS64 0x12000 /* the same of long mode */
#define STEP_IVT     0x13000
#define STEP_IDT32   0x14000
#define STEP_IDT64   0x15000
#define STEP_STACK   0x17000 /* top of the stack, which has a page */
#define STEP_FREE    0x18000 /* to 0xa0000: for the tests */

/* Ports by which a step ends. */
#define STEP_PORT_DONE PORT_LOW
#define STEP_PORT_TRAP (PORT_LOW + 1)

struct step {
	struct vcpu *v;
	uint64_t start, end; /* RIP at the instructions of the last step, and behind them */
	/* The last event, from its frame on the stack */
	unsigned int vector; /* or GUEST_NO_TRAP */
	bool has_error;
	uint64_t error, rip, cs, rflags;
};

/*
 * Instructions for a step: CODE(32, name, "instruction; ...") at file scope, then
 * STEP(s, name). The same bytes mean the same in all modes if nothing depends on
 * the size of operands or addresses; where it does, the width says which mode they
 * are for.
 */
#define CODE(bits, name, insns)                                                  \
	extern const char name[], name##_end[];                                  \
	asm(".pushsection .rodata\n" #name ": .code" #bits "\n" insns "\n" #name \
	    "_end: .code64\n.popsection")
#define STEP(s, name)	    step(s, name, (size_t)(name##_end - (name)))
#define STEP_BEGIN(s, name) step_begin(s, name, (size_t)(name##_end - (name)))

/*
 * A vCPU with all that, in long mode, protected mode without paging or real mode;
 * GPR, SREGS and EVENTS are valid after each step.
 */
void step_init(struct step *s, struct vcpu *v, struct vm *vm);
void step_long(struct step *s);
void step_prot(struct step *s);
void step_real(struct step *s);

/* Load the instructions, and make RIP point to them; the vCPU does not run yet. */
void step_begin(struct step *s, const void *code, size_t len);
/* Run until the end of the step (GUEST_NO_TRAP) or to the next event: its vector. */
unsigned int step_run(struct step *s);
/* The handler of the last event is about to return, to this RIP and without TF; as above. */
void step_return(struct step *s, uint64_t rip);
/*
 * Both: the vector of the event that struck, which must be the only one, or
 * GUEST_NO_TRAP. Its handler has returned to the end of the step.
 */
unsigned int step(struct step *s, const void *code, size_t len);

/* A step without an event: yields RAX. Called by the macros below. */
uint64_t step_quiet(struct step *s, const char *name, const void *code, size_t len,
		    unsigned int line);
#define STEP_GET(s, name) step_quiet(s, #name, name, (size_t)(name##_end - (name)), __LINE__)
#define STEP_DO(s, name)  ((void)STEP_GET(s, name))
/* With a value in RAX; STEP_TRY is for those that may fail, and yields the event. */
#define STEP_SET(s, name, value)                 \
	do {                                     \
		vcpu_reg((s)->v, RAX) = (value); \
		STEP_DO(s, name);                \
	} while (0)
#define STEP_TRY(s, name, value) step_with(s, value, name, (size_t)(name##_end - (name)))
unsigned int step_with(struct step *s, uint64_t rax, const void *code, size_t len);

/* RDMSR, and WRMSR, which may fail, of the guest. */
uint64_t step_get_msr(struct step *s, uint32_t index);
unsigned int step_set_msr(struct step *s, uint32_t index, uint64_t value);

/* Forget pages of a VM made with vm_init_shared() in the host: stage 2 loses them, their
 * contents stay. */
void step_drop(struct vm *vm, uint64_t gpa, uint64_t len);

#endif
