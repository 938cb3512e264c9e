// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst of Linux,
 * sections "Details of Header Fields" and "64-bit BOOT PROTOCOL"); the structs
 * are those of <asm/bootparam.h>. boot.c calls this.
 */
#include <errno.h>
#include <string.h>
#include <asm/bootparam.h>

#include "boot/loader.h"
#include "boot/regs.h"

#define HDR_OFFSET     0x1f1
#define HDR_JUMP       0x201	  /* the header ends this byte's value after 0x202 */
#define HDR_MAGIC      0x53726448 /* "HdrS" */
#define SECTOR	       512
#define ENTRY_64       0x200
#define LOADER_UNKNOWN 0xff
#define VID_NORMAL     0xffff

_Static_assert(sizeof(struct boot_params) == 4096, "boot_params is the zero page");
_Static_assert(offsetof(struct boot_params, hdr) == HDR_OFFSET, "setup header");
_Static_assert(offsetof(struct boot_params, hdr.header) == 0x202, "magic");
_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "RSDP");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "e820");
_Static_assert(MEMMAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the map fits in the zero page");

bool linux_probe(const struct loader *l)
{
	uint32_t magic;

	memcpy(&magic, l->head + offsetof(struct boot_params, hdr.header), sizeof(magic));
	return magic == HDR_MAGIC;
}

/* What the loader needs from the file, checked. */
struct bzimage {
	struct setup_header hdr;
	uint64_t setup_len; /* real-mode part, not loaded */
	uint64_t len;	    /* protected-mode part */
	uint64_t gpa;	    /* where that goes */
	uint64_t gpa_end;   /* end of what it needs there to unpack itself */
};

static int parse(const struct loader *l, struct bzimage *bz, struct error *e)
{
	size_t hdr_len = (size_t)0x202 + l->head[HDR_JUMP] - HDR_OFFSET;
	struct setup_header *h = &bz->hdr;
	uint64_t need;

	if (hdr_len > sizeof(*h))
		hdr_len = sizeof(*h);
	memset(h, 0, sizeof(*h));
	memcpy(h, l->head + HDR_OFFSET, hdr_len);

	if (h->version < 0x020c)
		return loader_bad_kernel(
			l, e,
			"is a bzImage for a boot protocol older than 2.12; use Linux 3.8 "
			"or later");
	if (hdr_len < offsetof(struct setup_header, init_size) + sizeof(h->init_size) ||
	    !(h->loadflags & LOADED_HIGH))
		return loader_bad_kernel(
			l, e, "is a bzImage with a damaged header; copy or build it again");
	if (!(h->xloadflags & XLF_KERNEL_64))
		return loader_bad_kernel(l, e, "is a 32-bit bzImage; use a 64-bit (amd64) kernel");

	bz->setup_len = SECTOR * ((uint64_t)(h->setup_sects ? h->setup_sects : 4) + 1);
	if (l->kernel.size <= bz->setup_len + ENTRY_64 ||
	    l->kernel.size - bz->setup_len < (uint64_t)h->syssize * 16)
		return loader_bad_kernel(l, e, "is a truncated bzImage; copy or build it again");
	bz->len = l->kernel.size - bz->setup_len;

	/*
	 * A relocatable kernel may be loaded elsewhere, but unpacks itself at or
	 * above pref_address in any case: so there it goes.
	 */
	need = bz->len > h->init_size ? bz->len : h->init_size;
	bz->gpa = h->pref_address;
	if (bz->gpa < LAYOUT_KERNEL || bz->gpa >= LAYOUT_HOLE || need > LAYOUT_HOLE - bz->gpa)
		return loader_bad_kernel(
			l, e,
			"is a bzImage that asks for impossible addresses; copy or build it "
			"again");
	bz->gpa_end = bz->gpa + need;
	if (bz->gpa_end > l->low_end)
		return error_set_at(
			e, ENOSPC, "memory",
			"kernel %s: needs at least %llu MiB of guest memory; give it more",
			l->kernel.path, (unsigned long long)((bz->gpa_end >> 20) + 1));
	return 0;
}

static void fill_zero_page(const struct loader *l, const struct bzimage *bz,
			   const struct loaded *initrd)
{
	struct boot_params *bp = (struct boot_params *)(l->low + LAYOUT_ZERO_PAGE);

	memset(bp, 0, sizeof(*bp));
	bp->hdr = bz->hdr;
	bp->hdr.type_of_loader = LOADER_UNKNOWN;
	bp->hdr.vid_mode = VID_NORMAL;
	bp->hdr.code32_start = (uint32_t)bz->gpa;
	bp->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	bp->hdr.ramdisk_image = (uint32_t)initrd->gpa;
	bp->hdr.ramdisk_size = (uint32_t)initrd->size;
	bp->hdr.setup_data = 0;
	bp->acpi_rsdp_addr = l->cfg->acpi_rsdp;

	bp->e820_entries = (uint8_t)l->map.nr;
	for (unsigned int i = 0; i < l->map.nr; i++) {
		bp->e820_table[i].addr = l->map.entry[i].addr;
		bp->e820_table[i].size = l->map.entry[i].size;
		bp->e820_table[i].type = l->map.entry[i].type;
	}
}

int linux_load(struct loader *l, struct boot_entry *out, struct error *e)
{
	struct loaded initrd;
	struct bzimage bz;
	int ret;

	ret = parse(l, &bz, e);
	if (ret)
		return ret;
	ret = loader_put_cmdline(l, bz.hdr.cmdline_size, e);
	if (ret)
		return ret;
	ret = host_file_load(&l->kernel, bz.setup_len, bz.len, l->mem, bz.gpa, e);
	if (ret)
		return ret;
	/* initrd_addr_max is the last address an initrd may use. */
	ret = loader_put_initrd(l, (uint64_t)bz.hdr.initrd_addr_max + 1, bz.gpa, bz.gpa_end,
				&initrd, e);
	if (ret)
		return ret;

	fill_zero_page(l, &bz, &initrd);
	regs_long64(l->low, out, bz.gpa + ENTRY_64);
	out->gprs.r[HV_RSI] = LAYOUT_ZERO_PAGE;
	out->initrd = initrd.gpa;
	out->initrd_len = initrd.size;
	return 0;
}
