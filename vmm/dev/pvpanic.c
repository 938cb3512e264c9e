// SPDX-License-Identifier: GPL-2.0-or-later
/* One port: reading tells which events we know, writing one of them reports it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/describe.h"
#include "dev/pvpanic.h"
#include "platform/layout.h"

#define EVENT_PANICKED 0x01

struct pvpanic {
	struct bus *pio;
	void (*fn)(void *arg);
	void *arg;
};

static uint64_t pvpanic_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return EVENT_PANICKED;
}

static void pvpanic_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pvpanic *p = dev;

	(void)offset;
	(void)size;
	if (value & EVENT_PANICKED)
		p->fn(p->arg);
}

static const struct bus_ops pvpanic_ops = {.read = pvpanic_read, .write = pvpanic_write};

struct pvpanic *pvpanic_create(struct bus *pio, void (*fn)(void *arg), void *arg, struct error *e)
{
	struct pvpanic *p = calloc(1, sizeof(*p));
	int ret = p ? bus_add(pio, PORT_PVPANIC, 1, &pvpanic_ops, p) : -ENOMEM;

	if (ret) {
		error_set(e, -ret, "cannot place the panic port at %#x: %s", PORT_PVPANIC,
			  strerror(-ret));
		free(p);
		return NULL;
	}
	p->pio = pio;
	p->fn = fn;
	p->arg = arg;
	return p;
}

void pvpanic_destroy(void *dev)
{
	struct pvpanic *p = dev;

	if (!p)
		return;
	bus_remove(p->pio, PORT_PVPANIC, p);
	free(p);
}

/* There is nothing to know of it but that it is there. */
static const struct state_format format = {.name = "pvpanic", .version = 1};

static void save(void *dev, struct dtb *out)
{
	state_put(out, &format, dev);
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	return state_get_leaf(in, &format, dev, dev, e);
}

static void describe(void *dev, const struct description *d)
{
	static const struct port_device ports = {
		.aml = "PEVT",
		.hid = "QEMU0001",
		.node = "pvpanic",
		.compatible = "qemu,pvpanic",
		.port = PORT_PVPANIC,
		.len = 1,
	};

	(void)dev;
	describe_ports(d, &ports);
}

const struct device_ops pvpanic_device = {
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = pvpanic_destroy,
};
