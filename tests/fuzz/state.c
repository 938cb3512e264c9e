// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load() of every device: saved states that are damaged, or no such at all. A device that refuses one is as
 * it was; one that takes it over saves what it takes over again, goes on from there, and can be poked, with rings
 * in its guest's memory that nobody has checked.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <libfdt.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <unistd.h>

#include "chardev/console.h"
#include "dev/debug_exit.h"
#include "dev/fw_cfg.h"
#include "dev/power.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "host/loop.h"
#include "irqchip/ioapic.h"
#include "pci/pci.h"
#include "platform/device.h"
#include "platform/layout.h"
#include "tests/fuzz/fuzz.h"
#include "virtio/blk.h"
#include "virtio/rng.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"

#define RAM	   0x10000u
#define DISK	   0x8000u
#define DESC	   0x1000u
#define AVAIL	   0x2000u
#define USED	   0x3000u
#define HEADERS	   0x4000u
#define PACKED	   0x5000u /* the same of a disk with a packed ring */
#define DRIVER	   0x6000u
#define DEVICE	   0x7000u
#define RING	   8
#define DEBUG_PORT 0xf4

static struct error err;
static struct mem mem;
static struct bus *pio, *mmio;
static struct loop *loop;
static struct loop_timer *timer;
static struct {
	const char *name;
	const struct device_ops *ops;
	void *dev;
} device[16];
static unsigned int nr_devices;
/* What they are after a reset, and driven to something. */
static uint8_t *base;
static size_t base_len;

/* ------------------------------------------------------------------------- */
/* A machine, made once                                                       */

static int send_msi(void *ctx, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)addr;
	return data & 1 ? 1 : -22;
}

static int bind_msi(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	(void)ctx;
	(void)addr;
	must(fd >= 0);
	return data & 2 ? 0 : -22;
}

static int unbind_msi(void *ctx, int fd)
{
	(void)ctx;
	must(fd >= 0);
	return 0;
}

static int bind_doorbell(void *ctx, int fd, bool port, uint64_t addr, unsigned int len,
			 const uint64_t *match)
{
	(void)ctx;
	(void)port;
	(void)len;
	(void)match;
	must(fd >= 0);
	return addr & 0x10 ? 0 : -19;
}

