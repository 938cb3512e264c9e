// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI bus: both ways to configuration space, write masks, and the mapping of
 * BARs onto the port and memory buses. machine.c creates it, devices join it,
 * vCPU threads reach it through the buses.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "acpi/describe.h"
#include "log.h"
#include "pci/pci.h"
#include "platform/layout.h"

#define CONFIG_PORTS	 8 /* CONFIG_ADDRESS and CONFIG_DATA, 4 bytes each */
#define CONFIG_ENABLE	 0x80000000u
#define CONFIG_ADDR_MASK 0x80fffffcu /* bits that CONFIG_ADDRESS implements */
#define PORTS_END	 0x10000     /* x86 has 64 Ki ports */
#define ECAM_FN_SIZE	 0x1000	     /* extended configuration space of a function */

/* A generic PCI Express host bridge; guests drive none. */
static const struct pci_id bridge_id = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.sub_vendor = 0x1af4,
	.sub_device = 0x1100,
	.class = 0x060000,
};

struct pci_host {
	struct bus *pio, *mmio;		      /* (s) */
	const struct bus_ops *cf9;	      /* (s) NULL: nobody */
	void *cf9_dev;			      /* (s) */
	pthread_mutex_t lock;		      /* (h) */
	uint32_t address;		      /* (h) CONFIG_ADDRESS */
	struct pci_dev *dev[PCI_MAX_DEVICES]; /* (h) by device number, function 0 only */
	struct pci_dev bridge;
	uint64_t next_mem, next_port; /* (s) first addresses not given to a BAR */
};

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

uint32_t pci_config_get(const struct pci_dev *dev, unsigned int reg, unsigned int len)
{
	uint32_t value = 0;

	memcpy(&value, &dev->config[reg], len);
	return value;
}

void pci_config_put(struct pci_dev *dev, unsigned int reg, unsigned int len, uint32_t value)
{
	memcpy(&dev->config[reg], &value, len);
}

void pci_config_allow(struct pci_dev *dev, unsigned int reg, unsigned int len, uint32_t mask)
{
	memcpy(&dev->writable[reg], &mask, len);
}

