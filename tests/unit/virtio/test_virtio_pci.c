// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the virtio PCI transport with a device that gives every chain back,
 * and of the entropy device: capabilities, negotiation, status, queues that
 * break, resets, doorbells and interrupts.
 */
#define _GNU_SOURCE /* syscall() */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "pci/msix.h"
#include "virtio/rng.h"
#include "virtio_guest.h"
#include "suite.h"

#define QUEUE_SIZE    16
#define EXTRA_FEATURE (1ULL << 5)
#define ALL_FEATURES                                                        \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX | EXTRA_FEATURE)
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

static struct virtio_dev dev;
static unsigned int kicks, stops, starts, forgotten; /* under the device's lock */
static char dev_config[12];

static void echo_kick(struct virtio_dev *d, unsigned int queue)
{
	struct queue_chain chain;

	kicks++;
	while (queue_pop(&d->queue[queue].vq, &chain) > 0)
		queue_push(&d->queue[queue].vq, &chain, chain.in_len);
	queue_kicks_on(&d->queue[queue].vq);
	virtio_batch_done(d, queue);
}

static bool echo_stop(struct virtio_dev *d)
{
	(void)d;
	stops++;
	return true;
}

static void echo_start(struct virtio_dev *d)
{
	(void)d;
	starts++;
}

static void echo_forget(struct virtio_dev *d)
{
	(void)d;
	forgotten++;
}

static void echo_config_read(struct virtio_dev *d, size_t off, void *to, size_t n)
{
	(void)d;
	ck_assert_uint_le(off + n, sizeof(dev_config));
	memcpy(to, dev_config + off, n);
}

/* The driver may write the first four bytes. */
static void echo_config_write(struct virtio_dev *d, size_t off, const void *from, size_t n)
{
	(void)d;
	ck_assert_uint_le(off + n, sizeof(dev_config));
	if (off + n <= 4)
		memcpy(dev_config + off, from, n);
}

static const struct virtio_ops echo_ops = {
	.kick = echo_kick,
	.start = echo_start,
	.stop = echo_stop,
	.forget = echo_forget,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
};
static const struct virtio_type echo_type = {
	.name = "echo",
	.id = VIRTIO_ID_CONSOLE,
	.nr_queues = 1,
	.queue_size = {QUEUE_SIZE},
	.config_len = sizeof(dev_config),
	.ops = &echo_ops,
};

static unsigned int locked_read(const unsigned int *counter)
{
	unsigned int n;

	pthread_mutex_lock(&dev.lock);
	n = *counter;
	pthread_mutex_unlock(&dev.lock);
	return n;
}

static void set_up(void)
{
	kicks = stops = starts = forgotten = 0;
	memcpy(dev_config, "hello world", sizeof(dev_config));
	guest_start();
	ck_assert_int_eq(virtio_dev_init(&dev, &guest.env, &echo_type, EXTRA_FEATURE, &guest_error),
			 0);
	driver_probe();
}

static void tear_down(void)
{
	guest_stop_loop();
	virtio_dev_fini(&dev);
	guest_end();
}

/* ------------------------------------------------------------------------- */

START_TEST(identity)
{
	ck_assert_uint_eq(cfg_rd(PCI_DEVICE_ID, 2), 0x1040 + VIRTIO_ID_CONSOLE);
	ck_assert_uint_ge(cfg_rd(PCI_REVISION_ID, 1), 1);
	ck_assert_uint_ge(cfg_rd(PCI_SUBSYSTEM_ID, 2), 0x40);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	ck_assert_uint_eq(drv.device_len, sizeof(dev_config));
	ck_assert_uint_eq(mmio_rd(drv.device, 1), 'h');
	ck_assert_uint_eq(mmio_rd(drv.device + 4, 8), 0x00646c726f77206fULL);
	/* Past its end, and writes, to what takes them and what does not */
	ck_assert_uint_eq(mmio_rd(drv.device + 12, 4), 0);
	ck_assert_uint_eq(mmio_rd(drv.device + 8, 8), 0);
	mmio_wr(drv.device + 4, 4, 0);
	mmio_wr(drv.device + 12, 4, 0);
	ck_assert_uint_eq(mmio_rd(drv.device + 4, 1), 'o');
	mmio_wr(drv.device, 2, 'J' | 'E' << 8);
	ck_assert_uint_eq(mmio_rd(drv.device, 4), 0x6c6c454a);
	/* Past common configuration, and across the ends of the parts */
	ck_assert_uint_eq(common_rd(56, 4), 0);
	ck_assert_uint_eq(common_rd(0xffc, 8), 0);
	ck_assert_uint_eq(common_rd(0xffe, 4), 0);
	mmio_wr(drv.isr + 0xffe, 4, 0xffffffff);
	mmio_wr(drv.isr - 2, 4, 0xffffffff);
	ck_assert_uint_eq(mmio_rd(drv.isr - 2, 4), 0);
}
END_TEST

