/* SPDX-License-Identifier: MIT
 *
 * tcp_cwv.c - a congestion window that was not filled (RFC 7661)
 *
 * Linux's default, RFC 2861's thought: a window that is not used is worth less
 * with each RTO, and does not grow. A sender that pauses then begins with ten
 * segments. RFC 7661 keeps the window instead, for five minutes, but marks it
 * as not validated when less than half of it arrived in a round trip (pipeACK)
 * of late; if such a window meets losses it falls from what was used, not from
 * what was allowed. Nor is it sent at once: while it is not validated it is
 * paced over a round trip, or a pause would end in a burst of all of it at the
 * rate of the first link. net.ipv4.tcp_cwv=1 asks for it; controls that set
 * their window themselves (BBR) have no use for it.
 *
 * A sample is what was delivered in a round trip; their maximum is kept for one
 * to two sampling periods.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

#define PERIOD_MIN SEC	    /* RFC 7661 4.2: max (3 RTT, 1 s) */
#define NVP_LEN (300 * SEC) /* RFC 7661 4.4: non-validated period */

static bool is_on(const struct tcp_conn *c)
{
	return tcp_sysctl(c)->tcp_cwv && !tcp_cc_has_control(c);
}

static uint32_t pipe_ack(const struct tcp_conn *c)
{
	return MAX(c->cwv.pipe[0], c->cwv.pipe[1]);
}

/* RFC 7661 4.3; nothing measured yet counts as used. */
static bool is_validated(const struct tcp_conn *c)
{
	return !c->cwv.has_sample || pipe_ack(c) >= c->cc.cwnd / 2;
}

static void age(struct tcp_conn *c, nsec now)
{
	nsec period = MAX(3 * c->srtt, PERIOD_MIN);

	for (int i = 0; i < 2 && now - c->cwv.period_at >= period; i++) {
		c->cwv.pipe[0] = c->cwv.pipe[1];
		c->cwv.pipe[1] = 0;
		c->cwv.period_at += period;
	}
	if (now - c->cwv.period_at >= period)
		c->cwv.period_at = now;
}

static void note_phase(struct tcp_conn *c, nsec now)
{
	if (is_validated(c))
		c->cwv.since = 0;
	else if (!c->cwv.since)
		c->cwv.since = now;
}

void tcp_cwv_acked(struct tcp_conn *c, nsec now)
{
	struct tcp_cwv *w = &c->cwv;

	if (!is_on(c))
		return;
	age(c, now);
	if (c->ca >= CA_RECOVERY) { /* tells nothing: RFC 7661 4.2 */
		w->end_seq = c->snd_nxt;
		w->delivered = c->delivered;
		return;
	}
	if (seq_geq(c->snd_una, w->end_seq)) { /* a round trip */
		if (w->end_seq != c->iss) {
			uint32_t n = (uint32_t)(c->delivered - w->delivered);

			w->pipe[1] = MAX(w->pipe[1], n);
			w->has_sample = true;
		}
		w->end_seq = c->snd_nxt;
		w->delivered = c->delivered;
	}
	note_phase(c, now);
}

bool tcp_cwv_may_grow(const struct tcp_conn *c, bool linux_says)
{
	if (!is_on(c))
		return linux_says;
	return c->is_cwnd_limited || is_validated(c); /* RFC 7661 4.4 */
}

/* RFC 7661 4.4.2; the rate is tcp_pacing_update()'s. */
bool tcp_cwv_is_paced(const struct tcp_conn *c)
{
	return c->cwv.since && is_on(c);
}

/* RFC 7661 4.4.3 */
static void end_phase(struct tcp_conn *c, nsec now)
{
	uint32_t floor = tcp_initial_cwnd(c);
	struct cc *cc = &c->cc;

	cc->ssthresh = MAX(cc->ssthresh, cc->cwnd / 4 * 3);
	cc->cwnd = MAX(cc->cwnd / 2, MIN(floor, cc->cwnd));
	cc->cwnd_cnt = 0;
	c->cwv.since = now;
}

bool tcp_cwv_restart(struct tcp_conn *c, nsec now)
{
	if (!is_on(c))
		return false;
	age(c, now);
	note_phase(c, now);
	/* what is in flight of it is a new round trip */
	c->cwv.end_seq = c->snd_nxt;
	c->cwv.delivered = c->delivered;
	if (c->cwv.since && now - c->cwv.since > NVP_LEN)
		end_phase(c, now);
	tcp_pacing_update(c);
	return true;
}

void tcp_cwv_reduce(struct tcp_conn *c)
{
	if (!is_on(c))
		return;
	if (!is_validated(c)) /* RFC 7661 4.4.1, but for what was sent again */
		c->cc.cwnd = MIN(c->cc.cwnd,
				 MAX(MAX(pipe_ack(c), tcp_in_flight(c)), 2u));
	/* what comes now tells nothing (RFC 7661 4.2) */
	c->cwv.has_sample = false;
	c->cwv.pipe[0] = c->cwv.pipe[1] = 0;
	c->cwv.since = 0;
}
