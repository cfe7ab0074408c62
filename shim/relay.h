/* SPDX-License-Identifier: MIT
 *
 * relay.h - in the keeper: bytes between a far end and its socket
 */
#ifndef TCPSHIM_RELAY_H
#define TCPSHIM_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* From now on what is written to the near end of @far is sent over the socket
 * with tag @cookie, and what that receives can be read there. NULL: no memory,
 * no such socket, not a stream. */
struct relay *relay_new(int far, uint64_t cookie);
void relay_free(struct relay *r);
/* Moves what can be moved; the EPOLL* bits of @far that it waits for. */
uint32_t relay_pump(struct relay *r);
/* The sockets that have something new are pumped at the next relay_next(). */
void relay_news(void);
/* All that there are were another process's. */
void relay_forget_all(void);
/* One whose socket has news; its far end in @far. NULL: none. */
struct relay *relay_next(int *far);

#endif
