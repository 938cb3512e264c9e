// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bad guests: whatever one does ends in a fault of its own or in an exit of its
 * own VM, and it can always be stopped. A second VM runs beside each and must not
 * notice. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define NOWHERE 0x50000000ull /* on no slot */

/* ---- The witness: another VM that keeps computing and checking itself ---- */

static volatile uint64_t witness_stop;
static volatile uint64_t witness_rounds;

static GUEST void g_witness(uint64_t arg)
{
	uint64_t *memory = (uint64_t *)(uintptr_t)GUEST_FREE;
	uint64_t state = arg;

	while (!witness_stop) {
		uint64_t first = state, sum = 0;

		for (unsigned int i = 0; i < 4096; i++) {
			state = state * 6364136223846793005 + 1442695040888963407;
			memory[i] = state;
		}
		guest_cpuid(0, 0);
		state = first;
		for (unsigned int i = 0; i < 4096; i++) {
			state = state * 6364136223846793005 + 1442695040888963407;
			sum |= memory[i] ^ state;
		}
		G_CHECK_EQ(sum, 0);
		witness_rounds++;
	}
}

static struct vm witness_vm;
static struct vcpu witness_vcpu;
static pthread_t witness_thread;

static void witness_start(void)
{
	vm_long(&witness_vm, &witness_vcpu, g_witness, 88172645463325252);
	witness_thread = vcpu_start(&witness_vcpu);
}

static void witness_end(void)
{
	uint64_t rounds = guest_var(&witness_vm, witness_rounds);

	while (guest_var(&witness_vm, witness_rounds) < rounds + 3)
		sleep_ns(MSEC);
	guest_var(&witness_vm, witness_stop) = 1;
	vcpu_join(witness_thread);
}

/* ---- Guests that never come back by themselves ---- */

/* It runs on until a signal ends HV_RUN; then the vCPU can be looked at and goes on. */
static void must_be_stoppable(struct vcpu *v)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct runner r;

		runner_start(&r, v);
		sleep_ns(300 * MSEC);
		runner_stop(&r);
		runner_join(&r);
		if (r.result != -1 || r.error != EINTR)
			test_fail("HV_RUN returned %d (%s), %s", r.result, strerror(r.error),
				  vcpu_describe(v));
		vcpu_get(v, HV_REGS_ALL);
	}
}

/* Whatever it does, it ends by itself or by a signal. */
static void must_end_somehow(struct vcpu *v)
{
	struct runner r;

	runner_start(&r, v);
	sleep_ns(300 * MSEC);
	runner_stop(&r);
	runner_join(&r);
	CHECK(r.result == 0 || r.error == EINTR);
}

static GUEST void g_halt(uint64_t arg)
{
	(void)arg;
	for (;;)
		asm volatile("cli; hlt");
}

static void halt_forever(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, g_halt, 0);
	must_be_stoppable(&v);
	witness_end();
}

static GUEST bool hook_again(struct guest_frame *f)
{
	(void)f;
	return true; /* RIP unchanged: the same exception again */
}

static GUEST void g_exception_loop(uint64_t vector)
{
	guest_cpu()->hook = hook_again;
	if (vector == UD)
		asm volatile("ud2");
	else if (vector == GP)
		asm volatile("rdmsr" : : "c"(0xdeadbeef) : "rax", "rdx");
	else if (vector == PF)
		*(volatile uint64_t *)GUEST_WINDOW = 1;
}

static void exception_loops(void)
{
	static const uint8_t vectors[] = {UD, GP, PF};

	witness_start();
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_exception_loop, vectors[i]);
		vcpu_interruptible(&v);
		must_be_stoppable(&v);
		vcpu_close(&v);
		vm_close(&vm);
	}
	witness_end();
}

/*
 * A breakpoint on the stack that #DB itself is pushed to: its delivery raises it
 * again, for ever (CVE-2015-8104).
 */
