// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bad callers of /dev/hv: every call with what it must refuse, each with its
 * errno, and processes that end, fork or lose their memory at a bad time. The
 * host's log must stay clean. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define BAD ((void *)8) /* a pointer to nowhere */
#define FAR 0x40400000ul

struct fds {
	int system, vm, vcpu;
};

static struct fds open_all(void)
{
	struct hv_create_vm create = {.size = sizeof(create)};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};
	struct fds f;

	f.system = hv_open();
	f.vm = (int)CHECK_OK(ioctl(f.system, HV_CREATE_VM, &create));
	f.vcpu = (int)CHECK_OK(ioctl(f.vm, HV_CREATE_VCPU, &vcpu));
	return f;
}

/* The guest has come to the loop that it does not leave by itself. */
static volatile uint32_t looping;

static GUEST void g_spin(uint64_t arg)
{
	(void)arg;
	looping = 1;
	for (;;)
		guest_pause();
}

static GUEST void g_touch(uint64_t address)
{
	looping = 1;
	for (;;)
		*(volatile uint64_t *)address += 1;
}

static GUEST void g_done(uint64_t arg)
{
	(void)arg;
}

/* ---- Numbers and descriptors ---- */

static const unsigned long system_calls[] = {HV_GET_CAPS, HV_GET_CPUID, HV_GET_MSR_LIST,
					     HV_CREATE_VM};
static const unsigned long vm_calls[] = {HV_CREATE_VCPU, HV_SET_SLOT,  HV_IRQFD,    HV_IOEVENTFD,
					 HV_SIGNAL_MSI,	 HV_GET_CLOCK, HV_SET_CLOCK};
static const unsigned long vcpu_calls[] = {HV_RUN,	 HV_GET_REGS,  HV_SET_REGS,  HV_SET_CPUID,
					   HV_GET_MSRS,	 HV_SET_MSRS,  HV_GET_XSAVE, HV_SET_XSAVE,
					   HV_GET_LAPIC, HV_SET_LAPIC, HV_READ_APIC, HV_WRITE_APIC,
					   HV_RESET,	 HV_NMI};

static void unknown_calls(void)
{
	struct fds f = open_all();
	const int fd[] = {f.system, f.vm, f.vcpu};

	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++) {
		CHECK_ERRNO(ioctl(fd[i], _IO(HV_IOC, 0xff), 0), ENOTTY);
		CHECK_ERRNO(ioctl(fd[i], _IO(HV_IOC, 0x3f), 0), ENOTTY);
		CHECK_ERRNO(ioctl(fd[i], _IO('x', 1), 0), ENOTTY);
		CHECK_ERRNO(ioctl(fd[i], 0, 0), ENOTTY);
		CHECK_ERRNO(ioctl(fd[i], ~0ul, ~0ul), ENOTTY);
		/* The right number with another direction or size. */
		CHECK_ERRNO(ioctl(fd[i], _IOWR(HV_IOC, 0x40, char[8]), 0), ENOTTY);
		CHECK_ERRNO(ioctl(fd[i], _IOR(HV_IOC, 0x24, struct hv_msi), 0), ENOTTY);
	}
}

static void wrong_descriptor(void)
{
	struct fds f = open_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(system_calls); i++) {
		CHECK_ERRNO(ioctl(f.vm, system_calls[i], BAD), ENOTTY);
		CHECK_ERRNO(ioctl(f.vcpu, system_calls[i], BAD), ENOTTY);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(vm_calls); i++) {
		CHECK_ERRNO(ioctl(f.system, vm_calls[i], BAD), ENOTTY);
		CHECK_ERRNO(ioctl(f.vcpu, vm_calls[i], BAD), ENOTTY);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(vcpu_calls); i++) {
		CHECK_ERRNO(ioctl(f.system, vcpu_calls[i], BAD), ENOTTY);
		CHECK_ERRNO(ioctl(f.vm, vcpu_calls[i], BAD), ENOTTY);
	}
	/* Other file operations. */
	CHECK(read(f.vm, &f, 1) < 0);
	CHECK(write(f.vcpu, &f, 1) < 0);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, f.vm, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, f.system, 0) == MAP_FAILED);
}

static void bad_pointers(void)
{
	struct fds f = open_all();
	struct hv_cpuid cpuid = {.count = 8, .entries = 8};
	struct hv_msrs msrs = {.count = 1, .entries = 8};
	struct hv_xsave xsave = {.len = hv_caps().xsave_size, .buffer = 8};

	for (unsigned int i = 0; i < ARRAY_SIZE(system_calls); i++)
		CHECK_ERRNO(ioctl(f.system, system_calls[i], BAD), EFAULT);
	for (unsigned int i = 0; i < ARRAY_SIZE(vm_calls); i++)
		CHECK_ERRNO(ioctl(f.vm, vm_calls[i], BAD), EFAULT);
	/* The first three and the last two take a number. */
	for (unsigned int i = 3; i < ARRAY_SIZE(vcpu_calls) - 2; i++) {
		CHECK_ERRNO(ioctl(f.vcpu, vcpu_calls[i], BAD), EFAULT);
		CHECK_ERRNO(ioctl(f.vcpu, vcpu_calls[i], ~0ul << 47), EFAULT);
		CHECK_ERRNO(ioctl(f.vcpu, vcpu_calls[i], ~0ul - 7), EFAULT);
	}
	/* A good struct that points to nowhere. */
	cpuid.count = HV_MAX_CPUID;
	CHECK_ERRNO(ioctl(f.system, HV_GET_CPUID, &cpuid), EFAULT);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &cpuid), EFAULT);
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_MSRS, &msrs), EFAULT);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_MSRS, &msrs), EFAULT);
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_XSAVE, &xsave), EFAULT);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_XSAVE, &xsave), EFAULT);
}

