// SPDX-License-Identifier: GPL-2.0-or-later
/* What threads begin and end with. Called by whoever is one: cmd/run.c, machine/vcpu.c, block/thread.c. */
#define _GNU_SOURCE /* _SC_MINSIGSTKSZ */
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "thread.h"

#define NAME_SIZE 16 /* PR_SET_NAME's */

/* What a handler needs, beside the registers that the kernel puts there. */
#define STACK_SPACE (16 << 10)

/* Constant once there are threads. */
static char machine[NAME_SIZE];

static _Thread_local struct {
	char what[NAME_SIZE];
	stack_t stack, old; /* for handlers; no size: none */
} self = {.what = "vmm"};

void thread_set_machine(const char *name)
{
	snprintf(machine, sizeof(machine), "%s", name);
}

/* Where there is no room for it a handler runs on the thread's own stack. */
static void take_stack(void)
{
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + STACK_SPACE;
	void *sp = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sp == MAP_FAILED)
		return;
	self.stack = (stack_t){.ss_sp = sp, .ss_size = size};
	if (!sigaltstack(&self.stack, &self.old))
		return;
	munmap(sp, size);
	self.stack.ss_size = 0;
}

void thread_begin(const char *what)
{
	char name[2 * NAME_SIZE];

	snprintf(self.what, sizeof(self.what), "%s", what);
	snprintf(name, sizeof(name), "%s %s", self.what, machine);
	prctl(PR_SET_NAME, name);
	take_stack();
}

void thread_end(void)
{
	if (!self.stack.ss_size)
		return;
	sigaltstack(&self.old, NULL);
	munmap(self.stack.ss_sp, self.stack.ss_size);
	self.stack.ss_size = 0;
}

const char *thread_what(void)
{
	return self.what;
}

static const int own_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

#define NR_OWN_SIGNALS (sizeof(own_signals) / sizeof(own_signals[0]))

bool thread_own_signal(int signal)
{
	for (size_t i = 0; i < NR_OWN_SIGNALS; i++) {
		if (own_signals[i] == signal)
			return true;
	}
	return false;
}

void thread_block_signals(sigset_t *old)
{
	sigset_t set;

	sigfillset(&set);
	/* One that is blocked would end the process without its handler. */
	for (size_t i = 0; i < NR_OWN_SIGNALS; i++)
		sigdelset(&set, own_signals[i]);
	pthread_sigmask(SIG_SETMASK, &set, old);
}
