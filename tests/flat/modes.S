/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest code for the modes in which C is of no use: real mode, protected mode
 * and the way from real to long mode. Blobs between two labels are copied by
 * tests to low guest memory; the rest runs at its link address like C.
 */
	.text

/*
 * Real mode, loaded at offset 0 of CS = DS = SS. Reports by OUT to PORT_SYNC
 * what a stack, an interrupt, a far call and a string move did.
 */
	.code16
	.globl	flat_real, flat_real_int, flat_real_end
flat_real:
	movw	$0x504, %dx
	movw	$0x1234, %ax
	pushw	%ax
	popw	%bx
	movw	%bx, %ds:0x400
	movzwl	%ds:0x400, %eax
	outl	%eax, %dx		/* 0x1234 */
	movw	$1, %cx
	int	$0x40
	movzwl	%cx, %eax
	outl	%eax, %dx		/* 2: the handler added one */
	pushw	%cs
	call	flat_real_far
	movzwl	%cx, %eax
	outl	%eax, %dx		/* 0x77: it came back by LRET */
	movw	$0x400, %si
	movw	$0x500, %di
	movw	$2, %cx
	cld
	rep	movsb
	movzwl	%ds:0x500, %eax
	outl	%eax, %dx		/* 0x1234 */
	/* Base from the segment, limit 64 KiB: the last byte of the segment. */
	movb	$0x5a, %ds:0xffff
	movzbl	%ds:0xffff, %eax
	outl	%eax, %dx		/* 0x5a */
	xorl	%eax, %eax
	movl	%cr0, %eax
	andl	$1, %eax
	outl	%eax, %dx		/* 0 */
	movw	$0x500, %dx
	outl	%eax, %dx
	hlt
flat_real_far:
	movw	$0x77, %cx
	lret
flat_real_int:
	incw	%cx
	iretw
flat_real_end:

/*
 * 32-bit protected mode with flat segments, at any address. ESI: page directory
 * of an identity map with 4 MiB pages. Turns paging on halfway.
 */
	.code32
	.globl	flat_prot, flat_prot_end
flat_prot:
	movl	$0x504, %edx
	movl	$0x12345678, %eax
	pushl	%eax
	popl	%ebx
	leal	1(%ebx), %eax
	outl	%eax, %dx		/* 0x12345679 */
	int	$0x40			/* adds 1 to ECX */
	movl	%ecx, %eax
	outl	%eax, %dx		/* 1 */
	movl	$0x7fffffff, %eax
	addl	$1, %eax
	into				/* #OF: the handler adds 1 */
	movl	%ecx, %eax
	outl	%eax, %dx		/* 2 */
	movl	%esi, %cr3
	movl	%cr4, %eax
	orl	$0x10, %eax		/* CR4.PSE */
	movl	%eax, %cr4
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	jmp	1f
1:	movl	%cr0, %eax
	outl	%eax, %dx		/* bit 31 set */
	/* The directory maps 0x40000000 where 0 is. */
	movl	$0x55aa55aa, 0x40010ff0
	movl	0x10ff0, %eax
	outl	%eax, %dx		/* 0x55aa55aa */
	movl	$0x500, %edx
	outl	%eax, %dx
	hlt
flat_prot_end:

	.globl	flat_prot_int
flat_prot_int:
	incl	%ecx
	iret

/*
 * From protected mode to 64-bit mode, with the page tables of tests/lib/vm.h; leaves
 * EFER's number in ECX, 0 in EDX.
 */
	.macro	TO_LONG cr4, efer, cr0, to:vararg
	movl	$\cr4, %eax
	movl	%eax, %cr4
	movl	$0x1000, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	movl	$\efer, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$\cr0, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $(\to)
	.endm

/*
 * The way of a processor that starts in real mode: protected mode, then long
 * mode, then guest_start16_main(vCPU id). CS = DS's segment, offset 0; used as a
 * SIPI's target too. CR3, GDT and IDT are those of tests/lib/vm.h.
 */
	.code16
	.globl	flat_start16, flat_start16_end
flat_start16:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	%ds:(start_gdtr - flat_start16)
	movl	$0x11, %eax
	movl	%eax, %cr0
	ljmpl	$0x18, $start32
	.balign	4
start_gdtr:
	.word	0x7f
	.long	0x9000
flat_start16_end:

	.code32
