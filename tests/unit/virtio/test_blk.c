// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the virtio block device, with honest and hostile drivers.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "virtio/blk.h"
#include "block/disk_image.h"
#include "virtio_guest.h"
#include "suite.h"

#define FEATURES                                                            \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_BLK_F_FLUSH |     \
	 1ULL << VIRTIO_BLK_F_SIZE_MAX | 1ULL << VIRTIO_BLK_F_SEG_MAX |     \
	 1ULL << VIRTIO_BLK_F_BLK_SIZE)
#define RW_FEATURES (1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES)
#define RO_FEATURES (1ULL << VIRTIO_BLK_F_RO)

#define NEXT	    VRING_DESC_F_NEXT
#define WRITE	    VRING_DESC_F_WRITE

/* Each request has its header and status here, the data are at GUEST_DATA. */
#define HEADERS	 0x18000u
#define STATUSES 0x19000u
#define RING	 128

static struct virtio_blk *blk;

static void start_blk(bool readonly, const char *serial)
{
	struct blk_config c = {.path = path, .readonly = readonly, .serial = serial};

	guest_start();
	blk = virtio_blk_create(&guest.env, &c, &guest_error);
	ck_assert_msg(blk != NULL, "%s", guest_error.text);
	ck_assert_int_eq(virtio_blk_device.launch(blk, &guest_error), 0);
	driver_probe();
}

static void rw_set_up(void)
{
	make_image();
	start_blk(false, "S123");
	driver_start(FEATURES | RW_FEATURES, RING);
}

static void mmio_set_up(void)
{
	on_mmio = true;
	rw_set_up();
}

static void packed_set_up(void)
{
	packed = true;
	rw_set_up();
}

static void packed_mmio_set_up(void)
{
	packed = true;
	mmio_set_up();
}

static void ro_set_up(void)
{
	make_image();
	start_blk(true, "a serial number that is too long");
	driver_start(FEATURES | RO_FEATURES, RING);
}

/* A disk too large to be written for a test, but not to be sparse */
static void large_set_up(void)
{
	make_image();
	ck_assert_int_eq(truncate(path, 1LL << 32), 0);
	start_blk(false, NULL);
	driver_start(FEATURES | RW_FEATURES, RING);
}

/* A disk on tmpfs, which cannot zero */
static void tmpfs_set_up(void)
{
	int fd = memfd_create("disk", 0);

	memset(buf, 0xee, DISK_SIZE);
	ck_assert_int_eq(write(fd, buf, DISK_SIZE), DISK_SIZE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	start_blk(false, NULL);
	driver_start(FEATURES | RW_FEATURES, RING);
}

/* A host that forbids io_uring: the disk gets a thread instead. */
static void forbid_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	ck_assert_int_eq(syscall(SYS_io_uring_setup, 1, NULL), -1);
	ck_assert_int_eq(errno, EPERM);
}

static void thread_set_up(void)
{
	forbid_uring();
	rw_set_up();
}

static void large_thread_set_up(void)
{
	forbid_uring();
	large_set_up();
}

static void mmio_large_thread_set_up(void)
{
	on_mmio = true;
	large_thread_set_up();
}

static void tear_down(void)
{
	guest_stop_device(virtio_blk_dev(blk));
	guest_stop_loop();
	ck_assert(virtio_blk_destroy(blk));
	guest_end();
	remove_image();
}

/* The reads of the disk's thread are these: each waits for the gate, while there is one. */
static bool gated;
static sem_t gate;
static unsigned int host_reads;

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	__atomic_add_fetch(&host_reads, 1, __ATOMIC_SEQ_CST);
	if (gated)
		sem_wait(&gate);
	return syscall(SYS_preadv, fd, iov, n, at, 0);
}

/* From here on the host answers no read, whichever way the disk is read. */
static void host_dies(void)
{
	char link[64], name[32];
	int pipe_fd[2];

	gated = true;
	ck_assert_int_eq(pipe(pipe_fd), 0);
	for (int fd = 3; fd < 256; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		memset(link, 0, sizeof(link));
		if (readlink(name, link, sizeof(link) - 1) > 0 && !strcmp(link, path))
			ck_assert_int_eq(dup2(pipe_fd[0], fd), fd);
	}
}

/* What follows a stop that takes long, while another thread waits for its end. */
static pthread_t changer;

