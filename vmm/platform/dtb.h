/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes a flattened device tree (Devicetree Specification 0.4, chapter 5): one function per term, as
 * acpi/aml.h has it for ACPI. Nodes are opened and closed, the properties of a node come before its children:
 *
 *	dtb_begin(t, "serial@3f8");
 *	dtb_string(t, "compatible", "ns16550a");
 *	dtb_end(t);
 *
 * What goes wrong is remembered, and everything after is dropped, so that only dtb_finish() has to be looked at.
 * libfdt does the writing, front to back (its fdt_sw_*): a tree that can be changed anywhere (fdt_rw_*) moves
 * all that is behind for each property.
 */
#ifndef VMM_PLATFORM_DTB_H
#define VMM_PLATFORM_DTB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dtb {
	void *fdt;
	size_t room;
	bool failed;
};

/* An empty tree; the root is a node as any other, of the name "". */
void dtb_create(struct dtb *t);
/* The tree and its length, for free(). NULL: out of memory. */
void *dtb_finish(struct dtb *t, size_t *len);

void dtb_begin(struct dtb *t, const char *name);
/* "name@address", the address in hexadecimal. */
void dtb_begin_at(struct dtb *t, const char *name, uint64_t address);
void dtb_end(struct dtb *t);

/* Room for the len bytes of a property, until the next call; NULL: it failed. */
uint8_t *dtb_place(struct dtb *t, const char *name, size_t len);
void dtb_empty(struct dtb *t, const char *name);
void dtb_string(struct dtb *t, const char *name, const char *value);
void dtb_cells(struct dtb *t, const char *name, const uint32_t *cells, unsigned int count);

static inline void dtb_cell(struct dtb *t, const char *name, uint32_t value)
{
	dtb_cells(t, name, &value, 1);
}

#define DTB_CELLS(t, name, ...)                             \
	dtb_cells(t, name, (const uint32_t[]){__VA_ARGS__}, \
		  sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
/* The two cells of a 64-bit number. */
#define DTB_U64(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

#endif
