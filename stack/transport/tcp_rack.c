/* SPDX-License-Identifier: MIT
 *
 * tcp_rack.c - loss by time, and what to do about a lost tail (RFC 8985)
 *
 * RACK: a segment is lost when one sent after it has been delivered, and a
 * round trip and a little more (the reordering window) have passed since it was
 * sent. The connection's records hang on a list in order of their last
 * transmission, so a look goes from the oldest to the first that was sent after
 * the last delivered one, and resends are judged like everything else. What is
 * only too young is looked at again when a timer says so.
 *
 * The reordering window is nothing until reordering was seen, then a quarter of
 * the smallest round trip; each round trip with a D-SACK, the sign of a resend
 * that was not needed, adds a quarter, for 16 recoveries.
 *
 * TLP: when no ACK has come for two round trips, the last segment is sent
 * again, or a new one, to make the receiver tell what it holds: a lost tail
 * then needs no timeout.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define REO_WND_RECOVERIES 16  /* RFC 8985 6.2 step 4 */
#define REO_WND_STEPS_MAX 0xff /* Linux: so many quarters */
#define RACK_STATIC_REO_WND 2  /* bits of net.ipv4.tcp_recovery */
#define RACK_NO_DUPTHRESH 4    /* with reordering, no DupThresh either */
#define TLP_INIT SEC	       /* no round trip known: RFC 8985 7.2 */

void tcp_rack_init(struct tcp_conn *c)
{
	c->rack = (struct tcp_rack){.reo_wnd_steps = 1};
	c->reordering = (uint32_t)tcp_sysctl(c)->tcp_reordering;
}

/* --- RACK --- */

/* RFC 8985 6.2 step 2: what was delivered may be the newest of all. Was it the
 * resend, or the first one? As in Linux the shortest round trip tells, not the
 * timestamp: what an ACK of data out of order echoes is older than all that is
 * above the hole (RFC 7323 4.3), and a resend that is lost in its turn would be
 * seen by nothing but a timeout. */
void tcp_rack_note(struct tcp_conn *c, const struct tcp_acked *a,
		   const struct tcp_rec *r, uint32_t end)
{
	nsec rtt = a->now - r->last_at;

	if (r->num_tx > 1 && rtt < c->min_rtt)
		return;
	c->rack.advanced = true;
	c->rack.rtt = rtt;
	if (r->last_at > c->rack.sent_at ||
	    (r->last_at == c->rack.sent_at && seq_gt(end, c->rack.end_seq))) {
		c->rack.sent_at = r->last_at;
		c->rack.end_seq = end;
	}
}

/* RFC 8985 6.2 step 4 */
static nsec reo_wnd(const struct tcp_conn *c)
{
	int mode = (int)tcp_sysctl(c)->tcp_recovery;

	if (!c->rack.reord_seen) {
		if (c->ca >= CA_RECOVERY)
			return 0;
		if (c->sacked_out >= c->reordering &&
		    !(mode & RACK_NO_DUPTHRESH))
			return 0;
	}
	return MIN(c->min_rtt / 4 * c->rack.reo_wnd_steps, c->srtt);
}

/* The reordering window follows D-SACKs, once a round trip. */
void tcp_rack_update_wnd(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct tcp_rack *k = &c->rack;

	if ((tcp_sysctl(c)->tcp_recovery & RACK_STATIC_REO_WND) || !a->has_rate)
		return;
	/* this D-SACK was caused before the window was last raised */
	if (a->rate_delivered < k->last_delivered)
		k->dsack_seen = false;
	if (k->dsack_seen) {
		k->reo_wnd_steps =
			(uint8_t)MIN(k->reo_wnd_steps + 1, REO_WND_STEPS_MAX);
		k->dsack_seen = false;
		k->last_delivered = c->delivered;
		k->reo_wnd_persist = REO_WND_RECOVERIES;
	} else if (!k->reo_wnd_persist) {
		k->reo_wnd_steps = 1;
	}
}

static void mark(struct tcp_conn *c, struct tcp_rec *r, uint64_t mask)
{
	if (r->is_rtx) {
		uint64_t todo = rec_all(r) & ~r->sacked;

		/* a part only: the rest stays in flight */
		if (mask != todo &&
		    !tcp_rec_split(
			    c, r,
			    r->seq + (64u - (uint32_t)__builtin_clzll(mask)) *
					     r->mss))
			return;
		tcp_rec_clear_rtx(c, r);
		c->lost += rec_count(r->lost & mask);
		stat_add(c->t->core, STAT_TcpExtTCPLostRetransmit,
			 rec_count(mask));
		if (!c->hint_rtx || seq_lt(r->seq, c->hint_rtx->seq))
			c->hint_rtx = r;
	}
	tcp_rec_set_lost(c, r, mask);
	/* judged: until it is sent again nothing more can be said */
	if ((r->lost | r->sacked) == rec_all(r))
		list_remove(&r->sent);
}

