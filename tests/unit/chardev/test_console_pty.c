// SPDX-License-Identifier: GPL-2.0-or-later
/* The console on a pseudo-terminal (vmm/chardev/pty.c). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "console_bench.h"

START_TEST(pty_both_ways)
{
	char name[64] = "";
	struct termios t;
	int fd;

	open_kind("pty");
	ck_assert_int_gt(readlink(path, name, sizeof(name) - 1), 0);
	ck_assert_int_eq(strncmp(name, "/dev/pts/", 9), 0);
	/* Nobody is there yet: that is no busy loop, and he gets what was before. */
	say("early ");
	idle_for_a_while();
	fd = open(path, O_RDWR | O_NOCTTY);
	ck_assert_int_ge(fd, 0);
	/* No echo of what the guest says, into its own input. */
	ck_assert_int_eq(tcgetattr(fd, &t), 0);
	ck_assert(!(t.c_lflag & (ECHO | ICANON)));
	say("late\n");
	expect(fd, "early late\n");
	ck_assert_int_eq(write(fd, "a\001xb\003", 5), 5);
	expect_input("a\001xb\003");
	ck_assert_uint_eq(quits, 0);
	/* One leaves, another comes. */
	close(fd);
	idle_for_a_while();
	fd = open(name, O_RDWR | O_NOCTTY);
	say("again");
	expect(fd, "again");
	close(fd);
	stop();
	ck_assert_int_eq(readlink(path, name, sizeof(name)), -1);
}
END_TEST

/* The machine has ended: what was not read yet goes with the terminal, so it is waited for. */
START_TEST(pty_at_the_end)
{
	int fd, unread = 0;

	open_kind("pty");
	fd = open(path, O_RDWR | O_NOCTTY);
	say("last words");
	for (int ms = 0; ms < 10000 && unread < 10; ms++) {
		usleep(1000);
		ioctl(fd, FIONREAD, &unread);
	}
	loop_stop(loop);
	pthread_join(thread, NULL);
	ck_assert(console_finish(console, on_socket_finish, NULL));
	expect(fd, "last words");
	ck_assert(!console_finish(console, on_socket_finish, NULL));
	console_close(console);
	close(fd);
}
END_TEST

START_TEST(pty_unread)
{
	open_spec("pty");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	idle_for_a_while();
	stop();
}
END_TEST

START_TEST(pty_link_in_the_way)
{
	char name[64] = "";

	/* Another's file, and a link to a terminal that is there, are let be. */
	snprintf(spec, sizeof(spec), "pty=%s", path);
	ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	expect_refused(spec, "cannot make the link");
	ck_assert_int_eq(size(), 0);
	unlink(path);
	ck_assert_int_eq(symlink("/dev/pts/ptmx", path), 0);
	expect_refused(spec, "cannot make the link");
	unlink(path);
	/* One that was left behind is not. */
	ck_assert_int_eq(symlink("/dev/pts/987654", path), 0);
	open_spec(spec);
	/* What others put in its place is not removed. */
	unlink(path);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	stop();
	ck_assert_int_eq(readlink(path, name, sizeof(name)), 9);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console_pty");
	TCase *t = tcase_create("pty");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, pty_both_ways);
	tcase_add_test(t, pty_at_the_end);
	tcase_add_test(t, pty_unread);
	tcase_add_test(t, pty_link_in_the_way);
	suite_add_tcase(s, t);
	return suite_run(s);
}
