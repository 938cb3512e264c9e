// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control registers, of which the guest sees only what it wrote, and the four entries
 * of PAE paging, which are loaded with them and hidden. Run by "make check" in the
 * test host.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/step.h"

#define SOFTWARE 0x60

CODE(32, nop, "nop");
CODE(32, int_n, "int $0x60");
CODE(32, get_cr0, "mov %cr0, %eax");
CODE(32, set_cr0, "mov %eax, %cr0");
CODE(32, get_cr3, "mov %cr3, %eax");
CODE(32, set_cr3, "mov %eax, %cr3");
CODE(32, get_cr4, "mov %cr4, %eax");
CODE(32, set_cr4, "mov %eax, %cr4");
CODE(64, get_cr8, "mov %cr8, %rax");
CODE(64, set_cr8, "mov %rax, %cr8");
CODE(32, clts_, "clts");
CODE(32, fld1_, "fld1");

/* Of the one test that runs in this process. */
static struct vm vm;
static struct vcpu v;
static struct step s;
static struct hv_run *r;

static void start(void)
{
	step_init(&s, &v, &vm);
	r = v.run;
}

/* The guest's view, that of the run page and that of HV_GET_REGS. */
static void check_cr(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
	CHECK_EQ(r->sregs.cr0, cr0);
	CHECK_EQ(STEP_GET(&s, get_cr4), cr4);
	CHECK_EQ(r->sregs.cr4, cr4);
	CHECK_EQ(step_get_msr(&s, G_MSR_EFER), efer);
	CHECK_EQ(r->sregs.efer, efer);
	CHECK_EQ(vcpu_get_msr(&v, G_MSR_EFER), efer);
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
	CHECK_EQ(r->sregs.cr0, cr0);
	CHECK_EQ(r->sregs.cr4, cr4);
	CHECK_EQ(r->sregs.efer, efer);
}

/* ---- Control registers, and what the guest sees of them ---- */

CODE(32, lmsw_, "lmsw %ax");
CODE(32, smsw_, "smsw %eax");
CODE(16, smsw16, "smsw %eax");
CODE(64, smsw64, "smsw %rax");
CODE(16, cr0_lmsw, "mov %eax, %cr0; lmsw %bx");
CODE(64, lmsw_memory, "lmsw (%rbx)");
CODE(64, smsw_memory, "smsw (%rbx)");

#define WORD STEP_FREE

/* Every bit that can change alone, in any mode. */
static void check_cr0_bits(uint64_t base)
{
	static const uint64_t bits[] = {CR0_MP, CR0_EM, CR0_TS, CR0_NE,
					CR0_WP, CR0_AM, CR0_CD, CR0_CD | CR0_NW};

	for (unsigned int i = 0; i < ARRAY_SIZE(bits); i++) {
		for (unsigned int flip = 0; flip < 2; flip++) {
			uint64_t cr0 = flip ? base ^ bits[i] : base;

			STEP_SET(&s, set_cr0, cr0);
			CHECK_EQ(r->sregs.cr0, cr0);
			CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
			/* ET is always one. */
			STEP_SET(&s, set_cr0, cr0 & ~CR0_ET);
			CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
			/* What the bits do, and not only what they say: #NM. */
			CHECK_EQ(STEP(&s, fld1_), cr0 & (CR0_EM | CR0_TS) ? NM : GUEST_NO_TRAP);
			STEP_DO(&s, clts_);
			CHECK_EQ(r->sregs.cr0, cr0 & ~CR0_TS);
			CHECK_EQ(STEP_GET(&s, get_cr0), cr0 & ~CR0_TS);
		}
	}
	STEP_SET(&s, set_cr0, base);
	/* Refused: nothing changes. */
	CHECK_EQ(STEP_TRY(&s, set_cr0, base | CR0_NW), GP);
	CHECK_EQ(STEP_GET(&s, get_cr0), base);
	/* LMSW takes the low four bits, and does not clear PE. */
	for (uint64_t msw = 0; msw < 16; msw += 2) {
		uint64_t cr0 = (base & ~0xeull) | msw;

		STEP_SET(&s, lmsw_, (base & CR0_PE) | msw | 0xfff0);
		CHECK_EQ(r->sregs.cr0, cr0);
		CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
		STEP_SET(&s, lmsw_, msw);
		CHECK_EQ(STEP_GET(&s, get_cr0), cr0);
	}
	STEP_SET(&s, set_cr0, base);
}

