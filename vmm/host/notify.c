// SPDX-License-Identifier: GPL-2.0-or-later
/* systemd's notification protocol by hand: one datagram is no reason for a library. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/notify.h"

/* How long one that has much to read is waited for. */
#define PATIENCE_S 1

/* -1: nobody asked, or is there. */
static int notify_fd = -1;

static int find_address(const char *path, struct sockaddr_un *addr, socklen_t *addr_len)
{
	size_t len = strlen(path);

	/* '@' stands for the abstract namespace: sd_notify(3) */
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(addr->sun_path))
		return -EINVAL;
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, path, len);
	*addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		addr->sun_path[0] = '\0';
	return 0;
}

int notify_open(void)
{
	static const struct timeval patience = {.tv_sec = PATIENCE_S};
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr;
	socklen_t addr_len;
	int fd, ret;

	if (!path)
		return 0;
	ret = find_address(path, &addr, &addr_len);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* One that does not read must not have the machine stand still. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&addr, addr_len)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	notify_fd = fd;
	return 0;
}

int notify_send(const char *state)
{
	if (notify_fd < 0)
		return 0;
	return send(notify_fd, state, strlen(state), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int notify_stopping(uint64_t seconds)
{
	char state[64];

	snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
		 seconds * 1000000);
	return notify_send(state);
}

/* Decimal, and nothing else; 0: it is not. */
static uint64_t read_number(const char *text)
{
	uint64_t value;

	if (!text || strspn(text, "0123456789") != strlen(text))
		return 0;
	errno = 0;
	value = strtoull(text, NULL, 10);
	return errno ? 0 : value;
}

uint64_t notify_watchdog(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t usec = read_number(getenv("WATCHDOG_USEC"));

	/* It may be meant for who started us: sd_watchdog_enabled(3) */
	if (notify_fd < 0 || (pid && read_number(pid) != (uint64_t)getpid()))
		return 0;
	return usec > UINT64_MAX / 1000 ? 0 : usec * 1000 / 2;
}
