// SPDX-License-Identifier: GPL-2.0
/*
 * One short function per exit reason of AMD-V: it decodes what the processor
 * reported and asks the core. AMD APM Vol. 2, appendix C.
 */
#include <asm/processor-flags.h>

#include "svm.h"

#include "../trace.h"

/*
 * Where the instruction that exited ends: from the processor, or by matching its
 * opcode, behind any prefixes. False: *answer is what the exit's handler returns.
 */
static __always_inline bool next_rip(struct hv_vcpu *v, const char *opcode, unsigned int opcode_len,
				     int *answer)
{
	u8 bytes[16] __aligned(8);
	unsigned int n, len;

	if (svm_features.nrips) {
		v->next_rip = to_svm(v)->vmcb->c.next_rip;
		return true;
	}
	n = exit_fetch(v, bytes, 0, NO_GPA, answer);
	if (!n)
		return false;
	if (likely(n == HV_INSN_MAX && !memcmp(bytes, opcode, opcode_len)))
		len = opcode_len;
	else
		len = decode_length(bytes, n, code_mode(v), (const u8 *)opcode, opcode_len);
	if (!len) {
		*answer = exit_error(v, HV_ERROR_FETCH, 0, NO_GPA, v->gprs.rip);
		return false;
	}
	exit_length(v, len);
	return true;
}

/* Run fn once the end of the instruction is known. Inline, so that the opcode is a constant. */
static __always_inline int with_next_rip(struct hv_vcpu *v, const char *opcode,
					 unsigned int opcode_len, int (*fn)(struct hv_vcpu *v))
{
	int answer;

	return next_rip(v, opcode, opcode_len, &answer) ? fn(v) : answer;
}

static int svm_exit_cpuid(struct hv_vcpu *v)
{
	return with_next_rip(v, "\x0f\xa2", 2, exit_cpuid);
}

static int svm_exit_msr(struct hv_vcpu *v)
{
	if (to_svm(v)->vmcb->c.exit_info_1)
		return with_next_rip(v, "\x0f\x30", 2, exit_wrmsr);
	return with_next_rip(v, "\x0f\x32", 2, exit_rdmsr);
}

static int svm_exit_ioio(struct hv_vcpu *v)
{
	struct vmcb_control *c = &to_svm(v)->vmcb->c;
	u64 info = c->exit_info_1;
	u16 port = info >> 16;
	bool in = info & IOIO_IN;

	if (unlikely(info & IOIO_STRING))
		return exit_pio_string(v, port, in);
	v->next_rip = c->exit_info_2;
	return exit_pio(v, port, IOIO_LEN(info), in);
}

static int svm_exit_npf(struct hv_vcpu *v)
{
	struct vmcb_control *c = &to_svm(v)->vmcb->c;
	unsigned int flags = 0;

	if (c->exit_info_1 & NPF_WRITE)
		flags |= HV_FAULT_WRITE;
	if (c->exit_info_1 & NPF_FETCH)
		flags |= HV_FAULT_FETCH;
	if (c->exit_info_1 & NPF_WALK)
		flags |= HV_FAULT_WALK;
	if (c->exit_int_info & EVT_VALID)
		flags |= HV_FAULT_EVENT;
	return exit_fault(v, c->exit_info_2, flags);
}

/* Debug registers are loaded at the first use in a stay; the access then repeats itself. */
static int svm_exit_dr(struct hv_vcpu *v)
{
	svm_load_dr(v);
	return EXIT_AGAIN;
}

static int svm_exit_db(struct hv_vcpu *v)
{
	if (!svm_step_done(v))
		event_exception(v, X86_TRAP_DB, false, 0);
	return EXIT_AGAIN;
}

static int svm_exit_ac(struct hv_vcpu *v)
{
	event_exception(v, X86_TRAP_AC, true, 0);
	return EXIT_AGAIN;
}

