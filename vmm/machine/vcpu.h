/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread per vCPU: runs it and hands its exits to buses, interrupt
 * controller and instruction emulator. machine.c creates, starts and stops them.
 */
#ifndef VMM_MACHINE_VCPU_H
#define VMM_MACHINE_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "error.h"
#include "include/uapi/hv.h"
#include "platform/bus.h"
#include "platform/mem.h"

/* How a vCPU can end the machine. */
enum vcpu_end {
	VCPU_RESET,   /* the guest asked for a reset; without a text */
	VCPU_CRASHED, /* the guest cannot go on, by its own doing */
	VCPU_FAILED,  /* the host or the module failed */
};

/* What all vCPUs of a machine share, constant. Callbacks run on any vCPU's thread. */
struct vcpu_env {
	struct bus *pio;
	struct bus *mmio;
	const struct mem *mem;
	void (*eoi)(void *arg, uint8_t vector);
	void (*end)(void *arg, enum vcpu_end how, const char *text);
	void *arg;
};

struct vcpu;

/* Takes vcpu_fd over, also on failure. */
struct vcpu *vcpu_create(int vcpu_fd, unsigned int id, const struct hv_caps *caps,
			 const struct vcpu_env *env, struct error *e);
/*
 * Its thread is parked, or was not started: as after power-up, or for the boot processor as entry says. The
 * others wait for a SIPI.
 */
int vcpu_reset(struct vcpu *v, const struct boot_entry *entry, struct error *e);
/* Once: start its thread, which confines itself and is parked. */
int vcpu_launch(struct vcpu *v, struct error *e);
/* Let it run. */
void vcpu_start(struct vcpu *v);

/* Ask it to leave the guest and to wait; does not wait itself. Any thread. */
void vcpu_park(struct vcpu *v);
/* Wait until it does, its last instruction completed. One that has ended the machine waits already. */
void vcpu_wait_parked(struct vcpu *v);
/* Ends its thread, which must be parked. */
void vcpu_destroy(struct vcpu *v);

/* Exits so far of one reason. */
uint64_t vcpu_exits(const struct vcpu *v, enum hv_exit_reason reason);

#endif
