// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Port and memory-mapped I/O on a real vCPU: every width and form, what exits
 * as PIO, MMIO or EMULATE, and ioeventfds. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

#define MMIO 0x50000000ull /* on no slot; within reach of RIP-relative addresses */
#define CODE GUEST_FREE

enum mode {
	M64,
	M32,
	M16
};

#define INSN(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
#define MMIO_LE	  0x00, 0x00, 0x00, 0x50

/* What every general register holds before an instruction, but for those that hold addresses. */
static uint64_t preset(unsigned int reg)
{
	return 0xa1b2c3d4e5f60000 | (0x40u + reg) << 8 | (0x80u + reg);
}

/* OUT %al, $PORT_LOW behind the code: how the end is seen. */
static const uint8_t out_low[] = {0xe6, PORT_LOW};

static void prepare(struct vcpu *v, enum mode mode, uint64_t rip)
{
	struct hv_run *r = v->run;

	if (mode == M64) {
		vcpu_long_at(v, rip);
	} else if (mode == M32) {
		vcpu_flat32(v, (uint32_t)rip);
	} else {
		/* 16-bit code with a data segment that reaches the MMIO. */
		vcpu_real(v, (uint16_t)(rip >> 4), 0);
		r->sregs.ds.base = MMIO;
	}
	for (unsigned int i = 0; i < HV_NR_GPRS; i++) {
		if (i != HV_RSP)
			r->gprs.r[i] = preset(i);
	}
	r->gprs.r[HV_RBX] = r->gprs.r[HV_RDI] = mode == M16 ? 0 : MMIO;
	vcpu_set(v, HV_REGS_GPR | HV_REGS_SREGS);
}

static void expect_end(struct vcpu *v, const char *name)
{
	vcpu_run(v);
	if (v->run->exit_reason != HV_EXIT_PIO || v->run->exit.pio.port != PORT_LOW)
		test_fail("%s: no end, but %s", name, vcpu_describe(v));
}

/* ---- Ports ---- */

struct pio_case {
	const char *name;
	uint8_t insn[8], len;
	uint8_t size;
	bool write;
	uint16_t port;
	uint64_t value; /* OUT: in data; IN: in RAX afterwards, for data 0xdeadbeef */
};

static const struct pio_case pio_cases[] = {
	{"out al, imm8", INSN(0xe6, 0x71), 1, true, 0x71, 0x80},
	{"out eax, imm8", INSN(0xe7, 0xff), 4, true, 0xff, 0xe5f64080},
	{"out ax, imm8", INSN(0x66, 0xe7, 0x71), 2, true, 0x71, 0x4080},
	{"out al, dx", INSN(0xee), 1, true, 0x4282, 0x80},
	{"out ax, dx", INSN(0x66, 0xef), 2, true, 0x4282, 0x4080},
	{"out eax, dx", INSN(0xef), 4, true, 0x4282, 0xe5f64080},
	{"rex.w out eax, dx", INSN(0x48, 0xef), 4, true, 0x4282, 0xe5f64080},
	{"in al, imm8", INSN(0xe4, 0x71), 1, false, 0x71, 0xa1b2c3d4e5f640ef},
	{"in ax, imm8", INSN(0x66, 0xe5, 0x71), 2, false, 0x71, 0xa1b2c3d4e5f6beef},
	{"in eax, imm8", INSN(0xe5, 0x71), 4, false, 0x71, 0xdeadbeef},
	{"in al, dx", INSN(0xec), 1, false, 0x4282, 0xa1b2c3d4e5f640ef},
	{"in ax, dx", INSN(0x66, 0xed), 2, false, 0x4282, 0xa1b2c3d4e5f6beef},
	{"in eax, dx", INSN(0xed), 4, false, 0x4282, 0xdeadbeef},
	{"prefixed in al, dx", INSN(0x2e, 0x67, 0xec), 1, false, 0x4282, 0xa1b2c3d4e5f640ef},
};

static void check_pio(struct vcpu *v, const struct pio_case *c, uint64_t rip)
{
	struct hv_run *r = v->run;

	vm_load(v->vm, rip, c->insn, c->len);
	vm_load(v->vm, rip + c->len, out_low, sizeof(out_low));
	prepare(v, M64, rip);
	vcpu_run(v);
	if (r->exit_reason != HV_EXIT_PIO || r->exit.pio.port != c->port ||
	    r->exit.pio.len != c->size || r->exit.pio.flags != (c->write ? HV_IO_WRITE : 0))
		test_fail("%s: %s", c->name, vcpu_describe(v));
	if (c->write && r->exit.pio.data != c->value)
		test_fail("%s: %s, not %#llx", c->name, vcpu_describe(v),
			  (unsigned long long)c->value);
	r->exit.pio.data = 0xdeadbeef;
	expect_end(v, c->name);
	if (vcpu_reg(v, RAX) != (c->write ? preset(HV_RAX) : c->value))
		test_fail("%s: RAX is %#llx", c->name, (unsigned long long)vcpu_reg(v, RAX));
	CHECK_EQ(r->gprs.rip, rip + c->len);
	for (unsigned int i = HV_RCX; i < HV_NR_GPRS; i++) {
		if (i != HV_RSP && i != HV_RBX && i != HV_RDI)
			CHECK_EQ(r->gprs.r[i], preset(i));
	}
	vcpu_complete(v);
}

static void pio_widths(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(pio_cases); i++) {
		check_pio(&v, &pio_cases[i], CODE);
		check_pio(&v, &pio_cases[i], CODE + 0x1000 - pio_cases[i].len);
	}
}

/* User space sets RAX itself at the exit: an IN still takes what .pio.data holds. */
static void pio_dirty(void)
{
	static const uint8_t code[] = {0xe4, 0x71};
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_load(&vm, CODE, code, sizeof(code));
	vm_load(&vm, CODE + sizeof(code), out_low, sizeof(out_low));
	vcpu_init(&v, &vm, 0);
	prepare(&v, M64, CODE);
	vcpu_expect(&v, HV_EXIT_PIO);
	v.run->exit.pio.data = 0x55;
	v.run->gprs.r[HV_RCX] = 0x1234;
	v.run->dirty = HV_REGS_GPR;
	expect_end(&v, "in");
	CHECK_EQ(vcpu_reg(&v, RAX) & 0xff, 0x55);
	CHECK_EQ(vcpu_reg(&v, RCX), 0x1234);
}

/*
 * User space moves RIP away at the exit: nothing of the instruction is completed, neither its result
 * nor the step behind it, and the guest goes on where it was put.
 */
