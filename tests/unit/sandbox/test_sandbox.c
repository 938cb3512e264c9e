// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of the sandbox: what a thread of each kind may do once it is confined, and what kills the process. Each
 * attempt is made by a child, which ends with a status or by SIGSYS.
 */
#define _GNU_SOURCE
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "include/uapi/hv.h"
#include "host/process.h"
#include "log.h"
#include "sandbox/place.h"
#include "sandbox/sandbox.h"
#include "suite.h"

/* The sanitisers would have a thread and files of their own at the end. */
#define DONE	     0
#define NOT_CONFINED 99

static char dir[] = "/tmp/hv-test-sandbox-XXXXXX";
static char inside[128], outside[128];

/* ------------------------------------------------------------------------- */
/* Attempts: each returns the errno that it got, or 0                         */

static long call(long ret)
{
	return ret < 0 ? errno : 0;
}

#define ATTEMPT(name, expression)        \
	static long name(void)           \
	{                                \
		return call(expression); \
	}

static char *no_args[] = {NULL};
static const struct iovec one_byte = {outside, 1};

ATTEMPT(try_open, syscall(SYS_open, "/etc/passwd", O_RDONLY))
ATTEMPT(try_openat, openat(AT_FDCWD, "/etc/passwd", O_RDONLY))
ATTEMPT(try_openat2, syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0))
ATTEMPT(try_execve, execve("/bin/true", no_args, no_args))
ATTEMPT(try_execveat, syscall(SYS_execveat, AT_FDCWD, "/bin/true", no_args, no_args, 0))
ATTEMPT(try_fork, syscall(SYS_fork))
ATTEMPT(try_vfork, syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, 0))
ATTEMPT(try_clone3, syscall(SYS_clone3, NULL, 0))
ATTEMPT(try_ptrace, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
ATTEMPT(try_read_other, process_vm_readv(1, &one_byte, 1, &one_byte, 1, 0))
ATTEMPT(try_socket, socket(AF_UNIX, SOCK_STREAM, 0))
ATTEMPT(try_connect, connect(STDIN_FILENO, NULL, 0))
ATTEMPT(try_bind, bind(STDIN_FILENO, NULL, 0))
ATTEMPT(try_mount, mount("none", "/", "ramfs", 0, NULL))
ATTEMPT(try_unshare, unshare(CLONE_NEWUSER))
ATTEMPT(try_setns, setns(STDIN_FILENO, 0))
ATTEMPT(try_chroot, chroot("/"))
ATTEMPT(try_setuid, setuid(0))
ATTEMPT(try_capset, syscall(SYS_capset, NULL, NULL))
ATTEMPT(try_kill, kill(getppid(), 0))
ATTEMPT(try_tgkill, syscall(SYS_tgkill, 1, 1, 0))
ATTEMPT(try_uring, syscall(SYS_io_uring_setup, 1, NULL))
ATTEMPT(try_uring_register, syscall(SYS_io_uring_register, 0, 0, NULL, 0))
ATTEMPT(try_bpf, syscall(SYS_bpf, 0, NULL, 0))
ATTEMPT(try_keyctl, syscall(SYS_keyctl, 0, 0))
ATTEMPT(try_module, syscall(SYS_init_module, NULL, 0, ""))
ATTEMPT(try_personality, syscall(SYS_personality, 0x0400000))
ATTEMPT(try_memfd, memfd_create("x", 0))
ATTEMPT(try_shm, syscall(SYS_shmget, 1, 4096, 0))
ATTEMPT(try_code, (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
ATTEMPT(try_mprotect, mprotect(inside, 1, PROT_READ | PROT_EXEC))
ATTEMPT(try_pkey, syscall(SYS_pkey_mprotect, 0, 0, PROT_EXEC, -1))
ATTEMPT(try_typing, ioctl(STDIN_FILENO, TIOCSTI, "x"))
ATTEMPT(try_create_vm, ioctl(STDIN_FILENO, HV_CREATE_VM, NULL))
ATTEMPT(try_set_slot, ioctl(STDIN_FILENO, HV_SET_SLOT, NULL))
ATTEMPT(try_owner, fcntl(STDIN_FILENO, F_SETOWN, 1))
ATTEMPT(try_rename, rename(outside, inside))
ATTEMPT(try_unlink, unlink(outside))
ATTEMPT(try_chmod, chmod(outside, 0777))
ATTEMPT(try_stat, syscall(SYS_stat, outside, NULL))
ATTEMPT(try_send_to, sendto(STDIN_FILENO, "x", 1, 0, (const struct sockaddr *)outside, 16))
/* It could bring descriptors. */
ATTEMPT(try_recvmsg, recvmsg(STDIN_FILENO, NULL, 0))
ATTEMPT(try_limit, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, NULL))
ATTEMPT(try_dumpable, prctl(PR_SET_DUMPABLE, 1))
ATTEMPT(try_name, prctl(PR_SET_NAME, "name"))
ATTEMPT(try_yield, sched_yield())
ATTEMPT(try_msrs, ioctl(STDIN_FILENO, HV_GET_MSRS, NULL))
ATTEMPT(try_lapic, ioctl(STDIN_FILENO, HV_SET_LAPIC, NULL))
ATTEMPT(try_registers, ioctl(STDIN_FILENO, HV_SET_REGS, NULL))
ATTEMPT(try_nmi, ioctl(STDIN_FILENO, HV_NMI, NULL))
/* A number that only differs above what the kernel looks at is the same. */
ATTEMPT(try_high_half, syscall(SYS_ioctl, STDIN_FILENO, 0x700000000ULL | TIOCSTI, "x"))

/* 32-bit programs' calls have other numbers: 11 is execve there, and munmap here. */
static long try_int80(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(11), "b"(0), "c"(0), "d"(0) : "memory");
	return ret;
}

#define ROW(attempt)              \
	{                         \
#attempt, attempt \
	}

static const struct {
	const char *name;
	long (*attempt)(void);
} refused[] = {
	ROW(try_open),
	ROW(try_openat),
	ROW(try_openat2),
	ROW(try_execve),
	ROW(try_execveat),
	ROW(try_fork),
	ROW(try_vfork),
	ROW(try_clone3),
	ROW(try_ptrace),
	ROW(try_read_other),
	ROW(try_socket),
	ROW(try_connect),
	ROW(try_bind),
	ROW(try_mount),
	ROW(try_unshare),
	ROW(try_setns),
	ROW(try_chroot),
	ROW(try_setuid),
	ROW(try_capset),
	ROW(try_kill),
	ROW(try_tgkill),
	ROW(try_uring),
	ROW(try_uring_register),
	ROW(try_bpf),
	ROW(try_keyctl),
	ROW(try_module),
	ROW(try_personality),
	ROW(try_memfd),
	ROW(try_shm),
	ROW(try_code),
	ROW(try_mprotect),
	ROW(try_pkey),
	ROW(try_typing),
	ROW(try_create_vm),
	ROW(try_set_slot),
	ROW(try_owner),
	ROW(try_rename),
	ROW(try_unlink),
	ROW(try_chmod),
	ROW(try_stat),
	ROW(try_send_to),
	ROW(try_limit),
	ROW(try_dumpable),
	ROW(try_high_half),
	ROW(try_int80),
	ROW(try_name),
	ROW(try_yield),
	ROW(try_msrs),
	ROW(try_lapic),
	ROW(try_registers),
	ROW(try_nmi),
	ROW(try_recvmsg),
};

#define NR_REFUSED (sizeof(refused) / sizeof(refused[0]))

/* ------------------------------------------------------------------------- */
/* Children                                                                   */

static const enum sandbox_mode modes[] = {SANDBOX_ON, SANDBOX_OFF};

static void confine_or_exit(enum sandbox_mode mode)
{
	const struct sandbox_config c = {.mode = mode};
	struct error e;

	if (!sandbox_confine(&c, &e))
		return;
	log_error("%s", e.text);
	_exit(NOT_CONFINED);
}

static void enter_or_exit(enum sandbox_thread kind)
{
	struct error e;

	if (!sandbox_enter(kind, &e))
		return;
	log_error("%s", e.text);
	_exit(NOT_CONFINED);
}

/* Its status, as of waitpid(). */
static int in_child(enum sandbox_mode mode, int kind, long (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		confine_or_exit(mode);
		if (kind >= 0)
			enter_or_exit((enum sandbox_thread)kind);
		_exit((int)what());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void set_up(void)
{
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(inside, sizeof(inside), "%s/in", dir);
	ck_assert_int_eq(mkdir(inside, 0700), 0);
	snprintf(inside, sizeof(inside), "%s/in/file", dir);
	snprintf(outside, sizeof(outside), "%s/outside", dir);
	fd = open(outside, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void tear_down(void)
{
	char name[128];

	unlink(inside);
	unlink(outside);
	snprintf(name, sizeof(name), "%s/in", dir);
	rmdir(name);
	rmdir(dir);
	strcpy(dir, "/tmp/hv-test-sandbox-XXXXXX");
}

static const enum sandbox_thread kinds[] = {SANDBOX_VCPU, SANDBOX_DISK, SANDBOX_LOOP,
					    SANDBOX_LOOP_PLACES};

START_TEST(what_is_not_listed_kills)
{
	for (size_t i = 0; i < NR_REFUSED; i++) {
		int status = in_child(SANDBOX_ON, kinds[_i], refused[i].attempt);

		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			      "%s in thread kind %d: status %#x", refused[i].name, kinds[_i],
			      (unsigned int)status);
	}
}
END_TEST

/* Without the sandbox no attempt ends so: it is the filter that the test above sees. */
START_TEST(off_kills_nobody)
{
	for (size_t i = 0; i < NR_REFUSED; i++) {
		int status = in_child(SANDBOX_OFF, kinds[_i], refused[i].attempt);

		ck_assert_msg(!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS, "%s",
			      refused[i].name);
	}
}
END_TEST

/* The log's mode lets the call be made; this one has no other obstacle. */
START_TEST(log_kills_nobody)
{
	int status = in_child(SANDBOX_LOG, kinds[_i], try_memfd);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* What they do all day                                                       */

static long everybody_works(void)
{
	static const unsigned long terminal[] = {TCGETS, TCSETS, TCGETS2, TCSETS2};
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec now;

	if (memory == MAP_FAILED || madvise(memory, 4096, MADV_DONTNEED) || munmap(memory, 4096))
		return 1;
	log_info("a message of a confined thread");
	if (clock_gettime(CLOCK_MONOTONIC, &now))
		return 2;
	/* Which of them tcgetattr() and tcsetattr() are depends on the C library. */
	for (size_t i = 0; i < sizeof(terminal) / sizeof(terminal[0]); i++)
		syscall(SYS_ioctl, -1, terminal[i], NULL);
	/* A kick of a thread, or a signal that ends us. */
	if (syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), 0))
		return 3;
	return DONE;
}

static long vcpu_works(void)
{
	/* Not of hv's, but allowed to be asked. */
	if (!ioctl(STDERR_FILENO, HV_RUN, NULL) || !ioctl(STDERR_FILENO, HV_SIGNAL_MSI, NULL))
		return 10;
	return everybody_works();
}

static long disk_works(void)
{
	char byte;
	struct iovec iov = {&byte, 1};

	if (preadv(-1, &iov, 1, 0) != -1 || pwritev2(-1, &iov, 1, 0, RWF_DSYNC) != -1 ||
	    fdatasync(-1) != -1 || fallocate(-1, 0, 0, 1) != -1)
		return 10;
	return everybody_works();
}

static long loop_works(void)
{
	struct epoll_event event;
	struct stat st;

	if (epoll_wait(-1, &event, 1, 0) != -1 || eventfd(0, EFD_CLOEXEC) < 0 ||
	    accept4(-1, NULL, NULL, 0) != -1 || fstat(STDERR_FILENO, &st))
		return 10;
	/* Of what is there from the start. */
	if (send(STDIN_FILENO, "x", 1, 0) != -1 || recv(-1, &event, 1, 0) != -1)
		return 11;
	return everybody_works();
}

START_TEST(what_is_needed_works)
{
	static long (*const works[])(void) = {
		[SANDBOX_VCPU] = vcpu_works,
		[SANDBOX_DISK] = disk_works,
		[SANDBOX_LOOP] = loop_works,
		[SANDBOX_LOOP_PLACES] = loop_works,
	};
	int status = in_child(SANDBOX_ON, kinds[_i], works[kinds[_i]]);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "status %#x",
		      (unsigned int)status);
}
END_TEST

static void no_clean_up(void)
{
}

/* Its end is an ordinary one: the filter lets the handler say what happened. */
static long fault(void)
{
	process_set_fatal_signals(no_clean_up);
	raise(SIGBUS);
	return 1;
}

START_TEST(faults_are_told)
{
	int kept = dup(STDERR_FILENO), fds[2], status;
	char text[256] = "";

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	status = in_child(SANDBOX_ON, kinds[_i], fault);
	dup2(kept, STDERR_FILENO);
	close(kept);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x",
		      (unsigned int)status);
	ck_assert_int_gt(read(fds[0], text, sizeof(text) - 1), 0);
	ck_assert_msg(strstr(text, "thread vmm got SIGBUS") != NULL, "%s", text);
	close(fds[0]);
}
END_TEST

/* ------------------------------------------------------------------------- */
/* The process, before the filters                                            */

static struct place place;

/* Whether the host has what keeps names away: the right to a namespace, or Landlock. */
static bool keeps_names_away(void)
{
	return !geteuid() || syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static long process_reaches_nothing(void)
{
	struct rlimit limit;

	if (open("/etc/passwd", O_RDONLY) >= 0 || open(outside, O_RDWR) >= 0)
		return 1;
	/* From the place upwards. */
	if (openat(place.dir, "../outside", O_RDWR) >= 0 ||
	    openat(place.dir, "../../../etc/passwd", O_RDONLY) >= 0 || !unlink(outside))
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE) != 0)
		return 3;
	for (int cap = 0; cap <= 40; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1 && !geteuid())
			return 4;
	if (!mount("none", "/", "ramfs", 0, NULL) || !chroot(".") || !unshare(CLONE_NEWNS))
		return 5;
	if (getrlimit(RLIMIT_CORE, &limit) || limit.rlim_max || getrlimit(RLIMIT_NOFILE, &limit) ||
	    limit.rlim_max > 2048)
		return 6;
	return DONE;
}

