/* SPDX-License-Identifier: GPL-2.0 */
/* The VMCB: AMD APM Vol. 2, appendix B and C. */
#ifndef HV_SVM_VMCB_H
#define HV_SVM_VMCB_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* Intercept vectors 0..5: word and bit */
#define ICPT_CR_READ(n)	 (n)
#define ICPT_CR_WRITE(n) (16 + (n))

/* Vector 3 */
#define ICPT3_INTR	  BIT(0)
#define ICPT3_NMI	  BIT(1)
#define ICPT3_SMI	  BIT(2)
#define ICPT3_INIT	  BIT(3)
#define ICPT3_VINTR	  BIT(4)
#define ICPT3_CR0_SEL	  BIT(5)
#define ICPT3_RDPMC	  BIT(15)
#define ICPT3_CPUID	  BIT(18)
#define ICPT3_IRET	  BIT(20)
#define ICPT3_INVD	  BIT(22)
#define ICPT3_PAUSE	  BIT(23)
#define ICPT3_HLT	  BIT(24)
#define ICPT3_INVLPGA	  BIT(26)
#define ICPT3_IOIO	  BIT(27)
#define ICPT3_MSR	  BIT(28)
#define ICPT3_FERR_FREEZE BIT(30)
#define ICPT3_SHUTDOWN	  BIT(31)

/* Vector 4 */
#define ICPT4_VMRUN   BIT(0)
#define ICPT4_VMMCALL BIT(1)
#define ICPT4_VMLOAD  BIT(2)
#define ICPT4_VMSAVE  BIT(3)
#define ICPT4_STGI    BIT(4)
#define ICPT4_CLGI    BIT(5)
#define ICPT4_SKINIT  BIT(6)
#define ICPT4_WBINVD  BIT(9)
#define ICPT4_MONITOR BIT(10)
#define ICPT4_MWAIT   BIT(11)
#define ICPT4_XSETBV  BIT(13)
#define ICPT4_RDPRU   BIT(14)

/* Clean bits: a set bit says "as at the last VMRUN" */
#define CLEAN_INTERCEPTS BIT(0)
#define CLEAN_ASID	 BIT(2)
#define CLEAN_TPR	 BIT(3)
#define CLEAN_NP	 BIT(4)
#define CLEAN_CR	 BIT(5)
#define CLEAN_DR	 BIT(6)
#define CLEAN_DT	 BIT(7)
#define CLEAN_SEG	 BIT(8)
#define CLEAN_CR2	 BIT(9)
#define CLEAN_ALL	 (BIT(11) - 1)

/* int_ctl */
#define INT_TPR_MASK  0x0f
#define INT_V_IRQ     BIT(8)
#define INT_V_PRIO(n) ((n) << 16)
#define INT_V_IGN_TPR BIT(20)
#define INT_V_MASKING BIT(24)
/* A virtual interrupt of highest priority. */
#define INT_V_IRQ_BITS (INT_V_IRQ | INT_V_PRIO(0xf) | INT_V_IGN_TPR)

/* event_inj, exit_int_info */
#define EVT_TYPE_INTR	   (0U << 8)
#define EVT_TYPE_NMI	   (2U << 8)
#define EVT_TYPE_EXCEPTION (3U << 8)
#define EVT_TYPE_MASK	   (7U << 8)
#define EVT_ERROR_VALID	   BIT(11)
#define EVT_VALID	   BIT(31)

/* tlb_control */
#define TLB_NOTHING	0
#define TLB_FLUSH_WHOLE 1
#define TLB_FLUSH_ASID	3

/* int_state */
#define INT_STATE_SHADOW BIT(0)

/* Exit codes */
enum svm_exit_code {
	SVM_EXIT_CR0_READ = 0x000,
	SVM_EXIT_CR4_READ = 0x004,
	SVM_EXIT_CR0_WRITE = 0x010,
	SVM_EXIT_CR4_WRITE = 0x014,
	SVM_EXIT_CR8_WRITE = 0x018,
	SVM_EXIT_DR0_READ = 0x020,
	SVM_EXIT_DR7_WRITE = 0x03f,
	SVM_EXIT_EXCP = 0x040, /* and the vector */
	SVM_EXIT_EXCP_DB = 0x041,
	SVM_EXIT_EXCP_AC = 0x051,
	SVM_EXIT_EXCP_MC = 0x052,
	SVM_EXIT_INTR = 0x060,
	SVM_EXIT_NMI = 0x061,
	SVM_EXIT_SMI = 0x062,
	SVM_EXIT_INIT = 0x063,
	SVM_EXIT_VINTR = 0x064,
	SVM_EXIT_CR0_SEL = 0x065,
	SVM_EXIT_RDPMC = 0x06f,
	SVM_EXIT_CPUID = 0x072,
	SVM_EXIT_IRET = 0x074,
	SVM_EXIT_INVD = 0x076,
	SVM_EXIT_PAUSE = 0x077,
	SVM_EXIT_HLT = 0x078,
	SVM_EXIT_INVLPGA = 0x07a,
	SVM_EXIT_IOIO = 0x07b,
	SVM_EXIT_MSR = 0x07c,
	SVM_EXIT_FERR_FREEZE = 0x07e,
	SVM_EXIT_SHUTDOWN = 0x07f,
	SVM_EXIT_VMRUN = 0x080,
	SVM_EXIT_VMMCALL = 0x081,
	SVM_EXIT_SKINIT = 0x086,
	SVM_EXIT_WBINVD = 0x089,
	SVM_EXIT_MONITOR = 0x08a,
	SVM_EXIT_MWAIT = 0x08b,
	SVM_EXIT_MWAIT_ARMED = 0x08c,
	SVM_EXIT_XSETBV = 0x08d,
	SVM_EXIT_RDPRU = 0x08e,
	SVM_EXIT_NPF = 0x400,
};

