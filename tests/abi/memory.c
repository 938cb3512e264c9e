// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest memory on a real vCPU: slots and their edges, stage-2 tables that follow
 * what the host does to the memory, the guest's own paging and code that changes.
 * Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

static volatile uint64_t stop;

#define FAR 0x40400000ul /* gpa of a test's own slot, mapped one to one */

static GUEST uint64_t peek(uint64_t address)
{
	return *(volatile uint64_t *)address;
}

static GUEST void poke(uint64_t address, uint64_t value)
{
	*(volatile uint64_t *)address = value;
}

static GUEST void poke8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static GUEST uint8_t peek8(uint64_t address)
{
	return *(volatile uint8_t *)address;
}

/* ---- Slots ---- */

static GUEST void g_edges(uint64_t arg)
{
	(void)arg;
	/* First and last byte, each the first access to its page, by write and by read. */
	poke8(FAR, 0x11);
	poke8(FAR + 0x3fff, 0x22);
	G_CHECK_EQ(peek8(FAR + 0x1000), 0xaa);
	G_CHECK_EQ(peek8(FAR + 0x2fff), 0xbb);
	/* Across the border to the next slot. */
	poke(FAR + 0x3ffc, 0x1122334455667788);
	G_CHECK_EQ(peek(FAR + 0x3ffc), 0x1122334455667788);
	/* Last byte of memory, then what lies beyond it, before and behind. */
	poke8(FAR + 0x5fff, 0x33);
	poke8(FAR + 0x6000, 0x44);
	G_CHECK_EQ(peek8(FAR + 0x6000), 0x66);
	poke8(FAR - 1, 0x55);
	guest_sync(1);
	/* Half in memory and half not: an exit, whatever its kind. */
	poke(FAR + 0x5ffc, 1);
	guest_sync(2);
}

static void expect_mmio(struct vcpu *v, uint64_t gpa, bool write)
{
	vcpu_expect(v, HV_EXIT_MMIO);
	CHECK_EQ(v->run->exit.mmio.gpa, gpa);
	CHECK_EQ(v->run->exit.mmio.flags, write ? HV_IO_WRITE : 0);
}

static void slot_edges(void)
{
	struct vm vm;
	struct vcpu v;
	uint8_t *low, *high;

	vm_long(&vm, &v, g_edges, 0);
	high = vm_add_slot(&vm, 2, 0, FAR + 0x4000, 0x2000);
	low = vm_add_slot(&vm, 1, 0, FAR, 0x4000);
	low[0x1000] = 0xaa;
	low[0x2fff] = 0xbb;
	expect_mmio(&v, FAR + 0x6000, true);
	CHECK_EQ(v.run->exit.mmio.data, 0x44);
	expect_mmio(&v, FAR + 0x6000, false);
	v.run->exit.mmio.data = 0x66;
	expect_mmio(&v, FAR - 1, true);
	vcpu_sync(&v, 1);
	CHECK_EQ(low[0], 0x11);
	CHECK_EQ(*(uint32_t *)(low + 0x3ffc), 0x55667788);
	CHECK_EQ(*(uint32_t *)high, 0x11223344);
	CHECK_EQ(high[0x1fff], 0x33);
	vcpu_run(&v);
	CHECK(v.run->exit_reason == HV_EXIT_MMIO || v.run->exit_reason == HV_EXIT_EMULATE);
}

static GUEST void g_high(uint64_t address)
{
	/* PML4 entry 2: one 1 GiB page at this address. */
	poke(GUEST_PML4 + 8 * 2, (GUEST_FREE + 0x1000) | PTE_P | PTE_W);
	poke(GUEST_FREE + 0x1000, GUEST_FREE + 0x2000 + (PTE_P | PTE_W));
	poke(GUEST_FREE + 0x2000, address | 0x80 | PTE_P | PTE_W);
	poke((2ull << 39) + 0x1234, 0x1122334455667788);
	G_CHECK_EQ(peek((2ull << 39) + 0x1234), 0x1122334455667788);
}

/* Slots above 4 GiB and at the top of the address space. */
static void slot_high(void)
{
	uint64_t top = (1ull << hv_caps().gpa_bits) - (2 << 20);
	const uint64_t at[] = {1ull << 32, 1ull << 38, top};
	struct vm vm;
	struct vcpu v;

	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
		uint8_t *p;

		vm_long(&vm, &v, g_high, at[i]);
		p = vm_add_slot(&vm, 1, 0, at[i], 2 << 20);
		vcpu_done(&v);
		CHECK_EQ(*(uint64_t *)(p + 0x1234), 0x1122334455667788);
		vcpu_close(&v);
		vm_close(&vm);
	}
}

