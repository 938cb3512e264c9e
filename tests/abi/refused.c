// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest state that cannot be: what the calls on registers refuse, of which nothing
 * may take effect, and what only the processor refuses, which must be reported with
 * the field that is wrong and leave the vCPU usable. Run by "make check" in the
 * test host.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/time.h>

#include "tests/lib/harness.h"
#include "tests/lib/step.h"

/* Intel SDM Vol. 3, appendix C and 26.8: the guest state was refused. */
#define ENTRY_FAILED_GUEST_STATE 0x80000021

/* Fields of the VMCS by their encodings: Intel SDM Vol. 3, appendix B. */
enum {
	SEG_ES,
	SEG_CS,
	SEG_SS,
	SEG_DS,
	SEG_FS,
	SEG_GS,
	SEG_LDTR,
	SEG_TR
};
#define SELECTOR(segment) (0x0800 + 2 * (segment))
#define LIMIT(segment)	  (0x4800 + 2 * (segment))
#define RIGHTS(segment)	  (0x4814 + 2 * (segment))
#define BASE(segment)	  (0x6806 + 2 * (segment))
#define PDPTE(n)	  (0x280a + 2 * (n))
#define FIELD_RIP	  0x681e
#define FIELD_RFLAGS	  0x6820

#define MSR_SYSENTER_ESP  0x175
#define MSR_SYSENTER_EIP  0x176

CODE(32, nop, "nop");

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

/* ---- What the processor refuses ---- */

