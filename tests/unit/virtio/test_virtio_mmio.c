// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the virtio MMIO transport with a device that gives every chain back:
 * registers, negotiation, queues that are taken back, doorbells and the line.
 */
#include <errno.h>
#include <linux/virtio_ids.h>

#include "virtio_guest.h"
#include "suite.h"

#define QUEUE_SIZE    16
#define EXTRA_FEATURE (1ULL << 5)
#define ALL_FEATURES                                                        \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX | EXTRA_FEATURE)

static struct virtio_dev dev;
static char dev_config[12];
static unsigned int starts, stops, forgotten; /* under the device's lock */

static void echo_kick(struct virtio_dev *d, unsigned int queue)
{
	struct queue_chain chain;

	while (queue_pop(&d->queue[queue].vq, &chain) > 0)
		queue_push(&d->queue[queue].vq, &chain, chain.in_len);
	queue_kicks_on(&d->queue[queue].vq);
	virtio_batch_done(d, queue);
}

static void echo_start(struct virtio_dev *d)
{
	(void)d;
	starts++;
}

static bool echo_stop(struct virtio_dev *d)
{
	(void)d;
	stops++;
	return true;
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

static void echo_config_write(struct virtio_dev *d, size_t off, const void *from, size_t n)
{
	(void)d;
	ck_assert_uint_le(off + n, sizeof(dev_config));
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

static void set_up(void)
{
	on_mmio = true;

	starts = stops = forgotten = 0;
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

/* One chain there and back. */
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

/* ------------------------------------------------------------------------- */

START_TEST(identity)
{
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_CONSOLE);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_VENDOR_ID), 0x1af4);
	ck_assert_uint_eq(mmio_rd(drv.device, 1), 'h');
	ck_assert_uint_eq(mmio_rd(drv.device + 4, 8), 0x00646c726f77206fULL);
	/* Past its end, and across it */
	ck_assert_uint_eq(mmio_rd(drv.device + 12, 4), 0);
	ck_assert_uint_eq(mmio_rd(drv.device + 8, 8), 0);
	mmio_wr(drv.device + 12, 4, UINT32_MAX);
	mmio_wr(drv.device + 2, 2, 'L' | 'L' << 8);
	ck_assert_uint_eq(mmio_rd(drv.device, 4), 0x4c4c6568);
	/* Not whole registers, none at all, and shared memory that does not exist */
	ck_assert_uint_eq(mmio_rd(drv.common, 1), 0);
	ck_assert_uint_eq(mmio_rd(drv.common + 2, 2), 0);
	ck_assert_uint_eq(mmio_rd(drv.common, 8), 0);
	ck_assert_uint_eq(reg_rd(0xf8), 0);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_SHM_LEN_HIGH), UINT32_MAX);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_SHM_BASE_LOW), UINT32_MAX);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
}
END_TEST

START_TEST(negotiation)
{
	ck_assert_uint_eq(features_rd(), ALL_FEATURES);
	reg_wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	status_wr(3);
	features_wr(EXTRA_FEATURE);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), 3);
	features_wr(ALL_FEATURES | 1);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), 3);
	features_wr(ALL_FEATURES);
	/* Parts of a register do nothing. */
	mmio_wr(drv.common + VIRTIO_MMIO_STATUS, 1, STATUS_FEATURES);
	mmio_wr(drv.common + VIRTIO_MMIO_STATUS, 2, STATUS_FEATURES);
	mmio_wr(drv.common + VIRTIO_MMIO_STATUS, 8, STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), 3);
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(status_rd(), STATUS_FEATURES);
}
END_TEST