static GUEST void g_change(uint64_t arg)
{
	(void)arg;
	poke(FAR, 1);
	guest_sync(1);
	poke(FAR, 2);		  /* deleted: MMIO */
	G_CHECK_EQ(peek(FAR), 1); /* other memory there */
	guest_sync(2);
	G_CHECK_EQ(peek(FAR + 0x10000), 77); /* moved */
	guest_sync(3);
}

static void slot_change(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p, *q;

	vm_long(&vm, &v, g_change, 0);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x4000);
	vcpu_sync(&v, 1);
	CHECK_EQ(p[0], 1);
	CHECK_OK(vm_set_slot(&vm, 1, 0, FAR, 0, NULL));
	expect_mmio(&v, FAR, true);
	q = (uint64_t *)vm_add_slot(&vm, 5, 0, FAR, 0x4000);
	q[0] = 1;
	vcpu_sync(&v, 2);
	q[0] = 77;
	CHECK_OK(vm_set_slot(&vm, 5, 0, FAR, 0, NULL));
	CHECK_OK(vm_set_slot(&vm, 5, 0, FAR + 0x10000, 0x4000, q));
	vcpu_sync(&v, 3);
	vcpu_done(&v);
	CHECK_EQ(p[0], 1);
}

static GUEST void g_many(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		G_CHECK_EQ(peek(FAR + 0x2000 * i), i);
		poke(FAR + 0x2000 * i + 8, ~i);
	}
}

/* As many slots as there can be, with holes between them. */
static void slot_many(void)
{
	uint32_t n = hv_caps().max_slots - 1;
	uint64_t *p =
		mmap(NULL, 4096ul * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vm vm;
	struct vcpu v;

	CHECK(p != MAP_FAILED);
	vm_long(&vm, &v, g_many, n);
	/* Odd ones first, and not in the order of addresses. */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = i < n / 2 ? 2 * i + 1 : 2 * (n - 1 - i);

		p[512 * k] = k;
		CHECK_OK(vm_set_slot(&vm, 1 + k, 0, FAR + 0x2000 * k, 4096, p + 512 * k));
	}
	vcpu_done(&v);
	for (uint32_t i = 0; i < n; i++)
		CHECK_EQ(p[512 * i + 1], ~(uint64_t)i);
}

/* One memory in two places. */
static GUEST void g_alias(uint64_t arg)
{
	(void)arg;
	poke(FAR, 0x1234);
	G_CHECK_EQ(peek(FAR + 0x100000), 0x1234);
	poke(FAR + 0x101008, 0x5678);
	G_CHECK_EQ(peek(FAR + 0x1008), 0x5678);
}

static void slot_alias(void)
{
	struct vm vm;
	struct vcpu v;
	uint8_t *p;

	vm_long(&vm, &v, g_alias, 0);
	p = vm_add_slot(&vm, 1, 0, FAR, 0x4000);
	CHECK_OK(vm_set_slot(&vm, 2, 0, FAR + 0x100000, 0x4000, p));
	vcpu_done(&v);
}

static GUEST void g_tables_elsewhere(uint64_t pdpt)
{
	poke(GUEST_PML4 + 8 * 2, pdpt | PTE_P | PTE_W | PTE_A);
	poke(GUEST_FREE, 0x1234);
	G_CHECK_EQ(peek((2ull << 39) + GUEST_FREE), 0x1234);
}

/*
 * The guest's page tables in a read-only slot. Where the processor's walk counts as a write, that is an
 * error which says so, and the guest goes on when the slot may be written.
 */
