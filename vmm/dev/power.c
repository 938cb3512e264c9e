// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Power management of hardware-reduced ACPI (ACPI 6.4): the sleep control and
 * status registers (4.8.3.7), the reset register (4.8.3.6), and one register of
 * our own that the DSDT's generic event device (5.6.9) reads to learn why its
 * interrupt came. Of PCs, what kernels try to reset one: the reset control register
 * (Intel ICH9 datasheet, 13.7.5) and the command of the keyboard controller that pulses
 * the processor's reset line (IBM AT Technical Reference, "Keyboard Controller"). Called by
 * the buses on vCPU threads; power_button() by main.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "acpi/describe.h"
#include "dev/power.h"
#include "platform/layout.h"

/* Sleep control register */
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK  7
#define SLP_EN	      0x20

/* Reset control register */
#define RST_CPU	 0x04 /* its rise resets the processor */
#define RST_BITS 0x0e

/* Keyboard controller: pulse those output lines whose bit is clear; line 0 is the processor's reset. */
#define PULSE_MASK	 0xf1
#define PULSE_RESET	 0xf0

#define GED_POWER_BUTTON 0x01

#define SLEEP_PORTS	 2
#define RESET_PORTS	 1
#define GED_PORTS	 4
#define KEYBOARD_PORTS	 1

struct power {
	struct bus *pio;	    /* set at creation */
	struct irq_line ged;	    /* set at creation */
	struct power_events events; /* set at creation */
	pthread_mutex_t lock;	    /* protects what follows; held while the line changes */
	uint8_t pending;	    /* GED_* */
	uint8_t reset_control;
};

/* No wake-up to report: nothing sleeps. Write-only bits read as zero. */
static uint64_t read_zero(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void sleep_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)size;
	if (offset == 0 && (value & SLP_EN) &&
	    (value >> SLP_TYP_SHIFT & SLP_TYP_MASK) == ACPI_SLEEP_S5)
		p->events.off(p->events.arg);
}

static void reset_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset;
	(void)size;
	if ((uint8_t)value == ACPI_RESET_VALUE)
		p->events.reset(p->events.arg);
}

static uint64_t control_read(void *dev, uint64_t offset, unsigned int size)
{
	struct power *p = dev;
	uint8_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&p->lock);
	value = p->reset_control;
	pthread_mutex_unlock(&p->lock);
	return value;
}

static void control_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;
	bool rises;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&p->lock);
	rises = value & RST_CPU && !(p->reset_control & RST_CPU);
	p->reset_control = value & RST_BITS;
	pthread_mutex_unlock(&p->lock);
	if (rises)
		p->events.reset(p->events.arg);
}

const struct bus_ops power_reset_control = {control_read, control_write};

/* There is no keyboard; that its controller has room for a command is what a kernel waits for. */
static void keyboard_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct power *p = dev;

	(void)offset;
	(void)size;
	if ((value & PULSE_MASK) == PULSE_RESET)
		p->events.reset(p->events.arg);
}

/* Reading takes the events and releases the line, in one step: none is lost. */
static uint64_t ged_read(void *dev, uint64_t offset, unsigned int size)
{
	struct power *p = dev;
	uint8_t pending;

	(void)size;
	if (offset != 0)
		return 0;
	pthread_mutex_lock(&p->lock);
	pending = p->pending;
	p->pending = 0;
	irq_set(&p->ged, false);
	pthread_mutex_unlock(&p->lock);
	return pending;
}

static void ged_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)dev;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct {
	uint16_t port;
	uint16_t len;
	struct bus_ops ops;
} ranges[] = {
	{PORT_ACPI_SLEEP, SLEEP_PORTS, {read_zero, sleep_write}},
	{PORT_ACPI_RESET, RESET_PORTS, {read_zero, reset_write}},
	{PORT_ACPI_GED, GED_PORTS, {ged_read, ged_write}},
	{PORT_KEYBOARD, KEYBOARD_PORTS, {read_zero, keyboard_write}},
};

#define NR_RANGES (sizeof(ranges) / sizeof(ranges[0]))

struct power *power_create(struct bus *pio, struct irq_line ged, const struct power_events *events,
			   struct error *e)
{
	struct power *p = calloc(1, sizeof(*p));
	unsigned int i;

