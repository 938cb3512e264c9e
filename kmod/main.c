// SPDX-License-Identifier: GPL-2.0
/*
 * The module itself: choice of the backend, /dev/hv, and the processor's
 * virtualisation, which is on only while at least one VM exists: per CPU, over
 * hotplug, suspend and reboot.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/panic_notifier.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "hv_internal.h"

MODULE_DESCRIPTION("hv, a hypervisor for AMD-V and VT-x");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");

struct hv_host hv_host __ro_after_init;

#define HV_DEFINE_OP(name) DEFINE_STATIC_CALL_NULL(hv_##name, *(((struct hv_ops *)0)->name));
HV_OPS_LIST(HV_DEFINE_OP)

/*
 * Protects hw_users, hw_stopping and the CPUs' state against creation, hotplug and
 * reboot. Suspend and resume run alone, with interrupts off.
 */
static DEFINE_MUTEX(hw_lock);
static unsigned int hw_users;
static bool hw_stopping; /* set once: the host goes down; read without the lock by vCPUs */
static enum cpuhp_state hw_hotplug __ro_after_init;
DEFINE_PER_CPU(struct hv_cpu, hv_cpu);

bool hv_host_stopping(void)
{
	return READ_ONCE(hw_stopping);
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

void hv_stay_disable(void)
{
	__this_cpu_write(hv_cpu.disable_later, false);
	hv_host.ops->cpu_disable();
}

/* Take the processor's virtualisation for one more VM. */
int hv_hardware_get(void)
{
	atomic_t err = ATOMIC_INIT(0);

	cpus_read_lock();
	mutex_lock(&hw_lock);
	if (hw_stopping) {
		atomic_set(&err, -ESHUTDOWN);
	} else if (hw_users == 0) {
		on_each_cpu(cpu_enable, &err, 1);
		if (atomic_read(&err))
			on_each_cpu(cpu_disable, NULL, 1);
	}
	if (!atomic_read(&err))
		hw_users++;
	mutex_unlock(&hw_lock);
	cpus_read_unlock();
	return atomic_read(&err);
}

void hv_hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&hw_lock);
	if (--hw_users == 0)
		on_each_cpu(cpu_disable, NULL, 1);
	mutex_unlock(&hw_lock);
	cpus_read_unlock();
}

/* A CPU came online: it must be able to run the VMs there are, or stay away. */
static int hotplug_online(unsigned int cpu)
{
	atomic_t err = ATOMIC_INIT(0);
	unsigned long flags;

	mutex_lock(&hw_lock);
	if (hw_users && !hw_stopping) {
		local_irq_save(flags);
		cpu_enable(&err);
		local_irq_restore(flags);
	}
	mutex_unlock(&hw_lock);
	return atomic_read(&err);
}

static int hotplug_offline(unsigned int cpu)
{
	unsigned long flags;

	mutex_lock(&hw_lock);
	local_irq_save(flags);
	cpu_disable(NULL);
	local_irq_restore(flags);
	mutex_unlock(&hw_lock);
	return 0;
}

/* Suspend: the last CPU, with interrupts off; the others went by hotplug. */
static int hv_suspend(void)
{
	cpu_disable(NULL);
	return 0;
}

static void hv_resume(void)
{
	if (hw_users && !hw_stopping)
		cpu_enable(NULL);
}

COMPAT_SYSCORE(hv_syscore, hv_suspend, hv_resume);

/*
 * Firmware and a next kernel expect virtualisation off. User space may still run,
 * after "reboot -f": vCPUs must not enter any more.
 */
static int reboot_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	int cpu;

	cpus_read_lock();
	mutex_lock(&hw_lock);
	WRITE_ONCE(hw_stopping, true);
	on_each_cpu(cpu_disable, NULL, 1);
	/* A stay that was under way has left the guest, and ends before long. */
	for_each_online_cpu(cpu)
	{
		while (READ_ONCE(per_cpu(hv_cpu.disable_later, cpu)))
			cpu_relax();
	}
	mutex_unlock(&hw_lock);
	cpus_read_unlock();
	return NOTIFY_OK;
}

