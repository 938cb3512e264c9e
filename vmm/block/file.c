// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opening disk images, and what a request needs beyond one system call: the rest
 * after a short transfer, another try, and zeroes written by hand where the
 * file system has no better way. virtio/blk.c calls it.
 */
#define _GNU_SOURCE /* open file description locks */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/engine.h"
#include "block/file.h"
#include "block/format.h"
#include "log.h"
#include "resource.h"

#define ZEROES_SIZE (256u << 10)

/*
 * What one system call may transfer, or discard and zero: a request is only given up between two, so that
 * is what a guest's reset, or the end of a machine, may have to wait for.
 */
#define PIECE_BYTES (1u << 20)
#define PIECE_RANGE (64u << 20)

/* Written to disks, never written itself: its pages take no memory. */
static uint8_t zeroes[ZEROES_SIZE];

struct block {
	int fd;
	char *path;
	uint64_t size;
	uint64_t told;	    /* a bit for each error that was reported */
	unsigned int given; /* requests that the engine has */
	bool stopped;
	struct list held; /* those that it has not, while stopped */
	struct engine *engine;
	struct block *next; /* among those that could not be closed */
};

/* Never freed, and never looked at: what the host may still write to is not lost, it is here. */
static struct block *not_closed;

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

int fallocate_mode(enum block_op op)
{
	return FALLOC_FL_KEEP_SIZE |
	       (op == BLOCK_ZERO ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
}

static bool transfers(const struct block_io *io)
{
	return io->op == BLOCK_READ || io->op == BLOCK_WRITE;
}

/* As many of the buffers as make a piece; the last is cut short for it, until advance(). */
static void aim_buffers(struct block_io *io)
{
	struct block_piece *p = &io->piece;

	p->iov = io->iov;
	p->nr_iov = 0;
	p->len = 0;
	while (p->len < PIECE_BYTES && p->nr_iov < io->nr_iov)
		p->len += p->iov[p->nr_iov++].iov_len;
	if (p->len > PIECE_BYTES) {
		p->cut = p->len - PIECE_BYTES;
		p->iov[p->nr_iov - 1].iov_len -= p->cut;
		p->len = PIECE_BYTES;
	}
}

static void aim_zeroes(struct block_io *io)
{
	struct block_piece *p = &io->piece;

	p->len = io->len < ZEROES_SIZE ? io->len : ZEROES_SIZE;
	io->zeroes = (struct iovec){.iov_base = zeroes, .iov_len = p->len};
	p->iov = &io->zeroes;
	p->nr_iov = 1;
}

/* The next piece of what is left. */
static void aim(struct block_io *io)
{
	io->piece.cut = 0;
	if (io->by_writing)
		aim_zeroes(io);
	else if (transfers(io))
		aim_buffers(io);
	else
		io->piece.len = io->len < PIECE_RANGE ? io->len : PIECE_RANGE;
}

/* The first buffer as the caller gave it. */
static void restore_buffer(struct block_io *io)
{
	io->iov->iov_base = (uint8_t *)io->iov->iov_base - io->begun;
	io->iov->iov_len += io->begun;
	io->begun = 0;
}

/* The last buffer of the piece is whole again. */
static void restore_cut(struct block_io *io)
{
	if (io->piece.cut)
		io->piece.iov[io->piece.nr_iov - 1].iov_len += io->piece.cut;
	io->piece.cut = 0;
}

/* n bytes of the piece were done. */
static void advance(struct block_io *io, uint64_t n)
{
	io->offset += n;
	io->len -= n;
	if (io->by_writing || !transfers(io))
		return;
	restore_cut(io);
	while (n && n >= io->iov->iov_len) {
		n -= io->iov->iov_len;
		restore_buffer(io);
		io->iov++;
		io->nr_iov--;
	}
	if (n) {
		io->iov->iov_base = (uint8_t *)io->iov->iov_base + n;
		io->iov->iov_len -= n;
		io->begun += n;
	}
}

/* A request that has come to an end, or will have none: its buffers are what they were. */
static struct block_io *ended(struct block_io *io)
{
	if (io && transfers(io) && !io->by_writing && io->nr_iov) {
		restore_cut(io);
		restore_buffer(io);
	}
	return io;
}

/* The system call failed: is that the end of the request? */
static bool failed(struct block_io *io, int err)
{
	bool unable = err == -EOPNOTSUPP || err == -EINVAL;

	if (unable && (io->op == BLOCK_ZERO || io->op == BLOCK_UNMAP)) {
		io->op = BLOCK_WRITE;
		io->by_writing = true;
		return false;
	}
	/* A discard is advice: whoever cannot take it has nothing to do. */
	io->result = unable && io->op == BLOCK_DISCARD ? 0 : err;
	return true;
}

/* The piece ran and got "res". False: there is something left to do. */
static bool finished(struct block_io *io, int res)
{
	if (res == -EINTR || res == -EAGAIN) {
		advance(io, 0);
		return false;
	}
	if (res < 0)
		return failed(io, res);
	io->result = 0;
	if (!transfers(io)) {
		advance(io, io->piece.len);
		return !io->len;
	}
	if (!res) {
		/* Nothing there: the file became shorter under us. */
		io->result = -EIO;
		return true;
	}
	advance(io, res);
	return !io->len;
}

/*
 * The guest learns "I/O error" and no more: its owner has to know of a full or failing
 * disk of the host. Once for each kind, or a guest could fill the log.
 */
static void report(struct block *b, int err)
{
	uint64_t bit = 1ULL << (-err & 63);

	if (b->told & bit)
		return;
	b->told |= bit;
	log_error("disk '%s': %s; the guest is told of an I/O error", b->path, strerror(-err));
}

const struct block_io *block_held(const struct block *b, const struct block_io *io)
{
	return io ? io->next : b->held.first;
}

struct block_io *block_drop(struct block *b)
{
	return ended(list_get(&b->held));
}

/* What is left of a request to the engine, if it may have any. */
static void give(struct block *b, struct block_io *io)
{
	if (b->stopped) {
		list_put(&b->held, io);
		return;
	}
	aim(io);
	b->given++;
	b->engine->ops->queue(b->engine, io);
}

void block_queue(struct block *b, struct block_io *io)
{
	io->by_writing = false;
	io->begun = 0;
	io->piece.cut = 0;
	give(b, io);
}

bool block_submit(struct block *b)
{
	return b->engine->ops->submit(b->engine);
}

struct block_io *block_reap(struct block *b)
{
	struct block_io *io;
	int res;

	while ((io = b->engine->ops->reap(b->engine, &res))) {
		b->given--;
		if (finished(io, res)) {
			if (io->result)
				report(b, io->result);
			return ended(io);
		}
		give(b, io);
	}
	return NULL;
}

void block_stop(struct block *b)
{
	struct block_io *io;

	b->stopped = true;
	while ((io = b->engine->ops->take_back(b->engine))) {
		b->given--;
		/* Its piece was not begun. */
		advance(io, 0);
		list_put(&b->held, io);
	}
}

bool block_busy(const struct block *b)
{
	return b->given;
}

void block_resume(struct block *b)
{
	struct block_io *io;

	b->stopped = false;
	while ((io = list_get(&b->held)))
		give(b, io);
}

uint64_t block_size(const struct block *b)
{
	return b->size;
}

int block_fd(const struct block *b)
{
	return b->engine->ops->fd(b->engine);
}

/* ------------------------------------------------------------------------- */
/* Opening                                                                    */

static int open_file(struct block *b, const struct block_config *c, struct error *e)
{
	int access = c->readonly ? O_RDONLY : O_RDWR;
	const char *hint = "";
	struct stat st;
	int err;

	/* What the host has mounted, or its LVM or MD uses, is not to be written: open(2), O_EXCL. */
	if (!c->readonly && !stat(c->path, &st) && S_ISBLK(st.st_mode))
		access |= O_EXCL;

	/* Not blocking: somebody may have named a FIFO. */
	b->fd = resource_open(c->path, access | O_NONBLOCK, 0);
	if (b->fd >= 0)
		return 0;
	err = errno;
	if (err == ENOENT)
		hint = "; create it with 'truncate --size 10G FILE'";
	else if (!c->readonly && (err == EACCES || err == EPERM || err == EROFS))
		hint = "; if it may only be read, say readonly=on";
	else if (err == EBUSY && access & O_EXCL)
		hint = "; this host has it mounted or in use, so a guest must not write to it; unmount it, or "
		       "say readonly=on";
	else if (err == EISDIR)
		hint = "; a disk is a file or a block device";
	return error_set(e, err, "cannot open disk '%s': %s%s", c->path, strerror(err), hint);
}

static int find_size(struct block *b, const char *path, struct error *e)
{
	struct stat st;
	off_t end;

	if (fstat(b->fd, &st))
		return error_set(e, errno, "cannot look at disk '%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(e, EINVAL, "disk '%s' is neither a file nor a block device", path);
	/* st_size says nothing about a block device; its end does. */
	end = lseek(b->fd, 0, SEEK_END);
	if (end < 0)
		return error_set(e, errno, "cannot find the size of disk '%s': %s", path,
				 strerror(errno));
	b->size = end;
	return 0;
}

static int check_size(const struct block *b, const char *path, struct error *e)
{
	if (!b->size)
		return error_set(e, EINVAL,
				 "disk '%s' is empty; give it a size with 'truncate --size 10G'",
				 path);
	if (b->size % BLOCK_SECTOR)
		return error_set(e, EINVAL,
				 "disk '%s' has %llu bytes, which is not a multiple of %d; "
				 "extend it with 'truncate --size %%%d'",
				 path, (unsigned long long)b->size, BLOCK_SECTOR, BLOCK_SECTOR);
	return 0;
}

/* From here on O_NONBLOCK would only make io_uring give up instead of waiting. */
static int set_blocking(struct block *b, const char *path, struct error *e)
{
	int flags = fcntl(b->fd, F_GETFL);

	if (flags < 0 || fcntl(b->fd, F_SETFL, flags & ~O_NONBLOCK))
		return error_set(e, errno, "cannot set up disk '%s': %s", path, strerror(errno));
	return 0;
}

/* One writer or several readers; the lock is gone with the descriptor, however we end. */
static int lock_file(struct block *b, const struct block_config *c, struct error *e)
{
	struct flock lock = {
		.l_type = c->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(b->fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(e, EBUSY,
				 "disk '%s' is in use by another process or another disk of this "
				 "machine%s",
				 c->path,
				 c->readonly ? "" : "; several users need readonly=on for each");
	return error_set(e, errno, "cannot lock disk '%s': %s", c->path, strerror(errno));
}

/*
 * The format is stated, never guessed: a guest can write any header into its raw
 * disk. But whoever names such a file without a word most likely expects what
 * its header says, and must not have it overwritten as raw.
 */
static int check_format(struct block *b, const struct block_config *c, struct error *e)
{
	const struct format *found = NULL;
	int ret;

	if (c->format_stated)
		return 0;
	ret = format_find(b->fd, b->size, &found);
	if (ret)
		return error_set(e, -ret, "cannot read disk '%s': %s", c->path, strerror(-ret));
	if (found)
		return error_set(e, EINVAL,
				 "disk '%s' looks like a %s file, and only raw images can be used; "
				 "if it is raw, say format=raw, otherwise %s",
				 c->path, found->name, found->remedy);
	return 0;
}

static int start_engine(struct block *b, const struct block_config *c, struct error *e)
{
	if (!c->no_uring) {
		b->engine = uring_create(b->fd);
		if (b->engine)
			return 0;
		log_info("io_uring cannot be used here (%s): disk '%s' gets a thread",
			 strerror(errno), c->path);
	}
	b->engine = thread_create(b->fd);
	if (!b->engine)
		return error_set(e, errno, "cannot set up disk '%s': %s", c->path, strerror(errno));
	return 0;
}

struct block *block_open(const struct block_config *c, struct error *e)
{
	struct block *b = calloc(1, sizeof(*b));

	if (b)
		b->path = strdup(c->path);
	if (!b || !b->path) {
		error_set(e, ENOMEM, "not enough memory for disk '%s'", c->path);
		free(b);
		return NULL;
	}
	b->fd = -1;
	list_init(&b->held);
	if (open_file(b, c, e) || find_size(b, c->path, e) || set_blocking(b, c->path, e) ||
	    lock_file(b, c, e) || check_format(b, c, e) || check_size(b, c->path, e) ||
	    start_engine(b, c, e)) {
		block_close(b);
		return NULL;
	}
	return b;
}

int block_launch(struct block *b, struct error *e)
{
	return b->engine->ops->launch ? b->engine->ops->launch(b->engine, e) : 0;
}

bool block_close(struct block *b)
{
	if (!b)
		return true;
	if (b->given) {
		b->next = not_closed;
		not_closed = b;
		log_error("disk '%s': the host has not finished %u requests, and is not waited for",
			  b->path, b->given);
		return false;
	}
	if (b->engine)
		b->engine->ops->destroy(b->engine);
	if (b->fd >= 0)
		close(b->fd);
	free(b->path);
	free(b);
	return true;
}
