// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segment loading for the two protocols that use ELF (System V gABI, "Program
 * Loading"): pvh.c and multiboot.c call it.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/elf.h"

#define NOTES_MAX KiB(64) /* a kernel's notes take some hundred bytes */

bool elf_probe(const struct loader *l)
{
	return !memcmp(l->head, ELFMAG, SELFMAG);
}

static int damaged(const struct loader *l, struct error *e)
{
	return loader_bad_kernel(l, e,
				 "is an ELF file with a damaged header; copy or build it again");
}

static int read_segments64(const struct loader *l, const Elf64_Ehdr *h, struct elf_image *elf,
			   struct error *e)
{
	Elf64_Phdr ph[ELF_MAX_SEGMENTS];
	int ret = host_file_read(&l->kernel, h->e_phoff, ph, h->e_phnum * sizeof(ph[0]), e);

	if (ret)
		return ret;
	elf->entry = h->e_entry;
	for (elf->nr = 0; elf->nr < h->e_phnum; elf->nr++) {
		const Elf64_Phdr *p = &ph[elf->nr];

		elf->seg[elf->nr] =
			(struct elf_segment){p->p_type,	  p->p_offset, p->p_vaddr, p->p_paddr,
					     p->p_filesz, p->p_memsz,  p->p_align};
	}
	return 0;
}

static int read_segments32(const struct loader *l, const Elf32_Ehdr *h, struct elf_image *elf,
			   struct error *e)
{
	Elf32_Phdr ph[ELF_MAX_SEGMENTS];
	int ret = host_file_read(&l->kernel, h->e_phoff, ph, h->e_phnum * sizeof(ph[0]), e);

	if (ret)
		return ret;
	elf->entry = h->e_entry;
	for (elf->nr = 0; elf->nr < h->e_phnum; elf->nr++) {
		const Elf32_Phdr *p = &ph[elf->nr];

		elf->seg[elf->nr] =
			(struct elf_segment){p->p_type,	  p->p_offset, p->p_vaddr, p->p_paddr,
					     p->p_filesz, p->p_memsz,  p->p_align};
	}
	return 0;
}

int elf_parse(const struct loader *l, struct elf_image *elf, struct error *e)
{
	const unsigned char *ident = l->head;
	Elf64_Ehdr h64;
	Elf32_Ehdr h32;

	memset(elf, 0, sizeof(*elf));
	/* The head is zero beyond the file's end, so a short file fails a check here. */
	memcpy(&h64, l->head, sizeof(h64));
	memcpy(&h32, l->head, sizeof(h32));
	if (ident[EI_DATA] != ELFDATA2LSB || ident[EI_VERSION] != EV_CURRENT)
		return damaged(l, e);
	/* e_type and e_machine lie at the same offsets in both classes. */
	if (h64.e_machine != EM_X86_64 && h64.e_machine != EM_386)
		return loader_bad_kernel(l, e,
					 "is an ELF file for another processor; use one for x86");
	if (h64.e_type != ET_EXEC && h64.e_type != ET_DYN)
		return loader_bad_kernel(l, e,
					 "is an ELF file but not an executable; link it first");

	switch (ident[EI_CLASS]) {
	case ELFCLASS64:
		if (h64.e_phentsize != sizeof(Elf64_Phdr) || !h64.e_phnum ||
		    h64.e_phnum > ELF_MAX_SEGMENTS)
			return damaged(l, e);
		return read_segments64(l, &h64, elf, e);
	case ELFCLASS32:
		if (h32.e_phentsize != sizeof(Elf32_Phdr) || !h32.e_phnum ||
		    h32.e_phnum > ELF_MAX_SEGMENTS)
			return damaged(l, e);
		return read_segments32(l, &h32, elf, e);
	default:
		return damaged(l, e);
	}
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

int elf_check_range(const struct loader *l, uint64_t gpa, uint64_t len, struct error *e)
{
	if (gpa > l->low_end || len > l->low_end - gpa)
		return error_set_at(
			e, ENOSPC, "memory",
			"kernel %s: its segment of %#llx bytes at %#llx does not lie in guest "
			"memory; give the guest more or link it lower",
			l->kernel.path, (unsigned long long)len, (unsigned long long)gpa);
	if (overlap(gpa, len, 0, LAYOUT_LOADER_END) ||
	    overlap(gpa, len, LAYOUT_ACPI, LAYOUT_ACPI_MAX))
		return error_set(
			e, EINVAL,
			"kernel %s: its segment of %#llx bytes at %#llx lies over the boot "
			"data; link it at 1 MiB or above",
			l->kernel.path, (unsigned long long)len, (unsigned long long)gpa);
	return 0;
}

static bool loadable(const struct elf_segment *s)
{
	return s->type == PT_LOAD && s->memsz;
}

static int load_segment(const struct loader *l, struct elf_image *elf, unsigned int index,
			struct error *e)
{
	const struct elf_segment *s = &elf->seg[index];
	int ret;

	if (s->filesz > s->memsz)
		return damaged(l, e);
	ret = elf_check_range(l, s->paddr, s->memsz, e);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < index; i++) {
		if (loadable(&elf->seg[i]) &&
		    overlap(s->paddr, s->memsz, elf->seg[i].paddr, elf->seg[i].memsz))
			return loader_bad_kernel(
				l, e, "is an ELF file with overlapping segments; link it again");
	}

	/* The offset of a segment that is all .bss means nothing. */
	if (s->filesz) {
		ret = host_file_load(&l->kernel, s->offset, s->filesz, l->mem, s->paddr, e);
		if (ret)
			return ret;
	}
	if (s->memsz > s->filesz) {
		uint8_t *bss = mem_write(l->mem, s->paddr + s->filesz, s->memsz - s->filesz);

		memset(bss, 0, s->memsz - s->filesz);
	}
	if (s->paddr < elf->start)
		elf->start = s->paddr;
	if (s->paddr + s->memsz > elf->end)
		elf->end = s->paddr + s->memsz;
	return 0;
}

