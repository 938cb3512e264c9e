// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The benchmark's machine on /dev/hv. Called by hv-bench.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "include/uapi/hv.h"

static int checked(int ret, const char *what)
{
	if (ret < 0)
		die(errno, "%s", what);
	return ret;
}

static void hv_create(struct machine *m)
{
	struct hv_create_vm vm = {.size = sizeof(vm)};
	struct hv_create_vcpu vcpu = {.size = sizeof(vcpu)};

	m->sys = checked(open("/dev/hv", O_RDWR | O_CLOEXEC), "/dev/hv");
	m->vm = checked(ioctl(m->sys, HV_CREATE_VM, &vm), "HV_CREATE_VM");
	m->vcpu = checked(ioctl(m->vm, HV_CREATE_VCPU, &vcpu), "HV_CREATE_VCPU");
}

static void hv_destroy(struct machine *m)
{
	close(m->vcpu);
	close(m->vm);
	close(m->sys);
}

static struct hv_segment segment(const struct bench_segment *s)
{
	return (struct hv_segment){
		.base = s->base,
		.limit = s->limit,
		.ar = s->type | HV_AR_P | (s->system ? 0 : HV_AR_S) | (s->l ? HV_AR_L : 0) |
		      (s->db ? HV_AR_DB : 0) | (s->g ? HV_AR_G : 0),
		.selector = s->selector,
	};
}

static void hv_prepare(struct machine *m, const struct bench_state *s)
{
	struct hv_sregs *r;
	struct hv_run *run;

	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (run == MAP_FAILED)
		die(errno, "the vCPU's run page");
	m->run = run;
	checked(ioctl(m->vcpu, HV_GET_REGS, HV_REGS_ALL), "HV_GET_REGS");
	r = &run->sregs;
	r->cs = segment(&s->code);
	r->ds = r->es = r->fs = r->gs = r->ss = segment(&s->data);
	r->tr = segment(&s->tr);
	r->gdt = (struct hv_dtable){.base = s->gdt, .limit = s->gdt_limit};
	r->idt = (struct hv_dtable){.base = s->idt, .limit = s->idt_limit};
	r->cr0 = s->cr0;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->efer = s->efer;
	checked(ioctl(m->vcpu, HV_SET_REGS, HV_REGS_SREGS), "HV_SET_REGS");
}

static void hv_set_memory(struct machine *m, uint32_t slot, uint64_t gpa, uint64_t len, void *p)
{
	struct hv_slot s = {
		.size = sizeof(s),
		.slot = slot,
		.gpa = gpa,
		.len = len,
		.hva = (uintptr_t)p,
	};

	checked(ioctl(m->vm, HV_SET_SLOT, &s), "HV_SET_SLOT");
}

static void hv_start(struct machine *m, uint64_t rip, uint64_t samples, uint64_t count,
		     uint64_t address)
{
	struct hv_run *run = m->run;
	struct hv_gprs *g = &run->gprs;

	*g = (struct hv_gprs){.rip = rip, .rflags = 0x202};
	g->r[HV_RSP] = BENCH_STACK;
	g->r[HV_R8] = samples;
	g->r[HV_R9] = count;
	g->r[HV_RSI] = address;
	run->dirty = HV_REGS_GPR;
}

static enum bench_exit hv_run(struct machine *m)
{
	struct hv_run *run = m->run;

	while (ioctl(m->vcpu, HV_RUN, 0))
		if (errno != EINTR)
			die(errno, "HV_RUN");
	m->port = run->exit.pio.port;
	if (run->exit_reason == HV_EXIT_PIO)
		return run->exit.pio.flags & HV_IO_WRITE ? EXIT_OUT : EXIT_IN;
	if (run->exit_reason != HV_EXIT_MMIO || run->exit.mmio.flags & HV_IO_WRITE)
		die(0, "HV_RUN: unexpected exit %u", run->exit_reason);
	run->exit.mmio.data = 1;
	return EXIT_MMIO_READ;
}

static void hv_bind_port(struct machine *m, int fd, uint16_t port)
{
	struct hv_ioeventfd e = {
		.size = sizeof(e),
		.flags = HV_IOEVENTFD_PIO,
		.fd = fd,
		.len = 1,
		.addr = port,
	};

	checked(ioctl(m->vm, HV_IOEVENTFD, &e), "HV_IOEVENTFD");
}

static void hv_bind_irq(struct machine *m, int fd)
{
	struct hv_irqfd i = {
		.size = sizeof(i),
		.fd = fd,
		.data = BENCH_MSI_DATA,
		.addr = BENCH_MSI_ADDRESS,
	};

	checked(ioctl(m->vm, HV_IRQFD, &i), "HV_IRQFD");
}

const struct bench_ops bench_hv = {
	.create = hv_create,
	.destroy = hv_destroy,
	.prepare = hv_prepare,
	.set_memory = hv_set_memory,
	.start = hv_start,
	.run = hv_run,
	.bind_port = hv_bind_port,
	.bind_irq = hv_bind_irq,
};
