// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runtime directory, for monitors that are found in it and for those who look. Called by cmd/home.c
 * and by the verbs of cmd/.
 *
 * Two bytes of a lock file are locked. OWNER says that a monitor lives, and which. KEEPER is held while somebody
 * makes or removes a directory, so that of two who start a machine of one name, or of one who does and one
 * who removes what a dead one left, each finds all that the other did or nothing. A directory may
 * be removed between any two calls: whoever has a lock looks whether its file is still the one of that name, and
 * starts again if not.
 */
#define _GNU_SOURCE /* O_PATH */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/runtime.h"
#include "sandbox/listener.h"
#include "sandbox/place.h"

#define OWNER	0
#define KEEPER	1

#define LOCK	"lock"
#define STATUS	"status"

#define BACKLOG 32

/* Somebody else makes or removes it: how often, and after how long, we look again. */
#define TRIES	     500
#define TRY_AGAIN_MS 10

/* A status that is just written. */
#define STATUS_TRIES 100

/* Rotated logs have numbers behind their names. */
#define MAX_LOG_NUMBER 99

struct runtime {
	char name[RUNTIME_NAME_MAX + 1];
	int base, dir, lock, status, api;
	bool given;			    /* to another user, who cannot remove the directory */
	struct place base_place, dir_place; /* for the end, when the monitor is confined */
};

/* ------------------------------------------------------------------------- */
/* Names and directories                                                      */

/* It becomes a file's name, and a word of a command line. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > RUNTIME_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return false;
	}
	return true;
}

static int check_name(const char *name, struct error *e)
{
	if (is_name(name))
		return 0;
	return error_set(
		e, EINVAL,
		"'%.80s' cannot be the name of a machine: it begins with a letter or a digit, "
		"and has up to %d of letters, digits, '-', '_' and '.'",
		name, RUNTIME_NAME_MAX);
}

/* Where it is; without slashes at the end, behind which a symbolic link would be followed. */
static int base_path(char *path, size_t size, struct error *e)
{
	const char *dir = getenv("HV_RUNTIME_DIR");
	const char *below = "";
	size_t len;

	if ((!dir || !*dir) && !geteuid()) {
		dir = "/run/hv";
	} else if (!dir || !*dir) {
		dir = getenv("XDG_RUNTIME_DIR");
		below = "/hv";
	}
	if (!dir || !*dir)
		return error_set(
			e, ENOENT,
			"there is no directory for machines that run: neither $HV_RUNTIME_DIR "
			"nor $XDG_RUNTIME_DIR is set");
	len = (size_t)snprintf(path, size, "%s%s", dir, below);
	if (dir[0] != '/' || len >= size)
		return error_set(
			e, EINVAL,
			"the directory for machines that run, '%.80s', must be an absolute "
			"path of less than %zu characters",
			dir, size);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	return 0;
}

/* Who else could write there could have us open and remove what is not ours. */
static bool is_private(int fd, mode_t type, mode_t forbidden, uid_t owner)
{
	struct stat st;

	return !fstat(fd, &st) && (st.st_mode & S_IFMT) == type &&
	       (st.st_uid == geteuid() || st.st_uid == owner) && !(st.st_mode & forbidden);
}

/*
 * Whose a machine's directory is: in that of root, where nobody else can make one, root may have given it away. What
 * its owner put there is used with care by root, as if it were an unprivileged client's.
 */
static uid_t owner_of(int dir)
{
	struct stat st;

	return geteuid() || fstat(dir, &st) ? geteuid() : st.st_uid;
}

static int open_base(bool make, struct error *e)
{
	char path[256];
	int ret = base_path(path, sizeof(path), e);
	int fd;

	if (ret)
		return ret;
	if (make && mkdir(path, 0700) && errno != EEXIST)
		return error_set(e, errno == EACCES || errno == EROFS ? ENOENT : errno,
				 "cannot make the directory for machines that run, '%s': %s; "
				 "$HV_RUNTIME_DIR can name another",
				 path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOTDIR && errno != ELOOP)
		return error_set(e, errno,
				 "cannot open the directory for machines that run, '%s': %s", path,
				 strerror(errno));
	if (fd >= 0 && is_private(fd, S_IFDIR, 0022, geteuid()))
		return fd;
	if (fd >= 0)
		close(fd);
	return error_set(
		e, EPERM,
		"the directory for machines that run, '%s', must be a directory of this user "
		"that no other can write to; remove it, or choose another with $HV_RUNTIME_DIR",
		path);
}

