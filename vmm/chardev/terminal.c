// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw mode and back. Called by chardev/console.c, by exit handlers and by handlers of
 * fatal signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <termios.h>
#include <unistd.h>

#include "chardev/terminal.h"

/* What must be undone: state that belongs to the process rather than to a console. */
static struct {
	struct termios saved, raw;
	struct sigaction old_cont;
	int old_flags; /* of standard output */
	volatile sig_atomic_t raw_mode;
	volatile sig_atomic_t nonblocking;
} terminal;

/* A background process that sets terminal modes would be stopped by SIGTTOU. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

static void set_modes(const struct termios *modes)
{
	/* Not TCSADRAIN: output may be stopped (Ctrl-S) for ever. */
	if (in_foreground())
		tcsetattr(STDIN_FILENO, TCSANOW, modes);
}

void terminal_restore(void)
{
	int saved_errno = errno;

	if (terminal.nonblocking) {
		terminal.nonblocking = 0;
		fcntl(STDOUT_FILENO, F_SETFL, terminal.old_flags);
	}
	if (terminal.raw_mode) {
		terminal.raw_mode = 0;
		set_modes(&terminal.saved);
	}
	errno = saved_errno;
}

/* The shell set its own modes while we were stopped. */
static void on_continue(int signal)
{
	int saved_errno = errno;

	(void)signal;
	if (terminal.raw_mode)
		set_modes(&terminal.raw);
	errno = saved_errno;
}

void terminal_start_raw(void)
{
	struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

	if (tcgetattr(STDIN_FILENO, &terminal.saved))
		return;
	terminal.raw = terminal.saved;
	cfmakeraw(&terminal.raw);
	sigaction(SIGCONT, &action, &terminal.old_cont);
	terminal.raw_mode = 1;
	set_modes(&terminal.raw);
}

void terminal_set_nonblocking(void)
{
	terminal.old_flags = fcntl(STDOUT_FILENO, F_GETFL);
	terminal.nonblocking = 1;
	fcntl(STDOUT_FILENO, F_SETFL, terminal.old_flags | O_NONBLOCK);
}

void terminal_end(void)
{
	bool was_raw = terminal.raw_mode;

	terminal_restore();
	if (was_raw)
		sigaction(SIGCONT, &terminal.old_cont, NULL);
}
