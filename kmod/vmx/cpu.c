// SPDX-License-Identifier: GPL-2.0
/*
 * VMX operation of the host's CPUs, and which VMCS each of them works on: Intel
 * SDM Vol. 3, 23.7, 24.1 and 24.11.
 *
 * A CPU may keep a VMCS in a cache of its own until it is told to VMCLEAR it. So
 * each VMCS is active on one CPU at most; it is cleared there before another CPU
 * takes it, and before the CPU leaves VMX operation.
 *
 * VMX operation demands CR4.VMXE, which the kernel must know of: it writes CR4
 * from its own copy, and a write without the bit would fault. Where the module
 * cannot tell the kernel, VMX operation lasts for one stay in the inner loop,
 * with interrupts off (vmx_per_stay).
 */
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/asm.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>

#include "vmx.h"

bool vmx_per_stay __ro_after_init = !COMPAT_CR4_SHADOW;

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

#define FEAT_CTL_ON (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)

/* Physical address of the region; false: refused, or a fault (firmware locked VT-x off). */
static bool vmxon(u64 pa)
{
	// clang-format off
	asm goto("1: vmxon %0\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : "m"(pa) : "cc", "memory" : failed);
	// clang-format on
	return true;
failed:
	return false;
}

static void vmxoff(void)
{
	asm volatile("vmxoff" : : : "cc", "memory");
}

/* Per stay without the kernel's knowledge: then interrupts are off until it is put back. */
static void set_vmxe(bool on)
{
	unsigned long vmxe = X86_CR4_VMXE, cr4;

	if (vmx_per_stay) {
		cr4 = native_read_cr4();
		cr4 = on ? cr4 | vmxe : cr4 & ~vmxe;
		asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	} else if (on) {
		compat_set_cr4(vmxe);
	} else {
		compat_clear_cr4(vmxe);
	}
}

static bool enter_operation(struct vmx_cpu *c)
{
	compat_pt_handle_vmx(1);
	set_vmxe(true);
	c->in_operation = vmxon(__pa(c->vmxon));
	if (unlikely(!c->in_operation)) {
		set_vmxe(false);
		compat_pt_handle_vmx(0);
	}
	return c->in_operation;
}

static void leave_operation(struct vmx_cpu *c)
{
	vmxoff();
	c->in_operation = false;
	set_vmxe(false);
	compat_pt_handle_vmx(0);
}

void vmx_free_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
	{
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpu, cpu);

		free_page((unsigned long)c->vmxon);
		c->vmxon = NULL;
	}
}

int vmx_alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
	{
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpu, cpu);

		INIT_LIST_HEAD(&c->active);
		c->vmxon = (void *)get_zeroed_page(GFP_KERNEL);
		if (!c->vmxon)
			return -ENOMEM;
		*(u32 *)c->vmxon = vmx_caps.revision;
	}
	return 0;
}

static void flush_all(void)
{
	struct {
		u64 what, reserved;
	} nothing = {0, 0};

	asm volatile("invept %0, %1" : : "m"(nothing), "r"(2UL) : "cc", "memory");
	asm volatile("invvpid %0, %1" : : "m"(nothing), "r"(2UL) : "cc", "memory");
}

/*
 * VPIDs are handed out per CPU, so that there are always enough: when the last one is
 * in use, all are free again, as nothing that was cached under them is left.
 */
static void next_vpids(struct vmx_cpu *c)
{
	flush_all();
	c->vpid_generation++;
	/* Zero is the host's. */
	c->next_vpid = 1;
}

void vmx_take_vpid(struct vmx_vcpu *x)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);

	if (c->next_vpid > vmx_caps.last_vpid)
		next_vpids(c);
	x->vpid_generation = c->vpid_generation;
	x->vpid = c->next_vpid++;
	vmcs_write(VMCS_VPID, x->vpid);
}

