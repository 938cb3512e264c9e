// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Completes HV_EXIT_EMULATE: decodes with Zydis, carries the instruction out on
 * a copy of the registers, and hands the result or an exception to the run page.
 * Called by vcpu.c on vCPU threads. Registers, memory and ports are behind
 * access.c, operands behind operand.c; each class of instructions has
 * a file of its own.
 *
 * The decoder is given only bytes that were copied once, so the instruction
 * cannot change between its decoding and its execution; since another vCPU may
 * have changed it before, nothing here trusts that it is the one that exited:
 * every access passes the checks of the guest's current privilege level.
 */
#include <stdio.h>
#include <string.h>

#include "emulate/decode.h"
#include "emulate/internal.h"

/* ------------------------------------------------------------------------- */
/* Decoding                                                                   */

static bool init_decoder(const struct emu *emu, ZydisDecoder *decoder)
{
	const struct hv_sregs *s = &emu->run->sregs;
	ZydisStackWidth stack = s->ss.ar & HV_AR_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	ZydisMachineMode mode;

	if (emu_is_long(emu)) {
		mode = ZYDIS_MACHINE_MODE_LONG_64;
		stack = ZYDIS_STACK_WIDTH_64;
	} else if (s->cs.ar & HV_AR_DB) {
		mode = ZYDIS_MACHINE_MODE_LEGACY_32;
	} else if (s->cr0 & CR0_PE) {
		mode = ZYDIS_MACHINE_MODE_LEGACY_16;
	} else {
		mode = ZYDIS_MACHINE_MODE_REAL_16;
	}
	return ZYAN_SUCCESS(ZydisDecoderInit(decoder, mode, stack));
}

/* One more byte of the instruction, from the guest's memory. */
static enum emu_result fetch_byte(struct emu *emu, unsigned int index, uint8_t *byte)
{
	uint64_t offset = emu->gprs.rip + index;
	struct walk_range access;
	enum emu_result ret;

	ret = emu_translate_fetch(emu, emu_is_long(emu) ? offset : (uint32_t)offset, &access);
	if (ret != EMU_OK)
		return ret;
	/* No instruction is worth a read that a device would notice. */
	if (!access.part[0].ram)
		return EMU_UNKNOWN;
	*byte = (uint8_t)emu_load(emu, &access);
	return EMU_OK;
}

/* The module gives the bytes it has; those that are missing are fetched. */
static enum emu_result decode(struct emu *emu)
{
	uint8_t bytes[HV_INSN_MAX];
	unsigned int len = emu->run->exit.emulate.insn_len;
	ZydisDecoder decoder;
	ZyanStatus status;
	enum emu_result ret;

	if (len > HV_INSN_MAX)
		len = HV_INSN_MAX;
	memcpy(bytes, emu->run->exit.emulate.insn, len);
	if (!init_decoder(emu, &decoder))
		return EMU_UNKNOWN;

	for (;;) {
		status = decode_instruction(&decoder, bytes, len, &emu->insn, emu->op);
		if (ZYAN_SUCCESS(status)) {
			emu->next_rip = emu->gprs.rip + emu->insn.length;
			return EMU_OK;
		}
		if (status != ZYDIS_STATUS_NO_MORE_DATA || len == HV_INSN_MAX)
			return EMU_UNKNOWN;
		ret = fetch_byte(emu, len, &bytes[len]);
		if (ret != EMU_OK)
			return ret;
		len++;
	}
}

/* ------------------------------------------------------------------------- */
/* Execution                                                                  */

static enum emu_result execute(struct emu *emu)
{
	static enum emu_result (*const classes[])(struct emu * emu) = {
		emu_string, emu_data,	emu_exchange16, emu_flow,   emu_segment_load,
		emu_stack,  emu_verify, emu_system,	emu_vector, emu_x87};
	enum emu_result ret = EMU_UNKNOWN;

