/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every virtio device shares, whatever carries it (virtio 1.2, chapter 2): feature negotiation, status,
 * queues, and how it is started and stopped (virtio.c). A device is a table of operations (blk.c, rng.c); a
 * transport is another (virtio_pci.c, virtio_mmio.c); neither knows the other. Only modern devices.
 *
 * Doorbells are eventfds, one a queue, in the event loop: the module signals
 * them when the guest writes to the queue's address, and so does the transport for
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
#include "platform/mem.h"
#include "platform/state.h"
#include "virtio/queue.h"

#define VIRTIO_MAX_QUEUES 4

struct description;
struct virtio_dev;

/* What a machine gives a virtio device; all of it outlives the device. */
struct virtio_env {
	const struct mem *mem;
	struct loop *loop;
	/* Put the device where the guest finds it: one of the transports, with what it needs. */
	int (*attach)(const void *bus, struct virtio_dev *d, struct error *e);
	const void *bus;
	bool packed; /* packed rings are offered */
	/* A device that was asked to stop has done so. On the loop's thread, with (d). NULL: nobody asks. */
	void (*stopped)(void *arg);
	void *arg;
};

/* All with (d). */
struct virtio_ops {
	/* The driver made chains available. Loop thread. */
	void (*kick)(struct virtio_dev *d, unsigned int queue);

	/*
	 * The next three, or none of them, for a device that never has anything in flight. Any thread.
	 *
	 * start: the driver is ready, the rings are latched, and memory may be accessed (again). A kick of each
	 * queue follows. Go on with what stop() kept.
	 */
	void (*start)(struct virtio_dev *d);
	/*
	 * Reset, or no access to memory any more. Give the host nothing, and keep what it has not begun. True:
	 * guest memory is not touched again until start(). False: the host has something, and virtio_stopped()
	 * will tell; a doorbell that rings meanwhile calls it again.
	 */
	bool (*stop)(struct virtio_dev *d);
	/* After stop(): drop what was kept of queues that are not enabled any more. */
	void (*forget)(struct virtio_dev *d);

	/*
	 * What the device has in flight, or NULL: nothing ever. Of a device that is stopped, and one that was just
	 * reset; the queues are those that were saved, and not the device's yet. What load() has taken over,
	 * forget() drops, and start() goes on with.
	 */
	void (*save)(struct virtio_dev *d, struct dtb *out);
	int (*load)(struct virtio_dev *d, const struct virtqueue *queues, struct state_in *in,
		    struct error *e);

	/* Device configuration; off + n is within config_len. NULL: there is none to read, or to write. */
	void (*config_read)(struct virtio_dev *d, size_t off, void *to, size_t n);
	void (*config_write)(struct virtio_dev *d, size_t off, const void *from, size_t n);
};

/* All with (d), but for detach. */
struct virtio_transport {
	/* Interrupt the guest for a queue, or for -1, the configuration. */
	void (*interrupt)(struct virtio_dev *d, int queue);
	/* An eventfd that does so for a queue without the monitor, or a negative errno. */
	int (*call_fd)(struct virtio_dev *d, unsigned int queue);
	/* The device is being reset: so is what the transport has of it. */
	void (*reset)(struct virtio_dev *d);
	/* What the transport has of it, but for what its bus saves. */
	void (*save)(struct virtio_dev *d, struct dtb *out);
	int (*load)(struct virtio_dev *d, struct state_in *in, struct error *e);
	/* As in struct device_ops; NULL: the bus describes itself, and guests find what is on it. */
	void (*describe)(struct virtio_dev *d, const struct description *description);
	void (*detach)(struct virtio_dev *d);
};

struct virtio_type {
	const char *name; /* for messages */
	uint16_t id;	  /* VIRTIO_ID_* */
	unsigned int nr_queues;
	uint16_t queue_size[VIRTIO_MAX_QUEUES]; /* powers of two, up to QUEUE_MAX */
	size_t config_len;			/* bytes of device configuration */
	const struct virtio_ops *ops;
};

struct virtio_queue {
	struct virtio_dev *dev; /* (s) */
	unsigned int index;	/* (s) */
	int doorbell;		/* (s) eventfd */
	struct virtqueue vq;	/* (d) */
};

