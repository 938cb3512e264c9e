// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The part of virtio that is the same on every transport (virtio 1.2, chapter 2):
 * negotiation, status, doorbells, and a device's way from reset to running and
 * back. Transports call it on vCPU threads, the event loop for doorbells.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "log.h"
#include "virtio/virtio.h"

/* ------------------------------------------------------------------------- */
/* Interrupts and doorbells                                                   */

/* The device stops until the driver resets it, and says so: 2.1.2. */
static void fail(struct virtio_dev *d, const char *why)
{
	if (d->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_guest("virtio-%s: %s; it needs a reset", d->type->name, why);
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		d->transport->interrupt(d, -1);
}

void virtio_batch_done(struct virtio_dev *d, unsigned int queue)
{
	struct virtio_queue *q = &d->queue[queue];

	if (queue_wants_interrupt(&q->vq))
		d->transport->interrupt(d, (int)queue);
	if (q->vq.broken)
		fail(d, q->vq.broken);
}

void virtio_config_changed(struct virtio_dev *d)
{
	d->generation++;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		d->transport->interrupt(d, -1);
}

/* The counter is never read: the loop is told of each signal (EPOLLET). */
void virtio_ring(const struct virtio_queue *q)
{
	const uint64_t one = 1;

	/* EAGAIN would take 2^64 signals. */
	if (write(q->doorbell, &one, sizeof(one)) < 0)
		log_error("virtio-%s: doorbell: %s", q->dev->type->name, strerror(errno));
}

void virtio_kick_later(struct virtio_dev *d, unsigned int queue)
{
	virtio_ring(&d->queue[queue]);
}

static bool running(const struct virtio_dev *d)
{
	const uint8_t mask =
		VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	return (d->status & mask) == VIRTIO_CONFIG_S_DRIVER_OK && d->access && !d->stopped;
}

/* Called by the event loop. */
static void doorbell_rang(void *arg, int fd, uint32_t events)
{
	struct virtio_queue *q = arg;
	struct virtio_dev *d = q->dev;

	(void)fd;
	(void)events;
	pthread_mutex_lock(&d->lock);
	if (d->stopping) {
		if (d->type->ops->stop(d))
			virtio_stopped(d);
	} else if (running(d) && q->vq.enabled) {
		d->type->ops->kick(d, q->index);
	}
	pthread_mutex_unlock(&d->lock);
}

/* ------------------------------------------------------------------------- */
/* Starting and stopping                                                      */

/* Chains may have been made available before we were allowed to look at them. */
static void start(struct virtio_dev *d)
{
	if (!running(d))
		return;
	if (d->type->ops->start)
		d->type->ops->start(d);
	for (unsigned int i = 0; i < d->type->nr_queues; i++)
		virtio_ring(&d->queue[i]);
}

/* Returns whether nothing is in flight already; otherwise "stopping" is set until it is. */
static bool begin_stop(struct virtio_dev *d)
{
	if (!d->stopping && d->type->ops->stop)
		d->stopping = !d->type->ops->stop(d);
	return !d->stopping;
}

void virtio_stopped(struct virtio_dev *d)
{
	if (!d->stopping)
		return;
	d->stopping = false;
	pthread_cond_broadcast(&d->change);
	if (d->env.stopped)
		d->env.stopped(d->env.arg);
}

/*
 * A vCPU waits until the device has stopped, as long as the host takes for it. (d) is let go meanwhile: the
 * event loop and the other vCPUs go on, but for those that would change the device as well. False: it has not
 * stopped, and the machine ends, or stands still until it has.
 */
static bool stop(struct virtio_dev *d)
{
	begin_stop(d);
	while (d->stopping && !d->ending)
		pthread_cond_wait(&d->change, &d->lock);
	return !d->stopping;
}

static void forget(struct virtio_dev *d)
{
	d->to_forget = false;
	if (d->type->ops->forget)
		d->type->ops->forget(d);
}

/* What was in flight is not wanted any more. False: the machine stands still first, and it is dropped then. */
static bool stop_and_forget(struct virtio_dev *d)
{
	d->to_forget = !stop(d);
	if (d->to_forget)
		return false;
	forget(d);
	return true;
}

void virtio_begin_change(struct virtio_dev *d)
{
	pthread_mutex_lock(&d->lock);
	/* Whoever stops the device has let the lock go. */
	while (d->changing && !d->ending)
		pthread_cond_wait(&d->change, &d->lock);
	d->changing = true;
}

void virtio_end_change(struct virtio_dev *d)
{
	d->changing = false;
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

bool virtio_stop(struct virtio_dev *d)
{
	bool stopped;

	pthread_mutex_lock(&d->lock);
	d->stopped = true;
	stopped = begin_stop(d);
	pthread_mutex_unlock(&d->lock);
	return stopped;
}

void virtio_start(struct virtio_dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->stopped = false;
	d->ending = false;
	if (d->to_forget)
		forget(d);
	start(d);
	pthread_mutex_unlock(&d->lock);
}

void virtio_end_waits(struct virtio_dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

void virtio_set_access(struct virtio_dev *d, bool access)
{
	if (access == d->access)
		return;
	d->access = access;
	/* Without it memory is left alone from here on. */
	if (access)
		start(d);
	else
		stop(d);
}

/* ------------------------------------------------------------------------- */
/* Status                                                                     */

/*
 * 2.4: back to the initial state. When this returns, the driver may reuse its memory
 * and gets no more interrupts.
 */
static void reset(struct virtio_dev *d)
{
	for (unsigned int i = 0; i < d->type->nr_queues; i++)
		queue_reset(&d->queue[i].vq, d->type->queue_size[i]);
	stop_and_forget(d);
	d->driver_features = 0;
	d->feature_select = d->driver_select = 0;
	d->queue_select = 0;
	d->status = 0;
	d->transport->reset(d);
}

void virtio_reset(struct virtio_dev *d)
{
	virtio_begin_change(d);
	reset(d);
	virtio_end_change(d);
}

/* 2.2.2, 6.2: no feature that was not offered, and this is no legacy device. */
static bool acceptable(const struct virtio_dev *d, uint64_t features)
{
	return !(features & ~d->features) && features & 1ULL << VIRTIO_F_VERSION_1;
}

/*
 * 2.1: the driver adds bits, it can take none away but by a reset. A bit whose
 * condition is not met stays clear, which the driver sees when it reads back.
 */
void virtio_set_status(struct virtio_dev *d, uint8_t value)
{
	const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_FAILED;
	uint8_t added = value & known & ~d->status;

	if (!value) {
		reset(d);
		return;
	}
	if (!acceptable(d, d->driver_features))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	d->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		start(d);
}

void virtio_enable_queue(struct virtio_dev *d, struct virtio_queue *q)
{
	if (q->vq.enabled || !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (queue_enable(&q->vq, d->env.mem, d->driver_features))
		fail(d, "a queue has an impossible size or address");
}

void virtio_disable_queue(struct virtio_dev *d, struct virtio_queue *q)
{
	if (!q->vq.enabled)
		return;
	q->vq.enabled = false;
	if (stop_and_forget(d))
		start(d);
}

void virtio_set_driver_features(struct virtio_dev *d, uint32_t value)
{
	if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		virtio_set_half(&d->driver_features, d->driver_select, value);
}

struct virtio_queue *virtio_selected(struct virtio_dev *d)
{
	return d->queue_select < d->type->nr_queues ? &d->queue[d->queue_select] : NULL;
}

/* ------------------------------------------------------------------------- */
/* Device configuration                                                       */

static bool in_config(const struct virtio_dev *d, uint64_t offset, unsigned int size)
{
	return offset <= d->type->config_len && size <= d->type->config_len - offset;
}

uint64_t virtio_config_get(struct virtio_dev *d, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	if (d->type->ops->config_read && in_config(d, offset, size))
		d->type->ops->config_read(d, offset, &value, size);
	return value;
}

void virtio_config_put(struct virtio_dev *d, uint64_t offset, unsigned int size, uint64_t value)
{
	if (d->type->ops->config_write && in_config(d, offset, size))
		d->type->ops->config_write(d, offset, &value, size);
}

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

#define STATUS_KNOWN                                                                          \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)

struct core_state {
	uint16_t id;
	uint64_t features;
	uint64_t driver_features;
	uint32_t feature_select, driver_select, queue_select, generation;
	uint8_t status;
};

static const struct state_property properties[] = {
	{STATE_UINT(struct core_state, id, "device-id", UINT16_MAX), .same = true},
	{STATE_UINT(struct core_state, features, "features", UINT64_MAX), .same = true},
	{STATE_UINT(struct core_state, driver_features, "driver-features", UINT64_MAX)},
	{STATE_UINT(struct core_state, feature_select, "feature-select", UINT32_MAX)},
	{STATE_UINT(struct core_state, driver_select, "driver-select", UINT32_MAX)},
	{STATE_UINT(struct core_state, queue_select, "queue-select", UINT32_MAX)},
	{STATE_UINT(struct core_state, generation, "generation", UINT32_MAX)},
	{STATE_UINT(struct core_state, status, "status", STATUS_KNOWN)},
};

static const struct state_format format = STATE_FORMAT("virtio", 1, properties);

static struct core_state core_state(const struct virtio_dev *d)
{
	return (struct core_state){
		.id = d->type->id,
		.features = d->features,
		.driver_features = d->driver_features,
		.feature_select = d->feature_select,
		.driver_select = d->driver_select,
		.queue_select = d->queue_select,
		.generation = d->generation,
		.status = d->status,
	};
}

struct child {
	char name[24];
};

static struct child queue_name(unsigned int i)
{
	struct child c;

	snprintf(c.name, sizeof(c.name), "queue-%u", i);
	return c;
}

void virtio_save(struct virtio_dev *d, struct dtb *out)
{
	struct core_state s;

	pthread_mutex_lock(&d->lock);
	s = core_state(d);
	state_put(out, &format, &s);
	for (unsigned int i = 0; i < d->type->nr_queues; i++) {
		dtb_begin(out, queue_name(i).name);
		queue_save(&d->queue[i].vq, out);
		dtb_end(out);
	}
	dtb_begin(out, "transport");
	d->transport->save(d, out);
	dtb_end(out);
	if (d->type->ops->save) {
		dtb_begin(out, "in-flight");
		d->type->ops->save(d, out);
		dtb_end(out);
	}
	pthread_mutex_unlock(&d->lock);
}

/* What a driver could have reached by virtio_set_status(). */
static bool status_possible(const struct virtio_dev *d, const struct core_state *s)
{
	bool agreed = s->status & VIRTIO_CONFIG_S_FEATURES_OK;

	if (s->status & ~STATUS_KNOWN || (s->status & VIRTIO_CONFIG_S_DRIVER_OK && !agreed))
		return false;
	return !agreed || acceptable(d, s->driver_features);
}

static int load_queues(struct virtio_dev *d, const struct core_state *s, struct virtqueue *queues,
		       struct state_in *in, struct error *e)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < d->type->nr_queues; i++) {
		struct state_in child;

		ret = state_child(in, queue_name(i).name, &child, e);
		if (!ret)
			ret = queue_load(&d->queue[i].vq, &queues[i], d->env.mem,
					 s->driver_features, &child, e);
		if (!ret && queues[i].enabled && !(s->status & VIRTIO_CONFIG_S_FEATURES_OK))
			ret = state_refuse(&child, "enabled",
					   "is not, before features are agreed on", e);
		if (!ret && !d->type->ops->load && queue_in_flight(&queues[i]))
			ret = state_refuse(&child, "ring", "has chains that were not given back",
					   e);
	}
	return ret;
}

/* Those that may refuse, after the last look at anything else. */
static int load_parts(struct virtio_dev *d, const struct virtqueue *queues, struct state_in *in,
		      struct error *e)
{
	struct state_in device, transport;
	int ret = state_child(in, "transport", &transport, e);

	if (!ret && d->type->ops->load)
		ret = state_child(in, "in-flight", &device, e);
	if (!ret)
		ret = state_all_met(in, e);
	if (!ret && d->type->ops->load)
		ret = d->type->ops->load(d, queues, &device, e);
	if (ret)
		return ret;
	ret = d->transport->load(d, &transport, e);
	if (ret)
		forget(d);
	return ret;
}

static int load(struct virtio_dev *d, struct state_in *in, struct error *e)
{
	struct core_state had = core_state(d), s;
	struct virtqueue queues[VIRTIO_MAX_QUEUES];
	int ret = state_get(in, &format, &had, &s, e);

	if (!ret && !status_possible(d, &s))
		ret = state_refuse(in, "status", "is none that a driver can reach", e);
	if (!ret)
		ret = load_queues(d, &s, queues, in, e);
	if (!ret)
		ret = load_parts(d, queues, in, e);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < d->type->nr_queues; i++)
		d->queue[i].vq = queues[i];
	d->driver_features = s.driver_features;
	d->feature_select = s.feature_select;
	d->driver_select = s.driver_select;
	d->queue_select = s.queue_select;
	d->generation = s.generation;
	d->status = s.status;
	return 0;
}

int virtio_load(struct virtio_dev *d, struct state_in *in, struct error *e)
{
	int ret;

	virtio_begin_change(d);
	ret = load(d, in, e);
	virtio_end_change(d);
	return ret;
}

void virtio_describe(struct virtio_dev *d, const struct description *description)
{
	if (d->transport->describe)
		d->transport->describe(d, description);
}

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

static int add_doorbell(struct virtio_dev *d, struct virtio_queue *q, struct error *e)
{
	int ret;

	q->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->doorbell < 0)
		return error_set(e, errno, "cannot create an eventfd: %s", strerror(errno));
	ret = loop_add_fd(d->env.loop, q->doorbell, EPOLLIN | EPOLLET, doorbell_rang, q);
	if (ret)
		return error_set(e, -ret, "cannot watch an eventfd: %s", strerror(-ret));
	return 0;
}

