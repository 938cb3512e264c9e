// SPDX-License-Identifier: GPL-2.0-or-later
/* Bodies are checked by tables, and tables are written as JSON Schema. Called by control/api.c and openapi.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/schema.h"

/* Deeper than any table goes. */
#define MAX_PATH 64

/* ------------------------------------------------------------------------- */
/* Checking                                                                   */

static const struct schema_member *find(const struct schema *s, const char *name)
{
	for (unsigned int i = 0; i < s->nr_members; i++) {
		if (!strcmp(s->member[i].name, name))
			return &s->member[i];
	}
	return NULL;
}

static int wrong_type(const char *path, const char *right, struct error *e)
{
	error_set_at(e, EINVAL, path, "%s%smust be %s", *path ? path : "the body ",
		     *path ? " " : "", right);
	e->code = "wrong-type";
	return -EINVAL;
}

static int check_string(const struct schema_member *m, const json_t *value, const char *path,
			struct error *e)
{
	const char *text = json_string_value(value);
	char choices[256] = "";
	size_t len = 0;

	if (!text)
		return wrong_type(path, "a string", e);
	/* What a machine is told is C's strings: nothing is to be hidden behind the end of one. */
	if (strlen(text) != json_string_length(value))
		return error_set_at(e, EINVAL, path, "%s must not contain U+0000", path);
	if (m->max && (strlen(text) < (size_t)m->min || strlen(text) > (size_t)m->max))
		return error_set_at(e, ERANGE, path,
				    "%s must have %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
				    " bytes",
				    path, m->min, m->max);
	for (unsigned int i = 0; m->choices && m->choices[i]; i++) {
		if (!strcmp(text, m->choices[i]))
			return 0;
		if (len < sizeof(choices))
			len += (size_t)snprintf(choices + len, sizeof(choices) - len, "%s%s",
						i ? ", " : "", m->choices[i]);
	}
	if (m->choices)
		return error_set_at(e, EINVAL, path, "%s must be one of %s", path, choices);
	return 0;
}

static int check_integer(const struct schema_member *m, const json_t *value, const char *path,
			 struct error *e)
{
	if (!json_is_integer(value))
		return wrong_type(path, "a whole number", e);
	if (m->max && (json_integer_value(value) < m->min || json_integer_value(value) > m->max))
		return error_set_at(e, ERANGE, path,
				    "%s must be from %" JSON_INTEGER_FORMAT
				    " to %" JSON_INTEGER_FORMAT,
				    path, m->min, m->max);
	return 0;
}

static int check_object(const struct schema *s, const json_t *value, const char *prefix,
			struct error *e);

static int check_array(const struct schema_member *m, const json_t *value, const char *path,
		       struct error *e)
{
	int ret = json_is_array(value) ? 0 : wrong_type(path, "an array", e);

	for (size_t i = 0; !ret && i < json_array_size(value); i++) {
		char item[MAX_PATH + 24];

		snprintf(item, sizeof(item), "%s[%zu]", path, i);
		if (m->object)
			ret = check_object(m->object, json_array_get(value, i), item, e);
		else if (!json_is_string(json_array_get(value, i)))
			ret = wrong_type(item, "a string", e);
	}
	return ret;
}

static int check_member(const struct schema_member *m, const json_t *value, const char *path,
			struct error *e)
{
	if (m->support == SCHEMA_UNSUPPORTED ||
	    (m->support == SCHEMA_FALSE_ONLY && json_is_true(value)))
		return error_set_at(e, EOPNOTSUPP, path, "%s is not supported%s", path,
				    m->support == SCHEMA_FALSE_ONLY ? ", but as false" : "");
	switch (m->type) {
	case SCHEMA_STRING:
		return check_string(m, value, path, e);
	case SCHEMA_INTEGER:
		return check_integer(m, value, path, e);
	case SCHEMA_NUMBER:
		return json_is_number(value) ? 0 : wrong_type(path, "a number", e);
	case SCHEMA_BOOL:
		return json_is_boolean(value) ? 0 : wrong_type(path, "true or false", e);
	case SCHEMA_ARRAY:
		return check_array(m, value, path, e);
	case SCHEMA_OBJECT:
		break;
	}
	return check_object(m->object, value, path, e);
}

