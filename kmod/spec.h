/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Speculation at the entry to a guest and the exit from it: macros for enter.S of
 * both backends. docs/speculation.md has the reason of each; spec.c what is done
 * once a stay.
 */
/* clang-format off */
#ifndef HV_SPEC_H
#define HV_SPEC_H

#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

/*
 * Last before the guest's registers are loaded: VERW overwrites the buffers that
 * MDS, TAA, MMIO stale data, RFDS and TSA read. Only the form with an operand in
 * memory does. Changes flags.
 */
.macro SPEC_BEFORE_ENTRY
	cmpb	$0, hv_spec_verw(%rip)
	je	.Lno_verw_\@
	verw	hv_spec_selector(%rip)
.Lno_verw_\@:
.endm

/*
 * First after the guest's registers are saved, before any RET or indirect branch:
 * the guest filled the return stack and the predictors with its own addresses.
 * Changes RAX, RCX, RDX and flags.
 */
.macro SPEC_AFTER_EXIT
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
#if defined(CONFIG_CPU_UNRET_ENTRY) || defined(CONFIG_MITIGATION_UNRET_ENTRY)
	/* Retbleed and SRSO on AMD: RET goes where the kernel's own entry code says. */
	ALTERNATIVE_2 "", "call entry_untrain_ret", X86_FEATURE_UNRET, \
			  "call srso_alias_untrain_ret", X86_FEATURE_SRSO_ALIAS
#endif
	/* Where the kernel wants the whole predictor forgotten instead. */
	ALTERNATIVE_2 "jmp .Lno_ibpb_\@", "", X86_FEATURE_ENTRY_IBPB, "", X86_FEATURE_IBPB_ON_VMEXIT
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
.Lno_ibpb_\@:
.endm

#endif
