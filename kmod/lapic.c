// SPDX-License-Identifier: GPL-2.0
/*
 * The local APIC's registers and rules: what a read returns, what a write
 * changes, which messages are for this APIC and which interrupt comes next.
 * Called by the vCPU's exit handlers (x2APIC MSRs, the xAPIC page), by the
 * interrupt router (lapic_match, lapic_post: any CPU, any context) and before
 * each entry into the guest (lapic_deliverable, lapic_accept).
 *
 * "SDM" is the Intel SDM Vol. 3, chapter "Advanced Programmable Interrupt
 * Controller (APIC)"; "APM" is the AMD APM Vol. 2, chapter 16.
 */
#include <linux/string.h>
#include "lapic.h"

#define REG(offset)    ((offset) / 16)
#define NR_REGS	       64

#define MIN_VECTOR     16 /* 0..15 are illegal, SDM "Valid Interrupt Vectors" */

#define SVR_ENABLE     (1U << 8)
#define LVT_MASKED     (1U << 16)
#define LVT_STATUS     (1U << 12) /* delivery status: read-only, always idle here */
#define LVT_REMOTE_IRR (1U << 14)
#define LVT_LEVEL      (1U << 15)
#define LVT_TIMER_MODE (3U << 17)

#define ICR_STATUS     (1U << 12) /* delivery status: ignored and always idle */
#define ICR_WRITABLE   0x000ccfffU

/* Integrated APIC, six LVT entries, no EOI suppression; SDM "Local APIC Version Register" */
#define VERSION 0x00050014U

/* Bits of the ESR, as bit numbers of lapic.errors */
#define ERROR_SEND_VECTOR    5
#define ERROR_RECEIVE_VECTOR 6
#define ERROR_REGISTER	     7

/*
 * A periodic timer this short is as fast as it gets: each expiry costs the host
 * an interrupt, so a guest must not be able to ask for one every nanosecond.
 */
#define MIN_PERIOD_NS 50000

/*
 * What may be done to each register, in each mode; SDM tables "Local APIC
 * Register Address Map" and "Local APIC Register Address Map Supported by
 * x2APIC". Bits outside mask and ignored are reserved: xAPIC drops them, x2APIC
 * answers #GP. The mask is zero where no bit is stored as it is written.
 */
#define R  1
#define W  2
#define RW (R | W)

struct reg_rule {
	u8 xapic, x2apic;
	u32 mask;
	u32 ignored;
};

static const struct reg_rule rules[NR_REGS] = {
	/* The id is the vCPU's for good: software has no reason to change it. */
	[REG(APIC_REG_ID)] = {R, R, 0, 0},
	[REG(APIC_REG_VERSION)] = {R, R, 0, 0},
	[REG(APIC_REG_TPR)] = {RW, RW, 0xff, 0},
	[REG(APIC_REG_PPR)] = {R, R, 0, 0},
	[REG(APIC_REG_EOI)] = {W, W, 0, 0},
	/* x2APIC's logical id follows from the id; there is one logical model. */
	[REG(APIC_REG_LDR)] = {RW, R, 0xff000000, 0},
	[REG(APIC_REG_DFR)] = {RW, 0, 0xf0000000, 0},
	/* Bit 9, focus checking, is kept but has no effect on one level of bus. */
	[REG(APIC_REG_SVR)] = {RW, RW, 0x3ff, 0},
	[REG(APIC_REG_ISR)... REG(APIC_REG_IRR) + 7] = {R, R, 0, 0},
	[REG(APIC_REG_ESR)] = {RW, RW, 0, 0},
	[REG(APIC_REG_ICR)] = {RW, RW, ICR_WRITABLE, ICR_STATUS},
	[REG(APIC_REG_ICR2)] = {RW, 0, 0xff000000, 0},
	[REG(APIC_REG_LVT_TIMER)] = {RW, RW, 0x000700ff, LVT_STATUS},
	[REG(APIC_REG_LVT_THERMAL)] = {RW, RW, 0x000107ff, LVT_STATUS},
	[REG(APIC_REG_LVT_PMC)] = {RW, RW, 0x000107ff, LVT_STATUS},
	[REG(APIC_REG_LVT_LINT0)] = {RW, RW, 0x0001a7ff, LVT_STATUS | LVT_REMOTE_IRR},
	[REG(APIC_REG_LVT_LINT1)] = {RW, RW, 0x0001a7ff, LVT_STATUS | LVT_REMOTE_IRR},
	[REG(APIC_REG_LVT_ERROR)] = {RW, RW, 0x000100ff, LVT_STATUS},
	[REG(APIC_REG_TIMER_INIT)] = {RW, RW, 0xffffffff, 0},
	[REG(APIC_REG_TIMER_CURRENT)] = {R, R, 0, 0},
	[REG(APIC_REG_TIMER_DIVIDE)] = {RW, RW, 0xb, 0},
	[REG(APIC_REG_SELF_IPI)] = {0, W, 0xff, 0},
};

