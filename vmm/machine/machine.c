// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only file that wires parts together: from a configuration to a machine
 * that runs, and back. Called by cmd/session.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acpi/acpi.h"
#include "boot/boot.h"
#include "boot/reset_vector.h"
#include "dev/debug_exit.h"
#include "dev/fw_cfg.h"
#include "dev/power.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "host/hv.h"
#include "host/process.h"
#include "irqchip/ioapic.h"
#include "log.h"
#include "machine/devicetree.h"
#include "machine/machine.h"
#include "machine/topology.h"
#include "machine/vcpu.h"
#include "pci/pci.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/layout.h"
#include "platform/mem.h"
#include "virtio/blk.h"
#include "virtio/rng.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"

_Static_assert(CONFIG_MAX_MMIO == VIRTIO_MMIO_MAX, "places of virtio-mmio");

/* On the board, and those of virtio: the disks, and the entropy device. */
#define MAX_DEVICES (8 + CONFIG_MAX_DISKS + 1)

struct device {
	const struct device_ops *ops;
	void *dev;
	char id[sizeof("disk-") + CONFIG_ID_MAX]; /* which it is, whatever else there is */
};

struct machine {
	const struct config *config; /* constant, as everything up to the lock */
	struct loop *loop;
	struct console *console;

	int hv_fd;
	int vm_fd;
	struct hv_caps caps;
	struct mem mem;
	struct bus *pio;
	struct bus *mmio;
	struct host_files files;
	struct device device[MAX_DEVICES]; /* in the order of their making */
	unsigned int nr_devices;
	struct ioapic *ioapic; /* some of them, by name */
	struct power *power;
	struct pci_host *pci;
	struct virtio_pci_bus virtio_pci;
	struct virtio_mmio_bus virtio_mmio[VIRTIO_MMIO_MAX];
	unsigned int nr_virtio_mmio;
	struct vcpu_env vcpu_env;
	struct vcpu *vcpu[HV_MAX_VCPUS];

	/* The loop's thread alone: */
	bool settling; /* the vCPUs are parked, the loop runs for the disks */
	bool paused;
	bool resuming;	       /* ... until the host has finished what it had begun */
	struct hv_clock clock; /* of a paused machine */
	struct loop_timer *resume_timer;

	pthread_mutex_t lock; /* protects the result */
	struct machine_result result;
	bool hurry; /* the user does not wait for the disks */
};

/* How long a disk of a machine that is over may take; longer is a host that does not answer. */
#define SETTLE_SECONDS 5

/* ------------------------------------------------------------------------- */
/* Its devices                                                                */

/* dev is what a creation returned: NULL after a failure, with the reason in *e. */
static int add_device(struct machine *m, const struct device_ops *ops, void *dev, const char *id)
{
	struct device *d = &m->device[m->nr_devices];

	if (!dev)
		return -EIO;
	*d = (struct device){.ops = ops, .dev = dev};
	snprintf(d->id, sizeof(d->id), "%s", id);
	m->nr_devices++;
	return 0;
}

/* All of them are stopped. */
static void reset_devices(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_devices; i++)
		if (m->device[i].ops->reset)
			m->device[i].ops->reset(m->device[i].dev);
}

static void start_devices(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_devices; i++)
		if (m->device[i].ops->start)
			m->device[i].ops->start(m->device[i].dev);
}

/* Those first that came last, as they use what was there before. */
static bool stop_devices(struct machine *m)
{
	bool stopped = true;

	for (unsigned int i = m->nr_devices; i-- > 0;)
		if (m->device[i].ops->stop)
			stopped &= m->device[i].ops->stop(m->device[i].dev);
	return stopped;
}

static void end_waits(struct machine *m)
{
	for (unsigned int i = 0; i < m->nr_devices; i++)
		if (m->device[i].ops->end_waits)
			m->device[i].ops->end_waits(m->device[i].dev);
}

static void destroy_devices(struct machine *m)
{
	while (m->nr_devices) {
		const struct device *d = &m->device[--m->nr_devices];

		d->ops->destroy(d->dev);
	}
}

static void describe_devices(void *arg, const struct description *d)
{
	const struct machine *m = arg;

	for (unsigned int i = 0; i < m->nr_devices; i++)
		if (m->device[i].ops->describe)
			m->device[i].ops->describe(m->device[i].dev, d);
}

