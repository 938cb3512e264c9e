// SPDX-License-Identifier: GPL-2.0-or-later
/* Entry: finds the subcommand and hands over. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "host/process.h"
#include "include/uapi/hv.h"
#include "log.h"
#include "version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", cmd_run},
	{"check", cmd_check},
	{"list", cmd_list},
	{"console", cmd_console},
	{"logs", cmd_logs},
	{"status", cmd_verb},
	{"stats", cmd_verb},
	{"events", cmd_verb},
	{"pause", cmd_verb},
	{"resume", cmd_verb},
	{"reset", cmd_verb},
	{"power-button", cmd_verb},
	{"nmi", cmd_verb},
	{"stop", cmd_verb},
	{"kill", cmd_verb},
	{"wait", cmd_verb},
	/* The rest is of no machine. */
	{"completion", cmd_completion},
	{"options", cmd_options},
	{"api", cmd_api},
};

static void print_help(void)
{
	fputs("vmm - run virtual machines on /dev/hv\n"
	      "\n"
	      "Usage:\n"
	      "  vmm run --kernel FILE [FLAGS]   run a machine\n"
	      "  vmm check [--json]              can this host run machines? if not, what mends it\n"
	      "  vmm list                        the machines that run\n"
	      "  vmm status|stats|events NAME... what a machine is, did, and what happens to it\n"
	      "  vmm console|logs NAME           attach to its console; what that said so far\n"
	      "  vmm stop|kill|wait NAME...      end it, and wait for that\n"
	      "  vmm pause|resume|reset|power-button|nmi NAME...\n"
	      "  vmm api --openapi               what the control socket of a machine understands\n"
	      "  vmm completion bash             a script that completes options in bash\n"
	      "  vmm --version\n"
	      "  vmm --help\n"
	      "\n"
	      "Begin with 'vmm check'. 'vmm run --help' lists the flags, vmm(1) says everything.\n"
	      "\n"
	      "Exit status: 0 success, 1 host or configuration error, 2 wrong usage, 3 the guest\n"
	      "crashed; others are in vmm(1).\n",
	      stdout);
}

static int run_command(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		log_error("a command is missing: try 'vmm --help'");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(word, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
		print_help();
		return STATUS_OK;
	}
	if (!strcmp(word, "--version")) {
		printf("vmm %s (/dev/hv interface %d)\n", VMM_VERSION, HV_ABI_VERSION);
		return STATUS_OK;
	}
	log_error("unknown %s '%s': try 'vmm --help'", word[0] == '-' ? "flag" : "command", word);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	int status;

	/* Threads allocate little and rarely: an arena for each would be most of our memory. */
	mallopt(M_ARENA_MAX, 1);

	/* Without them there is nobody to tell. */
	if (process_open_standard_fds())
		return STATUS_ERROR;
	status = run_command(argc, argv);
	if (process_flush_stdout()) {
		log_error("cannot write to standard output: is its disk full, or its reader gone?");
		if (status == STATUS_OK)
			status = STATUS_ERROR;
	}
	return status;
}
