// SPDX-License-Identifier: GPL-2.0-or-later
/* What the user gets to see of a machine's end (vmm/cmd/result.c): status and JSON. */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/result.h"
#include "suite.h"

static char name[] = "a-name";
static const struct config config = {
	.name = name,
	.console[0] = {.kind = CONFIG_CONSOLE_NONE, .kind_stated = true},
	.nr_consoles = 1,
	.cpus = 2,
	.memory = 8ULL << 30,
};
static const struct run_totals totals = {
	.reboots = 3,
	.seconds = 1.5,
	.exits = {.pio = 1, .mmio = 2, .emulate = 3, .eoi = 5000000000ULL},
};

/* What was printed: of a result, or of wrong usage. */
static json_t *parse_either(const struct machine_result *result, const struct error *usage)
{
	char buf[2048] = "";
	FILE *out = fmemopen(buf, sizeof(buf), "w");
	json_error_t error;
	json_t *root;

	ck_assert_ptr_nonnull(out);
	if (usage)
		ck_assert_int_eq(result_print_usage(out, usage), 0);
	else
		ck_assert_int_eq(result_print_json(out, &config, result, &totals), 0);
	fclose(out);
	/* One line, which is the last. */
	ck_assert_ptr_eq(strchr(buf, '\n'), buf + strlen(buf) - 1);
	root = json_loads(buf, 0, &error);
	ck_assert_msg(root != NULL, "%s: %s", error.text, buf);
	return root;
}

static json_t *parse(const struct machine_result *result)
{
	return parse_either(result, NULL);
}

static const char *string(const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));

	return value ? value : "(none)";
}

static json_int_t integer(const json_t *root, const char *key)
{
	return json_integer_value(json_object_get(root, key));
}

START_TEST(every_end_has_its_status)
{
	static const struct {
		enum machine_end end;
		const char *reason;
		int status;
	} ends[] = {
		{MACHINE_POWER_OFF, "power-off", STATUS_OK},
		{MACHINE_RESET, "reset", STATUS_RESET},
		{MACHINE_CRASHED, "crash", STATUS_CRASHED},
		{MACHINE_FAILED, "error", STATUS_ERROR},
		{MACHINE_QUIT, "quit", STATUS_OK},
		{MACHINE_KILLED, "killed", STATUS_KILLED},
		{MACHINE_TIME_LIMIT, "time-limit", STATUS_TIME_LIMIT},
		{MACHINE_STOP_TIMEOUT, "stop-timeout", STATUS_STOP_TIMEOUT},
		{MACHINE_RESETS, "resets", STATUS_RESETS},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const struct machine_result result = {.end = ends[i].end};
		json_t *root = parse(&result);

		ck_assert_int_eq(result_status(&config, &result), ends[i].status);
		ck_assert_str_eq(string(root, "reason"), ends[i].reason);
		ck_assert_int_eq(integer(root, "status"), ends[i].status);
		ck_assert_ptr_null(json_object_get(root, "value"));
		ck_assert_ptr_null(json_object_get(root, "message"));
		json_decref(root);
	}
}
END_TEST

START_TEST(members)
{
	const struct machine_result result = {.end = MACHINE_CRASHED, .text = "triple \"fault\""};
	json_t *root = parse(&result), *exits = json_object_get(root, "exits");

	ck_assert_str_eq(string(root, "name"), "a-name");
	ck_assert_str_eq(string(root, "message"), "triple \"fault\"");
	ck_assert_int_eq(integer(root, "cpus"), 2);
	ck_assert_int_eq(integer(root, "memory"), 8LL << 30);
	ck_assert_int_eq(integer(root, "reboots"), 3);
	ck_assert(json_real_value(json_object_get(root, "seconds")) == 1.5);
	ck_assert_int_eq(integer(exits, "pio"), 1);
	ck_assert_int_eq(integer(exits, "mmio"), 2);
	ck_assert_int_eq(integer(exits, "emulate"), 3);
	ck_assert_int_eq(integer(exits, "eoi"), 5000000000LL);
	json_decref(root);
}
END_TEST

