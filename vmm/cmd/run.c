// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm run": one machine in the foreground. Owns what outlives a reboot of the
 * guest: event loop, console, signals, time limit. Called by main.c.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "chardev/console.h"
#include "chardev/terminal.h"
#include "cmd/cmd.h"
#include "cmd/home.h"
#include "cmd/dump.h"
#include "cmd/result.h"
#include "config/config.h"
#include "host/loop.h"
#include "host/notify.h"
#include "host/process.h"
#include "log.h"
#include "machine/machine.h"
#include "sandbox/sandbox.h"

#define NSEC 1000000000ULL

struct session {
	const struct config *config;
	struct home *home;
	struct loop *loop;
	struct console *console;
	struct loop_timer *time_limit;
	int signal_fd;
	/* Used by callbacks of the loop. NULL once the last machine has ended. */
	struct machine *machine;
	unsigned int signals;
	uint64_t began;
	struct run_totals totals;
};

/* ------------------------------------------------------------------------- */
/* Signals                                                                    */

static void end(struct session *s, enum machine_end how)
{
	if (s->machine)
		machine_end(s->machine, how, 0, "");
	else
		loop_stop(s->loop);
}

static void on_signal(void *arg, int fd, uint32_t events)
{
	struct signalfd_siginfo info;
	struct session *s = arg;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (s->signals++ || !s->machine || !machine_power_button(s->machine)) {
		end(s, MACHINE_KILLED);
		return;
	}
	log_info("%s: the power button is pressed; once more ends the machine at once",
		 strsignal(info.ssi_signo));
}

/* Blocked in every thread, as threads inherit it, and read from the loop. */
static int watch_signals(struct session *s, struct error *e)
{
	int ret;

	s->signal_fd = process_open_signals(e);
	if (s->signal_fd < 0)
		return s->signal_fd;
	ret = loop_add_fd(s->loop, s->signal_fd, EPOLLIN, on_signal, s);
	if (ret)
		return error_set(e, -ret, "cannot wait for signals: %s", strerror(-ret));
	return 0;
}

static void on_time_limit(void *arg)
{
	struct session *s = arg;

	end(s, MACHINE_TIME_LIMIT);
}

static void on_quit_key(void *arg)
{
	struct session *s = arg;

	end(s, MACHINE_QUIT);
}

/* ------------------------------------------------------------------------- */
/* The machine's life                                                         */

static void check_notify(int err)
{
	if (err)
		log_error(
			"cannot tell the service manager at $NOTIFY_SOCKET that the machine runs: %s",
			strerror(-err));
}

/*
 * The last that needs what the machine shall not have; then all of its threads, each with what it needs. Nothing is
 * opened by name any more.
 */
static int launch(struct session *s, struct error *e)
{
	const struct sandbox_config sandbox = {
		.mode = s->config->sandbox,
		.user = s->config->user,
		.verbose = s->config->verbose,
	};
	int ret;

	check_notify(notify_open());
	/* The first object would have it read /dev/urandom. */
	json_object_seed(0);
	ret = sandbox_confine(&sandbox, e);
	if (!ret)
		ret = machine_launch(s->machine, e);
	return ret ? ret : sandbox_enter_loop(e);
}

/* From power-on, or a reset, to power-off, reset or worse. */
static int run_once(struct session *s, struct machine_result *result, struct error *e)
{
	int ret;

	machine_start(s->machine);
	if (!s->totals.reboots) {
		home_ready(s->home);
		check_notify(notify_send("READY=1"));
	}
	ret = loop_run(s->loop);
	if (ret)
		error_set(e, -ret, "the event loop failed: %s", strerror(-ret));
	machine_stop(s->machine, &s->totals.exits);
	machine_settle(s->machine, result);
	return ret;
}

static int run_until_end(struct session *s, struct machine_result *result, struct error *e)
{
	int ret;

	for (;;) {
		ret = run_once(s, result, e);
		if (ret || result->end != MACHINE_RESET || s->config->no_reboot)
			return ret;
		s->totals.reboots++;
		if (s->config->verbose)
			log_info("the guest reboots");
		ret = machine_reset(s->machine, e);
		if (ret)
			return ret;
	}
}

static int run_machine(struct session *s, struct machine_result *result, struct error *e)
{
	int ret;

	s->machine = machine_create(s->config, s->loop, s->console, e);
	if (!s->machine)
		return -EIO;
	ret = error_about(e, console_begin(s->console, e), "consoles");
	if (!ret)
		ret = launch(s, e);
	if (!ret)
		ret = run_until_end(s, result, e);
	machine_destroy(s->machine);
	s->machine = NULL;
	return ret;
}

static void on_delivered(void *arg)
{
	struct session *s = arg;

	loop_stop(s->loop);
}

/*
 * A guest's last words are the most wanted ones. Whoever ended it by force, or does so
 * now, has waited enough.
 */
static void deliver_output(struct session *s, enum machine_end how)
{
	bool forced = how == MACHINE_KILLED || how == MACHINE_QUIT || how == MACHINE_TIME_LIMIT;

	if (s->console && !forced && console_finish(s->console, on_delivered, s))
		loop_run(s->loop);
}

