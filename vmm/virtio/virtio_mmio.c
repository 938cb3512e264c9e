// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The MMIO transport of virtio devices (virtio 1.2, 4.2; version 2): a page of
 * registers and an interrupt line. The core calls it as a struct
 * virtio_transport; the bus calls it on vCPU threads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "acpi/describe.h"
#include "platform/layout.h"
#include "virtio/virtio_mmio.h"

#define MAGIC	0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR	0x1af4

struct virtio_mmio {
	struct virtio_dev *dev;		   /* (s) */
	const struct virtio_mmio_bus *bus; /* (s) */
	bool bound[VIRTIO_MAX_QUEUES];	   /* (s) the module signals the doorbell */
	uint32_t pending;		   /* (d) InterruptStatus */
};

static struct virtio_mmio *of_dev(struct virtio_dev *d)
{
	return d->carrier;
}

/*
 * An edge for each event: the driver acknowledges before it looks, so what comes behind that makes another, and
 * the line need not be level-triggered, which would cost an exit at the end of each interrupt.
 */
static void interrupt(struct virtio_dev *d, int queue)
{
	struct virtio_mmio *m = of_dev(d);

	m->pending |= queue < 0 ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
	irq_pulse(&m->bus->irq);
}

/* The register of the interrupt's reason is the monitor's. */
static int call_fd(struct virtio_dev *d, unsigned int queue)
{
	(void)d;
	(void)queue;
	return -EOPNOTSUPP;
}

static void reset(struct virtio_dev *d)
{
	of_dev(d)->pending = 0;
}

/* ------------------------------------------------------------------------- */
/* Registers: 4.2.2                                                           */

static uint32_t read_register(struct virtio_mmio *m, uint64_t offset)
{
	struct virtio_dev *d = m->dev;
	const struct virtio_queue *q = virtio_selected(d);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->type->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_half(d->features, d->feature_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? q->vq.max_size : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->vq.enabled;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return m->pending;
	case VIRTIO_MMIO_STATUS:
		return d->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no region has this id: 4.2.2.1 */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return d->generation;
	default:
		return 0;
	}
}

