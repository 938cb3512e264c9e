/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small library over include/uapi/hv.h for the tests: VMs, slots and vCPUs in
 * real, protected and long mode. Whatever goes wrong ends the test by
 * test_fail(); where an error is what a test is about, it calls ioctl() itself.
 *
 * Guest memory is GUEST_RAM bytes at address 0, slot 0:
 */
#ifndef TESTS_VM_H
#define TESTS_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "include/uapi/hv.h"
#include "guest.h"

#define GUEST_PML4   0x1000 /* identity map of the first 4 GiB, 2 MiB pages */
#define GUEST_PDPT   0x2000
#define GUEST_PD     0x3000 /* four of them */
#define GUEST_PT     0x7000 /* 4 KiB pages of the window */
#define GUEST_IDT    0x8000
#define GUEST_GDT    0x9000   /* 128 bytes for each vCPU */
#define GUEST_TSS    0xb000   /* 128 bytes for each vCPU */
#define GUEST_LOW    0x10000  /* to 0xa0000: for code of the tests below 1 MiB */
#define GUEST_STACKS 0x800000 /* 64 KiB for each vCPU */
#define GUEST_FREE   0xc00000 /* to the end: for the tests */
#define GUEST_RAM    0x1000000

/*
 * The window: 2 MiB of linear addresses with a page table of 4 KiB pages, empty
 * at first; see vm_map().
 */
#define GUEST_WINDOW 0x40000000ul

/* Selectors of the guest's GDT. */
enum {
	SEL_CODE64 = 0x08,
	SEL_DATA = 0x10,
	SEL_CODE32 = 0x18,
	SEL_USER_DATA = 0x20, /* as SYSRET wants them: data, then 64-bit code */
	SEL_USER_CODE = 0x28,
	SEL_CODE16 = 0x30,
	SEL_ABSENT = 0x38, /* a data segment that is not present */
	SEL_TSS = 0x40,
};

#define CR0_PE	       0x1ul
#define CR0_MP	       0x2ul
#define CR0_EM	       0x4ul
#define CR0_TS	       0x8ul
#define CR0_ET	       0x10ul
#define CR0_NE	       0x20ul
#define CR0_WP	       0x10000ul
#define CR0_AM	       0x40000ul
#define CR0_NW	       0x20000000ul
#define CR0_CD	       0x40000000ul
#define CR0_PG	       0x80000000ul

#define CR4_DE	       0x8ul
#define CR4_PSE	       0x10ul
#define CR4_PAE	       0x20ul
#define CR4_MCE	       0x40ul
#define CR4_PGE	       0x80ul
#define CR4_OSFXSR     0x200ul
#define CR4_OSXMMEXCPT 0x400ul
#define CR4_VMXE       0x2000ul
#define CR4_PCIDE      0x20000ul
#define CR4_OSXSAVE    0x40000ul

#define EFER_SCE       0x1ul
#define EFER_LME       0x100ul
#define EFER_LMA       0x400ul
#define EFER_NXE       0x800ul
#define EFER_SVME      0x1000ul

#define FLAG_TF	       0x100ul
#define FLAG_IF	       0x200ul
#define FLAG_RF	       0x10000ul
#define FLAG_VM	       0x20000ul

#define PTE_P	       0x1ul
#define PTE_W	       0x2ul
#define PTE_U	       0x4ul
#define PTE_A	       0x20ul
#define PTE_D	       0x40ul
#define PTE_G	       0x100ul
#define PTE_X	       0x8000000000000000ul /* no execute */

struct vm {
	int fd;
	uint8_t *ram; /* GUEST_RAM bytes; NULL for vm_bare() */
};

struct vcpu {
	struct vm *vm;
	int fd;
	unsigned int id;
	struct hv_run *run;
};

/* The guest's copy of a variable of this program. */
#define guest_var(vm, variable) (*(__typeof__(variable) *)((vm)->ram + (uintptr_t) & (variable)))
/* The same of something at a guest-physical address in RAM. */
#define guest_at(vm, type, gpa) (*(volatile type *)((vm)->ram + (gpa)))

/* /dev/hv, and what it can do. */
int hv_open(void);
struct hv_caps hv_caps(void);
bool host_is_vmx(void);

/*
 * Is the host QEMU's emulation of a processor? It leaves out some checks that a
 * processor makes by itself, which tests of them must know; each says what.
 */
bool host_is_tcg(void);
/* The same for Bochs's AMD-V; what it gets wrong is in docs/testing.md. */
bool host_is_bochs_amd(void);
/* End the test there: "Bochs's AMD-V WHY". */
void skip_on_bochs_amd(const char *why);

/* A VM without memory; and one with the RAM above, this program copied into it. */
void vm_bare(struct vm *vm);
void vm_init(struct vm *vm);
/* The latter with a TSC of another frequency than the host's. */
void vm_init_tsc(struct vm *vm, uint32_t tsc_khz);
/* The same, whose memory keeps its contents when the host is told to forget its pages. */
void vm_init_shared(struct vm *vm);
void vm_close(struct vm *vm);

