/* SPDX-License-Identifier: MIT
 *
 * tcp_rec.c - transmit records: what is in flight, a frame at a time
 *
 * A record stands for one frame, up to 64 segments, with a bit for each that
 * the peer holds (sacked) or that is thought lost. Frames are rebuilt from it.
 * It is cut where a part is sent again, since that part then has times of its
 * own; neighbours that are wholly sacked are joined, so an attacker cannot make
 * the list long.
 *
 * Counts in segments: packets_out of all records, sacked_out, lost_out, and
 * retrans_out of those sent again that are not sacked.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

struct tcp_rec *tcp_rec_new(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *r = arena_zalloc(tcp_arena(c), sizeof(*r));

	if (!r)
		return NULL;
	list_init(&r->node);
	list_init(&r->sent);
	return r;
}

void tcp_rec_sent(struct tcp_conn *c, struct tcp_rec *r, bool again, nsec now)
{
	r->last_at = now;
	if (!again)
		r->first_at = now;
	if (r->num_tx < UINT8_MAX)
		r->num_tx++;
	list_remove(&r->sent);
	list_push(&c->sent, &r->sent);
	tcp_rate_sent(c, r, now);
}

/* A place that a scan stopped at must not outlive its record. */
static void move_hints(struct tcp_conn *c, const struct tcp_rec *r,
		       struct tcp_rec *to)
{
	if (c->hint_sack == r)
		c->hint_sack = to;
	if (c->hint_lost == r)
		c->hint_lost = to;
	if (c->hint_rtx == r)
		c->hint_rtx = to;
}

void tcp_rec_clear_rtx(struct tcp_conn *c, struct tcp_rec *r)
{
	if (r->is_rtx)
		c->retrans_out -= r->num_segs - rec_count(r->sacked);
	r->is_rtx = false;
}

void tcp_rec_lost_again(struct tcp_conn *c, struct tcp_rec *r)
{
	if (r->is_rtx)
		stat_add(c->t->core, STAT_TcpExtTCPLostRetransmit,
			 r->num_segs - rec_count(r->sacked));
	tcp_rec_clear_rtx(c, r);
}

void tcp_rec_free(struct tcp_conn *c, struct tcp_rec *r)
{
	tcp_rec_clear_rtx(c, r);
	c->packets_out -= r->num_segs;
	c->lost_out -= rec_count(r->lost);
	if (c->sack_ok)
		c->sacked_out -= rec_count(r->sacked);
	move_hints(c, r, rec_next(c, r));
	list_remove(&r->node);
	list_remove(&r->sent);
	c->num_recs--;
	arena_free(tcp_arena(c), r);
}

void tcp_recs_free(struct tcp_conn *c)
{
	while (!list_empty(&c->recs))
		tcp_rec_free(c, list_first(&c->recs, struct tcp_rec, node));
	if (!c->sack_ok)
		c->sacked_out = 0;
}

static void move_slice(const struct tcp_conn *c, struct tcp_rec *r)
{
	while (r->sl && r->len && !seq_in(r->seq, r->sl->seq, r->sl->len))
		r->sl = tcp_slice_next(c, r->sl);
}

struct tcp_rec *tcp_rec_split(struct tcp_conn *c, struct tcp_rec *r,
			      uint32_t seq)
{
	unsigned first = (seq - r->seq) / r->mss;
	struct tcp_rec *n;

	ASSERT(first > 0 && first < r->num_segs);
	ASSERT((seq - r->seq) % r->mss == 0);
	n = arena_alloc(tcp_arena(c), sizeof(*n));
	if (!n)
		return NULL;
	*n = *r;
	list_insert(&n->node, &r->node, r->node.next);
	list_init(&n->sent);
	if (!list_empty(&r->sent))
		list_insert(&n->sent, &r->sent, r->sent.next);
	c->num_recs++;
	n->seq = seq;
	n->len = r->len - (seq - r->seq);
	n->cut = 0;
	n->num_segs = (uint8_t)(r->num_segs - first);
	n->sacked = r->sacked >> first;
	n->lost = r->lost >> first;
	move_slice(c, n);
	r->len = seq - r->seq;
	r->num_segs = (uint8_t)first;
	r->sacked &= rec_all(r);
	r->lost &= rec_all(r);
	r->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	return n;
}