static void tables_readonly(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;

	vm_long(&vm, &v, g_tables_elsewhere, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, HV_SLOT_READONLY, FAR, 0x2000);
	p[0] = (FAR + 0x1000) | PTE_P | PTE_W | PTE_A;
	p[512 + GUEST_FREE / (2 << 20)] = GUEST_FREE | 0x80 | PTE_P | PTE_W | PTE_A | PTE_D;
	if (vcpu_run(&v) == HV_EXIT_ERROR) {
		CHECK_EQ(v.run->exit.error.code, HV_ERROR_FETCH);
		CHECK_EQ(v.run->exit.error.hw_reason, HV_FAULT_WRITE | HV_FAULT_WALK);
		CHECK_EQ(v.run->exit.error.hw_info[0], FAR);
		CHECK_OK(vm_set_slot(&vm, 1, 0, FAR, 0x2000, p));
		vcpu_done(&v);
	} else {
		CHECK(host_is_vmx());
		CHECK_EQ(v.run->exit_reason, HV_EXIT_PIO);
		CHECK_EQ(v.run->exit.pio.port, PORT_DONE);
	}
}

/* ---- The host's hand in it ---- */

static GUEST void g_read_twice(uint64_t address)
{
	for (unsigned int i = 0;; i++) {
		uint64_t value = peek(address);

		guest_sync((uint32_t)value);
		if (value == 0xffff)
			return;
	}
}

static void dontneed(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;

	vm_long(&vm, &v, g_read_twice, FAR + 0x1000);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x4000);
	/* Never touched: a read finds zero, and a write of the host after it is seen. */
	vcpu_sync(&v, 0);
	p[512] = 1;
	vcpu_sync(&v, 1);
	CHECK_OK(madvise(p, 0x4000, MADV_DONTNEED));
	vcpu_sync(&v, 0);
	p[512] = 0xffff;
	vcpu_sync(&v, 0xffff);
	vcpu_done(&v);
}

/* Other memory at the same host address; and the old memory elsewhere. */
static void remap(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p, *q;

	vm_long(&vm, &v, g_read_twice, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x2000);
	q = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q != MAP_FAILED);
	p[0] = 1;
	q[0] = 2;
	vcpu_sync(&v, 1);
	CHECK(mremap(q, 0x2000, 0x2000, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	vcpu_sync(&v, 2);
	CHECK(mmap(p, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0) == p);
	vcpu_sync(&v, 0);
	p[0] = 0xffff;
	vcpu_sync(&v, 0xffff);
	vcpu_done(&v);
}

/* fork() shares the pages until one side writes: the guest stays with this side. */
static void fork_cow(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;
	pid_t pid;
	int status;

	vm_long(&vm, &v, g_read_twice, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x1000);
	p[0] = 1;
	vcpu_sync(&v, 1);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		sleep_ns(100 * MSEC);
		p[0] = 99;
		_exit(0);
	}
	vcpu_sync(&v, 1);
	p[0] = 2;
	vcpu_sync(&v, 2);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	vcpu_sync(&v, 2);
	p[0] = 0xffff;
	vcpu_sync(&v, 0xffff);
	vcpu_done(&v);
}

/* The same with the guest as the one that writes first. */
static GUEST void g_write(uint64_t address)
{
	poke(address, 1);
	guest_sync(1);
	poke(address, 2);
	guest_sync(2);
	G_CHECK_EQ(peek(address), 2);
}

