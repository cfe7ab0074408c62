/* SPDX-License-Identifier: MIT
 *
 * party.h - what a copy of the library has beside its calls
 */
#ifndef TCPSHIM_TSAN_PARTY_H
#define TCPSHIM_TSAN_PARTY_H

#include <stdbool.h>

struct shared;

/* Before its first socket: it is not to map the memory again. */
void party_maps(struct shared *sh);
/* Is it a participant of its own? */
bool party_has_joined(void);
void party_spoils(void);

#endif
