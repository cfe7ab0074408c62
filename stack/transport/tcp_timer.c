/* SPDX-License-Identifier: MIT
 *
 * tcp_timer.c - every deadline: what arms it, what stops it, what it does
 *
 * A connection has one entry in the heap, at the earliest of its deadlines; it
 * is moved lazily, so pushing a deadline back costs a store. Giving up is by
 * time, as in Linux: so many retries stand for the time that they would take
 * with the smallest RTO.
 */
#include <errno.h>

#include "base/util.h"
#include "transport/tcp_conn.h"

#define THIN_LINEAR_RETRIES 6 /* Linux: TCP_THIN_LINEAR_RETRIES */
#define RTO_RESTART_THRESH 4u /* RFC 7765 4: rrthresh */

void tcp_timer_set(struct tcp_conn *c, enum tcp_timer t, nsec at)
{
	c->at[t] = at;
}

/* With a coarse clock (net.ipv4.tcp_tick_us) a deadline is over at the tick
 * after the one that it falls on: Linux's timers don't know either where in a
 * tick they were armed. Those that Linux has in nanoseconds stay so. */
static nsec due_at(const struct tcp_conn *c, unsigned t)
{
	nsec tick = tcp_sysctl(c)->tcp_tick_us * USEC, at = c->at[t];

	if (!tick || at == TIME_NEVER || t == TCP_T_OUT || t == TCP_T_PACE ||
	    t == TCP_T_COMP)
		return at;
	return (DIV_ROUND_UP(at, tick) + 1) * tick;
}

void tcp_timer_sync(struct tcp_conn *c)
{
	nsec at = TIME_NEVER;

	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++)
		at = MIN(at, due_at(c, i));
	if (at == TIME_NEVER)
		timer_disarm(&c->t->core->timers, &c->timer);
	else if (at != c->timer.at)
		timer_arm(&c->t->core->timers, &c->timer, at);
	tcp_mem_sync(c);
}

/* RFC 7765 4: with so little in flight that three duplicates can't come, the
 * time that the oldest has been out already counts. Not in Linux. */
static nsec rto_left(const struct tcp_conn *c, nsec now)
{
	const struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);
	uint32_t unsent = DIV_ROUND_UP(tcp_unsent(c), MAX(c->mss_cache, 1u));
	nsec gone;

	if (!tcp_sysctl(c)->tcp_rto_restart || !r ||
	    c->packets_out + unsent >= RTO_RESTART_THRESH)
		return c->rto;
	gone = now - r->last_at;
	return gone < c->rto ? c->rto - gone : c->rto;
}

void tcp_timer_rtx_restart(struct tcp_conn *c, nsec now)
{
	nsec at = now + rto_left(c, now);

	if (c->at[TCP_T_REO] != TIME_NEVER) /* that comes first */
		return;
	tcp_timer_stop(c, TCP_T_TLP);
	if (!tcp_tlp_arm(c, at, now))
		tcp_timer_set(c, TCP_T_RTX, at + tcp_pace_delay(c, now));
}

/* --- knobs --- */

nsec tcp_keep_idle(const struct tcp_conn *c)
{
	uint32_t s = c->ep->topt.keepidle;
	nsec idle = (s ? s : tcp_sysctl(c)->tcp_keepalive_time) * SEC;
	nsec uto = tcp_uto_adopted(c);

	/* RFC 5482 4.2: it must not end what the option is to keep alive */
	return uto ? MAX(idle, uto + SEC) : idle;
}

static nsec keep_intvl(const struct tcp_conn *c)
{
	uint32_t s = c->ep->topt.keepintvl;

	return (s ? s : tcp_sysctl(c)->tcp_keepalive_intvl) * SEC;
}

nsec tcp_fin2_len(const struct tcp_conn *c)
{
	int32_t s = c->ep->topt.linger2;
	nsec len;

	if (s < 0)
		return -1;
	len = (s ? s : tcp_sysctl(c)->tcp_fin_timeout) * SEC;
	/* never shorter than it takes to hear of a lost FIN, as Linux */
	return MAX(len, (c->rto << 2) - (c->rto >> 1));
}

/* TCP_USER_TIMEOUT, or what the peer asked for. */
static nsec user_timeout(const struct tcp_conn *c)
{
	nsec own = c->ep->topt.user_timeout * MSEC;

	return own ? own : tcp_uto_adopted(c);
}

/* --- giving up --- */

