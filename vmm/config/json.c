// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Configuration files. jansson says whether a text is JSON and what its strings and numbers are, but not
 * on which line they stand, and of two members of one name it forgets the first. So a text that it found
 * good is gone through once more: where things begin and end in such a text is easy to tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/json.h"
#include "config/option.h"
#include "resource.h"

#define MAX_FILE (1u << 20)
#define MAX_KEY	 64

struct reader {
	const char *name;
	const char *text;
	struct config *c;
	struct error *e;
};

/* A member of an object, or an element of an array, which has no key. */
struct entry {
	const char *begin; /* the key, or the value */
	char key[MAX_KEY];
	const char *value, *end;
};

/* ------------------------------------------------------------------------- */
/* Through a text that is known to be good                                    */

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* Behind the string that begins here. */
static const char *skip_string(const char *at)
{
	for (at++; *at != '"'; at++)
		at += *at == '\\';
	return at + 1;
}

/* Behind the value that begins here. */
static const char *skip_value(const char *at)
{
	unsigned int depth = 0;

	do {
		at = skip_space(at);
		switch (*at) {
		case '"':
			at = skip_string(at);
			break;
		case '{':
		case '[':
			depth++;
			at++;
			break;
		case '}':
		case ']':
			depth--;
			at++;
			break;
		case ',':
		case ':':
			at++;
			break;
		default:
			at += strcspn(at, " \t\r\n,:]}");
		}
	} while (depth);
	return at;
}

static json_t *decode(const char *begin, const char *end)
{
	return json_loadb(begin, end - begin, JSON_DECODE_ANY, NULL);
}

/* The next of an object or array; *at is behind its bracket, or behind the one before. 1: there is one. */
static int next_entry(const struct reader *r, const char **at, bool object, struct entry *n)
{
	json_t *key;

	*at = skip_space(*at);
	if (**at == ',')
		*at = skip_space(*at + 1);
	if (**at == '}' || **at == ']')
		return 0;
	n->begin = n->value = *at;
	if (object) {
		n->value = skip_string(n->begin);
		key = decode(n->begin, n->value);
		if (!key)
			return error_set(r->e, ENOMEM, "out of memory");
		snprintf(n->key, sizeof(n->key), "%s", json_string_value(key));
		json_decref(key);
		/* The colon. */
		n->value = skip_space(skip_space(n->value) + 1);
	}
	*at = n->end = skip_value(n->value);
	return 1;
}

/* ------------------------------------------------------------------------- */
/* What is wrong, and where                                                   */

static unsigned int line_of(const struct reader *r, const char *at)
{
	unsigned int line = 1;

	for (const char *s = r->text; s < at; s++)
		line += *s == '\n';
	return line;
}

/* Put "FILE:LINE: path " before a text that completes it. */
static int name_it(const struct reader *r, const char *at, const char *path, int ret)
{
	struct error old = *r->e;

	error_set_at(r->e, -ret, path, "%s:%u: %s%s%s", r->name, line_of(r, at), path,
		     *path ? " " : "", old.text);
	r->e->code = old.code;
	return ret;
}

static int wrong_type(const struct reader *r, const char *at, const char *path, const char *right)
{
	int ret = error_set(r->e, EINVAL, "must be %s", right);

	r->e->code = "wrong-type";
	return name_it(r, at, path, ret);
}

static int given_twice(const struct reader *r, const char *at, const char *path)
{
	return name_it(r, at, path, error_set(r->e, EEXIST, "is given twice"));
}

static int unknown(const struct reader *r, const struct entry *n, const char *path,
		   const struct option_def *closest)
{
	int ret = error_set(r->e, EINVAL, "is unknown%s%s%s", closest ? "; did you mean " : "",
			    closest ? option_key(closest) : "", closest ? "?" : "");

	r->e->code = "unknown-option";
	return name_it(r, n->begin, path, ret);
}

/* ------------------------------------------------------------------------- */
/* Values                                                                     */

/* As it would be written on the command line; NULL: it is of the wrong type. */
static const char *value_text(enum opt_type type, const json_t *value, char *buf, size_t size)
{
	bool unit = type == OPT_SIZE || type == OPT_DURATION;

	switch (json_typeof(value)) {
	case JSON_TRUE:
	case JSON_FALSE:
		return type != OPT_BOOL ? NULL : json_is_true(value) ? "on" : "off";
	case JSON_INTEGER:
		if (!unit && type != OPT_NUMBER)
			return NULL;
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return buf;
	case JSON_STRING:
		return type == OPT_BOOL || type == OPT_NUMBER ? NULL : json_string_value(value);
	default:
		return NULL;
	}
}