static const struct reg_rule no_register;

static const struct reg_rule *rule_of(u32 offset)
{
	if (offset % 16 || offset >= 16 * NR_REGS)
		return &no_register;
	/* The mask bounds the index for speculation too. */
	return &rules[REG(offset) % NR_REGS];
}

static const u16 lvts[] = {
	APIC_REG_LVT_TIMER, APIC_REG_LVT_THERMAL, APIC_REG_LVT_PMC,
	APIC_REG_LVT_LINT0, APIC_REG_LVT_LINT1,	  APIC_REG_LVT_ERROR,
};

/* Highest bit of a 256-bit map, or -1. Without a loop: it runs for every interrupt. */
static __always_inline int highest(const unsigned long *map)
{
	unsigned long w0 = READ_ONCE(map[0]), w1 = READ_ONCE(map[1]);
	unsigned long w2 = READ_ONCE(map[2]), w3 = READ_ONCE(map[3]);

	if (w3)
		return 192 + (int)__fls(w3);
	if (w2)
		return 128 + (int)__fls(w2);
	if (w1)
		return 64 + (int)__fls(w1);
	return w0 ? (int)__fls(w0) : -1;
}

static __always_inline bool any(const unsigned long *map)
{
	return READ_ONCE(map[0]) | READ_ONCE(map[1]) | READ_ONCE(map[2]) | READ_ONCE(map[3]);
}

/* One of the eight 32-bit registers that show a map, and the reverse. */
static u32 map_word(const unsigned long *map, unsigned int i)
{
	return READ_ONCE(map[i / 2]) >> (i % 2 * 32);
}

static void clear_map(unsigned long *map)
{
	unsigned int i;

	/* Word by word: other CPUs may be posting into the IRR and TMR. */
	for (i = 0; i < 256 / BITS_PER_LONG; i++)
		WRITE_ONCE(map[i], 0);
}

static bool software_enabled(const struct lapic *l)
{
	return READ_ONCE(l->regs[REG(APIC_REG_SVR)]) & SVR_ENABLE;
}

/* SDM "Logical Destination Mode in x2APIC Mode" */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1U << (id & 15);
}

/* ------------------------------------------------------------------------- */
/* Errors                                                                     */

/*
 * Note an error; it reaches the ESR when software next writes that, and raises
 * the error interrupt the first time. Any context. An illegal vector in
 * LVT_ERROR is an error of its own, which cannot be reported.
 */
static void error(struct lapic *l, unsigned int bit)
{
	struct lapic_msg msg;

	if (test_and_set_bit(bit, &l->errors))
		return;
	if (lapic_lvt_msg(l, APIC_REG_LVT_ERROR, &msg) && msg.vector >= MIN_VECTOR)
		set_bit(msg.vector, l->irr);
}

/* ------------------------------------------------------------------------- */
/* Reset and the base register                                                */

static void reset_registers(struct lapic *l)
{
	unsigned int i;

	memset(l->regs, 0, sizeof(l->regs));
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		l->regs[REG(lvts[i])] = LVT_MASKED;
	l->regs[REG(APIC_REG_DFR)] = 0xffffffff;
	l->regs[REG(APIC_REG_SVR)] = 0xff;
	clear_map(l->irr);
	clear_map(l->isr);
	clear_map(l->tmr);
	WRITE_ONCE(l->errors, 0);
	l->icr = 0;
	l->tsc_deadline = 0;
	l->timer_start_ns = 0;
	l->eoi_vector = 0;
}

