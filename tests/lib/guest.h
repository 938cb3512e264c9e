/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's half of a test is written with. A test program is linked at
 * a fixed address below 16 MiB and copied into the guest's memory at the same
 * address, so a guest function is a C function marked GUEST, and a variable has
 * one copy in the host and one in each guest (see guest_var() in vm.h).
 *
 * Guest functions use no floating-point or vector registers of the compiler's
 * choice: the tests of those registers want them to themselves.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#define GUEST	     __attribute__((noinline, target("general-regs-only")))
#define GUEST_INLINE static inline __attribute__((always_inline, target("general-regs-only")))

/* Ports by which a guest speaks to vcpu_run(). */
enum {
	PORT_DONE = 0x500, /* the guest's function has returned */
	PORT_SYNC = 0x504, /* a step was reached; the value is its number */
	PORT_FAIL = 0x508, /* guest_report says which check failed */
	PORT_TRAP = 0x50c, /* an exception that nobody expected; guest_cpu says which */
	PORT_LOW = 0x80,   /* where a test wants an exit by IN or OUT with imm8 */
};

#define GUEST_NO_TRAP 256u

/* Vectors of exceptions */
enum {
	DE = 0,
	DB = 1,
	NMI = 2,
	BP = 3,
	OF = 4,
	UD = 6,
	NM = 7,
	DF = 8,
	NP = 11,
	SS = 12,
	GP = 13,
	PF = 14,
	MF = 16,
	AC = 17,
	XM = 19,
};

#define GUEST_CPUS 64

struct guest_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* One per vCPU, at GS base. The first two fields are known to assembly. */
struct guest_cpu {
	struct guest_cpu *self;
	uint64_t fixup;		     /* where an expected exception continues; 0: none is */
	volatile uint32_t vector;    /* the last exception, or GUEST_NO_TRAP */
	uint32_t id;		     /* vCPU id */
	volatile uint64_t error;     /* its error code */
	volatile uint64_t rip;	     /* where it, or the last interrupt, struck */
	volatile uint64_t cr2;	     /* of the last page fault */
	volatile uint64_t interrupt; /* vector of the last interrupt */
	/* True: it was dealt with, EOI included. */
	bool (*volatile hook)(struct guest_frame *f);
	bool x2apic;
	volatile uint32_t count[256]; /* deliveries of each vector */
};

struct guest_report {
	const char *what;
	uint64_t got, want;
	uint32_t line;
};

extern struct guest_cpu guest_cpus[GUEST_CPUS];
extern struct guest_report guest_report;

/* tests/flat/trap.S: 256 entries of 16 bytes, and where a guest function returns to. */
extern const char guest_trap_entries[];
extern const char guest_return[];
void guest_trap(struct guest_frame *f);

/* tests/flat/modes.S: from real mode to guest_start16_main(vCPU id); see vm_load_start16(). */
extern const char flat_start16[], flat_start16_end[];
extern void (*guest_start16_main)(uint64_t id);
extern const uint64_t guest_cpu_size;