/* HV_SET_SLOT: the call's own result. hva is the host's address of the memory. */
int vm_set_slot(struct vm *vm, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len,
		const void *hva);
/* The same, of new anonymous memory, which must work. Returns the memory. */
uint8_t *vm_add_slot(struct vm *vm, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len);
/* HV_SIGNAL_MSI to an APIC id, edge-triggered and fixed: its result, which must be 0 or more. */
int vm_msi(struct vm *vm, uint32_t dest, uint8_t vector);
/* Map page number "page" of the window on gpa with PTE_* flags. */
void vm_map(struct vm *vm, unsigned int page, uint64_t gpa, uint64_t flags);
/* Copy code to guest memory. */
void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t len);

/*
 * Put code at a page below 1 MiB that takes a vCPU from real mode to long mode
 * and calls fn(vCPU id) there; for vCPUs 0 to cpus - 1.
 */
void vm_load_start16(struct vm *vm, uint64_t gpa, unsigned int cpus, void (*fn)(uint64_t));

/* Random bytes that are meant as code. */
void random_code(uint8_t *p, size_t len);

/* Create a vCPU in its reset state. */
void vcpu_init(struct vcpu *v, struct vm *vm, unsigned int id);
void vcpu_close(struct vcpu *v);
/* HV_GET_REGS and HV_SET_REGS that must work. */
void vcpu_get(struct vcpu *v, uint64_t groups);
void vcpu_set(struct vcpu *v, uint64_t groups);

/* Put it in long mode, interrupts off, about to call fn(arg) on its own stack. */
void vcpu_long(struct vcpu *v, void (*fn)(uint64_t), uint64_t arg);
/* In long mode, about to execute at rip with the registers in run->gprs zero but RSP. */
void vcpu_long_at(struct vcpu *v, uint64_t rip);
/* 32-bit protected mode without paging, flat segments, at eip. */
void vcpu_flat32(struct vcpu *v, uint32_t eip);
/*
 * For a guest that spins without exits: where the host could not end its stay
 * otherwise (Bochs's AMD-V), interrupts go on. None is sent to it.
 */
void vcpu_interruptible(struct vcpu *v);
/* Real mode at segment:offset, the other segments the same. */
void vcpu_real(struct vcpu *v, uint16_t segment, uint16_t offset);

/*
 * HV_RUN, and what it returns. Again where it returns EINTR for work that the kernel had for this
 * thread, which some kernels do ten times a second; so EINTR means that immediate_exit was set.
 */
int vcpu_try_run(struct vcpu *v);
/*
 * The same, which must return 0: the exit reason. A check that fails in the guest,
 * and an exception that it does not expect, fail the test.
 */
uint32_t vcpu_run(struct vcpu *v);
/* HV_RUN until this reason, port and step; anything else fails the test. */
void vcpu_expect(struct vcpu *v, uint32_t reason);
void vcpu_out(struct vcpu *v, uint16_t port);
void vcpu_sync(struct vcpu *v, uint32_t n);
void vcpu_done(struct vcpu *v);
/* The value of RAX etc. at the last exit (run->wanted has HV_REGS_GPR). */
#define vcpu_reg(v, name) ((v)->run->gprs.r[HV_##name])

/* One MSR as the host sees it. */
uint64_t vcpu_get_msr(struct vcpu *v, uint32_t index);
void vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value);

/* Complete the instruction that exited, without going on in the guest. */
void vcpu_complete(struct vcpu *v);

/* The local APIC in x2APIC mode and enabled; and the end of an interrupt there. */
void vcpu_x2apic_on(struct vcpu *v);
void vcpu_eoi(struct vcpu *v);

/* Say what exit v last had, in a static string. */
const char *vcpu_describe(const struct vcpu *v);

/* A thread that runs a vCPU until it is done; and the wait for its end. */
pthread_t vcpu_start(struct vcpu *v);
void vcpu_join(pthread_t thread);
/* Each in such a thread, all at once, until all are done. */
void vcpus_run(struct vcpu *v, unsigned int n);

/*
 * A thread in vcpu_try_run(), whatever that returns; a signal that ends the call; the wait for
 * the thread, after which the result is valid.
 */
struct runner {
	struct vcpu *v;
	pthread_t thread;
	int result, error;
};

void runner_start(struct runner *r, struct vcpu *v);
void runner_stop(struct runner *r);
void runner_join(struct runner *r);
/* A handler that does nothing, but for making calls return with EINTR. */
void ignore_signal(int number);

/* long mode with fn in one step: VM, vCPU 0. */
void vm_long(struct vm *vm, struct vcpu *v, void (*fn)(uint64_t), uint64_t arg);

#endif
