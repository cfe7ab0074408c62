/* SPDX-License-Identifier: MIT
 *
 * pkt.h - a packet on its way out: headers we write, payload we refer to
 *
 * Layers push their headers in front, into the packet's own room; payload is
 * never copied, only pinned. A packet whose gso is set stands for up to 64
 * segments of gso_size bytes each; it is cut by the device, or by link/offload.
 */
#ifndef TCPSHIM_PKT_H
#define TCPSHIM_PKT_H

#include "base/buf.h"
#include "base/list.h"

#define PKT_ROOM \
	192 /* IPv6 + fragment + TCP with 40 bytes of options, twice over */
#define PKT_MAX_V 7

struct pkt_ref {
	struct buf *b; /* holds one reference; NULL for the last used + 1 */
	uint8_t *p;
	uint32_t len;
};

struct pkt {
	struct list node;
	nsec at;	   /* not before; 0 for now */
	uint64_t cookie;   /* whom to tell when it has left: a sockid, or 0 */
	uint32_t len;	   /* all of it: headers and payload */
	uint32_t charge;   /* bytes the cookie's socket was charged */
	uint32_t stamp;	   /* SOF_TIMESTAMPING_TX_*: it wants to know when */
	uint32_t stamp_id; /* and which this is */
	uint16_t head;	   /* first used byte of room */
	uint16_t l4_off;   /* L3 header length, once it is pushed */
	uint16_t hdr_len;  /* L3 + L4 headers */
	uint16_t gso_size, gso_segs;
	uint8_t gso, csum, link, flags;
	uint8_t num_v;
	struct pkt_ref v[PKT_MAX_V];
	uint8_t room[PKT_ROOM];
};

struct pkt *pkt_new(struct arena *a); /* empty, head at the end; or NULL */
void pkt_free(struct arena *a, struct pkt *p); /* drops its references */
/* Another packet with the same bytes, whose departure nobody waits for. */
struct pkt *pkt_clone(struct arena *a, const struct pkt *p); /* or NULL */
/* @len bytes in front of what is there; NULL rather than overrun. */
void *pkt_push(struct pkt *p, uint32_t len);
/* Payload at the end; takes a reference of its own. -ENOBUFS if @p is full;
 * joins the last piece when it continues it. */
int pkt_add(struct pkt *p, struct buf *b, uint8_t *data, uint32_t len);
static inline uint8_t *pkt_head(struct pkt *p) /* the headers */
{
	return p->room + p->head;
}
static inline uint32_t pkt_head_len(const struct pkt *p)
{
	return PKT_ROOM - p->head;
}
/* Sum over payload bytes only (any number of pieces, odd lengths included). */
uint64_t pkt_payload_csum(const struct pkt *p, uint64_t sum);
/* Copies the whole packet, headers first, into @out (at least p->len bytes). */
void pkt_copy_out(const struct pkt *p, uint8_t *out);

#endif
