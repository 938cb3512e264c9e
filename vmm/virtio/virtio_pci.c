// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI transport of virtio devices (virtio 1.2, 4.1): capabilities, common
 * configuration, status, doorbells and interrupts. Devices call it through
 * virtio.h; the PCI bus calls it on vCPU threads, the event loop for doorbells.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "log.h"
#include "virtio/virtio.h"

#define VIRTIO_VENDOR	 0x1af4
#define VIRTIO_DEVICE	 0x1040 /* + type: 4.1.2.1 */
#define VIRTIO_REVISION	 1
#define VIRTIO_SUBSYSTEM 0x1100

#define ISR_QUEUE	 0x1 /* 4.1.4.5; the bit for configuration has a name already */

/* Doorbells: an I/O BAR, because a port write needs no instruction decode. */
#define BAR_NOTIFY    0
#define NOTIFY_STRIDE 4
#define NOTIFY_SIZE   (NOTIFY_STRIDE * VIRTIO_MAX_QUEUES)

/* Everything else: a memory BAR, one page a structure so that drivers can map them apart. */
#define BAR_REGISTERS 1
#define REGION_SIZE   0x1000

enum region {
	REGION_COMMON,
	REGION_ISR,
	REGION_DEVICE,
	REGION_MSIX,
	NR_REGIONS
};

_Static_assert((NOTIFY_SIZE & (NOTIFY_SIZE - 1)) == 0, "size of a BAR");
_Static_assert(MSIX_REGION <= REGION_SIZE, "MSI-X region");
_Static_assert(VIRTIO_MAX_QUEUES + 1 <= MSIX_MAX_VECTORS, "a vector for each queue, and config");
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "common configuration");

static struct virtio_dev *to_virtio(struct pci_dev *pci)
{
	return (struct virtio_dev *)((char *)pci - offsetof(struct virtio_dev, pci));
}

/* ------------------------------------------------------------------------- */
/* Interrupts and doorbells                                                   */

/* The bit of queues is for drivers without MSI-X, that of configuration for all: 4.1.4.5.1. */
static void interrupt(struct virtio_dev *d, uint16_t vector, uint8_t isr)
{
	if (!d->msix.enabled || isr == VIRTIO_PCI_ISR_CONFIG)
		d->isr |= isr;
	if (d->msix.enabled)
		msix_notify(&d->msix, vector);
}

