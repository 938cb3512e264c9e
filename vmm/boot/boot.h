/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts a kernel and what belongs to it into guest memory and says in which state
 * the first vCPU starts. machine.c calls boot_load() once per start or reboot.
 *
 * The format is told by the file's own magic, in this order:
 *   1. bzImage ("HdrS" at 0x202): the 64-bit boot protocol of Linux (linux.c)
 *   2. a Multiboot 1 header in the first 8 KiB, in an ELF32, ELF64 or flat image
 *      (multiboot.c)
 *   3. ELF with a PVH entry note, as in vmlinux (pvh.c)
 * A file that is both 2 and 3 is started by Multiboot: a Multiboot header is
 * there on purpose in a hand-written kernel, and Linux has none.
 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

#include <stdint.h>

#include "boot/file.h"
#include "error.h"
#include "include/uapi/hv.h"
#include "platform/mem.h"

struct boot_config {
	const char *kernel;	    /* path */
	const char *initrd;	    /* path or NULL; a Multiboot kernel's first module */
	const char *cmdline;	    /* NULL is empty */
	const char *const *modules; /* Multiboot: "path arguments" each */
	unsigned int nr_modules;
	uint64_t acpi_rsdp;	  /* from acpi_build(); 0: none */
	struct host_files *files; /* where what is opened is kept; NULL: it is not */
};

/* The whole initial state of the boot processor, and where Linux finds its initrd. */
struct boot_entry {
	struct hv_gprs gprs;
	struct hv_sregs sregs;
	uint64_t initrd, initrd_len; /* length 0: none */
};

/*
 * Returns 0, or a negative errno with a message that names the file at fault and
 * says what to do, and with the option at fault. Guest memory is partly written after a
 * failure.
 */
int boot_load(const struct mem *m, const struct boot_config *cfg, struct boot_entry *out,
	      struct error *e);

#endif
