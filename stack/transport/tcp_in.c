/* SPDX-License-Identifier: MIT
 *
 * tcp_in.c - a segment arrived (RFC 9293 3.10.7)
 *
 * One function per step of the RFC, in its order: sequence number, RST, SYN,
 * ACK, URG, text, FIN. A step returns false when the segment needs no further
 * one; s->gone says that the connection was freed on the way. Where Linux
 * differs it is followed: the checks of RFC 5961, PAWS before the sequence
 * number, out-of-window ACKs limited in rate.
 *
 * What came is acknowledged at the end of an input batch (tcp_batch_end()), so
 * that one ACK covers what was read together; at once where the peer has to
 * know, and by the delayed-ACK timer where it does not.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/filter.h"
#include "transport/tcp_conn.h"

#define PAWS_MAX_AGE (24 * 24 * 3600 * SEC) /* RFC 7323 5.5 */
#define QUICK_MIN 2u			    /* Linux: tcp_incr_quickack() */
#define RATIO_MIN 64u /* a quarter: frames are not held against the window */
#define RATIO_MAX 240u

static bool gone(struct tcp_conn *c, struct tcp_seg *s, int err)
{
	s->gone = tcp_done(c, err, s->now);
	return false;
}

/* --- answers to what is not acceptable --- */

static bool oow_allowed(struct tcp_conn *c, enum stat_id skipped, nsec now)
{
	nsec gap = tcp_sysctl(c)->tcp_invalid_ratelimit * MSEC;

	if (c->oow_at && now - c->oow_at < gap) {
		stat_inc(c->t->core, skipped);
		return false;
	}
	c->oow_at = MAX(now, 1);
	return true;
}

/* RFC 5961 7: so many a second for the whole host, not the same in each, or who
 * counts them learns of others' connections (CVE-2016-5696). As in Linux there
 * is no such limit by default: that of the connection does. */
void tcp_challenge_ack(struct tcp_conn *c, nsec now)
{
	struct tcp *t = c->t;
	uint32_t limit = (uint32_t)tcp_sysctl(c)->tcp_challenge_ack_limit;

	if (!oow_allowed(c, STAT_TcpExtTCPACKSkippedChallenge, now))
		return;
	if (limit != INT32_MAX) {
		if (now >= t->challenge_at) {
			t->challenge_at = now - now % SEC + SEC;
			t->challenge_left =
				limit ? DIV_ROUND_UP(limit, 2) +
						rng_below(&t->core->rng, limit)
				      : 0;
		}
		if (!t->challenge_left)
			return;
		t->challenge_left--;
	}
	stat_inc(t->core, STAT_TcpExtTCPChallengeACK);
	tcp_send_ack(c, now);
}

static void challenge_syn(struct tcp_conn *c, nsec now)
{
	stat_inc(c->t->core, STAT_TcpExtTCPSYNChallenge);
	tcp_challenge_ack(c, now);
}

/* tcp_send_dupack() of Linux. Two that answer each other's pure ACKs would
 * never end, so only those are limited in rate. */
static void dup_ack(struct tcp_conn *c, const struct tcp_seg *s,
		    enum stat_id skipped)
{
	if (s->end != s->seq && seq_lt(s->seq, c->rcv_nxt)) {
		stat_inc(c->t->core, STAT_TcpExtDelayedACKLost);
		tcp_be_quick(c);
		tcp_dsack_set(c, s->seq, seq_min(s->end, c->rcv_nxt));
	}
	if (s->end != s->seq || oow_allowed(c, skipped, s->now))
		tcp_send_ack(c, s->now);
}

/* --- options --- */

static void remember_ts(struct tcp_conn *c, struct tcp_seg *s)
{
	/* RFC 7323 4.3: of the segment that the last ACK was waiting for */
	if (!c->ts_ok || !s->r.has_ts || seq_gt(s->seq, c->rcv_wup))
		return;
	/* of what was never sent: the segment is not the peer's */
	if (s->r.flags & TCP_ACK && seq_gt(s->r.ack, c->snd_nxt))
		return;
	if ((int32_t)(s->r.ts_val - c->ts_recent) < 0 &&
	    s->now - c->ts_recent_at < PAWS_MAX_AGE)
		return;
	s->ts_advanced = s->r.ts_val != c->ts_recent;
	c->ts_recent = s->r.ts_val;
	c->ts_recent_at = s->now;
}

