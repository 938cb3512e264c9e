// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fw_cfg device. Guests reach it through the port bus on any vCPU's thread;
 * DMA is carried out on that thread, inside the write that starts it.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "acpi/describe.h"
#include "boot/file.h"
#include "dev/fw_cfg.h"
#include "platform/layout.h"

/* Registers, as offsets from PORT_FW_CFG. */
#define REG_SELECTOR   0
#define REG_DATA       1
#define REG_DMA_HIGH   4
#define REG_DMA_LOW    8
#define REG_DMA_END    12

#define ID_TRADITIONAL 0x1
#define ID_DMA	       0x2

#define DMA_ERROR      0x01
#define DMA_READ       0x02
#define DMA_SKIP       0x04
#define DMA_SELECT     0x08
#define DMA_WRITE      0x10

#define KEY_NONE       0xffff /* of no item */

#define HOST_FILE_MAX  MiB(256) /* held in the monitor's own memory */

/* In guest memory, big-endian. */
struct dma_access {
	uint32_t control; /* DMA_*; a key in the upper half */
	uint32_t length;
	uint64_t address;
};

/* An entry of the directory, big-endian. */
struct dir_entry {
	uint32_t size;
	uint16_t key;
	uint16_t reserved;
	char name[FW_CFG_MAX_NAME + 1];
};

struct directory {
	uint32_t count;
	struct dir_entry entry[FW_CFG_MAX_FILES];
};

_Static_assert(sizeof(struct dma_access) == 16, "fw_cfg DMA");
_Static_assert(sizeof(struct dir_entry) == 64, "fw_cfg directory");
_Static_assert(sizeof(struct directory) == 4 + 64 * FW_CFG_MAX_FILES, "fw_cfg directory");

struct item {
	uint8_t *data;
	uint32_t len;
};

struct file {
	char name[FW_CFG_MAX_NAME + 1];
	struct item item;
};

/* (l) under the lock; (c) constant once the machine runs */
struct fw_cfg {
	struct bus *pio;
	const struct mem *mem;
	pthread_mutex_t lock;

	struct item item[FW_CFG_FILE_FIRST]; /* (c) by key */
	struct file file[FW_CFG_MAX_FILES];  /* (c) by key - FW_CFG_FILE_FIRST, sorted by name */
	unsigned int nr_files;		     /* (c) */
	struct directory dir;		     /* (c) what FW_CFG_FILE_DIR reads as */

	uint16_t key;	     /* (l) that is selected; one that nothing has, too */
	struct item current; /* (l) the selected item; no data: reads as zeros */
	uint32_t offset;     /* (l) in it, at most its length */
	uint32_t dma_high;   /* (l) upper half of the next DMA address */
};

static struct item item_of(const struct fw_cfg *fw, uint16_t key)
{
	if (key < FW_CFG_FILE_FIRST)
		return fw->item[key];
	/* Behind the last file there is nothing. */
	if (key < FW_CFG_FILE_FIRST + FW_CFG_MAX_FILES)
		return fw->file[key - FW_CFG_FILE_FIRST].item;
	return (struct item){0};
}

static void select_item(struct fw_cfg *fw, uint16_t key)
{
	fw->key = key;
	fw->current = item_of(fw, key);
	fw->offset = 0;
}

/* Copy from the selected item; beyond its end there are zeros. */
static void read_item(struct fw_cfg *fw, uint8_t *to, uint32_t len)
{
	uint32_t left = fw->current.len - fw->offset;
	uint32_t n = len < left ? len : left;

	if (n)
		memcpy(to, fw->current.data + fw->offset, n);
	memset(to + n, 0, len - n);
	fw->offset += n;
}

static void skip_item(struct fw_cfg *fw, uint32_t len)
{
	uint32_t left = fw->current.len - fw->offset;

	fw->offset += len < left ? len : left;
}