/* AMD-V checks less: the guest does whatever it does, until this interrupts it. */
static void stop_soon(void)
{
	struct sigaction sa = {.sa_handler = ignore_signal};
	struct itimerval soon = {.it_value = {.tv_usec = 50000}};

	CHECK_OK(sigaction(SIGALRM, &sa, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
}

/*
 * Run with the registers as they are in the run page. VT-x must refuse them and name
 * the field; 0: it is none of the guest state's.
 */
static void run_refused(uint32_t field, const char *what)
{
	r->dirty = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	if (!host_is_vmx()) {
		stop_soon();
		if (ioctl(v.fd, HV_RUN, 0) && errno != EINTR)
			test_fail("%s: %s", what, strerror(errno));
		return;
	}
	CHECK_OK(vcpu_try_run(&v));
	if (r->exit_reason != HV_EXIT_ERROR || r->exit.error.code != HV_ERROR_ENTRY)
		test_fail("%s: %s", what, vcpu_describe(s.v));
	if (r->exit.error.hw_info[0] != field)
		test_fail("%s: field %#llx (%#llx) is named, not %#x", what,
			  (unsigned long long)r->exit.error.hw_info[0],
			  (unsigned long long)r->exit.error.hw_info[1], field);
	if (field)
		CHECK_EQ(r->exit.error.hw_reason, ENTRY_FAILED_GUEST_STATE);
	CHECK_EQ(r->valid & (HV_REGS_GPR | HV_REGS_SREGS), HV_REGS_GPR | HV_REGS_SREGS);
}

/* All registers are as they were, and it runs as it did. */
static void run_mended(const struct hv_run *good, const char *what)
{
	const uint8_t *now = (const uint8_t *)&r->sregs, *then = (const uint8_t *)&good->sregs;

	r->gprs = good->gprs;
	r->sregs = good->sregs;
	r->events = good->events;
	r->dirty = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;
	if (step_run(&s) != GUEST_NO_TRAP)
		test_fail("after %s: event %u", what, s.vector);
	for (size_t i = 0; i < sizeof(r->sregs); i++) {
		if (now[i] != then[i])
			test_fail("after %s: byte %zu of sregs is %#x, not %#x", what, i, now[i],
				  then[i]);
	}
}

/* Change something in the good state, and then back. */
#define REFUSED(field, ...)                             \
	do {                                            \
		struct hv_run good;                     \
		CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP); \
		STEP_BEGIN(&s, nop);                    \
		good = *r;                              \
		__VA_ARGS__;                            \
		run_refused(field, #__VA_ARGS__);       \
		run_mended(&good, #__VA_ARGS__);        \
	} while (0)

static void entry_flow(void)
{
	start();
	step_long(&s);
	/* An interrupt that is being delivered while interrupts are off. */
	REFUSED(FIELD_RFLAGS, r->events.interrupt = HV_EVENT_PENDING;
		r->events.interrupt_vector = 0x40);
	/* Not canonical, but of bits 63 to 48, which VT-x compares, none differs: a #GP. */
	STEP_BEGIN(&s, nop);
	r->gprs.rip = 0x0000800000000000;
	CHECK_EQ(step_run(&s), GP);
	CHECK_EQ(s.error, 0);
	CHECK_EQ(s.rip, 0x0000800000000000);
	step_return(&s, s.start);
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	step_prot(&s);
	/* QEMU fails an assertion of its own on this. */
	if (!host_is_tcg())
		REFUSED(FIELD_RIP, r->gprs.rip |= 1ull << 32);
}

static void entry_segments(void)
{
	start();
	step_long(&s);
	/* A code segment must be one: not data, not absent, of the privilege of SS. */
	REFUSED(RIGHTS(SEG_CS), r->sregs.cs.ar &= ~0xau);
	REFUSED(RIGHTS(SEG_CS), r->sregs.cs.ar &= ~HV_AR_P);
	REFUSED(RIGHTS(SEG_CS), r->sregs.cs.ar &= ~HV_AR_S);
	REFUSED(RIGHTS(SEG_CS), r->sregs.cs.ar |= HV_AR_DPL);
	/* A stack can be written to, data can be read. */
	REFUSED(RIGHTS(SEG_SS), r->sregs.ss.ar |= 8);
	REFUSED(RIGHTS(SEG_SS), r->sregs.ss.ar &= ~2u);
	REFUSED(RIGHTS(SEG_DS), r->sregs.ds.ar = (r->sregs.ds.ar & ~HV_AR_TYPE) | 9);
	REFUSED(RIGHTS(SEG_GS), r->sregs.gs.ar &= ~HV_AR_S);
	/* All but FS and GS have 32 bits of base; limits are in units of 4 KiB from 1 MiB on. */
	REFUSED(BASE(SEG_DS), r->sregs.ds.base = 1ull << 32);
	REFUSED(BASE(SEG_SS), r->sregs.ss.base = 0xffff800000000000);
	REFUSED(LIMIT(SEG_ES), r->sregs.es.limit = 0x00123456);
	REFUSED(LIMIT(SEG_FS), r->sregs.fs.limit = 0x80000ffe);
	/* The task register holds a 64-bit TSS of the GDT. */
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar = 0x83);
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar = 0x82);
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar &= ~HV_AR_P);
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar |= HV_AR_UNUSABLE);
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar |= HV_AR_S);
	REFUSED(SELECTOR(SEG_TR), r->sregs.tr.selector |= 4);
	REFUSED(LIMIT(SEG_TR), r->sregs.tr.limit = 0x00200000);
	/* So does LDTR, if it is usable. */
	REFUSED(RIGHTS(SEG_LDTR), r->sregs.ldt.ar = 0x93);
	REFUSED(RIGHTS(SEG_LDTR), r->sregs.ldt.ar = 0x8b);
	REFUSED(SELECTOR(SEG_LDTR), r->sregs.ldt.selector |= 4);
	REFUSED(LIMIT(SEG_LDTR), r->sregs.ldt.limit = 0x00200000);
	/* Nothing is asked of one that is not. */
	STEP_BEGIN(&s, nop);
	r->sregs.ldt = (struct hv_segment){.ar = HV_AR_UNUSABLE, .selector = 4};
	r->sregs.es = r->sregs.ds = (struct hv_segment){.ar = HV_AR_UNUSABLE};
	r->dirty |= HV_REGS_SREGS;
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);

	step_real(&s);
	REFUSED(RIGHTS(SEG_SS), r->sregs.cs.ar = 0xfb; r->sregs.ss.ar = 0xf3);
	step_prot(&s);
	REFUSED(RIGHTS(SEG_TR), r->sregs.tr.ar = 0x81 | HV_AR_UNUSABLE);
}

