// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The OpenAPI 3 document, from the tables: the rows of control/api.c, their schemas, and the options of a machine.
 * "vmm api --openapi" prints it.
 */
#include <string.h>

#include "config/option.h"
#include "control/internal.h"
#include "version.h"

/* ------------------------------------------------------------------------- */
/* The options                                                                */

static json_t *describe_properties(const struct option_def *rows, unsigned int nr);

static json_t *describe_list(const struct option_list *l)
{
	return json_pack("{s:s, s:i, s:{s:s, s:o, s:b}}", "type", "array", "maxItems", (int)l->most,
			 "items", "type", "object", "properties",
			 describe_properties(l->property, l->nr_properties), "additionalProperties",
			 0);
}

static json_t *describe_choice(const struct option_def *o)
{
	json_t *choices = json_array();

	for (unsigned int i = 0; o->choices[i]; i++)
		json_array_append_new(choices, json_string(o->choices[i]));
	return json_pack("{s:s, s:o}", "type", "string", "enum", choices);
}

/* As the machine says it, which is one of the ways to write it in a file. */
static json_t *describe_type(const struct option_def *o)
{
	switch (o->type) {
	case OPT_LIST:
		return describe_list(o->list);
	case OPT_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
				 (json_int_t)o->min, "maximum", (json_int_t)o->max);
	case OPT_CHOICE:
		return describe_choice(o);
	default:
		return json_pack("{s:s}", "type", "string");
	}
}

static json_t *describe_properties(const struct option_def *rows, unsigned int nr)
{
	json_t *members = json_object();

	for (unsigned int i = 0; i < nr; i++) {
		const struct option_def *o = &rows[i];
		json_t *d;

		if (o->flags & (OPT_ONLY_FLAG | OPT_ALIAS))
			continue;
		d = describe_type(o);
		json_object_set_new(d, "description", json_string(o->help));
		json_object_set_new(members, option_key(o), d);
	}
	return members;
}

json_t *openapi_config_members(void)
{
	return describe_properties(option_table, option_count);
}

/* ------------------------------------------------------------------------- */
/* Schemas                                                                    */

struct table {
	const struct api_row *row;
	unsigned int nr;
	bool firecracker;
};

static void add_schema(json_t *schemas, const struct schema *s)
{
	if (!s || json_object_get(schemas, s->name))
		return;
	json_object_set_new(schemas, s->name, schema_describe(s));
	for (unsigned int i = 0; i < s->nr_members; i++)
		add_schema(schemas, s->member[i].object);
}

static json_t *describe_error(void)
{
	return json_pack("{s:s, s:s, s:{s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}, s:[s, s]}}, s:[s]}",
			 "type", "object", "description", "Why it was not done", "properties",
			 "error", "type", "object", "properties", "code", "type", "string",
			 "message", "type", "string", "path", "type", "string", "required", "code",
			 "message", "required", "error");
}

static json_t *describe_fault(void)
{
	return json_pack("{s:s, s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "description",
			 "Why it was not done", "properties", "fault_message", "type", "string",
			 "required", "fault_message");
}

static json_t *describe_schemas(const struct table *t)
{
	json_t *schemas =
		json_pack("{s:o}", "Error", t->firecracker ? describe_fault() : describe_error());

	for (unsigned int i = 0; i < t->nr; i++) {
		add_schema(schemas, t->row[i].body);
		add_schema(schemas, t->row[i].answer);
	}
	return schemas;
}

/* ------------------------------------------------------------------------- */
/* Paths                                                                      */

static json_t *content(const char *type, const struct schema *s)
{
	json_t *schema = s ? json_pack("{s:s+}", "$ref", "#/components/schemas/", s->name)
			   : json_pack("{s:s}", "type", "string");

	return json_pack("{s:{s:o}}", type, "schema", schema);
}

static const char *type_of(const struct api_row *row)
{
	if (row->kind == API_STREAM)
		return "application/x-ndjson";
	return row->answer ? "application/json" : "application/openmetrics-text";
}

/* The last part of a path. */
static json_t *describe_parameter(const struct api_row *row)
{
	const char *name = strchr(row->path, '{') + 1;

	return json_pack("[{s:s%, s:s, s:b, s:{s:s}}]", "name", name, strcspn(name, "}"), "in",
			 "path", "required", 1, "schema", "type", "string");
}

static json_t *describe_row(const struct api_row *row)
{
	static const struct schema error = {.name = "Error"};
	bool empty = row->kind == API_NOTHING;
	json_t *done = json_pack("{s:s}", "description", row->help);
	json_t *d = json_pack("{s:s, s:{s:o, s:{s:s, s:o}}}", "summary", row->help, "responses",
			      empty ? "204" : "200", done, "default", "description",
			      "It was not done", "content", content("application/json", &error));

	if (!empty)
		json_object_set_new(done, "content", content(type_of(row), row->answer));
	if (row->body)
		json_object_set_new(d, "requestBody",
				    json_pack("{s:o, s:b}", "content",
					      content("application/json", row->body), "required",
					      empty));
	if (strchr(row->path, '{'))
		json_object_set_new(d, "parameters", describe_parameter(row));
	return d;
}

static json_t *describe_paths(const struct table *t)
{
	json_t *paths = json_object();

	for (unsigned int i = 0; i < t->nr; i++) {
		const struct api_row *row = &t->row[i];
		json_t *path = json_object_get(paths, row->path);
		char method[16];
		size_t n;

		if (!path) {
			path = json_object();
			json_object_set_new(paths, row->path, path);
		}
		for (n = 0; row->method[n] && n < sizeof(method) - 1; n++)
			method[n] = (char)(row->method[n] | 0x20);
		method[n] = '\0';
		json_object_set_new(path, method, describe_row(row));
	}
	return paths;
}

json_t *api_describe(bool firecracker)
{
	const struct table t = {
		.row = firecracker ? firecracker_rows : api_rows,
		.nr = firecracker ? firecracker_nr_rows : api_nr_rows,
		.firecracker = firecracker,
	};

	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:o, s:{s:o}}", "openapi", "3.0.3",
			 "info", "title", "A machine of vmm", "description",
			 firecracker
				 ? "What is served beside the usual, and before it, for a machine "
				   "that was started with --api-only: Firecracker's API."
				 : "HTTP/1.1 on the unix socket api.sock in the runtime directory "
				   "of a machine. HEAD can be asked wherever GET can.",
			 "version", VMM_VERSION, "servers", "url", "http://localhost", "paths",
			 describe_paths(&t), "components", "schemas", describe_schemas(&t));
}
