/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector and x87 registers, by hand, since the tests must know who touches them.
 * Called by tests/abi/state.c in the guest and in the host.
 */
	.text
	.code64

/*
 * void vector_fill(const void *image, int avx): XMM0-15, or with avx YMM0-15,
 * from 16 x 32 bytes.
 * void vector_store(void *image, int avx): the reverse.
 */
	.globl	vector_fill
vector_fill:
	testl	%esi, %esi
	jnz	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	32 * \n(%rdi), %xmm\n
	.endr
	ret
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	32 * \n(%rdi), %ymm\n
	.endr
	ret

	.globl	vector_store
vector_store:
	testl	%esi, %esi
	jnz	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	%xmm\n, 32 * \n(%rdi)
	.endr
	ret
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	%ymm\n, 32 * \n(%rdi)
	.endr
	ret

/*
 * long vector_syscall(number, a, b, c, in, out): a system call between loading
 * 16 YMM registers from "in" and storing them to "out", with MXCSR and the x87
 * control word (both in bytes 512.. of the images) treated alike.
 */
	.globl	vector_syscall
vector_syscall:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	32 * \n(%r8), %ymm\n
	.endr
	ldmxcsr	512(%r8)
	fldcw	516(%r8)
	fldl	520(%r8)
	pushq	%r9
	syscall
	popq	%r9
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovups	%ymm\n, 32 * \n(%r9)
	.endr
	stmxcsr	512(%r9)
	fnstcw	516(%r9)
	fstpl	520(%r9)
	vzeroupper
	ret

/* void x87_fill(const double *eight), void x87_store(double *eight): the whole stack. */
	.globl	x87_fill
x87_fill:
	fninit
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	fldl	8 * \n(%rdi)
	.endr
	ret

	.globl	x87_store
x87_store:
	.irp	n, 7, 6, 5, 4, 3, 2, 1, 0
	fstpl	8 * \n(%rdi)
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
