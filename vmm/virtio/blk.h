/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio disk on a raw image. machine.c creates one for each disk. */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include <stdbool.h>

#include "error.h"
#include "platform/device.h"
#include "virtio/virtio.h"

struct virtio_blk;

struct blk_config {
	const char *path;
	bool readonly;
	bool format_stated; /* the user said "format=raw" */
	const char *serial; /* up to 20 bytes are shown to the guest; NULL: none */
};

/* NULL with a sentence that names the file. env->loop must watch from then on. */
struct virtio_blk *virtio_blk_create(const struct virtio_env *env, const struct blk_config *config,
				     struct error *e);
/* As a virtio device. */
struct virtio_dev *virtio_blk_dev(struct virtio_blk *b);
/*
 * No vCPU and no event loop may run any more. False: the host has requests that it did not finish, and guest
 * memory must remain; see block_close(). virtio_stop() before it, while the loop runs, waits for them.
 */
bool virtio_blk_destroy(struct virtio_blk *b);
extern const struct device_ops virtio_blk_device;

#endif
