/* SPDX-License-Identifier: MIT
 *
 * tcp_sack.c - the scoreboard (RFC 2018, 6675), and the blocks that we send
 *
 * Sender: SACK blocks become bits of transmit records. Blocks mostly continue
 * where the last ones ended, so a scan starts at the nearer of the hint and the
 * head. A segment is lost when three segments above it are sacked; what has
 * been judged is not looked at again.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define MAX_RTX_SCAN 64 /* records looked at for lost resends, a call */

/* --- sender --- */

static struct tcp_rec *scan_start(const struct tcp_conn *c, uint32_t seq)
{
	struct tcp_rec *r = c->hint_sack;

	if (!r)
		r = list_first(&c->recs, struct tcp_rec, node);
	while (r && seq_gt(r->seq, seq)) {
		struct tcp_rec *o = rec_prev(c, r);

		if (!o)
			break;
		r = o;
	}
	return r;
}

uint64_t tcp_rec_covered(const struct tcp_rec *r, uint32_t start, uint32_t end)
{
	uint32_t first = 0, last = r->num_segs;

	if (seq_geq(end, rec_end(r)))
		end = rec_end(r);
	else
		last = seq_gt(end, r->seq) ? (end - r->seq) / r->mss : 0;
	if (seq_gt(start, r->seq))
		first = DIV_ROUND_UP(start - r->seq, r->mss);
	if (first >= last)
		return 0;
	return (last >= 64 ? ~0ull : (1ull << last) - 1) &
	       ~((1ull << first) - 1);
}

void tcp_sack_note(struct tcp_conn *c, struct tcp_acked *a,
		   const struct tcp_rec *r, uint32_t end)
{
	a->newest_at = MAX(a->newest_at, r->last_at);
	tcp_rack_note(c, a, r, end);
	if (r->num_tx == 1) {
		a->rtt_at = MAX(a->rtt_at, r->first_at);
		if (seq_leq(end, c->high_seq))
			a->orig = true;
	}
	/* a SYN is no sample of the rate, as in Linux */
	if (r->flags & TCP_SYN ||
	    (a->has_rate && r->delivered < a->rate_delivered))
		return;
	a->has_rate = true;
	a->app_limited = r->app_limited;
	a->rate_delivered = r->delivered;
	a->rate_in_flight = r->tx_in_flight;
	a->rate_lost = r->lost_before;
	a->rate_at = r->delivered_at;
	a->rate_tx_at = r->first_tx_at;
	a->sent_at = r->last_at;
}

/* Linux's tcp_check_sack_reordering(): how many segments lie between. */
void tcp_sack_reordered(struct tcp_conn *c, uint32_t low, bool by_time)
{
	uint32_t high = c->sacked_out ? c->high_sacked : c->snd_una;
	uint32_t mss = c->mss_cache, dist;

	if (!seq_lt(low, high))
		return;
	dist = DIV_ROUND_UP(high - low, mss);
	if (dist > c->reordering)
		c->reordering =
			MIN(dist, (uint32_t)tcp_sysctl(c)->tcp_max_reordering);
	c->rack.reord_seen++;
	stat_inc(c->t->core,
		 by_time ? STAT_TcpExtTCPTSReorder : STAT_TcpExtTCPSACKReorder);
}

/* @low was sent once and is delivered only now. */
void tcp_sack_note_order(struct tcp_acked *a, uint32_t low)
{
	if (!seq_lt(low, a->prior_high_sacked) ||
	    (a->has_reord && seq_geq(low, a->reord)))
		return;
	a->reord = low;
	a->has_reord = true;
}

static void sack_rec(struct tcp_conn *c, struct tcp_rec *r, uint64_t mask,
		     struct tcp_acked *a)
{
	uint32_t n;

	mask &= ~r->sacked;
	if (!mask)
		return;
	tcp_sack_note(c, a, r,
		      seq_min(rec_end(r),
			      r->seq + (64u - (uint32_t)__builtin_clzll(mask)) *
					       r->mss));
	if (r->num_tx == 1)
		tcp_sack_note_order(
			a, r->seq + (uint32_t)__builtin_ctzll(mask) * r->mss);
	n = rec_count(mask);
	c->lost_out -= rec_count(r->lost & mask);
	r->lost &= ~mask;
	r->sacked |= mask;
	c->sacked_out += n;
	if (r->is_rtx)
		c->retrans_out -= n;
	a->sacked += n;
	if (r->sacked == rec_all(r)) {
		list_remove(&r->sent); /* it can't be overtaken any more */
		if (r->is_rtx)
			r->is_rtx = false;
	}
}

static void sack_block(struct tcp_conn *c, uint32_t start, uint32_t end,
		       struct tcp_acked *a)
{
	struct tcp_rec *r = scan_start(c, start), *last = NULL;

