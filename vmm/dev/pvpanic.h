/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The panic notification port (QEMU's pvpanic specification, ACPI id QEMU0001):
 * how a guest's kernel says that it has panicked. machine.c creates it.
 */
#ifndef VMM_DEV_PVPANIC_H
#define VMM_DEV_PVPANIC_H

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"

struct pvpanic;

/* At PORT_PVPANIC. fn is called on the vCPU's thread, each time the guest reports a panic. */
struct pvpanic *pvpanic_create(struct bus *pio, void (*fn)(void *arg), void *arg, struct error *e);
void pvpanic_destroy(void *pvpanic);
extern const struct device_ops pvpanic_device;

#endif
