/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a guest resets its machine again and again. Called by cmd/session.c. */
#ifndef VMM_CMD_RESETS_H
#define VMM_CMD_RESETS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct resets {
	uint64_t since; /* the first of those that are counted */
	unsigned int count;
};

/* One more, at this time of loop_now(). Is it one too many? */
bool resets_add(struct resets *r, const struct config_reboot_limit *limit, uint64_t now);

#endif
