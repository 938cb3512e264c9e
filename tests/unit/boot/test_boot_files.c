// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files that are no kernel or no initrd: missing, of the wrong kind, too large,
 * cut off anywhere, and random.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include "boot_image.h"
#include "suite.h"

/* A host that reads in small pieces, is interrupted, and fails: the loaders' reads are done here. */
static size_t host_piece;   /* 0: as much as there is */
static int host_interrupts; /* so often */
static int host_error = -1; /* of the first read behind the header; 0: the file's end; -1: none */

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	if (host_interrupts) {
		host_interrupts--;
		errno = EINTR;
		return -1;
	}
	if (offset && host_error >= 0) {
		/* At the end there is no error, whatever the last one was. */
		errno = host_error ? host_error : EINTR;
		return host_error ? -1 : 0;
	}
	return syscall(SYS_pread64, fd, buf, host_piece && len > host_piece ? host_piece : len,
		       offset);
}

/* The number that the next descriptor gets. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

START_TEST(reads_in_pieces)
{
	struct boot_config cfg = {.initrd = initrd_path};
	const struct boot_params *bp = at(LAYOUT_ZERO_PAGE);
	struct image i;
	int fd;

	make_bzimage(&i);
	for (size_t n = 0; n < 1024; n++)
		i.data[BZ_SETUP + n] = (uint8_t)(n / 4);
	write_file(kernel_path, i.data, i.len);
	write_file(initrd_path, i.data, i.len);
	/* With nothing on standard input its number is as good as any. */
	close(STDIN_FILENO);
	fd = next_fd();
	for (host_piece = 1; host_piece < 2048; host_piece = host_piece * 7 + 1) {
		host_interrupts = 3;
		dirty(MiB(2), 1024);
		expect_ok(boot(cfg));
		ck_assert_mem_eq(at(MiB(2)), i.data + BZ_SETUP, 1024);
		ck_assert_mem_eq(at(bp->hdr.ramdisk_image), i.data, i.len);
		ck_assert_int_eq(next_fd(), fd);
	}
	host_error = EIO;
	expect_error(boot(cfg), EIO, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, strerror(EIO)));
	host_error = 0;
	expect_error(boot(cfg), EIO, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "shrank"));
	ck_assert_int_eq(next_fd(), fd);
}
END_TEST

static unsigned int looks_left; /* at signals, until there is one */

static bool signal_has_come(void)
{
	return !looks_left--;
}

START_TEST(signals_end_reading)
{
	struct host_files files = {.interrupted = signal_has_come};
	struct boot_config cfg = {.initrd = initrd_path, .files = &files};
	struct image i;

	make_bzimage(&i);
	write_file(kernel_path, i.data, i.len);
	write_file(initrd_path, i.data, 64);
	ck_assert_int_eq(truncate(initrd_path, MiB(3)), 0);
	/* The header, the kernel, and three pieces of the initrd. */
	looks_left = 4;
	expect_error(boot(cfg), EINTR, initrd_path);
	looks_left = 5;
	expect_ok(boot(cfg));
	host_files_close(&files);
}
END_TEST

START_TEST(kernel_not_a_file)
{
	struct boot_config cfg = {0};

	expect_error(boot(cfg), ENOENT, kernel_path);
	ck_assert_int_eq(mkdir(kernel_path, 0700), 0);
	expect_error(boot(cfg), EINVAL, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "directory"));
	rmdir(kernel_path);
	/* Nobody writes to it: this must not wait. */
	ck_assert_int_eq(mkfifo(kernel_path, 0600), 0);
	expect_error(boot(cfg), EINVAL, kernel_path);
	unlink(kernel_path);
	ck_assert_int_eq(symlink("/dev/zero", kernel_path), 0);
	expect_error(boot(cfg), EINVAL, kernel_path);
	unlink(kernel_path);
	write_file(kernel_path, "", 0);
	expect_error(boot(cfg), ENOEXEC, kernel_path);
	ck_assert_ptr_nonnull(strstr(err.text, "empty"));
	write_file(kernel_path, "QFI\xfb", 4);
	expect_error(boot(cfg), ENOEXEC, kernel_path);
}
END_TEST

START_TEST(initrd_bad)
{
	struct boot_config cfg = {.initrd = initrd_path};
	struct image kernels[3];

	make_bzimage(&kernels[0]);
	make_elf64(&kernels[1], 0, ELF_TEXT, 8);
	make_flat(&kernels[2]);
	for (size_t n = 0; n < 3; n++) {
		write_file(kernel_path, kernels[n].data, kernels[n].len);
		expect_error(boot(cfg), ENOENT, initrd_path);
		ck_assert_int_eq(mkdir(initrd_path, 0700), 0);
		expect_error(boot(cfg), EINVAL, initrd_path);
		rmdir(initrd_path);
		write_file(initrd_path, "", 0);
		expect_error(boot(cfg), EINVAL, initrd_path);
		/* Sparse: larger than memory, and larger than any memory. */
		ck_assert_int_eq(truncate(initrd_path, (off_t)LOW_RAM + 1), 0);
		expect_error(boot(cfg), ENOSPC, initrd_path);
		ck_assert_int_eq(truncate(initrd_path, (off_t)GiB(4096)), 0);
		expect_error(boot(cfg), ENOSPC, initrd_path);
		unlink(initrd_path);
	}
}
END_TEST

