// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The console's backends: terminal, file, socket, none. cmd/run.c opens and
 * closes it; dev/serial.c puts bytes in on vCPU threads and takes input.
 *
 * Output goes into a ring, which the event loop empties without blocking, so a
 * reader that is slow, stopped or absent costs a vCPU nothing. A full ring loses
 * its oldest bytes. Input is read only while there is room to keep it, so what
 * a person pastes is not lost either: it waits in the terminal or the socket.
 * When the guest seems to be dead the terminal is read all the same, lest Ctrl-A x
 * waits there, too.
 *
 * A serial line has no window size, so nothing is to be done when it changes:
 * the guest's programs ask the terminal itself (resize(1)).
 */
#define _GNU_SOURCE /* accept4() */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/console.h"
#include "chardev/terminal.h"
#include "log.h"

#define OUTPUT_SIZE   65536 /* waits for a reader */
#define CHUNK_SIZE    4096  /* goes to the reader in one write */
#define INPUT_SIZE    4096  /* waits for the guest */
#define CHUNKS_A_TURN 16    /* before other descriptors get theirs */
#define FLUSH_MS      250
#define STALL_MS      1000 /* a guest that takes no input for so long is not only slow */
#define AGAIN_MS      250  /* what no event tells of is tried again so often */

#define ESCAPE	      0x01 /* Ctrl-A */

enum kind {
	KIND_TTY,
	KIND_FILE,
	KIND_UNIX,
	KIND_NONE,
};

struct console {
	/* Set at creation */
	enum kind kind;
	struct loop *loop;
	int kick_fd;	  /* eventfd: "look at input and output" */
	int listen_fd;	  /* unix */
	char *path;	  /* unix, file */
	bool regular;	  /* file: not a pipe or a device */
	dev_t socket_dev; /* unix: which inode is ours to remove */
	ino_t socket_ino;
	bool keys; /* a terminal: Ctrl-A is special */

	/* Used by the loop's thread only. A descriptor that is not there is -1. */
	int in_fd, out_fd;
	bool in_polled; /* epoll takes in_fd: it is no regular file */
	bool escaped;	/* the last byte was Ctrl-A */
	bool blocked;	/* waiting until out_fd takes more */
	uint8_t input[INPUT_SIZE];
	size_t input_len;
	bool full;			/* input was, when we last looked */
	bool stalled;			/* for long: typed bytes are read for our keys only */
	struct loop_timer *stall_timer; /* only with keys */
	struct loop_timer *again_timer;
	bool background;      /* the terminal is not ours to read */
	bool deaf;	      /* unix: clients cannot be accepted now */
	bool failing;	      /* file: it takes nothing now */
	uint64_t lost_before; /* file: con->lost_ever when that began */
	void (*finish_fn)(void *arg);
	void *finish_arg;
	uint8_t chunk[CHUNK_SIZE];
	size_t chunk_off, chunk_len;

	pthread_mutex_t lock; /* protects all below; innermost */
	uint8_t ring[OUTPUT_SIZE];
	size_t ring_head, ring_len;
	uint64_t lost; /* bytes dropped since the last one that got out */
	uint64_t lost_ever;
	bool want_kick; /* the loop found the ring empty and waits for a byte */
	size_t (*input_fn)(void *arg, const uint8_t *buf, size_t len);
	void *input_arg;
	void (*quit_fn)(void *arg);
	void *quit_arg;
};

/* ------------------------------------------------------------------------- */
/* Output                                                                     */

static void kick(const struct console *con)
{
	const uint64_t one = 1;

	/* Can only fail when the counter is full, and then a wake-up is pending. */
	if (write(con->kick_fd, &one, sizeof(one)) < 0)
		return;
}