static int unbind_doorbell(void *ctx, int fd, bool port, uint64_t addr, unsigned int len,
			   const uint64_t *match)
{
	bind_doorbell(ctx, fd, port, addr, len, match);
	return 0;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void nothing_of(void *arg, uint32_t value)
{
	(void)arg;
	(void)value;
}

static void stop_loop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* What is ready is done, and a little more is waited for. */
static void turn(uint64_t ns)
{
	loop_timer_arm(timer, loop_now() + ns);
	must(!loop_run(loop));
}

static void add(const char *name, const struct device_ops *ops, void *dev)
{
	must(dev);
	must(!ops->launch || !ops->launch(dev, &err));
	device[nr_devices].name = name;
	device[nr_devices].ops = ops;
	device[nr_devices++].dev = dev;
}

static void make_board(void)
{
	static const struct power_events events = {nothing, nothing, NULL};
	const struct msi_sink msi = {send_msi, bind_msi, unbind_msi, NULL};
	struct ioapic *io = ioapic_create(mmio, &msi, &err);
	struct fw_cfg *fw = fw_cfg_create(pio, &mem, &err);

	must(!fw_cfg_add_file(fw, "opt/a", "text", 4, &err));
	add("ioapic", &ioapic_device, io);
	add("serial0", &serial_device,
	    serial_create(pio, PORT_COM1, ioapic_line(io, GSI_COM1), console_open(loop, &err),
			  &err));
	add("rtc", &rtc_device, rtc_create(pio, loop, ioapic_line(io, GSI_RTC), &err));
	add("power", &power_device, power_create(pio, ioapic_line(io, GSI_GED), &events, &err));
	add("pvpanic", &pvpanic_device, pvpanic_create(pio, nothing, NULL, &err));
	add("debug-exit", &debug_exit_device,
	    debug_exit_create(pio, DEBUG_PORT, nothing_of, NULL, &err));
	add("fw-cfg", &fw_cfg_device, fw);
	add("pci", &pci_host_device, pci_host_create(pio, mmio, &err));
}

static struct virtio_blk *make_disk(const struct virtio_env *env)
{
	struct blk_config disk = {.format_stated = true};
	int fd = memfd_create("disk", 0);
	char path[32];

	must(fd >= 0 && !ftruncate(fd, DISK));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	disk.path = path;
	return virtio_blk_create(env, &disk, &err);
}

static void make_virtio(void)
{
	static struct virtio_pci_bus pci = {
		.msi = {send_msi, bind_msi, unbind_msi, NULL},
		.doorbell = {bind_doorbell, unbind_doorbell, NULL},
	};
	static struct virtio_mmio_bus at[2] = {
		{.doorbell = {bind_doorbell, unbind_doorbell, NULL}},
		{.doorbell = {bind_doorbell, unbind_doorbell, NULL}},
	};
	static const char *const names[] = {"disk-0", "disk-1"};
	struct virtio_env env = {.mem = &mem, .loop = loop};

	pci.host = device[nr_devices - 1].dev;
	env.attach = virtio_mmio_attach;
	for (unsigned int i = 0; i < 2; i++) {
		at[i].base = LAYOUT_VIRTIO_MMIO + i * LAYOUT_VIRTIO_MMIO_LEN;
		at[i].mmio = mmio;
		at[i].irq = ioapic_line(device[0].dev, GSI_VIRTIO_MMIO + i);
		env.bus = &at[i];
		env.packed = i;
		add(names[i], &virtio_blk_device, make_disk(&env));
	}
	env.packed = false;
	env.attach = virtio_pci_attach;
	env.bus = &pci;
	add("rng0", &virtio_rng_device, virtio_rng_create(&env, &err));
}

static void reg(unsigned int disk, unsigned int offset, uint32_t value)
{
	must(bus_write(mmio, LAYOUT_VIRTIO_MMIO + disk * LAYOUT_VIRTIO_MMIO_LEN + offset, 4,
		       value));
}

/* The disk's driver is ready: of the second one, with a packed ring. */
static void drive_disk(unsigned int disk)
{
	reg(disk, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	reg(disk, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg(disk, VIRTIO_MMIO_DRIVER_FEATURES, disk ? 1 | 1 << (VIRTIO_F_RING_PACKED - 32) : 1);
	reg(disk, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	reg(disk, VIRTIO_MMIO_QUEUE_NUM, RING);
	reg(disk, VIRTIO_MMIO_QUEUE_DESC_LOW, disk ? PACKED : DESC);
	reg(disk, VIRTIO_MMIO_QUEUE_AVAIL_LOW, disk ? DRIVER : AVAIL);
	reg(disk, VIRTIO_MMIO_QUEUE_USED_LOW, disk ? DEVICE : USED);
	reg(disk, VIRTIO_MMIO_QUEUE_READY, 1);
	reg(disk, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void stop_all(void)
{
	for (unsigned int i = nr_devices; i-- > 0;)
		while (device[i].ops->stop && !device[i].ops->stop(device[i].dev))
			turn(100000);
}

static void reset_all(void)
{
	for (unsigned int i = 0; i < nr_devices; i++)
		if (device[i].ops->reset)
			device[i].ops->reset(device[i].dev);
}

static void start_all(void)
{
	for (unsigned int i = 0; i < nr_devices; i++)
		if (device[i].ops->start)
			device[i].ops->start(device[i].dev);
}

static void *save_one(unsigned int i, size_t *len)
{
	struct dtb out;
	void *tree;

	dtb_create(&out);
	dtb_begin(&out, "");
	device[i].ops->save(device[i].dev, &out);
	dtb_end(&out);
	tree = dtb_finish(&out, len);
	must(tree);
	return tree;
}

static void put(const char *path, const char *property, unsigned int offset, const void *value,
		int len)
{
	int node = fdt_path_offset(base, path);

	must(node >= 0 && !fdt_setprop_inplace_namelen_partial(
				  base, node, property, (int)strlen(property), offset, value, len));
}

/* As if two requests were held. */
static void hold_split(void)
{
	put("/disk-0/queue-0/ring", "next", 0, "\0\2", 2);
	put("/disk-0/in-flight", "count", 0, "\0\2", 2);
	put("/disk-0/in-flight", "head", 0, "\0\0\0\3", 4);
}

/* As if a read of one sector was held: a header, data and a status in slots 2, 0 and 5. */
static void hold_packed(void)
{
	static const struct {
		unsigned int slot;
		uint64_t addr;
		uint32_t len;
		uint8_t flags, next, count;
	} held[] = {
		{2, HEADERS, 16, VRING_DESC_F_NEXT, 0, 3},
		{0, HEADERS + 0x100, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 5, 0},
		{5, HEADERS + 0x300, 1, VRING_DESC_F_WRITE, 0, 0},
	};
	const char *ring = "/disk-1/queue-0/ring";

	for (unsigned int i = 0; i < 3; i++) {
		fdt64_t addr = cpu_to_fdt64(held[i].addr);
		fdt32_t len = cpu_to_fdt32(held[i].len);
		unsigned int slot = held[i].slot;

		put(ring, "slot-address", 8 * slot, &addr, 8);
		put(ring, "slot-length", 4 * slot, &len, 4);
		put(ring, "slot-flags", 2 * slot + 1, &held[i].flags, 1);
		put(ring, "slot-next", slot, &held[i].next, 1);
		put(ring, "slot-count", slot, &held[i].count, 1);
	}
	/* Across the end of the ring */
	put(ring, "used", 0, "\0\6", 2);
	put(ring, "next", 0, "\0\1", 2);
	put(ring, "next-wrap", 0, "\0", 1);
	put("/disk-1/in-flight", "count", 0, "\0\1", 2);
	put("/disk-1/in-flight", "head", 0, "\0\2", 2);
}

static void make_base(void)
{
	struct dtb out;

	dtb_create(&out);
	dtb_begin(&out, "");
	for (unsigned int i = 0; i < nr_devices; i++) {
		dtb_begin(&out, device[i].name);
		device[i].ops->save(device[i].dev, &out);
		dtb_end(&out);
	}
	dtb_end(&out);
	base = dtb_finish(&out, &base_len);
	must(base);
	hold_split();
	hold_packed();
}

static void make(void)
{
	must(!mem_add_ram(&mem, 0, RAM, &err));
	pio = bus_create();
	mmio = bus_create();
	loop = loop_create();
	timer = loop_timer_create(loop, stop_loop, NULL);
	make_board();
	make_virtio();
	drive_disk(0);
	drive_disk(1);
	stop_all();
	make_base();
}

/* ------------------------------------------------------------------------- */
/* Damage                                                                     */

/* The number of a property counts those of all nodes. */
static uint8_t *property(uint8_t *tree, unsigned int number, int *len)
{
	for (int node = 0; node >= 0; node = fdt_next_node(tree, node, NULL)) {
		int at;

		fdt_for_each_property_offset(at, tree, node)
		{
			if (!number--)
				return (uint8_t *)(uintptr_t)fdt_getprop_by_offset(tree, at, NULL,
										   len);
		}
	}
	return NULL;
}

static void damage_value(uint8_t *tree, struct input *in)
{
	unsigned int number = take(in, 1), offset = take(in, 1), count = 1 + take(in, 1) % 8;
	int len = 0;
	uint8_t *value = property(tree, number, &len);

	for (unsigned int i = 0; i < count; i++) {
		uint8_t byte = take(in, 1);

		if (value && offset + i < (unsigned int)len)
			value[offset + i] = byte;
	}
}

/* A state of up to the length of the base, in "tree". */
static size_t make_tree(uint8_t *tree, struct input *in)
{
	unsigned int edits = take(in, 1);
	size_t len = base_len;

	/* What there is, as it is. */
	if (edits == 0xff) {
		len = in->left < base_len ? in->left : base_len;
		take_bytes(in, tree, len);
		return len;
	}
	memcpy(tree, base, base_len);
	for (edits %= 16; edits; edits--) {
		unsigned int kind = take(in, 1);

		if (kind < 0xf0)
			damage_value(tree, in);
		else if (kind < 0xf8)
			tree[take(in, 2) % base_len] = take(in, 1);
		else
			len = take(in, 2) % (base_len + 1);
		if (fdt_check_full(tree, len))
			break;
	}
	return len;
}

/* ------------------------------------------------------------------------- */
/* Loading and poking                                                         */

/* What was taken over is what is saved; what was not has left no trace. */
static bool load_one(unsigned int i, struct state_in *in)
{
	size_t before_len, after_len, again_len;
	void *before = save_one(i, &before_len), *after, *again;
	struct state_in saved;
	int ret = device[i].ops->load(device[i].dev, in, &err);

	after = save_one(i, &after_len);
	if (ret) {
		must(before_len == after_len && !memcmp(before, after, after_len));
	} else {
		must(!state_open(&saved, after, after_len, &err));
		must(!device[i].ops->load(device[i].dev, &saved, &err));
		again = save_one(i, &again_len);
		must(after_len == again_len && !memcmp(again, after, after_len));
		free(again);
	}
	free(before);
	free(after);
	return !ret;
}

static bool load_all(const uint8_t *tree, size_t len)
{
	struct state_in root, one;
	bool good = true;

	if (state_open(&root, tree, len, &err))
		return false;
	/* Each has its turn, also after one that refused. */
	for (unsigned int i = 0; i < nr_devices; i++)
		good &= !state_child(&root, device[i].name, &one, &err) && load_one(i, &one);
	return good;
}

static void poke(struct input *in)
{
	static const uint64_t ports[] = {PORT_COM1,	PORT_CMOS,   PORT_ACPI_SLEEP,
					 PORT_KEYBOARD, PORT_FW_CFG, PORT_PCI_CONFIG,
					 PORT_PCI_IO};
	static const uint64_t places[] = {LAYOUT_VIRTIO_MMIO, LAYOUT_IOAPIC, LAYOUT_ECAM,
					  LAYOUT_ECAM + (1 << 15), LAYOUT_PCI_MMIO};

	for (unsigned int n = 0; n < 64 && in->left; n++) {
		unsigned int op = take(in, 1), size = 1u << (op >> 6);
		struct bus *bus = op & 1 ? mmio : pio;
		uint64_t addr = op & 1 ? places[(op >> 2) % 5] + take(in, 2)
				       : ports[(op >> 2) % 7] + take(in, 1) % 16;
		uint64_t value = take(in, size);

		if (op & 2)
			bus_write(bus, addr, size, value);
		else
			bus_read(bus, addr, size, &value);
		if (op & 0x20)
			serial_receive(device[1].dev, (const uint8_t *)"input", 5);
	}
}

/* Chains of the disks, from the input where it has some. */
static void fill_memory(struct input *in)
{
	uint8_t *ram = mem_write(&mem, 0, RAM);
	struct vring_desc *desc = (void *)(ram + DESC);
	struct vring_packed_desc *packed = (void *)(ram + PACKED);

	memset(ram, 0, RAM);
	for (unsigned int i = 0; i < RING; i++) {
		uint64_t addr = HEADERS + i * 16;
		uint32_t len = i % 3 ? 512 : 16;
		uint16_t flags =
			(i % 3 ? VRING_DESC_F_WRITE : 0) | (i % 3 < 2 ? VRING_DESC_F_NEXT : 0);

		desc[i] = (struct vring_desc){addr, len, flags, i + 1};
		packed[i] = (struct vring_packed_desc){addr, len, i,
						       flags | 1 << VRING_PACKED_DESC_F_USED};
	}
	for (unsigned int n = take(in, 1) % 16; n; n--) {
		uint64_t at = take(in, 2) % (HEADERS - DESC + 0x3000);

		take_bytes(in, ram + DESC + at + (at >= HEADERS - DESC ? PACKED - HEADERS : 0), 8);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t *tree;
	size_t len;

	if (!base)
		make();
	tree = malloc(base_len);
	must(tree);
	len = make_tree(tree, &in);
	/* Exactly as long as it says, so that whoever reads behind it is seen. */
	tree = realloc(tree, len ? len : 1);
	fill_memory(&in);
	must(load_all(tree, len) || memcmp(tree, base, len) || len != base_len);
	start_all();
	turn(1);
	poke(&in);
	turn(1);
	stop_all();
	reset_all();
	free(tree);
	return 0;
}
