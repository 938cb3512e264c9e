// SPDX-License-Identifier: GPL-2.0-or-later
/* Files and inherited descriptors alike. Called wherever the user names a file. */
#define _GNU_SOURCE /* O_PATH */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resource.h"

#define PREFIX "fd="

bool resource_is_fd(const char *name)
{
	return !strncmp(name, PREFIX, strlen(PREFIX));
}

/* -1: it is none. */
static int number(const char *text)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno && n <= INT_MAX ? (int)n : -1;
}

/* Whether what is open for "has" may be used for "wanted". */
static bool may_be_used(int has, int wanted)
{
	has &= O_ACCMODE;
	wanted &= O_ACCMODE;
	return has == O_RDWR || has == wanted;
}

/*
 * The number is given up, so that a descriptor is for one thing: who names it twice, two disks for instance, whose lock
 * would be the same, is told that it is not open. What we have opened ourselves is closed on exec, and what was
 * inherited is not.
 */
static int take(int fd, int flags)
{
	const int ours = O_APPEND | O_NONBLOCK;
	int has = fcntl(fd, F_GETFL), own;

	if (has < 0)
		return -1;
	if (fd <= STDERR_FILENO || fcntl(fd, F_GETFD) & FD_CLOEXEC) {
		errno = EBADF;
		return -1;
	}
	/* Nor is it one that only names a file. */
	if (has & O_PATH || !may_be_used(has, flags)) {
		errno = EACCES;
		return -1;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (own < 0)
		return -1;
	close(fd);
	if (flags & ours & ~has)
		fcntl(own, F_SETFL, has | (flags & ours));
	return own;
}

int resource_open(const char *name, int flags, mode_t mode)
{
	if (resource_is_fd(name))
		return take(number(name + strlen(PREFIX)), flags);
	return open(name, flags | O_CLOEXEC, mode);
}