void console_put(struct console *con, uint8_t byte)
{
	bool want_kick;

	if (con->kind == KIND_NONE)
		return;

	pthread_mutex_lock(&con->lock);
	if (con->ring_len == OUTPUT_SIZE) {
		con->ring_head = (con->ring_head + 1) % OUTPUT_SIZE;
		con->ring_len--;
		con->lost++;
		con->lost_ever++;
	}
	con->ring[(con->ring_head + con->ring_len++) % OUTPUT_SIZE] = byte;
	want_kick = con->want_kick;
	con->want_kick = false;
	pthread_mutex_unlock(&con->lock);

	if (want_kick)
		kick(con);
}

static void put_text(struct console *con, const char *text)
{
	while (*text)
		console_put(con, (uint8_t)*text++);
}

/* Take a chunk out of the ring, so that it is written without the lock. */
static bool next_chunk(struct console *con)
{
	size_t len = 0;

	pthread_mutex_lock(&con->lock);
	if (con->lost)
		len = (size_t)snprintf((char *)con->chunk, CHUNK_SIZE,
				       "\r\n[console: %llu bytes of output lost]\r\n",
				       (unsigned long long)con->lost);
	con->lost = 0;
	while (con->ring_len && len < CHUNK_SIZE) {
		con->chunk[len++] = con->ring[con->ring_head];
		con->ring_head = (con->ring_head + 1) % OUTPUT_SIZE;
		con->ring_len--;
	}
	con->want_kick = len == 0;
	pthread_mutex_unlock(&con->lock);

	con->chunk_off = 0;
	con->chunk_len = len;
	return len != 0;
}

static void stop_kicks(struct console *con)
{
	pthread_mutex_lock(&con->lock);
	con->want_kick = false;
	pthread_mutex_unlock(&con->lock);
}

static void close_fd(struct console *con, int *fd)
{
	if (*fd < 0)
		return;
	loop_del_fd(con->loop, *fd);
	close(*fd);
	*fd = -1;
}

static void try_again(struct console *con)
{
	loop_timer_arm(con->again_timer, loop_now() + AGAIN_MS * 1000000ULL);
}

static uint64_t lost_ever(struct console *con)
{
	uint64_t lost;

	pthread_mutex_lock(&con->lock);
	lost = con->lost_ever;
	pthread_mutex_unlock(&con->lock);
	return lost;
}

static size_t pending(struct console *con)
{
	size_t len;

	pthread_mutex_lock(&con->lock);
	len = con->ring_len;
	pthread_mutex_unlock(&con->lock);
	return len + con->chunk_len - con->chunk_off;
}

/* Nothing is left, or nobody is there to take it. */
static bool delivered(struct console *con)
{
	return con->out_fd < 0 || con->failing || !pending(con);
}

/* The client went: what is left waits for the next one. */
static void disconnect(struct console *con)
{
	close_fd(con, &con->in_fd);
	close_fd(con, &con->out_fd);
	con->blocked = false;
	stop_kicks(con);
}

/* A full disk, a quota, a limit: it may pass. Meanwhile the ring keeps what it can. */
static void output_waits(struct console *con, int err)
{
	if (!con->failing) {
		log_error("console: cannot write to %s: %s; it is tried again", con->path,
			  strerror(err));
		con->lost_before = lost_ever(con);
	}
	con->failing = con->blocked = true;
	try_again(con);
}

static void output_goes_on(struct console *con)
{
	con->failing = false;
	log_info("console: %s takes output again; %llu bytes were lost", con->path,
		 (unsigned long long)(lost_ever(con) - con->lost_before));
}

static void output_failed(struct console *con, int err)
{
	if (con->regular) {
		output_waits(con, err);
		return;
	}
	/* The reader of a pipe, a closed terminal, a client just left. */
	if (con->kind != KIND_UNIX && err != EPIPE && err != EIO)
		log_error("console: cannot write to %s: %s; its output stops here",
			  con->path ? con->path : "standard output", strerror(err));
	/* What a client sent before is still to be read. */
	close_fd(con, &con->out_fd);
	con->blocked = false;
	stop_kicks(con);
}

