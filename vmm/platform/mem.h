/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: RAM below and above the 32-bit hole, mapped in the monitor.
 * The map is fixed once the machine runs, so look-ups take no lock. Every
 * access by a device goes through mem_span(), which bounds it.
 */
#ifndef VMM_PLATFORM_MEM_H
#define VMM_PLATFORM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define MEM_MAX_REGIONS 8

struct mem_region {
	uint64_t gpa;
	uint64_t len;
	uint8_t *hva;
};

struct mem {
	struct mem_region region[MEM_MAX_REGIONS]; /* ascending gpa, no overlaps */
	unsigned int nr_regions;
};

/* Map anonymous memory for [gpa, gpa + len) and add it. */
int mem_add_ram(struct mem *m, uint64_t gpa, uint64_t len, struct error *e);
/* All of it is zero again, and costs the host nothing until it is touched. */
void mem_clear(const struct mem *m);
void mem_destroy(struct mem *m);

/* The host address of [gpa, gpa + len), or NULL unless wholly inside one region. */
void *mem_span(const struct mem *m, uint64_t gpa, uint64_t len);

#endif
