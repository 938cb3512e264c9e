// SPDX-License-Identifier: GPL-2.0-or-later
/* From the words of a command line to a value in its place, for each type of option, and back. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"

uint64_t option_number(const struct option_def *o, const void *base)
{
	const void *at = (const char *)base + o->offset;

	switch (o->width) {
	case 1:
		return *(const uint8_t *)at;
	case 2:
		return *(const uint16_t *)at;
	case 4:
		return *(const uint32_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

static void store(const struct option_def *o, void *base, uint64_t value)
{
	void *at = (char *)base + o->offset;

	switch (o->width) {
	case 1:
		*(uint8_t *)at = value;
		break;
	case 2:
		*(uint16_t *)at = value;
		break;
	case 4:
		*(uint32_t *)at = value;
		break;
	default:
		*(uint64_t *)at = value;
	}
	if (o->given)
		*(bool *)((char *)base + o->given) = true;
}

char **option_string(const struct option_def *o, const void *base)
{
	return (char **)((char *)base + o->offset);
}

bool option_is_set(const struct option_def *o, const void *base)
{
	switch (o->type) {
	case OPT_BOOL:
		return true;
	case OPT_STRING:
	case OPT_PATH:
		return *option_string(o, base);
	default:
		if (o->given)
			return *(const bool *)((const char *)base + o->given);
		return o->initial || option_number(o, base);
	}
}

void option_free(const struct option_def *o, void *base)
{
	if (o->type != OPT_STRING && o->type != OPT_PATH)
		return;
	free(*option_string(o, base));
	*option_string(o, base) = NULL;
}

/* ------------------------------------------------------------------------- */
/* Numbers                                                                    */

/* A whole decimal or 0x number with nothing before it; *end is what is behind it. */
static bool read_number(const char *text, bool may_be_hex, uint64_t *n, char **end)
{
	bool hex = may_be_hex && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	errno = 0;
	*n = strtoull(text, end, hex ? 16 : 10);
	return isdigit((unsigned char)text[0]) && !errno;
}

static int set_number(const struct option_def *o, void *base, const char *text, struct error *e)
{
	char *end;
	uint64_t n;
	bool good = read_number(text, true, &n, &end) && !*end;

	if (!good || n < o->min || n > o->max)
		return error_set(e, good ? ERANGE : EINVAL,
				 "must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
				 o->min, o->max, text);
	store(o, base, n);
	return 0;
}

void option_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char suffix[] = "KMG";
	unsigned int shift = 0;

	while (shift < 30 && bytes && !(bytes >> shift & 0x3ff))
		shift += 10;
	snprintf(buf, size, "%" PRIu64 "%.*s", bytes >> shift, shift ? 1 : 0,
		 shift ? &suffix[shift / 10 - 1] : "");
}

static int set_size(const struct option_def *o, void *base, const char *text, struct error *e)
{
	char least[24], most[24], step[24];
	unsigned int shift = 0;
	uint64_t n;
	char *end;
	bool good = read_number(text, false, &n, &end);

	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	}
	if (!good || (shift ? end[1] : end[0]) || n > UINT64_MAX >> shift)
		return error_set(e, EINVAL, "must be a size such as 512M or 2G, not '%s'", text);
	n <<= shift;
	option_format_size(o->min, least, sizeof(least));
	option_format_size(o->max, most, sizeof(most));
	if (!shift && n >= o->min >> 20 && n < o->min)
		return error_set(
			e, ERANGE,
			"%s is that many bytes, less than the least, %s; did you mean %sM?", text,
			least, text);
	if (n < o->min || n > o->max)
		return error_set(e, ERANGE, "must be from %s to %s, not '%s'", least, most, text);
	if (o->step && n % o->step) {
		option_format_size(o->step, step, sizeof(step));
		return error_set(e, EINVAL, "must be a multiple of %s, not '%s'", step, text);
	}
	store(o, base, n);
	return 0;
}

static int set_duration(const struct option_def *o, void *base, const char *text, struct error *e)
{
	uint64_t n, unit = 1;
	char *end;
	bool good = read_number(text, true, &n, &end);

	if (!strcmp(end, "m"))
		unit = 60;
	else if (!strcmp(end, "h"))
		unit = 3600;
	else if (*end && strcmp(end, "s"))
		good = false;
	if (!good || n < o->min || n > o->max / unit)
		return error_set(e, good ? ERANGE : EINVAL,
				 "must be a time from %" PRIu64 " to %" PRIu64
				 " seconds, such as 90, 90s, 5m or 2h, not '%s'",
				 o->min, o->max, text);
	store(o, base, n * unit);
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Words                                                                      */

static int set_bool(const struct option_def *o, void *base, const char *text, struct error *e)
{
	if (strcmp(text, "on") && strcmp(text, "off"))
		return error_set(e, EINVAL, "takes on or off, not '%s'", text);
	store(o, base, !strcmp(text, "on"));
	return 0;
}

/* "a", "a or b", "a, b or c" */
static void list_choices(const struct option_def *o, char *buf, size_t size)
{
	size_t len = 0;

	for (unsigned int i = 0; o->choices[i] && len < size; i++)
		len += snprintf(buf + len, size - len, "%s%s",
				!i		    ? ""
				: o->choices[i + 1] ? ", "
						    : " or ",
				o->choices[i]);
}

static int set_choice(const struct option_def *o, void *base, const char *text, struct error *e)
{
	char all[128] = "";

	for (unsigned int i = 0; o->choices[i]; i++) {
		if (!strcmp(text, o->choices[i])) {
			store(o, base, i);
			return 0;
		}
	}
	list_choices(o, all, sizeof(all));
	return error_set(e, EINVAL, "takes %s, not '%s'%s", all, text, o->hint ? o->hint : "");
}

static int set_string(const struct option_def *o, void *base, const char *text, struct error *e)
{
	size_t len = strlen(text);
	char *copy;
	int ret;

	if (o->type == OPT_PATH && !len)
		return error_set(e, EINVAL, "needs the name of a file");
	if (o->max && (len < o->min || len > o->max))
		return error_set(e, ERANGE,
				 "takes %" PRIu64 " to %" PRIu64 " characters, not '%.64s%s'",
				 o->min, o->max, text, len > 64 ? "..." : "");
	for (size_t i = 0; o->chars && i < len; i++) {
		if (!o->chars->may((unsigned char)text[i]))
			return error_set(e, EINVAL, "takes %s, not '%s'", o->chars->words, text);
	}
	ret = o->check ? o->check(text, e) : 0;
	if (ret)
		return ret;

	copy = strdup(text);
	if (!copy)
		return error_set(e, ENOMEM, "out of memory");
	option_free(o, base);
	*option_string(o, base) = copy;
	return 0;
}

int option_set(const struct option_def *o, void *base, const char *text, struct error *e)
{
	switch (o->type) {
	case OPT_BOOL:
		return set_bool(o, base, text, e);
	case OPT_NUMBER:
		return set_number(o, base, text, e);
	case OPT_SIZE:
		return set_size(o, base, text, e);
	case OPT_DURATION:
		return set_duration(o, base, text, e);
	case OPT_CHOICE:
		return set_choice(o, base, text, e);
	default:
		return set_string(o, base, text, e);
	}
}
