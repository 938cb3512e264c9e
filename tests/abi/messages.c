// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts from outside on a real vCPU: MSIs and irqfds, whom they reach, and the
 * exit at the EOI. Run by "make check" in the test host.
 */
#define _GNU_SOURCE
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/lib/harness.h"
#include "tests/lib/vm.h"

static GUEST void g_wait_for(uint64_t vectors)
{
	struct guest_cpu *c = guest_cpu();

	guest_apic_enable(true);
	guest_sync(1);
	for (; vectors; vectors >>= 8) {
		guest_wait();
		G_CHECK_EQ(c->interrupt, vectors & 0xff);
		guest_sync((uint32_t)vectors & 0xff);
	}
}

static void hlt_msi(void)
{
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_wait_for, 0x6261);
	vcpu_sync(&v, 1);
	/* Pending before the HLT. */
	CHECK_EQ(vm_msi(&vm, 0, 0x61), 1);
	vcpu_sync(&v, 0x61);
	CHECK_EQ(vm_msi(&vm, 0, 0x62), 1);
	vcpu_sync(&v, 0x62);
	vcpu_done(&v);
	/* To nobody. */
	CHECK_EQ(vm_msi(&vm, 9, 0x62), 0);
}

static GUEST void g_sleep(uint64_t n)
{
	struct guest_cpu *c = guest_cpu();

	guest_apic_enable(true);
	guest_sync(1);
	while (c->count[0x61] < n)
		guest_wait();
}

/* A vCPU that really sleeps is woken; many times. */
static void hlt_msi_asleep(void)
{
	struct vm vm;
	struct vcpu v;
	pthread_t thread;

	vm_long(&vm, &v, g_sleep, 20);
	vcpu_sync(&v, 1);
	thread = vcpu_start(&v);
	for (unsigned int i = 1; i <= 20; i++) {
		sleep_ns(5 * MSEC);
		CHECK_EQ(vm_msi(&vm, 0, 0x61), 1);
	}
	/* Coalesced ones are lost, as on hardware: send until it has had its twenty. */
	while (guest_var(&vm, guest_cpus[0]).count[0x61] < 20) {
		sleep_ns(5 * MSEC);
		vm_msi(&vm, 0, 0x61);
	}
	vcpu_join(thread);
}

static void irqfd(struct vm *vm, int fd, uint32_t flags, uint8_t vector)
{
	struct hv_irqfd i = {
		.size = sizeof(i), .flags = flags, .fd = fd, .data = vector, .addr = 0xfee00000};

	CHECK_OK(ioctl(vm->fd, HV_IRQFD, &i));
}

static void event_signal(int fd)
{
	CHECK_OK(eventfd_write(fd, 1));
}

static void hlt_irqfd(void)
{
	struct hv_irqfd gone = {.size = sizeof(gone), .flags = HV_IRQFD_DEASSIGN};
	struct vm vm;
	struct vcpu v;
	int fd = eventfd(0, EFD_NONBLOCK), second = eventfd(0, EFD_NONBLOCK);
	eventfd_t value;

	vm_long(&vm, &v, g_wait_for, 0x6564636261);
	vcpu_sync(&v, 1);
	irqfd(&vm, fd, 0, 0x61);
	irqfd(&vm, second, 0, 0x63);
	event_signal(fd);
	vcpu_sync(&v, 0x61);
	/* Bound again: another message. */
	irqfd(&vm, fd, 0, 0x62);
	event_signal(fd);
	vcpu_sync(&v, 0x62);
	event_signal(second);
	vcpu_sync(&v, 0x63);
	/* Unbound: the event stays in the eventfd; a later binding delivers it. */
	irqfd(&vm, fd, HV_IRQFD_DEASSIGN, 0);
	gone.fd = fd;
	CHECK_ERRNO(ioctl(vm.fd, HV_IRQFD, &gone), ENOENT);
	eventfd_read(fd, &value);
	event_signal(fd);
	irqfd(&vm, fd, 0, 0x64);
	vcpu_sync(&v, 0x64);
	/* Its last descriptor closed: the binding is gone, the VM lives. */
	close(fd);
	event_signal(second);
	irqfd(&vm, second, 0, 0x65);
	CHECK_ERRNO(ioctl(vm.fd, HV_IRQFD, &gone), EBADF);
	CHECK_EQ(vm_msi(&vm, 0, 0x65), 1);
}

static GUEST void g_spin(uint64_t n)
{
	struct guest_cpu *c = guest_cpu();

	guest_apic_enable(true);
	guest_sync(1);
	guest_sti();
	while (c->count[0x61] < n)
		guest_pause();
}

/* Into a guest that never exits by itself. */
static void irqfd_spinning(void)
{
	struct vm vm;
	struct vcpu v;
	pthread_t thread;
	int fd = eventfd(0, 0);

	vm_long(&vm, &v, g_spin, 10);
	vcpu_sync(&v, 1);
	irqfd(&vm, fd, 0, 0x61);
	thread = vcpu_start(&v);
	for (uint32_t i = 1; i <= 10; i++) {
		event_signal(fd);
		while (guest_var(&vm, guest_cpus[0]).count[0x61] < i)
			sleep_ns(MSEC / 10);
	}
	vcpu_join(thread);
}

