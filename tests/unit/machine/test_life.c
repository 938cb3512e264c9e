// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a machine (vmm/machine/machine.c): it runs, stands still, goes on, is reset and ends, while a disk's host
 * takes its time. The module is a function here, and the guest is a list of writes.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "acpi/acpi.h"
#include "boot/boot_image.h"
#include "config/config.h"
#include "include/uapi/hv.h"
#include "machine/machine.h"
#include "platform/layout.h"
#include "suite.h"

#define CPUS	 2
#define RUN_SIZE 4096
#define PATIENCE 10000 /* milliseconds */

/* ------------------------------------------------------------------------- */
/* The module                                                                 */

static struct {
	int fd;
	struct hv_run *run;
	atomic_uint runs;
} vcpu[CPUS];

static uint8_t *ram;

/* The VM's clock: time goes by when it is read, and the guest sees that. */
static struct {
	pthread_mutex_t lock;
	uint64_t ns;
	uint64_t seen; /* by the first processor */
	bool went_back;
	unsigned int stops;
	atomic_bool fails;
} module_clock = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What the guest does next, on its first processor. */
struct step {
	bool pio;
	uint64_t at;
	uint32_t value;
};

static struct {
	pthread_mutex_t lock;
	struct step step[64];
	unsigned int next, nr;
} guest = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Has a step begun? */
static bool guest_steps(struct hv_run *run)
{
	struct step s;
	bool any;

	pthread_mutex_lock(&guest.lock);
	any = guest.next < guest.nr;
	if (any)
		s = guest.step[guest.next++];
	pthread_mutex_unlock(&guest.lock);
	if (!any)
		return false;
	run->exit_reason = s.pio ? HV_EXIT_PIO : HV_EXIT_MMIO;
	if (s.pio) {
		run->exit.pio.port = (uint16_t)s.at;
		run->exit.pio.len = 1;
		run->exit.pio.flags = HV_IO_WRITE;
		run->exit.pio.data = s.value;
	} else {
		run->exit.mmio.gpa = s.at;
		run->exit.mmio.len = 4;
		run->exit.mmio.flags = HV_IO_WRITE;
		run->exit.mmio.data = s.value;
	}
	return true;
}

static void guest_sees_clock(void)
{
	pthread_mutex_lock(&module_clock.lock);
	module_clock.went_back |= module_clock.ns < module_clock.seen;
	module_clock.seen = module_clock.ns;
	pthread_mutex_unlock(&module_clock.lock);
}

static int run_vcpu(int fd)
{
	unsigned int id = fd == vcpu[0].fd ? 0 : 1;
	struct hv_run *run = vcpu[id].run;

	if (__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST)) {
		errno = EINTR;
		return -1;
	}
	if (id || !guest_steps(run)) {
		run->exit_reason = HV_EXIT_NONE;
		usleep(50);
	}
	if (!id)
		guest_sees_clock();
	/* It is seen to run when its last step has been done. */
	atomic_fetch_add(&vcpu[id].runs, 1);
	return 0;
}

static int get_clock(struct hv_clock *c)
{
	if (module_clock.fails) {
		errno = EIO;
		return -1;
	}
	pthread_mutex_lock(&module_clock.lock);
	*c = (struct hv_clock){.ns = module_clock.ns, .tsc = module_clock.ns, .tsc_khz = 1000000};
	module_clock.ns += 1000;
	pthread_mutex_unlock(&module_clock.lock);
	/* If it runs. */
	usleep(2000);
	return 0;
}

static int set_clock(const struct hv_clock *c)
{
	pthread_mutex_lock(&module_clock.lock);
	ck_assert_uint_eq(c->tsc_khz, 1000000);
	if (!(c->flags & HV_CLOCK_KEEP))
		module_clock.ns = c->ns;
	module_clock.stops += c->flags & HV_CLOCK_STOPPED;
	pthread_mutex_unlock(&module_clock.lock);
	return 0;
}

/* Looked at, and at a time that the test wants. */
static uint64_t clock_ns(void)
{
	uint64_t ns;

	pthread_mutex_lock(&module_clock.lock);
	ns = module_clock.ns;
	pthread_mutex_unlock(&module_clock.lock);
	return ns;
}