/* As deep as the table is; what is deeper in the value is refused before it is looked at. */
static int check_object(const struct schema *s, const json_t *value, const char *prefix,
			struct error *e)
{
	const char *dot = *prefix ? "." : "";
	char path[MAX_PATH];
	const char *name;
	json_t *member;
	int ret;

	if (!json_is_object(value))
		return wrong_type(prefix, "an object", e);
	/* The iteration does not change it. */
	json_object_foreach((json_t *)value, name, member)
	{
		const struct schema_member *m = find(s, name);

		snprintf(path, sizeof(path), "%s%s%s", prefix, dot, name);
		if (!m) {
			error_set_at(e, EINVAL, path, "%s is unknown", path);
			e->code = "unknown-option";
			return -EINVAL;
		}
		ret = check_member(m, member, path, e);
		if (ret)
			return ret;
	}
	for (unsigned int i = 0; i < s->nr_members; i++) {
		if (!s->member[i].required || json_object_get(value, s->member[i].name))
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix, dot, s->member[i].name);
		error_set_at(e, EINVAL, path, "%s is missing", path);
		e->code = "missing";
		return -EINVAL;
	}
	return 0;
}

int schema_check(const struct schema *s, const json_t *value, struct error *e)
{
	return check_object(s, value, "", e);
}

/* ------------------------------------------------------------------------- */
/* Describing                                                                 */

static json_t *reference(const struct schema *s)
{
	return json_pack("{s:s+}", "$ref", "#/components/schemas/", s->name);
}

static json_t *string_array(const char *const *text)
{
	json_t *array = json_array();

	for (unsigned int i = 0; text[i]; i++)
		json_array_append_new(array, json_string(text[i]));
	return array;
}

static json_t *describe_member(const struct schema_member *m)
{
	static const char *const types[] = {
		[SCHEMA_STRING] = "string", [SCHEMA_INTEGER] = "integer",
		[SCHEMA_NUMBER] = "number", [SCHEMA_BOOL] = "boolean",
		[SCHEMA_OBJECT] = "object", [SCHEMA_ARRAY] = "array",
	};
	json_t *d;

	if (m->type == SCHEMA_OBJECT)
		return reference(m->object);
	d = json_pack("{s:s, s:s}", "type", types[m->type], "description", m->help);
	if (m->max) {
		json_object_set_new(d, m->type == SCHEMA_STRING ? "minLength" : "minimum",
				    json_integer(m->min));
		json_object_set_new(d, m->type == SCHEMA_STRING ? "maxLength" : "maximum",
				    json_integer(m->max));
	}
	if (m->choices)
		json_object_set_new(d, "enum", string_array(m->choices));
	if (m->support == SCHEMA_FALSE_ONLY)
		json_object_set_new(d, "enum", json_pack("[b]", 0));
	if (m->type == SCHEMA_ARRAY)
		json_object_set_new(d, "items",
				    m->object ? reference(m->object)
					      : json_pack("{s:s}", "type", "string"));
	return d;
}

json_t *schema_describe(const struct schema *s)
{
	json_t *members = json_object(), *required = json_array();
	json_t *d;

	for (unsigned int i = 0; i < s->nr_members; i++) {
		if (s->member[i].support == SCHEMA_UNSUPPORTED)
			continue;
		json_object_set_new(members, s->member[i].name, describe_member(&s->member[i]));
		if (s->member[i].required)
			json_array_append_new(required, json_string(s->member[i].name));
	}
	if (s->describe) {
		json_decref(members);
		members = s->describe();
	}
	d = json_pack("{s:s, s:s, s:o, s:b}", "type", "object", "description", s->help,
		      "properties", members, "additionalProperties", 0);
	/* An array without elements is not allowed there. */
	if (json_array_size(required))
		json_object_set(d, "required", required);
	json_decref(required);
	return d;
}
