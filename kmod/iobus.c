// SPDX-License-Identifier: GPL-2.0
/*
 * I/O completed in the kernel: writes to a port or address that signal an
 * eventfd (HV_IOEVENTFD). The set is one sorted array, replaced as a whole, so
 * that the run loop reads it without a lock.
 */
#include <linux/eventfd.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "hv_internal.h"

/* Bounds the memory that a caller can make the kernel hold. */
#define MAX_ENTRIES 1024

struct entry {
	u64 addr;
	u64 datamatch;
	struct eventfd_ctx *ctx;
	u8 len; /* 0: any */
	bool pio;
	bool match;
};

struct hv_iobus {
	unsigned int count;
	struct entry e[];
};

/* Ports before addresses, ascending. */
static bool before(const struct entry *a, bool pio, u64 addr)
{
	if (a->pio != pio)
		return a->pio;
	return a->addr < addr;
}

static unsigned int lower_bound(const struct hv_iobus *b, bool pio, u64 addr)
{
	unsigned int lo = 0, hi = b->count;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (before(&b->e[mid], pio, addr))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool iobus_write(struct hv_vcpu *v, bool pio, u64 addr, unsigned int len, u64 value)
{
	const struct hv_iobus *b =
		rcu_dereference_check(v->vm->iobus, vcpu_stays(v) || lockdep_is_held(&v->vm->lock));
	unsigned int i;

	if (!b)
		return false;
	for (i = lower_bound(b, pio, addr); i < b->count; i++) {
		const struct entry *e = &b->e[i];

		if (e->pio != pio || e->addr != addr)
			return false;
		if ((!e->len || e->len == len) && (!e->match || e->datamatch == value)) {
			compat_eventfd_signal(e->ctx);
			return true;
		}
	}
	return false;
}

static bool same(const struct entry *a, const struct entry *b)
{
	return a->pio == b->pio && a->addr == b->addr && a->len == b->len && a->match == b->match &&
	       (!a->match || a->datamatch == b->datamatch);
}

static int check(const struct hv_ioeventfd *i)
{
	u32 known = HV_IOEVENTFD_DEASSIGN | HV_IOEVENTFD_PIO | HV_IOEVENTFD_DATAMATCH;

	if (i->flags & ~known)
		return -EINVAL;
	if (i->len != 0 && i->len != 1 && i->len != 2 && i->len != 4 && i->len != 8)
		return -EINVAL;
	if (i->flags & HV_IOEVENTFD_PIO &&
	    (i->len == 8 || i->addr + i->len > 0x10000 || i->addr > 0xffff))
		return -EINVAL;
	if (i->flags & HV_IOEVENTFD_DATAMATCH && !i->len)
		return -EINVAL;
	if (!(i->flags & HV_IOEVENTFD_DATAMATCH) && i->datamatch)
		return -EINVAL;
	return i->addr + i->len < i->addr ? -EINVAL : 0;
}

static struct hv_iobus *alloc(unsigned int count)
{
	return kzalloc(struct_size((struct hv_iobus *)NULL, e, count), GFP_KERNEL_ACCOUNT);
}

/* When it returns, no vCPU signals an eventfd that it found in the old one. */
static void replace(struct hv_vm *vm, struct hv_iobus *old, struct hv_iobus *next)
{
	rcu_assign_pointer(vm->iobus, next);
	vm_synchronize(vm);
	kfree(old);
}

static int assign(struct hv_vm *vm, struct hv_iobus *old, const struct entry *new)
{
	unsigned int n = old ? old->count : 0, i, at;
	struct hv_iobus *next;

	if (n >= MAX_ENTRIES)
		return -ENOSPC;
	for (i = 0; i < n; i++)
		if (same(&old->e[i], new))
			return -EEXIST;
	next = alloc(n + 1);
	if (!next)
		return -ENOMEM;
	at = old ? lower_bound(old, new->pio, new->addr) : 0;
	if (old) {
		memcpy(next->e, old->e, at * sizeof(*new));
		memcpy(next->e + at + 1, old->e + at, (n - at) * sizeof(*new));
	}
	next->e[at] = *new;
	next->count = n + 1;
	replace(vm, old, next);
	return 0;
}

static int deassign(struct hv_vm *vm, struct hv_iobus *old, const struct entry *gone)
{
	unsigned int n = old ? old->count : 0, i;
	struct eventfd_ctx *ctx;
	struct hv_iobus *next;

	for (i = 0; i < n; i++)
		if (same(&old->e[i], gone) && old->e[i].ctx == gone->ctx)
			break;
	if (i == n)
		return -ENOENT;
	next = alloc(n - 1);
	if (!next)
		return -ENOMEM;
	memcpy(next->e, old->e, i * sizeof(*gone));
	memcpy(next->e + i, old->e + i + 1, (n - i - 1) * sizeof(*gone));
	next->count = n - 1;
	ctx = old->e[i].ctx;
	replace(vm, old, next);
	eventfd_ctx_put(ctx);
	return 0;
}

int iobus_ioeventfd(struct hv_vm *vm, const struct hv_ioeventfd *i)
{
	struct entry e = {
		.addr = i->addr,
		.datamatch = i->datamatch,
		.len = i->len,
		.pio = i->flags & HV_IOEVENTFD_PIO,
		.match = i->flags & HV_IOEVENTFD_DATAMATCH,
	};
	bool remove = i->flags & HV_IOEVENTFD_DEASSIGN;
	struct hv_iobus *old;
	int r = check(i);

	if (r)
		return r;
	e.ctx = eventfd_ctx_fdget(i->fd);
	if (IS_ERR(e.ctx))
		return PTR_ERR(e.ctx);
	mutex_lock(&vm->lock);
	old = rcu_dereference_protected(vm->iobus, lockdep_is_held(&vm->lock));
	r = remove ? deassign(vm, old, &e) : assign(vm, old, &e);
	mutex_unlock(&vm->lock);
	/* A new entry keeps the reference. */
	if (r || remove)
		eventfd_ctx_put(e.ctx);
	return r;
}

void iobus_free(struct hv_vm *vm)
{
	struct hv_iobus *b = rcu_dereference_protected(vm->iobus, true);
	unsigned int i;

	for (i = 0; b && i < b->count; i++)
		eventfd_ctx_put(b->e[i].ctx);
	kfree(b);
	RCU_INIT_POINTER(vm->iobus, NULL);
}
