/* SPDX-License-Identifier: MIT
 *
 * tcp_ack.c - an acknowledgment: what it frees, and when loss is to be repaired
 *
 * Loss recovery is RFC 6675 with SACK and RFC 6582 without, told in one way:
 * the pipe is what was sent, less what was sacked or lost, plus what was sent
 * again; data goes out while the pipe is below the window. Without SACK each
 * duplicate ACK stands for one segment that has left the network.
 *
 *	OPEN -- SACK or duplicate --> DISORDER -- something is lost --> RECOVERY
 *	  ^---------- high_seq is acknowledged ------------------------'
 *	any -- timeout --> LOSS -- high_seq is acknowledged --> OPEN
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

struct acked {
	uint32_t segs; /* by the cumulative ACK */
	uint32_t bytes;
	bool resent;	/* some of it was sent more than once */
	bool is_dup;	/* without SACK: RFC 5681 2 */
	nsec oldest_at; /* first_at of the oldest that was sent once; 0: none */
	struct tcp_sacked s;
	uint32_t prior_in_flight, prior_packets;
};

/* --- window --- */

/* RFC 9293 3.10.7.4: only a newer segment may move the window. */
static void update_window(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t win = s->r.window;

	if (!(s->r.flags & TCP_SYN))
		win <<= c->snd_wscale;
	if (!(seq_gt(s->r.ack, c->snd_una) || seq_gt(s->seq, c->snd_wl1) ||
	      (s->seq == c->snd_wl1 && win > c->snd_wnd)))
		return;
	c->snd_wl1 = s->seq;
	if (win == c->snd_wnd)
		return;
	c->snd_wnd = win;
	c->max_window = MAX(c->max_window, win);
}

/* --- what is acknowledged --- */

static void clean_records(struct tcp_conn *c, uint32_t ack, struct acked *a)
{
	struct tcp_rec *r;

	while ((r = list_first(&c->recs, struct tcp_rec, node))) {
		uint32_t fresh;

		if (seq_geq(r->seq, ack))
			break;
		fresh = r->num_segs - rec_count(r->sacked);
		if (r->num_tx > 1)
			a->resent = true;
		else if (fresh && !a->oldest_at)
			a->oldest_at = r->first_at;
		if (fresh)
			tcp_sack_note(&a->s, r);
		if (seq_gt(rec_end(r), ack)) {
			uint32_t sacked = rec_count(r->sacked);
			uint32_t n = tcp_rec_trim(c, r, ack);

			a->segs += n;
			sacked -= rec_count(r->sacked);
			c->delivered += n > sacked ? n - sacked : 0;
			break;
		}
		a->segs += r->num_segs;
		c->delivered += fresh;
		tcp_rec_free(c, r);
	}
}

static nsec ts_rtt(const struct tcp_conn *c, const struct tcp_seg *s)
{
	int32_t ms = (int32_t)(tcp_ts_now(c->ts_off, s->now) - s->r.ts_ecr);

	return ms < 0 ? TCP_RTT_NONE : MAX(ms, 1) * MSEC;
}

static void sample_rtt(struct tcp_conn *c, const struct tcp_seg *s,
		       const struct acked *a)
{
	nsec rtt = TCP_RTT_NONE;

	/* a child: its SYN-ACK was timed by the SYN record */
	if (c->state == TCPS_SYN_RCVD && c->is_passive)
		return;
	/* Karn: what was sent again gives no sample, but its timestamp does */
	if (a->oldest_at && !a->resent)
		rtt = s->now - a->oldest_at;
	else if (a->s.rtt_at && !a->resent)
		rtt = s->now - a->s.rtt_at;
	else if (a->bytes && c->ts_ok && s->r.has_ts && s->r.ts_ecr)
		rtt = ts_rtt(c, s);
	tcp_rtt_sample(c, rtt, s->now);
}

static void sample_rate(struct tcp_conn *c, const struct acked *a, nsec now)
{
	nsec snd, rcv;

	if (c->app_limited && c->delivered > c->app_limited)
		c->app_limited = 0;
	if (!a->s.has_rate)
		return;
	c->delivered_at = now;
	c->first_tx_at = a->s.sent_at;
	snd = a->s.sent_at - a->s.prior_tx_at;
	rcv = now - a->s.prior_at;
	c->rate.interval = MAX(snd, rcv);
	c->rate.delivered = (uint32_t)(c->delivered - a->s.prior_delivered);
	c->rate.app_limited = a->s.app_limited;
	if (c->rate.interval < c->min_rtt)
		c->rate.interval = 0;
}

/* --- without SACK: Linux's sacked_out out of duplicate ACKs --- */

static void reno_limit(struct tcp_conn *c)
{
	uint32_t holes = MIN(MAX(c->lost_out, 1u), c->packets_out);

	c->sacked_out = MIN(c->sacked_out, c->packets_out - holes);
}

