// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm list": the machines that run. Called by main.c. Reads locks and status files only, so that it takes as long
 * for machines that hang as for others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "control/runtime.h"
#include "log.h"
#include "plain.h"

struct row {
	char name[RUNTIME_NAME_MAX + 1];
	pid_t pid;
	json_t *status; /* NULL: none yet */
};

struct table {
	struct row *row;
	size_t nr, room;
};

static int add_row(void *arg, const struct runtime_machine *m)
{
	struct table *t = arg;
	struct row *bigger;

	if (t->nr == t->room) {
		bigger = realloc(t->row, (2 * t->room + 16) * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		t->row = bigger;
		t->room = 2 * t->room + 16;
	}
	t->row[t->nr] = (struct row){.pid = m->pid, .status = json_incref(m->status)};
	memcpy(t->row[t->nr].name, m->name, sizeof(m->name));
	t->nr++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

/* None is negative, whatever a machine says. */
static json_int_t number_of(const struct row *row, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(row->status, key));

	return number > 0 ? number : 0;
}

/* Nor does it get at the terminal. */
static const char *state_of(const struct row *row, char *text, size_t size)
{
	snprintf(text, size, "%s", runtime_state(row->status));
	plain_make(text);
	return text;
}

static const char *age(json_int_t seconds, char *text, size_t size)
{
	if (seconds < 0)
		seconds = 0;
	if (seconds < 3600)
		snprintf(text, size, "%" PRId64 "m%02" PRId64 "s", (int64_t)seconds / 60,
			 (int64_t)seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%" PRId64 "h%02" PRId64 "m", (int64_t)seconds / 3600,
			 (int64_t)seconds / 60 % 60);
	else
		snprintf(text, size, "%" PRId64 "d%02" PRId64 "h", (int64_t)seconds / 86400,
			 (int64_t)seconds / 3600 % 24);
	return text;
}

static void print_text(const struct table *t)
{
	time_t now = time(NULL);
	int width = 4;
	char up[32], state[32];

	for (size_t i = 0; i < t->nr; i++) {
		if ((int)strlen(t->row[i].name) > width)
			width = (int)strlen(t->row[i].name);
	}
	printf("%-*s %8s  %-9s %5s %8s  %s\n", width, "NAME", "PID", "STATE", "CPUS", "MEMORY",
	       "UP");
	for (size_t i = 0; i < t->nr; i++) {
		const struct row *row = &t->row[i];

		printf("%-*s %8d  %-9s ", width, row->name, (int)row->pid,
		       state_of(row, state, sizeof(state)));
		if (row->status)
			printf("%5" PRId64 " %7" PRId64 "M  %s\n", (int64_t)number_of(row, "cpus"),
			       (int64_t)number_of(row, "memory") >> 20,
			       age(now - number_of(row, "started"), up, sizeof(up)));
		else
			printf("%5s %8s  -\n", "-", "-");
	}
}

/* An array of what is in their status files. */
static int print_json(const struct table *t)
{
	json_t *list = json_array();
	int ret = 0;

	for (size_t i = 0; i < t->nr && !ret; i++) {
		const struct row *row = &t->row[i];
		json_t *item = row->status ? json_copy(row->status) : json_object();

		ret = json_object_update_new(item, json_pack("{s:s, s:i, s:s}", "name", row->name,
							     "pid", (int)row->pid, "state",
							     runtime_state(row->status)));
		if (json_array_append_new(list, item))
			ret = -1;
	}
	if (!ret)
		ret = json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
	return ret;
}

static int print(const struct table *t, const struct args *a)
{
	if (a->quiet) {
		for (size_t i = 0; i < t->nr; i++)
			puts(t->row[i].name);
	} else if (a->json) {
		return print_json(t);
	} else {
		print_text(t);
	}
	return 0;
}

static void print_help(void)
{
	fputs("vmm list - the machines of this user that run\n"
	      "\n"
	      "Usage: vmm list [-q | --json]\n"
	      "\n"
	      "  -q, --quiet   names only\n"
	      "  --json        an array of objects\n"
	      "\n"
	      "Exit status: 0 also when there are none, 1 error, 2 wrong usage.\n",
	      stdout);
}

int cmd_list(int argc, char **argv)
{
	struct table t = {0};
	struct error e;
	struct args a;
	int ret = args_parse(argc, argv, ARGS_JSON | ARGS_QUIET, 0, 0, &a);

	if (ret > 0)
		print_help();
	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	ret = runtime_for_each(add_row, &t, &e);
	if (ret == -ENOMEM)
		error_set(&e, ENOMEM, "out of memory");
	if (ret)
		log_error("%s", e.text);
	if (t.nr)
		qsort(t.row, t.nr, sizeof(t.row[0]), by_name);
	/* That it could not be written, main() says of everything. */
	if (!ret && print(&t, &a) && !ferror(stdout)) {
		log_error("out of memory for the list");
		ret = -ENOMEM;
	}
	for (size_t i = 0; i < t.nr; i++)
		json_decref(t.row[i].status);
	free(t.row);
	return ret ? STATUS_ERROR : STATUS_OK;
}
