/* SPDX-License-Identifier: MIT
 *
 * tcp_stamp.c - when the bytes of a send left, and when they were acknowledged
 *
 * SO_TIMESTAMPING of a stream: what a send asks for is asked of its last byte,
 * and a mark keeps where that is. The packet that carries it first tells when
 * it was queued and when the device had it; the mark goes with the ACK. As in
 * Linux, where bytes of several sends wait in one skb, the last of those that
 * have not yet been sent is the one that is heard of.
 */
#include <linux/net_tstamp.h>
#include <time.h>

#include <linux/errqueue.h>

#include "base/util.h"
#include "transport/errq.h"
#include "transport/tcp_conn.h"

#define WANTED                                                      \
	(SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | \
	 SOF_TIMESTAMPING_TX_ACK)

static struct tcp_mark *mark_of(struct list *n)
{
	return list_entry(n, struct tcp_mark, node);
}

void tcp_marks_free(struct tcp_conn *c)
{
	struct list *n;

	while ((n = list_pop(&c->marks)))
		arena_free(tcp_arena(c), mark_of(n));
}

void tcp_mark_add(struct tcp_conn *c, uint32_t stamp)
{
	struct tcp_mark *m = list_last(&c->marks, struct tcp_mark, node);

	if (!(stamp & WANTED))
		return;
	if (!m || seq_leq(m->end, c->snd_nxt)) {
		m = arena_alloc(tcp_arena(c), sizeof(*m));
		if (!m)
			return;
		list_push(&c->marks, &m->node);
	}
	m->end = c->write_seq;
	m->want = stamp & WANTED;
}

void tcp_stamp_end(struct ep *e, uint32_t stamp)
{
	if (e->tcp && seq_gt(e->tcp->write_seq, e->tcp->snd_una))
		tcp_mark_add(e->tcp, stamp);
}

void tcp_mark_pkt(const struct tcp_conn *c, struct pkt *p, uint32_t seq,
		  uint32_t len)
{
	struct list *n;

	list_for_each (n, &c->marks) {
		struct tcp_mark *m = mark_of(n);

		if (!seq_gt(m->end, seq) || seq_gt(m->end, seq + len))
			continue;
		p->cookie = ep_id(c->ep);
		p->stamp = m->want & ~SOF_TIMESTAMPING_TX_ACK;
		p->stamp_id = m->end;
	}
}

static void tell(struct tcp_conn *c, struct tcp_mark *m, uint32_t flag,
		 uint32_t type, const struct pkt *p, nsec now)
{
	if (!(m->want & flag))
		return;
	m->want &= ~flag;
	errq_stamp(c->ep, type, m->end - 1 - c->ep->ts_key, p, now);
}

void tcp_mark_sent(struct ep *e, uint32_t type, const struct pkt *p, nsec now)
{
	uint32_t flag = type == SCM_TSTAMP_SCHED ? SOF_TIMESTAMPING_TX_SCHED
						 : SOF_TIMESTAMPING_TX_SOFTWARE;
	struct list *n;

	if (!e->tcp)
		return;
	list_for_each (n, &e->tcp->marks)
		if (seq_leq(mark_of(n)->end, p->stamp_id))
			tell(e->tcp, mark_of(n), flag, type, p, now);
}

/* The note of an ACK has the bytes alone: those of the slice that ends with
 * the mark's. Called before they go. */
static struct pkt *payload_of(const struct tcp_conn *c,
			      const struct tcp_mark *m)
{
	struct pkt *p;

	if (c->ep->tsflags & SOF_TIMESTAMPING_OPT_TSONLY)
		return NULL;
	for (struct tcp_slice *s =
		     list_first(&c->stream, struct tcp_slice, node);
	     s; s = tcp_slice_next(c, s)) {
		if (!seq_in(m->end - 1, s->seq, s->len))
			continue;
		p = pkt_new(tcp_arena(c));
		if (p && pkt_add(p, &s->c->b, s->p, m->end - s->seq)) {
			pkt_free(tcp_arena(c), p);
			return NULL;
		}
		return p;
	}
	return NULL;
}

/* What is acknowledged has left, also when the device's word is still on its
 * way. */
void tcp_mark_acked(struct tcp_conn *c, nsec now)
{
	struct tcp_mark *m;

	while ((m = list_first(&c->marks, struct tcp_mark, node)) &&
	       seq_leq(m->end, c->snd_una)) {
		struct pkt *p = payload_of(c, m);

		tell(c, m, SOF_TIMESTAMPING_TX_SOFTWARE, SCM_TSTAMP_SND, p,
		     now);
		tell(c, m, SOF_TIMESTAMPING_TX_ACK, SCM_TSTAMP_ACK, p, now);
		if (p)
			pkt_free(tcp_arena(c), p);
		list_remove(&m->node);
		arena_free(tcp_arena(c), m);
	}
}
