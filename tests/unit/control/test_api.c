// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/control/api.c and its tables: a machine that is none is asked and told, and its events are read. */
#include <check.h>
#include <math.h>

#include "control/internal.h"
#include "http_client.h"
#include "suite.h"

#define POST(path, body_len, body)                                                            \
	"POST " path                                                                          \
	" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: " body_len \
	"\r\n\r\n" body

static struct api *api;
static struct config config;
static struct error e;
static json_t *answer; /* of the last request */

/* The machine. */
static enum status_state state;
static char did[64]; /* what it was told last */
static int seconds;
static int failure;

static int act(void *arg, const char *what, struct error *error)
{
	(void)arg;
	if (failure)
		return error_set_at(error, failure, "some.path", "it does not %s, \xff", what);
	snprintf(did, sizeof(did), "%s", what);
	return 0;
}

#define ACTION(name)                                    \
	static int name(void *arg, struct error *error) \
	{                                               \
		return act(arg, #name, error);          \
	}
ACTION(pause_it)
ACTION(resume_it)
ACTION(reset_it)
ACTION(power_button)
ACTION(kill_it)
ACTION(nmi)

static int stop_it(void *arg, int *timeout, struct error *error)
{
	seconds = *timeout;
	if (*timeout < 0)
		*timeout = 30;
	state = STATE_STOPPING;
	return act(arg, "stop_it", error);
}

static void get_status(void *arg, struct status *s)
{
	(void)arg;
	*s = (struct status){
		.name = config.name,
		.state = state,
		.started = 1000,
		.since = 2000,
		.cpus = config.cpus,
		.memory = config.memory,
		.reason = state == STATE_ENDED ? "crash" : NULL,
		.exit_status = 3,
	};
}

static void get_stats(void *arg, struct api_stats *s)
{
	(void)arg;
	*s = (struct api_stats){1, 2, 3, 4, 5, 6.5};
}

static void count(void *arg, api_count_fn fn, void *to)
{
	(void)arg;
	fn(to, "disk0", "reads", 7);
	fn(to, "disk0", "read_bytes", 4096);
	fn(to, "b", "reads", 1);
}

static const struct api_ops ops = {
	.pause = pause_it,
	.resume = resume_it,
	.reset = reset_it,
	.power_button = power_button,
	.stop = stop_it,
	.kill = kill_it,
	.nmi = nmi,
	.status = get_status,
	.stats = get_stats,
	.count = count,
};

static void set_up(void)
{
	char *argv[] = {"run",	  "--kernel",		"k", "--name", "m1", "--cpus", "2",
			"--disk", "d,readonly=on,id=a", NULL};

	ck_assert_msg(!config_parse(9, argv, &config, &e), "%s", e.text);
	state = STATE_RUNNING;
	failure = 0;
	listen_somewhere();
	api = api_create(loop, listen_fd, &config, &ops, NULL, &e);
	ck_assert_ptr_nonnull(api);
	start_loop();
}

static void tear_down(void)
{
	end_loop();
	api_destroy(api);
	stop_listening();
	config_destroy(&config);
	json_decref(answer);
	answer = NULL;
}

/* The body of the answer, which has this status. */
static const char *ask(const char *request, const char *status)
{
	const char *text = client_ask(request), *body = strstr(text, "\r\n\r\n");

	ck_assert_msg(!strncmp(text + 9, status, 3), "is not %s: %s", status, text);
	ck_assert_ptr_nonnull(body);
	json_decref(answer);
	answer = json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
	return body + 4;
}

static const char *error_code(void)
{
	const char *code =
		json_string_value(json_object_get(json_object_get(answer, "error"), "code"));

	ck_assert_msg(code, "no code: %s", client_text);
	ck_assert(json_is_string(json_object_get(json_object_get(answer, "error"), "message")));
	return code;
}

static const char *error_path(void)
{
	return json_string_value(json_object_get(json_object_get(answer, "error"), "path"));
}

/* ------------------------------------------------------------------------- */

/* Each row can be asked for, and answers what its schema says. */
START_TEST(every_row)
{
	char request[256];

	for (unsigned int i = 0; i < api_nr_rows; i++) {
		const struct api_row *row = &api_rows[i];

		if (row->kind == API_STREAM)
			continue;
		snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", row->method,
			 row->path);
		ask(request, "200");
		if (row->kind == API_JSON)
			ck_assert_msg(!schema_check(row->answer, answer, &e), "%s: %s", row->path,
				      e.text);
		/* A path that is only almost one. */
		snprintf(request, sizeof(request), "%s %sx HTTP/1.1\r\nHost: a\r\n\r\n",
			 row->method, row->path);
		ask(request, "404");
		ck_assert_str_eq(error_code(), "not-found");
		snprintf(request, sizeof(request), "PUT %s HTTP/1.1\r\nHost: a\r\n\r\n", row->path);
		ask(request, "405");
		snprintf(request, sizeof(request), "Allow: %s", row->method);
		ck_assert_contains(client_text, request);
	}
}
END_TEST

