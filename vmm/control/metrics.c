// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a machine has counted: as JSON, and in the text format of OpenMetrics 1.0, by one table. Called by
 * control/api.c.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/internal.h"
#include "version.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Exits to the monitor, by their reason. */
static const struct {
	const char *name;
	size_t offset;
} exits[] = {
	{"pio", offsetof(struct api_stats, pio)},
	{"mmio", offsetof(struct api_stats, mmio)},
	{"emulate", offsetof(struct api_stats, emulate)},
	{"eoi", offsetof(struct api_stats, eoi)},
};

static const struct schema_member exit_members[] = {
	{"pio", SCHEMA_INTEGER, true, .help = "accesses to ports"},
	{"mmio", SCHEMA_INTEGER, true, .help = "accesses to device memory"},
	{"emulate", SCHEMA_INTEGER, true, .help = "instructions that were emulated"},
	{"eoi", SCHEMA_INTEGER, true, .help = "ends of level-triggered interrupts"},
};
static const struct schema exit_schema = {"Exits", "Exits to the monitor, of all processors",
					  exit_members, ARRAY_SIZE(exit_members), NULL};

/* Of devices, by their names there. */
static const struct {
	const char *name, *unit, *help;
} counters[] = {
	{"reads", NULL, "Requests to read."},
	{"read_bytes", "bytes", "What they were for."},
	{"writes", NULL, "Requests to write."},
	{"written_bytes", "bytes", "What they were for."},
	{"flushes", NULL, "Requests to have what was written on stable storage."},
	{"discards", NULL, "Requests to discard, or zero, a range."},
	{"errors", NULL, "Requests that the host could not do."},
};

static const struct schema_member device_members[] = {
	{"id", SCHEMA_STRING, true, .help = "of the device"},
	{"reads", SCHEMA_INTEGER, .help = "requests to read"},
	{"read_bytes", SCHEMA_INTEGER, .help = "bytes that they were for"},
	{"writes", SCHEMA_INTEGER, .help = "requests to write"},
	{"written_bytes", SCHEMA_INTEGER, .help = "bytes that they were for"},
	{"flushes", SCHEMA_INTEGER, .help = "requests to have what was written on stable storage"},
	{"discards", SCHEMA_INTEGER, .help = "requests to discard, or zero, a range"},
	{"errors", SCHEMA_INTEGER, .help = "requests that the host could not do"},
};
static const struct schema device_schema = {"Device", "What a device counted", device_members,
					    ARRAY_SIZE(device_members), NULL};

static const struct schema_member stats_members[] = {
	{"seconds", SCHEMA_NUMBER, true, .help = "since the start of the machine"},
	{"reboots", SCHEMA_INTEGER, true, .help = "resets of the machine"},
	{"exits", SCHEMA_OBJECT, true, .object = &exit_schema},
	{"devices", SCHEMA_ARRAY, true, .object = &device_schema,
	 .help = "those that count, while the machine is there"},
};
const struct schema api_stats_schema = {"Stats", "What was counted since the start", stats_members,
					ARRAY_SIZE(stats_members), NULL};

static uint64_t count(const struct api_stats *stats, size_t offset)
{
	return *(const uint64_t *)((const char *)stats + offset);
}

/* Without memory some are missing. */
static void add_count(void *to, const char *device, const char *name, uint64_t value)
{
	json_t *devices = to;
	json_t *last = json_array_get(devices, json_array_size(devices) - 1);
	const char *id = json_string_value(json_object_get(last, "id"));

	if (!id || strcmp(id, device)) {
		last = json_pack("{s:s}", "id", device);
		json_array_append_new(devices, last);
	}
	json_object_set_new(last, name, json_integer((json_int_t)value));
}

static json_t *device_array(const struct api *a)
{
	json_t *devices = json_array();

	if (devices)
		a->ops->count(a->arg, add_count, devices);
	return devices;
}

