// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that have the console's output (vmm/chardev/file.c): others have them, too; they are full; they rotate. */
#define _GNU_SOURCE
#include <fcntl.h>

#include "block/file.h"
#include "console_bench.h"

static void await_size(off_t want)
{
	for (int ms = 0; ms < 10000 && size() != want; ms++)
		usleep(1000);
	ck_assert_int_eq(size(), want);
}

START_TEST(file_is_truncated)
{
	struct stat st;
	struct error e;
	char buf[64];
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(write(fd, "old contents", 12), 12);
	/* Not before there is a machine that will write something else. */
	open_kind("file");
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 12);
	close(fd);
	ck_assert_int_eq(console_begin(console, &e), 0);
	say("new");
	await_size(3);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
	say(" words");
	/* What is still in the ring is written at the end. */
	stop();
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 6);
	ck_assert_mem_eq(buf, " words", 6);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 9);
	close(fd);
}
END_TEST

/* Others have the file, too: what they take out of it stays out, what they add is kept. */
START_TEST(file_is_shared)
{
	char buf[64];
	int fd;

	open_kind("file");
	say("first");
	await_size(5);
	ck_assert_int_eq(truncate(path, 0), 0);
	say("second");
	await_size(6);
	fd = open(path, O_RDWR | O_APPEND);
	ck_assert_int_eq(write(fd, " and", 4), 4);
	say(" third");
	stop();
	ck_assert_int_eq(pread(fd, buf, sizeof(buf), 0), 16);
	ck_assert_mem_eq(buf, "second and third", 16);
	close(fd);
}
END_TEST

static void limit_size(rlim_t size)
{
	struct rlimit r;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = size == RLIM_INFINITY ? r.rlim_max : size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* No room: the newest waits, the loss is told where it is, and all goes on when there is room. */
START_TEST(file_is_full)
{
	static char buf[200000];
	char *lost, *behind;
	unsigned long long count;
	ssize_t n;
	int fd;

	signal(SIGXFSZ, SIG_IGN);
	open_kind("file");
	limit_size(20000);
	for (int i = 0; i < 20100; i++)
		console_put(console, 'a');
	await_size(20000);
	for (int i = 0; i < 100000; i++)
		console_put(console, 'b');
	/* It is not tried all the time. */
	idle_for_a_while();
	limit_size(RLIM_INFINITY);
	/* What the ring holds; the newest last. */
	for (int ms = 0; ms < 10000 && size() < 20000 + 65536; ms++)
		usleep(1000);
	say("room again");
	stop();
	fd = open(path, O_RDONLY);
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	ck_assert_int_gt(n, 0);
	ck_assert_uint_eq(strspn(buf, "a"), 20000);
	ck_assert_str_eq(buf + n - 10, "room again");
	lost = strstr(buf, "\r\n[console: ");
	ck_assert_ptr_nonnull(lost);
	ck_assert_int_eq(sscanf(lost, "\r\n[console: %llu bytes", &count), 1);
	behind = strstr(lost, "lost]\r\n") + 7;
	ck_assert_uint_eq((unsigned long long)n - (behind - lost) + count, 20100 + 100000 + 10);
}
END_TEST

/* It ends so: that is said, and does not take long. */
START_TEST(file_stays_full)
{
	char said[300] = "";
	int fds[2];

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	open_kind("file");
	limit_size(50000);
	for (int i = 0; i < 50500; i++)
		console_put(console, 'a');
	await_size(50000);
	stop();
	limit_size(RLIM_INFINITY);
	ck_assert_int_gt(read(fds[0], said, sizeof(said) - 1), 0);
	ck_assert_msg(strstr(said, "the last 500 bytes of output are lost") != NULL, "%s", said);
}
END_TEST

/* What a file of 4096 bytes and two of 4096 older ones hold, and what was there before. */
START_TEST(file_rotates)
{
	struct console_where where = {
		.kind = CONSOLE_FILE, .path = path, .rotate = 4096, .keep = 2};
	char buf[4097];
	struct error e;
	int fd = open(path, O_CREAT | O_WRONLY, 0640);
	struct stat st;

	ck_assert_int_eq(write(fd, "an earlier machine", 18), 18);
	close(fd);
	console = console_open(loop, &e);
	ck_assert_int_eq(console_add(console, &where, &e), 0);
	ck_assert_int_eq(size(), 18);
	ck_assert_int_eq(console_begin(console, &e), 0);
	ck_assert_int_eq(size(), 0);
	ck_assert_int_eq(size_of(path_and(".1")), 18);
	run_console();
	for (int i = 0; i < 4096 * 2 + 100; i++)
		console_put(console, 'a' + i / 4096);
	await_size(100);
	ck_assert_int_eq(size_of(path_and(".1")), 4096);
	ck_assert_int_eq(size_of(path_and(".2")), 4096);
	ck_assert_int_eq(size_of(path_and(".3")), -1);
	/* The new one is as locked, and as readable to others, as the first was. */
	snprintf(spec, sizeof(spec), "file=%s", path);
	expect_refused(spec, "in use");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	fd = open(path_and(".1"), O_RDONLY);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 4096);
	ck_assert_int_eq(buf[0], 'b');
	ck_assert_int_eq(buf[4095], 'b');
	close(fd);
	/* One that somebody moved away himself stays where he put it. */
	ck_assert_int_eq(rename(path, path_and(".log")), 0);
	for (int i = 0; i < 4096; i++)
		console_put(console, 'd');
	for (int ms = 0; ms < 10000 && size() != 100; ms++)
		usleep(1000);
	ck_assert_int_eq(size(), 100);
	ck_assert_int_eq(size_of(path_and(".log")), 4096);
	ck_assert_int_eq(size_of(path_and(".1")), 4096);
	/* A directory in the way: it grows, and nothing is lost. */
	unlink(path_and(".1"));
	ck_assert_int_eq(mkdir(path_and(".1"), 0700), 0);
	for (int i = 0; i < 10000; i++)
		console_put(console, 'e');
	await_size(10100);
	stop();
	rmdir(path_and(".1"));
}
END_TEST

