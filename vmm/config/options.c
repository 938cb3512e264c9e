// SPDX-License-Identifier: GPL-2.0-or-later
/* The rows: every option of a machine and every property of an item, with its limits and its help. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "config/option.h"
#include "include/uapi/hv.h"
#include "sandbox/sandbox.h"

#define ARRAY_SIZE(a)	  (sizeof(a) / sizeof((a)[0]))
#define KEPT(type, field) .offset = offsetof(type, field), .width = sizeof(((type *)0)->field)

static bool may_be_in_name(int c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.';
}

static bool may_be_in_id(int c)
{
	return isalnum(c) || c == '-' || c == '_';
}

static bool may_be_in_serial(int c)
{
	return isgraph(c);
}

static bool may_be_in_module_path(int c)
{
	return c != ' ';
}

static const struct opt_chars name_chars = {may_be_in_name, "letters, digits, '-', '_' and '.'"};
static const struct opt_chars id_chars = {may_be_in_id, "letters, digits, '-' and '_'"};
static const struct opt_chars serial_chars = {may_be_in_serial, "printable ASCII without blanks"};
/* Multiboot: the name and the arguments are one string, which the first blank parts. */
static const struct opt_chars module_path_chars = {may_be_in_module_path,
						   "the name of a file without blanks"};

/* N, N/SECONDS or off. Returns whether it is one of them. */
static bool read_reboot_limit(const char *text, struct config_reboot_limit *limit)
{
	int end = 0;

	*limit = (struct config_reboot_limit){.seconds = 60};
	if (!strcmp(text, "off"))
		return true;
	if (strspn(text, "0123456789/") != strlen(text))
		return false;
	sscanf(text, "%6u%n/%6u%n", &limit->count, &end, &limit->seconds, &end);
	return !text[end] && limit->count && limit->seconds;
}

static int check_reboot_limit(const char *text, struct error *e)
{
	struct config_reboot_limit limit;

	if (read_reboot_limit(text, &limit))
		return 0;
	return error_set(e, EINVAL, "takes a number of resets and of seconds, as 10/60, or off");
}

struct config_reboot_limit config_reboot_limit(const struct config *c)
{
	struct config_reboot_limit limit = {0};

	if (c->reboot_limit)
		read_reboot_limit(c->reboot_limit, &limit);
	return limit;
}

/* ------------------------------------------------------------------------- */
/* Properties                                                                 */

#define ID                                                                                   \
	{                                                                                    \
		.name = "id", .arg = "ID", .type = OPT_STRING, KEPT(struct config_item, id), \
		.min = 1, .max = CONFIG_ID_MAX, .chars = &id_chars,                          \
		.help = "what to call it; no two things of a machine have the same",         \
		.manual = "What it is called: letters, digits,\n"                            \
			  ".Ql -\n"                                                          \
			  "and\n"                                                            \
			  ".Ql _ ;\n"                                                        \
			  "nothing else in the machine may have the same.\n"                 \
			  "What has none is called by its list and place, such as\n"         \
			  ".Ql disk0 .\n",                                                   \
	}

static const char *const disk_formats[] = {"raw", NULL};

static const char *const apis[] = {
	[CONFIG_API_AUTO] = "auto",
	[CONFIG_API_ON] = "on",
	[CONFIG_API_OFF] = "off",
	NULL,
};

static const char *const transports[] = {
	[TRANSPORT_PCI] = "pci",
	[TRANSPORT_MMIO] = "mmio",
	NULL,
};

static const char *const memory_backends[] = {
	[CONFIG_MEMORY_ANON] = "anon",
	[CONFIG_MEMORY_MEMFD] = "memfd",
	NULL,
};

