// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * "vmm run": one machine in the foreground. Owns what outlives a reboot of the
 * guest: event loop, console, signals, time limit, result. Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "config.h"
#include "dev/console.h"
#include "log.h"
#include "loop.h"
#include "machine.h"
#include "notify.h"

#define NSEC 1000000000ULL

struct session {
	const struct config *config;
	struct loop *loop;
	struct console *console;
	struct loop_timer *time_limit;
	int signal_fd;
	/* Used by callbacks of the loop, which runs only while there is a machine. */
	struct machine *machine;
	unsigned int signals;
	/* What --json tells at the end. */
	unsigned int reboots;
	uint64_t began;
	struct machine_exits exits;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + t.tv_nsec;
}

/* ------------------------------------------------------------------------- */
/* Signals                                                                    */

/* A raw terminal must not outlive us, whatever ends us: mend it, then end as we were told. */
static void on_fatal_signal(int signal)
{
	console_restore_terminal();
	raise(signal);
}

static void set_fatal_signals(void)
{
	static const int fatal[] = {SIGABRT, SIGALRM, SIGBUS,  SIGFPE,	SIGILL,	 SIGPROF, SIGQUIT,
				    SIGSEGV, SIGSYS,  SIGTRAP, SIGUSR1, SIGUSR2, SIGXCPU};
	/* The second time, the default action: that is what raise() brings about. */
	struct sigaction action = {.sa_handler = on_fatal_signal, .sa_flags = SA_RESETHAND};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	/* A reader that left, a full disk: errors of the one write, not the end of a machine. */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
}

static void on_signal(void *arg, int fd, uint32_t events)
{
	struct signalfd_siginfo info;
	struct session *s = arg;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (s->signals++) {
		machine_end(s->machine, MACHINE_KILLED, 0, "");
		return;
	}
	log_info("%s: the power button is pressed; once more ends the machine at once",
		 strsignal(info.ssi_signo));
	machine_power_button(s->machine);
}

/* Blocked in every thread, as threads inherit it, and read from the loop. */
static int open_signals(struct session *s, struct error *e)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return error_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	ret = loop_add_fd(s->loop, s->signal_fd, EPOLLIN, on_signal, s);
	if (ret)
		return error_set(e, -ret, "cannot wait for signals: %s", strerror(-ret));
	return 0;
}

static void on_time_limit(void *arg)
{
	struct session *s = arg;

	machine_end(s->machine, MACHINE_TIME_LIMIT, 0, "");
}

static void on_quit_key(void *arg)
{
	struct session *s = arg;

	machine_end(s->machine, MACHINE_QUIT, 0, "");
}

/* ------------------------------------------------------------------------- */
/* The machine's life                                                         */

/* From power-on to power-off, reset or worse. */
static int run_machine(struct session *s, struct machine_result *result, struct error *e)
{
	struct machine_exits exits = {0};
	int ret;

	s->machine = machine_create(s->config, s->loop, s->console, e);
	if (!s->machine)
		return -EIO;
	ret = machine_start(s->machine, e);
	if (!ret && !s->reboots) {
		int err = notify_send("READY=1");

		if (err)
			log_error("cannot tell the service manager at $NOTIFY_SOCKET that the "
				  "machine runs: %s",
				  strerror(-err));
	}
	if (!ret) {
		ret = loop_run(s->loop);
		if (ret)
			error_set(e, -ret, "the event loop failed: %s", strerror(-ret));
	}
	machine_stop(s->machine, result, &exits);
	machine_destroy(s->machine);
	s->machine = NULL;

	s->exits.pio += exits.pio;
	s->exits.mmio += exits.mmio;
	s->exits.emulate += exits.emulate;
	s->exits.eoi += exits.eoi;
	return ret;
}

static int run_until_end(struct session *s, struct machine_result *result, struct error *e)
{
	for (;;) {
		int ret = run_machine(s, result, e);

		if (ret || result->end != MACHINE_RESET || s->config->no_reboot)
			return ret;
		s->reboots++;
		if (s->config->verbose)
			log_info("the guest reboots");
	}
}

