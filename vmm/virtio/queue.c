// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtqueues, whichever kind of ring they have (split.c, packed.c): set-up, and the buffers of a chain, each of which is
 * bounded here. Devices call it under their lock.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio/ring.h"

int queue_fail(struct virtqueue *q, const char *why)
{
	q->broken = why;
	return -EPROTO;
}

static bool live(const struct virtqueue *q)
{
	return q->enabled && !q->broken;
}

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

/* But for the slots of a packed ring, most of which are never touched. */
void queue_reset(struct virtqueue *q, uint16_t max_size)
{
	memset(q, 0, offsetof(struct virtqueue, packed.slot));
	q->max_size = max_size;
	q->regs.size = max_size;
}

static const struct ring_ops *kind(uint64_t features)
{
	return features & 1ULL << VIRTIO_F_RING_PACKED ? &packed_ring : &split_ring;
}

const void *ring_part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align)
{
	return gpa % align ? NULL : mem_read(mem, gpa, len);
}

void *ring_own_part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align)
{
	return gpa % align ? NULL : mem_write(mem, gpa, len);
}

/* Find the rings that the latched registers describe. */
static int map_rings(struct virtqueue *q, const struct mem *mem, uint64_t features)
{
	if (!q->latched.size || q->latched.size > q->max_size)
		return -EINVAL;
	q->mem = mem;
	q->ring = kind(features);
	q->size = q->latched.size;
	q->indirect = features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	q->event_idx = features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	return q->ring->map(q) ? 0 : -EINVAL;
}

int queue_enable(struct virtqueue *q, const struct mem *mem, uint64_t features)
{
	int ret;

	q->latched = q->regs;
	ret = map_rings(q, mem, features);
	if (ret)
		return ret;
	q->ring->begin(q);
	q->broken = NULL;
	q->enabled = true;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Chains                                                                     */

const void *ring_table(struct virtqueue *q, uint64_t addr, uint32_t len, unsigned int *count)
{
	const void *table;

	if (!len || len % RING_DESC_SIZE || len / RING_DESC_SIZE > QUEUE_MAX) {
		queue_fail(q, "an indirect table has an impossible length");
		return NULL;
	}
	table = mem_read(q->mem, addr, len);
	if (!table)
		queue_fail(q, "an indirect table is not in memory");
	*count = len / RING_DESC_SIZE;
	return table;
}

/* Fill in the chain that begins at head, of which the ring knows where it is. */
static int read_chain(struct virtqueue *q, uint16_t head, struct queue_chain *c)
{
	int ret;

	c->mem = q->mem;
	c->head = head;
	c->last = NULL;
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	ret = q->ring->read(q, c);
	if (ret)
		return ret;
	c->out = c->iov;
	c->in = c->iov + c->nr_out;
	return 1;
}

int queue_pop(struct virtqueue *q, struct queue_chain *c)
{
	uint16_t head;
	int ret;

	if (!live(q))
		return q->broken ? -EPROTO : 0;
	ret = q->ring->next(q, &head);
	return ret > 0 ? read_chain(q, head, c) : ret;
}

int queue_again(struct virtqueue *q, uint16_t head, struct queue_chain *c)
{
	if (!live(q))
		return q->broken ? -EPROTO : 0;
	return read_chain(q, head, c);
}

uint16_t queue_in_flight(const struct virtqueue *q)
{
	return live(q) ? q->ring->in_flight(q) : 0;
}

bool queue_holds(const struct virtqueue *q, const uint16_t *head, unsigned int nr)
{
	return q->enabled ? q->ring->holds(q, head, nr) : !nr;
}

void queue_push(struct virtqueue *q, const struct queue_chain *c, uint32_t written)
{
	chain_end(c);
	if (live(q))
		q->ring->push(q, c, written);
}

/* ------------------------------------------------------------------------- */
/* Notifications                                                              */

bool queue_wants_interrupt(struct virtqueue *q)
{
	return live(q) && q->ring->wants_interrupt(q);
}

void queue_kicks_off(struct virtqueue *q)
{
	/* With event indices there is nothing to do: one that was passed is not met again soon. */
	if (live(q) && !q->event_idx)
		q->ring->kicks_off(q);
}

bool queue_kicks_on(struct virtqueue *q)
{
	return live(q) && q->ring->kicks_on(q);
}

/* ------------------------------------------------------------------------- */
/* What is in a chain                                                         */

bool chain_take(struct queue_chain *c, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (len > c->out_len)
		return false;
	c->out_len -= len;
	while (len) {
		size_t part_len = c->out->iov_len < len ? c->out->iov_len : len;

		memcpy(to, c->out->iov_base, part_len);
		to += part_len;
		len -= part_len;
		c->out->iov_base = (uint8_t *)c->out->iov_base + part_len;
		c->out->iov_len -= part_len;
		if (!c->out->iov_len) {
			c->out++;
			c->nr_out--;
		}
	}
	return true;
}

bool chain_take_last(struct queue_chain *c)
{
	struct iovec *last;

	if (!c->nr_in)
		return false;
	last = &c->in[c->nr_in - 1];
	last->iov_len--;
	c->in_len--;
	if (!last->iov_len)
		c->nr_in--;
	c->last = (uint8_t *)last->iov_base + last->iov_len;
	return true;
}

void chain_put_last(const struct queue_chain *c, uint8_t byte)
{
	*c->last = byte;
}

size_t chain_put(struct queue_chain *c, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < c->nr_in && done < len; i++) {
		size_t part_len = c->in[i].iov_len < len - done ? c->in[i].iov_len : len - done;

		memcpy(c->in[i].iov_base, (const uint8_t *)buf + done, part_len);
		done += part_len;
	}
	return done;
}

