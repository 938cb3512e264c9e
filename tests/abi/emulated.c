// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm's instruction emulator on a real vCPU: each instruction on a page of RAM, where the processor
 * executes it, and on a device that is like memory, where the emulator does. Registers and what is
 * in memory must be the same. Then instructions other than MOV on the page of the local APIC. Run by
 * "make check" in the test host; linked with the emulator of vmm.
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"
#include "vmm/emulate/emulate.h"

extern void vector_fill(const void *image, int avx);
extern void vector_store(void *image, int avx);

#define DEVICE	    0xd0000000u
#define DEVICE_SIZE 0x1000u
#define OPERAND	    0x800u /* where the operands begin, in the device as in RAM */
#define OPERANDS    128u

/* ---- The monitor's side ---- */

struct guest {
	struct vm vm;
	struct vcpu v;
	struct mem mem;
	struct bus *pio, *mmio;
	struct xstate xstate;
	uint8_t device[DEVICE_SIZE];
	unsigned int emulated, ended;
	uint8_t last_ended;
};

static uint64_t device_read(void *arg, uint64_t offset, unsigned int size)
{
	struct guest *g = arg;
	uint64_t value = 0;

	memcpy(&value, g->device + offset, size);
	return value;
}

static void device_write(void *arg, uint64_t offset, unsigned int size, uint64_t value)
{
	struct guest *g = arg;

	memcpy(g->device + offset, &value, size);
}

static const struct bus_ops device_ops = {device_read, device_write};

static int get_xstate(void *arg, struct xstate **x)
{
	struct guest *g = arg;
	struct hv_xsave args = {.len = g->xstate.size, .buffer = (uintptr_t)g->xstate.image};

	CHECK_OK(ioctl(g->v.fd, HV_GET_XSAVE, &args));
	*x = &g->xstate;
	return 0;
}

static int set_xstate(void *arg)
{
	struct guest *g = arg;
	struct hv_xsave x = {.len = g->xstate.size, .buffer = (uintptr_t)g->xstate.image};

	CHECK_OK(ioctl(g->v.fd, HV_SET_XSAVE, &x));
	return 0;
}

static uint32_t read_apic(void *arg, uint32_t offset)
{
	struct guest *g = arg;
	struct hv_apic_register reg = {.offset = offset};

	CHECK_EQ(CHECK_OK(ioctl(g->v.fd, HV_READ_APIC, &reg)), 0);
	return reg.value;
}

static void write_apic(void *arg, uint32_t offset, uint32_t value)
{
	struct guest *g = arg;
	struct hv_apic_register reg = {.offset = offset, .value = value};
	long ended = CHECK_OK(ioctl(g->v.fd, HV_WRITE_APIC, &reg));

	if (ended) {
		g->ended++;
		g->last_ended = (uint8_t)ended;
	}
}

static void access_bus(struct guest *g)
{
	union hv_exit *exit = &g->v.run->exit;
	uint64_t data = exit->mmio.data;

	if (exit->mmio.flags & HV_IO_WRITE)
		CHECK(bus_write(g->mmio, exit->mmio.gpa, exit->mmio.len, data));
	else
		CHECK(bus_read(g->mmio, exit->mmio.gpa, exit->mmio.len, &data));
	exit->mmio.data = data;
}

/* Run it until that step. */
static void run_to(struct guest *g, uint32_t step)
{
	static const struct emulate_ops ops = {get_xstate, set_xstate, read_apic, write_apic};
	const struct emulate_env env = {
		.mem = &g->mem, .pio = g->pio, .mmio = g->mmio, .ops = &ops, .arg = g};
	char why[160];

	for (;;) {
		switch (vcpu_run(&g->v)) {
		case HV_EXIT_MMIO:
			access_bus(g);
			break;
		case HV_EXIT_EMULATE:
			g->emulated++;
			if (emulate(&env, g->v.run, why, sizeof(why)) != EMULATE_DONE)
				test_fail("%s", why);
			break;
		default:
			if (g->v.run->exit_reason != HV_EXIT_PIO ||
			    g->v.run->exit.pio.port != PORT_SYNC)
				test_fail("%s", vcpu_describe(&g->v));
			CHECK_EQ(g->v.run->exit.pio.data, step);
			return;
		}
	}
}

