/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way in from a Multiboot loader, and an interrupt that is only counted. */
	.section .multiboot, "a"
	.balign 4
	.long	0x1badb002		/* magic */
	.long	0
	.long	-0x1badb002

	.text
	.globl	start
start:
	movl	$stack_top, %esp
	call	main

	.globl	on_interrupt
on_interrupt:
	incl	interrupts
	iret

	.bss
	.balign 16
	.skip	16384
stack_top:

	.section .note.GNU-stack, "", @progbits