/* The device stops until the driver resets it, and says so: 2.1.2. */
static void fail(struct virtio_dev *d, const char *why)
{
	if (d->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_guest("virtio-%s: %s; it needs a reset", d->type->name, why);
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(d, d->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

void virtio_batch_done(struct virtio_dev *d, unsigned int queue)
{
	struct virtio_queue *q = &d->queue[queue];

	if (queue_wants_interrupt(&q->vq))
		interrupt(d, q->vector, ISR_QUEUE);
	if (q->vq.broken)
		fail(d, q->vq.broken);
}

/* The counter is never read: the loop is told of each signal (EPOLLET). */
static void ring_doorbell(const struct virtio_queue *q)
{
	const uint64_t one = 1;

	/* EAGAIN would take 2^64 signals. */
	if (write(q->doorbell, &one, sizeof(one)) < 0)
		log_error("virtio-%s: doorbell: %s", q->dev->type->name, strerror(errno));
}

void virtio_kick_later(struct virtio_dev *d, unsigned int queue)
{
	ring_doorbell(&d->queue[queue]);
}

static bool running(const struct virtio_dev *d)
{
	const uint8_t mask =
		VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;

	return (d->status & mask) == VIRTIO_CONFIG_S_DRIVER_OK && d->master;
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

/* Chains may have been made available before we were allowed to look at them. */
static void ring_all(struct virtio_dev *d)
{
	for (unsigned int i = 0; i < d->type->nr_queues; i++)
		ring_doorbell(&d->queue[i]);
}

/* The BAR came or went: let the module signal the doorbells where it is now. */
static void bar_mapped(struct pci_dev *pci, unsigned int bar, uint64_t addr, bool mapped)
{
	struct virtio_dev *d = to_virtio(pci);
	const struct doorbell_sink *sink = &d->env.doorbell;

	if (bar != BAR_NOTIFY)
		return;
	for (unsigned int i = 0; i < d->type->nr_queues; i++) {
		struct virtio_queue *q = &d->queue[i];
		uint64_t port = addr + i * NOTIFY_STRIDE;

		if (q->bound)
			sink->unbind(sink->ctx, q->doorbell, true, q->bound, 0);
		q->bound = 0;
		/* Without it the write comes to bar_write() below: slower, but no less right. */
		if (mapped && sink->bind(sink->ctx, q->doorbell, true, port, 0) == 0)
			q->bound = port;
	}
}

/* ------------------------------------------------------------------------- */
/* Status                                                                     */

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
 * stopped, and the machine ends.
 */
static bool stop(struct virtio_dev *d)
{
	begin_stop(d);
	while (d->stopping && !d->ending)
		pthread_cond_wait(&d->change, &d->lock);
	return !d->stopping;
}

/* Around what may stop the device, for which (d) alone is not enough. */
static void begin_change(struct virtio_dev *d)
{
	pthread_mutex_lock(&d->lock);
	while (d->changing && !d->ending)
		pthread_cond_wait(&d->change, &d->lock);
	d->changing = true;
}

static void end_change(struct virtio_dev *d)
{
	d->changing = false;
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

bool virtio_stop(struct virtio_dev *d)
{
	bool stopped;

	pthread_mutex_lock(&d->lock);
	stopped = begin_stop(d);
	pthread_mutex_unlock(&d->lock);
	return stopped;
}

void virtio_end_waits(struct virtio_dev *d)
{
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

/*
 * 2.4: back to the initial state. When this returns, the driver may reuse its memory
 * and gets no more interrupts.
 */
static void reset(struct virtio_dev *d)
{
	for (unsigned int i = 0; i < d->type->nr_queues; i++) {
		queue_reset(&d->queue[i].vq, d->type->queue_size);
		d->queue[i].vector = VIRTIO_MSI_NO_VECTOR;
	}
	if (stop(d) && d->type->ops->stop) {
		d->type->ops->forget(d);
		d->type->ops->resume(d);
	}
	msix_drop_pending(&d->msix);
	d->driver_features = 0;
	d->feature_select = d->driver_select = 0;
	d->queue_select = 0;
	d->config_vector = VIRTIO_MSI_NO_VECTOR;
	d->status = 0;
	d->isr = 0;
}

/* 2.2.2, 6.2: no feature that was not offered, and this is no legacy device. */
static bool features_acceptable(const struct virtio_dev *d)
{
	return !(d->driver_features & ~d->features) && virtio_has(d, VIRTIO_F_VERSION_1);
}

/*
 * 2.1: the driver adds bits, it can take none away but by a reset. A bit whose
 * condition is not met stays clear, which the driver sees when it reads back.
 */
static void write_status(struct virtio_dev *d, uint8_t value)
{
	const uint8_t known = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_FAILED;
	uint8_t added = value & known & ~d->status;

	if (!value) {
		reset(d);
		return;
	}
	if (!features_acceptable(d))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	d->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		ring_all(d);
}

/* 4.1.5.1.3: the registers count now, and what is written to them later does not. */
static void enable_queue(struct virtio_dev *d, struct virtio_queue *q)
{
	if (q->vq.enabled || !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (queue_enable(&q->vq, d->env.mem, d->driver_features))
		fail(d, "a queue has an impossible size or address");
}

/* ------------------------------------------------------------------------- */
/* Common configuration: 4.1.4.3                                              */

static struct virtio_queue *selected(struct virtio_dev *d)
{
	return d->queue_select < d->type->nr_queues ? &d->queue[d->queue_select] : NULL;
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select < 2 ? value >> (select * 32) : 0;
}

static void set_half(uint64_t *reg, uint32_t select, uint32_t value)
{
	if (select < 2)
		*reg = (*reg & ~(0xffffffffULL << (select * 32))) | (uint64_t)value << select * 32;
}

/* A vector that does not exist reads back as none: 4.1.5.1.2. */
static uint16_t checked_vector(const struct virtio_dev *d, uint32_t vector)
{
	return vector < d->msix.nr ? vector : VIRTIO_MSI_NO_VECTOR;
}

static uint64_t read_common(struct virtio_dev *d, uint64_t offset, unsigned int size)
{
	struct virtio_pci_common_cfg c = {
		.device_feature_select = d->feature_select,
		.device_feature = half(d->features, d->feature_select),
		.guest_feature_select = d->driver_select,
		.guest_feature = half(d->driver_features, d->driver_select),
		.msix_config = d->config_vector,
		.num_queues = d->type->nr_queues,
		.device_status = d->status,
		.config_generation = 0, /* device configuration never changes */
		.queue_select = d->queue_select,
	};
	const struct virtio_queue *q = selected(d);
	uint64_t value = 0;

	/* A queue that does not exist has size zero: 4.1.5.1.3. */
	if (q) {
		const struct queue_regs *r = &q->vq.regs;

		c.queue_size = r->size;
		c.queue_msix_vector = q->vector;
		c.queue_enable = q->vq.enabled;
		c.queue_notify_off = q->index;
		c.queue_desc_lo = half(r->desc, 0);
		c.queue_desc_hi = half(r->desc, 1);
		c.queue_avail_lo = half(r->driver, 0);
		c.queue_avail_hi = half(r->driver, 1);
		c.queue_used_lo = half(r->device, 0);
		c.queue_used_hi = half(r->device, 1);
	}
	if (offset + size <= sizeof(c))
		memcpy(&value, (const uint8_t *)&c + offset, size);
	return value;
}

static void write_queue(struct virtio_dev *d, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = selected(d);
	struct queue_regs *r;

	if (!q)
		return;
	r = &q->vq.regs;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		r->size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		q->vector = checked_vector(d, value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			enable_queue(d, q);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&r->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&r->driver, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&r->device, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

/* Bytes of the writable field at offset; 0: none begins there. */
static unsigned int field_width(uint64_t offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_STATUS:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return 2;
	case VIRTIO_PCI_COMMON_DFSELECT:
	case VIRTIO_PCI_COMMON_GFSELECT:
	case VIRTIO_PCI_COMMON_GF:
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return 4;
	default:
		return 0;
	}
}

static void write_common(struct virtio_dev *d, uint64_t offset, unsigned int size, uint64_t value)
{
	/* Only the 64-bit addresses may be written by halves: 4.1.3.1. */
	if (size == 8) {
		write_common(d, offset, 4, (uint32_t)value);
		write_common(d, offset + 4, 4, value >> 32);
		return;
	}
	if (field_width(offset) != size)
		return;

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		d->feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		d->driver_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&d->driver_features, d->driver_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		d->config_vector = checked_vector(d, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(d, value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		d->queue_select = value;
		break;
	default:
		write_queue(d, offset, value);
		break;
	}
}

/* ------------------------------------------------------------------------- */
/* BARs                                                                       */

static uint64_t read_isr(struct virtio_dev *d, uint64_t offset)
{
	uint8_t isr = d->isr;

	if (offset)
		return 0;
	d->isr = 0;
	return isr;
}

static uint64_t read_device(const struct virtio_dev *d, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	if (offset + size <= d->config_len)
		memcpy(&value, (const uint8_t *)d->config + offset, size);
	return value;
}

static uint64_t bar_read(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size)
{
	struct virtio_dev *d = to_virtio(pci);
	uint64_t value = 0;

	if (bar == BAR_NOTIFY)
		return 0;
	pthread_mutex_lock(&d->lock);
	switch (offset / REGION_SIZE) {
	case REGION_COMMON:
		value = read_common(d, offset, size);
		break;
	case REGION_ISR:
		value = read_isr(d, offset % REGION_SIZE);
		break;
	case REGION_DEVICE:
		value = read_device(d, offset % REGION_SIZE, size);
		break;
	case REGION_MSIX:
		value = msix_read(&d->msix, offset % REGION_SIZE, size);
		break;
	}
	pthread_mutex_unlock(&d->lock);
	return value;
}

static void bar_write(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct virtio_dev *d = to_virtio(pci);

	if (bar == BAR_NOTIFY) {
		if (offset / NOTIFY_STRIDE < d->type->nr_queues)
			ring_doorbell(&d->queue[offset / NOTIFY_STRIDE]);
		return;
	}
	begin_change(d);
	if (offset / REGION_SIZE == REGION_COMMON)
		write_common(d, offset, size, value);
	else if (offset / REGION_SIZE == REGION_MSIX)
		msix_write(&d->msix, offset % REGION_SIZE, size, value);
	end_change(d);
}

/* ------------------------------------------------------------------------- */
/* Configuration space                                                        */

/*
 * The window into the BARs for drivers that have only configuration space:
 * 4.1.4.9. What the driver asks for must be inside a BAR that exists.
 */
static bool window_target(const struct virtio_dev *d, unsigned int *bar, uint32_t *offset,
			  uint32_t *len)
{
	const struct pci_dev *pci = &d->pci;

	*bar = pci_config_get(pci, d->window + VIRTIO_PCI_CAP_BAR, 1);
	*offset = pci_config_get(pci, d->window + VIRTIO_PCI_CAP_OFFSET, 4);
	*len = pci_config_get(pci, d->window + VIRTIO_PCI_CAP_LENGTH, 4);

	if (*bar >= PCI_NR_BARS || pci->bar[*bar].type == PCI_BAR_NONE)
		return false;
	if ((*len != 1 && *len != 2 && *len != 4) || *offset % *len)
		return false;
	return *offset <= pci->bar[*bar].size - *len;
}

static bool in_window(const struct virtio_dev *d, unsigned int reg, unsigned int len)
{
	unsigned int data = d->window + sizeof(struct virtio_pci_cap);

	return reg < data + 4 && reg + len > data;
}

static void config_read(struct pci_dev *pci, unsigned int reg, unsigned int len)
{
	struct virtio_dev *d = to_virtio(pci);
	uint32_t offset, size;
	unsigned int bar;

	if (in_window(d, reg, len) && window_target(d, &bar, &offset, &size))
		pci_config_put(pci, d->window + sizeof(struct virtio_pci_cap), 4,
			       bar_read(pci, bar, offset, size));
}

static void config_written(struct pci_dev *pci, unsigned int reg, unsigned int len)
{
	struct virtio_dev *d = to_virtio(pci);
	bool master = pci_config_get(pci, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
	unsigned int data = d->window + sizeof(struct virtio_pci_cap);
	uint32_t offset, size;
	unsigned int bar;

	begin_change(d);
	msix_config_written(&d->msix, pci);
	if (master != d->master) {
		d->master = master;
		/* Not a master: memory is left alone from here on. */
		if (!master) {
			stop(d);
		} else {
			if (d->type->ops->resume)
				d->type->ops->resume(d);
			ring_all(d);
		}
	}
	end_change(d);

	if (in_window(d, reg, len) && window_target(d, &bar, &offset, &size))
		bar_write(pci, bar, offset, size, pci_config_get(pci, data, size));
}

static const struct pci_ops virtio_pci_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_mapped = bar_mapped,
	.config_read = config_read,
	.config_written = config_written,
};

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

/* A vendor capability that says where a structure is: 4.1.4. Returns its place. */
static unsigned int add_cap(struct virtio_dev *d, uint8_t type, unsigned int cap_len,
			    unsigned int bar, uint32_t offset, uint32_t len)
{
	struct pci_dev *pci = &d->pci;
	unsigned int cap = pci_add_cap(pci, PCI_CAP_ID_VNDR, cap_len);

	pci_config_put(pci, cap + VIRTIO_PCI_CAP_LEN, 1, cap_len);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
	return cap;
}

static void add_caps(struct virtio_dev *d)
{
	const unsigned int len = sizeof(struct virtio_pci_cap);
	unsigned int cap;

	add_cap(d, VIRTIO_PCI_CAP_COMMON_CFG, len, BAR_REGISTERS, REGION_COMMON * REGION_SIZE,
		sizeof(struct virtio_pci_common_cfg));
	cap = add_cap(d, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		      BAR_NOTIFY, 0, d->type->nr_queues * NOTIFY_STRIDE);
	pci_config_put(&d->pci, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_STRIDE);
	add_cap(d, VIRTIO_PCI_CAP_ISR_CFG, len, BAR_REGISTERS, REGION_ISR * REGION_SIZE, 1);
	if (d->config_len)
		add_cap(d, VIRTIO_PCI_CAP_DEVICE_CFG, len, BAR_REGISTERS,
			REGION_DEVICE * REGION_SIZE, d->config_len);

	d->window = add_cap(d, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0, 0);
	pci_config_allow(&d->pci, d->window + VIRTIO_PCI_CAP_BAR, 1, 0xff);
	pci_config_allow(&d->pci, d->window + VIRTIO_PCI_CAP_OFFSET, 4, 0xffffffff);
	pci_config_allow(&d->pci, d->window + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_config_allow(&d->pci, d->window + sizeof(struct virtio_pci_cap), 4, 0xffffffff);
}

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
		    const struct virtio_type *type, uint64_t features, const void *config,
		    size_t config_len, struct error *e)
{
	const struct pci_id id = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_DEVICE + type->id,
		.sub_vendor = VIRTIO_VENDOR,
		.sub_device = VIRTIO_SUBSYSTEM,
		.class = type->pci_class,
		.revision = VIRTIO_REVISION,
	};
	int ret;

	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->change, NULL);
	d->type = type;
	d->env = *env;
	d->config = config;
	d->config_len = config_len;
	d->features = features | 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
		      1ULL << VIRTIO_RING_F_EVENT_IDX;
	d->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned int i = 0; i < type->nr_queues; i++) {
		struct virtio_queue *q = &d->queue[i];

		q->dev = d;
		q->index = i;
		q->doorbell = -1;
		q->vector = VIRTIO_MSI_NO_VECTOR;
		queue_reset(&q->vq, type->queue_size);
	}

	pci_dev_init(&d->pci, &id, &virtio_pci_ops);
	d->pci.slot = env->slot;
	pci_set_bar(&d->pci, BAR_NOTIFY, PCI_BAR_IO, NOTIFY_SIZE);
	pci_set_bar(&d->pci, BAR_REGISTERS, PCI_BAR_MEM32, NR_REGIONS * REGION_SIZE);
	ret = msix_init(&d->msix, &d->pci, &env->msi, type->nr_queues + 1, BAR_REGISTERS,
			REGION_MSIX * REGION_SIZE, e);
	if (ret)
		return ret;
	add_caps(d);

	for (unsigned int i = 0; i < type->nr_queues; i++) {
		ret = add_doorbell(d, &d->queue[i], e);
		if (ret)
			return ret;
	}
	return pci_add(env->pci, &d->pci, e);
}

void virtio_dev_fini(struct virtio_dev *d)
{
	pci_remove(d->env.pci, &d->pci);
	for (unsigned int i = 0; i < d->type->nr_queues; i++) {
		struct virtio_queue *q = &d->queue[i];

		if (q->doorbell < 0)
			continue;
		loop_del_fd(d->env.loop, q->doorbell);
		close(q->doorbell);
	}
	msix_fini(&d->msix);
	pthread_cond_destroy(&d->change);
	pthread_mutex_destroy(&d->lock);
}
