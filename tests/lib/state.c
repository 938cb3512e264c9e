// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "state.h"

/* What this host has. */
static uint32_t msr_list[HV_MAX_MSRS], msr_count, xsave_size;

static void ask_host(void)
{
	struct hv_msr_list list = {.count = HV_MAX_MSRS, .indices = (uintptr_t)msr_list};
	int fd;

	if (msr_count)
		return;
	fd = hv_open();
	CHECK_OK(ioctl(fd, HV_GET_MSR_LIST, &list));
	close(fd);
	xsave_size = hv_caps().xsave_size;
	CHECK(xsave_size <= STATE_XSAVE);
	msr_count = list.count;
}

void vcpu_save(struct vcpu *v, struct vcpu_state *s)
{
	struct hv_msrs msrs = {.entries = (uintptr_t)s->msrs};
	struct hv_xsave xsave = {.buffer = (uintptr_t)s->xsave};

	ask_host();
	vcpu_get(v, HV_REGS_ALL);
	s->gprs = v->run->gprs;
	s->sregs = v->run->sregs;
	s->dregs = v->run->dregs;
	s->events = v->run->events;
	for (uint32_t i = 0; i < msr_count; i++)
		s->msrs[i] = (struct hv_msr_entry){.index = msr_list[i]};
	msrs.count = msr_count;
	CHECK_EQ(ioctl(v->fd, HV_GET_MSRS, &msrs), msr_count);
	xsave.len = xsave_size;
	CHECK_OK(ioctl(v->fd, HV_GET_XSAVE, &xsave));
	CHECK_OK(ioctl(v->fd, HV_GET_LAPIC, &s->lapic));
}

void vcpu_load(struct vcpu *v, const struct vcpu_state *s)
{
	struct hv_msrs msrs = {.entries = (uintptr_t)s->msrs};
	struct hv_xsave xsave = {.buffer = (uintptr_t)s->xsave};

	ask_host();
	v->run->gprs = s->gprs;
	v->run->sregs = s->sregs;
	v->run->dregs = s->dregs;
	v->run->events = s->events;
	vcpu_set(v, HV_REGS_ALL);
	msrs.count = msr_count;
	CHECK_EQ(ioctl(v->fd, HV_SET_MSRS, &msrs), msr_count);
	xsave.len = xsave_size;
	CHECK_OK(ioctl(v->fd, HV_SET_XSAVE, &xsave));
	CHECK_OK(ioctl(v->fd, HV_SET_LAPIC, &s->lapic));
}

static void same(const struct vcpu *v, const char *what, const void *now, const void *then,
		 size_t size)
{
	const uint8_t *a = now, *b = then;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i])
			test_fail("vCPU %u: %s, byte %zu: %#x was loaded, %#x is there", v->id,
				  what, i, b[i], a[i]);
	}
}

void vcpu_check_loaded(struct vcpu *v, const struct vcpu_state *s)
{
	static struct vcpu_state now;
	static const uint32_t moving[] = {G_APIC_TIMER_CURRENT, G_APIC_IRR + 0x20, G_APIC_IRR};

	memset(&now, 0, sizeof(now));
	vcpu_save(v, &now);
	same(v, "gprs", &now.gprs, &s->gprs, sizeof(now.gprs));
	same(v, "sregs", &now.sregs, &s->sregs, sizeof(now.sregs));
	same(v, "dregs", &now.dregs, &s->dregs, sizeof(now.dregs));
	same(v, "events", &now.events, &s->events, sizeof(now.events));
	for (uint32_t i = 0; i < msr_count; i++)
		CHECK_EQ(now.msrs[i].value, s->msrs[i].value);
	same(v, "xsave", now.xsave, s->xsave, xsave_size);
	for (unsigned int i = 0; i < ARRAY_SIZE(moving); i++)
		memcpy(&now.lapic.regs[moving[i]], &s->lapic.regs[moving[i]], 4);
	same(v, "lapic", now.lapic.regs, s->lapic.regs, sizeof(now.lapic.regs));
	CHECK_EQ(now.lapic.errors, s->lapic.errors);
}
