// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm completion": what a shell needs to complete subcommands, machines and options. Called by main.c. */
#include <stdio.h>
#include <string.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/command.h"
#include "config/config.h"
#include "log.h"

static const char machines[] = "# _vmm_machine BEGIN: those that run.\n"
			       "_vmm_machine() {\n"
			       "	local names\n"
			       "	names=$(\"${COMP_WORDS[0]}\" list --quiet 2>/dev/null)\n"
			       "	# shellcheck disable=SC2086 # words are meant\n"
			       "	_vmm_words '' \"$1\" $names\n"
			       "}\n"
			       "\n";

static const char begin[] =
	"_vmm() {\n"
	"	local line=${COMP_LINE:0:COMP_POINT} word before option value lead='' have\n"
	"	COMPREPLY=()\n"
	"	word=${line##*[[:space:]]}\n"
	"	before=${line%\"$word\"}\n"
	"	before=${before%\"${before##*[![:space:]]}\"}\n"
	"	option=${before##*[[:space:]]} value=$word\n"
	"	if [[ $word == --*=* ]]; then\n"
	"		option=${word%%=*} value=${word#*=}\n"
	"		lead=$option=\n"
	"	fi\n"
	"	if [[ $COMP_CWORD -eq 1 ]]; then\n";

static const char end[] = "	have=${COMP_WORDS[COMP_CWORD]}\n"
			  "	[[ $have != [=:] ]] || have=''\n"
			  "	have=${word%\"$have\"}\n"
			  "	COMPREPLY=(\"${COMPREPLY[@]#\"$have\"}\")\n"
			  "}\n"
			  "\n"
			  "complete -F _vmm vmm\n";

/* What follows a subcommand: names of machines, or flags where a flag has begun; words otherwise. */
static void print_command(FILE *out, const struct command *c)
{
	if (c->names)
		fprintf(out, "		%s,[!-]* | %s,) _vmm_machine \"$word\" ;;\n", c->name,
			c->name);
	fprintf(out, "		%s,*) _vmm_words '' \"$word\" %s%s", c->name,
		c->words ? c->words : "", c->words ? " " : "");
	args_print_flags(out, c->flags);
	fputs(" ;;\n", out);
}

void completion_print(FILE *out)
{
	struct command c;

	config_print_completion(out);
	fputs(machines, out);
	fputs(begin, out);
	fputs("		_vmm_words '' \"$word\"", out);
	for (unsigned int n = 0; command_at(n, &c); n++) {
		if (c.help)
			fprintf(out, " \\\n			%s", c.name);
	}
	fputs(" \\\n			--help --version\n"
	      "	else\n"
	      "		case ${COMP_WORDS[1]},$word in\n"
	      "		run,*) _vmm_run \"$option\" \"$lead\" \"$value\" ;;\n",
	      out);
	for (unsigned int n = 0; command_at(n, &c); n++) {
		if (c.help && strcmp(c.name, "run"))
			print_command(out, &c);
	}
	fputs("		esac\n"
	      "	fi\n",
	      out);
	fputs(end, out);
}

int cmd_completion(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs("vmm completion - have a shell complete vmm's options\n"
		      "\n"
		      "Usage: vmm completion bash\n"
		      "\n"
		      "Prints a script. 'make install' puts it where bash looks for it; without that:\n"
		      "  source <(vmm completion bash)\n",
		      stdout);
		return STATUS_OK;
	}
	if (argc != 2 || strcmp(argv[1], "bash")) {
		log_error("say 'vmm completion bash': no other shell is known");
		return STATUS_USAGE;
	}
	completion_print(stdout);
	return STATUS_OK;
}
