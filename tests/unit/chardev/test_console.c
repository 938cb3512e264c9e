// SPDX-License-Identifier: GPL-2.0-or-later
/* The console as a whole (vmm/chardev/console.c, ring.c): what it refuses, bytes that nobody reads, several places at once. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "chardev/terminal.h"
#include "console_bench.h"

START_TEST(bad_specs)
{
	expect_refused("file=/nonexistent/x", "/nonexistent/x");
	expect_refused("file=/nonexistent/x", "directory first");
	expect_refused("file=/tmp", "/tmp");
	expect_refused("unix=/nonexistent/x", "/nonexistent/x");
	expect_refused("unix=/nonexistent/x", "directory first");
	expect_refused("unix=/tmp/12345678901234567890123456789012345678901234567890"
		       "12345678901234567890123456789012345678901234567890123456789",
		       "107 characters");
	console_close(NULL);
	terminal_restore();
}
END_TEST

START_TEST(none)
{
	open_spec("none");
	for (int i = 0; i < 200000; i++)
		console_put(console, 'x');
	stop();
}
END_TEST

START_TEST(pipe_without_reader)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(spec, sizeof(spec), "file=%s", path);
	expect_refused(spec, "reader");
}
END_TEST

/* The reader stops reading: puts go on, the newest bytes survive, the loss is told. */
START_TEST(stalled_reader)
{
	static const char marker[] = "\r\n[console: ";
	char buf[262144], *lost;
	unsigned long long count, accounted;
	size_t total = 0;
	int fd, losses = 0;
	ssize_t n;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	open_kind("file");
	for (int i = 0; i < 50000; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%05d\r\n", i);
		say(text);
	}
	while (total < 7 || memcmp(buf + total - 7, "49999\r\n", 7) != 0) {
		n = read(fd, buf + total, sizeof(buf) - 1 - total);
		if (n > 0)
			total += (size_t)n;
		else
			usleep(1000);
	}
	buf[total] = 0;
	ck_assert_uint_lt(total, 350000);
	accounted = total;
	/*
	 * What came, without the markers, and what was lost make up all there was. A writer that the
	 * scheduler holds up can lose more than once, from the first byte on.
	 */
	for (lost = strstr(buf, marker); lost; lost = strstr(lost, marker)) {
		char *behind = strstr(lost, "lost]\r\n");

		ck_assert_ptr_nonnull(behind);
		ck_assert_int_eq(
			sscanf(lost + strlen(marker), "%llu bytes of output lost]", &count), 1);
		behind += strlen("lost]\r\n");
		accounted += count - (unsigned long long)(behind - lost);
		lost = behind;
		losses++;
	}
	ck_assert_int_gt(losses, 0);
	ck_assert_uint_eq(accounted, 350000);
	close(fd);
	/* The reader left: that ends the output, nothing else. */
	say("nobody");
	usleep(20000);
	say("hears");
	stop();
}
END_TEST

/* A reader that stands still loses what is its own; the file beside it has all. */
START_TEST(several_at_once)
{
	static char buf[300000];
	unsigned long long count, accounted = 0, told = 0;
	struct error e;
	ssize_t n;
	int fd;

	snprintf(spec, sizeof(spec), "unix=%s", path);
	console = open_console(spec, loop, &e);
	ck_assert_ptr_nonnull(console);
	snprintf(spec, sizeof(spec), "file=%s", path_and(".log"));
	ck_assert_int_eq(add_spec(console, spec, &e), 0);
	run_console();
	fd = connect_client();
	for (int i = 0; i < 600; i++) {
		for (int j = 0; j < 1000; j++)
			console_put(console, 'x');
		for (int ms = 0; ms < 10000 && size_of(path_and(".log")) < (i + 1) * 1000; ms++)
			usleep(1000);
	}
	ck_assert_int_eq(size_of(path_and(".log")), 600000);
	say("end");
	while (!memmem(buf, accounted, "end", 3)) {
		n = read(fd, buf + accounted, sizeof(buf) - accounted);
		ck_assert_int_gt(n, 0);
		accounted += (unsigned long long)n;
	}
	for (char *lost = buf; (lost = memmem(lost, buf + accounted - lost, "[console: ", 10));) {
		ck_assert_int_eq(sscanf(lost, "[console: %llu bytes", &count), 1);
		told += count;
		accounted -= (unsigned long long)(strchr(lost, '\n') + 1 - lost) + 2;
		lost++;
	}
	ck_assert_uint_eq(accounted + told, 600003);
	/* Input is from the one that has some. */
	ck_assert_int_eq(write(fd, "typed", 5), 5);
	expect_input("typed");
	close(fd);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console");
	TCase *t = tcase_create("console");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, bad_specs);
	tcase_add_test(t, none);
	tcase_add_test(t, pipe_without_reader);
	tcase_add_test(t, stalled_reader);
	tcase_add_test(t, several_at_once);
	suite_add_tcase(s, t);
	return suite_run(s);
}
