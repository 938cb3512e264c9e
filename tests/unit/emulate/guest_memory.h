/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of the guests in emulate_guest.h and task_guest.h. */
#ifndef TESTS_UNIT_GUEST_MEMORY_H
#define TESTS_UNIT_GUEST_MEMORY_H

#include <string.h>

#include "platform/mem.h"

static struct mem mem;

static inline uint64_t peek(uint64_t gpa, unsigned int size)
{
	uint64_t value = 0;

	memcpy(&value, mem_write(&mem, gpa, size), size);
	return value;
}

static inline void poke(uint64_t gpa, unsigned int size, uint64_t value)
{
	memcpy(mem_write(&mem, gpa, size), &value, size);
}

#endif
