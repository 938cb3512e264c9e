/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the boot loaders share: a guest with RAM below and above the
 * 32-bit hole, a kernel file to load into it, and small good images of every
 * format. Included by test_boot.c and test_boot_files.c.
 */
#ifndef TESTS_UNIT_BOOT_IMAGE_H
#define TESTS_UNIT_BOOT_IMAGE_H

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <asm/bootparam.h>

#include "boot/boot.h"
#include "platform/layout.h"
#include "written.h"

#define LOW_RAM	 MiB(64)
#define HIGH_RAM MiB(16)

static struct mem mem;
static char dir[] = "/tmp/hv-test-boot-XXXXXX";
static char kernel_path[64], initrd_path[64];
static struct error err;
static struct boot_entry entry;

static inline void add_ram(uint64_t gpa, uint64_t len)
{
	ck_assert_msg(mem_add_ram(&mem, gpa, len, &err) == 0, "%s", err.text);
}

static inline void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(kernel_path, sizeof(kernel_path), "%s/kernel", dir);
	snprintf(initrd_path, sizeof(initrd_path), "%s/initrd", dir);
	memset(&mem, 0, sizeof(mem));
	add_ram(0, LOW_RAM);
	add_ram(LAYOUT_HIGH_RAM, HIGH_RAM);
}

static inline void teardown(void)
{
	mem_destroy(&mem);
	unlink(kernel_path);
	unlink(initrd_path);
	rmdir(dir);
}

static inline void write_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	fclose(f);
}

/* Load kernel_path; the fields not set in cfg are the defaults. */
static inline int boot(struct boot_config cfg)
{
	int ret;

	cfg.kernel = kernel_path;
	err.text[0] = '\0';
	written_begin(&mem);
	ret = boot_load(&mem, &cfg, &entry, &err);
	written_end(&mem);
	return ret;
}

/* The message is one line, names the file, and says what to do. */
static inline void check_message(const char *path)
{
	ck_assert_msg(strstr(err.text, path) != NULL, "no '%s' in: %s", path, err.text);
	ck_assert_ptr_null(strchr(err.text, '\n'));
	ck_assert_msg(strstr(err.text, path)[strlen(path)] != '\0', "nothing said: %s", err.text);
}

#define expect_error(ret, errnum, path)                                         \
	do {                                                                    \
		ck_assert_msg((ret) == -(errnum), "got %d: %s", ret, err.text); \
		check_message(path);                                            \
	} while (0)

#define expect_ok(ret) ck_assert_msg((ret) == 0, "%s", err.text)

static inline const void *at(uint64_t gpa)
{
	const void *p = mem_read(&mem, gpa, 1);

	ck_assert_ptr_nonnull(p);
	return p;
}

static inline uint64_t get64(uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, at(gpa), sizeof(v));
	return v;
}

static inline uint32_t get32(uint64_t gpa)
{
	uint32_t v;

	memcpy(&v, at(gpa), sizeof(v));
	return v;
}

/* ------------------------------------------------------------------------- */
/* Images                                                                     */

struct image {
	uint8_t data[4096];
	size_t len;
};

#define BZ_SETUP 1024 /* setup_sects 1, and the boot sector */

static inline struct setup_header *bz_header(struct image *i)
{
	return (struct setup_header *)(i->data + 0x1f1);
}

/* A bzImage whose protected-mode part is 1 KiB of 0xb2 to be loaded at 2 MiB. */
static inline void make_bzimage(struct image *i)
{
	struct setup_header *h = bz_header(i);

	memset(i, 0, sizeof(*i));
	i->len = BZ_SETUP + 1024;
	memset(i->data + BZ_SETUP, 0xb2, 1024);
	i->data[0x1ef] = 0xff; /* the sentinel, not to be copied */
	h->setup_sects = 1;
	h->syssize = 1024 / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;
	h->header = 0x53726448;
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->xloadflags = XLF_KERNEL_64;
	h->cmdline_size = 2047;
	h->pref_address = MiB(2);
	h->init_size = MiB(8);
	h->setup_data = 0x1234;
}

#define ELF_TEXT   0x00200000ULL /* physical; 256 bytes in the file, 512 in memory */
#define ELF_DATA   0x00300000ULL
#define ELF_KERNEL 0xffffffff80000000ULL /* virtual minus physical, where wanted */

/* Note, text and data segments; the note holds value in 4 or 8 bytes. */
static inline void make_elf64(struct image *i, uint64_t virt, uint64_t note_value,
			      uint32_t note_len)
{
	Elf64_Ehdr h = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = virt + ELF_TEXT + 0x10,
		.e_phoff = sizeof(h),
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
	};
	Elf64_Phdr p[3] = {
		{PT_NOTE, PF_R, 256, 0, 0, 64, 64, 4},
		{PT_LOAD, PF_R | PF_X, 512, virt + ELF_TEXT, ELF_TEXT, 256, 512, 4096},
		{PT_LOAD, PF_R | PF_W, 768, virt + ELF_DATA, ELF_DATA, 256, 256, 4096},
	};
	Elf64_Nhdr other = {4, 8, 1}, note = {4, note_len, 18};

	memset(i, 0, sizeof(*i));
	memcpy(i->data, &h, sizeof(h));
	memcpy(i->data + h.e_phoff, p, sizeof(p));
	/* One note of another owner first, with the same type number. */
	other.n_type = 18;
	memcpy(i->data + 256, &other, sizeof(other));
	memcpy(i->data + 268, "GNU", 4);
	memcpy(i->data + 280, &note, sizeof(note));
	memcpy(i->data + 292, "Xen", 4);
	memcpy(i->data + 296, &note_value, note_len);
	memset(i->data + 512, 0x64, 256);
	memset(i->data + 768, 0xda, 256);
	i->len = 1024;
}

