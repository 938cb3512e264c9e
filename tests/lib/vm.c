// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMs, slots and vCPUs for the tests, over the ABI of /dev/hv alone. Called by
 * the programs in tests/abi.
 */
#define _GNU_SOURCE
#include "vm.h"

#include <cpuid.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

/* The linker's: where this program begins and ends in memory. */
extern const char __executable_start[], end[];

int hv_open(void)
{
	int fd = open("/dev/hv", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		test_fail("/dev/hv: %s", strerror(errno));
	return fd;
}

struct hv_caps hv_caps(void)
{
	struct hv_caps caps = {.size = sizeof(caps)};
	int fd = hv_open();

	CHECK_OK(ioctl(fd, HV_GET_CAPS, &caps));
	close(fd);
	return caps;
}

bool host_is_vmx(void)
{
	return hv_caps().backend == HV_BACKEND_VMX;
}

bool host_is_tcg(void)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx >> 31))
		return false;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	return ebx == 0x54474354; /* "TCGT" */
}

/* Its processors do not say that they are emulated, but QEMU's, with the same BIOS, do. */
bool host_is_bochs_amd(void)
{
	unsigned int eax, ebx, ecx, edx;
	char header[16];
	ssize_t n;
	int fd;

	__cpuid(0, eax, ebx, ecx, edx);
	if (ebx != 0x68747541) /* "Auth" */
		return false;
	__cpuid(1, eax, ebx, ecx, edx);
	fd = open("/sys/firmware/acpi/tables/FACP", O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, header, sizeof(header));
	close(fd);
	return n == sizeof(header) && !(ecx >> 31) && memcmp(&header[10], "BOCHS ", 6) == 0;
}

void skip_on_bochs_amd(const char *why)
{
	if (host_is_bochs_amd())
		test_skip("Bochs's AMD-V %s", why);
}

static void create_vm(struct vm *vm, uint32_t tsc_khz)
{
	struct hv_create_vm create = {.size = sizeof(create), .tsc_khz = tsc_khz};
	int fd = hv_open();

	/* A signal may interrupt it. */
	do {
		vm->fd = ioctl(fd, HV_CREATE_VM, &create);
	} while (vm->fd < 0 && errno == EINTR);
	CHECK_OK(vm->fd);
	vm->ram = NULL;
	close(fd);
}

void vm_bare(struct vm *vm)
{
	create_vm(vm, 0);
}

int vm_set_slot(struct vm *vm, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len,
		const void *hva)
{
	struct hv_slot s = {
		.size = sizeof(s),
		.slot = slot,
		.flags = flags,
		.gpa = gpa,
		.len = len,
		.hva = (uintptr_t)hva,
	};

	return ioctl(vm->fd, HV_SET_SLOT, &s);
}

uint8_t *vm_add_slot(struct vm *vm, uint32_t slot, uint64_t flags, uint64_t gpa, uint64_t len)
{
	uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_OK(vm_set_slot(vm, slot, flags, gpa, len, p));
	return p;
}

/* Identity map of 4 GiB, with the window in place of one large page. */
static void make_page_tables(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + GUEST_PML4), *pdpt = (uint64_t *)(ram + GUEST_PDPT);
	uint64_t *pd = (uint64_t *)(ram + GUEST_PD);

	pml4[0] = GUEST_PDPT | PTE_P | PTE_W | PTE_U;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (GUEST_PD + 4096 * i) | PTE_P | PTE_W | PTE_U;
	for (unsigned int i = 0; i < 2048; i++)
		pd[i] = (uint64_t)i << 21 | 0x80 | PTE_P | PTE_W | PTE_U;
	pd[GUEST_WINDOW >> 21] = GUEST_PT | PTE_P | PTE_W | PTE_U;
}

/*
 * Gates as in the Intel SDM, Vol. 3, "IDT Descriptors". Exceptions use the stack of
 * IST 1, NMIs that of IST 2; interrupts stay on the current one, see guest_trap().
 */
