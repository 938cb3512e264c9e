// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From flags to a checked configuration. Files are not opened here: whether they
 * are there and make sense is found out, and said, by whoever reads them.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "include/uapi/hv.h"

#define DEFAULT_MEMORY (512ULL << 20)
/* What makes a Linux kernel talk on the only console there is. */
#define DEFAULT_CMDLINE "console=ttyS0"

enum option_id {
	OPT_CMDLINE = 256,
	OPT_CONSOLE,
	OPT_CPUS,
	OPT_DEBUG_EXIT,
	OPT_DISK,
	OPT_FW_CFG,
	OPT_HELP,
	OPT_INITRD,
	OPT_JSON,
	OPT_KERNEL,
	OPT_MEMORY,
	OPT_MODULE,
	OPT_NAME,
	OPT_NO_REBOOT,
	OPT_TIME_LIMIT,
	OPT_TSC_KHZ,
	OPT_VERBOSE,
};

static const struct option options[] = {
	{"cmdline", required_argument, NULL, OPT_CMDLINE},
	{"console", required_argument, NULL, OPT_CONSOLE},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"debug-exit", required_argument, NULL, OPT_DEBUG_EXIT},
	{"disk", required_argument, NULL, OPT_DISK},
	{"fw-cfg", required_argument, NULL, OPT_FW_CFG},
	{"help", no_argument, NULL, OPT_HELP},
	{"initrd", required_argument, NULL, OPT_INITRD},
	{"json", no_argument, NULL, OPT_JSON},
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"module", required_argument, NULL, OPT_MODULE},
	{"name", required_argument, NULL, OPT_NAME},
	{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
	{"time-limit", required_argument, NULL, OPT_TIME_LIMIT},
	{"tsc-khz", required_argument, NULL, OPT_TSC_KHZ},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{0},
};

static int no_memory(struct error *e)
{
	return error_set(e, ENOMEM, "out of memory");
}

static int replace(char **field, const char *value, struct error *e)
{
	char *copy = strdup(value);

	if (!copy)
		return no_memory(e);
	free(*field);
	*field = copy;
	return 0;
}

/* A whole decimal or 0x number between min and max, with nothing before or behind it. */
static int parse_number(const char *flag, const char *text, uint64_t min, uint64_t max,
			uint64_t *out, struct error *e)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	errno = 0;
	*out = strtoull(text, &end, hex ? 16 : 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || *out < min || *out > max)
		return error_set(e, EINVAL,
				 "%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
				 flag, min, max, text);
	return 0;
}

static int parse_memory(struct config *c, const char *text, struct error *e)
{
	unsigned int shift = 0;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
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
	if (!isdigit((unsigned char)text[0]) || errno || (shift ? end[1] : end[0]) ||
	    n > UINT64_MAX >> shift)
		return error_set(e, EINVAL, "--memory must be a size such as 512M or 2G, not '%s'",
				 text);
	n <<= shift;
	if (!shift && n >= CONFIG_MIN_MEMORY >> 20 && n < CONFIG_MIN_MEMORY)
		return error_set(
			e, EINVAL,
			"--memory %s is that many bytes, less than the least, 16M; did you "
			"mean %sM?",
			text, text);
	if (n < CONFIG_MIN_MEMORY || n > CONFIG_MAX_MEMORY)
		return error_set(e, ERANGE, "--memory must be from 16M to 16384G, not '%s'", text);
	if (n & 0xfff)
		return error_set(e, EINVAL, "--memory must be a multiple of 4K, not '%s'", text);
	c->memory = n;
	return 0;
}

/*
 * Cut the piece before the next comma off *rest; two commas stand for one that
 * belongs to the piece. *rest becomes NULL behind the last piece.
 */
static char *cut_piece(char **rest)
{
	char *piece = *rest, *in = piece, *out = piece;

	while (*in && (*in != ',' || in[1] == ',')) {
		in += *in == ',';
		*out++ = *in++;
	}
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return piece;
}

static int set_serial(struct config_disk *d, const char *value, struct error *e)
{
	if (!*value || strlen(value) > CONFIG_SERIAL_MAX)
		return error_set(e, EINVAL, "--disk: serial= takes 1 to %d characters, not '%s'",
				 CONFIG_SERIAL_MAX, value);
	for (const char *s = value; *s; s++) {
		if (!isgraph((unsigned char)*s))
			return error_set(e, EINVAL,
					 "--disk: serial= takes printable ASCII without blanks");
	}
	return replace(&d->serial, value, e);
}

