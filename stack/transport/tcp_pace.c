/* SPDX-License-Identifier: MIT
 *
 * tcp_pace.c - when the next frame may leave, and who sets the rate
 *
 * A paced connection keeps the earliest instant at which its next frame may
 * leave: that of the last one, and as long as its bytes take at the pacing
 * rate. Resends count like new data. Before that instant the output loop stops
 * and a timer goes on with it; this is no limit of the window nor of the
 * application, and neither grows nor ages anything.
 *
 * Sleeps are coarse and come late, and short frames would need one each. So
 * the timer waits a quantum at least, a millisecond or, to a near peer, a
 * quarter of the round trip, since a small buffer on a short path holds no
 * more; and what it came too late for is sent then, up to a quantum of
 * lateness more: the rate holds on the average, and no burst is longer than
 * two quanta of it. Who comes late for another reason,
 * since there was nothing to send, is credited half a frame, as in Linux.
 *
 * The rate is the congestion control's if it has one (BBR), which also has its
 * connection paced; else tcp_pacing_update()'s, and SO_MAX_PACING_RATE its
 * bound. With net.core.default_qdisc=fq all are paced, as by that queue; a
 * window that is not validated (RFC 7661) always is.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define QUANTUM_MAX (1 * MSEC)	 /* Linux: sk_pacing_shift of 10 */
#define QUANTUM_MIN (250 * USEC) /* ours: sleeps end 100 us late */
#define UNPACED_SEGS 10u	 /* Linux: the initial window goes at once */

static bool is_paced(const struct tcp_conn *c)
{
	return c->is_paced || tcp_cwv_is_paced(c);
}

static nsec quantum(const struct tcp_conn *c)
{
	return c->min_rtt ? CLAMP(c->min_rtt / 4, QUANTUM_MIN, QUANTUM_MAX)
			  : QUANTUM_MAX;
}

void tcp_pace_enable(struct tcp_conn *c)
{
	c->is_paced = c->cc.is_paced = true;
	c->pacing_rate = MIN(c->pacing_rate, c->ep->max_pacing);
}

bool tcp_pace_holds(struct tcp_conn *c, nsec now)
{
	if (!is_paced(c) || c->pace_at <= now)
		return false;
	if (c->at[TCP_T_PACE] == TIME_NEVER)
		tcp_timer_set(c, TCP_T_PACE, MAX(c->pace_at, now + quantum(c)));
	return true;
}

void tcp_pace_sent(struct tcp_conn *c, uint32_t len, nsec now)
{
	uint64_t rate = c->pacing_rate;
	nsec late = now - c->pace_at, took, credit;

	if (!is_paced(c) || !rate || rate == ~0ull ||
	    c->data_segs_out < UNPACED_SEGS)
		return;
	took = (nsec)((uint64_t)len * (uint64_t)SEC / rate);
	if (late > 0) {
		credit = c->pace_waits ? 2 * quantum(c) : took / 2;
		took -= MIN(late, credit);
		c->pace_at = now;
	}
	c->pace_at += took;
}

nsec tcp_pace_delay(const struct tcp_conn *c, nsec now)
{
	return is_paced(c) && c->pace_at > now ? c->pace_at - now : 0;
}

/* --- the congestion control's side --- */

static void show(struct tcp_conn *c, nsec now)
{
	struct cc *cc = &c->cc;

	cc->una = c->snd_una;
	cc->nxt = c->snd_nxt;
	cc->now = now;
	cc->srtt = c->srtt;
	cc->min_rtt = c->min_rtt;
	cc->pace_at = c->pace_at;
	cc->pacing_rate = c->pacing_rate;
	cc->max_pacing = c->ep->max_pacing;
	cc->delivered = c->delivered;
	cc->delivered_at = c->delivered_at;
	cc->app_limited = c->app_limited;
	cc->in_flight = tcp_in_flight(c);
	cc->lost = c->lost;
	cc->mss = c->mss_cache;
	cc->seed = c->iss;
	cc->ca = c->ca;
	cc->is_cwnd_limited = c->is_cwnd_limited;
	cc->has_sack = c->sack_ok;
	cc->has_ecn = c->ecn.mode != ECN_OFF;
	cc->ce_state = c->ecn.ce_state;
	cc->delivered_ce = c->ecn.delivered_ce;
}

static void take(struct tcp_conn *c)
{
	if (!tcp_cc_has_control(c))
		return;
	c->pacing_rate = c->cc.pacing_rate;
	c->app_limited = c->cc.app_limited;
}

void tcp_cc_init(struct tcp_conn *c, enum cc_id id, nsec now)
{
	show(c, now);
	cc_switch(&c->cc, id);
	if (tcp_cc_has_control(c))
		c->is_paced = true;
	c->cc.is_paced = c->is_paced;
	take(c);
}

void tcp_cc_acked(struct tcp_conn *c, nsec now)
{
	if (!cc_ops(&c->cc)->acked)
		return;
	show(c, now);
	cc_ops(&c->cc)->acked(&c->cc);
}

void tcp_cc_event(struct tcp_conn *c, enum cc_event ev, nsec idle, nsec now)
{
	if (!cc_ops(&c->cc)->event)
		return;
	show(c, now);
	cc_ops(&c->cc)->event(&c->cc, ev, idle, now);
	take(c);
}

/* Linux's FLAG_ACK_MAYBE_DELAYED: a lone small segment. */
static bool may_be_delayed(const struct tcp_conn *c, const struct tcp_acked *a)
{
	return a->segs == 1 && !a->sacked && a->bytes < c->mss_cache &&
	       a->has_rate && a->rate_delivered + 1 == c->delivered;
}

void tcp_cc_lost(struct tcp_conn *c, const struct tcp_rec *r, uint32_t segs)
{
	struct cc_loss l = {
		.segs = segs,
		.tx_in_flight = r->tx_in_flight,
		.lost = c->lost - r->lost_before,
		.app_limited = r->app_limited,
	};
	nsec now = c->cc.now;

	if (!cc_ops(&c->cc)->lost)
		return;
	show(c, now);
	cc_ops(&c->cc)->lost(&c->cc, &l);
	take(c);
}

void tcp_cc_control(struct tcp_conn *c, const struct tcp_acked *a)
{
	struct cc_sample s = {
		.acked = (uint32_t)(c->delivered - a->prior_delivered),
		.losses = c->lost - a->prior_lost,
		.prior_in_flight = a->prior_in_flight,
		.rtt = a->rtt_at && !a->resent ? a->now - a->rtt_at : -1,
		.is_ack_delayed = may_be_delayed(c, a),
	};

	if (a->has_rate) {
		s.delivered = c->rate.delivered;
		s.interval = c->rate.interval;
		s.prior_delivered = a->rate_delivered;
		s.tx_in_flight = a->rate_in_flight;
		s.lost = c->lost - a->rate_lost;
		s.app_limited = c->rate.app_limited;
	}
	show(c, a->now);
	cc_ops(&c->cc)->control(&c->cc, &s, a->now);
	take(c);
}