static GUEST void g_level(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_sync(1);
	guest_wait();
	guest_sync(2);
	guest_wait();
	guest_sync(3);
}

static void eoi_exit(void)
{
	struct hv_msi msi = {.addr = 0xfee00000, .data = 0xc061};
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_level, 0);
	vcpu_sync(&v, 1);
	CHECK_EQ(CHECK_OK(ioctl(vm.fd, HV_SIGNAL_MSI, &msi)), 1);
	vcpu_expect(&v, HV_EXIT_EOI);
	CHECK_EQ(v.run->exit.eoi.vector, 0x61);
	vcpu_sync(&v, 2);
	/* An edge on the same vector makes no such exit. */
	CHECK_EQ(vm_msi(&vm, 0, 0x61), 1);
	vcpu_sync(&v, 3);
	vcpu_done(&v);
}

static GUEST void g_enable_and_done(uint64_t x2apic)
{
	guest_apic_enable(x2apic);
}

static void msi_destinations(void)
{
	/* Physical, broadcast, logical (xAPIC flat needs an LDR: none accept), software-disabled. */
	struct hv_msi msi = {.addr = 0xfeeff000, .data = 0x61};
	struct vm vm;
	struct vcpu v[3];

	vm_init(&vm);
	for (unsigned int i = 0; i < 3; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_enable_and_done, false);
	}
	CHECK_EQ(vm_msi(&vm, 0, 0x61), 0);
	vcpu_done(&v[0]);
	vcpu_done(&v[1]);
	CHECK_EQ(vm_msi(&vm, 0, 0x61), 1);
	CHECK_EQ(vm_msi(&vm, 2, 0x61), 0);
	CHECK_EQ(CHECK_OK(ioctl(vm.fd, HV_SIGNAL_MSI, &msi)), 2);
	/* A vector below 16 is not one. */
	CHECK_EQ(vm_msi(&vm, 0, 5), 0);
}

static void set_software_enabled(struct vcpu *v, bool on)
{
	struct hv_lapic l;

	CHECK_OK(ioctl(v->fd, HV_GET_LAPIC, &l));
	*(uint32_t *)&l.regs[G_APIC_SVR] = on ? 0x1ff : 0xff;
	*(uint32_t *)&l.regs[G_APIC_LDR] = 1u << (24 + v->id);
	CHECK_OK(ioctl(v->fd, HV_SET_LAPIC, &l));
}

static bool in_irr(struct vcpu *v, uint8_t vector)
{
	struct hv_lapic l;

	CHECK_OK(ioctl(v->fd, HV_GET_LAPIC, &l));
	return *(uint32_t *)&l.regs[G_APIC_IRR + vector / 32 * 16] >> vector % 32 & 1;
}

/* ---- The page, for the guest ---- */

static uint32_t apic_page_read(struct vcpu *v, uint32_t offset)
{
	struct hv_apic_register reg = {.offset = offset};

	CHECK_OK(ioctl(v->fd, HV_READ_APIC, &reg));
	return reg.value;
}

static int apic_page_write(struct vcpu *v, uint32_t offset, uint32_t value)
{
	struct hv_apic_register reg = {.offset = offset, .value = value};

	return CHECK_OK(ioctl(v->fd, HV_WRITE_APIC, &reg));
}

static void set_in_service(struct vcpu *v, uint8_t vector, bool level)
{
	unsigned int word = vector / 32 * 16;
	struct hv_lapic l;

	CHECK_OK(ioctl(v->fd, HV_GET_LAPIC, &l));
	*(uint32_t *)&l.regs[G_APIC_ISR + word] |= 1u << vector % 32;
	if (level)
		*(uint32_t *)&l.regs[G_APIC_TMR + word] |= 1u << vector % 32;
	CHECK_OK(ioctl(v->fd, HV_SET_LAPIC, &l));
}

static void apic_page(void)
{
	struct vcpu v[2];
	struct vm vm;

	vm_init(&vm);
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_init(&v[i], &vm, i);
		vcpu_long(&v[i], g_enable_and_done, false);
		vcpu_done(&v[i]);
	}
	CHECK_EQ(apic_page_read(&v[0], G_APIC_SVR) & 0x100, 0x100);
	CHECK_EQ(apic_page_read(&v[1], G_APIC_ID), 1u << 24);

	/* The task priority is CR8's. */
	CHECK_EQ(apic_page_write(&v[0], G_APIC_TPR, 0x7f), 0);
	vcpu_get(&v[0], HV_REGS_SREGS);
	CHECK_EQ(v[0].run->sregs.cr8, 7);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_TPR, 0), 0);

	/* A message is on its way at once. */
	CHECK_EQ(apic_page_write(&v[0], G_APIC_ICR2, 1u << 24), 0);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_ICR, 0x4071), 0);
	CHECK(in_irr(&v[1], 0x71));
	CHECK(!in_irr(&v[0], 0x71));

	/* A timer counts. */
	CHECK_EQ(apic_page_write(&v[0], G_APIC_TIMER_INIT, 0xffffffff), 0);
	CHECK(apic_page_read(&v[0], G_APIC_TIMER_CURRENT) > 0);

	/* An error shows when the ESR was written. */
	CHECK_EQ(apic_page_write(&v[0], 0x10, 1), 0);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_ESR, 0), 0);
	CHECK_EQ(apic_page_read(&v[0], G_APIC_ESR), 0x80);

	/* The end of a level-triggered interrupt is told, that of an edge is not. */
	set_in_service(&v[0], 0x62, true);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_EOI, 0), 0x62);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_EOI, 0), 0);
	set_in_service(&v[0], 0x63, false);
	CHECK_EQ(apic_page_write(&v[0], G_APIC_EOI, 0), 0);
	CHECK_EQ(apic_page_read(&v[0], G_APIC_ISR + 0x30), 0);
}

