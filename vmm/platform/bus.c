// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who answers at a port or an address. Devices add their ranges, vCPU threads
 * look them up.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "platform/bus.h"

struct range {
	uint64_t base;
	uint64_t last; /* inclusive, so that no range can wrap */
	const struct bus_ops *ops;
	void *dev;
};

struct bus {
	pthread_rwlock_t lock; /* protects everything below */
	struct range *range;   /* ascending, no overlaps */
	size_t nr;
	size_t room;
};

struct bus *bus_create(void)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (bus)
		pthread_rwlock_init(&bus->lock, NULL);
	return bus;
}

void bus_destroy(struct bus *bus)
{
	if (!bus)
		return;
	pthread_rwlock_destroy(&bus->lock);
	free(bus->range);
	free(bus);
}

/* The index of the first range that ends at addr or later. */
static size_t first_not_before(const struct bus *bus, uint64_t addr)
{
	size_t low = 0, high = bus->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (bus->range[mid].last < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert(struct bus *bus, const struct range *new)
{
	size_t at = first_not_before(bus, new->base);

	if (at < bus->nr && bus->range[at].base <= new->last)
		return -EEXIST;

	if (bus->nr == bus->room) {
		size_t room = bus->room ? bus->room * 2 : 16;
		struct range *grown = realloc(bus->range, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		bus->range = grown;
		bus->room = room;
	}
	memmove(&bus->range[at + 1], &bus->range[at], (bus->nr - at) * sizeof(*new));
	bus->range[at] = *new;
	bus->nr++;
	return 0;
}

int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *dev)
{
	struct range new = {.base = base, .last = base + len - 1, .ops = ops, .dev = dev};
	int ret;

	if (!len || new.last < base)
		return -EINVAL;

	pthread_rwlock_wrlock(&bus->lock);
	ret = insert(bus, &new);
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

int bus_remove(struct bus *bus, uint64_t base, void *dev)
{
	int ret = -ENOENT;
	size_t at;

	pthread_rwlock_wrlock(&bus->lock);
	at = first_not_before(bus, base);
	if (at < bus->nr && bus->range[at].base == base && bus->range[at].dev == dev) {
		bus->nr--;
		memmove(&bus->range[at], &bus->range[at + 1],
			(bus->nr - at) * sizeof(bus->range[0]));
		ret = 0;
	}
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

/* Copy the range that holds the whole access: it may be gone once the lock is free. */
static bool find(struct bus *bus, uint64_t addr, unsigned int size, struct range *out)
{
	uint64_t last = addr + size - 1;
	bool found = false;
	size_t at;

	pthread_rwlock_rdlock(&bus->lock);
	at = first_not_before(bus, addr);
	if (at < bus->nr && last >= addr && bus->range[at].base <= addr &&
	    last <= bus->range[at].last) {
		*out = bus->range[at];
		found = true;
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

static uint64_t size_mask(unsigned int size)
{
	return size >= 8 ? ~0ULL : (1ULL << (size * 8)) - 1;
}

bool bus_read(struct bus *bus, uint64_t addr, unsigned int size, uint64_t *value)
{
	struct range range;

	*value = size_mask(size);
	if (!find(bus, addr, size, &range))
		return false;
	*value &= range.ops->read(range.dev, addr - range.base, size);
	return true;
}

bool bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	struct range range;

	if (!find(bus, addr, size, &range))
		return false;
	range.ops->write(range.dev, addr - range.base, size, value & size_mask(size));
	return true;
}
