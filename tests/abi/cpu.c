// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest sees of the processor: its modes, CPUID, MSRs, control registers
 * and exceptions, on a real vCPU. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

extern const char flat_real[], flat_real_int[], flat_real_end[];
extern const char flat_prot[], flat_prot_int[], flat_prot_end[];
extern const char flat_user[], flat_user_syscall[];
extern uint64_t flat_user_enter(uint64_t rip, uint64_t rsp);
extern uint32_t flat_compat(void);

/* ---- Modes ---- */

/* Intel SDM Vol. 3, table "IA-32 and Intel 64 Processor States Following Power-up". */
static void reset_state(void)
{
	struct vm vm;
	struct vcpu v;
	const struct hv_sregs *s;

	vm_bare(&vm);
	vcpu_init(&v, &vm, 0);
	vcpu_get(&v, HV_REGS_ALL);
	s = &v.run->sregs;
	CHECK_EQ(v.run->gprs.rip, 0xfff0);
	CHECK_EQ(v.run->gprs.rflags, 2);
	CHECK_EQ(vcpu_reg(&v, RAX), 0);
	CHECK_EQ(vcpu_reg(&v, RSP), 0);
	CHECK_EQ(s->cs.selector, 0xf000);
	CHECK_EQ(s->cs.base, 0xffff0000);
	CHECK_EQ(s->cs.limit, 0xffff);
	CHECK_EQ(s->cs.ar & (HV_AR_P | HV_AR_S), HV_AR_P | HV_AR_S);
	CHECK_EQ(s->ds.base, 0);
	CHECK_EQ(s->ds.limit, 0xffff);
	CHECK_EQ(s->gdt.limit, 0xffff);
	CHECK_EQ(s->idt.limit, 0xffff);
	CHECK_EQ(s->cr0, 0x60000010);
	CHECK_EQ(s->cr2, 0);
	CHECK_EQ(s->cr3, 0);
	CHECK_EQ(s->cr4, 0);
	CHECK_EQ(s->cr8, 0);
	CHECK_EQ(s->efer, 0);
	CHECK_EQ(s->xcr0, 1);
	CHECK_EQ(s->apic_base, 0xfee00900);
	CHECK_EQ(v.run->dregs.dr6, 0xffff0ff0);
	CHECK_EQ(v.run->dregs.dr7, 0x400);
	CHECK_EQ(v.run->events.mp_state, HV_MP_RUNNABLE);

	/* Another processor is no BSP and waits. */
	vcpu_init(&v, &vm, 3);
	vcpu_get(&v, HV_REGS_ALL);
	CHECK_EQ(v.run->sregs.apic_base, 0xfee00800);
	CHECK(v.run->events.mp_state != HV_MP_RUNNABLE);
}

static void reset_vector(void)
{
	/* mov $0x42, %al; out %al, $0x80; hlt: at fffffff0 */
	static const uint8_t code[] = {0xb0, 0x42, 0xe6, PORT_LOW, 0xf4};
	struct vm vm;
	struct vcpu v;
	uint8_t *rom;

	vm_bare(&vm);
	rom = vm_add_slot(&vm, 7, 0, 0xfffff000, 0x1000);
	memcpy(rom + 0xff0, code, sizeof(code));
	vcpu_init(&v, &vm, 0);
	vcpu_out(&v, PORT_LOW);
	CHECK_EQ(v.run->exit.pio.data, 0x42);
}

static void real_mode(void)
{
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("forgets INT when its delivery exits");
	vm_init(&vm);
	vm_load(&vm, GUEST_LOW, flat_real, (size_t)(flat_real_end - flat_real));
	guest_at(&vm, uint16_t, 4 * 0x40) = (uint16_t)(flat_real_int - flat_real);
	guest_at(&vm, uint16_t, 4 * 0x40 + 2) = GUEST_LOW >> 4;
	vcpu_init(&v, &vm, 0);
	vcpu_real(&v, GUEST_LOW >> 4, 0);
	vcpu_sync(&v, 0x1234);
	vcpu_sync(&v, 2);
	vcpu_sync(&v, 0x77);
	vcpu_sync(&v, 0x1234);
	vcpu_sync(&v, 0x5a);
	vcpu_sync(&v, 0);
	vcpu_done(&v);
	CHECK_EQ(guest_at(&vm, uint8_t, GUEST_LOW + 0xffff), 0x5a);
}

static void protected_mode(void)
{
	const uint32_t base = GUEST_LOW, idt = 0x20000, directory = 0x30000;
	uint32_t handler = base + (uint32_t)(flat_prot_int - flat_prot);
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("forgets INT when its delivery exits");
	vm_init(&vm);
	/* The handler comes right after the rest. */
	vm_load(&vm, base, flat_prot, (size_t)(flat_prot_int - flat_prot) + 16);
	for (unsigned int i = 0; i < 256; i++) {
		guest_at(&vm, uint64_t, idt + 8 * i) = (handler & 0xffff) |
						       (uint64_t)SEL_CODE32 << 16 | 0x8eULL << 40 |
						       (uint64_t)(handler >> 16) << 48;
	}
	for (unsigned int i = 0; i < 4; i++)
		guest_at(&vm, uint32_t, directory + 4 * i) = i << 22 | 0x83;
	guest_at(&vm, uint32_t, directory + 4 * 0x100) = 0x83;
	vcpu_init(&v, &vm, 0);
	vcpu_flat32(&v, base);
	v.run->gprs.r[HV_RSI] = directory;
	v.run->sregs.idt.base = idt;
	vcpu_set(&v, HV_REGS_GPR | HV_REGS_SREGS);
	vcpu_sync(&v, 0x12345679);
	vcpu_sync(&v, 1);
	vcpu_sync(&v, 2);
	vcpu_out(&v, PORT_SYNC);
	CHECK_EQ(v.run->exit.pio.data & CR0_PG, CR0_PG);
	vcpu_sync(&v, 0x55aa55aa);
	vcpu_done(&v);
}

