/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot loader of the hosts that Bochs emulates: an option ROM, which the BIOS calls when it has
 * set up the machine. The kernel and the initramfs are in memory already; scripts/testhost.bochs put
 * them there and builds this file.
 *
 * Bochs can load a file into memory before the machine starts, but contiguously into its own memory
 * only, which it gives to the machine in blocks of 128 KiB in the order of their first use. So the
 * file begins with a stretch for the blocks that the BIOS uses, and this code uses one new block after
 * the other until it meets the payload there, and then the rest of it, whose addresses so become
 * contiguous here, too. GRUB, reading the same from an emulated CD, took 15 seconds of processor time.
 *
 * The payload, in blocks:
 *   block 0   a magic number, the number of blocks, then as 32-bit offsets from the payload's begin
 *             where the kernel's protected-mode part and the initramfs are; at 512, the 64 KiB that
 *             belong to 0x90000: the kernel's real-mode part and its command line
 *   block 1   the protected-mode part, then the initramfs, each from the begin of a block
 *
 * The kernel is entered by the 16-bit boot protocol (Documentation/x86/boot.rst).
 */
#define BLOCK		0x20000
#define MAGIC		0x76682121
#define REAL		0x90000
#define CODE32_START	0x214
#define RAMDISK_IMAGE	0x218

	.code16
	.globl _start
_start:
	.byte 0x55, 0xaa, 1		/* an option ROM of 512 bytes */
	cli
	cld

	/* Long addresses in real mode: the limit that protected mode loads stays. */
	inb $0x92, %al
	orb $2, %al			/* A20 */
	outb %al, $0x92
	lgdtl %cs:gdt_pointer - _start
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $8, %cx
	movw %cx, %ds
	movw %cx, %es
	andb $~1, %al
	movl %eax, %cr0
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es

	movl $FIRST, %ebx
	movw $TRIES, %cx
find:
	cmpl $MAGIC, %ds:(%ebx)
	je found
	addl $BLOCK, %ebx
	loop find
	/* No memory as expected. Without an interrupt table this ends Bochs. */
	lidtl %cs:gdt - _start
	int3

found:
	movl %ebx, %esi
	movl %ds:4(%ebx), %ecx
use:
	movl %ds:(%esi), %eax
	addl $BLOCK, %esi
	decl %ecx
	jnz use

	leal 512(%ebx), %esi
	movl $REAL, %edi
	movl $0x10000 / 4, %ecx
	rep movsl %ds:(%esi), %es:(%edi)

	movl %ebx, %eax
	addl %ds:8(%ebx), %eax
	movl $REAL, %edi
	movl %eax, %ds:CODE32_START(%edi)
	movl %ebx, %eax
	addl %ds:12(%ebx), %eax
	movl %eax, %ds:RAMDISK_IMAGE(%edi)

	movw $REAL >> 4, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movw $HEAP_END, %sp
	ljmp $(REAL + 512) >> 4, $0

	.balign 8
gdt:
	.quad 0
	.quad 0x008f92000000ffff	/* data, 4 GiB, 16 bits */
gdt_pointer:
	.word 15
	.long 0xd0000 + gdt - _start
	.org 512
