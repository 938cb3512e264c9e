// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm logs": what a detached machine said, also one that ended badly. Called by main.c. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "control/runtime.h"
#include "log.h"
#include "plain.h"

/* A longer sequence of control characters is none that is shown. */
#define MOST_AT_ONCE 32

static void print_help(void)
{
	fputs("vmm logs - what a machine that was started with --detach said\n"
	      "\n"
	      "Usage: vmm logs [--messages] NAME\n"
	      "\n"
	      "Prints the newest part of its console's output. What a machine left that ended with\n"
	      "another status than 0 stays until one of its name is started. On a terminal a '?' is\n"
	      "in the place of control characters that are not for lines or colours.\n"
	      "\n"
	      "  --messages    those of vmm instead: errors, how it ended\n"
	      "  --help        this text\n"
	      "\n"
	      "Exit status: 0 printed, 1 error, 2 wrong usage, 4 there is none of such a machine.\n",
	      stdout);
}

/* How long the colour is that text begins with, as in "\033[1;32m"; 0: it is none. */
static size_t colour(const char *text)
{
	size_t len;

	if (text[0] != '\033' || text[1] != '[')
		return 0;
	len = 2 + strspn(text + 2, "0123456789;");
	return len < MOST_AT_ONCE && text[len] == 'm' ? len + 1 : 0;
}

/* A character that is to be as it is, or a colour; 0: not this one. */
static size_t shown(const char *text)
{
	if (*text && strchr("\b\t\n\r", *text))
		return 1;
	return plain_control(text) || !*text ? colour(text) : 1;
}

/*
 * A terminal obeys what it is sent, and some answer as if somebody had typed. So it gets of a guest's words no control
 * characters but for lines and colours. Returns how much is done; the rest may be the beginning of something.
 */
static size_t print_plain(const char *text, size_t len, bool all)
{
	size_t at = 0, n;

	while (at < len && (all || len - at > MOST_AT_ONCE)) {
		n = shown(text + at);
		if (n)
			fwrite(text + at, 1, n, stdout);
		else
			putchar('?');
		at += n ? n : plain_control(text + at) + !text[at];
	}
	return at;
}

/* What is wrong with standard output, main() says. */
static ssize_t copy(int fd, bool terminal)
{
	char buf[16384 + 1];
	size_t len = 0, done;
	ssize_t n;

	do {
		n = read(fd, buf + len, sizeof(buf) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		buf[len] = '\0';
		done = terminal ? print_plain(buf, len, n <= 0) : fwrite(buf, 1, len, stdout);
		len -= done;
		memmove(buf, buf + done, len);
	} while (n > 0 && !ferror(stdout));
	if (terminal)
		fputs("\033[m", stdout);
	return n;
}

static int print(int fd, const char *name, struct error *e)
{
	if (copy(fd, isatty(STDOUT_FILENO)) < 0)
		return error_set(e, errno, "cannot read what '%s' said: %s", name, strerror(errno));
	return 0;
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
	ret = fd < 0 ? fd : print(fd, a.names[0], &e);
	if (fd >= 0)
		close(fd);
	if (ret)
		log_error("%s", e.text);
	return !ret ? STATUS_OK : ret == -ENOENT ? VERB_NO_MACHINE : VERB_FAILED;
}
