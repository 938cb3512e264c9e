/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the monitor writes to guest memory is in its log: between written_begin() and written_end(), which are put
 * around the code under test, no page may change that was not marked. Nobody else may write meanwhile.
 */
#ifndef TESTS_UNIT_WRITTEN_H
#define TESTS_UNIT_WRITTEN_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/layout.h"
#include "platform/mem.h"

/* Of a large region, what lies at its beginning and at its end. */
#define WRITTEN_HEAD MiB(4)
#define WRITTEN_TAIL MiB(1)

static uint8_t *written_before[MEM_MAX_REGIONS];
static bool written_off; /* for a while: others write, too, or it would take too long */

static inline bool written_looks_at(const struct mem_region *r, uint64_t at)
{
	return at < WRITTEN_HEAD || at + WRITTEN_TAIL >= r->len;
}

static inline size_t written_size(const struct mem_region *r)
{
	return r->len < WRITTEN_HEAD + WRITTEN_TAIL ? r->len : WRITTEN_HEAD + WRITTEN_TAIL;
}

/* For each page that is looked at; "copy" is where it is in the copy. */
#define WRITTEN_EACH(r, at, copy)                                      \
	for (uint64_t at = 0, copy = 0; at < (r)->len; at += MEM_PAGE) \
		if (!written_looks_at(r, at))                          \
			at = (r)->len - WRITTEN_TAIL - MEM_PAGE;       \
		else if (copy += MEM_PAGE, 1)

static inline void written_begin(struct mem *m)
{
	struct error e;

	if (written_off)
		return;
	ck_assert_int_eq(mem_log_start(m, &e), 0);
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];

		written_before[i] = malloc(written_size(r));
		WRITTEN_EACH(r, at, copy)
		memcpy(written_before[i] + copy - MEM_PAGE, r->hva + at, MEM_PAGE);
	}
}

static inline void written_end(struct mem *m)
{
	if (written_off)
		return;
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];
		uint64_t *log = malloc(mem_log_words(r) * sizeof(*log));

		mem_log_fetch(m, i, log);
		WRITTEN_EACH(r, at, copy)
		{
			uint64_t page = at / MEM_PAGE;

			if (!memcmp(written_before[i] + copy - MEM_PAGE, r->hva + at, MEM_PAGE))
				continue;
			ck_assert_msg(log[page / 64] & 1ULL << page % 64,
				      "page %#llx was written and is not in the log",
				      (unsigned long long)(r->gpa + at));
		}
		free(log);
		free(written_before[i]);
	}
	mem_log_stop(m);
}

#endif