/* SDM "Local APIC State After Power-Up or Reset" and "... After It Receives an INIT-Reset" */
void lapic_reset(struct lapic *l, bool init)
{
	if (!init)
		WRITE_ONCE(l->base,
			   LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | (l->base & LAPIC_BASE_BSP));
	reset_registers(l);
}

void lapic_init(struct lapic *l, u32 id, bool bsp)
{
	memset(l, 0, sizeof(*l));
	l->id = id;
	l->base = bsp ? LAPIC_BASE_BSP : 0;
	lapic_reset(l, false);
}

bool lapic_base_ok(u64 value)
{
	u64 mode = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);

	return (value & ~LAPIC_BASE_BSP) == (LAPIC_BASE_DEFAULT | mode) &&
	       mode != LAPIC_BASE_X2APIC;
}

/* SDM "x2APIC State Transitions": disabled, xAPIC, x2APIC, disabled; nothing else. */
bool lapic_set_base(struct lapic *l, u64 value)
{
	const u64 mode = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
	u64 from = l->base & mode, to = value & mode;

	if (!lapic_base_ok(value))
		return false;
	if (from == 0 && to == mode)
		return false;
	if (from == mode && to == LAPIC_BASE_ENABLE)
		return false;

	WRITE_ONCE(l->base, value);
	if (from == to)
		return true;
	if (to == 0) {
		/* An APIC that is enabled again begins in its power-up state. */
		reset_registers(l);
	} else if (to == mode) {
		/* The destination means something else now, the logical id follows from the id. */
		l->icr &= 0xffffffff;
		l->regs[REG(APIC_REG_LDR)] = 0;
	}
	return true;
}

/* ------------------------------------------------------------------------- */
/* Timer                                                                      */

/* Log2 of the divisor; SDM "Divide Configuration Register": 0 is 2, 6 is 128, 7 is 1. */
static unsigned int timer_shift(const struct lapic *l)
{
	u32 divide = l->regs[REG(APIC_REG_TIMER_DIVIDE)];

	return (((divide & 3) | (divide >> 1 & 4)) + 1) & 7;
}

u64 lapic_timer_period_ns(const struct lapic *l)
{
	enum lapic_timer_mode mode = lapic_timer_mode(l);
	u64 period = (u64)l->regs[REG(APIC_REG_TIMER_INIT)] << timer_shift(l);

	if (mode == APIC_TIMER_DEADLINE)
		return 0;
	if (mode == APIC_TIMER_PERIODIC && period && period < MIN_PERIOD_NS)
		return MIN_PERIOD_NS;
	return period;
}

static u32 timer_current(const struct lapic *l, u64 now_ns)
{
	u32 init = l->regs[REG(APIC_REG_TIMER_INIT)];
	s64 elapsed = now_ns - l->timer_start_ns;
	u64 ticks;

	if (!l->timer_start_ns || !init || lapic_timer_mode(l) == APIC_TIMER_DEADLINE)
		return 0;
	ticks = elapsed > 0 ? (u64)elapsed >> timer_shift(l) : 0;
	if (lapic_timer_mode(l) == APIC_TIMER_PERIODIC)
		return init - ticks % init;
	return ticks < init ? init - ticks : 0;
}

/* Where a count that stands at current began. */
static u64 timer_start(const struct lapic *l, u64 now_ns, u32 current_count)
{
	u32 done = l->regs[REG(APIC_REG_TIMER_INIT)] - current_count;
	u64 start = now_ns - ((u64)done << timer_shift(l));

	/* 0 is taken for "stopped"; a nanosecond does not matter. */
	return start ? start : 1;
}

/* From here on the timer counts down from that; 0: not at all. */
static void set_count(struct lapic *l, u64 now_ns, u32 count)
{
	l->timer_start_ns = count ? timer_start(l, now_ns, count) : 0;
}

