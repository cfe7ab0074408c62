/* SPDX-License-Identifier: MIT
 *
 * tcp_mtu.c - how large a packet the path takes, found without ICMP
 *	       (RFC 4821, RFC 8899), as Linux's tcp_mtu_probe() does it
 *
 * Between what is known to pass (low) and what may (high) a segment of the
 * middle is sent, with data that would have gone anyway, in front of smaller
 * ones. If it is acknowledged it is the new low; if what follows is and it is
 * not, high is below it, and the congestion window hears nothing of that.
 *
 * With net.ipv4.tcp_mtu_probing = 1 that begins when a path seems to swallow
 * what is large: after tcp_retries1 timeouts segments fall to tcp_base_mss, and
 * at each further one by half.
 */
#include "transport/tcp_conn.h"

/* Of segments without SACK blocks, at @mtu. */
static uint32_t mss_at(const struct tcp_conn *c, uint32_t mtu)
{
	uint32_t mss = MIN(tcp_mss_of_mtu(&c->node.key, mtu), c->mss_clamp);

	if (c->ts_ok)
		mss -= MIN(mss, TCP_TS_OPT_LEN);
	mss -= MIN(mss, tcp_auth_len(c));
	return MAX(mss, (uint32_t)tcp_sysctl(c)->tcp_min_snd_mss);
}

static uint32_t mtu_of(const struct tcp_conn *c, uint32_t mss)
{
	return mss + tcp_hdr_len(&c->node.key) + tcp_auth_len(c) +
	       (c->ts_ok ? TCP_TS_OPT_LEN : 0);
}

static uint32_t highest(const struct tcp_conn *c)
{
	uint32_t most = MAX(c->pmtu, c->t->tp->ip->link->mtu);

	return MIN(c->mss_clamp + tcp_hdr_len(&c->node.key), most);
}

void tcp_mss_sync(struct tcp_conn *c, uint32_t pmtu)
{
	uint32_t mss = mss_at(c, pmtu);

	c->pmtu = pmtu;
	c->mtup.high = MIN(c->mtup.high, pmtu);
	if (c->mtup.is_on)
		mss = MIN(mss, mss_at(c, c->mtup.low));
	c->mss_cache = (uint16_t)MIN(mss, 65535u);
}

/* Linux's tcp_mtup_init(): a server keeps the MSS that it has, until the first
 * probe was answered. */
void tcp_mtu_init(struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);

	c->mtup = (struct tcp_mtup){
		.is_on = v->tcp_mtu_probing > 1,
		.high = highest(c),
		.low = mtu_of(c, (uint32_t)v->tcp_base_mss),
		.at = now,
	};
	if (!c->is_passive)
		tcp_mss_sync(c, c->pmtu);
}

/* Has enough time passed for the path to have changed? */
static void check_again(struct tcp_conn *c, nsec now)
{
	if (now - c->mtup.at < tcp_sysctl(c)->tcp_probe_interval * SEC)
		return;
	c->mtup.size = 0;
	c->mtup.high = highest(c);
	c->mtup.low = mtu_of(c, c->mss_cache);
	c->mtup.at = now;
}

int tcp_mtu_probe_len(struct tcp_conn *c, nsec now)
{
	struct tcp_mtup *m = &c->mtup;
	uint32_t gap = m->high - MIN(m->low, m->high), len, need;

	/* blocks make headers longer, and a small window finds no loss */
	if (!m->is_on || m->size || c->ca != CA_OPEN || c->cc.cwnd < 11 ||
	    c->num_sacks || c->has_dsack)
		return TCP_MTU_NOT_NOW;
	len = mss_at(c, (m->high + m->low) / 2);
	need = len + (c->reordering + 1) * c->mss_cache;
	if (len > mss_at(c, m->high) ||
	    gap < (uint32_t)tcp_sysctl(c)->tcp_probe_threshold) {
		check_again(c, now);
		return TCP_MTU_NOT_NOW;
	}
	if (tcp_unsent(c) < need || c->snd_wnd < need)
		return TCP_MTU_NOT_NOW;
	if (seq_gt(c->snd_nxt + need, c->snd_una + c->snd_wnd))
		return TCP_MTU_WAIT;
	if (tcp_in_flight(c) + 2 > c->cc.cwnd)
		return tcp_in_flight(c) ? TCP_MTU_WAIT : TCP_MTU_NOT_NOW;
	return (int)len;
}

void tcp_mtu_too_long(struct tcp_conn *c, nsec now)
{
	uint32_t mtu = ip_mtu(c->t->tp->ip, &c->node.key.raddr, now);

	c->mtup.high = MIN(c->mtup.high, mtu);
}

void tcp_mtu_sent(struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	c->mtup.size = mtu_of(c, len);
	c->mtup.start = seq;
	c->mtup.end = seq + len;
	c->cc.cwnd--; /* it counts as two */
}

/* Segments are larger from now on: the same bytes are fewer of them. */
static void passed(struct tcp_conn *c)
{
	struct cc *cc = &c->cc;
	uint64_t bytes = (uint64_t)cc->cwnd * mtu_of(c, c->mss_cache);
	uint32_t thresh = tcp_is_reducing(c)
				  ? cc->ssthresh
				  : MAX(cc->ssthresh, cc->cwnd * 3 / 4);

	c->undo.prior_ssthresh = thresh;
	cc->cwnd = (uint32_t)MAX(bytes / c->mtup.size, 1u);
	cc->cwnd_cnt = 0;
	cc->ssthresh = tcp_is_reducing(c) ? cc->ssthresh
					  : MAX(cc->ssthresh, cc->cwnd * 3 / 4);
	c->mtup.low = c->mtup.size;
	c->mtup.size = 0;
	tcp_mss_sync(c, c->pmtu);
	stat_inc(c->t->core, STAT_TcpExtTCPMTUPSuccess);
}

void tcp_mtu_acked(struct tcp_conn *c)
{
	if (c->mtup.size && seq_geq(c->snd_una, c->mtup.end))
		passed(c);
}

bool tcp_mtu_lost(struct tcp_conn *c, nsec now)
{
	if (!c->mtup.size || c->ca >= CA_CWR || c->snd_una != c->mtup.start)
		return false;
	c->mtup.high = c->mtup.size - 1;
	c->mtup.size = 0;
	stat_inc(c->t->core, STAT_TcpExtTCPMTUPFail);
	c->cc.cwnd++;
	tcp_simple_retransmit(c, now);
	return true;
}

void tcp_mtu_black_hole(struct tcp_conn *c, nsec now)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	uint32_t mss;

	if (!v->tcp_mtu_probing)
		return;
	if (!c->mtup.is_on) {
		c->mtup.is_on = true;
		c->mtup.at = now;
	} else {
		mss = mss_at(c, c->mtup.low) / 2;
		mss = MIN(mss, (uint32_t)v->tcp_base_mss);
		mss = MAX(mss, (uint32_t)v->tcp_mtu_probe_floor);
		mss = MAX(mss, (uint32_t)v->tcp_min_snd_mss);
		c->mtup.low = mtu_of(c, mss);
	}
	tcp_mss_sync(c, c->pmtu);
}