static void cr0_long(void)
{
	uint64_t base = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;

	start();
	step_long(&s);
	check_cr0_bits(base);
	CHECK_EQ(STEP_GET(&s, smsw64), base);
	STEP_SET(&s, set_cr0, base | CR0_CD);
	CHECK_EQ(STEP_GET(&s, smsw64), base | CR0_CD);
	STEP_SET(&s, set_cr0, base & ~CR0_NE);
	CHECK_EQ(STEP_GET(&s, smsw64), base & ~CR0_NE);
	STEP_SET(&s, set_cr0, base);
	/* With operands in memory: 16 bits. */
	vcpu_reg(&v, RBX) = WORD;
	guest_at(&vm, uint32_t, WORD) = 0x55550000 | CR0_TS | CR0_MP | CR0_PE;
	STEP_DO(&s, lmsw_memory);
	CHECK_EQ(STEP_GET(&s, get_cr0), base | CR0_TS);
	guest_at(&vm, uint32_t, WORD) = 0xaaaaaaaa;
	STEP_DO(&s, smsw_memory);
	CHECK_EQ(guest_at(&vm, uint32_t, WORD), 0xaaaa0000 | ((base | CR0_TS) & 0xffff));
	/* These do not exist. */
	CHECK_EQ(STEP_TRY(&s, set_cr0, base & ~CR0_PG), GP);
	CHECK_EQ(STEP_TRY(&s, set_cr0, base & ~(CR0_PG | CR0_PE)), GP);
	CHECK_EQ(STEP_TRY(&s, set_cr0, base & ~CR0_PE), GP);
	check_cr(base | CR0_TS, r->sregs.cr4, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
}

/* What AMD-V leaves to the module of operands in memory, user space is to carry out. */
static void expect_emulate(uint32_t flags)
{
	vcpu_expect(&v, HV_EXIT_EMULATE);
	CHECK_EQ(r->exit.emulate.gpa, ~0ull);
	CHECK_EQ(r->exit.emulate.port, 0);
	CHECK_EQ(r->exit.emulate.flags, flags);
	CHECK_EQ(r->gprs.rip, s.start);
}

static void cr0_memory(void)
{
	if (host_is_vmx())
		test_skip("VT-x takes the operand from memory by itself");
	start();
	step_long(&s);
	/* With one of the bits that are the module's all accesses exit. */
	STEP_SET(&s, set_cr0, STEP_GET(&s, get_cr0) | CR0_CD);
	vcpu_reg(&v, RBX) = WORD;
	STEP_BEGIN(&s, lmsw_memory);
	expect_emulate(0);
	STEP_BEGIN(&s, smsw_memory);
	expect_emulate(HV_IO_WRITE);
}

static void cr0_protected(void)
{
	uint64_t base = CR0_PE | CR0_MP | CR0_ET | CR0_NE;

	start();
	step_prot(&s);
	check_cr0_bits(base);
	CHECK_EQ(STEP_GET(&s, smsw_), base);
	CHECK_EQ(STEP_TRY(&s, set_cr0, base ^ (CR0_PG | CR0_PE)), GP);
	check_cr(base, 0, 0);
}

static void cr0_real(void)
{
	start();
	step_real(&s);
	check_cr0_bits(CR0_ET);
	CHECK_EQ(STEP_GET(&s, smsw16), CR0_ET);
	CHECK_EQ(STEP_TRY(&s, set_cr0, CR0_ET | CR0_PG), GP);
	CHECK_EQ(STEP_GET(&s, get_cr0), CR0_ET);
	/* LMSW sets PE, and cannot clear it again; MOV can. */
	STEP_SET(&s, lmsw_, 1);
	CHECK_EQ(STEP_GET(&s, get_cr0), CR0_ET | CR0_PE);
	STEP_SET(&s, lmsw_, 0);
	CHECK_EQ(STEP_GET(&s, get_cr0), CR0_ET | CR0_PE);
	STEP_SET(&s, set_cr0, CR0_ET);
	/* Bits that may have changed without an exit just before. */
	vcpu_reg(&v, RBX) = CR0_PE;
	STEP_SET(&s, cr0_lmsw, CR0_ET | CR0_WP | CR0_AM);
	CHECK_EQ(STEP_GET(&s, get_cr0), CR0_ET | CR0_PE | CR0_WP | CR0_AM);
	STEP_SET(&s, set_cr0, CR0_ET);
	CHECK_EQ(STEP(&s, int_n), SOFTWARE);
}

/* A bit of CR4 that a CPUID bit allows. */
static bool cr4_bit_exists(unsigned int bit)
{
	struct {
		uint8_t bit, reg; /* 0: EBX of leaf 7, 1: ECX of leaf 7, 2: ECX of leaf 1 */
		uint8_t cpuid_bit;
	} const optional[] = {{11, 1, 2},  {12, 1, 16}, {16, 0, 0}, {17, 2, 17},
			      {18, 2, 26}, {20, 0, 7},	{21, 0, 20}};
	struct hv_cpuid_entry table[HV_MAX_CPUID];
	struct hv_cpuid cpuid = {.count = HV_MAX_CPUID, .entries = (uintptr_t)table};
	int fd = hv_open();

	CHECK_OK(ioctl(fd, HV_GET_CPUID, &cpuid));
	close(fd);
	/* On every processor with long mode, but for VMXE and SMXE (13, 14) above them. */
	if (bit <= 10)
		return true;
	for (unsigned int i = 0; i < ARRAY_SIZE(optional); i++) {
		for (unsigned int k = 0; optional[i].bit == bit && k < cpuid.count; k++) {
			uint32_t leaf = optional[i].reg == 2 ? 1 : 7;
			uint32_t value = optional[i].reg == 0 ? table[k].ebx : table[k].ecx;

			if (table[k].function == leaf && !table[k].index)
				return value >> optional[i].cpuid_bit & 1;
		}
	}
	return false;
}

static void cr4(void)
{
	uint64_t base;

	start();
	step_long(&s);
	/* The kernel's pages, for SMEP and SMAP. */
	guest_at(&vm, uint64_t, GUEST_PML4) &= ~PTE_U;
	base = STEP_GET(&s, get_cr4);
	CHECK_EQ(r->sregs.cr4, base);
	/* What the module sets for itself is not seen. */
	CHECK_EQ(base & (CR4_VMXE | CR4_MCE), 0);
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t value = base ^ 1ull << bit;
		/* Long mode keeps PAE, and the number of levels. */
		bool ok = cr4_bit_exists(bit) && bit != 5 && bit != 12;

		if (STEP_TRY(&s, set_cr4, value) != (ok ? GUEST_NO_TRAP : GP))
			test_fail("bit %u of CR4: event %u", bit, s.vector);
		CHECK_EQ(STEP_GET(&s, get_cr4), ok ? value : base);
		CHECK_EQ(r->sregs.cr4, ok ? value : base);
		STEP_SET(&s, set_cr4, base);
		CHECK_EQ(STEP_GET(&s, get_cr4), base);
	}
}

