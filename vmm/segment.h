/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment types, and how far a segment reaches (Intel SDM Vol. 3, ch. "Protected-Mode
 * Memory Management"). Used by the instruction emulator and task.c.
 */
#ifndef VMM_SEGMENT_H
#define VMM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "include/uapi/hv.h"

/* Of code and data segments */
#define SEG_ACCESSED	    0x1
#define SEG_CODE	    0x8
#define SEG_DATA_WRITABLE   0x2
#define SEG_DATA_DOWN	    0x4
#define SEG_CODE_READABLE   0x2
#define SEG_CODE_CONFORMING 0x4

/* System segments */
#define SEG_LDT	     0x2
#define SEG_TSS	     0x1 /* available */
#define SEG_TSS_BUSY 0x2 /* added to it */
#define SEG_TSS_32   0x8 /* added to it: not one of 16 bits */

/* In real and virtual-8086 mode there are no segments that grow down. */
static inline bool segment_covers(const struct hv_segment *seg, bool is_protected, uint64_t offset,
				  unsigned int size)
{
	uint64_t last = offset + size - 1;
	bool down = is_protected && !(seg->ar & SEG_CODE) && (seg->ar & SEG_DATA_DOWN);

	if (!down)
		return last <= seg->limit;
	return offset > seg->limit && last <= (seg->ar & HV_AR_DB ? 0xffffffff : 0xffff);
}

#endif