START_TEST(negotiation)
{
	ck_assert_uint_eq(features_rd(), ALL_FEATURES);
	common_wr(VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_DF, 4), 0);
	common_wr(VIRTIO_PCI_COMMON_DFSELECT, 4, 0xffffffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_DF, 4), 0);

	/* Without VERSION_1, and with what was not offered */
	status_wr(3);
	features_wr(EXTRA_FEATURE);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), 3);
	features_wr(ALL_FEATURES | 1);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), 3);
	/* The select that does not exist changes nothing. */
	features_wr(ALL_FEATURES);
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 2);
	common_wr(VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_GF, 4), 0);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), STATUS_FEATURES);
	/* Too late */
	features_wr(0);
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_GF, 4), (uint32_t)ALL_FEATURES);
}
END_TEST

START_TEST(status_machine)
{
	/* Nothing runs before features are agreed on. */
	status_wr(VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(status_rd(), 0);
	status_wr(1);
	status_wr(2); /* bits stay */
	ck_assert_uint_eq(status_rd(), 3);
	status_wr(NEEDS_RESET); /* ours */
	ck_assert_uint_eq(status_rd(), 3);
	/* Both at once */
	features_wr(ALL_FEATURES);
	status_wr(STATUS_OK);
	ck_assert_uint_eq(status_rd(), STATUS_OK);
	status_wr(0);
	ck_assert_uint_eq(status_rd(), 0);
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_GF, 4), 0);
	/* Wrong widths do nothing. */
	common_wr(VIRTIO_PCI_COMMON_STATUS, 2, 0x0101);
	common_wr(VIRTIO_PCI_COMMON_STATUS, 4, 1);
	ck_assert_uint_eq(status_rd(), 0);
}
END_TEST

