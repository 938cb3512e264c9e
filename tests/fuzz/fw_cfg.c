// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/dev/fw_cfg.c: any accesses to its ports, DMA anywhere. What is read is the selected item from
 * where the last read ended, zeroes behind it, by either way; nothing else in memory changes.
 */
#include <endian.h>

#include "platform/layout.h"
#include "platform/bus.h"
#include "dev/fw_cfg.h"
#include "tests/fuzz/fuzz.h"

#define SIZE	   0x2000u
#define DMA_ERROR  1
#define DMA_READ   2
#define DMA_SKIP   4
#define DMA_SELECT 8
#define DMA_WRITE  16

struct access {
	uint32_t control, length;
	uint64_t address;
};

static const char *const names[] = {"etc/a", "opt/b", "opt/c"};
static const char *const texts[] = {"the first of them", "", "z"};

/* What the device must be doing: which file is selected, and how far it was read. */
static struct {
	bool known;
	const char *text;
	size_t at;
} model;

static uint8_t *ram, before[SIZE];
static struct bus *pio;

static void select_key(uint16_t key)
{
	unsigned int file = key - FW_CFG_FILE_FIRST;

	model.at = 0;
	model.known = key >= FW_CFG_FILE_FIRST;
	model.text = model.known && file < 3 ? texts[file] : "";
}

static uint8_t next_byte(void)
{
	return model.at < strlen(model.text) ? model.text[model.at++] : 0;
}

/* The access structure at gpa, done by the model on "before". */
static void dma(uint64_t gpa)
{
	uint32_t control, len, result = 0;
	struct access a;
	uint64_t to;

	if (gpa > SIZE || sizeof(a) > SIZE - gpa)
		return;
	memcpy(&a, before + gpa, sizeof(a));
	control = be32toh(a.control);
	len = be32toh(a.length);
	to = be64toh(a.address);
	if (control & DMA_SELECT)
		select_key(control >> 16);
	if (control & DMA_READ) {
		if (to > SIZE || len > SIZE - to)
			result = DMA_ERROR;
		else if (model.known)
			for (uint32_t i = 0; i < len; i++)
				before[to + i] = next_byte();
		else
			memcpy(before + to, ram + to, len);
	} else if (control & DMA_WRITE) {
		result = DMA_ERROR;
	} else if (control & DMA_SKIP && model.known) {
		for (size_t i = 0; i < len && model.at < strlen(model.text); i++)
			model.at++;
	}
	result = htobe32(result);
	memcpy(before + gpa, &result, sizeof(result));
}

static void start_dma(uint64_t gpa)
{
	memcpy(before, ram, SIZE);
	bus_write(pio, PORT_FW_CFG + 4, 4, htobe32((uint32_t)(gpa >> 32)));
	bus_write(pio, PORT_FW_CFG + 8, 4, htobe32((uint32_t)gpa));
	dma(gpa);
	must(!memcmp(before, ram, SIZE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem mem = {.nr_regions = 1};
	struct input in = {data, size};
	struct fw_cfg *fw;
	uint64_t value;
	struct error e;

	/* In an allocation of its own, so that an access beyond it is noticed. */
	ram = calloc(1, SIZE);
	mem.region[0] = (struct mem_region){.len = SIZE, .hva = ram, .fd = -1};
	pio = bus_create();
	fw = fw_cfg_create(pio, &mem, &e);
	must(fw && !fw_cfg_add_machine(fw, 1, SIZE, "quiet", &e));
	for (unsigned int i = 0; i < 3; i++)
		must(!fw_cfg_add_file(fw, names[i], texts[i], strlen(texts[i]), &e));
	model.known = false;
	while (in.left) {
		struct access a;
		uint16_t key;
		uint64_t gpa;

		switch (take(&in, 1) % 5) {
		case 0:
			key = take(&in, 1);
			bus_write(pio, PORT_FW_CFG, 2, key);
			select_key(key);
			break;
		case 1:
			must(bus_read(pio, PORT_FW_CFG + 1, 1, &value));
			must(!model.known || value == next_byte());
			break;
		case 2:
			a.control = htobe32(take(&in, 1) | (uint32_t)take(&in, 1) << 16);
			a.length = htobe32(take(&in, 2) & 0x1fff);
			a.address = htobe64(take(&in, 2) & 0x3fff);
			gpa = take(&in, 2) % (SIZE - sizeof(a));
			memcpy(ram + gpa, &a, sizeof(a));
			start_dma(gpa);
			break;
		case 3:
			start_dma(take(&in, 8));
			break;
		default:
			/* Anywhere, and of any size: only what is no selection is not in the model. */
			key = take(&in, 1) % 12;
			gpa = 1 << take(&in, 1) % 3;
			if (take(&in, 1) & 1 && !(key == 1 && gpa == 1))
				bus_read(pio, PORT_FW_CFG + key, gpa, &value);
			else if (key && (key < 4 || gpa != 4) && key + gpa <= 12)
				bus_write(pio, PORT_FW_CFG + key, gpa, take(&in, 4));
			break;
		}
	}
	fw_cfg_destroy(fw);
	bus_destroy(pio);
	free(ram);
	return 0;
}
