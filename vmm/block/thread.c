// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disk requests by one thread and plain system calls, in order: for hosts where
 * io_uring is missing or forbidden (kernel.io_uring_disabled, seccomp).
 */
#define _GNU_SOURCE /* preadv(), pwritev2(), fallocate() */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "block/engine.h"
#include "sandbox/sandbox.h"
#include "thread.h"

struct worker {
	struct engine engine;
	int fd;
	int event_fd; /* something is done */
	pthread_t thread;
	struct list queued; /* not submitted: the user's side only */

	pthread_mutex_t lock;  /* protects everything below */
	pthread_cond_t change; /* something to do, or stop */
	struct list todo, done;
	bool stop;
	bool runs;    /* the thread was started */
	bool entered; /* it has begun, with this result */
	int enter_error;
	struct error *error; /* of whoever waits for that */
};

static struct worker *to_worker(struct engine *engine)
{
	return (struct worker *)engine;
}

/* One system call for the request; what it returned goes to the user's side in io->result. */
static void run(struct worker *w, struct block_io *io)
{
	ssize_t ret = 0;

	switch (io->op) {
	case BLOCK_READ:
		ret = preadv(w->fd, io->piece.iov, io->piece.nr_iov, io->offset);
		break;
	case BLOCK_WRITE:
		ret = pwritev2(w->fd, io->piece.iov, io->piece.nr_iov, io->offset,
			       io->durable ? RWF_DSYNC : 0);
		break;
	case BLOCK_FLUSH:
		ret = fdatasync(w->fd);
		break;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_UNMAP:
		ret = fallocate(w->fd, fallocate_mode(io->op), io->offset, io->piece.len);
		break;
	}
	/* A piece fits. */
	io->result = ret < 0 ? -errno : (int)ret;
}

/* Its first act: nothing is done for a guest by a thread that is not confined. With the lock held. */
static void enter(struct worker *w)
{
	w->enter_error = sandbox_enter(SANDBOX_DISK, w->error);
	w->stop |= w->enter_error != 0;
	w->entered = true;
	pthread_cond_broadcast(&w->change);
}

static void work(struct worker *w)
{
	const uint64_t one = 1;
	struct block_io *io;

	pthread_mutex_lock(&w->lock);
	enter(w);
	while (!w->stop) {
		io = list_get(&w->todo);
		if (!io) {
			pthread_cond_wait(&w->change, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		run(w, io);
		pthread_mutex_lock(&w->lock);
		list_put(&w->done, io);
		/* Never read, so it fails only when full: after 2^64 requests. */
		while (write(w->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&w->lock);
}

static void *thread_main(void *arg)
{
	thread_begin("disk");
	work(arg);
	thread_end();
	return NULL;
}

static void worker_queue(struct engine *engine, struct block_io *io)
{
	list_put(&to_worker(engine)->queued, io);
}

static bool worker_submit(struct engine *engine)
{
	struct worker *w = to_worker(engine);
	struct block_io *io;

	if (!w->queued.first)
		return true;
	pthread_mutex_lock(&w->lock);
	while ((io = list_get(&w->queued)))
		list_put(&w->todo, io);
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	return true;
}

static struct block_io *worker_reap(struct engine *engine, int *res)
{
	struct worker *w = to_worker(engine);
	struct block_io *io;

	pthread_mutex_lock(&w->lock);
	io = list_get(&w->done);
	pthread_mutex_unlock(&w->lock);
	if (io)
		*res = io->result;
	return io;
}

static struct block_io *worker_take_back(struct engine *engine)
{
	struct worker *w = to_worker(engine);
	struct block_io *io;

	pthread_mutex_lock(&w->lock);
	io = list_get(&w->todo);
	pthread_mutex_unlock(&w->lock);
	return io ? io : list_get(&w->queued);
}

static int worker_fd(const struct engine *engine)
{
	return ((const struct worker *)engine)->event_fd;
}

static void worker_destroy(struct engine *engine)
{
	struct worker *w = to_worker(engine);

	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->change);
	pthread_mutex_unlock(&w->lock);
	if (w->runs)
		pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->change);
	pthread_mutex_destroy(&w->lock);
	close(w->event_fd);
	free(w);
}

/* Signals are for the threads that know what to do with them. */
static int start(struct worker *w)
{
	sigset_t old;
	int ret;

	thread_block_signals(&old);
	ret = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static int worker_launch(struct engine *engine, struct error *e)
{
	struct worker *w = to_worker(engine);
	int ret;

	w->error = e;
	ret = start(w);
	if (ret)
		return error_set(e, ret, "cannot start the thread of a disk: %s", strerror(ret));
	w->runs = true;
	pthread_mutex_lock(&w->lock);
	while (!w->entered)
		pthread_cond_wait(&w->change, &w->lock);
	ret = w->enter_error;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static const struct engine_ops worker_ops = {
	.launch = worker_launch,
	.destroy = worker_destroy,
	.queue = worker_queue,
	.submit = worker_submit,
	.reap = worker_reap,
	.take_back = worker_take_back,
	.fd = worker_fd,
};

struct engine *thread_create(int fd)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->engine.ops = &worker_ops;
	w->fd = fd;
	list_init(&w->queued);
	list_init(&w->todo);
	list_init(&w->done);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd < 0) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->change, NULL);
	return &w->engine;
}