/* A socket handed down to us is shared, so its flags are not ours to change. */
static ssize_t write_out(const struct console *con, const void *buf, size_t len)
{
	ssize_t n = send(con->out_fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(con->out_fd, buf, len) : n;
}

static ssize_t read_in(const struct console *con, void *buf, size_t len)
{
	ssize_t n = recv(con->in_fd, buf, len, MSG_DONTWAIT);

	return n < 0 && errno == ENOTSOCK ? read(con->in_fd, buf, len) : n;
}

/* Write until the ring is empty or the reader is busy; bounded. */
static void drain_once(struct console *con)
{
	unsigned int turn;

	for (turn = 0; turn < CHUNKS_A_TURN && con->out_fd >= 0 && !con->blocked; turn++) {
		ssize_t n;

		if (con->chunk_off == con->chunk_len && !next_chunk(con))
			return;
		n = write_out(con, con->chunk + con->chunk_off, con->chunk_len - con->chunk_off);
		if (n >= 0) {
			con->chunk_off += (size_t)n;
			if (con->failing)
				output_goes_on(con);
		} else if (errno == EAGAIN && !loop_mod_fd(con->loop, con->out_fd, EPOLLOUT))
			con->blocked = true;
		else if (errno != EINTR)
			output_failed(con, errno);
	}
	/* The rest in the next turn, as nobody will kick for it. */
	if (con->out_fd >= 0 && !con->blocked)
		kick(con);
}

static void drain(struct console *con)
{
	drain_once(con);
	if (con->finish_fn && delivered(con))
		con->finish_fn(con->finish_arg);
}

static void on_output(void *arg, int fd, uint32_t events)
{
	struct console *con = arg;

	(void)events;
	loop_mod_fd(con->loop, fd, 0);
	con->blocked = false;
	drain(con);
}

/* ------------------------------------------------------------------------- */
/* Input                                                                      */

void console_input_ready(struct console *con)
{
	kick(con);
}

void console_set_input(struct console *con, size_t (*fn)(void *arg, const uint8_t *buf, size_t len),
		       void *arg)
{
	pthread_mutex_lock(&con->lock);
	con->input_fn = fn;
	con->input_arg = arg;
	pthread_mutex_unlock(&con->lock);
	/* What the last receiver did not take goes to this one. */
	kick(con);
}

void console_set_quit(struct console *con, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&con->lock);
	con->quit_fn = fn;
	con->quit_arg = arg;
	pthread_mutex_unlock(&con->lock);
}

static void quit(struct console *con)
{
	void (*fn)(void *arg);
	void *arg;

	pthread_mutex_lock(&con->lock);
	fn = con->quit_fn;
	arg = con->quit_arg;
	pthread_mutex_unlock(&con->lock);
	if (fn)
		fn(arg);
}

static void help(struct console *con)
{
	put_text(con, "\r\n"
		      "Ctrl-A x       end the VM at once, like pulling its plug\r\n"
		      "Ctrl-A h       this list\r\n"
		      "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
}

/* Add typed bytes to the input, without the keys that are meant for us. */
static void take_typed(struct console *con, const uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint8_t byte = buf[i];

		if (con->keys && !con->escaped && byte == ESCAPE) {
			con->escaped = true;
			continue;
		}
		if (con->escaped) {
			con->escaped = false;
			if (byte == 'x' || byte == 'X')
				quit(con);
			else if (byte == 'h' || byte == 'H' || byte == '?')
				help(con);
			if (byte != ESCAPE)
				continue;
		}
		if (con->input_len < INPUT_SIZE)
			con->input[con->input_len++] = byte;
	}
}

/* Offer what we hold, if only nothing, since the receiver asked; keep what is not taken. */
static void offer_input(struct console *con)
{
	size_t (*fn)(void *arg, const uint8_t *buf, size_t len);
	size_t taken = 0;
	void *arg;

	pthread_mutex_lock(&con->lock);
	fn = con->input_fn;
	arg = con->input_arg;
	pthread_mutex_unlock(&con->lock);
	if (fn)
		taken = fn(arg, con->input, con->input_len);
	con->input_len -= taken;
	memmove(con->input, con->input + taken, con->input_len);
}

