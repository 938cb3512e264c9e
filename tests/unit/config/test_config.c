// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/config/config.c: what the flags of "vmm run" mean, and which are refused how. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "suite.h"

#define MAX_ARGS 80

static struct config config;
static struct error error;

static void setup(void)
{
	memset(&config, 0, sizeof(config));
	memset(&error, 0, sizeof(error));
}

static void teardown(void)
{
	config_destroy(&config);
}

/* Parse "run --kernel k" and the arguments, up to NULL. */
static int parse(const char *first, ...)
{
	char *argv[MAX_ARGS] = {"run", "--kernel", "k"};
	int argc = 3;
	va_list args;

	config_destroy(&config);
	va_start(args, first);
	for (const char *a = first; a && argc < MAX_ARGS - 1; a = va_arg(args, const char *))
		argv[argc++] = (char *)a;
	va_end(args);
	return config_parse(argc, argv, &config, &error);
}

/* Refused, with a sentence that has this in it. */
static void refused(const char *flag, const char *value, const char *says)
{
	ck_assert_int_lt(parse(flag, value, NULL), 0);
	ck_assert_msg(strstr(error.text, says), "'%s' says nothing of '%s'", error.text, says);
}

START_TEST(test_defaults)
{
	ck_assert_int_eq(parse(NULL), 0);
	ck_assert_str_eq(config.kernel, "k");
	ck_assert_str_eq(config.name, "vm");
	ck_assert_str_eq(config.console, "tty");
	ck_assert_str_eq(config.cmdline, "console=ttyS0");
	ck_assert_ptr_null(config.initrd);
	ck_assert_uint_eq(config.cpus, 1);
	ck_assert_uint_eq(config.memory, 512ULL << 20);
	ck_assert_uint_eq(config.time_limit, 0);
	ck_assert(!config.debug_exit && !config.no_reboot && !config.json && !config.verbose);
	ck_assert_uint_eq(config.nr_disks + config.nr_modules + config.nr_fw_cfg, 0);
}
END_TEST

START_TEST(test_every_flag)
{
	ck_assert_int_eq(parse("--initrd", "i", "--cmdline", "root=/dev/vda", "--cpus", "4",
			       "--memory=2G", "--name", "web-1.a_b", "--console", "file=/tmp/x",
			       "--debug-exit", "0xf4", "--time-limit", "30", "--no-reboot",
			       "--tsc-khz", "2100000", "--json", "--verbose", "--fw-cfg",
			       "opt/a=dir/f=g", NULL),
			 0);
	ck_assert_str_eq(config.initrd, "i");
	ck_assert_str_eq(config.cmdline, "root=/dev/vda");
	ck_assert_uint_eq(config.cpus, 4);
	ck_assert_uint_eq(config.memory, 2ULL << 30);
	ck_assert_str_eq(config.name, "web-1.a_b");
	ck_assert_str_eq(config.console, "file=/tmp/x");
	ck_assert(config.debug_exit);
	ck_assert_uint_eq(config.debug_exit_port, 0xf4);
	ck_assert_uint_eq(config.time_limit, 30);
	ck_assert_uint_eq(config.tsc_khz, 2100000);
	ck_assert(config.no_reboot && config.json && config.verbose);
	/* The name ends at the first '=', the file may have more. */
	ck_assert_str_eq(config.fw_cfg[0].name, "opt/a");
	ck_assert_str_eq(config.fw_cfg[0].path, "dir/f=g");
}
END_TEST

START_TEST(test_last_of_a_single_flag_counts)
{
	ck_assert_int_eq(parse("--name", "a", "--name", "b", "--cmdline", "", NULL), 0);
	ck_assert_str_eq(config.name, "b");
	ck_assert_str_eq(config.cmdline, "");
}
END_TEST

START_TEST(test_help)
{
	char *bare[] = {"run", "--help", NULL};

	ck_assert_int_eq(parse("--help", NULL), 1);
	ck_assert_int_eq(parse("-h", NULL), 1);
	config_destroy(&config);
	ck_assert_int_eq(config_parse(2, bare, &config, &error), 1);
}
END_TEST

START_TEST(test_kernel_is_needed)
{
	char *argv[] = {"run", NULL};

	ck_assert_int_lt(config_parse(1, argv, &config, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "--kernel"));
}
END_TEST

START_TEST(test_bad_flags_are_named)
{
	refused("--frobnicate", NULL, "--frobnicate");
	refused("-xyz", NULL, "-x");
	refused("--json=yes", NULL, "--json takes no value");
	refused("--cpus", NULL, "--cpus needs a value");
	refused("disk.img", NULL, "disk.img");
	refused("--kernel", "", "--kernel");
	refused("--initrd", "", "--initrd");
}
END_TEST