static GUEST void g_long_mode(uint64_t arg)
{
	G_CHECK_EQ(arg, 0x123456789abcdef0);
	G_CHECK_EQ(rdmsr(G_MSR_EFER) & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
	G_CHECK_EQ(flat_compat(), 0x11);
	/* Linear addresses beyond 4 GiB: PML4 entry 1 is free. */
	*(volatile uint64_t *)(GUEST_PML4 + 8 * 256) = GUEST_PDPT | PTE_P | PTE_W;
	*(volatile uint32_t *)0xffff800000c00000 = 0x1234;
	G_CHECK_EQ(*(volatile uint32_t *)0xc00000, 0x1234);
}

static void long_mode(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_long_mode, 0x123456789abcdef0);
	vcpu_done(&v);
}

static GUEST void g_real_to_long(uint64_t id)
{
	G_CHECK_EQ(id, 0);
	G_CHECK_EQ(rdmsr(G_MSR_EFER) & EFER_LMA, EFER_LMA);
	G_CHECK_EQ(G_TRY("ud2", , ), UD);
}

static void real_to_long(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_load_start16(&vm, GUEST_LOW, 1, g_real_to_long);
	vcpu_init(&v, &vm, 0);
	vcpu_real(&v, GUEST_LOW >> 4, 0);
	vcpu_done(&v);
}

static GUEST bool hook_user(struct guest_frame *f)
{
	/* Out of ring 3: go on in the kernel half, as the SYSCALL would. */
	G_CHECK_EQ(f->cs, SEL_USER_CODE | 3);
	G_CHECK_EQ(f->ss, SEL_USER_DATA | 3);
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rdi = f->vector << 16 | f->error;
	f->rip = (uintptr_t)flat_user_syscall;
	f->rflags = 2;
	return true;
}

static GUEST void g_user_mode(uint64_t xsave)
{
	/* HLT; mov to kernel-only page; XSETBV(0, 1), then UD2: each at its own address */
	static const uint8_t code[] = {0xf4, 0xcc, 0xcc, 0xcc, 0xa2, 0,	   0,	 0,    0x40,
				       0,    0,	   0,	 0,    0x31, 0xc9, 0x31, 0xd2, 0xb8,
				       1,    0,	   0,	 0,    0x0f, 0x01, 0xd1, 0x0f, 0x0b};
	volatile uint8_t *page = (volatile uint8_t *)(uintptr_t)GUEST_FREE;

	for (unsigned int i = 0; i < sizeof(code); i++)
		page[i] = code[i];
	wrmsr(G_MSR_STAR, 0x0018000800000000);
	wrmsr(G_MSR_LSTAR, (uintptr_t)flat_user_syscall);
	wrmsr(G_MSR_SFMASK, 0x200);
	G_CHECK_EQ(flat_user_enter((uintptr_t)flat_user, GUEST_FREE + 0x1000), 0x1111);
	guest_cpu()->hook = hook_user;
	/* HLT is privileged: #GP(0) */
	G_CHECK_EQ(flat_user_enter(GUEST_FREE, GUEST_FREE + 0x1000), GP << 16);
	/* A supervisor's page, written: #PF, present + write + user. */
	G_CHECK_EQ(flat_user_enter(GUEST_FREE + 4, GUEST_FREE + 0x1000), PF << 16 | 7);
	/* So is XSETBV, which would be right in the kernel. */
	if (xsave)
		G_CHECK_EQ(flat_user_enter(GUEST_FREE + 13, GUEST_FREE + 0x1000), GP << 16);
	guest_cpu()->hook = 0;
}

static void user_mode(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_user_mode, hv_caps().xcr0 & 2);
	vm_map(&vm, 0, GUEST_FREE + 0x2000, PTE_P | PTE_W);
	vcpu_done(&v);
}

/* ---- CPUID ---- */

static struct hv_cpuid_entry offered[HV_MAX_CPUID];
static uint32_t offered_count;

static void get_offered(void)
{
	struct hv_cpuid c = {.count = HV_MAX_CPUID, .entries = (uintptr_t)offered};
	int fd = hv_open();

	CHECK_OK(ioctl(fd, HV_GET_CPUID, &c));
	CHECK(c.count > 3 && c.count <= HV_MAX_CPUID);
	offered_count = c.count;
	close(fd);
}

