/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a machine does with each of its devices, whatever they are. machine.c keeps them in a list, in the
 * order of their making, and calls these while the vCPUs are parked, on the event loop's thread; but end_waits,
 * which is for the vCPUs. What a device has nothing to do for is NULL, but for destroy.
 */
#ifndef VMM_PLATFORM_DEVICE_H
#define VMM_PLATFORM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "platform/state.h"

struct description;

typedef void (*device_count_fn)(void *arg, const char *name, uint64_t value);

struct device_ops {
	/*
	 * Once, before the first start of the machine, when the process is confined: threads are started. Returns 0
	 * or a negative errno with a sentence.
	 */
	int (*launch)(void *dev, struct error *e);
	/* A vCPU that waits inside for the host stays there no longer: it is to park. */
	void (*end_waits)(void *dev);
	/*
	 * From now on guest memory is not touched and nothing is sent. False: the host has something that takes
	 * longer, and guest memory has to remain for it. May be called again.
	 */
	bool (*stop)(void *dev);
	/* As after power-up. It is stopped. */
	void (*reset)(void *dev);
	/* After a stop. */
	void (*start)(void *dev);
	/*
	 * Its state, as properties and children of the node that was begun last; see platform/state.h. It is
	 * stopped, and goes on from there. All that can fail is remembered by out.
	 */
	void (*save)(void *dev, struct dtb *out);
	/*
	 * Into a device that was just made or reset, of the same configuration, and is stopped: start() follows, and
	 * lets go what waited when it was saved. Devices are loaded in the order of the list. The node may be
	 * anything: a device that refuses it is as it was before. Returns 0 or a negative errno.
	 */
	int (*load)(void *dev, struct state_in *in, struct error *e);
	/* Tell the guest that it is there: acpi/describe.h. NULL: the guest finds it by itself. */
	void (*describe)(void *dev, const struct description *d);
	/* What it counted since the start of the machine, over all its resets: fn for each. vCPUs may run. */
	void (*count)(void *dev, device_count_fn fn, void *arg);
	/* No vCPU and no event loop runs any more. */
	void (*destroy)(void *dev);
};

#endif
