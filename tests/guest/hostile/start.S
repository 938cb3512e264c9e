/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hostile guest's way from a Multiboot loader (32-bit protected mode) to C in long mode, and
 * where its exceptions arrive. The loader enters at "start"; main() takes over.
 */
	.section .multiboot, "a"
	.balign 4
	.long	0x1badb002		/* magic */
	.long	0x00000002		/* wants to know about memory */
	.long	-(0x1badb002 + 0x00000002)

	.text
	.code32
	.globl	start
start:
	movl	$stack_top, %esp
	movl	%ebx, %esi		/* the information structure, kept for main() */

	/* One PML4 entry, 8 entries of the next level, 8 tables of 2 MiB pages: 8 GiB one to one. */
	movl	$tables + 0x1003, tables
	movl	$tables + 0x2003, %eax
	movl	$tables + 0x1000, %edi
	movl	$8, %ecx
1:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	decl	%ecx
	jnz	1b
	movl	$0x83, %eax
	xorl	%edx, %edx
	movl	$tables + 0x2000, %edi
	movl	$8 * 512, %ecx
2:	movl	%eax, (%edi)
	movl	%edx, 4(%edi)
	addl	$0x200000, %eax
	adcl	$0, %edx
	addl	$8, %edi
	decl	%ecx
	jnz	2b

	movl	$tables, %eax
	movl	%eax, %cr3
	movl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	movl	$0x100, %eax		/* EFER.LME */
	xorl	%edx, %edx
	wrmsr
	movl	$0x80010011, %eax	/* PG, WP, ET, PE */
	movl	%eax, %cr0
	lgdtl	gdtr
	ljmpl	$0x08, $long_mode

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%esi, %edi
	xorl	%ebp, %ebp
	call	main
3:	hlt
	jmp	3b

/*
 * int guarded(void (*fn)(uint64_t), uint64_t arg): calls fn; returns the vector of the exception
 * that ended it, or -1 when it returned.
 */
	.globl	guarded
guarded:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	%rsp, guard(%rip)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	movl	$-1, %eax
guarded_out:
	movq	$0, guard(%rip)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* On the stack: vector, error code (or 0), RIP, CS, RFLAGS, RSP, SS. */
exception:
	popq	%rdi
	popq	%rsi
	cmpq	$0, guard(%rip)
	je	unexpected
	movl	%edi, %eax
	movq	guard(%rip), %rsp
	jmp	guarded_out
unexpected:
	movq	(%rsp), %rdx
	andq	$-16, %rsp
	call	unexpected_exception

nmi:
	incl	nmi_count(%rip)
	addq	$16, %rsp
	iretq

/* 32 entries of 16 bytes, one for each exception. */
	.balign 16
	.globl	exception_entries
exception_entries:
	vector = 0
	.rept	32
	.balign 16
	/* Those with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC, #SX. */
	.if	((1 << vector) & 0x60227d00) == 0
	pushq	$0
	.endif
	pushq	$vector
	.if	vector == 2
	jmp	nmi
	.else
	jmp	exception
	.endif
	vector = vector + 1
	.endr

	.section .rodata
	.balign 8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x10: data */
gdtr:
	.word	. - gdt - 1
	.long	gdt

	.bss
	.balign 4096
tables:
	.skip	10 * 4096
	.skip	32768
stack_top:
	.balign 8
guard:
	.skip	8
	.globl	nmi_count
nmi_count:
	.skip	4

	.section .note.GNU-stack, "", @progbits
