// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "block/file.h"
#include "block/format.h"

#define CONVERT "convert it with 'qemu-img convert -O raw'"

struct signature {
	struct format format;
	bool at_end;   /* in the last sector, not in the first */
	size_t offset; /* in that sector */
	const char *bytes;
	size_t len;
};

#define MAGIC(text) .bytes = (text), .len = sizeof(text) - 1

/*
 * Sources: the qcow2, QED and Parallels specifications of QEMU's docs/interop, Microsoft's of VHD and VHDX,
 * VMware's "Virtual Disk Format 5.0", VirtualBox's VDICore.h; RFC 1952 (gzip), RFC 8878 (Zstandard), the .xz
 * file format, bzip2's manual.
 */
static const struct signature signatures[] = {
	{{"qcow2", CONVERT}, MAGIC("QFI\xfb")},
	{{"qed", CONVERT}, MAGIC("QED\0")},
	{{"vmdk", CONVERT}, MAGIC("KDMV")},
	{{"vmdk", CONVERT}, MAGIC("COWD")},
	{{"vmdk", CONVERT}, MAGIC("# Disk DescriptorFile")},
	{{"vhdx", CONVERT}, MAGIC("vhdxfile")},
	{{"vhd", CONVERT}, MAGIC("conectix")},
	{{"vhd", CONVERT}, .at_end = true, MAGIC("conectix")},
	{{"vdi", CONVERT}, .offset = 64, MAGIC("\x7f\x10\xda\xbe")},
	{{"parallels", CONVERT}, MAGIC("WithoutFreeSpace")},
	{{"parallels", CONVERT}, MAGIC("WithouFreSpacExt")},
	{{"gzip", "unpack it with 'gunzip'"}, MAGIC("\x1f\x8b\x08")},
	{{"xz", "unpack it with 'unxz'"}, MAGIC("\xfd\x37zXZ\0")},
	{{"zstd", "unpack it with 'unzstd'"}, MAGIC("\x28\xb5\x2f\xfd")},
	{{"bzip2", "unpack it with 'bunzip2'"}, MAGIC("BZh")},
};

static int read_sector(int fd, char sector[BLOCK_SECTOR], uint64_t offset)
{
	ssize_t n = pread(fd, sector, BLOCK_SECTOR, (off_t)offset);

	if (n < 0)
		return -errno;
	/* A compressed file need not be a whole sector long. */
	memset(sector + n, 0, BLOCK_SECTOR - n);
	return 0;
}

int format_find(int fd, uint64_t size, const struct format **found)
{
	uint64_t last = size > BLOCK_SECTOR ? size - BLOCK_SECTOR : 0;
	char first[BLOCK_SECTOR], end[BLOCK_SECTOR];
	int ret = read_sector(fd, first, 0);

	if (!ret)
		ret = read_sector(fd, end, last);
	for (size_t i = 0; !ret && !*found && i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		const struct signature *s = &signatures[i];
		const char *sector = s->at_end ? end : first;

		if (memcmp(sector + s->offset, s->bytes, s->len) == 0)
			*found = &s->format;
	}
	return ret;
}
