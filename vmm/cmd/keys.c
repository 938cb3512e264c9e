// SPDX-License-Identifier: GPL-2.0-or-later
/* The keys of "vmm console". Called by cmd/console.c. */
#include "cmd/keys.h"

#define ESCAPE 0x01 /* Ctrl-A */

enum keys_do keys_filter(struct keys *k, uint8_t *buf, size_t *len)
{
	enum keys_do what = KEYS_SEND;
	size_t left = 0;

	for (size_t i = 0; i < *len && what != KEYS_DETACH; i++) {
		bool escaped = k->escaped;

		k->escaped = !escaped && buf[i] == ESCAPE;
		if (escaped && (buf[i] == 'd' || buf[i] == 'D'))
			what = KEYS_DETACH;
		else if (escaped && (buf[i] == 'h' || buf[i] == 'H' || buf[i] == '?'))
			what = KEYS_HELP;
		else if (escaped ? buf[i] == ESCAPE : buf[i] != ESCAPE)
			buf[left++] = buf[i];
	}
	*len = left;
	return what;
}