void pci_dev_init(struct pci_dev *dev, const struct pci_id *id, const struct pci_ops *ops)
{
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->next_cap = PCI_STD_HEADER_SIZEOF;
	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		dev->bar[i] = (struct pci_bar){.dev = dev, .index = i};

	pci_config_put(dev, PCI_VENDOR_ID, 2, id->vendor);
	pci_config_put(dev, PCI_DEVICE_ID, 2, id->device);
	pci_config_put(dev, PCI_CLASS_REVISION, 4, id->class << 8 | id->revision);
	pci_config_put(dev, PCI_SUBSYSTEM_VENDOR_ID, 2, id->sub_vendor);
	pci_config_put(dev, PCI_SUBSYSTEM_ID, 2, id->sub_device);

	/* No device here has an interrupt pin, so there is no INTx to disable. */
	pci_config_allow(dev, PCI_COMMAND, 2,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	/* Scratch registers for software: 6.2.4. */
	pci_config_allow(dev, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_config_allow(dev, PCI_INTERRUPT_LINE, 1, 0xff);
}

static unsigned int bar_reg(unsigned int index)
{
	return PCI_BASE_ADDRESS_0 + index * 4;
}

/* Only the address bits at and above the size can be written: that is how software sizes a BAR. */
void pci_set_bar(struct pci_dev *dev, unsigned int index, enum pci_bar_type type, uint64_t size)
{
	uint64_t mask = ~(size - 1);
	uint32_t low = 0;

	if (type == PCI_BAR_IO)
		low = PCI_BASE_ADDRESS_SPACE_IO;
	else if (type == PCI_BAR_MEM64)
		low = PCI_BASE_ADDRESS_MEM_TYPE_64;

	dev->bar[index].type = type;
	dev->bar[index].size = size;
	pci_config_put(dev, bar_reg(index), 4, low);
	pci_config_allow(dev, bar_reg(index), 4, (uint32_t)mask);
	if (type == PCI_BAR_MEM64)
		pci_config_allow(dev, bar_reg(index + 1), 4, mask >> 32);
}

unsigned int pci_add_cap(struct pci_dev *dev, uint8_t id, unsigned int len)
{
	unsigned int cap = dev->next_cap;

	dev->config[cap + PCI_CAP_LIST_ID] = id;
	if (dev->last_cap)
		dev->config[dev->last_cap + PCI_CAP_LIST_NEXT] = cap;
	else
		dev->config[PCI_CAPABILITY_LIST] = cap;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	dev->last_cap = cap;
	dev->next_cap = cap + ((len + 3) & ~3u);
	return cap;
}

/* ------------------------------------------------------------------------- */
/* Where BARs are decoded                                                     */

static uint64_t bar_read(void *arg, uint64_t offset, unsigned int size)
{
	struct pci_bar *bar = arg;

	return bar->dev->ops->bar_read(bar->dev, bar->index, offset, size);
}

static void bar_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_bar *bar = arg;

	bar->dev->ops->bar_write(bar->dev, bar->index, offset, size, value);
}

static const struct bus_ops bar_bus_ops = {.read = bar_read, .write = bar_write};

static struct bus *bar_bus(const struct pci_host *h, const struct pci_bar *bar)
{
	return bar->type == PCI_BAR_IO ? h->pio : h->mmio;
}

static uint64_t bar_address(const struct pci_bar *bar)
{
	uint64_t addr = pci_config_get(bar->dev, bar_reg(bar->index), 4);

	if (bar->type == PCI_BAR_MEM64)
		addr |= (uint64_t)pci_config_get(bar->dev, bar_reg(bar->index + 1), 4) << 32;
	return addr & ~(bar->size - 1);
}

/* Does the guest want the BAR decoded, and where? Zero means that no address was given. */
static bool bar_wanted(const struct pci_bar *bar, uint64_t *addr)
{
	uint16_t command = pci_config_get(bar->dev, PCI_COMMAND, 2);
	bool io = bar->type == PCI_BAR_IO;

	if (bar->type == PCI_BAR_NONE || !(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	*addr = bar_address(bar);
	return *addr && (!io || *addr <= PORTS_END - bar->size);
}

static void bar_set_mapped(struct pci_bar *bar, uint64_t addr, bool mapped)
{
	bar->mapped = mapped;
	bar->addr = addr;
	if (bar->dev->ops->bar_mapped)
		bar->dev->ops->bar_mapped(bar->dev, bar->index, addr, mapped);
}

static void unmap_bar(struct pci_host *h, struct pci_bar *bar)
{
	bus_remove(bar_bus(h, bar), bar->addr, bar);
	bar_set_mapped(bar, bar->addr, false);
}

static void map_bar(struct pci_host *h, struct pci_bar *bar, uint64_t addr)
{
	/* On top of something else or past the end: then nothing answers there for this BAR. */
	if (bus_add(bar_bus(h, bar), addr, bar->size, &bar_bus_ops, bar))
		log_guest("pci: BAR %u cannot be decoded at %#llx", bar->index,
			  (unsigned long long)addr);
	else
		bar_set_mapped(bar, addr, true);
}

/*
 * Make the buses agree with the registers. First everything that moves away,
 * then everything that comes: a BAR that was in another's way is decoded as soon
 * as the other one has left.
 */
static void update_mappings(struct pci_host *h)
{
	for (unsigned int i = 0; i < PCI_MAX_DEVICES * PCI_NR_BARS; i++) {
		struct pci_dev *dev = h->dev[i / PCI_NR_BARS];
		struct pci_bar *bar = dev ? &dev->bar[i % PCI_NR_BARS] : NULL;
		uint64_t addr;

		if (bar && bar->mapped && !(bar_wanted(bar, &addr) && addr == bar->addr))
			unmap_bar(h, bar);
	}
	for (unsigned int i = 0; i < PCI_MAX_DEVICES * PCI_NR_BARS; i++) {
		struct pci_dev *dev = h->dev[i / PCI_NR_BARS];
		struct pci_bar *bar = dev ? &dev->bar[i % PCI_NR_BARS] : NULL;
		uint64_t addr;

		if (bar && !bar->mapped && bar_wanted(bar, &addr))
			map_bar(h, bar, addr);
	}
}

/* ------------------------------------------------------------------------- */
/* Configuration space                                                        */

static bool overlaps(unsigned int reg, unsigned int len, unsigned int first, unsigned int end)
{
	return reg < end && reg + len > first;
}

/* Called with (h). Registers past the first 256 bytes do not exist and read as zero. */
static uint64_t config_read(struct pci_dev *dev, unsigned int reg, unsigned int len)
{
	uint64_t value = 0;

	if (dev->ops->config_read)
		dev->ops->config_read(dev, reg, len);
	for (unsigned int i = 0; i < len && reg + i < PCI_CONFIG_SIZE; i++)
		value |= (uint64_t)dev->config[reg + i] << (i * 8);
	return value;
}

/* Called with (h). */
static void config_write(struct pci_host *h, struct pci_dev *dev, unsigned int reg,
			 unsigned int len, uint64_t value)
{
	for (unsigned int i = 0; i < len && reg + i < PCI_CONFIG_SIZE; i++) {
		uint8_t mask = dev->writable[reg + i];
		uint8_t byte = value >> (i * 8);

		dev->config[reg + i] = (dev->config[reg + i] & ~mask) | (byte & mask);
	}
	if (overlaps(reg, len, PCI_COMMAND, PCI_COMMAND + 2) ||
	    overlaps(reg, len, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_5 + 4))
		update_mappings(h);
	if (dev->ops->config_written)
		dev->ops->config_written(dev, reg, len);
}

/* Called with (h): the function that CONFIG_ADDRESS selects, or NULL. */
static struct pci_dev *selected(const struct pci_host *h)
{
	unsigned int bus = h->address >> 16 & 0xff;
	unsigned int number = h->address >> 11 & 0x1f;
	unsigned int function = h->address >> 8 & 7;

	if (!(h->address & CONFIG_ENABLE) || bus || function)
		return NULL;
	return h->dev[number];
}

static bool is_cf9(const struct pci_host *h, uint64_t offset, unsigned int size)
{
	return h->cf9 && offset == 1 && size == 1;
}

/*
 * CONFIG_ADDRESS takes 32-bit accesses only: 3.2.2.3.2. Each byte lane of
 * CONFIG_DATA is a byte of the selected register.
 */
static uint64_t ports_read(void *arg, uint64_t offset, unsigned int size)
{
	struct pci_host *h = arg;
	struct pci_dev *dev;
	uint64_t value = ~0ULL;

	if (is_cf9(h, offset, size))
		return h->cf9->read(h->cf9_dev, 0, size);
	pthread_mutex_lock(&h->lock);
	if (offset == 0 && size == 4) {
		value = h->address;
	} else if (offset >= 4) {
		dev = selected(h);
		if (dev)
			value = config_read(dev, (h->address & 0xfc) + (offset - 4), size);
	}
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void ports_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_host *h = arg;
	struct pci_dev *dev;

	if (is_cf9(h, offset, size)) {
		h->cf9->write(h->cf9_dev, 0, size, value);
		return;
	}
	pthread_mutex_lock(&h->lock);
	if (offset == 0 && size == 4) {
		h->address = value & CONFIG_ADDR_MASK;
	} else if (offset >= 4) {
		dev = selected(h);
		if (dev)
			config_write(h, dev, (h->address & 0xfc) + (offset - 4), size, value);
	}
	pthread_mutex_unlock(&h->lock);
}

/* Called with (h): ECAM address bits are bus 27:20 (none here), device 19:15, function 14:12. */
static struct pci_dev *ecam_target(const struct pci_host *h, uint64_t offset, unsigned int size)
{
	unsigned int slot = offset / ECAM_FN_SIZE;

	if (slot % 8 || offset % ECAM_FN_SIZE + size > ECAM_FN_SIZE)
		return NULL;
	return h->dev[slot / 8];
}

static uint64_t ecam_read(void *arg, uint64_t offset, unsigned int size)
{
	struct pci_host *h = arg;
	struct pci_dev *dev;
	uint64_t value = ~0ULL;

	pthread_mutex_lock(&h->lock);
	dev = ecam_target(h, offset, size);
	if (dev)
		value = config_read(dev, offset % ECAM_FN_SIZE, size);
	pthread_mutex_unlock(&h->lock);
	return value;
}

static void ecam_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_host *h = arg;
	struct pci_dev *dev;

	pthread_mutex_lock(&h->lock);
	dev = ecam_target(h, offset, size);
	if (dev)
		config_write(h, dev, offset % ECAM_FN_SIZE, size, value);
	pthread_mutex_unlock(&h->lock);
}

/* ------------------------------------------------------------------------- */
/* Set-up                                                                     */

static const struct bus_ops ports_ops = {.read = ports_read, .write = ports_write};
static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};
static const struct pci_ops bridge_ops; /* no BARs, nothing to hear of */

struct pci_host *pci_host_create(struct bus *pio, struct bus *mmio, struct error *e)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	int ret;

	if (!h) {
		error_set(e, ENOMEM, "not enough memory for the PCI bus");
		return NULL;
	}
	pthread_mutex_init(&h->lock, NULL);
	h->pio = pio;
	h->mmio = mmio;
	h->next_mem = LAYOUT_PCI_MMIO;
	h->next_port = PORT_PCI_IO;
	pci_dev_init(&h->bridge, &bridge_id, &bridge_ops);
	memcpy(h->bridge.initial, h->bridge.config, sizeof(h->bridge.initial));
	h->dev[0] = &h->bridge;

	ret = bus_add(pio, PORT_PCI_CONFIG, CONFIG_PORTS, &ports_ops, h);
	if (!ret)
		ret = bus_add(mmio, LAYOUT_ECAM, LAYOUT_ECAM_LEN, &ecam_ops, h);
	if (ret) {
		error_set(e, -ret, "cannot set up the PCI bus: %s", strerror(-ret));
		pci_host_destroy(h);
		return NULL;
	}
	return h;
}

