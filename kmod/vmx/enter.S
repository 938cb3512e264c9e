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

/* As in vmcs.h, which is C. */
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
	REGS_PUSH_HOST
	push	%rdi
	push	%rdi

	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax

	SPEC_BEFORE_ENTRY
	/* The flags of this test last until the jump. */
	test	%sil, %sil
	mov	R_AX(%rdi), %rax
	REGS_LOAD_GUEST

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
	REGS_SAVE_GUEST
	mov	(%rsp), %rcx
	mov	%rcx, R_AX(%rax)

	SPEC_AFTER_EXIT

	mov	$1, %eax
	jmp	3f
2:	xor	%eax, %eax

3:	REGS_CLEAR
	add	$16, %rsp
	REGS_POP_HOST
	RET
SYM_FUNC_END(vmx_run)
