// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: which guest frames are which addresses of the monitor. The set
 * is one sorted array, replaced as a whole, so that readers in the run loop
 * need no lock.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv_internal.h"

/* Binary search. */
static const struct hv_slot_entry *find_in(const struct hv_slots *s, u64 gfn)
{
	unsigned int lo = 0, hi = s ? s->count : 0;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		const struct hv_slot_entry *e = &s->e[mid];

		if (gfn < e->gfn)
			hi = mid;
		else if (gfn - e->gfn < e->npages)
			return e;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* The slot of a frame when it is not the one found last: see slot_find(). */
const struct hv_slot_entry *slot_search(struct hv_vcpu *v, const struct hv_slots *s, u64 gfn)
{
	const struct hv_slot_entry *e = find_in(s, gfn);

	if (e)
		v->slot_hint = e - s->e;
	return e;
}

static int check(const struct hv_slot *s)
{
	if (s->slot >= HV_MAX_SLOTS || s->flags & ~HV_SLOT_READONLY)
		return -EINVAL;
	if (!PAGE_ALIGNED(s->gpa) || !PAGE_ALIGNED(s->len) || !PAGE_ALIGNED(s->hva))
		return -EINVAL;
	if (s->gpa + s->len < s->gpa || s->gpa + s->len > 1ULL << hv_host.gpa_bits)
		return -EINVAL;
	if (s->len &&
	    (s->hva + s->len < s->hva || !access_ok((void __user *)(unsigned long)s->hva, s->len)))
		return -EINVAL;
	return 0;
}

static struct hv_slots *alloc_slots(unsigned int count)
{
	/* How much it is the caller chooses: that there is none left is no matter for the log. */
	return kvzalloc(struct_size((struct hv_slots *)NULL, e, count),
			GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

/* HV_SET_SLOT: build the next array beside the old one and publish it. */
int slot_set(struct hv_vm *vm, const struct hv_slot *s)
{
	struct hv_slot_entry entry = {
		.gfn = s->gpa >> PAGE_SHIFT,
		.npages = s->len >> PAGE_SHIFT,
		.hva = s->hva,
		.id = s->slot,
		.flags = s->flags,
	};
	const struct hv_slot_entry *old = NULL;
	struct hv_slot_entry gone = {0};
	struct hv_slots *cur, *next;
	unsigned int i, n = 0;
	int r = check(s);

	if (r)
		return r;
	mutex_lock(&vm->lock);
	cur = rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->lock));
	for (i = 0; cur && i < cur->count; i++) {
		const struct hv_slot_entry *e = &cur->e[i];

		if (e->id == entry.id)
			old = e;
		else if (entry.npages && entry.gfn < e->gfn + e->npages &&
			 e->gfn < entry.gfn + entry.npages)
			r = -EEXIST;
	}
	if (!r && !entry.npages && !old)
		r = -ENOENT;
	if (!r && entry.npages && old &&
	    (old->gfn != entry.gfn || old->npages != entry.npages || old->hva != entry.hva))
		r = -EINVAL;
	if (r)
		goto out;

	next = alloc_slots((cur ? cur->count : 0) + 1);
	r = -ENOMEM;
	if (!next)
		goto out;
	for (i = 0; cur && i < cur->count; i++) {
		if (&cur->e[i] == old)
			continue;
		if (entry.npages && cur->e[i].gfn > entry.gfn) {
			next->e[n++] = entry;
			entry.npages = 0;
		}
		next->e[n++] = cur->e[i];
	}
	if (entry.npages)
		next->e[n++] = entry;
	next->count = n;
	if (old)
		gone = *old;
	/*
	 * While the mappings go, the old array is still what the MMU notifier looks
	 * at: an invalidation meanwhile must find them.
	 */
	if (gone.npages)
		stage2_unmap_begin(vm, &gone);
	raw_spin_lock(&vm->s2_lock);
	rcu_assign_pointer(vm->slots, next);
	raw_spin_unlock(&vm->s2_lock);
	if (gone.npages)
		stage2_unmap_end(vm);
	/* What the module wrote into the memory that was there is to be in that which is there now. */
	vcpu_request_all(vm, REQ_CLOCK);
	/* Nor does an access by the module that found the slot go on. */
	vm_synchronize(vm);
	kvfree(cur);
	r = 0;
out:
	mutex_unlock(&vm->lock);
	return r;
}

void slot_free_all(struct hv_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->slots, true));
	RCU_INIT_POINTER(vm->slots, NULL);
}
