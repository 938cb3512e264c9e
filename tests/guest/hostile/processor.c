// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile use of the processor under the monitor: faults without end, jumps to nowhere, illegal
 * control registers and MSRs, privileged instructions. The ABI's own tests look closer at each; here
 * it is the monitor that must take it. main.c calls the cases.
 */
#include <linux/virtio_blk.h>

#include "hostile.h"

#define MSR_EFER      0xc0000080
#define MSR_APIC_BASE 0x1b

#define CR0_PE	      (1ULL << 0)
#define CR0_NW	      (1ULL << 29)
#define CR0_CD	      (1ULL << 30)
#define CR0_PG	      (1ULL << 31)
#define CR4_PAE	      (1ULL << 5)
#define CR4_LA57      (1ULL << 12)
#define CR4_OSXSAVE   (1ULL << 18)

/* ------------------------------------------------------------------------- */
/* The end                                                                    */

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) short_idt = {15, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(short_idt));
}

static void jump(uint64_t to)
{
	__asm__ volatile("jmp *%0" : : "r"(to));
}

static void jump_to_hole(void)
{
	jump(low_end + 0x1000);
}

static void jump_above_memory(void)
{
	jump(high_end + 0x1000);
}

static void jump_into_device(void)
{
	jump(disk.common);
}

static void jump_into_lapic(void)
{
	jump(LAPIC);
}

/* The first instruction lies in memory, its end in the hole: FF 25 wants six bytes. */
static void run_off_the_end(void)
{
	*(volatile uint16_t *)(low_end - 2) = 0x25ff;
	jump(low_end - 2);
}