static bool is_pure_ack(const struct tcp_seg *s)
{
	return s->r.flags & TCP_ACK && s->end == s->seq;
}

/* A pure ACK that was overtaken is harmless: Linux's tcp_disordered_ack(). */
static bool is_disordered_ack(const struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t win = (uint32_t)s->r.window << c->snd_wscale;
	nsec older = (int32_t)(c->ts_recent - s->r.ts_val) * MSEC;

	return is_pure_ack(s) && s->seq == c->rcv_nxt &&
	       s->r.ack == c->snd_una && !tcp_may_update_window(c, s, win) &&
	       older <= c->rto * 6 / 5;
}

static bool is_paws_failure(const struct tcp_conn *c, const struct tcp_seg *s)
{
	if (!c->ts_ok || !s->r.has_ts)
		return false;
	if ((int32_t)(c->ts_recent - s->r.ts_val) <= 1)
		return false;
	if (s->now - c->ts_recent_at >= PAWS_MAX_AGE)
		return false;
	return !is_disordered_ack(c, s);
}

/* --- step 1: sequence number --- */

static bool step_paws(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!is_paws_failure(c, s) || s->r.flags & TCP_RST)
		return true;
	if (s->r.flags & TCP_SYN) {
		challenge_syn(c, s->now);
		return false;
	}
	drop(c->t->core, DROP_TCP_PAWS);
	if (is_pure_ack(s) && seq_lt(s->seq, c->rcv_nxt)) {
		/* late; nobody waits */
		stat_inc(c->t->core, STAT_TcpExtPAWSOldAck);
		return false;
	}
	stat_inc(c->t->core, STAT_TcpExtPAWSEstab);
	dup_ack(c, s, STAT_TcpExtTCPACKSkippedPAWS);
	return false;
}

static uint32_t rcv_window_end(const struct tcp_conn *c)
{
	return seq_max(c->rcv_wup + c->rcv_wnd, c->rcv_nxt);
}

/* --- step 2: RST (RFC 5961 3.2) --- */

static int reset_errno(const struct tcp_conn *c)
{
	switch (c->state) {
	case TCPS_SYN_SENT:
		return ECONNREFUSED;
	case TCPS_CLOSE_WAIT:
		return EPIPE;
	default:
		return ECONNRESET;
	}
}

/* Some stacks don't count their FIN: tcp_reset_check() of Linux. */
static bool rst_is_of_fin(const struct tcp_conn *c, const struct tcp_seg *s)
{
	return s->seq == c->rcv_nxt - 1 &&
	       TCPS_IN(c, TCPS_BIT(CLOSE_WAIT) | TCPS_BIT(LAST_ACK) |
				  TCPS_BIT(CLOSING));
}

/* Linux: the right edge of what was sacked is where the peer stands, too. */
static bool rst_is_exact(const struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t right = c->rcv_nxt;

	for (unsigned i = 0; i < c->num_sacks; i++)
		right = seq_max(right, c->sacks[i].end);
	return s->seq == c->rcv_nxt || s->seq == right || rst_is_of_fin(c, s);
}

static bool take_rst(struct tcp_conn *c, struct tcp_seg *s)
{
	if (c->is_tfo && !c->was_established) /* Linux's tcp_check_req() */
		stat_inc(c->t->core, STAT_TcpAttemptFails);
	c->is_reset = true;
	return gone(c, s, reset_errno(c));
}

/* RFC 9293 3.10.7.4, as Linux reads it: any part in the window will do. */
static bool step_seq(struct tcp_conn *c, struct tcp_seg *s)
{
	if (seq_geq(s->end, c->rcv_wup) && seq_leq(s->seq, rcv_window_end(c)))
		return true;
	if (s->r.flags & TCP_RST && rst_is_of_fin(c, s))
		return take_rst(c, s);
	drop(c->t->core, DROP_TCP_OUT_OF_WINDOW);
	if (s->r.flags & TCP_RST)
		return false;
	if (s->r.flags & TCP_SYN)
		challenge_syn(c, s->now);
	else
		dup_ack(c, s, STAT_TcpExtTCPACKSkippedSeq);
	return false;
}

