// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/sandbox/listener.c: sockets of our own, of the dead, and of others. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sandbox/listener.h"
#include "suite.h"

static char dir[64], path[96];
static struct listener listener;

static void set_up(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_listener.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
}

static void tear_down(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* 0 or an errno. */
static int try_to_connect(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;
	close(fd);
	return err;
}

START_TEST(test_open_and_close)
{
	struct stat st;

	ck_assert_int_eq(listener_open(&listener, path, 4), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
	ck_assert(fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(try_to_connect(), 0);
	listener_close(&listener);
	ck_assert_int_eq(try_to_connect(), ENOENT);
	ck_assert_int_eq(listener.fd, -1);
	ck_assert_ptr_null(place_first);
}
END_TEST

START_TEST(test_somebody_listens)
{
	struct listener second;

	ck_assert_int_eq(listener_open(&listener, path, 4), 0);
	ck_assert_int_eq(listener_open(&second, path, 4), -EADDRINUSE);
	ck_assert_int_eq(try_to_connect(), 0);
	listener_close(&listener);
}
END_TEST

START_TEST(test_left_by_the_dead)
{
	int fd = listener_bind(path, 4);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(try_to_connect(), ECONNREFUSED);
	ck_assert_int_eq(listener_open(&listener, path, 4), 0);
	ck_assert_int_eq(try_to_connect(), 0);
	listener_close(&listener);
}
END_TEST

START_TEST(test_no_socket)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	close(fd);
	ck_assert_int_eq(listener_open(&listener, path, 4), -EADDRINUSE);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_ptr_null(place_first);
}
END_TEST

/* What somebody put there in the meantime is his. */
START_TEST(test_replaced)
{
	int fd;

	ck_assert_int_eq(listener_open(&listener, path, 4), 0);
	ck_assert_int_eq(unlink(path), 0);
	fd = listener_bind(path, 4);
	ck_assert_int_ge(fd, 0);
	listener_close(&listener);
	ck_assert_int_eq(try_to_connect(), 0);
	close(fd);
}
END_TEST

START_TEST(test_bad_paths)
{
	char longest[200];

	memset(longest, 'x', sizeof(longest));
	longest[LISTENER_MAX_PATH + 1] = '\0';
	ck_assert_int_eq(listener_open(&listener, longest, 4), -ENAMETOOLONG);
	ck_assert_int_eq(listener_open(&listener, "/nonexistent/s", 4), -ENOENT);
	ck_assert_int_eq(listener_open(&listener, "/tmp/", 4), -EINVAL);
	ck_assert_int_eq(listener_open(&listener, "", 4), -EINVAL);
	ck_assert_ptr_null(place_first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listener");
	TCase *tc = tcase_create("listener");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_open_and_close);
	tcase_add_test(tc, test_somebody_listens);
	tcase_add_test(tc, test_left_by_the_dead);
	tcase_add_test(tc, test_no_socket);
	tcase_add_test(tc, test_replaced);
	tcase_add_test(tc, test_bad_paths);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
