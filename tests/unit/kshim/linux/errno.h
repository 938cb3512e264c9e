/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-in for the kernel's <linux/errno.h>; see types.h. User space has a file
 * of that name too, which the C library's <errno.h> includes: defer to it.
 */
#include_next <linux/errno.h>
