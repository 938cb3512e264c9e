/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop that devices share: file descriptors and timers, on one thread
 * that runs loop_run(). Callbacks run on that thread without a lock held. All
 * calls may come from any thread.
 */
#ifndef VMM_HOST_LOOP_H
#define VMM_HOST_LOOP_H

#include <stdint.h>

struct loop;

struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/* Run until loop_stop(); returns 0, or a negative errno when the loop itself fails. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* events is EPOLLIN, EPOLLOUT...; the callback gets those that are ready. */
typedef void (*loop_fd_fn)(void *arg, int fd, uint32_t events);

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn fn, void *arg);
int loop_mod_fd(struct loop *loop, int fd, uint32_t events);
/* When called on another thread, returns after a running callback has ended. */
void loop_del_fd(struct loop *loop, int fd);

/* The clock of timers: CLOCK_MONOTONIC in nanoseconds. */
uint64_t loop_now(void);
/* The same in milliseconds. */
uint64_t loop_now_ms(void);

struct loop_timer;
typedef void (*loop_timer_fn)(void *arg);

struct loop_timer *loop_timer_create(struct loop *loop, loop_timer_fn fn, void *arg);
/* Fire once, when loop_now() reaches the deadline; 0 disarms. */
void loop_timer_arm(struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_destroy(struct loop_timer *t);

#endif
