/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O APIC: wired interrupt lines in, MSIs out. Created by machine.c; devices
 * drive its pins through a struct irq_line; vcpu.c hands it HV_EXIT_EOI.
 */
#ifndef VMM_IRQCHIP_IOAPIC_H
#define VMM_IRQCHIP_IOAPIC_H

#include <stdint.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/irq.h"

/* By which other nodes of a device tree name it. */
#define IOAPIC_PHANDLE 1

struct ioapic;

/* Claims the page at LAYOUT_IOAPIC of the MMIO bus. NULL, with *e filled, on failure. */
struct ioapic *ioapic_create(struct bus *mmio, const struct msi_sink *sink, struct error *e);
void ioapic_destroy(void *ioapic);
extern const struct device_ops ioapic_device;

/*
 * The line to input pin "pin" (below IOAPIC_PINS). The level that callers set is
 * logical, true for "asserted", whatever polarity the guest programs. A device may
 * hold its own lock while it sets the line: the I/O APIC's lock nests inside.
 */
struct irq_line ioapic_line(struct ioapic *io, unsigned int pin);

/*
 * A local APIC ended the level-triggered interrupt "vector": entries with that
 * vector may send again, and do at once if their line is still asserted.
 */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif
