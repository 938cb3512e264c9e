// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Firecracker's resources, for its clients: a machine is described by PUT and PATCH, started by an action, and then
 * paused and resumed. They are other names for our own: what a field says is kept in struct config, by the row of the
 * table of options that it is of, and what is done is of struct api_ops. Called by control/api.c.
 *
 * What is not struct config's, as nothing of the machine depends on it, is kept here to be told again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/option.h"
#include "control/errors.h"
#include "control/internal.h"
#include "log.h"
#include "resource.h"
#include "version.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIB	      (1ULL << 20)

/* What is known of a disk beside its struct config_disk, which has the same place in its list. */
struct drive {
	bool is_root;
	char *partuuid; /* NULL: none */
	unsigned int cache_type, io_engine;
};

struct firecracker {
	struct config *config;
	char *boot_args; /* without what is added for a root device */
	struct drive drive[CONFIG_MAX_DISKS];
	json_t *logger, *metrics; /* as they came; NULL: never */
	int metrics_fd;
};

/* ------------------------------------------------------------------------- */
/* Schemas                                                                    */

#define MEMBERS(table) .member = (table), .nr_members = ARRAY_SIZE(table)

/* It has three of our states. */
static const char *const instance_states[] = {"Not started", "Running", "Paused", NULL};

static const char *state_word(enum status_state state)
{
	if (state == STATE_CREATED || state == STATE_STARTING)
		return instance_states[0];
	return instance_states[state == STATE_PAUSED ? 2 : 1];
}

static const struct schema_member instance_members[] = {
	{"app_name", SCHEMA_STRING, true, .help = "the monitor"},
	{"id", SCHEMA_STRING, true, .help = "the machine's name"},
	{"state", SCHEMA_STRING, true, .choices = instance_states, .help = "what it does"},
	{"vmm_version", SCHEMA_STRING, true, .help = "of the monitor"},
};
static const struct schema instance_schema = {"InstanceInfo", "What answers",
					      MEMBERS(instance_members)};

static const struct schema_member version_members[] = {
	{"firecracker_version", SCHEMA_STRING, true, .help = "of the monitor, which is vmm"},
};
static const struct schema version_schema = {"FirecrackerVersion", "What version answers",
					     MEMBERS(version_members)};

static const char *const cpu_templates[] = {"None", NULL};
static const char *const huge_pages[] = {"None", "Transparent", NULL};

/* The first two are required by PUT, and by PATCH they are not. */
#define MACHINE_MEMBERS(required)                                                                  \
	{"vcpu_count", SCHEMA_INTEGER, required, .help = "processors"},                            \
		{"mem_size_mib", SCHEMA_INTEGER, required, .help = "memory, in MiB"},              \
		{"smt", SCHEMA_BOOL, .support = SCHEMA_FALSE_ONLY, .help = "threads of one core"}, \
		{"track_dirty_pages", SCHEMA_BOOL, .support = SCHEMA_FALSE_ONLY,                   \
		 .help = "a log of written pages, for snapshots"},                                 \
		{"cpu_template", SCHEMA_STRING, .choices = cpu_templates,                          \
		 .help = "what to hide of the processor"},                                         \
	{                                                                                          \
		"huge_pages", SCHEMA_STRING, .choices = huge_pages,                                \
					     .help = "large pages are asked for in either case"    \
	}
static const struct schema_member machine_members[] = {MACHINE_MEMBERS(true)};
static const struct schema machine_schema = {"MachineConfiguration", "Processors and memory",
					     MEMBERS(machine_members)};
static const struct schema_member machine_patch_members[] = {MACHINE_MEMBERS(false)};
static const struct schema machine_patch_schema = {
	"PartialMachineConfiguration", "What is to change", MEMBERS(machine_patch_members)};

static const struct schema_member boot_members[] = {
	{"kernel_image_path", SCHEMA_STRING, true, .help = "the kernel, as --kernel takes it"},
	{"initrd_path", SCHEMA_STRING, .help = "the initial RAM disk"},
	{"boot_args", SCHEMA_STRING, .help = "the kernel's command line"},
};
static const struct schema boot_schema = {"BootSource", "What to start", MEMBERS(boot_members)};

