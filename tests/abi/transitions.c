// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From one mode to another and back, with an exit between any two instructions: real,
 * protected, virtual-8086, compatibility and 64-bit mode, EFER.LMA, and segments that
 * outlive the mode they were loaded in. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include "tests/lib/harness.h"
#include "tests/lib/step.h"

#define SOFTWARE 0x60

CODE(32, nop, "nop");
CODE(32, ud, "ud2");
CODE(32, hlt_, "hlt");
CODE(32, int_n, "int $0x60");
CODE(32, get_cr0, "mov %cr0, %eax");
CODE(32, set_cr0, "mov %eax, %cr0");
CODE(32, set_cr3, "mov %eax, %cr3");
CODE(32, get_cr4, "mov %cr4, %eax");
CODE(32, set_cr4, "mov %eax, %cr4");
CODE(32, load_ds, "mov %eax, %ds");
CODE(32, load_ss, "mov %eax, %ss");
CODE(32, load_fs, "mov %eax, %fs");
CODE(32, load_data, "mov %eax, %ds; mov %eax, %es; mov %eax, %fs; mov %eax, %gs; mov %eax, %ss");
CODE(32, load_ldt, "lldt %ax");
CODE(32, load_tr, "ltr %ax");
CODE(16, load_gdt, "lgdtl (%bx)");
CODE(16, load_idt16, "lidtl (%bx)");
CODE(32, load_idt32, "lidt (%ebx)");
CODE(64, load_idt64, "lidt (%rbx)");
/* Far jumps, to what is on the stack: 16-bit and 32-bit code pops what it is, or twice that. */
CODE(16, far16, "lret");
CODE(16, far16_32, "lretl");
CODE(32, far32, "lret");
CODE(64, far64, "lretq");
CODE(32, iret32, "iret");
/* Instructions that are others elsewhere. */
CODE(32, inc_eax, ".byte 0x40");
CODE(64, get_r8, "mov %r8, %rax");
CODE(16, read_far, "movl (%ebx), %eax");
CODE(32, read_near, "movl (%ebx), %eax");

extern const char flat_trip[], flat_trip_end[];

/* Of the one test that runs in this process. */
static struct vm vm;
static struct vcpu v;
static struct step s;
static struct hv_run *r;

/* Selectors of the guest's GDT behind those of tests/lib/vm.h. */
enum {
	SEL_REAL_CODE = 0x50, /* 16-bit, where real mode is */
	SEL_REAL_DATA = 0x58,
	SEL_BIG_DATA = 0x60, /* the same, with all limits */
	SEL_ODD = 0x68,
	SEL_TASK = 0x70, /* a TSS with 32 bits, and one with 16 */
	SEL_TASK16 = 0x78
};

#define GDT_ENTRY(selector) guest_at(&vm, uint64_t, GUEST_GDT + (selector))
/* At STEP_CODE, with this access byte: 64 KiB, or 4 GiB. */
#define DESCRIPTOR(access, flags) \
	(0x000000010000ffffull | (uint64_t)(access) << 40 | (uint64_t)(flags) << 52)

/* What LGDT and LIDT load, where DS can reach it. */
#define POINTER STEP_FREE
#define WORD	0x120000
#define TASK	(STEP_FREE + 0x1000)

static void start(void)
{
	step_init(&s, &v, &vm);
	r = v.run;
}

static void make_segments(void)
{
	GDT_ENTRY(SEL_REAL_CODE) = DESCRIPTOR(0x9b, 0);
	GDT_ENTRY(SEL_REAL_DATA) = DESCRIPTOR(0x93, 0);
	GDT_ENTRY(SEL_BIG_DATA) = DESCRIPTOR(0x93, 8) | 0xfull << 48;
	guest_at(&vm, uint32_t, WORD) = 0x12345678;
}

/* The guest's view, that of the run page and that of the calls. */
static void check_efer(uint64_t efer)
{
	CHECK_EQ(step_get_msr(&s, G_MSR_EFER), efer);
	CHECK_EQ(r->sregs.efer, efer);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_EFER), efer);
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
	CHECK_EQ(r->sregs.efer, efer);
}