static GUEST void g_db_loop(uint64_t stack)
{
	uint64_t trigger = 0;

	/* Exceptions use the stack of IST 1; its first push hits the watched address. */
	GUEST_WRITE_DR(0, stack - 8);
	GUEST_WRITE_DR(1, (uintptr_t)&trigger);
	GUEST_WRITE_DR(7, 0x990402 | 0x8);
	*(volatile uint64_t *)&trigger = 1;
	for (;;)
		*(volatile uint64_t *)&trigger = 2;
}

static void db_loop(void)
{
	struct vm vm;
	struct vcpu v;

	if (host_is_tcg())
		test_skip("QEMU's emulation fails an assertion of its own on this");
	witness_start();
	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vcpu_long(&v, g_db_loop, GUEST_STACKS + 0x10000 - 0x4000);
	/* The handler: back at once, with the breakpoints still armed. */
	guest_var(&vm, guest_cpus[0]).hook = hook_again;
	must_be_stoppable(&v);
	witness_end();
}

/* Interrupts to itself without end, from the handler. */
static GUEST bool hook_ipi(struct guest_frame *f)
{
	guest_apic_write(G_APIC_EOI, 0);
	guest_self_ipi((uint8_t)f->vector);
	return true;
}

static GUEST void g_ipi_storm(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_cpu()->hook = hook_ipi;
	guest_self_ipi(0x40);
	for (;;)
		asm volatile("sti; hlt");
}

static void ipi_storm(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, g_ipi_storm, 0);
	must_be_stoppable(&v);
	witness_end();
}

/* The shortest timer period there is. */
static GUEST void g_timer_storm(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_apic_write(G_APIC_TIMER_DIVIDE, 0xb);
	guest_apic_write(G_APIC_LVT_TIMER, 0x20041);
	guest_apic_write(G_APIC_TIMER_INIT, 1);
	for (;;)
		asm volatile("sti; hlt");
}

static void timer_storm(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, g_timer_storm, 0);
	must_be_stoppable(&v);
	witness_end();
}

/* ---- Shutdown ---- */

static GUEST void g_triple_fault(uint64_t how)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) empty;

	asm volatile("lidt %0" : : "m"(empty));
	if (how == 0)
		asm volatile("ud2");
	else if (how == 1)
		asm volatile("int $0x20");
	else
		/* An exception that the module raises. */
		asm volatile("rdmsr" : : "c"(0xdeadbeef) : "rax", "rdx");
}

static void triple_fault(void)
{
	skip_on_bochs_amd("ends with the guest's shutdown");
	witness_start();
	for (unsigned int how = 0; how < 3; how++) {
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_triple_fault, how);
		vcpu_expect(&v, HV_EXIT_SHUTDOWN);
		/* Still so when run again without a reset. */
		vcpu_run(&v);
		CHECK(v.run->exit_reason == HV_EXIT_SHUTDOWN ||
		      v.run->exit_reason == HV_EXIT_ERROR);
		vcpu_close(&v);
		vm_close(&vm);
	}
	witness_end();
}

/* ---- Code and tables where there is no memory ---- */

static void expect_fetch_error(struct vcpu *v)
{
	vcpu_expect(v, HV_EXIT_ERROR);
	if (v->run->exit.error.code != HV_ERROR_FETCH)
		test_fail("HV_ERROR_FETCH expected, not %s", vcpu_describe(v));
}

static void jump_to_nowhere(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, (void (*)(uint64_t))(uintptr_t)NOWHERE, 0);
	expect_fetch_error(&v);
	/* A second time the same; and it can be saved. */
	expect_fetch_error(&v);
	vcpu_close(&v);
	vm_close(&vm);
	/* The reset vector of a VM without memory. */
	vm_bare(&vm);
	vcpu_init(&v, &vm, 0);
	expect_fetch_error(&v);
	witness_end();
}

