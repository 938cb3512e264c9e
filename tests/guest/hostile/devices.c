// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile use of a device's registers: status bits out of order, features that were not offered, odd
 * accesses, MSI-X messages to nowhere, the window in configuration space. main.c calls the cases.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "hostile.h"

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define FAILED	    VIRTIO_CONFIG_S_FAILED

static void write_status(struct device *d, uint8_t value)
{
	common_write(d, VIRTIO_PCI_COMMON_STATUS, 1, value);
}

/* ------------------------------------------------------------------------- */
/* Status and features                                                        */

static void status_out_of_order(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		step("DRIVER_OK before anything else");
		device_reset(d);
		write_status(d, DRIVER_OK);
		CHECK(!(device_status(d) & DRIVER_OK));
		kick(d);

		step("a queue before the features");
		device_reset(d);
		device_queue_registers(d, (uint64_t)d->desc, (uint64_t)d->avail, (uint64_t)d->used,
				       QUEUE_SIZE);
		common_write(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 0);

		step("FEATURES_OK without VERSION_1");
		device_reset(d);
		write_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		CHECK(!(device_status(d) & (FEATURES_OK | DRIVER_OK)));

		step("DRIVER_OK without a queue");
		device_negotiate(d, 0);
		write_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		kick(d);
		let_it_run(d);
		CHECK(!(device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET));

		step("bits taken away while it runs");
		device_start(d, 0);
		write_status(d, ACKNOWLEDGE);
		sound_request(d);

		step("NEEDS_RESET by the driver");
		write_status(d, 0xff & ~FAILED);
		CHECK(!(device_status(d) & VIRTIO_CONFIG_S_NEEDS_RESET));
		sound_request(d);

		step("FAILED while it runs");
		write_status(d, FAILED);
		CHECK(device_status(d) & FAILED);
		kick(d);

		step("every value");
		for (unsigned int value = 0; value < 256; value++) {
			write_status(d, value);
			kick(d);
		}
		sound(d);
	}
}

static void features_not_offered(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		uint64_t offered;

		common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
		offered = common_read(d, VIRTIO_PCI_COMMON_DF, 4);
		common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
		offered |= (uint64_t)common_read(d, VIRTIO_PCI_COMMON_DF, 4) << 32;
		for (unsigned int bit = 0; bit < 64; bit++) {
			uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << bit;

			device_reset(d);
			write_status(d, ACKNOWLEDGE | DRIVER);
			for (unsigned int half = 0; half < 2; half++) {
				common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
				common_write(d, VIRTIO_PCI_COMMON_GF, 4,
					     (uint32_t)(features >> 32 * half));
			}
			write_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK);
			CHECK(!(device_status(d) & FEATURES_OK) == !(offered >> bit & 1));
		}
		/* Selectors beyond the two halves read as nothing, and take nothing. */
		for (uint32_t select = 2; select; select <<= 1) {
			common_write(d, VIRTIO_PCI_COMMON_DFSELECT, 4, select);
			CHECK(common_read(d, VIRTIO_PCI_COMMON_DF, 4) == 0);
			common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, select);
			common_write(d, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
		}
		/* They are settled by FEATURES_OK. */
		device_start(d, 0);
		for (unsigned int half = 0; half < 2; half++) {
			common_write(d, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
			common_write(d, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
		}
		sound_request(d);
	}
}

/* Every width at every place, within the structures and across their ends. */
static void odd_accesses(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		const uint64_t regions[] = {d->common, d->isr, d->common + 0x2000, d->msix};

		for (unsigned int size = 1; size <= 8; size *= 2) {
			for (size_t r = 0; r < ARRAY_SIZE(regions); r++) {
				for (unsigned int at = 0; at < 80; at++)
					(void)mmio_read(regions[r] + at, size);
				for (unsigned int at = 0xff8; at < 0x1000; at++)
					(void)mmio_read(regions[r] + at, size);
			}
		}
		step("writes");
		for (unsigned int size = 1; size <= 8; size *= 2) {
			for (size_t r = 0; r < ARRAY_SIZE(regions); r++) {
				for (unsigned int at = 0; at < 80; at++)
					mmio_write(regions[r] + at, size, nonsense());
				for (unsigned int at = 0xff8; at < 0x1000; at++)
					mmio_write(regions[r] + at, size, nonsense());
			}
		}
	}
}

