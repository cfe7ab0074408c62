/* SPDX-License-Identifier: MIT
 *
 * capture.h - packets as the stack sees them, kept for the edge to write
 *
 * A ring of whole records. What does not fit is lost and counted, the traffic
 * goes on. Packets are copied under the lock: this is for looking, not for
 * speed.
 */
#ifndef TCPSHIM_CAPTURE_H
#define TCPSHIM_CAPTURE_H

#include "base/core.h"
#include "base/pkt.h"

struct capture;

struct capture *capture_new(struct core *c, uint32_t size); /* or NULL */
void capture_free(struct capture *cap);			    /* NULL is fine */
/* Both want wire-sized packets with complete checksums. */
void capture_pkt(struct capture *cap, const struct pkt *p, nsec now);
void capture_frame(struct capture *cap, const struct frame *f, nsec now);
struct rebuild;
void capture_find(struct capture *cap, struct rebuild *rb);
size_t capture_drain(struct capture *cap, uint8_t *out, size_t room);

#endif
