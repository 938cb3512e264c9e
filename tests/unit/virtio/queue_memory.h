/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory with a virtqueue in it, and its log, for the tests of both kinds of rings. */
#ifndef TESTS_UNIT_VIRTIO_QUEUE_MEMORY_H
#define TESTS_UNIT_VIRTIO_QUEUE_MEMORY_H

#include <check.h>
#include <string.h>

#include "platform/mem.h"
#include "virtio/queue.h"

/* Two regions side by side for the guest, but not for us. */
#define REGION 0x10000u

static struct mem mem;
static struct error error;
static struct virtqueue q;
static struct queue_chain chain;

static inline void *at(uint64_t gpa)
{
	void *p = mem_write(&mem, gpa, 1);

	ck_assert_ptr_nonnull(p);
	return p;
}

static inline void make_memory(void)
{
	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, REGION, &error), 0);
	ck_assert_int_eq(mem_add_ram(&mem, REGION, REGION, &error), 0);
}

static inline void tear_down(void)
{
	mem_destroy(&mem);
}

/* The log since it was fetched last, a bit for each page. */
static inline uint64_t fetch_log(void)
{
	uint64_t words[2];

	mem_log_fetch(&mem, 0, &words[0]);
	mem_log_fetch(&mem, 1, &words[1]);
	return words[0] | words[1] << 16;
}

static inline uint64_t page_of(uint64_t gpa)
{
	return 1ULL << gpa / MEM_PAGE;
}

#endif
