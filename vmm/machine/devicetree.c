// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes the machine's device tree. Names and properties are those of the specification and of the public bindings that
 * Linux documents; for x86 those of Intel's CE4100.
 */
#include <stdio.h>

#include "irqchip/ioapic.h"
#include "machine/devicetree.h"
#include "platform/layout.h"

#define LAPIC_LEN 0x1000

static void write_chosen(struct dtb *t, const struct devicetree *c)
{
	char console[32];

	dtb_begin(t, "chosen");
	dtb_string(t, "bootargs", c->cmdline);
	snprintf(console, sizeof(console), "/isa/serial@i%x", PORT_COM1);
	dtb_string(t, "stdout-path", console);
	if (c->initrd_len) {
		DTB_CELLS(t, "linux,initrd-start", DTB_U64(c->initrd));
		DTB_CELLS(t, "linux,initrd-end", DTB_U64(c->initrd + c->initrd_len));
	}
	dtb_end(t);
}

static void write_cpus(struct dtb *t, unsigned int cpus)
{
	dtb_begin(t, "cpus");
	dtb_cell(t, "#address-cells", 1);
	dtb_cell(t, "#size-cells", 0);
	for (unsigned int i = 0; i < cpus; i++) {
		dtb_begin_at(t, "cpu", i);
		dtb_string(t, "device_type", "cpu");
		dtb_string(t, "compatible", "hv,vcpu");
		dtb_cell(t, "reg", i);
		dtb_end(t);
	}
	dtb_end(t);
}

static void write_memory(struct dtb *t, const struct mem *mem)
{
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		dtb_begin_at(t, "memory", mem->region[i].gpa);
		dtb_string(t, "device_type", "memory");
		DTB_CELLS(t, "reg", DTB_U64(mem->region[i].gpa), DTB_U64(mem->region[i].len));
		dtb_end(t);
	}
}

/* Without the interrupt controllers that PCs had before, nothing has to be switched over to it. */
static void write_lapic(struct dtb *t)
{
	dtb_begin_at(t, "interrupt-controller", LAYOUT_LAPIC);
	dtb_string(t, "compatible", "intel,ce4100-lapic");
	describe_memory(t, LAYOUT_LAPIC, LAPIC_LEN);
	dtb_empty(t, "interrupt-controller");
	dtb_cell(t, "#interrupt-cells", 2);
	dtb_cell(t, "#address-cells", 0);
	dtb_empty(t, "intel,virtual-wire-mode");
	dtb_end(t);
}

static void write_soc(struct dtb *t, const struct devicetree *c)
{
	const struct description d = {.soc = t};

	dtb_begin(t, "soc");
	dtb_string(t, "compatible", "simple-bus");
	dtb_cell(t, "#address-cells", 2);
	dtb_cell(t, "#size-cells", 2);
	dtb_empty(t, "ranges");
	write_lapic(t);
	c->describe(c->arg, &d);
	dtb_end(t);
}

/* Ports are nowhere in memory, so there are no ranges. */
static void write_isa(struct dtb *t, const struct devicetree *c)
{
	const struct description d = {.isa = t};

	dtb_begin(t, "isa");
	dtb_string(t, "compatible", "isa");
	dtb_string(t, "device_type", "isa");
	dtb_cell(t, "#address-cells", 2);
	dtb_cell(t, "#size-cells", 1);
	c->describe(c->arg, &d);
	dtb_end(t);
}

void devicetree_write(struct dtb *t, const struct devicetree *c)
{
	dtb_begin(t, "");
	dtb_string(t, "model", c->model);
	dtb_string(t, "compatible", "hv,machine");
	dtb_cell(t, "#address-cells", 2);
	dtb_cell(t, "#size-cells", 2);
	dtb_cell(t, "interrupt-parent", IOAPIC_PHANDLE);
	write_chosen(t, c);
	write_cpus(t, c->cpus);
	write_memory(t, c->mem);
	write_soc(t, c);
	write_isa(t, c);
	dtb_end(t);
}
