/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Power-off, the ways to ask for a reset, and the power button. Created by machine.c. */
#ifndef VMM_DEV_POWER_H
#define VMM_DEV_POWER_H

#include <stdbool.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/irq.h"

/* Called on the thread of the vCPU that asked for it. */
struct power_events {
	void (*reset)(void *arg);
	void (*off)(void *arg);
	void *arg;
};

struct power;

/* ged: the level-triggered line of the generic event device. */
struct power *power_create(struct bus *pio, struct irq_line ged, const struct power_events *events,
			   struct error *e);
void power_destroy(void *power);
extern const struct device_ops power_device;

/*
 * The reset control register of PC chipsets, one byte at port CF9: inside of PCI's CONFIG_ADDRESS, so the PCI
 * host hands on what concerns it. The device is the struct power.
 */
extern const struct bus_ops power_reset_control;

/* Press the power button: ask the guest to power itself off. Any thread may call. */
void power_button(struct power *p);
/* Whether the guest has looked at what happened since the button was pressed last. */
bool power_button_heard(struct power *p);

#endif
