/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells a service manager how we are (systemd's protocol, sd_notify(3)): one
 * datagram to the socket named by $NOTIFY_SOCKET. Called by cmd/run.c.
 */
#ifndef VMM_HOST_NOTIFY_H
#define VMM_HOST_NOTIFY_H

/* Send "READY=1" and the like. Does nothing and returns 0 when nobody asked for it. */
int notify_send(const char *state);

#endif