START_TEST(queue_registers)
{
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_NOFF, 2), 0);
	driver_queue_regs(0x1122334455667788, 0x99aabbccddeeff00, 0x123456789abcdef0, 8);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x1122334455667788);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_AVAILHI, 4), 0x99aabbcc);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_AVAILLO, 4), 0xddeeff00);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_USEDLO, 8), 0x123456789abcdef0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
	common_wr(VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	common_wr(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	/* Each half can be written again. */
	common_wr(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x01020304);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x0102030455667788);
	common_wr(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x05060708);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x0102030405060708);
	/* A queue that could run is not enabled before FEATURES_OK. */
	driver_queue_regs(RING_DESC, RING_AVAIL, RING_USED, QUEUE_SIZE);
	status_wr(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	features_wr(ALL_FEATURES);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	status_wr(STATUS_FEATURES);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	/* Queues that do not exist */
	common_wr(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	common_wr(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0xffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	for (unsigned int reg = 24; reg < 56; reg += 2) {
		common_wr(reg, 2, 1);
		common_wr(reg, 4, 1);
	}
}
END_TEST

/* One chain there and back; the device is set up. */
static void round_trip(void)
{
	struct vring_used_elem u;

	ring_desc(2, GUEST_DATA, 100, VRING_DESC_F_WRITE, 0);
	ring_offer(2);
	ring_kick();
	u = wait_used();
	ck_assert_uint_eq(u.id, 2);
	ck_assert_uint_eq(u.len, 100);
}

START_TEST(a_chain)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ck_assert_int_ge(guest.doorbell_fd, 0);
	round_trip();
	round_trip();
}
END_TEST

START_TEST(small_ring)
{
	driver_start(ALL_FEATURES, 4);
	for (unsigned int i = 0; i < 10; i++)
		round_trip();
}
END_TEST

/* The module may not bind the port: then the write comes by the bus. */
START_TEST(without_doorbell)
{
	guest.no_doorbells = true;
	cfg_wr(PCI_COMMAND, 2, 0);
	cfg_wr(PCI_COMMAND, 2, 7);
	ck_assert_int_eq(guest.doorbell_fd, -1);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

/* Nobody's descriptor is written to: 0 is what a queue that was never made would name. */
START_TEST(doorbells_that_are_not)
{
	eventfd_t count;
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned int before;

	ck_assert_int_eq(dup2(fd, 0), 0);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	/* By its end the kick of DRIVER_OK has been seen, too. */
	round_trip();
	before = locked_read(&kicks);
	for (unsigned int i = 1; i < 4; i++)
		ck_assert(bus_write(guest.pio, drv.notify_port + i * 4, 2, 0));
	ck_assert_int_eq(eventfd_read(fd, &count), -1);
	settle();
	ck_assert_uint_eq(locked_read(&kicks), before);
	ck_assert(bus_write(guest.pio, drv.notify_port, 2, 0));
	round_trip();
	close(fd);
}
END_TEST

START_TEST(doorbell_moves)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	cfg_wr(PCI_BASE_ADDRESS_0, 4, 0x7000);
	ck_assert_uint_eq(guest.doorbell_port, 0x7000);
	drv.notify_port = 0x7000;
	round_trip();
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_int_eq(guest.doorbell_fd, -1);
}
END_TEST

/* What was offered, and kicked for, before the device ran is found when it does. */
START_TEST(early_kick)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	status_wr(0);
	status_wr(3);
	features_wr(ALL_FEATURES);
	status_wr(STATUS_FEATURES);
	memset(guest_ptr(RING_DESC), 0, 0x3000);
	driver_queue_regs(RING_DESC, RING_AVAIL, RING_USED, QUEUE_SIZE);
	common_wr(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	settle();
	ck_assert_uint_eq(used_idx(), 0);
	status_wr(STATUS_OK);
	ck_assert_uint_eq(wait_used().len, 5);
}
END_TEST

/* Memory is left alone while the guest does not let us be a bus master. */
START_TEST(bus_master)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(locked_read(&stops), 2); /* the other one was the driver's reset */
	ck_assert_uint_eq(locked_read(&forgotten), 1);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	settle();
	ck_assert_uint_eq(used_idx(), 0);
	ck_assert_uint_eq(locked_read(&starts), 1);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(locked_read(&starts), 2);
	ck_assert_uint_eq(wait_used().len, 5);
}
END_TEST

START_TEST(rewritten_after_activation)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	driver_queue_regs(0xfffffffffffffff0, 1, 3, 0xffff);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	ck_assert_uint_eq(status_rd(), STATUS_OK);
	round_trip();
}
END_TEST

START_TEST(impossible_queue)
{
	status_wr(3);
	features_wr(ALL_FEATURES);
	status_wr(STATUS_FEATURES);
	driver_queue_regs(RING_DESC, RING_AVAIL, GUEST_RAM, QUEUE_SIZE);
	common_wr(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	ck_assert_uint_eq(status_rd(), STATUS_FEATURES | NEEDS_RESET);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

/* A broken ring stops the device, with an interrupt, until the driver resets it. */
START_TEST(broken_queue)
{
	unsigned int before;

	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ring_offer(QUEUE_SIZE);
	ring_kick();
	ck_assert(wait_interrupt(0, GUEST_WAIT_MS));
	ck_assert_uint_eq(status_rd(), STATUS_OK | NEEDS_RESET);
	before = locked_read(&kicks);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	settle();
	ck_assert_uint_eq(locked_read(&kicks), before);
	ck_assert_uint_eq(used_idx(), 0);
	/* Once is enough. */
	ck_assert(!wait_interrupt(0, 0));
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

/* The driver hears of a change, and can tell that it read parts of two. */
START_TEST(configuration_changes)
{
	uint8_t before = common_rd(VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	driver_start(ALL_FEATURES, QUEUE_SIZE);
	pthread_mutex_lock(&dev.lock);
	dev_config[5] = '_';
	virtio_config_changed(&dev);
	pthread_mutex_unlock(&dev.lock);
	ck_assert(wait_interrupt(0, GUEST_WAIT_MS));
	ck_assert_uint_eq(mmio_rd(drv.device + 5, 1), '_');
	ck_assert_uint_ne(common_rd(VIRTIO_PCI_COMMON_CFGGENERATION, 1), before);
}
END_TEST

/* Whoever else serves a queue interrupts by this, where the driver has chosen a vector. */
START_TEST(call_fd)
{
	ck_assert_int_eq(dev.transport->call_fd(&dev, 0), -ENOENT);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ck_assert_int_eq(dev.transport->call_fd(&dev, 0), guest.msi_fd[1]);
}
END_TEST

START_TEST(reset_forgets)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
	status_wr(0);
	ck_assert_uint_eq(locked_read(&stops), 2);
	ck_assert_uint_eq(locked_read(&forgotten), 2);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	ck_assert_uint_eq(common_rd(VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
	ring_offer(2);
	ring_kick();
	settle();
	ck_assert_uint_eq(used_idx(), 1);
}
END_TEST

START_TEST(failed_driver)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	status_wr(STATUS_OK | VIRTIO_CONFIG_S_FAILED);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	settle();
	ck_assert_uint_eq(used_idx(), 0);
}
END_TEST

/* Drivers that poll, without MSI-X */
START_TEST(isr_status)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	cfg_wr(drv.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 0);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	for (unsigned int i = 0; i < 1000 && !used_idx(); i++)
		usleep(1000);
	settle();
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 1);
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 0);
	ring_offer(0xffff);
	ring_kick();
	for (unsigned int i = 0; i < 1000 && !(status_rd() & NEEDS_RESET); i++)
		usleep(1000);
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 2);
}
END_TEST

