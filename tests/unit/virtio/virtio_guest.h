/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small guest for tests of virtio devices: buses, memory, a running event loop
 * and a driver that finds a device on the PCI bus as a real one would, or where
 * devices without a bus are.
 */
#ifndef TESTS_UNIT_VIRTIO_GUEST_H
#define TESTS_UNIT_VIRTIO_GUEST_H

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "host/loop.h"
#include "platform/bus.h"
#include "platform/layout.h"
#include "platform/mem.h"
#include "virtio/virtio.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"

#define GUEST_RAM     0x200000u
#define GUEST_WAIT_MS 10000

/*
 * Where the driver puts things. With a packed ring the first three are its own: the tests make chains there, from
 * where they are copied into the ring, and find there what came back.
 */
#define RING_DESC     0x10000u
#define RING_AVAIL    0x11000u
#define RING_USED     0x12000u
#define GUEST_DATA    0x20000u
#define PACKED_RING   0x13000u
#define PACKED_DRIVER 0x14000u
#define PACKED_DEVICE 0x15000u

#define FAKE_VECTORS  8

struct guest {
	struct bus *pio, *mmio;
	struct pci_host *host;
	struct mem mem;
	struct loop *loop;
	pthread_t thread;
	struct virtio_env env;
	struct virtio_pci_bus pci;
	struct virtio_mmio_bus at; /* the place without a bus */
	int line_fd;		   /* counts the edges of its line */
	/* What the fake module was told */
	int msi_fd[FAKE_VECTORS]; /* by message data */
	unsigned int msis_sent;
	int doorbell_fd;
	uint64_t doorbell_port;
	bool no_doorbells;
	sem_t stopped; /* a device has */
};

static struct guest guest;
static struct error guest_error;
/* The device is not on the PCI bus. */
static bool on_mmio;
/* Packed rings are offered, and its driver takes them. */
static bool packed;

/* The driver's view of the device in slot 1 */
static struct {
	uint64_t common, isr, device, msix;
	unsigned int msix_cap, window;
	unsigned int device_len;
	uint64_t notify_port;
	unsigned int notify_mult;
	unsigned int ring_size;
	uint16_t used_seen;
	uint32_t reasons; /* of interrupts on a line, not asked for yet */
	bool event_idx;
	/* Of a packed ring: places, counted on over all laps, and how many of them each chain takes */
	unsigned int next, back;
	unsigned int chain_len[QUEUE_MAX];
} drv;

static int fake_send(void *ctx, uint64_t addr, uint32_t data)
{
	struct guest *g = ctx;

	(void)addr;
	(void)data;
	g->msis_sent++;
	return 1;
}

static int fake_msi_bind(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	struct guest *g = ctx;

	ck_assert_uint_eq(addr, 0xfee00000);
	ck_assert_uint_lt(data, FAKE_VECTORS);
	g->msi_fd[data] = fd;
	return 0;
}

static int fake_msi_unbind(void *ctx, int fd)
{
	struct guest *g = ctx;

	for (unsigned int i = 0; i < FAKE_VECTORS; i++) {
		if (g->msi_fd[i] == fd)
			g->msi_fd[i] = -1;
	}
	return 0;
}

static void check_doorbell(bool pio, unsigned int len, const uint64_t *match)
{
	ck_assert(pio != on_mmio);
	ck_assert_uint_eq(len, on_mmio ? 4 : 0);
	ck_assert(on_mmio ? match && *match == 0 : !match);
}

static int fake_doorbell_bind(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
			      const uint64_t *match)
{
	struct guest *g = ctx;

	check_doorbell(pio, len, match);
	if (g->no_doorbells)
		return -1;
	ck_assert_int_eq(g->doorbell_fd, -1);
	g->doorbell_fd = fd;
	g->doorbell_port = addr;
	return 0;
}

static int fake_doorbell_unbind(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
				const uint64_t *match)
{
	struct guest *g = ctx;

	check_doorbell(pio, len, match);
	ck_assert_int_eq(g->doorbell_fd, fd);
	ck_assert_uint_eq(g->doorbell_port, addr);
	g->doorbell_fd = -1;
	return 0;
}

