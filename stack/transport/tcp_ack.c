/* SPDX-License-Identifier: MIT
 *
 * tcp_ack.c - an acknowledgment: what it frees, and when loss is to be repaired
 *
 * The order is Linux's tcp_ack(): the window, what is acknowledged and sacked,
 * the round trip, then what is lost (tcp_recover.c), then the congestion
 * window, last the timers and the writers.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

/* --- window --- */

/* RFC 9293 3.10.7.4: only a newer segment may move the window. */
/* Linux: of several segments with one number the one with the widest window
 * is believed, as they may have changed places; and one that closes it. */
bool tcp_may_update_window(const struct tcp_conn *c, const struct tcp_seg *s,
			   uint32_t win)
{
	return seq_gt(s->r.ack, c->snd_una) || seq_gt(s->seq, c->snd_wl1) ||
	       (s->seq == c->snd_wl1 && (win > c->snd_wnd || !win));
}

static void update_window(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t win = s->r.window;

	if (!(s->r.flags & TCP_SYN))
		win <<= c->snd_wscale;
	if (!tcp_may_update_window(c, s, win))
		return;
	c->snd_wl1 = s->seq;
	if (win == c->snd_wnd)
		return;
	c->snd_wnd = win;
	c->max_window = MAX(c->max_window, win);
}

/* --- what is acknowledged --- */

/* What is acknowledged without having been sacked came after what was. Linux
 * also takes it for reordering when the rest of a lone segment is acknowledged
 * after a part of it, as that then lies below what was. */
static void note_order(const struct tcp_rec *r, uint32_t ack,
		       struct tcp_acked *a)
{
	uint32_t first = (uint32_t)__builtin_ctzll(~r->sacked);
	uint32_t low = r->seq + first * r->mss - (first ? 0 : r->cut);

	if (seq_lt(low, ack))
		tcp_sack_note_order(a, low);
}

static void clean_records(struct tcp_conn *c, uint32_t ack, struct tcp_acked *a)
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
			tcp_sack_note(c, a, r, seq_min(rec_end(r), ack));
		if (fresh && r->num_tx == 1)
			note_order(r, ack, a);
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
		       const struct tcp_acked *a)
{
	nsec rtt = TCP_RTT_NONE;

	/* a child: its SYN-ACK was timed by the SYN record */
	if (c->state == TCPS_SYN_RCVD && c->is_passive && !c->is_tfo)
		return;
	/* Karn: what was sent again gives no sample, but its timestamp does */
	if (a->oldest_at && !a->resent)
		rtt = s->now - a->oldest_at;
	else if (a->rtt_at && !a->resent)
		rtt = s->now - a->rtt_at;
	else if (a->bytes && c->ts_ok && s->r.has_ts && s->r.ts_ecr)
		rtt = ts_rtt(c, s);
	tcp_rtt_sample(c, rtt, s->now);
}

static void sample_rate(struct tcp_conn *c, const struct tcp_acked *a, nsec now)
{
	nsec snd, rcv;

	if (c->app_limited && c->delivered > c->app_limited)
		c->app_limited = 0;
	if (!a->has_rate)
		return;
	c->delivered_at = now;
	c->first_tx_at = a->sent_at;
	snd = a->sent_at - a->rate_tx_at;
	rcv = now - a->rate_at;
	c->rate.interval = MAX(snd, rcv);
	c->rate.delivered = (uint32_t)(c->delivered - a->rate_delivered);
	c->rate.app_limited = a->app_limited;
	/* what a peer that reneges had sacked would count twice */
	if (c->rate.interval < c->min_rtt || a->reneged)
		c->rate.interval = 0;
}

/* --- growth --- */

/* RFC 7661's point: a window that was not filled says nothing. */
static bool window_was_used(const struct tcp_conn *c)
{
	if (c->is_cwnd_limited)
		return true;
	return cc_in_slow_start(&c->cc) && c->cc.cwnd < 2 * c->max_packets_out;
}

/* Linux's tcp_cong_control() */
static void move_window(struct tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t n = (uint32_t)(c->delivered - a->prior_delivered);

	if (tcp_cc_has_control(c)) {
		tcp_cc_control(c, a);
		return;
	}
	if (tcp_is_reducing(c)) {
		tcp_reduce(c, a);
		return;
	}
	/* where reordering is the rule, a SACK is progress as well */
	if (!n || !tcp_cwv_may_grow(c, window_was_used(c)) ||
	    !(a->bytes ||
	      (a->sacked &&
	       c->reordering > (uint32_t)tcp_sysctl(c)->tcp_reordering)))
		return;
	cc_ops(&c->cc)->grow(&c->cc, n, a->now);
}

/* --- timers and writers --- */

