// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of what is written from the table of options: the manual and the completion of bash. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "config/config.h"
#include "config/option.h"
#include "suite.h"

static char dir[] = "/tmp/hv-test-describe-XXXXXX";
static char script[64];

static char *written(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	write(out);
	fclose(out);
	return text;
}

/* Tests run in the directory of the project. */
START_TEST(manual_is_current)
{
	static char page[1 << 17];
	char *text = written(config_print_manual), *at;
	FILE *in = fopen("man/vmm.1", "r");

	ck_assert_ptr_nonnull(in);
	page[fread(page, 1, sizeof(page) - 1, in)] = '\0';
	fclose(in);
	at = strstr(page, "\n.\\\" Options:");
	ck_assert_ptr_nonnull(at);
	at = strchr(at + 1, '\n') + 1;
	ck_assert_msg(!strncmp(at, text, strlen(text)) &&
			      !strncmp(at + strlen(text), ".\\\" End of the options", 22),
		      "man/vmm.1 is not current: run 'make man'");
	free(text);
}
END_TEST

START_TEST(manual_has_every_option)
{
	char *text = written(config_print_manual), item[64];

	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		snprintf(item, sizeof(item), ".It Fl \\-%s", o->name);
		ck_assert_msg(strstr(text, item) != NULL, "%s", item);
		/* Whole lines, for what comes behind begins with a dot. */
		ck_assert_msg(!o->manual || o->manual[strlen(o->manual) - 1] == '\n', "%s",
			      o->name);
	}
	ck_assert_ptr_nonnull(strstr(text, "From 16M to 16384G.\nThe default is\n.Ql 512M .\n"));
	ck_assert_ptr_nonnull(strstr(text, ".It Cm readonly= Ns Cm on Ns | Ns Cm off\n"));
	ck_assert_ptr_nonnull(strstr(text, "The default is the first free one.\n"));
	free(text);
}
END_TEST

/* Each subcommand that the help text lists is in the manual. */
START_TEST(manual_has_every_command)
{
	static char page[1 << 17];
	FILE *in = fopen("man/vmm.1", "r");
	struct command c;

	ck_assert_ptr_nonnull(in);
	page[fread(page, 1, sizeof(page) - 1, in)] = '\0';
	fclose(in);
	for (unsigned int n = 0; command_at(n, &c); n++) {
		ck_assert_msg(!c.help || strstr(strstr(page, ".Sh SYNOPSIS"), c.name), "%s",
			      c.name);
	}
}
END_TEST

/* ------------------------------------------------------------------------- */
/* bash                                                                       */

static void setup(void)
{
	char *text = written(completion_print), path[64];
	FILE *out;

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(script, sizeof(script), "%s/script", dir);
	out = fopen(script, "w");
	fputs(text, out);
	fclose(out);
	free(text);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, (const char *[]){"one.img", "o t"}[i]);
		fclose(fopen(path, "w"));
	}
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/*
 * What bash would offer when the tabulator is pressed behind "line", as one line with bars. The words are
 * those that bash makes, at blanks and around each '='.
 */
static void completes(const char *line, const char *wanted)
{
	char command[1024], got[2048] = "";
	FILE *in;

	snprintf(
		command, sizeof(command),
		"cd %s && bash -c 'source ./script; vmm() { [[ $* != \"list --quiet\" ]] || echo web db-1; }\n"
		"COMP_LINE=$1 COMP_POINT=${#1}\n"
		"read -ra COMP_WORDS <<<\"${1//=/ = }\"\n"
		"[[ $1 != *[\\ ] ]] || COMP_WORDS+=(\"\")\n"
		"COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _vmm\n"
		"printf \"%%s|\" ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}' - '%s'",
		dir, line);
	in = popen(command, "r");
	ck_assert_ptr_nonnull(in);
	got[fread(got, 1, sizeof(got) - 1, in)] = '\0';
	ck_assert_int_eq(pclose(in), 0);
	ck_assert_msg(!strcmp(got, wanted), "'%s': '%s' instead of '%s'", line, got, wanted);
}

START_TEST(bash_completes_options)
{
	completes("vmm ru", "run|");
	completes(
		"vmm ",
		"run|check|list|console|logs|api|completion|status|stats|events|pause|resume|reset|"
		"power-button|nmi|stop|kill|wait|--help|--version|");
	completes("vmm completion b", "bash|");
	completes("vmm api --o", "--openapi|");
	completes("vmm check --j", "--json|");
	completes("vmm run --me", "--memory|--memory-backend|");
	completes("vmm run --kernel x --no", "--no-reboot|");
	completes("vmm run --no-reboot --ti", "--time-limit|");
	completes("vmm run --kernel=x --cp", "--cpus|");
	completes("vmm run --x", "|");
}
END_TEST

START_TEST(bash_completes_machines)
{
	completes("vmm stop ", "web|db-1|");
	completes("vmm status web d", "db-1|");
	completes("vmm stop --t", "--timeout|");
	completes("vmm pause --t", "|");
	completes("vmm console --", "--read-only|--help|");
	completes("vmm list --q", "--quiet|");
	completes("vmm no-such-verb w", "|");
}
END_TEST

START_TEST(bash_completes_files)
{
	completes("vmm run --kernel on", "one.img|");
	completes("vmm run --kernel=on", "one.img|");
	completes("vmm run --config o", "o t|one.img|");
	completes("vmm run --module on", "one.img|");
	completes("vmm run --fw-cfg opt/a=on", "one.img|");
	completes("vmm run --fw-cfg o", "|");
	completes("vmm run --memory o", "|");
}
END_TEST

START_TEST(bash_completes_items)
{
	completes("vmm run --disk on", "one.img|");
	completes("vmm run --console ",
		  "tty|none|pty|kind=|file=|socket=|unix=|rotate=|keep=|link=|id=|");
	completes("vmm run --disk pat", "path=|");
	completes("vmm run --disk path=on", "one.img|");
	completes("vmm run --disk one.img,re", "one.img,readonly=|");
	completes("vmm run --disk one.img,readonly=", "on|off|");
	completes("vmm run --disk one.img,readonly=of", "off|");
	completes("vmm run --disk one.img,readonly=on,fo", "on,format=|");
	completes("vmm run --disk=one.img,format=", "raw|");
	completes("vmm run --disk one.img,serial=x", "|");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("describe");
	TCase *tc = tcase_create("manual"), *bash = tcase_create("bash");

	tcase_add_test(tc, manual_is_current);
	tcase_add_test(tc, manual_has_every_option);
	tcase_add_test(tc, manual_has_every_command);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(bash, setup, teardown);
	tcase_set_timeout(bash, 60);
	tcase_add_test(bash, bash_completes_options);
	tcase_add_test(bash, bash_completes_machines);
	tcase_add_test(bash, bash_completes_files);
	tcase_add_test(bash, bash_completes_items);
	suite_add_tcase(suite, bash);
	return suite_run(suite);
}