static void moved_away(void)
{
	static const struct {
		const char *name;
		uint8_t insn[4], len;
	} cases[] = {
		{"in al, imm8", INSN(0xe4, 0x71)},
		{"out al, imm8", INSN(0xe6, 0x71)},
		{"mov (%rbx),%eax", INSN(0x8b, 0x03)},
		{"mov %eax,(%rbx)", INSN(0x89, 0x03)},
	};
	/* Neither before nor behind it, so that a step would be seen */
	const uint64_t elsewhere = CODE + 0x100;
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vm_load(&vm, elsewhere, out_low, sizeof(out_low));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_load(&vm, CODE, cases[i].insn, cases[i].len);
		prepare(&v, M64, CODE);
		vcpu_run(&v);
		if (v.run->exit_reason != HV_EXIT_PIO && v.run->exit_reason != HV_EXIT_MMIO)
			test_fail("%s: %s", cases[i].name, vcpu_describe(&v));
		if (v.run->exit_reason == HV_EXIT_PIO)
			v.run->exit.pio.data = 0x55;
		else
			v.run->exit.mmio.data = 0x55;
		v.run->gprs.rip = elsewhere;
		v.run->dirty = HV_REGS_GPR;
		expect_end(&v, cases[i].name);
		CHECK_EQ(vcpu_reg(&v, RAX), preset(HV_RAX));
		vcpu_complete(&v);
	}
}

/* ---- Plain MOVs ---- */

struct mov_case {
	const char *name;
	enum mode mode;
	uint8_t insn[15], len;
	uint8_t size;
	bool write;
	uint64_t data;	 /* written, or to be read */
	uint8_t reg;	 /* read: the register */
	uint64_t value;	 /* read: what it holds then */
	uint32_t offset; /* of the address from MMIO */
};

#define W(size, data)			     size, true, data, 0, 0, 0
#define W_AT(size, data, offset)	     size, true, data, 0, 0, offset
#define R(size, data, reg, value)	     size, false, data, reg, value, 0
#define R_AT(size, data, reg, value, offset) size, false, data, reg, value, offset
#define UPPER				     0xa1b2c3d4e5f60000

static const struct mov_case mov_cases[] = {
	{"mov %cl,(%rbx)", M64, INSN(0x88, 0x0b), W(1, 0x81)},
	{"mov %ch,(%rbx)", M64, INSN(0x88, 0x2b), W(1, 0x41)},
	{"mov %ah,(%rbx)", M64, INSN(0x88, 0x23), W(1, 0x40)},
	{"mov %dh,(%rbx)", M64, INSN(0x88, 0x33), W(1, 0x42)},
	{"mov %sil,(%rbx)", M64, INSN(0x40, 0x88, 0x33), W(1, 0x86)},
	{"mov %r8b,(%rbx)", M64, INSN(0x44, 0x88, 0x03), W(1, 0x88)},
	{"mov %cx,(%rbx)", M64, INSN(0x66, 0x89, 0x0b), W(2, 0x4181)},
	{"mov %ecx,(%rbx)", M64, INSN(0x89, 0x0b), W(4, 0xe5f64181)},
	{"mov %rcx,(%rbx)", M64, INSN(0x48, 0x89, 0x0b), W(8, UPPER | 0x4181)},
	{"mov %r15,(%rbx)", M64, INSN(0x4c, 0x89, 0x3b), W(8, UPPER | 0x4f8f)},
	{"mov (%rbx),%cl", M64, INSN(0x8a, 0x0b), R(1, 0xab, HV_RCX, UPPER | 0x41ab)},
	{"mov (%rbx),%ch", M64, INSN(0x8a, 0x2b), R(1, 0xab, HV_RCX, UPPER | 0xab81)},
	{"mov (%rbx),%dh", M64, INSN(0x8a, 0x33), R(1, 0xab, HV_RDX, UPPER | 0xab82)},
	{"mov (%rbx),%sil", M64, INSN(0x40, 0x8a, 0x33), R(1, 0xab, HV_RSI, UPPER | 0x46ab)},
	{"mov (%rbx),%r9b", M64, INSN(0x44, 0x8a, 0x0b), R(1, 0xab, HV_R9, UPPER | 0x49ab)},
	{"mov (%rbx),%cx", M64, INSN(0x66, 0x8b, 0x0b), R(2, 0xbeef, HV_RCX, UPPER | 0xbeef)},
	{"mov (%rbx),%ecx", M64, INSN(0x8b, 0x0b), R(4, 0xdeadbeef, HV_RCX, 0xdeadbeef)},
	{"mov (%rbx),%rcx", M64, INSN(0x48, 0x8b, 0x0b),
	 R(8, 0x123456789abcdef0, HV_RCX, 0x123456789abcdef0)},
	{"mov (%rbx),%r14", M64, INSN(0x4c, 0x8b, 0x33),
	 R(8, 0x123456789abcdef0, HV_R14, 0x123456789abcdef0)},
	{"mov moffs,%al", M64, INSN(0xa0, MMIO_LE, 0, 0, 0, 0), R(1, 0xab, HV_RAX, UPPER | 0x40ab)},
	{"mov moffs,%ax", M64, INSN(0x66, 0xa1, MMIO_LE, 0, 0, 0, 0),
	 R(2, 0xbeef, HV_RAX, UPPER | 0xbeef)},
	{"mov moffs,%eax", M64, INSN(0xa1, MMIO_LE, 0, 0, 0, 0),
	 R(4, 0xdeadbeef, HV_RAX, 0xdeadbeef)},
	{"mov moffs,%rax", M64, INSN(0x48, 0xa1, MMIO_LE, 0, 0, 0, 0),
	 R(8, 0x123456789abcdef0, HV_RAX, 0x123456789abcdef0)},
	{"mov moffs32,%eax", M64, INSN(0x67, 0xa1, MMIO_LE), R(4, 0xdeadbeef, HV_RAX, 0xdeadbeef)},
	{"mov %al,moffs", M64, INSN(0xa2, MMIO_LE, 0, 0, 0, 0), W(1, 0x80)},
	{"mov %ax,moffs", M64, INSN(0x66, 0xa3, MMIO_LE, 0, 0, 0, 0), W(2, 0x4080)},
	{"mov %eax,moffs", M64, INSN(0xa3, MMIO_LE, 0, 0, 0, 0), W(4, 0xe5f64080)},
	{"mov %rax,moffs", M64, INSN(0x48, 0xa3, MMIO_LE, 0, 0, 0, 0), W(8, UPPER | 0x4080)},
	{"movb imm,(%rbx)", M64, INSN(0xc6, 0x03, 0x5a), W(1, 0x5a)},
	{"movw imm,(%rbx)", M64, INSN(0x66, 0xc7, 0x03, 0x34, 0x12), W(2, 0x1234)},
	{"movl imm,(%rbx)", M64, INSN(0xc7, 0x03, 0x78, 0x56, 0x34, 0x92), W(4, 0x92345678)},
	{"movq imm,(%rbx)", M64, INSN(0x48, 0xc7, 0x03, 0xf0, 0xff, 0xff, 0xff),
	 W(8, 0xfffffffffffffff0)},
	{"movzbl", M64, INSN(0x0f, 0xb6, 0x0b), R(1, 0xff, HV_RCX, 0xff)},
	{"movzbw", M64, INSN(0x66, 0x0f, 0xb6, 0x0b), R(1, 0xff, HV_RCX, UPPER | 0xff)},
	{"movzbq", M64, INSN(0x48, 0x0f, 0xb6, 0x0b), R(1, 0xff, HV_RCX, 0xff)},
	{"movzwl", M64, INSN(0x0f, 0xb7, 0x0b), R(2, 0xbeef, HV_RCX, 0xbeef)},
	{"movzwq", M64, INSN(0x48, 0x0f, 0xb7, 0x0b), R(2, 0xbeef, HV_RCX, 0xbeef)},
	{"movsbl", M64, INSN(0x0f, 0xbe, 0x0b), R(1, 0x80, HV_RCX, 0xffffff80)},
	{"movsbw", M64, INSN(0x66, 0x0f, 0xbe, 0x0b), R(1, 0x80, HV_RCX, UPPER | 0xff80)},
	{"movsbq", M64, INSN(0x4c, 0x0f, 0xbe, 0x0b), R(1, 0x80, HV_R9, 0xffffffffffffff80)},
	{"movswl", M64, INSN(0x0f, 0xbf, 0x0b), R(2, 0x8000, HV_RCX, 0xffff8000)},
	{"movswq", M64, INSN(0x48, 0x0f, 0xbf, 0x0b), R(2, 0x8000, HV_RCX, 0xffffffffffff8000)},
	{"movslq", M64, INSN(0x48, 0x63, 0x0b), R(4, 0x80000000, HV_RCX, 0xffffffff80000000)},
	{"movsxd without rex.w", M64, INSN(0x63, 0x0b), R(4, 0x80000000, HV_RCX, 0x80000000)},
	{"mov 0x10(%rbx),%ecx", M64, INSN(0x8b, 0x4b, 0x10), R_AT(4, 7, HV_RCX, 7, 0x10)},
	{"mov 0x12345(%rbx),%ecx", M64, INSN(0x8b, 0x8b, 0x45, 0x23, 0x01, 0x00),
	 R_AT(4, 7, HV_RCX, 7, 0x12345)},
	{"mov %ecx,(%rbx,no index)", M64, INSN(0x89, 0x0c, 0x23), W(4, 0xe5f64181)},
	{"mov %ecx,disp32", M64, INSN(0x89, 0x0c, 0x25, 0x08, 0x00, 0x00, 0x50),
	 W_AT(4, 0xe5f64181, 8)},
	{"mov %ecx,unaligned", M64, INSN(0x89, 0x4b, 0x03), W_AT(4, 0xe5f64181, 3)},
	{"movb imm,disp32(%rbx)", M64, INSN(0xc6, 0x83, 0x00, 0x10, 0x00, 0x00, 0x77),
	 W_AT(1, 0x77, 0x1000)},
	{"ds mov %ecx,(%rbx)", M64, INSN(0x3e, 0x89, 0x0b), W(4, 0xe5f64181)},
	{"32: mov %ecx,(%ebx)", M32, INSN(0x89, 0x0b), W(4, 0xe5f64181)},
	{"32: mov %ch,(%ebx)", M32, INSN(0x88, 0x2b), W(1, 0x41)},
	{"32: mov (%ebx),%dh", M32, INSN(0x8a, 0x33), R(1, 0xab, HV_RDX, 0xe5f6ab82)},
	{"32: mov (%ebx),%cx", M32, INSN(0x66, 0x8b, 0x0b), R(2, 0xbeef, HV_RCX, 0xe5f6beef)},
	{"32: mov moffs,%eax", M32, INSN(0xa1, MMIO_LE), R(4, 0xdeadbeef, HV_RAX, 0xdeadbeef)},
	{"32: mov %al,moffs", M32, INSN(0xa2, MMIO_LE), W(1, 0x80)},
	{"32: movl imm,(%ebx)", M32, INSN(0xc7, 0x03, 0x78, 0x56, 0x34, 0x12), W(4, 0x12345678)},
	{"32: movzwl", M32, INSN(0x0f, 0xb7, 0x0b), R(2, 0xbeef, HV_RCX, 0xbeef)},
	{"32: movsbl", M32, INSN(0x0f, 0xbe, 0x0b), R(1, 0x80, HV_RCX, 0xffffff80)},
	{"16: mov %cx,(%bx)", M16, INSN(0x89, 0x0f), W(2, 0x4181)},
	{"16: mov %ecx,(%bx)", M16, INSN(0x66, 0x89, 0x0f), W(4, 0xe5f64181)},
	{"16: mov %cl,4(%bx)", M16, INSN(0x88, 0x4f, 0x04), W_AT(1, 0x81, 4)},
	{"16: mov (%bx),%cx", M16, INSN(0x8b, 0x0f), R(2, 0xbeef, HV_RCX, 0xe5f6beef)},
	{"16: mov moffs,%ax", M16, INSN(0xa1, 0x34, 0x12), R_AT(2, 7, HV_RAX, 0xe5f60007, 0x1234)},
	{"16: mov %eax,moffs", M16, INSN(0x66, 0xa3, 0x34, 0x12), W_AT(4, 0xe5f64080, 0x1234)},
	{"16: mov (%ebx),%ecx", M16, INSN(0x66, 0x67, 0x8b, 0x0b), R(4, 7, HV_RCX, 7)},
};