/* The bit of configuration is set with MSI-X, too; that of queues is not. */
START_TEST(isr_status_with_msix)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert(wait_interrupt(1, GUEST_WAIT_MS));
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 0);
	ring_offer(0xffff);
	ring_kick();
	ck_assert(wait_interrupt(0, GUEST_WAIT_MS));
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 2);
	ck_assert_uint_eq(mmio_rd(drv.isr, 1), 0);
}
END_TEST

/* A reset device interrupts no more, not even for what waited behind a mask. */
START_TEST(reset_drops_pending_interrupts)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	mmio_wr(drv.msix + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	ring_desc(0, GUEST_DATA, 5, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	for (unsigned int i = 0; i < 1000 && !mmio_rd(drv.msix + MSIX_PBA, 4); i++)
		usleep(1000);
	ck_assert_uint_eq(mmio_rd(drv.msix + MSIX_PBA, 4), 1 << 1);
	status_wr(0);
	ck_assert_uint_eq(mmio_rd(drv.msix + MSIX_PBA, 4), 0);
	mmio_wr(drv.msix + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	ck_assert(!wait_interrupt(1, 50));
}
END_TEST

/* The whole set-up by configuration space alone */
START_TEST(window)
{
	unsigned int data = drv.window + 16;
	uint64_t common = drv.common - driver_bar(1);

	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_BAR, 1, 1);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_OFFSET, 4, common + VIRTIO_PCI_COMMON_STATUS);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	cfg_wr(data, 1, 3);
	ck_assert_uint_eq(cfg_rd(data, 1), 3);
	cfg_wr(data, 4, 0);
	ck_assert_uint_eq(cfg_rd(data, 4), 0);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_OFFSET, 4, common + VIRTIO_PCI_COMMON_Q_SIZE);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_LENGTH, 4, 2);
	ck_assert_uint_eq(cfg_rd(data, 2), QUEUE_SIZE);
	/* The type and the list are not the guest's to change. */
	cfg_wr(drv.window, 4, 0xffffffff);
	ck_assert_uint_eq(cfg_rd(drv.window + 3, 1), VIRTIO_PCI_CAP_PCI_CFG);
	/* Doorbell */
	cfg_wr(drv.window + VIRTIO_PCI_CAP_BAR, 1, 0);
	cfg_wr(drv.window + VIRTIO_PCI_CAP_OFFSET, 4, 0);
	cfg_wr(data, 2, 0);
}
END_TEST

