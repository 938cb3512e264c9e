// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fw_cfg from the guest's side: through the port bus and guest memory, as a
 * driver uses it and as a hostile one does.
 */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev/fw_cfg.h"
#include "platform/bus.h"
#include "platform/layout.h"
#include "suite.h"
#include "written.h"

#define DMA_READ   0x02
#define DMA_SKIP   0x04
#define DMA_SELECT 0x08
#define DMA_WRITE  0x10
#define CONTROL	   0x1000 /* where the tests put the access structure */
#define RAM	   MiB(1)

static struct mem mem;
static struct bus *pio;
static struct fw_cfg *fw;
static struct error err;

static void setup(void)
{
	memset(&mem, 0, sizeof(mem));
	ck_assert_int_eq(mem_add_ram(&mem, 0, RAM, &err), 0);
	ck_assert_int_eq(mem_add_ram(&mem, LAYOUT_HIGH_RAM, RAM, &err), 0);
	pio = bus_create();
	fw = fw_cfg_create(pio, &mem, &err);
	ck_assert_msg(fw != NULL, "%s", err.text);
}

static void teardown(void)
{
	fw_cfg_destroy(fw);
	bus_destroy(pio);
	mem_destroy(&mem);
}

static void out(uint16_t offset, unsigned int size, uint32_t value)
{
	ck_assert(bus_write(pio, PORT_FW_CFG + offset, size, value));
}

static uint32_t in(uint16_t offset, unsigned int size)
{
	uint64_t value;

	ck_assert(bus_read(pio, PORT_FW_CFG + offset, size, &value));
	return (uint32_t)value;
}

/* Read an item through the data port. */
static void read_port(uint16_t key, void *buf, size_t len)
{
	out(0, 2, key);
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)in(1, 1);
}

/* Start a DMA access whose structure is at gpa. */
static void start(uint64_t gpa)
{
	out(4, 4, htobe32((uint32_t)(gpa >> 32)));
	written_begin(&mem);
	out(8, 4, htobe32((uint32_t)gpa));
	written_end(&mem);
}

static void put_access(uint32_t control, uint32_t len, uint64_t address)
{
	uint8_t *at = mem_write(&mem, CONTROL, 16);
	uint32_t control_be = htobe32(control), len_be = htobe32(len);
	uint64_t address_be = htobe64(address);

	memcpy(at, &control_be, 4);
	memcpy(at + 4, &len_be, 4);
	memcpy(at + 8, &address_be, 8);
}

/* One DMA access; returns the control field afterwards. */
static uint32_t dma(uint32_t control, uint32_t len, uint64_t address)
{
	uint32_t control_be;

	put_access(control, len, address);
	start(CONTROL);
	memcpy(&control_be, mem_write(&mem, CONTROL, 4), 4);
	return be32toh(control_be);
}

static void add_file(const char *name, const char *text)
{
	ck_assert_msg(fw_cfg_add_file(fw, name, text, strlen(text), &err) == 0, "%s", err.text);
}

START_TEST(identity)
{
	uint8_t buf[6];

	read_port(FW_CFG_SIGNATURE, buf, 6);
	ck_assert_mem_eq(buf, "QEMU\0\0", 6); /* zeros beyond an item's end */
	read_port(FW_CFG_ID, buf, 4);
	ck_assert_mem_eq(buf, "\3\0\0\0", 4); /* traditional and DMA */
	/* The DMA register reads as "QEMU CFG", big-endian. */
	ck_assert_uint_eq(be32toh(in(4, 4)), 0x51454d55);
	ck_assert_uint_eq(be32toh(in(8, 4)), 0x20434647);
	ck_assert_uint_eq(in(11, 1), 'G');
}
END_TEST

START_TEST(machine_items)
{
	uint8_t buf[16];

	ck_assert_int_eq(fw_cfg_add_machine(fw, 0x103, GiB(5), "a b", &err), 0);
	read_port(FW_CFG_NB_CPUS, buf, 2);
	ck_assert_mem_eq(buf, "\x03\x01", 2);
	read_port(FW_CFG_MAX_CPUS, buf, 2);
	ck_assert_mem_eq(buf, "\x03\x01", 2);
	read_port(FW_CFG_RAM_SIZE, buf, 8);
	ck_assert_mem_eq(buf, "\0\0\0\x40\1\0\0\0", 8);
	read_port(FW_CFG_CMDLINE_SIZE, buf, 4);
	ck_assert_mem_eq(buf, "\4\0\0\0", 4);
	read_port(FW_CFG_CMDLINE_DATA, buf, 4);
	ck_assert_mem_eq(buf, "a b", 4);
	/* Once only. */
	ck_assert_int_eq(fw_cfg_add_machine(fw, 1, 1, "", &err), -EEXIST);
}
END_TEST

