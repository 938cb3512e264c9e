// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm pause NAME..." and its like: requests to the API of machines that run. Called by main.c. All of them are asked
 * before one is waited for, so that to stop ten takes no longer than to stop one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/command.h"
#include "control/api.h"
#include "control/client.h"
#include "control/errors.h"
#include "control/runtime.h"
#include "host/loop.h"
#include "log.h"
#include "plain.h"

/* An answer is ready at once, if the monitor's loop turns. */
#define ANSWER_MS 5000
/* To one who is to be killed anyway we do not listen for long. */
#define KILL_ANSWER_MS 2000
#define KILL_GRACE_MS  3000
/* After SIGKILL, when memory is given back, and disks that are slow. */
#define KILLED_MS 10000
/* How much later than it said itself a machine may be gone. */
#define STOP_GRACE_MS 10000
#define ENDING_MS     1000
#define LOOK_AGAIN_MS 100

struct target {
	const char *name;
	struct runtime_machine m;
	int pidfd;	/* negative: none can be had */
	uint64_t asked; /* when, in milliseconds */
	enum verb_status status;
	struct error error; /* of the status; or why it does not answer */
	bool answers;
	json_t *answer; /* NULL: none */
	struct client_stream *stream;
	bool json;
	int end; /* of "wait": the status that it ended with; -1: it is not known */
};

struct verb {
	const char *name, *method;
	unsigned int flags; /* ARGS_... beside those that all have */
	/* 0 or a negative errno and t->error; end comes when all have begun, NULL is nothing. */
	int (*begin)(const struct verb *v, struct target *t, const struct args *a);
	int (*end)(const struct verb *v, struct target *t, const struct args *a);
	bool prints; /* the answer is what was asked for */
	const char *help, *more;
};

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

static int request(struct target *t, const struct client_request *r)
{
	struct client_reply reply;
	int ret = client_call(&t->m, r, &reply, &t->error);

	if (!ret)
		t->answer = reply.json;
	return ret;
}

static int ask(const struct verb *v, struct target *t, const struct args *a)
{
	char path[32];
	const struct client_request r = {
		.method = v->method,
		.path = path,
		.timeout_ms = ANSWER_MS,
	};

	(void)a;
	snprintf(path, sizeof(path), "/%s", v->name);
	return request(t, &r);
}

/* ------------------------------------------------------------------------- */
/* Waiting for the end                                                        */

static void close_stream(struct target *t)
{
	client_stream_close(t->stream);
	t->stream = NULL;
}

/* What its monitor still says, if it is listened to; a stream that ends says no more. */
static void hear(struct target *t)
{
	struct pollfd p = {.events = POLLIN};
	struct error ignored;

	for (p.fd = t->stream ? client_stream_fd(t->stream) : -1;
	     t->stream && poll(&p, 1, 0) > 0;) {
		if (client_stream_read(t->stream, &ignored) <= 0)
			close_stream(t);
	}
}

/* Until its monitor has ended: 0, or -ETIMEDOUT; the time is from "begin" on, for ever when it is negative. */
static int await_end(struct target *t, uint64_t begin, int ms)
{
	uint64_t deadline = begin + (uint64_t)ms;

	/* One of another PID namespace, or an old kernel, is looked at from time to time. */
	while (runtime_lives(&t->m)) {
		struct pollfd p[] = {
			{.fd = t->pidfd, .events = POLLIN},
			{.fd = t->stream ? client_stream_fd(t->stream) : -1, .events = POLLIN},
		};
		uint64_t now = loop_now_ms();
		int left = ms < 0 ? -1 : now < deadline ? (int)(deadline - now) : 0;

		if (!left)
			return -ETIMEDOUT;
		if (t->pidfd < 0 && (left < 0 || left > LOOK_AGAIN_MS))
			left = LOOK_AGAIN_MS;
		poll(p, 2, left);
		hear(t);
	}
	hear(t);
	return 0;
}

/* What it left, if it was killed, is removed by looking. */
static void look_again(const struct target *t)
{
	struct runtime_machine m;
	struct error ignored;

	if (!runtime_lookup(t->name, &m, &ignored))
		runtime_release(&m);
}

/* Of a machine's events, the last says how it ended. */
static void take_end(void *arg, const char *text)
{
	struct target *t = arg;
	json_t *event = json_loads(text, 0, NULL);
	const json_t *status = json_object_get(event, "status");

	if (json_is_integer(status)) {
		json_decref(t->answer);
		t->answer = json_pack("{s:O?, s:O}", "reason", json_object_get(event, "reason"),
				      "status", status);
		t->end = (int)(json_integer_value(status) & 0xff);
	}
	json_decref(event);
}