static int open_machine_dir(int base, const char *name, struct error *e)
{
	int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd >= 0 && is_private(fd, S_IFDIR, 0077, owner_of(fd)))
		return fd;
	if (fd >= 0)
		close(fd);
	return error_set(
		e, EPERM,
		"'%s' in the directory for machines that run is not a directory of this user's "
		"alone; remove it",
		name);
}

/* Nobody is waited for behind it (a FIFO), and nothing of others is opened (links). */
static int open_private_file(int dir, const char *file, int flags)
{
	int fd = openat(dir, file, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0 || is_private(fd, S_IFREG, 0, owner_of(dir)))
		return fd < 0 ? -errno : fd;
	close(fd);
	return -EPERM;
}

static bool is_same(int fd, int dir, const char *name)
{
	struct stat st;

	return !fstat(fd, &st) && place_is(dir, name, &st);
}

/* ------------------------------------------------------------------------- */
/* Locks                                                                      */

static bool take(int lock, off_t byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return !fcntl(lock, F_SETLK, &l);
}

static void give_back(int lock, off_t byte)
{
	struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	fcntl(lock, F_SETLK, &l);
}

/* Whether another process owns it, and which. */
static bool is_owned(int lock, pid_t *pid)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = OWNER, .l_len = 1};

	if (fcntl(lock, F_GETLK, &l) || l.l_type == F_UNLCK)
		return false;
	*pid = l.l_pid;
	return true;
}

/* ------------------------------------------------------------------------- */
/* Removing                                                                   */

static void remove_logs(int dir)
{
	static const char *const logs[] = {RUNTIME_CONSOLE_LOG, RUNTIME_MESSAGES_LOG};
	char name[64];

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		unlinkat(dir, logs[i], 0);
		for (int n = 1; n <= MAX_LOG_NUMBER; n++) {
			snprintf(name, sizeof(name), "%s.%d", logs[i], n);
			if (unlinkat(dir, name, 0))
				break;
		}
	}
}

static void remove_live(int dir)
{
	unlinkat(dir, RUNTIME_API, 0);
	unlinkat(dir, RUNTIME_CONSOLE, 0);
	unlinkat(dir, STATUS, 0);
}

/* With OWNER or KEEPER held. The lock goes last: without it nobody looks at the others. */
static void remove_all(int base, int dir, const char *name)
{
	remove_live(dir);
	unlinkat(dir, LOCK, 0);
	/* Not if there are logs, or somebody has made a lock meanwhile. */
	unlinkat(base, name, AT_REMOVEDIR);
}

/* What a dead monitor left; unless somebody is at it. */
static void clean_up(int base, int dir, int lock, const char *name)
{
	pid_t pid;

	if (take(lock, KEEPER) && !is_owned(lock, &pid) && is_same(lock, dir, LOCK) &&
	    is_same(dir, base, name))
		remove_all(base, dir, name);
	give_back(lock, KEEPER);
}

/* ------------------------------------------------------------------------- */
/* A monitor's own                                                            */

static int busy(const char *name, pid_t pid, struct error *e)
{
	return error_set(
		e, EBUSY,
		"a machine of the name '%s' runs already (process %d): choose another name, "
		"or end it with 'vmm stop %s'",
		name, (int)pid, name);
}

/*
 * What another user's monitor left, or what that user did: it is not to become ours. -EAGAIN, unless a monitor has it.
 */
