// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest of the benchmark: one loop for each operation, which stores the
 * ticks that every single operation took. Position-independent; copied into the
 * guest by hv-bench.c, which gives each loop R8, where to store, R9, how often,
 * and RSI, an address.
 *
 * RDTSC is not intercepted, and RBX, R10 and R11 are the loops' own: R11 counts
 * the interrupts that the handler has seen.
 */
#include "bench.h"

#define STR_(x) #x
#define STR(x)	STR_(x)

_Static_assert(PORT_DONE == 0x600 && PORT_USER == 0x601 && PORT_EVENT == 0x602 &&
		       PORT_DOORBELL == 0x603 && BENCH_VECTOR == 0x40,
	       "the numbers in the assembly below");

/* The instructions between the two RDTSC that are not the operation: see "own" in hv-bench.c. */
#define LOOP(name, operation)                                     \
	".globl " name "\n" name ":\n"                            \
	"1:	rdtsc\n"                                              \
	"	shl	$32, %rdx\n"                                        \
	"	lea	(%rax,%rdx), %r10\n" operation "	rdtsc\n" \
	"	shl	$32, %rdx\n"                                        \
	"	add	%rdx, %rax\n"                                       \
	"	sub	%r10, %rax\n"                                       \
	"	mov	%rax, (%r8)\n"                                      \
	"	add	$8, %r8\n"                                          \
	"	dec	%r9\n"                                              \
	"	jnz	1b\n"                                               \
	"	jmp	guest_done\n"

/* Until the interrupt has been handled: at once, if it arrives with the operation. */
#define AWAIT_INTERRUPT       \
	"2:	cmp	%rbx, %r11\n" \
	"	je	2b\n"

/* clang-format off */
asm(".pushsection .rodata\n"
    ".balign 16\n"
    ".globl bench_guest, bench_guest_end\n"
    "bench_guest:\n"

    /* The local APIC in x2APIC mode, enabled, accepting everything. */
    ".globl guest_setup\n"
    "guest_setup:\n"
    "	xor	%r11d, %r11d\n"
    "	mov	$0x1b, %ecx\n"		/* IA32_APIC_BASE: EN, EXTD */
    "	rdmsr\n"
    "	or	$0xc00, %eax\n"
    "	wrmsr\n"
    "	mov	$0x80f, %ecx\n"		/* spurious vector register */
    "	mov	$0x1ff, %eax\n"
    "	xor	%edx, %edx\n"
    "	wrmsr\n"
    "guest_done:\n"
    "	mov	$0x600, %edx\n"
    "	out	%al, (%dx)\n"
    "	ud2\n"

    /* RAX, RCX and RDX belong to nobody where an interrupt can arrive. */
    ".globl guest_handler\n"
    "guest_handler:\n"
    "	inc	%r11\n"
    "	mov	$0x80b, %ecx\n"		/* EOI */
    "	xor	%eax, %eax\n"
    "	xor	%edx, %edx\n"
    "	wrmsr\n"
    "	iretq\n"

    LOOP("guest_empty", "")

    LOOP("guest_cpuid",
    "	xor	%eax, %eax\n"
    "	xor	%ecx, %ecx\n"
    "	cpuid\n")

    LOOP("guest_rdmsr",
    "	mov	$0x3b, %ecx\n"		/* IA32_TSC_ADJUST */
    "	rdmsr\n")

    LOOP("guest_self_ipi",
    "	mov	%r11, %rbx\n"
    "	mov	$0x83f, %ecx\n"		/* SELF IPI */
    "	mov	$0x40, %eax\n"
    "	xor	%edx, %edx\n"
    "	wrmsr\n"
    AWAIT_INTERRUPT)

    LOOP("guest_in",
    "	mov	$0x601, %edx\n"
    "	in	(%dx), %al\n")

    LOOP("guest_out",
    "	mov	$0x601, %edx\n"
    "	out	%al, (%dx)\n")

    LOOP("guest_mmio_read",
    "	mov	(%rsi), %eax\n")

    LOOP("guest_doorbell",
    "	mov	$0x603, %edx\n"
    "	out	%al, (%dx)\n")

    LOOP("guest_event",
    "	mov	$0x602, %edx\n"
    "	out	%al, (%dx)\n")

    LOOP("guest_event_irq",
    "	mov	%r11, %rbx\n"
    "	mov	$0x602, %edx\n"
    "	out	%al, (%dx)\n"
    AWAIT_INTERRUPT)

    LOOP("guest_touch",
    "	add	$4096, %rsi\n"
    "	movb	$1, -4096(%rsi)\n")

    "bench_guest_end:\n"
    ".popsection\n");
/* clang-format on */
