/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/string.h>; see types.h. */
#ifndef KSHIM_STRING_H
#define KSHIM_STRING_H

#include <string.h>

#endif
