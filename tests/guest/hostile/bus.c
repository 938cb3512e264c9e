// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile use of the buses: every port and hole, configuration space by every width, BARs put where
 * something else is, fw_cfg's DMA. main.c calls the cases.
 */
#include <linux/pci_regs.h>

#include "hostile.h"

#define IOAPIC	      0xfec00000ULL
#define COM1	      0x3f8
#define PVPANIC	      0x505
#define FW_CFG	      0x510
#define POWER	      0x600 /* sleep, reset, and what raises the power button */
#define POWER_END     0x610
#define PCI_CONFIG    0xcf8
#define PCI_IO	      0x1000 /* doorbells */
#define PCI_IO_END    0x1100
#define CONFIG_SPACE  0x100

#define KEYBOARD      0x64
#define RESET_CONTROL 0xcf9

/* Ports that end the machine, by their nature. */
static bool ends_machine(unsigned int port, unsigned int size)
{
	return (port + size > DEBUG_EXIT_PORT && port < DEBUG_EXIT_PORT + 4) ||
	       (port + size > PVPANIC && port <= PVPANIC) ||
	       (port + size > POWER && port < POWER_END) ||
	       (size == 1 && (port == KEYBOARD || port == RESET_CONTROL));
}

/* ------------------------------------------------------------------------- */
/* Ports and holes                                                            */

static void every_port(void)
{
	for (unsigned int size = 1; size <= 4; size *= 2) {
		step("one width, all ports");
		for (unsigned int port = 0; port < 0x10000; port += port < 0x1100 ? 1 : 251) {
			(void)port_in((uint16_t)port, size);
			if (!ends_machine(port, size))
				port_out((uint16_t)port, size, nonsense());
		}
	}
}

/* Strings into and out of ports whose devices do not expect them. */
static void port_strings(void)
{
	static const uint16_t ports[] = {COM1,	     0x70,	     0x71, FW_CFG, FW_CFG + 1,
					 PCI_CONFIG, PCI_CONFIG + 4, 0x80, 0xfffc, 0xffff};
	static uint8_t buffer[4096];

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		void *at = buffer;
		uint64_t n = sizeof(buffer) / 4;

		__asm__ volatile("rep insl" : "+D"(at), "+c"(n) : "d"(ports[i]) : "memory");
		at = buffer + 1;
		n = 100;
		__asm__ volatile("rep insb" : "+D"(at), "+c"(n) : "d"(ports[i]) : "memory");
		at = buffer;
		n = 100;
		__asm__ volatile("rep insw" : "+D"(at), "+c"(n) : "d"(ports[i]) : "memory");
		at = buffer;
		n = 100;
		__asm__ volatile("rep outsl" : "+S"(at), "+c"(n) : "d"(ports[i]) : "memory");
	}
}

static void holes(void)
{
	const uint64_t places[] = {low_end,	   low_end + 0xfffffffULL,
				   ECAM - 1,	   ECAM + 0xfffff,
				   ECAM + 0xfff,   IOAPIC,
				   IOAPIC + 0xfff, LAPIC - 1,
				   LAPIC + 0xfff,  HIGH_RAM - 1,
				   high_end,	   high_end - 1};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (unsigned int size = 1; size <= 8; size *= 2) {
			for (unsigned int at = 0; at < 16; at++) {
				(void)mmio_read(places[i] + at, size);
				mmio_write(places[i] + at, size, nonsense());
			}
		}
	}
}

static void ioapic_of_nonsense(void)
{
	for (unsigned int reg = 0; reg < 256; reg++) {
		mmio_write(IOAPIC, 4, reg);
		(void)mmio_read(IOAPIC + 0x10, 4);
		/* Level-triggered, masked or not, to processors that do not exist. */
		mmio_write(IOAPIC + 0x10, 4, nonsense());
		mmio_write(IOAPIC + 0x40, 4, nonsense());
	}
	for (unsigned int at = 0; at < 0x1000; at += 4)
		mmio_write(IOAPIC + at, 1 << at / 4 % 4, nonsense());
}

/* ------------------------------------------------------------------------- */
/* Configuration space                                                        */

static void config_read_all(void)
{
	for (unsigned int slot = 0; slot < 32; slot++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			for (unsigned int reg = 0; reg < CONFIG_SPACE; reg += slot < 5 ? 3 : 61)
				(void)pci_read(slot, reg, size);
		}
	}
	for (unsigned int slot = 0; slot < 5; slot++) {
		uint64_t at = ECAM + slot * 0x8000;

		for (unsigned int size = 1; size <= 8; size *= 2) {
			for (unsigned int reg = 0; reg < 0x140; reg++)
				(void)mmio_read(at + reg, size);
			for (unsigned int reg = 0xff0; reg < 0x1000; reg++)
				(void)mmio_read(at + reg, size);
		}
	}
}