static const char *const cache_types[] = {"Unsafe", "Writeback", NULL};
static const char *const io_engines[] = {"Sync", "Async", NULL};

static const struct schema_member drive_members[] = {
	{"drive_id", SCHEMA_STRING, true, .help = "as in the path"},
	{"path_on_host", SCHEMA_STRING, true, .help = "the image, or the block device"},
	{"is_root_device", SCHEMA_BOOL, true,
	 .help = "the kernel is told that its root is there, by what is added to boot_args"},
	{"is_read_only", SCHEMA_BOOL, .help = "the guest can read it only"},
	{"partuuid", SCHEMA_STRING, .min = 1, .max = 64,
	 .help = "of a root device: the partition that the root is on"},
	{"cache_type", SCHEMA_STRING, .choices = cache_types,
	 .help = "what the guest flushes is on stable storage in either case"},
	{"io_engine", SCHEMA_STRING, .choices = io_engines,
	 .help = "the best that the host has is used in either case"},
	{"rate_limiter", SCHEMA_OBJECT, .support = SCHEMA_UNSUPPORTED},
	{"socket", SCHEMA_STRING, .support = SCHEMA_UNSUPPORTED},
};
static const struct schema drive_schema = {"Drive", "A disk", MEMBERS(drive_members)};

static const struct schema_member drive_patch_members[] = {
	{"drive_id", SCHEMA_STRING, true, .help = "as in the path"},
	{"path_on_host", SCHEMA_STRING, true, .help = "another image, or block device"},
	{"rate_limiter", SCHEMA_OBJECT, .support = SCHEMA_UNSUPPORTED},
};
static const struct schema drive_patch_schema = {"PartialDrive", "What is to change",
						 MEMBERS(drive_patch_members)};

static const char *const actions[] = {"InstanceStart", "SendCtrlAltDel", "FlushMetrics", NULL};
static const struct schema_member action_members[] = {
	{"action_type", SCHEMA_STRING, true, .choices = actions, .help = "what to do"},
};
static const struct schema action_schema = {"InstanceActionInfo", "An action",
					    MEMBERS(action_members)};

static const char *const vm_states[] = {"Paused", "Resumed", NULL};
static const struct schema_member vm_members[] = {
	{"state", SCHEMA_STRING, true, .choices = vm_states, .help = "what it shall be"},
};
static const struct schema vm_schema = {"Vm", "Whether the machine runs", MEMBERS(vm_members)};

static const struct schema_member logger_members[] = {
	{"log_path", SCHEMA_STRING,
	 .help = "a file or a named pipe, for what is said on standard error"},
	{"level", SCHEMA_STRING,
	 .help = "Debug and Trace: more is said, as with --verbose; others change nothing"},
	{"show_level", SCHEMA_BOOL, .help = "changes nothing: there are no levels"},
	{"show_log_origin", SCHEMA_BOOL, .help = "changes nothing"},
	{"module", SCHEMA_STRING, .support = SCHEMA_UNSUPPORTED},
};
static const struct schema logger_schema = {"Logger", "Where messages go", MEMBERS(logger_members)};

static const struct schema_member metrics_members[] = {
	{"metrics_path", SCHEMA_STRING, true,
	 .help = "a file or a named pipe: a line of what /stats says for each FlushMetrics, and at the end"},
};
static const struct schema metrics_schema = {"Metrics", "Where counters go",
					     MEMBERS(metrics_members)};

static const struct schema_member entropy_members[] = {
	{"rate_limiter", SCHEMA_OBJECT, .support = SCHEMA_UNSUPPORTED},
};
static const struct schema entropy_schema = {
	"EntropyDevice", "The source of random numbers, which every machine has",
	MEMBERS(entropy_members)};

static const struct schema_member config_members[] = {
	{"boot-source", SCHEMA_OBJECT, .object = &boot_schema},
	{"drives", SCHEMA_ARRAY, true, .object = &drive_schema, .help = "disks"},
	{"machine-config", SCHEMA_OBJECT, true, .object = &machine_schema},
	{"logger", SCHEMA_OBJECT, .object = &logger_schema},
	{"metrics", SCHEMA_OBJECT, .object = &metrics_schema},
};
static const struct schema config_schema = {"FullVmConfiguration", "All that was said",
					    MEMBERS(config_members)};

