// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Landlock (landlock(7)), for which the C library has no functions: everything it knows is refused, but what
 * places are for. Descriptors that are open are not concerned. Called by confine.c.
 */
#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/internal.h"
#include "sandbox/place.h"

/* Newer than the headers that we are built with; in the order of the versions that brought them. */
struct ruleset {
	uint64_t access_fs;
	uint64_t access_net; /* 4 */
	uint64_t scoped;     /* 6 */
};
#define FS_V1	  ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_V2	  (FS_V1 | 1ULL << 13) /* REFER */
#define FS_V3	  (FS_V2 | 1ULL << 14) /* TRUNCATE */
#define FS_V5	  (FS_V3 | 1ULL << 15) /* IOCTL_DEV */
#define NET_V4	  0x3ULL	       /* bind and connect TCP */
#define SCOPED_V6 0x3ULL	       /* abstract sockets, signals */

static struct ruleset everything(int version)
{
	return (struct ruleset){
		.access_fs = version >= 5   ? FS_V5
			     : version >= 3 ? FS_V3
			     : version >= 2 ? FS_V2
					    : FS_V1,
		.access_net = version >= 4 ? NET_V4 : 0,
		.scoped = version >= 6 ? SCOPED_V6 : 0,
	};
}

/* A file that takes another's name removes that one, and itself from where it was. */
static uint64_t access_of(const struct place *p)
{
	uint64_t access = 0;

	if (p->rights & PLACE_CREATE)
		access |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
			  LANDLOCK_ACCESS_FS_REMOVE_FILE;
	if (p->rights & PLACE_REMOVE)
		access |= LANDLOCK_ACCESS_FS_REMOVE_FILE;
	if (p->rights & PLACE_REMOVE_DIR)
		access |= LANDLOCK_ACCESS_FS_REMOVE_DIR;
	return access;
}

static int add_places(int fd)
{
	for (const struct place *p = place_first; p; p = p->next) {
		struct landlock_path_beneath_attr rule = {
			.allowed_access = access_of(p),
			.parent_fd = p->dir,
		};

		if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
			return -errno;
	}
	return 0;
}

int landlock_restrict(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset;
	int fd, ret;

	/* Not built into the kernel, or not among its lsm=. */
	if (version < 1)
		return -ENOSYS;
	ruleset = everything((int)version);
	/* An older kernel takes a longer struct, if what it does not know is zero. */
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0)
		return -errno;
	ret = add_places(fd);
	if (!ret && syscall(SYS_landlock_restrict_self, fd, 0))
		ret = -errno;
	close(fd);
	return ret;
}
