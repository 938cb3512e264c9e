// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the hostile guest needs of its machine: console, exit, memory map, exceptions. Everything
 * else in this directory calls it; start.S calls main() in main.c, and that platform_init().
 */
#include "hostile.h"
#include "platform.h"

#define COM1	  0x3f8
#define COM1_LSR  (COM1 + 5)
#define LSR_EMPTY 0x20

/* What pass() and fail() write to the debug exit port: vmm ends with 2V + 1. */
#define EXIT_PASS 0x10
#define EXIT_FAIL 0x11

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods[2];
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct multiboot_region {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type; /* 1: memory */
} __attribute__((packed));

struct gate {
	uint16_t offset_low, selector, flags, offset_mid;
	uint32_t offset_high, reserved;
};

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

uint64_t low_end, high_end;

static struct gate idt[32];
extern const uint8_t exception_entries[];

/* One instruction an access: the compiler may neither split nor merge them. */
uint64_t mmio_read(uint64_t addr, unsigned int size)
{
	uint64_t v = 0;

	switch (size) {
	case 1:
		__asm__ volatile("movb (%1), %b0" : "+q"(v) : "r"(addr) : "memory");
		break;
	case 2:
		__asm__ volatile("movw (%1), %w0" : "+r"(v) : "r"(addr) : "memory");
		break;
	case 4:
		__asm__ volatile("movl (%1), %k0" : "=r"(v) : "r"(addr) : "memory");
		break;
	case 8:
		__asm__ volatile("movq (%1), %0" : "=r"(v) : "r"(addr) : "memory");
		break;
	}
	return v;
}

void mmio_write(uint64_t addr, unsigned int size, uint64_t value)
{
	switch (size) {
	case 1:
		__asm__ volatile("movb %b0, (%1)" : : "q"(value), "r"(addr) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %w0, (%1)" : : "r"(value), "r"(addr) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %k0, (%1)" : : "r"(value), "r"(addr) : "memory");
		break;
	case 8:
		__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(addr) : "memory");
		break;
	}
}

void port_out(uint16_t port, unsigned int size, uint32_t value)
{
	if (size == 1)
		out8(port, (uint8_t)value);
	else if (size == 2)
		out16(port, (uint16_t)value);
	else
		out32(port, value);
}

uint32_t port_in(uint16_t port, unsigned int size)
{
	if (size == 1)
		return in8(port);
	return size == 2 ? in16(port) : in32(port);
}

void print(const char *text)
{
	for (; *text; text++) {
		while (!(in8(COM1_LSR) & LSR_EMPTY))
			;
		out8(COM1, (uint8_t)*text);
	}
}

void print_number(uint64_t value)
{
	char text[19] = "0x";

	for (unsigned int i = 0; i < 16; i++)
		text[2 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
	text[18] = 0;
	print(text);
}

void step(const char *text)
{
	print("- ");
	print(text);
	print("\n");
}

static _Noreturn void end(uint32_t value)
{
	for (;;)
		out32(DEBUG_EXIT_PORT, value);
}

void pass(void)
{
	print("passed\n");
	end(EXIT_PASS);
}

void fail(const char *why)
{
	print("failed: ");
	print(why);
	print("\n");
	end(EXIT_FAIL);
}

void unexpected_exception(uint64_t vector, uint64_t error, uint64_t rip)
{
	uint64_t cr2;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	print("exception ");
	print_number(vector);
	print(", error ");
	print_number(error);
	print(", rip ");
	print_number(rip);
	print(", cr2 ");
	print_number(cr2);
	print("\n");
	fail("an exception that the case did not expect");
}

/* Marsaglia's xorshift. */
uint32_t nonsense(void)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void set_up_exceptions(void)
{
	const struct table_register idtr = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

	for (unsigned int i = 0; i < ARRAY_SIZE(idt); i++) {
		uint64_t at = (uint64_t)exception_entries + 16 * i;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)at,
			.selector = 0x08,
			.flags = 0x8e00, /* present, interrupt gate */
			.offset_mid = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void read_memory_map(const struct multiboot_info *info)
{
	uint32_t at = info->mmap_addr, last = at + info->mmap_length;

	while (at < last) {
		const struct multiboot_region *r = (const void *)(uint64_t)at;

		if (r->type == 1 && r->addr + r->len <= HIGH_RAM && r->addr + r->len > low_end)
			low_end = r->addr + r->len;
		if (r->type == 1 && r->addr == HIGH_RAM)
			high_end = r->addr + r->len;
		at += r->size + 4;
	}
}

const char *platform_init(uint32_t info_addr)
{
	const struct multiboot_info *info = (const void *)(uint64_t)info_addr;

	set_up_exceptions();
	read_memory_map(info);
	if (!low_end || !high_end)
		fail("the machine needs memory above 4 GiB, too: run it with --memory 4G");
	return (const char *)(uint64_t)info->cmdline;
}
