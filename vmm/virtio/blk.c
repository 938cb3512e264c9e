// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Block device (virtio 1.2, 5.2): turns the driver's requests into those of
 * block/file.h. Everything runs on the event loop's thread, when a doorbell
 * rings or when the disk has completions; a reset only takes back what the host
 * has not begun, on the thread that asks.
 *
 * A doorbell's work is done in batches: all chains are taken, started with one
 * system call, what is complete already is given back, and one interrupt is
 * raised for all of them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "block/file.h"
#include "virtio/blk.h"

#define BLK_QUEUE QUEUE_MAX
/* A chain holds header and status besides the data. */
#define BLK_SEG_MAX (QUEUE_MAX - 2)
/* 5.2.4: bytes of one buffer, and so of a request, also of a driver that did not ask: 126 MiB. */
#define BLK_SIZE_MAX  (1u << 20)
#define BLK_MAX_BYTES ((uint64_t)BLK_SEG_MAX * BLK_SIZE_MAX)
/* What one request may discard or zero, lest it holds up a flush for long: 1 GiB. */
#define BLK_MAX_RANGE ((1u << 30) / BLOCK_SECTOR)
/* Discards smaller than a block of the host's file system give nothing back. */
#define BLK_DISCARD_ALIGN (4096 / BLOCK_SECTOR)

_Static_assert(BLK_QUEUE <= BLOCK_MAX_IN_FLIGHT, "requests in flight");
_Static_assert(sizeof(struct virtio_blk_outhdr) == 16, "request header");

struct request {
	struct request *next_free;
	struct block_io io;
	uint32_t data_len; /* bytes of data in the guest's buffers if it succeeds */
	struct queue_chain chain;
};

/* Since the machine's start. */
struct blk_counts {
	uint64_t reads, read_bytes, writes, written_bytes, flushes, discards, errors;
};

struct virtio_blk {
	struct virtio_dev dev; /* its lock protects what follows */
	struct blk_counts counts;
	struct block *block;
	uint64_t sectors;		  /* (s) */
	bool readonly;			  /* (s) */
	struct virtio_blk_config config;  /* (s) */
	char serial[VIRTIO_BLK_ID_BYTES]; /* (s) */

	/* Heads of chains that were in flight when the device was saved, for start(). */
	uint16_t again[BLK_QUEUE];
	uint16_t nr_again;

	/* Those that were never used have never been touched and take no memory. */
	struct request *free;
	unsigned int nr_touched;
	struct request request[BLK_QUEUE + 1]; /* one more to pop into */
};

static struct virtio_blk *to_blk(struct virtio_dev *d)
{
	return (struct virtio_blk *)((char *)d - offsetof(struct virtio_blk, dev));
}

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

/*
 * There is one: the queue lets no more chains be in flight than it has entries,
 * and one request waits for the next chain.
 */
static struct request *request_get(struct virtio_blk *b)
{
	struct request *r = b->free;

	if (!r)
		return &b->request[b->nr_touched++];
	b->free = r->next_free;
	return r;
}

static void request_put(struct virtio_blk *b, struct request *r)
{
	r->next_free = b->free;
	b->free = r;
}

/*
 * The driver is told how many bytes were written from the first one on (2.7.8.2): the
 * status, behind all data, counts only when nothing before it was left out.
 */
static void request_done(struct virtio_blk *b, struct request *r, uint8_t status)
{
	uint32_t written = status == VIRTIO_BLK_S_OK ? r->data_len : 0;

	chain_put_last(&r->chain, status);
	queue_push(&b->dev.queue[0].vq, &r->chain, written + (written == r->chain.in_len));
	request_put(b, r);
}

static bool in_disk(const struct virtio_blk *b, uint64_t sector, uint64_t bytes)
{
	return bytes % BLOCK_SECTOR == 0 && sector <= b->sectors &&
	       bytes / BLOCK_SECTOR <= b->sectors - sector;
}

static bool can_transfer(const struct virtio_blk *b, uint64_t sector, uint64_t bytes)
{
	return bytes <= BLK_MAX_BYTES && in_disk(b, sector, bytes);
}

static void count(struct blk_counts *c, enum block_op op, uint64_t bytes)
{
	switch (op) {
	case BLOCK_READ:
		c->reads++;
		c->read_bytes += bytes;
		break;
	case BLOCK_WRITE:
		c->writes++;
		c->written_bytes += bytes;
		break;
	case BLOCK_FLUSH:
		c->flushes++;
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_UNMAP:
		c->discards++;
		break;
	}
}