START_TEST(process_without_filters)
{
	int status;

	if (!keeps_names_away())
		return;
	ck_assert_int_eq(place_open(&place, inside, PLACE_CREATE), 0);
	status = in_child(SANDBOX_ON, -1, process_reaches_nothing);
	place_close(&place);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "status %#x",
		      (unsigned int)status);
	ck_assert_int_eq(access(outside, F_OK), 0);
}
END_TEST

/* Make, rename and remove a file, with the filter on. */
static long use_place(void)
{
	int fd = openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	struct stat st;

	if (fd < 0 || write(fd, "x", 1) != 1 || fchmod(fd, 0644))
		return 1;
	if (renameat(place.dir, place.name, place.dir, "file.1") ||
	    fstatat(place.dir, "file.1", &st, 0) || unlinkat(place.dir, "file.1", 0))
		return 2;
	return DONE;
}

/* Not with what is there already: not even in the place is a file opened. */
static long open_in_place(void)
{
	return call(openat(place.dir, place.name, O_RDONLY));
}

static long setuid_in_place(void)
{
	int fd = openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	return call(fchmod(fd, 04755));
}

/* By the mode that it is made with, too. */
static long make_setuid_in_place(void)
{
	return call(openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL, 04755));
}

static long make_setgid_in_place(void)
{
	return call(openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL, 02755));
}

