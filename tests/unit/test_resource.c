// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of what the user names: paths, and descriptors that were left open. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "block/file.h"
#include "boot/file.h"
#include "resource.h"
#include "suite.h"

/* As a caller leaves one open, for exec. */
static int inherited(int access)
{
	char path[32];
	int fd = memfd_create("inherited", 0), other;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, access);
	close(fd);
	return other;
}

static const char *name_of(int fd)
{
	static char name[32];

	snprintf(name, sizeof(name), "fd=%d", fd);
	return name;
}

START_TEST(moved)
{
	int fd = inherited(O_RDWR), own;
	struct stat before, after;

	ck_assert_int_eq(fstat(fd, &before), 0);
	own = resource_open(name_of(fd), O_RDONLY, 0);
	ck_assert_int_ge(own, 0);
	ck_assert_int_ne(own, fd);
	ck_assert_int_eq(fstat(own, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(fcntl(own, F_GETFD), FD_CLOEXEC);
	/* Once. */
	ck_assert_int_eq(resource_open(name_of(fd), O_RDONLY, 0), -1);
	ck_assert_int_eq(errno, EBADF);
	/* Nor is one of our own somebody else's. */
	ck_assert_int_eq(resource_open(name_of(own), O_RDONLY, 0), -1);
	ck_assert_int_eq(errno, EBADF);
	close(own);
}
END_TEST

START_TEST(not_inherited)
{
	static const char *const names[] = {
		"fd=",	 "fd=-1",  "fd=x",	    "fd=7x",
		"fd= 7", "fd=999", "fd=4294967299", "fd=99999999999999999999"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		errno = 0;
		ck_assert_int_eq(resource_open(names[i], O_RDONLY, 0), -1);
		ck_assert_int_eq(errno, EBADF);
	}
	for (int fd = 0; fd <= 2; fd++)
		ck_assert_int_eq(resource_open(name_of(fd), O_RDONLY, 0), -1);
	ck_assert_int_ge(fcntl(1, F_GETFD), 0);
}
END_TEST

START_TEST(access_mode)
{
	int fd = inherited(O_RDONLY);

	ck_assert_int_eq(resource_open(name_of(fd), O_RDWR, 0), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(resource_open(name_of(fd), O_WRONLY, 0), -1);
	ck_assert_int_eq(errno, EACCES);
	close(fd);
	fd = open("/tmp", O_PATH);
	ck_assert_int_eq(resource_open(name_of(fd), O_RDONLY, 0), -1);
	ck_assert_int_eq(errno, EACCES);
	close(fd);
}
END_TEST

START_TEST(flags)
{
	int fd = inherited(O_RDWR);
	int own = resource_open(name_of(fd), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0600);

	ck_assert_int_eq(fcntl(own, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
	close(own);
}
END_TEST

/* What is not fit for what it is named for is refused as a path would be. */
START_TEST(kinds)
{
	int pipes[2], fd;
	struct host_file file;
	struct error e;
	struct block *b;

	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_lt(host_file_open(NULL, &file, "kernel", name_of(pipes[0]), &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "regular file"));
	b = block_open(&(struct block_config){.path = name_of(pipes[1]), .readonly = true}, &e);
	ck_assert_ptr_null(b);
	fd = inherited(O_RDONLY);
	b = block_open(&(struct block_config){.path = name_of(fd)}, &e);
	ck_assert_ptr_null(b);
	ck_assert_ptr_nonnull(strstr(e.text, "readonly=on"));
	b = block_open(&(struct block_config){.path = name_of(fd), .readonly = true}, &e);
	ck_assert_msg(b != NULL, "%s", e.text);
	ck_assert_uint_eq(block_size(b), 4096);
	block_close(b);
	fd = inherited(O_RDONLY);
	ck_assert_int_eq(host_file_open(NULL, &file, "kernel", name_of(fd), &e), 0);
	ck_assert_uint_eq(file.size, 4096);
	host_file_close(&file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resource");
	TCase *tc = tcase_create("resource");

	tcase_add_test(tc, moved);
	tcase_add_test(tc, not_inherited);
	tcase_add_test(tc, access_mode);
	tcase_add_test(tc, flags);
	tcase_add_test(tc, kinds);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
