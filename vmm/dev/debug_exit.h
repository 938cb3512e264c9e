/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A port by which a guest ends its VM with a status. Created by machine.c. */
#ifndef VMM_DEV_DEBUG_EXIT_H
#define VMM_DEV_DEBUG_EXIT_H

#include <stdint.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"

/* Ports claimed, beginning at the one given */
#define DEBUG_EXIT_PORTS 4

struct debug_exit;

/*
 * fn gets the value the guest wrote, on the thread of the vCPU that wrote it.
 * The exit status it stands for is (value << 1) | 1, as with QEMU's
 * isa-debug-exit: never 0, so that it cannot be taken for a clean power-off.
 */
struct debug_exit *debug_exit_create(struct bus *pio, uint16_t port,
				     void (*fn)(void *arg, uint32_t value), void *arg,
				     struct error *e);
void debug_exit_destroy(void *debug_exit);
extern const struct device_ops debug_exit_device;

#endif
