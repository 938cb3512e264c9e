/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every virtio device shares: feature negotiation, status, queues and their
 * interrupts, carried by the PCI transport (virtio 1.2, chapters 2 to 4.1). Only
 * modern devices, with MSI-X; there is no interrupt pin.
 *
 * Doorbells are eventfds, one a queue, in the event loop: the module signals
 * them when the guest writes to the queue's port, and so does the transport for
 * a write that reaches it by another way. A device's work is therefore always
 * done on the loop's thread, except what a reset has to wait for.
 *
 * Locks: (d) the device's mutex, (s) set before the machine runs. The PCI host's
 * lock comes before a device's.
 */
#ifndef VMM_VIRTIO_VIRTIO_H
#define VMM_VIRTIO_VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "host/loop.h"
#include "pci/msix.h"
#include "pci/pci.h"
#include "platform/irq.h"
#include "platform/mem.h"
#include "virtio/queue.h"

#define VIRTIO_MAX_QUEUES 4

/* What a machine gives its virtio devices; all of it outlives them. */
struct virtio_env {
	struct pci_host *pci;
	unsigned int slot; /* on its bus, for the next device; 0: the next free one */
	const struct mem *mem;
	struct loop *loop;
	struct msi_sink msi;
	struct doorbell_sink doorbell;
	/* A device that was asked to stop has done so. On the loop's thread, with (d). NULL: nobody asks. */
	void (*stopped)(void *arg);
	void *arg;
};

struct virtio_dev;

struct virtio_ops {
	/* The driver made chains available. Loop thread, with (d). */
	void (*kick)(struct virtio_dev *d, unsigned int queue);

	/*
	 * All three, or none for a device that never has anything in flight. Any thread, with (d).
	 *
	 * stop: give the host nothing more, and keep what it has not begun. True: guest memory is not touched
	 * again until resume(). False: the host has something, and virtio_stopped() will tell; a doorbell
	 * that rings meanwhile calls it again.
	 */
	bool (*stop)(struct virtio_dev *d);
	void (*resume)(struct virtio_dev *d);
	/* After stop(): drop what was kept. */
	void (*forget)(struct virtio_dev *d);
};

struct virtio_type {
	const char *name;   /* for messages */
	uint16_t id;	    /* VIRTIO_ID_* */
	uint32_t pci_class; /* as in struct pci_id */
	unsigned int nr_queues;
	uint16_t queue_size; /* power of two, up to QUEUE_MAX */
	const struct virtio_ops *ops;
};

struct virtio_queue {
	struct virtio_dev *dev; /* (s) */
	unsigned int index;	/* (s) */
	int doorbell;		/* (s) eventfd */
	uint64_t bound;		/* port that signals the eventfd, 0: none; PCI host's lock */
	struct virtqueue vq;	/* (d) */
	uint16_t vector;	/* (d) */
};

struct virtio_dev {
	struct pci_dev pci;
	const struct virtio_type *type; /* (s) */
	struct virtio_env env;		/* (s) */
	uint64_t features;		/* (s) that we offer */
	const void *config;		/* (s) device configuration, read-only for the driver */
	size_t config_len;		/* (s) */
	unsigned int window;		/* (s) the configuration access capability */

	pthread_mutex_t lock;
	struct msix msix; /* (d) */
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
	uint64_t driver_features; /* (d) final once FEATURES_OK is set */
	uint32_t feature_select;  /* (d) */
	uint32_t driver_select;	  /* (d) */
	uint16_t queue_select;	  /* (d) */
	uint16_t config_vector;	  /* (d) */
	uint8_t status;		  /* (d) VIRTIO_CONFIG_S_* */
	uint8_t isr;		  /* (d) */
	bool master;		  /* (d) the guest lets us access memory */
	bool stopping;		  /* (d) stop() said that it takes longer */
	bool ending;		  /* (d) nobody waits for that any more */
	bool changing;		  /* (d) a vCPU changes the device, and lets (d) go in between */
	pthread_cond_t change;	  /* of the three */
};

/*
 * Make a device of the type and put it on the PCI bus. features: the device's
 * own ones, those of queues and transport are added. config may be NULL. After
 * an error, too, virtio_dev_fini() must be called.
 */
int virtio_dev_init(struct virtio_dev *d, const struct virtio_env *env,
		    const struct virtio_type *type, uint64_t features, const void *config,
		    size_t config_len, struct error *e);
/* No vCPU and no event loop may run any more. */
void virtio_dev_fini(struct virtio_dev *d);

/*
 * The machine is over, its vCPUs are to leave: one that waits for the device to stop, since its guest reset
 * it, does not wait any longer. Any thread.
 */
void virtio_end_waits(struct virtio_dev *d);
/*
 * Stop for good. False: it takes longer, and env.stopped() will be called while the loop runs. No vCPU may run
 * any more.
 */
bool virtio_stop(struct virtio_dev *d);

/* The rest is called with (d). */

static inline bool virtio_has(const struct virtio_dev *d, unsigned int feature)
{
	return d->driver_features & 1ULL << feature;
}

/* Whatever there was in flight has ended. */
void virtio_stopped(struct virtio_dev *d);
/* After a batch of queue_push(): interrupt if wanted; a broken queue fails the device. */
void virtio_batch_done(struct virtio_dev *d, unsigned int queue);
/* Come back to the queue after the event loop served the others. */
void virtio_kick_later(struct virtio_dev *d, unsigned int queue);

#endif
