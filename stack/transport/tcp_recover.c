/* SPDX-License-Identifier: MIT
 *
 * tcp_recover.c - the states of congestion and loss, and the way back
 *
 * Told in one way with SACK and without: the pipe is what was sent, less what
 * was sacked or lost, plus what was sent again; data goes out while the pipe is
 * below the window. Without SACK each duplicate ACK stands for one segment that
 * has left the network. What is lost is judged elsewhere (tcp_rack.c, or
 * tcp_sack.c with net.ipv4.tcp_recovery=0).
 *
 *	OPEN -- SACK or duplicate --> DISORDER -- something is lost --> RECOVERY
 *	  ^---------- high_seq is acknowledged ------------------------'
 *	any -- timeout --> LOSS -- high_seq is acknowledged --> OPEN
 *	OPEN -- a mark, a repaired tail --> CWR -- high_seq is passed --> OPEN
 *
 * In RECOVERY and CWR the window falls to ssthresh by proportional rate
 * reduction (RFC 6937): so much is sent as is delivered, in proportion.
 *
 * A reduction can prove wrong: every resend was answered by a D-SACK (RFC
 * 3708), the first ACK carries a timestamp from before the resend (Eifel, RFC
 * 3522), or what is acknowledged after a timeout was sent only once (F-RTO, RFC
 * 5682). Then window and threshold go back to what they were (RFC 4015).
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define RENEGE_WAIT_MIN (10 * MSEC) /* Linux: tcp_check_sack_reneging() */
#define REO_WND_RECOVERIES 16	    /* RFC 8985 6.2 step 4 */

/* --- the window during a reduction: RFC 6937 3.1 --- */

static uint32_t current_ssthresh(const struct tcp_conn *c)
{
	if (tcp_is_reducing(c))
		return c->cc.ssthresh;
	return MAX(c->cc.ssthresh, c->cc.cwnd / 2 + c->cc.cwnd / 4);
}

static void begin_reduction(struct tcp_conn *c, bool by_mark)
{
	c->cc.by_mark = by_mark;
	c->high_seq = c->snd_nxt;
	c->tlp_out = false;
	c->cc.cwnd_cnt = 0;
	c->prior_cwnd = c->cc.cwnd;
	c->prr_delivered = c->prr_out = 0;
	tcp_cwv_reduce(c);
	c->cc.ssthresh = cc_ops(&c->cc)->ssthresh(&c->cc);
	c->ecn.cwr = tcp_ecn_is_classic(c);
}

void tcp_reduce(struct tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t fresh = (uint32_t)(c->delivered - a->prior_delivered);
	uint32_t pipe = tcp_in_flight(c), thresh = c->cc.ssthresh, n;
	bool advanced = c->snd_una != a->prior_una;

	if (tcp_cc_has_control(c))
		return;
	if ((!fresh && c->lost == a->prior_lost && c->prr_out) ||
	    !c->prior_cwnd)
		return;
	c->prr_delivered += fresh;
	if (pipe > thresh) { /* reduce in proportion */
		uint64_t due = (uint64_t)thresh * c->prr_delivered;

		due = (due + c->prior_cwnd - 1) / c->prior_cwnd;
		n = due > c->prr_out ? (uint32_t)due - c->prr_out : 0;
	} else { /* what is lost on top is made good in slow start at most */
		n = c->prr_delivered > c->prr_out
			    ? c->prr_delivered - c->prr_out
			    : 0;
		n = MAX(n, fresh);
		if (advanced && c->lost == a->prior_lost)
			n++;
		n = MIN(n, thresh - pipe);
	}
	/* the first resend goes whatever the pipe */
	if (!c->prr_out)
		n = MAX(n, 1u);
	c->cc.cwnd = MAX(pipe + n, 1u);
}

static void end_reduction(struct tcp_conn *c)
{
	if (!tcp_cc_has_control(c) && c->cc.ssthresh < CC_SSTHRESH_NONE &&
	    (c->ca == CA_CWR || c->undo.armed))
		c->cc.cwnd = MAX(c->cc.ssthresh, 1u);
}

/* --- undoing --- */

/* Is the answer to a resend still to come? (Linux: tcp_any_retrans_done()) */
static bool any_resent(const struct tcp_conn *c)
{
	const struct tcp_rec *head = list_first(&c->recs, struct tcp_rec, node);

	return c->retrans_out || (head && head->num_tx > 1);
}