/* ---- Sizes, flags and padding ---- */

/* A struct that may grow: too short, longer with zeroes, longer with something unknown. */
static void check_size(int fd, unsigned long call, const void *good, uint32_t size, int good_errno)
{
	union {
		uint8_t bytes[8192];
		uint32_t size;
	} *u = calloc(1, sizeof(*u));

	memcpy(u, good, size);
	u->size = 0;
	CHECK_ERRNO(ioctl(fd, call, u), EINVAL);
	u->size = 3;
	CHECK_ERRNO(ioctl(fd, call, u), EINVAL);
	u->size = size + 8;
	u->bytes[size + 4] = 1;
	CHECK_ERRNO(ioctl(fd, call, u), E2BIG);
	u->size = 0x7fffffff;
	CHECK_ERRNO(ioctl(fd, call, u), E2BIG);
	u->size = 0xffffffff;
	CHECK_ERRNO(ioctl(fd, call, u), E2BIG);
	/* What is unknown but zero is no harm. */
	u->bytes[size + 4] = 0;
	u->size = size + 64;
	if (good_errno) {
		CHECK_ERRNO(ioctl(fd, call, u), good_errno);
	} else {
		CHECK_OK(ioctl(fd, call, u));
	}
	free(u);
}

static void sizes(void)
{
	struct fds f = open_all();
	struct hv_create_vm create = {.size = sizeof(create)};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu), .id = 1};
	struct hv_slot slot = {.size = sizeof(slot), .gpa = 1};
	struct hv_irqfd irqfd = {.size = sizeof(irqfd), .fd = -1, .data = 0x40, .addr = 0xfee00000};
	struct hv_ioeventfd io = {.size = sizeof(io), .fd = -1};

	check_size(f.system, HV_CREATE_VM, &create, sizeof(create), 0);
	check_size(f.vm, HV_CREATE_VCPU, &vcpu, sizeof(vcpu), 0);
	check_size(f.vm, HV_SET_SLOT, &slot, sizeof(slot), EINVAL);
	check_size(f.vm, HV_IRQFD, &irqfd, sizeof(irqfd), EBADF);
	check_size(f.vm, HV_IOEVENTFD, &io, sizeof(io), EBADF);
}

/* The answer is filled as far as the caller's struct goes, and says how long it is. */
static void caps_sizes(void)
{
	uint32_t words[64];
	int fd = hv_open();

	memset(words, 0x5a, sizeof(words));
	words[0] = 16;
	CHECK_OK(ioctl(fd, HV_GET_CAPS, words));
	CHECK_EQ(words[0], sizeof(struct hv_caps));
	CHECK_EQ(words[1], HV_ABI_VERSION);
	CHECK_EQ(words[4], 0x5a5a5a5a);
	memset(words, 0x5a, sizeof(words));
	words[0] = sizeof(words);
	CHECK_OK(ioctl(fd, HV_GET_CAPS, words));
	CHECK_EQ(words[0], sizeof(struct hv_caps));
	words[0] = 0;
	CHECK_ERRNO(ioctl(fd, HV_GET_CAPS, words), EINVAL);
	/* What every host has; tests of the scaled TSC ask for that. */
	CHECK_EQ(hv_caps().features & ~(uint64_t)HV_FEATURE_TSC_SCALING,
		 HV_FEATURE_TSC_DEADLINE | HV_FEATURE_X2APIC | HV_FEATURE_PVCLOCK);
	close(fd);
}