static GUEST void g_cpuid(uint64_t tsc_khz)
{
	struct guest_cpuid max = guest_cpuid(0, 0), r;

	for (uint32_t i = 0; i < offered_count; i++) {
		const struct hv_cpuid_entry *e = &offered[i];

		r = guest_cpuid(e->function, e->index);
		/* Leaves with a part that follows the vCPU: its APIC id, CR4, XCR0, APIC base. */
		if (e->function == 1) {
			G_CHECK_EQ(r.eax, e->eax);
			G_CHECK_EQ(r.ebx >> 24, 0);
			G_CHECK_EQ(r.ecx >> 27 & 1, GUEST_READ_CR(4) >> 18 & 1);
			G_CHECK_EQ(r.ecx & ~(1u << 27), e->ecx & ~(1u << 27));
			G_CHECK_EQ(r.edx | 1u << 9, e->edx | 1u << 9);
		} else if (e->function == 7) {
			G_CHECK_EQ(r.ebx, e->ebx);
		} else if (e->function == 0x40000010) {
			/* The VM's TSC: the offer is as old as the module, and a new kernel refines it. */
			G_CHECK_EQ(r.eax, tsc_khz);
			G_CHECK_EQ(r.ebx, e->ebx);
		} else if (e->function != 0xb && e->function != 0xd && e->function != 0x1f &&
			   e->function != 0x8000001e) {
			G_CHECK_EQ(r.eax, e->eax);
			G_CHECK_EQ(r.ebx, e->ebx);
			G_CHECK_EQ(r.ecx, e->ecx);
			G_CHECK_EQ(r.edx, e->edx);
		}
	}
	/* The hypervisor bit and the paravirtual interface's signature. */
	G_CHECK_EQ(guest_cpuid(1, 0).ecx >> 31, 1);
	r = guest_cpuid(0x40000000, 0);
	G_CHECK_EQ(r.ebx, 0x4b4d564b);
	G_CHECK_EQ(r.ecx, 0x564b4d56);
	G_CHECK_EQ(r.edx, 0x4d);
	/* SVM and VMX are not offered. */
	G_CHECK_EQ(guest_cpuid(0x80000001, 0).ecx >> 2 & 1, 0);
	G_CHECK_EQ(guest_cpuid(1, 0).ecx >> 5 & 1, 0);
	/* Beyond the last leaf: zeroes on AMD (and no crash anywhere). */
	r = guest_cpuid(max.eax + 1, 0);
	if (max.ebx == 0x68747541)
		G_CHECK_EQ(r.eax | r.ebx | r.ecx | r.edx, 0);
	guest_cpuid(0xffffffff, 0xffffffff);
}

static void cpuid_values(void)
{
	struct vm vm;
	struct vcpu v;

	get_offered();
	vm_long(&vm, &v, g_cpuid, hv_caps().tsc_khz);
	vcpu_done(&v);
}

static GUEST void g_cpuid_dynamic(uint64_t arg)
{
	uint64_t base = rdmsr(G_MSR_APIC_BASE);

	(void)arg;
	G_CHECK_EQ(guest_cpuid(1, 0).edx >> 9 & 1, 1);
	wrmsr(G_MSR_APIC_BASE, base & ~(uint64_t)G_APIC_BASE_ENABLE);
	G_CHECK_EQ(guest_cpuid(1, 0).edx >> 9 & 1, 0);
	wrmsr(G_MSR_APIC_BASE, base);
	G_CHECK_EQ(guest_cpuid(1, 0).edx >> 9 & 1, 1);
	if (!(GUEST_READ_CR(4) & CR4_OSXSAVE))
		return;
	G_CHECK_EQ(guest_cpuid(1, 0).ecx >> 27 & 1, 1);
	G_CHECK_EQ(try_xsetbv(0, 1), GUEST_NO_TRAP);
	G_CHECK_EQ(guest_cpuid(0xd, 0).ebx, 576);
	if (guest_cpuid(0xd, 0).eax & 4) {
		G_CHECK_EQ(try_xsetbv(0, 7), GUEST_NO_TRAP);
		G_CHECK_EQ(guest_cpuid(0xd, 0).ebx, 832);
		G_CHECK(guest_cpuid(0xd, 0).ecx >= 832);
	}
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) & ~CR4_OSXSAVE);
	G_CHECK_EQ(guest_cpuid(1, 0).ecx >> 27 & 1, 0);
}

static void cpuid_dynamic(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_cpuid_dynamic, 0);
	vcpu_done(&v);
}

/* A table of our own: other values, a leaf less, per-vCPU APIC ids. */
static GUEST void g_cpuid_set(uint64_t id)
{
	G_CHECK_EQ(guest_cpuid(0x80000002, 0).eax, 0x21216968);
	G_CHECK_EQ(guest_cpuid(1, 0).ebx >> 24, id);
}

static void cpuid_set(void)
{
	struct hv_cpuid c;
	struct vm vm;
	struct vcpu v;

	get_offered();
	for (uint32_t i = 0; i < offered_count; i++) {
		if (offered[i].function == 0x80000002)
			offered[i].eax = 0x21216968;
		if (offered[i].function == 1)
			offered[i].ebx = (offered[i].ebx & 0xffffff) | 5u << 24;
	}
	vm_init(&vm);
	vcpu_init(&v, &vm, 5);
	c = (struct hv_cpuid){.count = offered_count, .entries = (uintptr_t)offered};
	CHECK_OK(ioctl(v.fd, HV_SET_CPUID, &c));
	vcpu_long(&v, g_cpuid_set, 5);
	vcpu_done(&v);
	CHECK_ERRNO(ioctl(v.fd, HV_SET_CPUID, &c), EBUSY);
}