/* LGDT or LIDT, whose operand is at BX. */
#define LOAD_TABLE(name, at, table, length)                     \
	do {                                                    \
		guest_at(&vm, uint16_t, POINTER) = (length);    \
		guest_at(&vm, uint32_t, POINTER + 2) = (table); \
		guest_at(&vm, uint32_t, POINTER + 6) = 0;       \
		vcpu_reg(&v, RBX) = (at);                       \
		STEP_DO(&s, name);                              \
	} while (0)

/* A far jump to the end of the step, in another code segment. */
static void jump(const char *name, const void *code, size_t len, unsigned int size,
		 uint16_t selector, uint64_t base)
{
	uint64_t target = STEP_CODE + len - base, rsp = vcpu_reg(&v, RSP);
	uint64_t at = r->sregs.efer & EFER_LMA ? rsp : r->sregs.ss.base + (uint32_t)rsp;

	memcpy(vm.ram + at - 2 * size, &target, size);
	memset(vm.ram + at - size, 0, size);
	memcpy(vm.ram + at - size, &selector, sizeof(selector));
	vcpu_reg(&v, RSP) -= 2 * size;
	step_quiet(&s, name, code, len, __LINE__);
	CHECK_EQ(r->sregs.cs.selector, selector);
	CHECK_EQ(r->sregs.cs.base, base);
}
#define JUMP(name, size, selector, base) \
	jump(#name, name, (size_t)(name##_end - (name)), size, selector, base)

/* ---- The way up, and the way down ---- */

#define REAL(address) ((address)-STEP_CODE)

/* It works as a mode should: an interrupt, an exception, and an instruction. */
static void check_events(void)
{
	CHECK_EQ(STEP(&s, int_n), SOFTWARE);
	CHECK_EQ(STEP(&s, ud), UD);
	CHECK_EQ(s.rip, s.start);
	STEP_DO(&s, nop);
}

static void real_to_protected(void)
{
	LOAD_TABLE(load_gdt, REAL(POINTER), GUEST_GDT, 127);
	CHECK_EQ(r->sregs.gdt.base, GUEST_GDT);
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PE | CR0_NE);
	/* Still the segments of real mode: the next instructions run with them. */
	CHECK_EQ(r->sregs.cs.base, STEP_CODE);
	STEP_DO(&s, nop);
	JUMP(far16_32, 4, SEL_CODE32, 0);
	vcpu_reg(&v, RSP) += STEP_CODE;
	STEP_SET(&s, load_data, SEL_DATA);
	CHECK_EQ(r->sregs.ss.base, 0);
	LOAD_TABLE(load_idt32, POINTER, STEP_IDT32, 2047);
	check_events();
	STEP_SET(&s, inc_eax, 7);
	CHECK_EQ(vcpu_reg(&v, RAX), 8);
}

static void protected_to_long(void)
{
	STEP_SET(&s, set_cr4, CR4_PAE);
	STEP_SET(&s, set_cr3, GUEST_PML4);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GUEST_NO_TRAP);
	check_efer(EFER_LME);
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PG);
	/* Compatibility mode. */
	check_efer(EFER_LME | EFER_LMA);
	STEP_SET(&s, inc_eax, 7);
	CHECK_EQ(vcpu_reg(&v, RAX), 8);
	LOAD_TABLE(load_idt32, POINTER, STEP_IDT64, 4095);
	check_events();
	JUMP(far32, 4, SEL_CODE64, 0);
	vcpu_reg(&v, R8) = 0x123456789abcdef0;
	CHECK_EQ(STEP_GET(&s, get_r8), 0x123456789abcdef0);
	check_events();
	check_efer(EFER_LME | EFER_LMA);
}

