// SPDX-License-Identifier: GPL-2.0-or-later
/* Standard descriptors and signals of the process. Called by main.c and cmd/run.c. */
#define _GNU_SOURCE /* sigabbrev_np() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/process.h"
#include "log.h"
#include "thread.h"

/* Constant once handlers are set. */
static void (*fatal_clean_up)(void);
static int signal_fd = -1; /* whoever opened it closes it, at the end */
static volatile sig_atomic_t continued_fd = -1;

int process_open_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest free number, which is this one. */
		if (open("/dev/null", O_RDWR) < 0)
			return -errno;
	}
	return 0;
}

int process_flush_stdout(void)
{
	/* The second also tells of what failed before and is not tried again. */
	return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}

/* As digits, at the end of the buffer. */
static const char *digits(uint64_t value, unsigned int base, char buffer[21])
{
	char *c = buffer + 20;

	*c = 0;
	do {
		*--c = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	return c;
}

/* Of a signal that the kernel sent for what the thread did. */
static const char *cause(const siginfo_t *info)
{
	if (info->si_signo != SIGBUS)
		return ": a fault of vmm's own";
	switch (info->si_code) {
	case BUS_ADRERR:
		return ": that memory is not to be had; the file that it is of was made shorter, or the "
		       "host has none left";
	case BUS_MCEERR_AR:
	case BUS_MCEERR_AO:
		return ": the host's memory is damaged there";
	case BUS_ADRALN:
		return ": a locked access across two cache lines, which this host forbids "
		       "(split_lock_detect)";
	default:
		return ": a fault of vmm's own";
	}
}

/* What happened, in a line; nothing here waits for a lock, or takes memory. */
static void tell(const siginfo_t *info)
{
	const char *words[] = {
		"thread ", thread_what(), " got SIG", sigabbrev_np(info->si_signo), "", "",
		"",	   NULL};
	bool sent = info->si_code <= 0 && info->si_pid != getpid();
	char number[21];

	if (sent) {
		words[4] = ", sent by process ";
		words[5] = digits((uint64_t)info->si_pid, 10, number);
	} else if (thread_own_signal(info->si_signo)) {
		words[6] = cause(info);
		if (info->si_code > 0) {
			words[4] = " at 0x";
			words[5] = digits((uint64_t)(uintptr_t)info->si_addr, 16, number);
		}
	}
	log_last_words(words);
}

static void on_fatal_signal(int signal, siginfo_t *info, void *context)
{
	(void)context;
	fatal_clean_up();
	tell(info);
	raise(signal);
}

void process_set_fatal_signals(void (*clean_up)(void))
{
	/* All whose default action ends a process, but for those that are read or ignored. */
	static const int fatal[] = {SIGABRT, SIGALRM, SIGBUS,  SIGFPE,	SIGILL,	   SIGIO,
				    SIGPROF, SIGPWR,  SIGQUIT, SIGSEGV, SIGSTKFLT, SIGSYS,
				    SIGTRAP, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM};
	/* The second time, the default action: that is what raise() brings about. */
	struct sigaction action = {.sa_sigaction = on_fatal_signal,
				   .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_ONSTACK};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	fatal_clean_up = clean_up;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
}

static bool is_ignored(int signal)
{
	struct sigaction old;

	return !sigaction(signal, NULL, &old) && old.sa_handler == SIG_IGN;
}

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	/* A blocked signal is never ignored: these would be read all the same. */
	if (!is_ignored(SIGINT))
		sigaddset(&set, SIGINT);
	if (!is_ignored(SIGHUP))
		sigaddset(&set, SIGHUP);
	return set;
}

bool process_signalled(void)
{
	struct pollfd p = {.fd = signal_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

void process_continued(void)
{
	const uint64_t one = 1;
	int saved_errno = errno;

	/* Can only fail when the counter is full. */
	if (continued_fd >= 0)
		(void)!write(continued_fd, &one, sizeof(one));
	errno = saved_errno;
}

static void on_continue(int signal)
{
	(void)signal;
	process_continued();
}

int process_open_continued(struct error *e)
{
	struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
	struct sigaction old;

	if (continued_fd < 0)
		continued_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (continued_fd < 0)
		return error_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	if (!sigaction(SIGCONT, NULL, &old) && old.sa_handler == SIG_DFL)
		sigaction(SIGCONT, &action, NULL);
	return continued_fd;
}

void process_end_signals(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
	const struct timespec now = {0};
	sigset_t set = ending_signals();

	if (poll(&p, 1, 0))
		return;
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int process_open_signals(struct error *e)
{
	sigset_t set = ending_signals();
	int fd;

	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return error_set(e, errno, "cannot wait for signals: %s", strerror(errno));
	signal_fd = fd;
	return fd;
}
