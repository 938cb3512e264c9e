// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clients of a machine's control socket, for tests/boot/control.sh in a test host, which has no curl.
 *
 *   clients SOCKET METHOD PATH [BODY]   one that behaves: prints the status and the body of the answer
 *   clients SOCKET                      200 at a time that do not: half requests, garbage, bodies without an end, and
 *                                       nobody who reads; meanwhile one that behaves must be answered, again and again
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MANY	 200
#define ROUNDS	 20
#define PATIENCE 60 /* seconds, in a slow host */

static const char *path;

static int open_client(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	/* Blocking until there is room in the queue of those who connect. */
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		printf("cannot connect: %s\n", strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	(void)!send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The status of the answer, or 0; prints its body if that is wanted. */
static int ask(const char *method, const char *target, const char *body, bool print)
{
	static char text[1 << 20];
	size_t len = 0;
	int status = 0, fd = open_client();
	const char *end;
	ssize_t n;

	n = snprintf(text, sizeof(text),
		     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     method, target, strlen(body), body);
	say(fd, text, (size_t)n);
	while (len < sizeof(text) - 1 && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	text[len] = '\0';
	end = strstr(text, "\r\n\r\n");
	if (!end || sscanf(text, "HTTP/1.1 %d ", &status) != 1)
		return 0;
	if (print)
		printf("%d\n%s", status, end + 4);
	return status;
}

/* One of some kinds of misbehaviour; it stays as it is. */
static int misbehave(unsigned int kind)
{
	static const char half[] = "POST /stop HTTP/1.1\r\nHost: a\r\nContent-Le";
	static const char events[] = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char many[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char endless[] =
		"POST /pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	static const char chunk[] = "10\r\n0123456789abcdef\r\n";
	char garbage[4096];
	int fd = open_client();

	switch (kind) {
	case 0:
		say(fd, half, sizeof(half) - 1);
		break;
	case 1:
		for (size_t i = 0; i < sizeof(garbage); i++)
			garbage[i] = (char)rand();
		say(fd, garbage, sizeof(garbage));
		break;
	case 2:
		say(fd, events, sizeof(events) - 1);
		break;
	case 3:
		for (unsigned int i = 0; i < 500; i++)
			say(fd, many, sizeof(many) - 1);
		break;
	case 4:
		say(fd, endless, sizeof(endless) - 1);
		for (unsigned int i = 0; i < 500; i++)
			say(fd, chunk, sizeof(chunk) - 1);
		break;
	case 5:
		say(fd, half, sizeof(half) - 1);
		shutdown(fd, SHUT_WR);
		break;
	default:
		/* It says nothing. */
		break;
	}
	return fd;
}

static int all_misbehave(void)
{
	int fd[MANY], answered = 0;

	for (unsigned int i = 0; i < MANY; i++)
		fd[i] = misbehave(i % 7);
	for (unsigned int i = 0; i < ROUNDS; i++)
		answered += ask("GET", "/status", "", false) == 200;
	for (unsigned int i = 0; i < MANY; i++)
		close(fd[i]);
	printf("%d of %d were answered\n", answered, ROUNDS);
	return answered == ROUNDS ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc != 2 && argc != 4 && argc != 5) {
		fputs("usage: clients SOCKET [METHOD PATH [BODY]]\n", stderr);
		return 2;
	}
	path = argv[1];
	if (argc == 2)
		return all_misbehave();
	return ask(argv[2], argv[3], argc == 5 ? argv[4] : "", true) / 100 == 2 ? 0 : 1;
}
