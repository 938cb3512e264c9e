/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables that describe the machine to the guest: hardware-reduced ACPI
 * (no PM timer, no SCI), so that neither 8259, 8254 nor fixed power hardware has
 * to exist. machine.c calls acpi_build() before boot_load().
 */
#ifndef VMM_ACPI_ACPI_H
#define VMM_ACPI_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "acpi/aml.h"
#include "error.h"
#include "platform/mem.h"

struct acpi_config {
	unsigned int cpus; /* APIC ids 0..cpus - 1 */
	bool legacy;	   /* there is something that PCs had before PCI, as a serial port */
	bool rtc;	   /* a CMOS clock */
	/* The devices, which write themselves into the scope \_SB. NULL: there are none. */
	void (*describe)(void *arg, struct aml *a);
	void *arg;
};

/*
 * Write the tables to LAYOUT_ACPI; *rsdp is the address of the root pointer,
 * which a guest also finds by scanning for it. -EINVAL for a number of CPUs that
 * the machine cannot have, -ENOSPC when there is no RAM there.
 */
int acpi_build(const struct mem *m, const struct acpi_config *cfg, uint64_t *rsdp, struct error *e);

#endif