static void *do_reset(void *arg)
{
	(void)arg;
	status_wr(0);
	return NULL;
}

static void *do_disable_queue(void *arg)
{
	(void)arg;
	reg_wr(VIRTIO_MMIO_QUEUE_READY, 0);
	return NULL;
}

static void *do_master_off(void *arg)
{
	(void)arg;
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	return NULL;
}

static void begin_change(void *(*what)(void *))
{
	struct virtio_dev *d = virtio_blk_dev(blk);
	bool stopping;

	ck_assert_int_eq(pthread_create(&changer, NULL, what, NULL), 0);
	do {
		usleep(1000);
		pthread_mutex_lock(&d->lock);
		stopping = d->stopping;
		pthread_mutex_unlock(&d->lock);
	} while (!stopping);
}

static void await_host_read(void)
{
	while (!__atomic_load_n(&host_reads, __ATOMIC_SEQ_CST))
		usleep(1000);
}

/* The device has taken that many chains. */
static void await_taken(uint16_t n)
{
	struct virtio_dev *d = virtio_blk_dev(blk);
	uint16_t taken;

	do {
		usleep(1000);
		pthread_mutex_lock(&d->lock);
		taken = queue_in_flight(&d->queue[0].vq) + used_idx();
		pthread_mutex_unlock(&d->lock);
	} while (taken != n);
}

static void put_header(unsigned int n, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr hdr = {.type = type, .sector = sector};

	memcpy(guest_ptr(HEADERS + n * 16), &hdr, 16);
	*(uint8_t *)guest_ptr(STATUSES + n) = 0xaa;
}

/* The usual form: header, data, status, in three descriptors from 3 * n on. */
static void put_request(unsigned int n, uint32_t type, uint64_t sector, uint64_t data, uint32_t len,
			uint16_t data_flags)
{
	put_header(n, type, sector);
	ring_desc(3 * n, HEADERS + n * 16, 16, NEXT, len ? 3 * n + 1 : 3 * n + 2);
	ring_desc(3 * n + 1, data, len, NEXT | data_flags, 3 * n + 2);
	ring_desc(3 * n + 2, STATUSES + n, 1, WRITE, 0);
	ring_offer(3 * n);
}

static uint8_t status_of(unsigned int n)
{
	return *(uint8_t *)guest_ptr(STATUSES + n);
}

/* One request alone: returns its status. */
static uint8_t request(uint32_t type, uint64_t sector, uint64_t data, uint32_t len,
		       uint16_t data_flags, uint32_t written)
{
	struct vring_used_elem u;

	put_request(0, type, sector, data, len, data_flags);
	ring_kick();
	u = wait_used();
	ck_assert_uint_eq(u.id, 0);
	ck_assert_uint_eq(u.len, written);
	return status_of(0);
}

static uint8_t range(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes seg = {
		.sector = sector, .num_sectors = count, .flags = flags};

	memcpy(guest_ptr(GUEST_DATA), &seg, sizeof(seg));
	return request(type, 0, GUEST_DATA, 16, 0, 1);
}

START_TEST(configuration)
{
	if (on_mmio)
		ck_assert_uint_eq(reg_rd(VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
	else
		ck_assert_uint_eq(cfg_rd(PCI_DEVICE_ID, 2), 0x1042);
	ck_assert_uint_eq(features_rd(),
			  FEATURES | RW_FEATURES | (packed ? 1ULL << VIRTIO_F_RING_PACKED : 0));
	ck_assert_uint_eq(mmio_rd(drv.device, 8), SECTORS);
	ck_assert_uint_eq(mmio_rd(drv.device + offsetof(struct virtio_blk_config, seg_max), 4),
			  126);
	ck_assert_uint_eq(mmio_rd(drv.device + offsetof(struct virtio_blk_config, blk_size), 4),
			  512);
	ck_assert_uint_eq(
		mmio_rd(drv.device + offsetof(struct virtio_blk_config, max_discard_seg), 4), 1);
	ck_assert_uint_ge(drv.device_len, 57);
}
END_TEST

START_TEST(write_then_read)
{
	memset(guest_ptr(GUEST_DATA), 0x5a, 4096);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 16, GUEST_DATA, 4096, 0, 1), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0, 1), 0);
	memset(guest_ptr(GUEST_DATA), 0, 8192);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 15, GUEST_DATA, 8192, WRITE, 8193), 0);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA), 0x1000000f);
	ck_assert(all_are(guest_ptr(GUEST_DATA + 512), 0x5a, 4096));
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + 512 + 4096), 0x10000018);
	/* The last sector, and nothing at all */
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, SECTORS - 1, GUEST_DATA, 512, WRITE, 513), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, 0, 0, 0, 1), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, SECTORS, 0, 0, 0, 1), 0);
}
END_TEST

