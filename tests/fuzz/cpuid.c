// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kmod/cpuid.c: any host makes a table that is in order and within its own rules; any table of a
 * user is refused, or answers every question.
 */
#include "kmod/cpuid.h"
#include "tests/fuzz/fuzz.h"

static struct input host_data;

/* A host that says what the input says, here and there the same again. */
static void read_leaf(u32 function, u32 index, struct cpuid_leaf *out)
{
	uint32_t words[4] = {0};
	size_t at;

	if (host_data.left >= sizeof(words)) {
		at = (function * 2654435761u + index * 40503u) %
		     (host_data.left - sizeof(words) + 1);
		memcpy(words, host_data.at + at, sizeof(words));
	}
	*out = (struct cpuid_leaf){words[0], words[1], words[2], words[3]};
	/* Limits that are limits, most of the time */
	if ((function == 0 || function == 0x80000000) && index == 0 && words[3] & 1)
		out->eax = function + (words[0] & 0x3f);
}

static bool before(const struct hv_cpuid_entry *a, const struct hv_cpuid_entry *b)
{
	return a->function < b->function || (a->function == b->function && a->index < b->index);
}

static void check_order(const struct hv_cpuid_table *t)
{
	must(t->count <= HV_MAX_CPUID);
	for (u32 i = 1; i < t->count; i++)
		must(before(&t->e[i - 1], &t->e[i]));
}

static void ask(const struct hv_cpuid_table *t, struct input *in)
{
	struct cpuid_dynamic dyn = {.cr4 = take(in, 8),
				    .xcr0 = take(in, 1) | 1,
				    .tsc_khz = 1000000,
				    .apic_enabled = true};
	struct cpuid_leaf out;

	for (unsigned int n = 0; n < 8; n++)
		cpuid_query(t, &dyn, take(in, 4), take(in, 1), &out);
	for (u32 i = 0; i < t->count; i++)
		cpuid_query(t, &dyn, t->e[i].function, t->e[i].index, &out);
	cpuid_xsave_size(t, take(in, 8));
	cpuid_has(t, take(in, 4), take(in, 1), take(in, 1) & 3, take(in, 1) & 31);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hv_cpuid_table supported, user;
	struct input in = {data, size};
	struct cpuid_host host = {.read = read_leaf, .tsc_khz = 2500000};
	struct input half;

	host.xcr0 = take(&in, 2) | 1;
	host_data = (struct input){in.at, in.left / 2};
	cpuid_supported(&host, &supported);
	check_order(&supported);
	user = supported;
	must(!cpuid_normalise(&user));
	must(!cpuid_check(&supported, &user));
	cpuid_set_apic_id(&user, 63);
	half = host_data;
	ask(&user, &half);

	/* The table of a user: the supported one with some words of it changed */
	in.at += host_data.left;
	in.left -= host_data.left;
	user = supported;
	while (in.left) {
		u32 *word = (u32 *)&user.e[take(&in, 1) % HV_MAX_CPUID] + take(&in, 1) % 8;

		*word = take(&in, 4);
		if (take(&in, 1) < 16)
			user.count = take(&in, 1);
	}
	if (cpuid_normalise(&user))
		return 0;
	check_order(&user);
	cpuid_check(&supported, &user);
	cpuid_set_apic_id(&user, 1);
	in = (struct input){data, size};
	ask(&user, &in);
	return 0;
}
