// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a round of the fuzzer has to work with: descriptors, run pages, memory and guests.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ioctl.h"

uint64_t seed;
bool tcg;
uint32_t xsave_size;
struct figures *figures;

_Atomic int pool[KINDS][POOL];
static uint8_t *run_pages;
struct vm main_vm;
uint8_t *arena;
struct hv_run modes[3];
pthread_t workers[WORKERS];
_Atomic unsigned int working;

uint64_t number(void)
{
	static const uint64_t edges[] = {
		0,	    1,		2,	     3,		 7,	8,	    15,
		16,	    31,		63,	     64,	 65,	127,	    128,
		255,	    256,	511,	     512,	 4095,	4096,	    4097,
		0x7fffffff, 1u << 31,	0xffffffff,  1ull << 32, ~0ull, 1ull << 63, 0xfee00000,
		0xfee00fe0, 0xfeeff000, ~0ull << 47,
	};

	switch (below(4)) {
	case 0:
		return random64() >> below(64);
	case 1:
		return 1ull << below(64);
	default:
		return ANY(edges) + (one_in(4) ? below(3) - 1 : 0);
	}
}

int any(enum kind kind)
{
	return pool[kind][below(POOL)];
}

struct hv_run *run_page(unsigned int i)
{
	return (struct hv_run *)(run_pages + i * PAGE);
}

void keep(enum kind kind, int fd)
{
	unsigned int i = (unsigned int)below(POOL);
	int old;

	if (fd < 0)
		return;
	if (kind == VCPU)
		mmap(run_page(i), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	old = atomic_exchange(&pool[kind][i], fd);
	if (old >= 0)
		close(old);
}

/* A new run page could not be mapped and the old one is gone: its users shall not notice. */
static void fill_hole(int signo, siginfo_t *info, void *context)
{
	uint8_t *p = (uint8_t *)((uintptr_t)info->si_addr & -PAGE);

	(void)context;
	if (p < run_pages || p >= run_pages + POOL * PAGE) {
		signal(signo, SIG_DFL);
		return;
	}
	while (mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0) == MAP_FAILED)
		;
}

/*
 * A frame that cannot be written, because a page of the stack has to be copied after a fork and no page
 * is to be had, is the end of the process: this stack is there, and nobody's but this process's.
 */
void take_signal_stack(void)
{
	stack_t stack = {.ss_size = 16 * PAGE};

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	CHECK(stack.ss_sp != MAP_FAILED);
	CHECK_EQ(madvise(stack.ss_sp, stack.ss_size, MADV_DONTFORK), 0);
	CHECK_EQ(sigaltstack(&stack, NULL), 0);
}

/* What a call of ours may fail with. EIO is not among them: that is for other processes. */
void may_fail(const char *what, long result)
{
	static const int codes[] = {EINVAL, EFAULT, EBADF,  ENOTTY, ENOMEM,    EINTR,	   EBUSY,
				    EEXIST, ENOENT, ENOSPC, E2BIG,  ESHUTDOWN, EOPNOTSUPP, EMFILE};

	if (result >= 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (errno == codes[i])
			return;
	}
	test_fail("seed %llu: %s: %s", (unsigned long long)seed, what, strerror(errno));
}

/* ---- What QEMU's emulation of AMD-V gets wrong, and what is kept from it therefore ---- */

/*
 * QEMU 7.2 loses the host's paging at an exit from a guest with EFER.LME and CR4.PAE set and CR0.PG clear;
 * it aborts at a MOV to CR8 while a virtual interrupt waits, and at an interrupt that takes a legacy guest
 * from ring 3 or virtual-8086 mode to ring 0, as it knows no busy TSS; and MOV to a debug register is the
 * end of it. So its guests have no MOV to CRs and DRs, no IRET, and in protected mode no segment of ring 3.
 */
void tame(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == 0xcf || (i && p[i - 1] == 0x0f && p[i] >= 0x20 && p[i] <= 0x23))
			p[i] = 0x0b;
	}
}

/* The same of a state that is about to be loaded, of which only harmless parts are random. */
bool may_scribble(size_t offset)
{
	size_t sregs = offset - offsetof(struct hv_run, sregs);

	if (!tcg || offset < offsetof(struct hv_run, gprs.rflags))
		return true;
	if (offset >= offsetof(struct hv_run, events))
		return true;
	return sregs == offsetof(struct hv_sregs, cr2) || sregs == offsetof(struct hv_sregs, cr3) ||
	       sregs == offsetof(struct hv_sregs, ds) || sregs == offsetof(struct hv_sregs, fs);
}

/* ---- The beginning and the end of a round ---- */

static void prepare_guests(void)
{
	static uint8_t code[0x10000];
	struct vcpu v;

	if (one_in(2))
		vm_init(&main_vm);
	else
		vm_init_shared(&main_vm);
	vcpu_init(&v, &main_vm, 0);
	for (unsigned int i = 0; i < 3; i++) {
		if (i == 0)
			vcpu_long_at(&v, GUEST_LOW);
		else if (i == 1)
			vcpu_flat32(&v, GUEST_LOW);
		else
			vcpu_real(&v, GUEST_LOW >> 4, 0);
		modes[i] = *v.run;
	}
	if (tcg)
		modes[1].sregs.gdt.limit = SEL_CODE32 + 7;
	vcpu_close(&v);

	random_code(code, sizeof(code));
	if (tcg)
		tame(code, sizeof(code));
	memcpy(main_vm.ram + GUEST_LOW, code, sizeof(code));
	/* No code of ours is left, whose ways are too well known. */
	for (uint64_t gpa = 0x400000; gpa < GUEST_STACKS; gpa += sizeof(code))
		memcpy(main_vm.ram + gpa, code, sizeof(code));
	keep(VM, main_vm.fd);
}

void pool_fill(void)
{
	struct sigaction ignore = {.sa_handler = ignore_signal, .sa_flags = SA_ONSTACK};
	struct sigaction fault = {.sa_sigaction = fill_hole,
				  .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	bool shared = one_in(2);

	sigaction(SIGUSR1, &ignore, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	/* Pages that break are told about so; nothing here touches them but by the kernel. */
	signal(SIGBUS, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int i = 0; i < POOL; i++)
			pool[kind][i] = -1;
	}
	arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	run_pages =
		mmap(NULL, POOL * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(arena != MAP_FAILED && run_pages != MAP_FAILED);
	prepare_guests();
	for (unsigned int i = 0; i < POOL; i++) {
		keep(SYSTEM, open("/dev/hv", O_RDWR | O_CLOEXEC));
		keep(EVENT, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		create_vcpu(any(VM));
	}
}

void pool_empty(void)
{
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int i = 0; i < POOL; i++)
			close(pool[kind][i]);
	}
	munmap(run_pages, POOL * PAGE);
}
