// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fields of objects as properties of a device tree, and back. Called by the save() and load() of devices; what
 * is read here may be anything.
 */
#include <errno.h>
#include <libfdt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "platform/state.h"

#define VENDOR	     "hv,"
#define OPTIONAL     '?'
#define MAX_CHILDREN 64 /* bits of met */

/* ------------------------------------------------------------------------- */
/* Numbers                                                                    */

/* A field of the object, as this processor has it. */
static uint64_t field_get(const uint8_t *p, unsigned int size)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		return *p;
	case 2:
		memcpy(&u16, p, sizeof(u16));
		return u16;
	case 4:
		memcpy(&u32, p, sizeof(u32));
		return u32;
	default:
		memcpy(&u64, p, sizeof(u64));
		return u64;
	}
}

static void field_set(uint8_t *p, unsigned int size, uint64_t value)
{
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (size) {
	case 1:
		*p = (uint8_t)value;
		break;
	case 2:
		memcpy(p, &u16, sizeof(u16));
		break;
	case 4:
		memcpy(p, &u32, sizeof(u32));
		break;
	default:
		memcpy(p, &value, sizeof(value));
		break;
	}
}

static uint64_t saved_get(const uint8_t *p, unsigned int size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | *p++;
	return value;
}

static void saved_set(uint8_t *p, unsigned int size, uint64_t value)
{
	while (size--) {
		p[size] = (uint8_t)value;
		value >>= 8;
	}
}

/* ------------------------------------------------------------------------- */
/* Saving                                                                     */

static void put_property(struct dtb *out, const struct state_property *p, const uint8_t *field)
{
	uint8_t *to = dtb_place(out, p->name, (size_t)p->size * p->count);

	for (unsigned int i = 0; to && i < p->count; i++)
		saved_set(to + i * p->size, p->size, field_get(field + i * p->size, p->size));
}

void state_put(struct dtb *out, const struct state_format *f, const void *object)
{
	char compatible[64];

	snprintf(compatible, sizeof(compatible), VENDOR "%s", f->name);
	dtb_string(out, "compatible", compatible);
	dtb_cell(out, "version", f->version);
	for (unsigned int i = 0; i < f->count; i++)
		put_property(out, &f->property[i], (const uint8_t *)object + f->property[i].offset);
}

void state_copy(const struct state_format *f, void *to, const void *from)
{
	for (unsigned int i = 0; i < f->count; i++) {
		const struct state_property *p = &f->property[i];

		memcpy((uint8_t *)to + p->offset, (const uint8_t *)from + p->offset,
		       (size_t)p->size * p->count);
	}
}

/* ------------------------------------------------------------------------- */
/* Loading                                                                    */

/* Where in the tree, for messages. */
struct place {
	char text[128];
};

static struct place place(const struct state_in *in)
{
	struct place p;

	if (fdt_get_path(in->fdt, in->node, p.text, sizeof(p.text)))
		snprintf(p.text, sizeof(p.text), "a node");
	return p;
}

int state_refuse(const struct state_in *in, const char *property, const char *what, struct error *e)
{
	return error_set(e, EINVAL, "saved state of %s: '%s' %s", place(in).text, property, what);
}

int state_open(struct state_in *in, const void *fdt, size_t len, struct error *e)
{
	/* libfdt has lengths in an int. */
	if (len > INT_MAX || fdt_check_full(fdt, len))
		return error_set(e, EINVAL, "saved state: is damaged, or no state of a machine");
	*in = (struct state_in){.fdt = fdt};
	return 0;
}

/* Not by fdt_subnode_offset(), which would take "name@0" for "name". */
int state_child(struct state_in *in, const char *name, struct state_in *child, struct error *e)
{
	unsigned int number = 0;
	int node;

	fdt_for_each_subnode(node, in->fdt, in->node)
	{
		const char *found = fdt_get_name(in->fdt, node, NULL);

		if (number < MAX_CHILDREN && found && !strcmp(found, name)) {
			in->met |= 1ULL << number;
			*child = (struct state_in){.fdt = in->fdt, .node = node};
			return 0;
		}
		number++;
	}
	return state_refuse(in, name, "is missing: the machine that was saved had none", e);
}

