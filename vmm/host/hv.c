// SPDX-License-Identifier: GPL-2.0-or-later
/* The only file that calls ioctl() on /dev/hv; machine.c and vcpu.c call it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/hv.h"

static int call(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

static int open_failed(int err, struct error *e)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return error_set(e, err,
				 "there is no " HV_DEVICE ": load the module with 'modprobe hv' "
				 "('vmm check' says more)");
	case EACCES:
	case EPERM:
		return error_set(e, err,
				 "no permission to open " HV_DEVICE
				 ": 'vmm check' prints the command that grants it");
	default:
		return error_set(e, err, "cannot open " HV_DEVICE ": %s; 'vmm check' may know why",
				 strerror(err));
	}
}

int hv_get_caps(int hv_fd, struct hv_caps *caps)
{
	int ret;

	memset(caps, 0, sizeof(*caps));
	caps->size = sizeof(*caps);
	ret = call(hv_fd, HV_GET_CAPS, caps);
	return ret < 0 ? ret : 0;
}

int hv_open(struct hv_caps *caps, struct error *e)
{
	int fd = open(HV_DEVICE, O_RDWR | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return open_failed(errno, e);

	ret = hv_get_caps(fd, caps);
	if (ret < 0) {
		ret = error_set(e, -ret, HV_DEVICE " does not answer as the hv module does: %s",
				strerror(-ret));
	} else if (caps->abi_version != HV_ABI_VERSION) {
		ret = error_set(e, EPROTO,
				"the loaded hv module speaks version %u of the interface and this "
				"vmm version %u: install both from the same release, then "
				"'rmmod hv && modprobe hv'",
				caps->abi_version, HV_ABI_VERSION);
	} else {
		return fd;
	}
	close(fd);
	return ret;
}

int hv_get_cpuid(int hv_fd, struct hv_cpuid_entry *entries, struct error *e)
{
	struct hv_cpuid table = {.count = HV_MAX_CPUID, .entries = (uintptr_t)entries};
	int ret = call(hv_fd, HV_GET_CPUID, &table);

	if (ret < 0)
		return error_set(e, -ret, "the hv module gave no CPUID table: %s", strerror(-ret));
	if (table.count > HV_MAX_CPUID)
		return error_set(e, EPROTO, "the hv module gave a CPUID table of %u entries",
				 table.count);
	return table.count;
}

int hv_create_vm(int hv_fd, uint32_t tsc_khz, struct error *e)
{
	struct hv_create_vm args = {.size = sizeof(args), .tsc_khz = tsc_khz};
	int ret;

	/* Also what io_uring left to do for this thread, after a reboot, interrupts it. */
	do {
		ret = call(hv_fd, HV_CREATE_VM, &args);
	} while (ret == -EINTR);

	if (ret == -EBUSY)
		return error_set(
			e, EBUSY,
			"another hypervisor holds this machine's virtualisation: unload it, "
			"for KVM with 'modprobe -r kvm_amd kvm_intel kvm' ('vmm check' says "
			"which)");
	if (ret == -ENOMEM)
		return error_set(e, ENOMEM, "the host has no memory left for another VM");
	if (ret == -EOPNOTSUPP)
		return error_set_at(
			e, EOPNOTSUPP, "tsc-khz",
			"a guest's TSC cannot run at %u kHz here: hv scales it on VT-x only, "
			"where the processor can (tsc_scaling in /proc/cpuinfo)",
			tsc_khz);
	if (ret < 0)
		return error_set(e, -ret, "cannot create a VM: %s; look at 'dmesg'",
				 strerror(-ret));
	return ret;
}

int hv_set_slot(int vm_fd, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len, void *hva,
		struct error *e)
{
	struct hv_slot args = {.size = sizeof(args),
			       .slot = slot,
			       .flags = flags,
			       .gpa = gpa,
			       .len = len,
			       .hva = (uintptr_t)hva};
	int ret = call(vm_fd, HV_SET_SLOT, &args);

	if (ret < 0)
		return error_set(e, -ret, "cannot give the guest %llu MiB of memory at %#llx: %s",
				 (unsigned long long)(len >> 20), (unsigned long long)gpa,
				 strerror(-ret));
	return 0;
}

int hv_create_vcpu(int vm_fd, uint32_t id, struct error *e)
{
	struct hv_create_vcpu args = {.size = sizeof(args), .id = id};
	int ret = call(vm_fd, HV_CREATE_VCPU, &args);

	if (ret < 0)
		return error_set(e, -ret, "cannot create vCPU %u: %s", id, strerror(-ret));
	return ret;
}

int hv_set_msr(int vcpu_fd, uint32_t index, uint64_t value, struct error *e)
{
	struct hv_msr_entry entry = {.index = index, .value = value};
	struct hv_msrs args = {.count = 1, .entries = (uintptr_t)&entry};
	int ret = call(vcpu_fd, HV_SET_MSRS, &args);

	if (ret < 0)
		return error_set(e, -ret, "cannot set MSR %#x: %s", index, strerror(-ret));
	if (ret != 1)
		return error_set(e, EINVAL, "the hv module refused a value for MSR %#x", index);
	return 0;
}

