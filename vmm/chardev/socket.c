// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A listening Unix socket with room for eight clients. All get the output, from the last
 * 64 KiB before they came on. One of them writes; who comes while it is there only reads,
 * for as long as he stays.
 *
 * No client, slow, silent, gone or hostile, is waited for by the machine or by another
 * client. What one sent before it left is still read, in its turn, when the guest takes it.
 */
#define _GNU_SOURCE /* accept4() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "chardev/outlet.h"
#include "log.h"
#include "resource.h"
#include "sandbox/listener.h"

#define MAX_CLIENTS 8
#define CHUNK_SIZE  4096

struct client {
	struct console_socket *l; /* set while there is one */
	struct outlet out;	  /* its descriptor is for both ways */
	unsigned long since;	  /* who came first has the lowest */
	bool writes;		  /* what it sends is input, and more may come */
	bool silent;		  /* it says nothing more */
	bool gone;		  /* only what it sent is left of it */
};

struct console_socket {
	struct chardev dev;
	struct listener listener;
	bool deaf; /* clients cannot be accepted now */
	struct loop_timer *again_timer;
	struct client client[MAX_CLIENTS]; /* out.fd -1: there is none */
	unsigned long came;
};

/* ------------------------------------------------------------------------- */
/* Clients                                                                    */

static bool is_there(const struct client *c)
{
	return c->out.fd >= 0;
}

static void drop(struct client *c)
{
	loop_del_fd(c->l->dev.loop, c->out.fd);
	close(c->out.fd);
	c->out.fd = -1;
}

/* Whose input it is the turn of: of who came first. */
static struct client *next_writer(struct console_socket *l)
{
	struct client *first = NULL;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &l->client[i];

		if (is_there(c) && c->writes && (!first || c->since < first->since))
			first = c;
	}
	return first;
}

/* What is to be known of a client now. That it hangs up always is. */
static void watch(struct client *c)
{
	struct console_socket *l = c->l;
	uint32_t events = 0;

	if (!c->gone)
		events = EPOLLHUP | (c->out.blocked ? EPOLLOUT : 0);
	/* What a reader sends is thrown away, lest it waits for us. */
	if (c->writes ? c == next_writer(l) && console_room(l->dev.con) : !c->silent && !c->gone)
		events |= EPOLLIN;
	if (loop_mod_fd(l->dev.loop, c->out.fd, events))
		drop(c);
}

static void watch_all(struct console_socket *l)
{
	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		if (is_there(&l->client[i]))
			watch(&l->client[i]);
	}
}

static bool has_unread(const struct client *c)
{
	int unread = 0;

	return !ioctl(c->out.fd, FIONREAD, &unread) && unread;
}

/* It does not read any more; what it sent so far stays for its turn. */
static void left(struct client *c)
{
	c->gone = true;
	c->out.blocked = false;
	if (!c->writes || !has_unread(c))
		drop(c);
	watch_all(c->l);
}

static bool has_hung_up(const struct client *c)
{
	struct pollfd p = {.fd = c->out.fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* Its own end of the input. Who shut down only that goes on reading. */
static void input_ended(struct client *c)
{
	c->writes = false;
	c->silent = true;
	if (c->gone || has_hung_up(c))
		drop(c);
}

/* ------------------------------------------------------------------------- */
/* Input and output                                                           */

static void read_client(struct client *c)
{
	struct console_socket *l = c->l;
	size_t room = console_room(l->dev.con);
	uint8_t buf[CHUNK_SIZE];
	ssize_t n;

	if (c->writes && (c != next_writer(l) || !room))
		return;
	n = recv(c->out.fd, buf, c->writes && room < sizeof(buf) ? room : sizeof(buf), 0);
	if (n > 0 && c->writes)
		console_take(l->dev.con, buf, (size_t)n);
	/* It need not have closed its end, only to be gone. */
	if (n > 0 && c->gone && !has_unread(c))
		drop(c);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		input_ended(c);
}

static bool write_client(struct client *c, bool retry)
{
	if (c->gone || (c->out.blocked && !retry))
		return false;
	c->out.blocked = false;
	switch (outlet_drain(&c->out, c->l->dev.ring)) {
	case OUTLET_IDLE:
		break;
	case OUTLET_BLOCKED:
		c->out.blocked = true;
		watch(c);
		break;
	case OUTLET_MORE:
		return true;
	case OUTLET_FAILED:
		left(c);
	}
	return false;
}

static bool socket_output(struct chardev *d, bool retry)
{
	struct console_socket *l = (struct console_socket *)d;
	bool more = false;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		if (is_there(&l->client[i]))
			more |= write_client(&l->client[i], retry);
	}
	return more;
}

static void socket_input(struct chardev *d)
{
	watch_all((struct console_socket *)d);
}

static void on_client(void *arg, int fd, uint32_t events)
{
	struct client *c = arg;
	struct console_socket *l = c->l;

	if ((events & EPOLLOUT) && write_client(c, true))
		console_more(l->dev.con);
	/* The descriptor is that of another when this one is gone and one has come. */
	if (c->out.fd == fd && (events & EPOLLIN))
		read_client(c);
	if (c->out.fd == fd && !c->gone && (events & (EPOLLHUP | EPOLLERR)))
		left(c);
	watch_all(l);
}

static size_t socket_pending(struct chardev *d)
{
	struct console_socket *l = (struct console_socket *)d;
	size_t sum = 0;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		if (is_there(&l->client[i]) && !l->client[i].gone)
			sum += ring_pending(d->ring, &l->client[i].out.reader);
	}
	return sum;
}

