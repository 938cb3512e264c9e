// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Completes HV_EXIT_TASK: switches tasks as the processor does where it is not in a guest
 * (Intel SDM Vol. 3, ch. "Task Management"). Called by vcpu.c on vCPU threads.
 *
 * Up to the first change everything is checked and translated, and a fault is one of the
 * old task. From there on the new task is the current one, and a fault is its own.
 * Other vCPUs may change tables meanwhile: a TSS and a descriptor are copied once.
 */
#include <stddef.h>
#include <string.h>

#include "emulate/segment.h"
#include "emulate/task.h"
#include "emulate/walk.h"
#include "x86.h"

/* Segment registers in the order in which a TSS has them. */
enum seg {
	ES,
	CS,
	SS,
	DS,
	FS,
	GS,
	NR_SEGS
};

/* Intel SDM Vol. 3, "32-Bit Task-State Segment"; a selector has the lower half of its field. */
struct tss32 {
	uint32_t link;
	uint32_t stacks[6];
	uint32_t cr3, eip, eflags;
	uint32_t gpr[8];
	uint32_t seg[NR_SEGS];
	uint32_t ldt;
	uint16_t trap; /* bit 0 */
	uint16_t io_map;
};

/* "16-Bit Task-State Segment"; FS and GS have no place in it. */
#define NR_SEGS16 (DS + 1)
struct tss16 {
	uint16_t link;
	uint16_t stacks[6];
	uint16_t ip, flags;
	uint16_t gpr[8];
	uint16_t seg[NR_SEGS16];
	uint16_t ldt;
};

_Static_assert(sizeof(struct tss32) == 104, "tss32");
_Static_assert(sizeof(struct tss16) == 44, "tss16");

/* What a TSS says of a task, whatever its width. */
struct context {
	uint32_t cr3, eip, eflags;
	uint32_t gpr[8];
	uint16_t seg[NR_SEGS];
	uint16_t ldt;
	bool trap;
};

struct task {
	const struct mem *mem;
	struct hv_run *run;
	uint16_t selector;	    /* of the new TSS */
	enum hv_task_source source; /* why the switch */
	unsigned int flags;	    /* HV_TASK_* */
	struct hv_gprs gprs;	    /* of the current task */
	struct hv_sregs sregs;
	unsigned int cpl; /* of the new task */
	bool switched;	  /* the new one is the current task */
	struct {
		uint8_t vector;
		bool has_error;
		uint32_t error;
	} fault;
};

static bool is_tss32(const struct hv_segment *tr)
{
	return tr->ar & SEG_TSS_32;
}

/* The new task is to come back to the old one. */
static bool is_nested(const struct task *t)
{
	return t->source == HV_TASK_CALL || t->source == HV_TASK_GATE;
}

/* ------------------------------------------------------------------------- */
/* Faults: each of these returns false                                        */

static bool raise_fault(struct task *t, uint8_t vector, uint32_t error)
{
	t->fault.vector = vector;
	t->fault.has_error = true;
	t->fault.error = error;
	return false;
}

/* The error code says, too, whether it was an event that led here, and no instruction. */
static bool selector_fault(struct task *t, uint8_t vector, uint16_t selector)
{
	return raise_fault(t, vector,
			   (selector & ~SELECTOR_RPL) | (t->flags & HV_TASK_EVENT ? 1 : 0));
}

/* ------------------------------------------------------------------------- */
/* Memory                                                                     */

/*
 * Translate; a page fault is raised where that fails. Where other vCPUs keep it from
 * coming to an end the page counts as absent: the guest looks, and does it again.
 */
static bool reach(struct task *t, uint64_t la, unsigned int size, unsigned int access,
		  struct walk_range *range)
{
	struct walk_fault fault;

	if (walk_range(t->mem, &t->sregs, (uint32_t)la, size, access, range, &fault) == WALK_OK)
		return true;
	t->sregs.cr2 = fault.la;
	return raise_fault(t, VECTOR_PF, fault.error);
}

/* Outside RAM there is nothing to be read but ones. */
static void load(const struct walk_range *range, void *buffer)
{
	uint8_t *to = buffer;

	for (unsigned int i = 0; i < range->nr_parts; i++) {
		if (range->part[i].ram)
			memcpy(to, range->part[i].ram, range->part[i].len);
		else
			memset(to, 0xff, range->part[i].len);
		to += range->part[i].len;
	}
	/* What was checked is what is used: the compiler may not read it again. */
	__asm__ volatile("" : : : "memory");
}

