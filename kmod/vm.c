// SPDX-License-Identifier: GPL-2.0
/*
 * The VM's file descriptor: creation, its ioctls, and the one teardown path,
 * which a failed creation uses too.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv_internal.h"

/*
 * Copy a struct whose first field is its size; fields that this version does not
 * know must be zero. Returns 0, -EFAULT, -EINVAL (too short to be one), -E2BIG.
 */
int copy_struct_in(void *dst, size_t ksize, const void __user *src)
{
	u32 size;
	int r;

	if (get_user(size, (const u32 __user *)src))
		return -EFAULT;
	if (size < ksize)
		return -EINVAL; /* all fields of the first version are needed */
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = copy_struct_from_user(dst, ksize, src, size);
	if (r)
		return r;
	/* The field may have changed since it was read; the copy must agree. */
	*(u32 *)dst = size;
	return 0;
}

void vm_get(struct hv_vm *vm)
{
	kref_get(&vm->ref);
}

/*
 * A guest may stay for long, so its vCPU is asked to leave. What else is in a stay is short, and
 * nothing there sleeps or waits for the caller.
 */
void vm_synchronize(struct hv_vm *vm)
{
	struct hv_vcpu *v;
	unsigned int i;

	/* A stay that is not seen here finds what is there now: pairs with the barrier in inner_loop(). */
	smp_mb();
	hv_for_each_vcpu (vm, i, v) {
		unsigned long stay = smp_load_acquire(&v->stays);

		if (!(stay & 1))
			continue;
		vcpu_request(v, REQ_LEAVE);
		vcpu_kick(v);
		while (smp_load_acquire(&v->stays) == stay) {
			cpu_relax();
			cond_resched();
		}
	}
}

static void vm_release(struct kref *ref)
{
	struct hv_vm *vm = container_of(ref, struct hv_vm, ref);
	unsigned int i;

	stats_remove_vm(vm);
	eventfd_free_irqfds(vm);
	/* Removes the mappings, and flushes them: the vCPUs must still be there. */
	if (vm->notifier.ops)
		mmu_notifier_unregister(&vm->notifier, vm->mm);
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i])
			vcpu_destroy(vm->vcpus[i]);
	iobus_free(vm);
	slot_free_all(vm);
	stage2_destroy(vm);
	mmdrop(vm->mm);
	kfree(vm);
	hardware_put();
}

void vm_put(struct hv_vm *vm)
{
	kref_put(&vm->ref, vm_release);
}

static long vm_create_vcpu(struct hv_vm *vm, void __user *arg)
{
	struct hv_create_vcpu c;
	int r = copy_struct_in(&c, sizeof(c), arg);

	if (r)
		return r;
	if (c.flags || c.id >= HV_MAX_VCPUS)
		return -EINVAL;
	return vcpu_create_fd(vm, c.id);
}

static long vm_set_slot(struct hv_vm *vm, void __user *arg)
{
	struct hv_slot s;
	int r = copy_struct_in(&s, sizeof(s), arg);

	return r ? r : slot_set(vm, &s);
}

static long vm_irqfd(struct hv_vm *vm, void __user *arg)
{
	struct hv_irqfd i;
	int r = copy_struct_in(&i, sizeof(i), arg);

	return r ? r : eventfd_irqfd(vm, &i);
}

static long vm_ioeventfd(struct hv_vm *vm, void __user *arg)
{
	struct hv_ioeventfd i;
	int r = copy_struct_in(&i, sizeof(i), arg);

	return r ? r : iobus_ioeventfd(vm, &i);
}

static long vm_signal_msi(struct hv_vm *vm, void __user *arg)
{
	struct hv_msi m;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.pad)
		return -EINVAL;
	return irq_deliver_msi(vm, m.addr, m.data);
}

static long vm_get_clock(struct hv_vm *vm, void __user *arg)
{
	struct hv_clock c;

	mutex_lock(&vm->lock);
	clock_get(vm, &c);
	mutex_unlock(&vm->lock);
	return copy_to_user(arg, &c, sizeof(c)) ? -EFAULT : 0;
}

static long vm_set_clock(struct hv_vm *vm, void __user *arg)
{
	struct hv_clock c;
	long r;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.flags & ~(HV_CLOCK_STOPPED | HV_CLOCK_KEEP))
		return -EINVAL;
	mutex_lock(&vm->lock);
	r = clock_set(vm, &c);
	mutex_unlock(&vm->lock);
	return r;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hv_vm *vm = file->private_data;
	void __user *p = (void __user *)arg;

	if (!vm_mm_ok(vm))
		return -EIO;
	switch (cmd) {
	case HV_CREATE_VCPU:
		return vm_create_vcpu(vm, p);
	case HV_SET_SLOT:
		return vm_set_slot(vm, p);
	case HV_IRQFD:
		return vm_irqfd(vm, p);
	case HV_IOEVENTFD:
		return vm_ioeventfd(vm, p);
	case HV_SIGNAL_MSI:
		return vm_signal_msi(vm, p);
	case HV_GET_CLOCK:
		return vm_get_clock(vm, p);
	case HV_SET_CLOCK:
		return vm_set_clock(vm, p);
	default:
		return -ENOTTY;
	}
}

static int vm_file_release(struct inode *inode, struct file *file)
{
	vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.release = vm_file_release,
	.llseek = noop_llseek,
};

/* HV_CREATE_VM: a descriptor, or its errors; -ENOMEM, -EMFILE. */
int vm_create_fd(u32 tsc_khz)
{
	struct hv_vm *vm;
	int r;

	r = hardware_get();
	if (r)
		return r;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm) {
		hardware_put();
		return -ENOMEM;
	}
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->irqfds);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm->creator = current->tgid;
	stats_add_vm(vm);
	r = clock_vm_init(vm, tsc_khz);
	if (!r)
		r = stage2_init(vm);
	if (!r)
		r = anon_inode_getfd("hv-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (r < 0)
		vm_put(vm);
	return r;
}
