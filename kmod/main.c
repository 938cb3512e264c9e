// SPDX-License-Identifier: GPL-2.0
/* The module itself: choice of the backend, and /dev/hv with the calls on it. */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/tsc.h>

#include "hv_internal.h"

MODULE_DESCRIPTION("hv, a hypervisor for AMD-V and VT-x");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");

struct hv_host hv_host __ro_after_init;

#define HV_DEFINE_OP(name) DEFINE_STATIC_CALL_NULL(hv_##name, *(((struct hv_ops *)0)->name));
HV_OPS_LIST(HV_DEFINE_OP)

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
		.features = HV_FEATURE_TSC_DEADLINE | HV_FEATURE_X2APIC | HV_FEATURE_PVCLOCK |
			    (hv_host.scales_tsc ? HV_FEATURE_TSC_SCALING : 0),
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

static long system_get_msr_list(void __user *arg)
{
	struct hv_msr_list l;
	u32 room, i, index;

	if (copy_from_user(&l, arg, sizeof(l)))
		return -EFAULT;
	if (l.pad)
		return -EINVAL;
	room = l.count;
	for (i = 0; msr_saved(i, &index); i++)
		if (i < room && put_user(index, (u32 __user *)u64_to_user_ptr(l.indices) + i))
			return -EFAULT;
	l.count = i;
	if (copy_to_user(arg, &l, sizeof(l)))
		return -EFAULT;
	return room < i ? -E2BIG : 0;
}

static long system_create_vm(void __user *arg)
{
	struct hv_create_vm c;
	int r = copy_struct_in(&c, sizeof(c), arg);

	if (r)
		return r;
	if (c.flags || c.pad)
		return -EINVAL;
	return vm_create_fd(c.tsc_khz);
}

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case HV_GET_CAPS:
		return system_get_caps(p);
	case HV_GET_CPUID:
		return system_get_cpuid(p);
	case HV_GET_MSR_LIST:
		return system_get_msr_list(p);
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

/* Where the kernel keeps what it makes of the registers with feature bits. */
static const struct {
	u32 function, index;
	u8 reg; /* enum cpuid_reg */
	u8 word;
} kernel_features[] __initconst = {
	{0x1, 0, LEAF_ECX, CPUID_1_ECX},
	{0x1, 0, LEAF_EDX, CPUID_1_EDX},
	{0x7, 0, LEAF_EBX, CPUID_7_0_EBX},
	{0x7, 0, LEAF_ECX, CPUID_7_ECX},
	{0x7, 0, LEAF_EDX, CPUID_7_EDX},
	{0x7, 1, LEAF_EAX, CPUID_7_1_EAX},
	{0xd, 1, LEAF_EAX, CPUID_D_1_EAX},
	{0x80000001, 0, LEAF_ECX, CPUID_8000_0001_ECX},
	{0x80000001, 0, LEAF_EDX, CPUID_8000_0001_EDX},
	{0x80000008, 0, LEAF_EBX, CPUID_8000_0008_EBX},
};

/*
 * A feature that the kernel has taken away, for an erratum or because its command line
 * says so (clearcpuid), is not good enough for guests either.
 */
static void __init read_host_cpuid(u32 function, u32 index, struct cpuid_leaf *out)
{
	u32 r[4];
	unsigned int i;

	cpuid_count(function, index, &r[0], &r[1], &r[2], &r[3]);
	for (i = 0; i < ARRAY_SIZE(kernel_features); i++)
		if (kernel_features[i].function == function && kernel_features[i].index == index)
			r[kernel_features[i].reg] &=
				boot_cpu_data.x86_capability[kernel_features[i].word];
	/* Nor is an invariant TSC that it has found to be none. */
	if (function == 0x80000007 && check_tsc_unstable())
		r[LEAF_EDX] &= ~BIT(8);
	*out = (struct cpuid_leaf){r[0], r[1], r[2], r[3]};
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

	if (!tsc_khz) {
		pr_err("the kernel does not know the frequency of this CPU's TSC\n");
		return -EOPNOTSUPP;
	}
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
	cpuid_supported(&host, &hv_host.cpuid);
	hv_host.xsave_size = cpuid_xsave_size(&hv_host.cpuid, hv_host.guest_xcr0);
	bind_ops(hv_host.ops);

	r = hardware_setup();
	if (r)
		goto err_setup;
	r = misc_register(&hv_device);
	if (r)
		goto err_hardware;
	stats_setup();
	pr_info("ready: %s\n", hv_host.ops->backend == HV_BACKEND_SVM ? "AMD-V with nested paging"
								      : "VT-x with EPT");
	return 0;

err_hardware:
	hardware_unsetup();
err_setup:
	hv_host.ops->unsetup();
	return r;
}

static void __exit hv_exit(void)
{
	misc_deregister(&hv_device);
	stats_unsetup();
	hardware_unsetup();
	hv_host.ops->unsetup();
	/* Callbacks of call_rcu() are code of this module. */
	rcu_barrier();
}

module_init(hv_init);
module_exit(hv_exit);