START_TEST(what_is_asked)
{
	const json_t *devices;
	const char *text;

	ask(GET("/"), "200");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "schema")), API_SCHEMA_VERSION);
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "paths")), api_nr_rows);

	ask(GET("/status"), "200");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "state")), "running");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "name")), "m1");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "pid")), getpid());
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "cpus")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "since")), 2000);

	ask(GET("/config"), "200");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "kernel")), "k");
	ck_assert_uint_eq(json_array_size(json_object_get(answer, "disks")), 1);

	ask(GET("/stats"), "200");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "reboots")), 5);
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(answer, "exits"), "emulate")),
		3);
	ck_assert(fabs(json_real_value(json_object_get(answer, "seconds")) - 6.5) < 0.001);
	devices = json_object_get(answer, "devices");
	ck_assert_uint_eq(json_array_size(devices), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(devices, 0), "id")),
			 "disk0");
	ck_assert_int_eq(
		json_integer_value(json_object_get(json_array_get(devices, 0), "read_bytes")),
		4096);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(devices, 1), "reads")),
			 1);

	text = ask(GET("/metrics"), "200");
	ck_assert_contains(client_text, "Content-Type: application/openmetrics-text; "
					"version=1.0.0; charset=utf-8\r\n");
	ck_assert_contains(text, "\nhv_exits_total{machine=\"m1\",reason=\"emulate\"} 3\n");
	ck_assert_contains(text, "\nhv_device_reads_total{machine=\"m1\",device=\"disk0\"} 7\n"
				 "hv_device_reads_total{machine=\"m1\",device=\"b\"} 1\n");
	ck_assert_contains(text, "\nhv_state{machine=\"m1\",hv_state=\"running\"} 1\n");
	ck_assert_contains(text, "\nhv_state{machine=\"m1\",hv_state=\"paused\"} 0\n");
	ck_assert_contains(text, "\nhv_uptime_seconds{machine=\"m1\"} 6.500\n");

	ck_assert_str_eq(ask("HEAD /status HTTP/1.1\r\nHost: a\r\n\r\n", "200"), "");
}
END_TEST

/*
 * The rules of OpenMetrics' text format: families are not interleaved, begin with their TYPE, samples are named after
 * them with the suffix of their type, a unit ends the name, and "# EOF" ends it all.
 */
START_TEST(metrics_format)
{
	static const struct {
		const char *type, *suffix;
	} types[] = {{"info", "_info"}, {"stateset", ""}, {"gauge", ""}, {"counter", "_total"}};
	char family[96] = "", seen[1024] = "|", sample[128] = "", word[64], type[16] = "";
	char *text = strdup(ask(GET("/metrics"), "200")), *line, *next = text;

	while ((line = strsep(&next, "\n")) && strcmp(line, "# EOF")) {
		ck_assert_ptr_nonnull(next);
		if (sscanf(line, "# TYPE %63s %15s", word, type) == 2) {
			snprintf(family, sizeof(family), "%s", word);
			snprintf(sample, sizeof(sample), "|%s|", family);
			ck_assert_msg(!strstr(seen, sample), "twice: %s", line);
			strcat(strcat(seen, family), "|");
			for (unsigned int i = 0; i < 4; i++) {
				if (!strcmp(type, types[i].type))
					snprintf(sample, sizeof(sample), "%s%s{machine=\"m1\"",
						 family, types[i].suffix);
			}
		} else if (sscanf(line, "# UNIT %63s %15s", word, type) == 2) {
			ck_assert_str_eq(word, family);
			ck_assert_str_eq(strrchr(family, '_') + 1, type);
		} else if (sscanf(line, "# HELP %63s", word) == 1) {
			ck_assert_str_eq(word, family);
		} else {
			ck_assert_msg(*sample && !strncmp(line, sample, strlen(sample)), "%s",
				      line);
			ck_assert_ptr_nonnull(strstr(line, "} "));
		}
	}
	ck_assert_ptr_nonnull(line);
	ck_assert_str_eq(next, "");
	free(text);
}
END_TEST

