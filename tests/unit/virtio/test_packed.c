// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of packed virtqueues: what an honest driver does, at any size and over many laps; both ways of event
 * suppression; every way in which a hostile one can lie, and random rings. What chains have in common with those of
 * split rings is in test_virtqueue.c.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "queue_memory.h"
#include "suite.h"

#define SIZE	   7u
#define DESC	   0x1000u
#define DRIVER	   0x2000u
#define DEVICE	   0x3000u
#define TABLE	   0x4000u
#define DATA	   0x8000u
#define FEATURE(f) (1ULL << (f))
#define PACKED	   FEATURE(VIRTIO_F_RING_PACKED)
#define BOTH	   (FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX))

#define NEXT	   VRING_DESC_F_NEXT
#define WRITE	   VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT
#define AVAIL	   (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED	   (1u << VRING_PACKED_DESC_F_USED)
#define WRAP	   (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* Places of the driver and of what it gets back, counted on over all laps */
static unsigned int put, got;

static struct vring_packed_desc *ring(void)
{
	return at(DESC);
}

static struct vring_packed_desc_event *driver(void)
{
	return at(DRIVER);
}

static struct vring_packed_desc_event *device(void)
{
	return at(DEVICE);
}

static bool odd(unsigned int place)
{
	return place / q.size % 2;
}

/* A place as the event structures have it */
static uint16_t event_place(unsigned int place)
{
	return place % q.size | (odd(place) ? 0 : WRAP);
}

/* The next descriptor of the ring, available. */
static void offer(uint64_t addr, uint32_t len, uint16_t flags, uint16_t id)
{
	ring()[put % q.size] = (struct vring_packed_desc){
		.addr = addr,
		.len = len,
		.id = id,
		.flags = flags | (odd(put) ? USED : AVAIL),
	};
	put++;
}

static void set_desc(uint64_t table, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct vring_packed_desc d = {.addr = addr, .len = len, .flags = flags};

	memcpy((uint8_t *)at(table) + i * sizeof(d), &d, sizeof(d));
}

static void enable_with(unsigned int size, uint64_t features)
{
	queue_reset(&q, QUEUE_MAX);
	q.regs =
		(struct queue_regs){.desc = DESC, .driver = DRIVER, .device = DEVICE, .size = size};
	memset(at(0), 0, REGION);
	ck_assert_int_eq(queue_enable(&q, &mem, features | PACKED), 0);
	put = got = 0;
}

static void set_up(void)
{
	make_memory();
	enable_with(SIZE, BOTH);
}

static bool is_back(void)
{
	uint16_t flags = ring()[got % q.size].flags & (AVAIL | USED);

	return flags == (odd(got) ? 0 : AVAIL | USED);
}

/* The chain of count descriptors that came back next is this one. */
static void expect_back(uint16_t id, uint32_t written, unsigned int count)
{
	ck_assert(is_back());
	ck_assert_uint_eq(ring()[got % q.size].id, id);
	ck_assert_uint_eq(ring()[got % q.size].len, written);
	got += count;
}

/* A chain there, and back. */
static void pop_push(uint32_t written)
{
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	queue_push(&q, &chain, written);
}

/* count chains of one descriptor there, and back. */
static void round_trips(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		offer(DATA, 1, 0, 0);
		pop_push(0);
	}
}

/* The queue is dead, and says why. */
static void assert_broken(const char *why)
{
	uint8_t before[SIZE * 16];

	ck_assert_int_eq(queue_pop(&q, &chain), -EPROTO);
	ck_assert_ptr_nonnull(q.broken);
	ck_assert_msg(strstr(q.broken, why), "'%s' instead of '%s'", q.broken, why);
	/* And stays so, whatever is offered, and gives nothing back. */
	offer(DATA, 16, 0, 0);
	memcpy(before, ring(), sizeof(before));
	ck_assert_int_eq(queue_pop(&q, &chain), -EPROTO);
	chain = (struct queue_chain){.mem = &mem};
	queue_push(&q, &chain, 1);
	ck_assert_mem_eq(before, ring(), sizeof(before));
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
	/* The id is the last one's, and any number. */
	offer(DATA, 16, NEXT, 1);
	offer(DATA + 0x100, 512, NEXT | WRITE, 2);
	offer(REGION + 8, 1, WRITE, 0xfedc);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, 1);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.out_len, 16);
	ck_assert_uint_eq(chain.in_len, 513);
	ck_assert_ptr_eq(chain.out[0].iov_base, at(DATA));
	ck_assert_ptr_eq(chain.in[0].iov_base, at(DATA + 0x100));
	ck_assert_ptr_eq(chain.in[1].iov_base, at(REGION + 8));
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	ck_assert(!is_back());

	queue_push(&q, &chain, 513);
	ck_assert_uint_eq(ring()[0].flags, AVAIL | USED | WRITE);
	expect_back(0xfedc, 513, 3);
	ck_assert(!is_back());
	/* Nothing written is said as well. */
	offer(DATA, 16, 0, 5);
	pop_push(0);
	ck_assert_uint_eq(ring()[3].flags, AVAIL | USED);
	expect_back(5, 0, 1);
}
END_TEST

