// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The resources of a machine. A request is looked up in the table, its body checked against the row's schema, and the
 * row's function called; answers and errors are written here, in one form.
 *
 * Events: a client has each change of state as a line of JSON, and first the state that it finds. Who cannot keep up
 * loses some, and is told how many; nobody is waited for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/errors.h"
#include "control/internal.h"
#include "include/uapi/hv.h"
#include "version.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NSEC_PER_SEC  1e9

/* ------------------------------------------------------------------------- */
/* Schemas                                                                    */

#define MEMBERS(table) .member = (table), .nr_members = ARRAY_SIZE(table)

static const struct schema_member root_members[] = {
	{"version", SCHEMA_STRING, true, .help = "of the monitor"},
	{"schema", SCHEMA_INTEGER, true,
	 .help = "of this interface: changes when an older client could misunderstand"},
	{"interface", SCHEMA_INTEGER, true, .help = "of /dev/hv"},
	{"name", SCHEMA_STRING, true, .help = "of the machine"},
	{"paths", SCHEMA_ARRAY, true, .help = "what can be asked for, as METHOD PATH"},
};
static const struct schema root_schema = {"Root", "What answers", MEMBERS(root_members)};

#define END_MEMBERS                                                                        \
	{"reason", SCHEMA_STRING, .help = "of its end, as the result has it"},             \
	{                                                                                  \
		"status", SCHEMA_INTEGER, .help = "that its monitor exits with at its end" \
	}

static const struct schema_member status_members[] = {
	{"name", SCHEMA_STRING, true, .help = "of the machine"},
	{"pid", SCHEMA_INTEGER, true, .help = "of its monitor"},
	{"state", SCHEMA_STRING, true, .choices = status_names, .help = "what it does"},
	{"started", SCHEMA_INTEGER, true, .help = "when, in seconds since 1970"},
	{"since", SCHEMA_INTEGER, true, .help = "the time of its last change of state"},
	{"cpus", SCHEMA_INTEGER, true, .help = "processors"},
	{"memory", SCHEMA_INTEGER, true, .help = "bytes"},
	END_MEMBERS,
	{"version", SCHEMA_STRING, true, .help = "of the monitor"},
};
static const struct schema status_schema = {"Status", "What the machine is and does",
					    MEMBERS(status_members)};

static const struct schema config_schema = {"Config", "The machine, as a file for vmm run --config",
					    .describe = openapi_config_members};

static const struct schema_member state_members[] = {
	{"state", SCHEMA_STRING, true, .choices = status_names, .help = "afterwards"},
};
static const struct schema state_schema = {"State", "An action is done, or has begun",
					   MEMBERS(state_members)};

static const struct schema_member stop_members[] = {
	{"timeout", SCHEMA_INTEGER, .max = API_MAX_TIMEOUT,
	 .help = "how many seconds the guest has to power off before the machine is ended"},
};
static const struct schema stop_schema = {"Stop", "How to stop it", MEMBERS(stop_members)};

static const struct schema_member stopping_members[] = {
	{"state", SCHEMA_STRING, true, .choices = status_names, .help = "afterwards"},
	{"timeout", SCHEMA_INTEGER, true, .help = "the seconds that hold"},
};
static const struct schema stopping_schema = {"Stopping", "The machine is about to end",
					      MEMBERS(stopping_members)};

static const char *const event_names[] = {"state", "reset", "lost", NULL};
static const struct schema_member event_members[] = {
	{"sequence", SCHEMA_INTEGER, true,
	 .help = "one more than that of the event before; that of the last one lost"},
	{"time", SCHEMA_NUMBER, true, .help = "seconds since 1970"},
	{"event", SCHEMA_STRING, true, .choices = event_names,
	 .help = "a change of state; a reset of the machine, by its guest or by a client; or that "
		 "some were lost, as the client is slow"},
	{"state", SCHEMA_STRING, .choices = status_names, .help = "the new one"},
	END_MEMBERS,
	{"reboots", SCHEMA_INTEGER, .help = "resets of the machine so far"},
	{"count", SCHEMA_INTEGER, .help = "how many were lost"},
};
static const struct schema event_schema = {"Event", "A line of the stream", MEMBERS(event_members)};

