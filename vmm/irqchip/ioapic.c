// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The I/O APIC: 24 pins, redirection entries, level and edge triggering. Rules
 * from the Intel 82093AA data sheet; the EOI register and version 0x20 from
 * Intel's I/O Controller Hub data sheets ("Advanced Programmable Interrupt
 * Controller (D31:F0)"). Called by devices (through struct irq_line), by the
 * MMIO bus and by vcpu.c for EOIs, on any thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "acpi/describe.h"
#include "irqchip/ioapic.h"
#include "log.h"
#include "platform/layout.h"

/* Memory-mapped registers, offsets in the page */
#define IOREGSEL 0x00
#define IOWIN	 0x10
#define IOEOI	 0x40
#define IO_LEN	 0x1000

/* Registers reached through IOREGSEL and IOWIN */
#define REG_ID	  0x00
#define REG_VER	  0x01
#define REG_ARB	  0x02
#define REG_REDIR 0x10

/* Version 0x20: has an EOI register. Bits 16..23: the last entry. */
#define VERSION (0x20 | (IOAPIC_PINS - 1) << 16)
#define ID_MASK 0x0f000000

/* Redirection entry */
#define RTE_VECTOR     0x000000ffULL
#define RTE_DELIVERY   0x00000700ULL
#define RTE_LOGICAL    0x00000800ULL
#define RTE_REMOTE_IRR 0x00004000ULL
#define RTE_LEVEL      0x00008000ULL
#define RTE_MASKED     0x00010000ULL
#define RTE_DEST_SHIFT 56
/* Delivery status (bit 12) is always idle here; remote IRR is the chip's own. */
#define RTE_WRITABLE	0xff0000000001afffULL

#define DELIVERY_FIXED	0x000
#define DELIVERY_LOWEST 0x100

/* Message format: Intel SDM Vol. 3, "Message Signalled Interrupts" */
#define MSI_ADDR	  0xfee00000ULL
#define MSI_ADDR_REDIRECT 0x8
#define MSI_ADDR_LOGICAL  0x4
#define MSI_DATA_ASSERT	  0x4000
#define MSI_DATA_LEVEL	  0x8000

struct ioapic {
	struct bus *mmio;     /* set at creation */
	struct msi_sink sink; /* set at creation */
	pthread_mutex_t lock; /* protects all below; innermost: only sink.send is called under it */
	uint8_t select;
	uint32_t id;
	uint32_t asserted; /* a bit per pin */
	uint64_t redir[IOAPIC_PINS];
};

/* Only fixed and lowest-priority interrupts can be level-triggered (82093AA, 3.2.4). */
static bool is_level(uint64_t rte)
{
	uint64_t delivery = rte & RTE_DELIVERY;

	return (rte & RTE_LEVEL) && (delivery == DELIVERY_FIXED || delivery == DELIVERY_LOWEST);
}

static void send(struct ioapic *io, unsigned int pin)
{
	uint64_t rte = io->redir[pin];
	uint64_t addr = MSI_ADDR | (rte >> RTE_DEST_SHIFT) << 12;
	uint32_t data = (uint32_t)(rte & (RTE_VECTOR | RTE_DELIVERY)) | MSI_DATA_ASSERT;
	int ret;

	if (rte & RTE_LOGICAL)
		addr |= MSI_ADDR_LOGICAL;
	if ((rte & RTE_DELIVERY) == DELIVERY_LOWEST)
		addr |= MSI_ADDR_REDIRECT;
	if (is_level(rte))
		data |= MSI_DATA_LEVEL;

	ret = io->sink.send(io->sink.ctx, addr, data);
	if (ret < 0)
		log_guest("ioapic: pin %u sent a bad message (%d)", pin, ret);
	/*
	 * Set when local APICs accept the message (82093AA, 3.2.4, bit 14). Where none
	 * does (disabled, or not there) no EOI comes either: the pin must be able to
	 * send again when its entry or its line changes.
	 */
	if (ret > 0 && is_level(rte))
		io->redir[pin] |= RTE_REMOTE_IRR;
}

