/* SPDX-License-Identifier: MIT
 *
 * relay.h - in the keeper: bytes between a far end and its socket
 */
#ifndef TCPSHIM_RELAY_H
#define TCPSHIM_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* Before anything else, in the first keeper: room that its followers have, too.
 * 0 or -ENOMEM. */
int relay_init(void);
/* From now on what is written to the near end of @far is sent over the socket
 * with tag @cookie, and what that receives can be read there. One of a keeper
 * before us goes on where it was. NULL: no room, no such socket, not a stream.
 */
struct relay *relay_new(int far, uint64_t cookie);
void relay_free(struct relay *r);
/* Moves what can be moved; the EPOLL* bits of @far that it waits for. */
uint32_t relay_pump(struct relay *r);
/* Is there something that the program has written and the socket has not? */
bool relay_has_left(const struct relay *r);
/* The sockets that have something new are pumped at the next relay_next(). */
void relay_news(void);
/* All that there are were another process's: each is to be asked for again with
 * relay_new(), before relay_forget_rest(). */
void relay_forget_all(void);
void relay_forget_rest(void);
bool relay_has_news(void);
/* One whose socket has news; its far end in @far. NULL: none. */
struct relay *relay_next(int *far);

#endif