static void take_count(void *arg, const char *name, uint64_t value)
{
	snprintf((char *)arg + strlen(arg), 32, "%s=%lu ", name, (unsigned long)value);
}

static const char *counts(void)
{
	static char text[256];

	text[0] = '\0';
	virtio_blk_device.count(blk, take_count, text);
	return text;
}

/* Of what the host was asked to do, also over a reset. */
START_TEST(counters)
{
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 16, GUEST_DATA, 4096, 0, 1), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 16, GUEST_DATA, 512, 0, 1), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 15, GUEST_DATA, 8192, WRITE, 8193), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 20, WRITE, 21), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, SECTORS, GUEST_DATA, 512, 0, 1), 1);
	ck_assert_str_eq(counts(), "reads=1 read_bytes=8192 writes=2 written_bytes=4608 flushes=0 "
				   "discards=0 errors=0 ");
	driver_start(FEATURES | RW_FEATURES, RING);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0, 1), 0);
	ck_assert_str_eq(counts(), "reads=1 read_bytes=8192 writes=2 written_bytes=4608 flushes=1 "
				   "discards=0 errors=0 ");
}
END_TEST

/* A driver that cannot flush: each write is durable by itself. */
START_TEST(write_through)
{
	driver_start(1ULL << VIRTIO_F_VERSION_1, 16);
	memset(guest_ptr(GUEST_DATA), 0x77, 512);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 3, GUEST_DATA, 512, 0, 1), 0);
	read_image();
	ck_assert(all_are(buf + 3 * 512, 0x77, 512));
}
END_TEST

START_TEST(serial_number)
{
	memset(guest_ptr(GUEST_DATA), 0xff, 32);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 20, WRITE, 21), 0);
	ck_assert_mem_eq(guest_ptr(GUEST_DATA),
			 _i ? "a serial number that" : "S123\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	ck_assert(all_are(guest_ptr(GUEST_DATA + 20), 0xff, 12));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 3, WRITE, 4), 0);
	/* What is not written is not said to be, and the status comes behind it. */
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 32, WRITE, 20), 0);
	ck_assert(all_are(guest_ptr(GUEST_DATA + 20), 0xff, 12));
}
END_TEST

/* What the host cannot do is not done: the guest hears of it, and of the next success. */
START_TEST(host_error_is_told)
{
	struct rlimit limit = {.rlim_cur = DISK_SIZE / 2, .rlim_max = RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(guest_ptr(GUEST_DATA), 0x77, 1024);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, SECTORS / 2, GUEST_DATA, 512, 0, 1),
			  VIRTIO_BLK_S_IOERR);
	/* Half of it can be */
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, SECTORS / 2 - 1, GUEST_DATA, 1024, 0, 1),
			  VIRTIO_BLK_S_IOERR);
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, SECTORS / 2, GUEST_DATA, 512, 0, 1), 0);
	/* A file that became shorter */
	ck_assert_int_eq(truncate(path, DISK_SIZE / 2), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, SECTORS / 2 - 1, GUEST_DATA, 1024, WRITE, 0),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, SECTORS / 2 - 1, GUEST_DATA, 512, WRITE, 513),
			  0);
	ck_assert_ptr_nonnull(strstr(counts(), " errors=3 "));
}
END_TEST

/* The device says how much it takes at once, and takes no more. */
START_TEST(largest_range)
{
	uint32_t max =
		mmio_rd(drv.device + offsetof(struct virtio_blk_config, max_discard_sectors), 4);

	ck_assert_uint_eq(max, 1u << 21);
	ck_assert_uint_eq(
		mmio_rd(drv.device + offsetof(struct virtio_blk_config, max_write_zeroes_sectors),
			4),
		max);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_DISCARD, 8, max, 0), 0);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_DISCARD, 8, max + 1, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, max, max, 1), 0);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, max, max + 1, 1), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* One request that takes several system calls, one after another */
