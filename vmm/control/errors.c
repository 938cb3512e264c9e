// SPDX-License-Identifier: GPL-2.0-or-later
/* The one writer of errors. Called by control/api.c and by cmd/. */
#include <stdlib.h>
#include <string.h>

#include "control/errors.h"

json_t *errors_text(const char *text)
{
	json_t *string = json_string(text);
	char *ascii;

	if (string)
		return string;
	ascii = strdup(text);
	if (!ascii)
		return NULL;
	for (char *c = ascii; *c; c++)
		*c = (char)((unsigned char)*c < 0x80 ? *c : '?');
	string = json_string(ascii);
	free(ascii);
	return string;
}

json_t *errors_object(const char *code, const char *path, const char *text)
{
	json_t *o = json_pack("{s:s}", "code", code);
	int ret = 0;

	if (path[0])
		ret = json_object_set_new(o, "path", errors_text(path));
	if (!ret)
		ret = json_object_set_new(o, "message", errors_text(text));
	if (!ret)
		return o;
	json_decref(o);
	return NULL;
}
