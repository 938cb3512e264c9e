// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: any words. Refused with one line, or a configuration within all of its limits.
 */
#include "config/config.h"
#include "tests/fuzz/fuzz.h"

#define MAX_WORDS 128

static void check_config(const struct config *c)
{
	must(c->kernel && c->name && c->cmdline && c->console);
	must(*c->name && strlen(c->name) <= CONFIG_NAME_MAX);
	must(c->cpus >= 1 && c->cpus <= 64);
	must(c->memory >= CONFIG_MIN_MEMORY && c->memory <= CONFIG_MAX_MEMORY);
	must(!(c->memory & 0xfff));
	must(c->nr_modules <= CONFIG_MAX_MODULES && c->nr_disks <= CONFIG_MAX_DISKS);
	must(c->nr_fw_cfg <= CONFIG_MAX_FW_CFG);
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		must(c->disk[i].path && *c->disk[i].path);
		must(!c->disk[i].serial || strlen(c->disk[i].serial) <= CONFIG_SERIAL_MAX);
	}
	for (unsigned int i = 0; i < c->nr_fw_cfg; i++)
		must(c->fw_cfg[i].name && c->fw_cfg[i].path);
	for (unsigned int i = 0; i < c->nr_modules; i++)
		must(c->module[i].path && c->module[i].string);
}

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
