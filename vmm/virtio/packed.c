// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packed rings (virtio 1.2, 2.8): one ring of descriptors, in which the driver makes chains available and the
 * device gives them back, each writing over what the other has left behind. Two bits of a descriptor say whose it
 * is, by the lap in which they were written. queue.c calls it.
 *
 * A chain that comes back early is written over one that is still with us. So its descriptors are copied when it is
 * taken, into "slots", and the number of the first one stands for the chain.
 */
#include <stddef.h>
#include <string.h>

#include "virtio/ring.h"

#define ALIGN_DESC  16
#define ALIGN_EVENT 4

#define DESC_AVAIL  (1u << VRING_PACKED_DESC_F_AVAIL)
#define DESC_USED   (1u << VRING_PACKED_DESC_F_USED)
#define DESC_BOTH   (DESC_AVAIL | DESC_USED)
#define EVENT_WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define EVENT_FLAGS 3u /* of the upper half: VRING_PACKED_EVENT_FLAG_* */

#define NO_SLOT	    QUEUE_MAX

_Static_assert(sizeof(struct vring_packed_desc) == RING_DESC_SIZE, "descriptor");
_Static_assert(sizeof(struct vring_packed_desc_event) == sizeof(uint32_t), "event suppression");
_Static_assert(DESC_AVAIL << 8 == EVENT_WRAP && (DESC_USED << 8 & EVENT_WRAP) == 0, "wrap_bit()");
_Static_assert(NO_SLOT <= UINT8_MAX, "slots");

static bool map(struct virtqueue *q)
{
	const struct queue_regs *r = &q->latched;

	q->packed.desc =
		ring_own_part(q->mem, r->desc, (uint64_t)r->size * RING_DESC_SIZE, ALIGN_DESC);
	q->packed.driver = ring_part(q->mem, r->driver, sizeof(uint32_t), ALIGN_EVENT);
	q->packed.device = ring_own_part(q->mem, r->device, sizeof(uint32_t), ALIGN_EVENT);
	return q->packed.desc && q->packed.driver && q->packed.device;
}

/* 2.8.1: the wrap counters of both begin with 1. */
static void begin(struct virtqueue *q)
{
	struct packed_state *s = &q->packed;

	s->next = s->used = (struct packed_place){.lap = DESC_AVAIL};
	s->unsignalled = 0;
	s->free = NO_SLOT;
	s->touched = 0;
}

/* n is at most the size of the ring, which is any number. */
static void advance(const struct virtqueue *q, struct packed_place *at, unsigned int n)
{
	unsigned int index = at->index + n;

	if (index >= q->size) {
		index -= q->size;
		at->lap ^= DESC_BOTH;
	}
	at->index = index;
}

/* The wrap counter, as the event structures have it: the same as of "available", in the upper byte. */
static uint32_t wrap_bit(const struct packed_place *at)
{
	return (uint32_t)at->lap << 8 & EVENT_WRAP;
}

/* All descriptors were taken, and none of them given back. */
static bool is_full(const struct packed_state *s)
{
	return s->next.index == s->used.index && s->next.lap != s->used.lap;
}

/* ------------------------------------------------------------------------- */
/* Slots                                                                      */

/* There is one: no more descriptors are taken than the ring has. So it is below the ring's size. */
static unsigned int slot_get(struct packed_state *s)
{
	unsigned int i = s->free;

	if (i == NO_SLOT)
		return s->touched++;
	s->free = s->slot[i].next;
	return i;
}

/* Those of a chain of count descriptors, of which this is the first */
static void slots_put(struct packed_state *s, unsigned int first, unsigned int count)
{
	struct packed_slot *last = &s->slot[first];

	last->count = 0;
	while (--count)
		last = &s->slot[last->next];
	last->next = s->free;
	s->free = first;
}

static bool begins_chain(const struct packed_state *s, unsigned int i)
{
	return i < s->touched && s->slot[i].count;
}

/* ------------------------------------------------------------------------- */
/* Chains                                                                     */

/* 2.8.2: available is what the driver wrote in this lap, and the device did not. */
static bool is_available(uint16_t flags, const struct packed_place *at)
{
	return (flags & DESC_BOTH) == at->lap;
}

