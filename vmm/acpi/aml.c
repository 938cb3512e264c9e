// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The AML encoder used by acpi.c. Section numbers are those of ACPI 6.5; the
 * encoding of terms is 20.2, that of resource descriptors 6.4.
 */
#include <string.h>

#include "acpi/aml.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_EXT_REGION = 0x80,
	OP_EXT_FIELD = 0x81,
	OP_EXT_DEVICE = 0x82,
	OP_LOCAL0 = 0x60,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
};

#define REGION_SYSTEM_IO  1
#define FIELD_BYTE_ACCESS 0x01 /* no lock, preserve */
#define METHOD_SERIALIZED 0x08

static void put(struct aml *a, const void *data, size_t len)
{
	if (a->full || len > a->max - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, data, len);
	a->len += len;
}

static void put8(struct aml *a, uint8_t v)
{
	put(a, &v, sizeof(v));
}

static void put16(struct aml *a, uint16_t v)
{
	put(a, &v, sizeof(v));
}

static void put32(struct aml *a, uint32_t v)
{
	put(a, &v, sizeof(v));
}

/* 20.2.2: a segment of a name has four characters, filled up with '_'. */
static void put_path(struct aml *a, const char *path)
{
	uint8_t segments = 1;

	if (*path == '\\')
		put8(a, (uint8_t)*path++);
	for (const char *c = path; *c; c++)
		segments += *c == '.';
	if (segments == 2)
		put8(a, OP_DUAL_NAME);
	if (segments > 2) {
		put8(a, OP_MULTI_NAME);
		put8(a, segments);
	}
	for (; segments; segments--) {
		size_t len = strcspn(path, ".");
		char seg[4] = {'_', '_', '_', '_'};

		memcpy(seg, path, len < sizeof(seg) ? len : sizeof(seg));
		put(a, seg, sizeof(seg));
		path += len + (path[len] == '.');
	}
}

/*
 * 20.2.4: a PkgLength counts itself and is 1 to 4 bytes long, so it is put in
 * front of the body when that is complete.
 */
void aml_end(struct aml *a, size_t body)
{
	size_t len = a->len - body, bytes = 1;
	uint8_t lead[4];

	if (a->full)
		return;
	if (len + 1 > 0x3f)
		bytes = len + 2 <= 0xfff ? 2 : len + 3 <= 0xfffff ? 3 : 4;
	len += bytes;
	if (bytes == 1) {
		lead[0] = (uint8_t)len;
	} else {
		lead[0] = (uint8_t)((bytes - 1) << 6 | (len & 0xf));
		for (size_t i = 1; i < bytes; i++)
			lead[i] = (uint8_t)(len >> (8 * i - 4));
	}
	/* Make room at the end, then move the body up. */
	put(a, lead, bytes);
	if (a->full)
		return;
	memmove(a->buf + body + bytes, a->buf + body, a->len - body - bytes);
	memcpy(a->buf + body, lead, bytes);
}

