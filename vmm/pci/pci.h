/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's one PCI bus: configuration space, base address registers and
 * where they are decoded. Devices embed a struct pci_dev, describe themselves
 * with pci_dev_init(), pci_set_bar() and pci_add_cap(), and join with pci_add().
 *
 * Rules are from the PCI Local Bus Specification 3.0, chapter 6, and for ECAM
 * from the PCI Express Base Specification, 7.2.2.
 *
 * Locks: (h) the host's lock, (d) the device's own, (s) set before the machine
 * runs. The host's lock comes before a device's; a device never calls in here
 * while it holds its own.
 */
#ifndef VMM_PCI_PCI_H
#define VMM_PCI_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"

#define PCI_CONFIG_SIZE 256
#define PCI_NR_BARS	6

struct pci_dev;
struct pci_host;

enum pci_bar_type {
	PCI_BAR_NONE = 0,
	PCI_BAR_IO,
	PCI_BAR_MEM32,
	PCI_BAR_MEM64, /* takes the next register, too */
};

struct pci_bar {
	struct pci_dev *dev;	/* (s) */
	unsigned int index;	/* (s) */
	enum pci_bar_type type; /* (s) */
	uint64_t size;		/* (s) power of two */
	uint64_t addr;		/* (h) where the bus decodes it, if mapped */
	bool mapped;		/* (h) */
};

struct pci_ops {
	/* An access inside BAR "bar". Called on a vCPU thread, with or without (h). */
	uint64_t (*bar_read)(struct pci_dev *dev, unsigned int bar, uint64_t offset,
			     unsigned int size);
	void (*bar_write)(struct pci_dev *dev, unsigned int bar, uint64_t offset, unsigned int size,
			  uint64_t value);
	/* The bus decodes the BAR at addr from now on, or no longer. With (h). Optional. */
	void (*bar_mapped)(struct pci_dev *dev, unsigned int bar, uint64_t addr, bool mapped);
	/* Before a read and after a write of len bytes at reg. With (h). Optional. */
	void (*config_read)(struct pci_dev *dev, unsigned int reg, unsigned int len);
	void (*config_written)(struct pci_dev *dev, unsigned int reg, unsigned int len);
	/* The bus is reset; configuration space is already as it was. With (h). Optional. */
	void (*reset)(struct pci_dev *dev);
};

struct pci_id {
	uint16_t vendor, device;
	uint16_t sub_vendor, sub_device;
	uint32_t class; /* class, subclass, programming interface */
	uint8_t revision;
};

struct pci_dev {
	const struct pci_ops *ops;	   /* (s) */
	uint8_t config[PCI_CONFIG_SIZE];   /* (h) */
	uint8_t writable[PCI_CONFIG_SIZE]; /* (s) bits of config that the guest may change */
	uint8_t initial[PCI_CONFIG_SIZE];  /* (s) config as the bus found it */
	struct pci_bar bar[PCI_NR_BARS];
	unsigned int slot;     /* (s) where it wants to be; 0: anywhere */
	unsigned int next_cap; /* (s) where the next capability goes */
	unsigned int last_cap; /* (s) the one before, 0: none */
};

/*
 * The bus with its host bridge at 00:00.0. Configuration space is reached by
 * CONFIG_ADDRESS and CONFIG_DATA on pio and by ECAM on mmio.
 */
struct pci_host *pci_host_create(struct bus *pio, struct bus *mmio, struct error *e);
void pci_host_destroy(void *pci_host);
extern const struct device_ops pci_host_device;
/* Before vCPUs run: who answers to single bytes at port CF9, which lies within CONFIG_ADDRESS. */
void pci_host_set_cf9(struct pci_host *h, const struct bus_ops *ops, void *dev);

void pci_dev_init(struct pci_dev *dev, const struct pci_id *id, const struct pci_ops *ops);
/* size: a power of two; at least 4 for I/O and 16 for memory. */
void pci_set_bar(struct pci_dev *dev, unsigned int index, enum pci_bar_type type, uint64_t size);
/*
 * Append a capability of len bytes (header included) and return where it is.
 * Its fields are the caller's to fill. There is room for 192 bytes in all.
 */
unsigned int pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned int len);

/*
 * Put a device in the slot it wants, or the next free one, and give its BARs
 * addresses, as firmware would. -ENOSPC: no slot or no room in a window.
 */
int pci_add(struct pci_host *h, struct pci_dev *dev, struct error *e);
/* Take a device off the bus; nothing happens if it is not there. */
void pci_remove(struct pci_host *h, struct pci_dev *dev);

/* Registers of 1, 2 or 4 bytes, without masks and side effects. With (h) or during set-up. */
uint32_t pci_config_get(const struct pci_dev *dev, unsigned int reg, unsigned int len);
void pci_config_put(struct pci_dev *dev, unsigned int reg, unsigned int len, uint32_t value);
/* Let the guest change the bits of mask. During set-up. */
void pci_config_allow(struct pci_dev *dev, unsigned int reg, unsigned int len, uint32_t mask);

#endif