static void make_idt(uint8_t *ram)
{
	uint64_t *idt = (uint64_t *)(ram + GUEST_IDT);

	for (unsigned int i = 0; i < 256; i++) {
		uint64_t to = (uintptr_t)guest_trap_entries + 16 * i;
		uint64_t ist = i == 2 ? 2 : i < 32 ? 1 : 0;

		idt[2 * i] = (to & 0xffff) | (uint64_t)SEL_CODE64 << 16 | ist << 32 |
			     0x8eULL << 40 | (to >> 16 & 0xffff) << 48;
		idt[2 * i + 1] = to >> 32;
	}
}

static uint64_t stack_top(unsigned int id)
{
	return GUEST_STACKS + 0x10000ULL * (id + 1);
}

/* Each vCPU has a GDT and a TSS of its own, since loading TR marks the TSS busy. */
static void make_gdt(uint8_t *ram, unsigned int id)
{
	uint64_t *gdt = (uint64_t *)(ram + GUEST_GDT + 128 * id);
	uint8_t *tss = ram + GUEST_TSS + 128 * id;
	uint64_t base = GUEST_TSS + 128ULL * id;

	gdt[SEL_CODE64 / 8] = 0x00af9b000000ffff;
	gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	gdt[SEL_CODE32 / 8] = 0x00cf9b000000ffff;
	gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffff;
	gdt[SEL_USER_CODE / 8] = 0x00affb000000ffff;
	gdt[SEL_CODE16 / 8] = 0x00009b000000ffff;
	gdt[SEL_ABSENT / 8] = 0x00cf13000000ffff;
	gdt[SEL_TSS / 8] = 0x00008b0000000067 | base << 16;
	gdt[SEL_TSS / 8 + 1] = 0;

	memset(tss, 0, 104);
	/* RSP0, then IST 1 and 2. */
	*(uint64_t *)(tss + 4) = stack_top(id) - 0xc000;
	for (unsigned int ist = 1; ist <= 2; ist++)
		*(uint64_t *)(tss + 36 + 8 * (ist - 1)) = stack_top(id) - 0x4000 * ist;
	*(uint16_t *)(tss + 102) = 104;
}

/* The program, page tables and IDT in the RAM, which is slot 0. */
static void fill_ram(struct vm *vm, uint32_t tsc_khz)
{
	size_t image = (size_t)(end - __executable_start);

	if ((uintptr_t)end > GUEST_STACKS)
		test_fail("linked at %p: link with -static, not as PIE",
			  (const void *)__executable_start);
	guest_tsc_khz = tsc_khz ? tsc_khz : hv_caps().tsc_khz;
	CHECK(guest_tsc_khz > 0);
	memcpy(vm->ram + (uintptr_t)__executable_start, __executable_start, image);
	make_page_tables(vm->ram);
	make_idt(vm->ram);
}

void vm_init_tsc(struct vm *vm, uint32_t tsc_khz)
{
	create_vm(vm, tsc_khz);
	vm->ram = vm_add_slot(vm, 0, 0, 0, GUEST_RAM);
	fill_ram(vm, tsc_khz);
}

void vm_init(struct vm *vm)
{
	vm_init_tsc(vm, 0);
}

void vm_init_shared(struct vm *vm)
{
	vm_bare(vm);
	vm->ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(vm->ram != MAP_FAILED);
	CHECK_OK(vm_set_slot(vm, 0, 0, 0, GUEST_RAM, vm->ram));
	fill_ram(vm, 0);
}

void vm_close(struct vm *vm)
{
	close(vm->fd);
	if (vm->ram)
		munmap(vm->ram, GUEST_RAM);
}

int vm_msi(struct vm *vm, uint32_t dest, uint8_t vector)
{
	struct hv_msi msi = {.addr = 0xfee00000 | (dest & 0xff) << 12, .data = vector};

	return (int)CHECK_OK(ioctl(vm->fd, HV_SIGNAL_MSI, &msi));
}

void vm_map(struct vm *vm, unsigned int page, uint64_t gpa, uint64_t flags)
{
	((volatile uint64_t *)(vm->ram + GUEST_PT))[page] = gpa | flags;
}

void vm_load(struct vm *vm, uint64_t gpa, const void *code, size_t len)
{
	memcpy(vm->ram + gpa, code, len);
}

