// SPDX-License-Identifier: GPL-2.0
/*
 * The module's own access to guest memory: by guest-physical address, by the
 * guest's page tables, and the bytes of the instruction at RIP. All of it works
 * with preemption off; a host page that is not there is reported, and brought
 * in outside the run loop (vcpu->slow_gpa). But for records that the module
 * writes, which happens there anyway.
 */
#include <linux/uaccess.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "hv_internal.h"

#define PTE_P	 BIT_ULL(0)
#define PTE_PS	 BIT_ULL(7)
#define PTE_ADDR 0x000ffffffffff000ULL

static void __user *find_hva(struct hv_vcpu *v, u64 gpa, bool write)
{
	const struct hv_slot_entry *e = slot_find(v, gpa >> PAGE_SHIFT);

	if (!e || (write && e->flags & HV_SLOT_READONLY))
		return NULL;
	return (void __user *)(unsigned long)(e->hva + (gpa - (e->gfn << PAGE_SHIFT)));
}

static int need_page(struct hv_vcpu *v, u64 gpa)
{
	v->slow_gpa = gpa;
	v->slow_write = false;
	return -EFAULT;
}

/* From one page. 0, GUEST_NO_SLOT, or -EFAULT where the page is not there now. */
static int get(struct hv_vcpu *v, u64 gpa, void *buf, unsigned int len)
{
	const void __user *p = find_hva(v, gpa, false);
	unsigned long left;

	if (!p)
		return GUEST_NO_SLOT;
	pagefault_disable();
	left = __copy_from_user_inatomic(buf, p, len);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

/* [gpa, gpa + len) lies in one page. 0, GUEST_NO_SLOT, or -EFAULT. */
int guest_read(struct hv_vcpu *v, u64 gpa, void *buf, unsigned int len)
{
	int r = get(v, gpa, buf, len);

	return r == -EFAULT ? need_page(v, gpa) : r;
}

/*
 * Eight bytes that lie in one page, inline: the walk below does this four
 * times for an instruction. Slots hold only addresses of user space.
 */
static __always_inline int read_u64(struct hv_vcpu *v, u64 gpa, u64 *value)
{
	const u64 __user *p = find_hva(v, gpa, false);

	if (unlikely(!p))
		return GUEST_NO_SLOT;
	__uaccess_begin_nospec();
	unsafe_get_user(*value, p, absent);
	__uaccess_end();
	return 0;
absent:
	__uaccess_end();
	return need_page(v, gpa);
}

/* One entry of the guest's page tables; entry_len is 4 or 8. */
static __always_inline int read_entry(struct hv_vcpu *v, u64 gpa, unsigned int entry_len,
				      u64 *entry)
{
	int r = read_u64(v, gpa & ~7ULL, entry);

	if (entry_len == 4)
		*entry = gpa & 4 ? *entry >> 32 : (u32)*entry;
	return r;
}

/*
 * gva to gpa by the guest's own tables, without permission checks: the caller
 * reads an instruction that the processor has just fetched. AMD APM Vol. 2,
 * ch. 5; Intel SDM Vol. 3, ch. 4. GUEST_NO_PAGE when an entry is not present
 * (the guest changed it meanwhile).
 */
static int translate(struct hv_vcpu *v, u64 gva, u64 *gpa)
{
	bool lma = v->efer & EFER_LMA, pae = v->cr4 & X86_CR4_PAE;
	unsigned int bits = pae ? 9 : 10, entry_len = pae ? 8 : 4;
	int levels = lma ? 4 : pae ? 3 : 2;
	u64 table, entry, offset_mask;
	int r;

	if (!(v->cr0 & X86_CR0_PG)) {
		*gpa = gva & 0xffffffff;
		return 0;
	}
	if (!lma)
		gva &= 0xffffffff;
	table = hv_op(read_cr3)(v);
	table &= lma || !pae ? PTE_ADDR : PAE_CR3_ADDR;
	while (levels--) {
		unsigned int shift = PAGE_SHIFT + bits * levels;
		u64 index = (gva >> shift) & ((1U << bits) - 1);

		r = read_entry(v, table + index * entry_len, entry_len, &entry);
		if (r)
			return r;
		if (!(entry & PTE_P))
			return GUEST_NO_PAGE;
		if (levels == 0 ||
		    (entry & PTE_PS && levels <= (lma ? 2 : 1) && (pae || v->cr4 & X86_CR4_PSE))) {
			offset_mask = (1ULL << shift) - 1;
			/* A 4 MiB page of 32-bit paging: address bits 39:32 in 20:13. */
			if (!pae && levels == 1)
				entry = (entry & 0xffc00000) | ((entry >> 13 & 0xff) << 32);
			*gpa = (entry & PTE_ADDR & ~offset_mask) | (gva & offset_mask);
			*gpa &= v->gpa_mask;
			return 0;
		}
		table = entry & PTE_ADDR;
	}
	return GUEST_NO_PAGE;
}

/*
 * The bytes at CS:RIP: how many could be read, up to HV_INSN_MAX, into a buffer
 * of 16. Those of the next page are left out when that page cannot be read: the
 * instruction may well end before it.
 */
static int fetch(struct hv_vcpu *v, u8 *buf)
{
	u64 gva = v->gprs.rip, gpa, *words = (u64 *)buf;
	unsigned int first;
	int r;

	if (code_mode(v) != DECODE_64)
		gva = (u32)(gva + hv_op(seg_base)(v, SEG_CS));
	r = translate(v, gva, &gpa);
	if (r)
		return r;
	first = PAGE_SIZE - (gva & ~PAGE_MASK);
	if (likely(first >= 16)) {
		r = read_u64(v, gpa, &words[0]);
		if (!r)
			r = read_u64(v, gpa + 8, &words[1]);
		return r ? r : HV_INSN_MAX;
	}
	first = min_t(unsigned int, first, HV_INSN_MAX);
	r = guest_read(v, gpa, buf, first);
	if (r || first == HV_INSN_MAX)
		return r ? r : HV_INSN_MAX;
	r = translate(v, gva + first, &gpa);
	if (!r)
		r = guest_read(v, gpa, buf + first, HV_INSN_MAX - first);
	if (r == -EFAULT)
		return r;
	return r ? first : HV_INSN_MAX;
}

/* In the run loop: preemption is off, and slots stay for as long. */
int guest_fetch(struct hv_vcpu *v, u8 *buf)
{
	int r;

	pagefault_disable();
	r = fetch(v, buf);
	pagefault_enable();
	return r;
}

/* ------------------------------------------------------------------------- */
/* Records                                                                    */

void guest_record_set(struct guest_record *r, u64 gpa, unsigned int len)
{
	r->gpa = gpa;
	r->in_use = (gpa & ~PAGE_MASK) + len <= PAGE_SIZE;
	r->stale = r->in_use;
}

void guest_record_clear(struct guest_record *r)
{
	r->in_use = false;
	r->stale = false;
}

/* To one page, if that is there and can be written. */
static bool put(struct hv_vcpu *v, u64 gpa, const void *buf, unsigned int len)
{
	void __user *p = find_hva(v, gpa, true);
	unsigned long left;

	pagefault_disable();
	left = p ? __copy_to_user_inatomic(p, buf, len) : len;
	pagefault_enable();
	return !left;
}

/*
 * A reader waits while the version is odd, and looks anew when it has changed. It goes on from
 * what is there, which another VM may have written that this one is the successor of.
 */
static bool put_record(struct hv_vcpu *v, const struct guest_record *r, void *image,
		       unsigned int len, u32 *version)
{
	u64 version_gpa = r->gpa + ((void *)version - image);

	if (get(v, version_gpa, version, sizeof(*version)))
		return false;
	*version |= 1;
	if (!put(v, version_gpa, version, sizeof(*version)))
		return false;
	smp_wmb();
	if (!put(v, r->gpa, image, len))
		return false;
	smp_wmb();
	++*version;
	return put(v, version_gpa, version, sizeof(*version));
}

bool guest_record_read(struct hv_vcpu *v, const struct guest_record *r, void *image,
		       unsigned int len)
{
	bool ok;

	raw_spin_lock(&v->vm->s2_lock);
	ok = get(v, r->gpa, image, len) == 0;
	raw_spin_unlock(&v->vm->s2_lock);
	return ok;
}

/* The host may take the page away again before it is written, but hardly always. */
#define RECORD_TRIES 3

void guest_record_write(struct hv_vcpu *v, struct guest_record *r, void *image, unsigned int len,
			u32 *version)
{
	enum stage2_result found;
	unsigned int i;

	r->stale = true;
	for (i = 0; i < RECORD_TRIES && r->stale; i++) {
		found = stage2_fault_slow(v, r->gpa, true);
		if (found == S2_OK) {
			/* Outside a stay slots remain for as long as this is held. */
			raw_spin_lock(&v->vm->s2_lock);
			r->stale = !put_record(v, r, image, len, version);
			raw_spin_unlock(&v->vm->s2_lock);
		} else if (found != S2_RETRY) {
			break;
		}
	}
	v->records_stale |= r->stale;
}
