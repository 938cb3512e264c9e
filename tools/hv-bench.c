// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hv-bench: what the operations of a hypervisor cost, measured by the same tiny
 * guest on /dev/hv or on /dev/kvm. Started by scripts/bench in a host whose time
 * stamp counter counts instructions, where a tick is an instruction; elsewhere a
 * tick is a tick. docs/benchmark.md says what each row means.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"

#define SAMPLES	      1001
#define SAMPLES_MAX   ((BENCH_RAM - BENCH_SAMPLES) / 8)
#define CREATIONS     16 /* samples of other rows for one creation of a VM */
#define PAGE	      4096u

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char usage_text[] =
	"usage: hv-bench --hv|--kvm [--samples N] [ROW...]\n"
	"       hv-bench --first-byte|--init COMMAND...\n"
	"       hv-bench --join HV-FILE KVM-FILE\n"
	"\n"
	"Measures what operations cost a guest on /dev/hv or on /dev/kvm, in ticks of the time stamp\n"
	"counter, and prints a line \"NAME TICKS\" for each row. Or measures a monitor, COMMAND, from its\n"
	"start to the guest's first console byte, or to its init and the KiB of memory it then needs.\n"
	"With --join: compares two outputs.\n"
	"\n"
	"  --samples N  how often to measure each row; the median counts (default 1001)\n"
	"  --list       the names of the rows\n"
	"  -h, --help   this text\n";

void die(int error, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "hv-bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	exit(1);
}

/* ------------------------------------------------------------------------- */
/* The guest                                                                  */

struct bench {
	const struct bench_ops *ops;
	struct machine m;
	uint8_t *ram;
	unsigned int samples;
	int event;	/* what the guest's writes to PORT_EVENT make user space signal */
	uint64_t empty; /* ticks of a loop with no operation */
};

/* Small pages, there already: what is measured is the hypervisor, not the host's allocator. */
static void *allocate(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, len, MADV_NOHUGEPAGE))
		die(errno, "%zu bytes of memory", len);
	memset(p, 1, len);
	return p;
}

static void make_page_tables(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + BENCH_PML4), *pdpt = (uint64_t *)(ram + BENCH_PDPT);
	uint64_t *pd = (uint64_t *)(ram + BENCH_PD);

	pml4[0] = BENCH_PDPT | 0x3;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (BENCH_PD + PAGE * i) | 0x3;
	for (unsigned int i = 0; i < 2048; i++)
		pd[i] = (uint64_t)i << 21 | 0x83;
}

static uint64_t code(const char *symbol)
{
	return BENCH_CODE + (uint64_t)(symbol - bench_guest);
}

/* Intel SDM Vol. 3: "IDT Descriptors", "Segment Descriptors". */
static void make_descriptors(uint8_t *ram)
{
	uint64_t *idt = (uint64_t *)(ram + BENCH_IDT), *gdt = (uint64_t *)(ram + BENCH_GDT);
	uint64_t handler = code(guest_handler);

	idt[2 * BENCH_VECTOR] = (handler & 0xffff) | SEL_CODE << 16 | 0x8e0000000000 |
				(handler >> 16 & 0xffff) << 48;
	gdt[SEL_CODE / 8] = 0x00af9b000000ffff;
	gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	gdt[SEL_TSS / 8] = 0x00008b0000000067 | (uint64_t)BENCH_TSS << 16;
}

static const struct bench_state state = {
	.code = {.limit = 0xffffffff, .selector = SEL_CODE, .type = 0xb, .l = 1, .g = 1},
	.data = {.limit = 0xffffffff, .selector = SEL_DATA, .type = 0x3, .db = 1, .g = 1},
	.tr = {.base = BENCH_TSS, .limit = 0x67, .selector = SEL_TSS, .type = 0xb, .system = 1},
	.gdt = BENCH_GDT,
	.idt = BENCH_IDT,
	.gdt_limit = 0x3f,
	.idt_limit = 0xfff,
	.cr0 = 0x80010033,
	.cr3 = BENCH_PML4,
	.cr4 = 0x620,
	.efer = 0x500,
};

static void signal_event(int fd)
{
	static const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die(errno, "eventfd");
}

/* Run from an entry of the guest until it is done. */
static void run_guest(struct bench *b, const char *entry, unsigned int count, uint64_t address)
{
	const struct bench_ops *ops = b->ops;

	ops->start(&b->m, code(entry), BENCH_SAMPLES, count, address);
	for (;;) {
		if (ops->run(&b->m) != EXIT_OUT)
			continue;
		if (b->m.port == PORT_DONE)
			return;
		if (b->m.port == PORT_EVENT)
			signal_event(b->event);
	}
}