/* An instruction with prefixes: execution goes on right behind it. */
struct prefixed {
	const char *name;
	uint8_t bytes[16];
	uint8_t len;
	uint32_t eax, ecx;
};

#define INSN(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})

static const struct prefixed prefixed[] = {
	{"cpuid", INSN(0x0f, 0xa2), 0, 0},
	{"66 cpuid", INSN(0x66, 0x0f, 0xa2), 0, 0},
	{"rex.w cpuid", INSN(0x48, 0x0f, 0xa2), 0, 0},
	{"66 rex.w cpuid", INSN(0x66, 0x48, 0x0f, 0xa2), 0, 0},
	{"rex ignored before 66", INSN(0x48, 0x66, 0x0f, 0xa2), 0, 0},
	{"2e 67 cpuid", INSN(0x2e, 0x67, 0x0f, 0xa2), 0, 0},
	{"longest cpuid",
	 INSN(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x4f, 0x0f,
	      0xa2),
	 0, 0},
	{"66 rdmsr", INSN(0x66, 0x0f, 0x32), 0, G_MSR_APIC_BASE},
	{"rex rdmsr", INSN(0x40, 0x0f, 0x32), 0, G_MSR_APIC_BASE},
	{"65 rdmsr", INSN(0x65, 0x0f, 0x32), 0, G_MSR_APIC_BASE},
	{"rex.w wrmsr", INSN(0x48, 0x0f, 0x30), 0, G_MSR_TSC_ADJUST},
	{"66 wrmsr", INSN(0x66, 0x0f, 0x30), 0, G_MSR_TSC_ADJUST},
};

static void run_prefixed(struct vcpu *v, const struct prefixed *p, uint64_t gpa)
{
	static const uint8_t out[] = {0xe6, PORT_LOW};

	vm_load(v->vm, gpa, p->bytes, p->len);
	vm_load(v->vm, gpa + p->len, out, sizeof(out));
	vcpu_long_at(v, gpa);
	v->run->gprs.r[HV_RAX] = p->eax;
	v->run->gprs.r[HV_RCX] = p->ecx;
	vcpu_set(v, HV_REGS_GPR);
	vcpu_run(v);
	if (v->run->exit_reason != HV_EXIT_PIO || v->run->exit.pio.port != PORT_LOW)
		test_fail("%s at %#llx: %s", p->name, (unsigned long long)gpa, vcpu_describe(v));
	/* CPUID(0).EBX, APIC base. */
	if (p->bytes[p->len - 1] == 0xa2)
		CHECK(vcpu_reg(v, RBX) != 0);
	if (p->bytes[p->len - 1] == 0x32)
		CHECK_EQ(vcpu_reg(v, RAX), 0xfee00900);
	/* Complete the OUT before the state changes under it. */
	v->run->immediate_exit = 1;
	CHECK_ERRNO(ioctl(v->fd, HV_RUN, 0), EINTR);
	v->run->immediate_exit = 0;
}

static void instruction_lengths(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(prefixed); i++) {
		run_prefixed(&v, &prefixed[i], GUEST_FREE + 0x100);
		/* Across a page. */
		for (unsigned int n = 1; n < prefixed[i].len; n++)
			run_prefixed(&v, &prefixed[i], GUEST_FREE + 0x1000 - n);
	}
}

/* The same in real mode, where EIP is 16 bits wide. */
static void cpuid_real_mode(void)
{
	/* cpuid; out %al, $0x80 */
	static const uint8_t code[] = {0x0f, 0xa2, 0xe6, PORT_LOW};
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_load(&vm, GUEST_LOW + 0xff00, code, sizeof(code));
	vcpu_init(&v, &vm, 0);
	vcpu_real(&v, GUEST_LOW >> 4, 0xff00);
	vcpu_out(&v, PORT_LOW);
	CHECK(vcpu_reg(&v, RBX) != 0);
}

/* ---- Control registers ---- */

static GUEST void check_cr0(uint64_t value)
{
	uint64_t old = GUEST_READ_CR(0);

	if (GUEST_TRY_CR(0, value) != GP)
		guest_fail("no #GP for CR0", value, 0, __LINE__);
	G_CHECK_EQ(guest_cpu()->error, 0);
	G_CHECK_EQ(GUEST_READ_CR(0), old);
}

static GUEST void check_cr4(uint64_t value)
{
	uint64_t old = GUEST_READ_CR(4);

	if (GUEST_TRY_CR(4, value) != GP)
		guest_fail("no #GP for CR4", value, 0, __LINE__);
	G_CHECK_EQ(GUEST_READ_CR(4), old);
}