START_TEST(debug_exit)
{
	static const struct {
		uint32_t value;
		int status;
	} cases[] = {{0, 1}, {1, 3}, {0x7f, 0xff}, {0x80, 1}, {0xffffffff, 0xff}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct machine_result result = {.end = MACHINE_DEBUG_EXIT,
						      .value = cases[i].value};
		json_t *root = parse(&result);

		ck_assert_int_eq(result_status(&config, &result), cases[i].status);
		ck_assert_int_eq(integer(root, "status"), cases[i].status);
		ck_assert_int_eq(integer(root, "value"), cases[i].value);
		json_decref(root);
	}
}
END_TEST

/* A file's name in Latin-1, and a sentence cut off in the middle of a character. */
START_TEST(message_that_is_not_utf8)
{
	struct machine_result result = {.end = MACHINE_FAILED};
	json_t *root;

	strcpy(result.text, "kernel \x7f\x80\x81 caf\xe9: No such file");
	root = parse(&result);
	ck_assert_str_eq(string(root, "message"), "kernel \x7f?? caf?: No such file");
	json_decref(root);

	memset(result.text, 'x', sizeof(result.text));
	result.text[sizeof(result.text) - 2] = '\xc3';
	result.text[sizeof(result.text) - 1] = '\0';
	root = parse(&result);
	ck_assert_uint_eq(strlen(string(root, "message")), sizeof(result.text) - 1);
	json_decref(root);

	strcpy(result.text, "kernel caf\xc3\xa9: No such file");
	root = parse(&result);
	ck_assert_str_eq(string(root, "message"), result.text);
	json_decref(root);
}
END_TEST

/* For programs: a word, and the option. */
START_TEST(errors_have_a_code_and_a_path)
{
	struct machine_result result = {.end = MACHINE_FAILED, .text = "no such file"};
	json_t *root, *error;
	struct error e;

	result.code = "not-found";
	strcpy(result.path, "disks[1].path");
	root = parse(&result);
	error = json_object_get(root, "error");
	ck_assert_str_eq(string(error, "code"), "not-found");
	ck_assert_str_eq(string(error, "path"), "disks[1].path");
	ck_assert_str_eq(string(error, "message"), "no such file");
	ck_assert_str_eq(string(root, "message"), "no such file");
	json_decref(root);

	/* That of a machine that ran has none. */
	result.code = NULL;
	root = parse(&result);
	ck_assert_ptr_null(json_object_get(root, "error"));
	json_decref(root);

	error_set(&e, ERANGE, "caf\xe9");
	root = parse_either(NULL, &e);
	ck_assert_str_eq(string(root, "reason"), "usage");
	ck_assert_int_eq(integer(root, "status"), STATUS_USAGE);
	error = json_object_get(root, "error");
	ck_assert_str_eq(string(error, "code"), "out-of-range");
	ck_assert_str_eq(string(error, "message"), "caf?");
	ck_assert_ptr_null(json_object_get(error, "path"));
	json_decref(root);
}
END_TEST

/* What the deep code does not know: how the user said it. */
START_TEST(options_are_named_as_flags)
{
	struct machine_result result = {.end = MACHINE_FAILED, .text = "it is too small"};
	int old = dup(STDERR_FILENO);
	char line[128] = "";
	FILE *file = tmpfile();

	dup2(fileno(file), STDERR_FILENO);
	strcpy(result.path, "memory");
	result_say(&config, &result);
	result.path[0] = '\0';
	result_say(&config, &result);
	strcpy(result.path, "disks[1]");
	result_say(&config, &result);
	dup2(old, STDERR_FILENO);
	close(old);

	rewind(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	ck_assert_ptr_nonnull(strstr(line, "it is too small (--memory)\n"));
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	ck_assert_ptr_nonnull(strstr(line, "it is too small\n"));
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	ck_assert_ptr_nonnull(strstr(line, "it is too small (--disk)\n"));
	fclose(file);
}
END_TEST

START_TEST(output_that_is_full)
{
	const struct machine_result result = {.end = MACHINE_POWER_OFF};
	FILE *out = fopen("/dev/full", "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(result_print_json(out, &config, &result, &totals), -1);
	fclose(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("result");
	TCase *tc = tcase_create("result");

	tcase_add_test(tc, every_end_has_its_status);
	tcase_add_test(tc, members);
	tcase_add_test(tc, debug_exit);
	tcase_add_test(tc, message_that_is_not_utf8);
	tcase_add_test(tc, errors_have_a_code_and_a_path);
	tcase_add_test(tc, options_are_named_as_flags);
	tcase_add_test(tc, output_that_is_full);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
