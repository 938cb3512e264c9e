/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk images: raw files and block devices, read and written asynchronously.
 * virtio/blk.c is the user. Requests are queued, submitted together and come
 * back in any order; block_fd() becomes readable when some are done.
 *
 * A struct block has no lock of its own: its user calls with one held.
 */
#ifndef VMM_BLOCK_FILE_H
#define VMM_BLOCK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "error.h"

#define BLOCK_SECTOR	    512
#define BLOCK_MAX_IN_FLIGHT 128

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* what was written is on stable storage */
	BLOCK_DISCARD, /* the contents are no longer needed */
	BLOCK_ZERO,    /* the range reads as zeroes, its space stays allocated */
	BLOCK_UNMAP,   /* the range reads as zeroes, its space may go */
};

/* The part of a request that one system call does: the host can end in a bounded time what it has begun. */
struct block_piece {
	struct iovec *iov; /* read, write */
	unsigned int nr_iov;
	size_t cut;   /* bytes by which the last buffer is shorter than the request's */
	uint64_t len; /* bytes at the request's offset */
};

/* A request. Offsets are in bytes and inside the disk: the caller has checked. */
struct block_io {
	enum block_op op;
	bool durable;	 /* BLOCK_WRITE: done means on stable storage */
	uint64_t offset; /* changes as the request proceeds */
	uint64_t len;	 /* bytes left */
	struct iovec *
		iov; /* read, write: len bytes; the buffers left. Each is the same again in the end */
	unsigned int nr_iov;

	int result; /* when done: 0 or a negative errno; the engine's before */

	size_t begun;		  /* bytes by which the first buffer that is left begins later */
	struct block_piece piece; /* what the host is asked for now */
	bool by_writing;	  /* zeroes are written, as they cannot be had otherwise */
	struct iovec zeroes;	  /* what is written then */
	struct block_io *next;	  /* in a list of this room's */
};

struct block_config {
	const char *path;
	bool readonly;
	bool format_stated; /* the user said that it is raw, whatever it looks like */
	bool no_uring;	    /* use a thread even if io_uring is there */
};

struct block;

/*
 * Open a disk image and lock it against other users. NULL with a sentence that
 * names the file and the remedy.
 */
struct block *block_open(const struct block_config *config, struct error *e);
/*
 * Begin: the process is confined, and may start the thread that a disk without io_uring has. Requests may be queued
 * before that, but not submitted.
 */
int block_launch(struct block *b, struct error *e);
/*
 * False: the host is still busy with requests, and will be for longer than anybody wants to wait. It may use
 * them and what they point to until this process ends, so nothing of that, nor the disk itself, is freed.
 */
bool block_close(struct block *b);

uint64_t block_size(const struct block *b); /* bytes, a multiple of BLOCK_SECTOR */
int block_fd(const struct block *b);	    /* to be watched edge-triggered; never read */

/* Queue a request (at most BLOCK_MAX_IN_FLIGHT at once), and start all that are queued. */
void block_queue(struct block *b, struct block_io *io);
/* False: the host has no resources now and some did not start; call again later. */
bool block_submit(struct block *b);
/*
 * The next finished request, or NULL. One that has to go on is queued again on
 * the way, so block_submit() must follow.
 */
struct block_io *block_reap(struct block *b);

/*
 * Give the host nothing more: what it has not begun is held, until block_resume() or block_drop(), and
 * what it has begun comes back by block_reap() at the end of a piece, if there is more, held as well.
 */
void block_stop(struct block *b);
/* Does the host have requests? Once not, after block_stop(), it touches no buffer any more. */
bool block_busy(const struct block *b);
/* Queue again what was held; block_submit() must follow. */
void block_resume(struct block *b);
/* The request that is held behind io, or for NULL the first one. NULL: there is none. */
const struct block_io *block_held(const struct block *b, const struct block_io *io);
/* Give up a request that is held: returns it, or NULL when there is none left. */
struct block_io *block_drop(struct block *b);

#endif