/* A level-triggered pin sends while it is asserted, unmasked and not in service. */
static void send_if_level(struct ioapic *io, unsigned int pin)
{
	uint64_t rte = io->redir[pin];

	if (is_level(rte) && (io->asserted & 1U << pin) && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)))
		send(io, pin);
}

static void set_pin(void *chip, unsigned int pin, bool level)
{
	struct ioapic *io = chip;
	bool rising;

	if (pin >= IOAPIC_PINS)
		return;

	pthread_mutex_lock(&io->lock);
	rising = level && !(io->asserted & 1U << pin);
	if (level)
		io->asserted |= 1U << pin;
	else
		io->asserted &= ~(1U << pin);

	/* An edge on a masked pin is not held pending (82093AA, 3.2.4, bit 16). */
	if (is_level(io->redir[pin]))
		send_if_level(io, pin);
	else if (rising && !(io->redir[pin] & RTE_MASKED))
		send(io, pin);
	pthread_mutex_unlock(&io->lock);
}

static void end_of_interrupt(struct ioapic *io, uint8_t vector)
{
	unsigned int pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t rte = io->redir[pin];

		if (!(rte & RTE_REMOTE_IRR) || (rte & RTE_VECTOR) != vector)
			continue;
		io->redir[pin] &= ~RTE_REMOTE_IRR;
		send_if_level(io, pin);
	}
}

static void write_redir(struct ioapic *io, unsigned int index, uint32_t value)
{
	unsigned int pin = index / 2;
	unsigned int shift = (index & 1) * 32;
	uint64_t writable = RTE_WRITABLE & 0xffffffffULL << shift;
	uint64_t rte = io->redir[pin];

	rte = (rte & ~writable) | ((uint64_t)value << shift & writable);
	/* Remote IRR has no meaning for edges; guests switch to edge to clear it. */
	if (!is_level(rte))
		rte &= ~RTE_REMOTE_IRR;
	io->redir[pin] = rte;
	send_if_level(io, pin);
}

static uint32_t read_selected(const struct ioapic *io)
{
	unsigned int index = io->select;

	switch (index) {
	case REG_ID:
	case REG_ARB:
		return io->id;
	case REG_VER:
		return VERSION;
	}
	if (index >= REG_REDIR && index < REG_REDIR + 2 * IOAPIC_PINS) {
		index -= REG_REDIR;
		return (uint32_t)(io->redir[index / 2] >> (index & 1) * 32);
	}
	return 0;
}

static void write_selected(struct ioapic *io, uint32_t value)
{
	unsigned int index = io->select;

	if (index == REG_ID)
		io->id = value & ID_MASK;
	else if (index >= REG_REDIR && index < REG_REDIR + 2 * IOAPIC_PINS)
		write_redir(io, index - REG_REDIR, value);
}

/* The registers are 32 bits wide; narrower accesses reach their low bytes. */
static uint64_t io_read(void *dev, uint64_t offset, unsigned int size)
{
	struct ioapic *io = dev;
	uint32_t value = 0;

	pthread_mutex_lock(&io->lock);
	if (offset == IOREGSEL)
		value = io->select;
	else if (offset == IOWIN)
		value = read_selected(io);
	pthread_mutex_unlock(&io->lock);
	(void)size; /* the bus cuts it */
	return value;
}

static void io_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct ioapic *io = dev;

	/* A partial write of a 32-bit register is undefined: only the 8-bit ones take it. */
	if (offset == IOWIN && size < 4)
		return;

	pthread_mutex_lock(&io->lock);
	if (offset == IOREGSEL)
		io->select = (uint8_t)value;
	else if (offset == IOWIN)
		write_selected(io, (uint32_t)value);
	else if (offset == IOEOI)
		end_of_interrupt(io, (uint8_t)value);
	pthread_mutex_unlock(&io->lock);
}

static const struct bus_ops io_ops = {
	.read = io_read,
	.write = io_write,
};

static void power_up(struct ioapic *io)
{
	io->select = 0;
	io->id = 0;
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = RTE_MASKED;
}