static void describe_to_acpi(void *arg, struct aml *a)
{
	const struct description d = {.aml = a};

	describe_devices(arg, &d);
}

/* There is nothing to it but that they are all there. */
static const struct state_format devices_format = {.name = "devices", .version = 1};

void machine_save_devices(const struct machine *m, struct dtb *out)
{
	dtb_begin(out, "devices");
	state_put(out, &devices_format, m);
	for (unsigned int i = 0; i < m->nr_devices; i++) {
		dtb_begin(out, m->device[i].id);
		m->device[i].ops->save(m->device[i].dev, out);
		dtb_end(out);
	}
	dtb_end(out);
}

int machine_load_devices(struct machine *m, struct state_in *in, struct error *e)
{
	struct state_in devices, one;
	int ret = state_child(in, "devices", &devices, e);

	if (!ret && !stop_devices(m))
		ret = error_set(e, EBUSY, "a disk's host has not answered");
	if (!ret)
		ret = state_get(&devices, &devices_format, m, m, e);
	/* What this one was at has an end, a request that a disk holds, too. */
	if (!ret)
		reset_devices(m);
	for (unsigned int i = 0; !ret && i < m->nr_devices; i++) {
		ret = state_child(&devices, m->device[i].id, &one, e);
		if (!ret)
			ret = m->device[i].ops->load(m->device[i].dev, &one, e);
	}
	return ret ? ret : state_all_met(&devices, e);
}

/* ------------------------------------------------------------------------- */
/* How it ends                                                                */

bool machine_end(struct machine *m, enum machine_end end, uint32_t value, const char *text)
{
	bool counts;

	pthread_mutex_lock(&m->lock);
	if (m->result.end == MACHINE_RUNNING) {
		m->result.end = end;
		m->result.value = value;
		snprintf(m->result.text, sizeof(m->result.text), "%s", text);
		loop_stop(m->loop);
	} else if (end >= MACHINE_QUIT) {
		if (m->result.end == MACHINE_RESET)
			m->result.end = end;
		m->hurry = true;
		loop_stop(m->loop);
	}
	counts = m->result.end == end;
	pthread_mutex_unlock(&m->lock);
	return counts;
}

static void on_reset(void *arg)
{
	machine_end(arg, MACHINE_RESET, 0, "");
}

static void on_power_off(void *arg)
{
	machine_end(arg, MACHINE_POWER_OFF, 0, "");
}

static void on_debug_exit(void *arg, uint32_t value)
{
	machine_end(arg, MACHINE_DEBUG_EXIT, value, "");
}

static void on_panic(void *arg)
{
	machine_end(arg, MACHINE_CRASHED, 0, "its kernel reported a panic");
}

static void on_vcpu_end(void *arg, enum vcpu_end how, const char *text)
{
	static const enum machine_end ends[] = {
		[VCPU_RESET] = MACHINE_RESET,
		[VCPU_CRASHED] = MACHINE_CRASHED,
		[VCPU_FAILED] = MACHINE_FAILED,
	};

	machine_end(arg, ends[how], 0, text);
}

static void on_eoi(void *arg, uint8_t vector)
{
	struct machine *m = arg;

	ioapic_eoi(m->ioapic, vector);
}

bool machine_power_button(struct machine *m)
{
	if (m->settling)
		return false;
	power_button(m->power);
	return true;
}

bool machine_heard_button(const struct machine *m)
{
	return power_button_heard(m->power);
}

static void on_stopped(void *arg)
{
	struct machine *m = arg;

	/* A guest's reset of a device ends, too. */
	if (m->settling)
		loop_stop(m->loop);
	/* Not from within the device. */
	if (m->resuming)
		loop_timer_arm(m->resume_timer, loop_now());
}

/* ------------------------------------------------------------------------- */
/* Where interrupts and doorbells go: the module                              */

static int msi_send(void *ctx, uint64_t addr, uint32_t data)
{
	const struct machine *m = ctx;

	return hv_signal_msi(m->vm_fd, addr, data);
}

static int msi_bind(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	const struct machine *m = ctx;

	return hv_bind_irqfd(m->vm_fd, fd, addr, data);
}

static int msi_unbind(void *ctx, int fd)
{
	const struct machine *m = ctx;

	return hv_unbind_irqfd(m->vm_fd, fd);
}

