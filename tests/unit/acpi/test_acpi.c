// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ACPI tables as a guest finds them: by scanning for the root pointer and
 * following addresses; and the AML encoder, byte by byte and as a whole.
 */
#define _GNU_SOURCE /* memmem() */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/acpi.h"
#include "acpi/aml.h"
#include "acpi/describe.h"
#include "dev/fw_cfg.h"
#include "dev/power.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "pci/pci.h"
#include "platform/layout.h"
#include "virtio/rng.h"
#include "virtio/virtio_mmio.h"
#include "suite.h"
#include "written.h"

static struct mem mem;
static struct error err;

/* The devices of a machine, in the order in which they are expected. */
static struct bus *pio, *mmio;
static struct loop *loop;
static struct console *console;
static struct virtio_mmio_bus place[2];
static struct {
	const struct device_ops *ops;
	void *dev;
} devices[8];
static unsigned int nr_devices;

static void describe(void *arg, struct aml *a)
{
	const struct description d = {.aml = a};

	ck_assert_ptr_eq(arg, &devices);
	for (unsigned int i = 0; i < nr_devices; i++)
		devices[i].ops->describe(devices[i].dev, &d);
}

static const struct acpi_config everything = {
	.cpus = 4,
	.legacy = true,
	.rtc = true,
	.describe = describe,
	.arg = &devices,
};

static void add(const struct device_ops *ops, void *dev)
{
	ck_assert_ptr_nonnull(dev);
	devices[nr_devices].ops = ops;
	devices[nr_devices++].dev = dev;
}

static void set_line(void *chip, unsigned int pin, bool level)
{
	(void)chip;
	(void)pin;
	(void)level;
}

static int bind_nothing(void *ctx, int fd, bool port, uint64_t addr, unsigned int len,
			const uint64_t *match)
{
	(void)ctx;
	(void)fd;
	(void)port;
	(void)addr;
	(void)len;
	(void)match;
	return -ENODEV;
}

static struct irq_line line(unsigned int pin)
{
	return (struct irq_line){.set = set_line, .pin = pin};
}

static void *make_virtio(unsigned int i)
{
	struct virtio_env env = {.mem = &mem, .loop = loop, .attach = virtio_mmio_attach};

	place[i] = (struct virtio_mmio_bus){
		.mmio = mmio,
		.base = LAYOUT_VIRTIO_MMIO + i * LAYOUT_VIRTIO_MMIO_LEN,
		.irq = line(GSI_VIRTIO_MMIO + i),
		.doorbell = {.bind = bind_nothing},
	};
	env.bus = &place[i];
	return virtio_rng_create(&env, &err);
}

static void setup(void)
{
	static const struct power_events events;

	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, MiB(2), &err), 0);
	pio = bus_create();
	mmio = bus_create();
	loop = loop_create();
	console = console_open(loop, &err);
	nr_devices = 0;
	add(&pci_host_device, pci_host_create(pio, mmio, &err));
	add(&serial_device, serial_create(pio, PORT_COM1, line(GSI_COM1), console, &err));
	add(&rtc_device, rtc_create(pio, loop, line(GSI_RTC), &err));
	add(&fw_cfg_device, fw_cfg_create(pio, &mem, &err));
	add(&pvpanic_device, pvpanic_create(pio, NULL, NULL, &err));
	for (unsigned int i = 0; i < 2; i++)
		add(&virtio_rng_device, make_virtio(i));
	add(&power_device, power_create(pio, line(GSI_GED), &events, &err));
}

static void teardown(void)
{
	while (nr_devices--)
		devices[nr_devices].ops->destroy(devices[nr_devices].dev);
	console_close(console);
	loop_destroy(loop);
	bus_destroy(pio);
	bus_destroy(mmio);
	mem_destroy(&mem);
}

