/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of /dev/hv: everything user space and the module say to each other.
 *
 * One file descriptor stands for the system (/dev/hv), one for each VM and one
 * for each vCPU; an object lives as long as its descriptor, and a vCPU keeps
 * its VM alive. All calls on a VM or vCPU descriptor must come from a process
 * with the memory map that created the VM (EIO otherwise).
 *
 * A struct whose first field is "size" may grow: the caller stores the size it
 * was compiled with, the module takes fields that came later as zero and refuses
 * non-zero fields that it does not know with E2BIG. One that is shorter than its
 * first version gets EINVAL. Flags and padding that are
 * not defined here must be zero (EINVAL). An unknown call gets ENOTTY, a bad
 * pointer EFAULT.
 */
#ifndef HV_UAPI_H
#define HV_UAPI_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define HV_ABI_VERSION 1
#define HV_IOC	       0xB7

/* Limits that are part of the ABI; the ones in force are in struct hv_caps. */
#define HV_MAX_VCPUS 64	 /* vCPU ids (= APIC ids) are 0..63 */
#define HV_MAX_SLOTS 512 /* slot ids are 0..511 */
#define HV_MAX_CPUID 128 /* entries of a CPUID table */
#define HV_MAX_MSRS  256 /* entries in one HV_GET_MSRS/HV_SET_MSRS */

/* ------------------------------------------------------------------------- */
/* System descriptor: /dev/hv                                                 */

enum hv_backend {
	HV_BACKEND_SVM = 1, /* AMD-V with nested paging */
	HV_BACKEND_VMX = 2, /* VT-x with EPT and unrestricted guest */
};

/* hv_caps.features */
#define HV_FEATURE_TSC_DEADLINE (1ULL << 0) /* LAPIC timer: TSC-deadline mode */
#define HV_FEATURE_X2APIC	(1ULL << 1)
#define HV_FEATURE_PVCLOCK	(1ULL << 2) /* kvm-clock for the guest */
#define HV_FEATURE_TSC_SCALING	(1ULL << 3) /* hv_create_vm.tsc_khz */

struct hv_caps {
	__u32 size;
	__u32 abi_version; /* HV_ABI_VERSION of the module */
	__u32 backend;	   /* enum hv_backend */
	__u32 max_vcpus;
	__u32 max_slots;
	__u32 run_size;	  /* bytes to mmap() from a vCPU descriptor */
	__u32 tsc_khz;	  /* frequency of the TSC here */
	__u32 gpa_bits;	  /* width of a guest-physical address */
	__u32 xsave_size; /* bytes of an HV_GET_XSAVE image */
	__u32 pad;
	__u64 features; /* HV_FEATURE_* */
	__u64 xcr0;	/* XCR0 bits a guest may set */
};

struct hv_cpuid_entry {
	__u32 function; /* EAX */
	__u32 index;	/* ECX, where HV_CPUID_INDEXED is set */
	__u32 flags;	/* HV_CPUID_* */
	__u32 eax, ebx, ecx, edx;
	__u32 pad;
};

#define HV_CPUID_INDEXED (1U << 0) /* the leaf depends on ECX */

struct hv_cpuid {
	__u32 count; /* in: room; out: entries */
	__u32 pad;
	__u64 entries; /* user pointer to struct hv_cpuid_entry[] */
};

struct hv_msr_list {
	__u32 count; /* in: room; out: entries */
	__u32 pad;
	__u64 indices; /* user pointer to __u32[] */
};

#define HV_TSC_KHZ_MIN 1000
#define HV_TSC_KHZ_MAX 100000000

struct hv_create_vm {
	__u32 size;
	__u32 flags;   /* none defined */
	__u32 tsc_khz; /* frequency of the guest's TSC; 0: as hv_caps has it */
	__u32 pad;
};

/*
 * Fill a struct hv_caps. A shorter struct than the module's is filled as far as
 * it goes; "size" comes back as the number of bytes the module knows.
 */
#define HV_GET_CAPS _IO(HV_IOC, 0x00)
/*
 * The CPUID table this host offers guests: what HV_SET_CPUID accepts at most.
 * E2BIG, with "count" set to the number needed, when there is too little room.
 */