/* The last bytes of memory: an instruction that begins in it and ends beyond. */
static void run_off_the_end(void)
{
	/* cpuid in the last two bytes, then nothing; then half of one. */
	static const uint8_t cpuid[] = {0x0f, 0xa2};
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vm_load(&vm, GUEST_RAM - 2, cpuid, 2);
	vcpu_long_at(&v, GUEST_RAM - 2);
	expect_fetch_error(&v);
	vm_load(&vm, GUEST_RAM - 1, cpuid, 1);
	vcpu_long_at(&v, GUEST_RAM - 1);
	expect_fetch_error(&v);
	/* A MOV to MMIO with its last byte missing. */
	vm_load(&vm, GUEST_RAM - 3, (uint8_t[]){0x48, 0x89, 0x04}, 3);
	vcpu_long_at(&v, GUEST_RAM - 3);
	expect_fetch_error(&v);
	witness_end();
}

/* Some exit that ends the run or is user space's to judge; never a hang, never success. */
static void expect_trouble(struct vcpu *v)
{
	for (unsigned int i = 0; i < 100; i++) {
		vcpu_run(v);
		switch (v->run->exit_reason) {
		case HV_EXIT_SHUTDOWN:
		case HV_EXIT_ERROR:
		case HV_EXIT_EMULATE:
			return;
		case HV_EXIT_MMIO:
			v->run->exit.mmio.data = 0;
			continue;
		default:
			test_fail("trouble expected, not %s", vcpu_describe(v));
		}
	}
}

static void tables_in_mmio(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	/* Page tables: all of them, or only the last level. */
	vm_long(&vm, &v, g_witness, 0);
	v.run->sregs.cr3 = NOWHERE;
	vcpu_set(&v, HV_REGS_SREGS);
	expect_trouble(&v);
	vcpu_close(&v);
	vm_close(&vm);

	vm_long(&vm, &v, (void (*)(uint64_t))(uintptr_t)GUEST_WINDOW, 0);
	guest_at(&vm, uint64_t, GUEST_PD + 8 * (GUEST_WINDOW >> 21)) = NOWHERE | PTE_P | PTE_W;
	expect_trouble(&v);
	vcpu_close(&v);
	vm_close(&vm);

	/* The IDT, met by an exception of the processor's and by one of the module's. */
	for (unsigned int how = 0; how < 2; how++) {
		static const uint8_t ud2[] = {0x0f, 0x0b}, rdmsr[] = {0x0f, 0x32};

		vm_init(&vm);
		vcpu_init(&v, &vm, 0);
		vm_load(&vm, GUEST_FREE, how ? rdmsr : ud2, 2);
		vcpu_long_at(&v, GUEST_FREE);
		v.run->gprs.r[HV_RCX] = 0xdeadbeef;
		v.run->sregs.idt.base = NOWHERE;
		vcpu_set(&v, HV_REGS_GPR | HV_REGS_SREGS);
		expect_trouble(&v);
		vcpu_close(&v);
		vm_close(&vm);
	}

	/* The stack: by PUSH, by CALL, and by an exception through the TSS. */
	for (unsigned int how = 0; how < 3; how++) {
		static const uint8_t code[3][5] = {{0x50}, {0xe8, 0, 0, 0, 0}, {0x0f, 0x0b}};

		vm_init(&vm);
		vcpu_init(&v, &vm, 0);
		vm_load(&vm, GUEST_FREE, code[how], 5);
		vcpu_long_at(&v, GUEST_FREE);
		v.run->gprs.r[HV_RSP] = NOWHERE + 0x1000;
		vcpu_set(&v, HV_REGS_GPR);
		for (unsigned int ist = 0; how == 2 && ist < 3; ist++)
			*(uint64_t *)(vm.ram + GUEST_TSS + 36 + 8 * ist) = NOWHERE + 0x1000;
		expect_trouble(&v);
		vcpu_close(&v);
		vm_close(&vm);
	}

	/* The GDT, met by a segment load. */
	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vm_load(&vm, GUEST_FREE, (uint8_t[]){0x8e, 0xc0}, 2);
	vcpu_long_at(&v, GUEST_FREE);
	v.run->gprs.r[HV_RAX] = SEL_DATA;
	v.run->sregs.gdt.base = NOWHERE;
	vcpu_set(&v, HV_REGS_GPR | HV_REGS_SREGS);
	expect_trouble(&v);
	witness_end();
}

