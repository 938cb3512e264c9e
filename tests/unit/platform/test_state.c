// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/platform/state.c and dtb.c: fields as properties, versions, and trees that are damaged. */
#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "platform/state.h"
#include "suite.h"

struct thing {
	uint8_t u8;
	uint16_t u16[3];
	uint32_t u32;
	uint64_t u64;
	bool flag;
	uint16_t place;
	uint32_t later;
	uint8_t extra;
	uint8_t unsaved;
};

static const struct state_property properties[] = {
	{STATE_UINT(struct thing, u8, "u8", 0x7f)},
	{STATE_ARRAY(struct thing, u16, "u16", 0x1000)},
	{STATE_UINT(struct thing, u32, "u32", UINT32_MAX)},
	{STATE_UINT(struct thing, u64, "u64", UINT64_MAX)},
	{STATE_BOOL(struct thing, flag, "flag")},
	{STATE_UINT(struct thing, place, "place", UINT16_MAX), .same = true},
	{STATE_UINT(struct thing, later, "later", UINT32_MAX), .since = 3},
	{STATE_UINT(struct thing, extra, "?extra", UINT8_MAX)},
};

static struct state_format format = STATE_FORMAT("thing", 3, properties);

static const struct thing saved = {
	.u8 = 0x12,
	.u16 = {0x102, 0x304, 0x506},
	.u32 = 0xdeadbeef,
	.u64 = 0x0123456789abcdef,
	.flag = true,
	.place = 0x3f8,
	.later = 77,
	.extra = 5,
	.unsaved = 1,
};
static const struct thing fresh = {.place = 0x3f8, .later = 8, .extra = 9, .unsaved = 2};

static struct thing thing;
static struct error e;
static uint8_t *fdt;
static size_t len;

static void *make(const struct thing *t)
{
	struct dtb out;

	dtb_create(&out);
	dtb_begin(&out, "");
	state_put(&out, &format, t);
	dtb_begin(&out, "child");
	state_put(&out, &format, t);
	dtb_end(&out);
	dtb_end(&out);
	return dtb_finish(&out, &len);
}

static void setup(void)
{
	void *packed = make(&saved);

	fdt = malloc(len + 1024);
	ck_assert_int_eq(fdt_open_into(packed, fdt, (int)len + 1024), 0);
	len += 1024;
	free(packed);
	thing = (struct thing){0};
}

static void teardown(void)
{
	free(fdt);
}

static int get(void)
{
	struct state_in in;
	int ret = state_open(&in, fdt, len, &e);

	return ret ? ret : state_get(&in, &format, &fresh, &thing, &e);
}

static void refused(const char *words)
{
	ck_assert_int_lt(get(), 0);
	ck_assert_msg(strstr(e.text, words), "'%s' says nothing of '%s'", e.text, words);
}

START_TEST(test_what_was_saved_is_loaded)
{
	ck_assert_msg(!get(), "%s", e.text);
	ck_assert_uint_eq(thing.u8, saved.u8);
	ck_assert_mem_eq(thing.u16, saved.u16, sizeof(saved.u16));
	ck_assert_uint_eq(thing.u32, saved.u32);
	ck_assert_uint_eq(thing.u64, saved.u64);
	ck_assert(thing.flag);
	ck_assert_uint_eq(thing.place, saved.place);
	ck_assert_uint_eq(thing.later, saved.later);
	ck_assert_uint_eq(thing.extra, saved.extra);
	ck_assert_uint_eq(thing.unsaved, 0);
}
END_TEST