/* One that does not answer is waited for as well. */
static int begin_wait(const struct verb *v, struct target *t, const struct args *a)
{
	struct error ignored;

	(void)v;
	(void)a;
	t->end = -1;
	if (client_stream_open(&t->m, "/events", ANSWER_MS, take_end, t, &t->stream, &ignored))
		t->stream = NULL;
	return 0;
}

static int end_wait(const struct verb *v, struct target *t, const struct args *a)
{
	int ret = await_end(t, t->asked, a->timeout < 0 ? -1 : a->timeout * 1000);

	(void)v;
	if (ret)
		return error_set(&t->error, -ret, "machine '%s' still runs", t->name);
	look_again(t);
	if (t->end < 0)
		return error_set(
			&t->error, ESRCH,
			"machine '%s' has ended, and has not said how: it may have been killed",
			t->name);
	return 0;
}

static int begin_stop(const struct verb *v, struct target *t, const struct args *a)
{
	char body[64];
	const struct client_request r = {
		.method = v->method,
		.path = "/stop",
		.body = a->timeout < 0 ? NULL : body,
		.timeout_ms = ANSWER_MS,
	};
	int ret;

	snprintf(body, sizeof(body), "{\"timeout\": %d}", a->timeout);
	ret = request(t, &r);
	/* It may be about to end by itself, having closed its connections. */
	if (ret && ret != -EREMOTEIO && ret != -ETIMEDOUT &&
	    !await_end(t, loop_now_ms(), ENDING_MS))
		return 0;
	return ret;
}

static int end_stop(const struct verb *v, struct target *t, const struct args *a)
{
	const json_t *said = json_object_get(t->answer, "timeout");
	json_int_t seconds = json_is_integer(said) ? json_integer_value(said) : -1;
	int ret;

	(void)v;
	if (a->timeout >= 0)
		seconds = a->timeout;
	ret = await_end(t, t->asked,
			seconds >= 0 && seconds < 1000000 ? (int)seconds * 1000 + STOP_GRACE_MS
							  : -1);
	if (ret)
		return error_set(
			&t->error, -ret,
			"machine '%s' still runs, though it was to stop; 'vmm kill' ends it",
			t->name);
	look_again(t);
	return 0;
}

/* Whether it answers is looked at in the end. */
static int begin_kill(const struct verb *v, struct target *t, const struct args *a)
{
	const struct client_request r = {
		.method = v->method,
		.path = "/kill",
		.timeout_ms = KILL_ANSWER_MS,
	};

	(void)a;
	t->answers = !request(t, &r);
	return 0;
}

static int end_kill(const struct verb *v, struct target *t, const struct args *a)
{
	int ret = await_end(t, t->asked, t->answers ? KILL_ANSWER_MS + KILL_GRACE_MS : 0);

	(void)v;
	(void)a;
	if (ret && t->pidfd >= 0) {
		if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0) && errno != ESRCH)
			return error_set(&t->error, errno,
					 "cannot kill machine '%s', process %d: %s", t->name,
					 (int)t->m.pid, strerror(errno));
		ret = await_end(t, loop_now_ms(), KILLED_MS);
	}
	if (ret)
		return error_set(
			&t->error, -ret,
			"machine '%s', process %d, cannot be killed now: the kernel waits for "
			"something in it, a disk perhaps",
			t->name, (int)t->m.pid);
	look_again(t);
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Printing                                                                   */

/* What a machine says does not get at the terminal. */
static void print_plain(const char *text)
{
	size_t n;

	for (; *text; text += n ? n : 1) {
		n = plain_control(text);
		putchar(n ? '?' : *text);
	}
}

static void print_value(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		print_plain(json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | API_DIGITS);
	if (text)
		print_plain(text);
	free(text);
}

/* Members of members as "exits.io: 7". */
static void print_members(const char *prefix, json_t *object)
{
	char path[256];
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", key);
		/* As deep as names go. */
		if (json_is_object(value) && strlen(path) < sizeof(path) - 1) {
			print_members(path, value);
			continue;
		}
		print_plain(path);
		fputs(": ", stdout);
		print_value(value);
		putchar('\n');
	}
}