/* The low half: the processor stores 64 bits, QEMU 32. */
#define SVM_EXIT_INVALID 0xffffffffU

/* exit_info_1 of an IOIO exit */
#define IOIO_IN	    BIT(0)
#define IOIO_STRING BIT(2)
#define IOIO_LEN(i) ((i) >> 4 & 7)

/* exit_info_1 of a nested page fault */
#define NPF_WRITE BIT_ULL(1)
#define NPF_FETCH BIT_ULL(4)
#define NPF_WALK  BIT_ULL(33) /* on a guest page table */

struct vmcb_seg {
	u16 selector;
	u16 attrib; /* bits 55:52 and 47:40 of the descriptor */
	u32 limit;
	u64 base;
};

struct vmcb_control {
	u32 intercept[6]; /* 0x000 */
	u32 reserved_018[9];
	u16 pause_threshold; /* 0x03c */
	u16 pause_count;
	u64 iopm_pa; /* 0x040 */
	u64 msrpm_pa;
	u64 tsc_offset;
	u32 asid; /* 0x058 */
	u8 tlb_control;
	u8 reserved_05d[3];
	u32 int_ctl; /* 0x060 */
	u32 int_vector;
	u64 int_state; /* 0x068 */
	u64 exit_code; /* 0x070 */
	u64 exit_info_1;
	u64 exit_info_2;
	u32 exit_int_info; /* 0x088 */
	u32 exit_int_error;
	u64 np_control; /* 0x090: bit 0 enables nested paging */
	u64 avic_apic_bar;
	u64 ghcb_pa;
	u32 event_inj; /* 0x0a8 */
	u32 event_inj_error;
	u64 nested_cr3; /* 0x0b0 */
	u64 virt_ext;	/* 0x0b8 */
	u32 clean;	/* 0x0c0 */
	u32 reserved_0c4;
	u64 next_rip; /* 0x0c8 */
	u8 insn_len;  /* 0x0d0 */
	u8 insn[15];
	u8 reserved_0e0[0x320];
};

struct vmcb_save {
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_0a0[43];
	u8 cpl; /* 0x0cb */
	u32 reserved_0cc;
	u64 efer; /* 0x0d0 */
	u8 reserved_0d8[112];
	u64 cr4; /* 0x148 */
	u64 cr3, cr0, dr7, dr6;
	u64 rflags; /* 0x170 */
	u64 rip;
	u8 reserved_180[88];
	u64 rsp; /* 0x1d8 */
	u64 s_cet, ssp, isst;
	u64 rax; /* 0x1f8 */
	u64 star, lstar, cstar, sfmask;
	u64 kernel_gs_base; /* 0x220 */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2; /* 0x240 */
	u8 reserved_248[32];
	u64 g_pat; /* 0x268 */
	u64 dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved_298[0xc00 - 0x298];
};

struct vmcb {
	struct vmcb_control c;
	struct vmcb_save s;
};

static_assert(sizeof(struct vmcb) == 0x1000);
static_assert(sizeof(struct vmcb_control) == 0x400);
static_assert(offsetof(struct vmcb_control, pause_count) == 0x3e);
static_assert(offsetof(struct vmcb_control, iopm_pa) == 0x40);
static_assert(offsetof(struct vmcb_control, int_ctl) == 0x60);
static_assert(offsetof(struct vmcb_control, exit_code) == 0x70);
static_assert(offsetof(struct vmcb_control, event_inj) == 0xa8);
static_assert(offsetof(struct vmcb_control, next_rip) == 0xc8);
static_assert(offsetof(struct vmcb_save, cpl) == 0xcb);
static_assert(offsetof(struct vmcb_save, efer) == 0xd0);
static_assert(offsetof(struct vmcb_save, cr4) == 0x148);
static_assert(offsetof(struct vmcb_save, rflags) == 0x170);
static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8);
static_assert(offsetof(struct vmcb_save, rax) == 0x1f8);
static_assert(offsetof(struct vmcb_save, cr2) == 0x240);
static_assert(offsetof(struct vmcb_save, g_pat) == 0x268);

#endif
