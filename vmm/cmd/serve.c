// SPDX-License-Identifier: GPL-2.0-or-later
/* The session's functions, as control/api.h wants to have them. Called by cmd/session.c. */
#include "cmd/serve.h"

static int pause_it(void *arg, struct error *e)
{
	return session_pause(arg, e);
}

static int resume_it(void *arg, struct error *e)
{
	return session_resume(arg, e);
}

static int reset_it(void *arg, struct error *e)
{
	return session_reset(arg, e);
}

static int press_power_button(void *arg, struct error *e)
{
	return session_power_button(arg, e);
}

static int stop_it(void *arg, int *seconds, struct error *e)
{
	return session_stop(arg, seconds, e);
}

static int kill_it(void *arg, struct error *e)
{
	return session_kill(arg, e);
}

static int send_nmi(void *arg, struct error *e)
{
	return session_nmi(arg, e);
}

static int start_it(void *arg, struct error *e)
{
	return session_begin(arg, e);
}

static void get_status(void *arg, struct status *status)
{
	session_status(arg, status);
}

static void get_stats(void *arg, struct api_stats *stats)
{
	struct run_totals totals;

	session_totals(arg, &totals);
	*stats = (struct api_stats){
		.pio = totals.exits.pio,
		.mmio = totals.exits.mmio,
		.emulate = totals.exits.emulate,
		.eoi = totals.exits.eoi,
		.reboots = totals.reboots,
		.seconds = totals.seconds,
	};
}

static void count(void *arg, api_count_fn fn, void *to)
{
	session_count_devices(arg, fn, to);
}

struct api *serve_session(struct session *s, struct loop *loop, int listen_fd,
			  const struct config *config, struct error *e)
{
	static const struct api_ops ops = {
		.pause = pause_it,
		.resume = resume_it,
		.reset = reset_it,
		.power_button = press_power_button,
		.stop = stop_it,
		.kill = kill_it,
		.nmi = send_nmi,
		.start = start_it,
		.status = get_status,
		.stats = get_stats,
		.count = count,
	};

	return api_create(loop, listen_fd, config, &ops, s, e);
}