/* Intel SDM Vol. 3, "Control Registers"; AMD APM Vol. 2, 3.1. */
static GUEST void g_control_registers(uint64_t tcg)
{
	uint64_t cr0 = GUEST_READ_CR(0), cr4 = GUEST_READ_CR(4);

	check_cr0(cr0 & ~CR0_PE);
	check_cr0(cr0 & ~CR0_PG & ~CR0_PE);
	check_cr0(cr0 | CR0_NW);
	/* QEMU's emulation looks at the low half only. */
	if (!tcg) {
		check_cr0(cr0 | 1ull << 32);
		check_cr0(cr0 | 1ull << 63);
	}
	/* 64-bit code may not turn paging off. */
	check_cr0(cr0 & ~CR0_PG);
	/* ET cannot be cleared; TS, AM, WP and CD are the guest's own. */
	GUEST_WRITE_CR(0, (cr0 & ~CR0_ET) | CR0_TS);
	G_CHECK_EQ(GUEST_READ_CR(0), cr0 | CR0_TS);
	asm volatile("clts");
	G_CHECK_EQ(GUEST_READ_CR(0), cr0);
	GUEST_WRITE_CR(0, cr0 | CR0_AM | CR0_CD);
	G_CHECK_EQ(GUEST_READ_CR(0), cr0 | CR0_AM | CR0_CD);
	GUEST_WRITE_CR(0, cr0 | CR0_CD | CR0_NW);
	G_CHECK_EQ(GUEST_READ_CR(0), cr0 | CR0_CD | CR0_NW);
	GUEST_WRITE_CR(0, cr0);
	/* LMSW sets MP, EM, TS; it cannot clear PE. */
	asm volatile("lmsw %w0" : : "r"(0x8));
	G_CHECK_EQ(GUEST_READ_CR(0) & 0xf, CR0_PE | CR0_TS);
	GUEST_WRITE_CR(0, cr0);

	check_cr4(cr4 & ~CR4_PAE);
	check_cr4(cr4 | CR4_VMXE);
	check_cr4(cr4 | 1ull << 15);
	check_cr4(cr4 | 1ull << 31);
	check_cr4(cr4 | 1ull << 63);
	/* The processor's own MCE is set all the while. */
	GUEST_WRITE_CR(4, cr4 ^ CR4_MCE);
	G_CHECK_EQ(GUEST_READ_CR(4), cr4 ^ CR4_MCE);
	GUEST_WRITE_CR(4, cr4);
	G_CHECK_EQ(GUEST_READ_CR(4), cr4);
	GUEST_WRITE_CR(4, cr4 | CR4_PGE | CR4_DE);
	G_CHECK_EQ(GUEST_READ_CR(4), cr4 | CR4_PGE | CR4_DE);
	GUEST_WRITE_CR(4, cr4);
	if (guest_cpuid(1, 0).ecx >> 17 & 1) {
		/* PCIDE needs CR3[11:0] = 0 when it is set. */
		GUEST_WRITE_CR(3, GUEST_PML4 | 0x18);
		check_cr4(cr4 | CR4_PCIDE);
		GUEST_WRITE_CR(3, GUEST_PML4);
		GUEST_WRITE_CR(4, cr4 | CR4_PCIDE);
		G_CHECK_EQ(GUEST_READ_CR(4), cr4 | CR4_PCIDE);
		GUEST_WRITE_CR(4, cr4);
	} else {
		check_cr4(cr4 | CR4_PCIDE);
	}
	GUEST_WRITE_CR(3, GUEST_PML4 | 0x18);
	G_CHECK_EQ(GUEST_READ_CR(3), GUEST_PML4 | 0x18);

	GUEST_WRITE_CR(8, 7);
	G_CHECK_EQ(GUEST_READ_CR(8), 7);
	/* QEMU's emulation takes the low four bits. */
	if (!tcg) {
		G_CHECK_EQ(GUEST_TRY_CR(8, 16), GP);
		G_CHECK_EQ(GUEST_READ_CR(8), 7);
	}
}

static void control_registers(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_control_registers, host_is_tcg());
	vcpu_done(&v);
}

static GUEST void g_xsetbv(uint64_t supported)
{
	(void)supported;
	G_CHECK_EQ(try_xsetbv(0, 1), GUEST_NO_TRAP);
	G_CHECK_EQ(try_xsetbv(0, 3), GUEST_NO_TRAP);
	G_CHECK_EQ(try_xsetbv(0, 0), GP);
	G_CHECK_EQ(try_xsetbv(0, 2), GP);
	G_CHECK_EQ(try_xsetbv(0, 5), GP);
	G_CHECK_EQ(try_xsetbv(0, 1ull << 63 | 3), GP);
	G_CHECK_EQ(try_xsetbv(0, ~supported | 3), GP);
	G_CHECK_EQ(try_xsetbv(1, 3), GP);
	G_CHECK_EQ(try_xsetbv(0xffffffff, 3), GP);
	if (supported & 4)
		G_CHECK_EQ(try_xsetbv(0, 7), GUEST_NO_TRAP);
	/* Half of AVX-512, half of MPX. */
	G_CHECK_EQ(try_xsetbv(0, 0x27), GP);
	G_CHECK_EQ(try_xsetbv(0, 0x0f), GP);
	uint32_t lo, hi;
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	G_CHECK_EQ(lo, supported & 4 ? 7 : 3);
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) & ~CR4_OSXSAVE);
	G_CHECK_EQ(try_xsetbv(0, 3), UD);
}