/* Page tables that point at themselves and at each other. */
static void page_table_loops(void)
{
	struct vm vm;
	struct vcpu v;

	skip_on_bochs_amd("ends with the guest's shutdown");
	witness_start();
	vm_long(&vm, &v, g_witness, 0);
	for (unsigned int i = 0; i < 512; i++)
		guest_at(&vm, uint64_t, GUEST_FREE + 0x1000 + 8 * i) =
			(GUEST_FREE + 0x1000) | PTE_P | PTE_W | PTE_U;
	v.run->sregs.cr3 = GUEST_FREE + 0x1000;
	vcpu_set(&v, HV_REGS_SREGS);
	/* All of linear memory is this one page: its bytes are the code, and the fault handler. */
	must_end_somehow(&v);
	witness_end();
}

/* ---- MSRs ---- */

static volatile uint64_t msr_values, msr_faults;

static GUEST void probe_msr(uint32_t msr, bool write)
{
	uint64_t value;
	uint32_t vector = try_rdmsr(msr, &value);

	if (vector != GP && vector != GUEST_NO_TRAP)
		guest_fail("RDMSR raised something else", vector, msr, __LINE__);
	if (vector == GP)
		msr_faults++;
	else
		msr_values++;
	if (!write)
		return;
	/* What was read, then values that nobody asked for. */
	for (unsigned int i = 0; i < 4; i++) {
		static const uint64_t values[] = {0, 1, ~0ull};

		vector = try_wrmsr(msr, i == 0 ? value : values[i - 1]);
		if (vector != GP && vector != GUEST_NO_TRAP)
			guest_fail("WRMSR raised something else", vector, msr, __LINE__);
	}
	if (vector == GUEST_NO_TRAP)
		try_wrmsr(msr, value);
}

static GUEST bool takes_the_guest_down(uint32_t msr)
{
	/* Of these a write of anything else ends this guest's own life, as it should. */
	return msr == G_MSR_APIC_BASE || msr == G_MSR_EFER || msr == G_MSR_GS_BASE ||
	       (msr >= 0x800 && msr < 0x900);
}

static GUEST void g_every_msr(uint64_t arg)
{
	(void)arg;
	for (uint32_t msr = 0; msr < 0x2000; msr++)
		probe_msr(msr, !takes_the_guest_down(msr));
	guest_sync(1);
	for (uint32_t msr = 0xc0000000; msr < 0xc0012000; msr++)
		probe_msr(msr, !takes_the_guest_down(msr));
	guest_sync(2);
	/* The paravirtual ones, with an address on no slot among the values. */
	for (uint32_t msr = 0x4b564d00; msr < 0x4b564d10; msr++)
		probe_msr(msr, true);
	for (uint32_t msr = 0x40000000; msr < 0x40000120; msr++)
		probe_msr(msr, true);
	G_CHECK(msr_values > 50);
	G_CHECK(msr_faults > 70000);
}

static void every_msr(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, g_every_msr, 0);
	for (;;) {
		vcpu_run(&v);
		/* An EOI or a timer of no meaning may exit too. */
		if (v.run->exit_reason == HV_EXIT_PIO && v.run->exit.pio.port == PORT_DONE)
			break;
		CHECK_EQ(v.run->exit_reason, HV_EXIT_PIO);
	}
	witness_end();
}

