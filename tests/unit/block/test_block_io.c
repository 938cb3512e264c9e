// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of disks: requests by io_uring and by the thread.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "block/engine.h"
#include "block/file.h"
#include "disk_image.h"
#include "suite.h"

#define WAIT_MS 10000

/* ------------------------------------------------------------------------- */
/* A host that has its days: the thread's system calls are those here         */

static int host_error;		/* what they fail with */
static unsigned int host_fails; /* how often */

static bool host_failed(void)
{
	if (!host_fails)
		return false;
	host_fails--;
	errno = host_error;
	return true;
}

/* Not more than this at a time; 0: as much as there is */
static size_t host_piece;

static unsigned int host_reads;
static size_t host_most; /* that one call was to transfer */
static bool gated;	 /* a read waits until the gate is opened for it */
static sem_t gate;

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	struct iovec first = iov[0];
	size_t all = 0;

	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	if (all > host_most)
		host_most = all;
	__atomic_add_fetch(&host_reads, 1, __ATOMIC_SEQ_CST);
	if (gated)
		sem_wait(&gate);
	if (host_failed())
		return -1;
	if (!host_piece)
		return syscall(SYS_preadv, fd, iov, n, at, 0);
	if (first.iov_len > host_piece)
		first.iov_len = host_piece;
	return syscall(SYS_preadv, fd, &first, 1, at, 0);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	if ((size_t)len > host_most)
		host_most = len;
	return host_failed() ? -1 : syscall(SYS_fallocate, fd, mode, at, len);
}

/* ------------------------------------------------------------------------- */
/* Requests: each test runs with both engines (_i: 0 io_uring, 1 thread)      */

static struct block *open_disk(int engine)
{
	struct block_config c = {.path = path, .no_uring = engine == 1};
	struct error e;
	struct block *b = block_open(&c, &e);

	ck_assert_msg(b != NULL, "%s", e.text);
	ck_assert_int_eq(block_launch(b, &e), 0);
	return b;
}

/* Run one request to its end, waiting for the descriptor as the event loop does. */
static int run(struct block *b, struct block_io *io)
{
	struct pollfd p = {.fd = block_fd(b), .events = POLLIN};
	struct block_io *done;

	block_queue(b, io);
	ck_assert(block_busy(b));
	do {
		ck_assert(block_submit(b));
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		done = block_reap(b);
	} while (!done);
	ck_assert_ptr_eq(done, io);
	ck_assert(!block_busy(b));
	ck_assert_ptr_null(block_reap(b));
	return io->result;
}

static int run_range(struct block *b, enum block_op op, uint64_t offset, uint64_t len)
{
	struct block_io io = {.op = op, .offset = offset, .len = len};

	return run(b, &io);
}

START_TEST(read_and_write)
{
	struct block *b = open_disk(_i);
	uint8_t x[512], y[1024];
	struct iovec iov[2] = {{x, 512}, {y, 1024}};
	struct block_io io = {
		.op = BLOCK_READ, .offset = 5 * 512, .len = 1536, .iov = iov, .nr_iov = 2};

	ck_assert_int_eq(run(b, &io), 0);
	ck_assert_uint_eq(*(uint32_t *)x, 0x10000005);
	ck_assert_uint_eq(*(uint32_t *)(y + 512), 0x10000007);

	memset(x, 0x11, 512);
	memset(y, 0x22, 1024);
	iov[0] = (struct iovec){x, 512};
	iov[1] = (struct iovec){y, 1024};
	io = (struct block_io){.op = BLOCK_WRITE,
			       .durable = true,
			       .offset = DISK_SIZE - 1536,
			       .len = 1536,
			       .iov = iov,
			       .nr_iov = 2};
	ck_assert_int_eq(run(b, &io), 0);
	ck_assert_int_eq(run_range(b, BLOCK_FLUSH, 0, 0), 0);
	block_close(b);
	read_image();
	ck_assert(all_are(buf + DISK_SIZE - 1536, 0x11, 512));
	ck_assert(all_are(buf + DISK_SIZE - 1024, 0x22, 1024));
	ck_assert_uint_eq(*(uint32_t *)(buf + DISK_SIZE - 2048), 0x10000000 + SECTORS - 4);
}
END_TEST

