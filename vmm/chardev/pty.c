// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pseudo-terminal, for terminal programs that want a device: its slave's name is said, and
 * a symbolic link to it made where one is asked for.
 *
 * We keep the slave open ourselves. So the pair is there whoever comes and goes, and nobody's
 * leaving is a hang-up; while nobody reads, it is just slow.
 */
#define _GNU_SOURCE /* posix_openpt(), ptsname_r() */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "chardev/outlet.h"
#include "log.h"

#define CHUNK_SIZE  4096
#define SLAVES	    "/dev/pts/"
#define NAME_LENGTH 64

struct pty {
	struct chardev dev;
	struct outlet out; /* the master, both ways */
	int slave;
	char name[NAME_LENGTH]; /* the slave's */
	bool linked;
	struct place place; /* of the link */
};

static void watch(struct pty *p)
{
	loop_mod_fd(p->dev.loop, p->out.fd,
		    (console_room(p->dev.con) ? EPOLLIN : 0) | (p->out.blocked ? EPOLLOUT : 0));
}

static bool pty_output(struct chardev *d, bool retry)
{
	struct pty *p = (struct pty *)d;
	enum outlet_state state;

	if (p->out.blocked && !retry)
		return false;
	state = outlet_drain(&p->out, d->ring);
	/* It cannot fail while the slave is open; if it does, it is tried when there is more. */
	p->out.blocked = state == OUTLET_BLOCKED;
	watch(p);
	return state == OUTLET_MORE;
}

static void pty_input(struct chardev *d)
{
	watch((struct pty *)d);
}

static void on_event(void *arg, int fd, uint32_t events)
{
	struct pty *p = arg;
	size_t room = console_room(p->dev.con);
	uint8_t buf[CHUNK_SIZE];
	ssize_t n;

	if ((events & EPOLLIN) && room) {
		n = read(fd, buf, room < sizeof(buf) ? room : sizeof(buf));
		if (n > 0)
			console_take(p->dev.con, buf, (size_t)n);
	}
	if ((events & EPOLLOUT) && pty_output(&p->dev, true))
		console_more(p->dev.con);
	watch(p);
}

/* What nobody has read yet is gone with the pair. Whether somebody is there is not known. */
static size_t pty_pending(struct chardev *d)
{
	const struct pty *p = (const struct pty *)d;
	int unread = 0;

	ioctl(p->slave, FIONREAD, &unread);
	return ring_pending(d->ring, &p->out.reader) + (size_t)unread;
}

/* ------------------------------------------------------------------------- */

/* Bytes as they are, until whoever opens the slave says otherwise. */
static int open_pair(struct pty *p)
{
	struct termios t;

	p->out.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->out.fd < 0 || grantpt(p->out.fd) || unlockpt(p->out.fd) ||
	    ptsname_r(p->out.fd, p->name, sizeof(p->name)))
		return -errno;
	p->slave = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->slave < 0 || tcgetattr(p->slave, &t))
		return -errno;
	cfmakeraw(&t);
	if (tcsetattr(p->slave, TCSANOW, &t))
		return -errno;
	return loop_add_fd(p->dev.loop, p->out.fd, EPOLLIN, on_event, p);
}

/* A link to a pseudo-terminal that is gone was left behind by a process that was killed. */
static bool is_dead_link(const char *path)
{
	char target[NAME_LENGTH] = "";

	return readlink(path, target, sizeof(target) - 1) > 0 &&
	       !strncmp(target, SLAVES, strlen(SLAVES)) && access(target, F_OK);
}

static int make_link(struct pty *p, struct error *e)
{
	const char *path = p->dev.path;
	int ret = chardev_place(&p->dev, &p->place, PLACE_REMOVE, "console pty", e);

	if (ret)
		return ret;
	if (symlink(p->name, path) &&
	    (errno != EEXIST || !is_dead_link(path) || unlink(path) || symlink(p->name, path)))
		return error_set(e, errno, "console pty: cannot make the link '%s': %s%s", path,
				 strerror(errno), chardev_remedy(errno));
	p->linked = true;
	return 0;
}

static int pty_open(struct chardev *d, const struct console_where *where, struct error *e)
{
	struct pty *p = (struct pty *)d;
	int ret;

	(void)where;
	p->slave = -1;
	ret = open_pair(p);
	if (ret)
		return error_set(e, -ret, "console pty: cannot make a pseudo-terminal: %s",
				 strerror(-ret));
	ret = d->path ? make_link(p, e) : 0;
	if (!ret)
		log_info("the console is at %s", p->name);
	return ret;
}

static void remove_link(struct pty *p)
{
	char target[NAME_LENGTH] = "";

	if (p->linked && readlinkat(p->place.dir, p->place.name, target, sizeof(target) - 1) > 0 &&
	    !strcmp(target, p->name))
		unlinkat(p->place.dir, p->place.name, 0);
	place_close(&p->place);
}

static void pty_close(struct chardev *d)
{
	struct pty *p = (struct pty *)d;

	remove_link(p);
	if (p->slave >= 0)
		close(p->slave);
	if (p->out.fd >= 0) {
		loop_del_fd(d->loop, p->out.fd);
		close(p->out.fd);
	}
}

const struct chardev_ops pty_ops = {
	.size = sizeof(struct pty),
	.open = pty_open,
	.output = pty_output,
	.input = pty_input,
	.pending = pty_pending,
	.close = pty_close,
};
