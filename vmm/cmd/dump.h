/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine as a device tree, in a file. run.c calls it. */
#ifndef VMM_CMD_DUMP_H
#define VMM_CMD_DUMP_H

#include "config/config.h"
#include "error.h"

/* To config->dump_dtb. 0, or a negative errno with a sentence. */
int dump_dtb(const struct config *config, struct error *e);

#endif
