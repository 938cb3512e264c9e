// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm logs": what a detached machine said, also one that ended badly. Called by main.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "control/runtime.h"
#include "log.h"

static void print_help(void)
{
	fputs("vmm logs - what a machine that was started with --detach said\n"
	      "\n"
	      "Usage: vmm logs [--messages] NAME\n"
	      "\n"
	      "Prints the newest part of its console's output. What a machine left that ended with\n"
	      "another status than 0 stays until one of its name is started.\n"
	      "\n"
	      "  --messages    those of vmm instead: errors, how it ended\n"
	      "  --help        this text\n"
	      "\n"
	      "Exit status: 0 printed, 1 error, 2 wrong usage, 4 there is none of such a machine.\n",
	      stdout);
}

static int copy(int fd, const char *name, struct error *e)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		/* What is wrong with standard output, main() says. */
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return 0;
	}
	return n ? error_set(e, errno, "cannot read what '%s' said: %s", name, strerror(errno)) : 0;
}

int cmd_logs(int argc, char **argv)
{
	struct error e;
	struct args a;
	int fd, ret = args_parse(argc, argv, ARGS_MESSAGES, 1, 1, &a);

	if (ret > 0)
		print_help();
	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	fd = runtime_open_file(a.names[0], a.messages ? RUNTIME_MESSAGES_LOG : RUNTIME_CONSOLE_LOG,
			       &e);
	ret = fd < 0 ? fd : copy(fd, a.names[0], &e);
	if (fd >= 0)
		close(fd);
	if (ret)
		log_error("%s", e.text);
	return !ret ? STATUS_OK : ret == -ENOENT ? VERB_NO_MACHINE : VERB_FAILED;
}
