/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APIC's registers and rules (Intel SDM Vol. 3, ch. "Advanced
 * Programmable Interrupt Controller"; AMD APM Vol. 2, ch. 16), and nothing that
 * needs a kernel: timers, kicks and other vCPUs are the caller's, who is told
 * by LAPIC_DO_* bits what a register write asks for. Built for unit tests too.
 */
#ifndef HV_LAPIC_H
#define HV_LAPIC_H

#include <linux/types.h>
#include <linux/atomic.h>
#include <linux/bitops.h>

/* The MSRs of x2APIC mode, in the order of the registers: Intel SDM Vol. 3, 11.12.1.2 */
#define LAPIC_MSR_FIRST 0x800u
#define LAPIC_MSR_LAST	0x8ffu

/* The offset in the xAPIC page of such a register. */
static inline u32 lapic_msr_offset(u32 index)
{
	return (index - LAPIC_MSR_FIRST) * 16;
}

enum lapic_reg {
	APIC_REG_ID = 0x020,
	APIC_REG_VERSION = 0x030,
	APIC_REG_TPR = 0x080,
	APIC_REG_PPR = 0x0a0,
	APIC_REG_EOI = 0x0b0,
	APIC_REG_LDR = 0x0d0,
	APIC_REG_DFR = 0x0e0,
	APIC_REG_SVR = 0x0f0,
	APIC_REG_ISR = 0x100,
	APIC_REG_TMR = 0x180,
	APIC_REG_IRR = 0x200,
	APIC_REG_ESR = 0x280,
	APIC_REG_LVT_CMCI = 0x2f0,
	APIC_REG_ICR = 0x300,
	APIC_REG_ICR2 = 0x310,
	APIC_REG_LVT_TIMER = 0x320,
	APIC_REG_LVT_THERMAL = 0x330,
	APIC_REG_LVT_PMC = 0x340,
	APIC_REG_LVT_LINT0 = 0x350,
	APIC_REG_LVT_LINT1 = 0x360,
	APIC_REG_LVT_ERROR = 0x370,
	APIC_REG_TIMER_INIT = 0x380,
	APIC_REG_TIMER_CURRENT = 0x390,
	APIC_REG_TIMER_DIVIDE = 0x3e0,
	APIC_REG_SELF_IPI = 0x3f0,
};

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP	   (1ULL << 8)
#define LAPIC_BASE_X2APIC  (1ULL << 10)
#define LAPIC_BASE_ENABLE  (1ULL << 11)
#define LAPIC_BASE_DEFAULT 0xfee00000ULL

/* Delivery modes of an ICR, an MSI's data and an LVT entry */
enum lapic_delivery {
	LAPIC_DM_FIXED = 0,
	LAPIC_DM_LOWEST = 1,
	LAPIC_DM_SMI = 2,
	LAPIC_DM_NMI = 4,
	LAPIC_DM_INIT = 5,
	LAPIC_DM_SIPI = 6,
	LAPIC_DM_EXTINT = 7,
};

/* An interrupt message, wherever it came from. */
struct lapic_msg {
	u32 dest; /* APIC id, logical destination or broadcast */
	u8 vector;
	u8 delivery;  /* enum lapic_delivery */
	u8 shorthand; /* 0 none, 1 self, 2 all, 3 all but self */
	bool logical; /* destination mode */
	bool level;   /* trigger mode */
	bool assert;  /* level field of an ICR (false: INIT de-assert) */
	bool x2apic;  /* dest is 32 bits wide */
};

/* What a register write asks of the caller (a set of bits). */
#define LAPIC_DO_ICR   (1U << 0) /* send the message in lapic_icr_msg() */
#define LAPIC_DO_TIMER (1U << 1) /* what the timer does next has changed: arm it anew */
#define LAPIC_DO_EOI   (1U << 2) /* EOI of a level interrupt: eoi_vector */
#define LAPIC_DO_SCAN  (1U << 3) /* a pending interrupt may be deliverable now */
#define LAPIC_DO_GP    (1U << 4) /* x2APIC: #GP, nothing changed */

/* Errors that can be met here: illegal vectors sent or received, and illegal registers. */
#define LAPIC_ERRORS 0xe0U

struct lapic {
	/*
	 * (v) only the thread that runs the vCPU; (a) atomic, any context.
	 */
	u64 base;		  /* (v) IA32_APIC_BASE */
	u32 id;			  /* (v) initial APIC id = vCPU id */
	u32 regs[64];		  /* (v) by offset / 16; ISR, TMR and IRR are below */
	DECLARE_BITMAP(isr, 256); /* (v) */
	u64 icr;		  /* (v) x2APIC's 64-bit ICR; xAPIC's two halves too */
	u64 tsc_deadline;	  /* (v) guest TSC; 0: disarmed */
	u8 eoi_vector;		  /* (v) of the last LAPIC_DO_EOI */
	u64 timer_start_ns;	  /* (v) when the count, or its current period, began; 0: stopped */
	/* What others write, not beside what only the vCPU uses. */
	DECLARE_BITMAP(irr, 256) __aligned(64); /* (a) */
	DECLARE_BITMAP(tmr, 256);		/* (a) */
	unsigned long errors;			/* (a) ESR bits that software has not latched yet */
};

