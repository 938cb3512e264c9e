// SPDX-License-Identifier: GPL-2.0-or-later
/* Recognises the kernel's format and hands it to that protocol's loader. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot/loader.h"

int loader_bad_kernel(const struct loader *l, struct error *e, const char *reason)
{
	return error_set(e, ENOEXEC, "kernel %s: %s", l->kernel.path, reason);
}

int loader_put_cmdline(struct loader *l, size_t max, struct error *e)
{
	size_t len = strlen(l->cmdline);

	if (max > LAYOUT_CMDLINE_MAX - 1)
		max = LAYOUT_CMDLINE_MAX - 1;
	if (len > max)
		return error_set_at(e, E2BIG, "cmdline",
				    "the command line has %zu characters, kernel %s takes %zu; "
				    "shorten it",
				    len, l->kernel.path, max);
	memcpy(l->low + LAYOUT_CMDLINE, l->cmdline, len + 1);
	return 0;
}

static int initrd_place(const struct loader *l, uint64_t size, uint64_t max_end, uint64_t kernel,
			uint64_t kernel_end, uint64_t *gpa)
{
	uint64_t top = max_end < l->low_end ? max_end : l->low_end;

	if (size <= top && align_down(top - size, KiB(4)) >= kernel_end) {
		*gpa = align_down(top - size, KiB(4));
		return 0;
	}
	/* In a small guest, the room between 1 MiB and the kernel may do. */
	top = top < kernel ? top : kernel;
	if (size <= top && align_down(top - size, KiB(4)) >= LAYOUT_KERNEL) {
		*gpa = align_down(top - size, KiB(4));
		return 0;
	}
	return -ENOSPC;
}

int loader_put_initrd(const struct loader *l, uint64_t max_end, uint64_t kernel,
		      uint64_t kernel_end, struct loaded *out, struct error *e)
{
	struct host_file f;
	int ret;

	*out = (struct loaded){0};
	if (!l->cfg->initrd)
		return 0;

	ret = host_file_open(l->cfg->files, &f, "initrd", l->cfg->initrd, e);
	if (ret)
		return error_about(e, ret, "initrd");
	if (!f.size)
		ret = error_set(e, EINVAL, "initrd %s: is empty; build it again or leave it out",
				f.path);
	else if (initrd_place(l, f.size, max_end, kernel, kernel_end, &out->gpa))
		ret = error_set_at(e, ENOSPC, "memory",
				   "initrd %s: its %llu KiB do not fit in guest memory beside the "
				   "kernel; give the guest more memory or a smaller initrd",
				   f.path, (unsigned long long)((f.size + 1023) >> 10));
	else
		ret = host_file_load(&f, 0, f.size, l->mem, out->gpa, e);
	out->size = f.size;
	host_file_close(&f);
	return error_about(e, ret, "initrd");
}

static int load(struct loader *l, struct boot_entry *out, struct error *e)
{
	int ret;

	if (!l->kernel.size)
		return loader_bad_kernel(l, e, "is empty; copy or build it again");
	l->head_len = l->kernel.size < LOADER_HEAD ? l->kernel.size : LOADER_HEAD;
	ret = host_file_read(&l->kernel, 0, l->head, l->head_len, e);
	if (ret)
		return ret;

	if (!linux_probe(l) && multiboot_probe(l))
		return multiboot_load(l, out, e);
	if (l->cfg->nr_modules)
		return error_set_at(e, EINVAL, "modules",
				    "kernel %s: is not a Multiboot kernel, and only those take "
				    "modules; give Linux an initrd",
				    l->kernel.path);
	if (linux_probe(l))
		return linux_load(l, out, e);
	if (pvh_probe(l))
		return pvh_load(l, out, e);
	return loader_bad_kernel(
		l, e,
		"is no kernel known here (bzImage, ELF with a PVH note, Multiboot 1), "
		"or is damaged; name another file");
}

int boot_load(const struct mem *m, const struct boot_config *cfg, struct boot_entry *out,
	      struct error *e)
{
	struct loader *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return error_set(e, ENOMEM, "out of memory");
	l->mem = m;
	l->cfg = cfg;
	l->cmdline = cfg->cmdline ? cfg->cmdline : "";
	l->low = mem_write(m, 0, MiB(1));
	l->low_end = memmap_low_end(m);
	memmap_build(m, &l->map);
	memset(out, 0, sizeof(*out));

	if (!l->low || l->low_end <= LAYOUT_KERNEL) {
		ret = error_set_at(e, ENOSPC, "memory",
				   "the guest has too little memory for a kernel; give it more");
	} else {
		ret = host_file_open(cfg->files, &l->kernel, "kernel", cfg->kernel, e);
		if (!ret) {
			ret = load(l, out, e);
			host_file_close(&l->kernel);
		}
		error_about(e, ret, "kernel");
	}
	free(l);
	return ret;
}
