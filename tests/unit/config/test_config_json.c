// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/config/json.c: what configuration files say, which are refused how, and that none is lost. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/json.h"
#include "config/option.h"
#include "suite.h"

#define MAX_ARGS 256

static struct config config, other;
static struct error error;
static char file[] = "/tmp/hv-test-config-XXXXXX";

static void setup(void)
{
	memset(&config, 0, sizeof(config));
	memset(&other, 0, sizeof(other));
	memset(&error, 0, sizeof(error));
	strcpy(file + strlen(file) - 6, "XXXXXX");
	close(mkstemp(file));
}

static void teardown(void)
{
	config_destroy(&config);
	config_destroy(&other);
	unlink(file);
}

static void write_file(const char *text, size_t len)
{
	FILE *out = fopen(file, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(text, 1, len, out), len);
	fclose(out);
}

/* Parse "run --config FILE" with that text, and the flags, up to NULL. */
static int parse(const char *text, ...)
{
	char *argv[MAX_ARGS] = {"run", "--config", file};
	int argc = 3;
	va_list args;

	write_file(text, strlen(text));
	va_start(args, text);
	while ((argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	config_destroy(&config);
	return config_parse(argc, argv, &config, &error);
}

/* Refused, at this line, with that in the message. */
static void refused(const char *text, const char *code, const char *path, unsigned int line,
		    const char *says)
{
	char where[128];

	snprintf(where, sizeof(where), "%s:%u: ", file, line);
	ck_assert_msg(parse(text, NULL) < 0, "taken: %s", text);
	ck_assert_msg(!strcmp(error.code, code), "%s: %s (%s)", text, error.code, error.text);
	ck_assert_msg(!strcmp(error.path, path), "%s: %s", text, error.path);
	ck_assert_msg(strstr(error.text, where) == error.text, "%s: %s", text, error.text);
	ck_assert_msg(strstr(error.text, says) != NULL, "%s: %s", text, error.text);
}

static char *print(const struct config *c)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_msg(config_print(c, out, &error) == 0, "%s", error.text);
	fclose(out);
	return text;
}

/* ------------------------------------------------------------------------- */

START_TEST(every_option)
{
	ck_assert_msg(
		parse("{\"kernel\": \"k\", \"initrd\": \"i\", \"cmdline\": \"quiet\",\n"
		      "\"cpus\": 4, \"memory\": \"2G\", \"tsc-khz\": 2100000,\n"
		      "\"debug-exit\": 244, \"consoles\": [{\"file\": \"x\"}], \"name\": \"n\",\n"
		      "\"no-reboot\": true, \"time-limit\": \"5m\", \"json\": true,\n"
		      "\"verbose\": false, \"disks\": [{\"path\": \"a,b=c\",\n"
		      "\"readonly\": true, \"format\": \"raw\", \"serial\": \"s\",\n"
		      "\"addr\": 9, \"id\": \"root\"}, {\"path\": \"d\"}],\n"
		      "\"fw-cfg\": [{\"name\": \"opt/a=b\", \"path\": \"f\"}]}",
		      NULL) == 0,
		"%s", error.text);
	ck_assert_str_eq(config.kernel, "k");
	ck_assert_str_eq(config.initrd, "i");
	ck_assert_str_eq(config.cmdline, "quiet");
	ck_assert_uint_eq(config.cpus, 4);
	ck_assert_uint_eq(config.memory, 2ULL << 30);
	ck_assert_uint_eq(config.tsc_khz, 2100000);
	ck_assert(config.debug_exit);
	ck_assert_uint_eq(config.debug_exit_port, 244);
	ck_assert_uint_eq(config.nr_consoles, 1);
	ck_assert_str_eq(config.console[0].file, "x");
	ck_assert_str_eq(config.name, "n");
	ck_assert(config.no_reboot && config.json && !config.verbose);
	ck_assert_uint_eq(config.time_limit, 300);
	ck_assert_uint_eq(config.nr_disks, 2);
	ck_assert_str_eq(config.disk[0].path, "a,b=c");
	ck_assert(config.disk[0].readonly && config.disk[0].format_stated);
	ck_assert_str_eq(config.disk[0].serial, "s");
	ck_assert_uint_eq(config.disk[0].addr, 9);
	ck_assert_str_eq(config.disk[0].item.id, "root");
	ck_assert_str_eq(config.disk[1].path, "d");
	ck_assert(!config.disk[1].readonly && !config.disk[1].format_stated);
	ck_assert_uint_eq(config.disk[1].addr, 1);
	ck_assert_str_eq(config.disk[1].item.id, "disk1");
	ck_assert_str_eq(config.fw_cfg[0].name, "opt/a=b");
	ck_assert_str_eq(config.fw_cfg[0].path, "f");

	ck_assert_int_eq(parse("{\"kernel\": \"k\", \"memory\": 536870912, \"time-limit\": 9,\n"
			       "\"modules\": [{\"path\": \"m\", \"args\": \"a  b\"},\n"
			       "{\"path\": \"n\"}]}",
			       NULL),
			 0);
	ck_assert_uint_eq(config.memory, 512ULL << 20);
	ck_assert_uint_eq(config.time_limit, 9);
	ck_assert_str_eq(config.module[0].string, "m a  b");
	ck_assert_str_eq(config.module[1].string, "n");
	/* Without a blank anywhere. */
	ck_assert_int_eq(parse("{\"kernel\":\"k\",\"disks\":[{\"path\":\"a\",\"addr\":2},"
			       "{\"path\":\"b\"}],\"time-limit\":9}",
			       NULL),
			 0);
	ck_assert_uint_eq(config.nr_disks, 2);
	ck_assert_uint_eq(config.disk[0].addr, 2);
	ck_assert_uint_eq(config.time_limit, 9);
	/* What is not said is as it is without a file. */
	ck_assert_uint_eq(config.cpus, 1);
	ck_assert(config_has_tty(&config));
}
END_TEST

START_TEST(flags_override_and_append)
{
	const char *text = "{\"kernel\": \"k\", \"cpus\": 2, \"no-reboot\": true,\n"
			   "\"disks\": [{\"path\": \"a\"}, {\"path\": \"b\", \"id\": \"x\"}]}";

	ck_assert_int_eq(parse(text, "--cpus", "3", "--disk", "c", "--no-reboot=off", "--memory",
			       "1G", NULL),
			 0);
	ck_assert_uint_eq(config.cpus, 3);
	ck_assert_uint_eq(config.memory, 1ULL << 30);
	ck_assert(!config.no_reboot);
	ck_assert_uint_eq(config.nr_disks, 3);
	ck_assert_str_eq(config.disk[1].item.id, "x");
	ck_assert_str_eq(config.disk[2].path, "c");
	ck_assert_str_eq(config.disk[2].item.id, "disk2");

	/* What is said of an option says where it stands. */
	ck_assert_str_eq(config_label(&config, "cpus").text, "--cpus");
	ck_assert_str_eq(config_label(&config, "memory").text, "--memory");
	ck_assert_str_eq(config_label(&config, "name").text, "--name");
	ck_assert_str_eq(config_label(&config, "disks[2].path").text, "--disk");
	ck_assert_str_eq(config_label(&config, "disks[99]").text, "--disk");
	ck_assert_int_eq(parse(text, NULL), 0);
	ck_assert_ptr_nonnull(strstr(config_label(&config, "cpus").text, "cpus in /tmp/hv-test"));
	ck_assert_ptr_nonnull(
		strstr(config_label(&config, "disks[1].path").text, "disks[1].path in /tmp/"));

	/* Where the file is named does not matter. */
	ck_assert_int_eq(
		config_parse(6, (char *[]){"run", "--cpus", "5", "--config", file, "--json", NULL},
			     &other, &error),
		0);
	ck_assert_uint_eq(other.cpus, 5);

	ck_assert_int_lt(parse(text, "--disk", "c,id=x", NULL), 0);
	ck_assert_str_eq(error.path, "disks[1].id");
	ck_assert_ptr_nonnull(strstr(error.text, "disks[1].id in /tmp/"));
	/* The kernel may come from either. */
	ck_assert_int_lt(parse("{}", NULL), 0);
	ck_assert_str_eq(error.code, "missing");
	ck_assert_int_eq(parse("{}", "--kernel", "k", NULL), 0);
	ck_assert_int_lt(parse("{\"kernel\": \"k\"}", "--kernel", "", NULL), 0);
}
END_TEST

START_TEST(wrong_ones_are_refused_with_their_line)
{
	refused("{\"kernel\": \"k\",\n\n\"memroy\": 1}", "unknown-option", "memroy", 3,
		"did you mean memory?");
	refused("{\"disk\": []}", "unknown-option", "disk", 1, "did you mean disks?");
	refused("{\n\"help\": true}", "unknown-option", "help", 2, "is unknown");
	refused("{\"config\": \"x\"}", "unknown-option", "config", 1, "");
	refused("{\"a\\nb\": 1}", "unknown-option", "a\nb", 1, "a?b");
	refused("{\"print-config\": true}", "unknown-option", "print-config", 1, "");
	refused("{\"disks\": [\n{\"path\": \"a\"},\n{\"path\": \"b\",\n\"colour\": 1}]}",
		"unknown-option", "disks[1].colour", 4, "");
	refused("{\"cpus\": 1,\n\"cpus\": 1}", "not-unique", "cpus", 2, "cpus is given twice");
	refused("{\"cpus\": 1,\n\"\\u0063pus\": 2}", "not-unique", "cpus", 2, "twice");
	refused("{\"disks\": [],\n\n\"disks\": []}", "not-unique", "disks", 3, "twice");
	refused("{\"disks\": [{\"path\": \"a\",\n\"path\": \"a\"}]}", "not-unique", "disks[0].path",
		2, "twice");

	refused("{\"cpus\": \"2\"}", "wrong-type", "cpus", 1, "a whole number");
	refused("{\"cpus\": 2.0}", "wrong-type", "cpus", 1, "a whole number");
	refused("{\"cpus\": null}", "wrong-type", "cpus", 1, "a whole number");
	refused("{\"cpus\": [2]}", "wrong-type", "cpus", 1, "a whole number");
	refused("{\"cpus\": true}", "wrong-type", "cpus", 1, "a whole number");
	refused("{\"memory\": true}", "wrong-type", "memory", 1, "a number of bytes");
	refused("{\"time-limit\": 1.5}", "wrong-type", "time-limit", 1, "a number of seconds");
	refused("{\"kernel\":\n5}", "wrong-type", "kernel", 1, "a string");
	refused("{\"json\": \"on\"}", "wrong-type", "json", 1, "true or false");
	refused("{\"json\": 1}", "wrong-type", "json", 1, "true or false");
	refused("{\"disks\": {}}", "wrong-type", "disks", 1, "an array of objects");
	refused("{\"disks\": \"a\"}", "wrong-type", "disks", 1, "an array of objects");
	refused("{\"disks\": [\n\"a\"]}", "wrong-type", "disks[0]", 2, "an object");
	refused("{\"disks\": [{\"path\": {}}]}", "wrong-type", "disks[0].path", 1, "a string");
	refused("{\"disks\": [{\"format\": 0}]}", "wrong-type", "disks[0].format", 1, "a string");
	refused("[]", "wrong-type", "", 1, "must be an object");
	refused("\n\n5", "bad-syntax", "", 3, "is not JSON");

	refused("{\"cpus\": -1}", "bad-value", "cpus", 1, "from 1 to 64, not '-1'");
	refused("{\"cpus\": 65}", "out-of-range", "cpus", 1, "from 1 to 64");
	refused("{\"memory\": 512}", "out-of-range", "memory", 1, "did you mean 512M?");
	refused("{\"memory\": \"\"}", "bad-value", "memory", 1, "");
	refused("{\"kernel\": \"\"}", "bad-value", "kernel", 1, "kernel needs the name of a file");
	refused("{\"consoles\": [{\"kind\": \"x\"}]}", "bad-value", "consoles[0].kind", 1,
		"tty, none or pty");
	refused("{\"disks\": [{\"path\": \"a\", \"addr\": 32}]}", "out-of-range", "disks[0].addr",
		1, "");
	refused("{\"disks\": [{\"path\": \"a\"},\n{\"readonly\": true}]}", "missing",
		"disks[1].path", 2, "is missing");
	refused("{\"fw-cfg\": [{\"name\": \"n\"}]}", "missing", "fw-cfg[0].path", 1, "");
	refused("{\"modules\": [{\"path\": \"a b\"}]}", "bad-value", "modules[0].path", 1,
		"without blanks");
}
END_TEST

START_TEST(what_is_not_json)
{
	static const char *const bad[] = {
		"",
		"{",
		"{\"kernel\" \"k\"}",
		"{\"kernel\": 'k'}",
		"{\"cpus\": 1,}",
		"{} {}",
		"{\"a\": tru}",
		"{\"a\": 01}",
		"{\"cpus\": 99999999999999999999}",
		"\xff{}",
		"{\"kernel\": \"\xff\"}",
		"{\"kernel\": \"a\\u0000b\"}",
		"{\"a\n\": 1}",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(parse(bad[i], NULL) < 0, "%s", bad[i]);
		ck_assert_msg(!strcmp(error.code, "bad-syntax"), "%s: %s", bad[i], error.text);
		ck_assert_msg(!strchr(error.text, '\n'), "%s", error.text);
	}
	write_file("{}\0", 3);
	config_destroy(&config);
	ck_assert_int_lt(
		config_parse(3, (char *[]){"run", "--config", file, NULL}, &config, &error), 0);
	ck_assert_str_eq(error.code, "bad-syntax");
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	char *large = calloc(1, (1 << 20) + 1);

	ck_assert_int_lt(
		config_parse(3, (char *[]){"run", "--config", "/tmp", NULL}, &config, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "/tmp: "));
	ck_assert_str_eq(error.path, "config");
	config_destroy(&config);
	ck_assert_int_lt(
		config_parse(3, (char *[]){"run", "--config", "/absent", NULL}, &config, &error),
		0);
	ck_assert_str_eq(error.code, "not-found");
	/* As much as there may be, and one more. */
	memset(large, ' ', 1 << 20);
	memcpy(large, "{\"kernel\":\"k\"}", 14);
	write_file(large, (1 << 20) - 1);
	config_destroy(&config);
	ck_assert_int_eq(
		config_parse(3, (char *[]){"run", "--config", file, NULL}, &config, &error), 0);
	write_file(large, 1 << 20);
	config_destroy(&config);
	ck_assert_int_lt(
		config_parse(3, (char *[]){"run", "--config", file, NULL}, &config, &error), 0);
	free(large);
}
END_TEST

START_TEST(lists_are_bounded)
{
	char text[8192] = "{\"kernel\": \"k\", \"disks\": [";

	for (int i = 0; i < CONFIG_MAX_DISKS; i++)
		strcat(text, i ? ", {\"path\": \"d\"}" : "{\"path\": \"d\"}");
	strcat(text, "]}");
	ck_assert_int_eq(parse(text, NULL), 0);
	ck_assert_int_lt(parse(text, "--disk", "d", NULL), 0);
	ck_assert_str_eq(error.code, "too-many");
	strcpy(text + strlen(text) - 2, ",\n{\"path\": \"d\"}]}");
	refused(text, "too-many", "disks", 2, "more than 24 items");
}
END_TEST

START_TEST(names_that_are_not_utf8)
{
	char *argv[] = {"run", "--kernel", "k", "--disk", "a", "--disk", "caf\xe9", NULL};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(config_parse(7, argv, &config, &error), 0);
	ck_assert_int_lt(config_print(&config, out, &error), 0);
	ck_assert_str_eq(error.path, "disks[1].path");
	fclose(out);
	ck_assert_uint_eq(size, 0);
	free(text);
}
END_TEST

START_TEST(print_is_an_action)
{
	ck_assert_int_eq(parse("{\"kernel\": \"k\"}", "--print-config", NULL), 0);
	ck_assert(config.print);
	/* It is not said of the machine. */
	char *text = print(&config);

	ck_assert_ptr_null(strstr(text, "print"));
	ck_assert_ptr_null(strstr(text, "config"));
	ck_assert_ptr_nonnull(strstr(text, "\"memory\": 536870912"));
	free(text);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* Any machine is the same whichever way it is said                           */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

/* A string that the row takes. */
static void any_string(const struct option_def *o, char *buf)
{
	static const char *const pieces[] = {"a",  "B7", "-", "_",  "x,y", "=",	       " ",
					     "\"", "\\", "/", "\t", "}]",  "\xc3\xa9", "\n"};
	unsigned int n = 1 + any(6);

	*buf = '\0';
	while (n--) {
		const char *piece = pieces[any(o->chars ? 4 : sizeof(pieces) / sizeof(*pieces))];

		strcat(buf, piece);
	}
}

static void any_value(const struct option_def *o, char *buf)
{
	uint64_t span = o->max - o->min;

	/* One that has a form of its own. */
	if (o->check) {
		sprintf(buf, "%u/%u", any(1000) + 1, any(1000) + 1);
		return;
	}
	switch (o->type) {
	case OPT_BOOL:
		strcpy(buf, any(2) ? "on" : "off");
		break;
	case OPT_NUMBER:
		sprintf(buf, any(2) ? "%llu" : "%#llx",
			(unsigned long long)(o->min +
					     any(span + 1 < UINT32_MAX ? span + 1 : UINT32_MAX)));
		break;
	case OPT_SIZE:
		sprintf(buf, "%uM", 16 + any(100000));
		break;
	case OPT_DURATION:
		sprintf(buf, "%u%s", 1 + any(1000), (const char *[]){"", "s", "m", "h"}[any(4)]);
		break;
	case OPT_CHOICE:
		strcpy(buf, o->choices[0]);
		break;
	default:
		if (o->check)
			strcpy(buf, (const char *[]){"tty", "none", "file=a b", "unix=/x"}[any(4)]);
		else
			any_string(o, buf);
	}
}

/* A console is in one place; what can be said of it depends on which. */
static bool goes_with(unsigned int place, const char *name, const char *so_far, bool *needed)
{
	static const char *const places[] = {"file", "socket", "kind"};
	static const char *const more[] = {"rotate keep id", "id", "link id"};

	*needed = !strcmp(name, places[place]);
	if (!strcmp(name, "keep") && !strstr(so_far, "rotate="))
		return false;
	return *needed || strstr(more[place], name);
}

/* An item as the flag takes it: with commas twice, and each property at most once. */
static void any_item(const struct option_def *o, char *buf)
{
	const struct option_list *l = o->list;
	bool console = !strcmp(o->name, "console");
	unsigned int place = any(3);
	static unsigned int ids;
	char value[256];

	*buf = '\0';
	if (l->split) {
		/* As much of the first as there is before the character. */
		do
			any_string(&l->property[0], buf);
		while (strchr(buf, l->split) || strchr(buf, ' '));
		if (l->property[1].flags & OPT_REQUIRED || any(2)) {
			any_string(&l->property[1], value);
			sprintf(buf + strlen(buf), "%c%s", l->split, value);
		}
		return;
	}
	for (unsigned int i = 0; i < l->nr_properties; i++) {
		const struct option_def *p = &l->property[i];
		char *to = buf + strlen(buf);
		bool needed = p->flags & OPT_REQUIRED;

		if (console && !goes_with(place, p->name, buf, &needed))
			continue;
		if (!needed && any(2))
			continue;
		any_value(p, value);
		/* There is one tty only. */
		if (!strcmp(p->name, "kind"))
			strcpy(value, "pty");
		if (!strcmp(p->name, "id"))
			sprintf(value, "id-%u", ids++);
		/* Places are unique, too. */
		if (!strcmp(p->name, "addr"))
			sprintf(value, "%u", 1 + ids++ % 31);
		to += sprintf(to, "%s%s=", *buf ? "," : "", p->name);
		for (const char *s = value; *s; s++) {
			*to++ = *s;
			if (*s == ',')
				*to++ = ',';
		}
		*to = '\0';
	}
}

static unsigned int any_flags(char (*words)[1024], char **argv)
{
	unsigned int nr = 0;
	char value[512];

	for (unsigned int n = any(20) + 1; n > 0; n--) {
		const struct option_def *o = &option_table[any(option_count)];

		if (n == 1)
			o = option_find("kernel", 6);
		/* The one cannot be with the other. */
		if (o->flags & OPT_ONLY_FLAG || (!strcmp(o->name, "initrd") && seed & 1 << 20))
			continue;
		if (o->list)
			any_item(o, value);
		else
			any_value(o, value);
		snprintf(words[nr], sizeof(words[nr]), "--%s=%s", o->name, value);
		argv[nr] = words[nr];
		nr++;
	}
	argv[nr] = NULL;
	return nr;
}

static void same_rows(const struct option_def *rows, unsigned int nr, const void *a, const void *b)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct option_def *o = &rows[i];

		if (o->list || o->flags & OPT_ONLY_FLAG)
			continue;
		ck_assert_msg(option_is_set(o, a) == option_is_set(o, b), "%s", o->name);
		if (!option_is_set(o, a))
			continue;
		if (o->type == OPT_STRING || o->type == OPT_PATH)
			ck_assert_str_eq(*option_string(o, a), *option_string(o, b));
		else
			ck_assert_uint_eq(option_number(o, a), option_number(o, b));
	}
}