/* A resend of the episode before may be on its way yet: its answer must not be
 * held against a later one. */
static void arm_undo(struct tcp_conn *c, uint32_t ssthresh)
{
	c->undo = (struct tcp_undo){
		.armed = true,
		.resent_at = any_resent(c) ? c->undo.resent_at : 0,
		.marker = c->snd_una,
		.retrans = c->retrans_out ? (int32_t)c->retrans_out : -1,
		.prior_ssthresh = ssthresh,
	};
}

/* The ACK was caused by what was sent before the first resend. */
static bool is_delayed(const struct tcp_conn *c, const struct tcp_acked *a)
{
	const struct tcp_repr *r = &a->s->r;

	return c->ts_ok && r->has_ts && r->ts_ecr && c->undo.resent_at &&
	       seq_lt(r->ts_ecr, tcp_ts_now(c->ts_off, c->undo.resent_at));
}

static bool may_undo(const struct tcp_conn *c, const struct tcp_acked *a)
{
	return c->undo.armed && (!c->undo.retrans || is_delayed(c, a));
}

static void unmark_lost(struct tcp_conn *c)
{
	struct list *p;

	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		r->lost = 0;
		if (list_empty(&r->sent) && r->sacked != rec_all(r))
			list_push_front(&c->sent, &r->sent);
	}
	c->lost_out = 0;
	c->hint_lost = c->hint_rtx = NULL;
}

static void undo(struct tcp_conn *c, bool unmark, enum stat_id why)
{
	if (unmark)
		unmark_lost(c);
	if (c->undo.prior_ssthresh) {
		if (!tcp_cc_has_control(c))
			c->cc.cwnd = MAX(c->cc.cwnd, c->prior_cwnd);
		c->cc.ssthresh = MAX(c->cc.ssthresh, c->undo.prior_ssthresh);
		tcp_cc_event(c, CC_UNDO, 0, c->ack_rcvd_at);
	}
	c->undo.armed = false;
	c->rack.advanced = true; /* look anew at what is lost */
	stat_inc(c->t->core, why);
}

/* Linux's tcp_check_dsack(): what came twice may be what was sent twice. */
void tcp_undo_dsack(struct tcp_conn *c, uint32_t end, uint32_t dups)
{
	if (c->undo.armed && c->undo.retrans > 0 && seq_gt(end, c->undo.marker))
		c->undo.retrans = MAX(0, c->undo.retrans - (int32_t)dups);
}

static bool try_undo_dsack(struct tcp_conn *c)
{
	if (!c->undo.armed || c->undo.retrans)
		return false;
	c->rack.reo_wnd_persist =
		(uint8_t)MIN(c->rack.reo_wnd_persist + 1, REO_WND_RECOVERIES);
	undo(c, false, STAT_TcpExtTCPDSACKUndo);
	return true;
}

/* Without SACK a window must be passed, not only reached, or duplicates of
 * what was resent start the next recovery (RFC 6582 3.2 step 2). */
static bool reno_stays(struct tcp_conn *c)
{
	if (c->sack_ok || c->snd_una != c->high_seq)
		return false;
	if (!c->retrans_out)
		c->undo.resent_at = 0;
	return true;
}

/* high_seq is acknowledged. True: the state stays all the same. */
static bool try_undo_recovery(struct tcp_conn *c, const struct tcp_acked *a)
{
	if (may_undo(c, a))
		undo(c, false,
		     c->ca == CA_LOSS ? STAT_TcpExtTCPLossUndo
				      : STAT_TcpExtTCPFullUndo);
	else if (c->rack.reo_wnd_persist)
		c->rack.reo_wnd_persist--;
	if (reno_stays(c))
		return true;
	c->ca = CA_OPEN;
	c->sack_reneged = false;
	return false;
}

static bool try_undo_loss(struct tcp_conn *c, const struct tcp_acked *a,
			  bool spurious)
{
	if (!spurious && !may_undo(c, a))
		return false;
	undo(c, true, STAT_TcpExtTCPLossUndo);
	if (spurious)
		stat_inc(c->t->core, STAT_TcpExtTCPSpuriousRTOs);
	c->retransmits = 0;
	if (reno_stays(c))
		return true;
	if (spurious || c->sack_ok) {
		c->ca = CA_OPEN;
		c->sack_reneged = false;
	}
	return true;
}