void pci_host_set_cf9(struct pci_host *h, const struct bus_ops *ops, void *dev)
{
	h->cf9 = ops;
	h->cf9_dev = dev;
}

void pci_host_destroy(void *dev)
{
	struct pci_host *h = dev;

	if (!h)
		return;
	bus_remove(h->mmio, LAYOUT_ECAM, h);
	bus_remove(h->pio, PORT_PCI_CONFIG, h);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* A naturally aligned address from a window that ends at "end", or 0. */
static uint64_t window_take(uint64_t *next, uint64_t end, uint64_t size)
{
	uint64_t addr = (*next + size - 1) & ~(size - 1);

	if (addr > end || size > end - addr)
		return 0;
	*next = addr + size;
	return addr;
}

static int assign_bar(struct pci_host *h, struct pci_bar *bar)
{
	bool io = bar->type == PCI_BAR_IO;
	unsigned int reg = bar_reg(bar->index);
	uint64_t addr;

	if (io)
		addr = window_take(&h->next_port, PORT_PCI_IO + PORT_PCI_IO_LEN, bar->size);
	else
		addr = window_take(&h->next_mem, LAYOUT_PCI_MMIO + LAYOUT_PCI_MMIO_LEN, bar->size);
	if (!addr)
		return -ENOSPC;
	/* Both windows are below 4 GiB: the upper half of a 64-bit BAR stays zero. */
	pci_config_put(bar->dev, reg, 4, pci_config_get(bar->dev, reg, 4) | (uint32_t)addr);
	return 0;
}

int pci_add(struct pci_host *h, struct pci_dev *dev, struct error *e)
{
	unsigned int slot = dev->slot;

	if (slot && (slot >= PCI_MAX_DEVICES || h->dev[slot]))
		return error_set(e, ENOSPC, "PCI device %u is not free", slot);
	while (slot < PCI_MAX_DEVICES && h->dev[slot])
		slot++;
	if (slot == PCI_MAX_DEVICES)
		return error_set(e, ENOSPC, "the machine has room for %d PCI devices only",
				 PCI_MAX_DEVICES - 1);

	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		struct pci_bar *bar = &dev->bar[i];

		if (bar->type != PCI_BAR_NONE && assign_bar(h, bar))
			return error_set(e, ENOSPC, "no addresses left for PCI devices");
	}
	pthread_mutex_lock(&h->lock);
	memcpy(dev->initial, dev->config, sizeof(dev->initial));
	h->dev[slot] = dev;
	pthread_mutex_unlock(&h->lock);
	return 0;
}

