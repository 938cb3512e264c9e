// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A host that runs short: every allocation and every descriptor that making something takes fails in
 * turn. It is refused with a reason, nothing is left behind, and the next try works.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "block/file.h"
#include "chardev/console.h"
#include "config/config.h"
#include "dev/debug_exit.h"
#include "dev/fw_cfg.h"
#include "dev/power.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "host/loop.h"
#include "irqchip/ioapic.h"
#include "pci/pci.h"
#include "virtio/blk.h"
#include "virtio/rng.h"
#include "virtio/virtio_pci.h"
#include "boot/boot_image.h"
#include "console_spec.h"
#include "suite.h"

static struct bus *pio, *mmio;
static struct loop *loop;
static struct pci_host *host;
static char disk_path[64];

static void no_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	(void)pin;
	(void)level;
}

static int no_message(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)addr;
	(void)data;
	return 0;
}

static int no_bind(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)fd;
	(void)addr;
	(void)data;
	return 0;
}

static int no_unbind(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int no_doorbell(void *ctx, int fd, bool is_pio, uint64_t addr, unsigned int len,
		       const uint64_t *match)
{
	(void)match;
	(void)ctx;
	(void)fd;
	(void)is_pio;
	(void)addr;
	(void)len;
	return 0;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void no_event(void *arg, int fd, uint32_t events)
{
	(void)arg;
	(void)fd;
	(void)events;
}

static struct virtio_env environment(void)
{
	static struct virtio_pci_bus pci;

	pci = (struct virtio_pci_bus){
		.host = host,
		.msi = {no_message, no_bind, no_unbind, NULL},
		.doorbell = {no_doorbell, no_doorbell, NULL},
	};
	return (struct virtio_env){
		.mem = &mem,
		.loop = loop,
		.attach = virtio_pci_attach,
		.bus = &pci,
	};
}

/* Make one of each kind and take it away again: true if there was one. */

static bool make_bus(void)
{
	struct bus *bus = bus_create();
	bool made = bus && !bus_add(bus, 0, 8, &(const struct bus_ops){0}, NULL);

	if (!made)
		error_set(&err, ENOMEM, "no bus");
	bus_destroy(bus);
	return made;
}

static bool make_loop(void)
{
	struct loop *one = loop_create();
	struct loop_timer *timer = one ? loop_timer_create(one, nothing, NULL) : NULL;
	bool made = timer && !loop_add_fd(one, STDERR_FILENO, 0, no_event, NULL);

	if (!made)
		error_set(&err, ENOMEM, "no loop");
	loop_timer_destroy(timer);
	loop_destroy(one);
	return made;
}

static bool make_pci_host(void)
{
	struct bus *a = bus_create(), *b = bus_create();
	struct pci_host *one = a && b ? pci_host_create(a, b, &err) : NULL;

	if (!a || !b)
		error_set(&err, ENOMEM, "no bus");
	pci_host_destroy(one);
	bus_destroy(a);
	bus_destroy(b);
	return one;
}

static bool make_disk(bool no_uring)
{
	struct block_config c = {.path = disk_path, .no_uring = no_uring};
	struct block *one = block_open(&c, &err);

	block_close(one);
	return one;
}

static bool make_uring_disk(void)
{
	return make_disk(false);
}

static bool make_thread_disk(void)
{
	return make_disk(true);
}

static bool make_blk(void)
{
	struct blk_config c = {.path = disk_path};
	struct virtio_env env = environment();
	struct virtio_blk *one = virtio_blk_create(&env, &c, &err);

	virtio_blk_destroy(one);
	return one;
}

static bool make_rng(void)
{
	struct virtio_env env = environment();
	struct virtio_rng *one = virtio_rng_create(&env, &err);

	virtio_rng_destroy(one);
	return one;
}

static bool make_console_at(const char *spec)
{
	struct console *one = open_console(spec, loop, &err);

	console_close(one);
	return one;
}

static bool make_console(void)
{
	return make_console_at("unix=@hv-test-shortage");
}

static bool make_console_file(void)
{
	char spec[80];

	snprintf(spec, sizeof(spec), "file=%s", disk_path);
	return make_console_at(spec);
}

static bool make_console_pty(void)
{
	return make_console_at("pty");
}

static bool make_fw_cfg(void)
{
	struct fw_cfg *one = fw_cfg_create(pio, &mem, &err);
	bool made = one && !fw_cfg_add_machine(one, 1, MiB(1), "quiet", &err) &&
		    !fw_cfg_add_host_file(one, "opt/a", disk_path, &err);

	fw_cfg_destroy(one);
	return made;
}

static bool make_ioapic(void)
{
	const struct msi_sink sink = {no_message, no_bind, no_unbind, NULL};
	struct ioapic *one = ioapic_create(mmio, &sink, &err);

	ioapic_destroy(one);
	return one;
}

static bool make_rtc(void)
{
	struct rtc *one = rtc_create(pio, loop, (struct irq_line){.set = no_line}, &err);

	rtc_destroy(one);
	return one;
}

static bool make_pvpanic(void)
{
	struct pvpanic *one = pvpanic_create(pio, nothing, NULL, &err);

	pvpanic_destroy(one);
	return one;
}

/* The kernel is there before anything runs short. */
static void write_pvh(void)
{
	struct image i;

	make_elf64(&i, 0, ELF_TEXT, 8);
	write_file(kernel_path, i.data, i.len);
}

static bool load_pvh(void)
{
	return !boot((struct boot_config){.initrd = disk_path});
}

static void write_flat(void)
{
	struct image i;

	make_flat(&i);
	write_file(kernel_path, i.data, i.len);
}

static bool load_modules(void)
{
	const char *modules[] = {disk_path, disk_path};

	return !boot((struct boot_config){.modules = modules, .nr_modules = 2});
}

static bool make_config(void)
{
	char *argv[] = {"run",	    "--kernel",		 "k",	     "--disk",	  "path=a,serial=x",
			"--fw-cfg", "name=opt/a,file=b", "--module", "f a",	  "--name",
			"n",	    "--cmdline",	 "c",	     "--console", "none",
			NULL};
	struct config c = {0};
	int ret = config_parse(sizeof(argv) / sizeof(argv[0]) - 1, argv, &c, &err);

	config_destroy(&c);
	return !ret;
}

/* jansson's allocations are among those that fail. */
static void write_config(void)
{
	static const char text[] = "{\"kernel\": \"k\", \"disks\": [{\"path\": \"a\"}]}";

	json_set_alloc_funcs(malloc, free);
	write_file(kernel_path, text, strlen(text));
}

static bool make_config_file(void)
{
	char *argv[] = {"run", "--config", kernel_path, NULL}, *text = NULL;
	struct config c = {0};
	int ret = config_parse(3, argv, &c, &err);
	size_t size;
	FILE *out;

	if (!ret) {
		out = open_memstream(&text, &size);
		ret = config_print(&c, out, &err);
		fclose(out);
		free(text);
	}
	config_destroy(&c);
	return !ret;
}

static const struct kind {
	const char *name;
	bool (*make)(void);
	bool descriptors; /* it takes some that can fail */
	void (*prepare)(void);
} kinds[] = {
	{"bus", make_bus, false, NULL},
	{"loop", make_loop, true, NULL},
	{"PCI host", make_pci_host, false, NULL},
	{"disk with io_uring", make_uring_disk, true, NULL},
	{"disk with a thread", make_thread_disk, true, NULL},
	{"virtio-blk", make_blk, true, NULL},
	{"virtio-rng", make_rng, true, NULL},
	{"console", make_console, true, NULL},
	{"console's file", make_console_file, true, NULL},
	{"console's pseudo-terminal", make_console_pty, true, NULL},
	{"fw_cfg", make_fw_cfg, true, NULL},
	{"I/O APIC", make_ioapic, false, NULL},
	{"RTC", make_rtc, false, NULL},
	{"pvpanic", make_pvpanic, false, NULL},
	{"PVH kernel", load_pvh, true, write_pvh},
	{"Multiboot modules", load_modules, true, write_flat},
	{"configuration", make_config, false, NULL},
	{"configuration file", make_config_file, true, write_config},
};
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void set_up(void)
{
	int fd;

	setup();
	pio = bus_create();
	mmio = bus_create();
	host = pci_host_create(pio, mmio, &err);
	loop = loop_create();
	ck_assert(host && loop);
	snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
	fd = open(disk_path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	close(fd);
}

static void tear_down(void)
{
	loop_destroy(loop);
	pci_host_destroy(host);
	bus_destroy(pio);
	bus_destroy(mmio);
	unlink(disk_path);
	teardown();
}

static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

START_TEST(each_allocation_fails)
{
	const struct kind *k = &kinds[_i];
	int fd = next_fd();
	bool made, failed = true;

	if (k->prepare)
		k->prepare();
	ck_assert_msg(k->make(), "%s: %s", k->name, err.text);
	written_off = true; /* its copies take memory, too */
	/* Until there are no more that could: without some it goes on, by other means. */
	for (unsigned int n = 1; failed; n++) {
		ck_assert_uint_lt(n, 100);
		err.text[0] = '\0';
		allocation_to_fail = n;
		made = k->make();
		failed = !allocation_to_fail;
		allocation_to_fail = 0;
		ck_assert_msg(made || (failed && err.text[0]), "%s: no reason is given", k->name);
		ck_assert_msg(failed || n > 1, "%s takes no memory", k->name);
		ck_assert_int_eq(next_fd(), fd);
	}
	ck_assert(k->make());
}
END_TEST

START_TEST(each_descriptor_fails)
{
	const struct kind *k = &kinds[_i];
	struct rlimit old, limit;
	int fd = next_fd();
	bool made = false;

	if (k->prepare)
		k->prepare();
	ck_assert_msg(k->make(), "%s: %s", k->name, err.text);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int left = 0; !made && k->descriptors; left++) {
		ck_assert_int_lt(left, 100);
		limit = (struct rlimit){.rlim_cur = fd + left, .rlim_max = old.rlim_max};
		err.text[0] = '\0';
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		made = k->make();
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		ck_assert_msg(made || err.text[0], "%s: no reason is given", k->name);
		ck_assert_msg(!made || left, "%s takes no descriptor", k->name);
		ck_assert_int_eq(next_fd(), fd);
	}
	ck_assert(k->make());
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shortage");
	TCase *tc = tcase_create("shortage");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, each_allocation_fails, 0, NR_KINDS);
	tcase_add_loop_test(tc, each_descriptor_fails, 0, NR_KINDS);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