static bool step_rst(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!(s->r.flags & TCP_RST))
		return true;
	if (rst_is_exact(c, s))
		return take_rst(c, s);
	tcp_fo_odd_rst(c, s->now);
	tcp_challenge_ack(c, s->now);
	return false;
}

/* --- step 4: SYN (RFC 5961 4.2) --- */

static bool step_syn(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!(s->r.flags & TCP_SYN))
		return true;
	/* simultaneous open: the other SYN comes again, with the ACK of ours */
	if (c->state == TCPS_SYN_RCVD && s->r.flags & TCP_ACK &&
	    s->end == s->seq + 1 && s->end == c->rcv_nxt &&
	    s->r.ack == c->snd_nxt) {
		/* for Linux it is a segment that came before */
		tcp_dsack_set(c, s->seq, s->end);
		s->seq++;
		c->ecn.syn_rcv = s->rx->tos & IP_ECN_MASK;
		c->ecn.reflect = tcp_ecn_is_accurate(c);
		c->owe |= TCP_OWE_NOW;
		return true;
	}
	/* the ACK of its SYN-ACK may be lost: RFC 9768 3.2.2.1 */
	c->ecn.reflect = tcp_ecn_is_accurate(c) && s->r.flags & TCP_ACK;
	c->ecn.syn_rcv = s->rx->tos & IP_ECN_MASK;
	challenge_syn(c, s->now);
	c->ecn.reflect = false;
	return false;
}

/* --- step 5: ACK --- */

static bool step_syn_rcvd(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!seq_gt(s->r.ack, c->snd_una) || seq_gt(s->r.ack, c->snd_nxt)) {
		tcp_answer_rst(c->t, s);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	c->snd_wnd = s->r.window;
	if (!(s->r.flags & TCP_SYN))
		c->snd_wnd <<= c->snd_wscale;
	c->max_window = MAX(c->max_window, c->snd_wnd);
	c->snd_wl1 = s->seq;
	tcp_ecn_third_ack(c, s);
	if (!tcp_ack(c, s))
		return false;
	tcp_set_state(c, TCPS_ESTABLISHED);
	tcp_conn_established(c, s->now);
	return true;
}

static bool fin_is_acked(const struct tcp_conn *c)
{
	return c->fin_sent && c->snd_una == c->write_seq + 1;
}

/* Our FIN is acknowledged: an orphan has only so much patience left. */
static bool enter_fin_wait2(struct tcp_conn *c, struct tcp_seg *s)
{
	nsec len = tcp_fin2_len(c);

	tcp_set_state(c, TCPS_FIN_WAIT2);
	c->ep->shut |= EP_SHUT_WR;
	if (!c->is_orphan) {
		tcp_ready(c, true, true); /* SO_LINGER waits for this */
		return true;
	}
	if (len < 0 && !(s->r.flags & TCP_FIN)) {
		stat_inc(c->t->core, STAT_TcpExtTCPAbortOnLinger);
		tcp_send_rst(c, s->now);
		return gone(c, s, 0);
	}
	tcp_timer_set(c, TCP_T_FIN2, s->now + MAX(len, c->rto));
	if (!(s->r.flags & TCP_FIN)) /* else its turn comes at once */
		tcp_count_tw(c, len);
	tcp_metrics_save(c);
	return true;
}

static bool enter_time_wait(struct tcp_conn *c, struct tcp_seg *s)
{
	tcp_tw_enter(c, s->now);
	return gone(c, s, 0);
}

static bool step_ack(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!(s->r.flags & TCP_ACK)) {
		drop(c->t->core, DROP_TCP_BAD_FLAGS);
		return false;
	}
	if (c->state == TCPS_SYN_RCVD)
		return step_syn_rcvd(c, s);
	if (!tcp_ack(c, s))
		return false;
	if (!fin_is_acked(c))
		return true;
	switch (c->state) {
	case TCPS_FIN_WAIT1:
		return enter_fin_wait2(c, s);
	case TCPS_CLOSING:
		return enter_time_wait(c, s);
	case TCPS_LAST_ACK:
		tcp_metrics_save(c);
		return gone(c, s, 0);
	default:
		return true;
	}
}

