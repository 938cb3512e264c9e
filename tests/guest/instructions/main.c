// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A 32-bit guest that reaches devices of vmm's by instructions that its emulator carries out:
 * vector and x87 registers on the I/O APIC's page, and others than MOV on that of the local APIC.
 * Prints "ok NAME" or "not ok NAME: why" for each, which tests/boot/instructions.sh repeats.
 */
#include <stdbool.h>
#include <stdint.h>

#define COM1		0x3f8
#define COM1_IER	(COM1 + 1)
#define COM1_MCR	(COM1 + 4)
#define IER_EMPTY	0x02
#define MCR_OUT2	0x08
#define DEBUG_EXIT_PORT 0xf4
#define PASSED		0x10
#define FAILED		0x11

#define LAPIC		0xfee00000u
#define LAPIC_TPR	0x080
#define LAPIC_EOI	0x0b0
#define LAPIC_SVR	0x0f0
#define LAPIC_ISR	0x100
#define LAPIC_ICR	0x300
#define ICR_SELF	0x44000u

#define IOAPIC		0xfec00000u
#define IOAPIC_WINDOW	0x10
#define IOAPIC_VERSION	1
#define IOAPIC_PIN4	0x18
#define RTE_REMOTE_IRR	0x4000u
#define RTE_LEVEL	0x8000u
#define RTE_MASKED	0x10000u

#define VECTOR		0x41
#define CODE		0x08

void main(void);
void on_interrupt(void);

volatile uint32_t interrupts;

static volatile uint64_t gdt[3] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff}, idt[256];
static const char *test;
static bool failed;

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
	while (*text)
		out8(COM1, (uint8_t)*text++);
}

static void print_number(uint32_t value)
{
	char text[9];

	for (unsigned int i = 0; i < 8; i++)
		text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
	text[8] = 0;
	print(text);
}

static void begin(const char *name)
{
	test = name;
}

static void check(uint32_t got, uint32_t wanted, const char *what)
{
	if (got == wanted || !test)
		return;
	print("not ok ");
	print(test);
	print(": ");
	print(what);
	print(" is ");
	print_number(got);
	print(", not ");
	print_number(wanted);
	print("\n");
	test = 0;
	failed = true;
}

static void finish(void)
{
	if (!test)
		return;
	print("ok ");
	print(test);
	print("\n");
}

static volatile uint32_t *lapic(unsigned int reg)
{
	return (volatile uint32_t *)(LAPIC + reg);
}

static volatile uint32_t *ioapic(unsigned int offset)
{
	return (volatile uint32_t *)(IOAPIC + offset);
}

static uint32_t ioapic_read(uint32_t reg)
{
	*ioapic(0) = reg;
	return *ioapic(IOAPIC_WINDOW);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*ioapic(0) = reg;
	*ioapic(IOAPIC_WINDOW) = value;
}

/* ------------------------------------------------------------------------- */

static void load_tables(void)
{
	const struct {
		uint16_t limit;
		const volatile void *base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, gdt}, idtr = {sizeof(idt) - 1, idt};
	uint32_t to = (uint32_t)on_interrupt;

	idt[VECTOR] =
		(uint64_t)(to & 0xffff0000) << 32 | 0x8e0000000000 | CODE << 16 | (to & 0xffff);
	__asm__ volatile("lgdt %0\n\tlidt %1\n\tljmp %2, $1f\n1:"
			 :
			 : "m"(gdtr), "m"(idtr), "i"(CODE));
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%ss" : : "r"(CODE + 8));
}

/* CR0.EM and TS off, NE on; CR4.OSFXSR on */
static void enable_registers(void)
{
	uint32_t value;

	__asm__ volatile("mov %%cr0, %0\n\tand $~0xc, %0\n\tor $0x22, %0\n\tmov %0, %%cr0"
			 : "=&r"(value));
	__asm__ volatile("mov %%cr4, %0\n\tor $0x200, %0\n\tmov %0, %%cr4" : "=&r"(value));
	__asm__ volatile("fninit");
}

