/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds of the saved state of every device. A specimen is a device that was driven to some state; it is
 * saved, loaded into one that was just made, and has to go on as if nothing had been, byte by byte of what a
 * guest sees ("observe") and of what is saved again.
 *
 * And each property matters: a state that lacks it is refused, by its name, and leaves the device as it was; and
 * with the value of a device that was just made instead, the guest sees something else. One that nobody could
 * tell from its absence is either not needed or not tested.
 */
#ifndef TESTS_UNIT_STATE_CHECK_H
#define TESTS_UNIT_STATE_CHECK_H

#include <check.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/device.h"
#include "platform/state.h"

/* What the guest saw. */
struct seen {
	uint8_t byte[1 << 16];
	size_t len;
};

static inline void see(struct seen *s, uint64_t value, unsigned int size)
{
	ck_assert_uint_le(s->len + size, sizeof(s->byte));
	memcpy(s->byte + s->len, &value, size);
	s->len += size;
}

struct specimen {
	const struct device_ops *ops;
	/* A device as the machine has it before it runs, and all that it needs; and its end. */
	void *(*make)(void);
	void (*unmake)(void *dev);
	void (*drive)(void *dev);
	/* After start(). It may change the device. */
	void (*observe)(void *dev, struct seen *s);
};

static struct seen state_seen[2];
/* How long observe() may wait for what does not come: a state that is not right may never go on. */
static int state_patience;

static void *state_save(const struct specimen *s, void *dev, size_t *len)
{
	struct dtb out;
	void *fdt;

	if (s->ops->stop)
		ck_assert(s->ops->stop(dev));
	dtb_create(&out);
	dtb_begin(&out, "");
	s->ops->save(dev, &out);
	dtb_end(&out);
	fdt = dtb_finish(&out, len);
	ck_assert_ptr_nonnull(fdt);
	return fdt;
}

static int state_load(const struct specimen *s, void *dev, const void *fdt, size_t len,
		      struct error *e)
{
	struct state_in in;
	int ret;

	if (s->ops->stop)
		ck_assert(s->ops->stop(dev));
	e->text[0] = '\0';
	ret = state_open(&in, fdt, len, e);
	return ret ? ret : s->ops->load(dev, &in, e);
}

static void state_go_on(const struct specimen *s, void *dev, struct seen *seen, int patience)
{
	seen->len = 0;
	state_patience = patience;
	if (s->ops->start)
		s->ops->start(dev);
	s->observe(dev, seen);
}

static bool state_same_seen(void)
{
	return state_seen[0].len == state_seen[1].len &&
	       !memcmp(state_seen[0].byte, state_seen[1].byte, state_seen[0].len);
}

/* A copy that may be changed. */
static void *state_open_copy(const void *fdt, size_t len)
{
	void *copy = malloc(len + 1024);

	ck_assert_int_eq(fdt_open_into(fdt, copy, (int)len + 1024), 0);
	return copy;
}

/* What a device that was just made has there; NULL: not the same kind of thing. */
static const void *state_fresh_value(const void *fdt, int node, const void *fresh, const char *name,
				     int len)
{
	const void *value;
	char where[256];
	int at, got;

	ck_assert_int_eq(fdt_get_path(fdt, node, where, sizeof(where)), 0);
	at = fdt_path_offset(fresh, where);
	value = at < 0 ? NULL : fdt_getprop(fresh, at, name, &got);
	return value && got == len ? value : NULL;
}

struct state_coverage {
	char name[128][80];
	bool told[128];	      /* a guest could tell it */
	bool configured[128]; /* it may be no other */
	unsigned int count;
};

static unsigned int state_find(const struct state_coverage *c, const char *name)
{
	unsigned int i = 0;

	while (i < c->count && strcmp(c->name[i], name))
		i++;
	return i;
}

static void state_cover(struct state_coverage *c, const char *name, bool told, bool configured)
{
	unsigned int i = state_find(c, name);

	ck_assert_uint_lt(i, 128);
	if (i == c->count) {
		snprintf(c->name[i], sizeof(c->name[i]), "%s", name);
		c->told[i] = c->configured[i] = false;
		c->count++;
	}
	c->told[i] |= told;
	c->configured[i] |= configured;
}

/* Without it nothing is loaded, and nothing changed. */
static void state_check_lacking(const struct specimen *s, const void *fdt, size_t len, int node,
				const char *name)
{
	void *copy = state_open_copy(fdt, len), *before, *after;
	void *dev = s->make();
	size_t before_len, after_len;
	struct error e;

	before = state_save(s, dev, &before_len);
	ck_assert_int_eq(fdt_nop_property(copy, node, name), 0);
	ck_assert_msg(state_load(s, dev, copy, fdt_totalsize(copy), &e) < 0, "'%s' is missing",
		      name);
	ck_assert_msg(strstr(e.text, name), "'%s' does not name '%s'", e.text, name);
	after = state_save(s, dev, &after_len);
	ck_assert_uint_eq(before_len, after_len);
	ck_assert_msg(!memcmp(before, after, after_len), "changed when '%s' is missing", name);
	s->unmake(dev);
	free(before);
	free(after);
	free(copy);
}

/* With another value, whether it makes sense or not: refused, or loaded; then, does the guest see it? */
enum state_other {
	STATE_UNSEEN,
	STATE_SEEN,
	STATE_REFUSED,
	STATE_OF_CONFIG, /* refused, as it has to be what the device has already */
};

