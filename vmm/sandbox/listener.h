/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix sockets that listen at a path: made for nobody but the user, and removed by whoever made them. */
#ifndef VMM_SANDBOX_LISTENER_H
#define VMM_SANDBOX_LISTENER_H

#include <sys/types.h>
#include <sys/un.h>

#include "sandbox/place.h"

/* How many characters a path can have. */
#define LISTENER_MAX_PATH ((int)sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

struct listener {
	int fd;
	struct place place;
	/* Which inode is ours to remove. */
	dev_t device;
	ino_t inode;
};

/*
 * Make a socket that listens and does not block: a descriptor, or a negative errno; EADDRINUSE when somebody listens
 * there, or it is no socket. One that a killed process left is replaced.
 */
int listener_bind(const char *path, int backlog);

/* The same, to be removed later. Returns 0 or a negative errno, after which nothing is to be closed. */
int listener_open(struct listener *l, const char *path, int backlog);
/* Somebody may have removed the socket and put another one there, which stays. */
void listener_close(struct listener *l);

#endif