int vmx_cpu_enable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	u64 control = FEAT_CTL_ON;

	if (native_read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	/* After a suspend some firmware leaves it open; locked off, VMXON faults. */
	if (!rdmsrl_safe(MSR_IA32_FEAT_CTL, &control) && !(control & FEAT_CTL_LOCKED)) {
		control |= FEAT_CTL_ON;
		wrmsrl(MSR_IA32_FEAT_CTL, control);
	}
	rdmsrl(MSR_STAR, c->host_syscall[SYSCALL_STAR]);
	rdmsrl(MSR_LSTAR, c->host_syscall[SYSCALL_LSTAR]);
	rdmsrl(MSR_CSTAR, c->host_syscall[SYSCALL_CSTAR]);
	rdmsrl(MSR_SYSCALL_MASK, c->host_syscall[SYSCALL_MASK]);

	/* Somebody holds it without having said so in CR4. */
	if (!enter_operation(c))
		return -EBUSY;
	/* Translations of an earlier user may remain. */
	next_vpids(c);
	if (vmx_per_stay)
		leave_operation(c);
	return 0;
}

/* VMCLEAR on the CPU where it is active; interrupts are off. */
static void deactivate_here(struct vmx_vcpu *x)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);

	vmx_vmclear(x->vmcs_pa);
	if (c->current_vmcs == x)
		c->current_vmcs = NULL;
	list_del(&x->node);
	x->launched = false;
	/* Another CPU may take it once it sees this. */
	smp_store_release(&x->active_cpu, -1);
}

void vmx_cpu_disable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *x, *next;

	list_for_each_entry_safe (x, next, &c->active, node)
		deactivate_here(x);
	/* Per stay only a panic comes here in the midst of one. */
	if (c->in_operation)
		leave_operation(c);
}

static void deactivate_ipi(void *arg)
{
	struct vmx_vcpu *x = arg;

	/* The CPU may have been disabled meanwhile. */
	if (READ_ONCE(x->active_cpu) == smp_processor_id())
		deactivate_here(x);
}

void vmx_deactivate(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);
	int cpu = smp_load_acquire(&x->active_cpu);

	/* An offline CPU has cleared all it had. */
	if (cpu >= 0)
		smp_call_function_single(cpu, deactivate_ipi, x, 1);
}

bool vmx_acquire(struct hv_vcpu *v)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *x = to_vmx(v);

	/* Per stay another hypervisor may have come meanwhile; nothing else can be wrong now. */
	if (vmx_per_stay && (native_read_cr4() & X86_CR4_VMXE || !enter_operation(c)))
		return false;
	if (unlikely(x->fresh)) {
		vmx_vmclear(x->vmcs_pa);
		x->fresh = false;
	}
	if (c->current_vmcs != x) {
		if (WARN_ON_ONCE(!vmx_vmptrld(x->vmcs_pa))) {
			if (vmx_per_stay)
				leave_operation(c);
			return false;
		}
		c->current_vmcs = x;
	}
	if (READ_ONCE(x->active_cpu) < 0) {
		WRITE_ONCE(x->active_cpu, smp_processor_id());
		list_add(&x->node, &c->active);
	}
	return true;
}

void vmx_release(struct hv_vcpu *v)
{
	if (!vmx_per_stay)
		return;
	deactivate_here(to_vmx(v));
	leave_operation(this_cpu_ptr(&vmx_cpu));
}

bool vmx_try_borrow(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (x->in_loop)
		return true;
	preempt_disable();
	if (READ_ONCE(x->active_cpu) != smp_processor_id())
		vmx_deactivate(v);
	local_irq_disable();
	if (likely(!hardware_enable() && vmx_acquire(v)))
		return true;
	local_irq_enable();
	preempt_enable();
	return false;
}

bool vmx_reachable(struct hv_vcpu *v)
{
	if (!vmx_try_borrow(v))
		return false;
	vmx_return(v);
	return true;
}

bool vmx_borrow(struct hv_vcpu *v)
{
	while (!vmx_try_borrow(v)) {
		if (hardware_stopping() || fatal_signal_pending(current)) {
			/* What is written now is lost; what is read is zero, and may be written back. */
			to_vmx(v)->lost = true;
			return false;
		}
		/* A kick may end this early, which is no matter; so may the freezer of a suspend. */
		set_current_state(TASK_KILLABLE | TASK_FREEZABLE_UNSAFE);
		schedule_timeout(max(HZ / 100, 1));
	}
	return true;
}

void vmx_return(struct hv_vcpu *v)
{
	struct vmx_vcpu *x = to_vmx(v);

	if (x->in_loop)
		return;
	/* The loop takes it on v->cpu with interrupts off: it must not be active elsewhere. */
	if (!vmx_per_stay && READ_ONCE(x->active_cpu) != v->cpu)
		deactivate_here(x);
	vmx_release(v);
	local_irq_enable();
	preempt_enable();
}
