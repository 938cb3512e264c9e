/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a machine does with each of its devices, whatever they are. machine.c keeps them in a list, in the
 * order of their making, and calls these while the vCPUs are parked, on the event loop's thread; but end_waits,
 * which is for the vCPUs. What a device has nothing to do for is NULL, but for destroy.
 */
#ifndef VMM_PLATFORM_DEVICE_H
#define VMM_PLATFORM_DEVICE_H

#include <stdbool.h>

struct device_ops {
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
	/* No vCPU and no event loop runs any more. */
	void (*destroy)(void *dev);
};

#endif