static const uint8_t *span(uint64_t gpa, uint64_t len)
{
	const uint8_t *p = mem_read(&mem, gpa, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s += *p++;
	return s;
}

/* A whole table with a right checksum, inside the area set aside for them. */
static const uint8_t *table(uint64_t gpa, const char *signature)
{
	uint32_t len = get32(span(gpa, 36) + 4);
	const uint8_t *t = span(gpa, len);

	ck_assert_uint_ge(gpa, LAYOUT_ACPI);
	ck_assert_uint_le(gpa + len, LAYOUT_ACPI + LAYOUT_ACPI_MAX);
	ck_assert_mem_eq(t, signature, 4);
	ck_assert_uint_eq(sum(t, len), 0);
	return t;
}

/* Build, find the root pointer as an OS does, and return the XSDT. */
static const uint8_t *build(const struct acpi_config *cfg)
{
	uint64_t rsdp = 0, found = 0;
	const uint8_t *r;

	written_begin(&mem);
	ck_assert_msg(acpi_build(&mem, cfg, &rsdp, &err) == 0, "%s", err.text);
	written_end(&mem);
	for (uint64_t gpa = 0xe0000; gpa < 0x100000 && !found; gpa += 16) {
		if (!memcmp(span(gpa, 8), "RSD PTR ", 8))
			found = gpa;
	}
	ck_assert_uint_eq(found, rsdp);
	r = span(rsdp, 36);
	ck_assert_uint_eq(sum(r, 20), 0);
	ck_assert_uint_eq(sum(r, 36), 0);
	ck_assert_uint_eq(r[15], 2);
	ck_assert_uint_eq(get32(r + 20), 36);
	return table(get64(r + 24), "XSDT");
}

static const uint8_t *find(const uint8_t *xsdt, const char *signature)
{
	for (uint32_t at = 36; at < get32(xsdt + 4); at += 8) {
		if (!memcmp(span(get64(xsdt + at), 36), signature, 4))
			return table(get64(xsdt + at), signature);
	}
	ck_abort_msg("no table %s", signature);
}

static bool contains(const uint8_t *t, const void *bytes, size_t len)
{
	return memmem(t, get32(t + 4), bytes, len) != NULL;
}

START_TEST(fadt)
{
	const uint8_t *f = find(build(&everything), "FACP");
	const uint8_t gas[] = {1, 8, 0, 1};
	uint32_t flags = get32(f + 112);

	ck_assert_uint_eq(get32(f + 4), 276);
	ck_assert_uint_eq(f[8], 6);
	table(get64(f + 140), "DSDT");
	ck_assert_uint_eq(get32(f + 40), get64(f + 140));
	/* Hardware-reduced, with a reset register and a power button that is a device. */
	ck_assert_uint_ne(flags & 1U << 20, 0);
	ck_assert_uint_ne(flags & 1U << 10, 0);
	ck_assert_uint_ne(flags & 1U << 4, 0);
	ck_assert_mem_eq(f + 116, gas, 4);
	ck_assert_uint_eq(get64(f + 120), PORT_ACPI_RESET);
	ck_assert_uint_eq(f[128], ACPI_RESET_VALUE);
	ck_assert_mem_eq(f + 244, gas, 4);
	ck_assert_uint_eq(get64(f + 248), PORT_ACPI_SLEEP);
	ck_assert_mem_eq(f + 256, gas, 4);
	ck_assert_uint_eq(get64(f + 260), PORT_ACPI_SLEEP + 1);
	/* Boot flags: no 8042, no VGA, MSIs work, and there is a clock. */
	ck_assert_uint_eq(f[109] & 0x02, 0);
	ck_assert_uint_ne(f[109] & 0x04, 0);
	ck_assert_uint_eq(f[109] & 0x08, 0);
	ck_assert_uint_eq(f[109] & 0x20, 0);
	f = find(build(&(struct acpi_config){.cpus = 1}), "FACP");
	ck_assert_uint_ne(f[109] & 0x20, 0);
}
END_TEST

START_TEST(madt)
{
	for (unsigned int cpus = 1; cpus <= 64; cpus++) {
		const struct acpi_config cfg = {.cpus = cpus};
		const uint8_t *m = find(build(&cfg), "APIC");
		unsigned int lapics = 0, ioapics = 0, nmis = 0;
		uint32_t at = 44;

		ck_assert_uint_eq(get32(m + 36), LAYOUT_LAPIC);
		ck_assert_uint_eq(get32(m + 40), 0); /* no 8259s */
		while (at < get32(m + 4)) {
			const uint8_t *e = m + at;

			switch (e[0]) {
			case 0:
				ck_assert_uint_eq(e[1], 8);
				ck_assert_uint_eq(e[2], lapics);
				ck_assert_uint_eq(e[3], lapics);
				ck_assert_uint_eq(get32(e + 4), 1);
				lapics++;
				break;
			case 1:
				ck_assert_uint_eq(e[1], 12);
				ck_assert_uint_eq(get32(e + 4), LAYOUT_IOAPIC);
				ck_assert_uint_eq(get32(e + 8), 0);
				ioapics++;
				break;
			case 4:
				ck_assert_uint_eq(e[1], 6);
				ck_assert_uint_eq(e[2], 0xff);
				ck_assert_uint_eq(e[5], 1);
				nmis++;
				break;
			default:
				ck_abort_msg("entry of type %u", e[0]);
			}
			at += e[1];
		}
		ck_assert_uint_eq(at, get32(m + 4));
		ck_assert_uint_eq(lapics, cpus);
		ck_assert_uint_eq(ioapics, 1);
		ck_assert_uint_eq(nmis, 1);
	}
}
END_TEST

START_TEST(mcfg)
{
	const uint8_t *m = find(build(&everything), "MCFG");

	ck_assert_uint_eq(get32(m + 4), 60);
	ck_assert_uint_eq(get64(m + 44), LAYOUT_ECAM);
	ck_assert_uint_eq(get32(m + 52), 0); /* segment 0, buses 0 to 0 */
}
END_TEST

static const uint8_t *dsdt(const struct acpi_config *cfg)
{
	return table(get64(find(build(cfg), "FACP") + 140), "DSDT");
}

/* What each device must say, as bytes: an OS matches exactly these. */
START_TEST(dsdt_contents)
{
	const uint8_t s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 0x05};
	const uint8_t pnp0a08[] = {0x0c, 0x41, 0xd0, 0x0a, 0x08};
	const uint8_t pnp0501[] = {0x0c, 0x41, 0xd0, 0x05, 0x01};
	const uint8_t pnp0b00[] = {0x0c, 0x41, 0xd0, 0x0b, 0x00};
	const uint8_t pnp0c0c[] = {0x0c, 0x41, 0xd0, 0x0c, 0x0c};
	const uint8_t ports[] = {0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08};
	const uint8_t edge4[] = {0x89, 0x06, 0x00, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00};
	const uint8_t level9[] = {0x89, 0x06, 0x00, 0x01, 0x01, 0x09, 0x00, 0x00, 0x00};
	const uint8_t fw_cfg[] = {0x47, 0x01, 0x10, 0x05, 0x10, 0x05, 0x01, 0x0c};
	const uint8_t panic[] = {0x47, 0x01, 0x05, 0x05, 0x05, 0x05, 0x01, 0x01};
	const uint8_t virtio_1[] = {0x86, 0x09, 0x00, 0x01, 0x00, 0x10, 0xb0,
				    0xfe, 0x00, 0x10, 0x00, 0x00, 0x89, 0x06,
				    0x00, 0x03, 0x01, 0x15, 0x00, 0x00, 0x00};
	const struct acpi_config none = {.cpus = 1};
	const uint8_t *d = dsdt(&everything);

	ck_assert_uint_ge(d[8], 2); /* integers of 64 bits */
	ck_assert(contains(d, s5, sizeof(s5)));
	ck_assert(contains(d, pnp0a08, sizeof(pnp0a08)));
	ck_assert(contains(d, pnp0501, sizeof(pnp0501)));
	ck_assert(contains(d, pnp0b00, sizeof(pnp0b00)));
	ck_assert(contains(d, pnp0c0c, sizeof(pnp0c0c)));
	ck_assert(contains(d, ports, sizeof(ports)));
	ck_assert(contains(d, edge4, sizeof(edge4)));
	ck_assert(contains(d, level9, sizeof(level9)));
	ck_assert(contains(d, fw_cfg, sizeof(fw_cfg)));
	ck_assert(contains(d, panic, sizeof(panic)));
	ck_assert(contains(d, "ACPI0013", 9));
	ck_assert(contains(d, "QEMU0002", 9));
	ck_assert(contains(d, "QEMU0001", 9));
	ck_assert(contains(d, virtio_1, sizeof(virtio_1)));
	ck_assert(contains(d, "LNRO0005", 9));
	ck_assert(contains(d, "VM01", 4));
	ck_assert(!contains(d, "VM02", 4));
	ck_assert(contains(d, "C003", 4));
	ck_assert(!contains(d, "C004", 4));

	d = dsdt(&none);
	ck_assert(!contains(d, pnp0501, sizeof(pnp0501)));
	ck_assert(!contains(d, "QEMU", 4));
	ck_assert(!contains(d, pnp0c0c, sizeof(pnp0c0c)));
	ck_assert(contains(d, "C000", 4));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The DSDT, read term by term as an OS does                                  */

static char listing[32768];

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	size_t at = strlen(listing);
	va_list args;

	va_start(args, fmt);
	ck_assert_int_lt(vsnprintf(listing + at, sizeof(listing) - at, fmt, args),
			 (int)(sizeof(listing) - at));
	va_end(args);
}

