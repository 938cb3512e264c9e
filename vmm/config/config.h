/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of one machine: filled and checked here from the flags of
 * "vmm run" and from a file, read-only afterwards. cmd/run.c makes it, machine.c builds from it.
 *
 * What a field means, and how it is said, is in its row in options.c.
 */
#ifndef VMM_CONFIG_CONFIG_H
#define VMM_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

#define CONFIG_MAX_MODULES  32
#define CONFIG_MAX_DISKS    24 /* each is a PCI device */
#define CONFIG_MAX_FW_CFG   32
#define CONFIG_MAX_CONSOLES 8
#define CONFIG_SERIAL_MAX   20 /* virtio 1.2, 5.2.6.1: the device ID string */
#define CONFIG_NAME_MAX	    63
#define CONFIG_ID_MAX	    32

#define CONFIG_MIN_MEMORY   (16ULL << 20)
#define CONFIG_MAX_MEMORY   (16ULL << 40)
/* Device numbers on the PCI bus; 0 is its bridge. */
#define CONFIG_MIN_ADDR 1
#define CONFIG_MAX_ADDR 31
/* Devices that are not on that bus: VIRTIO_MMIO_MAX in platform/layout.h */
#define CONFIG_MAX_MMIO 4

/* Where the guest finds a virtio device. */
enum config_transport {
	TRANSPORT_PCI,
	TRANSPORT_MMIO,
};

/* What every item of a list begins with. */
struct config_item {
	char *id;	/* unique in the machine */
	bool from_file; /* where it was said */
};

struct config_disk {
	struct config_item item;
	char *path;
	char *serial; /* NULL: none stated */
	bool readonly;
	unsigned int format;
	bool format_stated; /* "format=raw" was written */
	unsigned int addr;  /* PCI device number; 0: not on that bus */
	unsigned int transport;
	bool packed; /* packed rings are offered, beside split ones */
};

struct config_module {
	struct config_item item;
	char *path;
	char *args;   /* NULL: none */
	char *string; /* both, as a Multiboot kernel gets to see them */
};

struct config_fw_cfg {
	struct config_item item;
	char *name;
	char *path;
};

enum config_console_kind {
	CONFIG_CONSOLE_TTY,
	CONFIG_CONSOLE_NONE,
	CONFIG_CONSOLE_PTY,
};

/* Where the console is: one of kind, file and socket is stated. */
struct config_console {
	struct config_item item;
	unsigned int kind;
	bool kind_stated;
	char *file;
	char *socket;
	uint64_t rotate;   /* file: the size of each; 0: not at all */
	unsigned int keep; /* file: how many old ones */
	char *link;	   /* pty; NULL: none */
};

/* Whether the machine has a runtime directory. */
enum config_api {
	CONFIG_API_AUTO, /* where one can be made */
	CONFIG_API_ON,
	CONFIG_API_OFF,
};

enum config_memory {
	CONFIG_MEMORY_ANON,
	CONFIG_MEMORY_MEMFD,
};

struct config {
	char *name; /* NULL: none stated, until cmd/run.c makes one up */
	char *kernel;
	char *initrd; /* NULL: none */
	char *cmdline;
	struct config_console console[CONFIG_MAX_CONSOLES]; /* none: tty */
	unsigned int nr_consoles;
	struct config_module module[CONFIG_MAX_MODULES];
	unsigned int nr_modules;
	struct config_disk disk[CONFIG_MAX_DISKS];
	unsigned int nr_disks;
	struct config_fw_cfg fw_cfg[CONFIG_MAX_FW_CFG];
	unsigned int nr_fw_cfg;

	unsigned int cpus;
	uint64_t memory;	     /* bytes, a multiple of 4 KiB */
	unsigned int memory_backend; /* enum config_memory */
	uint32_t tsc_khz;	     /* frequency of the guest's TSC; 0: the host's */
	unsigned int rng_transport;
	bool debug_exit;
	uint16_t debug_exit_port;

	bool no_reboot;
	char *reboot_limit;	   /* see config_reboot_limit() */
	unsigned int stop_timeout; /* seconds */
	unsigned int time_limit;   /* seconds; 0: none */
	bool json;
	bool verbose;
	unsigned int api;
	bool detach;
	unsigned int sandbox; /* enum sandbox_mode */
	char *user;	      /* NULL: who we are */

	/* Not of the machine, but of the command line. */
	bool help;
	bool print;
	bool api_only;	    /* what the machine is, clients say */
	char *api_sock;	    /* where the control socket is, too; NULL: nowhere else */
	char *dump_dtb;	    /* NULL: the machine runs */
	char *json_to;	    /* a file or descriptor for the result; NULL: none */
	char *file;	    /* NULL: none */
	uint64_t from_file; /* which options are said there, a bit for each row */
};

/*
 * Read the flags of "vmm run", and the file that they name; argv[0] is the
 * subcommand. Returns 0, 1 when the user asked for help, or a negative errno with a sentence that names the flag;
 * then, too, "json" and "json_to" say whether the result was asked for. Whatever it returns,
 * config_destroy() must follow.
 */
int config_parse(int argc, char **argv, struct config *c, struct error *e);
void config_destroy(struct config *c);
/*
 * What was said by others than config_parse() is made complete, and checked as a whole, as by that. Returns 0 or a
 * negative errno.
 */
int config_complete(struct config *c, struct error *e);

/*
 * Write it as a file that makes the same machine. What cannot be is a name that
 * is not UTF-8: a negative errno.
 */
int config_print(const struct config *c, FILE *out, struct error *e);

/* What the user calls the option of an error's path: "--disk", "disks[1].path in FILE". */
struct config_label {
	char text[256];
};
struct config_label config_label(const struct config *c, const char *path);

/* So many resets in so many seconds are too many; count 0: none are. */
struct config_reboot_limit {
	unsigned int count, seconds;
};
struct config_reboot_limit config_reboot_limit(const struct config *c);

/* Whether the console is on standard output, be it also elsewhere. */
bool config_has_tty(const struct config *c);

/* The flags with what they mean, as "vmm run --help" lists them. */
void config_print_flags(FILE *out);
/* The same for vmm(1), in mdoc(7). */
void config_print_manual(FILE *out);
/* Functions by which bash completes them: _vmm_run, and those that it needs. */
void config_print_completion(FILE *out);

#endif