/* One line for each machine. */
static int print_json(const struct verb *v, const struct target *t)
{
	json_t *line = json_is_object(t->answer) ? json_copy(t->answer) : json_object();
	int ret = json_object_set_new(line, "name", errors_text(t->name));

	if (!ret && !t->status && !v->prints)
		ret = json_object_set_new(line, "ok", json_true());
	if (!ret && t->status)
		ret = json_object_set_new(
			line, "error", errors_object(t->error.code, t->error.path, t->error.text));
	if (!ret)
		ret = json_dumpf(line, stdout, JSON_COMPACT | API_DIGITS);
	putchar('\n');
	json_decref(line);
	return ret;
}

static void print_text(const struct verb *v, const struct target *t, bool first, bool alone)
{
	if (!v->prints || t->status || !t->answer)
		return;
	if (!alone)
		printf("%s%s:\n", first ? "" : "\n", t->name);
	print_members("", t->answer);
}

/* ------------------------------------------------------------------------- */
/* Streams                                                                    */

/* An event as the machine wrote it, or "NAME: KEY=VALUE ...". */
static void print_event(void *arg, const char *text)
{
	const struct target *t = arg;
	json_t *event = json_loads(text, 0, NULL);
	const char *key;
	json_t *value;

	if (!json_is_object(event)) {
		log_error("machine '%s': an event that is none is left out", t->name);
	} else if (t->json) {
		json_object_set_new(event, "name", errors_text(t->name));
		json_dumpf(event, stdout, JSON_COMPACT | API_DIGITS);
		putchar('\n');
	} else {
		printf("%s:", t->name);
		json_object_foreach(event, key, value)
		{
			putchar(' ');
			print_plain(key);
			putchar('=');
			print_value(value);
		}
		putchar('\n');
	}
	json_decref(event);
	/* Who reads it waits for just this. */
	fflush(stdout);
}

static int begin_events(const struct verb *v, struct target *t, const struct args *a)
{
	(void)v;
	t->json = a->json;
	return client_stream_open(&t->m, "/events", ANSWER_MS, print_event, t, &t->stream,
				  &t->error);
}

static void fail(struct target *t, int ret)
{
	t->status = ret == -ENOENT	? VERB_NO_MACHINE
		    : ret == -ETIMEDOUT ? VERB_NO_ANSWER
					: VERB_FAILED;
	log_error("%s", t->error.text);
}

/* Of all machines at once, until the last of them has ended, or our reader has left. */
static int follow(struct target *t, int nr)
{
	struct pollfd *p = calloc((size_t)nr, sizeof(*p));
	int open, ret;

	if (!p)
		return -ENOMEM;
	do {
		open = 0;
		for (int i = 0; i < nr; i++) {
			p[i].fd = t[i].stream ? client_stream_fd(t[i].stream) : -1;
			p[i].events = POLLIN;
			open += !!t[i].stream;
		}
		if (open)
			poll(p, (nfds_t)nr, -1);
		for (int i = 0; i < nr; i++) {
			ret = p[i].revents && t[i].stream
				      ? client_stream_read(t[i].stream, &t[i].error)
				      : 1;
			/* That a killed monitor did not end its stream is no failure of ours. */
			if (ret < 0 && await_end(&t[i], loop_now_ms(), ENDING_MS))
				fail(&t[i], ret);
			if (ret <= 0)
				close_stream(&t[i]);
		}
	} while (open && !ferror(stdout));
	free(p);
	return 0;
}

/* ------------------------------------------------------------------------- */
/* The table                                                                  */

