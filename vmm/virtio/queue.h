/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues, with split and packed rings (virtio 1.2, 2.7 and 2.8). Behind this is the only place where descriptors
 * are read: every index, length, address and chain that a guest may have made up
 * is bounded there, and devices see host memory that is safe to touch.
 *
 * Where the rings are is checked once, when the queue is enabled, and kept until
 * it is disabled: what the driver writes into the registers meanwhile has no
 * effect. A descriptor is copied before it is looked at.
 *
 * Everything is protected by the lock of the device that embeds the queue. The
 * guest writes its part of the rings at any time.
 */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "platform/mem.h"
#include "platform/state.h"

/* The longest ring, and the longest chain of descriptors, that a device accepts. */
#define QUEUE_MAX 128

struct ring_ops;

/* What the driver writes before it enables the queue. */
struct queue_regs {
	uint64_t desc, driver, device; /* guest-physical addresses of the three parts */
	uint16_t size;
};

struct split_state {
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx; /* the driver's index as last read */
	uint16_t next;	    /* index of the next chain to take */
	uint16_t used_idx;  /* our index in the used ring */
	uint16_t signalled; /* used_idx at the last interrupt decision */
};

/* A place in a packed ring, and the two flags by which a descriptor is available in this lap. */
struct packed_place {
	uint16_t index;
	uint16_t lap;
};

/* A descriptor of a chain that was taken. */
struct packed_slot {
	struct vring_packed_desc
		desc;  /* of the first one of a chain, "id" is what the driver calls it */
	uint8_t next;  /* slot of the chain's next one; of one that is free, the next that is */
	uint8_t count; /* of the first one: how many it has; of others 0 */
};

struct packed_state {
	struct vring_packed_desc *desc;
	const uint32_t *driver;		/* when the driver wants interrupts */
	uint32_t *device;		/* when we want doorbells */
	struct packed_place next, used; /* of the next chain to take, of the next to give back */
	uint32_t unsignalled; /* descriptors given back since the last interrupt decision */
	uint8_t free;	      /* first of the slots that are free again */
	uint8_t touched;      /* those behind have never been used, and take no memory */
	struct packed_slot slot[QUEUE_MAX];
};

struct virtqueue {
	struct queue_regs regs;
	uint16_t max_size;

	/* Latched by queue_enable() */
	struct queue_regs latched;
	const struct mem *mem;
	const struct ring_ops *ring;
	uint16_t size;
	bool indirect;	/* VIRTIO_F_INDIRECT_DESC */
	bool event_idx; /* VIRTIO_F_EVENT_IDX */

	bool enabled;
	const char *broken;	  /* what the driver did wrong, NULL: nothing */
	struct split_state split; /* one of the two, as "ring" says */
	struct packed_state packed;
};

/*
 * A chain of descriptors as host memory: first what the device reads, then what
 * it writes. The caller gives the array; taking from a chain shortens it.
 */
struct queue_chain {
	const struct mem *mem;
	uint16_t head;		/* what the ring knows it by */
	struct iovec *out, *in; /* read, written by the device */
	unsigned int nr_out, nr_in;
	uint64_t out_len, in_len; /* bytes left in each */
	uint8_t *last;		  /* what chain_take_last() took, the last time */
	struct iovec iov[QUEUE_MAX];
};

/* Forget everything that the driver said. max_size: a power of two up to QUEUE_MAX. */
void queue_reset(struct virtqueue *q, uint16_t max_size);
/*
 * Start using the rings that regs describes; features are those negotiated.
 * -EINVAL: the size, an alignment or a place is not possible.
 */
int queue_enable(struct virtqueue *q, const struct mem *mem, uint64_t features);

/*
 * Take the next chain: 1, or 0 when there is none, or -EPROTO when the driver
 * broke the rules; then q->broken says how and the queue is dead until reset.
 */
int queue_pop(struct virtqueue *q, struct queue_chain *c);
/* The driver broke the device's own rules, too: returns -EPROTO, like queue_pop() from now on. */
int queue_fail(struct virtqueue *q, const char *why);
/*
 * Give a chain back with "written" bytes in it; what the device writes to is the same iovecs again by now. Only
 * what chain_end() does happens on a queue that is not live.
 */
void queue_push(struct virtqueue *q, const struct queue_chain *c, uint32_t written);
/* Since the last call, was something pushed that the driver wants an interrupt for? */
bool queue_wants_interrupt(struct virtqueue *q);

/*
 * What is saved of a queue is what the driver wrote into its registers, what of that was latched, and how far we are
 * in the rings: the rings themselves are guest memory. Which chains are in flight, their device saves: the head of
 * each is enough to take it again. The descriptors of a split ring stay in their table until then; those of a packed
 * one may have been written over, and are saved.
 */
void queue_save(const struct virtqueue *q, struct dtb *out);
/*
 * Into copy, of a queue now that was just reset, for queue_loaded(). features: those negotiated. Refuses rings
 * that queue_enable() would have refused.
 */
int queue_load(const struct virtqueue *now, struct virtqueue *copy, const struct mem *mem,
	       uint64_t features, struct state_in *in, struct error *e);
/* Chains that were taken and not given back. */
uint16_t queue_in_flight(const struct virtqueue *q);
/* Whether these heads may be those of chains in flight: of a queue that is not live, none. */
bool queue_holds(const struct virtqueue *q, const uint16_t *head, unsigned int nr);
/* Take a chain again that was in flight: as queue_pop(). */
int queue_again(struct virtqueue *q, uint16_t head, struct queue_chain *c);

/* Tell the driver that it need not notify us: we look at the ring by ourselves. */
void queue_kicks_off(struct virtqueue *q);
/* Ask for notifications again. True: something came meanwhile, so look once more. */
bool queue_kicks_on(struct virtqueue *q);

/* Copy the first len bytes of the part to read and take them off. False: not that many. */
bool chain_take(struct queue_chain *c, void *buf, size_t len);
/* Take off the last byte of the part to write. False: there is none. */
bool chain_take_last(struct queue_chain *c);
/* Write to the byte that was taken off. */
void chain_put_last(const struct queue_chain *c, uint8_t byte);
/* Write to the front of the part to write: returns how many of the len bytes fit. */
size_t chain_put(struct queue_chain *c, const void *buf, size_t len);
/* The chain will not be given back: what may have been written to it is marked. */
void chain_end(const struct queue_chain *c);

#endif