START_TEST(zeroes_in_pieces)
{
	int fd = open(path, O_RDONLY);

	ck_assert_uint_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 1, SECTORS - 2, 0), 0);
	check_zeroed_within(fd);
	close(fd);
}
END_TEST

/*
 * A request in every entry of the ring uses up what one doorbell does; after that the device still
 * asks for doorbells, and hears of what came meanwhile.
 */
START_TEST(full_ring)
{
	const unsigned int tables = 0x30000;

	driver_start(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC, RING);
	for (unsigned int i = 0; i < RING; i++) {
		const struct vring_desc table[3] = {
			{HEADERS + i * 16, 16, NEXT, 1},
			{GUEST_DATA + i * 512, 512, NEXT | WRITE, 2},
			{STATUSES + i, 1, WRITE, 0},
		};

		put_header(i, VIRTIO_BLK_T_IN, i);
		memcpy(guest_ptr(tables + i * sizeof(table)), table, sizeof(table));
		ring_desc(i, tables + i * sizeof(table), sizeof(table), VRING_DESC_F_INDIRECT, 0);
		ring_offer(i);
	}
	ring_kick();
	for (unsigned int i = 0; i < RING; i++)
		ck_assert_uint_eq(wait_used().len, 513);
	for (unsigned int i = 0; i < RING; i++) {
		ck_assert_uint_eq(status_of(i), 0);
		ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + i * 512), 0x10000000 + i);
	}
	expect_doorbells_wanted();
}
END_TEST

/* Header in two pieces, the data of a read in three, the last with the status in it; indirect. */
START_TEST(any_layout)
{
	struct vring_desc table[5] = {
		{HEADERS, 5, NEXT, 2},
		{GUEST_DATA + 0x1000, 100, NEXT | WRITE, 3},
		{HEADERS + 5, 11, NEXT, 1},
		{GUEST_DATA, 412 + 512, NEXT | WRITE, 4},
		{GUEST_DATA + 0x2000, 513, WRITE, 0},
	};
	struct vring_used_elem u;

	put_header(0, VIRTIO_BLK_T_IN, 100);
	memcpy(guest_ptr(0x16000), table, sizeof(table));
	ring_desc(7, 0x16000, sizeof(table), VRING_DESC_F_INDIRECT, 0);
	ring_offer(7);
	ring_kick();
	u = wait_used();
	ck_assert_uint_eq(u.id, 7);
	ck_assert_uint_eq(u.len, 1537);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + 0x1000), 0x10000064);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + 412), 0x10000065);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + 0x2000), 0x10000066);
	ck_assert_uint_eq(*(uint8_t *)guest_ptr(GUEST_DATA + 0x2000 + 512), 0);
}
END_TEST

/* As many as the ring holds, in one go, many times over, and few interrupts. */
START_TEST(batches)
{
	const unsigned int n = RING / 3;

	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < n; i++)
			put_request(i, VIRTIO_BLK_T_IN, round * 8 + i, GUEST_DATA + i * 512, 512,
				    WRITE);
		ring_kick();
		for (unsigned int i = 0; i < n; i++)
			ck_assert_uint_eq(wait_used().len, 513);
		for (unsigned int i = 0; i < n; i++) {
			ck_assert_uint_eq(status_of(i), 0);
			ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA + i * 512),
					  0x10000000 + round * 8 + i);
		}
	}
}
END_TEST

START_TEST(out_of_bounds)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{SECTORS, 512},
		{SECTORS - 1, 1024},
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
		{(UINT64_MAX / 512) + 1, 512}, /* times 512: zero */
		{1ULL << 63, 1024},
		{0, 511},
		{0, 513},
		{0, 1},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(
			request(VIRTIO_BLK_T_IN, bad[i].sector, GUEST_DATA, bad[i].len, WRITE, 0),
			VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(
			request(VIRTIO_BLK_T_OUT, bad[i].sector, GUEST_DATA, bad[i].len, 0, 1),
			VIRTIO_BLK_S_IOERR);
	}
	ck_assert_uint_eq(request(4711, 0, GUEST_DATA, 512, 0, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_SECURE_ERASE, 0, GUEST_DATA, 16, 0, 1),
			  VIRTIO_BLK_S_UNSUPP);
	read_image();
	for (unsigned int i = 0; i < SECTORS; i++)
		ck_assert_uint_eq(*(uint32_t *)(buf + i * 512), 0x10000000 + i);
	/* The device has not given up. */
	ck_assert_uint_eq(status_rd(), STATUS_OK);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512, WRITE, 513), 0);
}
END_TEST

