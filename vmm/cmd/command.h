/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of subcommands: what main.c finds them by, and what the help text and the completion of bash are made
 * from. What acts on machines by a request has its row in verb.c.
 */
#ifndef VMM_CMD_COMMAND_H
#define VMM_CMD_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

struct command {
	const char *name;
	/* argv[0] is the name; returns the exit status. */
	int (*run)(int argc, char **argv);
	const char *usage;  /* what follows the name */
	const char *help;   /* NULL: it is for our own use, and not listed */
	unsigned int flags; /* ARGS_..., of args.h */
	bool names;	    /* it takes names of machines */
	const char *words;  /* what else it takes; NULL: nothing */
};

/* The n-th, in the order of the help text; false: there are no more. */
bool command_at(unsigned int n, struct command *c);
bool command_find(const char *name, struct command *c);

/* verb.c's part of it. */
bool verb_command_at(unsigned int n, struct command *c);

/* The script that has bash complete a command line. */
void completion_print(FILE *out);

#endif
