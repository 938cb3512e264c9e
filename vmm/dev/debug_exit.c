// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The debug exit port: any write of 1, 2 or 4 bytes ends the VM. It lets test
 * guests report a result without an operating system. Called by the PIO bus.
 */
#include <errno.h>
#include <stdlib.h>

#include "acpi/describe.h"
#include "dev/debug_exit.h"

struct debug_exit {
	struct bus *pio;
	uint16_t port;
	void (*fn)(void *arg, uint32_t value);
	void *arg;
};

static uint64_t port_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void port_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct debug_exit *d = dev;

	(void)offset;
	(void)size;
	d->fn(d->arg, (uint32_t)value);
}

static const struct bus_ops port_ops = {
	.read = port_read,
	.write = port_write,
};

struct debug_exit *debug_exit_create(struct bus *pio, uint16_t port,
				     void (*fn)(void *arg, uint32_t value), void *arg,
				     struct error *e)
{
	struct debug_exit *d;
	int ret;

	if (port > UINT16_MAX - DEBUG_EXIT_PORTS + 1) {
		error_set(e, EINVAL, "debug exit port %#x: the %d ports from there pass 0xffff",
			  port, DEBUG_EXIT_PORTS);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		error_set(e, ENOMEM, "out of memory for the debug exit port");
		return NULL;
	}
	d->pio = pio;
	d->port = port;
	d->fn = fn;
	d->arg = arg;

	ret = bus_add(pio, port, DEBUG_EXIT_PORTS, &port_ops, d);
	if (ret < 0) {
		error_set(e, -ret,
			  "debug exit port %#x: taken by another device; choose a free one, "
			  "such as 0xf4",
			  port);
		free(d);
		return NULL;
	}
	return d;
}

void debug_exit_destroy(void *dev)
{
	struct debug_exit *d = dev;

	if (!d)
		return;
	bus_remove(d->pio, d->port, d);
	free(d);
}

static const struct state_property properties[] = {
	{STATE_UINT(struct debug_exit, port, "port", UINT16_MAX), .same = true},
};

static const struct state_format format = STATE_FORMAT("debug-exit", 1, properties);

static void save(void *dev, struct dtb *out)
{
	state_put(out, &format, dev);
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	struct debug_exit new;

	return state_get_leaf(in, &format, dev, &new, e);
}

/* Not in ACPI: the guests that use it have no interpreter for that. */
static void describe(void *dev, const struct description *d)
{
	const struct debug_exit *x = dev;
	const struct port_device ports = {
		.node = "debug-exit",
		.compatible = "hv,debug-exit",
		.port = x->port,
		.len = DEBUG_EXIT_PORTS,
	};

	describe_ports(d, &ports);
}

const struct device_ops debug_exit_device = {
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = debug_exit_destroy,
};