/* What the driver has prepared is not available before the flags of the first one say so. */
START_TEST(first_flags_last)
{
	uint16_t flags;

	offer(DATA, 1, NEXT, 0);
	flags = ring()[0].flags;
	ring()[0].flags = 0;
	offer(DATA, 1, 0, 0);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	ck_assert(!queue_kicks_on(&q));
	ring()[0].flags = flags;
	ck_assert(queue_kicks_on(&q));
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, 2);
}
END_TEST

/* Many laps at every size, in chains that lie across the end of the ring. */
START_TEST(wrapping)
{
	unsigned int size = _i;

	enable_with(size, BOTH);
	for (unsigned int n = 0; n < 5 * size + 3; n++) {
		unsigned int count = 1 + n % (size < 3 ? size : 3);

		for (unsigned int i = 0; i < count; i++)
			offer(DATA + i, 1, (i + 1 < count ? NEXT : 0) | WRITE, n);
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
		ck_assert_uint_eq(chain.nr_in, count);
		ck_assert_ptr_eq(chain.in[count - 1].iov_base, at(DATA + count - 1));
		ck_assert_int_eq(queue_pop(&q, &chain), 0);
		ck_assert(!is_back());
		queue_push(&q, &chain, n);
		expect_back(n, n, count);
	}
}
END_TEST

/* Given back in another order, over what is still with us: what that was must not matter. */
START_TEST(out_of_order)
{
	static struct queue_chain held[3];

	enable_with(4, BOTH);
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < 3; i++) {
			offer(DATA + 64 * i, 1 + i, WRITE, 10 * round + i);
			ck_assert_int_eq(queue_pop(&q, &held[i]), 1);
		}
		queue_push(&q, &held[1], 1);
		expect_back(10 * round + 1, 1, 1);
		/* In the place of one that is held */
		offer(DATA, 1, NEXT, 7);
		offer(DATA, 1, 0, 7);
		pop_push(0);
		expect_back(7, 0, 2);
		for (unsigned int i = 0; i < 3; i += 2) {
			static struct queue_chain again;

			ck_assert_int_eq(queue_again(&q, held[i].head, &again), 1);
			ck_assert_ptr_eq(again.in[0].iov_base, at(DATA + 64 * i));
			ck_assert_uint_eq(again.in_len, 1 + i);
			ck_assert_uint_eq(queue_in_flight(&q), i ? 1 : 2);
			queue_push(&q, &again, i);
			expect_back(10 * round + i, i, 1);
		}
		ck_assert_uint_eq(queue_in_flight(&q), 0);
	}
}
END_TEST

START_TEST(full_ring)
{
	for (unsigned int i = 0; i < SIZE; i++)
		offer(DATA, 1, 0, i);
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	queue_push(&q, &chain, 0);
	expect_back(SIZE - 1, 0, 1);
	offer(DATA, 1, 0, 9);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_int_eq(queue_pop(&q, &chain), 0);
	ck_assert_ptr_null(q.broken);
}
END_TEST

/* One chain that fills the ring, and as many slots as there are */
START_TEST(longest_chain)
{
	enable_with(QUEUE_MAX, 0);
	for (unsigned int n = 0; n < 3; n++) {
		for (unsigned int i = 0; i < QUEUE_MAX; i++)
			offer(DATA + i, 1, i + 1 < QUEUE_MAX ? NEXT : 0, n);
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
		ck_assert_uint_eq(chain.nr_out, QUEUE_MAX);
		queue_push(&q, &chain, 0);
		expect_back(n, 0, QUEUE_MAX);
	}
}
END_TEST

