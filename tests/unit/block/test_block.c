// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of disks: which images are opened, which are refused, and with what words.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "block/file.h"
#include "disk_image.h"
#include "suite.h"

static void refused(struct block_config c, const char *words)
{
	struct error e = {0};
	struct block *b = block_open(&c, &e);

	ck_assert_ptr_null(b);
	ck_assert_msg(strstr(e.text, c.path), "'%s' does not name the file", e.text);
	ck_assert_msg(strstr(e.text, words), "'%s' instead of '%s'", e.text, words);
	ck_assert_ptr_null(strchr(e.text, '\n'));
}

START_TEST(no_such_file)
{
	refused((struct block_config){.path = "/nonexistent/disk"}, "truncate");
}
END_TEST

START_TEST(not_a_file)
{
	refused((struct block_config){.path = "/tmp"}, "directory");
	refused((struct block_config){.path = "/tmp", .readonly = true}, "neither a file");
	refused((struct block_config){.path = "/dev/null"}, "neither a file");
}
END_TEST

START_TEST(fifo)
{
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused((struct block_config){.path = path}, "neither a file");
	refused((struct block_config){.path = path, .readonly = true}, "neither a file");
}
END_TEST

START_TEST(sizes)
{
	ck_assert_int_eq(truncate(path, 0), 0);
	refused((struct block_config){.path = path}, "is empty");
	ck_assert_int_eq(truncate(path, 1025), 0);
	refused((struct block_config){.path = path}, "1025 bytes");
	ck_assert_int_eq(truncate(path, 511), 0);
	refused((struct block_config){.path = path}, "multiple of 512");
}
END_TEST

/* Leave to write would not help here. */
START_TEST(below_a_file)
{
	struct block_config c = {.path = "/etc/passwd/disk"};
	struct error e = {.text = ""};

	ck_assert_ptr_null(block_open(&c, &e));
	ck_assert_ptr_null(strstr(e.text, "readonly"));
}
END_TEST

