/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole state of a vCPU, read and loaded in the order of docs/abi.md, "Saving and restoring". */
#ifndef TESTS_STATE_H
#define TESTS_STATE_H

#include "vm.h"

#define STATE_XSAVE 8192 /* bytes that are enough for any host's image */

struct vcpu_state {
	struct hv_gprs gprs;
	struct hv_sregs sregs;
	struct hv_dregs dregs;
	struct hv_events events;
	struct hv_msr_entry msrs[HV_MAX_MSRS];
	struct hv_lapic lapic;
	uint8_t xsave[STATE_XSAVE];
};

/* Its last exit must have been completed: see vcpu_complete(). */
void vcpu_save(struct vcpu *v, struct vcpu_state *s);
void vcpu_load(struct vcpu *v, const struct vcpu_state *s);
/* What was loaded must be there, but for what moves with the time. */
void vcpu_check_loaded(struct vcpu *v, const struct vcpu_state *s);

#endif