/* The code is at rip, which the window may map elsewhere; see load_code(). */
static void check_mov(struct vcpu *v, const struct mov_case *c, uint64_t rip)
{
	uint64_t mask = c->mode == M64 ? ~0ull : 0xffffffff, before[HV_NR_GPRS];
	struct hv_run *r = v->run;

	prepare(v, c->mode, rip);
	memcpy(before, r->gprs.r, sizeof(before));
	vcpu_run(v);
	if (r->exit_reason != HV_EXIT_MMIO || r->exit.mmio.gpa != MMIO + c->offset ||
	    r->exit.mmio.len != c->size || r->exit.mmio.flags != (c->write ? HV_IO_WRITE : 0) ||
	    (c->write && r->exit.mmio.data != c->data))
		test_fail("%s at %#llx: %s", c->name, (unsigned long long)rip, vcpu_describe(v));
	if (!c->write) {
		/* Whatever lies above the width is not looked at. */
		r->exit.mmio.data = c->data | (c->size < 8 ? 0x5aull << (8 * c->size) : 0);
		before[c->reg] = c->value;
	}
	expect_end(v, c->name);
	for (unsigned int i = 0; i < HV_NR_GPRS; i++) {
		if ((r->gprs.r[i] & mask) != (before[i] & mask))
			test_fail("%s: register %u is %#llx, not %#llx", c->name, i,
				  (unsigned long long)r->gprs.r[i], (unsigned long long)before[i]);
	}
	vcpu_complete(v);
}

static void mmio_mov(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(mov_cases); i++) {
		const struct mov_case *c = &mov_cases[i];
		uint64_t rip = c->mode == M16 ? GUEST_LOW : CODE;

		vm_load(&vm, rip, c->insn, c->len);
		vm_load(&vm, rip + c->len, out_low, sizeof(out_low));
		check_mov(&v, c, rip);
	}
}

