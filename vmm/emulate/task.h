/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches of guests, where the processor leaves them to the monitor. Used by vcpu.c. */
#ifndef VMM_EMULATE_TASK_H
#define VMM_EMULATE_TASK_H

#include <stdbool.h>

#include "include/uapi/hv.h"
#include "platform/mem.h"

/*
 * Carry out the switch of an HV_EXIT_TASK on the run page's registers, all of which are
 * valid; those that changed are marked dirty. A fault is raised in the guest. False: it was
 * one too many, and the processor shuts down.
 */
bool task_switch(const struct mem *mem, struct hv_run *run);

#endif
