// SPDX-License-Identifier: GPL-2.0-or-later
/* The help text of the options, from their rows. Called by cmd/run.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"

#define COLUMN 24 /* where the text begins */
#define WIDTH  80

/* "1 to 64, default: 1": what the row says of the value; empty if it says nothing. */
static void limits(const struct option_def *o, char *buf, size_t size)
{
	char least[24] = "", most[24] = "";
	const char *initial = o->initial ? o->initial : o->otherwise;

	if (o->type == OPT_NUMBER) {
		snprintf(least, sizeof(least), "%" PRIu64, o->min);
		snprintf(most, sizeof(most), "%" PRIu64, o->max);
	} else if (o->type == OPT_SIZE) {
		option_format_size(o->min, least, sizeof(least));
		option_format_size(o->max, most, sizeof(most));
	}
	snprintf(buf, size, "%s%s%s%s%s%s", least, *least ? " to " : "", most,
		 *least && initial ? ", " : "", initial ? "default: " : "", initial ? initial : "");
	if (o->type == OPT_LIST)
		snprintf(buf, size, "up to %u times", o->list->most);
	else if (o->type == OPT_STRING && o->max)
		snprintf(buf, size, "up to %" PRIu64 " characters%s%s", o->max,
			 initial ? ", default: " : "", initial ? initial : "");
}

/* Words from column "indent" on, after a heading that is "used" wide. */
static void print_wrapped(FILE *out, const char *heading, unsigned int indent, const char *text)
{
	unsigned int at = strlen(heading);

	fputs(heading, out);
	if (at + 2 > indent && at) {
		fputc('\n', out);
		at = 0;
	}
	at += fprintf(out, "%*s", (int)(indent - at), "");
	while (*text) {
		size_t len = strcspn(text, " ");

		if (at > indent && at + 1 + len > WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		}
		at += fprintf(out, "%s%.*s", at > indent ? " " : "", (int)len, text);
		text += len;
		text += *text == ' ';
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct option_def *o, const char *heading,
			 unsigned int indent)
{
	char text[512], more[128];

	limits(o, more, sizeof(more));
	snprintf(text, sizeof(text), "%s%s%s%s", o->help, *more ? " (" : "", more,
		 *more ? ")" : "");
	print_wrapped(out, heading, indent, text);
}

/* "raw|qcow2", or what its value is called; NULL: it has none. */
static const char *argument(const struct option_def *o, char *buf, size_t size)
{
	size_t len = 0;

	if (!o->choices)
		return o->arg;
	*buf = '\0';
	for (unsigned int n = 0; o->choices[n] && len < size; n++)
		len += snprintf(buf + len, size - len, "%s%s", n ? "|" : "", o->choices[n]);
	return buf;
}

static void print_properties(FILE *out, const struct option_list *l)
{
	char heading[128], choices[64];

	for (unsigned int i = 0; i < l->nr_properties; i++) {
		const struct option_def *o = &l->property[i];

		snprintf(heading, sizeof(heading), "%*s%s=%s", COLUMN, "", o->name,
			 o->type == OPT_BOOL ? "on|off" : argument(o, choices, sizeof(choices)));
		print_option(out, o, heading, COLUMN + 17);
	}
}

void config_print_flags(FILE *out)
{
	char heading[128], choices[64];

	for (unsigned int section = 0; section < NR_SECTIONS; section++) {
		fprintf(out, "%s:\n", option_section_names[section]);
		for (unsigned int i = 0; i < option_count; i++) {
			const struct option_def *o = &option_table[i];
			const char *arg = argument(o, choices, sizeof(choices));

			if (o->section != section)
				continue;
			snprintf(heading, sizeof(heading), "  --%s%s%s", o->name, arg ? " " : "",
				 arg ? arg : "");
			print_option(out, o, heading, COLUMN);
			if (o->list && !o->list->split)
				print_properties(out, o->list);
		}
		fputc('\n', out);
	}
}
