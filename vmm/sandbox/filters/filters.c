// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which system calls each kind of thread may make once the guest runs, and with what arguments. A
 * program for the build: the Makefile runs it, and what it prints, the filters as the kernel takes
 * them, is compiled into vmm (sandbox/thread.c). So vmm itself is not linked with libseccomp.
 *
 * What is not listed kills the process. Nothing here creates a thread, starts a program, makes a
 * socket or memory that can be executed.
 */
#define _GNU_SOURCE /* F_OFD_SETLK, AT_EMPTY_PATH, O_PATH */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "include/uapi/hv.h"
#include "sandbox/filter.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_INSNS     1024
#define LOW_HALF      0xffffffffULL /* of an argument that the kernel takes for an int */

struct row {
	int call;
	const char *name;
	unsigned int nr_args;
	struct scmp_arg_cmp arg[3];
};

/* Any arguments; the second kind: one condition, two or three. */
#define ANY(call)                         \
	{                                 \
		SCMP_SYS(call), #call, 0, \
		{                         \
			{                 \
				0         \
			}                 \
		}                         \
	}
#define IF(call, ...)                     \
	{                                 \
		SCMP_SYS(call), #call, 1, \
		{                         \
			__VA_ARGS__       \
		}                         \
	}
#define IF2(call, ...)                    \
	{                                 \
		SCMP_SYS(call), #call, 2, \
		{                         \
			__VA_ARGS__       \
		}                         \
	}
#define IF3(call, ...)                    \
	{                                 \
		SCMP_SYS(call), #call, 3, \
		{                         \
			__VA_ARGS__       \
		}                         \
	}

/* Conditions on argument n. */
#define IS(n, value)                                               \
	{                                                          \
		n, SCMP_CMP_MASKED_EQ, LOW_HALF, (uint32_t)(value) \
	}
#define IS_PID(n)                                           \
	{                                                   \
		n, SCMP_CMP_MASKED_EQ, LOW_HALF, FILTER_PID \
	}
#define IS_NULL(n)                   \
	{                            \
		n, SCMP_CMP_EQ, 0, 0 \
	}
#define HAS_NOT(n, bits)                                   \
	{                                                  \
		n, SCMP_CMP_MASKED_EQ, (uint32_t)(bits), 0 \
	}
#define HAS_ALL_AND_NOT(n, bits, others)                                               \
	{                                                                              \
		n, SCMP_CMP_MASKED_EQ, (uint32_t)((bits) | (others)), (uint32_t)(bits) \
	}
#define IS_DESCRIPTOR(n)                    \
	{                                   \
		n, SCMP_CMP_LT, 1u << 20, 0 \
	} /* not AT_FDCWD */

/* What any thread may have to do: locks, memory, messages, and an end with the terminal restored. */
static const struct row everybody[] = {
	ANY(futex),
	ANY(write),
	ANY(close),
	ANY(clock_gettime),
	ANY(brk),
	IF(mmap, HAS_NOT(2, PROT_EXEC)),
	ANY(munmap),
	ANY(mremap),
	ANY(madvise),
	/* log.c */
	ANY(poll),
	IF(ioctl, IS(1, TCGETS)),
	IF(ioctl, IS(1, TCGETS2)), /* glibc 2.42 */
	/* A handler of a signal that ends the process: terminal.c. raise(), and kicks of vCPUs. */
	IF(ioctl, IS(1, TIOCGPGRP)),
	IF(ioctl, IS(1, TCSETS)),
	IF(ioctl, IS(1, TCSETS2)),
	IF(fcntl, IS(1, F_GETFL)),
	IF(fcntl, IS(1, F_SETFL)),
	ANY(getpgrp),
	ANY(getpgid),
	ANY(getpid),
	ANY(gettid),
	IF(tgkill, IS_PID(0)),
	ANY(rt_sigaction),
	ANY(rt_sigprocmask),
	ANY(rt_sigreturn),
	ANY(sigaltstack),
	ANY(restart_syscall),
	/* What the C library says before it aborts. */
	ANY(writev),
	ANY(exit),
	ANY(exit_group),
};

/* What devices do, on vCPU threads and on the event loop's. */
static const struct row devices[] = {
	IF(ioctl, IS(1, HV_SIGNAL_MSI)),
	IF(ioctl, IS(1, HV_IRQFD)),
	IF(ioctl, IS(1, HV_IOEVENTFD)),
	ANY(read),
	ANY(eventfd2),
	ANY(timerfd_settime),
	ANY(epoll_ctl),
	ANY(io_uring_enter),
	ANY(getrandom),
};

static const struct row vcpu[] = {
	IF(ioctl, IS(1, HV_RUN)),	IF(ioctl, IS(1, HV_GET_REGS)),
	IF(ioctl, IS(1, HV_GET_XSAVE)), IF(ioctl, IS(1, HV_SET_XSAVE)),
	IF(ioctl, IS(1, HV_READ_APIC)), IF(ioctl, IS(1, HV_WRITE_APIC)),
};

static const struct row disk[] = {
	ANY(preadv),
	ANY(pwritev2),
	ANY(fdatasync),
	ANY(fallocate),
};

