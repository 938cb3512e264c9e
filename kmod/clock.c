// SPDX-License-Identifier: GPL-2.0
/*
 * Time for guests: the TSC by a ratio and an offset, the LAPIC timer on an hrtimer, or its
 * deadline on a timer of the backend's that ends a stay in the guest, and
 * kvm-clock (Documentation/virt/kvm/x86/msr.rst describes that interface).
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/timekeeping.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>

#include "hv_internal.h"

/* Bit 0 of the system time MSR */
#define SYSTEM_TIME_ENABLE 1

/* A TSC of the host's at the guest's rate: the guest sees it with its offset added. */
static u64 scale_tsc(const struct hv_vm *vm, u64 tsc)
{
	return vm->tsc_ratio ? mul_u64_u64_shr(tsc, vm->tsc_ratio, HV_TSC_FRACTION) : tsc;
}

/* From now on the VM's clock goes on from ns, and its TSC from tsc. With (m). */
static void set_clock(struct hv_vm *vm, u64 ns, u64 tsc, bool stopped)
{
	struct hv_clock_base c = {
		.ns = ns,
		.changes = vm->clock.changes + 1,
		.stops = vm->clock.stops + stopped,
	};

	raw_spin_lock(&vm->clock_lock);
	c.tsc = scale_tsc(vm, rdtsc_ordered());
	c.mono = ktime_get_ns();
	c.tsc_offset = tsc - c.tsc;
	vm->clock = c;
	raw_spin_unlock(&vm->clock_lock);
}

/* They go on as they did, and the vCPUs look again. With (m). */
static void keep_clock(struct hv_vm *vm, bool stopped)
{
	raw_spin_lock(&vm->clock_lock);
	vm->clock.stops += stopped;
	WRITE_ONCE(vm->clock.changes, vm->clock.changes + 1);
	raw_spin_unlock(&vm->clock_lock);
}

int clock_vm_init(struct hv_vm *vm, u32 khz)
{
	vm->tsc_khz = tsc_khz;
	if (khz && khz != tsc_khz) {
		if (khz < HV_TSC_KHZ_MIN || khz > HV_TSC_KHZ_MAX)
			return -EINVAL;
		if (!hv_host.scales_tsc)
			return -EOPNOTSUPP;
		vm->tsc_khz = khz;
		vm->tsc_ratio = mul_u64_u64_div_u64(BIT_ULL(HV_TSC_FRACTION), khz, tsc_khz);
	}
	raw_spin_lock_init(&vm->clock_lock);
	/* Guests start counting at zero; one base for all vCPUs keeps them in step. */
	set_clock(vm, 0, 0, false);
	return 0;
}

int clock_set(struct hv_vm *vm, const struct hv_clock *c)
{
	if (c->tsc_khz != vm->tsc_khz)
		return -EINVAL;
	if (c->flags & HV_CLOCK_KEEP)
		keep_clock(vm, c->flags & HV_CLOCK_STOPPED);
	else
		set_clock(vm, c->ns, c->tsc, c->flags & HV_CLOCK_STOPPED);
	/* One that is in HV_RUN follows at once, the others at their next call. */
	vcpu_request_all(vm, REQ_CLOCK);
	return 0;
}

void clock_follow(struct hv_vcpu *v)
{
	struct hv_clock_base old = v->clock;

	if (likely(READ_ONCE(v->vm->clock.changes) == old.changes))
		return;
	raw_spin_lock(&v->vm->clock_lock);
	v->clock = v->vm->clock;
	raw_spin_unlock(&v->vm->clock_lock);
	if (v->clock.stops != old.stops)
		v->stopped = true;
	clock_move_tsc(v, v->clock.tsc_offset - old.tsc_offset);
}

u64 clock_guest_tsc(const struct hv_vcpu *v)
{
	return scale_tsc(v->vm, rdtsc()) + v->tsc_offset;
}

/* TSC_ADJUST is what the guest has done to its TSC: Intel SDM Vol. 3, "IA32_TSC_ADJUST Register Support". */
void clock_write_tsc(struct hv_vcpu *v, bool host, u64 value)
{
	u64 difference = value - clock_guest_tsc(v);

	if (!host)
		v->tsc_adjust += difference;
	clock_move_tsc(v, difference);
}

void clock_move_tsc(struct hv_vcpu *v, u64 difference)
{
	v->tsc_offset += difference;
	hv_op(update_tsc_offset)(v);
	vcpu_request(v, REQ_CLOCK);
	clock_timer_update(v);
}

