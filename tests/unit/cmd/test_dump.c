// SPDX-License-Identifier: GPL-2.0-or-later
/* --dump-dtb: a file with a device tree, or one line that says why there is none. */
#include <check.h>
#include <libfdt.h>

#include "boot/boot_image.h"
#include "cmd/dump.h"
#include "suite.h"

static char out_path[64];

static void set_up(void)
{
	struct image image;

	setup();
	make_bzimage(&image);
	write_file(kernel_path, image.data, image.len);
	snprintf(out_path, sizeof(out_path), "%s/out", dir);
}

static void tear_down(void)
{
	unlink(out_path);
	teardown();
}

static unsigned int fail_at;
static bool failed; /* an allocation has */

static int dump_to(const char *kernel, const char *to)
{
	char *argv[] = {"run", "--kernel", (char *)kernel, "--dump-dtb", (char *)to, NULL};
	struct config config;
	int ret;

	expect_ok(config_parse(5, argv, &config, &err));
	ck_assert_str_eq(config.dump_dtb, to);
	err.path[0] = err.text[0] = '\0';
	allocation_to_fail = fail_at;
	ret = dump_dtb(&config, &err);
	failed = fail_at && !allocation_to_fail;
	allocation_to_fail = 0;
	config_destroy(&config);
	return ret;
}

START_TEST(test_a_file_is_written)
{
	static uint8_t tree[1 << 16];
	size_t len;
	FILE *f;

	/* What was there is gone. */
	write_file(out_path, tree, sizeof(tree));
	expect_ok(dump_to(kernel_path, out_path));
	f = fopen(out_path, "rb");
	ck_assert_ptr_nonnull(f);
	len = fread(tree, 1, sizeof(tree), f);
	fclose(f);
	ck_assert_int_eq(fdt_check_full(tree, len), 0);
	ck_assert_uint_eq(fdt_totalsize(tree), len);
	ck_assert_int_gt(fdt_path_offset(tree, "/soc"), 0);
}
END_TEST

START_TEST(test_failures_are_told)
{
	expect_error(dump_to(kernel_path, "/nonexistent/tree"), ENOENT, "/nonexistent/tree");
	ck_assert_str_eq(err.path, "dump-dtb");
	expect_error(dump_to(kernel_path, "/dev/full"), ENOSPC, "/dev/full");
	expect_error(dump_to("/nonexistent/kernel", out_path), ENOENT, "/nonexistent/kernel");
	ck_assert_str_eq(err.path, "kernel");
	/* Nothing was written. */
	ck_assert_int_ne(access(out_path, F_OK), 0);
}
END_TEST

/* Whichever allocation fails, it says so. */
START_TEST(test_without_memory)
{
	int ret;

	do {
		fail_at++;
		ret = dump_to(kernel_path, out_path);
		ck_assert(!failed || (ret < 0 && err.text[0]));
	} while (failed);
	ck_assert_uint_gt(fail_at, 20);
	expect_ok(ret);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dump");
	TCase *tc = tcase_create("dump");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_a_file_is_written);
	tcase_add_test(tc, test_failures_are_told);
	tcase_add_test(tc, test_without_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
