// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A machine without a VM: as a device tree that dtc reads, and the state of all its devices saved and loaded.
 */
#include <check.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot_image.h"
#include "config/config.h"
#include "machine/machine.h"
#include "suite.h"

static struct config config;
static struct loop *loop;
static struct console *console;
static struct machine *machine;
static char disk_path[64], out_path[64];
static void *tree;
static size_t len;

static void make_files(void)
{
	struct image image;

	setup();
	make_bzimage(&image);
	write_file(kernel_path, image.data, image.len);
	write_file(initrd_path, "initrd", 6);
	snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
	snprintf(out_path, sizeof(out_path), "%s/out", dir);
	write_file(disk_path, "", 0);
	ck_assert_int_eq(truncate(disk_path, MiB(1)), 0);
	loop = loop_create();
	console = console_open(loop, &err);
}

static void remove_files(void)
{
	console_close(console);
	loop_destroy(loop);
	unlink(disk_path);
	unlink(out_path);
	teardown();
}

/* A machine of these words; the first path in them is that of a disk, the second of another file. */
static void make(const char *words)
{
	char text[512], *argv[32] = {"run", "--kernel", kernel_path, "--memory", "64M"};
	int argc = 5;

	snprintf(text, sizeof(text), words, disk_path, kernel_path);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	ck_assert_msg(!config_parse(argc, argv, &config, &err), "%s", err.text);
	machine = machine_create_unpowered(&config, loop, console, &err);
	ck_assert_msg(machine != NULL, "%s", err.text);
}

static void end(void)
{
	machine_destroy(machine);
	config_destroy(&config);
	free(tree);
	tree = NULL;
}

static void describe(void)
{
	ck_assert_msg(!machine_describe(machine, &tree, &len, &err), "%s", err.text);
	ck_assert_int_eq(fdt_check_full(tree, len), 0);
}

static int node(const char *where)
{
	int at = fdt_path_offset(tree, where);

	ck_assert_msg(at >= 0, "no %s", where);
	return at;
}

static void expect_cells(const char *where, const char *name, unsigned int count,
			 const uint32_t *cells)
{
	int size;
	const uint8_t *value = fdt_getprop(tree, node(where), name, &size);

	ck_assert_msg(value && size == (int)count * 4, "%s of %s has %d bytes", name, where, size);
	for (unsigned int i = 0; i < count; i++)
		ck_assert_msg(fdt32_ld((const fdt32_t *)(value + 4 * i)) == cells[i],
			      "cell %u of %s in %s is %#x", i, name, where,
			      fdt32_ld((const fdt32_t *)(value + 4 * i)));
}

#define EXPECT(where, name, ...)                                               \
	expect_cells(where, name, sizeof((const uint32_t[]){__VA_ARGS__}) / 4, \
		     (const uint32_t[]){__VA_ARGS__})

static void expect_string(const char *where, const char *name, const char *want)
{
	const char *value = fdt_getprop(tree, node(where), name, NULL);

	ck_assert_msg(value && !strcmp(value, want), "%s of %s is '%s'", name, where, value);
}

/* It has nothing to say of it, and that is what is wanted. */
static void expect_dtc_is_content(void)
{
	char command[256], file[80], said[512];
	size_t n;
	FILE *f;

	snprintf(file, sizeof(file), "%s.dtb", out_path);
	write_file(file, tree, len);
	snprintf(command, sizeof(command), "dtc -I dtb -O dts -o %s %s 2>&1", out_path, file);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	ck_assert_msg(!pclose(f) && !n, "dtc says: %s", said);
	unlink(file);
}

static char listing[8192];

static void list(const char *format, ...)
{
	size_t at = strlen(listing);
	va_list args;

	va_start(args, format);
	vsnprintf(listing + at, sizeof(listing) - at, format, args);
	va_end(args);
}

/* A line each: nodes by their names, properties as words or as cells. */
static void list_tree(void)
{
	int depth = 0;

	listing[0] = '\0';
	for (int at = 0; at >= 0 && depth >= 0; at = fdt_next_node(tree, at, &depth)) {
		int property;

		list("%*s%s\n", depth, "", fdt_get_name(tree, at, NULL));
		fdt_for_each_property_offset(property, tree, at)
		{
			const char *name;
			int size;
			const uint8_t *value = fdt_getprop_by_offset(tree, property, &name, &size);

			list("%*s %s", depth, "", name);
			if (size && value[0] >= ' ')
				list(" \"%s\"", (const char *)value);
			else
				for (int i = 0; i < size; i += 4)
					list(" %x", fdt32_ld((const fdt32_t *)(value + i)));
			list("\n");
		}
	}
}