#define HV_GET_CPUID _IOWR(HV_IOC, 0x01, struct hv_cpuid)
/* The MSRs of a vCPU's state: docs/abi.md. */
#define HV_GET_MSR_LIST _IOWR(HV_IOC, 0x03, struct hv_msr_list)
/*
 * Create a VM: returns its descriptor. EBUSY: another hypervisor holds the
 * processor's virtualisation (see hv(4)). EINTR: a signal came first. ESHUTDOWN:
 * the host is going down. EOPNOTSUPP: a TSC frequency that is not the host's,
 * without HV_FEATURE_TSC_SCALING. EINVAL: one outside HV_TSC_KHZ_MIN to _MAX.
 */
#define HV_CREATE_VM _IO(HV_IOC, 0x02)

/* ------------------------------------------------------------------------- */
/* VM descriptor                                                              */

struct hv_create_vcpu {
	__u32 size;
	__u32 id;    /* vCPU id and initial APIC id; 0 is the BSP */
	__u64 flags; /* none defined */
};

/* hv_slot.flags */
#define HV_SLOT_READONLY (1ULL << 0) /* writes exit as MMIO */

struct hv_slot {
	__u32 size;
	__u32 slot;  /* slot id */
	__u64 flags; /* HV_SLOT_* */
	__u64 gpa;   /* 4 KiB aligned */
	__u64 len;   /* 4 KiB multiple; 0 deletes the slot */
	__u64 hva;   /* 4 KiB aligned address in the caller */
};

/* hv_irqfd.flags, hv_ioeventfd.flags */
#define HV_IRQFD_DEASSIGN      (1U << 0)
#define HV_IOEVENTFD_DEASSIGN  (1U << 0)
#define HV_IOEVENTFD_PIO       (1U << 1) /* addr is a port, not a gpa */
#define HV_IOEVENTFD_DATAMATCH (1U << 2) /* only for this value */

struct hv_irqfd {
	__u32 size;
	__u32 flags; /* HV_IRQFD_* */
	__s32 fd;    /* eventfd */
	__u32 data;  /* MSI data */
	__u64 addr;  /* MSI address */
};

struct hv_ioeventfd {
	__u32 size;
	__u32 flags; /* HV_IOEVENTFD_* */
	__s32 fd;    /* eventfd */
	__u32 len;   /* 1, 2, 4 or 8; 0: any width */
	__u64 addr;  /* gpa or port */
	__u64 datamatch;
};

struct hv_msi {
	__u64 addr;
	__u32 data;
	__u32 pad;
};

/* hv_clock.flags */
#define HV_CLOCK_STOPPED (1U << 0) /* HV_SET_CLOCK: the guest was stopped meanwhile, tell it */
#define HV_CLOCK_KEEP	 (1U << 1) /* HV_SET_CLOCK: ns and tsc do not count, both go on as they did */

/* Where the VM's clock and its TSC were at one moment. */
struct hv_clock {
	__u64 ns;      /* of kvm-clock */
	__u64 tsc;     /* of the VM; HV_MSR_TSC_OFFSET is a vCPU's distance to it */
	__u32 tsc_khz; /* its frequency */
	__u32 flags;   /* HV_CLOCK_* */
};

/*
 * Create a vCPU: returns its descriptor. EINVAL: the id is too large. EEXIST: it is
 * taken. ESHUTDOWN: the host is going down.
 */
#define HV_CREATE_VCPU _IO(HV_IOC, 0x20)
/*
 * Create, change or delete a memory slot. EEXIST: overlaps another slot. EINVAL:
 * not aligned, wraps, beyond gpa_bits, or not wholly in user space. ENOENT: the slot
 * to be deleted does not exist. A slot's length and addresses cannot change while it
 * exists (EINVAL); its flags can.
 */
#define HV_SET_SLOT _IO(HV_IOC, 0x21)
/*
 * Bind an eventfd to an MSI: each signal delivers it. Binding an eventfd that
 * is bound already replaces its message. An event already pending in the
 * eventfd is delivered at once. HV_IRQFD_DEASSIGN: unbind (ENOENT: not bound).
 * EBADF, EINVAL: not an eventfd. EINVAL: not an MSI. ENOSPC: too many.
 */