/* ------------------------------------------------------------------------- */
/* What is asked                                                              */

static int no_memory(struct error *e)
{
	return error_set(e, ENOMEM, "out of memory");
}

static int answer(struct api_call *c, json_t *object, struct error *e)
{
	c->answer = object;
	return object ? 0 : no_memory(e);
}

static int get_root(struct api *a, struct api_call *c, struct error *e)
{
	json_t *paths = json_array();

	for (unsigned int i = 0; i < api_nr_rows; i++)
		json_array_append_new(paths,
				      json_sprintf("%s %s", api_rows[i].method, api_rows[i].path));
	return answer(c,
		      json_pack("{s:s, s:i, s:i, s:s, s:o}", "version", VMM_VERSION, "schema",
				API_SCHEMA_VERSION, "interface", HV_ABI_VERSION, "name",
				a->config->name, "paths", paths),
		      e);
}

static int get_status(struct api *a, struct api_call *c, struct error *e)
{
	struct status s;

	a->ops->status(a->arg, &s);
	return answer(c, status_object(&s), e);
}

static int get_config(struct api *a, struct api_call *c, struct error *e)
{
	FILE *out = open_memstream(&c->text, &c->len);
	int ret;

	if (!out)
		return no_memory(e);
	ret = config_print(a->config, out, e);
	/* What did not get into its buffer is missed here. */
	if (fclose(out) && !ret)
		ret = no_memory(e);
	return ret;
}

static int get_stats(struct api *a, struct api_call *c, struct error *e)
{
	struct api_stats stats;

	a->ops->stats(a->arg, &stats);
	return answer(c, metrics_object(a, &stats), e);
}

static int get_metrics(struct api *a, struct api_call *c, struct error *e)
{
	struct status status;
	struct api_stats stats;

	a->ops->status(a->arg, &status);
	a->ops->stats(a->arg, &stats);
	c->text = metrics_text(a, &status, &stats, &c->len);
	return c->text ? 0 : no_memory(e);
}

/* ------------------------------------------------------------------------- */
/* What is told                                                               */

static json_t *state_object(const struct api *a)
{
	struct status s;

	a->ops->status(a->arg, &s);
	return json_pack("{s:s}", "state", status_names[s.state]);
}

static int act(struct api *a, struct api_call *c, int (*action)(void *arg, struct error *e),
	       struct error *e)
{
	int ret = action(a->arg, e);

	return ret ? ret : answer(c, state_object(a), e);
}

static int post_pause(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->pause, e);
}

static int post_resume(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->resume, e);
}

static int post_reset(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->reset, e);
}

static int post_power_button(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->power_button, e);
}

static int post_kill(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->kill, e);
}

static int post_nmi(struct api *a, struct api_call *c, struct error *e)
{
	return act(a, c, a->ops->nmi, e);
}

static int post_stop(struct api *a, struct api_call *c, struct error *e)
{
	const json_t *timeout = json_object_get(c->body, "timeout");
	int seconds = timeout ? (int)json_integer_value(timeout) : -1;
	int ret = a->ops->stop(a->arg, &seconds, e);
	json_t *object;

	if (ret)
		return ret;
	object = state_object(a);
	if (object && json_object_set_new(object, "timeout", json_integer(seconds)))
		return no_memory(e);
	return answer(c, object, e);
}

/* ------------------------------------------------------------------------- */
/* The table                                                                  */