/* Its keys are the shell's then. That we come to the foreground is found by looking. */
static bool in_background(struct console *con)
{
	if (!con->keys || terminal_in_foreground())
		return false;
	con->background = true;
	try_again(con);
	return true;
}

static void input_ended(struct console *con)
{
	if (con->kind == KIND_UNIX)
		disconnect(con);
	else
		close_fd(con, &con->in_fd);
}

/* Returns whether there may be more to read. */
static bool read_input(struct console *con)
{
	size_t room = INPUT_SIZE - con->input_len;
	uint8_t buf[INPUT_SIZE];
	ssize_t n;

	if (con->in_fd < 0 || (!room && !con->stalled) || in_background(con))
		return false;
	n = read_in(con, buf, room ? room : sizeof(buf));
	if (n > 0) {
		take_typed(con, buf, (size_t)n);
		return true;
	}
	/* Who just came to the background is told so by an error of its own. */
	if (n == 0 || (errno != EAGAIN && errno != EINTR && !in_background(con)))
		input_ended(con);
	return false;
}

/* Poll for input while there is room, and wait for a stall while there is none. */
static void poll_input(struct console *con)
{
	bool full = con->input_len == INPUT_SIZE;

	if (full != con->full && con->stall_timer) {
		con->stalled = false;
		loop_timer_arm(con->stall_timer, full ? loop_now() + STALL_MS * 1000000ULL : 0);
	}
	con->full = full;
	loop_mod_fd(con->loop, con->in_fd,
		    (full && !con->stalled) || con->background ? 0 : EPOLLIN);
}

static void on_stall(void *arg)
{
	struct console *con = arg;

	con->stalled = true;
	put_text(con, "\r\n[console: the guest takes no input, more of it is dropped; Ctrl-A x "
		      "ends the VM]\r\n");
	if (con->in_fd >= 0)
		poll_input(con);
}

static void on_again(void *arg)
{
	struct console *con = arg;

	if (con->kind == KIND_FILE) {
		con->blocked = false;
		drain(con);
	} else if (con->kind == KIND_UNIX) {
		loop_mod_fd(con->loop, con->listen_fd, EPOLLIN);
	} else {
		con->background = false;
		if (in_background(con))
			return;
		terminal_take();
		if (con->in_fd >= 0)
			poll_input(con);
	}
}

static void update_input(struct console *con)
{
	offer_input(con);
	if (con->in_fd < 0)
		return;
	if (con->in_polled) {
		poll_input(con);
		return;
	}
	/* A regular file is always readable; it ends, or the guest is busy, at some point. */
	while (con->input_len < INPUT_SIZE && read_input(con))
		offer_input(con);
}

static void on_input(void *arg, int fd, uint32_t events)
{
	struct console *con = arg;

	(void)fd;
	(void)events;
	read_input(con);
	update_input(con);
}

static void on_kick(void *arg, int fd, uint32_t events)
{
	struct console *con = arg;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	update_input(con);
	drain(con);
}

/* ------------------------------------------------------------------------- */
/* Opening: the common part, terminal, file                                   */

static int set_input_fd(struct console *con, int fd)
{
	int ret = loop_add_fd(con->loop, fd, EPOLLIN, on_input, con);

	/* Regular files, /dev/null and their like cannot be waited for. */
	if (ret < 0 && ret != -EPERM)
		return ret;
	con->in_fd = fd;
	con->in_polled = ret == 0;
	return 0;
}

static int set_output_fd(struct console *con, int fd)
{
	int ret = loop_add_fd(con->loop, fd, 0, on_output, con);

	if (ret < 0)
		return ret;
	con->out_fd = fd;
	return 0;
}

