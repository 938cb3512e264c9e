// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the host has of its guests: counters of their exits, its memory and its
 * registers back, its processors to take away. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <linux/hw_breakpoint.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define FAR 0x40400000ul

/* ---- Counters of exits, in debugfs ---- */

#define COUNTERS "/sys/kernel/debug/hv/exits"

static const char *const counter_names[] = {
	"interrupt", "cpuid",	  "msr",     "pio",	  "mmio",   "emulate", "hlt",
	"fault",     "hypercall", "control", "exception", "window", "pause",   "other",
};

/* Of one vCPU of this process, in that order. False: there is none. */
static bool read_counters(unsigned int vcpu, unsigned long count[ARRAY_SIZE(counter_names)])
{
	FILE *f = fopen(COUNTERS, "r");
	char line[1024], begin[64], *word = NULL, *rest;

	CHECK(f != NULL);
	snprintf(begin, sizeof(begin), "pid=%d vcpu=%u ", getpid(), vcpu);
	while (!word && fgets(line, sizeof(line), f)) {
		if (strncmp(line, begin, strlen(begin)) == 0)
			word = line + strlen(begin);
	}
	fclose(f);
	if (!word)
		return false;
	word = strtok_r(word, " \n", &rest);
	for (unsigned int i = 0; i < ARRAY_SIZE(counter_names); i++) {
		size_t len = strlen(counter_names[i]);

		CHECK(word && strncmp(word, counter_names[i], len) == 0 && word[len] == '=');
		count[i] = strtoul(word + len + 1, NULL, 10);
		word = strtok_r(NULL, " \n", &rest);
	}
	CHECK(!word);
	return true;
}

static GUEST void g_exits(uint64_t vmx)
{
	guest_apic_enable(false);
	guest_sync(1);
	for (unsigned int i = 0; i < 3; i++)
		guest_cpuid(0, 0);
	for (unsigned int i = 0; i < 5; i++)
		rdmsr(G_MSR_TSC_ADJUST);
	for (unsigned int i = 0; i < 7; i++)
		outl(0, PORT_LOW);
	for (unsigned int i = 0; i < 4; i++)
		*(volatile uint32_t *)FAR = i;
	for (unsigned int i = 0; i < 2; i++)
		asm volatile("addl $1, (%0)" : : "r"(FAR) : "memory", "cc");
	for (unsigned int i = 0; i < 6; i++) {
		uint64_t rax = i;

		if (vmx)
			asm volatile("vmcall" : "+a"(rax));
		else
			asm volatile("vmmcall" : "+a"(rax));
		G_CHECK_EQ(rax, -1000ul);
	}
	for (unsigned int i = 0; i < 2; i++) {
		guest_self_ipi(0x61);
		guest_wait();
	}
	for (unsigned int i = 0; i < 8; i++)
		GUEST_WRITE_CR(0, GUEST_READ_CR(0) ^ CR0_CD);
	guest_sync(2);
}

static void counters(void)
{
	/* In the order of the names; of those that are zero here there may be any number. */
	static const unsigned long least[] = {0, 3, 5, 8, 8, 2, 2, 0, 6, 8, 0, 0, 0, 0};
	static const bool exact[] = {0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0};
	unsigned long before[ARRAY_SIZE(counter_names)], after[ARRAY_SIZE(counter_names)];
	struct statfs fs;
	struct stat st;
	struct vm vm;
	struct vcpu v, w;

	if (statfs("/sys/kernel/debug", &fs) || fs.f_type != DEBUGFS_MAGIC)
		test_skip("no debugfs");
	vm_long(&vm, &v, g_exits, host_is_vmx());
	CHECK(!read_counters(3, after));
	vcpu_init(&w, &vm, 3);
	CHECK(read_counters(3, after));
	for (unsigned int i = 0; i < ARRAY_SIZE(counter_names); i++)
		CHECK_EQ(after[i], 0);
	vcpu_sync(&v, 1);
	CHECK(read_counters(0, before));
	do {
		vcpu_run(&v);
		/* User space's part of ADD is of no matter here: behind it. */
		if (v.run->exit_reason == HV_EXIT_EMULATE) {
			v.run->gprs.rip += 3;
			v.run->dirty = HV_REGS_GPR;
		}
	} while (v.run->exit_reason != HV_EXIT_PIO || v.run->exit.pio.port != PORT_SYNC);
	CHECK(read_counters(0, after));
	for (unsigned int i = 0; i < ARRAY_SIZE(counter_names); i++) {
		unsigned long n = after[i] - before[i];

		if (n < least[i] || (exact[i] && n != least[i]))
			test_fail("%s: %lu, not %lu", counter_names[i], n, least[i]);
	}
	CHECK(read_counters(3, after));
	for (unsigned int i = 0; i < ARRAY_SIZE(counter_names); i++)
		CHECK_EQ(after[i], 0);
	/* For the administrator alone, and no longer than the VM. */
	CHECK_OK(stat(COUNTERS, &st));
	CHECK_EQ(st.st_mode & 07777, 0400);
	vcpu_close(&w);
	vcpu_close(&v);
	vm_close(&vm);
	CHECK(!read_counters(0, after));
}