static const char *type_words(enum opt_type type)
{
	switch (type) {
	case OPT_BOOL:
		return "true or false";
	case OPT_NUMBER:
		return "a whole number";
	case OPT_SIZE:
		return "a number of bytes, or a string such as \"512M\"";
	case OPT_DURATION:
		return "a number of seconds, or a string such as \"5m\"";
	case OPT_LIST:
		return "an array of objects";
	default:
		return "a string";
	}
}

static int read_value(const struct reader *r, const struct option_def *o, void *base,
		      const char *path, const struct entry *n)
{
	const char *text;
	json_t *value;
	char buf[24];
	int ret;

	if (*n->value == '{' || *n->value == '[')
		return wrong_type(r, n->begin, path, type_words(o->type));
	value = decode(n->value, n->end);
	if (!value)
		return error_set(r->e, ENOMEM, "out of memory");
	text = value_text(o->type, value, buf, sizeof(buf));
	if (!text) {
		ret = wrong_type(r, n->begin, path, type_words(o->type));
	} else {
		ret = option_set(o, base, text, r->e);
		if (ret)
			name_it(r, n->begin, path, ret);
	}
	json_decref(value);
	return ret;
}

static int read_item(const struct reader *r, const struct option_def *o, struct config_item *item,
		     const char *path, const struct entry *object)
{
	const struct option_list *l = o->list;
	const char *at = object->value + 1;
	char property_path[sizeof(r->e->path) + MAX_KEY];
	uint64_t seen = 0;
	struct entry n;
	int ret;

	item->from_file = true;
	while ((ret = next_entry(r, &at, true, &n)) > 0) {
		const struct option_def *property = option_find_property(l, n.key, strlen(n.key));

		snprintf(property_path, sizeof(property_path), "%s.%s", path, n.key);
		if (!property)
			return unknown(r, &n, property_path,
				       option_closest(l->property, l->nr_properties, n.key,
						      strlen(n.key)));
		if (seen & 1ULL << (property - l->property))
			return given_twice(r, n.begin, property_path);
		seen |= 1ULL << (property - l->property);
		ret = read_value(r, property, item, property_path, &n);
		if (ret)
			return ret;
	}
	for (unsigned int i = 0; !ret && i < l->nr_properties; i++) {
		const struct option_def *property = &l->property[i];

		if (!(property->flags & OPT_REQUIRED) || option_is_set(property, item))
			continue;
		snprintf(property_path, sizeof(property_path), "%s.%s", path, property->name);
		ret = error_set(r->e, EINVAL, "is missing");
		r->e->code = "missing";
		name_it(r, object->begin, property_path, ret);
	}
	return ret;
}

static int read_list(const struct reader *r, const struct option_def *o, const struct entry *list)
{
	const char *at = list->value + 1;
	unsigned int *count = list_count(o->list, r->c);
	char path[sizeof(r->e->path)];
	struct entry n;
	int ret;

	if (*list->value != '[')
		return wrong_type(r, list->begin, option_key(o), type_words(OPT_LIST));
	while ((ret = next_entry(r, &at, false, &n)) > 0) {
		snprintf(path, sizeof(path), "%s[%u]", option_key(o), *count);
		if (*n.value != '{')
			return wrong_type(r, n.begin, path, "an object");
		if (*count == o->list->most)
			return name_it(
				r, n.begin, option_key(o),
				error_set(r->e, E2BIG, "has more than %u items", o->list->most));
		/* Counted first, so that config_destroy() finds what a failure leaves. */
		ret = read_item(r, o, list_item(o->list, r->c, (*count)++), path, &n);
		if (ret)
			return ret;
	}
	return ret;
}

