/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that the module hands over (HV_EXIT_EMULATE): string I/O, LMSW and
 * SMSW with an operand in memory, and whatever touches memory-mapped I/O and is
 * not a plain MOV. Called by vcpu.c.
 */
#ifndef VMM_EMULATE_EMULATE_H
#define VMM_EMULATE_EMULATE_H

#include <stddef.h>

#include "emulate/xstate.h"
#include "include/uapi/hv.h"
#include "platform/bus.h"
#include "platform/mem.h"

/*
 * What the run page does not hold of the vCPU whose exit it is. Called for instructions that
 * need it only.
 */
struct emulate_ops {
	/* Its x87 and vector registers: valid until the next call. 0, or a negative errno. */
	int (*get_xstate)(void *arg, struct xstate **x);
	/* Make it have what is in there now. 0, or a negative errno. */
	int (*set_xstate)(void *arg);
	/* Registers in the page of its local APIC, by their offset. */
	uint32_t (*read_apic)(void *arg, uint32_t offset);
	void (*write_apic)(void *arg, uint32_t offset, uint32_t value);
};

struct emulate_env {
	const struct mem *mem;
	struct bus *pio;
	struct bus *mmio;
	const struct emulate_ops *ops;
	void *arg; /* of ops */
};

enum emulate_result {
	EMULATE_DONE,	     /* carried out, in part or whole, or an exception is on its way */
	EMULATE_FAILED,	     /* the guest cannot go on; why says what it did */
	EMULATE_HOST_FAILED, /* likewise, but by no doing of its own */
};

/*
 * Carry out the instruction of an HV_EXIT_EMULATE on the groups GPR, SREGS and
 * EVENTS of the run page, and set run->dirty for those that changed. A repeated
 * string instruction that takes long is left half done, as an interrupt would
 * leave it: the next HV_RUN comes back for the rest. When the guest single-steps
 * (RFLAGS.TF), DR6.BS is set if the group DREGS is valid.
 *
 * What cannot be emulated fails for the guest's kernel; a guest's program gets
 * #UD, so that it cannot end the VM. Not emulated: MMX, SSE and AVX but for moves, far
 * jumps and calls through gates, and some more (docs/gaps.md has the list).
 */
enum emulate_result emulate(const struct emulate_env *env, struct hv_run *run, char *why,
			    size_t why_size);

#endif
