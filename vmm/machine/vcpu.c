// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The vCPU threads: { HV_RUN; handle the exit } while the machine runs; parked, while
 * it does not. Started, parked and ended by machine.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emulate/emulate.h"
#include "emulate/task.h"
#include "host/hv.h"
#include "log.h"
#include "machine/crash.h"
#include "machine/vcpu.h"
#include "sandbox/sandbox.h"
#include "thread.h"
#include "x86.h"

/* Device code runs on it, and nothing in the monitor recurses. */
#define STACK_SIZE	(128 << 10)

#define NR_EXIT_REASONS (HV_EXIT_TASK + 1)

/* What its thread is to do. */
enum vcpu_task {
	TASK_RUN,
	TASK_PARK,
	TASK_END
};

struct vcpu {
	unsigned int id;		 /* constant */
	int fd;				 /* constant */
	uint32_t run_size;		 /* constant */
	struct hv_run *run;		 /* constant pointer; the page belongs to the thread */
	struct xstate xstate;		 /* belongs to the thread */
	const struct vcpu_env *env;	 /* constant */
	pthread_t thread;		 /* valid while started */
	bool started;			 /* used by the thread that owns the machine */
	uint64_t exits[NR_EXIT_REASONS]; /* written by the thread, read by others: atomic */

	pthread_mutex_t lock; /* protects what follows; innermost */
	pthread_cond_t changed;
	enum vcpu_task task;
	bool parked;
};

/* What the kick's handler must reach: the run page of the thread it interrupts. */
static _Thread_local struct hv_run *current_run;

/*
 * A kick that arrives just before HV_RUN would be lost if it only interrupted:
 * with immediate_exit set, HV_RUN returns at once.
 */
