// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A flattened device tree in a buffer that grows. Called by state.c, and by whatever describes itself to the guest.
 */
#include <libfdt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/dtb.h"

#define FIRST_ROOM 4096

/*
 * What libfdt said of a step. True: there was no room for it, and there is now, so that it is to be done again.
 * A step that found no room has left the tree as it was.
 */
static bool again(struct dtb *t, int ret)
{
	void *grown = NULL;

	if (!ret)
		return false;
	if (ret == -FDT_ERR_NOSPACE && t->room <= INT_MAX / 2)
		grown = calloc(1, t->room * 2);
	t->failed = !grown || fdt_resize(t->fdt, grown, (int)t->room * 2);
	if (t->failed) {
		free(grown);
		return false;
	}
	free(t->fdt);
	t->fdt = grown;
	t->room *= 2;
	return true;
}

void dtb_create(struct dtb *t)
{
	*t = (struct dtb){.fdt = calloc(1, FIRST_ROOM), .room = FIRST_ROOM};
	t->failed = !t->fdt || fdt_create(t->fdt, FIRST_ROOM) || fdt_finish_reservemap(t->fdt);
}

void *dtb_finish(struct dtb *t, size_t *len)
{
	void *fdt;

	while (!t->failed && again(t, fdt_finish(t->fdt)))
		;
	if (t->failed) {
		free(t->fdt);
		t->fdt = NULL;
		return NULL;
	}
	fdt = t->fdt;
	t->fdt = NULL;
	*len = fdt_totalsize(fdt);
	return fdt;
}

void dtb_begin(struct dtb *t, const char *name)
{
	while (!t->failed && again(t, fdt_begin_node(t->fdt, name)))
		;
}

void dtb_begin_at(struct dtb *t, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	dtb_begin(t, full);
}

void dtb_end(struct dtb *t)
{
	while (!t->failed && again(t, fdt_end_node(t->fdt)))
		;
}

uint8_t *dtb_place(struct dtb *t, const char *name, size_t len)
{
	void *place = NULL;

	if (len > INT_MAX / 2)
		t->failed = true;
	while (!t->failed && again(t, fdt_property_placeholder(t->fdt, name, (int)len, &place)))
		;
	return t->failed ? NULL : place;
}

void dtb_empty(struct dtb *t, const char *name)
{
	dtb_place(t, name, 0);
}

/* Several strings, each with its NUL. */
static void dtb_strings(struct dtb *t, const char *name, const char *values, size_t len)
{
	uint8_t *to = dtb_place(t, name, len);

	if (to)
		memcpy(to, values, len);
}

void dtb_string(struct dtb *t, const char *name, const char *value)
{
	dtb_strings(t, name, value, strlen(value) + 1);
}

void dtb_cells(struct dtb *t, const char *name, const uint32_t *cells, unsigned int count)
{
	uint8_t *to = dtb_place(t, name, count * sizeof(*cells));

	for (unsigned int i = 0; to && i < count; i++)
		fdt32_st(to + i * sizeof(*cells), cells[i]);
}
