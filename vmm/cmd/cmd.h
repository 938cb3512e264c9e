/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subcommands, one per file of this room. main.c calls them; they return the exit status. */
#ifndef VMM_CMD_CMD_H
#define VMM_CMD_CMD_H

/* Exit statuses; part of the interface, see vmm(1). */
enum exit_status {
	STATUS_OK = 0,
	STATUS_ERROR = 1, /* host or configuration */
	STATUS_USAGE = 2,
	STATUS_CRASHED = 3, /* the guest crashed */
	/* Even, so that none is a value of --debug-exit; 4 is of the verbs. */
	STATUS_RESET = 6,  /* --no-reboot: the guest has reset the machine */
	STATUS_RESETS = 8, /* it does so again and again */
	STATUS_TIME_LIMIT = 10,
	STATUS_STOP_TIMEOUT = 12, /* the guest was asked to power off, and did not */
	STATUS_KILLED = 14,
};

/* Those of what acts on machines that run. */
enum verb_status {
	VERB_DONE = STATUS_OK,
	VERB_FAILED = STATUS_ERROR,
	VERB_NO_MACHINE = 4,
	VERB_NO_ANSWER = 5, /* in time; or it has not ended */
};

/* See command.h. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_list(int argc, char **argv);
/* status, pause, stop and all others that name machines. */
int cmd_verb(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_options(int argc, char **argv);
int cmd_api(int argc, char **argv);

#endif
