// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opens and reads the files named on the command line. The loaders of this
 * folder and dev/fw_cfg.c call it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/file.h"
#include "resource.h"

/* Between two of them signals are looked for: a host may be slow. */
#define PIECE (1 << 20)

struct kept_file {
	char *path;
	int fd;
};

static int find_kept(const struct host_files *kept, const char *path)
{
	for (unsigned int i = 0; kept && i < kept->nr; i++)
		if (!strcmp(kept->file[i].path, path))
			return kept->file[i].fd;
	return -1;
}

static bool keep(struct host_files *kept, const char *path, int fd)
{
	struct kept_file *file = realloc(kept->file, (kept->nr + 1) * sizeof(*file));
	char *copy = strdup(path);

	if (file)
		kept->file = file;
	if (!file || !copy) {
		free(copy);
		return false;
	}
	kept->file[kept->nr++] = (struct kept_file){copy, fd};
	return true;
}

void host_files_close(struct host_files *kept)
{
	while (kept->nr) {
		struct kept_file *file = &kept->file[--kept->nr];

		close(file->fd);
		free(file->path);
	}
	free(kept->file);
	kept->file = NULL;
}

int host_file_open(struct host_files *kept, struct host_file *f, const char *what, const char *path,
		   struct error *e)
{
	struct stat st;
	int err;

	*f = (struct host_file){.what = what, .path = path, .fd = find_kept(kept, path)};
	f->kept = f->fd >= 0;
	/* Without O_NONBLOCK, opening a FIFO would wait for its writer. */
	if (!f->kept)
		f->fd = resource_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (f->fd < 0) {
		err = errno;
		return error_set(e, err, "%s %s: %s; check the path and its permissions", what,
				 path, strerror(err));
	}
	if (fstat(f->fd, &st) < 0) {
		err = errno;
		host_file_close(f);
		return error_set(e, err, "%s %s: %s", what, path, strerror(err));
	}
	if (!S_ISREG(st.st_mode)) {
		host_file_close(f);
		return error_set(e, EINVAL, "%s %s: is %s; name a regular file", what, path,
				 S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	}
	f->size = (uint64_t)st.st_size;
	f->interrupted = kept ? kept->interrupted : NULL;
	if (kept && !f->kept) {
		f->kept = keep(kept, path, f->fd);
		if (!f->kept) {
			host_file_close(f);
			return error_set(e, ENOMEM, "out of memory");
		}
	}
	return 0;
}

void host_file_close(struct host_file *f)
{
	if (f->fd >= 0 && !f->kept)
		close(f->fd);
	f->fd = -1;
}

int host_file_read(const struct host_file *f, uint64_t offset, void *buf, size_t len,
		   struct error *e)
{
	uint8_t *to = buf;

	if (offset > f->size || len > f->size - offset)
		return error_set(
			e, ENOEXEC,
			"%s %s: is truncated (%llu bytes; its header asks for more); copy or "
			"build it again",
			f->what, f->path, (unsigned long long)f->size);
	while (len) {
		size_t piece = len < PIECE ? len : PIECE;
		ssize_t got;

		if (f->interrupted && f->interrupted())
			return error_set(e, EINTR, "%s %s: a signal came while it was read",
					 f->what, f->path);
		got = pread(f->fd, to, piece, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			int err = got < 0 ? errno : EIO;

			return error_set(e, err, "%s %s: cannot be read: %s", f->what, f->path,
					 got < 0 ? strerror(err) : "it shrank while being read");
		}
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

int host_file_load(const struct host_file *f, uint64_t offset, uint64_t len, const struct mem *m,
		   uint64_t gpa, struct error *e)
{
	void *to = mem_write(m, gpa, len);

	if (!to)
		return error_set_at(
			e, ENOSPC, "memory",
			"%s %s: %llu bytes at %#llx do not fit in guest memory; give the "
			"guest more",
			f->what, f->path, (unsigned long long)len, (unsigned long long)gpa);
	return host_file_read(f, offset, to, len, e);
}
