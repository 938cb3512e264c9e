// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's processors: which of them hv takes, and when, and whom its callers
 * interrupt. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

/* ---- Whom callers interrupt ---- */

/* Calls of functions that CPU 1 was made to make. */
static uint64_t calls(void)
{
	return host_interrupts("CAL", 1);
}

/*
 * How often another processor, on which a program of its own runs, is interrupted by this. What is hv's
 * comes each time; a kernel's own, as where freed addresses are flushed, come in bursts of some
 * fifty (seen on 7.2, of VMs that were neither the first nor the last). Hence limits of half of what
 * would be hv's.
 */
static uint64_t interruptions(void (*call)(void))
{
	uint64_t before;
	pid_t pid;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one processor");
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		bind_to_cpu(1);
		for (;;)
			asm volatile("");
	}
	bind_to_cpu(0);
	sleep_ns(200 * MSEC);
	before = calls();
	for (unsigned int i = 0; i < 200; i++)
		call();
	before = calls() - before;
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	return before;
}

static struct vm quiet_vm;

static void add_and_delete(void)
{
	vm_add_slot(&quiet_vm, 0, 0, 0, 0x1000);
	CHECK_OK(vm_set_slot(&quiet_vm, 0, 0, 0, 0, NULL));
}

/* Who deletes slots waits for his own vCPUs, and bothers no processor that runs none. */
static void slots_elsewhere(void)
{
	uint64_t n;

	vm_bare(&quiet_vm);
	n = interruptions(add_and_delete);
	if (n > 200 / 2)
		test_fail("200 deletions, and %llu interrupts elsewhere", (unsigned long long)n);
}

static GUEST void g_nothing(uint64_t arg)
{
	(void)arg;
}

/* A VM whose guest runs here. */
static void create_and_run(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_nothing, 0);
	vcpu_done(&v);
	vcpu_close(&v);
	vm_close(&vm);
}

/*
 * The first VM takes the processor's virtualisation, and the last gives it back, where guests run. What
 * else a VM's life interrupts is the kernel's (a debug kernel's threads and freed pages do): it is
 * counted beside another VM, where none is the first or the last.
 */
static void vms_elsewhere(void)
{
	uint64_t n, others;
	struct vm vm;

	vm_bare(&vm);
	others = interruptions(create_and_run);
	vm_close(&vm);
	n = interruptions(create_and_run);
	if (n > others + 2 * 200 / 2)
		test_fail("200 VMs, and %llu interrupts elsewhere; beside another VM %llu",
			  (unsigned long long)n, (unsigned long long)others);
}

static volatile uint64_t turns;

static GUEST void g_stay(uint64_t arg)
{
	(void)arg;
	guest_sync(1);
	for (;;)
		turns++;
}

/* Until the guest runs, and not only its thread: a host that emulates processors in turns may be slow to. */
static void wait_for_turns(struct vm *vm)
{
	uint64_t seen = guest_var(vm, turns);

	do
		sleep_ns(MSEC);
	while (guest_var(vm, turns) == seen);
}

/* Who changes doorbells does not wait for a guest's next exit, or for its processor's next tick. */
static void changes_kick(void)
{
	struct hv_ioeventfd bell = {
		.size = sizeof(bell), .flags = HV_IOEVENTFD_PIO, .addr = 0x600, .len = 2};
	struct runner r;
	struct vcpu v;
	cpu_set_t second;
	uint64_t before, kicks;
	struct vm vm;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one processor");
	bell.fd = (int)CHECK_OK(eventfd(0, EFD_CLOEXEC));
	vm_long(&vm, &v, g_stay, 0);
	vcpu_interruptible(&v);
	vcpu_sync(&v, 1);
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	bind_to_cpu(0);
	runner_start(&r, &v);
	CHECK_EQ(pthread_setaffinity_np(r.thread, sizeof(second), &second), 0);
	before = host_interrupts("RES", 1);
	for (unsigned int i = 0; i < 100; i++) {
		wait_for_turns(&vm);
		CHECK_OK(ioctl(vm.fd, HV_IOEVENTFD, &bell));
		bell.flags ^= HV_IOEVENTFD_DEASSIGN;
	}
	kicks = host_interrupts("RES", 1) - before;
	runner_stop(&r);
	runner_join(&r);
	/* But for those that came while the guest was outside for another reason. */
	if (kicks < 100 / 2)
		test_fail("100 changes, and %llu kicks", (unsigned long long)kicks);
}

/* ---- Which processors are taken ---- */

#define MSR_EFER 0xc0000080

/* The register of that processor, by the kernel's module msr. */
static int open_efer(int cpu)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	return open(path, O_RDWR | O_CLOEXEC);
}

static bool is_taken(int cpu)
{
	int fd = (int)CHECK_OK(open_efer(cpu));
	uint64_t efer;

	CHECK_EQ(pread(fd, &efer, sizeof(efer), MSR_EFER), sizeof(efer));
	close(fd);
	return efer & EFER_SVME;
}

/* As another hypervisor would. */
static void take(int cpu, bool on)
{
	int fd = (int)CHECK_OK(open_efer(cpu));
	uint64_t efer;

	CHECK_EQ(pread(fd, &efer, sizeof(efer), MSR_EFER), sizeof(efer));
	efer = on ? efer | EFER_SVME : efer & ~EFER_SVME;
	CHECK_EQ(pwrite(fd, &efer, sizeof(efer), MSR_EFER), sizeof(efer));
	close(fd);
}

static void need_two_with_efer(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one processor");
	if (host_is_vmx())
		test_skip("CR4 cannot be looked at");
	if (system("modprobe msr allow_writes=on 2>/dev/null") || access("/dev/cpu/1/msr", F_OK))
		test_skip("the kernel's module msr is not here");
}

