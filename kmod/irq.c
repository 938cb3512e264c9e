// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupt messages on their way: from MSIs, irqfds and IPIs to the local
 * APICs they name. May run in any context, so it only posts and kicks.
 */
#include <linux/ktime.h>
#include <linux/nospec.h>

#include "hv_internal.h"

/* Hand one message to one vCPU. Returns whether it was accepted. */
static bool deliver_one(struct hv_vcpu *v, const struct lapic_msg *msg)
{
	bool pending;

	switch (msg->delivery) {
	case LAPIC_DM_FIXED:
	case LAPIC_DM_LOWEST:
		if (!lapic_post(&v->lapic, msg->vector, msg->level, &pending))
			return false;
		if (pending)
			return true; /* coalesced: who posted it first has kicked */
		vcpu_request(v, REQ_EVENT);
		break;
	case LAPIC_DM_NMI:
		event_post_nmi(v);
		break;
	case LAPIC_DM_INIT:
		/* The de-assert of old does nothing. */
		if (!msg->assert)
			return true;
		clear_bit(REQ_SIPI, &v->requests);
		vcpu_request(v, REQ_INIT);
		break;
	case LAPIC_DM_SIPI:
		WRITE_ONCE(v->sipi_vector, msg->vector);
		vcpu_request(v, REQ_SIPI);
		break;
	default:
		/* SMI and ExtINT have no source or no meaning here. */
		return false;
	}
	vcpu_kick(v);
	return true;
}

/* The one vCPU of a physical, unicast message: ids are indices. */
static bool is_unicast(const struct lapic_msg *msg)
{
	return !msg->shorthand && !msg->logical && msg->dest < HV_MAX_VCPUS;
}

/*
 * Returns how many vCPUs accepted the message. from: the vCPU that sends an
 * IPI, NULL for a device.
 */
int irq_deliver(struct hv_vm *vm, const struct lapic_msg *msg, struct hv_vcpu *from)
{
	unsigned int i, n = 0, matches = 0, turn;
	struct hv_vcpu *v;

	if (likely(is_unicast(msg))) {
		/* The guest chooses dest: not beyond the array by speculation either. */
		v = smp_load_acquire(&vm->vcpus[array_index_nospec(msg->dest, HV_MAX_VCPUS)]);
		return v ? deliver_one(v, msg) : 0;
	}
	if (msg->delivery != LAPIC_DM_LOWEST) {
		hv_for_each_vcpu (vm, i, v)
			if (lapic_match(&v->lapic, msg, v == from))
				n += deliver_one(v, msg);
		return n;
	}

	/* Lowest priority: one of those that match, by turns. */
	hv_for_each_vcpu (vm, i, v)
		matches += lapic_match(&v->lapic, msg, v == from);
	if (!matches)
		return 0;
	turn = (unsigned long)vm->lowest_rr++ % matches;
	hv_for_each_vcpu (vm, i, v)
		if (lapic_match(&v->lapic, msg, v == from) && turn-- == 0)
			return deliver_one(v, msg);
	return 0;
}

/* -EINVAL: not the address or data of an MSI. */
int irq_deliver_msi(struct hv_vm *vm, u64 addr, u32 data)
{
	struct lapic_msg msg;

	if (!lapic_msi_msg(addr, data, &msg))
		return -EINVAL;
	return irq_deliver(vm, &msg, NULL);
}

bool irq_apic_read(struct hv_vcpu *v, u32 offset, u64 *value)
{
	u64 now = offset == APIC_REG_TIMER_CURRENT ? ktime_get_ns() : 0;

	return !(lapic_read(&v->lapic, offset, now, value) & LAPIC_DO_GP);
}

int irq_apic_write(struct hv_vcpu *v, u32 offset, u64 value)
{
	unsigned int todo = lapic_write(&v->lapic, offset, value);

	if (todo & LAPIC_DO_GP)
		return -EINVAL;
	if (todo & LAPIC_DO_ICR) {
		struct lapic_msg msg = lapic_icr_msg(&v->lapic);

		irq_deliver(v->vm, &msg, v);
	}
	if (todo & LAPIC_DO_TIMER)
		clock_timer_update(v);
	if (todo & LAPIC_DO_SCAN)
		v->scan = true;
	return todo & LAPIC_DO_EOI ? EXIT_USER : EXIT_AGAIN;
}
