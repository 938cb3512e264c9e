// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Split virtqueues: reading descriptor chains that a hostile driver may have
 * written, and giving them back. Devices call it under their lock.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "virtio/queue.h"

/* 2.7: what each part of a queue is aligned to. */
#define ALIGN_DESC   16
#define ALIGN_DRIVER 2
#define ALIGN_DEVICE 4

/* Guest and device work on the rings at once: every access to a shared field is one access. */
static uint16_t load16(const __u16 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store16(const struct virtqueue *q, __u16 *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
	mem_mark(q->mem, p, sizeof(*p));
}

/* Orders our store before our next load, as both notification schemes need (2.7.7, 2.7.10). */
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The two event fields lie behind the rings: 2.7.6, 2.7.8. */
static const __u16 *used_event(const struct virtqueue *q)
{
	return &q->avail->ring[q->size];
}

static __u16 *avail_event(const struct virtqueue *q)
{
	return (__u16 *)&q->used->ring[q->size];
}

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

void queue_reset(struct virtqueue *q, uint16_t max_size)
{
	memset(q, 0, sizeof(*q));
	q->max_size = max_size;
	q->regs.size = max_size;
}

/* A part of the queue in host memory, or NULL when it is not aligned or not in memory. */
static const void *part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align)
{
	return gpa % align ? NULL : mem_read(mem, gpa, len);
}

static void *own_part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align)
{
	return gpa % align ? NULL : mem_write(mem, gpa, len);
}

/* Find the rings that the latched registers describe. */
static int map_rings(struct virtqueue *q, const struct mem *mem, uint64_t features)
{
	struct queue_regs regs = q->latched;
	size_t avail_len = sizeof(struct vring_avail) + (regs.size + 1) * sizeof(__u16);
	size_t used_len = sizeof(struct vring_used) + regs.size * sizeof(struct vring_used_elem) +
			  sizeof(__u16);

	if (!regs.size || regs.size > q->max_size || regs.size & (regs.size - 1))
		return -EINVAL;
	q->desc = part(mem, regs.desc, regs.size * sizeof(struct vring_desc), ALIGN_DESC);
	q->avail = part(mem, regs.driver, avail_len, ALIGN_DRIVER);
	q->used = own_part(mem, regs.device, used_len, ALIGN_DEVICE);
	if (!q->desc || !q->avail || !q->used)
		return -EINVAL;

	q->mem = mem;
	q->size = regs.size;
	q->indirect = features & 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	q->event_idx = features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	return 0;
}

int queue_enable(struct virtqueue *q, const struct mem *mem, uint64_t features)
{
	int ret;

	q->latched = q->regs;
	ret = map_rings(q, mem, features);
	if (ret)
		return ret;
	q->avail_idx = q->next = q->used_idx = q->signalled = 0;
	q->broken = NULL;
	q->enabled = true;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Chains                                                                     */

/* One copy, and the compiler may not look at guest memory again afterwards. */
static struct vring_desc fetch(const struct vring_desc *table, unsigned int i)
{
	struct vring_desc d;

	/* An indirect table may begin at any address: bytes, not a struct. */
	memcpy(&d, (const uint8_t *)table + i * sizeof(d), sizeof(d));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return d;
}

static int add_buffer(struct virtqueue *q, struct queue_chain *c, const struct vring_desc *d)
{
	unsigned int nr = c->nr_out + c->nr_in;
	bool write = d->flags & VRING_DESC_F_WRITE;
	const void *hva;

	if (nr == QUEUE_MAX)
		return queue_fail(q, "a chain has too many descriptors");
	if (!d->len)
		return queue_fail(q, "a descriptor has length zero");
	hva = write ? mem_write(q->mem, d->addr, d->len) : mem_read(q->mem, d->addr, d->len);
	if (!hva)
		return queue_fail(q, "a buffer is not in memory");
	/* 2.7.4.2 */
	if (c->nr_in && !write)
		return queue_fail(q, "a buffer to read comes after one to write");
	/* 2.7.5: a chain has at most 2^32 bytes; with our count of written bytes, one less. */
	if (c->out_len + c->in_len + d->len > UINT32_MAX)
		return queue_fail(q, "a chain is longer than 4 GiB");

	/* The system has one type for both directions. */
	c->iov[nr] = (struct iovec){.iov_base = (void *)hva, .iov_len = d->len};
	if (write) {
		c->nr_in++;
		c->in_len += d->len;
	} else {
		c->nr_out++;
		c->out_len += d->len;
	}
	return 0;
}

/*
 * Follow a chain. It cannot visit more descriptors than its table has without
 * meeting one twice, so "left" ends every loop.
 */
static int read_chain(struct virtqueue *q, struct queue_chain *c)
{
	const struct vring_desc *table = q->desc;
	unsigned int count = q->size, left = q->size, i = c->head;
	bool indirect = false; /* not to be told by where the table is: it may be the ring itself */
	struct vring_desc d;

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
			if (!d.len || d.len % sizeof(d) || d.len / sizeof(d) > QUEUE_MAX)
				return queue_fail(q, "an indirect table has an impossible length");
			table = mem_read(q->mem, d.addr, d.len);
			if (!table)
				return queue_fail(q, "an indirect table is not in memory");
			count = left = d.len / sizeof(d);
			indirect = true;
			i = 0;
			continue;
		}

		if (add_buffer(q, c, &d))
			return -EPROTO;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
}

