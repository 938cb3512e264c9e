// SPDX-License-Identifier: GPL-2.0-or-later
/* What bash needs to know to complete the options of a machine: _vmm_run. Called by cmd/completion.c. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"

/*
 * Bash cuts a word at each '=' and ':' and wants to have only what follows the last of them; so all is
 * made of whole words, and what it has already is taken off again at the end. "compopt" fails where
 * nothing is being completed, as in a test.
 */
static const char begin[] =
	"# Completion of vmm for bash, from its table of options. Written by 'vmm completion bash'.\n"
	"\n"
	"# _vmm_words LEAD BEGIN WORD...: those that go on from BEGIN, with LEAD before them.\n"
	"_vmm_words() {\n"
	"	local lead=$1 begin=$2 word\n"
	"	shift 2\n"
	"	for word; do\n"
	"		[[ $word == \"$begin\"* ]] || continue\n"
	"		COMPREPLY+=(\"$lead$word\")\n"
	"		[[ $word != *= ]] || compopt -o nospace 2>/dev/null\n"
	"	done\n"
	"}\n"
	"\n"
	"# _vmm_files LEAD BEGIN\n"
	"_vmm_files() {\n"
	"	local file\n"
	"	compopt -o filenames 2>/dev/null\n"
	"	while IFS= read -r file; do\n"
	"		COMPREPLY+=(\"$1$file\")\n"
	"	done < <(compgen -f -- \"$2\")\n"
	"}\n"
	"\n"
	"# _vmm_value LEAD BEGIN KIND: a file, or one of some words.\n"
	"_vmm_value() {\n"
	"	case $3 in\n"
	"	FILE) _vmm_files \"$1\" \"$2\" ;;\n"
	"	*)\n"
	"		# shellcheck disable=SC2086 # words are meant\n"
	"		_vmm_words \"$1\" \"$2\" $3\n"
	"		;;\n"
	"	esac\n"
	"}\n"
	"\n";

/* What _vmm_value is to offer. */
static void print_kind(FILE *out, const struct option_def *o)
{
	if (o->type == OPT_PATH)
		fputs("FILE", out);
	else if (o->type == OPT_BOOL)
		fputs("on off", out);
	else if (o->choices)
		for (unsigned int i = 0; o->choices[i]; i++)
			fprintf(out, "%s%s", i ? " " : "", o->choices[i]);
}

static void print_keys(FILE *out, const struct option_list *l)
{
	for (unsigned int i = 0; i < l->nr_properties; i++)
		fprintf(out, "%s%s=", i ? " " : "", l->property[i].name);
}

/* KEY=VALUE,...: the keys, or the values of the last; at the beginning also those that need no key. */
static void print_pieces(FILE *out, const struct option_def *o)
{
	const struct option_list *l = o->list;

	fprintf(out, "	--%s)\n", o->name);
	fputs("		if [[ $value == *,* ]]; then\n"
	      "			lead+=${value%,*},\n"
	      "			value=${value##*,}\n"
	      "		else\n"
	      "			_vmm_value \"$lead\" \"$value\" '",
	      out);
	print_kind(out, &l->property[l->bare]);
	fputs("'\n"
	      "		fi\n"
	      "		case $value in\n",
	      out);
	for (unsigned int i = 0; i < l->nr_properties; i++) {
		const struct option_def *p = &l->property[i];

		fprintf(out, "		%s=*) _vmm_value \"${lead}%s=\" \"${value#*=}\" '", p->name,
			p->name);
		print_kind(out, p);
		fputs("' ;;\n", out);
	}
	fputs("		*) _vmm_value \"$lead\" \"$value\" '", out);
	print_keys(out, l);
	fputs("' ;;\n"
	      "		esac\n"
	      "		;;\n",
	      out);
}

/* FIRST, the character, SECOND: the file of the two. */
static void print_halves(FILE *out, const struct option_def *o)
{
	const struct option_list *l = o->list;

	if (l->property[0].type == OPT_PATH)
		fprintf(out, "	--%s) _vmm_files \"$lead\" \"$value\" ;;\n", o->name);
	else if (l->property[1].type == OPT_PATH)
		fprintf(out,
			"	--%s)\n"
			"		[[ $value != *%c* ]] ||\n"
			"			_vmm_files \"$lead${value%%%%%c*}%c\" \"${value#*%c}\"\n"
			"		;;\n",
			o->name, l->split, l->split, l->split, l->split);
}

void config_print_completion(FILE *out)
{
	fputs(begin, out);
	fputs("# _vmm_run OPTION LEAD VALUE: the value of the option, which may be none, or an option.\n"
	      "_vmm_run() {\n"
	      "	local lead=$2 value=$3\n"
	      "	case $1 in\n",
	      out);
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		if (o->list && o->list->split) {
			print_halves(out, o);
		} else if (o->list) {
			print_pieces(out, o);
		} else if (o->type != OPT_BOOL) {
			fprintf(out, "	--%s) _vmm_value \"$lead\" \"$value\" '", o->name);
			print_kind(out, o);
			fputs("' ;;\n", out);
		}
	}
	fputs("	*)\n"
	      "		_vmm_words '' \"$lead$value\"",
	      out);
	for (unsigned int i = 0; i < option_count; i++)
		fprintf(out, " \\\n			--%s", option_table[i].name);
	fputs("\n"
	      "		;;\n"
	      "	esac\n"
	      "}\n"
	      "\n",
	      out);
}