/* ------------------------------------------------------------------------- */
/* Measuring                                                                  */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The middle one: a tick of the host's own timer strikes few samples. */
static uint64_t median(uint64_t *samples, unsigned int count)
{
	qsort(samples, count, sizeof(samples[0]), compare);
	return samples[count / 2];
}

/* A breakpoint of the debugger of Bochs, for scripts/profile; to a processor, nothing. */
static void mark(void)
{
	asm volatile("xchg %bx, %bx");
}

/* The middle one of what an operation took, without the loop around it. */
static uint64_t measure_loop(struct bench *b, const char *entry, unsigned int own, uint64_t address)
{
	mark();
	run_guest(b, entry, b->samples, address);
	return median((uint64_t *)(b->ram + BENCH_SAMPLES), b->samples) - b->empty - own;
}

static void create_guest(struct bench *b)
{
	b->ram = allocate(BENCH_RAM);
	memset(b->ram, 0, BENCH_RAM);
	make_page_tables(b->ram);
	make_descriptors(b->ram);
	memcpy(b->ram + BENCH_CODE, bench_guest, (size_t)(bench_guest_end - bench_guest));
	b->ops->create(&b->m);
	b->ops->set_memory(&b->m, SLOT_RAM, 0, BENCH_RAM, b->ram);
	b->ops->prepare(&b->m, &state);
	run_guest(b, guest_setup, 0, 0);
	b->empty = measure_loop(b, guest_empty, 0, 0);
}

/* An operation that the guest's loop at "entry" does, with so many other instructions in it. */
struct row {
	const char *name;
	const char *entry;
	unsigned int own;
	uint64_t address;
	uint64_t (*measure)(struct bench *b, const struct row *r);
};

static uint64_t measure_exit(struct bench *b, const struct row *r)
{
	return measure_loop(b, r->entry, r->own, r->address);
}

static uint64_t measure_doorbell(struct bench *b, const struct row *r)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	b->ops->bind_port(&b->m, fd, PORT_DOORBELL);
	return measure_exit(b, r);
}

/*
 * User space signals an eventfd, the guest's handler runs. Taken off is the same
 * with an eventfd that interrupts nobody: the exit to user space and the write.
 */
static uint64_t measure_irq(struct bench *b, const struct row *r)
{
	uint64_t bound, unbound;

	b->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->ops->bind_irq(&b->m, b->event);
	bound = measure_exit(b, r);
	b->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	unbound = measure_loop(b, guest_event, 1, 0);
	return bound - unbound;
}