bool lapic_timer_expire(struct lapic *l, u64 now_ns)
{
	u64 period = lapic_timer_period_ns(l);
	s64 elapsed = now_ns - l->timer_start_ns;

	if (!l->timer_start_ns || !period || elapsed < (s64)period)
		return false;
	if (lapic_timer_mode(l) == APIC_TIMER_PERIODIC)
		l->timer_start_ns += elapsed - (u64)elapsed % period;
	else
		l->timer_start_ns = 0;
	return true;
}

bool lapic_timer_matters(const struct lapic *l)
{
	struct lapic_msg msg;

	if (!lapic_lvt_msg(l, APIC_REG_LVT_TIMER, &msg))
		return false;
	if (msg.vector < MIN_VECTOR)
		return !test_bit(ERROR_RECEIVE_VECTOR, &l->errors);
	return !test_bit(msg.vector, l->irr);
}

unsigned int lapic_write_tsc_deadline(struct lapic *l, u64 value)
{
	if (lapic_timer_mode(l) != APIC_TIMER_DEADLINE)
		return 0;
	l->tsc_deadline = value;
	return LAPIC_DO_TIMER;
}

static unsigned int write_lvt_timer(struct lapic *l, u64 now_ns, u32 value)
{
	enum lapic_timer_mode old = lapic_timer_mode(l);
	u32 *lvt = &l->regs[REG(APIC_REG_LVT_TIMER)], count = timer_current(l, now_ns);

	/* Mode 3 is reserved; taken as one-shot where it cannot be refused. */
	if ((value & LVT_TIMER_MODE) == LVT_TIMER_MODE)
		value &= ~LVT_TIMER_MODE;
	if (*lvt == value)
		return 0;
	WRITE_ONCE(*lvt, value);
	if (lapic_timer_mode(l) == old)
		return LAPIC_DO_TIMER;
	if (old != APIC_TIMER_DEADLINE && lapic_timer_mode(l) != APIC_TIMER_DEADLINE) {
		/* SDM "APIC Timer": only a write of the initial count begins one. */
		set_count(l, now_ns, count);
	} else {
		/* SDM "TSC-Deadline Mode": entering or leaving that mode disarms the timer. */
		l->regs[REG(APIC_REG_TIMER_INIT)] = 0;
		l->tsc_deadline = 0;
		l->timer_start_ns = 0;
	}
	return LAPIC_DO_TIMER;
}

/* ------------------------------------------------------------------------- */
/* Register writes                                                            */

static unsigned int write_eoi(struct lapic *l, u64 value)
{
	int vector;

	if (unlikely(value && lapic_x2apic(l)))
		return LAPIC_DO_GP;
	vector = highest(l->isr);
	if (unlikely(vector < 0))
		return 0;
	__clear_bit(vector, l->isr);
	if (unlikely(test_bit(vector, l->tmr))) {
		l->eoi_vector = vector;
		return LAPIC_DO_EOI | LAPIC_DO_SCAN;
	}
	return any(l->irr) ? LAPIC_DO_SCAN : 0;
}

static unsigned int write_self_ipi(struct lapic *l, u64 value)
{
	bool was_pending;

	if (unlikely(value > 0xff))
		return LAPIC_DO_GP;
	if (unlikely(value < MIN_VECTOR)) {
		error(l, ERROR_SEND_VECTOR);
		return LAPIC_DO_SCAN;
	}
	return lapic_post(l, value, false, &was_pending) ? LAPIC_DO_SCAN : 0;
}

static unsigned int write_icr(struct lapic *l, u64 value)
{
	u32 delivery = value >> 8 & 7;

	if (lapic_x2apic(l)) {
		if (unlikely((u32)value & ~(ICR_WRITABLE | ICR_STATUS)))
			return LAPIC_DO_GP;
		l->icr = value & ~(u64)ICR_STATUS;
	} else {
		l->icr = (l->icr & ~0xffffffffULL) | (value & ICR_WRITABLE);
	}
	/* Receivers would refuse it; the sender reports it and does not send. */
	if (unlikely(delivery <= LAPIC_DM_LOWEST && (u8)value < MIN_VECTOR)) {
		error(l, ERROR_SEND_VECTOR);
		return LAPIC_DO_SCAN;
	}
	return LAPIC_DO_ICR;
}

