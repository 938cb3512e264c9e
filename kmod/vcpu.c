// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU: its file descriptor, its life, and the run loop.
 *
 * The loop is two nested ones. The inner one is atomic: preemption off, guest
 * state loaded once, { anything pending? enter; exit; handle } for as long as
 * exits can be handled without sleeping. The outer one may sleep: page-ins,
 * HLT, signals, the scheduler.
 */
#define pr_fmt(fmt) "hv: " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include <linux/vtime.h>
#include <asm/msr.h>

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

	/* Orders the request before mode; pairs with the barrier in enter_once(). */
	smp_mb();
	rcuwait_wake_up(&v->wait);
	if (READ_ONCE(v->mode) != VCPU_IN_GUEST)
		return;
	cpu = READ_ONCE(v->cpu);
	if (cpu >= 0 && cpu != raw_smp_processor_id())
		smp_send_reschedule(cpu);
}

/* ------------------------------------------------------------------------- */
/* The inner loop                                                             */

/* What makes the thread return to user space; cheap enough for every entry. */
static bool thread_work_pending(void)
{
	return read_thread_flags() & (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL) ||
	       task_work_pending(current);
}

#define REQS_OUTER (BIT(REQ_CLOCK) | BIT(REQ_INIT) | BIT(REQ_SIPI))

/* Does the host, or a request that may sleep, want this thread out of the loop? */
static bool must_leave(struct hv_vcpu *v)
{
	return need_resched() || thread_work_pending() || READ_ONCE(v->requests) & REQS_OUTER ||
	       compat_softirqs_wait();
}

/* In a closed stay interrupts are off already, and remain so. */
static __always_inline void stay_irq_off(void)
{
	if (!hv_host.closed_stays)
		local_irq_disable();
}

static __always_inline void stay_irq_on(void)
{
	if (!hv_host.closed_stays)
		local_irq_enable();
}

/* One entry and one exit. Interrupts go off for it. False: leave the loop. */
static bool enter_once(struct hv_vcpu *v)
{
	stay_irq_off();
	WRITE_ONCE(v->mode, VCPU_IN_GUEST);
	/* From here on a request comes with an IPI; those before it are seen now. */
	smp_mb();
	if (unlikely(must_leave(v) || !hv_cpu_usable())) {
		WRITE_ONCE(v->mode, VCPU_OUTSIDE);
		stay_irq_on();
		return false;
	}
	if (unlikely(READ_ONCE(v->requests))) {
		event_take_interrupts(v);
		if (vcpu_test_request(v, REQ_TLB_FLUSH))
			hv_op(flush_tlb)(v);
	}
	event_prepare(v);

	hv_op(enter)(v);
	spec_exit();

	WRITE_ONCE(v->mode, VCPU_OUTSIDE);
	stay_irq_on();
	return true;
}

static __always_inline void load_tsc_aux(struct hv_vcpu *v, bool guest)
{
	u64 host = __this_cpu_read(hv_cpu.tsc_aux);

	if (v->tsc_aux != host && hv_host.has_tsc_aux)
		wrmsrl(MSR_TSC_AUX, guest ? v->tsc_aux : host);
}

/*
 * A host interrupt ended the guest's stay and was taken: for RCU this CPU held no
 * reference, as if it had been in user space.
 */
static void note_interrupt(struct hv_vcpu *v)
{
	v->intr_exit = false;
	local_irq_disable();
	rcu_note_context_switch(false);
	local_irq_enable();
}

/* Entries and exits until something else is to be done. As inner_loop(). */
static int stay(struct hv_vcpu *v)
{
	int r;

	while (enter_once(v)) {
		r = hv_op(handle_exit)(v);
		if (unlikely(r != EXIT_AGAIN))
			return r;
		if (v->intr_exit) {
			/*
			 * In a closed stay it can only be taken outside. What its
			 * handler left in the caches may not be for the guest.
			 */
			if (hv_host.closed_stays || hv_spec_flush_l1d)
				break;
			note_interrupt(v);
		}
	}
	return EXIT_SLEEP;
}

