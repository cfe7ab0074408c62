/* SPDX-License-Identifier: MIT
 *
 * buf.h - refcounted memory: frames that came in, chunks that go out
 *
 * struct buf is the common beginning: a reference count and the true size that
 * a socket is charged for holding it. A frame is one packet read from a link,
 * contiguous, with its payload still in place when a socket queues it. A chunk
 * is send-buffer memory: private until its bytes are committed, read-only from
 * then on, freed when acknowledged and no longer pinned by the device.
 *
 * Locks: the caller holds the stack lock to change a reference count; the
 * bytes of a frame being filled or a chunk being lent belong to one thread.
 */
#ifndef TCPSHIM_BUF_H
#define TCPSHIM_BUF_H

#include <stdint.h>

#include "base/arena.h"
#include "base/time.h"

struct buf {
	uint32_t ref;
	uint32_t size; /* true size in the arena, header included */
};

/* State of the L4 checksum. Never verify PARTIAL, always verify NONE; complete
 * PARTIAL before capture, impairment, echo or another link. */
enum csum_state {
	CSUM_NONE,    /* rx: not looked at; tx: complete, as on the wire */
	CSUM_PARTIAL, /* the field holds the folded pseudo-header sum */
	CSUM_VALID,   /* rx: somebody we trust has verified it */
};

enum gso_type { /* what the gso_size cut makes; 0 for an ordinary packet */
		GSO_NONE = 0,
		GSO_TCP4 = 1, /* the values of struct virtio_net_hdr */
		GSO_TCP6 = 4,
		GSO_UDP = 5,
};

/* One packet. rx: ->data points behind this struct, at the IP header. */
struct frame {
	struct buf b;
	uint8_t *data;
	uint32_t len;
	uint32_t room; /* bytes that may be written at ->data */
	nsec at;       /* rx: when read; tx: not before */
	uint16_t l4_off, hdr_len, gso_size, gso_segs;
	uint8_t gso;  /* enum gso_type; FRAME_ECN may be set in ->flags */
	uint8_t csum; /* enum csum_state */
	uint8_t link; /* where it came from, or goes to */
	uint8_t flags;
};

#define FRAME_F_CWR 1  /* gso with CWR set on its first segment (0x80) */
#define FRAME_F_LOOP 2 /* looped back in the stack: no martian checks */
#define FRAME_F_ECHO 4 /* the same, of what went out by the device as well */

#define FRAME_SMALL 2048	  /* copy-break */
#define FRAME_LARGE (65536 + 256) /* what an offloading device may give */

struct frame *frame_new(struct arena *a, uint32_t room); /* ref 1, or NULL */
static inline struct frame *frame_get(struct frame *f)
{
	f->b.ref++;
	return f;
}
void frame_put(struct arena *a, struct frame *f); /* NULL is fine */

#define CHUNK_SIZE 16384 /* usable bytes of a stream chunk */

struct chunk {
	struct buf b;
	uint32_t room; /* bytes at ->data */
	uint32_t
		used; /* handed out so far; grows, never shrinks while shared */
	uint8_t data[];
};

struct chunk *chunk_new(struct arena *a, uint32_t room); /* ref 1, or NULL */

/* Either of the two, when only the reference matters. */
static inline struct buf *buf_get(struct buf *b)
{
	b->ref++;
	return b;
}
void buf_put(struct arena *a, struct buf *b);

#endif