static void between_long_and_compat(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		JUMP(far64, 8, SEL_CODE32, 0);
		STEP_SET(&s, inc_eax, 7);
		CHECK_EQ(vcpu_reg(&v, RAX), 8);
		check_events();
		/* 16 bits, with a base. */
		JUMP(far32, 4, SEL_REAL_CODE, STEP_CODE);
		check_events();
		JUMP(far16_32, 4, SEL_CODE64, 0);
		CHECK_EQ(STEP_GET(&s, get_r8), 0x123456789abcdef0);
	}
}

static void long_to_protected(void)
{
	/* 64-bit code may not leave, nor take what long mode stands on. */
	CHECK_EQ(STEP_TRY(&s, set_cr0, CR0_PE | CR0_ET), GP);
	CHECK_EQ(STEP_TRY(&s, set_cr4, 0), GP);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, 0), GP);
	check_efer(EFER_LME | EFER_LMA);
	JUMP(far64, 8, SEL_CODE32, 0);
	CHECK_EQ(STEP_TRY(&s, set_cr4, 0), GP);
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PG);
	check_efer(EFER_LME);
	LOAD_TABLE(load_idt32, POINTER, STEP_IDT32, 2047);
	check_events();
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, 0), GUEST_NO_TRAP);
	check_efer(0);
	STEP_SET(&s, set_cr4, 0);
	check_events();
}

/* With data segments of this descriptor. */
static void protected_to_real(uint16_t data)
{
	JUMP(far32, 4, SEL_REAL_CODE, STEP_CODE);
	STEP_SET(&s, load_data, data);
	vcpu_reg(&v, RSP) -= STEP_CODE;
	STEP_DO(&s, nop);
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PE);
	LOAD_TABLE(load_idt16, REAL(POINTER), STEP_IVT, 0x3ff);
	/* The selectors are those of protected mode still, and the bases. */
	CHECK_EQ(r->sregs.ds.selector, data);
	CHECK_EQ(r->sregs.ds.base, STEP_CODE);
	JUMP(far16, 2, STEP_CODE >> 4, STEP_CODE);
	check_events();
}

/* In real mode, with descriptors where LGDT will find them. */
static void start_real(void)
{
	start();
	step_prot(&s);
	step_real(&s);
	make_segments();
}

static void round_trips(void)
{
	start_real();
	for (unsigned int i = 0; i < 3; i++) {
		real_to_protected();
		protected_to_long();
		between_long_and_compat();
		long_to_protected();
		protected_to_real(SEL_REAL_DATA);
		STEP_SET(&s, load_data, STEP_CODE >> 4);
		check_events();
	}
}

/* The same without exits of its own: see tests/flat/modes.S. */
static void at_one_stretch(void)
{
	start_real();
	guest_at(&vm, uint16_t, POINTER) = 127;
	guest_at(&vm, uint32_t, POINTER + 2) = GUEST_GDT;
	for (unsigned int i = 0; i < 3; i++) {
		vcpu_reg(&v, RSI) = 100;
		vcpu_reg(&v, RDI) = 0;
		STEP_DO(&s, flat_trip);
		CHECK_EQ((uint32_t)vcpu_reg(&v, RDI), 100);
		CHECK_EQ(r->sregs.cs.base, STEP_CODE);
		CHECK_EQ(r->sregs.efer, 0);
		check_events();
		/* And when all of it is missing in stage 2. */
		step_drop(&vm, 0, GUEST_RAM);
	}
}

/* Paging off and on in compatibility mode: LMA goes and comes, the rest of EFER stays. */
static void paging_on_and_off(void)
{
	const uint64_t extra = EFER_SCE | EFER_NXE;

	start_real();
	real_to_protected();
	protected_to_long();
	JUMP(far64, 8, SEL_CODE32, 0);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME | extra), GUEST_NO_TRAP);
	for (unsigned int i = 0; i < 5; i++) {
		check_efer(EFER_LME | EFER_LMA | extra);
		STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PG);
		check_efer(EFER_LME | extra);
		STEP_SET(&s, inc_eax, 7);
		CHECK_EQ(vcpu_reg(&v, RAX), 8);
		STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PG);
	}
	check_efer(EFER_LME | EFER_LMA | extra);
	/* Not while there are identifiers of address spaces. */
	if (STEP_TRY(&s, set_cr4, STEP_GET(&s, get_cr4) | CR4_PCIDE) == GUEST_NO_TRAP) {
		CHECK_EQ(STEP_TRY(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PG), GP);
		check_efer(EFER_LME | EFER_LMA | extra);
		STEP_SET(&s, set_cr4, STEP_GET(&s, get_cr4) & ~CR4_PCIDE);
		STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PG);
		check_efer(EFER_LME | extra);
		STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PG);
	}
	check_events();
}