/* Carry out one access; returns what its control field becomes. */
static uint32_t dma_run(struct fw_cfg *fw, uint32_t control, uint32_t length, uint64_t address)
{
	if (control & DMA_SELECT)
		select_item(fw, (uint16_t)(control >> 16));

	if (control & DMA_READ) {
		uint8_t *to = mem_write(fw->mem, address, length);

		if (!to)
			return DMA_ERROR;
		read_item(fw, to, length);
	} else if (control & DMA_WRITE) {
		return DMA_ERROR;
	} else if (control & DMA_SKIP) {
		skip_item(fw, length);
	}
	return 0;
}

static void dma(struct fw_cfg *fw, uint64_t gpa)
{
	uint8_t *at = mem_write(fw->mem, gpa, sizeof(struct dma_access));
	struct dma_access access;
	uint32_t result;

	/* Nowhere to report an error to. */
	if (!at)
		return;
	memcpy(&access, at, sizeof(access));
	result = htobe32(dma_run(fw, be32toh(access.control), be32toh(access.length),
				 be64toh(access.address)));
	/* Another vCPU may poll the control field: the data must be there first. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(at + offsetof(struct dma_access, control), &result, sizeof(result));
}

static uint64_t fw_cfg_read(void *dev, uint64_t offset, unsigned int size)
{
	/* What the DMA address register reads as: a way to find the interface. */
	static const uint8_t signature[8] = "QEMU CFG";
	struct fw_cfg *fw = dev;
	uint64_t value = 0;
	uint8_t byte;

	if (offset == REG_DATA && size == 1) {
		pthread_mutex_lock(&fw->lock);
		read_item(fw, &byte, 1);
		pthread_mutex_unlock(&fw->lock);
		return byte;
	}
	if (offset >= REG_DMA_HIGH && offset + size <= REG_DMA_END)
		memcpy(&value, signature + (offset - REG_DMA_HIGH), size);
	return value;
}

static void fw_cfg_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct fw_cfg *fw = dev;
	uint64_t gpa;

	pthread_mutex_lock(&fw->lock);
	if (offset == REG_SELECTOR && size == 2) {
		select_item(fw, (uint16_t)value);
	} else if (offset == REG_DMA_HIGH && size == 4) {
		fw->dma_high = be32toh((uint32_t)value);
	} else if (offset == REG_DMA_LOW && size == 4) {
		gpa = (uint64_t)fw->dma_high << 32 | be32toh((uint32_t)value);
		fw->dma_high = 0;
		dma(fw, gpa);
	}
	pthread_mutex_unlock(&fw->lock);
}

static const struct bus_ops fw_cfg_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
};

/* A copy of the data; never NULL data, so that a taken key is told from a free one. */
static int item_copy(struct item *item, const void *data, size_t len, struct error *e)
{
	if (len > UINT32_MAX)
		return error_set(e, EFBIG, "fw_cfg data of %zu bytes is too large", len);
	item->data = malloc(len ? len : 1);
	if (!item->data)
		return error_set(e, ENOMEM, "out of memory for %zu bytes of fw_cfg data", len);
	if (len)
		memcpy(item->data, data, len);
	item->len = (uint32_t)len;
	return 0;
}

int fw_cfg_add_item(struct fw_cfg *fw, uint16_t key, const void *data, size_t len, struct error *e)
{
	if (key >= FW_CFG_FILE_FIRST)
		return error_set(e, EINVAL, "fw_cfg key %#x is not that of an item", key);
	if (fw->item[key].data)
		return error_set(e, EEXIST, "fw_cfg key %#x is there twice", key);
	return item_copy(&fw->item[key], data, len, e);
}

/* Files get their keys by the order of their names, so a new one renumbers those behind it. */
static void renumber(struct fw_cfg *fw)
{
	fw->dir.count = htobe32(fw->nr_files);
	for (unsigned int i = 0; i < fw->nr_files; i++) {
		struct dir_entry *d = &fw->dir.entry[i];

		d->size = htobe32(fw->file[i].item.len);
		d->key = htobe16((uint16_t)(FW_CFG_FILE_FIRST + i));
		memcpy(d->name, fw->file[i].name, sizeof(d->name));
	}
	fw->item[FW_CFG_FILE_DIR].data = (uint8_t *)&fw->dir;
	fw->item[FW_CFG_FILE_DIR].len =
		(uint32_t)(sizeof(fw->dir.count) + fw->nr_files * sizeof(fw->dir.entry[0]));
}

