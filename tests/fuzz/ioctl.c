// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random calls on /dev/hv, mostly valid ones: several threads share systems, VMs, vCPUs and eventfds, run
 * guests of random code, change the memory below them, scribble on run pages, fork, close whatever they
 * like, and are interrupted by signals; and every round has its own weather: allocations that fail, a
 * memory cgroup at its limit, swapping, userfaultfd, pages that break, processors that go, a machine that
 * sleeps, KVM that comes, as far as the host's kernel has it. What hv promises is asked on the way (the
 * oracles below); the rest is for the kernel's log to tell.
 *
 * usage: ioctl [SEED]
 *
 * FUZZ_SECONDS in the environment says how long (30); FUZZ_KNOWN=1 asks for what hv is known not to keep,
 * too (docs/gaps.md). Each round is a process with a seed of its own, which is printed; SEED runs that
 * round, again and again. What each thread does follows from the seed, how they meet does not. Run in the
 * test host by "make check" and "make check-debug".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define WORKERS	    4
#define CALLS	    400 /* of each worker, in a round */
#define POOL	    16	/* descriptors of each kind that are open at once */
#define VCPUS	    4	/* of the VM that each round begins with */
#define ARENA_PAGES 1024
#define PAGE	    4096ul

/* The kernel's headers have it, libc's not. */
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static uint64_t seed;
static bool tcg, ask_known;
static uint32_t xsave_size;

static uint64_t below(uint64_t n)
{
	return random64() % n;
}

static bool one_in(uint64_t n)
{
	return below(n) == 0;
}

#define ANY(array) ((array)[below(ARRAY_SIZE(array))])

/* A number at which something changes, or any. */
static uint64_t number(void)
{
	static const uint64_t edges[] = {
		0,	    1,		2,	     3,		 7,	8,	    15,
		16,	    31,		63,	     64,	 65,	127,	    128,
		255,	    256,	511,	     512,	 4095,	4096,	    4097,
		0x7fffffff, 1u << 31,	0xffffffff,  1ull << 32, ~0ull, 1ull << 63, 0xfee00000,
		0xfee00fe0, 0xfeeff000, ~0ull << 47,
	};

	switch (below(4)) {
	case 0:
		return random64() >> below(64);
	case 1:
		return 1ull << below(64);
	default:
		return ANY(edges) + (one_in(4) ? below(3) - 1 : 0);
	}
}

/* ---- What a round has to work with ---- */

enum kind {
	SYSTEM,
	VM,
	VCPU,
	EVENT,
	KINDS
};

/* Other threads may close a descriptor, and its number may come back as something else's: so be it. */
static _Atomic int pool[KINDS][POOL];
/* The run page of each vCPU in the pool, or plain memory. */
static uint8_t *run_pages;
static struct vm main_vm;
static uint8_t *arena; /* memory for further slots */
/* States of vCPUs that can run: long mode, protected mode, real mode. */
static struct hv_run modes[3];
static pthread_t workers[WORKERS];
static _Atomic unsigned int working;

static int any(enum kind kind)
{
	return pool[kind][below(POOL)];
}

static struct hv_run *run_page(unsigned int i)
{
	return (struct hv_run *)(run_pages + i * PAGE);
}