/* ------------------------------------------------------------------------- */
/* Values                                                                     */

static int no_memory(struct error *e)
{
	return error_set(e, ENOMEM, "out of memory");
}

static int answer(struct api_call *c, json_t *object, struct error *e)
{
	c->answer = object;
	return object ? 0 : no_memory(e);
}

static const struct option_def *option(const char *name)
{
	return option_find(name, strlen(name));
}

static const struct option_def *disk_property(const char *name)
{
	return option_find_property(option("disk")->list, name, strlen(name));
}

/* As a flag would say it; a failure names the field. */
static int set(const struct option_def *o, void *base, const char *field, const char *text,
	       struct error *e)
{
	int ret = option_set(o, base, text, e);
	struct error old = *e;

	return ret ? error_set_at(e, -ret, field, "%s %s", field, old.text) : 0;
}

static const char *text_of(const json_t *body, const char *field)
{
	return json_string_value(json_object_get(body, field));
}

/* The index of a text among choices, which it is one of; 0 for NULL. */
static unsigned int index_of(const char *const *choices, const char *text)
{
	unsigned int i = 0;

	while (text && strcmp(choices[i], text))
		i++;
	return i;
}

/* The old one is freed, the new one taken. */
static void replace(char **old, char *new)
{
	free(*old);
	*old = new;
}

/* A member, if there is a text for it. */
static int put_text(json_t *object, const char *field, const char *text)
{
	return text ? json_object_set_new(object, field, errors_text(text)) : 0;
}

/* ------------------------------------------------------------------------- */
/* The instance                                                               */

static int get_instance(struct api *a, struct api_call *c, struct error *e)
{
	struct status s;

	a->ops->status(a->arg, &s);
	return answer(c,
		      json_pack("{s:s, s:s, s:s, s:s}", "app_name", "vmm", "id", s.name, "state",
				state_word(s.state), "vmm_version", VMM_VERSION),
		      e);
}

static int get_version(struct api *a, struct api_call *c, struct error *e)
{
	(void)a;
	return answer(c, json_pack("{s:s}", "firecracker_version", VMM_VERSION), e);
}

/* ------------------------------------------------------------------------- */
/* Processors and memory                                                      */

static json_t *machine_object(const struct config *config)
{
	return json_pack("{s:i, s:I, s:b, s:b, s:s, s:s}", "vcpu_count", (int)config->cpus,
			 "mem_size_mib", (json_int_t)(config->memory / MIB), "smt", 0,
			 "track_dirty_pages", 0, "cpu_template", "None", "huge_pages", "None");
}

static int get_machine(struct api *a, struct api_call *c, struct error *e)
{
	return answer(c, machine_object(a->config), e);
}

static int take_number(struct config *next, const json_t *body, const char *field, const char *name,
		       const char *unit, struct error *e)
{
	const json_t *value = json_object_get(body, field);
	char text[32];

	if (!value)
		return 0;
	snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "%s", json_integer_value(value), unit);
	return set(option(name), next, field, text, e);
}

/* All of it, or nothing. */
static int put_machine(struct api *a, struct api_call *c, struct error *e)
{
	struct config *config = a->firecracker->config, next = *config;
	int ret = take_number(&next, c->body, "vcpu_count", "cpus", "", e);

	if (!ret)
		ret = take_number(&next, c->body, "mem_size_mib", "memory", "M", e);
	if (ret)
		return ret;
	config->cpus = next.cpus;
	config->memory = next.memory;
	return 0;
}

static int patch_machine(struct api *a, struct api_call *c, struct error *e)
{
	if (!json_object_size(c->body))
		return error_set(e, EINVAL, "the body says nothing that is to change");
	return put_machine(a, c, e);
}

/* ------------------------------------------------------------------------- */
/* What it boots                                                              */

static json_t *boot_object(const struct firecracker *f)
{
	json_t *o = json_object();

	if (!put_text(o, "kernel_image_path", f->config->kernel) &&
	    !put_text(o, "initrd_path", f->config->initrd) &&
	    !put_text(o, "boot_args", f->boot_args))
		return o;
	json_decref(o);
	return NULL;
}