static bool give_up(struct tcp_conn *c, nsec now)
{
	int err = c->ep->err_soft ? c->ep->err_soft : ETIMEDOUT;

	stat_inc(c->t->core, STAT_TcpExtTCPAbortOnTimeout);
	c->is_reset = true;
	return tcp_done(c, err, now);
}

/* tcp_orphan_retries(): a closed connection is not waited for as long. */
static unsigned orphan_retries(const struct tcp_conn *c, bool alive)
{
	unsigned n = (unsigned)tcp_sysctl(c)->tcp_orphan_retries;

	if (c->ep->err_soft && !alive)
		return 0;
	return !n && alive ? 8 : n;
}

/* retransmits_timed_out(): has it taken longer than @retries would? */
static bool timed_out(const struct tcp_conn *c, unsigned retries, nsec limit,
		      nsec now)
{
	if (!c->retransmits || !c->retrans_at)
		return false;
	if (!limit)
		limit = tcp_model_timeout(c, retries, tcp_rto_min(c));
	return now - c->retrans_at >= limit;
}

/* tcp_write_timeout() of Linux: so many SYNs, or as long as they would take if
 * each interval were twice the last. Counted from the first one. */
static bool syn_timed_out(const struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	unsigned max = c->ep->topt.syncnt ? c->ep->topt.syncnt
		       : c->is_tfo	  ? (unsigned)v->tcp_synack_retries
					  : (unsigned)v->tcp_syn_retries;
	nsec limit = user_timeout(c);

	if (!limit)
		limit = tcp_model_timeout(c, max, TCP_RTO_INIT);
	if (c->state == TCPS_SYN_SENT)
		max += (unsigned)v->tcp_syn_linear_timeouts;
	if (c->retransmits >= max)
		return true;
	return c->retrans_at && now - c->retrans_at + TCP_RTO_INIT >= limit;
}

static bool is_over(struct tcp_conn *c, nsec now)
{
	unsigned max = (unsigned)tcp_sysctl(c)->tcp_retries2;

	if (TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD)))
		return syn_timed_out(c, now);
	if (timed_out(c, (unsigned)tcp_sysctl(c)->tcp_retries1, 0, now))
		tcp_mtu_black_hole(c, now);
	if (c->is_orphan)
		max = orphan_retries(c, c->rto < tcp_rto_max(c));
	return timed_out(c, max, user_timeout(c), now);
}

static bool write_timed_out(struct tcp_conn *c, nsec now)
{
	bool over = is_over(c, now);

	tcp_fo_timeout(c, over, now);
	return over;
}

/* tcp_rtx_probe0_timed_out(): the peer's window has closed on what is in
 * flight. It may take its time while it answers, but TCP_USER_TIMEOUT is about
 * progress. */
static bool shut_timed_out(const struct tcp_conn *c, nsec now)
{
	const struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);
	nsec limit = 2 * tcp_rto_max(c), user = user_timeout(c);
	nsec waits = now - (c->retrans_at ? c->retrans_at : r->first_at);

	if (user && waits > user)
		return true;
	if (user)
		limit = MIN(limit, user);
	return now - c->heard_at > limit && waits > limit;
}

/* An orphan that waits while memory is short is the first to go. */
static bool orphan_is_too_much(struct tcp_conn *c, nsec now)
{
	bool alive = c->rto < tcp_rto_max(c);
	unsigned max = orphan_retries(c, alive);

	return c->is_orphan &&
	       tcp_mem_orphan_waits(c, alive || !timed_out(c, max, 0, now),
				    now);
}

/* TCP_USER_TIMEOUT ends a connection when it is over, not a doubled wait later:
 * tcp_clamp_rto_to_user_timeout(). */
static nsec within_user_timeout(const struct tcp_conn *c, nsec since, nsec wait,
				nsec now)
{
	nsec left = since + user_timeout(c) - now;

	if (!user_timeout(c) || !since)
		return wait;
	return MIN(wait, MAX(left, MSEC));
}

/* --- what they do; true: the connection is gone --- */

/* tcp_stream_is_thin(): too little in flight for fast retransmit. */
static bool is_thin(const struct tcp_conn *c)
{
	return c->packets_out < 4 && c->cc.ssthresh < CC_SSTHRESH_NONE;
}

