// SPDX-License-Identifier: GPL-2.0-or-later
/* A count that begins anew when its time is over: a guest that goes on so is found in one of them. */
#include "cmd/resets.h"

#define NSEC 1000000000ULL

bool resets_add(struct resets *r, const struct config_reboot_limit *limit, uint64_t now)
{
	if (!r->count || now - r->since >= limit->seconds * NSEC)
		*r = (struct resets){.since = now};
	r->count++;
	return limit->count && r->count >= limit->count;
}