/* ------------------------------------------------------------------------- */
/* LAPIC timer                                                                */

/*
 * The timer's registers and what has become of them belong to the vCPU's thread: it looks what
 * has run out by now, latches the interrupt and arms the hrtimer for the next time. That
 * only makes it look.
 */
static enum hrtimer_restart timer_fire(struct hrtimer *t)
{
	struct hv_vcpu *v = container_of(t, struct hv_vcpu, timer);

	vcpu_request(v, REQ_TIMER);
	vcpu_kick(v);
	return HRTIMER_NORESTART;
}

void clock_timer_init(struct hv_vcpu *v)
{
	hrtimer_setup(&v->timer, timer_fire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
}

void clock_timer_destroy(struct hv_vcpu *v)
{
	hrtimer_cancel(&v->timer);
}

/* The LVT entry fires. */
static void timer_post(struct hv_vcpu *v)
{
	struct lapic_msg msg;
	bool pending;

	if (lapic_lvt_msg(&v->lapic, APIC_REG_LVT_TIMER, &msg))
		lapic_post(&v->lapic, msg.vector, false, &pending);
	v->scan = true;
}

u64 clock_timer_expire(struct hv_vcpu *v)
{
	struct lapic *l = &v->lapic;
	u64 now;

	if (lapic_timer_mode(l) == APIC_TIMER_DEADLINE) {
		if (l->tsc_deadline && !clock_until_deadline(v)) {
			l->tsc_deadline = 0;
			timer_post(v);
		}
		return 0;
	}
	now = ktime_get_ns();
	if (lapic_timer_expire(l, now))
		timer_post(v);
	return now;
}

/* Bounded, so that neither divisions nor the timer overflow: four years. */
static u64 bounded_ticks(const struct hv_vm *vm, u64 ticks)
{
	return min_t(u64, ticks, (u64)vm->tsc_khz * (KTIME_MAX / 64 / USEC_PER_SEC));
}

u64 clock_host_ticks(const struct hv_vm *vm, u64 ticks)
{
	if (likely(!vm->tsc_ratio))
		return ticks;
	return mul_u64_u64_div_u64(bounded_ticks(vm, ticks), BIT_ULL(HV_TSC_FRACTION),
				   vm->tsc_ratio);
}

/* When somebody must look at the timer, in CLOCK_MONOTONIC; 0: nobody need. */
static u64 timer_due_ns(const struct hv_vcpu *v)
{
	const struct lapic *l = &v->lapic;
	u64 period = lapic_timer_period_ns(l), ticks;

	if (lapic_timer_mode(l) != APIC_TIMER_DEADLINE)
		return period && l->timer_start_ns ? l->timer_start_ns + period : 0;
	/* The backend looks after the deadline of a vCPU that runs. */
	if (!l->tsc_deadline || (hv_host.stay_timer && v->mp_state == HV_MP_RUNNABLE))
		return 0;
	ticks = bounded_ticks(v->vm, clock_until_deadline(v));
	return ktime_get_ns() + mul_u64_u64_div_u64(ticks, USEC_PER_SEC, v->vm->tsc_khz) + 1;
}

/*
 * While the interrupt is latched, or masked, the timer may run out as often as it likes: nobody
 * would see it. So a guest has no more interrupts of the host's than it takes itself.
 */
static void arm(struct hv_vcpu *v)
{
	u64 due = timer_due_ns(v);

	v->timer_waits = due && !lapic_timer_matters(&v->lapic);
	if (due && !v->timer_waits)
		hrtimer_start(&v->timer, ns_to_ktime(due), HRTIMER_MODE_ABS_PINNED_HARD);
	else
		hrtimer_try_to_cancel(&v->timer);
}

/* In no HV_RUN nothing is armed: the next one begins with this request. */
void clock_timer_update(struct hv_vcpu *v)
{
	if (!v->task) {
		vcpu_request(v, REQ_TIMER);
		return;
	}
	clock_timer_expire(v);
	arm(v);
}

void clock_timer_wait(struct hv_vcpu *v)
{
	if (hv_host.stay_timer)
		arm(v);
}

/* ------------------------------------------------------------------------- */
/* kvm-clock                                                                  */

/* ns = (ticks << shift or >> -shift) * mul >> 32 */
static void scale(u32 khz, u32 *mul, s8 *shift)
{
	u64 hz = (u64)khz * 1000;
	s8 s = 0;

	/* mul = 2^32 * 10^9 / hz / 2^s must fit 32 bits with its top bit set. */
	while (hz > 2 * NSEC_PER_SEC) {
		hz >>= 1;
		s--;
	}
	while (hz <= NSEC_PER_SEC) {
		hz <<= 1;
		s++;
	}
	*mul = div64_u64((u64)NSEC_PER_SEC << 32, hz);
	*shift = s;
}

/* As the guest computes it: with a stable TSC by that alone, whatever the host's clock does. */
static u64 vm_clock_ns(const struct hv_vm *vm, const struct hv_clock_base *c, u64 scaled_tsc)
{
	u64 ticks = scaled_tsc - c->tsc;
	u32 mul;
	s8 shift;

	if (check_tsc_unstable())
		return ktime_get_ns() - c->mono + c->ns;
	scale(vm->tsc_khz, &mul, &shift);
	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return c->ns + mul_u64_u32_shr(ticks, mul, 32);
}

void clock_get(const struct hv_vm *vm, struct hv_clock *c)
{
	u64 tsc = scale_tsc(vm, rdtsc_ordered());

	*c = (struct hv_clock){
		.ns = vm_clock_ns(vm, &vm->clock, tsc),
		.tsc = tsc + vm->clock.tsc_offset,
		.tsc_khz = vm->tsc_khz,
	};
}

static bool says_stopped(struct hv_vcpu *v)
{
	struct pvclock_vcpu_time_info t;

	return guest_record_read(v, &v->system_time, &t, sizeof(t)) &&
	       t.flags & PVCLOCK_GUEST_STOPPED;
}

static void write_system_time(struct hv_vcpu *v)
{
	struct pvclock_vcpu_time_info t = {
		.flags = check_tsc_unstable() ? 0 : PVCLOCK_TSC_STABLE_BIT,
	};

	/*
	 * With a stable TSC every vCPU gets the same pair, the VM's first, so
	 * that their clocks agree to the tick.
	 */
	if (t.flags) {
		t.tsc_timestamp = v->clock.tsc + v->tsc_offset;
		t.system_time = v->clock.ns;
	} else {
		t.tsc_timestamp = clock_guest_tsc(v);
		t.system_time = vm_clock_ns(v->vm, &v->clock, t.tsc_timestamp - v->tsc_offset);
	}
	/* The guest takes that bit away when it has seen it. */
	v->stop_told &= says_stopped(v);
	if (v->stopped || v->stop_told)
		t.flags |= PVCLOCK_GUEST_STOPPED;
	scale(v->vm->tsc_khz, &t.tsc_to_system_mul, &t.tsc_shift);
	guest_record_write(v, &v->system_time, &t, sizeof(t), &t.version);
	if (!v->system_time.stale && v->stopped) {
		v->stopped = false;
		v->stop_told = true;
	}
}

static void write_wall_clock(struct hv_vcpu *v)
{
	u64 ns = ktime_get_real_ns() - vm_clock_ns(v->vm, &v->clock, scale_tsc(v->vm, rdtsc()));
	struct pvclock_wall_clock w;

	w.sec = div_u64_rem(ns, NSEC_PER_SEC, &w.nsec);
	guest_record_write(v, &v->wall_clock, &w, sizeof(w), &w.version);
}

void clock_write_wall(struct hv_vcpu *v, u64 value)
{
	if (value)
		guest_record_set(&v->wall_clock, value, sizeof(struct pvclock_wall_clock));
	else
		guest_record_clear(&v->wall_clock);
	vcpu_request(v, REQ_CLOCK);
}

/* Written once for each write of the MSR, which reads zero then. */
u64 clock_read_wall(const struct hv_vcpu *v)
{
	return v->wall_clock.stale ? v->wall_clock.gpa : 0;
}

void clock_write_system(struct hv_vcpu *v, u64 value)
{
	v->pv_system_time = value;
	v->stop_told = false;
	if (value & SYSTEM_TIME_ENABLE)
		guest_record_set(&v->system_time, value - SYSTEM_TIME_ENABLE,
				 sizeof(struct pvclock_vcpu_time_info));
	else
		guest_record_clear(&v->system_time);
	vcpu_request(v, REQ_CLOCK);
}

void clock_refresh(struct hv_vcpu *v)
{
	clock_follow(v);
	v->records_stale = false;
	if (v->wall_clock.stale)
		write_wall_clock(v);
	if (v->system_time.in_use)
		write_system_time(v);
}
