// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client of a machine's API: any bytes as an answer, in pieces, and then the end of the connection. It comes to
 * an end by itself, with a document, lines, or one sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/client.h"
#include "tests/fuzz/fuzz.h"

/* Longer than any input takes: who waits for it hangs. */
#define PATIENCE_MS 50000

static const uint8_t *answer;
static size_t answer_len;
/* The answer may be another one. */
static sem_t served;

/* Byte 0 of an input: what is asked for, and how large a piece of the answer is. */
#define STREAM 1

static void *serve(void *arg)
{
	int listen_fd = *(int *)arg;

	for (;;) {
		int fd = accept(listen_fd, NULL, NULL);
		size_t piece;
		char request[4096];

		must(fd >= 0);
		must(recv(fd, request, sizeof(request), 0) > 0);
		piece = answer_len && answer[0] >> 1 ? answer[0] >> 1 : 4096;
		for (size_t i = 1; i < answer_len; i += piece) {
			size_t len = answer_len - i < piece ? answer_len - i : piece;

			if (send(fd, answer + i, len, MSG_NOSIGNAL) < 0)
				break;
		}
		close(fd);
		sem_post(&served);
	}
	return NULL;
}

static void set_up(struct runtime_machine *m)
{
	static char dir[] = "/tmp/fuzz_client.XXXXXX";
	static int listen_fd;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	pthread_t thread;

	must(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/" RUNTIME_API, dir);
	listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	must(!bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) && !listen(listen_fd, 8));
	m->dir = open(dir, O_RDONLY | O_DIRECTORY);
	must(m->dir >= 0 && !pthread_create(&thread, NULL, serve, &listen_fd));
	strcpy(m->name, "m");
}

static void on_line(void *arg, const char *text)
{
	(void)arg;
	must(*text && !strchr(text, '\n'));
}

static int stream(const struct runtime_machine *m, struct error *e)
{
	struct client_stream *s;
	int ret = client_stream_open(m, "/events", PATIENCE_MS, on_line, NULL, &s, e);

	if (ret)
		return ret;
	do {
		struct pollfd p = {.fd = client_stream_fd(s), .events = POLLIN};

		must(poll(&p, 1, PATIENCE_MS) == 1);
		ret = client_stream_read(s, e);
	} while (ret > 0);
	client_stream_close(s);
	return ret;
}

static int call(const struct runtime_machine *m, struct error *e)
{
	const struct client_request request = {
		.method = "GET", .path = "/status", .timeout_ms = PATIENCE_MS};
	struct client_reply reply;
	int ret = client_call(m, &request, &reply, e);

	if (!ret) {
		must(reply.status < 300);
		json_decref(reply.json);
	}
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct runtime_machine m;
	struct error e = {.text = ""};
	int ret;

	if (!m.dir)
		set_up(&m);
	answer = data;
	answer_len = size;
	ret = size && (data[0] & STREAM) ? stream(&m, &e) : call(&m, &e);
	must(!sem_wait(&served));
	must(ret == 0 || (ret < 0 && strstr(e.text, "machine 'm'") && !strchr(e.text, '\n')));
	must(ret != -ETIMEDOUT);
	return 0;
}