START_TEST(many_at_once)
{
	static struct block_io io[BLOCK_MAX_IN_FLIGHT];
	static struct iovec iov[BLOCK_MAX_IN_FLIGHT];
	struct block *b = open_disk(_i);
	unsigned int done = 0;

	for (unsigned int i = 0; i < BLOCK_MAX_IN_FLIGHT; i++) {
		iov[i] = (struct iovec){buf + i * 512, 512};
		io[i] = (struct block_io){.op = BLOCK_READ,
					  .offset = (SECTORS - 1 - i) * 512,
					  .len = 512,
					  .iov = &iov[i],
					  .nr_iov = 1};
		block_queue(b, &io[i]);
	}
	ck_assert(block_submit(b));
	while (done < BLOCK_MAX_IN_FLIGHT) {
		struct pollfd p = {.fd = block_fd(b), .events = POLLIN};
		struct block_io *one;

		ck_assert(block_busy(b));
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		while ((one = block_reap(b))) {
			ck_assert_int_eq(one->result, 0);
			done++;
		}
	}
	ck_assert(!block_busy(b));
	for (unsigned int i = 0; i < BLOCK_MAX_IN_FLIGHT; i++)
		ck_assert_uint_eq(*(uint32_t *)(buf + i * 512), 0x10000000 + SECTORS - 1 - i);
	block_close(b);
}
END_TEST

/* The file became shorter: half of the data is there, then comes nothing. */
START_TEST(short_read)
{
	struct block *b = open_disk(_i);
	struct iovec iov[2] = {{buf, 200}, {buf + 512, 312}};
	struct block_io io = {.op = BLOCK_READ, .offset = 512, .len = 512, .iov = iov, .nr_iov = 2};

	ck_assert_int_eq(truncate(path, 768), 0);
	memset(buf, 0, 1024);
	ck_assert_int_eq(run(b, &io), -EIO);
	ck_assert_uint_eq(io.len, 256);
	ck_assert_uint_eq(*(uint32_t *)(buf + 508 + 56), 0x10000001);
	block_close(b);
}
END_TEST

/* A limit lets half of it through; the rest is tried and gets the reason. */
START_TEST(short_write)
{
	struct rlimit limit = {.rlim_cur = DISK_SIZE / 2, .rlim_max = RLIM_INFINITY};
	struct block *b = open_disk(_i);
	struct iovec iov = {buf, 1024};
	struct block_io io = {.op = BLOCK_WRITE,
			      .offset = DISK_SIZE / 2 - 512,
			      .len = 1024,
			      .iov = &iov,
			      .nr_iov = 1};

	signal(SIGXFSZ, SIG_IGN);
	memset(buf, 0x77, 1024);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(run(b, &io), -EFBIG);
	ck_assert_uint_eq(io.len, 512);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	block_close(b);
	read_image();
	ck_assert(all_are(buf + DISK_SIZE / 2 - 512, 0x77, 512));
	ck_assert_uint_eq(*(uint32_t *)(buf + DISK_SIZE / 2), 0x10000000 + SECTORS / 2);
}
END_TEST

/* What the guest sees as an I/O error has a reason on standard error, once. */
START_TEST(failures_are_told)
{
	struct rlimit limit = {.rlim_cur = DISK_SIZE / 2, .rlim_max = RLIM_INFINITY};
	struct block *b = open_disk(_i);
	char text[1024] = "", *line;
	int log = memfd_create("log", 0);

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	for (int i = 0; i < 5; i++) {
		struct iovec iov = {buf, 512};
		struct block_io io = {.op = BLOCK_WRITE,
				      .offset = DISK_SIZE / 2,
				      .len = 512,
				      .iov = &iov,
				      .nr_iov = 1};

		ck_assert_int_eq(run(b, &io), -EFBIG);
	}
	block_close(b);
	ck_assert_int_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	line = strstr(text, path);
	ck_assert_msg(line != NULL && strstr(line, strerror(EFBIG)) != NULL, "%s", text);
	ck_assert_ptr_null(strstr(line + 1, path));
	close(log);
}
END_TEST

START_TEST(zeroes)
{
	static const enum block_op op[] = {BLOCK_ZERO, BLOCK_UNMAP};
	struct block *b = open_disk(_i);

	ck_assert_int_eq(run_range(b, BLOCK_DISCARD, 128 * 512, 4096), 0);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(run_range(b, op[i], (8 + i * 16) * 512, 8 * 512), 0);
	block_close(b);
	read_image();
	for (unsigned int s = 0; s < 64; s++) {
		bool zero = (s >= 8 && s < 16) || (s >= 24 && s < 32);

		ck_assert_uint_eq(*(uint32_t *)(buf + s * 512), zero ? 0 : 0x10000000 + s);
		ck_assert(!zero || all_are(buf + s * 512, 0, 512));
	}
}
END_TEST

