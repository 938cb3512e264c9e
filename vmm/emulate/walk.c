// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's page tables: 32-bit, PAE, 4-level and 5-level paging (Intel SDM
 * Vol. 3, ch. "Paging"; AMD APM Vol. 2, ch. 5). Called by emulate*.c and task.c on vCPU
 * threads, while other vCPUs change the tables: each entry is read once, and
 * its flags are set with compare-and-swap.
 */
#include <stddef.h>

#include "emulate/walk.h"
#include "x86.h"

/* Page-table entries */
#define PTE_P	 (1ULL << 0)
#define PTE_W	 (1ULL << 1)
#define PTE_U	 (1ULL << 2)
#define PTE_A	 (1ULL << 5)
#define PTE_D	 (1ULL << 6)
#define PTE_PS	 (1ULL << 7)
#define PTE_NX	 (1ULL << 63)
#define PTE_ADDR 0x000ffffffffff000ULL

/* Bits of a PAE page-directory-pointer entry that must be zero */
#define PDPTE_RESERVED 0x7ff00000000001e6ULL

#define PAGE_SIZE      4096
#define MAX_LEVELS     5
/* Other vCPUs can make us start over only by changing an entry each time. */
#define MAX_TRIES 16

struct level {
	uint64_t gpa;
	unsigned int size;
	uint64_t value; /* as it was read, or all ones outside of RAM */
};

struct walker {
	const struct mem *mem;
	const struct hv_sregs *sregs;
	uint64_t la;
	unsigned int access;
	struct level level[MAX_LEVELS];
	unsigned int nr_levels; /* read so far */
	uint64_t gpa;
	uint32_t error;
};

static bool is_pae(const struct walker *w)
{
	return w->sregs->cr4 & CR4_PAE;
}

static bool is_long(const struct walker *w)
{
	return w->sregs->efer & EFER_LMA;
}

static enum walk_result fault(struct walker *w, uint32_t error)
{
	bool fetch_known = (w->sregs->cr4 & CR4_SMEP) || (is_pae(w) && (w->sregs->efer & EFER_NXE));

	if (w->access & WALK_WRITE)
		error |= WALK_PF_WRITE;
	if (w->access & WALK_USER)
		error |= WALK_PF_USER;
	if ((w->access & WALK_FETCH) && fetch_known)
		error |= WALK_PF_FETCH;
	w->error = error;
	return WALK_FAULT;
}

static uint64_t read_entry64(struct walker *w, uint64_t gpa)
{
	struct level *l = &w->level[w->nr_levels++];
	const uint64_t *entry = mem_read(w->mem, gpa, sizeof(*entry));

	l->gpa = gpa;
	l->size = sizeof(*entry);
	l->value = entry ? __atomic_load_n(entry, __ATOMIC_RELAXED) : ~0ULL;
	return l->value;
}

static uint64_t read_entry32(struct walker *w, uint64_t gpa)
{
	struct level *l = &w->level[w->nr_levels++];
	const uint32_t *entry = mem_read(w->mem, gpa, sizeof(*entry));

	l->gpa = gpa;
	l->size = sizeof(*entry);
	l->value = entry ? __atomic_load_n(entry, __ATOMIC_RELAXED) : ~0U;
	return l->value;
}

