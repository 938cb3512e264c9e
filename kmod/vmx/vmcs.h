/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMCS: field encodings (Intel SDM Vol. 3, appendix B), control bits (24.6 to
 * 24.8), exit reasons (appendix C), and the instructions that reach it.
 */
#ifndef HV_VMX_VMCS_H
#define HV_VMX_VMCS_H

#include <linux/bits.h>
#include <linux/types.h>

enum vmcs_field {
	/* 16 bits */
	VMCS_VPID = 0x0000,
	VMCS_GUEST_ES_SEL = 0x0800, /* then CS, SS, DS, FS, GS, LDTR, TR; 2 apart */
	VMCS_GUEST_LDTR_SEL = 0x080c,
	VMCS_GUEST_TR_SEL = 0x080e,
	VMCS_HOST_ES_SEL = 0x0c00,
	VMCS_HOST_CS_SEL = 0x0c02,
	VMCS_HOST_SS_SEL = 0x0c04,
	VMCS_HOST_DS_SEL = 0x0c06,
	VMCS_HOST_FS_SEL = 0x0c08,
	VMCS_HOST_GS_SEL = 0x0c0a,
	VMCS_HOST_TR_SEL = 0x0c0c,
	/* 64 bits */
	VMCS_MSR_BITMAP = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_VIRTUAL_APIC_PAGE = 0x2012,
	VMCS_EPT_POINTER = 0x201a,
	VMCS_ENCLS_BITMAP = 0x202e,
	VMCS_TSC_MULTIPLIER = 0x2032,
	VMCS_GUEST_PHYSICAL = 0x2400,
	VMCS_LINK_POINTER = 0x2800,
	VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_EFER = 0x2806,
	VMCS_GUEST_PDPTE0 = 0x280a, /* 4 of them, 2 apart */
	VMCS_HOST_EFER = 0x2c02,
	/* 32 bits */
	VMCS_PIN_CONTROLS = 0x4000,
	VMCS_PRIMARY_CONTROLS = 0x4002,
	VMCS_EXCEPTION_BITMAP = 0x4004,
	VMCS_PF_ERROR_MASK = 0x4006,
	VMCS_PF_ERROR_MATCH = 0x4008,
	VMCS_CR3_TARGET_COUNT = 0x400a,
	VMCS_EXIT_CONTROLS = 0x400c,
	VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
	VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
	VMCS_ENTRY_CONTROLS = 0x4012,
	VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
	VMCS_ENTRY_INTR_INFO = 0x4016,
	VMCS_ENTRY_ERROR_CODE = 0x4018,
	VMCS_TPR_THRESHOLD = 0x401c,
	VMCS_SECONDARY_CONTROLS = 0x401e,
	VMCS_PLE_GAP = 0x4020,
	VMCS_PLE_WINDOW = 0x4022,
	VMCS_INSN_ERROR = 0x4400,
	VMCS_EXIT_REASON = 0x4402,
	VMCS_EXIT_INTR_INFO = 0x4404,
	VMCS_EXIT_ERROR_CODE = 0x4406,
	VMCS_VECTORING_INFO = 0x4408,
	VMCS_VECTORING_ERROR = 0x440a,
	VMCS_EXIT_INSN_LEN = 0x440c,
	VMCS_GUEST_ES_LIMIT = 0x4800, /* as the selectors; then GDTR, IDTR */
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_ES_AR = 0x4814, /* as the selectors */
	VMCS_GUEST_CS_AR = 0x4816,
	VMCS_GUEST_SS_AR = 0x4818,
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
	VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a,
	VMCS_PREEMPTION_TIMER = 0x482e,
	VMCS_HOST_SYSENTER_CS = 0x4c00,
	/* natural width */
	VMCS_CR0_MASK = 0x6000,
	VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004,
	VMCS_CR4_SHADOW = 0x6006,
	VMCS_EXIT_QUALIFICATION = 0x6400,
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_ES_BASE = 0x6806, /* as the selectors; then GDTR, IDTR */
	VMCS_GUEST_FS_BASE = 0x680e,
	VMCS_GUEST_GS_BASE = 0x6810,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	VMCS_HOST_CR0 = 0x6c00,
	VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04,
	VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08,
	VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10,
	VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RSP = 0x6c14,
	VMCS_HOST_RIP = 0x6c16,
};