/* One page after the other for the first time, all of them present in the host. */
static uint64_t measure_fault(struct bench *b, const struct row *r)
{
	size_t len = (size_t)b->samples * PAGE;
	void *p = allocate(len);

	b->ops->set_memory(&b->m, SLOT_FRESH, BENCH_FRESH, len, p);
	return measure_exit(b, r);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * /dev/hv or /dev/kvm opened, a VM and a vCPU created, and all of it closed: the
 * processor's time of this thread, so that its waiting for others is left out.
 */
static uint64_t measure_creation(struct bench *b, const struct row *r)
{
	unsigned int count = b->samples / CREATIONS + 1;
	uint64_t *samples = calloc(count, sizeof(*samples)), ns, ticks, elapsed;
	struct machine m;

	(void)r;
	if (!samples)
		die(ENOMEM, "samples");
	mark();
	elapsed = clock_ns(CLOCK_MONOTONIC_RAW);
	ticks = __rdtsc();
	for (unsigned int i = 0; i < count; i++) {
		ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		b->ops->create(&m);
		b->ops->destroy(&m);
		samples[i] = clock_ns(CLOCK_THREAD_CPUTIME_ID) - ns;
	}
	ticks = __rdtsc() - ticks;
	elapsed = clock_ns(CLOCK_MONOTONIC_RAW) - elapsed;
	ns = median(samples, count);
	free(samples);
	return (uint64_t)round((double)ns * (double)ticks / (double)elapsed);
}

static const struct row rows[] = {
	{"cpuid", guest_cpuid, 2, 0, measure_exit},
	{"rdmsr", guest_rdmsr, 1, 0, measure_exit},
	{"x2apic_self_ipi", guest_self_ipi, 6, 0, measure_exit},
	{"pio_in", guest_in, 1, 0, measure_exit},
	{"pio_out", guest_out, 1, 0, measure_exit},
	{"mmio_read", guest_mmio_read, 0, BENCH_MMIO, measure_exit},
	{"ioeventfd_pio", guest_doorbell, 1, 0, measure_doorbell},
	{"irqfd", guest_event_irq, 4, 0, measure_irq},
	{"stage2_fault", guest_touch, 1, BENCH_FRESH, measure_fault},
	{"vm_create_destroy", NULL, 0, 0, measure_creation},
};

/* NULL: there is none of that name. */
static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static void measure_row(struct bench *b, const struct row *r)
{
	printf("%s %llu\n", r->name, (unsigned long long)r->measure(b, r));
	fflush(stdout);
}

static void measure(struct bench *b, char **names, int count)
{
	for (int i = 0; i < count; i++)
		if (!find_row(names[i]))
			die(0, "no such row: '%s'; --list names them", names[i]);
	create_guest(b);
	for (int i = 0; i < count; i++)
		measure_row(b, find_row(names[i]));
	for (size_t i = 0; !count && i < ARRAY_SIZE(rows); i++)
		measure_row(b, &rows[i]);
	b->ops->destroy(&b->m);
}

/* ------------------------------------------------------------------------- */
/* Comparing                                                                  */

#define NAME_LEN 64

/* The value that a file of lines "NAME VALUE" gives a name; 0: none. */
static double lookup(FILE *f, const char *wanted)
{
	char name[NAME_LEN];
	double value;

	rewind(f);
	while (fscanf(f, "%63s %lf", name, &value) == 2)
		if (!strcmp(name, wanted))
			return value;
	return 0;
}

static FILE *open_rows(const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		die(errno, "%s", path);
	return f;
}

/* What both files have, in the order of the first, and the mean of the operations. */
static int join(const char *hv_path, const char *kvm_path)
{
	FILE *hv_rows = open_rows(hv_path), *kvm_rows = open_rows(kvm_path);
	unsigned int count = 0;
	double hv, kvm, logs = 0;
	char name[NAME_LEN];

	while (fscanf(hv_rows, "%63s %lf", name, &hv) == 2) {
		kvm = lookup(kvm_rows, name);
		if (hv <= 0 || kvm <= 0)
			continue;
		printf("%-20s hv=%-10.0f kvm=%-10.0f ratio=%.3f\n", name, hv, kvm, hv / kvm);
		if (!find_row(name))
			continue;
		logs += log(hv / kvm);
		count++;
	}
	if (count)
		printf("%-20s %27s ratio=%.3f\n", "geometric-mean", "", exp(logs / count));
	fclose(hv_rows);
	fclose(kvm_rows);
	return 0;
}

/* ------------------------------------------------------------------------- */

static void __attribute__((noreturn)) usage_error(const char *what)
{
	fprintf(stderr, "hv-bench: %s\nTry 'hv-bench --help'.\n", what);
	exit(2);
}

static unsigned int parse_samples(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!n || *end || n > SAMPLES_MAX)
		usage_error("--samples needs a number from 1 to 131072");
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"hv", no_argument, NULL, 'v'},
		{"kvm", no_argument, NULL, 'k'},
		{"first-byte", no_argument, NULL, 'f'},
		{"init", no_argument, NULL, 'i'},
		{"join", no_argument, NULL, 'j'},
		{"samples", required_argument, NULL, 's'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct bench b = {.samples = SAMPLES};
	int c, what = 0;

	/* "+": the first word that is no option ends them, as COMMAND has its own. */
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			b.samples = parse_samples(optarg);
			break;
		case 'l':
			for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
				puts(rows[i].name);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		case '?':
			fputs("Try 'hv-bench --help'.\n", stderr);
			return 2;
		default:
			what = c;
		}
	}
	argv += optind;
	argc -= optind;
	switch (what) {
	case 'v':
	case 'k':
		b.ops = what == 'v' ? &bench_hv : &bench_kvm;
		measure(&b, argv, argc);
		return 0;
	case 'f':
	case 'i':
		if (!argc)
			usage_error("a command is missing");
		(what == 'f' ? bench_first_byte : bench_init)(argv);
		return 0;
	case 'j':
		if (argc != 2)
			usage_error("--join needs two files");
		return join(argv[0], argv[1]);
	default:
		usage_error("say what to measure");
	}
}
