// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A root directory in which nothing is, in a mount namespace of its own, for a monitor that may make
 * one (CAP_SYS_ADMIN). Not in a user namespace: in there nobody can tell who a socket's client is, as all users but
 * one are the same. Called by confine.c.
 */
#define _GNU_SOURCE /* unshare(), open_tree() */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/internal.h"
#include "sandbox/place.h"

/* Any directory that is surely there. */
#define NEW_ROOT "/dev"

/*
 * A mount of its own for each place: what is above it is not reached through it by "..". While we are in the
 * namespace that it was opened in.
 */
static int cut_off_places(void)
{
	for (struct place *p = place_first; p; p = p->next) {
		int fd = open_tree(p->dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

		if (fd < 0)
			return -errno;
		if (dup3(fd, p->dir, O_CLOEXEC) < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/* The old root is moved over the new one, and then away, with all that is mounted below it. */
static int change_root(void)
{
	if (!syscall(SYS_pivot_root, ".", "."))
		return umount2(".", MNT_DETACH) ? -errno : 0;
	/* The kernel's first root, that of an initramfs, stays below. */
	if (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
		return -errno;
	return chdir("/") ? -errno : 0;
}

int root_leave(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int ret = cut_off_places();

	if (ret)
		return ret;
	/* Nothing of what follows is seen outside. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	if (mount("none", NEW_ROOT, "ramfs", flags, NULL) || chdir(NEW_ROOT))
		return -errno;
	ret = change_root();
	if (!ret && mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | flags, NULL))
		ret = -errno;
	return ret;
}
