// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest that broke out of a thread of vmm might try: a library that tests/boot/sandbox.sh preloads. It stands
 * in front of a function that each kind of thread calls while a guest runs, and makes one attempt there.
 *
 *   ESCAPE_THREAD   vcpu, loop or disk
 *   ESCAPE          which attempt
 *   ESCAPE_THREADS  if set, disks have a thread instead of io_uring
 *
 * If it lives on, it says what the attempt gave, and ends the process with status 77.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "include/uapi/hv.h"

/* The guest runs by then. */
#define VCPU_CALLS 200
#define LOOP_CALLS 3

static char *no_words[] = {NULL};

static long attempt(const char *what)
{
	static char byte;
	struct iovec iov = {&byte, 1};

	if (!strcmp(what, "open"))
		return open("/etc/passwd", O_RDONLY);
	if (!strcmp(what, "create"))
		return openat(3, "/tmp/escaped", O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (!strcmp(what, "exec"))
		return execve("/bin/busybox", no_words, no_words);
	if (!strcmp(what, "fork"))
		return syscall(SYS_fork);
	if (!strcmp(what, "ptrace"))
		return ptrace(PTRACE_ATTACH, 1, NULL, NULL);
	if (!strcmp(what, "readv"))
		return process_vm_readv(1, &iov, 1, &iov, 1, 0);
	if (!strcmp(what, "socket"))
		return socket(AF_UNIX, SOCK_STREAM, 0);
	if (!strcmp(what, "mount"))
		return mount("none", "/", "ramfs", 0, NULL);
	if (!strcmp(what, "unshare"))
		return unshare(CLONE_NEWUSER);
	if (!strcmp(what, "setuid"))
		return syscall(SYS_setuid, 12345);
	if (!strcmp(what, "kill"))
		return kill(1, SIGCONT);
	if (!strcmp(what, "uring"))
		return syscall(SYS_io_uring_setup, 1, NULL);
	if (!strcmp(what, "code"))
		return (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(what, "module"))
		return syscall(SYS_init_module, NULL, 0, "");
	return -1;
}

/* At the given call of this kind of thread. */
static void try_at(const char *thread, unsigned int *calls, unsigned int when)
{
	const char *wanted = getenv("ESCAPE_THREAD"), *what = getenv("ESCAPE");
	long ret;

	if (!wanted || !what || strcmp(wanted, thread) ||
	    __atomic_add_fetch(calls, 1, __ATOMIC_SEQ_CST) != when)
		return;
	errno = 0;
	ret = attempt(what);
	dprintf(STDERR_FILENO, "escape: %s: %s\n", what, ret < 0 ? strerror(errno) : "it worked");
	_exit(77);
}

int ioctl(int fd, unsigned long request, ...)
{
	static unsigned int calls;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == HV_RUN)
		try_at("vcpu", &calls, VCPU_CALLS);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

int epoll_wait(int fd, struct epoll_event *events, int nr, int timeout)
{
	static unsigned int calls;

	try_at("loop", &calls, LOOP_CALLS);
	return (int)syscall(SYS_epoll_wait, fd, events, nr, timeout);
}

ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t offset)
{
	static unsigned int calls;

	try_at("disk", &calls, 1);
	return syscall(SYS_preadv, fd, iov, nr, offset, 0);
}

/* Kernels can be told to have none: then vmm makes threads. A filter that kills counts for more than this one. */
__attribute__((constructor)) static void deny_uring(void)
{
	static struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {sizeof(insns) / sizeof(insns[0]), insns};

	if (!getenv("ESCAPE_THREADS"))
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog)) {
		perror("escape: seccomp");
		_exit(1);
	}
}
