/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What boot.c and the loaders, one per boot protocol, share. No other file
 * includes this.
 */
#ifndef VMM_BOOT_LOADER_H
#define VMM_BOOT_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot.h"
#include "boot/file.h"
#include "boot/memmap.h"
#include "platform/layout.h"

#define LOADER_HEAD KiB(8) /* as far as a Multiboot header may lie */

/* One run of boot_load(). */
struct loader {
	const struct mem *mem;
	const struct boot_config *cfg;
	const char *cmdline; /* never NULL */
	struct memmap map;
	uint8_t *low;	  /* guest memory [0, 1 MiB): every LAYOUT_* below it is low + LAYOUT_* */
	uint64_t low_end; /* end of the RAM below the 32-bit hole, above 1 MiB */
	struct host_file kernel;
	uint8_t head[LOADER_HEAD]; /* the kernel file's beginning, zero beyond its end */
	size_t head_len;
};

/* A file placed in guest memory. */
struct loaded {
	uint64_t gpa;
	uint64_t size;
};

static inline uint64_t align_down(uint64_t n, uint64_t to)
{
	return n & ~(to - 1);
}

static inline uint64_t align_up(uint64_t n, uint64_t to)
{
	return align_down(n + to - 1, to);
}

/* -ENOEXEC with "kernel FILE: REASON". */
int loader_bad_kernel(const struct loader *l, struct error *e, const char *reason);

/* Copy the command line to LAYOUT_CMDLINE; -E2BIG above max characters. */
int loader_put_cmdline(struct loader *l, size_t max, struct error *e);

/*
 * Load the initrd as high as it goes below max_end, above 1 MiB and clear of the
 * kernel at [kernel, kernel_end). Does nothing but zero *out when there is none.
 */
int loader_put_initrd(const struct loader *l, uint64_t max_end, uint64_t kernel,
		      uint64_t kernel_end, struct loaded *out, struct error *e);

/* One per protocol: the *_probe functions look at the head only. */
bool linux_probe(const struct loader *l);
int linux_load(struct loader *l, struct boot_entry *out, struct error *e);
bool multiboot_probe(const struct loader *l);
int multiboot_load(struct loader *l, struct boot_entry *out, struct error *e);
bool pvh_probe(const struct loader *l);
int pvh_load(struct loader *l, struct boot_entry *out, struct error *e);

#endif
