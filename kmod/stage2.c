// SPDX-License-Identifier: GPL-2.0
/*
 * Stage-2 page tables: guest-physical to host-physical. Filled on fault, and
 * emptied by an MMU notifier, so that no page is ever pinned: swapping, KSM,
 * migration and unmapping by the monitor work as for any process.
 *
 * Every change is made under vm->s2_lock. A fault looks up the host page
 * without it, so it notes vm->notifier_seq first and starts again when an
 * invalidation ran meanwhile; where one of that page runs, it waits.
 */
#include <linux/hugetlb.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "hv_internal.h"

#define S2_LEVELS      4
#define S2_INDEX_BITS  9
#define S2_ENTRIES     (1U << S2_INDEX_BITS)
#define S2_ADDR_MASK   0x000ffffffffff000ULL
#define S2_LARGE_PAGES (1ULL << S2_INDEX_BITS) /* 4 KiB pages in a large one */

static inline unsigned int s2_index(u64 gfn, int level)
{
	return (gfn >> (S2_INDEX_BITS * level)) & (S2_ENTRIES - 1);
}

/* Frames that one entry of a level covers. Level 0 holds 4 KiB pages. */
static inline u64 s2_span(int level)
{
	return 1ULL << (S2_INDEX_BITS * level);
}

static inline u64 *s2_table(u64 entry)
{
	return __va(entry & S2_ADDR_MASK);
}

static inline bool s2_present(u64 entry)
{
	return entry & hv_host.ops->s2->present;
}

/* Levels 0 (always) and 1 (large) can hold leaves. */
static inline bool s2_is_leaf(u64 entry, int level)
{
	return level == 0 || (level == 1 && entry & hv_host.ops->s2->large);
}

/* ------------------------------------------------------------------------- */
/* Memory for tables                                                          */

static_assert(HV_PGCACHE_PAGES == S2_LEVELS - 1);

int stage2_refill(struct hv_vcpu *v)
{
	struct hv_pgcache *c = &v->pgcache;

	while (c->count < HV_PGCACHE_PAGES) {
		void *page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return -ENOMEM;
		c->page[c->count++] = page;
	}
	return 0;
}

void stage2_free_cache(struct hv_vcpu *v)
{
	while (v->pgcache.count)
		free_page((unsigned long)v->pgcache.page[--v->pgcache.count]);
}

static void free_table(u64 *table, int level)
{
	unsigned int i;

	for (i = 0; level > 0 && i < S2_ENTRIES; i++)
		if (s2_present(table[i]) && !s2_is_leaf(table[i], level))
			free_table(s2_table(table[i]), level - 1);
	free_page((unsigned long)table);
	cond_resched();
}

/* ------------------------------------------------------------------------- */
/* Removing mappings                                                          */

/*
 * Remove the mappings of [gfn, end) below one table. Tables stay, but for those
 * a large page takes the place of. Returns whether anything was removed.
 */
static bool zap_range(u64 *table, int level, u64 base, u64 gfn, u64 end)
{
	u64 span = s2_span(level);
	unsigned int i = gfn > base ? (gfn - base) / span : 0;
	bool zapped = false;

	for (; i < S2_ENTRIES && base + i * span < end; i++) {
		u64 entry = table[i];

		if (!s2_present(entry))
			continue;
		if (s2_is_leaf(entry, level)) {
			WRITE_ONCE(table[i], 0);
			zapped = true;
		} else {
			zapped |= zap_range(s2_table(entry), level - 1, base + i * span, gfn, end);
		}
	}
	return zapped;
}

static void flush_ack(void *unused)
{
}

/*
 * No vCPU uses a translation that was removed before this call: each is told to
 * flush before it enters again, and those in the guest are made to leave.
 */
static void flush_all(struct hv_vm *vm)
{
	struct hv_vcpu *v;
	cpumask_var_t mask;
	unsigned int i;
	bool have_mask = zalloc_cpumask_var(&mask, GFP_ATOMIC);

	preempt_disable();
	hv_for_each_vcpu (vm, i, v) {
		int cpu;

		vcpu_request(v, REQ_TLB_FLUSH);
		/* Pairs with the barrier between mode and requests on entry. */
		smp_mb();
		if (READ_ONCE(v->mode) != VCPU_IN_GUEST)
			continue;
		cpu = READ_ONCE(v->cpu);
		if (have_mask && cpu >= 0 && cpu != smp_processor_id())
			cpumask_set_cpu(cpu, mask);
	}
	if (!have_mask)
		smp_call_function(flush_ack, NULL, 1);
	else if (!cpumask_empty(mask))
		smp_call_function_many(mask, flush_ack, NULL, 1);
	preempt_enable();
	if (have_mask)
		free_cpumask_var(mask);
}

