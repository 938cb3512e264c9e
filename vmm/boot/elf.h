/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF32 and ELF64 executables for x86, as far as a boot loader needs them. */
#ifndef VMM_BOOT_ELF_H
#define VMM_BOOT_ELF_H

#include "boot/loader.h"

#define ELF_MAX_SEGMENTS 64

struct elf_segment {
	uint32_t type;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

struct elf_image {
	uint64_t entry; /* e_entry: a virtual address */
	struct elf_segment seg[ELF_MAX_SEGMENTS];
	unsigned int nr;
	uint64_t start, end; /* physical range loaded; set by elf_load() */
};

bool elf_probe(const struct loader *l);

/* Read the header and the program headers of l->kernel. -ENOEXEC when they are not sane. */
int elf_parse(const struct loader *l, struct elf_image *elf, struct error *e);

/*
 * Load the PT_LOAD segments at their physical addresses. Refused are segments
 * that overlap each other, the loader's own data or the ACPI tables, or do not
 * lie in the RAM below the 32-bit hole.
 */
int elf_load(const struct loader *l, struct elf_image *elf, struct error *e);

/* Is gpa inside a loaded segment? */
bool elf_holds(const struct elf_image *elf, uint64_t gpa);

/*
 * The value (4 or 8 bytes) of the ELF note of that name and type: 1 when found,
 * 0 when there is none, or a negative errno.
 */
int elf_note(const struct loader *l, const struct elf_image *elf, const char *name, uint32_t type,
	     uint64_t *value, struct error *e);

/* -ENOSPC or -EINVAL unless [gpa, gpa + len) is free for a kernel's segment. */
int elf_check_range(const struct loader *l, uint64_t gpa, uint64_t len, struct error *e);

#endif
