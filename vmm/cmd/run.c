// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm run": one machine in the foreground, or with --detach in the background. Reads the
 * configuration, has the session run it, and tells how it ended. Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chardev/terminal.h"
#include "cmd/cmd.h"
#include "cmd/dump.h"
#include "cmd/home.h"
#include "cmd/result.h"
#include "cmd/session.h"
#include "config/config.h"
#include "host/process.h"
#include "log.h"
#include "resource.h"
#include "thread.h"

static void print_help(void)
{
	fputs("vmm run - run a virtual machine\n"
	      "\n"
	      "Usage: vmm run --kernel FILE [FLAGS]\n"
	      "       vmm run --config FILE [FLAGS]\n"
	      "\n",
	      stdout);
	config_print_flags(stdout);
	fputs("Of a flag that is not repeatable the last one counts.\n"
	      "SIGTERM, SIGINT or SIGHUP presses the power button, a second one ends the machine.\n"
	      "\n"
	      "Exit status:\n"
	      "   0  the guest powered off, or you left\n"
	      "   1  host or configuration error\n"
	      "   2  wrong usage\n"
	      "   3  the guest crashed\n"
	      "   6  it reset the machine, and --no-reboot is given\n"
	      "   8  it resets the machine again and again: --reboot-limit\n"
	      "  10  --time-limit\n"
	      "  12  it was asked to power off, and did not in time: --stop-timeout\n"
	      "  14  a second signal, or 'vmm kill'\n"
	      "\n"
	      "Examples:\n"
	      "  vmm run --kernel vmlinuz --initrd initrd.img --memory 1G --cpus 2\n"
	      "  vmm run --kernel vmlinuz --initrd initrd.img --disk debian.img \\\n"
	      "          --cmdline 'console=ttyS0 root=/dev/vda rw'\n"
	      "  vmm run --kernel test.elf --debug-exit 0xf4 --console file=log --json\n",
	      stdout);
}

/* Where the result goes; NULL: nowhere. It is opened before there is one, or a machine that could not tell. */
static int open_result(const struct config *config, FILE **out, struct error *e)
{
	int fd;

	*out = config->json ? stdout : NULL;
	if (!config->json_to)
		return 0;
	/* O_APPEND: the sandbox takes it for a file that grows. */
	fd = resource_open(config->json_to, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	*out = fd < 0 ? NULL : fdopen(fd, "a");
	return *out ? 0
		    : error_set(e, errno, "cannot write the result to '%s' (--json-to): %s",
				config->json_to, strerror(errno));
}

/* 0, or the status when it could not be written; of standard output main() says so. */
static int close_result(FILE *out, int printed, int status)
{
	bool failed = printed < 0;

	if (out == stdout)
		failed = failed && !ferror(stdout);
	else
		failed |= fclose(out) != 0;
	if (!failed)
		return status;
	log_error("the result could not be written: %s", strerror(errno));
	return status ? status : STATUS_ERROR;
}

static int run(struct config *config, struct home *home, FILE *out)
{
	struct machine_result result;
	struct run_totals totals = {0};

	log_set_verbose(config->verbose);
	thread_set_machine(config->name);
	thread_begin("vmm");
	/* A raw terminal must not outlive us, whatever ends us. */
	process_set_fatal_signals(terminal_restore);
	atexit(terminal_restore);

	session_run(config, home, &result, &totals);
	home_close(home, result_status(config, &result));
	result_say(config, &result);
	/* From here on a signal ends us, as we may wait for the reader of the result. */
	process_end_signals();
	if (!out)
		return result_status(config, &result);
	return close_result(out, result_print_json(out, config, &result, &totals),
			    result_status(config, &result));
}

/* A name that no other machine has. */
static int make_name(struct config *config)
{
	char name[32];

	if (config->name)
		return 0;
	snprintf(name, sizeof(name), "vm-%d", (int)getpid());
	config->name = strdup(name);
	return config->name ? 0 : -ENOMEM;
}

static int run_here_or_detached(struct config *config)
{
	struct home home;
	struct error e;
	int status, ret;
	FILE *out;

	if (config->name)
		log_set_name(config->name);
	ret = open_result(config, &out, &e);
	if (!ret)
		ret = home_detach(config, &home, &status, &e);
	if (ret > 0)
		return status;
	if (!ret && make_name(config))
		ret = error_set(&e, ENOMEM, "out of memory");
	if (ret) {
		log_error("%s", e.text);
		return STATUS_ERROR;
	}
	return run(config, &home, out);
}

static int refuse(const struct config *config, const struct error *e)
{
	struct error not_there;
	FILE *out;

	log_error("%s (see 'vmm run --help')", e->text);
	if (open_result(config, &out, &not_there))
		log_error("%s", not_there.text);
	return out ? close_result(out, result_print_usage(out, e), STATUS_USAGE) : STATUS_USAGE;
}

int cmd_run(int argc, char **argv)
{
	struct config config;
	struct error e;
	int ret, status;

	ret = config_parse(argc, argv, &config, &e);
	if (ret > 0) {
		print_help();
		status = STATUS_OK;
	} else if (ret < 0) {
		status = refuse(&config, &e);
	} else if (config.dump_dtb) {
		ret = dump_dtb(&config, &e);
		if (ret)
			log_error("%s", e.text);
		status = ret ? STATUS_ERROR : STATUS_OK;
	} else if (config.print) {
		ret = config_print(&config, stdout, &e);
		if (ret)
			log_error("%s", e.text);
		status = ret ? STATUS_ERROR : STATUS_OK;
	} else {
		status = run_here_or_detached(&config);
	}
	config_destroy(&config);
	return status;
}
