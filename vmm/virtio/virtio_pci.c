// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI transport of virtio devices (virtio 1.2, 4.1): capabilities, the
 * registers of common configuration, doorbells in a BAR, MSI-X; there is no
 * interrupt pin. The core calls it as a struct virtio_transport; the PCI bus
 * calls it on vCPU threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "pci/msix.h"
#include "pci/pci.h"
#include "virtio/virtio_pci.h"

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

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *dev;		   /* (s) */
	const struct virtio_pci_bus *bus;  /* (s) */
	unsigned int window;		   /* (s) the configuration access capability */
	uint64_t bound[VIRTIO_MAX_QUEUES]; /* (h) port that signals the doorbell, 0: none */

	struct msix msix;		    /* (d), as all below */
	uint16_t vector[VIRTIO_MAX_QUEUES]; /* of each queue */
	uint16_t config_vector;
	uint8_t isr;
};

static struct virtio_pci *of_pci(struct pci_dev *pci)
{
	return (struct virtio_pci *)((char *)pci - offsetof(struct virtio_pci, pci));
}

static struct virtio_pci *of_dev(struct virtio_dev *d)
{
	return d->carrier;
}

/* ------------------------------------------------------------------------- */
/* Interrupts and doorbells                                                   */

/* The bit of queues is for drivers without MSI-X, that of configuration for all: 4.1.4.5.1. */
static void interrupt(struct virtio_dev *d, int queue)
{
	struct virtio_pci *p = of_dev(d);

	if (queue < 0)
		p->isr |= VIRTIO_PCI_ISR_CONFIG;
	else if (!p->msix.enabled)
		p->isr |= ISR_QUEUE;
	if (p->msix.enabled)
		msix_notify(&p->msix, queue < 0 ? p->config_vector : p->vector[queue]);
}

static int call_fd(struct virtio_dev *d, unsigned int queue)
{
	struct virtio_pci *p = of_dev(d);
	uint16_t vector = p->vector[queue];

	return vector < p->msix.nr ? p->msix.vector[vector].fd : -ENOENT;
}

static void reset(struct virtio_dev *d)
{
	struct virtio_pci *p = of_dev(d);

	msix_drop_pending(&p->msix);
	for (unsigned int i = 0; i < d->type->nr_queues; i++)
		p->vector[i] = VIRTIO_MSI_NO_VECTOR;
	p->config_vector = VIRTIO_MSI_NO_VECTOR;
	p->isr = 0;
}

/* The BAR came or went: let the module signal the doorbells where it is now. */
static void bar_mapped(struct pci_dev *pci, unsigned int bar, uint64_t addr, bool mapped)
{
	struct virtio_pci *p = of_pci(pci);
	const struct doorbell_sink *sink = &p->bus->doorbell;

	if (bar != BAR_NOTIFY)
		return;
	for (unsigned int i = 0; i < p->dev->type->nr_queues; i++) {
		int fd = p->dev->queue[i].doorbell;
		uint64_t port = addr + i * NOTIFY_STRIDE;

		if (p->bound[i])
			sink->unbind(sink->ctx, fd, true, p->bound[i], 0, NULL);
		p->bound[i] = 0;
		/* Without it the write comes to bar_write() below: slower, but no less right. */
		if (mapped && sink->bind(sink->ctx, fd, true, port, 0, NULL) == 0)
			p->bound[i] = port;
	}
}

/* ------------------------------------------------------------------------- */
/* Common configuration: 4.1.4.3                                              */

/* A vector that does not exist reads back as none: 4.1.5.1.2. */
static uint16_t checked_vector(const struct virtio_pci *p, uint32_t vector)
{
	return vector < p->msix.nr ? vector : VIRTIO_MSI_NO_VECTOR;
}

