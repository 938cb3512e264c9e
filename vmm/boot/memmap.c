// SPDX-License-Identifier: GPL-2.0-or-later
/* Builds the guest's memory map; called once per boot by boot.c. */
#include "boot/memmap.h"
#include "platform/layout.h"

/*
 * What of low memory is not for general use although RAM lies behind it: the
 * last KiB below 640 KiB by PC custom, the video and option ROM windows (left
 * out of the map, type 0 here), and the firmware area with the ACPI tables.
 */
static const struct memmap_entry low[] = {
	{LAYOUT_LOW_RAM_END, LAYOUT_EBDA_END - LAYOUT_LOW_RAM_END, MEMMAP_RESERVED},
	{LAYOUT_EBDA_END, LAYOUT_ACPI - LAYOUT_EBDA_END, 0},
	{LAYOUT_ACPI, LAYOUT_KERNEL - LAYOUT_ACPI, MEMMAP_RESERVED},
};

static void add(struct memmap *map, uint64_t from, uint64_t to, uint32_t type)
{
	if (type && from < to)
		map->entry[map->nr++] = (struct memmap_entry){from, to - from, type};
}

static void add_ram(struct memmap *map, uint64_t from, uint64_t to)
{
	for (unsigned int i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		uint64_t end = low[i].addr + low[i].size;

		if (from >= end || to <= low[i].addr)
			continue;
		add(map, from, low[i].addr, MEMMAP_RAM);
		add(map, low[i].addr, to < end ? to : end, low[i].type);
		from = to < end ? to : end;
	}
	add(map, from, to, MEMMAP_RAM);
}

void memmap_build(const struct mem *m, struct memmap *map)
{
	bool ecam = false;

	map->nr = 0;
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];

		/* An OS uses ECAM only where the memory map or ACPI reserves it. */
		if (!ecam && r->gpa >= LAYOUT_ECAM) {
			add(map, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_LEN, MEMMAP_RESERVED);
			ecam = true;
		}
		add_ram(map, r->gpa, r->gpa + r->len);
	}
	if (!ecam)
		add(map, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_LEN, MEMMAP_RESERVED);
}

uint64_t memmap_low_end(const struct mem *m)
{
	if (!m->nr_regions || m->region[0].gpa)
		return 0;
	return m->region[0].len < LAYOUT_HOLE ? m->region[0].len : LAYOUT_HOLE;
}