START_TEST(directory)
{
	uint8_t dir[4 + 3 * 64], text[4];

	read_port(FW_CFG_FILE_DIR, dir, 4);
	ck_assert_mem_eq(dir, "\0\0\0\0", 4);
	add_file("opt/b", "bb");
	add_file("opt/c", "");
	add_file("etc/a", "aaa");
	read_port(FW_CFG_FILE_DIR, dir, sizeof(dir));
	ck_assert_mem_eq(dir, "\0\0\0\3", 4);
	ck_assert_mem_eq(dir + 4, "\0\0\0\3\0\x20\0\0etc/a\0", 14);
	ck_assert_mem_eq(dir + 68, "\0\0\0\2\0\x21\0\0opt/b\0", 14);
	ck_assert_mem_eq(dir + 132, "\0\0\0\0\0\x22\0\0opt/c\0", 14);
	read_port(0x20, text, 4);
	ck_assert_mem_eq(text, "aaa\0", 4);
	read_port(0x21, text, 3);
	ck_assert_mem_eq(text, "bb\0", 3);
	read_port(0x22, text, 1);
	ck_assert_uint_eq(text[0], 0);
}
END_TEST

START_TEST(names)
{
	char name[60];

	memset(name, 'n', sizeof(name));
	name[FW_CFG_MAX_NAME] = '\0';
	add_file(name, "x");
	ck_assert_int_eq(fw_cfg_add_file(fw, name, "y", 1, &err), -EEXIST);
	name[FW_CFG_MAX_NAME] = 'n';
	name[FW_CFG_MAX_NAME + 1] = '\0';
	ck_assert_int_eq(fw_cfg_add_file(fw, name, "y", 1, &err), -EINVAL);
	ck_assert_int_eq(fw_cfg_add_file(fw, "", "y", 1, &err), -EINVAL);
	ck_assert_int_eq(fw_cfg_add_file(fw, "a\nb", "y", 1, &err), -EINVAL);
	ck_assert_int_eq(fw_cfg_add_file(fw, "\xc3\xa4", "y", 1, &err), -EINVAL);
	ck_assert_int_eq(fw_cfg_add_item(fw, FW_CFG_FILE_FIRST, "y", 1, &err), -EINVAL);
	ck_assert_int_eq(fw_cfg_add_item(fw, FW_CFG_FILE_DIR, "y", 1, &err), -EEXIST);
	ck_assert_int_eq(fw_cfg_add_item(fw, FW_CFG_ID, "y", 1, &err), -EEXIST);
	for (int i = 1; i < FW_CFG_MAX_FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		add_file(name, "x");
	}
	ck_assert_int_eq(fw_cfg_add_file(fw, "one-more", "y", 1, &err), -ENOSPC);
	/* The last key, and the first that there is not */
	read_port(FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES - 1, name, 2);
	ck_assert_mem_eq(name, "x", 2);
	read_port(FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES, name, 2);
	ck_assert_mem_eq(name, "\0", 2);
}
END_TEST

/* The access structure and the data above 4 GiB; the upper half of the address counts once. */
START_TEST(dma_above_4g)
{
	const uint64_t at = LAYOUT_HIGH_RAM + 0x2000, to = LAYOUT_HIGH_RAM + 0x3000;

	add_file("opt/a", "high");
	put_access(DMA_SELECT | DMA_READ | FW_CFG_FILE_FIRST << 16, 4, to);
	memcpy(mem_write(&mem, at, 16), mem_write(&mem, CONTROL, 16), 16);
	start(at);
	ck_assert_mem_eq(mem_write(&mem, to, 4), "high", 4);
	ck_assert_mem_eq(mem_write(&mem, at, 4), "\0\0\0\0", 4);
	/* A half address of the wrong width is none. */
	memset(mem_write(&mem, to, 4), 0, 4);
	out(4, 2, htobe32((uint32_t)(at >> 32)));
	memcpy(mem_write(&mem, at, 16), mem_write(&mem, CONTROL, 16), 16);
	out(8, 4, htobe32((uint32_t)at));
	ck_assert_mem_eq(mem_write(&mem, to, 4), "\0\0\0\0", 4);
}
END_TEST