static void same(const struct config *a, const struct config *b)
{
	same_rows(option_table, option_count, a, b);
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_list *l = option_table[i].list;

		if (!l)
			continue;
		ck_assert_uint_eq(*list_count(l, a), *list_count(l, b));
		for (unsigned int n = 0; n < *list_count(l, a); n++)
			same_rows(l->property, l->nr_properties, list_item(l, a, n),
				  list_item(l, b, n));
	}
	for (unsigned int i = 0; i < a->nr_modules; i++)
		ck_assert_str_eq(a->module[i].string, b->module[i].string);
}

START_TEST(any_machine_survives_its_file)
{
	static char words[32][1024];
	unsigned int taken = 0;

	for (seed = 1; seed < 500; seed++) {
		uint64_t began = seed;
		char *argv[40] = {"run"}, *text, *again;
		unsigned int nr = any_flags(words, argv + 1);

		if (!config_parse(nr + 1, argv, &config, &error)) {
			taken++;
			text = print(&config);
			write_file(text, strlen(text));
			ck_assert_msg(config_parse(3, (char *[]){"run", "--config", file, NULL},
						   &other, &error) == 0,
				      "%s: %s", error.text, text);
			same(&config, &other);
			again = print(&other);
			ck_assert_str_eq(text, again);
			free(text);
			free(again);
			config_destroy(&other);
		} else {
			/* Two that cannot be together, and nothing else. */
			ck_assert_msg(!strcmp(error.path, "modules") ||
					      !strcmp(error.code, "not-unique") ||
					      !strcmp(error.path, "name"),
				      "%s", error.text);
		}
		config_destroy(&config);
		seed = began;
	}
	/* Most of them. */
	ck_assert_uint_gt(taken, 250);
}
END_TEST

/* The bits of from_file. */
START_TEST(table_is_not_too_long)
{
	ck_assert_uint_le(option_count, 64);
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		ck_assert_ptr_eq(option_find_key(option_key(o), strlen(option_key(o))), o);
		ck_assert(!o->list || o->list->nr_properties <= 64);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_json");
	TCase *tc = tcase_create("config_json");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, every_option);
	tcase_add_test(tc, flags_override_and_append);
	tcase_add_test(tc, wrong_ones_are_refused_with_their_line);
	tcase_add_test(tc, what_is_not_json);
	tcase_add_test(tc, files_that_cannot_be_read);
	tcase_add_test(tc, lists_are_bounded);
	tcase_add_test(tc, names_that_are_not_utf8);
	tcase_add_test(tc, print_is_an_action);
	tcase_add_test(tc, any_machine_survives_its_file);
	tcase_add_test(tc, table_is_not_too_long);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