int virtio_dev_init(struct virtio_dev *d, const struct virtio_env *env,
		    const struct virtio_type *type, uint64_t features, struct error *e)
{
	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->change, NULL);
	d->type = type;
	d->env = *env;
	d->features = features | 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
		      1ULL << VIRTIO_RING_F_EVENT_IDX;
	if (env->packed)
		d->features |= 1ULL << VIRTIO_F_RING_PACKED;
	for (unsigned int i = 0; i < type->nr_queues; i++) {
		struct virtio_queue *q = &d->queue[i];

		q->dev = d;
		q->index = i;
		q->doorbell = -1;
		queue_reset(&q->vq, type->queue_size[i]);
	}
	for (unsigned int i = 0; i < type->nr_queues; i++) {
		int ret = add_doorbell(d, &d->queue[i], e);

		if (ret)
			return ret;
	}
	return env->attach(env->bus, d, e);
}

void virtio_dev_fini(struct virtio_dev *d)
{
	if (d->transport)
		d->transport->detach(d);
	for (unsigned int i = 0; i < d->type->nr_queues; i++) {
		struct virtio_queue *q = &d->queue[i];

		if (q->doorbell < 0)
			continue;
		loop_del_fd(d->env.loop, q->doorbell);
		close(q->doorbell);
	}
	pthread_cond_destroy(&d->change);
	pthread_mutex_destroy(&d->lock);
}