/* ---- EFER.LME, CR4.PAE and CR0.PG in the orders that are wrong ---- */

static void efer_orders(void)
{
	uint64_t cr0;

	start();
	step_prot(&s);
	make_segments();
	cr0 = STEP_GET(&s, get_cr0);
	/*
	 * Long mode without PAE. Not on QEMU's emulation (7.2): its #VMEXIT takes the host's
	 * CR0 while EFER.LME and CR4 are the guest's, finds this, and leaves paging off.
	 */
	STEP_SET(&s, set_cr3, GUEST_PML4);
	if (!host_is_tcg()) {
		CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GUEST_NO_TRAP);
		check_efer(EFER_LME);
		CHECK_EQ(STEP_TRY(&s, set_cr0, cr0 | CR0_PG), GP);
		CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
		check_efer(EFER_LME);
	}
	/* From a 64-bit code segment, which is none yet: it runs as a 16-bit one. */
	STEP_SET(&s, set_cr4, CR4_PAE);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GUEST_NO_TRAP);
	JUMP(far32, 4, SEL_CODE64, 0);
	CHECK_EQ(STEP_TRY(&s, set_cr0, cr0 | CR0_PG), GP);
	CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
	check_efer(EFER_LME);
	JUMP(far16_32, 4, SEL_CODE32, 0);
	/* LME goes as it came. */
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, 0), GUEST_NO_TRAP);
	check_efer(0);
	/* PAE paging without long mode: it cannot be turned on now. */
	for (unsigned int i = 0; i < 4; i++)
		guest_at(&vm, uint64_t, STEP_FREE + 0x2000 + 8 * i) = (GUEST_PD + 4096 * i) | PTE_P;
	STEP_SET(&s, set_cr3, STEP_FREE + 0x2000);
	STEP_SET(&s, set_cr0, cr0 | CR0_PG);
	check_efer(0);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GP);
	check_efer(0);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_NXE), GUEST_NO_TRAP);
	check_efer(EFER_NXE);
	check_events();
	STEP_SET(&s, set_cr0, cr0);
	check_efer(EFER_NXE);
	/* The right one. */
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GUEST_NO_TRAP);
	STEP_SET(&s, set_cr3, GUEST_PML4);
	STEP_SET(&s, set_cr0, cr0 | CR0_PG);
	check_efer(EFER_LME | EFER_LMA);
}

/* There is no 16-bit TSS in long mode: Intel SDM Vol. 2, MOV to control registers. */
static void efer_tss16(void)
{
	if (hv_caps().backend != HV_BACKEND_VMX)
		test_skip("AMD-V lets it be");
	start();
	step_prot(&s);
	GDT_ENTRY(SEL_TASK16) = 0x0000810000000000 | (uint64_t)TASK << 16 | 0x2b;
	STEP_SET(&s, load_tr, SEL_TASK16);
	CHECK_EQ(r->sregs.tr.ar & HV_AR_TYPE, 3);
	STEP_SET(&s, set_cr4, CR4_PAE);
	STEP_SET(&s, set_cr3, GUEST_PML4);
	CHECK_EQ(step_set_msr(&s, G_MSR_EFER, EFER_LME), GUEST_NO_TRAP);
	CHECK_EQ(STEP_TRY(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PG), GP);
	check_efer(EFER_LME);
}

/* ---- Segments that outlive protected mode ---- */