/* ------------------------------------------------------------------------- */
/* MSI-X                                                                      */

#define VECTOR 0x45

static void set_entry(const struct device *d, unsigned int entry, uint64_t addr, uint32_t value)
{
	uint64_t at = d->msix + entry * PCI_MSIX_ENTRY_SIZE;

	mmio_write(at + PCI_MSIX_ENTRY_LOWER_ADDR, 4, (uint32_t)addr);
	mmio_write(at + PCI_MSIX_ENTRY_UPPER_ADDR, 4, addr >> 32);
	mmio_write(at + PCI_MSIX_ENTRY_DATA, 4, value);
	mmio_write(at + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
}

static void enable_messages(const struct device *d)
{
	mmio_write(LAPIC + LAPIC_SVR, 4, 0x1ff);
	pci_write(d->slot, d->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

/* A device that runs, and whose requests send entry 1, its mishaps entry 0. */
static void start_with_messages(struct device *d)
{
	device_start(d, 0);
	common_write(d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	common_write(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_write(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_MSIX, 2) == 1);
}

static bool requested(unsigned int vector)
{
	return mmio_read(LAPIC + LAPIC_IRR + vector / 32 * 16, 4) >> vector % 32 & 1;
}

/* Not the local APICs' addresses, or that of a processor which does not exist. */
static const uint64_t nowhere[] = {
	0,	    0x1000, 0xfee00000 - 16, 0xfef00000, 0xfec00000,
	0xe0000000, ~0ULL,  1ULL << 32,	     0xfee7f000, 0xfee7fffc,
};

/* No interrupt comes of it, nor anything else. */
static void messages_to_nowhere(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		start_with_messages(d);
		enable_messages(d);
		for (size_t n = 0; n < ARRAY_SIZE(nowhere); n++) {
			set_entry(d, 0, nowhere[n], VECTOR);
			set_entry(d, 1, nowhere[n], VECTOR);
			sound_request(d);
			CHECK(!requested(VECTOR));
		}
		step("and one that arrives");
		set_entry(d, 1, LAPIC, VECTOR + (uint32_t)i + 1);
		sound_request(d);
		while (!requested(VECTOR + (uint32_t)i + 1))
			;
		CHECK(!requested(VECTOR));
	}
}

/* Reserved vectors and delivery modes, except those that a processor must obey. */
static void messages_of_nonsense(void)
{
	static const uint32_t values[] = {
		0x0000,	    0x000f,   /* vectors that exceptions own */
		0x0200,	    0x0300,   /* SMI, reserved */
		0x0600,	    0x0700,   /* reserved here, ExtINT */
		0xffff8000, 0x00c000, /* level-triggered, bits that do not exist */
	};

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		start_with_messages(d);
		enable_messages(d);
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			set_entry(d, 0, LAPIC, values[v]);
			set_entry(d, 1, LAPIC, values[v]);
			sound_request(d);
		}
	}
}

static void message_nmi(void)
{
	start_with_messages(&disk);
	enable_messages(&disk);
	set_entry(&disk, 1, LAPIC, 0x400);
	sound_request(&disk);
	while (!nmi_count)
		;
	/* Again and again, also in the handler. */
	for (unsigned int i = 0; i < 200; i++)
		sound_request(&disk);
}

/* Entries that change while their message is on its way. */
static void messages_change(void)
{
	for (unsigned int round = 0; round < 30; round++) {
		struct device *d = devices[round % 2];

		start_with_messages(d);
		enable_messages(d);
		for (unsigned int i = 0; i < 10; i++) {
			publish(d, nonsense() % QUEUE_SIZE);
			kick(d);
			set_entry(d, i % 2, nowhere[nonsense() % ARRAY_SIZE(nowhere)], VECTOR);
			set_entry(d, i % 2, LAPIC, VECTOR);
			mmio_write(d->msix + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, i & 1);
			pci_write(d->slot, d->msix_cap + PCI_MSIX_FLAGS, 2, nonsense() & 0xffff);
		}
	}
}

static void vectors_that_are_not(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];

		start_with_messages(d);
		enable_messages(d);
		for (unsigned int vector = 2; vector < 0x10000; vector = vector * 2 + 1) {
			common_write(d, VIRTIO_PCI_COMMON_MSIX, 2, vector);
			CHECK(common_read(d, VIRTIO_PCI_COMMON_MSIX, 2) == VIRTIO_MSI_NO_VECTOR);
			common_write(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
			CHECK(common_read(d, VIRTIO_PCI_COMMON_Q_MSIX, 2) == VIRTIO_MSI_NO_VECTOR);
			sound_request(d);
		}
		step("entries beyond the table");
		for (unsigned int entry = 2; entry < 256; entry++)
			set_entry(d, entry, LAPIC, VECTOR);
		sound_request(d);
		CHECK(!requested(VECTOR));
	}
}