static void move_clock(uint64_t by)
{
	pthread_mutex_lock(&module_clock.lock);
	module_clock.ns += by;
	pthread_mutex_unlock(&module_clock.lock);
}

static bool clock_went_back(void)
{
	bool back;

	pthread_mutex_lock(&module_clock.lock);
	back = module_clock.went_back;
	pthread_mutex_unlock(&module_clock.lock);
	return back;
}

static int new_fd(void)
{
	int fd = memfd_create("hv", 0);

	ck_assert_int_eq(ftruncate(fd, RUN_SIZE), 0);
	return fd;
}

static int create_vcpu(const struct hv_create_vcpu *c)
{
	ck_assert_uint_lt(c->id, CPUS);
	vcpu[c->id].fd = new_fd();
	vcpu[c->id].run =
		mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu[c->id].fd, 0);
	return vcpu[c->id].fd;
}

static int get_caps(struct hv_caps *c)
{
	*c = (struct hv_caps){
		.size = sizeof(*c),
		.abi_version = HV_ABI_VERSION,
		.max_vcpus = CPUS,
		.max_slots = 8,
		.run_size = RUN_SIZE,
		.tsc_khz = 1000000,
		.gpa_bits = 40,
		.xsave_size = 576,
	};
	return 0;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (!strcmp(path, "/dev/hv"))
		return new_fd();
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case HV_RUN:
		return run_vcpu(fd);
	case HV_GET_CAPS:
		return get_caps(arg);
	case HV_CREATE_VM:
		return new_fd();
	case HV_CREATE_VCPU:
		return create_vcpu(arg);
	case HV_SET_SLOT:
		if (!((const struct hv_slot *)arg)->gpa)
			ram = (uint8_t *)(uintptr_t)((const struct hv_slot *)arg)->hva;
		return 0;
	case HV_GET_CPUID:
		((struct hv_cpuid *)arg)->count = 0;
		return 0;
	case HV_SET_MSRS:
	case HV_SIGNAL_MSI:
		return 1;
	case HV_IOEVENTFD:
		errno = ENOSPC;
		return -1;
	case HV_GET_CLOCK:
		return get_clock(arg);
	case HV_SET_CLOCK:
		return set_clock(arg);
	case HV_SET_CPUID:
	case HV_IRQFD:
	case HV_RESET:
		return 0;
	default:
		return (int)syscall(SYS_ioctl, fd, request, arg);
	}
}

/* ------------------------------------------------------------------------- */
/* The host's disk: each read waits for the gate, while there is one          */

static atomic_bool gated;
static sem_t gate;
static atomic_uint host_reads;

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	atomic_fetch_add(&host_reads, 1);
	if (atomic_load(&gated))
		sem_wait(&gate);
	return syscall(SYS_preadv, fd, iov, n, at, 0);
}

static void open_gate(void)
{
	atomic_store(&gated, false);
	sem_post(&gate);
}

/* Disks get a thread, which reads as above. */
static void forbid_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* ------------------------------------------------------------------------- */
/* The machine                                                                */

static struct config config;
static struct loop *loop;
static struct console *console;
static struct machine *machine;
static char disk_path[64];

static void set_up(void)
{
	char words[128];
	char *argv[] = {"run",	  "--kernel", kernel_path, "--memory", "64M",
			"--cpus", "2",	      "--disk",	   words,      NULL};
	struct image image;

	forbid_uring();
	sem_init(&gate, 0, 0);
	setup();
	make_bzimage(&image);
	write_file(kernel_path, image.data, image.len);
	snprintf(disk_path, sizeof(disk_path), "%s/disk", dir);
	write_file(disk_path, "", 0);
	ck_assert_int_eq(truncate(disk_path, MiB(64)), 0);
	snprintf(words, sizeof(words), "path=%s,transport=mmio", disk_path);
	ck_assert_msg(!config_parse(9, argv, &config, &err), "%s", err.text);
	loop = loop_create();
	console = console_open(loop, &err);
	machine = machine_create(&config, loop, console, &err);
	ck_assert_msg(machine != NULL, "%s", err.text);
	ck_assert_msg(!machine_launch(machine, &err), "%s", err.text);
	machine_start(machine);
}

static void tear_down(void)
{
	machine_destroy(machine);
	console_close(console);
	loop_destroy(loop);
	config_destroy(&config);
	unlink(disk_path);
	teardown();
}

