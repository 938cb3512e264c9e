/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine's life, from its start to its end, over all reboots of the guest. cmd/run.c runs it; what is asked of it
 * meanwhile, by signals, keys and clients, goes through the functions here, on the loop's thread.
 */
#ifndef VMM_CMD_SESSION_H
#define VMM_CMD_SESSION_H

#include "cmd/home.h"
#include "cmd/result.h"
#include "config/config.h"
#include "control/status.h"
#include "error.h"
#include "machine/machine.h"

struct session;

/*
 * Returns when it is over. A failure, also one to start, is in the result. With --api-only the configuration is
 * changed by clients until they have the machine started.
 */
void session_run(struct config *config, struct home *home, struct machine_result *result,
		 struct run_totals *totals);

/* A machine that clients have said all of is made; they are told what became of it. */
int session_begin(struct session *s, struct error *e);
/* As of machine/machine.h. Each returns 0 or a negative errno with a sentence: EBUSY, there is no machine now. */
int session_pause(struct session *s, struct error *e);
int session_resume(struct session *s, struct error *e);
int session_power_button(struct session *s, struct error *e);
int session_nmi(struct session *s, struct error *e);
/* As by a reset button, also of one that is to end when its guest resets. One that is paused stays so. */
int session_reset(struct session *s, struct error *e);
/*
 * Press the power button, and end the machine when the guest has not powered off after so many seconds; -1: those that
 * are usual, which are then in *seconds. One that is paused goes on for that.
 */
int session_stop(struct session *s, int *seconds, struct error *e);
/* Also when there is no machine any more, but its last words are waited for. */
int session_kill(struct session *s, struct error *e);

void session_status(const struct session *s, struct status *status);
/* What its devices counted: see machine_count_devices(). */
void session_count_devices(const struct session *s, machine_count_fn fn, void *arg);
/* Until now. */
void session_totals(const struct session *s, struct run_totals *totals);

#endif