/* ------------------------------------------------------------------------- */
/* The window of configuration space: virtio 1.2, 4.1.4.9                     */

static void set_window(const struct device *d, uint8_t bar, uint32_t offset, uint32_t len)
{
	pci_write(d->slot, d->window_cap + VIRTIO_PCI_CAP_BAR, 1, bar);
	pci_write(d->slot, d->window_cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	pci_write(d->slot, d->window_cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

static void window_of_nonsense(void)
{
	static const uint8_t bars[] = {0, 1, 2, 5, 6, 7, 0x80, 0xff};
	static const uint32_t numbers[] = {0,	  1,	  3,	  4,	      8,
					   0xfff, 0x3ffe, 0x4000, 0x80000000, 0xffffffff};
	const size_t nr = ARRAY_SIZE(numbers);

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct device *d = devices[i];
		unsigned int window = d->window_cap + sizeof(struct virtio_pci_cap);

		device_start(d, 0);
		for (size_t n = 0; n < ARRAY_SIZE(bars) * nr * nr; n++) {
			set_window(d, bars[n / nr / nr], numbers[n / nr % nr], numbers[n % nr]);
			(void)pci_read(d->slot, window, 1 << n % 3);
			/* Not a reset by accident: that is a sound thing to ask for. */
			pci_write(d->slot, window, 1 << n % 3, 0xffffffff);
		}
		device_restore(d);
		device_reset(d);

		step("and a use that is sound");
		set_window(d, d->registers_bar, VIRTIO_PCI_COMMON_STATUS, 1);
		pci_write(d->slot, window, 1, ACKNOWLEDGE);
		CHECK((pci_read(d->slot, window, 4) & 0xff) == ACKNOWLEDGE);
		CHECK(device_status(d) == ACKNOWLEDGE);
	}
}

static const struct hostile_case cases[] = {
	{"status_out_of_order", status_out_of_order, ENDS_WELL},
	{"features_not_offered", features_not_offered, ENDS_WELL},
	{"odd_accesses", odd_accesses, ENDS_WELL},
	{"messages_to_nowhere", messages_to_nowhere, ENDS_WELL},
	{"messages_of_nonsense", messages_of_nonsense, ENDS_WELL},
	{"message_nmi", message_nmi, ENDS_WELL},
	{"messages_change", messages_change, ENDS_WELL},
	{"vectors_that_are_not", vectors_that_are_not, ENDS_WELL},
	{"window_of_nonsense", window_of_nonsense, ENDS_WELL},
};

const struct case_group device_cases = {cases, ARRAY_SIZE(cases)};
