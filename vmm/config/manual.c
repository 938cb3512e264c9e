// SPDX-License-Identifier: GPL-2.0-or-later
/* The options in vmm(1), from their rows. Called by cmd/options.c, for `make man`. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"

/* ".Ar file" of an argument that is called FILE. */
static void print_argument(FILE *out, const struct option_def *o)
{
	if (o->synopsis) {
		fputs(o->synopsis, out);
		return;
	}
	fputs("Ar ", out);
	for (const char *s = o->arg; *s; s++)
		fputc(tolower((unsigned char)*s), out);
}

/* "From 1 to 64." "At most 20 characters." "The default is..." */
static void print_limits(FILE *out, const struct option_def *o)
{
	char least[24], most[24];

	if (o->type == OPT_NUMBER) {
		fprintf(out, "From %" PRIu64 " to %" PRIu64 ".\n", o->min, o->max);
	} else if (o->type == OPT_SIZE) {
		option_format_size(o->min, least, sizeof(least));
		option_format_size(o->max, most, sizeof(most));
		fprintf(out, "From %s to %s.\n", least, most);
	} else if (o->type == OPT_STRING && o->max) {
		fprintf(out, "At most %" PRIu64 " characters.\n", o->max);
	} else if (o->type == OPT_LIST) {
		fprintf(out, "May be given up to %u times; in a file, the array\n.Va %s .\n",
			o->list->most, option_key(o));
	}
	if (o->initial)
		fprintf(out, "The default is\n.Ql %s .\n", o->initial);
	else if (o->otherwise)
		fprintf(out, "The default is %s.\n", o->otherwise);
}

static void print_text(FILE *out, const struct option_def *o)
{
	if (o->manual)
		fputs(o->manual, out);
	else
		fprintf(out, "%c%s.\n", toupper((unsigned char)o->help[0]), o->help + 1);
	print_limits(out, o);
}

static void print_choices(FILE *out, const struct option_def *o)
{
	for (unsigned int n = 0; o->choices[n]; n++)
		fprintf(out, "%sCm %s", n ? " Ns | Ns " : "", o->choices[n]);
}

/* Of an item that is written KEY=VALUE,... */
static void print_properties(FILE *out, const struct option_list *l)
{
	fputs("What may be said of one:\n.Bl -tag -width Ds\n", out);
	for (unsigned int i = 0; i < l->nr_properties; i++) {
		const struct option_def *o = &l->property[i];

		fprintf(out, ".It Cm %s= Ns ", o->name);
		if (o->type == OPT_BOOL)
			fputs("Cm on Ns | Ns Cm off", out);
		else if (o->type == OPT_CHOICE)
			print_choices(out, o);
		else
			print_argument(out, o);
		fputc('\n', out);
		print_text(out, o);
	}
	fputs(".El\n", out);
}

void config_print_manual(FILE *out)
{
	for (unsigned int section = 0; section < NR_SECTIONS; section++) {
		fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", option_section_names[section]);
		for (unsigned int i = 0; i < option_count; i++) {
			const struct option_def *o = &option_table[i];

			if (o->section != section)
				continue;
			fprintf(out, ".It Fl \\-%s%s", o->name, o->arg || o->choices ? " " : "");
			if (o->choices)
				print_choices(out, o);
			else if (o->arg)
				print_argument(out, o);
			fputc('\n', out);
			print_text(out, o);
			if (o->list && !o->list->split)
				print_properties(out, o->list);
		}
		fputs(".El\n", out);
	}
}