static const struct option_def disk_properties[] = {
	{
		.name = "path",
		.arg = "FILE",
		.type = OPT_PATH,
		KEPT(struct config_disk, path),
		.flags = OPT_REQUIRED,
		.help = "the image or the block device",
		.manual = "The file, where it does not come first, or has a name such as\n"
			  ".Ql id=x .\n",
	},
	{
		.name = "readonly",
		.type = OPT_BOOL,
		KEPT(struct config_disk, readonly),
		.help = "the guest can read it only",
		.manual = "Whether the guest can only read it.\n",
	},
	{
		.name = "format",
		.type = OPT_CHOICE,
		KEPT(struct config_disk, format),
		.given = offsetof(struct config_disk, format_stated),
		.choices = disk_formats,
		.hint = "; 'qemu-img convert -O raw' makes a raw image of others",
		.help = "it is raw, whatever it looks like",
		.manual =
			"A file that looks like an image of another format, or like a compressed file, is refused, unless\n"
			"this says that it is a raw image all the same.\n",
	},
	{
		.name = "serial",
		.arg = "S",
		.type = OPT_STRING,
		KEPT(struct config_disk, serial),
		.min = 1,
		.max = CONFIG_SERIAL_MAX,
		.chars = &serial_chars,
		.help = "what the guest reads as serial number",
		.manual = "What the guest reads as serial number.\n",
	},
	{
		.name = "addr",
		.arg = "N",
		.type = OPT_NUMBER,
		KEPT(struct config_disk, addr),
		.min = CONFIG_MIN_ADDR,
		.max = CONFIG_MAX_ADDR,
		.otherwise = "the first free one",
		.help = "its device number on the PCI bus",
		.manual = "The device number on the PCI bus.\n",
	},
	{
		.name = "transport",
		.type = OPT_CHOICE,
		KEPT(struct config_disk, transport),
		.choices = transports,
		.otherwise = "pci",
		.help = "where the guest finds it: on the PCI bus or, at most four devices, "
			"by ACPI alone",
		.manual =
			"Where the guest finds it: on the PCI bus, or at an address that ACPI tells\n"
			"(LNRO0005, virtio-mmio), for guests without PCI.\n"
			"At most four devices can be there.\n"
			"Linux may count disks of one kind before those of the other.\n",
	},
	{
		.name = "packed",
		.type = OPT_BOOL,
		KEPT(struct config_disk, packed),
		.help = "offer packed rings to its driver",
		.manual = "Whether its driver may choose packed virtqueues instead of split ones.\n"
			  "Linux does from version 5.0 on.\n",
	},
	ID,
};

static const struct option_list disks = {
	.property = disk_properties,
	.nr_properties = ARRAY_SIZE(disk_properties),
	.items = offsetof(struct config, disk),
	.item_size = sizeof(struct config_disk),
	.count = offsetof(struct config, nr_disks),
	.most = CONFIG_MAX_DISKS,
	.prefix = "disk",
	.bare = 0,
};

static const struct option_def module_properties[] = {
	{
		.name = "path",
		.arg = "FILE",
		.type = OPT_PATH,
		KEPT(struct config_module, path),
		.chars = &module_path_chars,
		.flags = OPT_REQUIRED,
		.help = "the file",
	},
	{
		.name = "args",
		.arg = "ARGS",
		.type = OPT_STRING,
		KEPT(struct config_module, args),
		.help = "its arguments",
	},
	ID,
};

static const struct option_list modules = {
	.property = module_properties,
	.nr_properties = ARRAY_SIZE(module_properties),
	.items = offsetof(struct config, module),
	.item_size = sizeof(struct config_module),
	.count = offsetof(struct config, nr_modules),
	.most = CONFIG_MAX_MODULES,
	.prefix = "module",
	.split = ' ',
};

static const struct option_def fw_cfg_properties[] = {
	{
		.name = "name",
		.arg = "NAME",
		.type = OPT_STRING,
		KEPT(struct config_fw_cfg, name),
		.flags = OPT_REQUIRED,
		.help = "what the guest finds it by",
	},
	{
		.name = "path",
		.arg = "FILE",
		.type = OPT_PATH,
		KEPT(struct config_fw_cfg, path),
		.flags = OPT_REQUIRED,
		.help = "the file",
	},
	ID,
};

static const struct option_list fw_cfg_files = {
	.property = fw_cfg_properties,
	.nr_properties = ARRAY_SIZE(fw_cfg_properties),
	.items = offsetof(struct config, fw_cfg),
	.item_size = sizeof(struct config_fw_cfg),
	.count = offsetof(struct config, nr_fw_cfg),
	.most = CONFIG_MAX_FW_CFG,
	.prefix = "fw-cfg",
	.split = '=',
};

static const char *const sandbox_modes[] = {
	[SANDBOX_ON] = "on",
	[SANDBOX_OFF] = "off",
	[SANDBOX_LOG] = "log",
	NULL,
};

static const char *const console_kinds[] = {"tty", "none", "pty", NULL};