	while (r && seq_lt(r->seq, end)) {
		struct tcp_rec *next = rec_next(c, r);

		sack_rec(c, r, tcp_rec_covered(r, start, end), a);
		last = r;
		r = next;
	}
	if (last) {
		c->hint_sack = last;
		if (last->sacked == rec_all(last))
			tcp_rec_merge(c, last);
	}
	if (seq_gt(end, c->high_sacked) || !c->sacked_out)
		c->high_sacked = end;
}

static bool block_is_dsack(const struct tcp_conn *c, const struct tcp_seg *s)
{
	const struct tcp_sack_block *b = s->r.sack;

	/* RFC 2883 4: below the ACK, or inside the second block */
	if (seq_lt(b[0].start, s->r.ack))
		return true;
	return s->r.num_sack > 1 && seq_leq(b[0].end, b[1].end) &&
	       seq_geq(b[0].start, b[1].start);
}

static bool was_seen(const struct tcp_conn *c, const struct tcp_sack_block *b)
{
	for (unsigned i = 0; i < c->num_sack_seen; i++)
		if (c->sack_seen[i].start == b->start &&
		    c->sack_seen[i].end == b->end)
			return true;
	return false;
}

static bool block_is_sane(const struct tcp_conn *c,
			  const struct tcp_sack_block *b)
{
	return seq_lt(b->start, b->end) && seq_leq(b->end, c->snd_nxt) &&
	       seq_gt(b->end, c->snd_una);
}

/* RFC 2883, 3708: a copy too many came. Was it one of ours? */
static void take_dsack(struct tcp_conn *c, const struct tcp_sack_block *b,
		       struct tcp_acked *a)
{
	uint32_t len = b->end - b->start,
		 dups = DIV_ROUND_UP(len, c->mss_cache);

	stat_inc(c->t->core, seq_lt(b->start, a->s->r.ack)
				     ? STAT_TcpExtTCPDSACKRecv
				     : STAT_TcpExtTCPDSACKOfoRecv);
	tcp_count_dsack(c, b);
	if (!len || len > c->max_window) {
		stat_inc(c->t->core, STAT_TcpExtTCPDSACKIgnoredDubious);
		return;
	}
	a->is_dsack = true;
	if (c->tlp_out && c->tlp_is_rtx && b->end == c->tlp_high_seq)
		a->tlp_dsack = true;
	c->dsack_dups += dups;
	/* more copies than we ever sent again: the network makes them */
	if (c->dsack_dups > c->total_retrans) {
		stat_inc(c->t->core, STAT_TcpExtTCPDSACKIgnoredDubious);
		return;
	}
	stat_add(c->t->core, STAT_TcpExtTCPDSACKRecvSegs, dups);
	if (!a->tlp_dsack)
		c->rack.dsack_seen = true;
	tcp_undo_dsack(c, b->end, dups);
}

void tcp_sack_in(struct tcp_conn *c, const struct tcp_seg *s,
		 struct tcp_acked *a)
{
	unsigned i = 0;

	if (!s->r.num_sack) {
		c->num_sack_seen = 0;
		return;
	}
	if (block_is_dsack(c, s)) {
		take_dsack(c, &s->r.sack[0], a);
		i = 1;
	}
	for (unsigned k = i; k < s->r.num_sack; k++) {
		const struct tcp_sack_block *b = &s->r.sack[k];

		if (!block_is_sane(c, b)) {
			/* an ACK that was overtaken has such, too */
			if (s->r.ack == c->snd_una ||
			    seq_gt(b->end, c->snd_una))
				stat_inc(c->t->core, STAT_TcpExtTCPSACKDiscard);
		} else if (!was_seen(c, b))
			sack_block(c, seq_max(b->start, c->snd_una), b->end, a);
	}
	c->num_sack_seen = 0;
	for (unsigned k = i; k < s->r.num_sack; k++)
		c->sack_seen[c->num_sack_seen++] = s->r.sack[k];
}

/* Segments of @r above which @above or more are sacked, going down; updates
 * @above. Everything below the first such is judged. */
static bool find_mark(const struct tcp_rec *r, uint32_t *above, uint32_t *mark)
{
	uint64_t m = r->sacked;

	while (m) {
		unsigned top = 63u - (unsigned)__builtin_clzll(m);

		if (++*above == TCP_DUP_THRESH) {
			*mark = r->seq + top * r->mss;
			return true;
		}
		m &= ~(1ull << top);
	}
	return false;
}