START_TEST(discard_and_zero)
{
	const uint32_t zero = VIRTIO_BLK_T_WRITE_ZEROES, discard = VIRTIO_BLK_T_DISCARD;

	ck_assert_uint_eq(range(zero, 8, 8, 0), 0);
	ck_assert_uint_eq(range(zero, 24, 8, 1), 0);
	ck_assert_uint_eq(range(discard, 40, 8, 0), 0);
	ck_assert_uint_eq(range(discard, SECTORS, 0, 0), 0);
	/* Flags that do not exist there */
	ck_assert_uint_eq(range(zero, 64, 8, 2), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(range(discard, 64, 8, 1), VIRTIO_BLK_S_UNSUPP);
	/* Out of the disk */
	ck_assert_uint_eq(range(zero, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(zero, UINT64_MAX, 2, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(zero, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(discard, (1ULL << 55), 1, 0), VIRTIO_BLK_S_IOERR);
	/* Half a segment, and two */
	ck_assert_uint_eq(request(zero, 0, GUEST_DATA, 15, 0, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(request(zero, 0, GUEST_DATA, 32, 0, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(request(zero, 0, 0, 0, 0, 1), VIRTIO_BLK_S_UNSUPP);
	read_image();
	for (unsigned int s = 0; s < SECTORS; s++) {
		if (s / 8 == 5)
			continue; /* discarded: anything */
		ck_assert_uint_eq(*(uint32_t *)(buf + s * 512),
				  s / 8 == 1 || s / 8 == 3 ? 0 : 0x10000000 + s);
	}
}
END_TEST

START_TEST(read_only)
{
	ck_assert_uint_eq(features_rd(), FEATURES | RO_FEATURES);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 7, GUEST_DATA, 512, WRITE, 513), 0);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(GUEST_DATA), 0x10000007);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 7, GUEST_DATA, 512, 0, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0, 1), 0);
	read_image();
	ck_assert_uint_eq(*(uint32_t *)buf, 0x10000000);
}
END_TEST

/* Nowhere to put an answer: the device asks for a reset, and works after it. */
static void expect_broken(void)
{
	ring_kick();
	ck_assert(wait_interrupt(0, GUEST_WAIT_MS));
	ck_assert_uint_eq(status_rd(), STATUS_OK | VIRTIO_CONFIG_S_NEEDS_RESET);
	ck_assert_uint_eq(used_idx(), 0);
	driver_start(FEATURES, RING);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 1, GUEST_DATA, 512, WRITE, 513), 0);
	driver_start(FEATURES, RING);
}

START_TEST(no_header_or_status)
{
	put_header(0, VIRTIO_BLK_T_FLUSH, 0);
	ring_desc(0, HEADERS, 16, 0, 0);
	ring_offer(0);
	expect_broken();
	ring_desc(0, HEADERS, 15, NEXT, 1);
	ring_desc(1, STATUSES, 1, WRITE, 0);
	ring_offer(0);
	expect_broken();
	ring_desc(0, STATUSES, 1, WRITE, 0);
	ring_offer(0);
	expect_broken();
	ring_offer(RING);
	expect_broken();
}
END_TEST

/* The driver resets in the middle: afterwards its memory is its own again. */
START_TEST(reset_in_flight)
{
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < RING / 3; i++)
			put_request(i, VIRTIO_BLK_T_IN, 0, GUEST_DATA + i * 16384, 16384, WRITE);
		ring_kick();
		if (round % 2)
			sched_yield();
		status_wr(0);
		ck_assert_uint_eq(status_rd(), 0);
		memset(device_part(), 0x33, 0x1000);
		memset(guest_ptr(GUEST_DATA), 0x33, RING / 3 * 16384);
		memset(guest_ptr(STATUSES), 0x33, RING);
		usleep(3000);
		ck_assert(all_are(device_part(), 0x33, 0x1000));
		ck_assert(all_are(guest_ptr(GUEST_DATA), 0x33, RING / 3 * 16384));
		ck_assert(all_are(guest_ptr(STATUSES), 0x33, RING));
		driver_start(FEATURES | RW_FEATURES, RING);
	}
}
END_TEST

/*
 * A read of many bytes, all into the same MiB of memory: a driver may say
 * so, and the device must not work for long because it did.
 */