static const struct option_def console_properties[] = {
	{
		.name = "kind",
		.type = OPT_CHOICE,
		KEPT(struct config_console, kind),
		.given = offsetof(struct config_console, kind_stated),
		.choices = console_kinds,
		.hint = "; others are file=FILE and socket=PATH",
		.help = "this terminal, which Ctrl-A x leaves and where Ctrl-A h lists the keys; "
			"nowhere; a pseudo-terminal, whose name is said",
		.manual =
			".Cm tty\n"
			"is standard input and output.\n"
			"A terminal is in raw mode while the machine runs, so that all keys, Ctrl-C too, reach the\n"
			"guest.\n"
			".Ql Ctrl-A x\n"
			"ends the machine at once,\n"
			".Ql Ctrl-A h\n"
			"lists the keys.\n"
			"In the background, and so under\n"
			".Xr timeout 1\n"
			"without\n"
			".Fl \\-foreground ,\n"
			"it leaves the terminal alone: keys are those of the shell until the machine is brought to the foreground.\n"
			".Pp\n"
			".Cm none\n"
			"is nowhere.\n"
			".Pp\n"
			".Cm pty\n"
			"is a new pseudo-terminal, whose name is said on standard error.\n",
	},
	{
		.name = "file",
		.arg = "FILE",
		.type = OPT_PATH,
		KEPT(struct config_console, file),
		.help = "a file",
		.manual =
			"A file, which is overwritten once the machine starts.\n"
			"One that another machine uses is refused.\n"
			"Others may truncate it meanwhile, as\n"
			".Xr logrotate 8\n"
			"does with\n"
			".Cm copytruncate .\n"
			"When its disk is full, output goes on once there is room again, and a line in the file says how much is missing.\n",
	},
	{
		.name = "socket",
		.arg = "PATH",
		.type = OPT_PATH,
		KEPT(struct config_console, socket),
		.help = "whoever connects to this socket: the first writes, seven more can read",
		.manual =
			"A Unix socket, to which only the user who runs the machine may connect.\n"
			"A client first gets the last 64 KiB of output.\n"
			"The first one writes; up to seven others, who come while it is there, can read.\n",
	},
	{
		.name = "unix",
		.arg = "PATH",
		.type = OPT_PATH,
		.flags = OPT_ALIAS,
		KEPT(struct config_console, socket),
		.help = "the same",
		.manual = "The same as\n"
			  ".Cm socket .\n",
	},
	{
		.name = "rotate",
		.arg = "SIZE",
		.type = OPT_SIZE,
		KEPT(struct config_console, rotate),
		.min = 4096,
		.max = 1ULL << 40,
		.help = "a new file whenever it is as large",
		.manual =
			"The file is renamed to\n"
			".Ar file Ns .1\n"
			"whenever it is as large as that, and when the machine starts, and a new one is begun.\n",
	},
	{
		.name = "keep",
		.arg = "N",
		.type = OPT_NUMBER,
		KEPT(struct config_console, keep),
		.min = 1,
		.max = 99,
		.otherwise = "1",
		.help = "how many old ones there are",
		.manual = "With\n"
			  ".Cm rotate ,\n"
			  "how many old files there are.\n",
	},
	{
		.name = "link",
		.arg = "PATH",
		.type = OPT_PATH,
		KEPT(struct config_console, link),
		.help = "a symbolic link to the pseudo-terminal",
		.manual = "Where a symbolic link to the pseudo-terminal is made.\n",
	},
	ID,
};

static const struct option_list consoles = {
	.property = console_properties,
	.nr_properties = ARRAY_SIZE(console_properties),
	.items = offsetof(struct config, console),
	.item_size = sizeof(struct config_console),
	.count = offsetof(struct config, nr_consoles),
	.most = CONFIG_MAX_CONSOLES,
	.prefix = "console",
	.bare = 0,
};

/* ------------------------------------------------------------------------- */
/* Options                                                                    */

const char *const option_section_names[NR_SECTIONS] = {
	[SECTION_RUNS] = "What it runs",
	[SECTION_PARTS] = "What it consists of",
	[SECTION_HOW] = "How it runs",
};

