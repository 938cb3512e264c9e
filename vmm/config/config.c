// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration as a whole: its initial values, what is made up for what was
 * not said, what must hold between its parts. Files are not opened here: whether
 * they are there and make sense is found out, and said, by whoever reads them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/flags.h"
#include "config/json.h"
#include "config/option.h"

static int no_memory(struct error *e)
{
	return error_set(e, ENOMEM, "out of memory");
}

static int set_initial(struct config *c, struct error *e)
{
	int ret = 0;

	memset(c, 0, sizeof(*c));
	for (unsigned int i = 0; !ret && i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		if (o->initial)
			ret = option_set(o, c, o->initial, e);
	}
	return ret;
}

/* As clients of --api-only expect it. */
static void set_api_only_initial(struct config *c)
{
	c->memory = 128ULL << 20;
	c->no_reboot = true;
}

/* ------------------------------------------------------------------------- */
/* Names of items                                                             */

/* Whether another item than the one given has the id. */
static bool is_taken(const struct config *c, const char *id, const struct config_item *but)
{
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_list *l = option_table[i].list;

		for (unsigned int n = 0; l && n < *list_count(l, c); n++) {
			const struct config_item *item = list_item(l, c, n);

			if (item != but && item->id && !strcmp(item->id, id))
				return true;
		}
	}
	return false;
}

static int name_item(const struct option_def *o, struct config *c, unsigned int n, struct error *e)
{
	struct config_item *item = list_item(o->list, c, n);
	char id[CONFIG_ID_MAX + 1], path[64];

	if (item->id && is_taken(c, item->id, item)) {
		snprintf(path, sizeof(path), "%s[%u].id", option_key(o), n);
		return error_set_at(e, EEXIST, path, "%s: the id '%s' is given twice",
				    config_label(c, path).text, item->id);
	}
	if (item->id)
		return 0;
	/* The place in the list, or the next number that nobody has. */
	do
		snprintf(id, sizeof(id), "%s%u", o->list->prefix, n++);
	while (is_taken(c, id, item));
	item->id = strdup(id);
	return item->id ? 0 : no_memory(e);
}

static int name_items(struct config *c, struct error *e)
{
	int ret = 0;

	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_def *o = &option_table[i];

		for (unsigned int n = 0; !ret && o->list && n < *list_count(o->list, c); n++)
			ret = name_item(o, c, n, e);
	}
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Parts                                                                      */

/*
 * Each disk has its place on the PCI bus, so that taking one away does not move those that say theirs. Those that
 * are not there have places in their order.
 */
static int place_disks(struct config *c, struct error *e)
{
	unsigned int elsewhere = c->rng_transport == TRANSPORT_MMIO;
	char path[64] = "rng_transport";
	uint32_t used = 0;

	for (unsigned int i = 0; i < c->nr_disks; i++) {
		const struct config_disk *d = &c->disk[i];

		if (d->transport == TRANSPORT_MMIO) {
			snprintf(path, sizeof(path), "disks[%u].transport", i);
			elsewhere++;
		}
		if (elsewhere > CONFIG_MAX_MMIO)
			return error_set_at(e, E2BIG, path, "%s: at most %d devices can have mmio",
					    config_label(c, path).text, CONFIG_MAX_MMIO);
		if (d->addr && d->transport == TRANSPORT_MMIO) {
			snprintf(path, sizeof(path), "disks[%u].addr", i);
			return error_set_at(e, EINVAL, path,
					    "%s: the address %u is on the PCI bus, and the disk's "
					    "transport is mmio",
					    config_label(c, path).text, d->addr);
		}
		if (d->addr && used & 1u << d->addr) {
			snprintf(path, sizeof(path), "disks[%u].addr", i);
			return error_set_at(e, EEXIST, path, "%s: the address %u is given twice",
					    config_label(c, path).text, d->addr);
		}
		used |= d->addr ? 1u << d->addr : 0;
	}
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		struct config_disk *d = &c->disk[i];
		unsigned int addr = CONFIG_MIN_ADDR;

		if (d->addr || d->transport == TRANSPORT_MMIO)
			continue;
		while (used & 1u << addr)
			addr++;
		d->addr = addr;
		used |= 1u << addr;
	}
	return 0;
}

static bool is_tty(const struct config_console *con)
{
	return con->kind_stated && con->kind == CONFIG_CONSOLE_TTY;
}

/* What is wrong with it; NULL: nothing. */
static const char *check_console(struct config_console *con)
{
	if (con->kind_stated + !!con->file + !!con->socket != 1)
		return "is one of tty, none, pty, file=FILE and socket=PATH; give it once more for "
		       "another";
	if (con->rotate && !con->file)
		return "takes rotate= with file=FILE only";
	if (con->keep && !con->rotate)
		return "takes keep= with rotate=SIZE only";
	if (con->link && !(con->kind_stated && con->kind == CONFIG_CONSOLE_PTY))
		return "takes link= with pty only";
	if (con->rotate && !con->keep)
		con->keep = 1;
	return NULL;
}

static int check_consoles(struct config *c, struct error *e)
{
	bool tty = false;

	for (unsigned int i = 0; i < c->nr_consoles; i++) {
		const char *wrong = check_console(&c->console[i]);
		char path[64];

		if (!wrong && tty && is_tty(&c->console[i]))
			wrong = "is tty once only";
		tty |= is_tty(&c->console[i]);
		if (!wrong)
			continue;
		snprintf(path, sizeof(path), "consoles[%u]", i);
		return error_set_at(e, EINVAL, path, "%s %s", config_label(c, path).text, wrong);
	}
	return 0;
}