#define MUCH_BUFFER 0x100000u
#define MUCH_TABLE  0x16000u

static void put_much(uint64_t bytes)
{
	struct vring_desc table[QUEUE_MAX] = {{HEADERS, 16, NEXT, 1}};
	unsigned int n = 1;

	for (; bytes; n++) {
		uint32_t len = bytes < 1u << 20 ? bytes : 1u << 20;

		table[n] = (struct vring_desc){MUCH_BUFFER, len, NEXT | WRITE, n + 1};
		bytes -= len;
	}
	table[n] = (struct vring_desc){STATUSES, 1, WRITE, 0};
	put_header(0, VIRTIO_BLK_T_IN, 0);
	memcpy(guest_ptr(MUCH_TABLE), table, sizeof(table));
	ring_desc(0, MUCH_TABLE, (n + 1) * sizeof(table[0]), VRING_DESC_F_INDIRECT, 0);
	ring_offer(0);
	ring_kick();
}

/* What seg_max and size_max allow, and no byte more, in however few buffers. */
START_TEST(largest_transfer)
{
	uint32_t size_max = mmio_rd(drv.device + offsetof(struct virtio_blk_config, size_max), 4);

	ck_assert_uint_eq(size_max, 1u << 20);
	put_much(126ULL * size_max);
	ck_assert_uint_eq(wait_used().len, 126 * size_max + 1);
	ck_assert_uint_eq(status_of(0), 0);

	put_header(0, VIRTIO_BLK_T_IN, 0);
	for (unsigned int i = 0; i < 90; i++)
		ring_desc(1 + i, 0x20000, 0x1e0000, NEXT | WRITE, 2 + i);
	ring_desc(0, HEADERS, 16, NEXT, 1);
	ring_desc(91, STATUSES, 1, WRITE, 0);
	ring_offer(0);
	ring_kick();
	ck_assert_uint_eq(wait_used().len, 0);
	ck_assert_uint_eq(status_of(0), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* A reset does not wait for all of a request: not more is asked of the host than was already. */
START_TEST(reset_cuts_short)
{
	gated = true;
	put_much(126u << 20);
	put_request(10, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512, WRITE);
	ring_kick();
	await_taken(2);
	await_host_read();
	begin_change(do_reset);
	gated = false;
	sem_post(&gate);
	pthread_join(changer, NULL);
	ck_assert_uint_eq(status_rd(), 0);
	ck_assert_uint_eq(host_reads, 1);
	driver_start(FEATURES | RW_FEATURES, RING);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 1, GUEST_DATA, 512, WRITE, 513), 0);
}
END_TEST

/* Without bus mastering nothing is begun; with it, it goes on where it was. */
START_TEST(master_off_in_flight)
{
	gated = true;
	*(uint32_t *)guest_ptr(MUCH_BUFFER) = 0x55555555;
	put_much(4u << 20);
	await_host_read();
	begin_change(do_master_off);
	gated = false;
	sem_post(&gate);
	pthread_join(changer, NULL);
	ck_assert_uint_eq(host_reads, 1);
	ck_assert_uint_eq(used_idx(), 0);
	memset(guest_ptr(MUCH_BUFFER), 0x33, 1u << 20);
	settle();
	ck_assert(all_are(guest_ptr(MUCH_BUFFER), 0x33, 1u << 20));
	cfg_wr(PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(wait_used().len, (4u << 20) + 1);
	ck_assert_uint_eq(host_reads, 4);
	ck_assert_uint_eq(*(uint32_t *)guest_ptr(MUCH_BUFFER), 0);
}
END_TEST

/*
 * The machine is to stand still while its driver waits for a reset, or for its queue: it is waited for before the
 * machine goes on, and then what was in flight is dropped, as if the driver had waited.
 */
START_TEST(pause_while_the_driver_waits)
{
	struct virtio_dev *d = virtio_blk_dev(blk);

	gated = true;
	put_much(4u << 20);
	await_host_read();
	begin_change(on_mmio ? do_disable_queue : do_reset);
	virtio_end_waits(d);
	pthread_join(changer, NULL);
	ck_assert(!virtio_stop(d));
	gated = false;
	sem_post(&gate);
	guest_stop_device(d);
	virtio_start(d);

	memset(guest_ptr(MUCH_BUFFER), 0x33, 1u << 20);
	if (on_mmio) {
		memset(guest_ptr(RING_DESC), 0, 0x3000);
		ck_assert_uint_eq(driver_enable_queue(), 1);
	} else {
		driver_begin(FEATURES | RW_FEATURES, RING);
	}
	settle();
	ck_assert_uint_eq(host_reads, 1);
	ck_assert_uint_eq(used_idx(), 0);
	ck_assert(all_are(guest_ptr(MUCH_BUFFER), 0x33, 1u << 20));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 1, GUEST_DATA, 512, WRITE, 513), 0);
}
END_TEST

