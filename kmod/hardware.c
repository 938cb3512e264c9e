// SPDX-License-Identifier: GPL-2.0
/*
 * The processors' virtualisation, which is on only while at least one VM exists: per
 * CPU, over hotplug, suspend, reboot and a crash. Called by main.c at load, by vm.c, and
 * around each stay in a guest by run.c.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/panic_notifier.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <asm/msr.h>

#include "hv_internal.h"

/*
 * Protects users, stopping and the CPUs' state against creation, hotplug and
 * reboot. Suspend and resume run alone, with interrupts off.
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

static void cpu_enable(void *errp)
{
	int r;

	if (__this_cpu_read(hv_cpu.enabled))
		return;
	if (hv_host.has_tsc_aux)
		rdmsrl(MSR_TSC_AUX, *this_cpu_ptr(&hv_cpu.tsc_aux));
	r = hv_host.ops->cpu_enable();
	if (!r)
		__this_cpu_write(hv_cpu.enabled, true);
	else if (errp)
		atomic_cmpxchg((atomic_t *)errp, 0, r);
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

/* Take the processor's virtualisation for one more VM. */
int hardware_get(void)
{
	atomic_t err = ATOMIC_INIT(0);

	cpus_read_lock();
	mutex_lock(&users_lock);
	if (stopping) {
		atomic_set(&err, -ESHUTDOWN);
	} else if (users == 0) {
		on_each_cpu(cpu_enable, &err, 1);
		if (atomic_read(&err))
			on_each_cpu(cpu_disable, NULL, 1);
	}
	if (!atomic_read(&err))
		users++;
	mutex_unlock(&users_lock);
	cpus_read_unlock();
	return atomic_read(&err);
}

void hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&users_lock);
	if (--users == 0)
		on_each_cpu(cpu_disable, NULL, 1);
	mutex_unlock(&users_lock);
	cpus_read_unlock();
}

/* A CPU came online: it must be able to run the VMs there are, or stay away. */
static int hotplug_online(unsigned int cpu)
{
	atomic_t err = ATOMIC_INIT(0);
	unsigned long flags;

	mutex_lock(&users_lock);
	if (users && !stopping) {
		local_irq_save(flags);
		cpu_enable(&err);
		local_irq_restore(flags);
	}
	mutex_unlock(&users_lock);
	return atomic_read(&err);
}

static int hotplug_offline(unsigned int cpu)
{
	unsigned long flags;

	mutex_lock(&users_lock);
	local_irq_save(flags);
	cpu_disable(NULL);
	local_irq_restore(flags);
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
	if (users && !stopping)
		cpu_enable(NULL);
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
	if (__this_cpu_read(hv_cpu.enabled)) {
		__this_cpu_write(hv_cpu.enabled, false);
		hv_host.ops->cpu_disable();
	}
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