START_TEST(host_files)
{
	char path[] = "/tmp/hv-test-fw-cfg-XXXXXX";
	uint8_t text[5];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "data\n", 5), 5);
	ck_assert_int_eq(fw_cfg_add_host_file(fw, "opt/x", path, &err), 0);
	read_port(0x20, text, 5);
	ck_assert_mem_eq(text, "data\n", 5);
	/* Larger than the monitor is willing to hold: refused without reading. */
	ck_assert_int_eq(ftruncate(fd, (off_t)GiB(1024)), 0);
	ck_assert_int_eq(fw_cfg_add_host_file(fw, "opt/y", path, &err), -EFBIG);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	close(fd);
	unlink(path);
	ck_assert_int_eq(fw_cfg_add_host_file(fw, "opt/y", path, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(fw_cfg_add_host_file(fw, "opt/y", path, &err), -EINVAL);
	unlink(path);
	ck_assert_int_eq(fw_cfg_add_host_file(fw, "opt/y", "/tmp", &err), -EINVAL);
}
END_TEST

START_TEST(dma_read)
{
	char *buf = mem_write(&mem, 0x2000, 16);
	char *high = mem_write(&mem, LAYOUT_HIGH_RAM + RAM - 4, 4);

	add_file("opt/x", "0123456789");
	memset(buf, '.', 16);
	ck_assert_uint_eq(dma(0x20 << 16 | DMA_SELECT | DMA_READ, 4, 0x2000), 0);
	ck_assert_mem_eq(buf, "0123....", 8);
	/* Goes on where it ended; skips; mixes with the data port. */
	ck_assert_uint_eq(dma(DMA_SKIP, 2, UINT64_MAX), 0);
	ck_assert_uint_eq(in(1, 1), '6');
	ck_assert_uint_eq(dma(DMA_READ, 8, 0x2000), 0);
	ck_assert_mem_eq(buf, "789\0\0\0\0\0....", 12);
	/* Beyond the end, for ever. */
	ck_assert_uint_eq(dma(DMA_SKIP, UINT32_MAX, 0), 0);
	ck_assert_uint_eq(dma(DMA_READ, 2, 0x2000), 0);
	ck_assert_mem_eq(buf, "\0\0", 2);
	/* Selecting rewinds; nothing to do is done. */
	ck_assert_uint_eq(dma(0x20 << 16 | DMA_SELECT, 4, UINT64_MAX), 0);
	ck_assert_uint_eq(dma(0, 4, UINT64_MAX), 0);
	ck_assert_uint_eq(in(1, 1), '0');
	/* The last bytes of memory above 4 GiB. */
	ck_assert_uint_eq(dma(0x20 << 16 | DMA_SELECT | DMA_READ, 4, LAYOUT_HIGH_RAM + RAM - 4), 0);
	ck_assert_mem_eq(high, "0123", 4);
	/* No such item: zeros. */
	ck_assert_uint_eq(dma(0xffffU << 16 | DMA_SELECT | DMA_READ, 4, 0x2000), 0);
	ck_assert_mem_eq(buf, "\0\0\0\0", 4);
	ck_assert_uint_eq(dma(0x21 << 16 | DMA_SELECT | DMA_READ, 4, 0x2000), 0);
	ck_assert_uint_eq(dma(0x1f << 16 | DMA_SELECT | DMA_READ, 4, 0x2000), 0);
}
END_TEST

START_TEST(dma_hostile)
{
	static const struct {
		uint64_t address;
		uint32_t len;
	} bad[] = {
		{RAM, 1},
		{RAM - 1, 2},
		{0, (uint32_t)RAM + 1},
		{0, UINT32_MAX},
		{UINT64_MAX, 1},
		{UINT64_MAX, UINT32_MAX},
		{UINT64_MAX - 3, 8},
		{LAYOUT_HIGH_RAM - 1, 2},
		{LAYOUT_HIGH_RAM + RAM, 1},
		{1ULL << 63, 16},
	};
	static const uint64_t nowhere[] = {
		RAM - 15,	RAM, LAYOUT_HIGH_RAM - 8, LAYOUT_HIGH_RAM + RAM - 1, UINT64_MAX,
		UINT64_MAX - 15};

	add_file("opt/x", "0123456789");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_uint_eq(
			dma(0x20 << 16 | DMA_SELECT | DMA_READ, bad[i].len, bad[i].address), 1);
	/* A failed read takes nothing from the item. */
	ck_assert_uint_eq(in(1, 1), '0');
	/* Items cannot be written, wherever the data is. */
	ck_assert_uint_eq(dma(0x20 << 16 | DMA_SELECT | DMA_WRITE, 1, 0x2000), 1);
	ck_assert_uint_eq(dma(DMA_WRITE | DMA_SKIP, 1, UINT64_MAX), 1);
	/* The access structure itself not in memory: nothing happens. */
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		start(nowhere[i]);
	ck_assert_uint_eq(in(1, 1), '0');
	/* Data over the access structure: the result is written last. */
	ck_assert_uint_eq(dma(0x20 << 16 | DMA_SELECT | DMA_READ, 16, CONTROL), 0);
	ck_assert_mem_eq(mem_write(&mem, CONTROL + 4, 8), "456789\0\0", 8);
}
END_TEST

START_TEST(dma_unaligned)
{
	uint8_t *at = mem_write(&mem, 0x3003, 16);
	const uint8_t access[16] = {0, 0,    0,	  DMA_SELECT | DMA_READ, 0, 0, 0, 4, 0, 0, 0, 0, 0,
				    0, 0x40, 0x01};

	memcpy(at, access, 16);
	start(0x3003);
	ck_assert_mem_eq(at, "\0\0\0\0", 4);
	ck_assert_mem_eq(mem_write(&mem, 0x4001, 4), "QEMU", 4);
}
END_TEST

/* Every access to the ports that no driver makes: harmless, and does not count. */
START_TEST(odd_accesses)
{
	add_file("opt/x", "0123");
	out(0, 2, 0x20);
	for (uint16_t offset = 0; offset < PORT_FW_CFG_LEN; offset++) {
		for (unsigned int size = 1; size <= 4; size *= 2) {
			if (offset + size > PORT_FW_CFG_LEN)
				continue;
			if (offset != 1 || size != 1)
				in(offset, size);
			if ((offset || size != 2) && (offset != 8 || size != 4))
				out(offset, size, 0xffffffff);
		}
	}
	ck_assert_uint_eq(in(1, 1), '0');
	/* The upper half of an address counts once: the second access is at CONTROL. */
	put_access(DMA_SELECT | DMA_READ, 4, 0x2000);
	out(4, 4, 0xffffffff);
	out(8, 4, 0);
	out(8, 4, htobe32(CONTROL));
	ck_assert_mem_eq(mem_write(&mem, 0x2000, 4), "QEMU", 4);
}
END_TEST

static void *hammer(void *arg)
{
	uint16_t key = *(uint16_t *)arg;

	for (int i = 0; i < 2000; i++) {
		out(0, 2, key);
		for (int b = 0; b < 8; b++)
			in(1, 1);
		start(CONTROL);
	}
	return NULL;
}

/* Several vCPUs at once: whatever they read, it is not outside of an item. */
START_TEST(threads)
{
	uint16_t keys[4] = {0x20, 0x21, FW_CFG_FILE_DIR, 0xffff};
	pthread_t t[4];

	add_file("opt/x", "x");
	add_file("opt/y", "0123456789");
	dma(0x21 << 16 | DMA_SELECT | DMA_READ, 64, 0x2000);
	written_off = true;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, &keys[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	written_off = false;
	ck_assert_uint_eq(dma(DMA_SELECT | DMA_READ, 4, 0x2000), 0);
	ck_assert_mem_eq(mem_write(&mem, 0x2000, 4), "QEMU", 4);
}
END_TEST

START_TEST(life)
{
	uint64_t value;

	/* The ports are taken; a second device cannot be. */
	ck_assert_ptr_null(fw_cfg_create(pio, &mem, &err));
	fw_cfg_destroy(fw);
	fw = NULL;
	ck_assert(!bus_read(pio, PORT_FW_CFG + 1, 1, &value));
	fw_cfg_destroy(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fw_cfg");
	TCase *tc = tcase_create("fw_cfg");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, machine_items);
	tcase_add_test(tc, directory);
	tcase_add_test(tc, names);
	tcase_add_test(tc, dma_above_4g);
	tcase_add_test(tc, host_files);
	tcase_add_test(tc, dma_read);
	tcase_add_test(tc, dma_hostile);
	tcase_add_test(tc, dma_unaligned);
	tcase_add_test(tc, odd_accesses);
	tcase_add_test(tc, threads);
	tcase_add_test(tc, life);
	suite_add_tcase(s, tc);

	return suite_run(s);
}
