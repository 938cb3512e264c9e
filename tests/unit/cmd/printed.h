/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a subcommand prints on standard output. */
#ifndef TESTS_UNIT_CMD_PRINTED_H
#define TESTS_UNIT_CMD_PRINTED_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Runs it, and keeps what fits of what it printed, in a file of that name meanwhile. Returns its status. */
static inline int printed(int (*run)(int argc, char **argv), int argc, char **argv,
			  const char *file, char *text, size_t size)
{
	int out = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int old, status;

	fflush(stdout);
	old = dup(STDOUT_FILENO);
	dup2(out, STDOUT_FILENO);
	status = run(argc, argv);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	text[pread(out, text, size - 1, 0)] = '\0';
	close(out);
	return status;
}

#endif