int state_all_met(const struct state_in *in, struct error *e)
{
	unsigned int number = 0;
	int node;

	fdt_for_each_subnode(node, in->fdt, in->node)
	{
		const char *name = fdt_get_name(in->fdt, node, NULL);
		bool met = number < MAX_CHILDREN && in->met & 1ULL << number;

		if (!name || (name[0] != OPTIONAL && !met))
			return state_refuse(in, name ? name : "?",
					    "is nothing that this machine has", e);
		number++;
	}
	return 0;
}

static int read_version(const struct state_in *in, const struct state_format *f, uint32_t *version,
			struct error *e)
{
	char compatible[64];
	const void *value;
	int len;

	snprintf(compatible, sizeof(compatible), VENDOR "%s", f->name);
	value = fdt_getprop(in->fdt, in->node, "compatible", &len);
	if (!value || len != (int)strlen(compatible) + 1 || memcmp(value, compatible, len))
		return error_set(e, EINVAL,
				 "saved state of %s: is not that of '%s', by its 'compatible'",
				 place(in).text, compatible);
	value = fdt_getprop(in->fdt, in->node, "version", &len);
	if (!value || len != sizeof(uint32_t))
		return state_refuse(in, "version", "is missing or damaged", e);
	*version = fdt32_ld(value);
	if (*version > f->version || *version < f->oldest)
		return error_set(
			e, EOPNOTSUPP,
			"saved state of %s: has version %u, and this vmm knows %u to %u; use %s one",
			place(in).text, *version, f->oldest, f->version,
			*version > f->version ? "a newer" : "an older");
	return 0;
}

static int get_property(const struct state_in *in, const struct state_property *p,
			const uint8_t *value, int len, uint8_t *field, struct error *e)
{
	if (len < 0 || (size_t)len != (size_t)p->size * p->count)
		return state_refuse(in, p->name, "has a wrong length", e);
	for (unsigned int i = 0; i < p->count; i++) {
		uint64_t number = saved_get(value + i * p->size, p->size);

		if (p->same && number != field_get(field + i * p->size, p->size))
			return state_refuse(in, p->name,
					    "is not what this machine has: the two must be "
					    "configured alike",
					    e);
		if (number > p->max)
			return state_refuse(in, p->name, "is out of range", e);
		field_set(field + i * p->size, p->size, number);
	}
	return 0;
}

/* The row of that name; those of every node have none. */
static int find_row(const struct state_format *f, const char *name)
{
	for (unsigned int i = 0; i < f->count; i++)
		if (!strcmp(f->property[i].name, name))
			return (int)i;
	return -1;
}

static bool of_every_node(const char *name)
{
	return !strcmp(name, "compatible") || !strcmp(name, "version");
}

static bool may_lack(const struct state_property *p, uint32_t version)
{
	return p->name[0] == OPTIONAL || version < p->since;
}

int state_get(const struct state_in *in, const struct state_format *f, const void *object,
	      void *copy, struct error *e)
{
	uint64_t met = 0;
	uint32_t version = 0;
	int ret = read_version(in, f, &version, e);
	int at;

	if (ret)
		return ret;
	state_copy(f, copy, object);
	fdt_for_each_property_offset(at, in->fdt, in->node)
	{
		const char *name;
		int len, row;
		const void *value = fdt_getprop_by_offset(in->fdt, at, &name, &len);

		if (!value)
			return error_set(e, EINVAL, "saved state of %s: is damaged",
					 place(in).text);
		row = find_row(f, name);
		if (row < 0 && !of_every_node(name) && name[0] != OPTIONAL)
			return state_refuse(in, name,
					    "is not known to this vmm, and it must be; use a newer "
					    "one",
					    e);
		if (row < 0)
			continue;
		if (met & 1ULL << row)
			return state_refuse(in, name, "is there twice", e);
		met |= 1ULL << row;
		ret = get_property(in, &f->property[row], value, len,
				   (uint8_t *)copy + f->property[row].offset, e);
		if (ret)
			return ret;
	}
	for (unsigned int i = 0; i < f->count; i++)
		if (!(met & 1ULL << i) && !may_lack(&f->property[i], version))
			return state_refuse(in, f->property[i].name, "is missing", e);
	return 0;
}

int state_get_leaf(const struct state_in *in, const struct state_format *f, const void *object,
		   void *copy, struct error *e)
{
	int ret = state_get(in, f, object, copy, e);

	return ret ? ret : state_all_met(in, e);
}
