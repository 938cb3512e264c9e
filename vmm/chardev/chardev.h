/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a backend of the console is, one file each, and what the console is to it. All of it
 * is called on the loop's thread, or while no loop runs, without a lock held.
 */
#ifndef VMM_CHARDEV_CHARDEV_H
#define VMM_CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chardev/console.h"
#include "chardev/ring.h"
#include "sandbox/place.h"

/* The struct of a backend begins with it; set by the console before open(). */
struct chardev {
	const struct chardev_ops *ops;
	struct chardev *next;
	struct console *con;
	struct loop *loop;
	struct ring *ring;
	char *path; /* that of "where"; NULL: none */
};

struct chardev_ops {
	size_t size; /* of the backend's struct, which is zero before open() */
	/* At the end its reader is waited for, be it for ever, as by any program that prints. */
	bool waits;
	/* When it fails, close() follows all the same. */
	int (*open)(struct chardev *d, const struct console_where *where, struct error *e);
	/* A machine is there, and will start. NULL: nothing to do. */
	int (*begin)(struct chardev *d, struct error *e);
	/*
	 * Take what is in the ring, without waiting; retry: also if that was of no use the last
	 * time. Returns whether there is more to take at once.
	 */
	bool (*output)(struct chardev *d, bool retry);
	/* There is more room for input, or less: read, or wait. NULL: it has none. */
	void (*input)(struct chardev *d);
	/* Bytes on their way to who is there. */
	size_t (*pending)(struct chardev *d);
	void (*close)(struct chardev *d);
};

extern const struct chardev_ops tty_ops, file_ops, socket_ops, pty_ops;

/* How many bytes of input the console takes now. */
size_t console_room(const struct console *con);
/* Input; what is beyond the room is dropped. */
void console_take(struct console *con, const uint8_t *buf, size_t len);
/* The machine has ended: only keys for us matter still. */
bool console_ended(const struct console *con);
/* Ctrl-A x. */
void console_quit(struct console *con);
/* Have output() called in the loop's next turn. */
void console_more(struct console *con);
/* What else backends have in common. */
void chardev_say_lost(size_t bytes, const char *whose);
/* What to do about a path at which nothing could be created; "" where that is not known. */
const char *chardev_remedy(int err);

/* The place of the backend's path, for what is done there by name while the machine runs. */
int chardev_place(const struct chardev *d, struct place *p, unsigned int rights, const char *what,
		  struct error *e);

#define CHARDEV_AGAIN_MS 250 /* what no event tells of is tried again so often */
void chardev_try_again(struct loop_timer *t);

#endif