static int doorbell_bind(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
			 const uint64_t *match)
{
	const struct machine *m = ctx;

	return hv_bind_ioeventfd(m->vm_fd, fd, pio, addr, len, match);
}

static int doorbell_unbind(void *ctx, int fd, bool pio, uint64_t addr, unsigned int len,
			   const uint64_t *match)
{
	const struct machine *m = ctx;

	return hv_unbind_ioeventfd(m->vm_fd, fd, pio, addr, len, match);
}

static struct msi_sink msi_sink(struct machine *m)
{
	return (struct msi_sink){msi_send, msi_bind, msi_unbind, m};
}

/* ------------------------------------------------------------------------- */
/* Building: the steps, in their order                                        */

static int create_vm(struct machine *m, struct error *e)
{
	uint64_t memory = m->config->memory;
	uint64_t top = memory;

	m->hv_fd = hv_open(&m->caps, e);
	if (m->hv_fd < 0)
		return m->hv_fd;
	if (m->config->cpus > m->caps.max_vcpus)
		return error_set_at(e, ERANGE, "cpus",
				    "the hv module runs at most %u processors, not %u",
				    m->caps.max_vcpus, m->config->cpus);
	if (memory > LAYOUT_HOLE)
		top = LAYOUT_HIGH_RAM + memory - LAYOUT_HOLE;
	if (m->caps.gpa_bits < 64 && top > 1ULL << m->caps.gpa_bits)
		return error_set_at(e, ERANGE, "memory",
				    "%llu MiB of memory do not fit the %u address bits of this "
				    "processor's guests",
				    (unsigned long long)(memory >> 20), m->caps.gpa_bits);
	m->vm_fd = hv_create_vm(m->hv_fd, m->config->tsc_khz, e);
	return m->vm_fd < 0 ? m->vm_fd : 0;
}

static int map_memory(struct machine *m, struct error *e)
{
	uint64_t memory = m->config->memory;
	uint64_t low = memory < LAYOUT_HOLE ? memory : LAYOUT_HOLE;
	int ret;

	if (m->config->memory_backend == CONFIG_MEMORY_MEMFD)
		m->mem.backend = MEM_MEMFD;
	ret = mem_add_ram(&m->mem, 0, low, e);
	if (!ret && memory > low)
		ret = mem_add_ram(&m->mem, LAYOUT_HIGH_RAM, memory - low, e);
	return ret;
}

static int give_memory(struct machine *m, struct error *e)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < m->mem.nr_regions; i++) {
		const struct mem_region *r = &m->mem.region[i];

		ret = hv_set_slot(m->vm_fd, r->slot, r->flags, r->gpa, r->len, r->hva, e);
	}
	return ret;
}

static int create_buses(struct machine *m, struct error *e)
{
	m->pio = bus_create();
	m->mmio = bus_create();
	return m->pio && m->mmio ? 0 : error_set(e, ENOMEM, "out of memory");
}

static int create_ioapic(struct machine *m, struct error *e)
{
	struct msi_sink msi = msi_sink(m);

	m->ioapic = ioapic_create(m->mmio, &msi, e);
	return add_device(m, &ioapic_device, m->ioapic, "ioapic");
}

static int create_serial(struct machine *m, struct error *e)
{
	struct irq_line line = ioapic_line(m->ioapic, GSI_COM1);

	return add_device(m, &serial_device, serial_create(m->pio, PORT_COM1, line, m->console, e),
			  "serial0");
}

static int create_rtc(struct machine *m, struct error *e)
{
	struct irq_line line = ioapic_line(m->ioapic, GSI_RTC);

	return add_device(m, &rtc_device, rtc_create(m->pio, m->loop, line, e), "rtc");
}

static int create_power(struct machine *m, struct error *e)
{
	struct power_events events = {.reset = on_reset, .off = on_power_off, .arg = m};

	m->power = power_create(m->pio, ioapic_line(m->ioapic, GSI_GED), &events, e);
	return add_device(m, &power_device, m->power, "power");
}

static int create_pvpanic(struct machine *m, struct error *e)
{
	return add_device(m, &pvpanic_device, pvpanic_create(m->pio, on_panic, m, e), "pvpanic");
}

