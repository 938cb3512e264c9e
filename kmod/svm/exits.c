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
 * opcode, behind any prefixes. EXIT_AGAIN with *ok set; otherwise what the exit
 * handler must return.
 */
static __always_inline int next_rip(struct hv_vcpu *v, const char *opcode, unsigned int opcode_len,
				    bool *ok)
{
	struct vmcb *b = to_svm(v)->vmcb;
	u8 bytes[16] __aligned(8);
	unsigned int len;
	int n;

	*ok = true;
	if (svm_features.nrips) {
		v->next_rip = b->c.next_rip;
		return EXIT_AGAIN;
	}
	*ok = false;
	n = guest_fetch(v, bytes);
	if (n == -EFAULT)
		return EXIT_SLEEP;
	/* The guest unmapped the page meanwhile: let it meet its own page fault. */
	if (n == GUEST_NO_PAGE)
		return EXIT_AGAIN;
	if (likely(n == HV_INSN_MAX && !memcmp(bytes, opcode, opcode_len)))
		len = opcode_len;
	else
		len = n < 0 ? 0
			    : decode_length(bytes, n, code_mode(v), (const u8 *)opcode, opcode_len);
	if (!len)
		return exit_error(v, HV_ERROR_FETCH, 0, v->gprs.rip, 0);
	v->next_rip = v->gprs.rip + len;
	if (code_mode(v) != DECODE_64)
		v->next_rip = (u32)v->next_rip;
	*ok = true;
	return EXIT_AGAIN;
}

/* Run fn once the end of the instruction is known. Inline, so that the opcode is a constant. */
static __always_inline int with_next_rip(struct hv_vcpu *v, const char *opcode,
					 unsigned int opcode_len, int (*fn)(struct hv_vcpu *v))
{
	bool ok;
	int r = next_rip(v, opcode, opcode_len, &ok);

	return ok ? fn(v) : r;
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

static int skip(struct hv_vcpu *v)
{
	exit_skip(v);
	return EXIT_AGAIN;
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
		event_exception(v, 1, false, 0);
	return EXIT_AGAIN;
}

static int svm_exit_ac(struct hv_vcpu *v)
{
	event_exception(v, 17, true, 0);
	return EXIT_AGAIN;
}

/* A control register instruction: which register, and from or to where. */
struct cr_access {
	unsigned int cr, gpr;
	bool msw;    /* LMSW or SMSW */
	bool memory; /* with an operand in memory */
	bool clts;
};

/*
 * Decode MOV to or from a control register (mov is its opcode), LMSW, SMSW or
 * CLTS. As next_rip(): *ok, or what the exit handler must return.
 */
static int decode_cr(struct hv_vcpu *v, const char *mov, struct cr_access *a, bool *ok)
{
	u64 code = to_svm(v)->vmcb->c.exit_code;
	enum decode_mode mode = code_mode(v);
	u8 bytes[16] __aligned(8), modrm, rex = 0;
	unsigned int len = 0;
	int n;

	*ok = false;
	*a = (struct cr_access){0};
	n = guest_fetch(v, bytes);
	if (n == -EFAULT)
		return EXIT_SLEEP;
	if (n == GUEST_NO_PAGE)
		return EXIT_AGAIN;
	if (n > 0) {
		len = decode_length(bytes, n, mode, (const u8 *)mov, 2);
		if (!len) {
			len = decode_length(bytes, n, mode, (const u8 *)"\x0f\x01", 2);
			a->msw = true;
		}
	}
	if (!len && n > 0) {
		len = decode_length(bytes, n, mode, (const u8 *)"\x0f\x06", 2);
		a->clts = len;
		v->next_rip = v->gprs.rip + len;
		*ok = len;
		if (len)
			return EXIT_AGAIN;
	}
	if (!len || len >= (unsigned int)n)
		return exit_error(v, HV_ERROR_FETCH, 0, v->gprs.rip, 0);
	modrm = bytes[len];
	if (mode == DECODE_64 && len > 2 && (bytes[len - 3] & 0xf0) == 0x40)
		rex = bytes[len - 3];
	/* The processor says which register it is; LOCK MOV CR0, for one, is MOV CR8. */
	if (!a->msw && code != SVM_EXIT_CR0_SEL)
		a->cr = code & 0xf;
	a->gpr = (modrm & 7) | (rex & 1 ? 8 : 0);
	/* MOV ignores the mode bits: its operand is always a register. */
	a->memory = a->msw && modrm < 0xc0;
	v->next_rip = v->gprs.rip + len + 1;
	*ok = true;
	return EXIT_AGAIN;
}

/* LMSW with an operand in memory is left to user space. */
static int svm_exit_cr_write(struct hv_vcpu *v)
{
	struct cr_access a;
	u64 value;
	bool ok;
	int r = decode_cr(v, "\x0f\x22", &a, &ok);

	if (!ok)
		return r;
	if (a.memory)
		return exit_emulate(v, ~0ULL, 0, false);
	value = v->gprs.r[a.gpr];
	if (code_mode(v) != DECODE_64)
		value = (u32)value;
	svm_sync_cr0(v);
	if (a.clts)
		value = state_clts(v);
	else if (a.msw)
		value = state_lmsw(v, value);
	if (state_write_cr(v, a.cr, value))
		exit_skip(v);
	else
		event_gp(v);
	v->scan = true;
	return EXIT_AGAIN;
}

/* Only CR0 is intercepted, and only while it has bits that the processor does not see. */
static int svm_exit_cr0_read(struct hv_vcpu *v)
{
	struct cr_access a;
	u64 *reg;
	bool ok;
	int r = decode_cr(v, "\x0f\x20", &a, &ok);

	if (!ok)
		return r;
	if (a.memory)
		return exit_emulate(v, ~0ULL, 0, true);
	svm_sync_cr0(v);
	reg = &v->gprs.r[a.gpr];
	*reg = code_mode(v) == DECODE_64 ? v->cr0 : (*reg & ~0xffffffffULL) | v->cr0;
	exit_skip(v);
	return EXIT_AGAIN;
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
	if (unlikely(s->nmi_awaits_iret))
		svm_nmi_iret_done(v);
	if (unlikely(svm_step_fault(v, code)))
		return EXIT_AGAIN;
	/* The instruction exited otherwise: what is done about it must not see our TF. */
	if (unlikely(s->step && code != SVM_EXIT_EXCP_DB))
		svm_step_off(v);

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
		v->stat[STAT_CONTROL]++;
		return svm_exit_cr0_read(v);
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
		return with_next_rip(v, "\x0f\x08", 2, skip);
	case SVM_EXIT_WBINVD:
		v->stat[STAT_OTHER]++;
		return with_next_rip(v, "\x0f\x09", 2, skip);
	case SVM_EXIT_RDPMC:
		v->stat[STAT_OTHER]++;
		event_gp(v);
		return EXIT_AGAIN;
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMMCALL + 1 ... SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_ARMED:
	case SVM_EXIT_RDPRU:
		v->stat[STAT_OTHER]++;
		event_ud(v);
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
