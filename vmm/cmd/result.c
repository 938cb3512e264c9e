// SPDX-License-Identifier: GPL-2.0-or-later
/* From the end of a machine to what the user gets to see of it. Called by cmd/run.c. */
#include <jansson.h>

#include "cmd/cmd.h"
#include "cmd/result.h"
#include "control/errors.h"
#include "log.h"

static const struct {
	const char *reason;
	int status;
} ends[] = {
	[MACHINE_RUNNING] = {"error", STATUS_ERROR},
	[MACHINE_POWER_OFF] = {"power-off", STATUS_OK},
	[MACHINE_RESET] = {"reset", STATUS_RESET},
	[MACHINE_DEBUG_EXIT] = {"debug-exit", STATUS_OK},
	[MACHINE_CRASHED] = {"crash", STATUS_CRASHED},
	[MACHINE_FAILED] = {"error", STATUS_ERROR},
	[MACHINE_RESETS] = {"resets", STATUS_RESETS},
	[MACHINE_QUIT] = {"quit", STATUS_OK},
	[MACHINE_KILLED] = {"killed", STATUS_KILLED},
	[MACHINE_TIME_LIMIT] = {"time-limit", STATUS_TIME_LIMIT},
	[MACHINE_STOP_TIMEOUT] = {"stop-timeout", STATUS_STOP_TIMEOUT},
};

int result_status(const struct config *config, const struct machine_result *result)
{
	/* Clients of Firecracker's API have guests reset to end them. */
	if (result->end == MACHINE_RESET && config->api_only)
		return STATUS_OK;
	/* As with QEMU's isa-debug-exit; a process has eight bits for it. */
	if (result->end == MACHINE_DEBUG_EXIT)
		return (result->value << 1 | 1) & 0xff;
	return ends[result->end].status;
}

const char *result_reason(const struct machine_result *result)
{
	return ends[result->end].reason;
}

void result_say(const struct config *config, const struct machine_result *result)
{
	switch (result->end) {
	case MACHINE_CRASHED:
		log_error("the guest crashed: %s", result->text);
		break;
	case MACHINE_FAILED:
		if (result->path[0])
			log_error("%s (%s)", result->text, config_label(config, result->path).text);
		else
			log_error("%s", result->text);
		break;
	case MACHINE_RESETS:
		log_error("ended, as %s; see its console for why (--reboot-limit)", result->text);
		break;
	case MACHINE_KILLED:
		log_error("ended at once, as it was told; the guest did not power itself off");
		break;
	case MACHINE_TIME_LIMIT:
		log_error("ended by the time limit of %u seconds", config->time_limit);
		break;
	case MACHINE_STOP_TIMEOUT:
		log_error("ended, as the guest was asked to power off, and has not done so in time "
			  "(--stop-timeout): %s",
			  result->text);
		break;
	default:
		break;
	}
}

/* One line; takes the object. */
static int print_line(FILE *out, json_t *root)
{
	int ret = json_dumpf(root, out, JSON_REAL_PRECISION(6));

	if (fputc('\n', out) == EOF || fflush(out))
		ret = -1;
	json_decref(root);
	return ret;
}

int result_print_usage(FILE *out, const struct error *e)
{
	return print_line(out,
			  json_pack("{s:s, s:i, s:o}", "reason", "usage", "status", STATUS_USAGE,
				    "error", errors_object(e->code, e->path, e->text)));
}

int result_print_json(FILE *out, const struct config *config, const struct machine_result *result,
		      const struct run_totals *totals)
{
	const struct machine_exits *exits = &totals->exits;
	json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:I, s:i, s:f, s:{s:I, s:I, s:I, s:I}}",
				 "name", config->name, "reason", result_reason(result), "status",
				 result_status(config, result), "cpus", (int)config->cpus, "memory",
				 (json_int_t)config->memory, "reboots", (int)totals->reboots,
				 "seconds", totals->seconds, "exits", "pio", (json_int_t)exits->pio,
				 "mmio", (json_int_t)exits->mmio, "emulate",
				 (json_int_t)exits->emulate, "eoi", (json_int_t)exits->eoi);

	if (result->end == MACHINE_DEBUG_EXIT)
		json_object_set_new(root, "value", json_integer(result->value));
	if (result->text[0])
		json_object_set_new(root, "message", errors_text(result->text));
	if (result->code)
		json_object_set_new(root, "error",
				    errors_object(result->code, result->path, result->text));
	/* The guest's last line on the same terminal may lack its end. */
	if (out == stdout && config_has_tty(config))
		fputc('\n', out);
	return print_line(out, root);
}