static void keep_open(struct tcp_conn *c)
{
	enum tcp_ca ca = CA_OPEN;

	if (c->sacked_out || c->lost_out || c->retrans_out)
		ca = CA_DISORDER;
	if (c->ca != ca) {
		c->ca = ca;
		c->high_seq = c->snd_nxt;
	}
}

/* A hole was filled by what was late, not by the resend. True: look no further
 * while resends are out. */
static bool try_undo_partial(struct tcp_conn *c, const struct tcp_acked *a)
{
	if (!c->undo.armed || !is_delayed(c, a))
		return false;
	tcp_sack_reordered(c, a->prior_una, true);
	if (c->retrans_out) {
		c->hold_resend = true;
		return true;
	}
	undo(c, true, STAT_TcpExtTCPPartialUndo);
	keep_open(c);
	return false;
}

/* --- without SACK: Linux's sacked_out out of duplicate ACKs --- */

static bool reno_limit(struct tcp_conn *c)
{
	uint32_t holes = MIN(MAX(c->lost_out, 1u), c->packets_out);

	if (c->sacked_out + holes <= c->packets_out)
		return false;
	c->sacked_out = c->packets_out - holes;
	return true;
}

static void reno_add(struct tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t before = c->sacked_out;

	if (!a->num_dup)
		return;
	c->sacked_out += a->num_dup;
	if (reno_limit(c)) { /* more duplicates than can be: reordering */
		c->reordering =
			MIN(c->packets_out,
			    (uint32_t)tcp_sysctl(c)->tcp_max_reordering);
		c->rack.reord_seen++;
		stat_inc(c->t->core, STAT_TcpExtTCPRenoReorder);
	}
	c->delivered += c->sacked_out > before ? c->sacked_out - before : 0;
}

/* Linux's tcp_remove_reno_sacks(): one of what is acked was the hole, the
 * others were counted as their duplicates came. */
void tcp_reno_acked(struct tcp_conn *c, uint32_t segs)
{
	if (!segs)
		return;
	c->delivered -= segs;
	c->delivered += segs > c->sacked_out + 1 ? segs - c->sacked_out : 1;
	c->sacked_out -= MIN(segs - 1, c->sacked_out);
	reno_limit(c);
}

static void mark_head_lost(struct tcp_conn *c)
{
	struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	if (!r || r->lost & 1)
		return;
	tcp_rec_lost_again(c, r);
	tcp_rec_set_lost(c, r, 1);
	c->hint_rtx = r;
	reno_limit(c);
}

/* --- judging --- */

static void judge(struct tcp_conn *c, struct tcp_acked *a)
{
	uint32_t before = c->retrans_out;

	if (!c->sack_ok) {
		if ((c->ca < CA_RECOVERY && c->sacked_out >= c->reordering) ||
		    (c->ca == CA_RECOVERY && a->bytes))
			mark_head_lost(c);
	} else if (tcp_sysctl(c)->tcp_recovery & 1) {
		tcp_rack_mark_lost(c, a->now);
	} else {
		tcp_sack_mark_lost(c);
		tcp_sack_mark_rtx_lost(c);
	}
	a->lost_rtx = before > c->retrans_out;
}

/* RFC 2018 8: what is acknowledged ends where something sacked begins, so the
 * peer has thrown that away. A little patience, since an ACK may be on its way;
 * further ACKs that stay there do not prolong it. */
static bool peer_reneged(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_rec *head = list_first(&c->recs, struct tcp_rec, node);

	if (!a->bytes || !c->sack_ok || !head || !(head->sacked & 1))
		return false;
	tcp_timer_stop(c, TCP_T_TLP);
	tcp_timer_stop(c, TCP_T_REO);
	tcp_timer_set(c, TCP_T_RTX, a->now + MAX(c->srtt / 2, RENEGE_WAIT_MIN));
	return true;
}

/* --- the states --- */

void tcp_enter_recovery(struct tcp_conn *c, bool ece)
{
	stat_inc(c->t->core, c->sack_ok ? STAT_TcpExtTCPSackRecovery
					: STAT_TcpExtTCPRenoRecovery);
	arm_undo(c, 0);
	if (!tcp_is_reducing(c)) {
		if (!ece)
			c->undo.prior_ssthresh = current_ssthresh(c);
		begin_reduction(c, false);
	}
	c->ca = CA_RECOVERY;
}

/* A mark: reduce once a window (RFC 3168 6.1.2). Or a queue of our own is full.
 */
