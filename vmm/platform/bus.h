/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port and memory-mapped I/O: which device answers at an address. Ranges may
 * come and go while vCPUs run (PCI BARs), also from inside an access on the same
 * or the other bus: the lock covers the look-up only, never the device's work.
 * So a device locks itself, and outlives its bus (devices are freed only when no
 * vCPU and no event loop runs any more).
 */
#ifndef VMM_PLATFORM_BUS_H
#define VMM_PLATFORM_BUS_H

#include <stdbool.h>
#include <stdint.h>

/* offset is relative to the range; size is 1, 2, 4 or 8 and inside the range. */
struct bus_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned int size);
	void (*write)(void *dev, uint64_t offset, unsigned int size, uint64_t value);
};

struct bus;

struct bus *bus_create(void);
void bus_destroy(struct bus *bus);

/* -EEXIST when [base, base + len) overlaps a range; -EINVAL when it wraps or is empty. */
int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev);
/* Remove the range that begins at base and belongs to dev; -ENOENT if there is none. */
int bus_remove(struct bus *bus, uint64_t base, void *dev);

/*
 * False when no range holds the whole access. An unclaimed read gives all ones.
 */
bool bus_read(struct bus *bus, uint64_t addr, unsigned int size, uint64_t *value);
bool bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);

#endif
