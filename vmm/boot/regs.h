/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor modes in which kernels are entered. */
#ifndef VMM_BOOT_REGS_H
#define VMM_BOOT_REGS_H

#include <stdint.h>

#include "boot/boot.h"

#define REGS_CS 0x10 /* __BOOT_CS and __BOOT_DS of Linux */
#define REGS_DS 0x18

/*
 * Set up *out for a start at rip, interrupts off, all segments flat, general
 * registers zero, and write the descriptor table that matches to low memory
 * (low is the guest's first MiB).
 *
 * regs_protected32: 32-bit protected mode, no paging.
 * regs_long64: 64-bit mode; the first 4 GiB are identity-mapped by page tables
 * that this writes at LAYOUT_BOOT_PAGES; the stack is at LAYOUT_BOOT_STACK.
 */
void regs_protected32(uint8_t *low, struct boot_entry *out, uint32_t eip);
void regs_long64(uint8_t *low, struct boot_entry *out, uint64_t rip);

#endif
