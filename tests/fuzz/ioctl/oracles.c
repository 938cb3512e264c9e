// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The oracles of the fuzzer: what hv promises is asked of VMs of the asking thread's own, while everything
 * else goes on.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ioctl.h"

struct quiet_vm {
	int fd, vcpu[VCPUS];
};

/* A VM of this thread's alone; false when that is not possible, in bad weather. */
static bool quiet_vm(struct quiet_vm *q)
{
	struct hv_create_vm create = {.size = sizeof(create)};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};
	int fd = open("/dev/hv", O_RDWR | O_CLOEXEC);
	unsigned int i;

	q->fd = ioctl(fd, HV_CREATE_VM, &create);
	for (i = 0; i < VCPUS; i++) {
		vcpu.id = i;
		q->vcpu[i] = ioctl(q->fd, HV_CREATE_VCPU, &vcpu);
	}
	close(fd);
	for (i = 0; i < VCPUS && q->vcpu[i] >= 0; i++)
		;
	return i == VCPUS;
}

static void quiet_end(struct quiet_vm *q)
{
	for (unsigned int i = 0; i < VCPUS; i++)
		close(q->vcpu[i]);
	close(q->fd);
}

static uint32_t *apic_reg(struct hv_lapic *l, uint32_t offset)
{
	return (uint32_t *)(l->regs + offset);
}

/*
 * A message that n APICs accepted is in the IRR of n APICs, and all of these are enabled; and where an
 * enabled one was meant, it was accepted.
 */
void messages_arrive(void)
{
	struct quiet_vm q;
	struct hv_lapic l;
	uint32_t vector = 0x20 + (uint32_t)below(0xe0), lowest = (uint32_t)below(2),
		 dest = 1 + (uint32_t)below(15);
	struct hv_msi msi = {.addr = 0xfee00004 | dest << 12, .data = vector | lowest << 8};
	unsigned int meant = 0, arrived = 0, irr = G_APIC_IRR + 0x10 * (vector / 32);
	int accepted;

	if (quiet_vm(&q)) {
		for (unsigned int i = 0; i < VCPUS; i++) {
			bool on = one_in(2);

			if (ioctl(q.vcpu[i], HV_GET_LAPIC, &l))
				goto out;
			*apic_reg(&l, G_APIC_SVR) = on ? 0x1ff : 0xff;
			*apic_reg(&l, G_APIC_LDR) = 1u << (24 + i);
			*apic_reg(&l, G_APIC_DFR) = 0xffffffff;
			if (ioctl(q.vcpu[i], HV_SET_LAPIC, &l))
				goto out;
			meant += on && dest >> i & 1;
		}
		accepted = ioctl(q.fd, HV_SIGNAL_MSI, &msi);
		for (unsigned int i = 0; i < VCPUS; i++) {
			if (ioctl(q.vcpu[i], HV_GET_LAPIC, &l))
				goto out;
			if (!(*apic_reg(&l, irr) >> vector % 32 & 1))
				continue;
			arrived++;
			if (!(*apic_reg(&l, G_APIC_SVR) & 0x100))
				test_fail("seed %llu: a disabled APIC took a message",
					  (unsigned long long)seed);
		}
		if (accepted != (int)arrived || arrived != (lowest && meant ? 1 : meant))
			test_fail(
				"seed %llu: of a %s message to %u enabled APICs %d were said to accept it, %u did",
				(unsigned long long)seed, lowest ? "lowest-priority" : "fixed",
				meant, accepted, arrived);
	}
out:
	quiet_end(&q);
}

/* At ADDRESS: OUT to port 0x80, for ever. */
static const uint8_t out_for_ever[] = {0xe6, 0x80, 0xeb, 0xfc};
#define CLOCK_CODE 0x1000
#define CLOCK_PAGE 0x8000

/*
 * The guest's clock is written even if its page could not be written when the guest asked for it, wherever
 * in the page it is; and in the end its version says that it is not being written.
 */