/* Pin-based controls */
#define PIN_INTERRUPT_EXIT   BIT(0)
#define PIN_NMI_EXIT	     BIT(3)
#define PIN_VIRTUAL_NMI	     BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)

/* Primary processor-based controls */
#define PRI_INTERRUPT_WINDOW BIT(2)
#define PRI_TSC_OFFSET	     BIT(3)
#define PRI_HLT_EXIT	     BIT(7)
#define PRI_INVLPG_EXIT	     BIT(9)
#define PRI_MWAIT_EXIT	     BIT(10)
#define PRI_RDPMC_EXIT	     BIT(11)
#define PRI_CR3_LOAD_EXIT    BIT(15)
#define PRI_CR3_STORE_EXIT   BIT(16)
#define PRI_TPR_SHADOW	     BIT(21)
#define PRI_NMI_WINDOW	     BIT(22)
#define PRI_MOV_DR_EXIT	     BIT(23)
#define PRI_IO_EXIT	     BIT(24)
#define PRI_MSR_BITMAP	     BIT(28)
#define PRI_MONITOR_EXIT     BIT(29)
#define PRI_SECONDARY	     BIT(31)

/* Secondary processor-based controls */
#define SEC_EPT		       BIT(1)
#define SEC_RDTSCP	       BIT(3)
#define SEC_VPID	       BIT(5)
#define SEC_WBINVD_EXIT	       BIT(6)
#define SEC_UNRESTRICTED_GUEST BIT(7)
#define SEC_PAUSE_LOOP_EXIT    BIT(10)
#define SEC_INVPCID	       BIT(12)
#define SEC_ENCLS_EXIT	       BIT(15)
#define SEC_TSC_SCALING	       BIT(25)

/* Exit and entry controls */
#define EXIT_SAVE_DEBUG	 BIT(2)
#define EXIT_HOST_64	 BIT(9)
#define EXIT_LOAD_EFER	 BIT(21)
#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_IA32E	 BIT(9)
#define ENTRY_LOAD_EFER	 BIT(15)

/* Interruptibility of the guest */
#define BLOCK_STI    BIT(0)
#define BLOCK_MOV_SS BIT(1)
#define BLOCK_NMI    BIT(3)

/* Entry, exit and vectoring information */
#define INTR_TYPE_EXTERNAL  (0U << 8)
#define INTR_TYPE_NMI	    (2U << 8)
#define INTR_TYPE_EXCEPTION (3U << 8)
#define INTR_TYPE_INT1	    (5U << 8)
#define INTR_VECTOR	    0xff
#define INTR_TYPE_MASK	    (7U << 8)
#define INTR_ERROR_VALID    BIT(11)
#define INTR_NMI_UNBLOCKED  BIT(12) /* by an IRET that faulted then */
#define INTR_VALID	    BIT(31)

