// SPDX-License-Identifier: GPL-2.0-or-later
/* Stores the sentence of a failure; called wherever set-up work can fail. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "plain.h"

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

/* Part of the interface, see vmm(1). */
static const char *code(int errnum)
{
	switch (errnum) {
	case EINVAL:
	case EISDIR:
	case ENOEXEC:
		return "bad-value";
	case ERANGE:
		return "out-of-range";
	case E2BIG:
		return "too-many";
	case EEXIST:
		return "not-unique";
	case ENOENT:
		return "not-found";
	case EACCES:
	case EPERM:
	case EROFS:
		return "not-permitted";
	case EBUSY:
	case EADDRINUSE:
		return "busy";
	case EOPNOTSUPP:
		return "not-supported";
	case ENOMEM:
		return "no-memory";
	case ENOSPC:
		return "no-space";
	case EMFILE:
	case ENFILE:
		return "too-many-files";
	default:
		return "failed";
	}
}

int error_set(struct error *e, int errnum, const char *fmt, ...)
{
	va_list args;
	size_t len;

	e->code = code(errnum);
	e->path[0] = '\0';
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	/* A sentence is one line, whatever the names in it are. */
	plain_make(e->text);
	len = strlen(e->text);
	snprintf(e->text + len, sizeof(e->text) - len, "%s", remedy(errnum));
	return -errnum;
}

int error_set_at(struct error *e, int errnum, const char *path, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	/* A sentence is one line, whatever the names in it are. */
	plain_make(e->text);
	e->code = code(errnum);
	snprintf(e->path, sizeof(e->path), "%s", path);
	return -errnum;
}

int error_about(struct error *e, int ret, const char *fmt, ...)
{
	va_list args;

	if (!ret || e->path[0])
		return ret;
	va_start(args, fmt);
	vsnprintf(e->path, sizeof(e->path), fmt, args);
	va_end(args);
	return ret;
}
