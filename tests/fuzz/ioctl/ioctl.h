/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the fuzzer of /dev/hv share: random choices, and what a round has to work with. main.c
 * plays the rounds; the workers of a round make the calls of calls.c and ask the oracles of oracles.c;
 * weather.c disturbs them.
 */
#ifndef TESTS_FUZZ_IOCTL_H
#define TESTS_FUZZ_IOCTL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define WORKERS	    4
#define POOL	    16 /* descriptors of each kind that are open at once */
#define VCPUS	    4  /* of the VM that each round begins with */
#define ARENA_PAGES 1024
#define PAGE	    4096ul

/* ---- Random choices, which follow from the seed ---- */

extern uint64_t seed; /* of this round */

static inline uint64_t below(uint64_t n)
{
	return random64() % n;
}

static inline bool one_in(uint64_t n)
{
	return below(n) == 0;
}

#define ANY(array) ((array)[below(ARRAY_SIZE(array))])

/* A number at which something changes, or any. */
uint64_t number(void);

/* ---- What a round has to work with: pool.c ---- */

extern uint32_t xsave_size; /* what the host says of HV_GET_XSAVE */

enum kind {
	SYSTEM,
	VM,
	VCPU,
	EVENT,
	KINDS
};

/* Other threads may close a descriptor, and its number may come back as something else's: so be it. */
extern _Atomic int pool[KINDS][POOL];
extern struct vm main_vm;
extern uint8_t *arena; /* memory for further slots */
/* States of vCPUs that can run: long mode, protected mode, real mode. */
extern struct hv_run modes[3];
/* The threads that make the calls, and how many of them are not done yet. */
extern pthread_t workers[WORKERS];
extern _Atomic unsigned int working;

int any(enum kind kind);
/* Keep a new descriptor, in the place of another of its kind. */
void keep(enum kind kind, int fd);
/* The run page of a vCPU in the pool, or plain memory. */
struct hv_run *run_page(unsigned int i);
/* Memory, descriptors and states, from the seed on; and all descriptors and run pages gone. */
void pool_fill(void);
void pool_empty(void);
/* For the signals of the thread that calls. */
void take_signal_stack(void);

/* What a call of ours may fail with, a negative result that is, ends the round if it is no other's error. */
void may_fail(const char *what, long result);

/* Of all rounds: calls on descriptors of hv, how many of them worked, and returns of guests among those. */
struct figures {
	_Atomic uint64_t calls, worked, exits;
};

extern struct figures *figures;

#define CALL(fd, name, arg)                                       \
	({                                                        \
		long call_ = ioctl((fd), (name), (arg));          \
		figures->calls++;                                 \
		figures->worked += call_ >= 0;                    \
		figures->exits += call_ >= 0 && (name) == HV_RUN; \
		may_fail(#name, call_);                           \
		call_;                                            \
	})

/* ---- What QEMU's emulation of AMD-V gets wrong is kept from it: pool.c says what ---- */

extern bool tcg; /* this is it */

/* Random code, and a state that is about to be loaded. */
void tame(uint8_t *p, size_t len);
bool may_scribble(size_t offset);

/* ---- Calls ---- */

void system_calls(void);
void vm_calls(void);
void create_vcpu(int vm);
/* As many slots, bindings or vCPUs as a VM may have, and more. */
void fill_up(void);
void vcpu_calls(void);
/* What no call allows, and any descriptor. */
void odd_calls(void);
void signal_event(void);
void close_something(void);
/* A process that has the descriptors, but not the memory. */
void fork_process(void);

/* ---- Oracles: what hv promises, in a VM of the thread's own ---- */

void messages_arrive(void);
void clock_comes(void);
/* With nothing else running. */
void idle_timers_cost_nothing(void);

/* ---- Weather ---- */

/* What this host has of it; said once. */
void weather_look_around(void);
/* This round's; what is there before anything else; and while the workers work. */
void weather_choose(void);
void weather_narrow(void);
void weather_begin(void);
void weather_end(void);
/* Allocations of this thread: a round is to begin and end in good weather. */
void weather_let_fail(bool on);
/* The memory below the guests. */
void change_memory(void);

#endif