static int open_session(struct session *s, struct error *e)
{
	int ret;

	s->loop = loop_create();
	if (!s->loop)
		return error_set(e, errno, "cannot create the event loop: %s", strerror(errno));
	ret = open_signals(s, e);
	if (ret)
		return ret;
	s->console = console_open(s->config->console, s->loop, e);
	if (!s->console)
		return -EIO;
	console_set_quit(s->console, on_quit_key, s);
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
/* The result                                                                 */

static const struct {
	const char *reason;
	int status;
} ends[] = {
	[MACHINE_RUNNING] = {"error", STATUS_ERROR},
	[MACHINE_POWER_OFF] = {"power-off", STATUS_OK},
	[MACHINE_RESET] = {"reset", STATUS_OK},
	[MACHINE_DEBUG_EXIT] = {"debug-exit", STATUS_OK},
	[MACHINE_CRASHED] = {"crash", STATUS_CRASHED},
	[MACHINE_FAILED] = {"error", STATUS_ERROR},
	[MACHINE_QUIT] = {"quit", STATUS_OK},
	[MACHINE_KILLED] = {"killed", STATUS_ERROR},
	[MACHINE_TIME_LIMIT] = {"time-limit", STATUS_ERROR},
};

static int exit_status(const struct machine_result *result)
{
	/* As with QEMU's isa-debug-exit; a process has eight bits for it. */
	if (result->end == MACHINE_DEBUG_EXIT)
		return (result->value << 1 | 1) & 0xff;
	return ends[result->end].status;
}

static void say_end(const struct config *c, const struct machine_result *result)
{
	switch (result->end) {
	case MACHINE_CRASHED:
		log_error("the guest crashed: %s", result->text);
		break;
	case MACHINE_FAILED:
		log_error("%s", result->text);
		break;
	case MACHINE_KILLED:
		log_error("ended by a second signal; the guest did not power itself off");
		break;
	case MACHINE_TIME_LIMIT:
		log_error("ended by the time limit of %u seconds", c->time_limit);
		break;
	default:
		break;
	}
}

static void print_json(const struct session *s, const struct machine_result *result, int status)
{
	const struct config *c = s->config;
	json_t *root =
		json_pack("{s:s, s:s, s:i, s:i, s:I, s:i, s:f, s:{s:I, s:I, s:I, s:I}}", "name",
			  c->name, "reason", ends[result->end].reason, "status", status, "cpus",
			  (int)c->cpus, "memory", (json_int_t)c->memory, "reboots", (int)s->reboots,
			  "seconds", (now_ns() - s->began) / (double)NSEC, "exits", "pio",
			  (json_int_t)s->exits.pio, "mmio", (json_int_t)s->exits.mmio, "emulate",
			  (json_int_t)s->exits.emulate, "eoi", (json_int_t)s->exits.eoi);

	if (result->end == MACHINE_DEBUG_EXIT)
		json_object_set_new(root, "value", json_integer(result->value));
	if (result->text[0])
		json_object_set_new(root, "message", json_string(result->text));
	/* The guest's last line on the same terminal may lack its end. */
	if (!strcmp(c->console, "tty"))
		putchar('\n');
	if (json_dumpf(root, stdout, JSON_REAL_PRECISION(6)) || putchar('\n') == EOF ||
	    fflush(stdout))
		log_error("cannot write the result to standard output");
	json_decref(root);
}

/* ------------------------------------------------------------------------- */

static void print_help(void)
{
	fputs("vmm run - run a virtual machine in the foreground\n"
	      "\n"
	      "Usage: vmm run --kernel FILE [FLAGS]\n"
	      "\n"
	      "What it runs:\n"
	      "  --kernel FILE         Linux bzImage, ELF kernel with a PVH entry (vmlinux), or\n"
	      "                        Multiboot 1 kernel\n"
	      "  --initrd FILE         initial RAM disk\n"
	      "  --cmdline TEXT        kernel command line (default: console=ttyS0)\n"
	      "  --module \"FILE ARGS\"  Multiboot module with its arguments; repeatable\n"
	      "\n"
	      "What it consists of:\n"
	      "  --cpus N              processors, 1 to 64 (default: 1)\n"
	      "  --memory SIZE         memory, with suffix K, M or G (default: 512M, least: 16M)\n"
	      "  --disk FILE[,readonly=on][,serial=S][,format=raw]\n"
	      "                        raw disk image or block device; repeatable: vda, vdb...\n"
	      "  --fw-cfg NAME=FILE    file the guest can read by QEMU's fw_cfg; repeatable\n"
	      "  --debug-exit PORT     a value V written to this port ends the machine with\n"
	      "                        status (V << 1) | 1\n"
	      "\n"
	      "How it runs:\n"
	      "  --console tty         serial console on this terminal (default); leave it with\n"
	      "                        Ctrl-A x, Ctrl-A h lists the keys\n"
	      "            none | file=FILE | unix=PATH\n"
	      "  --name NAME           what to call it in messages and results (default: vm)\n"
	      "  --no-reboot           end with status 0 when the guest reboots\n"
	      "  --time-limit SECONDS  end the machine after that time\n"
	      "  --json                print the result as a JSON object, last on standard output\n"
	      "  --verbose             tell more, also about what the guest does wrong\n"
	      "  --help                this text\n"
	      "\n"
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

static int run(const struct config *config)
{
	struct session s = {.config = config, .signal_fd = -1, .began = now_ns()};
	struct machine_result result = {.end = MACHINE_FAILED};
	struct error e;
	int ret, status;

	log_set_verbose(config->verbose);
	set_fatal_signals();
	atexit(console_restore_terminal);

	ret = open_session(&s, &e);
	if (!ret)
		ret = run_until_end(&s, &result, &e);
	if (ret) {
		result.end = MACHINE_FAILED;
		snprintf(result.text, sizeof(result.text), "%s", e.text);
	}
	close_session(&s);

	status = exit_status(&result);
	say_end(config, &result);
	if (config->json)
		print_json(&s, &result, status);
	return status;
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
		status = STATUS_USAGE;
	} else {
		status = run(&config);
	}
	config_destroy(&config);
	return status;
}
