// SPDX-License-Identifier: GPL-2.0
/*
 * DR0 to DR3 of guest and host. Few guests use them, so they are switched at the
 * first use of a stay in the inner loop (the backend intercepts until then) and
 * back at its end. DR6 and DR7 are the backend's.
 */
#include <linux/percpu.h>
#include <linux/sched.h>
#include <asm/debugreg.h>

#include "hv_internal.h"

/* Preemption is off until dr_put(). */
void dr_load(struct hv_vcpu *v)
{
	get_debugreg(v->host_dr[0], 0);
	get_debugreg(v->host_dr[1], 1);
	get_debugreg(v->host_dr[2], 2);
	get_debugreg(v->host_dr[3], 3);
	/* No host breakpoint may fire at a guest's address. */
	set_debugreg(0UL, 7);
	set_debugreg(v->dr[0], 0);
	set_debugreg(v->dr[1], 1);
	set_debugreg(v->dr[2], 2);
	set_debugreg(v->dr[3], 3);
	v->dr_live = true;
}

void dr_restore(struct hv_vcpu *v)
{
	unsigned long dr7 = this_cpu_read(cpu_dr7);

	if (unlikely(v->dr_live)) {
		v->dr_live = false;
		get_debugreg(v->dr[0], 0);
		get_debugreg(v->dr[1], 1);
		get_debugreg(v->dr[2], 2);
		get_debugreg(v->dr[3], 3);
		set_debugreg(v->host_dr[0], 0);
		set_debugreg(v->host_dr[1], 1);
		set_debugreg(v->host_dr[2], 2);
		set_debugreg(v->host_dr[3], 3);
	}
	if (unlikely(dr7))
		set_debugreg(dr7, 7);
}
