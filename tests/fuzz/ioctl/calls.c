// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random calls on systems, VMs, vCPUs and eventfds, most of them valid.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ioctl.h"

/* ---- Calls on /dev/hv ---- */

void system_calls(void)
{
	struct hv_caps caps = {.size = one_in(2) ? sizeof(caps) : (uint32_t)number()};
	struct hv_cpuid_entry entries[HV_MAX_CPUID];
	struct hv_cpuid cpuid = {.count =
					 (uint32_t)(one_in(2) ? HV_MAX_CPUID : below(HV_MAX_CPUID)),
				 .entries = (uintptr_t)entries};
	struct hv_create_vm create = {.size = sizeof(create)};
	int fd = any(SYSTEM);
	struct hv_msr_list list = {.count = (uint32_t)below(HV_MAX_CPUID),
				   .indices = (uintptr_t)entries};

	switch (below(6)) {
	case 0:
		keep(SYSTEM, open("/dev/hv", O_RDWR | O_CLOEXEC));
		break;
	case 1:
		if (caps.size <= sizeof(caps))
			CALL(fd, HV_GET_CAPS, &caps);
		break;
	case 2:
		CALL(fd, HV_GET_CPUID, &cpuid);
		break;
	case 3:
		CALL(fd, HV_GET_MSR_LIST, &list);
		break;
	default:
		if (one_in(8))
			create.tsc_khz = (uint32_t)number();
		if (one_in(8))
			create.flags = (uint32_t)number();
		fd = (int)CALL(fd, HV_CREATE_VM, &create);
		if (fd >= 0 && !one_in(4))
			vm_set_slot(&(struct vm){.fd = fd}, 0, 0, 0, GUEST_RAM, main_vm.ram);
		keep(VM, fd);
	}
}

/* ---- Calls on a VM ---- */

static void set_slot(int fd)
{
	uint64_t page = below(ARENA_PAGES), pages = 1 + below(one_in(4) ? ARENA_PAGES : 16);
	struct hv_slot s = {
		.size = sizeof(s),
		.slot = (uint32_t)(one_in(8) ? number() : below(8)),
		.flags = one_in(8) ? number() : below(2),
		.gpa = one_in(4) ? number() & -PAGE : GUEST_RAM + page * PAGE,
		.len = one_in(3) ? 0 : (pages > ARENA_PAGES - page ? 1 : pages) * PAGE,
		.hva = one_in(8) ? number() : (uintptr_t)arena + page * PAGE,
	};

	if (one_in(4)) {
		s.gpa = 0;
		s.len = GUEST_RAM;
		s.hva = (uintptr_t)main_vm.ram;
	}
	CALL(fd, HV_SET_SLOT, &s);
}

static void bind_event(int fd)
{
	struct hv_irqfd irq = {
		.size = sizeof(irq),
		.flags = (uint32_t)(one_in(8) ? number() : below(2)),
		.fd = any(EVENT),
		.data = (uint32_t)(one_in(8) ? number() : 0x20 + below(0xe0)),
		.addr = 0xfee00000 | below(VCPUS) << 12 | below(2) << 2 | below(2) << 3,
	};
	static const uint32_t widths[] = {0, 1, 2, 4, 8};
	struct hv_ioeventfd io = {
		.size = sizeof(io),
		.flags = (uint32_t)(one_in(8) ? number() : below(8)),
		.fd = any(EVENT),
		.len = (uint32_t)(one_in(8) ? number() : ANY(widths)),
		.addr = one_in(2)   ? 0x80
			: one_in(2) ? number()
				    : GUEST_RAM + 8 * below(64),
		.datamatch = one_in(2) ? below(4) : number(),
	};

	if (one_in(2))
		CALL(fd, HV_IRQFD, &irq);
	else
		CALL(fd, HV_IOEVENTFD, &io);
}

static void signal_msi(int fd)
{
	struct hv_msi msi = {
		.addr = one_in(16) ? number() : 0xfee00000 | (random64() & 0xff00c),
		.data = (uint32_t)(one_in(16) ? number() : random64() & 0xcfff),
	};

	CALL(fd, HV_SIGNAL_MSI, &msi);
}

static void clock_calls(int fd)
{
	struct hv_clock c;

	if (CALL(fd, HV_GET_CLOCK, &c) < 0 || one_in(2))
		return;
	c.ns = one_in(2) ? number() : c.ns;
	c.tsc = one_in(2) ? number() : c.tsc;
	c.tsc_khz = one_in(8) ? (uint32_t)number() : c.tsc_khz;
	c.flags = one_in(2) ? HV_CLOCK_STOPPED : one_in(8) ? (uint32_t)number() : 0;
	c.flags |= one_in(4) ? HV_CLOCK_KEEP : 0;
	CALL(fd, HV_SET_CLOCK, &c);
}

