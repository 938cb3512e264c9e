// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/virtio/queue.c: any rings in any memory. What a device is given lies in guest memory; the queue
 * itself writes nothing but its part of the rings.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "platform/mem.h"
#include "tests/fuzz/fuzz.h"
#include "virtio/queue.h"

#define BASE 0x10000u
#define SIZE 0x4000u

static uint8_t *ram, before[SIZE];

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

/* Only the used ring has changed: it is at "used" in the memory, with "size" entries. */
static void check_writes(size_t used, unsigned int size)
{
	size_t end = used + sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + 2;

	must(!memcmp(ram, before, used));
	if (end < SIZE)
		must(!memcmp(ram + end, before + end, SIZE - end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	static struct queue_chain chain;
	struct mem mem = {.nr_regions = 1};
	struct virtqueue q;
	uint64_t features;
	size_t used;

	/* In an allocation of its own, so that an access beyond it is noticed. */
	ram = malloc(SIZE);
	mem.region[0] = (struct mem_region){.gpa = BASE, .len = SIZE, .hva = ram, .fd = -1};
	queue_reset(&q, 1 << take(&in, 1) % 8);
	must(queue_pop(&q, &chain) <= 0);
	q.regs.desc = BASE + take(&in, 2) * 8;
	q.regs.driver = BASE + take(&in, 2) * 2;
	q.regs.device = BASE + take(&in, 2) * 4;
	q.regs.size = take(&in, 1) & 7 ? 1 << take(&in, 1) % 8 : take(&in, 2);
	features = take(&in, 1) & 1 ? ~0ULL : 1ULL << VIRTIO_F_VERSION_1;
	take_bytes(&in, ram, SIZE);
	used = q.regs.device - BASE;
	if (queue_enable(&q, &mem, features)) {
		must(queue_pop(&q, &chain) <= 0);
		free(ram);
		return 0;
	}
	must(q.size && q.size <= q.max_size && !(q.size & (q.size - 1)));
	/* The same bytes say what is done: what they are in memory has been read by then. */
	in = (struct input){data, size};
	for (unsigned int n = 0; n < 300 && in.left; n++) {
		uint16_t was = q.split.used_idx;
		int ret;

		memcpy(before, ram, SIZE);
		switch (take(&in, 1) % 5) {
		case 0:
		case 1:
			ret = queue_pop(&q, &chain);
			check_writes(used, q.size);
			must(ret <= 1 && (ret >= 0 || q.broken));
			if (ret <= 0)
				break;
			must(chain.head < q.size);
			check_part(chain.out, chain.nr_out, chain.out_len);
			check_part(chain.in, chain.nr_in, chain.in_len);
			must(chain.nr_out + chain.nr_in <= QUEUE_MAX);
			use_chain(&chain, &in);
			queue_push(&q, &chain, take(&in, 4));
			must(q.split.used_idx == (uint16_t)(was + 1));
			break;
		case 2:
			queue_kicks_off(&q);
			break;
		case 3:
			queue_kicks_on(&q);
			break;
		default:
			queue_wants_interrupt(&q);
			break;
		}
		check_writes(used, q.size);
		/* The driver goes on meanwhile. */
		ram[take(&in, 2) % SIZE] = take(&in, 1);
		if (q.broken)
			must(queue_pop(&q, &chain) < 0);
	}
	free(ram);
	return 0;
}
