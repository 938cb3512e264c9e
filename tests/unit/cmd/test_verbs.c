// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/cmd/verb.c and list.c, with processes that stand for monitors. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../control/fake_monitor.h"
#include "cmd/cmd.h"
#include "cmd/printed.h"
#include "suite.h"

#define OK   "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define NONE "HTTP/1.1 204 No Content\r\n\r\n"

static char said[65536];

/* What the words do, as of a command line; what they print is in said. */
static int vmm(const char *words)
{
	char text[512], *argv[16], *rest = text;
	char path[128];
	int argc = 0;

	snprintf(text, sizeof(text), "%s", words);
	while ((argv[argc] = strsep(&rest, " ")))
		argc++;
	snprintf(path, sizeof(path), "%s/out", fake_base);
	return printed(strcmp(argv[0], "list") ? cmd_verb : cmd_list, argc, argv, path, said,
		       sizeof(said));
}

START_TEST(test_usage)
{
	static const char *const bad[] = {
		"list m",
		"list --timeout 1",
		"status",
		"pause",
		"pause --no-such m",
		"pause --timeout 1 m",
		"stop --timeout",
		"stop --timeout x m",
		"stop --timeout -1 m",
		"stop m -q",
		"stop --timeout 1s m",
		"stop --timeout 999999999999999999999 m",
		"stop --timeout 86401 m",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(vmm(bad[i]) == STATUS_USAGE, "%s", bad[i]);
	ck_assert_int_eq(vmm("stop --help"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(said, "--timeout"));
	ck_assert_int_eq(vmm("list -h"), STATUS_OK);
	/* A day. */
	ck_assert_int_eq(vmm("stop --timeout 86400 m"), VERB_NO_MACHINE);
	/* A name like a flag is none of a machine. */
	ck_assert_int_eq(vmm("pause -- --json"), VERB_FAILED);
	ck_assert_int_eq(vmm("pause ../m"), VERB_FAILED);
}
END_TEST

START_TEST(test_actions)
{
	const struct fake f = {.answer = NONE}, says = {.answer = OK "{\"state\":\"paused\"}"};
	pid_t a = fake_start("a", &f), b = fake_start("b", &f);

	ck_assert_int_eq(vmm("pause a"), VERB_DONE);
	ck_assert_str_eq(said, "");
	ck_assert(fake_was_asked("POST /pause "));
	ck_assert_int_eq(vmm("power-button a b"), VERB_DONE);
	ck_assert(fake_was_asked("POST /power-button "));
	ck_assert_int_eq(vmm("nmi --json a none b"), VERB_NO_MACHINE);
	ck_assert_ptr_nonnull(
		strstr(said, "{\"name\":\"a\",\"ok\":true}\n{\"name\":\"none\",\"error\":{"));
	ck_assert_ptr_nonnull(strstr(said, "\"not-found\""));
	ck_assert_ptr_nonnull(strstr(said, "{\"name\":\"b\",\"ok\":true}\n"));
	fake_kill(a);
	fake_kill(b);
	ck_assert_int_eq(vmm("resume a"), VERB_NO_MACHINE);
	a = fake_start("a", &says);
	ck_assert_int_eq(vmm("pause a"), VERB_DONE);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(vmm("pause --json a"), VERB_DONE);
	ck_assert_str_eq(said, "{\"state\":\"paused\",\"name\":\"a\",\"ok\":true}\n");
	fake_kill(a);
}
END_TEST

/* JSON is UTF-8; what a user types need not be. */
START_TEST(test_name_that_is_not_utf8)
{
	ck_assert_int_eq(vmm("status --json caf\xe9"), VERB_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "\"name\":\"caf?\""));
	ck_assert_ptr_nonnull(strstr(said, "\"error\":{\"code\":\"bad-value\""));
	ck_assert_int_eq(vmm("wait --json caf\xe9"), VERB_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "\"name\":\"caf?\""));
}
END_TEST

START_TEST(test_refusal)
{
	const struct fake f = {
		.answer = "HTTP/1.1 409 Conflict\r\n\r\n{\"error\":{\"message\":\"no\"}}"};
	pid_t pid = fake_start("a", &f);

	ck_assert_int_eq(vmm("pause --json a"), VERB_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "machine 'a': no"));
	fake_kill(pid);
}
END_TEST