static uint16_t next_flags(const struct packed_state *s)
{
	/* Pairs with the driver's barrier between all else of a chain and the flags of its first descriptor. */
	return __atomic_load_n(&s->desc[s->next.index].flags, __ATOMIC_ACQUIRE);
}

/* One copy, and the compiler may not look at guest memory again afterwards. */
static struct vring_packed_desc fetch(const struct vring_packed_desc *table, unsigned int i)
{
	struct vring_packed_desc d;

	/* An indirect table may begin at any address: bytes, not a struct. */
	memcpy(&d, (const uint8_t *)table + i * sizeof(d), sizeof(d));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return d;
}

/* Copy the descriptor that is next into a free slot. Its flags have been read, and are not read again. */
static unsigned int take(struct virtqueue *q, uint16_t flags)
{
	struct packed_state *s = &q->packed;
	unsigned int i = slot_get(s);

	s->slot[i].desc = fetch(s->desc, s->next.index);
	s->slot[i].desc.flags = flags;
	s->slot[i].count = 0;
	advance(q, &s->next, 1);
	return i;
}

/* A chain ends where the driver says, or with the ring: what lies behind was not given back to the driver. */
static int next(struct virtqueue *q, uint16_t *head)
{
	struct packed_state *s = &q->packed;
	uint16_t flags = next_flags(s);
	unsigned int first = 0, last = 0, count = 0;

	if (!is_available(flags, &s->next))
		return 0;
	for (;; flags = next_flags(s)) {
		unsigned int i;

		if (is_full(s))
			return queue_fail(q, "more descriptors are available than the ring has");
		i = take(q, flags);
		if (count++)
			s->slot[last].next = i;
		else
			first = i;
		last = i;
		if (!(flags & VRING_DESC_F_NEXT))
			break;
	}
	/* 2.8.6: that of the last one counts. */
	s->slot[first].desc.id = s->slot[last].desc.id;
	s->slot[first].count = count;
	*head = first;
	return 1;
}

