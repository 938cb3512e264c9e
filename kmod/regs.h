/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The general registers in assembly: their offsets in hv_gprs.r[], 8 bytes each in
 * the processor's own order, and for enter.S of both backends what a world switch
 * does with them. RSP, and on AMD-V RAX, the processor switches.
 */
/* clang-format off */
#ifndef HV_REGS_H
#define HV_REGS_H

#define R_AX (0 * 8)
#define R_CX (1 * 8)
#define R_DX (2 * 8)
#define R_BX (3 * 8)
#define R_BP (5 * 8)
#define R_SI (6 * 8)
#define R_DI (7 * 8)
#define R_8  (8 * 8)
#define R_9  (9 * 8)
#define R_10 (10 * 8)
#define R_11 (11 * 8)
#define R_12 (12 * 8)
#define R_13 (13 * 8)
#define R_14 (14 * 8)
#define R_15 (15 * 8)

#ifdef __ASSEMBLER__

/* What a function must keep, with a frame. */
.macro REGS_PUSH_HOST
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
.endm

.macro REGS_POP_HOST
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* All but RAX from hv_gprs.r at RDI. Leaves the flags alone. */
.macro REGS_LOAD_GUEST
	mov	R_CX(%rdi), %rcx
	mov	R_DX(%rdi), %rdx
	mov	R_BX(%rdi), %rbx
	mov	R_BP(%rdi), %rbp
	mov	R_SI(%rdi), %rsi
	mov	R_8(%rdi), %r8
	mov	R_9(%rdi), %r9
	mov	R_10(%rdi), %r10
	mov	R_11(%rdi), %r11
	mov	R_12(%rdi), %r12
	mov	R_13(%rdi), %r13
	mov	R_14(%rdi), %r14
	mov	R_15(%rdi), %r15
	mov	R_DI(%rdi), %rdi
.endm

/* All but RAX to hv_gprs.r at RAX. */
.macro REGS_SAVE_GUEST
	mov	%rcx, R_CX(%rax)
	mov	%rdx, R_DX(%rax)
	mov	%rbx, R_BX(%rax)
	mov	%rbp, R_BP(%rax)
	mov	%rsi, R_SI(%rax)
	mov	%rdi, R_DI(%rax)
	mov	%r8, R_8(%rax)
	mov	%r9, R_9(%rax)
	mov	%r10, R_10(%rax)
	mov	%r11, R_11(%rax)
	mov	%r12, R_12(%rax)
	mov	%r13, R_13(%rax)
	mov	%r14, R_14(%rax)
	mov	%r15, R_15(%rax)
.endm

/*
 * Nothing the guest left in a register is used by speculation. The others, but for
 * RAX, come from the stack.
 */
.macro REGS_CLEAR
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
.endm

#endif
#endif
