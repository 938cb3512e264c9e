// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line: from words to values, as the table of options has them. Called by config.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/flags.h"
#include "config/option.h"

struct flag {
	const struct option_def *option;
	const char *value; /* NULL: none */
};

/* ------------------------------------------------------------------------- */
/* Names                                                                      */

static int unknown_flag(const char *word, size_t len, struct error *e)
{
	const struct option_def *o =
		len > 2 ? option_closest(option_table, option_count, word + 2, len - 2) : NULL;
	int ret = error_set(e, EINVAL, "unknown flag %.*s%s%s%s", (int)len, word,
			    o ? "; did you mean --" : "", o ? o->name : "", o ? "?" : "");

	e->code = "unknown-option";
	return ret;
}

/* Take the next flag, and its value, off the words. 1: there is one; 0: there are no more. */
static int next_flag(char ***words, struct flag *f, struct error *e)
{
	const char *word = *(*words)++;
	/* Ends the flags; there is nothing else. */
	bool ended = word && !strcmp(word, "--");
	size_t len;

	if (ended)
		word = **words;
	if (!word)
		return 0;
	if (ended || word[0] != '-' || !word[1]) {
		error_set(e, EINVAL,
			  "'%s' is not a flag: files are given as --kernel FILE, --disk FILE and "
			  "so on",
			  word);
		e->code = "unknown-option";
		return -EINVAL;
	}
	if (word[1] == 'h')
		word = "--help";
	if (word[1] != '-')
		return unknown_flag(word, 2, e);

	len = strcspn(word, "=");
	f->option = option_find(word + 2, len - 2);
	if (!f->option)
		return unknown_flag(word, len, e);
	f->value = word[len] ? word + len + 1 : NULL;
	if (f->option->type != OPT_BOOL && !f->value) {
		f->value = *(*words)++;
		if (!f->value)
			return error_set_at(e, EINVAL, option_key(f->option), "%s needs a value",
					    word);
	}
	return 1;
}

/* ------------------------------------------------------------------------- */
/* Values                                                                     */

/* Put "--name " before a text that completes it. */
static int name_flag(const struct option_def *o, int ret, struct error *e)
{
	struct error old = *e;

	error_set_at(e, -ret, option_key(o), "--%s %s", o->name, old.text);
	return ret;
}

/* An item of a list on its way into it. */
struct item {
	const struct option_def *option;
	unsigned int index;
	void *at;
};

/* Put "--name: property= " before a text that completes it. */
static int set_property(const struct item *i, const struct option_def *property, const char *value,
			struct error *e)
{
	int ret = option_set(property, i->at, value, e);
	struct error old = *e;

	if (!ret)
		return 0;
	error_set(e, -ret, "--%s: %s= %s", i->option->name, property->name, old.text);
	return error_about(e, ret, "%s[%u].%s", option_key(i->option), i->index, property->name);
}

/*
 * Cut the piece before the next comma off *rest; two commas stand for one that
 * belongs to the piece. *rest becomes NULL behind the last piece.
 */
static char *cut_piece(char **rest)
{
	char *piece = *rest, *in = piece, *out = piece;

	while (*in && (*in != ',' || in[1] == ',')) {
		in += *in == ',';
		*out++ = *in++;
	}
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return piece;
}

static int unknown_property(const struct item *i, const char *name, size_t len, struct error *e)
{
	const struct option_list *l = i->option->list;
	char all[256] = "";
	size_t used = 0;

	for (unsigned int n = 0; n < l->nr_properties && used < sizeof(all); n++)
		used += snprintf(all + used, sizeof(all) - used, "%s%s=", n ? ", " : "",
				 l->property[n].name);
	error_set(e, EINVAL,
		  "--%s: unknown option '%.*s'; there are %s (a comma in the name of a file is "
		  "written ',,')",
		  i->option->name, (int)len, name, all);
	e->code = "unknown-option";
	return error_about(e, -EINVAL, "%s[%u]", option_key(i->option), i->index);
}

