// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/config: what the flags of "vmm run" mean, and which are refused how. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/option.h"
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
	ck_assert_ptr_null(config.name);
	ck_assert_uint_eq(config.api, CONFIG_API_AUTO);
	ck_assert(config_has_tty(&config));
	ck_assert(config_has_tty(&config));
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
	ck_assert_uint_eq(config.nr_consoles, 1);
	ck_assert_str_eq(config.console[0].file, "/tmp/x");
	ck_assert(!config_has_tty(&config));
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

/* Only whole names count: what is short for one thing today might be for two tomorrow. */
START_TEST(test_no_abbreviations)
{
	refused("--mem", "1G", "unknown flag --mem; did you mean --memory?");
	refused("--mem=1G", NULL, "unknown flag --mem; did you mean --memory?");
	refused("--no", NULL, "--no-reboot?");
	refused("--memroy", "1G", "--memory?");
	refused("--disks", "d", "--disk?");
	refused("--cpu", "1", "--cpus?");
	refused("--keernel", "k", "--kernel?");
	refused("--", "--cpus", "'--cpus' is not a flag");
	refused("-", NULL, "'-' is not a flag");
	/* But nothing is made up. */
	ck_assert_int_lt(parse("--frobnicate", NULL), 0);
	ck_assert_ptr_null(strstr(error.text, "mean"));
	ck_assert_int_lt(parse("--=", NULL), 0);
	ck_assert_ptr_null(strstr(error.text, "mean"));
	ck_assert_int_lt(parse("--x", NULL), 0);
	ck_assert_ptr_null(strstr(error.text, "mean"));
	ck_assert_int_lt(parse("--a-name-that-is-longer-than-all-that-there-are", NULL), 0);
	ck_assert_ptr_null(strstr(error.text, "mean"));
	/* What ends the flags is good for nothing, and does no harm. */
	ck_assert_int_eq(parse("--cpus", "2", "--", NULL), 0);
	ck_assert_uint_eq(config.cpus, 2);
}
END_TEST