static void back_off(struct tcp_conn *c)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	bool linear = c->state == TCPS_SYN_SENT &&
		      c->total_rto <= v->tcp_syn_linear_timeouts;

	if (linear)
		return;
	if (c->state == TCPS_ESTABLISHED &&
	    (c->ep->topt.thin_linear || v->tcp_thin_linear_timeouts) &&
	    is_thin(c) && c->retransmits <= THIN_LINEAR_RETRIES) {
		c->backoff = 0;
		tcp_rto_update(c);
		return;
	}
	if (c->backoff < 31)
		c->backoff++;
	c->rto = MIN(2 * c->rto, tcp_rto_max(c)); /* RFC 6298 5.5 */
}

/* What a timeout has put an end to. */
static void count_failure(const struct tcp_conn *c)
{
	enum stat_id s;

	if (c->retransmits)
		return;
	if (c->ca == CA_RECOVERY)
		s = c->sack_ok ? STAT_TcpExtTCPSackRecoveryFail
			       : STAT_TcpExtTCPRenoRecoveryFail;
	else if (c->ca == CA_LOSS)
		s = STAT_TcpExtTCPLossFailures;
	else if (c->ca == CA_DISORDER || c->sacked_out)
		s = c->sack_ok ? STAT_TcpExtTCPSackFailures
			       : STAT_TcpExtTCPRenoFailures;
	else
		return;
	stat_inc(c->t->core, s);
}

static void syn_expired(struct tcp_conn *c)
{
	const struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	if (r && r->is_rtx && !c->is_passive)
		stat_inc(c->t->core, STAT_TcpExtTCPLostRetransmit);
	tcp_ecn_syn_again(c);
}

/**
 * rtx_expired() - Nothing acked for a whole RTO: all of it counts as lost
 * @c:		Connection
 * @now:	Current time
 *
 * The head is sent again at once, the rest as ACKs come in.
 *
 * Return: true if the connection was given up and freed
 */
static bool rtx_expired(struct tcp_conn *c, nsec now)
{
	bool syn = TCPS_IN(c, TCPS_BIT(SYN_SENT) | TCPS_BIT(SYN_RCVD));
	bool shut = !c->snd_wnd && !c->is_orphan && !syn;
	/* a request in Linux: tcp_fastopen_synack_timer() */
	bool early = c->is_tfo && c->state == TCPS_SYN_RCVD;
	int err;

	if (!c->packets_out)
		return false;
	if (!shut && !early)
		stat_inc(c->t->core, STAT_TcpExtTCPTimeouts);
	if (shut ? shut_timed_out(c, now) : write_timed_out(c, now))
		return give_up(c, now);
	if (!syn && orphan_is_too_much(c, now))
		return true;
	if (!shut && !early)
		count_failure(c);
	tcp_timer_stop(c, TCP_T_TLP);
	tcp_timer_stop(c, TCP_T_REO);
	if (!syn)
		tcp_enter_loss(c, now);
	else
		syn_expired(c);
	/* the window has closed on what is in flight: not the path's fault */
	if (!c->retransmits) { /* Linux's tcp_update_rto_stats() */
		c->rto_recoveries++;
		c->rto_at = now;
	}
	if (!shut && c->retransmits < UINT8_MAX)
		c->retransmits++;
	if (c->total_rto < UINT16_MAX)
		c->total_rto++;
	err = tcp_resend_head(c, now);
	if (err == -ENOBUFS || err == -EBUSY) {
		tcp_timer_set(c, TCP_T_RTX, now + TCP_RESOURCE_RETRY);
		return false;
	}
	if (!c->retrans_at)
		c->retrans_at = now;
	back_off(c);
	tcp_timer_set(c, TCP_T_RTX,
		      now + within_user_timeout(c, c->retrans_at, c->rto, now));
	return false;
}

static bool tlp_expired(struct tcp_conn *c, nsec now)
{
	tcp_tlp_timer(c, now);
	return false;
}

static bool reo_expired(struct tcp_conn *c, nsec now)
{
	tcp_rack_timer(c, now);
	return false;
}

static nsec probe_wait(const struct tcp_conn *c)
{
	nsec base =
		MAX(c->srtt ? c->srtt + 4 * c->rttvar : c->rto, tcp_rto_min(c));
	nsec max = tcp_rto_max(c);

	for (unsigned i = 0; i < c->backoff && base < max; i++)
		base *= 2;
	return MIN(base, max);
}

/* Persist (RFC 9293 3.8.6.1), and the limit of Nagle's and a cork's patience.
 */