/* Bytes that make the interesting instructions likelier than chance would. */
void random_code(uint8_t *p, size_t len)
{
	static const uint8_t pieces[][4] = {
		{0x0f, 0x22, 0xc0},
		{0x0f, 0x22, 0xe0},
		{0x0f, 0x30},
		{0x0f, 0x32},
		{0x0f, 0xa2},
		{0x0f, 0x01, 0xd1},
		{0x0f, 0x01, 0xd9},
		{0x0f, 0x23, 0xf8},
		{0xf4},
		{0xfb},
		{0xcf},
		{0x48, 0xcf},
		{0xf3, 0x6e},
		{0x6c},
		{0xe6, 0x80},
		{0xed},
		{0x48, 0x89, 0x03},
		{0xf0, 0x01, 0x03},
		{0x0f, 0x01, 0x13},
		{0x0f, 0x01, 0x1b},
		{0x8e, 0xd0},
		{0xcd, 0x80},
		{0x9d},
		{0x0f, 0x05},
		{0x66, 0x0f, 0xa2},
		{0x0f, 0x09},
		{0x0f, 0x01, 0x3b},
		{0xcc},
	};

	for (size_t i = 0; i < len;) {
		if (random64() % 3) {
			p[i++] = (uint8_t)random64();
			continue;
		}
		const uint8_t *piece = pieces[random64() % ARRAY_SIZE(pieces)];

		for (unsigned int n = 0; n < 4 && i < len; n++) {
			if (n && !piece[n])
				break;
			p[i++] = piece[n];
		}
	}
	/* QEMU's emulation loses track of breakpoints over VMRUN, and dies of it at a MOV to DR7. */
	for (size_t i = 1; host_is_tcg() && i < len; i++) {
		if (p[i - 1] == 0x0f && p[i] == 0x23)
			p[i] = 0x0b;
	}
}

