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
	/* Guests start counting at zero; one base for all vCPUs keeps them in step. */
	vm->clock_tsc = scale_tsc(vm, rdtsc());
	vm->clock_ns = ktime_get_ns();
	vm->tsc_offset = -vm->clock_tsc;
	return 0;
}

u64 clock_guest_tsc(const struct hv_vcpu *v)
{
	return scale_tsc(v->vm, rdtsc()) + v->tsc_offset;
}

/*
 * A guest or the monitor sets the TSC. Writes that differ by less than a second
 * from a running one mean "in step with the others" (what firmware and kernels
 * do CPU by CPU), so they take the VM's own offset.
 */
void clock_write_tsc(struct hv_vcpu *v, u64 value)
{
	u64 offset = value - scale_tsc(v->vm, rdtsc());
	u64 vm_offset = READ_ONCE(v->vm->tsc_offset);
	s64 delta = offset - vm_offset;

	if (abs(delta) < (s64)v->vm->tsc_khz * 1000)
		offset = vm_offset;
	else
		WRITE_ONCE(v->vm->tsc_offset, offset);
	v->tsc_adjust += offset - v->tsc_offset;
	clock_move_tsc(v, offset - v->tsc_offset);
}

void clock_move_tsc(struct hv_vcpu *v, u64 difference)
{
	v->tsc_offset += difference;
	hv_op(update_tsc_offset)(v);
	vcpu_request(v, REQ_CLOCK);
}

/* ------------------------------------------------------------------------- */
/* LAPIC timer                                                                */

static void timer_post(struct hv_vcpu *v)
{
	struct lapic_msg msg;
	bool pending;

	if (!lapic_lvt_msg(&v->lapic, APIC_REG_LVT_TIMER, &msg))
		return;
	if (!lapic_post(&v->lapic, msg.vector, false, &pending) || pending)
		return;
	vcpu_request(v, REQ_EVENT);
	vcpu_kick(v);
}

/* The register reads zero once the timer is armed no more, unless it was just written anew. */
static void deadline_passed(struct hv_vcpu *v)
{
	u64 deadline = READ_ONCE(v->deadline);

	if (deadline)
		cmpxchg64(&v->lapic.tsc_deadline, deadline, 0);
	WRITE_ONCE(v->deadline, 0);
	timer_post(v);
}

static enum hrtimer_restart timer_fire(struct hrtimer *t)
{
	struct hv_vcpu *v = container_of(t, struct hv_vcpu, timer);
	u64 period = READ_ONCE(v->timer_period_ns);

	if (!period) {
		/* A one-shot count has run out: nothing re-arms it but a new one. */
		WRITE_ONCE(v->lapic.timer_start_ns, 0);
		deadline_passed(v);
		return HRTIMER_NORESTART;
	}
	timer_post(v);
	hrtimer_forward_now(t, ns_to_ktime(period));
	return HRTIMER_RESTART;
}