/* ---- Memory ---- */

#define CACHES 512

struct memory {
	unsigned long free; /* pages */
	unsigned int caches;
	struct {
		char name[64];
		unsigned long objects, slab; /* and how many come at a time */
	} cache[CACHES];
};

/*
 * Slabs that a processor has at hand count as used whole, and a processor keeps as many as it likes: they go back
 * first. The files stay open, since what closing one frees waits for a grace period and counts, too.
 */
static void shrink_caches(void)
{
	static int file[CACHES];
	static size_t files;
	glob_t caches;

	if (!files && !glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches)) {
		for (size_t i = 0; i < caches.gl_pathc && files < CACHES; i++) {
			file[files] = open(caches.gl_pathv[i], O_WRONLY | O_CLOEXEC);
			if (file[files] >= 0)
				files++;
		}
		globfree(&caches);
	}
	for (size_t i = 0; i < files; i++)
		CHECK_EQ(write(file[i], "1", 1), 1);
}

/* Pages that are free, also for one processor only, and objects in the caches of the kernel. */
static void read_memory(struct memory *m)
{
	unsigned long pages;
	char line[512];
	FILE *f;

	shrink_caches();
	f = fopen("/proc/zoneinfo", "r");
	CHECK(f != NULL);
	m->free = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " nr_free_pages %lu", &pages) == 1 ||
		    sscanf(line, " count: %lu", &pages) == 1)
			m->free += pages;
	}
	fclose(f);
	f = fopen("/proc/slabinfo", "r");
	if (!f)
		test_skip("the host's kernel does not tell its objects");
	for (m->caches = 0; m->caches < CACHES && fgets(line, sizeof(line), f);) {
		if (sscanf(line, "%63s %lu %*u %*u %lu", m->cache[m->caches].name,
			   &m->cache[m->caches].objects, &m->cache[m->caches].slab) == 3)
			m->caches++;
	}
	fclose(f);
}

#define LEAK_ROUNDS 100

/* A VM with all that one can have, which runs, and its end. */
static void live_and_die(void)
{
	struct hv_irqfd irqfd = {.size = sizeof(irqfd), .addr = 0xfee00000, .data = 0x61};
	struct hv_ioeventfd bell = {.size = sizeof(bell), .len = 4, .addr = FAR};
	static uint8_t image[8192] __attribute__((aligned(64)));
	struct hv_xsave xsave = {.len = hv_caps().xsave_size, .buffer = (uintptr_t)image};
	static uint8_t ram[4096] __attribute__((aligned(4096)));
	/* mov %al, 0x800; out %al, $0x80 */
	static const uint8_t code[] = {0xa2, 0x00, 0x08, 0xe6, PORT_LOW};
	struct vcpu v;
	struct vm vm;

	CHECK(xsave.len <= sizeof(image));
	irqfd.fd = bell.fd = eventfd(0, EFD_NONBLOCK);
	CHECK(irqfd.fd >= 0);
	memcpy(ram, code, sizeof(code));
	vm_bare(&vm);
	CHECK_OK(vm_set_slot(&vm, 0, 0, 0x10000, 4096, ram));
	CHECK_OK(vm_set_slot(&vm, 1, 0, 0x20000, 4096, ram));
	CHECK_OK(vm_set_slot(&vm, 1, 0, 0, 0, NULL));
	vcpu_init(&v, &vm, 0);
	CHECK_OK(ioctl(vm.fd, HV_IRQFD, &irqfd));
	irqfd.flags = HV_IRQFD_DEASSIGN;
	CHECK_OK(ioctl(vm.fd, HV_IRQFD, &irqfd));
	irqfd.flags = 0;
	CHECK_OK(ioctl(vm.fd, HV_IRQFD, &irqfd));
	CHECK_OK(ioctl(vm.fd, HV_IRQFD, &irqfd));
	CHECK_OK(ioctl(vm.fd, HV_IOEVENTFD, &bell));
	bell.flags = HV_IOEVENTFD_DEASSIGN;
	CHECK_OK(ioctl(vm.fd, HV_IOEVENTFD, &bell));
	bell.flags = 0;
	CHECK_OK(ioctl(vm.fd, HV_IOEVENTFD, &bell));
	CHECK_ERRNO(ioctl(vm.fd, HV_IOEVENTFD, &bell), EEXIST);
	CHECK_OK(ioctl(v.fd, HV_GET_XSAVE, &xsave));
	CHECK_OK(ioctl(v.fd, HV_SET_XSAVE, &xsave));
	vcpu_real(&v, 0x1000, 0);
	vcpu_out(&v, PORT_LOW);
	close(irqfd.fd);
	vcpu_close(&v);
	vm_close(&vm);
}

