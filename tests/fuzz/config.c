// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: any words. Refused with one line, or a configuration within all of its limits.
 */
#include "tests/fuzz/config.h"

#define MAX_WORDS 128

/* The words are the lines of the input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[MAX_WORDS + 4] = {"run"};
	struct config c = {0};
	struct error e = {0};
	int argc = 1, ret;

	memcpy(text, data, size);
	text[size] = '\0';
	for (char *word = text; word && argc < MAX_WORDS; argc++) {
		char *end = strchr(word, '\n');

		if (end)
			*end++ = '\0';
		argv[argc] = word;
		word = end;
	}
	/* Without a kernel there would be little to see. */
	argv[argc++] = "--kernel";
	argv[argc++] = "k";
	ret = config_parse(argc, argv, &c, &e);
	must(ret <= 1);
	if (ret < 0)
		must(*e.text && !strchr(e.text, '\n'));
	else if (!ret)
		check_config(&c);
	config_destroy(&c);
	free(text);
	return 0;
}
