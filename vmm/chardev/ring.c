// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "chardev/ring.h"

void ring_init(struct ring *r)
{
	r->end = 0;
	r->wanted = false;
	pthread_mutex_init(&r->lock, NULL);
}

void ring_destroy(struct ring *r)
{
	pthread_mutex_destroy(&r->lock);
}

bool ring_put(struct ring *r, uint8_t byte)
{
	bool wanted;

	pthread_mutex_lock(&r->lock);
	r->buf[r->end++ % RING_SIZE] = byte;
	wanted = r->wanted;
	r->wanted = false;
	pthread_mutex_unlock(&r->lock);
	return wanted;
}

static void take_note_back(struct ring_reader *reader)
{
	if (reader->tells)
		reader->note_len = 0;
	reader->tells = false;
}

void ring_note(struct ring_reader *reader, const char *text)
{
	size_t len = strlen(text);

	take_note_back(reader);
	if (len > sizeof(reader->note) - reader->note_len)
		return;
	memcpy(reader->note + reader->note_len, text, len);
	reader->note_len += len;
}

static void tell(struct ring_reader *reader)
{
	char text[64];

	snprintf(text, sizeof(text), "\r\n[console: %llu bytes of output lost]\r\n",
		 (unsigned long long)reader->untold);
	ring_note(reader, text);
	reader->tells = true;
}

/* With the lock held. */
static void catch_up(const struct ring *r, struct ring_reader *reader)
{
	uint64_t lost;

	if (r->end - reader->at <= RING_SIZE)
		return;
	lost = r->end - RING_SIZE - reader->at;
	reader->at += lost;
	reader->lost += lost;
	reader->untold += lost;
}

static size_t copy_out(const struct ring *r, const struct ring_reader *reader, uint8_t *buf,
		       size_t len)
{
	size_t start = reader->at % RING_SIZE, first = RING_SIZE - start;

	if (len > r->end - reader->at)
		len = r->end - reader->at;
	if (first > len)
		first = len;
	memcpy(buf, r->buf + start, first);
	memcpy(buf + first, r->buf, len - first);
	return len;
}

size_t ring_peek(struct ring *r, struct ring_reader *reader, uint8_t *buf, size_t len)
{
	size_t left;

	take_note_back(reader);
	if (!reader->note_len) {
		pthread_mutex_lock(&r->lock);
		catch_up(r, reader);
		if (!reader->untold) {
			len = copy_out(r, reader, buf, len);
			r->wanted |= !len;
			pthread_mutex_unlock(&r->lock);
			return len;
		}
		pthread_mutex_unlock(&r->lock);
		tell(reader);
	}
	left = reader->note_len - reader->note_off;
	if (len > left)
		len = left;
	memcpy(buf, reader->note + reader->note_off, len);
	return len;
}

void ring_took(struct ring_reader *reader, size_t len)
{
	if (!reader->note_len) {
		reader->at += len;
		return;
	}
	if (reader->tells && len) {
		reader->untold = 0;
		reader->tells = false;
	}
	reader->note_off += len;
	if (reader->note_off == reader->note_len)
		reader->note_off = reader->note_len = 0;
}

size_t ring_pending(struct ring *r, const struct ring_reader *reader)
{
	size_t len;

	pthread_mutex_lock(&r->lock);
	len = r->end - reader->at;
	pthread_mutex_unlock(&r->lock);
	return len + reader->note_len - reader->note_off;
}