struct bytes {
	const uint8_t *at, *end;
};

static uint64_t next(struct bytes *b, size_t size)
{
	uint64_t value = 0;

	ck_assert_uint_ge((size_t)(b->end - b->at), size);
	memcpy(&value, b->at, size);
	b->at += size;
	return value;
}

/* 20.2.4: the part that a package length spans, which is taken off. */
static struct bytes package(struct bytes *b)
{
	const uint8_t *begin = b->at;
	uint8_t lead = next(b, 1);
	size_t len = lead & (lead >> 6 ? 0xf : 0x3f);
	struct bytes part;

	for (unsigned int i = 0; i < lead >> 6; i++)
		len |= next(b, 1) << (4 + 8 * i);
	ck_assert_uint_le(len, (size_t)(b->end - begin));
	part = (struct bytes){b->at, begin + len};
	b->at = part.end;
	return part;
}

/* 20.2.2 */
static void name_string(struct bytes *b, char *name)
{
	unsigned int parts = 1;

	if (*b->at == '\\')
		*name++ = next(b, 1);
	if (*b->at == 0x2e) {
		next(b, 1);
		parts = 2;
	}
	while (parts--) {
		for (unsigned int i = 0; i < 4; i++) {
			*name = next(b, 1);
			ck_assert(*name == '_' || (*name >= 'A' && *name <= 'Z') ||
				  (*name >= '0' && *name <= '9'));
			name++;
		}
		if (parts)
			*name++ = '.';
	}
	*name = '\0';
}

