// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/log.c: what reaches standard error, and what a guest can make of it. */
#define _GNU_SOURCE /* pseudo-terminals */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "log.h"
#include "suite.h"

static int out, saved;

/* Standard error becomes a pipe, which says what was written. */
static void setup(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	out = fds[0];
}

static void teardown(void)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(out);
	log_set_verbose(false);
}

/* All that was written so far. */
static const char *text(void)
{
	static char buf[65536];
	ssize_t n;

	dup2(saved, STDERR_FILENO);
	n = read(out, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

START_TEST(test_one_line)
{
	log_error("disk '%s' has %d errors", "a", 3);
	ck_assert_str_eq(text(), "vmm: disk 'a' has 3 errors\n");
}
END_TEST

/* Of many machines' messages in one place, whose each is; and a line still ends as a line. */
START_TEST(test_name)
{
	char name[100], expected[128], many[2000];
	const char *all;

	memset(name, 'n', sizeof(name));
	name[99] = '\0';
	log_set_name("web");
	log_error("one");
	log_set_name(name);
	log_error("two");
	memset(many, 'x', sizeof(many));
	many[1999] = '\0';
	log_error("%s", many);
	all = text();
	snprintf(expected, sizeof(expected), "vmm: web: one\nvmm: %.63s: two\nvmm: nnn", name);
	ck_assert_msg(!strncmp(all, expected, strlen(expected)), "%s", all);
	ck_assert_uint_eq(strlen(all), strlen(expected) - 8 + 1023);
	ck_assert_int_eq(all[strlen(all) - 1], '\n');
}
END_TEST

START_TEST(test_limit)
{
	log_set_limit(16);
	log_error("one");
	log_error("two");
	log_error("three");
	log_error("4");
	log_set_limit(UINT64_MAX);
	log_error("five");
	ck_assert_str_eq(text(), "vmm: one\nvmm: no more messages are kept here\nvmm: five\n");
}
END_TEST

/* On a terminal in raw mode the line ends by itself. */
START_TEST(test_raw_terminal)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	char line[64] = "";
	struct termios t;

	ck_assert(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &t), 0);
	dup2(slave, STDERR_FILENO);
	log_error("raw");
	ck_assert_int_eq(read(master, line, sizeof(line) - 1), 10);
	ck_assert_str_eq(line, "vmm: raw\r\n");
	close(slave);
	close(master);
}
END_TEST

START_TEST(test_no_escape_sequences)
{
	log_info("%s", "a\x1b[2Jb\nc\rd\x7f \xc3\xa4");
	ck_assert_str_eq(text(), "vmm: a?[2Jb?c?d? \xc3\xa4\n");
}
END_TEST

/* U+009B is ESC [ in one character. U+00A0 is none of those, nor is what was cut off. */
START_TEST(test_no_control_characters)
{
	log_info("%s", "a\xc2\x9b"
		       "2Jb \xc2\xa0\xc2");
	ck_assert_str_eq(text(), "vmm: a??2Jb \xc2\xa0\xc2\n");
}
END_TEST

START_TEST(test_long_messages_are_cut)
{
	char longer[5000];
	const char *line;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_error("%s", longer);
	line = text();
	ck_assert_uint_le(strlen(line), 1024);
	ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
}
END_TEST

/* A reader that has stopped costs a message, not the machine. */
START_TEST(test_full_pipe)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	char page[4096] = "";

	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, page, sizeof(page)) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, flags);
	log_set_verbose(true);
	log_guest("lost");
	log_error("lost");
	ck_assert_ptr_null(strstr(text(), "lost"));
}
END_TEST

START_TEST(test_guest_lines_need_verbose)
{
	log_guest("quiet");
	log_set_verbose(true);
	log_guest("loud");
	ck_assert_str_eq(text(), "vmm: loud\n");
}
END_TEST

START_TEST(test_guest_lines_are_limited)
{
	unsigned int lines = 0;
	const char *s;

	log_set_verbose(true);
	for (int i = 0; i < 1000; i++)
		log_guest("line");
	/* Ten a second; the thousand may have taken more than one. */
	for (s = text(); (s = strchr(s, '\n')); s++)
		lines++;
	ck_assert_uint_ge(lines, 10);
	ck_assert_uint_le(lines, 100);
}
END_TEST

START_TEST(test_guest_lines_go_on)
{
	log_set_verbose(true);
	for (int i = 0; i < 1000; i++)
		log_guest("line");
	usleep(1100000);
	log_guest("later");
	ck_assert_ptr_nonnull(strstr(text(), "later"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_name);
	tcase_add_test(tc, test_one_line);
	tcase_add_test(tc, test_limit);
	tcase_add_test(tc, test_raw_terminal);
	tcase_add_test(tc, test_no_escape_sequences);
	tcase_add_test(tc, test_no_control_characters);
	tcase_add_test(tc, test_long_messages_are_cut);
	tcase_add_test(tc, test_full_pipe);
	tcase_add_test(tc, test_guest_lines_need_verbose);
	tcase_add_test(tc, test_guest_lines_are_limited);
	tcase_add_test(tc, test_guest_lines_go_on);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
