// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The filter of system calls of a thread, made by filters/filters.c when vmm was built. Each thread calls
 * it as its first act.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/filter.h"
#include "sandbox/internal.h"
#include "sandbox/place.h"

#include "filters.h"

/* The process has its number now; and whoever asked for it wants to be told, rather than killed. */
static void adapt(struct sock_filter *insns, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (filter_is_pid(&insns[i]))
			insns[i].k = (uint32_t)getpid();
		if (sandbox_mode == SANDBOX_LOG && insns[i].code == (BPF_RET | BPF_K) &&
		    insns[i].k == SECCOMP_RET_KILL_PROCESS)
			insns[i].k = SECCOMP_RET_LOG;
	}
}

int sandbox_enter(enum sandbox_thread kind, struct error *e)
{
	const struct filter *filter = &filters[kind];
	struct sock_fprog prog = {.len = (unsigned short)filter->nr};
	/* Speculation is left as it is: no code runs in this process but its own, and the guest has its own. */
	unsigned int flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	long ret;

	if (sandbox_mode == SANDBOX_OFF)
		return 0;
	prog.filter = malloc(filter->nr * sizeof(*prog.filter));
	if (!prog.filter)
		return error_set(e, ENOMEM, "out of memory");
	memcpy(prog.filter, filter->insns, filter->nr * sizeof(*prog.filter));
	adapt(prog.filter, filter->nr);
	ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) ? -errno : 0;
	free(prog.filter);
	if (ret)
		return error_set(e, (int)-ret,
				 "cannot filter the system calls of a thread: %s; a kernel without "
				 "CONFIG_SECCOMP_FILTER needs --sandbox off",
				 strerror((int)-ret));
	return 0;
}

int sandbox_enter_loop(struct error *e)
{
	return sandbox_enter(place_first ? SANDBOX_LOOP_PLACES : SANDBOX_LOOP, e);
}
