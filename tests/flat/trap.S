/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a long-mode guest's interrupts and exceptions arrive, and where its
 * function returns to. The library puts guest_trap_entries + 16 * vector into
 * the guest's IDT; each entry makes a struct guest_frame and calls guest_trap().
 */
	.text
	.code64

	.balign 16
	.globl	guest_trap_entries
guest_trap_entries:
	vector = 0
	.rept	256
	.balign	16
	/* The exceptions that push an error code: Intel SDM Vol. 3, table 6-1. */
	.if	(vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
	.else
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	vector = vector + 1
	.endr

	.balign	16
trap_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi
	movq	%rsp, %rbx
	andq	$-16, %rsp
	cld
	call	guest_trap
	movq	%rbx, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

	.globl	guest_return
guest_return:
	movw	$0x500, %dx		/* PORT_DONE */
	outl	%eax, %dx
1:	cli
	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
