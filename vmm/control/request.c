// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests, by http-parser. Which status says what is in RFC 9110, what a request must have in RFC 9112. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/request.h"

/* Callbacks return this to stop the parser. */
#define REFUSED 1

static int refuse(struct request *r, unsigned int status, const char *reason)
{
	if (!r->status) {
		r->status = status;
		r->reason = reason;
	}
	return REFUSED;
}

/* ------------------------------------------------------------------------- */
/* The head                                                                   */

static int on_begin(http_parser *parser)
{
	struct request *r = parser->data;

	r->began = true;
	return 0;
}

static int on_target(http_parser *parser, const char *at, size_t len)
{
	struct request *r = parser->data;

	if (len > REQUEST_MAX_TARGET - r->target_len)
		return refuse(r, 414, "the path is too long");
	memcpy(r->target + r->target_len, at, len);
	r->target_len += len;
	return 0;
}

static bool has_name(const struct request *r, const char *name)
{
	return r->name_len == strlen(name) && !strncasecmp(r->name, name, r->name_len);
}

/* "Application/JSON; charset=utf-8" is application/json. */
static void take_content_type(struct request *r)
{
	size_t len = r->value_cut ? 0 : strcspn(r->value, "; \t");

	/* A second one is no better than one that is too long. */
	if (!len || r->content_type[0]) {
		strcpy(r->content_type, "?");
		return;
	}
	for (size_t i = 0; i < len; i++)
		r->content_type[i] =
			(char)(r->value[i] | (r->value[i] >= 'A' && r->value[i] <= 'Z' ? 0x20 : 0));
	r->content_type[len] = '\0';
}

/* All of a header has come. */
static void take_header(struct request *r)
{
	r->value[r->value_len] = '\0';
	if (has_name(r, "host"))
		r->hosts++;
	else if (has_name(r, "content-type"))
		take_content_type(r);
	else if (has_name(r, "expect") && !strcasecmp(r->value, "100-continue"))
		r->wants_continue = true;
	else if (has_name(r, "expect"))
		r->expects_other = true;
	r->name_len = r->value_len = 0;
	r->in_value = r->value_cut = false;
}

static int on_name(http_parser *parser, const char *at, size_t len)
{
	struct request *r = parser->data;

	if (r->in_value)
		take_header(r);
	/* One that is longer is none that we know, and shall not become one. */
	for (size_t i = 0; i < len && r->name_len < sizeof(r->name); i++)
		r->name[r->name_len++] = at[i];
	return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
	struct request *r = parser->data;

	r->in_value = true;
	if (len > sizeof(r->value) - 1 - r->value_len) {
		r->value_cut = true;
		len = sizeof(r->value) - 1 - r->value_len;
	}
	memcpy(r->value + r->value_len, at, len);
	r->value_len += len;
	return 0;
}

static int on_head(http_parser *parser)
{
	struct request *r = parser->data;

	if (r->in_value)
		take_header(r);
	if (parser->http_major != 1)
		return refuse(r, 505, "HTTP/1.1 is understood, and HTTP/1.0");
	if (request_is_1_1(r) ? r->hosts != 1 : r->hosts > 1)
		return refuse(r, 400, "a request has one Host header");
	if (r->expects_other)
		return refuse(r, 417, "nothing but 100-continue can be expected");
	if (parser->flags & F_CONTENTLENGTH && parser->content_length > REQUEST_MAX_BODY)
		return refuse(r, 413, "the body is too long");
	r->wants_continue &= request_is_1_1(r) && request_has_length(r) && parser->content_length;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* The body                                                                   */

static int grow(struct request *r, size_t size)
{
	char *body;

	if (size - r->body_size > *r->budget)
		return refuse(r, 503, "too many requests with a body at a time");
	body = realloc(r->body, size);
	if (!body)
		return refuse(r, 503, "out of memory");
	*r->budget -= size - r->body_size;
	r->body = body;
	r->body_size = size;
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct request *r = parser->data;
	size_t size = r->body_len + len;

	if (len > REQUEST_MAX_BODY - r->body_len)
		return refuse(r, 413, "the body is too long");
	if (size > r->body_size) {
		/* Twice as much, lest many pieces are copied as often; but no more than is allowed. */
		size = 2 * size < REQUEST_MAX_BODY ? 2 * size : REQUEST_MAX_BODY;
		if (grow(r, size))
			return REFUSED;
	}
	memcpy(r->body + r->body_len, at, len);
	r->body_len += len;
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct request *r = parser->data;

	r->complete = true;
	/* What is behind is of the next. */
	http_parser_pause(parser, 1);
	return 0;
}

/* ------------------------------------------------------------------------- */

void request_begin(struct request *r, size_t *budget)
{
	memset(r, 0, sizeof(*r));
	r->budget = budget;
	http_parser_set_max_header_size(REQUEST_MAX_HEAD);
	http_parser_init(&r->parser, HTTP_REQUEST);
	r->parser.data = r;
}

size_t request_take(struct request *r, const char *data, size_t len)
{
	static const http_parser_settings settings = {
		.on_message_begin = on_begin,
		.on_url = on_target,
		.on_header_field = on_name,
		.on_header_value = on_value,
		.on_headers_complete = on_head,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	size_t used = http_parser_execute(&r->parser, &settings, data, len);

	if (r->complete || r->status || HTTP_PARSER_ERRNO(&r->parser) == HPE_OK)
		return used;
	if (HTTP_PARSER_ERRNO(&r->parser) == HPE_HEADER_OVERFLOW)
		refuse(r, 431, "the headers are too long");
	else
		refuse(r, 400, "this is no request of HTTP/1.1");
	return used;
}

void request_end(struct request *r)
{
	*r->budget += r->body_size;
	free(r->body);
	r->body = NULL;
	r->body_len = r->body_size = 0;
}

const char *request_method(const struct request *r)
{
	return http_method_str(r->parser.method);
}

bool request_path(const struct request *r, const char **path, size_t *len, bool *query)
{
	struct http_parser_url url;

	http_parser_url_init(&url);
	if (r->parser.method == HTTP_CONNECT ||
	    http_parser_parse_url(r->target, r->target_len, 0, &url) ||
	    !(url.field_set & 1 << UF_PATH))
		return false;
	*path = r->target + url.field_data[UF_PATH].off;
	*len = url.field_data[UF_PATH].len;
	*query = url.field_set & 1 << UF_QUERY;
	return true;
}

bool request_has_length(const struct request *r)
{
	return r->parser.flags & (F_CONTENTLENGTH | F_CHUNKED);
}

bool request_keeps_alive(const struct request *r)
{
	return r->complete && http_should_keep_alive(&r->parser);
}

bool request_is_1_1(const struct request *r)
{
	return r->parser.http_major == 1 && r->parser.http_minor >= 1;
}
