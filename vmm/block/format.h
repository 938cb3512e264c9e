/* SPDX-License-Identifier: GPL-2.0-or-later */
/* By which bytes one knows a disk image, or a compressed file, that is not raw. file.c asks. */
#ifndef VMM_BLOCK_FORMAT_H
#define VMM_BLOCK_FORMAT_H

#include <stdint.h>

struct format {
	const char *name;
	const char *remedy; /* how a raw image is made of it */
};

/*
 * What the file, of size bytes, begins or ends like; found stays NULL for anything else. A negative errno
 * when it cannot be read.
 */
int format_find(int fd, uint64_t size, const struct format **found);

#endif