/* Where a file of this name goes, or a negative errno. */
static int file_index(const struct fw_cfg *fw, const char *name, struct error *e)
{
	size_t len = strlen(name);
	unsigned int at = 0;
	int order = 1;

	if (!len || len > FW_CFG_MAX_NAME)
		return error_set(e, EINVAL, "fw_cfg name '%s': must have 1 to %d characters", name,
				 FW_CFG_MAX_NAME);
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~')
			return error_set(e, EINVAL,
					 "fw_cfg name '%s': must be of printable ASCII characters "
					 "without blanks",
					 name);
	}
	while (at < fw->nr_files && (order = strcmp(fw->file[at].name, name)) < 0)
		at++;
	if (at < fw->nr_files && order == 0)
		return error_set(e, EEXIST, "fw_cfg name '%s': is there twice; name another", name);
	if (fw->nr_files == FW_CFG_MAX_FILES)
		return error_set(e, ENOSPC,
				 "fw_cfg name '%s': there are %d files already, the most "
				 "possible",
				 name, FW_CFG_MAX_FILES);
	return (int)at;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
		    struct error *e)
{
	struct item item;
	struct file *f;
	int at, ret;

	at = file_index(fw, name, e);
	if (at < 0)
		return at;
	ret = item_copy(&item, data, len, e);
	if (ret)
		return ret;

	f = &fw->file[at];
	memmove(f + 1, f, (fw->nr_files - (unsigned int)at) * sizeof(*f));
	memset(f, 0, sizeof(*f));
	memcpy(f->name, name, strlen(name));
	f->item = item;
	fw->nr_files++;
	renumber(fw);
	return 0;
}

int fw_cfg_add_host_file(struct fw_cfg *fw, const char *name, const char *path, struct error *e)
{
	struct host_file f;
	void *data;
	int ret;

	ret = host_file_open(NULL, &f, "fw_cfg file", path, e);
	if (ret)
		return ret;
	if (f.size > HOST_FILE_MAX) {
		host_file_close(&f);
		return error_set(e, EFBIG,
				 "fw_cfg file %s: is larger than %d MiB; use a disk for it", path,
				 (int)(HOST_FILE_MAX >> 20));
	}
	data = malloc(f.size ? f.size : 1);
	if (!data)
		ret = error_set(e, ENOMEM, "out of memory for fw_cfg file %s", path);
	else
		ret = host_file_read(&f, 0, data, f.size, e);
	if (!ret)
		ret = fw_cfg_add_file(fw, name, data, f.size, e);
	free(data);
	host_file_close(&f);
	return ret;
}

int fw_cfg_add_machine(struct fw_cfg *fw, uint16_t cpus, uint64_t ram, const char *cmdline,
		       struct error *e)
{
	uint16_t cpus_le = htole16(cpus);
	uint64_t ram_le = htole64(ram);
	uint32_t size_le = htole32((uint32_t)strlen(cmdline) + 1);
	const struct {
		uint16_t key;
		const void *data;
		size_t len;
	} items[] = {
		{FW_CFG_NB_CPUS, &cpus_le, sizeof(cpus_le)},
		{FW_CFG_MAX_CPUS, &cpus_le, sizeof(cpus_le)},
		{FW_CFG_RAM_SIZE, &ram_le, sizeof(ram_le)},
		{FW_CFG_CMDLINE_SIZE, &size_le, sizeof(size_le)},
		{FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]) && !ret; i++)
		ret = fw_cfg_add_item(fw, items[i].key, items[i].data, items[i].len, e);
	return ret;
}

struct fw_cfg *fw_cfg_create(struct bus *pio, const struct mem *m, struct error *e)
{
	struct fw_cfg *fw = calloc(1, sizeof(*fw));
	const uint32_t id = htole32(ID_TRADITIONAL | ID_DMA);
	int ret;