static sem_t turned;

static void on_turn(void *arg, int fd, uint32_t events)
{
	(void)arg;
	(void)fd;
	(void)events;
	sem_post(&turned);
}

/*
 * The host answers no more, and the driver resets the device: that waits, nothing else does. When the machine
 * ends, that does not, either, and what the host may still write to is left where it is.
 */
START_TEST(dead_host)
{
	struct timespec late;
	int fd[2];

	host_dies();
	put_request(0, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512, WRITE);
	ring_kick();
	await_taken(1);
	if (_i)
		await_host_read();
	begin_change(do_reset);

	/* The loop goes round, though it has something to do for this device, too. */
	ring_kick();
	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(loop_add_fd(guest.loop, fd[0], EPOLLIN | EPOLLET, on_turn, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &late);
	late.tv_sec += GUEST_WAIT_MS / 1000;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(fd[1], "x", 1), 1);
		ck_assert_int_eq(sem_timedwait(&turned, &late), 0);
	}
	/* Registers can be read. */
	ck_assert_uint_eq(status_rd(), STATUS_OK);

	virtio_end_waits(virtio_blk_dev(blk));
	pthread_join(changer, NULL);
	ck_assert(!virtio_stop(virtio_blk_dev(blk)));
	guest_stop_loop();
	ck_assert(!virtio_blk_destroy(blk));
	loop_del_fd(guest.loop, fd[0]);
	guest_end();
	remove_image();
}
END_TEST

/* Stopped with requests in flight. */
START_TEST(stop_in_flight)
{
	for (unsigned int i = 0; i < RING / 3; i++)
		put_request(i, VIRTIO_BLK_T_IN, 0, GUEST_DATA + i * 16384, 16384, WRITE);
	ring_kick();
}
END_TEST

/* Random rings and random headers: the device answers, or asks for a reset. */
START_TEST(random_requests)
{
	unsigned int resets = 0, answers = 0;

	srandom(7);
	for (unsigned int round = 0; round < 1500; round++) {
		for (unsigned int i = 0; i < 16; i++) {
			uint32_t type = random() % 8 ? random() % 16 : random();
			uint64_t sector = random() % 8 ? (uint64_t)random() % SECTORS
						       : (uint64_t)random() << 32;

			put_header(i, type, sector);
			ring_desc(3 * i, HEADERS + i * 16, random() % 32 ? 16 : 1 + random() % 40,
				  NEXT, 3 * i + 1);
			ring_desc(3 * i + 1, GUEST_DATA + random() % 0x10000,
				  random() % 64 ? 512 * (1 + random() % 8) : (uint32_t)random() * 2,
				  random() % 4, random() % 32 ? 3 * i + 2 : random() % RING);
			ring_desc(3 * i + 2, STATUSES + i, 1, random() % 32 ? WRITE : random() % 8,
				  0);
			ring_offer(random() % 64 ? 3 * i : random() % (RING + 4));
		}
		ring_kick();
		for (unsigned int i = 0; i < 100 && used_idx() == drv.used_seen &&
					 !(status_rd() & VIRTIO_CONFIG_S_NEEDS_RESET);
		     i++)
			usleep(100);
		answers += (uint16_t)(used_idx() - drv.used_seen);
		drv.used_seen = used_idx();
		if (status_rd() & VIRTIO_CONFIG_S_NEEDS_RESET || round % 5 == 4) {
			resets += !!(status_rd() & VIRTIO_CONFIG_S_NEEDS_RESET);
			driver_start(FEATURES | RW_FEATURES, RING);
		}
	}
	ck_assert_uint_gt(resets, 50);
	ck_assert_uint_gt(answers, 500);
	driver_start(FEATURES | RW_FEATURES, RING);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512, WRITE, 513), 0);
}
END_TEST