/* Lines are the devices': they are lowered by their own reset. */
static void reset(void *dev)
{
	struct ioapic *io = dev;

	pthread_mutex_lock(&io->lock);
	power_up(io);
	pthread_mutex_unlock(&io->lock);
}

static const struct state_property properties[] = {
	{STATE_UINT(struct ioapic, select, "select", UINT8_MAX)},
	{STATE_UINT(struct ioapic, id, "id", ID_MASK)},
	{STATE_UINT(struct ioapic, asserted, "asserted", (1U << IOAPIC_PINS) - 1)},
	{STATE_ARRAY(struct ioapic, redir, "redirection", UINT64_MAX)},
};

static const struct state_format format = STATE_FORMAT("ioapic", 1, properties);

static void save(void *dev, struct dtb *out)
{
	struct ioapic *io = dev;

	pthread_mutex_lock(&io->lock);
	state_put(out, &format, io);
	pthread_mutex_unlock(&io->lock);
}

/* What a guest could have made of it, by write_redir(). */
static bool possible(uint64_t rte)
{
	return !(rte & ~(RTE_WRITABLE | RTE_REMOTE_IRR)) &&
	       (is_level(rte) || !(rte & RTE_REMOTE_IRR));
}

/*
 * Nothing is sent: what was sent before, the local APICs have in their own states. The devices, which are loaded
 * later, find their lines as they left them.
 */
static int load(void *dev, struct state_in *in, struct error *e)
{
	struct ioapic *io = dev, new = {0};
	int ret = state_get_leaf(in, &format, io, &new, e);

	if (ret)
		return ret;
	if (new.id & ~ID_MASK)
		return state_refuse(in, "id", "is out of range", e);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		if (!possible(new.redir[pin]))
			return state_refuse(in, "redirection", "has bits that no entry has", e);

	pthread_mutex_lock(&io->lock);
	state_copy(&format, io, &new);
	pthread_mutex_unlock(&io->lock);
	return 0;
}

struct ioapic *ioapic_create(struct bus *mmio, const struct msi_sink *sink, struct error *e)
{
	struct ioapic *io = calloc(1, sizeof(*io));
	int ret;

	if (!io) {
		error_set(e, ENOMEM, "out of memory for the I/O APIC");
		return NULL;
	}
	io->mmio = mmio;
	io->sink = *sink;
	power_up(io);
	pthread_mutex_init(&io->lock, NULL);

	ret = bus_add(mmio, LAYOUT_IOAPIC, IO_LEN, &io_ops, io);
	if (ret < 0) {
		error_set(e, -ret, "the I/O APIC's address is taken by another device");
		pthread_mutex_destroy(&io->lock);
		free(io);
		return NULL;
	}
	return io;
}

void ioapic_destroy(void *dev)
{
	struct ioapic *io = dev;

	if (!io)
		return;
	bus_remove(io->mmio, LAYOUT_IOAPIC, io);
	pthread_mutex_destroy(&io->lock);
	free(io);
}

struct irq_line ioapic_line(struct ioapic *io, unsigned int pin)
{
	return (struct irq_line){.set = set_pin, .chip = io, .pin = pin};
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	pthread_mutex_lock(&io->lock);
	end_of_interrupt(io, vector);
	pthread_mutex_unlock(&io->lock);
}

/* In ACPI it is in the MADT. */
static void describe(void *dev, const struct description *d)
{
	(void)dev;
	if (!d->soc)
		return;
	dtb_begin_at(d->soc, "interrupt-controller", LAYOUT_IOAPIC);
	dtb_string(d->soc, "compatible", "intel,ce4100-ioapic");
	describe_memory(d->soc, LAYOUT_IOAPIC, IO_LEN);
	dtb_empty(d->soc, "interrupt-controller");
	dtb_cell(d->soc, "#interrupt-cells", 2);
	dtb_cell(d->soc, "#address-cells", 0);
	dtb_cell(d->soc, "phandle", IOAPIC_PHANDLE);
	dtb_end(d->soc);
}

const struct device_ops ioapic_device = {
	.reset = reset,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = ioapic_destroy,
};