static void hex(struct bytes b)
{
	while (b.at < b.end)
		say("%02x", (unsigned int)next(&b, 1));
}

/* 20.2.3 and packages of such */
static void data(struct bytes *b)
{
	uint8_t op = next(b, 1);
	struct bytes part;
	unsigned int count;

	switch (op) {
	case 0x00:
	case 0x01:
		say("%u", op);
		break;
	case 0x0a:
		say("%#llx", (unsigned long long)next(b, 1));
		break;
	case 0x0b:
		say("%#llx", (unsigned long long)next(b, 2));
		break;
	case 0x0c:
		say("%#llx", (unsigned long long)next(b, 4));
		break;
	case 0x0d:
		say("\"%s\"", (const char *)b->at);
		while (next(b, 1))
			;
		break;
	case 0x11: /* buffer: its size, then as many bytes */
		part = package(b);
		say("buffer ");
		data(&part);
		say(" ");
		hex(part);
		break;
	case 0x12:
		part = package(b);
		count = next(&part, 1);
		say("{");
		while (count--) {
			data(&part);
			say(count ? "," : "}");
		}
		ck_assert_ptr_eq(part.at, part.end);
		break;
	default:
		ck_abort_msg("data object %#x", op);
	}
}

static void terms(struct bytes b, unsigned int depth)
{
	while (b.at < b.end) {
		struct bytes part = {0};
		uint8_t op = next(&b, 1);
		char name[32];

		say("%*s", (int)depth, "");
		switch (op) {
		case 0x08:
			name_string(&b, name);
			say("%s ", name);
			data(&b);
			say("\n");
			break;
		case 0x10:
			part = package(&b);
			name_string(&part, name);
			say("scope %s\n", name);
			terms(part, depth + 1);
			break;
		case 0x14:
			part = package(&b);
			name_string(&part, name);
			say("method %s ", name);
			hex(part);
			say("\n");
			break;
		case 0x5b:
			op = next(&b, 1);
			if (op == 0x80) {
				name_string(&b, name);
				say("region %s %u ", name, (unsigned int)next(&b, 1));
				data(&b);
				say(" ");
				data(&b);
				say("\n");
				break;
			}
			part = package(&b);
			name_string(&part, name);
			say("%s %s\n", op == 0x82 ? "device" : op == 0x81 ? "field" : "?", name);
			if (op == 0x82) {
				terms(part, depth + 1);
			} else {
				say("%*s ", (int)depth, "");
				hex(part);
				say("\n");
			}
			break;
		default:
			ck_abort_msg("term %#x after:\n%s", op, listing);
		}
	}
}

