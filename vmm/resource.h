/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the user names of the host: the path of a file, or "fd=N", a descriptor that the caller of vmm left open for
 * it. Each is opened once, when the machine is made, and kept over resets by whoever asked for it.
 */
#ifndef VMM_RESOURCE_H
#define VMM_RESOURCE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * As open(2), with O_CLOEXEC; -1 with errno. Of "fd=N" it is the same file by another number, and N is closed. What
 * it was opened for must allow what the flags ask for (EACCES); of the others O_APPEND and O_NONBLOCK are set.
 * EBADF: N is no number of a descriptor that was inherited, above the standard ones and not named before.
 */
int resource_open(const char *name, int flags, mode_t mode);
/* Whether it is no path. */
bool resource_is_fd(const char *name);

#endif