/* x2APIC registers, all of them with all kinds of values. */
static GUEST void g_every_apic_register(uint64_t x2apic)
{
	static const uint32_t values[] = {0,	   1,	    0xff,	0x1ff,	   0x10000,
					  0x20040, 0x400ff, 0x7fffffff, 0xffffffff};

	guest_apic_enable(x2apic);
	for (uint32_t offset = 0; offset < 0x400; offset += x2apic ? 16 : 4) {
		for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
			/* The ICR could INIT this vCPU itself. */
			if ((offset & 0x3f0) == G_APIC_ICR)
				continue;
			if (x2apic)
				try_wrmsr(G_MSR_X2APIC + offset / 16, values[i]);
			else
				*(volatile uint32_t *)(G_APIC_MMIO + offset) = values[i];
		}
		if (x2apic) {
			uint64_t value;

			try_rdmsr(G_MSR_X2APIC + offset / 16, &value);
		} else {
			(void)*(volatile uint32_t *)(G_APIC_MMIO + offset);
			(void)*(volatile uint8_t *)(G_APIC_MMIO + offset + 1);
			*(volatile uint8_t *)(G_APIC_MMIO + offset) = 1;
		}
	}
	/* Beyond the registers in the page. */
	if (!x2apic) {
		*(volatile uint32_t *)(G_APIC_MMIO + 0xffc) = 1;
		(void)*(volatile uint32_t *)(G_APIC_MMIO + 0x800);
	}
}

static void every_apic_register(void)
{
	witness_start();
	for (unsigned int x2apic = 0; x2apic < 2; x2apic++) {
		struct vm vm;
		struct vcpu v;

		vm_long(&vm, &v, g_every_apic_register, x2apic);
		do {
			vcpu_run(&v);
			if (v.run->exit_reason == HV_EXIT_EMULATE)
				test_fail("APIC access left to user space: %s", vcpu_describe(&v));
		} while (v.run->exit_reason != HV_EXIT_PIO);
		CHECK_EQ(v.run->exit.pio.port, PORT_DONE);
		vcpu_close(&v);
		vm_close(&vm);
	}
	witness_end();
}

/* ---- Control registers, every combination of what matters ---- */