static void reno_count(struct tcp_conn *c, const struct acked *a)
{
	if (a->is_dup) {
		c->sacked_out++;
		c->delivered++;
	} else if (a->segs) {
		uint32_t gone = a->segs - 1; /* the hole itself was no dup */

		gone = MIN(gone, c->sacked_out);
		c->delivered -= gone; /* its duplicate ACK was counted */
		/* out of recovery a new ACK ends the row of duplicates */
		c->sacked_out = c->ca < CA_RECOVERY ? 0 : c->sacked_out - gone;
	}
	reno_limit(c);
}

/* --- the states of recovery --- */

static void mark_head_lost(struct tcp_conn *c)
{
	struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	if (!r)
		return;
	if (r->lost & 1)
		return;
	tcp_rec_clear_rtx(c, r);
	tcp_rec_set_lost(c, r, 1);
	c->hint_rtx = r;
	if (!c->sack_ok)
		reno_limit(c);
}

static void enter_recovery(struct tcp_conn *c)
{
	stat_inc(c->t->core, c->sack_ok ? STAT_TcpExtTCPSackRecovery
					: STAT_TcpExtTCPRenoRecovery);
	c->cc.ssthresh = cc_ops(&c->cc)->ssthresh(&c->cc);
	c->cc.cwnd = MAX(c->cc.ssthresh, 1u);
	c->cc.cwnd_cnt = 0;
	c->high_seq = c->snd_nxt;
	c->ca = CA_RECOVERY;
	c->must_resend = true;
}

static void leave_recovery(struct tcp_conn *c)
{
	if (c->ca == CA_RECOVERY)
		c->cc.cwnd = MAX(c->cc.ssthresh, 1u);
	if (!c->sack_ok)
		c->sacked_out = 0;
	c->ca = CA_OPEN;
	c->must_resend = false;
}

static bool must_recover(struct tcp_conn *c)
{
	if (c->sack_ok)
		return c->lost_out != 0;
	/* RFC 6582 3.2 step 2: not again for the same window */
	return c->sacked_out >= TCP_DUP_THRESH &&
	       (seq_gt(c->snd_una, c->high_seq) || c->high_seq == c->iss);
}

static void judge_loss(struct tcp_conn *c)
{
	if (!c->sack_ok)
		return;
	tcp_sack_mark_lost(c);
	tcp_sack_mark_rtx_lost(c);
}

/* What an ACK that is duplicate, SACKs or arrives in trouble leads to. */
static void recover(struct tcp_conn *c, const struct acked *a)
{
	if (c->ca >= CA_RECOVERY && seq_geq(c->snd_una, c->high_seq))
		leave_recovery(c);
	judge_loss(c);
	if (c->ca >= CA_RECOVERY) {
		/* RFC 6582 3.2 step 5: a partial ACK shows the next hole */
		if (!c->sack_ok && a->segs) {
			mark_head_lost(c);
			c->must_resend = c->ca == CA_RECOVERY;
		}
		return;
	}
	if (must_recover(c)) {
		enter_recovery(c);
		if (!c->sack_ok)
			mark_head_lost(c);
		return;
	}
	c->ca = c->sacked_out || c->lost_out ? CA_DISORDER : CA_OPEN;
}

void tcp_enter_loss(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *head = list_first(&c->recs, struct tcp_rec, node);
	struct list *p;

	if (c->ca <= CA_DISORDER || seq_leq(c->high_seq, c->snd_una) ||
	    (c->ca == CA_LOSS && !c->retransmits)) {
		c->cc.ssthresh = cc_ops(&c->cc)->ssthresh(&c->cc);
		if (cc_ops(&c->cc)->event)
			cc_ops(&c->cc)->event(&c->cc, CC_TIMEOUT, 0, now);
	}
	/* RFC 2018 8: what was sacked but never acknowledged may be gone */
	if (c->sack_ok && head && head->sacked & 1)
		tcp_sack_forget(c);
	if (!c->sack_ok)
		c->sacked_out = 0;
	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		tcp_rec_clear_rtx(c, r);
		tcp_rec_set_lost(c, r, rec_all(r));
	}
	c->hint_rtx = head;
	c->cc.cwnd = 1; /* RFC 5681 3.1 */
	c->cc.cwnd_cnt = 0;
	c->high_seq = c->snd_nxt;
	c->ca = CA_LOSS;
	c->must_resend = false;
}

/* The path takes less than was sent: what is too large counts as lost, which
 * is no sign of congestion. */
void tcp_simple_retransmit(struct tcp_conn *c, nsec now)
{
	uint32_t mss = tcp_out_mss(c), before = c->lost_out;
	struct list *p;

	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		if (MIN(r->mss, r->len) <= mss)
			continue;
		tcp_rec_clear_rtx(c, r);
		tcp_rec_set_lost(c, r, rec_all(r));
	}
	if (c->lost_out == before)
		return;
	if (!c->sack_ok)
		reno_limit(c);
	c->hint_rtx = list_first(&c->recs, struct tcp_rec, node);
	if (c->ca != CA_LOSS) {
		c->high_seq = c->snd_nxt;
		if (c->ca == CA_OPEN || c->ca == CA_DISORDER)
			c->cc.ssthresh =
				MAX(c->cc.ssthresh, c->cc.cwnd * 3 / 4);
		c->ca = CA_LOSS;
	}
	tcp_out(c, now);
}

