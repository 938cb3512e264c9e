/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A descriptor that takes what the guest says, for backends. The loop's thread only. */
#ifndef VMM_CHARDEV_OUTLET_H
#define VMM_CHARDEV_OUTLET_H

#include <sys/types.h>

#include "chardev/ring.h"

struct outlet {
	struct ring_reader reader;
	int fd;	      /* -1: nobody is there */
	bool blocked; /* it takes nothing, and something else tells when it does */
};

enum outlet_state {
	OUTLET_IDLE,	/* has all there is */
	OUTLET_BLOCKED, /* EAGAIN */
	OUTLET_MORE,	/* it is somebody else's turn */
	OUTLET_FAILED,	/* errno says why */
};

/* Write until the ring is empty or the reader is busy; bounded. */
enum outlet_state outlet_drain(struct outlet *o, struct ring *r);

/* Neither waits, on a socket whoever it is shared with. */
ssize_t outlet_write(int fd, const void *buf, size_t len);
ssize_t outlet_read(int fd, void *buf, size_t len);

#endif
