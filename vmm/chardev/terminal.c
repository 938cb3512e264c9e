// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw mode and back. Called by chardev/tty.c, by exit handlers and by handlers of
 * fatal signals.
 *
 * The terminal is ours only while we are in its foreground. A process in the background
 * that reads it, or sets its modes, would be stopped, and its machine with it, if the
 * two signals for that were not ignored; with them ignored it would take away keys that
 * are the shell's. So whoever touches the terminal looks first.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

#include "chardev/terminal.h"
#include "host/process.h"

static void on_continue(int signal);
static void on_stop(int signal);

/* What to do about signals while the terminal is raw, or will be. */
static struct {
	int signal;
	void (*handler)(int signal);
	struct sigaction old;
} signals[] = {
	{.signal = SIGCONT, .handler = on_continue},
	{.signal = SIGTSTP, .handler = on_stop},
	{.signal = SIGTTIN, .handler = SIG_IGN},
	{.signal = SIGTTOU, .handler = SIG_IGN},
};
#define NR_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* What must be undone: state that belongs to the process rather than to a console. */
static struct {
	struct termios saved, raw; /* constant once they are known */
	int old_flags;		   /* of standard output */
	volatile sig_atomic_t known;
	volatile sig_atomic_t raw_mode; /* wanted, whenever we are in the foreground */
	volatile sig_atomic_t nonblocking;
	atomic_flag busy; /* somebody is about to take the terminal: a handler, or the loop */
} terminal = {.busy = ATOMIC_FLAG_INIT};

bool terminal_in_foreground(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	/* Another session's terminal has no foreground and background for us. */
	return group < 0 || group == getpgrp();
}

bool terminal_holds_output(void)
{
	struct termios t;

	return !terminal_in_foreground() && !tcgetattr(STDIN_FILENO, &t) && (t.c_lflag & TOSTOP);
}

static void set_modes(const struct termios *modes)
{
	/* Not TCSADRAIN: output may be stopped (Ctrl-S) for ever. */
	if (terminal_in_foreground())
		tcsetattr(STDIN_FILENO, TCSANOW, modes);
}

static void set_flags(int flags)
{
	if (terminal.nonblocking)
		fcntl(STDOUT_FILENO, F_SETFL, flags);
}

void terminal_take(void)
{
	/* Who finds it set leaves it to the other, as a handler cannot wait. */
	if (!terminal.raw_mode || atomic_flag_test_and_set(&terminal.busy))
		return;
	/* In the background these are the modes of a shell that reads a line. */
	if (!terminal.known && terminal_in_foreground() &&
	    !tcgetattr(STDIN_FILENO, &terminal.saved)) {
		terminal.raw = terminal.saved;
		cfmakeraw(&terminal.raw);
		terminal.known = 1;
	}
	if (terminal.known)
		set_modes(&terminal.raw);
	atomic_flag_clear(&terminal.busy);
}

void terminal_restore(void)
{
	bool raw = terminal.raw_mode;
	int saved_errno = errno;

	/* First, lest a handler takes it again. */
	terminal.raw_mode = 0;
	set_flags(terminal.old_flags);
	terminal.nonblocking = 0;
	if (raw && terminal.known)
		set_modes(&terminal.saved);
	errno = saved_errno;
}

/* The shell set its own modes while we were stopped. */
static void on_continue(int signal)
{
	int saved_errno = errno;

	(void)signal;
	process_continued();
	set_flags(terminal.old_flags | O_NONBLOCK);
	terminal_take();
	errno = saved_errno;
}

/* What the default action would be, but for the terminal. */
static void on_stop(int signal)
{
	struct sigaction stop = {.sa_handler = SIG_DFL}, ours;
	int saved_errno = errno;
	sigset_t set, old;

	set_flags(terminal.old_flags);
	if (terminal.raw_mode && terminal.known)
		set_modes(&terminal.saved);
	sigaction(signal, &stop, &ours);
	raise(signal);
	sigemptyset(&set);
	sigaddset(&set, signal);
	/* Here we stop, and go on. Without a shell to continue us (an orphaned group) we do not stop. */
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sigaction(signal, &ours, NULL);
	errno = saved_errno;
	on_continue(SIGCONT);
}

void terminal_start_raw(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &t))
		return;
	terminal.known = 0;
	terminal.raw_mode = 1;
	for (size_t i = 0; i < NR_SIGNALS; i++) {
		struct sigaction action = {.sa_handler = signals[i].handler,
					   .sa_flags = SA_RESTART};

		sigaction(signals[i].signal, &action, &signals[i].old);
		/* Who is not to be stopped is not. */
		if (signals[i].signal == SIGTSTP && signals[i].old.sa_handler == SIG_IGN)
			sigaction(SIGTSTP, &signals[i].old, NULL);
	}
	terminal_take();
}

void terminal_set_nonblocking(void)
{
	terminal.old_flags = fcntl(STDOUT_FILENO, F_GETFL);
	terminal.nonblocking = 1;
	set_flags(terminal.old_flags | O_NONBLOCK);
}

void terminal_end(void)
{
	bool was_raw = terminal.raw_mode;

	terminal_restore();
	for (size_t i = 0; was_raw && i < NR_SIGNALS; i++)
		sigaction(signals[i].signal, &signals[i].old, NULL);
}