/* What MOV finds there, other instructions find. */
static void vector_registers(void)
{
	static const uint32_t rte = RTE_MASKED | 0x55, select = IOAPIC_PIN4;
	uint32_t got, version = ioapic_read(IOAPIC_VERSION), seen[4] = {0};

	begin("sse");
	__asm__ volatile("movss %1, %%xmm3\n\tmovups %%xmm3, %0"
			 : "=m"(seen)
			 : "m"(*ioapic(IOAPIC_WINDOW)));
	check(seen[0], version, "the version");
	check(seen[1] | seen[2] | seen[3], 0, "what is behind it");
	__asm__ volatile(
		"movd %2, %%xmm4\n\tmovd %%xmm4, %0\n\tmovss %3, %%xmm5\n\tmovss %%xmm5, %1"
		: "=m"(*ioapic(0)), "=m"(*ioapic(IOAPIC_WINDOW))
		: "m"(select), "m"(rte));
	check(ioapic_read(IOAPIC_PIN4), rte, "the redirection entry");
	finish();

	begin("mmx");
	*ioapic(0) = IOAPIC_VERSION;
	__asm__ volatile("movd %1, %%mm2\n\tmovd %%mm2, %0\n\temms"
			 : "=m"(got)
			 : "m"(*ioapic(IOAPIC_WINDOW)));
	check(got, version, "the version");
	finish();

	begin("x87");
	__asm__ volatile("fildl %1\n\tfistpl %0" : "=m"(got) : "m"(*ioapic(IOAPIC_WINDOW)));
	check(got, version, "the version");
	*ioapic(0) = IOAPIC_PIN4;
	got = RTE_MASKED | 0x56;
	__asm__ volatile("fildl %1\n\tfistpl %0" : "=m"(*ioapic(IOAPIC_WINDOW)) : "m"(got));
	check(ioapic_read(IOAPIC_PIN4), RTE_MASKED | 0x56, "the redirection entry");
	finish();
}

static void local_apic(void)
{
	uint32_t value = 0x50, self = ICR_SELF | VECTOR;
	volatile void *icr = lapic(LAPIC_ICR);

	begin("local_apic");
	__asm__ volatile("orl $0x1ff, %0" : "+m"(*lapic(LAPIC_SVR)));
	check(*lapic(LAPIC_SVR), 0x1ff, "the SVR");
	__asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*lapic(LAPIC_TPR)));
	check(value, 0, "the task priority");
	check(*lapic(LAPIC_TPR), 0x50, "the task priority");
	/* STOS sends an interrupt, which waits for a lower priority. */
	__asm__ volatile("stosl" : "+D"(icr) : "a"(self) : "memory");
	__asm__ volatile("sti; nop; nop");
	check(interrupts, 0, "interrupts");
	__asm__ volatile("andl $0, %0" : "+m"(*lapic(LAPIC_TPR)));
	__asm__ volatile("nop; nop; cli");
	check(interrupts, 1, "interrupts");
	check(lapic(LAPIC_ISR)[VECTOR / 32 * 4], 1u << VECTOR % 32, "what is in service");
	__asm__ volatile("andl $0, %0" : "+m"(*lapic(LAPIC_EOI)));
	check(lapic(LAPIC_ISR)[VECTOR / 32 * 4], 0, "what is in service");
	finish();
}

/* The serial line's, level-triggered: until its EOI arrives the I/O APIC sends no more. */
static void end_of_interrupt(void)
{
	begin("end_of_interrupt");
	interrupts = 0;
	ioapic_write(IOAPIC_PIN4 + 1, 0);
	ioapic_write(IOAPIC_PIN4, RTE_LEVEL | VECTOR);
	out8(COM1_MCR, MCR_OUT2);
	__asm__ volatile("sti");
	out8(COM1_IER, IER_EMPTY);
	while (!interrupts)
		__asm__ volatile("pause");
	__asm__ volatile("cli");
	out8(COM1_IER, 0);
	check(ioapic_read(IOAPIC_PIN4) & RTE_REMOTE_IRR, RTE_REMOTE_IRR, "remote IRR");
	__asm__ volatile("andl $0, %0" : "+m"(*lapic(LAPIC_EOI)));
	check(ioapic_read(IOAPIC_PIN4) & RTE_REMOTE_IRR, 0, "remote IRR");
	finish();
}

void main(void)
{
	load_tables();
	enable_registers();
	vector_registers();
	local_apic();
	end_of_interrupt();
	for (;;)
		__asm__ volatile("outl %0, %1"
				 :
				 : "a"(failed ? FAILED : PASSED), "Nd"((uint16_t)DEBUG_EXIT_PORT));
}
