// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The boot loaders by protocol: what a kernel finds in memory and registers, and
 * which headers are refused.
 */
#include "boot/memmap.h"
#include "boot_image.h"
#include "suite.h"

START_TEST(memmap)
{
	static const struct memmap_entry want[] = {
		{0, 0x9fc00, MEMMAP_RAM},
		{0x9fc00, 0x400, MEMMAP_RESERVED},
		{0xe0000, 0x20000, MEMMAP_RESERVED},
		{MiB(1), LOW_RAM - MiB(1), MEMMAP_RAM},
		{LAYOUT_ECAM, LAYOUT_ECAM_LEN, MEMMAP_RESERVED},
		{LAYOUT_HIGH_RAM, HIGH_RAM, MEMMAP_RAM},
	};
	struct mem one = {.nr_regions = 1, .region = {{.gpa = 0, .len = 0x90000}}};
	struct memmap map;

	memmap_build(&mem, &map);
	ck_assert_uint_eq(map.nr, 6);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(map.entry[i].addr, want[i].addr);
		ck_assert_uint_eq(map.entry[i].size, want[i].size);
		ck_assert_uint_eq(map.entry[i].type, want[i].type);
	}
	ck_assert_uint_eq(memmap_low_end(&mem), LOW_RAM);

	memmap_build(&one, &map);
	ck_assert_uint_eq(map.nr, 2);
	ck_assert_uint_eq(map.entry[0].size, 0x90000);
	ck_assert_uint_eq(map.entry[1].addr, LAYOUT_ECAM);
	one.region[0].gpa = LAYOUT_HIGH_RAM;
	ck_assert_uint_eq(memmap_low_end(&one), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* bzImage                                                                    */

START_TEST(linux_good)
{
	const struct boot_params *bp = at(LAYOUT_ZERO_PAGE);
	struct image i;

	make_bzimage(&i);
	write_file(kernel_path, i.data, i.len);
	write_file(initrd_path, "initrd-data", 11);
	dirty(LAYOUT_ZERO_PAGE, 4096);
	expect_ok(boot((struct boot_config){
		.cmdline = "quiet", .initrd = initrd_path, .acpi_rsdp = 0xe0000}));

	check_bytes(MiB(2), 0xb2, 1024);
	ck_assert_uint_eq(entry.gprs.rip, MiB(2) + 0x200);
	ck_assert_uint_eq(entry.gprs.r[HV_RSI], LAYOUT_ZERO_PAGE);
	check_flat_segments(0xa09b);
	ck_assert_uint_eq(get64(LAYOUT_BOOT_GDT + 0x10), 0x00af9b000000ffffULL);
	ck_assert_uint_eq(entry.sregs.cr0, 0x80000011);
	ck_assert_uint_eq(entry.sregs.cr4, 0x20);
	ck_assert_uint_eq(entry.sregs.efer, 0x500);

	ck_assert_uint_eq(bp->sentinel, 0);
	ck_assert_uint_eq(bp->hdr.header, 0x53726448);
	ck_assert_uint_eq(bp->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp->hdr.setup_data, 0);
	ck_assert_uint_eq(bp->acpi_rsdp_addr, 0xe0000);
	ck_assert_str_eq(at(bp->hdr.cmd_line_ptr), "quiet");
	ck_assert_uint_eq(bp->e820_entries, 6);
	ck_assert_uint_eq(bp->e820_table[3].addr, MiB(1));
	ck_assert_uint_eq(bp->e820_table[3].type, 1);
	ck_assert_uint_eq(bp->e820_table[5].addr, LAYOUT_HIGH_RAM);

	/* The last page of low memory, whole pages, below initrd_addr_max. */
	ck_assert_uint_eq(bp->hdr.ramdisk_image, LOW_RAM - 4096);
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 11);
	ck_assert_mem_eq(at(bp->hdr.ramdisk_image), "initrd-data", 11);
}
END_TEST