/* What a VM takes it gives back. */
static void memory_back(void)
{
	static struct memory before, after;

	/* The first ones fill what the kernel keeps for the next. */
	for (unsigned int i = 0; i < 3 * LEAK_ROUNDS; i++) {
		if (i == LEAK_ROUNDS)
			read_memory(&before);
		live_and_die();
	}
	/* What waits for a grace period. */
	sleep_ns(100 * MSEC);
	read_memory(&after);
	CHECK_EQ(after.caches, before.caches);
	for (unsigned int i = 0; i < after.caches; i++) {
		long grown = (long)(after.cache[i].objects - before.cache[i].objects);
		/* What the processors took at hand again since then. */
		long noise = 2 * (long)after.cache[i].slab;

		if (grown > noise + LEAK_ROUNDS / 2)
			test_fail("%ld objects of %s in %u rounds", grown, after.cache[i].name,
				  2 * LEAK_ROUNDS);
	}
	if (before.free >= after.free + LEAK_ROUNDS)
		test_fail("%lu pages in %u rounds", before.free - after.free, 2 * LEAK_ROUNDS);
}

/* ---- Registers ---- */

static volatile uint64_t host_watched[4];

/* A breakpoint of the host's at a write to that: a counter of how often it strikes. */
static int watch(volatile uint64_t *what)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(a),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)what,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.pinned = 1,
	};

	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static GUEST void g_four_registers(uint64_t host_address)
{
	for (uint32_t i = 1; i <= 2; i++) {
		G_CHECK_EQ(GUEST_READ_DR(0), 0x10000 * i + 8);
		G_CHECK_EQ(GUEST_READ_DR(1), 0x20000 * i + 8);
		G_CHECK_EQ(GUEST_READ_DR(2), 0x30000 * i + 8);
		G_CHECK_EQ(GUEST_READ_DR(3), 0x40000 * i + 8);
		/* The host's do not strike here. */
		for (unsigned int n = 0; n < 4; n++)
			((volatile uint64_t *)host_address)[n] = i;
		G_CHECK_EQ(guest_cpu()->count[DB], 0);
		GUEST_WRITE_DR(0, 0x50000 * i);
		GUEST_WRITE_DR(1, 0x60000 * i);
		GUEST_WRITE_DR(2, 0x70000 * i);
		GUEST_WRITE_DR(3, 0x80000 * i);
		guest_sync(i);
	}
}

/*
 * The guest has its addresses in DR0 to DR3, the host its own, and neither the other's traps. Under QEMU's
 * emulation the host has none: it keeps breakpoints beyond the VMRUN, and dies of that (docs/testing.md).
 */
static void breakpoints(void)
{
	unsigned int watches = host_is_tcg() ? 0 : 4;
	uint64_t hits, want = 0;
	struct vcpu v;
	struct vm vm;
	int fd[4];

	skip_on_bochs_amd("takes the guest's traps to the host");
	bind_to_cpu(0);
	vm_long(&vm, &v, g_four_registers, (uintptr_t)host_watched);
	for (unsigned int i = 0; i < watches; i++) {
		fd[i] = watch(&host_watched[i]);
		if (fd[i] < 0)
			test_skip("the host's kernel sets no breakpoints: %s", strerror(errno));
	}
	for (uint32_t n = 1; n <= 2; n++) {
		vcpu_get(&v, HV_REGS_DREGS);
		for (unsigned int i = 0; i < 4; i++)
			v.run->dregs.dr[i] = 0x10000 * (i + 1) * n + 8;
		v.run->dregs.dr7 = 0x400;
		v.run->dirty = HV_REGS_DREGS;
		vcpu_sync(&v, n);
		vcpu_get(&v, HV_REGS_DREGS);
		for (unsigned int i = 0; i < 4; i++)
			CHECK_EQ(v.run->dregs.dr[i], 0x10000 * (i + 5) * n);
		want++;
		for (unsigned int i = 0; i < watches; i++) {
			host_watched[i] = n;
			CHECK_EQ(read(fd[i], &hits, sizeof(hits)), sizeof(hits));
			CHECK_EQ(hits, want);
		}
	}
	for (unsigned int i = 0; i < watches; i++)
		close(fd[i]);
	vcpu_done(&v);
}

