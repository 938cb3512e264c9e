// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Builds RSDP, XSDT, FADT, MADT, MCFG and the DSDT of the machine that machine.c
 * wires together. Section numbers are those of ACPI 6.5. All addresses, ports
 * and GSIs come from layout.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "acpi/acpi.h"
#include "include/uapi/hv.h"
#include "platform/layout.h"

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* 5.2.5.3 */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

/* 5.2.8 */
struct acpi_xsdt {
	struct acpi_header header;
	uint64_t table[3];
} __attribute__((packed));

/* 5.2.3.2 Generic Address Structure */
struct acpi_gas {
	uint8_t space;
	uint8_t bits;
	uint8_t offset;
	uint8_t access; /* 1: byte */
	uint64_t address;
} __attribute__((packed));

/* 5.2.9; what a hardware-reduced machine leaves zero has no name here. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t unused1[65];
	uint16_t iapc_boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_facs;
	uint64_t x_dsdt;
	uint8_t unused2[96];
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	uint64_t hypervisor_id;
} __attribute__((packed));

#define FADT_REVISION	    6
#define FADT_WBINVD	    (1U << 0)
#define FADT_PROC_C1	    (1U << 2)
#define FADT_PWR_BUTTON	    (1U << 4) /* a control method device, not fixed hardware */
#define FADT_SLP_BUTTON	    (1U << 5)
#define FADT_FIX_RTC	    (1U << 6) /* no wake-up by the clock in fixed hardware */
#define FADT_RESET_REG_SUP  (1U << 10)
#define FADT_HW_REDUCED	    (1U << 20)
#define BOOT_LEGACY_DEVICES (1U << 0)
#define BOOT_NO_VGA	    (1U << 2)
#define BOOT_NO_CMOS_RTC    (1U << 5)

/* 5.2.12; processors, the IOAPIC and the NMI line follow. */
struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags; /* bit 0, PCAT_COMPAT: there are 8259s. There are not. */
} __attribute__((packed));

struct madt_lapic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t uid;
	uint8_t apic_id;
	uint32_t flags; /* bit 0: enabled */
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type; /* 1 */
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));

struct madt_lapic_nmi {
	uint8_t type; /* 4 */
	uint8_t length;
	uint8_t uid;	/* 0xff: every processor */
	uint16_t flags; /* 0: as the bus has it */
	uint8_t lint;
} __attribute__((packed));

/* PCI Firmware Specification 3.3, 4.1.2 */
struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint32_t reserved2;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP, revision 2");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT, revision 6");
_Static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "FADT");
_Static_assert(offsetof(struct acpi_fadt, reset_reg) == 116, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "FADT");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "MADT local APIC NMI");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");

/* The tables' area in guest memory, filled from its beginning. */
struct area {
	uint8_t *base;
	size_t used;
};

static void *area_take(struct area *a, size_t len)
{
	size_t at = (a->used + 15) & ~(size_t)15;

	if (at > LAYOUT_ACPI_MAX || len > LAYOUT_ACPI_MAX - at)
		return NULL;
	a->used = at + len;
	return memset(a->base + at, 0, len);
}

static uint64_t area_gpa(const struct area *a, const void *p)
{
	return LAYOUT_ACPI + (uint64_t)((const uint8_t *)p - a->base);
}

static uint8_t checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len--)
		sum += *b++;
	return (uint8_t)-sum;
}

static struct acpi_header header(const char *signature, uint8_t revision, size_t length)
{
	struct acpi_header h = {
		.length = (uint32_t)length,
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};

	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem_id, "HV    ", sizeof(h.oem_id));
	memcpy(h.oem_table_id, "HVVMM   ", sizeof(h.oem_table_id));
	memcpy(h.creator_id, "HV  ", sizeof(h.creator_id));
	return h;
}

static void seal(struct acpi_header *h)
{
	h->checksum = 0;
	h->checksum = checksum(h, h->length);
}

static void dsdt_cpus(struct aml *a, unsigned int cpus)
{
	for (unsigned int i = 0; i < cpus; i++) {
		char name[16];
		size_t dev;

		snprintf(name, sizeof(name), "C%03X", i);
		dev = aml_known_device(a, name, "ACPI0007");
		aml_name(a, "_UID"); /* as in the MADT */
		aml_integer(a, i);
		aml_end(a, dev);
	}
}