/* As firmware would leave it: nothing decoded, addresses given. */
static void reset(void *arg)
{
	struct pci_host *h = arg;

	pthread_mutex_lock(&h->lock);
	h->address = 0;
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++)
		if (h->dev[slot])
			memcpy(h->dev[slot]->config, h->dev[slot]->initial, PCI_CONFIG_SIZE);
	update_mappings(h);
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++)
		if (h->dev[slot] && h->dev[slot]->ops->reset)
			h->dev[slot]->ops->reset(h->dev[slot]);
	pthread_mutex_unlock(&h->lock);
}

static const struct state_property host_properties[] = {
	{STATE_UINT(struct pci_host, address, "config-address", CONFIG_ADDR_MASK)},
};

static const struct state_property function_properties[] = {
	{STATE_ARRAY(struct pci_dev, config, "config", UINT8_MAX)},
};

static const struct state_format host_format = STATE_FORMAT("pci-host", 1, host_properties);
static const struct state_format function_format =
	STATE_FORMAT("pci-function", 1, function_properties);

/* By its device number and function. */
struct function_name {
	char text[16];
};

static struct function_name function_name(unsigned int slot)
{
	struct function_name n;

	snprintf(n.text, sizeof(n.text), "function-%x.0", slot);
	return n;
}

static void save(void *arg, struct dtb *out)
{
	struct pci_host *h = arg;

	pthread_mutex_lock(&h->lock);
	state_put(out, &host_format, h);
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++) {
		if (!h->dev[slot])
			continue;
		dtb_begin(out, function_name(slot).text);
		state_put(out, &function_format, h->dev[slot]);
		dtb_end(out);
	}
	pthread_mutex_unlock(&h->lock);
}