static const struct verb verbs[] = {
	{"status", "GET", .begin = ask, .prints = true, .help = "print what machines are and do"},
	{"stats", "GET", .begin = ask, .prints = true, .help = "print what machines counted"},
	{"events", .begin = begin_events, .help = "print what happens to machines, until they end"},
	{"pause", "POST", .begin = ask, .help = "have machines stand still"},
	{"resume", "POST", .begin = ask, .help = "have paused machines go on"},
	{"reset", "POST", .begin = ask, .help = "press the reset button of machines"},
	{"power-button", "POST", .begin = ask, .help = "press the power button of machines"},
	{"nmi", "POST", .begin = ask, .help = "send an NMI to the processors of machines"},
	{"stop", "POST", ARGS_TIMEOUT, begin_stop, end_stop,
	 .help = "press the power button of machines and wait for their end",
	 .more = "One that has not powered off in time is ended: --stop-timeout of 'vmm run', or\n"
		 "--timeout.\n"},
	{"kill", "POST", .begin = begin_kill, .end = end_kill,
	 .help = "end machines at once, those too whose monitor does not answer"},
	{"wait", .flags = ARGS_TIMEOUT, .begin = begin_wait, .end = end_wait,
	 .help = "wait until machines have ended",
	 .more = "Its exit status is then that with which 'vmm run' ended, and 1 when that is not known.\n"},
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

bool verb_command_at(unsigned int n, struct command *c)
{
	if (n >= NR_VERBS)
		return false;
	*c = (struct command){
		.name = verbs[n].name,
		.run = cmd_verb,
		.usage = "NAME...",
		.help = verbs[n].help,
		.flags = ARGS_JSON | verbs[n].flags,
		.names = true,
	};
	return true;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < NR_VERBS; i++) {
		if (!strcmp(name, verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

static void print_help(const struct verb *v)
{
	printf("vmm %s - %s\n"
	       "\n"
	       "Usage: vmm %s [--json]%s NAME...\n"
	       "\n"
	       "%s"
	       "Each NAME is a machine of this user that runs: 'vmm list' lists them.\n"
	       "\n"
	       "  --json        one line of JSON for each %s\n"
	       "%s"
	       "  --help        this text\n"
	       "\n"
	       "Exit status: 0 all is done, 1 it failed, 2 wrong usage, 4 no such machine runs,\n"
	       "5 it did not answer, or not end, in time; of several machines, that of the first\n"
	       "for which it is not 0.\n",
	       v->name, v->help, v->name, v->flags & ARGS_TIMEOUT ? " [--timeout S]" : "",
	       v->more ? v->more : "", v->begin == begin_events ? "event" : "machine",
	       v->flags & ARGS_TIMEOUT ? "  --timeout S   seconds\n" : "");
}

/* ------------------------------------------------------------------------- */

static void find(struct target *t, char *name)
{
	int ret;

	*t = (struct target){.name = name, .pidfd = -1};
	ret = runtime_lookup(name, &t->m, &t->error);
	if (ret) {
		t->m = (struct runtime_machine){.dir = -1, .lock = -1};
		fail(t, ret);
		return;
	}
	t->pidfd = runtime_pidfd(&t->m);
}

static void release(struct target *t)
{
	json_decref(t->answer);
	if (t->stream)
		close_stream(t);
	if (t->pidfd >= 0)
		close(t->pidfd);
	if (t->m.dir >= 0)
		runtime_release(&t->m);
}

static int print_all(const struct verb *v, const struct target *t, const struct args *a)
{
	int ret = 0;

	for (int i = 0; i < a->nr_names; i++) {
		if (a->json && (v->begin != begin_events || t[i].status))
			ret |= print_json(v, &t[i]);
		else if (!a->json)
			print_text(v, &t[i], !i, a->nr_names == 1);
	}
	return ret;
}

static int run_verb(const struct verb *v, struct target *t, const struct args *a)
{
	int ret;

	for (int i = 0; i < a->nr_names; i++)
		find(&t[i], a->names[i]);
	for (int i = 0; i < a->nr_names; i++) {
		t[i].asked = loop_now_ms();
		ret = t[i].status ? 0 : v->begin(v, &t[i], a);
		if (ret)
			fail(&t[i], ret);
	}
	for (int i = 0; v->end && i < a->nr_names; i++) {
		ret = t[i].status ? 0 : v->end(v, &t[i], a);
		if (ret)
			fail(&t[i], ret);
	}
	ret = v->begin == begin_events ? follow(t, a->nr_names) : 0;
	/* That it could not be written, main() says of everything. */
	if ((ret || print_all(v, t, a)) && !ferror(stdout)) {
		log_error("out of memory");
		return STATUS_ERROR;
	}
	for (int i = 0; i < a->nr_names; i++) {
		if (t[i].status || t[i].end)
			return t[i].status ? (int)t[i].status : t[i].end;
	}
	return STATUS_OK;
}

int cmd_verb(int argc, char **argv)
{
	const struct verb *v = find_verb(argv[0]);
	struct target *t;
	struct args a;
	int ret = args_parse(argc, argv, ARGS_JSON | v->flags, 1, argc, &a);
	int status;

	if (ret > 0)
		print_help(v);
	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	t = calloc((size_t)a.nr_names, sizeof(*t));
	if (!t) {
		log_error("out of memory");
		return STATUS_ERROR;
	}
	status = run_verb(v, t, &a);
	for (int i = 0; i < a.nr_names; i++)
		release(&t[i]);
	free(t);
	return status;
}
