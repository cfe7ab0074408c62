/* SPDX-License-Identifier: MIT
 *
 * tcp_info.c - TCP_INFO: what a connection is doing, in true values
 *
 * The layout is that of Linux 6.18's struct tcp_info, whatever the headers
 * know; the socket layer copies as much of it as the caller has room for.
 */
#include "transport/tcp_info.h"

#include "base/util.h"
#include "transport/tcp_conn.h"

static uint32_t to_us(nsec t)
{
	return (uint32_t)MIN(t / USEC, (nsec)UINT32_MAX);
}

static uint32_t ms_since(nsec then, nsec now)
{
	return then ? (uint32_t)((now - then) / MSEC) : 0;
}

static void fill_state(const struct tcp_conn *c, struct tcp_info *i)
{
	i->tcpi_state = c->state;
	i->tcpi_ca_state = c->ca;
	i->tcpi_retransmits = c->retransmits;
	i->tcpi_probes = c->packets_out ? 0 : c->probes_out + c->keep_probes;
	i->tcpi_backoff = c->backoff;
	i->tcpi_options = (uint8_t)((c->ts_ok ? TCPI_OPT_TIMESTAMPS : 0) |
				    (c->sack_ok ? TCPI_OPT_SACK : 0) |
				    (c->wscale_ok ? TCPI_OPT_WSCALE : 0) |
				    (c->ecn.mode ? TCPI_OPT_ECN : 0) |
				    (c->ecn.seen ? TCPI_OPT_ECN_SEEN : 0) |
				    (c->fo_acked ? TCPI_OPT_SYN_DATA : 0));
	i->tcpi_snd_wscale = c->snd_wscale & 15;
	i->tcpi_rcv_wscale = c->rcv_wscale & 15;
	i->tcpi_delivery_rate_app_limited = c->rate.app_limited;
	i->tcpi_fastopen_client_fail = c->fo_fail & 3;
}

static void fill_times(const struct tcp_conn *c, struct tcp_info *i, nsec now)
{
	i->tcpi_rto = to_us(c->rto);
	i->tcpi_ato = to_us(c->ato);
	i->tcpi_rtt = to_us(c->srtt);
	i->tcpi_rttvar = to_us(c->srtt ? c->mdev : TCP_RTO_INIT / 4);
	i->tcpi_rcv_rtt = to_us(c->rcv_rtt);
	i->tcpi_min_rtt = c->min_rtt ? to_us(c->min_rtt) : ~0u;
	i->tcpi_last_data_sent = ms_since(c->last_sent_at, now);
	i->tcpi_last_data_recv = ms_since(c->last_rcv_at, now);
	i->tcpi_last_ack_recv = ms_since(c->ack_rcvd_at, now);
	i->tcpi_last_ack_sent = 0; /* Linux: not remembered */
}

static void fill_sender(const struct tcp_conn *c, struct tcp_info *i)
{
	i->tcpi_snd_mss = tcp_out_mss(c);
	i->tcpi_unacked = c->packets_out;
	i->tcpi_sacked = c->sacked_out;
	i->tcpi_lost = c->lost_out;
	i->tcpi_retrans = c->retrans_out;
	i->tcpi_total_retrans = c->total_retrans;
	i->tcpi_pmtu = c->pmtu;
	i->tcpi_snd_ssthresh = c->cc.ssthresh;
	i->tcpi_snd_cwnd = c->cc.cwnd;
	i->tcpi_reordering = c->reordering;
	i->tcpi_reord_seen = c->rack.reord_seen;
	i->tcpi_pacing_rate = c->pacing_rate;
	i->tcpi_max_pacing_rate = c->ep->max_pacing;
	i->tcpi_bytes_acked = c->bytes_acked;
	i->tcpi_segs_out = c->segs_out;
	i->tcpi_data_segs_out = c->data_segs_out;
	i->tcpi_notsent_bytes = tcp_unsent(c);
	i->tcpi_bytes_sent = c->bytes_sent + c->bytes_retrans;
	i->tcpi_bytes_retrans = c->bytes_retrans;
	i->tcpi_dsack_dups = c->dsack_dups;
	i->tcpi_snd_wnd = c->snd_wnd;
	i->tcpi_delivered = (uint32_t)c->delivered;
	i->tcpi_delivered_ce = c->ecn.delivered_ce;
	if (c->rate.interval > 0)
		i->tcpi_delivery_rate = (uint64_t)c->rate.delivered *
					c->mss_cache * (uint64_t)SEC /
					(uint64_t)c->rate.interval;
}

static void fill_receiver(const struct tcp_conn *c, struct tcp_info *i)
{
	i->tcpi_rcv_mss = c->rcv_mss;
	i->tcpi_advmss = c->advmss;
	i->tcpi_rcv_ssthresh = c->rcv_ssthresh;
	i->tcpi_rcv_space = c->rcvq_space;
	i->tcpi_bytes_received = c->bytes_received;
	i->tcpi_segs_in = c->segs_in;
	i->tcpi_data_segs_in = c->data_segs_in;
	i->tcpi_rcv_ooopack = c->num_ooo;
}