static uint64_t read_common(const struct virtio_pci *p, uint64_t offset, unsigned int size)
{
	struct virtio_dev *d = p->dev;
	struct virtio_pci_common_cfg c = {
		.device_feature_select = d->feature_select,
		.device_feature = virtio_half(d->features, d->feature_select),
		.guest_feature_select = d->driver_select,
		.guest_feature = virtio_half(d->driver_features, d->driver_select),
		.msix_config = p->config_vector,
		.num_queues = d->type->nr_queues,
		.device_status = d->status,
		.config_generation = (uint8_t)d->generation,
		.queue_select = (uint16_t)d->queue_select,
	};
	const struct virtio_queue *q = virtio_selected(d);
	uint64_t value = 0;

	/* A queue that does not exist has size zero: 4.1.5.1.3. */
	if (q) {
		const struct queue_regs *r = &q->vq.regs;

		c.queue_size = r->size;
		c.queue_msix_vector = p->vector[q->index];
		c.queue_enable = q->vq.enabled;
		c.queue_notify_off = q->index;
		c.queue_desc_lo = virtio_half(r->desc, 0);
		c.queue_desc_hi = virtio_half(r->desc, 1);
		c.queue_avail_lo = virtio_half(r->driver, 0);
		c.queue_avail_hi = virtio_half(r->driver, 1);
		c.queue_used_lo = virtio_half(r->device, 0);
		c.queue_used_hi = virtio_half(r->device, 1);
	}
	if (offset + size <= sizeof(c))
		memcpy(&value, (const uint8_t *)&c + offset, size);
	return value;
}