/* The task priority, by its four ways. */
static void cr8(void)
{
	start();
	step_long(&s);
	vcpu_x2apic_on(&v);
	vcpu_get(&v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
	for (uint64_t tpr = 0; tpr < 16; tpr++) {
		STEP_SET(&s, set_cr8, tpr);
		CHECK_EQ(r->sregs.cr8, tpr);
		CHECK_EQ(STEP_GET(&s, get_cr8), tpr);
		CHECK_EQ(step_get_msr(&s, G_MSR_X2APIC + G_APIC_TPR / 16), tpr << 4);
		CHECK_EQ(vcpu_get_msr(&v, G_MSR_X2APIC + G_APIC_TPR / 16), tpr << 4);
		CHECK_EQ(step_set_msr(&s, G_MSR_X2APIC + G_APIC_TPR / 16, (15 - tpr) << 4 | 3),
			 GUEST_NO_TRAP);
		CHECK_EQ(r->sregs.cr8, 15 - tpr);
		CHECK_EQ(STEP_GET(&s, get_cr8), 15 - tpr);
		r->sregs.cr8 = tpr;
		r->dirty |= HV_REGS_SREGS;
		CHECK_EQ(STEP_GET(&s, get_cr8), tpr);
	}
	/* QEMU's emulation takes the low four bits. */
	for (unsigned int bit = 4; bit < 64 && !host_is_tcg(); bit++) {
		CHECK_EQ(STEP_TRY(&s, set_cr8, 1ull << bit), GP);
		CHECK_EQ(STEP_GET(&s, get_cr8), 15);
	}
}

/* ---- PAE ---- */

/*
 * Identity-mapped but for the second GiB, where one of two tables shows one of two
 * words.
 */
#define PDPT	 STEP_FREE /* and one more in the page behind it */
#define PDPT_2	 (STEP_FREE + 0x1000)
#define PD_ONE	 (STEP_FREE + 0x2000)
#define PD_TWO	 (STEP_FREE + 0x3000)
#define SHOWN	 0x40090000
#define WORD_ONE 0x90000
#define WORD_TWO 0x290000

CODE(32, read_ebx, "invlpg (%ebx); mov (%ebx), %eax");

static void make_pae(void)
{
	for (unsigned int i = 0; i < 4; i++)
		guest_at(&vm, uint64_t, PDPT + 8 * i) = (GUEST_PD + 4096 * i) | PTE_P;
	guest_at(&vm, uint64_t, PDPT + 8) = PD_ONE | PTE_P;
	memcpy(vm.ram + PDPT_2, vm.ram + PDPT, 32);
	guest_at(&vm, uint64_t, PDPT_2 + 8) = PD_TWO | PTE_P;
	guest_at(&vm, uint64_t, PD_ONE) = 0x83;
	guest_at(&vm, uint64_t, PD_TWO) = 0x200083;
	guest_at(&vm, uint32_t, WORD_ONE) = 1;
	guest_at(&vm, uint32_t, WORD_TWO) = 2;
	vcpu_reg(&v, RBX) = SHOWN;
}

/* Protected mode with PAE paging by PDPT. */
static void start_pae(void)
{
	start();
	step_prot(&s);
	make_pae();
	STEP_SET(&s, set_cr3, PDPT);
	STEP_SET(&s, set_cr4, CR4_PAE);
	STEP_SET(&s, set_cr0, r->sregs.cr0 | CR0_PG);
	CHECK_EQ(STEP_GET(&s, read_ebx), 1);
}

/* What is shown while the entry in memory says otherwise: AMD-V may read it at any time. */
static void check_kept(uint32_t kept, const char *after)
{
	uint32_t shown = (uint32_t)STEP_GET(&s, read_ebx);

	if (shown != kept && (host_is_vmx() || shown != 3 - kept))
		test_fail("after %s the other tables are used", after);
}

/* Loaded with CR3, and kept until it is loaded again, whatever happens meanwhile. */
static void pae_kept(void)
{
	start_pae();
	STEP_SET(&s, set_cr3, PDPT_2);
	CHECK_EQ(STEP_GET(&s, read_ebx), 2);
	STEP_SET(&s, set_cr3, PDPT);
	CHECK_EQ(STEP_GET(&s, read_ebx), 1);
	guest_at(&vm, uint64_t, PDPT + 8) = PD_TWO | PTE_P;
	check_kept(1, "a write to memory");
	step_get_msr(&s, G_MSR_EFER);
	check_kept(1, "RDMSR");
	CHECK_EQ(STEP(&s, int_n), SOFTWARE);
	check_kept(1, "an interrupt");
	step_drop(&vm, 0, GUEST_RAM);
	check_kept(1, "faults of stage 2");
	vcpu_get(&v, HV_REGS_ALL);
	vcpu_set(&v, HV_REGS_GPR | HV_REGS_DREGS | HV_REGS_EVENTS);
	check_kept(1, "HV_SET_REGS of other groups");
	STEP_DO(&s, clts_);
	check_kept(1, "CLTS");
	STEP_SET(&s, set_cr3, PDPT);
	CHECK_EQ(STEP_GET(&s, read_ebx), 2);
	CHECK_EQ(STEP_GET(&s, get_cr3), PDPT);
	CHECK_EQ(r->sregs.cr3, PDPT);
}

/* MOV to CR0 and CR4 load them if they change one of some bits: Intel SDM Vol. 3, 4.4.1. */
static void pae_loaded(void)
{
	static const uint64_t cr0_bits[] = {CR0_CD, CR0_CD | CR0_NW};
	static const uint64_t cr4_bits[] = {CR4_PGE, CR4_PSE};
	uint64_t want = 1;

	start_pae();
	for (unsigned int i = 0; i < 2 * (ARRAY_SIZE(cr0_bits) + ARRAY_SIZE(cr4_bits)); i++) {
		want = 3 - want;
		guest_at(&vm, uint64_t, PDPT + 8) = (want == 1 ? PD_ONE : PD_TWO) | PTE_P;
		if (i < 2 * ARRAY_SIZE(cr0_bits))
			STEP_SET(&s, set_cr0, r->sregs.cr0 ^ cr0_bits[i / 2]);
		else
			STEP_SET(&s, set_cr4,
				 r->sregs.cr4 ^ cr4_bits[i / 2 - ARRAY_SIZE(cr0_bits)]);
		CHECK_EQ(STEP_GET(&s, read_ebx), want);
	}
	/* Paging off and on. */
	want = 3 - want;
	STEP_SET(&s, set_cr0, r->sregs.cr0 & ~CR0_PG);
	guest_at(&vm, uint64_t, PDPT + 8) = (want == 1 ? PD_ONE : PD_TWO) | PTE_P;
	STEP_SET(&s, set_cr0, r->sregs.cr0 | CR0_PG);
	CHECK_EQ(STEP_GET(&s, read_ebx), want);
}

/* The others do not. */
static void pae_not_loaded(void)
{
	start_pae();
	guest_at(&vm, uint64_t, PDPT + 8) = PD_TWO | PTE_P;
	STEP_SET(&s, set_cr4, r->sregs.cr4 ^ CR4_DE);
	check_kept(1, "MOV CR4 that changes DE");
	STEP_SET(&s, set_cr0, r->sregs.cr0 ^ CR0_NE);
	check_kept(1, "MOV CR0 that changes NE");
}

/* 32-byte alignment; the low five bits are no address. */
static void pae_alignment(void)
{
	start_pae();
	for (uint64_t at = PDPT; at < PDPT + 0x1000; at += 0x20) {
		bool two = at & 0x20;

		memcpy(vm.ram + at, vm.ram + (two ? PDPT_2 : PDPT), 32);
		if (two)
			guest_at(&vm, uint64_t, at + 8) = PD_TWO | PTE_P;
	}
	for (uint64_t at = PDPT; at < PDPT + 0x1000; at += 0x20) {
		STEP_SET(&s, set_cr3, at | 0x18);
		CHECK_EQ(STEP_GET(&s, read_ebx), at & 0x20 ? 2 : 1);
		CHECK_EQ(STEP_GET(&s, get_cr3), at | 0x18);
	}
}

static void pae_absent(void)
{
	start_pae();
	guest_at(&vm, uint64_t, PDPT + 8) = ~1ull;
	STEP_SET(&s, set_cr3, PDPT);
	CHECK_EQ(STEP(&s, read_ebx), PF);
	CHECK_EQ(s.error, 0);
	CHECK_EQ(r->sregs.cr2, SHOWN);
}

/* A write that must find them bad, also when they are not in stage 2. */
static void check_refused(const char *code, const char *code_end, uint64_t value, bool dropped)
{
	step_begin(&s, code, (size_t)(code_end - code));
	vcpu_reg(&v, RAX) = value;
	if (dropped)
		step_drop(&vm, PDPT, 0x2000);
	CHECK_EQ(step_run(&s), GP);
	CHECK_EQ(s.error, 0);
	CHECK_EQ(s.rip, s.start);
	step_return(&s, s.end);
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
}

/* Reserved bits of an entry that is present: #GP, and nothing has changed. */
static void pae_reserved(void)
{
	static const uint64_t reserved[] = {1ull << 1, 1ull << 2, 1ull << 5, 1ull << 8, 1ull << 62};
	uint64_t cr0, cr4;

	if (!host_is_vmx())
		test_skip("AMD-V reads the entries as it walks the tables, not with CR3");
	start_pae();
	cr0 = r->sregs.cr0;
	cr4 = r->sregs.cr4;
	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(reserved); i++) {
		uint64_t at = PDPT_2 + 8 * (i % 4), good = guest_at(&vm, uint64_t, at);
		uint64_t bad = reserved[i / 2];
		bool dropped = i % 2;

		guest_at(&vm, uint64_t, at) = good | bad;
		check_refused(set_cr3, set_cr3_end, PDPT_2, dropped);
		CHECK_EQ(r->sregs.cr3, PDPT);
		CHECK_EQ(STEP_GET(&s, read_ebx), 1);
		/* The same by CR0 and CR4. */
		STEP_SET(&s, set_cr0, cr0 & ~CR0_PG);
		STEP_SET(&s, set_cr3, PDPT_2);
		check_refused(set_cr0, set_cr0_end, cr0, dropped);
		check_cr(cr0 & ~CR0_PG, cr4, 0);
		guest_at(&vm, uint64_t, at) = good;
		STEP_SET(&s, set_cr0, cr0);
		CHECK_EQ(STEP_GET(&s, read_ebx), 2);
		guest_at(&vm, uint64_t, at) = good | bad;
		check_refused(set_cr4, set_cr4_end, cr4 ^ CR4_PGE, dropped);
		check_cr(cr0, cr4, 0);
		CHECK_EQ(STEP_GET(&s, read_ebx), 2);
		/* One that is absent may hold anything. */
		guest_at(&vm, uint64_t, at) = good;
		guest_at(&vm, uint64_t, PDPT_2 + 24) = bad;
		STEP_SET(&s, set_cr3, PDPT_2);
		CHECK_EQ(STEP_GET(&s, read_ebx), 2);
		memcpy(vm.ram + PDPT_2 + 24, vm.ram + PDPT + 24, 8);
		STEP_SET(&s, set_cr3, PDPT);
	}
}

