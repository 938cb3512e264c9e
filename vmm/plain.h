/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What others say, for a terminal: it obeys control characters, and those are not for strangers to send. */
#ifndef VMM_PLAIN_H
#define VMM_PLAIN_H

#include <stddef.h>

/* How many bytes the control character has that text, which ends with a '\0', begins with; 0: it is none. */
size_t plain_control(const char *text);
/* Each of them becomes question marks. */
void plain_make(char *text);

#endif