/* Registers of virtual-8086 mode, where a segment is its selector: all but one of them. */
static void make_vm86(struct hv_segment *wrong, uint32_t field)
{
	static const struct hv_segment vm86 = {STEP_CODE, 0xffff, 0xf3, STEP_CODE >> 4, {0}};
	struct hv_sregs *sr = &r->sregs;

	sr->es = sr->cs = sr->ss = sr->ds = sr->fs = sr->gs = vm86;
	r->gprs.rflags |= FLAG_VM;
	r->gprs.rip = 0;
	if (field >= BASE(SEG_ES))
		wrong->base += 16;
	else if (field >= RIGHTS(SEG_ES))
		wrong->ar &= ~HV_AR_DPL;
	else
		wrong->limit = 0xfffff;
}

static void entry_vm86(void)
{
	struct hv_segment *segments[6];

	if (!host_is_vmx())
		test_skip("AMD-V refuses nothing of this");
	start();
	segments[SEG_ES] = &r->sregs.es;
	segments[SEG_CS] = &r->sregs.cs;
	segments[SEG_SS] = &r->sregs.ss;
	segments[SEG_DS] = &r->sregs.ds;
	segments[SEG_FS] = &r->sregs.fs;
	segments[SEG_GS] = &r->sregs.gs;
	step_prot(&s);
	for (unsigned int n = SEG_ES; n <= SEG_GS; n++) {
		REFUSED(BASE(n), make_vm86(segments[n], BASE(n)));
		REFUSED(LIMIT(n), make_vm86(segments[n], LIMIT(n)));
		REFUSED(RIGHTS(n), make_vm86(segments[n], RIGHTS(n)));
	}
	/* There is none in long mode. */
	step_long(&s);
	REFUSED(FIELD_RFLAGS, make_vm86(&r->sregs.ldt, LIMIT(SEG_LDTR)));
}

/* Entries that are present and have reserved bits, loaded with CR3 by the host. */
static void entry_pdptes(void)
{
	static const uint64_t wrong[] = {1ull << 1, 1ull << 2, 1ull << 5, 1ull << 8, 1ull << 62};
	const uint64_t good_pdpt = STEP_FREE, bad_pdpt = STEP_FREE + 0x1000;

	start();
	for (unsigned int i = 0; i < 4; i++)
		guest_at(&vm, uint64_t, good_pdpt + 8 * i) = (GUEST_PD + 4096 * i) | PTE_P;
	step_prot(&s);
	r->sregs.cr3 = good_pdpt;
	r->sregs.cr4 |= CR4_PAE;
	r->sregs.cr0 |= CR0_PG;
	vcpu_set(&v, HV_REGS_SREGS);
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		unsigned int n = i % 4;

		for (unsigned int k = 0; k < 4; k++)
			guest_at(&vm, uint64_t, bad_pdpt + 8 * k) =
				guest_at(&vm, uint64_t, good_pdpt + 8 * k);
		guest_at(&vm, uint64_t, bad_pdpt + 8 * n) |= wrong[i];
		REFUSED(PDPTE(n), r->sregs.cr3 = bad_pdpt);
		/* One that is absent may hold anything. */
		guest_at(&vm, uint64_t, bad_pdpt + 8 * 3) = wrong[i];
		guest_at(&vm, uint64_t, bad_pdpt + 8 * n) &= ~wrong[i];
		STEP_BEGIN(&s, nop);
		r->sregs.cr3 = bad_pdpt;
		r->dirty |= HV_REGS_SREGS;
		CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
		CHECK_EQ(r->sregs.cr3, bad_pdpt);
		r->sregs.cr3 = good_pdpt;
		vcpu_set(&v, HV_REGS_SREGS);
	}
}

/*
 * An interrupt was to go in with an entry that is refused: it is delivered once the
 * state is mended, once, and so is an NMI.
 */
