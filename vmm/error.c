// SPDX-License-Identifier: GPL-2.0-or-later
/* Stores the sentence of a failure; called wherever set-up work can fail. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/* What mends it wherever it happens. */
static const char *remedy(int errnum)
{
	switch (errnum) {
	case EMFILE:
		return "; raise the limit with 'ulimit -n'";
	case ENFILE:
		return "; raise the limit with 'sysctl fs.file-max'";
	default:
		return "";
	}
}

int error_set(struct error *e, int errnum, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	len = strlen(e->text);
	snprintf(e->text + len, sizeof(e->text) - len, "%s", remedy(errnum));
	return -errnum;
}