static void write_svr(struct lapic *l, u32 value)
{
	unsigned int i;

	WRITE_ONCE(l->regs[REG(APIC_REG_SVR)], value);
	if (value & SVR_ENABLE)
		return;
	/* SDM "Local APIC State After It Has Been Software Disabled" */
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		l->regs[REG(lvts[i])] |= LVT_MASKED;
}

/* The registers that are not written on every interrupt. */
static noinline unsigned int write_slow(struct lapic *l, u32 offset, u64 now_ns, u64 value)
{
	const struct reg_rule *rule = rule_of(offset);
	u8 access = lapic_x2apic(l) ? rule->x2apic : rule->xapic;
	u32 v = value & rule->mask, count;

	if (lapic_x2apic(l)) {
		if (!(access & W) || value & ~(u64)(rule->mask | rule->ignored))
			return LAPIC_DO_GP;
		if (offset == APIC_REG_LVT_TIMER && (v & LVT_TIMER_MODE) == LVT_TIMER_MODE)
			return LAPIC_DO_GP;
	}
	if (!(access & W)) {
		if (access)
			return 0;
		error(l, ERROR_REGISTER);
		return LAPIC_DO_SCAN;
	}

	switch (offset) {
	case APIC_REG_TPR:
		l->regs[REG(APIC_REG_TPR)] = v;
		return LAPIC_DO_SCAN;
	case APIC_REG_LDR:
		WRITE_ONCE(l->regs[REG(APIC_REG_LDR)], v);
		return 0;
	case APIC_REG_DFR:
		WRITE_ONCE(l->regs[REG(APIC_REG_DFR)], v | ~rule->mask);
		return 0;
	case APIC_REG_SVR:
		write_svr(l, v);
		return 0;
	case APIC_REG_ESR:
		/* A write makes the errors since the last one readable. */
		v = xchg(&l->errors, 0);
		l->regs[REG(APIC_REG_ESR)] = v;
		/* The timer may have waited for that, for its own vector is none. */
		return v & BIT(ERROR_RECEIVE_VECTOR) ? LAPIC_DO_TIMER : 0;
	case APIC_REG_ICR2:
		l->icr = (u64)v << 32 | (u32)l->icr;
		return 0;
	case APIC_REG_TIMER_INIT:
		if (lapic_timer_mode(l) == APIC_TIMER_DEADLINE)
			return 0;
		l->regs[REG(APIC_REG_TIMER_INIT)] = v;
		set_count(l, now_ns, v);
		return LAPIC_DO_TIMER;
	case APIC_REG_TIMER_DIVIDE:
		if (l->regs[REG(APIC_REG_TIMER_DIVIDE)] == v)
			return 0;
		count = timer_current(l, now_ns);
		l->regs[REG(APIC_REG_TIMER_DIVIDE)] = v;
		set_count(l, now_ns, count);
		return count ? LAPIC_DO_TIMER : 0;
	}
	/* What is left is the local vector table: masked while software-disabled. */
	if (!software_enabled(l))
		v |= LVT_MASKED;
	if (offset == APIC_REG_LVT_TIMER)
		return write_lvt_timer(l, now_ns, v);
	WRITE_ONCE(l->regs[REG(offset)], v);
	return 0;
}

unsigned int lapic_write(struct lapic *l, u32 offset, u64 now_ns, u64 value)
{
	if (likely(offset == APIC_REG_EOI))
		return write_eoi(l, value);
	if (offset == APIC_REG_ICR)
		return write_icr(l, value);
	if (offset == APIC_REG_SELF_IPI && lapic_x2apic(l))
		return write_self_ipi(l, value);
	return write_slow(l, offset, now_ns, value);
}

/* ------------------------------------------------------------------------- */
/* Register reads                                                             */

/* SDM "Task and Processor Priorities" */
static u32 processor_priority(const struct lapic *l)
{
	u32 tpr = l->regs[REG(APIC_REG_TPR)];
	int vector = highest(l->isr);
	u32 isrv = vector < 0 ? 0 : vector & 0xf0;

	/* Whole TPR against a class: the lower half cannot tip the balance. */
	return tpr >= isrv ? tpr : isrv;
}