static void entry_keeps_events(void)
{
	struct hv_run good;

	if (!host_is_vmx())
		test_skip("AMD-V refuses no state that these calls take");
	start();
	step_long(&s);
	/* The APIC must be on, and the interrupt be accepted. */
	vcpu_x2apic_on(&v);
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
	STEP_BEGIN(&s, nop);
	r->gprs.rflags |= FLAG_IF;
	good = *r;
	r->sregs.tr.ar &= ~HV_AR_P;
	CHECK_EQ(vm_msi(&vm, 0, 0x41), 1);
	run_refused(RIGHTS(SEG_TR), "TR absent");
	CHECK_OK(ioctl(v.fd, HV_NMI, 0));
	r->dirty = 0;
	CHECK_OK(vcpu_try_run(&v));
	CHECK_EQ(r->exit_reason, HV_EXIT_ERROR);
	r->sregs = good.sregs;
	r->dirty = HV_REGS_SREGS;
	/* The interrupt was on its way already; the NMI strikes before its handler does anything. */
	CHECK_EQ(step_run(&s), 2);
	CHECK_EQ(s.rip, STEP_TRAPS64 + 16 * 0x41);
	step_return(&s, s.rip);
	CHECK_EQ(step_run(&s), 0x41);
	CHECK_EQ(s.rip, s.start);
	step_return(&s, s.start);
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
}

/* Exceptions that the processor would never raise so: VT-x refuses, AMD-V delivers some. */
static void entry_exceptions(void)
{
	start();
	step_long(&s);
	REFUSED(0, r->events.exception = HV_EVENT_PENDING | HV_EVENT_ERROR_CODE;
		r->events.exception_vector = UD);
	REFUSED(0, r->events.exception = HV_EVENT_PENDING; r->events.exception_vector = GP);
	REFUSED(0, r->events.exception = HV_EVENT_PENDING | HV_EVENT_ERROR_CODE;
		r->events.exception_vector = GP; r->events.exception_error = 0x12345678);
}

/* ---- What the calls refuse ---- */

/* Nothing of a group that is refused takes effect, and nothing of those behind it. */
static void nothing_takes_effect(void)
{
	struct hv_run good;

	start();
	step_long(&s);
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
	vcpu_get(&v, HV_REGS_ALL);
	good = *r;
	/* All of these are possible... */
	r->gprs.r[HV_R15] = 0x1515;
	r->sregs.cr0 ^= CR0_AM | CR0_WP | CR0_TS;
	r->sregs.cr2 = 0x1234;
	r->sregs.cr3 = GUEST_PML4 | 0x18;
	r->sregs.cr4 ^= CR4_PGE | CR4_DE;
	r->sregs.cr8 = 9;
	r->sregs.efer ^= EFER_SCE;
	r->sregs.xcr0 = 1;
	r->sregs.apic_base = 0xfee00d00;
	r->sregs.fs.base = 0x5000;
	r->sregs.gdt.base = 0x6000;
	r->sregs.idt.limit = 0x7ff;
	r->sregs.tr.base = 0x7000;
	r->dregs.dr[0] = 0x9999;
	r->events.nmi_masked = 1;
	/* ...and this one is not. */
	r->sregs.ds.pad[0] = 1;
	CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_ALL), EINVAL);
	vcpu_get(&v, HV_REGS_ALL);
	CHECK_EQ(r->gprs.r[HV_R15], 0x1515);
	CHECK(memcmp(&r->sregs, &good.sregs, sizeof(good.sregs)) == 0);
	CHECK(memcmp(&r->dregs, &good.dregs, sizeof(good.dregs)) == 0);
	CHECK(memcmp(&r->events, &good.events, sizeof(good.events)) == 0);
	/* EVENTS, the last group: the others are loaded. */
	r->gprs.r[HV_R15] = 0x5151;
	r->sregs.cr2 = 0x1234;
	r->dregs.dr[0] = 0x9999;
	r->events.nmi_masked = 1;
	r->events.nmi_pending = 1;
	r->events.exception = HV_EVENT_PENDING;
	r->events.exception_vector = 32;
	CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_ALL), EINVAL);
	vcpu_get(&v, HV_REGS_ALL);
	CHECK_EQ(r->gprs.r[HV_R15], 0x5151);
	CHECK_EQ(r->sregs.cr2, 0x1234);
	CHECK_EQ(r->dregs.dr[0], 0x9999);
	CHECK(memcmp(&r->events, &good.events, sizeof(good.events)) == 0);
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
}