/* --- step 6: URG (tcp(7): BSD's reading unless tcp_stdurg) --- */

static void step_urg(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t up = s->seq + s->r.urg, off;

	if (s->r.flags & TCP_URG && TCPS_IN(c, TCPS_CAN_RECV)) {
		if (s->r.urg && !tcp_sysctl(c)->tcp_stdurg)
			up--;
		if (seq_geq(up, c->copied_seq) && seq_geq(up, c->rcv_nxt) &&
		    (!c->urg_state || seq_gt(up, c->urg_seq))) {
			tcp_rcv_drop_urgent(c); /* tcp_check_urg() of Linux */
			c->urg_state = TCP_URG_NOTYET;
			c->urg_seq = up;
		}
	}
	if (c->urg_state != TCP_URG_NOTYET)
		return;
	off = c->urg_seq - s->seq;
	if (off < s->len) {
		c->urg_byte = s->data[off];
		c->urg_state = TCP_URG_VALID;
		tcp_ready(c, true, false);
	}
}

/* --- step 7: text --- */

/* Guesses at the peer's segment size and at how full its frames are. */
static void measure(struct tcp_conn *c, const struct tcp_seg *s)
{
	uint32_t size = s->rx->f->gso_size ? s->rx->f->gso_size : s->len;
	uint32_t held = s->rx->f->b.size + TCP_SLICE_COST, ratio;

	held = tcp_rslice_held(held, s->len);

	/* the end of what the peer wrote: it may wait for our ACK */
	if (size < c->rcv_mss && c->owe & TCP_OWE_PUSHED)
		c->owe |= TCP_OWE_PUSHED2;
	if (size < c->rcv_mss || s->r.flags & TCP_PSH)
		c->owe |= TCP_OWE_PUSHED;
	if (size < c->rcv_mss)
		return;
	c->rcv_mss = MIN(size, MAX((uint32_t)c->advmss, TCP_MIN_MSS));
	ratio = (uint32_t)((uint64_t)s->len * 256 / held);
	c->win_ratio = (7 * c->win_ratio + ratio) / 8;
	c->win_ratio = CLAMP(c->win_ratio, RATIO_MIN, RATIO_MAX);
	c->window_clamp = tcp_win_from_space(c, c->ep->rcvbuf);
	if (c->ep->topt.window_clamp)
		c->window_clamp =
			MIN(c->window_clamp, c->ep->topt.window_clamp);
}

void tcp_be_quick(struct tcp_conn *c)
{
	uint32_t n = c->rcv_wnd / (2 * MAX(c->rcv_mss, 1u));

	n = CLAMP(n, QUICK_MIN, TCP_MAX_QUICKACKS);
	c->quick = (uint8_t)MAX(c->quick, n);
}

/* tcp_event_data_recv(): how the peer's data comes decides how soon we ACK. */
static void note_data(struct tcp_conn *c, const struct tcp_seg *s)
{
	nsec gap = s->now - c->last_rcv_at;

	c->owe |= TCP_OWE_ACK;
	c->owed_frames++;
	c->data_segs_in += s->len ? s->segs : 0; /* tcp_segs_in() */
	measure(c, s);
	tcp_rcv_rtt(c, s);
	if (!c->ato) {
		tcp_be_quick(c);
		c->ato = TCP_DELACK_MIN;
	} else if (gap <= TCP_DELACK_MIN / 2) {
		c->ato = c->ato / 2 + TCP_DELACK_MIN / 2;
	} else if (gap < c->ato) {
		c->ato = MIN(c->ato / 2 + gap, c->rto);
	} else if (gap > c->rto) {
		tcp_be_quick(c); /* it may have restarted its slow start */
	}
	c->last_rcv_at = s->now;
	if (s->len >= 128)
		tcp_rcv_grow_window(c, s->len);
}

static void take_fin(struct tcp_conn *c, struct tcp_seg *s);

/* Cuts off what is beyond the window. False: nothing new is left. The peer is
 * told at once where the window ends: one that Linux resends into a closed
 * window is its probe, and has to be answered (RFC 9293 3.8.6.1). */
