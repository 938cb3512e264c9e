/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the benchmark's files share: the guest's layout in memory, the machine it
 * runs on and the two ways to make one. Included by hv-bench.c and bench-*.c.
 */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <stdint.h>

/* Guest-physical addresses; linear ones are the same. */
enum {
	BENCH_PML4 = 0x1000,
	BENCH_PDPT = 0x2000,
	BENCH_PD = 0x3000, /* four: 4 GiB in 2 MiB pages */
	BENCH_IDT = 0x7000,
	BENCH_GDT = 0x8000,
	BENCH_TSS = 0x9000,
	BENCH_CODE = 0x10000,
	BENCH_STACK = 0x20000, /* its top */
	BENCH_SAMPLES = 0x100000,
	BENCH_RAM = 0x200000,
	/* Touched page by page, each for the first time. */
	BENCH_FRESH = 0x10000000,
	/* Nothing is here. */
	BENCH_MMIO = 0x20000010,
};

enum {
	SLOT_RAM = 0,
	SLOT_FRESH = 1,
};

enum {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_TSS = 0x18,
};

enum {
	PORT_DONE = 0x600,     /* the guest has taken all its samples */
	PORT_USER = 0x601,     /* user space answers and does nothing */
	PORT_EVENT = 0x602,    /* user space writes an eventfd */
	PORT_DOORBELL = 0x603, /* an ioeventfd */
};

#define BENCH_VECTOR 0x40

/* The same for both: what an MSI to APIC id 0 with that vector is. */
#define BENCH_MSI_ADDRESS 0xfee00000u
#define BENCH_MSI_DATA	  BENCH_VECTOR

struct bench_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type; /* of the descriptor, without S */
	uint8_t system, l, db, g;
};

/* The registers of the guest in long mode that are not in a vCPU's reset state. */
struct bench_state {
	struct bench_segment code, data, tr;
	uint64_t gdt, idt;
	uint16_t gdt_limit, idt_limit;
	uint64_t cr0, cr3, cr4, efer;
};

/* Why run() returned. */
enum bench_exit {
	EXIT_OUT,
	EXIT_IN,
	EXIT_MMIO_READ,
};

struct machine {
	int sys, vm, vcpu; /* descriptors */
	void *run;	   /* the vCPU's shared page */
	uint16_t port;	   /* of the last EXIT_OUT or EXIT_IN */
};

/*
 * A hypervisor. What fails ends the program. "run" supplies the result of an
 * access itself, so that both machines spend the same outside of their calls.
 */
struct bench_ops {
	/* open(), the VM with its local APIC in the kernel, the vCPU; and all of it closed. */
	void (*create)(struct machine *m);
	void (*destroy)(struct machine *m);
	/* What the vCPU needs before it runs, after create(). */
	void (*prepare)(struct machine *m, const struct bench_state *s);
	void (*set_memory)(struct machine *m, uint32_t slot, uint64_t gpa, uint64_t len, void *p);
	/* General registers for the next run(): R8 to R10 and RSI carry arguments. */
	void (*start)(struct machine *m, uint64_t rip, uint64_t samples, uint64_t count,
		      uint64_t address);
	enum bench_exit (*run)(struct machine *m);
	/* Writes to a port signal an eventfd; signals of an eventfd interrupt the vCPU. */
	void (*bind_port)(struct machine *m, int fd, uint16_t port);
	void (*bind_irq)(struct machine *m, int fd);
};

extern const struct bench_ops bench_hv, bench_kvm;

/* The guest's program: to be copied to BENCH_CODE. Entries are offsets into it. */
extern const char bench_guest[], bench_guest_end[];
extern const char guest_setup[], guest_handler[];
extern const char guest_empty[], guest_cpuid[], guest_rdmsr[], guest_self_ipi[], guest_in[],
	guest_out[], guest_mmio_read[], guest_doorbell[], guest_event[], guest_event_irq[],
	guest_touch[];

/*
 * Start a monitor, print what it takes to the guest's first console byte, or to
 * its init and then the memory the monitor needs, and kill it.
 */
void bench_first_byte(char **command);
void bench_init(char **command);

/* Print "hv-bench: ...", with errno's text when it is not 0, and end with status 1. */
void die(int error, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

#endif