	if (!fw) {
		error_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	fw->mem = m;
	fw->key = KEY_NONE;
	pthread_mutex_init(&fw->lock, NULL);
	renumber(fw);
	if (fw_cfg_add_item(fw, FW_CFG_SIGNATURE, "QEMU", 4, e) ||
	    fw_cfg_add_item(fw, FW_CFG_ID, &id, sizeof(id), e))
		goto fail;
	ret = bus_add(pio, PORT_FW_CFG, PORT_FW_CFG_LEN, &fw_cfg_ops, fw);
	if (ret) {
		error_set(e, -ret, "cannot place fw_cfg at port %#x: %s", PORT_FW_CFG,
			  strerror(-ret));
		goto fail;
	}
	fw->pio = pio;
	return fw;

fail:
	fw_cfg_destroy(fw);
	return NULL;
}

void fw_cfg_destroy(void *dev)
{
	struct fw_cfg *fw = dev;

	if (!fw)
		return;
	if (fw->pio)
		bus_remove(fw->pio, PORT_FW_CFG, fw);
	for (unsigned int i = 0; i < FW_CFG_FILE_FIRST; i++) {
		if (i != FW_CFG_FILE_DIR)
			free(fw->item[i].data);
	}
	for (unsigned int i = 0; i < fw->nr_files; i++)
		free(fw->file[i].item.data);
	pthread_mutex_destroy(&fw->lock);
	free(fw);
}

static void reset(void *dev)
{
	struct fw_cfg *fw = dev;

	pthread_mutex_lock(&fw->lock);
	select_item(fw, KEY_NONE);
	fw->dma_high = 0;
	pthread_mutex_unlock(&fw->lock);
}

/* The items are the configuration's: their number stands for them. */
static const struct state_property properties[] = {
	{STATE_UINT(struct fw_cfg, nr_files, "files", FW_CFG_MAX_FILES), .same = true},
	{STATE_UINT(struct fw_cfg, key, "key", UINT16_MAX)},
	{STATE_UINT(struct fw_cfg, offset, "offset", UINT32_MAX)},
	{STATE_UINT(struct fw_cfg, dma_high, "dma-high", UINT32_MAX)},
};

static const struct state_format format = STATE_FORMAT("fw-cfg", 1, properties);

static void save(void *dev, struct dtb *out)
{
	struct fw_cfg *fw = dev;

	pthread_mutex_lock(&fw->lock);
	state_put(out, &format, fw);
	pthread_mutex_unlock(&fw->lock);
}

/* What is in a struct fw_cfg is too much for a stack. */
static int read_state(struct fw_cfg *fw, struct fw_cfg *new, struct state_in *in, struct error *e)
{
	int ret = state_get_leaf(in, &format, fw, new, e);

	if (!ret && new->offset > item_of(fw, new->key).len)
		ret = state_refuse(in, "offset", "is behind the end of the item", e);
	if (ret)
		return ret;

	pthread_mutex_lock(&fw->lock);
	state_copy(&format, fw, new);
	fw->current = item_of(fw, fw->key);
	pthread_mutex_unlock(&fw->lock);
	return 0;
}

static int load(void *dev, struct state_in *in, struct error *e)
{
	struct fw_cfg *new = calloc(1, sizeof(*new));
	int ret = new ? read_state(dev, new, in, e) : error_set(e, ENOMEM, "out of memory");

	free(new);
	return ret;
}

static void describe(void *dev, const struct description *d)
{
	static const struct port_device ports = {
		.aml = "FWCF",
		.hid = "QEMU0002",
		.node = "fw-cfg",
		.compatible = "qemu,fw-cfg",
		.port = PORT_FW_CFG,
		.len = PORT_FW_CFG_LEN,
	};

	(void)dev;
	describe_ports(d, &ports);
}

const struct device_ops fw_cfg_device = {
	.reset = reset,
	.save = save,
	.load = load,
	.describe = describe,
	.destroy = fw_cfg_destroy,
};
