/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a JSON object of the control socket has for members. A body is checked against it before it is looked at, and
 * the OpenAPI document is written from it.
 */
#ifndef VMM_CONTROL_SCHEMA_H
#define VMM_CONTROL_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "error.h"

enum schema_type {
	SCHEMA_STRING,
	SCHEMA_INTEGER,
	SCHEMA_NUMBER, /* be it whole or not */
	SCHEMA_BOOL,
	SCHEMA_OBJECT,
	SCHEMA_ARRAY, /* of objects, or of strings where "object" is NULL */
};

enum schema_support {
	SCHEMA_SUPPORTED,
	SCHEMA_FALSE_ONLY,  /* a bool: true would be something that there is not */
	SCHEMA_UNSUPPORTED, /* others have it */
};

struct schema_member {
	const char *name;
	enum schema_type type;
	bool required;
	json_int_t min, max;	    /* of an integer, and of a string's length; max 0: any */
	const char *const *choices; /* of a string, up to a NULL; NULL: any */
	const struct schema *object;
	const char *help; /* no full stop */
	enum schema_support support;
};

struct schema {
	const char *name; /* of the OpenAPI document */
	const char *help;
	const struct schema_member *member;
	unsigned int nr_members;
	/* In place of members: what a function writes. It is for answers, which are not checked by schema_check(). */
	json_t *(*describe)(void);
};

/* 0, or a negative errno with a sentence that names the member. */
int schema_check(const struct schema *s, const json_t *value, struct error *e);
/* In JSON Schema, objects in it as references to "#/components/schemas/NAME"; NULL without memory. */
json_t *schema_describe(const struct schema *s);

#endif