/*
 * Whoever needs removed entries to be out of use waits here, also for those that
 * another caller removed and has not flushed yet.
 */
static void flush_pending(struct hv_vm *vm)
{
	bool need;
	u64 gen;

	raw_spin_lock(&vm->s2_lock);
	gen = vm->zap_gen;
	need = gen != vm->flushed_gen;
	raw_spin_unlock(&vm->s2_lock);
	if (!need)
		return;
	flush_all(vm);
	raw_spin_lock(&vm->s2_lock);
	if (gen > vm->flushed_gen)
		vm->flushed_gen = gen;
	raw_spin_unlock(&vm->s2_lock);
}

/* Guest frames. */
struct gfn_range {
	u64 gfn, end;
};

/* Those that the slot maps on [start, end), if any. */
static bool overlap(const struct hv_slot_entry *e, u64 start, u64 end, struct gfn_range *r)
{
	u64 lo = max(start, e->hva);
	u64 hi = min(end, e->hva + (e->npages << PAGE_SHIFT));

	if (lo >= hi)
		return false;
	r->gfn = e->gfn + ((lo - e->hva) >> PAGE_SHIFT);
	r->end = e->gfn + ((hi - e->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
	return true;
}

/* Frames at a time, so that s2_lock is held for a bounded time: 128 MiB. */
#define PIECE (S2_LARGE_PAGES * 64)

/*
 * Under s2_lock: the next piece behind *r of the frames that slots map on [start, end). Between two
 * pieces the slots may change.
 */
static bool next_piece(const struct hv_vm *vm, u64 start, u64 end, struct gfn_range *r)
{
	const struct hv_slots *slots =
		rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->s2_lock));
	u64 behind = r->end;
	unsigned int i;

	for (i = 0; slots && i < slots->count; i++) {
		if (!overlap(&slots->e[i], start, end, r) || r->end <= behind)
			continue;
		r->gfn = max(r->gfn, behind);
		r->end = min(r->end, ALIGN(r->gfn + 1, PIECE));
		return true;
	}
	return false;
}

/* Remove the mappings of what slots map on [start, end). */
static void zap_hva_range(struct hv_vm *vm, u64 start, u64 end, bool may_sleep)
{
	struct gfn_range r = {0};
	bool more;

	do {
		raw_spin_lock(&vm->s2_lock);
		more = next_piece(vm, start, end, &r);
		if (more && zap_range(vm->s2_root, S2_LEVELS - 1, 0, r.gfn, r.end))
			vm->zap_gen++;
		raw_spin_unlock(&vm->s2_lock);
		if (may_sleep)
			cond_resched();
	} while (more);
	flush_pending(vm);
}

/* Faults must not map what is about to go, which is in [start, end), from here to stage2_unmap_end(). */
static void invalidate_begin(struct hv_vm *vm, u64 start, u64 end)
{
	raw_spin_lock(&vm->s2_lock);
	vm->notifier_start = vm->notifier_count ? min(vm->notifier_start, start) : start;
	vm->notifier_end = vm->notifier_count ? max(vm->notifier_end, end) : end;
	vm->notifier_count++;
	raw_spin_unlock(&vm->s2_lock);
}

void stage2_unmap_end(struct hv_vm *vm)
{
	raw_spin_lock(&vm->s2_lock);
	vm->notifier_seq++;
	vm->notifier_count--;
	raw_spin_unlock(&vm->s2_lock);
	if (wq_has_sleeper(&vm->notifier_wait))
		wake_up_all(&vm->notifier_wait);
}

/* Under s2_lock: may what is in [start, end) be about to go? */
static bool is_invalidated(const struct hv_vm *vm, u64 start, u64 end)
{
	return vm->notifier_count && start < vm->notifier_end && end > vm->notifier_start;
}