static void xsetbv(void)
{
	uint64_t xcr0 = hv_caps().xcr0;
	struct vm vm;
	struct vcpu v;

	if (!(xcr0 & 2))
		test_skip("no XSAVE on this host");
	vm_long(&vm, &v, g_xsetbv, xcr0);
	vcpu_done(&v);
}

/* ---- Exceptions ---- */

/* Access to a page of the window: the exception, its error code and CR2. */
static GUEST void check_fault(unsigned int page, bool write, uint64_t error)
{
	uintptr_t address = GUEST_WINDOW + 4096 * page + 0x123;
	uint32_t vector;

	if (write)
		vector = G_TRY("movb $1, (%0)", G_ARGS(), G_ARGS("r"(address)));
	else
		vector = G_TRY("cmpb $1, (%0)", G_ARGS(), G_ARGS("r"(address)));
	G_CHECK_EQ(vector, PF);
	G_CHECK_EQ(guest_cpu()->error, error);
	G_CHECK_EQ(guest_cpu()->cr2, address);
}

static GUEST void g_exceptions(uint64_t tcg)
{
	struct guest_cpu *c = guest_cpu();
	uint32_t zero = 0, one = 1;

	G_CHECK_EQ(G_TRY("ud2", , ), UD);
	G_CHECK_EQ(*(const uint16_t *)c->rip, 0x0b0f);
	G_CHECK_EQ(G_TRY("divl %2", G_ARGS("+a"(one), "+d"(zero)), G_ARGS("r"(0))), DE);
	G_CHECK_EQ(G_TRY("int3", , ), BP);
	G_CHECK_EQ(G_TRY("int $0x55; nop", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(c->count[0x55], 1);
	GUEST_WRITE_CR(0, GUEST_READ_CR(0) | CR0_TS);
	G_CHECK_EQ(G_TRY("fninit", , ), NM);
	asm volatile("clts");
	/* #GP: not canonical; a selector beyond the table; #NP and #SS by segment loads */
	G_CHECK_EQ(G_TRY("movb $0, (%0)", , G_ARGS("r"(0x8000000000000000))), GP);
	G_CHECK_EQ(c->error, 0);
	G_CHECK_EQ(G_TRY("mov %w0, %%es", , G_ARGS("r"(0x1008))), GP);
	G_CHECK_EQ(c->error, 0x1008);
	G_CHECK_EQ(G_TRY("mov %w0, %%es", , G_ARGS("r"(SEL_ABSENT))), NP);
	G_CHECK_EQ(c->error, SEL_ABSENT);
	G_CHECK_EQ(G_TRY("mov %w0, %%ss", , G_ARGS("r"(SEL_ABSENT))), SS);
	G_CHECK_EQ(c->error, SEL_ABSENT);
	/* Page faults: absent, read-only, no-execute, reserved bit */
	check_fault(0, false, 0);
	check_fault(0, true, 2);
	check_fault(1, true, 3);
	/* QEMU's emulation leaves out the bit for "present". */
	check_fault(3, false, tcg ? 8 : 9);
	G_CHECK_EQ(G_TRY("jmp *%0", , G_ARGS("r"(GUEST_WINDOW + 0x2000))), PF);
	G_CHECK_EQ(c->error, 0x11);
	G_CHECK_EQ(c->cr2, GUEST_WINDOW + 0x2000);
}

static void exceptions(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_exceptions, host_is_tcg());
	vm_map(&vm, 1, GUEST_FREE, PTE_P);
	vm_map(&vm, 2, GUEST_FREE, PTE_P | PTE_X);
	vm_map(&vm, 3, GUEST_FREE, PTE_P | PTE_W | 1ull << 51);
	vcpu_done(&v);
}

static GUEST void g_exceptions_float(uint64_t tcg)
{
	static uint16_t control = 0x37b; /* #Z unmasked */
	static uint32_t mxcsr = 0x1d80;	 /* divide by zero unmasked */
	static const float zero, one = 1;

	asm volatile("fninit; fldcw %0" : : "m"(control));
	G_CHECK_EQ(G_TRY("fld1; fldz; fdivrp; fwait", , ), MF);
	asm volatile("fninit");
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
	/* QEMU's emulation has no unmasked SSE exceptions. */
	if (!tcg)
		G_CHECK_EQ(
			G_TRY("movss %0, %%xmm0; divss %1, %%xmm0", , G_ARGS("m"(one), "m"(zero))),
			XM);
	/* Nor does it look at MXCSR's reserved bits. */
	mxcsr = 0xffff0000;
	if (!tcg)
		G_CHECK_EQ(G_TRY("ldmxcsr %0", , G_ARGS("m"(mxcsr))), GP);
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) & ~CR4_OSFXSR);
	G_CHECK_EQ(G_TRY("movups %%xmm0, %%xmm1", , ), UD);
}

static void exceptions_float(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_exceptions_float, host_is_tcg());
	vcpu_done(&v);
}

static GUEST bool hook_double_fault(struct guest_frame *f)
{
	G_CHECK_EQ(f->vector, DF);
	G_CHECK_EQ(f->error, 0);
	f->rip = guest_cpu()->fixup;
	guest_cpu()->vector = DF;
	return true;
}

