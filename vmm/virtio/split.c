// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Split rings (virtio 1.2, 2.7): a table of descriptors, and two rings of indices into it. queue.c calls it.
 */
#include <stddef.h>
#include <string.h>

#include "virtio/ring.h"

#define ALIGN_DESC   16
#define ALIGN_DRIVER 2
#define ALIGN_DEVICE 4

_Static_assert(sizeof(struct vring_desc) == RING_DESC_SIZE, "descriptor");

/* The two event fields lie behind the rings: 2.7.6, 2.7.8. */
static const __u16 *used_event(const struct virtqueue *q)
{
	return &q->split.avail->ring[q->size];
}

static __u16 *avail_event(const struct virtqueue *q)
{
	return (__u16 *)&q->split.used->ring[q->size];
}

static void store16(const struct virtqueue *q, __u16 *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
	mem_mark(q->mem, p, sizeof(*p));
}

static bool map(struct virtqueue *q)
{
	const struct queue_regs *r = &q->latched;
	size_t avail_len = sizeof(struct vring_avail) + (r->size + 1) * sizeof(__u16);
	size_t used_len = sizeof(struct vring_used) + r->size * sizeof(struct vring_used_elem) +
			  sizeof(__u16);

	if (r->size & (r->size - 1))
		return false;
	q->split.desc = ring_part(q->mem, r->desc, r->size * sizeof(struct vring_desc), ALIGN_DESC);
	q->split.avail = ring_part(q->mem, r->driver, avail_len, ALIGN_DRIVER);
	q->split.used = ring_own_part(q->mem, r->device, used_len, ALIGN_DEVICE);
	return q->split.desc && q->split.avail && q->split.used;
}

static void begin(struct virtqueue *q)
{
	struct split_state *s = &q->split;

	s->avail_idx = s->next = s->used_idx = s->signalled = 0;
}

/* One copy, and the compiler may not look at guest memory again afterwards. */
static struct vring_desc fetch(const struct vring_desc *table, unsigned int i)
{
	struct vring_desc d;

	/* An indirect table may begin at any address: bytes, not a struct. */
	memcpy(&d, (const uint8_t *)table + i * sizeof(d), sizeof(d));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return d;
}

/*
 * Follow a chain. It cannot visit more descriptors than its table has without
 * meeting one twice, so "left" ends every loop.
 */
static int read_chain(struct virtqueue *q, struct queue_chain *c)
{
	const struct vring_desc *table = q->split.desc;
	unsigned int count = q->size, left = q->size, i = c->head;
	bool indirect = false; /* not to be told by where the table is: it may be the ring itself */
	struct vring_desc d;
	int ret;

	for (;;) {
		if (i >= count)
			return queue_fail(q, "a descriptor index is out of range");
		if (!left--)
			return queue_fail(q, "a chain of descriptors has a loop");
		d = fetch(table, i);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			/* 2.7.5.3: a table ends the chain, and has no table in it. */
			if (!q->indirect || indirect || d.flags & VRING_DESC_F_NEXT)
				return queue_fail(q, "an indirect descriptor is not allowed here");
			table = ring_table(q, d.addr, d.len, &count);
			if (!table)
				return -EPROTO;
			left = count;
			indirect = true;
			i = 0;
			continue;
		}

		ret = chain_add(q, c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (ret || !(d.flags & VRING_DESC_F_NEXT))
			return ret;
		i = d.next;
	}
}

static uint16_t in_flight(const struct virtqueue *q)
{
	return q->split.next - q->split.used_idx;
}

/* A driver may have made the same chain available twice. */
static bool holds(const struct virtqueue *q, const uint16_t *head, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (head[i] >= q->size)
			return false;
	return true;
}

/*
 * How many chains wait. The driver's index may be ahead of what we gave back by
 * at most the size of the ring: each entry of it needs a descriptor of its own.
 */
static int waiting(struct virtqueue *q)
{
	struct split_state *s = &q->split;
	uint16_t n = s->avail_idx - s->next;

	if (n)
		return n;
	/* Pairs with the driver's barrier between writing an entry and the index: 2.7.13.3. */
	s->avail_idx = __atomic_load_n(&s->avail->idx, __ATOMIC_ACQUIRE);
	n = s->avail_idx - s->next;
	if (in_flight(q) > q->size || n > q->size - in_flight(q))
		return queue_fail(q, "the index of available chains jumped");
	return n;
}

static int next(struct virtqueue *q, uint16_t *head)
{
	struct split_state *s = &q->split;
	int ret = waiting(q);

	if (ret <= 0)
		return ret;
	*head = ring_load16(&s->avail->ring[s->next & (q->size - 1)]);
	s->next++;
	return 1;
}

static void push(struct virtqueue *q, const struct queue_chain *c, uint32_t written)
{
	struct split_state *s = &q->split;
	struct vring_used_elem *elem = &s->used->ring[s->used_idx & (q->size - 1)];

	__atomic_store_n(&elem->id, c->head, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, written, __ATOMIC_RELAXED);
	mem_mark(q->mem, elem, sizeof(*elem));
	s->used_idx++;
	/* The driver sees the entry, and what is in the buffers, before the index: 2.7.8.2. */
	__atomic_store_n(&s->used->idx, s->used_idx, __ATOMIC_RELEASE);
	mem_mark(q->mem, &s->used->idx, sizeof(s->used->idx));
}

static bool wants_interrupt(struct virtqueue *q)
{
	struct split_state *s = &q->split;
	uint16_t old = s->signalled, new = s->used_idx;

	if (old == new)
		return false;
	s->signalled = new;
	ring_full_barrier();
	if (!q->event_idx)
		return !(ring_load16(&s->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	/* 2.7.7.2: when the index passed the driver's event. */
	return (uint16_t)(new - ring_load16(used_event(q)) - 1) < (uint16_t)(new - old);
}

static void kicks_off(struct virtqueue *q)
{
	store16(q, &q->split.used->flags, VRING_USED_F_NO_NOTIFY);
}

static bool kicks_on(struct virtqueue *q)
{
	struct split_state *s = &q->split;

	if (q->event_idx)
		store16(q, avail_event(q), s->next);
	else
		store16(q, &s->used->flags, 0);
	ring_full_barrier();
	return ring_load16(&s->avail->idx) != s->next;
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

static const struct state_property properties[] = {
	{STATE_UINT(struct split_state, next, "next", UINT16_MAX)},
	{STATE_UINT(struct split_state, used_idx, "used", UINT16_MAX)},
	{STATE_UINT(struct split_state, signalled, "signalled", UINT16_MAX)},
};

static const struct state_format format = STATE_FORMAT("virtio-split-ring", 1, properties);

static void save(const struct virtqueue *q, struct dtb *out)
{
	struct split_state s = q->split;

	/* Nobody gives back what is in flight of a broken one, which its device's status is of. */
	if (q->broken)
		s.next = s.used_idx;
	state_put(out, &format, &s);
}

static int load(struct virtqueue *q, struct state_in *in, struct error *e)
{
	const struct split_state had = {0};
	struct split_state s;
	int ret = state_get_leaf(in, &format, &had, &s, e);

	if (ret)
		return ret;
	state_copy(&format, &q->split, &s);
	/* The driver's index is read again. */
	q->split.avail_idx = s.next;
	if (in_flight(q) > q->size)
		return state_refuse(in, "next", "is too far from what was given back", e);
	return 0;
}

const struct ring_ops split_ring = {
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