static bool trim_to_window(struct tcp_conn *c, struct tcp_seg *s)
{
	uint32_t end = rcv_window_end(c);

	if (seq_leq(s->seq + s->len, end) || list_empty(&c->rcvq))
		return true;
	stat_inc(c->t->core, STAT_TcpExtBeyondWindow);
	s->len = seq_gt(end, s->seq) ? end - s->seq : 0;
	s->end = s->seq + s->len;
	s->r.flags &= (uint8_t)~TCP_FIN;
	c->owe |= TCP_OWE_NOW;
	if (seq_gt(s->end, c->rcv_nxt))
		return true;
	stat_inc(c->t->core, STAT_TcpExtTCPZeroWindowDrop);
	drop(c->t->core, DROP_TCP_OUT_OF_WINDOW);
	return false;
}

static void take_in_order(struct tcp_conn *c, struct tcp_seg *s)
{
	bool fin = s->r.flags & TCP_FIN;

	if (s->len && s->seq + s->len != c->rcv_nxt) {
		if (rcv_window_end(c) == c->rcv_nxt) {
			stat_inc(c->t->core, STAT_TcpExtTCPZeroWindowDrop);
			drop(c->t->core, DROP_TCP_RCVBUF);
			c->owe |= TCP_OWE_NOW;
			return;
		}
		if (!tcp_rcv_has_room(c))
			stat_inc(c->t->core, STAT_TcpExtPruneCalled);
		while (!tcp_rcv_has_room(c) && tcp_ofo_prune(c))
			;
		if (!tcp_rcv_has_room(c))
			stat_inc(c->t->core, STAT_TcpExtRcvPruned);
		if (!tcp_rcv_has_room(c) || !tcp_rcv_queue(c, s)) {
			stat_inc(c->t->core, STAT_TcpExtTCPRcvQDrop);
			drop(c->t->core, DROP_TCP_RCVBUF);
			c->owe |= TCP_OWE_NOW;
			if (!tcp_rcv_has_room(c))
				c->owe |= TCP_OWE_NOMEM;
			return;
		}
		note_data(c, s);
	}
	if (!list_empty(&c->ofo) && !fin) {
		fin = tcp_ofo_drain(c);
		/* a hole was filled: tell the sender (RFC 5681 4.2) */
		c->owe |= TCP_OWE_NOW;
	}
	if (fin)
		take_fin(c, s);
	if (!s->gone)
		tcp_ready(c, true, false);
}

static void take_out_of_order(struct tcp_conn *c, struct tcp_seg *s)
{
	tcp_set_pingpong(c, false);
	if (c->ep->rx_mem > c->ep->rcvbuf || !tcp_mem_may_recv(c)) {
		stat_inc(c->t->core, STAT_TcpExtPruneCalled);
		tcp_ofo_prune(c);
	}
	if (!tcp_mem_may_recv(c) || !tcp_ofo_insert(c, s)) {
		c->owe |= TCP_OWE_NOW;
		stat_inc(c->t->core, STAT_TcpExtTCPOFODrop);
		drop(c->t->core, DROP_TCP_OFO_MEM);
		return;
	}
	c->data_segs_in += s->len ? s->segs : 0; /* tcp_segs_in() */
	measure(c, s);
	tcp_rcv_ofo_grow(c, s->len);
	if (c->quick || !tcp_ack_may_wait(c, s->now))
		c->owe |= TCP_OWE_NOW;
}

/* The user has closed, and more came: RFC 1122 4.2.2.13. */
static bool step_closed(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!(c->ep->shut & EP_SHUT_RD) ||
	    !TCPS_IN(c, TCPS_BIT(FIN_WAIT1) | TCPS_BIT(FIN_WAIT2)) || !s->len ||
	    !seq_gt(s->seq + s->len, c->rcv_nxt))
		return true;
	stat_inc(c->t->core, STAT_TcpExtTCPAbortOnData);
	drop(c->t->core, DROP_TCP_CLOSED);
	tcp_answer_rst(c->t, s);
	c->is_reset = true;
	return gone(c, s, ECONNRESET);
}

