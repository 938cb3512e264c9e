/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the subcommands that act on machines have in common: their few flags, and names. */
#ifndef VMM_CMD_ARGS_H
#define VMM_CMD_ARGS_H

#include <stdbool.h>
#include <stdio.h>

struct args {
	bool json, quiet, read_only, messages;
	int timeout; /* seconds; -1: not stated */
	char **names;
	int nr_names;
};

/* Which of the flags a subcommand has. */
enum {
	ARGS_JSON = 1 << 0,
	ARGS_QUIET = 1 << 1,
	ARGS_TIMEOUT = 1 << 2,
	ARGS_READ_ONLY = 1 << 3,
	ARGS_MESSAGES = 1 << 4,
};

/*
 * argv[0] is the subcommand. Returns 0; 1 when help is asked for; or -EINVAL, and has said why: an unknown
 * flag, a bad number, or names that are not between least and most.
 */
int args_parse(int argc, char **argv, unsigned int flags, int least, int most, struct args *a);

/* The words of flags, with --help, with blanks between. */
void args_print_flags(FILE *out, unsigned int flags);

#endif
