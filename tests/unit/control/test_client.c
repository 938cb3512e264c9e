// SPDX-License-Identifier: GPL-2.0-or-later
/* Tests of vmm/control/client.c: answers that are as they should be, and those of monitors that are not. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/client.h"
#include "fake_monitor.h"
#include "suite.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* For those that answer, and for those that do not. */
#define PATIENT	  20000
#define IMPATIENT 200

static struct error e;
static struct client_reply reply;

static int call_for(const struct fake *f, unsigned int ms)
{
	const struct client_request request = {
		.method = "POST",
		.path = "/pause",
		.body = "{\"a\": 1}",
		.timeout_ms = ms,
	};
	pid_t pid = fake_start("m", f);
	struct runtime_machine m;
	int ret;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	reply = (struct client_reply){0};
	ret = client_call(&m, &request, &reply, &e);
	runtime_release(&m);
	fake_kill(pid);
	return ret;
}

static int call(const char *answer)
{
	const struct fake f = {.answer = answer};

	return call_for(&f, PATIENT);
}

START_TEST(test_answer)
{
	static const char body[] = OK "Content-Length: 10\r\n\r\n{\"a\":true}";
	const struct fake stays = {.answer = body, .stays = true};
	const struct fake trickles = {.answer = body, .trickles = true};

	ck_assert_int_eq(call(body), 0);
	ck_assert_int_eq(reply.status, 200);
	ck_assert(json_is_true(json_object_get(reply.json, "a")));
	json_decref(reply.json);
	ck_assert(fake_was_asked("POST /pause HTTP/1.1\r\n"));
	ck_assert(fake_was_asked("Content-Length: 8\r\n"));
	ck_assert(fake_was_asked("\r\n\r\n{\"a\": 1}"));

	/* Its length says where it ends. */
	ck_assert_int_eq(call_for(&stays, PATIENT), 0);
	json_decref(reply.json);
	ck_assert_int_eq(call_for(&trickles, PATIENT), 0);
	json_decref(reply.json);
	/* Or the end of the connection, or a chunk. */
	ck_assert_int_eq(call(OK "\r\n{\"a\":1}"), 0);
	json_decref(reply.json);
	ck_assert_int_eq(
		call(OK "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n"),
		0);
	ck_assert_int_eq(json_integer_value(json_object_get(reply.json, "a")), 1);
	json_decref(reply.json);
	ck_assert_int_eq(call("HTTP/1.1 204 No Content\r\n\r\n"), 0);
	ck_assert_int_eq(reply.status, 204);
	ck_assert_ptr_null(reply.json);
}
END_TEST

START_TEST(test_errors)
{
	ck_assert_int_eq(call("HTTP/1.1 409 Conflict\r\nContent-Length: 52\r\n\r\n"
			      "{\"error\":{\"code\":\"busy\",\"message\":\"it is\033 paused\"}} "),
			 -EREMOTEIO);
	/* jansson refuses the raw escape; then there is no sentence. */
	ck_assert_ptr_nonnull(strstr(e.text, "409"));
	ck_assert_int_eq(
		call("HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n"
		     "{\"error\":{\"code\":\"busy\",\"message\":\"it is\\u001b paused\"}}"),
		-EREMOTEIO);
	ck_assert_ptr_nonnull(strstr(e.text, "it is? paused"));
	ck_assert_int_eq(call("HTTP/1.1 500 No\r\nConnection: close\r\n\r\n[1]"), -EREMOTEIO);
	ck_assert_ptr_nonnull(strstr(e.text, "500"));
}
END_TEST

START_TEST(test_nonsense)
{
	static const char *const nonsense[] = {
		"",
		"\r\n",
		"SSH-2.0\r\n",
		"HTTP/1.1 200",
		OK "Content-Length: 99\r\n\r\n{}",
		OK "Content-Length: -1\r\n\r\n{}",
		OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		OK "Content-Length: 2\r\n\r\n{]",
		OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
		OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
		"HTTP/1.1 99999 OK\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		int ret = call(nonsense[i]);

		ck_assert_msg(ret == -EPROTO || ret == -ECONNRESET, "%zu: %d", i, ret);
	}
}
END_TEST