/* Below which sequence number DupThresh segments are sacked above. */
static bool lost_mark(const struct tcp_conn *c, uint32_t *mark)
{
	struct tcp_rec *r = c->hint_sack, *n;
	uint32_t above = 0;

	if (!r)
		r = list_last(&c->recs, struct tcp_rec, node);
	if (!r)
		return false;
	/* up to the record with the highest sacked segment */
	while ((n = rec_next(c, r)) && seq_lt(n->seq, c->high_sacked))
		r = n;
	for (; r; r = rec_prev(c, r))
		if (find_mark(r, &above, mark))
			return true;
	return false;
}

void tcp_sack_mark_lost(struct tcp_conn *c)
{
	uint32_t mark;
	struct tcp_rec *r;

	if (c->sacked_out < TCP_DUP_THRESH || !lost_mark(c, &mark))
		return;
	r = c->hint_lost;
	if (!r)
		r = list_first(&c->recs, struct tcp_rec, node);
	for (; r && seq_lt(r->seq, mark); r = rec_next(c, r)) {
		/* what was sent again is judged by time, below */
		if (r->num_tx == 1)
			tcp_rec_set_lost(c, r,
					 tcp_rec_covered(r, r->seq, mark));
		c->hint_lost = r; /* may be judged in part only */
	}
}

/* A resend is lost when something sent well after it has arrived: a quarter of
 * a round trip allows for reordering (RFC 8985 6.2 step 4 bounds it so). */
void tcp_sack_mark_rtx_lost(struct tcp_conn *c)
{
	struct list *p, *tmp;
	int scanned = 0;

	if (!c->retrans_out)
		return;
	list_for_each_safe (p, tmp, &c->sent) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, sent);

		if (r->last_at + c->min_rtt / 4 >= c->newest_at ||
		    ++scanned > MAX_RTX_SCAN)
			break;
		if (!r->is_rtx)
			continue;
		tcp_rec_lost_again(c, r);
		tcp_rec_set_lost(c, r, rec_all(r));
		if (!c->hint_rtx || seq_lt(r->seq, c->hint_rtx->seq))
			c->hint_rtx = r;
	}
}

void tcp_sack_forget(struct tcp_conn *c)
{
	struct list *p;

	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		if (r->sacked && r->is_rtx)
			c->retrans_out += rec_count(r->sacked);
		r->sacked = 0;
		if (list_empty(&r->sent))
			list_push(&c->sent, &r->sent);
	}
	c->sacked_out = 0;
	c->num_sack_seen = 0;
	c->hint_sack = c->hint_lost = NULL;
	c->high_sacked = c->snd_una;
}

/* --- receiver: what we tell --- */

void tcp_dsack_set(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	if (!c->sack_ok || !tcp_sysctl(c)->tcp_dsack)
		return;
	c->has_dsack = true;
	c->dsack = (struct tcp_sack_block){start, end};
	stat_inc(c->t->core, seq_lt(start, c->rcv_nxt)
				     ? STAT_TcpExtTCPDSACKOldSent
				     : STAT_TcpExtTCPDSACKOfoSent);
}

void tcp_dsack_extend(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	if (c->has_dsack && seq_leq(start, c->dsack.end) &&
	    seq_geq(end, c->dsack.start)) {
		c->dsack.start = seq_min(start, c->dsack.start);
		c->dsack.end = seq_max(end, c->dsack.end);
		return;
	}
	if (!c->has_dsack)
		tcp_dsack_set(c, start, end);
}

unsigned tcp_sack_blocks(const struct tcp_conn *c, struct tcp_sack_block *b,
			 unsigned max)
{
	unsigned n = 0;

	if (!c->sack_ok)
		return 0;
	if (c->has_dsack && n < max)
		b[n++] = c->dsack;
	for (unsigned i = 0; i < c->num_sacks && n < max; i++)
		b[n++] = c->sacks[i];
	return n;
}

/* The block that holds the newest segment goes first (RFC 2018 4). */
void tcp_sacks_add(struct tcp_conn *c, uint32_t start, uint32_t end)
{
	struct tcp_sack_block b = {start, end};
	unsigned n = 0;

	for (unsigned i = 0; i < c->num_sacks; i++) {
		struct tcp_sack_block *o = &c->sacks[i];

		if (seq_leq(o->start, b.end) && seq_geq(o->end, b.start)) {
			b.start = seq_min(b.start, o->start);
			b.end = seq_max(b.end, o->end);
		} else {
			c->sacks[n++] = *o;
		}
	}
	n = MIN(n, (unsigned)TCP_MAX_SACK - 1);
	memmove(&c->sacks[1], &c->sacks[0], n * sizeof(b));
	c->sacks[0] = b;
	c->num_sacks = (uint8_t)(n + 1);
}

void tcp_sacks_below(struct tcp_conn *c, uint32_t seq)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->num_sacks; i++)
		if (seq_gt(c->sacks[i].end, seq))
			c->sacks[n++] = c->sacks[i];
	c->num_sacks = (uint8_t)n;
}