/* RIP-relative: the address depends on where the instruction ends. */
static void mmio_rip_relative(void)
{
	struct mov_case c = {"mov %ecx,0(%rip)", M64, INSN(0x89, 0x0d, 0, 0, 0, 0),
			     W(4, 0xe5f64181)};
	int32_t disp = (int32_t)(MMIO - (CODE + 6));
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	memcpy(c.insn + 2, &disp, 4);
	vm_load(&vm, CODE, c.insn, c.len);
	vm_load(&vm, CODE + c.len, out_low, sizeof(out_low));
	check_mov(&v, &c, CODE);
}

/* Up to the end of a page an access is one piece; across it user space has to translate both. */
static void mmio_data_across(void)
{
	static const struct {
		const char *name;
		uint8_t insn[4], len;
		uint8_t size;
	} cases[] = {
		{"mov %cl,(%rbx)", INSN(0x88, 0x0b), 1},
		{"mov %cx,(%rbx)", INSN(0x66, 0x89, 0x0b), 2},
		{"mov %ecx,(%rbx)", INSN(0x89, 0x0b), 4},
		{"mov %rcx,(%rbx)", INSN(0x48, 0x89, 0x0b), 8},
		{"mov (%rbx),%rcx", INSN(0x48, 0x8b, 0x0b), 8},
	};
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned int over = 0; over < cases[i].size; over++) {
			uint64_t gpa = MMIO + 0x1000 - cases[i].size + over;

			vm_load(&vm, CODE, cases[i].insn, cases[i].len);
			prepare(&v, M64, CODE);
			v.run->gprs.r[HV_RBX] = gpa;
			vcpu_set(&v, HV_REGS_GPR);
			vcpu_run(&v);
			if (v.run->exit_reason != (over ? HV_EXIT_EMULATE : HV_EXIT_MMIO))
				test_fail("%s, %u bytes over: %s", cases[i].name, over,
					  vcpu_describe(&v));
			if (!over)
				CHECK_EQ(v.run->exit.mmio.gpa, gpa);
			vcpu_complete(&v);
		}
	}
}

/*
 * Two linear pages in a row that are not so in memory: code that crosses them is
 * read right only through the guest's page tables.
 */
#define PAGE_A (GUEST_FREE + 0x8000)
#define PAGE_B (GUEST_FREE + 0x2000)

static void load_across(struct vm *vm, const uint8_t *code, size_t len, size_t in_first)
{
	uint8_t all[32];

	memcpy(all, code, len);
	memcpy(all + len, out_low, sizeof(out_low));
	len += sizeof(out_low);
	vm_load(vm, PAGE_A + 0x1000 - in_first, all, in_first);
	vm_load(vm, PAGE_B, all + in_first, len - in_first);
	/* What would be read by someone who believes memory to be contiguous. */
	memset(vm->ram + PAGE_A + 0x1000, 0xcc, 16);
}

static void mmio_across_pages(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_map(&vm, 0, PAGE_A, PTE_P);
	vm_map(&vm, 1, PAGE_B, PTE_P);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(mov_cases); i++) {
		const struct mov_case *c = &mov_cases[i];

		if (c->mode != M64)
			continue;
		for (unsigned int n = 1; n <= c->len; n++) {
			load_across(&vm, c->insn, c->len, n);
			check_mov(&v, c, GUEST_WINDOW + 0x1000 - n);
		}
	}
}

/* ---- Other instructions ---- */

struct emulate_case {
	const char *name;
	uint8_t insn[15], len;
};

static const struct emulate_case emulate_cases[] = {
	{"add %ecx,(%rbx)", INSN(0x01, 0x0b)},
	{"lock add %ecx,(%rbx)", INSN(0xf0, 0x01, 0x0b)},
	{"lock cmpxchg %ecx,(%rbx)", INSN(0xf0, 0x0f, 0xb1, 0x0b)},
	{"xchg %ecx,(%rbx)", INSN(0x87, 0x0b)},
	{"testb $1,(%rbx)", INSN(0xf6, 0x03, 0x01)},
	{"cmpb $5,(%rbx)", INSN(0x80, 0x3b, 0x05)},
	{"incb (%rbx)", INSN(0xfe, 0x03)},
	{"btl $1,(%rbx)", INSN(0x0f, 0xba, 0x23, 0x01)},
	{"movnti %ecx,(%rbx)", INSN(0x0f, 0xc3, 0x0b)},
	{"mov %ds,(%rbx)", INSN(0x8c, 0x1b)},
	{"push (%rbx)", INSN(0xff, 0x33)},
	{"call *(%rbx)", INSN(0xff, 0x13)},
	{"movdqu (%rbx),%xmm0", INSN(0xf3, 0x0f, 0x6f, 0x03)},
	{"movups %xmm0,(%rbx)", INSN(0x0f, 0x11, 0x03)},
	{"flds (%rbx)", INSN(0xd9, 0x03)},
	{"stosb", INSN(0xaa)},
	{"stosq", INSN(0x48, 0xab)},
	{"lock orq $imm,disp32(%rbx)",
	 INSN(0xf0, 0x48, 0x81, 0x8b, 0x10, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00)},
};

static void check_emulate(struct vcpu *v, const struct emulate_case *c, uint64_t rip)
{
	struct hv_run *r = v->run;
	const uint64_t groups = HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS;

	prepare(v, M64, rip);
	r->wanted = 0;
	vcpu_run(v);
	if (r->exit_reason != HV_EXIT_EMULATE || r->exit.emulate.insn_len < c->len ||
	    r->exit.emulate.insn_len > HV_INSN_MAX ||
	    memcmp(r->exit.emulate.insn, c->insn, c->len) != 0)
		test_fail("%s at %#llx: %s", c->name, (unsigned long long)rip, vcpu_describe(v));
	if ((r->exit.emulate.gpa & ~0xfffull) != MMIO)
		test_fail("%s: %s", c->name, vcpu_describe(v));
	CHECK_EQ(r->valid & groups, groups);
	CHECK_EQ(r->gprs.rip, rip);
	CHECK_EQ(vcpu_reg(v, RCX), preset(HV_RCX));
	CHECK_EQ(r->sregs.cr3, GUEST_PML4);
	/* Carried out here: a result and the next instruction. */
	r->gprs.r[HV_RCX] = 0x4711;
	r->gprs.rip += c->len;
	r->dirty = HV_REGS_GPR;
	r->wanted = HV_REGS_GPR;
	expect_end(v, c->name);
	CHECK_EQ(vcpu_reg(v, RCX), 0x4711);
	vcpu_complete(v);
}

static void mmio_emulate(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_map(&vm, 0, PAGE_A, PTE_P);
	vm_map(&vm, 1, PAGE_B, PTE_P);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(emulate_cases); i++) {
		const struct emulate_case *c = &emulate_cases[i];

		vm_load(&vm, CODE, c->insn, c->len);
		vm_load(&vm, CODE + c->len, out_low, sizeof(out_low));
		check_emulate(&v, c, CODE);
		for (unsigned int n = 1; n <= c->len; n++) {
			load_across(&vm, c->insn, c->len, n);
			check_emulate(&v, c, GUEST_WINDOW + 0x1000 - n);
		}
	}
}

/* ---- String I/O ---- */

struct string_case {
	const char *name;
	uint8_t insn[8], len;
	bool write;
};