START_TEST(test_too_long)
{
	size_t size = 3 << 20;
	char *answer = malloc(size);
	struct fake f = {.answer = answer};
	size_t head = (size_t)sprintf(answer, OK "\r\n\"");

	memset(answer + head, 'a', size - head);
	answer[size - 1] = '\0';
	ck_assert_int_eq(call_for(&f, PATIENT), -EMSGSIZE);
	/* Headers without an end, too. */
	head = (size_t)sprintf(answer, OK "A: ");
	memset(answer + head, 'a', size - head - 1);
	ck_assert_int_eq(call_for(&f, PATIENT), -EPROTO);
	free(answer);
}
END_TEST

START_TEST(test_silence)
{
	const struct fake never = {0};
	const struct fake halfway = {.answer = OK "Content-Length: 9\r\n\r\n{", .stays = true};

	ck_assert_int_eq(call_for(&never, IMPATIENT), -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(e.text, "vmm kill"));
	ck_assert_int_eq(call_for(&halfway, IMPATIENT), -ETIMEDOUT);
}
END_TEST

/* So many wait already that nobody else may. */
START_TEST(test_full_queue)
{
	const struct client_request request = {
		.method = "GET", .path = "/", .timeout_ms = IMPATIENT};
	const struct fake never = {0};
	pid_t pid = fake_start("m", &never);
	struct runtime_machine m;

	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	while (runtime_connect(&m, RUNTIME_API) >= 0)
		;
	ck_assert_int_eq(client_call(&m, &request, &reply, &e), -ETIMEDOUT);
	fake_kill(pid);
	ck_assert_int_eq(client_call(&m, &request, &reply, &e), -ECONNREFUSED);
	runtime_release(&m);
}
END_TEST

/* ------------------------------------------------------------------------- */

static char lines[256];

static void on_line(void *arg, const char *text)
{
	(void)arg;
	strcat(lines, text);
	strcat(lines, "|");
}

static int stream_bytes(const char *answer, size_t len)
{
	const struct fake f = {.answer = answer, .len = len, .trickles = len < 1000};
	pid_t pid = fake_start("m", &f);
	struct client_stream *s;
	struct runtime_machine m;
	int ret;

	lines[0] = '\0';
	ck_assert_int_eq(runtime_lookup("m", &m, &e), 0);
	ret = client_stream_open(&m, "/events", PATIENT, on_line, NULL, &s, &e);
	if (!ret) {
		do {
			struct pollfd p = {.fd = client_stream_fd(s), .events = POLLIN};

			poll(&p, 1, -1);
			ret = client_stream_read(s, &e);
		} while (ret > 0);
		client_stream_close(s);
	}
	runtime_release(&m);
	fake_kill(pid);
	return ret;
}

static int stream(const char *answer)
{
	return stream_bytes(answer, strlen(answer));
}

START_TEST(test_stream)
{
	static const char zero[] = OK "\r\na\n\0b\n";
	size_t size = 100 << 10;
	char *endless = malloc(size);

	ck_assert_int_eq(stream(OK "\r\none\ntwo\n\nthree\nfo"), 0);
	ck_assert_str_eq(lines, "one|two|three|");
	ck_assert_int_eq(
		stream(OK
		       "Transfer-Encoding: chunked\r\n\r\n2\r\non\r\n4\r\ne\ntw\r\n2\r\no\n\r\n0\r\n\r\n"),
		0);
	ck_assert_str_eq(lines, "one|two|");
	ck_assert_int_eq(stream(OK "Transfer-Encoding: chunked\r\n\r\n2\r\no\n\r\n"), -EPROTO);
	ck_assert_str_eq(lines, "o|");
	ck_assert_int_eq(stream_bytes(zero, sizeof(zero) - 1), -EPROTO);
	ck_assert_int_eq(
		stream("HTTP/1.1 404 No\r\n\r\n{\"error\":{\"message\":\"none\ninvalid\"}}"),
		-EREMOTEIO);
	ck_assert_str_eq(lines, "");

	memset(endless, 'a', size);
	memcpy(endless, OK "\r\n", strlen(OK "\r\n"));
	endless[size - 1] = '\0';
	ck_assert_int_eq(stream(endless), -EMSGSIZE);
	free(endless);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client");
	TCase *tc = tcase_create("client");

	tcase_add_checked_fixture(tc, fake_set_up, fake_tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_answer);
	tcase_add_test(tc, test_errors);
	tcase_add_test(tc, test_nonsense);
	tcase_add_test(tc, test_too_long);
	tcase_add_test(tc, test_silence);
	tcase_add_test(tc, test_full_queue);
	tcase_add_test(tc, test_stream);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