static void step_text(struct tcp_conn *c, struct tcp_seg *s)
{
	if (s->end == s->seq)
		return;
	if (!TCPS_IN(c, TCPS_CAN_RECV) && seq_geq(s->seq, c->rcv_nxt)) {
		drop(c->t->core, DROP_TCP_CLOSED); /* behind its own FIN */
		return;
	}
	if (seq_leq(s->end, c->rcv_nxt) || !TCPS_IN(c, TCPS_CAN_RECV)) {
		drop(c->t->core, DROP_TCP_OLD_DATA);
		stat_inc(c->t->core, STAT_TcpExtDelayedACKLost);
		tcp_accecn_duplicate(c);
		tcp_dsack_set(c, s->seq, seq_min(s->end, c->rcv_nxt));
		tcp_be_quick(c);
		c->owe |= TCP_OWE_NOW;
		return;
	}
	if (s->len)
		tcp_ecn_in(c, s);
	if (seq_geq(s->seq, rcv_window_end(c)) && seq_gt(s->seq, c->rcv_nxt)) {
		drop(c->t->core, DROP_TCP_OUT_OF_WINDOW);
		c->owe |= TCP_OWE_NOW;
		return;
	}
	if (!trim_to_window(c, s))
		return;
	if (seq_gt(s->seq, c->rcv_nxt)) {
		take_out_of_order(c, s);
		return;
	}
	if (seq_lt(s->seq, c->rcv_nxt))
		tcp_dsack_set(c, s->seq, c->rcv_nxt);
	take_in_order(c, s);
}

/* --- step 8: FIN --- */

static void take_fin(struct tcp_conn *c, struct tcp_seg *s)
{
	c->rcv_nxt++;
	c->bytes_received++; /* so does Linux */
	c->fin_rcvd = true;
	c->ep->shut |= EP_SHUT_RD;
	c->owe |= TCP_OWE_NOW;
	tcp_ofo_free(c);
	switch (c->state) {
	case TCPS_SYN_RCVD:
	case TCPS_ESTABLISHED:
		tcp_set_state(c, TCPS_CLOSE_WAIT);
		tcp_set_pingpong(c, true);
		break;
	case TCPS_FIN_WAIT1:
		tcp_set_state(c, TCPS_CLOSING);
		break;
	case TCPS_FIN_WAIT2:
		tcp_send_ack(c, s->now);
		enter_time_wait(c, s);
		break;
	default:
		break;
	}
}

/* --- SYN-SENT (RFC 9293 3.10.7.3) --- */

static void take_syn_options(struct tcp_conn *c, const struct tcp_seg *s)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	const struct tcp_repr *r = &s->r;

	c->wscale_ok = r->has_wscale && v->tcp_window_scaling;
	c->snd_wscale = c->wscale_ok ? tcp_peer_wscale(c->t->core, r) : 0;
	if (!c->wscale_ok) {
		c->rcv_wscale = 0;
		c->window_clamp = MIN(c->window_clamp, 65535u);
	}
	tcp_uto_heard(c, r);
	c->ts_ok = r->has_ts && v->tcp_timestamps;
	c->sack_ok = r->sack_ok && v->tcp_sack;
	if (r->flags & TCP_ACK)
		tcp_ecn_synack_in(c, s);
	else
		tcp_ecn_syn_in(c, s);
	if (c->ts_ok) {
		c->ts_recent = r->ts_val;
		c->ts_recent_at = s->now;
	}
	c->mss_clamp = c->ep->topt.maxseg ? c->ep->topt.maxseg : 65535;
	c->mss_clamp = MIN(c->mss_clamp, r->has_mss ? r->mss : TCP_DEF_MSS);
	tcp_mss_sync(c, c->pmtu);
	c->irs = s->seq;
	tcp_auth_begin(c);
	c->rcv_nxt = c->rcv_wup = c->copied_seq = s->seq + 1;
	c->snd_wnd = c->max_window = r->window; /* RFC 7323 2.2: not scaled */
	c->snd_wl1 = s->seq;
}

