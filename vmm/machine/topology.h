/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPUID leaves that say how many processors there are and which one this is:
 * one package of single-threaded cores whose APIC ids are the vCPU ids. Pure;
 * machine.c applies it to the table the module offers.
 */
#ifndef VMM_MACHINE_TOPOLOGY_H
#define VMM_MACHINE_TOPOLOGY_H

#include "include/uapi/hv.h"

/* Make the table that of vCPU id of cpus; may be applied again for another id. */
void topology_apply(struct hv_cpuid_entry *entries, unsigned int count, unsigned int cpus,
		    unsigned int id);

#endif
