/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtio devices on the PCI bus, for machine.c to choose. */
#ifndef VMM_VIRTIO_VIRTIO_PCI_H
#define VMM_VIRTIO_VIRTIO_PCI_H

#include "error.h"
#include "pci/pci.h"
#include "platform/irq.h"
#include "virtio/virtio.h"

struct virtio_pci_bus {
	struct pci_host *host;
	unsigned int slot; /* for the next device; 0: the next free one */
	struct msi_sink msi;
	struct doorbell_sink doorbell;
};

/* For struct virtio_env; bus is a struct virtio_pci_bus. */
int virtio_pci_attach(const void *bus, struct virtio_dev *d, struct error *e);

#endif