void vcpu_init(struct vcpu *v, struct vm *vm, unsigned int id)
{
	struct hv_create_vcpu create = {.size = sizeof(create), .id = id};

	v->vm = vm;
	v->id = id;
	v->fd = (int)CHECK_OK(ioctl(vm->fd, HV_CREATE_VCPU, &create));
	v->run = mmap(NULL, sizeof(struct hv_run), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		test_fail("mmap of the run page: %s", strerror(errno));
	v->run->wanted = HV_REGS_GPR;
}

void vcpu_close(struct vcpu *v)
{
	munmap(v->run, sizeof(struct hv_run));
	close(v->fd);
}

void vcpu_get(struct vcpu *v, uint64_t groups)
{
	if (ioctl(v->fd, HV_GET_REGS, groups))
		test_fail("HV_GET_REGS(%#llx): %s", (unsigned long long)groups, strerror(errno));
}

void vcpu_set(struct vcpu *v, uint64_t groups)
{
	if (ioctl(v->fd, HV_SET_REGS, groups))
		test_fail("HV_SET_REGS(%#llx): %s", (unsigned long long)groups, strerror(errno));
}

#define AR_CODE 0x9b
#define AR_DATA 0x93
#define AR_TSS	0x8b
#define AR_LDT	0x82

/* What a vCPU needs in memory before it runs in long mode. */
static void prepare(struct vm *vm, unsigned int id)
{
	struct guest_cpu *c = &guest_var(vm, guest_cpus[id]);

	make_gdt(vm->ram, id);
	c->self = &guest_cpus[id];
	c->id = id;
}

void vm_load_start16(struct vm *vm, uint64_t gpa, unsigned int cpus, void (*fn)(uint64_t))
{
	vm_load(vm, gpa, flat_start16, (size_t)(flat_start16_end - flat_start16));
	guest_var(vm, guest_start16_main) = fn;
	for (unsigned int id = 0; id < cpus; id++)
		prepare(vm, id);
}

static void set_data_segments(struct hv_sregs *s, struct hv_segment data)
{
	s->ds = s->es = s->fs = s->gs = s->ss = data;
}

static void make_runnable(struct vcpu *v, uint64_t rip)
{
	memset(&v->run->gprs, 0, sizeof(v->run->gprs));
	memset(&v->run->events, 0, sizeof(v->run->events));
	v->run->gprs.rip = rip;
	v->run->gprs.rflags = 2;
	v->run->events.mp_state = HV_MP_RUNNABLE;
}

void vcpu_long_at(struct vcpu *v, uint64_t rip)
{
	static const struct hv_segment code = {
		0, 0xffffffff, AR_CODE | HV_AR_L | HV_AR_G, SEL_CODE64, {0}};
	static const struct hv_segment data = {
		0, 0xffffffff, AR_DATA | HV_AR_DB | HV_AR_G, SEL_DATA, {0}};
	uint64_t xcr0 = hv_caps().xcr0 & 7;
	struct hv_sregs *s = &v->run->sregs;

	vcpu_get(v, HV_REGS_ALL);
	prepare(v->vm, v->id);
	s->cs = code;
	set_data_segments(s, data);
	s->gs.base = (uintptr_t)&guest_cpus[v->id];
	s->tr = (struct hv_segment){GUEST_TSS + 128ULL * v->id, 0x67, AR_TSS, SEL_TSS, {0}};
	s->ldt = (struct hv_segment){0, 0xffff, AR_LDT, 0, {0}};
	s->gdt = (struct hv_dtable){GUEST_GDT + 128ULL * v->id, 127, {0}};
	s->idt = (struct hv_dtable){GUEST_IDT, 4095, {0}};
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s->cr3 = GUEST_PML4;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (xcr0 ? CR4_OSXSAVE : 0);
	s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	if (xcr0)
		s->xcr0 = xcr0;
	make_runnable(v, rip);
	v->run->gprs.r[HV_RSP] = stack_top(v->id);
	vcpu_set(v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
}

void vcpu_long(struct vcpu *v, void (*fn)(uint64_t), uint64_t arg)
{
	vcpu_long_at(v, (uintptr_t)fn);
	/* As after a call: a return address on top of a 16-byte aligned stack. */
	v->run->gprs.r[HV_RSP] -= 8;
	guest_at(v->vm, uint64_t, v->run->gprs.r[HV_RSP]) = (uintptr_t)guest_return;
	v->run->gprs.r[HV_RDI] = arg;
	vcpu_set(v, HV_REGS_GPR);
}

void vcpu_flat32(struct vcpu *v, uint32_t eip)
{
	static const struct hv_segment code = {
		0, 0xffffffff, AR_CODE | HV_AR_DB | HV_AR_G, SEL_CODE32, {0}};
	static const struct hv_segment data = {
		0, 0xffffffff, AR_DATA | HV_AR_DB | HV_AR_G, SEL_DATA, {0}};
	struct hv_sregs *s = &v->run->sregs;

	vcpu_get(v, HV_REGS_ALL);
	make_gdt(v->vm->ram, v->id);
	s->cs = code;
	set_data_segments(s, data);
	s->tr = (struct hv_segment){GUEST_TSS + 128ULL * v->id, 0x67, AR_TSS, SEL_TSS, {0}};
	s->gdt = (struct hv_dtable){GUEST_GDT + 128ULL * v->id, 127, {0}};
	s->idt = (struct hv_dtable){GUEST_IDT, 2047, {0}};
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
	s->cr3 = s->cr4 = s->efer = 0;
	make_runnable(v, eip);
	v->run->gprs.r[HV_RSP] = stack_top(v->id);
	vcpu_set(v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
}

void vcpu_interruptible(struct vcpu *v)
{
	if (!host_is_bochs_amd())
		return;
	vcpu_get(v, HV_REGS_GPR);
	v->run->gprs.rflags |= FLAG_IF;
	vcpu_set(v, HV_REGS_GPR);
}

void vcpu_real(struct vcpu *v, uint16_t segment, uint16_t offset)
{
	struct hv_segment data = {(uint64_t)segment << 4, 0xffff, AR_DATA, segment, {0}};
	struct hv_segment code = data;
	struct hv_sregs *s = &v->run->sregs;

	vcpu_get(v, HV_REGS_ALL);
	code.ar = AR_CODE;
	s->cs = code;
	set_data_segments(s, data);
	s->idt = (struct hv_dtable){0, 0x3ff, {0}};
	s->cr0 = CR0_ET;
	s->cr3 = s->cr4 = s->efer = 0;
	make_runnable(v, offset);
	v->run->gprs.r[HV_RSP] = 0x8000;
	vcpu_set(v, HV_REGS_GPR | HV_REGS_SREGS | HV_REGS_EVENTS);
}

const char *vcpu_describe(const struct vcpu *v)
{
	static __thread char text[256];
	const struct hv_run *r = v->run;
	const union hv_exit *e = &r->exit;

	switch (r->exit_reason) {
	case HV_EXIT_PIO:
		snprintf(text, sizeof(text), "%s of port %#x, %u bytes, data %#x",
			 e->pio.flags & HV_IO_WRITE ? "OUT" : "IN", e->pio.port, e->pio.len,
			 e->pio.data);
		break;
	case HV_EXIT_MMIO:
		snprintf(text, sizeof(text), "MMIO %s at %#llx, %u bytes, data %#llx",
			 e->mmio.flags & HV_IO_WRITE ? "write" : "read",
			 (unsigned long long)e->mmio.gpa, e->mmio.len,
			 (unsigned long long)e->mmio.data);
		break;
	case HV_EXIT_EMULATE:
		snprintf(text, sizeof(text),
			 "EMULATE at %#llx, gpa %#llx, port %#x, %u bytes: %02x %02x %02x %02x",
			 (unsigned long long)r->gprs.rip, (unsigned long long)e->emulate.gpa,
			 e->emulate.port, e->emulate.insn_len, e->emulate.insn[0],
			 e->emulate.insn[1], e->emulate.insn[2], e->emulate.insn[3]);
		break;
	case HV_EXIT_EOI:
		snprintf(text, sizeof(text), "EOI of %#x", e->eoi.vector);
		break;
	case HV_EXIT_ERROR:
		snprintf(text, sizeof(text), "ERROR %u, hw %#llx %#llx %#llx, rip %#llx",
			 e->error.code, (unsigned long long)e->error.hw_reason,
			 (unsigned long long)e->error.hw_info[0],
			 (unsigned long long)e->error.hw_info[1], (unsigned long long)r->gprs.rip);
		break;
	default:
		snprintf(text, sizeof(text), "exit %u at rip %#llx", r->exit_reason,
			 (unsigned long long)r->gprs.rip);
	}
	return text;
}

static void fail_by_guest(struct vcpu *v)
{
	const struct guest_report *r = &guest_var(v->vm, guest_report);

	test_fail("guest, line %u: %s is %#llx, not %#llx", r->line, r->what,
		  (unsigned long long)r->got, (unsigned long long)r->want);
}

static void fail_by_trap(struct vcpu *v)
{
	const struct guest_cpu *c = &guest_var(v->vm, guest_cpus[v->id]);

	test_fail("unexpected exception %u in guest: error %#llx, rip %#llx, cr2 %#llx", c->vector,
		  (unsigned long long)c->error, (unsigned long long)c->rip,
		  (unsigned long long)c->cr2);
}

int vcpu_try_run(struct vcpu *v)
{
	int ret;

	do {
		ret = ioctl(v->fd, HV_RUN, 0);
	} while (ret && errno == EINTR && !v->run->immediate_exit);
	return ret;
}

uint32_t vcpu_run(struct vcpu *v)
{
	const struct hv_run *r = v->run;

	if (vcpu_try_run(v))
		test_fail("HV_RUN: %s (%s)", strerror(errno), vcpu_describe(v));
	if (r->exit_reason == HV_EXIT_PIO && (r->exit.pio.flags & HV_IO_WRITE)) {
		if (r->exit.pio.port == PORT_FAIL)
			fail_by_guest(v);
		if (r->exit.pio.port == PORT_TRAP)
			fail_by_trap(v);
	}
	return r->exit_reason;
}

void vcpu_expect(struct vcpu *v, uint32_t reason)
{
	if (vcpu_run(v) != reason)
		test_fail("exit %u expected, not %s", reason, vcpu_describe(v));
}

void vcpu_out(struct vcpu *v, uint16_t port)
{
	vcpu_run(v);
	if (v->run->exit_reason != HV_EXIT_PIO || !(v->run->exit.pio.flags & HV_IO_WRITE) ||
	    v->run->exit.pio.port != port)
		test_fail("OUT to port %#x expected, not %s", port, vcpu_describe(v));
}

void vcpu_sync(struct vcpu *v, uint32_t n)
{
	vcpu_out(v, PORT_SYNC);
	if (v->run->exit.pio.data != n)
		test_fail("step %u expected, not %s", n, vcpu_describe(v));
}

void vcpu_done(struct vcpu *v)
{
	vcpu_out(v, PORT_DONE);
}

uint64_t vcpu_get_msr(struct vcpu *v, uint32_t index)
{
	struct hv_msr_entry e = {.index = index};
	struct hv_msrs msrs = {.count = 1, .entries = (uintptr_t)&e};

	if (ioctl(v->fd, HV_GET_MSRS, &msrs) != 1)
		test_fail("HV_GET_MSRS of %#x", index);
	return e.value;
}

void vcpu_set_msr(struct vcpu *v, uint32_t index, uint64_t value)
{
	struct hv_msr_entry e = {.index = index, .value = value};
	struct hv_msrs msrs = {.count = 1, .entries = (uintptr_t)&e};

	if (ioctl(v->fd, HV_SET_MSRS, &msrs) != 1)
		test_fail("HV_SET_MSRS of %#x = %#llx", index, (unsigned long long)value);
}

void vcpu_complete(struct vcpu *v)
{
	v->run->immediate_exit = 1;
	CHECK_ERRNO(ioctl(v->fd, HV_RUN, 0), EINTR);
	v->run->immediate_exit = 0;
}

void vcpu_x2apic_on(struct vcpu *v)
{
	vcpu_set_msr(v, G_MSR_APIC_BASE,
		     G_APIC_MMIO | G_APIC_BASE_ENABLE | G_APIC_BASE_EXTD | G_APIC_BASE_BSP);
	vcpu_set_msr(v, G_MSR_X2APIC + G_APIC_SVR / 16, 0x1ff);
}

void vcpu_eoi(struct vcpu *v)
{
	vcpu_set_msr(v, G_MSR_X2APIC + G_APIC_EOI / 16, 0);
}

static void *run_thread(void *arg)
{
	vcpu_done(arg);
	return NULL;
}

pthread_t vcpu_start(struct vcpu *v)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, run_thread, v), 0);
	return thread;
}