/* What a guest cannot change is the configuration's. */
static int load_function(const struct pci_dev *dev, uint8_t *config, struct state_in *in,
			 struct error *e)
{
	struct pci_dev new;
	int ret = state_get_leaf(in, &function_format, dev, &new, e);

	for (unsigned int i = 0; !ret && i < PCI_CONFIG_SIZE; i++)
		if ((new.config[i] ^ dev->config[i]) & ~dev->writable[i])
			ret = state_refuse(in, "config",
					   "is of another device: the two must be configured alike",
					   e);
	if (!ret)
		memcpy(config, new.config, PCI_CONFIG_SIZE);
	return ret;
}

/* A function hears of its registers as if the guest had written them. */
static void take_over(struct pci_host *h, uint32_t address,
		      uint8_t config[PCI_MAX_DEVICES][PCI_CONFIG_SIZE])
{
	h->address = address;
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++)
		if (h->dev[slot])
			memcpy(h->dev[slot]->config, config[slot], PCI_CONFIG_SIZE);
	update_mappings(h);
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++)
		if (h->dev[slot] && h->dev[slot]->ops->config_written)
			h->dev[slot]->ops->config_written(h->dev[slot], PCI_COMMAND, 2);
}

static int load_locked(struct pci_host *h, struct state_in *in, struct error *e)
{
	uint8_t config[PCI_MAX_DEVICES][PCI_CONFIG_SIZE];
	struct pci_host new;
	int ret = state_get(in, &host_format, h, &new, e);

	if (!ret && new.address & ~CONFIG_ADDR_MASK)
		ret = state_refuse(in, "config-address", "is out of range", e);
	for (unsigned int slot = 0; !ret && slot < PCI_MAX_DEVICES; slot++) {
		struct state_in function;

		if (!h->dev[slot])
			continue;
		ret = state_child(in, function_name(slot).text, &function, e);
		if (!ret)
			ret = load_function(h->dev[slot], config[slot], &function, e);
	}
	if (!ret)
		ret = state_all_met(in, e);
	if (!ret)
		take_over(h, new.address, config);
	return ret;
}

