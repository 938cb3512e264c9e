/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch: from the host's registers to the guest's and back. Intel SDM
 * Vol. 3, 26 and 27. Called by vmx_enter() with interrupts off.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>

#include "../regs.h"
#include "../spec.h"

/* Encoding of the field HOST_RSP */
#define VMCS_HOST_RSP 0x6c14

	.text

/*
 * bool vmx_run(u64 *regs, bool launched)
 *
 * The processor switches all but the general registers. It comes back to
 * vmx_exit_point with the stack as it is at VMLAUNCH, or goes on behind that when
 * it refuses the instruction.
 */
SYM_FUNC_START(vmx_run)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi
	push	%rdi

	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax

	SPEC_BEFORE_ENTRY
	/* The flags of this test last until the jump: MOV leaves them alone. */
	test	%sil, %sil
	mov	%rdi, %rax
	mov	R_CX(%rax), %rcx
	mov	R_DX(%rax), %rdx
	mov	R_BX(%rax), %rbx
	mov	R_BP(%rax), %rbp
	mov	R_SI(%rax), %rsi
	mov	R_DI(%rax), %rdi
	mov	R_8(%rax), %r8
	mov	R_9(%rax), %r9
	mov	R_10(%rax), %r10
	mov	R_11(%rax), %r11
	mov	R_12(%rax), %r12
	mov	R_13(%rax), %r13
	mov	R_14(%rax), %r14
	mov	R_15(%rax), %r15
	mov	R_AX(%rax), %rax

	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
	/* Always taken: a refused instruction sets CF or ZF. */
	jbe	2f

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
	mov	%rax, (%rsp)
	mov	8(%rsp), %rax
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
	mov	(%rsp), %rcx
	mov	%rcx, R_AX(%rax)

	SPEC_AFTER_EXIT

	mov	$1, %eax
	jmp	3f
2:	xor	%eax, %eax

	/* Nothing the guest left in a register is used by speculation. */
3:	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	add	$16, %rsp
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmx_run)