	if (!p) {
		error_set(e, ENOMEM, "out of memory for the power registers");
		return NULL;
	}
	p->pio = pio;
	p->ged = ged;
	p->events = *events;
	pthread_mutex_init(&p->lock, NULL);

	for (i = 0; i < NR_RANGES; i++) {
		int ret = bus_add(pio, ranges[i].port, ranges[i].len, &ranges[i].ops, p);

		if (ret < 0) {
			error_set(e, -ret, "port %#x of the power registers is taken",
				  ranges[i].port);
			power_destroy(p);
			return NULL;
		}
	}
	return p;
}

void power_destroy(void *dev)
{
	struct power *p = dev;
	unsigned int i;

	if (!p)
		return;
	/* After a failed creation some were never added: -ENOENT then, and no harm. */
	for (i = 0; i < NR_RANGES; i++)
		bus_remove(p->pio, ranges[i].port, p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void reset(void *dev)
{
	struct power *p = dev;

	pthread_mutex_lock(&p->lock);
	p->pending = 0;
	p->reset_control = 0;
	irq_set(&p->ged, false);
	pthread_mutex_unlock(&p->lock);
}

static const struct state_property properties[] = {
	{STATE_UINT(struct power, pending, "pending", GED_POWER_BUTTON)},
	{STATE_UINT(struct power, reset_control, "reset-control", RST_BITS)},
};

static const struct state_format format = STATE_FORMAT("power", 1, properties);

static void save(void *dev, struct dtb *out)
{
	struct power *p = dev;

	pthread_mutex_lock(&p->lock);
	state_put(out, &format, p);
	pthread_mutex_unlock(&p->lock);
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	struct power *p = dev, new = {0};
	int ret = state_get_leaf(in, &format, p, &new, e);

	if (ret)
		return ret;
	if (new.reset_control & ~RST_BITS)
		return state_refuse(in, "reset-control", "is out of range", e);

	pthread_mutex_lock(&p->lock);
	state_copy(&format, p, &new);
	irq_set(&p->ged, p->pending);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/*
 * ACPI 6.5, 5.6.9, generic event device: its interrupt means that something happened, the event register says
 * what (and is cleared by being read). The registers of sleep and reset are in the FADT.
 */
static void in_acpi(const struct power *p, struct aml *a)
{
	size_t dev, method, branch;
	struct aml_crs crs;

	dev = aml_known_device(a, "PWRB", "PNP0C0C");
	aml_end(a, dev);

	dev = aml_known_device(a, "GED_", "ACPI0013");
	crs = aml_crs(a);
	aml_crs_interrupt(a, p->ged.pin, false);
	aml_crs_end(a, crs);
	aml_io_region(a, "EVTR", PORT_ACPI_GED, 1);
	aml_byte_field(a, "EVTR", "EVST");
	method = aml_method(a, "_EVT", 1, true);
	aml_store_to_local0(a, "EVST");
	branch = aml_if_local0_and(a, GED_POWER_BUTTON);
	aml_notify(a, "PWRB", 0x80);
	aml_end(a, branch);
	aml_end(a, method);
	aml_end(a, dev);
}

/* No public binding has such registers: sleep, reset, events. */
static void in_tree(const struct power *p, struct dtb *isa)
{
	describe_port_node(isa, "power", "hv,power", PORT_ACPI_SLEEP,
			   PORT_ACPI_GED + GED_PORTS - PORT_ACPI_SLEEP);
	DTB_CELLS(isa, "interrupts", p->ged.pin, DTB_LEVEL_HIGH);
	dtb_end(isa);
}

static void describe(void *dev, const struct description *d)
{
	if (d->aml)
		in_acpi(dev, d->aml);
	if (d->isa)
		in_tree(dev, d->isa);
}

const struct device_ops power_device = {
	.reset = reset,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = power_destroy,
};

void power_button(struct power *p)
{
	pthread_mutex_lock(&p->lock);
	p->pending |= GED_POWER_BUTTON;
	irq_set(&p->ged, true);
	pthread_mutex_unlock(&p->lock);
}

bool power_button_heard(struct power *p)
{
	bool heard;

	pthread_mutex_lock(&p->lock);
	heard = !(p->pending & GED_POWER_BUTTON);
	pthread_mutex_unlock(&p->lock);
	return heard;
}