/* --- growth --- */

/* RFC 7661's point: a window that was not filled says nothing. */
static bool window_was_used(const struct tcp_conn *c)
{
	if (c->is_cwnd_limited)
		return true;
	return cc_in_slow_start(&c->cc) && c->cc.cwnd < 2 * c->max_packets_out;
}

static void grow_window(struct tcp_conn *c, const struct acked *a, nsec now)
{
	uint32_t n = a->segs;

	if (!n || c->ca == CA_RECOVERY || !window_was_used(c))
		return;
	cc_ops(&c->cc)->grow(&c->cc, n, now);
}

/* --- timers and writers --- */

static void after_progress(struct tcp_conn *c, nsec now)
{
	c->retransmits = 0;
	c->retrans_at = 0;
	if (c->packets_out)
		tcp_timer_rtx_restart(c, now);
	else
		tcp_timer_stop(c, TCP_T_RTX);
	tcp_snd_acked(c);
	if (!c->nospace)
		return;
	if (!c->is_orphan && tcp_in_flight(c) < c->cc.cwnd)
		tcp_sndbuf_grow(c);
	if (tcp_snd_is_writeable(c)) {
		c->nospace = false;
		tcp_ready(c, false, true);
	}
}

/* The peer answered: a probe's backoff starts again (Linux's tcp_ack_probe). */
static void after_probe(struct tcp_conn *c, nsec now)
{
	c->probes_out = c->keep_probes = 0;
	c->probes_at = 0;
	if (c->packets_out || c->at[TCP_T_PROBE] == TIME_NEVER)
		return;
	if (c->snd_nxt != c->snd_una + c->snd_wnd) {
		c->backoff = 0;
		tcp_timer_stop(c, TCP_T_PROBE); /* tcp_out() goes on */
	}
}

static bool is_duplicate(const struct tcp_conn *c, const struct tcp_seg *s,
			 uint32_t old_wnd)
{
	return !c->sack_ok && s->r.ack == c->snd_una && !s->len &&
	       c->packets_out && c->snd_wnd == old_wnd &&
	       !(s->r.flags & (TCP_SYN | TCP_FIN));
}

static void take_ack(struct tcp_conn *c, struct tcp_seg *s, struct acked *a)
{
	uint32_t ack = s->r.ack;

	a->bytes = ack - c->snd_una;
	if (a->bytes) {
		bool urgent = c->snd_up != c->snd_una;

		clean_records(c, ack, a);
		c->snd_una = ack;
		c->bytes_acked += a->bytes;
		if (!urgent || seq_lt(c->snd_up, ack))
			c->snd_up = ack;
	}
}

/* An ACK of data that is acknowledged already: RFC 5961 5.2 bounds how old. */
static bool take_old(struct tcp_conn *c, struct tcp_seg *s)
{
	struct acked a = {.prior_in_flight = tcp_in_flight(c)};

	if (seq_lt(s->r.ack, c->snd_una - c->max_window)) {
		tcp_challenge_ack(c, false, s->now);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	if (c->sack_ok && s->r.num_sack && c->packets_out) {
		tcp_sack_in(c, s, &a.s);
		c->delivered += a.s.segs;
		c->newest_at = MAX(c->newest_at, a.s.newest_at);
		recover(c, &a);
	}
	return true;
}

bool tcp_ack(struct tcp_conn *c, struct tcp_seg *s)
{
	struct acked a = {.prior_in_flight = tcp_in_flight(c),
			  .prior_packets = c->packets_out};
	uint32_t old_wnd = c->snd_wnd;

	if (seq_gt(s->r.ack, c->snd_nxt)) { /* of what was never sent */
		tcp_challenge_ack(c, false, s->now);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	if (seq_lt(s->r.ack, c->snd_una))
		return take_old(c, s);
	c->ack_rcvd_at = s->now;
	update_window(c, s);
	a.is_dup = is_duplicate(c, s, old_wnd);
	take_ack(c, s, &a);
	if (c->sack_ok && a.prior_packets) {
		tcp_sack_in(c, s, &a.s);
		c->delivered += a.s.segs;
	}
	c->newest_at = MAX(c->newest_at, a.s.newest_at);
	if (!c->sack_ok)
		reno_count(c, &a);
	sample_rtt(c, s, &a);
	sample_rate(c, &a, s->now);
	if (a.bytes || a.s.segs || a.is_dup || c->ca != CA_OPEN)
		recover(c, &a);
	grow_window(c, &a, s->now);
	after_probe(c, s->now);
	if (a.bytes)
		after_progress(c, s->now);
	return true;
}