static GUEST void g_control_registers(uint64_t arg)
{
	static const uint64_t cr0_bits[] = {CR0_PE, CR0_TS, CR0_WP,	CR0_NW,
					    CR0_CD, CR0_PG, 1ull << 32, 1ull << 6};
	uint64_t cr0 = GUEST_READ_CR(0), cr4 = GUEST_READ_CR(4), efer = rdmsr(G_MSR_EFER);

	(void)arg;
	for (unsigned int set = 0; set < 1u << ARRAY_SIZE(cr0_bits); set++) {
		uint64_t value = cr0;
		uint32_t vector;

		for (unsigned int i = 0; i < ARRAY_SIZE(cr0_bits); i++)
			value ^= set >> i & 1 ? cr0_bits[i] : 0;
		vector = GUEST_TRY_CR(0, value);
		if (vector != GP && vector != GUEST_NO_TRAP)
			guest_fail("MOV to CR0", vector, value, __LINE__);
		/* Whatever was taken, this code is still in long mode. */
		G_CHECK_EQ(GUEST_READ_CR(0) & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
		GUEST_WRITE_CR(0, cr0);
	}
	for (unsigned int bit = 0; bit < 64; bit++) {
		for (unsigned int other = bit; other < 64; other++) {
			uint64_t value = cr4 ^ 1ull << bit ^ (other > bit ? 1ull << other : 0);
			uint32_t vector;

			/* SMEP and SMAP would make these tables (user pages) unusable: correctly. */
			value &= ~(1ull << 20 | 1ull << 21);
			vector = GUEST_TRY_CR(4, value);
			if (vector != GP && vector != GUEST_NO_TRAP)
				guest_fail("MOV to CR4", vector, value, __LINE__);
			G_CHECK(GUEST_READ_CR(4) & CR4_PAE);
			GUEST_WRITE_CR(4, cr4);
		}
		/* EFER, but for NXE: the tables use no such bit. */
		if (try_wrmsr(G_MSR_EFER, efer ^ 1ull << bit) == GUEST_NO_TRAP)
			wrmsr(G_MSR_EFER, efer);
		G_CHECK_EQ(rdmsr(G_MSR_EFER), efer);
		try_xsetbv(0, 1ull << bit);
		try_xsetbv(0, ~(1ull << bit));
		try_xsetbv((uint32_t)bit + 1, 1);
	}
}

static void control_registers(void)
{
	struct vm vm;
	struct vcpu v;

	witness_start();
	vm_long(&vm, &v, g_control_registers, 0);
	vcpu_done(&v);
	witness_end();
}

/* ---- Random code ---- */

static void random_guests(void)
{
	struct itimerspec every = {{0, 20000000}, {0, 20000000}};
	/* To this thread: from Linux 6.4 on the witness would get those of its own CPU. */
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGUSR1,
		._sigev_un._tid = gettid(),
	};
	struct sigaction sa = {.sa_handler = ignore_signal};
	uint64_t end_at = now_ns() + 15 * SEC;
	timer_t timer;

	skip_on_bochs_amd("ends with the guest's shutdown");
	witness_start();
	sigaction(SIGUSR1, &sa, NULL);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK_OK(timer_settime(timer, 0, &every, NULL));
	while (now_ns() < end_at) {
		struct vm vm;
		struct vcpu v;
		unsigned int exits = 0;

		vm_init(&vm);
		vcpu_init(&v, &vm, 0);
		for (unsigned int page = 0; page < 16; page++)
			random_code(vm.ram + GUEST_LOW + 0x1000 * page, 0x1000);
		for (unsigned int round = 0; round < 8; round++) {
			if (round % 4 == 3)
				vcpu_real(&v, GUEST_LOW >> 4, (uint16_t)random64());
			else if (round % 4 == 2)
				vcpu_flat32(&v, GUEST_LOW + (uint32_t)(random64() % 0x10000));
			else
				vcpu_long_at(&v, GUEST_LOW + random64() % 0x10000);
			for (unsigned int i = 0; i < HV_NR_GPRS; i++) {
				if (i != HV_RSP)
					v.run->gprs.r[i] = random64() >> (random64() % 64);
			}
			v.run->gprs.r[HV_RBX] = GUEST_FREE + random64() % 0x500000;
			vcpu_set(&v, HV_REGS_GPR);
			/* Any exit is fine; skip what it cannot do, and go on for a while. */
			for (exits = 0; exits < 50; exits++) {
				int r = ioctl(v.fd, HV_RUN, 0);

				CHECK(r == 0 || errno == EINTR);
				if (r || v.run->exit_reason == HV_EXIT_SHUTDOWN)
					break;
				if (v.run->exit_reason == HV_EXIT_ERROR) {
					CHECK(v.run->exit.error.code <= HV_ERROR_MEMORY);
					break;
				}
				if (v.run->exit_reason == HV_EXIT_EMULATE) {
					v.run->gprs.rip++;
					v.run->dirty = HV_REGS_GPR;
				}
			}
		}
		vcpu_close(&v);
		vm_close(&vm);
	}
	witness_end();
}

static const struct test tests[] = {
	{"halt_forever", halt_forever, 0},
	{"exception_loops", exception_loops, 0},
	{"db_loop", db_loop, 0},
	{"ipi_storm", ipi_storm, 0},
	{"timer_storm", timer_storm, 0},
	{"triple_fault", triple_fault, 0},
	{"jump_to_nowhere", jump_to_nowhere, 0},
	{"run_off_the_end", run_off_the_end, 0},
	{"tables_in_mmio", tables_in_mmio, 0},
	{"page_table_loops", page_table_loops, 0},
	{"every_msr", every_msr, 120},
	{"every_apic_register", every_apic_register, 0},
	{"control_registers", control_registers, 60},
	{"random_guests", random_guests, 60},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