void create_vcpu(int fd)
{
	struct hv_create_vcpu create = {
		.size = sizeof(create),
		.id = (uint32_t)(one_in(8) ? number() : below(VCPUS)),
		.flags = one_in(16) ? number() : 0,
	};

	keep(VCPU, (int)CALL(fd, HV_CREATE_VCPU, &create));
}

/* As many slots, bindings or vCPUs as a VM may have, and more. */
void fill_up(void)
{
	struct hv_create_vm create = {.size = sizeof(create)};
	int fd = (int)CALL(any(SYSTEM), HV_CREATE_VM, &create), last = -1;
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};
	struct hv_ioeventfd io = {.size = sizeof(io), .fd = any(EVENT), .len = 4};
	struct hv_slot slot = {.size = sizeof(slot), .hva = (uintptr_t)arena, .len = PAGE};
	unsigned int what = (unsigned int)below(3);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i <= 2048; i++) {
		long r;

		slot.slot = i;
		slot.gpa = i * PAGE;
		io.addr = i * 8;
		vcpu.id = i;
		if (what == 0) {
			r = CALL(fd, HV_SET_SLOT, &slot);
		} else if (what == 1) {
			r = CALL(fd, HV_IOEVENTFD, &io);
		} else {
			r = CALL(fd, HV_CREATE_VCPU, &vcpu);
			if (r >= 0) {
				close(last);
				last = (int)r;
			}
		}
		if (r < 0)
			break;
		if (i == 2048)
			test_fail("seed %llu: a VM has no limits", (unsigned long long)seed);
	}
	close(fd);
	close(last);
}

void vm_calls(void)
{
	int fd = any(VM);

	switch (below(9)) {
	case 8:
		clock_calls(fd);
		break;
	case 0:
	case 1:
		create_vcpu(fd);
		break;
	case 2:
	case 3:
		set_slot(fd);
		break;
	case 4:
	case 5:
		bind_event(fd);
		break;
	default:
		signal_msi(fd);
	}
}

/* ---- Calls on a vCPU ---- */

static void choose_mode(struct hv_run *run)
{
	unsigned int mode = (unsigned int)below(3);

	run->gprs = modes[mode].gprs;
	run->sregs = modes[mode].sregs;
	run->events = modes[mode].events;
	for (unsigned int i = 0; i < HV_NR_GPRS; i++) {
		if (i != HV_RSP)
			run->gprs.r[i] = number();
	}
	run->gprs.rip = mode == 2 ? below(0x10000) : GUEST_LOW + below(0x10000);
	run->gprs.rflags |= one_in(2) ? FLAG_IF : 0;
	run->gprs.r[HV_RBX] =
		one_in(2) ? GUEST_FREE + below(0x500000) : GUEST_RAM + below(ARENA_PAGES * PAGE);
}

static void run_guest(unsigned int i)
{
	struct hv_run *run = run_page(i);
	int fd = pool[VCPU][i];

	if (one_in(2)) {
		choose_mode(run);
		run->dirty = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	}
	run->wanted = one_in(2) ? HV_REGS_GPR : below(16);
	run->flags = (uint32_t)below(2);
	run->immediate_exit = one_in(8);
	for (unsigned int n = 0; n < 10; n++) {
		if (CALL(fd, HV_RUN, 0) < 0 || run->exit_reason == HV_EXIT_SHUTDOWN ||
		    run->exit_reason == HV_EXIT_ERROR)
			break;
		if (run->exit_reason == HV_EXIT_EMULATE) {
			run->gprs.rip++;
			run->dirty = HV_REGS_GPR;
		} else if (run->exit_reason == HV_EXIT_MMIO) {
			run->exit.mmio.data = number();
		}
	}
}

static uint32_t msr_index(void)
{
	static const uint32_t known[] = {
		G_MSR_TSC,
		G_MSR_APIC_BASE,
		G_MSR_TSC_ADJUST,
		HV_MSR_TSC_OFFSET,
		G_MSR_PAT,
		G_MSR_TSC_DEADLINE,
		G_MSR_WALL_CLOCK,
		G_MSR_EFER,
		G_MSR_SYSTEM_TIME,
		G_MSR_STAR,
		G_MSR_LSTAR,
		G_MSR_SFMASK,
		G_MSR_FS_BASE,
		G_MSR_KERNEL_GS,
		G_MSR_TSC_AUX,
		0x174,
		0x175,
		0x176,
		0x1d9,
		0x2ff,
		0xda0,
	};

	switch (below(4)) {
	case 0:
		return G_MSR_X2APIC + (uint32_t)below(0x40);
	case 1:
		return (uint32_t)number();
	default:
		return ANY(known);
	}
}

