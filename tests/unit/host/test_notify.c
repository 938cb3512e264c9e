// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/host/notify.c: one datagram to the service manager, or none. */
#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/notify.h"
#include "suite.h"

/* Receive on the address that $NOTIFY_SOCKET names; '@' is the abstract namespace. */
static int listen_at(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t len = strlen(name);

	memcpy(addr.sun_path, name, len);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	ck_assert_int_eq(
		bind(fd, (struct sockaddr *)&addr, offsetof(struct sockaddr_un, sun_path) + len),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void expect_ready(int fd)
{
	char text[32] = "";

	ck_assert_int_eq(notify_send("READY=1"), 0);
	ck_assert_int_eq(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 7);
	ck_assert_str_eq(text, "READY=1");
}

START_TEST(test_nobody_asked)
{
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_send("READY=1"), 0);
}
END_TEST

START_TEST(test_path)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/tmp/test_notify.%d", getpid());
	fd = listen_at(name);
	expect_ready(fd);
	/* With nothing on standard input its number is as good as any, and free again afterwards. */
	close(STDIN_FILENO);
	expect_ready(fd);
	ck_assert_int_eq(dup(fd), STDIN_FILENO);
	close(fd);
	unlink(name);
	close(STDIN_FILENO);
	ck_assert_int_eq(notify_send("READY=1"), -ENOENT);
}
END_TEST

START_TEST(test_abstract)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@test_notify.%d", getpid());
	fd = listen_at(name);
	expect_ready(fd);
	close(fd);
	ck_assert_int_eq(notify_send("READY=1"), -ECONNREFUSED);
}
END_TEST

START_TEST(test_bad_addresses)
{
	char longer[200];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "", 1);
	ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
	/* The longest and the shortest that a socket may have, and nobody there; one more is too long. */
	longer[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
	longer[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	ck_assert_int_eq(notify_send("READY=1"), -ENOENT);
	setenv("NOTIFY_SOCKET", "@-", 1);
	ck_assert_int_eq(notify_send("READY=1"), -ECONNREFUSED);
	setenv("NOTIFY_SOCKET", "relative", 1);
	ck_assert_int_eq(notify_send("READY=1"), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");

	tcase_add_test(tc, test_nobody_asked);
	tcase_add_test(tc, test_path);
	tcase_add_test(tc, test_abstract);
	tcase_add_test(tc, test_bad_addresses);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
