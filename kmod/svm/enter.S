/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch: from the host's registers to the guest's and back. AMD APM
 * Vol. 2, 15.5. Called by svm_enter() with interrupts off.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

#include "../regs.h"
#include "../spec.h"

	.text

/*
 * void svm_vmrun(u64 *regs, u64 vmcb_pa, u64 host_vmcb_pa)
 *
 * GIF is zero from CLGI to STGI, so nothing, not even an NMI, meets the guest's
 * FS, GS, TR and system call MSRs, which VMRUN and #VMEXIT leave as they are.
 */
SYM_FUNC_START(svm_vmrun)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdx
	push	%rdi

	SPEC_BEFORE_ENTRY
	mov	%rsi, %rax
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

	/* With V_INTR_MASKING the host's IF says whether interrupts end the guest's stay. */
	clgi
	sti
	vmload	%rax
	vmrun	%rax
	vmsave	%rax

	/* RAX and RSP are the host's again. */
	pop	%rax
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

	pop	%rax
	vmload	%rax
	cli

	/* Before STGI, behind which an NMI's handler may return. */
	SPEC_AFTER_EXIT
	stgi

	/* Nothing the guest left in a register is used by speculation. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_vmrun)
