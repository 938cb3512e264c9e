// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of split virtqueues: what an honest driver does, every way in which a
 * hostile one can lie, and random rings.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "queue_memory.h"
#include "suite.h"

#define SIZE	   8u
#define DESC	   0x1000u
#define AVAIL	   0x2000u
#define USED	   0x3000u
#define TABLE	   0x4000u
#define DATA	   0x8000u
#define FEATURE(f) (1ULL << (f))
#define BOTH	   (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))

#define NEXT	   VRING_DESC_F_NEXT
#define WRITE	   VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT

static struct vring_avail *avail(void)
{
	return at(AVAIL);
}

static struct vring_used *used(void)
{
	return at(USED);
}

static void set_desc(uint64_t table, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

	memcpy((uint8_t *)at(table) + i * sizeof(d), &d, sizeof(d));
}

static void offer(uint16_t head)
{
	avail()->ring[avail()->idx % SIZE] = head;
	avail()->idx++;
}

static void enable(uint64_t features)
{
	queue_reset(&q, SIZE);
	q.regs = (struct queue_regs){.desc = DESC, .driver = AVAIL, .device = USED, .size = SIZE};
	ck_assert_int_eq(queue_enable(&q, &mem, features), 0);
}

static void set_up(void)
{
	make_memory();
	enable(BOTH);
}

/* Of a chain, only its head matters to the used ring. */
static void give_back(uint16_t head, uint32_t written)
{
	const struct queue_chain c = {.mem = &mem, .head = head};

	queue_push(&q, &c, written);
}

/* The queue is dead, and says why. */
static void assert_broken(const char *why)
{
	ck_assert_int_eq(queue_pop(&q, &chain), -EPROTO);
	ck_assert_ptr_nonnull(q.broken);
	ck_assert_msg(strstr(q.broken, why), "'%s' instead of '%s'", q.broken, why);
	/* And stays so, whatever is offered, and gives nothing back. */
	set_desc(DESC, 0, DATA, 16, 0, 0);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), -EPROTO);
	give_back(0, 1);
	ck_assert_uint_eq(used()->idx, 0);
	ck_assert(!queue_wants_interrupt(&q));
	ck_assert(!queue_kicks_on(&q));
}

/* ------------------------------------------------------------------------- */
/* Honest drivers                                                             */

START_TEST(empty)
{
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	ck_assert_ptr_null(q.broken);
}
END_TEST

START_TEST(one_chain)
{
	set_desc(DESC, 3, DATA, 16, NEXT, 5);
	set_desc(DESC, 5, DATA + 0x100, 512, NEXT | WRITE, 0);
	set_desc(DESC, 0, REGION + 8, 1, WRITE, 7);
	offer(3);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.head, 3);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.out_len, 16);
	ck_assert_uint_eq(chain.in_len, 513);
	ck_assert_ptr_eq(chain.out[0].iov_base, at(DATA));
	ck_assert_ptr_eq(chain.in[0].iov_base, at(DATA + 0x100));
	ck_assert_ptr_eq(chain.in[1].iov_base, at(REGION + 8));
	ck_assert_uint_eq(chain.in[1].iov_len, 1);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);

	give_back(3, 513);
	ck_assert_uint_eq(used()->idx, 1);
	ck_assert_uint_eq(used()->ring[0].id, 3);
	ck_assert_uint_eq(used()->ring[0].len, 513);
}
END_TEST

/* Buffers may end with their region, and there may be as many as the ring is long. */
START_TEST(edges)
{
	set_desc(DESC, 0, REGION - 1, 1, NEXT, 1);
	set_desc(DESC, 1, REGION, REGION, NEXT, 2);
	for (unsigned int i = 2; i < SIZE; i++)
		set_desc(DESC, i, DATA, 1, i + 1 < SIZE ? NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, SIZE);
	ck_assert_uint_eq(chain.out_len, 1 + REGION + SIZE - 2);
}
END_TEST