static GUEST void g_own_registers(uint64_t xcr0)
{
	uint32_t aux = 0, lo, hi;

	for (uint32_t i = 1; i <= 3; i++) {
		if (guest_cpuid(0x80000001, 0).edx >> 27 & 1) {
			wrmsr(G_MSR_TSC_AUX, 0x7700 + i);
			guest_sync(i);
			asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
			G_CHECK_EQ(aux, 0x7700 + i);
		} else {
			guest_sync(i);
		}
		if (xcr0)
			G_CHECK_EQ(try_xsetbv(0, i & 1 ? 1 : 3), GUEST_NO_TRAP);
	}
}

static uint64_t host_xcr0(void)
{
	uint32_t lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

/* TSC_AUX says which processor it is, and XCR0 which registers there are. */
static void registers_back(void)
{
	uint32_t eax = 0x80000001, ebx, ecx = 0, edx, lo, hi, aux;
	uint64_t xcr0 = hv_caps().xcr0 & 2 ? host_xcr0() : 0;
	bool has_aux;
	struct vcpu v;
	struct vm vm;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	has_aux = edx >> 27 & 1;
	bind_to_cpu((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	vm_long(&vm, &v, g_own_registers, xcr0);
	for (uint32_t i = 1; i <= 4; i++) {
		if (i < 4)
			vcpu_sync(&v, i);
		else
			vcpu_done(&v);
		if (has_aux) {
			asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
			CHECK_EQ(aux & 0xfff, sysconf(_SC_NPROCESSORS_ONLN) - 1);
		}
		if (xcr0)
			CHECK_EQ(host_xcr0(), xcr0);
	}
}

/* ---- Processors ---- */

static void set_online(bool on)
{
	int fd = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		test_skip("no processor that can be taken away");
	CHECK_EQ(write(fd, on ? "1" : "0", 1), 1);
	close(fd);
}

static volatile uint64_t turns;

static GUEST void g_turn(uint64_t until)
{
	while (turns < until)
		turns++;
	guest_sync(1);
	for (;;) {
		turns++;
		guest_pause();
	}
}

/* Taken away while a guest runs there, which goes on elsewhere; and then on the one that came back. */
static void processor_goes(void)
{
	cpu_set_t second;
	struct runner r;
	struct vcpu v;
	struct vm vm;
	uint64_t seen;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one processor");
	vm_long(&vm, &v, g_turn, 1000);
	vcpu_interruptible(&v);
	vcpu_sync(&v, 1);
	for (unsigned int i = 0; i < 2; i++) {
		runner_start(&r, &v);
		CPU_ZERO(&second);
		CPU_SET(1, &second);
		CHECK_EQ(pthread_setaffinity_np(r.thread, sizeof(second), &second), 0);
		seen = guest_var(&vm, turns);
		while (guest_var(&vm, turns) == seen)
			sleep_ns(MSEC);
		set_online(false);
		seen = guest_var(&vm, turns);
		while (guest_var(&vm, turns) == seen)
			sleep_ns(MSEC);
		set_online(true);
		CHECK_EQ(pthread_setaffinity_np(r.thread, sizeof(second), &second), 0);
		seen = guest_var(&vm, turns) + 1000;
		while (guest_var(&vm, turns) < seen)
			sleep_ns(MSEC);
		runner_stop(&r);
		runner_join(&r);
		CHECK_EQ(r.error, EINTR);
	}
	/* One that came while no VM was there, and the one that is made on it. */
	vcpu_close(&v);
	vm_close(&vm);
	set_online(false);
	set_online(true);
	bind_to_cpu(1);
	vm_long(&vm, &v, g_turn, 1000);
	vcpu_sync(&v, 1);
}

static const struct test tests[] = {
	{"counters", counters, 0},
	{"memory_back", memory_back, 120},
	{"breakpoints", breakpoints, 0},
	{"registers_back", registers_back, 0},
	{"processor_goes", processor_goes, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