START_TEST(linux_page_tables)
{
	struct image i;

	make_bzimage(&i);
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(entry.sregs.cr3, LAYOUT_BOOT_PAGES);
	for (uint64_t gva = 0; gva < GiB(4); gva += MiB(2)) {
		uint64_t pml4e = get64(entry.sregs.cr3 + 8 * (gva >> 39));
		uint64_t pdpte = get64((pml4e & ~0xfffULL) + 8 * (gva >> 30 & 511));
		uint64_t pde = get64((pdpte & ~0xfffULL) + 8 * (gva >> 21 & 511));

		ck_assert_uint_eq(pml4e & 0xfff, 3);
		ck_assert_uint_eq(pdpte & 0xfff, 3);
		ck_assert_uint_eq(pde, gva | 0x83);
	}
	ck_assert_uint_eq(get64(entry.sregs.cr3 + 8), 0);
}
END_TEST

START_TEST(linux_initrd_places)
{
	const struct boot_params *bp = at(LAYOUT_ZERO_PAGE);
	struct boot_config cfg = {.initrd = initrd_path};
	struct image i;

	make_bzimage(&i);
	write_file(initrd_path, i.data, 4096);
	/* The kernel's own limit. */
	bz_header(&i)->initrd_addr_max = (uint32_t)MiB(32) - 1;
	write_file(kernel_path, i.data, i.len);
	expect_ok(boot(cfg));
	ck_assert_uint_eq(bp->hdr.ramdisk_image, MiB(32) - 4096);
	/* No room above the kernel's init_size: below it. */
	bz_header(&i)->init_size = (uint32_t)(LOW_RAM - MiB(2));
	write_file(kernel_path, i.data, i.len);
	expect_ok(boot(cfg));
	ck_assert_uint_eq(bp->hdr.ramdisk_image, MiB(2) - 4096);
	/* Room nowhere, though the file is smaller than memory. */
	ck_assert_int_eq(truncate(initrd_path, (off_t)MiB(1) + 1), 0);
	expect_error(boot(cfg), ENOSPC, initrd_path);
}
END_TEST

START_TEST(linux_bad_headers)
{
	struct image i;

	make_bzimage(&i);
	bz_header(&i)->version = 0x020b;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->xloadflags = 0;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->loadflags = 0;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->jump = 0x10eb; /* a header too short for the version */
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->syssize = 0xffffffff;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->setup_sects = 0xff;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_bzimage(&i);
	bz_header(&i)->setup_sects = 0; /* means 4: more than there is */
	expect_error(boot_image(&i), ENOEXEC, kernel_path);

	const uint64_t bad[] = {0, 0x1000, LAYOUT_HOLE, GiB(4), UINT64_MAX, UINT64_MAX - 4095};

	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		make_bzimage(&i);
		bz_header(&i)->pref_address = bad[n];
		expect_error(boot_image(&i), ENOEXEC, kernel_path);
	}
	make_bzimage(&i);
	bz_header(&i)->init_size = 0xffffffff;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* Needs more than the guest has, but is possible. */
	make_bzimage(&i);
	bz_header(&i)->init_size = (uint32_t)LOW_RAM;
	expect_error(boot_image(&i), ENOSPC, kernel_path);
	ck_assert_str_eq(err.path, "memory");
}
END_TEST

/* The oldest protocol, the shortest header for it, and the number of sectors that means another. */
START_TEST(linux_limits)
{
	const uint8_t shortest = offsetof(struct setup_header, init_size) + 4 + 0x1f1 - 0x202;
	const struct boot_params *bp = at(LAYOUT_ZERO_PAGE);
	struct boot_config cfg = {.initrd = initrd_path};
	struct image i;

	make_bzimage(&i);
	bz_header(&i)->version = 0x020c;
	bz_header(&i)->jump = (uint16_t)(shortest << 8 | 0xeb);
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(bp->hdr.ramdisk_image, 0);
	bz_header(&i)->jump -= 0x100;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);

	make_bzimage(&i);
	bz_header(&i)->setup_sects = 0;
	memset(i.data + BZ_SETUP, 0xaa, 5 * 512 - BZ_SETUP);
	memset(i.data + 5 * 512, 0xb4, 1024);
	i.len = 5 * 512 + 1024;
	expect_ok(boot_image(&i));
	check_bytes(MiB(2), 0xb4, 1024);

	/* How much memory it takes is said. */
	make_bzimage(&i);
	bz_header(&i)->init_size = (uint32_t)LOW_RAM;
	expect_error(boot_image(&i), ENOSPC, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "67 MiB"));

	/* An initrd that ends where it may, begins where the kernel ends, and does not fit. */
	make_bzimage(&i);
	bz_header(&i)->initrd_addr_max = (uint32_t)MiB(32) - 2;
	write_file(initrd_path, i.data, 4096);
	write_file(kernel_path, i.data, i.len);
	expect_ok(boot(cfg));
	ck_assert_uint_eq(bp->hdr.ramdisk_image, MiB(32) - 2 * 4096);
	make_bzimage(&i);
	write_file(kernel_path, i.data, i.len);
	ck_assert_int_eq(truncate(initrd_path, (off_t)(LOW_RAM - MiB(10))), 0);
	expect_ok(boot(cfg));
	ck_assert_uint_eq(bp->hdr.ramdisk_image, MiB(10));
	ck_assert_int_eq(truncate(initrd_path, (off_t)(LOW_RAM - MiB(10) + 4096)), 0);
	expect_error(boot(cfg), ENOSPC, initrd_path);
	ck_assert_ptr_nonnull(strstr(err.text, "55300 KiB"));
}
END_TEST