/* Their page is not in stage 2 when they are loaded. */
static void pae_stage2(void)
{
	uint64_t cr0, cr4;

	start_pae();
	cr0 = r->sregs.cr0;
	cr4 = r->sregs.cr4;
	for (unsigned int all = 0; all < 2; all++) {
		uint64_t gpa = all ? 0 : PDPT, len = all ? GUEST_RAM : 0x2000;

		for (unsigned int i = 0; i < 2; i++) {
			uint64_t pdpt = i ? PDPT : PDPT_2, want = i ? 1 : 2;

			step_drop(&vm, gpa, len);
			STEP_SET(&s, set_cr3, pdpt);
			step_drop(&vm, gpa, len);
			CHECK_EQ(STEP_GET(&s, read_ebx), want);
			STEP_SET(&s, set_cr0, cr0 & ~CR0_PG);
			STEP_SET(&s, set_cr3, i ? PDPT_2 : PDPT);
			STEP_BEGIN(&s, set_cr0);
			vcpu_reg(&v, RAX) = cr0;
			step_drop(&vm, gpa, len);
			CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
			CHECK_EQ(STEP_GET(&s, read_ebx), 3 - want);
			STEP_BEGIN(&s, set_cr4);
			vcpu_reg(&v, RAX) = cr4 ^ CR4_PGE;
			step_drop(&vm, gpa, len);
			CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
			CHECK_EQ(STEP_GET(&s, read_ebx), 3 - want);
			STEP_SET(&s, set_cr4, cr4);
			/* By the host. */
			r->sregs.cr3 = pdpt;
			step_drop(&vm, gpa, len);
			vcpu_set(&v, HV_REGS_SREGS);
			step_drop(&vm, gpa, len);
			CHECK_EQ(STEP_GET(&s, read_ebx), want);
			CHECK_EQ(r->sregs.cr3, pdpt);
		}
	}
}