static void fake_line(void *chip, unsigned int pin, bool level)
{
	const uint64_t one = 1;
	struct guest *g = chip;

	ck_assert_uint_eq(pin, GSI_VIRTIO_MMIO);
	if (level)
		ck_assert_int_eq(write(g->line_fd, &one, 8), 8);
}

static void fake_stopped(void *arg)
{
	struct guest *g = arg;

	sem_post(&g->stopped);
}

static void *guest_loop(void *arg)
{
	ck_assert_int_eq(loop_run(arg), 0);
	return NULL;
}

static void guest_start(void)
{
	struct guest *g = &guest;

	memset(g, 0, sizeof(*g));
	memset(&drv, 0, sizeof(drv));
	g->pio = bus_create();
	g->mmio = bus_create();
	g->host = pci_host_create(g->pio, g->mmio, &guest_error);
	g->loop = loop_create();
	ck_assert(g->host && g->loop);
	ck_assert_int_eq(mem_add_ram(&g->mem, 0, GUEST_RAM, &guest_error), 0);
	for (unsigned int i = 0; i < FAKE_VECTORS; i++)
		g->msi_fd[i] = -1;
	g->doorbell_fd = -1;
	sem_init(&g->stopped, 0, 0);
	g->pci = (struct virtio_pci_bus){
		.host = g->host,
		.msi = {fake_send, fake_msi_bind, fake_msi_unbind, g},
		.doorbell = {fake_doorbell_bind, fake_doorbell_unbind, g},
	};
	g->line_fd = eventfd(0, EFD_NONBLOCK);
	g->at = (struct virtio_mmio_bus){
		.mmio = g->mmio,
		.base = LAYOUT_VIRTIO_MMIO,
		.irq = {fake_line, g, GSI_VIRTIO_MMIO},
		.doorbell = {fake_doorbell_bind, fake_doorbell_unbind, g},
	};
	g->env = (struct virtio_env){
		.mem = &g->mem,
		.loop = g->loop,
		.attach = on_mmio ? virtio_mmio_attach : virtio_pci_attach,
		.bus = on_mmio ? (void *)&g->at : (void *)&g->pci,
		.packed = packed,
		.stopped = fake_stopped,
		.arg = g,
	};
	pthread_create(&g->thread, NULL, guest_loop, g->loop);
}

/* What the host has begun ends. */
static inline void guest_stop_device(struct virtio_dev *d)
{
	while (!virtio_stop(d))
		sem_wait(&guest.stopped);
}

/* Devices are destroyed between these two, as machine.c does. */
static void guest_stop_loop(void)
{
	loop_stop(guest.loop);
	pthread_join(guest.thread, NULL);
}

static void guest_end(void)
{
	struct guest *g = &guest;

	ck_assert_int_eq(g->doorbell_fd, -1);
	for (unsigned int i = 0; i < FAKE_VECTORS; i++)
		ck_assert_int_eq(g->msi_fd[i], -1);
	close(g->line_fd);
	loop_destroy(g->loop);
	pci_host_destroy(g->host);
	bus_destroy(g->pio);
	bus_destroy(g->mmio);
	mem_destroy(&g->mem);
}

static inline void *guest_ptr(uint64_t gpa)
{
	void *p = mem_write(&guest.mem, gpa, 1);

	ck_assert_ptr_nonnull(p);
	return p;
}

/* ------------------------------------------------------------------------- */
/* Registers                                                                  */

static inline uint64_t mmio_rd(uint64_t addr, unsigned int size)
{
	uint64_t value;

	bus_read(guest.mmio, addr, size, &value);
	return value;
}

static inline void mmio_wr(uint64_t addr, unsigned int size, uint64_t value)
{
	bus_write(guest.mmio, addr, size, value);
}

static inline uint64_t cfg_addr(unsigned int reg)
{
	return LAYOUT_ECAM + (1 << 15) + reg;
}

static inline uint32_t cfg_rd(unsigned int reg, unsigned int size)
{
	return mmio_rd(cfg_addr(reg), size);
}