void clock_timer_init(struct hv_vcpu *v)
{
	hrtimer_setup(&v->timer, timer_fire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
}

void clock_timer_cancel(struct hv_vcpu *v)
{
	hrtimer_cancel(&v->timer);
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

static void start_deadline(struct hv_vcpu *v)
{
	u64 ticks = bounded_ticks(v->vm, clock_until_deadline(v));
	u64 ns = mul_u64_u64_div_u64(ticks, USEC_PER_SEC, v->vm->tsc_khz);

	hrtimer_start(&v->timer, ktime_add_ns(ktime_get(), ns), HRTIMER_MODE_ABS_PINNED_HARD);
}

static void arm_deadline(struct hv_vcpu *v)
{
	v->deadline = v->lapic.tsc_deadline;
	if (!v->deadline)
		return;
	if (!clock_until_deadline(v))
		deadline_passed(v);
	else if (!hv_host.stay_timer)
		start_deadline(v);
}

void clock_check_deadline(struct hv_vcpu *v)
{
	if (v->deadline && hv_host.stay_timer && !clock_until_deadline(v))
		deadline_passed(v);
}

void clock_sleep(struct hv_vcpu *v)
{
	if (v->deadline && hv_host.stay_timer)
		start_deadline(v);
}

void clock_wake(struct hv_vcpu *v)
{
	if (hv_host.stay_timer && lapic_timer_mode(&v->lapic) == APIC_TIMER_DEADLINE)
		hrtimer_cancel(&v->timer);
}

/* Arm for the count that began at timer_start_ns, or the deadline. */
void clock_timer_resume(struct hv_vcpu *v)
{
	u64 period = lapic_timer_period_ns(&v->lapic);
	bool periodic = lapic_timer_mode(&v->lapic) == APIC_TIMER_PERIODIC;

	hrtimer_cancel(&v->timer);
	WRITE_ONCE(v->timer_period_ns, 0);
	v->deadline = 0;
	if (lapic_timer_mode(&v->lapic) == APIC_TIMER_DEADLINE) {
		arm_deadline(v);
		return;
	}
	if (!period || !v->lapic.timer_start_ns)
		return;
	if (periodic)
		WRITE_ONCE(v->timer_period_ns, period);
	hrtimer_start(&v->timer, ns_to_ktime(v->lapic.timer_start_ns + period),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

/* The timer's registers were written: the count begins anew. Preemption may be off. */
void clock_timer_update(struct hv_vcpu *v)
{
	/* Before the count is set: the old one's callback would clear it. */
	hrtimer_cancel(&v->timer);
	v->lapic.timer_start_ns = lapic_timer_period_ns(&v->lapic) ? ktime_get_ns() : 0;
	clock_timer_resume(v);
}

/* ------------------------------------------------------------------------- */
/* kvm-clock                                                                  */

static u64 vm_clock_ns(const struct hv_vm *vm)
{
	return ktime_get_ns() - vm->clock_ns;
}

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

static void write_system_time(struct hv_vcpu *v)
{
	struct pvclock_vcpu_time_info t = {
		.flags = check_tsc_unstable() ? 0 : PVCLOCK_TSC_STABLE_BIT,
	};
	u64 gpa = v->pv_system_time & ~(u64)SYSTEM_TIME_ENABLE;

	/*
	 * With a stable TSC every vCPU gets the same pair, the VM's first, so
	 * that their clocks agree to the tick.
	 */
	if (t.flags) {
		t.tsc_timestamp = v->vm->clock_tsc + v->tsc_offset;
		t.system_time = 0;
	} else {
		t.tsc_timestamp = clock_guest_tsc(v);
		t.system_time = vm_clock_ns(v->vm);
	}
	scale(v->vm->tsc_khz, &t.tsc_to_system_mul, &t.tsc_shift);
	/* An odd version says "being written"; the reader then waits. */
	v->pv_version += 2;
	t.version = v->pv_version - 1;
	if (guest_write(v, gpa, &t, sizeof(t)))
		return;
	smp_wmb();
	t.version = v->pv_version;
	guest_write(v, gpa, &t.version, sizeof(t.version));
}

static void write_wall_clock(struct hv_vcpu *v, u64 gpa)
{
	struct pvclock_wall_clock w = {.version = 1};
	u64 ns = ktime_get_real_ns() - vm_clock_ns(v->vm);

	w.sec = div_u64_rem(ns, NSEC_PER_SEC, &w.nsec);
	if (guest_write(v, gpa, &w, sizeof(w)))
		return;
	smp_wmb();
	w.version = 2;
	guest_write(v, gpa, &w.version, sizeof(w.version));
}

/* The structures may not cross a page: guest_write() is for one page. */
static bool fits(u64 gpa, unsigned int len)
{
	return (gpa & ~PAGE_MASK) + len <= PAGE_SIZE;
}

void clock_write_wall(struct hv_vcpu *v, u64 value)
{
	v->pv_wall_clock = value;
	vcpu_request(v, REQ_CLOCK);
}

void clock_write_system(struct hv_vcpu *v, u64 value)
{
	v->pv_system_time = value;
	vcpu_request(v, REQ_CLOCK);
}

/* Bring a page in and try again: outside the loop nothing else can be waiting for it. */
static void touch(struct hv_vcpu *v, u64 gpa)
{
	stage2_fault_slow(v, gpa, true);
}

void clock_refresh(struct hv_vcpu *v)
{
	u64 wall = v->pv_wall_clock;

	if (wall && fits(wall, sizeof(struct pvclock_wall_clock))) {
		touch(v, wall);
		write_wall_clock(v, wall);
		/* Written once for each write of the MSR. */
		v->pv_wall_clock = 0;
	}
	if (v->pv_system_time & SYSTEM_TIME_ENABLE &&
	    fits(v->pv_system_time, sizeof(struct pvclock_vcpu_time_info))) {
		touch(v, v->pv_system_time);
		write_system_time(v);
	}
}