/* What we have room for, when the kernel would take any. */
START_TEST(longest_cmdline)
{
	char line[LAYOUT_CMDLINE_MAX + 1];
	struct image i;

	make_bzimage(&i);
	bz_header(&i)->cmdline_size = 0xffffffff;
	write_file(kernel_path, i.data, i.len);
	memset(line, 'x', sizeof(line));
	line[LAYOUT_CMDLINE_MAX - 1] = '\0';
	expect_ok(boot((struct boot_config){.cmdline = line}));
	ck_assert_str_eq(at(LAYOUT_CMDLINE), line);
	line[LAYOUT_CMDLINE_MAX - 1] = 'x';
	line[LAYOUT_CMDLINE_MAX] = '\0';
	expect_error(boot((struct boot_config){.cmdline = line}), E2BIG, kernel_path);
}
END_TEST

START_TEST(linux_cmdline_limit)
{
	char line[2050];
	struct image i;

	make_bzimage(&i);
	write_file(kernel_path, i.data, i.len);
	memset(line, 'x', sizeof(line));
	line[2047] = '\0';
	expect_ok(boot((struct boot_config){.cmdline = line}));
	ck_assert_str_eq(at(LAYOUT_CMDLINE), line);
	line[2047] = 'x';
	line[2048] = '\0';
	expect_error(boot((struct boot_config){.cmdline = line}), E2BIG, kernel_path);
	expect_ok(boot((struct boot_config){.cmdline = NULL}));
	ck_assert_str_eq(at(LAYOUT_CMDLINE), "");
}
END_TEST

/* ------------------------------------------------------------------------- */
/* PVH                                                                        */

START_TEST(pvh_good)
{
	struct image i;
	uint64_t list, map;

	for (uint32_t note_len = 4; note_len <= 8; note_len += 4) {
		make_elf64(&i, ELF_KERNEL, ELF_TEXT + 0x20, note_len);
		write_file(kernel_path, i.data, i.len);
		write_file(initrd_path, "ramdisk", 7);
		dirty(ELF_TEXT, 1024);
		dirty(LAYOUT_PVH_INFO, 4096);
		dirty(LAYOUT_BOOT_GDT, 0x20);
		expect_ok(boot((struct boot_config){
			.cmdline = "root=x", .initrd = initrd_path, .acpi_rsdp = 0xe0000}));
		check_protected32(ELF_TEXT + 0x20);
		ck_assert_uint_eq(entry.gprs.r[HV_RBX], LAYOUT_PVH_INFO);
		check_bytes(ELF_TEXT, 0x64, 256);
		check_bytes(ELF_TEXT + 256, 0, 256);
		check_bytes(ELF_TEXT + 512, 0xee, 512);
		check_bytes(ELF_DATA, 0xda, 256);
	}

	ck_assert_uint_eq(get32(LAYOUT_PVH_INFO), 0x336ec578);
	ck_assert_uint_eq(get32(LAYOUT_PVH_INFO + 4), 1);
	ck_assert_uint_eq(get32(LAYOUT_PVH_INFO + 12), 1);
	list = get64(LAYOUT_PVH_INFO + 16);
	ck_assert_mem_eq(at(get64(list)), "ramdisk", 7);
	ck_assert_uint_eq(get64(list + 8), 7);
	ck_assert_str_eq(at(get64(LAYOUT_PVH_INFO + 24)), "root=x");
	ck_assert_uint_eq(get64(LAYOUT_PVH_INFO + 32), 0xe0000);
	map = get64(LAYOUT_PVH_INFO + 40);
	ck_assert_uint_eq(get32(LAYOUT_PVH_INFO + 48), 6);
	ck_assert_uint_eq(get64(map + 3 * 24), MiB(1));
	ck_assert_uint_eq(get64(map + 3 * 24 + 8), LOW_RAM - MiB(1));
	/* What is reserved, and the module's own command line, which it has not. */
	ck_assert_uint_eq(get32(map + 3 * 24 + 20), 0);
	ck_assert_uint_eq(get64(list + 16), 0);
	ck_assert_uint_eq(get64(list + 24), 0);
	ck_assert_uint_eq(get32(map + 3 * 24 + 16), 1);
}
END_TEST

