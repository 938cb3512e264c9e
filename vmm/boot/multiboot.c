// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Multiboot 1 kernels (Multiboot Specification 0.6.96): ELF32, ELF64 (entered
 * in 32-bit mode all the same) and flat images that say their own addresses in
 * the header. boot.c calls this.
 *
 * The command line begins with the kernel's path, as the strings of modules
 * begin with theirs: kernels take the first word for their own name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/elf.h"
#include "boot/regs.h"

#define MB_HEADER_MAGIC	    0x1badb002
#define MB_BOOT_MAGIC	    0x2badb002
#define MB_HEADER_REQUIRED  0x0000ffff /* an unknown bit among these must be refused */
#define MB_HEADER_PAGE	    0x00000001 /* modules on page boundaries: always so here */
#define MB_HEADER_MEMORY    0x00000002 /* memory information: always there */
#define MB_HEADER_VIDEO	    0x00000004 /* a wish; the information says there is none */
#define MB_HEADER_ADDRESSES 0x00010000

#define MB_INFO_MEMORY	    0x001
#define MB_INFO_CMDLINE	    0x004
#define MB_INFO_MODULES	    0x008
#define MB_INFO_MMAP	    0x040
#define MB_INFO_LOADER	    0x200

struct mb_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* only with MB_HEADER_ADDRESSES */
	uint32_t header_addr;
	uint32_t load_addr;
	uint32_t load_end_addr;
	uint32_t bss_end_addr;
	uint32_t entry_addr;
};

struct mb_info {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
	uint8_t framebuffer[28];
};

struct mb_module {
	uint32_t start;
	uint32_t end;
	uint32_t string;
	uint32_t reserved;
};

struct mb_mmap {
	uint32_t size; /* of what follows */
	uint32_t addr[2];
	uint32_t len[2];
	uint32_t type;
};

_Static_assert(sizeof(struct mb_header) == 32, "Multiboot header without video fields");
_Static_assert(offsetof(struct mb_info, mmap_length) == 44, "Multiboot information");
_Static_assert(offsetof(struct mb_info, boot_loader_name) == 64, "Multiboot information");
_Static_assert(offsetof(struct mb_info, framebuffer) == 88, "Multiboot information");
_Static_assert(sizeof(struct mb_info) == 116, "Multiboot information");
_Static_assert(sizeof(struct mb_module) == 16, "Multiboot module");
_Static_assert(sizeof(struct mb_mmap) == 24, "Multiboot memory map entry");

/* Find the header: 32-bit aligned, wholly in the first 8 KiB. */
static bool find_header(const struct loader *l, struct mb_header *h, uint64_t *offset)
{
	const size_t fixed = offsetof(struct mb_header, header_addr);

	for (size_t at = 0; at + fixed <= l->head_len; at += 4) {
		size_t len = l->head_len - at < sizeof(*h) ? l->head_len - at : sizeof(*h);

		memset(h, 0, sizeof(*h));
		memcpy(h, l->head + at, len);
		if (h->magic == MB_HEADER_MAGIC && h->magic + h->flags + h->checksum == 0 &&
		    (len == sizeof(*h) || !(h->flags & MB_HEADER_ADDRESSES))) {
			*offset = at;
			return true;
		}
	}
	return false;
}

bool multiboot_probe(const struct loader *l)
{
	struct mb_header h;
	uint64_t offset;

	return find_header(l, &h, &offset);
}

/* What a loaded kernel is, however it was described. */
struct mb_kernel {
	uint32_t entry;
	uint64_t end;
};

/* The specification's 3.1.3, "The address fields of Multiboot header". */
static int load_flat(const struct loader *l, const struct mb_header *h, uint64_t offset,
		     struct mb_kernel *k, struct error *e)
{
	uint64_t file_off, len, mem_len;
	uint8_t *bss;
	int ret;

	if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > offset)
		return loader_bad_kernel(l, e, "has wrong addresses in its Multiboot header");
	file_off = offset - (h->header_addr - h->load_addr);
	len = l->kernel.size - file_off;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr)
			return loader_bad_kernel(l, e,
						 "has wrong addresses in its Multiboot header");
		len = h->load_end_addr - h->load_addr;
	}
	mem_len = len;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < h->load_addr + len)
			return loader_bad_kernel(l, e,
						 "has wrong addresses in its Multiboot header");
		mem_len = h->bss_end_addr - h->load_addr;
	}

	ret = elf_check_range(l, h->load_addr, mem_len, e);
	if (ret)
		return ret;
	ret = host_file_load(&l->kernel, file_off, len, l->mem, h->load_addr, e);
	if (ret)
		return ret;
	bss = mem_write(l->mem, h->load_addr + len, mem_len - len);
	memset(bss, 0, mem_len - len);
	if (h->entry_addr < h->load_addr || h->entry_addr - h->load_addr >= mem_len)
		return loader_bad_kernel(l, e, "has its Multiboot entry outside of what it loads");

	k->entry = h->entry_addr;
	k->end = h->load_addr + mem_len;
	return 0;
}

