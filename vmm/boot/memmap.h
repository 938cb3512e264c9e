/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest is told about its physical memory, in the terms of ACPI 6.5,
 * section 15 (e820), which all boot protocols here share.
 */
#ifndef VMM_BOOT_MEMMAP_H
#define VMM_BOOT_MEMMAP_H

#include <stdint.h>

#include "platform/mem.h"

#define MEMMAP_RAM	1
#define MEMMAP_RESERVED 2

struct memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
};

/* Each region of RAM makes at most four entries; one more for the ECAM. */
#define MEMMAP_MAX (4 * MEM_MAX_REGIONS + 1)

struct memmap {
	struct memmap_entry entry[MEMMAP_MAX]; /* ascending, no overlaps */
	unsigned int nr;
};

void memmap_build(const struct mem *m, struct memmap *map);

/* The end of the RAM that begins at address 0 (at most the 32-bit hole); 0 if there is none. */
uint64_t memmap_low_end(const struct mem *m);

#endif
