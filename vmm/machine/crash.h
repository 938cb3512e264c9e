/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sentences about a vCPU that cannot go on: what its owner reads, searches for and
 * reports. Pure; vcpu.c calls it.
 */
#ifndef VMM_MACHINE_CRASH_H
#define VMM_MACHINE_CRASH_H

#include <stdbool.h>
#include <stddef.h>

#include "include/uapi/hv.h"

/*
 * What happened by an HV_EXIT_ERROR. True: the host or the module is to blame
 * rather than the guest (docs/abi.md, "ERROR codes").
 */
bool crash_explain(const union hv_exit *exit, char *what, size_t size);
/* Where the vCPU was: needs the groups GPR and SREGS. */
void crash_registers(const struct hv_run *run, char *text, size_t size);
/* The segments, for a state that the processor refused. */
void crash_segments(const struct hv_sregs *sregs, char *text, size_t size);

#endif