/* Failures after the disk was opened leave nothing behind, not even the lock. */
START_TEST(failed_creation)
{
	struct blk_config c = {.path = "/nonexistent/disk"};
	struct virtio_blk *one, *two;

	guest_start();
	ck_assert_ptr_null(virtio_blk_create(&guest.env, &c, &guest_error));
	c.path = path;
	one = virtio_blk_create(&guest.env, &c, &guest_error);
	ck_assert_ptr_nonnull(one);
	two = virtio_blk_create(&guest.env, &c, &guest_error);
	ck_assert_ptr_null(two);
	guest_stop_loop();
	ck_assert(virtio_blk_destroy(one));
	one = virtio_blk_create(&guest.env, &c, &guest_error);
	ck_assert_ptr_nonnull(one);
	ck_assert(virtio_blk_destroy(one));
	ck_assert(virtio_blk_destroy(NULL));
	guest_end();
}
END_TEST

/* What a device does wherever it is found, and whichever kind of ring its driver has. */
static void add_device(Suite *s, const char *name, void (*device_set_up)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, device_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, configuration);
	tcase_add_test(t, write_then_read);
	tcase_add_test(t, counters);
	tcase_add_test(t, write_through);
	tcase_add_loop_test(t, serial_number, 0, 1);
	tcase_add_test(t, any_layout);
	tcase_add_test(t, batches);
	tcase_add_test(t, full_ring);
	tcase_add_test(t, host_error_is_told);
	tcase_add_test(t, out_of_bounds);
	tcase_add_test(t, discard_and_zero);
	tcase_add_test(t, no_header_or_status);
	tcase_add_test(t, reset_in_flight);
	tcase_add_test(t, stop_in_flight);
	tcase_add_test(t, random_requests);
	suite_add_tcase(s, t);
}

static Suite *suite(void)
{
	Suite *s = suite_create("blk");
	TCase *t;

	add_device(s, "device", rw_set_up);
	add_device(s, "device without a bus", mmio_set_up);
	add_device(s, "device with a packed ring", packed_set_up);
	add_device(s, "device with a packed ring, without a bus", packed_mmio_set_up);

	t = tcase_create("a host that does not answer");
	tcase_add_checked_fixture(t, rw_set_up, NULL);
	tcase_add_loop_test(t, dead_host, 0, 1);
	suite_add_tcase(s, t);

	t = tcase_create("creation");
	tcase_add_checked_fixture(t, make_image, remove_image);
	tcase_add_test(t, failed_creation);
	suite_add_tcase(s, t);

	t = tcase_create("read-only device");
	tcase_add_checked_fixture(t, ro_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, read_only);
	tcase_add_loop_test(t, serial_number, 1, 2);
	suite_add_tcase(s, t);

	t = tcase_create("large device");
	tcase_add_checked_fixture(t, large_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, largest_range);
	tcase_add_test(t, largest_transfer);
	suite_add_tcase(s, t);

	t = tcase_create("device on tmpfs");
	tcase_add_checked_fixture(t, tmpfs_set_up, tear_down);
	tcase_add_test(t, zeroes_in_pieces);
	suite_add_tcase(s, t);

	/* The last: without a process for each test the ban stays. */
	t = tcase_create("device without io_uring");
	tcase_add_checked_fixture(t, thread_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, write_then_read);
	tcase_add_test(t, write_through);
	tcase_add_test(t, batches);
	tcase_add_test(t, full_ring);
	tcase_add_test(t, host_error_is_told);
	tcase_add_test(t, discard_and_zero);
	tcase_add_test(t, reset_in_flight);
	tcase_add_test(t, stop_in_flight);
	tcase_add_test(t, random_requests);
	suite_add_tcase(s, t);

	t = tcase_create("a large device without io_uring");
	tcase_add_checked_fixture(t, large_thread_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, reset_cuts_short);
	tcase_add_test(t, master_off_in_flight);
	tcase_add_test(t, pause_while_the_driver_waits);
	suite_add_tcase(s, t);

	t = tcase_create("a large device without io_uring and without a bus");
	tcase_add_checked_fixture(t, mmio_large_thread_set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, pause_while_the_driver_waits);
	suite_add_tcase(s, t);

	t = tcase_create("a host that does not answer, without io_uring");
	tcase_add_checked_fixture(t, thread_set_up, NULL);
	tcase_add_loop_test(t, dead_host, 1, 2);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
