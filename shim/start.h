/* SPDX-License-Identifier: MIT
 *
 * start.h - starting a keeper
 */
#ifndef TCPSHIM_START_H
#define TCPSHIM_START_H

#include <stdbool.h>
#include <stddef.h>

/* The connection to it, or -errno, with cause and cure in @why. @again: for a
 * host that is there and has lost its keeper. One at a time. */
int start_keeper(bool again, char *why, size_t len);

#endif
