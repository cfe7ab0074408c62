/* SPDX-License-Identifier: MIT
 *
 * offload.c - what TSO and checksum offload hardware does
 *
 * A segment is the headers once more, with lengths, identifier, sequence
 * number, flags and checksums of its own, in front of a piece of the payload.
 */
#include "link/offload.h"

#include <errno.h>

#include "base/csum.h"
#include "wire/ip4.h"
#include "wire/ip6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

#define TCP_OFF_SEQ 4
#define TCP_OFF_HLEN 12
#define TCP_OFF_FLAGS 13
#define UDP_OFF_LEN 4

/* Where the L4 checksum is; 0 for a protocol that has none we know. */
static unsigned csum_field(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMPV6:
		return 2;
	}
	return 0;
}

static bool is_ip4(const uint8_t *p)
{
	return p[0] >> 4 == 4;
}

/* Upper protocol of the packet that begins with the @len bytes at @p. */
static uint8_t l4_proto(const uint8_t *p, size_t len)
{
	struct ip6_chain c;

	if (is_ip4(p))
		return len >= IP4_HLEN ? p[9] : IPPROTO_NONE;
	return ip6_walk(&c, p, len) ? IPPROTO_NONE : c.proto;
}

/* RFC 768: a sum of zero is sent as all ones; zero would say "none made". */
static void store_csum(uint8_t *l4, uint8_t proto, uint64_t sum)
{
	uint16_t c = csum_fold(sum);

	if (c == 0 && proto == IPPROTO_UDP)
		c = 0xffff;
	memcpy(l4 + csum_field(proto), &c, 2);
}

/* One more piece behind @off bytes that were summed before. */
static uint64_t sum_piece(uint64_t sum, uint32_t off, const void *p, size_t len)
{
	return off & 1 ? csum_add_odd(sum, p, len) : csum_add(sum, p, len);
}

void offload_csum(struct pkt *p)
{
	uint8_t *l4 = pkt_head(p) + p->l4_off;
	uint32_t off = pkt_head_len(p) - p->l4_off;
	uint8_t proto = l4_proto(pkt_head(p), pkt_head_len(p));
	uint64_t sum;

	if (p->csum != CSUM_PARTIAL)
		return;
	ASSERT(csum_field(proto) && off >= csum_field(proto) + 2);
	sum = csum_add(0, l4, off);
	for (unsigned i = 0; i < p->num_v; i++) {
		sum = sum_piece(sum, off, p->v[i].p, p->v[i].len);
		off += p->v[i].len;
	}
	store_csum(l4, proto, sum);
	p->csum = CSUM_NONE;
}

void offload_csum_frame(struct frame *f)
{
	uint8_t proto = f->len ? l4_proto(f->data, f->len) : IPPROTO_NONE;
	unsigned field = csum_field(proto);

	if (f->csum != CSUM_PARTIAL)
		return;
	if (!field || f->l4_off + field + 2 > f->len) {
		f->csum = CSUM_NONE; /* whoever parses it will say why */
		return;
	}
	store_csum(f->data + f->l4_off, proto,
		   csum_add(0, f->data + f->l4_off, f->len - f->l4_off));
	f->csum = CSUM_VALID;
}

/* --- segments --- */

static uint8_t view_proto(const struct offload_view *w)
{
	if (w->gso == GSO_TCP4 || w->gso == GSO_TCP6)
		return IPPROTO_TCP;
	if (w->gso == GSO_UDP)
		return IPPROTO_UDP;
	return l4_proto(w->hdr, w->hdr_len);
}

static uint64_t pseudo(const uint8_t *ip, uint8_t proto, uint32_t len)
{
	struct ip_addr src, dst;

	if (is_ip4(ip)) {
		src = ip_addr_v4(ip + 12);
		dst = ip_addr_v4(ip + 16);
	} else {
		src = ip_addr_v6(ip + 8);
		dst = ip_addr_v6(ip + 24);
	}
	return csum_pseudo(&src, &dst, proto, len);
}

static void patch_l3(uint8_t *ip, uint16_t l4_off, unsigned i, uint32_t len)
{
	uint16_t c;

	if (!is_ip4(ip)) {
		put_be16(ip + 4, (uint16_t)(len - IP6_HLEN));
		return;
	}
	put_be16(ip + 2, (uint16_t)len);
	put_be16(ip + 4, (uint16_t)(get_be16(ip + 4) + i));
	put_be16(ip + 10, 0);
	c = csum_fold(csum_add(0, ip, l4_off));
	memcpy(ip + 10, &c, 2);
}

