// SPDX-License-Identifier: GPL-2.0-or-later
/* "vmm run --dump-dtb FILE": a machine that is described and not started. Called by run.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "chardev/console.h"
#include "cmd/dump.h"
#include "host/loop.h"
#include "machine/machine.h"
#include "resource.h"

static int write_file(const char *path, const void *data, size_t len, struct error *e)
{
	int fd = resource_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool written;
	int err;

	if (!f)
		return error_set_at(e, errno, "dump-dtb", "cannot write '%s': %s", path,
				    strerror(errno));
	written = fwrite(data, 1, len, f) == len;
	if (!fclose(f) && written)
		return 0;
	err = errno ? errno : EIO;
	return error_set_at(e, err, "dump-dtb", "cannot write '%s': %s", path, strerror(err));
}

static int dump(const struct config *config, struct loop *loop, struct console *console,
		struct error *e)
{
	struct machine *m = machine_create_unpowered(config, loop, console, e);
	size_t len;
	void *tree;
	int ret;

	if (!m)
		return -EIO;
	ret = machine_describe(m, &tree, &len, e);
	machine_destroy(m);
	if (ret)
		return ret;
	ret = write_file(config->dump_dtb, tree, len, e);
	free(tree);
	return ret;
}

int dump_dtb(const struct config *config, struct error *e)
{
	struct loop *loop = loop_create();
	struct console *console = loop ? console_open(loop, e) : NULL;
	int ret;

	if (!loop)
		ret = error_set(e, errno, "cannot create the event loop: %s", strerror(errno));
	else
		ret = console ? dump(config, loop, console, e) : -EIO;
	console_close(console);
	loop_destroy(loop);
	return ret;
}