static bool probe_expired(struct tcp_conn *c, nsec now)
{
	unsigned max = (unsigned)tcp_sysctl(c)->tcp_retries2;
	int err;

	if (c->at[TCP_T_PACE] != TIME_NEVER)
		return false; /* it is our own pace that data waits for */
	if (c->packets_out || c->fin_sent ||
	    (!tcp_unsent(c) && !c->fin_queued)) {
		c->probes_out = 0;
		return false;
	}
	if (!c->probes_at)
		c->probes_at = now;
	else if (user_timeout(c) && now - c->probes_at >= user_timeout(c))
		return give_up(c, now);
	if (c->is_orphan) {
		bool alive = probe_wait(c) < tcp_rto_max(c);

		max = orphan_retries(c, alive);
		if (!alive && c->backoff >= max)
			return give_up(c, now);
		if (tcp_mem_orphan_waits(c, true, now))
			return true;
	}
	if (c->probes_out >= max)
		return give_up(c, now);
	tcp_mark_push(c);
	tcp_out_push(c, now);
	err = c->packets_out ? 0 : tcp_send_wakeup(c, now);
	if (c->packets_out) { /* data itself has gone: tcp_send_probe0() */
		c->probes_out = c->backoff = 0;
		c->probes_at = 0;
		return false;
	}
	if (!err || err == -EBUSY)
		c->probes_out++;
	if (!err && c->backoff < max)
		c->backoff++;
	tcp_timer_set(c, TCP_T_PROBE,
		      now + within_user_timeout(c, c->probes_at,
						err ? TCP_RESOURCE_RETRY
						    : probe_wait(c),
						now));
	return false;
}

static bool delack_expired(struct tcp_conn *c, nsec now)
{
	if (!c->owe)
		return false;
	if (tcp_is_pingpong(c)) {
		/* no answer came along: be quicker next time */
		tcp_set_pingpong(c, false);
		c->ato = TCP_DELACK_MIN;
	} else {
		c->ato = MIN(2 * c->ato, c->rto);
	}
	stat_inc(c->t->core, STAT_TcpExtDelayedACKs);
	tcp_send_ack(c, now);
	return false;
}

static bool keep_expired(struct tcp_conn *c, nsec now)
{
	uint32_t cnt = c->ep->topt.keepcnt;
	nsec idle = now - c->heard_at;
	nsec limit = c->ep->topt.user_timeout * MSEC;

	if (!ep_opt(c->ep, EP_O_KEEPALIVE) ||
	    TCPS_IN(c, TCPS_BIT(CLOSED) | TCPS_BIT(SYN_SENT)))
		return false;
	if (c->packets_out || tcp_unsent(c)) {
		/* the retransmission or probe timer looks after it */
		tcp_timer_set(c, TCP_T_KEEP, now + tcp_keep_idle(c));
		return false;
	}
	if (idle < tcp_keep_idle(c)) {
		tcp_timer_set(c, TCP_T_KEEP, now + tcp_keep_idle(c) - idle);
		return false;
	}
	if (!cnt)
		cnt = (uint32_t)tcp_sysctl(c)->tcp_keepalive_probes;
	if (limit ? idle >= limit && c->keep_probes : c->keep_probes >= cnt) {
		tcp_send_rst(c, now);
		return give_up(c, now);
	}
	stat_inc(c->t->core, STAT_TcpExtTCPKeepAlive);
	if (!tcp_is_unsent(tcp_send_probe(c, now))) {
		c->keep_probes++;
		tcp_timer_set(c, TCP_T_KEEP, now + keep_intvl(c));
	} else {
		tcp_timer_set(c, TCP_T_KEEP, now + TCP_RESOURCE_RETRY);
	}
	return false;
}

static bool fin2_expired(struct tcp_conn *c, nsec now)
{
	return c->state == TCPS_FIN_WAIT2 && c->is_orphan &&
	       tcp_done(c, 0, now);
}

static bool out_expired(struct tcp_conn *c, nsec now)
{
	tcp_out(c, now);
	c->no_memory = false;
	tcp_snd_check_space(c);
	return false;
}

static bool comp_expired(struct tcp_conn *c, nsec now)
{
	if (!c->comp_held)
		return false;
	c->comp_held--; /* one is sent after all */
	tcp_send_ack(c, now);
	return false;
}