START_TEST(what_is_told)
{
	static const struct {
		const char *request, *did;
	} actions[] = {
		{POST("/pause", "0", ""), "pause_it"},
		{POST("/resume", "2", "{}"), "resume_it"},
		{POST("/reset", "0", ""), "reset_it"},
		{POST("/power-button", "0", ""), "power_button"},
		{POST("/kill", "0", ""), "kill_it"},
		{"POST /nmi HTTP/1.1\r\nHost: a\r\n\r\n", "nmi"},
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		ask(actions[i].request, "200");
		ck_assert_str_eq(json_string_value(json_object_get(answer, "state")), "running");
		ck_assert_str_eq(did, actions[i].did);
	}
	ask(POST("/stop", "0", ""), "200");
	ck_assert_int_eq(seconds, -1);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "timeout")), 30);
	ask(POST("/stop", "14", "{\"timeout\": 7}"), "200");
	ck_assert_int_eq(seconds, 7);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "timeout")), 7);
	ck_assert_str_eq(json_string_value(json_object_get(answer, "state")), "stopping");
}
END_TEST

START_TEST(what_is_not_done)
{
	static const struct {
		const char *request, *status, *code, *path;
	} bad[] = {
		{POST("/stop", "1", "{"), "400", "bad-syntax", NULL},
		{POST("/stop", "2", "[]"), "400", "wrong-type", NULL},
		{POST("/stop", "12", "{\"timeout\":1"), "400", "bad-syntax", NULL},
		{POST("/stop", "15", "{\"timeout\":\"7\"}"), "400", "wrong-type", "timeout"},
		{POST("/stop", "15", "{\"timeout\": -1}"), "400", "out-of-range", "timeout"},
		{POST("/stop", "17", "{\"timeout\":86401}"), "400", "out-of-range", "timeout"},
		{POST("/stop", "15", "{\"timeout\":1.5}"), "400", "wrong-type", "timeout"},
		{POST("/stop", "27", "{\"timeout\":1,\"timeout\":2}  "), "400", "bad-syntax", NULL},
		{POST("/stop", "8", "{\"a\": 1}"), "400", "unknown-option", "a"},
		{POST("/pause", "8", "{\"a\": 1}"), "400", "unknown-option", "a"},
		{POST("/pause", "6", "{} {} "), "400", "bad-syntax", NULL},
		{POST("/pause", "2", "\xff\xfe"), "400", "bad-syntax", NULL},
		{GET("/status?a=b"), "400", "bad-value", NULL},
		{GET("/nothing"), "404", "not-found", NULL},
		{GET("//status"), "404", "not-found", NULL},
		{GET("/%73tatus"), "404", "not-found", NULL},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "404", "not-found", NULL},
		{GET("/pause"), "405", "bad-method", NULL},
		{"GET / HTTP/1.1\r\n\r\n", "400", "bad-request", NULL},
		{"POST /stop HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", "413",
		 "too-long", NULL},
		{"POST /stop HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
		 "Content-Length: 2\r\n\r\n{}",
		 "415", "wrong-type", NULL},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask(bad[i].request, bad[i].status);
		ck_assert_str_eq(error_code(), bad[i].code);
		ck_assert_pstr_eq(error_path(), bad[i].path);
	}
	ck_assert_str_eq(did, "");

	/* What the machine refuses. */
	failure = EBUSY;
	ask(POST("/pause", "0", ""), "409");
	ck_assert_str_eq(error_code(), "busy");
	ck_assert_str_eq(error_path(), "some.path");
	ck_assert_contains(client_text, "it does not pause_it, ?");
	failure = EIO;
	ask(POST("/pause", "0", ""), "500");
}
END_TEST