START_TEST(window_hostile)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, len;
	} bad[] = {
		{1, 0, 0},	{1, 0, 3},   {1, 0, 8},	 {1, 0, 0xffffffff}, {1, 0xfffffffc, 4},
		{1, 0x4000, 4}, {1, 2, 4},   {1, 1, 2},	 {2, 0, 4},	     {5, 0, 4},
		{6, 0, 4},	{255, 0, 4}, {0, 16, 4}, {0, 0x80000000, 4}, {1, 0x3ffe, 4},
	};
	unsigned int data = drv.window + 16;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cfg_wr(drv.window + VIRTIO_PCI_CAP_BAR, 1, bad[i].bar);
		cfg_wr(drv.window + VIRTIO_PCI_CAP_OFFSET, 4, bad[i].offset);
		cfg_wr(drv.window + VIRTIO_PCI_CAP_LENGTH, 4, bad[i].len);
		cfg_wr(data, 4, 0x600df00d);
		/* Nothing was read: the register keeps what was written. */
		ck_assert_uint_eq(cfg_rd(data, 4), 0x600df00d);
	}
	ck_assert_uint_eq(status_rd(), 0);
}
END_TEST

/* Random accesses to every BAR and to configuration space */
START_TEST(random_accesses)
{
	srandom(4);
	for (unsigned int i = 0; i < 30000; i++) {
		unsigned int size = 1u << random() % 4;
		uint64_t value = random() % 2 ? (uint64_t)random() % 32
					      : (uint64_t)random() << 32 | random();
		uint64_t addr = drv.common + random() % (random() % 4 ? 64 : 0x3000);

		mmio_wr(addr, size, value);
		mmio_rd(addr, size);
		cfg_wr(drv.window + random() % 20, 1 + random() % 4, value);
		cfg_rd(random() % 256, size);
		bus_write(guest.pio, drv.notify_port + random() % 16, 2, value);
	}
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

/* The driver of the next guest finds what that of the first one found. */
START_TEST(bus_reset_is_like_new)
{
	uint8_t fresh[PCI_CONFIG_SIZE];
	uint64_t common[7];

	cfg_wr(PCI_COMMAND, 2, 0);
	for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
		fresh[reg] = (uint8_t)cfg_rd(reg, 1);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int i = 0; i < 7; i++)
		common[i] = common_rd(i * 8, 8);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(virtio_stop(&dev));
		pci_host_device.reset(guest.host);
		virtio_reset(&dev);
		virtio_start(&dev);
		ck_assert(!dev.access &&
			  !(cfg_rd(drv.msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE));
		ck_assert_int_eq(guest.doorbell_fd, -1);
		for (unsigned int k = 0; k < FAKE_VECTORS; k++)
			ck_assert_int_eq(guest.msi_fd[k], -1);
		for (unsigned int reg = 0; reg < PCI_CONFIG_SIZE; reg++)
			ck_assert_uint_eq(cfg_rd(reg, 1), fresh[reg]);
		driver_probe();
		for (unsigned int k = 0; k < 7; k++)
			ck_assert_uint_eq(common_rd(k * 8, 8), common[k]);
		for (unsigned int k = 0; k < 2; k++) {
			ck_assert_uint_eq(mmio_rd(drv.msix + k * 16, 8), 0);
			ck_assert_uint_eq(mmio_rd(drv.msix + k * 16 + 8, 8), 1ull << 32);
		}
		memset(guest_ptr(RING_DESC), 0, RING_USED + 0x1000 - RING_DESC);
		drv.used_seen = 0;
		driver_start(ALL_FEATURES, QUEUE_SIZE);
		round_trip();
	}
}
END_TEST

/* While it is stopped nothing is taken from the ring; afterwards all is. */
START_TEST(stopped)
{
	unsigned int before;

	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
	ck_assert(virtio_stop(&dev));
	before = locked_read(&kicks);
	ring_offer(2);
	ring_kick();
	settle();
	ck_assert_uint_eq(locked_read(&kicks), before);
	virtio_start(&dev);
	ck_assert_uint_eq(wait_used().id, 2);
	ck_assert_uint_gt(locked_read(&kicks), before);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The entropy device                                                         */

static struct virtio_rng *rng;

/* Entropy as the host has it: the device's calls are those here. */
static size_t random_piece;	       /* at most so much at a time; 0: all */
static unsigned int random_interrupts; /* so often, at first */
static int random_error;	       /* then this, if not 0 */

static bool random_endless; /* the driver offers more each time */

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	if (random_endless)
		ring_offer(0);
	if (random_interrupts) {
		random_interrupts--;
		errno = EINTR;
		return -1;
	}
	if (random_error) {
		errno = random_error;
		return -1;
	}
	return syscall(SYS_getrandom, buf, random_piece && len > random_piece ? random_piece : len,
		       flags);
}

