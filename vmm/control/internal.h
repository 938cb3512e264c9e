/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the control socket's resources share: the table of them. */
#ifndef VMM_CONTROL_INTERNAL_H
#define VMM_CONTROL_INTERNAL_H

#include "control/api.h"
#include "control/schema.h"

/* A client that reads events. */
struct api_stream {
	bool there;
	struct http_id id;
	uint64_t lost; /* events since the last that it got */
};

struct api {
	const struct config *config;
	const struct api_ops *ops;
	void *arg;
	struct http_server *http;
	struct api_stream stream[HTTP_MAX_STREAMS];
	uint64_t sequence; /* of the last event */

	struct firecracker *firecracker; /* NULL: what the machine is was said before */
	struct http_id starter;		 /* whose request to start it is to be answered, if */
	bool starts;			 /* there is one */
};

enum api_kind {
	API_JSON,    /* the function makes an object */
	API_TEXT,    /* it makes a text */
	API_STREAM,  /* events */
	API_NOTHING, /* that it was done is all there is to say: 204 */
};

/* A request that is being answered. */
struct api_call {
	struct http_id id;
	const json_t *body;    /* checked; NULL: none */
	const char *parameter; /* of the path; NULL: it has none */
	json_t *answer;	       /* API_JSON: what the function makes */
	char *text;	       /* API_TEXT, for free() */
	size_t len;
	bool later; /* of the one that starts the machine: api_started() answers */
};

struct api_row {
	const char *method, *path; /* its last part may be a parameter: "{name}" */
	enum api_kind kind;
	/* NULL: none is taken; otherwise it may be left out, unless the row is of Firecracker's. */
	const struct schema *body;
	const struct schema *answer; /* of a stream, of each line; NULL: a text */
	/* 0, or a negative errno with a sentence; a stream has none. */
	int (*call)(struct api *a, struct api_call *c, struct error *e);
	const char *help;
	bool before_start; /* refused once the machine is started */
};

extern const struct api_row api_rows[];
extern const unsigned int api_nr_rows;

/* A line of text, for free(); NULL without memory. */
char *api_dump(const json_t *object, size_t *len);

/* control/firecracker.c: the rows that are served before ours where clients say what the machine is. */
extern const struct api_row firecracker_rows[];
extern const unsigned int firecracker_nr_rows;

/* Whether a path is of what Firecracker has and we have not. */
bool firecracker_knows(const char *path);
/* NULL without memory. The configuration is changed until the machine starts. */
struct firecracker *firecracker_create(struct config *config);
/* What was counted is written for the last time. */
void firecracker_destroy(struct api *a);

/* control/metrics.c: stats as an object, and all that is measured in the text format of OpenMetrics. */
extern const struct schema api_stats_schema;
json_t *metrics_object(const struct api *a, const struct api_stats *stats);
/* For free(); NULL without memory. */
char *metrics_text(const struct api *a, const struct status *status, const struct api_stats *stats,
		   size_t *len);

/* control/openapi.c: an object of all options' schemas. */
json_t *openapi_config_members(void);

#endif