static int read_machine(const struct reader *r)
{
	const char *at = skip_space(r->text) + 1;
	struct entry n;
	int ret;

	while ((ret = next_entry(r, &at, true, &n)) > 0) {
		const struct option_def *o = option_find_key(n.key, strlen(n.key));

		if (!o || o->flags & OPT_ONLY_FLAG)
			return unknown(
				r, &n, n.key,
				option_closest(option_table, option_count, n.key, strlen(n.key)));
		if (r->c->from_file & option_bit(o))
			return given_twice(r, n.begin, n.key);
		r->c->from_file |= option_bit(o);
		ret = o->list ? read_list(r, o, &n) : read_value(r, o, r->c, n.key, &n);
		if (ret)
			return ret;
	}
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Files                                                                      */

static int read_text(const char *name, const char *text, size_t len, struct config *c,
		     struct error *e)
{
	struct reader r = {name, text, c, e};
	json_error_t error;
	json_t *root = json_loadb(text, len, 0, &error);
	bool object = json_is_object(root);

	json_decref(root);
	if (!root) {
		error_set(e, EINVAL, "%s:%d: is not JSON: %s", name, error.line, error.text);
		e->code = "bad-syntax";
		/* It quotes the file. */
		for (char *s = e->text; *s; s++)
			*s = (unsigned char)*s < ' ' ? ' ' : *s;
		return -EINVAL;
	}
	if (!object)
		return wrong_type(&r, skip_space(text), "", "an object: {...}");
	return read_machine(&r);
}

static int read_all(int fd, char **text, size_t *len)
{
	ssize_t got;

	*text = malloc(MAX_FILE + 1);
	if (!*text)
		return -ENOMEM;
	for (*len = 0; *len < MAX_FILE; *len += got) {
		got = read(fd, *text + *len, MAX_FILE - *len);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!got)
			break;
		if (got < 0)
			got = 0;
	}
	(*text)[*len] = '\0';
	return *len < MAX_FILE ? 0 : -EFBIG;
}

int json_read_file(const char *name, struct config *c, struct error *e)
{
	int fd = resource_open(name, O_RDONLY | O_NOCTTY, 0);
	char *text = NULL;
	size_t len = 0;
	int ret = fd < 0 ? -errno : read_all(fd, &text, &len);

	if (fd >= 0)
		close(fd);
	if (ret)
		error_set_at(e, -ret, "config", "configuration file %s: %s", name, strerror(-ret));
	else
		ret = read_text(name, text, len, c, e);
	free(text);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Writing                                                                    */

/* NULL with *e filled. */
static json_t *value_object(const struct option_def *o, const void *base, const char *path,
			    struct error *e)
{
	json_t *value;

	switch (o->type) {
	case OPT_BOOL:
		value = json_boolean(option_number(o, base));
		break;
	case OPT_NUMBER:
	case OPT_SIZE:
	case OPT_DURATION:
		value = json_integer(option_number(o, base));
		break;
	case OPT_CHOICE:
		value = json_string(o->choices[option_number(o, base)]);
		break;
	default:
		value = json_string(*option_string(o, base));
		if (!value) {
			error_set_at(e, EILSEQ, path,
				     "%s is not UTF-8, and so cannot be written as JSON", path);
			return NULL;
		}
	}
	if (!value)
		error_set(e, ENOMEM, "out of memory");
	return value;
}

/* Put what is set of the rows into the object; path is that of the item with a dot, or empty. */
static int put_values(json_t *object, const struct option_def *rows, unsigned int nr,
		      const void *base, const char *prefix, struct error *e)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct option_def *o = &rows[i];
		char path[sizeof(e->path)];
		json_t *value;

		if (o->list || o->flags & (OPT_ONLY_FLAG | OPT_ALIAS) || !option_is_set(o, base))
			continue;
		snprintf(path, sizeof(path), "%s%s", prefix, o->name);
		value = value_object(o, base, path, e);
		if (!value)
			return -EILSEQ;
		if (json_object_set_new(object, o->name, value))
			return error_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int put_list(json_t *root, const struct option_def *o, const struct config *c,
		    struct error *e)
{
	const struct option_list *l = o->list;
	json_t *array = json_array();
	int ret = 0;

	/* Takes it, be it empty or NULL. */
	if (json_object_set_new(root, option_key(o), array))
		return error_set(e, ENOMEM, "out of memory");
	for (unsigned int n = 0; !ret && n < *list_count(l, c); n++) {
		json_t *item = json_object();
		char prefix[32];

		if (json_array_append_new(array, item))
			return error_set(e, ENOMEM, "out of memory");
		snprintf(prefix, sizeof(prefix), "%s[%u].", option_key(o), n);
		ret = put_values(item, l->property, l->nr_properties, list_item(l, c, n), prefix,
				 e);
	}
	return ret;
}

int config_print(const struct config *c, FILE *out, struct error *e)
{
	json_t *root = json_object();
	int ret = root ? 0 : error_set(e, ENOMEM, "out of memory");

	/* Row by row, so that all is in the order of the table. */
	for (unsigned int i = 0; !ret && i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		if (!o->list)
			ret = put_values(root, o, 1, c, "", e);
		else if (*list_count(o->list, c))
			ret = put_list(root, o, c, e);
	}
	/* That it could not be written, main() says of everything. */
	if (!ret && json_dumpf(root, out, JSON_INDENT(2)) && !ferror(out))
		ret = error_set(e, ENOMEM, "out of memory");
	if (!ret)
		fputc('\n', out);
	json_decref(root);
	return ret;
}
