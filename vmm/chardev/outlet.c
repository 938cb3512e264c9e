// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev/outlet.h"

#define CHUNK_SIZE    4096 /* in one write */
#define CHUNKS_A_TURN 16   /* before other descriptors get theirs */

/* A socket handed down to us is shared, so its flags are not ours to change. */
ssize_t outlet_write(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, buf, len) : n;
}

ssize_t outlet_read(int fd, void *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);

	return n < 0 && errno == ENOTSOCK ? read(fd, buf, len) : n;
}

enum outlet_state outlet_drain(struct outlet *o, struct ring *r)
{
	uint8_t chunk[CHUNK_SIZE];

	for (unsigned int turn = 0; turn < CHUNKS_A_TURN; turn++) {
		size_t len = ring_peek(r, &o->reader, chunk, sizeof(chunk));
		ssize_t n;

		if (!len)
			return OUTLET_IDLE;
		n = outlet_write(o->fd, chunk, len);
		if (n >= 0)
			ring_took(&o->reader, (size_t)n);
		else if (errno == EAGAIN)
			return OUTLET_BLOCKED;
		else if (errno != EINTR)
			return OUTLET_FAILED;
	}
	return OUTLET_MORE;
}