START_TEST(test_switches_can_be_taken_back)
{
	ck_assert_int_eq(parse("--no-reboot", "--json=on", "--no-reboot=off", NULL), 0);
	ck_assert(!config.no_reboot && config.json);
	refused("--no-reboot=", NULL, "--no-reboot takes no value");
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

static void limit_is(const char *text, unsigned int count, unsigned int seconds)
{
	struct config_reboot_limit limit;

	ck_assert_int_eq(parse("--reboot-limit", text, NULL), 0);
	limit = config_reboot_limit(&config);
	ck_assert_uint_eq(limit.count, count);
	ck_assert_uint_eq(limit.seconds, seconds);
}

START_TEST(reboot_limit)
{
	static const char *const wrong[] = {
		"",	"0", "0/5",	"5/",  "5/0",		"/5", "-1", "5/6/7", "5 ",
		"5/6x", "x", "1234567", "5//", "5/12345678901", " 5"};

	ck_assert_int_eq(parse(NULL), 0);
	ck_assert_uint_eq(config_reboot_limit(&config).count, 10);
	ck_assert_uint_eq(config_reboot_limit(&config).seconds, 60);
	limit_is("3", 3, 60);
	limit_is("999999/999999", 999999, 999999);
	limit_is("off", 0, 60);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused("--reboot-limit", wrong[i], "--reboot-limit");
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
	refused("--time-limit", "5d", "--time-limit");
	refused("--time-limit", "m", "--time-limit");
	refused("--time-limit", "5ms", "--time-limit");
	refused("--time-limit", "0m", "--time-limit");
	refused("--time-limit", "596524h", "--time-limit");
	ck_assert_int_eq(parse("--time-limit", "596523h", NULL), 0);
	ck_assert_uint_eq(config.time_limit, 596523 * 3600);
	ck_assert_int_eq(parse("--time-limit", "5m", NULL), 0);
	ck_assert_uint_eq(config.time_limit, 300);
	ck_assert_int_eq(parse("--time-limit", "90s", NULL), 0);
	ck_assert_uint_eq(config.time_limit, 90);
	ck_assert_int_eq(parse("--time-limit", "2147483647", NULL), 0);
	refused("--time-limit", "2147483648", "--time-limit");
	refused("--tsc-khz", "999", "--tsc-khz");
	refused("--tsc-khz", "100000001", "--tsc-khz");
}
END_TEST

START_TEST(test_disks)
{
	ck_assert_int_eq(parse("--disk", "a.img", "--disk",
			       "b,,c.img,readonly=on,serial=X1-2,format=raw,packed=on", "--disk",
			       "d,readonly=off", NULL),
			 0);
	ck_assert_uint_eq(config.nr_disks, 3);
	ck_assert_str_eq(config.disk[0].path, "a.img");
	ck_assert(!config.disk[0].readonly && !config.disk[0].format_stated);
	ck_assert(!config.disk[0].packed && config.disk[1].packed);
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
	refused("--disk", "a,format=qcow2", "takes raw, not 'qcow2'");
	refused("--disk", "a,cache=none", "'cache'");
	refused("--disk", "a,serial=", "serial=");
	refused("--disk", "a,serial=123456789012345678901", "serial=");
	refused("--disk", "a,serial=a b", "serial=");
	ck_assert_int_eq(parse("--disk", "a,serial=12345678901234567890", NULL), 0);
}
END_TEST

/* Every property by its name, in any order. */
START_TEST(test_disk_properties)
{
	ck_assert_int_eq(parse("--disk", "readonly=on,path=a=b,,c,id=root_1-x,addr=0x1f", "--disk",
			       "no-property=x", "--disk", "./path=x", NULL),
			 0);
	ck_assert_str_eq(config.disk[0].path, "a=b,c");
	ck_assert_str_eq(config.disk[0].item.id, "root_1-x");
	ck_assert_uint_eq(config.disk[0].addr, 31);
	ck_assert(config.disk[0].readonly);
	/* The name of a file may have the form of a property. */
	ck_assert_str_eq(config.disk[1].path, "no-property=x");
	ck_assert_str_eq(config.disk[2].path, "./path=x");
	refused("--disk", "serial=x", "path= is missing");
	refused("--disk", "path=", "--disk: path= needs the name of a file");
	refused("--disk", "a,addr=0", "from 1 to 31");
	refused("--disk", "a,addr=32", "from 1 to 31");
	refused("--disk", "a,id=", "id=");
	refused("--disk", "a,id=x.y", "id= takes letters, digits, '-' and '_'");
	refused("--disk", "a,id=123456789012345678901234567890123", "32 characters");
	ck_assert_int_eq(parse("--disk", "a,id=12345678901234567890123456789012", NULL), 0);
}
END_TEST

START_TEST(test_every_item_has_an_id)
{
	ck_assert_int_eq(
		parse("--disk", "a", "--disk", "b", "--module", "m", "--fw-cfg", "n=f", NULL), 0);
	ck_assert_str_eq(config.disk[0].item.id, "disk0");
	ck_assert_str_eq(config.disk[1].item.id, "disk1");
	ck_assert_str_eq(config.module[0].item.id, "module0");
	ck_assert_str_eq(config.fw_cfg[0].item.id, "fw-cfg0");
	/* One that was given is not taken. */
	ck_assert_int_eq(parse("--disk", "a", "--disk", "b", "--disk", "c,id=disk0", "--disk",
			       "d,id=disk2", NULL),
			 0);
	ck_assert_str_eq(config.disk[0].item.id, "disk1");
	ck_assert_str_eq(config.disk[1].item.id, "disk3");
	ck_assert_int_lt(parse("--disk", "a,id=x", "--disk", "b", "--disk", "c,id=x", NULL), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "--disk: the id 'x'"));
	/* In other cases it is another one. */
	ck_assert_int_eq(parse("--disk", "a,id=x", "--disk", "c,id=X", NULL), 0);
}
END_TEST

START_TEST(test_memory_backends)
{
	ck_assert_int_eq(parse(NULL), 0);
	ck_assert_uint_eq(config.memory_backend, CONFIG_MEMORY_ANON);
	ck_assert_int_eq(parse("--memory-backend", "memfd", NULL), 0);
	ck_assert_uint_eq(config.memory_backend, CONFIG_MEMORY_MEMFD);
	ck_assert_int_eq(parse("--memory-backend", "anon", NULL), 0);
	ck_assert_uint_eq(config.memory_backend, CONFIG_MEMORY_ANON);
	refused("--memory-backend", "file", "'file'");
}
END_TEST