START_TEST(test_status)
{
	const struct fake f = {.answer = OK
			       "{\"state\":\"run\\u009bning\",\"x\":{\"y\":{\"z\":[1,7.1]}}}"};
	pid_t a = fake_start("a", &f), b = fake_start("b", &f);

	ck_assert_int_eq(vmm("status a"), VERB_DONE);
	ck_assert_str_eq(said, "state: run?ning\nx.y.z: [1,7.1]\n");
	ck_assert(fake_was_asked("GET /status "));
	ck_assert_int_eq(vmm("stats a b"), VERB_DONE);
	ck_assert_str_eq(
		said,
		"a:\nstate: run?ning\nx.y.z: [1,7.1]\n\nb:\nstate: run?ning\nx.y.z: [1,7.1]\n");
	ck_assert_int_eq(vmm("status --json a"), VERB_DONE);
	ck_assert_str_eq(
		said,
		"{\"state\":\"run\xc2\x9bning\",\"x\":{\"y\":{\"z\":[1,7.1]}},\"name\":\"a\"}\n");
	fake_kill(a);
	fake_kill(b);
}
END_TEST

START_TEST(test_events)
{
	const struct fake f = {.answer = OK
			       "{\"event\":\"paused\",\"n\":1}\nbad\n{\"event\":\"resumed\"}\n"};
	pid_t a = fake_start("a", &f), b = fake_start("b", &f);

	ck_assert_int_eq(vmm("events a"), VERB_DONE);
	ck_assert_str_eq(said, "a: event=paused n=1\na: event=resumed\n");
	ck_assert_int_eq(vmm("events --json b a"), VERB_DONE);
	ck_assert_ptr_nonnull(strstr(said, "{\"event\":\"resumed\",\"name\":\"a\"}\n"));
	ck_assert_ptr_nonnull(strstr(said, "{\"event\":\"resumed\",\"name\":\"b\"}\n"));
	fake_kill(a);
	fake_kill(b);
}
END_TEST

START_TEST(test_stop)
{
	const struct fake ends = {.answer = OK "{\"timeout\": 30}", .ends = true};
	const struct fake drops = {.answer = "", .ends = true};
	pid_t a = fake_start("a", &ends), b = fake_start("b", &ends);

	ck_assert_int_eq(vmm("stop --timeout=7 a b"), VERB_DONE);
	ck_assert(fake_was_asked("POST /stop "));
	ck_assert(fake_was_asked("{\"timeout\": 7}"));
	ck_assert_int_eq(vmm("list -q"), STATUS_OK);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(waitpid(a, NULL, 0), a);
	ck_assert_int_eq(waitpid(b, NULL, 0), b);
	/* That it ended is what was wanted, whatever it answered. */
	a = fake_start("a", &drops);
	ck_assert_int_eq(vmm("stop a"), VERB_DONE);
	ck_assert_int_eq(waitpid(a, NULL, 0), a);
}
END_TEST

/* It is asked, and when it does not hear, killed; what it leaves is removed. */
START_TEST(test_kill)
{
	const struct fake hears = {.answer = NONE, .ends = true}, hangs = {0};
	pid_t a = fake_start("a", &hears), b = fake_start("b", &hangs);
	int status;

	ck_assert_int_eq(vmm("kill a b"), VERB_DONE);
	ck_assert_int_eq(waitpid(a, &status, 0), a);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(waitpid(b, &status, 0), b);
	ck_assert_int_eq(status, SIGKILL);
	ck_assert_int_eq(chdir(fake_base), 0);
	ck_assert_int_ne(access("a", F_OK), 0);
	ck_assert_int_ne(access("b", F_OK), 0);
}
END_TEST

/* A process that sleeps whenever it is looked at, several times in a row, waits for something. */
static void await_sleep(pid_t pid)
{
	char path[32], state = 0;
	unsigned int asleep = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while (asleep < 10) {
		usleep(5000);
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			_exit(1);
		fclose(f);
		asleep = state == 'S' ? asleep + 1 : 0;
	}
}

