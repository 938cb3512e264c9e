// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runtime directory of a machine of "vmm run", and the process of a detached one. Called by cmd/run.c.
 *
 * A detached machine is a child in a session of its own. Until it runs, what goes wrong is said on the terminal of
 * the command, which waits, and ends with the child's status; if the command is ended, so is the child.
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/home.h"
#include "log.h"
#include "sandbox/sandbox.h"

/* It is in memory, as a rule; two of these at most. */
#define LOG_SIZE      (1U << 20)
#define MESSAGES_SIZE (4U << 20)

#define BACKLOG	      32

/* ------------------------------------------------------------------------- */
/* Parent and child                                                           */

/* The machine's name, once it runs; nothing when it has ended before. */
static ssize_t read_name(int fd, char *name, size_t size)
{
	ssize_t n;

	do {
		n = read(fd, name, size - 1);
	} while (n < 0 && errno == EINTR);
	name[n > 0 ? n : 0] = '\0';
	return n;
}

/* Until the machine runs it ends with the command. Constant once there is a handler. */
static pid_t child;

static void on_signal(int signal)
{
	kill(child, SIGKILL);
	raise(signal);
}

static void end_child_with_us(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	/* The second time, the default action: that is what raise() brings about. */
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	struct sigaction old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* Who is not to be ended so is not (nohup). */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static int wait_for_child(pid_t pid, int fd)
{
	char name[RUNTIME_NAME_MAX + 2];
	int status;

	if (read_name(fd, name, sizeof(name)) > 0) {
		puts(name);
		return STATUS_OK;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	log_error("the machine's process was ended by a signal: %s", strsignal(WTERMSIG(status)));
	return STATUS_ERROR;
}

static int become_child(struct home *h, int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return -errno;
	close(null);
	setsid();
	h->parent = fd;
	return 0;
}

int home_detach(const struct config *config, struct home *h, int *status, struct error *e)
{
	sigset_t blocked, old;
	int fd[2], ret;

	*h = (struct home){.parent = -1, .messages = -1, .socket.fd = -1};
	if (!config->detach)
		return 0;
	fflush(stdout);
	if (pipe2(fd, O_CLOEXEC))
		return error_set(e, errno, "cannot detach: %s", strerror(errno));
	/* None comes before it is known whose it is. */
	sigfillset(&blocked);
	sigprocmask(SIG_SETMASK, &blocked, &old);
	child = fork();
	if (child > 0)
		end_child_with_us();
	ret = child < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (!child) {
		close(fd[0]);
		ret = become_child(h, fd[1]);
	}
	if (ret)
		return error_set(e, -ret, "cannot detach: %s", strerror(-ret));
	if (!child)
		return 0;
	close(fd[1]);
	*status = wait_for_child(child, fd[0]);
	close(fd[0]);
	return 1;
}

bool home_ready(struct home *h)
{
	const char *name = h->runtime ? runtime_name(h->runtime) : "";
	bool told;

	if (h->parent < 0)
		return true;
	/* In this order: who reads the command's output to its end does not wait for ours. */
	dup2(h->messages, STDOUT_FILENO);
	dup2(h->messages, STDERR_FILENO);
	close(h->messages);
	log_set_limit(MESSAGES_SIZE);
	told = write(h->parent, name, strlen(name)) > 0;
	close(h->parent);
	h->parent = h->messages = -1;
	return told;
}

/* ------------------------------------------------------------------------- */
/* The directory                                                              */

static int open_messages(struct home *h, struct error *e)
{
	h->messages = openat(runtime_dir(h->runtime), RUNTIME_MESSAGES_LOG,
			     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (h->messages < 0)
		return error_set(e, errno, "cannot create " RUNTIME_MESSAGES_LOG ": %s",
				 strerror(errno));
	return 0;
}

static int open_socket(const char *path, struct home *h, struct error *e)
{
	int ret = listener_open(&h->socket, path, BACKLOG);
	const char *what = strerror(-ret);

	if (ret == -EADDRINUSE)
		what = "in use by another process, or not a socket; remove it or choose another "
		       "path";
	else if (ret == -ENAMETOOLONG)
		what = "too long for a socket's path, which can have 107 characters";
	return ret ? error_set_at(e, -ret, "api-sock", "control socket '%s': %s", path, what) : 0;
}

/* A machine that cannot be found by its name can still be told what to do at a socket of its own. */
static bool needs_directory(const struct config *config)
{
	return config->api == CONFIG_API_ON || config->detach ||
	       (config->api_only && !config->api_sock);
}

int home_open(const struct config *config, struct home *h, struct error *e)
{
	const struct runtime_facts facts = {.cpus = config->cpus, .memory = config->memory};
	int ret = config->api_sock ? open_socket(config->api_sock, h, e) : 0;

	if (ret || config->api == CONFIG_API_OFF)
		return ret;
	ret = runtime_create(config->name, &facts, &h->runtime, e);
	if (ret == -ENOENT && !needs_directory(config)) {
		if (config->verbose)
			log_info("%s; the machine cannot be found by its name", e->text);
		return 0;
	}
	if (ret)
		return error_about(e, ret, ret == -EBUSY || ret == -EINVAL ? "name" : "api");
	return config->detach ? open_messages(h, e) : 0;
}

/* By way of a descriptor when the path is longer than a socket's may be. */
static int add_socket(int dir, struct console *console, struct error *e)
{
	char path[64];
	const struct console_where where = {.kind = CONSOLE_SOCKET, .path = path};

	snprintf(path, sizeof(path), "/proc/self/fd/%d/" RUNTIME_CONSOLE, dir);
	return console_add(console, &where, e);
}

static int add_log(int dir, struct console *console, struct error *e)
{
	char path[64], name[PATH_MAX + 16];
	const struct console_where where = {
		.kind = CONSOLE_FILE,
		.path = name,
		.rotate = LOG_SIZE,
		.keep = 1,
	};
	ssize_t len;

	/* Its real name, which is to be renamed. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	len = readlink(path, name, PATH_MAX);
	if (len < 0)
		return error_set(e, errno, "cannot find the machine's directory: %s",
				 strerror(errno));
	snprintf(name + len, sizeof(name) - (size_t)len, "/" RUNTIME_CONSOLE_LOG);
	return console_add(console, &where, e);
}

int home_add_consoles(const struct home *h, const struct config *config, struct console *console,
		      struct error *e)
{
	int ret;

	if (!config->detach)
		return 0;
	ret = add_log(runtime_dir(h->runtime), console, e);
	return ret ? ret : add_socket(runtime_dir(h->runtime), console, e);
}

int home_give(const struct home *h, const char *user, struct error *e)
{
	uid_t uid;
	gid_t gid;
	int ret;

	if (!h->runtime)
		return 0;
	ret = sandbox_find_user(user, &uid, &gid, e);
	return ret ? ret : runtime_give(h->runtime, uid, gid, e);
}

void home_set_status(const struct home *h, const struct status *status)
{
	if (h->runtime)
		runtime_set_status(h->runtime, status);
}

void home_close(struct home *h, int status)
{
	/* The command says why a machine did not start. */
	runtime_destroy(h->runtime, status && h->parent < 0);
	listener_close(&h->socket);
	h->runtime = NULL;
}