void aml_integer(struct aml *a, uint64_t value)
{
	if (value == 0) {
		put8(a, OP_ZERO);
	} else if (value == 1) {
		put8(a, OP_ONE);
	} else if (value <= UINT8_MAX) {
		put8(a, OP_BYTE);
		put8(a, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		put8(a, OP_WORD);
		put16(a, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		put8(a, OP_DWORD);
		put32(a, (uint32_t)value);
	} else {
		put8(a, OP_QWORD);
		put(a, &value, sizeof(value));
	}
}

void aml_string(struct aml *a, const char *text)
{
	put8(a, OP_STRING);
	put(a, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;

	/* Three letters of 5 bits, four hexadecimal digits; stored big-endian. */
	for (int i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - 'A' + 1);
	for (int i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	put8(a, OP_DWORD);
	put32(a, __builtin_bswap32(v));
}

size_t aml_package(struct aml *a, uint8_t count)
{
	size_t body;

	put8(a, OP_PACKAGE);
	body = a->len;
	put8(a, count);
	return body;
}

void aml_name(struct aml *a, const char *name)
{
	put8(a, OP_NAME);
	put_path(a, name);
}

void aml_integer_name(struct aml *a, const char *name, uint64_t value)
{
	aml_name(a, name);
	aml_integer(a, value);
}

size_t aml_scope(struct aml *a, const char *path)
{
	size_t body;

	put8(a, OP_SCOPE);
	body = a->len;
	put_path(a, path);
	return body;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t body;

	put8(a, OP_EXT);
	put8(a, OP_EXT_DEVICE);
	body = a->len;
	put_path(a, name);
	return body;
}

size_t aml_known_device(struct aml *a, const char *name, const char *hid)
{
	size_t dev = aml_device(a, name);

	aml_name(a, "_HID");
	if (!strncmp(hid, "PNP", 3))
		aml_eisa_id(a, hid);
	else
		aml_string(a, hid);
	return dev;
}

size_t aml_method(struct aml *a, const char *name, uint8_t args, bool serialized)
{
	size_t body;

	put8(a, OP_METHOD);
	body = a->len;
	put_path(a, name);
	put8(a, args | (serialized ? METHOD_SERIALIZED : 0));
	return body;
}

void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len)
{
	put8(a, OP_EXT);
	put8(a, OP_EXT_REGION);
	put_path(a, name);
	put8(a, REGION_SYSTEM_IO);
	aml_integer(a, port);
	aml_integer(a, len);
}

void aml_byte_field(struct aml *a, const char *region, const char *name)
{
	size_t body;

	put8(a, OP_EXT);
	put8(a, OP_EXT_FIELD);
	body = a->len;
	put_path(a, region);
	put8(a, FIELD_BYTE_ACCESS);
	put_path(a, name);
	put8(a, 8); /* bits, as a PkgLength of one byte */
	aml_end(a, body);
}

void aml_store_to_local0(struct aml *a, const char *name)
{
	put8(a, OP_STORE);
	put_path(a, name);
	put8(a, OP_LOCAL0);
}

size_t aml_if_local0_and(struct aml *a, uint8_t mask)
{
	size_t body;

	put8(a, OP_IF);
	body = a->len;
	put8(a, OP_AND);
	put8(a, OP_LOCAL0);
	aml_integer(a, mask);
	put8(a, OP_ZERO); /* the result goes nowhere else */
	return body;
}

void aml_notify(struct aml *a, const char *path, uint8_t value)
{
	put8(a, OP_NOTIFY);
	put_path(a, path);
	aml_integer(a, value);
}

struct aml_crs aml_crs(struct aml *a)
{
	struct aml_crs crs;

	aml_name(a, "_CRS");
	put8(a, OP_BUFFER);
	crs.buffer = a->len;
	/* The buffer's size, known at the end: always a word, so that it can be patched. */
	put8(a, OP_WORD);
	put16(a, 0);
	crs.data = a->len;
	return crs;
}

void aml_crs_end(struct aml *a, struct aml_crs crs)
{
	uint16_t len;

	put8(a, 0x79); /* end tag; checksum 0: not used */
	put8(a, 0);
	if (a->full)
		return;
	len = (uint16_t)(a->len - crs.data);
	memcpy(a->buf + crs.data - sizeof(len), &len, sizeof(len));
	aml_end(a, crs.buffer);
}

/* 6.4.2.5 I/O Port Descriptor */
void aml_crs_io(struct aml *a, uint16_t port, uint8_t len)
{
	put8(a, 0x47);
	put8(a, 1); /* decodes 16 bits */
	put16(a, port);
	put16(a, port);
	put8(a, 1); /* alignment */
	put8(a, len);
}

/* 6.4.3.4 32-Bit Fixed Memory Range Descriptor */
void aml_crs_memory(struct aml *a, uint32_t base, uint32_t len)
{
	put8(a, 0x86);
	put16(a, 9);
	put8(a, 1); /* read and write */
	put32(a, base);
	put32(a, len);
}

/* 6.4.3.6 Extended Interrupt Descriptor */
void aml_crs_interrupt(struct aml *a, uint32_t gsi, bool edge)
{
	put8(a, 0x89);
	put16(a, 6);
	put8(a, 0x01 | (edge ? 0x02 : 0)); /* consumer, trigger */
	put8(a, 1);
	put32(a, gsi);
}

/*
 * 6.4.3.5 Address Space Descriptors, up to the addresses: a producer with fixed
 * ends, decoding positively.
 */
static void window(struct aml *a, uint8_t tag, uint16_t len, uint8_t type, uint8_t type_flags)
{
	put8(a, tag);
	put16(a, len);
	put8(a, type);
	put8(a, 0x0c); /* minimum and maximum are fixed */
	put8(a, type_flags);
}

static void word_window(struct aml *a, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	window(a, 0x88, 13, type, flags);
	put16(a, 0); /* granularity */
	put16(a, first);
	put16(a, last);
	put16(a, 0); /* no translation */
	put16(a, (uint16_t)(last - first + 1));
}

void aml_crs_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
	word_window(a, 2, 0, first, last);
}

void aml_crs_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	word_window(a, 1, 0x03, first, last); /* ISA and non-ISA ranges */
}

void aml_crs_memory_window(struct aml *a, uint32_t first, uint32_t last)
{
	window(a, 0x87, 23, 0, 0x01); /* not cacheable, writable */
	put32(a, 0);
	put32(a, first);
	put32(a, last);
	put32(a, 0);
	put32(a, last - first + 1);
}