/* ---- Lowest priority ---- */

/* To all three, by their logical ids: one of those takes it that software has enabled. */
static void msi_lowest(void)
{
	struct hv_msi msi = {.addr = 0xfee07004};
	unsigned int took[3];
	struct vcpu v[3];
	struct vm vm;

	vm_init(&vm);
	for (unsigned int i = 0; i < 3; i++)
		vcpu_init(&v[i], &vm, i);
	/* None, then 1, and so on. */
	for (unsigned int set = 0; set < 8; set++) {
		memset(took, 0, sizeof(took));
		for (unsigned int i = 0; i < 3; i++)
			set_software_enabled(&v[i], set >> i & 1);
		for (unsigned int n = 0; n < 6; n++) {
			unsigned int accepted = 0;

			msi.data = 0x100 | (0x20 + set * 6 + n);
			CHECK_EQ(CHECK_OK(ioctl(vm.fd, HV_SIGNAL_MSI, &msi)), set != 0);
			for (unsigned int i = 0; i < 3; i++) {
				if (!in_irr(&v[i], (uint8_t)msi.data))
					continue;
				CHECK(set >> i & 1);
				accepted++;
				took[i]++;
			}
			CHECK_EQ(accepted, set != 0);
		}
		for (unsigned int i = 0; i < 3; i++)
			CHECK_EQ(took[i],
				 set >> i & 1 ? 6 / (unsigned int)__builtin_popcount(set) : 0);
	}
}

/* No message of any kind reaches an APIC that its base register disables, whatever its destination says. */
static void msi_disabled(void)
{
	static const uint32_t addr[] = {0xfee00000, 0xfeeff000}, data[] = {0x61, 0x400, 0x4500};
	struct vm vm;
	struct vcpu v;

	vm_init(&vm);
	vcpu_init(&v, &vm, 0);
	for (unsigned int on = 0; on < 2; on++) {
		vcpu_get(&v, HV_REGS_SREGS);
		v.run->sregs.apic_base = G_APIC_MMIO | (on ? G_APIC_BASE_ENABLE : 0);
		vcpu_set(&v, HV_REGS_SREGS);
		if (on)
			set_software_enabled(&v, true);
		for (unsigned int a = 0; a < ARRAY_SIZE(addr); a++) {
			for (unsigned int d = 0; d < ARRAY_SIZE(data); d++) {
				struct hv_msi msi = {.addr = addr[a], .data = data[d]};

				CHECK_EQ(CHECK_OK(ioctl(vm.fd, HV_SIGNAL_MSI, &msi)), on);
			}
		}
	}
}

/* A vector that is none raises the error interrupt, which wakes the vCPU. */
static GUEST void g_bad_vector(uint64_t arg)
{
	(void)arg;
	guest_apic_enable(true);
	guest_apic_write(G_APIC_LVT_ERROR, 0x71);
	guest_sync(1);
	guest_wait();
	G_CHECK_EQ(guest_cpu()->count[0x71], 1);
	guest_apic_write(G_APIC_ESR, 0);
	G_CHECK_EQ(guest_apic_read(G_APIC_ESR), 0x40);
}

static void msi_bad_vector(void)
{
	pthread_t thread;
	struct vm vm;
	struct vcpu v;

	vm_long(&vm, &v, g_bad_vector, 0);
	vcpu_sync(&v, 1);
	thread = vcpu_start(&v);
	sleep_ns(20 * MSEC);
	CHECK_EQ(vm_msi(&vm, 0, 5), 0);
	vcpu_join(thread);
}

static const struct test tests[] = {
	{"hlt_msi", hlt_msi, 0},
	{"hlt_msi_asleep", hlt_msi_asleep, 0},
	{"hlt_irqfd", hlt_irqfd, 0},
	{"irqfd_spinning", irqfd_spinning, 0},
	{"eoi_exit", eoi_exit, 0},
	{"apic_page", apic_page, 0},
	{"msi_destinations", msi_destinations, 0},
	{"msi_lowest", msi_lowest, 0},
	{"msi_disabled", msi_disabled, 0},
	{"msi_bad_vector", msi_bad_vector, 0},
};

int main(int argc, char **argv)
{
	return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