static inline void make_elf32(struct image *i, uint32_t entry_point)
{
	Elf32_Ehdr h = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = entry_point,
		.e_phoff = sizeof(h),
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 2,
	};
	Elf32_Phdr p[2] = {
		{PT_LOAD, 512, (uint32_t)ELF_TEXT, (uint32_t)ELF_TEXT, 256, 512, PF_X, 4096},
		{PT_LOAD, 0, 0x00400000, 0x00400000, 0, 0x1000, PF_W, 4096},
	};

	memset(i, 0, sizeof(*i));
	memcpy(i->data, &h, sizeof(h));
	memcpy(i->data + h.e_phoff, p, sizeof(p));
	memset(i->data + 512, 0x32, 256);
	i->len = 768;
}

/* A Multiboot header at offset; the five address fields may be NULL. */
static inline void put_multiboot(struct image *i, size_t offset, uint32_t flags,
				 const uint32_t *fields)
{
	uint32_t h[8] = {0x1badb002, flags, -(0x1badb002 + flags)};

	if (fields)
		memcpy(&h[3], fields, 20);
	memcpy(i->data + offset, h, fields ? 32 : 12);
}

/* 1 KiB that loads at 1 MiB + 0x20000, header at offset 64, with 4 KiB of .bss. */
static inline void make_flat(struct image *i)
{
	const uint32_t f[5] = {0x120040, 0x120000, 0x120400, 0x121400, 0x120080};

	memset(i, 0, sizeof(*i));
	memset(i->data, 0xf1, 1024);
	put_multiboot(i, 64, 0x10003, f);
	i->len = 1024;
}

static inline int boot_image(const struct image *i)
{
	write_file(kernel_path, i->data, i->len);
	return boot((struct boot_config){.cmdline = "console=ttyS0"});
}

/* ------------------------------------------------------------------------- */
/* What every kernel finds                                                    */

static inline void check_flat_segments(uint32_t code_ar)
{
	const struct hv_sregs *s = &entry.sregs;
	const struct hv_segment *data[] = {&s->ds, &s->es, &s->fs, &s->gs, &s->ss};

	ck_assert_uint_eq(s->cs.ar, code_ar);
	ck_assert_uint_eq(s->cs.base, 0);
	ck_assert_uint_eq(s->cs.limit, 0xffffffff);
	ck_assert_uint_eq(s->cs.selector, 0x10);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_uint_eq(data[i]->ar, 0xc093);
		ck_assert_uint_eq(data[i]->base, 0);
		ck_assert_uint_eq(data[i]->limit, 0xffffffff);
		ck_assert_uint_eq(data[i]->selector, 0x18);
	}
	ck_assert_uint_eq(s->tr.ar, 0x8b);
	ck_assert_uint_ge(s->tr.limit, 0x67);
	ck_assert_uint_eq(s->ldt.ar & HV_AR_UNUSABLE, HV_AR_UNUSABLE);
	ck_assert_uint_eq(s->gdt.base, LAYOUT_BOOT_GDT);
	ck_assert_uint_eq(s->gdt.limit, 0x1f);
	ck_assert_uint_eq(get64(LAYOUT_BOOT_GDT), 0);
	ck_assert_uint_eq(get64(LAYOUT_BOOT_GDT + 0x18), 0x00cf93000000ffffULL);
	ck_assert_uint_eq(s->apic_base, 0xfee00900);
	ck_assert_uint_eq(s->xcr0, 1);
	ck_assert_uint_eq(s->cr8, 0);
	ck_assert_uint_eq(entry.gprs.rflags, 2);
}

static inline void check_protected32(uint32_t eip)
{
	check_flat_segments(0xc09b);
	ck_assert_uint_eq(get64(LAYOUT_BOOT_GDT + 0x10), 0x00cf9b000000ffffULL);
	ck_assert_uint_eq(entry.sregs.cr0, 0x11);
	ck_assert_uint_eq(entry.sregs.cr4, 0);
	ck_assert_uint_eq(entry.sregs.efer, 0);
	ck_assert_uint_eq(entry.gprs.rip, eip);
}

static inline void check_bytes(uint64_t gpa, uint8_t byte, size_t len)
{
	const uint8_t *p = mem_read(&mem, gpa, len);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(p[i] == byte, "%#llx: %#x", (unsigned long long)(gpa + i), p[i]);
}

/* Make sure that a zeroed range was zeroed, and not just never touched. */
static inline void dirty(uint64_t gpa, size_t len)
{
	memset(mem_write(&mem, gpa, len), 0xee, len);
}

#endif
