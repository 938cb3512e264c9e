// SPDX-License-Identifier: GPL-2.0
/*
 * Exits: completed here, or handed to user space through the run page, where only
 * this file writes them. Called by the backend's exit handlers, with preemption off,
 * and by run.c for what is to be done outside.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "hv_internal.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* What a guest that calls without need hears (-KVM_ENOSYS). */
#define HYPERCALL_ENOSYS ((u64)-1000)

void exit_set_reason(struct hv_vcpu *v, u32 reason)
{
	WRITE_ONCE(v->run->exit_reason, reason);
}

/* A step over an instruction ends the shadow, RF, and meets a pending TF. */
void exit_skip(struct hv_vcpu *v)
{
	v->gprs.rip = v->next_rip;
	if (unlikely(v->shadow)) {
		v->shadow = SHADOW_NONE;
		v->scan = true;
	}
	v->gprs.rflags &= ~X86_EFLAGS_RF;
	if (unlikely(v->gprs.rflags & X86_EFLAGS_TF)) {
		hv_op(sync_dr)(v);
		v->dr6 |= DR_STEP;
		hv_op(update_dr)(v);
		event_exception(v, X86_TRAP_DB, false, 0);
	}
}

int exit_cpuid(struct hv_vcpu *v)
{
	u64 *r = v->gprs.r;
	struct cpuid_dynamic dyn;
	struct cpuid_leaf out;

	if ((u32)r[HV_RAX] == 0xd)
		fpu_sync_xcr0(v);
	dyn = (struct cpuid_dynamic){
		.cr4 = v->cr4,
		.xcr0 = v->xcr0,
		.tsc_khz = v->vm->tsc_khz,
		.apic_enabled = lapic_enabled(&v->lapic),
	};
	cpuid_query(&v->cpuid, &dyn, r[HV_RAX], r[HV_RCX], &out);
	r[HV_RAX] = out.eax;
	r[HV_RBX] = out.ebx;
	r[HV_RCX] = out.ecx;
	r[HV_RDX] = out.edx;
	exit_skip(v);
	return EXIT_AGAIN;
}

int exit_rdmsr(struct hv_vcpu *v)
{
	u64 *r = v->gprs.r, value = 0;

	if (msr_read(v, r[HV_RCX], false, &value) != MSR_OK) {
		event_gp(v);
		return EXIT_AGAIN;
	}
	r[HV_RAX] = (u32)value;
	r[HV_RDX] = value >> 32;
	exit_skip(v);
	return EXIT_AGAIN;
}

/* Trap-like: the EOI is done and the instruction complete. */
int exit_eoi(struct hv_vcpu *v)
{
	v->run->exit.eoi.vector = v->lapic.eoi_vector;
	exit_set_reason(v, HV_EXIT_EOI);
	return EXIT_USER;
}

int exit_wrmsr(struct hv_vcpu *v)
{
	u64 *r = v->gprs.r;
	u32 index = r[HV_RCX];
	u64 value = (u32)r[HV_RAX] | r[HV_RDX] << 32;

	if (index >= LAPIC_MSR_FIRST && index <= LAPIC_MSR_LAST && lapic_x2apic(&v->lapic)) {
		int done = irq_apic_write(v, lapic_msr_offset(index), value);

		if (done >= 0) {
			exit_skip(v);
			return done == EXIT_USER ? exit_eoi(v) : done;
		}
	} else if (msr_write(v, index, false, value) == MSR_OK) {
		exit_skip(v);
		return EXIT_AGAIN;
	}
	event_gp(v);
	return EXIT_AGAIN;
}

/* AMD APM Vol. 4, XSETBV */
int exit_xsetbv(struct hv_vcpu *v)
{
	u64 *r = v->gprs.r;
	u64 value = (u32)r[HV_RAX] | r[HV_RDX] << 32;

	if ((u32)r[HV_RCX] || hv_op(cpl)(v) || !state_write_xcr0(v, value))
		event_gp(v);
	else
		exit_skip(v);
	return EXIT_AGAIN;
}

/* No hypercalls are offered yet; a guest may probe for them all the same. */
int exit_hypercall(struct hv_vcpu *v)
{
	v->gprs.r[HV_RAX] = HYPERCALL_ENOSYS;
	exit_skip(v);
	return EXIT_AGAIN;
}

