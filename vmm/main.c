// SPDX-License-Identifier: GPL-2.0-or-later
/* Entry: finds the subcommand and hands over. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/command.h"
#include "host/process.h"
#include "include/uapi/hv.h"
#include "log.h"
#include "version.h"

static void print_help(void)
{
	struct command c;
	char words[64];

	fputs("vmm - run virtual machines on /dev/hv\n"
	      "\n"
	      "Usage:\n",
	      stdout);
	for (unsigned int n = 0; command_at(n, &c); n++) {
		snprintf(words, sizeof(words), "%s %s", c.name, c.usage);
		if (c.help)
			printf("  vmm %-25s  %s\n", words, c.help);
	}
	fputs("  vmm --version\n"
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
	struct command command;

	if (!word) {
		log_error("a command is missing: try 'vmm --help'");
		return STATUS_USAGE;
	}
	if (command_find(word, &command))
		return command.run(argc - 1, argv + 1);
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