/* A register that exists and can be read in this mode. */
static u64 read_register(const struct lapic *l, u32 offset, u64 now_ns)
{
	unsigned int i = REG(offset) % 8;

	switch (offset) {
	case APIC_REG_ID:
		return lapic_x2apic(l) ? l->id : l->id << 24;
	case APIC_REG_VERSION:
		return VERSION;
	case APIC_REG_PPR:
		return processor_priority(l);
	case APIC_REG_LDR:
		return lapic_x2apic(l) ? x2apic_ldr(l->id) : l->regs[REG(APIC_REG_LDR)];
	case APIC_REG_ISR ... APIC_REG_ISR + 0x70:
		return map_word(l->isr, i);
	case APIC_REG_TMR ... APIC_REG_TMR + 0x70:
		return map_word(l->tmr, i);
	case APIC_REG_IRR ... APIC_REG_IRR + 0x70:
		return map_word(l->irr, i);
	case APIC_REG_ICR:
		return lapic_x2apic(l) ? l->icr : (u32)l->icr;
	case APIC_REG_ICR2:
		return l->icr >> 32;
	case APIC_REG_TIMER_CURRENT:
		return timer_current(l, now_ns);
	default:
		return l->regs[REG(offset) % NR_REGS];
	}
}

unsigned int lapic_read(struct lapic *l, u32 offset, u64 now_ns, u64 *value)
{
	const struct reg_rule *rule = rule_of(offset);
	u8 access = lapic_x2apic(l) ? rule->x2apic : rule->xapic;

	*value = 0;
	if (likely(access & R)) {
		*value = read_register(l, offset, now_ns);
		return 0;
	}
	if (lapic_x2apic(l))
		return LAPIC_DO_GP;
	if (access)
		return 0;
	error(l, ERROR_REGISTER);
	return LAPIC_DO_SCAN;
}

/* ------------------------------------------------------------------------- */
/* Messages                                                                   */

struct lapic_msg lapic_icr_msg(const struct lapic *l)
{
	u64 icr = l->icr;
	struct lapic_msg msg = {
		.dest = lapic_x2apic(l) ? icr >> 32 : icr >> 56,
		.vector = icr,
		.delivery = icr >> 8 & 7,
		.shorthand = icr >> 18 & 3,
		.logical = icr >> 11 & 1,
		.assert = true,
		.x2apic = lapic_x2apic(l),
	};

	/* SDM "Interrupt Command Register": level and trigger mode matter to INIT alone. */
	if (msg.delivery == LAPIC_DM_INIT) {
		msg.level = icr >> 15 & 1;
		msg.assert = !msg.level || icr >> 14 & 1;
	}
	return msg;
}

/* SDM "Message Signalled Interrupts" */
bool lapic_msi_msg(u64 addr, u32 data, struct lapic_msg *msg)
{
	u32 delivery = data >> 8 & 7;
	bool redirect = addr >> 3 & 1, logical = addr >> 2 & 1;

	/*
	 * Bits 4 to 11 are reserved in the compatibility format. Set, they ask
	 * for interrupt remapping or longer destinations: neither is offered.
	 */
	if ((addr & ~0xff00fULL) != LAPIC_BASE_DEFAULT)
		return false;
	if (delivery == 3 || delivery == LAPIC_DM_SIPI || data >> 16)
		return false;

	if (redirect && logical && delivery == LAPIC_DM_FIXED)
		delivery = LAPIC_DM_LOWEST;
	*msg = (struct lapic_msg){
		.dest = addr >> 12 & 0xff,
		.vector = data,
		.delivery = delivery,
		.logical = logical,
		.level = data >> 15 & 1,
		/* A device that lowers a level line sends nothing; INIT has a de-assert. */
		.assert = delivery != LAPIC_DM_INIT || !(data >> 15 & 1) || data >> 14 & 1,
	};
	return true;
}

/* SDM "Logical Destination Mode": flat and cluster model, dest 8 bits wide. */
static bool match_xapic_logical(const struct lapic *l, u32 dest)
{
	u32 ldr = READ_ONCE(l->regs[REG(APIC_REG_LDR)]) >> 24;

	if (dest > 0xff)
		return false;
	switch (READ_ONCE(l->regs[REG(APIC_REG_DFR)]) >> 28) {
	case 0xf:
		return ldr & dest;
	case 0x0:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	default:
		return false;
	}
}

