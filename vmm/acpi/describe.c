// SPDX-License-Identifier: GPL-2.0-or-later
/* What descriptions of several devices have in common. Called by their describe(). */
#include <stdio.h>

#include "acpi/describe.h"

void describe_port_node(struct dtb *isa, const char *name, const char *compatible, uint16_t port,
			uint8_t len)
{
	char full[48];

	snprintf(full, sizeof(full), "%s@i%x", name, port);
	dtb_begin(isa, full);
	dtb_string(isa, "compatible", compatible);
	DTB_CELLS(isa, "reg", 1, port, len);
}

void describe_memory(struct dtb *soc, uint64_t addr, uint64_t len)
{
	DTB_CELLS(soc, "reg", DTB_U64(addr), DTB_U64(len));
}

static void in_acpi(struct aml *a, const struct port_device *p)
{
	size_t dev = aml_known_device(a, p->aml, p->hid);
	struct aml_crs crs = aml_crs(a);

	aml_crs_io(a, p->port, p->len);
	if (p->gsi)
		aml_crs_interrupt(a, p->gsi, true);
	aml_crs_end(a, crs);
	aml_end(a, dev);
}

void describe_ports(const struct description *d, const struct port_device *p)
{
	if (d->aml && p->aml)
		in_acpi(d->aml, p);
	if (!d->isa)
		return;
	describe_port_node(d->isa, p->node, p->compatible, p->port, p->len);
	if (p->gsi)
		DTB_CELLS(d->isa, "interrupts", p->gsi, DTB_EDGE_RISING);
	if (p->clock)
		dtb_cell(d->isa, "clock-frequency", p->clock);
	dtb_end(d->isa);
}