int exit_nothing(struct hv_vcpu *v)
{
	exit_skip(v);
	return EXIT_AGAIN;
}

int exit_undefined(struct hv_vcpu *v)
{
	event_ud(v);
	return EXIT_AGAIN;
}

int exit_forbidden(struct hv_vcpu *v)
{
	event_gp(v);
	return EXIT_AGAIN;
}

int exit_hlt(struct hv_vcpu *v)
{
	exit_skip(v);
	event_take_interrupts(v);
	if (event_wakes(v)) {
		v->scan = true;
		return EXIT_AGAIN;
	}
	v->mp_state = HV_MP_HALTED;
	return EXIT_SLEEP;
}

int exit_halted(struct hv_vcpu *v)
{
	exit_set_reason(v, HV_EXIT_HLT);
	return EXIT_USER;
}

/*
 * What the guest spins for may be the work of a vCPU that waits for a CPU: then that
 * one goes first. The PAUSE is not skipped: it begins the next count.
 */
int exit_pause(struct hv_vcpu *v)
{
	v->yield_to = run_waiting_peer(v);
	return v->yield_to ? EXIT_SLEEP : EXIT_AGAIN;
}

static void complete_later(struct hv_vcpu *v, enum hv_completion how)
{
	v->complete = how;
	v->complete_rip = v->gprs.rip;
}

/*
 * A write rings a doorbell (HV_IOEVENTFD), or goes to user space. Under PREEMPT_RT
 * a signal may sleep, and so waits for the outer loop: see to_user().
 */
static bool rings(struct hv_vcpu *v, bool pio, u64 addr, unsigned int len, u64 value)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT) && iobus_write(v, pio, addr, len, value);
}

/* The run page holds a write that did not ring. */
static int to_user(struct hv_vcpu *v, bool pio, u64 addr, unsigned int len, u64 value)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		return EXIT_USER;
	v->doorbell.pio = pio;
	v->doorbell.addr = addr;
	v->doorbell.len = len;
	v->doorbell.value = value;
	return EXIT_SLEEP;
}

/* The outer loop's part of such a write. EXIT_AGAIN: it rang. */
int exit_ring(struct hv_vcpu *v)
{
	bool rang;

	mutex_lock(&v->vm->lock);
	rang = iobus_write(v, v->doorbell.pio, v->doorbell.addr, v->doorbell.len,
			   v->doorbell.value);
	mutex_unlock(&v->vm->lock);
	v->doorbell.len = 0;
	if (!rang)
		return EXIT_USER;
	exit_complete(v);
	return EXIT_AGAIN;
}

int exit_pio(struct hv_vcpu *v, u16 port, unsigned int len, bool in)
{
	u32 data = in ? 0 : v->gprs.r[HV_RAX] & GENMASK(len * 8 - 1, 0);
	struct hv_run *run = v->run;

	if (!in && rings(v, true, port, len, data)) {
		exit_skip(v);
		return EXIT_AGAIN;
	}
	run->exit.pio.port = port;
	run->exit.pio.len = len;
	run->exit.pio.flags = in ? 0 : HV_IO_WRITE;
	run->exit.pio.data = data;
	complete_later(v, in ? COMPLETE_IN : COMPLETE_SKIP);
	v->io_len = len;
	exit_set_reason(v, HV_EXIT_PIO);
	return in ? EXIT_USER : to_user(v, true, port, len, data);
}

int exit_fetch_failed(struct hv_vcpu *v, int error, unsigned int flags, u64 gpa)
{
	if (error == -EFAULT)
		return EXIT_SLEEP;
	if (error == GUEST_NO_PAGE) {
		/* The processor still goes by an older entry, and would for ever: it is to look itself. */
		v->flush = true;
		return EXIT_AGAIN;
	}
	return exit_error(v, HV_ERROR_FETCH, flags, gpa, v->gprs.rip);
}

/* User space carries the instruction out: give it the bytes and the registers. */
int exit_emulate(struct hv_vcpu *v, u64 gpa, u16 port, bool write)
{
	struct hv_run *run = v->run;
	u8 bytes[16] __aligned(8) = {0};
	unsigned int n;
	int r;

	v->stat[STAT_EMULATE]++;
	n = exit_fetch(v, bytes, 0, gpa, &r);
	if (!n)
		return r;
	run->exit.emulate.gpa = gpa;
	run->exit.emulate.port = port;
	run->exit.emulate.insn_len = n;
	run->exit.emulate.flags = write ? HV_IO_WRITE : 0;
	memcpy(run->exit.emulate.insn, bytes, sizeof(bytes));
	v->exit_groups = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	exit_set_reason(v, HV_EXIT_EMULATE);
	return EXIT_USER;
}