static void flags_and_padding(void)
{
	struct fds f = open_all();
	int event = eventfd(0, 0);
	uint8_t *memory =
		mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct hv_create_vm create = {.size = sizeof(create), .flags = 1};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu), .id = 1, .flags = 1ull << 63};
	struct hv_slot slot = {
		.size = sizeof(slot), .flags = 2, .len = 0x1000, .hva = (uintptr_t)memory};
	struct hv_irqfd irqfd = {
		.size = sizeof(irqfd), .flags = 2, .fd = event, .addr = 0xfee00000, .data = 0x40};
	struct hv_ioeventfd io = {
		.size = sizeof(io), .flags = 1u << 31, .fd = event, .len = 4, .addr = 0x600};
	struct hv_msi msi = {.addr = 0xfee00000, .data = 0x40, .pad = 1};
	struct hv_clock clock = {.tsc_khz = hv_caps().tsc_khz,
				 .flags = ~(HV_CLOCK_STOPPED | HV_CLOCK_KEEP)};
	struct hv_msr_list list = {.pad = 1};
	struct hv_lapic lapic;
	struct hv_msrs msrs = {.count = 0, .pad = 1};
	struct hv_msr_entry entry = {.index = 0xc0000080, .pad = 1};
	struct hv_xsave xsave = {
		.len = hv_caps().xsave_size, .pad = 1, .buffer = (uintptr_t)memory};
	struct hv_cpuid cpuid = {.count = 0, .pad = 1};

	CHECK_ERRNO(ioctl(f.system, HV_CREATE_VM, &create), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_CREATE_VCPU, &vcpu), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_SET_SLOT, &slot), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_SIGNAL_MSI, &msi), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_SET_CLOCK, &clock), EINVAL);
	CHECK_ERRNO(ioctl(f.system, HV_GET_MSR_LIST, &list), EINVAL);
	CHECK_OK(ioctl(f.vcpu, HV_GET_LAPIC, &lapic));
	lapic.pad = 1;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_LAPIC, &lapic), EINVAL);
	lapic.pad = 0;
	lapic.errors = 1;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_LAPIC, &lapic), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_MSRS, &msrs), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_MSRS, &msrs), EINVAL);
	msrs = (struct hv_msrs){.count = 1, .entries = (uintptr_t)&entry};
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_MSRS, &msrs), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_MSRS, &msrs), EINVAL);
	msrs.count = HV_MAX_MSRS + 1;
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_MSRS, &msrs), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_XSAVE, &xsave), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_XSAVE, &xsave), EINVAL);
	CHECK_ERRNO(ioctl(f.system, HV_GET_CPUID, &cpuid), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &cpuid), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_GET_REGS, 1ul << 63), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_REGS, ~0ul), EINVAL);
}

/* A register, of a page that is there. */
static void apic_registers(void)
{
	struct hv_apic_register reg = {.offset = 0x400};
	struct fds f = open_all();
	struct vcpu v;
	struct vm vm;

	CHECK_ERRNO(ioctl(f.vcpu, HV_READ_APIC, &reg), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_WRITE_APIC, &reg), EINVAL);
	reg.offset = ~0xfu;
	CHECK_ERRNO(ioctl(f.vcpu, HV_READ_APIC, &reg), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_WRITE_APIC, &reg), EINVAL);
	reg.offset = G_APIC_TPR + 4;
	CHECK_ERRNO(ioctl(f.vcpu, HV_READ_APIC, &reg), EINVAL);
	CHECK_ERRNO(ioctl(f.vcpu, HV_WRITE_APIC, &reg), EINVAL);
	/* The last one, which xAPIC mode does not have: the error is the guest's. */
	reg.offset = G_APIC_SELF_IPI;
	CHECK_EQ(CHECK_OK(ioctl(f.vcpu, HV_READ_APIC, &reg)), 0);
	CHECK_EQ(CHECK_OK(ioctl(f.vcpu, HV_WRITE_APIC, &reg)), 0);

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	reg.offset = G_APIC_TPR;
	vcpu_get(&v, HV_REGS_SREGS);
	v.run->sregs.apic_base |= G_APIC_BASE_EXTD;
	vcpu_set(&v, HV_REGS_SREGS);
	CHECK_ERRNO(ioctl(v.fd, HV_READ_APIC, &reg), EINVAL);
	CHECK_ERRNO(ioctl(v.fd, HV_WRITE_APIC, &reg), EINVAL);
	v.run->sregs.apic_base &= ~(uint64_t)(G_APIC_BASE_EXTD | G_APIC_BASE_ENABLE);
	vcpu_set(&v, HV_REGS_SREGS);
	CHECK_ERRNO(ioctl(v.fd, HV_READ_APIC, &reg), EINVAL);
	CHECK_ERRNO(ioctl(v.fd, HV_WRITE_APIC, &reg), EINVAL);
}

/* ---- vCPUs, CPUID, eventfds ---- */

static void vcpu_ids(void)
{
	struct fds f = open_all();
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};
	uint32_t max = hv_caps().max_vcpus;

	CHECK_ERRNO(ioctl(f.vm, HV_CREATE_VCPU, &vcpu), EEXIST);
	vcpu.id = max;
	CHECK_ERRNO(ioctl(f.vm, HV_CREATE_VCPU, &vcpu), EINVAL);
	vcpu.id = 0xffffffff;
	CHECK_ERRNO(ioctl(f.vm, HV_CREATE_VCPU, &vcpu), EINVAL);
	for (vcpu.id = max - 1; vcpu.id > 0; vcpu.id--)
		CHECK_OK(ioctl(f.vm, HV_CREATE_VCPU, &vcpu));
}