static void load_cr3(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static void tables_in_hole(void)
{
	load_cr3(low_end);
}

static void tables_above_memory(void)
{
	load_cr3(high_end);
}

static void tables_in_device(void)
{
	load_cr3(disk.common & ~0xfffULL);
}

static void stack_in_hole(void)
{
	__asm__ volatile("movq %0, %%rsp; ud2" : : "r"(low_end + 0x1000));
}

/* It computes, and so is nothing that the monitor carries out on device memory. */
static void vector_to_device(void)
{
	__asm__ volatile("movq %%cr0, %%rax; andb $0xf3, %%al; movq %%rax, %%cr0;"
			 "movq %%cr4, %%rax; orl $0x600, %%eax; movq %%rax, %%cr4;"
			 "addps (%0), %%xmm0"
			 :
			 : "r"(disk.common)
			 : "rax", "memory");
}

static void init_to_itself(void)
{
	mmio_write(LAPIC + 0x310, 4, 0);
	mmio_write(LAPIC + 0x300, 4, 0x4500);
	for (;;)
		__asm__ volatile("pause");
}

static void halt_for_ever(void)
{
	print("halting\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void spin_for_ever(void)
{
	print("spinning\n");
	for (;;)
		;
}

static void flood_for_ever(void)
{
	print("flooding\n");
	for (;;)
		print("All work and no play makes a console a dull place to be.\n");
}

/* ------------------------------------------------------------------------- */
/* Control registers                                                          */

static uint64_t read_cr(unsigned int n)
{
	uint64_t v = 0;

	if (n == 0)
		__asm__ volatile("movq %%cr0, %0" : "=r"(v));
	else if (n == 4)
		__asm__ volatile("movq %%cr4, %0" : "=r"(v));
	else
		__asm__ volatile("movq %%cr8, %0" : "=r"(v));
	return v;
}

static void write_cr0(uint64_t v)
{
	__asm__ volatile("movq %0, %%cr0" : : "r"(v) : "memory");
}

static void write_cr4(uint64_t v)
{
	__asm__ volatile("movq %0, %%cr4" : : "r"(v) : "memory");
}

static void write_cr8(uint64_t v)
{
	__asm__ volatile("movq %0, %%cr8" : : "r"(v) : "memory");
}

/* Either the register takes the value, or #GP leaves it as it was. */
static void toggle(unsigned int n, void (*write)(uint64_t), uint64_t mask)
{
	uint64_t was = read_cr(n);
	int vector = guarded(write, was ^ mask);

	if (vector >= 0) {
		CHECK(vector == VECTOR_GP);
		CHECK(read_cr(n) == was);
	}
	write(was);
	CHECK(read_cr(n) == was);
}

/* Exactly this exception, and nothing else, must come of fn(arg). */
static void must_raise(int vector, void (*fn)(uint64_t), uint64_t arg, const char *what)
{
	int raised = guarded(fn, arg);

	if (raised == vector)
		return;
	print_number(arg);
	print(" raised ");
	print_number((uint64_t)raised);
	print("\n");
	fail(what);
}

static void control_registers(void)
{
	uint64_t cr0 = read_cr(0), cr4 = read_cr(4);

	for (unsigned int bit = 0; bit < 64; bit++) {
		toggle(0, write_cr0, 1ULL << bit);
		toggle(4, write_cr4, 1ULL << bit);
		toggle(8, write_cr8, 1ULL << bit);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		/* Paging stays on: without it the rest of this code would be elsewhere. */
		toggle(0, write_cr0, nonsense() & 0x7ffffffe);
		toggle(4, write_cr4, nonsense() & 0xff9fff);
	}
	/* Not those of CR3 and CR8, and no high bits of CR0: QEMU's emulation takes no notice of them. */
	step("what must be refused");
	must_raise(VECTOR_GP, write_cr0, cr0 & ~CR0_PE, "PG without PE");
	must_raise(VECTOR_GP, write_cr0, cr0 & ~CR0_PG, "PG cleared by 64-bit code");
	must_raise(VECTOR_GP, write_cr0, (cr0 | CR0_NW) & ~CR0_CD, "NW without CD");
	must_raise(VECTOR_GP, write_cr4, cr4 & ~CR4_PAE, "PAE cleared in long mode");
	must_raise(VECTOR_GP, write_cr4, cr4 ^ CR4_LA57, "LA57 changed in long mode");
	must_raise(VECTOR_GP, write_cr4, cr4 | 1ULL << 63, "a reserved bit of CR4");
}

/* ------------------------------------------------------------------------- */
/* MSRs                                                                       */

struct msr {
	uint32_t number;
	uint64_t value;
};

static void read_msr(uint64_t at)
{
	struct msr *m = (struct msr *)at;
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(m->number));
	m->value = (uint64_t)high << 32 | low;
}

static void write_msr(uint64_t at)
{
	const struct msr *m = (const struct msr *)at;

	__asm__ volatile("wrmsr" : : "c"(m->number), "a"((uint32_t)m->value), "d"(m->value >> 32));
}

static void try_msr(uint32_t number)
{
	static const uint64_t values[] = {~0ULL, 0x5555555555555555ULL, 1ULL << 63, 0};
	struct msr m = {.number = number}, junk = {.number = number};
	int vector = guarded(read_msr, (uint64_t)&m);

	if (vector >= 0) {
		CHECK(vector == VECTOR_GP);
		junk.value = ~0ULL;
		guarded(write_msr, (uint64_t)&junk);
		return;
	}
	/* What holds the processor in its mode, or its APIC in place, is for other cases. */
	if (number == MSR_EFER || number == MSR_APIC_BASE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		junk.value = values[i];
		vector = guarded(write_msr, (uint64_t)&junk);
		CHECK(vector < 0 || vector == VECTOR_GP);
	}
	guarded(write_msr, (uint64_t)&m);
}

static void every_msr(void)
{
	static const uint32_t ranges[][2] = {
		{0, 0x1fff},
		{0x4b564d00, 0x4b564dff},
		{0x40000000, 0x400001ff},
		{0xc0000000, 0xc00011ff},
		{0xc0010000, 0xc0011fff},
		{0xffffff00, 0xffffffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		step("a range");
		for (uint64_t number = ranges[i][0]; number <= ranges[i][1]; number++)
			try_msr((uint32_t)number);
	}
}

static void efer(void)
{
	struct msr m = {.number = MSR_EFER}, junk = m;

	read_msr((uint64_t)&m);
	for (unsigned int bit = 0; bit < 64; bit++) {
		int vector;

		junk.value = m.value ^ 1ULL << bit;
		vector = guarded(write_msr, (uint64_t)&junk);
		CHECK(vector < 0 || vector == VECTOR_GP);
		/* LME cannot be cleared while paging is on. */
		CHECK(bit != 8 || vector == VECTOR_GP);
		write_msr((uint64_t)&m);
		read_msr((uint64_t)&junk);
		CHECK(junk.value == m.value);
	}
}

/* The APIC moved, switched off and into other modes; where it is left, it is as good as none. */
static void apic_base(void)
{
	static const uint64_t values[] = {
		0xfee00100, 0xfee00d00, 0xfee00900, 0xfee00500,		0xd0000900,
		0x00000900, 0xfffff900, ~0ULL,	    1ULL << 40 | 0x900, 0xfee00fff,
	};
	struct msr m = {.number = MSR_APIC_BASE};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		int vector;

		m.value = values[i];
		vector = guarded(write_msr, (uint64_t)&m);
		CHECK(vector < 0 || vector == VECTOR_GP);
		(void)mmio_read(LAPIC + LAPIC_VERSION, 4);
		mmio_write(LAPIC + LAPIC_SVR, 4, 0x1ff);
	}
}

/* ------------------------------------------------------------------------- */
/* Instructions                                                               */

#define INSTRUCTION(name, code)                                                        \
	static void name(uint64_t rax)                                                 \
	{                                                                              \
		__asm__ volatile(code : "+a"(rax) : "c"(0), "d"(0) : "rbx", "memory"); \
	}

INSTRUCTION(insn_vmrun, "vmrun %%rax")
INSTRUCTION(insn_vmload, "vmload %%rax")
INSTRUCTION(insn_vmsave, "vmsave %%rax")
INSTRUCTION(insn_stgi, "stgi")
INSTRUCTION(insn_clgi, "clgi")
INSTRUCTION(insn_skinit, "skinit %%eax")
INSTRUCTION(insn_invlpga, "invlpga %%rax, %%ecx")
INSTRUCTION(insn_rsm, "rsm")
INSTRUCTION(insn_vmxon, ".byte 0xf3, 0x0f, 0xc7, 0x30")
INSTRUCTION(insn_getsec, ".byte 0x0f, 0x37")

static void hypercall(uint64_t number)
{
	__asm__ volatile("vmmcall" : "+a"(number) : "b"(~0ULL), "c"(~0ULL), "d"(~0ULL) : "memory");
}

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0));
}

