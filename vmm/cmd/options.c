// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm options --man", for `make man`: the options as vmm(1) has them. Called by main.c. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/config.h"
#include "log.h"

int cmd_options(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--man")) {
		log_error("say 'vmm options --man'; for the flags of a machine, 'vmm run --help'");
		return STATUS_USAGE;
	}
	config_print_manual(stdout);
	return STATUS_OK;
}