/* The form is not this processor's: numbers are big-endian, as all in a device tree. */
START_TEST(test_the_form_is_that_of_device_trees)
{
	static const uint8_t want[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	const void *value;
	int size;

	value = fdt_getprop(fdt, 0, "u64", &size);
	ck_assert_int_eq(size, 8);
	ck_assert_mem_eq(value, want, 8);
	value = fdt_getprop(fdt, 0, "compatible", &size);
	ck_assert_str_eq(value, "hv,thing");
	value = fdt_getprop(fdt, 0, "version", &size);
	ck_assert_uint_eq(fdt32_ld(value), 3);
}
END_TEST

START_TEST(test_ranges_and_lengths_are_checked)
{
	fdt_setprop(fdt, 0, "u8", "\x80", 1);
	refused("'u8' is out of range");
	fdt_setprop(fdt, 0, "u8", "\x7f", 1);
	fdt_setprop(fdt, 0, "u16", "\1\2\3\4\x10\1", 6);
	refused("'u16' is out of range");
	fdt_setprop(fdt, 0, "u16", "\1\2\3\4", 4);
	refused("'u16' has a wrong length");
	fdt_setprop(fdt, 0, "u16", "\1\2\3\4\5\6\7", 7);
	refused("'u16' has a wrong length");
	fdt_setprop(fdt, 0, "u16", NULL, 0);
	refused("'u16' has a wrong length");
	fdt_setprop(fdt, 0, "u16", "\1\2\3\4\5\6", 6);
	fdt_setprop(fdt, 0, "flag", "\2", 1);
	refused("'flag' is out of range");
	fdt_setprop(fdt, 0, "flag", "\0", 1);
	ck_assert_int_eq(get(), 0);
	ck_assert(!thing.flag);
}
END_TEST

START_TEST(test_another_configuration_is_refused)
{
	fdt_setprop(fdt, 0, "place", "\2\xf8", 2);
	refused("'place' is not what this machine has");
}
END_TEST

START_TEST(test_what_is_missing_is_named)
{
	fdt_delprop(fdt, 0, "u32");
	refused("'u32' is missing");
}
END_TEST

START_TEST(test_what_is_unknown_is_named_unless_it_may_be)
{
	fdt_setprop_u32(fdt, 0, "?new", 1);
	ck_assert_int_eq(get(), 0);
	fdt_setprop_u32(fdt, 0, "new", 1);
	refused("'new' is not known");
}
END_TEST

START_TEST(test_what_may_be_missing_is_left_as_it_is)
{
	fdt_delprop(fdt, 0, "?extra");
	ck_assert_int_eq(get(), 0);
	ck_assert_uint_eq(thing.extra, fresh.extra);
}
END_TEST

START_TEST(test_older_versions_lack_what_came_later)
{
	fdt_delprop(fdt, 0, "later");
	refused("'later' is missing");
	fdt_setprop_u32(fdt, 0, "version", 2);
	ck_assert_int_eq(get(), 0);
	ck_assert_uint_eq(thing.later, fresh.later);
	fdt_delprop(fdt, 0, "u8");
	refused("'u8' is missing");
}
END_TEST

START_TEST(test_versions_that_are_not_known_are_refused)
{
	fdt_setprop_u32(fdt, 0, "version", 4);
	refused("has version 4, and this vmm knows 0 to 3; use a newer one");
	fdt_setprop_u32(fdt, 0, "version", 1);
	ck_assert_int_eq(get(), 0);
	format.oldest = 2;
	refused("has version 1, and this vmm knows 2 to 3; use an older one");
	fdt_setprop_u32(fdt, 0, "version", 2);
	ck_assert_int_eq(get(), 0);
	format.oldest = 0;
	fdt_setprop(fdt, 0, "version", "\0\0", 2);
	refused("'version'");
	fdt_setprop_string(fdt, 0, "compatible", "hv,thin");
	refused("hv,thing");
	fdt_setprop(fdt, 0, "compatible", "hv,thing", 8);
	refused("hv,thing");
}
END_TEST

/* A writer that is not libfdt can name a property twice; which of them counts, nobody could say. */
START_TEST(test_twice_is_refused)
{
	fdt_setprop_u32(fdt, 0, "v32", 1);
	for (size_t i = 0; i + 4 <= len; i++)
		if (!memcmp(fdt + i, "v32", 4))
			memcpy(fdt + i, "u32", 3);
	refused("'u32' is there twice");
}
END_TEST

START_TEST(test_children_are_known_by_their_names)
{
	struct state_in in, child;

	ck_assert_int_eq(state_open(&in, fdt, len, &e), 0);
	ck_assert_int_lt(state_all_met(&in, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "'child'"));
	ck_assert_int_lt(state_child(&in, "chil", &child, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "'chil' is missing"));
	ck_assert_int_eq(state_child(&in, "child", &child, &e), 0);
	ck_assert_int_eq(state_all_met(&in, &e), 0);
	ck_assert_int_ge(fdt_add_subnode(fdt, 0, "another"), 0);
	ck_assert_int_eq(state_open(&in, fdt, len, &e), 0);
	ck_assert_int_eq(state_child(&in, "another", &child, &e), 0);
	ck_assert_int_lt(state_all_met(&in, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "'child'"));
	ck_assert_int_eq(state_child(&in, "child", &child, &e), 0);
	ck_assert_int_eq(state_all_met(&in, &e), 0);
	ck_assert_int_eq(state_get_leaf(&child, &format, &fresh, &thing, &e), 0);
	ck_assert_uint_eq(thing.u8, saved.u8);
	fdt_setprop(fdt, child.node, "u8", "\xff", 1);
	ck_assert_int_lt(state_get_leaf(&child, &format, &fresh, &thing, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "/child: 'u8'"));
}
END_TEST

/* An address in a name makes it another name, also where libfdt looks over that. */
START_TEST(test_a_child_of_a_longer_name_is_another)
{
	struct state_in in, child;

	fdt_del_node(fdt, fdt_path_offset(fdt, "/child"));
	fdt_add_subnode(fdt, 0, "child@1");
	ck_assert_int_gt(fdt_path_offset(fdt, "/child"), 0);
	ck_assert_int_eq(state_open(&in, fdt, len, &e), 0);
	ck_assert_int_lt(state_child(&in, "child", &child, &e), 0);
}
END_TEST

START_TEST(test_children_beyond_all_bounds)
{
	struct state_in in, child;
	struct dtb out;
	void *many;

	dtb_create(&out);
	dtb_begin(&out, "");
	for (unsigned int i = 0; i < 65; i++) {
		dtb_begin_at(&out, "child", i);
		dtb_end(&out);
	}
	dtb_end(&out);
	many = dtb_finish(&out, &len);
	ck_assert_int_eq(state_open(&in, many, len, &e), 0);
	for (unsigned int i = 0; i < 64; i++) {
		char name[16];

		snprintf(name, sizeof(name), "child@%x", i);
		ck_assert_int_eq(state_child(&in, name, &child, &e), 0);
	}
	ck_assert_int_lt(state_child(&in, "child@40", &child, &e), 0);
	ck_assert_int_lt(state_all_met(&in, &e), 0);
	free(many);
}
END_TEST

/* Whatever byte is damaged: it is refused or it is read, and nothing else is touched. */
START_TEST(test_damage)
{
	size_t total = fdt_totalsize(fdt);
	struct state_in in;

	for (size_t i = 0; i < total; i++) {
		uint8_t was = fdt[i];

		for (unsigned int bit = 0; bit < 8; bit++) {
			fdt[i] = was ^ 1U << bit;
			get();
		}
		fdt[i] = was;
	}
	for (size_t shorter = 0; shorter < total; shorter++) {
		uint8_t *part = malloc(shorter ? shorter : 1);

		memcpy(part, fdt, shorter);
		ck_assert_int_lt(state_open(&in, part, shorter, &e), 0);
		free(part);
	}
}
END_TEST

START_TEST(test_a_tree_grows_as_it_is_written)
{
	struct dtb out;
	uint8_t *to;
	void *tree;

	dtb_create(&out);
	dtb_begin(&out, "");
	for (unsigned int i = 0; i < 100; i++) {
		dtb_begin_at(&out, "node", i);
		dtb_cell(&out, "reg", i);
		to = dtb_place(&out, "data", 1000);
		ck_assert_ptr_nonnull(to);
		memset(to, (int)i, 1000);
		dtb_end(&out);
	}
	dtb_end(&out);
	tree = dtb_finish(&out, &len);
	ck_assert_ptr_nonnull(tree);
	ck_assert_int_eq(fdt_check_full(tree, len), 0);
	for (int i = 0; i < 100; i++) {
		char path[32];
		const uint8_t *data;
		int size;

		snprintf(path, sizeof(path), "/node@%x", i);
		data = fdt_getprop(tree, fdt_path_offset(tree, path), "data", &size);
		ck_assert_int_eq(size, 1000);
		ck_assert_uint_eq(data[999], i);
	}
	free(tree);
}
END_TEST

START_TEST(test_a_tree_beyond_all_bounds)
{
	struct dtb out;

	dtb_create(&out);
	dtb_begin(&out, "");
	ck_assert_ptr_null(dtb_place(&out, "data", SIZE_MAX));
	dtb_end(&out);
	ck_assert_ptr_null(dtb_finish(&out, &len));
}
END_TEST

START_TEST(test_a_tree_without_memory)
{
	struct dtb out;

	for (unsigned int n = 1;; n++) {
		void *tree;

		allocation_to_fail = n;
		dtb_create(&out);
		dtb_begin(&out, "");
		state_put(&out, &format, &saved);
		for (unsigned int i = 0; i < 10; i++)
			dtb_place(&out, "data", 3000);
		dtb_end(&out);
		tree = dtb_finish(&out, &len);
		if (allocation_to_fail) {
			ck_assert_ptr_nonnull(tree);
			ck_assert_uint_gt(n, 2);
			free(tree);
			break;
		}
		ck_assert_ptr_null(tree);
	}
	allocation_to_fail = 0;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *tc = tcase_create("state");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_what_was_saved_is_loaded);
	tcase_add_test(tc, test_the_form_is_that_of_device_trees);
	tcase_add_test(tc, test_ranges_and_lengths_are_checked);
	tcase_add_test(tc, test_another_configuration_is_refused);
	tcase_add_test(tc, test_what_is_missing_is_named);
	tcase_add_test(tc, test_what_is_unknown_is_named_unless_it_may_be);
	tcase_add_test(tc, test_what_may_be_missing_is_left_as_it_is);
	tcase_add_test(tc, test_older_versions_lack_what_came_later);
	tcase_add_test(tc, test_versions_that_are_not_known_are_refused);
	tcase_add_test(tc, test_twice_is_refused);
	tcase_add_test(tc, test_children_are_known_by_their_names);
	tcase_add_test(tc, test_a_child_of_a_longer_name_is_another);
	tcase_add_test(tc, test_children_beyond_all_bounds);
	tcase_add_test(tc, test_damage);
	tcase_add_test(tc, test_a_tree_grows_as_it_is_written);
	tcase_add_test(tc, test_a_tree_beyond_all_bounds);
	tcase_add_test(tc, test_a_tree_without_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
