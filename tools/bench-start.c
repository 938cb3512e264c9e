// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The benchmark of a whole monitor: what passes from its start to the guest's
 * first console byte or to its init, and the memory it then holds for itself.
 * Called by hv-bench.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

/* The guest's init says this; see tests/guest/init. */
#define INIT_SAYS "guest: init reached"

/* A mapping of this size is the guest's memory, not the monitor's. */
#define GUEST_MAPPING_KIB (100u << 10)

/* From its init on a guest has this long to come to rest. */
#define SETTLE_SECONDS 2

struct monitor {
	pid_t pid;
	int input;  /* stays open and silent: an end of input may mean something */
	int output; /* the guest's console */
	uint64_t started;
};

static void start(struct monitor *m, char **command)
{
	int in[2], out[2];

	if (pipe(in) || pipe(out))
		die(errno, "pipe");
	m->started = __rdtsc();
	m->pid = fork();
	if (m->pid < 0)
		die(errno, "fork");
	if (!m->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execvp(command[0], command);
		die(errno, "%s", command[0]);
	}
	close(in[0]);
	close(out[1]);
	m->input = in[1];
	m->output = out[0];
}

static void stop(struct monitor *m)
{
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	close(m->input);
	close(m->output);
}

/* Read the console until text is at its end; the ticks since the start. */
static uint64_t await(struct monitor *m, const char *text)
{
	size_t matched = 0, len = strlen(text);
	char c;

	/* No text can begin again inside itself but at its first character. */
	while (matched < len) {
		if (read(m->output, &c, 1) != 1)
			die(0, "the monitor ended before the guest said '%s'", text);
		matched = c == text[matched] ? matched + 1 : c == text[0];
	}
	return __rdtsc() - m->started;
}

static uint64_t await_byte(struct monitor *m)
{
	char c;

	if (read(m->output, &c, 1) != 1)
		die(0, "the monitor ended before the guest said anything");
	return __rdtsc() - m->started;
}

/*
 * Resident and anonymous KiB of all mappings but the guest's memory: proc(5), "smaps".
 * Nothing where the host's kernel has no such file.
 */
static void print_memory(pid_t pid)
{
	unsigned long resident = 0, anonymous = 0, value;
	char path[64], line[512], name[32];
	bool counted = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "r");
	if (!f && errno == ENOENT)
		return;
	if (!f)
		die(errno, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31[A-Za-z_]: %lu kB", name, &value) != 2)
			continue;
		if (!strcmp(name, "Size"))
			counted = value < GUEST_MAPPING_KIB;
		if (counted && !strcmp(name, "Rss"))
			resident += value;
		if (counted && !strcmp(name, "Anonymous"))
			anonymous += value;
	}
	fclose(f);
	printf("resident_kib %lu\nanonymous_kib %lu\n", resident, anonymous);
}

/* Let the guest run on for a while; what it says is of no interest. */
static void settle(struct monitor *m)
{
	struct timespec t = {.tv_sec = SETTLE_SECONDS};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
	if (waitpid(m->pid, NULL, WNOHANG))
		die(0, "the monitor ended before its memory was looked at");
}

void bench_first_byte(char **command)
{
	struct monitor m;

	start(&m, command);
	printf("start_to_first_byte %llu\n", (unsigned long long)await_byte(&m));
	stop(&m);
}

void bench_init(char **command)
{
	struct monitor m;

	start(&m, command);
	printf("start_to_init %llu\n", (unsigned long long)await(&m, INIT_SAYS));
	settle(&m);
	print_memory(m.pid);
	stop(&m);
}