int elf_load(const struct loader *l, struct elf_image *elf, struct error *e)
{
	elf->start = UINT64_MAX;
	elf->end = 0;
	for (unsigned int i = 0; i < elf->nr; i++) {
		int ret = loadable(&elf->seg[i]) ? load_segment(l, elf, i, e) : 0;

		if (ret)
			return ret;
	}
	if (!elf->end)
		return loader_bad_kernel(l, e,
					 "is an ELF file with nothing to load; link it again");
	return 0;
}

bool elf_holds(const struct elf_image *elf, uint64_t gpa)
{
	for (unsigned int i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];

		if (loadable(s) && gpa >= s->paddr && gpa - s->paddr < s->memsz)
			return true;
	}
	return false;
}

/* Look through one PT_NOTE segment; Elf64_Nhdr and Elf32_Nhdr are the same. */
static bool find_note(const uint8_t *notes, size_t len, size_t align, const char *name,
		      uint32_t type, uint64_t *value)
{
	const size_t name_len = strlen(name) + 1;
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		const uint8_t *name_at = notes + at + sizeof(Elf64_Nhdr);
		uint64_t desc_off;
		Elf64_Nhdr n;

		memcpy(&n, notes + at, sizeof(n));
		/* 64 bits: none of these sums of 32-bit lengths can wrap. */
		desc_off = align_up(at + sizeof(n) + (uint64_t)n.n_namesz, align);
		if (desc_off + n.n_descsz > len)
			return false;
		if (n.n_type == type && n.n_namesz == name_len &&
		    !memcmp(name_at, name, name_len) && (n.n_descsz == 4 || n.n_descsz == 8)) {
			*value = 0;
			memcpy(value, notes + desc_off, n.n_descsz);
			return true;
		}
		at = align_up(desc_off + n.n_descsz, align);
		if (at > len)
			return false;
	}
	return false;
}

int elf_note(const struct loader *l, const struct elf_image *elf, const char *name, uint32_t type,
	     uint64_t *value, struct error *e)
{
	uint8_t *notes = malloc(NOTES_MAX);
	int ret = 0;

	if (!notes)
		return error_set(e, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < elf->nr && !ret; i++) {
		const struct elf_segment *s = &elf->seg[i];

		if (s->type != PT_NOTE)
			continue;
		if (s->filesz > NOTES_MAX) {
			ret = damaged(l, e);
			break;
		}
		ret = host_file_read(&l->kernel, s->offset, notes, s->filesz, e);
		if (!ret)
			ret = find_note(notes, s->filesz, s->align == 8 ? 8 : 4, name, type, value);
	}
	free(notes);
	return ret;
}
