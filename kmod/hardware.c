// SPDX-License-Identifier: GPL-2.0
/*
 * The processors' virtualisation: over hotplug, suspend, reboot and a crash. It is on where
 * the first VM was created, and on each CPU from the first stay of a vCPU there, until the last
 * VM ends; so a CPU that runs no guests is never interrupted for those of others. Called
 * by main.c at load, by vm.c, and around each stay in a guest by run.c.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/panic_notifier.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <asm/msr.h>

#include "hv_internal.h"

/*
 * Protects users and stopping, and against each other what disables CPUs: the last VM's end,
 * hotplug and reboot. A CPU enables itself, with interrupts off. Suspend and resume run
 * alone, with interrupts off.
 */
static DEFINE_MUTEX(users_lock);
static unsigned int users;
static bool stopping; /* set once: the host goes down; read without the lock by vCPUs */
static enum cpuhp_state hotplug_state __ro_after_init;
DEFINE_PER_CPU(struct hv_cpu, hv_cpu);

bool hardware_stopping(void)
{
	return READ_ONCE(stopping);
}

int hardware_enable(void)
{
	int r;

	if (hardware_usable())
		return 0;
	/* Whoever sets these then disables this CPU: by an interrupt, or a thread, that waits for us. */
	if (hardware_stopping() || !__this_cpu_read(hv_cpu.online))
		return -EAGAIN;
	r = hv_host.ops->cpu_enable();
	if (!r)
		__this_cpu_write(hv_cpu.enabled, true);
	return r;
}

static void cpu_enable(void *err)
{
	*(int *)err = hardware_enable();
}

static bool is_enabled(int cpu, void *unused)
{
	return READ_ONCE(per_cpu(hv_cpu.enabled, cpu));
}

static void cpu_disable(void *unused)
{
	if (!__this_cpu_read(hv_cpu.enabled))
		return;
	__this_cpu_write(hv_cpu.enabled, false);
	if (__this_cpu_read(hv_cpu.stay))
		__this_cpu_write(hv_cpu.disable_later, true);
	else
		hv_host.ops->cpu_disable();
}

void hardware_disable_late(void)
{
	hv_host.ops->cpu_disable();
	/* Whoever waits for it, at a reboot, finds the CPU as it should be. */
	smp_store_release(this_cpu_ptr(&hv_cpu.disable_later), false);
}

/*
 * Take the processor's virtualisation for one more VM. One CPU is enough to keep others
 * from taking it, who want all or none; and has one of them taken it, any CPU tells.
 */
int hardware_get(void)
{
	unsigned long flags;
	int r = 0;

	cpus_read_lock();
	mutex_lock(&users_lock);
	if (stopping) {
		r = -ESHUTDOWN;
	} else if (users == 0) {
		local_irq_save(flags);
		r = hardware_enable();
		local_irq_restore(flags);
	}
	if (!r)
		users++;
	mutex_unlock(&users_lock);
	cpus_read_unlock();
	return r;
}

void hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&users_lock);
	if (--users == 0)
		on_each_cpu_cond(is_enabled, cpu_disable, NULL, 1);
	mutex_unlock(&users_lock);
	cpus_read_unlock();
}

/* At load on all CPUs, and on one that comes online: it must be able to run guests, or stay away. */
static int hotplug_online(unsigned int cpu)
{
	if (!hv_host.ops->cpu_fits()) {
		pr_err("CPU %u: its virtualisation is disabled, or can do less than another's\n",
		       cpu);
		return -EOPNOTSUPP;
	}
	if (hv_host.has_tsc_aux)
		rdmsrl(MSR_TSC_AUX, *this_cpu_ptr(&hv_cpu.tsc_aux));
	this_cpu_write(hv_cpu.online, true);
	return 0;
}

static int hotplug_offline(unsigned int cpu)
{
	unsigned long flags;
	bool held;
	int unused;

	mutex_lock(&users_lock);
	local_irq_save(flags);
	/* Threads may still come by here before they are sent elsewhere. */
	__this_cpu_write(hv_cpu.online, false);
	held = hardware_usable();
	cpu_disable(NULL);
	local_irq_restore(flags);
	/* It may have been the only one that kept others away. */
	if (held && users)
		smp_call_function_single(cpumask_any_but(cpu_online_mask, cpu), cpu_enable, &unused,
					 1);
	mutex_unlock(&users_lock);
	return 0;
}

/* Suspend: the last CPU, with interrupts off; the others went by hotplug. */
static int suspend(void)
{
	cpu_disable(NULL);
	return 0;
}

static void resume(void)
{
	if (users)
		hardware_enable();
}

COMPAT_SYSCORE(hv_syscore, suspend, resume);

/*
 * Firmware and a next kernel expect virtualisation off. User space may still run,
 * after "reboot -f": vCPUs must not enter any more.
 */
static int reboot_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	int cpu;

	cpus_read_lock();
	mutex_lock(&users_lock);
	WRITE_ONCE(stopping, true);
	/* All of them: one that has not seen this yet may be enabling itself. */
	on_each_cpu(cpu_disable, NULL, 1);
	/* A stay that was under way has left the guest, and ends before long. */
	for_each_online_cpu(cpu)
	{
		while (READ_ONCE(per_cpu(hv_cpu.disable_later, cpu)))
			cpu_relax();
	}
	mutex_unlock(&users_lock);
	cpus_read_unlock();
	return NOTIFY_OK;
}

static struct notifier_block reboot_block = {
	.notifier_call = reboot_notify,
};

/*
 * A crash kernel, too, expects it off: in VMX operation its first write to CR4
 * would fault. Kernels before 6.6 and from 7.0 on see to that themselves; those
 * between do for KVM only, and call this before the crash kernel if they are told
 * to (crash_kexec_post_notifiers). Even a stay that is under way here has ended.
 */
static int panic_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	if (__this_cpu_xchg(hv_cpu.enabled, false))
		hv_host.ops->cpu_disable();
	return NOTIFY_OK;
}

static struct notifier_block panic_block = {
	.notifier_call = panic_notify,
};

int __init hardware_setup(void)
{
	int r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/hv:online", hotplug_online,
				  hotplug_offline);

	if (r < 0)
		return r;
	hotplug_state = r;
	compat_register_syscore(&hv_syscore);
	register_reboot_notifier(&reboot_block);
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	return 0;
}

void hardware_unsetup(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
	unregister_reboot_notifier(&reboot_block);
	compat_unregister_syscore(&hv_syscore);
	cpuhp_remove_state(hotplug_state);
}