static struct notifier_block hv_reboot = {
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

static struct notifier_block hv_panic = {
	.notifier_call = panic_notify,
};

static long system_get_caps(void __user *arg)
{
	struct hv_caps caps = {
		.size = sizeof(caps),
		.abi_version = HV_ABI_VERSION,
		.backend = hv_host.ops->backend,
		.max_vcpus = HV_MAX_VCPUS,
		.max_slots = HV_MAX_SLOTS,
		.run_size = PAGE_SIZE,
		.tsc_khz = tsc_khz,
		.gpa_bits = hv_host.gpa_bits,
		.xsave_size = hv_host.xsave_size,
		.features = HV_FEATURE_TSC_DEADLINE | HV_FEATURE_X2APIC | HV_FEATURE_PVCLOCK,
		.xcr0 = hv_host.guest_xcr0,
	};
	u32 size;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < offsetofend(struct hv_caps, backend))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size > sizeof(caps) && clear_user((u8 __user *)arg + sizeof(caps), size - sizeof(caps)))
		return -EFAULT;
	if (copy_to_user(arg, &caps, min_t(size_t, size, sizeof(caps))))
		return -EFAULT;
	return 0;
}

static long system_get_cpuid(void __user *arg)
{
	const struct hv_cpuid_table *t = &hv_host.cpuid;
	struct hv_cpuid c;
	u32 room;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.pad)
		return -EINVAL;
	room = c.count;
	c.count = t->count;
	if (copy_to_user(arg, &c, sizeof(c)))
		return -EFAULT;
	if (room < t->count)
		return -E2BIG;
	if (copy_to_user(u64_to_user_ptr(c.entries), t->e, t->count * sizeof(t->e[0])))
		return -EFAULT;
	return 0;
}

static long system_create_vm(void __user *arg)
{
	struct hv_create_vm c;
	int r = copy_struct_in(&c, sizeof(c), arg);

	if (r)
		return r;
	if (c.flags)
		return -EINVAL;
	return vm_create_fd();
}

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case HV_GET_CAPS:
		return system_get_caps(p);
	case HV_GET_CPUID:
		return system_get_cpuid(p);
	case HV_CREATE_VM:
		return system_create_vm(p);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations system_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice hv_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hv",
	.mode = 0660,
	.fops = &system_fops,
};

static void __init read_host_cpuid(u32 function, u32 index, struct cpuid_leaf *out)
{
	cpuid_count(function, index, &out->eax, &out->ebx, &out->ecx, &out->edx);
}

static void __init bind_ops(const struct hv_ops *ops)
{
#define HV_BIND_OP(name) static_call_update(hv_##name, ops->name);
	HV_OPS_LIST(HV_BIND_OP)
}

static int __init hv_init(void)
{
	struct cpuid_host host = {.read = read_host_cpuid};
	int r;

	/* Which of the two a CPU may have its maker decides. */
	hv_host.ops = boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
				      boot_cpu_data.x86_vendor == X86_VENDOR_HYGON
			      ? &svm_ops
			      : &vmx_ops;
	r = hv_host.ops->setup();
	if (r)
		return r;
	spec_setup();
	r = fpu_setup();
	if (r)
		goto err_setup;
	hv_host.has_tsc_aux = boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID);
	hv_host.gpa_bits = min_t(u32, boot_cpu_data.x86_phys_bits, 48);
	host.xcr0 = hv_host.guest_xcr0;
	host.tsc_khz = tsc_khz;
	host.svm = hv_host.ops->backend == HV_BACKEND_SVM;
	cpuid_supported(&host, &hv_host.cpuid);
	bind_ops(hv_host.ops);

	r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/hv:online", hotplug_online,
			      hotplug_offline);
	if (r < 0)
		goto err_setup;
	hw_hotplug = r;
	compat_register_syscore(&hv_syscore);
	register_reboot_notifier(&hv_reboot);
	atomic_notifier_chain_register(&panic_notifier_list, &hv_panic);
	r = misc_register(&hv_device);
	if (r)
		goto err_register;
	stats_setup();
	pr_info("ready: %s\n", host.svm ? "AMD-V with nested paging" : "VT-x with EPT");
	return 0;

err_register:
	atomic_notifier_chain_unregister(&panic_notifier_list, &hv_panic);
	unregister_reboot_notifier(&hv_reboot);
	compat_unregister_syscore(&hv_syscore);
	cpuhp_remove_state(hw_hotplug);
err_setup:
	hv_host.ops->unsetup();
	return r;
}

static void __exit hv_exit(void)
{
	misc_deregister(&hv_device);
	stats_unsetup();
	atomic_notifier_chain_unregister(&panic_notifier_list, &hv_panic);
	unregister_reboot_notifier(&hv_reboot);
	compat_unregister_syscore(&hv_syscore);
	cpuhp_remove_state(hw_hotplug);
	hv_host.ops->unsetup();
	/* Callbacks of call_rcu() are code of this module. */
	rcu_barrier();
}

module_init(hv_init);
module_exit(hv_exit);