const struct option_def option_table[] = {
	{
		.name = "kernel",
		.arg = "FILE",
		.section = SECTION_RUNS,
		.type = OPT_PATH,
		KEPT(struct config, kernel),
		.help = "Linux bzImage, ELF kernel with a PVH entry (vmlinux), or Multiboot 1 "
			"kernel",
		.manual =
			"The kernel; it is required.\n"
			"Its format is recognised by its content: a Linux bzImage (started by the 64-bit boot\n"
			"protocol), an ELF kernel with a PVH entry such as\n"
			".Pa vmlinux ,\n"
			"or a Multiboot 1 kernel.\n",
	},
	{
		.name = "initrd",
		.arg = "FILE",
		.section = SECTION_RUNS,
		.type = OPT_PATH,
		KEPT(struct config, initrd),
		.help = "initial RAM disk",
		.manual = "The initial RAM disk of a Linux kernel.\n",
	},
	{
		.name = "cmdline",
		.arg = "TEXT",
		.section = SECTION_RUNS,
		.type = OPT_STRING,
		KEPT(struct config, cmdline),
		/* What makes a Linux kernel talk on the only console there is. */
		.initial = "console=ttyS0",
		.help = "kernel command line",
		.manual = "The kernel's command line.\n"
			  "The default makes Linux talk on the console; it is not added to a\n"
			  ".Ar text\n"
			  "that is given.\n",
	},
	{
		.name = "module",
		.key = "modules",
		.arg = "\"FILE ARGS\"",
		.section = SECTION_RUNS,
		.type = OPT_LIST,
		.list = &modules,
		.help = "Multiboot module with its arguments",
		.synopsis = "Qq Ar file Ar arguments",
		.manual =
			"A module of a Multiboot kernel, with its arguments behind the first blank; not together with\n"
			".Fl \\-initrd .\n",
	},

	{
		.name = "cpus",
		.arg = "N",
		.section = SECTION_PARTS,
		.type = OPT_NUMBER,
		KEPT(struct config, cpus),
		.min = 1,
		.max = HV_MAX_VCPUS,
		.initial = "1",
		.help = "processors",
		.manual = "The number of processors, the cores of one package.\n",
	},
	{
		.name = "memory",
		.arg = "SIZE",
		.section = SECTION_PARTS,
		.type = OPT_SIZE,
		KEPT(struct config, memory),
		.min = CONFIG_MIN_MEMORY,
		.max = CONFIG_MAX_MEMORY,
		.step = 4096,
		.initial = "512M",
		.help = "memory, with suffix K, M or G",
		.manual =
			"The size of the memory, with the suffix K, M or G, a multiple of 4K; a number without a suffix\n"
			"is in bytes.\n"
			"Memory of the host is taken as the guest touches it.\n",
	},
	{
		.name = "memory-backend",
		.section = SECTION_PARTS,
		.type = OPT_CHOICE,
		KEPT(struct config, memory_backend),
		.choices = memory_backends,
		.initial = "anon",
		.help = "what the memory is: the process's own, or a file without a name that others "
			"can map",
		.manual =
			"What the memory is:\n"
			".Cm anon ,\n"
			"the process's own, or\n"
			".Cm memfd ,\n"
			"a file without a name that another process can map, once it is given its descriptor.\n"
			"Most kernels back the latter by small pages, which makes guests slower, unless\n"
			".Pa /sys/kernel/mm/transparent_hugepage/shmem_enabled\n"
			"says\n"
			".Ql advise\n"
			"or\n"
			".Ql always .\n",
	},
	{
		.name = "disk",
		.key = "disks",
		.arg = "FILE[,KEY=VALUE...]",
		.section = SECTION_PARTS,
		.type = OPT_LIST,
		.list = &disks,
		.help = "raw disk image or block device: vda, vdb...; a comma in a value is "
			"written twice",
		.synopsis = "Ar file Ns Op , Ns Ar key Ns = Ns Ar value Ns ...",
		.manual =
			"A virtio disk on a raw image or block device.\n"
			"Linux calls them\n"
			".Pa /dev/vda ,\n"
			".Pa /dev/vdb\n"
			"and so on, in the order of their places on the PCI bus, which is the order given unless\n"
			".Cm addr\n"
			"says otherwise.\n"
			"A block device that the host has mounted or in use is refused, unless it is only read.\n"
			"A comma in a value is written twice.\n",
	},
	{
		.name = "rng-transport",
		.section = SECTION_PARTS,
		.type = OPT_CHOICE,
		KEPT(struct config, rng_transport),
		.choices = transports,
		.initial = "pci",
		.help = "where the guest finds the entropy device",
		.manual = "Where the guest finds the entropy device, as\n"
			  ".Cm transport\n"
			  "says of a disk.\n",
	},
	{
		.name = "tsc-khz",
		.arg = "N",
		.section = SECTION_PARTS,
		.type = OPT_NUMBER,
		KEPT(struct config, tsc_khz),
		.min = HV_TSC_KHZ_MIN,
		.max = HV_TSC_KHZ_MAX,
		.otherwise = "the host's",
		.help = "frequency of the guest's TSC, where the processor can scale it",
		.manual = "Frequency of the guest's time stamp counter, as another host has it.\n"
			  "Needs VT-x with TSC scaling\n"
			  ".Pq Ql tsc_scaling No in /proc/cpuinfo .\n",
	},
	{
		.name = "fw-cfg",
		.arg = "NAME=FILE",
		.section = SECTION_PARTS,
		.type = OPT_LIST,
		.list = &fw_cfg_files,
		.help = "file the guest can read by QEMU's fw_cfg",
		.synopsis = "Ar name Ns = Ns Ar file",
		.manual = "A file that the guest can read by QEMU's fw_cfg interface.\n",
	},
	{
		.name = "debug-exit",
		.arg = "PORT",
		.section = SECTION_PARTS,
		.type = OPT_NUMBER,
		KEPT(struct config, debug_exit_port),
		.given = offsetof(struct config, debug_exit),
		/* Four ports wide. */
		.max = 0xfffc,
		.help = "a value V written to this port ends the machine with status (V << 1) | 1",
		.manual =
			"A value\n"
			".Va V\n"
			"that the guest writes to this port (four ports wide) ends the machine with the exit status\n"
			".Pq Va V No << 1 | 1 ,\n"
			"of which the lowest eight bits remain.\n",
	},

	{
		.name = "console",
		.key = "consoles",
		.arg = "WHERE[,KEY=VALUE...]",
		.section = SECTION_HOW,
		.type = OPT_LIST,
		.list = &consoles,
		.help = "where the serial console is (default: tty); all have its output, and its "
			"input is from all",
		.synopsis = "Ar where Ns Op , Ns Ar key Ns = Ns Ar value Ns ...",
		.manual =
			"Where the serial console is: all places have its output, and its input is from all that have some.\n"
			"Without this flag it is\n"
			".Cm tty .\n"
			".Pp\n"
			"A guest never waits for a reader of its console: when 64 KiB wait for one, he loses the oldest bytes, and a\n"
			"line says how many.\n"
			"When the machine has ended, what waits for the reader of standard output is delivered first; a signal ends that.\n"
			"Other readers are waited for while they take something, ten seconds at most.\n"
			"Input waits for the guest: until it listens to its serial port, and then as it reads, so that commands\n"
			"can be piped in.\n"
			"A comma in a value is written twice.\n",
	},
	{
		.name = "name",
		.arg = "NAME",
		.section = SECTION_HOW,
		.type = OPT_STRING,
		KEPT(struct config, name),
		.min = 1,
		.max = CONFIG_NAME_MAX,
		.chars = &name_chars,
		.otherwise = "vm- and the number of the process",
		.help = "what to call it in messages, results and commands",
		.manual = "The name of the machine in its result, and for commands such as\n"
			  ".Nm\n"
			  ".Cm stop :\n"
			  "letters, digits,\n"
			  ".Ql - ,\n"
			  ".Ql _\n"
			  "and\n"
			  ".Ql \\&. .\n"
			  "Two machines of a user that run have not the same.\n",
	},
	{
		.name = "detach",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		KEPT(struct config, detach),
		.help = "return when the machine runs, and leave it in the background",
		.manual =
			"When the machine runs, print its name and return; it goes on in a session of its own.\n"
			"Its console can be attached to with\n"
			".Nm\n"
			".Cm console\n"
			"and is kept in a file, as are messages; see\n"
			".Sx MACHINES THAT RUN .\n"
			"A start that fails is reported as without this flag.\n",
	},
	{
		.name = "api",
		.section = SECTION_HOW,
		.type = OPT_CHOICE,
		KEPT(struct config, api),
		.choices = apis,
		.initial = "auto",
		.help = "whether commands such as 'vmm stop' find it by its name",
		.manual =
			"Whether the machine has a directory of its name, by which it is found and controlled, see\n"
			".Sx MACHINES THAT RUN .\n"
			"With\n"
			".Cm auto\n"
			"it does without where no such directory can be made.\n",
	},
	{
		.name = "api-sock",
		.arg = "PATH",
		.section = SECTION_HOW,
		.type = OPT_PATH,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, api_sock),
		.help = "a socket at this path by which it is controlled, too",
		.manual =
			"A Unix socket at this path by which the machine is controlled, beside the one in its directory; see\n"
			".Sx CONTROL SOCKET .\n"
			"It is removed at the end.\n",
	},
	{
		.name = "api-only",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, api_only),
		.help = "start without a machine: clients of its socket say what it is, and start it, "
			"as with Firecracker",
		.manual =
			"Start without a machine.\n"
			"Clients of its socket say what it consists of, and start it, by requests of Firecracker's API; see\n"
			".Sx FIRECRACKER'S API .\n"
			"Kernel, initrd, disks and modules cannot be given then; other flags can.\n",
	},
	{
		.name = "no-reboot",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		KEPT(struct config, no_reboot),
		.help = "end with status 6 when the guest reboots",
		.manual = "When the guest reboots, end with status 6.\n"
			  "Otherwise the machine is started again, in the same process.\n",
	},
	{
		.name = "reboot-limit",
		.arg = "N[/SECONDS]",
		.section = SECTION_HOW,
		.type = OPT_STRING,
		KEPT(struct config, reboot_limit),
		.initial = "10/60",
		.check = check_reboot_limit,
		.help = "end with status 8 when the guest resets so often in that time; or off",
		.synopsis = "Ar n Ns Op / Ns Ar seconds",
		.manual =
			"End the machine, with status 8, when its guest resets it\n"
			".Ar n\n"
			"times in\n"
			".Ar seconds ,\n"
			"60 if nothing is said of them: one that cannot boot would do so for ever.\n"
			"With\n"
			".Cm off\n"
			"it may.\n"
			"Resets by the user do not count.\n",
	},
	{
		.name = "stop-timeout",
		.arg = "SECONDS",
		.section = SECTION_HOW,
		.type = OPT_DURATION,
		KEPT(struct config, stop_timeout),
		.min = 1,
		.max = INT_MAX,
		.initial = "30",
		.help = "how long a guest that is asked to power off may take",
		.manual =
			"How long a guest may take to power itself off when it is asked to, by a signal or by\n"
			".Nm\n"
			".Cm stop .\n"
			"The power button is pressed again every second until then, as the guest may not listen yet.\n"
			"Then the machine is ended, with status 12.\n",
	},
	{
		.name = "time-limit",
		.arg = "SECONDS",
		.section = SECTION_HOW,
		.type = OPT_DURATION,
		KEPT(struct config, time_limit),
		.min = 1,
		.max = INT_MAX,
		.help = "end the machine after that time; 5m and 2h are understood, too",
		.manual =
			"End the machine after this time, with status 10; in minutes or hours with the suffix m or h.\n",
	},
	{
		.name = "json",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		KEPT(struct config, json),
		.help = "print the result as a JSON object, last on standard output",
		.manual =
			"Print the result as one line of JSON, the last one on standard output.\n"
			"A guest whose console is there, too, could write such a line itself: see\n"
			".Fl \\-json-to ,\n"
			"and\n"
			".Sx RESULT .\n",
	},
	{
		.name = "json-to",
		.arg = "FILE",
		.section = SECTION_HOW,
		.type = OPT_PATH,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, json_to),
		.help = "write the result there, as a JSON object; fd=N: to that descriptor",
		.manual = "Write the result to a file, which is emptied, or to a descriptor\n"
			  ".Pq Cm fd= Ns Ar N ,\n"
			  "as\n"
			  ".Fl \\-json\n"
			  "prints it.\n"
			  "What the guest writes to its console cannot be taken for it there.\n",
	},
	{
		.name = "verbose",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		KEPT(struct config, verbose),
		.help = "tell more, also about what the guest does wrong",
		.manual = "Tell more on standard error, also what the guest does wrong.\n",
	},
	{
		.name = "sandbox",
		.section = SECTION_HOW,
		.type = OPT_CHOICE,
		KEPT(struct config, sandbox),
		.choices = sandbox_modes,
		.initial = "on",
		.help = "give away, before the guest runs, what vmm may do beyond running it; log: "
			"the kernel's log tells of system calls that on would not allow",
		.manual =
			"Before the guest's first instruction\n"
			".Nm\n"
			"gives away what it does not need to run it, see\n"
			".Sx SANDBOX .\n"
			"With\n"
			".Cm log\n"
			"system calls that are not allowed are carried out all the same, and noted in the kernel's log; with\n"
			".Cm off ,\n"
			"for debuggers, nothing is given away.\n",
	},
	{
		.name = "user",
		.arg = "NAME[:GROUP]",
		.section = SECTION_HOW,
		.type = OPT_STRING,
		KEPT(struct config, user),
		.min = 1,
		.max = 255,
		.help = "whom to be once everything is open, for a machine that root starts",
		.synopsis = "Ar name Ns Op : Ns Ar group",
		.manual =
			"For a machine that root starts: be this user, and in his groups, once everything is open.\n"
			"Files that are made later, of a console with\n"
			".Cm rotate ,\n"
			"are his, in a directory where he may write.\n",
	},
	{
		.name = "config",
		.arg = "FILE",
		.section = SECTION_HOW,
		.type = OPT_PATH,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, file),
		.help = "read all this from a JSON file; flags besides it add to its lists and "
			"override the rest",
		.manual = "Read the machine from a file, see\n"
			  ".Sx CONFIGURATION FILE .\n",
	},
	{
		.name = "print-config",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, print),
		.help = "print the machine as such a file, and do not start it",
		.manual =
			"Print the machine as such a file on standard output, and do not start it.\n",
	},
	{
		.name = "dump-dtb",
		.arg = "FILE",
		.section = SECTION_HOW,
		.type = OPT_PATH,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, dump_dtb),
		.help = "write the machine as a device tree to a file, and do not start it",
		.manual = "Write the machine as a flattened device tree, which\n"
			  ".Xr dtc 1\n"
			  "can read, to a file, and do not start it.\n"
			  "Kernel, initrd and disks are opened as for a start, and\n"
			  ".Pa /dev/hv\n"
			  "is not.\n",
	},
	{
		.name = "help",
		.section = SECTION_HOW,
		.type = OPT_BOOL,
		.flags = OPT_ONLY_FLAG,
		KEPT(struct config, help),
		.help = "this text",
		.manual = "Print a summary of all this.\n",
	},
};

