// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What outlives a reboot of the guest: event loop, console, signals, time limit, and the
 * machine's life from its start to its end. Called by cmd/run.c.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "chardev/console.h"
#include "cmd/resets.h"
#include "cmd/serve.h"
#include "cmd/session.h"
#include "host/loop.h"
#include "host/notify.h"
#include "host/process.h"
#include "host/sleep.h"
#include "log.h"
#include "sandbox/sandbox.h"

#define NSEC	    1000000000ULL
#define SIGNAL_NSEC (NSEC / 10) /* signals nearer to each other are one wish */

/* Disks and consoles are finished with when a guest has ended: what that may take. */
#define END_SECONDS 30

struct session {
	const struct config *config;
	struct home *home;
	struct loop *loop;
	struct console *console;
	struct api *api; /* NULL: there is no socket */
	struct loop_timer *time_limit;
	struct loop_timer *watchdog;
	struct loop_timer *stop_timer;
	uint64_t stop_deadline;
	int signal_fd;
	int continued_fd;
	struct sleep_watch sleep;
	/* Used by callbacks of the loop. NULL before the first one is made, and once the last has ended. */
	struct machine *machine;
	enum status_state state;
	time_t started, since;
	/* Clients say what it is. */
	bool waits;
	bool is_ready;		/* whoever started us knows */
	enum machine_end early; /* how it ended before it began */
	bool restart;		/* the user wants it, whatever --no-reboot says of the guest */
	uint64_t
		signalled; /* when the first signal came, since the guest's last reset; 0: none has */
	struct resets resets;
	uint64_t began;
	struct run_totals *totals;
	const struct machine_result *result; /* once it has ended */
};

static void check_notify(int err)
{
	if (err)
		log_error(
			"cannot tell the service manager at $NOTIFY_SOCKET how the machine is: %s",
			strerror(-err));
}

static void set_state(struct session *s, enum status_state state)
{
	struct status status;

	if (s->state == state)
		return;
	s->state = state;
	s->since = time(NULL);
	session_status(s, &status);
	home_set_status(s->home, &status);
	if (state == STATE_ENDED)
		check_notify(notify_send("STOPPING=1"));
	if (s->api)
		api_state_changed(s->api);
}

static void end(struct session *s, enum machine_end how)
{
	if (s->machine) {
		machine_end(s->machine, how, 0, "");
		return;
	}
	if (s->waits)
		s->early = how;
	loop_stop(s->loop);
}

/* ------------------------------------------------------------------------- */
/* What is asked of it                                                        */

static int absent(const struct session *s, struct error *e)
{
	return s->machine ? 0 : error_set(e, EBUSY, "the machine does not run yet, or no longer");
}

int session_begin(struct session *s, struct error *e)
{
	if (!s->waits)
		return error_set(e, EBUSY, "the machine is started already");
	set_state(s, STATE_STARTING);
	loop_stop(s->loop);
	return 0;
}

int session_pause(struct session *s, struct error *e)
{
	int ret = absent(s, e);

	/* It could not hear that it is to end. */
	if (!ret && s->state == STATE_STOPPING)
		ret = error_set(e, EBUSY, "the machine is asked to power off");
	if (!ret)
		ret = machine_pause(s->machine, e);
	if (!ret)
		set_state(s, STATE_PAUSED);
	return ret;
}

int session_resume(struct session *s, struct error *e)
{
	int ret = absent(s, e);

	if (!ret)
		ret = machine_resume(s->machine, e);
	if (!ret && s->state == STATE_PAUSED)
		set_state(s, STATE_RUNNING);
	return ret;
}

int session_reset(struct session *s, struct error *e)
{
	int ret = absent(s, e);

	if (ret)
		return ret;
	if (!machine_end(s->machine, MACHINE_RESET, 0, ""))
		return error_set(e, EBUSY, "the machine is about to end");
	s->restart = true;
	return 0;
}

int session_power_button(struct session *s, struct error *e)
{
	int ret = absent(s, e);

	if (!ret && !machine_power_button(s->machine))
		ret = error_set(e, EBUSY, "the machine is about to end");
	return ret;
}