static inline void cfg_wr(unsigned int reg, unsigned int size, uint32_t value)
{
	mmio_wr(cfg_addr(reg), size, value);
}

static inline uint64_t common_rd(unsigned int reg, unsigned int size)
{
	return mmio_rd(drv.common + reg, size);
}

static inline void common_wr(unsigned int reg, unsigned int size, uint64_t value)
{
	mmio_wr(drv.common + reg, size, value);
}

/* A register of the device that is not on the PCI bus */
static inline uint32_t reg_rd(unsigned int reg)
{
	return mmio_rd(drv.common + reg, 4);
}

static inline void reg_wr(unsigned int reg, uint32_t value)
{
	mmio_wr(drv.common + reg, 4, value);
}

static inline uint8_t status_rd(void)
{
	if (on_mmio)
		return reg_rd(VIRTIO_MMIO_STATUS);
	return common_rd(VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void status_wr(uint8_t status)
{
	if (on_mmio) {
		reg_wr(VIRTIO_MMIO_STATUS, status);
		return;
	}
	common_wr(VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static inline uint64_t features_rd(void)
{
	uint64_t low;

	if (on_mmio) {
		reg_wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
		low = reg_rd(VIRTIO_MMIO_DEVICE_FEATURES);
		reg_wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
		return (uint64_t)reg_rd(VIRTIO_MMIO_DEVICE_FEATURES) << 32 | low;
	}
	common_wr(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	low = common_rd(VIRTIO_PCI_COMMON_DF, 4);
	common_wr(VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	return common_rd(VIRTIO_PCI_COMMON_DF, 4) << 32 | low;
}

static inline void features_wr(uint64_t features)
{
	if (on_mmio) {
		reg_wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
		reg_wr(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
		reg_wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		reg_wr(VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
		return;
	}
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	common_wr(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)features);
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	common_wr(VIRTIO_PCI_COMMON_GF, 4, features >> 32);
}

/* ------------------------------------------------------------------------- */
/* The driver                                                                 */

static inline uint64_t driver_bar(unsigned int bar)
{
	return cfg_rd(PCI_BASE_ADDRESS_0 + bar * 4, 4) & ~15u;
}

static inline void probe_mmio(void)
{
	drv.common = LAYOUT_VIRTIO_MMIO;
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_VERSION), 2);
	drv.device = drv.common + VIRTIO_MMIO_CONFIG;
	drv.device_len = LAYOUT_VIRTIO_MMIO_LEN - VIRTIO_MMIO_CONFIG;
	drv.notify_port = drv.common + VIRTIO_MMIO_QUEUE_NOTIFY;
}

/* Turn the device on and find its structures by the capability list. */
static void driver_probe(void)
{
	unsigned int cap, left = 16;

	if (on_mmio) {
		probe_mmio();
		return;
	}
	ck_assert_uint_eq(cfg_rd(PCI_VENDOR_ID, 2), 0x1af4);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (cap = cfg_rd(PCI_CAPABILITY_LIST, 1); cap && left--;
	     cap = cfg_rd(cap + PCI_CAP_LIST_NEXT, 1)) {
		uint32_t offset = cfg_rd(cap + VIRTIO_PCI_CAP_OFFSET, 4);
		uint32_t len = cfg_rd(cap + VIRTIO_PCI_CAP_LENGTH, 4);
		uint64_t where;

		if (cfg_rd(cap, 1) == PCI_CAP_ID_MSIX) {
			uint32_t table = cfg_rd(cap + PCI_MSIX_TABLE, 4);

			drv.msix_cap = cap;
			drv.msix = driver_bar(table & 7) + (table & ~7u);
			continue;
		}
		ck_assert_uint_eq(cfg_rd(cap, 1), PCI_CAP_ID_VNDR);
		where = driver_bar(cfg_rd(cap + VIRTIO_PCI_CAP_BAR, 1)) + offset;
		switch (cfg_rd(cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			ck_assert_uint_ge(len, 56);
			drv.common = where;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			ck_assert_uint_ge(len, 2);
			drv.notify_port = where;
			drv.notify_mult = cfg_rd(cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			drv.isr = where;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			drv.device = where;
			drv.device_len = len;
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			drv.window = cap;
			break;
		}
	}
	ck_assert(drv.common && drv.notify_port && drv.isr && drv.msix && drv.window);
}

/* Message data is the vector's number. */
static inline void driver_msix_on(unsigned int vectors)
{
	for (unsigned int i = 0; i < vectors; i++) {
		mmio_wr(drv.msix + i * 16, 4, 0xfee00000);
		mmio_wr(drv.msix + i * 16 + 4, 4, 0);
		mmio_wr(drv.msix + i * 16 + 8, 4, i);
		mmio_wr(drv.msix + i * 16 + 12, 4, 0);
	}
	cfg_wr(drv.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	common_wr(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_MSIX, 2), 0);
}

static inline void driver_queue_regs(uint64_t desc, uint64_t avail, uint64_t used,
				     unsigned int size)
{
	if (on_mmio) {
		reg_wr(VIRTIO_MMIO_QUEUE_SEL, 0);
		reg_wr(VIRTIO_MMIO_QUEUE_NUM, size);
		reg_wr(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
		reg_wr(VIRTIO_MMIO_QUEUE_DESC_HIGH, desc >> 32);
		reg_wr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
		reg_wr(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, avail >> 32);
		reg_wr(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
		reg_wr(VIRTIO_MMIO_QUEUE_USED_HIGH, used >> 32);
		return;
	}
	common_wr(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_wr(VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	common_wr(VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)desc);
	common_wr(VIRTIO_PCI_COMMON_Q_DESCHI, 4, desc >> 32);
	common_wr(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, avail);
	common_wr(VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)used);
	common_wr(VIRTIO_PCI_COMMON_Q_USEDHI, 4, used >> 32);
}

#define STATUS_FEATURES \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define STATUS_OK (STATUS_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

/* Queue 0 is used from now on; returns what the device says of it. */
static inline unsigned int driver_enable_queue(void)
{
	if (on_mmio) {
		reg_wr(VIRTIO_MMIO_QUEUE_READY, 1);
		return reg_rd(VIRTIO_MMIO_QUEUE_READY);
	}
	common_wr(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	return common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2);
}

/* Of a packed ring: interrupt after what comes back next. */
static inline void packed_want_interrupt(void)
{
	bool odd = drv.back / drv.ring_size % 2;
	uint32_t place = drv.back % drv.ring_size | !odd << VRING_PACKED_EVENT_F_WRAP_CTR;

	if (drv.event_idx)
		__atomic_store_n((uint32_t *)guest_ptr(PACKED_DRIVER),
				 VRING_PACKED_EVENT_FLAG_DESC << 16 | place, __ATOMIC_RELAXED);
}

/* From a reset that is done to a running device with queue 0 on vector 1. */
static void driver_begin(uint64_t features, unsigned int size)
{
	status_wr(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	status_wr(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	features_wr(features | (packed ? 1ULL << VIRTIO_F_RING_PACKED : 0));
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), STATUS_FEATURES);
	if (!on_mmio)
		driver_msix_on(2);
	memset(guest_ptr(RING_DESC), 0, 0x3000);
	drv.ring_size = size;
	drv.event_idx = features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	drv.used_seen = 0;
	drv.reasons = 0;
	drv.next = drv.back = 0;
	if (packed) {
		memset(guest_ptr(PACKED_RING), 0, 0x3000);
		driver_queue_regs(PACKED_RING, PACKED_DRIVER, PACKED_DEVICE, size);
		packed_want_interrupt();
	} else {
		driver_queue_regs(RING_DESC, RING_AVAIL, RING_USED, size);
	}
	ck_assert_uint_eq(driver_enable_queue(), 1);
	status_wr(STATUS_OK);
	ck_assert_uint_eq(status_rd(), STATUS_OK);
}

static void driver_start(uint64_t features, unsigned int size)
{
	status_wr(0);
	ck_assert_uint_eq(status_rd(), 0);
	driver_begin(features, size);
}

static inline void ring_desc(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
			     uint16_t next)
{
	struct vring_desc *d = guest_ptr(RING_DESC);

	d[i] = (struct vring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

/* What a descriptor of a lap has set when it is made available; the lap before it had the other. */
static inline uint16_t packed_lap(unsigned int place)
{
	bool odd = place / drv.ring_size % 2;

	return odd ? 1 << VRING_PACKED_DESC_F_USED : 1 << VRING_PACKED_DESC_F_AVAIL;
}

/* The table of a split ring's descriptor becomes that of a packed one's, whose entries follow each other. */
static inline void packed_table(const struct vring_desc *indirect)
{
	struct vring_packed_desc to[QUEUE_MAX];
	struct vring_desc from[QUEUE_MAX];
	unsigned int n = 0, i = 0;

	if (!mem_write(&guest.mem, indirect->addr, indirect->len) || indirect->len > sizeof(from))
		return;
	memcpy(from, guest_ptr(indirect->addr), indirect->len);
	for (; n < indirect->len / sizeof(from[0]); i = from[i].next) {
		to[n++] = (struct vring_packed_desc){
			.addr = from[i].addr,
			.len = from[i].len,
			.flags = from[i].flags & VRING_DESC_F_WRITE,
		};
	}
	memcpy(guest_ptr(indirect->addr), to, n * sizeof(to[0]));
}

static inline void packed_put(unsigned int place, const struct vring_desc *from, uint16_t id)
{
	struct vring_packed_desc *d = guest_ptr(PACKED_RING);

	if (from->flags & VRING_DESC_F_INDIRECT)
		packed_table(from);
	d += place % drv.ring_size;
	d->addr = from->addr;
	d->len = from->len;
	d->id = id;
	__atomic_store_n(&d->flags, from->flags | packed_lap(place), __ATOMIC_RELEASE);
}

/* The first descriptor comes last: with it the device sees them all. No chain is longer than the ring. */
static inline void packed_offer(const struct vring_desc *head, uint16_t id)
{
	const struct vring_desc *table = guest_ptr(RING_DESC), *d = head;
	unsigned int count = 1;

	for (; d->flags & VRING_DESC_F_NEXT && count < drv.ring_size; count++) {
		d = &table[d->next % QUEUE_MAX];
		packed_put(drv.next + count, d, id);
	}
	packed_put(drv.next, head, id);
	drv.chain_len[id % QUEUE_MAX] = count;
	drv.next += count;
}

/* What came back goes to the used ring. */
static inline void packed_collect(void)
{
	const struct vring_packed_desc *ring = guest_ptr(PACKED_RING);
	const uint16_t both = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
	struct vring_used *used = guest_ptr(RING_USED);

	while (drv.back < drv.next) {
		const struct vring_packed_desc *d = &ring[drv.back % drv.ring_size];
		bool odd = drv.back / drv.ring_size % 2;

		if ((__atomic_load_n(&d->flags, __ATOMIC_ACQUIRE) & both) != (odd ? 0 : both))
			return;
		used->ring[used->idx % drv.ring_size] =
			(struct vring_used_elem){.id = d->id, .len = d->len};
		used->idx++;
		/* A state that is not right may have an id that is none of ours. */
		drv.back += d->id < QUEUE_MAX && drv.chain_len[d->id] ? drv.chain_len[d->id] : 1;
	}
}

/* A head that is none: of a packed ring, where there is no such number, a chain that does not end. */
static inline void packed_offer_head(uint16_t head)
{
	const struct vring_desc endless = {GUEST_DATA, 1, VRING_DESC_F_NEXT, 0};
	const struct vring_desc *table = guest_ptr(RING_DESC);

	if (head < drv.ring_size) {
		packed_offer(&table[head], head);
		return;
	}
	for (unsigned int i = 0; i < drv.ring_size; i++)
		packed_put(drv.next + drv.ring_size - 1 - i, &endless, 0);
	drv.next += drv.ring_size;
}

static inline void ring_offer(uint16_t head)
{
	struct vring_avail *avail = guest_ptr(RING_AVAIL);

	if (packed) {
		packed_offer_head(head);
		return;
	}
	avail->ring[avail->idx % drv.ring_size] = head;
	__atomic_store_n(&avail->idx, avail->idx + 1, __ATOMIC_RELEASE);
}

/* As the module does it, if the port is bound; otherwise as an exit to the monitor. */
static inline void ring_kick(void)
{
	const uint64_t one = 1;
	uint64_t port = drv.notify_port;

	if (guest.doorbell_fd >= 0 && guest.doorbell_port == port)
		ck_assert_int_eq(write(guest.doorbell_fd, &one, 8), 8);
	else if (on_mmio)
		ck_assert(bus_write(guest.mmio, port, 4, 0));
	else
		ck_assert(bus_write(guest.pio, port, 2, 0));
}

static inline uint16_t used_idx(void)
{
	struct vring_used *used = guest_ptr(RING_USED);

	if (packed)
		packed_collect();
	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

/* A page of what the device writes of the queue */
static inline void *device_part(void)
{
	return guest_ptr(packed ? PACKED_RING : RING_USED);
}

/* By the line: vector 1 is that of queue 0, vector 0 that of the configuration. */
static inline bool wait_line(unsigned int vector, int ms)
{
	uint32_t wanted = vector ? VIRTIO_MMIO_INT_VRING : VIRTIO_MMIO_INT_CONFIG;

	while (!(drv.reasons & wanted)) {
		struct pollfd p = {.fd = guest.line_fd, .events = POLLIN};
		uint32_t reasons;
		uint64_t n;

		if (poll(&p, 1, ms) != 1)
			return false;
		ck_assert_int_eq(read(p.fd, &n, 8), 8);
		reasons = reg_rd(VIRTIO_MMIO_INTERRUPT_STATUS);
		reg_wr(VIRTIO_MMIO_INTERRUPT_ACK, reasons);
		drv.reasons |= reasons;
	}
	drv.reasons &= ~wanted;
	return true;
}

/* Wait for an interrupt by vector; false after ms milliseconds. */
static inline bool wait_interrupt(unsigned int vector, int ms)
{
	struct pollfd p = {.fd = guest.msi_fd[vector], .events = POLLIN};
	uint64_t n;

	if (on_mmio)
		return wait_line(vector, ms);
	ck_assert_int_ge(p.fd, 0);
	if (poll(&p, 1, ms) != 1)
		return false;
	return read(p.fd, &n, 8) == 8;
}

/* With event indices: interrupt after the next chain that comes back. */
static inline void want_interrupt(void)
{
	struct vring_avail *avail = guest_ptr(RING_AVAIL);

	if (packed)
		packed_want_interrupt();
	else
		__atomic_store_n(&avail->ring[drv.ring_size], drv.used_seen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Wait for the next chain to come back; returns its place in the used ring. */
static inline struct vring_used_elem wait_used(void)
{
	struct vring_used *used = guest_ptr(RING_USED);

	want_interrupt();
	while (used_idx() == drv.used_seen)
		ck_assert_msg(wait_interrupt(1, GUEST_WAIT_MS), "no interrupt");
	return used->ring[drv.used_seen++ % drv.ring_size];
}

static inline bool doorbells_wanted(void)
{
	const struct vring_packed_desc_event *event = guest_ptr(PACKED_DEVICE);
	const struct vring_used *used = guest_ptr(RING_USED);

	if (packed)
		return __atomic_load_n(&event->flags, __ATOMIC_ACQUIRE) !=
		       VRING_PACKED_EVENT_FLAG_DISABLE;
	return !__atomic_load_n(&used->flags, __ATOMIC_ACQUIRE);
}

/* The device asks for doorbells, now or soon. */
static inline void expect_doorbells_wanted(void)
{
	for (unsigned int ms = 0; ms < GUEST_WAIT_MS && !doorbells_wanted(); ms++)
		usleep(1000);
	ck_assert(doorbells_wanted());
}

/* Let the loop do whatever it was asked for: twice round is enough. */
static inline void settle(void)
{
	usleep(50000);
}

#endif
