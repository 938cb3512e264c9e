/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What carries a disk's requests to the host's kernel: io_uring where the host
 * allows it, a thread otherwise. Known to file.c and the two engines only; the
 * contract of each operation is that of the block_ function of the same name.
 */
#ifndef VMM_BLOCK_ENGINE_H
#define VMM_BLOCK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "block/file.h"

struct engine;

struct engine_ops {
	/* Before the first request is submitted. NULL: nothing to do. */
	int (*launch)(struct engine *engine, struct error *e);
	void (*destroy)(struct engine *engine);
	void (*queue)(struct engine *engine, struct block_io *io);
	bool (*submit)(struct engine *engine);
	/* A request whose piece was done, and what the kernel said. NULL: none. */
	struct block_io *(*reap)(struct engine *engine, int *res);
	/* Take back a request that has not been given to the kernel. NULL: there is none. */
	struct block_io *(*take_back)(struct engine *engine);
	int (*fd)(const struct engine *engine);
};

/* The first member of each engine. */
struct engine {
	const struct engine_ops *ops;
};

/* For requests on file descriptor fd. NULL with errno set. */
struct engine *uring_create(int fd);
struct engine *thread_create(int fd);

/* Requests in the order in which they came. */
struct list {
	struct block_io *first;
	struct block_io **end;
};

static inline void list_init(struct list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

static inline void list_put(struct list *l, struct block_io *io)
{
	io->next = NULL;
	*l->end = io;
	l->end = &io->next;
}

/* NULL: none left. */
static inline struct block_io *list_get(struct list *l)
{
	struct block_io *io = l->first;

	if (io) {
		l->first = io->next;
		if (!l->first)
			l->end = &l->first;
	}
	return io;
}

/* How an operation is said to fallocate(2). */
int fallocate_mode(enum block_op op);

#endif
