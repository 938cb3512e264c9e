/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtio devices at a fixed address with an interrupt line, for machine.c to choose; ACPI tells the guest of them.
 */
#ifndef VMM_VIRTIO_VIRTIO_MMIO_H
#define VMM_VIRTIO_VIRTIO_MMIO_H

#include <stdint.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/irq.h"
#include "virtio/virtio.h"

/* Where one device is. */
struct virtio_mmio_bus {
	struct bus *mmio;
	uint64_t base; /* LAYOUT_VIRTIO_MMIO_LEN bytes */
	struct irq_line irq;
	struct doorbell_sink doorbell;
};

/* For struct virtio_env; bus is a struct virtio_mmio_bus, of no other device. */
int virtio_mmio_attach(const void *bus, struct virtio_dev *d, struct error *e);

#endif