static void patch_tcp(uint8_t *tcp, uint32_t seq_off, bool is_first,
		      bool is_last)
{
	put_be32(tcp + TCP_OFF_SEQ, get_be32(tcp + TCP_OFF_SEQ) + seq_off);
	if (!is_last)
		tcp[TCP_OFF_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!is_first)
		tcp[TCP_OFF_FLAGS] &= (uint8_t)~TCP_CWR;
}

/* Which bytes of the payload segment @i has. */
static uint32_t piece(const struct offload_view *w, unsigned i, uint32_t *off)
{
	*off = w->gso ? i * (uint32_t)w->gso_size : 0;
	if (*off > w->payload_len)
		*off = w->payload_len;
	return w->gso ? MIN((uint32_t)w->gso_size, w->payload_len - *off)
		      : w->payload_len;
}

/* Headers of segment @i; @sum: over its payload, which begins at an even
 * offset since L4 headers are even. */
static void emit_headers(const struct offload_view *w, unsigned i, uint64_t sum,
			 uint8_t *out)
{
	uint8_t *l4 = out + w->l4_off, proto = view_proto(w);
	uint32_t off, len = piece(w, i, &off), l4_len;

	memcpy(out, w->hdr, w->hdr_len);
	if (!w->gso && w->csum != CSUM_PARTIAL)
		return;
	l4_len = w->hdr_len - w->l4_off + len;
	if (w->gso) {
		patch_l3(out, w->l4_off, i, w->hdr_len + len);
		if (proto == IPPROTO_TCP)
			patch_tcp(l4, off, i == 0, off + len == w->payload_len);
		else
			put_be16(l4 + UDP_OFF_LEN, (uint16_t)l4_len);
	}
	memset(l4 + csum_field(proto), 0, 2);
	sum = csum_add(sum, l4, w->hdr_len - w->l4_off);
	/* sums are added as the words that they are made of */
	uint64_t more = pseudo(out, proto, l4_len);

	store_csum(l4, proto, csum_add(sum, &more, sizeof(more)));
}

/* The pieces of @v that hold @len bytes from @off, in @out. */
static unsigned slice(const struct iovec *v, unsigned num, uint32_t off,
		      uint32_t len, struct iovec *out, unsigned room)
{
	unsigned n = 0;

	for (unsigned k = 0; k < num && len; k++) {
		uint32_t have = (uint32_t)v[k].iov_len;

		if (off >= have) {
			off -= have;
			continue;
		}
		ASSERT(n < room);
		have = MIN(have - off, len);
		out[n].iov_base = (uint8_t *)v[k].iov_base + off;
		out[n++].iov_len = have;
		len -= have;
		off = 0;
	}
	return n;
}

unsigned offload_segment(const struct offload_view *w, unsigned i,
			 uint8_t *hdr_out, struct iovec *v_out, unsigned room)
{
	uint32_t off, len = piece(w, i, &off), at = 0;
	unsigned n = slice(w->v, w->num_v, off, len, v_out, room);
	uint64_t sum = 0;

	if (w->gso || w->csum == CSUM_PARTIAL)
		for (unsigned k = 0; k < n; k++) {
			sum = sum_piece(sum, at, v_out[k].iov_base,
					v_out[k].iov_len);
			at += (uint32_t)v_out[k].iov_len;
		}
	emit_headers(w, i, sum, hdr_out);
	return n;
}

/* --- cutting a packet that goes out --- */

/* Refers to @len bytes of @p's payload from @off. */
static void refer(struct pkt *q, const struct pkt *p, uint32_t off,
		  uint32_t len)
{
	for (unsigned k = 0; k < p->num_v && len; k++) {
		const struct pkt_ref *r = &p->v[k];
		uint32_t n;

		if (off >= r->len) {
			off -= r->len;
			continue;
		}
		n = MIN(r->len - off, len);
		/* cannot be full: not more pieces than @p has */
		pkt_add(q, r->b, r->p + off, n);
		len -= n;
		off = 0;
	}
}

