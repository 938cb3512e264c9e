/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the control socket's resources share: the table of them. */
#ifndef VMM_CONTROL_INTERNAL_H
#define VMM_CONTROL_INTERNAL_H

#include "control/api.h"
#include "control/schema.h"

enum api_kind {
	API_JSON,   /* the function makes an object */
	API_TEXT,   /* it makes a text */
	API_STREAM, /* events */
};

/* A request that is being answered. */
struct api_call {
	struct http_id id;
	const json_t *body; /* checked; NULL: none */
	json_t *answer;	    /* API_JSON: what the function makes */
	char *text;	    /* API_TEXT, for free() */
	size_t len;
};

struct api_row {
	const char *method, *path;
	enum api_kind kind;
	const struct schema *body;   /* NULL: none is taken; otherwise it may be left out */
	const struct schema *answer; /* of a stream, of each line; NULL: a text */
	/* 0, or a negative errno with a sentence; a stream has none. */
	int (*call)(struct api *a, struct api_call *c, struct error *e);
	const char *help;
};

extern const struct api_row api_rows[];
extern const unsigned int api_nr_rows;

/* control/metrics.c: stats as an object, and all that is measured in the text format of OpenMetrics. */
extern const struct schema api_stats_schema;
json_t *metrics_object(const struct api_stats *stats);
/* For free(); NULL without memory. */
char *metrics_text(const struct status *status, const struct api_stats *stats, size_t *len);

/* control/openapi.c: an object of all options' schemas. */
json_t *openapi_config_members(void);

#endif