/*
 * e_entry is virtual: a kernel linked for the higher half is entered at the
 * physical address its segment was loaded at. Some link scripts give a physical
 * address outright, which is taken as it is.
 */
static bool entry_gpa(const struct elf_image *elf, uint64_t *gpa)
{
	*gpa = elf->entry;
	for (unsigned int i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];
		uint64_t in = elf->entry - s->vaddr;

		if (elf->entry >= s->vaddr && in < s->memsz && elf_holds(elf, s->paddr + in)) {
			*gpa = s->paddr + in;
			return true;
		}
	}
	return elf_holds(elf, *gpa);
}

static int load_elf(const struct loader *l, struct mb_kernel *k, struct error *e)
{
	struct elf_image elf;
	uint64_t entry;
	int ret;

	ret = elf_parse(l, &elf, e);
	if (ret)
		return ret;
	ret = elf_load(l, &elf, e);
	if (ret)
		return ret;
	if (!entry_gpa(&elf, &entry))
		return loader_bad_kernel(l, e,
					 "has its entry outside of its segments; link it again");
	k->entry = (uint32_t)entry;
	k->end = elf.end;
	return 0;
}

static int load_kernel(const struct loader *l, struct mb_kernel *k, struct error *e)
{
	const uint32_t known = MB_HEADER_PAGE | MB_HEADER_MEMORY | MB_HEADER_VIDEO;
	struct mb_header h;
	uint64_t offset;

	find_header(l, &h, &offset);
	if (h.flags & MB_HEADER_REQUIRED & ~known)
		return error_set(
			e, ENOEXEC,
			"kernel %s: its Multiboot header requires features unknown here (flags "
			"%#x)",
			l->kernel.path, h.flags);
	if (h.flags & MB_HEADER_ADDRESSES)
		return load_flat(l, &h, offset, k, e);
	if (elf_probe(l))
		return load_elf(l, k, e);
	return loader_bad_kernel(
		l, e, "has a Multiboot header but is neither ELF nor says its addresses there");
}

/* The area for the information structure and all that it points to. */
struct area {
	uint8_t *low;
	uint32_t next;
};

/* Room for len bytes, 8-byte aligned, zeroed; 0 when the area is full. */
static uint32_t area_take(struct area *a, size_t len)
{
	uint32_t at = a->next;

	if (len > LAYOUT_MB_INFO + LAYOUT_MB_INFO_MAX - at)
		return 0;
	memset(a->low + at, 0, len);
	a->next = (uint32_t)align_up(at + len, 8);
	return at;
}

static uint32_t area_string(struct area *a, const char *first, const char *rest)
{
	size_t len = strlen(first) + (*rest ? 1 + strlen(rest) : 0) + 1;
	uint32_t at = area_take(a, len);

	if (at)
		snprintf((char *)a->low + at, len, "%s%s%s", first, *rest ? " " : "", rest);
	return at;
}

static int area_full(struct error *e)
{
	return error_set_at(e, E2BIG, "cmdline",
			    "the command line and the modules' strings are too long together (%d "
			    "KiB); shorten them",
			    LAYOUT_MB_INFO_MAX >> 10);
}

/* Load one module ("path arguments") at the first page at or after *next. */
static int load_module(const struct loader *l, const char *path, uint64_t *next,
		       struct mb_module *mod, struct error *e)
{
	uint64_t gpa = align_up(*next, KiB(4));
	struct host_file f;
	int ret;

	ret = host_file_open(l->cfg->files, &f, "module", path, e);
	if (ret)
		return ret;
	if (!f.size)
		ret = error_set(e, EINVAL, "module %s: is empty; build it again or leave it out",
				path);
	else if (gpa > l->low_end || f.size > l->low_end - gpa)
		ret = error_set_at(e, ENOSPC, "memory",
				   "module %s: its %llu KiB do not fit in guest memory after the "
				   "kernel; give the guest more",
				   path, (unsigned long long)((f.size + 1023) >> 10));
	else
		ret = host_file_load(&f, 0, f.size, l->mem, gpa, e);
	host_file_close(&f);
	if (ret)
		return ret;
	*next = gpa + f.size;
	mod->start = (uint32_t)gpa;
	mod->end = (uint32_t)*next;
	return 0;
}