static int set_disk_option(struct config_disk *d, char *option, struct error *e)
{
	char *value = strchr(option, '=');

	if (value)
		*value++ = '\0';
	if (value && !strcmp(option, "readonly") && (!strcmp(value, "on") || !strcmp(value, "off")))
		d->readonly = !strcmp(value, "on");
	else if (value && !strcmp(option, "readonly"))
		return error_set(e, EINVAL, "--disk: readonly= takes on or off, not '%s'", value);
	else if (value && !strcmp(option, "format") && !strcmp(value, "raw"))
		d->format_stated = true;
	else if (value && !strcmp(option, "format"))
		return error_set(e, EINVAL,
				 "--disk: format '%s' is not known, only raw; 'qemu-img convert -O "
				 "raw' makes a raw image of others",
				 value);
	else if (value && !strcmp(option, "serial"))
		return set_serial(d, value, e);
	else
		return error_set(e, EINVAL,
				 "--disk: unknown option '%s'; there are readonly=on|off, "
				 "format=raw and serial=S (a comma in a file name is written ',,')",
				 option);
	return 0;
}

static int add_disk(struct config *c, const char *text, struct error *e)
{
	struct config_disk *d = &c->disk[c->nr_disks];
	char *copy, *rest, *path;
	int ret;

	if (c->nr_disks == CONFIG_MAX_DISKS)
		return error_set(e, E2BIG, "more than %d times --disk", CONFIG_MAX_DISKS);
	copy = strdup(text);
	if (!copy)
		return no_memory(e);

	/* Counted first, so that config_destroy() finds what a failure leaves. */
	c->nr_disks++;
	rest = copy;
	path = cut_piece(&rest);
	if (*path)
		ret = replace(&d->path, path, e);
	else
		ret = error_set(e, EINVAL, "--disk needs a file: --disk FILE[,readonly=on]");
	while (!ret && rest)
		ret = set_disk_option(d, cut_piece(&rest), e);
	free(copy);
	return ret;
}

static int add_fw_cfg(struct config *c, const char *text, struct error *e)
{
	struct config_fw_cfg *f = &c->fw_cfg[c->nr_fw_cfg];
	const char *path = strchr(text, '=');

	if (c->nr_fw_cfg == CONFIG_MAX_FW_CFG)
		return error_set(e, E2BIG, "more than %d times --fw-cfg", CONFIG_MAX_FW_CFG);
	if (!path || path == text || !path[1])
		return error_set(e, EINVAL, "--fw-cfg must be NAME=FILE, not '%s'", text);

	c->nr_fw_cfg++;
	f->name = strndup(text, path - text);
	f->path = strdup(path + 1);
	return f->name && f->path ? 0 : no_memory(e);
}

static int add_module(struct config *c, const char *text, struct error *e)
{
	if (c->nr_modules == CONFIG_MAX_MODULES)
		return error_set(e, E2BIG, "more than %d times --module", CONFIG_MAX_MODULES);
	if (!*text || *text == ' ')
		return error_set(e, EINVAL, "--module must be \"FILE ARGS\", not '%s'", text);
	return replace(&c->module[c->nr_modules++], text, e);
}

static int set_console(struct config *c, const char *text, struct error *e)
{
	bool file = !strncmp(text, "file=", 5) && text[5];
	bool socket = !strncmp(text, "unix=", 5) && text[5];

	if (!file && !socket && strcmp(text, "tty") && strcmp(text, "none"))
		return error_set(e, EINVAL,
				 "--console must be tty, none, file=FILE or unix=PATH, not '%s'",
				 text);
	return replace(&c->console, text, e);
}

static int set_name(struct config *c, const char *text, struct error *e)
{
	if (!*text || strlen(text) > CONFIG_NAME_MAX)
		return error_set(e, EINVAL, "--name takes 1 to %d characters", CONFIG_NAME_MAX);
	for (const char *s = text; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return error_set(e, EINVAL,
					 "--name takes letters, digits, '-', '_' and '.', not '%s'",
					 text);
	}
	return replace(&c->name, text, e);
}

static int set_file(char **field, const char *flag, const char *text, struct error *e)
{
	if (!*text)
		return error_set(e, EINVAL, "%s needs the name of a file", flag);
	return replace(field, text, e);
}

