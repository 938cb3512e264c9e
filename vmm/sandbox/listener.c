// SPDX-License-Identifier: GPL-2.0-or-later
/* Listening sockets and their names. Called by control/runtime.c, by the console's socket and by cmd/. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/listener.h"

/* A socket that nobody listens on was left behind by a process that was killed. */
static bool is_dead(const struct sockaddr_un *addr)
{
	struct stat st;
	bool dead;
	int fd;

	if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	dead = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

static int bind_at(int fd, const struct sockaddr_un *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)addr;

	/* Whoever connects has the guest in hand: the inode gets these rights. */
	if (fchmod(fd, 0600))
		return -errno;
	if (!bind(fd, sa, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE || !is_dead(addr))
		return -errno;
	if (unlink(addr->sun_path) || bind(fd, sa, sizeof(*addr)))
		return -errno;
	return 0;
}

int listener_bind(const char *path, int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, ret;

	if (strlen(path) > LISTENER_MAX_PATH)
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = bind_at(fd, &addr);
	if (!ret && listen(fd, backlog)) {
		ret = -errno;
		unlink(path);
	}
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int listener_open(struct listener *l, const char *path, int backlog)
{
	struct stat st;
	int ret;

	*l = (struct listener){.fd = -1};
	/* First, so that what can fail leaves no socket behind. */
	ret = place_open(&l->place, path, PLACE_REMOVE);
	if (ret)
		return ret;
	l->fd = listener_bind(path, backlog);
	if (l->fd < 0) {
		ret = l->fd;
		place_close(&l->place);
		return ret;
	}
	if (!fstatat(l->place.dir, l->place.name, &st, AT_SYMLINK_NOFOLLOW)) {
		l->device = st.st_dev;
		l->inode = st.st_ino;
	}
	return 0;
}

void listener_close(struct listener *l)
{
	const struct stat ours = {.st_dev = l->device, .st_ino = l->inode};

	if (l->inode && place_is(l->place.dir, l->place.name, &ours))
		unlinkat(l->place.dir, l->place.name, 0);
	place_close(&l->place);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->inode = 0;
}