/* The path of a module is what comes before the first blank. */
static int load_module_string(const struct loader *l, const char *string, uint64_t *next,
			      struct mb_module *mod, struct error *e)
{
	char *path = strndup(string, strcspn(string, " "));
	int ret;

	if (!path)
		return error_set(e, ENOMEM, "out of memory");
	ret = load_module(l, path, next, mod, e);
	free(path);
	return ret;
}

static int put_modules(const struct loader *l, struct area *a, struct mb_info *info, uint64_t end,
		       struct error *e)
{
	const struct boot_config *cfg = l->cfg;
	unsigned int count = cfg->nr_modules + (cfg->initrd ? 1 : 0);
	uint64_t next = end > LAYOUT_KERNEL ? end : LAYOUT_KERNEL;

	if (!count)
		return 0;
	info->mods_addr = area_take(a, count * sizeof(struct mb_module));
	if (!info->mods_addr)
		return area_full(e);

	for (unsigned int i = 0; i < count; i++) {
		struct mb_module *mod = (struct mb_module *)(l->low + info->mods_addr) + i;
		const char *string;
		int ret;

		if (cfg->initrd && i == 0) {
			string = cfg->initrd;
			ret = load_module(l, string, &next, mod, e);
			error_about(e, ret, "initrd");
		} else {
			unsigned int n = i - (cfg->initrd ? 1 : 0);

			string = cfg->modules[n];
			ret = load_module_string(l, string, &next, mod, e);
			error_about(e, ret, "modules[%u]", n);
		}
		if (ret)
			return ret;
		mod->string = area_string(a, string, "");
		if (!mod->string)
			return area_full(e);
	}
	info->mods_count = count;
	info->flags |= MB_INFO_MODULES;
	return 0;
}

static int put_map(const struct loader *l, struct area *a, struct mb_info *info, struct error *e)
{
	struct mb_mmap *map;

	info->mem_lower = LAYOUT_LOW_RAM_END >> 10;
	info->mem_upper = (uint32_t)((l->low_end - LAYOUT_KERNEL) >> 10);
	info->mmap_length = l->map.nr * (uint32_t)sizeof(*map);
	info->mmap_addr = area_take(a, info->mmap_length);
	if (!info->mmap_addr)
		return area_full(e);
	map = (struct mb_mmap *)(l->low + info->mmap_addr);
	for (unsigned int i = 0; i < l->map.nr; i++) {
		const struct memmap_entry *m = &l->map.entry[i];

		map[i] = (struct mb_mmap){
			.size = sizeof(*map) - sizeof(map->size),
			.addr = {(uint32_t)m->addr, (uint32_t)(m->addr >> 32)},
			.len = {(uint32_t)m->size, (uint32_t)(m->size >> 32)},
			.type = m->type,
		};
	}
	info->flags |= MB_INFO_MEMORY | MB_INFO_MMAP;
	return 0;
}

int multiboot_load(struct loader *l, struct boot_entry *out, struct error *e)
{
	struct area area = {.low = l->low, .next = LAYOUT_MB_INFO};
	struct mb_kernel kernel;
	struct mb_info *info;
	uint32_t info_gpa;
	int ret;

	ret = load_kernel(l, &kernel, e);
	if (ret)
		return ret;

	info_gpa = area_take(&area, sizeof(*info));
	info = (struct mb_info *)(l->low + info_gpa);
	ret = put_map(l, &area, info, e);
	if (ret)
		return ret;
	info->boot_loader_name = area_string(&area, "hv", "");
	info->cmdline = area_string(&area, l->kernel.path, l->cmdline);
	if (!info->boot_loader_name || !info->cmdline)
		return area_full(e);
	info->flags |= MB_INFO_LOADER | MB_INFO_CMDLINE;
	ret = put_modules(l, &area, info, kernel.end, e);
	if (ret)
		return ret;

	regs_protected32(l->low, out, kernel.entry);
	out->gprs.r[HV_RAX] = MB_BOOT_MAGIC;
	out->gprs.r[HV_RBX] = info_gpa;
	return 0;
}
