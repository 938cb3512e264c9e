// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every allocation fails once: of a VM's creation, of its slots, bindings and vCPUs, of a run and of the
 * end, the first, then the second, and so on, until none is left to fail. Each time the call says ENOMEM,
 * nothing warns, and the next try works; what is lost, kmemleak tells when the host ends. Needs a kernel
 * that injects faults, as that of "make check-debug"; skipped on others.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define DEBUGFS "/sys/kernel/debug/"

static int fail_nth = -1;

static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		test_fail("%s: %s", path, strerror(errno));
	close(fd);
}

/* Allocations that may wait fail as well, and those of single pages; other tasks' do not. */
static void failures_init(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || access(DEBUGFS "failslab", F_OK) ||
	    access(DEBUGFS "fail_page_alloc", F_OK))
		test_skip("the kernel injects no faults");
	set(DEBUGFS "failslab/ignore-gfp-wait", "N");
	set(DEBUGFS "failslab/verbose", "0");
	set(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	set(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	set(DEBUGFS "fail_page_alloc/min-order", "0");
	set(DEBUGFS "fail_page_alloc/verbose", "0");
	if (access(DEBUGFS "fail_usercopy", F_OK) == 0)
		set(DEBUGFS "fail_usercopy/verbose", "0");
}

/*
 * The nth allocation of this thread, or copy from or to its memory, from here on fails; 0: none. To say so
 * is a copy, too, which may be the one.
 */
static void fail_at(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	while (pwrite(fail_nth, text, (size_t)len, 0) != len)
		CHECK_EQ(errno, EFAULT);
}

/* How many more it would have taken until one failed; 0: it has. Asking is the next one. */
static unsigned int left_over(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) > 0)
		return (unsigned int)strtoul(text, NULL, 10);
	CHECK_EQ(errno, EFAULT);
	return 1;
}

/*
 * Make a call with its first allocation failing, then its second, until it has no more, and once without.
 * It returns 0 or more, or fails as it may; undo makes it possible again. Yields how many could fail.
 */
static unsigned int fail_each(const char *what, int (*call)(void), void (*undo)(int))
{
	unsigned int failed = 0;

	for (unsigned int nth = 1;; nth++) {
		unsigned int left;
		int result, error;

		fail_at(nth);
		result = call();
		error = errno;
		left = left_over();
		fail_at(0);
		if (left) {
			/* What the kernel can do without may have failed meanwhile. */
			if (result < 0)
				test_fail("%s: %s, and nothing had failed", what, strerror(error));
			undo(result);
			break;
		}
		if (result >= 0) {
			undo(result);
			continue;
		}
		failed++;
		if (error != ENOMEM && error != EFAULT)
			test_fail("%s: with allocation %u failing: %s", what, nth, strerror(error));
		result = call();
		if (result < 0)
			test_fail("%s: after allocation %u failed: %s", what, nth, strerror(errno));
		undo(result);
	}
	printf("# %s: %u failures\n", what, failed);
	if (!failed)
		test_fail("%s: nothing failed", what);
	return failed;
}

/* ---- The calls ---- */

static int system_fd;
static struct vm vm;
static struct vcpu vcpu;

static int create_vm(void)
{
	struct hv_create_vm create = {.size = sizeof(create)};

	return ioctl(system_fd, HV_CREATE_VM, &create);
}

static void undo_close(int fd)
{
	close(fd);
}

/* The first VM of the host turns virtualisation on, with what that needs; the last turns it off. */
static void first_vm(void)
{
	failures_init();
	system_fd = hv_open();
	fail_each("first VM", create_vm, undo_close);
}

static void further_vm(void)
{
	failures_init();
	system_fd = hv_open();
	vm_bare(&vm);
	fail_each("further VM", create_vm, undo_close);
}

static int create_vcpu(void)
{
	struct hv_create_vcpu create = {.size = sizeof(create), .id = 1};

	return ioctl(vm.fd, HV_CREATE_VCPU, &create);
}

/* A vCPU's id is taken for good, so each try is in a VM of its own. */
static void undo_vcpu(int fd)
{
	close(fd);
	close(vm.fd);
	vm_bare(&vm);
}

static void new_vcpu(void)
{
	failures_init();
	vm_bare(&vm);
	fail_each("vCPU", create_vcpu, undo_vcpu);
}

#define FAR 0x40000000ul
static uint8_t *memory;

static int add_slot(void)
{
	return vm_set_slot(&vm, 1, 0, FAR, 0x10000, memory);
}

static void delete_slot(int result)
{
	(void)result;
	CHECK_OK(vm_set_slot(&vm, 1, 0, 0, 0, NULL));
}

static void new_slot(void)
{
	failures_init();
	vm_init(&vm);
	memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fail_each("slot", add_slot, delete_slot);
}

static int remove_slot(void)
{
	return vm_set_slot(&vm, 1, 0, 0, 0, NULL);
}

static void put_slot_back(int result)
{
	(void)result;
	CHECK_OK(add_slot());
}

/* With a failure the slot is still there; that it is to be put back says so. */
static void slot_deleted(void)
{
	failures_init();
	vm_init(&vm);
	memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(add_slot());
	fail_each("deletion of a slot", remove_slot, put_slot_back);
}

static int event;