/* A fault on the way to the handler of a contributory exception: #DF. */
static GUEST void g_double_fault(uint64_t tcg)
{
	/*
	 * The IDT is read once before it matters: QEMU's emulation forgets that an
	 * exception was being delivered when a page has to be brought in for it.
	 */
	G_CHECK_EQ(G_TRY("ud2", , ), UD);
	guest_cpu()->hook = hook_double_fault;
	/* The gate of #GP is not present. */
	*(volatile uint8_t *)(GUEST_IDT + 16 * GP + 5) = 0x0e;
	G_CHECK_EQ(G_TRY("mov %w0, %%es", , G_ARGS("r"(0x1008))), DF);
	/* The same with an exception that the module raises: forgotten there likewise. */
	if (!tcg)
		G_CHECK_EQ(G_TRY("rdmsr", , G_ARGS("c"(0xdeadbeef))), DF);
}

static void double_fault(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_double_fault, host_is_tcg());
	vcpu_done(&v);
}

static GUEST bool hook_debug(struct guest_frame *f)
{
	if (f->vector != DB)
		return false;
	guest_cpu()->vector = DB;
	f->rflags &= ~FLAG_TF;
	return true;
}

static volatile uint64_t watched[8];

static GUEST void g_debug_registers(uint64_t tcg)
{
	struct guest_cpu *c = guest_cpu();
	uint64_t after;

	c->hook = hook_debug;
	GUEST_WRITE_DR(6, 0xffff0ff0);
	/* Single step over one NOP, and over CPUID, which exits. */
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; lea (%%rip), %0" : "=r"(after));
	G_CHECK_EQ(c->count[DB], 1);
	G_CHECK_EQ(c->rip, after - 7);
	G_CHECK_EQ(GUEST_READ_DR(6) & 0x400f, 0x4000);
	asm volatile("pushfq; orq $0x100, (%%rsp); popfq; cpuid; lea (%%rip), %0"
		     : "=r"(after)
		     : "a"(0)
		     : "rbx", "rcx", "rdx");
	G_CHECK_EQ(c->count[DB], 2);
	G_CHECK_EQ(c->rip, after - 7);
	/* A watched write: 8 bytes, DR0; the trap comes after it. */
	GUEST_WRITE_DR(6, 0xffff0ff0);
	GUEST_WRITE_DR(0, (uintptr_t)&watched[0]);
	GUEST_WRITE_DR(3, 0x123456789000);
	GUEST_WRITE_DR(7, 0x90402);
	watched[1] = 1;
	G_CHECK_EQ(c->count[DB], 2);
	watched[0] = 1;
	G_CHECK_EQ(c->count[DB], 3);
	G_CHECK_EQ(GUEST_READ_DR(6) & 0xf, 1);
	/* They outlive an exit to user space. */
	guest_sync(1);
	G_CHECK_EQ(GUEST_READ_DR(0), (uintptr_t)&watched[0]);
	G_CHECK_EQ(GUEST_READ_DR(3), 0x123456789000);
	G_CHECK_EQ(GUEST_READ_DR(7), 0x90402);
	watched[0] = 2;
	G_CHECK_EQ(c->count[DB], 4);
	/* What the host loads. */
	guest_sync(2);
	G_CHECK_EQ(GUEST_READ_DR(0), (uintptr_t)&watched[2]);
	G_CHECK_EQ(GUEST_READ_DR(1), 0x1111);
	/* QEMU's emulation arms no breakpoints when VMRUN loads DR7. */
	if (tcg) {
		GUEST_WRITE_DR(7, 0x400);
		GUEST_WRITE_DR(7, 0x90402);
	}
	watched[2] = 1;
	G_CHECK_EQ(c->count[DB], 5);
	/* It also keeps those that nobody disarms, beyond the guest's end: see docs/testing.md. */
	GUEST_WRITE_DR(7, 0x400);
}

static void debug_registers(void)
{
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("takes the guest's single step to the host");
	/* Where the guest arms its breakpoints it must disarm them. */
	bind_to_cpu(0);
	vm_long(&vm, &v, g_debug_registers, host_is_tcg());
	vcpu_sync(&v, 1);
	vcpu_get(&v, HV_REGS_DREGS);
	CHECK_EQ(v.run->dregs.dr[0], (uintptr_t)&watched[0]);
	CHECK_EQ(v.run->dregs.dr[3], 0x123456789000);
	CHECK_EQ(v.run->dregs.dr7, 0x90402);
	vcpu_sync(&v, 2);
	v.run->dregs.dr[0] = (uintptr_t)&watched[2];
	v.run->dregs.dr[1] = 0x1111;
	v.run->dirty = HV_REGS_DREGS;
	vcpu_done(&v);
}