/* "Unreal" mode: the limits are those of the last descriptor. */
static void big_limits(void)
{
	start_real();
	vcpu_reg(&v, RBX) = WORD - STEP_CODE;
	/* QEMU's emulation knows no limits. */
	if (!host_is_tcg())
		CHECK_EQ(STEP(&s, read_far), GP);
	for (unsigned int i = 0; i < 3; i++) {
		real_to_protected();
		protected_to_real(SEL_BIG_DATA);
		CHECK_EQ(r->sregs.ds.limit, 0xffffffff);
		vcpu_reg(&v, RBX) = WORD - STEP_CODE;
		CHECK_EQ(STEP_GET(&s, read_far), 0x12345678);
		/* A selector of real mode moves the base alone. */
		STEP_SET(&s, load_ds, (STEP_CODE >> 4) + 0x100);
		CHECK_EQ(r->sregs.ds.base, STEP_CODE + 0x1000);
		vcpu_reg(&v, RBX) = WORD - STEP_CODE - 0x1000;
		CHECK_EQ(STEP_GET(&s, read_far), 0x12345678);
		STEP_SET(&s, load_data, STEP_CODE >> 4);
		check_events();
	}
}

/* The first instructions of real mode run in what protected mode had: 32-bit code, too. */
static void code32_in_real_mode(void)
{
	start_real();
	real_to_protected();
	vcpu_reg(&v, RBX) = WORD;
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PE);
	CHECK_EQ(r->sregs.cs.base, 0);
	STEP_SET(&s, inc_eax, 0xffff);
	CHECK_EQ(vcpu_reg(&v, RAX), 0x10000);
	CHECK_EQ(STEP_GET(&s, read_near), 0x12345678);
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_PE);
	check_events();
	CHECK_EQ(STEP_GET(&s, read_near), 0x12345678);
}

/* What a data segment may be besides data, and what none is. */
static void odd_segments(void)
{
	static const uint64_t odd[] = {
		DESCRIPTOR(0x91, 0),		   /* read-only */
		DESCRIPTOR(0x95, 0),		   /* the same, expand-down */
		DESCRIPTOR(0x97, 0) & ~0xffffull,  /* expand-down */
		DESCRIPTOR(0x97, 12) & ~0xffffull, /* of 4 GiB */
		DESCRIPTOR(0x9b, 0),		   /* code */
		DESCRIPTOR(0x9f, 0),		   /* conforming */
		DESCRIPTOR(0xf3, 0),		   /* of ring 3 */
		DESCRIPTOR(0x92, 0),		   /* not accessed before */
		DESCRIPTOR(0x93, 9) & ~0xffffull,  /* available, 64 KiB in pages */
	};

	start_real();
	for (unsigned int i = 0; i <= ARRAY_SIZE(odd); i++) {
		uint16_t selector = i < ARRAY_SIZE(odd) ? SEL_ODD : 0;
		struct hv_segment fs;

		real_to_protected();
		if (selector)
			GDT_ENTRY(SEL_ODD) = odd[i];
		STEP_SET(&s, load_ldt, 0);
		STEP_SET(&s, load_fs, selector);
		fs = r->sregs.fs;
		CHECK_EQ(fs.ar & HV_AR_UNUSABLE, selector ? 0 : HV_AR_UNUSABLE);
		STEP_DO(&s, nop);
		CHECK_EQ(r->sregs.fs.ar, fs.ar);
		/* As a stack, where that may be. */
		if (selector && STEP_TRY(&s, load_ss, selector) == GUEST_NO_TRAP) {
			STEP_DO(&s, nop);
			STEP_SET(&s, load_ss, SEL_DATA);
		}
		JUMP(far32, 4, SEL_REAL_CODE, STEP_CODE);
		STEP_SET(&s, load_ds, SEL_REAL_DATA);
		STEP_SET(&s, load_ss, SEL_REAL_DATA);
		vcpu_reg(&v, RSP) -= STEP_CODE;
		STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) & ~CR0_PE);
		CHECK_EQ(r->sregs.fs.selector, selector);
		CHECK_EQ(r->sregs.fs.base, fs.base);
		CHECK_EQ(r->sregs.fs.limit, fs.limit);
		/* Through the host and back. */
		vcpu_set(&v, HV_REGS_SREGS);
		LOAD_TABLE(load_idt16, REAL(POINTER), STEP_IVT, 0x3ff);
		JUMP(far16, 2, STEP_CODE >> 4, STEP_CODE);
		check_events();
		/* Not where there is none: Bochs (2.7) then enters what it refuses itself. */
		if (selector)
			STEP_SET(&s, load_fs, STEP_CODE >> 4);
		STEP_DO(&s, nop);
	}
}

