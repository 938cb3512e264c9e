// SPDX-License-Identifier: GPL-2.0-or-later
/* Control characters: of ASCII, and U+0080 to U+009F, which terminals obey as well. Called wherever text is printed. */
#include <string.h>

#include "plain.h"

size_t plain_control(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		return 2;
	return c[0] && (c[0] < 0x20 || c[0] == 0x7f);
}

void plain_make(char *text)
{
	size_t n;

	for (; *text; text += n ? n : 1) {
		n = plain_control(text);
		memset(text, '?', n);
	}
}
