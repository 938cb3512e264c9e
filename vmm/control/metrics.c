// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a machine has counted: as JSON, and in the text format of OpenMetrics 1.0, by one table. Called by
 * control/api.c.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

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

static const struct schema_member stats_members[] = {
	{"seconds", SCHEMA_NUMBER, true, .help = "since the start of the machine"},
	{"reboots", SCHEMA_INTEGER, true, .help = "resets of the machine"},
	{"exits", SCHEMA_OBJECT, true, .object = &exit_schema},
};
const struct schema api_stats_schema = {"Stats", "What was counted since the start", stats_members,
					ARRAY_SIZE(stats_members), NULL};

static uint64_t count(const struct api_stats *stats, size_t offset)
{
	return *(const uint64_t *)((const char *)stats + offset);
}

json_t *metrics_object(const struct api_stats *stats)
{
	json_t *by_reason = json_object();

	for (unsigned int i = 0; i < ARRAY_SIZE(exits); i++)
		json_object_set_new(by_reason, exits[i].name,
				    json_integer((json_int_t)count(stats, exits[i].offset)));
	return json_pack("{s:f, s:I, s:o}", "seconds", stats->seconds, "reboots",
			 (json_int_t)stats->reboots, "exits", by_reason);
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

/* A machine's name needs no escapes: see the options. */
static void print(FILE *out, const struct status *status, const struct api_stats *stats)
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
	fputs("# EOF\n", out);
}

char *metrics_text(const struct status *status, const struct api_stats *stats, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	print(out, status, stats);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}
