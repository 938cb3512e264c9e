// SPDX-License-Identifier: GPL-2.0-or-later
/* Stores the sentence of a failure; called wherever set-up work can fail. */
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

int error_set(struct error *e, int errnum, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return -errnum;
}