/* ------------------------------------------------------------------------- */

static void change(void *arg)
{
	if (arg)
		state = *(enum status_state *)arg;
	api_state_changed(api);
}

static void change_to(enum status_state other)
{
	on_loop(change, &other);
}

static void change_often(void *arg)
{
	for (unsigned int i = 0; i < 10000; i++)
		api_state_changed(api);
	(void)arg;
}

/* The next line of a stream of HTTP/1.0, as an object that fits its schema. */
static json_t *next_event(int fd)
{
	char line[512];
	size_t len = 0;
	json_t *event;

	do {
		ck_assert_int_eq(recv(fd, line + len, 1, 0), 1);
	} while (line[len++] != '\n');
	event = json_loadb(line, len, 0, NULL);
	for (unsigned int i = 0; i < api_nr_rows; i++) {
		if (api_rows[i].kind == API_STREAM)
			ck_assert_msg(!schema_check(api_rows[i].answer, event, &e), "%s", e.text);
	}
	return event;
}

static void event_is(int fd, json_int_t sequence, const char *what)
{
	json_t *event = next_event(fd);

	ck_assert_int_eq(json_integer_value(json_object_get(event, "sequence")), sequence);
	ck_assert_str_eq(json_string_value(json_object_get(event, "state")), what);
	json_decref(event);
}

static int open_events(void)
{
	int fd = client_open();
	char head[4] = "";

	client_send(fd, "GET /events HTTP/1.0\r\n\r\n");
	do {
		memmove(head, head + 1, 3);
		ck_assert_int_eq(recv(fd, head + 3, 1, 0), 1);
	} while (memcmp(head, "\r\n\r\n", 4));
	return fd;
}

START_TEST(events)
{
	int early = open_events(), late;

	event_is(early, 0, "running");
	change_to(STATE_PAUSED);
	event_is(early, 1, "paused");
	late = open_events();
	event_is(late, 1, "paused");
	change_to(STATE_RUNNING);
	event_is(early, 2, "running");
	event_is(late, 2, "running");
	close(early);
	change_to(STATE_ENDED);
	event_is(late, 3, "ended");
	/* With the machine the stream ends. */
	end_loop();
	api_destroy(api);
	api = NULL;
	ck_assert_str_eq(client_read_all(late), "");
	start_loop();
}
END_TEST

/* All events up to a last one come, or are counted, and then comes what is; the next is "first". */
static void keeps_count(int fd, json_int_t first, json_int_t last)
{
	json_int_t count;
	json_t *event;

	while ((event = next_event(fd)) && !json_object_get(event, "count")) {
		ck_assert_int_eq(json_integer_value(json_object_get(event, "sequence")), first);
		first++;
		json_decref(event);
	}
	count = json_integer_value(json_object_get(event, "count"));
	ck_assert_str_eq(json_string_value(json_object_get(event, "event")), "lost");
	ck_assert_int_eq(first + count, last + 1);
	ck_assert_int_eq(json_integer_value(json_object_get(event, "sequence")), last);
	json_decref(event);
	event_is(fd, last, "running");
}

static void reset(void *arg)
{
	(void)arg;
	api_was_reset(api);
}

/* A reset is told, and at the end how it ended, there and in the status. */
START_TEST(reset_and_end)
{
	int fd = open_events();
	json_t *event;

	event_is(fd, 0, "running");
	on_loop(reset, NULL);
	event = next_event(fd);
	ck_assert_int_eq(json_integer_value(json_object_get(event, "sequence")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(event, "event")), "reset");
	ck_assert_int_eq(json_integer_value(json_object_get(event, "reboots")), 5);
	json_decref(event);
	change_to(STATE_ENDED);
	event = next_event(fd);
	ck_assert_str_eq(json_string_value(json_object_get(event, "reason")), "crash");
	ck_assert_int_eq(json_integer_value(json_object_get(event, "status")), 3);
	json_decref(event);
	close(fd);
	ask(GET("/status"), "200");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "reason")), "crash");
}
END_TEST