START_TEST(pvh_bad_notes)
{
	struct image i;
	uint32_t huge = 0xffffffff;

	/* An entry outside of the segments: just before, just after, beyond 4 GiB. */
	make_elf64(&i, 0, ELF_TEXT - 1, 8);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT + 512, 8);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, GiB(4) + ELF_TEXT, 8);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* No note of ours: wrong length, wrong type, lengths that would wrap. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	i.data[284] = 5;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	i.data[288] = 17;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	for (size_t field = 256; field < 264; field += 4) {
		make_elf64(&i, 0, ELF_TEXT, 8);
		memcpy(i.data + field, &huge, 4);
		expect_error(boot_image(&i), ENOEXEC, kernel_path);
	}
	/* The segment ends in the middle of our note's value. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	((Elf64_Phdr *)(i.data + 64))->p_filesz = 44;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "neither a PVH note"));
	/* A note segment that is larger than any sane one, in a file that is that large. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	((Elf64_Phdr *)(i.data + 64))->p_filesz = GiB(1);
	write_file(kernel_path, i.data, i.len);
	ck_assert_int_eq(truncate(kernel_path, (off_t)GiB(2)), 0);
	expect_error(boot((struct boot_config){0}), ENOEXEC, kernel_path);
}
END_TEST

/* Notes of others before ours need not fill whole words; the segment says how they are aligned. */
START_TEST(pvh_notes)
{
	const uint8_t shorter[12] = {5, 0, 0, 0, 4, 0, 0, 0, 18};
	struct image i;
	Elf64_Phdr *p = (Elf64_Phdr *)(i.data + 64);

	make_elf64(&i, 0, ELF_TEXT + 0x20, 8);
	memcpy(i.data + 256, shorter, sizeof(shorter));
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(entry.gprs.rip, ELF_TEXT + 0x20);
	/* Names and values begin at multiples of 8 from the beginning of the segment. */
	memmove(i.data + 288, i.data + 280, 32);
	p->p_align = 8;
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(entry.gprs.rip, ELF_TEXT + 0x20);
	/* Notes end with their segment, here in the middle of padding. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	memcpy(i.data + 256, shorter, sizeof(shorter));
	i.data[260] = 3;
	p->p_filesz = 23;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "neither a PVH note"));
	/* The same at the end of the largest that there may be */
	memcpy(i.data + 260, &(uint32_t){KiB(64) - 1 - 20}, 4);
	p->p_filesz = KiB(64) - 1;
	write_file(kernel_path, i.data, i.len);
	ck_assert_int_eq(truncate(kernel_path, (off_t)KiB(128)), 0);
	expect_error(boot((struct boot_config){0}), ENOEXEC, kernel_path);
	/* A segment of another kind is none of notes. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	p->p_type = PT_NULL;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "neither a PVH note"));
	/* The largest, and one that is larger */
	make_elf64(&i, 0, ELF_TEXT, 8);
	for (unsigned int more = 0; more < 2; more++) {
		p->p_filesz = KiB(64) + more;
		write_file(kernel_path, i.data, i.len);
		ck_assert_int_eq(truncate(kernel_path, (off_t)KiB(128)), 0);
		ck_assert_int_eq(boot((struct boot_config){0}), more ? -ENOEXEC : 0);
	}
}
END_TEST