#define HV_IRQFD _IO(HV_IOC, 0x22)
/*
 * Signal an eventfd when a vCPU writes to a port or address, without an exit.
 * EEXIST: the same address, length and match are bound already. ENOENT: there is
 * no such binding to be undone. EBADF, EINVAL: not an eventfd. EINVAL: an access
 * that cannot be. ENOSPC: too many.
 */
#define HV_IOEVENTFD _IO(HV_IOC, 0x23)
/*
 * Deliver an MSI (Intel SDM Vol. 3, "Message Signalled Interrupts"). Returns
 * the number of vCPUs that accepted it. A level-triggered message (data bit 15)
 * makes the EOI of its vector exit with HV_EXIT_EOI. EINVAL: address or data are
 * not those of a message that a device may send.
 */
#define HV_SIGNAL_MSI _IOW(HV_IOC, 0x24, struct hv_msi)
/* The VM's clock: docs/abi.md. */
#define HV_GET_CLOCK _IOR(HV_IOC, 0x25, struct hv_clock)
#define HV_SET_CLOCK _IOW(HV_IOC, 0x26, struct hv_clock)

/* ------------------------------------------------------------------------- */
/* vCPU descriptor: registers                                                 */

/* Access rights as in a VMCS: Intel SDM Vol. 3, "Format of Access Rights" */
#define HV_AR_TYPE     0x0000f
#define HV_AR_S	       0x00010 /* code or data */
#define HV_AR_DPL      0x00060
#define HV_AR_P	       0x00080
#define HV_AR_AVL      0x01000
#define HV_AR_L	       0x02000
#define HV_AR_DB       0x04000
#define HV_AR_G	       0x08000
#define HV_AR_UNUSABLE 0x10000

struct hv_segment {
	__u64 base;
	__u32 limit; /* in bytes, expanded */
	__u32 ar;    /* HV_AR_* */
	__u16 selector;
	__u16 pad[3];
};

struct hv_dtable {
	__u64 base;
	__u16 limit;
	__u16 pad[3];
};

/* Order of hv_gprs.r[]: the processor's own encoding. */
enum hv_gpr {
	HV_RAX,
	HV_RCX,
	HV_RDX,
	HV_RBX,
	HV_RSP,
	HV_RBP,
	HV_RSI,
	HV_RDI,
	HV_R8,
	HV_R9,
	HV_R10,
	HV_R11,
	HV_R12,
	HV_R13,
	HV_R14,
	HV_R15,
	HV_NR_GPRS
};

struct hv_gprs {
	__u64 r[HV_NR_GPRS];
	__u64 rip;
	__u64 rflags;
};

struct hv_sregs {
	struct hv_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct hv_dtable gdt, idt;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 xcr0;
	__u64 apic_base; /* IA32_APIC_BASE */
};

struct hv_dregs {
	__u64 dr[4];
	__u64 dr6, dr7;
};

enum hv_mp_state {
	HV_MP_RUNNABLE = 0,
	HV_MP_UNINIT = 1, /* an AP before its first INIT */
	HV_MP_INIT = 2,	  /* got INIT, waits for SIPI */
	HV_MP_HALTED = 3,
};

/* hv_events.exception: */
#define HV_EVENT_PENDING    (1U << 0)
#define HV_EVENT_ERROR_CODE (1U << 1)

/* hv_events.start: which of them came, and were not taken yet */
#define HV_START_INIT (1U << 0)
#define HV_START_SIPI (1U << 1)

/* hv_events.shadow. AMD-V knows no difference. */
enum hv_interrupt_shadow {
	HV_SHADOW_NONE = 0,
	HV_SHADOW_STI = 1,
	HV_SHADOW_MOV_SS = 2,
};

struct hv_events {
	__u32 mp_state; /* enum hv_mp_state */
	__u8 exception; /* HV_EVENT_* */
	__u8 exception_vector;
	__u8 shadow;	  /* enum hv_interrupt_shadow */
	__u8 nmi_pending; /* 0 to 2: how many wait; with nmi_masked one counts */
	__u8 nmi_masked;
	__u8 interrupt; /* HV_EVENT_PENDING: being delivered */
	__u8 interrupt_vector;
	__u8 start; /* HV_START_*; loading raises them, and takes none back */
	__u32 exception_error;
	__u32 debug_pending; /* VT-x: traps that wait, as in the VMCS: Intel SDM Vol. 3, 24.4.2 */
	__u8 sipi_vector;
	__u8 pad[3];
};