/* ------------------------------------------------------------------------- */
/* Coming                                                                     */

/* A free place, or else that of one who has left, and to whom the guest did not listen. */
static struct client *find_place(struct console_socket *l)
{
	struct client *oldest = NULL;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &l->client[i];

		if (!is_there(c))
			return c;
		if (c->gone && (!oldest || c->since < oldest->since))
			oldest = c;
	}
	if (oldest)
		drop(oldest);
	return oldest;
}

static bool somebody_writes(struct console_socket *l)
{
	bool found = false;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &l->client[i];

		/* That it has left may not be known yet. */
		if (is_there(c) && !c->gone && has_hung_up(c))
			left(c);
		found |= is_there(c) && !c->gone && c->writes;
	}
	return found;
}

static void welcome(struct console_socket *l, int fd)
{
	static const char busy[] = "The console is in use by too many clients.\r\n";
	bool reads_only = somebody_writes(l);
	struct client *c = find_place(l);

	if (!c || loop_add_fd(l->dev.loop, fd, EPOLLHUP, on_client, c)) {
		/* As a courtesy; whether it arrives does not matter. */
		(void)!send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	*c = (struct client){.l = l, .out.fd = fd, .since = l->came++, .writes = !reads_only};
	if (reads_only)
		ring_note(&c->out.reader,
			  "[console: in use by another client; this one only reads]\r\n");
	if (write_client(c, true))
		console_more(l->dev.con);
	watch_all(l);
}

static void on_connect(void *arg, int listen_fd, uint32_t events)
{
	struct console_socket *l = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0) {
		l->deaf = false;
		welcome(l, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		/* Out of descriptors, perhaps: waiting clients would wake the loop for ever. */
		if (!l->deaf)
			log_error("console: clients of %s have to wait: %s", l->dev.path,
				  strerror(errno));
		l->deaf = true;
		loop_mod_fd(l->dev.loop, listen_fd, 0);
		chardev_try_again(l->again_timer);
	}
}

static void on_again(void *arg)
{
	struct console_socket *l = arg;

	loop_mod_fd(l->dev.loop, l->listener.fd, EPOLLIN);
}

/* ------------------------------------------------------------------------- */
/* The socket                                                                 */

/* One that the caller made, named and has listen: it is his to remove. */
static int take_listener(struct console_socket *l, struct error *e)
{
	socklen_t len = sizeof(int);
	int fd = resource_open(l->dev.path, O_RDWR | O_NONBLOCK, 0);
	int listens = 0, family = 0;

	l->listener.fd = fd;
	if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && listens &&
	    !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) && family == AF_UNIX &&
	    !listen(fd, MAX_CLIENTS))
		return 0;
	return error_set(
		e, fd < 0 ? errno : EINVAL,
		"console socket '%s': is no Unix socket that listens and was left open for vmm",
		l->dev.path);
}

static int make_listener(struct console_socket *l, struct error *e)
{
	const char *path = l->dev.path;
	int ret = listener_open(&l->listener, path, MAX_CLIENTS);

	switch (-ret) {
	case 0:
		return 0;
	case ENAMETOOLONG:
		return error_set(e, ENAMETOOLONG,
				 "console socket '%s': a socket's path can have "
				 "%d characters at most",
				 path, LISTENER_MAX_PATH);
	case EADDRINUSE:
		return error_set(e, EADDRINUSE,
				 "console socket '%s': in use by another process, "
				 "or not a socket; remove it or choose another path",
				 path);
	default:
		return error_set(e, -ret, "console socket '%s': %s%s", path, strerror(-ret),
				 chardev_remedy(-ret));
	}
}

static int socket_open(struct chardev *d, const struct console_where *where, struct error *e)
{
	struct console_socket *l = (struct console_socket *)d;
	int ret;

	(void)where;
	l->listener.fd = -1;
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		l->client[i].out.fd = -1;
	l->again_timer = loop_timer_create(d->loop, on_again, l);
	if (!l->again_timer)
		return error_set(e, ENOMEM, "out of memory for the console");
	ret = resource_is_fd(d->path) ? take_listener(l, e) : make_listener(l, e);
	if (ret)
		return ret;
	ret = loop_add_fd(d->loop, l->listener.fd, EPOLLIN, on_connect, l);
	if (ret < 0)
		return error_set(e, -ret, "console socket '%s': %s", d->path, strerror(-ret));
	return 0;
}

static void socket_close(struct chardev *d)
{
	struct console_socket *l = (struct console_socket *)d;

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = &l->client[i];

		if (!is_there(c))
			continue;
		if (!c->gone)
			chardev_say_lost(ring_pending(d->ring, &c->out.reader),
					 "a client of the socket");
		drop(c);
	}
	loop_timer_destroy(l->again_timer);
	if (l->listener.fd >= 0)
		loop_del_fd(d->loop, l->listener.fd);
	listener_close(&l->listener);
}

const struct chardev_ops socket_ops = {
	.size = sizeof(struct console_socket),
	.open = socket_open,
	.output = socket_output,
	.input = socket_input,
	.pending = socket_pending,
	.close = socket_close,
};
