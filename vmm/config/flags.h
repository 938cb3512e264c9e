/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of "vmm run", read by the table of options. */
#ifndef VMM_CONFIG_FLAGS_H
#define VMM_CONFIG_FLAGS_H

#include "config/config.h"
#include "error.h"

/*
 * Apply those of the words, up to a NULL, to the configuration that are of this kind: OPT_ONLY_FLAG, or 0
 * for the others. Stops at --help. 0, or a negative errno with a sentence that names the flag.
 */
int flags_parse(char **words, unsigned int kind, struct config *c, struct error *e);

#endif