/* Decode an access to a control register. As next_rip(). */
static bool fetch_cr(struct hv_vcpu *v, struct decode_cr *i, int *answer)
{
	u8 bytes[16] __aligned(8);
	unsigned int n = exit_fetch(v, bytes, 0, NO_GPA, answer);

	if (!n)
		return false;
	if (!decode_cr(bytes, n, code_mode(v), i)) {
		*answer = exit_error(v, HV_ERROR_FETCH, 0, NO_GPA, v->gprs.rip);
		return false;
	}
	exit_length(v, i->len);
	return true;
}

/* The processor says which register it is; LOCK MOV CR0, for one, is MOV CR8. */
static unsigned int cr_number(u64 code)
{
	return code == SVM_EXIT_CR0_SEL ? 0 : code & 0xf;
}

/* LMSW with an operand in memory is left to user space. */
static int svm_exit_cr_write(struct hv_vcpu *v)
{
	unsigned int cr = cr_number(to_svm(v)->vmcb->c.exit_code);
	struct decode_cr i;
	int answer;
	u64 value;

	if (!fetch_cr(v, &i, &answer))
		return answer;
	if (i.memory)
		return exit_emulate(v, NO_GPA, 0, false);
	value = v->gprs.r[i.gpr];
	if (i.op == DECODE_CLTS)
		value = state_clts(v);
	else if (i.op == DECODE_MSW)
		value = state_lmsw(v, value);
	else if (i.size == 4)
		value = (u32)value;
	if (!state_write_cr(v, cr, value))
		return exit_forbidden(v);
	return exit_nothing(v);
}

/* Of CR0 and CR4, and only while the processor's differ from the guest's. */
static int svm_exit_cr_read(struct hv_vcpu *v)
{
	unsigned int cr = cr_number(to_svm(v)->vmcb->c.exit_code);
	struct decode_cr i;
	int answer;
	u64 *reg;

	if (!fetch_cr(v, &i, &answer))
		return answer;
	if (i.memory)
		return exit_emulate(v, NO_GPA, 0, true);
	reg = &v->gprs.r[i.gpr];
	if (cr == 4) {
		*reg = v->cr4;
	} else {
		svm_sync_cr0(v);
		*reg = i.size == 2 ? (*reg & ~0xffffULL) | (u16)v->cr0 : v->cr0;
	}
	return exit_nothing(v);
}

/*
 * The four counters that every AMD processor has (APM Vol. 3, RDPMC). Like their MSRs
 * they count nothing.
 */
static int exit_rdpmc(struct hv_vcpu *v)
{
	u64 *r = v->gprs.r;

	if ((u32)r[HV_RCX] > 3 || (v->cr0 & X86_CR0_PE && svm_cpl(v) && !(v->cr4 & X86_CR4_PCE)))
		return exit_forbidden(v);
	r[HV_RAX] = 0;
	r[HV_RDX] = 0;
	return exit_nothing(v);
}

static int svm_exit_vmmcall(struct hv_vcpu *v)
{
	return with_next_rip(v, "\x0f\x01\xd9", 3, exit_hypercall);
}

static int svm_exit_unknown(struct hv_vcpu *v)
{
	struct vmcb_control *c = &to_svm(v)->vmcb->c;

	return exit_error(v, HV_ERROR_EXIT, c->exit_code, c->exit_info_1, c->exit_info_2);
}