/* With O_PATH the kernel looks neither at O_CREAT nor at O_EXCL. */
static long name_what_is_there(void)
{
	return call(openat(place.dir, "/etc", O_PATH | O_CREAT | O_EXCL, 0600));
}

static long unlink_by_path(void)
{
	return call(unlinkat(AT_FDCWD, outside, 0));
}

START_TEST(places_without_a_name)
{
	ck_assert_int_eq(place_open(&place, "/tmp/", PLACE_CREATE), -EINVAL);
	ck_assert_int_eq(place_open(&place, "", PLACE_CREATE), -EINVAL);
}
END_TEST

START_TEST(places)
{
	static long (*const kill[])(void) = {open_in_place,	   setuid_in_place,
					     make_setuid_in_place, make_setgid_in_place,
					     name_what_is_there,   unlink_by_path};
	int status;

	ck_assert_int_eq(place_open(&place, inside, PLACE_CREATE), 0);
	status = in_child(SANDBOX_ON, SANDBOX_LOOP_PLACES, use_place);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "status %#x",
		      (unsigned int)status);
	for (size_t i = 0; i < sizeof(kill) / sizeof(kill[0]); i++) {
		status = in_child(SANDBOX_ON, SANDBOX_LOOP_PLACES, kill[i]);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			      "attempt %zu: status %#x", i, (unsigned int)status);
		unlink(inside);
	}
	/* Without that kind's filter, not even these. */
	status = in_child(SANDBOX_ON, SANDBOX_LOOP, use_place);
	ck_assert(WIFSIGNALED(status));
	place_close(&place);
	ck_assert_ptr_null(place_first);
}
END_TEST