static void fork_guest_writes(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;
	int to_child[2], status;
	char c = 0;
	pid_t pid;

	vm_long(&vm, &v, g_write, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x1000);
	vcpu_sync(&v, 1);
	CHECK_OK(pipe(to_child));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(read(to_child[0], &c, 1) == 1 && p[0] == 1 ? 0 : 1);
	vcpu_sync(&v, 2);
	CHECK_EQ(write(to_child[1], &c, 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(p[0], 2);
	vcpu_done(&v);
}

static GUEST void g_poke_and_read(uint64_t address)
{
	G_CHECK_EQ(peek(address), 5);
	poke(address, 6);
	guest_sync(1);
}

static void expect_memory_error(struct vcpu *v)
{
	vcpu_expect(v, HV_EXIT_ERROR);
	if (v->run->exit.error.code != HV_ERROR_MEMORY)
		test_fail("HV_ERROR_MEMORY expected, not %s", vcpu_describe(v));
}

/* Memory that the host may not write, not touch, or that is gone: an error, and a way back. */
static void host_protection(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;

	vm_long(&vm, &v, g_poke_and_read, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x1000);
	p[0] = 5;
	CHECK_OK(mprotect(p, 0x1000, PROT_NONE));
	expect_memory_error(&v);
	CHECK_OK(mprotect(p, 0x1000, PROT_READ));
	/* The read works now, the write does not. */
	expect_memory_error(&v);
	CHECK_OK(mprotect(p, 0x1000, PROT_READ | PROT_WRITE));
	vcpu_sync(&v, 1);
	CHECK_EQ(p[0], 6);
	vcpu_done(&v);
}

static void host_unmapped(void)
{
	struct vm vm;
	struct vcpu v;
	uint64_t *p;

	vm_long(&vm, &v, g_read_twice, FAR);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x1000);
	p[0] = 3;
	vcpu_sync(&v, 3);
	CHECK_OK(munmap(p, 0x1000));
	expect_memory_error(&v);
	/* Mapped again: it goes on. */
	CHECK(mmap(p, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0) == p);
	p[0] = 0xffff;
	vcpu_sync(&v, 0xffff);
}

static void host_truncated(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct vm vm;
	struct vcpu v;
	uint64_t *p;

	CHECK_OK(ftruncate(fd, 0x2000));
	vm_long(&vm, &v, g_read_twice, FAR + 0x1000);
	p = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_OK(vm_set_slot(&vm, 1, 0, FAR, 0x2000, p));
	p[512] = 3;
	vcpu_sync(&v, 3);
	/* Written by way of the file. */
	CHECK_EQ(pwrite(fd, &(uint64_t){4}, 8, 0x1000), 8);
	vcpu_sync(&v, 4);
	CHECK_OK(ftruncate(fd, 0x1000));
	expect_memory_error(&v);
	CHECK_OK(ftruncate(fd, 0x2000));
	vcpu_sync(&v, 0);
	p[512] = 0xffff;
	vcpu_sync(&v, 0xffff);
}

/* A page that another thread is to bring, and does not: a signal ends the wait. */
static void userfault_stopped(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_zeropage zero = {0};
	struct pollfd wanted = {.events = POLLIN};
	struct utsname host;
	struct runner r;
	struct vm vm;
	struct vcpu v;
	uint8_t *p;

	wanted.fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (wanted.fd < 0)
		test_skip("the host has no userfaultfd");
	CHECK_OK(uname(&host));
	if (strverscmp(host.release, "6.3") < 0)
		test_skip("a kernel before 6.3 does not let go of such a thread");
	vm_long(&vm, &v, g_read_twice, FAR);
	p = vm_add_slot(&vm, 1, 0, FAR, 0x1000);
	CHECK_OK(ioctl(wanted.fd, UFFDIO_API, &api));
	area.range.start = (uintptr_t)p;
	area.range.len = 0x1000;
	CHECK_OK(ioctl(wanted.fd, UFFDIO_REGISTER, &area));
	runner_start(&r, &v);
	CHECK_EQ(poll(&wanted, 1, 10000), 1);
	runner_stop(&r);
	runner_join(&r);
	CHECK_EQ(r.result, -1);
	CHECK_EQ(r.error, EINTR);
	/* It comes at last. */
	zero.range = area.range;
	CHECK_OK(ioctl(wanted.fd, UFFDIO_ZEROPAGE, &zero));
	vcpu_sync(&v, 0);
	*(uint64_t *)p = 0xffff;
	vcpu_sync(&v, 0xffff);
	vcpu_done(&v);
}

/* ---- NUMA balancing ---- */

#define NODE_PAGES 64
#define NUMA_KNOBS "/sys/kernel/debug/sched/numa_balancing/"

static const struct {
	const char *path, *hurried;
} knobs[] = {
	{"/proc/sys/kernel/numa_balancing", "1"},
	{NUMA_KNOBS "scan_delay_ms", "10"},
	{NUMA_KNOBS "scan_period_min_ms", "10"},
	{NUMA_KNOBS "scan_period_max_ms", "20"},
};

#define KNOBS (sizeof(knobs) / sizeof(knobs[0]))

static void read_knob(const char *path, char *value, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, len - 1);

	if (n <= 0)
		test_skip("no NUMA balancing that could be hurried: %s", path);
	value[n] = '\0';
	close(fd);
}

static void write_knob(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		test_skip("no NUMA balancing that could be hurried: %s", path);
	close(fd);
}