void chain_end(const struct queue_chain *c)
{
	if (!c->mem->logging)
		return;
	for (unsigned int i = 0; i < c->nr_in; i++)
		mem_mark(c->mem, c->in[i].iov_base, c->in[i].iov_len);
	if (c->last)
		mem_mark(c->mem, c->last, 1);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

struct queue_state {
	uint16_t max_size;
	struct queue_regs regs, latched;
	bool enabled;
};

#define REGS(member, prefix)                                                                  \
	{STATE_UINT(struct queue_state, member.desc, prefix "desc", UINT64_MAX)},             \
		{STATE_UINT(struct queue_state, member.driver, prefix "driver", UINT64_MAX)}, \
		{STATE_UINT(struct queue_state, member.device, prefix "device", UINT64_MAX)}, \
	{                                                                                     \
		STATE_UINT(struct queue_state, member.size, prefix "size", UINT16_MAX)        \
	}

static const struct state_property properties[] = {
	{STATE_UINT(struct queue_state, max_size, "max-size", QUEUE_MAX), .same = true},
	REGS(regs, ""),
	REGS(latched, "latched-"),
	{STATE_BOOL(struct queue_state, enabled, "enabled")},
};

static const struct state_format format = STATE_FORMAT("virtio-queue", 1, properties);

void queue_save(const struct virtqueue *q, struct dtb *out)
{
	struct queue_state s = {
		.max_size = q->max_size,
		.regs = q->regs,
		.enabled = q->enabled,
	};

	if (q->enabled)
		s.latched = q->latched;
	state_put(out, &format, &s);
	if (!q->enabled)
		return;
	dtb_begin(out, "ring");
	q->ring->save(q, out);
	dtb_end(out);
}

int queue_load(const struct virtqueue *now, struct virtqueue *copy, const struct mem *mem,
	       uint64_t features, struct state_in *in, struct error *e)
{
	struct queue_state had = {.max_size = now->max_size}, s;
	struct state_in ring;
	int ret = state_get(in, &format, &had, &s, e);

	if (ret)
		return ret;
	*copy = (struct virtqueue){
		.max_size = now->max_size,
		.regs = s.regs,
		.latched = s.latched,
	};
	if (s.enabled)
		ret = state_child(in, "ring", &ring, e);
	if (!ret)
		ret = state_all_met(in, e);
	if (ret || !s.enabled)
		return ret;
	if (map_rings(copy, mem, features))
		return state_refuse(in, "latched-desc", "is of rings that are not possible", e);
	copy->enabled = true;
	return copy->ring->load(copy, &ring, e);
}