START_TEST(queue_registers)
{
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE);
	/* What cannot be: queues that do not exist, and sizes */
	reg_wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	reg_wr(VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_QUEUE_READY), 0);
	reg_wr(VIRTIO_MMIO_QUEUE_SEL, 0x10000);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	status_wr(3);
	features_wr(ALL_FEATURES);
	driver_queue_regs(RING_DESC, RING_AVAIL, RING_USED, 0x10010);
	ck_assert_uint_eq(driver_enable_queue(), 0); /* before FEATURES_OK */
	status_wr(STATUS_FEATURES);
	ck_assert_uint_eq(driver_enable_queue(), 0);
	ck_assert_uint_eq(status_rd(), STATUS_FEATURES | VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Every half of an address counts. */
	for (unsigned int reg = VIRTIO_MMIO_QUEUE_DESC_HIGH; reg <= VIRTIO_MMIO_QUEUE_USED_HIGH;
	     reg += 0x10) {
		status_wr(0);
		status_wr(3);
		features_wr(ALL_FEATURES);
		status_wr(STATUS_FEATURES);
		driver_queue_regs(RING_DESC, RING_AVAIL, RING_USED, QUEUE_SIZE);
		reg_wr(reg, 1);
		ck_assert_uint_eq(driver_enable_queue(), 0);
		ck_assert_uint_ne(status_rd(), STATUS_FEATURES);
	}
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

START_TEST(chains)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ck_assert_int_ge(guest.doorbell_fd, 0);
	ck_assert_uint_eq(starts, 1);
	for (unsigned int i = 0; i < 2 * QUEUE_SIZE; i++)
		round_trip();
}
END_TEST

/* The reason of an interrupt stays until it is acknowledged, and only the bits that were. */
START_TEST(reasons)
{
	struct pollfd p = {.fd = guest.line_fd, .events = POLLIN};

	driver_start(ALL_FEATURES, QUEUE_SIZE);
	ring_desc(2, GUEST_DATA, 100, VRING_DESC_F_WRITE, 0);
	ring_offer(2);
	ring_kick();
	ck_assert_int_eq(poll(&p, 1, GUEST_WAIT_MS), 1);
	pthread_mutex_lock(&dev.lock);
	dev_config[5] = '_';
	virtio_config_changed(&dev);
	pthread_mutex_unlock(&dev.lock);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_CONFIG_GENERATION), 1);
	reg_wr(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	status_wr(0);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_int_eq(dev.transport->call_fd(&dev, 0), -EOPNOTSUPP);
}
END_TEST

/* A queue that the driver takes back is left alone, and can be given again. */
START_TEST(queue_taken_back)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
	reg_wr(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_uint_eq(forgotten, 2); /* the other one was the driver's reset */
	ck_assert_uint_eq(starts, 2);
	ring_offer(2);
	ring_kick();
	settle();
	ck_assert_uint_eq(used_idx(), 1);
	reg_wr(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(stops, 2);

	memset(guest_ptr(RING_DESC), 0, 0x3000);
	drv.used_seen = 0;
	ck_assert_uint_eq(driver_enable_queue(), 1);
	round_trip();
}
END_TEST

/* Doorbells of queues that do not exist, of other widths, and one that the module does not signal */
START_TEST(doorbells)
{
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	mmio_wr(drv.notify_port, 4, 1);
	mmio_wr(drv.notify_port, 4, UINT32_MAX);
	mmio_wr(drv.notify_port, 2, 0);
	ring_desc(2, GUEST_DATA, 100, VRING_DESC_F_WRITE, 0);
	ring_offer(2);
	mmio_wr(drv.notify_port, 4, 0);
	ck_assert_uint_eq(wait_used().len, 100);
}
END_TEST

/* A place that is taken: nothing is left behind. */
START_TEST(taken)
{
	struct virtio_dev other;

	guest.no_doorbells = true;
	ck_assert_int_eq(
		virtio_dev_init(&other, &guest.env, &echo_type, EXTRA_FEATURE, &guest_error),
		-EEXIST);
	virtio_dev_fini(&other);
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

/* Any accesses whatever, with a driver that means it in between */
START_TEST(random_accesses)
{
	static const unsigned int width[] = {1, 2, 4, 4, 4, 4, 8};

	srandom(11);
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int size = width[random() % 7];
		uint64_t offset = random() % (random() % 4 ? 0x110 : LAYOUT_VIRTIO_MMIO_LEN - 8);

		if (random() % 2)
			mmio_wr(drv.common + offset / size * size, size,
				random() % 2 ? random() % 32 : random());
		else
			mmio_rd(drv.common + offset / size * size, size);
	}
	driver_start(ALL_FEATURES, QUEUE_SIZE);
	round_trip();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_mmio");
	TCase *t = tcase_create("transport");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, identity);
	tcase_add_test(t, negotiation);
	tcase_add_test(t, queue_registers);
	tcase_add_test(t, chains);
	tcase_add_test(t, reasons);
	tcase_add_test(t, queue_taken_back);
	tcase_add_test(t, doorbells);
	tcase_add_test(t, taken);
	tcase_add_test(t, random_accesses);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