START_TEST(test_transports)
{
	ck_assert_int_eq(parse("--disk", "a", "--disk", "b,transport=mmio", "--disk",
			       "c,transport=pci", NULL),
			 0);
	ck_assert_uint_eq(config.rng_transport, TRANSPORT_PCI);
	ck_assert_uint_eq(config.disk[0].transport, TRANSPORT_PCI);
	ck_assert_uint_eq(config.disk[1].transport, TRANSPORT_MMIO);
	ck_assert_uint_eq(config.disk[1].addr, 0);
	/* One that is not there takes no place from the others. */
	ck_assert_uint_eq(config.disk[2].addr, 2);
	refused("--disk", "a,transport=usb", "'usb'");
	refused("--disk", "a,transport=mmio,addr=3", "on the PCI bus");
	refused("--rng-transport", "ccw", "'ccw'");
	ck_assert_int_eq(parse("--disk", "a,transport=mmio", "--disk", "b,transport=mmio", "--disk",
			       "c,transport=mmio", "--rng-transport", "mmio", NULL),
			 0);
	ck_assert_uint_eq(config.rng_transport, TRANSPORT_MMIO);
	ck_assert_int_lt(parse("--disk", "a,transport=mmio", "--disk", "b,transport=mmio", "--disk",
			       "c,transport=mmio", "--disk", "d,transport=mmio", "--rng-transport",
			       "mmio", NULL),
			 0);
	ck_assert_ptr_nonnull(strstr(error.text, "at most 4"));
}
END_TEST

START_TEST(test_disks_have_their_places)
{
	ck_assert_int_eq(parse("--disk", "a", "--disk", "b,addr=1", "--disk", "c,addr=3", "--disk",
			       "d", "--disk", "e", NULL),
			 0);
	ck_assert_uint_eq(config.disk[0].addr, 2);
	ck_assert_uint_eq(config.disk[1].addr, 1);
	ck_assert_uint_eq(config.disk[2].addr, 3);
	ck_assert_uint_eq(config.disk[3].addr, 4);
	ck_assert_uint_eq(config.disk[4].addr, 5);
	ck_assert_int_lt(parse("--disk", "a,addr=31", "--disk", "b,addr=31", NULL), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "--disk: the address 31"));
}
END_TEST

START_TEST(test_modules)
{
	ck_assert_int_eq(parse("--module", "f", "--module", "f a=b,c  d ", "--module", "f ", NULL),
			 0);
	ck_assert_str_eq(config.module[0].path, "f");
	ck_assert_ptr_null(config.module[0].args);
	ck_assert_str_eq(config.module[0].string, "f");
	ck_assert_str_eq(config.module[1].path, "f");
	ck_assert_str_eq(config.module[1].args, "a=b,c  d ");
	/* The guest reads what was written. */
	ck_assert_str_eq(config.module[1].string, "f a=b,c  d ");
	ck_assert_str_eq(config.module[2].string, "f ");
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

START_TEST(test_consoles)
{
	ck_assert_int_eq(parse("--console", "file=a,,b,rotate=1M,keep=3", "--console", "unix=s",
			       "--console", "socket=t", "--console", "pty,link=l", "--console",
			       "tty", "--console", "none", "--console", "file=c,rotate=4K", NULL),
			 0);
	ck_assert_uint_eq(config.nr_consoles, 7);
	ck_assert_str_eq(config.console[0].file, "a,b");
	ck_assert_uint_eq(config.console[0].rotate, 1 << 20);
	ck_assert_uint_eq(config.console[0].keep, 3);
	ck_assert_str_eq(config.console[1].socket, "s");
	ck_assert_str_eq(config.console[2].socket, "t");
	ck_assert_uint_eq(config.console[3].kind, CONFIG_CONSOLE_PTY);
	ck_assert_str_eq(config.console[3].link, "l");
	ck_assert(config_has_tty(&config));
	ck_assert_uint_eq(config.console[5].kind, CONFIG_CONSOLE_NONE);
	ck_assert_uint_eq(config.console[6].keep, 1);
	config_destroy(&config);

	refused("--console", "tty,file=f", "one of");
	refused("--console", "file=f,socket=s", "one of");
	refused("--console", "rotate=1M", "one of");
	refused("--console", "socket=s,rotate=1M", "file=FILE");
	refused("--console", "file=f,keep=2", "rotate=SIZE");
	refused("--console", "file=f,rotate=1K", "4K");
	refused("--console", "file=f,rotate=1M,keep=0", "1 to 99");
	refused("--console", "tty,link=l", "pty");
	refused("--console", "file=f,sparkle=on", "sparkle");
	refused("--console", "serial", "tty, none or pty");
	ck_assert_int_lt(parse("--console", "tty", "--console", "tty", NULL), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "once only"));
	ck_assert_str_eq(error.path, "consoles[1]");
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

START_TEST(test_detach)
{
	ck_assert_int_eq(parse("--detach", NULL), 0);
	ck_assert(!config_has_tty(&config));
	ck_assert_int_eq(parse("--detach", "--api", "on", "--console", "file=f", NULL), 0);
	ck_assert_int_lt(parse("--detach", "--console", "tty", NULL), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "no console can be tty"));
	ck_assert_int_lt(parse("--detach", "--api", "off", NULL), 0);
	ck_assert_str_eq(error.path, "detach");
}
END_TEST

