// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory: machine.c builds the map, loaders, devices and the emulator look addresses up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/uapi/hv.h"
#include "platform/layout.h"
#include "platform/mem.h"

#define PAGE	   MiB(2) /* of the second-stage tables, where host and guest allow it */
#define SMALL_PAGE KiB(4)

#define WORD_PAGES 64

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

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

/* Who has it can map it, but not take away what others have mapped. */
static int create_file(void)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("guest-memory", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("guest-memory", flags);
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/*
 * In the place of address space that is reserved, the next len bytes of the file. Large pages of the host need
 * that place in the file and address are congruent, too; so they are, as regions end and begin now.
 */
static int map_file(const struct mem *m, struct mem_region *r)
{
	bool first = !m->nr_regions;

	r->fd = first ? create_file() : m->region[0].fd;
	if (r->fd < 0)
		return -1;
	for (unsigned int i = 0; i < m->nr_regions; i++)
		r->offset += m->region[i].len;
	if (!ftruncate(r->fd, (off_t)(r->offset + r->len)) &&
	    mmap(r->hva, r->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
		 (off_t)r->offset) != MAP_FAILED)
		return 0;
	if (first) {
		int err = errno;

		close(r->fd);
		errno = err;
	}
	return -1;
}

static int map_region(const struct mem *m, struct mem_region *r)
{
	r->hva = map_congruent(r->gpa, r->len);
	if (r->hva == MAP_FAILED)
		return -1;
	if (m->backend == MEM_MEMFD && map_file(m, r)) {
		int err = errno;

		munmap(r->hva, r->len);
		errno = err;
		return -1;
	}
	/* Advice only: a kernel without it runs the guest on small pages. */
	if (r->len >= PAGE)
		madvise(r->hva, r->len, MADV_HUGEPAGE);
	madvise(r->hva, r->len, MADV_DONTDUMP);
	return 0;
}

int mem_add_ram(struct mem *m, uint64_t gpa, uint64_t len, struct error *e)
{
	struct mem_region new = {.gpa = gpa, .len = len, .fd = -1, .slot = m->nr_regions};
	unsigned int at = m->nr_regions;

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

	if (map_region(m, &new)) {
		int err = errno;

		return error_set_at(
			e, err, "memory",
			"cannot map %llu MiB of guest memory: %s; give the guest less, or look "
			"at 'ulimit -v' and vm.overcommit_memory",
			(unsigned long long)(len >> 20), strerror(err));
	}
	memmove(&m->region[at + 1], &m->region[at], (m->nr_regions - at) * sizeof(m->region[0]));
	m->region[at] = new;
	m->nr_regions++;
	return 0;
}

/* Of a file's pages others may have mapped some: they go from the file, too. Locked memory stays, and is written. */
static void clear_region(const struct mem_region *r)
{
	if (madvise(r->hva, r->len, r->fd < 0 ? MADV_DONTNEED : MADV_REMOVE))
		memset(r->hva, 0, r->len);
}

void mem_clear(const struct mem *m)
{
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		clear_region(&m->region[i]);
		mem_mark(m, m->region[i].hva, m->region[i].len);
	}
}

void mem_destroy(struct mem *m)
{
	mem_log_stop(m);
	if (m->nr_regions && m->region[0].fd >= 0)
		close(m->region[0].fd);
	for (unsigned int i = 0; i < m->nr_regions; i++)
		munmap(m->region[i].hva, m->region[i].len);
	m->nr_regions = 0;
}

/* ------------------------------------------------------------------------- */
/* Look-ups                                                                   */

static const struct mem_region *find(const struct mem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];

		if (gpa >= r->gpa && gpa - r->gpa <= r->len && len <= r->len - (gpa - r->gpa))
			return r;
	}
	return NULL;
}

const void *mem_read(const struct mem *m, uint64_t gpa, uint64_t len)
{
	const struct mem_region *r = find(m, gpa, len);

	return r ? r->hva + (gpa - r->gpa) : NULL;
}

void *mem_write(const struct mem *m, uint64_t gpa, uint64_t len)
{
	const struct mem_region *r = find(m, gpa, len);
	uint8_t *p;

	if (!r || r->flags & HV_SLOT_READONLY)
		return NULL;
	p = r->hva + (gpa - r->gpa);
	mem_mark(m, p, len);
	return p;
}

/* ------------------------------------------------------------------------- */
/* The log                                                                    */

size_t mem_log_words(const struct mem_region *r)
{
	return (r->len / MEM_PAGE + WORD_PAGES - 1) / WORD_PAGES;
}

int mem_log_start(struct mem *m, struct error *e)
{
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		struct mem_region *r = &m->region[i];

		r->dirty = calloc(mem_log_words(r), sizeof(*r->dirty));
		if (!r->dirty) {
			mem_log_stop(m);
			return error_set(e, ENOMEM, "out of memory for a log of written pages");
		}
	}
	m->logging = true;
	return 0;
}

void mem_log_stop(struct mem *m)
{
	m->logging = false;
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		free(m->region[i].dirty);
		m->region[i].dirty = NULL;
	}
}

void mem_log_fetch(const struct mem *m, unsigned int i, uint64_t *words)
{
	const struct mem_region *r = &m->region[i];

	for (size_t w = 0; w < mem_log_words(r); w++)
		words[w] = __atomic_exchange_n(&r->dirty[w], 0, __ATOMIC_ACQ_REL);
}

/* Pages from first on, up to last, of which there is at least one. */
static void mark_pages(uint64_t *dirty, uint64_t first, uint64_t last)
{
	while (first <= last) {
		uint64_t in_word = WORD_PAGES - first % WORD_PAGES;
		uint64_t n = last - first + 1 < in_word ? last - first + 1 : in_word;
		uint64_t bits = ~0ULL >> (WORD_PAGES - n) << first % WORD_PAGES;

		__atomic_fetch_or(&dirty[first / WORD_PAGES], bits, __ATOMIC_RELEASE);
		first += n;
	}
}

void mem_log_mark(const struct mem *m, const void *p, size_t len)
{
	if (!len)
		return;
	for (unsigned int i = 0; i < m->nr_regions; i++) {
		const struct mem_region *r = &m->region[i];
		uint64_t at = (uintptr_t)p - (uintptr_t)r->hva;

		if (at < r->len)
			mark_pages(r->dirty, at / MEM_PAGE, (at + len - 1) / MEM_PAGE);
	}
}
