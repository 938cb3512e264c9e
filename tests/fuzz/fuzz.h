/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzzers of pure code share: the input taken apart, and the verdict. libFuzzer calls
 * LLVMFuzzerTestOneInput() with inputs that it makes; an abort is what it looks for.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define must(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next bytes as a number; zeroes behind the end. */
static inline uint64_t take(struct input *in, size_t size)
{
	size_t n = size < in->left ? size : in->left;
	uint64_t value = 0;

	memcpy(&value, in->at, n);
	in->at += n;
	in->left -= n;
	return value;
}

/* As many as there are go to buf, zeroes behind them. */
static inline void take_bytes(struct input *in, void *buf, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(buf, 0, size);
	memcpy(buf, in->at, n);
	in->at += n;
	in->left -= n;
}

#endif