/* The kernel does not follow an absolute name, nor one with "..", out of a place, whatever the filter lets by. */
static long leave_place(void)
{
	char name[64];

	/* Above a place that is a mount of its own there is but itself. */
	openat(place.dir, "../made", O_WRONLY | O_CREAT | O_EXCL, 0600);
	unlinkat(place.dir, "made", 0);
	snprintf(name, sizeof(name), "%s/made", dir);
	if (openat(place.dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0)
		return 2;
	if (!renameat(place.dir, "../outside", place.dir, "file") ||
	    !unlinkat(place.dir, "../outside", 0) || !unlinkat(place.dir, outside, 0))
		return 3;
	return DONE;
}

START_TEST(places_are_not_left)
{
	char name[64];
	int status;

	if (!keeps_names_away())
		return;
	ck_assert_int_eq(place_open(&place, inside, PLACE_CREATE), 0);
	status = in_child(SANDBOX_ON, SANDBOX_LOOP_PLACES, leave_place);
	place_close(&place);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "status %#x",
		      (unsigned int)status);
	ck_assert_int_eq(access(outside, F_OK), 0);
	snprintf(name, sizeof(name), "%s/made", dir);
	ck_assert_int_eq(access(name, F_OK), -1);
}
END_TEST

static int inherited, opened;