/* Keep a new descriptor, in the place of another of its kind. */
static void keep(enum kind kind, int fd)
{
	unsigned int i = (unsigned int)below(POOL);
	int old;

	if (fd < 0)
		return;
	if (kind == VCPU)
		mmap(run_page(i), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	old = atomic_exchange(&pool[kind][i], fd);
	if (old >= 0)
		close(old);
}

/* A new run page could not be mapped and the old one is gone: its users shall not notice. */
static void fill_hole(int signo, siginfo_t *info, void *context)
{
	uint8_t *p = (uint8_t *)((uintptr_t)info->si_addr & -PAGE);

	(void)context;
	if (p < run_pages || p >= run_pages + POOL * PAGE) {
		signal(signo, SIG_DFL);
		return;
	}
	while (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == MAP_FAILED)
		;
}

/* What a call of ours may fail with. EIO is not among them: that is for other processes. */
static void may_fail(const char *what, long result)
{
	static const int codes[] = {EINVAL, EFAULT, EBADF,  ENOTTY, ENOMEM,    EINTR,	   EBUSY,
				    EEXIST, ENOENT, ENOSPC, E2BIG,  ESHUTDOWN, EOPNOTSUPP, EMFILE};

	if (result >= 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (errno == codes[i])
			return;
	}
	test_fail("seed %llu: %s: %s", (unsigned long long)seed, what, strerror(errno));
}

/* Of all rounds: calls on descriptors of hv, how many of them worked, and returns of guests among those. */
static struct {
	_Atomic uint64_t calls, worked, exits;
} * figures;

#define CALL(fd, name, arg)                                       \
	({                                                        \
		long call_ = ioctl((fd), (name), (arg));          \
		figures->calls++;                                 \
		figures->worked += call_ >= 0;                    \
		figures->exits += call_ >= 0 && (name) == HV_RUN; \
		may_fail(#name, call_);                           \
		call_;                                            \
	})

/* ---- What QEMU's emulation of AMD-V gets wrong, and what is kept from it therefore ---- */

/*
 * QEMU 7.2 loses the host's paging at an exit from a guest with EFER.LME and CR4.PAE set and CR0.PG clear;
 * it aborts at a MOV to CR8 while a virtual interrupt waits, and at an interrupt that takes a legacy guest
 * from ring 3 or virtual-8086 mode to ring 0, as it knows no busy TSS; and MOV to a debug register is the
 * end of it. So its guests have no MOV to CRs and DRs, no IRET, and in protected mode no segment of ring 3.
 */
static void tame(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == 0xcf || (i && p[i - 1] == 0x0f && p[i] >= 0x20 && p[i] <= 0x23))
			p[i] = 0x0b;
	}
}

/* The same of a state that is about to be loaded, of which only harmless parts are random. */
static bool may_scribble(size_t offset)
{
	size_t sregs = offset - offsetof(struct hv_run, sregs);

	if (!tcg || offset < offsetof(struct hv_run, gprs.rflags))
		return true;
	if (offset >= offsetof(struct hv_run, events))
		return true;
	return sregs == offsetof(struct hv_sregs, cr2) || sregs == offsetof(struct hv_sregs, cr3) ||
	       sregs == offsetof(struct hv_sregs, ds) || sregs == offsetof(struct hv_sregs, fs);
}

static bool may_set_msr(uint32_t index)
{
	return !tcg || (index != G_MSR_EFER && (index < 0x174 || index > 0x176));
}

/* ---- Calls on /dev/hv ---- */

static void system_calls(void)
{
	struct hv_caps caps = {.size = one_in(2) ? sizeof(caps) : (uint32_t)number()};
	struct hv_cpuid_entry entries[HV_MAX_CPUID];
	struct hv_cpuid cpuid = {.count =
					 (uint32_t)(one_in(2) ? HV_MAX_CPUID : below(HV_MAX_CPUID)),
				 .entries = (uintptr_t)entries};
	struct hv_create_vm create = {.size = sizeof(create)};
	int fd = any(SYSTEM);

	switch (below(5)) {
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

static void create_vcpu(int fd)
{
	struct hv_create_vcpu create = {
		.size = sizeof(create),
		.id = (uint32_t)(one_in(8) ? number() : below(VCPUS)),
		.flags = one_in(16) ? number() : 0,
	};

	keep(VCPU, (int)CALL(fd, HV_CREATE_VCPU, &create));
}

/* As many slots, bindings or vCPUs as a VM may have, and more. */
static void fill_up(void)
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

static void vm_calls(void)
{
	int fd = any(VM);

	switch (below(8)) {
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
	CALL(fd, HV_SET_LAPIC, &l);
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

static void vcpu_calls(void)
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
	case 7:
		lapic_calls(fd);
		break;
	case 8:
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

static void odd_calls(void)
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
						  HV_SET_MSRS, HV_GET_LAPIC, HV_SET_LAPIC})),
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

static void signal_event(void)
{
	uint64_t one = 1;

	/* A number that has come back as a pipe or terminal is not among those that are closed here. */
	if (write(any(EVENT), &one, sizeof(one)) < 0)
		may_fail("write", errno == EAGAIN ? 0 : -1);
}

static void close_something(void)
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
static void fork_process(void)
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

/* ---- The memory below the guests ---- */

static bool weather_poison;

static void change_memory(void)
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
		if (weather_poison && one_in(8))
			madvise(p, PAGE, one_in(2) ? MADV_HWPOISON : MADV_SOFT_OFFLINE);
		break;
	default:
		madvise(p, len, ANY(advice));
	}
}

/* ---- Oracles ---- */

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
static void messages_arrive(void)
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
static void clock_comes(void)
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
	mprotect(ram + CLOCK_PAGE, PAGE, PROT_READ | PROT_WRITE);
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