static struct loop_timer *turner;
static bool (*awaited)(void);
static uint64_t deadline;

static void on_turn(void *arg)
{
	(void)arg;
	if (loop_now() >= deadline || (awaited && awaited()))
		loop_stop(loop);
	else
		loop_timer_arm(turner, loop_now() + 1000000);
}

/* Run the loop until this is so, or nothing came of it. */
static bool within(bool (*what)(void), unsigned int ms)
{
	awaited = what;
	deadline = loop_now() + ms * 1000000ULL;
	turner = loop_timer_create(loop, on_turn, NULL);
	loop_timer_arm(turner, loop_now());
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_destroy(turner);
	return what && what();
}

static unsigned int runs_before[CPUS];

static bool all_run(void)
{
	bool run = true;

	/* Two more: the first may have begun before. */
	for (unsigned int i = 0; i < CPUS; i++)
		run &= atomic_load(&vcpu[i].runs) - runs_before[i] > 2;
	return run;
}

static bool runs(void)
{
	for (unsigned int i = 0; i < CPUS; i++)
		runs_before[i] = atomic_load(&vcpu[i].runs);
	return within(all_run, PATIENCE);
}

static bool stands(void)
{
	unsigned int before[CPUS];
	bool still = true;

	for (unsigned int i = 0; i < CPUS; i++)
		before[i] = atomic_load(&vcpu[i].runs);
	within(NULL, 20);
	for (unsigned int i = 0; i < CPUS; i++)
		still &= atomic_load(&vcpu[i].runs) == before[i];
	return still;
}

static unsigned int steps_done(void)
{
	unsigned int done;

	pthread_mutex_lock(&guest.lock);
	done = guest.next;
	pthread_mutex_unlock(&guest.lock);
	return done;
}

static bool all_is_done(void)
{
	return steps_done() == guest.nr;
}

static void guest_does(bool pio, uint64_t at, uint32_t value)
{
	pthread_mutex_lock(&guest.lock);
	guest.step[guest.nr++] = (struct step){pio, at, value};
	pthread_mutex_unlock(&guest.lock);
}

/* ------------------------------------------------------------------------- */
/* The guest's driver of the disk                                             */

#define RING   0x1000000u
#define AVAIL  (RING + 0x1000)
#define USED   (RING + 0x2000)
#define HEADER (RING + 0x3000)
#define STATUS (RING + 0x4000)
#define BUFFER (RING + 0x100000)
#define BYTES  (4u << 20) /* the host gets it in pieces */
#define FEATURES \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

static void set_register(unsigned int reg, uint32_t value)
{
	guest_does(false, LAYOUT_VIRTIO_MMIO + reg, value);
}