static void write_queue(struct virtio_pci *p, uint64_t offset, uint32_t value)
{
	struct virtio_queue *q = virtio_selected(p->dev);
	struct queue_regs *r;

	if (!q)
		return;
	r = &q->vq.regs;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		r->size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		p->vector[q->index] = checked_vector(p, value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			virtio_enable_queue(p->dev, q);
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		virtio_set_half(&r->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		virtio_set_half(&r->driver, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		virtio_set_half(&r->device, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
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

static void write_common(struct virtio_pci *p, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_dev *d = p->dev;

	/* Only the 64-bit addresses may be written by halves: 4.1.3.1. */
	if (size == 8) {
		write_common(p, offset, 4, (uint32_t)value);
		write_common(p, offset + 4, 4, value >> 32);
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
		virtio_set_driver_features(d, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		p->config_vector = checked_vector(p, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(d, value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		d->queue_select = value;
		break;
	default:
		write_queue(p, offset, value);
		break;
	}
}

/* ------------------------------------------------------------------------- */
/* BARs                                                                       */

static uint64_t read_isr(struct virtio_pci *p, uint64_t offset)
{
	uint8_t isr = p->isr;

	if (offset)
		return 0;
	p->isr = 0;
	return isr;
}

static uint64_t bar_read(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size)
{
	struct virtio_pci *p = of_pci(pci);
	struct virtio_dev *d = p->dev;
	uint64_t value = 0;

	if (bar == BAR_NOTIFY)
		return 0;
	pthread_mutex_lock(&d->lock);
	switch (offset / REGION_SIZE) {
	case REGION_COMMON:
		value = read_common(p, offset, size);
		break;
	case REGION_ISR:
		value = read_isr(p, offset % REGION_SIZE);
		break;
	case REGION_DEVICE:
		value = virtio_config_get(d, offset % REGION_SIZE, size);
		break;
	case REGION_MSIX:
		value = msix_read(&p->msix, offset % REGION_SIZE, size);
		break;
	}
	pthread_mutex_unlock(&d->lock);
	return value;
}

static void bar_write(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct virtio_pci *p = of_pci(pci);
	struct virtio_dev *d = p->dev;

	if (bar == BAR_NOTIFY) {
		if (offset / NOTIFY_STRIDE < d->type->nr_queues)
			virtio_ring(&d->queue[offset / NOTIFY_STRIDE]);
		return;
	}
	virtio_begin_change(d);
	switch (offset / REGION_SIZE) {
	case REGION_COMMON:
		write_common(p, offset, size, value);
		break;
	case REGION_DEVICE:
		virtio_config_put(d, offset % REGION_SIZE, size, value);
		break;
	case REGION_MSIX:
		msix_write(&p->msix, offset % REGION_SIZE, size, value);
		break;
	}
	virtio_end_change(d);
}

/* ------------------------------------------------------------------------- */
/* Configuration space                                                        */

/*
 * The window into the BARs for drivers that have only configuration space:
 * 4.1.4.9. What the driver asks for must be inside a BAR that exists.
 */
static bool window_target(const struct virtio_pci *p, unsigned int *bar, uint32_t *offset,
			  uint32_t *len)
{
	const struct pci_dev *pci = &p->pci;

	*bar = pci_config_get(pci, p->window + VIRTIO_PCI_CAP_BAR, 1);
	*offset = pci_config_get(pci, p->window + VIRTIO_PCI_CAP_OFFSET, 4);
	*len = pci_config_get(pci, p->window + VIRTIO_PCI_CAP_LENGTH, 4);

	if (*bar >= PCI_NR_BARS || pci->bar[*bar].type == PCI_BAR_NONE)
		return false;
	if ((*len != 1 && *len != 2 && *len != 4) || *offset % *len)
		return false;
	return *offset <= pci->bar[*bar].size - *len;
}

static bool in_window(const struct virtio_pci *p, unsigned int reg, unsigned int len)
{
	unsigned int data = p->window + sizeof(struct virtio_pci_cap);

	return reg < data + 4 && reg + len > data;
}

static void config_read(struct pci_dev *pci, unsigned int reg, unsigned int len)
{
	struct virtio_pci *p = of_pci(pci);
	uint32_t offset, size;
	unsigned int bar;

	if (in_window(p, reg, len) && window_target(p, &bar, &offset, &size))
		pci_config_put(pci, p->window + sizeof(struct virtio_pci_cap), 4,
			       bar_read(pci, bar, offset, size));
}

static void config_written(struct pci_dev *pci, unsigned int reg, unsigned int len)
{
	struct virtio_pci *p = of_pci(pci);
	unsigned int data = p->window + sizeof(struct virtio_pci_cap);
	uint32_t offset, size;
	unsigned int bar;

	virtio_begin_change(p->dev);
	msix_config_written(&p->msix, pci);
	virtio_set_access(p->dev, pci_config_get(pci, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	virtio_end_change(p->dev);

	if (in_window(p, reg, len) && window_target(p, &bar, &offset, &size))
		bar_write(pci, bar, offset, size, pci_config_get(pci, data, size));
}

static void bus_reset(struct pci_dev *pci)
{
	struct virtio_pci *p = of_pci(pci);

	virtio_begin_change(p->dev);
	virtio_set_access(p->dev, false);
	msix_reset(&p->msix);
	virtio_end_change(p->dev);
}

static const struct pci_ops virtio_pci_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_mapped = bar_mapped,
	.config_read = config_read,
	.config_written = config_written,
	.reset = bus_reset,
};

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

/* A vendor capability that says where a structure is: 4.1.4. Returns its place. */
static unsigned int add_cap(struct pci_dev *pci, uint8_t type, unsigned int cap_len,
			    unsigned int bar, uint32_t offset, uint32_t len)
{
	unsigned int cap = pci_add_cap(pci, PCI_CAP_ID_VNDR, cap_len);

	pci_config_put(pci, cap + VIRTIO_PCI_CAP_LEN, 1, cap_len);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	pci_config_put(pci, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
	return cap;
}

static void add_caps(struct virtio_pci *p)
{
	const struct virtio_type *type = p->dev->type;
	const unsigned int len = sizeof(struct virtio_pci_cap);
	struct pci_dev *pci = &p->pci;
	unsigned int cap;

	add_cap(pci, VIRTIO_PCI_CAP_COMMON_CFG, len, BAR_REGISTERS, REGION_COMMON * REGION_SIZE,
		sizeof(struct virtio_pci_common_cfg));
	cap = add_cap(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(struct virtio_pci_notify_cap),
		      BAR_NOTIFY, 0, type->nr_queues * NOTIFY_STRIDE);
	pci_config_put(pci, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_STRIDE);
	add_cap(pci, VIRTIO_PCI_CAP_ISR_CFG, len, BAR_REGISTERS, REGION_ISR * REGION_SIZE, 1);
	if (type->config_len)
		add_cap(pci, VIRTIO_PCI_CAP_DEVICE_CFG, len, BAR_REGISTERS,
			REGION_DEVICE * REGION_SIZE, type->config_len);

	p->window =
		add_cap(pci, VIRTIO_PCI_CAP_PCI_CFG, sizeof(struct virtio_pci_cfg_cap), 0, 0, 0);
	pci_config_allow(pci, p->window + VIRTIO_PCI_CAP_BAR, 1, 0xff);
	pci_config_allow(pci, p->window + VIRTIO_PCI_CAP_OFFSET, 4, 0xffffffff);
	pci_config_allow(pci, p->window + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
	pci_config_allow(pci, p->window + sizeof(struct virtio_pci_cap), 4, 0xffffffff);
}

/* For those that go by classes: mass storage of another kind, or nothing that has a class. */
static uint32_t class_of(const struct virtio_type *type)
{
	return type->id == VIRTIO_ID_BLOCK ? 0x018000 : 0x00ff00;
}

static void detach(struct virtio_dev *d)
{
	struct virtio_pci *p = of_dev(d);

	pci_remove(p->bus->host, &p->pci);
	msix_fini(&p->msix);
	free(p);
	d->transport = NULL;
}

static const struct state_property properties[] = {
	{STATE_ARRAY(struct virtio_pci, vector, "queue-vector", UINT16_MAX)},
	{STATE_UINT(struct virtio_pci, config_vector, "config-vector", UINT16_MAX)},
	{STATE_UINT(struct virtio_pci, isr, "isr", ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG)},
};

static const struct state_format format = STATE_FORMAT("virtio-pci", 1, properties);

static void save(struct virtio_dev *d, struct dtb *out)
{
	struct virtio_pci *p = of_dev(d);

	state_put(out, &format, p);
	dtb_begin(out, "msix");
	msix_save(&p->msix, out);
	dtb_end(out);
}

static bool vectors_possible(const struct virtio_pci *p, const struct virtio_pci *new)
{
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		if (new->vector[i] != checked_vector(p, new->vector[i]))
			return false;
	return new->config_vector == checked_vector(p, new->config_vector);
}

/* Configuration space, and with it whether MSI-X is on, the bus has loaded before. */
static int load(struct virtio_dev *d, struct state_in *in, struct error *e)
{
	struct virtio_pci *p = of_dev(d), new;
	struct state_in msix;
	int ret = state_get(in, &format, p, &new, e);

	if (!ret && !vectors_possible(p, &new))
		ret = state_refuse(in, "queue-vector", "is of a vector that is not there", e);
	if (!ret)
		ret = state_child(in, "msix", &msix, e);
	if (!ret)
		ret = state_all_met(in, e);
	if (!ret)
		ret = msix_load(&p->msix, &msix, e);
	if (!ret)
		state_copy(&format, p, &new);
	return ret;
}

static const struct virtio_transport pci_transport = {
	.interrupt = interrupt,
	.call_fd = call_fd,
	.reset = reset,
	.save = save,
	.load = load,
	.detach = detach,
};

int virtio_pci_attach(const void *bus, struct virtio_dev *d, struct error *e)
{
	const struct virtio_pci_bus *b = bus;
	const struct pci_id id = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_DEVICE + d->type->id,
		.sub_vendor = VIRTIO_VENDOR,
		.sub_device = VIRTIO_SUBSYSTEM,
		.class = class_of(d->type),
		.revision = VIRTIO_REVISION,
	};
	struct virtio_pci *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return error_set(e, ENOMEM, "out of memory for a PCI device");
	p->dev = d;
	p->bus = b;
	d->carrier = p;
	d->transport = &pci_transport;
	pci_dev_init(&p->pci, &id, &virtio_pci_ops);
	p->pci.slot = b->slot;
	pci_set_bar(&p->pci, BAR_NOTIFY, PCI_BAR_IO, NOTIFY_SIZE);
	pci_set_bar(&p->pci, BAR_REGISTERS, PCI_BAR_MEM32, NR_REGIONS * REGION_SIZE);
	ret = msix_init(&p->msix, &p->pci, &b->msi, d->type->nr_queues + 1, BAR_REGISTERS,
			REGION_MSIX * REGION_SIZE, e);
	if (ret)
		return ret;
	reset(d);
	add_caps(p);
	return pci_add(b->host, &p->pci, e);
}
