/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Selectors, descriptors, segment types, how far a segment reaches (Intel SDM Vol. 3, ch. "Protected-Mode
 * Memory Management"). Used by the instruction emulator and task.c.
 */
#ifndef VMM_EMULATE_SEGMENT_H
#define VMM_EMULATE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "include/uapi/hv.h"

#define SELECTOR_RPL 0x3
#define SELECTOR_LDT 0x4

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

static inline bool segment_is_null(uint16_t selector)
{
	return !(selector & ~SELECTOR_RPL);
}

static inline unsigned int segment_dpl(const struct hv_segment *seg)
{
	return (seg->ar & HV_AR_DPL) >> 5;
}

/* The byte of a descriptor that holds its type. */
static inline uint64_t segment_type_byte(uint64_t descriptor_la)
{
	return descriptor_la + 5;
}

/* Where the "size" bytes of a descriptor are. False: not in its table. */
bool segment_locate(const struct hv_sregs *s, uint16_t selector, unsigned int size, uint64_t *la);
struct hv_segment segment_unpack(uint16_t selector, uint64_t descriptor);

/* May DS, ES, FS, GS, or SS, hold it? Whether it is present does not matter here. */
bool segment_may_hold_data(const struct hv_segment *seg, unsigned int cpl);
bool segment_may_hold_stack(const struct hv_segment *seg, unsigned int cpl);

#endif
