/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's firmware configuration device (docs/specs/fw_cfg of QEMU): named files
 * and numbered items that the guest reads through ports, byte by byte or by DMA.
 * machine.c creates and fills it; after that the items do not change. Nothing
 * can be written by the guest.
 */
#ifndef VMM_DEV_FW_CFG_H
#define VMM_DEV_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "platform/bus.h"
#include "platform/device.h"
#include "platform/mem.h"

/* Keys of items that guests know. */
#define FW_CFG_SIGNATURE    0x00
#define FW_CFG_ID	    0x01
#define FW_CFG_RAM_SIZE	    0x03
#define FW_CFG_NB_CPUS	    0x05
#define FW_CFG_MAX_CPUS	    0x0f
#define FW_CFG_CMDLINE_SIZE 0x14
#define FW_CFG_CMDLINE_DATA 0x15
#define FW_CFG_FILE_DIR	    0x19
#define FW_CFG_FILE_FIRST   0x20

#define FW_CFG_MAX_FILES    64
#define FW_CFG_MAX_NAME	    55 /* characters */

struct fw_cfg;

/* At PORT_FW_CFG on the port bus; m must outlive the device. NULL and a message on failure. */
struct fw_cfg *fw_cfg_create(struct bus *pio, const struct mem *m, struct error *e);
void fw_cfg_destroy(void *fw_cfg);
extern const struct device_ops fw_cfg_device;

/*
 * All copy the data. -EEXIST: the key or name is taken; -EINVAL: a key of the
 * files' range, or a name that is empty, too long or not printable; -EFBIG: too
 * large a file; -ENOSPC: too many files.
 */
int fw_cfg_add_item(struct fw_cfg *fw, uint16_t key, const void *data, size_t len, struct error *e);
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, size_t len,
		    struct error *e);
/* A file with the contents of the host's file at path. */
int fw_cfg_add_host_file(struct fw_cfg *fw, const char *name, const char *path, struct error *e);

/* The items that describe the machine: number of CPUs, bytes of RAM, command line. */
int fw_cfg_add_machine(struct fw_cfg *fw, uint16_t cpus, uint64_t ram, const char *cmdline,
		       struct error *e);

#endif