/* All that there is, with nothing left out and nothing between. */
START_TEST(test_as_a_whole)
{
	static const char want[] =
		"\n"
		" model \"one\"\n"
		" compatible \"hv,machine\"\n"
		" #address-cells 2\n"
		" #size-cells 2\n"
		" interrupt-parent 1\n"
		" chosen\n"
		"  bootargs \"quiet\"\n"
		"  stdout-path \"/isa/serial@i3f8\"\n"
		" cpus\n"
		"  #address-cells 1\n"
		"  #size-cells 0\n"
		"  cpu@0\n"
		"   device_type \"cpu\"\n"
		"   compatible \"hv,vcpu\"\n"
		"   reg 0\n"
		"  cpu@1\n"
		"   device_type \"cpu\"\n"
		"   compatible \"hv,vcpu\"\n"
		"   reg 1\n"
		" memory@0\n"
		"  device_type \"memory\"\n"
		"  reg 0 0 0 c0000000\n"
		" memory@100000000\n"
		"  device_type \"memory\"\n"
		"  reg 1 0 0 40000000\n"
		" soc\n"
		"  compatible \"simple-bus\"\n"
		"  #address-cells 2\n"
		"  #size-cells 2\n"
		"  ranges\n"
		"  interrupt-controller@fee00000\n"
		"   compatible \"intel,ce4100-lapic\"\n"
		"   reg 0 fee00000 0 1000\n"
		"   interrupt-controller\n"
		"   #interrupt-cells 2\n"
		"   #address-cells 0\n"
		"   intel,virtual-wire-mode\n"
		"  interrupt-controller@fec00000\n"
		"   compatible \"intel,ce4100-ioapic\"\n"
		"   reg 0 fec00000 0 1000\n"
		"   interrupt-controller\n"
		"   #interrupt-cells 2\n"
		"   #address-cells 0\n"
		"   phandle 1\n"
		"  pcie@e0000000\n"
		"   compatible \"pci-host-ecam-generic\"\n"
		"   device_type \"pci\"\n"
		"   reg 0 e0000000 0 100000\n"
		"   bus-range 0 0\n"
		"   #address-cells 3\n"
		"   #size-cells 2\n"
		"   ranges 1000000 0 1000 0 1000 0 7000 2000000 0 c0000000 0 c0000000 0 20000000\n"
		"  virtio@feb00000\n"
		"   compatible \"virtio,mmio\"\n"
		"   reg 0 feb00000 0 1000\n"
		"   interrupts 14 3\n"
		" isa\n"
		"  compatible \"isa\"\n"
		"  device_type \"isa\"\n"
		"  #address-cells 2\n"
		"  #size-cells 1\n"
		"  serial@i3f8\n"
		"   compatible \"ns16550a\"\n"
		"   reg 1 3f8 8\n"
		"   interrupts 4 3\n"
		"   clock-frequency 1c2000\n"
		"  rtc@i70\n"
		"   compatible \"motorola,mc146818\"\n"
		"   reg 1 70 2\n"
		"   interrupts 8 3\n"
		"  power@i600\n"
		"   compatible \"hv,power\"\n"
		"   reg 1 600 c\n"
		"   interrupts 9 1\n"
		"  pvpanic@i505\n"
		"   compatible \"qemu,pvpanic\"\n"
		"   reg 1 505 1\n"
		"  debug-exit@if4\n"
		"   compatible \"hv,debug-exit\"\n"
		"   reg 1 f4 4\n"
		"  fw-cfg@i510\n"
		"   compatible \"qemu,fw-cfg\"\n"
		"   reg 1 510 c\n";

	make("--memory 4G --cpus 2 --cmdline quiet --debug-exit 0xf4 --name one "
	     "--disk path=%s,transport=mmio --rng-transport pci");
	describe();
	list_tree();
	ck_assert_str_eq(listing, want);
	end();
}
END_TEST

START_TEST(test_as_a_device_tree)
{
	make("--memory 4G --cpus 2 --cmdline quiet --debug-exit 0xf4 --name one "
	     "--disk path=%s,transport=mmio --rng-transport mmio");
	describe();
	expect_string("/", "model", "one");
	expect_string("/chosen", "bootargs", "quiet");
	expect_string("/chosen", "stdout-path", "/isa/serial@i3f8");
	EXPECT("/cpus/cpu@1", "reg", 1);
	ck_assert_int_lt(fdt_path_offset(tree, "/cpus/cpu@2"), 0);
	EXPECT("/memory@0", "reg", 0, 0, 0, 0xc0000000);
	EXPECT("/memory@100000000", "reg", 1, 0, 0, 0x40000000);
	expect_string("/isa/serial@i3f8", "compatible", "ns16550a");
	EXPECT("/isa/serial@i3f8", "reg", 1, 0x3f8, 8);
	EXPECT("/isa/serial@i3f8", "interrupts", 4, 3);
	expect_string("/isa/rtc@i70", "compatible", "motorola,mc146818");
	EXPECT("/isa/rtc@i70", "interrupts", 8, 3);
	EXPECT("/isa/power@i600", "interrupts", 9, 1);
	EXPECT("/isa/fw-cfg@i510", "reg", 1, 0x510, 12);
	EXPECT("/isa/pvpanic@i505", "reg", 1, 0x505, 1);
	EXPECT("/isa/debug-exit@if4", "reg", 1, 0xf4, 4);
	EXPECT("/soc/pcie@e0000000", "reg", 0, 0xe0000000, 0, 0x100000);
	EXPECT("/soc/interrupt-controller@fec00000", "phandle", 1);
	EXPECT("/", "interrupt-parent", 1);
	expect_string("/soc/virtio@feb01000", "compatible", "virtio,mmio");
	EXPECT("/soc/virtio@feb01000", "interrupts", 21, 3);
	ck_assert_ptr_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-start", NULL));
	expect_dtc_is_content();
	end();
}
END_TEST

