// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU: its life, its file descriptor and the calls on it, and the requests by
 * which others reach it. The loop that runs it is in run.c.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv_internal.h"

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

void vcpu_request(struct hv_vcpu *v, enum hv_request req)
{
	/* What the request is about is written first: pairs with vcpu_test_request(). */
	smp_mb__before_atomic();
	set_bit(req, &v->requests);
}

void vcpu_kick(struct hv_vcpu *v)
{
	int cpu;

	/* Orders the request before mode; pairs with the barrier in enter_once(), run.c. */
	smp_mb();
	rcuwait_wake_up(&v->wait);
	if (READ_ONCE(v->mode) != VCPU_IN_GUEST)
		return;
	cpu = READ_ONCE(v->cpu);
	if (cpu >= 0 && cpu != raw_smp_processor_id())
		smp_send_reschedule(cpu);
}

void vcpu_request_all(struct hv_vm *vm, enum hv_request req)
{
	struct hv_vcpu *v;
	unsigned int i;

	hv_for_each_vcpu (vm, i, v) {
		vcpu_request(v, req);
		vcpu_kick(v);
	}
}

/* ------------------------------------------------------------------------- */
/* Calls                                                                      */

static bool reachable(struct hv_vcpu *v)
{
	return !hv_host.ops->reachable || hv_op(reachable)(v);
}

/* What others have sent so far is for the machine as it was before. */
static void power_up(struct hv_vcpu *v)
{
	atomic_set(&v->start, 0);
	atomic_set(&v->nmi_posted, 0);
	state_reset(v, false);
	v->mp_state = v->id ? HV_MP_UNINIT : HV_MP_RUNNABLE;
}

static long vcpu_reset(struct hv_vcpu *v, unsigned long arg)
{
	if (arg)
		return -EINVAL;
	power_up(v);
	return 0;
}

static long vcpu_regs(struct hv_vcpu *v, u64 groups, bool store)
{
	if (groups & ~HV_REGS_ALL)
		return -EINVAL;
	if (!store)
		return state_load(v, groups);
	state_store(v, groups);
	return 0;
}

static long vcpu_set_cpuid(struct hv_vcpu *v, void __user *arg)
{
	struct hv_cpuid_table *t;
	struct hv_cpuid c;
	long r = -EFAULT;

	if (v->has_run)
		return -EBUSY;
	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	if (c.pad || c.count > HV_MAX_CPUID)
		return -EINVAL;
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	t->count = c.count;
	if (copy_from_user(t->e, u64_to_user_ptr(c.entries), c.count * sizeof(t->e[0])))
		goto out;
	r = cpuid_normalise(t);
	if (!r)
		r = cpuid_check(&hv_host.cpuid, t);
	if (r)
		goto out;
	v->cpuid = *t;
	state_cpuid_changed(v);
out:
	kfree(t);
	return r;
}

