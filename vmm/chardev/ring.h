/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last 64 KiB that the guest said, and readers of them, each at its own place: one that is
 * slow loses its own bytes only, and is told how many. console.c puts bytes in on vCPU
 * threads; the backends read on the loop's thread.
 */
#ifndef VMM_CHARDEV_RING_H
#define VMM_CHARDEV_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_SIZE     65536
#define RING_NOTE_MAX 256

struct ring {
	pthread_mutex_t lock; /* protects all below; innermost */
	uint8_t buf[RING_SIZE];
	uint64_t end; /* bytes ever put in */
	bool wanted;  /* a reader found nothing, and waits for a byte */
};

/* Used by the loop's thread only. All zero, it begins with the first byte that is kept. */
struct ring_reader {
	uint64_t at;
	uint64_t lost;		  /* bytes it was too late for */
	uint64_t untold;	  /* those of them that it was not told of */
	char note[RING_NOTE_MAX]; /* our own words, which come first */
	size_t note_off, note_len;
	bool tells; /* the note is that "untold" are lost, and not begun: there may be more */
};

void ring_init(struct ring *r);
void ring_destroy(struct ring *r);

/* Any thread. Returns whether the readers are to be woken. */
bool ring_put(struct ring *r, uint8_t byte);

/*
 * What the reader gets next, up to len bytes, without taking it: ring_took() says how much
 * of it is dealt with. 0: nothing is there, and the next ring_put() tells.
 */
size_t ring_peek(struct ring *r, struct ring_reader *reader, uint8_t *buf, size_t len);
void ring_took(struct ring_reader *reader, size_t len);
size_t ring_pending(struct ring *r, const struct ring_reader *reader);

/* Words for this reader alone, in front of what else it gets; dropped if there is no room. */
void ring_note(struct ring_reader *reader, const char *text);

#endif