START_TEST(test_what_is_booted_is_in_the_tree)
{
	char words[128];

	snprintf(words, sizeof(words), "--initrd %s --disk path=%%s", initrd_path);
	make(words);
	describe();
	EXPECT("/chosen", "linux,initrd-start", 0, 0x03fff000);
	EXPECT("/chosen", "linux,initrd-end", 0, 0x03fff006);
	EXPECT("/memory@0", "reg", 0, 0, 0, 0x04000000);
	ck_assert_int_lt(fdt_path_offset(tree, "/soc/virtio@feb00000"), 0);
	ck_assert_int_lt(fdt_path_offset(tree, "/isa/debug-exit@if4"), 0);
	expect_dtc_is_content();
	end();
}
END_TEST

static void save(void)
{
	struct dtb t;

	free(tree);
	dtb_create(&t);
	dtb_begin(&t, "");
	machine_save_devices(machine, &t);
	dtb_end(&t);
	tree = dtb_finish(&t, &len);
	ck_assert_ptr_nonnull(tree);
}

static int load(void)
{
	struct state_in in;

	ck_assert_int_eq(state_open(&in, tree, len, &err), 0);
	return machine_load_devices(machine, &in, &err);
}

#define MACHINE "--disk path=%s,id=root --debug-exit 0xf4"

START_TEST(test_state_of_all_devices)
{
	void *changed;

	make(MACHINE);
	save();
	ck_assert_int_eq(fdt_setprop_inplace(tree, node("/devices/serial0"), "scr", "\x5a", 1), 0);
	ck_assert_int_eq(fdt_setprop_inplace(tree, node("/devices/disk-root"), "status", "\1", 1),
			 0);
	ck_assert_int_eq(
		fdt_setprop_inplace(tree, node("/devices/pci"), "config-address", "\x80\0\0\0", 4),
		0);
	changed = tree;
	tree = NULL;
	end();
	tree = changed;
	make(MACHINE);
	ck_assert_msg(!load(), "%s", err.text);
	changed = memcpy(malloc(len), tree, len);
	save();
	ck_assert_mem_eq(tree, changed, len);
	free(changed);
	end();
}
END_TEST

/* Another machine is none that this state is of. */
START_TEST(test_state_of_another_machine)
{
	static const struct {
		const char *words, *named;
	} other[] = {
		{"--disk path=%s,id=root", "debug-exit"},
		{"--disk path=%s,id=other --debug-exit 0xf4", "disk-other"},
		{"--debug-exit 0xf4", "function"},
		{"--disk path=%s,id=root --debug-exit 0xf0", "port"},
		{"--disk path=%s,id=root,addr=9 --debug-exit 0xf4", "function"},
		{"--disk path=%s,id=root,readonly=on --debug-exit 0xf4", "features"},
		{"--disk path=%s,id=root,serial=1 --debug-exit 0xf4", "serial"},
		{"--disk path=%s,id=root,transport=mmio --debug-exit 0xf4", "function"},
		{"--disk path=%s,id=root --debug-exit 0xf4 --fw-cfg opt/x=%s", "files"},
	};
	void *saved;
	size_t saved_len;

	make(MACHINE);
	save();
	saved = tree;
	saved_len = len;
	tree = NULL;
	end();
	for (unsigned int i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		tree = memcpy(malloc(saved_len), saved, saved_len);
		len = saved_len;
		make(other[i].words);
		ck_assert_msg(load() < 0, "%s", other[i].words);
		ck_assert_msg(strstr(err.text, other[i].named), "%s: '%s'", other[i].words,
			      err.text);
		end();
	}
	free(saved);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("machine");
	TCase *tc = tcase_create("machine");

	tcase_add_checked_fixture(tc, make_files, remove_files);
	tcase_add_test(tc, test_as_a_device_tree);
	tcase_add_test(tc, test_as_a_whole);
	tcase_add_test(tc, test_what_is_booted_is_in_the_tree);
	tcase_add_test(tc, test_state_of_all_devices);
	tcase_add_test(tc, test_state_of_another_machine);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
