// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The reset vector. Linux needs it: with hardware-reduced ACPI it does not
 * reboot by the FADT's reset register but by the runtime services of EFI, and
 * where there are none by a jump to F000:FFF0 in real mode (verified with 6.1:
 * efi_reboot_required() and what follows it in arch/x86/kernel/reboot.c).
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "boot/reset_vector.h"
#include "platform/layout.h"

static const uint8_t code[] = {
	0xba,
	PORT_ACPI_RESET & 0xff,
	PORT_ACPI_RESET >> 8, /* mov dx, PORT_ACPI_RESET */
	0xb0,
	ACPI_RESET_VALUE, /* mov al, ACPI_RESET_VALUE */
	0xee,		  /* out dx, al */
	0xf4,		  /* hlt */
	0xeb,
	0xfd, /* jmp back to the hlt */
};

/* Up to the end of the first megabyte */
_Static_assert(sizeof(code) <= LAYOUT_KERNEL - LAYOUT_RESET_VECTOR, "reset vector");

int reset_vector_place(const struct mem *m, struct error *e)
{
	uint8_t *p = mem_write(m, LAYOUT_RESET_VECTOR, sizeof(code));

	if (!p)
		return error_set(e, ENOSPC, "the guest has too little memory for a reset vector");
	memcpy(p, code, sizeof(code));
	return 0;
}