static const struct string_case string_cases[] = {
	{"outsb", INSN(0x6e), true},
	{"outsw", INSN(0x66, 0x6f), true},
	{"outsl", INSN(0x6f), true},
	{"rep outsb", INSN(0xf3, 0x6e), true},
	{"rep outsw", INSN(0xf3, 0x66, 0x6f), true},
	{"rep outsl, 32-bit address, gs", INSN(0x65, 0x67, 0xf3, 0x6f), true},
	{"insb", INSN(0x6c), false},
	{"rep insw", INSN(0x66, 0xf3, 0x6d), false},
	{"rep insl", INSN(0xf3, 0x6d), false},
};

static void check_string(struct vcpu *v, const struct string_case *c, uint64_t rip)
{
	struct hv_run *r = v->run;

	prepare(v, M64, rip);
	/* Ten units, from and to where memory crosses a page. */
	r->gprs.r[HV_RCX] = 10;
	r->gprs.r[HV_RSI] = r->gprs.r[HV_RDI] = GUEST_FREE + 0x5ffe;
	vcpu_set(v, HV_REGS_GPR);
	vcpu_run(v);
	if (r->exit_reason != HV_EXIT_EMULATE || r->exit.emulate.gpa != ~0ull ||
	    r->exit.emulate.port != (uint16_t)preset(HV_RDX) ||
	    r->exit.emulate.flags != (c->write ? HV_IO_WRITE : 0) ||
	    r->exit.emulate.insn_len < c->len || memcmp(r->exit.emulate.insn, c->insn, c->len) != 0)
		test_fail("%s at %#llx: %s", c->name, (unsigned long long)rip, vcpu_describe(v));
	CHECK_EQ(vcpu_reg(v, RCX), 10);
	CHECK_EQ(vcpu_reg(v, RSI), GUEST_FREE + 0x5ffe);
	r->gprs.r[HV_RCX] = 0;
	r->gprs.rip += c->len;
	r->dirty = HV_REGS_GPR;
	expect_end(v, c->name);
	vcpu_complete(v);
}

static void string_io(void)
{
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vm_map(&vm, 0, PAGE_A, PTE_P);
	vm_map(&vm, 1, PAGE_B, PTE_P);
	vcpu_init(&v, &vm, 0);
	for (size_t i = 0; i < ARRAY_SIZE(string_cases); i++) {
		const struct string_case *c = &string_cases[i];

		for (unsigned int n = 1; n <= c->len; n++) {
			load_across(&vm, c->insn, c->len, n);
			check_string(&v, c, GUEST_WINDOW + 0x1000 - n);
		}
	}
}

/* ---- ioeventfd ---- */

static int ioeventfd(struct vm *vm, int fd, uint32_t flags, uint64_t addr, uint32_t len,
		     uint64_t match)
{
	struct hv_ioeventfd i = {.size = sizeof(i),
				 .flags = flags,
				 .fd = fd,
				 .len = len,
				 .addr = addr,
				 .datamatch = match};

	return ioctl(vm->fd, HV_IOEVENTFD, &i);
}

static uint64_t event_count(int fd)
{
	eventfd_t value = 0;

	return eventfd_read(fd, &value) ? 0 : value;
}

static GUEST void g_doorbells(uint64_t arg)
{
	volatile uint8_t *mmio = (volatile uint8_t *)MMIO;

	(void)arg;
	outw(1, 0x600); /* matches length 2 */
	outb(1, 0x600); /* exit: length 1 */
	outl(1, 0x600); /* exit */
	outw(1, 0x601); /* exit: another port */
	outl(7, 0x610); /* data match */
	outl(8, 0x610); /* exit: other data */
	outb(1, 0x620); /* any width */
	outw(2, 0x620);
	outl(3, 0x620);
	*(volatile uint32_t *)(mmio + 0x100) = 5;
	*(volatile uint16_t *)(mmio + 0x100) = 5; /* exit: length 2 */
	*(volatile uint64_t *)(mmio + 0x200) = 0x1122334455667788;
	*(volatile uint64_t *)(mmio + 0x200) = 0x1122334455667789; /* exit: other data */
	mmio[0x300] = 1;
	*(volatile uint64_t *)(mmio + 0x300) = 1;
	(void)*(volatile uint32_t *)(mmio + 0x100); /* exit: a read */
	guest_sync(1);
	outw(1, 0x600); /* exit: unbound */
}

static void expect_pio(struct vcpu *v, uint16_t port, uint8_t len, uint32_t data)
{
	vcpu_out(v, port);
	CHECK_EQ(v->run->exit.pio.len, len);
	CHECK_EQ(v->run->exit.pio.data, data);
}

static void expect_mmio(struct vcpu *v, uint64_t gpa, uint8_t len, bool write)
{
	vcpu_expect(v, HV_EXIT_MMIO);
	CHECK_EQ(v->run->exit.mmio.gpa, gpa);
	CHECK_EQ(v->run->exit.mmio.len, len);
	CHECK_EQ(v->run->exit.mmio.flags, write ? HV_IO_WRITE : 0);
}

static void doorbells(void)
{
	const uint32_t pio = HV_IOEVENTFD_PIO, match = HV_IOEVENTFD_DATAMATCH;
	struct vm vm;
	struct vcpu v;
	int fd[7];

	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = eventfd(0, EFD_NONBLOCK);
	vm_long(&vm, &v, g_doorbells, 0);
	CHECK_OK(ioeventfd(&vm, fd[0], pio, 0x600, 2, 0));
	CHECK_OK(ioeventfd(&vm, fd[1], pio | match, 0x610, 4, 7));
	CHECK_OK(ioeventfd(&vm, fd[2], pio, 0x620, 0, 0));
	CHECK_OK(ioeventfd(&vm, fd[3], 0, MMIO + 0x100, 4, 0));
	CHECK_OK(ioeventfd(&vm, fd[4], match, MMIO + 0x200, 8, 0x1122334455667788));
	CHECK_OK(ioeventfd(&vm, fd[5], 0, MMIO + 0x300, 0, 0));
	CHECK_OK(ioeventfd(&vm, fd[6], pio | match, 0x610, 4, 9));
	CHECK_ERRNO(ioeventfd(&vm, fd[6], pio, 0x600, 2, 0), EEXIST);
	CHECK_ERRNO(ioeventfd(&vm, fd[6], pio | match, 0x610, 4, 7), EEXIST);

	expect_pio(&v, 0x600, 1, 1);
	expect_pio(&v, 0x600, 4, 1);
	expect_pio(&v, 0x601, 2, 1);
	expect_pio(&v, 0x610, 4, 8);
	expect_mmio(&v, MMIO + 0x100, 2, true);
	expect_mmio(&v, MMIO + 0x200, 8, true);
	expect_mmio(&v, MMIO + 0x100, 4, false);
	vcpu_sync(&v, 1);
	CHECK_EQ(event_count(fd[0]), 1);
	CHECK_EQ(event_count(fd[1]), 1);
	CHECK_EQ(event_count(fd[2]), 3);
	CHECK_EQ(event_count(fd[3]), 1);
	CHECK_EQ(event_count(fd[4]), 1);
	CHECK_EQ(event_count(fd[5]), 2);
	CHECK_EQ(event_count(fd[6]), 0);
	CHECK_OK(ioeventfd(&vm, fd[0], pio | HV_IOEVENTFD_DEASSIGN, 0x600, 2, 0));
	CHECK_ERRNO(ioeventfd(&vm, fd[0], pio | HV_IOEVENTFD_DEASSIGN, 0x600, 2, 0), ENOENT);
	expect_pio(&v, 0x600, 2, 1);
	vcpu_done(&v);
}

