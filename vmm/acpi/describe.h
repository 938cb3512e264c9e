/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a device tells a guest that it is there: as a device in ACPI, and as a node of a device tree. One
 * function of each device does both (describe, in platform/device.h), and writes into whichever of these is there.
 */
#ifndef VMM_ACPI_DESCRIBE_H
#define VMM_ACPI_DESCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "acpi/aml.h"
#include "platform/dtb.h"

/* NULL: not asked for. */
struct description {
	struct aml *aml; /* scope \_SB */
	struct dtb *soc; /* what has addresses in memory: two cells each for address and size */
	struct dtb *
		isa; /* what has ports: a cell for the kind of address, 1 (ports), the port, the size */
};

/*
 * The second cell of an interrupt, behind the I/O APIC's pin (the binding of "intel,ce4100-ioapic", as Linux
 * reads it).
 */
#define DTB_LEVEL_HIGH	1
#define DTB_EDGE_RISING 3

/* A device at ports, with an edge-triggered interrupt or none. */
struct port_device {
	const char *aml; /* its name and ID in ACPI; NULL: it is not there */
	const char *hid;
	const char *node; /* its name and binding in a device tree */
	const char *compatible;
	uint16_t port;
	uint8_t len;
	unsigned int gsi; /* 0: none */
	uint32_t clock;	  /* Hz; 0: not said */
};

void describe_ports(const struct description *d, const struct port_device *p);
/* "name@iPORT", and where that is; the caller adds the rest, and dtb_end(). */
void describe_port_node(struct dtb *isa, const char *name, const char *compatible, uint16_t port,
			uint8_t len);
/* "reg" of what is in memory. */
void describe_memory(struct dtb *soc, uint64_t addr, uint64_t len);

#endif
