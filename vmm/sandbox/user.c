// SPDX-License-Identifier: GPL-2.0-or-later
/* Another user instead of root. Called by confine.c: the name is looked up while there are files to look into. */
#define _GNU_SOURCE /* setresuid(), getgrouplist() */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/internal.h"

#define MAX_GROUPS 256

struct user {
	uid_t uid;
	gid_t gid;
	int nr_groups;
	gid_t group[MAX_GROUPS];
};

static int unknown(const char *what, const char *name, struct error *e)
{
	return error_set_at(e, ENOENT, "user", "there is no %s '%s' on this host", what, name);
}

/* The part of the words before the colon, the user; behind it may be a group that takes the place of his. */
static int find(const char *name, const char *group_name, struct user *u, struct error *e)
{
	const struct passwd *pw = getpwnam(name);
	const struct group *group;

	if (!pw)
		return unknown("user", name, e);
	u->uid = pw->pw_uid;
	u->gid = pw->pw_gid;
	if (group_name) {
		group = getgrnam(group_name);
		if (!group)
			return unknown("group", group_name, e);
		u->gid = group->gr_gid;
	}
	u->nr_groups = MAX_GROUPS;
	if (getgrouplist(name, u->gid, u->group, &u->nr_groups) < 0)
		return error_set_at(e, E2BIG, "user", "user '%s' is in more than %d groups", name,
				    MAX_GROUPS);
	return 0;
}

int user_find(const char *spec, struct user **user, struct error *e)
{
	char *name = strdup(spec), *colon = name ? strchr(name, ':') : NULL;
	struct user *u = calloc(1, sizeof(*u));
	int ret;

	if (colon)
		*colon = '\0';
	if (name && u)
		ret = find(name, colon ? colon + 1 : NULL, u, e);
	else
		ret = error_set(e, ENOMEM, "out of memory");
	free(name);
	if (ret) {
		free(u);
		return ret;
	}
	*user = u;
	return 0;
}

int sandbox_find_user(const char *spec, uid_t *uid, gid_t *gid, struct error *e)
{
	struct user *u;
	int ret = user_find(spec, &u, e);

	if (ret)
		return ret;
	*uid = u->uid;
	*gid = u->gid;
	free(u);
	return 0;
}

int user_become(const struct user *u, struct error *e)
{
	if (setgroups((size_t)u->nr_groups, u->group) || setresgid(u->gid, u->gid, u->gid) ||
	    setresuid(u->uid, u->uid, u->uid))
		return error_set_at(e, errno, "user",
				    "cannot become another user: %s; only a machine that root "
				    "starts can",
				    strerror(errno));
	return 0;
}
