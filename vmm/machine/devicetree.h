/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine as a device tree (Devicetree Specification 0.4), as acpi/acpi.h is the machine as ACPI: processors,
 * memory, what is booted, and the devices, which write their own nodes. machine.c calls it.
 */
#ifndef VMM_MACHINE_DEVICETREE_H
#define VMM_MACHINE_DEVICETREE_H

#include "acpi/describe.h"
#include "platform/dtb.h"
#include "platform/mem.h"

struct devicetree {
	const char *model;
	unsigned int cpus; /* APIC ids 0..cpus - 1 */
	const struct mem *mem;
	const char *cmdline;
	uint64_t initrd, initrd_len; /* length 0: none */
	/* All devices, in their order. Called more than once, each time for another part of the tree. */
	void (*describe)(void *arg, const struct description *d);
	void *arg;
};

void devicetree_write(struct dtb *t, const struct devicetree *c);

#endif
