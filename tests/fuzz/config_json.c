// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A configuration file: any text. Refused with one line, or a configuration within all of its limits, which
 * is the same when it is written and read again.
 */
#define _GNU_SOURCE /* memfd_create() */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/config.h"

static int fd = -1;

static int parse(const void *text, size_t size, struct config *c)
{
	char name[32];
	char *argv[] = {"run", "--config", name, "--kernel", "k", NULL};
	struct error e = {0};
	int ret;

	if (fd < 0)
		fd = memfd_create("config", 0);
	must(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, text, size, 0) == (ssize_t)size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ret = config_parse(5, argv, c, &e);
	must(ret <= 0);
	must(!ret || (*e.text && e.code && !strchr(e.text, '\n')));
	return ret;
}

static char *print(const struct config *c, size_t *size)
{
	struct error e;
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	must(out && !config_print(c, out, &e));
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c = {0}, again = {0};
	char *text, *text_again;
	size_t len, len_again;

	if (!parse(data, size, &c)) {
		check_config(&c);
		text = print(&c, &len);
		must(!parse(text, len, &again));
		text_again = print(&again, &len_again);
		must(len == len_again && !memcmp(text, text_again, len));
		free(text);
		free(text_again);
		config_destroy(&again);
	}
	config_destroy(&c);
	return 0;
}
