// SPDX-License-Identifier: GPL-2.0
/*
 * MSRs of class BACKEND on VT-x. Some are fields of the VMCS; the others stay in
 * the processor and are switched here, around a stay in the inner loop: the host
 * uses them only on the way from and to user space.
 */
#include <linux/slab.h>
#include <asm/msr.h>

#include "vmx.h"

/* One bit per MSR, four KiB/4 each: reads low, reads high, writes low, writes high. */
static u8 *bitmap;

#define BITMAP_HIGH  0x400
#define BITMAP_WRITE 0x800

/* The guest's own, without an exit, both ways: Intel SDM Vol. 3, 24.6.9 */
static const u32 passed[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_FS_BASE,	      MSR_GS_BASE,	     MSR_KERNEL_GS_BASE,
};

static void pass(u32 msr)
{
	unsigned int at = (msr >= 0xc0000000 ? BITMAP_HIGH : 0) + (msr & 0x1fff) / 8;

	bitmap[at] &= ~BIT(msr & 7);
	bitmap[at + BITMAP_WRITE] &= ~BIT(msr & 7);
}

int vmx_msr_bitmap_create(void)
{
	unsigned int i;

	bitmap = (void *)__get_free_page(GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	memset(bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		pass(passed[i]);
	return 0;
}

void vmx_msr_bitmap_free(void)
{
	free_page((unsigned long)bitmap);
	bitmap = NULL;
}

u64 vmx_msr_bitmap_pa(void)
{
	return __pa(bitmap);
}

/* ------------------------------------------------------------------------- */
/* Switching                                                                  */

static const u32 syscall_index[SYSCALL_COUNT] = {
	[SYSCALL_STAR] = MSR_STAR,
	[SYSCALL_LSTAR] = MSR_LSTAR,
	[SYSCALL_CSTAR] = MSR_CSTAR,
	[SYSCALL_MASK] = MSR_SYSCALL_MASK,
};

/* From one set to the other; a register that is the same in both costs nothing. */
static void switch_syscall(const u64 *from, const u64 *to)
{
	unsigned int i;

	for (i = 0; i < SYSCALL_COUNT; i++)
		if (from[i] != to[i])
			wrmsrl(syscall_index[i], to[i]);
}

/* Without EFER.SCE there is no SYSCALL, and the guest's values are never looked at. */
void vmx_msr_efer_changed(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (!(v->efer & EFER_SCE) || x->syscall_live || !x->in_loop)
		return;
	switch_syscall(this_cpu_ptr(&vmx_cpu)->host_syscall, x->syscall);
	x->syscall_live = true;
}

void vmx_msr_load(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	vmx_msr_efer_changed(v);
	rdmsrl(MSR_KERNEL_GS_BASE, x->host_kernel_gs_base);
	wrmsrl(MSR_KERNEL_GS_BASE, x->kernel_gs_base);
}

void vmx_msr_put(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	rdmsrl(MSR_KERNEL_GS_BASE, x->kernel_gs_base);
	wrmsrl(MSR_KERNEL_GS_BASE, x->host_kernel_gs_base);
	if (x->syscall_live)
		switch_syscall(x->syscall, this_cpu_ptr(&vmx_cpu)->host_syscall);
	x->syscall_live = false;
}

/* ------------------------------------------------------------------------- */
/* Access                                                                     */

static u64 read_field(struct hv_vcpu *v, enum vmcs_field field)
{
	u64 value = 0;

	if (vmx_borrow(v)) {
		value = vmcs_read(field);
		vmx_return(v);
	}
	return value;
}

static void write_field(struct hv_vcpu *v, enum vmcs_field field, u64 value)
{
	if (vmx_borrow(v)) {
		vmcs_write(field, value);
		vmx_return(v);
	}
}

/* The field that holds an MSR, or 0. */
static enum vmcs_field msr_field(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return VMCS_GUEST_FS_BASE;
	case MSR_GS_BASE:
		return VMCS_GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	default:
		return 0;
	}
}

/* Where an MSR that has no field is kept, or NULL. */
static u64 *msr_slot(struct vmx_vcpu *x, u32 index)
{
	switch (index) {
	case MSR_STAR:
		return &x->syscall[SYSCALL_STAR];
	case MSR_LSTAR:
		return &x->syscall[SYSCALL_LSTAR];
	case MSR_CSTAR:
		return &x->syscall[SYSCALL_CSTAR];
	case MSR_SYSCALL_MASK:
		return &x->syscall[SYSCALL_MASK];
	case MSR_KERNEL_GS_BASE:
		return &x->kernel_gs_base;
	case MSR_IA32_CR_PAT:
		return &x->pat;
	default:
		return NULL;
	}
}

/* KERNEL_GS_BASE is asked for here only outside the loop: inside, the guest has it itself. */
u64 vmx_get_msr(struct hv_vcpu *v, u32 index)
{
	enum vmcs_field field = msr_field(index);
	u64 *slot = msr_slot(to_vmx(v), index);

	if (field)
		return read_field(v, field);
	return slot ? *slot : 0;
}

void vmx_set_msr(struct hv_vcpu *v, u32 index, u64 value)
{
	struct vmx_vcpu *x = to_vmx(v);
	enum vmcs_field field = msr_field(index);
	u64 *slot = msr_slot(x, index);

	if (field) {
		write_field(v, field, value);
		return;
	}
	if (!slot)
		return;
	*slot = value;
	if (x->syscall_live && slot >= x->syscall && slot < x->syscall + SYSCALL_COUNT)
		wrmsrl(index, value);
}
