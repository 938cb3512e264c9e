/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X of one PCI device: the table, the pending bits and how a vector reaches
 * the guest (PCI Local Bus Specification 3.0, 6.8.2). virtio devices embed it.
 *
 * A vector that can be delivered is bound to an eventfd, so that whoever holds
 * the eventfd interrupts the guest without the monitor; one that is masked
 * keeps its interrupt in the pending bit.
 *
 * Everything is protected by the lock of the device that embeds it.
 */
#ifndef VMM_PCI_MSIX_H
#define VMM_PCI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pci/pci.h"
#include "platform/irq.h"
#include "platform/state.h"

#define MSIX_MAX_VECTORS 8
#define MSIX_REGION	 0x1000 /* bytes of BAR space: table first, pending bits at half */
#define MSIX_PBA	 0x800

struct msix_vector {
	uint64_t addr;
	uint32_t data;
	bool masked;
	bool pending;
	bool bound; /* fd delivers (addr, data) */
	int fd;	    /* eventfd */
};

struct msix {
	struct msi_sink sink;
	unsigned int cap; /* of the capability in configuration space */
	unsigned int nr;
	bool enabled;
	bool masked; /* function mask */
	struct msix_vector vector[MSIX_MAX_VECTORS];
};

/*
 * Add the capability for nr vectors, with the MSIX_REGION at offset in BAR bar.
 * The device must pass accesses there on to msix_read() and msix_write().
 */
int msix_init(struct msix *m, struct pci_dev *dev, const struct msi_sink *sink, unsigned int nr,
	      unsigned int bar, uint32_t offset, struct error *e);
void msix_fini(struct msix *m);

uint64_t msix_read(struct msix *m, uint64_t offset, unsigned int size);
void msix_write(struct msix *m, uint64_t offset, unsigned int size, uint64_t value);
/* Configuration space was written: look at message control again. */
void msix_config_written(struct msix *m, const struct pci_dev *dev);

/* Forget the interrupts that wait for their vector to be unmasked. */
void msix_drop_pending(struct msix *m);
/* The bus is reset: the table too. */
void msix_reset(struct msix *m);

/* The table and the pending bits; whether it is on is in configuration space, which is loaded before. */
void msix_save(const struct msix *m, struct dtb *out);
int msix_load(struct msix *m, struct state_in *in, struct error *e);

/* Interrupt the guest; a vector that does not exist is ignored, as is all while disabled. */
void msix_notify(struct msix *m, unsigned int vector);

#endif