/* Far past the 16 bits of the indices, several chains at a time, returned out of order. */
START_TEST(wrapping)
{
	for (unsigned int i = 0; i < SIZE; i++)
		set_desc(DESC, i, DATA + i, 1, WRITE, 0);
	for (unsigned int n = 0; n < 70000; n += 4) {
		for (unsigned int i = 0; i < 4; i++)
			offer((n + i) % SIZE);
		for (unsigned int i = 0; i < 4; i++) {
			ck_assert_int_eq(queue_pop(&q, &chain), 1);
			ck_assert_uint_eq(chain.head, (n + i) % SIZE);
		}
		ck_assert_int_eq(queue_pop(&q, &chain), 0);
		for (unsigned int i = 4; i-- > 0;)
			give_back((n + i) % SIZE, 1);
		ck_assert_uint_eq(used()->idx, (uint16_t)(n + 4));
		ck_assert_uint_eq(used()->ring[n % SIZE].id, (n + 3) % SIZE);
	}
}
END_TEST

START_TEST(full_ring)
{
	for (unsigned int i = 0; i < SIZE; i++) {
		set_desc(DESC, i, DATA, 1, 0, 0);
		offer(i);
	}
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	give_back(4, 0);
	offer(4);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
}
END_TEST

START_TEST(indirect_table)
{
	/* At an odd address, behind a direct descriptor, its own WRITE flag without meaning */
	set_desc(DESC, 0, DATA, 16, NEXT, 1);
	set_desc(DESC, 1, TABLE + 1, 3 * 16, INDIRECT | WRITE, 0);
	set_desc(TABLE + 1, 0, DATA + 16, 4, NEXT, 2);
	set_desc(TABLE + 1, 2, DATA + 32, 5, WRITE | NEXT, 1);
	set_desc(TABLE + 1, 1, DATA + 64, 6, WRITE, 0);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, 2);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.in_len, 11);
	ck_assert_ptr_eq(chain.in[1].iov_base, at(DATA + 64));
}
END_TEST

/* As many descriptors as we take at all, more than the ring has. */
START_TEST(longest_indirect_table)
{
	set_desc(DESC, 0, TABLE, QUEUE_MAX * 16, INDIRECT, 0);
	for (unsigned int i = 0; i < QUEUE_MAX; i++)
		set_desc(TABLE, i, DATA + i, 1, i + 1 < QUEUE_MAX ? NEXT : 0, i + 1);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, QUEUE_MAX);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Hostile drivers: chains                                                    */

START_TEST(head_out_of_range)
{
	offer(SIZE);
	assert_broken("index is out of range");
}
END_TEST

START_TEST(next_out_of_range)
{
	set_desc(DESC, 0, DATA, 1, NEXT, 0xffff);
	offer(0);
	assert_broken("index is out of range");
}
END_TEST

START_TEST(loop_to_itself)
{
	set_desc(DESC, 0, DATA, 1, NEXT, 0);
	offer(0);
	assert_broken("loop");
}
END_TEST

START_TEST(loop_of_all)
{
	for (unsigned int i = 0; i < SIZE; i++)
		set_desc(DESC, i, DATA, 1, NEXT, (i + 1) % SIZE);
	offer(2);
	assert_broken("loop");
}
END_TEST

START_TEST(zero_length)
{
	set_desc(DESC, 0, DATA, 16, NEXT, 1);
	set_desc(DESC, 1, DATA, 0, WRITE, 0);
	offer(0);
	assert_broken("length zero");
}
END_TEST

START_TEST(bad_buffers)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{DATA, 0xffffffff},  {0, REGION + 1},
		{REGION - 1, 2}, /* from one region into the next */
		{2 * REGION - 1, 2}, {2 * REGION, 1},
		{UINT64_MAX, 1},     {UINT64_MAX - 15, 32}, /* wraps to the beginning */
		{1ULL << 63, 16},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(at(0), 0, REGION);
		enable(BOTH);
		set_desc(DESC, 0, bad[i].addr, bad[i].len, i % 2 ? WRITE : 0, 0);
		offer(0);
		assert_broken("buffer is not in memory");
	}
}
END_TEST

START_TEST(wrong_order)
{
	set_desc(DESC, 0, DATA, 16, NEXT | WRITE, 1);
	set_desc(DESC, 1, DATA, 16, 0, 0);
	offer(0);
	assert_broken("comes after");
}
END_TEST

