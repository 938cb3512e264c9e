/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One machine from its power-on to its end: created, running, paused, settled, ended. cmd/session.c builds it from the
 * configuration, runs the event loop, and resets it when the guest reboots. All calls but machine_end() and
 * machine_power_button() are made on the loop's thread, or while no loop runs.
 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "chardev/console.h"
#include "config/config.h"
#include "error.h"
#include "host/loop.h"
#include "platform/dtb.h"
#include "platform/state.h"

enum machine_end {
	MACHINE_RUNNING,
	MACHINE_POWER_OFF,  /* the guest switched itself off */
	MACHINE_RESET,	    /* the guest wants to start anew */
	MACHINE_DEBUG_EXIT, /* the guest wrote .value to the debug-exit port */
	MACHINE_CRASHED,    /* triple fault, reported panic, emulation impossible */
	MACHINE_FAILED,	    /* the host or the module failed */
	MACHINE_RESETS, /* the guest resets again and again: what a session makes of MACHINE_RESET */
	MACHINE_QUIT,	/* the user left by the console's key */
	MACHINE_KILLED, /* a second signal, or a client */
	MACHINE_TIME_LIMIT,
	MACHINE_STOP_TIMEOUT, /* it was asked to power off, and did not in time */
};

struct machine_result {
	enum machine_end end;
	uint32_t value; /* MACHINE_DEBUG_EXIT */
	char text[512]; /* MACHINE_CRASHED, MACHINE_FAILED, MACHINE_STOP_TIMEOUT: what happened */
	/* MACHINE_FAILED before it ran: as of struct error; otherwise NULL and empty. */
	const char *code;
	char path[64];
};

/* Exits to the monitor, of all vCPUs. */
struct machine_exits {
	uint64_t pio, mmio, emulate, eoi;
};

struct machine;

/*
 * Everything but the vCPU threads. config, loop and console must outlive it;
 * the console's input is the machine's while it exists.
 */
struct machine *machine_create(const struct config *config, struct loop *loop,
			       struct console *console, struct error *e);
/*
 * The same without a VM, without vCPUs and without the module: a machine that can only be described, and its devices
 * saved and loaded.
 */
struct machine *machine_create_unpowered(const struct config *config, struct loop *loop,
					 struct console *console, struct error *e);
/* Load what it boots into its memory, and make it a flattened device tree, for free(). */
int machine_describe(struct machine *m, void **tree, size_t *len, struct error *e);
/*
 * The state of all devices: a node "devices" with one of each, by its id. They are stopped when they are saved, and
 * when they were loaded. Loading begins with their reset. After a refusal some are loaded and some are not, so that the
 * machine is to be reset, or destroyed.
 */
void machine_save_devices(const struct machine *m, struct dtb *out);
int machine_load_devices(struct machine *m, struct state_in *in, struct error *e);
/* Once, when the process is confined (sandbox/sandbox.h): start all threads, which confine themselves and wait. */
int machine_launch(struct machine *m, struct error *e);
/* Let the vCPUs run, unless it is paused: at first, and after machine_reset(). */
void machine_start(struct machine *m);
/*
 * As after power-up, with the same descriptors, the same VM and the same open files; after machine_settle(). The
 * vCPUs run again from machine_start() on.
 */
int machine_reset(struct machine *m, struct error *e);
/*
 * The machine is over, for this reason: the first call counts, and stops the
 * loop. Any thread; vCPUs leave the guest when machine_stop() is called. A user's reason (from MACHINE_QUIT on)
 * later than that ends machine_settle(), and takes the place of MACHINE_RESET. Returns whether it ends so.
 */
bool machine_end(struct machine *m, enum machine_end end, uint32_t value, const char *text);
/*
 * Press the power button: the guest may switch itself off. False: the machine is over, and nobody is there who
 * could.
 */
bool machine_power_button(struct machine *m);
/* Whether the guest took notice since; on the loop's thread. */
bool machine_heard_button(const struct machine *m);

/*
 * Stand still: the vCPUs are parked, devices begin nothing more, and the guest's clock stands. What the host has begun
 * for a disk it may still finish, in the guest's memory; nothing is waited for. EBUSY: the machine is over.
 * One that is reset meanwhile begins when it is resumed.
 */
int machine_pause(struct machine *m, struct error *e);
/*
 * Go on where machine_pause() came, as if no time had passed, which the guest is told (PVCLOCK_GUEST_STOPPED): at once,
 * or when the host has finished what it had begun. EBUSY: the machine is over. Nothing to one that is not paused.
 */
int machine_resume(struct machine *m, struct error *e);
/* The vCPUs did not run for a while that nobody asked for: tell the guest. */
void machine_stood_still(struct machine *m);
/* An NMI to all vCPUs. Returns 0 or a negative errno. */
int machine_nmi(struct machine *m, struct error *e);

/* Exits so far, of a machine that may run: each figure is one that was true lately. */
void machine_count(const struct machine *m, struct machine_exits *exits);

/* What devices counted so far, of each that does: a name of its own, and the counter's. */
typedef void (*machine_count_fn)(void *arg, const char *device, const char *name, uint64_t value);
void machine_count_devices(const struct machine *m, machine_count_fn fn, void *arg);

/* Park the vCPUs. */
void machine_stop(struct machine *m);
/*
 * Let the host finish what it has begun for the disks; runs the loop for it. A host that does not answer is
 * waited for until the user ends that, and unless the guest reboots, for SETTLE_SECONDS. Then what the machine
 * ended with.
 */
void machine_settle(struct machine *m, struct machine_result *result);
void machine_destroy(struct machine *m);

#endif
