// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chooses the case of the hostile guest by the command line. Called by start.S.
 */
#include "hostile.h"
#include "platform.h"

static const struct case_group *const groups[] = {
	&chain_cases, &queue_cases, &device_cases, &bus_cases, &processor_cases,
};

static const char *const endings[] = {
	[ENDS_WELL] = "well",
	[ENDS_CRASHED] = "crashed",
	[ENDS_NEVER] = "never",
};

/* Is the word at text exactly name? */
static bool is_word(const char *text, const char *name)
{
	while (*name && *text == *name) {
		text++;
		name++;
	}
	return !*name && (!*text || *text == ' ');
}

/* What stands behind "case=". */
static const char *wanted(const char *cmdline)
{
	static const char key[] = "case=";

	for (; *cmdline; cmdline++) {
		size_t i = 0;

		while (key[i] && cmdline[i] == key[i])
			i++;
		if (!key[i])
			return cmdline + i;
	}
	return "";
}

static void list(void)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (size_t i = 0; i < groups[g]->nr; i++) {
			const struct hostile_case *c = &groups[g]->cases[i];

			print("case ");
			print(c->name);
			print(" ");
			print(endings[c->ending]);
			print("\n");
		}
	}
	pass();
}

static const struct hostile_case *find(const char *name)
{
	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (size_t i = 0; i < groups[g]->nr; i++) {
			if (is_word(name, groups[g]->cases[i].name))
				return &groups[g]->cases[i];
		}
	}
	return NULL;
}

void main(uint32_t info_addr)
{
	const char *name = wanted(platform_init(info_addr));
	const struct hostile_case *c = find(name);

	if (is_word(name, "list"))
		list();
	if (!c)
		fail("there is no such case");
	devices_find();
	c->run();
	/* Those that do not end well do not come back. */
	if (c->ending != ENDS_WELL)
		fail("the machine is still alive");
	all_sound();
	pass();
}