static bool may_set_msr(uint32_t index)
{
	return !tcg || (index != G_MSR_EFER && (index < 0x174 || index > 0x176));
}

static void msr_calls(int fd)
{
	struct hv_msr_entry e[8] = {{0}};
	struct hv_msrs msrs = {.count = (uint32_t)(one_in(16) ? number() : below(9)),
			       .entries = one_in(16) ? number() : (uintptr_t)e};
	bool set = one_in(2);

	/* One that says more than there is reads what lies behind, and fails. */
	if (msrs.count > 8)
		msrs.entries = 0;
	for (size_t i = 0; i < ARRAY_SIZE(e); i++) {
		do {
			e[i].index = msr_index();
		} while (set && !may_set_msr(e[i].index));
		e[i].value = e[i].index >= G_MSR_WALL_CLOCK && e[i].index <= G_MSR_SYSTEM_TIME
				     ? (GUEST_FREE + (below(0x1000) & ~3ul)) | one_in(2)
				     : number();
	}
	if (set)
		CALL(fd, HV_SET_MSRS, &msrs);
	else
		CALL(fd, HV_GET_MSRS, &msrs);
}

static void lapic_calls(int fd)
{
	static const uint32_t offsets[] = {
		G_APIC_TPR,	      G_APIC_LDR,	 G_APIC_DFR,	     G_APIC_SVR,
		G_APIC_ISR + 0x10,    G_APIC_IRR + 0x10, G_APIC_LVT_TIMER,   G_APIC_TIMER_INIT,
		G_APIC_TIMER_CURRENT, G_APIC_LVT_LINT0,	 G_APIC_TIMER_DIVIDE};
	struct hv_lapic l;

	if (CALL(fd, HV_GET_LAPIC, &l) < 0 || one_in(3))
		return;
	for (unsigned int n = (unsigned int)below(4); n; n--) {
		uint32_t value = (uint32_t)number(), offset = ANY(offsets);

		memcpy(&l.regs[one_in(8) ? below(1021) : offset], &value, sizeof(value));
	}
	if (one_in(2)) /* the timer, often */
		memcpy(&l.regs[G_APIC_LVT_TIMER], &(uint32_t){0x20030 + (uint32_t)below(2)}, 4);
	if (one_in(4))
		l.tsc_deadline = number();
	if (one_in(4))
		l.errors = (uint32_t)number() & 0xe0;
	CALL(fd, HV_SET_LAPIC, &l);
}

/* Registers in the page, and what is none */
static void apic_calls(int fd)
{
	struct hv_apic_register reg = {.offset = (uint32_t)below(0x40) * 16,
				       .value = (uint32_t)number()};

	if (one_in(16))
		reg.offset = (uint32_t)number();
	if (one_in(2))
		CALL(fd, HV_READ_APIC, &reg);
	else
		CALL(fd, HV_WRITE_APIC, &reg);
}

static void xsave_calls(int fd)
{
	_Alignas(64) uint8_t image[8192] = {0};
	struct hv_xsave x = {.buffer = (uintptr_t)image};

	x.len = one_in(8) ? (uint32_t)below(sizeof(image)) : xsave_size;
	if (xsave_size > sizeof(image) || CALL(fd, HV_GET_XSAVE, &x) < 0)
		return;
	for (unsigned int n = (unsigned int)below(4); n; n--)
		image[below(xsave_size)] = (uint8_t)random64();
	CALL(fd, HV_SET_XSAVE, &x);
}

static void cpuid_calls(int fd)
{
	struct hv_cpuid_entry entries[HV_MAX_CPUID];
	struct hv_cpuid cpuid = {.count = HV_MAX_CPUID, .entries = (uintptr_t)entries};

	if (CALL(any(SYSTEM), HV_GET_CPUID, &cpuid) < 0 || !cpuid.count)
		return;
	if (one_in(2)) {
		struct hv_cpuid_entry *e = &entries[below(cpuid.count)];

		*(&e->eax + below(4)) &= (uint32_t)number();
	}
	if (one_in(4))
		cpuid.count = (uint32_t)below(cpuid.count);
	CALL(fd, HV_SET_CPUID, &cpuid);
}