static struct guest *make_guest(void (*fn)(uint64_t), uint64_t arg)
{
	struct guest *g = calloc(1, sizeof(*g));

	CHECK(g);
	vm_long(&g->vm, &g->v, fn, arg);
	g->mem.region[0] = (struct mem_region){.len = GUEST_RAM, .hva = g->vm.ram, .fd = -1};
	g->mem.nr_regions = 1;
	g->pio = bus_create();
	g->mmio = bus_create();
	CHECK(g->pio && g->mmio);
	CHECK_OK(bus_add(g->mmio, DEVICE, DEVICE_SIZE, &device_ops, g));
	g->xstate.size = hv_caps().xsave_size;
	CHECK(posix_memalign((void **)&g->xstate.image, 64, g->xstate.size) == 0);
	return g;
}

/* ---- One instruction in both places ---- */

/* On P, with RAX, RCX and the flags as they come; what it leaves in RAX is looked at. */
#define OP(name, text)                                               \
	static GUEST uint64_t name(uint8_t *p)                       \
	{                                                            \
		uint64_t rax = 0x1122334455667788, rcx = 5, rdx = 7; \
                                                                     \
		asm volatile(text                                    \
			     : "+a"(rax), "+c"(rcx), "+d"(rdx)       \
			     : "b"(0x99aabbccddeeff00), "D"(p)       \
			     : "memory", "cc", "r8", "r9", "r10");   \
		return rax ^ rcx << 20 ^ rdx << 40;                  \
	}

/* What a fault leaves, and its vector, is what counts. */
#define OP_FAULTS(name, text)                                 \
	static GUEST uint64_t name(uint8_t *p)                \
	{                                                     \
		return G_TRY(text, G_ARGS(), G_ARGS("D"(p))); \
	}

OP(movups, "movups 3(%%rdi), %%xmm1; movups %%xmm1, 33(%%rdi)")
OP(movaps, "movaps 16(%%rdi), %%xmm2; movaps %%xmm2, 48(%%rdi)")
OP(movdqu, "movdqu 1(%%rdi), %%xmm9; movdqa %%xmm9, 64(%%rdi)")
OP(movnt, "movntdq %%xmm3, (%%rdi); movntps %%xmm4, 16(%%rdi); movnti %%rax, 32(%%rdi)")
OP(movd_movq, "movd 4(%%rdi), %%xmm1; movq 8(%%rdi), %%xmm2; movd %%xmm3, 24(%%rdi); "
	      "movq %%xmm4, 32(%%rdi)")
OP(movss_movsd, "movss 4(%%rdi), %%xmm1; movsd 8(%%rdi), %%xmm2; movss %%xmm3, 24(%%rdi); "
		"movsd %%xmm4, 32(%%rdi)")
OP(halves, "movlps 8(%%rdi), %%xmm1; movhps 24(%%rdi), %%xmm2; movlpd %%xmm3, 40(%%rdi); "
	   "movhpd %%xmm4, 48(%%rdi)")
OP(mmx, "movq 8(%%rdi), %%mm1; movd 24(%%rdi), %%mm2; movq %%mm1, 32(%%rdi); "
	"movntq %%mm2, 40(%%rdi)")
OP(mmx_over_x87, "fldpi; movq 8(%%rdi), %%mm3; movq %%mm7, 32(%%rdi)")
OP(mxcsr, "movl $0x1fa0, 4(%%rdi); ldmxcsr 4(%%rdi); stmxcsr 12(%%rdi)")
OP(x87_load, "flds (%%rdi); fldl 8(%%rdi); fldt 16(%%rdi)")
OP(x87_store, "fldpi; fsts 32(%%rdi); fstl 40(%%rdi); fstpt 48(%%rdi)")
OP(x87_integer, "filds 2(%%rdi); fildl 4(%%rdi); fildll 8(%%rdi); fistpll 32(%%rdi); "
		"fistl 40(%%rdi); fistps 44(%%rdi)")