static long vcpu_msrs(struct hv_vcpu *v, void __user *arg, bool write)
{
	struct hv_msr_entry __user *entries;
	struct hv_msr_entry e;
	struct hv_msrs m;
	u32 i;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.pad || m.count > HV_MAX_MSRS)
		return -EINVAL;
	entries = u64_to_user_ptr(m.entries);
	for (i = 0; i < m.count; i++) {
		if (copy_from_user(&e, &entries[i], sizeof(e)))
			return -EFAULT;
		if (e.pad)
			return -EINVAL;
		if (write) {
			if (msr_write(v, e.index, true, e.value) != MSR_OK)
				break;
			continue;
		}
		e.value = 0;
		if (msr_read(v, e.index, true, &e.value) != MSR_OK)
			break;
		if (copy_to_user(&entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	return i;
}

static long vcpu_xsave(struct hv_vcpu *v, void __user *arg, bool write)
{
	struct hv_xsave x;

	if (copy_from_user(&x, arg, sizeof(x)))
		return -EFAULT;
	if (x.pad)
		return -EINVAL;
	return write ? fpu_set_image(v, u64_to_user_ptr(x.buffer), x.len)
		     : fpu_get_image(v, u64_to_user_ptr(x.buffer), x.len);
}

static long vcpu_get_lapic(struct hv_vcpu *v, void __user *arg)
{
	struct hv_lapic *l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	long r = 0;

	if (!l)
		return -ENOMEM;
	lapic_save(&v->lapic, clock_timer_expire(v), l->regs);
	l->tsc_deadline = v->lapic.tsc_deadline;
	l->errors = READ_ONCE(v->lapic.errors);
	if (copy_to_user(arg, l, sizeof(*l)))
		r = -EFAULT;
	kfree(l);
	return r;
}

static long vcpu_set_lapic(struct hv_vcpu *v, void __user *arg)
{
	struct hv_lapic *l = memdup_user(arg, sizeof(*l));
	long r = 0;

	if (IS_ERR(l))
		return PTR_ERR(l);
	if (!(l->errors & ~LAPIC_ERRORS) && !l->pad &&
	    lapic_load(&v->lapic, ktime_get_ns(), l->regs)) {
		lapic_write_tsc_deadline(&v->lapic, l->tsc_deadline);
		WRITE_ONCE(v->lapic.errors, l->errors);
		clock_timer_update(v);
		v->scan = true;
	} else {
		r = -EINVAL;
	}
	kfree(l);
	return r;
}

/* What the emulator in user space needs of the xAPIC page. */
static long vcpu_apic(struct hv_vcpu *v, void __user *arg, bool write)
{
	struct hv_apic_register reg;
	u64 value = 0;

	if (copy_from_user(&reg, arg, sizeof(reg)))
		return -EFAULT;
	if (!lapic_is_register(reg.offset) || !lapic_has_page(&v->lapic))
		return -EINVAL;
	if (write)
		return irq_apic_write(v, reg.offset, reg.value) == EXIT_USER ? v->lapic.eoi_vector
									     : 0;
	irq_apic_read(v, reg.offset, &value);
	reg.value = value;
	return copy_to_user(arg, &reg, sizeof(reg)) ? -EFAULT : 0;
}

/* The calls that need the vCPU for themselves. */
static long vcpu_locked_ioctl(struct hv_vcpu *v, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	/* HV_RUN waits for a while; the others say so before they change anything. */
	if (cmd != HV_RUN && !reachable(v))
		return -EBUSY;
	clock_follow(v);
	switch (cmd) {
	case HV_RUN:
		return arg ? -EINVAL : run_vcpu(v);
	case HV_GET_REGS:
		return vcpu_regs(v, arg, true);
	case HV_SET_REGS:
		return vcpu_regs(v, arg, false);
	case HV_RESET:
		return vcpu_reset(v, arg);
	case HV_SET_CPUID:
		return vcpu_set_cpuid(v, p);
	case HV_GET_MSRS:
		return vcpu_msrs(v, p, false);
	case HV_SET_MSRS:
		return vcpu_msrs(v, p, true);
	case HV_GET_XSAVE:
		return vcpu_xsave(v, p, false);
	case HV_SET_XSAVE:
		return vcpu_xsave(v, p, true);
	case HV_GET_LAPIC:
		return vcpu_get_lapic(v, p);
	case HV_SET_LAPIC:
		return vcpu_set_lapic(v, p);
	case HV_READ_APIC:
		return vcpu_apic(v, p, false);
	case HV_WRITE_APIC:
		return vcpu_apic(v, p, true);
	default:
		return -ENOTTY;
	}
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hv_vcpu *v = file->private_data;
	long r;

	if (!vm_mm_ok(v->vm))
		return -EIO;
	if (cmd == HV_NMI) {
		if (arg)
			return -EINVAL;
		event_post_nmi(v);
		vcpu_kick(v);
		return 0;
	}
	if (!mutex_trylock(&v->lock))
		return -EBUSY;
	r = vcpu_locked_ioctl(v, cmd, arg);
	mutex_unlock(&v->lock);
	return r;
}

/* ------------------------------------------------------------------------- */
/* The run page and the descriptor                                            */

static vm_fault_t run_fault(struct vm_fault *vmf)
{
	struct hv_vcpu *v = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(v->run);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct run_vm_ops = {
	.fault = run_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hv_vcpu *v = file->private_data;

	if (!vm_mm_ok(v->vm))
		return -EIO;
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE ||
	    !(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	/* Nor does mprotect() make it executable later. */
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &run_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct hv_vcpu *v = file->private_data;

	vm_put(v->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* Also for one that was never completed. */
void vcpu_destroy(struct hv_vcpu *v)
{
	clock_timer_destroy(v);
	hv_op(vcpu_free)(v);
	fpu_free(v);
	stage2_free_cache(v);
	free_page((unsigned long)v->run);
	kfree(v);
}

static struct hv_vcpu *vcpu_create(struct hv_vm *vm, u32 id)
{
	static atomic64_t serials;
	struct hv_vcpu *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);
	int r;

	if (!v)
		return ERR_PTR(-ENOMEM);
	v->vm = vm;
	v->id = id;
	v->serial = atomic64_inc_return(&serials);
	v->cpu = -1;
	v->slow_gpa = NO_GPA;
	mutex_init(&v->lock);
	rcuwait_init(&v->wait);
	clock_timer_init(v);
	v->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	r = v->run ? fpu_create(v) : -ENOMEM;
	if (!r)
		r = hv_op(vcpu_create)(v);
	if (!r && !reachable(v))
		r = -EBUSY;
	if (r) {
		vcpu_destroy(v);
		return ERR_PTR(r);
	}
	v->cpuid = hv_host.cpuid;
	cpuid_set_apic_id(&v->cpuid, id);
	state_cpuid_changed(v);
	v->clock = vm->clock;
	power_up(v);
	return v;
}

/* HV_CREATE_VCPU: a descriptor, -EEXIST, -ENOMEM, -EMFILE, -ESHUTDOWN. */
int vcpu_create_fd(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *v;
	struct file *file;
	int fd, r;

	mutex_lock(&vm->lock);
	r = -EEXIST;
	if (vm->vcpus[id])
		goto out;
	v = vcpu_create(vm, id);
	r = PTR_ERR_OR_ZERO(v);
	if (r)
		goto out;
	fd = get_unused_fd_flags(O_CLOEXEC);
	file = fd < 0 ? ERR_PTR(fd) : anon_inode_getfile("hv-vcpu", &vcpu_fops, v, O_RDWR);
	if (IS_ERR(file)) {
		if (fd >= 0)
			put_unused_fd(fd);
		vcpu_destroy(v);
		r = PTR_ERR(file);
		goto out;
	}
	vm_get(vm);
	/*
	 * Complete: the VM's other parts may find it, and must before it can run,
	 * or a flush of translations would miss it.
	 */
	smp_store_release(&vm->vcpus[id], v);
	if (id >= vm->nr_vcpus)
		WRITE_ONCE(vm->nr_vcpus, id + 1);
	fd_install(fd, file);
	r = fd;
out:
	mutex_unlock(&vm->lock);
	return r;
}
