// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The weather of a round: allocations that fail, a memory cgroup at its limit, swapping, userfaultfd, pages
 * that break, processors that go, a machine that sleeps, KVM that comes, as far as the host's kernel has it.
 * And what is always so: memory that changes below the guests, run pages that are scribbled on, signals.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ioctl.h"

/* The kernel's headers have it, libc's not. */
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

#define CGROUP	"/sys/fs/cgroup/fuzz"
#define FAILING "/sys/kernel/debug/fail"

/* What this host has; set up once. */
static bool has_failures, has_memcg, has_swap, has_uffd, has_poison, has_nodes, has_ksm, has_kvm,
	has_sleep, has_unplug;

/* Copies to user space do not fail: where a signal is delivered, that would be the end of the process. */
static void setup_failures(void)
{
	static const char *const kinds[] = {"slab", "_page_alloc"};
	char path[64];

	has_failures = true;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
#define SET(file, text) \
	(snprintf(path, sizeof(path), FAILING "%s/" file, kinds[i]), put(path, text))
		has_failures &= SET("task-filter", "Y") && SET("probability", "3") &&
				SET("interval", "1") && SET("times", "-1") && SET("verbose", "0");
		SET("ignore-gfp-wait", "N");
		SET("min-order", "0");
	}
}

static bool has(const char *path)
{
	return access(path, F_OK) == 0;
}

void weather_look_around(void)
{
	int fd;

	setup_failures();
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(CGROUP, 0755);
	has_memcg = has(CGROUP "/memory.high");
	/* A file system in memory cannot hold it, but a disk in such a file can. */
	has_swap = has("/dev/loop0") &&
		   system("dd if=/dev/zero of=/tmp/swap bs=1M count=128 2>/dev/null && "
			  "losetup /dev/loop0 /tmp/swap && mkswap /dev/loop0 >/dev/null && "
			  "swapon /dev/loop0") == 0;
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	has_uffd = fd >= 0;
	close(fd);
	has_poison =
		has("/sys/kernel/debug/hwpoison") || has("/proc/sys/vm/memory_failure_recovery");
	has_nodes = has("/sys/devices/system/node/node1");
	has_ksm = put("/sys/kernel/mm/ksm/run", "1");
	has_kvm =
		system("modprobe -q kvm_amd 2>/dev/null || modprobe -q kvm_intel 2>/dev/null") == 0;
	system("modprobe -q -r kvm_amd kvm_intel kvm 2>/dev/null");
	has_sleep = put("/sys/power/pm_test", "core") && put("/sys/power/pm_test", "none");
	has_unplug = has("/sys/devices/system/cpu/cpu1/online");
	printf("# this host: failing allocations %d, memory cgroups %d, swap %d, userfaultfd %d, "
	       "broken pages %d, nodes %d, KSM %d, KVM %d, sleep %d, unplugging %d\n",
	       has_failures, has_memcg, has_swap, has_uffd, has_poison, has_nodes, has_ksm, has_kvm,
	       has_sleep, has_unplug);
}

enum weather {
	FAILURES = 1 << 0,
	NARROW = 1 << 1,
	UFFD = 1 << 2,
	POISON = 1 << 3,
	KVM = 1 << 4,
	SLEEP = 1 << 5,
	UNPLUG = 1 << 6,
};

static unsigned int weather;

/* Each kind in some of the rounds, the slow ones in few. */
void weather_choose(void)
{
	weather = (has_failures && one_in(3) ? FAILURES : 0) |
		  (has_memcg && one_in(3) ? NARROW : 0) | (has_uffd && one_in(3) ? UFFD : 0) |
		  (has_poison && one_in(4) ? POISON : 0) | (has_kvm && one_in(4) ? KVM : 0) |
		  (has_sleep && one_in(6) ? SLEEP : 0) | (has_unplug && one_in(6) ? UNPLUG : 0);
}

/* This process: it has its memory already, and everything else has to be found in little. */
void weather_narrow(void)
{
	if (!(weather & NARROW))
		return;
	/* Without swap a limit would only make it be killed. */
	put(CGROUP "/memory.high", has_swap ? "12M" : "24M");
	if (has_swap)
		put(CGROUP "/memory.max", "20M");
	put(CGROUP "/cgroup.procs", "0");
}

void weather_let_fail(bool on)
{
	char path[64];

	if (!(weather & FAILURES))
		return;
	snprintf(path, sizeof(path), "/proc/self/task/%d/make-it-fail", gettid());
	/* That opening this file fails, too, must not leave it on. */
	while (!put(path, on ? "1" : "0"))
		;
}

/* ---- The memory below the guests ---- */

