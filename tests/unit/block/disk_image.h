/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disk of the tests: an image whose sectors say where they are, and what it holds afterwards. */
#ifndef TESTS_UNIT_DISK_IMAGE_H
#define TESTS_UNIT_DISK_IMAGE_H

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK_SIZE (1u << 20)
#define SECTORS	  (DISK_SIZE / 512)

static char path[64];
static uint8_t buf[DISK_SIZE];

/* An image in which each sector says where it is. */
static inline void make_image(void)
{
	int fd;

	strcpy(path, "/tmp/hv-test-disk-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	for (unsigned int i = 0; i < DISK_SIZE / 4; i++)
		memcpy(buf + i * 4, &(uint32_t){0x10000000 + i / 128}, 4);
	ck_assert_int_eq(write(fd, buf, DISK_SIZE), DISK_SIZE);
	close(fd);
}

static inline void remove_image(void)
{
	unlink(path);
}

/* What the file holds now */
static inline void read_image(void)
{
	int fd = open(path, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, buf, DISK_SIZE), DISK_SIZE);
	close(fd);
}

static inline bool all_are(const uint8_t *p, uint8_t byte, size_t len)
{
	while (len--) {
		if (*p++ != byte)
			return false;
	}
	return true;
}

/* A disk full of 0xee, all of whose sectors but the first and the last were made zeroes. */
static inline void check_zeroed_within(int fd)
{
	ck_assert_int_eq(pread(fd, buf, DISK_SIZE, 0), DISK_SIZE);
	ck_assert(all_are(buf, 0xee, 512));
	ck_assert(all_are(buf + 512, 0, DISK_SIZE - 1024));
	ck_assert(all_are(buf + DISK_SIZE - 512, 0xee, 512));
}

#endif
