/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A console with one backend, as a word: none, tty, pty, file=F, unix=PATH; pty=LINK. */
#ifndef TESTS_UNIT_CONSOLE_SPEC_H
#define TESTS_UNIT_CONSOLE_SPEC_H

#include <string.h>

#include "chardev/console.h"

static inline int add_spec(struct console *con, const char *spec, struct error *e)
{
	static const struct {
		const char *word;
		enum console_kind kind;
	} kinds[] = {
		{"tty", CONSOLE_TTY},
		{"pty", CONSOLE_PTY},
		{"file", CONSOLE_FILE},
		{"unix", CONSOLE_SOCKET},
	};
	size_t len = strcspn(spec, "=");
	struct console_where where = {.path = spec[len] ? spec + len + 1 : NULL};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(spec, kinds[i].word, len) == 0) {
			where.kind = kinds[i].kind;
			return console_add(con, &where, e);
		}
	}
	return 0;
}

static inline struct console *open_console(const char *spec, struct loop *loop, struct error *e)
{
	struct console *con = console_open(loop, e);

	if (con && add_spec(con, spec, e)) {
		console_close(con);
		return NULL;
	}
	return con;
}

#endif