void change_memory(void)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_HUGEPAGE,	MADV_NOHUGEPAGE, MADV_MERGEABLE,
		MADV_COLD,     MADV_PAGEOUT,  MADV_UNMERGEABLE, MADV_FREE,	 MADV_REMOVE,
		MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK,
	};
	uint64_t page = below(ARENA_PAGES), len = (1 + below(16)) * PAGE;
	uint8_t *p = arena + page * PAGE, junk[64];
	struct iovec from = {junk, sizeof(junk)}, to;

	if (page > ARENA_PAGES - 16)
		len = PAGE;
	if (one_in(3)) {
		p = main_vm.ram + below(GUEST_RAM / PAGE) * PAGE;
		len = PAGE;
	}
	switch (below(10)) {
	case 0:
		mprotect(p, len,
			 ANY(((const int[]){PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
					    PROT_READ | PROT_WRITE})));
		break;
	case 1: /* other memory in its place */
		mmap(p, len, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_ANONYMOUS | (one_in(2) ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		break;
	case 2:
		if (p >= arena && p < arena + ARENA_PAGES * PAGE)
			munmap(p, PAGE);
		break;
	case 3:
		if (one_in(2))
			mlock(p, len);
		else
			munlock(p, len);
		break;
	case 4: /* to another node, if there is one */
		syscall(SYS_mbind, p, len, 2 /* MPOL_BIND */, &(unsigned long){1 + below(2)}, 3ul,
			2 /* MPOL_MF_MOVE */);
		break;
	case 5: /* even where it cannot be written: that fails then */
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t)random64();
		if (tcg)
			tame(junk, sizeof(junk));
		to = (struct iovec){p + below(PAGE - sizeof(junk)), sizeof(junk)};
		process_vm_writev(getpid(), &from, 1, &to, 1, 0);
		break;
	case 6:
		if (weather & POISON && one_in(8))
			madvise(p, PAGE, one_in(2) ? MADV_HWPOISON : MADV_SOFT_OFFLINE);
		break;
	default:
		madvise(p, len, ANY(advice));
	}
}

/* ---- While the workers work ---- */

/* Run pages change at any moment, and calls are interrupted. */
static void *disturb(void *arg)
{
	(void)arg;
	take_signal_stack();
	random_seed(seed ^ 0xd157);
	while (working) {
		for (unsigned int n = (unsigned int)below(64); n; n--) {
			size_t offset = below(sizeof(struct hv_run) / 4) * 4;
			uint32_t value = (uint32_t)number();

			if (may_scribble(offset))
				memcpy((uint8_t *)run_page((unsigned int)below(POOL)) + offset,
				       &value, 4);
		}
		pthread_kill(workers[below(WORKERS)], SIGUSR1);
		sleep_ns(below(3) * MSEC);
	}
	return NULL;
}

/* Whoever finds a page of its part of the arena missing waits a little, and gets an empty one. */
static void *serve_faults(void *arg)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {
		.range = {(uintptr_t)arena, ARENA_PAGES / 2 * PAGE},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	(void)arg;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &area)) {
		close(fd);
		return NULL;
	}
	while (working) {
		struct uffd_msg msg;
		struct uffdio_zeropage zero = {.range = {.len = PAGE}};

		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5);
		if (read(fd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		sleep_ns(below(3) * MSEC);
		zero.range.start = msg.arg.pagefault.address & -PAGE;
		if (ioctl(fd, UFFDIO_ZEROPAGE, &zero))
			ioctl(fd, UFFDIO_WAKE, &zero.range);
	}
	close(fd);
	return NULL;
}

/* What happens to the whole machine, while guests run. */
static void *make_weather(void *arg)
{
	(void)arg;
	random_seed(seed ^ 0x5eed);
	while (working) {
		if (weather & KVM) {
			system("modprobe -q kvm_amd 2>/dev/null || modprobe -q kvm_intel 2>/dev/null");
			sleep_ns(below(50) * MSEC);
			system("modprobe -q -r kvm_amd kvm_intel kvm 2>/dev/null");
		}
		if (weather & UNPLUG) {
			put("/sys/devices/system/cpu/cpu1/online", "0");
			sleep_ns(below(50) * MSEC);
			put("/sys/devices/system/cpu/cpu1/online", "1");
		}
		if (weather & SLEEP) {
			/* As far as the processors, and no further; that takes five seconds. */
			put("/sys/power/pm_test", one_in(2) ? "core" : "processors");
			put("/sys/power/state", "mem");
			put("/sys/power/pm_test", "none");
			weather &= ~(unsigned int)SLEEP;
		}
		sleep_ns(below(100) * MSEC);
	}
	return NULL;
}

static pthread_t disturber, weathermaker, server;

void weather_begin(void)
{
	CHECK_EQ(pthread_create(&disturber, NULL, disturb, NULL), 0);
	CHECK_EQ(pthread_create(&weathermaker, NULL, make_weather, NULL), 0);
	if (weather & UFFD)
		CHECK_EQ(pthread_create(&server, NULL, serve_faults, NULL), 0);
}

void weather_end(void)
{
	pthread_join(disturber, NULL);
	pthread_join(weathermaker, NULL);
	if (weather & UFFD)
		pthread_join(server, NULL);
}
