/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a PC's firmware has at F000:FFF0: code that starts the machine anew.
 * machine.c places it before the kernel is loaded.
 */
#ifndef VMM_BOOT_RESET_VECTOR_H
#define VMM_BOOT_RESET_VECTOR_H

#include "error.h"
#include "platform/mem.h"

/* -ENOSPC when there is no RAM at LAYOUT_RESET_VECTOR. */
int reset_vector_place(const struct mem *m, struct error *e);

#endif