/* First and fourth check: the ACK must be of our SYN. */
static bool syn_sent_ack(struct tcp_conn *c, struct tcp_seg *s)
{
	if (!(s->r.flags & TCP_ACK))
		return true;
	if (!seq_gt(s->r.ack, c->iss) || seq_gt(s->r.ack, c->snd_nxt) ||
	    c->fo_deferred) {
		/* of an old connection there, which our RST ends: try again */
		if (!c->retransmits)
			tcp_timer_set(c, TCP_T_RTX, s->now + TCP_TIMEOUT_MIN);
		tcp_answer_rst(c->t, s);
		drop(c->t->core, DROP_TCP_BAD_ACK);
		return false;
	}
	/* Linux: an echo that we can't have sent (RFC 7323 3.2) */
	if (s->r.has_ts && s->r.ts_ecr &&
	    (seq_lt(s->r.ts_ecr, tcp_ts_now(c->ts_off, c->syn_at)) ||
	     seq_gt(s->r.ts_ecr, tcp_ts_now(c->ts_off, s->now)))) {
		stat_inc(c->t->core, STAT_TcpExtPAWSActive);
		tcp_answer_rst(c->t, s);
		drop(c->t->core, DROP_TCP_PAWS);
		return false;
	}
	return true;
}

static void syn_sent_in(struct tcp_conn *c, struct tcp_seg *s)
{
	bool acked = s->r.flags & TCP_ACK, again;

	if (!syn_sent_ack(c, s))
		return;
	if (s->r.flags & TCP_RST) {
		if (acked) {
			c->is_reset = true;
			gone(c, s, reset_errno(c));
		}
		return;
	}
	if (!(s->r.flags & TCP_SYN)) {
		drop(c->t->core, DROP_TCP_BAD_FLAGS);
		return;
	}
	take_syn_options(c, s);
	if (!acked) { /* simultaneous open: our SYN goes again, with an ACK */
		tcp_set_state(c, TCPS_SYN_RCVD);
		tcp_resend_head(c, s->now);
		return;
	}
	tcp_set_state(c, TCPS_ESTABLISHED);
	if (!tcp_ack(c, s))
		return;
	s->seq++;
	again = tcp_fo_synack(c, s);
	tcp_conn_established(c, s->now);
	if (s->end != s->seq)
		step_text(c, s);
	if (s->gone)
		return;
	if (again) { /* the ACK goes along */
		tcp_resend_all(c, s->now);
	} else if (c->write_waits) { /* so it will soon */
		c->owe |= TCP_OWE_ACK;
		c->ato = TCP_DELACK_MIN;
		tcp_timer_delack(c, s->now);
	} else {
		c->ecn.reflect = tcp_ecn_is_accurate(c);
		tcp_send_ack(c, s->now);
		c->ecn.reflect = false;
	}
}

/* --- the whole --- */

static void steps(struct tcp_conn *c, struct tcp_seg *s)
{
	if (c->state == TCPS_SYN_SENT) {
		syn_sent_in(c, s);
		return;
	}
	if (!step_paws(c, s) || !step_seq(c, s))
		return;
	c->heard_at = s->now;
	if (!step_rst(c, s) || !step_syn(c, s))
		return;
	remember_ts(c, s);
	tcp_ecn_heard(c, s);
	if (!step_ack(c, s) || !step_closed(c, s))
		return;
	tcp_uto_heard(c, &s->r);
	step_urg(c, s);
	step_text(c, s);
}

static void owe(struct tcp_conn *c, nsec now)
{
	if (!c->owe)
		return;
	if (c->owe & TCP_OWE_NOW)
		tcp_send_ack(c, now);
	else if (list_empty(&c->owed_link))
		list_push(&c->t->owed, &c->owed_link);
}

void tcp_conn_in(struct tcp_conn *c, struct tcp_seg *s)
{
	c->segs_in += s->segs;
	if (ip_addr_is4(&s->rx->src) ? s->rx->ttl < c->ep->min_ttl
				     : s->rx->ttl < c->ep->min_hops6) {
		stat_inc(c->t->core, STAT_TcpExtTCPMinTTLDrop);
		drop(c->t->core, DROP_TCP_BAD_FLAGS);
		return;
	}
	steps(c, s);
	if (s->gone || c->state == TCPS_CLOSED)
		return;
	tcp_out(c, s->now);
	tcp_snd_check_space(c);
	owe(c, s->now);
	tcp_timer_sync(c);
	tcp_check(c);
}

