/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs one instruction on this machine's own processor, with all general registers and the
 * flags given, in an arena whose addresses an emulated guest can use too: what the processor
 * makes of an instruction is what the emulator must make of it.
 */
#ifndef TESTS_UNIT_NATIVE_H
#define TESTS_UNIT_NATIVE_H

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "include/uapi/hv.h"

/* A page of code, and a window of operands between pages that are absent. */
#define NATIVE_SIZE   0x200000u
#define NATIVE_WINDOW 0x100000u
#define NATIVE_LEN    0x2000u

/* Where a jump may go; which it was is written to the arena. */
#define NATIVE_PADS   4
#define NATIVE_PAD(i) (0x100 + (i)*0x40)
#define NATIVE_TAKEN  0x80

/* CF, PF, AF, ZF, SF, DF, OF */
#define NATIVE_FLAGS 0xcd5ULL

#define NO_VECTOR    0xff

static struct {
	struct hv_gprs gprs; /* in and out */
	uint64_t host_rsp;
	uint64_t fault_rip, cr2, error;
	uint8_t *arena;
	uint8_t vector; /* of the exception, or NO_VECTOR */
} native __attribute__((used));

/* x87 and vector registers, in and out: the components of the mask, in the format of XSAVE. */
#define NATIVE_IMAGE 4096
static uint8_t native_image[NATIVE_IMAGE] __attribute__((used, aligned(64)));
static uint8_t native_host[512] __attribute__((used, aligned(64)));
static uint64_t native_mask __attribute__((used));

_Static_assert(__builtin_offsetof(__typeof__(native), host_rsp) == 144, "used below");

void native_enter(void);
void native_back(void);

/* Keeps what C wants kept, loads all registers, jumps to RIP; native_back stores them. */
__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, native+144(%rip)\n"
	"	fxsave64 native_host(%rip)\n"
	"	mov native_mask(%rip), %eax\n	mov native_mask+4(%rip), %edx\n"
	"	xrstor64 native_image(%rip)\n"
	"	pushq native+136(%rip)\n	popfq\n"
	"	mov native+0(%rip), %rax\n	mov native+8(%rip), %rcx\n"
	"	mov native+16(%rip), %rdx\n	mov native+24(%rip), %rbx\n"
	"	mov native+32(%rip), %rsp\n	mov native+40(%rip), %rbp\n"
	"	mov native+48(%rip), %rsi\n	mov native+56(%rip), %rdi\n"
	"	mov native+64(%rip), %r8\n	mov native+72(%rip), %r9\n"
	"	mov native+80(%rip), %r10\n	mov native+88(%rip), %r11\n"
	"	mov native+96(%rip), %r12\n	mov native+104(%rip), %r13\n"
	"	mov native+112(%rip), %r14\n	mov native+120(%rip), %r15\n"
	"	jmp *native+128(%rip)\n"
	"native_back:\n"
	"	mov %rax, native+0(%rip)\n	mov %rcx, native+8(%rip)\n"
	"	mov %rdx, native+16(%rip)\n	mov %rbx, native+24(%rip)\n"
	"	mov %rsp, native+32(%rip)\n	mov %rbp, native+40(%rip)\n"
	"	mov %rsi, native+48(%rip)\n	mov %rdi, native+56(%rip)\n"
	"	mov %r8, native+64(%rip)\n	mov %r9, native+72(%rip)\n"
	"	mov %r10, native+80(%rip)\n	mov %r11, native+88(%rip)\n"
	"	mov %r12, native+96(%rip)\n	mov %r13, native+104(%rip)\n"
	"	mov %r14, native+112(%rip)\n	mov %r15, native+120(%rip)\n"
	"	mov native+144(%rip), %rsp\n"
	"	pushfq\n	popq native+136(%rip)\n	cld\n"
	"	mov native_mask(%rip), %eax\n	mov native_mask+4(%rip), %edx\n"
	"	xsave64 native_image(%rip)\n"
	"	fxrstor64 native_host(%rip)\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n");

static inline void native_fault(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	native.vector = (uint8_t)regs[REG_TRAPNO];
	native.error = (uint64_t)regs[REG_ERR];
	native.cr2 = (uint64_t)regs[REG_CR2];
	native.fault_rip = (uint64_t)regs[REG_RIP];
	regs[REG_RIP] = (greg_t)(uintptr_t)native_back;
}

/* jmp [rip + 0] changes neither registers nor flags. */
static inline void native_put_exit(uint8_t *code)
{
	uint64_t back = (uintptr_t)native_back;

	memcpy(code, "\xff\x25\0\0\0\0", 6);
	memcpy(code + 6, &back, sizeof(back));
}

/* mov dword [rip + to NATIVE_TAKEN], i + 1 */
static inline void native_put_pad(unsigned int i)
{
	uint8_t *code = native.arena + NATIVE_PAD(i);
	int32_t to = NATIVE_TAKEN - (NATIVE_PAD(i) + 10);
	uint32_t taken = i + 1;

	memcpy(code, "\xc7\x05", 2);
	memcpy(code + 2, &to, sizeof(to));
	memcpy(code + 6, &taken, sizeof(taken));
	native_put_exit(code + 10);
}

static inline void native_set_up(void)
{
	static uint8_t stack[64 << 10];
	static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL};
	const stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = native_fault,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	uint8_t *space = mmap(NULL, 2 * NATIVE_SIZE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(space, MAP_FAILED);
	native.arena = space + (-(uintptr_t)space & (NATIVE_SIZE - 1));
	ck_assert_int_eq(mprotect(native.arena, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	ck_assert_int_eq(mprotect(native.arena + NATIVE_WINDOW, NATIVE_LEN, PROT_READ | PROT_WRITE),
			 0);
	for (unsigned int i = 0; i < NATIVE_PADS; i++)
		native_put_pad(i);
	ck_assert_int_eq(sigaltstack(&alt, NULL), 0);
	for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		ck_assert_int_eq(sigaction(signals[i], &action, NULL), 0);
}

/*
 * Run the instruction on native.gprs, but for RIP: that is then where it went on, the next
 * instruction or a pad, or the instruction itself when it faulted.
 */
static inline void native_run(const uint8_t *insn, unsigned int len)
{
	uint32_t taken = 0;

	memcpy(native.arena, insn, len);
	native_put_exit(native.arena + len);
	memcpy(native.arena + NATIVE_TAKEN, &taken, sizeof(taken));
	native.vector = NO_VECTOR;
	native.gprs.rip = (uintptr_t)native.arena;
	native_enter();
	memcpy(&taken, native.arena + NATIVE_TAKEN, sizeof(taken));
	native.gprs.rip = (uintptr_t)native.arena + (taken ? NATIVE_PAD(taken - 1) : len);
	if (native.vector == NO_VECTOR)
		return;
	/* Elsewhere it is the fetch of the next instruction: it did jump. */
	native.gprs.rip = native.fault_rip;
	if (native.fault_rip != (uintptr_t)native.arena)
		native.vector = NO_VECTOR;
}

#endif