static GUEST void g_steps(uint64_t arg)
{
	(void)arg;
	for (uint32_t i = 1;; i++)
		guest_sync(i);
}

/* Where the first VM was created, and where guests have run; until the last VM ends. */
static void taken_where_used(void)
{
	struct vm vm;
	struct vcpu v;

	need_two_with_efer();
	bind_to_cpu(0);
	vm_long(&vm, &v, g_steps, 0);
	CHECK(is_taken(0));
	vcpu_sync(&v, 1);
	CHECK(!is_taken(1));
	bind_to_cpu(1);
	vcpu_sync(&v, 2);
	CHECK(is_taken(0));
	CHECK(is_taken(1));
	vcpu_close(&v);
	CHECK(is_taken(1));
	vm_close(&vm);
	CHECK(!is_taken(0));
	CHECK(!is_taken(1));
}

/* A processor that another hypervisor has is refused, and may be used when that is gone. */
static void taken_by_another(void)
{
	struct hv_create_vm create = {.size = sizeof(create)};
	struct vm vm;
	struct vcpu v;

	need_two_with_efer();
	bind_to_cpu(1);
	take(1, true);
	CHECK_ERRNO(ioctl(hv_open(), HV_CREATE_VM, &create), EBUSY);
	bind_to_cpu(0);
	vm_long(&vm, &v, g_steps, 0);
	vcpu_sync(&v, 1);
	bind_to_cpu(1);
	CHECK_ERRNO(vcpu_try_run(&v), EBUSY);
	CHECK(is_taken(1));
	bind_to_cpu(0);
	vcpu_sync(&v, 2);
	take(1, false);
	bind_to_cpu(1);
	vcpu_sync(&v, 3);
	vcpu_close(&v);
	vm_close(&vm);
	CHECK(!is_taken(1));
}

static void set_online(int cpu, bool on)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		test_skip("processor %d cannot be taken away", cpu);
	CHECK_EQ(write(fd, on ? "1" : "0", 1), 1);
	close(fd);
}

/* One processor is always taken while there is a VM, so that nobody else takes the others. */
static void taken_one_goes(void)
{
	struct vm vm;
	struct vcpu v;

	need_two_with_efer();
	bind_to_cpu(1);
	vm_long(&vm, &v, g_steps, 0);
	CHECK(!is_taken(0));
	set_online(1, false);
	CHECK(is_taken(0));
	vcpu_sync(&v, 1);
	set_online(1, true);
	CHECK(!is_taken(1));
	bind_to_cpu(1);
	vcpu_sync(&v, 2);
	CHECK(is_taken(1));
	vcpu_close(&v);
	vm_close(&vm);
	CHECK(!is_taken(0));
	CHECK(!is_taken(1));
}

/* ---- KVM comes while a VM of ours exists: where hv holds a processor for its stays alone ---- */

#define KVM_CREATE_VM _IO(0xae, 0x01)

/* A VM of KVM's, which holds all processors as long as it exists. */
static int kvm_take(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		test_skip("no KVM");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		test_skip("KVM cannot take the processor");
	close(kvm);
	return vm;
}

static volatile uint32_t ap_started;

static GUEST void g_kvm_ap(uint64_t arg)
{
	(void)arg;
	ap_started = 1;
}

static GUEST void g_kvm_bsp(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_apic_send(1, 0x4600 | GUEST_LOW >> 12);
	while (!ap_started)
		guest_pause();
}

/* An INIT waits for KVM to go; kicks meanwhile do not make it give up. */
static void kvm_before_init(void)
{
	struct hv_msi init = {.addr = 0xfee01000, .data = 0x4500};
	struct vcpu v, ap;
	pthread_t thread;
	struct vm vm;
	int kvm;

	vm_long(&vm, &v, g_kvm_bsp, 0);
	vm_load_start16(&vm, GUEST_LOW, 2, g_kvm_ap);
	vcpu_init(&ap, &vm, 1);
	thread = vcpu_start(&ap);
	sleep_ns(50 * MSEC);
	kvm = kvm_take();
	CHECK_EQ(ioctl(vm.fd, HV_SIGNAL_MSI, &init), 1);
	for (unsigned int i = 0; i < 20; i++) {
		sleep_ns(5 * MSEC);
		vm_msi(&vm, 1, 0x51);
	}
	close(kvm);
	vcpu_done(&v);
	vcpu_join(thread);
}

/* Calls that need the processor do not wait for it, and do nothing. */
static void kvm_before_calls(void)
{
	struct hv_create_vcpu more = {.size = sizeof(more), .id = 1};
	struct vcpu v;
	struct vm vm;
	int kvm;

	vm_long(&vm, &v, g_steps, 0);
	kvm = kvm_take();
	CHECK_ERRNO(ioctl(v.fd, HV_GET_REGS, HV_REGS_ALL), EBUSY);
	CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_ALL), EBUSY);
	CHECK_ERRNO(ioctl(vm.fd, HV_CREATE_VCPU, &more), EBUSY);
	CHECK_ERRNO(vcpu_try_run(&v), EBUSY);
	close(kvm);
	vcpu_get(&v, HV_REGS_ALL);
	vcpu_sync(&v, 1);
	CHECK_OK(ioctl(vm.fd, HV_CREATE_VCPU, &more));
}

static const struct test tests[] = {
	{"slots_elsewhere", slots_elsewhere, 0},   {"vms_elsewhere", vms_elsewhere, 120},
	{"changes_kick", changes_kick, 0},	   {"taken_where_used", taken_where_used, 0},
	{"taken_by_another", taken_by_another, 0}, {"taken_one_goes", taken_one_goes, 0},
	{"kvm_before_init", kvm_before_init, 60},  {"kvm_before_calls", kvm_before_calls, 60},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