static int create_debug_exit(struct machine *m, struct error *e)
{
	uint16_t port = m->config->debug_exit_port;

	if (!m->config->debug_exit)
		return 0;
	return add_device(m, &debug_exit_device,
			  debug_exit_create(m->pio, port, on_debug_exit, m, e), "debug-exit");
}

static int create_fw_cfg(struct machine *m, struct error *e)
{
	const struct config *c = m->config;
	struct fw_cfg *fw = fw_cfg_create(m->pio, &m->mem, e);
	int ret = add_device(m, &fw_cfg_device, fw, "fw-cfg");

	if (!ret)
		ret = fw_cfg_add_machine(fw, c->cpus, c->memory, c->cmdline, e);
	for (unsigned int i = 0; !ret && i < c->nr_fw_cfg; i++)
		ret = error_about(e,
				  fw_cfg_add_host_file(fw, c->fw_cfg[i].name, c->fw_cfg[i].path, e),
				  "fw-cfg[%u]", i);
	return ret;
}

static int create_pci(struct machine *m, struct error *e)
{
	m->pci = pci_host_create(m->pio, m->mmio, e);
	if (!m->pci)
		return -EIO;
	pci_host_set_cf9(m->pci, &power_reset_control, m->power);
	m->virtio_pci = (struct virtio_pci_bus){
		.host = m->pci,
		.msi = msi_sink(m),
		.doorbell = {doorbell_bind, doorbell_unbind, m},
	};
	return add_device(m, &pci_host_device, m->pci, "pci");
}

static struct virtio_env on_pci(struct machine *m, unsigned int slot)
{
	m->virtio_pci.slot = slot;
	return (struct virtio_env){.attach = virtio_pci_attach, .bus = &m->virtio_pci};
}

/* The configuration has no more of them than there are places. */
static struct virtio_env on_mmio(struct machine *m)
{
	unsigned int n = m->nr_virtio_mmio++;

	m->virtio_mmio[n] = (struct virtio_mmio_bus){
		.mmio = m->mmio,
		.base = LAYOUT_VIRTIO_MMIO + n * LAYOUT_VIRTIO_MMIO_LEN,
		.irq = ioapic_line(m->ioapic, GSI_VIRTIO_MMIO + n),
		.doorbell = {doorbell_bind, doorbell_unbind, m},
	};
	return (struct virtio_env){.attach = virtio_mmio_attach, .bus = &m->virtio_mmio[n]};
}

/* slot: on the PCI bus, 0: the next free one. */
static struct virtio_env virtio_env(struct machine *m, unsigned int transport, unsigned int slot)
{
	struct virtio_env env = transport == TRANSPORT_MMIO ? on_mmio(m) : on_pci(m, slot);

	env.mem = &m->mem;
	env.loop = m->loop;
	env.stopped = on_stopped;
	env.arg = m;
	return env;
}

static int create_disks(struct machine *m, struct error *e)
{
	const struct config *c = m->config;

	for (unsigned int i = 0; i < c->nr_disks; i++) {
		struct blk_config disk = {
			.path = c->disk[i].path,
			.readonly = c->disk[i].readonly,
			.serial = c->disk[i].serial,
			.format_stated = c->disk[i].format_stated,
		};
		struct virtio_env env = virtio_env(m, c->disk[i].transport, c->disk[i].addr);
		char id[sizeof(m->device[0].id)];

		env.packed = c->disk[i].packed;
		snprintf(id, sizeof(id), "disk-%s", c->disk[i].item.id);
		if (add_device(m, &virtio_blk_device, virtio_blk_create(&env, &disk, e), id))
			return error_about(e, -EIO, "disks[%u]", i);
	}
	return 0;
}

static int create_rng(struct machine *m, struct error *e)
{
	struct virtio_env env = virtio_env(m, m->config->rng_transport, 0);

	return add_device(m, &virtio_rng_device, virtio_rng_create(&env, e), "rng0");
}

static int load(struct machine *m, struct boot_entry *entry, struct error *e)
{
	const struct config *c = m->config;
	struct acpi_config acpi = {
		.cpus = c->cpus,
		.legacy = true,
		.rtc = true,
		.describe = describe_to_acpi,
		.arg = m,
	};
	const char *modules[CONFIG_MAX_MODULES];
	struct boot_config boot = {
		.kernel = c->kernel,
		.initrd = c->initrd,
		.cmdline = c->cmdline,
		.modules = modules,
		.nr_modules = c->nr_modules,
		.files = &m->files,
	};
	int ret;

	for (unsigned int i = 0; i < c->nr_modules; i++)
		modules[i] = c->module[i].string;
	ret = acpi_build(&m->mem, &acpi, &boot.acpi_rsdp, e);
	if (!ret)
		ret = reset_vector_place(&m->mem, e);
	if (!ret)
		ret = boot_load(&m->mem, &boot, entry, e);
	return ret;
}