int exit_pio_string(struct hv_vcpu *v, u16 port, bool in)
{
	return exit_emulate(v, NO_GPA, port, !in);
}

/*
 * User space carries the switch out. What came to a task gate stays in the queue until
 * it says, by the group EVENTS, that it has been delivered.
 */
int exit_task(struct hv_vcpu *v, u16 selector, enum hv_task_source source)
{
	const struct hv_event *e = &v->inject;
	struct hv_run *run = v->run;
	unsigned int flags = e->type ? HV_TASK_EVENT : 0;

	if (e->type && e->has_error)
		flags |= HV_TASK_ERROR_CODE;
	if (e->type == EVENT_NMI)
		flags |= HV_TASK_NMI | (v->nmi_count ? HV_TASK_NMI_PENDING : 0);
	run->exit.task.selector = selector;
	run->exit.task.source = source;
	run->exit.task.flags = flags;
	run->exit.task.error = flags & HV_TASK_ERROR_CODE ? e->error : 0;
	run->exit.task.next_rip = v->next_rip;
	v->exit_groups = HV_REGS_ALL;
	exit_set_reason(v, HV_EXIT_TASK);
	return EXIT_USER;
}

int exit_shutdown(struct hv_vcpu *v)
{
	v->exit_groups = HV_REGS_GPR | HV_REGS_SREGS;
	exit_set_reason(v, HV_EXIT_SHUTDOWN);
	return EXIT_USER;
}

void exit_machine_check(void)
{
	asm volatile("int $18");
}

int exit_error(struct hv_vcpu *v, u32 code, u64 reason, u64 info0, u64 info1)
{
	struct hv_run *run = v->run;

	run->exit.error.code = code;
	run->exit.error.pad = 0;
	run->exit.error.hw_reason = reason;
	run->exit.error.hw_info[0] = info0;
	run->exit.error.hw_info[1] = info1;
	v->exit_groups = HV_REGS_GPR | HV_REGS_SREGS;
	exit_set_reason(v, HV_EXIT_ERROR);
	return EXIT_USER;
}

/* The register of the access: AH, CH, DH and BH are in RAX, RCX, RDX and RBX. */
static u64 *insn_reg(struct hv_vcpu *v)
{
	return &v->gprs.r[v->insn.high_byte ? v->insn.reg - 4 : v->insn.reg];
}

static u64 store_value(struct hv_vcpu *v)
{
	const struct decode_insn *i = &v->insn;
	u64 value;

	if (i->immediate)
		value = i->imm;
	else
		value = *insn_reg(v) >> (i->high_byte ? 8 : 0);
	return i->size == 8 ? value : value & GENMASK_ULL(i->size * 8 - 1, 0);
}

static void finish_read(struct hv_vcpu *v, u64 data)
{
	u64 *reg = insn_reg(v);

	*reg = decode_merge(&v->insn, *reg, data);
	exit_skip(v);
}

/* The local APIC's page: other accesses than those to registers read zero and write nothing. */
static int apic_access(struct hv_vcpu *v, u32 offset)
{
	bool ok = v->insn.size == 4 && lapic_is_register(offset);
	u64 value = 0;
	int r = EXIT_AGAIN;

	if (!v->insn.write) {
		if (ok)
			irq_apic_read(v, offset, &value);
		finish_read(v, value);
		return EXIT_AGAIN;
	}
	if (ok)
		r = irq_apic_write(v, offset, store_value(v));
	exit_skip(v);
	return r == EXIT_USER ? exit_eoi(v) : EXIT_AGAIN;
}

static bool is_apic_page(const struct hv_vcpu *v, u64 gpa)
{
	return (gpa & PAGE_MASK) == LAPIC_BASE_DEFAULT && lapic_has_page(&v->lapic);
}

/*
 * Does the access lie in more pages than the one of gpa? The processor reports
 * where it met the fault, which may be the second page of an access that began
 * in the first, so its linear address is asked.
 */
