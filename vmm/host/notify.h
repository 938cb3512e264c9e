/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells a service manager how we are (systemd's protocol, sd_notify(3)): one
 * datagram each to the socket named by $NOTIFY_SOCKET. Called by cmd/session.c.
 */
#ifndef VMM_HOST_NOTIFY_H
#define VMM_HOST_NOTIFY_H

#include <stdint.h>

/* Connect, while we may: 0, also when nobody asked for it, or a negative errno. */
int notify_open(void);
/* Send "READY=1" and the like; nothing, and 0, to nobody. */
int notify_send(const char *state);
/* Send "STOPPING=1", and that it may take that long, whatever was said of it (TimeoutStopSec=). */
int notify_stopping(uint64_t seconds);
/* How often "WATCHDOG=1" is to be sent, in nanoseconds: twice in the time that is granted us. 0: not at all. */
uint64_t notify_watchdog(void);

#endif