int svm_handle_exit(struct hv_vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb_control *c = &s->vmcb->c;
	u64 code = c->exit_code;

	trace_hv_exit(v->id, code, v->gprs.rip, c->exit_info_1, c->exit_info_2);
	if (unlikely(s->nmi == NMI_RETURNS))
		svm_nmi_returns(v);
	if (unlikely(s->step)) {
		if (svm_step_fault(v, code))
			return EXIT_AGAIN;
		/* The instruction exited otherwise: what is done about it must not see our TF. */
		if (code != SVM_EXIT_EXCP_DB)
			svm_step_end(v);
	}

	if (unlikely((u32)code == SVM_EXIT_INVALID))
		return exit_error(v, HV_ERROR_ENTRY, code, v->cr0, v->cr4);

	switch (code) {
	case SVM_EXIT_INTR:
		v->stat[STAT_INTERRUPT]++;
		v->intr_exit = true;
		return EXIT_AGAIN;
	case SVM_EXIT_IOIO:
		v->stat[STAT_PIO]++;
		return svm_exit_ioio(v);
	case SVM_EXIT_MSR:
		v->stat[STAT_MSR]++;
		return svm_exit_msr(v);
	case SVM_EXIT_NPF:
		v->stat[STAT_FAULT]++;
		return svm_exit_npf(v);
	case SVM_EXIT_CPUID:
		v->stat[STAT_CPUID]++;
		return svm_exit_cpuid(v);
	case SVM_EXIT_HLT:
		v->stat[STAT_HLT]++;
		return with_next_rip(v, "\xf4", 1, exit_hlt);
	case SVM_EXIT_PAUSE:
		v->stat[STAT_PAUSE]++;
		return exit_pause(v);
	case SVM_EXIT_VINTR:
		v->stat[STAT_WINDOW]++;
		svm_close_interrupt_window(v);
		v->scan = true;
		return EXIT_AGAIN;
	case SVM_EXIT_IRET:
		v->stat[STAT_WINDOW]++;
		svm_exit_iret(v);
		return EXIT_AGAIN;
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
		v->stat[STAT_INTERRUPT]++;
		/* Taken by the host when GIF was set. */
		return EXIT_AGAIN;
	case SVM_EXIT_EXCP_DB:
		v->stat[STAT_EXCEPTION]++;
		return svm_exit_db(v);
	case SVM_EXIT_EXCP_AC:
		v->stat[STAT_EXCEPTION]++;
		return svm_exit_ac(v);
	case SVM_EXIT_EXCP_MC:
		v->stat[STAT_EXCEPTION]++;
		exit_machine_check();
		return EXIT_AGAIN;
	case SVM_EXIT_CR0_READ:
	case SVM_EXIT_CR4_READ:
		v->stat[STAT_CONTROL]++;
		return svm_exit_cr_read(v);
	case SVM_EXIT_CR0_WRITE:
	case SVM_EXIT_CR0_SEL:
	case SVM_EXIT_CR4_WRITE:
	case SVM_EXIT_CR8_WRITE:
		v->stat[STAT_CONTROL]++;
		return svm_exit_cr_write(v);
	case SVM_EXIT_DR0_READ ... SVM_EXIT_DR7_WRITE:
		v->stat[STAT_CONTROL]++;
		return svm_exit_dr(v);
	case SVM_EXIT_XSETBV:
		v->stat[STAT_CONTROL]++;
		return with_next_rip(v, "\x0f\x01\xd1", 3, exit_xsetbv);
	case SVM_EXIT_VMMCALL:
		v->stat[STAT_HYPERCALL]++;
		return svm_exit_vmmcall(v);
	case SVM_EXIT_INVD:
		v->stat[STAT_OTHER]++;
		/* No device bypasses the caches: nothing to do. */
		return with_next_rip(v, "\x0f\x08", 2, exit_nothing);
	case SVM_EXIT_WBINVD:
		v->stat[STAT_OTHER]++;
		if (svm_quirk_is_invd(v))
			return with_next_rip(v, "\x0f\x08", 2, exit_nothing);
		return with_next_rip(v, "\x0f\x09", 2, exit_nothing);
	case SVM_EXIT_RDPMC:
		v->stat[STAT_OTHER]++;
		return with_next_rip(v, "\x0f\x33", 2, exit_rdpmc);
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMMCALL + 1 ... SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_ARMED:
	case SVM_EXIT_RDPRU:
		v->stat[STAT_OTHER]++;
		return exit_undefined(v);
	case SVM_EXIT_FERR_FREEZE:
		v->stat[STAT_OTHER]++;
		/* The old way of x87 errors has no interrupt controller to arrive at: see abi.md. */
		event_exception(v, X86_TRAP_MF, false, 0);
		return EXIT_AGAIN;
	case SVM_EXIT_SHUTDOWN:
		v->stat[STAT_OTHER]++;
		return exit_shutdown(v);
	case SVM_EXIT_INIT:
		/* The host's INIT stays pending; it is taken when GIF is set. */
		return EXIT_AGAIN;
	default:
		return svm_exit_unknown(v);
	}
}