bool lapic_match(const struct lapic *l, const struct lapic_msg *msg, bool from_self)
{
	u64 base = READ_ONCE(l->base);
	u32 ldr;

	if (!(base & LAPIC_BASE_ENABLE))
		return false;
	switch (msg->shorthand) {
	case 0:
		break;
	case 1:
		return from_self;
	case 2:
		return true;
	default:
		return !from_self;
	}

	if (msg->dest == (msg->x2apic ? 0xffffffff : 0xff))
		return true;
	if (!msg->logical)
		return msg->dest == l->id;
	if (!(base & LAPIC_BASE_X2APIC))
		return match_xapic_logical(l, msg->dest);
	/* An 8-bit destination reaches the first half of cluster 0. */
	ldr = x2apic_ldr(l->id);
	return ldr >> 16 == msg->dest >> 16 && (ldr & msg->dest & 0xffff);
}

bool lapic_post(struct lapic *l, u8 vector, bool level, bool *was_pending)
{
	*was_pending = false;
	/* A software-disabled APIC takes no new interrupts but INIT, NMI, SMI and SIPI. */
	if (unlikely(!(READ_ONCE(l->base) & LAPIC_BASE_ENABLE) || !software_enabled(l)))
		return false;
	if (unlikely(vector < MIN_VECTOR)) {
		error(l, ERROR_RECEIVE_VECTOR);
		return false;
	}
	/*
	 * The TMR must be right by the time the vCPU sees the IRR bit, or an EOI
	 * would be lost or sent in vain: test_and_set_bit() is a full barrier.
	 */
	if (unlikely(test_bit(vector, l->tmr) != level)) {
		if (level)
			set_bit(vector, l->tmr);
		else
			clear_bit(vector, l->tmr);
	}
	*was_pending = test_and_set_bit(vector, l->irr);
	return true;
}

bool lapic_lvt_msg(const struct lapic *l, enum lapic_reg lvt, struct lapic_msg *msg)
{
	u32 entry = READ_ONCE(l->regs[REG(lvt) % NR_REGS]);

	*msg = (struct lapic_msg){.dest = l->id, .shorthand = 1, .assert = true};
	if (!(READ_ONCE(l->base) & LAPIC_BASE_ENABLE)) {
		/* SDM "Presence of the Local APIC": the pins are the processor's INTR and NMI. */
		msg->delivery = lvt == APIC_REG_LVT_LINT0 ? LAPIC_DM_EXTINT : LAPIC_DM_NMI;
		return lvt == APIC_REG_LVT_LINT0 || lvt == APIC_REG_LVT_LINT1;
	}
	msg->vector = entry;
	msg->delivery = entry >> 8 & 7;
	/* Only a fixed interrupt from a pin may be level-triggered. */
	msg->level = msg->delivery == LAPIC_DM_FIXED && entry & LVT_LEVEL;
	return !(entry & LVT_MASKED);
}

/* ------------------------------------------------------------------------- */
/* Delivery to the processor                                                  */

int lapic_highest_irr(const struct lapic *l)
{
	return highest(l->irr);
}

/*
 * What is latched already is delivered even by a software-disabled APIC: SDM,
 * "held and require masking or handling by the CPU".
 */
int lapic_deliverable(const struct lapic *l)
{
	int irr = highest(l->irr), isr, class = irr >> 4;

	if (class <= (int)(l->regs[REG(APIC_REG_TPR)] >> 4))
		return -1;
	isr = highest(l->isr);
	if (isr >= 0 && class <= isr >> 4)
		return -1;
	return likely(lapic_enabled(l)) ? irr : -1;
}

void lapic_accept(struct lapic *l, u8 vector)
{
	clear_bit(vector, l->irr);
	__set_bit(vector, l->isr);
}

void lapic_unaccept(struct lapic *l, u8 vector)
{
	__clear_bit(vector, l->isr);
	set_bit(vector, l->irr);
}