struct virtio_dev {
	const struct virtio_type *type;		  /* (s) */
	struct virtio_env env;			  /* (s) */
	uint64_t features;			  /* (s) that we offer */
	const struct virtio_transport *transport; /* (s) NULL: not attached */
	void *carrier;				  /* (s) the transport's part */

	pthread_mutex_t lock;
	struct virtio_queue queue[VIRTIO_MAX_QUEUES];
	uint64_t driver_features; /* (d) final once FEATURES_OK is set */
	uint32_t feature_select;  /* (d) */
	uint32_t driver_select;	  /* (d) */
	uint32_t queue_select;	  /* (d) */
	uint32_t generation;	  /* (d) of the device configuration */
	uint8_t status;		  /* (d) VIRTIO_CONFIG_S_* */
	bool access;		  /* (d) the guest lets us access memory */
	bool stopped;		  /* (d) the machine does not run */
	bool stopping;		  /* (d) stop() said that it takes longer */
	bool ending;		  /* (d) nobody waits for that any more */
	bool to_forget;		  /* (d) ... so that what was in flight is still to be dropped */
	bool changing;		  /* (d) a vCPU changes the device, and lets (d) go in between */
	pthread_cond_t change;	  /* of stopping, ending and changing */
};

/*
 * Make a device of the type and attach it. features: the device's
 * own ones, those of queues and transport are added. After
 * an error, too, virtio_dev_fini() must be called.
 */
int virtio_dev_init(struct virtio_dev *d, const struct virtio_env *env,
		    const struct virtio_type *type, uint64_t features, struct error *e);
/* No vCPU and no event loop may run any more. */
void virtio_dev_fini(struct virtio_dev *d);

/*
 * The vCPUs are to leave: one that waits for the device to stop, since its guest reset it, does not wait any
 * longer. Where the machine is not over, it waits for that instead before it goes on. Any thread.
 */
void virtio_end_waits(struct virtio_dev *d);
/* As in struct device_ops. Where it takes longer to stop, env.stopped() will be called while the loop runs. */
bool virtio_stop(struct virtio_dev *d);
void virtio_reset(struct virtio_dev *d);
void virtio_start(struct virtio_dev *d);
void virtio_save(struct virtio_dev *d, struct dtb *out);
int virtio_load(struct virtio_dev *d, struct state_in *in, struct error *e);
void virtio_describe(struct virtio_dev *d, const struct description *description);

/* For devices, with (d) */

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
/* What config_read() gives has changed. */
void virtio_config_changed(struct virtio_dev *d);

/* For transports: the guest writes between these two, which hold (d). Reads need only (d). */

void virtio_begin_change(struct virtio_dev *d);
void virtio_end_change(struct virtio_dev *d);

/* The queue that is selected; NULL: there is none. */
struct virtio_queue *virtio_selected(struct virtio_dev *d);
void virtio_set_driver_features(struct virtio_dev *d, uint32_t value);
void virtio_set_status(struct virtio_dev *d, uint8_t value);
/* The registers count now, and what is written to them later does not. */
void virtio_enable_queue(struct virtio_dev *d, struct virtio_queue *q);
/* The driver takes the queue back; when this returns, its memory is its own. */
void virtio_disable_queue(struct virtio_dev *d, struct virtio_queue *q);
/* The guest lets the device access memory, or no longer. */
void virtio_set_access(struct virtio_dev *d, bool access);
/* An access of 1, 2, 4 or 8 bytes to the device configuration; beyond it there are zeroes. */
uint64_t virtio_config_get(struct virtio_dev *d, uint64_t offset, unsigned int size);
void virtio_config_put(struct virtio_dev *d, uint64_t offset, unsigned int size, uint64_t value);
/* The guest wrote to the queue's doorbell. Without (d). */
void virtio_ring(const struct virtio_queue *q);

/* One of the two halves of a register of 64 bits. */
static inline uint32_t virtio_half(uint64_t value, uint32_t select)
{
	return select < 2 ? value >> (select * 32) : 0;
}

static inline void virtio_set_half(uint64_t *reg, uint32_t select, uint32_t value)
{
	if (select < 2)
		*reg = (*reg & ~(0xffffffffULL << (select * 32))) | (uint64_t)value << select * 32;
}

#endif