/* Start a request on part of the disk; one for nothing is done at once. */
static void start(struct virtio_blk *b, struct request *r, enum block_op op, uint64_t sector,
		  uint64_t bytes)
{
	if (!bytes && op != BLOCK_FLUSH) {
		request_done(b, r, VIRTIO_BLK_S_OK);
		return;
	}
	r->io.op = op;
	r->io.offset = sector * BLOCK_SECTOR;
	r->io.len = bytes;
	count(&b->counts, op, bytes);
	block_queue(b->block, &r->io);
}

static void begin_read(struct virtio_blk *b, struct request *r, uint64_t sector)
{
	struct queue_chain *c = &r->chain;

	if (!can_transfer(b, sector, c->in_len)) {
		request_done(b, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->data_len = c->in_len;
	r->io.iov = c->in;
	r->io.nr_iov = c->nr_in;
	start(b, r, BLOCK_READ, sector, c->in_len);
}

static void begin_write(struct virtio_blk *b, struct request *r, uint64_t sector)
{
	struct queue_chain *c = &r->chain;

	if (b->readonly || !can_transfer(b, sector, c->out_len)) {
		request_done(b, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	r->io.iov = c->out;
	r->io.nr_iov = c->nr_out;
	/* 5.2.6.2: a driver that cannot flush expects to find its data after a power cut. */
	r->io.durable = !virtio_has(&b->dev, VIRTIO_BLK_F_FLUSH);
	start(b, r, BLOCK_WRITE, sector, c->out_len);
}

/* 5.2.6: discard and write zeroes. We take one segment a request, and say so. */
static void begin_range(struct virtio_blk *b, struct request *r, uint32_t type)
{
	bool zeroes = type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t known = zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	struct virtio_blk_discard_write_zeroes seg;
	enum block_op op = BLOCK_DISCARD;

	if (b->readonly) {
		request_done(b, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!chain_take(&r->chain, &seg, sizeof(seg)) || r->chain.out_len || seg.flags & ~known) {
		request_done(b, r, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (seg.num_sectors > BLK_MAX_RANGE ||
	    !in_disk(b, seg.sector, (uint64_t)seg.num_sectors * BLOCK_SECTOR)) {
		request_done(b, r, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (zeroes)
		op = seg.flags ? BLOCK_UNMAP : BLOCK_ZERO;
	start(b, r, op, seg.sector, (uint64_t)seg.num_sectors * BLOCK_SECTOR);
}

/* Look at a request that was just taken, and start it or answer it. */
static void begin(struct virtio_blk *b, struct request *r)
{
	struct virtio_blk_outhdr hdr;

	if (!chain_take_last(&r->chain) || !chain_take(&r->chain, &hdr, sizeof(hdr))) {
		/* There is nowhere to put an answer. */
		queue_fail(&b->dev.queue[0].vq, "a request has no header or no status");
		request_put(b, r);
		return;
	}
	r->data_len = 0;
	r->io.durable = false;

	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
		begin_read(b, r, hdr.sector);
		break;
	case VIRTIO_BLK_T_OUT:
		begin_write(b, r, hdr.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		start(b, r, BLOCK_FLUSH, 0, 0);
		break;
	case VIRTIO_BLK_T_GET_ID:
		r->data_len = chain_put(&r->chain, b->serial, sizeof(b->serial));
		request_done(b, r, VIRTIO_BLK_S_OK);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		begin_range(b, r, hdr.type);
		break;
	default:
		request_done(b, r, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

/* ------------------------------------------------------------------------- */
/* The queue                                                                  */

/* Start what is queued; where the host is short of resources, try again soon. */
static void submit(struct virtio_blk *b)
{
	if (!block_submit(b->block))
		virtio_kick_later(&b->dev, 0);
}

static struct request *to_request(struct block_io *io)
{
	return (struct request *)((char *)io - offsetof(struct request, io));
}

static void complete(struct virtio_blk *b)
{
	struct block_io *io;

	while ((io = block_reap(b->block))) {
		b->counts.errors += !!io->result;
		request_done(b, to_request(io), io->result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	submit(b);
	virtio_batch_done(&b->dev, 0);
}

static void blk_kick(struct virtio_dev *d, unsigned int queue)
{
	struct virtio_blk *b = to_blk(d);
	struct virtqueue *vq = &d->queue[queue].vq;
	unsigned int budget = BLK_QUEUE;

	do {
		queue_kicks_off(vq);
		while (budget) {
			struct request *r = request_get(b);

			if (queue_pop(vq, &r->chain) <= 0) {
				request_put(b, r);
				break;
			}
			begin(b, r);
			budget--;
		}
	} while (budget && queue_kicks_on(vq) && !vq->broken);
	/* A guest that never stops must not keep the loop from its other work. */
	if (!budget)
		virtio_kick_later(d, queue);
	submit(b);
	complete(b);
}

static bool blk_stop(struct virtio_dev *d)
{
	struct virtio_blk *b = to_blk(d);

	block_stop(b->block);
	complete(b);
	return !block_busy(b->block);
}

/* From their beginning: what of them was done before they were saved is done again, and comes to the same. */
static void begin_again(struct virtio_blk *b)
{
	for (unsigned int i = 0; i < b->nr_again; i++) {
		struct request *r = request_get(b);

		if (queue_again(&b->dev.queue[0].vq, b->again[i], &r->chain) > 0)
			begin(b, r);
		else
			request_put(b, r);
	}
	b->nr_again = 0;
	virtio_batch_done(&b->dev, 0);
}

static void blk_start(struct virtio_dev *d)
{
	struct virtio_blk *b = to_blk(d);

	block_resume(b->block);
	begin_again(b);
	submit(b);
}

static void blk_forget(struct virtio_dev *d)
{
	struct virtio_blk *b = to_blk(d);
	struct block_io *io;

	b->nr_again = 0;
	while ((io = block_drop(b->block))) {
		chain_end(&to_request(io)->chain);
		request_put(b, to_request(io));
	}
}

struct blk_state {
	uint64_t sectors;
	uint8_t serial[VIRTIO_BLK_ID_BYTES];
	uint16_t count;
	uint16_t head[BLK_QUEUE]; /* in the order of their coming */
};

static const struct state_property properties[] = {
	{STATE_UINT(struct blk_state, sectors, "sectors", UINT64_MAX), .same = true},
	{STATE_ARRAY(struct blk_state, serial, "serial", UINT8_MAX), .same = true},
	{STATE_UINT(struct blk_state, count, "count", BLK_QUEUE)},
	{STATE_ARRAY(struct blk_state, head, "head", BLK_QUEUE - 1)},
};

static const struct state_format format = STATE_FORMAT("virtio-blk", 1, properties);

/* Requests that a stopped disk holds, and those that wait since it was loaded. */
static struct blk_state blk_state(struct virtio_blk *b)
{
	uint16_t in_flight = queue_in_flight(&b->dev.queue[0].vq);
	struct blk_state s = {.sectors = b->sectors};
	const struct block_io *io = NULL;

	memcpy(s.serial, b->serial, sizeof(s.serial));
	while (s.count < in_flight && (io = block_held(b->block, io)))
		s.head[s.count++] = to_request((struct block_io *)io)->chain.head;
	for (unsigned int i = 0; s.count < in_flight && i < b->nr_again; i++)
		s.head[s.count++] = b->again[i];
	return s;
}

static void blk_save(struct virtio_dev *d, struct dtb *out)
{
	struct blk_state s = blk_state(to_blk(d));

	state_put(out, &format, &s);
}

/* Each chain that was taken is here, or its driver would wait for it for ever. */
static int blk_load(struct virtio_dev *d, const struct virtqueue *queues, struct state_in *in,
		    struct error *e)
{
	struct virtio_blk *b = to_blk(d);
	struct blk_state had = blk_state(b), s;
	int ret = state_get_leaf(in, &format, &had, &s, e);

	if (ret)
		return ret;
	if (s.count != queue_in_flight(&queues[0]))
		return state_refuse(in, "count", "is not that of the chains in flight", e);
	for (unsigned int i = s.count; i < BLK_QUEUE; i++)
		if (s.head[i])
			return state_refuse(in, "head", "has more than 'count' says", e);
	if (!queue_holds(&queues[0], s.head, s.count))
		return state_refuse(in, "head", "is none of the queue", e);
	memcpy(b->again, s.head, sizeof(b->again));
	b->nr_again = s.count;
	return 0;
}

static void blk_config_read(struct virtio_dev *d, size_t off, void *to, size_t n)
{
	memcpy(to, (const uint8_t *)&to_blk(d)->config + off, n);
}

/* The disk has completions. Called by the event loop. */
static void blk_ready(void *arg, int fd, uint32_t events)
{
	struct virtio_blk *b = arg;

	(void)fd;
	(void)events;
	pthread_mutex_lock(&b->dev.lock);
	complete(b);
	if (!block_busy(b->block))
		virtio_stopped(&b->dev);
	pthread_mutex_unlock(&b->dev.lock);
}

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

static const struct virtio_ops blk_ops = {
	.kick = blk_kick,
	.start = blk_start,
	.stop = blk_stop,
	.forget = blk_forget,
	.save = blk_save,
	.load = blk_load,
	.config_read = blk_config_read,
};

static const struct virtio_type blk_type = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.nr_queues = 1,
	.queue_size = {BLK_QUEUE},
	.config_len = offsetof(struct virtio_blk_config, unused1),
	.ops = &blk_ops,
};

/* 5.2.4; returns the device's features. */
static uint64_t describe(struct virtio_blk *b)
{
	uint64_t features = 1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |
			    1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_FLUSH;

	b->config.capacity = b->sectors;
	b->config.size_max = BLK_SIZE_MAX;
	b->config.seg_max = BLK_SEG_MAX;
	b->config.blk_size = BLOCK_SECTOR;
	if (b->readonly)
		return features | 1ULL << VIRTIO_BLK_F_RO;

	b->config.max_discard_sectors = BLK_MAX_RANGE;
	b->config.max_discard_seg = 1;
	b->config.discard_sector_alignment = BLK_DISCARD_ALIGN;
	b->config.max_write_zeroes_sectors = BLK_MAX_RANGE;
	b->config.max_write_zeroes_seg = 1;
	b->config.write_zeroes_may_unmap = 1;
	return features | 1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
}

struct virtio_blk *virtio_blk_create(const struct virtio_env *env, const struct blk_config *config,
				     struct error *e)
{
	const struct block_config file = {
		.path = config->path,
		.readonly = config->readonly,
		.format_stated = config->format_stated,
	};
	struct virtio_blk *b = calloc(1, sizeof(*b));
	int ret;

	if (!b) {
		error_set(e, ENOMEM, "not enough memory for disk '%s'", config->path);
		return NULL;
	}
	b->block = block_open(&file, e);
	if (!b->block) {
		free(b);
		return NULL;
	}
	b->sectors = block_size(b->block) / BLOCK_SECTOR;
	b->readonly = config->readonly;
	if (config->serial)
		memcpy(b->serial, config->serial, strnlen(config->serial, sizeof(b->serial)));

	if (virtio_dev_init(&b->dev, env, &blk_type, describe(b), e))
		goto fail;
	ret = loop_add_fd(env->loop, block_fd(b->block), EPOLLIN | EPOLLET, blk_ready, b);
	if (ret) {
		error_set(e, -ret, "cannot watch disk '%s': %s", config->path, strerror(-ret));
		goto fail;
	}
	return b;

fail:
	virtio_blk_destroy(b);
	return NULL;
}

bool virtio_blk_destroy(struct virtio_blk *b)
{
	bool closed;

	if (!b)
		return true;
	loop_del_fd(b->dev.env.loop, block_fd(b->block));
	virtio_stop(&b->dev);
	virtio_dev_fini(&b->dev);
	closed = block_close(b->block);
	if (closed)
		free(b);
	return closed;
}

struct virtio_dev *virtio_blk_dev(struct virtio_blk *b)
{
	return &b->dev;
}

static int device_launch(void *dev, struct error *e)
{
	const struct virtio_blk *b = dev;

	return block_launch(b->block, e);
}

static void device_end_waits(void *dev)
{
	struct virtio_blk *b = dev;

	virtio_end_waits(&b->dev);
}

static bool device_stop(void *dev)
{
	struct virtio_blk *b = dev;

	return virtio_stop(&b->dev);
}

static void device_reset(void *dev)
{
	struct virtio_blk *b = dev;

	virtio_reset(&b->dev);
}

static void device_start(void *dev)
{
	struct virtio_blk *b = dev;

	virtio_start(&b->dev);
}

static void device_save(void *dev, struct dtb *out)
{
	struct virtio_blk *b = dev;

	virtio_save(&b->dev, out);
}

static int device_load(void *dev, struct state_in *in, struct error *e)
{
	struct virtio_blk *b = dev;

	return virtio_load(&b->dev, in, e);
}

static void device_describe(void *dev, const struct description *d)
{
	struct virtio_blk *b = dev;

	virtio_describe(&b->dev, d);
}

static void device_count(void *dev, device_count_fn fn, void *arg)
{
	struct virtio_blk *b = dev;
	struct blk_counts c;

	pthread_mutex_lock(&b->dev.lock);
	c = b->counts;
	pthread_mutex_unlock(&b->dev.lock);
	fn(arg, "reads", c.reads);
	fn(arg, "read_bytes", c.read_bytes);
	fn(arg, "writes", c.writes);
	fn(arg, "written_bytes", c.written_bytes);
	fn(arg, "flushes", c.flushes);
	fn(arg, "discards", c.discards);
	fn(arg, "errors", c.errors);
}

static void device_destroy(void *dev)
{
	virtio_blk_destroy(dev);
}

const struct device_ops virtio_blk_device = {
	.launch = device_launch,
	.end_waits = device_end_waits,
	.stop = device_stop,
	.reset = device_reset,
	.start = device_start,
	.save = device_save,
	.load = device_load,
	.describe = device_describe,
	.count = device_count,
	.destroy = device_destroy,
};