/* tmpfs has no zero range: zeroes are written, in several pieces. */
START_TEST(zeroes_by_writing)
{
	char name[32];
	int fd = memfd_create("disk", 0);
	struct block_config c = {.path = name, .no_uring = _i == 1};
	struct block *b;
	struct error e;

	memset(buf, 0xee, DISK_SIZE);
	ck_assert_int_eq(write(fd, buf, DISK_SIZE), DISK_SIZE);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	b = block_open(&c, &e);
	ck_assert_msg(b != NULL, "%s", e.text);
	ck_assert_int_eq(block_launch(b, &e), 0);
	ck_assert_int_eq(run_range(b, BLOCK_ZERO, 512, DISK_SIZE - 1024), 0);
	block_close(b);
	check_zeroed_within(fd);
	close(fd);
}
END_TEST

/* An error is that of its own request. */
START_TEST(good_after_bad)
{
	struct block *b = open_disk(1);
	struct iovec iov = {buf, 512};
	struct block_io io = {.op = BLOCK_READ, .len = 512, .iov = &iov, .nr_iov = 1};

	host_error = EIO;
	host_fails = 1;
	ck_assert_int_eq(run(b, &io), -EIO);
	io = (struct block_io){.op = BLOCK_FLUSH, .len = 512};
	ck_assert_int_eq(run(b, &io), 0);
	block_close(b);
}
END_TEST

/* 0 is a descriptor like any other. */
START_TEST(descriptor_0)
{
	int fd = open(path, O_RDWR);
	struct engine *engine;

	close(STDIN_FILENO);
	engine = thread_create(fd);
	ck_assert_ptr_nonnull(engine);
	ck_assert_int_eq(engine->ops->fd(engine), STDIN_FILENO);
	engine->ops->destroy(engine);
	close(fd);
}
END_TEST

static int uring_refused; /* what setting it up fails with */

int io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	int (*real)(unsigned int, struct io_uring *, unsigned int) =
		dlsym(RTLD_NEXT, "io_uring_queue_init");

	return uring_refused ? uring_refused : real(entries, ring, flags);
}

/* The reason is for whoever takes the thread instead, and says so. */
START_TEST(uring_refuses)
{
	uring_refused = -EMFILE;
	errno = 0;
	ck_assert_ptr_null(uring_create(STDIN_FILENO));
	ck_assert_int_eq(errno, EMFILE);
}
END_TEST

static int uring_errors[4]; /* what submitting fails with, at first; 0: it does not */
static unsigned int uring_next;

int io_uring_submit(struct io_uring *ring)
{
	int (*real)(struct io_uring *) = dlsym(RTLD_NEXT, "io_uring_submit");

	if (uring_next < 4 && uring_errors[uring_next])
		return uring_errors[uring_next++];
	return real(ring);
}

/* Interrupted: once more. The kernel is short of something: later, and not in a loop. */
START_TEST(uring_busy)
{
	struct iovec iov = {buf, 512};
	struct block_io io = {
		.op = BLOCK_READ, .offset = 512, .len = 512, .iov = &iov, .nr_iov = 1};
	int fd = open(path, O_RDWR);
	struct engine *engine = uring_create(fd);
	struct pollfd p = {.events = POLLIN};
	int result;

	if (!engine)
		return; /* this kernel does not have it, or not for us */
	p.fd = engine->ops->fd(engine);
	memcpy(uring_errors, (int[4]){-EINTR, -EAGAIN, -EBUSY}, sizeof(uring_errors));
	io.piece = (struct block_piece){.iov = &iov, .nr_iov = 1, .len = 512};
	engine->ops->queue(engine, &io);
	ck_assert_ptr_null(engine->ops->take_back(engine));
	ck_assert(!engine->ops->submit(engine));
	ck_assert_uint_eq(uring_next, 2);
	ck_assert(!engine->ops->submit(engine));
	ck_assert_uint_eq(uring_next, 3);
	ck_assert(engine->ops->submit(engine));
	ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
	ck_assert_ptr_eq(engine->ops->reap(engine, &result), &io);
	ck_assert_int_eq(result, 512);
	engine->ops->destroy(engine);
	close(fd);
}
END_TEST

static volatile sig_atomic_t signals;

static void on_signal(int signal)
{
	(void)signal;
	signals++;
}

