/* SPDX-License-Identifier: MIT
 *
 * tcp_metrics.c - what one connection leaves to the next one to the same peer
 *
 * Linux's tcp_metrics (RFC 9040): a connection that ends in order leaves its
 * round trip, the reordering it has seen, and its threshold if
 * tcp_no_ssthresh_metrics_save is 0. The next one believes the reordering, and
 * takes its first timeout from the round trip, since that of a SYN is short of
 * that of data; its own estimate begins anew. They are kept with the cookies of
 * Fast Open, for the peers that were talked to last.
 */
#include "base/util.h"
#include "transport/tcp_conn.h"

static uint32_t saved_ssthresh(const struct tcp_conn *c, uint32_t old)
{
	const struct cc *cc = &c->cc;

	if (cc->ssthresh >= CC_SSTHRESH_NONE) /* slow start has no end yet */
		return old && cc->cwnd / 2 > old ? cc->cwnd / 2 : old;
	if (!cc_in_slow_start(cc) && c->ca == CA_OPEN)
		return MAX(cc->cwnd / 2, cc->ssthresh);
	return old && cc->ssthresh > old ? cc->ssthresh : old;
}

static void save_rtt(const struct tcp_conn *c, struct tcp_metrics *m)
{
	nsec off = m->rtt - c->srtt;

	/* rather too long than too short */
	m->rtt = off <= 0 ? c->srtt : m->rtt - off / 8;
	off = MAX((off < 0 ? -off : off) / 2, c->mdev);
	m->rttvar = off >= m->rttvar ? off : m->rttvar - (m->rttvar - off) / 4;
}

void tcp_metrics_save(const struct tcp_conn *c)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	bool is_known = c->srtt && !c->backoff;
	struct tcp_metrics *m;

	if (v->tcp_no_metrics_save)
		return;
	m = tcp_fo_metrics(c->t, &c->node.key.raddr, is_known);
	if (!m)
		return;
	if (!is_known) {
		m->rtt = 0;
		return;
	}
	save_rtt(c, m);
	if (!v->tcp_no_ssthresh_metrics_save)
		m->ssthresh = saved_ssthresh(c, m->ssthresh);
	if (m->reordering < c->reordering &&
	    c->reordering != (uint32_t)v->tcp_reordering)
		m->reordering = c->reordering;
}

/* After the handshake's own round trip is known. */
void tcp_metrics_load(struct tcp_conn *c)
{
	const struct sysctl_values *v = tcp_sysctl(c);
	const struct tcp_metrics *m =
		tcp_fo_metrics(c->t, &c->node.key.raddr, false);

	if (!m)
		return;
	if (m->ssthresh && !v->tcp_no_ssthresh_metrics_save)
		c->cc.ssthresh = m->ssthresh;
	if (m->reordering)
		c->reordering = m->reordering;
	if (m->rtt > c->srtt)
		c->rto = MIN(m->rtt + MAX(2 * m->rtt, tcp_rto_min(c)),
			     tcp_rto_max(c));
}