static bool crosses_page(struct hv_vcpu *v, u64 gpa)
{
	const struct decode_insn *i = &v->insn;
	u64 gva = decode_offset(i, v->gprs.r, v->gprs.rip);

	/* In 64-bit mode only FS and GS have a base. */
	if (code_mode(v) != DECODE_64 || i->mem.seg >= SEG_FS)
		gva += hv_op(seg_base)(v, i->mem.seg);
	return (gva ^ gpa) & ~PAGE_MASK || (gva & ~PAGE_MASK) + i->size > PAGE_SIZE;
}

/* An access to what no slot backs, or a write to a read-only slot. */
static int exit_mmio(struct hv_vcpu *v, u64 gpa, unsigned int flags)
{
	struct decode_insn *i = &v->insn;
	struct hv_run *run = v->run;
	u8 bytes[16] __aligned(8);
	bool write = flags & HV_FAULT_WRITE;
	u64 value = 0;
	unsigned int n;
	int r;

	v->stat[STAT_MMIO]++;
	/* Code, page tables, stacks of handlers: nothing that could be emulated. */
	if (flags & (HV_FAULT_FETCH | HV_FAULT_WALK | HV_FAULT_EVENT))
		return exit_error(v, HV_ERROR_FETCH, flags, gpa, v->gprs.rip);
	n = exit_fetch(v, bytes, flags, gpa, &r);
	if (!n)
		return r;
	/*
	 * An access that crosses into another page needs both addresses, which
	 * only the full emulation in user space has.
	 */
	if (!decode_mov(bytes, n, code_mode(v), i) || i->write != write || crosses_page(v, gpa))
		return exit_emulate(v, gpa, 0, write);
	exit_length(v, i->len);
	if (is_apic_page(v, gpa))
		return apic_access(v, gpa & ~PAGE_MASK);
	if (write) {
		value = store_value(v);
		if (rings(v, false, gpa, i->size, value)) {
			exit_skip(v);
			return EXIT_AGAIN;
		}
	}
	run->exit.mmio.gpa = gpa;
	run->exit.mmio.data = value;
	run->exit.mmio.len = i->size;
	run->exit.mmio.flags = write ? HV_IO_WRITE : 0;
	complete_later(v, write ? COMPLETE_SKIP : COMPLETE_MMIO_READ);
	exit_set_reason(v, HV_EXIT_MMIO);
	return write ? to_user(v, false, gpa, i->size, value) : EXIT_USER;
}

int exit_fault(struct hv_vcpu *v, u64 gpa, unsigned int flags)
{
	bool write = flags & HV_FAULT_WRITE;

	if (unlikely(is_apic_page(v, gpa)))
		return exit_mmio(v, gpa, flags);
	switch (stage2_fault_fast(v, gpa, write)) {
	case S2_OK:
	case S2_RETRY:
		return EXIT_AGAIN;
	case S2_SLEEP:
		v->slow_gpa = gpa;
		v->slow_write = write;
		return EXIT_SLEEP;
	case S2_MMIO:
		return exit_mmio(v, gpa, flags);
	case S2_BAD:
	case S2_NOMEM:
		break;
	}
	return exit_error(v, HV_ERROR_MEMORY, flags, gpa, v->gprs.rip);
}

/*
 * The instruction that exited to user space is done: take its result. What is
 * to be completed is known here; only the data comes from the run page.
 */
void exit_complete(struct hv_vcpu *v)
{
	u8 what = v->complete;
	u64 *rax = &v->gprs.r[HV_RAX];
	u32 data;

	v->complete = COMPLETE_NONE;
	/* User space has moved RIP away: the instruction is not to be completed. */
	if (v->gprs.rip != v->complete_rip)
		return;
	switch (what) {
	case COMPLETE_NONE:
		return;
	case COMPLETE_SKIP:
		exit_skip(v);
		return;
	case COMPLETE_IN:
		data = READ_ONCE(v->run->exit.pio.data);
		if (v->io_len == 4)
			*rax = data; /* a 32-bit result clears the upper half */
		else
			*rax = (*rax & ~GENMASK_ULL(v->io_len * 8 - 1, 0)) |
			       (data & GENMASK(v->io_len * 8 - 1, 0));
		exit_skip(v);
		return;
	case COMPLETE_MMIO_READ:
		finish_read(v, READ_ONCE(v->run->exit.mmio.data));
		return;
	}
}
