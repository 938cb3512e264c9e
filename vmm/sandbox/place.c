// SPDX-License-Identifier: GPL-2.0-or-later
/* Directories held open. The console's backends open places, confine.c makes rules of them. */
#define _GNU_SOURCE /* O_PATH */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/place.h"

struct place *place_first;

static int open_dir(const char *path, const char *end)
{
	char *dir = end == path ? strdup(".") : strndup(path, (size_t)(end - path));
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	free(dir);
	return fd;
}

int place_open(struct place *p, const char *path, unsigned int rights)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int fd;

	if (!*name)
		return -EINVAL;
	fd = open_dir(path, name);
	if (fd < 0)
		return fd;
	p->name = strdup(name);
	if (!p->name) {
		close(fd);
		return -ENOMEM;
	}
	place_hold(p, fd, rights);
	return 0;
}

void place_hold(struct place *p, int dir, unsigned int rights)
{
	p->dir = dir;
	p->rights = rights;
	p->next = place_first;
	place_first = p;
}

void place_close(struct place *p)
{
	struct place **link = &place_first;

	if (!p->rights)
		return;
	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	if (p->name)
		close(p->dir);
	free(p->name);
	*p = (struct place){0};
}

bool place_is(int dir, const char *name, const struct stat *inode)
{
	struct stat there;

	return !fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) && there.st_dev == inode->st_dev &&
	       there.st_ino == inode->st_ino;
}
