/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of set-up work: for the user a sentence, what happened and what to do; for
 * programs a word, and which option it is about. Whoever fails does not know how the
 * user said it, in a flag or in a file: that is added where it is printed.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

struct error {
	const char *
		code; /* "not-found", "out-of-range"...: that of the errno, unless the caller knows better */
	char path[64]; /* the option, as a configuration file has it: disks[1].path; or empty */
	char text[512];
};

/* Store a message; returns -errnum, so that "return error_set(...)" reads well. */
int error_set(struct error *e, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, with the option at fault. */
int error_set_at(struct error *e, int errnum, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * Which option an error is about, unless somebody deeper said so; nothing if ret
 * is 0. Returns ret.
 */
int error_about(struct error *e, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