bool config_has_tty(const struct config *c)
{
	bool tty = !c->nr_consoles && !c->detach;

	for (unsigned int i = 0; i < c->nr_consoles; i++)
		tty |= is_tty(&c->console[i]);
	return tty;
}

static int check_detach(const struct config *c, struct error *e)
{
	if (!c->detach)
		return 0;
	if (config_has_tty(c))
		return error_set_at(e, EINVAL, "detach",
				    "%s leaves the terminal: no console can be tty",
				    config_label(c, "detach").text);
	if (c->api == CONFIG_API_OFF)
		return error_set_at(e, EINVAL, "detach", "%s and %s=off cannot be used together",
				    config_label(c, "detach").text, config_label(c, "api").text);
	return 0;
}

static int join_modules(struct config *c, struct error *e)
{
	for (unsigned int i = 0; i < c->nr_modules; i++) {
		struct config_module *m = &c->module[i];
		size_t size = strlen(m->path) + 1 + (m->args ? strlen(m->args) + 1 : 0);

		m->string = malloc(size);
		if (!m->string)
			return no_memory(e);
		snprintf(m->string, size, "%s%s%s", m->path, m->args ? " " : "",
			 m->args ? m->args : "");
	}
	return 0;
}

/* What it is made of is said in one place. */
static int check_api_only(const struct config *c, struct error *e)
{
	const char *path = c->kernel	   ? "kernel"
			   : c->initrd	   ? "initrd"
			   : c->nr_disks   ? "disks[0]"
			   : c->nr_modules ? "modules[0]"
			   : c->dump_dtb   ? "dump-dtb"
					   : NULL;

	if (path)
		return error_set_at(e, EINVAL, path,
				    "%s and --api-only cannot be used together: clients say what "
				    "the machine is",
				    config_label(c, path).text);
	if (c->api == CONFIG_API_OFF && !c->api_sock)
		return error_set_at(e, EINVAL, "api",
				    "%s=off and --api-only cannot be used together without "
				    "--api-sock PATH: nobody could say what the machine is",
				    config_label(c, "api").text);
	return 0;
}

int config_complete(struct config *c, struct error *e)
{
	int ret;

	if (!c->kernel && !c->api_only) {
		error_set_at(e, EINVAL, "kernel",
			     "--kernel FILE is needed: what shall the machine run?");
		e->code = "missing";
		return -EINVAL;
	}
	if (c->initrd && c->nr_modules)
		return error_set_at(e, EINVAL, "modules",
				    "%s and %s cannot be used together: modules are for Multiboot "
				    "kernels, which take no initrd",
				    config_label(c, "initrd").text,
				    config_label(c, "modules[0]").text);
	ret = check_consoles(c, e);
	if (!ret)
		ret = check_detach(c, e);
	if (!ret)
		ret = name_items(c, e);
	if (!ret)
		ret = place_disks(c, e);
	if (!ret)
		ret = join_modules(c, e);
	return ret;
}

/* ------------------------------------------------------------------------- */

struct config_label config_label(const struct config *c, const char *path)
{
	size_t len = strcspn(path, "[.");
	const struct option_def *o = option_find_key(path, len);
	struct config_label label;
	bool from_file = false;
	unsigned long n;

	if (o && !o->list)
		from_file = c->from_file & option_bit(o);
	if (o && o->list) {
		n = path[len] == '[' ? strtoul(path + len + 1, NULL, 10) : 0;
		from_file = n < *list_count(o->list, c) && list_item(o->list, c, n)->from_file;
	}
	if (from_file)
		snprintf(label.text, sizeof(label.text), "%s in %s", path, c->file);
	else
		snprintf(label.text, sizeof(label.text), "--%s", o ? o->name : path);
	return label;
}

int config_parse(int argc, char **argv, struct config *c, struct error *e)
{
	int ret = set_initial(c, e);

	if (!ret)
		ret = flags_parse(argv + (argc > 0), OPT_ONLY_FLAG, c, e);
	if (!ret && c->help)
		return 1;
	if (c->api_only)
		set_api_only_initial(c);
	if (!ret && c->file)
		ret = json_read_file(c->file, c, e);
	if (!ret)
		ret = flags_parse(argv + (argc > 0), 0, c, e);
	if (!ret && c->api_only)
		ret = check_api_only(c, e);
	if (!ret)
		ret = config_complete(c, e);
	/* It may stand behind what is wrong. */
	for (int i = 1; ret && i < argc; i++)
		c->json |= !strcmp(argv[i], "--json");
	return ret;
}

void config_destroy(struct config *c)
{
	for (unsigned int i = 0; i < option_count; i++) {
		const struct option_list *l = option_table[i].list;

		if (!l)
			option_free(&option_table[i], c);
		for (unsigned int n = 0; l && n < *list_count(l, c); n++) {
			for (unsigned int p = 0; p < l->nr_properties; p++)
				option_free(&l->property[p], list_item(l, c, n));
		}
	}
	for (unsigned int i = 0; i < c->nr_modules; i++)
		free(c->module[i].string);
	memset(c, 0, sizeof(*c));
}
