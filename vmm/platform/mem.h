/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: RAM below and above the 32-bit hole, mapped in the monitor.
 * The map is fixed once the machine runs, so look-ups take no lock. Every
 * access by a device goes through mem_read() or mem_write(), which bound it and say in which direction it is.
 */
#ifndef VMM_PLATFORM_MEM_H
#define VMM_PLATFORM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define MEM_MAX_REGIONS 8
#define MEM_PAGE	4096u /* what a bit of the log stands for */

enum mem_backend {
	MEM_ANON,  /* the monitor's own */
	MEM_MEMFD, /* a file without a name, which another process can map */
};

struct mem_region {
	uint64_t gpa;
	uint64_t len;
	uint8_t *hva;
	int fd;		   /* the file that it is mapped from, all regions' the same; -1: none */
	uint64_t offset;   /* where in the file */
	unsigned int slot; /* what the module knows it by */
	uint64_t flags;	   /* HV_SLOT_* */
	uint64_t *dirty;   /* the log: a bit for each page; NULL: there is none */
};

struct mem {
	struct mem_region region[MEM_MAX_REGIONS]; /* ascending gpa, no overlaps */
	unsigned int nr_regions;
	enum mem_backend backend; /* of regions to be added */
	bool logging;
};

/* Map memory for [gpa, gpa + len) and add it. */
int mem_add_ram(struct mem *m, uint64_t gpa, uint64_t len, struct error *e);
/* All of it is zero again, and costs the host nothing until it is touched. */
void mem_clear(const struct mem *m);
void mem_destroy(struct mem *m);

/* [gpa, gpa + len) to read from, or NULL unless wholly inside one region. */
const void *mem_read(const struct mem *m, uint64_t gpa, uint64_t len);
/*
 * The same to write to. It counts as written from now on: what is written later than the machine's next
 * turn (a buffer that the host fills, a ring) is marked by mem_mark() then. NULL, too, where writes are not allowed.
 */
void *mem_write(const struct mem *m, uint64_t gpa, uint64_t len);

/*
 * The log: which pages the monitor wrote to. What the guest itself writes is not in it.
 *
 * It is switched on, fetched and switched off on the event loop's thread while the vCPUs are parked. So nobody is
 * between mem_write() and what it was for, but for the host, which may fill buffers at any time: those are marked
 * when they are given back to the guest. Marking is atomic: vCPUs and loop mark at once.
 */
int mem_log_start(struct mem *m, struct error *e);
void mem_log_stop(struct mem *m);
/* How many words of 64 pages the log of a region has. */
size_t mem_log_words(const struct mem_region *r);
/* The log of region i since it was fetched last, which begins anew. */
void mem_log_fetch(const struct mem *m, unsigned int i, uint64_t *words);

void mem_log_mark(const struct mem *m, const void *p, size_t len);

/* [p, p + len), of what mem_write() gave, was written. */
static inline void mem_mark(const struct mem *m, const void *p, size_t len)
{
	if (__builtin_expect(m->logging, 0))
		mem_log_mark(m, p, len);
}

#endif