/*
 * Groups of registers in the run page. A bit in hv_run.wanted makes every
 * return of HV_RUN store the group; hv_run.valid says which groups hold the
 * vCPU's state; a bit that user space sets in hv_run.dirty makes the next
 * HV_RUN load the group before it enters the guest.
 */
#define HV_REGS_GPR    (1ULL << 0)
#define HV_REGS_SREGS  (1ULL << 1)
#define HV_REGS_DREGS  (1ULL << 2)
#define HV_REGS_EVENTS (1ULL << 3)
#define HV_REGS_ALL    0xfULL

/* ------------------------------------------------------------------------- */
/* vCPU descriptor: exits and the run page                                    */

enum hv_exit_reason {
	HV_EXIT_NONE = 0,
	HV_EXIT_PIO = 1,      /* IN or OUT; .pio */
	HV_EXIT_MMIO = 2,     /* a plain MOV on no slot; .mmio */
	HV_EXIT_EMULATE = 3,  /* any other instruction; .emulate */
	HV_EXIT_HLT = 4,      /* HV_MP_HALTED; only with HV_RUN_EXIT_HLT */
	HV_EXIT_SHUTDOWN = 5, /* triple fault */
	HV_EXIT_EOI = 6,      /* EOI of a level interrupt; .eoi */
	HV_EXIT_SIGNAL = 7,   /* a signal, or immediate_exit; EINTR */
	HV_EXIT_ERROR = 8,    /* cannot go on; .error */
	HV_EXIT_TASK = 9,     /* the guest switches tasks; .task */
};

/* hv_run.exit.pio.flags, hv_run.exit.mmio.flags */
#define HV_IO_WRITE (1U << 0)

/* hv_run.exit.error.code */
enum hv_error_code {
	HV_ERROR_ENTRY = 1,  /* the processor refused the guest state; hw_info says more */
	HV_ERROR_EXIT = 2,   /* an exit the module does not know */
	HV_ERROR_FETCH = 3,  /* instruction not in a memory slot */
	HV_ERROR_MEMORY = 4, /* the slot's host memory is gone (EFAULT) */
};

/* hv_run.exit.error.hw_reason of HV_ERROR_FETCH and HV_ERROR_MEMORY: the access that faulted */
#define HV_FAULT_WRITE (1U << 0)
#define HV_FAULT_FETCH (1U << 1) /* of an instruction */
#define HV_FAULT_WALK  (1U << 2) /* on the guest's page tables */
#define HV_FAULT_EVENT (1U << 3) /* while an interrupt or exception was delivered */

/* hv_run.exit.task.source, with the processor's own numbers */
enum hv_task_source {
	HV_TASK_CALL = 0,
	HV_TASK_IRET = 1,
	HV_TASK_JMP = 2,
	HV_TASK_GATE = 3, /* a task gate in the IDT */
};

/* hv_run.exit.task.flags */
#define HV_TASK_EVENT	    (1U << 0) /* an interrupt, NMI or exception came to the gate, no INT */
#define HV_TASK_ERROR_CODE  (1U << 1) /* ...that has an error code */
#define HV_TASK_NMI	    (1U << 2) /* ...that is an NMI */
#define HV_TASK_NMI_PENDING (1U << 3) /* ...behind which another one waits */

#define HV_INSN_MAX	    15