static void rng_set_up(void)
{
	guest_start();
	rng = virtio_rng_create(&guest.env, &guest_error);
	ck_assert_ptr_nonnull(rng);
	driver_probe();
	driver_start(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX, 8);
}

static void rng_mmio_set_up(void)
{
	on_mmio = true;
	rng_set_up();
}

static void rng_packed_set_up(void)
{
	packed = true;
	rng_set_up();
}

static void rng_packed_mmio_set_up(void)
{
	packed = true;
	rng_mmio_set_up();
}

static void rng_tear_down(void)
{
	guest_stop_loop();
	virtio_rng_destroy(rng);
	rng = NULL;
	guest_end();
}

static bool all_zero(const uint8_t *p, size_t len)
{
	while (len--) {
		if (*p++)
			return false;
	}
	return true;
}

START_TEST(entropy)
{
	uint8_t first[64];

	if (on_mmio)
		ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	else
		ck_assert_uint_eq(cfg_rd(PCI_DEVICE_ID, 2), 0x1044);
	if (!on_mmio)
		ck_assert_uint_eq(drv.device_len, 0);
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(first, guest_ptr(GUEST_DATA), 64);
		ring_desc(0, GUEST_DATA, 32, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
		ring_desc(1, GUEST_DATA + 32, 32, VRING_DESC_F_WRITE, 0);
		ring_offer(0);
		ring_kick();
		ck_assert_uint_eq(wait_used().len, 64);
		ck_assert(!all_zero(guest_ptr(GUEST_DATA), 32));
		ck_assert(!all_zero(guest_ptr(GUEST_DATA + 32), 32));
		ck_assert_mem_ne(first, guest_ptr(GUEST_DATA), 64);
		ck_assert(all_zero(guest_ptr(GUEST_DATA + 64), 64));
	}
}
END_TEST

START_TEST(entropy_in_pieces)
{
	random_piece = 1;
	random_interrupts = 3;
	ring_desc(0, GUEST_DATA, 128, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 128);
	for (unsigned int i = 0; i < 128; i += 32)
		ck_assert(!all_zero(guest_ptr(GUEST_DATA + i), 32));
	/* Interrupted at first, and then more than a request gets */
	random_piece = 0;
	random_interrupts = 1;
	ring_desc(0, GUEST_DATA, 0x20000, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 0x10000);
	/* None at all: the driver gets its buffer back, empty. */
	random_error = ENOSYS;
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 0);
}
END_TEST

/* A full ring uses up what one doorbell does; the device asks for the next all the same. */
START_TEST(entropy_full_ring)
{
	driver_start(1ULL << VIRTIO_F_VERSION_1, 8);
	for (unsigned int i = 0; i < 8; i++) {
		ring_desc(i, GUEST_DATA + i * 64, 64, VRING_DESC_F_WRITE, 0);
		ring_offer(i);
	}
	ring_kick();
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_uint_eq(wait_used().len, 64);
	expect_doorbells_wanted();
}
END_TEST

/* No slot on the bus: nothing is left behind. */
START_TEST(entropy_without_slot)
{
	struct virtio_rng *all[40], *one;
	unsigned int n = 0;

	while ((one = virtio_rng_create(&guest.env, &guest_error)))
		all[n++] = one;
	ck_assert_uint_gt(n, 16);
	ck_assert_uint_gt(strlen(guest_error.text), 0);
	while (n)
		virtio_rng_destroy(all[--n]);
	virtio_rng_destroy(NULL);
}
END_TEST

/* A driver that always has one more: others get their turn, and the loop its end. */
START_TEST(entropy_endless)
{
	random_endless = true;
	ring_desc(0, GUEST_DATA, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	usleep(100000);
}
END_TEST

static unsigned int eventfd_0; /* which of the next is descriptor 0; 0: none */

int eventfd(unsigned int count, int flags)
{
	int fd = (int)syscall(SYS_eventfd2, count, flags);

	if (!eventfd_0 || --eventfd_0)
		return fd;
	dup2(fd, STDIN_FILENO);
	close(fd);
	return STDIN_FILENO;
}

/* 0 is a descriptor like any other: for the interrupts of queue and configuration, and the doorbell. */
START_TEST(descriptor_0)
{
	struct virtio_rng *one;

	close(STDIN_FILENO);
	eventfd_0 = (unsigned int)_i + 1;
	open("/dev/null", O_RDONLY);
	one = virtio_rng_create(&guest.env, &guest_error);
	ck_assert_ptr_nonnull(one);
	ck_assert_uint_eq(eventfd_0, 0);
	virtio_rng_destroy(one);
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
}
END_TEST

START_TEST(entropy_bounded)
{
	ring_desc(0, GUEST_DATA, 0x100000, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 0x10000);
	/* Nothing to write to */
	ring_desc(0, GUEST_DATA, 0x100, 0, 0);
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 0);
}
END_TEST