const struct api_row api_rows[] = {
	{"GET", "/", API_JSON, .answer = &root_schema, .call = get_root,
	 .help = "What answers, and what it can be asked"},
	{"GET", "/status", API_JSON, .answer = &status_schema, .call = get_status,
	 .help = "What the machine is and does"},
	{"GET", "/config", API_TEXT, .answer = &config_schema, .call = get_config,
	 .help = "The machine, as vmm run --print-config prints it"},
	{"GET", "/stats", API_JSON, .answer = &api_stats_schema, .call = get_stats,
	 .help = "What was counted since the start"},
	{"GET", "/metrics", API_TEXT, .call = get_metrics,
	 .help = "The same in the text format of OpenMetrics"},
	{"GET", "/events", API_STREAM, .answer = &event_schema,
	 .help = "The state, and its changes until the machine ends, a line of JSON each"},
	{"POST", "/pause", API_JSON, .answer = &state_schema, .call = post_pause,
	 .help = "Stand still"},
	{"POST", "/resume", API_JSON, .answer = &state_schema, .call = post_resume,
	 .help = "Go on"},
	{"POST", "/reset", API_JSON, .answer = &state_schema, .call = post_reset,
	 .help = "Press the reset button"},
	{"POST", "/power-button", API_JSON, .answer = &state_schema, .call = post_power_button,
	 .help = "Press the power button: the guest may power off"},
	{"POST", "/stop", API_JSON, .body = &stop_schema, .answer = &stopping_schema,
	 .call = post_stop,
	 .help = "Press the power button, and end the machine if the guest does not power off"},
	{"POST", "/kill", API_JSON, .answer = &state_schema, .call = post_kill,
	 .help = "End the machine at once"},
	{"POST", "/nmi", API_JSON, .answer = &state_schema, .call = post_nmi,
	 .help = "Send an NMI to all processors"},
};

const unsigned int api_nr_rows = ARRAY_SIZE(api_rows);

/* HEAD is GET without the body, which http.c leaves out. */
static bool has_method(const struct api_row *row, const char *method)
{
	return !strcmp(row->method, method) ||
	       (!strcmp(method, "HEAD") && !strcmp(row->method, "GET"));
}

/* Whether a row is of the path, and what of that is its parameter. */
static bool is_at(const struct api_row *row, const char *path, const char **parameter)
{
	size_t len = strcspn(row->path, "{");

	*parameter = NULL;
	if (!row->path[len])
		return !strcmp(row->path, path);
	if (strncmp(row->path, path, len) || !path[len] || strchr(path + len, '/'))
		return false;
	*parameter = path + len;
	return true;
}

/* What a request is for. */
struct target {
	const struct api_row *row; /* NULL: there is none such */
	const char *parameter;
	char allow[64];	  /* without a row: what the path can be asked for, or empty */
	bool firecracker; /* answered in that form */
};

static void find_row(const struct api_row *rows, unsigned int nr, const struct http_request *r,
		     struct target *t)
{
	size_t len = 0;

	for (unsigned int i = 0; i < nr; i++) {
		const struct api_row *row = &rows[i];

		if (!is_at(row, r->path, &t->parameter))
			continue;
		if (has_method(row, r->method)) {
			t->row = row;
			return;
		}
		len += (size_t)snprintf(t->allow + len, sizeof(t->allow) - len, "%s%s%s",
					len ? ", " : "", row->method,
					strcmp(row->method, "GET") ? "" : ", HEAD");
	}
}

/* Where Firecracker's rows are served they come first, and what nobody has is refused as they are. */
static void find_target(const struct api *a, const struct http_request *r, struct target *t)
{
	*t = (struct target){.firecracker = a->firecracker};
	if (a->firecracker)
		find_row(firecracker_rows, firecracker_nr_rows, r, t);
	if (t->row)
		return;
	t->allow[0] = '\0';
	find_row(api_rows, api_nr_rows, r, t);
	t->firecracker &= !t->row && !t->allow[0];
}

/* ------------------------------------------------------------------------- */
/* Answers                                                                    */

/* A line, for free(). */
char *api_dump(const json_t *object, size_t *len)
{
	size_t room = json_dumpb(object, NULL, 0, API_DIGITS);
	char *text = room ? malloc(room + 1) : NULL;

	if (!text)
		return NULL;
	json_dumpb(object, text, room, API_DIGITS);
	text[room] = '\n';
	*len = room + 1;
	return text;
}