/* All that there is, with nothing left out and nothing between. */
START_TEST(dsdt_as_a_whole)
{
	static const char before_prt[] =
		"\\_S5_ {0x5,0x5,0,0}\n"
		"scope \\_SB_\n"
		" device C000\n"
		"  _HID \"ACPI0007\"\n"
		"  _UID 0\n"
		" device C001\n"
		"  _HID \"ACPI0007\"\n"
		"  _UID 1\n"
		" device C002\n"
		"  _HID \"ACPI0007\"\n"
		"  _UID 0x2\n"
		" device C003\n"
		"  _HID \"ACPI0007\"\n"
		"  _UID 0x3\n"
		" device PCI0\n"
		"  _HID 0x80ad041\n"
		"  _CID 0x30ad041\n"
		"  _UID 0\n"
		"  _SEG 0\n"
		"  _BBN 0\n"
		"  _CRS buffer 0x44 880d00020c00000000000000000001004701f80cf80c0108880d00010c0300000010ff7f00000070871700000c0100000000000000c0ffffffdf00000000000000207900\n";
	static const char after_prt[] =
		"}\n"
		" device MRES\n"
		"  _HID 0x20cd041\n"
		"  _CRS buffer 0xe 86090001000000e0000010007900\n"
		" device COM1\n"
		"  _HID 0x105d041\n"
		"  _CRS buffer 0x13 4701f803f80301088906000301040000007900\n"
		" device RTC_\n"
		"  _HID 0xbd041\n"
		"  _CRS buffer 0x13 47017000700001028906000301080000007900\n"
		" device FWCF\n"
		"  _HID \"QEMU0002\"\n"
		"  _CRS buffer 0xa 470110051005010c7900\n"
		" device PEVT\n"
		"  _HID \"QEMU0001\"\n"
		"  _CRS buffer 0xa 47010505050501017900\n"
		" device VM00\n"
		"  _HID \"LNRO0005\"\n"
		"  _UID 0\n"
		"  _CRS buffer 0x17 860900010000b0fe001000008906000301140000007900\n"
		" device VM01\n"
		"  _HID \"LNRO0005\"\n"
		"  _UID 1\n"
		"  _CRS buffer 0x17 860900010010b0fe001000008906000301150000007900\n"
		" device PWRB\n"
		"  _HID 0xc0cd041\n"
		" device GED_\n"
		"  _HID \"ACPI0013\"\n"
		"  _CRS buffer 0xb 8906000101090000007900\n"
		"  region EVTR 1 0x608 1\n"
		"  field EVTR\n"
		"   014556535408\n"
		"  method _EVT 09704556535460a00c7b60010086505752420a80\n";
	const uint8_t *d = dsdt(&everything);
	const char *at = listing;

	terms((struct bytes){d + 36, d + get32(d + 4)}, 0);
	ck_assert_msg(!strncmp(at, before_prt, strlen(before_prt)), "%s", listing);
	at += strlen(before_prt);
	/* Pin n of every device at GSI 16 + n */
	for (unsigned int i = 0; i < 32 * 4; i++) {
		char route[64], number[8];

		snprintf(number, sizeof(number), i % 4 > 1 ? "%#x" : "%u", i % 4);
		snprintf(route, sizeof(route), "%s{%#x,%s,0,%#x}", i ? "," : "  _PRT {",
			 i / 4 << 16 | 0xffff, number, 16 + i % 4);
		ck_assert_msg(!strncmp(at, route, strlen(route)), "no %s in %s", route, listing);
		at += strlen(route);
	}
	ck_assert_str_eq(at, after_prt);
}
END_TEST

START_TEST(bad_callers)
{
	struct acpi_config cfg = {.cpus = 0};
	uint64_t rsdp;

	ck_assert_int_eq(acpi_build(&mem, &cfg, &rsdp, &err), -EINVAL);
	cfg.cpus = 65;
	ck_assert_int_eq(acpi_build(&mem, &cfg, &rsdp, &err), -EINVAL);
	ck_assert_str_eq(err.path, "cpus");
	cfg.cpus = 1;
	mem_destroy(&mem);
	ck_assert_int_eq(mem_add_ram(&mem, 0, 0x80000, &err), 0);
	ck_assert_int_eq(acpi_build(&mem, &cfg, &rsdp, &err), -ENOSPC);
	ck_assert_str_eq(err.path, "memory");
}
END_TEST