/* KEY=VALUE,KEY=VALUE...; the first may be a value alone. */
static int set_pieces(const struct item *i, char *text, struct error *e)
{
	const struct option_list *l = i->option->list;
	bool first = true;
	int ret = 0;

	for (char *rest = text; !ret && rest; first = false) {
		char *piece = cut_piece(&rest), *value = strchr(piece, '=');
		size_t len = value ? (size_t)(value - piece) : strlen(piece);
		const struct option_def *property = option_find_property(l, piece, len);

		if (property && value)
			ret = set_property(i, property, value + 1, e);
		else if (first)
			ret = set_property(i, &l->property[l->bare], piece, e);
		else
			ret = unknown_property(i, piece, len, e);
	}
	return ret;
}

/* FIRST, the character, SECOND: the values of the first two properties. */
static int set_halves(const struct item *i, char *text, struct error *e)
{
	const struct option_def *o = i->option, *property = o->list->property;
	char *second = strchr(text, o->list->split);
	bool needed = property[1].flags & OPT_REQUIRED;
	int ret;

	if (second)
		*second++ = '\0';
	if (!*text || (needed && (!second || !*second))) {
		/* As it was written. */
		if (second)
			second[-1] = o->list->split;
		ret = error_set(e, EINVAL, "--%s must be %s, not '%s'", o->name, o->arg, text);
		return error_about(e, ret, "%s[%u]", option_key(o), i->index);
	}
	ret = set_property(i, &property[0], text, e);
	if (!ret && second)
		ret = set_property(i, &property[1], second, e);
	return ret;
}

static int add_item(const struct option_def *o, struct config *c, const char *text, struct error *e)
{
	const struct option_list *l = o->list;
	unsigned int *count = list_count(l, c);
	struct item item = {o, *count, list_item(l, c, *count)};
	char *copy;
	int ret;

	if (*count == l->most)
		return error_set_at(e, E2BIG, option_key(o), "more than %u times --%s", l->most,
				    o->name);
	copy = strdup(text);
	if (!copy)
		return error_set(e, ENOMEM, "out of memory");

	/* Counted first, so that config_destroy() finds what a failure leaves. */
	++*count;
	ret = l->split ? set_halves(&item, copy, e) : set_pieces(&item, copy, e);
	free(copy);
	for (unsigned int i = 0; !ret && i < l->nr_properties; i++) {
		const struct option_def *property = &l->property[i];

		if (!(property->flags & OPT_REQUIRED) || option_is_set(property, item.at))
			continue;
		ret = error_set(e, EINVAL, "--%s: %s= is missing", o->name, property->name);
		e->code = "missing";
		error_about(e, ret, "%s[%u].%s", option_key(o), item.index, property->name);
	}
	return ret;
}

static int apply(const struct flag *f, struct config *c, struct error *e)
{
	const struct option_def *o = f->option;
	const char *value = f->value;
	int ret;

	c->from_file &= ~option_bit(o);
	if (o->type == OPT_LIST)
		return add_item(o, c, value, e);
	/* As a flag, "off" serves to take back what was said before. */
	if (o->type == OPT_BOOL && value && strcmp(value, "on") && strcmp(value, "off"))
		return error_set_at(e, EINVAL, option_key(o),
				    "--%s takes no value, or on or off, not '%s'", o->name, value);
	ret = option_set(o, c, value ? value : "on", e);
	return ret ? name_flag(o, ret, e) : 0;
}

int flags_parse(char **words, unsigned int kind, struct config *c, struct error *e)
{
	struct flag f = {0};
	int ret;

	while ((ret = next_flag(&words, &f, e)) > 0) {
		if ((f.option->flags & OPT_ONLY_FLAG) != kind)
			continue;
		ret = apply(&f, c, e);
		if (ret || c->help)
			return ret;
	}
	return ret;
}
