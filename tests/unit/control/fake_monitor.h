/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that owns a machine's name and answers its API with what a test says. */
#ifndef TESTS_UNIT_CONTROL_FAKE_MONITOR_H
#define TESTS_UNIT_CONTROL_FAKE_MONITOR_H

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/owner.h"
#include "control/runtime.h"

static char fake_base[64];

static inline void fake_set_up(void)
{
	snprintf(fake_base, sizeof(fake_base), "/tmp/test_control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake_base));
	setenv("HV_RUNTIME_DIR", fake_base, 1);
}

static inline void fake_tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", fake_base);
	ck_assert_int_eq(system(command), 0);
}

struct fake {
	const char *answer; /* NULL: it never answers */
	size_t len;	    /* 0: up to its end */
	bool stays;	    /* after the answer the connection is left open */
	bool ends;	    /* after the answer the process ends */
	bool trickles;	    /* a byte at a time */
};

static inline void fake_send(int fd, const struct fake *f)
{
	size_t len = f->len ? f->len : strlen(f->answer), piece = f->trickles ? 1 : len;

	for (size_t i = 0; i < len; i += piece) {
		if (send(fd, f->answer + i, piece, MSG_NOSIGNAL) < 0)
			return;
	}
}

/* The requests are left in the file "requests" of the runtime directory. */
static inline void fake_serve(struct runtime *r, const void *arg)
{
	const struct fake *f = arg;
	struct pollfd p = {.fd = runtime_api_fd(r), .events = POLLIN};
	char path[128], buf[4096];
	FILE *log;

	snprintf(path, sizeof(path), "%s/requests", fake_base);
	log = fopen(path, "a");
	for (;;) {
		ssize_t n, len = 0;
		int fd;

		poll(&p, 1, -1);
		if (!f->answer)
			continue;
		fd = accept(p.fd, NULL, NULL);
		while ((n = recv(fd, buf + len, sizeof(buf) - 1 - (size_t)len, 0)) > 0) {
			len += n;
			buf[len] = '\0';
			if (strstr(buf, "\r\n\r\n"))
				break;
		}
		fprintf(log, "%s\n", buf);
		fflush(log);
		fake_send(fd, f);
		if (f->ends) {
			runtime_destroy(r, false);
			_exit(0);
		}
		if (!f->stays)
			close(fd);
	}
}

static inline pid_t fake_start(const char *name, const struct fake *f)
{
	const struct runtime_facts facts = {.cpus = 1, .memory = 64 << 20};

	return owner_start(name, &facts, NULL, fake_serve, f);
}

static inline void fake_kill(pid_t pid)
{
	owner_kill(pid);
}

/* Whether what was asked has text in it. */
static inline bool fake_was_asked(const char *text)
{
	char path[128], buf[8192] = "";
	FILE *log;

	snprintf(path, sizeof(path), "%s/requests", fake_base);
	log = fopen(path, "r");
	ck_assert_ptr_nonnull(log);
	buf[fread(buf, 1, sizeof(buf) - 1, log)] = '\0';
	fclose(log);
	return strstr(buf, text);
}

#endif
