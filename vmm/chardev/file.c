// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Output into a file: a log, a named pipe, a device. Others may truncate it while we write:
 * O_APPEND goes on at its end, wherever that is. With rotate= it is renamed when it is as
 * large as is allowed (FILE.1 is the newest of the old ones), and a new one begun.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "log.h"
#include "resource.h"
#include "sandbox/place.h"

#define CHUNK_SIZE    4096
#define CHUNKS_A_TURN 16
#define OPEN_FLAGS    (O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

struct file {
	struct chardev dev;
	struct ring_reader reader;
	int fd;	      /* -1: its reader left */
	bool regular; /* not a pipe or a device */
	bool blocked;
	bool failing;	      /* it takes nothing now */
	uint64_t lost_before; /* reader.lost when that began */
	uint64_t rotate;      /* 0: not at all */
	uint64_t rotate_at;   /* the size at which it is to be tried the next time */
	unsigned int keep;
	bool rotate_failed;
	struct place place; /* with rotation */
	struct loop_timer *again_timer;
};

/*
 * One writer, as with disks, whose lock this is, too: two would overwrite each other, and
 * who names a disk here by mistake is told so. Where nothing can be locked, that is no
 * reason to do without a console.
 */
static bool in_use(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES);
}

static void close_fd(struct file *f)
{
	if (f->fd < 0)
		return;
	loop_del_fd(f->dev.loop, f->fd);
	close(f->fd);
	f->fd = -1;
}

/* ------------------------------------------------------------------------- */
/* Rotation                                                                   */

static char *old_name(const struct file *f, unsigned int n)
{
	size_t size = strlen(f->place.name) + 12;
	char *name = malloc(size);

	if (name && n)
		snprintf(name, size, "%s.%u", f->place.name, n);
	else if (name)
		strcpy(name, f->place.name);
	return name;
}

/* FILE.1 to FILE.2 and so on, and FILE to FILE.1. One that is not there is no matter. */
static int rename_all(const struct file *f)
{
	int ret = 0;

	for (unsigned int n = f->keep; n && !ret; n--) {
		char *from = old_name(f, n - 1), *to = old_name(f, n);

		if (!from || !to)
			ret = -ENOMEM;
		else if (renameat(f->place.dir, from, f->place.dir, to) && errno != ENOENT)
			ret = -errno;
		free(from);
		free(to);
	}
	return ret;
}

/* Whether FILE is still ours: somebody may have moved it away, or put another one there. */
static bool is_ours(const struct file *f)
{
	struct stat st;

	return !fstat(f->fd, &st) && place_is(f->place.dir, f->place.name, &st);
}

static int begin_new(struct file *f)
{
	struct stat st = {.st_mode = 0644};
	int fd, ret = is_ours(f) ? rename_all(f) : 0;

	if (ret)
		return ret;
	fstat(f->fd, &st);
	fd = openat(f->place.dir, f->place.name, OPEN_FLAGS | O_EXCL, st.st_mode & 0777);
	if (fd < 0)
		return -errno;
	/* Nobody else knows of it yet. A lock of another's would be on the old one. */
	in_use(fd);
	fchmod(fd, st.st_mode & 0777);
	close(f->fd);
	f->fd = fd;
	return 0;
}

/* Regular files are not in the loop, so the descriptor may just be another one. */
static void rotate(struct file *f, uint64_t size)
{
	int ret = begin_new(f);

	f->rotate_at = ret ? size + f->rotate : f->rotate;
	if (ret && !f->rotate_failed)
		log_error("console: cannot rotate %s: %s; it grows", f->dev.path, strerror(-ret));
	f->rotate_failed = ret;
}

/* How much may be written now. */
static size_t room(struct file *f)
{
	struct stat st;
	uint64_t left;

	if (!f->rotate || fstat(f->fd, &st))
		return CHUNK_SIZE;
	/* Somebody truncated it. */
	if ((uint64_t)st.st_size < f->rotate)
		f->rotate_at = f->rotate;
	if ((uint64_t)st.st_size >= f->rotate_at) {
		rotate(f, (uint64_t)st.st_size);
		if (fstat(f->fd, &st))
			return CHUNK_SIZE;
	}
	left = f->rotate_at - (uint64_t)st.st_size;
	return left < CHUNK_SIZE ? left : CHUNK_SIZE;
}

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

/* A full disk, a quota, a limit: it may pass. Meanwhile the ring keeps what it can. */
static void output_waits(struct file *f, int err)
{
	if (!f->failing) {
		log_error("console: cannot write to %s: %s; it is tried again", f->dev.path,
			  strerror(err));
		f->lost_before = f->reader.lost;
	}
	f->failing = f->blocked = true;
	chardev_try_again(f->again_timer);
}

static void output_goes_on(struct file *f)
{
	f->failing = false;
	log_info("console: %s takes output again; %llu bytes were lost", f->dev.path,
		 (unsigned long long)(f->reader.lost - f->lost_before));
}