/* EXIT_SLEEP: there is something to do outside; EXIT_USER, or a negative errno. */
static int inner_loop(struct hv_vcpu *v)
{
	int r = EXIT_SLEEP;
	u16 ldt;

	fpu_load(v);
	load_tsc_aux(v, true);
	asm volatile("sldt %0" : "=r"(ldt));
	if (unlikely(v->cpu != smp_processor_id())) {
		hv_op(move)(v);
		WRITE_ONCE(v->cpu, smp_processor_id());
	}
	local_irq_disable();
	if (likely(hv_stay_begin())) {
		r = hv_op(load)(v);
		if (likely(r == EXIT_AGAIN)) {
			spec_load(v);
			stay_irq_on();
			vtime_account_guest_enter();
			r = stay(v);
			vtime_account_guest_exit();
			hv_op(put)(v);
			spec_put();
			host_ldt_restore(ldt);
			stay_irq_off();
		}
		hv_stay_end();
	}
	local_irq_enable();
	if (v->intr_exit)
		note_interrupt(v);
	load_tsc_aux(v, false);
	fpu_put(v);
	return r;
}

/* ------------------------------------------------------------------------- */
/* A vCPU that spins                                                          */

/*
 * All of this is a hint, read without a lock: the scheduler looks again. Neither one
 * that sleeps in HLT nor one whose thread is in user space would gain by a yield.
 */
static bool waits_for_cpu(const struct hv_vcpu *v)
{
	return READ_ONCE(v->task) && READ_ONCE(v->mp_state) == HV_MP_RUNNABLE &&
	       READ_ONCE(v->mode) == VCPU_OUTSIDE;
}

struct hv_vcpu *vcpu_waiting_peer(struct hv_vcpu *v)
{
	unsigned int n = READ_ONCE(v->vm->nr_vcpus), i;
	struct hv_vcpu *peer;

	for (i = 0; i < n; i++) {
		v->last_peer = (v->last_peer + 1) % n;
		peer = smp_load_acquire(&v->vm->vcpus[v->last_peer]);
		if (peer && peer != v && waits_for_cpu(peer))
			return peer;
	}
	return NULL;
}

/*
 * The rest of this thread's time goes to the other one. Where neither of their CPUs
 * has anything else to run, yield_to() finds out before it takes a lock.
 */
static void yield_to_peer(struct hv_vcpu *v)
{
	struct task_struct *task;

	/* A thread in HV_RUN exists; its structure does for a grace period longer. */
	rcu_read_lock();
	task = READ_ONCE(v->yield_to->task);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	v->yield_to = NULL;
	if (!task)
		return;
	yield_to(task, true);
	put_task_struct(task);
}

/* ------------------------------------------------------------------------- */
/* The outer loop                                                             */

/* Requests that may sleep, or that cannot wait for the next entry. */
static void take_requests(struct hv_vcpu *v)
{
	event_take_requests(v);
	if (vcpu_test_request(v, REQ_CLOCK))
		clock_refresh(v);
	if (vcpu_test_request(v, REQ_TLB_FLUSH))
		hv_op(flush_tlb)(v);
}

static bool is_runnable(struct hv_vcpu *v)
{
	if (v->mp_state == HV_MP_HALTED && event_wakes(v)) {
		v->mp_state = HV_MP_RUNNABLE;
		v->scan = true;
	}
	return v->mp_state == HV_MP_RUNNABLE;
}

/* Sleep until the vCPU can run: woken from HLT, started by SIPI. -EINTR: a signal. */
static int wait_runnable(struct hv_vcpu *v)
{
	int r = 0;

	clock_sleep(v);
	prepare_to_rcuwait(&v->wait);
	for (;;) {
		/* Before the checks, so that a wake-up after them is not lost. */
		set_current_state(TASK_INTERRUPTIBLE);
		if (is_runnable(v))
			break;
		if (thread_work_pending()) {
			r = -EINTR;
			break;
		}
		if (READ_ONCE(v->requests)) {
			/* These may sleep by themselves. */
			__set_current_state(TASK_RUNNING);
			take_requests(v);
			continue;
		}
		schedule();
	}
	finish_rcuwait(&v->wait);
	clock_wake(v);
	return r;
}