OP(x87_arithmetic, "fld1; fadds (%%rdi); fmull 8(%%rdi); fisubl 4(%%rdi); fstpl 32(%%rdi)")
OP(x87_control, "fldpi; fnstcw 32(%%rdi); movw $0x27f, 36(%%rdi); fldcw 36(%%rdi); "
		"fnstsw 34(%%rdi)")
/* An exception that is not masked waits, until FWAIT: QEMU's processor does not look before. */
OP_FAULTS(x87_error, "fnclex; movw $0x37b, 32(%%rdi); fldcw 32(%%rdi); fld1; movl $0, 36(%%rdi); "
		     "fidivl 36(%%rdi); fwait")
OP(vmovups, "vmovups 3(%%rdi), %%ymm1; vmovups %%ymm1, 70(%%rdi)")
OP(vmovaps, "vmovaps 16(%%rdi), %%xmm2; vmovaps %%ymm3, 64(%%rdi)")
OP(vmovlps, "vmovlps 8(%%rdi), %%xmm4, %%xmm5; vmovhpd 8(%%rdi), %%xmm4, %%xmm6")
OP(vmovd, "vmovd 8(%%rdi), %%xmm7; vmovq %%xmm8, 32(%%rdi); vmovsd 16(%%rdi), %%xmm9")
OP(vbroadcast, "vbroadcastss 8(%%rdi), %%ymm10; vbroadcastsd 8(%%rdi), %%ymm11")

OP(arithmetic, "addq %%rax, (%%rdi); sbbl $3, 8(%%rdi); andb %%al, 16(%%rdi); pushfq; pop %%rax")
OP(bits, "bsfq 8(%%rdi), %%rax; btsl $3, 16(%%rdi); shldq $5, %%rdx, 24(%%rdi); setc 32(%%rdi)")
OP(muldiv, "imulq 8(%%rdi), %%rax; movq $1000, 16(%%rdi); xorl %%edx, %%edx; divq 16(%%rdi)")
OP(locked, "lock xaddq %%rax, (%%rdi); lock cmpxchgq %%rcx, (%%rdi); xchgl %%ecx, 8(%%rdi)")
OP(exchange16, "lock cmpxchg16b 16(%%rdi)")
OP(memory_to_memory, "mov %%rdi, %%r8; lea 64(%%rdi), %%rdi; mov %%r8, %%rsi; "
		     "mov $5, %%ecx; rep movsq; mov %%r8, %%rdi")
OP(stack, "mov %%rsp, %%r8; lea 96(%%rdi), %%rsp; push %%rax; pushq 8(%%rdi); pop %%rcx; "
	  "pushfq; andq $0x8d5, (%%rsp); popq %%rdx; mov %%r8, %%rsp")
OP(near_calls, "mov %%rsp, %%r8; lea 96(%%rdi), %%rsp; lea 1f(%%rip), %%r9; movq %%r9, 40(%%rdi); "
	       "call *40(%%rdi); jmp 2f; 1: incl %%ecx; ret; 2: movq $0, 88(%%rdi); "
	       "movq $0, 40(%%rdi); mov %%r8, %%rsp")
OP(far_return, "mov %%rsp, %%r8; lea 64(%%rdi), %%rsp; mov %%cs, %%r9d; lea 1f(%%rip), %%r10; "
	       "movq %%r10, (%%rsp); movq %%r9, 8(%%rsp); lretq; ud2; 1: movq $0, 64(%%rdi); "
	       "mov %%r8, %%rsp")

enum {
	AVX = 1,
	MMX = 2,
};

struct op {
	uint64_t (*fn)(uint8_t *p);
	unsigned int uses;
};