/*
 * A descriptor of our own for standard input or output. O_NONBLOCK belongs to
 * the open file, which is shared with the shell that started us and would find
 * its terminal non-blocking: so terminals and pipes are opened once more through
 * /proc. Where that is not allowed (another user's terminal or pipe, after su),
 * input does without, as it is read only when ready; output sets the flag, and
 * terminal_restore() takes it away again. Not for regular files: opened
 * anew they would begin at offset 0, and they never block for long.
 */
static int own_fd(int fd, int mode)
{
	char path[32];
	struct stat st;
	int own;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (own >= 0)
			return own;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	if (mode == O_WRONLY && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
		terminal_set_nonblocking();
	return own;
}

static int open_tty(struct console *con, struct error *e)
{
	int in = own_fd(STDIN_FILENO, O_RDONLY);
	int out = own_fd(STDOUT_FILENO, O_WRONLY);
	int ret = 0;

	/* Either may be closed: then there is just no input, or no output. */
	if (in < 0 && in != -EBADF)
		ret = in;
	else if (out < 0 && out != -EBADF)
		ret = out;
	if (!ret && in >= 0)
		ret = set_input_fd(con, in);
	if (!ret && out >= 0)
		ret = set_output_fd(con, out);
	if (ret < 0) {
		if (in >= 0 && con->in_fd != in)
			close(in);
		if (out >= 0 && con->out_fd != out)
			close(out);
		return error_set(e, -ret, "console tty: cannot use standard input and output: %s",
				 strerror(-ret));
	}
	if (!isatty(STDIN_FILENO))
		return 0;
	con->stall_timer = loop_timer_create(con->loop, on_stall, con);
	if (!con->stall_timer)
		return error_set(e, ENOMEM, "out of memory for the console");
	con->keys = true;
	terminal_start_raw();
	if (in_background(con)) {
		log_info("the console takes no input before it is in the terminal's foreground");
		poll_input(con);
	}
	return 0;
}

/* What to do about a path at which nothing could be created. */
static const char *remedy(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return "; make its directory first";
	case EACCES:
	case EPERM:
	case EROFS:
		return "; choose a place where you may write";
	case EISDIR:
		return "; name a file in it";
	default:
		return "";
	}
}

/*
 * One writer, as with disks, whose lock this is, too: two would overwrite each other, and
 * who names a disk here by mistake is told so. Where nothing can be locked, that is no
 * reason to do without a console.
 */
static bool in_use(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES);
}

/*
 * What the file holds is kept until console_begin(). Others may truncate it while we write:
 * O_APPEND goes on at its end, wherever that is.
 */
static int open_file(struct console *con, struct error *e)
{
	/* O_NONBLOCK: a named pipe that nobody reads is an error rather than a hang. */
	int fd = open(con->path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
		      0644);
	struct stat st;
	int ret;

	if (fd < 0 && errno == ENXIO)
		return error_set(e, ENXIO,
				 "console file '%s': a pipe without a reader; start the "
				 "reader first",
				 con->path);
	if (fd < 0)
		return error_set(e, errno, "console file '%s': %s%s", con->path, strerror(errno),
				 remedy(errno));
	con->regular = !fstat(fd, &st) && S_ISREG(st.st_mode);
	if (con->regular && in_use(fd)) {
		close(fd);
		return error_set(e, EBUSY,
				 "console file '%s': in use by another machine; choose another "
				 "file",
				 con->path);
	}
	ret = set_output_fd(con, fd);
	if (ret < 0) {
		close(fd);
		return error_set(e, -ret, "console file '%s': %s", con->path, strerror(-ret));
	}
	return 0;
}

int console_begin(struct console *con, struct error *e)
{
	if (con->regular && ftruncate(con->out_fd, 0))
		return error_set(e, errno, "console file '%s': %s", con->path, strerror(errno));
	return 0;
}