/* The rest of the buses, the functions that do not exist, and the address register itself. */
static void config_of_nobody(void)
{
	for (unsigned int i = 0; i < 800; i++) {
		uint32_t address = nonsense();

		out32(PCI_CONFIG, address);
		(void)port_in(PCI_CONFIG + i % 8, 1);
		if ((address & 0x80ffff00u) < 0x80000000u || address & 0xff0700)
			port_out(PCI_CONFIG + 4, 4, nonsense());
		if (!ends_machine(PCI_CONFIG + i % 4, 1))
			port_out(PCI_CONFIG + i % 4, 1, nonsense());
		port_out(PCI_CONFIG + 2, 2, nonsense());
	}
}

static void config_written(struct device *d, bool ecam)
{
	device_start(d, 0);
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			for (unsigned int reg = 0; reg < CONFIG_SPACE; reg++) {
				uint32_t value = nonsense();

				if (ecam)
					mmio_write(ECAM + d->slot * 0x8000 + reg, size, value);
				else
					pci_write(d->slot, reg, size, value);
			}
		}
		kick(d);
	}
	device_restore(d);
	sound(d);
}

static void config_write_ports(void)
{
	config_written(&disk, false);
	config_written(&rng, false);
}

static void config_write_ecam(void)
{
	config_written(&disk, true);
	config_written(&rng, true);
}

/* ------------------------------------------------------------------------- */
/* BARs where they should not be                                              */

static void set_bar(const struct device *d, unsigned int bar, uint32_t value)
{
	pci_write(d->slot, PCI_BASE_ADDRESS_0 + 4 * bar, 4, value);
}

static void bar_over_memory(void)
{
	static uint32_t place[8192] __attribute__((aligned(32768)));

	for (size_t i = 0; i < ARRAY_SIZE(place); i++)
		place[i] = (uint32_t)i;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		set_bar(d, d->registers_bar, (uint32_t)(uint64_t)place);
		for (size_t n = 0; n < ARRAY_SIZE(place); n++)
			CHECK(((volatile uint32_t *)place)[n] == n);
		kick(d);
		set_bar(d, d->registers_bar, d->bar[d->registers_bar]);
		sound_request(d);
	}
}

static void bar_over_devices(void)
{
	const uint32_t places[] = {(uint32_t)LAPIC,
				   (uint32_t)IOAPIC,
				   (uint32_t)ECAM,
				   disk.bar[disk.registers_bar],
				   readonly_disk.bar[readonly_disk.registers_bar],
				   rng.bar[rng.registers_bar],
				   0,
				   0xfffffff0};
	uint32_t lapic = (uint32_t)mmio_read(LAPIC + LAPIC_VERSION, 4);

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
			set_bar(d, d->registers_bar, places[p]);
			CHECK((uint32_t)mmio_read(LAPIC + LAPIC_VERSION, 4) == lapic);
			CHECK((mmio_read(ECAM, 4) & 0xffff) == pci_read(0, PCI_VENDOR_ID, 2));
			(void)mmio_read(places[p], 4);
			set_bar(d, d->registers_bar, d->bar[d->registers_bar]);
			sound_request(d);
		}
	}
}

static void doorbell_over_ports(void)
{
	const uint32_t places[] = {COM1,
				   PCI_CONFIG,
				   DEBUG_EXIT_PORT,
				   FW_CFG,
				   0x70,
				   0,
				   POWER,
				   disk.bar[disk.doorbell_bar],
				   rng.bar[rng.doorbell_bar],
				   0xfff0,
				   0xffffffff,
				   0x10000};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		device_start(d, 0);
		for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
			set_bar(d, d->doorbell_bar, places[p]);
			print(".");
			kick(d);
			set_bar(d, d->doorbell_bar, d->bar[d->doorbell_bar]);
			sound_request(d);
		}
		print("\n");
	}
}