static long looks_at_descriptors(void)
{
	if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(opened, F_GETFD) < 0)
		return 1;
	return fcntl(inherited, F_GETFD) < 0 ? DONE : 2;
}

/* What was left open for us by mistake is not there for a guest that breaks out. */
START_TEST(strange_descriptors)
{
	int status;

	inherited = dup(STDERR_FILENO);
	opened = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	status = in_child(SANDBOX_ON, -1, looks_at_descriptors);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == DONE, "status %#x",
		      (unsigned int)status);
	close(inherited);
	close(opened);
}
END_TEST

static long write_far(void)
{
	int fd = open("/proc/self/fd/0", O_RDONLY);

	return fd < 0 ? DONE : 1;
}

/* Files grow no further than the largest that there is, if none is one that grows. */
START_TEST(size_of_files)
{
	int fd = memfd_create("disk", MFD_CLOEXEC), status;
	pid_t pid;

	ck_assert_int_eq(ftruncate(fd, 4 << 20), 0);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		for (int std = 0; std < 3; std++)
			dup2(null, std);
		signal(SIGXFSZ, SIG_IGN);
		confine_or_exit(SANDBOX_ON);
		if (pwrite(fd, "x", 1, (4 << 20) - 1) != 1)
			_exit(1);
		_exit(pwrite(fd, "x", 1, 4 << 20) == -1 && errno == EFBIG ? (int)write_far() : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(fd);
}
END_TEST

START_TEST(no_such_user)
{
	const struct sandbox_config c = {.mode = SANDBOX_OFF, .user = "nobody-of-this-name"};
	const struct sandbox_config group = {.mode = SANDBOX_OFF, .user = "root:no-such-group"};
	struct error e;

	ck_assert_int_eq(sandbox_confine(&c, &e), -ENOENT);
	ck_assert_str_eq(e.path, "user");
	ck_assert_ptr_nonnull(strstr(e.text, "nobody-of-this-name"));
	ck_assert_int_eq(sandbox_confine(&group, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.text, "no-such-group"));
}
END_TEST

static long is_nobody(void)
{
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved))
		return 1;
	return real == 65534 && effective == 65534 && saved == 65534 && setuid(0) ? DONE : 2;
}

START_TEST(becomes_a_user)
{
	const struct sandbox_config c = {.mode = modes[_i], .user = "nobody:root"};
	struct error e;
	int status;
	pid_t pid;

	if (geteuid())
		return; /* only root can */
	pid = fork();
	if (!pid) {
		if (sandbox_confine(&c, &e))
			_exit(NOT_CONFINED);
		_exit(getegid() == 0 ? (int)is_nobody() : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tc = tcase_create("sandbox");
	const int nr_kinds = sizeof(kinds) / sizeof(kinds[0]);

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, what_is_not_listed_kills, 0, nr_kinds);
	tcase_add_loop_test(tc, off_kills_nobody, 0, nr_kinds);
	tcase_add_loop_test(tc, log_kills_nobody, 0, nr_kinds);
	tcase_add_loop_test(tc, what_is_needed_works, 0, nr_kinds);
	tcase_add_loop_test(tc, faults_are_told, 0, nr_kinds);
	tcase_add_test(tc, process_without_filters);
	tcase_add_test(tc, places_without_a_name);
	tcase_add_test(tc, places);
	tcase_add_test(tc, places_are_not_left);
	tcase_add_test(tc, strange_descriptors);
	tcase_add_test(tc, size_of_files);
	tcase_add_test(tc, no_such_user);
	tcase_add_loop_test(tc, becomes_a_user, 0, 2);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
