// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the compiler takes for granted even without a C library. Part of each of the
 * guests that are kernels of their own.
 */
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int c, size_t len);
void *memcpy(void *to, const void *from, size_t len);

void *memset(void *to, int c, size_t len)
{
	uint8_t *p = to;

	while (len--)
		*p++ = (uint8_t)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
	const uint8_t *q = from;
	uint8_t *p = to;

	while (len--)
		*p++ = *q++;
	return to;
}