/* ------------------------------------------------------------------------- */
/* Opening: socket                                                            */

static void client_connected(struct console *con, int fd)
{
	int out = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	/* Two descriptors: the loop watches each for its own event. */
	if (out < 0 || set_output_fd(con, out) < 0) {
		if (out >= 0)
			close(out);
		close(fd);
		return;
	}
	if (set_input_fd(con, fd) < 0) {
		close(fd);
		disconnect(con);
		return;
	}
	drain(con);
}

/* The end of its input, which would tell, is not read while there is no room for what comes first. */
static bool is_gone(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

static void on_connect(void *arg, int listen_fd, uint32_t events)
{
	static const char busy[] = "The console is in use by another client.\r\n";
	struct console *con = arg;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		/* Out of descriptors, perhaps: waiting clients would wake the loop for ever. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			if (!con->deaf)
				log_error("console: clients of %s have to wait: %s", con->path,
					  strerror(errno));
			con->deaf = true;
			loop_mod_fd(con->loop, listen_fd, 0);
			try_again(con);
		}
		return;
	}
	con->deaf = false;
	if (con->in_fd >= 0 && is_gone(con->in_fd)) {
		/* The guest does not take what it sent: who is there comes first. */
		disconnect(con);
	} else if (con->in_fd >= 0) {
		/* As a courtesy; whether it arrives does not matter. */
		(void)!send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	client_connected(con, fd);
}

/* A socket that nobody listens on was left behind by a process that was killed. */
static bool is_dead_socket(const struct sockaddr_un *addr)
{
	struct stat st;
	bool dead;
	int fd;

	if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	dead = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) && errno == ECONNREFUSED;
	close(fd);
	return dead;
}

static int bind_socket(int fd, const struct sockaddr_un *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)addr;

	/* Whoever connects is at the guest's console: the inode gets these rights. */
	if (fchmod(fd, 0600))
		return -errno;
	if (!bind(fd, sa, sizeof(*addr)))
		return 0;
	if (errno != EADDRINUSE || !is_dead_socket(addr))
		return -errno;
	if (unlink(addr->sun_path) || bind(fd, sa, sizeof(*addr)))
		return -errno;
	return 0;
}

static int open_unix(struct console *con, struct error *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int ret;

	if (strlen(con->path) >= sizeof(addr.sun_path))
		return error_set(e, ENAMETOOLONG,
				 "console socket '%s': a socket's path can have "
				 "%zu characters at most",
				 con->path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, con->path);

	con->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (con->listen_fd < 0)
		return error_set(e, errno, "console socket: %s", strerror(errno));
	ret = bind_socket(con->listen_fd, &addr);
	if (ret == -EADDRINUSE)
		return error_set(e, EADDRINUSE,
				 "console socket '%s': in use by another process, "
				 "or not a socket; remove it or choose another path",
				 con->path);
	if (ret < 0)
		return error_set(e, -ret, "console socket '%s': %s%s", con->path, strerror(-ret),
				 remedy(-ret));
	if (!lstat(con->path, &st)) {
		con->socket_dev = st.st_dev;
		con->socket_ino = st.st_ino;
	}
	ret = listen(con->listen_fd, 4) ? -errno : 0;
	if (!ret)
		ret = loop_add_fd(con->loop, con->listen_fd, EPOLLIN, on_connect, con);
	if (ret < 0)
		return error_set(e, -ret, "console socket '%s': %s", con->path, strerror(-ret));
	return 0;
}

/* Ours only: somebody may have removed it and put another one there. */
static void remove_socket(const struct console *con)
{
	struct stat st;

	if (con->socket_ino && !lstat(con->path, &st) && st.st_dev == con->socket_dev &&
	    st.st_ino == con->socket_ino)
		unlink(con->path);
}

/* ------------------------------------------------------------------------- */