static void arm_stop_timer(struct session *s)
{
	uint64_t next = loop_now() + NSEC;

	loop_timer_arm(s->stop_timer, next < s->stop_deadline ? next : s->stop_deadline);
}

int session_stop(struct session *s, int *seconds, struct error *e)
{
	int ret;

	if (*seconds < 0)
		*seconds = (int)s->config->stop_timeout;
	/* There is no guest yet that could power off. */
	if (s->waits) {
		end(s, MACHINE_QUIT);
		return 0;
	}
	/* One that stands still could not hear of it. */
	ret = session_resume(s, e);
	if (!ret)
		ret = session_power_button(s, e);
	if (ret)
		return ret;
	s->stop_deadline = loop_now() + (uint64_t)*seconds * NSEC;
	arm_stop_timer(s);
	set_state(s, STATE_STOPPING);
	/* Also when it is asked again, with another time. */
	check_notify(notify_stopping((uint64_t)*seconds + END_SECONDS));
	return 0;
}

int session_kill(struct session *s, struct error *e)
{
	(void)e;
	end(s, MACHINE_KILLED);
	return 0;
}

int session_nmi(struct session *s, struct error *e)
{
	int ret = absent(s, e);

	return ret ? ret : machine_nmi(s->machine, e);
}

void session_status(const struct session *s, struct status *status)
{
	*status = (struct status){
		.name = s->config->name,
		.state = s->state,
		.started = s->started,
		.since = s->since,
		.cpus = s->config->cpus,
		.memory = s->config->memory,
	};
	if (s->state == STATE_ENDED) {
		status->reason = result_reason(s->result);
		status->exit_status = result_status(s->config, s->result);
	}
}

void session_count_devices(const struct session *s, machine_count_fn fn, void *arg)
{
	if (s->machine)
		machine_count_devices(s->machine, fn, arg);
}

void session_totals(const struct session *s, struct run_totals *totals)
{
	*totals = *s->totals;
	totals->seconds = (double)(loop_now() - s->began) / (double)NSEC;
	if (s->machine)
		machine_count(s->machine, &totals->exits);
}

/* ------------------------------------------------------------------------- */
/* Signals                                                                    */

static void on_signal(void *arg, int fd, uint32_t events)
{
	struct signalfd_siginfo info;
	struct session *s = arg;
	uint64_t now = loop_now();
	int seconds = -1;
	struct error e;

	(void)events;
	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* A terminal that is closed and a service manager may say the same at once. */
	if (s->signalled && now - s->signalled < SIGNAL_NSEC)
		return;
	if (s->signalled || session_stop(s, &seconds, &e)) {
		end(s, MACHINE_KILLED);
		return;
	}
	s->signalled = now;
	if (s->waits)
		return;
	log_info("%s: the power button is pressed; once more ends the machine at once",
		 strsignal(info.ssi_signo));
}

static void on_continued(void *arg, int fd, uint32_t events)
{
	struct session *s = arg;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == sizeof(count) && s->machine)
		machine_stood_still(s->machine);
}

static void on_sleep(void *arg, int fd, uint32_t events)
{
	struct session *s = arg;
	uint64_t slept = sleep_look(&s->sleep);

	(void)fd;
	(void)events;
	if (!slept)
		return;
	if (s->config->verbose)
		log_info("the host slept for %.1f seconds, which the guest is told",
			 (double)slept / (double)NSEC);
	if (s->machine)
		machine_stood_still(s->machine);
}

/* Blocked in every thread, as threads inherit it, and read from the loop. */
static int watch_signals(struct session *s, struct error *e)
{
	int ret;

	s->signal_fd = process_open_signals(e);
	if (s->signal_fd < 0)
		return s->signal_fd;
	s->continued_fd = process_open_continued(e);
	if (s->continued_fd < 0)
		return s->continued_fd;
	ret = loop_add_fd(s->loop, s->signal_fd, EPOLLIN, on_signal, s);
	if (!ret)
		ret = loop_add_fd(s->loop, s->continued_fd, EPOLLIN, on_continued, s);
	if (ret)
		return error_set(e, -ret, "cannot wait for signals: %s", strerror(-ret));
	return 0;
}

