/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes ACPI Machine Language (ACPI 6.5, section 20): one function per term.
 * Terms that hold others are opened and closed:
 *
 *	size_t dev = aml_device(a, "COM1");
 *	aml_name(a, "_UID");
 *	aml_integer(a, 0);
 *	aml_end(a, dev);
 *
 * A block of AML that outgrows its buffer is marked and everything after is
 * dropped, so that only the end result has to be checked (struct aml, full).
 */
#ifndef VMM_ACPI_AML_H
#define VMM_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len;
	size_t max;
	bool full;
};

/* Data: what follows aml_name(), or is an element of a package. */
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
/* A compressed EISA ID such as "PNP0501" (19.3.4). */
void aml_eisa_id(struct aml *a, const char *id);
/* A package of count elements, which follow. */
size_t aml_package(struct aml *a, uint8_t count);

/* Name (name, ...): the data comes next. */
void aml_name(struct aml *a, const char *name);

/* Name (name, value). */
void aml_integer_name(struct aml *a, const char *name, uint64_t value);

/* Terms with a body; the result is for aml_end(). Paths are like "\\_SB" or "_SB.PWRB". */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
/* One that an OS knows by an ID, of its own scheme ("ACPI0013") or an EISA ID ("PNP0501"). */
size_t aml_known_device(struct aml *a, const char *name, const char *hid);
size_t aml_method(struct aml *a, const char *name, uint8_t args, bool serialized);
void aml_end(struct aml *a, size_t body);

/* OperationRegion (name, SystemIO, port, len), and one byte-wide field of 8 bits in it. */
void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len);
void aml_byte_field(struct aml *a, const char *region, const char *name);

/* Statements in a method: Local0 = name; If (Local0 & mask) {...}; Notify (path, value). */
void aml_store_to_local0(struct aml *a, const char *name);
size_t aml_if_local0_and(struct aml *a, uint8_t mask);
void aml_notify(struct aml *a, const char *path, uint8_t value);

/* Name (_CRS, ResourceTemplate () {...}): the resources (section 6.4) come next. */
struct aml_crs {
	size_t buffer;
	size_t data;
};

struct aml_crs aml_crs(struct aml *a);
void aml_crs_end(struct aml *a, struct aml_crs crs);

/* Ports that a device decodes. */
void aml_crs_io(struct aml *a, uint16_t port, uint8_t len);
/* Memory that a device decodes. */
void aml_crs_memory(struct aml *a, uint32_t base, uint32_t len);
/* A GSI: active high, not shared; edge-triggered or level-triggered. */
void aml_crs_interrupt(struct aml *a, uint32_t gsi, bool edge);
/* What a host bridge passes on: bus numbers, ports, memory (first to last, inclusive). */
void aml_crs_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_crs_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_crs_memory_window(struct aml *a, uint32_t first, uint32_t last);

#endif