/* A signal waits for the thread that takes it. */
START_TEST(signals_are_for_others)
{
	sigset_t set, pending;
	struct block *b;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, on_signal);
	b = open_disk(1);
	usleep(20000);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	usleep(50000);
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert(sigismember(&pending, SIGUSR1));
	ck_assert_int_eq(signals, 0);
	block_close(b);
}
END_TEST

/* Not now, or an interrupted call: the request goes on, and nobody hears of it. */
START_TEST(try_again)
{
	struct block *b = open_disk(1);
	struct iovec iov = {buf, 512};
	struct block_io io = {
		.op = BLOCK_READ, .offset = 512, .len = 512, .iov = &iov, .nr_iov = 1};

	host_error = _i ? EAGAIN : EINTR;
	host_fails = 3;
	memset(buf, 0, 512);
	ck_assert_int_eq(run(b, &io), 0);
	ck_assert_uint_eq(*(uint32_t *)buf, 0x10000001);
	ck_assert_uint_eq(host_fails, 0);
	block_close(b);
}
END_TEST

/* A little at a time, within buffers and across them: each byte comes to its place, none beyond. */
START_TEST(read_in_pieces)
{
	struct block *b = open_disk(1);
	uint8_t x[300 + 8], y[212 + 8];
	struct iovec iov[2] = {{x, 300}, {y, 212}};
	struct block_io io = {.op = BLOCK_READ, .offset = 512, .len = 512, .iov = iov, .nr_iov = 2};
	uint32_t want[128];

	for (unsigned int i = 0; i < 128; i++)
		want[i] = 0x10000001;
	memset(x, 0xee, sizeof(x));
	memset(y, 0xee, sizeof(y));
	host_piece = _i;
	ck_assert_int_eq(run(b, &io), 0);
	ck_assert_mem_eq(x, want, 300);
	ck_assert_mem_eq(y, (uint8_t *)want + 300, 212);
	ck_assert(all_are(x + 300, 0xee, 8));
	ck_assert(all_are(y + 212, 0xee, 8));
	block_close(b);
}
END_TEST

/* Many MiB, in buffers of any size: the host is asked for one at a time, and each byte comes to its place. */
#define MUCH (5u << 20)
static uint8_t much[MUCH];

static void extend_image(void)
{
	int fd = open(path, O_WRONLY);

	for (unsigned int i = 0; i < MUCH / 4; i++)
		memcpy(much + i * 4, &(uint32_t){i * 7}, 4);
	ck_assert_int_eq(write(fd, much, MUCH), MUCH);
	close(fd);
	memset(much, 0, MUCH);
}

static bool is_extended(void)
{
	for (unsigned int i = 0; i < MUCH / 4; i++) {
		if (memcmp(much + i * 4, &(uint32_t){i * 7}, 4))
			return false;
	}
	return true;
}

START_TEST(bounded_pieces)
{
	struct iovec iov[4] = {
		{much, 1000},
		{much + 1000, (3u << 20) + 24},
		{much + (3u << 20) + 1024, (1u << 20) - 1024},
		{much + (4u << 20), 1u << 20},
	};
	struct block_io io = {.op = BLOCK_READ, .len = MUCH, .iov = iov, .nr_iov = 4};
	struct block *b;

	extend_image();
	b = open_disk(_i);
	host_piece = 0;
	ck_assert_int_eq(run(b, &io), 0);
	ck_assert(is_extended());
	if (_i) {
		ck_assert_uint_eq(host_most, 1u << 20);
		ck_assert_uint_eq(host_reads, 5);
	}
	block_close(b);
}
END_TEST

/* As much for a range as a reset may have to wait for, and all of it in the end. */
START_TEST(bounded_ranges)
{
	struct block *b;
	struct stat st;

	ck_assert_int_eq(truncate(path, 1u << 30), 0);
	b = open_disk(1);
	ck_assert_int_eq(run_range(b, BLOCK_DISCARD, 0, 1u << 30), 0);
	ck_assert_uint_eq(host_most, 64u << 20);
	block_close(b);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
}
END_TEST

static void await_reads(unsigned int n)
{
	while (__atomic_load_n(&host_reads, __ATOMIC_SEQ_CST) != n)
		usleep(1000);
}

static void await_not_busy(struct block *b)
{
	while (block_busy(b)) {
		ck_assert_ptr_null(block_reap(b));
		usleep(1000);
	}
}