/* As many program headers as there may be, the last one of use, and one more. */
START_TEST(elf_many_segments)
{
	struct image i;
	Elf64_Ehdr *h64 = (Elf64_Ehdr *)i.data;
	Elf64_Phdr *p64 = (Elf64_Phdr *)(i.data + sizeof(*h64));
	Elf32_Ehdr *h32 = (Elf32_Ehdr *)i.data;
	Elf32_Phdr *p32 = (Elf32_Phdr *)(i.data + sizeof(*h32));

	make_elf64(&i, 0, ELF_TEXT, 8);
	memcpy(i.data + 3720, i.data + 256, 64);
	memset(i.data + 3800, 0x64, 256);
	memset(p64 + 3, 0, 62 * sizeof(*p64));
	p64[0].p_offset = 3720;
	p64[63] = p64[1];
	p64[63].p_offset = 3800;
	memset(&p64[1], 0, 2 * sizeof(*p64));
	i.len = 4096;
	h64->e_phnum = 64;
	dirty(ELF_TEXT, 512);
	expect_ok(boot_image(&i));
	check_bytes(ELF_TEXT, 0x64, 256);
	h64->e_phnum = 65;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);

	make_elf32(&i, (uint32_t)ELF_TEXT);
	memset(i.data + 3000, 0x32, 256);
	put_multiboot(&i, 3088, 0, NULL);
	memset(p32 + 2, 0, 63 * sizeof(*p32));
	p32[63] = p32[0];
	p32[63].p_offset = 3000;
	memset(&p32[0], 0, sizeof(*p32));
	i.len = 4096;
	h32->e_phnum = 64;
	dirty(ELF_TEXT, 512);
	expect_ok(boot_image(&i));
	check_bytes(ELF_TEXT, 0x32, 88);
	h32->e_phnum = 65;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	h32->e_phnum = 0;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	h32->e_phnum = 64;
	h32->e_phentsize = sizeof(*p64);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
}
END_TEST

/* Each bad segment against the same good image. */
START_TEST(elf_bad_segments)
{
	static const struct {
		const char *why;
		uint64_t offset, paddr, filesz, memsz;
		int errnum;
	} bad[] = {
		{"file part larger than memory part", 512, ELF_TEXT, 256, 255, ENOEXEC},
		{"beyond the file", 1024, ELF_TEXT, 1, 512, ENOEXEC},
		{"offset wraps", UINT64_MAX, ELF_TEXT, 256, 512, ENOEXEC},
		{"size wraps", 512, ELF_TEXT, UINT64_MAX, UINT64_MAX, ENOSPC},
		{"address wraps", 512, UINT64_MAX - 255, 256, 512, ENOSPC},
		{"ends one byte above RAM", 512, LOW_RAM - 511, 256, 512, ENOSPC},
		{"in the hole", 512, LAYOUT_HOLE, 256, 512, ENOSPC},
		{"above 4 GiB", 512, LAYOUT_HIGH_RAM, 256, 512, ENOSPC},
		{"over the loader's data", 512, LAYOUT_LOADER_END - 1, 256, 512, EINVAL},
		{"at zero", 512, 0, 256, 512, EINVAL},
		{"over ACPI tables", 512, LAYOUT_ACPI - 511, 256, 512, EINVAL},
		{"over another segment", 512, ELF_DATA - 511, 256, 512, ENOEXEC},
		{"around another segment", 512, ELF_DATA - 16, 256, MiB(1), ENOEXEC},
	};
	struct image i;

	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		Elf64_Phdr *p = (Elf64_Phdr *)(i.data + 64) + 1;
		int ret;

		make_elf64(&i, 0, bad[n].paddr, 8);
		p->p_offset = bad[n].offset;
		p->p_paddr = bad[n].paddr;
		p->p_filesz = bad[n].filesz;
		p->p_memsz = bad[n].memsz;
		ret = boot_image(&i);
		ck_assert_msg(ret == -bad[n].errnum, "%s: %d: %s", bad[n].why, ret, err.text);
		check_message(kernel_path);
	}
	/* The limits themselves are fine: to the last byte of RAM, right above the tables. */
	const uint64_t good[] = {LOW_RAM - 512,	    LAYOUT_LOADER_END,
				 LAYOUT_ACPI - 512, LAYOUT_ACPI + LAYOUT_ACPI_MAX,
				 ELF_DATA - 512,    ELF_DATA + 256};

	for (size_t n = 0; n < sizeof(good) / sizeof(good[0]); n++) {
		Elf64_Phdr *p = (Elf64_Phdr *)(i.data + 64) + 1;

		make_elf64(&i, 0, good[n], 8);
		p->p_paddr = good[n];
		expect_ok(boot_image(&i));
		check_bytes(good[n], 0x64, 256);
	}
}
END_TEST

