/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors of set-up work, with the sentence the user will read: what happened
 * and what to do. Made where the user's own words (file names, flags) are known.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

struct error {
	char text[512];
};

/* Store a message; returns -errnum, so that "return error_set(...)" reads well. */
int error_set(struct error *e, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
