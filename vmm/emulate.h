/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that the module hands over (HV_EXIT_EMULATE): string I/O, LMSW and
 * SMSW with an operand in memory, and whatever touches memory-mapped I/O and is
 * not a plain MOV. Called by vcpu.c.
 */
#ifndef VMM_EMULATE_H
#define VMM_EMULATE_H

#include <stddef.h>

#include "bus.h"
#include "include/uapi/hv.h"
#include "mem.h"

struct emulate_env {
	const struct mem *mem;
	struct bus *pio;
	struct bus *mmio;
};

enum emulate_result {
	EMULATE_DONE,	/* carried out, in part or whole, or an exception is on its way */
	EMULATE_FAILED, /* the guest cannot go on; why says what it did */
};

/*
 * Carry out the instruction of an HV_EXIT_EMULATE on the groups GPR, SREGS and
 * EVENTS of the run page, and set run->dirty for those that changed. A repeated
 * string instruction that takes long is left half done, as an interrupt would
 * leave it: the next HV_RUN comes back for the rest. When the guest single-steps
 * (RFLAGS.TF), DR6.BS is set if the group DREGS is valid.
 *
 * What cannot be emulated fails for the guest's kernel; a guest's program gets
 * #UD, so that it cannot end the VM. Not emulated: x87, SSE and AVX, loads of
 * segment registers, far and near transfers through memory, shifts, multiplication.
 */
enum emulate_result emulate(const struct emulate_env *env, struct hv_run *run, char *why,
			    size_t why_size);

#endif
