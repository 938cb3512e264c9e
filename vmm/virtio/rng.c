// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Entropy device (virtio 1.2, 5.4): fills the driver's buffers from getrandom().
 * The transport calls it on the event loop's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

#include "virtio/rng.h"

#define RNG_QUEUE 8
/* A guest may ask without end: so much a request, so many requests before the loop's others. */
#define RNG_MAX_BYTES	 (64u << 10)
#define RNG_MAX_REQUESTS 8

struct virtio_rng {
	struct virtio_dev dev;
};

/* The driver uses as much of its buffers as it is told, so an early end is no error. */
static uint32_t fill(const struct queue_chain *c)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < c->nr_in; i++) {
		uint8_t *to = c->in[i].iov_base;
		size_t left = c->in[i].iov_len;

		while (left) {
			size_t n = left < RNG_MAX_BYTES - done ? left : RNG_MAX_BYTES - done;
			ssize_t ret = n ? getrandom(to, n, 0) : 0;

			if (ret < 0 && errno == EINTR)
				continue;
			if (ret <= 0)
				return done;
			done += ret;
			left -= ret;
			to += ret;
		}
	}
	return done;
}

static void rng_kick(struct virtio_dev *d, unsigned int queue)
{
	struct virtqueue *vq = &d->queue[queue].vq;
	unsigned int budget = RNG_MAX_REQUESTS;
	struct queue_chain c;

	do {
		queue_kicks_off(vq);
		while (budget && queue_pop(vq, &c) > 0) {
			queue_push(vq, &c, fill(&c));
			budget--;
		}
	} while (budget && queue_kicks_on(vq) && !vq->broken);
	if (!budget)
		virtio_kick_later(d, queue);
	virtio_batch_done(d, queue);
}

static const struct virtio_ops rng_ops = {.kick = rng_kick};

static const struct virtio_type rng_type = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.nr_queues = 1,
	.queue_size = {RNG_QUEUE},
	.ops = &rng_ops,
};

struct virtio_rng *virtio_rng_create(const struct virtio_env *env, struct error *e)
{
	struct virtio_rng *r = calloc(1, sizeof(*r));

	if (!r) {
		error_set(e, ENOMEM, "not enough memory for the entropy device");
		return NULL;
	}
	if (virtio_dev_init(&r->dev, env, &rng_type, 0, e)) {
		virtio_rng_destroy(r);
		return NULL;
	}
	return r;
}

void virtio_rng_destroy(struct virtio_rng *r)
{
	if (!r)
		return;
	virtio_dev_fini(&r->dev);
	free(r);
}

static bool device_stop(void *dev)
{
	struct virtio_rng *r = dev;

	return virtio_stop(&r->dev);
}

static void device_reset(void *dev)
{
	struct virtio_rng *r = dev;

	virtio_reset(&r->dev);
}

static void device_start(void *dev)
{
	struct virtio_rng *r = dev;

	virtio_start(&r->dev);
}

static void device_save(void *dev, struct dtb *out)
{
	struct virtio_rng *r = dev;

	virtio_save(&r->dev, out);
}

static int device_load(void *dev, struct state_in *in, struct error *e)
{
	struct virtio_rng *r = dev;

	return virtio_load(&r->dev, in, e);
}

static void device_describe(void *dev, const struct description *d)
{
	struct virtio_rng *r = dev;

	virtio_describe(&r->dev, d);
}

static void device_destroy(void *dev)
{
	virtio_rng_destroy(dev);
}

const struct device_ops virtio_rng_device = {
	.stop = device_stop,
	.reset = device_reset,
	.start = device_start,
	.save = device_save,
	.load = device_load,
	.describe = device_describe,
	.destroy = device_destroy,
};
