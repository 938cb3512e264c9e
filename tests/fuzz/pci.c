// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/pci/pci.c and msix.c: any accesses to configuration space by both ways, and to where BARs are.
 * Both ways say the same, what is read-only stays, and a device is asked within its BARs.
 */
#include <linux/pci_regs.h>
#include <unistd.h>

#include "platform/layout.h"
#include "pci/msix.h"
#include "pci/pci.h"
#include "tests/fuzz/fuzz.h"

struct device {
	struct pci_dev pci;
	struct msix msix;
	bool mapped[PCI_NR_BARS];
};

static struct device device[2];
static struct bus *pio, *mmio;

static uint64_t bar_read(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size)
{
	struct device *d = (struct device *)pci;

	must(d->mapped[bar] && offset < pci->bar[bar].size && size <= pci->bar[bar].size - offset);
	return bar == 1 ? msix_read(&d->msix, offset % MSIX_REGION, size) : 0;
}

static void bar_write(struct pci_dev *pci, unsigned int bar, uint64_t offset, unsigned int size,
		      uint64_t value)
{
	struct device *d = (struct device *)pci;

	must(d->mapped[bar] && offset < pci->bar[bar].size && size <= pci->bar[bar].size - offset);
	if (bar == 1)
		msix_write(&d->msix, offset % MSIX_REGION, size, value);
}

static void bar_mapped(struct pci_dev *pci, unsigned int bar, uint64_t addr, bool mapped)
{
	struct device *d = (struct device *)pci;

	must(d->mapped[bar] != mapped);
	must(!(addr & (pci->bar[bar].size - 1)));
	d->mapped[bar] = mapped;
}

static void config_written(struct pci_dev *pci, unsigned int reg, unsigned int len)
{
	struct device *d = (struct device *)pci;

	(void)reg;
	(void)len;
	msix_config_written(&d->msix, pci);
}

static const struct pci_ops ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_mapped = bar_mapped,
	.config_written = config_written,
};

/* A module that takes every other message. */
static int msi_send(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)addr;
	return data & 1 ? 1 : -22;
}

static int msi_bind(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)addr;
	must(fd >= 0);
	return data & 2 ? 0 : -22;
}

static int msi_unbind(void *ctx, int fd)
{
	(void)ctx;
	must(fd >= 0);
	return 0;
}

static const struct msi_sink sink = {msi_send, msi_bind, msi_unbind, NULL};

static uint64_t ecam(unsigned int slot, unsigned int reg)
{
	return LAYOUT_ECAM + (slot << 15) + reg;
}

static void check_config(unsigned int slot, unsigned int reg)
{
	uint64_t one, two;

	bus_read(mmio, ecam(slot, reg & ~3u), 4, &one);
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
	bus_read(pio, 0xcfc, 4, &two);
	must((uint32_t)one == (uint32_t)two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pci_id id = {.vendor = 0x1234, .device = 0x5678, .class = 0x018000};
	uint8_t fixed[2][PCI_CONFIG_SIZE];
	struct input in = {data, size};
	struct pci_host *host;
	struct error e;

	pio = bus_create();
	mmio = bus_create();
	host = pci_host_create(pio, mmio, &e);
	for (unsigned int i = 0; i < 2; i++) {
		struct device *d = &device[i];

		memset(d, 0, sizeof(*d));
		pci_dev_init(&d->pci, &id, &ops);
		pci_set_bar(&d->pci, 0, PCI_BAR_IO, 16);
		pci_set_bar(&d->pci, 1, PCI_BAR_MEM32, 0x2000);
		pci_set_bar(&d->pci, 2, PCI_BAR_MEM64, 0x100000);
		must(!msix_init(&d->msix, &d->pci, &sink, 1 + i, 1, 0, &e));
		must(!pci_add(host, &d->pci, &e));
		memcpy(fixed[i], d->pci.config, PCI_CONFIG_SIZE);
	}
	while (in.left) {
		unsigned int op = take(&in, 1), slot = 1 + (op >> 3 & 1), len = 1 << (op >> 4 & 3);
		struct pci_dev *pci = &device[slot - 1].pci;
		unsigned int reg = take(&in, 1), bar = reg % 3;
		uint64_t value = take(&in, len), ignored;

		switch (op & 7) {
		case 0:
		case 1:
			bus_write(mmio, ecam(slot, reg), len, value);
			break;
		case 2:
			bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
			bus_write(pio, 0xcfc + (reg & 3), len, value);
			break;
		case 3:
			bus_write(mmio, LAYOUT_ECAM + take(&in, 4) % LAYOUT_ECAM_LEN, len, value);
			break;
		case 4:
			bus_read(bar ? mmio : pio, pci->bar[bar].addr + take(&in, 2), len,
				 &ignored);
			break;
		case 5:
			bus_write(bar ? mmio : pio, pci->bar[bar].addr + take(&in, 2), len, value);
			break;
		case 6:
			msix_notify(&device[slot - 1].msix, reg & 3);
			break;
		default:
			bus_write(pio, 0xcf8 + (reg & 7), len, value);
			break;
		}
		check_config(slot, reg);
	}
	for (unsigned int i = 0; i < 2; i++) {
		const struct pci_dev *pci = &device[i].pci;

		for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
			must(!((pci->config[reg] ^ fixed[i][reg]) & ~pci->writable[reg]));
		pci_remove(host, &device[i].pci);
		msix_fini(&device[i].msix);
		for (unsigned int bar = 0; bar < PCI_NR_BARS; bar++)
			must(!device[i].mapped[bar]);
	}
	pci_host_destroy(host);
	bus_destroy(pio);
	bus_destroy(mmio);
	return 0;
}