START_TEST(test_wait)
{
	const struct fake f = {.answer = OK, .ends = true};
	const struct fake crashes = {
		.answer = OK
		"{\"event\":\"state\",\"state\":\"running\"}\n{\"event\":\"state\",\"state\":"
		"\"ended\",\"reason\":\"crash\",\"status\":3}\n",
		.ends = true};
	const struct fake good = {.answer = OK
				  "{\"event\":\"state\",\"state\":\"ended\",\"status\":0}\n",
				  .ends = true};
	const struct fake silent = {.answer = OK, .stays = true};
	pid_t a = fake_start("a", &crashes), b = fake_start("b", &good), killer;

	/* As its monitor ended. */
	ck_assert_int_eq(vmm("wait --json b a"), STATUS_CRASHED);
	ck_assert_ptr_nonnull(
		strstr(said, "{\"reason\":\"crash\",\"status\":3,\"name\":\"a\",\"ok\":true}\n"));
	waitpid(a, NULL, 0);
	waitpid(b, NULL, 0);
	b = fake_start("b", &good);
	ck_assert_int_eq(vmm("wait b"), VERB_DONE);
	ck_assert_str_eq(said, "");
	waitpid(b, NULL, 0);
	a = fake_start("a", &f);
	/* It says nothing of its end. */
	ck_assert_int_eq(vmm("wait a"), VERB_FAILED);
	waitpid(a, NULL, 0);
	a = fake_start("a", &silent);
	ck_assert_int_eq(vmm("wait --timeout 0 a"), VERB_NO_ANSWER);
	killer = fork();
	if (!killer) {
		await_sleep(getppid());
		kill(a, SIGKILL);
		_exit(0);
	}
	ck_assert_int_eq(vmm("wait a"), VERB_FAILED);
	waitpid(killer, NULL, 0);
	ck_assert_int_eq(vmm("wait a"), VERB_NO_MACHINE);
}
END_TEST

static uint64_t processor_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

#define MANY 100

static void own_many(int ready)
{
	const struct runtime_facts facts = {.cpus = 2, .memory = 1 << 30};
	struct runtime *r;
	struct error e;
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		if (runtime_create(name, &facts, &r, &e))
			_exit(1);
	}
	(void)!write(ready, "", 1);
	for (;;)
		pause();
}

/* A monitor that was taken over by its guest writes into its status what it likes. */
START_TEST(test_list_of_lies)
{
	static const char lies[] = "{\"state\": \"\\u001b]0;x\\u0007\\u009bx\", \"cpus\": -1, "
				   "\"memory\": 1048576, \"started\": -9223372036854775807}";
	const struct fake f = {.answer = NONE};
	pid_t a = fake_start("a", &f);
	char path[128], text[RUNTIME_STATUS_SIZE + 1];
	int fd;

	snprintf(path, sizeof(path), "%s/a/status", fake_base);
	snprintf(text, sizeof(text), "%-*s", RUNTIME_STATUS_SIZE, lies);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(write(fd, text, RUNTIME_STATUS_SIZE), RUNTIME_STATUS_SIZE);
	close(fd);
	ck_assert_int_eq(vmm("list"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(said, " ?]0;x???x "));
	ck_assert_ptr_nonnull(strstr(said, " 0       1M "));
	ck_assert_ptr_null(strchr(said, '\033'));
	fake_kill(a);
}
END_TEST

/* Less than 50 ms of processor time for a hundred, with sanitisers at that. */
START_TEST(test_list)
{
	uint64_t best = UINT64_MAX;
	int ready[2];
	char byte;
	json_t *list;
	pid_t pid;

	ck_assert_int_eq(vmm("list"), STATUS_OK);
	ck_assert_int_eq(vmm("list --json"), STATUS_OK);
	ck_assert_str_eq(said, "[]\n");
	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (!pid)
		own_many(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	for (int i = 0; i < 5; i++) {
		uint64_t before = processor_us(), used;

		ck_assert_int_eq(vmm("list"), STATUS_OK);
		used = processor_us() - before;
		best = used < best ? used : best;
	}
	ck_assert_uint_lt(best, 50000);
	ck_assert_ptr_nonnull(strstr(said, "\nm10 "));
	ck_assert_ptr_nonnull(strstr(said, " starting      2    1024M  0m0"));
	ck_assert_int_eq(vmm("list -q"), STATUS_OK);
	ck_assert(!strncmp(said, "m0\nm1\nm10\nm11\n", 14));
	ck_assert_int_eq(vmm("list --json"), STATUS_OK);
	list = json_loads(said, 0, NULL);
	ck_assert_uint_eq(json_array_size(list), MANY);
	json_decref(list);
	fake_kill(pid);
	ck_assert_int_eq(vmm("list -q"), STATUS_OK);
	ck_assert_str_eq(said, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("verbs");
	TCase *tc = tcase_create("verbs");

	tcase_add_checked_fixture(tc, fake_set_up, fake_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_usage);
	tcase_add_test(tc, test_actions);
	tcase_add_test(tc, test_name_that_is_not_utf8);
	tcase_add_test(tc, test_refusal);
	tcase_add_test(tc, test_status);
	tcase_add_test(tc, test_events);
	tcase_add_test(tc, test_stop);
	tcase_add_test(tc, test_kill);
	tcase_add_test(tc, test_wait);
	tcase_add_test(tc, test_list_of_lies);
	tcase_add_test(tc, test_list);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