/* Where there is no memory: an end, of whatever kind, that is no hang. */
static void pae_hole(void)
{
	static const uint32_t ends[] = {HV_EXIT_EMULATE, HV_EXIT_ERROR, HV_EXIT_SHUTDOWN};
	bool known = false;

	start_pae();
	STEP_BEGIN(&s, set_cr3);
	vcpu_reg(&v, RAX) = 0x20000000;
	vcpu_run(&v);
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++)
		known |= r->exit_reason == ends[i];
	if (!known)
		test_fail("CR3 in a hole: %s", vcpu_describe(&v));
	step_prot(&s);
	STEP_DO(&s, nop);
}

static const struct test tests[] = {
	{"cr0_long", cr0_long, 0},
	{"cr0_memory", cr0_memory, 0},
	{"cr0_protected", cr0_protected, 0},
	{"cr0_real", cr0_real, 0},
	{"cr4", cr4, 0},
	{"cr8", cr8, 0},
	{"pae_kept", pae_kept, 0},
	{"pae_loaded", pae_loaded, 0},
	{"pae_not_loaded", pae_not_loaded, 0},
	{"pae_alignment", pae_alignment, 0},
	{"pae_absent", pae_absent, 0},
	{"pae_reserved", pae_reserved, 0},
	{"pae_stage2", pae_stage2, 0},
	{"pae_hole", pae_hole, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