/* The doorbell follows its BAR, and nothing rings where it was. */
static void doorbell_moves(void)
{
	for (unsigned int i = 0; i < 30; i++) {
		struct device *d = devices[i % 2];
		uint16_t was = d->doorbell;
		uint32_t at = 0x4000 + (nonsense() % 0x100) * 0x40;

		device_start(d, 0);
		set_bar(d, d->doorbell_bar, at);
		kick(d);
		d->doorbell = (uint16_t)at;
		sound_request(d);
		pci_write(d->slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		kick(d);
		device_restore(d);
		d->doorbell = was;
		sound_request(d);
	}
}

/* Moved and switched off while requests are on their way. */
static void bar_moves_in_flight(void)
{
	for (unsigned int i = 0; i < 40; i++) {
		struct device *d = devices[i % 2];

		device_start(d, 0);
		publish(d, nonsense() % QUEUE_SIZE);
		kick(d);
		set_bar(d, d->registers_bar, nonsense());
		set_bar(d, d->doorbell_bar, nonsense());
		pci_write(d->slot, PCI_COMMAND, 2, nonsense() & 0xffff);
		kick(d);
		device_restore(d);
		sound(d);
	}
}

/* ------------------------------------------------------------------------- */
/* fw_cfg                                                                     */

struct dma_access {
	uint32_t control, length;
	uint64_t address;
};

static void dma_start(uint64_t at)
{
	out32(FW_CFG + 4, __builtin_bswap32((uint32_t)(at >> 32)));
	out32(FW_CFG + 8, __builtin_bswap32((uint32_t)at));
}

static void fw_cfg_dma(void)
{
	static volatile struct dma_access access __attribute__((aligned(16)));
	static uint8_t buffer[4096];
	const uint64_t places[] = {
		low_end, low_end - 8, high_end - 4,	     high_end,	       LAPIC,
		ECAM,	 1ULL << 52,  0xfffffffffffffff8ULL, (uint64_t)&access};
	static const uint32_t lengths[] = {0, 1, 16, 4096, 0x7fffffff, 0xffffffff};

	step("the access itself nowhere");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		dma_start(places[i]);
	step("its buffer nowhere");
	for (size_t i = 0; i < ARRAY_SIZE(places) - 1; i++) {
		for (size_t l = 1; l < ARRAY_SIZE(lengths); l++) {
			access.control = __builtin_bswap32(0xa); /* select item 0 and read */
			access.length = __builtin_bswap32(lengths[l]);
			access.address = __builtin_bswap64(places[i]);
			dma_start((uint64_t)&access);
			/* A piece of memory may end where the length still fits. */
			if (places[i] + lengths[l] > high_end || places[i] + lengths[l] < places[i])
				CHECK(__builtin_bswap32(access.control) & 1);
		}
	}
	step("a write, every control, its own descriptor");
	for (unsigned int i = 0; i < 256; i++) {
		access.control = __builtin_bswap32(nonsense() << 16 | i);
		access.length = __builtin_bswap32(lengths[i % 4]);
		access.address = __builtin_bswap64((uint64_t)buffer);
		dma_start((uint64_t)&access);
	}
	access.control = __builtin_bswap32(0xa);
	access.length = __builtin_bswap32(16);
	access.address = __builtin_bswap64((uint64_t)&access);
	dma_start((uint64_t)&access);
	step("and a sound one");
	access.control = __builtin_bswap32(0xa);
	access.length = __builtin_bswap32(4);
	access.address = __builtin_bswap64((uint64_t)buffer);
	dma_start((uint64_t)&access);
	CHECK(access.control == 0);
	CHECK(buffer[0] == 'Q' && buffer[1] == 'E' && buffer[2] == 'M' && buffer[3] == 'U');
}

static const struct hostile_case cases[] = {
	{"every_port", every_port, ENDS_WELL},
	{"port_strings", port_strings, ENDS_WELL},
	{"holes", holes, ENDS_WELL},
	{"ioapic_of_nonsense", ioapic_of_nonsense, ENDS_WELL},
	{"config_read_all", config_read_all, ENDS_WELL},
	{"config_of_nobody", config_of_nobody, ENDS_WELL},
	{"config_write_ports", config_write_ports, ENDS_WELL},
	{"config_write_ecam", config_write_ecam, ENDS_WELL},
	{"bar_over_memory", bar_over_memory, ENDS_WELL},
	{"bar_over_devices", bar_over_devices, ENDS_WELL},
	{"doorbell_over_ports", doorbell_over_ports, ENDS_WELL},
	{"doorbell_moves", doorbell_moves, ENDS_WELL},
	{"bar_moves_in_flight", bar_moves_in_flight, ENDS_WELL},
	{"fw_cfg_dma", fw_cfg_dma, ENDS_WELL},
};

const struct case_group bus_cases = {cases, ARRAY_SIZE(cases)};
