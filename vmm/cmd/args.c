// SPDX-License-Identifier: GPL-2.0-or-later
/* Flags and names of the subcommands that act on machines. */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
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

/* Those without a value, and where they are kept. */
static const struct {
	const char *word, *letter;
	unsigned int bit;
	size_t offset;
} flag_table[] = {
	{"--json", "", ARGS_JSON, offsetof(struct args, json)},
	{"--quiet", "-q", ARGS_QUIET, offsetof(struct args, quiet)},
	{"--read-only", "", ARGS_READ_ONLY, offsetof(struct args, read_only)},
	{"--messages", "", ARGS_MESSAGES, offsetof(struct args, messages)},
};

#define NR_FLAGS (sizeof(flag_table) / sizeof(flag_table[0]))

static bool set_flag(const char *word, unsigned int flags, struct args *a)
{
	for (size_t i = 0; i < NR_FLAGS; i++) {
		if (!(flags & flag_table[i].bit) ||
		    (strcmp(word, flag_table[i].word) && strcmp(word, flag_table[i].letter)))
			continue;
		*(bool *)((char *)a + flag_table[i].offset) = true;
		return true;
	}
	return false;
}

void args_print_flags(FILE *out, unsigned int flags)
{
	for (size_t i = 0; i < NR_FLAGS; i++) {
		if (flags & flag_table[i].bit)
			fprintf(out, "%s ", flag_table[i].word);
	}
	fprintf(out, "%s--help", flags & ARGS_TIMEOUT ? "--timeout " : "");
}

int args_parse(int argc, char **argv, unsigned int flags, int least, int most, struct args *a)
{
	bool only_names = false;
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
		} else if (!set_flag(word, flags, a)) {
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