START_TEST(lost_events)
{
	int fd = open_events();

	on_loop(change_often, NULL);
	keeps_count(fd, 0, 10000);
	/* Those that were lost before are not counted again. */
	on_loop(change_often, NULL);
	keeps_count(fd, 10001, 20000);
	change_to(STATE_PAUSED);
	event_is(fd, 20001, "paused");
	close(fd);
}
END_TEST

/* More than there are places for; and those of who has left are free again. */
START_TEST(many_listeners)
{
	int fd[64], n = 0;

	for (unsigned int round = 0; round < 3; round++) {
		for (n = 0; n < 32; n++) {
			fd[n] = open_events();
			event_is(fd[n], round, "running");
		}
		ask(GET("/events"), "503");
		ck_assert_str_eq(error_code(), "busy");
		on_loop(change, NULL);
		for (n = 0; n < 32; n++)
			event_is(fd[n], round + 1, "running");
		for (n = 0; n < 32; n++)
			close(fd[n]);
		/* Answered behind their hanging up. */
		for (n = 0; n < 8; n++)
			ask(GET("/status"), "200");
	}
}
END_TEST

/* ------------------------------------------------------------------------- */

/* Whether all that is referred to is there. */
static void check_references(const json_t *schemas, json_t *value)
{
	static const char prefix[] = "#/components/schemas/";
	const char *key;
	json_t *member;
	size_t i;

	json_object_foreach(value, key, member)
	{
		if (!strcmp(key, "$ref")) {
			ck_assert(!strncmp(json_string_value(member), prefix, strlen(prefix)));
			ck_assert_ptr_nonnull(json_object_get(schemas, json_string_value(member) +
									       strlen(prefix)));
		}
		check_references(schemas, member);
	}
	json_array_foreach(value, i, member) check_references(schemas, member);
}

/* Every row is in the document, with its schemas; every option; and it refers to nothing that is not. */
START_TEST(openapi)
{
	json_t *document = api_describe(false), *schemas, *paths;

	ck_assert_ptr_nonnull(document);
	schemas = json_object_get(json_object_get(document, "components"), "schemas");
	paths = json_object_get(document, "paths");
	ck_assert(!strncmp(json_string_value(json_object_get(document, "openapi")), "3.", 2));
	for (unsigned int i = 0; i < api_nr_rows; i++) {
		const struct api_row *row = &api_rows[i];
		json_t *at = json_object_get(json_object_get(paths, row->path),
					     row->method[0] == 'G' ? "get" : "post");

		ck_assert_msg(
			json_is_object(json_object_get(json_object_get(at, "responses"), "200")),
			"%s", row->path);
		ck_assert_str_eq(json_string_value(json_object_get(at, "summary")), row->help);
		ck_assert_int_eq(!row->body, !json_object_get(at, "requestBody"));
	}
	check_references(schemas, document);
	/* What a machine says of itself fits, member by member. */
	ask(GET("/config"), "200");
	schemas = json_object_get(json_object_get(schemas, "Config"), "properties");
	ck_assert_uint_gt(json_object_size(answer), 4);
	ck_assert(json_is_integer(json_object_get(answer, "memory")));
	{
		const char *key;
		json_t *member;

		json_object_foreach(answer, key, member)
			ck_assert_msg(json_is_object(json_object_get(schemas, key)), "%s", key);
	}
	json_decref(document);
}
END_TEST

/* A shortage is an error, or at worst an answer without a body; never a crash, or a client that waits for ever. */
START_TEST(no_memory)
{
	for (unsigned int n = 1; n < 40; n++) {
		int fd = client_open();

		allocation_to_fail = n;
		client_send(fd, GET_CLOSE("/status"));
		client_read_all(fd);
		allocation_to_fail = 0;
	}
	ask(GET("/status"), "200");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *tc = tcase_create("api");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_row);
	tcase_add_test(tc, what_is_asked);
	tcase_add_test(tc, metrics_format);
	tcase_add_test(tc, what_is_told);
	tcase_add_test(tc, what_is_not_done);
	tcase_add_test(tc, events);
	tcase_add_test(tc, reset_and_end);
	tcase_add_test(tc, lost_events);
	tcase_add_test(tc, many_listeners);
	tcase_add_test(tc, openapi);
	tcase_add_test(tc, no_memory);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