static int put_boot(struct api *a, struct api_call *c, struct error *e)
{
	const char *kernel = text_of(c->body, "kernel_image_path");
	const char *initrd = text_of(c->body, "initrd_path");
	const char *boot_args = text_of(c->body, "boot_args");
	struct firecracker *f = a->firecracker;
	/* The strings alone, so that a failure changes nothing. */
	struct config next = {0};
	int ret = set(option("kernel"), &next, "kernel_image_path", kernel, e);

	if (!ret && initrd)
		ret = set(option("initrd"), &next, "initrd_path", initrd, e);
	if (!ret)
		ret = set(option("cmdline"), &next, "boot_args",
			  boot_args ? boot_args : option("cmdline")->initial, e);
	if (ret) {
		free(next.kernel);
		free(next.initrd);
		return ret;
	}
	replace(&f->config->kernel, next.kernel);
	replace(&f->config->initrd, next.initrd);
	replace(&f->boot_args, next.cmdline);
	return 0;
}

/* Where the word stands among words that blanks part; NULL: it does not. */
static const char *find_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t n = strcspn(text, " ");

		if (n == len && !memcmp(text, word, n))
			return text;
		text += n;
	}
	return NULL;
}

/* A kernel is told where its root is, before what is for its init alone ("--"). */
static int set_cmdline(struct firecracker *f, struct error *e)
{
	const struct drive *d = &f->drive[0];
	const char *end = find_word(f->boot_args, "--");
	size_t len = end ? (size_t)(end - f->boot_args) : strlen(f->boot_args);
	char root[128] = "", *text;
	size_t size;
	int ret;

	if (f->config->nr_disks && d->is_root)
		snprintf(root, sizeof(root), "%sroot=%s%s %s%s",
			 len && f->boot_args[len - 1] != ' ' ? " " : "",
			 d->partuuid ? "PARTUUID=" : "/dev/vda", d->partuuid ? d->partuuid : "",
			 f->config->disk[0].readonly ? "ro" : "rw", end ? " " : "");
	size = strlen(f->boot_args) + sizeof(root);
	text = malloc(size);
	if (!text)
		return no_memory(e);
	snprintf(text, size, "%.*s%s%s", (int)len, f->boot_args, root, f->boot_args + len);
	ret = set(option("cmdline"), f->config, "boot_args", text, e);
	free(text);
	return ret;
}

/* ------------------------------------------------------------------------- */
/* Disks                                                                      */

static json_t *drive_object(const struct firecracker *f, unsigned int n)
{
	const struct config_disk *disk = &f->config->disk[n];
	const struct drive *d = &f->drive[n];
	json_t *o = json_pack("{s:s, s:o, s:b, s:b, s:s, s:s}", "drive_id", disk->item.id,
			      "path_on_host", errors_text(disk->path), "is_root_device", d->is_root,
			      "is_read_only", disk->readonly, "cache_type",
			      cache_types[d->cache_type], "io_engine", io_engines[d->io_engine]);

	if (!put_text(o, "partuuid", d->partuuid))
		return o;
	json_decref(o);
	return NULL;
}

static void free_drive(struct firecracker *f, unsigned int n)
{
	const struct option_list *l = option("disk")->list;

	for (unsigned int i = 0; i < l->nr_properties; i++)
		option_free(&l->property[i], &f->config->disk[n]);
	free(f->drive[n].partuuid);
}

/* Its place in the list; nr_disks: it is not there. */
static unsigned int find_drive(const struct firecracker *f, const char *id)
{
	unsigned int n = 0;

	while (n < f->config->nr_disks && strcmp(f->config->disk[n].item.id, id))
		n++;
	return n;
}

/* A root device is /dev/vda. */
static void move_to_front(struct firecracker *f, unsigned int n)
{
	struct config_disk disk = f->config->disk[n];
	struct drive d = f->drive[n];

	memmove(&f->config->disk[1], &f->config->disk[0], n * sizeof(disk));
	memmove(&f->drive[1], &f->drive[0], n * sizeof(d));
	f->config->disk[0] = disk;
	f->drive[0] = d;
}

/* What path and body say has to be the same; *n is its place, or where there is one for it. */
static int place_drive(const struct firecracker *f, const struct api_call *c, unsigned int *n,
		       struct error *e)
{
	const char *id = text_of(c->body, "drive_id");