static volatile uint64_t rings;
static volatile bool quiet;

static GUEST void g_rings(uint64_t arg)
{
	(void)arg;
	for (rings = 1; !quiet; rings++)
		outw(1, 0x600);
}

/* A vCPU that rings, whether anybody hears it or not. */
static void *ringing_vcpu(void *arg)
{
	struct vcpu *v = arg;

	while (vcpu_run(v) == HV_EXIT_PIO && v->run->exit.pio.port == 0x600)
		;
	if (v->run->exit.pio.port != PORT_DONE)
		test_fail("exit that a bell does not explain: %s", vcpu_describe(v));
	return NULL;
}

/* Who takes a doorbell off is told of no ring any more, nor is the bell used that it was. */
static void doorbells_come_and_go(void)
{
	pthread_t thread;
	struct vcpu v;
	struct vm vm;

	vm_long(&vm, &v, g_rings, 0);
	CHECK_EQ(pthread_create(&thread, NULL, ringing_vcpu, &v), 0);
	for (unsigned int i = 0; i < 300; i++) {
		int fd = eventfd(0, EFD_NONBLOCK);
		uint64_t ring;

		CHECK_OK(ioeventfd(&vm, fd, HV_IOEVENTFD_PIO, 0x600, 2, 0));
		while (!event_count(fd))
			sched_yield();
		CHECK_OK(ioeventfd(&vm, fd, HV_IOEVENTFD_PIO | HV_IOEVENTFD_DEASSIGN, 0x600, 2, 0));
		event_count(fd);
		/* What was under way then is over when the next has come. */
		ring = guest_var(&vm, rings);
		while (guest_var(&vm, rings) < ring + 2)
			sched_yield();
		CHECK_EQ(event_count(fd), 0);
		CHECK_OK(close(fd));
	}
	guest_var(&vm, quiet) = true;
	vcpu_join(thread);
}

/* Many, at ports and at addresses that are the same numbers: each finds its own. */
#define BELLS 24

/* Neighbours differ by less than a write is wide. */
#define BELL_PORT(n)	((uint16_t)(0x700 + 3 * (n)))
#define BELL_ADDRESS(n) (MMIO + 0x700 + 3 * (n))

static GUEST void g_many_doorbells(uint64_t rounds)
{
	for (; rounds; rounds--) {
		for (unsigned int i = 0; i < BELLS; i++) {
			outw((uint16_t)i, BELL_PORT(i));
			*(volatile uint16_t *)(uintptr_t)BELL_ADDRESS(i) = (uint16_t)i;
		}
		guest_sync((uint32_t)rounds);
	}
}