START_TEST(kernel_larger_than_memory)
{
	struct image kernels[2];

	make_bzimage(&kernels[0]);
	make_flat(&kernels[1]);
	/* The flat image loads to its file's end. */
	memset(kernels[1].data + 64 + 20, 0, 8);
	for (size_t n = 0; n < 2; n++) {
		write_file(kernel_path, kernels[n].data, kernels[n].len);
		ck_assert_int_eq(truncate(kernel_path, (off_t)LOW_RAM), 0);
		expect_error(boot((struct boot_config){0}), ENOSPC, kernel_path);
		ck_assert_int_eq(truncate(kernel_path, (off_t)GiB(4096)), 0);
		ck_assert_int_lt(boot((struct boot_config){0}), 0);
		check_message(kernel_path);
	}
}
END_TEST

START_TEST(guest_without_memory)
{
	struct image i;

	make_bzimage(&i);
	mem_destroy(&mem);
	ck_assert_int_eq(boot_image(&i), -ENOSPC);
	add_ram(0, MiB(1));
	ck_assert_int_eq(boot_image(&i), -ENOSPC);
	ck_assert_str_eq(err.path, "memory");
}
END_TEST

/* No prefix of an image whose last byte counts is an image. */
START_TEST(truncated_everywhere)
{
	struct image kernels[4];

	make_bzimage(&kernels[0]);
	make_elf64(&kernels[1], ELF_KERNEL, ELF_TEXT, 8);
	make_elf32(&kernels[2], (uint32_t)ELF_TEXT);
	put_multiboot(&kernels[2], 600, 0, NULL);
	make_flat(&kernels[3]);

	for (size_t n = 0; n < 4; n++) {
		expect_ok(boot_image(&kernels[n]));
		for (size_t len = kernels[n].len; len-- > 0;) {
			int ret;

			ck_assert_int_eq(truncate(kernel_path, (off_t)len), 0);
			ret = boot((struct boot_config){0});
			ck_assert_msg(ret < 0, "image %zu, %zu bytes: loaded", n, len);
			check_message(kernel_path);
		}
	}
}
END_TEST

static uint32_t rng = 0x12345678;

static uint32_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

/* Whatever the file says: an error, or a state in which rip is in memory. */
static void check_fuzzed(const struct image *i)
{
	if (boot_image(i) < 0)
		check_message(kernel_path);
	else
		ck_assert_ptr_nonnull(mem_write(&mem, entry.gprs.rip, 1));
}

START_TEST(fuzz)
{
	static const uint32_t edges[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
	struct image good[5], i;

	/* Small, so that what loads costs little. */
	mem_destroy(&mem);
	add_ram(0, MiB(12));

	make_bzimage(&good[0]);
	make_elf64(&good[1], ELF_KERNEL, ELF_TEXT, 8);
	make_elf32(&good[2], (uint32_t)ELF_TEXT);
	put_multiboot(&good[2], 256, 0, NULL);
	make_flat(&good[3]);
	make_elf64(&good[4], 0, ELF_TEXT, 4);
	put_multiboot(&good[4], 1000, 0, NULL);

	for (unsigned int n = 0; n < 6000; n++) {
		unsigned int changes = 1 + rnd() % 6;

		i = good[n % 5];
		while (changes--) {
			/* Mostly in the first bytes, where the headers are. */
			size_t where = rnd() % (rnd() % 4 ? 0x120 : i.len - 4);

			if (n % 5 == 0)
				where = 0x1f0 + rnd() % 0x80;
			if (rnd() % 2)
				i.data[where] = (uint8_t)rnd();
			else
				memcpy(i.data + (where & ~3UL), &edges[rnd() % 6], 4);
		}
		check_fuzzed(&i);
	}
	/* Noise, with and without a format's magic. */
	for (unsigned int n = 0; n < 1000; n++) {
		i.len = 1 + rnd() % sizeof(i.data);
		for (size_t b = 0; b < sizeof(i.data); b++)
			i.data[b] = (uint8_t)rnd();
		if (n % 3 == 1)
			memcpy(i.data, ELFMAG, SELFMAG);
		if (n % 3 == 2)
			memcpy(i.data + 0x202, "HdrS", 4);
		check_fuzzed(&i);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot_files");
	TCase *tc = tcase_create("boot_files");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, reads_in_pieces);
	tcase_add_test(tc, signals_end_reading);
	tcase_add_test(tc, kernel_not_a_file);
	tcase_add_test(tc, initrd_bad);
	tcase_add_test(tc, kernel_larger_than_memory);
	tcase_add_test(tc, guest_without_memory);
	tcase_add_test(tc, truncated_everywhere);
	tcase_add_test(tc, fuzz);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