/* Linux's chronograph: every moment belongs to one reason. */
void tcp_chrono_update(struct tcp_conn *c, nsec now)
{
	enum tcp_chrono to = CHRONO_BUSY;

	if (c->write_seq == c->snd_una || !c->was_established)
		to = CHRONO_IDLE;
	else if (c->is_rwnd_limited)
		to = CHRONO_RWND;
	else if (c->nospace && !tcp_unsent(c))
		to = CHRONO_SNDBUF;
	if (to == c->chrono)
		return;
	if (c->chrono)
		c->chrono_sum[c->chrono - 1] += now - c->chrono_at;
	c->chrono = to;
	c->chrono_at = now;
}

static void fill_chrono(const struct tcp_conn *c, struct tcp_info *i, nsec now)
{
	nsec sum[4] = {0};

	for (unsigned k = CHRONO_BUSY; k <= CHRONO_SNDBUF; k++) {
		sum[k] = c->chrono_sum[k - 1];
		if (c->chrono == k)
			sum[k] += now - c->chrono_at;
		sum[0] += sum[k];
	}
	i->tcpi_busy_time = (uint64_t)(sum[0] / USEC);
	i->tcpi_rwnd_limited = (uint64_t)(sum[CHRONO_RWND] / USEC);
	i->tcpi_sndbuf_limited = (uint64_t)(sum[CHRONO_SNDBUF] / USEC);
}

_Static_assert(offsetof(struct tcp_info, tcpi_snd_wnd) == 228 &&
		       offsetof(struct tcp_info_all, x.ecn_fail) == 276,
	       "layout of Linux");

static void fill_newer(const struct tcp_conn *c, struct tcp_info_all *i,
		       nsec now)
{
	nsec rto = c->rto_time + (c->rto_at ? now - c->rto_at : 0);

	i->x.rcv_wnd = c->rcv_wnd;
	i->x.received_ce = c->ecn.received_ce;
	i->x.delivered_e1 = c->ecn.delivered[IP_ECT1];
	i->x.delivered_e0 = c->ecn.delivered[IP_ECT0];
	i->x.delivered_ce = c->ecn.delivered[IP_CE];
	i->x.received_e1 = c->ecn.received[IP_ECT1];
	i->x.received_e0 = c->ecn.received[IP_ECT0];
	i->x.received_ce_bytes = c->ecn.received[IP_CE];
	i->x.ecn_fail = c->ecn.fail;
	i->x.ecn_opt_seen = c->ecn.opt_seen;
	i->x.total_rto = c->total_rto;
	i->x.total_rto_recoveries = c->rto_recoveries;
	i->x.total_rto_time = (uint32_t)(rto / MSEC);
}

/* What Linux's tcp_init_sock() has put there, before there is a connection. */
static void fill_initial(const struct ep *e, struct tcp_info *i)
{
	const struct sysctl_values *v = e->tp->core->sysctl;

	i->tcpi_reordering = (uint32_t)v->tcp_reordering;
	i->tcpi_snd_cwnd = (uint32_t)v->tcp_init_cwnd;
	i->tcpi_pacing_rate = i->tcpi_max_pacing_rate = e->max_pacing;
	if (e->listen)
		return;
	i->tcpi_rto = to_us(TCP_RTO_INIT);
	i->tcpi_rttvar = to_us(TCP_RTO_INIT / 4);
	i->tcpi_min_rtt = ~0u;
	i->tcpi_snd_mss = TCP_DEF_MSS;
	i->tcpi_snd_ssthresh = CC_SSTHRESH_NONE;
}

void tcp_get_info(const struct ep *e, struct tcp_info_all *all, nsec now)
{
	const struct tcp_conn *c = e->tcp;
	struct tcp_info *info = &all->i;

	memset(all, 0, sizeof(*all));
	info->tcpi_state = tcp_state(e);
	if (!c)
		fill_initial(e, info);
	if (e->listen) { /* inet_diag's reading of a listener */
		info->tcpi_unacked = e->listen->num_accept;
		info->tcpi_sacked = e->listen->backlog;
		return;
	}
	if (!c)
		return;
	fill_state(c, info);
	fill_times(c, info, now);
	fill_sender(c, info);
	fill_receiver(c, info);
	fill_chrono(c, info, now);
	fill_newer(c, all, now);
}

unsigned tcp_get_cc_info(const struct ep *e, uint32_t v[CC_INFO_WORDS])
{
	struct cc none = {.id = e->topt.cc};
	const struct cc *cc = e->tcp ? &e->tcp->cc : &none;
	unsigned len;

	if (cc->id >= CC_NUM || !cc_ops(cc)->info)
		return 0;
	len = cc_ops(cc)->info(cc, v);
	if (!e->tcp)
		memset(v, 0, CC_INFO_WORDS * sizeof(*v));
	return len;
}

uint32_t tcp_stamp_key(const struct ep *e, bool written)
{
	if (!e->tcp)
		return 0;
	return written ? e->tcp->write_seq : e->tcp->snd_una;
}