/* Descriptors: the lowest that is free, 0 as well; and none is left. */
static void descriptors(void)
{
	struct hv_create_vm create = {.size = sizeof(create)};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};
	struct rlimit limit, none;
	struct fds f = open_all();

	close(0);
	CHECK_EQ(CHECK_OK(ioctl(f.system, HV_CREATE_VM, &create)), 0);
	CHECK_ERRNO(ioctl(0, HV_RUN, 0), ENOTTY);
	close(0);
	vcpu.id = 1;
	CHECK_EQ(CHECK_OK(ioctl(f.vm, HV_CREATE_VCPU, &vcpu)), 0);
	CHECK_OK(ioctl(0, HV_GET_REGS, HV_REGS_GPR));
	CHECK_EQ(fcntl(0, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(f.vm, F_GETFD), FD_CLOEXEC);
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 0;
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
	vcpu.id = 2;
	CHECK_ERRNO(ioctl(f.system, HV_CREATE_VM, &create), EMFILE);
	CHECK_ERRNO(ioctl(f.vm, HV_CREATE_VCPU, &vcpu), EMFILE);
	/* That was no vCPU: there can still be one of this number. */
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_OK(ioctl(f.vm, HV_CREATE_VCPU, &vcpu));
}

static struct hv_cpuid_entry table[HV_MAX_CPUID];

static uint32_t get_table(int fd)
{
	struct hv_cpuid c = {.count = HV_MAX_CPUID, .entries = (uintptr_t)table};

	CHECK_OK(ioctl(fd, HV_GET_CPUID, &c));
	return c.count;
}

static struct hv_cpuid_entry *leaf_at(uint32_t function, uint32_t index, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (table[i].function == function && table[i].index == index)
			return &table[i];
	}
	test_fail("no CPUID leaf %#x, %u", function, index);
}

static struct hv_cpuid_entry *leaf(uint32_t function, uint32_t count)
{
	return leaf_at(function, 0, count);
}

/* Does the host's kernel use, and show, a feature? */
static bool kernel_has(const char *flag)
{
	static char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "r");
	char word[32];
	bool has = false;

	CHECK(f != NULL);
	snprintf(word, sizeof(word), " %s ", flag);
	while (!has && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = ' ';
		has = strncmp(line, "flags", 5) == 0 && strstr(line, word);
	}
	fclose(f);
	return has;
}

/* What the kernel has taken away, as by an erratum, no guest is offered. */
static void cpuid_as_kernel(void)
{
	struct fds f = open_all();
	uint32_t count = get_table(f.system);
	const struct hv_cpuid_entry *l1 = leaf(1, count), *l7 = leaf(7, count);
	const struct {
		const char *flag;
		uint32_t value;
		unsigned int bit;
	} features[] = {
		{"sse4_2", l1->ecx, 20},
		{"aes", l1->ecx, 25},
		{"xsave", l1->ecx, 26},
		{"avx", l1->ecx, 28},
		{"rdrand", l1->ecx, 30},
		{"fsgsbase", l7->ebx, 0},
		{"avx2", l7->ebx, 5},
		{"smep", l7->ebx, 7},
		{"invpcid", l7->ebx, 10},
		{"avx512f", l7->ebx, 16},
		{"xsaveopt", l1->ecx >> 26 & 1 ? leaf_at(0xd, 1, count)->eax : 0, 0},
		{"xsavec", l1->ecx >> 26 & 1 ? leaf_at(0xd, 1, count)->eax : 0, 1},
		{"rdtscp", leaf(0x80000001, count)->edx, 27},
		{"lm", leaf(0x80000001, count)->edx, 29},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].value >> features[i].bit & 1 && !kernel_has(features[i].flag))
			test_fail("%s is offered, which the host's kernel does not use",
				  features[i].flag);
	}
	CHECK(kernel_has("lm") && features[ARRAY_SIZE(features) - 1].value >> 29 & 1);
}

static void cpuid_tables(void)
{
	struct fds f = open_all();
	uint32_t count = get_table(f.system);
	struct hv_cpuid c = {.count = count - 1, .entries = (uintptr_t)table};

	/* Too little room: how much it takes. */
	CHECK_ERRNO(ioctl(f.system, HV_GET_CPUID, &c), E2BIG);
	CHECK_EQ(c.count, count);
	CHECK_OK(ioctl(f.vcpu, HV_SET_CPUID, &c));
	/* VMX, SVM, an Intel feature this host lacks, reserved bits. */
	get_table(f.system);
	leaf(1, count)->ecx |= 1u << 5;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	leaf(0x80000001, count)->ecx |= 1u << 2;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	leaf(7, count)->ebx |= 1u << 2 | 1u << 14;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	table[0].flags = 1u << 9;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	table[0].pad = 1;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	table[1] = table[0];
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	get_table(f.system);
	c.count = HV_MAX_CPUID + 1;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	c.count = 0xffffffff;
	CHECK_ERRNO(ioctl(f.vcpu, HV_SET_CPUID, &c), EINVAL);
	/* Features taken away are the caller's right. */
	leaf(1, count)->ecx &= ~(1u << 26 | 1u << 28);
	c.count = count;
	CHECK_OK(ioctl(f.vcpu, HV_SET_CPUID, &c));
}