/* Combinations of mode bits, from each mode. */
static void mode_combinations(void)
{
	struct hv_sregs good, *sr;

	start();
	sr = &v.run->sregs;
#define EINVAL_FOR(...)                                                       \
	do {                                                                  \
		good = *sr;                                                   \
		__VA_ARGS__;                                                  \
		CHECK_ERRNO(ioctl(v.fd, HV_SET_REGS, HV_REGS_SREGS), EINVAL); \
		vcpu_get(&v, HV_REGS_SREGS);                                  \
		CHECK(memcmp(sr, &good, sizeof(good)) == 0);                  \
	} while (0)
	step_long(&s);
	EINVAL_FOR(sr->efer &= ~EFER_LME);
	EINVAL_FOR(sr->efer &= ~(EFER_LME | EFER_LMA); sr->cr4 |= CR4_PCIDE);
	EINVAL_FOR(sr->cr0 &= ~CR0_PG);
	EINVAL_FOR(sr->cr0 &= ~(CR0_PG | CR0_PE); sr->efer &= ~EFER_LMA; sr->cr4 |= CR4_PCIDE);
	EINVAL_FOR(sr->cr4 &= ~CR4_PAE);
	EINVAL_FOR(sr->gs.base = 1ull << 47);
	EINVAL_FOR(sr->tr.base = 1ull << 47);
	EINVAL_FOR(sr->ldt.base = 0xffff7fffffffffff);
	EINVAL_FOR(sr->idt.base = 1ull << 63);
	EINVAL_FOR(sr->cr3 |= 1ull << 52);
	EINVAL_FOR(sr->cs.ar |= 0x100);
	step_prot(&s);
	EINVAL_FOR(sr->efer |= EFER_LMA);
	EINVAL_FOR(sr->efer |= EFER_LME | EFER_LMA);
	EINVAL_FOR(sr->cr0 |= CR0_PG; sr->efer |= EFER_LME);
	EINVAL_FOR(sr->cr0 |= CR0_PG; sr->efer |= EFER_LME | EFER_LMA);
	EINVAL_FOR(sr->cr4 |= CR4_PCIDE | CR4_PAE);
	step_real(&s);
	EINVAL_FOR(sr->cr0 |= CR0_PG);
	EINVAL_FOR(sr->cr0 |= CR0_NW);
#undef EINVAL_FOR
	CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
}

/* Addresses in MSRs that are not canonical: refused, or of no harm to the next entry. */
static void msr_bases(void)
{
	static const uint32_t bases[] = {G_MSR_FS_BASE,	  G_MSR_GS_BASE, G_MSR_KERNEL_GS,
					 G_MSR_LSTAR,	  G_MSR_CSTAR,	 MSR_SYSENTER_ESP,
					 MSR_SYSENTER_EIP};

	start();
	step_long(&s);
	for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++) {
		uint64_t old = vcpu_get_msr(&v, bases[i]);
		struct hv_msr_entry e = {.index = bases[i], .value = 0x0000800000000000};
		struct hv_msrs one = {.count = 1, .entries = (uintptr_t)&e};
		int set = ioctl(v.fd, HV_SET_MSRS, &one);

		if (set)
			test_fail("MSR %#x takes it: %d", bases[i], set);
		CHECK_EQ(vcpu_get_msr(&v, bases[i]), old);
		CHECK_EQ(STEP(&s, nop), GUEST_NO_TRAP);
	}
}

/* Bits of RFLAGS that do not exist are put right. */
static void rflags_put_right(void)
{
	start();
	step_long(&s);
	STEP_BEGIN(&s, nop);
	r->gprs.rflags = 0;
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	CHECK_EQ(r->gprs.rflags, 2);
	STEP_BEGIN(&s, nop);
	r->gprs.rflags = 0xffffffff00000000 | 1u << 3 | 1u << 5 | 1u << 15 | 1u << 22 | 1;
	CHECK_EQ(step_run(&s), GUEST_NO_TRAP);
	CHECK_EQ(r->gprs.rflags, 3);
}

static const struct test tests[] = {
	{"entry_flow", entry_flow, 0},
	{"entry_segments", entry_segments, 0},
	{"entry_vm86", entry_vm86, 0},
	{"entry_pdptes", entry_pdptes, 0},
	{"entry_keeps_events", entry_keeps_events, 0},
	{"entry_exceptions", entry_exceptions, 0},
	{"nothing_takes_effect", nothing_takes_effect, 0},
	{"mode_combinations", mode_combinations, 0},
	{"msr_bases", msr_bases, 0},
	{"rflags_put_right", rflags_put_right, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
