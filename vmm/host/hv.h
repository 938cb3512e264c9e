/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls of /dev/hv (include/uapi/hv.h), one function each. machine.c and
 * vcpu.c use them; nothing else in the monitor talks to the module.
 *
 * Functions that take a struct error explain a failure to the user; the others
 * run on hot paths or on behalf of a device and only return a negative errno.
 */
#ifndef VMM_HOST_HV_H
#define VMM_HOST_HV_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "include/uapi/hv.h"

#define HV_DEVICE "/dev/hv"

int hv_get_caps(int hv_fd, struct hv_caps *caps);
/* The system descriptor, checked to speak our version of the ABI. */
int hv_open(struct hv_caps *caps, struct error *e);
/* Fill entries (room for HV_MAX_CPUID); returns how many there are. */
int hv_get_cpuid(int hv_fd, struct hv_cpuid_entry *entries, struct error *e);
/* tsc_khz: frequency of the guest's TSC; 0: the host's. */
int hv_create_vm(int hv_fd, uint32_t tsc_khz, struct error *e);

/* flags: HV_SLOT_* */
int hv_set_slot(int vm_fd, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len, void *hva,
		struct error *e);
int hv_create_vcpu(int vm_fd, uint32_t id, struct error *e);
/* Returns how many vCPUs accepted the message. */
int hv_signal_msi(int vm_fd, uint64_t addr, uint32_t data);
int hv_bind_irqfd(int vm_fd, int fd, uint64_t addr, uint32_t data);
int hv_unbind_irqfd(int vm_fd, int fd);
/* len 0: any width */
int hv_bind_ioeventfd(int vm_fd, int fd, bool pio, uint64_t addr, unsigned int len,
		      const uint64_t *match);
int hv_unbind_ioeventfd(int vm_fd, int fd, bool pio, uint64_t addr, unsigned int len,
			const uint64_t *match);

/* Map the run page of a vCPU: NULL on failure. */
struct hv_run *hv_map_run(int vcpu_fd, uint32_t run_size, struct error *e);
void hv_unmap_run(struct hv_run *run, uint32_t run_size);
/* Write one MSR as the host: -EINVAL when the module does not take it. */
int hv_set_msr(int vcpu_fd, uint32_t index, uint64_t value, struct error *e);
int hv_set_cpuid(int vcpu_fd, const struct hv_cpuid_entry *entries, unsigned int count,
		 struct error *e);
/* image: as many bytes as hv_caps.xsave_size says */
int hv_get_xsave(int vcpu_fd, void *image, uint32_t len);
int hv_set_xsave(int vcpu_fd, const void *image, uint32_t len);
/* A register in the vCPU's xAPIC page. A write returns what HV_WRITE_APIC does. */
int hv_read_apic(int vcpu_fd, uint32_t offset, uint32_t *value);
int hv_write_apic(int vcpu_fd, uint32_t offset, uint32_t value);
/* The vCPU as hv_create_vcpu() made it, but for its CPUID table. */
int hv_reset_vcpu(int vcpu_fd, struct error *e);
/* What kvm-clock and the TSC of the VM show. */
int hv_get_clock(int vm_fd, struct hv_clock *clock);
int hv_set_clock(int vm_fd, const struct hv_clock *clock);
/* groups: HV_REGS_*, stored in the run page */
int hv_get_regs(int vcpu_fd, uint64_t groups);
int hv_run_vcpu(int vcpu_fd);

#endif