static int take_back(struct runtime *r, struct error *e)
{
	int lock = open_private_file(r->dir, LOCK, O_RDWR);
	pid_t pid;
	int ret = -EAGAIN;

	if (lock >= 0 && is_owned(lock, &pid)) {
		ret = busy(r->name, pid, e);
	} else {
		remove_logs(r->dir);
		remove_all(r->base, r->dir, r->name);
	}
	if (lock >= 0)
		close(lock);
	return ret;
}

/* Returns 0, EAGAIN when somebody was faster or is at it, or another negative errno. */
static int try_to_own(struct runtime *r, struct error *e)
{
	pid_t pid;

	if (mkdirat(r->base, r->name, 0700) && errno != EEXIST)
		return error_set(e, errno, "cannot make the directory of machine '%s': %s", r->name,
				 strerror(errno));
	r->dir = open_machine_dir(r->base, r->name, e);
	if (r->dir < 0)
		return r->dir == -ENOENT ? -EAGAIN : r->dir;
	if (owner_of(r->dir) != geteuid())
		return take_back(r, e);
	r->lock = open_private_file(r->dir, LOCK, O_RDWR | O_CREAT);
	if (r->lock == -ENOENT)
		return -EAGAIN;
	if (r->lock < 0)
		return error_set(e, -r->lock, "cannot open the lock of machine '%s': %s", r->name,
				 strerror(-r->lock));
	if (is_owned(r->lock, &pid))
		return busy(r->name, pid, e);
	if (!take(r->lock, KEEPER))
		return -EAGAIN;
	if (!is_same(r->lock, r->dir, LOCK) || !is_same(r->dir, r->base, r->name))
		return -EAGAIN;
	return take(r->lock, OWNER) ? 0 : -EAGAIN;
}

static void close_lock(struct runtime *r)
{
	if (r->lock >= 0)
		close(r->lock);
	if (r->dir >= 0)
		close(r->dir);
	r->lock = r->dir = -1;
}

static int own(struct runtime *r, struct error *e)
{
	int ret;

	for (int i = 0; i < TRIES; i++) {
		ret = try_to_own(r, e);
		if (!ret)
			return 0;
		close_lock(r);
		if (ret != -EAGAIN)
			return ret;
		poll(NULL, 0, TRY_AGAIN_MS);
	}
	return error_set(
		e, EBUSY,
		"somebody else is making or removing the directory of machine '%s'; try again",
		r->name);
}

/* The path of a file in a directory that is open, which may be longer than a socket's can be. */
#define SHORT_PATH_SIZE 64

static void short_path(char *path, int dir, const char *name)
{
	snprintf(path, SHORT_PATH_SIZE, "/proc/self/fd/%d/%s", dir, name);
}

static int make_files(struct runtime *r, struct error *e)
{
	char path[SHORT_PATH_SIZE];

	remove_live(r->dir);
	remove_logs(r->dir);
	r->status = open_private_file(r->dir, STATUS, O_WRONLY | O_CREAT | O_EXCL);
	if (r->status < 0)
		return error_set(e, -r->status, "cannot make the status of machine '%s': %s",
				 r->name, strerror(-r->status));
	short_path(path, r->dir, RUNTIME_API);
	r->api = listener_bind(path, BACKLOG);
	if (r->api < 0)
		return error_set(e, -r->api,
				 "cannot make the socket that machine '%s' is controlled by: %s",
				 r->name, strerror(-r->api));
	return 0;
}

int runtime_create(const char *name, const struct runtime_facts *facts, struct runtime **out,
		   struct error *e)
{
	const time_t now = time(NULL);
	const struct status starting = {
		.name = name,
		.state = STATE_STARTING,
		.started = now,
		.since = now,
		.cpus = facts->cpus,
		.memory = facts->memory,
	};
	struct runtime *r;
	int ret = check_name(name, e);