static void on_kick(int signal)
{
	(void)signal;
	if (current_run)
		__atomic_store_n(&current_run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static int kick_signal(void)
{
	return SIGRTMIN;
}

/* XSAVE's images are aligned so, and the size of this one is made a multiple of it. */
#define XSTATE_ALIGN 64U

struct vcpu *vcpu_create(int vcpu_fd, unsigned int id, const struct hv_caps *caps,
			 const struct vcpu_env *env, struct error *e)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	if (!v) {
		error_set(e, ENOMEM, "out of memory");
		close(vcpu_fd);
		return NULL;
	}
	v->id = id;
	v->fd = vcpu_fd;
	v->run_size = caps->run_size;
	v->env = env;
	v->task = TASK_PARK;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	v->xstate.size = caps->xsave_size;
	v->xstate.image = aligned_alloc(XSTATE_ALIGN, (caps->xsave_size + XSTATE_ALIGN - 1) &
							      ~(XSTATE_ALIGN - 1));
	if (!v->xstate.image)
		error_set(e, ENOMEM, "out of memory");
	else
		v->run = hv_map_run(vcpu_fd, caps->run_size, e);
	if (!v->run) {
		vcpu_destroy(v);
		return NULL;
	}
	return v;
}

/*
 * The memory types that firmware would have set up: all write-back (Intel SDM
 * Vol. 3, "IA32_MTRR_DEF_TYPE"). Linux leaves its page attribute table unused
 * when it finds the ranges disabled.
 */
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE	  0x800
#define MTRR_WRITE_BACK	  0x006

int vcpu_reset(struct vcpu *v, const struct boot_entry *entry, struct error *e)
{
	int ret = hv_reset_vcpu(v->fd, e);

	if (!ret)
		ret = hv_set_msr(v->fd, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK, e);
	v->run->dirty = 0;
	if (ret || v->id)
		return ret;
	v->run->gprs = entry->gprs;
	v->run->sregs = entry->sregs;
	v->run->dirty = HV_REGS_GPR | HV_REGS_SREGS;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Exits: each returns true when the vCPU can go on                           */

static bool end(struct vcpu *v, enum vcpu_end how, const char *text)
{
	v->env->end(v->env->arg, how, text);
	return false;
}

/* Reported with where the guest was: the one thing its owner can search for. */
static bool crash(struct vcpu *v, enum vcpu_end how, const char *what)
{
	char text[480], registers[240];
	int ret = hv_get_regs(v->fd, HV_REGS_GPR | HV_REGS_SREGS);

	if (ret < 0)
		snprintf(registers, sizeof(registers),
			 "an unknown place (registers unreadable: %s)", strerror(-ret));
	else
		crash_registers(v->run, registers, sizeof(registers));
	snprintf(text, sizeof(text), "vCPU %u: %s, at %s", v->id, what, registers);
	return end(v, how, text);
}

/* A port or device address: value is stored for a write, and filled for a read. */
static void access_bus(struct vcpu *v, struct bus *bus, uint64_t addr, unsigned int len,
		       unsigned int flags, uint64_t *value)
{
	bool claimed;

	if (flags & HV_IO_WRITE)
		claimed = bus_write(bus, addr, len, *value);
	else
		claimed = bus_read(bus, addr, len, value);
	if (!claimed)
		log_guest("vCPU %u: nothing answers at %s %#llx (%u bytes)", v->id,
			  bus == v->env->pio ? "port" : "address", (unsigned long long)addr, len);
}

static bool exit_pio(struct vcpu *v)
{
	union hv_exit *exit = &v->run->exit;
	uint64_t value = exit->pio.data;

	access_bus(v, v->env->pio, exit->pio.port, exit->pio.len, exit->pio.flags, &value);
	exit->pio.data = value;
	return true;
}

static bool exit_mmio(struct vcpu *v)
{
	union hv_exit *exit = &v->run->exit;
	uint64_t value = exit->mmio.data;

	access_bus(v, v->env->mmio, exit->mmio.gpa, exit->mmio.len, exit->mmio.flags, &value);
	exit->mmio.data = value;
	return true;
}

static int get_xstate(void *arg, struct xstate **x)
{
	struct vcpu *v = arg;

	*x = &v->xstate;
	return hv_get_xsave(v->fd, v->xstate.image, v->xstate.size);
}

static int set_xstate(void *arg)
{
	struct vcpu *v = arg;

	return hv_set_xsave(v->fd, v->xstate.image, v->xstate.size);
}

static uint32_t read_apic(void *arg, uint32_t offset)
{
	struct vcpu *v = arg;
	uint32_t value;

	hv_read_apic(v->fd, offset, &value);
	return value;
}

static void write_apic(void *arg, uint32_t offset, uint32_t value)
{
	struct vcpu *v = arg;
	int ended = hv_write_apic(v->fd, offset, value);

	if (ended > 0)
		v->env->eoi(v->env->arg, (uint8_t)ended);
}

static bool exit_emulate(struct vcpu *v)
{
	static const struct emulate_ops ops = {get_xstate, set_xstate, read_apic, write_apic};
	const struct emulate_env env = {
		.mem = v->env->mem,
		.pio = v->env->pio,
		.mmio = v->env->mmio,
		.ops = &ops,
		.arg = v,
	};
	char why[160];

	/* The exit does not bring the debug registers: only single-stepping needs them. */
	if (v->run->gprs.rflags & FLAG_TF)
		hv_get_regs(v->fd, HV_REGS_ALL);
	switch (emulate(&env, v->run, why, sizeof(why))) {
	case EMULATE_DONE:
		return true;
	case EMULATE_FAILED:
		return crash(v, VCPU_CRASHED, why);
	case EMULATE_HOST_FAILED:
		break;
	}
	return crash(v, VCPU_FAILED, why);
}

static bool exit_error(struct vcpu *v)
{
	char what[200], segments[400];
	bool host = crash_explain(&v->run->exit, what, sizeof(what));

	if (v->run->exit.error.code == HV_ERROR_ENTRY) {
		crash_segments(&v->run->sregs, segments, sizeof(segments));
		log_error("vCPU %u: %s", v->id, segments);
	}
	return crash(v, host ? VCPU_FAILED : VCPU_CRASHED, what);
}

/*
 * Where nothing else is known to work, a kernel resets the processor by a fault without a table of
 * handlers, which it has taken away for that (Linux: reboot=t). Loaders leave one that is not empty.
 */
static bool triple_fault(struct vcpu *v)
{
	if (!hv_get_regs(v->fd, HV_REGS_SREGS) && !v->run->sregs.idt.limit)
		return end(v, VCPU_RESET, "");
	return crash(v, VCPU_CRASHED, "triple fault");
}

static bool handle_exit(struct vcpu *v)
{
	uint32_t reason = v->run->exit_reason;
	char text[80];

	if (reason < NR_EXIT_REASONS)
		__atomic_store_n(&v->exits[reason], v->exits[reason] + 1, __ATOMIC_RELAXED);

	switch (reason) {
	case HV_EXIT_PIO:
		return exit_pio(v);
	case HV_EXIT_MMIO:
		return exit_mmio(v);
	case HV_EXIT_EMULATE:
		return exit_emulate(v);
	case HV_EXIT_EOI:
		v->env->eoi(v->env->arg, v->run->exit.eoi.vector);
		return true;
	case HV_EXIT_TASK:
		return task_switch(v->env->mem, v->run) || triple_fault(v);
	case HV_EXIT_NONE:
	case HV_EXIT_SIGNAL:
		return true;
	case HV_EXIT_SHUTDOWN:
		return triple_fault(v);
	case HV_EXIT_ERROR:
		return exit_error(v);
	default:
		snprintf(text, sizeof(text), "exit reason %u, which this vmm does not know",
			 reason);
		return crash(v, VCPU_CRASHED, text);
	}
}

static bool run_failed(struct vcpu *v, int err)
{
	char text[160];

	/* After set-up only what the guest's own instructions ask for loads registers. */
	if (err == EINVAL)
		return crash(v, VCPU_CRASHED,
			     "registers hold a state that the processor cannot be in");
	snprintf(text, sizeof(text), "vCPU %u cannot run: %s; look at 'dmesg'", v->id,
		 strerror(err));
	return end(v, VCPU_FAILED, text);
}

/*
 * Out of the guest, with its last instruction completed: wait while it is to be parked. False: the thread is to
 * end. The flag is taken down before the task is looked at, so a kick in between is seen.
 */
static bool interrupted(struct vcpu *v)
{
	bool go_on;

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&v->lock);
	/* Said in each turn: it may have been told to run, and to park again, before it woke. */
	while (v->task == TASK_PARK) {
		v->parked = true;
		pthread_cond_broadcast(&v->changed);
		pthread_cond_wait(&v->changed, &v->lock);
	}
	v->parked = false;
	go_on = v->task != TASK_END;
	pthread_mutex_unlock(&v->lock);
	return go_on;
}

/* This vCPU cannot go on: no longer, at least. */
static bool park_itself(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	if (v->task == TASK_RUN)
		v->task = TASK_PARK;
	pthread_mutex_unlock(&v->lock);
	return interrupted(v);
}

static void work(struct vcpu *v)
{
	struct error e;
	bool go_on;

	current_run = v->run;
	if (sandbox_enter(SANDBOX_VCPU, &e)) {
		end(v, VCPU_FAILED, e.text);
		/* Nor will it ever run. */
		while (park_itself(v))
			;
		return;
	}
	/* Parked, until all are confined. */
	go_on = interrupted(v);
	while (go_on) {
		int ret = hv_run_vcpu(v->fd);

		if (ret == -EINTR)
			go_on = interrupted(v);
		else if (ret < 0)
			go_on = run_failed(v, -ret) || park_itself(v);
		else
			go_on = handle_exit(v) || park_itself(v);
	}
}

static void *thread_main(void *arg)
{
	struct vcpu *v = arg;
	char name[sizeof("vcpu") + 10];

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	thread_begin(name);
	work(v);
	thread_end();
	return NULL;
}

/* ------------------------------------------------------------------------- */

static void set_task(struct vcpu *v, enum vcpu_task task)
{
	pthread_mutex_lock(&v->lock);
	v->task = task;
	if (task != TASK_PARK)
		v->parked = false;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

int vcpu_launch(struct vcpu *v, struct error *e)
{
	/* Without SA_RESTART: HV_RUN must come back. */
	struct sigaction action = {.sa_handler = on_kick};
	pthread_attr_t attr;
	int err;

	sigaction(kick_signal(), &action, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&v->thread, &attr, thread_main, v);
	pthread_attr_destroy(&attr);
	if (err)
		return error_set(e, err, "cannot start the thread of vCPU %u: %s", v->id,
				 strerror(err));
	v->started = true;
	return 0;
}

void vcpu_start(struct vcpu *v)
{
	set_task(v, TASK_RUN);
}

void vcpu_park(struct vcpu *v)
{
	if (!v->started)
		return;
	set_task(v, TASK_PARK);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(v->thread, kick_signal());
}

void vcpu_wait_parked(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	while (v->started && !v->parked)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_destroy(struct vcpu *v)
{
	if (!v)
		return;
	if (v->started) {
		set_task(v, TASK_END);
		pthread_join(v->thread, NULL);
	}
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	hv_unmap_run(v->run, v->run_size);
	free(v->xstate.image);
	close(v->fd);
	free(v);
}

uint64_t vcpu_exits(const struct vcpu *v, enum hv_exit_reason reason)
{
	return __atomic_load_n(&v->exits[reason], __ATOMIC_RELAXED);
}