/* Exceptions that user space raises through HV_REGS_EVENTS. */
static GUEST void g_injected(uint64_t vmrun_loads_cr2)
{
	struct guest_cpu *c = guest_cpu();

	c->vector = GUEST_NO_TRAP;
	for (uint32_t i = 0; i < 4; i++) {
		/* The exception strikes after the OUT, before the NOP. */
		uint32_t vector = G_TRY("movw %w1, %%dx; outl %%eax, %%dx; 8: nop; cli", ,
					G_ARGS("a"(i), "i"(PORT_SYNC)));
		guest_cpu()->fixup = 0;
		static const uint32_t want[] = {UD, GP, PF, GUEST_NO_TRAP};
		G_CHECK_EQ(vector, want[i]);
		if (vector == GP)
			G_CHECK_EQ(c->error, 0x1234);
		if (vector == PF) {
			G_CHECK_EQ(c->error, 6);
			G_CHECK(!vmrun_loads_cr2 || c->cr2 == 0xabcdef0123);
		}
		if (vector != GUEST_NO_TRAP)
			G_CHECK_EQ(*(const uint8_t *)c->rip, 0x90);
	}
}

static void inject(struct vcpu *v, uint8_t vector, bool with_error, uint32_t error)
{
	v->run->events.exception = HV_EVENT_PENDING | (with_error ? HV_EVENT_ERROR_CODE : 0);
	v->run->events.exception_vector = vector;
	v->run->events.exception_error = error;
	v->run->dirty = HV_REGS_EVENTS;
}

static void injected_exceptions(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_injected, !host_is_bochs_amd());
	v.run->wanted = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	vcpu_sync(&v, 0);
	inject(&v, UD, false, 0);
	vcpu_sync(&v, 1);
	CHECK_EQ(v.run->events.exception, 0);
	inject(&v, GP, true, 0x1234);
	vcpu_sync(&v, 2);
	inject(&v, PF, true, 6);
	v.run->sregs.cr2 = 0xabcdef0123;
	v.run->dirty |= HV_REGS_SREGS;
	vcpu_sync(&v, 3);
	vcpu_done(&v);
}

/* ---- Instructions that a guest without SVM does not have, and others intercepted ---- */

static GUEST void g_instructions(uint64_t amd)
{
	uint32_t lo = 0, hi = 0;

	G_CHECK_EQ(G_TRY("vmrun", , G_ARGS("a"(0))), UD);
	G_CHECK_EQ(G_TRY("vmload", , G_ARGS("a"(0))), UD);
	G_CHECK_EQ(G_TRY("vmsave", , G_ARGS("a"(0))), UD);
	G_CHECK_EQ(G_TRY("stgi", , ), UD);
	G_CHECK_EQ(G_TRY("clgi", , ), UD);
	G_CHECK_EQ(G_TRY("skinit", , G_ARGS("a"(0))), UD);
	G_CHECK_EQ(G_TRY("invlpga", , G_ARGS("a"(0), "c"(0))), UD);
	G_CHECK_EQ(G_TRY("wbinvd", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(G_TRY("invd", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(G_TRY(".byte 0x48; invd", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(G_TRY(".byte 0x48; wbinvd", , ), GUEST_NO_TRAP);
	G_CHECK_EQ(G_TRY("invlpg (%0)", , G_ARGS("r"(GUEST_WINDOW))), GUEST_NO_TRAP);
	G_CHECK_EQ(G_TRY("pause", , ), GUEST_NO_TRAP);
	/* RDPMC: AMD's four count nothing; Intel's CPUID says that there are none. */
	for (uint32_t i = 0; i < 6; i++) {
		lo = hi = 0x1234;
		uint32_t vector = G_TRY("rdpmc", G_ARGS("+a"(lo), "+d"(hi)), G_ARGS("c"(i)));
		G_CHECK_EQ(vector, amd && i < 4 ? GUEST_NO_TRAP : GP);
		G_CHECK_EQ(lo | hi, amd && i < 4 ? 0 : 0x1234);
	}
	if (!(guest_cpuid(1, 0).ecx >> 3 & 1)) {
		G_CHECK_EQ(G_TRY("monitor", , G_ARGS("a"(GUEST_FREE), "c"(0), "d"(0))), UD);
		G_CHECK_EQ(G_TRY("mwait", , G_ARGS("a"(0), "c"(0))), UD);
	}
	if (guest_cpuid(0x80000001, 0).edx >> 27 & 1) {
		wrmsr(G_MSR_TSC_AUX, 0x77);
		asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(hi));
		G_CHECK_EQ(hi, 0x77);
	}
}

static void instructions(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_instructions, !host_is_vmx());
	vcpu_done(&v);
}

static const struct test tests[] = {
	{"reset_state", reset_state, 0},
	{"reset_vector", reset_vector, 0},
	{"real_mode", real_mode, 0},
	{"protected_mode", protected_mode, 0},
	{"long_mode", long_mode, 0},
	{"real_to_long", real_to_long, 0},
	{"user_mode", user_mode, 0},
	{"cpuid_values", cpuid_values, 0},
	{"cpuid_dynamic", cpuid_dynamic, 0},
	{"cpuid_set", cpuid_set, 0},
	{"cpuid_real_mode", cpuid_real_mode, 0},
	{"instruction_lengths", instruction_lengths, 0},
	{"control_registers", control_registers, 0},
	{"xsetbv", xsetbv, 0},
	{"exceptions", exceptions, 0},
	{"exceptions_float", exceptions_float, 0},
	{"double_fault", double_fault, 0},
	{"debug_registers", debug_registers, 0},
	{"injected_exceptions", injected_exceptions, 0},
	{"instructions", instructions, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