/* How many of the pages at p are in the memory of this node. */
static unsigned int pages_on_node(uint8_t *p, int node)
{
	void *pages[NODE_PAGES];
	int status[NODE_PAGES];
	unsigned int n = 0;

	for (unsigned int i = 0; i < NODE_PAGES; i++)
		pages[i] = p + 4096 * i;
	CHECK_OK(syscall(SYS_move_pages, 0, (unsigned long)NODE_PAGES, pages, NULL, status, 0));
	for (unsigned int i = 0; i < NODE_PAGES; i++)
		n += status[i] == node;
	return n;
}

/* Reads, each time beside an access that makes the module fetch the instruction. */
static GUEST void g_read_all(uint64_t address)
{
	while (!stop) {
		for (unsigned int i = 0; i < NODE_PAGES; i++)
			G_CHECK_EQ(peek(address + 4096 * i), i);
		poke(address - 0x1000, 1);
	}
}

static void *run_on_cpu_0(void *arg)
{
	struct vcpu *v = arg;

	bind_to_cpu(0);
	while (vcpu_run(v) == HV_EXIT_MMIO)
		;
	CHECK_EQ(v->run->exit_reason, HV_EXIT_PIO);
	CHECK_EQ(v->run->exit.pio.port, PORT_DONE);
	return NULL;
}

/*
 * The host takes away the access to a page now and then, so as to see from which node it is used. The
 * guest goes on, its code included, and what it only reads moves to its node, too.
 */
static void numa_balancing(void)
{
	struct vm vm;
	struct vcpu v;
	pthread_t thread;
	char was[KNOBS][32];
	uint8_t *p;

	if (access("/sys/devices/system/node/node1", F_OK))
		test_skip("the host has one node");
	for (unsigned int i = 0; i < KNOBS; i++) {
		read_knob(knobs[i].path, was[i], sizeof(was[i]));
		write_knob(knobs[i].path, knobs[i].hurried);
	}
	bind_to_cpu((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	vm_long(&vm, &v, g_read_all, FAR);
	p = vm_add_slot(&vm, 1, 0, FAR, 4096 * NODE_PAGES);
	madvise(p, 4096 * NODE_PAGES, MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < NODE_PAGES; i++)
		*(uint64_t *)(p + 4096 * i) = i;
	CHECK_EQ(pages_on_node(p, 1), NODE_PAGES);
	CHECK_EQ(pthread_create(&thread, NULL, run_on_cpu_0, &v), 0);
	while (pages_on_node(p, 0) < NODE_PAGES / 2)
		sleep_ns(10 * MSEC);
	/* The code as well, for some turns. */
	sleep_ns(2 * SEC);
	guest_var(&vm, stop) = 1;
	vcpu_join(thread);
	/* The largest first, as none may be below the smallest. */
	for (unsigned int i = KNOBS; i-- > 0;)
		write_knob(knobs[i].path, was[i]);
}

/* Large pages in the host: one small page of 2 MiB dropped, the rest intact. */
static GUEST void g_large(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		poke(FAR + 4096 * i, i + 1);
	guest_sync(1);
	for (uint64_t i = 0; i < pages; i++)
		G_CHECK_EQ(peek(FAR + 4096 * i), i % 64 == 5 ? 0 : i + 1);
}

static void large_pages(void)
{
	const uint64_t size = 4 << 20;
	struct vm vm;
	struct vcpu v;
	uint8_t *area, *p;

	vm_long(&vm, &v, g_large, size / 4096);
	area = mmap(NULL, size + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	CHECK(area != MAP_FAILED);
	p = (uint8_t *)(((uintptr_t)area + (2 << 20) - 1) & ~((2ul << 20) - 1));
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 0x55, size);
	CHECK_OK(vm_set_slot(&vm, 1, 0, FAR, size, p));
	vcpu_sync(&v, 1);
	for (uint64_t i = 0; i < size / 4096; i++) {
		CHECK_EQ(*(uint64_t *)(p + 4096 * i), i + 1);
		if (i % 64 == 5)
			CHECK_OK(madvise(p + 4096 * i, 4096, MADV_DONTNEED));
	}
	vcpu_done(&v);
}

/* ---- While other vCPUs run ---- */

static GUEST void g_wait_zero(uint64_t address)
{
	while (peek(address) != 0)
		guest_pause();
}

/* A guest that never exits sees what the host did to its memory. */
static void dontneed_running(void)
{
	struct vm vm;
	struct vcpu v[2];
	pthread_t thread[2];
	uint64_t *p;

	vm_init(&vm);
	p = (uint64_t *)vm_add_slot(&vm, 1, 0, FAR, 0x4000);
	p[0] = p[512] = 1;
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_wait_zero, FAR + 0x1000 * i);
		thread[i] = vcpu_start(&v[i]);
	}
	sleep_ns(100 * MSEC);
	CHECK_OK(madvise(p, 0x4000, MADV_DONTNEED));
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(thread[i]);
}

