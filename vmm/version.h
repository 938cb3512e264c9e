/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The version of the release, as printed by "vmm --version". */
#ifndef VMM_VERSION_H
#define VMM_VERSION_H

#define VMM_VERSION "0.1.0"

#endif