/* Only a guest with much memory can: our region is mapped, but never touched. */
START_TEST(four_gib)
{
	const uint64_t big = 3ULL << 30;
	struct mem large = {0};

	ck_assert_int_eq(mem_add_ram(&large, 0, REGION, &error), 0);
	ck_assert_int_eq(mem_add_ram(&large, 1ULL << 32, big, &error), 0);
	mem_destroy(&mem);
	mem = large;
	enable(BOTH);
	set_desc(DESC, 0, 1ULL << 32, big, NEXT | WRITE, 1);
	set_desc(DESC, 1, 1ULL << 32, UINT32_MAX - big, WRITE, 1);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.in_len, UINT32_MAX);
	set_desc(DESC, 1, 1ULL << 32, UINT32_MAX - big + 1, WRITE, 1);
	offer(0);
	assert_broken("4 GiB");
}
END_TEST

START_TEST(indirect_not_negotiated)
{
	enable(0);
	set_desc(DESC, 0, TABLE, 16, INDIRECT, 0);
	offer(0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_nested)
{
	set_desc(DESC, 0, TABLE, 32, INDIRECT, 0);
	set_desc(TABLE, 0, TABLE, 32, INDIRECT, 0);
	offer(0);
	assert_broken("not allowed");
}
END_TEST

/* The table is the ring, so the descriptor in it is the one that named it. */
START_TEST(indirect_is_the_ring)
{
	set_desc(DESC, 0, DESC, SIZE * 16, INDIRECT, 0);
	offer(0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_and_next)
{
	set_desc(DESC, 0, TABLE, 16, INDIRECT | NEXT, 1);
	set_desc(TABLE, 0, DATA, 16, 0, 0);
	set_desc(DESC, 1, DATA, 16, 0, 0);
	offer(0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_lengths)
{
	static const uint32_t bad[] = {0, 1, 15, 17, (QUEUE_MAX + 1) * 16, 0xfffffff0, 0xffffffff};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(at(0), 0, REGION);
		enable(BOTH);
		set_desc(DESC, 0, TABLE, bad[i], INDIRECT, 0);
		offer(0);
		assert_broken("impossible length");
	}
}
END_TEST

START_TEST(indirect_elsewhere)
{
	set_desc(DESC, 0, REGION - 16, 32, INDIRECT, 0);
	offer(0);
	assert_broken("table is not in memory");
}
END_TEST

START_TEST(indirect_index)
{
	set_desc(DESC, 0, TABLE, 32, INDIRECT, 0);
	set_desc(TABLE, 0, DATA, 1, NEXT, 2);
	set_desc(TABLE, 2, DATA, 1, 0, 0); /* there, but not in the table */
	offer(0);
	assert_broken("index is out of range");
}
END_TEST

START_TEST(indirect_loop)
{
	set_desc(DESC, 0, TABLE, 32, INDIRECT, 0);
	set_desc(TABLE, 0, DATA, 1, NEXT, 1);
	set_desc(TABLE, 1, DATA, 1, NEXT, 0);
	offer(0);
	assert_broken("loop");
}
END_TEST

START_TEST(indirect_after_too_many)
{
	set_desc(DESC, 0, DATA, 1, NEXT, 1);
	set_desc(DESC, 1, TABLE, QUEUE_MAX * 16, INDIRECT, 0);
	for (unsigned int i = 0; i < QUEUE_MAX; i++)
		set_desc(TABLE, i, DATA + i, 1, NEXT, i + 1);
	offer(0);
	assert_broken("too many");
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Hostile drivers: indices and places                                        */

START_TEST(index_jumps)
{
	avail()->idx = SIZE + 1;
	assert_broken("jumped");
}
END_TEST

START_TEST(index_goes_back)
{
	set_desc(DESC, 0, DATA, 1, 0, 0);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	avail()->idx = 0;
	assert_broken("jumped");
}
END_TEST

/* More chains than there are descriptors: some are still with us. */
START_TEST(index_overtakes)
{
	for (unsigned int i = 0; i < SIZE; i++) {
		set_desc(DESC, i, DATA, 1, 0, 0);
		offer(i);
	}
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
	offer(0);
	assert_broken("jumped");
}
END_TEST

START_TEST(impossible_places)
{
	static const struct queue_regs bad[] = {
		{DESC, AVAIL, USED, 0},
		{DESC, AVAIL, USED, 3},
		{DESC, AVAIL, USED, 2 * SIZE},
		{DESC, AVAIL, USED, 0x8000},
		{DESC + 8, AVAIL, USED, SIZE},
		{DESC, AVAIL + 1, USED, SIZE},
		{DESC, AVAIL, USED + 2, SIZE},
		{REGION - 16, AVAIL, USED, SIZE},
		{DESC, REGION - 2, USED, SIZE},
		{DESC, AVAIL, REGION - 4, SIZE},
		{DESC, REGION - 4 - 2 * SIZE, USED, SIZE}, /* but for the event index */
		{DESC, AVAIL, REGION - 4 - 8 * SIZE, SIZE},
		{2 * REGION, AVAIL, USED, SIZE},
		{-16ULL, AVAIL, USED, SIZE},
		{DESC, -2ULL, USED, SIZE},
		{DESC, AVAIL, -4ULL, SIZE},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		queue_reset(&q, SIZE);
		q.regs = bad[i];
		ck_assert_int_eq(queue_enable(&q, &mem, BOTH), -EINVAL);
		ck_assert_int_eq(queue_pop(&q, &chain), 0);
		give_back(0, 0);
	}
	/* The last places that are possible */
	q.regs = (struct queue_regs){REGION - 16 * SIZE, REGION - 6 - 2 * SIZE, USED, SIZE};
	ck_assert_int_eq(queue_enable(&q, &mem, BOTH), 0);
}
END_TEST

START_TEST(rewritten_after_activation)
{
	set_desc(DESC, 0, DATA, 16, 0, 0);
	q.regs = (struct queue_regs){.desc = -16ULL, .driver = 1, .device = 3, .size = 0xffff};
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	give_back(0, 0);
	ck_assert_uint_eq(used()->idx, 1);
	ck_assert_ptr_null(q.broken);
	queue_reset(&q, SIZE);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	give_back(0, 0);
	ck_assert_uint_eq(used()->idx, 1);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Notifications                                                              */

START_TEST(interrupt_flag)
{
	enable(0);
	ck_assert(!queue_wants_interrupt(&q));
	give_back(0, 0);
	give_back(1, 0);
	ck_assert(queue_wants_interrupt(&q));
	/* Once for all of them */
	ck_assert(!queue_wants_interrupt(&q));
	avail()->flags = VRING_AVAIL_F_NO_INTERRUPT;
	give_back(0, 0);
	ck_assert(!queue_wants_interrupt(&q));
}
END_TEST

START_TEST(interrupt_event)
{
	__u16 *event = &avail()->ring[SIZE];

	*event = 2; /* after the third */
	for (unsigned int i = 0; i < 6; i++) {
		give_back(0, 0);
		ck_assert(queue_wants_interrupt(&q) == (i == 2));
	}
	/* A batch that passes it */
	*event = 8;
	for (unsigned int i = 0; i < 5; i++)
		give_back(0, 0);
	ck_assert(queue_wants_interrupt(&q));
	*event = 7;
	give_back(0, 0);
	ck_assert(!queue_wants_interrupt(&q));
	/* The flag has no meaning here. */
	avail()->flags = VRING_AVAIL_F_NO_INTERRUPT;
	*event = 12;
	give_back(0, 0);
	ck_assert(queue_wants_interrupt(&q));
}
END_TEST

START_TEST(kick_flag)
{
	enable(0);
	set_desc(DESC, 0, DATA, 1, 0, 0);
	queue_kicks_off(&q);
	ck_assert_uint_eq(used()->flags, VRING_USED_F_NO_NOTIFY);
	ck_assert(!queue_kicks_on(&q));
	ck_assert_uint_eq(used()->flags, 0);
	queue_kicks_off(&q);
	offer(0);
	ck_assert(queue_kicks_on(&q));
}
END_TEST

START_TEST(kick_event)
{
	__u16 *event = (__u16 *)&used()->ring[SIZE];

	set_desc(DESC, 0, DATA, 1, 0, 0);
	offer(0);
	queue_kicks_off(&q);
	ck_assert_uint_eq(used()->flags, 0);
	ck_assert(queue_kicks_on(&q));
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert(!queue_kicks_on(&q));
	ck_assert_uint_eq(*event, 1);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Taking from chains                                                         */

START_TEST(taking)
{
	uint8_t buf[16];

	memcpy(at(DATA), "0123456789abcdef", 16);
	set_desc(DESC, 0, DATA, 3, NEXT, 1);
	set_desc(DESC, 1, DATA + 3, 7, NEXT, 2);
	set_desc(DESC, 2, DATA + 0x100, 4, NEXT | WRITE, 3);
	set_desc(DESC, 3, DATA + 0x200, 1, WRITE, 0);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert(!chain_take(&chain, buf, 11));
	ck_assert(chain_take(&chain, buf, 5));
	ck_assert_mem_eq(buf, "01234", 5);
	ck_assert_uint_eq(chain.out_len, 5);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_ptr_eq(chain.out[0].iov_base, at(DATA + 5));
	ck_assert_uint_eq(chain.out[0].iov_len, 5);
	ck_assert(chain_take(&chain, buf, 5));
	ck_assert_uint_eq(chain.nr_out, 0);
	ck_assert(!chain_take(&chain, buf, 1));

	ck_assert(chain_take_last(&chain));
	chain_put_last(&chain, 7);
	ck_assert_uint_eq(*(uint8_t *)at(DATA + 0x200), 7);
	ck_assert_uint_eq(chain.nr_in, 1);
	ck_assert(chain_take_last(&chain));
	ck_assert_ptr_eq(chain.last, at(DATA + 0x103));
	ck_assert_uint_eq(chain.in_len, 3);
	ck_assert_uint_eq(chain_put(&chain, "xyz!", 4), 3);
	ck_assert_mem_eq(at(DATA + 0x100), "xyz\0", 4);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert(chain_take_last(&chain));
	ck_assert(!chain_take_last(&chain));
	ck_assert_uint_eq(chain_put(&chain, "x", 1), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The log of written pages                                                   */

/* Buffers count as written when they are given back, whenever the log began: the host filled them at any time. */
START_TEST(writes_are_logged)
{
	set_desc(DESC, 0, DATA, 16, NEXT, 1);
	set_desc(DESC, 1, REGION + 0xfff, 2, NEXT | WRITE, 2);
	set_desc(DESC, 2, REGION + 0x3000, 0x1000, NEXT | WRITE, 3);
	set_desc(DESC, 3, REGION + 0x8000, 1, WRITE, 0);
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert(chain_take_last(&chain));
	ck_assert_int_eq(mem_log_start(&mem, &error), 0);
	chain_put_last(&chain, 1);
	queue_push(&q, &chain, 1);
	ck_assert_uint_eq(fetch_log(), page_of(USED) | page_of(REGION) | page_of(REGION + 0x1000) |
					       page_of(REGION + 0x3000) | page_of(REGION + 0x8000));
	queue_kicks_on(&q);
	ck_assert_uint_eq(fetch_log(), page_of(USED));

	/* One that is not given back, for its driver has reset the queue. */
	offer(0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	fetch_log();
	queue_reset(&q, SIZE);
	queue_push(&q, &chain, 1);
	ck_assert_uint_eq(fetch_log(), page_of(REGION) | page_of(REGION + 0x1000) |
					       page_of(REGION + 0x3000) | page_of(REGION + 0x8000));

	enable(0);
	fetch_log();
	queue_kicks_off(&q);
	ck_assert_uint_eq(fetch_log(), page_of(USED));
	queue_kicks_on(&q);
	ck_assert_uint_eq(fetch_log(), page_of(USED));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Random rings                                                               */

/* Everything that a chain says must be inside one region. */
static void check_chain(void)
{
	uint64_t total = 0;

	ck_assert_uint_le(chain.nr_out + chain.nr_in, QUEUE_MAX);
	for (unsigned int i = 0; i < chain.nr_out + chain.nr_in; i++) {
		const uint8_t *p = chain.iov[i].iov_base;
		size_t len = chain.iov[i].iov_len;
		bool inside = false;

		for (unsigned int r = 0; r < mem.nr_regions; r++)
			inside |= p >= mem.region[r].hva && len <= REGION &&
				  p - mem.region[r].hva <= (ptrdiff_t)(REGION - len);
		ck_assert(inside && len);
		total += len;
	}
	ck_assert_uint_eq(total, chain.out_len + chain.in_len);
}

static uint64_t random_addr(void)
{
	switch (random() % 8) {
	case 0:
		return (uint64_t)random() << 33 | random();
	case 1:
		return REGION - random() % 64;
	case 2:
		return 2 * REGION - random() % 64;
	default:
		return DATA + random() % 0x4000;
	}
}

static void random_table(uint64_t table, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t len = random() % 16 ? 1 + random() % 100 : (uint32_t)random() * 2;
		uint16_t flags = random() % 4 | (random() % 6 ? 0 : INDIRECT);
		uint16_t next = random() % 16 ? random() % count : random();
		uint64_t addr = random_addr();

		if (flags & INDIRECT) {
			addr = TABLE;
			len = 16 * (1 + random() % 8) + (random() % 8 == 0);
			flags &= random() % 8 ? ~NEXT : 0xffff;
		}
		set_desc(table, i, addr, len, flags, next);
	}
}

START_TEST(random_rings)
{
	unsigned int good = 0, broken = 0;

	srandom(20);
	for (unsigned int round = 0; round < 20000; round++) {
		memset(avail(), 0, 64);
		memset(used(), 0, 128);
		enable(random() % 4 ? BOTH : 0);
		random_table(DESC, SIZE);
		random_table(TABLE, 8);
		for (unsigned int i = 0; i < SIZE; i++)
			avail()->ring[i] = random() % 32 ? random() % SIZE : random();
		avail()->idx = random() % 32 ? random() % (SIZE + 1) : random();
		while (queue_pop(&q, &chain) > 0) {
			check_chain();
			good++;
			if (random() % 2)
				queue_push(&q, &chain, 1);
			if (random() % 4 == 0)
				avail()->idx++;
			queue_wants_interrupt(&q);
		}
		broken += q.broken != NULL;
	}
	/* The generator finds both kinds often enough to be worth running. */
	ck_assert_uint_gt(good, 1000);
	ck_assert_uint_gt(broken, 1000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtqueue");
	TCase *t = tcase_create("honest");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, empty);
	tcase_add_test(t, one_chain);
	tcase_add_test(t, edges);
	tcase_add_test(t, wrapping);
	tcase_add_test(t, full_ring);
	tcase_add_test(t, indirect_table);
	tcase_add_test(t, longest_indirect_table);
	tcase_add_test(t, interrupt_flag);
	tcase_add_test(t, interrupt_event);
	tcase_add_test(t, kick_flag);
	tcase_add_test(t, kick_event);
	tcase_add_test(t, taking);
	tcase_add_test(t, writes_are_logged);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);

	t = tcase_create("hostile");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, head_out_of_range);
	tcase_add_test(t, next_out_of_range);
	tcase_add_test(t, loop_to_itself);
	tcase_add_test(t, loop_of_all);
	tcase_add_test(t, zero_length);
	tcase_add_test(t, bad_buffers);
	tcase_add_test(t, wrong_order);
	tcase_add_test(t, four_gib);
	tcase_add_test(t, indirect_not_negotiated);
	tcase_add_test(t, indirect_nested);
	tcase_add_test(t, indirect_is_the_ring);
	tcase_add_test(t, indirect_and_next);
	tcase_add_test(t, indirect_lengths);
	tcase_add_test(t, indirect_elsewhere);
	tcase_add_test(t, indirect_index);
	tcase_add_test(t, indirect_loop);
	tcase_add_test(t, indirect_after_too_many);
	tcase_add_test(t, index_jumps);
	tcase_add_test(t, index_goes_back);
	tcase_add_test(t, index_overtakes);
	tcase_add_test(t, impossible_places);
	tcase_add_test(t, rewritten_after_activation);
	tcase_add_test(t, random_rings);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
