/* SPDX-License-Identifier: MIT */
#include "base/pkt.h"

#include <errno.h>
#include <string.h>

#include "base/csum.h"
#include "base/util.h"

struct pkt *pkt_new(struct arena *a)
{
	struct pkt *p = arena_alloc(a, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, offsetof(struct pkt, v));
	list_init(&p->node);
	p->head = PKT_ROOM;
	return p;
}

void pkt_free(struct arena *a, struct pkt *p)
{
	for (unsigned i = 0; i < p->num_v; i++)
		buf_put(a, p->v[i].b);
	arena_free(a, p);
}

struct pkt *pkt_clone(struct arena *a, const struct pkt *p)
{
	struct pkt *q = arena_alloc(a, sizeof(*q));

	if (!q)
		return NULL;
	*q = *p;
	list_init(&q->node);
	q->cookie = 0;
	q->charge = 0;
	q->stamp = 0;
	for (unsigned i = 0; i < q->num_v; i++)
		buf_get(q->v[i].b);
	return q;
}

void *pkt_push(struct pkt *p, uint32_t len)
{
	if (len > p->head)
		return NULL;
	p->head = (uint16_t)(p->head - len);
	p->len += len;
	return p->room + p->head;
}

int pkt_add(struct pkt *p, struct buf *b, uint8_t *data, uint32_t len)
{
	struct pkt_ref *last = p->num_v ? &p->v[p->num_v - 1] : NULL;

	if (last && last->b == b && last->p + last->len == data) {
		last->len += len;
		p->len += len;
		return 0;
	}
	if (p->num_v == PKT_MAX_V)
		return -ENOBUFS;
	p->v[p->num_v++] = (struct pkt_ref){buf_get(b), data, len};
	p->len += len;
	return 0;
}

uint64_t pkt_payload_csum(const struct pkt *p, uint64_t sum)
{
	uint32_t off = 0;

	for (unsigned i = 0; i < p->num_v; i++) {
		const struct pkt_ref *r = &p->v[i];

		if (off & 1)
			sum = csum_add_odd(sum, r->p, r->len);
		else
			sum = csum_add(sum, r->p, r->len);
		off += r->len;
	}
	return sum;
}

void pkt_copy_out(const struct pkt *p, uint8_t *out)
{
	memcpy(out, p->room + p->head, pkt_head_len(p));
	out += pkt_head_len(p);
	for (unsigned i = 0; i < p->num_v; i++) {
		memcpy(out, p->v[i].p, p->v[i].len);
		out += p->v[i].len;
	}
}
