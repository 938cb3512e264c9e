/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host files the user names (kernels, initrds, modules, fw_cfg files): opened
 * so that nothing but a regular file gets through, and read with bounds checks.
 */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "platform/mem.h"

/*
 * What a machine has opened, kept until it ends: a reset reads the files that it began with, whatever has become
 * of their names. Zero it first.
 */
struct host_files {
	struct kept_file *file;
	unsigned int nr;
	bool (*interrupted)(void); /* reading is to end with EINTR; NULL: never */
};

struct host_file {
	const char *what; /* "kernel", "initrd"...: begins every message */
	const char *path; /* the caller's string, which outlives the file */
	int fd;
	bool kept;
	uint64_t size;
	bool (*interrupted)(void);
};

/*
 * Open a regular file; if it is among those that were kept, that one again, and else it is from now on. kept may
 * be NULL. FIFOs and devices are refused without waiting for them. Returns 0 or a negative errno with a message
 * that names the file.
 */
int host_file_open(struct host_files *kept, struct host_file *f, const char *what, const char *path,
		   struct error *e);
void host_file_close(struct host_file *f);
void host_files_close(struct host_files *kept);

/* Read exactly [offset, offset + len); -ENOEXEC when the file ends before that, -EINTR between its pieces. */
int host_file_read(const struct host_file *f, uint64_t offset, void *buf, size_t len,
		   struct error *e);

/* The same into guest memory at gpa; -ENOSPC unless the range is wholly RAM. */
int host_file_load(const struct host_file *f, uint64_t offset, uint64_t len, const struct mem *m,
		   uint64_t gpa, struct error *e);

#endif