/* Its descriptors follow each other, and of their flags only one has a meaning: 2.8.7. */
static int read_table(struct virtqueue *q, struct queue_chain *c, const struct packed_slot *slot)
{
	unsigned int count;
	const void *table = ring_table(q, slot->desc.addr, slot->desc.len, &count);

	if (!table)
		return -EPROTO;
	for (unsigned int i = 0; i < count; i++) {
		struct vring_packed_desc d = fetch(table, i);
		int ret;

		if (d.flags & VRING_DESC_F_INDIRECT)
			return queue_fail(q, "an indirect descriptor is not allowed here");
		ret = chain_add(q, c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_chain(struct virtqueue *q, struct queue_chain *c)
{
	unsigned int i = c->head, count = q->packed.slot[i].count;

	for (; count--; i = q->packed.slot[i].next) {
		const struct packed_slot *slot = &q->packed.slot[i];
		int ret;

		if (slot->desc.flags & VRING_DESC_F_INDIRECT) {
			/* A table ends the chain. */
			if (!q->indirect || count)
				return queue_fail(q, "an indirect descriptor is not allowed here");
			return read_table(q, c, slot);
		}
		ret = chain_add(q, c, slot->desc.addr, slot->desc.len,
				slot->desc.flags & VRING_DESC_F_WRITE);
		if (ret)
			return ret;
	}
	return 0;
}

static uint16_t in_flight(const struct virtqueue *q)
{
	uint16_t n = 0;

	for (unsigned int i = 0; i < q->packed.touched; i++)
		n += begins_chain(&q->packed, i);
	return n;
}

/* Each stands for another chain. */
static bool holds(const struct virtqueue *q, const uint16_t *head, unsigned int nr)
{
	bool met[QUEUE_MAX] = {false};

	for (unsigned int i = 0; i < nr; i++) {
		if (!begins_chain(&q->packed, head[i]) || met[head[i]])
			return false;
		met[head[i]] = true;
	}
	return true;
}

/* One descriptor is written for the whole chain, and the others are left out: 2.8.6. */
static void push(struct virtqueue *q, const struct queue_chain *c, uint32_t written)
{
	struct packed_state *s = &q->packed;
	struct vring_packed_desc *d = &s->desc[s->used.index];
	uint16_t flags = s->used.lap == DESC_AVAIL ? DESC_BOTH : 0;
	unsigned int head = c->head, count;

	/* Of a queue that its driver has set up anew since. */
	if (!begins_chain(s, head))
		return;
	count = s->slot[head].count;
	__atomic_store_n(&d->id, s->slot[head].desc.id, __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, written, __ATOMIC_RELAXED);
	slots_put(s, head, count);
	advance(q, &s->used, count);
	s->unsignalled += count;
	/* 2.8.3: whether anything was written, be it behind a gap. */
	if (written || c->last)
		flags |= VRING_DESC_F_WRITE;
	/* The driver sees the rest, and what is in the buffers, before the flags. */
	__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	mem_mark(q->mem, d, sizeof(*d));
}

/* ------------------------------------------------------------------------- */
/* Notifications: 2.8.10, 2.8.14                                              */

/* Whether the driver's place is among those that were passed; of another lap, it is of the one before. */
static bool passed_event(const struct virtqueue *q, uint32_t event, unsigned int passed)
{
	const struct packed_place *at = &q->packed.used;
	unsigned int behind = at->index - (event & (EVENT_WRAP - 1));

	if ((wrap_bit(at) ^ event) & EVENT_WRAP)
		behind += q->size;
	/* From 1 on: the place that comes next is not passed. One that lies ahead is far behind. */
	return behind - 1 < passed;
}

static bool wants_interrupt(struct virtqueue *q)
{
	struct packed_state *s = &q->packed;
	unsigned int passed = s->unsignalled;
	uint32_t event, flags;

	if (!passed)
		return false;
	s->unsignalled = 0;
	ring_full_barrier();
	event = __atomic_load_n(s->driver, __ATOMIC_RELAXED);
	flags = event >> 16 & EVENT_FLAGS;
	/* Only drivers with event indices say so. */
	if (flags == VRING_PACKED_EVENT_FLAG_DESC)
		return passed_event(q, event, passed);
	return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
}

/* Both halves at once, so that the driver sees no place with the flags of another. */
static void set_event(struct virtqueue *q, uint32_t flags, uint32_t place)
{
	uint32_t *event = q->packed.device;

	__atomic_store_n(event, flags << 16 | place, __ATOMIC_RELAXED);
	mem_mark(q->mem, event, sizeof(*event));
}

static uint32_t event_place(const struct packed_place *at)
{
	return at->index | wrap_bit(at);
}

static void kicks_off(struct virtqueue *q)
{
	set_event(q, VRING_PACKED_EVENT_FLAG_DISABLE, 0);
}

static bool kicks_on(struct virtqueue *q)
{
	const struct packed_place *at = &q->packed.next;

	if (q->event_idx)
		set_event(q, VRING_PACKED_EVENT_FLAG_DESC, event_place(at));
	else
		set_event(q, VRING_PACKED_EVENT_FLAG_ENABLE, 0);
	ring_full_barrier();
	return is_available(next_flags(&q->packed), at);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

/* The slots as arrays; those that are not taken are zero. A device that has stopped has signalled all. */
struct saved {
	uint16_t next, used;
	bool next_wrap, used_wrap;
	uint64_t addr[QUEUE_MAX];
	uint32_t len[QUEUE_MAX];
	uint16_t flags[QUEUE_MAX], id[QUEUE_MAX];
	uint8_t link[QUEUE_MAX], count[QUEUE_MAX];
};

static const struct state_property properties[] = {
	{STATE_UINT(struct saved, next, "next", QUEUE_MAX - 1)},
	{STATE_BOOL(struct saved, next_wrap, "next-wrap")},
	{STATE_UINT(struct saved, used, "used", QUEUE_MAX - 1)},
	{STATE_BOOL(struct saved, used_wrap, "used-wrap")},
	{STATE_ARRAY(struct saved, addr, "slot-address", UINT64_MAX)},
	{STATE_ARRAY(struct saved, len, "slot-length", UINT32_MAX)},
	{STATE_ARRAY(struct saved, flags, "slot-flags", UINT16_MAX)},
	{STATE_ARRAY(struct saved, id, "slot-id", UINT16_MAX)},
	{STATE_ARRAY(struct saved, link, "slot-next", QUEUE_MAX - 1)},
	{STATE_ARRAY(struct saved, count, "slot-count", QUEUE_MAX)},
};

static const struct state_format format = STATE_FORMAT("virtio-packed-ring", 1, properties);

static void save_chain(const struct packed_state *s, unsigned int i, struct saved *saved)
{
	for (unsigned int count = s->slot[i].count; count--; i = s->slot[i].next) {
		const struct packed_slot *slot = &s->slot[i];

		saved->addr[i] = slot->desc.addr;
		saved->len[i] = slot->desc.len;
		saved->flags[i] = slot->desc.flags;
		saved->id[i] = slot->desc.id;
		saved->count[i] = slot->count;
		saved->link[i] = count ? slot->next : 0;
	}
}

static void save(const struct virtqueue *q, struct dtb *out)
{
	const struct packed_state *s = &q->packed;
	/* Nobody gives back what is in flight of a broken one, which its device's status is of. */
	const struct packed_place *next = q->broken ? &s->used : &s->next;
	struct saved saved = {
		.next = next->index,
		.next_wrap = wrap_bit(next) != 0,
		.used = s->used.index,
		.used_wrap = wrap_bit(&s->used) != 0,
	};

	for (unsigned int i = 0; !q->broken && i < s->touched; i++)
		if (begins_chain(s, i))
			save_chain(s, i, &saved);
	state_put(out, &format, &saved);
}

static struct packed_place place(uint16_t index, bool wrap)
{
	return (struct packed_place){.index = index, .lap = wrap ? DESC_AVAIL : DESC_USED};
}

static void load_slots(struct packed_state *s, const struct saved *saved)
{
	for (unsigned int i = 0; i < QUEUE_MAX; i++) {
		s->slot[i] = (struct packed_slot){
			.desc = {.addr = saved->addr[i],
				 .len = saved->len[i],
				 .flags = saved->flags[i],
				 .id = saved->id[i]},
			.next = saved->link[i],
			.count = saved->count[i],
		};
	}
}

/* Note which slots the chain that begins at i has. False: one is none of the ring, or was met already. */
static bool meet_chain(const struct virtqueue *q, unsigned int i, bool met[QUEUE_MAX])
{
	const struct packed_slot *slot = q->packed.slot;

	for (unsigned int count = slot[i].count; count--; i = slot[i].next) {
		if (i >= q->size || met[i])
			return false;
		met[i] = true;
	}
	return true;
}

/* Descriptors between the two places; more than the ring has, where they lie. */
static unsigned int between(const struct virtqueue *q)
{
	const struct packed_state *s = &q->packed;
	unsigned int lap = s->next.lap == s->used.lap ? 0 : q->size;

	return lap + s->next.index - s->used.index;
}

/* Chains have as many slots as there are descriptors between the two places; the other slots are free. */
static int load_chains(struct virtqueue *q, const struct state_in *in, struct error *e)
{
	struct packed_state *s = &q->packed;
	bool met[QUEUE_MAX] = {false};
	unsigned int taken = 0;

	for (unsigned int i = 0; i < QUEUE_MAX; i++) {
		if (s->slot[i].count && !meet_chain(q, i, met))
			return state_refuse(in, "slot-next", "makes no chains", e);
		taken += s->slot[i].count;
	}
	if (taken != between(q))
		return state_refuse(in, "next", "is not as far from 'used' as chains are long", e);
	s->touched = q->size;
	for (unsigned int i = q->size; i--;) {
		if (met[i])
			continue;
		s->slot[i].next = s->free;
		s->free = i;
	}
	return 0;
}

static int load(struct virtqueue *q, struct state_in *in, struct error *e)
{
	struct packed_state *s = &q->packed;
	const struct saved had = {.next_wrap = true};
	struct saved saved;
	int ret = state_get_leaf(in, &format, &had, &saved, e);

	if (ret)
		return ret;
	if (saved.next >= q->size || saved.used >= q->size)
		return state_refuse(in, "next", "or 'used' is outside of the ring", e);
	begin(q);
	s->next = place(saved.next, saved.next_wrap);
	s->used = place(saved.used, saved.used_wrap);
	load_slots(s, &saved);
	return load_chains(q, in, e);
}

const struct ring_ops packed_ring = {
	.map = map,
	.begin = begin,
	.next = next,
	.read = read_chain,
	.push = push,
	.in_flight = in_flight,
	.holds = holds,
	.wants_interrupt = wants_interrupt,
	.kicks_off = kicks_off,
	.kicks_on = kicks_on,
	.save = save,
	.load = load,
};
