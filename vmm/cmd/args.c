// SPDX-License-Identifier: GPL-2.0-or-later
/* Flags and names of the subcommands that act on machines. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/args.h"
#include "control/api.h"
#include "log.h"

static int parse_timeout(const char *command, const char *text, struct args *a)
{
	char *end;
	unsigned long seconds;

	errno = 0;
	seconds = text && isdigit((unsigned char)*text) ? strtoul(text, &end, 10)
							: API_MAX_TIMEOUT + 1;
	if (errno || seconds > API_MAX_TIMEOUT || *end) {
		log_error("--timeout needs seconds, from 0 to %d: try 'vmm %s --help'",
			  API_MAX_TIMEOUT, command);
		return -EINVAL;
	}
	a->timeout = (int)seconds;
	return 0;
}

/* The bit of a flag, 0 when there is none such, and where it is kept. */
static unsigned int find_flag(const char *word, struct args *a, bool **flag)
{
	const struct {
		const char *word, *letter;
		unsigned int bit;
		bool *flag;
	} flags[] = {
		{"--json", "", ARGS_JSON, &a->json},
		{"--quiet", "-q", ARGS_QUIET, &a->quiet},
		{"--read-only", "", ARGS_READ_ONLY, &a->read_only},
		{"--messages", "", ARGS_MESSAGES, &a->messages},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		*flag = flags[i].flag;
		if (!strcmp(word, flags[i].word) || !strcmp(word, flags[i].letter))
			return flags[i].bit;
	}
	return 0;
}

int args_parse(int argc, char **argv, unsigned int flags, int least, int most, struct args *a)
{
	bool only_names = false, *flag;
	int ret;

	*a = (struct args){.timeout = -1, .names = argv + 1};
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		/* Flags may come before, between and behind names, which are gathered at the front. */
		if (only_names || word[0] != '-') {
			a->names[a->nr_names++] = argv[i];
		} else if (!strcmp(word, "--")) {
			only_names = true;
		} else if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			return 1;
		} else if ((flags & ARGS_TIMEOUT) && !strncmp(word, "--timeout=", 10)) {
			ret = parse_timeout(argv[0], word + 10, a);
			if (ret)
				return ret;
		} else if ((flags & ARGS_TIMEOUT) && !strcmp(word, "--timeout")) {
			ret = parse_timeout(argv[0], argv[++i], a);
			if (ret)
				return ret;
		} else if (flags & find_flag(word, a, &flag)) {
			*flag = true;
		} else {
			log_error("unknown flag %s: try 'vmm %s --help'", word, argv[0]);
			return -EINVAL;
		}
	}
	if (a->nr_names < least) {
		log_error("the name of a machine is missing: try 'vmm %s --help'", argv[0]);
		return -EINVAL;
	}
	if (a->nr_names > most) {
		log_error("'%s' is one name too many: try 'vmm %s --help'", a->names[most],
			  argv[0]);
		return -EINVAL;
	}
	return 0;
}