/* Those that nothing here asks for are for whoever reads a trace. */
enum vmx_exit_reason {
	VMX_EXIT_EXCEPTION_NMI = 0,
	VMX_EXIT_INTERRUPT = 1,
	VMX_EXIT_TRIPLE_FAULT = 2,
	VMX_EXIT_INIT = 3,
	VMX_EXIT_INTERRUPT_WINDOW = 7,
	VMX_EXIT_NMI_WINDOW = 8,
	VMX_EXIT_TASK_SWITCH = 9,
	VMX_EXIT_CPUID = 10,
	VMX_EXIT_GETSEC = 11,
	VMX_EXIT_HLT = 12,
	VMX_EXIT_INVD = 13,
	VMX_EXIT_RDPMC = 15,
	VMX_EXIT_VMCALL = 18,
	VMX_EXIT_VMCLEAR = 19,
	VMX_EXIT_VMXON = 27,
	VMX_EXIT_CR = 28,
	VMX_EXIT_DR = 29,
	VMX_EXIT_IO = 30,
	VMX_EXIT_RDMSR = 31,
	VMX_EXIT_WRMSR = 32,
	VMX_EXIT_GUEST_STATE = 33,
	VMX_EXIT_MWAIT = 36,
	VMX_EXIT_MONITOR = 39,
	VMX_EXIT_PAUSE = 40,
	VMX_EXIT_ENTRY_MACHINE_CHECK = 41,
	VMX_EXIT_TPR = 43,
	VMX_EXIT_EPT_VIOLATION = 48,
	VMX_EXIT_INVEPT = 50,
	VMX_EXIT_PREEMPTION_TIMER = 52,
	VMX_EXIT_INVVPID = 53,
	VMX_EXIT_WBINVD = 54,
	VMX_EXIT_XSETBV = 55,
	VMX_EXIT_ENCLS = 60,
	VMX_EXIT_SEAMCALL = 76,
	VMX_EXIT_TDCALL = 77,
};

#define VMX_EXIT_ENTRY_FAILED BIT(31)
/* No exit at all: VMLAUNCH or VMRESUME failed with the VM-instruction error in the low bits. */
#define VMX_REFUSED BIT(30)

/* Qualification of an EPT violation: Intel SDM Vol. 3, table 27-7 */
#define EPT_QUAL_WRITE	   BIT(1)
#define EPT_QUAL_FETCH	   BIT(2)
#define EPT_QUAL_LINEAR	   BIT(7)  /* a linear address was being translated... */
#define EPT_QUAL_ACCESS	   BIT(8)  /* ...and this was the access itself, not the walk */
#define EPT_QUAL_UNBLOCKED BIT(12) /* as INTR_NMI_UNBLOCKED */

/* Qualification of an I/O instruction: Intel SDM Vol. 3, table 27-5 */
#define IO_QUAL_LEN(q)	(((q)&7) + 1)
#define IO_QUAL_IN	BIT(3)
#define IO_QUAL_STRING	BIT(4)
#define IO_QUAL_PORT(q) ((q) >> 16 & 0xffff)

/* Qualification of a task switch: Intel SDM Vol. 3, table 27-2 */
#define TASK_QUAL_SELECTOR(q) ((u16)(q))
#define TASK_QUAL_SOURCE(q)   ((q) >> 30 & 3) /* enum hv_task_source */

static inline u64 vmcs_read(enum vmcs_field field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=rm"(value) : "r"((u64)field) : "cc");
	return value;
}

static inline void vmcs_write(enum vmcs_field field, u64 value)
{
	asm volatile("vmwrite %1, %0" : : "r"((u64)field), "rm"(value) : "cc", "memory");
}

/* These return whether the processor did it. */
static inline bool vmx_vmclear(u64 pa)
{
	bool ok;

	asm volatile("vmclear %1" : "=@cca"(ok) : "m"(pa) : "memory");
	return ok;
}

static inline bool vmx_vmptrld(u64 pa)
{
	bool ok;

	asm volatile("vmptrld %1" : "=@cca"(ok) : "m"(pa) : "memory");
	return ok;
}

/* Single-context invalidations; the second half of the descriptor is reserved or unused. */
static inline void vmx_invept(u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} desc = {eptp, 0};

	asm volatile("invept %0, %1" : : "m"(desc), "r"(1UL) : "cc", "memory");
}

static inline void vmx_invvpid(u16 vpid)
{
	struct {
		u64 vpid, address;
	} desc = {vpid, 0};

	asm volatile("invvpid %0, %1" : : "m"(desc), "r"(1UL) : "cc", "memory");
}

#endif
