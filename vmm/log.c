// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages on standard error. Any thread and any part of the monitor calls this;
 * each message is one write(), so lines never mix, and no state but the
 * rate limit is shared. A message that nobody reads is lost rather than waited for:
 * it must not stop a machine.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "plain.h"

/* What a guest may make us print in a second. */
#define GUEST_LINES_PER_SECOND 10

#define LINE_MAX_LEN	       1024
#define TEXT_MAX_LEN	       (LINE_MAX_LEN - 2) /* without its end */

/* How long a message waits for a reader that is slow or stopped. */
#define PATIENCE_MS 1000

/* The last of what there is room for says so. */
static const char full[] = "vmm: no more messages are kept here\n";

static atomic_bool verbose;

/* What each line begins with; constant once there are threads. */
static char prefix[sizeof("vmm: ") + 63 + 2] = "vmm: ";

/* How much more may be written; a file in memory is not to grow for ever. */
static _Atomic uint64_t room_left = UINT64_MAX;

/* The second that the budget belongs to, and how much of it is used. */
static _Atomic uint64_t guest_second;
static atomic_uint guest_lines;

void log_set_verbose(bool on)
{
	atomic_store(&verbose, on);
}

void log_set_name(const char *name)
{
	snprintf(prefix, sizeof(prefix), "vmm: %.63s: ", name);
}

void log_set_limit(uint64_t bytes)
{
	atomic_store(&room_left, bytes);
}

/* Whether a line fits; of those that do not the first is another one. */
static bool has_room(size_t len)
{
	uint64_t room = atomic_load(&room_left);

	do {
		if (!room)
			return false;
	} while (!atomic_compare_exchange_weak(&room_left, &room, len < room ? room - len : 0));
	if (len < room)
		return true;
	(void)!write(STDERR_FILENO, full, sizeof(full) - 1);
	return false;
}

/* A terminal in raw mode does not turn a line feed into a new line by itself. */
static const char *line_end(void)
{
	struct termios t;

	if (tcgetattr(STDERR_FILENO, &t) == 0 && !(t.c_oflag & OPOST))
		return "\r\n";
	return "\n";
}

static bool can_write(int patience_ms)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	int ret;

	do {
		ret = poll(&p, 1, patience_ms);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

/* The line has room for its end. */
static void put_line(char *line, size_t len, int patience_ms)
{
	const char *end = line_end();

	memcpy(line + len, end, strlen(end));
	len += strlen(end);

	/* There is nobody to tell when standard error does not take it. */
	if (!can_write(patience_ms) || !has_room(len) || write(STDERR_FILENO, line, len) < 0)
		return;
}

static void put_message(int patience_ms, const char *fmt, va_list args)
{
	char line[LINE_MAX_LEN];
	size_t len = strlen(prefix);
	size_t room = TEXT_MAX_LEN - len;
	int n;

	memcpy(line, prefix, len);
	n = vsnprintf(line + len, room + 1, fmt, args);
	if (n < 0)
		return;
	n = (size_t)n < room ? n : (int)room;

	/* File names and guests must not be able to send escape sequences. */
	plain_make(line + len);
	put_line(line, len + n, patience_ms);
}

void log_last_words(const char *const *words)
{
	char line[LINE_MAX_LEN];
	size_t len = strlen(prefix);

	memcpy(line, prefix, len);
	for (; *words; words++) {
		for (const char *c = *words; *c && len < TEXT_MAX_LEN; c++)
			line[len++] = *c;
	}
	put_line(line, len, PATIENCE_MS);
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_message(PATIENCE_MS, fmt, args);
	va_end(args);
}

void log_info(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put_message(PATIENCE_MS, fmt, args);
	va_end(args);
}

static bool guest_may_print(void)
{
	struct timespec now;
	uint64_t second;

	clock_gettime(CLOCK_MONOTONIC, &now);
	second = now.tv_sec;
	if (atomic_exchange(&guest_second, second) != second)
		atomic_store(&guest_lines, 0);
	return atomic_fetch_add(&guest_lines, 1) < GUEST_LINES_PER_SECOND;
}

void log_guest(const char *fmt, ...)
{
	va_list args;

	if (!atomic_load(&verbose) || !guest_may_print())
		return;
	va_start(args, fmt);
	/* Called with devices' locks held: no vCPU waits for a reader of its complaints. */
	put_message(0, fmt, args);
	va_end(args);
}
