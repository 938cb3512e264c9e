// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm/control: what several clients send, in any pieces and order, to the server of a machine that is none. Each input
 * is a script: who sends, closes, shuts down or reads, and the bytes; its first byte says whether it is a machine that
 * clients describe (--api-only). Whatever they do, the machine is told only what a whole request said, and one who
 * behaves is answered at the end.
 */
#define _GNU_SOURCE /* close_range() */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api.h"
#include "tests/fuzz/fuzz.h"

#define CLIENTS	 4
#define ASK_LAST "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static struct loop *loop;
static struct api *api;
static struct sockaddr_un address;
static socklen_t address_len;
static int client[CLIENTS];
static int idle_fd;
/* No text of a request may make it more than this. */
static unsigned int acts;

static enum status_state state;

static int act(void *arg, struct error *e)
{
	(void)arg;
	acts++;
	if (state == STATE_CREATED)
		return error_set(e, EBUSY, "there is no machine yet");
	return acts % 3 ? 0 : error_set(e, EBUSY, "not now");
}

static int start(void *arg, struct error *e)
{
	(void)arg;
	(void)e;
	must(state == STATE_CREATED);
	acts++;
	state = STATE_STARTING;
	return 0;
}

/* It runs, or it does not. */
static void settle(void)
{
	struct error e;

	if (state != STATE_STARTING)
		return;
	error_set(&e, ENOENT, "there is no such file");
	state = acts % 3 ? STATE_RUNNING : STATE_CREATED;
	api_started(api, state == STATE_CREATED ? &e : NULL);
}

static int stop(void *arg, int *seconds, struct error *e)
{
	must(*seconds >= -1 && *seconds <= 86400);
	*seconds = 1;
	(void)arg;
	acts++;
	return acts % 3 ? 0 : error_set(e, EBUSY, "not now");
}

static void get_status(void *arg, struct status *s)
{
	(void)arg;
	*s = (struct status){.name = "fuzz", .state = state};
	if (state == STATE_RUNNING && acts & 1)
		s->state = STATE_PAUSED;
}

static void get_stats(void *arg, struct api_stats *s)
{
	(void)arg;
	*s = (struct api_stats){.pio = UINT64_MAX};
}

static void count(void *arg, api_count_fn fn, void *to)
{
	(void)arg;
	fn(to, "disk0", "reads", UINT64_MAX);
}

static const struct api_ops ops = {
	.pause = act,
	.resume = act,
	.reset = act,
	.power_button = act,
	.stop = stop,
	.kill = act,
	.nmi = act,
	.start = start,
	.status = get_status,
	.stats = get_stats,
	.count = count,
};

/* The loop stops when it has had a turn after all that was ready: this is ready always, and asked for last. */
static void on_idle(void *arg, int fd, uint32_t events)
{
	unsigned int *turns = arg;

	(void)fd;
	(void)events;
	if (!--*turns)
		loop_stop(loop);
}

static void run(unsigned int turns)
{
	loop_add_fd(loop, idle_fd, EPOLLIN, on_idle, &turns);
	must(!loop_run(loop));
	loop_del_fd(loop, idle_fd);
}

static void open_client(unsigned int n)
{
	client[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(!connect(client[n], (struct sockaddr *)&address, address_len));
}

static void close_client(unsigned int n)
{
	if (client[n] >= 0)
		close(client[n]);
	client[n] = -1;
}

/* What one step of the script begins with: a byte, who it is about. */
static void step(struct input *in)
{
	unsigned int what = (unsigned int)take(in, 1), n = what % CLIENTS;
	char buf[4096];
	size_t len;

	if (client[n] < 0)
		open_client(n);
	switch (what / CLIENTS % 8) {
	case 0:
		close_client(n);
		break;
	case 1:
		shutdown(client[n], SHUT_WR);
		break;
	case 2:
		(void)!recv(client[n], buf, sizeof(buf), 0);
		break;
	case 3:
		settle();
		api_state_changed(api);
		api_was_reset(api);
		break;
	default:
		len = (size_t)take(in, 1);
		len = len < in->left ? len : in->left;
		(void)!send(client[n], in->at, len, MSG_NOSIGNAL);
		in->at += len;
		in->left -= len;
	}
	run(1 + what / 128 * 2);
}

static void must_be_answered(void)
{
	char text[16] = "";

	close_client(0);
	open_client(0);
	must(send(client[0], ASK_LAST, strlen(ASK_LAST), MSG_NOSIGNAL) > 0);
	for (unsigned int i = 0; i < 64 && recv(client[0], text, 13, MSG_PEEK) < 13; i++)
		run(4);
	must(!memcmp(text, "HTTP/1.1 200 ", 13));
}

/*
 * Clients may name files to be written to: none is made where an unprivileged user cannot make one, or below /proc; nor
 * is a descriptor of the fuzzer's taken, but for standard error, which is given back.
 */
static int standard_error, directory, nowhere;

static void protect(void)
{
	if (!nowhere) {
		standard_error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		directory = open(".", O_PATH | O_CLOEXEC);
		nowhere = open("/proc", O_PATH | O_CLOEXEC);
		must(nowhere > 0);
	}
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	must(!fchdir(nowhere));
	must(geteuid() || !seteuid(65534));
}

static void unprotect(void)
{
	must(getuid() || !seteuid(0));
	must(!fchdir(directory));
	dup2(standard_error, STDERR_FILENO);
}

static void create(int fd, bool described, struct config *config)
{
	char *argv[] = {"run", "--name", "fuzz", described ? "--api-only" : "--kernel=k", NULL};
	struct error e;

	must(!config_parse(4, argv, config, &e));
	state = described ? STATE_CREATED : STATE_RUNNING;
	api = api_create(loop, fd, config, &ops, NULL, &e);
	must(api);
	must(!described || !api_serve_firecracker(api, config, &e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct config config;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	protect();
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	address_len = sizeof(address);
	must(!bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)));
	must(!getsockname(fd, (struct sockaddr *)&address, &address_len));
	must(!listen(fd, 2 * CLIENTS));
	loop = loop_create();
	idle_fd = eventfd(1, EFD_CLOEXEC);
	acts = 0;
	create(fd, take(&in, 1) & 1, &config);
	memset(client, -1, sizeof(client));
	while (in.left)
		step(&in);
	/* A request is more than a byte for each of what it has done. */
	must(acts <= size / 16);
	settle();
	must_be_answered();
	for (unsigned int n = 0; n < CLIENTS; n++)
		close_client(n);
	api_destroy(api);
	config_destroy(&config);
	close(idle_fd);
	close(fd);
	loop_destroy(loop);
	unprotect();
	return 0;
}