void tcp_enter_cwr(struct tcp_conn *c, bool by_mark)
{
	c->undo.prior_ssthresh = 0;
	if (c->ca >= CA_CWR)
		return;
	c->undo.armed = false;
	begin_reduction(c, by_mark);
	c->ca = CA_CWR;
}

void tcp_reduce_once(struct tcp_conn *c)
{
	tcp_enter_cwr(c, false);
	end_reduction(c);
	keep_open(c);
}

/* RFC 5682 in its SACK and its plain form. True: the timeout was spurious. */
static bool in_loss(struct tcp_conn *c, struct tcp_acked *a)
{
	bool recovered = seq_geq(c->snd_una, c->high_seq);

	if (a->bytes && try_undo_loss(c, a, false))
		return true;
	if (c->frto) {
		/* step 3.b: what was sent before the timeout has arrived */
		if (a->orig && try_undo_loss(c, a, true))
			return true;
		if (seq_gt(c->snd_nxt, c->high_seq)) {
			if (a->sacked || a->num_dup)
				c->frto = false; /* 3.a: loss is real */
		} else if (a->bytes && !recovered) {
			/* step 2.b: new data first, to see */
			c->high_seq = c->snd_nxt;
			if (tcp_unsent(c) &&
			    seq_gt(c->snd_una + c->snd_wnd, c->snd_nxt)) {
				c->frto_new = true;
				return false;
			}
			c->frto = false;
		}
	}
	if (recovered) {
		try_undo_recovery(c, a);
		return false;
	}
	if (!c->sack_ok) {
		if (seq_gt(c->snd_nxt, c->high_seq) && a->num_dup)
			reno_add(c, a);
		else if (a->bytes)
			c->sacked_out = 0;
	}
	return false;
}

static bool recovery_is_over(struct tcp_conn *c, const struct tcp_acked *a)
{
	if (c->ca == CA_CWR) {
		/* beyond it: the ACKs of what was in flight still count down */
		if (c->snd_una != c->high_seq) {
			end_reduction(c);
			c->ca = CA_OPEN;
		}
	} else if (c->ca == CA_RECOVERY) {
		if (!c->sack_ok)
			c->sacked_out = 0;
		if (try_undo_recovery(c, a))
			return true;
		end_reduction(c);
	}
	return false;
}

/* True: done with this ACK. */
static bool in_recovery(struct tcp_conn *c, struct tcp_acked *a)
{
	if (!a->bytes) {
		if (!c->sack_ok)
			reno_add(c, a);
	} else if (try_undo_partial(c, a)) {
		return true;
	}
	if (try_undo_dsack(c))
		keep_open(c);
	judge(c, a);
	if (c->ca == CA_RECOVERY)
		return true;
	/* undone: but what is lost beyond doubt begins a new one */
	return !c->lost_out;
}

void tcp_recover(struct tcp_conn *c, struct tcp_acked *a)
{
	if (a->ece) /* what the network says is not taken back */
		c->undo.prior_ssthresh = 0;
	if (!c->packets_out)
		c->sacked_out = 0;
	if (peer_reneged(c, a)) {
		a->keep_timer = true;
		return;
	}
	if (c->ca == CA_OPEN && !c->retrans_out)
		c->undo.resent_at = 0;
	else if (c->ca != CA_LOSS && seq_geq(c->snd_una, c->high_seq) &&
		 recovery_is_over(c, a))
		return;
	if (c->ca == CA_RECOVERY) {
		if (in_recovery(c, a))
			return;
	} else if (c->ca == CA_LOSS) {
		in_loss(c, a);
		if (c->ca != CA_LOSS && c->rto_at) {
			c->rto_time += a->now - c->rto_at;
			c->rto_at = 0;
		}
		judge(c, a);
		if (c->ca != CA_OPEN && !a->lost_rtx)
			return;
		if (!c->lost_out)
			return;
	} else {
		if (!c->sack_ok) {
			if (a->bytes)
				c->sacked_out = 0;
			reno_add(c, a);
		}
		if (c->ca <= CA_DISORDER)
			try_undo_dsack(c);
		judge(c, a);
		if (!c->lost_out) {
			if (a->ece)
				tcp_enter_cwr(c, true);
			if (c->ca != CA_CWR)
				keep_open(c);
			return;
		}
	}
	if (tcp_mtu_lost(c, a->now))
		return;
	tcp_enter_recovery(c, a->ece);
}