static bool page_invalidated(struct hv_vm *vm, u64 hva)
{
	bool r;

	raw_spin_lock(&vm->s2_lock);
	r = is_invalidated(vm, hva, hva + PAGE_SIZE);
	raw_spin_unlock(&vm->s2_lock);
	return r;
}

void stage2_unmap_begin(struct hv_vm *vm, const struct hv_slot_entry *e)
{
	u64 end = e->hva + (e->npages << PAGE_SHIFT);

	invalidate_begin(vm, e->hva, end);
	zap_hva_range(vm, e->hva, end, true);
}

/* ------------------------------------------------------------------------- */
/* Following the host                                                         */

static int notifier_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct hv_vm *vm = container_of(mn, struct hv_vm, notifier);

	invalidate_begin(vm, range->start, range->end);
	zap_hva_range(vm, range->start, range->end, mmu_notifier_range_blockable(range));
	return 0;
}

static void notifier_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	stage2_unmap_end(container_of(mn, struct hv_vm, notifier));
}

/* Clear the accessed bits below one table; returns whether one was set. */
static bool age_range(u64 *table, int level, u64 base, u64 gfn, u64 end, bool clear)
{
	u64 accessed = hv_host.ops->s2->accessed, span = s2_span(level);
	unsigned int i = gfn > base ? (gfn - base) / span : 0;
	bool young = false;

	for (; i < S2_ENTRIES && base + i * span < end; i++) {
		u64 entry = READ_ONCE(table[i]);

		if (!s2_present(entry)) {
			continue;
		} else if (!s2_is_leaf(entry, level)) {
			young |= age_range(s2_table(entry), level - 1, base + i * span, gfn, end,
					   clear);
		} else if (entry & accessed) {
			young = true;
			/* The processor sets bits in the entry meanwhile. */
			if (clear)
				clear_bit(__ffs64(accessed), (unsigned long *)&table[i]);
		}
	}
	return young;
}

static bool age(struct mmu_notifier *mn, u64 start, u64 end, bool clear)
{
	struct hv_vm *vm = container_of(mn, struct hv_vm, notifier);
	struct gfn_range r = {0};
	bool young = false, more;

	do {
		raw_spin_lock(&vm->s2_lock);
		more = next_piece(vm, start, end, &r);
		if (more)
			young |= age_range(vm->s2_root, S2_LEVELS - 1, 0, r.gfn, r.end, clear);
		raw_spin_unlock(&vm->s2_lock);
	} while (more);
	return young;
}

/*
 * Reclaim asks which pages are in use. No TLB flush: a translation that stays
 * cached only makes the page look idle a little longer.
 */
static compat_young_t notifier_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
						 unsigned long start, unsigned long end)
{
	return age(mn, start, end, true);
}

static compat_young_t notifier_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
					  unsigned long address)
{
	return age(mn, address, address + PAGE_SIZE, false);
}

/* The process is going: nothing of its memory may stay mapped. */
static void notifier_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct hv_vm *vm = container_of(mn, struct hv_vm, notifier);

	invalidate_begin(vm, 0, ~0ULL);
	zap_hva_range(vm, 0, ~0ULL, true);
	stage2_unmap_end(vm);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = notifier_start,
	.invalidate_range_end = notifier_end,
	.clear_flush_young = notifier_clear_flush_young,
	.clear_young = notifier_clear_flush_young,
	.test_young = notifier_test_young,
	.release = notifier_release,
};

/* ------------------------------------------------------------------------- */
/* Filling                                                                    */

/*
 * Does the host map hva by a page of at least 2 MiB? Walks the host's tables
 * with interrupts off, which keeps them from being freed (as get_user_pages_fast).
 */
static bool host_maps_large(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	bool large = false;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	large = pud_leaf(pud);
	if (large)
		goto out;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	large = pmd_present(pmd) && pmd_leaf(pmd);
out:
	local_irq_restore(flags);
	return large;
}

/* The whole 2 MiB around gfn lies in the slot, and both sides are aligned alike. */
static bool slot_allows_large(const struct hv_slot_entry *e, u64 gfn)
{
	u64 first = gfn & ~(S2_LARGE_PAGES - 1);

	return first >= e->gfn && first + S2_LARGE_PAGES <= e->gfn + e->npages &&
	       ((e->hva >> PAGE_SHIFT) - e->gfn) % S2_LARGE_PAGES == 0;
}