static void store(const struct walk_range *range, const void *buffer)
{
	const uint8_t *from = buffer;

	for (unsigned int i = 0; i < range->nr_parts; i++) {
		if (range->part[i].to)
			memcpy(range->part[i].to, from, range->part[i].len);
		from += range->part[i].len;
	}
}

/* ------------------------------------------------------------------------- */
/* Descriptors                                                                */

/*
 * Read what the selector names; it is not null. A page fault is raised, or "vector" where
 * there is no such descriptor.
 */
static bool read_descriptor(struct task *t, uint16_t selector, uint8_t vector, uint64_t *la,
			    struct hv_segment *seg)
{
	struct walk_range range;
	uint64_t d;

	if (!segment_locate(&t->sregs, selector, sizeof(d), la))
		return selector_fault(t, vector, selector);
	if (!reach(t, *la, sizeof(d), WALK_IMPLICIT, &range))
		return false;
	load(&range, &d);
	*seg = segment_unpack(selector, d);
	return true;
}

/* ------------------------------------------------------------------------- */
/* Segments of the new task                                                   */

static struct hv_segment *segment(struct task *t, enum seg seg)
{
	struct hv_sregs *s = &t->sregs;
	struct hv_segment *const segments[NR_SEGS] = {
		[ES] = &s->es, [CS] = &s->cs, [SS] = &s->ss,
		[DS] = &s->ds, [FS] = &s->fs, [GS] = &s->gs,
	};

	return segments[seg];
}

static bool load_ldt(struct task *t, uint16_t selector)
{
	struct hv_segment ldt;
	uint64_t la;

	if (segment_is_null(selector))
		return true;
	if (selector & SELECTOR_LDT)
		return selector_fault(t, VECTOR_TS, selector);
	if (!read_descriptor(t, selector, VECTOR_TS, &la, &ldt))
		return false;
	if ((ldt.ar & (HV_AR_TYPE | HV_AR_S)) != SEG_LDT || !(ldt.ar & HV_AR_P))
		return selector_fault(t, VECTOR_TS, selector);
	t->sregs.ldt = ldt;
	return true;
}

static bool code_ok(const struct task *t, const struct hv_segment *cs)
{
	if (!(cs->ar & HV_AR_S) || !(cs->ar & SEG_CODE))
		return false;
	return cs->ar & SEG_CODE_CONFORMING ? segment_dpl(cs) <= t->cpl : segment_dpl(cs) == t->cpl;
}

static bool segment_ok(const struct task *t, enum seg which, const struct hv_segment *seg)
{
	if (which == CS)
		return code_ok(t, seg);
	return which == SS ? segment_may_hold_stack(seg, t->cpl)
			   : segment_may_hold_data(seg, t->cpl);
}

static uint8_t absent_vector(enum seg which)
{
	return which == SS ? VECTOR_SS : VECTOR_NP;
}

static bool load_segment(struct task *t, enum seg which)
{
	uint16_t selector = segment(t, which)->selector;
	struct hv_segment seg;
	struct walk_range range;
	uint64_t la;

	if (segment_is_null(selector) && which != CS && which != SS)
		return true;
	if (segment_is_null(selector))
		return selector_fault(t, VECTOR_TS, selector);
	if (!read_descriptor(t, selector, VECTOR_TS, &la, &seg))
		return false;
	if (!segment_ok(t, which, &seg))
		return selector_fault(t, VECTOR_TS, selector);
	if (!(seg.ar & HV_AR_P))
		return selector_fault(t, absent_vector(which), selector);
	if (!(seg.ar & SEG_ACCESSED)) {
		if (!reach(t, segment_type_byte(la), 1, WALK_WRITE | WALK_IMPLICIT, &range))
			return false;
		if (range.part[0].to)
			__atomic_fetch_or(range.part[0].to, SEG_ACCESSED, __ATOMIC_SEQ_CST);
		seg.ar |= SEG_ACCESSED;
	}
	*segment(t, which) = seg;
	return true;
}