START_TEST(elf_bad_headers)
{
	struct image i;
	Elf64_Ehdr *h = (Elf64_Ehdr *)i.data;

	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_machine = EM_AARCH64;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_type = ET_REL;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_ident[EI_CLASS] = 3;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_ident[EI_DATA] = ELFDATA2MSB;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_phnum = 0;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_phnum = 0xffff;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_phentsize = 32;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_phoff = UINT64_MAX - 8;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* Nothing to load. */
	make_elf64(&i, 0, ELF_TEXT, 8);
	h->e_phnum = 1;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Multiboot                                                                  */

START_TEST(multiboot_elf32)
{
	const uint32_t *info;
	char want[128];
	struct image i;

	make_elf32(&i, (uint32_t)ELF_TEXT + 4);
	put_multiboot(&i, 600, 0x3, NULL);
	dirty(0x400000, 0x1000);
	dirty(LAYOUT_MB_INFO, LAYOUT_MB_INFO_MAX);
	expect_ok(boot_image(&i));
	check_protected32((uint32_t)ELF_TEXT + 4);
	ck_assert_uint_eq(entry.gprs.r[HV_RAX], 0x2badb002);
	check_bytes(ELF_TEXT, 0x32, 88);
	check_bytes(ELF_TEXT + 256, 0, 256);
	check_bytes(0x400000, 0, 0x1000);

	info = at(entry.gprs.r[HV_RBX]);
	ck_assert_uint_eq(info[0], 0x245); /* memory, command line, map, loader; no modules */
	ck_assert_uint_eq(info[1], 639);
	ck_assert_uint_eq(info[2], (LOW_RAM - MiB(1)) >> 10);
	snprintf(want, sizeof(want), "%s console=ttyS0", kernel_path);
	ck_assert_str_eq(at(info[4]), want);
	ck_assert_uint_eq(info[5], 0);
	ck_assert_str_eq(at(info[16]), "hv");
	/* Six map entries of 24 bytes, each 20 long not counting its size. */
	ck_assert_uint_eq(info[11], 6 * 24);
	ck_assert_uint_eq(get32(info[12] + 3 * 24), 20);
	ck_assert_uint_eq(get64(info[12] + 3 * 24 + 4), MiB(1));
	ck_assert_uint_eq(get64(info[12] + 3 * 24 + 12), LOW_RAM - MiB(1));
	ck_assert_uint_eq(get32(info[12] + 3 * 24 + 20), 1);
	ck_assert_uint_eq(get64(info[12] + 5 * 24 + 4), LAYOUT_HIGH_RAM);
}
END_TEST

START_TEST(multiboot_elf64)
{
	struct image i;

	/* The entry of a higher-half kernel becomes physical; 32-bit mode all the same. */
	make_elf64(&i, ELF_KERNEL, ELF_TEXT, 8);
	put_multiboot(&i, 1000, 0, NULL);
	expect_ok(boot_image(&i));
	check_protected32(ELF_TEXT + 0x10);
	ck_assert_uint_eq(entry.gprs.r[HV_RAX], 0x2badb002);
	/* Its first byte, and the last of what it has in memory */
	((Elf64_Ehdr *)i.data)->e_entry = ELF_KERNEL + ELF_TEXT;
	expect_ok(boot_image(&i));
	check_protected32(ELF_TEXT);
	((Elf64_Ehdr *)i.data)->e_entry = ELF_KERNEL + ELF_TEXT + 511;
	expect_ok(boot_image(&i));
	check_protected32(ELF_TEXT + 511);
	((Elf64_Ehdr *)i.data)->e_entry++;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* A physical entry in a kernel linked high is taken as it is. */
	((Elf64_Ehdr *)i.data)->e_entry = ELF_TEXT + 0x18;
	expect_ok(boot_image(&i));
	check_protected32(ELF_TEXT + 0x18);
	/* One that is neither is refused. */
	((Elf64_Ehdr *)i.data)->e_entry = ELF_TEXT + 0x200;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
}
END_TEST

START_TEST(multiboot_before_pvh)
{
	struct image i;

	make_elf64(&i, 0, ELF_TEXT + 0x20, 8);
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(entry.gprs.rip, ELF_TEXT + 0x20);
	put_multiboot(&i, 1000, 0, NULL);
	expect_ok(boot_image(&i));
	ck_assert_uint_eq(entry.gprs.rip, ELF_TEXT + 0x10);
}
END_TEST

START_TEST(multiboot_flat)
{
	struct image i;

	make_flat(&i);
	dirty(0x120000, 0x2000);
	expect_ok(boot_image(&i));
	check_protected32(0x120080);
	check_bytes(0x120060, 0xf1, 0x3a0);
	check_bytes(0x120400, 0, 0x1000);
	check_bytes(0x121400, 0xee, 0xc00);

	/* load_end 0: the whole file; bss_end 0: no .bss; header not at the beginning. */
	const uint32_t all[5] = {0x120040, 0x120020, 0, 0, 0x120040};

	make_flat(&i);
	put_multiboot(&i, 64, 0x10000, all);
	dirty(0x120000, 0x2000);
	expect_ok(boot_image(&i));
	check_bytes(0x120000, 0xee, 0x20);
	check_bytes(0x120060, 0xf1, 0x3a0);
	check_bytes(0x120400, 0xee, 0x100);
}
END_TEST

START_TEST(multiboot_bad_addresses)
{
	static const uint32_t bad[][5] = {
		{0x120040, 0x120041, 0, 0, 0x120041},	       /* loads after its header */
		{0x120040, 0x11ffff, 0, 0, 0x120040},	       /* before the file begins */
		{0x120040, 0x120000, 0x11ffff, 0, 0x120040},   /* ends before it begins */
		{0x120040, 0x120000, 0x120401, 0, 0x120040},   /* more than the file has */
		{0x120040, 0x120000, 0, 0x1203ff, 0x120040},   /* .bss ends in the data */
		{0x120040, 0x120000, 0, 0xffffffff, 0x120040}, /* more than memory */
		{0x120040, 0x120000, 0, 0, 0x11ffff},	       /* entry before */
		{0x120040, 0x120000, 0, 0, 0x120400},	       /* entry after */
		{0x1040, 0x1000, 0, 0, 0x1040},		       /* over the loader's data */
		{0xfffffff0, 0xfffffff0, 0, 0, 0xfffffff0},    /* not in RAM */
		{0, 0, 0, 0, 0},
	};
	struct image i;

	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		make_flat(&i);
		put_multiboot(&i, 64, 0x10000, bad[n]);
		ck_assert_msg(boot_image(&i) < 0, "addresses %zu", n);
		check_message(kernel_path);
	}
}
END_TEST

