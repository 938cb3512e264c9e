// SPDX-License-Identifier: GPL-2.0-or-later
/* The subcommands that are files of their own, and behind them those of verb.c. Called by main.c and completion.c. */
#include <string.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/command.h"

static const struct command commands[] = {
	{
		.name = "run",
		.run = cmd_run,
		.usage = "--kernel FILE [FLAGS]",
		.help = "run a machine",
	},
	{
		.name = "check",
		.run = cmd_check,
		.usage = "[--json]",
		.help = "can this host run machines? if not, what mends it",
		.flags = ARGS_JSON,
	},
	{
		.name = "list",
		.run = cmd_list,
		.usage = "",
		.help = "the machines that run",
		.flags = ARGS_JSON | ARGS_QUIET,
	},
	{
		.name = "console",
		.run = cmd_console,
		.usage = "NAME",
		.help = "attach to the console of a machine that is detached",
		.flags = ARGS_READ_ONLY,
		.names = true,
	},
	{
		.name = "logs",
		.run = cmd_logs,
		.usage = "NAME",
		.help = "what it said there so far",
		.flags = ARGS_MESSAGES,
		.names = true,
	},
	{
		.name = "api",
		.run = cmd_api,
		.usage = "--openapi",
		.help = "what the control socket of a machine understands",
		.words = "--openapi --api-only",
	},
	{
		.name = "completion",
		.run = cmd_completion,
		.usage = "bash",
		.help = "a script that completes options in bash",
		.words = "bash",
	},
	{
		.name = "options",
		.run = cmd_options,
		.usage = "--man",
	},
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

bool command_at(unsigned int n, struct command *c)
{
	if (n >= NR_COMMANDS)
		return verb_command_at(n - NR_COMMANDS, c);
	*c = commands[n];
	return true;
}

bool command_find(const char *name, struct command *c)
{
	for (unsigned int n = 0; command_at(n, c); n++) {
		if (!strcmp(name, c->name))
			return true;
	}
	return false;
}
