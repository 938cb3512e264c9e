// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF kernels with a PVH entry point, such as Linux's vmlinux with CONFIG_PVH
 * (Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h). boot.c
 * calls this.
 */
#include <errno.h>
#include <string.h>

#include "boot/elf.h"
#include "boot/regs.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define START_INFO_MAGIC	 0x336ec578
#define START_INFO_VERSION	 1 /* the first with a memory map */

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct memmap_table_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* As it lies at LAYOUT_PVH_INFO. */
struct pvh_page {
	struct start_info info;
	struct modlist_entry initrd;
	struct memmap_table_entry map[MEMMAP_MAX];
};

_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info, version 1");
_Static_assert(offsetof(struct start_info, memmap_paddr) == 40, "hvm_start_info, version 1");
_Static_assert(sizeof(struct modlist_entry) == 32, "hvm_modlist_entry");
_Static_assert(sizeof(struct memmap_table_entry) == 24, "hvm_memmap_table_entry");
_Static_assert(sizeof(struct pvh_page) <= LAYOUT_ZERO_PAGE - LAYOUT_PVH_INFO, "one page");

bool pvh_probe(const struct loader *l)
{
	return elf_probe(l);
}

static void fill_info(const struct loader *l, const struct loaded *initrd)
{
	struct pvh_page *page = (struct pvh_page *)(l->low + LAYOUT_PVH_INFO);

	memset(page, 0, sizeof(*page));
	page->info = (struct start_info){
		.magic = START_INFO_MAGIC,
		.version = START_INFO_VERSION,
		.cmdline_paddr = LAYOUT_CMDLINE,
		.rsdp_paddr = l->cfg->acpi_rsdp,
		.memmap_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_page, map),
		.memmap_entries = l->map.nr,
	};
	if (initrd->size) {
		page->info.nr_modules = 1;
		page->info.modlist_paddr = LAYOUT_PVH_INFO + offsetof(struct pvh_page, initrd);
		page->initrd.paddr = initrd->gpa;
		page->initrd.size = initrd->size;
	}
	for (unsigned int i = 0; i < l->map.nr; i++) {
		page->map[i].addr = l->map.entry[i].addr;
		page->map[i].size = l->map.entry[i].size;
		page->map[i].type = l->map.entry[i].type;
	}
}

int pvh_load(struct loader *l, struct boot_entry *out, struct error *e)
{
	struct elf_image elf;
	struct loaded initrd;
	uint64_t entry;
	int ret;

	ret = elf_parse(l, &elf, e);
	if (ret)
		return ret;
	ret = elf_note(l, &elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &entry, e);
	if (ret < 0)
		return ret;
	if (!ret)
		return loader_bad_kernel(
			l, e,
			"is an ELF file with neither a PVH note nor a Multiboot header; "
			"build Linux with CONFIG_PVH=y or use its bzImage");
	ret = elf_load(l, &elf, e);
	if (ret)
		return ret;
	if (!elf_holds(&elf, entry))
		return loader_bad_kernel(
			l, e, "has its PVH entry outside of its segments; link it again");
	ret = loader_put_cmdline(l, LAYOUT_CMDLINE_MAX, e);
	if (ret)
		return ret;
	ret = loader_put_initrd(l, l->low_end, elf.start, elf.end, &initrd, e);
	if (ret)
		return ret;

	fill_info(l, &initrd);
	regs_protected32(l->low, out, (uint32_t)entry);
	out->gprs.r[HV_RBX] = LAYOUT_PVH_INFO;
	out->initrd = initrd.gpa;
	out->initrd_len = initrd.size;
	return 0;
}
