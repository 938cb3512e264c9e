// SPDX-License-Identifier: GPL-2.0-or-later
/* From exits and registers to sentences. Called by vcpu.c when a machine ends badly. */
#include <stdint.h>
#include <stdio.h>

#include "machine/crash.h"

/* HV_FAULT_*: the one bit that says most. */
static const char *access_name(uint64_t flags)
{
	if (flags & HV_FAULT_EVENT)
		return "an interrupt or exception was being delivered through";
	if (flags & HV_FAULT_WALK)
		return "page tables were looked for at";
	if (flags & HV_FAULT_FETCH)
		return "an instruction was fetched from";
	return flags & HV_FAULT_WRITE ? "something was written to" : "something was read from";
}

/* Exit reason of VT-x: the entry failed for the guest's state (Intel SDM Vol. 3, 26.8). */
#define VMX_GUEST_STATE_REFUSED 0x80000021

/* Fields of the guest state, by their encodings: Intel SDM Vol. 3, appendix B. */
static void vmcs_field_name(uint64_t field, char *name, size_t size)
{
	static const char *const segments[] = {
		"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR", "GDTR", "IDTR",
	};
	static const struct {
		uint16_t first;
		const char *part;
	} parts[] = {
		{0x0800, "selector"},
		{0x4800, "limit"},
		{0x4814, "access rights"},
		{0x6806, "base"},
	};
	static const struct {
		uint16_t field;
		const char *name;
	} others[] = {
		{0x2806, "EFER"},	  {0x280a, "PDPTE0"}, {0x280c, "PDPTE1"},
		{0x280e, "PDPTE2"},	  {0x2810, "PDPTE3"}, {0x6800, "CR0"},
		{0x6802, "CR3"},	  {0x6804, "CR4"},    {0x681a, "DR7"},
		{0x681e, "RIP"},	  {0x6820, "RFLAGS"}, {0x6824, "SYSENTER_ESP"},
		{0x6826, "SYSENTER_EIP"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].field == field) {
			snprintf(name, size, "%s", others[i].name);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		/* Only segments, not the two tables, have selectors and access rights. */
		uint64_t count = parts[i].first == 0x4800 || parts[i].first == 0x6806 ? 10 : 8;
		uint64_t n = (field - parts[i].first) / 2;

		if (field >= parts[i].first && n < count && !(field & 1)) {
			snprintf(name, size, "%s of %s", parts[i].part, segments[n]);
			return;
		}
	}
	snprintf(name, size, "field %#llx", (unsigned long long)field);
}

bool crash_explain(const union hv_exit *exit, char *what, size_t size)
{
	unsigned long long reason = exit->error.hw_reason;
	unsigned long long info0 = exit->error.hw_info[0], info1 = exit->error.hw_info[1];

	switch (exit->error.code) {
	case HV_ERROR_ENTRY:
		if (reason == VMX_GUEST_STATE_REFUSED && info0) {
			char name[40];

			vmcs_field_name(info0, name, sizeof(name));
			snprintf(what, size,
				 "the processor refused the guest's state: %s is %#llx (VMCS "
				 "field %#llx)",
				 name, info1, info0);
			return false;
		}
		snprintf(what, size,
			 "the processor refused the guest's state (hardware exit %#llx, %#llx, "
			 "%#llx; 'dmesg' may say more)",
			 reason, info0, info1);
		return false;
	case HV_ERROR_EXIT:
		snprintf(what, size,
			 "an exit that the hv module does not know (hardware exit %#llx, %#llx, "
			 "%#llx)",
			 reason, info0, info1);
		return true;
	case HV_ERROR_FETCH:
		if (reason & (HV_FAULT_EVENT | HV_FAULT_WALK | HV_FAULT_FETCH))
			snprintf(what, size, "%s address %#llx, where there is no memory",
				 access_name(reason), info0);
		else
			snprintf(what, size,
				 "the instruction at %#llx needs emulation, and is not in memory",
				 info1);
		return false;
	case HV_ERROR_MEMORY:
		snprintf(what, size,
			 "the host has no memory behind the guest's address %#llx (%s it); is it "
			 "out of memory? 'dmesg' may say more",
			 info0, access_name(reason));
		return true;
	default:
		snprintf(what, size,
			 "error %u, which this vmm does not know (hardware exit %#llx, %#llx, "
			 "%#llx)",
			 exit->error.code, reason, info0, info1);
		return false;
	}
}

void crash_registers(const struct hv_run *run, char *text, size_t size)
{
	const struct hv_sregs *s = &run->sregs;

	snprintf(text, size,
		 "cs:rip %#x:%#llx, rsp %#llx, rflags %#llx, cr0 %#llx, cr2 %#llx, cr3 %#llx, cr4 "
		 "%#llx, efer %#llx",
		 s->cs.selector, run->gprs.rip, run->gprs.r[HV_RSP], run->gprs.rflags, s->cr0,
		 s->cr2, s->cr3, s->cr4, s->efer);
}

void crash_segments(const struct hv_sregs *sregs, char *text, size_t size)
{
	const struct {
		const char *name;
		const struct hv_segment *segment;
	} segments[] = {
		{"cs", &sregs->cs}, {"ss", &sregs->ss}, {"ds", &sregs->ds}, {"es", &sregs->es},
		{"fs", &sregs->fs}, {"gs", &sregs->gs}, {"tr", &sregs->tr}, {"ldt", &sregs->ldt},
	};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]) && len < size; i++) {
		const struct hv_segment *s = segments[i].segment;

		len += (size_t)snprintf(text + len, size - len, "%s%s %x:%llx+%x/%x", i ? ", " : "",
					segments[i].name, s->selector, s->base, s->limit, s->ar);
	}
}
