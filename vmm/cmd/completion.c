// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm completion": what a shell needs to complete vmm's options. Called by main.c. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/config.h"
#include "log.h"

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
	config_print_completion(stdout);
	return STATUS_OK;
}