static int load(void *arg, struct state_in *in, struct error *e)
{
	struct pci_host *h = arg;
	int ret;

	pthread_mutex_lock(&h->lock);
	ret = load_locked(h, in, e);
	pthread_mutex_unlock(&h->lock);
	return ret;
}

/* ACPI 6.5, 6.2.13: pin n of every device is wired to GSI_PCI_INTA + n, without a link device. */
static void describe_pins(struct aml *a)
{
	size_t table, route;

	aml_name(a, "_PRT");
	table = aml_package(a, PCI_MAX_DEVICES * 4);
	for (unsigned int dev = 0; dev < PCI_MAX_DEVICES; dev++) {
		for (unsigned int pin = 0; pin < 4; pin++) {
			route = aml_package(a, 4);
			aml_integer(a, dev << 16 | 0xffff); /* every function */
			aml_integer(a, pin);
			aml_integer(a, 0);
			aml_integer(a, GSI_PCI_INTA + pin);
			aml_end(a, route);
		}
	}
	aml_end(a, table);
}

static void in_acpi(struct aml *a)
{
	size_t dev = aml_known_device(a, "PCI0", "PNP0A08");
	struct aml_crs crs;

	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A03");
	aml_integer_name(a, "_UID", 0);
	aml_integer_name(a, "_SEG", 0);
	aml_integer_name(a, "_BBN", 0);
	crs = aml_crs(a);
	aml_crs_bus_window(a, 0, 0);
	aml_crs_io(a, PORT_PCI_CONFIG, 8);
	aml_crs_io_window(a, PORT_PCI_IO, PORT_PCI_IO + PORT_PCI_IO_LEN - 1);
	aml_crs_memory_window(a, LAYOUT_PCI_MMIO,
			      (uint32_t)(LAYOUT_PCI_MMIO + LAYOUT_PCI_MMIO_LEN - 1));
	aml_crs_end(a, crs);
	describe_pins(a);
	aml_end(a, dev);

	/* An OS trusts the MCFG only if a motherboard device reserves the range. */
	dev = aml_known_device(a, "MRES", "PNP0C02");
	crs = aml_crs(a);
	aml_crs_memory(a, LAYOUT_ECAM, LAYOUT_ECAM_LEN);
	aml_crs_end(a, crs);
	aml_end(a, dev);
}

/* What is on the bus is found there. An address has a cell for its kind before it: 1 ports, 2 memory. */
static void in_tree(struct dtb *soc)
{
	dtb_begin_at(soc, "pcie", LAYOUT_ECAM);
	dtb_string(soc, "compatible", "pci-host-ecam-generic");
	dtb_string(soc, "device_type", "pci");
	describe_memory(soc, LAYOUT_ECAM, LAYOUT_ECAM_LEN);
	DTB_CELLS(soc, "bus-range", 0, 0);
	dtb_cell(soc, "#address-cells", 3);
	dtb_cell(soc, "#size-cells", 2);
	DTB_CELLS(soc, "ranges", 0x01000000, DTB_U64(PORT_PCI_IO), DTB_U64(PORT_PCI_IO),
		  DTB_U64(PORT_PCI_IO_LEN), 0x02000000, DTB_U64(LAYOUT_PCI_MMIO),
		  DTB_U64(LAYOUT_PCI_MMIO), DTB_U64(LAYOUT_PCI_MMIO_LEN));
	dtb_end(soc);
}

static void describe(void *dev, const struct description *d)
{
	(void)dev;
	if (d->aml)
		in_acpi(d->aml);
	if (d->soc)
		in_tree(d->soc);
}

const struct device_ops pci_host_device = {
	.reset = reset,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = pci_host_destroy,
};

void pci_remove(struct pci_host *h, struct pci_dev *dev)
{
	pthread_mutex_lock(&h->lock);
	for (unsigned int slot = 0; slot < PCI_MAX_DEVICES; slot++) {
		if (h->dev[slot] != dev)
			continue;
		h->dev[slot] = NULL;
		for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
			if (dev->bar[i].mapped)
				unmap_bar(h, &dev->bar[i]);
		}
	}
	pthread_mutex_unlock(&h->lock);
}