	if (strcmp(id, c->parameter))
		return error_set_at(e, EINVAL, "drive_id",
				    "drive_id '%s' is not the '%s' of the path", id, c->parameter);
	*n = find_drive(f, id);
	return 0;
}

static int read_drive(const json_t *body, struct config_disk *disk, struct drive *d,
		      struct error *e)
{
	const char *partuuid = text_of(body, "partuuid");
	int ret =
		set(disk_property("path"), disk, "path_on_host", text_of(body, "path_on_host"), e);

	if (!ret)
		ret = set(disk_property("id"), disk, "drive_id", text_of(body, "drive_id"), e);
	if (ret)
		return ret;
	disk->readonly = json_is_true(json_object_get(body, "is_read_only"));
	d->is_root = json_is_true(json_object_get(body, "is_root_device"));
	d->cache_type = index_of(cache_types, text_of(body, "cache_type"));
	d->io_engine = index_of(io_engines, text_of(body, "io_engine"));
	if (!partuuid || !d->is_root)
		return 0;
	/* It becomes a word of the kernel's. */
	if (partuuid[strspn(partuuid, "0123456789abcdefABCDEF-")])
		return error_set_at(e, EINVAL, "partuuid",
				    "partuuid takes hexadecimal digits and '-', not '%s'",
				    partuuid);
	d->partuuid = strdup(partuuid);
	return d->partuuid ? 0 : no_memory(e);
}

static int put_drive(struct api *a, struct api_call *c, struct error *e)
{
	struct firecracker *f = a->firecracker;
	struct config_disk disk = {0};
	struct drive d = {0};
	unsigned int n;
	int ret = place_drive(f, c, &n, e);

	if (!ret && n == CONFIG_MAX_DISKS)
		ret = error_set(e, E2BIG, "a machine has %d drives at most", CONFIG_MAX_DISKS);
	if (!ret)
		ret = read_drive(c->body, &disk, &d, e);
	if (!ret && d.is_root && n && f->drive[0].is_root)
		ret = error_set_at(e, EEXIST, "is_root_device",
				   "there is a root device already: '%s'",
				   f->config->disk[0].item.id);
	if (ret) {
		free(disk.path);
		free(disk.item.id);
		free(d.partuuid);
		return ret;
	}
	if (n < f->config->nr_disks)
		free_drive(f, n);
	else
		f->config->nr_disks++;
	f->config->disk[n] = disk;
	f->drive[n] = d;
	if (d.is_root)
		move_to_front(f, n);
	return 0;
}

static int patch_drive(struct api *a, struct api_call *c, struct error *e)
{
	struct firecracker *f = a->firecracker;
	unsigned int n;
	int ret = place_drive(f, c, &n, e);

	if (!ret && n == f->config->nr_disks)
		ret = error_set(e, ENOENT, "there is no drive '%s'", c->parameter);
	return ret ? ret
		   : set(disk_property("path"), &f->config->disk[n], "path_on_host",
			 text_of(c->body, "path_on_host"), e);
}

/*
 * Firecracker's clients say "pci=off", for its disks are not on that bus: then ours are not either, as many as can be
 * elsewhere. Addresses are given anew, in the order of the list.
 */
static void place_drives(struct firecracker *f)
{
	bool elsewhere = find_word(f->boot_args, "pci=off");
	unsigned int room = CONFIG_MAX_MMIO - (f->config->rng_transport == TRANSPORT_MMIO);

	for (unsigned int n = 0; n < f->config->nr_disks; n++) {
		f->config->disk[n].addr = 0;
		f->config->disk[n].transport =
			elsewhere && n < room ? TRANSPORT_MMIO : TRANSPORT_PCI;
	}
}

/* ------------------------------------------------------------------------- */
/* Everything                                                                 */

