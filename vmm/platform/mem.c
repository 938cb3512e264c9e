// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory: machine.c builds the map, loaders and devices look addresses up.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/layout.h"
#include "platform/mem.h"

#define PAGE	   MiB(2) /* of the second-stage tables, where host and guest allow it */
#define SMALL_PAGE KiB(4)

/*
 * Reserve address space for len bytes at an address that is congruent with gpa
 * modulo 2 MiB: only then can one large page of the host back one of the guest.
 */
static uint8_t *map_congruent(uint64_t gpa, uint64_t len)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t slack = len >= PAGE ? PAGE : 0;
	uint64_t skip;
	uint8_t *hva;

	hva = mmap(NULL, len + slack, prot, flags, -1, 0);
	if (hva == MAP_FAILED || !slack)
		return hva;

	skip = (gpa - (uintptr_t)hva) & (PAGE - 1);
	if (skip)
		munmap(hva, skip);
	if (skip < slack)
		munmap(hva + skip + len, slack - skip);
	return hva + skip;
}

int mem_add_ram(struct mem *m, uint64_t gpa, uint64_t len, struct error *e)
{
	unsigned int at = m->nr_regions;
	uint8_t *hva;

	if (m->nr_regions == MEM_MAX_REGIONS)
		return error_set(e, ENOSPC, "guest memory has more than %d regions",
				 MEM_MAX_REGIONS);
	if (!len || (gpa | len) & (SMALL_PAGE - 1) || gpa + len < gpa || len > SIZE_MAX - PAGE)
		return error_set(e, EINVAL, "guest memory of %#llx bytes at %#llx is not possible",
				 (unsigned long long)len, (unsigned long long)gpa);

	for (unsigned int i = m->nr_regions; i-- > 0;) {
		const struct mem_region *r = &m->region[i];

		if (gpa < r->gpa + r->len && r->gpa < gpa + len)
			return error_set(e, EEXIST, "guest memory at %#llx overlaps other memory",
					 (unsigned long long)gpa);
		if (gpa < r->gpa)
			at = i;
	}

	hva = map_congruent(gpa, len);
	if (hva == MAP_FAILED) {
		int err = errno;

		return error_set_at(
			e, err, "memory",
			"cannot map %llu MiB of guest memory: %s; give the guest less, or look "
			"at 'ulimit -v' and vm.overcommit_memory",
			(unsigned long long)(len >> 20), strerror(err));
	}
	/* Advice only: a kernel without it runs the guest on small pages. */
	if (len >= PAGE)
		madvise(hva, len, MADV_HUGEPAGE);
	madvise(hva, len, MADV_DONTDUMP);

	memmove(&m->region[at + 1], &m->region[at], (m->nr_regions - at) * sizeof(m->region[0]));
	m->region[at] = (struct mem_region){.gpa = gpa, .len = len, .hva = hva};
	m->nr_regions++;
	return 0;
}

/* Locked memory cannot be given back: it is written. */
void mem_clear(const struct mem *m)
{
	for (unsigned int i = 0; i < m->nr_regions; i++)
		if (madvise(m->region[i].hva, m->region[i].len, MADV_DONTNEED))
			memset(m->region[i].hva, 0, m->region[i].len);
}

void mem_destroy(struct mem *m)
{
	for (unsigned int i = 0; i < m->nr_regions; i++)
		munmap(m->region[i].hva, m->region[i].len);
	m->nr_regions = 0;
}

void *mem_span(const struct mem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];

		if (gpa >= r->gpa && gpa - r->gpa <= r->len && len <= r->len - (gpa - r->gpa))
			return r->hva + (gpa - r->gpa);
	}
	return NULL;
}