static enum state_other state_check_other(const struct specimen *s, const void *fdt, size_t len,
					  int node, const char *name, const void *value, int size)
{
	void *copy = state_open_copy(fdt, len);
	void *dev = s->make();
	enum state_other how = STATE_REFUSED;
	struct error e;

	ck_assert_int_eq(fdt_setprop_inplace(copy, node, name, value, size), 0);
	if (!state_load(s, dev, copy, fdt_totalsize(copy), &e)) {
		state_go_on(s, dev, &state_seen[1], 50);
		how = state_same_seen() ? STATE_UNSEEN : STATE_SEEN;
	} else {
		ck_assert_ptr_nonnull(strstr(e.text, "saved state"));
		if (strstr(e.text, "configured alike"))
			how = STATE_OF_CONFIG;
	}
	s->unmake(dev);
	free(copy);
	return how;
}

static void state_check_property(const struct specimen *s, const void *fdt, size_t len, int node,
				 const char *name, const void *fresh, struct state_coverage *c)
{
	uint8_t ones[4096];
	const void *value, *other;
	bool configured;
	char full[80];
	int size;

	value = fdt_getprop(fdt, node, name, &size);
	ck_assert_int_le(size, (int)sizeof(ones));
	state_check_lacking(s, fdt, len, node, name);
	if (!strcmp(name, "compatible") || !strcmp(name, "version"))
		return;
	memset(ones, 0xff, sizeof(ones));
	state_check_other(s, fdt, len, node, name, ones, size);
	other = state_fresh_value(fdt, node, fresh, name, size);
	snprintf(full, sizeof(full), "%s/%s", fdt_get_name(fdt, node, NULL), name);
	/* A state that is as in a new device shows nothing; but what is always so may be the configuration's. */
	if (other && !memcmp(value, other, size)) {
		memcpy(ones, value, size);
		ones[size - 1] ^= 1;
		configured =
			state_check_other(s, fdt, len, node, name, ones, size) == STATE_OF_CONFIG;
		state_cover(c, full, configured, configured);
		return;
	}
	if (!other)
		other = memset(ones, 0, size);
	state_cover(c, full,
		    state_check_other(s, fdt, len, node, name, other, size) != STATE_UNSEEN, false);
}

static void state_check_goes_on(const struct specimen *s, const void *fdt, size_t len)
{
	void *dev = s->make(), *again;
	size_t again_len;
	struct error e;

	ck_assert_msg(!state_load(s, dev, fdt, len, &e), "%s", e.text);
	again = state_save(s, dev, &again_len);
	ck_assert_uint_eq(len, again_len);
	ck_assert_mem_eq(fdt, again, len);
	free(again);
	state_go_on(s, dev, &state_seen[1], 10000);
	s->unmake(dev);
	ck_assert_uint_eq(state_seen[0].len, state_seen[1].len);
	for (size_t i = 0; i < state_seen[0].len; i++)
		ck_assert_msg(state_seen[0].byte[i] == state_seen[1].byte[i],
			      "byte %zu of what is seen is %#x, and was %#x", i,
			      state_seen[1].byte[i], state_seen[0].byte[i]);
}

static void state_check_unknown(const struct specimen *s, const void *fdt, size_t len, int node)
{
	static const char *const names[] = {"surprise", "?surprise"};

	for (unsigned int i = 0; i < 4; i++) {
		void *copy = state_open_copy(fdt, len), *dev = s->make();
		const char *name = names[i & 1];
		struct error e;
		int ret;

		if (i < 2)
			ck_assert_int_eq(fdt_setprop_u32(copy, node, name, 1), 0);
		else
			ck_assert_int_ge(fdt_add_subnode(copy, node, name), 0);
		ret = state_load(s, dev, copy, fdt_totalsize(copy), &e);
		ck_assert_msg(ret == 0 ? i & 1 : !(i & 1), "%s", e.text);
		ck_assert(ret == 0 || strstr(e.text, name));
		s->unmake(dev);
		free(copy);
	}
}

static void state_check_one(const struct specimen *s, struct state_coverage *c)
{
	void *dev = s->make(), *fdt, *fresh;
	size_t len, fresh_len;

	fresh = state_save(s, dev, &fresh_len);
	if (s->ops->start)
		s->ops->start(dev);
	s->drive(dev);
	fdt = state_save(s, dev, &len);
	state_go_on(s, dev, &state_seen[0], 10000);
	s->unmake(dev);

	state_check_goes_on(s, fdt, len);
	for (int node = 0; node >= 0; node = fdt_next_node(fdt, node, NULL)) {
		int at;

		state_check_unknown(s, fdt, len, node);
		fdt_for_each_property_offset(at, fdt, node)
		{
			const char *name;

			fdt_getprop_by_offset(fdt, at, &name, NULL);
			state_check_property(s, fdt, len, node, name, fresh, c);
		}
	}
	free(fresh);
	free(fdt);
}

/*
 * All specimens of one device; between them each property has to be seen. Those named as NODE/PROPERTY, behind which
 * there is a NULL, are the configuration's: another value is refused.
 */
static inline void state_check(const struct specimen *s, unsigned int count,
			       const char *const *configured)
{
	static struct state_coverage c;

	c.count = 0;
	for (unsigned int i = 0; i < count; i++)
		state_check_one(&s[i], &c);
	for (unsigned int i = 0; i < c.count; i++)
		ck_assert_msg(c.told[i], "nobody sees whether '%s' was saved", c.name[i]);
	for (const char *const *name = configured; name && *name; name++) {
		unsigned int at = state_find(&c, *name);

		ck_assert_msg(at < c.count && c.configured[at], "'%s' may be another", *name);
	}
}

#endif