const unsigned int option_count = ARRAY_SIZE(option_table);

/* ------------------------------------------------------------------------- */

static bool is(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && !memcmp(name, text, len);
}

const struct option_def *option_find(const char *name, size_t len)
{
	for (unsigned int i = 0; i < option_count; i++) {
		if (is(option_table[i].name, name, len))
			return &option_table[i];
	}
	return NULL;
}

const struct option_def *option_find_key(const char *key, size_t len)
{
	for (unsigned int i = 0; i < option_count; i++) {
		if (is(option_key(&option_table[i]), key, len))
			return &option_table[i];
	}
	return NULL;
}

const struct option_def *option_find_property(const struct option_list *list, const char *name,
					      size_t len)
{
	for (unsigned int i = 0; i < list->nr_properties; i++) {
		if (is(list->property[i].name, name, len))
			return &list->property[i];
	}
	return NULL;
}

#define MAX_NAME 32

/* How many characters must be changed, added or left out to make one word the other. */
static unsigned int distance(const char *a, size_t len_a, const char *b)
{
	unsigned int row[MAX_NAME + 1], len_b = strlen(b);

	for (unsigned int j = 0; j <= len_b; j++)
		row[j] = j;
	for (size_t i = 0; i < len_a; i++) {
		unsigned int diagonal = row[0]++;

		for (unsigned int j = 0; j < len_b; j++) {
			unsigned int best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (best > diagonal + 1)
				best = diagonal + 1;
			if (best > row[j] + 1)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[len_b];
}

const struct option_def *option_closest(const struct option_def *rows, unsigned int nr,
					const char *name, size_t len)
{
	const struct option_def *found = NULL;
	unsigned int least = 3;

	if (!len || len > MAX_NAME)
		return NULL;
	for (unsigned int i = 0; i < nr; i++) {
		const struct option_def *o = &rows[i];
		unsigned int d = strncmp(o->name, name, len) ? distance(name, len, o->name) : 0;

		if (d < least && d < len) {
			found = o;
			least = d;
		}
	}
	return found;
}
