// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/cmd/logs.c: what a guest wrote, as it is to a file, and without its orders to a terminal. */
#define _GNU_SOURCE /* pseudo-terminals */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "../control/fake_monitor.h"
#include "cmd/cmd.h"
#include "suite.h"

#define END "\033[m" /* of all colours */

static char got[65536];
static size_t got_len;

/* Words of a guest, of a machine that has ended. */
static void write_log(const char *text, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/m", fake_base);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/m/console.log", fake_base);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, text, len), len);
	close(fd);
}

/* The reader of the terminal. */
static void *read_all(void *arg)
{
	ssize_t n;

	got_len = 0;
	while ((n = read(*(int *)arg, got + got_len, sizeof(got) - 1 - got_len)) > 0)
		got_len += (size_t)n;
	got[got_len] = '\0';
	return NULL;
}

/* What "vmm logs m" prints with out as standard output is in got, read from in. */
static void print_logs(int out, int in)
{
	char *argv[] = {(char *)"logs", (char *)"m", NULL};
	int old = dup(STDOUT_FILENO), status;
	pthread_t reader;

	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	pthread_create(&reader, NULL, read_all, &in);
	status = cmd_logs(2, argv);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	pthread_join(reader, NULL);
	close(in);
	ck_assert_int_eq(status, STATUS_OK);
}

static void print_on_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct termios t;

	ck_assert(!grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_eq(tcgetattr(slave, &t), 0);
	cfmakeraw(&t);
	tcsetattr(slave, TCSANOW, &t);
	print_logs(slave, master);
}

static void expect(const char *said, size_t len, const char *shown)
{
	write_log(said, len);
	print_on_terminal();
	ck_assert_str_eq(got, shown);
	ck_assert_uint_eq(got_len, strlen(shown));
}

#define EXPECT(said, shown) expect(said, sizeof(said) - 1, shown END)

START_TEST(test_terminal)
{
	EXPECT("a line\r\n\tanother\b\n", "a line\r\n\tanother\b\n");
	EXPECT("\033[1;32mgreen\033[0m", "\033[1;32mgreen\033[0m");
	/* A title; what the terminal would answer; the same in eight bits; bells and ends of strings. */
	EXPECT("\033]0;title\a", "?]0;title?");
	EXPECT("\033[6n\033[c\033[m", "?[6n?[c\033[m");
	EXPECT("\xc2\x9b"
	       "6n \xc3\xa4",
	       "?6n \xc3\xa4");
	EXPECT("\0\x7f\033", "???");
	EXPECT("\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx", "?[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mx");
	EXPECT("", "");
}
END_TEST

/* Whatever is where one read ends and the next begins. */
START_TEST(test_long)
{
	static const char piece[] = "\033[31mred\033[0m\xc2\x9b";
	static char said[40000], shown[40000];
	size_t len = 0, expected = 0;

	while (len < sizeof(said) - sizeof(piece)) {
		len += (size_t)sprintf(said + len, "%s", piece);
		expected += (size_t)sprintf(shown + expected, "\033[31mred\033[0m?");
	}
	strcpy(shown + expected, END);
	expect(said, len, shown);
}
END_TEST

START_TEST(test_pipe)
{
	static const char said[] = "\033]0;title\a\0\xc2\x9b";
	int fd[2];

	write_log(said, sizeof(said) - 1);
	ck_assert_int_eq(pipe(fd), 0);
	print_logs(fd[1], fd[0]);
	ck_assert_uint_eq(got_len, sizeof(said) - 1);
	ck_assert_mem_eq(got, said, got_len);
}
END_TEST

START_TEST(test_usage)
{
	char *none[] = {(char *)"logs", NULL}, *stranger[] = {(char *)"logs", (char *)"n", NULL};

	ck_assert_int_eq(cmd_logs(1, none), STATUS_USAGE);
	ck_assert_int_eq(cmd_logs(2, stranger), VERB_NO_MACHINE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logs");
	TCase *tc = tcase_create("logs");

	tcase_add_checked_fixture(tc, fake_set_up, fake_tear_down);
	tcase_add_test(tc, test_terminal);
	tcase_add_test(tc, test_long);
	tcase_add_test(tc, test_pipe);
	tcase_add_test(tc, test_usage);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