static GUEST void g_count(uint64_t address)
{
	/* Every value written must be read back: the page is this vCPU's alone. */
	for (uint64_t i = 1; !stop; i++) {
		uint64_t got;

		poke(address, i);
		got = peek(address);
		/* Dropped between the two: zero. */
		if (got != i && got != 0)
			guest_fail("lost write", got, i, __LINE__);
	}
}

static void dontneed_storm(void)
{
	struct vm vm;
	struct vcpu v[2];
	pthread_t thread[2];
	uint8_t *p;
	uint64_t end_at = now_ns() + 3 * SEC;

	vm_init(&vm);
	p = vm_add_slot(&vm, 1, 0, FAR, 0x10000);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_count, FAR + 0x1000 * i);
		vcpu_interruptible(&v[i]);
		thread[i] = vcpu_start(&v[i]);
	}
	while (now_ns() < end_at) {
		CHECK_OK(madvise(p, 0x10000, MADV_DONTNEED));
		sleep_ns(100000);
	}
	guest_var(&vm, stop) = 1;
	for (unsigned int i = 0; i < 2; i++)
		vcpu_join(thread[i]);
}

#define DROPPED_SIZE (64ul << 20)

static uint8_t *dropped;
static volatile bool dropping_ends;

/* Fills memory and drops it, on a processor that it shares with a vCPU of higher priority. */
static void *drop_memory(void *arg)
{
	(void)arg;
	bind_to_cpu(0);
	while (!dropping_ends) {
		for (uint64_t i = 0; i < DROPPED_SIZE; i += 4096)
			dropped[i] = 1;
		madvise(dropped, DROPPED_SIZE, MADV_DONTNEED);
	}
	return NULL;
}

static GUEST void g_touch_all(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		poke(FAR + 4096 * i, i);
		guest_sync(1);
	}
}

/*
 * A vCPU that the scheduler prefers meets pages that are being taken away, or other pages meanwhile, by a
 * thread that it has interrupted: it must not spin for the end of that.
 */
static void preferred_vcpu(bool same_memory)
{
	const uint64_t pages = 300;
	struct sched_param fifo = {.sched_priority = 10};
	struct timespec used;
	pthread_t thread;
	struct vm vm;
	struct vcpu v;

	dropped = mmap(NULL, DROPPED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	CHECK(dropped != MAP_FAILED);
	madvise(dropped, DROPPED_SIZE, MADV_NOHUGEPAGE);
	vm_long(&vm, &v, g_touch_all, pages);
	if (same_memory)
		CHECK_OK(vm_set_slot(&vm, 1, 0, FAR, DROPPED_SIZE, dropped));
	else
		vm_add_slot(&vm, 1, 0, FAR, DROPPED_SIZE);
	CHECK_EQ(pthread_create(&thread, NULL, drop_memory, NULL), 0);
	bind_to_cpu(0);
	CHECK_EQ(pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo), 0);
	for (uint64_t i = 0; i < pages; i++) {
		sleep_ns(2 * MSEC);
		vcpu_sync(&v, 1);
	}
	vcpu_done(&v);
	CHECK_OK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used));
	dropping_ends = true;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	if (used.tv_sec >= 1)
		test_fail("%ld s of processor time for %u pages", (long)used.tv_sec,
			  (unsigned int)pages);
}

static void preferred_elsewhere(void)
{
	preferred_vcpu(false);
}

static void preferred_same_memory(void)
{
	preferred_vcpu(true);
}

/* ---- The guest's own paging ---- */

