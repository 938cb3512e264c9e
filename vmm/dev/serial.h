/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A serial port between the guest and the console. Created by machine.c.
 */
#ifndef VMM_DEV_SERIAL_H
#define VMM_DEV_SERIAL_H

#include <stddef.h>
#include <stdint.h>

#include "chardev/console.h"
#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/irq.h"

struct serial;

/*
 * Claims eight ports from "port" on and takes the console's input. The console
 * must outlive the serial port.
 */
struct serial *serial_create(struct bus *pio, uint16_t port, struct irq_line irq,
			     struct console *console, struct error *e);
void serial_destroy(void *serial);
extern const struct device_ops serial_device;

/*
 * The line: bytes arriving from outside, or none, to fetch what is to come again.
 * Returns how many were taken: none while the guest does not listen, and else what
 * fits into the receiver. When not all were, console_input_ready() follows once they
 * can be. The console calls it.
 */
size_t serial_receive(void *serial, const uint8_t *buf, size_t len);

#endif