START_TEST(entropy_many)
{
	uint16_t done = 0;

	for (unsigned int i = 0; i < 8; i++)
		ring_desc(i, GUEST_DATA + i * 64, 64, VRING_DESC_F_WRITE, 0);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 8; i++)
			ring_offer(i);
		ring_kick();
		for (unsigned int i = 0; i < 8; i++)
			ck_assert_uint_eq(wait_used().len, 64);
		done += 8;
		ck_assert_uint_eq(used_idx(), done);
	}
}
END_TEST

/* A packed ring is of any size that the device can do, a split one of a power of two. */
START_TEST(ring_sizes)
{
	for (unsigned int size = 1; size <= 8; size++) {
		if (!packed && size & (size - 1))
			continue;
		driver_start(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_EVENT_IDX, size);
		for (unsigned int n = 0; n < 5 * size; n++) {
			ring_desc(n % size, GUEST_DATA, 64, VRING_DESC_F_WRITE, 0);
			ring_offer(n % size);
			ring_kick();
			ck_assert_uint_eq(wait_used().id, n % size);
		}
	}
}
END_TEST

START_TEST(entropy_hostile)
{
	ring_desc(0, GUEST_RAM - 16, 32, VRING_DESC_F_WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert(wait_interrupt(0, GUEST_WAIT_MS));
	ck_assert_uint_eq(status_rd(), STATUS_OK | NEEDS_RESET);
}
END_TEST

/* Wherever it is found, and whichever kind of ring its driver has. */
static void add_rng(Suite *s, const char *name, void (*device_set_up)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, device_set_up, rng_tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, entropy);
	tcase_add_test(t, entropy_in_pieces);
	tcase_add_test(t, entropy_full_ring);
	tcase_add_test(t, entropy_endless);
	tcase_add_test(t, entropy_bounded);
	tcase_add_test(t, entropy_many);
	tcase_add_test(t, ring_sizes);
	tcase_add_test(t, entropy_hostile);
	suite_add_tcase(s, t);
}

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_pci");
	TCase *t = tcase_create("transport");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, identity);
	tcase_add_test(t, negotiation);
	tcase_add_test(t, status_machine);
	tcase_add_test(t, queue_registers);
	tcase_add_test(t, a_chain);
	tcase_add_test(t, small_ring);
	tcase_add_test(t, without_doorbell);
	tcase_add_test(t, doorbells_that_are_not);
	tcase_add_test(t, doorbell_moves);
	tcase_add_test(t, early_kick);
	tcase_add_test(t, bus_master);
	tcase_add_test(t, rewritten_after_activation);
	tcase_add_test(t, impossible_queue);
	tcase_add_test(t, broken_queue);
	tcase_add_test(t, reset_forgets);
	tcase_add_test(t, failed_driver);
	tcase_add_test(t, isr_status);
	tcase_add_test(t, configuration_changes);
	tcase_add_test(t, call_fd);
	tcase_add_test(t, isr_status_with_msix);
	tcase_add_test(t, reset_drops_pending_interrupts);
	tcase_add_test(t, window);
	tcase_add_test(t, window_hostile);
	tcase_add_test(t, random_accesses);
	tcase_add_test(t, bus_reset_is_like_new);
	tcase_add_test(t, stopped);
	suite_add_tcase(s, t);

	t = tcase_create("rng on the bus");
	tcase_add_checked_fixture(t, rng_set_up, rng_tear_down);
	tcase_add_test(t, entropy_without_slot);
	tcase_add_loop_test(t, descriptor_0, 0, 3);
	suite_add_tcase(s, t);

	add_rng(s, "rng", rng_set_up);
	add_rng(s, "rng without a bus", rng_mmio_set_up);
	add_rng(s, "rng with a packed ring", rng_packed_set_up);
	add_rng(s, "rng with a packed ring, without a bus", rng_packed_mmio_set_up);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