static int create_vcpu(struct machine *m, unsigned int id, const struct hv_cpuid_entry *cpuid,
		       unsigned int count, struct error *e)
{
	int fd = hv_create_vcpu(m->vm_fd, id, e);
	int ret;

	if (fd < 0)
		return fd;
	ret = hv_set_cpuid(fd, cpuid, count, e);
	if (ret) {
		close(fd);
		return ret;
	}
	m->vcpu[id] = vcpu_create(fd, id, &m->caps, &m->vcpu_env, e);
	return m->vcpu[id] ? 0 : -EIO;
}

static int create_vcpus(struct machine *m, struct error *e)
{
	struct hv_cpuid_entry cpuid[HV_MAX_CPUID];
	int count = hv_get_cpuid(m->hv_fd, cpuid, e);
	int ret = 0;

	if (count < 0)
		return count;
	m->vcpu_env = (struct vcpu_env){
		.pio = m->pio,
		.mmio = m->mmio,
		.mem = &m->mem,
		.eoi = on_eoi,
		.end = on_vcpu_end,
		.arg = m,
	};
	for (unsigned int id = 0; !ret && id < m->config->cpus; id++) {
		topology_apply(cpuid, count, m->config->cpus, id);
		ret = create_vcpu(m, id, cpuid, count, e);
	}
	return ret;
}

/* As when the power comes: devices and memory are, and the vCPUs are to be. */
static int power_up(struct machine *m, struct error *e)
{
	struct boot_entry entry;
	int ret = load(m, &entry, e);

	for (unsigned int id = 0; !ret && id < m->config->cpus; id++)
		ret = vcpu_reset(m->vcpu[id], &entry, e);
	return ret;
}

typedef int (*build_step)(struct machine *m, struct error *e);

static const build_step on_the_board[] = {
	map_memory,	create_buses,	   create_ioapic, create_serial, create_rtc,   create_power,
	create_pvpanic, create_debug_exit, create_fw_cfg, create_pci,	 create_disks, create_rng,
};

static int build(struct machine *m, struct error *e)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < sizeof(on_the_board) / sizeof(on_the_board[0]); i++)
		ret = on_the_board[i](m, e);
	return ret;
}

static void on_resume(void *arg);

static struct machine *new_machine(const struct config *config, struct loop *loop,
				   struct console *console, struct error *e)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m) {
		error_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	m->config = config;
	m->loop = loop;
	m->console = console;
	m->files.interrupted = process_signalled;
	m->hv_fd = -1;
	m->vm_fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	m->resume_timer = loop_timer_create(loop, on_resume, m);
	if (!m->resume_timer) {
		error_set(e, ENOMEM, "out of memory");
		machine_destroy(m);
		return NULL;
	}
	return m;
}

struct machine *machine_create(const struct config *config, struct loop *loop,
			       struct console *console, struct error *e)
{
	struct machine *m = new_machine(config, loop, console, e);

	if (m && (create_vm(m, e) || build(m, e) || give_memory(m, e) || create_vcpus(m, e) ||
		  power_up(m, e))) {
		machine_destroy(m);
		return NULL;
	}
	return m;
}

/* Interrupts and doorbells go nowhere: there is no VM to bind them to. */
struct machine *machine_create_unpowered(const struct config *config, struct loop *loop,
					 struct console *console, struct error *e)
{
	struct machine *m = new_machine(config, loop, console, e);

	if (m && build(m, e)) {
		machine_destroy(m);
		return NULL;
	}
	return m;
}

int machine_describe(struct machine *m, void **tree, size_t *len, struct error *e)
{
	struct devicetree c = {
		.model = m->config->name ? m->config->name : "hv",
		.cpus = m->config->cpus,
		.mem = &m->mem,
		.cmdline = m->config->cmdline,
		.describe = describe_devices,
		.arg = m,
	};
	struct boot_entry entry;
	struct dtb t;
	int ret = load(m, &entry, e);

	if (ret)
		return ret;
	c.initrd = entry.initrd;
	c.initrd_len = entry.initrd_len;
	dtb_create(&t);
	devicetree_write(&t, &c);
	*tree = dtb_finish(&t, len);
	return *tree ? 0 : error_set(e, ENOMEM, "out of memory for a device tree");
}

