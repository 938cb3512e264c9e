/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What queue.c and the two kinds of rings share. No other file includes this.
 */
#ifndef VMM_VIRTIO_RING_H
#define VMM_VIRTIO_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "virtio/queue.h"

#define RING_DESC_SIZE 16u /* of a descriptor, of either kind */

/* All but the first two, save and load are for queues that are live. */
struct ring_ops {
	/* Find the parts of the ring in memory, as the latched registers say. False: they cannot be there. */
	bool (*map)(struct virtqueue *q);
	/* Nothing was taken and given back yet. */
	void (*begin)(struct virtqueue *q);
	/* Take the next chain off the ring; "head" stands for it from then on. Returns as queue_pop(). */
	int (*next)(struct virtqueue *q, uint16_t *head);
	/* Add the buffers of the chain that begins at c->head, which next() took. 0 or queue_fail(). */
	int (*read)(struct virtqueue *q, struct queue_chain *c);
	void (*push)(struct virtqueue *q, const struct queue_chain *c, uint32_t written);
	uint16_t (*in_flight)(const struct virtqueue *q);
	bool (*holds)(const struct virtqueue *q, const uint16_t *head, unsigned int nr);
	bool (*wants_interrupt)(struct virtqueue *q);
	/* Without event indices. */
	void (*kicks_off)(struct virtqueue *q);
	bool (*kicks_on)(struct virtqueue *q);
	void (*save)(const struct virtqueue *q, struct dtb *out);
	/* Into a queue that is mapped. */
	int (*load)(struct virtqueue *q, struct state_in *in, struct error *e);
};

extern const struct ring_ops split_ring, packed_ring;

/* A part of the queue in host memory, or NULL when it is not aligned or not in memory; the second is written to. */
const void *ring_part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align);
void *ring_own_part(const struct mem *mem, uint64_t gpa, uint64_t len, unsigned int align);
/* The indirect table that a descriptor names, and how many it has; NULL: queue_fail() was called. */
const void *ring_table(struct virtqueue *q, uint64_t addr, uint32_t len, unsigned int *count);

/* One more buffer of a chain: 0 or queue_fail(). Here, as calls of it would be many. */
static inline int chain_add(struct virtqueue *q, struct queue_chain *c, uint64_t addr, uint32_t len,
			    bool write)
{
	unsigned int nr = c->nr_out + c->nr_in;
	const void *hva;

	if (nr == QUEUE_MAX)
		return queue_fail(q, "a chain has too many descriptors");
	if (!len)
		return queue_fail(q, "a descriptor has length zero");
	hva = write ? mem_write(q->mem, addr, len) : mem_read(q->mem, addr, len);
	if (!hva)
		return queue_fail(q, "a buffer is not in memory");
	/* 2.7.4.2 */
	if (c->nr_in && !write)
		return queue_fail(q, "a buffer to read comes after one to write");
	/* 2.7.5: a chain has at most 2^32 bytes; with our count of written bytes, one less. */
	if (c->out_len + c->in_len + len > UINT32_MAX)
		return queue_fail(q, "a chain is longer than 4 GiB");

	/* The system has one type for both directions. */
	c->iov[nr] = (struct iovec){.iov_base = (void *)hva, .iov_len = len};
	if (write) {
		c->nr_in++;
		c->in_len += len;
	} else {
		c->nr_out++;
		c->out_len += len;
	}
	return 0;
}

/* Guest and device work on the rings at once: every access to a shared field is one access. */
static inline uint16_t ring_load16(const __u16 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Orders our store before our next load, as all notification schemes need (2.7.7, 2.7.10, 2.8.10). */
static inline void ring_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
