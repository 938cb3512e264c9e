// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the whole process gives away, in the one order in which each step has still the right to be made: the root
 * directory, limits, the user, capabilities, files by name. Called once, through cmd/session.c, when everything is open
 * and no thread has been started: most of this is a thread's, and those to come inherit it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "sandbox/internal.h"

enum sandbox_mode sandbox_mode = SANDBOX_OFF;

/* More than there are by now: two for each vCPU, a few for each device. */
#define MOST_DESCRIPTORS 1024
/* Descriptors to come: clients, eventfds of queues that the guest makes interrupt. */
#define MORE_DESCRIPTORS 512
/* Files that are not disks: results, states. */
#define LEAST_FILE (1ULL << 20)

static int failed(struct error *e, int err, const char *what)
{
	return error_set(e, err, "cannot confine the monitor: %s: %s; '--sandbox off' does without",
			 what, strerror(err));
}

/* ------------------------------------------------------------------------- */
/* Limits                                                                     */

static void lower(int resource, uint64_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_cur > most)
		limit.rlim_cur = most;
	limit.rlim_max = limit.rlim_cur;
	setrlimit(resource, &limit);
}

/*
 * How large a file must be able to become: a disk as it is; one that grows, a log or what standard output and error
 * lead to, without end.
 */
static uint64_t size_of(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	if (fd <= STDERR_FILENO || flags & O_APPEND)
		return RLIM_INFINITY;
	return (uint64_t)st.st_size;
}

/* What is ours is closed on exec, also what was named as "fd=N": the rest was left open by mistake. */
static bool close_strange(int fd)
{
	return fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC) && !close(fd);
}

/* By all that are open and stay so: poll() knows which numbers are not, in one call. */
static void set_limits(void)
{
	struct pollfd descriptor[MOST_DESCRIPTORS];
	uint64_t largest = LEAST_FILE;
	struct rlimit limit;
	int last = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_cur > MOST_DESCRIPTORS)
		limit.rlim_cur = MOST_DESCRIPTORS;
	for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
		descriptor[fd] = (struct pollfd){.fd = fd};
	poll(descriptor, limit.rlim_cur, 0);
	for (int fd = 0; fd < (int)limit.rlim_cur; fd++) {
		uint64_t size;

		if (descriptor[fd].revents & POLLNVAL || close_strange(fd))
			continue;
		size = size_of(fd);
		if (size > largest)
			largest = size;
		last = fd;
	}
	lower(RLIMIT_FSIZE, largest);
	lower(RLIMIT_NOFILE, (uint64_t)last + MORE_DESCRIPTORS);
	/* A guest's memory may be in it. */
	lower(RLIMIT_CORE, 0);
}

/* ------------------------------------------------------------------------- */
/* Capabilities                                                               */

/* By hand, in a few lines: libcap-ng costs half a MiB of memory. */
static void close_bounding_set(void)
{
	for (unsigned long cap = 0; !prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); cap++)
		;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

/* ------------------------------------------------------------------------- */

static int leave_root(const struct sandbox_config *c, struct error *e)
{
	int ret = root_leave();

	if (ret == -EPERM) {
		if (c->verbose)
			log_info("sandbox: without the right to a mount namespace (root has it)");
		return 0;
	}
	return ret ? failed(e, -ret, "an empty root directory") : 0;
}

static int restrict_files(const struct sandbox_config *c, struct error *e)
{
	int ret = landlock_restrict();

	if (ret == -ENOSYS) {
		if (c->verbose)
			log_info(
				"sandbox: without Landlock, which this host's kernel does not have");
		return 0;
	}
	return ret ? failed(e, -ret, "Landlock") : 0;
}

static int confine(const struct sandbox_config *c, const struct user *user, struct error *e)
{
	int ret;

	/* The C library reads the host's time zone at the first gmtime(), which needs none. */
	tzset();
	ret = leave_root(c, e);
	if (ret)
		return ret;
	set_limits();
	close_bounding_set();
	ret = user ? user_become(user, e) : 0;
	if (ret)
		return ret;
	ret = drop_capabilities();
	if (ret)
		return failed(e, -ret, "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return failed(e, errno, "no new privileges");
	/* Not even another process of the same user looks into the guest's memory. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	ret = restrict_files(c, e);
	if (!ret)
		sandbox_mode = c->mode;
	return ret;
}

int sandbox_confine(const struct sandbox_config *c, struct error *e)
{
	struct user *user = NULL;
	int ret = c->user ? user_find(c->user, &user, e) : 0;

	if (ret)
		return ret;
	if (c->mode != SANDBOX_OFF) {
		ret = confine(c, user, e);
	} else {
		log_info("the sandbox is off: a guest that breaks out has all that vmm may do");
		ret = user ? user_become(user, e) : 0;
	}
	free(user);
	return ret;
}
