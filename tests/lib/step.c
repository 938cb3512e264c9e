// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Steps: see step.h. The handlers of all events are alike: an OUT, whose address
 * tells the vector, and an IRET.
 */
#define _GNU_SOURCE
#include "step.h"

#include <sys/mman.h>

#include "harness.h"

#define GATE_PRESENT_386 0x8eULL

static const uint8_t handler[] = {0xe6, STEP_PORT_TRAP, 0xcf};
static const uint8_t handler64[] = {0xe6, STEP_PORT_TRAP, 0x48, 0xcf};

#define OUT_LEN 2

static void make_handlers(struct vm *vm)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint32_t to = STEP_TRAPS + 16 * i, to64 = STEP_TRAPS64 + 16 * i;

		vm_load(vm, to, handler, sizeof(handler));
		vm_load(vm, to64, handler64, sizeof(handler64));
		guest_at(vm, uint32_t, STEP_IVT + 4 * i) = (to - STEP_CODE) | (STEP_CODE >> 4)
										      << 16;
		guest_at(vm, uint64_t, STEP_IDT32 + 8 * i) =
			(to & 0xffff) | (uint64_t)SEL_CODE32 << 16 | GATE_PRESENT_386 << 40 |
			(uint64_t)(to >> 16) << 48;
		guest_at(vm, uint64_t, STEP_IDT64 + 16 * i) =
			(to64 & 0xffff) | (uint64_t)SEL_CODE64 << 16 | GATE_PRESENT_386 << 40 |
			(uint64_t)(to64 >> 16) << 48;
		guest_at(vm, uint64_t, STEP_IDT64 + 16 * i + 8) = 0;
	}
}

void step_init(struct step *s, struct vcpu *v, struct vm *vm)
{
	*s = (struct step){.v = v, .vector = GUEST_NO_TRAP};
	vm_init_shared(vm);
	make_handlers(vm);
	vcpu_init(v, vm, 0);
	v->run->wanted = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
}

