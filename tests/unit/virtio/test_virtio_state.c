// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state of virtio devices, of their transports, and of the PCI bus: saved with the guest's memory, loaded into
 * another machine, and gone on with.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/virtio_blk.h>

#include "block/disk_image.h"
#include "state_check.h"
#include "virtio/blk.h"
#include "virtio/rng.h"
#include "virtio_guest.h"
#include "suite.h"

#define FEATURES                                                            \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX)
#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define HEADERS	 0x18000u
#define STATUSES 0x19000u
#define RING	 16

/* What goes from one machine to the other beside the state: memory, and what its driver knows. */
static uint8_t ram[GUEST_RAM];
static typeof(drv) driver;
static bool driven; /* this machine was: what is saved is wanted */
static bool is_rng;

/* The reads of the disk's thread are these: each waits for the gate, while there is one. */
static bool gated;
static sem_t gate;
static unsigned int host_reads;

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	__atomic_add_fetch(&host_reads, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&gated, __ATOMIC_SEQ_CST))
		sem_wait(&gate);
	return syscall(SYS_preadv, fd, iov, n, at, 0);
}

/* A host that forbids io_uring: the disk gets a thread. */
static void forbid_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	sem_init(&gate, 0, 0);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* ------------------------------------------------------------------------- */
/* The machine: the bus and one device                                        */

static const struct device_ops *device_ops(void)
{
	return is_rng ? &virtio_rng_device : &virtio_blk_device;
}

static bool both_stop(void *dev)
{
	while (!device_ops()->stop(dev)) {
		/* The host answers, and no sooner. */
		__atomic_store_n(&gated, false, __ATOMIC_SEQ_CST);
		sem_post(&gate);
		sem_wait(&guest.stopped);
	}
	return true;
}

static void both_start(void *dev)
{
	device_ops()->start(dev);
}

static void forget_interrupts(void)
{
	uint64_t n;

	for (unsigned int i = 0; i < FAKE_VECTORS; i++)
		if (guest.msi_fd[i] >= 0)
			(void)!read(guest.msi_fd[i], &n, 8);
	(void)!read(guest.line_fd, &n, 8);
}

static const struct state_format format = {.name = "both", .version = 1};

static void both_save(void *dev, struct dtb *out)
{
	state_put(out, &format, dev);
	dtb_begin(out, "pci");
	pci_host_device.save(guest.host, out);
	dtb_end(out);
	dtb_begin(out, "device");
	device_ops()->save(dev, out);
	dtb_end(out);
	if (driven) {
		memcpy(ram, guest_ptr(0), GUEST_RAM);
		driver = drv;
		forget_interrupts();
	}
}

/* The other machine is reset when one of its devices refuses: that of the bus is as it was. */
static int both_load(void *dev, struct state_in *in, struct error *e)
{
	struct state_in pci, device;
	int ret = state_get(in, &format, dev, dev, e);

	memcpy(guest_ptr(0), ram, GUEST_RAM);
	drv = driver;
	if (!ret)
		ret = state_child(in, "pci", &pci, e);
	if (!ret)
		ret = state_child(in, "device", &device, e);
	if (!ret)
		ret = state_all_met(in, e);
	if (!ret)
		ret = pci_host_device.load(guest.host, &pci, e);
	if (!ret) {
		ret = device_ops()->load(dev, &device, e);
		if (ret)
			pci_host_device.reset(guest.host);
	}
	return ret;
}

static const struct device_ops both = {
	.stop = both_stop,
	.start = both_start,
	.save = both_save,
	.load = both_load,
};

/* A module that refuses what is no message. */
static int bind_some(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	struct guest *g = ctx;

	if (addr != 0xfee00000 || data >= FAKE_VECTORS)
		return -EINVAL;
	g->msi_fd[data] = fd;
	return 0;
}

static void *make(void)
{
	struct blk_config c = {.path = path, .serial = "S123"};
	void *dev;

	driven = false;
	host_reads = 0;
	guest_start();
	guest.pci.msi.bind = bind_some;
	if (is_rng)
		dev = virtio_rng_create(&guest.env, &guest_error);
	else
		dev = virtio_blk_create(&guest.env, &c, &guest_error);
	ck_assert_msg(dev != NULL, "%s", guest_error.text);
	if (device_ops()->launch)
		ck_assert_int_eq(device_ops()->launch(dev, &guest_error), 0);
	return dev;
}

static void unmake(void *dev)
{
	both_stop(dev);
	guest_stop_loop();
	device_ops()->destroy(dev);
	guest_end();
}

static struct virtio_dev *core(void *dev)
{
	return is_rng ? dev : virtio_blk_dev(dev);
}

/* ------------------------------------------------------------------------- */
/* Its driver                                                                 */