/* ---- Virtual-8086 mode ---- */

#define FLAG_IOPL 0x3000

static void enter_vm86(void)
{
	const uint32_t segment = STEP_CODE >> 4;
	/* EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS */
	const uint32_t frame[] = {
		(uint32_t)(iret32_end - iret32),
		segment,
		FLAG_VM | FLAG_IOPL | 2,
		REAL(STEP_STACK) - 0x800,
		segment,
		segment,
		segment,
		segment,
		segment,
	};

	vcpu_reg(&v, RSP) = STEP_STACK - sizeof(frame);
	memcpy(vm.ram + vcpu_reg(&v, RSP), frame, sizeof(frame));
	STEP_DO(&s, iret32);
	CHECK_EQ(r->gprs.rflags & FLAG_VM, FLAG_VM);
	CHECK_EQ(r->sregs.cs.base, STEP_CODE);
}

/* The TSS is loaded by the guest: QEMU's emulation takes no other in protected mode. */
static void vm86(void)
{
	start();
	step_prot(&s);
	make_segments();
	guest_at(&vm, uint32_t, TASK + 4) = STEP_STACK;
	guest_at(&vm, uint32_t, TASK + 8) = SEL_DATA;
	/* All of the ports that it uses are allowed. */
	guest_at(&vm, uint16_t, TASK + 102) = 104;
	GDT_ENTRY(SEL_TASK) = 0x0000890000000000 | (uint64_t)TASK << 16 | 0x8f;
	guest_at(&vm, uint8_t, STEP_IDT32 + 8 * SOFTWARE + 5) = 0xee;
	STEP_SET(&s, load_tr, SEL_TASK);
	for (unsigned int i = 0; i < 3; i++) {
		enter_vm86();
		STEP_DO(&s, nop);
		check_events();
		CHECK_EQ(s.cs, STEP_CODE >> 4);
		CHECK_EQ(s.rflags & FLAG_VM, FLAG_VM);
		CHECK_EQ(STEP(&s, hlt_), GP);
		CHECK_EQ(s.error, 0);
		CHECK_EQ(STEP_TRY(&s, set_cr0, 0), GP);
		STEP_SET(&s, load_ds, 0x1234);
		CHECK_EQ(r->sregs.ds.base, 0x12340);
		CHECK_EQ(r->gprs.rflags & FLAG_VM, FLAG_VM);
		STEP_BEGIN(&s, nop);
		CHECK_OK(ioctl(v.fd, HV_NMI, 0));
		CHECK_EQ(step_run(&s), 2);
		CHECK_EQ(s.rip, s.start);
		step_return(&s, s.end);
		CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
		CHECK_EQ(r->gprs.rflags & FLAG_VM, FLAG_VM);
		/* Out of it, for good: in the handler. */
		STEP_BEGIN(&s, int_n);
		CHECK_EQ(step_run(&s), SOFTWARE);
		CHECK_EQ(r->gprs.rflags & FLAG_VM, 0);
		STEP_SET(&s, load_data, SEL_DATA);
		check_events();
	}
}

static const struct test tests[] = {
	{"at_one_stretch", at_one_stretch, 0},
	{"round_trips", round_trips, 0},
	{"paging_on_and_off", paging_on_and_off, 0},
	{"efer_orders", efer_orders, 0},
	{"efer_tss16", efer_tss16, 0},
	{"big_limits", big_limits, 0},
	{"code32_in_real_mode", code32_in_real_mode, 0},
	{"odd_segments", odd_segments, 0},
	{"vm86", vm86, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
