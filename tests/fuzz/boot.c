// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The boot loaders: any file as a kernel, with an initrd or a module. It is refused with one line
 * that names it, or the vCPU begins in memory, and the loader's memory map is what it was.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <sys/mman.h>
#include <unistd.h>

#include "boot/boot.h"
#include "platform/layout.h"
#include "tests/fuzz/fuzz.h"

/* Its first byte says what else there is; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int kernel = -1, initrd = -1;
	static char path[32], initrd_path[32];
	static struct mem mem;
	struct boot_config cfg = {.cmdline = "console=ttyS0", .kernel = path};
	const char *modules[1] = {initrd_path};
	struct boot_entry entry;
	struct error e;
	int ret;

	if (kernel < 0) {
		kernel = memfd_create("kernel", 0);
		initrd = memfd_create("initrd", 0);
		must(kernel >= 0 && initrd >= 0 && write(initrd, "initrd", 6) == 6);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel);
		snprintf(initrd_path, sizeof(initrd_path), "/proc/self/fd/%d", initrd);
		/* Small, so that what loads costs little. */
		must(!mem_add_ram(&mem, 0, MiB(12), &e));
	}
	if (!size)
		return 0;
	if (data[0] & 1)
		cfg.initrd = initrd_path;
	if (data[0] & 2) {
		cfg.modules = modules;
		cfg.nr_modules = 1;
	}
	must(!ftruncate(kernel, 0));
	must(pwrite(kernel, data + 1, size - 1, 0) == (ssize_t)size - 1);

	e.text[0] = '\0';
	ret = boot_load(&mem, &cfg, &entry, &e);
	if (ret) {
		must(ret < 0 && strstr(e.text, "/proc/self/fd/") && !strchr(e.text, '\n'));
		return 0;
	}
	must(mem_write(&mem, entry.gprs.rip, 1) && entry.gprs.rip >= LAYOUT_LOADER_END);
	must(mem_write(&mem, entry.sregs.gdt.base, entry.sregs.gdt.limit + 1));
	return 0;
}