static const struct op ops[] = {
	{movups, 0},	  {movaps, 0},	       {movdqu, 0},
	{movnt, 0},	  {movd_movq, 0},      {movss_movsd, 0},
	{halves, 0},	  {mmx, MMX},	       {mmx_over_x87, MMX},
	{mxcsr, 0},	  {x87_load, 0},       {x87_store, 0},
	{x87_integer, 0}, {x87_arithmetic, 0}, {x87_control, 0},
	{x87_error, 0},	  {vmovups, AVX},      {vmovaps, AVX},
	{vmovlps, AVX},	  {vmovd, AVX},	       {vbroadcast, AVX},
	{arithmetic, 0},  {bits, 0},	       {muldiv, 0},
	{locked, 0},	  {exchange16, 0},     {memory_to_memory, 0},
	{stack, 0},	  {near_calls, 0},     {far_return, 0},
};

/* All that the processor has of it, but for the addresses of the last x87 instruction. */
struct registers {
	_Alignas(16) uint8_t legacy[512];
	uint8_t vectors[512];
	uint64_t result;
};

static struct registers seen[2];
static uint8_t pattern[512], operands[2][OPERANDS];

GUEST_INLINE void g_copy(volatile uint8_t *to, const volatile uint8_t *from, unsigned int n)
{
	for (unsigned int i = 0; i < n; i += 8)
		*(volatile uint64_t *)(to + i) = *(const volatile uint64_t *)(from + i);
}

/* As they are before each instruction: the operands are floating-point numbers, too. */
static GUEST void g_make_pattern(void)
{
	static const uint64_t numbers[] = {0x400921fb40490fdb, 0x4005bf0a8b145769,
					   0xc90fdaa22168c235, 0x0123456789ab4000};

	for (unsigned int i = 0; i < sizeof(pattern); i += 8)
		*(uint64_t *)(pattern + i) = numbers[i / 8 % 4] + (i / 32) * 0x0101010101010101;
}

static GUEST void g_run_op(const struct op *op, unsigned int where, bool avx)
{
	uint8_t *p = (uint8_t *)(where ? DEVICE + OPERAND : (uintptr_t)GUEST_FREE + OPERAND);
	struct registers *r = &seen[where];
	uint32_t mxcsr = 0x1f80;

	g_copy(p, pattern, OPERANDS);
	asm volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
	vector_fill(pattern, avx);
	r->result = op->fn(p);
	asm volatile("fxsave64 %0" : "=m"(r->legacy));
	vector_store(r->vectors, avx);
	g_copy(operands[where], p, OPERANDS);
	for (unsigned int i = 6; i < 24; i++)
		r->legacy[i] = 0;
	/* QEMU's processor leaves the exponents as they are where it should fill them with ones. */
	for (unsigned int i = 0; i < 8 && op->uses & MMX; i++)
		*(uint16_t *)&r->legacy[32 + 16 * i + 8] = 0;
}

/* A failure names the byte, and behind thousands the instructions' row. */
GUEST_INLINE void g_compare(const void *ram, const void *device, unsigned int n, const char *what,
			    unsigned int row)
{
	const uint8_t *a = ram, *b = device;

	for (unsigned int i = 0; i < n; i++) {
		if (a[i] != b[i])
			guest_fail(what, b[i], a[i], row * 1000 + i);
	}
}

static GUEST void g_ops(uint64_t avx)
{
	GUEST_WRITE_CR(0, (GUEST_READ_CR(0) & ~(CR0_TS | CR0_EM)) | CR0_MP | CR0_NE);
	GUEST_WRITE_CR(4, GUEST_READ_CR(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (avx) {
		GUEST_WRITE_CR(4, GUEST_READ_CR(4) | CR4_OSXSAVE);
		G_CHECK_EQ(try_xsetbv(0, 7), GUEST_NO_TRAP);
	}
	g_make_pattern();
	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		if ((ops[i].uses & AVX) && !avx)
			continue;
		g_run_op(&ops[i], 0, avx);
		g_run_op(&ops[i], 1, avx);
		guest_sync(i);
		g_compare(operands[0], operands[1], OPERANDS, "memory", i);
		g_compare(seen[0].legacy, seen[1].legacy, sizeof(seen[0].legacy), "x87, SSE", i);
		g_compare(seen[0].vectors, seen[1].vectors, sizeof(seen[0].vectors), "vectors", i);
		G_CHECK_EQ(seen[1].result, seen[0].result);
	}
	guest_sync(1000);
}

static void device_memory(void)
{
	bool avx = hv_caps().xcr0 & XCR0_AVX;
	struct guest *g = make_guest(g_ops, avx);

	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		unsigned int before = g->emulated;

		if ((ops[i].uses & AVX) && !avx)
			continue;
		run_to(g, i);
		CHECK(g->emulated > before);
	}
	run_to(g, 1000);
}

