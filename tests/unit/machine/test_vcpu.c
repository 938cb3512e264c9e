// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread of a vCPU (vmm/machine/vcpu.c): it runs, parks and goes on; the module is a function here. */
#define _GNU_SOURCE /* memfd_create() */
#include <check.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine/vcpu.h"
#include "suite.h"
#include "thread.h"

static struct hv_run *page; /* the test's own view of the run page */
static atomic_uint runs;
static atomic_bool fails;

/* HV_RUN as the module has it, of a guest that does nothing; all other calls work. */
int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	if (request != HV_RUN)
		return 0;
	if (__atomic_load_n(&page->immediate_exit, __ATOMIC_SEQ_CST)) {
		errno = EINTR;
		return -1;
	}
	atomic_fetch_add(&runs, 1);
	page->exit_reason = HV_EXIT_NONE;
	if (!atomic_load(&fails))
		return 0;
	errno = ESHUTDOWN;
	return -1;
}

static unsigned int ends;

static void on_end(void *arg, enum vcpu_end how, const char *text)
{
	(void)arg;
	(void)text;
	ck_assert_int_eq(how, VCPU_FAILED);
	ends++;
}

static struct vcpu_env env = {.end = on_end};
static struct vcpu *vcpu;

static void set_up(void)
{
	const struct hv_caps caps = {.run_size = 4096, .xsave_size = 576};
	int fd = memfd_create("run", 0);
	struct error e;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	vcpu = vcpu_create(fd, 7, &caps, &env, &e);
	ck_assert_ptr_nonnull(vcpu);
	/* One that has no thread yet is parked. */
	vcpu_park(vcpu);
	vcpu_wait_parked(vcpu);
	thread_set_machine("box");
	ck_assert_int_eq(vcpu_launch(vcpu, &e), 0);
	ends = 0;
	atomic_store(&runs, 0);
	atomic_store(&fails, false);
}

static void tear_down(void)
{
	vcpu_destroy(vcpu);
	munmap(page, 4096);
}

static void start(void)
{
	vcpu_start(vcpu);
}

static void park(void)
{
	vcpu_park(vcpu);
	vcpu_wait_parked(vcpu);
}

START_TEST(parked_is_still)
{
	unsigned int before;

	/* Nor does one run that was only launched. */
	park();
	ck_assert_uint_eq(atomic_load(&runs), 0);
	for (unsigned int i = 0; i < 20; i++) {
		start();
		before = atomic_load(&runs);
		while (atomic_load(&runs) == before)
			usleep(100);
		park();
		before = atomic_load(&runs);
		usleep(1000);
		ck_assert_uint_eq(atomic_load(&runs), before);
	}
}
END_TEST

/* Whose it is can be seen on the host. */
START_TEST(thread_is_named)
{
	unsigned int found = 0;
	glob_t tasks;

	/* It has begun. */
	start();
	while (!atomic_load(&runs))
		usleep(100);
	park();
	ck_assert_int_eq(glob("/proc/self/task/*/comm", 0, NULL, &tasks), 0);
	for (size_t i = 0; i < tasks.gl_pathc; i++) {
		FILE *file = fopen(tasks.gl_pathv[i], "r");
		char name[32];

		ck_assert_ptr_nonnull(file);
		found += fgets(name, sizeof(name), file) && !strcmp(name, "vcpu7 box\n");
		fclose(file);
	}
	globfree(&tasks);
	ck_assert_uint_eq(found, 1);
}
END_TEST

/* It need not have noticed that it was to run. */
START_TEST(started_and_parked_at_once)
{
	for (unsigned int i = 0; i < 5000; i++) {
		start();
		park();
	}
}
END_TEST

/* One that ended the machine waits by itself, and goes on after a reset. */
START_TEST(goes_on_after_an_end)
{
	for (unsigned int i = 1; i <= 3; i++) {
		atomic_store(&fails, true);
		start();
		vcpu_wait_parked(vcpu);
		ck_assert_uint_eq(ends, i);
		atomic_store(&fails, false);
		atomic_store(&runs, 0);
		start();
		while (!atomic_load(&runs))
			usleep(100);
		park();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vcpu");
	TCase *t = tcase_create("vcpu");

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, parked_is_still);
	tcase_add_test(t, thread_is_named);
	tcase_add_test(t, started_and_parked_at_once);
	tcase_add_test(t, goes_on_after_an_end);
	suite_add_tcase(s, t);
	return suite_run(s);
}
