/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages on standard error, one line each, safe while the terminal is raw. */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdbool.h>
#include <stdint.h>

void log_set_verbose(bool verbose);
/* Whose messages they are, said in each; before there are threads. 63 bytes count. */
void log_set_name(const char *name);
/* From now on so much is written, and then one line that says that there is no more. */
void log_set_limit(uint64_t bytes);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What a guest did wrong: rate-limited, shown only with --verbose. */
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * In a handler of a signal that ends the process, wherever that has struck: the words (NULL ends them) as they are, one
 * behind the other.
 */
void log_last_words(const char *const *words);

#endif
