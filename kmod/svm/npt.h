/* SPDX-License-Identifier: GPL-2.0 */
/* Nested page table entries: AMD APM Vol. 2, 15.25. The format of long mode. */
#ifndef HV_SVM_NPT_H
#define HV_SVM_NPT_H

#include "../hv_internal.h"

#define NPT_PRESENT  BIT_ULL(0)
#define NPT_WRITE    BIT_ULL(1)
#define NPT_USER     BIT_ULL(2) /* nested walks are user accesses */
#define NPT_ACCESSED BIT_ULL(5)
#define NPT_DIRTY    BIT_ULL(6)
#define NPT_LARGE    BIT_ULL(7)

static const struct hv_s2_format npt_format = {
	.table = NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED,
	/* Dirty is set beforehand: nothing reads it, so the processor need not write it. */
	.leaf = NPT_PRESENT | NPT_USER | NPT_DIRTY,
	.write = NPT_WRITE,
	.large = NPT_LARGE,
	.accessed = NPT_ACCESSED,
	.present = NPT_PRESENT,
	.as_host = true,
};

#endif