union hv_exit {
	/*
	 * IN: store the value in "data" before the next HV_RUN. OUT: "data"
	 * holds it. The instruction is completed by the next HV_RUN.
	 */
	struct {
		__u16 port;
		__u8 len;   /* 1, 2 or 4 */
		__u8 flags; /* HV_IO_* */
		__u32 data;
	} pio;
	/* As above, for memory. */
	struct {
		__u64 gpa;
		__u64 data;
		__u8 len;   /* 1, 2, 4 or 8 */
		__u8 flags; /* HV_IO_* */
		__u8 pad[6];
	} mmio;
	/*
	 * The instruction at rip: user space carries it out on the register
	 * groups GPR, SREGS and EVENTS, which are valid, and sets those it
	 * changed in "dirty", rip included.
	 */
	struct {
		__u64 gpa;     /* address that faulted, or ~0: none (string PIO, LMSW, SMSW) */
		__u16 port;    /* for string PIO */
		__u8 insn_len; /* bytes valid in insn */
		__u8 flags;    /* HV_IO_* */
		__u8 insn[16];
		__u8 pad[4];
	} emulate;
	struct {
		__u8 vector;
	} eoi;
	struct {
		__u32 code; /* enum hv_error_code */
		__u32 pad;
		__u64 hw_reason; /* the processor's exit code, or HV_FAULT_* */
		__u64 hw_info[2];
	} error;
	/*
	 * User space carries the switch out on all register groups, which are valid,
	 * and sets those it changed in "dirty". The event that came to a gate is the
	 * one in EVENTS: as long as it stands there it is delivered again.
	 */
	struct {
		__u16 selector; /* of the new task's TSS */
		__u8 source;	/* enum hv_task_source */
		__u8 flags;	/* HV_TASK_* */
		__u32 error;	/* for the new task's stack */
		__u64 next_rip; /* where the old task goes on */
	} task;
	__u64 raw[8];
};

/* hv_run.flags: what user space asks for */
#define HV_RUN_EXIT_HLT (1U << 0) /* HLT exits instead of waiting */

struct hv_run {
	/* in */
	__u32 immediate_exit; /* non-zero: HV_RUN returns EINTR at once */
	__u32 flags;	      /* HV_RUN_* */
	__u64 wanted;	      /* HV_REGS_* */
	/* in and out */
	__u64 dirty; /* HV_REGS_*; zeroed by HV_RUN */
	/* out */
	__u64 valid;	   /* HV_REGS_* */
	__u32 exit_reason; /* enum hv_exit_reason */
	__u32 pad;
	union hv_exit exit;
	__u64 reserved[3];
	/* register groups */
	struct hv_gprs gprs;
	struct hv_sregs sregs;
	struct hv_dregs dregs;
	struct hv_events events;
};

/*
 * No MSR of the guest's: how far the vCPU's TSC is ahead of the VM's (struct hv_clock). That
 * does not change as time goes by, so that it can be carried to another VM without an error.
 */
#define HV_MSR_TSC_OFFSET 0x48560000

struct hv_msr_entry {
	__u32 index;
	__u32 pad;
	__u64 value;
};

struct hv_msrs {
	__u32 count;
	__u32 pad;
	__u64 entries; /* user pointer to struct hv_msr_entry[] */
};

struct hv_xsave {
	__u32 len; /* hv_caps.xsave_size */
	__u32 pad;
	__u64 buffer; /* user pointer; standard XSAVE format */
};

/* The local APIC: registers as in the xAPIC page, one every 16 bytes. */
struct hv_lapic {
	__u8 regs[1024];
	__u64 tsc_deadline;
	__u32 errors; /* bits that the next write of the ESR brings into it */
	__u32 pad;
};

/* One register in the xAPIC page. */
struct hv_apic_register {
	__u32 offset; /* in the page: a multiple of 16 below 0x400 */
	__u32 value;
};

/*
 * Run the vCPU until it needs user space: 0, with the exit in the run page.
 * EINTR: a signal is pending or immediate_exit was set (HV_EXIT_SIGNAL).
 * EBUSY: another thread runs it, or another hypervisor has taken the processor.
 * EINVAL: a dirty group holds a state that the processor cannot be in; nothing of
 * that group was loaded. ENOMEM: no memory for a page or for page tables.
 * ESHUTDOWN: the host is going down. After an error other than EINTR the run page
 * tells nothing new.
 */
#define HV_RUN _IO(HV_IOC, 0x40)
/* Store the groups (HV_REGS_* in the argument itself; others: EINVAL) in the run page. */
#define HV_GET_REGS _IO(HV_IOC, 0x41)
/*
 * Load the groups (HV_REGS_* in the argument itself) from the run page. EINVAL: as
 * HV_RUN, or undefined groups.
 */
#define HV_SET_REGS _IO(HV_IOC, 0x42)
/*
 * Give the vCPU its CPUID table, before its first HV_RUN (EBUSY afterwards).
 * EINVAL: a feature that HV_GET_CPUID does not offer. A new vCPU has the table
 * of HV_GET_CPUID with its own APIC id.
 */
