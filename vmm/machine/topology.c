// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU topology in CPUID. Intel SDM Vol. 2, CPUID, leaves 1, 4 and 0xb; AMD APM
 * Vol. 3, appendix E, leaves 8000_0001, 8000_0008, 8000_001D and 8000_001E.
 * Called by machine.c for each vCPU.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/topology.h"

#define INTEL_EBX 0x756e6547 /* "Genu", of leaf 0 */

/* Bits of the APIC id that tell the cores of a package apart. */
static unsigned int id_bits(unsigned int cpus)
{
	unsigned int bits = 0;

	while (1U << bits < cpus)
		bits++;
	return bits;
}

static void set_field(uint32_t *reg, unsigned int low, unsigned int width, uint32_t value)
{
	uint32_t mask = ((1U << width) - 1) << low;

	*reg = (*reg & ~mask) | (value << low & mask);
}

/*
 * Leaves 4 and 8000_001D begin alike: EAX[4:0] is the type, 0 behind the last
 * cache; EAX[7:5] the level; EAX[25:14] the ids that share it, minus 1. The third
 * level is the package's, the others are each core's own.
 */
static void set_cache(uint32_t *eax, unsigned int bits)
{
	unsigned int level = *eax >> 5 & 7;

	set_field(eax, 14, 12, level >= 3 ? (1U << bits) - 1 : 0);
}

/* Leaf 0xb: index 0 is the level of threads, 1 that of cores, 2 the end. */
static void set_level(struct hv_cpuid_entry *e, unsigned int cpus, unsigned int id)
{
	if (e->index == 1) {
		e->eax = id_bits(cpus);
		e->ebx = cpus;
	}
	e->edx = id;
}

static void set_leaf(struct hv_cpuid_entry *e, unsigned int cpus, unsigned int id)
{
	unsigned int bits = id_bits(cpus);

	switch (e->function) {
	case 1:
		set_field(&e->ebx, 16, 8, cpus);
		set_field(&e->ebx, 24, 8, id);
		/* HTT: EBX[23:16] is valid */
		set_field(&e->edx, 28, 1, cpus > 1);
		break;
	case 4:
		if (e->eax & 0x1f) {
			set_cache(&e->eax, bits);
			set_field(&e->eax, 26, 6, (1U << bits) - 1);
		}
		break;
	case 0xb:
		set_level(e, cpus, id);
		break;
	}
}

/* Leaves that mean nothing, and must be zero, on Intel's processors. */
static void set_amd_leaf(struct hv_cpuid_entry *e, unsigned int cpus, unsigned int id)
{
	unsigned int bits = id_bits(cpus);

	switch (e->function) {
	case 0x80000001:
		/* CmpLegacy: EBX[23:16] of leaf 1 counts cores, not threads */
		set_field(&e->ecx, 1, 1, cpus > 1);
		break;
	case 0x80000008:
		set_field(&e->ecx, 0, 8, cpus - 1);
		set_field(&e->ecx, 12, 4, bits);
		break;
	case 0x8000001d:
		if (e->eax & 0x1f)
			set_cache(&e->eax, bits);
		break;
	case 0x8000001e:
		/* Extended APIC id; core id, one thread a core; node 0 of 1 */
		e->eax = id;
		e->ebx = id;
		e->ecx = 0;
		break;
	}
}

void topology_apply(struct hv_cpuid_entry *entries, unsigned int count, unsigned int cpus,
		    unsigned int id)
{
	bool intel = false;

	for (unsigned int i = 0; i < count; i++)
		intel |= entries[i].function == 0 && entries[i].ebx == INTEL_EBX;
	for (unsigned int i = 0; i < count; i++) {
		set_leaf(&entries[i], cpus, id);
		if (!intel)
			set_amd_leaf(&entries[i], cpus, id);
	}
}