/* What the inner loop left for here. EXIT_AGAIN, EXIT_USER or a negative errno. */
static int outer_work(struct hv_vcpu *v)
{
	u64 gpa = v->slow_gpa;

	if (gpa != ~0ULL) {
		v->slow_gpa = ~0ULL;
		if (stage2_fault_slow(v, gpa, v->slow_write) == S2_BAD)
			return exit_error(v, HV_ERROR_MEMORY, v->slow_write ? HV_FAULT_WRITE : 0,
					  gpa, v->gprs.rip);
	}
	if (v->bell.len && exit_ring(v) == EXIT_USER)
		return EXIT_USER;
	take_requests(v);
	if (thread_work_pending())
		return -EINTR;
	if (hv_host_stopping())
		return -ESHUTDOWN;
	if (v->yield_to)
		yield_to_peer(v);
	cond_resched();
	return EXIT_AGAIN;
}

static int run_loop(struct hv_vcpu *v)
{
	int r;

	do {
		if (v->mp_state != HV_MP_RUNNABLE) {
			r = wait_runnable(v);
			if (r)
				return r;
		}
		if (stage2_topup(v))
			return -ENOMEM;
		r = inner_loop(v);
		if (r == EXIT_SLEEP)
			r = outer_work(v);
	} while (r == EXIT_AGAIN);
	return r;
}

/* HV_RUN */
static long vcpu_run(struct hv_vcpu *v)
{
	struct hv_run *run = v->run;
	u32 flags = READ_ONCE(run->flags);
	u64 wanted = READ_ONCE(run->wanted), dirty = READ_ONCE(run->dirty);
	int r;

	if (flags & ~HV_RUN_EXIT_HLT || (wanted | dirty) & ~HV_REGS_ALL)
		return -EINVAL;
	if (dirty) {
		WRITE_ONCE(run->dirty, 0);
		r = state_load(v, dirty);
		if (r)
			return r;
	}
	exit_complete(v);
	v->exit_on_hlt = flags & HV_RUN_EXIT_HLT;
	v->exit_groups = 0;
	v->slow_gpa = ~0ULL;
	v->yield_to = NULL;
	v->has_run = true;
	WRITE_ONCE(v->task, current);
	if (READ_ONCE(run->immediate_exit))
		r = -EINTR;
	else
		r = run_loop(v);
	WRITE_ONCE(v->task, NULL);
	if (r == -EINTR)
		exit_set_reason(v, HV_EXIT_SIGNAL);
	state_store(v, wanted | v->exit_groups);
	return r;
}

/* ------------------------------------------------------------------------- */
/* The other calls                                                            */

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
	lapic_save(&v->lapic, ktime_get_ns(), l->regs);
	l->tsc_deadline = v->lapic.tsc_deadline;
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
	if (lapic_load(&v->lapic, ktime_get_ns(), l->regs)) {
		v->lapic.tsc_deadline = l->tsc_deadline;
		clock_timer_resume(v);
		v->scan = true;
	} else {
		r = -EINVAL;
	}
	kfree(l);
	return r;
}

/* The calls that need the vCPU for themselves. */
static long vcpu_locked_ioctl(struct hv_vcpu *v, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case HV_RUN:
		return arg ? -EINVAL : vcpu_run(v);
	case HV_GET_REGS:
		return vcpu_regs(v, arg, true);
	case HV_SET_REGS:
		return vcpu_regs(v, arg, false);
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
		vcpu_request(v, REQ_NMI);
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
	clock_timer_cancel(v);
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

	if (!v)
		return NULL;
	v->vm = vm;
	v->id = id;
	v->serial = atomic64_inc_return(&serials);
	v->cpu = -1;
	v->slow_gpa = ~0ULL;
	mutex_init(&v->lock);
	rcuwait_init(&v->wait);
	clock_timer_init(v);
	v->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!v->run || fpu_create(v) || hv_op(vcpu_create)(v)) {
		vcpu_destroy(v);
		return NULL;
	}
	v->cpuid = hv_host.cpuid;
	cpuid_set_apic_id(&v->cpuid, id);
	state_cpuid_changed(v);
	state_reset(v, false);
	v->tsc_offset = READ_ONCE(vm->tsc_offset);
	hv_op(update_tsc_offset)(v);
	v->mp_state = id ? HV_MP_UNINIT : HV_MP_RUNNABLE;
	return v;
}

/* HV_CREATE_VCPU: a descriptor, -EEXIST, -ENOMEM, -EMFILE. */
int vcpu_create_fd(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *v;
	struct file *file;
	int fd, r;

	mutex_lock(&vm->lock);
	r = -EEXIST;
	if (vm->vcpus[id])
		goto out;
	r = -ENOMEM;
	v = vcpu_create(vm, id);
	if (!v)
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