static void write_queue(struct virtio_dev *d, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = virtio_selected(d);
	struct queue_regs *r;

	if (!q)
		return;
	r = &q->vq.regs;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* What does not fit is no size, whatever its lower half says. */
		r->size = value <= UINT16_MAX ? value : 0;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value)
			virtio_enable_queue(d, q);
		else
			virtio_disable_queue(d, q);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_set_half(&r->desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_set_half(&r->driver, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_set_half(&r->device, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

static void write_register(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
	struct virtio_dev *d = m->dev;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		d->feature_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		d->driver_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_driver_features(d, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		d->queue_select = value;
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		m->pending &= ~value;
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(d, (uint8_t)value);
		break;
	default:
		write_queue(d, offset, value);
		break;
	}
}

/* 4.2.2.2: registers are words, of which whole ones are read and written. */
static bool is_word(uint64_t offset, unsigned int size)
{
	return size == 4 && offset % 4 == 0;
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned int size)
{
	struct virtio_mmio *m = dev;
	uint64_t value = 0;

	pthread_mutex_lock(&m->dev->lock);
	if (offset >= VIRTIO_MMIO_CONFIG)
		value = virtio_config_get(m->dev, offset - VIRTIO_MMIO_CONFIG, size);
	else if (is_word(offset, size))
		value = read_register(m, offset);
	pthread_mutex_unlock(&m->dev->lock);
	return value;
}

static void mmio_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_mmio *m = dev;

	/* Also where the module signals the doorbell: a write that it does not know comes here. */
	if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		if (size == 4 && value < m->dev->type->nr_queues)
			virtio_ring(&m->dev->queue[value]);
		return;
	}
	virtio_begin_change(m->dev);
	if (offset >= VIRTIO_MMIO_CONFIG)
		virtio_config_put(m->dev, offset - VIRTIO_MMIO_CONFIG, size, value);
	else if (is_word(offset, size))
		write_register(m, offset, (uint32_t)value);
	virtio_end_change(m->dev);
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

static void bind_doorbells(struct virtio_mmio *m)
{
	const struct doorbell_sink *sink = &m->bus->doorbell;
	const uint64_t addr = m->bus->base + VIRTIO_MMIO_QUEUE_NOTIFY;

	for (uint64_t i = 0; i < m->dev->type->nr_queues; i++)
		m->bound[i] = !sink->bind(sink->ctx, m->dev->queue[i].doorbell, false, addr, 4, &i);
}

static void detach(struct virtio_dev *d)
{
	struct virtio_mmio *m = of_dev(d);
	const struct doorbell_sink *sink = &m->bus->doorbell;
	const uint64_t addr = m->bus->base + VIRTIO_MMIO_QUEUE_NOTIFY;

	/* Not there after a failed attachment, and then nothing is removed. */
	bus_remove(m->bus->mmio, m->bus->base, m);
	for (uint64_t i = 0; i < d->type->nr_queues; i++) {
		if (m->bound[i])
			sink->unbind(sink->ctx, d->queue[i].doorbell, false, addr, 4, &i);
	}
	free(m);
	d->transport = NULL;
}

static const struct state_property properties[] = {
	{STATE_UINT(struct virtio_mmio, pending, "interrupt-status",
		    VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)},
};

static const struct state_format format = STATE_FORMAT("virtio-mmio", 1, properties);

static void save(struct virtio_dev *d, struct dtb *out)
{
	state_put(out, &format, of_dev(d));
}

/* The edge of what is pending, the interrupt controllers have had. */
static int load(struct virtio_dev *d, struct state_in *in, struct error *e)
{
	struct virtio_mmio *m = of_dev(d), new;
	int ret = state_get_leaf(in, &format, m, &new, e);

	if (!ret)
		state_copy(&format, m, &new);
	return ret;
}

/* "LNRO0005": by an ID that Linaro gave; Linux's driver, and others, look for it. */
static void in_acpi(const struct virtio_mmio_bus *bus, struct aml *a)
{
	unsigned int number = bus->irq.pin - GSI_VIRTIO_MMIO;
	struct aml_crs crs;
	char name[16];
	size_t dev;

	snprintf(name, sizeof(name), "VM%02X", number);
	dev = aml_known_device(a, name, "LNRO0005");
	aml_integer_name(a, "_UID", number);
	crs = aml_crs(a);
	aml_crs_memory(a, (uint32_t)bus->base, LAYOUT_VIRTIO_MMIO_LEN);
	aml_crs_interrupt(a, bus->irq.pin, true);
	aml_crs_end(a, crs);
	aml_end(a, dev);
}

static void describe(struct virtio_dev *d, const struct description *description)
{
	const struct virtio_mmio_bus *bus = of_dev(d)->bus;

	if (description->aml)
		in_acpi(bus, description->aml);
	if (!description->soc)
		return;
	dtb_begin_at(description->soc, "virtio", bus->base);
	dtb_string(description->soc, "compatible", "virtio,mmio");
	describe_memory(description->soc, bus->base, LAYOUT_VIRTIO_MMIO_LEN);
	DTB_CELLS(description->soc, "interrupts", bus->irq.pin, DTB_EDGE_RISING);
	dtb_end(description->soc);
}

static const struct virtio_transport mmio_transport = {
	.interrupt = interrupt,
	.call_fd = call_fd,
	.reset = reset,
	.save = save,
	.load = load,
	.describe = describe,
	.detach = detach,
};

int virtio_mmio_attach(const void *bus, struct virtio_dev *d, struct error *e)
{
	struct virtio_mmio *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return error_set(e, ENOMEM, "out of memory for a virtio device");
	m->dev = d;
	m->bus = bus;
	d->carrier = m;
	d->transport = &mmio_transport;
	/* Nothing like bus mastering here. */
	d->access = true;
	ret = bus_add(m->bus->mmio, m->bus->base, LAYOUT_VIRTIO_MMIO_LEN, &mmio_ops, m);
	if (ret)
		return error_set(e, -ret, "address %#llx of a virtio device is taken",
				 (unsigned long long)m->bus->base);
	bind_doorbells(m);
	return 0;
}