static int watch_sleep(struct session *s, struct error *e)
{
	int ret = sleep_open(&s->sleep, e);

	if (ret)
		return ret;
	ret = loop_add_fd(s->loop, s->sleep.fd, EPOLLIN, on_sleep, s);
	return ret ? error_set(e, -ret, "cannot notice when the host sleeps: %s", strerror(-ret))
		   : 0;
}

/* What is likely the matter with a guest that has not powered itself off. */
static const char *why_it_runs(const struct session *s)
{
	return machine_heard_button(s->machine)
		       ? "its kernel took notice of the power button, but nothing in it powered off: "
			 "systemd-logind and acpid do, where they run"
		       : "its kernel took no notice of the power button: it has hung, has no ACPI, has "
			 "not loaded what listens, or cannot hear it, as Linux with 'noapic', 'nosmp' "
			 "or 'maxcpus=0'";
}

static void on_stop_timer(void *arg)
{
	struct session *s = arg;

	/* Its last words are waited for. */
	if (!s->machine)
		return;
	if (loop_now() >= s->stop_deadline) {
		machine_end(s->machine, MACHINE_STOP_TIMEOUT, 0, why_it_runs(s));
		return;
	}
	/* The guest's driver may not have listened yet. */
	machine_power_button(s->machine);
	arm_stop_timer(s);
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

/* That the loop runs; a manager that is not there any more does not wait for it. */
static void on_watchdog(void *arg)
{
	struct session *s = arg;

	notify_send("WATCHDOG=1");
	loop_timer_arm(s->watchdog, loop_now() + notify_watchdog());
}

static int start_watchdog(struct session *s, struct error *e)
{
	if (!notify_watchdog())
		return 0;
	s->watchdog = loop_timer_create(s->loop, on_watchdog, s);
	if (!s->watchdog)
		return error_set(e, ENOMEM, "out of memory");
	on_watchdog(s);
	return 0;
}

static void say_ready(struct session *s)
{
	s->is_ready = true;
	/* Who gave up waiting for it does not want it. */
	if (!home_ready(s->home))
		end(s, MACHINE_KILLED);
	check_notify(notify_send("READY=1"));
}

/* A manager, if there is one; from now on it hears of us. */
static int open_manager(struct session *s, struct error *e)
{
	check_notify(notify_open());
	return start_watchdog(s, e);
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

	/* The first object would have it read /dev/urandom. */
	json_object_seed(0);
	ret = s->config->user ? home_give(s->home, s->config->user, e) : 0;
	if (!ret)
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
	if (!s->totals->reboots) {
		set_state(s, STATE_RUNNING);
		api_started(s->api, NULL);
	}
	if (!s->is_ready)
		say_ready(s);
	ret = loop_run(s->loop);
	if (ret)
		error_set(e, -ret, "the event loop failed: %s", strerror(-ret));
	machine_stop(s->machine);
	machine_count(s->machine, &s->totals->exits);
	machine_settle(s->machine, result);
	return ret;
}

static bool reset_too_often(struct session *s, struct machine_result *result)
{
	const struct config_reboot_limit limit = config_reboot_limit(s->config);

	if (!resets_add(&s->resets, &limit, loop_now()))
		return false;
	result->end = MACHINE_RESETS;
	snprintf(result->text, sizeof(result->text),
		 "the guest reset the machine %u times within %u seconds", limit.count,
		 limit.seconds);
	return true;
}

static int run_until_end(struct session *s, struct machine_result *result, struct error *e)
{
	int ret;

	for (;;) {
		ret = run_once(s, result, e);
		if (ret || result->end != MACHINE_RESET || (s->config->no_reboot && !s->restart))
			return ret;
		if (!s->restart && reset_too_often(s, result))
			return 0;
		s->restart = false;
		s->signalled = 0;
		s->totals->reboots++;
		if (s->config->verbose)
			log_info("the guest reboots");
		ret = machine_reset(s->machine, e);
		if (ret)
			return ret;
		if (s->api)
			api_was_reset(s->api);
	}
}

/* Clients say what the machine is, until they have it started, or end it. */
static int await_begin(struct session *s, struct error *e)
{
	int ret;

	set_state(s, STATE_CREATED);
	s->waits = true;
	if (!s->is_ready)
		say_ready(s);
	ret = loop_run(s->loop);
	s->waits = false;
	return ret ? error_set(e, -ret, "the event loop failed: %s", strerror(-ret)) : 0;
}

/* What clients said may not make a machine: they are told, and can mend it. */
static int make_machine(struct session *s, struct error *e)
{
	int ret;

	do {
		ret = s->config->api_only ? await_begin(s, e) : 0;
		if (ret || s->early)
			return ret;
		s->machine = machine_create(s->config, s->loop, s->console, e);
		if (!s->machine)
			api_started(s->api, e);
	} while (!s->machine && s->config->api_only && !process_signalled());
	return s->machine ? 0 : -EIO;
}

static int run_machine(struct session *s, struct machine_result *result, struct error *e)
{
	int ret = open_manager(s, e);

	if (!ret)
		ret = make_machine(s, e);
	if (ret)
		return ret;
	if (s->early) {
		result->end = s->early;
		return 0;
	}
	ret = error_about(e, console_begin(s->console, e), "consoles");
	if (!ret)
		ret = launch(s, e);
	if (ret)
		api_started(s->api, e);
	else
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
	bool forced = how >= MACHINE_QUIT;

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

/* At the sockets that there are. */
static int open_api(struct session *s, struct config *config, struct error *e)
{
	const int fd[] = {
		s->home->runtime ? runtime_api_fd(s->home->runtime) : -1,
		s->home->socket.fd,
	};
	int ret = 0;

	for (unsigned int i = 0; i < 2 && !ret; i++) {
		if (fd[i] < 0)
			continue;
		if (s->api)
			ret = api_listen(s->api, fd[i], e);
		else
			s->api = serve_session(s, s->loop, fd[i], s->config, e);
		if (!s->api)
			ret = -EIO;
	}
	return ret || !s->config->api_only ? ret : api_serve_firecracker(s->api, config, e);
}

static int open_session(struct session *s, struct config *config, struct error *e)
{
	int ret;

	ret = home_open(s->config, s->home, e);
	if (ret)
		return ret;
	s->loop = loop_create();
	if (!s->loop)
		return error_set(e, errno, "cannot create the event loop: %s", strerror(errno));
	ret = watch_signals(s, e);
	if (!ret)
		ret = watch_sleep(s, e);
	if (ret)
		return ret;
	ret = open_api(s, config, e);
	if (!ret)
		ret = open_console(s, e);
	if (ret)
		return ret;
	s->stop_timer = loop_timer_create(s->loop, on_stop_timer, s);
	if (!s->stop_timer)
		return error_set(e, ENOMEM, "out of memory");
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
	loop_timer_destroy(s->stop_timer);
	loop_timer_destroy(s->watchdog);
	console_close(s->console);
	api_destroy(s->api);
	if (s->signal_fd >= 0) {
		loop_del_fd(s->loop, s->continued_fd);
		loop_del_fd(s->loop, s->signal_fd);
		close(s->signal_fd);
	}
	if (s->sleep.fd >= 0)
		loop_del_fd(s->loop, s->sleep.fd);
	sleep_close(&s->sleep);
	loop_destroy(s->loop);
}

/* ------------------------------------------------------------------------- */

void session_run(struct config *config, struct home *home, struct machine_result *result,
		 struct run_totals *totals)
{
	struct session s = {
		.config = config,
		.home = home,
		.signal_fd = -1,
		.continued_fd = -1,
		.sleep.fd = -1,
		.state = STATE_STARTING,
		.started = time(NULL),
		.began = loop_now(),
		.totals = totals,
		.result = result,
	};
	struct error e;
	int ret;

	s.since = s.started;
	*result = (struct machine_result){.end = MACHINE_FAILED};
	ret = open_session(&s, config, &e);
	if (!ret)
		ret = run_machine(&s, result, &e);
	if (ret) {
		result->end = process_signalled() ? MACHINE_KILLED : MACHINE_FAILED;
		result->code = e.code;
		snprintf(result->path, sizeof(result->path), "%s", e.path);
		snprintf(result->text, sizeof(result->text), "%s", e.text);
	}
	deliver_output(&s, result->end);
	set_state(&s, STATE_ENDED);
	close_session(&s);
	totals->seconds = (double)(loop_now() - s.began) / (double)NSEC;
}
