// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Initial register state of the boot processor. The loaders call this last and
 * then set the general registers that their protocol defines.
 */
#include <string.h>

#include "boot/regs.h"
#include "platform/layout.h"
#include "x86.h"

#define PTE_P  0x01ULL
#define PTE_RW 0x02ULL
#define PTE_PS 0x80ULL

/* Both VM-entry checks and VMRUN want accessed code/data and a busy TSS. */
#define TYPE_DATA 0x3
#define TYPE_CODE 0xb
#define TYPE_TSS  0xb

static void put64(uint8_t *low, uint64_t gpa, uint64_t value)
{
	memcpy(low + gpa, &value, sizeof(value));
}

/* Intel SDM Vol. 3, 3.4.5 "Segment Descriptors" */
static uint64_t descriptor(const struct hv_segment *s)
{
	uint64_t limit = s->ar & HV_AR_G ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | (uint64_t)(s->ar & 0xff) << 40 |
	       (limit >> 16 & 0xf) << 48 | (uint64_t)(s->ar >> 12 & 0xf) << 52 |
	       (s->base >> 24 & 0xff) << 56;
}

static void common(uint8_t *low, struct boot_entry *out, uint64_t rip, uint32_t code_ar)
{
	struct hv_sregs *s = &out->sregs;
	const struct hv_segment data = {
		.limit = 0xffffffff,
		.ar = TYPE_DATA | HV_AR_S | HV_AR_P | HV_AR_DB | HV_AR_G,
		.selector = REGS_DS,
	};

	memset(out, 0, sizeof(*out));
	out->gprs.rip = rip;
	out->gprs.rflags = 0x2;

	s->cs = (struct hv_segment){
		.limit = 0xffffffff,
		.ar = TYPE_CODE | HV_AR_S | HV_AR_P | HV_AR_G | code_ar,
		.selector = REGS_CS,
	};
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct hv_segment){.limit = 0x67, .ar = TYPE_TSS | HV_AR_P};
	s->ldt = (struct hv_segment){.ar = HV_AR_UNUSABLE};
	s->gdt.base = LAYOUT_BOOT_GDT;
	s->gdt.limit = REGS_DS + 7;
	/* Nothing is there; only, it is not the empty one by which a guest asks for a reset (vcpu.c). */
	s->idt.limit = 0xffff;
	s->cr0 = CR0_PE | CR0_ET;
	s->xcr0 = 1;
	s->apic_base = LAYOUT_LAPIC | 0x900; /* enabled, boot processor */

	memset(low + LAYOUT_BOOT_GDT, 0, REGS_CS);
	put64(low, LAYOUT_BOOT_GDT + REGS_CS, descriptor(&s->cs));
	put64(low, LAYOUT_BOOT_GDT + REGS_DS, descriptor(&s->ds));
}

void regs_protected32(uint8_t *low, struct boot_entry *out, uint32_t eip)
{
	common(low, out, eip, HV_AR_DB);
}

/* Intel SDM Vol. 3, 4.5 "4-Level Paging": one PML4, one PDPT, four PDs of 2 MiB pages. */
static void identity_map(uint8_t *low)
{
	const uint64_t pml4 = LAYOUT_BOOT_PAGES, pdpt = pml4 + KiB(4), pd = pdpt + KiB(4);

	memset(low + pml4, 0, KiB(8));
	put64(low, pml4, pdpt | PTE_P | PTE_RW);
	for (uint64_t i = 0; i < 4; i++)
		put64(low, pdpt + 8 * i, (pd + KiB(4) * i) | PTE_P | PTE_RW);
	for (uint64_t i = 0; i < 4 * 512; i++)
		put64(low, pd + 8 * i, MiB(2) * i | PTE_P | PTE_RW | PTE_PS);
}

void regs_long64(uint8_t *low, struct boot_entry *out, uint64_t rip)
{
	common(low, out, rip, HV_AR_L);
	identity_map(low);
	out->gprs.r[HV_RSP] = LAYOUT_BOOT_STACK;
	out->sregs.cr0 |= CR0_PG;
	out->sregs.cr3 = LAYOUT_BOOT_PAGES;
	out->sregs.cr4 = CR4_PAE;
	out->sregs.efer = EFER_LME | EFER_LMA;
}