static GUEST void g_paging(uint64_t arg)
{
	volatile uint64_t *pt = (volatile uint64_t *)(uintptr_t)GUEST_PT;
	uint64_t cr3 = GUEST_READ_CR(3);

	(void)arg;
	poke(GUEST_FREE, 1);
	poke(GUEST_FREE + 0x1000, 2);
	pt[0] = GUEST_FREE | PTE_P | PTE_W;
	G_CHECK_EQ(peek(GUEST_WINDOW), 1);
	/* Accessed and dirty bits. */
	G_CHECK_EQ(pt[0] & (PTE_A | PTE_D), PTE_A);
	poke(GUEST_WINDOW, 3);
	G_CHECK_EQ(pt[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
	/* INVLPG, a CR3 write, a global page over a CR3 write, CR4.PGE toggled. */
	pt[0] = (GUEST_FREE + 0x1000) | PTE_P | PTE_W;
	asm volatile("invlpg (%0)" : : "r"(GUEST_WINDOW) : "memory");
	G_CHECK_EQ(peek(GUEST_WINDOW), 2);
	pt[0] = GUEST_FREE | PTE_P | PTE_W;
	GUEST_WRITE_CR(3, cr3);
	G_CHECK_EQ(peek(GUEST_WINDOW), 3);
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) | 0x80);
	pt[1] = GUEST_FREE | PTE_P | PTE_W | PTE_G;
	G_CHECK_EQ(peek(GUEST_WINDOW + 0x1000), 3);
	pt[1] = (GUEST_FREE + 0x1000) | PTE_P | PTE_W | PTE_G;
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) & ~0x80ul);
	G_CHECK_EQ(peek(GUEST_WINDOW + 0x1000), 2);
	/* Made absent. */
	pt[1] = 0;
	asm volatile("invlpg (%0)" : : "r"(GUEST_WINDOW + 0x1000) : "memory");
	G_CHECK_EQ(G_TRY("movb $1, (%0)", , G_ARGS("r"(GUEST_WINDOW + 0x1000))), PF);
	/* CR0.WP off: the supervisor writes to read-only pages. */
	pt[2] = GUEST_FREE | PTE_P;
	G_CHECK_EQ(G_TRY("movb $1, (%0)", , G_ARGS("r"(GUEST_WINDOW + 0x2000))), PF);
	GUEST_WRITE_CR(0, GUEST_READ_CR(0) & ~CR0_WP);
	G_CHECK_EQ(G_TRY("movb $1, (%0)", , G_ARGS("r"(GUEST_WINDOW + 0x2000))), GUEST_NO_TRAP);
	GUEST_WRITE_CR(0, GUEST_READ_CR(0) | CR0_WP);
	G_CHECK_EQ(G_TRY("movb $1, (%0)", , G_ARGS("r"(GUEST_WINDOW + 0x2000))), PF);
}

static void paging(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_paging, 0);
	vcpu_done(&v);
}

/* Two vCPUs with other page tables at the same addresses, taking turns on one TLB. */
static GUEST void g_own_tables(uint64_t value)
{
	poke(GUEST_FREE + 0x1000 * value, value);
	for (unsigned int i = 0; i < 2000; i++) {
		G_CHECK_EQ(peek(GUEST_WINDOW), value);
		if (i % 10 == 0)
			outl(0, PORT_LOW);
	}
}

static void tlb_tags(void)
{
	struct vm vm[2];
	struct vcpu v[2];
	bool done[2] = {false, false};

	for (unsigned int i = 0; i < 2; i++) {
		vm_long(&vm[i], &v[i], g_own_tables, i + 1);
		vm_map(&vm[i], 0, GUEST_FREE + 0x1000 * (i + 1), PTE_P | PTE_W);
	}
	/* In one thread: the same CPU runs both in turn. */
	while (!done[0] || !done[1]) {
		for (unsigned int i = 0; i < 2; i++) {
			if (done[i])
				continue;
			vcpu_expect(&v[i], HV_EXIT_PIO);
			done[i] = v[i].run->exit.pio.port == PORT_DONE;
		}
	}
}

/* ---- Code that changes ---- */

static GUEST void g_self_modifying(uint64_t address)
{
	volatile uint8_t *code = (volatile uint8_t *)address;
	uint32_t (*call)(void) = (uint32_t(*)(void))address;

	for (uint32_t i = 0; i < 100; i++) {
		/* mov $i, %eax; ret */
		code[0] = 0xb8;
		*(volatile uint32_t *)(code + 1) = i;
		code[5] = 0xc3;
		asm volatile("mfence" : : : "memory");
		G_CHECK_EQ(call(), i);
	}
	/* Changed by the host between two calls, and by the code itself just ahead of it. */
	guest_sync(1);
	G_CHECK_EQ(call(), 0x4711);
	/* movb $0x42, 1(%rip) ahead: becomes mov $0x42, %al */
	static const uint8_t ahead[] = {0xc6, 0x05, 0x04, 0x00, 0x00,
					0x00, 0x42, 0x0f, 0xae, 0xf0, /* mfence */
					0xb8, 0x00, 0x00, 0x00, 0x00, /* mov $0, %eax */
					0xc3};
	for (unsigned int i = 0; i < sizeof(ahead); i++)
		code[i] = ahead[i];
	G_CHECK_EQ(call(), 0x42);
}

