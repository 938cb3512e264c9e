/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hostile guest: a kernel of its own that does one wrong thing to the monitor or the processor,
 * and says whether the answer was the right one. tests/boot/hostile.sh starts it, one machine a case:
 * "case=NAME" on the command line chooses, "case=list" prints the names and how each ends.
 *
 * It never waits by a clock. What must happen is waited for without end, and the time limit of the
 * script turns a wait that does not end into a failure.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ------------------------------------------------------------------------- */
/* Ports, memory, registers                                                   */

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

/* Device memory, by plain moves: 1, 2, 4 or 8 bytes. */
uint64_t mmio_read(uint64_t addr, unsigned int size);
void mmio_write(uint64_t addr, unsigned int size, uint64_t value);
void port_out(uint16_t port, unsigned int size, uint32_t value);
uint32_t port_in(uint16_t port, unsigned int size);

void *memset(void *to, int c, size_t len);
void *memcpy(void *to, const void *from, size_t len);

/* ------------------------------------------------------------------------- */
/* platform.c                                                                 */

#define DEBUG_EXIT_PORT 0xf4 /* as the script says with --debug-exit */

/* Guest memory: [0, low_end) and [4 GiB, high_end), which must not be empty. */
extern uint64_t low_end, high_end;
#define HIGH_RAM 0x100000000ULL

extern volatile uint32_t nmi_count;

void print(const char *text);
void print_number(uint64_t value);
/* What is being tried: the last of these lines says where a case got stuck. */
void step(const char *text);
/* End the machine: the case went as it should, or it did not. */
_Noreturn void pass(void);
_Noreturn void fail(const char *why);

#define CHECK(condition)                  \
	do {                              \
		if (!(condition))         \
			fail(#condition); \
	} while (0)

/* Repeatable numbers for what is to be nonsense. */
uint32_t nonsense(void);

/* start.S: the vector of the exception that fn ended with, or -1. */
int guarded(void (*fn)(uint64_t arg), uint64_t arg);
#define VECTOR_UD     6
#define VECTOR_GP     13

#define LAPIC	      0xfee00000ULL
#define LAPIC_VERSION 0x030
#define LAPIC_SVR     0x0f0
#define LAPIC_IRR     0x200

/* ------------------------------------------------------------------------- */
/* virtio.c: a driver that keeps the rules, for cases to break them           */

#define QUEUE_SIZE 8 /* what every device takes */
#define SECTOR	   512

struct device {
	unsigned int slot; /* on the PCI bus */
	uint16_t type;
	uint32_t command, bar[6]; /* as they were found */
	uint64_t common, isr, config, msix;
	unsigned int msix_cap, window_cap;
	unsigned int registers_bar, doorbell_bar;
	uint16_t doorbell;
	/* The queue, as set up by device_start(). */
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint8_t *data; /* 64 KiB */
};

#define DATA_SIZE 65536

/* The disk that can be written, the one that cannot, and the entropy device. */
extern struct device disk, readonly_disk, rng;
extern struct device *const devices[2]; /* disk and rng: what cases of any device are tried on */

uint32_t pci_read(unsigned int slot, unsigned int reg, unsigned int size);
void pci_write(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value);
#define ECAM 0xe0000000ULL

void devices_find(void);
/* Configuration space as it was found, whatever a case did to it. */
void device_restore(struct device *d);

uint32_t common_read(const struct device *d, unsigned int offset, unsigned int size);
void common_write(const struct device *d, unsigned int offset, unsigned int size, uint32_t value);
uint8_t device_status(const struct device *d);

void device_reset(struct device *d);
/* Up to FEATURES_OK, with these features besides VERSION_1. */
void device_negotiate(struct device *d, uint64_t features);
void device_queue_registers(struct device *d, uint64_t desc, uint64_t avail, uint64_t used,
			    uint16_t size);
/* All of it, up to DRIVER_OK with an empty queue. */
void device_start(struct device *d, uint64_t features);

void set_desc(struct device *d, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next);
void publish(struct device *d, uint16_t head);
void kick(const struct device *d);
void wait_used(const struct device *d, uint16_t idx);
void wait_needs_reset(const struct device *d);
/* Give a device that may do anything or nothing some time, by exits that its thread can use. */
void let_it_run(const struct device *d);

/* A request that a driver could make, from descriptor "at" on; returns the disk's status. */
void blk_chain(struct device *d, unsigned int at, uint32_t type, uint64_t sector, uint32_t flags,
	       uint32_t len);
uint8_t blk_status(const struct device *d, unsigned int at);
/* The device answers as it should, without being set up anew; and after a reset. */
void sound_request(struct device *d);
void sound(struct device *d);
/* Every device, after everything was put back. */
void all_sound(void);

/* ------------------------------------------------------------------------- */
/* The cases                                                                  */

/* How the machine ends. */
enum ending {
	ENDS_WELL,    /* by pass() */
	ENDS_CRASHED, /* vmm says that the guest crashed */
	ENDS_NEVER,   /* until a second SIGTERM */
};

struct hostile_case {
	const char *name;
	void (*run)(void);
	enum ending ending;
};

struct case_group {
	const struct hostile_case *cases;
	size_t nr;
};

extern const struct case_group chain_cases, queue_cases, device_cases, bus_cases, processor_cases;

#endif