	if (ret)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, ENOMEM, "out of memory");
	*r = (struct runtime){.dir = -1, .lock = -1, .status = -1, .api = -1};
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->base = open_base(true, e);
	ret = r->base < 0 ? r->base : own(r, e);
	if (!ret)
		ret = make_files(r, e);
	if (ret) {
		runtime_destroy(r, false);
		return ret;
	}
	place_hold(&r->base_place, r->base, PLACE_REMOVE_DIR);
	place_hold(&r->dir_place, r->dir, PLACE_REMOVE);
	runtime_set_status(r, &starting);
	give_back(r->lock, KEEPER);
	*out = r;
	return 0;
}

const char *runtime_name(const struct runtime *r)
{
	return r->name;
}

int runtime_dir(const struct runtime *r)
{
	return r->dir;
}

int runtime_api_fd(const struct runtime *r)
{
	return r->api;
}

void runtime_set_status(struct runtime *r, const struct status *s)
{
	char text[RUNTIME_STATUS_SIZE];
	json_t *status = status_object(s);

	memset(text, ' ', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	/* Who reads it meanwhile reads it again. Without memory, or room, the old one stays. */
	if (json_dumpb(status, text, sizeof(text) - 1, 0) < sizeof(text))
		(void)!pwrite(r->status, text, sizeof(text), 0);
	json_decref(status);
}

int runtime_give(struct runtime *r, uid_t uid, gid_t gid, struct error *e)
{
	static const char *const files[] = {LOCK,
					    STATUS,
					    RUNTIME_API,
					    RUNTIME_CONSOLE,
					    RUNTIME_CONSOLE_LOG,
					    RUNTIME_MESSAGES_LOG};
	int ret = 0;

	/* The directory last: until then nobody else can put something there. */
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !ret; i++) {
		if (fchownat(r->dir, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
			ret = -errno;
	}
	if (!ret && fchown(r->dir, uid, gid))
		ret = -errno;
	r->given = uid != geteuid();
	return ret ? error_set_at(e, -ret, "user",
				  "cannot give the directory of machine '%s' to another user: %s",
				  r->name, strerror(-ret))
		   : 0;
}

void runtime_destroy(struct runtime *r, bool keep_logs)
{
	if (!r)
		return;
	/* Without the lock it is another's. */
	if (r->lock >= 0) {
		if (!keep_logs)
			remove_logs(r->dir);
		/* By the lock whoever looks knows that it was a machine's, and removes it. */
		if (r->given)
			remove_live(r->dir);
		else
			remove_all(r->base, r->dir, r->name);
	}
	place_close(&r->dir_place);
	place_close(&r->base_place);
	if (r->api >= 0)
		close(r->api);
	if (r->status >= 0)
		close(r->status);
	close_lock(r);
	if (r->base >= 0)
		close(r->base);
	free(r);
}

/* ------------------------------------------------------------------------- */
/* Readers                                                                    */

/* Two reads that find the same did not meet a write. */
static json_t *read_status(int dir)
{
	char text[2][RUNTIME_STATUS_SIZE];
	json_t *status = NULL;
	int fd = open_private_file(dir, STATUS, O_RDONLY);

	for (int i = 0; fd >= 0 && i < STATUS_TRIES && !status; i++) {
		if (pread(fd, text[0], sizeof(text[0]), 0) != sizeof(text[0]) ||
		    pread(fd, text[1], sizeof(text[1]), 0) != sizeof(text[1]))
			break;
		if (!memcmp(text[0], text[1], sizeof(text[0])))
			status = json_loadb(text[0], sizeof(text[0]), JSON_REJECT_DUPLICATES, NULL);
	}
	if (fd >= 0)
		close(fd);
	if (status && !json_is_object(status)) {
		json_decref(status);
		return NULL;
	}
	return status;
}

const char *runtime_state(const json_t *status)
{
	const char *state = json_string_value(json_object_get(status, "state"));

	return state ? state : status_names[STATE_STARTING];
}

/* 0, and m is to be released; or a negative errno, ENOENT when it does not run. */
static int look(int base, const char *name, struct runtime_machine *m, struct error *e)
{
	int ret = -ENOENT;

	*m = (struct runtime_machine){.lock = -1};
	snprintf(m->name, sizeof(m->name), "%s", name);
	m->dir = open_machine_dir(base, name, e);
	if (m->dir < 0)
		return m->dir;
	m->lock = open_private_file(m->dir, LOCK, O_RDWR);
	if (m->lock >= 0 && is_owned(m->lock, &m->pid)) {
		m->status = read_status(m->dir);
		return 0;
	}
	if (m->lock >= 0)
		clean_up(base, m->dir, m->lock, name);
	/* Without one it holds logs, or is none of ours, where $HV_RUNTIME_DIR is a directory of other things, too. */
	else if (m->lock != -ENOENT)
		ret = error_set(e, -m->lock, "cannot open the lock of machine '%s': %s", name,
				strerror(-m->lock));
	runtime_release(m);
	return ret;
}

void runtime_release(struct runtime_machine *m)
{
	json_decref(m->status);
	if (m->lock >= 0)
		close(m->lock);
	close(m->dir);
}

int runtime_for_each(runtime_fn fn, void *arg, struct error *e)
{
	struct runtime_machine m;
	struct error ignored;
	struct dirent *entry;
	int base = open_base(false, e);
	int ret = 0;
	DIR *dir;

	if (base < 0)
		return base == -ENOENT ? 0 : base;
	dir = fdopendir(base);
	if (!dir) {
		close(base);
		return error_set(e, errno, "out of memory");
	}
	while (!ret && (entry = readdir(dir))) {
		/* What is not a machine's directory is nothing of ours. */
		if (!is_name(entry->d_name) || look(base, entry->d_name, &m, &ignored))
			continue;
		ret = fn(arg, &m);
		runtime_release(&m);
	}
	closedir(dir);
	return ret;
}

int runtime_lookup(const char *name, struct runtime_machine *m, struct error *e)
{
	int base, ret = check_name(name, e);

	if (ret)
		return ret;
	base = open_base(false, e);
	if (base < 0 && base != -ENOENT)
		return base;
	ret = base < 0 ? base : look(base, name, m, e);
	if (base >= 0)
		close(base);
	if (ret == -ENOENT)
		return error_set(e, ENOENT,
				 "no machine of the name '%s' runs; 'vmm list' lists those that do",
				 name);
	return ret;
}

bool runtime_lives(const struct runtime_machine *m)
{
	pid_t pid;

	/* Another of its name may have come after it, and taken the same file. */
	return is_owned(m->lock, &pid) && pid == m->pid;
}

int runtime_pidfd(const struct runtime_machine *m)
{
	pid_t pid;
	int fd;

	if (m->pid <= 0)
		return -EOPNOTSUPP;
	fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	if (fd < 0)
		return -errno;
	/* If it had ended before, the number might be another's by now; but that one would not own the lock. */
	if (is_owned(m->lock, &pid) && pid == m->pid)
		return fd;
	close(fd);
	return -ESRCH;
}

int runtime_connect(const struct runtime_machine *m, const char *socket_name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int inode, fd, err;

	/* Not what a link leads to, which may be a socket of somebody else. */
	inode = openat(m->dir, socket_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (inode < 0)
		return -errno;
	fd = is_private(inode, S_IFSOCK, 0, owner_of(m->dir))
		     ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
		     : (errno = EPERM, -1);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", inode);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(inode);
		return fd;
	}
	err = errno;
	if (fd >= 0)
		close(fd);
	close(inode);
	return -err;
}

int runtime_open_file(const char *name, const char *file, struct error *e)
{
	int base, dir, fd, ret = check_name(name, e);

	if (ret)
		return ret;
	base = open_base(false, e);
	if (base < 0)
		return base;
	dir = open_machine_dir(base, name, e);
	close(base);
	fd = dir < 0 ? dir : open_private_file(dir, file, O_RDONLY);
	if (dir >= 0)
		close(dir);
	if (fd == -ENOENT)
		return error_set(e, ENOENT, "there is no %s of a machine '%s'", file, name);
	if (fd < 0 && dir >= 0)
		return error_set(e, -fd, "cannot open %s of machine '%s': %s", file, name,
				 strerror(-fd));
	return fd;
}
