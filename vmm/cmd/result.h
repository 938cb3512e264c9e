/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a run ended, told to the user: exit status, message, JSON. cmd/run.c calls it
 * when the terminal is restored.
 */
#ifndef VMM_CMD_RESULT_H
#define VMM_CMD_RESULT_H

#include <stdio.h>

#include "config/config.h"
#include "machine/machine.h"

/* Over all reboots of the guest. */
struct run_totals {
	unsigned int reboots;
	double seconds;
	struct machine_exits exits;
};

/* The exit status of the process: see vmm(1). */
int result_status(const struct config *config, const struct machine_result *result);
/* A word for how it ended, part of the interface. */
const char *result_reason(const struct machine_result *result);
/* On standard error, unless it ended as it should. */
void result_say(const struct config *config, const struct machine_result *result);
/* One line; 0, or -1 when it could not be written, all of it. */
int result_print_json(FILE *out, const struct config *config, const struct machine_result *result,
		      const struct run_totals *totals);
/* The same for a machine that never was: its flags are wrong. */
int result_print_usage(FILE *out, const struct error *e);

#endif