/* ------------------------------------------------------------------------- */
/* Its life                                                                   */

int machine_launch(struct machine *m, struct error *e)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < m->nr_devices; i++)
		if (m->device[i].ops->launch)
			ret = m->device[i].ops->launch(m->device[i].dev, e);
	for (unsigned int id = 0; !ret && id < m->config->cpus; id++)
		ret = vcpu_launch(m->vcpu[id], e);
	return ret;
}

static void start_vcpus(struct machine *m)
{
	/* The boot processor last: the others only wait for it. */
	for (unsigned int id = m->config->cpus; id-- > 0;)
		vcpu_start(m->vcpu[id]);
}

void machine_start(struct machine *m)
{
	if (!m->paused)
		start_vcpus(m);
}

static void park_vcpus(struct machine *m)
{
	for (unsigned int id = 0; id < HV_MAX_VCPUS && m->vcpu[id]; id++)
		vcpu_park(m->vcpu[id]);
	/* Only now: one that has waited for a device in vain does not execute another instruction. */
	end_waits(m);
	for (unsigned int id = 0; id < HV_MAX_VCPUS && m->vcpu[id]; id++)
		vcpu_wait_parked(m->vcpu[id]);
}

void machine_stop(struct machine *m)
{
	park_vcpus(m);
}

void machine_count(const struct machine *m, struct machine_exits *exits)
{
	*exits = (struct machine_exits){0};
	for (unsigned int id = 0; id < m->config->cpus; id++) {
		exits->pio += vcpu_exits(m->vcpu[id], HV_EXIT_PIO);
		exits->mmio += vcpu_exits(m->vcpu[id], HV_EXIT_MMIO);
		exits->emulate += vcpu_exits(m->vcpu[id], HV_EXIT_EMULATE);
		exits->eoi += vcpu_exits(m->vcpu[id], HV_EXIT_EOI);
	}
}

struct counting {
	machine_count_fn fn;
	void *arg;
	const char *device;
};

static void count_one(void *arg, const char *name, uint64_t value)
{
	const struct counting *c = arg;

	c->fn(c->arg, c->device, name, value);
}

void machine_count_devices(const struct machine *m, machine_count_fn fn, void *arg)
{
	for (unsigned int i = 0; i < m->nr_devices; i++) {
		const struct device *d = &m->device[i];
		struct counting c = {fn, arg, d->id};

		if (d->ops->count)
			d->ops->count(d->dev, count_one, &c);
	}
}

static bool is_over(struct machine *m)
{
	bool over;

	pthread_mutex_lock(&m->lock);
	over = m->result.end != MACHINE_RUNNING;
	pthread_mutex_unlock(&m->lock);
	return over;
}

static int cannot(struct machine *m, struct error *e)
{
	return is_over(m) ? error_set(e, EBUSY, "the machine is about to end, or to start anew")
			  : 0;
}

int machine_pause(struct machine *m, struct error *e)
{
	int ret = cannot(m, e);

	if (ret)
		return ret;
	m->resuming = false;
	if (m->paused)
		return 0;
	/* What can be read now can be read again, when it stands. */
	ret = hv_get_clock(m->vm_fd, &m->clock);
	if (ret)
		return error_set(e, -ret, "cannot read the machine's clock: %s", strerror(-ret));
	park_vcpus(m);
	hv_get_clock(m->vm_fd, &m->clock);
	m->clock.flags = HV_CLOCK_STOPPED;
	m->paused = true;
	stop_devices(m);
	return 0;
}

static void go_on(struct machine *m)
{
	/* It took this frequency when the machine was made. */
	hv_set_clock(m->vm_fd, &m->clock);
	m->paused = m->resuming = false;
	start_devices(m);
	start_vcpus(m);
}

static void on_resume(void *arg)
{
	struct machine *m = arg;

	if (m->resuming && !is_over(m) && stop_devices(m))
		go_on(m);
}

