/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the guest that switches tasks is no C: its way in from a Multiboot loader, the
 * switch itself, what runs in the other tasks, and where exceptions arrive.
 */
	.section .multiboot, "a"
	.balign 4
	.long	0x1badb002		/* magic */
	.long	0
	.long	-0x1badb002

	.text
	.globl	start
start:
	movl	$stack_top, %esp
	pushl	%ebx			/* the information structure */
	call	main

/*
 * void switch_away(int how): with the same number in all digits of each register, switches
 * to where far_pointer says (0: JMP, 1: CALL), by vector 0x40 (2), or by
 * loading DS with that selector (3). Returns when the task runs again, or an exception was
 * met; what the registers then were is in came_back.
 */
	.globl	switch_away, behind_jmp, behind_call, behind_int, at_load, behind_load
switch_away:
	pushal
	movl	36(%esp), %eax
	movl	%eax, how
	movl	%esp, guard
	movl	$0x11111111, %eax
	movl	$0x22222222, %ecx
	movl	$0x33333333, %edx
	movl	$0x44444444, %ebx
	movl	$0x55555555, %ebp
	movl	$0x66666666, %esi
	movl	$0x77777777, %edi
	cmpl	$1, how
	je	1f
	cmpl	$2, how
	je	2f
	cmpl	$3, how
	je	3f
	ljmp	*far_pointer
behind_jmp:
	jmp	back
1:	lcall	*far_pointer
behind_call:
	jmp	back
2:	int	$0x40
behind_int:
	jmp	back
3:
at_load:
	movw	far_pointer + 4, %ds
behind_load:
back:
	movl	%eax, came_back
	movl	%ecx, came_back + 4
	movl	%edx, came_back + 8
	movl	%ebx, came_back + 12
	movl	%esp, came_back + 16
	movl	%ebp, came_back + 20
	movl	%esi, came_back + 24
	movl	%edi, came_back + 28
	movl	guard, %esp
	movl	$0, guard
	popal
	ret

/*
 * Where the other tasks begin: in_task() gets what they began with. They end by IRET, or
 * by JMP to the main task if ends_by_jmp is set.
 */
	.globl	task_entry, task_entry_error
task_entry_error:
	popl	error_code
task_entry:
	pushal
	pushfl
	pushl	%esp
	call	in_task
	addl	$8, %esp
	popal
	cmpl	$0, ends_by_jmp
	jne	1f
	iret
	jmp	task_entry
1:	ljmp	*main_pointer
	jmp	task_entry

/* The same in a task of 16 bits, whose CS begins here. */
	.globl	task_entry16
task_entry16:
	movl	%eax, seen16
	movl	%esp, seen16 + 4
	pushfl
	popl	seen16 + 8
	str	seen16 + 12
	iret

/* On the stack: vector, error code (or 0), EIP, CS, EFLAGS. */
exception:
	cld
	popl	last_vector
	popl	last_error
	popl	last_eip
	movl	%cr2, %eax
	movl	%eax, last_cr2
	cmpl	$0, guard
	je	unexpected_exception
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	jmp	back

/* A debug exception does not end what it interrupts. */
debug_trap:
	addl	$8, %esp
	pushl	%eax
	movl	%dr6, %eax
	movl	%eax, debug_dr6
	movl	4(%esp), %eax
	movl	%eax, debug_eip
	str	debug_tr
	popl	%eax
	iret

/* 32 entries of 16 bytes, one for each exception. */
	.balign 16
	.globl	exception_entries
exception_entries:
	vector = 0
	.rept	32
	.balign 16
	/* Those with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC, #SX. */
	.if	((1 << vector) & 0x60227d00) == 0
	pushl	$0
	.endif
	pushl	$vector
	.if	vector == 1
	jmp	debug_trap
	.else
	jmp	exception
	.endif
	vector = vector + 1
	.endr

	.bss
	.balign 16
	.skip	16384
stack_top:
how:
	.skip	4
guard:
	.skip	4

	.section .note.GNU-stack, "", @progbits
