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
	REGS_PUSH_HOST
	push	%rdx
	push	%rdi

	SPEC_BEFORE_ENTRY
	mov	%rsi, %rax
	REGS_LOAD_GUEST

	/* With V_INTR_MASKING the host's IF says whether interrupts end the guest's stay. */
	clgi
	sti
	vmload	%rax
	vmrun	%rax
	vmsave	%rax

	/* RAX and RSP are the host's again. */
	pop	%rax
	REGS_SAVE_GUEST

	pop	%rax
	vmload	%rax
	cli

	/* Before STGI, behind which an NMI's handler may return. */
	SPEC_AFTER_EXIT
	stgi

	REGS_CLEAR
	REGS_POP_HOST
	RET
SYM_FUNC_END(svm_vmrun)