int machine_resume(struct machine *m, struct error *e)
{
	int ret = cannot(m, e);

	if (ret || !m->paused)
		return ret;
	m->resuming = true;
	on_resume(m);
	return 0;
}

void machine_stood_still(struct machine *m)
{
	struct hv_clock clock;

	if (m->paused || is_over(m) || hv_get_clock(m->vm_fd, &clock))
		return;
	/* They run meanwhile, and their clock goes on as it did. */
	clock.flags = HV_CLOCK_STOPPED | HV_CLOCK_KEEP;
	hv_set_clock(m->vm_fd, &clock);
}

/* A message with delivery mode NMI to all local APICs: Intel SDM Vol. 3, "Message Signalled Interrupts". */
#define MSI_TO_ALL   0xfeeff000ULL
#define MSI_MODE_NMI 0x400

int machine_nmi(struct machine *m, struct error *e)
{
	int ret = hv_signal_msi(m->vm_fd, MSI_TO_ALL, MSI_MODE_NMI);

	return ret < 0 ? error_set(e, -ret, "cannot send an NMI: %s", strerror(-ret)) : 0;
}

static bool in_hurry(struct machine *m)
{
	bool hurry;

	pthread_mutex_lock(&m->lock);
	hurry = m->hurry;
	pthread_mutex_unlock(&m->lock);
	return hurry;
}

static void on_settle_time(void *arg)
{
	struct machine *m = arg;

	pthread_mutex_lock(&m->lock);
	if (m->result.end != MACHINE_RESET) {
		m->hurry = true;
		loop_stop(m->loop);
	} else {
		log_info(
			"the guest reboots, but a disk's host has not answered for %d seconds: waiting",
			SETTLE_SECONDS);
	}
	pthread_mutex_unlock(&m->lock);
}

static void wait_for_disks(struct machine *m)
{
	struct loop_timer *timer = loop_timer_create(m->loop, on_settle_time, m);

	/* Without memory for a timer, without patience. */
	if (!timer)
		return;
	loop_timer_arm(timer, loop_now() + SETTLE_SECONDS * 1000000000ULL);
	m->settling = true;
	while (!in_hurry(m) && !stop_devices(m)) {
		if (loop_run(m->loop))
			break;
	}
	loop_timer_destroy(timer);
}

void machine_settle(struct machine *m, struct machine_result *result)
{
	if (!stop_devices(m))
		wait_for_disks(m);
	pthread_mutex_lock(&m->lock);
	*result = m->result;
	pthread_mutex_unlock(&m->lock);
}

int machine_reset(struct machine *m, struct error *e)
{
	struct hv_clock clock;
	int ret;

	if (!stop_devices(m))
		return error_set(e, EBUSY, "a disk's host has not answered");
	ret = hv_get_clock(m->vm_fd, &clock);
	reset_devices(m);
	mem_clear(&m->mem);
	clock.ns = clock.tsc = 0;
	if (!ret)
		ret = hv_set_clock(m->vm_fd, &clock);
	/* One that is paused begins to count when it begins to run, and one that was to go on does so now. */
	m->clock = clock;
	m->paused &= !m->resuming;
	m->resuming = false;
	if (ret)
		return error_set(e, -ret, "cannot set the machine's clock: %s", strerror(-ret));
	ret = power_up(m, e);
	if (ret)
		return ret;
	m->settling = false;
	pthread_mutex_lock(&m->lock);
	m->result = (struct machine_result){.end = MACHINE_RUNNING};
	pthread_mutex_unlock(&m->lock);
	if (!m->paused)
		start_devices(m);
	return 0;
}

/*
 * In the reverse order of build(), also of a build that failed half-way. Memory that the host may still write
 * to for a disk remains.
 */
void machine_destroy(struct machine *m)
{
	bool memory_unused;

	if (!m)
		return;
	park_vcpus(m);
	for (unsigned int id = 0; id < HV_MAX_VCPUS; id++)
		vcpu_destroy(m->vcpu[id]);
	memory_unused = stop_devices(m);
	destroy_devices(m);
	host_files_close(&m->files);
	bus_destroy(m->mmio);
	bus_destroy(m->pio);
	if (m->vm_fd >= 0)
		close(m->vm_fd);
	if (memory_unused)
		mem_destroy(&m->mem);
	if (m->hv_fd >= 0)
		close(m->hv_fd);
	loop_timer_destroy(m->resume_timer);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