/* What a timeout makes of what is in flight: lost, but for what RACK says is
 * too young, or the peer was only slow (Linux's tcp_timeout_mark_lost()). */
static void mark_all_lost(struct tcp_conn *c, nsec now)
{
	struct tcp_rec *head = list_first(&c->recs, struct tcp_rec, node);
	bool rack = c->sack_ok && tcp_sysctl(c)->tcp_recovery & 1;
	bool reneged = c->sack_ok && head && head->sacked & 1;
	struct list *p;

	if (reneged) {
		stat_inc(c->t->core, STAT_TcpExtTCPSACKReneging);
		c->sack_reneged = true;
		tcp_sack_forget(c);
	} else if (!c->sack_ok) {
		c->sacked_out = 0;
	}
	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		if (!reneged && rack && r != head && c->rack.sent_at &&
		    r->last_at + c->rack.rtt > now)
			continue;
		if (r->is_rtx)
			c->lost += rec_count(r->lost);
		tcp_rec_lost_again(c, r);
		tcp_rec_set_lost(c, r, rec_all(r));
		list_remove(&r->sent);
	}
	c->hint_rtx = head;
}

void tcp_enter_loss(struct tcp_conn *c, nsec now)
{
	bool fresh = c->ca < CA_RECOVERY;
	uint32_t degree = (uint32_t)tcp_sysctl(c)->tcp_reordering;
	uint32_t sacked = c->sacked_out;

	mark_all_lost(c, now);
	if (c->ca <= CA_DISORDER || seq_leq(c->high_seq, c->snd_una) ||
	    (c->ca == CA_LOSS && !c->retransmits)) {
		uint32_t thresh = current_ssthresh(c);

		c->prior_cwnd = c->cc.cwnd;
		c->cc.by_mark = false;
		tcp_cwv_reduce(c);
		c->cc.ssthresh = cc_ops(&c->cc)->ssthresh(&c->cc);
		tcp_cc_event(c, CC_TIMEOUT, 0, now);
		arm_undo(c, thresh);
	}
	c->cc.cwnd = tcp_in_flight(c) + 1; /* RFC 5681 3.1 */
	c->cc.cwnd_cnt = 0;
	/* many duplicates did not help: reordering was overestimated */
	if (c->ca <= CA_DISORDER && sacked >= degree)
		c->reordering = MIN(c->reordering, degree);
	c->ca = CA_LOSS;
	c->ecn.cwr = tcp_ecn_is_classic(c);
	c->high_seq = c->snd_nxt;
	c->tlp_out = false;
	/* RFC 5682 2.1 step 1 */
	c->frto = tcp_sysctl(c)->tcp_frto && (fresh || c->retransmits);
	tcp_cc_event(c, CC_LOSS, 0, now);
}

/* Something is lost for another reason: Linux's
 * tcp_non_congestion_loss_retransmit(). */
static void not_congestion(struct tcp_conn *c, nsec now)
{
	if (!c->sack_ok)
		reno_limit(c);
	c->hint_rtx = list_first(&c->recs, struct tcp_rec, node);
	if (c->ca != CA_LOSS) {
		c->high_seq = c->snd_nxt;
		c->cc.ssthresh = current_ssthresh(c);
		c->undo.armed = false;
		c->undo.prior_ssthresh = 0;
		c->ca = CA_LOSS;
		tcp_cc_event(c, CC_LOSS, 0, now);
	}
	tcp_out(c, now);
}

/* The path takes less than was sent: what is too large counts as lost, which
 * is no sign of congestion. */
void tcp_simple_retransmit(struct tcp_conn *c, nsec now)
{
	uint32_t mss = tcp_out_mss(c);
	struct list *p;

	list_for_each (p, &c->recs) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, node);

		if (MIN(r->mss, r->len) <= mss)
			continue;
		tcp_rec_lost_again(c, r);
		tcp_rec_set_lost(c, r, rec_all(r));
	}
	if (c->lost_out) /* a probe may be so already */
		not_congestion(c, now);
}

void tcp_resend_all(struct tcp_conn *c, nsec now)
{
	struct list *p;

	list_for_each (p, &c->recs)
		tcp_rec_set_lost(c, list_entry(p, struct tcp_rec, node),
				 rec_all(list_entry(p, struct tcp_rec, node)));
	not_congestion(c, now);
}
