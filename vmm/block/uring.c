// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disk requests by io_uring. The ring's own descriptor is what the event loop
 * watches: the kernel reports it readable when there are completions, so no
 * eventfd has to be signalled and read for each.
 *
 * A ring would also open files and make sockets, of which no filter of system calls knows. So the kernel is told,
 * before the ring is enabled, which few operations there are. (That all are on one file could be said as well, if
 * the file were registered; but then it, and with it a disk's lock, outlives the process for a moment.)
 */
#define _GNU_SOURCE /* RWF_DSYNC */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/engine.h"

struct uring {
	struct engine engine;
	struct io_uring ring;
	int fd;
};

static struct uring *to_uring(struct engine *engine)
{
	return (struct uring *)engine;
}

static void uring_destroy(struct engine *engine)
{
	io_uring_queue_exit(&to_uring(engine)->ring);
	free(engine);
}

/* The ring has an entry for each request that may be in flight, so there is always one free. */
static void uring_queue(struct engine *engine, struct block_io *io)
{
	struct uring *u = to_uring(engine);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	switch (io->op) {
	case BLOCK_READ:
		io_uring_prep_readv(sqe, u->fd, io->piece.iov, io->piece.nr_iov, io->offset);
		break;
	case BLOCK_WRITE:
		io_uring_prep_writev2(sqe, u->fd, io->piece.iov, io->piece.nr_iov, io->offset,
				      io->durable ? RWF_DSYNC : 0);
		break;
	case BLOCK_FLUSH:
		io_uring_prep_fsync(sqe, u->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_UNMAP:
		io_uring_prep_fallocate(sqe, u->fd, fallocate_mode(io->op), io->offset,
					io->piece.len);
		break;
	}
	io_uring_sqe_set_data(sqe, io);
}

static bool uring_submit(struct engine *engine)
{
	struct uring *u = to_uring(engine);
	int ret = 1;

	while (io_uring_sq_ready(&u->ring) && (ret > 0 || ret == -EINTR))
		ret = io_uring_submit(&u->ring);
	return !io_uring_sq_ready(&u->ring);
}

static struct block_io *uring_reap(struct engine *engine, int *res)
{
	struct uring *u = to_uring(engine);
	struct io_uring_cqe *cqe;
	struct block_io *io;

	if (io_uring_peek_cqe(&u->ring, &cqe))
		return NULL;
	io = io_uring_cqe_get_data(cqe);
	*res = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return io;
}

/* What is in the ring is the kernel's, or will be with the next submission: seldom, and soon. */
static struct block_io *uring_take_back(struct engine *engine)
{
	(void)engine;
	return NULL;
}

static int uring_fd(const struct engine *engine)
{
	return ((const struct uring *)engine)->ring.ring_fd;
}

static const struct engine_ops uring_ops = {
	.destroy = uring_destroy,
	.queue = uring_queue,
	.submit = uring_submit,
	.reap = uring_reap,
	.take_back = uring_take_back,
	.fd = uring_fd,
};

/* Debian 12's liburing has functions for these two in its header, and not in its library. */
static int tell(const struct uring *u, unsigned int what, const void *arg, unsigned int nr)
{
	return syscall(SYS_io_uring_register, u->ring.ring_fd, what, arg, nr) < 0 ? -errno : 0;
}

static int restrict_ring(const struct uring *u)
{
	struct io_uring_restriction rules[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE},
	};
	int ret = tell(u, IORING_REGISTER_RESTRICTIONS, rules, sizeof(rules) / sizeof(rules[0]));

	return ret ? ret : tell(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

struct engine *uring_create(int fd)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return NULL;
	u->engine.ops = &uring_ops;
	u->fd = fd;
	ret = io_uring_queue_init(BLOCK_MAX_IN_FLIGHT, &u->ring, IORING_SETUP_R_DISABLED);
	if (!ret) {
		ret = restrict_ring(u);
		if (ret)
			io_uring_queue_exit(&u->ring);
	}
	if (ret) {
		free(u);
		errno = -ret;
		return NULL;
	}
	return &u->engine;
}