/* Without a word where nobody answers. */
static void kick(void)
{
	const uint64_t one = 1;

	if (guest.doorbell_fd >= 0 && guest.doorbell_port == drv.notify_port)
		(void)!write(guest.doorbell_fd, &one, 8);
	else if (on_mmio)
		bus_write(guest.mmio, drv.notify_port, 4, 0);
	else
		bus_write(guest.pio, drv.notify_port, 2, 0);
}

static void put_read(unsigned int i, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr *h = guest_ptr(HEADERS + i * 16);

	*h = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN, .sector = sector};
	*(uint8_t *)guest_ptr(STATUSES + i) = 0xaa;
	ring_desc(3 * i, HEADERS + i * 16, 16, NEXT, 3 * i + 1);
	ring_desc(3 * i + 1, GUEST_DATA + i * 0x1000, len, NEXT | WRITE, 3 * i + 2);
	ring_desc(3 * i + 2, STATUSES + i, 1, WRITE, 0);
	ring_offer(3 * i);
}

/* The host works at the first of three requests when the machine stops. */
static void three_reads(void)
{
	__atomic_store_n(&gated, true, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < 3; i++)
		put_read(i, 8 * i, 4096);
	kick();
	while (!__atomic_load_n(&host_reads, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static void config_changes(void *dev)
{
	struct virtio_dev *d = core(dev);

	pthread_mutex_lock(&d->lock);
	virtio_config_changed(d);
	pthread_mutex_unlock(&d->lock);
}

/* What was latched goes on, whatever is in the registers. */
static void spoil_registers(void)
{
	driver_queue_regs(0x111110, 0x22222002, 0x33333004, 4);
	if (on_mmio)
		reg_wr(VIRTIO_MMIO_QUEUE_SEL, 3);
	else
		common_wr(VIRTIO_PCI_COMMON_Q_SELECT, 2, 3);
}

static void blk_in_flight(void *dev)
{
	driver_probe();
	driver_start(FEATURES, RING);
	spoil_registers();
	ck_assert_uint_ne(features_rd(), 0);
	if (!on_mmio) {
		/* The configuration's vector is masked: its interrupt waits. */
		mmio_wr(drv.msix + 12, 4, 1);
	}
	bus_write(guest.pio, 0xcf8, 4, 0x80000804);
	mmio_wr(LAYOUT_ECAM + PCI_INTERRUPT_LINE, 1, 0x5a);
	config_changes(dev);
	three_reads();
	driven = true;
}

/* Chains wait, and the device may not look at them. */
static void blk_without_access(void *dev)
{
	(void)dev;
	driver_probe();
	driver_start(FEATURES, RING);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	put_read(0, 0, 4096);
	kick();
	settle();
	driven = true;
}

/* The driver did what it may not do. */
static void blk_broken(void *dev)
{
	(void)dev;
	driver_probe();
	driver_start(FEATURES, RING);
	ring_offer(RING);
	kick();
	while (!(status_rd() & VIRTIO_CONFIG_S_NEEDS_RESET))
		usleep(1000);
	driven = true;
}

/* A kick while nothing runs: nobody has taken it when the state is saved. */
static void rng_kicked(void *dev)
{
	driver_probe();
	driver_start(FEATURES, 8);
	both_stop(dev);
	ring_desc(0, GUEST_DATA, 64, WRITE, 0);
	ring_offer(0);
	kick();
	settle();
	ck_assert_uint_eq(used_idx(), 0);
	driven = true;
}

static void see_used(struct seen *s, unsigned int count)
{
	const struct vring_used *used = guest_ptr(RING_USED);

	for (int ms = 0; ms < state_patience && used_idx() != count; ms++)
		usleep(1000);
	see(s, used_idx(), 2);
	for (unsigned int i = 0; i < count; i++) {
		see(s, used->ring[i].id, 4);
		see(s, used->ring[i].len, 4);
	}
}

static bool interrupted(unsigned int vector)
{
	struct pollfd p = {.fd = on_mmio ? guest.line_fd : guest.msi_fd[vector], .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void see_bus(struct seen *s)
{
	uint64_t address;

	bus_read(guest.pio, 0xcf8, 4, &address);
	see(s, address, 4);
	for (unsigned int slot = 0; slot < 2; slot++)
		for (unsigned int reg = 0; reg < 256; reg += 4)
			see(s, mmio_rd(LAYOUT_ECAM + (slot << 15) + reg, 4), 4);
}

static void see_pci(struct seen *s)
{
	see(s, guest.doorbell_fd >= 0, 1);
	see(s, guest.doorbell_port, 8);
	for (unsigned int i = 0; i < FAKE_VECTORS; i++)
		see(s, guest.msi_fd[i] >= 0, 1);
	for (unsigned int reg = 0; reg < 0x28; reg += 4)
		see(s, mmio_rd(drv.msix + reg, 4), 4);
	see(s, mmio_rd(drv.msix + 0x800, 4), 4);
	see(s, mmio_rd(drv.isr, 1), 1);
}

static void see_registers(struct seen *s)
{
	if (on_mmio) {
		for (unsigned int reg = 0; reg < 0x100; reg += 4)
			see(s, reg_rd(reg), 4);
		reg_wr(VIRTIO_MMIO_QUEUE_SEL, 0);
		reg_wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
		for (unsigned int reg = 0; reg < 0x100; reg += 4)
			see(s, reg_rd(reg), 4);
		see(s, reg_rd(VIRTIO_MMIO_CONFIG_GENERATION), 4);
		return;
	}
	for (unsigned int reg = 0; reg < 56; reg++)
		see(s, common_rd(reg, 1), 1);
	common_wr(VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	common_wr(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	for (unsigned int reg = 0; reg < 56; reg++)
		see(s, common_rd(reg, 1), 1);
}

/*
 * What was in flight comes back, what was available is taken; and registers, interrupts, the next request. The
 * driver of MMIO does not see what was written to write-only registers, but by enabling the queue again with it.
 */
static void see_device(void *dev, struct seen *s, unsigned int in_flight)
{
	(void)dev;
	see_used(s, in_flight);
	see(s, interrupted(1), 1);
	for (unsigned int i = 0; i < in_flight; i++) {
		see(s, *(uint8_t *)guest_ptr(STATUSES + i), 1);
		if (!is_rng)
			for (unsigned int at = 0; at < 4096; at += 64)
				see(s, *(uint64_t *)guest_ptr(GUEST_DATA + i * 4096 + at), 8);
	}
	see_bus(s);
	if (!on_mmio)
		see_pci(s);
	see_registers(s);
	if (on_mmio) {
		const struct queue_regs *r = &core(dev)->queue[0].vq.regs;

		see(s, core(dev)->driver_select, 4);
		see(s, core(dev)->driver_features, 8);
		see(s, r->desc, 8);
		see(s, r->driver, 8);
		see(s, r->device, 8);
		see(s, r->size, 2);
	}
	if (!is_rng) {
		put_read(in_flight, 40, 512);
		kick();
		see_used(s, in_flight + 1);
		/* Where the device wants doorbells: of a packed ring a part of its own, that nothing else shows. */
		if (packed)
			see(s, *(uint32_t *)guest_ptr(PACKED_DEVICE), 4);
	}
}

static void see_three(void *dev, struct seen *s)
{
	see_device(dev, s, 3);
}

static void see_one(void *dev, struct seen *s)
{
	see_device(dev, s, 1);
}

static void see_after_access(void *dev, struct seen *s)
{
	settle();
	see(s, used_idx(), 2);
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	see_device(dev, s, 1);
}

static void see_until_reset(void *dev, struct seen *s)
{
	(void)dev;
	see(s, status_rd(), 1);
	/* Where nothing answers there is nothing to reset. */
	if (status_rd() == 0xff)
		return;
	driver_start(FEATURES, RING);
	put_read(0, 40, 512);
	kick();
	see_used(s, 1);
}

/* ------------------------------------------------------------------------- */

/* With split rings, and with packed ones. */
START_TEST(of_a_disk_on_pci)
{
	static const char *const configured[] = {
		"device/device-id",
		"device/features",
		"queue-0/max-size",
		"in-flight/sectors",
		"in-flight/serial",
		"msix/vectors",
		NULL,
	};
	static const struct specimen specimens[] = {
		{&both, make, unmake, blk_in_flight, see_three},
		{&both, make, unmake, blk_without_access, see_after_access},
		{&both, make, unmake, blk_broken, see_until_reset},
	};

	packed = _i;
	forbid_uring();
	make_image();
	state_check(specimens, 3, configured);
	remove_image();
}
END_TEST

START_TEST(of_a_disk_on_mmio)
{
	static const char *const configured[] = {
		"device/device-id",  "device/features",	 "queue-0/max-size",
		"in-flight/sectors", "in-flight/serial", NULL,
	};
	static const struct specimen specimens[] = {
		{&both, make, unmake, blk_in_flight, see_three},
	};

	packed = _i;
	on_mmio = true;
	forbid_uring();
	make_image();
	state_check(specimens, 1, configured);
	remove_image();
}
END_TEST

START_TEST(of_an_entropy_device)
{
	static const struct specimen specimens[] = {
		{&both, make, unmake, rng_kicked, see_one},
	};
	struct state_coverage c = {.count = 0};

	packed = _i;
	is_rng = true;
	state_check_one(specimens, &c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio-state");
	TCase *tc = tcase_create("state");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, of_a_disk_on_pci, 0, 2);
	tcase_add_loop_test(tc, of_a_disk_on_mmio, 0, 2);
	tcase_add_loop_test(tc, of_an_entropy_device, 0, 2);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