/* Power-up or INIT state; the latter keeps id and base. */
void lapic_reset(struct lapic *l, bool init);
void lapic_init(struct lapic *l, u32 id, bool bsp);

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->base & LAPIC_BASE_ENABLE;
}

static inline bool lapic_x2apic(const struct lapic *l)
{
	return l->base & LAPIC_BASE_X2APIC;
}

/* xAPIC mode: the registers are in a page, 32 bits each, 16 bytes apart (Intel SDM Vol. 3, 11.4.1). */
static inline bool lapic_has_page(const struct lapic *l)
{
	return lapic_enabled(l) && !lapic_x2apic(l);
}

static inline bool lapic_is_register(u32 offset)
{
	return !(offset & 0xf) && offset < 0x400;
}

/*
 * IA32_APIC_BASE as the guest writes it: false (#GP) for reserved bits, for
 * transitions that the architecture forbids, and for an address other than
 * LAPIC_BASE_DEFAULT (relocation is not offered).
 */
bool lapic_set_base(struct lapic *l, u64 value);
/* Could the register hold that? In whatever state the APIC is now. */
bool lapic_base_ok(u64 value);

/*
 * One register, by its xAPIC offset (16-byte aligned, below 0x400). now_ns is for those of the
 * timer; what had run out by then, lapic_timer_expire() has said before. Both return a set of
 * LAPIC_DO_*. An unknown register reads
 * as zero and ignores writes in xAPIC mode (with "illegal register" in the ESR),
 * and is LAPIC_DO_GP in x2APIC mode. value is 64 bits wide only for the ICR of
 * x2APIC mode.
 */
unsigned int lapic_read(struct lapic *l, u32 offset, u64 now_ns, u64 *value);
unsigned int lapic_write(struct lapic *l, u32 offset, u64 now_ns, u64 value);
/*
 * Is now_ns needed for that register, or does it matter for it what had run out by then? The other LVT
 * entries are between, and it does them no harm.
 */
static inline bool lapic_reg_of_timer(u32 offset)
{
	return offset == APIC_REG_ESR ||
	       (offset >= APIC_REG_LVT_TIMER && offset <= APIC_REG_TIMER_DIVIDE);
}

/* IA32_TSC_DEADLINE: ignored (and 0) unless the timer is in that mode. */
unsigned int lapic_write_tsc_deadline(struct lapic *l, u64 value);

/* The message that the ICR now holds. */
struct lapic_msg lapic_icr_msg(const struct lapic *l);
/* The message of an MSI; false when address or data are not those of one. */
bool lapic_msi_msg(u64 addr, u32 data, struct lapic_msg *msg);

/*
 * Is this APIC a destination of msg? from_self: msg was sent by this APIC.
 */
bool lapic_match(const struct lapic *l, const struct lapic_msg *msg, bool from_self);
/*
 * Latch a fixed interrupt in the IRR (any context). False when the APIC is
 * disabled or the vector is below 16 (which sets "receive illegal vector").
 * *was_pending says whether it was in the IRR already (coalesced).
 */
bool lapic_post(struct lapic *l, u8 vector, bool level, bool *was_pending);

/* Highest vector that may be delivered now (above the PPR), or -1. */
int lapic_deliverable(const struct lapic *l);
/* Highest vector in the IRR whatever its priority, or -1. */
int lapic_highest_irr(const struct lapic *l);
/* The processor took this vector: IRR to ISR. */
void lapic_accept(struct lapic *l, u8 vector);
/* It was taken but could not be delivered: ISR back to IRR. */
void lapic_unaccept(struct lapic *l, u8 vector);

static inline u8 lapic_tpr(const struct lapic *l)
{
	return l->regs[APIC_REG_TPR / 16];
}

static inline void lapic_set_tpr(struct lapic *l, u8 tpr)
{
	l->regs[APIC_REG_TPR / 16] = tpr;
}

/*
 * A local vector table entry fires (timer, LINT, error). True, with the message
 * for this APIC itself, unless masked or the APIC is software-disabled.
 */
bool lapic_lvt_msg(const struct lapic *l, enum lapic_reg lvt, struct lapic_msg *msg);

/* Timer modes of LVT_TIMER, and the length of one period in nanoseconds (0: stopped).
 * The bus clock is 1 GHz. */
enum lapic_timer_mode {
	APIC_TIMER_ONESHOT = 0,
	APIC_TIMER_PERIODIC = 1,
	APIC_TIMER_DEADLINE = 2
};

static inline enum lapic_timer_mode lapic_timer_mode(const struct lapic *l)
{
	return (l->regs[APIC_REG_LVT_TIMER / 16] >> 17) & 3;
}

u64 lapic_timer_period_ns(const struct lapic *l);
/*
 * Has the count run out by now? Then a one-shot one is over, and a periodic one in the period
 * it is in, and the LVT entry fires, once, however many periods it were.
 */
bool lapic_timer_expire(struct lapic *l, u64 now_ns);
/* Would it make a difference if the timer fired now: not masked, and its interrupt not latched. */
bool lapic_timer_matters(const struct lapic *l);

/* The register page of HV_GET_LAPIC / HV_SET_LAPIC. Load returns false on an
 * impossible image (nothing changed then). */
void lapic_save(const struct lapic *l, u64 now_ns, u8 page[1024]);
bool lapic_load(struct lapic *l, u64 now_ns, const u8 page[1024]);

#endif
