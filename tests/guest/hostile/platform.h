/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of platform.c only main.c and start.S call. */
#ifndef HOSTILE_PLATFORM_H
#define HOSTILE_PLATFORM_H

#include <stdint.h>

/* Called first, with what the loader left; returns the command line. */
const char *platform_init(uint32_t info_addr);

/* By start.S. */
void main(uint32_t info_addr);
_Noreturn void unexpected_exception(uint64_t vector, uint64_t error, uint64_t rip);

#endif