void vcpu_calls(void)
{
	unsigned int i = (unsigned int)below(POOL);
	int fd = pool[VCPU][i];
	void *p;

	switch (below(16)) {
	case 0:
		CALL(fd, HV_GET_REGS, one_in(8) ? number() : below(16));
		break;
	case 1:
		if (one_in(2))
			choose_mode(run_page(i));
		CALL(fd, HV_SET_REGS,
		     (one_in(8) ? number() : below(16)) & (tcg ? ~HV_REGS_DREGS : ~0ull));
		break;
	case 2:
		cpuid_calls(fd);
		break;
	case 3:
	case 4:
		msr_calls(fd);
		break;
	case 5:
		xsave_calls(fd);
		break;
	case 6:
		lapic_calls(fd);
		break;
	case 7:
		apic_calls(fd);
		break;
	case 8:
		if (one_in(8))
			CALL(fd, HV_RESET, one_in(8) ? number() : 0);
		else
			CALL(fd, HV_NMI, one_in(8) ? number() : 0);
		break;
	case 9: /* a second view of the run page */
		p = mmap(NULL, PAGE, PROT_READ, one_in(8) ? MAP_PRIVATE : MAP_SHARED, fd,
			 one_in(8) ? (long)PAGE : 0);
		if (p == MAP_FAILED)
			break;
		mprotect(p, PAGE, (int)below(8));
		madvise(p, PAGE, MADV_DONTNEED);
		munmap(p, PAGE);
		break;
	default:
		run_guest(i);
	}
}

/* ---- What no call allows, and any descriptor ---- */

void odd_calls(void)
{
	int fd = any((enum kind)below(KINDS));
	char byte;

	switch (below(6)) {
	case 0: /* unknown calls, none of which may be one of another driver's at a reused number */
		CALL(fd, _IO(HV_IOC, 0x60 + below(64)), number());
		break;
	case 1: /* the calls of another descriptor, or a bad pointer; DREGS are QEMU's, above */
		CALL(fd,
		     ANY(((const unsigned long[]){HV_GET_CAPS, HV_GET_CPUID, HV_SET_SLOT, HV_IRQFD,
						  HV_SIGNAL_MSI, HV_SET_CPUID, HV_GET_MSRS,
						  HV_SET_MSRS, HV_GET_LAPIC, HV_SET_LAPIC,
						  HV_READ_APIC, HV_WRITE_APIC, HV_RESET})),
		     one_in(2) ? 0 : PAGE);
		break;
	case 2:
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0);
		break;
	case 3:
		if (read(any(SYSTEM), &byte, 1) > 0 || pread(any(VM), &byte, 1, 0) > 0)
			test_fail("seed %llu: a descriptor can be read", (unsigned long long)seed);
		break;
	case 4: /* a second number, of which each lives alone */
		keep(VM, fcntl(any(VM), F_DUPFD_CLOEXEC, 3));
		break;
	default:
		keep(EVENT, eventfd((unsigned int)below(2), EFD_CLOEXEC | EFD_NONBLOCK));
	}
}

void signal_event(void)
{
	uint64_t one = 1;

	/* A number that has come back as a pipe or terminal is not among those that are closed here. */
	if (write(any(EVENT), &one, sizeof(one)) < 0)
		may_fail("write", errno == EAGAIN ? 0 : -1);
}

void close_something(void)
{
	enum kind kind = (enum kind)below(KINDS);
	int fd;

	if (kind == SYSTEM && !one_in(4))
		return;
	fd = atomic_exchange(&pool[kind][below(POOL)], -1);
	if (fd >= 0)
		close(fd);
}

/*
 * Another process has the descriptors, but not the memory: it may close them, at a time of its own, and
 * nothing else.
 */
void fork_process(void)
{
	pid_t pid = fork();

	if (pid > 0) {
		waitpid(pid, NULL, one_in(2) ? WNOHANG : 0);
		return;
	}
	if (pid < 0)
		return;
	/* Descriptors may have become other things meanwhile: those give ENOTTY, or EBADF when closed. */
	for (unsigned int i = 0; i < POOL; i++) {
		if (ioctl(pool[VCPU][i], HV_RUN, 0) == 0)
			test_fail("seed %llu: HV_RUN in another process", (unsigned long long)seed);
		if (pool[VM][i] >= 0 && ioctl(pool[VM][i], HV_SET_SLOT, 0) < 0 && errno != EIO &&
		    errno != ENOTTY && errno != EBADF)
			test_fail("seed %llu: HV_SET_SLOT in another process: %s",
				  (unsigned long long)seed, strerror(errno));
	}
	if (one_in(2))
		sleep_ns(below(20) * MSEC);
	_exit(0);
}