START_TEST(no_permission)
{
	bool root = geteuid() == 0;

	ck_assert_int_eq(chmod(path, 0444), 0);
	/* Root may write anyway: be somebody else meanwhile. */
	if (root)
		ck_assert_int_eq(seteuid(65534), 0);
	refused((struct block_config){.path = path}, "Permission denied");
	refused((struct block_config){.path = path}, "readonly=on");
	if (root)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

static const struct {
	const char *name, *remedy, *bytes;
	unsigned int len;
	int offset; /* negative: from the end */
} foreign[] = {
	{"qcow2", "qemu-img", "QFI\xfb", 4, 0},
	{"qed", "qemu-img", "QED\0", 4, 0},
	{"vmdk", "qemu-img", "KDMV", 4, 0},
	{"vmdk", "qemu-img", "COWD", 4, 0},
	{"vmdk", "qemu-img", "# Disk DescriptorFile", 21, 0},
	{"vhdx", "qemu-img", "vhdxfile", 8, 0},
	{"vhd", "qemu-img", "conectix", 8, 0},
	{"vhd", "qemu-img", "conectix", 8, -512},
	{"vdi", "qemu-img", "\x7f\x10\xda\xbe", 4, 64},
	{"parallels", "qemu-img", "WithoutFreeSpace", 16, 0},
	{"parallels", "qemu-img", "WithouFreSpacExt", 16, 0},
	{"gzip", "gunzip", "\x1f\x8b\x08", 3, 0},
	{"xz", "unxz", "\xfd\x37zXZ\0", 6, 0},
	{"zstd", "unzstd", "\x28\xb5\x2f\xfd", 4, 0},
	{"bzip2", "bunzip2", "BZh9", 4, 0},
};

/* These bytes at the place of that format's. */
static void sign(int fd, int i, const char *bytes)
{
	off_t end = lseek(fd, 0, SEEK_END);
	off_t at = foreign[i].offset < 0 ? end + foreign[i].offset : foreign[i].offset;

	ck_assert_int_eq(pwrite(fd, bytes, foreign[i].len, at), foreign[i].len);
}

START_TEST(looks_like_another_format)
{
	struct block_config c = {.path = path};
	struct error e;
	struct block *b;
	int fd = open(path, O_WRONLY);

	sign(fd, _i, foreign[_i].bytes);
	refused(c, foreign[_i].name);
	refused(c, foreign[_i].remedy);
	c.readonly = true;
	refused(c, "format=raw");
	c.format_stated = true;
	b = block_open(&c, &e);
	ck_assert_msg(b != NULL, "%s", e.text);
	block_close(b);
	/* What is refused for its size is not to be made longer if it is something else. */
	c.format_stated = false;
	if (foreign[_i].offset >= 0) {
		ck_assert_int_eq(ftruncate(fd, 513), 0);
		refused(c, foreign[_i].remedy);
		ck_assert_int_eq(ftruncate(fd, foreign[_i].offset + foreign[_i].len), 0);
		refused(c, foreign[_i].remedy);
	}
	close(fd);
}
END_TEST

/* A byte away from it, it is as good as any other. */
START_TEST(looks_almost_like_another_format)
{
	struct block_config c = {.path = path};
	char almost[32];
	struct error e;
	struct block *b;
	int fd = open(path, O_WRONLY);

	memcpy(almost, foreign[_i].bytes, foreign[_i].len);
	almost[foreign[_i].name[0] == 'b' ? 2 : foreign[_i].len - 1] ^= 1;
	sign(fd, _i, almost);
	close(fd);
	b = block_open(&c, &e);
	ck_assert_msg(b != NULL, "%s", e.text);
	block_close(b);
}
END_TEST

START_TEST(locks)
{
	struct block_config rw = {.path = path}, ro = {.path = path, .readonly = true};
	struct block *a, *b;
	struct error e;

	a = block_open(&rw, &e);
	ck_assert_ptr_nonnull(a);
	refused(rw, "in use");
	refused(ro, "in use");
	block_close(a);
	a = block_open(&ro, &e);
	b = block_open(&ro, &e);
	ck_assert(a && b);
	refused(rw, "in use");
	refused(rw, "readonly=on");
	block_close(a);
	refused(rw, "in use");
	block_close(b);
	a = block_open(&rw, &e);
	ck_assert_ptr_nonnull(a);
	ck_assert_uint_eq(block_size(a), DISK_SIZE);
	block_close(a);
	block_close(NULL);
}
END_TEST

/* The number that the next descriptor gets. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* Opened or refused: afterwards there are no more descriptors than before. */
START_TEST(nothing_is_left_open)
{
	struct block_config c = {.path = path, .no_uring = _i == 1};
	struct error e;
	struct block *b;
	int fd = next_fd();
	char name[32], target[64] = "";
	bool has_uring = syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == EFAULT;

	for (unsigned int i = 0; i < 3; i++) {
		b = block_open(&c, &e);
		ck_assert_ptr_nonnull(b);
		/* Where there is io_uring it is used, unless it is not wanted. */
		snprintf(name, sizeof(name), "/proc/self/fd/%d", block_fd(b));
		ck_assert_int_gt(readlink(name, target, sizeof(target) - 1), 0);
		ck_assert_int_eq(!strstr(target, "io_uring"), _i == 1 || !has_uring);
		refused(c, "in use");
		block_close(b);
		ck_assert_int_eq(next_fd(), fd);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("block");
	TCase *t = tcase_create("open");

	tcase_add_checked_fixture(t, make_image, remove_image);
	tcase_add_test(t, no_such_file);
	tcase_add_test(t, not_a_file);
	tcase_add_test(t, fifo);
	tcase_add_test(t, sizes);
	tcase_add_test(t, below_a_file);
	tcase_add_test(t, no_permission);
	tcase_add_loop_test(t, looks_like_another_format, 0, sizeof(foreign) / sizeof(foreign[0]));
	tcase_add_loop_test(t, looks_almost_like_another_format, 0,
			    sizeof(foreign) / sizeof(foreign[0]));
	tcase_add_test(t, locks);
	tcase_add_loop_test(t, nothing_is_left_open, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