/* Stopped: what the host has begun ends with its piece, the rest is kept, and goes on or is given up. */
START_TEST(stop_and_go_on)
{
	struct iovec iov[3] = {{much, 3u << 20}, {much + (3u << 20), 2u << 20}, {buf, 512}};
	struct block_io io[3] = {
		{.op = BLOCK_READ, .len = 3u << 20, .iov = &iov[0], .nr_iov = 1},
		{.op = BLOCK_READ,
		 .offset = 3u << 20,
		 .len = 2u << 20,
		 .iov = &iov[1],
		 .nr_iov = 1},
		{.op = BLOCK_READ, .len = 512, .iov = &iov[2], .nr_iov = 1},
	};
	struct block *b;
	unsigned int left = 2;

	extend_image();
	b = open_disk(1);
	gated = true;
	block_queue(b, &io[0]);
	block_queue(b, &io[1]);
	ck_assert(block_submit(b));
	await_reads(1);
	block_stop(b);
	ck_assert(block_busy(b));
	/* One that comes now waits as well. */
	block_queue(b, &io[2]);
	ck_assert(block_submit(b));
	gated = false;
	sem_post(&gate);
	await_not_busy(b);
	ck_assert_uint_eq(host_reads, 1);
	/* In the order in which they were kept; given up here. */
	if (_i) {
		ck_assert_ptr_eq(block_drop(b), &io[1]);
		ck_assert_ptr_eq(block_drop(b), &io[2]);
		ck_assert_ptr_eq(block_drop(b), &io[0]);
		ck_assert_ptr_null(block_drop(b));
		block_resume(b);
		ck_assert(block_submit(b));
		ck_assert(!block_busy(b));
		ck_assert(block_close(b));
		return;
	}
	block_resume(b);
	ck_assert_ptr_null(block_drop(b));
	ck_assert(block_submit(b));
	while (left || block_busy(b)) {
		struct block_io *one = block_reap(b);

		ck_assert(block_submit(b));
		if (!one) {
			usleep(1000);
			continue;
		}
		ck_assert_int_eq(one->result, 0);
		left -= one != &io[2];
	}
	ck_assert(is_extended());
	ck_assert_uint_eq(host_reads, 6);
	ck_assert(block_close(b));
}
END_TEST

/* What a file system says that cannot do it, in either way: zeroes are written, a discard is forgotten. */
START_TEST(unable)
{
	static const enum block_op op[] = {BLOCK_ZERO, BLOCK_UNMAP, BLOCK_DISCARD};
	struct block *b = open_disk(1);
	struct iovec iov = {buf, 512};
	struct block_io io = {.op = BLOCK_READ, .len = 512, .iov = &iov, .nr_iov = 1};

	host_error = _i ? EINVAL : EOPNOTSUPP;
	for (unsigned int i = 0; i < 3; i++) {
		host_fails = 1;
		ck_assert_int_eq(run_range(b, op[i], i * 1024, 512), 0);
	}
	/* Of other requests, and of other reasons, it is an error. */
	host_fails = 1;
	ck_assert_int_eq(run(b, &io), -host_error);
	host_error = EIO;
	for (unsigned int i = 0; i < 3; i++) {
		host_fails = 1;
		ck_assert_int_eq(run_range(b, op[i], 4096, 512), -EIO);
	}
	block_close(b);
	read_image();
	for (unsigned int s = 0; s < 16; s++)
		ck_assert_uint_eq(*(uint32_t *)(buf + s * 512),
				  s == 0 || s == 2 ? 0 : 0x10000000 + s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("block_io");
	TCase *t = tcase_create("requests");

	tcase_add_checked_fixture(t, make_image, remove_image);
	tcase_add_loop_test(t, read_and_write, 0, 2);
	tcase_add_loop_test(t, many_at_once, 0, 2);
	tcase_add_loop_test(t, short_read, 0, 2);
	tcase_add_loop_test(t, short_write, 0, 2);
	tcase_add_loop_test(t, failures_are_told, 0, 2);
	tcase_add_loop_test(t, zeroes, 0, 2);
	tcase_add_loop_test(t, zeroes_by_writing, 0, 2);
	tcase_add_test(t, good_after_bad);
	tcase_add_test(t, descriptor_0);
	tcase_add_test(t, uring_refuses);
	tcase_add_test(t, uring_busy);
	tcase_add_test(t, signals_are_for_others);
	tcase_add_loop_test(t, try_again, 0, 2);
	tcase_add_loop_test(t, read_in_pieces, 99, 102);
	tcase_add_loop_test(t, unable, 0, 2);
	tcase_add_loop_test(t, bounded_pieces, 0, 2);
	tcase_add_test(t, bounded_ranges);
	tcase_add_loop_test(t, stop_and_go_on, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
