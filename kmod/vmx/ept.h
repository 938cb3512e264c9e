/* SPDX-License-Identifier: GPL-2.0 */
/* EPT entries and the EPT pointer: Intel SDM Vol. 3, 28.3 and 24.6.11. */
#ifndef HV_VMX_EPT_H
#define HV_VMX_EPT_H

#include "../hv_internal.h"

#define EPT_READ	    BIT_ULL(0)
#define EPT_WRITE	    BIT_ULL(1)
#define EPT_EXECUTE	    BIT_ULL(2)
#define EPT_WRITE_BACK	    (6ULL << 3)
#define EPT_IGNORE_PAT	    BIT_ULL(6) /* memory is memory: the host decides how it is cached */
#define EPT_LARGE	    BIT_ULL(7)
#define EPT_ACCESSED	    BIT_ULL(8) /* ignored where the processor keeps no such bits */
#define EPT_DIRTY	    BIT_ULL(9)

#define EPTP_WRITE_BACK	    6ULL
#define EPTP_FOUR_LEVELS    (3ULL << 3)
#define EPTP_ACCESSED_DIRTY BIT_ULL(6)

static const struct hv_s2_format ept_format = {
	.table = EPT_READ | EPT_WRITE | EPT_EXECUTE,
	/* Dirty is set beforehand: nothing reads it, so the processor need not write it. */
	.leaf = EPT_READ | EPT_EXECUTE | EPT_WRITE_BACK | EPT_IGNORE_PAT | EPT_DIRTY,
	.write = EPT_WRITE,
	.large = EPT_LARGE,
	.accessed = EPT_ACCESSED,
	.present = EPT_READ,
};

#endif