static bool parse_kind(struct console *con, const char *spec)
{
	const char *path = NULL;

	if (!strcmp(spec, "tty")) {
		con->kind = KIND_TTY;
		return true;
	}
	if (!strcmp(spec, "none")) {
		con->kind = KIND_NONE;
		return true;
	}
	if (!strncmp(spec, "file=", 5)) {
		con->kind = KIND_FILE;
		path = spec + 5;
	} else if (!strncmp(spec, "unix=", 5)) {
		con->kind = KIND_UNIX;
		path = spec + 5;
	}
	if (!path || !*path)
		return false;
	con->path = strdup(path);
	return con->path;
}

static int open_backend(struct console *con, struct error *e)
{
	switch (con->kind) {
	case KIND_TTY:
		return open_tty(con, e);
	case KIND_FILE:
		return open_file(con, e);
	case KIND_UNIX:
		return open_unix(con, e);
	case KIND_NONE:
		break;
	}
	return 0;
}

struct console *console_open(const char *spec, struct loop *loop, struct error *e)
{
	struct console *con = calloc(1, sizeof(*con));
	int ret;

	if (!con) {
		error_set(e, ENOMEM, "out of memory for the console");
		return NULL;
	}
	con->loop = loop;
	con->kick_fd = con->listen_fd = con->in_fd = con->out_fd = -1;
	pthread_mutex_init(&con->lock, NULL);
	con->again_timer = loop_timer_create(loop, on_again, con);
	if (!con->again_timer) {
		error_set(e, ENOMEM, "out of memory for the console");
		console_close(con);
		return NULL;
	}
	con->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = con->kick_fd < 0 ? -errno : loop_add_fd(loop, con->kick_fd, EPOLLIN, on_kick, con);
	if (ret < 0) {
		error_set(e, -ret, "console: %s", strerror(-ret));
		console_close(con);
		return NULL;
	}
	if (!parse_kind(con, spec)) {
		con->kind = KIND_NONE;
		error_set(e, EINVAL, "console '%s': must be tty, none, file=FILE or unix=PATH",
			  spec);
		console_close(con);
		return NULL;
	}
	if (open_backend(con, e) < 0) {
		console_close(con);
		return NULL;
	}
	/* The first look at input that cannot be polled, and at output. */
	kick(con);
	return con;
}

/* The last words of a guest are the most wanted ones, but not at any price. */
static void flush(struct console *con)
{
	uint64_t end = loop_now() + FLUSH_MS * 1000000ULL;
	int64_t left = FLUSH_MS;

	while (con->out_fd >= 0 && left > 0) {
		struct pollfd pfd = {.fd = con->out_fd, .events = POLLOUT};

		con->blocked = false;
		drain(con);
		if (delivered(con))
			break;
		left = (int64_t)(end - loop_now()) / 1000000;
		if (left > 0)
			poll(&pfd, 1, (int)left);
	}
	if (con->out_fd >= 0 && pending(con))
		log_error("console: the last %zu bytes of output are lost: %s does not take them",
			  pending(con), con->path ? con->path : "standard output");
}

bool console_finish(struct console *con, void (*fn)(void *arg), void *arg)
{
	if (con->kind != KIND_TTY || delivered(con))
		return false;
	con->finish_fn = fn;
	con->finish_arg = arg;
	/* Nobody takes input any more, but for our keys. */
	con->stalled = con->keys;
	if (!con->keys)
		close_fd(con, &con->in_fd);
	kick(con);
	return true;
}

void console_close(struct console *con)
{
	if (!con)
		return;
	con->finish_fn = NULL;
	flush(con);
	if (con->kind == KIND_TTY)
		terminal_end();
	if (con->kind == KIND_UNIX)
		remove_socket(con);
	loop_timer_destroy(con->stall_timer);
	loop_timer_destroy(con->again_timer);
	disconnect(con);
	close_fd(con, &con->listen_fd);
	close_fd(con, &con->kick_fd);
	pthread_mutex_destroy(&con->lock);
	free(con->path);
	free(con);
}