START_TEST(multiboot_headers)
{
	uint8_t *file = calloc(1, KiB(16));
	struct image i;

	/* A required feature that nobody knows; a video mode is only a wish. */
	make_elf32(&i, (uint32_t)ELF_TEXT);
	put_multiboot(&i, 600, 0x8, NULL);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	put_multiboot(&i, 600, 0x7, NULL);
	expect_ok(boot_image(&i));
	/* A wrong checksum, or an unaligned header, is none. */
	put_multiboot(&i, 600, 0, NULL);
	i.data[608]++;
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	make_elf32(&i, (uint32_t)ELF_TEXT);
	put_multiboot(&i, 602, 0, NULL);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* Neither ELF nor addresses. */
	make_flat(&i);
	put_multiboot(&i, 64, 0, NULL);
	expect_error(boot_image(&i), ENOEXEC, kernel_path);
	/* The last place in the first 8 KiB, and the first beyond. */
	make_elf32(&i, (uint32_t)ELF_TEXT);
	for (size_t offset = KiB(8) - 12; offset <= KiB(8) - 8; offset += 4) {
		const uint32_t h[3] = {0x1badb002, 0, -0x1badb002U};

		memset(file, 0, KiB(16));
		memcpy(file, i.data, i.len);
		memcpy(file + offset, h, sizeof(h));
		write_file(kernel_path, file, KiB(16));
		ck_assert_int_eq(boot((struct boot_config){0}),
				 offset == KiB(8) - 12 ? 0 : -ENOEXEC);
	}
	free(file);
}
END_TEST