static bool expired(struct tcp_conn *c, enum tcp_timer t, nsec now)
{
	switch (t) {
	case TCP_T_RTX:
		return rtx_expired(c, now);
	case TCP_T_TLP:
		return tlp_expired(c, now);
	case TCP_T_REO:
		return reo_expired(c, now);
	case TCP_T_PROBE:
		return probe_expired(c, now);
	case TCP_T_DELACK:
		return delack_expired(c, now);
	case TCP_T_KEEP:
		return keep_expired(c, now);
	case TCP_T_COMP:
		return comp_expired(c, now);
	case TCP_T_FIN2:
		return fin2_expired(c, now);
	case TCP_T_OUT:
	case TCP_T_PACE:
		return out_expired(c, now);
	default:
		return false;
	}
}

void tcp_conn_timer(struct timer *tm, nsec now)
{
	struct tcp_conn *c = container_of(tm, struct tcp_conn, timer);

	transport_note(c->t->tp, c->ep);
	c->t->mem.now = now;
	for (unsigned i = 0; i < TCP_NUM_TIMERS; i++) {
		if (due_at(c, i) > now)
			continue;
		c->at[i] = TIME_NEVER;
		if (expired(c, i, now))
			return;
	}
	tcp_timer_sync(c);
	tcp_check(c);
}

/* --- what arms them --- */

/* RFC 6069: a router says that there is no way now, so the wait was not for
 * congestion; one doubling of it is taken back (tcp_ld_RTO_revert()). */
void tcp_timer_revert(struct tcp_conn *c, uint32_t seq, nsec now)
{
	const struct tcp_rec *r = list_first(&c->recs, struct tcp_rec, node);

	if (!r || seq != c->snd_una || !c->retransmits || !c->backoff)
		return;
	c->backoff--;
	c->rto = MIN(TCP_RTO_INIT, tcp_rto_max(c));
	if (c->srtt)
		tcp_rto_update(c);
	for (unsigned i = 0; i < c->backoff && c->rto < tcp_rto_max(c); i++)
		c->rto = MIN(2 * c->rto, tcp_rto_max(c));
	tcp_timer_set(c, TCP_T_RTX, MAX(r->last_at + c->rto, now));
}

bool tcp_ack_may_wait(struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	nsec rtt = c->rcv_rtt, wait;

	if (!c->sack_ok || list_empty(&c->ofo) ||
	    c->comp_held >= v->tcp_comp_sack_nr)
		return false;
	if (c->comp_rcv_nxt != c->rcv_nxt) {
		c->comp_rcv_nxt = c->rcv_nxt;
		c->comp_dups = 0;
	}
	if (c->comp_dups < TCP_DUP_THRESH) { /* it needs those, RFC 5681 3.2 */
		c->comp_dups++;
		return false;
	}
	if (c->srtt && (!rtt || c->srtt < rtt))
		rtt = c->srtt;
	wait = MIN(rtt * v->tcp_comp_sack_rtt_percent / 100,
		   v->tcp_comp_sack_delay_ns);
	if (!wait)
		return false;
	c->comp_held++;
	if (c->at[TCP_T_COMP] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_COMP, now + wait);
	return true;
}

void tcp_timer_keep_changed(struct tcp_conn *c, nsec now)
{
	if (!ep_opt(c->ep, EP_O_KEEPALIVE)) {
		tcp_timer_stop(c, TCP_T_KEEP);
		return;
	}
	if (!TCPS_IN(c, TCPS_BIT(CLOSED) | TCPS_BIT(SYN_SENT)))
		tcp_timer_set(c, TCP_T_KEEP,
			      MAX(now, c->heard_at + tcp_keep_idle(c)));
}

/* tcp_send_delayed_ack(): soon for a peer that sends often, later while an
 * answer of the user may take the ACK along. */
void tcp_timer_delack(struct tcp_conn *c, nsec now)
{
	nsec ato = MAX(c->ato, TCP_DELACK_MIN), max = TCP_DELACK_MAX;

	if (c->owe & TCP_OWE_NOW)
		ato = TCP_DELACK_MIN;
	if (tcp_is_pingpong(c))
		max = TCP_DELACK_MAX;
	else if (c->srtt)
		max = MIN(max, MAX(c->srtt, TCP_DELACK_MIN));
	if (c->ep->topt.delack_max_us)
		max = MIN(max, c->ep->topt.delack_max_us * USEC);
	ato = MIN(ato, max);
	if (c->at[TCP_T_DELACK] == TIME_NEVER ||
	    c->at[TCP_T_DELACK] > now + ato)
		tcp_timer_set(c, TCP_T_DELACK, now + ato);
}