static void after_progress(struct tcp_conn *c, const struct tcp_acked *a)
{
	c->retransmits = 0;
	c->retrans_at = 0;
	if (!c->packets_out) {
		tcp_timer_stop(c, TCP_T_RTX);
		tcp_timer_stop(c, TCP_T_TLP);
		tcp_timer_stop(c, TCP_T_REO);
	} else if (!a->keep_timer) {
		tcp_timer_rtx_restart(c, a->now);
	}
	if (!list_empty(&c->marks))
		tcp_mark_acked(c, a->now);
	tcp_snd_acked(c);
	/* before the freed window is used: measured on Linux 6.18 */
	if (c->nospace)
		tcp_sndbuf_grow(c);
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
	return s->r.ack == c->snd_una && !s->len && c->packets_out &&
	       c->snd_wnd == old_wnd && !(s->r.flags & (TCP_SYN | TCP_FIN));
}

static void take_ack(struct tcp_conn *c, struct tcp_seg *s, struct tcp_acked *a)
{
	uint32_t ack = s->r.ack;

	a->bytes = ack - c->snd_una;
	if (a->bytes) {
		bool urgent = c->snd_up != c->snd_una;

		clean_records(c, ack, a);
		if (!c->sack_ok)
			tcp_reno_acked(c, a->segs);
		c->snd_una = ack;
		c->bytes_acked += a->bytes;
		tcp_mtu_acked(c);
		if (!urgent || seq_lt(c->snd_up, ack))
			c->snd_up = ack;
	}
}

static void begin(struct tcp_conn *c, const struct tcp_seg *s,
		  struct tcp_acked *a)
{
	*a = (struct tcp_acked){
		.s = s,
		.now = s->now,
		.prior_una = c->snd_una,
		.prior_in_flight = tcp_in_flight(c),
		.prior_packets = c->packets_out,
		.prior_sacked = c->sacked_out,
		.prior_lost = c->lost,
		.prior_high_sacked =
			c->sacked_out ? c->high_sacked : c->snd_una,
		.prior_delivered = c->delivered,
		.reneged = c->sack_reneged,
	};
	c->frto_new = c->hold_resend = false;
}

static void take_sacks(struct tcp_conn *c, const struct tcp_seg *s,
		       struct tcp_acked *a)
{
	if (!c->sack_ok)
		return;
	tcp_sack_in(c, s, a);
	c->delivered += a->sacked;
	if (a->has_reord && (c->ca != CA_LOSS || c->undo.armed))
		tcp_sack_reordered(c, a->reord, false);
}

static void count_delivered(const struct tcp_conn *c, const struct tcp_acked *a)
{
	uint64_t n = c->delivered - a->prior_delivered;

	if (c->state == TCPS_SYN_RCVD && n) /* not of SYN-ACKs in Linux */
		n--;
	stat_add(c->t->core, STAT_TcpExtTCPDelivered, n);
}

/* An ACK of data that is acknowledged already: RFC 5961 5.2 bounds how old, and
 * so does what was sent at all. */
static bool take_old(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t oldest = (uint32_t)MIN(c->max_window, c->bytes_acked);
	struct tcp_acked a;

	if (seq_lt(s->r.ack, c->snd_una - oldest)) {
		tcp_challenge_ack(c, s->now);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	if (!c->sack_ok || !s->r.num_sack || !c->packets_out)
		return true;
	begin(c, s, &a);
	take_sacks(c, s, &a);
	c->newest_at = MAX(c->newest_at, a.newest_at);
	tcp_recover(c, &a);
	count_delivered(c, &a);
	if (tcp_is_reducing(c))
		tcp_reduce(c, &a);
	return true;
}

bool tcp_ack(struct tcp_conn *c, struct tcp_seg *s)
{
	struct tcp_acked a;
	uint32_t old_wnd = c->snd_wnd;
	bool is_dup;

	if (seq_gt(s->r.ack, c->snd_nxt)) { /* of what was never sent */
		tcp_challenge_ack(c, s->now);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	if (seq_lt(s->r.ack, c->snd_una))
		return take_old(c, s);
	tcp_count_ack(c, s);
	begin(c, s, &a);
	c->ack_rcvd_at = s->now;
	update_window(c, s);
	is_dup = is_duplicate(c, s, old_wnd);
	take_ack(c, s, &a);
	take_sacks(c, s, &a);
	a.num_dup = is_dup && !a.is_dsack;
	c->newest_at = MAX(c->newest_at, a.newest_at);
	sample_rtt(c, s, &a);
	tcp_rack_update_wnd(c, &a);
	tcp_tlp_ack(c, &a);
	a.ece = tcp_ecn_ack(c, s, &a);
	tcp_cc_acked(c, s->now);
	tcp_cwv_acked(c, s->now);
	if (a.sacked || a.is_dsack || a.num_dup || a.ece || c->ca != CA_OPEN)
		tcp_recover(c, &a);
	count_delivered(c, &a);
	sample_rate(c, &a, s->now);
	move_window(c, &a);
	tcp_pacing_update(c);
	after_probe(c, s->now);
	if (a.bytes)
		after_progress(c, &a);
	tcp_chrono_update(c, s->now);
	return true;
}