/* A translation to be entered; and what came of that. */
struct mapping {
	u64 gfn, pfn;
	bool writable, large;
	bool may_flush;	   /* a translation may be replaced */
	bool flush;	   /* one was: what CPUs have cached of it must go */
	u64 *unused_table; /* to be freed after that; or NULL */
};

/*
 * Enter one translation. The caller holds s2_lock and has checked the notifier.
 * False: no page left in the cache, or one would have to be replaced and may not.
 */
static bool map_locked(struct hv_vcpu *v, struct mapping *m)
{
	const struct hv_s2_format *f = hv_host.ops->s2;
	int leaf_level = m->large ? 1 : 0, level;
	u64 *table = v->vm->s2_root;
	u64 entry, old, *slot;

	for (level = S2_LEVELS - 1; level > leaf_level; level--) {
		slot = &table[s2_index(m->gfn, level)];
		if (!s2_present(*slot) || s2_is_leaf(*slot, level)) {
			if (!v->pgcache.count || (s2_present(*slot) && !m->may_flush))
				return false;
			m->flush |= s2_present(*slot);
			WRITE_ONCE(*slot, __pa(v->pgcache.page[--v->pgcache.count]) | f->table);
		}
		table = s2_table(*slot);
	}

	slot = &table[s2_index(m->gfn, leaf_level)];
	old = *slot;
	entry = (m->pfn << PAGE_SHIFT) | f->leaf | f->accessed;
	if (m->large)
		entry |= f->large;
	if (m->writable)
		entry |= f->write;
	if (s2_present(old)) {
		bool leaf = s2_is_leaf(old, leaf_level);

		if (!leaf || (old & S2_ADDR_MASK) != (entry & S2_ADDR_MASK)) {
			if (!m->may_flush)
				return false;
			m->flush = true;
			m->unused_table = leaf ? NULL : s2_table(old);
		} else if (old & f->write) {
			return true; /* another vCPU was here first */
		}
	}
	WRITE_ONCE(*slot, entry);
	return true;
}

/* Map a page that was looked up while notifier_seq was seq. */
static enum stage2_result map_page(struct hv_vcpu *v, const struct hv_slot_entry *e, u64 gfn,
				   struct page *page, bool writable, bool may_flush,
				   unsigned long seq)
{
	struct hv_vm *vm = v->vm;
	struct mapping m = {
		.gfn = gfn,
		.pfn = page_to_pfn(page),
		.writable = writable,
		.may_flush = may_flush,
	};
	u64 hva = e->hva + ((gfn - e->gfn) << PAGE_SHIFT), size = PAGE_SIZE;
	bool ok;

	if (!hv_host.small_pages && PageCompound(page) && slot_allows_large(e, gfn) &&
	    host_maps_large(vm->mm, hva)) {
		m.large = true;
		m.gfn &= ~(S2_LARGE_PAGES - 1);
		m.pfn &= ~(S2_LARGE_PAGES - 1);
		size = S2_LARGE_PAGES << PAGE_SHIFT;
		hva &= ~(size - 1);
	}
	raw_spin_lock(&vm->s2_lock);
	if (is_invalidated(vm, hva, hva + size) || vm->notifier_seq != seq) {
		/* One that has ended is no reason to wait. */
		bool wait = vm->notifier_seq == seq;

		raw_spin_unlock(&vm->s2_lock);
		return wait ? S2_SLEEP : S2_RETRY;
	}
	ok = map_locked(v, &m);
	if (m.flush)
		vm->zap_gen++;
	raw_spin_unlock(&vm->s2_lock);
	if (m.flush)
		flush_pending(vm);
	if (m.unused_table)
		free_page((unsigned long)m.unused_table);
	if (!ok)
		return S2_SLEEP;
	if (writable && !PageReserved(page))
		SetPageDirty(page);
	return S2_OK;
}

static unsigned long read_seq(struct hv_vm *vm)
{
	unsigned long seq = READ_ONCE(vm->notifier_seq);

	/* Before the page is looked up; pairs with s2_lock in the notifier. */
	smp_rmb();
	return seq;
}