START_TEST(only_files_rotate)
{
	struct console_where where = {
		.kind = CONSOLE_FILE, .path = "/dev/null", .rotate = 4096, .keep = 1};
	struct error e;

	console = console_open(loop, &e);
	ck_assert_int_lt(console_add(console, &where, &e), 0);
	ck_assert_msg(strstr(e.text, "plain file") != NULL, "%s", e.text);
	console_close(console);
}
END_TEST

/* A second machine, and the disk of one: nothing that is written there is lost. */
START_TEST(file_in_use)
{
	struct block_config disk = {.path = path};
	struct block *block;
	struct error e;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(ftruncate(fd, BLOCK_SECTOR), 0);
	close(fd);
	open_kind("file");
	expect_refused(spec, "in use");
	ck_assert_ptr_null(block_open(&disk, &e));
	ck_assert_msg(strstr(e.text, "in use") != NULL, "%s", e.text);
	stop();

	block = block_open(&disk, &e);
	ck_assert_ptr_nonnull(block);
	expect_refused(spec, "in use");
	block_close(block);
}
END_TEST

/* What is no regular file is neither locked nor truncated. */
START_TEST(file_is_a_device)
{
	struct error e;

	open_spec("file=/dev/null");
	ck_assert_int_eq(console_begin(console, &e), 0);
	say("gone");
	stop();
	open_spec("none");
	ck_assert_int_eq(console_begin(console, &e), 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("console_file");
	TCase *t = tcase_create("file");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, file_is_truncated);
	tcase_add_test(t, file_is_shared);
	tcase_add_test(t, file_is_full);
	tcase_add_test(t, file_stays_full);
	tcase_add_test(t, file_rotates);
	tcase_add_test(t, only_files_rotate);
	tcase_add_test(t, file_in_use);
	tcase_add_test(t, file_is_a_device);
	suite_add_tcase(s, t);
	return suite_run(s);
}
