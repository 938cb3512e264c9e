// SPDX-License-Identifier: GPL-2.0
/*
 * irqfd: an eventfd whose signal is an MSI. The signal's wake-up delivers the
 * message on the spot, in whatever context it comes.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "hv_internal.h"

/* Bounds the memory that a caller can make the kernel hold. */
#define MAX_IRQFDS 1024

struct hv_irqfd_entry {
	struct list_head list; /* vm->irqfds, under vm->lock */
	struct hv_vm *vm;
	struct eventfd_ctx *ctx;
	raw_spinlock_t lock; /* msg; inside the eventfd's own lock */
	struct lapic_msg msg;
	bool closed; /* the eventfd has no descriptor any more */
	wait_queue_entry_t wait;
	poll_table table;
};

static void deliver(struct hv_irqfd_entry *e)
{
	struct lapic_msg msg;
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	msg = e->msg;
	raw_spin_unlock_irqrestore(&e->lock, flags);
	irq_deliver(e->vm, &msg, NULL);
}

/* The eventfd was signalled or closed; its lock is held, interrupts are off. */
static int wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct hv_irqfd_entry *e = container_of(wait, struct hv_irqfd_entry, wait);
	__poll_t flags = key_to_poll(key);
	u64 count;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(e->ctx, &count);
		deliver(e);
	}
	if (flags & EPOLLHUP)
		WRITE_ONCE(e->closed, true);
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct hv_irqfd_entry *e = container_of(table, struct hv_irqfd_entry, table);

	add_wait_queue_priority(head, &e->wait);
}

/* No wake-up runs or comes any more when this returns. */
static void remove_entry(struct hv_vm *vm, struct hv_irqfd_entry *e)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(e->ctx, &e->wait, &count);
	list_del(&e->list);
	vm->nr_irqfds--;
	eventfd_ctx_put(e->ctx);
	kfree(e);
}

static void set_msg(struct hv_irqfd_entry *e, const struct lapic_msg *msg)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&e->lock, flags);
	e->msg = *msg;
	raw_spin_unlock_irqrestore(&e->lock, flags);
}

static int add_entry(struct hv_vm *vm, struct file *file, struct eventfd_ctx *ctx,
		     const struct lapic_msg *msg)
{
	struct hv_irqfd_entry *e;

	if (vm->nr_irqfds >= MAX_IRQFDS)
		return -ENOSPC;
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return -ENOMEM;
	e->vm = vm;
	e->ctx = ctx;
	e->msg = *msg;
	raw_spin_lock_init(&e->lock);
	init_waitqueue_func_entry(&e->wait, wake);
	init_poll_funcptr(&e->table, enqueue);
	list_add(&e->list, &vm->irqfds);
	vm->nr_irqfds++;
	/* What was signalled before the binding is delivered now, once. */
	if (vfs_poll(file, &e->table) & EPOLLIN)
		deliver(e);
	return 0;
}

static struct hv_irqfd_entry *find(struct hv_vm *vm, struct eventfd_ctx *ctx)
{
	struct hv_irqfd_entry *e, *next, *found = NULL;

	list_for_each_entry_safe (e, next, &vm->irqfds, list) {
		if (e->ctx == ctx)
			found = e;
		else if (READ_ONCE(e->closed))
			remove_entry(vm, e);
	}
	return found;
}

int eventfd_irqfd(struct hv_vm *vm, const struct hv_irqfd *i)
{
	bool remove = i->flags & HV_IRQFD_DEASSIGN;
	struct hv_irqfd_entry *e;
	struct eventfd_ctx *ctx;
	struct lapic_msg msg;
	struct fd f;
	int r = 0;

	if (i->flags & ~HV_IRQFD_DEASSIGN)
		return -EINVAL;
	if (!remove && !lapic_msi_msg(i->addr, i->data, &msg))
		return -EINVAL;
	f = fdget(i->fd);
	if (!fd_file(f))
		return -EBADF;
	ctx = eventfd_ctx_fileget(fd_file(f));
	if (IS_ERR(ctx)) {
		fdput(f);
		return PTR_ERR(ctx);
	}
	mutex_lock(&vm->lock);
	e = find(vm, ctx);
	if (remove && !e)
		r = -ENOENT;
	else if (remove)
		remove_entry(vm, e);
	else if (e)
		set_msg(e, &msg);
	else
		r = add_entry(vm, fd_file(f), ctx, &msg);
	mutex_unlock(&vm->lock);
	/* A new entry keeps the reference. */
	if (r || remove || e)
		eventfd_ctx_put(ctx);
	fdput(f);
	return r;
}

void eventfd_free_irqfds(struct hv_vm *vm)
{
	struct hv_irqfd_entry *e, *next;

	list_for_each_entry_safe (e, next, &vm->irqfds, list)
		remove_entry(vm, e);
}