/* For programs: a word, and the option as a configuration file has it. */
static void fails(const char *flag, const char *value, const char *code, const char *path)
{
	ck_assert_int_lt(parse("--disk", "a", flag, value, NULL), 0);
	ck_assert_msg(!strcmp(error.code, code), "%s %s: %s", flag, value, error.code);
	ck_assert_msg(!strcmp(error.path, path), "%s %s: %s", flag, value, error.path);
}

START_TEST(test_errors_have_a_code_and_a_path)
{
	fails("--cpus", "65", "out-of-range", "cpus");
	fails("--cpus", "x", "bad-value", "cpus");
	fails("--memory", "1M", "out-of-range", "memory");
	fails("--memory", "16385K", "bad-value", "memory");
	fails("--time-limit", "0", "out-of-range", "time-limit");
	fails("--cpus", NULL, "bad-value", "cpus");
	fails("--json=x", NULL, "bad-value", "json");
	fails("--console", "x", "bad-value", "consoles[0].kind");
	fails("--name", "", "out-of-range", "name");
	fails("--wrong", NULL, "unknown-option", "");
	fails("word", NULL, "unknown-option", "");
	fails("-x", NULL, "unknown-option", "");
	fails("--disk", "b,colour=red", "unknown-option", "disks[1]");
	fails("--disk", "b,addr=99", "out-of-range", "disks[1].addr");
	fails("--disk", "", "bad-value", "disks[1].path");
	fails("--disk", "serial=x", "missing", "disks[1].path");
	fails("--disk", "b,format=vdi", "bad-value", "disks[1].format");
	fails("--fw-cfg", "x", "bad-value", "fw-cfg[0]");
	fails("--module", " ", "bad-value", "modules[0]");
	ck_assert_int_lt(parse("--disk", "a,id=x", "--disk", "b,id=x", NULL), 0);
	ck_assert_str_eq(error.code, "not-unique");
	ck_assert_str_eq(error.path, "disks[0].id");
	ck_assert_int_lt(parse("--disk", "a,addr=2", "--disk", "b,addr=2", NULL), 0);
	ck_assert_str_eq(error.code, "not-unique");
	ck_assert_str_eq(error.path, "disks[1].addr");
	ck_assert_int_lt(parse("--initrd", "i", "--module", "m", NULL), 0);
	ck_assert_str_eq(error.path, "modules");
}
END_TEST

