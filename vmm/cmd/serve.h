/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients of the control socket want of a session. Called by cmd/session.c. */
#ifndef VMM_CMD_SERVE_H
#define VMM_CMD_SERVE_H

#include "cmd/session.h"
#include "control/api.h"

/* As api_create(). */
struct api *serve_session(struct session *s, struct loop *loop, int listen_fd,
			  const struct config *config, struct error *e);

#endif