static void output_failed(struct file *f, int err)
{
	if (f->regular) {
		output_waits(f, err);
		return;
	}
	/* The reader of a pipe just left. */
	if (err != EPIPE)
		log_error("console: cannot write to %s: %s; its output stops here", f->dev.path,
			  strerror(err));
	close_fd(f);
}

static bool file_output(struct chardev *d, bool retry)
{
	struct file *f = (struct file *)d;
	uint8_t chunk[CHUNK_SIZE];

	if (f->fd < 0 || (f->blocked && !retry))
		return false;
	f->blocked = false;
	for (unsigned int turn = 0; turn < CHUNKS_A_TURN; turn++) {
		size_t len = ring_peek(d->ring, &f->reader, chunk, sizeof(chunk));
		size_t most = len ? room(f) : 0;
		ssize_t n;

		if (!len)
			return false;
		n = write(f->fd, chunk, len < most ? len : most);
		if (n >= 0) {
			ring_took(&f->reader, (size_t)n);
			if (f->failing)
				output_goes_on(f);
		} else if (errno == EAGAIN && !loop_mod_fd(d->loop, f->fd, EPOLLOUT)) {
			f->blocked = true;
			return false;
		} else if (errno != EINTR) {
			output_failed(f, errno);
			return false;
		}
	}
	return true;
}

static void on_output(void *arg, int fd, uint32_t events)
{
	struct file *f = arg;

	(void)events;
	loop_mod_fd(f->dev.loop, fd, 0);
	if (file_output(&f->dev, true))
		console_more(f->dev.con);
}

static void on_again(void *arg)
{
	struct file *f = arg;

	if (file_output(&f->dev, true))
		console_more(f->dev.con);
}

static size_t file_pending(struct chardev *d)
{
	struct file *f = (struct file *)d;

	return f->fd < 0 ? 0 : ring_pending(d->ring, &f->reader);
}

/* ------------------------------------------------------------------------- */

/* Rotation renames the file, not a symbolic link to it. */
static int find_real_path(struct file *f, struct error *e)
{
	char *real = realpath(f->dev.path, NULL);

	if (!real)
		return error_set(e, errno, "console file '%s': %s", f->dev.path, strerror(errno));
	free(f->dev.path);
	f->dev.path = real;
	return chardev_place(&f->dev, &f->place, PLACE_CREATE, "console file", e);
}

/* What the file holds is kept until the machine begins. */
static int file_open(struct chardev *d, const struct console_where *where, struct error *e)
{
	struct file *f = (struct file *)d;
	struct stat st;
	int ret;

	f->rotate = f->rotate_at = where->rotate;
	f->keep = where->keep;
	/* O_NONBLOCK: a named pipe that nobody reads is an error rather than a hang. */
	f->fd = resource_open(d->path, OPEN_FLAGS, 0644);
	if (f->fd < 0 && errno == ENXIO)
		return error_set(e, ENXIO,
				 "console file '%s': a pipe without a reader; start the "
				 "reader first",
				 d->path);
	if (f->fd < 0)
		return error_set(e, errno, "console file '%s': %s%s", d->path, strerror(errno),
				 chardev_remedy(errno));
	f->regular = !fstat(f->fd, &st) && S_ISREG(st.st_mode);
	if (f->regular && in_use(f->fd))
		return error_set(e, EBUSY,
				 "console file '%s': in use by another machine; choose another "
				 "file",
				 d->path);
	if (f->rotate && resource_is_fd(d->path))
		return error_set(e, EINVAL,
				 "console file '%s': a descriptor has no name to be rotated by",
				 d->path);
	if (f->rotate && !f->regular)
		return error_set(e, EINVAL, "console file '%s': only a plain file can be rotated",
				 d->path);
	ret = f->rotate ? find_real_path(f, e) : 0;
	if (ret)
		return ret;
	f->again_timer = loop_timer_create(d->loop, on_again, f);
	if (!f->again_timer)
		return error_set(e, ENOMEM, "out of memory for the console");
	/* A regular file never blocks, nor can it be waited for. */
	ret = f->regular ? 0 : loop_add_fd(d->loop, f->fd, 0, on_output, f);
	return ret ? error_set(e, -ret, "console file '%s': %s", d->path, strerror(-ret)) : 0;
}

static int file_begin(struct chardev *d, struct error *e)
{
	struct file *f = (struct file *)d;
	struct stat st;

	if (f->rotate && !fstat(f->fd, &st) && st.st_size)
		rotate(f, (uint64_t)st.st_size);
	else if (f->regular && ftruncate(f->fd, 0))
		return error_set(e, errno, "console file '%s': %s", d->path, strerror(errno));
	return 0;
}

static void file_close(struct chardev *d)
{
	struct file *f = (struct file *)d;

	/* Nothing is lost to one that was not even opened. */
	if (f->again_timer)
		chardev_say_lost(file_pending(d), d->path);
	loop_timer_destroy(f->again_timer);
	close_fd(f);
	place_close(&f->place);
}

const struct chardev_ops file_ops = {
	.size = sizeof(struct file),
	.open = file_open,
	.begin = file_begin,
	.output = file_output,
	.pending = file_pending,
	.close = file_close,
};
