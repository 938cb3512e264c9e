/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of options: one row for each thing that can be said about a machine. The command line
 * (flags.c), configuration files (json.c), the help text (describe.c), the manual (manual.c) and the completion
 * of bash (completion.c) are made from the rows, so that a new option is a field of struct config and a row
 * in options.c.
 *
 * An option that may be repeated is a list of items, and what can be said of an item is a table of the
 * same kind: its properties.
 */
#ifndef VMM_CONFIG_OPTION_H
#define VMM_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "error.h"

enum opt_type {
	OPT_BOOL,     /* bool; as a flag without a value, as a property on or off */
	OPT_NUMBER,   /* unsigned, decimal or 0x; "width" bytes */
	OPT_SIZE,     /* the same in bytes, with the suffix K, M or G */
	OPT_DURATION, /* the same in seconds, with the suffix s, m or h */
	OPT_STRING,   /* char *; NULL: not stated */
	OPT_PATH,     /* char *, the name of a file, which is not empty */
	OPT_CHOICE,   /* unsigned, the index of one of "choices" */
	OPT_LIST,     /* items */
};

enum opt_section {
	SECTION_RUNS,
	SECTION_PARTS,
	SECTION_HOW,
	NR_SECTIONS
};

/* opt->flags */
#define OPT_REQUIRED  0x1 /* of an item: it is nothing without this */
#define OPT_ALIAS     0x4 /* another name of what is kept in the same place: never written */
#define OPT_ONLY_FLAG 0x2 /* said on the command line only, and not of the machine */

/* Which characters a string may have. */
struct opt_chars {
	bool (*may)(int c);
	const char *words; /* completes "takes ..." */
};

struct option_def {
	const char *name; /* of the flag, without dashes, or of the property */
	const char *key;  /* of a list as a whole: disks; NULL: as name */
	const char *arg;  /* what its value is called in the help text */
	enum opt_section section;
	enum opt_type type;
	unsigned int flags;

	/* Where it is kept: in struct config, or in the item. */
	size_t offset;
	size_t width;
	/* Of a bool which says whether it was stated; 0: a number that is 0 was not. */
	size_t given;

	uint64_t min, max;	       /* of a number; of the length of a string, 0: any */
	uint64_t step;		       /* a size is a multiple of this */
	const struct opt_chars *chars; /* NULL: any */
	const char *const *choices;    /* up to a NULL; of a string, some that it may be */
	const char *initial;	       /* as the user would write it; NULL: not stated */
	const char *otherwise;	       /* what holds when it is not stated, for the help text */
	const char *hint;	       /* said behind the refusal of a value */
	/* A form of its own: whether a string is good, if not with a text that completes "--name ...". */
	int (*check)(const char *text, struct error *e);
	const struct option_list *list;

	const char *help; /* no full stop, no line ends */
	/* In mdoc(7): what the manual says of it but its limits; its value, if that is not "arg". */
	const char *manual;
	const char *synopsis;
};

struct option_list {
	const struct option_def *property;
	unsigned int nr_properties;
	/* Where it is in struct config: an array of items that begin with a struct config_item, and how many. */
	size_t items, item_size, count;
	unsigned int most;
	const char *prefix; /* of the ids of items without one: "disk" for disk0 */
	/*
	 * How an item is written on the command line. 0: KEY=VALUE[,KEY=VALUE...], where the first piece
	 * may be the value of property "bare" alone. A character: what is before its first occurrence is
	 * that property's, what is behind it the next one's.
	 */
	char split;
	unsigned int bare;
};

/* The rows, in the order of the help text. */
extern const struct option_def option_table[];
extern const unsigned int option_count;
extern const char *const option_section_names[NR_SECTIONS];

/* The row of a name, of which len bytes count; NULL if there is none. */
const struct option_def *option_find(const char *name, size_t len);
const struct option_def *option_find_property(const struct option_list *list, const char *name,
					      size_t len);

const struct option_def *option_find_key(const char *key, size_t len);

/* What the user may have meant: what the name is the beginning of, or else almost is. */
const struct option_def *option_closest(const struct option_def *rows, unsigned int nr,
					const char *name, size_t len);

static inline const char *option_key(const struct option_def *o)
{
	return o->key ? o->key : o->name;
}

/* value.c. "base" is the struct config, or the item. */

/*
 * Take a value as it is written on a command line. -EINVAL or -ERANGE with a text that completes
 * "--name ...": whoever knows how the user calls the option puts that before it.
 */
int option_set(const struct option_def *o, void *base, const char *text, struct error *e);
/* Whether it has a value, be it the initial one. */
bool option_is_set(const struct option_def *o, const void *base);
uint64_t option_number(const struct option_def *o, const void *base);
char **option_string(const struct option_def *o, const void *base);
void option_free(const struct option_def *o, void *base);
/* A size as it is best read: 512M. */
void option_format_size(uint64_t bytes, char *buf, size_t size);

/* Of struct config's from_file. */
static inline uint64_t option_bit(const struct option_def *o)
{
	return 1ULL << (o - option_table);
}

static inline unsigned int *list_count(const struct option_list *l, const struct config *c)
{
	return (unsigned int *)((char *)c + l->count);
}

static inline struct config_item *list_item(const struct option_list *l, const struct config *c,
					    unsigned int i)
{
	return (struct config_item *)((char *)c + l->items + i * l->item_size);
}

#endif
