/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/atomic.h>; see types.h. */
#ifndef KSHIM_ATOMIC_H
#define KSHIM_ATOMIC_H

#include <linux/compiler.h>

#define xchg(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

#endif
