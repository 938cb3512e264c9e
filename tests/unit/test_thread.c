// SPDX-License-Identifier: GPL-2.0-or-later
/* What threads are called (vmm/thread.c). */
#include <check.h>
#include <pthread.h>
#include <sys/prctl.h>

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

int main(void)
{
	Suite *s = suite_create("thread");
	TCase *t = tcase_create("thread");

	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return suite_run(s);
}
