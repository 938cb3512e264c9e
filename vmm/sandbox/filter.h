/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the filters of system calls are to the program that makes them (filters/filters.c) and to the file
 * that gives them to the kernel (thread.c).
 */
#ifndef VMM_SANDBOX_FILTER_H
#define VMM_SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "sandbox/sandbox.h"

struct filter {
	const struct sock_filter *insns;
	size_t nr;
};

/* Stands for the process's own number, which is known only when it runs; no process has this one. */
#define FILTER_PID 0x7e1fe1d5u

static inline bool filter_is_pid(const struct sock_filter *insn)
{
	return insn->code == (BPF_JMP | BPF_JEQ | BPF_K) && insn->k == FILTER_PID;
}

#endif