static bool set_flags(const struct walker *w, const struct level *l, uint64_t flags)
{
	uint64_t old64 = l->value;
	uint32_t old32 = (uint32_t)l->value;
	void *entry;

	if ((l->value & flags) == flags)
		return true;
	entry = mem_write(w->mem, l->gpa, l->size);
	if (!entry)
		return true;
	if (l->size == sizeof(old64))
		return __atomic_compare_exchange_n((uint64_t *)entry, &old64, old64 | flags, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint32_t *)entry, &old32, old32 | (uint32_t)flags,
					   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/*
 * The rights of the whole path are known: check them and set the flags, from the
 * top down. rights: PTE_W, PTE_U where all levels grant it, PTE_NX where any
 * level forbids fetching.
 */
static enum walk_result finish(struct walker *w, uint64_t rights)
{
	bool user = w->access & WALK_USER;
	bool user_page = rights & PTE_U;
	bool ac = (w->access & WALK_AC) && !(w->access & WALK_IMPLICIT);
	bool wp = w->sregs->cr0 & CR0_WP;
	bool allowed = true;
	unsigned int i = 0;

	if (user && !user_page)
		allowed = false;
	if ((w->access & WALK_WRITE) && !(rights & PTE_W) && (user || wp))
		allowed = false;
	if (w->access & WALK_FETCH) {
		if ((rights & PTE_NX) && (w->sregs->efer & EFER_NXE))
			allowed = false;
		if (!user && user_page && (w->sregs->cr4 & CR4_SMEP))
			allowed = false;
	} else if (!user && user_page && (w->sregs->cr4 & CR4_SMAP) && !ac) {
		allowed = false;
	}
	if (!allowed)
		return fault(w, WALK_PF_PRESENT);

	/* PAE's top entries have no accessed flag. */
	if (is_pae(w) && !is_long(w))
		i = 1;
	for (; i < w->nr_levels; i++) {
		bool leaf = i == w->nr_levels - 1;
		uint64_t flags = PTE_A | (leaf && (w->access & WALK_WRITE) ? PTE_D : 0);

		if (!set_flags(w, &w->level[i], flags))
			return WALK_RETRY;
	}
	return WALK_OK;
}

static enum walk_result walk_32bit(struct walker *w)
{
	uint64_t table = w->sregs->cr3 & 0xfffff000;
	uint64_t entry, rights;

	entry = read_entry32(w, table + (w->la >> 22) * 4);
	if (!(entry & PTE_P))
		return fault(w, 0);
	rights = entry & (PTE_W | PTE_U);

	if ((entry & PTE_PS) && (w->sregs->cr4 & CR4_PSE)) {
		/* PSE-36: bits 13..20 are address bits 32..39, bit 21 must be zero. */
		if (entry & 1U << 21)
			return fault(w, WALK_PF_PRESENT | WALK_PF_RESERVED);
		w->gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (w->la & 0x3fffff);
		return finish(w, rights);
	}

	entry = read_entry32(w, (entry & 0xfffff000) + (w->la >> 12 & 0x3ff) * 4);
	if (!(entry & PTE_P))
		return fault(w, 0);
	w->gpa = (entry & 0xfffff000) | (w->la & 0xfff);
	return finish(w, rights & entry);
}

/* Bits that must be zero in an entry at "shift" that is used as a leaf or a table. */
static uint64_t reserved_bits(const struct walker *w, unsigned int shift, bool leaf)
{
	uint64_t reserved = 0;

	if (!(w->sregs->efer & EFER_NXE))
		reserved |= PTE_NX;
	/* Outside long mode bits 52..62 are not for software. */
	if (!is_long(w))
		reserved |= 0x7ff0000000000000ULL;
	/* A large page is aligned; bit 12 is its PAT flag. */
	if (leaf && shift > 12)
		reserved |= ((1ULL << shift) - 1) & ~0x1fffULL;
	/* No pages above 1 GiB. */
	if (shift > 30)
		reserved |= PTE_PS;
	return reserved;
}

static enum walk_result walk_64bit(struct walker *w, uint64_t table, unsigned int shift)
{
	uint64_t rights = PTE_W | PTE_U;

	for (;; shift -= 9) {
		uint64_t entry = read_entry64(w, table + (w->la >> shift & 0x1ff) * 8);
		bool leaf = shift == 12 || ((entry & PTE_PS) && shift <= 30);

		if (!(entry & PTE_P))
			return fault(w, 0);
		if (entry & reserved_bits(w, shift, leaf))
			return fault(w, WALK_PF_PRESENT | WALK_PF_RESERVED);
		rights = (rights & (entry | PTE_NX)) | (entry & PTE_NX);
		if (leaf) {
			uint64_t offset = (1ULL << shift) - 1;

			w->gpa = (entry & PTE_ADDR & ~offset) | (w->la & offset);
			return finish(w, rights);
		}
		table = entry & PTE_ADDR;
	}
}

static enum walk_result walk_pae(struct walker *w)
{
	uint64_t entry = read_entry64(w, (w->sregs->cr3 & 0xffffffe0) + (w->la >> 30) * 8);

	if (!(entry & PTE_P))
		return fault(w, 0);
	if (entry & (PDPTE_RESERVED | PTE_NX))
		return fault(w, WALK_PF_PRESENT | WALK_PF_RESERVED);
	return walk_64bit(w, entry & PTE_ADDR, 21);
}

static enum walk_result walk_once(struct walker *w)
{
	uint64_t cr3 = w->sregs->cr3;

	w->nr_levels = 0;
	if (is_long(w))
		return walk_64bit(w, cr3 & PTE_ADDR, w->sregs->cr4 & CR4_LA57 ? 48 : 39);
	if (is_pae(w))
		return walk_pae(w);
	return walk_32bit(w);
}

enum walk_result walk(const struct mem *mem, const struct hv_sregs *sregs, uint64_t la,
		      unsigned int access, uint64_t *gpa, uint32_t *error)
{
	struct walker w = {.mem = mem, .sregs = sregs, .la = la, .access = access};
	enum walk_result ret = WALK_RETRY;
	unsigned int tries;

	if (!(sregs->cr0 & CR0_PG)) {
		*gpa = la;
		return WALK_OK;
	}
	for (tries = 0; tries < MAX_TRIES && ret == WALK_RETRY; tries++)
		ret = walk_once(&w);
	*gpa = w.gpa;
	*error = w.error;
	return ret;
}

static enum walk_result add_part(const struct mem *mem, const struct hv_sregs *sregs, uint64_t la,
				 unsigned int len, unsigned int access, struct walk_range *range,
				 struct walk_fault *fault)
{
	unsigned int i = range->nr_parts;
	enum walk_result ret;
	uint8_t *to;

	fault->la = la;
	fault->error = 0;
	ret = walk(mem, sregs, la, access, &range->part[i].gpa, &fault->error);
	if (ret != WALK_OK)
		return ret;
	range->part[i].len = len;
	to = access & WALK_WRITE ? mem_write(mem, range->part[i].gpa, len) : NULL;
	range->part[i].to = to;
	range->part[i].ram = to ? to : mem_read(mem, range->part[i].gpa, len);
	range->nr_parts++;
	return WALK_OK;
}

enum walk_result walk_range(const struct mem *mem, const struct hv_sregs *sregs, uint64_t la,
			    unsigned int size, unsigned int access, struct walk_range *range,
			    struct walk_fault *fault)
{
	unsigned int first = PAGE_SIZE - (la & (PAGE_SIZE - 1));
	bool mode64 = (sregs->efer & EFER_LMA) && (sregs->cs.ar & HV_AR_L);
	uint64_t next_page = la + first;
	enum walk_result ret;

	range->nr_parts = 0;
	if (size <= first)
		return add_part(mem, sregs, la, size, access, range, fault);

	if (!mode64 && la <= 0xffffffff)
		next_page &= 0xffffffff;
	ret = add_part(mem, sregs, la, first, access, range, fault);
	if (ret == WALK_OK)
		ret = add_part(mem, sregs, next_page, size - first, access, range, fault);
	return ret;
}