static struct pkt *cut_one(struct arena *a, struct pkt *p,
			   const struct offload_view *w, unsigned i)
{
	struct pkt *q = pkt_new(a);
	uint32_t off, len = piece(w, i, &off);
	uint8_t *hdr;

	if (!q)
		return NULL;
	hdr = pkt_push(q, w->hdr_len);
	refer(q, p, off, len);
	emit_headers(w, i, pkt_payload_csum(q, 0), hdr);
	q->at = p->at;
	q->link = p->link;
	q->l4_off = p->l4_off;
	q->hdr_len = p->hdr_len;
	return q;
}

int offload_cut(struct arena *a, struct pkt *p, struct list *out)
{
	struct offload_view w = {
		.hdr = pkt_head(p),
		.l4_off = p->l4_off,
		.hdr_len = p->hdr_len,
		.gso_size = p->gso_size,
		.gso = p->gso,
		.csum = p->csum,
		.payload_len = p->len - p->hdr_len,
	};
	unsigned num;

	ASSERT(p->gso && p->gso_size && p->hdr_len == pkt_head_len(p));
	num = MAX(1u, DIV_ROUND_UP(w.payload_len, p->gso_size));
	for (unsigned i = 0; i < num; i++) {
		struct pkt *q = cut_one(a, p, &w, i);

		if (!q) {
			pkt_free(a, p);
			return -ENOMEM;
		}
		if (i == num - 1) { /* all have left when the last has */
			q->cookie = p->cookie;
			q->charge = p->charge;
			q->stamp = p->stamp;
			q->stamp_id = p->stamp_id;
		}
		list_push(out, &q->node);
	}
	pkt_free(a, p);
	return 0;
}

/* --- cutting a frame that came in --- */

/* A device need not say how long the headers are, or may guess. */
static bool find_headers(const struct frame *f, struct offload_view *w)
{
	struct ip6_chain c;
	uint32_t l4, len;

	if (f->len < IP4_HLEN)
		return false;
	if (is_ip4(f->data)) {
		l4 = (f->data[0] & 15u) * 4;
		if (l4 < IP4_HLEN)
			return false;
	} else {
		if (ip6_walk(&c, f->data, f->len))
			return false;
		l4 = c.off;
	}
	if (f->gso == GSO_UDP) {
		len = UDP_HLEN;
	} else {
		if (f->len < l4 + TCP_HLEN)
			return false;
		len = (f->data[l4 + TCP_OFF_HLEN] >> 4) * 4u;
		if (len < TCP_HLEN)
			return false;
	}
	if (f->len < l4 + len)
		return false;
	w->l4_off = (uint16_t)l4;
	w->hdr_len = (uint16_t)(l4 + len);
	return true;
}

unsigned offload_frame_view(const struct frame *f, struct offload_view *w,
			    struct iovec *payload)
{
	*w = (struct offload_view){.hdr = f->data,
				   .gso_size = f->gso_size,
				   .gso = f->gso,
				   .csum = f->csum,
				   .flags = f->flags,
				   .v = payload,
				   .num_v = 1};
	if (!f->gso || !f->gso_size || !find_headers(f, w))
		return 0;
	w->payload_len = f->len - w->hdr_len;
	payload->iov_base = f->data + w->hdr_len;
	payload->iov_len = w->payload_len;
	w->gso_segs = (uint16_t)MAX(
		1u, DIV_ROUND_UP(w->payload_len, (uint32_t)f->gso_size));
	return w->gso_segs;
}

struct frame *offload_frame_segment(struct arena *a, const struct frame *f,
				    const struct offload_view *w, unsigned i)
{
	uint32_t off, len = piece(w, i, &off);
	struct frame *s = frame_new(a, w->hdr_len + len);
	struct iovec v;
	unsigned n;

	if (!s)
		return NULL;
	n = offload_segment(w, i, s->data, &v, 1);
	if (n)
		memcpy(s->data + w->hdr_len, v.iov_base, v.iov_len);
	s->len = w->hdr_len + len;
	s->at = f->at;
	s->link = f->link;
	s->flags = f->flags & FRAME_F_LOOP;
	s->l4_off = w->l4_off;
	s->hdr_len = w->hdr_len;
	s->csum = CSUM_VALID; /* made by us, just now */
	return s;
}