static int apply(struct config *c, enum option_id id, const char *arg, struct error *e)
{
	uint64_t n;
	int ret;

	switch (id) {
	case OPT_CMDLINE:
		return replace(&c->cmdline, arg, e);
	case OPT_CONSOLE:
		return set_console(c, arg, e);
	case OPT_CPUS:
		ret = parse_number("--cpus", arg, 1, HV_MAX_VCPUS, &n, e);
		if (!ret)
			c->cpus = n;
		return ret;
	case OPT_DEBUG_EXIT:
		ret = parse_number("--debug-exit", arg, 0, 0xfffc, &n, e);
		if (!ret) {
			c->debug_exit = true;
			c->debug_exit_port = n;
		}
		return ret;
	case OPT_DISK:
		return add_disk(c, arg, e);
	case OPT_FW_CFG:
		return add_fw_cfg(c, arg, e);
	case OPT_HELP:
		return 1;
	case OPT_INITRD:
		return set_file(&c->initrd, "--initrd", arg, e);
	case OPT_JSON:
		c->json = true;
		return 0;
	case OPT_KERNEL:
		return set_file(&c->kernel, "--kernel", arg, e);
	case OPT_MEMORY:
		return parse_memory(c, arg, e);
	case OPT_MODULE:
		return add_module(c, arg, e);
	case OPT_NAME:
		return set_name(c, arg, e);
	case OPT_NO_REBOOT:
		c->no_reboot = true;
		return 0;
	case OPT_TIME_LIMIT:
		ret = parse_number("--time-limit", arg, 1, INT_MAX, &n, e);
		if (!ret)
			c->time_limit = n;
		return ret;
	case OPT_TSC_KHZ:
		ret = parse_number("--tsc-khz", arg, HV_TSC_KHZ_MIN, HV_TSC_KHZ_MAX, &n, e);
		if (!ret)
			c->tsc_khz = n;
		return ret;
	case OPT_VERBOSE:
		c->verbose = true;
		return 0;
	}
	return 0;
}

static int set_defaults(struct config *c, struct error *e)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->cpus = 1;
	c->memory = DEFAULT_MEMORY;
	ret = replace(&c->name, "vm", e);
	if (!ret)
		ret = replace(&c->cmdline, DEFAULT_CMDLINE, e);
	if (!ret)
		ret = replace(&c->console, "tty", e);
	return ret;
}

/* What getopt_long() did not like; optopt says which kind it was. */
static int bad_flag(const char *word, struct error *e)
{
	if (optopt >= OPT_CMDLINE)
		return error_set(e, EINVAL, "%.*s takes no value", (int)strcspn(word, "="), word);
	if (optopt)
		return error_set(e, EINVAL, "unknown flag -%c", optopt);
	return error_set(e, EINVAL, "unknown flag %s", word);
}

static int parse_flags(int argc, char **argv, struct config *c, struct error *e)
{
	int id, ret;

	/* Zero makes glibc's getopt start afresh; the colon keeps it from printing. */
	optind = 0;
	while ((id = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
		if (id == ':')
			return error_set(e, EINVAL, "%s needs a value", argv[optind - 1]);
		if (id == '?')
			return bad_flag(argv[optind - 1], e);
		ret = apply(c, id == 'h' ? OPT_HELP : (enum option_id)id, optarg, e);
		if (ret)
			return ret;
	}
	if (optind < argc)
		return error_set(e, EINVAL,
				 "'%s' is not a flag: files are given as --kernel FILE, "
				 "--disk FILE and so on",
				 argv[optind]);
	return 0;
}

int config_parse(int argc, char **argv, struct config *c, struct error *e)
{
	int ret = set_defaults(c, e);

	if (!ret)
		ret = parse_flags(argc, argv, c, e);
	if (!ret && !c->kernel)
		ret = error_set(e, EINVAL, "--kernel FILE is needed: what shall the machine run?");
	if (!ret && c->initrd && c->nr_modules)
		ret = error_set(e, EINVAL,
				"--initrd and --module cannot be used together: --module "
				"is for Multiboot kernels, which take no initrd");
	return ret;
}

void config_destroy(struct config *c)
{
	free(c->name);
	free(c->kernel);
	free(c->initrd);
	free(c->cmdline);
	free(c->console);
	for (unsigned int i = 0; i < c->nr_modules; i++)
		free(c->module[i]);
	for (unsigned int i = 0; i < c->nr_disks; i++) {
		free(c->disk[i].path);
		free(c->disk[i].serial);
	}
	for (unsigned int i = 0; i < c->nr_fw_cfg; i++) {
		free(c->fw_cfg[i].name);
		free(c->fw_cfg[i].path);
	}
	memset(c, 0, sizeof(*c));
}