/* ---- The page of the local APIC ---- */

static GUEST void g_apic(uint64_t arg)
{
	volatile uint8_t *page = (volatile uint8_t *)G_APIC_MMIO;
	uint32_t copy[4] = {0}, value = 0x40;
	void *to = copy;
	const volatile void *from;
	uint64_t count = 1;

	(void)arg;
	guest_apic_enable(false);
	/* Read, changed and written */
	guest_apic_write(G_APIC_LVT_TIMER, 0x10055);
	asm volatile("andl $0xff, %0" : "+m"(*(volatile uint32_t *)(page + G_APIC_LVT_TIMER)));
	G_CHECK_EQ(guest_apic_read(G_APIC_LVT_TIMER), 0x55);
	asm volatile("lock orl $0x10000, %0"
		     : "+m"(*(volatile uint32_t *)(page + G_APIC_LVT_TIMER)));
	G_CHECK_EQ(guest_apic_read(G_APIC_LVT_TIMER), 0x10055);
	asm volatile("xchgl %0, %1" : "+r"(value), "+m"(*(volatile uint32_t *)(page + G_APIC_TPR)));
	G_CHECK_EQ(value, 0);
	G_CHECK_EQ(guest_apic_read(G_APIC_TPR), 0x40);
	G_CHECK_EQ(GUEST_READ_CR(8), 4);
	asm volatile("andl $0, %0" : "+m"(*(volatile uint32_t *)(page + G_APIC_TPR)));
	G_CHECK_EQ(GUEST_READ_CR(8), 0);
	/* A string, and the stack */
	from = page + G_APIC_VERSION;
	asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	G_CHECK_EQ(copy[0], guest_apic_read(G_APIC_VERSION));
	asm volatile("pushq %1; popq %0"
		     : "=r"(count)
		     : "m"(*(volatile uint64_t *)(page + G_APIC_SVR)));
	G_CHECK_EQ(count, 0); /* of 64 bits: no register */
	guest_sync(1);
	/* An interrupt that STOS sends, and AND ends */
	to = (void *)(page + G_APIC_ICR);
	asm volatile("stosl" : "+D"(to) : "a"(0x40000 | 0x61) : "memory");
	G_CHECK_EQ(guest_apic_read(G_APIC_IRR + 0x30) & 2, 2);
	guest_sti();
	guest_cli();
	G_CHECK_EQ(guest_cpu()->count[0x61], 1);
	guest_sync(2);
	/* A level-triggered one is in service now; its end goes to the I/O APIC. */
	asm volatile("andl $0, %0" : "+m"(*(volatile uint32_t *)(page + G_APIC_EOI)));
	G_CHECK_EQ(guest_apic_read(G_APIC_ISR + 0x30), 0);
	guest_sync(3);
}

static void local_apic(void)
{
	struct guest *g = make_guest(g_apic, 0);
	struct hv_lapic l;

	run_to(g, 1);
	CHECK(g->emulated >= 6);
	run_to(g, 2);
	CHECK_OK(ioctl(g->v.fd, HV_GET_LAPIC, &l));
	*(uint32_t *)&l.regs[G_APIC_ISR + 0x30] = 1u << 2;
	*(uint32_t *)&l.regs[G_APIC_TMR + 0x30] = 1u << 2;
	CHECK_OK(ioctl(g->v.fd, HV_SET_LAPIC, &l));
	CHECK_EQ(g->ended, 0);
	run_to(g, 3);
	CHECK_EQ(g->ended, 1);
	CHECK_EQ(g->last_ended, 0x62);
}

static const struct test tests[] = {
	{"device_memory", device_memory, 0},
	{"local_apic", local_apic, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