/* Interrupts of the local timers, of all processors of the host. */
static uint64_t host_timer_interrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	uint64_t sum = 0;
	char line[1024];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		char *p = strstr(line, "LOC:");

		if (!p)
			continue;
		for (p += 4;;) {
			char *next;
			uint64_t n = strtoull(p, &next, 10);

			if (next == p)
				break;
			sum += n;
			p = next;
		}
	}
	fclose(f);
	return sum;
}

/*
 * Timers of vCPUs that nobody runs cost the host nothing. With nothing else running it has its ticks, a
 * thousand for each processor and second at most; 20000 a second for each vCPU would be the guests'.
 */
static void idle_timers_cost_nothing(void)
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
	begin = host_timer_interrupts();
	start = now_ns();
	sleep_ns(100 * MSEC);
	count = host_timer_interrupts() - begin;
	most = 200 + (now_ns() - start) / MSEC * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 2;
	if (count > most)
		test_fail(
			"seed %llu: %llu timer interrupts for vCPUs that nobody runs, %llu at most",
			(unsigned long long)seed, (unsigned long long)count,
			(unsigned long long)most);
out:
	quiet_end(&q);
}

/* ---- Weather ---- */

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

static void look_around(void)
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
static void choose_weather(void)
{
	weather = (has_failures && one_in(3) ? FAILURES : 0) |
		  (has_memcg && one_in(3) ? NARROW : 0) | (has_uffd && one_in(3) ? UFFD : 0) |
		  (has_poison && one_in(4) ? POISON : 0) | (has_kvm && one_in(4) ? KVM : 0) |
		  (has_sleep && one_in(6) ? SLEEP : 0) | (has_unplug && one_in(6) ? UNPLUG : 0);
	weather_poison = weather & POISON;
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

/* ---- A round ---- */

/* Of this thread only: a round is to begin and end in good weather. */
static void let_fail(bool on)
{
	char path[64];

	if (!(weather & FAILURES))
		return;
	snprintf(path, sizeof(path), "/proc/self/task/%d/make-it-fail", gettid());
	put(path, on ? "1" : "0");
}

static void *work(void *arg)
{
	random_seed(seed * 31 + (uintptr_t)arg + 1);
	let_fail(true);
	for (unsigned int i = 0; i < CALLS; i++) {
		switch (below(32)) {
		case 0:
		case 1:
			system_calls();
			break;
		case 2:
			odd_calls();
			break;
		case 3:
			close_something();
			break;
		case 4:
			/* The kernel warns of a stack that it cannot allocate. */
			let_fail(false);
			if (one_in(4))
				fork_process();
			let_fail(true);
			break;
		case 5:
			if (one_in(8))
				fill_up();
			break;
		case 6:
			signal_event();
			break;
		case 7:
			if (ask_known)
				messages_arrive();
			break;
		case 8:
			if (ask_known && one_in(4))
				clock_comes();
			break;
		case 9:
		case 10:
		case 11:
		case 12:
		case 13:
			vm_calls();
			break;
		case 14:
		case 15:
		case 16:
		case 17:
		case 18:
			change_memory();
			break;
		default:
			vcpu_calls();
		}
	}
	let_fail(false);
	working--;
	return NULL;
}

/* Run pages change at any moment, and calls are interrupted. */
static void *disturb(void *arg)
{
	(void)arg;
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

static void prepare_guests(void)
{
	static uint8_t code[0x10000];
	struct vcpu v;

	if (one_in(2))
		vm_init(&main_vm);
	else
		vm_init_shared(&main_vm);
	vcpu_init(&v, &main_vm, 0);
	for (unsigned int i = 0; i < 3; i++) {
		if (i == 0)
			vcpu_long_at(&v, GUEST_LOW);
		else if (i == 1)
			vcpu_flat32(&v, GUEST_LOW);
		else
			vcpu_real(&v, GUEST_LOW >> 4, 0);
		modes[i] = *v.run;
	}
	if (tcg)
		modes[1].sregs.gdt.limit = SEL_CODE32 + 7;
	vcpu_close(&v);

	random_code(code, sizeof(code));
	if (tcg)
		tame(code, sizeof(code));
	memcpy(main_vm.ram + GUEST_LOW, code, sizeof(code));
	/* No code of ours is left, whose ways are too well known. */
	for (uint64_t gpa = 0x400000; gpa < GUEST_STACKS; gpa += sizeof(code))
		memcpy(main_vm.ram + gpa, code, sizeof(code));
	keep(VM, main_vm.fd);
}

static void prepare_round(void)
{
	struct sigaction ignore = {.sa_handler = ignore_signal};
	struct sigaction fault = {.sa_sigaction = fill_hole, .sa_flags = SA_SIGINFO | SA_NODEFER};
	bool shared = one_in(2);

	sigaction(SIGUSR1, &ignore, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	/* Pages that break are told about so; nothing here touches them but by the kernel. */
	signal(SIGBUS, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int i = 0; i < POOL; i++)
			pool[kind][i] = -1;
	}
	arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	run_pages =
		mmap(NULL, POOL * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(arena != MAP_FAILED && run_pages != MAP_FAILED);
	prepare_guests();
	for (unsigned int i = 0; i < POOL; i++) {
		keep(SYSTEM, open("/dev/hv", O_RDWR | O_CLOEXEC));
		keep(EVENT, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		create_vcpu(any(VM));
	}
	if (weather & NARROW) {
		/* Without swap a limit would only make it be killed. */
		put(CGROUP "/memory.high", has_swap ? "12M" : "24M");
		if (has_swap)
			put(CGROUP "/memory.max", "20M");
		put(CGROUP "/cgroup.procs", "0");
	}
}

static void play_round(void)
{
	pthread_t disturber, weathermaker, server;

	random_seed(seed);
	choose_weather();
	prepare_round();
	working = WORKERS;
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK_EQ(pthread_create(&workers[i], NULL, work, (void *)i), 0);
	CHECK_EQ(pthread_create(&disturber, NULL, disturb, NULL), 0);
	CHECK_EQ(pthread_create(&weathermaker, NULL, make_weather, NULL), 0);
	if (weather & UFFD)
		CHECK_EQ(pthread_create(&server, NULL, serve_faults, NULL), 0);
	/* The threads that disturb them are there until they have ended. */
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	pthread_join(disturber, NULL);
	pthread_join(weathermaker, NULL);
	if (weather & UFFD)
		pthread_join(server, NULL);
	if (ask_known && seed % 4 == 0) {
		for (unsigned int kind = 0; kind < KINDS; kind++) {
			for (unsigned int i = 0; i < POOL; i++)
				close(pool[kind][i]);
		}
		munmap(run_pages, POOL * PAGE);
		idle_timers_cost_nothing();
	}
	/* Everything else ends with the process, in whatever order the kernel likes. */
	_exit(0);
}

/* A round takes a second or two; this is for one that hangs. */
#define ROUND_SECONDS 300

static uint64_t first_seed;
static bool one_seed;
static unsigned int seconds = 30;

static void fuzz(void)
{
	uint64_t end = now_ns() + seconds * SEC;
	unsigned int rounds = 0;

	tcg = host_is_tcg();
	xsave_size = hv_caps().xsave_size;
	figures = mmap(NULL, sizeof(*figures), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	CHECK(figures != MAP_FAILED);
	look_around();
	for (seed = first_seed; rounds == 0 || now_ns() < end; rounds++) {
		int status;
		pid_t pid;

		printf("# seed %llu\n", (unsigned long long)seed);
		fflush(stdout);
		pid = fork();
		CHECK_OK(pid);
		if (pid == 0) {
			alarm(ROUND_SECONDS);
			play_round();
		}
		CHECK_OK(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status))
			test_fail("seed %llu: killed by SIG%s", (unsigned long long)seed,
				  sigabbrev_np(WTERMSIG(status)));
		/* The reason is written already. */
		if (status)
			_exit(WEXITSTATUS(status));
		seed += one_seed ? 0 : 1;
	}
	printf("# %u rounds, %llu calls of which %llu worked, %llu exits of guests\n", rounds,
	       (unsigned long long)figures->calls, (unsigned long long)figures->worked,
	       (unsigned long long)figures->exits);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *limit = getenv("FUZZ_SECONDS");
	struct test test = {"ioctl", fuzz, 0};

	if (limit)
		seconds = (unsigned int)strtoul(limit, NULL, 10);
	test.seconds = seconds + ROUND_SECONDS;
	ask_known = getenv("FUZZ_KNOWN");
	one_seed = argc > 1;
	first_seed =
		one_seed ? strtoull(argv[1], NULL, 10) : (now_ns() ^ (uint64_t)getpid() << 20) >> 8;
	return test_main(1, argv, &test, 1);
}