static const struct row loop[] = {
	ANY(epoll_wait),
	ANY(epoll_pwait),
	/* vCPUs between their stays. */
	IF(ioctl, IS(1, HV_RESET)),
	IF(ioctl, IS(1, HV_GET_CLOCK)),
	IF(ioctl, IS(1, HV_SET_CLOCK)),
	IF(ioctl, IS(1, HV_SET_MSRS)),
	/* The kernel's files, anew at each reset; files with a place in them. */
	ANY(pread64),
	ANY(pwrite64),
	ANY(lseek),
	ANY(ftruncate),
	ANY(dup2),
	IF(newfstatat, IS(3, AT_EMPTY_PATH)),
	ANY(fstat),
	IF(fcntl, IS(1, F_OFD_SETLK)),
	/* Clients of sockets, and the service manager, to which one is connected from the start. */
	ANY(accept4),
	ANY(recvfrom),
	IF(sendto, IS_NULL(4)),
	IF2(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_PEERCRED)),
	ANY(shutdown),
	/* The terminal, and what its reader has not read yet. */
	IF(ioctl, IS(1, FIONREAD)),
	ANY(rt_sigtimedwait),
	ANY(clock_nanosleep),
};

/*
 * Files that have to be made, renamed or removed while the machine runs (sandbox/place.c): relative
 * to a directory that is open, of which Landlock and the mount namespace make more than a word. No
 * file that is there can be opened so (the kernel forgets O_EXCL where it finds O_PATH), nor one made
 * that gives its owner's rights to who runs it.
 */
static const struct row places[] = {
	IF3(openat, IS_DESCRIPTOR(0), HAS_ALL_AND_NOT(2, O_CREAT | O_EXCL, O_PATH),
	    HAS_NOT(3, ~0777)),
	IF2(renameat, IS_DESCRIPTOR(0), IS_DESCRIPTOR(2)),
	IF(unlinkat, IS_DESCRIPTOR(0)),
	IF(newfstatat, IS_DESCRIPTOR(0)),
	IF(readlinkat, IS_DESCRIPTOR(0)),
	IF(fchmod, HAS_NOT(1, ~0777)),
};

struct part {
	const struct row *row;
	size_t nr;
};

#define PART(rows)                     \
	{                              \
		rows, ARRAY_SIZE(rows) \
	}

static const struct {
	const char *name;
	struct part part[4];
} filters[] = {
	[SANDBOX_VCPU] = {"vcpu", {PART(vcpu), PART(devices), PART(everybody)}},
	[SANDBOX_DISK] = {"disk", {PART(disk), PART(everybody)}},
	[SANDBOX_LOOP] = {"loop", {PART(loop), PART(devices), PART(everybody)}},
	[SANDBOX_LOOP_PLACES] = {"loop_places",
				 {PART(loop), PART(devices), PART(everybody), PART(places)}},
};

static void check(int ret, const char *filter, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "filters: %s: %s: %s\n", filter, what, strerror(-ret));
	exit(1);
}

static size_t compile(unsigned int kind, struct sock_filter *insns)
{
	const char *name = filters[kind].name;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	FILE *file = tmpfile();
	size_t nr;

	if (!ctx || !file)
		check(-ENOMEM, name, "start");
	check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), name, "arch");
	for (size_t p = 0; p < ARRAY_SIZE(filters[kind].part); p++) {
		const struct part *part = &filters[kind].part[p];

		for (size_t i = 0; i < part->nr; i++)
			check(seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, part->row[i].call,
						     part->row[i].nr_args, part->row[i].arg),
			      name, part->row[i].name);
	}
	/*
	 * HV_RUN is what a vCPU does all day: it comes first. The others' calls are found in a tree, since the
	 * kernel tries the whole number space of calls on a filter that it is given.
	 */
	if (kind == SANDBOX_VCPU)
		check(seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), 255), name, "priority");
	else
		check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), name, "tree");
	check(seccomp_export_bpf(ctx, fileno(file)), name, "export");
	seccomp_release(ctx);
	rewind(file);
	nr = fread(insns, sizeof(*insns), MAX_INSNS, file);
	check(nr && nr < MAX_INSNS ? 0 : -E2BIG, name, "size");
	fclose(file);
	return nr;
}

/* sandbox/thread.c puts the process in its place: it must be there, once for each row that has it. */
static void check_pid(const char *name, const struct sock_filter *insns, size_t nr)
{
	unsigned int found = 0;

	for (size_t i = 0; i < nr; i++)
		found += filter_is_pid(&insns[i]);
	check(found == 1 ? 0 : -EINVAL, name, "the process's own number");
}

int main(void)
{
	static struct sock_filter insns[MAX_INSNS];

	puts("/* Written by vmm/sandbox/filters. */");
	for (unsigned int kind = 0; kind < ARRAY_SIZE(filters); kind++) {
		size_t nr = compile(kind, insns);

		check_pid(filters[kind].name, insns, nr);
		printf("static const struct sock_filter %s_filter[] = {\n", filters[kind].name);
		for (size_t i = 0; i < nr; i++)
			printf("\t{%#x, %u, %u, %#x},\n", insns[i].code, insns[i].jt, insns[i].jf,
			       insns[i].k);
		puts("};");
	}
	puts("static const struct filter filters[] = {");
	for (unsigned int kind = 0; kind < ARRAY_SIZE(filters); kind++)
		printf("\t{%s_filter, sizeof(%s_filter) / sizeof(%s_filter[0])},\n",
		       filters[kind].name, filters[kind].name, filters[kind].name);
	puts("};");
	return fflush(stdout) || ferror(stdout);
}
