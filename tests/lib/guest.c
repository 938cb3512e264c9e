// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's own small library: what happens on a trap, and its local APIC.
 * Runs inside guests only; called by tests/flat/trap.S and the guest halves of
 * the tests.
 */
#include "guest.h"

struct guest_cpu guest_cpus[GUEST_CPUS];
struct guest_report guest_report;
uint64_t guest_tsc_khz;
const uint64_t guest_cpu_size = sizeof(struct guest_cpu);

GUEST uint32_t guest_apic_read(uint32_t offset)
{
	if (guest_cpu()->x2apic)
		return (uint32_t)rdmsr(G_MSR_X2APIC + offset / 16);
	return *(volatile uint32_t *)(G_APIC_MMIO + offset);
}

GUEST void guest_apic_write(uint32_t offset, uint32_t value)
{
	if (guest_cpu()->x2apic)
		wrmsr(G_MSR_X2APIC + offset / 16, value);
	else
		*(volatile uint32_t *)(G_APIC_MMIO + offset) = value;
}

GUEST void guest_apic_enable(bool x2apic)
{
	if (x2apic)
		wrmsr(G_MSR_APIC_BASE,
		      rdmsr(G_MSR_APIC_BASE) | G_APIC_BASE_ENABLE | G_APIC_BASE_EXTD);
	guest_cpu()->x2apic = x2apic;
	guest_apic_write(G_APIC_SVR, 0x1ff);
}

GUEST void guest_apic_send(uint32_t dest, uint32_t icr_low)
{
	if (guest_cpu()->x2apic) {
		wrmsr(G_MSR_X2APIC + G_APIC_ICR / 16, (uint64_t)dest << 32 | icr_low);
		return;
	}
	guest_apic_write(G_APIC_ICR2, dest << 24);
	guest_apic_write(G_APIC_ICR, icr_low);
}

GUEST void guest_self_ipi(uint8_t vector)
{
	if (guest_cpu()->x2apic)
		wrmsr(G_MSR_X2APIC + G_APIC_SELF_IPI / 16, vector);
	else
		guest_apic_write(G_APIC_ICR, 0x40000u | vector);
}

GUEST void guest_trap(struct guest_frame *f)
{
	struct guest_cpu *c = guest_cpu();
	uint8_t vector = (uint8_t)f->vector;

	/*
	 * An interrupt at the first instruction of its own handler, where interrupts
	 * are off: QEMU's emulation (7.2) delivers what VMRUN injects a second time
	 * when its own I/O thread happens to interrupt it right then. This is why
	 * interrupts have no stack of their own: the second frame would bury the first.
	 */
	if (vector >= 32 && f->rip == (uintptr_t)guest_trap_entries + 16 * vector)
		return;
	c->count[vector]++;
	c->rip = f->rip;
	if (vector >= 32)
		c->interrupt = vector;
	if (c->hook && c->hook(f))
		return;
	if (vector >= 32) {
		guest_apic_write(G_APIC_EOI, 0);
		return;
	}
	if (vector == 2)
		return;
	c->vector = vector;
	c->error = f->error;
	if (vector == 14)
		c->cr2 = GUEST_READ_CR(2);
	if (!c->fixup)
		outl(vector, PORT_TRAP);
	f->rip = c->fixup;
	c->fixup = 0;
}