#define HV_SET_CPUID _IOW(HV_IOC, 0x43, struct hv_cpuid)
/*
 * Read or write MSRs as the guest would, and the ones only a host may write.
 * Both return the number done; the first that cannot be accessed ends the call.
 */
#define HV_GET_MSRS _IOW(HV_IOC, 0x44, struct hv_msrs)
#define HV_SET_MSRS _IOW(HV_IOC, 0x45, struct hv_msrs)
/* The extended state. EINVAL: another length, or an image that XRSTOR would refuse. */
#define HV_GET_XSAVE _IOW(HV_IOC, 0x46, struct hv_xsave)
#define HV_SET_XSAVE _IOW(HV_IOC, 0x47, struct hv_xsave)
/* The local APIC. EINVAL: registers that it could not have. */
#define HV_GET_LAPIC _IOR(HV_IOC, 0x48, struct hv_lapic)
#define HV_SET_LAPIC _IOW(HV_IOC, 0x49, struct hv_lapic)
/* Raise an NMI on the vCPU; may be called from any thread. */
#define HV_NMI _IO(HV_IOC, 0x4a)
/*
 * Access the xAPIC page as the guest's instructions do, with all that follows. HV_WRITE_APIC
 * returns 0, or the vector that the write ended where the I/O APIC must be told, as
 * HV_EXIT_EOI has it. EINVAL: no such place for a register; the APIC is disabled or in x2APIC
 * mode.
 */
#define HV_READ_APIC  _IOWR(HV_IOC, 0x4b, struct hv_apic_register)
#define HV_WRITE_APIC _IOW(HV_IOC, 0x4c, struct hv_apic_register)
/* The vCPU is as HV_CREATE_VCPU makes it, but for its CPUID table. EINVAL: the argument is not 0. */
#define HV_RESET _IO(HV_IOC, 0x4d)

#if defined(__cplusplus)
#define HV_ASSERT(e, m) static_assert(e, m)
#else
#define HV_ASSERT(e, m) _Static_assert(e, m)
#endif

HV_ASSERT(sizeof(struct hv_caps) == 56, "hv_caps");
HV_ASSERT(sizeof(struct hv_cpuid_entry) == 32, "hv_cpuid_entry");
HV_ASSERT(sizeof(struct hv_cpuid) == 16, "hv_cpuid");
HV_ASSERT(sizeof(struct hv_msr_list) == 16, "hv_msr_list");
HV_ASSERT(sizeof(struct hv_create_vm) == 16, "hv_create_vm");
HV_ASSERT(sizeof(struct hv_create_vcpu) == 16, "hv_create_vcpu");
HV_ASSERT(sizeof(struct hv_slot) == 40, "hv_slot");
HV_ASSERT(sizeof(struct hv_irqfd) == 24, "hv_irqfd");
HV_ASSERT(sizeof(struct hv_ioeventfd) == 32, "hv_ioeventfd");
HV_ASSERT(sizeof(struct hv_msi) == 16, "hv_msi");
HV_ASSERT(sizeof(struct hv_clock) == 24, "hv_clock");
HV_ASSERT(sizeof(struct hv_segment) == 24, "hv_segment");
HV_ASSERT(sizeof(struct hv_dtable) == 16, "hv_dtable");
HV_ASSERT(sizeof(struct hv_gprs) == 144, "hv_gprs");
HV_ASSERT(sizeof(struct hv_sregs) == 288, "hv_sregs");
HV_ASSERT(sizeof(struct hv_dregs) == 48, "hv_dregs");
HV_ASSERT(sizeof(struct hv_events) == 24, "hv_events");
HV_ASSERT(sizeof(union hv_exit) == 64, "hv_exit");
HV_ASSERT(sizeof(((union hv_exit *)0)->task) == 16, "hv_exit.task");
HV_ASSERT(sizeof(struct hv_run) == 128 + 144 + 288 + 48 + 24, "hv_run");
HV_ASSERT(sizeof(struct hv_msrs) == 16, "hv_msrs");
HV_ASSERT(sizeof(struct hv_xsave) == 16, "hv_xsave");
HV_ASSERT(sizeof(struct hv_lapic) == 1040, "hv_lapic");
HV_ASSERT(sizeof(struct hv_apic_register) == 8, "hv_apic_register");

#endif /* HV_UAPI_H */
