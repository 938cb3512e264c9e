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
#include <asm/percpu.h>
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

/* The kernel's loop that overwrites the branch history, and when it wants that: each has had two names. */
#if defined(HV_HAVE_CLEAR_BHB)
#define HV_CLEAR_BHB "call clear_bhb_loop"
#elif defined(HV_HAVE_CLEAR_BHB_NOFENCE)
#define HV_CLEAR_BHB "call clear_bhb_loop_nofence"
#endif
#if defined(X86_FEATURE_CLEAR_BHB_VMEXIT)
#define HV_FEATURE_CLEAR_BHB X86_FEATURE_CLEAR_BHB_VMEXIT
#elif defined(X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT)
#define HV_FEATURE_CLEAR_BHB X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
#elif defined(HV_CLEAR_BHB)
#error "the feature that asks for clear_bhb_loop has a name that is not known here"
#endif

/*
 * First after the guest's registers are saved, before any RET or indirect branch:
 * the guest filled the return stack and the predictors with its own addresses.
 * Changes RAX, RCX, RDX and flags.
 */
.macro SPEC_AFTER_EXIT
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE
#if defined(CONFIG_CPU_UNRET_ENTRY) || defined(CONFIG_MITIGATION_UNRET_ENTRY)
	/* Retbleed and SRSO on AMD: RET goes where the kernel's own entry code says. */
#if defined(HV_HAVE_SRSO_ALIAS_UNTRAIN_RET)
	ALTERNATIVE_2 "", "call entry_untrain_ret", X86_FEATURE_UNRET, \
			  "call srso_alias_untrain_ret", X86_FEATURE_SRSO_ALIAS
#elif defined(X86_FEATURE_SRSO_ALIAS)
#error "this kernel's first mitigation of SRSO is not known here: the next point release has another"
#else
	ALTERNATIVE "", "call zen_untrain_ret", X86_FEATURE_UNRET
#endif
#endif
	/* Where the kernel wants the whole predictor forgotten instead. */
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	ALTERNATIVE_2 "jmp .Lno_ibpb_\@", "", X86_FEATURE_ENTRY_IBPB, "", X86_FEATURE_IBPB_ON_VMEXIT
#else
	ALTERNATIVE "jmp .Lno_ibpb_\@", "", X86_FEATURE_ENTRY_IBPB
#endif
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
.Lno_ibpb_\@:
	/*
	 * Where the kernel wants IBRS set while it runs: it restricts only what was learnt
	 * before the write. A handler of an NMI that waits would not write what is set.
	 */
	ALTERNATIVE "jmp .Lno_ibrs_\@", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lno_ibrs_\@:
#ifdef HV_CLEAR_BHB
	/* The branches that led here steer later ones on processors with BHI. */
	ALTERNATIVE "", HV_CLEAR_BHB, HV_FEATURE_CLEAR_BHB
	/* Some kernels leave this to the caller. In one with the call, that would not be patched right. */
	ALTERNATIVE "", "lfence", HV_FEATURE_CLEAR_BHB
#endif
.endm

#endif
