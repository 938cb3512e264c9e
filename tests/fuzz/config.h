/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What holds for every configuration that is taken, whichever way it was said. */
#ifndef TESTS_FUZZ_CONFIG_H
#define TESTS_FUZZ_CONFIG_H

#include "config/config.h"
#include "tests/fuzz/fuzz.h"

static inline void check_config(const struct config *c)
{
	must(c->kernel && c->cmdline);
	must(!c->name || (*c->name && strlen(c->name) <= CONFIG_NAME_MAX));
	must(c->cpus >= 1 && c->cpus <= 64);
	must(c->memory >= CONFIG_MIN_MEMORY && c->memory <= CONFIG_MAX_MEMORY);
	must(!(c->memory & 0xfff));
	must(c->nr_modules <= CONFIG_MAX_MODULES && c->nr_disks <= CONFIG_MAX_DISKS);
	must(c->nr_fw_cfg <= CONFIG_MAX_FW_CFG);
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		must(c->disk[i].path && *c->disk[i].path);
		must(c->disk[i].item.id && *c->disk[i].item.id);
		must(c->disk[i].addr >= CONFIG_MIN_ADDR && c->disk[i].addr <= CONFIG_MAX_ADDR);
		for (unsigned int n = 0; n < i; n++)
			must(c->disk[i].addr != c->disk[n].addr &&
			     strcmp(c->disk[i].item.id, c->disk[n].item.id));
		must(!c->disk[i].serial || strlen(c->disk[i].serial) <= CONFIG_SERIAL_MAX);
	}
	for (unsigned int i = 0; i < c->nr_fw_cfg; i++)
		must(c->fw_cfg[i].name && c->fw_cfg[i].path);
	must(c->nr_consoles <= CONFIG_MAX_CONSOLES);
	for (unsigned int i = 0; i < c->nr_consoles; i++)
		must(c->console[i].kind_stated + !!c->console[i].file + !!c->console[i].socket ==
		     1);
	for (unsigned int i = 0; i < c->nr_modules; i++)
		must(c->module[i].path && c->module[i].string);
}

#endif
