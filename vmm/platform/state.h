/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is saved of a device, or of anything that has a state of its own, and loaded into another one like it:
 * a node of a flattened device tree (dtb.h), with a property for each field, by name.
 *
 * A table says which they are, and is read both ways, so that what is saved is what is loaded. A node says which
 * table wrote it ("compatible"), and in which version. What is loaded may be damaged, or made up by somebody with
 * intentions: the tree as a whole is checked first (fdt_check_full()), then each property's length and range. All of
 * it goes to a copy of the object; only when that is complete and right, also for what the table cannot know, is it
 * made the object's (state_copy()). So a device that refuses a state is as it was before.
 *
 * Compatibility: a new property is a row with the version in which it came ("since") and a higher version of the
 * table. Trees of older versions lack it, and leave the field as it is in a device that was just made. A tree of
 * a newer version is refused, as is a property that is not known, by its name; unless the name begins with "?",
 * by which whoever wrote it says that it can be done without.
 */
#ifndef VMM_PLATFORM_STATE_H
#define VMM_PLATFORM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "platform/dtb.h"

/* A field: an unsigned number, or several in an array, big-endian in the tree. */
struct state_property {
	const char *name;
	size_t offset;	    /* in the object */
	unsigned int size;  /* of an element: 1, 2, 4, 8 */
	unsigned int count; /* elements */
	uint64_t max;	    /* of each of them */
	bool same; /* not a state but the configuration: the object has it already, and the same */
	uint32_t since; /* the version in which it came; 0: always there */
};

struct state_format {
	const char *name;   /* "compatible" is "hv,NAME" */
	uint32_t version;   /* that is written, and the newest that is read */
	uint32_t oldest;    /* that is read; 0: all */
	unsigned int count; /* of properties, at most 64 */
	const struct state_property *property;
};

#define STATE_FIELD_SIZE(type, member) sizeof(((type *)NULL)->member)

#define STATE_UINT(type, member, text, most)                                         \
	.name = (text), .offset = offsetof(type, member), .count = 1, .max = (most), \
	.size = STATE_FIELD_SIZE(type, member)
#define STATE_BOOL(type, member, text) STATE_UINT(type, member, text, 1)
#define STATE_ARRAY(type, member, text, most)                            \
	.name = (text), .offset = offsetof(type, member), .max = (most), \
	.size = STATE_FIELD_SIZE(type, member[0]),                       \
	.count = STATE_FIELD_SIZE(type, member) / STATE_FIELD_SIZE(type, member[0])
#define STATE_FORMAT(text, newest, table)                                 \
	{                                                                 \
		.name = (text), .version = (newest), .property = (table), \
		.count = sizeof(table) / sizeof((table)[0])               \
	}

/* Saving: of the node that was begun last, before its children. Nodes are begun and ended by dtb.h. */
void state_put(struct dtb *out, const struct state_format *f, const void *object);

/* A node that is read. */
struct state_in {
	const void *fdt;
	int node;
	uint64_t met; /* the children that were asked for */
};

/* A tree of len bytes at a multiple of 8, which has to stay; in becomes its root. All below: 0, or a negative errno. */
int state_open(struct state_in *in, const void *fdt, size_t len, struct error *e);
/* The child of that name, of at most 64. */
int state_child(struct state_in *in, const char *name, struct state_in *child, struct error *e);
/* Into copy goes what object has, and of it the properties of the table as the node has them. */
int state_get(const struct state_in *in, const struct state_format *f, const void *object,
	      void *copy, struct error *e);
/* The same of a node that has no children. */
int state_get_leaf(const struct state_in *in, const struct state_format *f, const void *object,
		   void *copy, struct error *e);
/* All children have been asked for. */
int state_all_met(const struct state_in *in, struct error *e);
/* "what" of the node is wrong, whatever the table says of it. Returns -EINVAL. */
int state_refuse(const struct state_in *in, const char *property, const char *what,
		 struct error *e);

/* The fields of the table. */
void state_copy(const struct state_format *f, void *to, const void *from);

#endif
