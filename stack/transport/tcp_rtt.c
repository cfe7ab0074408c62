/* SPDX-License-Identifier: MIT
 *
 * tcp_rtt.c - round trips: the retransmission timeout and the delivery rate
 *
 * RFC 6298 with Linux's refinements: the variance falls slowly (its maximum of
 * each round trip is what counts), a round trip shorter than expected weighs
 * less, and the lower bound applies to the variance, not to the sum.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

nsec tcp_rto_min(const struct tcp_conn *c)
{
	if (c->route.rto_min)
		return c->route.rto_min;
	if (c->ep->topt.rto_min_us)
		return c->ep->topt.rto_min_us * USEC;
	return tcp_sysctl(c)->tcp_rto_min_us * USEC;
}

nsec tcp_rto_max(const struct tcp_conn *c)
{
	if (c->ep->topt.rto_max_ms)
		return c->ep->topt.rto_max_ms * MSEC;
	return tcp_sysctl(c)->tcp_rto_max_ms * MSEC;
}

static void first_sample(struct tcp_conn *c, nsec m)
{
	c->srtt = m; /* RFC 6298 2.2 */
	c->mdev = m / 2;
	c->rttvar = MAX(c->mdev, tcp_rto_min(c) / 4);
	c->mdev_max = c->rttvar;
	c->rtt_seq = c->snd_nxt;
}

static void next_sample(struct tcp_conn *c, nsec m)
{
	nsec err = m - c->srtt;

	c->srtt += err / 8; /* RFC 6298 2.3: alpha 1/8, beta 1/4 */
	if (err < 0) {
		err = -err - c->mdev;
		/* a faster path does not make the old one less certain */
		if (err > 0)
			err /= 8;
	} else {
		err -= c->mdev;
	}
	c->mdev += err / 4;
	if (c->mdev > c->mdev_max) {
		c->mdev_max = c->mdev;
		c->rttvar = MAX(c->rttvar, c->mdev_max);
	}
	if (seq_gt(c->snd_una, c->rtt_seq)) { /* a round trip is over */
		if (c->mdev_max < c->rttvar)
			c->rttvar -= (c->rttvar - c->mdev_max) / 4;
		c->rtt_seq = c->snd_nxt;
		c->mdev_max = tcp_rto_min(c) / 4;
	}
}

void tcp_rto_update(struct tcp_conn *c)
{
	nsec rto = c->srtt + 4 * c->rttvar;

	c->rto = CLAMP(rto, tcp_rto_min(c), tcp_rto_max(c));
}

/* The handshake gave no sample if its SYN or SYN-ACK went twice: a second was
 * too short, it seems (RFC 6298 5.7). */
void tcp_rtt_init(struct tcp_conn *c)
{
	if (c->srtt) {
		tcp_rto_update(c);
		return;
	}
	c->rttvar = c->mdev = c->mdev_max = TCP_RTO_FALLBACK;
	c->rto = MIN(TCP_RTO_FALLBACK, tcp_rto_max(c));
}

void tcp_rtt_sample(struct tcp_conn *c, nsec rtt, nsec now)
{
	if (rtt < 0)
		return;
	rtt = MAX(rtt, 1 * USEC);
	if (!c->min_rtt || rtt <= c->min_rtt ||
	    now - c->min_rtt_at > tcp_sysctl(c)->tcp_min_rtt_wlen * SEC) {
		c->min_rtt = rtt;
		c->min_rtt_at = now;
	}
	if (!c->srtt)
		first_sample(c, rtt);
	else
		next_sample(c, rtt);
	tcp_rto_update(c);
	c->backoff = 0; /* RFC 6298 5.7: a valid sample ends the backoff */
	c->cc.una = c->snd_una;
	c->cc.nxt = c->snd_nxt;
	c->cc.pacing_rate = c->pacing_rate;
	if (cc_ops(&c->cc)->rtt)
		cc_ops(&c->cc)->rtt(&c->cc, rtt, now);
	tcp_count_hystart(c);
}

nsec tcp_model_timeout(const struct tcp_conn *c, unsigned retries, nsec base)
{
	nsec max = tcp_rto_max(c);
	unsigned doublings = 0;

	while (doublings < 30 && base << (doublings + 1) <= max)
		doublings++;
	if (retries <= doublings)
		return ((2ll << retries) - 1) * base;
	return ((2ll << doublings) - 1) * base +
	       (nsec)(retries - doublings) * max;
}

/* Linux's tcp_update_pacing_rate(): what the window lets through, with room to
 * grow: twice that in slow start, 1.2 times after. */
void tcp_pacing_update(struct tcp_conn *c)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	uint64_t rate =
		(uint64_t)c->mss_cache * MAX(c->cc.cwnd, c->packets_out);
	int64_t percent = c->cc.cwnd < c->cc.ssthresh / 2
				  ? v->tcp_pacing_ss_ratio
				  : v->tcp_pacing_ca_ratio;

	if (tcp_cwv_is_paced(c))
		percent = 100; /* RFC 7661 4.4.2: a window over a round trip */
	if (!c->srtt || tcp_cc_has_control(c))
		return;
	rate *= (uint64_t)percent;
	rate = rate * (uint64_t)(SEC / 100 / USEC) /
	       (uint64_t)MAX(c->srtt / USEC, 1);
	c->pacing_rate = MIN(rate, c->ep->max_pacing);
}

/* Delivery rate: what was delivered between this transmission and its ACK. */
void tcp_rate_sent(struct tcp_conn *c, struct tcp_rec *r, nsec now)
{
	if (!c->packets_out) { /* a new flight */
		c->first_tx_at = now;
		c->delivered_at = now;
	}
	r->first_tx_at = c->first_tx_at;
	r->delivered_at = c->delivered_at;
	r->delivered = c->delivered;
	r->app_limited = c->app_limited != 0;
	r->tx_in_flight = tcp_in_flight(c) + r->num_segs;
	r->lost_before = c->lost;
}
