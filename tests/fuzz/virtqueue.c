// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/virtio/queue.c and both kinds of rings: any rings in any memory. What a device is given lies in guest memory;
 * the queue itself writes nothing but its part of the rings.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "platform/mem.h"
#include "tests/fuzz/fuzz.h"
#include "virtio/queue.h"

#define BASE 0x10000u
#define SIZE 0x4000u
#define HELD 4

static uint8_t *ram, before[SIZE];
/* Chains that were taken, and are given back in any order */
static struct queue_chain chain, held[HELD];
static bool holds[HELD];
static bool packed;

static void check_part(const struct iovec *iov, unsigned int nr, uint64_t len)
{
	uint64_t sum = 0;

	must(nr <= QUEUE_MAX);
	for (unsigned int i = 0; i < nr; i++) {
		const uint8_t *p = iov[i].iov_base;

		must(p >= ram && p <= ram + SIZE && iov[i].iov_len <= (size_t)(ram + SIZE - p));
		sum += iov[i].iov_len;
	}
	must(sum == len);
}

static void use_chain(struct queue_chain *c, struct input *in)
{
	uint64_t out = c->out_len, room = c->in_len;
	uint8_t buf[64];
	size_t want = take(in, 1) % sizeof(buf);

	must(chain_take(c, buf, want) == (want <= out));
	must(c->out_len == (want <= out ? out - want : out));
	must(chain_take_last(c) == (room > 0));
	must(!room || (c->last >= ram && c->last < ram + SIZE && c->in_len == room - 1));
	check_part(c->out, c->nr_out, c->out_len);
	check_part(c->in, c->nr_in, c->in_len);
}

/* A part of the memory that the queue may write to */
struct part {
	size_t at, len;
};

/* In the order of the memory. */
static void own_parts(const struct virtqueue *q, struct part part[2])
{
	size_t device = q->latched.device - BASE, desc = q->latched.desc - BASE;
	const struct part event = {device, 4}, ring = {desc, q->size * 16u};
	const size_t used =
		sizeof(struct vring_used) + q->size * sizeof(struct vring_used_elem) + 2;

	if (!packed) {
		part[0] = part[1] = (struct part){device, used};
		return;
	}
	part[0] = device < desc ? event : ring;
	part[1] = device < desc ? ring : event;
}

static void check_writes(const struct virtqueue *q)
{
	struct part part[2];
	size_t done = 0;

	own_parts(q, part);
	for (unsigned int i = 0; i < 2; i++) {
		if (part[i].at > done)
			must(!memcmp(ram + done, before + done, part[i].at - done));
		if (part[i].at + part[i].len > done)
			done = part[i].at + part[i].len;
	}
	if (done < SIZE)
		must(!memcmp(ram + done, before + done, SIZE - done));
}

static void check_chain(const struct queue_chain *c)
{
	check_part(c->out, c->nr_out, c->out_len);
	check_part(c->in, c->nr_in, c->in_len);
	must(c->nr_out + c->nr_in <= QUEUE_MAX);
}

static unsigned int nr_held(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < HELD; i++)
		n += holds[i];
	return n;
}

static void pop(struct virtqueue *q, bool hold, struct input *in)
{
	unsigned int slot = take(in, 1) % HELD;
	int ret = queue_pop(q, &chain);

	must(ret <= 1 && (ret >= 0 || q->broken));
	if (ret <= 0)
		return;
	must(chain.head < q->size && queue_holds(q, &chain.head, 1));
	check_chain(&chain);
	use_chain(&chain, in);
	if (hold && !holds[slot]) {
		held[slot] = chain;
		holds[slot] = true;
		return;
	}
	queue_push(q, &chain, take(in, 4));
}

/* As after its state was loaded; what the driver wrote over it since may have made it bad. */
static void again(struct virtqueue *q, unsigned int slot)
{
	if (!holds[slot])
		return;
	if (queue_again(q, held[slot].head, &chain) > 0)
		check_chain(&chain);
	else
		must(q->broken);
}

static void push(struct virtqueue *q, unsigned int slot, uint32_t written)
{
	if (holds[slot])
		queue_push(q, &held[slot], written);
	holds[slot] = false;
}

static void step(struct virtqueue *q, struct input *in)
{
	switch (take(in, 1) % 8) {
	case 0:
	case 1:
		pop(q, false, in);
		break;
	case 2:
		pop(q, true, in);
		break;
	case 3:
		push(q, take(in, 1) % HELD, take(in, 4));
		break;
	case 4:
		again(q, take(in, 1) % HELD);
		break;
	case 5:
		queue_kicks_off(q);
		break;
	case 6:
		queue_kicks_on(q);
		break;
	default:
		queue_wants_interrupt(q);
		break;
	}
}

static uint64_t take_features(struct input *in)
{
	unsigned int bits = take(in, 1);

	return 1ULL << VIRTIO_F_VERSION_1 |
	       (bits & 1 ? 1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX
			 : 0) |
	       (bits & 2 ? 1ULL << VIRTIO_F_RING_PACKED : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct mem mem = {.nr_regions = 1};
	struct virtqueue q;
	uint64_t features;

	/* In an allocation of its own, so that an access beyond it is noticed. */
	ram = malloc(SIZE);
	mem.region[0] = (struct mem_region){.gpa = BASE, .len = SIZE, .hva = ram, .fd = -1};
	memset(holds, 0, sizeof(holds));
	queue_reset(&q, 1 << take(&in, 1) % 8);
	must(queue_pop(&q, &chain) <= 0);
	q.regs.desc = BASE + take(&in, 2) * 8;
	q.regs.driver = BASE + take(&in, 2) * 2;
	q.regs.device = BASE + take(&in, 2) * 4;
	q.regs.size = take(&in, 1) & 7 ? 1 << take(&in, 1) % 8 : take(&in, 2);
	features = take_features(&in);
	packed = features & 1ULL << VIRTIO_F_RING_PACKED;
	take_bytes(&in, ram, SIZE);
	if (queue_enable(&q, &mem, features)) {
		must(queue_pop(&q, &chain) <= 0);
		free(ram);
		return 0;
	}
	must(q.size && q.size <= q.max_size);
	must(packed || !(q.size & (q.size - 1)));
	/* The same bytes say what is done: what they are in memory has been read by then. */
	in = (struct input){data, size};
	for (unsigned int n = 0; n < 300 && in.left; n++) {
		memcpy(before, ram, SIZE);
		step(&q, &in);
		check_writes(&q);
		must(q.broken || queue_in_flight(&q) == nr_held());
		/* The driver goes on meanwhile. */
		ram[take(&in, 2) % SIZE] = take(&in, 1);
		if (q.broken)
			must(queue_pop(&q, &chain) < 0);
	}
	free(ram);
	return 0;
}
