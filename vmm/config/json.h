/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration as a file in JSON, read by the table of options. */
#ifndef VMM_CONFIG_JSON_H
#define VMM_CONFIG_JSON_H

#include "config/config.h"
#include "error.h"

/*
 * Apply a file to a configuration that has its initial values. 0, or a negative errno with a sentence that
 * names file, line and option.
 */
int json_read_file(const char *name, struct config *c, struct error *e);

#endif