	for (unsigned int i = 0; i < sizeof(classes) / sizeof(classes[0]) && ret == EMU_UNKNOWN;
	     i++)
		ret = classes[i](emu);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Completion                                                                 */

static void set_exception(struct emu *emu)
{
	struct hv_events *events = &emu->run->events;

	events->exception = HV_EVENT_PENDING | (emu->fault.has_error ? HV_EVENT_ERROR_CODE : 0);
	events->exception_vector = emu->fault.vector;
	events->exception_error = emu->fault.has_error ? emu->fault.error : 0;
	emu->run->dirty |= HV_REGS_EVENTS;
}

/* The shadow of the instruction before is over; that of this one may begin. */
static void set_shadow(struct emu *emu, enum hv_interrupt_shadow shadow)
{
	if (emu->run->events.shadow == shadow)
		return;
	emu->run->events.shadow = shadow;
	emu->run->dirty |= HV_REGS_EVENTS;
}

static void set_gprs(struct emu *emu, const struct hv_gprs *gprs)
{
	emu->run->gprs = *gprs;
	emu->run->dirty |= HV_REGS_GPR;
}

static void single_step_trap(struct emu *emu)
{
	if (emu->run->valid & HV_REGS_DREGS) {
		emu->run->dregs.dr6 |= DR6_BS;
		emu->run->dirty |= HV_REGS_DREGS;
	}
	emu->fault.vector = VECTOR_DB;
	emu->fault.has_error = false;
	set_exception(emu);
}

/* Completed, or one more element of a repeated instruction. */
static void finish_step(struct emu *emu, bool completed)
{
	/* One that it changes itself counts from the next instruction on. */
	bool stepping = emu->run->gprs.rflags & FLAG_TF;

	if (completed) {
		emu->gprs.rip = emu_is_long(emu) ? emu->next_rip : (uint32_t)emu->next_rip;
		emu->gprs.rflags &= ~FLAG_RF;
	}
	set_gprs(emu, &emu->gprs);
	set_shadow(emu, emu->shadow);
	/* The shadow holds debug exceptions off, too. */
	if (stepping && !emu->shadow)
		single_step_trap(emu);
}

static void finish_fault(struct emu *emu)
{
	set_gprs(emu, &emu->safe);
	if (emu->fault.has_cr2) {
		emu->run->sregs.cr2 = emu->fault.cr2;
		emu->run->dirty |= HV_REGS_SREGS;
	}
	set_shadow(emu, HV_SHADOW_NONE);
	set_exception(emu);
}

static void explain(const struct emu *emu, bool decoded, char *why, size_t why_size)
{
	const union hv_exit *exit = &emu->run->exit;
	const char *name = decoded ? ZydisMnemonicGetString(emu->insn.mnemonic) : "an instruction";
	char bytes[3 * HV_INSN_MAX + 1] = "";
	unsigned int i, len = exit->emulate.insn_len;

	for (i = 0; i < len && i < HV_INSN_MAX; i++)
		snprintf(bytes + i * 3, 4, " %02x", exit->emulate.insn[i]);
	if (exit->emulate.gpa == ~0ULL)
		snprintf(why, why_size, "cannot emulate %s (bytes%s) on port %#x", name, bytes,
			 exit->emulate.port);
	else
		snprintf(why, why_size, "cannot emulate %s (bytes%s) on the device address %#llx",
			 name, bytes, (unsigned long long)exit->emulate.gpa);
}

enum emulate_result emulate(const struct emulate_env *env, struct hv_run *run, char *why,
			    size_t why_size)
{
	struct emu emu = {.env = env, .run = run, .gprs = run->gprs, .safe = run->gprs};
	enum emu_result ret = decode(&emu);
	bool decoded = ret == EMU_OK;

	if (decoded)
		ret = execute(&emu);

	/* A program of the guest must not be able to end its VM. */
	if (ret == EMU_UNKNOWN && emu_cpl(&emu) == 3)
		ret = emu_raise(&emu, VECTOR_UD, false, 0);

	switch (ret) {
	case EMU_OK:
		finish_step(&emu, true);
		break;
	case EMU_PART:
		finish_step(&emu, false);
		break;
	case EMU_RETRY:
		/* Finished elements stay finished, and the rest is executed anew. */
		set_gprs(&emu, &emu.safe);
		break;
	case EMU_FAULT:
		finish_fault(&emu);
		break;
	case EMU_UNKNOWN:
		explain(&emu, decoded, why, why_size);
		return EMULATE_FAILED;
	case EMU_BROKEN:
		snprintf(why, why_size, "the module did not give, or take, vector registers: %s",
			 strerror(emu.error));
		return EMULATE_HOST_FAILED;
	}
	return EMULATE_DONE;
}