void vcpu_join(pthread_t thread)
{
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

void vcpus_run(struct vcpu *v, unsigned int n)
{
	pthread_t thread[GUEST_CPUS];

	CHECK(n <= GUEST_CPUS);
	for (unsigned int i = 0; i < n; i++)
		thread[i] = vcpu_start(&v[i]);
	for (unsigned int i = 0; i < n; i++)
		vcpu_join(thread[i]);
}

static void *runner_thread(void *arg)
{
	struct runner *r = arg;

	r->result = vcpu_try_run(r->v);
	r->error = errno;
	return NULL;
}

void ignore_signal(int number)
{
	(void)number;
}

void runner_start(struct runner *r, struct vcpu *v)
{
	struct sigaction sa = {.sa_handler = ignore_signal};

	r->v = v;
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK_EQ(pthread_create(&r->thread, NULL, runner_thread, r), 0);
}

void runner_stop(struct runner *r)
{
	r->v->run->immediate_exit = 1;
	pthread_kill(r->thread, SIGUSR1);
}

void runner_join(struct runner *r)
{
	CHECK_EQ(pthread_join(r->thread, NULL), 0);
	r->v->run->immediate_exit = 0;
}

void vm_long(struct vm *vm, struct vcpu *v, void (*fn)(uint64_t), uint64_t arg)
{
	vm_init(vm);
	vcpu_init(v, vm, 0);
	vcpu_long(v, fn, arg);
}
