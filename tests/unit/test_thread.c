// SPDX-License-Identifier: GPL-2.0-or-later
/* What threads are called (vmm/thread.c). */
#define _GNU_SOURCE /* _SC_MINSIGSTKSZ */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "suite.h"
#include "thread.h"

struct begun {
	const char *what;
	char name[16];
};

static void *begin(void *arg)
{
	struct begun *b = arg;

	thread_begin(b->what);
	prctl(PR_GET_NAME, b->name);
	return NULL;
}

static void check_name(const char *machine, const char *what, const char *name)
{
	struct begun b = {.what = what};
	pthread_t thread;

	thread_set_machine(machine);
	ck_assert_int_eq(pthread_create(&thread, NULL, begin, &b), 0);
	pthread_join(thread, NULL);
	ck_assert_str_eq(b.name, name);
}

START_TEST(names)
{
	check_name("web", "vcpu0", "vcpu0 web");
	check_name("a-machine-with-a-long-name", "vcpu63", "vcpu63 a-machin");
	check_name("123456789", "vcpu0", "vcpu0 123456789");
	check_name("1234567890", "vcpu0", "vcpu0 123456789");
}
END_TEST

/* It is the thread's own while it is one, and then what was there is again. */
START_TEST(stack_for_handlers)
{
	stack_t before, during, after;

	ck_assert_int_eq(sigaltstack(NULL, &before), 0);
	thread_begin("vcpu0");
	ck_assert_int_eq(sigaltstack(NULL, &during), 0);
	ck_assert_int_eq(during.ss_flags & SS_DISABLE, 0);
	ck_assert_ptr_ne(during.ss_sp, before.ss_sp);
	ck_assert_uint_ge(during.ss_size, (size_t)sysconf(_SC_MINSIGSTKSZ) + (16 << 10));
	thread_end();
	ck_assert_int_eq(sigaltstack(NULL, &after), 0);
	ck_assert_int_eq(after.ss_flags, before.ss_flags);
	ck_assert_ptr_eq(after.ss_sp, before.ss_sp);
	/* One that has none. */
	thread_end();
}
END_TEST

static bool is_own(int sig)
{
	return sig == SIGABRT || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGSEGV || sig == SIGSYS || sig == SIGTRAP;
}

START_TEST(own_signals)
{
	sigset_t old, set;

	thread_block_signals(&old);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, &old, &set), 0);
	/* Those that are not real-time. */
	for (int sig = 1; sig < 32; sig++) {
		/* These two nobody can block. */
		bool blocked = !is_own(sig) && sig != SIGKILL && sig != SIGSTOP;

		ck_assert_int_eq(thread_own_signal(sig), is_own(sig));
		ck_assert_msg(sigismember(&set, sig) == blocked, "signal %d", sig);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("thread");
	TCase *t = tcase_create("thread");

	tcase_add_test(t, names);
	tcase_add_test(t, stack_for_handlers);
	tcase_add_test(t, own_signals);
	suite_add_tcase(s, t);
	return suite_run(s);
}