static int bind_port(uint32_t flags)
{
	struct hv_ioeventfd io = {
		.size = sizeof(io),
		.fd = event,
		.flags = HV_IOEVENTFD_PIO | flags,
		.addr = 0x500,
		.len = 4,
	};

	return ioctl(vm.fd, HV_IOEVENTFD, &io);
}

static int bind_doorbell(void)
{
	return bind_port(0);
}

static void undo_doorbell(int result)
{
	(void)result;
	CHECK_OK(bind_port(HV_IOEVENTFD_DEASSIGN));
}

static int bind_message(uint32_t flags)
{
	struct hv_irqfd irq = {
		.size = sizeof(irq),
		.flags = flags,
		.fd = event,
		.data = 0x40,
		.addr = 0xfee00000,
	};

	return ioctl(vm.fd, HV_IRQFD, &irq);
}

static int bind_irq(void)
{
	return bind_message(0);
}

static void undo_irq(int result)
{
	(void)result;
	CHECK_OK(bind_message(HV_IRQFD_DEASSIGN));
}

static void bindings(void)
{
	failures_init();
	vm_bare(&vm);
	event = (int)CHECK_OK(eventfd(0, EFD_CLOEXEC));
	fail_each("doorbell", bind_doorbell, undo_doorbell);
	fail_each("irqfd", bind_irq, undo_irq);
}

/* In long mode: writes to memory that it has not touched yet, with a stop behind it. */
static GUEST void g_touch(uint64_t gpa)
{
	for (;;) {
		*(volatile uint64_t *)gpa = 1;
		outl(PORT_SYNC, 1);
	}
}

static int run(void)
{
	int result = vcpu_try_run(&vcpu);

	if (result == 0 && vcpu.run->exit_reason != HV_EXIT_PIO)
		test_fail("the guest's end: %s", vcpu_describe(&vcpu));
	return result;
}

/* It asks for its clock to be written, again and again. */
static GUEST void g_clock(uint64_t gpa)
{
	for (;;) {
		wrmsr(G_MSR_SYSTEM_TIME, gpa | 1);
		outl(PORT_SYNC, 1);
	}
}

/* Whatever fails on the way: when the guest goes on it has been written, and wholly. */
static void clock_written(void)
{
	volatile uint32_t *version;
	uint32_t last = 0;

	failures_init();
	vm_long(&vm, &vcpu, g_clock, GUEST_FREE);
	version = &guest_at(&vm, uint32_t, GUEST_FREE);
	for (unsigned int nth = 1, left = 0; !left; nth++) {
		fail_at(nth);
		while (run() < 0)
			CHECK(errno == ENOMEM);
		left = left_over();
		fail_at(0);
		CHECK(!(*version & 1));
		CHECK(*version > last);
		last = *version;
	}
}

/* The next run is a first run again: a new guest. */
static void new_guest(int result)
{
	(void)result;
	vcpu_close(&vcpu);
	vm_close(&vm);
	vm_long(&vm, &vcpu, g_touch, GUEST_FREE);
}

static void first_run(void)
{
	failures_init();
	vm_long(&vm, &vcpu, g_touch, GUEST_FREE);
	fail_each("run", run, new_guest);
}

static uint32_t xsave_size;

static int copies(void)
{
	struct hv_cpuid_entry entries[HV_MAX_CPUID];
	struct hv_cpuid cpuid = {.count = HV_MAX_CPUID, .entries = (uintptr_t)entries};
	static _Alignas(64) uint8_t image[8192];
	struct hv_xsave xsave = {.buffer = (uintptr_t)image, .len = xsave_size};
	struct hv_lapic lapic;

	CHECK(xsave_size <= sizeof(image));
	if (ioctl(system_fd, HV_GET_CPUID, &cpuid) || ioctl(vcpu.fd, HV_SET_CPUID, &cpuid) ||
	    ioctl(vcpu.fd, HV_GET_XSAVE, &xsave) || ioctl(vcpu.fd, HV_SET_XSAVE, &xsave) ||
	    ioctl(vcpu.fd, HV_GET_LAPIC, &lapic) || ioctl(vcpu.fd, HV_SET_LAPIC, &lapic))
		return -1;
	return 0;
}

static void undo_nothing(int result)
{
	(void)result;
}

static void state_copies(void)
{
	failures_init();
	system_fd = hv_open();
	xsave_size = hv_caps().xsave_size;
	vm_bare(&vm);
	vcpu_init(&vcpu, &vm, 0);
	fail_each("state", copies, undo_nothing);
}

/* The end of a VM that has run needs no memory: it cannot fail. */
static void the_end(void)
{
	failures_init();
	vm_long(&vm, &vcpu, g_touch, GUEST_FREE);
	CHECK_EQ(run(), 0);
	CHECK_OK(munmap(vcpu.run, sizeof(*vcpu.run)));
	fail_at(1);
	close(vcpu.fd);
	close(vm.fd);
	CHECK_EQ(left_over(), 1);
	fail_at(0);
}

static const struct test tests[] = {
	{"first_vm", first_vm, 120},	       {"further_vm", further_vm, 120},
	{"new_vcpu", new_vcpu, 120},	       {"new_slot", new_slot, 120},
	{"slot_deleted", slot_deleted, 120},   {"bindings", bindings, 120},
	{"first_run", first_run, 240},	       {"state_copies", state_copies, 120},
	{"clock_written", clock_written, 120}, {"the_end", the_end, 120},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
