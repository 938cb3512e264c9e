// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupt messages on their way: from MSIs, irqfds and IPIs to the local
 * APICs they name. May run in any context, so it only posts and kicks.
 */
#include <linux/nospec.h>

#include "hv_internal.h"

/* Post one message to one vCPU, and kick that. Returns whether it was accepted. */
static bool post(struct hv_vcpu *v, const struct lapic_msg *msg)
{
	bool accepted = true, pending;

	switch (msg->delivery) {
	case LAPIC_DM_FIXED:
	case LAPIC_DM_LOWEST:
		accepted = lapic_post(&v->lapic, msg->vector, msg->level, &pending);
		if (pending)
			return true; /* coalesced: who posted it first kicks */
		/* One that is refused may be an error, which has an interrupt of its own. */
		vcpu_request(v, REQ_EVENT);
		break;
	case LAPIC_DM_NMI:
		event_post_nmi(v);
		break;
	case LAPIC_DM_INIT:
		/* The de-assert of old does nothing. */
		if (!msg->assert)
			return true;
		event_post_init(v);
		break;
	case LAPIC_DM_SIPI:
		event_post_sipi(v, msg->vector);
		break;
	default:
		/* SMI and ExtINT have no source or no meaning here. */
		return false;
	}
	vcpu_kick(v);
	return accepted;
}

/*
 * Whoever comes second leaves the kick to the first: so that one keeps its CPU until it has kicked.
 */
static bool deliver_one(struct hv_vcpu *v, const struct lapic_msg *msg)
{
	bool accepted;

	preempt_disable();
	accepted = post(v, msg);
	preempt_enable();
	return accepted;
}

/* The one vCPU of a physical, unicast message: ids are indices. */
static bool is_unicast(const struct lapic_msg *msg)
{
	return !msg->shorthand && !msg->logical && msg->dest < HV_MAX_VCPUS;
}

/*
 * Lowest priority: one of those that match and accept it, by turns. Each search begins behind who was
 * found last.
 */
static int deliver_lowest(struct hv_vm *vm, const struct lapic_msg *msg, struct hv_vcpu *from)
{
	unsigned int n = READ_ONCE(vm->nr_vcpus), i = READ_ONCE(vm->lowest_last), left;
	struct hv_vcpu *v;

	for (left = n; left; left--) {
		i = i + 1 < n ? i + 1 : 0;
		v = smp_load_acquire(&vm->vcpus[i]);
		if (v && lapic_match(&v->lapic, msg, v == from) && deliver_one(v, msg)) {
			WRITE_ONCE(vm->lowest_last, i);
			return 1;
		}
	}
	return 0;
}

/* Whoever the message names otherwise. Apart from the most frequent way below. */
static noinline int deliver_matching(struct hv_vm *vm, const struct lapic_msg *msg,
				     struct hv_vcpu *from)
{
	unsigned int i, n = 0;
	struct hv_vcpu *v;

	if (msg->delivery == LAPIC_DM_LOWEST)
		return deliver_lowest(vm, msg, from);
	hv_for_each_vcpu (vm, i, v)
		if (lapic_match(&v->lapic, msg, v == from))
			n += deliver_one(v, msg);
	return n;
}

/*
 * Returns how many vCPUs accepted the message. from: the vCPU that sends an
 * IPI, NULL for a device.
 */
int irq_deliver(struct hv_vm *vm, const struct lapic_msg *msg, struct hv_vcpu *from)
{
	struct hv_vcpu *v;

	if (unlikely(!is_unicast(msg)))
		return deliver_matching(vm, msg, from);
	/* The guest chooses dest: not beyond the array by speculation either. */
	v = smp_load_acquire(&vm->vcpus[array_index_nospec(msg->dest, HV_MAX_VCPUS)]);
	/* Whether it takes a fixed interrupt lapic_post() looks at again. */
	return v && (msg->delivery == LAPIC_DM_FIXED || lapic_match(&v->lapic, msg, v == from)) &&
	       deliver_one(v, msg);
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
	u64 now = unlikely(lapic_reg_of_timer(offset)) ? clock_timer_expire(v) : 0;

	return !(lapic_read(&v->lapic, offset, now, value) & LAPIC_DO_GP);
}

int irq_apic_write(struct hv_vcpu *v, u32 offset, u64 value)
{
	u64 now = unlikely(lapic_reg_of_timer(offset)) ? clock_timer_expire(v) : 0;
	unsigned int todo = lapic_write(&v->lapic, offset, now, value);

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