START_TEST(test_memory_sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"16M", 16ULL << 20},	    {"64m", 64ULL << 20},	 {"1g", 1ULL << 30},
		{"65536K", 64ULL << 20},    {"8G", 8ULL << 30},		 {"16384G", 16ULL << 40},
		{"16388k", 16388ULL << 10}, {"536870912", 512ULL << 20},
	};
	static const char *const bad[] = {"",
					  "M",
					  "-1G",
					  " 1G",
					  "1GB",
					  "1.5G",
					  "0x10M",
					  "15M",
					  "0",
					  "17T",
					  "16385G",
					  "16385K1",
					  "16777217",
					  "18446744073709551616",
					  "17179869184G",
					  "99999999999999999999G",
					  "16385K"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(parse("--memory", good[i].text, NULL) == 0, "%s: %s", good[i].text,
			      error.text);
		ck_assert_uint_eq(config.memory, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused("--memory", bad[i], "--memory");
	/* Who forgets the suffix is told so. */
	refused("--memory", "512", "512M?");
	/* But not if that would be too little, too. */
	refused("--memory", "0", "from 16M to 16384G");
	refused("--memory", "15", "from 16M to 16384G");
	refused("--memory", "16", "16M?");
}
END_TEST

START_TEST(test_numbers_have_bounds)
{
	static const char *const bad[] = {
		"", "0", "65", "-1", "+1", " 1", "1 ", "2x", "0x", "1e3", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused("--cpus", bad[i], "--cpus");
	ck_assert_int_eq(parse("--cpus", "64", NULL), 0);
	/* Decimal unless it begins with 0x */
	ck_assert_int_eq(parse("--cpus", "012", NULL), 0);
	ck_assert_uint_eq(config.cpus, 12);
	ck_assert_int_eq(parse("--cpus", "0X1f", NULL), 0);
	ck_assert_uint_eq(config.cpus, 31);
	refused("--debug-exit", "0xfffd", "--debug-exit");
	refused("--debug-exit", "65536", "--debug-exit");
	ck_assert_int_eq(parse("--debug-exit", "0", NULL), 0);
	ck_assert(config.debug_exit);
	refused("--time-limit", "0", "--time-limit");
	ck_assert_int_eq(parse("--time-limit", "1", NULL), 0);
	ck_assert_uint_eq(config.time_limit, 1);
	refused("--time-limit", "99999999999", "--time-limit");
	refused("--tsc-khz", "999", "--tsc-khz");
	refused("--tsc-khz", "100000001", "--tsc-khz");
}
END_TEST

START_TEST(test_disks)
{
	ck_assert_int_eq(parse("--disk", "a.img", "--disk",
			       "b,,c.img,readonly=on,serial=X1-2,format=raw", "--disk",
			       "d,readonly=off", NULL),
			 0);
	ck_assert_uint_eq(config.nr_disks, 3);
	ck_assert_str_eq(config.disk[0].path, "a.img");
	ck_assert(!config.disk[0].readonly && !config.disk[0].format_stated);
	ck_assert_ptr_null(config.disk[0].serial);
	ck_assert_str_eq(config.disk[1].path, "b,c.img");
	ck_assert(config.disk[1].readonly && config.disk[1].format_stated);
	ck_assert_str_eq(config.disk[1].serial, "X1-2");
	ck_assert_str_eq(config.disk[2].path, "d");
	ck_assert(!config.disk[2].readonly);
}
END_TEST

START_TEST(test_bad_disks)
{
	refused("--disk", "", "--disk");
	refused("--disk", ",readonly=on", "--disk");
	refused("--disk", "a,", "unknown option");
	refused("--disk", "a,readonly", "unknown option 'readonly'");
	refused("--disk", "a,readonly=yes", "'yes'");
	refused("--disk", "a,format=qcow2", "qemu-img");
	refused("--disk", "a,cache=none", "'cache'");
	refused("--disk", "a,serial=", "serial=");
	refused("--disk", "a,serial=123456789012345678901", "serial=");
	refused("--disk", "a,serial=a b", "serial=");
	ck_assert_int_eq(parse("--disk", "a,serial=12345678901234567890", NULL), 0);
}
END_TEST

START_TEST(test_repeatable_flags_are_bounded)
{
	static const struct {
		char *flag, *value;
		int most;
	} cases[] = {
		{"--disk", "d", CONFIG_MAX_DISKS},
		{"--module", "m args", CONFIG_MAX_MODULES},
		{"--fw-cfg", "n=f", CONFIG_MAX_FW_CFG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[MAX_ARGS] = {"run", "--kernel", "k"};
		int argc = 3;

		for (int n = 0; n < cases[i].most; n++) {
			argv[argc++] = cases[i].flag;
			argv[argc++] = cases[i].value;
		}
		config_destroy(&config);
		ck_assert_int_eq(config_parse(argc, argv, &config, &error), 0);
		argv[argc++] = cases[i].flag;
		argv[argc++] = cases[i].value;
		config_destroy(&config);
		ck_assert_int_lt(config_parse(argc, argv, &config, &error), 0);
		ck_assert_ptr_nonnull(strstr(error.text, cases[i].flag));
	}
}
END_TEST

START_TEST(test_other_bad_values)
{
	refused("--console", "serial", "--console");
	refused("--console", "file=", "--console");
	refused("--console", "unix=", "--console");
	refused("--console", "", "--console");
	refused("--name", "", "--name");
	refused("--name", "a/b", "--name");
	refused("--name", "a\nb", "--name");
	refused("--name", "1234567890123456789012345678901234567890123456789012345678901234",
		"--name");
	refused("--fw-cfg", "name", "--fw-cfg");
	refused("--fw-cfg", "=f", "--fw-cfg");
	refused("--fw-cfg", "n=", "--fw-cfg");
	refused("--module", "", "--module");
	refused("--module", " a", "--module");
	ck_assert_int_lt(parse("--initrd", "i", "--module", "m", NULL), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "--module"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_every_flag);
	tcase_add_test(tc, test_last_of_a_single_flag_counts);
	tcase_add_test(tc, test_help);
	tcase_add_test(tc, test_kernel_is_needed);
	tcase_add_test(tc, test_bad_flags_are_named);
	tcase_add_test(tc, test_memory_sizes);
	tcase_add_test(tc, test_numbers_have_bounds);
	tcase_add_test(tc, test_disks);
	tcase_add_test(tc, test_bad_disks);
	tcase_add_test(tc, test_repeatable_flags_are_bounded);
	tcase_add_test(tc, test_other_bad_values);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
