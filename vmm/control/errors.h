/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors as JSON says them: in answers of the control socket, in results, and by the verbs of cmd/. */
#ifndef VMM_CONTROL_ERRORS_H
#define VMM_CONTROL_ERRORS_H

#include <jansson.h>

/*
 * A string of a text that need not be UTF-8, as it names a file, or was cut at its greatest length: what is lost then is
 * what is not ASCII. NULL without memory.
 */
json_t *errors_text(const char *text);

/* {"code": ..., "path": ..., "message": ...}, without an empty path; NULL without memory. */
json_t *errors_object(const char *code, const char *path, const char *text);

#endif