static bool can_join(const struct tcp_rec *a, const struct tcp_rec *b)
{
	return a->sacked == rec_all(a) && b->sacked == rec_all(b) &&
	       a->mss == b->mss && a->len == (uint32_t)a->num_segs * a->mss &&
	       a->num_segs + b->num_segs <= (int)TCP_MAX_SEGS &&
	       !((a->flags | b->flags) & (TCP_SYN | TCP_FIN));
}

/* @b goes into @a, the one before it. */
static void join(struct tcp_conn *c, struct tcp_rec *a, struct tcp_rec *b)
{
	a->len += b->len;
	a->num_segs = (uint8_t)(a->num_segs + b->num_segs);
	a->sacked = rec_all(a);
	a->num_tx = MAX(a->num_tx, b->num_tx);
	a->last_at = MAX(a->last_at, b->last_at);
	a->flags |= b->flags;
	move_hints(c, b, a);
	list_remove(&b->node);
	list_remove(&b->sent);
	c->num_recs--;
	arena_free(tcp_arena(c), b);
}

void tcp_rec_merge(struct tcp_conn *c, struct tcp_rec *r)
{
	struct tcp_rec *o = rec_prev(c, r);

	if (o && can_join(o, r)) {
		join(c, o, r);
		r = o;
	}
	o = rec_next(c, r);
	if (o && can_join(r, o))
		join(c, r, o);
}

/* The first @gone bytes of a segment are acknowledged: what is left of it gets
 * a record of its own, so that the others keep their grid. */
static void trim_inside(struct tcp_conn *c, struct tcp_rec *r, uint32_t gone)
{
	if (r->num_segs == 1) {
		r->cut = (uint16_t)(r->cut + gone);
	} else if (!tcp_rec_split(c, r, r->seq + r->mss)) {
		uint32_t segs = DIV_ROUND_UP(r->len - gone, r->mss);

		/* no memory: forget what was known of its segments */
		tcp_rec_clear_rtx(c, r);
		if (c->sack_ok)
			c->sacked_out -= rec_count(r->sacked);
		c->lost_out -= rec_count(r->lost);
		r->sacked = r->lost = 0;
		c->packets_out -= r->num_segs - segs;
		r->num_segs = (uint8_t)segs;
	}
	r->seq += gone;
	r->len -= gone;
}

uint32_t tcp_rec_trim(struct tcp_conn *c, struct tcp_rec *r, uint32_t una)
{
	uint32_t gone = una - r->seq, segs, sacked, lost;

	if (r->flags & TCP_SYN) {
		/* our SYN is acknowledged, the data in it is not */
		r->flags &= (uint8_t)~TCP_SYN;
		r->seq++;
		gone--;
	}
	segs = gone / r->mss;
	if (segs) {
		uint64_t head = (1ull << segs) - 1;

		sacked = rec_count(r->sacked & head);
		lost = rec_count(r->lost & head);
		if (r->is_rtx)
			c->retrans_out -= segs - sacked;
		if (c->sack_ok)
			c->sacked_out -= sacked;
		c->lost_out -= lost;
		c->packets_out -= segs;
		r->sacked >>= segs;
		r->lost >>= segs;
		r->num_segs = (uint8_t)(r->num_segs - segs);
	}
	r->seq += segs * r->mss;
	r->len -= segs * r->mss;
	gone -= segs * r->mss;
	if (gone)
		trim_inside(c, r, gone);
	move_slice(c, r);
	return segs;
}

void tcp_rec_set_lost(struct tcp_conn *c, struct tcp_rec *r, uint64_t mask)
{
	mask &= ~(r->sacked | r->lost);
	if (!mask)
		return;
	r->lost |= mask;
	c->lost_out += rec_count(mask);
	c->lost += rec_count(mask);
	/* everything before the hint is out again already */
	if (!c->hint_rtx || seq_lt(r->seq, c->hint_rtx->seq))
		c->hint_rtx = r;
	tcp_cc_lost(c, r, rec_count(mask));
}

/* Only for a record that is going to be sent again: nothing of it is sacked. */
void tcp_rec_resegment(struct tcp_conn *c, struct tcp_rec *r, uint16_t mss)
{
	uint32_t segs = MAX(DIV_ROUND_UP(r->len, mss), 1u);
	bool lost = r->lost != 0;

	ASSERT(!r->sacked && segs <= TCP_MAX_SEGS);
	tcp_rec_clear_rtx(c, r);
	c->packets_out += segs - r->num_segs;
	c->lost_out -= rec_count(r->lost);
	r->num_segs = (uint8_t)segs;
	r->mss = mss;
	r->lost = lost ? rec_all(r) : 0;
	c->lost_out += rec_count(r->lost);
}