GUEST_INLINE struct guest_cpu *guest_cpu(void)
{
	struct guest_cpu *c;

	asm volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

GUEST_INLINE void outb(uint8_t value, uint16_t port)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE void outw(uint16_t value, uint16_t port)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE void outl(uint32_t value, uint16_t port)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

GUEST_INLINE uint32_t inl(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Tell the host that step n was reached; see vcpu_sync(). */
GUEST_INLINE void guest_sync(uint32_t n)
{
	outl(n, PORT_SYNC);
}

GUEST_INLINE void guest_fail(const char *what, uint64_t got, uint64_t want, uint32_t line)
{
	guest_report = (struct guest_report){what, got, want, line};
	outl(0, PORT_FAIL);
}

#define G_CHECK_EQ(got_, want_)                                                \
	do {                                                                   \
		uint64_t g_got = (uint64_t)(got_), g_want = (uint64_t)(want_); \
		if (g_got != g_want)                                           \
			guest_fail(#got_, g_got, g_want, __LINE__);            \
	} while (0)

#define G_CHECK(condition) G_CHECK_EQ(!!(condition), 1)

#define G_ARGS(...)	   __VA_ARGS__

/*
 * Run an instruction that may fault: yields the vector of the exception, or
 * GUEST_NO_TRAP. Outputs and inputs are operand lists in G_ARGS(); an output
 * keeps its old value when there was a fault only if it is "+".
 */
#define G_TRY(insn, outputs, inputs)                   \
	({                                             \
		guest_cpu()->vector = GUEST_NO_TRAP;   \
		asm volatile(G_WITH_FIXUP(insn)        \
			     : G_ARGS(outputs)         \
			     : G_ARGS(inputs)          \
			     : "r11", "memory", "cc"); \
		guest_cpu()->vector;                   \
	})
#define G_WITH_FIXUP(insn)                 \
	"leaq 9f(%%rip), %%r11\n\t"        \
	"movq %%r11, %%gs:8\n\t" insn "\n" \
	"9:\tmovq $0, %%gs:8"

GUEST_INLINE uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

GUEST_INLINE void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr"
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
}

GUEST_INLINE uint32_t try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t lo = 0, hi = 0, vector;

	vector = G_TRY("rdmsr", G_ARGS("+a"(lo), "+d"(hi)), G_ARGS("c"(msr)));
	*value = (uint64_t)hi << 32 | lo;
	return vector;
}

GUEST_INLINE uint32_t try_wrmsr(uint32_t msr, uint64_t value)
{
	return G_TRY("wrmsr", G_ARGS(),
		     G_ARGS("c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
}

struct guest_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

GUEST_INLINE struct guest_cpuid guest_cpuid(uint32_t function, uint32_t index)
{
	struct guest_cpuid r = {function, 0, index, 0};

	asm volatile("cpuid" : "+a"(r.eax), "=b"(r.ebx), "+c"(r.ecx), "=d"(r.edx));
	return r;
}

/* Of this guest's TSC; set when the program is copied into the guest. */
extern uint64_t guest_tsc_khz;

GUEST_INLINE uint64_t guest_rdtsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Microseconds since the TSC was that. */
GUEST_INLINE uint64_t guest_elapsed_us(uint64_t since)
{
	return (guest_rdtsc() - since) * 1000 / guest_tsc_khz;
}

#define GUEST_READ_CR(n)                                                     \
	({                                                                   \
		uint64_t cr_;                                                \
		asm volatile("mov %%cr" #n ", %0" : "=r"(cr_) : : "memory"); \
		cr_;                                                         \
	})
#define GUEST_WRITE_CR(n, value) \
	asm volatile("mov %0, %%cr" #n : : "r"((uint64_t)(value)) : "memory")
#define GUEST_TRY_CR(n, value) G_TRY("mov %0, %%cr" #n, G_ARGS(), G_ARGS("r"((uint64_t)(value))))
#define GUEST_READ_DR(n)                                                     \
	({                                                                   \
		uint64_t dr_;                                                \
		asm volatile("mov %%db" #n ", %0" : "=r"(dr_) : : "memory"); \
		dr_;                                                         \
	})
#define GUEST_WRITE_DR(n, value) \
	asm volatile("mov %0, %%db" #n : : "r"((uint64_t)(value)) : "memory")

GUEST_INLINE uint32_t try_xsetbv(uint32_t index, uint64_t value)
{
	return G_TRY("xsetbv", G_ARGS(),
		     G_ARGS("c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))));
}

GUEST_INLINE void guest_cli(void)
{
	asm volatile("cli" : : : "memory");
}

GUEST_INLINE void guest_sti(void)
{
	asm volatile("sti; nop" : : : "memory");
}

/* Wait for an interrupt; interrupts are off again afterwards. */
GUEST_INLINE void guest_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

GUEST_INLINE void guest_pause(void)
{
	asm volatile("pause" : : : "memory");
}

/* Local APIC: register offsets of the xAPIC page (Intel SDM Vol. 3, table "Local APIC Register
 * Address Map"). */
enum {
	G_APIC_ID = 0x20,
	G_APIC_VERSION = 0x30,
	G_APIC_TPR = 0x80,
	G_APIC_PPR = 0xa0,
	G_APIC_EOI = 0xb0,
	G_APIC_LDR = 0xd0,
	G_APIC_DFR = 0xe0,
	G_APIC_SVR = 0xf0,
	G_APIC_ISR = 0x100,
	G_APIC_TMR = 0x180,
	G_APIC_IRR = 0x200,
	G_APIC_ESR = 0x280,
	G_APIC_ICR = 0x300,
	G_APIC_ICR2 = 0x310,
	G_APIC_LVT_TIMER = 0x320,
	G_APIC_LVT_LINT0 = 0x350,
	G_APIC_LVT_ERROR = 0x370,
	G_APIC_TIMER_INIT = 0x380,
	G_APIC_TIMER_CURRENT = 0x390,
	G_APIC_TIMER_DIVIDE = 0x3e0,
	G_APIC_SELF_IPI = 0x3f0,
};

#define G_MSR_TSC	   0x10
#define G_MSR_APIC_BASE	   0x1b
#define G_MSR_TSC_ADJUST   0x3b
#define G_MSR_PAT	   0x277
#define G_MSR_TSC_DEADLINE 0x6e0
#define G_MSR_X2APIC	   0x800
#define G_MSR_WALL_CLOCK   0x4b564d00 /* kvm-clock */
#define G_MSR_SYSTEM_TIME  0x4b564d01
#define G_MSR_EFER	   0xc0000080
#define G_MSR_STAR	   0xc0000081
#define G_MSR_LSTAR	   0xc0000082
#define G_MSR_CSTAR	   0xc0000083
#define G_MSR_SFMASK	   0xc0000084
#define G_MSR_FS_BASE	   0xc0000100
#define G_MSR_GS_BASE	   0xc0000101
#define G_MSR_KERNEL_GS	   0xc0000102
#define G_MSR_TSC_AUX	   0xc0000103

#define G_APIC_BASE_BSP	   (1u << 8)
#define G_APIC_BASE_EXTD   (1u << 10)
#define G_APIC_BASE_ENABLE (1u << 11)
#define G_APIC_MMIO	   0xfee00000ul

/* A register of this vCPU's APIC, in the mode the vCPU is in. */
uint32_t guest_apic_read(uint32_t offset);
void guest_apic_write(uint32_t offset, uint32_t value);
/* Enable the APIC by its spurious vector register, in xAPIC or x2APIC mode. */
void guest_apic_enable(bool x2apic);
/* Send the message (low half of the ICR) to an APIC id. */
void guest_apic_send(uint32_t dest, uint32_t icr_low);
/* Interrupt this vCPU itself. */
void guest_self_ipi(uint8_t vector);

#endif