static void start_driver(void)
{
	set_register(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_register(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set_register(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set_register(VIRTIO_MMIO_STATUS, FEATURES);
	set_register(VIRTIO_MMIO_QUEUE_SEL, 0);
	set_register(VIRTIO_MMIO_QUEUE_NUM, 8);
	set_register(VIRTIO_MMIO_QUEUE_DESC_LOW, RING);
	set_register(VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
	set_register(VIRTIO_MMIO_QUEUE_USED_LOW, USED);
	set_register(VIRTIO_MMIO_QUEUE_READY, 1);
	set_register(VIRTIO_MMIO_STATUS, FEATURES | VIRTIO_CONFIG_S_DRIVER_OK);
}

static bool host_reads_now(void)
{
	return atomic_load(&host_reads) != 0;
}

static bool is_read(void)
{
	const struct vring_used *used = (const void *)(ram + USED);

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == 1;
}

/* A read whose first piece the host has, and does not answer. */
static void read_disk(void)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	const struct vring_desc desc[3] = {
		{HEADER, sizeof(header), VRING_DESC_F_NEXT, 1},
		{BUFFER, BYTES, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2},
		{STATUS, 1, VRING_DESC_F_WRITE, 0},
	};
	struct vring_avail *avail = (void *)(ram + AVAIL);

	memset(ram + RING, 0, 0x3000);
	memcpy(ram + RING, desc, sizeof(desc));
	memcpy(ram + HEADER, &header, sizeof(header));
	avail->idx = 1;
	atomic_store(&gated, true);
	atomic_store(&host_reads, 0);
	start_driver();
	set_register(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert(within(host_reads_now, PATIENCE));
}

/* ------------------------------------------------------------------------- */

static void pause_it(void)
{
	ck_assert_msg(!machine_pause(machine, &err), "%s", err.text);
	ck_assert(stands());
}

static void resume_it(void)
{
	ck_assert_msg(!machine_resume(machine, &err), "%s", err.text);
}

/* As the session does when the loop was stopped. */
static enum machine_end settle(void)
{
	struct machine_result result;

	machine_stop(machine);
	machine_settle(machine, &result);
	return result.end;
}

static void reset_it(void)
{
	ck_assert_int_eq(settle(), MACHINE_RESET);
	ck_assert_msg(!machine_reset(machine, &err), "%s", err.text);
	machine_start(machine);
}

START_TEST(stands_still_and_goes_on)
{
	uint64_t ns;

	ck_assert(runs());
	/* What is said twice is so once. */
	for (unsigned int i = 1; i <= 3; i++) {
		pause_it();
		ns = clock_ns();
		pause_it();
		move_clock(1000000);
		resume_it();
		resume_it();
		ck_assert(runs());
		ck_assert_uint_le(clock_ns(), ns);
		ck_assert_uint_eq(module_clock.stops, i);
	}
	ck_assert(!clock_went_back());
}
END_TEST

/* The disk's host is not waited for to stand still, but to go on. */
START_TEST(disk_in_flight)
{
	read_disk();
	pause_it();
	resume_it();
	ck_assert(stands());
	pause_it();
	resume_it();
	open_gate();
	ck_assert(runs());
	ck_assert(within(is_read, PATIENCE));
	ck_assert_uint_eq(ram[STATUS], 0);
}
END_TEST

/* A driver that waits for its disk's reset does not come out of it while the host is at work, not by a pause either. */
START_TEST(driver_waits)
{
	const struct vring_used *used = (const void *)(ram + USED);
	unsigned int done;

	read_disk();
	set_register(VIRTIO_MMIO_STATUS, 0);
	done = guest.nr;
	start_driver();
	within(NULL, 20);
	pause_it();
	ck_assert_uint_eq(steps_done(), done);
	memset(ram + RING, 0, 0x3000);
	resume_it();
	within(NULL, 20);
	ck_assert_uint_eq(steps_done(), done);
	open_gate();
	ck_assert(within(all_is_done, PATIENCE));
	within(NULL, 20);
	ck_assert_uint_eq(atomic_load(&host_reads), 1);
	ck_assert_uint_eq(used->idx, 0);
}
END_TEST

/* Who is reset while it waits for the host, in order to go on, runs then. */
START_TEST(reset_while_it_is_to_go_on)
{
	read_disk();
	pause_it();
	resume_it();
	machine_end(machine, MACHINE_RESET, 0, "");
	open_gate();
	reset_it();
	ck_assert(runs());
}
END_TEST

/* One that stands still does so when it was reset, and its clock is as new. */
START_TEST(reset_while_it_stands)
{
	pause_it();
	machine_end(machine, MACHINE_RESET, 0, "");
	reset_it();
	ck_assert(stands());
	move_clock(1ULL << 40);
	resume_it();
	ck_assert(runs());
	ck_assert_uint_lt(clock_ns(), 1ULL << 40);
}
END_TEST

/* The driver waits for the host, to be sure of its memory: so it does where the machine could not stand still. */
START_TEST(not_paused)
{
	read_disk();
	module_clock.fails = true;
	ck_assert_int_eq(machine_pause(machine, &err), -EIO);
	module_clock.fails = false;
	ck_assert(runs());
	set_register(VIRTIO_MMIO_STATUS, 0);
	within(NULL, 20);
	runs_before[0] = atomic_load(&vcpu[0].runs);
	within(NULL, 20);
	ck_assert_uint_eq(atomic_load(&vcpu[0].runs), runs_before[0]);
	open_gate();
	ck_assert(runs());
}
END_TEST

static void *save_devices(size_t *len)
{
	struct dtb t;
	void *tree;

	dtb_create(&t);
	dtb_begin(&t, "");
	machine_save_devices(machine, &t);
	dtb_end(&t);
	tree = dtb_finish(&t, len);
	ck_assert_ptr_nonnull(tree);
	return tree;
}

/* What the devices were at before they were loaded is not gone on with. */
START_TEST(loaded_into_one_that_ran)
{
	struct state_in in;
	size_t len;
	void *tree;

	pause_it();
	tree = save_devices(&len);
	resume_it();
	read_disk();
	pause_it();
	ck_assert_int_eq(state_open(&in, tree, len, &err), 0);
	ck_assert_int_eq(machine_load_devices(machine, &in, &err), -EBUSY);
	open_gate();
	while ((in.met = 0, machine_load_devices(machine, &in, &err)) == -EBUSY)
		within(NULL, 1);
	free(tree);
	resume_it();
	memset(ram + RING, 0, 0x3000);
	start_driver();
	ck_assert(runs());
	within(NULL, 20);
	ck_assert_uint_eq(atomic_load(&host_reads), 1);
}
END_TEST

/* A process that was stopped goes on: the guest is told, and its clock only goes forward. */
START_TEST(stood_still_unasked)
{
	ck_assert(runs());
	machine_stood_still(machine);
	ck_assert_uint_eq(module_clock.stops, 1);
	ck_assert(runs());
	ck_assert(!clock_went_back());
	/* One that stands still is told when it goes on. */
	pause_it();
	machine_stood_still(machine);
	ck_assert_uint_eq(module_clock.stops, 1);
	resume_it();
	ck_assert_uint_eq(module_clock.stops, 2);
}
END_TEST

/* Over is over, whatever is asked for. */
START_TEST(ends)
{
	if (_i & 1)
		read_disk();
	if (_i & 2)
		pause_it();
	else
		ck_assert(runs());
	if (_i & 4) {
		ck_assert(machine_end(machine, MACHINE_POWER_OFF, 0, ""));
		/* Too late. */
		ck_assert(!machine_end(machine, MACHINE_RESET, 0, ""));
	} else {
		guest_does(true, PORT_ACPI_SLEEP, 0x20 | ACPI_SLEEP_S5 << 2);
		if (_i & 2)
			resume_it();
		if (_i & 1)
			open_gate();
		ck_assert_int_eq(loop_run(loop), 0);
	}
	ck_assert_int_eq(machine_pause(machine, &err), -EBUSY);
	ck_assert_int_eq(machine_resume(machine, &err), -EBUSY);
	machine_stood_still(machine);
	if (_i & 1)
		open_gate();
	ck_assert_int_eq(settle(), MACHINE_POWER_OFF);
}
END_TEST

static bool stop_asking;

static void *asks(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop_asking, __ATOMIC_RELAXED)) {
		set_register(VIRTIO_MMIO_STATUS, 0);
		usleep(100);
		pthread_mutex_lock(&guest.lock);
		if (guest.next == guest.nr)
			guest.next = guest.nr = 0;
		else if (guest.nr == 64)
			guest.nr = guest.next;
		pthread_mutex_unlock(&guest.lock);
	}
	return NULL;
}

/* Over and over, beside a guest that resets its disk. */
START_TEST(over_and_over)
{
	pthread_t thread;

	pthread_create(&thread, NULL, asks, NULL);
	for (unsigned int i = 0; i < 300; i++) {
		ck_assert_int_eq(machine_pause(machine, &err), 0);
		ck_assert_int_eq(machine_resume(machine, &err), 0);
		within(NULL, 0);
		if (i % 10)
			continue;
		machine_end(machine, MACHINE_RESET, 0, "");
		reset_it();
	}
	ck_assert(runs());
	__atomic_store_n(&stop_asking, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("life");
	TCase *t = tcase_create("life");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, stands_still_and_goes_on);
	tcase_add_test(t, disk_in_flight);
	tcase_add_test(t, driver_waits);
	tcase_add_test(t, reset_while_it_is_to_go_on);
	tcase_add_test(t, reset_while_it_stands);
	tcase_add_test(t, not_paused);
	tcase_add_test(t, loaded_into_one_that_ran);
	tcase_add_test(t, stood_still_unasked);
	tcase_add_loop_test(t, ends, 0, 8);
	tcase_add_test(t, over_and_over);
	suite_add_tcase(s, t);
	return suite_run(s);
}
