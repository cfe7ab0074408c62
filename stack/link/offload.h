/* SPDX-License-Identifier: MIT
 *
 * offload.h - what a device that can cut does: segment, complete checksums
 *
 * Pure functions, used in the core under impair and capture, and by the edge
 * outside the lock for a device without vnet_hdr.
 */
#ifndef TCPSHIM_OFFLOAD_H
#define TCPSHIM_OFFLOAD_H

#include <sys/uio.h>

#include "base/pkt.h"

/* Cuts @p (gso set) into wire-sized packets with complete checksums, appended
 * to @out. Takes @p. 0 or -ENOMEM (what was made so far stays on @out). The
 * IPv4 ID advances by one a segment; FIN and PSH only on the last; CWR only on
 * the first. */
int offload_cut(struct arena *a, struct pkt *p, struct list *out);
/* Completes a PARTIAL checksum in place. */
void offload_csum(struct pkt *p);
/* The same for a received frame, before it is captured or impaired. */
void offload_csum_frame(struct frame *f);

/* For the edge: segment @i (0..gso_segs-1) of the packet whose headers are
 * @hdr (hdr_len bytes) and whose payload is @v: writes the segment's headers
 * to @hdr_out, its payload pieces to @v_out, checksum complete. Returns the
 * number of pieces. */
struct offload_view {
	const uint8_t *hdr;
	uint16_t l4_off, hdr_len, gso_size, gso_segs;
	uint8_t gso, csum, flags;
	const struct iovec *v; /* payload only */
	unsigned num_v;
	uint32_t payload_len;
};
unsigned offload_segment(const struct offload_view *w, unsigned i,
			 uint8_t *hdr_out, struct iovec *v_out, unsigned room);

/* The same for a received gso frame: how many segments it stands for, 0 when
 * its headers can't be found; one of them as a frame of its own, or NULL. */
unsigned offload_frame_view(const struct frame *f, struct offload_view *w,
			    struct iovec *payload);
struct frame *offload_frame_segment(struct arena *a, const struct frame *f,
				    const struct offload_view *w, unsigned i);

#endif