static void self_modifying(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_self_modifying, GUEST_FREE + 0xff0);
	vcpu_sync(&v, 1);
	*(uint32_t *)(vm.ram + GUEST_FREE + 0xff1) = 0x4711;
	vcpu_done(&v);
}

/* ---- The memory cgroup ---- */

#define CGROUPS	    "/sys/fs/cgroup"
#define OVER_CGROUP CGROUPS "/over_high"
#define OVER_PAGES  128
#define OWN_MEMORY  (32ul << 20) /* so that the guest's is little beside it, and costs little time */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static void read_file(const char *path, char *text, size_t size)
{
	int fd = (int)CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
	ssize_t n = CHECK_OK(read(fd, text, size - 1));

	text[n] = 0;
	close(fd);
}

static GUEST void g_touch(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		poke8(FAR + 4096 * i, 1);
}

/*
 * A thread that its cgroup's memory.high is to slow down waits for that at its return to user
 * space. So it must return, and not only when its guest does.
 */
static void over_high(void)
{
	unsigned int returns = 0;
	char current[32];
	uint8_t *memory;
	struct vm vm;
	struct vcpu v;

	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	mkdir(OVER_CGROUP, 0755);
	if (!write_file(OVER_CGROUP "/memory.high", "max"))
		test_skip("no memory cgroups");
	CHECK(write_file(OVER_CGROUP "/cgroup.procs", "0"));
	memory = mmap(NULL, OWN_MEMORY, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK(memory != MAP_FAILED);
	vm_long(&vm, &v, g_touch, OVER_PAGES);
	memory = vm_add_slot(&vm, 1, 0, FAR, OVER_PAGES * 4096);
	/* Refused by a kernel that has no huge pages, as with PREEMPT_RT. */
	madvise(memory, OVER_PAGES * 4096, MADV_NOHUGEPAGE);
	read_file(OVER_CGROUP "/memory.current", current, sizeof(current));
	CHECK(write_file(OVER_CGROUP "/memory.high", current));
	while (ioctl(v.fd, HV_RUN, 0)) {
		CHECK_EQ(errno, EINTR);
		CHECK_EQ(v.run->exit_reason, HV_EXIT_SIGNAL);
		CHECK(++returns <= OVER_PAGES);
	}
	CHECK_EQ(v.run->exit_reason, HV_EXIT_PIO);
	CHECK_EQ(memory[(OVER_PAGES - 1) * 4096], 1);
	CHECK(write_file(CGROUPS "/cgroup.procs", "0"));
	CHECK_OK(rmdir(OVER_CGROUP));
	CHECK(returns > 0);
}

static const struct test tests[] = {
	{"slot_edges", slot_edges, 0},
	{"slot_high", slot_high, 0},
	{"slot_change", slot_change, 0},
	{"slot_many", slot_many, 0},
	{"slot_alias", slot_alias, 0},
	{"tables_readonly", tables_readonly, 0},
	{"dontneed", dontneed, 0},
	{"remap", remap, 0},
	{"fork_cow", fork_cow, 0},
	{"fork_guest_writes", fork_guest_writes, 0},
	{"host_protection", host_protection, 0},
	{"host_unmapped", host_unmapped, 0},
	{"host_truncated", host_truncated, 0},
	{"userfault_stopped", userfault_stopped, 0},
	{"numa_balancing", numa_balancing, 0},
	{"over_high", over_high, 0},
	{"large_pages", large_pages, 0},
	{"dontneed_running", dontneed_running, 0},
	{"dontneed_storm", dontneed_storm, 0},
	{"preferred_elsewhere", preferred_elsewhere, 0},
	{"preferred_same_memory", preferred_same_memory, 0},
	{"paging", paging, 0},
	{"tlb_tags", tlb_tags, 0},
	{"self_modifying", self_modifying, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
