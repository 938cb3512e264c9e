// SPDX-License-Identifier: GPL-2.0-or-later
/* systemd's notification protocol by hand: one datagram is no reason for a library. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/notify.h"

int notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t addr_len;
	size_t len;
	int fd, ret = 0;

	if (!path)
		return 0;
	len = strlen(path);
	/* '@' stands for the abstract namespace: sd_notify(3) */
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(addr.sun_path))
		return -EINVAL;
	memcpy(addr.sun_path, path, len);
	addr_len = offsetof(struct sockaddr_un, sun_path) + len;
	if (path[0] == '@')
		addr.sun_path[0] = '\0';

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, addr_len) < 0)
		ret = -errno;
	close(fd);
	return ret;
}
