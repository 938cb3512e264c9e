/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtio entropy device, fed by the host's kernel. machine.c creates it. */
#ifndef VMM_VIRTIO_RNG_H
#define VMM_VIRTIO_RNG_H

#include "error.h"
#include "platform/device.h"
#include "virtio/virtio.h"

struct virtio_rng;

struct virtio_rng *virtio_rng_create(const struct virtio_env *env, struct error *e);
/* No vCPU and no event loop may run any more. */
void virtio_rng_destroy(struct virtio_rng *r);
extern const struct device_ops virtio_rng_device;

#endif
