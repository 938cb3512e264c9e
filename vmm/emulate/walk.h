/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's page tables, walked as the processor does it. Used by emulate*.c and task.c.
 */
#ifndef VMM_EMULATE_WALK_H
#define VMM_EMULATE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "include/uapi/hv.h"
#include "platform/mem.h"

/* What kind of access is translated */
#define WALK_WRITE    0x1u
#define WALK_FETCH    0x2u
#define WALK_USER     0x4u  /* at CPL 3 */
#define WALK_IMPLICIT 0x8u  /* by the processor itself, to a table: AC does not matter */
#define WALK_AC	      0x10u /* RFLAGS.AC is set */

/* Error code of a page fault: Intel SDM Vol. 3, "Page-Fault Exceptions" */
#define WALK_PF_PRESENT	 0x01u
#define WALK_PF_WRITE	 0x02u
#define WALK_PF_USER	 0x04u
#define WALK_PF_RESERVED 0x08u
#define WALK_PF_FETCH	 0x10u

enum walk_result {
	WALK_OK,
	WALK_FAULT, /* *error holds the page fault's error code */
	WALK_RETRY, /* another vCPU keeps changing the tables: execute anew */
};

/*
 * Translate the linear address la (canonical, and below 4 GiB outside long mode)
 * for an access, with the access rights of paging checked and the accessed and
 * dirty flags set. sregs gives CR0, CR3, CR4 and EFER. Physical addresses are
 * taken to have 52 bits, the most there can be; protection keys, whose rights
 * register is not at hand, are not looked at.
 */
enum walk_result walk(const struct mem *mem, const struct hv_sregs *sregs, uint64_t la,
		      unsigned int access, uint64_t *gpa, uint32_t *error);

/* Memory at linear addresses, translated: one piece, or two if it crosses a page. */
struct walk_range {
	unsigned int nr_parts;
	struct {
		uint64_t gpa;
		const uint8_t *ram; /* NULL: not RAM */
		uint8_t *
			to; /* the same, of an access to write; NULL: not RAM that can be written */
		unsigned int len;
	} part[2];
};

/* What a page fault tells. */
struct walk_fault {
	uint64_t la;
	uint32_t error;
};

/* As walk() for [la, la + size), at most a page; outside 64-bit mode it wraps at 4 GiB. */
enum walk_result walk_range(const struct mem *mem, const struct hv_sregs *sregs, uint64_t la,
			    unsigned int size, unsigned int access, struct walk_range *range,
			    struct walk_fault *fault);

#endif