static json_t *drives_array(const struct firecracker *f)
{
	json_t *array = json_array();

	for (unsigned int n = 0; n < f->config->nr_disks; n++) {
		if (json_array_append_new(array, drive_object(f, n))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int get_config(struct api *a, struct api_call *c, struct error *e)
{
	const struct firecracker *f = a->firecracker;
	json_t *o = json_pack("{s:o, s:o}", "drives", drives_array(f), "machine-config",
			      machine_object(f->config));
	int ret = 0;

	if (f->config->kernel)
		ret = json_object_set_new(o, "boot-source", boot_object(f));
	if (!ret && f->logger)
		ret = json_object_set(o, "logger", f->logger);
	if (!ret && f->metrics)
		ret = json_object_set(o, "metrics", f->metrics);
	if (ret) {
		json_decref(o);
		o = NULL;
	}
	return answer(c, o, e);
}

/* ------------------------------------------------------------------------- */
/* Messages and counters                                                      */

/* A pipe needs no reader: it is open both ways. */
static int open_output(const char *field, const char *path, struct error *e)
{
	int fd = resource_open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, 0600);

	return fd >= 0 ? fd
		       : error_set_at(e, errno, field, "%s: cannot open '%s': %s", field, path,
				      strerror(errno));
}

static void keep(json_t **kept, const json_t *body)
{
	json_decref(*kept);
	*kept = json_copy((json_t *)body);
}

static int put_logger(struct api *a, struct api_call *c, struct error *e)
{
	static const char *const levels[] = {"off",  "error", "warning", "warn",
					     "info", "debug", "trace",	 NULL};
	const char *path = text_of(c->body, "log_path"), *level = text_of(c->body, "level");
	unsigned int n = 0;
	int fd;

	while (level && levels[n] && strcasecmp(levels[n], level))
		n++;
	if (!levels[n])
		return error_set_at(
			e, EINVAL, "level",
			"level must be one of Off, Error, Warning, Info, Debug and Trace");
	if (path) {
		fd = open_output("log_path", path, e);
		if (fd < 0)
			return fd;
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	if (level)
		log_set_verbose(!strcasecmp(level, "debug") || !strcasecmp(level, "trace"));
	keep(&a->firecracker->logger, c->body);
	return 0;
}

static int put_metrics(struct api *a, struct api_call *c, struct error *e)
{
	struct firecracker *f = a->firecracker;
	int fd;

	if (f->metrics_fd >= 0)
		return error_set(e, EEXIST, "metrics have a file already");
	fd = open_output("metrics_path", text_of(c->body, "metrics_path"), e);
	if (fd < 0)
		return fd;
	f->metrics_fd = fd;
	keep(&f->metrics, c->body);
	return 0;
}

static int flush_metrics(struct api *a, struct error *e)
{
	struct firecracker *f = a->firecracker;
	struct api_stats stats;
	ssize_t n = -1;
	json_t *object;
	size_t len = 0;
	char *text;

	if (f->metrics_fd < 0)
		return error_set(e, EINVAL, "there is no file for metrics: PUT /metrics names one");
	a->ops->stats(a->arg, &stats);
	object = metrics_object(a, &stats);
	text = api_dump(object, &len);
	json_decref(object);
	if (text)
		n = write(f->metrics_fd, text, len);
	free(text);
	if (!text)
		return no_memory(e);
	return n == (ssize_t)len
		       ? 0
		       : error_set(e, n < 0 ? errno : ENOSPC, "metrics cannot be written: %s",
				   strerror(n < 0 ? errno : ENOSPC));
}

static int put_entropy(struct api *a, struct api_call *c, struct error *e)
{
	(void)a;
	(void)c;
	(void)e;
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Actions                                                                    */

static int is_started(struct api *a, struct error *e)
{
	struct status s;

	a->ops->status(a->arg, &s);
	if (s.state == STATE_CREATED)
		return error_set(e, EBUSY, "the machine is not started yet");
	return 0;
}

/* It is answered when the machine runs, or does not: api_started(). */
static int start(struct api *a, struct api_call *c, struct error *e)
{
	struct firecracker *f = a->firecracker;
	int ret;

	if (!is_started(a, e))
		return error_set(e, EBUSY, "the machine is started already");
	if (!f->config->kernel)
		return error_set(e, EINVAL, "there is no kernel: PUT /boot-source names one");
	place_drives(f);
	ret = set_cmdline(f, e);
	if (!ret)
		ret = config_complete(f->config, e);
	if (!ret)
		ret = a->ops->start(a->arg, e);
	c->later = !ret;
	return ret;
}

static int put_action(struct api *a, struct api_call *c, struct error *e)
{
	const char *type = text_of(c->body, "action_type");
	int ret;

	if (!strcmp(type, "InstanceStart"))
		return start(a, c, e);
	if (!strcmp(type, "FlushMetrics"))
		return flush_metrics(a, e);
	ret = is_started(a, e);
	return ret ? ret : a->ops->power_button(a->arg, e);
}

static int patch_vm(struct api *a, struct api_call *c, struct error *e)
{
	int ret = is_started(a, e);

	if (ret)
		return ret;
	return strcmp(text_of(c->body, "state"), "Paused") ? a->ops->resume(a->arg, e)
							   : a->ops->pause(a->arg, e);
}

/* ------------------------------------------------------------------------- */
/* The table                                                                  */

const struct api_row firecracker_rows[] = {
	{"GET", "/", API_JSON, .answer = &instance_schema, .call = get_instance,
	 .help = "What answers, and what the machine does"},
	{"GET", "/version", API_JSON, .answer = &version_schema, .call = get_version,
	 .help = "The monitor's version"},
	{"GET", "/vm/config", API_JSON, .answer = &config_schema, .call = get_config,
	 .help = "All that was said of the machine"},
	{"GET", "/machine-config", API_JSON, .answer = &machine_schema, .call = get_machine,
	 .help = "Its processors and memory"},
	{"PUT", "/machine-config", API_NOTHING, .body = &machine_schema, .call = put_machine,
	 .before_start = true, .help = "Say its processors and memory"},
	{"PATCH", "/machine-config", API_NOTHING, .body = &machine_patch_schema,
	 .call = patch_machine, .before_start = true, .help = "Change some of that"},
	{"PUT", "/boot-source", API_NOTHING, .body = &boot_schema, .call = put_boot,
	 .before_start = true, .help = "Say what it boots"},
	{"PUT", "/drives/{drive_id}", API_NOTHING, .body = &drive_schema, .call = put_drive,
	 .before_start = true, .help = "Say a disk, or say it anew"},
	{"PATCH", "/drives/{drive_id}", API_NOTHING, .body = &drive_patch_schema,
	 .call = patch_drive, .before_start = true, .help = "Change a disk's image"},
	{"PUT", "/entropy", API_NOTHING, .body = &entropy_schema, .call = put_entropy,
	 .before_start = true, .help = "Ask for random numbers, which every machine has"},
	{"PUT", "/logger", API_NOTHING, .body = &logger_schema, .call = put_logger,
	 .before_start = true, .help = "Say where messages go"},
	{"PUT", "/metrics", API_NOTHING, .body = &metrics_schema, .call = put_metrics,
	 .before_start = true, .help = "Say where counters go"},
	{"PUT", "/actions", API_NOTHING, .body = &action_schema, .call = put_action,
	 .help = "Start the machine, press its power button, or write the counters"},
	{"PATCH", "/vm", API_NOTHING, .body = &vm_schema, .call = patch_vm,
	 .help = "Have it stand still, and go on"},
};

const unsigned int firecracker_nr_rows = ARRAY_SIZE(firecracker_rows);

bool firecracker_knows(const char *path)
{
	static const char *const unsupported[] = {
		"/balloon", "/cpu-config", "/hotplug",	"/mmds",  "/network-interfaces",
		"/pmem",    "/serial",	   "/snapshot", "/vsock",
	};

	for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++) {
		size_t len = strlen(unsupported[i]);

		if (!strncmp(path, unsupported[i], len) && (!path[len] || path[len] == '/'))
			return true;
	}
	return false;
}

struct firecracker *firecracker_create(struct config *config)
{
	struct firecracker *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->config = config;
	f->metrics_fd = -1;
	f->boot_args = strdup(config->cmdline);
	if (f->boot_args)
		return f;
	free(f);
	return NULL;
}

void firecracker_destroy(struct api *a)
{
	struct firecracker *f = a->firecracker;
	struct error e;

	if (!f)
		return;
	if (f->metrics_fd >= 0 && flush_metrics(a, &e))
		log_error("%s", e.text);
	if (f->metrics_fd >= 0)
		close(f->metrics_fd);
	/* The disks are the configuration's. */
	for (unsigned int n = 0; n < CONFIG_MAX_DISKS; n++)
		free(f->drive[n].partuuid);
	json_decref(f->logger);
	json_decref(f->metrics);
	free(f->boot_args);
	free(f);
}
