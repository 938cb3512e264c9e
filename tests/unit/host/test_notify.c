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

static void expect(int fd, const char *wanted)
{
	char text[128] = "";

	ck_assert_int_eq(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), strlen(wanted));
	ck_assert_str_eq(text, wanted);
}

static void expect_ready(int fd)
{
	ck_assert_int_eq(notify_send("READY=1"), 0);
	expect(fd, "READY=1");
}

START_TEST(test_nobody_asked)
{
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(notify_open(), 0);
	ck_assert_int_eq(notify_send("READY=1"), 0);
}
END_TEST

/* What is connected stays so when the name is gone, and the process cannot make sockets any more. */
START_TEST(test_path)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/tmp/test_notify.%d", getpid());
	fd = listen_at(name);
	/* With nothing on standard input its number is as good as any. */
	close(STDIN_FILENO);
	ck_assert_int_eq(notify_open(), 0);
	ck_assert_int_ne(dup(fd), STDIN_FILENO);
	expect_ready(fd);
	unlink(name);
	expect_ready(fd);
	close(fd);
	/* Its copy. */
	close(fd + 1);
	ck_assert_int_eq(notify_open(), -ENOENT);
}
END_TEST

START_TEST(test_abstract)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@test_notify.%d", getpid());
	fd = listen_at(name);
	ck_assert_int_eq(notify_open(), 0);
	expect_ready(fd);
	close(fd);
	ck_assert_int_eq(notify_send("READY=1"), -ECONNREFUSED);
	ck_assert_int_eq(notify_open(), -ECONNREFUSED);
}
END_TEST

/* One that reads nothing does not have us wait for ever. */
START_TEST(test_silent)
{
	int fd = listen_at("@test_notify_silent"), ret;

	ck_assert_int_eq(notify_open(), 0);
	do {
		ret = notify_send("WATCHDOG=1");
	} while (!ret);
	ck_assert_int_eq(ret, -EAGAIN);
	close(fd);
}
END_TEST

static void expect_error(const char *address, int err)
{
	setenv("NOTIFY_SOCKET", address, 1);
	ck_assert_int_eq(notify_open(), -err);
	/* It was said once. */
	ck_assert_int_eq(notify_send("READY=1"), 0);
}

START_TEST(test_bad_addresses)
{
	char longer[200];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	expect_error(longer, EINVAL);
	expect_error("", EINVAL);
	expect_error("@", EINVAL);
	/* The longest and the shortest that a socket may have, and nobody there; one more is too long. */
	longer[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	expect_error(longer, EINVAL);
	longer[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
	expect_error(longer, ENOENT);
	expect_error("@-", ECONNREFUSED);
	expect_error("relative", EINVAL);
}
END_TEST

/* The longest time that can be asked for, too. */
START_TEST(test_stopping)
{
	int fd = listen_at("@test_notify_stopping");

	ck_assert_int_eq(notify_open(), 0);
	ck_assert_int_eq(notify_stopping(60), 0);
	expect(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000");
	ck_assert_int_eq(notify_stopping((uint64_t)INT32_MAX + 30), 0);
	expect(fd, "STOPPING=1\nEXTEND_TIMEOUT_USEC=2147483677000000");
	close(fd);
}
END_TEST

START_TEST(test_watchdog)
{
	static const struct {
		const char *usec;
		uint64_t ns;
	} cases[] = {
		{"30000000", 15000000000ULL},
		{"0", 0},
		{"", 0},
		{"-1", 0},
		{"3s", 0},
		{"18446744073709551615", 0},
		{"99999999999999999999", 0},
	};
	char pid[32];
	int fd;

	/* Nobody is there who would miss it. */
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_uint_eq(notify_watchdog(), 0);
	fd = listen_at("@test_notify_watchdog");
	ck_assert_int_eq(notify_open(), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("WATCHDOG_USEC", cases[i].usec, 1);
		ck_assert_uint_eq(notify_watchdog(), cases[i].ns);
	}
	setenv("WATCHDOG_USEC", "2", 1);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	ck_assert_uint_eq(notify_watchdog(), 1000);
	setenv("WATCHDOG_PID", "1", 1);
	ck_assert_uint_eq(notify_watchdog(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	ck_assert_uint_eq(notify_watchdog(), 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");

	tcase_add_test(tc, test_watchdog);
	tcase_add_test(tc, test_stopping);
	tcase_add_test(tc, test_nobody_asked);
	tcase_add_test(tc, test_path);
	tcase_add_test(tc, test_abstract);
	tcase_add_test(tc, test_silent);
	tcase_add_test(tc, test_bad_addresses);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