static void many_doorbells(void)
{
	int port[BELLS], address[BELLS];
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_many_doorbells, 3);
	for (unsigned int i = 0; i < BELLS; i++) {
		/* Not in the order of their places. */
		unsigned int n = i * 7 % BELLS;

		port[n] = eventfd(0, EFD_NONBLOCK);
		address[n] = eventfd(0, EFD_NONBLOCK);
		CHECK_OK(ioeventfd(&vm, port[n], HV_IOEVENTFD_PIO, BELL_PORT(n), 2, 0));
		CHECK_OK(ioeventfd(&vm, address[n], HV_IOEVENTFD_DATAMATCH, BELL_ADDRESS(n), 2, n));
	}
	vcpu_sync(&v, 3);
	for (unsigned int i = 0; i < BELLS; i++) {
		CHECK_EQ(event_count(port[i]), 1);
		CHECK_EQ(event_count(address[i]), 1);
	}
	/* Every third one goes: those exit. Only who bound it can take it away. */
	for (unsigned int i = 0; i < BELLS; i += 3) {
		uint32_t match = HV_IOEVENTFD_DEASSIGN | HV_IOEVENTFD_DATAMATCH;
		uint32_t pio = HV_IOEVENTFD_DEASSIGN | HV_IOEVENTFD_PIO;

		CHECK_ERRNO(ioeventfd(&vm, port[i + 1], pio, BELL_PORT(i), 2, 0), ENOENT);
		CHECK_ERRNO(ioeventfd(&vm, port[i], pio, BELL_PORT(i), 4, 0), ENOENT);
		CHECK_ERRNO(ioeventfd(&vm, address[i], match, BELL_ADDRESS(i), 2, i + 1), ENOENT);
		CHECK_OK(ioeventfd(&vm, port[i], pio, BELL_PORT(i), 2, 0));
		CHECK_OK(ioeventfd(&vm, address[i], match, BELL_ADDRESS(i), 2, i));
	}
	for (unsigned int i = 0; i < BELLS; i += 3) {
		expect_pio(&v, BELL_PORT(i), 2, i);
		expect_mmio(&v, BELL_ADDRESS(i), 2, true);
		CHECK_EQ(v.run->exit.mmio.data, i);
	}
	vcpu_sync(&v, 2);
	for (unsigned int i = 0; i < BELLS; i++) {
		CHECK_EQ(event_count(port[i]), i % 3 ? 1 : 0);
		CHECK_EQ(event_count(address[i]), i % 3 ? 1 : 0);
	}
	/* One rings again, and then the other of two that differ in what is written. */
	CHECK_OK(ioeventfd(&vm, port[0], HV_IOEVENTFD_PIO, BELL_PORT(0), 2, 0));
	CHECK_OK(ioeventfd(&vm, port[3], HV_IOEVENTFD_PIO | HV_IOEVENTFD_DATAMATCH, BELL_PORT(3), 2,
			   4));
	CHECK_OK(ioeventfd(&vm, port[6], HV_IOEVENTFD_PIO | HV_IOEVENTFD_DATAMATCH, BELL_PORT(3), 2,
			   3));
	for (unsigned int i = 0; i < BELLS; i += 3) {
		if (i > 3)
			expect_pio(&v, BELL_PORT(i), 2, i);
		expect_mmio(&v, BELL_ADDRESS(i), 2, true);
	}
	vcpu_sync(&v, 1);
	CHECK_EQ(event_count(port[0]), 1);
	CHECK_EQ(event_count(port[3]), 0);
	CHECK_EQ(event_count(port[6]), 1);
	vcpu_done(&v);
	/* The last address there is, and none beyond. */
	CHECK_OK(ioeventfd(&vm, port[0], 0, ~0ull - 8, 8, 0));
	CHECK_ERRNO(ioeventfd(&vm, port[0], 0, ~0ull - 6, 8, 0), EINVAL);
	CHECK_OK(ioeventfd(&vm, port[0], HV_IOEVENTFD_PIO, 0xfffc, 4, 0));
	CHECK_OK(ioeventfd(&vm, port[0], HV_IOEVENTFD_PIO, 0xffff, 0, 0));
	CHECK_ERRNO(ioeventfd(&vm, port[0], HV_IOEVENTFD_PIO, 0xfffd, 4, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(&vm, port[0], HV_IOEVENTFD_PIO, 0x10000, 0, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(&vm, port[0], HV_IOEVENTFD_DATAMATCH, MMIO, 0, 0), EINVAL);
	CHECK_ERRNO(ioeventfd(&vm, port[0], 0, MMIO, 4, 1), EINVAL);
}

/*
 * Bells at one address that differ in what is written there, and none of them for this: what lies behind
 * the last is no bell, for addresses begin at 0.
 */
static void doorbells_of_others(void)
{
	static uint8_t ram[4096] __attribute__((aligned(4096)));
	/* mov %al, 0 */
	static const uint8_t code[] = {0xa2, 0x00, 0x00};
	uint32_t match = HV_IOEVENTFD_DATAMATCH;
	struct vm vm;
	struct vcpu v;

	vm_bare(&vm);
	memcpy(ram, code, sizeof(code));
	memcpy(ram + sizeof(code), out_low, sizeof(out_low));
	CHECK_OK(vm_set_slot(&vm, 0, 0, 0x10000, sizeof(ram), ram));
	vcpu_init(&v, &vm, 0);
	for (unsigned int n = 1; n <= 16; n++) {
		int fd = eventfd(0, EFD_NONBLOCK);

		CHECK_OK(ioeventfd(&vm, fd, match, 0, 1, n));
		for (unsigned int value = 0; value < 2; value++) {
			vcpu_real(&v, 0x1000, 0);
			v.run->sregs.ds.base = 0;
			v.run->gprs.r[HV_RAX] = value ? n : 0;
			vcpu_set(&v, HV_REGS_GPR | HV_REGS_SREGS);
			if (!value)
				expect_mmio(&v, 0, 1, true);
			expect_end(&v, "mov");
			CHECK_EQ(event_count(fd), value);
		}
	}
}

/* ---- Where the instruction is ---- */

/*
 * The module reads the instruction that exits by the guest's tables, whatever their kind: it lies across
 * the end of a page, and its second half elsewhere. Indices are others at each level, and odd.
 */
#define FAR	    0x40400000ul
#define CODE_FIRST  (GUEST_FREE + 0x5000)
#define CODE_SECOND (GUEST_FREE + 0x9000)
#define TABLES	    (GUEST_FREE + 0x20000)

/* mov %eax, 0x40400000, of 32-bit code; what lies before it are NOPs. */
static const uint8_t store_far[] = {0xa3, 0x00, 0x00, 0x40, 0x40};

static void run_across(struct vm *vm, struct vcpu *v, uint64_t gva, uint64_t first, uint64_t second)
{
	for (unsigned int n = 1; n < sizeof(store_far); n++) {
		uint64_t begin = 0x1000 - n;

		memcpy(vm->ram + first + begin, store_far, n);
		memcpy(vm->ram + second, store_far + n, sizeof(store_far) - n);
		vcpu_get(v, HV_REGS_GPR);
		v->run->gprs.rip = gva + begin;
		v->run->gprs.r[HV_RAX] = 0x1000 + n;
		vcpu_set(v, HV_REGS_GPR);
		expect_mmio(v, FAR, 4, true);
		CHECK_EQ(v->run->exit.mmio.data, 0x1000 + n);
		vcpu_complete(v);
		vcpu_get(v, HV_REGS_GPR);
		CHECK_EQ(v->run->gprs.rip, gva + begin + sizeof(store_far));
	}
}

#define TABLE(n, bits) ((volatile uint##bits##_t *)(vm.ram + TABLES + 0x1000 * (n)))

static void fetch_by_tables(void)
{
	const uint64_t gva = 0x00c07000;
	struct vm vm;
	struct vcpu v;
	uint8_t *high;

	/* Two levels of 4 bytes each. */
	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vcpu_flat32(&v, 0);
	TABLE(0, 32)[gva >> 22] = (TABLES + 0x1000) | PTE_P;
	TABLE(0, 32)[(gva >> 22) - 1] = (TABLES + 0x3000) | PTE_P;
	TABLE(1, 32)[gva >> 12 & 1023] = CODE_FIRST | PTE_P;
	TABLE(1, 32)[(gva >> 12 & 1023) + 1] = CODE_SECOND | PTE_P;
	TABLE(0, 32)[FAR >> 22] = (FAR & ~0x3ffffful) | 0x80 | PTE_W | PTE_P;
	v.run->sregs.cr3 = TABLES | 0x18;
	v.run->sregs.cr4 = CR4_PSE;
	v.run->sregs.cr0 |= CR0_PG;
	vcpu_set(&v, HV_REGS_SREGS);
	run_across(&vm, &v, gva, CODE_FIRST, CODE_SECOND);
	/* A large page, and one above 4 GiB, which bits 13 to 20 say. */
	TABLE(0, 32)[gva >> 22] = (GUEST_FREE & ~0x3ffffful) | 0x80 | PTE_P;
	vcpu_set(&v, HV_REGS_SREGS);
	run_across(&vm, &v, gva, (GUEST_FREE & ~0x3ffffful) + (gva & 0x3fffff),
		   (GUEST_FREE & ~0x3ffffful) + (gva & 0x3fffff) + 0x1000);
	high = vm_add_slot(&vm, 1, 0, 0x300000000 + (gva & 0x3fffff), 0x2000);
	TABLE(0, 32)[gva >> 22] = 3 << 13 | 0x80 | PTE_P;
	vcpu_set(&v, HV_REGS_SREGS);
	run_across(&vm, &v, gva, (uint64_t)(high - vm.ram), (uint64_t)(high - vm.ram) + 0x1000);
	vcpu_close(&v);
	vm_close(&vm);

	/* PAE: the four, then two levels of 8 bytes; CR3 need only be aligned to 32 bytes. */
	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	vcpu_flat32(&v, 0);
	TABLE(0, 64)[4] = (TABLES + 0x1000) | PTE_P;
	TABLE(0, 64)[5] = (TABLES + 0x3000) | PTE_P;
	TABLE(1, 64)[gva >> 21 & 511] = (TABLES + 0x2000) | PTE_P;
	TABLE(2, 64)[gva >> 12 & 511] = CODE_FIRST | PTE_P;
	TABLE(2, 64)[(gva >> 12 & 511) + 1] = CODE_SECOND | PTE_P;
	TABLE(3, 64)[FAR >> 21 & 511] = FAR | 0x80 | PTE_W | PTE_P;
	v.run->sregs.cr3 = TABLES + 32;
	v.run->sregs.cr4 = CR4_PAE;
	v.run->sregs.cr0 |= CR0_PG;
	vcpu_set(&v, HV_REGS_SREGS);
	run_across(&vm, &v, gva, CODE_FIRST, CODE_SECOND);
	TABLE(1, 64)[gva >> 21 & 511] = (GUEST_FREE & ~0x1ffffful) | 0x80 | PTE_P;
	vcpu_set(&v, HV_REGS_SREGS);
	run_across(&vm, &v, gva, (GUEST_FREE & ~0x1ffffful) + (gva & 0x1fffff),
		   (GUEST_FREE & ~0x1ffffful) + (gva & 0x1fffff) + 0x1000);
	vcpu_close(&v);
	vm_close(&vm);
}

/* Nothing is where the instruction was: that is a page fault of the guest's, at whose end it is back. */
static GUEST bool hook_map_again(struct guest_frame *f)
{
	G_CHECK_EQ(f->vector, PF);
	G_CHECK_EQ(GUEST_READ_CR(2), f->rip);
	*(volatile uint64_t *)GUEST_PT = CODE_FIRST | PTE_P;
	return true;
}

/* This code, and what ends it, by a page that the guest can map elsewhere. */
static void init_in_window(struct vm *vm, struct vcpu *v, const uint8_t *code, size_t len)
{
	vm_init(vm);
	vm_map(vm, 0, CODE_FIRST, PTE_P);
	vm_load(vm, CODE_FIRST, code, len);
	vm_load(vm, CODE_FIRST + len, out_low, sizeof(out_low));
	vcpu_init(v, vm, 0);
}

static void fetch_unmapped(void)
{
	/* movq $0, GUEST_PT; mov %eax, (%rbx) */
	static const uint8_t code[] = {0x48, 0xc7, 0x04, 0x25, 0x00, 0x70, 0x00,
				       0x00, 0x00, 0x00, 0x00, 0x00, 0x89, 0x03};
	struct vm vm;
	struct vcpu v;

	init_in_window(&vm, &v, code, sizeof(code));
	guest_var(&vm, guest_cpus[0]).hook = hook_map_again;
	prepare(&v, M64, GUEST_WINDOW);
	expect_mmio(&v, MMIO, 4, true);
	CHECK_EQ(guest_var(&vm, guest_cpus[0]).count[PF], 1);
	expect_end(&v, "mov");
}

/*
 * The processor goes on by an older entry of its own, and the module, where it has to read the instruction,
 * finds another one: it cannot know what that was.
 */
static void fetch_another(void)
{
	/* movq $CODE_SECOND | PTE_P, GUEST_PT; mov %rax, %cr0, and the same with NOPs for the latter */
	static const uint8_t code[] = {0x48, 0xc7, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00,
				       0x01, 0x90, 0xc0, 0x00, 0x0f, 0x22, 0xc0};
	const uint64_t at = GUEST_WINDOW + sizeof(code) - 3;
	struct vm vm;
	struct vcpu v;

	init_in_window(&vm, &v, code, sizeof(code));
	memset(vm.ram + CODE_SECOND, 0x90, sizeof(code));
	vm_load(&vm, CODE_SECOND + sizeof(code), out_low, sizeof(out_low));
	prepare(&v, M64, GUEST_WINDOW);
	vcpu_get(&v, HV_REGS_SREGS);
	v.run->gprs.r[HV_RAX] = v.run->sregs.cr0 ^ CR0_CD;
	vcpu_set(&v, HV_REGS_GPR);
	if (host_is_tcg()) {
		vcpu_expect(&v, HV_EXIT_ERROR);
		CHECK_EQ(v.run->exit.error.code, HV_ERROR_FETCH);
		CHECK_EQ(v.run->exit.error.hw_info[1], at);
		CHECK_EQ(v.run->gprs.rip, at);
	}
	expect_end(&v, "mov");
	vcpu_get(&v, HV_REGS_SREGS);
	CHECK_EQ(!(v.run->sregs.cr0 & CR0_CD), host_is_tcg());
}

/* ---- Read-only slots ---- */

#define ROM 0x8000000

static GUEST void g_rom(uint64_t arg)
{
	volatile uint32_t *rom = (volatile uint32_t *)(uintptr_t)ROM;

	(void)arg;
	G_CHECK_EQ(rom[0], 0x11223344);
	rom[0] = 5;
	G_CHECK_EQ(rom[0], 0x11223344);
	/* Page not yet present: the first access is a write. */
	rom[1024] = 6;
	G_CHECK_EQ(rom[1024], 0);
	/* Code runs from it. */
	((void (*)(void))(uintptr_t)(ROM + 0x2000))();
	asm volatile("lock addl $1, (%0)" : : "a"(rom) : "memory");
	guest_sync(1);
	/* Writable now. */
	rom[0] = 7;
	G_CHECK_EQ(rom[0], 7);
	guest_sync(2);
	/* And read-only again. */
	rom[0] = 8;
	G_CHECK_EQ(rom[0], 7);
}

static void read_only_slot(void)
{
	struct vm vm;
	struct vcpu v;
	uint8_t *rom;

	vm_long(&vm, &v, g_rom, 0);
	rom = vm_add_slot(&vm, 3, HV_SLOT_READONLY, ROM, 0x4000);
	*(uint32_t *)rom = 0x11223344;
	rom[0x2000] = 0xc3;
	expect_mmio(&v, ROM, 4, true);
	CHECK_EQ(v.run->exit.mmio.data, 5);
	expect_mmio(&v, ROM + 4096, 4, true);
	CHECK_EQ(v.run->exit.mmio.data, 6);
	vcpu_expect(&v, HV_EXIT_EMULATE);
	CHECK_EQ(v.run->exit.emulate.gpa, ROM);
	v.run->gprs.rip += 4;
	v.run->dirty = HV_REGS_GPR;
	CHECK_EQ(v.run->exit.emulate.insn[0], 0xf0);
	vcpu_sync(&v, 1);
	CHECK_EQ(*(uint32_t *)rom, 0x11223344);
	CHECK_OK(vm_set_slot(&vm, 3, 0, ROM, 0x4000, rom));
	vcpu_sync(&v, 2);
	CHECK_EQ(*(uint32_t *)rom, 7);
	CHECK_OK(vm_set_slot(&vm, 3, HV_SLOT_READONLY, ROM, 0x4000, rom));
	expect_mmio(&v, ROM, 4, true);
	vcpu_done(&v);
	CHECK_EQ(*(uint32_t *)rom, 7);
}

static const struct test tests[] = {
	{"pio_widths", pio_widths, 0},
	{"pio_dirty", pio_dirty, 0},
	{"moved_away", moved_away, 0},
	{"mmio_mov", mmio_mov, 0},
	{"mmio_rip_relative", mmio_rip_relative, 0},
	{"mmio_data_across", mmio_data_across, 0},
	{"mmio_across_pages", mmio_across_pages, 60},
	{"mmio_emulate", mmio_emulate, 60},
	{"string_io", string_io, 0},
	{"doorbells", doorbells, 0},
	{"doorbells_come_and_go", doorbells_come_and_go, 60},
	{"many_doorbells", many_doorbells, 0},
	{"doorbells_of_others", doorbells_of_others, 0},
	{"fetch_by_tables", fetch_by_tables, 0},
	{"fetch_unmapped", fetch_unmapped, 0},
	{"fetch_another", fetch_another, 0},
	{"read_only_slot", read_only_slot, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