static void answer_json(struct api *a, struct http_id id, unsigned int status, const json_t *object,
			const char *allow)
{
	struct http_answer answer = {.status = status, .type = "application/json", .allow = allow};
	char *text = api_dump(object, &answer.len);

	/* Without memory there is a status at least. */
	if (!text)
		answer = (struct http_answer){.status = 503};
	answer.body = text;
	http_answer(a->http, id, &answer);
	free(text);
}

/* Its clients know no other status for what was not done, but those of HTTP itself. */
static void answer_fault(struct api *a, struct http_id id, unsigned int status,
			 const struct error *e)
{
	json_t *object = json_pack("{s:o}", "fault_message", errors_text(e->text));

	answer_json(a, id, status == 404 || status == 405 || status == 409 ? 400 : status, object,
		    NULL);
	json_decref(object);
}

static void answer_error(struct api *a, struct http_id id, unsigned int status,
			 const struct error *e, const char *allow)
{
	json_t *object = json_pack("{s:o}", "error", errors_object(e->code, e->path, e->text));

	answer_json(a, id, status, object, allow);
	json_decref(object);
}

static unsigned int status_of(int ret)
{
	switch (-ret) {
	case EINVAL:
	case ERANGE:
	case E2BIG:
	case EEXIST:
		return 400;
	case EPERM:
	case EACCES:
		return 403;
	case EBUSY:
	case EALREADY:
	case EOPNOTSUPP:
		return 409;
	case ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static void answer_call(struct api *a, const struct api_row *row, const struct api_call *c)
{
	const struct http_answer text = {
		.status = 200,
		.type = row->answer ? "application/json"
				    : "application/openmetrics-text; version=1.0.0; charset=utf-8",
		.body = c->text,
		.len = c->len,
	};

	static const struct http_answer nothing = {.status = 204};

	if (row->kind == API_NOTHING)
		http_answer(a->http, c->id, &nothing);
	else if (row->kind == API_TEXT)
		http_answer(a->http, c->id, &text);
	else
		answer_json(a, c->id, 200, c->answer, NULL);
}

/* ------------------------------------------------------------------------- */
/* Events                                                                     */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NSEC_PER_SEC;
}

/* Takes the event. One that there is no memory for is lost like one that there is no room for. */
static bool write_event(struct api *a, const struct api_stream *s, json_t *event)
{
	size_t len = 0;
	char *text = api_dump(event, &len);
	bool written = text && http_stream_write(a->http, s->id, text, len);

	free(text);
	json_decref(event);
	return written;
}

static json_t *state_event(const struct api *a)
{
	struct status s;
	json_t *event;

	a->ops->status(a->arg, &s);
	event = json_pack("{s:I, s:f, s:s, s:s}", "sequence", (json_int_t)a->sequence, "time",
			  now(), "event", "state", "state", status_names[s.state]);
	/* Without memory for it the state is told alone. */
	(void)status_put_end(&s, event);
	return event;
}

static void tell_state(struct api *a, struct api_stream *s)
{
	if (!write_event(a, s, state_event(a)))
		s->lost++;
}

void api_state_changed(struct api *a)
{
	a->sequence++;
	for (unsigned int i = 0; i < HTTP_MAX_STREAMS; i++) {
		if (a->stream[i].there)
			tell_state(a, &a->stream[i]);
	}
}

void api_was_reset(struct api *a)
{
	struct api_stats stats;

	a->ops->stats(a->arg, &stats);
	a->sequence++;
	for (unsigned int i = 0; i < HTTP_MAX_STREAMS; i++) {
		struct api_stream *s = &a->stream[i];

		if (s->there &&
		    !write_event(a, s,
				 json_pack("{s:I, s:f, s:s, s:I}", "sequence",
					   (json_int_t)a->sequence, "time", now(), "event", "reset",
					   "reboots", (json_int_t)stats.reboots)))
			s->lost++;
	}
}

static struct api_stream *find_stream(struct api *a, struct http_id id)
{
	for (unsigned int i = 0; i < HTTP_MAX_STREAMS; i++) {
		struct api_stream *s = &a->stream[i];

		if (s->there && s->id.place == id.place && s->id.turn == id.turn)
			return s;
	}
	return NULL;
}

static void on_stream_gone(void *arg, struct http_id id)
{
	struct api_stream *s = find_stream(arg, id);

	if (s)
		s->there = false;
}

static void on_stream_room(void *arg, struct http_id id)
{
	struct api *a = arg;
	struct api_stream *s = find_stream(a, id);
	json_t *lost;

	if (!s || !s->lost)
		return;
	lost = json_pack("{s:I, s:f, s:s, s:I}", "sequence", (json_int_t)a->sequence, "time", now(),
			 "event", "lost", "count", (json_int_t)s->lost);
	/* Two lines fit where all is gone. */
	if (!write_event(a, s, lost))
		return;
	s->lost = 0;
	tell_state(a, s);
}

static void begin_stream(struct api *a, struct http_id id)
{
	struct api_stream *s = NULL;

	/* There are as many places as http.c has streams. */
	for (unsigned int i = 0; i < HTTP_MAX_STREAMS && !s; i++)
		s = a->stream[i].there ? NULL : &a->stream[i];
	if (!http_stream_begin(a->http, id, "application/x-ndjson") || !s)
		return;
	*s = (struct api_stream){.there = true, .id = id};
	tell_state(a, s);
}

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

/* What may be wrong with any request: the status of HTTP, or 0. */
static unsigned int check_target(const struct http_request *r, const struct target *t,
				 struct error *e)
{
	if (t->firecracker && !t->row) {
		error_set(e, EINVAL, "%s %.80s is %s", r->method, r->path,
			  firecracker_knows(r->path) ? "not supported: vmm has nothing like it"
						     : "no request that is known here");
		return 400;
	}
	if (!t->row && !t->allow[0]) {
		error_set(e, ENOENT, "there is no %.80s here; GET / lists what there is", r->path);
		return 404;
	}
	if (!t->row) {
		error_set(e, EINVAL, "%.80s is for %s, not for %s", r->path, t->allow, r->method);
		e->code = "bad-method";
		return 405;
	}
	if (r->has_query) {
		error_set(e, EINVAL, "%.80s takes nothing behind a '?'", r->path);
		return 400;
	}
	return 0;
}

static unsigned int check_request(const struct api *a, const struct http_request *r,
				  const struct target *t, struct error *e)
{
	unsigned int status = check_target(r, t, e);
	struct status s;

	if (status)
		return status;
	/* Those clients need not say what it is. */
	if (!t->firecracker && r->body_len && r->content_type[0] &&
	    strcmp(r->content_type, "application/json")) {
		error_set(e, EINVAL, "the body must be of the type application/json");
		e->code = "wrong-type";
		return 415;
	}
	if (t->firecracker && t->row->body && !r->body_len) {
		error_set(e, EINVAL, "%s %.80s needs a body%s", r->method, r->path,
			  r->has_length ? "" : ", and its Content-Length");
		return r->has_length ? 400 : 411;
	}
	a->ops->status(a->arg, &s);
	if (t->row->before_start && s.state != STATE_CREATED) {
		error_set(e, EBUSY, "%s %.80s cannot be done once the machine is started",
			  r->method, r->path);
		return 409;
	}
	return 0;
}

/* There, what is null was not said. */
static void drop_nulls(json_t *body)
{
	const char *name;
	json_t *member;
	void *next;

	json_object_foreach_safe(body, next, name, member)
	{
		if (json_is_null(member))
			json_object_del(body, name);
	}
}

/* Of a row that takes none, it may be an empty object. *body is to be released. */
static int take_body(const struct http_request *r, const struct target *t, json_t **body,
		     struct error *e)
{
	static const struct schema nothing = {.name = "Nothing"};
	json_error_t wrong;

	*body = NULL;
	if (!r->body_len)
		return 0;
	*body = json_loadb(r->body, r->body_len, JSON_REJECT_DUPLICATES, &wrong);
	if (!*body) {
		error_set(e, EINVAL, "the body is not JSON: line %d: %s", wrong.line, wrong.text);
		e->code = "bad-syntax";
		return -EINVAL;
	}
	if (t->firecracker)
		drop_nulls(*body);
	return schema_check(t->row->body ? t->row->body : &nothing, *body, e);
}

static void refuse(struct api *a, struct http_id id, const struct target *t, unsigned int status,
		   const struct error *e)
{
	if (t->firecracker)
		answer_fault(a, id, status, e);
	else
		answer_error(a, id, status, e, status == 405 ? t->allow : NULL);
}

static void call(struct api *a, struct http_id id, const struct target *t, const json_t *body)
{
	struct api_call c = {.id = id, .body = body, .parameter = t->parameter};
	struct error e;
	int ret = t->row->call(a, &c, &e);

	if (ret) {
		refuse(a, id, t, t->firecracker ? 400 : status_of(ret), &e);
	} else if (c.later) {
		a->starter = id;
		a->starts = true;
	} else {
		answer_call(a, t->row, &c);
	}
	json_decref(c.answer);
	free(c.text);
}

static void on_request(void *arg, struct http_id id, const struct http_request *r)
{
	struct api *a = arg;
	struct error e = {0};
	json_t *body = NULL;
	struct target t;
	unsigned int status;

	find_target(a, r, &t);
	status = check_request(a, r, &t, &e);
	if (!status && take_body(r, &t, &body, &e))
		status = 400;
	if (status)
		refuse(a, id, &t, status, &e);
	else if (t.row->kind == API_STREAM)
		begin_stream(a, id);
	else
		call(a, id, &t, body);
	json_decref(body);
}

static void on_refuse(void *arg, struct http_id id, unsigned int status, const char *why)
{
	struct api *a = arg;
	struct error e = {0};

	error_set(&e, EINVAL, "%s", why);
	e.code = status == 503					   ? "busy"
		 : status == 413 || status == 414 || status == 431 ? "too-long"
								   : "bad-request";
	if (a->firecracker)
		answer_fault(a, id, status, &e);
	else
		answer_error(a, id, status, &e, NULL);
}

/* ------------------------------------------------------------------------- */

struct api *api_create(struct loop *loop, int listen_fd, const struct config *config,
		       const struct api_ops *ops, void *arg, struct error *e)
{
	static const struct http_ops http_ops = {
		.request = on_request,
		.refuse = on_refuse,
		.stream_room = on_stream_room,
		.stream_gone = on_stream_gone,
	};
	struct api *a = calloc(1, sizeof(*a));

	if (!a) {
		error_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	a->config = config;
	a->ops = ops;
	a->arg = arg;
	a->http = http_create(loop, listen_fd, &http_default_limits, &http_ops, a, e);
	if (a->http)
		return a;
	free(a);
	return NULL;
}

int api_listen(struct api *a, int listen_fd, struct error *e)
{
	return http_listen(a->http, listen_fd, e);
}

int api_serve_firecracker(struct api *a, struct config *config, struct error *e)
{
	a->firecracker = firecracker_create(config);
	return a->firecracker ? 0 : error_set(e, ENOMEM, "out of memory");
}

void api_started(struct api *a, const struct error *e)
{
	static const struct http_answer nothing = {.status = 204};

	if (!a || !a->starts)
		return;
	a->starts = false;
	if (e)
		answer_fault(a, a->starter, 400, e);
	else
		http_answer(a->http, a->starter, &nothing);
}

void api_destroy(struct api *a)
{
	if (!a)
		return;
	for (unsigned int i = 0; i < HTTP_MAX_STREAMS; i++) {
		if (a->stream[i].there)
			http_stream_end(a->http, a->stream[i].id);
	}
	http_destroy(a->http);
	firecracker_destroy(a);
	free(a);
}
