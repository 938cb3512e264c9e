// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/cmd/resets.c. */
#include <check.h>

#include "cmd/resets.h"
#include "suite.h"

#define SECOND 1000000000ULL

static const struct config_reboot_limit three_in_ten = {.count = 3, .seconds = 10};

START_TEST(so_many_in_that_time)
{
	struct resets r = {0};

	ck_assert(!resets_add(&r, &three_in_ten, 100 * SECOND));
	ck_assert(!resets_add(&r, &three_in_ten, 105 * SECOND));
	ck_assert(resets_add(&r, &three_in_ten, 110 * SECOND - 1));
}
END_TEST

START_TEST(slowly_they_may)
{
	struct resets r = {0};

	for (unsigned int i = 0; i < 100; i++)
		ck_assert(!resets_add(&r, &three_in_ten, (7 * i + 1) * SECOND));
}
END_TEST

/* Seldom at first, often later. */
START_TEST(those_of_long_ago_do_not_count)
{
	struct resets r = {0};

	ck_assert(!resets_add(&r, &three_in_ten, 1 * SECOND));
	ck_assert(!resets_add(&r, &three_in_ten, 2 * SECOND));
	ck_assert(!resets_add(&r, &three_in_ten, 11 * SECOND));
	ck_assert(!resets_add(&r, &three_in_ten, 12 * SECOND));
	ck_assert(resets_add(&r, &three_in_ten, 13 * SECOND));
}
END_TEST

START_TEST(without_a_limit)
{
	const struct config_reboot_limit none = {.seconds = 60};
	struct resets r = {0};

	for (unsigned int i = 0; i < 100; i++)
		ck_assert(!resets_add(&r, &none, 5));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resets");
	TCase *tc = tcase_create("resets");

	tcase_add_test(tc, so_many_in_that_time);
	tcase_add_test(tc, slowly_they_may);
	tcase_add_test(tc, those_of_long_ago_do_not_count);
	tcase_add_test(tc, without_a_limit);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