static void eventfds(void)
{
	struct fds f = open_all();
	int event = eventfd(0, 0), file = open("/dev/null", O_RDWR);
	struct hv_irqfd irqfd = {
		.size = sizeof(irqfd), .fd = event, .addr = 0xfee00000, .data = 0x40};
	struct hv_ioeventfd io = {.size = sizeof(io), .fd = event, .len = 4, .addr = FAR};

	/* Not an eventfd, not a descriptor, not bound. */
	irqfd.fd = io.fd = file;
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), EINVAL);
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	irqfd.fd = io.fd = 9999;
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), EBADF);
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EBADF);
	irqfd.fd = io.fd = event;
	irqfd.flags = HV_IRQFD_DEASSIGN;
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), ENOENT);
	io.flags = HV_IOEVENTFD_DEASSIGN;
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), ENOENT);
	/* Lengths and places that cannot be. */
	io.flags = 0;
	io.len = 3;
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	io.len = 16;
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	io = (struct hv_ioeventfd){.size = sizeof(io),
				   .flags = HV_IOEVENTFD_PIO,
				   .fd = event,
				   .len = 8,
				   .addr = 0x600};
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	io.len = 4;
	io.addr = 0x10000;
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	io.addr = 0xffffffff00000600;
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), EINVAL);
	/* Bound ones outlive their descriptor, and end with the VM. */
	io.addr = 0x600;
	CHECK_OK(ioctl(f.vm, HV_IOEVENTFD, &io));
	irqfd.flags = 0;
	CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
	close(event);
	close(f.vcpu);
	close(f.vm);
}

/* As many of each as there may be: one that goes makes room for another, and bound anew it is no other. */
#define MOST 1024

static void many_doorbells(void)
{
	struct fds f = open_all();
	int event = eventfd(0, 0);
	struct hv_ioeventfd io = {.size = sizeof(io), .fd = event, .len = 4, .addr = FAR};

	for (unsigned int i = 0; i < MOST; i++, io.addr += 4)
		CHECK_OK(ioctl(f.vm, HV_IOEVENTFD, &io));
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), ENOSPC);
	io.addr = FAR;
	io.flags = HV_IOEVENTFD_DEASSIGN;
	CHECK_OK(ioctl(f.vm, HV_IOEVENTFD, &io));
	io.flags = 0;
	CHECK_OK(ioctl(f.vm, HV_IOEVENTFD, &io));
	CHECK_ERRNO(ioctl(f.vm, HV_IOEVENTFD, &io), ENOSPC);
}

static void many_irqfds(void)
{
	struct hv_irqfd irqfd = {.size = sizeof(irqfd), .addr = 0xfee00000, .data = 0x61};
	const struct rlimit limit = {2 * MOST, 2 * MOST};
	struct fds f = open_all();
	static int event[MOST + 1];

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	for (unsigned int i = 0; i < MOST; i++) {
		irqfd.fd = event[i] = (int)CHECK_OK(eventfd(0, 0));
		CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
	}
	CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
	event[MOST] = (int)CHECK_OK(eventfd(0, 0));
	irqfd.fd = event[MOST];
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), ENOSPC);
	irqfd.fd = event[0];
	irqfd.flags = HV_IRQFD_DEASSIGN;
	CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
	irqfd.flags = 0;
	irqfd.fd = event[MOST];
	CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
	irqfd.fd = event[0];
	CHECK_ERRNO(ioctl(f.vm, HV_IRQFD, &irqfd), ENOSPC);
	/* One whose eventfd is closed is gone, too. */
	close(event[1]);
	CHECK_OK(ioctl(f.vm, HV_IRQFD, &irqfd));
}

static void messages(void)
{
	struct fds f = open_all();
	struct hv_msi msi = {.addr = 0, .data = 0x40};

	CHECK_ERRNO(ioctl(f.vm, HV_SIGNAL_MSI, &msi), EINVAL);
	msi.addr = 0xfed00000;
	CHECK_ERRNO(ioctl(f.vm, HV_SIGNAL_MSI, &msi), EINVAL);
	msi.addr = 1ull << 63 | 0xfee00000;
	CHECK_ERRNO(ioctl(f.vm, HV_SIGNAL_MSI, &msi), EINVAL);
}

/* ---- Slots ---- */

