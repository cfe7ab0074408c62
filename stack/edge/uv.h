/* SPDX-License-Identifier: MIT
 *
 * uv.h - a thread of our own that waits: for a device, a deadline, a nudge
 *
 * libuv's loop, reached with dlopen() so that a program that brings its own
 * copy never meets ours, and so that its calls don't pass through our hooks.
 * The thread has all signals blocked. What to do is the caller's: it gets one
 * function, called on that thread with what happened.
 */
#ifndef TCPSHIM_EDGE_UV_H
#define TCPSHIM_EDGE_UV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"

#define UV_LOOP_KICK 1u	    /* uv_loop_kick() was called */
#define UV_LOOP_FD 2u	    /* the device has something; now disarmed */
#define UV_LOOP_DEADLINE 4u /* the armed instant has come */

struct uv_loop_cfg {
	int fd; /* of the device */
	void (*turn)(void *arg, unsigned what);
	void *arg;
};

/* 0, or a negative errno with cause and cure in @why. One per process. */
int uv_loop_start(const struct uv_loop_cfg *cfg, char *why, size_t len);
/* Any thread; async-signal-safe. Coalesces. */
void uv_loop_kick(void);
/* On the loop's thread only. One shot. */
void uv_loop_arm_fd(bool on);
void uv_loop_arm_deadline(nsec at); /* on sys_now()'s clock; TIME_NEVER: none */

#endif