/*
 * How many chains wait. The driver's index may be ahead of what we gave back by
 * at most the size of the ring: each entry of it needs a descriptor of its own.
 */
static int waiting(struct virtqueue *q)
{
	uint16_t in_flight = q->next - q->used_idx;
	uint16_t n = q->avail_idx - q->next;

	if (n)
		return n;
	/* Pairs with the driver's barrier between writing an entry and the index: 2.7.13.3. */
	q->avail_idx = __atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE);
	n = q->avail_idx - q->next;
	if (in_flight > q->size || n > q->size - in_flight)
		return queue_fail(q, "the index of available chains jumped");
	return n;
}

static int take(struct virtqueue *q, uint16_t head, struct queue_chain *c)
{
	int ret;

	c->mem = q->mem;
	c->head = head;
	c->last = NULL;
	c->nr_out = c->nr_in = 0;
	c->out_len = c->in_len = 0;
	ret = read_chain(q, c);
	if (ret)
		return ret;
	c->out = c->iov;
	c->in = c->iov + c->nr_out;
	return 1;
}

int queue_pop(struct virtqueue *q, struct queue_chain *c)
{
	int ret;

	if (!live(q))
		return q->broken ? -EPROTO : 0;
	ret = waiting(q);
	if (ret <= 0)
		return ret;

	ret = take(q, load16(&q->avail->ring[q->next & (q->size - 1)]), c);
	if (ret > 0)
		q->next++;
	return ret;
}

int queue_again(struct virtqueue *q, uint16_t head, struct queue_chain *c)
{
	if (!live(q))
		return q->broken ? -EPROTO : 0;
	return take(q, head, c);
}

uint16_t queue_in_flight(const struct virtqueue *q)
{
	return live(q) ? q->next - q->used_idx : 0;
}

void queue_push(struct virtqueue *q, const struct queue_chain *c, uint32_t written)
{
	struct vring_used_elem *elem;

	chain_end(c);
	if (!live(q))
		return;
	elem = &q->used->ring[q->used_idx & (q->size - 1)];
	__atomic_store_n(&elem->id, c->head, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, written, __ATOMIC_RELAXED);
	mem_mark(q->mem, elem, sizeof(*elem));
	q->used_idx++;
	/* The driver sees the entry, and what is in the buffers, before the index: 2.7.8.2. */
	__atomic_store_n(&q->used->idx, q->used_idx, __ATOMIC_RELEASE);
	mem_mark(q->mem, &q->used->idx, sizeof(q->used->idx));
}

/* ------------------------------------------------------------------------- */
/* Notifications                                                              */

bool queue_wants_interrupt(struct virtqueue *q)
{
	uint16_t old = q->signalled, new = q->used_idx;

	if (!live(q) || old == new)
		return false;
	q->signalled = new;
	full_barrier();
	if (!q->event_idx)
		return !(load16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	/* 2.7.7.2: when the index passed the driver's event. */
	return (uint16_t)(new - load16(used_event(q)) - 1) < (uint16_t)(new - old);
}

/* With event indices there is nothing to do: one that was passed is not met again soon. */
void queue_kicks_off(struct virtqueue *q)
{
	if (live(q) && !q->event_idx)
		store16(q, &q->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool queue_kicks_on(struct virtqueue *q)
{
	if (!live(q))
		return false;
	if (q->event_idx)
		store16(q, avail_event(q), q->next);
	else
		store16(q, &q->used->flags, 0);
	full_barrier();
	return load16(&q->avail->idx) != q->next;
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
	uint16_t next, used_idx, signalled;
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
	{STATE_UINT(struct queue_state, next, "next", UINT16_MAX)},
	{STATE_UINT(struct queue_state, used_idx, "used", UINT16_MAX)},
	{STATE_UINT(struct queue_state, signalled, "signalled", UINT16_MAX)},
};

static const struct state_format format = STATE_FORMAT("virtio-split-queue", 1, properties);

void queue_save(const struct virtqueue *q, struct dtb *out)
{
	struct queue_state s = {
		.max_size = q->max_size,
		.regs = q->regs,
		.enabled = q->enabled,
	};

	if (q->enabled) {
		s.latched = q->latched;
		/* Nobody gives back what is in flight of a broken one, which its device's status is of. */
		s.next = q->broken ? q->used_idx : q->next;
		s.used_idx = q->used_idx;
		s.signalled = q->signalled;
	}
	state_put(out, &format, &s);
}

int queue_load(const struct virtqueue *now, struct virtqueue *copy, const struct mem *mem,
	       uint64_t features, struct state_in *in, struct error *e)
{
	struct queue_state had = {.max_size = now->max_size}, s;
	int ret = state_get_leaf(in, &format, &had, &s, e);

	if (ret)
		return ret;
	*copy = (struct virtqueue){
		.max_size = now->max_size,
		.regs = s.regs,
		.latched = s.latched,
	};
	if (!s.enabled)
		return 0;
	if (map_rings(copy, mem, features))
		return state_refuse(in, "latched-desc", "is of rings that are not possible", e);
	copy->enabled = true;
	/* The driver's index is read again. */
	copy->avail_idx = copy->next = s.next;
	copy->used_idx = s.used_idx;
	copy->signalled = s.signalled;
	if (queue_in_flight(copy) > copy->size)
		return state_refuse(in, "next", "is too far from what was given back", e);
	return 0;
}