start32:
	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	%ax, %fs
	movw	%ax, %gs
	/* PAE, OSFXSR, OSXMMEXCPT; SCE, LME, NXE; PG, WP, NE, ET, MP, PE */
	TO_LONG	0x620, 0x901, 0x80010033, start64

	.code64
start64:
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx		/* initial APIC id = vCPU id */
	movl	%ebx, %edi
	/* Stack, GDT, TSS and IDT of this vCPU. */
	movl	%ebx, %eax
	shll	$16, %eax
	leaq	0x810000(%rax), %rsp
	shll	$7, %ebx
	addl	$0x9000, %ebx
	subq	$16, %rsp
	movw	$0x7f, (%rsp)
	movq	%rbx, 2(%rsp)
	lgdt	(%rsp)
	andb	$0xfd, 0x45(%rbx)	/* the TSS is not busy yet */
	movw	$0x40, %ax
	ltr	%ax
	movw	$0xfff, (%rsp)
	movq	$0x8000, 2(%rsp)
	lidt	(%rsp)
	/* GS base: the vCPU's struct guest_cpu. */
	movq	guest_cpu_size(%rip), %rax
	imulq	%rdi, %rax
	addq	$guest_cpus, %rax
	movq	%rax, %rdx
	shrq	$32, %rdx
	movl	$0xc0000101, %ecx
	wrmsr
	addq	$16, %rsp
	movl	%edi, %edi
	xorl	%ebp, %ebp
	pushq	$guest_return
	jmp	*guest_start16_main(%rip)

/*
 * From real mode to 64-bit mode and back, ESI times; EDI counts. At 0x10000, where CS,
 * DS and SS are; what LGDT loads is at DS:8000, with a code and a data segment of real
 * mode at 50 and 58.
 */
	.code16
	.globl	flat_trip, flat_trip_end
flat_trip:
1:	lgdtl	0x8000
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x18, $(0x10000 + 2f - flat_trip)
	.code32
2:	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %ss
	movl	$0x17000, %esp
	/* PAE; LME; PG, ET, PE */
	TO_LONG	0x20, 0x100, 0x80000011, 0x10000 + 3f - flat_trip
	.code64
3:	movq	$0x100000001, %r8
	addl	%r8d, %edi
	pushq	$0x18
	pushq	$(0x10000 + 4f - flat_trip)
	lretq
	.code32
4:	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	xorl	%eax, %eax
	wrmsr
	movl	%eax, %cr4
	ljmp	$0x50, $(5f - flat_trip)
	.code16
5:	movw	$0x58, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7000, %sp
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmp	$0x1000, $(6f - flat_trip)
6:	movw	$0x1000, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	decl	%esi
	jnz	1b
flat_trip_end:

	.code64
/* Ring 3: see the test user_mode. Ends by SYSCALL, whose target returns to the kernel half. */
	.globl	flat_user, flat_user_syscall, flat_user_enter
flat_user:
	movq	$0x1111, %rdi
	syscall
	ud2

/*
 * void flat_user_enter(rip, rsp): IRET to ring 3; the SYSCALL that comes back
 * makes it return, RDI of the user in RAX.
 */
flat_user_enter:
	movq	%rsp, flat_user_stack(%rip)
	pushq	$0x23
	pushq	%rsi
	pushq	$0x2
	pushq	$0x2b
	pushq	%rdi
	iretq
flat_user_syscall:
	movq	flat_user_stack(%rip), %rsp
	movq	%rdi, %rax
	ret

/* 32-bit code in long mode (compatibility mode): sets EAX from a 32-bit-only instruction. */
	.globl	flat_compat
flat_compat:
	pushq	%rbx
	movq	%rsp, %rbx
	movq	$compat_target, %rax
	pushq	$0x18
	pushq	%rax
	lretq
	.code32
compat_target:
	movl	$8, %eax
	addl	$2, %eax
	daa				/* 0x10; not valid in 64-bit code */
	incl	%eax			/* 0x40: a REX prefix there */
	ljmpl	$0x08, $compat_back
	.code64
compat_back:
	movq	%rbx, %rsp
	popq	%rbx
	movl	%eax, %eax
	ret

	.data
	.globl	guest_start16_main
guest_start16_main:
	.quad	0
flat_user_stack:
	.quad	0

	.section .note.GNU-stack, "", @progbits