/* ------------------------------------------------------------------------- */
/* The register page                                                          */

static u32 page_get(const u8 *page, u32 offset)
{
	u32 v;

	memcpy(&v, page + offset, sizeof(v));
	return v;
}

static void page_put(u8 *page, u32 offset, u32 v)
{
	memcpy(page + offset, &v, sizeof(v));
}

void lapic_save(const struct lapic *l, u64 now_ns, u8 page[1024])
{
	u32 offset;

	memset(page, 0, 1024);
	for (offset = 0; offset < 1024; offset += 16) {
		if (rules[REG(offset)].xapic & R)
			page_put(page, offset, read_register(l, offset, now_ns));
	}
}

/*
 * Could this APIC have such registers? The read-only ones follow from the
 * others and are not looked at, but for the id: an image of another vCPU is a
 * mistake worth refusing.
 */
static bool page_valid(const struct lapic *l, const u8 *page)
{
	u32 svr = page_get(page, APIC_REG_SVR);
	u32 mode = page_get(page, APIC_REG_LVT_TIMER) & LVT_TIMER_MODE;
	u32 init = page_get(page, APIC_REG_TIMER_INIT);
	const struct reg_rule *rule;
	u32 offset;
	unsigned int i;

	if (page_get(page, APIC_REG_ID) != read_register(l, APIC_REG_ID, 0))
		return false;
	for (offset = 0; offset < 1024; offset += 16) {
		rule = &rules[REG(offset)];
		/* ICR2 is 32 bits of destination in x2APIC mode; DFR's low bits are ones. */
		if (!(rule->xapic & rule->x2apic & W) || offset == APIC_REG_ESR)
			continue;
		if (page_get(page, offset) & ~rule->mask)
			return false;
	}
	if (!lapic_x2apic(l) && page_get(page, APIC_REG_ICR2) & 0xffffff)
		return false;
	for (i = 0; i < ARRAY_SIZE(lvts); i++) {
		if (!(svr & SVR_ENABLE) && !(page_get(page, lvts[i]) & LVT_MASKED))
			return false;
	}
	/* Vectors below 16 are never latched. */
	if ((page_get(page, APIC_REG_ISR) | page_get(page, APIC_REG_IRR)) & 0xffff)
		return false;
	if (mode == LVT_TIMER_MODE || (mode == APIC_TIMER_DEADLINE << 17 && init))
		return false;
	return page_get(page, APIC_REG_TIMER_CURRENT) <= init;
}

static void page_get_map(const u8 *page, u32 offset, unsigned long *map)
{
	unsigned int i;

	for (i = 0; i < 256 / BITS_PER_LONG; i++)
		WRITE_ONCE(map[i], page_get(page, offset + 32 * i) |
					   (u64)page_get(page, offset + 32 * i + 16) << 32);
}

bool lapic_load(struct lapic *l, u64 now_ns, const u8 page[1024])
{
	u32 offset;

	if (!page_valid(l, page))
		return false;
	for (offset = 0; offset < 1024; offset += 16) {
		/* The ICR is kept in one piece, below. */
		if (rules[REG(offset)].xapic == RW && offset != APIC_REG_ICR &&
		    offset != APIC_REG_ICR2)
			WRITE_ONCE(l->regs[REG(offset)], page_get(page, offset));
	}
	l->regs[REG(APIC_REG_LDR)] =
		lapic_x2apic(l) ? 0 : page_get(page, APIC_REG_LDR) & 0xff000000;
	l->regs[REG(APIC_REG_DFR)] |= 0x0fffffff;
	l->regs[REG(APIC_REG_ESR)] &= 0xff;
	l->icr = (u64)page_get(page, APIC_REG_ICR2) << 32 | page_get(page, APIC_REG_ICR);
	WRITE_ONCE(l->errors, 0);
	page_get_map(page, APIC_REG_TMR, l->tmr);
	page_get_map(page, APIC_REG_ISR, l->isr);
	page_get_map(page, APIC_REG_IRR, l->irr);

	l->tsc_deadline = 0;
	set_count(l, now_ns, page_get(page, APIC_REG_TIMER_CURRENT));
	return true;
}