/* RFC 8985 6.2 step 5. How long the youngest that may be lost has to wait. */
static nsec detect(struct tcp_conn *c, nsec now)
{
	nsec wnd = reo_wnd(c), wait = 0;
	struct list *p, *tmp;

	list_for_each_safe (p, tmp, &c->sent) {
		struct tcp_rec *r = list_entry(p, struct tcp_rec, sent);
		uint64_t mask = rec_all(r) & ~r->sacked;
		nsec left;

		if (r->last_at > c->rack.sent_at)
			break;
		if (r->last_at == c->rack.sent_at)
			mask &= tcp_rec_covered(r, r->seq, c->rack.end_seq);
		if (!r->is_rtx)
			mask &= ~r->lost;
		if (!mask)
			continue;
		left = r->last_at + c->rack.rtt + wnd - now;
		if (left <= 0)
			mark(c, r, mask);
		else
			wait = MAX(wait, left);
	}
	return wait;
}

/* The timeout goes on from where it was: the oldest's last transmission. */
static void resume_rtx(struct tcp_conn *c, nsec now)
{
	const struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	if (r && c->at[TCP_T_RTX] == TIME_NEVER &&
	    c->at[TCP_T_TLP] == TIME_NEVER && c->at[TCP_T_REO] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_RTX, MAX(r->last_at + c->rto, now));
}

/* One of the three timers at a time (RFC 8985 8): while reordering is given
 * time, there is neither a probe nor a timeout. */
static void look(struct tcp_conn *c, nsec now)
{
	nsec wait = detect(c, now);

	if (!wait) {
		tcp_timer_stop(c, TCP_T_REO);
		resume_rtx(c, now);
		return;
	}
	tcp_timer_set(c, TCP_T_REO, now + MIN(wait + TCP_TIMEOUT_MIN, c->rto));
	tcp_timer_stop(c, TCP_T_TLP);
	tcp_timer_stop(c, TCP_T_RTX);
}

void tcp_rack_mark_lost(struct tcp_conn *c, nsec now)
{
	if (!c->rack.advanced)
		return;
	c->rack.advanced = false;
	look(c, now);
}

/* What was too young to be judged is not any more. */
void tcp_rack_timer(struct tcp_conn *c, nsec now)
{
	struct tcp_acked a = {.now = now,
			      .prior_lost = c->lost,
			      .prior_una = c->snd_una,
			      .prior_delivered = c->delivered};

	look(c, now);
	if (c->lost == a.prior_lost)
		return;
	if (c->ca != CA_RECOVERY)
		tcp_enter_recovery(c, false);
	tcp_reduce(c, &a);
	tcp_out(c, now);
}

/* --- TLP --- */

/* RFC 8985 7.2: the probe timeout, never later than the retransmission's. */
bool tcp_tlp_arm(struct tcp_conn *c, nsec deadline, nsec now)
{
	nsec pto = TLP_INIT;

	if (!c->sack_ok || !c->packets_out || !TCPS_IN(c, TCPS_CAN_SEND) ||
	    !TCP_CA_IN(c, (1u << CA_OPEN) | (1u << CA_CWR)) ||
	    tcp_sysctl(c)->tcp_early_retrans < 3)
		return false;
	if (c->srtt) {
		pto = 2 * c->srtt;
		/* a lone segment's ACK may be delayed */
		pto += c->packets_out == 1 ? tcp_rto_min(c) : TCP_TIMEOUT_MIN;
	}
	tcp_timer_set(c, TCP_T_TLP,
		      MIN(now + pto, MAX(deadline, now)) +
			      tcp_pace_delay(c, now));
	tcp_timer_stop(c, TCP_T_RTX);
	return true;
}

/* RFC 8985 7.3 */
void tcp_tlp_timer(struct tcp_conn *c, nsec now)
{
	bool is_rtx;

	/* one probe at a time; after that only the timeout is left */
	if (!c->tlp_out && tcp_send_tail(c, &is_rtx, now) == 0) {
		c->tlp_out = true;
		c->tlp_is_rtx = is_rtx;
		c->tlp_high_seq = c->snd_nxt;
		stat_inc(c->t->core, STAT_TcpExtTCPLossProbes);
	}
	tcp_timer_stop(c, TCP_T_TLP);
	if (c->packets_out)
		tcp_timer_set(c, TCP_T_RTX, now + c->rto);
}

/* RFC 8985 7.4: did the probe repair a loss that nothing else tells of? */
void tcp_tlp_ack(struct tcp_conn *c, const struct tcp_acked *a)
{
	uint32_t ack = a->s->r.ack;

	if (!c->tlp_out || seq_lt(ack, c->tlp_high_seq))
		return;
	if (!c->tlp_is_rtx || a->tlp_dsack) {
		c->tlp_out = false; /* new data, or both copies came */
	} else if (seq_gt(ack, c->tlp_high_seq)) {
		/* data sent later is acked, and no D-SACK came: lost */
		c->tlp_out = false;
		tcp_reduce_once(c);
		stat_inc(c->t->core, STAT_TcpExtTCPLossProbeRecovery);
	} else if (!a->bytes && !a->sacked && !a->s->len && a->num_dup) {
		c->tlp_out = false; /* a pure duplicate: both copies came */
	}
}