int hv_signal_msi(int vm_fd, uint64_t addr, uint32_t data)
{
	struct hv_msi args = {.addr = addr, .data = data};

	return call(vm_fd, HV_SIGNAL_MSI, &args);
}

int hv_bind_irqfd(int vm_fd, int fd, uint64_t addr, uint32_t data)
{
	struct hv_irqfd args = {.size = sizeof(args), .fd = fd, .addr = addr, .data = data};

	return call(vm_fd, HV_IRQFD, &args);
}

int hv_unbind_irqfd(int vm_fd, int fd)
{
	struct hv_irqfd args = {.size = sizeof(args), .fd = fd, .flags = HV_IRQFD_DEASSIGN};

	return call(vm_fd, HV_IRQFD, &args);
}

static int ioeventfd(int vm_fd, int fd, uint32_t flags, bool pio, uint64_t addr, unsigned int len,
		     const uint64_t *match)
{
	struct hv_ioeventfd args = {.size = sizeof(args),
				    .fd = fd,
				    .addr = addr,
				    .len = len,
				    .datamatch = match ? *match : 0,
				    .flags = flags | (pio ? HV_IOEVENTFD_PIO : 0) |
					     (match ? HV_IOEVENTFD_DATAMATCH : 0)};

	return call(vm_fd, HV_IOEVENTFD, &args);
}

int hv_bind_ioeventfd(int vm_fd, int fd, bool pio, uint64_t addr, unsigned int len,
		      const uint64_t *match)
{
	return ioeventfd(vm_fd, fd, 0, pio, addr, len, match);
}

int hv_unbind_ioeventfd(int vm_fd, int fd, bool pio, uint64_t addr, unsigned int len,
			const uint64_t *match)
{
	return ioeventfd(vm_fd, fd, HV_IOEVENTFD_DEASSIGN, pio, addr, len, match);
}

struct hv_run *hv_map_run(int vcpu_fd, uint32_t run_size, struct error *e)
{
	struct hv_run *run;

	if (run_size < sizeof(*run)) {
		error_set(e, EPROTO, "the hv module offers a run page of only %u bytes", run_size);
		return NULL;
	}
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (run == MAP_FAILED) {
		error_set(e, errno, "cannot map the run page of a vCPU: %s", strerror(errno));
		return NULL;
	}
	return run;
}

void hv_unmap_run(struct hv_run *run, uint32_t run_size)
{
	if (run)
		munmap(run, run_size);
}

int hv_set_cpuid(int vcpu_fd, const struct hv_cpuid_entry *entries, unsigned int count,
		 struct error *e)
{
	struct hv_cpuid table = {.count = count, .entries = (uintptr_t)entries};
	int ret = call(vcpu_fd, HV_SET_CPUID, &table);

	if (ret < 0)
		return error_set(e, -ret, "the hv module refused the guest's CPUID table: %s",
				 strerror(-ret));
	return 0;
}

int hv_get_xsave(int vcpu_fd, void *image, uint32_t len)
{
	const struct hv_xsave args = {.len = len, .buffer = (uintptr_t)image};

	return call(vcpu_fd, HV_GET_XSAVE, &args);
}

int hv_set_xsave(int vcpu_fd, const void *image, uint32_t len)
{
	const struct hv_xsave args = {.len = len, .buffer = (uintptr_t)image};

	return call(vcpu_fd, HV_SET_XSAVE, &args);
}

int hv_read_apic(int vcpu_fd, uint32_t offset, uint32_t *value)
{
	struct hv_apic_register args = {.offset = offset};
	int ret = call(vcpu_fd, HV_READ_APIC, &args);

	*value = args.value;
	return ret;
}

int hv_write_apic(int vcpu_fd, uint32_t offset, uint32_t value)
{
	const struct hv_apic_register args = {.offset = offset, .value = value};

	return call(vcpu_fd, HV_WRITE_APIC, &args);
}

int hv_get_regs(int vcpu_fd, uint64_t groups)
{
	return call(vcpu_fd, HV_GET_REGS, (const void *)(uintptr_t)groups);
}

int hv_run_vcpu(int vcpu_fd)
{
	return call(vcpu_fd, HV_RUN, NULL);
}

int hv_reset_vcpu(int vcpu_fd, struct error *e)
{
	int ret = call(vcpu_fd, HV_RESET, NULL);

	return ret < 0 ? error_set(e, -ret, "cannot reset a vCPU: %s", strerror(-ret)) : 0;
}

int hv_get_clock(int vm_fd, struct hv_clock *clock)
{
	return call(vm_fd, HV_GET_CLOCK, clock);
}

int hv_set_clock(int vm_fd, const struct hv_clock *clock)
{
	return call(vm_fd, HV_SET_CLOCK, clock);
}