static void instructions(void)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t rax);
	} undefined[] = {
		{"vmrun", insn_vmrun},	   {"vmload", insn_vmload}, {"vmsave", insn_vmsave},
		{"stgi", insn_stgi},	   {"clgi", insn_clgi},	    {"skinit", insn_skinit},
		{"invlpga", insn_invlpga}, {"rsm", insn_rsm},	    {"vmxon", insn_vmxon},
		{"getsec", insn_getsec},
	};

	step("virtualisation, which the guest has not");
	for (size_t i = 0; i < ARRAY_SIZE(undefined); i++) {
		must_raise(VECTOR_UD, undefined[i].run, 0, undefined[i].name);
		/* A bad address comes before the refusal: AMD APM Vol. 2, table 15-7. */
		CHECK(guarded(undefined[i].run, ~0ULL) >= 0);
	}
	step("hypercalls");
	for (unsigned int number = 0; number < 64; number++)
		guarded(hypercall, number);
	guarded(hypercall, ~0ULL);
	step("XCR0");
	write_cr4(read_cr(4) | CR4_OSXSAVE);
	must_raise(VECTOR_GP, xsetbv, 0, "XCR0 without x87");
	must_raise(VECTOR_GP, xsetbv, 4, "XCR0 with AVX alone");
	must_raise(VECTOR_GP, xsetbv, 5, "XCR0 with AVX but without SSE");
	must_raise(VECTOR_GP, xsetbv, ~0ULL, "XCR0 with everything");
	CHECK(guarded(xsetbv, 1) < 0);
}

static const struct hostile_case cases[] = {
	{"triple_fault", triple_fault, ENDS_CRASHED},
	{"jump_to_hole", jump_to_hole, ENDS_CRASHED},
	{"jump_above_memory", jump_above_memory, ENDS_CRASHED},
	{"jump_into_device", jump_into_device, ENDS_CRASHED},
	{"jump_into_lapic", jump_into_lapic, ENDS_CRASHED},
	{"run_off_the_end", run_off_the_end, ENDS_CRASHED},
	{"tables_in_hole", tables_in_hole, ENDS_CRASHED},
	{"tables_above_memory", tables_above_memory, ENDS_CRASHED},
	{"tables_in_device", tables_in_device, ENDS_CRASHED},
	{"stack_in_hole", stack_in_hole, ENDS_CRASHED},
	{"vector_to_device", vector_to_device, ENDS_CRASHED},
	{"init_to_itself", init_to_itself, ENDS_CRASHED},
	{"halt_for_ever", halt_for_ever, ENDS_NEVER},
	{"spin_for_ever", spin_for_ever, ENDS_NEVER},
	{"flood_for_ever", flood_for_ever, ENDS_NEVER},
	{"control_registers", control_registers, ENDS_WELL},
	{"every_msr", every_msr, ENDS_WELL},
	{"efer", efer, ENDS_WELL},
	{"apic_base", apic_base, ENDS_WELL},
	{"instructions", instructions, ENDS_WELL},
};

const struct case_group processor_cases = {cases, ARRAY_SIZE(cases)};
