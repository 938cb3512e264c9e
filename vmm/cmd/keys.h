/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys of "vmm console": Ctrl-A, and what follows it. */
#ifndef VMM_CMD_KEYS_H
#define VMM_CMD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys {
	bool escaped; /* the last byte was Ctrl-A */
};

enum keys_do {
	KEYS_SEND, /* what is left in the buffer */
	KEYS_HELP, /* and help is asked for */
	KEYS_DETACH,
};

/* Take our keys out of what was typed; *len is how much is left for the guest. After a detach there is nothing more. */
enum keys_do keys_filter(struct keys *k, uint8_t *buf, size_t *len);

#endif