static void finish(struct step *s, uint64_t idt, uint16_t limit, uint64_t rsp)
{
	struct hv_run *r = s->v->run;

	r->sregs.idt = (struct hv_dtable){.base = idt, .limit = limit};
	r->gprs.r[HV_RSP] = rsp;
	vcpu_set(s->v, HV_REGS_GPR | HV_REGS_SREGS);
	vcpu_get(s->v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
}

void step_long(struct step *s)
{
	vcpu_long_at(s->v, STEP_CODE);
	finish(s, STEP_IDT64, 4095, STEP_STACK);
}

void step_prot(struct step *s)
{
	vcpu_flat32(s->v, STEP_CODE);
	finish(s, STEP_IDT32, 2047, STEP_STACK);
}

void step_real(struct step *s)
{
	vcpu_real(s->v, STEP_CODE >> 4, 0);
	finish(s, STEP_IVT, 0x3ff, STEP_STACK - STEP_CODE);
}

void step_begin(struct step *s, const void *code, size_t len)
{
	static const uint8_t out[OUT_LEN] = {0xe6, STEP_PORT_DONE};
	struct hv_run *r = s->v->run;

	vm_load(s->v->vm, STEP_CODE, code, len);
	vm_load(s->v->vm, STEP_CODE + len, out, sizeof(out));
	s->start = STEP_CODE - r->sregs.cs.base;
	s->end = s->start + len;
	r->gprs.rip = s->start;
	r->dirty |= HV_REGS_GPR;
}

/* Bytes of one word of an event's frame. */
static unsigned int word_size(const struct hv_sregs *s)
{
	if (s->efer & EFER_LMA)
		return 8;
	return s->cr0 & CR0_PE ? 4 : 2;
}

/* Where the stack is; it is mapped where it is. */
static uint64_t stack(const struct hv_run *r)
{
	const struct hv_segment *ss = &r->sregs.ss;
	uint64_t rsp = r->gprs.r[HV_RSP];

	if (r->sregs.efer & EFER_LMA)
		return rsp;
	return ss->base + (rsp & (ss->ar & HV_AR_DB ? 0xffffffff : 0xffff));
}

static uint8_t *frame(const struct step *s, unsigned int n)
{
	unsigned int size = word_size(&s->v->run->sregs);
	uint64_t at = stack(s->v->run) + n * size;

	if (at > GUEST_RAM - size)
		test_fail("a frame at %#llx, outside of memory", (unsigned long long)at);
	return s->v->vm->ram + at;
}

static uint64_t frame_word(const struct step *s, unsigned int n)
{
	uint64_t value = 0;

	memcpy(&value, frame(s, n), word_size(&s->v->run->sregs));
	return value;
}

/* Exceptions with an error code: Intel SDM Vol. 3, table 6-1. INT n pushes none. */
static bool pushes_error(const struct step *s)
{
	const uint8_t *code = s->v->vm->ram + STEP_CODE;
	unsigned int v = s->vector;

	if (!(s->v->run->sregs.cr0 & CR0_PE) || (code[0] == 0xcd && code[1] == v))
		return false;
	return v == 8 || (v >= 10 && v <= 14) || v == 17;
}

static void read_frame(struct step *s, uint64_t handler_at)
{
	struct hv_run *r = s->v->run;
	uint64_t table = r->sregs.efer & EFER_LMA ? STEP_TRAPS64 : STEP_TRAPS;
	unsigned int error_words;

	if (handler_at < table || handler_at >= table + 4096 || handler_at % 16)
		test_fail("an event arrived at %#llx", (unsigned long long)handler_at);
	s->vector = (unsigned int)(handler_at - table) / 16;
	s->has_error = pushes_error(s);
	error_words = s->has_error;
	s->error = s->has_error ? frame_word(s, 0) : 0;
	s->rip = frame_word(s, error_words);
	s->cs = frame_word(s, error_words + 1) & 0xffff;
	s->rflags = frame_word(s, error_words + 2);
}

unsigned int step_run(struct step *s)
{
	struct hv_run *r = s->v->run;

	s->vector = GUEST_NO_TRAP;
	if (vcpu_run(s->v) != HV_EXIT_PIO || !(r->exit.pio.flags & HV_IO_WRITE))
		test_fail("a step ended by %s", vcpu_describe(s->v));
	if (r->exit.pio.port == STEP_PORT_TRAP)
		read_frame(s, r->gprs.rip + r->sregs.cs.base);
	else if (r->exit.pio.port != STEP_PORT_DONE ||
		 r->gprs.rip + r->sregs.cs.base != STEP_CODE + (s->end - s->start))
		test_fail("a step ended by %s at %#llx", vcpu_describe(s->v),
			  (unsigned long long)r->gprs.rip);
	return s->vector;
}

void step_return(struct step *s, uint64_t rip)
{
	struct hv_run *r = s->v->run;
	unsigned int size = word_size(&r->sregs);
	uint64_t rflags;

	if (s->has_error)
		r->gprs.r[HV_RSP] += size;
	memcpy(frame(s, 0), &rip, size);
	rflags = frame_word(s, 2) & ~FLAG_TF;
	memcpy(frame(s, 2), &rflags, size);
	/* At the IRET, behind the OUT that is the last exit. */
	r->gprs.rip += OUT_LEN;
	r->dirty |= HV_REGS_GPR;
}

unsigned int step(struct step *s, const void *code, size_t len)
{
	struct step struck;

	step_begin(s, code, len);
	if (step_run(s) == GUEST_NO_TRAP)
		return GUEST_NO_TRAP;
	struck = *s;
	step_return(s, s->end);
	if (step_run(s) != GUEST_NO_TRAP)
		test_fail("event %u at %#llx, and %u at %#llx after it", struck.vector,
			  (unsigned long long)struck.rip, s->vector, (unsigned long long)s->rip);
	*s = struck;
	return s->vector;
}

uint64_t step_quiet(struct step *s, const char *name, const void *code, size_t len,
		    unsigned int line)
{
	if (step(s, code, len) != GUEST_NO_TRAP)
		test_fail("line %u: %s: event %u, error %#llx", line, name, s->vector,
			  (unsigned long long)s->error);
	return vcpu_reg(s->v, RAX);
}

unsigned int step_with(struct step *s, uint64_t rax, const void *code, size_t len)
{
	vcpu_reg(s->v, RAX) = rax;
	return step(s, code, len);
}

CODE(32, read_msr, "rdmsr");
CODE(32, write_msr, "wrmsr");

uint64_t step_get_msr(struct step *s, uint32_t index)
{
	vcpu_reg(s->v, RCX) = index;
	STEP_DO(s, read_msr);
	return vcpu_reg(s->v, RDX) << 32 | vcpu_reg(s->v, RAX);
}

unsigned int step_set_msr(struct step *s, uint32_t index, uint64_t value)
{
	vcpu_reg(s->v, RCX) = index;
	vcpu_reg(s->v, RDX) = value >> 32;
	return STEP_TRY(s, write_msr, (uint32_t)value);
}

void step_drop(struct vm *vm, uint64_t gpa, uint64_t len)
{
	CHECK_OK(madvise(vm->ram + gpa, len, MADV_DONTNEED));
}