/*
 * A fault on a page that the host has mapped already: no sleeping, preemption
 * off. A page that could be written is mapped so at once; one that the host
 * shares or must copy first takes the slow way.
 */
enum stage2_result stage2_fault_fast(struct hv_vcpu *v, u64 gpa, bool write)
{
	unsigned long seq = read_seq(v->vm);
	const struct hv_slot_entry *e;
	enum stage2_result r;
	struct page *page;
	u64 gfn = gpa >> PAGE_SHIFT, hva;

	e = slot_find(v, gfn);
	if (!e || (write && e->flags & HV_SLOT_READONLY))
		return S2_MMIO;
	/* Under PREEMPT_RT giving back a page may sleep. */
	if (e->flags & HV_SLOT_READONLY || IS_ENABLED(CONFIG_PREEMPT_RT))
		return S2_SLEEP;
	hva = e->hva + ((gfn - e->gfn) << PAGE_SHIFT);
	if (!get_user_page_fast_only(hva, FOLL_WRITE, &page))
		return S2_SLEEP;
	/* With interrupts off other CPUs could not be told to flush. */
	r = map_page(v, e, gfn, page, true, !hv_host.closed_stays, seq);
	put_page(page);
	return r;
}

/* Memory without struct page (VM_PFNMAP) is refused: S2_BAD. */
enum stage2_result stage2_fault_slow(struct hv_vcpu *v, u64 gpa, bool write)
{
	unsigned long seq = read_seq(v->vm);
	struct hv_slot_entry slot;
	const struct hv_slot_entry *e;
	unsigned int gup = FOLL_HWPOISON | COMPAT_FOLL_INTERRUPTIBLE | COMPAT_FOLL_HONOR_NUMA_FAULT;
	u64 gfn = gpa >> PAGE_SHIFT, hva;
	struct page *page;
	enum stage2_result r;
	long n;

	if (stage2_topup(v))
		return S2_NOMEM;
	raw_spin_lock(&v->vm->s2_lock);
	e = slot_find(v, gfn);
	if (e)
		slot = *e;
	raw_spin_unlock(&v->vm->s2_lock);
	if (!e || (write && slot.flags & HV_SLOT_READONLY))
		return S2_MMIO;
	hva = slot.hva + ((gfn - slot.gfn) << PAGE_SHIFT);

	/* Whoever takes the page away may need this CPU, which a thread with priority would not give. */
	if (page_invalidated(v->vm, hva)) {
		wait_event_interruptible(v->vm->notifier_wait, !page_invalidated(v->vm, hva));
		return S2_RETRY;
	}
	if (write)
		gup |= FOLL_WRITE;
	n = get_user_pages_unlocked(hva, 1, &page, gup);
	if (n == -EINTR || n == -EAGAIN || (n < 0 && fatal_signal_pending(current)))
		return S2_RETRY;
	if (n == -ENOMEM)
		return S2_NOMEM;
	if (n != 1)
		return S2_BAD;
	r = map_page(v, &slot, gfn, page, write, true, seq);
	put_page(page);
	return r == S2_SLEEP ? S2_RETRY : r;
}

/* ------------------------------------------------------------------------- */

int stage2_init(struct hv_vm *vm)
{
	int r;

	raw_spin_lock_init(&vm->s2_lock);
	init_waitqueue_head(&vm->notifier_wait);
	vm->s2_root = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vm->s2_root)
		return -ENOMEM;
	vm->s2_root_pa = __pa(vm->s2_root);
	/* The processor walks as many levels as the host's own tables have. */
	if (hv_host.ops->s2->as_host && pgtable_l5_enabled()) {
		vm->s2_top = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!vm->s2_top)
			return -ENOMEM;
		vm->s2_top[0] = vm->s2_root_pa | hv_host.ops->s2->table;
		vm->s2_root_pa = __pa(vm->s2_top);
	}
	vm->notifier.ops = &notifier_ops;
	r = mmu_notifier_register(&vm->notifier, vm->mm);
	if (r)
		vm->notifier.ops = NULL;
	return r;
}

/* After the notifier is gone and no vCPU is left. */
void stage2_destroy(struct hv_vm *vm)
{
	if (vm->s2_root)
		free_table(vm->s2_root, S2_LEVELS - 1);
	free_page((unsigned long)vm->s2_top);
}
