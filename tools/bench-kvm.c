// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The benchmark's machine on /dev/kvm: a split interrupt chip, as monitors
 * choose it, and every CPUID feature that is offered. Called by hv-bench.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

/* Interrupt lines of the IOAPIC in user space; the first one free for others comes after. */
#define IOAPIC_LINES 24
#define BENCH_GSI    IOAPIC_LINES

#define MAX_CPUID    256

static int checked(int ret, const char *what)
{
	if (ret < 0)
		die(errno, "%s", what);
	return ret;
}

static void kvm_create(struct machine *m)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {IOAPIC_LINES}};

	m->sys = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	m->vm = checked(ioctl(m->sys, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	checked(ioctl(m->vm, KVM_ENABLE_CAP, &split), "KVM_CAP_SPLIT_IRQCHIP");
	m->vcpu = checked(ioctl(m->vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
}

static void kvm_destroy(struct machine *m)
{
	close(m->vcpu);
	close(m->vm);
	close(m->sys);
}

static void set_cpuid(struct machine *m)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_CPUID * sizeof(c->entries[0]));

	if (!c)
		die(ENOMEM, "CPUID");
	c->nent = MAX_CPUID;
	checked(ioctl(m->sys, KVM_GET_SUPPORTED_CPUID, c), "KVM_GET_SUPPORTED_CPUID");
	checked(ioctl(m->vcpu, KVM_SET_CPUID2, c), "KVM_SET_CPUID2");
	free(c);
}

static struct kvm_segment segment(const struct bench_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->type,
		.present = 1,
		.s = !s->system,
		.l = s->l,
		.db = s->db,
		.g = s->g,
	};
}

static void kvm_prepare(struct machine *m, const struct bench_state *s)
{
	struct kvm_sregs r;
	int size = checked(ioctl(m->sys, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");

	m->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		die(errno, "the vCPU's run page");
	set_cpuid(m);
	checked(ioctl(m->vcpu, KVM_GET_SREGS, &r), "KVM_GET_SREGS");
	r.cs = segment(&s->code);
	r.ds = r.es = r.fs = r.gs = r.ss = segment(&s->data);
	r.tr = segment(&s->tr);
	r.gdt = (struct kvm_dtable){.base = s->gdt, .limit = s->gdt_limit};
	r.idt = (struct kvm_dtable){.base = s->idt, .limit = s->idt_limit};
	r.cr0 = s->cr0;
	r.cr3 = s->cr3;
	r.cr4 = s->cr4;
	r.efer = s->efer;
	checked(ioctl(m->vcpu, KVM_SET_SREGS, &r), "KVM_SET_SREGS");
}

static void kvm_set_memory(struct machine *m, uint32_t slot, uint64_t gpa, uint64_t len, void *p)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)p,
	};

	checked(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &r), "KVM_SET_USER_MEMORY_REGION");
}

static void kvm_start(struct machine *m, uint64_t rip, uint64_t samples, uint64_t count,
		      uint64_t address)
{
	struct kvm_regs r = {
		.rip = rip,
		.rflags = 0x202,
		.rsp = BENCH_STACK,
		.r8 = samples,
		.r9 = count,
		.rsi = address,
	};

	checked(ioctl(m->vcpu, KVM_SET_REGS, &r), "KVM_SET_REGS");
}

static enum bench_exit kvm_run(struct machine *m)
{
	struct kvm_run *run = m->run;

	while (ioctl(m->vcpu, KVM_RUN, 0))
		if (errno != EINTR)
			die(errno, "KVM_RUN");
	m->port = run->io.port;
	if (run->exit_reason == KVM_EXIT_IO)
		return run->io.direction == KVM_EXIT_IO_OUT ? EXIT_OUT : EXIT_IN;
	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.is_write)
		die(0, "KVM_RUN: unexpected exit %u", run->exit_reason);
	run->mmio.data[0] = 1;
	return EXIT_MMIO_READ;
}

static void kvm_bind_port(struct machine *m, int fd, uint16_t port)
{
	struct kvm_ioeventfd e = {
		.addr = port,
		.len = 1,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_PIO,
	};

	checked(ioctl(m->vm, KVM_IOEVENTFD, &e), "KVM_IOEVENTFD");
}

static void kvm_bind_irq(struct machine *m, int fd)
{
	struct kvm_irqfd i = {.fd = (uint32_t)fd, .gsi = BENCH_GSI};
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + sizeof(r->entries[0]));

	if (!r)
		die(ENOMEM, "KVM_SET_GSI_ROUTING");
	r->nr = 1;
	r->entries[0].gsi = BENCH_GSI;
	r->entries[0].type = KVM_IRQ_ROUTING_MSI;
	r->entries[0].u.msi.address_lo = BENCH_MSI_ADDRESS;
	r->entries[0].u.msi.data = BENCH_MSI_DATA;
	checked(ioctl(m->vm, KVM_SET_GSI_ROUTING, r), "KVM_SET_GSI_ROUTING");
	free(r);
	checked(ioctl(m->vm, KVM_IRQFD, &i), "KVM_IRQFD");
}

const struct bench_ops bench_kvm = {
	.create = kvm_create,
	.destroy = kvm_destroy,
	.prepare = kvm_prepare,
	.set_memory = kvm_set_memory,
	.start = kvm_start,
	.run = kvm_run,
	.bind_port = kvm_bind_port,
	.bind_irq = kvm_bind_irq,
};