static void node_in(struct tcp *t, struct tcp_node *n, struct tcp_seg *s)
{
	if (n->kind == TCP_NODE_CONN)
		tcp_conn_in(container_of(n, struct tcp_conn, node), s);
	else
		tcp_syn_in(t, container_of(n, struct tcp_syn, n), s);
}

static struct ep *node_ep(struct tcp *t, struct tcp_node *n)
{
	if (n->kind == TCP_NODE_CONN)
		return container_of(n, struct tcp_conn, node)->ep;
	return tcp_syn_listener(t, container_of(n, struct tcp_syn, n))->ep;
}

static bool parse(struct tcp *t, const struct ip_rx *rx, struct tcp_seg *s)
{
	enum drop d = tcp_parse(&s->r, &rx->src, &rx->dst, rx->l4, rx->l4_len,
				rx->csum);

	t->mem.now = s->now;
	stat_inc(t->core, STAT_TcpInSegs);
	if (d != DROP_NONE) {
		if (d == DROP_TCP_CSUM)
			stat_inc(t->core, STAT_TcpInCsumErrors);
		stat_inc(t->core, STAT_TcpInErrs);
		drop(t->core, d);
		return false;
	}
	s->rx = rx;
	s->data = rx->l4 + s->r.hdr_len;
	s->len = rx->l4_len - s->r.hdr_len;
	s->seq = s->r.seq;
	s->end = s->seq + s->len + !!(s->r.flags & TCP_SYN) +
		 !!(s->r.flags & TCP_FIN);
	s->segs = 1;
	if (rx->f->gso_size)
		s->segs = MAX(DIV_ROUND_UP(s->len, rx->f->gso_size), 1u);
	return true;
}

void tcp_in(struct tcp *t, const struct ip_rx *rx, nsec now)
{
	struct tcp_seg s = {.now = now};
	struct tcp_node *n;
	struct tcp_key k;
	uint32_t len = rx->l4_len; /* segments are not cut, only dropped */
	struct ep *e;

	if (rx->scope != IP_SCOPE_LOCAL) {
		drop(t->core, DROP_TCP_NO_SOCK);
		return;
	}
	if (!parse(t, rx, &s))
		return;
	k = tcp_seg_key(&s);
	n = tcp_tuple_find(t, &k);
	if (n && n->kind != TCP_NODE_TW) {
		e = node_ep(t, n);
		transport_note(t->tp, e);
		if (!tcp_auth_check(e, n, &s) ||
		    (n->kind == TCP_NODE_CONN &&
		     !filter_pass(e, rx, rx->l4, &len)))
			return;
		node_in(t, n, &s);
		return;
	}
	if (n && !tcp_tw_in(t, container_of(n, struct tcp_tw, n), &s, &s.iss))
		return;
	e = port_lookup(
		t->tp, EP_TCP, &k.laddr, k.lport, &k.raddr, k.rport, ip_dif(rx),
		(uint32_t)sip_hash(&t->core->hash_key, &k, TCP_KEY_LEN));
	if (e && e->listen) {
		if (tcp_auth_check(e, NULL, &s) &&
		    filter_pass(e, rx, rx->l4, &len))
			tcp_listen_in(e->listen, &s);
		return;
	}
	drop(t->core, DROP_TCP_NO_SOCK);
	tcp_answer_rst(t, &s);
}

/* Is an ACK due as the batch ends, or may the timer see to it? */
static bool is_due(const struct tcp_conn *c, bool drained)
{
	uint32_t unacked = c->rcv_nxt - c->rcv_wup;

	if (c->owe & TCP_OWE_NOW)
		return true;
	if (unacked > c->rcv_mss && (drained || c->owed_frames >= 2))
		return true;
	return drained &&
	       (c->route.quickack || (c->quick && !tcp_is_pingpong(c)));
}

void tcp_batch_end(struct tcp *t, bool drained, nsec now)
{
	struct list *n;

	while ((n = list_pop(&t->owed))) {
		struct tcp_conn *c = list_entry(n, struct tcp_conn, owed_link);

		transport_note(t->tp, c->ep);
		if (!c->owe)
			continue;
		if (is_due(c, drained))
			tcp_send_ack(c, now);
		else
			tcp_timer_delack(c, now);
		tcp_timer_sync(c);
		tcp_check(c);
	}
}