/* Selectors are loaded before descriptors: a fault meets segments that cannot be used. */
static void load_selectors(struct task *t, const struct context *c)
{
	bool v8086 = c->eflags & FLAG_VM;

	t->cpl = v8086 ? 3 : c->seg[CS] & SELECTOR_RPL;
	for (unsigned int i = 0; i < NR_SEGS; i++) {
		struct hv_segment *seg = segment(t, i);

		*seg = (struct hv_segment){.selector = c->seg[i]};
		if (v8086) {
			seg->base = (uint32_t)c->seg[i] << 4;
			seg->limit = 0xffff;
			seg->ar = HV_AR_P | 3 << 5 | HV_AR_S | SEG_DATA_WRITABLE | SEG_ACCESSED;
		} else if (i == CS) {
			/* One of no bytes: the processor cannot be without. */
			seg->ar = HV_AR_P | t->cpl << 5 | HV_AR_S | SEG_CODE | SEG_ACCESSED;
		} else {
			seg->ar = HV_AR_UNUSABLE | (i == SS ? t->cpl << 5 : 0);
		}
	}
	t->sregs.ldt = (struct hv_segment){.selector = c->ldt, .ar = HV_AR_UNUSABLE};
}

static bool load_segments(struct task *t, const struct context *c)
{
	static const enum seg order[] = {CS, SS, DS, ES, FS, GS};

	if (!load_ldt(t, c->ldt))
		return false;
	for (unsigned int i = 0; i < NR_SEGS && !(c->eflags & FLAG_VM); i++) {
		if (!load_segment(t, order[i]))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------------- */
/* Task-state segments                                                        */

/* The part of a TSS that the processor writes when it leaves the task. */
#define STATE32 offsetof(struct tss32, eip)
#define STATE16 offsetof(struct tss16, ip)

static unsigned int state_offset(const struct hv_segment *tr)
{
	return is_tss32(tr) ? STATE32 : STATE16;
}

static unsigned int state_size(const struct hv_segment *tr)
{
	return is_tss32(tr) ? offsetof(struct tss32, ldt) - STATE32
			    : offsetof(struct tss16, ldt) - STATE16;
}

static unsigned int tss_size(const struct hv_segment *tr)
{
	return is_tss32(tr) ? sizeof(struct tss32) : sizeof(struct tss16);
}

static void store_state(struct task *t, const struct walk_range *state)
{
	uint64_t rip = t->run->exit.task.next_rip, rflags = t->gprs.rflags;
	union {
		struct tss32 tss32;
		struct tss16 tss16;
	} u = {0};
	unsigned int i;

	if (t->source == HV_TASK_IRET)
		rflags &= ~FLAG_NT;
	if (is_tss32(&t->sregs.tr)) {
		u.tss32.eip = rip;
		u.tss32.eflags = rflags;
		for (i = 0; i < 8; i++)
			u.tss32.gpr[i] = t->gprs.r[i];
		for (i = 0; i < NR_SEGS; i++)
			u.tss32.seg[i] = segment(t, i)->selector;
		store(state, (uint8_t *)&u + STATE32);
	} else {
		u.tss16.ip = rip;
		u.tss16.flags = rflags;
		for (i = 0; i < 8; i++)
			u.tss16.gpr[i] = t->gprs.r[i];
		for (i = 0; i < NR_SEGS16; i++)
			u.tss16.seg[i] = segment(t, i)->selector;
		store(state, (uint8_t *)&u + STATE16);
	}
}

static void load_context(const struct task *t, const struct hv_segment *tr,
			 const struct walk_range *tss, struct context *c)
{
	union {
		struct tss32 tss32;
		struct tss16 tss16;
	} u;
	unsigned int i;

	load(tss, &u);
	*c = (struct context){.cr3 = t->sregs.cr3};
	if (is_tss32(tr)) {
		if (t->sregs.cr0 & CR0_PG)
			c->cr3 = u.tss32.cr3;
		c->eip = u.tss32.eip;
		c->eflags = u.tss32.eflags;
		memcpy(c->gpr, u.tss32.gpr, sizeof(c->gpr));
		for (i = 0; i < NR_SEGS; i++)
			c->seg[i] = u.tss32.seg[i];
		c->ldt = u.tss32.ldt;
		c->trap = u.tss32.trap & 1;
	} else {
		c->eip = u.tss16.ip;
		c->eflags = u.tss16.flags;
		for (i = 0; i < 8; i++)
			c->gpr[i] = u.tss16.gpr[i];
		for (i = 0; i < NR_SEGS16; i++)
			c->seg[i] = u.tss16.seg[i];
		c->ldt = u.tss16.ldt;
	}
}

/* ------------------------------------------------------------------------- */
/* The switch                                                                 */

/* What it touches while a fault is still the old task's. */
struct places {
	struct hv_segment tr; /* the new one */
	struct walk_range old_state, old_type, new_tss, new_type, link;
};

/*
 * The processor has checked this, and the rights to the gate or TSS, before it left the
 * guest; memory may have changed since.
 */
static bool find_tss(struct task *t, struct places *p, uint64_t *la)
{
	unsigned int wanted = t->source == HV_TASK_IRET ? SEG_TSS | SEG_TSS_BUSY : SEG_TSS;
	uint8_t vector = t->source == HV_TASK_IRET ? VECTOR_TS : VECTOR_GP;
	struct hv_segment *tr = &p->tr;

	if (t->sregs.efer & EFER_LMA || t->selector & SELECTOR_LDT || segment_is_null(t->selector))
		return selector_fault(t, vector, t->selector);
	if (!read_descriptor(t, t->selector, vector, la, tr))
		return false;
	if ((tr->ar & (HV_AR_TYPE | HV_AR_S) & ~SEG_TSS_32) != wanted)
		return selector_fault(t, vector, t->selector);
	if (!(tr->ar & HV_AR_P))
		return selector_fault(t, VECTOR_NP, t->selector);
	if (tr->limit < tss_size(tr) - 1)
		return selector_fault(t, VECTOR_TS, t->selector);
	tr->ar |= SEG_TSS_BUSY;
	return true;
}

static bool prepare(struct task *t, struct places *p)
{
	const struct hv_segment *old = &t->sregs.tr;
	uint64_t new_la, old_la = t->sregs.gdt.base + (old->selector & ~SELECTOR_RPL);
	const unsigned int write = WALK_WRITE | WALK_IMPLICIT;

	if (!find_tss(t, p, &new_la))
		return false;
	if (old->limit < tss_size(old) - 1)
		return selector_fault(t, VECTOR_TS, old->selector);
	return reach(t, old->base + state_offset(old), state_size(old), write, &p->old_state) &&
	       reach(t, p->tr.base, tss_size(&p->tr), WALK_IMPLICIT, &p->new_tss) &&
	       (!is_nested(t) || reach(t, p->tr.base, sizeof(uint16_t), write, &p->link)) &&
	       (is_nested(t) || reach(t, segment_type_byte(old_la), 1, write, &p->old_type)) &&
	       (t->source == HV_TASK_IRET ||
		reach(t, segment_type_byte(new_la), 1, write, &p->new_type));
}

/* False: another vCPU has taken the task meanwhile. */
static bool take_task(struct task *t, const struct places *p)
{
	uint8_t *type = p->new_type.part[0].to;

	if (type && __atomic_fetch_or(type, SEG_TSS_BUSY, __ATOMIC_SEQ_CST) & SEG_TSS_BUSY)
		return selector_fault(t, VECTOR_GP, t->selector);
	return true;
}

/* Leave the old task and enter the new one, whose segments are still to be loaded. */
static void commit(struct task *t, const struct places *p, struct context *c)
{
	uint8_t *old_type = p->old_type.part[0].to;

	if (!is_nested(t) && old_type)
		__atomic_fetch_and(old_type, (uint8_t)~SEG_TSS_BUSY, __ATOMIC_SEQ_CST);
	store_state(t, &p->old_state);
	load_context(t, &p->tr, &p->new_tss, c);
	if (is_nested(t)) {
		store(&p->link, &t->sregs.tr.selector);
		c->eflags |= FLAG_NT;
	}

	t->switched = true;
	t->sregs.tr = p->tr;
	t->sregs.cr0 |= CR0_TS;
	t->sregs.cr3 = c->cr3;
	t->gprs.rip = c->eip;
	t->gprs.rflags = c->eflags;
	for (unsigned int i = 0; i < 8; i++)
		t->gprs.r[i] = c->gpr[i];
	load_selectors(t, c);
}

static bool push_error(struct task *t)
{
	uint32_t error = t->run->exit.task.error, mask;
	const struct hv_segment *ss = &t->sregs.ss;
	bool v8086 = t->gprs.rflags & FLAG_VM;
	unsigned int size = is_tss32(&t->sregs.tr) ? 4 : 2;
	unsigned int access = WALK_WRITE | (t->cpl == 3 ? WALK_USER : 0) |
			      (t->gprs.rflags & FLAG_AC ? WALK_AC : 0);
	__u64 *rsp = &t->gprs.r[HV_RSP];
	struct walk_range range;
	uint32_t top;

	mask = ss->ar & HV_AR_DB ? 0xffffffff : 0xffff;
	top = (*rsp - size) & mask;
	if (!segment_covers(ss, !v8086, top, size))
		return selector_fault(t, VECTOR_SS, 0);
	if (!reach(t, ss->base + top, size, access, &range))
		return false;
	store(&range, &error);
	*rsp = (*rsp & ~mask) | top;
	return true;
}

static bool carry_out(struct task *t)
{
	struct places p = {0};
	struct context c;

	if (!prepare(t, &p) || (t->source != HV_TASK_IRET && !take_task(t, &p)))
		return false;
	commit(t, &p, &c);
	if (!load_segments(t, &c))
		return false;
	if (t->gprs.rip > t->sregs.cs.limit)
		return selector_fault(t, VECTOR_GP, 0);
	if (t->flags & HV_TASK_ERROR_CODE && !push_error(t))
		return false;
	if (!c.trap)
		return true;
	t->run->dregs.dr6 |= DR6_BT;
	t->fault.vector = VECTOR_DB;
	t->fault.has_error = false;
	return false;
}

/* ------------------------------------------------------------------------- */
/* What becomes of the event, and of a fault                                  */

static bool is_contributory(uint8_t vector)
{
	return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

/*
 * A fault while an exception is delivered: Intel SDM Vol. 3, "Interrupt 8 - Double Fault
 * Exception". False: it is the third.
 */
static bool add_to_exception(struct task *t)
{
	const struct hv_events *e = &t->run->events;
	uint8_t first = e->exception_vector, second = t->fault.vector;

	if (!(t->flags & HV_TASK_EVENT) || !(e->exception & HV_EVENT_PENDING))
		return true;
	if (!is_contributory(second) && second != VECTOR_PF)
		return true;
	if (first == VECTOR_DF)
		return false;
	if (first == VECTOR_PF || (is_contributory(first) && second != VECTOR_PF))
		raise_fault(t, VECTOR_DF, 0);
	return true;
}

/* It was delivered. */
static void consume_event(struct task *t)
{
	struct hv_events *e = &t->run->events;

	if (t->source == HV_TASK_IRET)
		e->nmi_masked = 0;
	if (!(t->flags & HV_TASK_EVENT))
		return;
	e->interrupt = 0;
	e->interrupt_vector = 0;
	e->exception = 0;
	if (t->flags & HV_TASK_NMI) {
		e->nmi_masked = 1;
		e->nmi_pending = !!(t->flags & HV_TASK_NMI_PENDING);
	}
}

static void set_exception(struct task *t)
{
	struct hv_events *e = &t->run->events;

	e->exception = HV_EVENT_PENDING | (t->fault.has_error ? HV_EVENT_ERROR_CODE : 0);
	e->exception_vector = t->fault.vector;
	e->exception_error = t->fault.has_error ? t->fault.error : 0;
}

bool task_switch(const struct mem *mem, struct hv_run *run)
{
	struct task t = {
		.mem = mem,
		.run = run,
		.selector = run->exit.task.selector,
		.source = run->exit.task.source,
		.flags = run->exit.task.flags,
		.gprs = run->gprs,
		.sregs = run->sregs,
	};
	bool done = carry_out(&t);

	if (!done && !add_to_exception(&t))
		return false;
	if (t.switched) {
		consume_event(&t);
		run->dregs.dr7 &= ~DR7_LOCAL;
	}
	/* An interrupt or NMI whose delivery failed goes back to where it came from. */
	if (!done)
		set_exception(&t);
	run->events.shadow = 0;
	run->gprs = t.gprs;
	run->sregs = t.sregs;
	run->dirty |= HV_REGS_ALL;
	return true;
}