void clock_comes(void)
{
	static const uint32_t offsets[] = {0, 0x20, 0x400, 0xfc0, 0xfe0};
	uint32_t offset = ANY(offsets);
	struct quiet_vm q;
	struct hv_msr_entry e = {.index = G_MSR_SYSTEM_TIME, .value = (CLOCK_PAGE + offset) | 1};
	struct hv_msrs msrs = {.count = 1, .entries = (uintptr_t)&e};
	uint8_t *ram =
		mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hv_run *run = MAP_FAILED;
	volatile uint32_t *version;
	bool ran;

	if (ram == MAP_FAILED)
		return;
	version = (volatile uint32_t *)(ram + CLOCK_PAGE + offset);
	memcpy(ram + CLOCK_CODE, out_for_ever, sizeof(out_for_ever));
	*(volatile uint8_t *)(ram + CLOCK_PAGE) = 0;
	if (quiet_vm(&q) && vm_set_slot(&(struct vm){.fd = q.fd}, 0, 0, 0, 0x10000, ram) == 0)
		run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, q.vcpu[0], 0);
	if (run == MAP_FAILED)
		goto out;
	run->gprs = modes[2].gprs;
	run->sregs = modes[2].sregs;
	run->events = modes[2].events;
	run->gprs.rip = CLOCK_CODE;
	run->sregs.cs.base = run->sregs.cs.selector = 0;
	run->dirty = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	if (ioctl(q.vcpu[0], HV_SET_MSRS, &msrs) != 1)
		goto out;
	/* Away, or read-only, or there. */
	mprotect(ram + CLOCK_PAGE, PAGE,
		 ANY(((const int[]){PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE})));
	ran = ioctl(q.vcpu[0], HV_RUN, 0) == 0 && run->exit_reason == HV_EXIT_PIO;
	/* Even that may need memory. */
	if (mprotect(ram + CLOCK_PAGE, PAGE, PROT_READ | PROT_WRITE))
		goto out;
	for (unsigned int i = 0; ran && i < 100; i++) {
		if (ioctl(q.vcpu[0], HV_RUN, 0) == 0 && *version && !(*version & 1))
			goto out;
		sleep_ns(MSEC);
	}
	if (ran)
		test_fail("seed %llu: the clock at offset %#x of its page has version %u",
			  (unsigned long long)seed, offset, *version);
out:
	if (run != MAP_FAILED)
		munmap(run, PAGE);
	quiet_end(&q);
	munmap(ram, 0x10000);
}

/*
 * Timers of vCPUs that nobody runs cost the host nothing. With nothing else running it has its ticks, a
 * thousand for each processor and second at most; 20000 a second for each vCPU would be the guests'.
 */
void idle_timers_cost_nothing(void)
{
	struct quiet_vm q;
	struct hv_lapic l;
	uint64_t start, begin, count, most;

	if (!quiet_vm(&q))
		goto out;
	for (unsigned int i = 0; i < VCPUS; i++) {
		if (ioctl(q.vcpu[i], HV_GET_LAPIC, &l))
			goto out;
		*apic_reg(&l, G_APIC_SVR) = 0x1ff;
		*apic_reg(&l, G_APIC_LVT_TIMER) = 0x20030 | (one_in(2) ? 0x10000 : 0);
		*apic_reg(&l, G_APIC_TIMER_DIVIDE) = 0xb;
		*apic_reg(&l, G_APIC_TIMER_INIT) = *apic_reg(&l, G_APIC_TIMER_CURRENT) =
			1 + (uint32_t)below(100);
		if (ioctl(q.vcpu[i], HV_SET_LAPIC, &l))
			goto out;
	}
	begin = host_interrupts("LOC", -1);
	start = now_ns();
	sleep_ns(100 * MSEC);
	count = host_interrupts("LOC", -1) - begin;
	most = 200 + (now_ns() - start) / MSEC * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 2;
	if (count > most)
		test_fail(
			"seed %llu: %llu timer interrupts for vCPUs that nobody runs, %llu at most",
			(unsigned long long)seed, (unsigned long long)count,
			(unsigned long long)most);
out:
	quiet_end(&q);
}