/* PkgLength (20.2.4) at each border between one, two and three bytes. */
START_TEST(aml_lengths)
{
	static const struct {
		size_t body;
		size_t lead;
	} cases[] = {
		{0, 1}, {62, 1}, {63, 2}, {64, 2}, {4093, 2}, {4094, 3}, {65000, 3},
	};
	static uint8_t buf[70000];

	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		struct aml a = {.buf = buf, .max = sizeof(buf)};
		size_t body = 0, len;

		memset(buf, 0, sizeof(buf));
		for (size_t i = 0; i < cases[n].body; i++)
			aml_integer(&a, i % 2); /* one byte each */
		aml_end(&a, body);
		ck_assert(!a.full);
		ck_assert_uint_eq(a.len, cases[n].body + cases[n].lead);
		ck_assert_uint_eq(buf[0] >> 6, cases[n].lead - 1);
		len = cases[n].lead == 1 ? buf[0] & 0x3f : buf[0] & 0xf;
		ck_assert_uint_eq(cases[n].lead > 1 ? buf[0] & 0x30 : 0, 0);
		for (size_t i = 1; i < cases[n].lead; i++)
			len |= (size_t)buf[i] << (8 * i - 4);
		ck_assert_uint_eq(len, a.len);
		for (size_t i = 0; i < cases[n].body; i++)
			ck_assert_uint_eq(buf[cases[n].lead + i], i % 2);
	}
}
END_TEST

START_TEST(aml_terms)
{
	static const uint8_t want[] = {
		0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00,
		0x01, 0x00, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, /* integers */
		0x0d, 'h',  'v',  0x00,						  /* string */
		0x0c, 0x41, 0xd0, 0x0a, 0x03,					  /* PNP0A03 */
		0x08, '_',  'S',  '5',	'_',					  /* one name */
		0x08, '\\', 0x2e, '_',	'S',  'B',  '_',  'P',	'C',  'I',  '0',  /* two */
		0x08, 0x2f, 0x03, 'A',	'_',  '_',  '_',  'B',	'_',  '_',  '_',  'C',
		'_',  '_',  '_', /* three */
	};
	uint8_t buf[128];
	struct aml a = {.buf = buf, .max = sizeof(buf)};

	aml_integer(&a, 0);
	aml_integer(&a, 1);
	aml_integer(&a, 2);
	aml_integer(&a, 0xff);
	aml_integer(&a, 0x100);
	aml_integer(&a, 0x10000);
	aml_integer(&a, 0x100000000);
	aml_string(&a, "hv");
	aml_eisa_id(&a, "PNP0A03");
	aml_name(&a, "_S5");
	aml_name(&a, "\\_SB.PCI0");
	aml_name(&a, "A.B.C");
	ck_assert(!a.full);
	ck_assert_uint_eq(a.len, sizeof(want));
	ck_assert_mem_eq(buf, want, sizeof(want));
}
END_TEST

/* A buffer that is too small is never overrun, and says so, at every size. */
START_TEST(aml_full)
{
	for (size_t max = 0; max < 64; max++) {
		uint8_t *buf = malloc(max ? max : 1);
		struct aml a = {.buf = buf, .max = max};
		size_t dev = aml_device(&a, "DEV0");
		struct aml_crs crs = aml_crs(&a);

		aml_crs_io(&a, 1, 1);
		aml_crs_interrupt(&a, 1, true);
		aml_crs_end(&a, crs);
		aml_end(&a, dev);
		ck_assert_uint_le(a.len, max);
		ck_assert_int_eq(a.full, max < 36);
		free(buf);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("acpi");
	TCase *tc = tcase_create("acpi");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, fadt);
	tcase_add_test(tc, madt);
	tcase_add_test(tc, mcfg);
	tcase_add_test(tc, dsdt_contents);
	tcase_add_test(tc, dsdt_as_a_whole);
	tcase_add_test(tc, bad_callers);
	tcase_add_test(tc, aml_lengths);
	tcase_add_test(tc, aml_terms);
	tcase_add_test(tc, aml_full);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