static void bad_slots(void)
{
	uint8_t *p =
		mmap(NULL, 0x100000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t max = hv_caps().max_slots;
	uint64_t limit = 1ull << hv_caps().gpa_bits;
	struct vm vm;

	vm_bare(&vm);
	CHECK_OK(vm_set_slot(&vm, 0, 0, 0x10000, 0x4000, p));
	/* The same slot again with another place or length; flags may change. */
	CHECK_ERRNO(vm_set_slot(&vm, 0, 0, 0x20000, 0x4000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 0, 0, 0x10000, 0x5000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 0, 0, 0x10000, 0x4000, p + 0x1000), EINVAL);
	CHECK_OK(vm_set_slot(&vm, 0, HV_SLOT_READONLY, 0x10000, 0x4000, p));
	/* Overlaps: front, back, inside, around, exactly. */
	CHECK_ERRNO(vm_set_slot(&vm, 1, 0, 0xf000, 0x2000, p), EEXIST);
	CHECK_ERRNO(vm_set_slot(&vm, 1, 0, 0x13000, 0x2000, p), EEXIST);
	CHECK_ERRNO(vm_set_slot(&vm, 1, 0, 0x11000, 0x1000, p), EEXIST);
	CHECK_ERRNO(vm_set_slot(&vm, 1, 0, 0, 0x40000, p), EEXIST);
	CHECK_ERRNO(vm_set_slot(&vm, 1, 0, 0x10000, 0x4000, p), EEXIST);
	CHECK_OK(vm_set_slot(&vm, 1, 0, 0xf000, 0x1000, p));
	CHECK_OK(vm_set_slot(&vm, 2, 0, 0x14000, 0x1000, p));
	/* Not aligned. */
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80001, 0x1000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 0x1001, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 0x1000, p + 1), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 1, p), EINVAL);
	/* Wrapping, beyond the address width, not in user space. */
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, ~0xfffull, 0x2000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, ~0xfffull, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, limit, 0x1000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, limit - 0x1000, 0x2000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 0x1000, (void *)0xffff888000000000), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 0x2000, (void *)0x7fffffffe000), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, 3, 0, 0x80000, 0x2000, (void *)~0xffful), EINVAL);
	/* Numbers. */
	CHECK_ERRNO(vm_set_slot(&vm, max, 0, 0x80000, 0x1000, p), EINVAL);
	CHECK_ERRNO(vm_set_slot(&vm, ~0u, 0, 0x80000, 0x1000, p), EINVAL);
	/* Deleting what is not there. */
	CHECK_ERRNO(vm_set_slot(&vm, 9, 0, 0, 0, NULL), ENOENT);
	CHECK_OK(vm_set_slot(&vm, 0, 0, 0, 0, NULL));
	CHECK_ERRNO(vm_set_slot(&vm, 0, 0, 0, 0, NULL), ENOENT);
}

/* Ten thousand slots: those beyond the limit are refused, over and over. */
static void ten_thousand_slots(void)
{
	uint8_t *p = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t max = hv_caps().max_slots;
	struct vm vm;

	vm_bare(&vm);
	for (uint32_t i = 0; i < 10000; i++) {
		if (i < max) {
			CHECK_OK(vm_set_slot(&vm, i, 0, 0x2000ull * i, 0x1000, p));
		} else {
			CHECK_ERRNO(vm_set_slot(&vm, i, 0, 0x2000ull * i, 0x1000, p), EINVAL);
		}
	}
	for (uint32_t i = 0; i < max; i++)
		CHECK_OK(vm_set_slot(&vm, i, 0, 0, 0, NULL));
}

/* ---- Lifetimes ---- */

/*
 * Run v in a thread and have a function done meanwhile. If that does not make HV_RUN
 * return, a signal does.
 */
static struct runner run_while(struct vcpu *v, void (*during)(struct vcpu *v), bool returns)
{
	struct runner r;

	runner_start(&r, v);
	while (!guest_var(v->vm, looping))
		sleep_ns(MSEC);
	during(v);
	if (!returns)
		runner_stop(&r);
	runner_join(&r);
	return r;
}

static void run_again(struct vcpu *v)
{
	CHECK_ERRNO(ioctl(v->fd, HV_RUN, 0), EBUSY);
}

static void two_threads(void)
{
	struct runner r;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_spin, 0);
	r = run_while(&v, run_again, false);
	CHECK_EQ(r.result, -1);
	CHECK_EQ(r.error, EINTR);
}

/* The VM goes on until its last vCPU is closed. */
static void vm_closed_first(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_done, 0);
	close(vm.fd);
	vcpu_done(&v);
	close(v.fd);
	/* The run page outlives the descriptor too. */
	CHECK_EQ(v.run->exit_reason, HV_EXIT_PIO);
	v.run->immediate_exit = 1;
}

static void mappings(void)
{
	uint32_t size = hv_caps().run_size;
	struct fds f = open_all();
	void *page;

	CHECK(size >= sizeof(struct hv_run) && size % 4096 == 0);
	CHECK(mmap(NULL, size + 4096, PROT_READ, MAP_SHARED, f.vcpu, 0) == MAP_FAILED);
	CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f.vcpu, 1 << 20) == MAP_FAILED);
	CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, f.vcpu, 0) == MAP_FAILED);
	CHECK(mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, f.vcpu, 0) == MAP_FAILED);
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f.vcpu, 0);
	CHECK(page != MAP_FAILED);
	CHECK_ERRNO(mprotect(page, size, PROT_READ | PROT_EXEC), EACCES);
	CHECK_OK(mprotect(page, size, PROT_READ));
}