static void dsdt_body(struct aml *a, const struct acpi_config *cfg)
{
	size_t scope, package;

	/* 7.4.2.6: the value for the sleep control register's SLP_TYP. */
	aml_name(a, "\\_S5");
	package = aml_package(a, 4);
	aml_integer(a, ACPI_SLEEP_S5);
	aml_integer(a, ACPI_SLEEP_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_end(a, package);

	scope = aml_scope(a, "\\_SB");
	dsdt_cpus(a, cfg->cpus);
	if (cfg->describe)
		cfg->describe(cfg->arg, a);
	aml_end(a, scope);
}

static struct acpi_header *build_dsdt(struct area *area, const struct acpi_config *cfg)
{
	struct acpi_header *dsdt = area_take(area, sizeof(*dsdt));
	struct aml a = {0};

	if (!dsdt)
		return NULL;
	a.buf = (uint8_t *)(dsdt + 1);
	a.max = LAYOUT_ACPI_MAX - area->used;
	dsdt_body(&a, cfg);
	if (a.full)
		return NULL;
	area->used += a.len;
	*dsdt = header("DSDT", 2, sizeof(*dsdt) + a.len);
	seal(dsdt);
	return dsdt;
}

static struct acpi_gas port(uint16_t address)
{
	return (struct acpi_gas){.space = 1, .bits = 8, .access = 1, .address = address};
}

static struct acpi_header *build_fadt(struct area *area, const struct acpi_config *cfg,
				      uint64_t dsdt)
{
	struct acpi_fadt *fadt = area_take(area, sizeof(*fadt));

	if (!fadt)
		return NULL;
	fadt->header = header("FACP", FADT_REVISION, sizeof(*fadt));
	fadt->dsdt = (uint32_t)dsdt;
	fadt->x_dsdt = dsdt;
	fadt->iapc_boot_arch = BOOT_NO_VGA | (cfg->legacy ? BOOT_LEGACY_DEVICES : 0) |
			       (cfg->rtc ? 0 : BOOT_NO_CMOS_RTC);
	fadt->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON |
		      FADT_FIX_RTC | FADT_RESET_REG_SUP | FADT_HW_REDUCED;
	fadt->reset_reg = port(PORT_ACPI_RESET);
	fadt->reset_value = ACPI_RESET_VALUE;
	fadt->sleep_control = port(PORT_ACPI_SLEEP);
	fadt->sleep_status = port(PORT_ACPI_SLEEP + 1);
	seal(&fadt->header);
	return &fadt->header;
}

static struct acpi_header *build_madt(struct area *area, const struct acpi_config *cfg)
{
	size_t len = sizeof(struct acpi_madt) + cfg->cpus * sizeof(struct madt_lapic) +
		     sizeof(struct madt_ioapic) + sizeof(struct madt_lapic_nmi);
	struct acpi_madt *madt = area_take(area, len);
	struct madt_lapic *lapic;
	struct madt_ioapic *ioapic;
	struct madt_lapic_nmi *nmi;

	if (!madt)
		return NULL;
	madt->header = header("APIC", 5, len);
	madt->lapic = LAYOUT_LAPIC;

	lapic = (struct madt_lapic *)(madt + 1);
	for (unsigned int i = 0; i < cfg->cpus; i++) {
		*lapic++ = (struct madt_lapic){
			.type = 0,
			.length = sizeof(*lapic),
			.uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = 1,
		};
	}
	ioapic = (struct madt_ioapic *)lapic;
	*ioapic = (struct madt_ioapic){
		.type = 1,
		.length = sizeof(*ioapic),
		.address = LAYOUT_IOAPIC,
	};
	nmi = (struct madt_lapic_nmi *)(ioapic + 1);
	*nmi = (struct madt_lapic_nmi){.type = 4, .length = sizeof(*nmi), .uid = 0xff, .lint = 1};
	seal(&madt->header);
	return &madt->header;
}

static struct acpi_header *build_mcfg(struct area *area)
{
	struct acpi_mcfg *mcfg = area_take(area, sizeof(*mcfg));

	if (!mcfg)
		return NULL;
	mcfg->header = header("MCFG", 1, sizeof(*mcfg));
	mcfg->base = LAYOUT_ECAM;
	mcfg->last_bus = (uint8_t)((LAYOUT_ECAM_LEN >> 20) - 1);
	seal(&mcfg->header);
	return &mcfg->header;
}

int acpi_build(const struct mem *m, const struct acpi_config *cfg, uint64_t *rsdp_gpa,
	       struct error *e)
{
	struct area area = {.base = mem_write(m, LAYOUT_ACPI, LAYOUT_ACPI_MAX)};
	struct acpi_header *dsdt, *fadt, *madt, *mcfg;
	struct acpi_rsdp *rsdp;
	struct acpi_xsdt *xsdt;

	if (!cfg->cpus || cfg->cpus > HV_MAX_VCPUS)
		return error_set_at(e, EINVAL, "cpus", "%u CPUs are not possible, but 1 to %d",
				    cfg->cpus, HV_MAX_VCPUS);
	if (!area.base)
		return error_set_at(e, ENOSPC, "memory",
				    "the guest has too little memory for its ACPI tables; give it "
				    "more");

	/* The root pointer comes first: scanners look at 16-byte boundaries. */
	rsdp = area_take(&area, sizeof(*rsdp));
	xsdt = area_take(&area, sizeof(*xsdt));
	dsdt = build_dsdt(&area, cfg);
	fadt = dsdt ? build_fadt(&area, cfg, area_gpa(&area, dsdt)) : NULL;
	madt = build_madt(&area, cfg);
	mcfg = build_mcfg(&area);
	if (!rsdp || !xsdt || !fadt || !madt || !mcfg)
		return error_set(e, ENOSPC, "the ACPI tables do not fit in their %d KiB",
				 (int)(LAYOUT_ACPI_MAX >> 10));

	xsdt->header = header("XSDT", 1, sizeof(*xsdt));
	xsdt->table[0] = area_gpa(&area, fadt);
	xsdt->table[1] = area_gpa(&area, madt);
	xsdt->table[2] = area_gpa(&area, mcfg);
	seal(&xsdt->header);

	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, "HV    ", sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = area_gpa(&area, xsdt);
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
	*rsdp_gpa = area_gpa(&area, rsdp);
	return 0;
}