/* Who asked for JSON gets it even if something before that is wrong. */
START_TEST(test_json_is_known_after_an_error)
{
	ck_assert_int_lt(parse("--cpus", "65", "--json", NULL), 0);
	ck_assert(config.json);
	ck_assert_int_lt(parse("--json", "--cpus", "65", NULL), 0);
	ck_assert(config.json);
	config_destroy(&config);
	ck_assert_int_lt(
		config_parse(3, (char *[]){"run", "--json", "--wrong", NULL}, &config, &error), 0);
	ck_assert(config.json);
	ck_assert_int_lt(parse("--cpus", "65", NULL), 0);
	ck_assert(!config.json);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The table                                                                  */

static void check_row(const struct option_def *o)
{
	bool number = o->type == OPT_NUMBER || o->type == OPT_SIZE || o->type == OPT_DURATION;

	ck_assert_msg(strspn(o->name, "abcdefghijklmnopqrstuvwxyz-") == strlen(o->name), "%s",
		      o->name);
	ck_assert_uint_le(strlen(o->name), 32);
	ck_assert_msg(o->help && *o->help && o->help[strlen(o->help) - 1] != '.', "%s", o->name);
	ck_assert_msg((o->type == OPT_LIST) == !!o->list, "%s", o->name);
	ck_assert_msg(o->type != OPT_CHOICE || o->choices, "%s", o->name);
	ck_assert_msg(o->list || o->width, "%s", o->name);
	/* What its value is called is said unless that is plain. */
	ck_assert_msg(!o->arg == (o->type == OPT_BOOL || o->type == OPT_CHOICE), "%s", o->name);
	if (!number)
		return;
	ck_assert_msg(o->min < o->max, "%s", o->name);
	ck_assert_msg(o->width == 8 || o->max < 1ULL << (8 * o->width), "%s", o->name);
	/* Zero says that nothing was stated, where nothing else does. */
	ck_assert_msg(o->min || o->given || o->initial, "%s", o->name);
}

START_TEST(test_table)
{
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		check_row(o);
		ck_assert_ptr_eq(option_find(o->name, strlen(o->name)), o);
		for (unsigned int p = 0; o->list && p < o->list->nr_properties; p++) {
			const struct option_def *property = &o->list->property[p];

			check_row(property);
			ck_assert_ptr_eq(option_find_property(o->list, property->name,
							      strlen(property->name)),
					 property);
		}
		/* An id that is made up for the last one is one that could have been given. */
		ck_assert(!o->list || strlen(o->list->prefix) + 3 <= CONFIG_ID_MAX);
		ck_assert(!o->list || option_find_property(o->list, "id", 2));
	}
}
END_TEST

START_TEST(test_help_names_every_flag)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	config_print_flags(out);
	fclose(out);
	for (unsigned int i = 0; i < option_count; i++) {
		char name[64];

		snprintf(name, sizeof(name), "  --%s", option_table[i].name);
		ck_assert_msg(strstr(text, name) != NULL, "%s", name);
	}
	ck_assert_ptr_nonnull(strstr(text, "processors (1 to 64, default: 1)"));
	ck_assert_ptr_nonnull(strstr(text, "readonly=on|off"));
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		ck_assert_uint_le(strcspn(line, "\n"), 80);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reboot_limit);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_every_flag);
	tcase_add_test(tc, test_last_of_a_single_flag_counts);
	tcase_add_test(tc, test_help);
	tcase_add_test(tc, test_kernel_is_needed);
	tcase_add_test(tc, test_bad_flags_are_named);
	tcase_add_test(tc, test_no_abbreviations);
	tcase_add_test(tc, test_switches_can_be_taken_back);
	tcase_add_test(tc, test_memory_sizes);
	tcase_add_test(tc, test_numbers_have_bounds);
	tcase_add_test(tc, test_disks);
	tcase_add_test(tc, test_bad_disks);
	tcase_add_test(tc, test_disk_properties);
	tcase_add_test(tc, test_every_item_has_an_id);
	tcase_add_test(tc, test_memory_backends);
	tcase_add_test(tc, test_transports);
	tcase_add_test(tc, test_disks_have_their_places);
	tcase_add_test(tc, test_modules);
	tcase_add_test(tc, test_repeatable_flags_are_bounded);
	tcase_add_test(tc, test_consoles);
	tcase_add_test(tc, test_other_bad_values);
	tcase_add_test(tc, test_detach);
	tcase_add_test(tc, test_errors_have_a_code_and_a_path);
	tcase_add_test(tc, test_json_is_known_after_an_error);
	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_help_names_every_flag);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