/* A child shares the descriptors but not the memory: every call is EIO there. */
static void after_fork(void)
{
	struct hv_create_vcpu create = {.size = sizeof(create), .id = 1};
	struct hv_msi msi = {.addr = 0xfee00000, .data = 0x40};
	struct vm vm;
	struct vcpu v;
	pid_t pid;
	int status;

	vm_long(&vm, &v, g_done, 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_ERRNO(ioctl(v.fd, HV_RUN, 0), EIO);
		CHECK_ERRNO(ioctl(v.fd, HV_GET_REGS, HV_REGS_GPR), EIO);
		CHECK_ERRNO(ioctl(v.fd, HV_NMI, 0), EIO);
		CHECK_ERRNO(ioctl(vm.fd, HV_CREATE_VCPU, &create), EIO);
		CHECK_ERRNO(vm_set_slot(&vm, 0, 0, 0, 0, NULL), EIO);
		CHECK_ERRNO(ioctl(vm.fd, HV_SIGNAL_MSI, &msi), EIO);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	vcpu_done(&v);
}

/* The creator is gone; the child, left with the descriptors, gets EIO and may close them. */
static void parent_gone(void)
{
	int to_child[2], result[2], status;
	struct vm vm;
	struct vcpu v;
	pid_t pid;
	char c = 0;

	CHECK_OK(pipe(to_child));
	CHECK_OK(pipe(result));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		vm_long(&vm, &v, g_done, 0);
		if (fork() == 0) {
			/* Wait for the creator's end. */
			close(to_child[1]);
			CHECK_EQ(read(to_child[0], &c, 1), 0);
			c = ioctl(v.fd, HV_RUN, 0) < 0 && errno == EIO ? 'y' : 'n';
			CHECK_EQ(write(result[1], &c, 1), 1);
			_exit(0);
		}
		_exit(0);
	}
	close(to_child[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(to_child[1]);
	close(result[1]);
	CHECK_EQ(read(result[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
}

/* exec() with descriptors that stay open: the new program has another memory map. */
static void after_exec(void)
{
	char fd_text[16];
	pid_t pid;
	int status;

	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_done, 0);
		fcntl(v.fd, F_SETFD, 0);
		fcntl(vm.fd, F_SETFD, 0);
		snprintf(fd_text, sizeof(fd_text), "%d", v.fd);
		execl("/proc/self/exe", "callers", "--run-descriptor", fd_text, (char *)NULL);
		_exit(3);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* The program that after_exec() starts. */
static int run_descriptor(int fd)
{
	return ioctl(fd, HV_RUN, 0) < 0 && errno == EIO ? 0 : 1;
}

static void kill_running(void)
{
	for (unsigned int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (pid == 0) {
			struct vm vm;
			struct vcpu v[2];

			vm_init(&vm);
			for (unsigned int n = 0; n < 2; n++) {
				vcpu_init(&v[n], &vm, n);
				vcpu_long(&v[n], n ? g_spin : g_touch, GUEST_FREE);
				vcpu_interruptible(&v[n]);
				vcpu_start(&v[n]);
			}
			pause();
		}
		sleep_ns((20 + 13 * i) * MSEC);
		kill(pid, SIGKILL);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
	}
}

/* ---- The memory under a running guest ---- */

static uint8_t *victim;
static int victim_file;

static void unmap(struct vcpu *v)
{
	(void)v;
	CHECK_OK(munmap(victim, 0x2000));
}

static void drop(struct vcpu *v)
{
	(void)v;
	for (unsigned int i = 0; i < 200; i++) {
		CHECK_OK(madvise(victim, 0x2000, MADV_DONTNEED));
		sleep_ns(MSEC);
	}
}

static void truncate_file(struct vcpu *v)
{
	(void)v;
	CHECK_OK(ftruncate(victim_file, 0));
}

static void delete_slot(struct vcpu *v)
{
	CHECK_OK(vm_set_slot(v->vm, 1, 0, 0, 0, NULL));
}

static struct runner lose_memory(struct vcpu *v, struct vm *vm, void (*how)(struct vcpu *v),
				 bool returns)
{
	vm_long(vm, v, g_touch, FAR);
	vcpu_interruptible(v);
	victim_file = memfd_create("victim", 0);
	CHECK_OK(ftruncate(victim_file, 0x2000));
	victim = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, victim_file, 0);
	CHECK(victim != MAP_FAILED);
	CHECK_OK(vm_set_slot(vm, 1, 0, FAR, 0x2000, victim));
	return run_while(v, how, returns);
}

static void munmap_running(void)
{
	struct vm vm;
	struct vcpu v;
	struct runner r = lose_memory(&v, &vm, unmap, true);

	CHECK_EQ(r.result, 0);
	CHECK_EQ(v.run->exit_reason, HV_EXIT_ERROR);
	CHECK_EQ(v.run->exit.error.code, HV_ERROR_MEMORY);
}

static void dontneed_running(void)
{
	struct vm vm;
	struct vcpu v;
	struct runner r = lose_memory(&v, &vm, drop, false);

	CHECK_EQ(r.result, -1);
	CHECK_EQ(r.error, EINTR);
}

static void truncate_running(void)
{
	struct vm vm;
	struct vcpu v;
	struct runner r = lose_memory(&v, &vm, truncate_file, true);

	CHECK_EQ(r.result, 0);
	CHECK_EQ(v.run->exit_reason, HV_EXIT_ERROR);
	CHECK_EQ(v.run->exit.error.code, HV_ERROR_MEMORY);
}

/* The counter is a read-modify-write: without its slot it needs emulation. */
static void delete_running(void)
{
	struct vm vm;
	struct vcpu v;
	struct runner r = lose_memory(&v, &vm, delete_slot, true);

	CHECK_EQ(r.result, 0);
	CHECK(v.run->exit_reason == HV_EXIT_EMULATE || v.run->exit_reason == HV_EXIT_MMIO);
}

/* ---- Random calls ---- */

/* Values on and around borders as often as any others. */
static uint64_t random_value(void)
{
	static const uint64_t border[] = {
		0,	    1,		4,	    8,		0xfff,	    0x1000, 0xffff,
		0x80000000, 0xffffffff, 1ull << 47, 1ull << 48, 1ull << 63, ~0ull};

	switch (random64() % 4) {
	case 0:
		return border[random64() % ARRAY_SIZE(border)] + random64() % 3 - 1;
	case 1:
		return random64() % 64;
	default:
		return random64() >> (random64() % 64);
	}
}

static unsigned long random_call(void)
{
	switch (random64() % 4) {
	case 0:
		return system_calls[random64() % ARRAY_SIZE(system_calls)];
	case 1:
		return vm_calls[random64() % ARRAY_SIZE(vm_calls)];
	case 2:
		return vcpu_calls[random64() % ARRAY_SIZE(vcpu_calls)];
	default:
		return _IO(HV_IOC, random64() % 256);
	}
}

/* Anything in the arguments and in the run page; the kernel must only ever say no. */
static void fuzz(void)
{
	uint64_t *argument =
		mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct itimerspec every = {{0, 2000000}, {0, 2000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction sa = {.sa_handler = ignore_signal};
	uint64_t end_at = now_ns() + 10 * SEC;
	uint64_t *page;
	struct vm vm;
	struct vcpu v;
	timer_t timer;

	/* Descriptors that calls create must not pile up. */
	sigaction(SIGUSR1, &sa, NULL);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &every, NULL));
	while (now_ns() < end_at) {
		int system = hv_open();

		vm_long(&vm, &v, g_done, 0);
		page = (uint64_t *)v.run;
		for (unsigned int i = 0; i < 300; i++) {
			const int fds[] = {system, vm.fd, v.fd};
			int fd = fds[random64() % 3], created;
			unsigned long call = random_call();

			for (unsigned int n = 0; n < 16; n++)
				argument[n] = random_value();
			/* A size that is right gets further. */
			if (random64() % 2)
				*(uint32_t *)argument = (uint32_t)(8 * (random64() % 8));
			for (unsigned int n = 0; random64() % 4 && n < 8; n++)
				page[random64() % (sizeof(struct hv_run) / 8)] = random_value();
			created = ioctl(fd, call,
					random64() % 8 ? (uintptr_t)argument : random_value());
			if (created > v.fd && (call == HV_CREATE_VM || call == HV_CREATE_VCPU))
				close(created);
		}
		vcpu_close(&v);
		vm_close(&vm);
		close(system);
	}
}

static const struct test tests[] = {
	{"unknown_calls", unknown_calls, 0},
	{"wrong_descriptor", wrong_descriptor, 0},
	{"bad_pointers", bad_pointers, 0},
	{"apic_registers", apic_registers, 0},
	{"sizes", sizes, 0},
	{"caps_sizes", caps_sizes, 0},
	{"flags_and_padding", flags_and_padding, 0},
	{"vcpu_ids", vcpu_ids, 0},
	{"descriptors", descriptors, 0},
	{"cpuid_tables", cpuid_tables, 0},
	{"cpuid_as_kernel", cpuid_as_kernel, 0},
	{"eventfds", eventfds, 0},
	{"many_irqfds", many_irqfds, 0},
	{"many_doorbells", many_doorbells, 0},
	{"messages", messages, 0},
	{"bad_slots", bad_slots, 0},
	{"ten_thousand_slots", ten_thousand_slots, 60},
	{"two_threads", two_threads, 0},
	{"vm_closed_first", vm_closed_first, 0},
	{"mappings", mappings, 0},
	{"after_fork", after_fork, 0},
	{"parent_gone", parent_gone, 0},
	{"after_exec", after_exec, 0},
	{"kill_running", kill_running, 60},
	{"munmap_running", munmap_running, 0},
	{"dontneed_running", dontneed_running, 0},
	{"truncate_running", truncate_running, 0},
	{"delete_running", delete_running, 0},
	{"fuzz", fuzz, 60},
};

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--run-descriptor") == 0)
		return run_descriptor(atoi(argv[2]));
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