static int add_console(struct session *s, const struct config_console *c, struct error *e)
{
	struct console_where where = {.rotate = c->rotate, .keep = c->keep};

	if (c->file) {
		where.kind = CONSOLE_FILE;
		where.path = c->file;
	} else if (c->socket) {
		where.kind = CONSOLE_SOCKET;
		where.path = c->socket;
	} else if (c->kind == CONFIG_CONSOLE_PTY) {
		where.kind = CONSOLE_PTY;
		where.path = c->link;
	} else if (c->kind == CONFIG_CONSOLE_NONE) {
		return 0;
	}
	return console_add(s->console, &where, e);
}

static int open_console(struct session *s, struct error *e)
{
	static const struct config_console tty = {.kind = CONFIG_CONSOLE_TTY};
	int ret = 0;

	s->console = console_open(s->loop, e);
	if (!s->console)
		return error_about(e, -EIO, "consoles");
	console_set_quit(s->console, on_quit_key, s);
	ret = home_add_consoles(s->home, s->config, s->console, e);
	if (ret)
		return error_about(e, ret, "detach");
	if (!s->config->nr_consoles && !s->config->detach)
		return error_about(e, add_console(s, &tty, e), "consoles");
	for (unsigned int i = 0; i < s->config->nr_consoles && !ret; i++)
		ret = error_about(e, add_console(s, &s->config->console[i], e), "consoles[%u]", i);
	return ret;
}

static int open_session(struct session *s, struct error *e)
{
	int ret;

	ret = home_open(s->config, s->home, e);
	if (ret)
		return ret;
	s->loop = loop_create();
	if (!s->loop)
		return error_set(e, errno, "cannot create the event loop: %s", strerror(errno));
	ret = watch_signals(s, e);
	if (ret)
		return ret;
	ret = open_console(s, e);
	if (ret)
		return ret;
	if (s->config->time_limit) {
		s->time_limit = loop_timer_create(s->loop, on_time_limit, s);
		if (!s->time_limit)
			return error_set(e, ENOMEM, "out of memory");
		loop_timer_arm(s->time_limit, s->began + s->config->time_limit * NSEC);
	}
	return 0;
}

static void close_session(struct session *s)
{
	loop_timer_destroy(s->time_limit);
	console_close(s->console);
	if (s->signal_fd >= 0) {
		loop_del_fd(s->loop, s->signal_fd);
		close(s->signal_fd);
	}
	loop_destroy(s->loop);
}

/* ------------------------------------------------------------------------- */

static void print_help(void)
{
	fputs("vmm run - run a virtual machine in the foreground\n"
	      "\n"
	      "Usage: vmm run --kernel FILE [FLAGS]\n"
	      "       vmm run --config FILE [FLAGS]\n"
	      "\n",
	      stdout);
	config_print_flags(stdout);
	fputs("Of a flag that is not repeatable the last one counts.\n"
	      "SIGTERM, SIGINT or SIGHUP presses the power button, a second one ends the machine.\n"
	      "\n"
	      "Exit status: 0 the guest powered off (or you left), 1 host or configuration error,\n"
	      "2 wrong usage, 3 the guest crashed.\n"
	      "\n"
	      "Examples:\n"
	      "  vmm run --kernel vmlinuz --initrd initrd.img --memory 1G --cpus 2\n"
	      "  vmm run --kernel vmlinuz --initrd initrd.img --disk debian.img \\\n"
	      "          --cmdline 'console=ttyS0 root=/dev/vda rw'\n"
	      "  vmm run --kernel test.elf --debug-exit 0xf4 --console file=log --json\n",
	      stdout);
}

static int run(const struct config *config, struct home *home)
{
	struct session s = {.config = config, .home = home, .signal_fd = -1, .began = loop_now()};
	struct machine_result result = {.end = MACHINE_FAILED};
	struct error e;
	int ret;

	log_set_verbose(config->verbose);
	/* A raw terminal must not outlive us, whatever ends us. */
	process_set_fatal_signals(terminal_restore);
	atexit(terminal_restore);

	ret = open_session(&s, &e);
	if (!ret)
		ret = run_machine(&s, &result, &e);
	if (ret) {
		result.end = MACHINE_FAILED;
		result.code = e.code;
		snprintf(result.path, sizeof(result.path), "%s", e.path);
		snprintf(result.text, sizeof(result.text), "%s", e.text);
	}
	deliver_output(&s, result.end);
	close_session(&s);
	home_close(home, result_status(&result));

	s.totals.seconds = (loop_now() - s.began) / (double)NSEC;
	result_say(config, &result);
	/* From here on a signal ends us, as we may wait for the reader of the result. */
	process_end_signals();
	/* That it could not be written, main() says of everything. */
	if (config->json && result_print_json(stdout, config, &result, &s.totals) &&
	    !ferror(stdout)) {
		log_error("out of memory for the result");
		return STATUS_ERROR;
	}
	return result_status(&result);
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
	int status, ret = home_detach(config, &home, &status, &e);

	if (ret > 0)
		return status;
	if (!ret && make_name(config))
		ret = error_set(&e, ENOMEM, "out of memory");
	if (ret) {
		log_error("%s", e.text);
		return STATUS_ERROR;
	}
	return run(config, &home);
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
		log_error("%s (see 'vmm run --help')", e.text);
		if (config.json)
			result_print_usage(stdout, &e);
		status = STATUS_USAGE;
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