START_TEST(multiboot_modules)
{
	const char *modules[2];
	const uint32_t *info;
	char with_args[96];
	struct image i;

	make_elf32(&i, (uint32_t)ELF_TEXT);
	put_multiboot(&i, 600, 0, NULL);
	write_file(kernel_path, i.data, i.len);
	write_file(initrd_path, "0123456789", 10);
	snprintf(with_args, sizeof(with_args), "%s one two", initrd_path);
	modules[0] = with_args;
	modules[1] = kernel_path;
	expect_ok(boot(
		(struct boot_config){.initrd = initrd_path, .modules = modules, .nr_modules = 2}));

	info = at(entry.gprs.r[HV_RBX]);
	ck_assert_uint_eq(info[0] & 0x8, 0x8);
	ck_assert_uint_eq(info[5], 3);
	/* After the kernel's .bss, each on a page of its own. */
	ck_assert_uint_eq(get32(info[6]), 0x401000);
	ck_assert_uint_eq(get32(info[6] + 4), 0x40100a);
	ck_assert_str_eq(at(get32(info[6] + 8)), initrd_path);
	ck_assert_mem_eq(at(get32(info[6] + 16)), "0123456789", 10);
	ck_assert_uint_eq(get32(info[6] + 16), 0x402000);
	ck_assert_str_eq(at(get32(info[6] + 24)), with_args);
	ck_assert_mem_eq(at(get32(info[6] + 32)), i.data, i.len);
	ck_assert_str_eq(at(get32(info[6] + 40)), kernel_path);

	/* Too large, missing, or for a kernel that takes none. */
	ck_assert_int_eq(truncate(initrd_path, (off_t)LOW_RAM), 0);
	expect_error(boot((struct boot_config){.modules = modules, .nr_modules = 1}), ENOSPC,
		     initrd_path);
	ck_assert_ptr_nonnull(strstr(err.text, "65536 KiB"));
	unlink(initrd_path);
	expect_error(boot((struct boot_config){.modules = modules, .nr_modules = 1}), ENOENT,
		     initrd_path);
	make_bzimage(&i);
	write_file(kernel_path, i.data, i.len);
	expect_error(boot((struct boot_config){.modules = modules, .nr_modules = 1}), EINVAL,
		     kernel_path);
}
END_TEST

START_TEST(multiboot_strings_too_long)
{
	char *line = malloc(LAYOUT_MB_INFO_MAX + 1);
	struct image i;

	memset(line, 'y', LAYOUT_MB_INFO_MAX);
	line[LAYOUT_MB_INFO_MAX] = '\0';
	make_flat(&i);
	write_file(kernel_path, i.data, i.len);
	for (size_t len = LAYOUT_MB_INFO_MAX; len > LAYOUT_MB_INFO_MAX - 600; len--) {
		int ret;

		line[len] = '\0';
		dirty(LAYOUT_LOADER_END, 16);
		ret = boot((struct boot_config){.cmdline = line});
		ck_assert(ret == 0 || ret == -E2BIG);
		check_bytes(LAYOUT_LOADER_END, 0xee, 16);
	}
	free(line);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot");
	TCase *tc = tcase_create("boot");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, memmap);
	tcase_add_test(tc, linux_good);
	tcase_add_test(tc, linux_page_tables);
	tcase_add_test(tc, linux_initrd_places);
	tcase_add_test(tc, linux_bad_headers);
	tcase_add_test(tc, linux_limits);
	tcase_add_test(tc, longest_cmdline);
	tcase_add_test(tc, linux_cmdline_limit);
	tcase_add_test(tc, pvh_good);
	tcase_add_test(tc, pvh_bad_notes);
	tcase_add_test(tc, pvh_notes);
	tcase_add_test(tc, elf_many_segments);
	tcase_add_test(tc, elf_bad_segments);
	tcase_add_test(tc, elf_bad_headers);
	tcase_add_test(tc, multiboot_elf32);
	tcase_add_test(tc, multiboot_elf64);
	tcase_add_test(tc, multiboot_before_pvh);
	tcase_add_test(tc, multiboot_flat);
	tcase_add_test(tc, multiboot_bad_addresses);
	tcase_add_test(tc, multiboot_headers);
	tcase_add_test(tc, multiboot_modules);
	tcase_add_test(tc, multiboot_strings_too_long);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
