/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/bitops.h>; see types.h. */
#ifndef KSHIM_BITOPS_H
#define KSHIM_BITOPS_H

#include <linux/types.h>
#include <linux/compiler.h>

#define BIT(n)	   (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))

static inline unsigned long *kshim_word(unsigned long nr, const volatile unsigned long *map)
{
	return (unsigned long *)map + nr / BITS_PER_LONG;
}

static inline unsigned long kshim_mask(unsigned long nr)
{
	return 1UL << (nr % BITS_PER_LONG);
}

static inline bool test_bit(unsigned long nr, const volatile unsigned long *map)
{
	return __atomic_load_n(kshim_word(nr, map), __ATOMIC_RELAXED) & kshim_mask(nr);
}

static inline void set_bit(unsigned long nr, volatile unsigned long *map)
{
	__atomic_fetch_or(kshim_word(nr, map), kshim_mask(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long nr, volatile unsigned long *map)
{
	__atomic_fetch_and(kshim_word(nr, map), ~kshim_mask(nr), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(unsigned long nr, volatile unsigned long *map)
{
	return __atomic_fetch_or(kshim_word(nr, map), kshim_mask(nr), __ATOMIC_SEQ_CST) &
	       kshim_mask(nr);
}

static inline void __set_bit(unsigned long nr, volatile unsigned long *map)
{
	*kshim_word(nr, map) |= kshim_mask(nr);
}

static inline void __clear_bit(unsigned long nr, volatile unsigned long *map)
{
	*kshim_word(nr, map) &= ~kshim_mask(nr);
}

/* Position of the highest set bit; undefined for 0, as in the kernel. */
static inline unsigned long __fls(unsigned long word)
{
	return BITS_PER_LONG - 1 - (unsigned long)__builtin_clzl(word);
}

static inline unsigned int hweight64(u64 w)
{
	return (unsigned int)__builtin_popcountll(w);
}

#endif