/* The table's entries follow each other: neither a flag nor an id of them means anything but "write". */
START_TEST(indirect_table)
{
	offer(DATA, 16, NEXT, 0);
	offer(TABLE + 1, 3 * 16, INDIRECT | WRITE, 4);
	set_desc(TABLE + 1, 0, DATA + 16, 4, 0);
	set_desc(TABLE + 1, 1, DATA + 32, 5, WRITE | NEXT | AVAIL);
	set_desc(TABLE + 1, 2, DATA + 64, 6, WRITE | NEXT | USED);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, 2);
	ck_assert_uint_eq(chain.nr_in, 2);
	ck_assert_uint_eq(chain.in_len, 11);
	ck_assert_ptr_eq(chain.in[1].iov_base, at(DATA + 64));
	queue_push(&q, &chain, 11);
	expect_back(4, 11, 2);
}
END_TEST

/* As many descriptors as we take at all, more than the ring has. */
START_TEST(longest_indirect_table)
{
	offer(TABLE, QUEUE_MAX * 16, INDIRECT, 0);
	for (unsigned int i = 0; i < QUEUE_MAX; i++)
		set_desc(TABLE, i, DATA + i, 1, 0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_uint_eq(chain.nr_out, QUEUE_MAX);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Notifications                                                              */

START_TEST(interrupt_flags)
{
	enable_with(SIZE, 0);
	ck_assert(!queue_wants_interrupt(&q));
	round_trips(2);
	ck_assert(queue_wants_interrupt(&q));
	/* Once for all of them */
	ck_assert(!queue_wants_interrupt(&q));
	driver()->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	round_trips(1);
	ck_assert(!queue_wants_interrupt(&q));
	/* There is no such thing. */
	driver()->flags = 3;
	round_trips(1);
	ck_assert(queue_wants_interrupt(&q));
}
END_TEST

/* At every place of two laps: when exactly that one is given back, and not before or after. */
START_TEST(interrupt_event)
{
	driver()->flags = VRING_PACKED_EVENT_FLAG_DESC;
	for (unsigned int n = 0; n < 2 * SIZE; n++) {
		unsigned int ahead = n % 4;

		driver()->off_wrap = event_place(put + ahead);
		for (unsigned int i = 0; i < SIZE; i++) {
			round_trips(1);
			ck_assert(queue_wants_interrupt(&q) == (i == ahead));
		}
		round_trips(1);
		queue_wants_interrupt(&q);
	}
}
END_TEST

/* A batch that passes it, one that does not, and a chain that has it inside */
START_TEST(interrupt_event_batch)
{
	driver()->flags = VRING_PACKED_EVENT_FLAG_DESC;
	for (unsigned int lap = 0; lap < 3 * SIZE; lap++) {
		driver()->off_wrap = event_place(put + 3);
		round_trips(3);
		ck_assert(!queue_wants_interrupt(&q));
		round_trips(3);
		ck_assert(queue_wants_interrupt(&q));
		driver()->off_wrap = event_place(put + 1);
		for (unsigned int i = 0; i < 3; i++)
			offer(DATA, 1, i < 2 ? NEXT : 0, 0);
		pop_push(0);
		ck_assert(queue_wants_interrupt(&q));
		/* Places that the ring does not have are never passed, nor is the one that was passed last. */
		driver()->off_wrap = event_place(put - 1);
		round_trips(1);
		ck_assert(!queue_wants_interrupt(&q));
		driver()->off_wrap = WRAP - 1;
		round_trips(1);
		ck_assert(!queue_wants_interrupt(&q));
		driver()->off_wrap = WRAP | (WRAP - 1);
		round_trips(1);
		ck_assert(!queue_wants_interrupt(&q));
	}
}
END_TEST

/* The other two flags have no place. */
START_TEST(interrupt_event_off)
{
	driver()->off_wrap = event_place(0);
	driver()->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	round_trips(1);
	ck_assert(!queue_wants_interrupt(&q));
	driver()->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
	round_trips(1);
	ck_assert(queue_wants_interrupt(&q));
}
END_TEST

START_TEST(kick_flags)
{
	enable_with(SIZE, 0);
	queue_kicks_off(&q);
	ck_assert_uint_eq(device()->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	ck_assert(!queue_kicks_on(&q));
	ck_assert_uint_eq(device()->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	queue_kicks_off(&q);
	offer(DATA, 1, 0, 0);
	ck_assert(queue_kicks_on(&q));
}
END_TEST

START_TEST(kick_event)
{
	queue_kicks_off(&q);
	ck_assert_uint_eq(device()->flags, 0);
	for (unsigned int i = 0; i < 3 * SIZE; i++) {
		ck_assert(!queue_kicks_on(&q));
		ck_assert_uint_eq(device()->flags, VRING_PACKED_EVENT_FLAG_DESC);
		ck_assert_uint_eq(device()->off_wrap, event_place(put));
		offer(DATA, 1, 0, 0);
		ck_assert(queue_kicks_on(&q));
		pop_push(0);
	}
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Hostile drivers                                                            */

START_TEST(endless)
{
	for (unsigned int i = 0; i < 2 * SIZE; i++)
		offer(DATA, 1, NEXT, 0);
	put = 0;
	offer(DATA, 1, NEXT, 0);
	assert_broken("more descriptors are available");
}
END_TEST

/* With chains before it that are still with us, one may only be as long as what is left. */
START_TEST(longer_than_what_is_left)
{
	offer(DATA, 1, NEXT, 0);
	offer(DATA, 1, 0, 0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	for (unsigned int i = 2; i < SIZE + 1; i++)
		offer(DATA, 1, NEXT, 0);
	assert_broken("more descriptors are available");
}
END_TEST

/* All of them are with us, and the next lap's are said to be available already. */
START_TEST(overtakes)
{
	for (unsigned int i = 0; i < SIZE; i++)
		offer(DATA, 1, 0, 0);
	for (unsigned int i = 0; i < SIZE; i++)
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
	offer(DATA, 1, 0, 0);
	assert_broken("more descriptors are available");
}
END_TEST

START_TEST(zero_length)
{
	offer(DATA, 0, 0, 0);
	assert_broken("length zero");
}
END_TEST

START_TEST(bad_buffers)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{2 * REGION, 1}, {2 * REGION - 1, 2}, {REGION - 1, 2},
		{-1ULL, 1},	 {-1ULL, 2},	      {DATA, UINT32_MAX},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enable_with(SIZE, BOTH);
		offer(DATA, 1, NEXT, 0);
		offer(bad[i].addr, bad[i].len, i % 2 ? WRITE : 0, 0);
		assert_broken("not in memory");
	}
}
END_TEST

START_TEST(wrong_order)
{
	offer(DATA, 1, NEXT | WRITE, 0);
	offer(DATA, 1, 0, 0);
	assert_broken("comes after");
}
END_TEST

START_TEST(indirect_not_negotiated)
{
	enable_with(SIZE, 0);
	offer(TABLE, 16, INDIRECT, 0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_nested)
{
	offer(TABLE, 32, INDIRECT, 0);
	set_desc(TABLE, 0, DATA, 1, 0);
	set_desc(TABLE, 1, TABLE, 32, INDIRECT);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_is_the_ring)
{
	offer(DESC, SIZE * 16, INDIRECT, 0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_and_next)
{
	offer(TABLE, 16, INDIRECT | NEXT, 0);
	offer(DATA, 1, 0, 0);
	set_desc(TABLE, 0, DATA, 16, 0);
	assert_broken("not allowed");
}
END_TEST

START_TEST(indirect_lengths)
{
	static const uint32_t bad[] = {0, 1, 15, 17, (QUEUE_MAX + 1) * 16, 0xfffffff0, 0xffffffff};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enable_with(SIZE, BOTH);
		offer(TABLE, bad[i], INDIRECT, 0);
		assert_broken("impossible length");
	}
}
END_TEST

START_TEST(indirect_elsewhere)
{
	offer(REGION - 16, 32, INDIRECT, 0);
	assert_broken("table is not in memory");
}
END_TEST

START_TEST(indirect_after_too_many)
{
	offer(DATA, 1, NEXT, 0);
	offer(TABLE, QUEUE_MAX * 16, INDIRECT, 0);
	for (unsigned int i = 0; i < QUEUE_MAX; i++)
		set_desc(TABLE, i, DATA + i, 1, 0);
	assert_broken("too many");
}
END_TEST

/* A chain of before the queue was set up anew is nothing that could be given back. */
START_TEST(stale_chain)
{
	static struct queue_chain stale;

	enable_with(QUEUE_MAX, BOTH);
	for (unsigned int i = 0; i < QUEUE_MAX; i++)
		offer(DATA, 1, i + 1 < QUEUE_MAX ? NEXT : 0, 0);
	ck_assert_int_eq(queue_pop(&q, &stale), 1);
	enable_with(1, BOTH);
	queue_push(&q, &stale, 0);
	ck_assert(!is_back());
	ck_assert(!queue_wants_interrupt(&q));
	offer(DATA, 1, 0, 3);
	pop_push(0);
	expect_back(3, 0, 1);
	/* Nor is one twice. */
	queue_push(&q, &chain, 0);
	ck_assert(!is_back());
}
END_TEST

START_TEST(impossible_places)
{
	static const struct queue_regs bad[] = {
		{DESC, DRIVER, DEVICE, 0},	     {DESC, DRIVER, DEVICE, SIZE + 1},
		{DESC, DRIVER, DEVICE, 0x8000},	     {DESC + 8, DRIVER, DEVICE, SIZE},
		{DESC, DRIVER + 2, DEVICE, SIZE},    {DESC, DRIVER, DEVICE + 2, SIZE},
		{REGION - 16, DRIVER, DEVICE, SIZE}, {2 * REGION, DRIVER, DEVICE, SIZE},
		{-16ULL, DRIVER, DEVICE, SIZE},	     {DESC, 2 * REGION, DEVICE, SIZE},
		{DESC, -4ULL, DEVICE, SIZE},	     {DESC, DRIVER, 2 * REGION, SIZE},
		{DESC, DRIVER, -4ULL, SIZE},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		queue_reset(&q, SIZE);
		q.regs = bad[i];
		ck_assert_int_eq(queue_enable(&q, &mem, BOTH | PACKED), -EINVAL);
		ck_assert_int_eq(queue_pop(&q, &chain), 0);
	}
	/* The last places that are possible */
	q.regs = (struct queue_regs){REGION - 16 * SIZE, 2 * REGION - 4, REGION + 4, SIZE};
	q.regs.desc &= ~15ULL;
	ck_assert_int_eq(queue_enable(&q, &mem, BOTH | PACKED), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Its state                                                                  */

static void *save(size_t *len)
{
	struct dtb out;
	void *tree;

	dtb_create(&out);
	dtb_begin(&out, "");
	queue_save(&q, &out);
	dtb_end(&out);
	tree = dtb_finish(&out, len);
	ck_assert_ptr_nonnull(tree);
	return tree;
}

static int load(const void *tree, size_t len, struct virtqueue *copy)
{
	struct virtqueue fresh;
	struct state_in in;

	queue_reset(&fresh, QUEUE_MAX);
	ck_assert_int_eq(state_open(&in, tree, len, &error), 0);
	return queue_load(&fresh, copy, &mem, BOTH | PACKED, &in, &error);
}

/* Two chains are held, of two descriptors and of one, whose slots are 1, 3 and 2. */
static void hold_two(struct queue_chain *two, struct queue_chain *one)
{
	struct queue_chain first;

	offer(DATA, 1, 0, 4);
	ck_assert_int_eq(queue_pop(&q, &first), 1);
	offer(DATA, 1, 0, 5);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	offer(DATA + 2, 3, WRITE, 6);
	ck_assert_int_eq(queue_pop(&q, one), 1);
	queue_push(&q, &chain, 0);
	offer(DATA + 5, 6, NEXT, 7);
	offer(DATA + 7, 8, WRITE, 7);
	ck_assert_int_eq(queue_pop(&q, two), 1);
	queue_push(&q, &first, 0);
	got += 2;
}

/* What is held is there in another machine as well, though the ring has been written over. */
START_TEST(goes_on)
{
	struct queue_chain one, two;
	struct virtqueue copy;
	size_t len;
	void *tree;

	hold_two(&two, &one);
	ck_assert_uint_eq(two.head, 1);
	tree = save(&len);
	memset(ring(), 0, 5 * sizeof(*ring()));
	ck_assert_int_eq(load(tree, len, &copy), 0);
	q = copy;
	ck_assert_uint_eq(queue_in_flight(&q), 2);
	ck_assert(queue_holds(&q, (const uint16_t[]){1, 2}, 2));
	ck_assert(!queue_holds(&q, (const uint16_t[]){1, 1}, 2));
	ck_assert(!queue_holds(&q, (const uint16_t[]){3}, 1));
	ck_assert(!queue_holds(&q, (const uint16_t[]){0xffff}, 1));
	ck_assert_int_eq(queue_again(&q, two.head, &chain), 1);
	ck_assert_uint_eq(chain.out_len, 6);
	ck_assert_uint_eq(chain.in_len, 8);
	/* New ones get slots of their own. */
	for (unsigned int i = 3; i < SIZE; i++) {
		offer(DATA, 1, 0, i);
		ck_assert_int_eq(queue_pop(&q, &chain), 1);
		ck_assert(chain.head != 1 && chain.head != 2 && chain.head != 3);
	}
	offer(DATA, 1, 0, 0);
	queue_push(&q, &two, 8);
	expect_back(7, 8, 2);
	queue_push(&q, &one, 3);
	expect_back(6, 3, 1);
	free(tree);
}
END_TEST

/* The first slot and the last, of a chain that fills the ring */
START_TEST(goes_on_full)
{
	struct virtqueue copy;
	size_t len;
	void *tree;

	for (unsigned int i = 0; i < SIZE; i++)
		offer(DATA + i, 1, i + 1 < SIZE ? NEXT : 0, 8);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	tree = save(&len);
	ck_assert_int_eq(load(tree, len, &copy), 0);
	q = copy;
	ck_assert_uint_eq(queue_in_flight(&q), 1);
	ck_assert_int_eq(queue_again(&q, chain.head, &chain), 1);
	ck_assert_uint_eq(chain.out_len, SIZE);
	queue_push(&q, &chain, 0);
	expect_back(8, 0, SIZE);
	offer(DATA, 1, 0, 3);
	pop_push(0);
	expect_back(3, 0, 1);
	free(tree);
}
END_TEST

/* What no queue could have come to. */
START_TEST(state_that_lies)
{
	static const struct {
		const char *property;
		unsigned int offset;
		uint8_t value;
	} lies[] = {
		{"next", 1, SIZE},    {"used", 1, SIZE},      {"next", 1, 6},
		{"next-wrap", 0, 0},  {"used-wrap", 0, 0},    {"slot-next", 1, 1},
		{"slot-next", 1, 2},  {"slot-next", 1, SIZE}, {"slot-next", 1, QUEUE_MAX},
		{"slot-count", 1, 1}, {"slot-count", 1, 3},   {"slot-count", 0, 1},
		{"slot-count", 2, 0}, {"slot-count", 3, 1},   {"slot-count", SIZE, 1},
	};
	struct queue_chain one, two;
	struct virtqueue copy;
	size_t len;
	void *tree;

	hold_two(&two, &one);
	tree = save(&len);
	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		void *lie = malloc(len);
		uint8_t *value;
		int size;

		memcpy(lie, tree, len);
		value = fdt_getprop_w(lie, fdt_path_offset(lie, "/ring"), lies[i].property, &size);
		ck_assert_int_gt(size, (int)lies[i].offset);
		value[lies[i].offset] = lies[i].value;
		ck_assert_msg(load(lie, len, &copy) == -EINVAL, "lie %u", i);
		free(lie);
	}
	ck_assert_int_eq(load(tree, len, &copy), 0);
	free(tree);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The log of written pages                                                   */

START_TEST(writes_are_logged)
{
	offer(DATA, 16, NEXT, 0);
	offer(REGION + 0xfff, 2, WRITE, 0);
	ck_assert_int_eq(queue_pop(&q, &chain), 1);
	ck_assert_int_eq(mem_log_start(&mem, &error), 0);
	queue_push(&q, &chain, 1);
	ck_assert_uint_eq(fetch_log(), page_of(DESC) | page_of(REGION) | page_of(REGION + 0x1000));
	queue_kicks_on(&q);
	ck_assert_uint_eq(fetch_log(), page_of(DEVICE));
	enable_with(SIZE, 0);
	fetch_log();
	queue_kicks_off(&q);
	ck_assert_uint_eq(fetch_log(), page_of(DEVICE));
	queue_kicks_on(&q);
	ck_assert_uint_eq(fetch_log(), page_of(DEVICE));
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Random rings                                                               */

/* Everything that a chain says must be inside one region. */
static void check_chain(void)
{
	uint64_t total = 0;

	ck_assert_uint_le(chain.nr_out + chain.nr_in, QUEUE_MAX);
	ck_assert_uint_lt(chain.head, q.size);
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

static void random_desc(struct vring_packed_desc *d)
{
	*d = (struct vring_packed_desc){
		.addr = random() % 64 ? (uint64_t)(DATA + random() % 0x4000)
				      : (uint64_t)random() << 20,
		.len = random() % 64 ? 1 + random() % 100 : (uint32_t)random() * 2,
		.id = random(),
		.flags = random() % 8 ? random() % 4 : (unsigned int)random() % 8,
	};
	if (d->flags & INDIRECT) {
		d->addr = TABLE;
		d->len = 16 * (1 + random() % 8) + (random() % 8 == 0);
	}
}

/* The device goes round while any descriptors, of any lap, come and go; nothing but the ring is written to. */
START_TEST(random_rings)
{
	unsigned int good = 0, broken = 0;

	srandom(21);
	for (unsigned int round = 0; round < 5000; round++) {
		static struct queue_chain held;
		bool holding = false;

		enable_with(1 + random() % 16, random() % 4 ? BOTH : 0);
		for (unsigned int i = 0; i < 8; i++)
			random_desc((struct vring_packed_desc *)at(TABLE) + i);
		driver()->off_wrap = random();
		driver()->flags = random() % 4;
		for (unsigned int n = 0; n < 64 && !q.broken; n++) {
			struct vring_packed_desc *d = &ring()[put % q.size];

			random_desc(d);
			d->flags |= random() % 32 ? (odd(put) ? USED : AVAIL) : (uint16_t)random();
			put++;
			if (random() % 3 || queue_pop(&q, &chain) <= 0)
				continue;
			check_chain();
			good++;
			if (!holding && random() % 2) {
				held = chain;
				holding = true;
			} else {
				queue_push(&q, &chain, 1);
			}
			if (holding && random() % 4 == 0) {
				queue_push(&q, &held, 1);
				holding = false;
			}
			queue_wants_interrupt(&q);
			queue_kicks_on(&q);
			ck_assert_uint_eq(device()->off_wrap & (WRAP - 1),
					  q.event_idx ? q.packed.next.index : 0);
		}
		ck_assert_uint_eq(*(uint64_t *)at(DESC - 8), 0);
		ck_assert_uint_eq(*(uint64_t *)at(DESC + q.size * 16), 0);
		broken += q.broken != NULL;
	}
	/* The generator finds both kinds often enough to be worth running. */
	ck_assert_uint_gt(good, 1000);
	ck_assert_uint_gt(broken, 1000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("packed");
	TCase *t = tcase_create("honest");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, empty);
	tcase_add_test(t, one_chain);
	tcase_add_test(t, first_flags_last);
	tcase_add_loop_test(t, wrapping, 1, 18);
	tcase_add_loop_test(t, wrapping, QUEUE_MAX - 1, QUEUE_MAX + 1);
	tcase_add_test(t, out_of_order);
	tcase_add_test(t, full_ring);
	tcase_add_test(t, longest_chain);
	tcase_add_test(t, indirect_table);
	tcase_add_test(t, longest_indirect_table);
	tcase_add_test(t, interrupt_flags);
	tcase_add_test(t, interrupt_event);
	tcase_add_test(t, interrupt_event_batch);
	tcase_add_test(t, interrupt_event_off);
	tcase_add_test(t, kick_flags);
	tcase_add_test(t, kick_event);
	tcase_add_test(t, writes_are_logged);
	tcase_add_test(t, goes_on);
	tcase_add_test(t, goes_on_full);
	suite_add_tcase(s, t);

	t = tcase_create("hostile");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, endless);
	tcase_add_test(t, longer_than_what_is_left);
	tcase_add_test(t, overtakes);
	tcase_add_test(t, zero_length);
	tcase_add_test(t, bad_buffers);
	tcase_add_test(t, wrong_order);
	tcase_add_test(t, indirect_not_negotiated);
	tcase_add_test(t, indirect_nested);
	tcase_add_test(t, indirect_is_the_ring);
	tcase_add_test(t, indirect_and_next);
	tcase_add_test(t, indirect_lengths);
	tcase_add_test(t, indirect_elsewhere);
	tcase_add_test(t, indirect_after_too_many);
	tcase_add_test(t, stale_chain);
	tcase_add_test(t, impossible_places);
	tcase_add_test(t, state_that_lies);
	tcase_add_test(t, random_rings);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return suite_run(suite());
}