json_t *metrics_object(const struct api *a, const struct api_stats *stats)
{
	json_t *by_reason = json_object();

	for (unsigned int i = 0; i < ARRAY_SIZE(exits); i++)
		json_object_set_new(by_reason, exits[i].name,
				    json_integer((json_int_t)count(stats, exits[i].offset)));
	return json_pack("{s:f, s:I, s:o, s:o}", "seconds", stats->seconds, "reboots",
			 (json_int_t)stats->reboots, "exits", by_reason, "devices",
			 device_array(a));
}

/* A family's lines that say what it is. Its name ends with its unit, if it has one. */
static void head(FILE *out, const char *family, const char *type, const char *unit,
		 const char *help)
{
	fprintf(out, "# TYPE %s %s\n", family, type);
	if (unit)
		fprintf(out, "# UNIT %s %s\n", family, unit);
	fprintf(out, "# HELP %s %s\n", family, help);
}

/* Neither ids nor a machine's name need escapes: see the options. */
static void print_devices(FILE *out, const char *machine, json_t *devices)
{
	char family[64];
	json_t *device;
	size_t n;

	for (unsigned int i = 0; i < ARRAY_SIZE(counters) && json_array_size(devices); i++) {
		snprintf(family, sizeof(family), "hv_device_%s", counters[i].name);
		head(out, family, "counter", counters[i].unit, counters[i].help);
		json_array_foreach(devices, n, device)
		{
			json_t *value = json_object_get(device, counters[i].name);

			if (value)
				fprintf(out, "%s_total{machine=\"%s\",device=\"%s\"} %llu\n",
					family, machine,
					json_string_value(json_object_get(device, "id")),
					(unsigned long long)json_integer_value(value));
		}
	}
}

static void print(FILE *out, const struct status *status, const struct api_stats *stats,
		  json_t *devices)
{
	const char *name = status->name;

	head(out, "hv_machine", "info", NULL, "The machine and its monitor.");
	fprintf(out, "hv_machine_info{machine=\"%s\",version=\"%s\"} 1\n", name, VMM_VERSION);
	head(out, "hv_state", "stateset", NULL, "What the machine does.");
	for (unsigned int i = 0; status_names[i]; i++)
		fprintf(out, "hv_state{machine=\"%s\",hv_state=\"%s\"} %d\n", name, status_names[i],
			i == status->state);
	head(out, "hv_cpus", "gauge", NULL, "Processors of the machine.");
	fprintf(out, "hv_cpus{machine=\"%s\"} %u\n", name, status->cpus);
	head(out, "hv_memory_bytes", "gauge", "bytes", "Memory of the machine.");
	fprintf(out, "hv_memory_bytes{machine=\"%s\"} %llu\n", name,
		(unsigned long long)status->memory);
	head(out, "hv_uptime_seconds", "gauge", "seconds", "Time since the machine was started.");
	fprintf(out, "hv_uptime_seconds{machine=\"%s\"} %.3f\n", name, stats->seconds);
	head(out, "hv_reboots", "counter", NULL, "Resets of the machine.");
	fprintf(out, "hv_reboots_total{machine=\"%s\"} %llu\n", name,
		(unsigned long long)stats->reboots);
	head(out, "hv_exits", "counter", NULL, "Exits to the monitor, of all processors.");
	for (unsigned int i = 0; i < ARRAY_SIZE(exits); i++)
		fprintf(out, "hv_exits_total{machine=\"%s\",reason=\"%s\"} %llu\n", name,
			exits[i].name, (unsigned long long)count(stats, exits[i].offset));
	print_devices(out, name, devices);
	fputs("# EOF\n", out);
}

char *metrics_text(const struct api *a, const struct status *status, const struct api_stats *stats,
		   size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	json_t *devices;

	if (!out)
		return NULL;
	devices = device_array(a);
	print(out, status, stats, devices);
	json_decref(devices);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}
